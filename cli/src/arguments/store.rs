//! The arguments of `tributary store`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Source;

#[derive(Debug, Subcommand)]
pub(crate) enum Store {
    Backup(StoreBackup),
    Restore(StoreRestore),
}

impl Store {
    pub(crate) const fn source(&self) -> &Source {
        match self {
            Self::Backup(arguments) => &arguments.source,
            Self::Restore(arguments) => &arguments.source,
        }
    }
}

/// Copies what is final in the data folder, as of its newest snapshot, with the archive of blobs and the API keys.
///
/// This is safe beside a running follower. A folder that holds an older copy of the same store gets what is missing, so
/// that the next backup takes little. What is not final yet is not copied: whoever goes on from the copy follows the
/// chain from the snapshot on.
#[derive(Debug, Args)]
pub(crate) struct StoreBackup {
    /// Where to copy to, a folder; made when absent
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) source: Source,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Copies a backup into a data folder in which nothing is published, and verifies all of it: every epoch, the log, every
/// blob and certificate; exit 3 when something differs.
///
/// `tributary run` goes on from there.
#[derive(Debug, Args)]
pub(crate) struct StoreRestore {
    /// The backup, a folder
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) source: Source,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
