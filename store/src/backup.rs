//! A copy of a data folder as of one snapshot, beside whoever follows into it.
//!
//! Whatever a snapshot names is written once and never changed, so a copy needs no lock: it is the files of the newest
//! snapshot, and the snapshot last, before which the copy shows nothing new. A copy into a folder that has an older one
//! adds what is missing. What is not final is not copied: it is folded again from what is.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::durable;
use crate::error::StoreError;
use crate::lake::{Lake, Snapshot, blocking};

/// Folders of the archive: files by their content, 256 folders of each.
const ARCHIVE: [&str; 2] = ["blobs", "commitments"];
/// Files beside the folders: the hashes of API keys.
const BESIDE: [&str; 1] = ["keys.json"];
/// How often we begin again when files were gathered into others under us.
const TRIES: u32 = 5;

/// What was copied.
#[derive(Debug, Clone)]
pub struct Copied {
    /// The snapshot that the copy stands at.
    pub snapshot: Arc<Snapshot>,
    /// Files that were not there yet.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Copies the newest snapshot of `from`, with all that it names, the archive of blobs and the keys, to `to`.
///
/// # Errors
/// [`StoreError::NothingPublished`] when there is no snapshot; [`StoreError::Io`] when a file cannot be read or written.
pub async fn copy(from: &Path, to: &Path) -> Result<Copied, StoreError> {
    let none = || StoreError::NothingPublished { path: from.to_owned() };
    if !from.join("snapshots").try_exists().map_err(durable::io("looking into", from))? {
        return Err(none());
    }
    let lake = Lake::open(from).await?;
    let mut tries = 1;
    loop {
        let snapshot = lake.latest().await?.ok_or_else(none)?;
        match at(&lake, &snapshot, from, to).await {
            // Small files were gathered into a larger one, which a newer snapshot names.
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound && tries < TRIES => tries += 1,
            done => return done,
        }
    }
}

async fn at(lake: &Lake, snapshot: &Arc<Snapshot>, from: &Path, to: &Path) -> Result<Copied, StoreError> {
    let mut wanted = Vec::new();
    for (table, pinned) in &snapshot.tables {
        let folder = Path::new("tables").join(table);
        let log = folder.join("_delta_log");
        let names = durable::names(&from.join(&log))?;
        wanted.extend(names.iter().filter(|name| is_upto(name, pinned.delta_version)).map(|name| log.join(name)));
        for file in lake.files(snapshot, table).await? {
            wanted.extend(file.path.file_name().map(|name| folder.join(name)));
        }
    }
    let (from, to, snapshot) = (from.to_owned(), to.to_owned(), Arc::clone(snapshot));
    blocking(move || {
        wanted.extend(epochs(&from, &snapshot)?);
        wanted.extend(archived(&from)?);
        let mut copied = Copied { snapshot: Arc::clone(&snapshot), files: 0, bytes: 0 };
        for file in &wanted {
            copied.add(one(&from.join(file), &to.join(file), Kept::WhenThere)?);
        }
        for name in BESIDE {
            if from.join(name).try_exists().map_err(durable::io("looking for", &from))? {
                copied.add(one(&from.join(name), &to.join(name), Kept::Never)?);
            }
        }
        let last = Path::new("snapshots").join(format!("{:010}.json", snapshot.version));
        copied.add(one(&from.join(&last), &to.join(&last), Kept::WhenThere)?);
        Ok(copied)
    })
    .await
}

impl Copied {
    fn add(&mut self, bytes: Option<u64>) {
        self.files += u64::from(bytes.is_some());
        self.bytes += bytes.unwrap_or(0);
    }
}

/// Whether a file of a table's log is of a version up to this one. The note of the newest checkpoint is none: readers
/// look for it.
fn is_upto(name: &str, version: i64) -> bool {
    let number = name.split('.').next().and_then(|digits| digits.parse::<i64>().ok());
    !name.starts_with('.') && number.is_some_and(|number| number <= version)
}

/// Manifests and trees of the epochs that are settled at a snapshot.
fn epochs(from: &Path, snapshot: &Snapshot) -> Result<Vec<PathBuf>, StoreError> {
    let Some(settled) = snapshot.heads.settled_epoch else { return Ok(Vec::new()) };
    let mut out = Vec::new();
    for name in durable::names(&from.join("epochs"))? {
        if name.parse::<i64>().is_ok_and(|epoch| epoch <= settled) {
            let folder = Path::new("epochs").join(&name);
            out.extend(visible(&from.join(&folder))?.into_iter().map(|file| folder.join(file)));
        }
    }
    Ok(out)
}

fn archived(from: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut out = Vec::new();
    for archive in ARCHIVE {
        for name in durable::names(&from.join(archive))? {
            let folder = Path::new(archive).join(&name);
            out.extend(visible(&from.join(&folder))?.into_iter().map(|file| folder.join(file)));
        }
    }
    Ok(out)
}

/// The files of a folder that are whole: what is being written has a name that begins with a dot.
fn visible(folder: &Path) -> Result<Vec<String>, StoreError> {
    let mut names = durable::names(folder)?;
    names.retain(|name| !name.starts_with('.'));
    Ok(names)
}

/// Whether a file that is there already, as long as the other, is the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// It is: such files are never changed.
    WhenThere,
    /// It may have been changed.
    Never,
}

/// Copies one file durably; its bytes, or none when it was there.
fn one(from: &Path, to: &Path, kept: Kept) -> Result<Option<u64>, StoreError> {
    let mut source = File::open(from).map_err(durable::io("opening", from))?;
    let length = source.metadata().map_err(durable::io("looking at", from))?.len();
    match fs::metadata(to) {
        Ok(there) if kept == Kept::WhenThere && there.len() == length => return Ok(None),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(durable::io("looking at", to)(error)),
        _ => {}
    }
    if let Some(folder) = to.parent() {
        durable::make_folder(folder)?;
    }
    let mut file = durable::temporary(to)?;
    let bytes = std::io::copy(&mut source, &mut file).map_err(durable::io("copying to", to))?;
    durable::keep(file, to)?;
    Ok(Some(bytes))
}
