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

/// Rows of one file, as they are read.
type Rows = Box<dyn Iterator<Item = Result<EventRow, IndexerError>> + Send>;

/// The rows of a table's files, block by block. Each file is sorted. Where small files were made into one, its blocks
/// may lie on both sides of another file's.
struct EventFiles {
    /// Files that begin later, the next one last.
    waiting: Vec<(i64, PathBuf)>,
    /// Files that have begun, each with its next row.
    begun: Vec<(EventRow, Rows)>,
}

impl EventFiles {
    fn open(paths: Vec<PathBuf>) -> Result<Self, IndexerError> {
        let mut waiting = Vec::new();
        for path in paths {
            let first = rows(&path)?.next().transpose()?;
            waiting.extend(first.map(|row| (row.block_number, path)));
        }
        waiting.sort_by(|left, right| right.cmp(left));
        Ok(Self { waiting, begun: Vec::new() })
    }

    /// What was said in a block, in the order of positions.
    fn take_block(&mut self, number: i64) -> Result<Vec<Decoded>, IndexerError> {
        while let Some((_, path)) = self.waiting.pop_if(|(first, _)| *first <= number) {
            let mut rows = rows(&path)?;
            if let Some(row) = rows.next().transpose()? {
                self.begun.push((row, rows));
            }
        }
        let mut out = Vec::new();
        let mut begun = Vec::with_capacity(self.begun.len());
        for (mut next, mut rows) in self.begun.drain(..) {
            loop {
                if next.block_number > number {
                    begun.push((next, rows));
                    break;
                }
                if next.block_number < number {
                    return Err(broken(format!("events of block {} after block {number}", next.block_number)));
                }
                if ["log", "transaction"].contains(&next.source.as_str()) {
                    out.push(decoded(&next)?);
                }
                match rows.next().transpose()? {
                    Some(row) => next = row,
                    None => break,
                }
            }
        }
        self.begun = begun;
        out.sort_by_key(|decoded| decoded.position);
        Ok(out)
    }
}

fn rows(path: &Path) -> Result<Rows, IndexerError> {
    let shown = path.display().to_string();
    let failed = move |error: &dyn std::fmt::Display| broken(format!("{shown}: {error}"));
    let file = File::open(path).map_err(|error| failed(&error))?;
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build());
    let batches = batches.map_err(|error| failed(&error))?;
    Ok(Box::new(batches.flat_map(move |batch| {
        let rows = batch.map_err(|error| failed(&error));
        let rows = rows.and_then(|batch| EventRow::from_batch(&batch).map_err(|error| failed(&error)));
        let (rows, error) = match rows {
            Ok(rows) => (rows, None),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        rows.into_iter().map(Ok).chain(error)
    })))
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{B256, U256};
    use tributary_schemas::Payload;
    use tributary_schemas::encoding::payload_json;
    use tributary_schemas::id::EntityId;

    fn row(block: i64, log: i64) -> EventRow {
        let entity = EntityId(B256::from(U256::from(block)));
        let payload = Payload::OwnershipTransferred { entity, from: Address::ZERO, to: Address::ZERO };
        EventRow {
            epoch: 0,
            event_id: format!("{block}-{log}"),
            block_number: block,
            tx_index: 0,
            log_index: log,
            sub_index: 0,
            tx_hash: None,
            emitter: Address::ZERO.to_string(),
            source: "log".to_owned(),
            kind: payload.kind().to_owned(),
            schema_version: 1,
            rule: "t".to_owned(),
            valid: true,
            reason: None,
            flags: String::new(),
            payload: payload_json(&payload),
        }
    }

    fn write(path: &Path, rows: &[EventRow]) {
        let file = File::create(path).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, EventRow::info().schema, None).unwrap();
        writer.write(&EventRow::to_batch(rows)).unwrap();
        writer.close().unwrap();
    }

    #[test]
    fn blocks_come_in_order_from_files_that_lie_around_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let files: [&[EventRow]; 3] =
            [&[row(1, 0), row(1, 1), row(5, 0)], &[row(2, 0), row(4, 7)], &[row(5, 9), row(9, 0)]];
        let paths = (0..files.len()).map(|number| dir.path().join(number.to_string())).collect::<Vec<_>>();
        for (path, rows) in paths.iter().zip(files) {
            write(path, rows);
        }
        let mut events = EventFiles::open(paths.clone()).unwrap();
        let mut seen = Vec::new();
        for block in 0..10 {
            let decoded = events.take_block(block).unwrap();
            seen.extend(decoded.into_iter().map(|decoded| (decoded.position.block_number, decoded.position.log_index)));
        }
        assert_eq!(seen, [(1, 0), (1, 1), (2, 0), (4, 7), (5, 0), (5, 9), (9, 0)]);

        // A block that is passed over is a fault of the list of blocks, and is said.
        let mut events = EventFiles::open(paths).unwrap();
        events.take_block(1).unwrap();
        assert!(events.take_block(9).is_err());
    }
}
