//! DA anchoring: which L1 posting, and so which EigenDA blob, carries each L2 block.
//!
//! ```text
//! L1 nodes ─▶ follow ─▶ l1 ─▶ reader ─▶ fold ◀── L2 blocks, as the pipeline wrote them down
//!                              │ payloads  │
//!              EigenDA, beacon ┘           ├─▶ record ─▶ exchange ─▶ (the sealer's next publication)
//!                                          └─▶ status
//! ```
//!
//! 1. [`l1`]: an L1 block, verified like any other, reduced to what it says to the inbox and about the batcher;
//! 2. [`source`]: whoever has the payloads behind alt-DA commitments and the blobs of blob transactions;
//! 3. [`fold`]: frames, channels, claims, and which final L2 block is the one claimed: pure, and the same whatever the
//!    order in which the two chains were read;
//! 4. [`record`]: rows of the table `anchors`;
//! 5. [`exchange`]: rows on their way into a publication, and the status;
//! 6. [`service`]: all of it as a task of its own.
//!
//! It runs beside the pipeline. Where it is [required](AnchorOptions::required), a final block is sealed only once a
//! posting carries it, so that money rests on what is on L1 and not on what an L2 node calls final; a block with
//! deposits only may also be carried by nothing, as derivation makes such blocks of a window without a batch. Where it
//! is not, nothing waits for it, and when it fails it says so and nothing else stops.
//!
//! **Reorgs of L1 need no undo.** What is durable is the fold over L1-final blocks only. The blocks above are a list in
//! memory, and what they come to is the final fold, copied, over that list: whenever L1 changes its mind the copy is
//! thrown away.
//!
//! **Rows are published once.** The fold is a function of final L1 blocks and final L2 blocks. A publication carries
//! rows and, in the snapshot's heads, which L2 blocks they and all rows before them are about; the fold's state is
//! written to the tail after it. A crash in between leaves the older state, which comes to the same rows again: those
//! whose block the snapshot already names are left out.

pub mod exchange;
pub mod fold;
pub mod l1;
mod l2;
mod reader;
pub mod record;
mod seen;
pub mod service;
pub mod source;
#[cfg(test)]
mod tests;

use alloy_primitives::Address;
use std::time::Duration;
use url::Url;

use crate::inbox::batch::Terms;
use crate::inbox::channel::Fork;

pub use exchange::{Carried, Exchange, Increment};
pub use service::Service;
pub use source::{Found, PayloadSource, Payloads, Unfound};

/// What anchoring is told.
#[derive(Debug, Clone)]
pub struct AnchorOptions {
    /// L1 nodes, http or ws.
    pub l1: Vec<Url>,
    /// The L1's chain id.
    pub l1_chain_id: u64,
    /// Beacon nodes of the L1, which have the blobs of blob transactions; none to leave those unread.
    pub beacon: Vec<Url>,
    /// Where batches are posted, and how they are read.
    pub rollup: Rollup,
    /// The first L1 block to read; none for the L1 origin of the first L2 block, before which nothing can carry it.
    pub start_block: Option<u64>,
    /// The first L2 block that is followed.
    pub l2_start_block: u64,
    /// Between two looks at an L1 node that announces nothing.
    pub poll_interval: Duration,
    /// Whether a final L2 block is sealed only once a posting carries it (ruling 27).
    pub required: bool,
}

/// How an inbox is read: what the rollup's configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollup {
    /// The address batches are sent to.
    pub inbox: Address,
    /// The batcher at the first L1 block that is read.
    pub batcher: Address,
    /// The `SystemConfig` contract on L1, whose `ConfigUpdate` events of type 0 change the batcher; none when it never
    /// changes.
    pub system_config: Option<Address>,
    /// L1 blocks after its L1 origin in which a batch of an L2 block counts (`seq_window_size`).
    pub sequencing_window: u64,
    /// When the rules changed.
    pub forks: Forks,
    /// What span batches leave out.
    pub terms: Terms,
}

/// L1 times, in seconds, from which the rules of a fork hold; 0 for always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forks {
    /// Fjord.
    pub fjord: u64,
    /// Granite.
    pub granite: u64,
    /// Holocene.
    pub holocene: u64,
}

impl Forks {
    /// The fork in force at a time.
    #[must_use]
    pub const fn at(&self, timestamp: u64) -> Fork {
        if timestamp >= self.holocene {
            Fork::Holocene
        } else if timestamp >= self.granite {
            Fork::Granite
        } else if timestamp >= self.fjord {
            Fork::Fjord
        } else {
            Fork::Bedrock
        }
    }
}
