//! Published tables that are sorted by blocks, read back block by block.

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use std::fs::File;
use std::path::{Path, PathBuf};
use tributary_schemas::Table;
use tributary_schemas::facts::{EventRow, RawLogRow, StateReadRow};
use tributary_store::{Lake, Snapshot};

use crate::IndexerError;

/// The column of the block in all of these tables.
const BLOCK: &str = "block_number";

/// An error of what is published.
pub(crate) fn broken(reason: String) -> IndexerError {
    IndexerError::State { key: "published tables".to_owned(), reason }
}

/// Rows of one file, as they are read.
type Rows<T> = Box<dyn Iterator<Item = Result<T, IndexerError>> + Send>;

/// A row of a table that is sorted by blocks.
pub(crate) trait OfBlock: Table + Send + 'static {
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

impl OfBlock for StateReadRow {
    fn place(&self) -> (i64, [i64; 3]) {
        (self.block_number, [self.ordinal, 0, 0])
    }
}

/// The rows of a table's files, block by block. Each file is sorted. Where small files were made into one, its blocks
/// may lie on both sides of another file's.
pub(crate) struct Files<T> {
    /// The first block that is wanted.
    from: i64,
    /// Files that begin later, the next one last.
    waiting: Vec<(i64, PathBuf)>,
    /// Files that have begun, each with its next row.
    begun: Vec<(T, Rows<T>)>,
}

impl<T: OfBlock> Files<T> {
    /// The files of a table in a snapshot, from a block on.
    pub(crate) async fn open(lake: &Lake, snapshot: &Snapshot, from: i64) -> Result<Self, IndexerError> {
        Self::of(lake.files(snapshot, T::NAME).await?.into_iter().map(|file| file.path).collect(), from)
    }

    fn of(paths: Vec<PathBuf>, from: i64) -> Result<Self, IndexerError> {
        let mut waiting = Vec::new();
        for path in paths {
            let first = rows::<T>(&path, from)?.next().transpose()?;
            waiting.extend(first.map(|row| (row.place().0, path)));
        }
        waiting.sort_by(|left, right| right.cmp(left));
        Ok(Self { from, waiting, begun: Vec::new() })
    }

    /// Passes over every block before this one.
    pub(crate) fn pass(&mut self, number: i64) -> Result<(), IndexerError> {
        self.from = std::cmp::max(self.from, number);
        let mut begun = Vec::with_capacity(self.begun.len());
        for (row, rows) in self.begun.drain(..) {
            begun.extend(from_block(number, Some(row), rows)?);
        }
        self.begun = begun;
        Ok(())
    }

    /// The rows of a block, in order.
    pub(crate) fn take_block(&mut self, number: i64) -> Result<Vec<T>, IndexerError> {
        while let Some((_, path)) = self.waiting.pop_if(|(first, _)| *first <= number) {
            let mut rows = rows(&path, self.from)?;
            let first = rows.next().transpose()?;
            self.begun.extend(from_block(self.from, first, rows)?);
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

/// Rows of a file from a block on, the first of them apart.
fn from_block<T: OfBlock>(
    from: i64,
    mut next: Option<T>,
    mut rows: Rows<T>,
) -> Result<Option<(T, Rows<T>)>, IndexerError> {
    while let Some(row) = next {
        if row.place().0 >= from {
            return Ok(Some((row, rows)));
        }
        next = rows.next().transpose()?;
    }
    Ok(None)
}

/// The rows of a file, without the row groups that end before a block.
fn rows<T: OfBlock>(path: &Path, from: i64) -> Result<Rows<T>, IndexerError> {
    let shown = path.display().to_string();
    let failed = move |error: &dyn std::fmt::Display| broken(format!("{shown}: {error}"));
    let file = File::open(path).map_err(|error| failed(&error))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| failed(&error))?;
    let groups = groups(builder.metadata(), from);
    let batches = builder.with_row_groups(groups).build().map_err(|error| failed(&error))?;
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

/// The row groups that may have a block from this one on.
fn groups(file: &ParquetMetaData, from: i64) -> Vec<usize> {
    let columns = file.file_metadata().schema_descr().columns();
    let column = columns.iter().position(|column| column.name() == BLOCK);
    let last = |group: &RowGroupMetaData| match group.columns().get(column?)?.statistics()? {
        Statistics::Int64(blocks) => blocks.max_opt().copied(),
        _ => None,
    };
    let groups = file.row_groups().iter().enumerate();
    groups.filter(|(_, group)| last(group).is_none_or(|last| last >= from)).map(|(index, _)| index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::properties::WriterProperties;

    fn row(block: i64, ordinal: i64) -> StateReadRow {
        StateReadRow {
            epoch: 0,
            block_number: block,
            ordinal,
            block_hash: String::new(),
            contract: String::new(),
            calldata: tributary_schemas::column::Binary(Vec::new()),
            outcome: "reverted".to_owned(),
            answer: tributary_schemas::column::Binary(Vec::new()),
            agreeing: 1,
        }
    }

    /// Files with these rows, in row groups of two.
    fn written(dir: &Path, files: &[&[(i64, i64)]]) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        for (number, places) in files.iter().enumerate() {
            let path = dir.join(number.to_string());
            let properties = WriterProperties::builder().set_max_row_group_row_count(Some(2)).build();
            let file = File::create(&path).unwrap();
            let schema = StateReadRow::info().schema;
            let mut writer = parquet::arrow::ArrowWriter::try_new(file, schema, Some(properties)).unwrap();
            let rows: Vec<_> = places.iter().map(|(block, ordinal)| row(*block, *ordinal)).collect();
            writer.write(&StateReadRow::to_batch(&rows)).unwrap();
            writer.close().unwrap();
            paths.push(path);
        }
        paths
    }

    fn taken(files: &mut Files<StateReadRow>, block: i64) -> Vec<(i64, i64)> {
        files.take_block(block).unwrap().iter().map(|row| (row.block_number, row.ordinal)).collect()
    }

    #[test]
    fn blocks_come_in_order_from_files_that_lie_around_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let paths = written(dir.path(), &[&[(1, 0), (1, 1), (5, 0)], &[(2, 0), (4, 7)], &[(5, 9), (9, 0)]]);
        let mut files = Files::of(paths.clone(), 0).unwrap();
        let seen: Vec<_> = (0..10).flat_map(|block| taken(&mut files, block)).collect();
        assert_eq!(seen, [(1, 0), (1, 1), (2, 0), (4, 7), (5, 0), (5, 9), (9, 0)]);

        // A block that is passed over is a fault of the list of blocks, and is said.
        let mut files = Files::<StateReadRow>::of(paths, 0).unwrap();
        files.take_block(1).unwrap();
        assert!(files.take_block(9).is_err());
    }

    #[test]
    fn what_is_not_wanted_is_passed_over_and_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let paths = written(dir.path(), &[&[(1, 0), (1, 1), (5, 0), (6, 0), (7, 0)], &[(2, 0), (4, 7)], &[(9, 0)]]);
        for from in 0..10 {
            let wanted: Vec<_> = [(1, 0), (1, 1), (2, 0), (4, 7), (5, 0), (6, 0), (7, 0), (9, 0)]
                .into_iter()
                .filter(|(block, _)| *block >= from)
                .collect();
            let mut files = Files::of(paths.clone(), from).unwrap();
            let seen: Vec<_> = (from..10).flat_map(|block| taken(&mut files, block)).collect();
            assert_eq!(seen, wanted, "from {from}");
            // In the middle, after some were taken.
            let mut files = Files::of(paths.clone(), 0).unwrap();
            assert_eq!(taken(&mut files, 0), []);
            assert_eq!(taken(&mut files, 1), [(1, 0), (1, 1)]);
            files.pass(from).unwrap();
            let seen: Vec<_> = (std::cmp::max(from, 2)..10).flat_map(|block| taken(&mut files, block)).collect();
            assert_eq!(seen, wanted.iter().copied().filter(|(block, _)| *block > 1).collect::<Vec<_>>(), "from {from}");
        }
        let metadata = ParquetRecordBatchReaderBuilder::try_new(File::open(&paths[0]).unwrap()).unwrap();
        assert_eq!(groups(metadata.metadata(), 0), [0, 1, 2]);
        assert_eq!(groups(metadata.metadata(), 5), [1, 2]);
        assert_eq!(groups(metadata.metadata(), 8), [] as [usize; 0]);
    }
}
