//! Whoever has the payloads behind alt-DA commitments, and the blobs of blob transactions.

use alloy_primitives::{Address, B256};
use async_trait::async_trait;
use std::fmt;
use std::sync::Arc;
use tributary_schemas::BlockRef;
use tributary_store::Archive;

use crate::blob::{BlobSource, NotFound};
use crate::inbox::posting::{Commitment, CommitmentKind};

/// A source of payloads that were posted elsewhere than in calldata. What it returns was checked against what commits
/// to it; it keeps payloads, as the same ones are asked for again when they become final.
#[async_trait]
pub trait PayloadSource: fmt::Debug + Send + Sync {
    /// The payload behind an alt-DA commitment (calldata without its first byte) in a block of L1.
    async fn payload(&self, commitment: &[u8], l1: &BlockRef) -> Result<Found, Unfound>;

    /// The EIP-4844 blobs with these versioned hashes, in their order, of 131,072 bytes each.
    async fn blobs(&self, _hashes: &[B256], _l1: &BlockRef) -> Result<Vec<Vec<u8>>, Unfound> {
        Err(Unfound::Unreadable { reason: "no source of EIP-4844 blobs is configured".to_owned() })
    }
}

/// A payload, and what its commitment says about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The payload.
    pub payload: Vec<u8>,
    /// Blob key of the certificate.
    pub blob_key: Option<B256>,
    /// Who dispersed the blob, by the certificate's signature.
    pub dispersed_by: Option<Address>,
    /// What was verified of the certificate: `L0` to `L3`, or `content`.
    pub level: Option<String>,
    /// What was verified of the payload: `D1` or `D2`, or `content`.
    pub data_level: Option<String>,
}

/// Why there is no payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfound {
    /// There never will be: the commitment is not valid, or what it commits to is no payload. Derivation goes on.
    Void {
        /// What is wrong.
        reason: String,
    },
    /// Not now; it is asked for again.
    Pending {
        /// What the sources said.
        reason: String,
    },
    /// Nobody here can read it: what it carries stays unknown.
    Unreadable {
        /// What is missing.
        reason: String,
    },
}

/// Payloads of keccak commitments, from the archive first. EigenDA certificates take a verifier and are not for this
/// source.
#[derive(Clone)]
pub struct ArchivedKeccak {
    /// Whoever else may have them.
    pub source: Arc<dyn BlobSource>,
    /// Where they are kept.
    pub archive: Archive,
}

impl fmt::Debug for ArchivedKeccak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchivedKeccak").finish_non_exhaustive()
    }
}

#[async_trait]
impl PayloadSource for ArchivedKeccak {
    async fn payload(&self, commitment: &[u8], _l1: &BlockRef) -> Result<Found, Unfound> {
        let commitment = Commitment::parse(commitment).map_err(|error| Unfound::Void { reason: error.reason() })?;
        let hash = match commitment.kind {
            CommitmentKind::Keccak(hash) => hash,
            CommitmentKind::EigenDa { version } => {
                let reason = format!("EigenDA certificates (this one is of version {version}) take a verifier");
                return Err(Unfound::Unreadable { reason });
            }
            CommitmentKind::Generic { layer } => {
                return Err(Unfound::Unreadable { reason: format!("nobody here reads DA layer {layer:#04x}") });
            }
        };
        // A damaged copy is as good as none: it is fetched anew, and mended by that.
        let payload = match self.archive.get(hash) {
            Ok(Some(payload)) => payload,
            Ok(None) | Err(_) => {
                let fetched = self.source.fetch(hash).await;
                let (payload, _) = fetched.map_err(|NotFound { reason, .. }| Unfound::Pending { reason })?;
                if let Err(error) = self.archive.put(&payload) {
                    tracing::warn!(%error, %hash, "a payload was not archived");
                }
                payload
            }
        };
        commitment.check_payload(&payload).map_err(|error| Unfound::Void { reason: error.reason() })?;
        let content = || Some("content".to_owned());
        Ok(Found { payload, level: content(), data_level: content(), ..Found::default() })
    }
}
