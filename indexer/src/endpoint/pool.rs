//! Several endpoints of one chain, asked as if they were one.

use serde_json::{Value, value::RawValue};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use url::Url;

use crate::{
    Clock, IndexerError,
    endpoint::{Asked, Endpoint, EndpointHealth, EndpointOptions, EndpointState, Failure},
};

/// An endpoint by its place in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointId(usize);

/// An answer and who gave it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Who.
    pub endpoint: EndpointId,
    /// What, as text.
    pub json: Box<RawValue>,
}

/// Who should answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preference {
    /// The first endpoint that is up: near the head, where two nodes may be on two forks.
    First,
    /// Whoever's turn it is: for what is the same everywhere.
    Turns,
    /// This one, and no other.
    Only(EndpointId),
}

/// All endpoints of one chain.
#[derive(Debug)]
pub struct Pool {
    chain: String,
    endpoints: Vec<Endpoint>,
    options: EndpointOptions,
    clock: Arc<dyn Clock>,
    turn: AtomicUsize,
}

impl Pool {
    /// A pool of these endpoints. Nothing is connected before it is asked.
    ///
    /// # Errors
    ///
    /// When there is none, or one has a scheme unknown here.
    pub fn new(
        urls: &[Url],
        chain_id: u64,
        options: EndpointOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, IndexerError> {
        let chain = format!("chain {chain_id}");
        if urls.is_empty() {
            let reason = "no endpoint: expected at least one url".to_owned();
            return Err(IndexerError::Configuration { what: chain, reason });
        }
        let endpoints = names(urls)
            .into_iter()
            .zip(urls)
            .map(|(name, url)| Endpoint::new(name, url.clone(), chain_id, options.clone(), Arc::clone(&clock)))
            .collect::<Result<_, _>>()?;
        Ok(Self { chain, endpoints, options, clock, turn: AtomicUsize::new(0) })
    }

    /// Asks until somebody answers.
    ///
    /// # Errors
    ///
    /// When nobody did after all attempts, when all refuse, or when no endpoint is left.
    pub async fn call(&self, prefer: Preference, method: &'static str, params: &Value) -> Result<Answer, IndexerError> {
        self.ask(prefer, method, Asked::One(params)).await
    }

    /// Asks the same for many parameters, in one batch; the answer is an array in their order.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call): one call of a batch that fails is the failure of all.
    pub async fn call_each(
        &self,
        prefer: Preference,
        method: &'static str,
        params: &[Value],
    ) -> Result<Answer, IndexerError> {
        self.ask(prefer, method, Asked::Each(params)).await
    }

    async fn ask(&self, prefer: Preference, method: &'static str, asked: Asked<'_>) -> Result<Answer, IndexerError> {
        let mut tried: usize = 0;
        let mut attempt: u32 = 0;
        loop {
            let candidates = self.candidates(prefer, method)?;
            let id = candidates[tried.checked_rem(candidates.len()).unwrap_or_default()];
            let endpoint = &self.endpoints[id.0];
            let failure = match Box::pin(endpoint.call(method, asked)).await {
                Ok(json) => return Ok(Answer { endpoint: id, json }),
                Err(failure) => failure,
            };
            tried = tried.saturating_add(1);
            let (reason, after) = match failure {
                Failure::Quarantined(_) => continue,
                Failure::Refused(reason) if tried >= candidates.len() => {
                    let endpoint = endpoint.name.clone();
                    return Err(IndexerError::Refused { endpoint, method: method.to_owned(), reason });
                }
                Failure::Refused(_) => continue,
                Failure::Transient { reason, after, .. } => (reason, after),
            };
            tracing::debug!(endpoint = %endpoint.name, method, attempt, reason, "request failed");
            attempt = attempt.saturating_add(1);
            if attempt >= self.options.attempts_max {
                let endpoint = endpoint.name.clone();
                return Err(IndexerError::Unanswered {
                    endpoint,
                    method: method.to_owned(),
                    attempts: attempt,
                    reason,
                });
            }
            self.pause(attempt, after, candidates.len()).await;
        }
    }

    /// Waits before the next attempt: with others to ask, only once each had its turn.
    async fn pause(&self, attempt: u32, after: Option<std::time::Duration>, candidates: usize) {
        let others = u32::try_from(candidates).unwrap_or(u32::MAX);
        let round = attempt.checked_rem(others).unwrap_or_default();
        if round == 0 {
            let rounds = attempt.checked_div(others).unwrap_or(attempt).saturating_sub(1);
            let after = std::cmp::min(after.unwrap_or_default(), RETRY_AFTER_MAX);
            self.clock.sleep(std::cmp::max(self.options.backoff(rounds), after)).await;
        }
    }

    /// Counts a lie and puts the endpoint in quarantine.
    pub fn quarantine(&self, id: EndpointId, reason: impl Into<String>) {
        if let Some(endpoint) = self.endpoints.get(id.0) {
            endpoint.health(|health| health.put_in_quarantine(reason.into()));
        }
    }

    /// Counts an answer that contradicts its hash.
    pub fn lied(&self, id: EndpointId) {
        if let Some(endpoint) = self.endpoints.get(id.0) {
            endpoint.health(EndpointHealth::lied);
        }
    }

    /// Name of an endpoint.
    #[must_use]
    pub fn name(&self, id: EndpointId) -> &str {
        self.endpoints.get(id.0).map_or("", |endpoint| endpoint.name.as_str())
    }

    /// Every endpoint that is not in quarantine, in the order of the configuration.
    #[must_use]
    pub fn usable(&self) -> Vec<EndpointId> {
        let ids = (0..self.endpoints.len()).map(EndpointId);
        ids.filter(|id| self.endpoints[id.0].health(|health| health.quarantine().is_none())).collect()
    }

    /// State and counters of all endpoints.
    #[must_use]
    pub fn health(&self) -> Vec<EndpointHealth> {
        self.endpoints.iter().map(|endpoint| endpoint.health(|health| health.clone())).collect()
    }

    /// Announcements of new heads by the first usable endpoint, when it makes any.
    pub(crate) async fn subscribe(&self) -> Option<alloy::pubsub::RawSubscription> {
        let first = self.candidates(Preference::First, "eth_subscribe").ok()?.first().copied()?;
        let endpoint = &self.endpoints[first.0];
        if !endpoint.subscribes() {
            return None;
        }
        match endpoint.subscribe().await {
            Ok(subscription) => Some(subscription),
            Err(failure) => {
                tracing::debug!(endpoint = %endpoint.name, ?failure, "no subscription; polling instead");
                None
            }
        }
    }

    /// Who may be asked, the best first.
    fn candidates(&self, prefer: Preference, method: &str) -> Result<Vec<EndpointId>, IndexerError> {
        let mut usable = self.usable();
        if usable.is_empty() {
            return Err(self.nobody());
        }
        if let Preference::Only(id) = prefer {
            usable.retain(|usable| *usable == id);
            if usable.is_empty() {
                // Others are left: whoever wanted this one begins again with them.
                let (endpoint, reason) = (self.name(id).to_owned(), "in quarantine".to_owned());
                return Err(IndexerError::Unanswered { endpoint, method: method.to_owned(), attempts: 0, reason });
            }
        }
        if prefer == Preference::Turns {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let by = turn.checked_rem(usable.len()).unwrap_or_default();
            usable.rotate_left(by);
        }
        // Stable: among those that are up the order stays.
        usable.sort_by_key(|id| self.endpoints[id.0].health(|health| health.state == EndpointState::Failing));
        Ok(usable)
    }

    fn nobody(&self) -> IndexerError {
        let reasons = self.health().into_iter().filter_map(|health| {
            let reason = health.quarantine()?;
            Some(format!("{}: {reason}", health.name))
        });
        IndexerError::NoEndpoint { chain: self.chain.clone(), reasons: reasons.collect::<Vec<_>>().join("; ") }
    }
}

/// A server may ask for a pause, but not for ever.
const RETRY_AFTER_MAX: std::time::Duration = std::time::Duration::from_secs(300);

/// Scheme, host and port; numbered where several share them.
pub(crate) fn names(urls: &[Url]) -> Vec<String> {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let names = urls.iter().map(|url| {
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let name = format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default());
        let count = seen.entry(name.clone()).and_modify(|count| *count = count.saturating_add(1)).or_insert(1);
        if *count == 1 { name } else { format!("{name} #{count}") }
    });
    names.collect()
}
