//! What passes from following to folding: verified blocks, the steps along the chain, and whoever takes them.

use alloy::consensus::{Header, Transaction as _, TxEnvelope, transaction::SignerRecoverable as _};
use alloy::eips::eip2718::Decodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, U256};
use async_trait::async_trait;
use op_alloy_consensus::OpTxEnvelope;
use serde::{Deserialize, Serialize};
use std::ops::Deref;
use tributary_schemas::BlockRef;

use crate::IndexerError;
use crate::reads::Answers;

/// A block whose header, transactions and logs were checked against its hash, and its hash against the chain
/// (INV-04). Only [`verify`](crate::verify) makes them outside of tests; those that [`fixture`](crate::decode::fixture) makes
/// of a file to try rules on are decoded and go nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBlock {
    /// Number, hash, parent and time.
    pub block: BlockRef,
    /// The whole header.
    pub header: Header,
    /// The L1 block the sequencer had seen, from the L1-attributes deposit; `None` on a chain that has none.
    pub l1_origin: Option<L1Origin>,
    /// The transactions, in order.
    pub transactions: Vec<TxInfo>,
    /// The logs of all transactions, in order; `log_index` runs from zero without gaps.
    pub logs: Vec<VerifiedLog>,
    /// What the checks rested on.
    pub trust: Trust,
    /// What nodes answered of the state at its end. No hash vouches for that.
    pub reads: Answers,
}

/// What the checks of a block rested on, and what is demanded of a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Header hash, parent link, transactions root, receipts root and bloom all match.
    #[default]
    Verified,
    /// The configuration says that the source is to be believed: of these only the parent link was checked.
    Unverified,
}

/// The L1 block an L2 block was made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct L1Origin {
    /// L1 block number.
    pub number: u64,
    /// L1 block hash.
    pub hash: B256,
    /// L1 block time.
    pub timestamp: u64,
    /// How many L2 blocks of the same origin came before.
    pub sequence: u64,
}

/// EIP-2718 type of transactions with blobs (EIP-4844), which only an L1 has.
const BLOB_TYPE: u8 = 3;

/// A transaction of a verified block: its bytes are committed to by the transactions root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxInfo {
    /// Hash of the bytes.
    pub hash: B256,
    /// EIP-2718 type; 0x7e for a deposit.
    pub kind: u8,
    /// Who it called; `None` when it created a contract.
    pub to: Option<Address>,
    /// Wei it carried.
    pub value: U256,
    /// Its calldata.
    pub input: Bytes,
    /// Whether it succeeded, by its receipt.
    pub success: bool,
    /// The bytes (EIP-2718).
    pub raw: Bytes,
}

impl VerifiedBlock {
    /// About how many bytes of memory it takes: what a queue is bounded by.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let transactions = self.transactions.iter().map(|tx| size_of::<TxInfo>() + tx.raw.len() + tx.input.len());
        let logs = self.logs.iter().map(|log| size_of::<VerifiedLog>() + log.data.len());
        size_of::<Self>() + transactions.sum::<usize>() + logs.sum::<usize>()
    }
}

impl TxInfo {
    /// The sender: written in a deposit, recovered from the signature elsewhere. What a node *says* the sender is
    /// proves nothing, so it is not kept; recovery costs some 100 µs, so it is done by whoever asks.
    #[must_use]
    pub fn sender(&self) -> Option<Address> {
        if self.kind == BLOB_TYPE {
            return TxEnvelope::decode_2718(&mut self.raw.as_ref()).ok()?.recover_signer().ok();
        }
        let envelope = OpTxEnvelope::decode_2718(&mut self.raw.as_ref()).ok()?;
        match envelope {
            OpTxEnvelope::Deposit(deposit) => Some(deposit.inner().from),
            OpTxEnvelope::Legacy(signed) => signed.recover_signer().ok(),
            OpTxEnvelope::Eip2930(signed) => signed.recover_signer().ok(),
            OpTxEnvelope::Eip1559(signed) => signed.recover_signer().ok(),
            OpTxEnvelope::Eip7702(signed) => signed.recover_signer().ok(),
            OpTxEnvelope::PostExec(_) => None,
        }
    }

    /// Reads a transaction from its bytes; `None` when they are none of a type known here.
    #[must_use]
    pub fn decode(raw: Bytes, success: bool) -> Option<Self> {
        if raw.first() == Some(&BLOB_TYPE) {
            // No L2 has these, so the L2's envelope does not know them.
            let envelope = TxEnvelope::decode_2718_exact(raw.as_ref()).ok()?;
            let (to, value, input) = (envelope.to(), envelope.value(), envelope.input().clone());
            return Some(Self {
                hash: alloy_primitives::keccak256(&raw),
                kind: BLOB_TYPE,
                to,
                value,
                input,
                success,
                raw,
            });
        }
        let envelope = OpTxEnvelope::decode_2718_exact(raw.as_ref()).ok()?;
        Some(Self {
            hash: alloy_primitives::keccak256(&raw),
            kind: envelope.tx_type() as u8,
            to: envelope.to(),
            value: envelope.value(),
            input: envelope.input().clone(),
            success,
            raw,
        })
    }
}

/// A log of a verified block: committed to by the receipts root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedLog {
    /// Index of its transaction in the block.
    pub tx_index: u32,
    /// Index in the block.
    pub log_index: u32,
    /// The contract that emitted it.
    pub address: Address,
    /// Zero to four topics.
    pub topics: Topics,
    /// Its data; all logs of a block share one buffer.
    pub data: Bytes,
}

/// The topics of a log, held in place: a block has thousands of logs, and none needs an allocation for these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Topics {
    count: u8,
    topics: [B256; 4],
}

impl Topics {
    /// The topics of a slice; `None` when there are more than four.
    #[must_use]
    pub fn new(topics: &[B256]) -> Option<Self> {
        let mut all = Self::default();
        topics.iter().try_for_each(|topic| all.push(*topic)).map(|()| all)
    }

    /// Adds a topic; `None` when there are four already.
    #[must_use]
    pub fn push(&mut self, topic: B256) -> Option<()> {
        *self.topics.get_mut(usize::from(self.count))? = topic;
        self.count = self.count.checked_add(1)?;
        Some(())
    }
}

impl Deref for Topics {
    type Target = [B256];

    fn deref(&self) -> &[B256] {
        &self.topics[..usize::from(self.count)]
    }
}

/// The heads of the chain, as far as they are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heads {
    /// The newest block.
    pub latest: BlockRef,
    /// The newest block derived from L1, when the node tells.
    pub safe: Option<BlockRef>,
    /// The newest block that cannot be undone, when the node tells. It never goes back.
    pub finalized: Option<BlockRef>,
    /// What the finalised head rests on.
    pub finality: Finality,
}

/// What a finalised head rests on: hashes prove consistency, not consensus (ruling 27).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finality {
    /// One endpoint says so.
    #[default]
    Asserted,
    /// More than half of several endpoints agree on number and hash.
    Quorum,
}

impl Finality {
    /// Its word in snapshots and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asserted => "asserted",
            Self::Quorum => "quorum",
        }
    }
}

/// Who takes the steps: the pipeline, and in tests a plain list.
#[async_trait]
pub trait Sink: Send {
    /// Takes blocks that follow the last one. When this returns `Ok` they are durable.
    async fn ingest(&mut self, blocks: Vec<VerifiedBlock>) -> Result<(), IndexerError>;

    /// Undoes every block above `to`.
    async fn unwind(&mut self, to: BlockRef) -> Result<(), IndexerError>;

    /// The heads moved. They may lie above the last ingested block.
    async fn heads(&mut self, heads: Heads) -> Result<(), IndexerError>;

    /// The chain up to this block, which was ingested, is final.
    async fn finalized(&mut self, block: BlockRef) -> Result<(), IndexerError>;
}

/// The chain as it is stored: what following compares the node's answers with.
pub trait Chain: Send + Sync {
    /// The last ingested block.
    fn head(&self) -> Result<Option<BlockRef>, IndexerError>;

    /// An ingested block that was not dropped yet; at least every unsealed one, and the sealed head itself.
    fn block(&self, number: u64) -> Result<Option<BlockRef>, IndexerError>;

    /// The last sealed block: nothing at or below it is ever unwound (INV-11).
    fn sealed(&self) -> Result<Option<BlockRef>, IndexerError>;
}
