//! One Parquet file of a table, read by key: where the rows of each key are, and the windows of rows that are read.
//!
//! The facts of an epoch lie in the order of their table, which is seldom that of what they are asked by. So the columns
//! with keys are read once, and where each is takes eight bytes; after that only pages with the rows asked for are read.

use arrow::array::{AsArray as _, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::PageIndexPolicy;
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};

use crate::durable;
use crate::error::StoreError;

/// Rows that are read together.
pub const WINDOW_ROWS: u64 = 8_192;
/// The column with the epoch of a row.
const EPOCH: &str = "epoch";
/// Of a place so many bits are the row, the others are of the key's hash.
const ROW_BITS: u32 = 40;
const ROW_MASK: u64 = (1 << ROW_BITS) - 1;

/// A file of facts, with where the rows of each key are.
#[derive(Debug)]
pub struct Keyed {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    rows: u64,
    epochs: Vec<i64>,
    hashing: RandomState,
    /// The hash of a key and the row it is in, in order.
    places: Vec<u64>,
}

impl Keyed {
    /// Reads where keys are: in texts of these columns, as `key` finds them there. The table has a column `epoch`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or a column is not there or of another type.
    pub fn open(path: &Path, columns: &[&str], key: fn(&str) -> Option<&str>) -> Result<Self, StoreError> {
        let fail = |source| StoreError::Parquet { path: path.to_owned(), source };
        let file = File::open(path).map_err(durable::io("opening", path))?;
        let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
        let metadata = ArrowReaderMetadata::load(&file, options).map_err(fail)?;
        let read = columns.iter().copied().chain([EPOCH]);
        let mask = ProjectionMask::columns(metadata.parquet_schema(), read);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone());
        let reader = reader.with_projection(mask).build().map_err(fail)?;
        let mut keyed = Self {
            path: path.to_owned(),
            metadata,
            rows: 0,
            epochs: Vec::new(),
            hashing: RandomState::new(),
            places: Vec::new(),
        };
        for batch in reader {
            let batch = batch.map_err(|cause| fail(cause.into()))?;
            keyed.add(&batch, columns, key).map_err(fail)?;
        }
        keyed.places.sort_unstable();
        keyed.places.shrink_to_fit();
        Ok(keyed)
    }

    fn add(
        &mut self,
        batch: &RecordBatch,
        columns: &[&str],
        key: fn(&str) -> Option<&str>,
    ) -> Result<(), ParquetError> {
        let wrong = |column: &str| ParquetError::General(format!("column {column} is absent or of another type"));
        for column in columns {
            let texts = batch.column_by_name(column).and_then(|texts| texts.as_string_opt::<i32>());
            for (row, text) in (self.rows..).zip(texts.ok_or_else(|| wrong(column))?) {
                if let Some(key) = text.and_then(key) {
                    self.places.push(self.hash(key) | row & ROW_MASK);
                }
            }
        }
        let epochs = batch.column_by_name(EPOCH).and_then(|epochs| epochs.as_primitive_opt::<Int64Type>());
        for epoch in epochs.ok_or_else(|| wrong(EPOCH))?.values() {
            if let Err(at) = self.epochs.binary_search(epoch) {
                self.epochs.insert(at, *epoch);
            }
        }
        self.rows = self.rows.saturating_add(u64::try_from(batch.num_rows()).unwrap_or(u64::MAX));
        Ok(())
    }

    fn hash(&self, key: &str) -> u64 {
        self.hashing.hash_one(key) & !ROW_MASK
    }

    /// The epochs of its rows, in order.
    #[must_use]
    pub fn epochs(&self) -> &[i64] {
        &self.epochs
    }

    /// Bytes that it takes in memory, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let held = (self.places.capacity() + self.epochs.capacity()).saturating_mul(size_of::<u64>());
        held.saturating_add(self.metadata.metadata().memory_size())
    }

    /// The rows of a key, counted from 0 and in order. A few of other keys may be among them: whoever reads them looks.
    pub fn rows_of(&self, key: &str) -> impl Iterator<Item = u64> + '_ {
        let hash = self.hash(key);
        let first = self.places.partition_point(|place| *place < hash);
        let found = self.places.get(first..).unwrap_or_default().iter();
        let mut found =
            found.take_while(move |place| **place & !ROW_MASK == hash).map(|place| place & ROW_MASK).peekable();
        // A row may have the key in two of its columns.
        std::iter::from_fn(move || {
            let row = found.next()?;
            while found.next_if_eq(&row).is_some() {}
            Some(row)
        })
    }

    /// The rows from `number` times [`WINDOW_ROWS`] on, as many as there are up to the next window.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn window(&self, number: u64) -> Result<RecordBatch, StoreError> {
        let fail = |source| StoreError::Parquet { path: self.path.clone(), source };
        let from = number.saturating_mul(WINDOW_ROWS);
        let to = std::cmp::min(from.saturating_add(WINDOW_ROWS), self.rows);
        let (mut groups, mut selection, mut first) = (Vec::new(), Vec::new(), 0);
        for (at, group) in self.metadata.metadata().row_groups().iter().enumerate() {
            let next = u64::try_from(group.num_rows()).map_or(first, |rows| first + rows);
            let (low, high) = (std::cmp::max(from, first), std::cmp::min(to, next));
            if low < high {
                groups.push(at);
                selection.extend([selector(RowSelector::skip, low - first), selector(RowSelector::select, high - low)]);
                selection.push(selector(RowSelector::skip, next - high));
            }
            first = next;
        }
        let file = File::open(&self.path).map_err(durable::io("opening", &self.path))?;
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let schema = std::sync::Arc::clone(reader.schema());
        let reader = reader.with_row_groups(groups).with_row_selection(RowSelection::from(selection));
        let reader =
            reader.with_batch_size(usize::try_from(WINDOW_ROWS).unwrap_or(usize::MAX)).build().map_err(fail)?;
        let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|cause| fail(cause.into()))?;
        concat_batches(&schema, &batches).map_err(|cause| fail(cause.into()))
    }
}

fn selector(of: fn(usize) -> RowSelector, rows: u64) -> RowSelector {
    of(usize::try_from(rows).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;
    use std::sync::Arc;

    fn key(text: &str) -> Option<&str> {
        text.strip_prefix("of:")
    }

    /// Rows `n` with the keys `n % 7` and `n % 11`, in groups that windows do not end with.
    fn written(path: &Path, rows: i64) -> RecordBatch {
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let number = |name: &str| Field::new(name, DataType::Int64, false);
        let schema = Arc::new(Schema::new(vec![number(EPOCH), number("n"), text("a"), text("b")]));
        let texts = |modulus: i64| StringArray::from_iter_values((0..rows).map(|n| format!("of:{}", n % modulus)));
        let columns: Vec<arrow::array::ArrayRef> = vec![
            Arc::new((0..rows).map(|n| n % 3 + 5).collect::<Int64Array>()),
            Arc::new((0..rows).collect::<Int64Array>()),
            Arc::new(texts(7)),
            Arc::new(texts(11)),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(5_000))
            .set_data_page_row_count_limit(700)
            .set_write_batch_size(100)
            .build();
        let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), schema, Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        batch
    }

    #[test]
    fn a_file_gives_the_rows_of_each_key_and_any_window() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("facts.parquet");
        let whole = written(&path, 20_000);
        let keyed = Keyed::open(&path, &["a", "b"], key).unwrap();
        assert_eq!(keyed.epochs(), [5, 6, 7]);
        assert!(keyed.bytes() >= 2 * 20_000 * 8);
        for wanted in 0..11 {
            let rows = (0..20_000).filter(|n| n % 7 == wanted || n % 11 == wanted).collect::<Vec<u64>>();
            // Few hashes are the same in their first 24 bits; those of these keys are looked for, not assumed.
            let found = keyed.rows_of(&wanted.to_string()).collect::<Vec<_>>();
            assert!(rows.iter().all(|row| found.binary_search(row).is_ok()), "{wanted}");
            assert!(found.windows(2).all(|two| two[0] < two[1]), "{wanted}");
        }
        for (number, rows) in [(0, 8_192), (1, 8_192), (2, 3_616), (3, 0)] {
            let from = usize::try_from(number * WINDOW_ROWS).unwrap();
            let expected = whole.slice(std::cmp::min(from, 20_000), rows);
            assert_eq!(keyed.window(number).unwrap(), expected, "window {number}");
        }
    }

    #[test]
    fn a_file_without_the_column_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("facts.parquet");
        written(&path, 10);
        for column in ["c", "n"] {
            let error = Keyed::open(&path, &[column], key).unwrap_err();
            let said = std::error::Error::source(&error).unwrap().to_string();
            assert!(said.contains(&format!("column {column} is absent or of another type")), "{said}");
        }
    }
}
