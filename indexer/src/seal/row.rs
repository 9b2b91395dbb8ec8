//! Rows of a sealed block: the block itself, its logs and events, its blobs, and the rows its facts made.

use alloy_primitives::{B256, keccak256};
use tributary_schemas::code::Flag;
use tributary_schemas::column::Micros;
use tributary_schemas::column::{Binary, Decimal38, hex_text, signed};
use tributary_schemas::encoding::{event_id, payload_json};
use tributary_schemas::facts::{
    BlobRow, BlockRow, DatasetVersionRow, EventRow, RawLogRow, RejectedEventRow, Row, StateReadRow,
};
use tributary_schemas::{Payload, Position, SCHEMA_VERSION};
use tributary_store::DeclaredOutcome;

use super::outcome::Outcome;
use super::{IndexerError, SealStep};
use crate::Trust;
use crate::blob::Reference;
use crate::fold::{BlobNeed, BlobOwner, FoldedEvent};
use crate::state::Key;

impl SealStep<'_, '_> {
    /// All rows that are not a blob's.
    pub(super) fn rows(&mut self, rows: Vec<Row>, log_root: B256) -> Result<(), IndexerError> {
        for folded in self.logged {
            self.push_event(folded);
        }
        for row in rows {
            let row = match row {
                Row::DatasetVersionRow(row) => self.with_members(row)?.into(),
                row => row,
            };
            self.sealed.rows.push(&row);
        }
        self.push_raw_logs();
        self.push_state_reads();
        let row = BlockRow {
            number: signed(self.block.number),
            hash: hex_text(self.block.hash),
            parent_hash: hex_text(self.block.parent_hash),
            timestamp: Micros::from_seconds(self.block.timestamp),
            epoch: self.epoch(),
            l1_origin_number: self.body.l1_origin.map(signed),
            tx_count: i32::try_from(self.body.tx_count).unwrap_or(i32::MAX),
            log_count: i32::try_from(self.body.log_count).unwrap_or(i32::MAX),
            event_count: i32::try_from(self.logged.len()).unwrap_or(i32::MAX),
            finality: self.context.finality.clone(),
            trust: trust_word(self.body.trust).to_owned(),
            log_root: hex_text(log_root),
        };
        self.push(row);
        Ok(())
    }

    /// A version's row is written when it is published or deprecated; its members are known from its manifest.
    fn with_members(&self, mut row: DatasetVersionRow) -> Result<DatasetVersionRow, IndexerError> {
        let id = row.version_id.parse().unwrap_or(B256::ZERO);
        if let Some(members) = self.state.get::<i64>(&Key::resolved_version(id))? {
            row.members = Some(members);
            let unresolved = Flag::ManifestUnresolved.as_str();
            row.flags = row.flags.split(',').filter(|flag| *flag != unresolved).collect::<Vec<_>>().join(",");
        }
        Ok(row)
    }

    fn push_event(&mut self, folded: &FoldedEvent) {
        let event = &folded.event;
        let at = event.position;
        let id = hex_text(event_id(self.context.chronology.chain_id, self.block.hash, at));
        let payload = payload_json(&event.payload);
        let (epoch, block_number) = (self.epoch(), signed(at.block_number));
        let (tx_index, log_index, sub_index) =
            (i64::from(at.tx_index), i64::from(at.log_index), i64::from(at.sub_index));
        if let Some(reason) = event.reason {
            let row = RejectedEventRow {
                epoch,
                event_id: id.clone(),
                block_number,
                tx_index,
                log_index,
                sub_index,
                emitter: hex_text(event.emitter),
                kind: event.payload.kind().to_owned(),
                reason: reason.as_str().to_owned(),
                detail: folded.detail.clone(),
                payload: payload.clone(),
            };
            self.push(row);
        }
        let row = EventRow {
            epoch,
            event_id: id,
            block_number,
            tx_index,
            log_index,
            sub_index,
            tx_hash: self.body.txs.get(&at.tx_index).map(|tx| hex_text(tx.hash)),
            emitter: hex_text(event.emitter),
            source: source_word(&event.payload, at).to_owned(),
            kind: event.payload.kind().to_owned(),
            schema_version: i32::try_from(SCHEMA_VERSION).unwrap_or(i32::MAX),
            rule: folded.rule.clone(),
            valid: event.is_valid(),
            reason: event.reason.map(|reason| reason.as_str().to_owned()),
            flags: event.flags.words(),
            payload,
        };
        self.push(row);
    }

    fn push_raw_logs(&mut self) {
        let (epoch, block_number) = (self.epoch(), signed(self.block.number));
        for log in &self.body.raw_logs {
            let tx = self.body.txs.get(&log.tx_index);
            let topic = |index: usize| log.topics.get(index).map(hex_text);
            let tx_value = tx.and_then(|tx| tributary_schemas::Amount::from_u256(tx.value).ok()).map(Decimal38::from);
            let row = RawLogRow {
                epoch,
                block_number,
                tx_index: i64::from(log.tx_index),
                log_index: i64::from(log.log_index),
                tx_hash: hex_text(tx.map(|tx| tx.hash).unwrap_or_default()),
                address: hex_text(log.address),
                topic0: topic(0),
                topic1: topic(1),
                topic2: topic(2),
                topic3: topic(3),
                data: Binary(log.data.to_vec()),
                tx_value,
            };
            self.sealed.rows.push(&row.into());
        }
    }

    fn push_state_reads(&mut self) {
        let (epoch, block_number, block_hash) = (self.epoch(), signed(self.block.number), hex_text(self.block.hash));
        for (ordinal, (call, answer)) in (0..).zip(&self.body.reads) {
            let row = StateReadRow {
                epoch,
                block_number,
                ordinal,
                block_hash: block_hash.clone(),
                contract: hex_text(call.to),
                calldata: Binary(call.data.to_vec()),
                outcome: answer.reply.as_str().to_owned(),
                answer: Binary(answer.reply.bytes().to_vec()),
                agreeing: i64::from(answer.agreeing),
            };
            self.sealed.rows.push(&row.into());
        }
    }

    /// The row of a blob with its outcome.
    pub(super) fn push_blob(
        &mut self,
        (need, epoch): (&BlobNeed, i64),
        outcome: &Outcome,
        status: &str,
        detail: Option<String>,
    ) {
        let (owner_kind, owner_id) = match need.owner {
            BlobOwner::Batch(batch) => ("batch", hex_text(batch)),
            BlobOwner::Manifest(version) => ("manifest", hex_text(version)),
        };
        let (bytes, source) = match outcome {
            Outcome::Found { payload, source, .. } => (i64::try_from(payload.len()).ok(), source.clone()),
            Outcome::Missing { .. } | Outcome::Void { .. } => (None, None),
        };
        let reference = Reference::read(self.context.commitment_mode, &need.reference, None);
        let known = outcome.known();
        let is_found = matches!(outcome, Outcome::Found { .. });
        let (form, commitment_hash, level, data_level, trust) = match &reference {
            Ok(Reference::Content(_)) => {
                let level = is_found.then(|| "content".to_owned());
                ("keccak", Some(keccak256(&need.reference)), level.clone(), level.map(|_| "D2".to_owned()), "full")
            }
            Ok(Reference::Certificate(certificate)) => {
                let level = known.map_or("L0", |known| &known.level).to_owned();
                let data_level = known.and_then(|known| known.data_level.clone());
                let trust = if is_found && level != "L3" { "unverified" } else { "full" };
                ("certificate", Some(certificate.key), Some(level), data_level, trust)
            }
            Err(_) => ("unknown", None, None, None, "full"),
        };
        let is_late = need.position.block_number != self.block.number;
        let row = BlobRow {
            epoch,
            block_number: signed(need.position.block_number),
            log_index: i64::from(need.position.log_index),
            reference: hex_text(&need.reference),
            form: form.to_owned(),
            commitment_hash: commitment_hash.map(hex_text),
            cert_version: known.map(|known| i32::from(known.cert_version)),
            blob_key: known.and_then(|known| known.blob_key).map(hex_text),
            dispersed_by: known.and_then(|known| known.dispersed_by).map(hex_text),
            length: known.map(|known| i64::from(known.length)),
            owner_kind: owner_kind.to_owned(),
            owner_id,
            payload_hash: need.payload_hash.map(hex_text),
            payload_bytes: bytes,
            status: status.to_owned(),
            level,
            data_level,
            trust: trust.to_owned(),
            source,
            detail,
            found_block: is_late.then(|| signed(self.block.number)),
        };
        self.push(row);
    }

    /// Lists an outcome that is an input of the log.
    pub(super) fn declare(&mut self, need: &BlobNeed, declared_at: u64) {
        self.sealed.declared.push(DeclaredOutcome {
            block_number: need.position.block_number,
            log_index: need.position.log_index,
            reference: hex_text(&need.reference),
            outcome: "missing".to_owned(),
            declared_at,
        });
    }
}

/// The word of the tables for what the checks rested on.
pub(crate) const fn trust_word(trust: Trust) -> &'static str {
    match trust {
        Trust::Verified => "full",
        Trust::Unverified => "unverified",
    }
}

const fn source_word(payload: &Payload, at: Position) -> &'static str {
    match payload {
        Payload::BatchDecoded { .. } | Payload::BatchVoided { .. } | Payload::ManifestDecoded { .. } => "blob",
        Payload::ManifestVoided { .. } => "blob",
        Payload::BatchDeclaredMissing { .. } => "system",
        _ if at.tx_index == Position::NO_LOG => "system",
        _ if at.log_index == Position::NO_LOG => "transaction",
        _ => "log",
    }
}
