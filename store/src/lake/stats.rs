//! What the log says about a file, so that readers skip it: rows, NULLs, smallest and largest values.
//!
//! Bounds are given for integers and short texts. Decimals are left out: in the log they are JSON numbers, which some
//! readers take as doubles, and a bound that is rounded the wrong way hides money.

use arrow::array::{Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::{max, max_string, min, min_string};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Longer texts have no bounds.
const TEXT_BYTES_MAX: usize = 80;

/// Statistics over the batches of a file.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    rows: u64,
    columns: BTreeMap<String, ColumnStats>,
}

#[derive(Debug, Default)]
struct ColumnStats {
    nulls: u64,
    bounds: Option<(Bound, Bound)>,
    /// A value without a bound was seen.
    unbounded: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Bound {
    Number(i64),
    Text(String),
}

impl Stats {
    /// Rows so far.
    pub(crate) const fn rows(&self) -> u64 {
        self.rows
    }

    /// Takes a batch in.
    pub(crate) fn add(&mut self, batch: &RecordBatch) {
        self.rows += count(batch.num_rows());
        for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
            let column = self.columns.entry(field.name().clone()).or_default();
            column.nulls += count(array.null_count());
            if array.null_count() == array.len() {
                continue;
            }
            match bounds(array.as_ref()) {
                Some((low, high)) => {
                    column.bounds = Some(match column.bounds.take() {
                        Some((lowest, highest)) => (std::cmp::min(lowest, low), std::cmp::max(highest, high)),
                        None => (low, high),
                    });
                }
                None => column.unbounded = true,
            }
        }
    }

    /// The statistics as the log holds them.
    pub(crate) fn json(&self) -> String {
        let (mut low, mut high, mut nulls) = (Map::new(), Map::new(), Map::new());
        for (name, column) in &self.columns {
            nulls.insert(name.clone(), json!(column.nulls));
            if let (Some((lowest, highest)), false) = (&column.bounds, column.unbounded) {
                low.insert(name.clone(), lowest.json());
                high.insert(name.clone(), highest.json());
            }
        }
        json!({"numRecords": self.rows, "minValues": low, "maxValues": high, "nullCount": nulls}).to_string()
    }
}

/// Rows of a file by its statistics.
pub(crate) fn rows_of(stats: &str) -> Option<u64> {
    serde_json::from_str::<Value>(stats).ok()?.get("numRecords")?.as_u64()
}

/// Smallest and largest values of some columns of a file by its statistics; `None` for a column without bounds.
pub(crate) fn ranges_of(stats: &str, columns: &[&str]) -> Vec<Option<(Value, Value)>> {
    let stats = serde_json::from_str::<Value>(stats).unwrap_or_default();
    let bound = |side: &str, column: &str| stats.get(side)?.get(column).cloned();
    columns.iter().map(|column| Some((bound("minValues", column)?, bound("maxValues", column)?))).collect()
}

impl Bound {
    fn json(&self) -> Value {
        match self {
            Self::Number(number) => json!(number),
            Self::Text(text) => json!(text),
        }
    }
}

fn bounds(array: &dyn Array) -> Option<(Bound, Bound)> {
    let any = array.as_any();
    if let Some(numbers) = any.downcast_ref::<Int64Array>() {
        return Some((Bound::Number(min(numbers)?), Bound::Number(max(numbers)?)));
    }
    if let Some(numbers) = any.downcast_ref::<Int32Array>() {
        return Some((Bound::Number(min(numbers)?.into()), Bound::Number(max(numbers)?.into())));
    }
    let texts = any.downcast_ref::<StringArray>()?;
    let (low, high) = (min_string(texts)?, max_string(texts)?);
    let short = low.len() <= TEXT_BYTES_MAX && high.len() <= TEXT_BYTES_MAX;
    short.then(|| (Bound::Text(low.to_owned()), Bound::Text(high.to_owned())))
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
