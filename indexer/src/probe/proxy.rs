//! EigenDA proxies: whether they are healthy, and what they say of themselves.

use futures::future::join_all;
use serde::Deserialize;
use std::sync::Arc;
use url::Url;

use super::Finding;
use crate::{
    Clock,
    blob::{ABSENT, Proxies},
    endpoint::{EndpointOptions, names},
};

/// The parts of a proxy's API that serve blobs by certificates, in either mode.
const APIS: [&str; 2] = ["op-generic", "standard"];

/// What a proxy says of itself at `/config`, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Said {
    #[serde(default)]
    version: String,
    #[serde(default)]
    apis_enabled: Vec<String>,
}

/// Looks at all proxies side by side. `key` is where they stand in the configuration.
pub async fn proxies(key: &str, urls: &[Url], options: &EndpointOptions, clock: &Arc<dyn Clock>) -> Vec<Finding> {
    let proxies = match Proxies::new(urls, Arc::clone(clock)) {
        Ok(proxies) => proxies,
        Err(error) => return vec![Finding::failed(key, error.to_string(), "an HTTP client", "see the reason")],
    };
    let looks = names(urls).into_iter().enumerate().map(|(place, name)| proxy(&proxies, place, name, key, options));
    join_all(looks).await.into_iter().flatten().collect()
}

async fn proxy(proxies: &Proxies, place: usize, name: String, key: &str, options: &EndpointOptions) -> Vec<Finding> {
    let (health, config) = (format!("{name} /health"), format!("{name} /config"));
    let answer = proxies.look(place, "health", options).await;
    if answer.as_ref().is_err_and(|reason| reason == ABSENT) {
        let why = "it answers, and has no such page: an archive behind the proxy's route";
        return vec![Finding::skipped(health, why)];
    }
    if let Err(reason) = answer {
        let mend = format!("see that the proxy runs and can be reached from here, or correct {key}");
        let skipped = Finding::skipped(config, "it is not healthy");
        return vec![Finding::failed(health, reason, "status 200", mend), skipped];
    }
    let config = match proxies.look(place, "config", options).await {
        Ok(body) => judge(config, &body),
        Err(reason) => Finding::skipped(config, format!("older proxies have none: {reason}")),
    };
    vec![Finding::ok(health, "status 200", "status 200"), config]
}

pub(super) fn judge(check: String, body: &[u8]) -> Finding {
    let expected = format!("{} or {} among apis_enabled", APIS[0], APIS[1]);
    match serde_json::from_slice::<Said>(body) {
        Ok(said) => {
            let seen = format!("version {:?}, apis_enabled {:?}", said.version, said.apis_enabled);
            if said.apis_enabled.iter().any(|api| APIS.contains(&api.as_str())) {
                return Finding::ok(check, seen, expected);
            }
            let mend = format!("enable {} in the proxy: blobs are asked for by their certificates", APIS[0]);
            Finding::failed(check, seen, expected, mend)
        }
        Err(error) => {
            Finding::failed(check, format!("not a configuration: {error}"), expected, "see what serves there")
        }
    }
}
