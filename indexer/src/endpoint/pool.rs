//! Several endpoints of one chain, asked as if they were one.

use serde_json::{Value, value::RawValue};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use url::{Host, Url};

use crate::{
    Clock, IndexerError,
    endpoint::{Asked, Endpoint, EndpointHealth, EndpointOptions, EndpointState, Failure, judge_chain_id},
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
    /// This one, without a second attempt and not for long: its vote, which nobody waits for.
    Once(EndpointId),
}

/// All endpoints of one chain.
#[derive(Debug)]
pub struct Pool {
    chain: String,
    chain_id: u64,
    endpoints: Vec<Endpoint>,
    /// The host of each, as a number.
    hosts: Vec<usize>,
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
        let hosts = hosts(urls);
        let votes = hosts.iter().collect::<BTreeSet<_>>().len();
        if votes < urls.len() {
            tracing::warn!(endpoints = urls.len(), votes, "endpoints on one host count as one about what is final");
        }
        Ok(Self { chain, chain_id, endpoints, hosts, options, clock, turn: AtomicUsize::new(0) })
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
        let turn = self.turn(prefer);
        let (attempts_max, deadline) = match prefer {
            Preference::Once(_) => (1, std::cmp::min(self.options.deadline, VOTE_DEADLINE)),
            Preference::First | Preference::Turns | Preference::Only(_) => {
                (self.options.attempts_max, self.options.deadline)
            }
        };
        let mut tries: BTreeMap<EndpointId, u32> = BTreeMap::new();
        let mut refusals: BTreeMap<EndpointId, String> = BTreeMap::new();
        let mut attempt: u32 = 0;
        loop {
            let mut open = self.candidates(prefer, turn, method)?;
            let all = open.clone();
            open.retain(|id| !refusals.contains_key(id));
            // Each in its turn: who was tried least, and the best of these.
            let next = open.iter().min_by_key(|id| tries.get(id).copied().unwrap_or_default()).copied();
            let Some(id) = next else { return Err(self.refused(method, &all, &refusals)) };
            let endpoint = &self.endpoints[id.0];
            let tried = tries.entry(id).or_default();
            *tried = tried.saturating_add(1);
            let (reason, after) = match Box::pin(endpoint.call(method, asked, deadline)).await {
                Ok(json) => return Ok(Answer { endpoint: id, json }),
                Err(Failure::Quarantined(_)) => continue,
                Err(Failure::Refused(reason)) => {
                    let _old = refusals.insert(id, reason);
                    continue;
                }
                Err(Failure::Transient { reason, after, .. }) => (reason, after),
            };
            tracing::debug!(endpoint = %endpoint.name, method, attempt, reason, "request failed");
            attempt = attempt.saturating_add(1);
            if attempt >= attempts_max {
                let endpoint = endpoint.name.clone();
                let method = method.to_owned();
                return Err(IndexerError::Unanswered { endpoint, method, attempts: attempt, reason });
            }
            self.pause(attempt, after, open.len()).await;
        }
    }

    /// The refusal of whoever is asked first, when all refused.
    fn refused(&self, method: &str, all: &[EndpointId], refusals: &BTreeMap<EndpointId, String>) -> IndexerError {
        let first = all.iter().find_map(|id| refusals.get(id).map(|reason| (self.name(*id), reason.clone())));
        let (endpoint, reason) = first.unwrap_or_default();
        IndexerError::Refused { endpoint: endpoint.to_owned(), method: method.to_owned(), reason }
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

    /// Asks others first for a while: it had nothing where it should have had something.
    pub(crate) fn doubt(&self, id: EndpointId, reason: impl Into<String>) {
        let now_ms = self.clock.now_ms();
        if let Some(endpoint) = self.endpoints.get(id.0) {
            endpoint.health(|health| health.doubt(reason.into(), now_ms));
        }
    }

    /// Asks an endpoint once more which chain it serves: what looks like a reorg may be another chain.
    ///
    /// # Errors
    ///
    /// When it serves another one now, and is in quarantine; or when it does not say.
    pub(crate) async fn confirm_chain(&self, id: EndpointId) -> Result<(), IndexerError> {
        let answer = self.call(Preference::Only(id), "eth_chainId", &Value::Array(Vec::new())).await?;
        let told: Result<String, _> = serde_json::from_str(answer.json.get());
        let reason = match told.map(|told| judge_chain_id(&told, self.chain_id)) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(reason)) => {
                self.quarantine(id, reason.clone());
                reason
            }
            Err(error) => format!("unreadable answer: {error}"),
        };
        let (endpoint, method) = (self.name(id).to_owned(), "eth_chainId".to_owned());
        Err(IndexerError::Unanswered { endpoint, method, attempts: 1, reason })
    }

    /// The host of an endpoint, as a number: what endpoints are counted by where a majority decides.
    pub(crate) fn host(&self, id: EndpointId) -> usize {
        self.hosts.get(id.0).copied().unwrap_or_default()
    }

    /// Who is asked what the heads are: everyone that is up, and now and then who is failing, to see whether it is
    /// back. One that is down must not slow down every look.
    pub(crate) fn voters(&self) -> Vec<EndpointId> {
        let now_ms = self.clock.now_ms();
        let usable = self.usable();
        let due = |health: &mut EndpointHealth| {
            let rested = health.asked_ms.is_none_or(|asked| now_ms.saturating_sub(asked) >= PROBE_EVERY_MS);
            health.state == EndpointState::Up || rested
        };
        let voters: Vec<EndpointId> = usable.iter().copied().filter(|id| self.endpoints[id.0].health(due)).collect();
        if voters.is_empty() { usable } else { voters }
    }

    /// How an endpoint is asked for its vote: patiently, when there is no other.
    pub(crate) fn vote(&self, id: EndpointId) -> Preference {
        if self.usable().len() > 1 { Preference::Once(id) } else { Preference::Only(id) }
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
        let first = self.candidates(Preference::First, 0, "eth_subscribe").ok()?.first().copied()?;
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

    /// By how much a request begins further along the list than the one before it.
    fn turn(&self, prefer: Preference) -> usize {
        if prefer == Preference::Turns { self.turn.fetch_add(1, Ordering::Relaxed) } else { 0 }
    }

    /// Who may be asked, the best first.
    fn candidates(&self, prefer: Preference, turn: usize, method: &str) -> Result<Vec<EndpointId>, IndexerError> {
        let mut usable = self.usable();
        if usable.is_empty() {
            return Err(self.nobody());
        }
        if let Preference::Only(id) | Preference::Once(id) = prefer {
            usable.retain(|usable| *usable == id);
            if usable.is_empty() {
                // Others are left: whoever wanted this one begins again with them.
                let (endpoint, reason) = (self.name(id).to_owned(), "in quarantine".to_owned());
                return Err(IndexerError::Unanswered { endpoint, method: method.to_owned(), attempts: 0, reason });
            }
        }
        let by = turn.checked_rem(usable.len()).unwrap_or_default();
        usable.rotate_left(by);
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

/// How long a vote is waited for.
const VOTE_DEADLINE: std::time::Duration = std::time::Duration::from_secs(5);

/// How often an endpoint that fails is asked for its vote.
const PROBE_EVERY_MS: u64 = 30_000;

/// Which URLs are of one host, whatever the scheme, the port and the path: a number for each host.
///
/// A host that answers on two ports, or under two keys, is one node to the judgement of what is final. Names are not
/// resolved: two providers behind one content network share addresses, and one provider has many.
fn hosts(urls: &[Url]) -> Vec<usize> {
    let mut known: Vec<String> = Vec::new();
    let number = |url: &Url| {
        let host = host(url);
        known.iter().position(|known| *known == host).unwrap_or_else(|| {
            known.push(host);
            known.len().saturating_sub(1)
        })
    };
    urls.iter().map(number).collect()
}

/// The host of a URL, this machine's under one name.
fn host(url: &Url) -> String {
    let this = || Ipv4Addr::LOCALHOST.to_string();
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            if name == "localhost" || name.ends_with(".localhost") { this() } else { name }
        }
        Some(Host::Ipv4(address)) if address.is_unspecified() => this(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => match address.to_ipv4_mapped() {
            Some(address) => address.to_string(),
            None if address.is_loopback() || address.is_unspecified() => this(),
            None => address.to_string(),
        },
        None => String::new(),
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_urls_of_one_host_are_one_host() {
        let numbers = |urls: &[&str]| hosts(&urls.iter().map(|url| url.parse().unwrap()).collect::<Vec<_>>());
        let same = [
            "http://Node.example:8545",
            "ws://node.example:8546",
            "https://user:word@node.example./v1/key",
            "wss://node.example",
        ];
        assert_eq!(numbers(&same), [0, 0, 0, 0]);
        let here = [
            "http://localhost:8545",
            "ws://127.0.0.1:8546",
            "http://[::1]:1",
            "http://[::ffff:127.0.0.1]",
            "http://0.0.0.0:2",
        ];
        assert_eq!(numbers(&here), [0; 5]);
        let apart = ["http://a.example", "http://b.example", "http://127.0.0.2", "http://127.0.0.1", "ws://a.example"];
        assert_eq!(numbers(&apart), [0, 1, 2, 3, 0]);
    }
}
