//! Room on the disk: below what is to stay free intake stops, serving does not, and intake goes on by itself when there
//! is room again (ruling 31).
//!
//! Whatever is stopped can be had again from the node and the proxies. A disk that runs full under a writer is another
//! matter: status, queries that spill and other programs fail with it.

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Says how much room there is.
pub trait FreeSpace: Debug + Send + Sync {
    /// Bytes that may still be written where a folder is.
    ///
    /// # Errors
    ///
    /// When nobody can say.
    fn free_bytes(&self, folder: &Path) -> io::Result<u64>;
}

/// What the file system says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl FreeSpace for Disk {
    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        tributary_store::free_bytes(folder)
    }
}

/// How much is to stay free.
#[derive(Debug, Clone)]
pub struct SpaceOptions {
    /// Bytes below which intake stops; 0 for never.
    pub min_free_bytes: u64,
    /// Who says how much is free.
    pub disk: Arc<dyn FreeSpace>,
}

impl Default for SpaceOptions {
    fn default() -> Self {
        Self { min_free_bytes: 0, disk: Arc::new(Disk) }
    }
}

/// How often is looked whether there is room again.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(5);

impl SpaceOptions {
    /// Why nothing more is written into a folder; `None` when there is room, or when nobody can say.
    pub(super) fn lacking(&self, folder: &Path) -> Option<String> {
        if self.min_free_bytes == 0 {
            return None;
        }
        match self.disk.free_bytes(folder) {
            Ok(free) if free < self.min_free_bytes => Some(format!(
                "intake stops: {free} bytes are free on the disk of {}, storage.min_free_bytes is {}",
                folder.display(),
                self.min_free_bytes
            )),
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(%error, folder = %folder.display(), "nobody says how much room there is");
                None
            }
        }
    }
}
