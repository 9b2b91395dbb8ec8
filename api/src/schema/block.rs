//! `block`: a sealed block, and what on L1 carries it.

use async_graphql::{ComplexObject, SimpleObject};
use tributary_schemas::facts::{AnchorRow, BlockRow};

use crate::error::Refusal;
use crate::scalar::{AddressText, BlockNumber, Bytes32, DateTime};
use crate::view::View;

/// A sealed block.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Block {
    #[graphql(skip)]
    view: View,
    /// Its number.
    pub(crate) number: BlockNumber,
    /// Its hash.
    pub(crate) hash: Option<Bytes32>,
    /// Hash of the block before.
    pub(crate) parent_hash: Option<Bytes32>,
    /// Its time.
    pub(crate) timestamp: DateTime,
    /// Its epoch.
    pub(crate) epoch: i64,
    /// Number of its L1 origin.
    pub(crate) l1_origin: Option<BlockNumber>,
    /// Transactions in it.
    pub(crate) transactions: i32,
    /// Logs in it.
    pub(crate) logs: i32,
    /// Events in it, refused ones included.
    pub(crate) events: i32,
    /// How its finality is known.
    pub(crate) finality: String,
    /// How it was verified.
    pub(crate) trust: String,
    /// Log root at it.
    pub(crate) log_root: Option<Bytes32>,
}

impl Block {
    /// As the table has it.
    pub(crate) fn of(view: View, row: BlockRow) -> Self {
        Self {
            view,
            number: BlockNumber(row.number),
            hash: Bytes32::read(&row.hash),
            parent_hash: Bytes32::read(&row.parent_hash),
            timestamp: DateTime(row.timestamp),
            epoch: row.epoch,
            l1_origin: row.l1_origin_number.map(BlockNumber),
            transactions: row.tx_count,
            logs: row.log_count,
            events: row.event_count,
            finality: row.finality,
            trust: row.trust,
            log_root: Bytes32::read(&row.log_root),
        }
    }
}

#[ComplexObject]
impl Block {
    /// Which posting on L1, and so which EigenDA blob, carries it.
    async fn anchor(&self) -> Result<BlockAnchor, Refusal> {
        self.view.anchor(self.number.0).await
    }
}

/// What carries a block.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct BlockAnchor {
    /// anchored; `not_anchored`: its sequencing window passed and nothing carries it; unknown: likewise, but something in
    /// the window could not be read; pending: not decided yet; off: no L1 is followed.
    pub(crate) state: String,
    /// The postings that carry it, in L1 order.
    pub(crate) postings: Vec<Posting>,
}

/// A posting on L1.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Posting {
    /// Its L1 block.
    pub(crate) l1_block: BlockNumber,
    /// Hash of that.
    pub(crate) l1_hash: Option<Bytes32>,
    /// Its L1 transaction.
    pub(crate) l1_tx: Option<Bytes32>,
    /// calldata, blob, keccak or eigenda.
    pub(crate) form: Option<String>,
    /// Versioned hash of its EIP-4844 blob.
    pub(crate) versioned_hash: Option<Bytes32>,
    /// Place of that among the blobs of the transaction, from 0.
    pub(crate) blob_index: Option<i64>,
    /// keccak256 of its alt-DA commitment.
    pub(crate) commitment_hash: Option<Bytes32>,
    /// Blob key of its EigenDA certificate.
    pub(crate) blob_key: Option<Bytes32>,
    /// The account that dispersed the EigenDA blob.
    pub(crate) dispersed_by: Option<AddressText>,
    /// What was verified of the certificate.
    pub(crate) level: Option<String>,
    /// What was verified of the payload.
    pub(crate) data_level: Option<String>,
    /// The channel.
    pub(crate) channel: Option<String>,
    /// First frame that carries the batch.
    pub(crate) frame_first: Option<i32>,
    /// Last such frame.
    pub(crate) frame_last: Option<i32>,
    /// singular or span.
    pub(crate) batch_kind: Option<String>,
    /// Index of the batch in the channel.
    pub(crate) batch_index: Option<i64>,
    /// Whether the parent that the batch names was seen to be right.
    pub(crate) parent_checked: bool,
}

impl Posting {
    /// As the table has it; none when the row is of a block that nothing carries.
    pub(crate) fn of(row: AnchorRow) -> Option<Self> {
        let hash = |text: Option<String>| text.as_deref().and_then(Bytes32::read);
        Some(Self {
            l1_block: BlockNumber(row.l1_block?),
            l1_hash: hash(row.l1_hash),
            l1_tx: hash(row.l1_tx),
            form: row.form,
            versioned_hash: hash(row.versioned_hash),
            blob_index: row.blob_index,
            commitment_hash: hash(row.commitment_hash),
            blob_key: hash(row.blob_key),
            dispersed_by: row.dispersed_by.as_deref().map(AddressText::read),
            level: row.level,
            data_level: row.data_level,
            channel: row.channel,
            frame_first: row.frame_first,
            frame_last: row.frame_last,
            batch_kind: row.batch_kind,
            batch_index: row.batch_index,
            parent_checked: row.parent_checked,
        })
    }
}
