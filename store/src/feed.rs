//! The feed: what happened to the tail, in an order that never changes, for whoever watches it from outside.
//!
//! The tail itself is opened by one process. Others read here which blocks were appended and which were taken back, by
//! sequence numbers without gaps: a reader that remembers the last one goes on from there, whenever it comes back.
//!
//! ```text
//! DIR/feed/<first sequence>.feed    records of 112 bytes, only ever appended; the oldest file goes when there are too many
//! ```
//!
//! The feed is written after the tail's own commit and not synced, so after a crash it may lack its end. It is then
//! brought into step with the next append: what it says and the tail does not is taken back, what it lacks is added.
//! Block numbers may jump where blocks were sealed while no feed was written; sequence numbers never do.

use alloy_primitives::B256;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::durable;
use crate::error::StoreError;
use crate::tail::BlockRef;

/// Sequence, kind, number, time or last number, hash, parent hash, and a checksum of these.
const RECORD_BYTES: usize = 112;
const CHECKED_BYTES: usize = 96;
const ADDED: u64 = 1;
const RETRACTED: u64 = 2;
const SUFFIX: &str = ".feed";

/// Sizes of a feed. What is kept is more than the 43,200 blocks of the deepest reorg expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedOptions {
    /// Records of a file.
    pub records: u64,
    /// Files kept.
    pub files: usize,
}

impl Default for FeedOptions {
    fn default() -> Self {
        Self { records: 1 << 15, files: 4 }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedEvent {
    /// A block was appended.
    Added(BlockRef),
    /// Blocks were taken back, from the lowest to the highest, both included.
    Retracted {
        /// The lowest.
        from: u64,
        /// The highest.
        to: u64,
        /// Hash of the block below the lowest, which is the head now; zero when that is not known.
        head: B256,
    },
}

/// One thing that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedRecord {
    /// Its number: 1 for the first, then without gaps.
    pub sequence: u64,
    /// What happened.
    pub event: FeedEvent,
}

impl FeedRecord {
    fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let (kind, number, other, hash, parent) = match self.event {
            FeedEvent::Added(block) => (ADDED, block.number, block.timestamp, block.hash, block.parent_hash),
            FeedEvent::Retracted { from, to, head } => (RETRACTED, from, to, head, B256::ZERO),
        };
        for word in [self.sequence, kind, number, other] {
            out.extend(word.to_be_bytes());
        }
        out.extend(hash);
        out.extend(parent);
        let check = blake3::hash(out.get(start..).unwrap_or_default());
        out.extend(&check.as_bytes()[..RECORD_BYTES - CHECKED_BYTES]);
    }

    /// `None` for bytes that were not written whole.
    fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        let (checked, check) = bytes.split_at(CHECKED_BYTES);
        if !blake3::hash(checked).as_bytes().starts_with(check) {
            return None;
        }
        let word = |at: usize| checked.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes);
        let hash = |at: usize| checked.get(at..at + 32).map(B256::from_slice);
        let (sequence, number, other) = (word(0)?, word(16)?, word(24)?);
        let event = match word(8)? {
            ADDED => FeedEvent::Added(BlockRef { number, hash: hash(32)?, parent_hash: hash(64)?, timestamp: other }),
            RETRACTED => FeedEvent::Retracted { from: number, to: other, head: hash(32)? },
            _ => return None,
        };
        Some(Self { sequence, event })
    }
}

/// Records after one that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPage {
    /// The oldest sequence number that is kept.
    pub oldest: u64,
    /// The records, in order; none when there is nothing newer yet, or when what follows is no longer kept.
    pub records: Vec<FeedRecord>,
}

/// A feed as its readers see it; any number of processes read it while one writes.
#[derive(Debug, Clone)]
pub struct FeedReader {
    folder: PathBuf,
}

impl FeedReader {
    /// The feed of a data folder, whether or not there is one yet.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { folder: dir.join("feed") }
    }

    /// The sequence number of the next record; 1 when there is none yet.
    pub fn next(&self) -> Result<u64, StoreError> {
        let Some(first) = firsts(&self.folder)?.pop() else { return Ok(1) };
        let file = durable::open(&path(&self.folder, first))?;
        let bytes = file.map(|file| file.metadata()).transpose();
        let bytes = bytes.map_err(durable::io("looking at", &self.folder))?.map_or(0, |file| file.len());
        Ok(first.saturating_add(bytes / RECORD_BYTES as u64))
    }

    /// At most `most` records after the one with the number `after`.
    pub fn read(&self, after: u64, most: usize) -> Result<FeedPage, StoreError> {
        let wanted = after.saturating_add(1);
        let firsts = firsts(&self.folder)?;
        let mut page = FeedPage { oldest: firsts.first().copied().unwrap_or(1), records: Vec::new() };
        for (at, first) in firsts.iter().enumerate() {
            let next = firsts.get(at + 1).copied().unwrap_or(u64::MAX);
            let done = page.records.last().map_or(wanted, |record| record.sequence.saturating_add(1));
            if done < page.oldest || done < *first || done >= next || page.records.len() >= most {
                continue;
            }
            let Some(file) = durable::open(&path(&self.folder, *first))? else { break };
            let most = most.saturating_sub(page.records.len());
            let found = records(&file, done - first, most).map_err(durable::io("reading", &self.folder))?;
            page.records
                .extend(found.into_iter().zip(done..).map_while(|(one, at)| (one.sequence == at).then_some(one)));
        }
        Ok(page)
    }
}

/// Whole records of a file from the one at `skip`.
fn records(file: &File, skip: u64, most: usize) -> std::io::Result<Vec<FeedRecord>> {
    let mut bytes = vec![0; most.saturating_mul(RECORD_BYTES)];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let offset = skip.saturating_mul(RECORD_BYTES as u64).saturating_add(filled as u64);
        match file.read_at(rest, offset)? {
            0 => break,
            read => filled += read,
        }
    }
    let whole = bytes.get(..filled).unwrap_or_default().as_chunks::<RECORD_BYTES>().0;
    Ok(whole.iter().map_while(FeedRecord::decode).collect())
}

/// The first sequence number of each file, ascending.
fn firsts(folder: &Path) -> Result<Vec<u64>, StoreError> {
    let names = durable::names(folder)?;
    let mut firsts: Vec<u64> = names.iter().filter_map(|name| name.strip_suffix(SUFFIX)?.parse().ok()).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}{SUFFIX}"))
}

/// The feed as the tail writes it.
#[derive(Debug)]
pub(crate) struct Feed {
    folder: PathBuf,
    options: FeedOptions,
    /// First number of the file appended to, and the file.
    open: Option<(u64, File)>,
    next: u64,
    /// The head that the feed speaks of; `None` before the first block.
    head: Option<(u64, B256)>,
}

impl Feed {
    /// Opens the feed of a data folder; a torn end is cut off.
    pub(crate) fn open(dir: &Path, options: FeedOptions) -> Result<Self, StoreError> {
        let folder = dir.join("feed");
        durable::make_folder(&folder)?;
        let mut feed = Self { folder, options, open: None, next: 1, head: None };
        let Some(first) = firsts(&feed.folder)?.pop() else { return Ok(feed) };
        let file_path = path(&feed.folder, first);
        let file = OpenOptions::new().read(true).write(true).open(&file_path);
        let file = file.map_err(durable::io("opening", &file_path))?;
        let most = usize::try_from(options.records).unwrap_or(usize::MAX);
        let found = records(&file, 0, most).map_err(durable::io("reading", &file_path))?;
        file.set_len((found.len() * RECORD_BYTES) as u64).map_err(durable::io("cutting", &file_path))?;
        feed.next = first.saturating_add(found.len() as u64);
        feed.head = found.last().map(|record| match record.event {
            FeedEvent::Added(block) => (block.number, block.hash),
            FeedEvent::Retracted { from, head, .. } => (from.saturating_sub(1), head),
        });
        feed.open = Some((first, file));
        Ok(feed)
    }

    /// Says that blocks were appended; `block` knows what the tail holds, `sealed` is the tail's sealed block.
    pub(crate) fn appended(
        &mut self,
        new: &[BlockRef],
        sealed: Option<BlockRef>,
        block: impl Fn(u64) -> Result<Option<BlockRef>, StoreError>,
    ) -> Result<(), StoreError> {
        let (Some(first), Some(last)) = (new.first(), new.last()) else { return Ok(()) };
        let follows =
            |(number, hash): (u64, B256)| (first.number, first.parent_hash) == (number.saturating_add(1), hash);
        if self.head.is_some_and(follows) {
            return self.write(new.iter().copied().map(FeedEvent::Added));
        }
        // Out of step: the feed is new, or a crash took its end.
        let oldest = sealed.map_or(first.number, |sealed| sealed.number.saturating_add(1));
        let mut events = Vec::new();
        let mut from = oldest;
        if let Some((number, hash)) = self.head.filter(|(number, _)| *number >= oldest) {
            if block(number)?.is_some_and(|held| held.hash == hash) {
                from = number.saturating_add(1);
            } else {
                let head = sealed.map_or(B256::ZERO, |sealed| sealed.hash);
                events.push(FeedEvent::Retracted { from: oldest, to: number, head });
            }
        }
        for number in from..=last.number {
            events.extend(block(number)?.map(FeedEvent::Added));
        }
        self.write(events)
    }

    /// Says that everything above the tail's head was taken back.
    pub(crate) fn unwound(&mut self, head: Option<BlockRef>) -> Result<(), StoreError> {
        let (Some((to, _)), Some(head)) = (self.head, head) else { return Ok(()) };
        if to <= head.number {
            return Ok(());
        }
        self.write([FeedEvent::Retracted { from: head.number.saturating_add(1), to, head: head.hash }])
    }

    fn write(&mut self, events: impl IntoIterator<Item = FeedEvent>) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        let mut events = events.into_iter().peekable();
        while events.peek().is_some() {
            let (first, file) = self.file()?;
            let room = first.saturating_add(self.options.records).saturating_sub(self.next);
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            let (mut next, mut head) = (self.next, self.head);
            bytes.clear();
            for event in events.by_ref().take(room) {
                FeedRecord { sequence: next, event }.encode(&mut bytes);
                next = next.saturating_add(1);
                head = Some(match event {
                    FeedEvent::Added(block) => (block.number, block.hash),
                    FeedEvent::Retracted { from, head, .. } => (from.saturating_sub(1), head),
                });
            }
            // At its place, so that what a failed write left behind is written over.
            let offset = (self.next - first).saturating_mul(RECORD_BYTES as u64);
            file.write_all_at(&bytes, offset).map_err(durable::io("appending to", &self.folder))?;
            (self.next, self.head) = (next, head);
        }
        Ok(())
    }

    /// The file that takes the next record, and its first number.
    fn file(&mut self) -> Result<(u64, File), StoreError> {
        let next = self.next;
        let has_room = |(first, _): &(u64, File)| next < first.saturating_add(self.options.records);
        let (first, file) = match self.open.take().filter(has_room) {
            Some(open) => open,
            None => {
                let path = path(&self.folder, next);
                let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path);
                let file = file.map_err(durable::io("making", &path))?;
                let firsts = firsts(&self.folder)?;
                let old = firsts.len().saturating_sub(self.options.files);
                firsts.into_iter().take(old).try_for_each(|first| durable::remove(&self::path(&self.folder, first)))?;
                (next, file)
            }
        };
        let shared = file.try_clone().map_err(durable::io("opening", &self.folder))?;
        self.open = Some((first, file));
        Ok((first, shared))
    }
}

#[cfg(test)]
mod tests;
