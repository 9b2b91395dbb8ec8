//! Certificates of EigenDA's first network (2024 to 2025). No new ones are made; archives of chains that began then
//! still hold them.
//!
//! Fields are in the order of their RLP lists and named as in `EigenDATypesV1.sol`.

use alloy_primitives::{B256, Bytes, U256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use serde::Serialize;

use super::certificate::{G1, QUORUMS_MAX, SIBLINGS_MAX, at_most};
use crate::error::SchemaError;

/// What the disperser called `BlobInfo`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, RlpEncodable, RlpDecodable)]
pub struct CertificateV1 {
    /// The blob.
    pub blob_header: BlobHeaderV1,
    /// Why it is part of a confirmed batch.
    pub blob_verification_proof: BlobVerificationProof,
}

/// The blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, RlpEncodable, RlpDecodable)]
pub struct BlobHeaderV1 {
    /// KZG commitment.
    pub commitment: CommitmentV1,
    /// Field elements.
    pub data_length: u32,
    /// The quorums that hold it.
    pub blob_quorum_params: Vec<QuorumParam>,
}

/// A point of G1 whose coordinates are byte strings, big-endian, leading zeros allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, RlpEncodable, RlpDecodable)]
pub struct CommitmentV1 {
    /// The abscissa, at most 32 bytes.
    pub x: Bytes,
    /// The ordinate, at most 32 bytes.
    pub y: Bytes,
}

impl CommitmentV1 {
    /// The point; `None` when a coordinate has more than 32 bytes, which reading refuses.
    #[must_use]
    pub fn point(&self) -> Option<G1> {
        Some(G1 { x: U256::try_from_be_slice(&self.x)?, y: U256::try_from_be_slice(&self.y)? })
    }
}

/// How one quorum holds a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, RlpEncodable, RlpDecodable)]
pub struct QuorumParam {
    /// The quorum's number.
    pub quorum_number: u8,
    /// Percentage of stake an adversary may have.
    pub adversary_threshold_percentage: u8,
    /// Percentage of stake that has to sign.
    pub confirmation_threshold_percentage: u8,
    /// Field elements of a chunk.
    pub chunk_length: u32,
}

/// Why the blob is part of a confirmed batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, RlpEncodable, RlpDecodable)]
pub struct BlobVerificationProof {
    /// The batch's number.
    pub batch_id: u32,
    /// The blob's place in it, from 0.
    pub blob_index: u32,
    /// The batch as the service manager contract recorded it.
    pub batch_metadata: BatchMetadata,
    /// The siblings from leaf to root, 32 bytes each.
    pub inclusion_proof: Bytes,
    /// Which entry of the batch's quorums each of the blob's is.
    pub quorum_indexes: Bytes,
}

/// The batch as the service manager contract recorded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, RlpEncodable, RlpDecodable)]
pub struct BatchMetadata {
    /// What the operators signed.
    pub batch_header: BatchHeaderV1,
    /// Hash of who did not sign.
    pub signatory_record_hash: B256,
    /// What was paid.
    pub fee: Bytes,
    /// The L1 block that confirmed it.
    pub confirmation_block_number: u32,
    /// Hash of root and reference block.
    pub batch_header_hash: B256,
}

/// What the operators signed, with who did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, RlpEncodable, RlpDecodable)]
pub struct BatchHeaderV1 {
    /// Root of the tree over the batch's blob headers.
    pub batch_root: B256,
    /// The batch's quorums, a byte each.
    pub quorum_numbers: Bytes,
    /// Percentage of stake that signed, per quorum.
    pub quorum_signed_percentages: Bytes,
    /// The L1 block at which stakes are counted.
    pub reference_block_number: u32,
}

impl CertificateV1 {
    /// The byte before the certificate.
    pub const VERSION_BYTE: u8 = 0;

    pub(super) fn bounded(&self) -> Result<(), SchemaError> {
        let proof = &self.blob_verification_proof;
        at_most("bytes of a coordinate", self.blob_header.commitment.x.len(), 32)?;
        at_most("bytes of a coordinate", self.blob_header.commitment.y.len(), 32)?;
        at_most("siblings", proof.inclusion_proof.len() / 32, SIBLINGS_MAX)?;
        at_most("quorums", self.blob_header.blob_quorum_params.len(), QUORUMS_MAX)?;
        at_most("quorum numbers", proof.batch_metadata.batch_header.quorum_numbers.len(), QUORUMS_MAX)?;
        at_most("quorum indexes", proof.quorum_indexes.len(), QUORUMS_MAX)
    }
}
