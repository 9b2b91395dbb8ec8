//! What sets the trees of distributors apart: [`Format`], and the six we write.
//!
//! | format | leaf | tree | who takes it |
//! |---|---|---|---|
//! | [`OpenZeppelin`] | keccak(keccak(abi.encode(account, token, amount))) | sorted leaves, an array of 2n − 1 nodes, sorted pairs | `StandardMerkleTree` of `@openzeppelin/merkle-tree`; Morpho's `UniversalRewardsDistributor`; our `RewardVault` |
//! | [`CumulativeDrop`] | keccak(account20 ‖ amount32) | sorted leaves, sorted pairs, an odd node promoted | 1inch, `CumulativeMerkleDrop.sol` in `1inch/merkle-distribution`; a tree a token |
//! | [`Merkl`] | keccak(abi.encode(account, token, amount)) | sorted leaves, sorted pairs, an odd node promoted | Angle, `Distributor.sol` in `AngleProtocol/merkl-contracts` |
//! | [`Uniswap`] | keccak(index32 ‖ account20 ‖ amount32) | leaves sorted and each once, sorted pairs, an odd node promoted | `MerkleDistributor.sol` in `Uniswap/merkle-distributor`; a tree a token |
//! | [`EigenToken`], [`EigenEarner`] | keccak(0x01 ‖ token20 ‖ amount32); keccak(0x00 ‖ earner20 ‖ root of its tokens) | by address, pairs by index, zero nodes up to a power of two | EigenLayer, `RewardsCoordinator.sol` and `Merkle.sol` in `Layr-Labs/eigenlayer-contracts` |
//! | [`Rocket`] | keccak(node20 ‖ network32 ‖ RPL32 ‖ ETH32 \[‖ voter share32\]) | sorted leaves, zero nodes up to a power of two, sorted pairs | Rocket Pool, `RocketMerkleDistributorMainnet.sol` in `rocket-pool/rocketpool` |
//!
//! A tree whose leaf is one hash of 64 bytes could be asked to prove an inner node as a leaf; none of these leaves has
//! 64 bytes.

use alloy_primitives::{Address, B256, Keccak256, U256, keccak256};

/// In which order leaves are paired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they are given.
    AsGiven,
    /// By their hash.
    ByHash,
    /// By their hash, and each hash once.
    ByHashOnce,
}

/// What becomes of a node that has no partner, and so where nodes lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// None is left over: n leaves are the end, in reverse, of a heap of 2n − 1 nodes.
    Heap,
    /// It moves up a level as it is.
    Promoted,
    /// Zero nodes fill the leaves up to a power of two.
    Zeros,
}

/// How two nodes are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// The smaller one first: a proof needs no index.
    Sorted,
    /// The left one first: a proof needs the index of its leaf.
    ByIndex,
}

impl Pairs {
    /// keccak256 of two neighbours.
    #[must_use]
    pub fn hash(self, left: B256, right: B256) -> B256 {
        keccak256(self.both(left, right))
    }

    /// Two neighbours as they are hashed.
    pub(super) fn both(self, left: B256, right: B256) -> [u8; 64] {
        let (first, second) = if self == Self::Sorted && right < left { (right, left) } else { (left, right) };
        let mut both = [0; 64];
        both[..32].copy_from_slice(first.as_slice());
        both[32..].copy_from_slice(second.as_slice());
        both
    }
}

/// A format of trees.
pub trait Format {
    /// What a leaf says.
    type Entry: Sync;
    /// The order of leaves.
    const ORDER: Order;
    /// Nodes without a partner.
    const PADDING: Padding;
    /// How two nodes are hashed.
    const PAIRS: Pairs;
    /// The leaf of an entry.
    fn leaf(entry: &Self::Entry) -> B256;
}

/// What an account is entitled to of a token since the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entitlement {
    /// Account.
    pub account: Address,
    /// Token.
    pub token: Address,
    /// Base units.
    pub amount: U256,
}

/// OpenZeppelin's standard tree over (address account, address token, uint256 amount).
#[derive(Debug, Clone, Copy)]
pub struct OpenZeppelin;

impl Format for OpenZeppelin {
    type Entry = Entitlement;
    const ORDER: Order = Order::ByHash;
    const PADDING: Padding = Padding::Heap;
    const PAIRS: Pairs = Pairs::Sorted;
    fn leaf(entry: &Entitlement) -> B256 {
        keccak256(keccak256(abi_encode(entry)))
    }
}

/// Merkl's tree: one hash of the same encoding.
#[derive(Debug, Clone, Copy)]
pub struct Merkl;

impl Format for Merkl {
    type Entry = Entitlement;
    const ORDER: Order = Order::ByHash;
    const PADDING: Padding = Padding::Promoted;
    const PAIRS: Pairs = Pairs::Sorted;
    fn leaf(entry: &Entitlement) -> B256 {
        keccak256(abi_encode(entry))
    }
}

/// (address, address, uint256) as the ABI encodes it: three words.
pub(super) fn abi_encode(entry: &Entitlement) -> [u8; 96] {
    let mut out = [0; 96];
    out[12..32].copy_from_slice(entry.account.as_slice());
    out[44..64].copy_from_slice(entry.token.as_slice());
    out[64..].copy_from_slice(&entry.amount.to_be_bytes::<32>());
    out
}

/// What an account is entitled to of the one token of its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    /// Account.
    pub account: Address,
    /// Base units.
    pub amount: U256,
}

/// 1inch's cumulative drop.
#[derive(Debug, Clone, Copy)]
pub struct CumulativeDrop;

impl Format for CumulativeDrop {
    type Entry = Share;
    const ORDER: Order = Order::ByHash;
    const PADDING: Padding = Padding::Promoted;
    const PAIRS: Pairs = Pairs::Sorted;
    fn leaf(entry: &Share) -> B256 {
        packed(&[], entry.account, &[entry.amount])
    }
}

/// A claim with its bit in the distributor's map of claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Indexed {
    /// Account.
    pub account: Address,
    /// Index of the claim.
    pub index: U256,
    /// Base units.
    pub amount: U256,
}

/// Uniswap's distributor.
#[derive(Debug, Clone, Copy)]
pub struct Uniswap;

impl Format for Uniswap {
    type Entry = Indexed;
    const ORDER: Order = Order::ByHashOnce;
    const PADDING: Padding = Padding::Promoted;
    const PAIRS: Pairs = Pairs::Sorted;
    fn leaf(entry: &Indexed) -> B256 {
        packed(&entry.index.to_be_bytes::<32>(), entry.account, &[entry.amount])
    }
}

/// EigenLayer's lower tree: the tokens of one earner.
#[derive(Debug, Clone, Copy)]
pub struct EigenToken;

impl Format for EigenToken {
    /// The earner takes no part in the leaf.
    type Entry = Entitlement;
    const ORDER: Order = Order::AsGiven;
    const PADDING: Padding = Padding::Zeros;
    const PAIRS: Pairs = Pairs::ByIndex;
    fn leaf(entry: &Entitlement) -> B256 {
        // `TOKEN_LEAF_SALT`
        packed(&[1], entry.token, &[entry.amount])
    }
}

/// An earner with the root of its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Earner {
    /// Account.
    pub earner: Address,
    /// Root of its tree of tokens.
    pub token_root: B256,
}

/// EigenLayer's upper tree: all earners.
#[derive(Debug, Clone, Copy)]
pub struct EigenEarner;

impl Format for EigenEarner {
    type Entry = Earner;
    const ORDER: Order = Order::AsGiven;
    const PADDING: Padding = Padding::Zeros;
    const PAIRS: Pairs = Pairs::ByIndex;
    fn leaf(entry: &Earner) -> B256 {
        // `EARNER_LEAF_SALT`
        packed(&[0], entry.earner, &[entry.token_root.into()])
    }
}

/// What a node operator of Rocket Pool gets for an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeRewards {
    /// Address of the node.
    pub node: Address,
    /// Network on which it claims.
    pub network: U256,
    /// RPL in wei.
    pub rpl: U256,
    /// ETH of the smoothing pool in wei.
    pub eth: U256,
    /// ETH of the voter share in wei; none before it existed.
    pub voter: Option<U256>,
}

/// Rocket Pool's rewards tree.
#[derive(Debug, Clone, Copy)]
pub struct Rocket;

impl Format for Rocket {
    type Entry = NodeRewards;
    const ORDER: Order = Order::ByHash;
    const PADDING: Padding = Padding::Zeros;
    const PAIRS: Pairs = Pairs::Sorted;
    fn leaf(entry: &NodeRewards) -> B256 {
        let words = [entry.network, entry.rpl, entry.eth, entry.voter.unwrap_or_default()];
        let count = if entry.voter.is_some() { 4 } else { 3 };
        packed(&[], entry.node, &words[..count])
    }
}

/// keccak256 of what comes before, an address of 20 bytes and words, without padding between them.
fn packed(before: &[u8], address: Address, words: &[U256]) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(before);
    hasher.update(address);
    for word in words {
        hasher.update(word.to_be_bytes::<32>());
    }
    hasher.finalize()
}
