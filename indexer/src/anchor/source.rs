//! Whoever has the payloads behind alt-DA commitments, and the blobs of blob transactions.

use alloy_primitives::{Address, B256, Bytes};
use async_trait::async_trait;
use std::fmt;
use std::sync::Arc;
use tributary_schemas::BlockRef;
use tributary_schemas::eigenda::Mode;
use url::Url;

use crate::beacon::{BeaconNodes, kzg};
use crate::blob::{CertificateReference, Finder, Kept, Lack, NotFound, Reference};
use crate::endpoint::EndpointHealth;
use crate::inbox::posting::{Commitment, CommitmentKind};
use crate::{Clock, IndexerError};

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

    /// State and counters of whoever is asked for blobs.
    fn health(&self) -> Vec<EndpointHealth> {
        Vec::new()
    }
}

/// Everybody who has payloads: those who have what EigenDA keeps, and beacon nodes for the blobs of L1.
#[derive(Debug)]
pub struct Payloads {
    eigenda: Finder,
    beacon: Option<BeaconNodes>,
}

impl Payloads {
    /// A finder of EigenDA's payloads, and beacon nodes if there are any.
    pub fn new(eigenda: Finder, beacon: &[Url], clock: &Arc<dyn Clock>) -> Result<Self, IndexerError> {
        let beacon = if beacon.is_empty() { None } else { Some(BeaconNodes::new(beacon, clock)?) };
        Ok(Self { eigenda, beacon })
    }
}

#[async_trait]
impl PayloadSource for Payloads {
    async fn payload(&self, commitment: &[u8], l1: &BlockRef) -> Result<Found, Unfound> {
        self.eigenda.payload(commitment, l1).await
    }

    async fn blobs(&self, hashes: &[B256], l1: &BlockRef) -> Result<Vec<Vec<u8>>, Unfound> {
        let Some(beacon) = &self.beacon else { return self.eigenda.blobs(hashes, l1).await };
        if let Some(hash) = hashes.iter().find(|hash| hash[0] != kzg::VERSION) {
            let reason = format!("blob {hash} is named by a hash of version {:#04x}, expected 0x01", hash[0]);
            return Err(Unfound::Unreadable { reason });
        }
        beacon.blobs(hashes, l1.timestamp).await.map_err(|reason| Unfound::Pending { reason, answered: true })
    }

    fn health(&self) -> Vec<EndpointHealth> {
        self.beacon.as_ref().map_or_else(Vec::new, BeaconNodes::health)
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
    /// What was verified of the payload: `D1` or `D2`, or `content`, as for the blobs of L1.
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
        /// Whether that says anything of the payload: not where a source was not heard.
        answered: bool,
    },
    /// Nobody here can read it, as this node is configured.
    Unreadable {
        /// What is missing.
        reason: String,
    },
}

/// Payloads behind commitments in the mode of the OP Stack, as batches are posted.
#[async_trait]
impl PayloadSource for Finder {
    async fn payload(&self, commitment: &[u8], l1: &BlockRef) -> Result<Found, Unfound> {
        let posted = Commitment::parse(commitment).map_err(|error| Unfound::Void { reason: error.reason() })?;
        if let CommitmentKind::Generic { layer } = posted.kind {
            return Err(Unfound::Unreadable { reason: format!("nobody here reads DA layer {layer:#04x}") });
        }
        let bytes = Bytes::copy_from_slice(commitment);
        let reference = Reference::read(Mode::Op, &bytes, None).map_err(|reason| Unfound::Void { reason })?;
        if let Reference::Certificate(certificate) = &reference {
            recent(certificate, l1)?;
            if self.judge().points() == 0 {
                let reason = "no SRS is configured to check certificates' blobs with".to_owned();
                return Err(Unfound::Unreadable { reason });
            }
        }
        let failed = |error: IndexerError| Unfound::Pending { reason: error.to_string(), answered: false };
        let kept = match self.kept(&reference).map_err(failed)? {
            Some(kept) => kept,
            None => {
                let found = self.find(&reference).await;
                let (found, _) = found.map_err(|NotFound { reason, lack }| Unfound::Pending {
                    reason,
                    answered: lack <= Lack::Trouble,
                })?;
                self.keep(&found).map_err(failed)?;
                self.kept(&reference).map_err(failed)?.ok_or_else(|| Unfound::Pending {
                    reason: format!("{reference} was archived and is gone"),
                    answered: false,
                })?
            }
        };
        let Kept { payload, record, .. } = kept;
        let Some(payload) = payload else {
            let void = record.and_then(|record| record.void);
            return Err(Unfound::Void { reason: void.map_or_else(String::new, |void| void.detail) });
        };
        posted.check_payload(&payload).map_err(|error| Unfound::Void { reason: error.reason() })?;
        Ok(match record {
            None => Found { payload, level: content(), data_level: content(), ..Found::default() },
            Some(record) => Found {
                payload,
                blob_key: record.blob_key,
                dispersed_by: record.dispersed_by,
                level: Some(record.level),
                data_level: record.data_level,
            },
        })
    }
}

/// The level of bytes that were compared with what commits to them alone.
pub(super) fn content() -> Option<String> {
    Some("content".to_owned())
}

/// Refuses a certificate of version 4 that was posted too long after its reference block: derivation drops it before it
/// looks at anything else.
fn recent(certificate: &CertificateReference, l1: &BlockRef) -> Result<(), Unfound> {
    match &certificate.commitment {
        tributary_schemas::eigenda::Commitment::EigenDa(eigenda) if !eigenda.is_recent(l1.number) => {
            let reference = eigenda.batch_header.reference_block_number;
            let reason = format!("posted in L1 block {}, too long after its reference block {reference}", l1.number);
            Err(Unfound::Void { reason })
        }
        _ => Ok(()),
    }
}
