//! The command line: what can be said, and its manual.

use alloy_primitives::{Address, B256};
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

mod drill;
mod export;
mod generation;
mod key;
mod manual;
mod sql;
mod store;

pub(crate) use drill::{By, Drill};
pub(crate) use export::{Export, ExportFormat, Graph, GraphFormat};
pub(crate) use generation::{Generation, Reading};
pub(crate) use key::{Key, KeyCreate, KeyList, KeyRevoke};
pub(crate) use manual::{Completions, Man, Schema};
pub(crate) use sql::{Sql, SqlFormat};
pub(crate) use store::{Store, StoreBackup, StoreRestore};

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

#[derive(Debug, Subcommand)]
pub(crate) enum Da {
    Inspect(DaInspect),
    Decode(DaDecode),
}

/// Says what a commitment holds, and which checks it and the bytes behind it pass, in order.
///
/// A value may be hex text or the name of a file that holds hex text or the bytes. Levels of the certificate: L0 it is
/// well formed, L1 its blob is in its batch and the dispersing account is known, L2 the batch is signed and the blob's
/// length is proved; L3, that enough stake signed, is for L1 to say and is not asked here. Levels of the bytes: D1
/// they are an encoded payload, D2 they are what is committed to, which needs --srs. Exit 3 when a check fails, and
/// the first that does is named.
#[derive(Debug, Args)]
pub(crate) struct DaInspect {
    /// The commitment; in the mode `op` with or without the 01 of the calldata
    pub(crate) commitment: String,
    /// How the commitment is wrapped: its bytes do not say
    #[arg(long, value_enum, default_value_t = DaMode::Op)]
    pub(crate) mode: DaMode,
    /// What the commitment should be to: a payload or an encoded payload; the certificate's length tells which
    #[arg(long, value_name = "FILE")]
    pub(crate) payload: Option<String>,
    /// The ceremony's points, such as EigenDA's `g1.point`; as many as the blob has field elements are read
    #[arg(long, value_name = "FILE", requires = "payload")]
    pub(crate) srs: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a commitment is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DaMode {
    /// The OP Stack's: a commitment type, a DA layer, a version, a certificate
    Op,
    /// EigenDA's own: a version and a certificate
    Standard,
}

/// Decodes a batcher's transaction or payload: frames, channels, batches, and each L2 block with its timestamp, L1
/// origin and transaction hashes.
///
/// A value may be hex text or the name of a file that holds hex text or the bytes. A payload may be EigenDA's encoded
/// payload, an EIP-4844 blob, or decoded; which one it was is said. Span batches leave out what the chain's
/// configuration says: without --chain-id their transactions have no hashes, without --l2-genesis-time their
/// timestamps count from the first L2 block. Nothing is judged: whether blocks came to be as posted is for the chain
/// to say. Exit 3 when the payload is not the one committed to, 1 when derivation would skip it.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["tx", "commitment", "payload"]))]
pub(crate) struct DaDecode {
    /// A signed L1 transaction, of any type
    #[arg(long, value_name = "RAWTX", conflicts_with = "commitment")]
    pub(crate) tx: Option<String>,
    /// An alt-DA commitment as the EigenDA proxy takes it, without the 01 of the calldata
    #[arg(long)]
    pub(crate) commitment: Option<String>,
    /// The payload that the commitment leads to, or a blob of the transaction
    #[arg(long, value_name = "FILE")]
    pub(crate) payload: Option<String>,
    /// Chain id of the L2
    #[arg(long)]
    pub(crate) chain_id: Option<u64>,
    /// Time of the first L2 block, in seconds since 1970
    #[arg(long, value_name = "SECONDS")]
    pub(crate) l2_genesis_time: Option<u64>,
    /// Seconds between L2 blocks
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    pub(crate) block_time: u64,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Tree {
    Build(TreeBuild),
}

/// Builds the Merkle tree of a list of entitlements as a distributor's contract takes it.
///
/// No store is needed. FILE is CSV. Columns are found by the name in the header, in any order,
/// and others are left alone; amounts are decimal text, whole and below 2^256, and read exactly.
///
///   format             columns
///   oz, merkl, eigen   account, token, amount
///   cumulative-drop    account, amount
///   uniswap            account, amount, index; without index, by the checksummed text of accounts
///   rocket             account, network, rpl, eth; and voter where leaves have a voter share
///
/// `cumulative` is another name for amount. cumulative-drop and uniswap have a tree for each token:
/// where there is a column token, all rows have the same, or --token chooses. A list is refused,
/// with the row, when an account (and token) is there twice, an account is zero or fails its
/// checksum, or a number is not one.
///
/// A proof is the siblings from the leaf up. eigen has two levels: the token's branch first, then
/// the earner's.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct TreeBuild {
    /// Whose contract the tree is for
    #[arg(long, value_enum)]
    pub(crate) format: TreeFormat,
    /// The list
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Give the proofs of this account
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) proof: Option<Address>,
    /// Only of this token; for cumulative-drop and uniswap, the token of the tree
    #[arg(long)]
    pub(crate) token: Option<Address>,
    /// Give every leaf, in the order of the tree
    #[arg(long)]
    pub(crate) leaves: bool,
    /// Write the nodes, root first, 32 bytes each; of eigen those of the upper tree
    #[arg(long, value_name = "FILE")]
    pub(crate) nodes: Option<PathBuf>,
    /// The root that was published; exit 3 when the list has another
    #[arg(long)]
    pub(crate) root: Option<B256>,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Formats of trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TreeFormat {
    /// OpenZeppelin's `StandardMerkleTree` of (address, address, uint256), Morpho's rewards distributor, our vault
    Oz,
    /// 1inch's `CumulativeMerkleDrop`
    CumulativeDrop,
    /// Merkl's Distributor
    Merkl,
    /// Uniswap's `MerkleDistributor`
    Uniswap,
    /// EigenLayer's `RewardsCoordinator`
    Eigen,
    /// Rocket Pool's `RocketMerkleDistributorMainnet`
    Rocket,
}

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
