//! The log-state from the sealed tables, when the tail was lost.
//!
//! The table of events holds everything contracts said, in order; folding it again and sealing it again, with blobs
//! from the archive, gives the state and the log root. The root is compared with the snapshot's: nothing is believed.

use alloy_primitives::Address;
use std::collections::BTreeMap;
use std::sync::Arc;
use tributary_schemas::Position;
use tributary_schemas::code::Reason;
use tributary_schemas::encoding::payload_from_json;
use tributary_schemas::facts::{BlockRow, Columns, EventRow};
use tributary_store::{Archive, Lake, Snapshot, Tail};

use super::publish::published_outcome;
use super::{Body, SealContext, Sealed, late, seal_block};
use crate::decode::{Decoded, block_ref, stored};
use crate::fold::{fold_block, fold_children};
use crate::pipeline::TailState;
use crate::state::{StateRead, StateView};
use crate::tables::{Files, broken};
use crate::{IndexerError, Mapping, Trust};

/// Blocks whose state is written at once.
const STEP_BLOCKS: u64 = 512;

/// Fills an empty tail from what is published.
pub(super) async fn rebuild(
    tail: &Arc<Tail>,
    lake: &Lake,
    snapshot: &Snapshot,
    context: &SealContext,
    mapping: &Mapping,
    archive: &Archive,
) -> Result<(), IndexerError> {
    let mut blocks = lake.read::<BlockRow>(snapshot).await?;
    blocks.sort_by_key(|block| block.number);
    let mut events = Files::<EventRow>::open(lake, snapshot, 0).await?;
    // What factories announced is in no event.
    let mut logs = if mapping.families().is_empty() { None } else { Some(Files::open(lake, snapshot, 0).await?) };
    let state = TailState(Arc::clone(tail));
    // What is written is only the state: rows and files of the blobs were published before.
    let context = SealContext { discard: true, ..context.clone() };
    let mut sealed = Sealed::default();
    let count = blocks.len();
    for (index, row) in blocks.iter().enumerate() {
        let block = block_ref(row)?;
        let mut view = StateView::resume(&state, std::mem::take(&mut sealed.overlay));
        if let Some(logs) = &mut logs {
            fold_children(&mut view, mapping, &stored(block, &logs.take_block(row.number)?)?)?;
        }
        let decoded = said(events.take_block(row.number)?)?;
        let folded = fold_block(&mut view, &context.chronology, mapping, &block, &[], decoded)?;
        sealed.overlay = view.into_overlay().0;
        let mut outcomes = BTreeMap::new();
        for need in &folded.needs {
            outcomes.insert(need.position, published_outcome(snapshot, need, archive, context.commitment_mode)?);
        }
        let body = Body {
            l1_origin: None,
            tx_count: 0,
            log_count: 0,
            trust: Trust::Verified,
            txs: BTreeMap::new(),
            raw_logs: Vec::new(),
            folded,
            reads: BTreeMap::new(),
        };
        let under = (&state as &dyn StateRead, &sealed.overlay);
        let late = late::of_published_block(under, snapshot, block.number, archive, context.commitment_mode)?;
        seal_block(&state, &context, &mut sealed, &block, body, (&outcomes, &late))?;
        sealed.rows = Columns::default();
        let root = sealed.head.map(|(_, root)| tributary_schemas::column::hex_text(root));
        if root.as_deref() != Some(row.log_root.as_str()) {
            return Err(IndexerError::Sealing {
                block: block.number,
                reason: format!("folding the published events gives log root {root:?}: expected {}", row.log_root),
            });
        }
        if sealed.blocks >= STEP_BLOCKS || index + 1 == count {
            tail.seal(block, sealed.writes())?;
            sealed.overlay.clear();
            sealed.blocks = 0;
        }
    }
    Ok(())
}

/// What was said in a block by its rows, in the order of positions.
fn said(rows: Vec<EventRow>) -> Result<Vec<Decoded>, IndexerError> {
    let of_chain = |row: &&EventRow| ["log", "transaction"].contains(&row.source.as_str());
    rows.iter().filter(of_chain).map(decoded).collect()
}

fn decoded(row: &EventRow) -> Result<Decoded, IndexerError> {
    let index = |number: i64| u32::try_from(number).map_err(|error| broken(format!("index {number}: {error}")));
    let reason = row.reason.as_deref().map(str::parse::<Reason>).transpose();
    let reason = reason.map_err(|error| broken(error.to_string()))?;
    Ok(Decoded {
        position: Position {
            block_number: u64::try_from(row.block_number).map_err(|error| broken(error.to_string()))?,
            tx_index: index(row.tx_index)?,
            log_index: index(row.log_index)?,
            sub_index: index(row.sub_index)?,
        },
        emitter: row.emitter.parse::<Address>().map_err(|error| broken(error.to_string()))?,
        rule: row.rule.as_str().into(),
        payload: payload_from_json(&row.kind, &row.payload).map_err(|error| broken(error.to_string()))?,
        // What was refused stays refused: it changed nothing then.
        refused: reason.map(|reason| (reason, String::new())),
    })
}
