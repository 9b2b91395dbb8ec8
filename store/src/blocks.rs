//! Whole blocks as they were verified, kept for whoever reads them again by other rules. What is in a block the store
//! does not look into.
//!
//! ```text
//! DATA/blocks/<first block>.bin   the blocks, one after another, only ever appended
//! DATA/blocks/<first block>.idx   80 bytes a block: where it lies, its hash, and BLAKE3 of it
//! ```
//!
//! Each pair of files holds blocks that follow each other without a gap. What is kept is one chain: the writer takes
//! back what the chain took back ([`Blocks::unwind`]), before its tail does, so that blocks here that are sealed there
//! are of the chain that is sealed. Nothing here is the only copy of anything: a block that cannot be read is as one
//! that was not kept. Where their room is bounded, the oldest go first, a pair of files at a time.

use alloy_primitives::B256;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::durable;
use crate::error::StoreError;
use crate::tail::BlockRef;

/// Offset, length, hash of the block, hash of its bytes.
const ENTRY_BYTES: usize = 80;
const ENTRY: u64 = ENTRY_BYTES as u64;
/// A pair of files is closed when it holds so many bytes.
const FILE_BYTES: u64 = 256 << 20;
/// Where their room is bounded, one pair has at most such a part of it.
const FILES_MIN: u64 = 8;

/// A block to keep, or one that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBlock {
    /// The block. Its time is not kept.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Hash of the block before it; not kept.
    pub parent_hash: B256,
    /// All of it, in whatever form.
    pub bytes: Vec<u8>,
}

/// The kept blocks of a data folder. One process writes; any number read.
#[derive(Debug)]
pub struct Blocks {
    folder: PathBuf,
    file_bytes: u64,
    /// Bytes that all files may have; none for any number.
    bytes_max: Option<u64>,
    writing: Mutex<()>,
}

/// Where a block lies.
#[derive(Debug, Clone, Copy)]
struct Entry {
    offset: u64,
    length: u64,
    hash: B256,
    check: [u8; 32],
}

impl Entry {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.offset.to_be_bytes());
        out.extend(self.length.to_be_bytes());
        out.extend(self.hash);
        out.extend(self.check);
    }

    fn decode(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let (words, hashes) = bytes.split_at(16);
        let (offset, length) = words.split_at(8);
        let (hash, check) = hashes.split_at(32);
        let word = |bytes: &[u8]| bytes.try_into().map_or(u64::MAX, u64::from_be_bytes);
        Self {
            offset: word(offset),
            length: word(length),
            hash: B256::from_slice(hash),
            check: check.try_into().unwrap_or_default(),
        }
    }
}

/// A pair of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u64,
    count: u64,
}

impl Run {
    const fn next(self) -> u64 {
        self.first.saturating_add(self.count)
    }
}

impl Blocks {
    /// The kept blocks of a data folder; none where nothing was kept.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { folder: dir.join("blocks"), file_bytes: FILE_BYTES, bytes_max: None, writing: Mutex::default() }
    }

    /// Kept blocks that have at most so many bytes in their files: the oldest give way to what is appended, about an eighth
    /// of the room at a time. What is appended at once is kept even where it is more.
    #[must_use]
    pub fn bounded(dir: &Path, bytes_max: u64) -> Self {
        let file_bytes = (bytes_max / FILES_MIN).clamp(1, FILE_BYTES);
        Self { file_bytes, bytes_max: Some(bytes_max), ..Self::new(dir) }
    }

    /// Keeps blocks that follow each other, durably. They follow what is kept, or lie above it. What is kept from the
    /// first of them on is replaced; what they do not follow by its hash is forgotten, with everything before it.
    pub fn append(&self, blocks: &[KeptBlock]) -> Result<(), StoreError> {
        let Some(first) = blocks.first() else { return Ok(()) };
        let _writing = self.lock();
        durable::make_folder(&self.folder)?;
        self.take_back(first.number)?;
        let more = blocks.iter().map(|block| (block.bytes.len() as u64).saturating_add(ENTRY)).sum();
        self.make_room(more)?;
        let mut last = self.runs()?.pop();
        if let Some(run) = last.filter(|run| run.next() == first.number)
            && self.entry(run, first.number.saturating_sub(1))?.is_none_or(|entry| entry.hash != first.parent_hash)
        {
            tracing::warn!(block = first.number, "it does not follow the kept blocks: they are forgotten");
            self.take_back(0)?;
            last = None;
        }
        let mut rest = blocks;
        while let Some(next) = rest.first().map(|block| block.number) {
            let run = last.filter(|run| run.next() == next);
            let run = run.filter(|run| self.bytes_of(*run).is_ok_and(|bytes| bytes < self.file_bytes));
            let run = run.unwrap_or(Run { first: next, count: 0 });
            let taken = self.extend(run, rest)?;
            rest = rest.get(taken..).unwrap_or_default();
            last = Some(Run { count: run.count.saturating_add(taken as u64), ..run });
        }
        Ok(())
    }

    /// Forgets every block above `to`.
    pub fn unwind(&self, to: u64) -> Result<(), StoreError> {
        let _writing = self.lock();
        self.take_back(to.saturating_add(1))
    }

    /// Blocks from `first` to `last` as long as each is kept and its bytes are what was written, and until they are
    /// `bytes_max` or more; none when `first` is not kept.
    pub fn read(&self, first: u64, last: u64, bytes_max: usize) -> Result<Vec<KeptBlock>, StoreError> {
        let runs = self.runs()?;
        let mut out: Vec<KeptBlock> = Vec::new();
        let mut bytes = 0_usize;
        for number in first..=last {
            let run = runs.iter().rfind(|run| run.first <= number && number < run.next());
            let Some(run) = run.filter(|_| bytes < bytes_max) else { break };
            let Some(entry) = self.entry(*run, number)? else { break };
            let Some(found) = self.bytes(*run, &entry)? else {
                let damaged = StoreError::BlockDamaged { number, path: self.path(run.first, "bin") };
                tracing::warn!(%damaged, "it is as one that was not kept");
                break;
            };
            bytes = bytes.saturating_add(found.len());
            out.push(KeptBlock { number, hash: entry.hash, parent_hash: B256::ZERO, bytes: found });
        }
        Ok(out)
    }

    /// The first block of a range that is not kept, looked for in the index alone.
    pub fn first_absent(&self, first: u64, last: u64) -> Result<Option<u64>, StoreError> {
        let mut next = first;
        for run in self.runs()? {
            if run.first <= next && next < run.next() {
                next = run.next();
            }
        }
        Ok((next <= last).then_some(next))
    }

    /// The first block of a range that is kept, looked for in the index alone.
    pub fn first_kept(&self, first: u64, last: u64) -> Result<Option<u64>, StoreError> {
        let from = |run: Run| (run.next() > first && run.count > 0).then(|| std::cmp::max(run.first, first));
        let kept = self.runs()?.into_iter().filter_map(from).min();
        Ok(kept.filter(|kept| *kept <= last))
    }

    /// The hash of a kept block.
    pub fn hash(&self, number: u64) -> Result<Option<B256>, StoreError> {
        let runs = self.runs()?;
        let run = runs.into_iter().rfind(|run| run.first <= number && number < run.next());
        let entry = run.map(|run| self.entry(run, number)).transpose()?.flatten();
        Ok(entry.map(|entry| entry.hash))
    }

    /// Brings what is kept into step with a tail that was opened: what is above its head was never in it.
    pub fn follow(&self, head: Option<BlockRef>) -> Result<(), StoreError> {
        let Some(head) = head else { return Ok(()) };
        self.unwind(head.number)?;
        match self.hash(head.number)? {
            Some(hash) if hash != head.hash => {
                tracing::warn!(block = head.number, "another block is kept: the kept blocks are forgotten");
                let _writing = self.lock();
                self.take_back(0)
            }
            _ => Ok(()),
        }
    }

    /// Appends to a run, at least one block, until its file is full; how many.
    fn extend(&self, run: Run, blocks: &[KeptBlock]) -> Result<usize, StoreError> {
        let mut offset = self.bytes_of(run)?;
        let start = offset;
        let (mut bytes, mut index) = (Vec::new(), Vec::new());
        let mut taken = 0;
        for block in blocks {
            if taken > 0 && offset >= self.file_bytes {
                break;
            }
            let length = block.bytes.len() as u64;
            let check = *blake3::hash(&block.bytes).as_bytes();
            Entry { offset, length, hash: block.hash, check }.encode(&mut index);
            bytes.extend_from_slice(&block.bytes);
            offset = offset.saturating_add(length);
            taken += 1;
        }
        // The bytes before the entries that speak of them.
        let is_new = run.count == 0;
        write_at(&self.path(run.first, "bin"), start, &bytes, is_new)?;
        write_at(&self.path(run.first, "idx"), run.count.saturating_mul(ENTRY), &index, is_new)?;
        if is_new {
            durable::sync_folder(&self.folder)?;
        }
        Ok(taken)
    }

    /// Forgets the oldest pairs of files until there is room for so many bytes more.
    fn make_room(&self, more: u64) -> Result<(), StoreError> {
        let Some(bytes_max) = self.bytes_max else { return Ok(()) };
        let runs = self.runs()?;
        let sizes = runs.iter().map(|run| self.size(*run)).collect::<Result<Vec<_>, _>>()?;
        let mut bytes = sizes.iter().fold(more, |sum, size| sum.saturating_add(*size));
        for (run, size) in runs.into_iter().zip(sizes) {
            if bytes <= bytes_max {
                break;
            }
            self.forget(run)?;
            bytes = bytes.saturating_sub(size);
        }
        Ok(())
    }

    /// Bytes of a pair of files.
    fn size(&self, run: Run) -> Result<u64, StoreError> {
        let mut bytes = 0_u64;
        for ending in ["idx", "bin"] {
            let path = self.path(run.first, ending);
            let Some(file) = durable::open(&path)? else { continue };
            let size = file.metadata().map_err(durable::io("looking at", &path))?.len();
            bytes = bytes.saturating_add(size);
        }
        Ok(bytes)
    }

    fn forget(&self, run: Run) -> Result<(), StoreError> {
        durable::remove(&self.path(run.first, "idx"))?;
        durable::remove(&self.path(run.first, "bin"))
    }

    /// Forgets every block from `from` on.
    fn take_back(&self, from: u64) -> Result<(), StoreError> {
        for run in self.runs()?.into_iter().rev().take_while(|run| run.next() > from) {
            let path = self.path(run.first, "idx");
            if run.first >= from {
                self.forget(run)?;
            } else {
                let file = OpenOptions::new().write(true).open(&path).map_err(durable::io("opening", &path))?;
                let bytes = from.saturating_sub(run.first).saturating_mul(ENTRY);
                file.set_len(bytes).and_then(|()| file.sync_all()).map_err(durable::io("cutting", &path))?;
            }
        }
        Ok(())
    }

    /// What is kept, ascending; what a crash left of an entry is not counted.
    fn runs(&self) -> Result<Vec<Run>, StoreError> {
        let mut runs = Vec::new();
        for name in durable::names(&self.folder)? {
            let Some(first) = name.strip_suffix(".idx").and_then(|first| first.parse().ok()) else { continue };
            let Some(file) = durable::open(&self.folder.join(&name))? else { continue };
            let bytes = file.metadata().map_err(durable::io("looking at", &self.folder))?.len();
            runs.push(Run { first, count: bytes / ENTRY });
        }
        runs.sort_by_key(|run| run.first);
        Ok(runs)
    }

    fn entry(&self, run: Run, number: u64) -> Result<Option<Entry>, StoreError> {
        let path = self.path(run.first, "idx");
        let Some(file) = durable::open(&path)? else { return Ok(None) };
        let mut bytes = [0; ENTRY_BYTES];
        let offset = number.saturating_sub(run.first).saturating_mul(ENTRY);
        match file.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(Some(Entry::decode(&bytes))),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(durable::io("reading", &path)(error)),
        }
    }

    /// The bytes of a block, if they are what was written.
    fn bytes(&self, run: Run, entry: &Entry) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(run.first, "bin");
        let Some(file) = durable::open(&path)? else { return Ok(None) };
        let whole = file.metadata().map_err(durable::io("looking at", &path))?.len();
        let fits = entry.offset.checked_add(entry.length).is_some_and(|end| end <= whole);
        let Some(length) = usize::try_from(entry.length).ok().filter(|_| fits) else { return Ok(None) };
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, entry.offset).map_err(durable::io("reading", &path))?;
        Ok((*blake3::hash(&bytes).as_bytes() == entry.check).then_some(bytes))
    }

    /// Where the next block of a run is written.
    fn bytes_of(&self, run: Run) -> Result<u64, StoreError> {
        if run.count == 0 {
            return Ok(0);
        }
        let last = self.entry(run, run.next().saturating_sub(1))?;
        Ok(last.map_or(0, |entry| entry.offset.saturating_add(entry.length)))
    }

    fn path(&self, first: u64, ending: &str) -> PathBuf {
        self.folder.join(format!("{first:020}.{ending}"))
    }

    // What it guards is on disk, and there what a panic left behind is written over or not read.
    fn lock(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes at a place and makes it durable; a file that is begun is begun empty.
fn write_at(path: &Path, offset: u64, bytes: &[u8], is_new: bool) -> Result<(), StoreError> {
    let open = OpenOptions::new().write(true).create(true).truncate(is_new).open(path);
    let file: File = open.map_err(durable::io("opening", path))?;
    file.write_all_at(bytes, offset).and_then(|()| file.sync_data()).map_err(durable::io("writing", path))
}

#[cfg(test)]
mod tests;
