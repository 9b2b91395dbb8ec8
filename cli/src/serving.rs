//! What is served, and where, as it is configured.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::Address;
use anyhow::{Context as _, anyhow};
use tokio_util::sync::CancellationToken;
use tributary_api::Token;
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
    let api = tributary_api::ApiConfig { hot, ..api_config(&config.api).or_exit(Exit::Configuration)? };
    let assets: tributary_api::Assets = Arc::new(tributary_dashboards::asset);
    let bound = tributary_api::serve(api, lake.clone(), dir.to_owned(), Some(assets), shutdown.clone()).await;
    let bound = bound.with_context(|| format!("listening on {}", config.api.listen)).or_exit(Exit::Failed)?;
    if let Some(admin) = bound.admin {
        output::say(&format!("metrics    http://{admin}/metrics"));
    }
    if let Some(flight) = bound.flight {
        output::say(&format!("Flight SQL {flight}"));
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
pub(crate) fn api_config(config: &config::Api) -> anyhow::Result<tributary_api::ApiConfig> {
    let mut api = tributary_api::ApiConfig { listen: config.listen, ..tributary_api::ApiConfig::default() };
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

/// A token's address and its name for people.
pub(crate) fn token(text: &str) -> anyhow::Result<(Address, Token)> {
    let wrong = || format!("api.tokens: {text:?} is not of the form ADDRESS:SYMBOL:DECIMALS");
    let (address, rest) = text.split_once(':').with_context(wrong)?;
    let (symbol, decimals) = rest.split_once(':').with_context(wrong)?;
    let decimals = decimals.parse().with_context(wrong)?;
    Ok((address.parse().with_context(wrong)?, Token { symbol: symbol.to_owned(), decimals }))
}
