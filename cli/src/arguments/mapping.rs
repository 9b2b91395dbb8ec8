//! The arguments of `tributary mapping`.

use alloy_primitives::B256;
use clap::{Args, Subcommand};
use std::path::PathBuf;

use super::Source;

#[derive(Debug, Subcommand)]
pub(crate) enum Mapping {
    #[command(flatten)]
    Library(MappingLibrary),
    #[command(flatten)]
    Configured(MappingConfigured),
}

/// What needs no configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum MappingLibrary {
    /// Lists the mapping files that come with the program, and which of their rules need an archive endpoint
    List(MappingList),
    /// Prints a mapping file that comes with the program, and says which of its rules need an archive endpoint
    Show(MappingShow),
    /// Lists the kinds of facts that a rule can make, and their fields
    Kinds(MappingList),
    Init(MappingInit),
}

/// What reads the roles of contracts, nodes and the data folder from the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum MappingConfigured {
    Check(MappingCheck),
    Test(MappingTest),
    Diff(MappingDiff),
}

impl MappingConfigured {
    /// Where the configuration is.
    pub(crate) const fn source(&self) -> &Source {
        match self {
            Self::Check(arguments) => &arguments.set.source,
            Self::Test(arguments) => &arguments.set.source,
            Self::Diff(arguments) => &arguments.source,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct MappingList {
    /// JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MappingShow {
    /// Its name, as `list` gives it
    pub(crate) name: String,
    /// One JSON object, with the text as `toml`
    #[arg(long)]
    pub(crate) json: bool,
}

/// Writes a mapping file to fill in, with a rule for every event of a contract's ABI.
///
/// The file passes `check` as it is: each rule records its event as an attestation of the contract, until it is told
/// what the event means. Beside each rule stand the arguments it may use.
#[derive(Debug, Args)]
pub(crate) struct MappingInit {
    /// The JSON ABI, or a build tool's file with one in it
    #[arg(long, value_name = "FILE")]
    pub(crate) abi: PathBuf,
    /// The file to write, which must not be there; standard output when not given
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Mapping files that are read as one set, and the contracts they may name.
#[derive(Debug, Args)]
pub(crate) struct MappingSet {
    /// The mapping files: paths, or names that `list` gives
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<String>,
    /// A contract of a role, beside the configured ones; can be given more than once
    #[arg(long = "role", value_name = "ROLE=ADDRESS")]
    pub(crate) roles: Vec<String>,
    #[command(flatten)]
    pub(crate) source: Source,
}

/// Checks mapping files, as one set, and tells every problem with its file and line.
///
/// It checks types against the ABI and the vocabulary, money that could be counted twice, facts of authority that
/// anyone could say, rules that nothing reaches or that repeat others. A sound set's hash is printed, as snapshots and
/// answers name it, and the rules that read the state of contracts, which needs an archive endpoint where blocks are old.
/// Exit 4 when there is a problem. The roles of contracts come from the configuration.
#[derive(Debug, Args)]
pub(crate) struct MappingCheck {
    #[command(flatten)]
    pub(crate) set: MappingSet,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Tries mapping files on logs: which rules they met, what the arguments said, what came out, and why not.
///
/// The logs are those of a transaction, as the configured nodes have it (`--tx`) or as the data folder has it (`--tx` with
/// `--stored`: only logs that the set in force matched, and no calldata), or those of a file: a receipt
/// (`eth_getTransactionReceipt`), a list of logs (`eth_getLogs`) or a node's whole answer. A receipt has no calldata and no
/// value: an object `transaction` with `input` and `value`, or with its bytes as `raw`, may stand beside its logs, and
/// `state`, a list of `to`, `data` and `answer`, where rules read the state of contracts (with `--tx` nodes are asked). Nothing
/// is known of entities here, so what rules look up is refused.
#[derive(Debug, Args)]
pub(crate) struct MappingTest {
    #[command(flatten)]
    pub(crate) set: MappingSet,
    /// The logs, as JSON
    #[arg(long, value_name = "FILE", required_unless_present = "tx", conflicts_with_all = ["tx", "stored"])]
    pub(crate) fixture: Option<PathBuf>,
    /// The transaction whose logs these are
    #[arg(long, value_name = "HASH")]
    pub(crate) tx: Option<B256>,
    /// Read the data folder instead of asking nodes
    #[arg(long, requires = "tx")]
    pub(crate) stored: bool,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Compares what two sets of mapping files make of the logs in the data folder: which events a change would take away,
/// and which it would bring.
///
/// The data folder holds the logs that the set in force matched, without calldata, senders and joined logs. Rules that read
/// more than that are named and left out of the comparison, and so are rules for events that the set in force does not know.
#[derive(Debug, Args)]
pub(crate) struct MappingDiff {
    /// The mapping files before, with commas between: paths, or names that `list` gives
    #[arg(value_name = "A")]
    pub(crate) before: String,
    /// The mapping files after, likewise
    #[arg(value_name = "B")]
    pub(crate) after: String,
    /// The blocks, first and last
    #[arg(long, value_name = "X..Y", value_parser = block_range)]
    pub(crate) blocks: (u64, u64),
    /// A contract of a role, beside the configured ones; can be given more than once
    #[arg(long = "role", value_name = "ROLE=ADDRESS")]
    pub(crate) roles: Vec<String>,
    #[command(flatten)]
    pub(crate) source: Source,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// The first and the last block of `X..Y`.
fn block_range(text: &str) -> Result<(u64, u64), String> {
    let (first, last) = text.split_once("..").ok_or("expected X..Y")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("block {text:?}: {error}"));
    let (first, last) = (number(first)?, number(last)?);
    if first <= last { Ok((first, last)) } else { Err(format!("{first} is behind {last}: expected X up to Y")) }
}
