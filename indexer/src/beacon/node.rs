//! One beacon node.

use alloy_primitives::B256;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::answer::{self, Slots};
use super::kzg;
use crate::endpoint::{EndpointHealth, Failure, Server, excerpt};

/// How long one answer may take: a node may have to put the blobs together out of columns.
const DEADLINE: Duration = Duration::from_secs(60);
/// Bytes of an answer with blobs: sixty of them in hex, where a block has twenty-one at most today.
pub(super) const BLOBS_BYTES_MAX: usize = 16 << 20;
/// Bytes of an answer about genesis or the configuration.
const TERMS_BYTES_MAX: usize = 256 << 10;

/// A node, and what it says of its slots.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) server: Server,
    pub(super) slots: Mutex<Option<Slots>>,
}

/// The routes that have blobs, the better one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Blobs,
    Sidecars,
}

/// What came of an answer.
#[derive(Debug, Default)]
struct Judged {
    found: BTreeMap<B256, Arc<[u8]>>,
    /// Blobs that are none of those asked for.
    others: usize,
}

impl Node {
    pub(super) const fn new(server: Server) -> Self {
        Self { server, slots: Mutex::new(None) }
    }

    /// The blobs of these hashes that it has, and why not all of them.
    pub(super) async fn find(
        &self,
        wanted: &BTreeSet<B256>,
        timestamp: u64,
    ) -> (BTreeMap<B256, Arc<[u8]>>, Option<String>) {
        let mut found = BTreeMap::new();
        let mut reasons = Vec::new();
        match self.slot(timestamp).await {
            Ok(slot) => {
                for route in [Route::Blobs, Route::Sidecars] {
                    match self.follow(route, slot, wanted, &mut found).await {
                        Ok(()) => return (found, None),
                        Err(failure) => reasons.push(format!("{route} {slot}: {}", failure.reason())),
                    }
                }
            }
            Err(failure) => reasons.push(failure.reason().to_owned()),
        }
        // Perhaps it was wrong about its slots.
        *self.known() = None;
        (found, Some(reasons.join(", ")))
    }

    /// Asks a route for what is not found yet, as long as it yields something.
    async fn follow(
        &self,
        route: Route,
        slot: u64,
        wanted: &BTreeSet<B256>,
        found: &mut BTreeMap<B256, Arc<[u8]>>,
    ) -> Result<(), Failure> {
        loop {
            let left: BTreeSet<B256> = wanted.iter().filter(|hash| !found.contains_key(*hash)).copied().collect();
            if left.is_empty() {
                return Ok(());
            }
            found.extend(self.server.insist(|| self.ask(route, slot, &left)).await?);
        }
    }

    /// At least one of the blobs that are left.
    async fn ask(&self, route: Route, slot: u64, left: &BTreeSet<B256>) -> Result<BTreeMap<B256, Arc<[u8]>>, Failure> {
        let body = self.server.get(&route.path(slot, left), BLOBS_BYTES_MAX, DEADLINE).await?;
        let wanted = left.clone();
        // A commitment takes tens of milliseconds.
        let judged = tokio::task::spawn_blocking(move || route.judge(&body, &wanted)).await;
        let judged = judged.map_err(|error| Failure::transient(error.to_string()))?.map_err(Failure::transient)?;
        match judged {
            Judged { found, .. } if !found.is_empty() => Ok(found),
            Judged { others: 0, .. } => Err(Failure::Refused("does not have it".to_owned())),
            Judged { others, .. } => {
                self.server.health(EndpointHealth::lied);
                Err(Failure::transient(format!("{others} blobs, and none is what was committed to")))
            }
        }
    }

    async fn slot(&self, timestamp: u64) -> Result<u64, Failure> {
        let known = *self.known();
        let slots = match known {
            Some(slots) => slots,
            None => {
                let told = self.server.insist(|| self.ask_slots(DEADLINE)).await?;
                *self.known() = Some(told);
                told
            }
        };
        let genesis = slots.genesis_time;
        slots.at(timestamp).ok_or_else(|| {
            Failure::Refused(format!("genesis at {genesis}: expected it before the L1 block at {timestamp}"))
        })
    }

    /// What it says of its slots.
    pub(super) async fn ask_slots(&self, deadline: Duration) -> Result<Slots, Failure> {
        let genesis = self.server.get("eth/v1/beacon/genesis", TERMS_BYTES_MAX, deadline).await?;
        let genesis_time = answer::genesis_time(&genesis).map_err(Failure::transient)?;
        let spec = match self.server.get("eth/v1/config/spec", TERMS_BYTES_MAX, deadline).await {
            Ok(spec) => Some(spec),
            Err(Failure::Refused(_)) => None,
            Err(failure) => return Err(failure),
        };
        let slot_ms = answer::slot_ms(spec.as_deref()).map_err(Failure::transient)?;
        Ok(Slots { genesis_time, slot_ms })
    }

    /// How many blobs it gives for a slot, by whichever route.
    pub(super) async fn count(&self, slot: u64, deadline: Duration) -> Result<usize, String> {
        let mut reasons = Vec::new();
        for route in [Route::Blobs, Route::Sidecars] {
            let answer = self.server.get(&route.path(slot, &BTreeSet::new()), BLOBS_BYTES_MAX, deadline).await;
            match answer.map_err(|failure| failure.reason().to_owned()).and_then(|body| route.blobs(&body, |_| true)) {
                Ok(blobs) => return Ok(blobs.len()),
                Err(reason) => reasons.push(format!("{route} {slot}: {reason}")),
            }
        }
        Err(reasons.join(", "))
    }

    fn known(&self) -> MutexGuard<'_, Option<Slots>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Route {
    fn path(self, slot: u64, wanted: &BTreeSet<B256>) -> String {
        match self {
            Self::Blobs => {
                let mut path = format!("eth/v1/beacon/blobs/{slot}");
                for (index, hash) in wanted.iter().enumerate() {
                    path.push_str(&format!("{}versioned_hashes={hash}", if index == 0 { '?' } else { '&' }));
                }
                path
            }
            Self::Sidecars => format!("eth/v1/beacon/blob_sidecars/{slot}"),
        }
    }

    /// The blobs of an answer; where it says what they are committed to by, those whose hash `is_wanted`.
    fn blobs(self, body: &[u8], is_wanted: impl Fn(&B256) -> bool) -> Result<Vec<Vec<u8>>, String> {
        match self {
            Self::Blobs => answer::blobs(body),
            Self::Sidecars => {
                let claimed = answer::sidecars(body)?.into_iter();
                let wanted = claimed.filter(|one| is_wanted(&kzg::hash_of_commitment(&one.commitment)));
                Ok(wanted.map(|one| one.blob).collect())
            }
        }
    }

    /// The blobs of an answer whose hashes are wanted. Those are made here; what a sidecar claims to be committed to by
    /// only says which of them are worth it.
    fn judge(self, body: &[u8], wanted: &BTreeSet<B256>) -> Result<Judged, String> {
        let mut judged = Judged::default();
        for blob in self.blobs(body, |hash| wanted.contains(hash))? {
            if judged.found.len() == wanted.len() {
                break;
            }
            match kzg::versioned_hash(&blob).filter(|hash| wanted.contains(hash)) {
                Some(hash) => drop(judged.found.insert(hash, blob.into())),
                None => judged.others = judged.others.saturating_add(1),
            }
        }
        Ok(judged)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blobs => "blobs of slot",
            Self::Sidecars => "sidecars of slot",
        })
    }
}

/// What an answer other than 200 says. None of them decides anything: whoever else may have the blob is asked.
pub(super) fn refusal(status: u16, after: Option<Duration>, body: &[u8]) -> Failure {
    let reason = || format!("status {status}: {}", excerpt(body));
    match status {
        429 => Failure::Transient { reason: "status 429".to_owned(), after, limited: true },
        408 | 425 => Failure::Transient { reason: reason(), after, limited: false },
        // A node is asked where it is configured: to follow a redirect would be to ask somebody else.
        300..=499 => Failure::Refused(reason()),
        _ => Failure::Transient { reason: reason(), after, limited: false },
    }
}
