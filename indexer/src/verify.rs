//! Nothing unverified passes (INV-04): what a node says about a block is checked against the block's hash.
//!
//! ```text
//! header ── RLP, keccak ──▶ hash            the one asked for, or the one its child names as parent
//!   ├── transactions root ◀── trie over every transaction's EIP-2718 bytes, deposits included
//!   ├── receipts root     ◀── trie over every receipt, rebuilt from status, gas and logs
//!   └── bloom             ◀── recomputed from the logs
//! ```
//!
//! Providers drop logs silently, and nothing but the receipts root shows it. What a node says a bloom, a hash or an
//! index is, is never used: it is computed here, and then compared. The parent link is checked by
//! [`follow`](crate::follow), which knows the parent.
//!
//! The configuration can weaken this for a chain ([`Trust::Unverified`](crate::Trust)), for a source that cannot give
//! what the roots need. Then only what following itself needs is checked (number, parent link, a receipt for each
//! transaction), and every block says so, in its row and in every answer above it.
//!
//! The answers are read straight from their text into compact structures: hex goes into one buffer per block that
//! all its logs share.

mod json;
mod origin;
mod receipt;
mod transaction;

use alloy::consensus::Header;
use alloy_primitives::{B256, Bytes};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::fmt;
use tributary_schemas::BlockRef;

use crate::reads::Answers;
use crate::{
    Trust, TxInfo, VerifiedBlock,
    verify::{json::Fixed, receipt::Receipts, transaction::TransactionJson},
};

pub use origin::l1_origin;

/// A header whose fields give its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedHeader {
    /// Number, hash, parent and time.
    pub block: BlockRef,
    /// All fields.
    pub header: Header,
}

/// How an answer differs from what the hash commits to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differs {
    /// The part of the answer that is wrong.
    pub part: Part,
    /// What was expected and what came.
    pub what: String,
    /// Whether a node that is merely not ready yet answers like that.
    pub maybe_early: bool,
}

/// A part of what a node says about a block. The header and the transactions come in one answer, the receipts in
/// another, perhaps from another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The header.
    Header,
    /// The transactions.
    Transactions,
    /// The receipts with their logs.
    Receipts,
}

impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match self.part {
            Part::Header => "header",
            Part::Transactions => "transactions",
            Part::Receipts => "receipts",
        };
        write!(f, "{part}: {}", self.what)
    }
}

impl Differs {
    pub(crate) fn new(part: Part, what: impl Into<String>) -> Self {
        Self { part, what: what.into(), maybe_early: false }
    }

    fn value(part: Part, name: &str, expected: impl fmt::Display, got: impl fmt::Display) -> Self {
        Self::new(part, format!("{name} expected {expected}, got {got}"))
    }
}

/// Reads the header of a block answer and recomputes its hash; from a source that is not verified the hash is the one
/// it claims.
///
/// # Errors
///
/// When it is no header, or its fields do not give the hash it claims and `trust` is [`Trust::Verified`].
pub fn header(block_json: &str, trust: Trust) -> Result<CheckedHeader, Differs> {
    #[derive(Deserialize)]
    struct Claimed {
        hash: Fixed<32>,
    }
    let unreadable = |error: serde_json::Error| Differs::new(Part::Header, format!("unreadable: {error}"));
    let header: Header = serde_json::from_str(block_json).map_err(unreadable)?;
    let claimed: Claimed = serde_json::from_str(block_json).map_err(unreadable)?;
    let hash = B256::from(claimed.hash.0);
    if trust == Trust::Verified {
        let computed = header.hash_slow();
        if hash != computed {
            return Err(Differs::value(Part::Header, "hash of the fields", hash, computed));
        }
    }
    let block = BlockRef { number: header.number, hash, parent_hash: header.parent_hash, timestamp: header.timestamp };
    Ok(CheckedHeader { block, header })
}

/// Reads transactions and receipts of a block whose header was checked, and recomputes both roots and the bloom. From
/// a source that is not verified both are taken as told: all that is asked is that they can be read, that there is a
/// receipt for each transaction, and that each transaction has the hash it claims. Whatever comes of that says so.
///
/// # Errors
///
/// Names the part that differs from what the header commits to.
pub fn block(
    checked: CheckedHeader,
    block_json: &str,
    receipts_json: &str,
    trust: Trust,
) -> Result<VerifiedBlock, Differs> {
    let CheckedHeader { block, header } = checked;
    let raws = transactions(&header, block_json, trust)?;
    let receipts = Receipts::read(receipts_json)?;
    if receipts.len() != raws.len() {
        return Err(Differs {
            maybe_early: receipts.len() < raws.len(),
            ..Differs::value(Part::Receipts, "count", raws.len(), receipts.len())
        });
    }
    if trust == Trust::Verified {
        let (root, bloom) = receipts.root_and_bloom();
        if root != header.receipts_root {
            return Err(Differs::value(Part::Receipts, "root", header.receipts_root, root));
        }
        if bloom != header.logs_bloom {
            return Err(Differs::value(Part::Receipts, "bloom", header.logs_bloom, bloom));
        }
    }
    let success: Vec<bool> = receipts.successes().collect();
    let logs = receipts.into_logs(trust)?;
    let mut transactions = Vec::with_capacity(raws.len());
    for (raw, success) in raws.into_iter().zip(success) {
        let unreadable = || Differs::new(Part::Transactions, "bytes that encode but do not decode");
        transactions.push(TxInfo::decode(raw, success).ok_or_else(unreadable)?);
    }
    let l1_origin = transactions.first().and_then(l1_origin);
    Ok(VerifiedBlock { block, header, l1_origin, transactions, logs, trust, reads: Answers::new() })
}

/// The hashes of a block's transactions as the node says them, for asking about each; [`block`] checks them. None when
/// it says nothing readable, which [`block`] names.
#[must_use]
pub fn transaction_hashes(block_json: &str) -> Vec<B256> {
    #[derive(Deserialize)]
    struct Transaction {
        hash: Fixed<32>,
    }
    #[derive(Deserialize)]
    struct Block {
        transactions: Vec<Transaction>,
    }
    let read: Result<Block, _> = serde_json::from_str(block_json);
    read.map_or_else(|_| Vec::new(), |block| block.transactions.iter().map(|one| B256::from(one.hash.0)).collect())
}

/// The receipts of an array, when there are all and all say that they are of this block: a transaction that a reorg
/// moved has one too, of another block.
#[must_use]
pub fn receipts_in(hash: B256, receipts_json: &str) -> Option<Vec<Box<RawValue>>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Mined {
        block_hash: Fixed<32>,
    }
    let all: Vec<Box<RawValue>> = serde_json::from_str(receipts_json).ok()?;
    let here = |receipt: &RawValue| {
        let mined: Result<Mined, _> = serde_json::from_str(receipt.get());
        mined.is_ok_and(|mined| mined.block_hash.0 == hash.0)
    };
    all.iter().all(|receipt| here(receipt)).then_some(all)
}

/// The EIP-2718 bytes of the transactions, whose trie root is the header's.
fn transactions(header: &Header, block_json: &str, trust: Trust) -> Result<Vec<Bytes>, Differs> {
    #[derive(Deserialize)]
    struct Transactions<'a> {
        #[serde(borrow)]
        transactions: Vec<TransactionJson<'a>>,
    }
    let unreadable = |error: serde_json::Error| Differs::new(Part::Transactions, format!("unreadable: {error}"));
    let body: Transactions<'_> = serde_json::from_str(block_json).map_err(unreadable)?;
    let raws = body.transactions.iter().map(TransactionJson::encode).collect::<Result<Vec<_>, _>>()?;
    if trust == Trust::Verified {
        let root = alloy_trie::root::ordered_trie_root_encoded(&raws);
        if root != header.transactions_root {
            return Err(Differs::value(Part::Transactions, "root", header.transactions_root, root));
        }
    }
    Ok(raws)
}

#[cfg(test)]
mod tests;
