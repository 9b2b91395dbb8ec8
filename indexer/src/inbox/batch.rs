//! What a channel holds: batches, each the contents of one L2 block (singular) or of a run of them (span).
//!
//! A decompressed channel is a sequence of RLP strings; the first byte of each says what follows:
//!
//! ```text
//! 00 │ rlp[parent hash, L1 origin number, L1 origin hash, timestamp, [transactions]]
//! 01 │ span batch, see `span`
//! ```
//!
//! Derivation stops at the first batch that does not decode and uses those before it. Nothing here judges whether
//! a batch is *valid*: the L2 chain already says which blocks came to be (see [`anchor`](super::anchor)).
//!
//! Batches borrow the decompressed bytes and give blocks and transaction hashes one at a time, so what they take of
//! memory is bounded by what was decompressed.

mod singular;
mod span;
mod transactions;

use super::InboxError;
use super::reader::Reader;
use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

pub use singular::Singular;
pub use span::Span;

/// Most blocks, and most transactions, of a span batch (`MaxSpanBatchElementCount` in op-node).
pub const SPAN_ELEMENTS_MAX: u64 = 10_000_000;

/// What a span batch leaves out because the chain's configuration says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Chain id of the L2. Without it the transactions of a span batch have no hashes.
    pub chain_id: Option<u64>,
    /// Time of the L2's first block, in seconds. Without it timestamps of a span batch count from there.
    pub genesis_time: Option<u64>,
    /// Seconds between L2 blocks.
    pub block_time: u64,
}

/// The batches of a channel and how far they go.
#[derive(Debug)]
pub struct Contents<'a> {
    /// The batches, each with its place in the decompressed bytes.
    pub batches: Vec<(Range<usize>, Batch<'a>)>,
    /// The first batch that does not decode, with its place; what follows it is not read. `None` when the bytes
    /// end with a batch.
    pub broken: Option<(usize, InboxError)>,
}

/// The batches of a decompressed channel.
#[must_use]
pub fn split(bytes: &[u8]) -> Contents<'_> {
    let mut reader = Reader::new(bytes);
    let mut contents = Contents { batches: Vec::new(), broken: None };
    while !reader.rest().is_empty() {
        let start = bytes.len() - reader.rest().len();
        let batch = reader.rlp(false, "a batch").and_then(|item| Batch::decode(item.content));
        match batch {
            Ok(batch) => contents.batches.push((start..bytes.len() - reader.rest().len(), batch)),
            Err(error) => {
                contents.broken = Some((start, error));
                break;
            }
        }
    }
    contents
}

/// A batch as it was posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Batch<'a> {
    /// One block.
    Singular(Singular<'a>),
    /// Consecutive blocks.
    Span(Box<Span<'a>>),
}

/// The two kinds of batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// One block.
    Singular,
    /// Consecutive blocks.
    Span,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Singular => "singular",
            Self::Span => "span",
        })
    }
}

impl<'a> Batch<'a> {
    /// Reads a batch from its type byte on.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, InboxError> {
        match bytes {
            [0, rest @ ..] => Singular::decode(rest).map(Self::Singular),
            [1, rest @ ..] => Span::decode(rest).map(|span| Self::Span(Box::new(span))),
            [other, ..] => {
                let got = format!("{other:#04x}");
                Err(InboxError::Unexpected { what: "the type of a batch", got, expected: "0x00 or 0x01" })
            }
            [] => Err(InboxError::Truncated { what: "the type of a batch", expected: 1, got: 0 }),
        }
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Singular(_) => Kind::Singular,
            Self::Span(_) => Kind::Span,
        }
    }

    /// The blocks it claims, in full. Fails as a whole when one transaction of a span batch cannot be rebuilt, as
    /// derivation does.
    pub fn resolve(&self, terms: &Terms) -> Result<Claims<'_>, InboxError> {
        match self {
            Self::Singular(singular) => Ok(singular.resolve()),
            Self::Span(span) => span.resolve(terms),
        }
    }
}

/// What a batch claims about the L2.
#[derive(Debug, Clone)]
pub struct Claims<'a> {
    /// What the batch is.
    pub kind: Kind,
    /// Leading bytes of the hash of the parent of its first block: 32 in a singular batch, 20 in a span.
    pub parent_check: Cow<'a, [u8]>,
    /// Leading bytes of the hash of the L1 origin of its last block, likewise.
    pub l1_origin_check: Cow<'a, [u8]>,
    /// Whether timestamps count from the first L2 block, for want of its time.
    pub relative: bool,
    first_timestamp: u64,
    block_time: u64,
    l1_origin: u64,
    content: Content<'a>,
}

#[derive(Debug, Clone)]
enum Content<'a> {
    One(Transactions<'a>),
    Many { span: &'a Span<'a>, hashes: Option<Vec<B256>> },
}

/// A block as a batch claims it.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'c> {
    /// Its timestamp, in seconds.
    pub timestamp: u64,
    /// Number of its L1 origin.
    pub l1_origin: u64,
    /// Its transactions, deposits left out.
    pub transactions: Transactions<'c>,
}

/// The transactions of a claimed block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transactions<'c> {
    /// RLP strings with the bytes of each, as many as said.
    Encoded {
        /// The strings, checked.
        rlp: &'c [u8],
        /// How many.
        count: usize,
    },
    /// Rebuilt, by their hashes.
    Hashes(&'c [B256]),
    /// So many, of an unknown chain.
    Unknown(usize),
}

impl Transactions<'_> {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Encoded { count, .. } | Self::Unknown(count) => *count,
            Self::Hashes(hashes) => hashes.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Their hashes in order; `None` when they cannot be known.
    #[must_use]
    pub fn hashes(&self) -> Option<Box<dyn Iterator<Item = B256> + '_>> {
        match self {
            Self::Encoded { rlp, .. } => Some(Box::new(singular::hashes(rlp))),
            Self::Hashes(hashes) => Some(Box::new(hashes.iter().copied())),
            Self::Unknown(0) => Some(Box::new(std::iter::empty())),
            Self::Unknown(_) => None,
        }
    }
}

impl Claims<'_> {
    /// How many blocks.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.content {
            Content::One(_) => 1,
            Content::Many { span, .. } => span.tx_counts.len(),
        }
    }

    /// Never: a batch has a block.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Timestamp of the first block.
    #[must_use]
    pub const fn first_timestamp(&self) -> u64 {
        self.first_timestamp
    }

    /// The blocks, oldest first.
    pub fn blocks(&self) -> impl Iterator<Item = Claim<'_>> {
        let (mut timestamp, mut l1_origin, mut tx) = (self.first_timestamp, self.l1_origin, 0);
        (0..self.len()).map(move |index| {
            let transactions = match &self.content {
                Content::One(transactions) => *transactions,
                Content::Many { span, hashes } => {
                    let count = span.tx_counts[index] as usize;
                    l1_origin += u64::from(index > 0 && span.origin_bits.get(index));
                    let of_block = tx..tx + count;
                    tx = of_block.end;
                    hashes.as_ref().map_or(Transactions::Unknown(count), |all| Transactions::Hashes(&all[of_block]))
                }
            };
            let claim = Claim { timestamp, l1_origin, transactions };
            // `resolve` made sure that the last one fits.
            timestamp = timestamp.saturating_add(self.block_time);
            claim
        })
    }
}

#[cfg(test)]
mod tests;
