//! The arguments of `tributary generation`, and which generation a command reads.

use alloy_primitives::B256;
use clap::{Args, Subcommand};

use super::Source;

/// Where the configuration comes from, and which ledger of the data folder is read.
#[derive(Debug, Args)]
pub(crate) struct Reading {
    #[command(flatten)]
    pub(crate) source: Source,
    /// The generation to read, by the hash of its mapping set; the current one when not given
    #[arg(long, value_name = "HASH")]
    pub(crate) generation: Option<B256>,
}

/// Lists, builds and drops generations: the ledgers of a data folder, each by a mapping set.
///
/// One of them is current, and answers. `run` with another mapping set builds its generation beside the current one and
/// then lets it answer in its place.
#[derive(Debug, Subcommand)]
pub(crate) enum Generation {
    List(GenerationList),
    Build(GenerationBuild),
    Drop(GenerationDrop),
}

impl Generation {
    pub(crate) const fn source(&self) -> &Source {
        match self {
            Self::List(arguments) => &arguments.source,
            Self::Build(arguments) => &arguments.source,
            Self::Drop(arguments) => &arguments.source,
        }
    }
}

/// Lists the generations of a data folder: by which mapping set each is, how far it is, and which one is current.
#[derive(Debug, Args)]
pub(crate) struct GenerationList {
    #[command(flatten)]
    pub(crate) source: Source,
    /// One JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

/// Builds the generation of the configured mapping set from kept blocks, as far as the current one is sealed and settled,
/// and makes it current. No node of the L2 is asked.
///
/// It needs every block from the first to the sealed one, as `retention.raw_blocks = "all"` keeps them while
/// `raw_blocks_max_bytes` has room, and what its rules read of the state of contracts, with these blocks or in the table
/// `state_reads` of the current one; what is not there is named, and nothing has changed (exit 4). Blobs come from the archive, and those that are not there from the
/// configured proxies. Where an inbox on L1 is configured, `run` builds it, as that is read from nodes. Nobody may follow
/// into the data folder meanwhile.
#[derive(Debug, Args)]
pub(crate) struct GenerationBuild {
    #[command(flatten)]
    pub(crate) source: Source,
}

/// Removes a generation that is not current and that nobody follows, with its tables. What all share stays: blobs, kept
/// blocks, API keys. Queries of it that are under way fail.
#[derive(Debug, Args)]
pub(crate) struct GenerationDrop {
    /// The hash of its mapping set, as `list` gives it
    #[arg(value_name = "HASH")]
    pub(crate) mapping_set_hash: B256,
    #[command(flatten)]
    pub(crate) source: Source,
}
