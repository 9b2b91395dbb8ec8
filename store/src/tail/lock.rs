//! One follower per folder: sled loses data when two processes open it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
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
                let mut holder = String::new();
                file.read_to_string(&mut holder).map_err(durable::io("reading", &path))?;
                let holder = if holder.is_empty() { "another process".to_owned() } else { holder };
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
