//! Batches of attribution records: what became of them, and what each record weighs.

use alloy_primitives::{B256, keccak256};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use tributary_schemas::code::{ChallengeOutcome, Flag, Flags, Reason};
use tributary_schemas::column::{hex_text, signed};
use tributary_schemas::encoding::refused_digest;
use tributary_schemas::facts::{AttributionRow, BatchRow, InferenceRow};
use tributary_schemas::id::{BatchId, EntityKind, InferenceId};
use tributary_schemas::{Event, Payload, Position};

use super::lineage::{Closure, Target};
use super::outcome::Outcome;
use super::{IndexerError, SealStep};
use crate::blob::{Batch, Commitment, InferenceHead, Record, Unreadable, read_batch};
use crate::fold::BlobNeed;
use crate::state::{BatchState, ChangeAt, Key, MethodState, RecordedInference, Version};

/// Batches above so many records are staged as files instead of being held as rows.
const ROWS_IN_MEMORY_MAX: usize = 50_000;

impl SealStep<'_, '_> {
    /// What a batch's blob comes to, as facts at `at`: at the commit, or later when it had been declared missing.
    pub(super) fn batch(
        &mut self,
        event: &Event,
        need: &BlobNeed,
        outcome: &Outcome,
        at: Position,
    ) -> Result<(), IndexerError> {
        let Payload::AttributionBatchCommitted { batch, payload_hash, .. } = &event.payload else { return Ok(()) };
        let stored: Option<BatchState> = self.state.get(&Key::batch(batch.0))?;
        let state = stored.ok_or_else(|| self.fault(format!("batch {batch} is not in the state")))?;
        let row = self.row_before(event, &state, at)?;
        let payload = match outcome {
            Outcome::Found { payload, .. } => payload,
            Outcome::Missing { declared_at } => {
                self.declare(need, *declared_at);
                self.miss(event, need)?;
                self.push_blob((need, row.epoch), outcome, "missing", None);
                let missing = Payload::BatchDeclaredMissing { batch: *batch, declared_at: *declared_at };
                self.add_event(at, missing, String::new());
                return self.conclude(batch.0, row, "unavailable");
            }
            Outcome::Void { why, .. } => return self.void_batch(*batch, at, need, outcome, why.clone(), row),
        };
        let real = keccak256(payload);
        if real != *payload_hash {
            let detail = format!("payload_hash {payload_hash}: the blob referred to has {real}");
            let why = Unreadable { code: Reason::PayloadHashMismatch, detail };
            return self.void_batch(*batch, at, need, outcome, why, row);
        }
        let commitment = self.commitment(event, &state)?;
        match read_batch(payload, &commitment) {
            Err(why) => self.void_batch(*batch, at, need, outcome, why, row),
            Ok(content) => {
                let (accepted, refused) = self.attribute(*batch, &state, row.epoch, &content)?;
                self.push_blob((need, row.epoch), outcome, "verified", None);
                let refused_digest = refused_digest(refused);
                let decoded =
                    Payload::BatchDecoded { batch: *batch, payload_hash: *payload_hash, accepted, refused_digest };
                self.add_event(at, decoded, String::new());
                let accepted = Some(i64::from(accepted));
                self.conclude(batch.0, BatchRow { accepted, ..row }, "resolved")
            }
        }
    }

    fn void_batch(
        &mut self,
        batch: BatchId,
        at: Position,
        need: &BlobNeed,
        outcome: &Outcome,
        why: Unreadable,
        row: BatchRow,
    ) -> Result<(), IndexerError> {
        self.push_blob((need, row.epoch), outcome, "void", Some(why.detail.clone()));
        self.add_event(at, Payload::BatchVoided { batch, code: why.code }, why.detail);
        self.conclude(batch.0, row, "malformed")
    }

    /// The row of a batch before its outcome: a new one, or the last one of a batch that was without its blob so far.
    fn row_before(&self, event: &Event, state: &BatchState, at: Position) -> Result<BatchRow, IndexerError> {
        let Payload::AttributionBatchCommitted { batch, .. } = &event.payload else {
            return Err(self.fault("a batch is expected".to_owned()));
        };
        if at == event.position {
            return Ok(self.batch_row(event, state));
        }
        let last: Option<BatchRow> = self.state.get(&Key::batch_row(batch.0))?;
        last.ok_or_else(|| self.fault(format!("batch {batch} was not sealed")))
    }

    /// The outcome of a batch.
    fn conclude(&mut self, batch: B256, mut row: BatchRow, state: &str) -> Result<(), IndexerError> {
        state.clone_into(&mut row.state);
        row.valid_from_block = signed(self.block.number);
        self.put_batch(batch, row)
    }

    fn commitment(&self, event: &Event, state: &BatchState) -> Result<Commitment, IndexerError> {
        let Payload::AttributionBatchCommitted {
            batch, producer, method, seq, inferences, records, records_root, ..
        } = &event.payload
        else {
            return Err(self.fault("a batch is expected".to_owned()));
        };
        let known: Option<MethodState> = self.state.get(&Key::method(method.0))?;
        let known = known.ok_or_else(|| self.fault(format!("method {method} is not in the state")))?;
        Ok(Commitment {
            chain_id: self.context.chronology.chain_id,
            hub: state.hub,
            batch: *batch,
            producer: *producer,
            seq: *seq,
            method: method.0,
            params_hash: known.params_hash,
            inferences: *inferences,
            records: *records,
            records_root: *records_root,
        })
    }

    fn batch_row(&self, event: &Event, state: &BatchState) -> BatchRow {
        let mut row = BatchRow {
            batch_sk: state.sk,
            batch_id: String::new(),
            epoch: self.epoch(),
            reference_block: signed(event.position.block_number),
            reference_log: i64::from(event.position.log_index),
            hub: hex_text(state.hub),
            producer: hex_text(state.producer),
            method_id: hex_text(state.method),
            seq: 0,
            inferences: 0,
            records: 0,
            accepted: None,
            payload_hash: String::new(),
            records_root: String::new(),
            blob_ref: String::new(),
            state: String::new(),
            challenged: false,
            valid_from_block: signed(self.block.number),
            valid_to_block: None,
        };
        if let Payload::AttributionBatchCommitted {
            batch,
            seq,
            inferences,
            records,
            payload_hash,
            records_root,
            blob_ref,
            ..
        } = &event.payload
        {
            row.batch_id = hex_text(batch);
            row.seq = signed(*seq);
            row.inferences = i64::from(*inferences);
            row.records = i64::from(*records);
            row.payload_hash = hex_text(payload_hash);
            row.records_root = hex_text(records_root);
            row.blob_ref = hex_text(blob_ref);
        }
        row
    }

    fn put_batch(&mut self, batch: B256, row: BatchRow) -> Result<(), IndexerError> {
        self.state.put(Key::batch_row(batch), &row)?;
        self.push(row);
        Ok(())
    }

    /// A later state of a batch's row.
    pub(super) fn change_batch(&mut self, batch: B256, change: impl FnOnce(&mut BatchRow)) -> Result<(), IndexerError> {
        let stored: Option<BatchRow> = self.state.get(&Key::batch_row(batch))?;
        let mut row = stored.ok_or_else(|| self.fault(format!("batch {batch} was not sealed")))?;
        change(&mut row);
        row.valid_from_block = signed(self.block.number);
        self.put_batch(batch, row)
    }

    pub(super) fn resolve_batch(&mut self, batch: B256, outcome: ChallengeOutcome) -> Result<(), IndexerError> {
        let mut place = (0, 0);
        self.change_batch(batch, |row| {
            row.challenged = false;
            place = (row.reference_block, row.reference_log);
            match outcome {
                ChallengeOutcome::Upheld => "rejected".clone_into(&mut row.state),
                ChallengeOutcome::Replaced => "superseded".clone_into(&mut row.state),
                ChallengeOutcome::Rejected => {}
            }
        })?;
        if outcome != ChallengeOutcome::Rejected {
            // Nothing hangs on its blob any more: where it is missing, it is not sought.
            let (block, log) = (u64::try_from(place.0).unwrap_or_default(), u32::try_from(place.1).unwrap_or_default());
            self.state.remove(Key::missing((block, log)));
        }
        Ok(())
    }

    /// Writes the rows of a batch's inferences and records; the number accepted, and what was refused.
    fn attribute(
        &mut self,
        batch: BatchId,
        state: &BatchState,
        epoch: i64,
        content: &Batch,
    ) -> Result<(u32, Vec<(u32, Reason)>), IndexerError> {
        let mut judge = Judge::new(batch, state, epoch);
        let mut inferences = Vec::with_capacity(content.inferences.len());
        let mut rows = Vec::with_capacity(content.records.len());
        let mut refused = Vec::new();
        let mut first = 0;
        for (ordinal, head) in content.inferences.iter().enumerate() {
            let end = first + head.records;
            let records = content.records.get(first..end).unwrap_or_default();
            match judge.refusal(self, head)? {
                Some(reason) => {
                    let all = (first..end).map(|at| (u32::try_from(at).unwrap_or(u32::MAX), reason));
                    refused.extend(all);
                }
                None => {
                    let row = judge.inference(self, ordinal, head, (first, records), &mut rows, &mut refused)?;
                    inferences.push(row);
                }
            }
            first = end;
        }
        let fee_total = judge.fee_sum;
        inferences.iter_mut().for_each(|row| row.fee_total = fee_total);
        let accepted = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        self.write_attributions((state.sk, epoch), inferences, rows)?;
        Ok((accepted, refused))
    }

    fn write_attributions(
        &mut self,
        (batch_sk, epoch): (i64, i64),
        inferences: Vec<InferenceRow>,
        rows: Vec<AttributionRow>,
    ) -> Result<(), IndexerError> {
        if self.context.discard {
            return Ok(());
        }
        if rows.len() > ROWS_IN_MEMORY_MAX {
            self.sealed.staged_rows += rows.len();
            let staged = super::publish::stage(&self.context.staging, epoch, batch_sk, &rows)?;
            self.sealed.staged.push(staged);
        } else {
            rows.into_iter().for_each(|row| self.sealed.rows.push(&row.into()));
        }
        inferences.into_iter().for_each(|row| self.push(row));
        Ok(())
    }
}

/// Judges the inferences and records of one batch as of its reference. What many records share is looked up once.
struct Judge<'a> {
    batch: BatchId,
    state: &'a BatchState,
    epoch: i64,
    subjects: BTreeMap<B256, Option<(Version, bool)>>,
    closures: BTreeMap<B256, Closure>,
    targets: BTreeMap<B256, Option<Target>>,
    fee_sum: i64,
}

impl<'a> Judge<'a> {
    fn new(batch: BatchId, state: &'a BatchState, epoch: i64) -> Self {
        let (subjects, closures, targets) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { batch, state, epoch, subjects, closures, targets, fee_sum: 0 }
    }

    /// Why nothing of an inference is taken.
    fn refusal(&mut self, step: &SealStep<'_, '_>, head: &InferenceHead) -> Result<Option<Reason>, IndexerError> {
        let subject = head.subject;
        if !self.subjects.contains_key(&subject) {
            let found = self.subject(step, subject)?;
            self.subjects.insert(subject, found);
        }
        let Some(Some((_, allowed))) = self.subjects.get(&subject) else { return Ok(Some(Reason::UnknownRef)) };
        if !allowed {
            return Ok(Some(Reason::Unauthorized));
        }
        let Some(given) = head.given else { return Ok(None) };
        // An id of its own is one that was recorded on chain before, for this subject.
        let recorded: Option<RecordedInference> = step.state.get(&Key::inference(given))?;
        let same = recorded.is_some_and(|known| known.subject == subject && known.at < self.state.reference);
        Ok((!same).then_some(Reason::UnknownRef))
    }

    /// The version that answered, and whether its owner or the hub let the producer speak for it.
    fn subject(&self, step: &SealStep<'_, '_>, id: B256) -> Result<Option<(Version, bool)>, IndexerError> {
        let found: Option<Version> = step.state.get(&Key::version(id))?;
        let found = found.filter(|version| {
            matches!(version.kind, EntityKind::Agent | EntityKind::Model) && version.published < self.state.reference
        });
        let Some(version) = found else { return Ok(None) };
        let mut allowed = false;
        for scope in [B256::ZERO, version.entity] {
            let key = Key::permission(self.state.hub, scope, self.state.producer);
            let history: Vec<ChangeAt<bool>> = step.state.get(&key)?.unwrap_or_default();
            let then = history.iter().rev().find(|change| change.at < self.state.reference);
            allowed |= then.is_some_and(|change| change.to);
        }
        Ok(Some((version, allowed)))
    }

    fn inference(
        &mut self,
        step: &mut SealStep<'_, '_>,
        ordinal: usize,
        head: &InferenceHead,
        (first, records): (usize, &[Record]),
        rows: &mut Vec<AttributionRow>,
        refused: &mut Vec<(u32, Reason)>,
    ) -> Result<InferenceRow, IndexerError> {
        let index = u32::try_from(ordinal).unwrap_or(u32::MAX);
        let id = head.given.map_or_else(|| InferenceId::in_batch(self.batch, index), InferenceId);
        let superseded = head.given.is_some() && !self.covers(step, id)?;
        let (flags, accepted, weight_total) = self.records(step, ordinal, head, (first, records), rows, refused)?;
        let (kind, subject_sk) = match self.subjects.get(&head.subject) {
            Some(Some((version, _))) => (version.kind.as_str().to_owned(), version.sk),
            _ => return Err(step.fault("the subject of an inference is gone".to_owned())),
        };
        let fee_before = self.fee_sum;
        if !superseded {
            // The payload's own check keeps the sum of all below 2^63.
            self.fee_sum = self.fee_sum.saturating_add(head.fee_weight);
        }
        Ok(InferenceRow {
            epoch: self.epoch,
            batch_sk: self.state.sk,
            inference: i32::try_from(ordinal).unwrap_or(i32::MAX),
            inference_id: hex_text(id),
            subject_kind: kind,
            subject_sk,
            subject_id: hex_text(head.subject),
            fee_weight: head.fee_weight,
            fee_before,
            fee_total: 0,
            records: i32::try_from(accepted).unwrap_or(i32::MAX),
            weight_total,
            superseded,
            flags: flags.words(),
        })
    }

    /// Takes an inference for this batch, unless an earlier one of the same method has it.
    fn covers(&self, step: &mut SealStep<'_, '_>, id: InferenceId) -> Result<bool, IndexerError> {
        let key = Key::covered(self.state.method, id.0);
        if step.state.get::<i64>(&key)?.is_some() {
            return Ok(false);
        }
        step.state.put(key, &self.state.sk)?;
        Ok(true)
    }

    fn records(
        &mut self,
        step: &SealStep<'_, '_>,
        ordinal: usize,
        head: &InferenceHead,
        (first, records): (usize, &[Record]),
        rows: &mut Vec<AttributionRow>,
        refused: &mut Vec<(u32, Reason)>,
    ) -> Result<(Flags, usize, i64), IndexerError> {
        let at = self.state.reference;
        if let Entry::Vacant(place) = self.closures.entry(head.subject) {
            place.insert(Closure::of(step.state, head.subject, at)?);
        }
        let start = rows.len();
        let mut flags = Flags::NONE;
        let mut sum = 0_i64;
        for (record, place) in records.iter().zip(first..) {
            if let Entry::Vacant(place) = self.targets.entry(record.target) {
                place.insert(Target::find(step.state, record.target, at)?);
            }
            let closure = self.closures.get(&head.subject);
            let (Some(Some(target)), Some(closure)) = (self.targets.get(&record.target), closure) else {
                refused.push((u32::try_from(place).unwrap_or(u32::MAX), Reason::UnknownRef));
                continue;
            };
            let in_lineage = target.is_in(record.target, closure);
            let mut bits = if in_lineage { Flags::NONE } else { Flags::NONE.with(Flag::OutOfLineage) };
            if record.score < 0 {
                bits = bits.with(Flag::NegativeClipped);
            }
            let weight = if in_lineage { std::cmp::max(record.score, 0) } else { 0 };
            flags = Flags(flags.0 | bits.0);
            rows.push(AttributionRow {
                epoch: self.epoch,
                batch_sk: self.state.sk,
                inference: i32::try_from(ordinal).unwrap_or(i32::MAX),
                target_kind: target.kind(),
                target_sk: target.sk(),
                row: record.row.and_then(|row| i32::try_from(row).ok()),
                score: record.score,
                weight,
                weight_before: sum,
                weight_total: 0,
                flags: i32::try_from(bits.0).unwrap_or(i32::MAX),
            });
            // The payload's own check keeps the sum of an inference below 2^63.
            sum = sum.saturating_add(weight);
        }
        let mine = rows.get_mut(start..).unwrap_or_default();
        mine.iter_mut().for_each(|row| row.weight_total = sum);
        // The order of the table; the running weights keep the order of (target id, row).
        mine.sort_by_key(|row| (row.target_kind, row.target_sk, row.row));
        if sum == 0 {
            flags = flags.with(Flag::ZeroTotal);
        }
        Ok((flags, mine.len(), sum))
    }
}
