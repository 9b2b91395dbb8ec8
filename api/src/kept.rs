//! What was found before, by what was asked, within so many bytes. When there is no more room, all of it is forgotten:
//! who asks often is soon known again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Things by what was asked.
#[derive(Debug)]
pub(crate) struct Kept<V> {
    bytes_max: usize,
    one_max: usize,
    found: Mutex<Found<V>>,
}

#[derive(Debug)]
struct Found<V> {
    bytes: usize,
    by_asked: BTreeMap<String, V>,
}

impl<V> Default for Found<V> {
    fn default() -> Self {
        Self { bytes: 0, by_asked: BTreeMap::new() }
    }
}

impl<V: Clone> Kept<V> {
    /// Nothing yet; at most so many bytes together, and of one thing.
    pub(crate) fn new(bytes_max: usize, one_max: usize) -> Self {
        Self { bytes_max, one_max: std::cmp::min(one_max, bytes_max), found: Mutex::default() }
    }

    /// What was found.
    pub(crate) fn get(&self, asked: &str) -> Option<V> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).by_asked.get(asked).cloned()
    }

    /// Keeps what was found, which takes so many bytes beside the question.
    pub(crate) fn keep(&self, asked: String, one: V, bytes: usize) {
        let bytes = bytes.saturating_add(asked.len());
        if bytes > self.one_max {
            return;
        }
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.bytes.saturating_add(bytes) > self.bytes_max {
            *found = Found::default();
        }
        // Two that asked at once found the same.
        if found.by_asked.insert(asked, one).is_none() {
            found.bytes = found.bytes.saturating_add(bytes);
        }
    }

    /// Bytes that are taken.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.found.lock().unwrap().bytes
    }
}
