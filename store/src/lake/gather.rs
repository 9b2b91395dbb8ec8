//! Keeping the number of files small: which files a change of states must touch, and small files made into one.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Int64Type};
use serde_json::Value;
use std::path::Path;
use tributary_schemas::table::TableInfo;

use super::file::{self, DataFile, GROUP_ROWS};
use super::log::{Version, Want};
use super::{states, stats};
use crate::error::StoreError;

/// A file below this size and this number of rows is small: the cost of opening it outweighs reading it. Rows count
/// too, as a small file of repetitive rows is large in memory.
const SMALL_BYTES: u64 = 1 << 20;
const SMALL_ROWS: u64 = 16_384;
/// So many small files of one kind are made into one.
const SMALL_FILES: usize = 16;
/// At most so many files, and no more rows than fit in a row group, at once: that bounds the memory taken.
const SMALL_FILES_MAX: usize = 64;

/// Makes the small files that `held` has under a prefix into one, once there are enough of them. Files of this very
/// publication are left alone, so that a reader of changes sees its rows as new.
pub(super) fn small_files(
    folder: &Path,
    info: &TableInfo,
    held: &Version,
    prefix: &str,
    want: &mut Want,
) -> Result<(), StoreError> {
    let is_small = |file: &&DataFile| file.bytes < SMALL_BYTES && file.rows < SMALL_ROWS;
    let of_kind =
        held.files.values().filter(|file| file.name.starts_with(prefix) && want.files.contains_key(&file.name));
    let mut small = of_kind.filter(is_small).take(SMALL_FILES_MAX).cloned().collect::<Vec<_>>();
    if small.len() < SMALL_FILES {
        return Ok(());
    }
    let mut rows = 0;
    small.retain(|file| {
        rows += file.rows;
        rows <= 2 * half_a_group()
    });
    let mut rows = Vec::new();
    for file in &small {
        rows.extend(file::read(&folder.join(&file.name))?);
    }
    let arrow = |source| StoreError::Arrow { table: info.name.to_owned(), source };
    let rows = concat_batches(&info.schema, &rows).map_err(arrow)?;
    let one = file::write(folder, prefix, info, &states::sorted(info, &rows).map_err(arrow)?)?;
    for file in small {
        want.files.remove(&file.name);
        want.rearranged.insert(file.name);
    }
    want.rearranged.insert(one.name.clone());
    want.put(one);
    Ok(())
}

/// The files of open states that may hold a key of the change, and the smallest one, to which new keys are added.
pub(super) fn touched<'a>(
    info: &TableInfo,
    open: impl Iterator<Item = &'a DataFile>,
    change: &RecordBatch,
) -> Vec<String> {
    let mut out = Vec::new();
    let mut smallest: Option<&DataFile> = None;
    for file in open {
        let ranges = stats::ranges_of(&file.stats, info.key);
        if (0..change.num_rows()).any(|row| within(info, change, row, &ranges)) {
            out.push(file.name.clone());
        } else if file.rows < half_a_group() && smallest.is_none_or(|smallest| file.rows < smallest.rows) {
            smallest = Some(file);
        }
    }
    out.extend(smallest.map(|file| file.name.clone()));
    out
}

/// Whether the key of a row lies within the bounds of a file.
fn within(info: &TableInfo, change: &RecordBatch, row: usize, ranges: &[Option<(Value, Value)>]) -> bool {
    info.key.iter().zip(ranges).all(|(name, range)| {
        let (Some((low, high)), Some(column)) = (range, change.column_by_name(name)) else { return true };
        match column.data_type() {
            DataType::Int64 => {
                let value = column.as_primitive::<Int64Type>().value(row);
                low.as_i64().is_none_or(|low| low <= value) && high.as_i64().is_none_or(|high| value <= high)
            }
            DataType::Utf8 => {
                let value = column.as_string::<i32>().value(row);
                low.as_str().is_none_or(|low| low <= value) && high.as_str().is_none_or(|high| value <= high)
            }
            _ => true,
        }
    })
}

fn half_a_group() -> u64 {
    u64::try_from(GROUP_ROWS / 2).unwrap_or(u64::MAX)
}
