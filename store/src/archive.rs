//! Blobs by content hash: kept the moment they verify, because EigenDA forgets them after about two weeks.
//!
//! `blobs/ab/<hash>` holds the bytes whose keccak256 is `<hash>`. Reading hashes again, so a damaged file is never
//! mistaken for the blob; the caller fetches it anew.

use alloy_primitives::{B256, keccak256};
use std::path::{Path, PathBuf};

use crate::durable;
use crate::error::StoreError;

/// The archive of one data folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Archive {
    folder: PathBuf,
}

impl Archive {
    /// The archive in `dir/blobs`, made when absent.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let folder = dir.join("blobs");
        durable::make_folder(&folder)?;
        Ok(Self { folder })
    }

    /// Keeps bytes and returns their keccak256; keeping them twice is harmless, and mends a damaged copy.
    pub fn put(&self, bytes: &[u8]) -> Result<B256, StoreError> {
        let hash = keccak256(bytes);
        let path = self.path(hash);
        if durable::read(&path)?.is_some_and(|kept| kept == bytes) {
            return Ok(hash);
        }
        if let Some(folder) = path.parent() {
            durable::make_folder(folder)?;
        }
        durable::replace(&path, bytes)?;
        Ok(hash)
    }

    /// The bytes of a blob, if it is here. Bytes that no longer have the hash are [`StoreError::BlobDamaged`].
    pub fn get(&self, hash: B256) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(bytes) = durable::read(&self.path(hash))? else { return Ok(None) };
        let got = keccak256(&bytes);
        if got == hash { Ok(Some(bytes)) } else { Err(StoreError::BlobDamaged { hash, got }) }
    }

    /// Whether a blob is here; it may still prove damaged when read.
    pub fn contains(&self, hash: B256) -> Result<bool, StoreError> {
        let path = self.path(hash);
        path.try_exists().map_err(durable::io("looking for", &path))
    }

    /// The hashes of all blobs, ascending.
    pub fn list(&self) -> Result<Vec<B256>, StoreError> {
        let mut out = Vec::new();
        for shard in durable::names(&self.folder)? {
            let names = durable::names(&self.folder.join(&shard))?;
            out.extend(names.iter().filter_map(|name| name.parse::<B256>().ok()));
        }
        Ok(out)
    }

    fn path(&self, hash: B256) -> PathBuf {
        let name = format!("{hash:x}");
        self.folder.join(&name[..2]).join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_comes_back_by_its_hash_and_damage_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let archive = Archive::open(dir.path()).unwrap();
        assert_eq!(archive.get(B256::ZERO).unwrap(), None);
        let one = archive.put(b"one").unwrap();
        let none = archive.put(b"").unwrap();
        assert_eq!(one, keccak256(b"one"));
        assert_eq!(archive.get(one).unwrap().as_deref(), Some(b"one".as_slice()));
        assert_eq!(archive.get(none).unwrap().as_deref(), Some(b"".as_slice()));
        assert!(archive.contains(one).unwrap() && !archive.contains(B256::ZERO).unwrap());
        let mut all = vec![one, none];
        all.sort();
        assert_eq!(archive.list().unwrap(), all);

        std::fs::write(archive.path(one), b"0ne").unwrap();
        let error = archive.get(one).unwrap_err();
        assert!(matches!(error, StoreError::BlobDamaged { hash, .. } if hash == one), "{error}");
        assert_eq!(archive.put(b"one").unwrap(), one);
        assert_eq!(archive.get(one).unwrap().as_deref(), Some(b"one".as_slice()));
    }
}
