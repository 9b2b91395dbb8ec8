//! A batch of one block.

use super::{Claims, Content, InboxError, Kind, Reader, Transactions};
use alloy_primitives::{B256, keccak256};
use alloy_rlp::Decodable as _;
use std::borrow::Cow;

/// A batch of one block, as posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Singular<'a> {
    /// Hash of the block's parent.
    pub parent_hash: B256,
    /// Number of its L1 origin.
    pub l1_origin: u64,
    /// Hash of its L1 origin.
    pub l1_origin_hash: B256,
    /// Its timestamp, in seconds.
    pub timestamp: u64,
    /// Its transactions, deposits left out: RLP strings.
    transactions: Transactions<'a>,
}

impl<'a> Singular<'a> {
    /// Reads what follows the type byte.
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, InboxError> {
        let mut reader = Reader::new(bytes);
        let list = reader.rlp(true, "a singular batch")?;
        expect_end(reader, "a singular batch")?;
        let mut fields = list.content;
        let parent_hash = B256::decode(&mut fields).map_err(InboxError::rlp("the parent hash of a batch"))?;
        let l1_origin = u64::decode(&mut fields).map_err(InboxError::rlp("the L1 origin of a batch"))?;
        let l1_origin_hash = B256::decode(&mut fields).map_err(InboxError::rlp("the L1 origin hash of a batch"))?;
        let timestamp = u64::decode(&mut fields).map_err(InboxError::rlp("the timestamp of a batch"))?;
        let mut reader = Reader::new(fields);
        let rlp = reader.rlp(true, "the transactions of a batch")?.content;
        expect_end(reader, "a singular batch")?;
        let mut each = Reader::new(rlp);
        let mut count = 0;
        while !each.rest().is_empty() {
            each.rlp(false, "a transaction of a batch")?;
            count += 1;
        }
        let transactions = Transactions::Encoded { rlp, count };
        Ok(Self { parent_hash, l1_origin, l1_origin_hash, timestamp, transactions })
    }

    /// Its transactions.
    #[must_use]
    pub const fn transactions(&self) -> Transactions<'a> {
        self.transactions
    }

    pub(super) fn resolve(&self) -> Claims<'a> {
        Claims {
            kind: Kind::Singular,
            parent_check: Cow::Owned(self.parent_hash.to_vec()),
            l1_origin_check: Cow::Owned(self.l1_origin_hash.to_vec()),
            relative: false,
            first_timestamp: self.timestamp,
            block_time: 0,
            l1_origin: self.l1_origin,
            content: Content::One(self.transactions),
        }
    }
}

/// Hashes of the bytes in RLP strings that were checked.
pub(super) fn hashes(rlp: &[u8]) -> impl Iterator<Item = B256> + '_ {
    let mut reader = Reader::new(rlp);
    std::iter::from_fn(move || {
        (!reader.rest().is_empty()).then(|| reader.rlp(false, "a transaction of a batch").ok())?
    })
    .map(|item| keccak256(item.content))
}

fn expect_end(reader: Reader<'_>, what: &'static str) -> Result<(), InboxError> {
    if reader.rest().is_empty() {
        return Ok(());
    }
    Err(InboxError::Rlp { what, source: alloy_rlp::Error::UnexpectedLength })
}
