//! Blobs, and how far each was verified.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{Enum, Object};
use tributary_schemas::facts::BlobRow;

use crate::filter::{Condition, Test};
use crate::page::Total;
use crate::scalar::{AddressText, BlockNumber, Bytes32};

/// A list of blobs.
pub(crate) type BlobConnection = Connection<String, Blob, Total, EmptyFields>;

/// What became of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum BlobStatus {
    /// Found, and what was committed to.
    Verified,
    /// There is nothing to be had from it, for ever.
    Void,
    /// Nobody had it by its deadline.
    Missing,
}

impl BlobStatus {
    /// The condition that a blob has this outcome.
    pub(crate) fn condition(self) -> Condition {
        Condition::Field("status", Test::Among(vec![self.word().into()]))
    }

    /// The word of the table.
    const fn word(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Void => "void",
            Self::Missing => "missing",
        }
    }
}

/// A blob that a fact refers to, with its outcome.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) row: BlobRow,
}

#[Object]
impl Blob {
    /// The reference as the contract gave it: hex.
    async fn reference(&self) -> &str {
        &self.row.reference
    }
    /// Form of the reference: keccak, certificate or unknown.
    async fn form(&self) -> &str {
        &self.row.form
    }
    /// keccak256 of the commitment; null when the reference is none.
    async fn commitment_hash(&self) -> Option<Bytes32> {
        self.row.commitment_hash.as_deref().and_then(Bytes32::read)
    }
    /// Version of the certificate, 1 to 4.
    async fn cert_version(&self) -> Option<i32> {
        self.row.cert_version
    }
    /// What names the blob on EigenDA's network.
    async fn blob_key(&self) -> Option<Bytes32> {
        self.row.blob_key.as_deref().and_then(Bytes32::read)
    }
    /// Account that had the blob dispersed, recovered from its signature.
    async fn dispersed_by(&self) -> Option<AddressText> {
        self.row.dispersed_by.as_deref().map(AddressText::read)
    }
    /// Field elements of 32 bytes in the blob.
    async fn length(&self) -> Option<i64> {
        self.row.length
    }
    /// keccak256 of the payload that was committed to beside the reference; null for a manifest.
    async fn payload_hash(&self) -> Option<Bytes32> {
        self.row.payload_hash.as_deref().and_then(Bytes32::read)
    }
    /// Bytes of the payload.
    async fn payload_bytes(&self) -> Option<i64> {
        self.row.payload_bytes
    }
    /// Outcome: verified, void or missing.
    async fn status(&self) -> &str {
        &self.row.status
    }
    /// How far the reference was verified: content for a payload's hash, else L0 (parsed), L1 (in its batch), L2 (signed)
    /// or L3 (by enough stake).
    async fn level(&self) -> Option<&str> {
        self.row.level.as_deref()
    }
    /// How far the bytes were verified: D1 (they decode) or D2 (they are what was committed to).
    async fn data_level(&self) -> Option<&str> {
        self.row.data_level.as_deref()
    }
    /// full, or unverified when nobody could be asked whether enough stake signed.
    async fn trust(&self) -> &str {
        &self.row.trust
    }
    /// Where it was found, when that is still known.
    async fn source(&self) -> Option<&str> {
        self.row.source.as_deref()
    }
    /// What was wrong with it.
    async fn detail(&self) -> Option<&str> {
        self.row.detail.as_deref()
    }
    /// What it belongs to: batch or manifest.
    async fn owner_kind(&self) -> &str {
        &self.row.owner_kind
    }
    /// Id of the batch or dataset version.
    async fn owner_id(&self) -> Option<Bytes32> {
        Bytes32::read(&self.row.owner_id)
    }
    /// Block of the reference.
    async fn block(&self) -> BlockNumber {
        BlockNumber(self.row.block_number)
    }
    /// Block whose fact it is that the blob was found, of one that had been declared missing; null for all others.
    async fn found_block(&self) -> Option<BlockNumber> {
        self.row.found_block.map(BlockNumber)
    }
    /// Index of the log of the reference.
    async fn log_index(&self) -> i64 {
        self.row.log_index
    }
    /// Epoch of the reference.
    async fn epoch(&self) -> i64 {
        self.row.epoch
    }
}
