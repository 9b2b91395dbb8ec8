//! A snapshot: one version of every table, and the heads at which they agree.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One atomic cut of all tables: what `snapshots/<version>.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Ordinal of the publication, from zero.
    pub version: u64,
    /// The snapshot it builds on; `None` for the first.
    pub parent: Option<u64>,
    /// Where it stands.
    pub heads: Heads,
    /// The version of each table that has rows, by name.
    pub tables: BTreeMap<String, TableRef>,
}

/// One version of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRef {
    /// Version of the Delta table.
    pub delta_version: i64,
    /// Rows in it.
    pub rows: u64,
}

/// Where a snapshot stands: the sealed head, what is settled, and the configuration both depend on.
///
/// Whoever publishes starts from the heads of the snapshot it builds on and changes what it owns: the indexer the
/// sealed head, accounting what is settled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heads {
    /// The L2's chain id.
    pub chain_id: u64,
    /// First block indexed.
    pub start_block: u64,
    /// Hash of the mapping set.
    pub mapping_set_hash: B256,
    /// Time at which epoch 0 begins, in seconds since 1970.
    pub epoch_origin: u64,
    /// Seconds in an epoch.
    pub epoch_seconds: u64,
    /// Sealed head: its number.
    pub block_number: u64,
    /// Sealed head: its hash.
    pub block_hash: B256,
    /// Sealed head: its time in seconds since 1970.
    pub block_timestamp: u64,
    /// Log root at the sealed head.
    pub log_root: B256,
    /// How finality is known: asserted, quorum or l1.
    pub finality: String,
    /// How blocks are verified: full, or unverified where the configuration says so.
    pub trust: String,
    /// The node's finalised head; at or after the sealed one.
    pub finalized_number: u64,
    /// Last settled epoch.
    pub settled_epoch: Option<i64>,
    /// Hash of its manifest.
    pub manifest_hash: Option<B256>,
    /// Root of each vault's tree after it.
    pub roots: BTreeMap<Address, B256>,
    /// Digest of the journal after it.
    pub ledger_digest: Option<B256>,
    /// Outcomes that depend on time and luck, and so are inputs (ruling 10).
    pub declared_outcomes: Vec<DeclaredOutcome>,
}

impl Heads {
    /// The epoch that a time belongs to; times before the origin belong to epoch 0, as does everything when an epoch
    /// has no length.
    #[must_use]
    pub fn epoch_of(&self, timestamp: u64) -> i64 {
        let epoch = timestamp.saturating_sub(self.epoch_origin).checked_div(self.epoch_seconds).unwrap_or(0);
        i64::try_from(epoch).unwrap_or(i64::MAX)
    }
}

/// A blob that was declared missing, or found after it had been.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeclaredOutcome {
    /// Block number of the reference.
    pub block_number: u64,
    /// Index of the log of the reference.
    pub log_index: u32,
    /// The reference as the contract gave it, as hex.
    pub reference: String,
    /// missing or found.
    pub outcome: String,
    /// The sealed block at which it was declared.
    pub declared_at: u64,
}
