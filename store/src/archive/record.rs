//! What is known of a blob by the commitment it was referred to with.

use alloy_primitives::{Address, B256, Bytes, keccak256};
use serde::{Deserialize, Serialize};
use tributary_schemas::code::Reason;
use tributary_schemas::eigenda::router::CertStatus;
use tributary_schemas::eigenda::{Form, Mode};

/// What is known of a blob by its certificate: enough to answer for it, and to check it again, with nothing but the
/// archive. What is derived from the commitment stands here for those who only read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRecord {
    /// The commitment, as it was referred to.
    pub commitment: Bytes,
    /// How the commitment is read.
    pub mode: Mode,
    /// Version of the certificate, 1 to 4.
    pub cert_version: u8,
    /// What names the blob on EigenDA's network.
    pub blob_key: Option<B256>,
    /// Who had it dispersed.
    pub dispersed_by: Option<Address>,
    /// Field elements of the blob.
    pub length: u32,
    /// The highest level of the certificate, L0 to L3.
    pub level: String,
    /// The highest level of the bytes, D1 or D2.
    pub data_level: Option<String>,
    /// What `checkDACert` said; none when nobody was asked. This alone cannot be checked again without L1.
    pub answer: Option<CertStatus>,
    /// The bytes; none when the certificate is void.
    pub content: Option<Content>,
    /// Why the blob is void for ever; none when it is not.
    pub void: Option<Void>,
    /// The tau of the setup, where everybody may know it: nothing is proved then. None for the ceremony's.
    pub known_tau: Option<B256>,
}

/// The bytes behind a commitment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// keccak256 of the archived bytes.
    pub hash: B256,
    /// Whether they are an encoded payload, kept because it does not decode; else they are the payload.
    pub is_encoded: bool,
    /// What their elements are.
    pub form: Form,
    /// Proof that they open the commitment: a compressed point, 32 bytes.
    pub opening: Bytes,
}

/// Why a blob is void.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Void {
    /// The reason of the tables.
    pub code: Reason,
    /// The check that failed, and why.
    pub detail: String,
}

impl BlobRecord {
    /// The name it is kept under: keccak256 of the commitment.
    #[must_use]
    pub fn key(&self) -> B256 {
        keccak256(&self.commitment)
    }
}
