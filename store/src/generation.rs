//! Generations: the ledgers of one data folder, each by a mapping set of its own, and which of them is current.
//!
//! ```text
//! DATA/                                   the first generation, as if it were the only one
//! DATA/generations/<mapping set's hash>/  each later one, laid out likewise
//! …/mapping.json                          the mapping set that a generation is by, as it was given
//! DATA/generation.json                    which one is current; absent while that is the first
//! DATA/{blobs,commitments,blocks,feed,keys.json}   what all of them share
//! ```
//!
//! A generation has its own tail, tables, snapshots, roots and status, so one is built while another answers, and
//! whatever ends the process leaves both as they are. Making one current is the replacement of one small file
//! ([`Generations::switch`]); who reads looks at that file once and reads nothing else from then on.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

use crate::durable;
use crate::error::StoreError;
use crate::lake::{Heads, Snapshot};
use crate::tail::Tail;

pub(crate) const POINTER: &str = "generation.json";
pub(crate) const MAPPING: &str = "mapping.json";
const FOLDER: &str = "generations";
/// Where what is dropped goes first, as a whole.
const DROPPED: &str = "dropped-";

/// What a generation has in its folder, what makes it one first.
const OWN: [&str; 11] = [
    MAPPING,
    "snapshots",
    "tables",
    "epochs",
    "segments",
    "staging",
    "jobs",
    "CURRENT",
    "status.json",
    "settling.json",
    "LOCK",
];

/// A ledger of a data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// The mapping set it is by.
    pub mapping_set_hash: B256,
    /// Where it is.
    pub folder: PathBuf,
    /// Whether it is the one that answers when no other is named.
    pub current: bool,
}

/// The one that answers when no other is named, as it is looked up by every reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// Where it is.
    pub folder: PathBuf,
    /// How often another one was made current before.
    pub switches: u64,
}

/// The generations of a data folder. Cheap to clone; any number of processes may look.
#[derive(Debug, Clone)]
pub struct Generations {
    dir: PathBuf,
}

/// What the pointer says.
#[derive(Debug, Serialize, Deserialize)]
struct Pointer {
    mapping_set_hash: B256,
    /// Whether it lies in the data folder itself.
    first: bool,
    switches: u64,
}

/// What `mapping.json` says.
#[derive(Debug, Serialize, Deserialize)]
struct Recorded {
    mapping_set_hash: B256,
    set: Value,
}

impl Generations {
    /// The generations of a data folder, whether or not there is one yet.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }

    /// The data folder.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.dir
    }

    /// Where the current one is, or will be.
    pub fn current(&self) -> Result<Current, StoreError> {
        Ok(match self.pointer()? {
            None => Current { folder: self.dir.clone(), switches: 0 },
            Some(pointer) => Current { folder: self.folder_of(&pointer), switches: pointer.switches },
        })
    }

    /// All of them, the first one first, the others by their hashes. One that neither recorded its mapping set nor
    /// published anything is not among them.
    pub fn list(&self) -> Result<Vec<Generation>, StoreError> {
        let current = self.current()?.folder;
        let mut folders = vec![self.dir.clone()];
        let inside = self.dir.join(FOLDER);
        let named = durable::names(&inside)?;
        folders.extend(named.iter().filter(|name| name.parse::<B256>().is_ok()).map(|name| inside.join(name)));
        let mut out = Vec::new();
        for folder in folders {
            if let Some(mapping_set_hash) = hash_of(&folder)? {
                out.push(Generation { mapping_set_hash, current: folder == current, folder });
            }
        }
        Ok(out)
    }

    /// The one by a mapping set.
    pub fn find(&self, mapping_set_hash: B256) -> Result<Generation, StoreError> {
        let all = self.list()?;
        let known = all.iter().map(|one| one.mapping_set_hash.to_string()).collect::<Vec<_>>().join(", ");
        let found = all.into_iter().find(|one| one.mapping_set_hash == mapping_set_hash);
        found.ok_or(StoreError::NoGeneration { mapping_set_hash, known })
    }

    /// The one by a mapping set, begun where there is none: in the data folder itself while that holds none. The set is
    /// recorded, in whatever form it is given.
    pub fn begin(&self, mapping_set_hash: B256, set: &Value) -> Result<Generation, StoreError> {
        self.sweep()?;
        let all = self.list()?;
        let is_first = all.is_empty() && self.pointer()?.is_none();
        let found = all.into_iter().find(|one| one.mapping_set_hash == mapping_set_hash);
        let generation = found.unwrap_or_else(|| Generation {
            mapping_set_hash,
            folder: if is_first { self.dir.clone() } else { self.dir.join(FOLDER).join(mapping_set_hash.to_string()) },
            current: is_first,
        });
        durable::make_folder(&generation.folder)?;
        let path = generation.folder.join(MAPPING);
        let recorded = Recorded { mapping_set_hash, set: set.clone() };
        let json = durable::canonical_json(&recorded, &path)?;
        if durable::read(&path)?.as_deref() != Some(json.as_bytes()) {
            durable::replace(&path, json.as_bytes())?;
        }
        Ok(generation)
    }

    /// Makes another one current, by one atomic write; what reads the one before goes on reading it.
    pub fn switch(&self, mapping_set_hash: B256) -> Result<(), StoreError> {
        let to = self.find(mapping_set_hash)?;
        if to.current {
            return Ok(());
        }
        let pointer = Pointer {
            mapping_set_hash,
            first: to.folder == self.dir,
            switches: self.current()?.switches.saturating_add(1),
        };
        let path = self.dir.join(POINTER);
        durable::replace(&path, durable::canonical_json(&pointer, &path)?.as_bytes())
    }

    /// Removes one that is not current and that nobody follows. It is gone at once; its files after it.
    pub fn drop(&self, mapping_set_hash: B256) -> Result<(), StoreError> {
        self.sweep()?;
        let gone = self.find(mapping_set_hash)?;
        if gone.current {
            return Err(StoreError::GenerationInUse { mapping_set_hash, by: "whoever asks".to_owned() });
        }
        if let Some(by) = Tail::holder(&gone.folder)? {
            return Err(StoreError::GenerationInUse { mapping_set_hash, by });
        }
        let inside = self.dir.join(FOLDER);
        durable::make_folder(&inside)?;
        let away = inside.join(format!("{DROPPED}{mapping_set_hash}"));
        if gone.folder == self.dir {
            durable::make_folder(&away)?;
            self.move_own(&away)?;
        } else {
            fs::rename(&gone.folder, &away).map_err(durable::io("renaming", &gone.folder))?;
            durable::sync_folder(&inside)?;
        }
        self.sweep()
    }

    /// The mapping set that the generation in a folder recorded.
    pub fn recorded(folder: &Path) -> Result<Option<Value>, StoreError> {
        Ok(record_of(folder)?.map(|recorded| recorded.set))
    }

    /// Removes what drops left behind that were ended before they were done.
    fn sweep(&self) -> Result<(), StoreError> {
        let inside = self.dir.join(FOLDER);
        for name in durable::names(&inside)?.iter().filter(|name| name.starts_with(DROPPED)) {
            let away = inside.join(name);
            if self.pointer()?.is_some_and(|pointer| !pointer.first) && hash_of(&self.dir)?.is_none() {
                self.move_own(&away)?;
            }
            fs::remove_dir_all(&away).map_err(durable::io("removing", &away))?;
        }
        Ok(())
    }

    /// Moves what the first generation has out of the data folder, what makes it one first.
    fn move_own(&self, away: &Path) -> Result<(), StoreError> {
        let names = durable::names(&self.dir)?;
        let own = OWN.iter().map(|name| (*name).to_owned());
        let own = own.chain(names.iter().filter(|name| name.starts_with("sled-")).cloned());
        for name in own.filter(|name| names.contains(name)) {
            let from = self.dir.join(&name);
            fs::rename(&from, away.join(&name)).map_err(durable::io("renaming", &from))?;
        }
        durable::sync_folder(&self.dir)
    }

    fn folder_of(&self, pointer: &Pointer) -> PathBuf {
        if pointer.first { self.dir.clone() } else { self.dir.join(FOLDER).join(pointer.mapping_set_hash.to_string()) }
    }

    fn pointer(&self) -> Result<Option<Pointer>, StoreError> {
        let path = self.dir.join(POINTER);
        let Some(bytes) = durable::read(&path)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(durable::json(&path))
    }
}

fn record_of(folder: &Path) -> Result<Option<Recorded>, StoreError> {
    let path = folder.join(MAPPING);
    let Some(bytes) = durable::read(&path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(durable::json(&path))
}

/// The mapping set of the generation in a folder: as it was recorded, or as the newest snapshot of a folder says that was
/// begun before sets were recorded.
fn hash_of(folder: &Path) -> Result<Option<B256>, StoreError> {
    if let Some(recorded) = record_of(folder)? {
        return Ok(Some(recorded.mapping_set_hash));
    }
    Ok(newest_heads(folder)?.map(|heads| heads.mapping_set_hash))
}

/// Where the newest snapshot of a generation stands, by its folder.
pub fn newest_heads(folder: &Path) -> Result<Option<Heads>, StoreError> {
    let snapshots = folder.join("snapshots");
    let newest = durable::names(&snapshots)?.into_iter().rfind(|name| name.ends_with(".json"));
    let Some(path) = newest.map(|name| snapshots.join(name)) else { return Ok(None) };
    let Some(bytes) = durable::read(&path)? else { return Ok(None) };
    let snapshot: Snapshot = serde_json::from_slice(&bytes).map_err(durable::json(&path))?;
    Ok(Some(snapshot.heads))
}

#[cfg(test)]
mod tests;
