//! A copy of a data folder as of one snapshot of each of its generations, beside whoever follows into it.
//!
//! Whatever a snapshot names is written once and never changed, so a copy needs no lock: it is the files of the newest
//! snapshot, and the snapshot last, before which the copy shows nothing new. A copy into a folder that has an older one
//! adds what is missing. What is not final is not copied: it is folded again from what is. Kept blocks are not copied
//! either, as nodes have them.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::durable;
use crate::error::StoreError;
use crate::generation::{Generation, Generations, MAPPING, POINTER};
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
    /// The snapshot that the current generation of the copy stands at.
    pub snapshot: Arc<Snapshot>,
    /// Files that were not there yet.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What of a generation is copied.
struct Wanted {
    /// Beneath the data folder: the snapshot is the last.
    files: Vec<PathBuf>,
    /// Beneath the data folder too.
    mapping: PathBuf,
}

/// Copies the newest snapshot of each generation of `from`, with all that it names, the archive of blobs and the keys,
/// to `to`.
///
/// # Errors
/// [`StoreError::NothingPublished`] when the current generation has no snapshot; [`StoreError::Io`] when a file cannot
/// be read or written.
pub async fn copy(from: &Path, to: &Path) -> Result<Copied, StoreError> {
    let mut tries = 1;
    loop {
        match now(from, to).await {
            // Small files were gathered into a larger one, which a newer snapshot names, or a generation was dropped.
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound && tries < TRIES => tries += 1,
            done => return done,
        }
    }
}

async fn now(from: &Path, to: &Path) -> Result<Copied, StoreError> {
    // Looked at first: whatever it names is among the generations after it.
    let pointer = durable::read(&from.join(POINTER))?;
    let (mut current, mut all) = (None, Vec::new());
    for generation in Generations::new(from).list()? {
        if let Some((snapshot, wanted)) = wanted(from, &generation).await? {
            all.push(wanted);
            current = if generation.current { Some(snapshot) } else { current };
        }
    }
    let snapshot = current.ok_or_else(|| StoreError::NothingPublished { path: from.to_owned() })?;
    let (from, to) = (from.to_owned(), to.to_owned());
    blocking(move || {
        let mut copied = Copied { snapshot, files: 0, bytes: 0 };
        for file in archived(&from)? {
            copied.add(one(&from.join(&file), &to.join(&file), Kept::WhenThere)?);
        }
        for name in BESIDE {
            if from.join(name).try_exists().map_err(durable::io("looking for", &from))? {
                copied.add(one(&from.join(name), &to.join(name), Kept::WhenEqual)?);
            }
        }
        for Wanted { files, mapping } in all {
            if from.join(&mapping).try_exists().map_err(durable::io("looking for", &from))? {
                copied.add(one(&from.join(&mapping), &to.join(&mapping), Kept::WhenEqual)?);
            }
            for file in files {
                copied.add(one(&from.join(&file), &to.join(&file), Kept::WhenThere)?);
            }
        }
        if let Some(pointer) = pointer {
            durable::replace(&to.join(POINTER), &pointer)?;
        }
        Ok(copied)
    })
    .await
}

/// The newest snapshot of a generation, and what it names; none where nothing is published.
async fn wanted(from: &Path, generation: &Generation) -> Result<Option<(Arc<Snapshot>, Wanted)>, StoreError> {
    let folder = &generation.folder;
    if !folder.join("snapshots").try_exists().map_err(durable::io("looking into", folder))? {
        return Ok(None);
    }
    let lake = Lake::open(folder).await?;
    let Some(snapshot) = lake.latest().await? else { return Ok(None) };
    let beneath = folder.strip_prefix(from).unwrap_or_else(|_outside| Path::new(""));
    let mut files = Vec::new();
    for (table, pinned) in &snapshot.tables {
        let of_table = Path::new("tables").join(table);
        let log = of_table.join("_delta_log");
        let names = durable::names(&folder.join(&log))?;
        files.extend(names.iter().filter(|name| is_upto(name, pinned.delta_version)).map(|name| log.join(name)));
        for file in lake.files(&snapshot, table).await? {
            files.extend(file.path.file_name().map(|name| of_table.join(name)));
        }
    }
    files.extend(epochs(folder, &snapshot)?);
    files.push(Path::new("snapshots").join(format!("{:010}.json", snapshot.version)));
    let files = files.iter().map(|file| beneath.join(file)).collect();
    Ok(Some((snapshot, Wanted { files, mapping: beneath.join(MAPPING) })))
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
    /// It may have been changed: both, which are small, are read.
    WhenEqual,
}

/// Copies one file durably; its bytes, or none when it was there.
fn one(from: &Path, to: &Path, kept: Kept) -> Result<Option<u64>, StoreError> {
    let mut source = File::open(from).map_err(durable::io("opening", from))?;
    let length = source.metadata().map_err(durable::io("looking at", from))?.len();
    match fs::metadata(to) {
        Ok(there)
            if there.len() == length && (kept == Kept::WhenThere || durable::read(from)? == durable::read(to)?) =>
        {
            return Ok(None);
        }
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
