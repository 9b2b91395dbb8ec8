//! What queries over a snapshot gave. Nothing in a snapshot changes, so what was read once is not read again while
//! there is room.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use arrow::array::RecordBatch;
use datafusion::scalar::ScalarValue;

/// Most bytes that answers take together; then those of before are forgotten.
const BYTES_MAX: usize = 64 << 20;
/// Larger answers are not kept.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Answers by query.
#[derive(Debug, Default)]
pub(super) struct Answered(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    answers: BTreeMap<String, Vec<RecordBatch>>,
}

/// A query with its values, as a key.
pub(super) fn key(query: &str, values: &[ScalarValue]) -> String {
    format!("{query} {values:?}")
}

impl Answered {
    /// What it gave, when it is known.
    pub(super) fn get(&self, key: &str) -> Option<Vec<RecordBatch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).answers.get(key).cloned()
    }

    /// Keeps an answer.
    pub(super) fn keep(&self, key: String, batches: &[RecordBatch]) {
        let arrays = batches.iter().map(RecordBatch::get_array_memory_size).fold(0, usize::saturating_add);
        let bytes = arrays.saturating_add(key.len());
        if bytes > ANSWER_BYTES_MAX {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes.saturating_add(bytes) > BYTES_MAX {
            *kept = Kept::default();
        }
        // Two that asked at once gave the same.
        if kept.answers.insert(key, batches.to_vec()).is_none() {
            kept.bytes = kept.bytes.saturating_add(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn batch(rows: usize) -> RecordBatch {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, false)]);
        let numbers = Int64Array::from(vec![7; rows]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(numbers)]).unwrap()
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
        assert!(answered.0.lock().unwrap().bytes <= BYTES_MAX);
    }
}
