//! sled, opened and used the one way that is safe (see the lessons in the front page of [`super`]): a generation of
//! its folder named by `CURRENT`, one handle, no background flush, every call guarded against panics.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::segment::Extent;
use super::state::{Held, Space, held};
use super::{BlockRef, Pair, TailOptions};
use crate::durable;
use crate::error::StoreError;

const HEAD: &[u8] = b"mhead";
const SEALED: &[u8] = b"msealed";
const FORMAT: &[u8] = b"mformat";
/// Changes when keys or values of ours are no longer read as before: then the tail is rebuilt.
const FORMAT_NOW: u32 = 1;
const BLOCK: u8 = b'h';
/// A folder is rewritten when it is this many times as large as what lives in it.
const SWOLLEN: u64 = 4;
/// Pauses of 10 ms for which sled's lock is waited for.
const LOCK_WAITS: u32 = 1_000;

/// A block in the index.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct BlockEntry {
    pub(super) block: BlockRef,
    pub(super) body: Extent,
    pub(super) undo: Extent,
}

impl BlockEntry {
    /// Counts the block towards its segment.
    pub(super) fn count_in(&self, live: &mut BTreeMap<u64, u64>) {
        *live.entry(self.body.segment).or_default() += 1;
    }
}

/// An open sled.
pub(super) struct Index {
    db: sled::Db,
    cache_bytes: u64,
    /// Size of the folder at which live data is measured next.
    measure_above: u64,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("measure_above", &self.measure_above).finish_non_exhaustive()
    }
}

impl Index {
    /// Opens the current generation and removes the others.
    pub(super) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let generation = current(dir)?;
        let folder = generation_folder(dir, generation);
        Self::remove_old_generations(dir)?;
        // A kill while sled opens leaves this file, and with it every later open fails (sled#1527).
        for name in durable::names(&folder)? {
            if name.starts_with("snap.") && name.ends_with(".generating") {
                durable::remove(&folder.join(name))?;
            }
        }
        let index = Self::open_folder(&folder, cache_bytes)?;
        match index.record::<u32>(FORMAT)? {
            Some(FORMAT_NOW) => {}
            None if index.head()?.is_none() => {
                let mut batch = sled::Batch::default();
                batch.insert(FORMAT, encode(&FORMAT_NOW)?);
                index.commit(batch)?;
            }
            other => return Err(damaged("opening sled", format!("its format is {other:?}: expected {FORMAT_NOW}"))),
        }
        Ok(index)
    }

    /// Removes every generation but the current one.
    pub(super) fn remove_old_generations(dir: &Path) -> Result<(), StoreError> {
        let folder = generation_folder(dir, current(dir)?);
        for name in durable::names(dir)? {
            if name.starts_with("sled-") && dir.join(&name) != folder {
                remove_folder(&dir.join(name))?;
            }
        }
        Ok(())
    }

    /// Makes an empty generation current.
    pub(super) fn begin_generation(dir: &Path) -> Result<(), StoreError> {
        let next = current(dir)? + 1;
        remove_folder(&generation_folder(dir, next))?;
        durable::replace(&dir.join("CURRENT"), next.to_string().as_bytes())
    }

    /// Opens sled. Our own lock says that nobody else has the folder; what may still hold sled's are threads of a
    /// handle that this process dropped a moment ago, or a child it has just forked, so that lock is waited for.
    fn open_folder(folder: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let config = sled::Config::new().path(folder).cache_capacity(cache_bytes).flush_every_ms(None);
        let mut waits = 0;
        loop {
            match guarded("opening sled", || Ok(config.open()))? {
                Ok(db) => return Ok(Self { db, cache_bytes, measure_above: 0 }),
                Err(error) if waits < LOCK_WAITS && is_locked(&error) => {
                    waits += 1;
                    pause();
                }
                Err(error) => return Err(damaged("opening sled", error.to_string())),
            }
        }
    }

    /// The head, as last committed.
    pub(super) fn head(&self) -> Result<Option<BlockRef>, StoreError> {
        self.record(HEAD)
    }

    /// The sealed block, as last committed.
    pub(super) fn sealed(&self) -> Result<Option<BlockRef>, StoreError> {
        self.record(SEALED)
    }

    /// A block above the sealed one.
    pub(super) fn entry(&self, number: u64) -> Result<Option<BlockEntry>, StoreError> {
        self.record(&entry_key(number))
    }

    /// All blocks above the sealed one, ascending.
    pub(super) fn entries(&self) -> Result<impl Iterator<Item = Result<BlockEntry, StoreError>> + use<>, StoreError> {
        let mut rows = self.db.scan_prefix([BLOCK]);
        Ok(std::iter::from_fn(move || {
            let row = guarded("reading the index of blocks", || rows.next().transpose()).transpose()?;
            Some(row.and_then(|(_, bytes)| decode(&bytes)))
        }))
    }

    /// The value of a key.
    pub(super) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.get_held(space, key)?.0)
    }

    /// The value of a key, and the number of pieces it is held in.
    pub(super) fn get_held(&self, space: Space, key: &[u8]) -> Result<(Option<Vec<u8>>, u32), StoreError> {
        let Some(bytes) = self.raw(&space.key(key))? else { return Ok((None, 0)) };
        match held(&bytes)? {
            Held::Whole(value) => Ok((Some(value.to_vec()), 0)),
            Held::Pieces(count) => Ok((Some(self.pieces(space, key, count)?), count)),
        }
    }

    /// The keys with a prefix and their values.
    pub(super) fn scan(&self, space: Space, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        let mut rows = self.db.scan_prefix(space.key(prefix));
        let mut out = Vec::new();
        while let Some((key, bytes)) = guarded("scanning", || rows.next().transpose())? {
            let key = key[1..].to_vec();
            let value = match held(&bytes)? {
                Held::Whole(value) => value.to_vec(),
                Held::Pieces(count) => self.pieces(space, &key, count)?,
            };
            out.push((key, value));
        }
        Ok(out)
    }

    /// Applies a batch, all or none, and makes it durable.
    pub(super) fn commit(&self, batch: sled::Batch) -> Result<(), StoreError> {
        self.apply(batch)?;
        guarded("flushing", || self.db.flush()).map(drop)
    }

    /// Applies a batch, all or none; durable with the next [`Index::commit`].
    pub(super) fn apply(&self, batch: sled::Batch) -> Result<(), StoreError> {
        guarded("writing", || self.db.apply_batch(batch))
    }

    pub(super) fn put_entry(batch: &mut sled::Batch, entry: &BlockEntry) -> Result<(), StoreError> {
        batch.insert(&entry_key(entry.block.number), encode(entry)?);
        Ok(())
    }

    pub(super) fn remove_entry(batch: &mut sled::Batch, number: u64) {
        batch.remove(&entry_key(number));
    }

    pub(super) fn put_head(batch: &mut sled::Batch, head: Option<&BlockRef>) -> Result<(), StoreError> {
        match head {
            Some(head) => batch.insert(HEAD, encode(head)?),
            None => batch.remove(HEAD),
        }
        Ok(())
    }

    pub(super) fn put_sealed(batch: &mut sled::Batch, sealed: &BlockRef) -> Result<(), StoreError> {
        batch.insert(SEALED, encode(sealed)?);
        Ok(())
    }

    /// Copies what lives into a new generation when the folder is much larger than it, and returns that generation.
    pub(super) fn compacted_if_swollen(
        &mut self,
        dir: &Path,
        options: TailOptions,
    ) -> Result<Option<Self>, StoreError> {
        let size = guarded("measuring", || self.db.size_on_disk())?;
        if size <= std::cmp::max(options.compact_above_bytes, self.measure_above) {
            return Ok(None);
        }
        let live = self.live_bytes()?;
        // Measuring reads everything, so it is not done again before the folder has grown by half.
        self.measure_above = size.saturating_add(size / 2);
        if size <= live.saturating_mul(SWOLLEN) {
            return Ok(None);
        }
        let old = current(dir)?;
        let folder = generation_folder(dir, old + 1);
        remove_folder(&folder)?;
        let new = Self::open_folder(&folder, self.cache_bytes)?;
        let mut rows = self.db.iter();
        let mut batch = sled::Batch::default();
        let mut bytes = 0;
        while let Some((key, value)) = guarded("compacting", || rows.next().transpose())? {
            bytes += key.len() + value.len();
            batch.insert(key, value);
            if bytes >= 4 << 20 {
                new.apply(std::mem::take(&mut batch))?;
                bytes = 0;
            }
        }
        new.commit(batch)?;
        durable::sync_folder(&folder)?;
        durable::replace(&dir.join("CURRENT"), (old + 1).to_string().as_bytes())?;
        tracing::info!(from_bytes = size, live_bytes = live, "sled was rewritten");
        Ok(Some(new))
    }

    fn live_bytes(&self) -> Result<u64, StoreError> {
        let mut rows = self.db.iter();
        let mut bytes = 0_u64;
        while let Some((key, value)) = guarded("measuring", || rows.next().transpose())? {
            bytes += u64::try_from(key.len() + value.len()).unwrap_or(u64::MAX);
        }
        Ok(bytes)
    }

    fn pieces(&self, space: Space, key: &[u8], count: u32) -> Result<Vec<u8>, StoreError> {
        let mut out = Vec::new();
        for piece in 0..count {
            let Some(bytes) = self.raw(&space.piece_key(key, piece))? else {
                return Err(damaged("reading state", format!("piece {piece} of {count} is absent")));
            };
            out.extend_from_slice(&bytes);
        }
        Ok(out)
    }

    fn record<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.raw(key)?.map(|bytes| decode(&bytes)).transpose()
    }

    fn raw(&self, key: &[u8]) -> Result<Option<sled::IVec>, StoreError> {
        guarded("reading", || self.db.get(key))
    }
}

fn current(dir: &Path) -> Result<u64, StoreError> {
    let text = durable::read(&dir.join("CURRENT"))?.unwrap_or_default();
    Ok(std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0))
}

fn generation_folder(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("sled-{generation:06}"))
}

fn remove_folder(folder: &Path) -> Result<(), StoreError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(durable::io("removing", folder)(error)),
        _ => Ok(()),
    }
}

fn entry_key(number: u64) -> [u8; 9] {
    let mut key = [BLOCK; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    postcard::to_stdvec(value).map_err(|error| damaged("encoding a record", error.to_string()))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    postcard::from_bytes(bytes).map_err(|error| damaged("decoding a record", error.to_string()))
}

/// Whether sled could not take its own lock. It says so in words only: the kind of its error is `Other`.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

#[expect(clippy::disallowed_methods, reason = "sled lets go of its lock without telling anybody")]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

/// Runs a call into sled; its errors and its panics are damage, never the end of the process.
fn guarded<T>(doing: &'static str, call: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(damaged(doing, error.to_string())),
        Err(_) => Err(damaged(doing, "sled panicked".to_owned())),
    }
}

const fn damaged(doing: &'static str, reason: String) -> StoreError {
    StoreError::TailDamaged { doing, reason }
}
