//! One blob: the own archive first, then whoever may have it, and the judge of them all.

use async_trait::async_trait;
use std::sync::Arc;
use tributary_store::{Archive, BlobRecord, StoreError};

use super::judge::{Assessed, Found, Judge, Judgement, Standing};
use super::reference::{CertificateReference, Reference};
use crate::IndexerError;

/// A judged blob and where it was found, or why it was not.
pub type Answer = Result<(Found, String), NotFound>;

/// Somebody who may have a blob. None of them is believed: what they give is for the judge.
#[async_trait]
pub trait BlobSource: Send + Sync {
    /// The blob of a reference, as the judge found it, and where. `assessed` is what the judge found of its certificate.
    async fn fetch(&self, reference: &Reference, assessed: Option<&Assessed>, judge: &Judge) -> Answer;
}

/// A blob that is archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The payload; none when the blob is void for ever, and the record says why.
    pub payload: Option<Vec<u8>>,
    /// What is known of it by its certificate; none for a blob referred to by its hash.
    pub record: Option<BlobRecord>,
    /// Where it was found, when that is still known.
    pub source: Option<String>,
}

/// Why a blob was not found this time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFound {
    /// Each source and what it said.
    pub reason: String,
    /// What that is worth.
    pub lack: Lack,
}

/// What it is worth that a blob was not found, from what says most about the blob to what says nothing about it. Of
/// several sources the one that says least counts: it may have the blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// Every source answered, and said that it does not have it.
    Absent,
    /// Some source failed, or gave other bytes.
    Trouble,
    /// Some source asked for a pause, so it was not heard.
    Paused,
    /// It is L1 that has to go on before anything can be said.
    AwaitsL1,
}

/// Finds blobs and keeps what it found. Cheap to clone.
#[derive(Clone)]
pub struct Finder {
    sources: Arc<[Arc<dyn BlobSource>]>,
    judge: Judge,
    archive: Archive,
}

/// Where a blob was found that nobody had to be asked for.
const OWN_ARCHIVE: &str = "own archive";

impl Finder {
    /// A finder that asks the sources, in this order, for what `archive` does not have.
    #[must_use]
    pub fn new(sources: Vec<Arc<dyn BlobSource>>, judge: Judge, archive: Archive) -> Self {
        Self { sources: sources.into(), judge, archive }
    }

    /// The judge.
    #[must_use]
    pub const fn judge(&self) -> &Judge {
        &self.judge
    }

    /// Whether a blob is archived; its bytes may still prove damaged.
    pub fn has(&self, reference: &Reference) -> Result<bool, IndexerError> {
        match reference {
            Reference::Content(hash) => Ok(self.archive.contains(*hash)?),
            Reference::Certificate(certificate) => Ok(self.known(certificate)?.is_some()),
        }
    }

    /// What is known by a certificate, when it was judged as this node judges.
    fn known(&self, certificate: &CertificateReference) -> Result<Option<BlobRecord>, IndexerError> {
        let record = self.archive.known(certificate.key)?;
        Ok(record.filter(|record| self.judge.stands(record)))
    }

    /// The blob, if it is archived, all of it. A copy that is damaged is as none: it is found anew, and mended by that.
    pub fn kept(&self, reference: &Reference) -> Result<Option<Kept>, IndexerError> {
        let source = None;
        let (hash, record) = match reference {
            Reference::Content(hash) => (*hash, None),
            Reference::Certificate(certificate) => {
                let Some(record) = self.known(certificate)? else { return Ok(None) };
                match (&record.void, &record.content) {
                    (None, Some(content)) => (content.hash, Some(record)),
                    _ => return Ok(Some(Kept { payload: None, record: Some(record), source })),
                }
            }
        };
        match self.archive.get(hash) {
            Ok(Some(bytes)) => Ok(Some(Kept { payload: Some(bytes), record, source })),
            Ok(None) | Err(StoreError::BlobDamaged { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Archives what was found.
    pub fn keep(&self, found: &Found) -> Result<(), IndexerError> {
        if let Some(bytes) = &found.bytes {
            self.archive.put(bytes)?;
        }
        // After the bytes: whoever reads that they are known finds them.
        if let Some(record) = &found.record {
            self.archive.record(record)?;
        }
        Ok(())
    }

    /// Judges what can be judged without bytes, then asks everybody in turn.
    #[tracing::instrument(level = "debug", name = "find_blob", skip_all, fields(%reference))]
    pub async fn find(&self, reference: &Reference) -> Answer {
        let mut assessed = None;
        if let Reference::Certificate(certificate) = reference {
            match self.judge.certificate(certificate).await {
                Standing::Good(good) => assessed = Some(good),
                Standing::Void(record) => {
                    return Ok((Found { bytes: None, record: Some(*record) }, "its certificate".to_owned()));
                }
                Standing::Undecided(reason) => return Err(NotFound { reason, lack: Lack::AwaitsL1 }),
            }
            // By its payload's hash it may be here already: imported, or referred to before by another certificate.
            let here = certificate.payload_hash.map(|hash| self.archive.get(hash));
            if let Some(Ok(Some(bytes))) = here
                && let Judgement::Found(found) = self.judge.bytes(reference, assessed.as_ref(), bytes).await
            {
                return Ok((*found, OWN_ARCHIVE.to_owned()));
            }
        }
        let mut lack = if self.sources.is_empty() { Lack::Trouble } else { Lack::Absent };
        let mut reasons = Vec::new();
        for source in self.sources.iter() {
            match source.fetch(reference, assessed.as_ref(), &self.judge).await {
                Ok(found) => return Ok(found),
                Err(not_found) => {
                    lack = std::cmp::max(lack, not_found.lack);
                    reasons.push(not_found.reason);
                }
            }
        }
        if reasons.is_empty() {
            reasons.push("nobody is configured who could have it".to_owned());
        }
        Err(NotFound { reason: reasons.join("; "), lack })
    }
}

impl std::fmt::Debug for Finder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Finder").field("judge", &self.judge).finish_non_exhaustive()
    }
}
