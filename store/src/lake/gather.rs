//! Keeping the number of files small: which files a change of states must touch, and small files made into one.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Int64Type};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::BTreeMap;
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
/// At most so many files, and no more rows than fit in a row group, at once.
const SMALL_FILES_MAX: usize = 64;
/// Rows that have to be sorted are in memory, and once more while they are: so many bytes of them, about.
const SORTED_BYTES_MAX: usize = 16 << 20;

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
    let mut small = of_kind.filter(is_small).cloned().collect::<Vec<_>>();
    if small.len() < SMALL_FILES {
        return Ok(());
    }
    let is_in_line = line_up(info, &mut small);
    let mut rows = 0;
    let fit = |file: &DataFile| {
        rows += file.rows;
        rows <= 2 * half_a_group()
    };
    let count = small.iter().take(SMALL_FILES_MAX).map(fit).take_while(|fits| *fits).count();
    small.truncate(count);
    let one = if is_in_line {
        let rows = small.iter().map(|file| file.rows).sum::<u64>();
        let batches = small.iter().map(|file| file::batches(&folder.join(&file.name)));
        let batches = batches.collect::<Result<Vec<_>, _>>()?.into_iter().flatten();
        file::write_batches(folder, prefix, info, usize::try_from(rows).unwrap_or(usize::MAX), batches)?
    } else {
        file::write(folder, prefix, info, &sorted_rows(folder, info, &mut small)?)?
    };
    for file in small {
        want.files.remove(&file.name);
        want.rearranged.insert(file.name);
    }
    want.rearranged.insert(one.name.clone());
    want.put(one);
    Ok(())
}

/// Puts files in the order of their rows, if none of them overlaps with another in the column that comes first: their
/// rows need not be sorted then, and go from file to file without being in memory together.
fn line_up(info: &TableInfo, files: &mut [DataFile]) -> bool {
    let range = |file: &DataFile| stats::ranges_of(&file.stats, info.sort.get(..1)?).pop()?;
    let ranges = files.iter().map(|file| Some((file.name.clone(), range(file)?))).collect::<Option<BTreeMap<_, _>>>();
    let Some(ranges) = ranges else { return false };
    files.sort_by(|left, right| order(&ranges[&left.name].0, &ranges[&right.name].0));
    files.windows(2).all(|two| order(&ranges[&two[0].name].1, &ranges[&two[1].name].0).is_lt())
}

/// The bounds of one column are all numbers or all texts.
fn order(left: &Value, right: &Value) -> Ordering {
    match (left.as_i64(), right.as_i64()) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => left.as_str().cmp(&right.as_str()),
    }
}

/// The rows of as many files as memory is for, two at least, in the order of the table; the others are left out of the
/// list.
fn sorted_rows(folder: &Path, info: &TableInfo, small: &mut Vec<DataFile>) -> Result<RecordBatch, StoreError> {
    let (mut rows, mut bytes, mut files) = (Vec::new(), 0, 0);
    while files < small.len() && (files < 2 || bytes < SORTED_BYTES_MAX) {
        let read = file::read(&folder.join(&small[files].name))?;
        bytes += read.iter().map(RecordBatch::get_array_memory_size).sum::<usize>();
        rows.extend(read);
        files += 1;
    }
    small.truncate(files);
    let arrow = |source| StoreError::Arrow { table: info.name.to_owned(), source };
    let all = concat_batches(&info.schema, &rows).map_err(arrow)?;
    drop(rows);
    states::sorted(info, &all).map_err(arrow)
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
