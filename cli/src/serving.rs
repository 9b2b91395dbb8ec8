//! What is served, and where, as it is configured.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::Address;
use anyhow::{Context as _, anyhow, ensure};
use tokio_util::sync::CancellationToken;
use tributary_api::{ApiConfig, Token};
use tributary_store::{HotTails, Lake};

use crate::config::{self, Config};
use crate::failure::{Exit, Failure, OrExit as _};
use crate::output;

/// Listens; nothing is served before what it gives is run. `hot` has the tails that this process follows into.
pub(crate) async fn bind(
    config: &Config,
    lake: &Lake,
    dir: &Path,
    hot: HotTails,
    shutdown: &CancellationToken,
) -> Result<tributary_api::Bound, Failure> {
    let api = api_config(&config.api).and_then(|api| with_sql(api, config)).or_exit(Exit::Configuration)?;
    let api = ApiConfig { hot, ..api };
    let assets: tributary_api::Assets = Arc::new(tributary_dashboards::asset);
    let bound = tributary_api::serve(api, lake.clone(), dir.to_owned(), Some(assets), shutdown.clone()).await;
    let bound = bound.with_context(|| format!("listening on {}", config.api.listen)).or_exit(Exit::Failed)?;
    if let Some(admin) = bound.admin {
        output::say(&format!("metrics    http://{admin}/metrics"));
    }
    if let Some(flight) = bound.flight {
        output::say(&format!("Flight SQL grpc://{flight}"));
    }
    if let Some(postgres) = bound.postgres {
        output::say(&format!("PostgreSQL {postgres}"));
    }
    Ok(bound)
}

/// The addresses that may be served beside the first one, by their keys.
pub(crate) fn beside(config: &config::Api) -> [(&'static str, &str); 3] {
    [
        ("api.admin_listen", &config.admin_listen),
        ("api.flight_listen", &config.flight_listen),
        ("api.postgres_listen", &config.postgres_listen),
    ]
}

/// The address of a key; none where it is empty.
pub(crate) fn address(key: &str, text: &str) -> anyhow::Result<Option<SocketAddr>> {
    if text.is_empty() {
        return Ok(None);
    }
    Ok(Some(text.parse().with_context(|| format!("{key}: {text:?} is no ADDRESS:PORT"))?))
}

/// How to serve, as it is configured.
pub(crate) fn api_config(config: &config::Api) -> anyhow::Result<ApiConfig> {
    let mut api = ApiConfig { listen: config.listen, ..ApiConfig::default() };
    for text in &config.tokens {
        let (address, token) = token(text)?;
        api.tokens.insert(address, token);
    }
    let [admin, flight, postgres] = beside(config).map(|(key, text)| address(key, text));
    (api.admin, api.flight, api.postgres) = (admin?, flight?, postgres?);
    let not_zero = |key: &str, number: u64| match number {
        0 => Err(anyhow!("api.{key} is 0: expected at least 1")),
        number => Ok(number),
    };
    api.connections_max = usize::try_from(not_zero("max_connections", config.max_connections)?)?;
    api.header_deadline = Duration::from_secs(not_zero("header_seconds", config.header_seconds)?);
    api.idle_deadline = Duration::from_secs(not_zero("idle_seconds", config.idle_seconds)?);
    for text in &config.trusted_proxies {
        let proxy = text.parse().with_context(|| format!("api.trusted_proxies: {text:?} is no IP address"))?;
        api.trusted_proxies.insert(proxy);
    }
    api.cors_origins.clone_from(&config.cors_origins);
    api.documents.only = config.documents_only;
    let kept = usize::try_from(config.kept_answers_mib).ok().and_then(|mib| mib.checked_mul(1 << 20));
    api.replies_bytes = kept.context("api.kept_answers_mib is more than this machine can count")?;
    let file = &config.documents_file;
    if !file.as_os_str().is_empty() {
        let named = || format!("api.documents_file {}", file.display());
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", named()))?;
        let documents = serde_json::from_str(&text);
        api.documents.by_id = documents.with_context(|| format!("{} is no JSON object of texts", named()))?;
    }
    let units = std::num::NonZeroU32::new(config.rate_units).context("api.rate_units is 0: expected at least 1")?;
    let window = Duration::from_secs(config.rate_window_seconds);
    let keyed = std::num::NonZeroU32::new(config.key_rate_units);
    let keyed = keyed.context("api.key_rate_units is 0: expected at least 1")?;
    api.rate = tributary_api::limits::RateLimit { burst: units, window };
    api.key_rate = tributary_api::limits::RateLimit { burst: keyed, window };
    Ok(api)
}

/// The same with the bounds of queries in SQL. Nothing may keep a connection for longer than it may be silent.
pub(crate) fn with_sql(mut api: ApiConfig, config: &Config) -> anyhow::Result<ApiConfig> {
    let (sql, listening) = (&config.sql, &config.api);
    (api.sql, api.streamed_sql, api.queries_max) = (sql.whole()?, sql.streamed()?, sql.queries_max(listening)?);
    let streams = !listening.flight_listen.is_empty() || !listening.postgres_listen.is_empty();
    let whole = ("deadline_seconds", sql.deadline_seconds, true);
    for (key, seconds, served) in [whole, ("streamed_deadline_seconds", sql.streamed_deadline_seconds, streams)] {
        let idle = listening.idle_seconds;
        ensure!(!served || seconds < idle, "sql.{key} is {seconds}: expected less than api.idle_seconds, {idle}");
    }
    Ok(api)
}

/// A token's address and its name for people.
pub(crate) fn token(text: &str) -> anyhow::Result<(Address, Token)> {
    let wrong = || format!("api.tokens: {text:?} is not of the form ADDRESS:SYMBOL:DECIMALS");
    let (address, rest) = text.split_once(':').with_context(wrong)?;
    let (symbol, decimals) = rest.split_once(':').with_context(wrong)?;
    let decimals = decimals.parse().with_context(wrong)?;
    Ok((address.parse().with_context(wrong)?, Token { symbol: symbol.to_owned(), decimals }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a configuration.
    fn refused(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        with_sql(ApiConfig::default(), &config).err().map(|cause| cause.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_bounds_of_queries_are_configured() {
        let (usual, config) = (ApiConfig::default(), Config::default());
        let api = with_sql(ApiConfig { queries_max: 1, ..ApiConfig::default() }, &config).unwrap();
        assert_eq!((api.sql, api.streamed_sql, api.queries_max), (usual.sql, usual.streamed_sql, usual.queries_max));
        let sql = config::Sql { memory_mib: 3, partitions: 5, max_rows: 7, deadline_seconds: 11, ..config.sql };
        let sql = config::Sql { streamed_max_rows: 13, streamed_deadline_seconds: 17, max_queries: 19, ..sql };
        let api = with_sql(usual, &Config { sql, ..Config::default() }).unwrap();
        assert_eq!((api.sql.memory_bytes, api.sql.partitions, api.queries_max), (3 << 20, 5, 19));
        assert_eq!((api.sql.rows_max, api.sql.deadline.as_secs()), (7, 11));
        assert_eq!((api.streamed_sql.rows_max, api.streamed_sql.deadline.as_secs()), (13, 17));
        assert_eq!((api.streamed_sql.memory_bytes, api.streamed_sql.partitions), (3 << 20, 5));
    }

    #[test]
    fn bounds_that_let_nothing_through_are_named() {
        assert_eq!(refused(|config| config.sql.memory_mib = 0), "sql.memory_mib is 0: expected at least 1");
        assert_eq!(
            refused(|config| config.sql.streamed_max_rows = 0),
            "sql.streamed_max_rows is 0: expected at least 1"
        );
        assert_eq!(
            refused(|config| config.sql.memory_mib = 1 << 62),
            format!("sql.memory_mib is {}: more than there can be", 1u64 << 62)
        );
        let served = |config: &mut Config, queries| {
            config.api.postgres_listen = "127.0.0.1:0".to_owned();
            config.sql.max_queries = queries;
        };
        assert_eq!(refused(|config| served(config, 2)), "");
        assert_eq!(
            refused(|config| served(config, 1)),
            "sql.max_queries is 1: expected at least 2, one for each way in"
        );
        // Nothing streams where nothing is served that does.
        assert_eq!(refused(|config| config.api.idle_seconds = 11), "");
        assert_eq!(
            refused(|config| config.api.idle_seconds = 10),
            "sql.deadline_seconds is 10: expected less than api.idle_seconds, 10"
        );
        let said =
            refused(|config| (config.api.idle_seconds, config.api.flight_listen) = (60, "127.0.0.1:0".to_owned()));
        assert_eq!(said, "sql.streamed_deadline_seconds is 60: expected less than api.idle_seconds, 60");
    }
}
