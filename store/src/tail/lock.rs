//! One follower per folder: sled loses data when two processes open it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::Path;

use crate::durable;
use crate::error::StoreError;

/// The lock, held until dropped or until the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a folder and writes into it who has it.
    pub(super) fn take(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join("LOCK");
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(durable::io("opening", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = written(&mut file, &path)?;
                return Err(StoreError::Locked { path, holder });
            }
            Err(TryLockError::Error(error)) => return Err(durable::io("locking", &path)(error)),
        }
        file.set_len(0).map_err(durable::io("writing", &path))?;
        file.rewind().map_err(durable::io("writing", &path))?;
        write!(file, "process {}", std::process::id()).map_err(durable::io("writing", &path))?;
        Ok(Self { _file: file })
    }
}

/// Who holds the lock of a folder; `None` when nobody does. Nothing is made there.
pub(super) fn holder(dir: &Path) -> Result<Option<String>, StoreError> {
    let path = dir.join("LOCK");
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(durable::io("opening", &path)(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => written(&mut file, &path).map(Some),
        Err(TryLockError::Error(error)) => Err(durable::io("locking", &path)(error)),
    }
}

fn written(file: &mut File, path: &Path) -> Result<String, StoreError> {
    let mut holder = String::new();
    file.read_to_string(&mut holder).map_err(durable::io("reading", path))?;
    Ok(if holder.is_empty() { "another process".to_owned() } else { holder })
}
