//! What became of a blob.

use tributary_schemas::code::Reason;
use tributary_store::BlobRecord;

use crate::blob::{Kept, Unreadable};

/// What became of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Here it is, and it is what was committed to.
    Found {
        /// The payload.
        payload: Vec<u8>,
        /// What is known of it by its certificate.
        known: Option<Box<BlobRecord>>,
        /// Where it was found, when that is still known.
        source: Option<String>,
    },
    /// There is nothing to be had from the reference, for ever and for everybody.
    Void {
        /// Why.
        why: Unreadable,
        /// What is known of it by its certificate.
        known: Option<Box<BlobRecord>>,
    },
    /// It was not found by the policy's deadline: an input of the log (ruling 10).
    Missing {
        /// The block at which the deadline passed.
        declared_at: u64,
    },
}

impl Outcome {
    /// Nothing to read, and nothing lost by it.
    pub(super) const fn nothing() -> Self {
        Self::Found { payload: Vec::new(), known: None, source: None }
    }

    /// Of a reference that cannot be read.
    pub(super) fn unread(detail: String) -> Self {
        Self::Void { why: Unreadable { code: Reason::BlobMalformed, detail }, known: None }
    }

    /// Of a blob that is archived.
    pub(super) fn of(kept: Kept) -> Self {
        let Kept { payload, record, source } = kept;
        let known = record.map(Box::new);
        // Rewards rest on signatures at least (ruling 26).
        let unsigned =
            known.as_ref().filter(|known| known.void.is_none() && !["L2", "L3"].contains(&known.level.as_str()));
        if let Some(known) = unsigned {
            let detail =
                format!("the certificate, of version {}, reaches {}: expected L2", known.cert_version, known.level);
            return Self::Void {
                why: Unreadable { code: Reason::CertificateInvalid, detail },
                known: Some(known.clone()),
            };
        }
        if let Some(payload) = payload {
            return Self::Found { payload, known, source };
        }
        let void = known.as_ref().and_then(|known| known.void.clone());
        let why = void.map_or_else(
            || Unreadable { code: Reason::CertificateInvalid, detail: String::new() },
            |void| Unreadable { code: void.code, detail: void.detail },
        );
        Self::Void { why, known }
    }

    /// What is known of the blob by its certificate.
    pub(super) fn known(&self) -> Option<&BlobRecord> {
        match self {
            Self::Found { known, .. } | Self::Void { known, .. } => known.as_deref(),
            Self::Missing { .. } => None,
        }
    }
}
