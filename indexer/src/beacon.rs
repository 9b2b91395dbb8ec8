//! Beacon nodes of L1: the blobs of EIP-4844 transactions, by their versioned hashes.
//!
//! ```text
//! time of the L1 block ─▶ slot ─▶ /eth/v1/beacon/blobs/{slot} ──────────▶ answer ─▶ kzg ─▶ blobs
//!                                 /eth/v1/beacon/blob_sidecars/{slot} ──▶
//! ```
//!
//! 1. `answer`: the shapes of the API, and which slot an L1 block is of;
//! 2. [`kzg`]: the versioned hash of bytes, by their KZG commitment.
//!
//! No node is believed. A blob is what was asked for when the commitment that is made of it here has the hash: neither
//! the order of an answer counts, nor what it says of commitments and proofs (nodes that put blobs together out of
//! columns leave the proofs of the older route zero). Where a node is wrong about its genesis or the length of its
//! slots, other blobs are found or none, and it is asked for these again.
//!
//! The newer route is asked first. It takes the hashes, once each (`versioned_hashes=…&versioned_hashes=…`); a node that
//! reads only one of them is asked again for the others, and one that reads none gives all blobs of the slot. What it
//! lacks is looked for in the older route. Blobs are dropped by the network after 18 days, and a node that keeps few
//! columns gives none (status 400): so any number of nodes are asked in turn.

mod answer;
pub mod kzg;
mod node;
#[cfg(test)]
mod tests;

use alloy_primitives::B256;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use url::Url;

use crate::endpoint::{EndpointHealth, EndpointOptions, Server};
use crate::{Clock, IndexerError};
pub use answer::Slots;
use node::Node;

/// Blobs that are kept in memory, of 128 KiB each: those of L1 blocks that are not final yet are asked for again.
const KEPT_MAX: usize = 96;

/// Beacon nodes, asked in turn.
#[derive(Debug)]
pub struct BeaconNodes {
    nodes: Vec<Node>,
    kept: Mutex<Kept>,
}

/// Blobs that were found, the oldest first.
#[derive(Debug, Default)]
struct Kept {
    blobs: BTreeMap<B256, Arc<[u8]>>,
    order: VecDeque<B256>,
}

impl BeaconNodes {
    /// These nodes, in the order of preference.
    pub fn new(urls: &[Url], clock: &Arc<dyn Clock>) -> Result<Self, IndexerError> {
        let redirects = reqwest::redirect::Policy::none();
        let client = reqwest::Client::builder().connect_timeout(Duration::from_secs(10)).redirect(redirects).build();
        let client = client.map_err(|error| IndexerError::Configuration {
            what: "beacon nodes".to_owned(),
            reason: error.to_string(),
        })?;
        let nodes = Server::all(urls, &client, clock, node::refusal).into_iter().map(Node::new);
        Ok(Self { nodes: nodes.collect(), kept: Mutex::default() })
    }

    /// State and counters of all nodes.
    #[must_use]
    pub fn health(&self) -> Vec<EndpointHealth> {
        self.nodes.iter().map(|node| node.server.health(|health| health.clone())).collect()
    }

    /// The blobs with these versioned hashes, in their order, that were posted in an L1 block of this time (Unix
    /// seconds); each has the commitment that its hash is of. Else what each node said.
    pub async fn blobs(&self, hashes: &[B256], timestamp: u64) -> Result<Vec<Vec<u8>>, String> {
        let mut found = self.kept().of(hashes);
        let mut reasons = Vec::new();
        for node in &self.nodes {
            let missing: BTreeSet<B256> = hashes.iter().filter(|hash| !found.contains_key(*hash)).copied().collect();
            if missing.is_empty() {
                break;
            }
            let (more, reason) = node.find(&missing, timestamp).await;
            self.kept().keep(&more);
            found.extend(more);
            reasons.extend(reason.map(|reason| format!("{}: {reason}", node.server.name)));
        }
        let all: Option<Vec<Vec<u8>>> = hashes.iter().map(|hash| Some(found.get(hash)?.to_vec())).collect();
        all.ok_or_else(
            || {
                if reasons.is_empty() { "no beacon node is configured".to_owned() } else { reasons.join("; ") }
            },
        )
    }

    /// What the node at this place of the configuration says of its slots, or why it does not.
    pub(crate) async fn slots(&self, place: usize, options: &EndpointOptions) -> Result<Slots, String> {
        let node = self.nodes.get(place).ok_or_else(|| format!("there is no beacon node {place}"))?;
        node.ask_slots(options.deadline).await.map_err(|failure| failure.reason().to_owned())
    }

    /// How many blobs the node at this place of the configuration gives for a slot, or why it does not.
    pub(crate) async fn count(&self, place: usize, slot: u64, options: &EndpointOptions) -> Result<usize, String> {
        let node = self.nodes.get(place).ok_or_else(|| format!("there is no beacon node {place}"))?;
        node.count(slot, options.deadline).await
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn of(&self, hashes: &[B256]) -> BTreeMap<B256, Arc<[u8]>> {
        hashes.iter().filter_map(|hash| Some((*hash, Arc::clone(self.blobs.get(hash)?)))).collect()
    }

    fn keep(&mut self, found: &BTreeMap<B256, Arc<[u8]>>) {
        for (hash, blob) in found {
            if self.blobs.insert(*hash, Arc::clone(blob)).is_none() {
                self.order.push_back(*hash);
            }
        }
        while self.order.len() > KEPT_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.blobs.remove(&oldest);
            }
        }
    }
}
