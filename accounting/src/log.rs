//! The log, checked again from the published tables alone: every event is encoded anew from its row, and the log root
//! of every block follows from the one before.

use alloy_primitives::{Address, B256};
use datafusion::prelude::SessionContext;
use std::collections::BTreeMap;
use tributary_schemas::code::{Flag, Flags, Reason};
use tributary_schemas::column::hex_text;
use tributary_schemas::encoding::{events_digest, log_root_next, log_root_origin, payload_from_json};
use tributary_schemas::facts::{BlockRow, EventRow};
use tributary_schemas::{Event, Position, SchemaError};
use tributary_store::Heads;

use crate::error::AccountingError;
use crate::read::{address, hash, rows};
use crate::verify::Findings;

/// Recomputes the log root of every sealed block, epoch by epoch, and names the first block that differs.
pub async fn verify_log(ctx: &SessionContext, heads: &Heads) -> Result<Findings, AccountingError> {
    let mut findings = Findings::default();
    let mut root = log_root_origin(heads.chain_id, heads.start_block, heads.mapping_set_hash);
    let mut parent: Option<BlockRow> = None;
    let last = heads.epoch_of(heads.block_timestamp);
    for epoch in 0..=last {
        let of_epoch = format!("epoch = {epoch}");
        let mut blocks: Vec<BlockRow> = rows(ctx, &of_epoch).await?;
        blocks.sort_by_key(|block| block.number);
        let mut events: BTreeMap<i64, Vec<EventRow>> = BTreeMap::new();
        for event in rows::<EventRow>(ctx, &of_epoch).await? {
            events.entry(event.block_number).or_default().push(event);
        }
        for block in blocks {
            if let Some(parent) = &parent {
                findings.expect("the block after the last", block.number, parent.number.saturating_add(1));
                findings.expect(&format!("the parent of block {}", block.number), &block.parent_hash, &parent.hash);
            }
            root = root_of(root, &block, events.remove(&block.number).unwrap_or_default(), &mut findings)?;
            if !findings.is_clean() {
                return Ok(findings);
            }
            parent = Some(block);
        }
        if let Some(number) = events.keys().next() {
            findings.differences.push(format!("events of block {number}, which is not in the table of blocks"));
        }
    }
    findings.expect("the log root of the last block", root, heads.log_root);
    findings.expect("the last block", parent.map_or(-1, |block| block.number), heads.block_number);
    Ok(findings)
}

fn root_of(
    before: B256,
    block: &BlockRow,
    events: Vec<EventRow>,
    findings: &mut Findings,
) -> Result<B256, AccountingError> {
    let mut decoded = events.iter().map(event).collect::<Result<Vec<_>, AccountingError>>()?;
    decoded.sort_by_key(|event| event.position);
    findings.expect(&format!("the number of events of block {}", block.number), decoded.len(), block.event_count);
    let root = log_root_next(before, hash(&block.hash)?, events_digest(&decoded));
    findings.expect(&format!("the log root of block {}", block.number), &block.log_root, hex_text(root));
    Ok(root)
}

/// The event a row was made from.
fn event(row: &EventRow) -> Result<Event, AccountingError> {
    let small = |value: i64| u32::try_from(value).map_err(|error| malformed(row, &error));
    let reason = row.reason.as_deref().map(str::parse::<Reason>).transpose()?;
    let mut flags = Flags::NONE;
    for word in row.flags.split(',').filter(|word| !word.is_empty()) {
        flags = flags.with(word.parse::<Flag>()?);
    }
    let emitter: Address = address(&row.emitter)?;
    Ok(Event {
        position: Position {
            block_number: u64::try_from(row.block_number).map_err(|error| malformed(row, &error))?,
            tx_index: small(row.tx_index)?,
            log_index: small(row.log_index)?,
            sub_index: small(row.sub_index)?,
        },
        emitter,
        reason,
        flags,
        payload: payload_from_json(&row.kind, &row.payload)?,
    })
}

fn malformed(row: &EventRow, error: &dyn std::fmt::Display) -> SchemaError {
    SchemaError::Malformed { what: "position of an event", reason: format!("event {}: {error}", row.event_id) }
}
