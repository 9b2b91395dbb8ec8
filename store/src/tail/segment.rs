//! Segment files: bodies and undo records, appended once and never changed.
//!
//! A process never appends to a segment that an earlier one wrote: what lies there beyond the last record sled names
//! may be torn, and needs no repair if nobody writes or reads it. A segment goes when no block needs it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::durable;
use crate::error::StoreError;

/// Where bytes lie, and what they must hash to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extent {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) length: u64,
    /// BLAKE3: it guards against torn writes and failing disks, not against people, and is read with every block.
    pub(super) hash: [u8; 32],
}

impl Extent {
    /// Reads and checks what lies there, in its segment's file.
    pub(super) fn read(&self, file: &File) -> Result<Vec<u8>, StoreError> {
        let length =
            usize::try_from(self.length).map_err(|error| damaged(format!("{} bytes: {error}", self.length)))?;
        let mut bytes = vec![0; length];
        let (segment, offset) = (self.segment, self.offset);
        let read = file.read_exact_at(&mut bytes, offset);
        read.map_err(|error| damaged(format!("segment {segment} at {offset}: {error}")))?;
        let got = blake3::hash(&bytes);
        if got != self.hash {
            let expected = blake3::Hash::from_bytes(self.hash);
            return Err(damaged(format!("segment {segment} at {offset} hashes to {got}: expected {expected}")));
        }
        Ok(bytes)
    }
}

/// The segments of a tail.
#[derive(Debug)]
pub(super) struct Segments {
    folder: PathBuf,
    /// A segment is closed at this size.
    bytes_max: u64,
    /// Blocks that need a segment.
    live: BTreeMap<u64, u64>,
    /// The segment appended to, and its length.
    open: Option<(u64, File, u64)>,
    /// Number of the next segment.
    next: u64,
}

impl Segments {
    /// Opens the segments that live blocks need, and removes the others.
    pub(super) fn open(folder: &Path, bytes_max: u64, live: BTreeMap<u64, u64>) -> Result<Self, StoreError> {
        durable::make_folder(folder)?;
        let mut next = 0;
        let mut found = Vec::new();
        for name in durable::names(folder)? {
            let Some(id) = name.strip_suffix(".seg").and_then(|id| id.parse::<u64>().ok()) else { continue };
            next = std::cmp::max(next, id + 1);
            if live.contains_key(&id) {
                found.push(id);
            } else {
                durable::remove(&folder.join(name))?;
            }
        }
        if let Some(absent) = live.keys().find(|id| !found.contains(id)) {
            return Err(damaged(format!("segment {absent} is absent")));
        }
        Ok(Self { folder: folder.to_path_buf(), bytes_max, live, open: None, next })
    }

    /// Begins an append.
    pub(super) fn writer(&mut self) -> Result<Writer<'_>, StoreError> {
        if self.open.as_ref().is_none_or(|(_, _, length)| *length >= self.bytes_max) {
            let id = self.next;
            let path = path(&self.folder, id);
            let open = OpenOptions::new().write(true).create_new(true).open(&path);
            let file = open.map_err(durable::io("making", &path))?;
            durable::sync_folder(&self.folder)?;
            self.next += 1;
            if let Some((closed, _, _)) = self.open.replace((id, file, 0)) {
                self.drop_unneeded(closed)?;
            }
        }
        // Taken out until the append has succeeded: what a failed one leaves behind is not appended to.
        let (id, file, length) = self.open.take().ok_or_else(|| damaged("no segment is open".to_owned()))?;
        Ok(Writer { segments: self, id, length, file: BufWriter::with_capacity(1 << 20, file) })
    }

    /// Notes that so many more blocks need a segment.
    pub(super) fn count(&mut self, segment: u64, blocks: usize) {
        *self.live.entry(segment).or_default() += u64::try_from(blocks).unwrap_or(u64::MAX);
    }

    /// Notes that one block fewer needs a segment, and removes it when none does.
    pub(super) fn release(&mut self, segment: u64) -> Result<(), StoreError> {
        if let Some(count) = self.live.get_mut(&segment) {
            *count = count.saturating_sub(1);
        }
        let open = self.open.as_ref().is_some_and(|(id, _, _)| *id == segment);
        if open { Ok(()) } else { self.drop_unneeded(segment) }
    }

    /// Reads and checks bytes.
    pub(super) fn read(&self, extent: &Extent) -> Result<Vec<u8>, StoreError> {
        extent.read(&self.file(extent.segment)?)
    }

    /// A segment, to read: the file is there for as long as it is held, whatever becomes of its name.
    pub(super) fn file(&self, segment: u64) -> Result<File, StoreError> {
        let path = path(&self.folder, segment);
        File::open(&path).map_err(|error| damaged(format!("{}: {error}", path.display())))
    }

    fn drop_unneeded(&mut self, segment: u64) -> Result<(), StoreError> {
        if self.live.get(&segment).copied().unwrap_or(0) > 0 {
            return Ok(());
        }
        self.live.remove(&segment);
        durable::remove(&path(&self.folder, segment))
    }
}

/// An append under way.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    segments: &'a mut Segments,
    id: u64,
    length: u64,
    file: BufWriter<File>,
}

impl Writer<'_> {
    /// Appends bytes.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<Extent, StoreError> {
        let path = path(&self.segments.folder, self.id);
        self.file.write_all(bytes).map_err(durable::io("writing", &path))?;
        let (offset, length) = (self.length, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.length += length;
        Ok(Extent { segment: self.id, offset, length, hash: *blake3::hash(bytes).as_bytes() })
    }

    /// Makes what was appended durable; returns the segment.
    pub(super) fn finish(self) -> Result<u64, StoreError> {
        let path = path(&self.segments.folder, self.id);
        let file = self.file.into_inner().map_err(|error| durable::io("writing", &path)(error.into_error()))?;
        file.sync_data().map_err(durable::io("syncing", &path))?;
        self.segments.open = Some((self.id, file, self.length));
        Ok(self.id)
    }
}

fn path(folder: &Path, id: u64) -> PathBuf {
    folder.join(format!("{id:012}.seg"))
}

const fn damaged(reason: String) -> StoreError {
    StoreError::TailDamaged { doing: "reading segments", reason }
}
