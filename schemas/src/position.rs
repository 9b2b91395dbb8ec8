//! Where a fact stands: one total order over everything that happened (INV-03).

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use std::fmt;

/// `(block_number, tx_index, log_index, sub_index)`, ordered in that order.
///
/// `log_index` is block-wide. A fact of a transaction without a log has `log_index` [`NO_LOG`](Self::NO_LOG) at its
/// transaction; a system fact of a block has it in both places (ruling 2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// L2 block number.
    pub block_number: u64,
    /// Index of the transaction in its block.
    pub tx_index: u32,
    /// Index of the log in its block.
    pub log_index: u32,
    /// Ordinal of the fact among those one log yields.
    pub sub_index: u32,
}

impl Position {
    /// Stands for "no log" and "no transaction": after every real index.
    pub const NO_LOG: u32 = u32::MAX;

    /// The first position of a block.
    #[must_use]
    pub const fn block_start(block_number: u64) -> Self {
        Self { block_number, tx_index: 0, log_index: 0, sub_index: 0 }
    }

    /// The position of the `sub_index`-th system fact of a block.
    #[must_use]
    pub const fn system(block_number: u64, sub_index: u32) -> Self {
        Self { block_number, tx_index: Self::NO_LOG, log_index: Self::NO_LOG, sub_index }
    }

    /// Twenty big-endian bytes whose order is the order of positions.
    #[must_use]
    pub fn to_be_bytes(self) -> [u8; 20] {
        let mut out = [0; 20];
        out[..8].copy_from_slice(&self.block_number.to_be_bytes());
        out[8..12].copy_from_slice(&self.tx_index.to_be_bytes());
        out[12..16].copy_from_slice(&self.log_index.to_be_bytes());
        out[16..].copy_from_slice(&self.sub_index.to_be_bytes());
        out
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.block_number, self.tx_index, self.log_index, self.sub_index)
    }
}

/// A block by number and hash, with what links it to its parent and to time: what the follower walks along, what the
/// tail keeps of every block, and what a head is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlockRef {
    /// L2 block number.
    pub number: u64,
    /// Hash of its header.
    pub hash: B256,
    /// Hash of its parent's header.
    pub parent_hash: B256,
    /// Its time, in seconds.
    pub timestamp: u64,
}

impl fmt::Display for BlockRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.number, self.hash)
    }
}
