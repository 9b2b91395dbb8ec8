//! The command line: what can be said, and its manual.

use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

mod blobs;
mod da;
mod drill;
mod export;
mod generation;
mod key;
mod manual;
mod mapping;
mod sql;
mod store;
mod tree;

pub(crate) use blobs::{Blobs, BlobsExport, BlobsImport, BlobsVerify};
pub(crate) use da::{Da, DaDecode, DaInspect, DaMode};
pub(crate) use drill::{By, Drill};
pub(crate) use export::{Export, ExportFormat, Graph, GraphFormat};
pub(crate) use generation::{Generation, Reading};
pub(crate) use key::{Key, KeyCreate, KeyList, KeyRevoke};
pub(crate) use manual::{Completions, Man, Schema};
pub(crate) use mapping::{
    Mapping, MappingCheck, MappingConfigured, MappingDiff, MappingInit, MappingLibrary, MappingSet, MappingTest,
};
pub(crate) use sql::{Sql, SqlFormat};
pub(crate) use store::{Store, StoreBackup, StoreRestore};
pub(crate) use tree::{Tree, TreeBuild, TreeFormat};

/// Follows an AI rollup, rebuilds who and what every answer was made from, and pays for it, to the wei, with proofs.
///
/// Results go to standard output and nothing else does; progress and logs go to standard error.
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a verification found a difference, 4 wrong configuration,
/// 5 a source cannot be reached, 6 the store is locked or damaged, 130 and 143 stopped by a signal.
#[derive(Debug, Parser)]
#[command(name = "tributary", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// What to log on standard error, such as `info` or `tributary_indexer=debug` (environment: `TRIBUTARY_LOG`)
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// How to log: lines for people or one JSON object a line (environment: `TRIBUTARY_LOG_FORMAT`)
    #[arg(long, global = true, value_enum)]
    pub(crate) log_format: Option<LogFormat>,
    /// The collector to send traces to by OTLP/HTTP, such as `http://localhost:4318` (environment:
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`; the other `OTEL_*` variables count too)
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) otlp_endpoint: Option<String>,
}

/// How to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

// A command with a page of its own has it at its arguments; a line here would replace that page.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(Demo),
    /// Writes a commented configuration file to fill in
    Init(Init),
    Doctor(Doctor),
    /// Follows the configured chain, settles and serves
    Run(Run),
    /// Says where a data folder stands and what it waits for
    Status(Status),
    Sql(Sql),
    Export(Export),
    /// Draws what something was made from and what was made from it
    Graph(Graph),
    /// Says why an account earned what it earned in an epoch; the lines add up
    Explain(Explain),
    /// Gives the Merkle proof with which an account claims
    Proof(Proof),
    /// Verifies a proof, an epoch or the whole store offline; exit 3 when something differs
    Verify(Verify),
    Replay(Replay),
    Settle(Settle),
    /// Copies a data folder, and makes one of a copy
    #[command(subcommand)]
    Store(Store),
    /// Verifies the archive of blobs, exports from it, imports into it
    #[command(subcommand)]
    Blobs(Blobs),
    /// Looks into what was posted to L1 and to EigenDA
    #[command(subcommand)]
    Da(Da),
    /// Builds Merkle trees of anybody's lists of entitlements
    #[command(subcommand)]
    Tree(Tree),
    /// Lists, shows, begins and checks mapping files: how events of contracts become facts
    #[command(subcommand)]
    Mapping(Mapping),
    #[command(subcommand)]
    Generation(Generation),
    /// The machines of a cluster that settlement runs on
    #[command(subcommand)]
    Cluster(Cluster),
    /// Makes, lists and revokes API keys
    #[command(subcommand)]
    Key(Key),
    /// Shows the configuration
    #[command(subcommand)]
    Config(Config),
    #[command(subcommand)]
    Schema(Schema),
    Completions(Completions),
    Man(Man),
}

/// A cluster is one scheduler and any number of executors, all with the same configuration: `settlement.engine` is the
/// scheduler, and `settlement.cluster_inputs` where files are read. They trust whoever reaches them: keep them in a
/// network of their own. All are of one version of this program.
#[derive(Debug, Subcommand)]
pub(crate) enum Cluster {
    /// Hands the tasks of settlements to executors, until interrupted; prints where it listens
    Scheduler(ClusterScheduler),
    /// Does the tasks of the scheduler that `settlement.engine` names, until interrupted
    Executor(ClusterExecutor),
}

#[derive(Debug, Args)]
pub(crate) struct ClusterScheduler {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:50050")]
    pub(crate) bind: SocketAddr,
    /// Seconds of silence after which an executor is given up and its tasks go to others
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) lost_after: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterExecutor {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Address to listen on for whoever reads what tasks made; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(crate) bind: SocketAddr,
    /// The name others reach this machine by; the address it calls the scheduler from when not given
    #[arg(long, value_name = "HOST")]
    pub(crate) advertise: Option<String>,
    /// Where to keep what tasks made; a new folder among the temporary files when not given
    #[arg(long, value_name = "DIR")]
    pub(crate) work_dir: Option<PathBuf>,
}

/// Runs the whole job on an embedded chain: no network, no configuration.
///
/// An L2, an L1 and an EigenDA proxy are made from the seed and spoken to over the real protocols on loopback; the
/// same seed gives the same roots. Without --once the dashboard and /graphql are served until interrupted.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Blocks of the chain
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) blocks: u64,
    /// What everything is drawn from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Faults to inject, comma-separated: reorg, lower-head, same-height, omitted-log, altered-log, missing-blob,
    /// late-blob, corrupt-blob, missing-sidecar, corrupt-sidecar, short-vault, slow, 429, drop
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) faults: Vec<String>,
    /// Blocks that the batcher never posts to L1, comma-separated; then no block waits for L1 before it is sealed (as with
    /// chain.seal = "final"), so that these are seen
    #[arg(long, value_delimiter = ',', value_name = "BLOCKS")]
    pub(crate) withhold: Vec<u64>,
    /// Port of the dashboard and /graphql; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Stop when everything is settled
    #[arg(long)]
    pub(crate) once: bool,
    /// One JSON object on standard output (with --once)
    #[arg(long, requires = "once")]
    pub(crate) json: bool,
    /// Where to keep the data; a new folder among the temporary files when not given
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// Where the configuration comes from.
#[derive(Debug, Args)]
pub(crate) struct Source {
    /// The configuration file; `tributary.toml` is read when it is there (environment: `TRIBUTARY_CONFIG`)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The data folder
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// Writes a commented configuration file to fill in; a file that is there already is never overwritten.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// What is known before you begin
    #[arg(long, value_enum, default_value_t = Preset::Openledger)]
    pub(crate) preset: Preset,
    /// The file to write
    #[arg(long, value_name = "FILE", default_value = "tributary.toml")]
    pub(crate) out: PathBuf,
}

/// What a new configuration file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Preset {
    /// OpenLedger: its chain id and token, and what waits for its contracts to be published
    Openledger,
    /// Any other OP Stack L2
    Custom,
}

/// Asks every configured endpoint, contract and folder whether it will do, and says how to mend what will not.
///
/// Each check is ok, failed or skipped; one that fails hides no other, and one that hangs is cut off. Nothing is
/// changed and nothing is followed. The exit code is that of the first check that failed: 4 the configuration or a
/// contract, 5 an endpoint or a proxy, 6 the data folder.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) source: Source,
    /// A certificate to follow to its blob, as hex or a file; the first archived one when none is named
    #[arg(long, value_name = "COMMITMENT")]
    pub(crate) commitment: Option<String>,
    /// How the commitment is wrapped
    #[arg(long, value_enum, default_value_t = DaMode::Op, requires = "commitment")]
    pub(crate) mode: DaMode,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Follows the configured chain, settles and serves, until interrupted.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Address to serve on
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Stop when this block is sealed and everything before it is settled
    #[arg(long, value_name = "NUMBER")]
    pub(crate) until_block: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) source: Reading,
    /// Say it again whenever it has changed, until interrupted; on a terminal in the same place
    #[arg(long)]
    pub(crate) watch: bool,
    /// How often to look, with --watch
    #[arg(long, value_name = "SECONDS", default_value_t = 2, requires = "watch",
        value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) every: u64,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The account
    pub(crate) account: String,
    /// The epoch
    #[arg(long)]
    pub(crate) epoch: i64,
    /// The token; all of them when not given
    #[arg(long)]
    pub(crate) token: Option<String>,
    #[command(flatten)]
    pub(crate) drill: Drill,
    #[command(flatten)]
    pub(crate) source: Reading,
    /// JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Proof {
    /// The account
    pub(crate) account: String,
    /// The token; all of them when not given
    #[arg(long)]
    pub(crate) token: Option<String>,
    /// The epoch whose tree to prove against; the last one when not given
    #[arg(long)]
    pub(crate) epoch: Option<i64>,
    /// Write the proofs to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) source: Reading,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A file of proofs, `epoch`, or `store`
    pub(crate) what: String,
    /// The epoch's number, after `epoch`
    pub(crate) number: Option<i64>,
    #[command(flatten)]
    pub(crate) source: Reading,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Settles again what is settled, from the published facts, and compares it with what is published.
///
/// Every epoch up to the named one is settled on an empty ledger among the temporary files: its manifest, digests,
/// roots, trees and every row of the money tables must come out as they are. The data folder is only read. Where
/// `verify` checks that what is published fits together, this makes it anew. It stops after the first epoch that
/// differs, names what differs first, and the exit code is 3.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The last epoch to settle again
    #[arg(long)]
    pub(crate) epoch: i64,
    #[command(flatten)]
    pub(crate) source: Reading,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Settles an epoch of tables in a folder, whoever wrote them, and says who would gain and lose by another policy.
///
/// Each table is a folder of Parquet files or a Delta table, with the columns of schemas/tables; the `tables` folder of
/// a data folder is one such. A table or column that is missing or of another type is named with what was expected.
/// With the tables `epochs`, `claims` and `ledger_entries` the ledger continues where they end; without any of them every
/// epoch before this one is settled first. Only the tables are read, and no ledger is written.
///
/// With --policy the epoch is settled again as if that policy had been in force everywhere and always. What the log
/// has judged already (tokens, deadlines of blobs) stays as it was judged.
#[derive(Debug, Args)]
pub(crate) struct Settle {
    /// The folder of tables
    #[arg(long, value_name = "DIR")]
    pub(crate) tables: PathBuf,
    /// The epoch, as the tables number it
    #[arg(long)]
    pub(crate) epoch: i64,
    /// Another policy, as JSON; keys that are left out have their default values
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Tables that are not there because they have no rows, comma-separated; a data folder needs none named
    #[arg(long, value_delimiter = ',', value_name = "TABLES")]
    pub(crate) without: Vec<String>,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Prints the configuration in force
    Show(ConfigShow),
}

#[derive(Debug, Args)]
pub(crate) struct ConfigShow {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Say where each value comes from
    #[arg(long)]
    pub(crate) origin: bool,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
