//! What the fold remembers: keys to values, read through an overlay that collects a block's writes.
//!
//! The log-state is derived: everything here can be folded again from the events. Keys are one byte for what it is,
//! then fixed-width parts, so a prefix is a range; values are postcard. Values that are asked about the past (was this
//! contribution approved *then*, was this edge there *then*) carry the positions at which they changed, because a blob
//! is judged against the state at its reference, when the state has moved on.

mod key;
mod record;

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

use crate::IndexerError;
pub(crate) use key::Key;
pub(crate) use record::{
    AccountState, BatchState, Challenge, ChangeAt, ContributionPhase, ContributionState, EdgeState, Entity, EntityBody,
    EntityPayout, Member, MethodState, PaymentState, PolicyState, ProducerState, RecordedInference, Version,
    VersionBody,
};

/// Writes of one block: `None` deletes.
pub type Writes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Writes by key: `None` deletes.
pub type Overlay = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Bytes that an entry of an [`Overlay`] takes beside key and value: two vectors, and its place in the map.
const ENTRY_BYTES: usize = 96;

/// Keys and their values.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Whatever holds the state: the tail, or a map in tests.
pub trait StateRead {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexerError>;
    /// Every key with this prefix and its value, in order.
    fn scan(&self, prefix: &[u8]) -> Result<Pairs, IndexerError>;
}

/// A state with writes laid over it.
pub struct StateView<'a> {
    base: &'a dyn StateRead,
    overlay: Overlay,
    fresh: Overlay,
}

impl<'a> StateView<'a> {
    /// A view of `base` without writes.
    #[must_use]
    pub const fn new(base: &'a dyn StateRead) -> Self {
        Self { base, overlay: BTreeMap::new(), fresh: BTreeMap::new() }
    }

    /// A view of `base` under writes that were made before.
    #[must_use]
    pub fn resume(base: &'a dyn StateRead, overlay: Overlay) -> Self {
        Self { base, overlay, fresh: BTreeMap::new() }
    }

    /// All writes, by key, and how many bytes those of this view add to them, about.
    #[must_use]
    pub fn into_overlay(mut self) -> (Overlay, usize) {
        let mut added = 0;
        for (key, value) in self.fresh {
            let bytes = ENTRY_BYTES + key.len() + value.as_ref().map_or(0, Vec::len);
            if self.overlay.insert(key, value).is_none() {
                added += bytes;
            }
        }
        (self.overlay, added)
    }

    /// The writes since the last call; later reads still see them.
    pub fn take_writes(&mut self) -> Writes {
        let fresh = std::mem::take(&mut self.fresh);
        self.overlay.extend(fresh.iter().map(|(key, value)| (key.clone(), value.clone())));
        fresh.into_iter().collect()
    }

    /// The writes that were laid under it and taken from it, without those since.
    pub(crate) fn into_taken(self) -> Overlay {
        self.overlay
    }

    /// The record under a key.
    pub(crate) fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, IndexerError> {
        let laid = self.fresh.get(&key.0).or_else(|| self.overlay.get(&key.0));
        let stored;
        let bytes = match laid {
            Some(value) => value.as_deref(),
            None => {
                stored = self.base.get(&key.0)?;
                stored.as_deref()
            }
        };
        bytes.map(|bytes| read(key, bytes)).transpose()
    }

    /// Every record under keys with this prefix, in order.
    pub(crate) fn scan<T: DeserializeOwned>(&self, prefix: &Key) -> Result<Vec<(Vec<u8>, T)>, IndexerError> {
        let found = laid_over(self.base.scan(&prefix.0)?, &self.overlay, &prefix.0);
        let found = laid_over(found, &self.fresh, &prefix.0);
        found.into_iter().map(|(key, value)| read(prefix, &value).map(|value| (key, value))).collect()
    }

    /// Writes a record.
    pub(crate) fn put<T: Serialize>(&mut self, key: Key, value: &T) -> Result<(), IndexerError> {
        let bytes = postcard::to_stdvec(value).map_err(|error| broken(&key, &error))?;
        self.fresh.insert(key.0, Some(bytes));
        Ok(())
    }

    /// Removes a record.
    pub(crate) fn remove(&mut self, key: Key) {
        self.fresh.insert(key.0, None);
    }

    /// The next ordinal of a series, from zero.
    pub(crate) fn next_ordinal(&mut self, series: u8) -> Result<i64, IndexerError> {
        let key = Key::counter(series);
        let next: i64 = self.get(&key)?.unwrap_or(0);
        self.put(key, &(next + 1))?;
        Ok(next)
    }
}

/// What is under a prefix once writes are laid over what was found there.
pub(crate) fn laid_over(found: Pairs, overlay: &Overlay, prefix: &[u8]) -> Pairs {
    let mut writes = overlay.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix)).peekable();
    if writes.peek().is_none() {
        return found;
    }
    let mut found: BTreeMap<Vec<u8>, Vec<u8>> = found.into_iter().collect();
    for (key, value) in writes {
        match value {
            Some(value) => found.insert(key.clone(), value.clone()),
            None => found.remove(key),
        };
    }
    found.into_iter().collect()
}

impl std::fmt::Debug for StateView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateView").field("writes", &self.fresh.len()).finish_non_exhaustive()
    }
}

/// A record from its bytes.
pub(crate) fn read<T: DeserializeOwned>(key: &Key, bytes: &[u8]) -> Result<T, IndexerError> {
    postcard::from_bytes(bytes).map_err(|error| broken(key, &error))
}

fn broken(key: &Key, error: &postcard::Error) -> IndexerError {
    IndexerError::State { key: alloy_primitives::hex::encode_prefixed(&key.0), reason: error.to_string() }
}

/// A state in memory, for tests and for rebuilding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryState(pub BTreeMap<Vec<u8>, Vec<u8>>);

impl MemoryState {
    /// Applies writes and says what undoes them.
    pub fn apply(&mut self, writes: Writes) -> Writes {
        let undo = writes.into_iter().map(|(key, value)| {
            let old = match value {
                Some(value) => self.0.insert(key.clone(), value),
                None => self.0.remove(&key),
            };
            (key, old)
        });
        undo.collect()
    }
}

impl StateRead for MemoryState {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexerError> {
        Ok(self.0.get(key).cloned())
    }
    fn scan(&self, prefix: &[u8]) -> Result<Pairs, IndexerError> {
        let range = self.0.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
        Ok(range.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}
