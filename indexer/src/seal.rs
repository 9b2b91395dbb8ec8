//! From final blocks to published tables.
//!
//! A block is sealed when it is final, a posting on L1 carries it (where L1 is read for that), and every blob it
//! refers to has an outcome. What the blobs say is judged here, in
//! the order of the log and against the state *before each reference*: it needs no undo, and nothing sealed is ever
//! completed later: a blob that turns up after it was declared missing is a fact of a later block (`late`). Sealed blocks
//! collect until there is reason to publish; [`Lake::publish`](tributary_store::Lake)
//! makes them visible as one cut, then the tail forgets how to undo them.
//!
//! ```text
//! body of a block ─▶ outcomes of its blobs ─▶ BatchDecoded, ManifestDecoded, … ─▶ log root ─▶ rows ─▶ publish ─▶ Tail::seal
//! ```
//!
//! A crash between publishing and sealing is mended by sealing the same blocks again without publishing: the same
//! input gives the same log root, which is compared. A tail that was lost is built again from the table of events.

mod batch;
mod body;
mod late;
mod lineage;
mod manifest;
mod outcome;
mod publish;
mod rebuild;
mod row;
mod said;

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tributary_schemas::eigenda::Mode;
use tributary_schemas::encoding::{events_digest, log_root_next};
use tributary_schemas::facts::{Columns, Row};
use tributary_schemas::{BlockRef, Event, Payload, Position};
use tributary_store::{DeclaredOutcome, Staged};

use crate::fold::{BlobNeed, Chronology, FoldedEvent};
use crate::state::{Key, Overlay, StateRead, StateView, Writes};
use crate::{IndexerError, Trust};
pub use body::{Body, RawLog, TxBrief, ingest_block};
pub use late::{Imported, Late};
pub use outcome::Outcome;
pub use publish::{Progressed, PublishLimits, Sealer};
pub use said::HotRows;

/// Where sealing stands: kept in the state at the sealed head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedHead {
    /// The sealed block.
    pub number: u64,
    /// Log root there.
    pub log_root: B256,
}

/// Sealed blocks that are not published yet.
#[derive(Debug, Default)]
pub struct Sealed {
    /// Their rows.
    pub rows: Columns,
    /// Files of large batches.
    pub staged: Vec<Staged>,
    /// Outcomes that were inputs.
    pub declared: Vec<DeclaredOutcome>,
    /// The last block and the log root there.
    pub head: Option<(BlockRef, B256)>,
    /// Blocks in it.
    pub blocks: u64,
    /// Rows staged in files.
    pub staged_rows: usize,
    /// Whether a block of it came from a source that is not verified.
    pub tainted: bool,
    overlay: Overlay,
    overlay_bytes: usize,
}

impl Sealed {
    /// Rows in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len() + self.staged_rows
    }

    /// Bytes of memory that rows and writes take, about. What is staged takes none.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.rows.bytes() + self.overlay_bytes
    }

    /// Whether nothing was sealed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// The writes of the sealed blocks into the state.
    #[must_use]
    pub fn writes(&self) -> Writes {
        self.overlay.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

/// What is the same for every block that is sealed.
#[derive(Debug, Clone)]
pub struct SealContext {
    /// Chain and epochs.
    pub chronology: Chronology,
    /// Log root before the first block.
    pub log_root_origin: B256,
    /// How references to blobs are read.
    pub commitment_mode: Mode,
    /// How finality is known.
    pub finality: String,
    /// Where files of large batches are staged.
    pub staging: PathBuf,
    /// Only the state is wanted: the rows were published before.
    pub discard: bool,
}

/// Seals one block on top of what is sealed already. `outcomes` has one for every blob the block needs, `late` those of
/// earlier blocks that were found since.
#[tracing::instrument(level = "debug", name = "seal", skip_all, fields(block = block.number))]
pub fn seal_block(
    base: &dyn StateRead,
    context: &SealContext,
    sealed: &mut Sealed,
    block: &BlockRef,
    mut body: Body,
    (outcomes, late): (&BTreeMap<Position, Outcome>, &Late),
) -> Result<(), IndexerError> {
    let (mut events, rows) = (std::mem::take(&mut body.folded.events), std::mem::take(&mut body.folded.rows));
    let mut state = StateView::resume(base, std::mem::take(&mut sealed.overlay));
    let previous = match &sealed.head {
        Some((_, root)) => *root,
        None => state.get::<SealedHead>(&Key::sealed())?.map_or(context.log_root_origin, |head| head.log_root),
    };
    let mut step =
        SealStep { context, state: &mut state, block, body: &body, logged: &events, sealed, found: Vec::new() };
    for folded in &events {
        step.event(folded, outcomes)?;
    }
    step.late(late)?;
    let found = step.found;
    if !found.is_empty() {
        events.extend(found);
        events.sort_by_key(|folded| folded.event.position);
    }
    let log_root = log_root_next(previous, block.hash, events_digest(events.iter().map(|folded| &folded.event)));
    let mut step =
        SealStep { context, state: &mut state, block, body: &body, logged: &events, sealed, found: Vec::new() };
    step.rows(rows, log_root)?;
    state.put(Key::sealed(), &SealedHead { number: block.number, log_root })?;
    let (overlay, added) = state.into_overlay();
    sealed.overlay = overlay;
    sealed.overlay_bytes += added;
    sealed.head = Some((*block, log_root));
    sealed.tainted |= body.trust == Trust::Unverified;
    sealed.blocks += 1;
    Ok(())
}

/// One block on its way into the tables.
struct SealStep<'a, 'b> {
    context: &'a SealContext,
    state: &'a mut StateView<'b>,
    block: &'a BlockRef,
    /// What the tail kept of it, but for its events and rows.
    body: &'a Body,
    /// Its events.
    logged: &'a [FoldedEvent],
    sealed: &'a mut Sealed,
    /// Facts that blobs yield.
    found: Vec<FoldedEvent>,
}

impl SealStep<'_, '_> {
    fn event(&mut self, folded: &FoldedEvent, outcomes: &BTreeMap<Position, Outcome>) -> Result<(), IndexerError> {
        if !folded.event.is_valid() {
            return Ok(());
        }
        let position = folded.event.position;
        match &folded.event.payload {
            Payload::AttributionBatchCommitted { .. } | Payload::DatasetVersionPublished { .. } => {
                let need = self.body.folded.needs.iter().find(|need| need.position == position).cloned();
                let (Some(need), Some(outcome)) = (need, outcomes.get(&position)) else {
                    return Err(self.fault(format!("the blob referred to at {position} has no outcome")));
                };
                self.blob(&folded.event, &need, outcome)
            }
            Payload::BatchChallenged { batch, .. } => self.change_batch(batch.0, |row| row.challenged = true),
            Payload::BatchResolved { batch, outcome, .. } => self.resolve_batch(batch.0, *outcome),
            _ => Ok(()),
        }
    }

    fn blob(&mut self, event: &Event, need: &BlobNeed, outcome: &Outcome) -> Result<(), IndexerError> {
        match &event.payload {
            Payload::AttributionBatchCommitted { .. } => self.batch(event, need, outcome, event.position),
            _ => self.manifest(event, need, outcome),
        }
    }

    /// Adds what a blob yields, after everything else its log yields.
    fn add_event(&mut self, at: Position, payload: Payload, detail: String) {
        let same_log = |other: &Position| {
            (other.tx_index, other.log_index) == (at.tx_index, at.log_index) && other.block_number == at.block_number
        };
        let known = self.logged.iter().chain(&self.found).map(|folded| folded.event.position);
        let last = known.filter(same_log).max();
        let sub_index = last.map_or(0, |last| last.sub_index.saturating_add(1));
        let event = Event {
            position: Position { sub_index, ..at },
            emitter: alloy_primitives::Address::ZERO,
            reason: None,
            flags: tributary_schemas::code::Flags::NONE,
            payload,
        };
        self.found.push(FoldedEvent { event, rule: String::new(), detail });
    }

    fn push(&mut self, row: impl Into<Row>) {
        self.sealed.rows.push(&row.into());
    }

    fn epoch(&self) -> i64 {
        self.context.chronology.epoch(self.block.timestamp)
    }

    fn fault(&self, reason: String) -> IndexerError {
        IndexerError::Sealing { block: self.block.number, reason }
    }
}

#[cfg(test)]
mod tests;
