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
use tributary_schemas::facts::{BlockRow, Columns, EventRow, RawLogRow};
use tributary_schemas::{Position, Table};
use tributary_store::{Archive, Lake, Snapshot, Tail};

use super::publish::published_outcome;
use super::{Body, SealContext, Sealed, late, seal_block};
use crate::decode::{Decoded, block_ref, stored};
use crate::fold::{fold_block, fold_children};
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
    let mut events = Files::<EventRow>::open(lake, snapshot).await?;
    // What factories announced is in no event.
    let mut logs = if mapping.families().is_empty() { None } else { Some(Files::open(lake, snapshot).await?) };
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

fn broken(reason: String) -> IndexerError {
    IndexerError::State { key: "published tables".to_owned(), reason }
}

/// Rows of one file, as they are read.
type Rows<T> = Box<dyn Iterator<Item = Result<T, IndexerError>> + Send>;

/// A row of a table that is sorted by blocks.
trait OfBlock: Table + Send + 'static {
    /// Its place: the block, and the order in it.
    fn place(&self) -> (i64, [i64; 3]);
}

impl OfBlock for EventRow {
    fn place(&self) -> (i64, [i64; 3]) {
        (self.block_number, [self.tx_index, self.log_index, self.sub_index])
    }
}

impl OfBlock for RawLogRow {
    fn place(&self) -> (i64, [i64; 3]) {
        (self.block_number, [self.tx_index, self.log_index, 0])
    }
}

/// The rows of a table's files, block by block. Each file is sorted. Where small files were made into one, its blocks
/// may lie on both sides of another file's.
struct Files<T> {
    /// Files that begin later, the next one last.
    waiting: Vec<(i64, PathBuf)>,
    /// Files that have begun, each with its next row.
    begun: Vec<(T, Rows<T>)>,
}

impl<T: OfBlock> Files<T> {
    /// The files of a table in a snapshot.
    async fn open(lake: &Lake, snapshot: &Snapshot) -> Result<Self, IndexerError> {
        Self::of(lake.files(snapshot, T::NAME).await?.into_iter().map(|file| file.path).collect())
    }

    fn of(paths: Vec<PathBuf>) -> Result<Self, IndexerError> {
        let mut waiting = Vec::new();
        for path in paths {
            let first = rows::<T>(&path)?.next().transpose()?;
            waiting.extend(first.map(|row| (row.place().0, path)));
        }
        waiting.sort_by(|left, right| right.cmp(left));
        Ok(Self { waiting, begun: Vec::new() })
    }

    /// The rows of a block, in order.
    fn take_block(&mut self, number: i64) -> Result<Vec<T>, IndexerError> {
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
                let (block, _) = next.place();
                if block > number {
                    begun.push((next, rows));
                    break;
                }
                if block < number {
                    return Err(broken(format!("{} of block {block} after block {number}", T::NAME)));
                }
                let after = rows.next().transpose()?;
                out.push(next);
                match after {
                    Some(row) => next = row,
                    None => break,
                }
            }
        }
        self.begun = begun;
        out.sort_by_key(T::place);
        Ok(out)
    }
}

/// What was said in a block by its rows, in the order of positions.
fn said(rows: Vec<EventRow>) -> Result<Vec<Decoded>, IndexerError> {
    let of_chain = |row: &&EventRow| ["log", "transaction"].contains(&row.source.as_str());
    rows.iter().filter(of_chain).map(decoded).collect()
}

fn rows<T: OfBlock>(path: &Path) -> Result<Rows<T>, IndexerError> {
    let shown = path.display().to_string();
    let failed = move |error: &dyn std::fmt::Display| broken(format!("{shown}: {error}"));
    let file = File::open(path).map_err(|error| failed(&error))?;
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build());
    let batches = batches.map_err(|error| failed(&error))?;
    Ok(Box::new(batches.flat_map(move |batch| {
        let rows = batch.map_err(|error| failed(&error));
        let rows = rows.and_then(|batch| T::from_batch(&batch).map_err(|error| failed(&error)));
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
        let mut events = Files::<EventRow>::of(paths.clone()).unwrap();
        let mut seen = Vec::new();
        for block in 0..10 {
            let decoded = said(events.take_block(block).unwrap()).unwrap();
            seen.extend(decoded.into_iter().map(|decoded| (decoded.position.block_number, decoded.position.log_index)));
        }
        assert_eq!(seen, [(1, 0), (1, 1), (2, 0), (4, 7), (5, 0), (5, 9), (9, 0)]);

        // A block that is passed over is a fault of the list of blocks, and is said.
        let mut events = Files::<EventRow>::of(paths).unwrap();
        events.take_block(1).unwrap();
        assert!(events.take_block(9).is_err());
    }
}
