//! The arguments of `tributary blobs`.

use alloy_primitives::B256;
use clap::{Args, Subcommand};
use std::path::PathBuf;

use super::Source;

#[derive(Debug, Subcommand)]
pub(crate) enum Blobs {
    Import(BlobsImport),
    Export(BlobsExport),
    Verify(BlobsVerify),
}

impl Blobs {
    pub(crate) const fn source(&self) -> &Source {
        match self {
            Self::Import(arguments) => &arguments.source,
            Self::Export(arguments) => &arguments.source,
            Self::Verify(arguments) => &arguments.source,
        }
    }
}

/// Archives files, each under the keccak256 of its bytes, and prints the hashes.
///
/// A file holds a payload as it was before EigenDA's encoding. What is archived already is left alone, or mended when
/// its copy is damaged. A file whose name is a hash, as `export` makes them, is refused when its bytes have another:
/// exit 3. A file that ends in .json says what is known of a blob by its certificate; it is taken when its opening
/// proof holds for the bytes, which may be given beside it. What somebody else's L1 said of stake is not taken over.
/// This is safe beside a running follower, which takes a blob it is still waiting for from the archive.
#[derive(Debug, Args)]
pub(crate) struct BlobsImport {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) source: Source,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Writes archived blobs as files named by their hash, and what is known of each by its certificate beside them, as
/// `HASH.json` under the keccak256 of the commitment.
///
/// The data folder is only read. Each blob is hashed again. One that is damaged is named and not written, the others
/// are, and the exit code is 3. Files that are there already and right are left alone, so an export that was stopped
/// goes on where it was.
#[derive(Debug, Args)]
pub(crate) struct BlobsExport {
    /// Where to write, a folder; made when absent
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Only this blob; can be given more than once
    #[arg(long = "hash", value_name = "HASH")]
    pub(crate) hashes: Vec<B256>,
    #[command(flatten)]
    pub(crate) source: Source,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Hashes every archived blob again, and checks every certificate and opening proof again; exit 3 when one differs.
///
/// That needs no network and no SRS. Those that differ are named. The data folder is only read. A follower that needs a damaged blob fetches it anew;
/// `import` mends it from a file.
#[derive(Debug, Args)]
pub(crate) struct BlobsVerify {
    #[command(flatten)]
    pub(crate) source: Source,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
