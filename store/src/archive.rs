//! Blobs by content hash: kept the moment they verify, because EigenDA forgets them after about two weeks.
//!
//! `blobs/ab/<hash>` holds the bytes whose keccak256 is `<hash>`. Reading hashes again, so a damaged file is never
//! mistaken for the blob; the caller fetches it anew. `commitments/ab/<hash>` says what is known of the blob that the
//! commitment with this keccak256 is for ([`BlobRecord`], as JSON): which bytes, and the proof that they are it.
//!
//! Nobody needs a lock. A file is written beside its place and renamed to it, and its name says what is in it: two
//! writers of one blob write the same bytes, and a reader sees all of them or none.

mod record;

use alloy_primitives::{B256, Keccak256, keccak256};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use tributary_schemas::eigenda::commitment::COMMITMENT_BYTES_MAX;
use tributary_schemas::payload_codec::ELEMENTS_MAX;

use crate::durable;
use crate::error::StoreError;
pub use record::{BlobRecord, Content, Void};

/// Most bytes of a blob: the longest encoded payload.
pub const BLOB_BYTES_MAX: usize = ELEMENTS_MAX * 32;
/// Most bytes of a record: the longest commitment in hex, and everything else.
const RECORD_BYTES_MAX: usize = COMMITMENT_BYTES_MAX * 2 + (16 << 10);

/// Bytes of a file that are in memory while it is only hashed.
const PIECE_BYTES: usize = 64 << 10;

/// The archive of one data folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Archive {
    reader: ArchiveReader,
}

impl Archive {
    /// The archive in `dir/blobs`, made when absent.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let reader = ArchiveReader::new(dir);
        durable::make_folder(&reader.folder)?;
        durable::make_folder(&reader.records)?;
        Ok(Self { reader })
    }

    /// Keeps what is known of a blob by its commitment, in place of what was known before.
    pub fn record(&self, record: &BlobRecord) -> Result<(), StoreError> {
        let path = place(&self.reader.records, record.key());
        if let Some(folder) = path.parent() {
            durable::make_folder(folder)?;
        }
        let json = serde_json::to_vec(record).map_err(durable::json(&path))?;
        durable::replace(&path, &json)
    }

    /// As [`ArchiveReader::known`].
    pub fn known(&self, key: B256) -> Result<Option<BlobRecord>, StoreError> {
        self.reader.known(key)
    }

    /// Keeps bytes and returns their keccak256, and whether they were not there already; a damaged copy was not.
    /// More than [`BLOB_BYTES_MAX`] are [`StoreError::BlobTooLarge`].
    pub fn put(&self, bytes: &[u8]) -> Result<(B256, bool), StoreError> {
        if bytes.len() > BLOB_BYTES_MAX {
            return Err(too_large());
        }
        let hash = keccak256(bytes);
        match self.reader.check(hash) {
            Ok(Some(_)) => return Ok((hash, false)),
            Ok(None) | Err(StoreError::BlobDamaged { .. }) => {}
            Err(error) => return Err(error),
        }
        let path = self.reader.path(hash);
        if let Some(folder) = path.parent() {
            durable::make_folder(folder)?;
        }
        durable::replace(&path, bytes)?;
        Ok((hash, true))
    }

    /// As [`ArchiveReader::get`].
    pub fn get(&self, hash: B256) -> Result<Option<Vec<u8>>, StoreError> {
        self.reader.get(hash)
    }

    /// As [`ArchiveReader::contains`].
    pub fn contains(&self, hash: B256) -> Result<bool, StoreError> {
        self.reader.contains(hash)
    }
}

/// The archive of one data folder, for those who only read it: it makes nothing and changes nothing. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ArchiveReader {
    folder: PathBuf,
    records: PathBuf,
}

impl ArchiveReader {
    /// The archive in `dir/blobs`. Where there is none, nothing is archived.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { folder: dir.join("blobs"), records: dir.join("commitments") }
    }

    /// What is known of the blob that the commitment with this keccak256 is for. A record that cannot be read, or is
    /// of another commitment, is as none.
    pub fn known(&self, key: B256) -> Result<Option<BlobRecord>, StoreError> {
        let path = place(&self.records, key);
        let Some(file) = durable::open(&path)? else { return Ok(None) };
        let mut json = Vec::new();
        let most = u64::try_from(RECORD_BYTES_MAX).unwrap_or(u64::MAX);
        file.take(most).read_to_end(&mut json).map_err(durable::io("reading", &path))?;
        match serde_json::from_slice::<BlobRecord>(&json) {
            Ok(record) if record.key() == key => Ok(Some(record)),
            Ok(_) => {
                tracing::warn!(file = %path.display(), "a record of another commitment is passed over");
                Ok(None)
            }
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "a record that cannot be read is passed over");
                Ok(None)
            }
        }
    }

    /// Writes a record to `folder/<key>.json`, the key with 0x, if it is here; whether it is.
    pub fn export_record(&self, key: B256, folder: &Path) -> Result<bool, StoreError> {
        let Some(record) = self.known(key)? else { return Ok(false) };
        let path = folder.join(format!("{key}.json"));
        durable::make_folder(folder)?;
        durable::replace(&path, &serde_json::to_vec(&record).map_err(durable::json(&path))?)?;
        Ok(true)
    }

    /// The keys of all records, ascending, as [`hashes`](Self::hashes) lists blobs.
    pub fn keys(&self) -> impl Iterator<Item = Result<B256, StoreError>> {
        listed(&self.records)
    }

    /// The bytes of a blob, if it is here. Bytes that no longer have the hash are [`StoreError::BlobDamaged`]; of a
    /// file longer than any blob only the beginning is ever held.
    pub fn get(&self, hash: B256) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(hash);
        let Some(mut file) = durable::open(&path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let most = u64::try_from(BLOB_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
        file.by_ref().take(most).read_to_end(&mut bytes).map_err(durable::io("reading", &path))?;
        let mut hasher = Keccak256::new();
        hasher.update(&bytes);
        let is_whole = bytes.len() <= BLOB_BYTES_MAX;
        if !is_whole {
            let _rest = absorb(&mut hasher, file, &path)?;
        }
        match hasher.finalize() {
            got if got != hash => Err(StoreError::BlobDamaged { hash, got }),
            _ if is_whole => Ok(Some(bytes)),
            _ => Err(too_large()),
        }
    }

    /// The length of a blob in bytes, if it is here, after hashing it piece by piece. Bytes that no longer have the
    /// hash are [`StoreError::BlobDamaged`].
    pub fn check(&self, hash: B256) -> Result<Option<u64>, StoreError> {
        match hash_of(&self.path(hash))? {
            None => Ok(None),
            Some((got, bytes)) if got == hash => Ok(Some(bytes)),
            Some((got, _)) => Err(StoreError::BlobDamaged { hash, got }),
        }
    }

    /// Whether a blob is here; it may still prove damaged when read.
    pub fn contains(&self, hash: B256) -> Result<bool, StoreError> {
        let path = self.path(hash);
        path.try_exists().map_err(durable::io("looking for", &path))
    }

    /// Writes a blob to `folder/<hash>`, the hash with 0x, and returns its length in bytes, if it is here. The file is
    /// whole or not there; one that is there and has the hash is left alone. Damage is an error as in
    /// [`get`](Self::get), and then nothing is written.
    pub fn export(&self, hash: B256, folder: &Path) -> Result<Option<u64>, StoreError> {
        let path = folder.join(hash.to_string());
        if let Some((got, bytes)) = hash_of(&path)?
            && got == hash
        {
            return Ok(self.contains(hash)?.then_some(bytes));
        }
        let Some(bytes) = self.get(hash)? else { return Ok(None) };
        durable::make_folder(folder)?;
        durable::replace(&path, &bytes)?;
        Ok(u64::try_from(bytes.len()).ok())
    }

    /// The hashes of all blobs, ascending. One of the 256 folders is in memory at a time; names that are no blob's are
    /// passed over.
    pub fn hashes(&self) -> impl Iterator<Item = Result<B256, StoreError>> {
        listed(&self.folder)
    }

    fn path(&self, hash: B256) -> PathBuf {
        place(&self.folder, hash)
    }
}

/// The names in the 256 folders of a folder, ascending.
fn listed(folder: &Path) -> impl Iterator<Item = Result<B256, StoreError>> {
    let folders = (0..=u8::MAX).map(|first| folder.join(format!("{first:02x}")));
    let root = folder.to_owned();
    folders.flat_map(move |folder| match durable::names(&folder) {
        Ok(names) => names.iter().filter_map(|name| named(&root, &folder.join(name))).map(Ok).collect(),
        Err(error) => vec![Err(error)],
    })
}

/// The hash whose file belongs at a path.
fn named(root: &Path, path: &Path) -> Option<B256> {
    let hash = path.file_name()?.to_str()?.parse::<B256>().ok()?;
    (place(root, hash) == path).then_some(hash)
}

fn place(folder: &Path, hash: B256) -> PathBuf {
    let name = format!("{hash:x}");
    folder.join(&name[..2]).join(name)
}

const fn too_large() -> StoreError {
    StoreError::BlobTooLarge { limit: BLOB_BYTES_MAX }
}

/// Hash and length in bytes of a file, if there is one.
fn hash_of(path: &Path) -> Result<Option<(B256, u64)>, StoreError> {
    let Some(file) = durable::open(path)? else { return Ok(None) };
    let mut hasher = Keccak256::new();
    let bytes = absorb(&mut hasher, file, path)?;
    Ok(Some((hasher.finalize(), bytes)))
}

/// Hashes the rest of a file piece by piece; how many bytes it was.
fn absorb(hasher: &mut Keccak256, mut file: File, path: &Path) -> Result<u64, StoreError> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut bytes = 0_u64;
    loop {
        let read = match file.read(&mut piece) {
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(durable::io("reading", path)(error)),
        };
        if read == 0 {
            return Ok(bytes);
        }
        hasher.update(piece.get(..read).unwrap_or_default());
        bytes = bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests;
