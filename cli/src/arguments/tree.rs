//! The arguments of `tributary tree`.

use alloy_primitives::{Address, B256};
use clap::{Args, Subcommand};
use std::path::PathBuf;

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
