//! Feeds L1 blocks into a fold, with the payloads they post.

use alloy_primitives::B256;
use std::collections::BTreeMap;
use std::sync::Arc;
use tributary_schemas::BlockRef;
use tributary_schemas::eigenda::{self, Mode};

use super::fold::{Fold, Form, L1Blob, Posted, Read};
use super::l1::L1Block;
use super::source::content;
use super::{Found, PayloadSource, Rollup, Unfound};
use crate::Clock;
use crate::inbox::blob_encoding;
use crate::inbox::posting::{Commitment, Posting};

/// So many answers must there have been before what a payload carries is called unknown: three minutes, by the pauses.
const ANSWERS_MIN: u32 = 10;
/// The pause after the first answer that it is not there, and the longest one.
const PAUSE_MS: u64 = 500;
const PAUSE_MS_MAX: u64 = 60_000;

/// Reads postings, and remembers how often each was asked for.
#[derive(Debug)]
pub(super) struct Reader {
    payloads: Arc<dyn PayloadSource>,
    clock: Arc<dyn Clock>,
    /// What others wait for is never left unread: they could not go on, whoever turns out to have it.
    patient: bool,
    asked: BTreeMap<B256, Asked>,
}

#[derive(Debug, Clone, Default)]
struct Asked {
    times: u32,
    answers: u32,
    next_ms: u64,
    reason: String,
}

/// A posting that was not read.
enum Left {
    /// It is asked for again.
    Waiting(String),
    /// It posts nothing.
    Void,
    /// Nobody here can read it, for this reason.
    Unread(String),
}

impl Reader {
    pub(super) fn new(payloads: Arc<dyn PayloadSource>, clock: Arc<dyn Clock>, patient: bool) -> Self {
        Self { payloads, clock, patient, asked: BTreeMap::new() }
    }

    /// Feeds the rest of a block; says why it waits when a payload is not there. `expired`: whether what the block
    /// posts is so old that a payload which nobody has may be given up, if nobody waits for it.
    pub(super) async fn feed(
        &mut self,
        fold: &mut Fold,
        rollup: &Rollup,
        block: &L1Block,
        expired: bool,
    ) -> Option<String> {
        while let Some((index, posting)) = fold.next(rollup, block) {
            let transaction = block.transactions.get(index)?;
            let read = match self.read(&posting, &block.block, transaction.hash).await {
                Ok(read) => read,
                Err(Left::Void) => Read::Nothing,
                Err(Left::Unread(_)) if !self.patient => Read::Unread,
                Err(Left::Waiting(_)) if expired && self.is_given_up(transaction.hash) => Read::Unread,
                Err(Left::Waiting(reason) | Left::Unread(reason)) => {
                    let (number, hash) = (block.block.number, transaction.hash);
                    return Some(format!("payload of L1 transaction {hash} in block {number}: {reason}"));
                }
            };
            self.asked.remove(&transaction.hash);
            fold.take(rollup, block, index, read);
        }
        fold.close(rollup, block);
        None
    }

    /// What a posting comes to, or `Unread` where it would be waited for.
    #[cfg(test)]
    pub(super) async fn posting(&mut self, posting: &Posting<'_>, l1: &BlockRef, l1_tx: B256) -> Read {
        match self.read(posting, l1, l1_tx).await {
            Ok(read) => read,
            Err(Left::Void) => Read::Nothing,
            Err(Left::Waiting(_) | Left::Unread(_)) => Read::Unread,
        }
    }

    fn is_given_up(&self, l1_tx: B256) -> bool {
        !self.patient && self.asked.get(&l1_tx).is_some_and(|asked| asked.answers >= ANSWERS_MIN)
    }

    async fn read(&mut self, posting: &Posting<'_>, l1: &BlockRef, l1_tx: B256) -> Result<Read, Left> {
        match posting {
            Posting::Ignored(_) => Ok(Read::Nothing),
            Posting::Payload(payload) => {
                let posted = Posted::new(l1, l1_tx, Form::Calldata, None, &Found::default());
                Ok(Read::Payloads(vec![(payload.to_vec(), posted)]))
            }
            Posting::Commitment(commitment) => self.commitment(commitment, l1, l1_tx).await,
            Posting::Blobs(hashes) => self.blobs(hashes, l1, l1_tx).await,
        }
    }

    async fn commitment(&mut self, commitment: &Commitment<'_>, l1: &BlockRef, l1_tx: B256) -> Result<Read, Left> {
        // Of a certificate that does not parse there is no payload, and what another service keeps is none of a chain
        // that uses EigenDA: derivation passes over both.
        let form = match eigenda::Commitment::read(Mode::Op, commitment.bytes) {
            Ok(eigenda::Commitment::Keccak(_)) => Form::Keccak,
            Ok(eigenda::Commitment::EigenDa(_) | eigenda::Commitment::EigenDaV1(_)) => Form::EigenDa,
            Ok(eigenda::Commitment::OtherLayer { .. }) | Err(_) => return Err(Left::Void),
        };
        self.due(l1_tx)?;
        let answer = self.payloads.payload(commitment.bytes, l1).await;
        let found = answer.map_err(|unfound| self.note(l1_tx, unfound))?;
        if commitment.check_payload(&found.payload).is_err() {
            return Err(Left::Void);
        }
        let posted = Posted::new(l1, l1_tx, form, Some(commitment.hash()), &found);
        Ok(Read::Payloads(vec![(found.payload, posted)]))
    }

    async fn blobs(&mut self, hashes: &[B256], l1: &BlockRef, l1_tx: B256) -> Result<Read, Left> {
        self.due(l1_tx)?;
        let answer = self.payloads.blobs(hashes, l1).await;
        let blobs = answer.map_err(|unfound| self.note(l1_tx, unfound))?;
        // A blob that is none of the rollup's form posts nothing; the others of the transaction count.
        let found = Found { data_level: content(), ..Found::default() };
        let payloads = (0_u32..).zip(hashes).zip(&blobs).filter_map(|((index, hash), blob)| {
            let payload = blob_encoding::decode(blob).ok()?;
            let blob = Some(L1Blob { index, versioned_hash: *hash });
            Some((payload, Posted { blob, ..Posted::new(l1, l1_tx, Form::Blob, None, &found) }))
        });
        Ok(Read::Payloads(payloads.collect()))
    }

    /// Whether a payload may be asked for (again) now.
    fn due(&self, l1_tx: B256) -> Result<(), Left> {
        match self.asked.get(&l1_tx) {
            Some(asked) if asked.next_ms > self.clock.now_ms() => Err(Left::Waiting(asked.reason.clone())),
            _ => Ok(()),
        }
    }

    fn note(&mut self, l1_tx: B256, unfound: Unfound) -> Left {
        match unfound {
            Unfound::Void { reason } => {
                tracing::debug!(%l1_tx, reason, "a posting is void");
                Left::Void
            }
            Unfound::Unreadable { reason } => {
                tracing::debug!(%l1_tx, reason, "a posting cannot be read");
                Left::Unread(reason)
            }
            Unfound::Pending { reason, answered } => {
                let asked = self.asked.entry(l1_tx).or_default();
                let factor = 1_u64.checked_shl(asked.times).unwrap_or(u64::MAX);
                let pause = std::cmp::min(PAUSE_MS.saturating_mul(factor), PAUSE_MS_MAX);
                asked.times = asked.times.saturating_add(1);
                asked.answers = asked.answers.saturating_add(u32::from(answered));
                asked.next_ms = self.clock.now_ms().saturating_add(pause);
                asked.reason.clone_from(&reason);
                Left::Waiting(reason)
            }
        }
    }
}
