//! A batch of consecutive blocks, its fields in columns (specs/protocol/delta/span-batches.md).
//!
//! ```text
//! uvarint rel_timestamp      of the first block, since the first block of the L2
//! uvarint l1_origin_num      of the last block
//! 20      parent_check       front of the hash of the first block's parent
//! 20      l1_origin_check    front of the hash of the last block's L1 origin
//! uvarint block_count
//! bits    origin_bits        1: the L1 origin is the one after that of the block before (bit 0: before the span)
//! uvarint block_tx_counts    each
//! txs                        see `transactions`
//! ```
//!
//! A bit list is a big-endian integer in as few bytes as hold it; bit 0 is the lowest.

use super::transactions::Columns;
use super::{Claims, Content, InboxError, Kind, Reader, SPAN_ELEMENTS_MAX, Terms};
use std::borrow::Cow;

/// A span batch, as posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span<'a> {
    /// Seconds between the first block of the L2 and the first of the span.
    pub relative_timestamp: u64,
    /// Number of the L1 origin of the last block.
    pub l1_origin: u64,
    /// First 20 bytes of the hash of the parent of the first block.
    pub parent_check: &'a [u8],
    /// First 20 bytes of the hash of the L1 origin of the last block.
    pub l1_origin_check: &'a [u8],
    /// Transactions of each block, deposits left out.
    pub tx_counts: Vec<u32>,
    /// Bytes after the batch, which derivation does not read.
    pub unread: usize,
    pub(super) origin_bits: Bits<'a>,
    columns: Columns<'a>,
}

impl<'a> Span<'a> {
    /// Reads what follows the type byte. Nothing is allocated for a count that the bytes cannot hold.
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, InboxError> {
        let mut reader = Reader::new(bytes);
        let relative_timestamp = reader.uvarint("the timestamp of a span batch")?;
        let l1_origin = reader.uvarint("the L1 origin of a span batch")?;
        let parent_check = reader.take(20, "the parent check of a span batch")?;
        let l1_origin_check = reader.take(20, "the L1 origin check of a span batch")?;
        let blocks = count(&mut reader, "the block count of a span batch")?;
        if blocks == 0 {
            let (what, got) = ("the block count of a span batch", "0".to_owned());
            return Err(InboxError::Unexpected { what, got, expected: "at least 1" });
        }
        // Each block takes a byte for its transactions' count, so this bounds the list below.
        if blocks > reader.rest().len() {
            let (what, got) = ("the blocks of a span batch", reader.rest().len());
            return Err(InboxError::Truncated { what, expected: blocks, got });
        }
        let origin_bits = Bits::read(&mut reader, blocks, "the origin bits of a span batch")?;
        let mut tx_counts = Vec::with_capacity(blocks);
        let mut txs = 0_u64;
        for _ in 0..blocks {
            let of_block = reader.uvarint("a transaction count of a span batch")?;
            txs = txs.saturating_add(of_block);
            if txs > SPAN_ELEMENTS_MAX {
                let (what, limit) = ("the transaction count of a span batch", SPAN_ELEMENTS_MAX);
                return Err(InboxError::OverLimit { what, got: txs, limit });
            }
            tx_counts.push(u32::try_from(of_block).unwrap_or(u32::MAX));
        }
        let columns = Columns::read(&mut reader, usize::try_from(txs).unwrap_or(usize::MAX))?;
        let unread = reader.rest().len();
        Ok(Self {
            relative_timestamp,
            l1_origin,
            parent_check,
            l1_origin_check,
            tx_counts,
            unread,
            origin_bits,
            columns,
        })
    }

    /// How many transactions it has, deposits left out.
    #[must_use]
    pub const fn transactions(&self) -> usize {
        self.columns.len()
    }

    /// The signed bytes of each transaction (EIP-2718), rebuilt for a chain.
    pub fn encoded(&self, chain_id: u64) -> impl Iterator<Item = Result<Vec<u8>, InboxError>> + '_ {
        self.columns.encoded(chain_id)
    }

    pub(super) fn resolve(&self, terms: &Terms) -> Result<Claims<'_>, InboxError> {
        let steps = (1..self.tx_counts.len()).filter(|index| self.origin_bits.get(*index)).count() as u64;
        let l1_origin = self.l1_origin.checked_sub(steps).ok_or_else(|| InboxError::Unexpected {
            what: "the L1 origin of a span batch",
            got: format!("{} with {steps} changes before it", self.l1_origin),
            expected: "at least as many as its changes",
        })?;
        let first_timestamp = self.relative_timestamp.checked_add(terms.genesis_time.unwrap_or(0));
        let duration = terms.block_time.checked_mul(self.tx_counts.len() as u64);
        let first_timestamp = first_timestamp
            .filter(|first| duration.and_then(|duration| first.checked_add(duration)).is_some())
            .ok_or_else(|| InboxError::Unexpected {
                what: "the timestamp of a span batch",
                got: self.relative_timestamp.to_string(),
                expected: "one that fits into 64 bits",
            })?;
        let hashes = terms.chain_id.map(|chain_id| self.columns.hashes(chain_id)).transpose()?;
        Ok(Claims {
            kind: Kind::Span,
            parent_check: Cow::Borrowed(self.parent_check),
            l1_origin_check: Cow::Borrowed(self.l1_origin_check),
            relative: terms.genesis_time.is_none(),
            first_timestamp,
            block_time: terms.block_time,
            l1_origin,
            content: Content::Many { span: self, hashes },
        })
    }
}

/// A count of a span batch.
fn count(reader: &mut Reader<'_>, what: &'static str) -> Result<usize, InboxError> {
    let got = reader.uvarint(what)?;
    if got > SPAN_ELEMENTS_MAX {
        return Err(InboxError::OverLimit { what, got, limit: SPAN_ELEMENTS_MAX });
    }
    Ok(usize::try_from(got).unwrap_or(usize::MAX))
}

/// A list of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bits<'a>(&'a [u8]);

impl<'a> Bits<'a> {
    /// So many bits; set bits beyond them are refused.
    pub(super) fn read(reader: &mut Reader<'a>, len: usize, what: &'static str) -> Result<Self, InboxError> {
        let bytes = reader.take(len.div_ceil(8), what)?;
        if let (Some(first), 1..=7) = (bytes.first(), len % 8)
            && first >> (len % 8) != 0
        {
            let got = format!("{first:#04x} in front");
            return Err(InboxError::Unexpected { what, got, expected: "no bits beyond the count" });
        }
        Ok(Self(bytes))
    }

    /// A bit; false beyond the list.
    pub(super) fn get(self, index: usize) -> bool {
        let byte = self.0.len().checked_sub(1 + index / 8).map_or(0, |at| self.0[at]);
        byte >> (index % 8) & 1 == 1
    }
}
