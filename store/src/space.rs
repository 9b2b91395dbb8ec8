//! How much room the disk has.

use std::io;
use std::path::Path;

/// Bytes that this user may still write where a folder is, or where it would be made.
///
/// # Errors
///
/// When the file system does not say.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let nearest = folder.ancestors().find(|above| above.try_exists().unwrap_or(false));
    let status = rustix::fs::statvfs(nearest.unwrap_or_else(|| Path::new(".")))?;
    Ok(status.f_bavail.saturating_mul(status.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_has_the_room_of_the_one_above() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free_bytes(folder.path()).unwrap() > 0);
        assert!(free_bytes(&folder.path().join("not/there")).unwrap() > 0);
        assert!(free_bytes(Path::new("not there")).unwrap() > 0);
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert!(free_bytes(&file.join("below")).unwrap() > 0);
    }
}
