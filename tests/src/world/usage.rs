//! Batches, inferences and records.

use tributary_schemas::column::hex_text;
use tributary_schemas::facts::{AttributionRow, BatchRow, InferenceRow};
use tributary_schemas::id::{BatchId, InferenceId};

use super::{Maker, id};

impl Maker {
    pub(crate) fn usage(&mut self) {
        let blocks: Vec<i64> = (self.first..=self.last).collect();
        let mut sk = 0;
        for block in blocks {
            if self.once_in(3) {
                self.batch(sk, block);
                sk += 1;
            }
        }
        self.find_superseded();
    }

    fn batch(&mut self, sk: i64, block: i64) {
        let states =
            ["resolved", "resolved", "resolved", "resolved", "final", "unavailable", "unavailable", "malformed"];
        let state = states[self.pick(states.len())].to_owned();
        let mut has_records = state == "resolved" || state == "final";
        let epoch = self.epoch_of(block);
        let row = BatchRow {
            batch_sk: sk,
            batch_id: id("batch", sk),
            epoch,
            reference_block: block,
            reference_log: self.log(),
            hub: super::account(3_000),
            producer: self.account(),
            method_id: id("method", self.between(0, 1)),
            seq: sk,
            inferences: self.between(1, 5),
            records: 0,
            accepted: None,
            payload_hash: id("payload", sk),
            records_root: id("records", sk),
            blob_ref: String::new(),
            state,
            challenged: false,
            valid_from_block: block,
            valid_to_block: None,
        };
        let inferences = row.inferences;
        if row.state == "unavailable" && !self.once_in(3) && block < self.last {
            has_records = self.turns_up(row);
        } else {
            self.disputes(row, block);
        }
        if has_records {
            self.inferences(sk, epoch, inferences);
        }
    }

    /// A missing blob turns up, as what was committed to or as something else, or its batch is rejected before. Says
    /// whether there are records.
    fn turns_up(&mut self, row: BatchRow) -> bool {
        let at = self.between(row.reference_block + 1, self.last);
        let states = ["resolved", "resolved", "resolved", "malformed", "rejected"];
        let state = states[self.pick(states.len())].to_owned();
        let has_records = state == "resolved";
        let found = BatchRow { state, valid_from_block: at, ..row.clone() };
        if at > row.reference_block + 1 && self.once_in(4) {
            self.challenge_missing(row, found, at);
        } else {
            self.facts.attribution_batches.push(BatchRow { valid_to_block: Some(at), ..row });
            self.disputes(found, at);
        }
        has_records
    }

    /// The blob is found, at a block, while a challenge is open, which may be resolved later.
    fn challenge_missing(&mut self, row: BatchRow, found: BatchRow, at: i64) {
        let challenged = self.between(row.reference_block + 1, at - 1);
        self.facts.attribution_batches.push(BatchRow { valid_to_block: Some(challenged), ..row.clone() });
        let open = BatchRow { challenged: true, valid_from_block: challenged, valid_to_block: Some(at), ..row };
        self.facts.attribution_batches.push(open);
        let found = BatchRow { challenged: true, ..found };
        if at == self.last || self.once_in(2) {
            self.facts.attribution_batches.push(found);
            return;
        }
        let resolved = self.between(at + 1, self.last);
        self.facts.attribution_batches.push(BatchRow { valid_to_block: Some(resolved), ..found.clone() });
        let state = ["rejected", found.state.as_str()][self.pick(2)].to_owned();
        let stands = BatchRow { state, challenged: false, valid_from_block: resolved, ..found };
        self.facts.attribution_batches.push(stands);
    }

    /// Some batches are challenged; of these some are never resolved, some rejected, some replaced, some stand.
    /// `block` is where it was read.
    fn disputes(&mut self, row: BatchRow, block: i64) {
        let sound = row.state == "resolved" || row.state == "final";
        if !sound || block >= self.last || !self.once_in(3) {
            self.facts.attribution_batches.push(row);
            return;
        }
        let challenged = self.between(block + 1, self.last);
        self.facts.attribution_batches.push(BatchRow { valid_to_block: Some(challenged), ..row.clone() });
        let open = BatchRow { challenged: true, valid_from_block: challenged, ..row.clone() };
        if challenged == self.last || self.once_in(4) {
            self.facts.attribution_batches.push(open);
            return;
        }
        let resolved = self.between(challenged + 1, self.last);
        let state = ["rejected", "superseded", row.state.as_str()][self.pick(3)].to_owned();
        self.facts.attribution_batches.push(BatchRow { valid_to_block: Some(resolved), ..open });
        self.facts.attribution_batches.push(BatchRow { state, valid_from_block: resolved, ..row });
    }

    /// An inference that another batch of the method has, one that was read before, is superseded, whatever became of
    /// that batch: so an indexer finds when it reads a batch.
    fn find_superseded(&mut self) {
        let batches = &self.facts.attribution_batches;
        let read = |sk: i64| {
            let missing = batches.iter().filter(|b| b.batch_sk == sk && b.state == "unavailable");
            let batch = batches.iter().find(|b| b.batch_sk == sk);
            let reference = batch.map_or(0, |batch| batch.reference_block);
            missing.filter_map(|b| b.valid_to_block).max().map_or((reference, false), |came| (came, true))
        };
        let method = |sk: i64| batches.iter().find(|b| b.batch_sk == sk).map(|b| &b.method_id);
        let place = |i: &InferenceRow| (read(i.batch_sk), i.batch_sk, i.inference);
        let superseded = |i: &InferenceRow| {
            let mut same = self.facts.inferences.iter().filter(|other| other.inference_id == i.inference_id);
            same.any(|other| method(other.batch_sk) == method(i.batch_sk) && place(other) < place(i))
        };
        let all: Vec<bool> = self.facts.inferences.iter().map(superseded).collect();
        for (inference, superseded) in self.facts.inferences.iter_mut().zip(all) {
            inference.superseded = superseded;
        }
    }

    fn inferences(&mut self, batch_sk: i64, epoch: i64, count: i64) {
        let free = self.once_in(4);
        for inference in 0..i32::try_from(count).unwrap_or(1) {
            let agent = self.once_in(2);
            let (kind, count) =
                if agent { ("agent", self.facts.agents.len()) } else { ("model", self.facts.model_versions.len()) };
            let subject_sk = i64::try_from(self.pick(count)).unwrap_or(0);
            // The fees of a batch sum to less than 2^63.
            let fee_weight = match self.between(0, 40) {
                _ if free => 0,
                0 if inference == 0 => i64::MAX - 10i64.pow(13),
                _ => i64::try_from(self.heavy(12)).unwrap_or(0),
            };
            // Some inferences come in several batches; then the later ones may be superseded.
            let number = if self.once_in(5) { self.between(0, 3) } else { batch_sk * 100 + i64::from(inference) };
            let inference_id = if self.once_in(3) {
                in_batch(&id("batch", batch_sk), inference.cast_unsigned())
            } else {
                id("inference", number)
            };
            let (records, weight_total) = self.records(batch_sk, epoch, inference);
            self.facts.inferences.push(InferenceRow {
                epoch,
                batch_sk,
                inference,
                inference_id,
                subject_kind: kind.to_owned(),
                subject_sk,
                subject_id: id(&format!("{kind} version"), subject_sk),
                fee_weight,
                fee_before: 0,
                fee_total: 0,
                records,
                weight_total,
                superseded: false,
                flags: String::new(),
            });
        }
    }

    /// Records in the order of (target id, row), with running weights of the positive parts in lineage.
    fn records(&mut self, batch_sk: i64, epoch: i64, inference: i32) -> (i32, i64) {
        let mut records = std::collections::BTreeMap::new();
        let useless = self.once_in(6);
        // The sizes of an inference's scores sum to less than 2^63.
        let large = self.once_in(12);
        for place in 0..self.between(0, 9) {
            let (kind, word, count) = match self.between(1, 8) {
                1 => (1, "dataset version", self.facts.dataset_versions.len()),
                2 => (3, "model version", self.facts.model_versions.len()),
                _ => (2, "contribution", self.facts.dataset_membership.len() + 1),
            };
            let known = self.facts.contributions.iter().map(|c| c.contribution_sk).max().unwrap_or(0);
            let sk = i64::try_from(self.pick(count)).unwrap_or(0);
            let sk = if kind == 2 { std::cmp::min(sk, known) } else { sk };
            let row = if kind == 2 && self.once_in(2) { i32::try_from(self.between(0, 3)).ok() } else { None };
            let size = match place {
                0 if large => i64::MAX - 10i64.pow(13),
                _ => i64::try_from(self.heavy(if large { 11 } else { 17 })).unwrap_or(1),
            };
            let score = if useless || self.once_in(4) { -size } else { size };
            let flags = if self.once_in(6) { 1 << 4 } else { 0 };
            records.insert((id(word, sk), row.map_or(u32::MAX, i32::cast_unsigned)), (kind, sk, row, score, flags));
        }
        let weight = |score: i64, flags: i32| if flags == 0 { std::cmp::max(score, 0) } else { 0 };
        let weight_total = records.values().map(|r| weight(r.3, r.4)).sum();
        let mut weight_before = 0;
        for (target_kind, target_sk, row, score, flags) in records.values().copied() {
            let weight = weight(score, flags);
            let row = AttributionRow {
                epoch,
                batch_sk,
                inference,
                target_kind,
                target_sk,
                row,
                score,
                weight,
                weight_before,
                weight_total,
                flags,
            };
            self.facts.attributions.push(row);
            weight_before += weight;
        }
        (i32::try_from(records.len()).unwrap_or(0), weight_total)
    }
}

/// The id that a batch gives one of its inferences.
pub(super) fn in_batch(batch: &str, at: u32) -> String {
    let batch = BatchId(batch.parse().unwrap_or_default());
    hex_text(InferenceId::in_batch(batch, at).0)
}
