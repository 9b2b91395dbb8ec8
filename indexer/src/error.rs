//! What can go wrong between a node and a published snapshot, and what the caller can do about it.
//!
//! Bad *data* of a chain is never here: it is recorded as a refused fact. An error is a node that does not answer or
//! that lies, a store that fails, or a fault of our own.

use alloy_primitives::B256;
use std::collections::BTreeSet;

use crate::reads::{StateCall, listed};

/// What the caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Try again later: nothing was stored, nothing is wrong with what was.
    Retry,
    /// The stored tip is not on the canonical chain any more: go back, then on.
    Unwind,
    /// Stop: a person has to look.
    Halt,
}

/// An error of the indexer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexerError {
    /// A request that was not answered, or not in a form that can be read, after all retries.
    #[error("endpoint {endpoint} did not answer {method} after {attempts} attempts: {reason}")]
    Unanswered {
        /// Name of the endpoint.
        endpoint: String,
        /// The method or route.
        method: String,
        /// How often it was asked.
        attempts: u32,
        /// What happened last.
        reason: String,
    },
    /// An answer that says no: it will say so again.
    #[error("endpoint {endpoint} refuses {method}: {reason}")]
    Refused {
        /// Name of the endpoint.
        endpoint: String,
        /// The method or route.
        method: String,
        /// Code and message.
        reason: String,
    },
    /// An answer that contradicts its own hash (INV-04).
    #[error("endpoint {endpoint} lies about block {number} ({hash}): {lie}")]
    Lie {
        /// Name of the endpoint.
        endpoint: String,
        /// The block.
        number: u64,
        /// Its hash, as asked for.
        hash: B256,
        /// What differs.
        lie: String,
    },
    /// An answer that contradicts a block that is final (INV-11).
    #[error("endpoint {endpoint} contradicts finalised block {number}: expected {expected}, got {got}")]
    ContradictsFinal {
        /// Name of the endpoint.
        endpoint: String,
        /// The block.
        number: u64,
        /// The hash that is final.
        expected: B256,
        /// The hash it says.
        got: B256,
    },
    /// A block that is not there (any more): the chain moved between two questions.
    #[error("block {block} is not known to endpoint {endpoint}")]
    BlockGone {
        /// Name of the endpoint.
        endpoint: String,
        /// Number or hash.
        block: String,
    },
    /// No endpoint is left that may be asked.
    #[error("no usable endpoint of {chain}: {reasons}")]
    NoEndpoint {
        /// The chain or service.
        chain: String,
        /// Each endpoint with the reason why not.
        reasons: String,
    },
    /// A block that does not follow the stored tip.
    #[error("block {number} has parent {got}, expected {expected}")]
    NotTheChild {
        /// The block.
        number: u64,
        /// Hash of the stored tip.
        expected: B256,
        /// Its parent by its header.
        got: B256,
    },
    /// Answers of contracts are not there that rules ask for.
    #[error("block {number} ({hash}): the mapping reads the state of contracts, and these calls are not answered: {}", listed(.calls.iter()))]
    Unread {
        /// The block.
        number: u64,
        /// Its hash.
        hash: B256,
        /// The calls.
        calls: BTreeSet<StateCall>,
    },
    /// What a contract answers could not be had from nodes, or they do not agree.
    #[error(
        "block {number} ({hash}) waits for eth_call {call}, which needs an endpoint with the state of that block: {reason}"
    )]
    Unheard {
        /// The block.
        number: u64,
        /// Its hash.
        hash: B256,
        /// What is asked of whom.
        call: String,
        /// What the endpoints said.
        reason: String,
    },
    /// Following was told to stop.
    #[error("stopped")]
    Stopped,
    /// A configuration that cannot work.
    #[error("configuration of {what}: {reason}")]
    Configuration {
        /// What is configured.
        what: String,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// A record of the log-state that cannot be read back: the state has to be rebuilt.
    #[error("state {key}: {reason}")]
    State {
        /// The key.
        key: String,
        /// What was wrong with the value.
        reason: String,
    },
    /// What is stored contradicts what is being sealed.
    #[error("sealing block {block}: {reason}")]
    Sealing {
        /// The block.
        block: u64,
        /// What differs.
        reason: String,
    },
    /// Reading or writing what is kept.
    #[error("keeping the index")]
    Store(#[from] tributary_store::StoreError),
    /// A fault of our own: a task that ended before it should have.
    #[error("{task} ended: {reason}")]
    Ended {
        /// What ended.
        task: &'static str,
        /// Why, as far as it is known.
        reason: String,
    },
}

impl IndexerError {
    /// What the caller can do about it.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        match self {
            Self::Unheard { .. }
            | Self::Unanswered { .. }
            | Self::BlockGone { .. }
            | Self::Lie { .. }
            | Self::ContradictsFinal { .. } => Remedy::Retry,
            Self::NotTheChild { .. } => Remedy::Unwind,
            Self::Store(error) => match error.remedy() {
                tributary_store::error::Remedy::Retry => Remedy::Retry,
                tributary_store::error::Remedy::Unwind => Remedy::Unwind,
                tributary_store::error::Remedy::Halt => Remedy::Halt,
            },
            Self::Unread { .. }
            | Self::Refused { .. }
            | Self::NoEndpoint { .. }
            | Self::Configuration { .. }
            | Self::State { .. }
            | Self::Sealing { .. }
            | Self::Stopped
            | Self::Ended { .. } => Remedy::Halt,
        }
    }
}
