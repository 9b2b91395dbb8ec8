//! `attributionBatches`: batches of attribution records and what became of each.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{ID, Object};
use tributary_schemas::facts::BatchRow;

use crate::error::Refusal;
use crate::page::Total;
use crate::scalar::{AddressText, BlockNumber, Bytes32};
use crate::schema::blob::Blob;
use crate::view::View;

/// A list of batches.
pub(crate) type AttributionBatchConnection = Connection<String, AttributionBatch, Total, EmptyFields>;

/// A batch of attribution records.
#[derive(Debug, Clone)]
pub(crate) struct AttributionBatch {
    pub(crate) view: View,
    pub(crate) row: BatchRow,
}

/// A batch of attribution records.
#[Object]
impl AttributionBatch {
    /// Its id.
    pub(crate) async fn id(&self) -> ID {
        ID(self.row.batch_id.clone())
    }
    /// Epoch of the reference.
    async fn epoch(&self) -> i64 {
        self.row.epoch
    }
    /// Block of the reference.
    async fn block(&self) -> BlockNumber {
        BlockNumber(self.row.reference_block)
    }
    /// Index of the log of the reference.
    async fn log_index(&self) -> i64 {
        self.row.reference_log
    }
    /// The hub it was committed to.
    async fn hub(&self) -> AddressText {
        AddressText::read(&self.row.hub)
    }
    /// Who committed it.
    async fn producer(&self) -> AddressText {
        AddressText::read(&self.row.producer)
    }
    /// Method of attribution.
    async fn method(&self) -> Option<Bytes32> {
        Bytes32::read(&self.row.method_id)
    }
    /// Its ordinal among the producer's batches at the hub, from 0.
    async fn seq(&self) -> i64 {
        self.row.seq
    }
    /// Inferences, as committed.
    async fn inferences(&self) -> i64 {
        self.row.inferences
    }
    /// Records, as committed.
    async fn records(&self) -> i64 {
        self.row.records
    }
    /// Records accepted; null unless resolved.
    async fn accepted(&self) -> Option<i64> {
        self.row.accepted
    }
    /// keccak256 of the payload.
    async fn payload_hash(&self) -> Option<Bytes32> {
        Bytes32::read(&self.row.payload_hash)
    }
    /// Root over its inferences.
    async fn records_root(&self) -> Option<Bytes32> {
        Bytes32::read(&self.row.records_root)
    }
    /// resolved, malformed, unavailable, final, rejected or superseded.
    async fn state(&self) -> &str {
        &self.row.state
    }
    /// Whether a challenge is open.
    async fn challenged(&self) -> bool {
        self.row.challenged
    }
    /// First block of this state.
    async fn since_block(&self) -> BlockNumber {
        BlockNumber(self.row.valid_from_block)
    }
    /// The blob it refers to, and how far that was verified.
    async fn blob(&self) -> Result<Option<Blob>, Refusal> {
        self.view.blob_of(&self.row.batch_id).await
    }
}
