//! The arguments of `tributary da`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

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
