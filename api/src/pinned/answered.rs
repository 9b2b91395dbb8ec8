//! What queries over a snapshot gave. Nothing in a snapshot changes, so what was read once is not read again while
//! there is room.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;

use crate::kept::Kept;

/// Most bytes that answers take together; then those of before are forgotten.
const BYTES_MAX: usize = 64 << 20;
/// Larger answers are not kept.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Answers of more rows are not even measured.
const ANSWER_ROWS_MAX: usize = 1 << 18;

/// Answers by query.
#[derive(Debug)]
pub(super) struct Answered(Kept<Vec<RecordBatch>>);

impl Default for Answered {
    fn default() -> Self {
        Self(Kept::new(BYTES_MAX, ANSWER_BYTES_MAX))
    }
}

/// The same rows in memory of their own; `None` where they cannot be copied.
fn compact(batch: &RecordBatch) -> Option<RecordBatch> {
    let rows = UInt64Array::from_iter_values(0..u64::try_from(batch.num_rows()).ok()?);
    let columns = batch.columns().iter().map(|column| {
        let copied = take(column, &rows, None).ok()?;
        let compact: ArrayRef = match copied.data_type() {
            DataType::Utf8View => Arc::new(copied.as_string_view().gc()),
            DataType::BinaryView => Arc::new(copied.as_binary_view().gc()),
            _ => copied,
        };
        Some(compact)
    });
    RecordBatch::try_new(batch.schema(), columns.collect::<Option<Vec<ArrayRef>>>()?).ok()
}

/// A query with its values, as a key.
pub(super) fn key(query: &str, values: &[ScalarValue]) -> String {
    format!("{query} {values:?}")
}

impl Answered {
    /// What it gave, when it is known.
    pub(super) fn get(&self, key: &str) -> Option<Vec<RecordBatch>> {
        self.0.get(key)
    }

    /// Keeps an answer.
    pub(super) fn keep(&self, key: String, batches: &[RecordBatch]) {
        let rows = batches.iter().map(RecordBatch::num_rows).fold(0, usize::saturating_add);
        if rows > ANSWER_ROWS_MAX {
            return;
        }
        // What comes of a table is a view of the pages it was read from: a row of text would keep all of them.
        let Some(batches) = batches.iter().map(compact).collect::<Option<Vec<_>>>() else { return };
        let bytes = batches.iter().map(RecordBatch::get_array_memory_size).fold(0, usize::saturating_add);
        self.0.keep(key, batches, bytes);
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringViewArray};
    use arrow::datatypes::{Field, Schema};

    use super::*;

    fn batch(rows: usize) -> RecordBatch {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, false)]);
        let numbers = Int64Array::from(vec![7; rows]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(numbers)]).unwrap()
    }

    #[test]
    fn a_row_of_text_does_not_keep_the_page_it_came_from() {
        let page = StringViewArray::from_iter_values((0..100_000).map(|number| format!("a text with number {number}")));
        let schema = Arc::new(Schema::new(vec![Field::new("t", DataType::Utf8View, false)]));
        let one = RecordBatch::try_new(schema, vec![Arc::new(page.slice(7, 1))]).unwrap();
        assert!(one.get_array_memory_size() > 1 << 20);
        let answered = Answered::default();
        answered.keep("one".to_owned(), std::slice::from_ref(&one));
        assert_eq!(answered.get("one"), Some(vec![one]));
        assert!(answered.0.bytes() < 1 << 12);
    }

    #[test]
    fn answers_are_kept_within_their_bytes() {
        let answered = Answered::default();
        let (one, large) = (batch(1), batch(ANSWER_BYTES_MAX / 8 + 1));
        answered.keep(key("a", &[1i64.into()]), std::slice::from_ref(&one));
        assert_eq!(answered.get(&key("a", &[1i64.into()])), Some(vec![one]));
        assert_eq!(answered.get(&key("a", &[2i64.into()])), None);
        answered.keep("large".to_owned(), &[large]);
        assert_eq!(answered.get("large"), None);
        // Thirty of a quarter of a million numbers are more than there is room for.
        for number in 0..40 {
            answered.keep(number.to_string(), &[batch(1 << 18)]);
        }
        assert_eq!((answered.get("0"), answered.get("39").is_some()), (None, true));
        assert!(answered.0.bytes() <= BYTES_MAX);
    }
}
