//! Rows of what was said in a block: the block itself, its events, its logs, what contracts answered. They are made of
//! what the tail keeps, when the block is sealed and before that for the hot tables ([`HotRows`]).

use std::collections::BTreeSet;
use tributary_schemas::column::{Binary, Decimal38, Micros, hex_text, signed};
use tributary_schemas::encoding::{event_id, payload_json};
use tributary_schemas::facts::{BlockRow, Columns, EventRow, RawLogRow, RejectedEventRow, StateReadRow};
use tributary_schemas::{BlockRef, Payload, Position, SCHEMA_VERSION, Table as _};
use tributary_store::{Bodies, StoreError};

use super::body::Body;
use super::row::trust_word;
use crate::fold::{Chronology, FoldedEvent};

/// Makes the rows of hot tables of what the tail keeps of a block. What [`tributary_schemas::hot`] lists is what is
/// sealed as it was folded.
#[derive(Debug, Clone, Copy)]
pub struct HotRows {
    /// Chain and epochs of the ledger.
    pub chronology: Chronology,
}

impl Bodies for HotRows {
    fn rows(
        &self,
        block: &BlockRef,
        body: &[u8],
        wanted: &BTreeSet<&str>,
        rows: &mut Columns,
    ) -> Result<(), StoreError> {
        let broken = |error: crate::IndexerError| StoreError::TailDamaged {
            doing: "reading the body of a block",
            reason: format!("block {}: {error}", block.number),
        };
        let body = Body::from_bytes(body).map_err(broken)?;
        let said = Said { chronology: &self.chronology, block, body: &body };
        if wanted.contains(EventRow::NAME) {
            body.folded.events.iter().for_each(|one| rows.push(&said.event(one).into()));
        }
        if wanted.contains(RejectedEventRow::NAME) {
            body.folded.events.iter().filter_map(|one| said.rejected(one)).for_each(|row| rows.push(&row.into()));
        }
        if wanted.contains(RawLogRow::NAME) {
            said.raw_logs(rows);
        }
        if wanted.contains(StateReadRow::NAME) {
            said.state_reads(rows);
        }
        if wanted.contains(BlockRow::NAME) {
            rows.push(&said.block(body.folded.events.len(), String::new(), String::new()).into());
        }
        body.folded.rows.iter().filter(|row| wanted.contains(row.table())).for_each(|row| rows.push(row));
        Ok(())
    }
}

/// A block as the tail keeps it.
#[derive(Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) chronology: &'a Chronology,
    pub(super) block: &'a BlockRef,
    pub(super) body: &'a Body,
}

impl Said<'_> {
    fn epoch(&self) -> i64 {
        self.chronology.epoch(self.block.timestamp)
    }

    /// The row of the block, which has so many events.
    pub(super) fn block(&self, events: usize, finality: String, log_root: String) -> BlockRow {
        BlockRow {
            number: signed(self.block.number),
            hash: hex_text(self.block.hash),
            parent_hash: hex_text(self.block.parent_hash),
            timestamp: Micros::from_seconds(self.block.timestamp),
            epoch: self.epoch(),
            l1_origin_number: self.body.l1_origin.map(signed),
            tx_count: i32::try_from(self.body.tx_count).unwrap_or(i32::MAX),
            log_count: i32::try_from(self.body.log_count).unwrap_or(i32::MAX),
            event_count: i32::try_from(events).unwrap_or(i32::MAX),
            finality,
            trust: trust_word(self.body.trust).to_owned(),
            log_root,
        }
    }

    /// The rows of its events, the refused ones twice.
    pub(super) fn events(&self, events: &[FoldedEvent], rows: &mut Columns) {
        for folded in events {
            if let Some(row) = self.rejected(folded) {
                rows.push(&row.into());
            }
            rows.push(&self.event(folded).into());
        }
    }

    fn event_id(&self, at: Position) -> String {
        hex_text(event_id(self.chronology.chain_id, self.block.hash, at))
    }

    fn event(&self, folded: &FoldedEvent) -> EventRow {
        let event = &folded.event;
        let at = event.position;
        EventRow {
            epoch: self.epoch(),
            event_id: self.event_id(at),
            block_number: signed(at.block_number),
            tx_index: i64::from(at.tx_index),
            log_index: i64::from(at.log_index),
            sub_index: i64::from(at.sub_index),
            tx_hash: self.body.txs.get(&at.tx_index).map(|tx| hex_text(tx.hash)),
            emitter: hex_text(event.emitter),
            source: source_word(&event.payload, at).to_owned(),
            kind: event.payload.kind().to_owned(),
            schema_version: i32::try_from(SCHEMA_VERSION).unwrap_or(i32::MAX),
            rule: folded.rule.clone(),
            valid: event.is_valid(),
            reason: event.reason.map(|reason| reason.as_str().to_owned()),
            flags: event.flags.words(),
            payload: payload_json(&event.payload),
        }
    }

    fn rejected(&self, folded: &FoldedEvent) -> Option<RejectedEventRow> {
        let event = &folded.event;
        let (at, reason) = (event.position, event.reason?);
        Some(RejectedEventRow {
            epoch: self.epoch(),
            event_id: self.event_id(at),
            block_number: signed(at.block_number),
            tx_index: i64::from(at.tx_index),
            log_index: i64::from(at.log_index),
            sub_index: i64::from(at.sub_index),
            emitter: hex_text(event.emitter),
            kind: event.payload.kind().to_owned(),
            reason: reason.as_str().to_owned(),
            detail: folded.detail.clone(),
            payload: payload_json(&event.payload),
        })
    }

    /// The rows of its watched logs.
    pub(super) fn raw_logs(&self, rows: &mut Columns) {
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
            rows.push(&row.into());
        }
    }

    /// The rows of what contracts answered.
    pub(super) fn state_reads(&self, rows: &mut Columns) {
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
            rows.push(&row.into());
        }
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
