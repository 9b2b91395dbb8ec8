//! States: a change ends the open row of its key and begins another.

use arrow::array::make_comparator;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, UInt64Array};
use arrow::compute::{SortColumn, SortOptions, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use arrow::row::{Row, RowConverter, SortField};
use std::collections::BTreeMap;
use std::sync::Arc;
use tributary_schemas::table::TableInfo;

use crate::error::StoreError;

const FROM: &str = "valid_from_block";
const TO: &str = "valid_to_block";

/// Rows of a state table after a change.
pub(crate) struct Merged {
    /// The rows that hold.
    pub(crate) open: RecordBatch,
    /// The rows that have ended by this change.
    pub(crate) past: RecordBatch,
}

/// Applies new states, in their order, to the open rows.
pub(crate) fn merge(info: &TableInfo, open: &[RecordBatch], change: &RecordBatch) -> Result<Merged, StoreError> {
    let arrow = |source| StoreError::Arrow { table: info.name.to_owned(), source };
    let open = concat_batches(&info.schema, open).map_err(arrow)?;
    let held = open.num_rows();
    let both = concat_batches(&info.schema, [&open, change]).map_err(arrow)?;
    drop(open);
    let (kept, ended) = follow(info, &both, held)?;
    let rows = |indices: Vec<u64>| take_record_batch(&both, &UInt64Array::from(indices));
    let open = rows(kept).and_then(|open| sorted(info, &open)).map_err(arrow)?;
    let (ended, ends): (Vec<u64>, Vec<i64>) = ended.into_iter().unzip();
    let past =
        rows(ended).and_then(|past| with_ends(&past, ends)).and_then(|past| sorted(info, &past)).map_err(arrow)?;
    Ok(Merged { open, past })
}

/// Rows in the order of their table.
pub(crate) fn sorted(info: &TableInfo, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = info.sort.iter().map(|name| column(rows, name)).collect::<Result<Vec<_>, _>>()?;
    if is_sorted(&columns, rows.num_rows())? {
        return Ok(rows.clone());
    }
    let by = columns.into_iter().map(|values| SortColumn { values, options: None }).collect::<Vec<_>>();
    take_record_batch(rows, &lexsort_to_indices(&by, None)?)
}

/// Whether rows are in order already, as facts are that were written block by block: copying them is what costs.
fn is_sorted(columns: &[ArrayRef], rows: usize) -> Result<bool, ArrowError> {
    let compare = columns
        .iter()
        .map(|column| make_comparator(column, column, SortOptions::default()))
        .collect::<Result<Vec<_>, _>>()?;
    Ok((1..rows).all(|row| {
        let order = compare.iter().map(|compare| compare(row - 1, row)).find(|order| order.is_ne());
        order.is_none_or(std::cmp::Ordering::is_lt)
    }))
}

/// A column by name.
pub(crate) fn column(rows: &RecordBatch, name: &str) -> Result<ArrayRef, ArrowError> {
    rows.column_by_name(name).map(Arc::clone).ok_or_else(|| ArrowError::SchemaError(format!("no column {name}")))
}

type Indices = (Vec<u64>, Vec<(u64, i64)>);

/// The rows that hold after all of the change, and those that ended with the block they ended at.
fn follow(info: &TableInfo, both: &RecordBatch, held: usize) -> Result<Indices, StoreError> {
    let arrow = |source| StoreError::Arrow { table: info.name.to_owned(), source };
    let columns = info.key.iter().map(|name| column(both, name)).collect::<Result<Vec<_>, _>>().map_err(arrow)?;
    let fields = columns.iter().map(|values| SortField::new(values.data_type().clone())).collect();
    let keys = RowConverter::new(fields).and_then(|keys| keys.convert_columns(&columns)).map_err(arrow)?;
    let (from, to) = (column(both, FROM).map_err(arrow)?, column(both, TO).map_err(arrow)?);
    let (from, to) = (from.as_primitive::<Int64Type>(), to.as_primitive::<Int64Type>());

    let mut standing: BTreeMap<Row<'_>, Option<usize>> =
        (held..both.num_rows()).map(|row| (keys.row(row), None)).collect();
    let mut kept = Vec::new();
    for row in 0..held {
        match standing.get_mut(&keys.row(row)) {
            Some(slot) => *slot = Some(row),
            None => kept.push(index(row)),
        }
    }
    let mut ended = Vec::new();
    let mut end = |row: usize, at: i64| {
        let began = from.value(row);
        if began > at {
            return Err(StoreError::StateOrder { table: info.name, got: at, expected: began });
        }
        // Of states that begin and end in one block only the last is seen, as a block is the unit of asOf.
        if began < at {
            ended.push((index(row), at));
        }
        Ok(())
    };
    for row in held..both.num_rows() {
        let slot = standing.entry(keys.row(row)).or_default();
        let ends = to.is_valid(row).then(|| to.value(row));
        if let Some(open) = slot.take() {
            end(open, ends.unwrap_or_else(|| from.value(row)))?;
        } else if let Some(at) = ends {
            end(row, at)?;
        }
        *slot = ends.is_none().then_some(row);
    }
    kept.extend(standing.into_values().flatten().map(index));
    Ok((kept, ended))
}

fn with_ends(rows: &RecordBatch, ends: Vec<i64>) -> Result<RecordBatch, ArrowError> {
    let schema = rows.schema();
    let at = schema.index_of(TO)?;
    let mut columns = rows.columns().to_vec();
    columns[at] = Arc::new(Int64Array::from(ends));
    RecordBatch::try_new(schema, columns)
}

fn index(row: usize) -> u64 {
    u64::try_from(row).unwrap_or(u64::MAX)
}
