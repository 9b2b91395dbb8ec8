//! Writing files so that a crash leaves either the whole file or none: temp → fsync → rename → fsync folder.

use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use tempfile::NamedTempFile;

use crate::error::StoreError;

/// Makes the entries of a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|opened| opened.sync_all()).map_err(io("syncing", folder))
}

/// Makes a folder and the ones above it, durably.
pub(crate) fn make_folder(folder: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(folder).map_err(io("making folder", folder))?;
    sync_folder(folder)?;
    folder.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_folder)
}

/// A temporary file beside `path`.
pub(crate) fn temporary(path: &Path) -> Result<NamedTempFile, StoreError> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder).map_err(io("making a temporary file in", folder))
}

/// Makes a written temporary file durable under its name, replacing what was there.
pub(crate) fn keep(file: NamedTempFile, path: &Path) -> Result<(), StoreError> {
    file.as_file().sync_all().map_err(io("syncing", path))?;
    file.persist(path).map_err(|failed| failed.error).map_err(io("renaming to", path))?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Writes a file, replacing what was there.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = temporary(path)?;
    file.write_all(bytes).map_err(io("writing", path))?;
    keep(file, path)
}

/// Writes a file that must not be there yet; says whether it was not.
pub(crate) fn create_new(path: &Path, bytes: &[u8]) -> Result<bool, StoreError> {
    let mut file = temporary(path)?;
    file.write_all(bytes).map_err(io("writing", path))?;
    file.as_file().sync_all().map_err(io("syncing", path))?;
    match file.persist_noclobber(path) {
        Ok(_) => path.parent().map_or(Ok(()), sync_folder).map(|()| true),
        Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(failed) => Err(io("renaming to", path)(failed.error)),
    }
}

/// A file to read, or `None` when there is no such file.
pub(crate) fn open(path: &Path) -> Result<Option<File>, StoreError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io("opening", path)(error)),
    }
}

/// The bytes of a file, or `None` when there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io("reading", path)(error)),
    }
}

/// Removes a file that may be gone already.
pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io("removing", path)(error)),
        _ => Ok(()),
    }
}

/// The names of the files and folders in a folder; none when it is absent.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io("listing", folder)(error)),
    };
    let mut out = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io("listing", folder))?;
        out.push(entry.file_name().to_string_lossy().into_owned());
    }
    out.sort();
    Ok(out)
}

/// Adds what we were doing to an error of the file system.
pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| StoreError::Io { doing, path, source }
}

/// Canonical JSON (RFC 8785 for texts, booleans and integers; we write no other numbers): keys sorted, no blanks.
pub(crate) fn canonical_json<T: Serialize>(value: &T, path: &Path) -> Result<String, StoreError> {
    let value = serde_json::to_value(value).map_err(json(path))?;
    let mut out = String::new();
    write_canonical(&value, &mut out);
    out.push('\n');
    Ok(out)
}

/// Adds the file to an error of JSON.
pub(crate) fn json(path: &Path) -> impl FnOnce(serde_json::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| StoreError::Json { path, source }
}

fn write_canonical(value: &Value, out: &mut String) {
    const WHY: &str = "a String takes everything";
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut fields = fields.iter().collect::<Vec<_>>();
            fields.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
            out.push('{');
            for (index, (name, field)) in fields.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write!(out, "{}:", Value::from(name.as_str())).expect(WHY);
                write_canonical(field, out);
            }
            out.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => write!(out, "{value}").expect(WHY),
    }
}
