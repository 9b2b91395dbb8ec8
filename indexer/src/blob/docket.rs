//! What waits for the judge. Whoever gets a turn on the threads for commitments judges everything that waits by then, in
//! one round: while one round is held the next one gathers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;
use tributary_schemas::eigenda::router::CertStatus;

use super::judge::{Judged, committed};
use super::reference::CertificateReference;
use crate::eigenda::Report;

/// A certificate, perhaps with bytes that somebody gave for it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) reference: Arc<CertificateReference>,
    /// What was found of the certificate by itself.
    pub(super) before: Option<Arc<Report>>,
    /// What L1 said.
    pub(super) answer: Option<CertStatus>,
    pub(super) bytes: Option<Vec<u8>>,
}

impl Entry {
    /// Bytes of the blob that is looked at, none where it is the certificate alone.
    fn blob_bytes(&self) -> usize {
        let elements = committed(&self.reference.commitment).map_or(0, |(_, elements)| elements);
        if self.bytes.is_some() { elements.saturating_mul(32) } else { 0 }
    }
}

/// Somebody who waits, and for what.
pub(super) type Waiting = (Entry, oneshot::Sender<Judged>);

/// Entries in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Docket {
    waiting: Mutex<VecDeque<Waiting>>,
}

/// Most entries of a round: beyond, a round gets no cheaper for each of them and those who wait for it wait longer.
const ENTRIES_MAX: usize = 16;
/// Most bytes of blobs in a round of more than one: a blob's scalars are as large again, and memory.
const BLOB_BYTES_MAX: usize = 1 << 20;

impl Docket {
    /// Takes an entry; its outcome comes after some round.
    pub(super) fn enter(&self, entry: Entry) -> oneshot::Receiver<Judged> {
        let (done, outcome) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back((entry, done));
        outcome
    }

    /// The entries of the next round, oldest first, without those that nobody waits for any more.
    pub(super) fn round(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut round: Vec<Waiting> = Vec::new();
        let mut bytes = 0_usize;
        while let Some((entry, done)) = waiting.pop_front() {
            if done.is_closed() {
                continue;
            }
            bytes = bytes.saturating_add(entry.blob_bytes());
            if round.len() == ENTRIES_MAX || (!round.is_empty() && bytes > BLOB_BYTES_MAX) {
                waiting.push_front((entry, done));
                break;
            }
            round.push((entry, done));
        }
        round
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{B256, Bytes};
    use tributary_devnet::mint::{Form, Mint};
    use tributary_schemas::eigenda::{Commitment, Mode, Version};

    /// An entry of a blob of so many elements.
    fn entry(elements: u32, bytes: Option<Vec<u8>>) -> Entry {
        let mut mint = Mint::new(1, B256::repeat_byte(7));
        let mut certificate =
            mint.batch(Version::V3, Form::Evaluations, 9, &[vec![1]]).unwrap().swap_remove(0).certificate;
        certificate.blob_inclusion.blob_certificate.blob_header.commitment.length = elements;
        let commitment = Commitment::EigenDa(Box::new(certificate));
        let reference = CertificateReference {
            key: B256::ZERO,
            bytes: Bytes::new(),
            mode: Mode::Op,
            commitment,
            payload_hash: None,
        };
        Entry { reference: Arc::new(reference), before: None, answer: None, bytes }
    }

    #[test]
    fn rounds_are_bounded_and_keep_their_order() {
        let docket = Docket::default();
        let long = || entry(1 << 14, Some(vec![1]));
        let entries = [long(), entry(1 << 14, None), long(), long(), entry(1 << 19, Some(vec![1])), entry(8, None)];
        let mut outcomes: Vec<_> = entries.into_iter().map(|entry| docket.enter(entry)).collect();
        // Nobody waits for the second any more.
        drop(outcomes.remove(1));
        let lengths = || -> Vec<usize> { docket.round().iter().map(|(entry, _)| entry.blob_bytes() >> 15).collect() };
        assert_eq!(lengths(), [16, 16]);
        assert_eq!(lengths(), [16]);
        assert_eq!(lengths(), [512]);
        assert_eq!(lengths(), [0]);
        assert_eq!(lengths(), [0; 0]);
        let outcomes: Vec<_> = (0..ENTRIES_MAX + 1).map(|_| docket.enter(entry(8, None))).collect();
        assert_eq!((lengths().len(), lengths().len(), outcomes.len()), (ENTRIES_MAX, 1, ENTRIES_MAX + 1));
    }
}
