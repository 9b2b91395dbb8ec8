//! What can go wrong on disk, and what the caller can do about it.
//!
//! Three answers matter ([`Remedy`]): the same call may succeed later (a race was lost, the disk was busy); the caller
//! stands on something that no longer holds and must go back; or a person must look. Nothing here is caused by chain
//! data: that is recorded as facts, not raised as errors.

use alloy_primitives::B256;
use std::path::PathBuf;

/// What the caller can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Do it again, on the newest snapshot when it was a publication.
    Retry,
    /// Go back: to the last common block, or by [`Tail::reset`](crate::Tail::reset) to the sealed head.
    Unwind,
    /// Stop and tell a person.
    Halt,
}

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file operation.
    #[error("{doing} {}", path.display())]
    Io {
        /// What we were doing.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Another process follows into the same folder.
    #[error("{} is in use by {holder}: expected to be the only follower of this folder", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, as it wrote itself.
        holder: String,
    },
    /// Reading the log of a table.
    #[error("reading the log of table {table}")]
    Delta {
        /// The table.
        table: String,
        /// Why it failed.
        source: Box<deltalake_core::DeltaTableError>,
    },
    /// A table of somebody else that is more than its files.
    #[error("{} cannot be read file by file: {what}", path.display())]
    Foreign {
        /// Folder of the table.
        path: PathBuf,
        /// What stands in the way.
        what: String,
    },
    /// Reading or writing a Parquet file.
    #[error("reading or writing {}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: parquet::errors::ParquetError,
    },
    /// Rearranging rows.
    #[error("arranging rows of table {table}")]
    Arrow {
        /// The table.
        table: String,
        /// Why it failed.
        source: arrow::error::ArrowError,
    },
    /// Rows that are not what their table says.
    #[error("reading rows")]
    Rows {
        /// What was found.
        #[source]
        source: tributary_schemas::SchemaError,
    },
    /// A JSON file of ours that cannot be read or written.
    #[error("reading or writing JSON of {}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: serde_json::Error,
    },
    /// Somebody else published this version first.
    #[error("snapshot {version} was published by somebody else: expected to be the next one")]
    SnapshotTaken {
        /// The version that is taken.
        version: u64,
    },
    /// A snapshot that does not exist.
    #[error("there is no snapshot {version}")]
    NoSnapshot {
        /// The version asked for.
        version: u64,
    },
    /// A data folder without a snapshot.
    #[error("nothing is published in {}", path.display())]
    NothingPublished {
        /// The folder.
        path: PathBuf,
    },
    /// A name that is no table.
    #[error("there is no table {table:?}")]
    NoTable {
        /// The name.
        table: String,
    },
    /// A table changed under us more often than we try.
    #[error("table {table} was committed to by others {tries} times in a row")]
    Contended {
        /// The table.
        table: String,
        /// How often we tried.
        tries: u32,
    },
    /// A state row that begins before the row it follows, or has no key.
    #[error("table {table}: a state from block {got} follows one from block {expected}")]
    StateOrder {
        /// The table.
        table: &'static str,
        /// Block at which the new state begins or the old one ends.
        got: i64,
        /// Block at which the open state began.
        expected: i64,
    },
    /// A block that does not continue the tail.
    #[error("block {got_number} with parent {got_parent} does not follow {expected}")]
    NotNext {
        /// Number of the block.
        got_number: u64,
        /// Its parent hash.
        got_parent: B256,
        /// The head it should follow, as text.
        expected: String,
    },
    /// An unwind that would undo sealed blocks (INV-11).
    #[error("cannot unwind to block {to}: block {sealed} is sealed")]
    BelowSealed {
        /// Where to.
        to: u64,
        /// What is sealed.
        sealed: u64,
    },
    /// A seal of a block that the tail does not have.
    #[error("cannot seal block {number} {got}: expected {expected}")]
    NotSealable {
        /// Number of the block.
        number: u64,
        /// Its hash.
        got: B256,
        /// What the tail has there.
        expected: String,
    },
    /// A key that sled should not be given.
    #[error("a key of {bytes} bytes is too long: expected at most {limit}")]
    KeyTooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The tail's index or segments are damaged; they are rebuilt from sealed tables and the chain.
    #[error("the tail is damaged while {doing}: {reason}")]
    TailDamaged {
        /// What we were doing.
        doing: &'static str,
        /// What was found.
        reason: String,
    },
    /// A block that the tail does not stand on now: what is above it cannot be given.
    #[error("the tail does not join block {number} {hash}, as {reason}: ask again")]
    NotJoined {
        /// Its number.
        number: u64,
        /// Its hash.
        hash: B256,
        /// What the tail has instead.
        reason: String,
    },
    /// A ledger that another process follows, or nobody.
    #[error(
        "the ledger by mapping set {mapping_set_hash} is not followed here, and only who follows it has its newer blocks"
    )]
    NotFollowed {
        /// Its mapping set.
        mapping_set_hash: B256,
    },
    /// More blocks than are held at a time.
    #[error("{blocks} blocks are above the sealed one, {number}: expected at most {limit}")]
    TailTooLong {
        /// Number of the sealed one.
        number: u64,
        /// Blocks above it.
        blocks: u64,
        /// The limit.
        limit: u64,
    },
    /// A blob whose bytes no longer have its hash.
    #[error("blob {hash} hashes to {got}")]
    BlobDamaged {
        /// Its name.
        hash: B256,
        /// What its bytes hash to.
        got: B256,
    },
    /// Bytes that are no blob, or a file that somebody else put into the archive.
    #[error("a blob of more than {limit} bytes: expected at most that, the largest payload of EigenDA")]
    BlobTooLarge {
        /// The limit.
        limit: usize,
    },
    /// A generation that does not exist.
    #[error("no generation is by mapping set {mapping_set_hash}: expected one of [{known}]")]
    NoGeneration {
        /// The mapping set asked for.
        mapping_set_hash: B256,
        /// Those there are.
        known: String,
    },
    /// A generation that somebody needs.
    #[error("the generation by mapping set {mapping_set_hash} is used by {by}: expected one that nobody uses")]
    GenerationInUse {
        /// Its mapping set.
        mapping_set_hash: B256,
        /// Who needs it.
        by: String,
    },
    /// A kept block whose bytes are not what was written.
    #[error("the kept block {number} is damaged in {}", path.display())]
    BlockDamaged {
        /// Its number.
        number: u64,
        /// The file.
        path: PathBuf,
    },
    /// A worker thread that ended early.
    #[error("a worker thread of the store ended early: {reason}")]
    Worker {
        /// How.
        reason: String,
    },
}

impl StoreError {
    /// What the caller can do.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        match self {
            Self::SnapshotTaken { .. } | Self::Contended { .. } | Self::NotJoined { .. } | Self::BlobDamaged { .. } => {
                Remedy::Retry
            }
            Self::NotNext { .. } | Self::TailDamaged { .. } => Remedy::Unwind,
            Self::Io { .. }
            | Self::Locked { .. }
            | Self::Delta { .. }
            | Self::Foreign { .. }
            | Self::Parquet { .. }
            | Self::Arrow { .. }
            | Self::Rows { .. }
            | Self::Json { .. }
            | Self::NoSnapshot { .. }
            | Self::NothingPublished { .. }
            | Self::NoTable { .. }
            | Self::StateOrder { .. }
            | Self::BelowSealed { .. }
            | Self::NotSealable { .. }
            | Self::KeyTooLong { .. }
            | Self::NotFollowed { .. }
            | Self::TailTooLong { .. }
            | Self::BlobTooLarge { .. }
            | Self::NoGeneration { .. }
            | Self::GenerationInUse { .. }
            | Self::BlockDamaged { .. }
            | Self::Worker { .. } => Remedy::Halt,
        }
    }
}
