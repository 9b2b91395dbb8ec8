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
    /// How far the table `anchors` goes; none where no L1 is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchors: Option<Anchors>,
}

/// How far the table `anchors` goes: all of it is final on both chains.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchors {
    /// The L1 block up to which postings were read: its number.
    pub l1_number: u64,
    /// Its hash.
    pub l1_hash: B256,
    /// The newest L2 block that a posting carries.
    pub newest: Option<u64>,
    /// L2 blocks that a posting carries.
    pub anchored: u64,
    /// L2 blocks that nothing carries.
    pub not_anchored: u64,
    /// L2 blocks that perhaps something carries which could not be read.
    pub unknown: u64,
    /// The L2 blocks that the table has rows of.
    pub resolved: BlockRanges,
    /// Those of them that have transactions and that nothing carries: the L2 that was followed is not the one on L1.
    #[serde(default, skip_serializing_if = "BlockRanges::is_empty")]
    pub contradicted: BlockRanges,
    /// Those of them that perhaps something carries which could not be read.
    #[serde(default, skip_serializing_if = "BlockRanges::is_empty")]
    pub unread: BlockRanges,
}

/// Numbers of blocks, as ranges: first and last, ascending, none touching another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockRanges(Vec<(u64, u64)>);

impl BlockRanges {
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first range.
    #[must_use]
    pub fn first(&self) -> Option<(u64, u64)> {
        self.0.first().copied()
    }

    /// Whether a block is among them.
    #[must_use]
    pub fn holds(&self, block: u64) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= block);
        let range = after.checked_sub(1).and_then(|at| self.0.get(at));
        range.is_some_and(|(_, last)| block <= *last)
    }

    /// Adds a block; says whether it was not there.
    pub fn add(&mut self, block: u64) -> bool {
        if self.holds(block) {
            return false;
        }
        let at = self.0.partition_point(|(first, _)| *first <= block);
        let before = at.checked_sub(1).filter(|before| self.0[*before].1.checked_add(1) == Some(block));
        let after = self.0.get(at).filter(|(first, _)| block.checked_add(1) == Some(*first)).copied();
        match (before, after) {
            (Some(before), Some((_, last))) => {
                self.0[before].1 = last;
                self.0.remove(at);
            }
            (Some(before), None) => self.0[before].1 = block,
            (None, Some(_)) => self.0[at].0 = block,
            (None, None) => self.0.insert(at, (block, block)),
        }
        true
    }
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
    /// Of a missing one, the block at which its deadline passed; of one that was found, the block whose fact that is.
    pub declared_at: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ranges_hold_what_was_added_and_touch_nowhere() {
        // A walk through all residues: 37 and 101 share no factor.
        let (mut ranges, mut set) = (BlockRanges::default(), BTreeSet::new());
        for step in 0..80_u64 {
            let block = step * 37 % 101;
            assert_eq!(ranges.add(block), set.insert(block));
            assert!(!ranges.add(block));
            assert!((0..101).all(|block| ranges.holds(block) == set.contains(&block)));
            assert!(ranges.0.iter().all(|(first, last)| first <= last));
            assert!(ranges.0.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
        }
    }
}
