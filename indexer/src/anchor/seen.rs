//! The L1 blocks above the fold: what following compares the node's answers with.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tributary_schemas::BlockRef;

use super::l1::L1Block;
use crate::{Chain, IndexerError};

/// L1 blocks that are not folded for good, above the last that is. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    cursor: Option<BlockRef>,
    blocks: VecDeque<Arc<L1Block>>,
}

impl Seen {
    /// Nothing above a block that is folded.
    pub(super) fn from_cursor(cursor: Option<BlockRef>) -> Self {
        Self(Arc::new(Mutex::new(Inner { cursor, blocks: VecDeque::new() })))
    }

    pub(super) fn len(&self) -> usize {
        self.lock().blocks.len()
    }

    /// The newest block.
    pub(super) fn tip(&self) -> Option<BlockRef> {
        let inner = self.lock();
        inner.blocks.back().map(|block| block.block).or(inner.cursor)
    }

    /// The oldest block that is not folded, if it is not above this one.
    pub(super) fn oldest_up_to(&self, last: Option<BlockRef>) -> Option<Arc<L1Block>> {
        let last = last?.number;
        self.lock().blocks.front().filter(|block| block.block.number <= last).cloned()
    }

    /// The blocks above this one, oldest first.
    pub(super) fn above(&self, block: Option<BlockRef>) -> Vec<Arc<L1Block>> {
        let inner = self.lock();
        let above = |one: &&Arc<L1Block>| block.is_none_or(|block| one.block.number > block.number);
        inner.blocks.iter().filter(above).cloned().collect()
    }

    /// The oldest block is folded.
    pub(super) fn fold_oldest(&self) {
        let mut inner = self.lock();
        if let Some(block) = inner.blocks.pop_front() {
            inner.cursor = Some(block.block);
        }
    }

    pub(super) fn extend(&self, blocks: impl Iterator<Item = L1Block>) {
        self.lock().blocks.extend(blocks.map(Arc::new));
    }

    /// Forgets the blocks above a number.
    pub(super) fn unwind(&self, to: u64) {
        self.lock().blocks.retain(|block| block.block.number <= to);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chain for Seen {
    fn head(&self) -> Result<Option<BlockRef>, IndexerError> {
        Ok(self.tip())
    }

    fn block(&self, number: u64) -> Result<Option<BlockRef>, IndexerError> {
        let inner = self.lock();
        let above = inner.blocks.iter().map(|block| block.block);
        Ok(inner.cursor.into_iter().chain(above).find(|block| block.number == number))
    }

    fn sealed(&self) -> Result<Option<BlockRef>, IndexerError> {
        Ok(self.lock().cursor)
    }
}
