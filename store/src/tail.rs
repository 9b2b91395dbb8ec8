//! The tail: blocks that are not sealed yet, the point-read state at its head, and how to undo each block.
//!
//! ```text
//! DIR/LOCK                 the one follower of this folder
//! DIR/sled-<generation>/   cursors, the index of blocks, state, side facts        DIR/CURRENT  which generation
//! DIR/segments/<id>.seg    bodies and undo records, appended and synced before sled names them (ruling 29)
//! ```
//!
//! [`Tail::append`] writes the bodies of all its blocks and their undo records to a segment, syncs it, then applies one
//! sled batch (index, state, head) and flushes: a crash leaves all of it or none (INV-01). What a segment holds beyond
//! what sled names is garbage of a crash and is never read. [`Tail::unwind`] puts back the old values, newest block
//! first, in batches that each end on a block (INV-02). [`Tail::seal`] drops bodies and undo records up to a block that
//! the published tables now hold.
//!
//! [`Tail::hold`] holds the blocks above one of them for a reader, as they are at that moment: appends, unwinds and seals
//! go on and change nothing in what is held.
//!
//! Nothing here is the only copy of anything. When sled or a segment proves damaged, [`Tail::open`] begins an empty
//! generation and says so in [`Tail::rebuilt`]; during work the error is [`StoreError::TailDamaged`], whose remedy is
//! [`Tail::reset`]. The caller then folds the sealed tables again and follows on from there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use tributary_schemas::BlockRef;

use crate::durable;
use crate::error::StoreError;
use crate::feed::{Feed, FeedOptions};

mod held;
mod index;
mod lock;
mod segment;
mod state;
#[cfg(test)]
mod tests;
mod undo;

pub use self::held::{HELD_BLOCKS_MAX, Held, HeldHead};
use self::index::{BlockEntry, Index};
use self::lock::Lock;
use self::segment::Segments;
use self::state::{Space, StateBatch};

/// Keys may be this long at most: sled copies them into its tree pages.
pub const KEY_BYTES_MAX: usize = 1024;
/// Undo records of about this many bytes are put back in one batch.
const UNWIND_BYTES: u64 = 32 << 20;
/// Blocks unwound in one batch at most.
const UNWIND_BLOCKS: usize = 2048;

/// A key and what it becomes; `None` deletes it.
pub type Write = (Vec<u8>, Option<Vec<u8>>);

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// A block to append: its body, which the store does not look into, and what it changes in the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailBlock {
    /// The block.
    pub block: BlockRef,
    /// Its body.
    pub body: Vec<u8>,
    /// Changes in order; the store records the old values.
    pub writes: Vec<Write>,
}

/// Sizes of the tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TailOptions {
    /// sled's page cache.
    pub cache_bytes: u64,
    /// A segment file is closed at this size.
    pub segment_bytes: u64,
    /// sled's folder is rewritten when it is larger than this and than four times its live data.
    pub compact_above_bytes: u64,
    /// What is kept for those who watch; none to tell them nothing.
    pub feed: Option<FeedOptions>,
}

impl Default for TailOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 32 << 20,
            segment_bytes: 64 << 20,
            compact_above_bytes: 256 << 20,
            feed: Some(FeedOptions::default()),
        }
    }
}

/// The tail of one data folder, owned by the one process that follows.
#[derive(Debug)]
pub struct Tail {
    inner: RwLock<Inner>,
    feed: Option<Mutex<Feed>>,
    dir: PathBuf,
    options: TailOptions,
    _lock: Lock,
}

#[derive(Debug)]
struct Inner {
    index: Index,
    segments: Segments,
    head: Option<BlockRef>,
    sealed: Option<BlockRef>,
    rebuilt: Option<String>,
}

impl Tail {
    /// Opens the tail in `dir`, made when absent. Another process there is [`StoreError::Locked`]. Damage is answered
    /// by an empty tail, see [`Tail::rebuilt`].
    pub fn open(dir: &Path, options: TailOptions) -> Result<Self, StoreError> {
        Self::open_in(dir, dir, options)
    }

    /// As [`Tail::open`], with the feed in the data folder `data_dir` that the generation in `dir` is of.
    pub fn open_in(data_dir: &Path, dir: &Path, options: TailOptions) -> Result<Self, StoreError> {
        durable::make_folder(dir)?;
        let lock = Lock::take(dir)?;
        let inner = match Inner::open(dir, options) {
            Ok(inner) => inner,
            Err(StoreError::TailDamaged { doing, reason }) => {
                let why = format!("{doing}: {reason}");
                tracing::error!(reason = why, "the tail is damaged and begins anew");
                Inner::begin_anew(dir, options, why)?
            }
            Err(error) => return Err(error),
        };
        let feed = options.feed.map(|options| Feed::open(data_dir, options)).transpose()?.map(Mutex::new);
        Ok(Self { inner: RwLock::new(inner), feed, dir: dir.to_path_buf(), options, _lock: lock })
    }

    /// Who follows into this folder now, as it wrote itself; `None` when nobody does. The lock is tried and given back
    /// at once: who opens the tail in that moment is told that it is in use.
    pub fn holder(dir: &Path) -> Result<Option<String>, StoreError> {
        lock::holder(dir)
    }

    /// Why the tail began anew, when opening it found damage or [`Tail::reset`] was called.
    #[must_use]
    pub fn rebuilt(&self) -> Option<String> {
        self.read().rebuilt.clone()
    }

    /// Forgets everything and begins anew, empty: the remedy of [`StoreError::TailDamaged`].
    pub fn reset(&self, reason: &str) -> Result<(), StoreError> {
        let mut inner = self.write();
        *inner = Inner::begin_anew(&self.dir, self.options, reason.to_owned())?;
        Ok(())
    }

    /// The last block appended, or the sealed one when none is left above it.
    #[must_use]
    pub fn head(&self) -> Option<BlockRef> {
        self.read().head
    }

    /// The last block sealed.
    #[must_use]
    pub fn sealed(&self) -> Option<BlockRef> {
        self.read().sealed
    }

    /// A block above the sealed one, or the sealed one itself.
    pub fn block(&self, number: u64) -> Result<Option<BlockRef>, StoreError> {
        self.read().block(number)
    }

    /// The body of a block above the sealed one.
    pub fn body(&self, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let inner = self.read();
        inner.index.entry(number)?.map(|entry| inner.segments.read(&entry.body)).transpose()
    }

    /// Holds the blocks above one that it has, up to another or to its head. See [`Held`].
    pub fn hold(&self, above: HeldHead, upto: Option<HeldHead>) -> Result<Held, StoreError> {
        self.read().hold(above, upto)
    }

    /// The state's value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read().index.get(Space::State, key)
    }

    /// The state's keys with a prefix and their values, in the order of keys; all of it in memory.
    pub fn scan(&self, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        self.read().index.scan(Space::State, prefix)
    }

    /// Appends blocks that follow the head, all or none, durably.
    pub fn append(&self, blocks: Vec<TailBlock>) -> Result<(), StoreError> {
        let new: Vec<BlockRef> = blocks.iter().map(|one| one.block).collect();
        let mut inner = self.write();
        inner.append(blocks)?;
        self.tell(|feed| feed.appended(&new, inner.sealed, |number| inner.block(number)));
        Ok(())
    }

    /// Takes back every block above `to`, newest first, and restores the state they found, byte for byte. Refuses to
    /// go below the sealed block (INV-11). After a crash in between, some of the blocks are gone and the rest stand.
    pub fn unwind(&self, to: u64) -> Result<Vec<BlockRef>, StoreError> {
        let mut inner = self.write();
        let gone = inner.unwind(to)?;
        self.tell(|feed| feed.unwound(inner.head));
        Ok(gone)
    }

    /// Remembers `to` as sealed and drops bodies and undo records up to it, after its rows are published.
    ///
    /// `writes` change the state without undo: their keys must not be ones that blocks write, as a later unwind would
    /// put back what such a block found. Without blocks above the sealed one, `to` may be any later block: so state is
    /// built again, step by step, from sealed tables.
    pub fn seal(&self, to: BlockRef, writes: Vec<Write>) -> Result<(), StoreError> {
        let mut inner = self.write();
        inner.seal(to, writes)?;
        inner.compact_if_swollen(&self.dir, self.options)
    }

    /// Keeps a fact beside the state, not under undo, such as what is known of a blob. Durable with the next append,
    /// unwind or seal: such facts can be found again.
    pub fn put_side(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.read().put_side(key, Some(value))
    }

    /// A fact kept beside the state.
    pub fn get_side(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read().index.get(Space::Side, key)
    }

    /// Forgets a fact kept beside the state.
    pub fn del_side(&self, key: &[u8]) -> Result<(), StoreError> {
        self.read().put_side(key, None)
    }

    /// The facts kept beside the state whose keys have a prefix, in the order of keys.
    pub fn scan_side(&self, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        self.read().index.scan(Space::Side, prefix)
    }

    /// Tells those who watch. That they are not told is no reason to stop: the feed is brought into step later.
    fn tell(&self, write: impl FnOnce(&mut Feed) -> Result<(), StoreError>) {
        let Some(feed) = &self.feed else { return };
        if let Err(error) = write(&mut feed.lock().unwrap_or_else(PoisonError::into_inner)) {
            tracing::warn!(%error, "the feed cannot be written");
        }
    }

    // A panic while the lock was held has left either the old or the new state on disk, and the fields of `Inner`
    // change only after the disk has: so what a poisoned lock guards is still right.
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn open(dir: &Path, options: TailOptions) -> Result<Self, StoreError> {
        let index = Index::open(dir, options.cache_bytes)?;
        let (head, sealed) = (index.head()?, index.sealed()?);
        let mut live = BTreeMap::new();
        let first = sealed.map(|sealed| sealed.number);
        let mut last = sealed;
        for entry in index.entries()? {
            let entry = entry?;
            let follows =
                last.is_none_or(|last| entry.block.number == last.number + 1 && entry.block.parent_hash == last.hash);
            if !follows {
                let reason = format!("block {} does not follow the one before", entry.block.number);
                return Err(StoreError::TailDamaged { doing: "reading the index of blocks", reason });
            }
            entry.count_in(&mut live);
            last = Some(entry.block);
        }
        if last != head {
            let reason = format!("the head is {head:?}, the last block {last:?}, sealed is {first:?}");
            return Err(StoreError::TailDamaged { doing: "reading the head", reason });
        }
        let segments = Segments::open(&dir.join("segments"), options.segment_bytes, live)?;
        Ok(Self { index, segments, head, sealed, rebuilt: None })
    }

    fn begin_anew(dir: &Path, options: TailOptions, reason: String) -> Result<Self, StoreError> {
        Index::begin_generation(dir)?;
        let mut inner = Self::open(dir, options)?;
        inner.rebuilt = Some(reason);
        Ok(inner)
    }

    fn block(&self, number: u64) -> Result<Option<BlockRef>, StoreError> {
        if let Some(sealed) = self.sealed.filter(|sealed| sealed.number == number) {
            return Ok(Some(sealed));
        }
        Ok(self.index.entry(number)?.map(|entry| entry.block))
    }

    fn append(&mut self, blocks: Vec<TailBlock>) -> Result<(), StoreError> {
        let Some(head) = self.check_follows(&blocks)? else { return Ok(()) };
        let mut state = StateBatch::new(Space::State);
        let mut entries = Vec::with_capacity(blocks.len());
        let mut writer = self.segments.writer()?;
        for TailBlock { block, body, writes } in blocks {
            let mut undo = undo::Encoder::default();
            for (key, value) in writes {
                state.write(&self.index, key, value, block.number, |old| undo.push(old.key, old.value))?;
            }
            let (body, undo) = (writer.put(&body)?, writer.put(&undo.finish())?);
            entries.push(BlockEntry { block, body, undo });
        }
        let segment = writer.finish()?;
        let mut batch = sled::Batch::default();
        for entry in &entries {
            Index::put_entry(&mut batch, entry)?;
        }
        state.into_batch(&mut batch);
        Index::put_head(&mut batch, Some(&head))?;
        self.index.commit(batch)?;
        self.segments.count(segment, entries.len());
        self.head = Some(head);
        Ok(())
    }

    /// Checks that each block follows the one before, the first the head; returns the last.
    fn check_follows(&self, blocks: &[TailBlock]) -> Result<Option<BlockRef>, StoreError> {
        let mut last = self.head;
        for TailBlock { block, .. } in blocks {
            let follows = last
                .is_none_or(|last| last.number.checked_add(1) == Some(block.number) && last.hash == block.parent_hash);
            if !follows {
                let expected = last.map(|last| format!("block {} {}", last.number, last.hash)).unwrap_or_default();
                let (got_number, got_parent) = (block.number, block.parent_hash);
                return Err(StoreError::NotNext { got_number, got_parent, expected });
            }
            last = Some(*block);
        }
        Ok(if blocks.is_empty() { None } else { last })
    }

    fn unwind(&mut self, to: u64) -> Result<Vec<BlockRef>, StoreError> {
        if let Some(sealed) = self.sealed.filter(|sealed| to < sealed.number) {
            return Err(StoreError::BelowSealed { to, sealed: sealed.number });
        }
        let mut gone = Vec::new();
        while self.head.is_some_and(|head| head.number > to) {
            self.unwind_some(to, &mut gone)?;
        }
        Ok(gone)
    }

    /// Takes back a bounded number of blocks in one batch.
    fn unwind_some(&mut self, to: u64, gone: &mut Vec<BlockRef>) -> Result<(), StoreError> {
        let mut state = StateBatch::new(Space::State);
        let mut batch = sled::Batch::default();
        let mut dropped = Vec::new();
        let mut bytes = 0;
        let mut head = self.head;
        while let Some(block) = head.filter(|head| head.number > to) {
            if bytes >= UNWIND_BYTES || dropped.len() >= UNWIND_BLOCKS {
                break;
            }
            let Some(entry) = self.index.entry(block.number)? else {
                let reason = format!("block {} is not in the index", block.number);
                return Err(StoreError::TailDamaged { doing: "unwinding", reason });
            };
            for (key, value) in undo::decode(&self.segments.read(&entry.undo)?)? {
                state.write(&self.index, key, value, block.number, |_| ())?;
            }
            Index::remove_entry(&mut batch, block.number);
            bytes += entry.undo.length;
            dropped.push(entry);
            head = match block.number.checked_sub(1) {
                Some(parent) => self.block(parent)?,
                None => None,
            };
        }
        state.into_batch(&mut batch);
        Index::put_head(&mut batch, head.as_ref())?;
        self.index.commit(batch)?;
        self.head = head;
        for entry in dropped {
            self.segments.release(entry.body.segment)?;
            gone.push(entry.block);
        }
        Ok(())
    }

    fn seal(&mut self, to: BlockRef, writes: Vec<Write>) -> Result<(), StoreError> {
        self.check_sealable(&to)?;
        let mut state = StateBatch::new(Space::State);
        for (key, value) in writes {
            state.write(&self.index, key, value, to.number, |_| ())?;
        }
        let mut batch = sled::Batch::default();
        let mut dropped = Vec::new();
        for entry in self.index.entries()? {
            let entry = entry?;
            if entry.block.number > to.number {
                break;
            }
            Index::remove_entry(&mut batch, entry.block.number);
            dropped.push(entry.body.segment);
        }
        state.into_batch(&mut batch);
        let head = self.head.filter(|head| head.number > to.number).unwrap_or(to);
        Index::put_head(&mut batch, Some(&head))?;
        Index::put_sealed(&mut batch, &to)?;
        self.index.commit(batch)?;
        (self.head, self.sealed) = (Some(head), Some(to));
        dropped.into_iter().try_for_each(|segment| self.segments.release(segment))
    }

    fn check_sealable(&self, to: &BlockRef) -> Result<(), StoreError> {
        let held = self.block(to.number)?;
        let idle = self.head == self.sealed;
        let later = self.sealed.is_none_or(|sealed| sealed.number < to.number);
        if held.is_some_and(|held| held.hash == to.hash) || (held.is_none() && idle && later) {
            return Ok(());
        }
        let expected = held.map_or_else(
            || format!("a block between {:?} and {:?}", self.sealed.map(|b| b.number), self.head.map(|b| b.number)),
            |held| held.hash.to_string(),
        );
        Err(StoreError::NotSealable { number: to.number, got: to.hash, expected })
    }

    fn put_side(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        let mut state = StateBatch::new(Space::Side);
        state.write(&self.index, key.to_vec(), value.map(<[u8]>::to_vec), 0, |_| ())?;
        let mut batch = sled::Batch::default();
        state.into_batch(&mut batch);
        self.index.apply(batch)
    }

    fn compact_if_swollen(&mut self, dir: &Path, options: TailOptions) -> Result<(), StoreError> {
        if let Some(compacted) = self.index.compacted_if_swollen(dir, options)? {
            // The old generation is closed before its folder goes.
            self.index = compacted;
            Index::remove_old_generations(dir)?;
        }
        Ok(())
    }
}
