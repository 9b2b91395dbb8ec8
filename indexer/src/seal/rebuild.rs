//! The log-state from the sealed tables, when the tail was lost.
//!
//! The table of events holds everything contracts said, in order; folding it again and sealing it again, with blobs
//! from the archive, gives the state and the log root. The root is compared with the snapshot's: nothing is believed.

use alloy_primitives::Address;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tributary_schemas::code::Reason;
use tributary_schemas::encoding::payload_from_json;
use tributary_schemas::facts::{BlockRow, Columns, EventRow};
use tributary_schemas::{Position, Table as _};
use tributary_store::{Archive, Lake, Snapshot, Tail};

use super::publish::published_outcome;
use super::{Body, SealContext, Sealed, late, seal_block};
use crate::decode::{Decoded, block_ref};
use crate::fold::fold_block;
use crate::pipeline::TailState;
use crate::state::{StateRead, StateView};
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
    let paths = lake.files(snapshot, EventRow::NAME).await?.into_iter().map(|file| file.path).collect();
    let mut events = EventFiles::open(paths)?;
    let state = TailState(Arc::clone(tail));
    // What is written is only the state: rows and files of the blobs were published before.
    let context = SealContext { discard: true, ..context.clone() };
    let mut sealed = Sealed::default();
    let count = blocks.len();
    for (index, row) in blocks.iter().enumerate() {
        let block = block_ref(row)?;
        let mut view = StateView::resume(&state, std::mem::take(&mut sealed.overlay));
        let decoded = events.take_block(row.number)?;
        let folded = fold_block(&mut view, &context.chronology, mapping, &block, &[], decoded)?;
        sealed.overlay = view.into_overlay();
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

fn broken(reason: String) -> IndexerError {
    IndexerError::State { key: "published tables".to_owned(), reason }
}

/// The rows of a table's files, block by block. Files hold ranges of blocks that do not overlap, each sorted.
struct EventFiles {
    paths: std::vec::IntoIter<PathBuf>,
    rows: std::iter::Peekable<std::vec::IntoIter<EventRow>>,
}

impl EventFiles {
    fn open(paths: Vec<PathBuf>) -> Result<Self, IndexerError> {
        let mut ordered = Vec::new();
        for path in paths {
            ordered.push((first_block(&path)?, path));
        }
        ordered.sort();
        let paths = ordered.into_iter().map(|(_, path)| path).collect::<Vec<_>>().into_iter();
        Ok(Self { paths, rows: Vec::new().into_iter().peekable() })
    }

    /// What was said in a block, in the order of positions.
    fn take_block(&mut self, number: i64) -> Result<Vec<Decoded>, IndexerError> {
        let mut out = Vec::new();
        loop {
            while let Some(row) = self.rows.next_if(|row| row.block_number <= number) {
                if row.block_number < number {
                    return Err(broken(format!("events of block {} after block {number}", row.block_number)));
                }
                if ["log", "transaction"].contains(&row.source.as_str()) {
                    out.push(decoded(&row)?);
                }
            }
            if self.rows.peek().is_some() {
                return Ok(out);
            }
            let Some(path) = self.paths.next() else { return Ok(out) };
            self.rows = read(&path, None)?.into_iter().peekable();
        }
    }
}

fn first_block(path: &Path) -> Result<i64, IndexerError> {
    Ok(read(path, Some(1))?.first().map_or(i64::MAX, |row| row.block_number))
}

fn read(path: &Path, limit: Option<usize>) -> Result<Vec<EventRow>, IndexerError> {
    let failed = |error: &dyn std::fmt::Display| broken(format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(|error| failed(&error))?;
    let mut builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| failed(&error))?;
    if let Some(limit) = limit {
        builder = builder.with_limit(limit);
    }
    let mut rows = Vec::new();
    for batch in builder.build().map_err(|error| failed(&error))? {
        let batch = batch.map_err(|error| failed(&error))?;
        rows.extend(EventRow::from_batch(&batch).map_err(|error| failed(&error))?);
    }
    Ok(rows)
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
