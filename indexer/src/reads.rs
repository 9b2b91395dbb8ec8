//! What rules ask of the state of contracts at the end of a block, and what nodes answer.
//!
//! No header vouches for such an answer: it rests on who gave it. So it is asked for by the block's hash, of every node
//! that can tell, and believed as a final head is believed, when more than half of the hosts say the same; one that has not
//! the state of that block is no part of the count. How many agreed is kept with the answer, a block with answers counts as
//! `unverified`, and the table `state_reads` has all of them, so that others can ask again.
//!
//! Evaluating a rule asks nobody: it finds its answers beside the block ([`VerifiedBlock::reads`](crate::VerifiedBlock)), or
//! names the calls that are not there. Whoever folds the block asks for these and folds it anew: of the table that a ledger
//! by other rules published ([`PublishedReads`]), while it is built beside that one, then of nodes.

mod node;
mod published;

use alloy_primitives::{Address, Bytes};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

pub(crate) use node::Reader;
pub(crate) use published::LookUp;
pub use published::PublishedReads;

/// Gas of one read: below what nodes give a call by default (geth: 50 million), so that all of them give the same.
pub const READ_GAS: u64 = 10_000_000;
/// Most bytes of an answer that is read.
pub const ANSWER_BYTES_MAX: usize = 32 << 10;
/// Most reads of one rule for one log.
pub const READS_MAX: usize = 32;
/// How many reads may stand inside each other: the answer of one is asked something else.
pub const DEPTH_MAX: usize = 2;

/// A call that changes nothing, to ask a contract something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StateCall {
    /// Who is asked.
    pub to: Address,
    /// What: selector and arguments.
    pub data: Bytes,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reply {
    /// These bytes.
    Returned(Bytes),
    /// It reverted, or ended otherwise without an answer. What it said then is not kept: nodes write it in several ways.
    Reverted,
    /// More bytes than are read ([`ANSWER_BYTES_MAX`]).
    Oversize,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What came back.
    pub reply: Reply,
    /// How many hosts said so.
    pub agreeing: u32,
}

/// What was answered of one block.
pub type Answers = BTreeMap<StateCall, Answer>;

impl fmt::Display for StateCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {:#x}", self.data, self.to)
    }
}

impl Reply {
    /// Its word in the tables.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Returned(_) => "returned",
            Self::Reverted => "reverted",
            Self::Oversize => "oversize",
        }
    }

    /// What its word in the tables and what was returned say; `None` for another word.
    #[must_use]
    pub fn of(word: &str, bytes: Bytes) -> Option<Self> {
        let all = [Self::Returned(bytes), Self::Reverted, Self::Oversize];
        all.into_iter().find(|reply| reply.as_str() == word)
    }

    /// What was returned; empty when nothing was.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Returned(bytes) => bytes,
            Self::Reverted | Self::Oversize => &[],
        }
    }
}

/// Calls for a person: the first few.
pub(crate) fn listed<'a>(calls: impl ExactSizeIterator<Item = &'a StateCall>) -> String {
    const SHOWN: usize = 8;
    let more = calls.len().saturating_sub(SHOWN);
    let mut out = calls.take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if more > 0 {
        out.push_str(&format!("; and {more} more"));
    }
    out
}
