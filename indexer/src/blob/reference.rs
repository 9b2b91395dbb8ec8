//! What an event says of where its data is.

use alloy_primitives::{B256, Bytes, keccak256};
use std::fmt;
use std::sync::Arc;
use tributary_schemas::eigenda::{Commitment, Mode};

/// A reference that can be fetched. How its bytes are read is configured and never guessed (see [`Mode`]). Cheap to
/// clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// The keccak256 of the payload: who has the bytes can tell that it is them, and no more.
    Content(B256),
    /// A certificate of EigenDA.
    Certificate(Arc<CertificateReference>),
}

/// A certificate as it was referred to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateReference {
    /// keccak256 of the bytes.
    pub key: B256,
    /// The commitment, as it was referred to.
    pub bytes: Bytes,
    /// How it was read.
    pub mode: Mode,
    /// What it says.
    pub commitment: Commitment,
    /// keccak256 of the payload, when the event says that too: where the own archive may have it already.
    pub payload_hash: Option<B256>,
}

impl Reference {
    /// Reads a reference, or says why there is nothing to fetch.
    pub fn read(mode: Mode, bytes: &Bytes, payload_hash: Option<B256>) -> Result<Self, String> {
        let commitment = match Commitment::read(mode, bytes) {
            Ok(Commitment::Keccak(hash)) => return Ok(Self::Content(hash)),
            Ok(Commitment::OtherLayer { layer }) => return Err(format!("DA layer {layer:02x} is not EigenDA")),
            Ok(commitment) => commitment,
            Err(error) => return Err(error.to_string()),
        };
        let key = keccak256(bytes);
        let reference = CertificateReference { key, bytes: bytes.clone(), mode, commitment, payload_hash };
        Ok(Self::Certificate(Arc::new(reference)))
    }

    /// What it is known by here: the payload's hash, or the commitment's.
    #[must_use]
    pub fn key(&self) -> B256 {
        match self {
            Self::Content(hash) => *hash,
            Self::Certificate(certificate) => certificate.key,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content(hash) => write!(f, "blob {hash}"),
            Self::Certificate(certificate) => write!(f, "blob of commitment {}", certificate.key),
        }
    }
}
