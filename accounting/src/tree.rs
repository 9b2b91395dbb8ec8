//! Trees that claims are proved against.
//!
//! The default is OpenZeppelin's `StandardMerkleTree` over `(address account, address token, uint256 cumulative)`, one per
//! vault: leaf = keccak256(keccak256(abi.encode(account, token, cumulative))); leaves sorted; an array of 2n − 1 nodes,
//! root first; a parent is the hash of its sorted pair. Nodes lie in one flat file of 32 bytes each, so that a proof is
//! log₂(n) positioned reads; the same tree as `standard-v1` JSON loads in `@openzeppelin/merkle-tree`.
//!
//! Other distributors differ in four things: [`mod@format`]. [`claims`] makes a tree of any of them from somebody's list
//! (CSV), without a store.

pub mod claims;
pub mod format;
mod list;
pub mod nodes;

use alloy_primitives::{Address, B256, U256};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use tributary_schemas::column::hex_text;

use crate::error::AccountingError;
use crate::keccak;
use crate::names::index;
use crate::threads;
use format::{Entitlement, Format as _, OpenZeppelin, Pairs};
use nodes::{Nodes, Shape};

/// A leaf with what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaf {
    /// The leaf itself; leaves are ordered by it.
    pub hash: B256,
    /// Account.
    pub account: Address,
    /// Token.
    pub token: Address,
    /// Cumulative base units.
    pub cumulative: u128,
}

impl Leaf {
    /// The leaf of a cumulative entitlement.
    #[must_use]
    pub fn new(account: Address, token: Address, cumulative: u128) -> Self {
        let hash = OpenZeppelin::leaf(&Entitlement { account, token, amount: U256::from(cumulative) });
        Self { hash, account, token, cumulative }
    }
}

/// Cumulative entitlements: what leaves say, in less room than leaves take.
#[derive(Debug, Default)]
pub(crate) struct Entitled {
    tokens: Vec<Address>,
    list: Vec<One>,
}

/// One of them. The two halves of its base units need no more alignment than its other fields.
#[derive(Debug, Clone, Copy)]
struct One {
    account: Address,
    /// Place of the token.
    token: u32,
    high: u64,
    low: u64,
}

impl Entitled {
    /// Adds what an account is entitled to.
    pub(crate) fn push(&mut self, account: Address, token: Address, cumulative: u128) {
        let place = self.tokens.iter().position(|one| *one == token).unwrap_or(self.tokens.len());
        if place == self.tokens.len() {
            self.tokens.push(token);
        }
        let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(u64::MAX);
        let (high, low) = (half(cumulative >> 64), half(cumulative));
        self.list.push(One { account, token: u32::try_from(place).unwrap_or(u32::MAX), high, low });
    }

    fn at(&self, number: usize) -> (Address, Address, u128) {
        let one = self.list[number];
        (one.account, self.tokens[index(one.token)], u128::from(one.high) << 64 | u128::from(one.low))
    }

    /// Leaves of all of them, in their order.
    fn hashes(&self) -> Vec<B256> {
        let mut out = vec![B256::ZERO; self.list.len()];
        threads::change(&mut out, |first, piece| {
            let encoded = |at: usize| {
                let (account, token, cumulative) = self.at(first + at);
                format::abi_encode(&Entitlement { account, token, amount: U256::from(cumulative) })
            };
            let mut once = Vec::with_capacity(piece.len());
            keccak::each(piece.len(), encoded, |_, hash| once.push(hash));
            keccak::each(once.len(), |at| once[at].0, |at, hash| piece[at] = hash);
        });
        out
    }
}

/// A tree.
#[derive(Debug)]
pub struct Tree {
    /// By the hashes of their leaves.
    entitled: Entitled,
    nodes: Nodes,
}

impl Tree {
    /// The tree over these entitlements.
    #[must_use]
    pub fn new(leaves: Vec<Leaf>) -> Self {
        let mut entitled = Entitled::default();
        leaves.into_iter().for_each(|leaf| entitled.push(leaf.account, leaf.token, leaf.cumulative));
        Self::over(entitled)
    }

    /// The tree over entitlements in any order.
    pub(crate) fn over(mut entitled: Entitled) -> Self {
        let hashes = entitled.hashes();
        let first = |hash: &B256| u64::from_be_bytes(hash.0.first_chunk().copied().unwrap_or_default());
        // The first bytes of a hash decide nearly always.
        let mut order: Vec<(u64, u32)> = hashes.iter().map(first).zip(0..).collect();
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| hashes[index(a.1)].cmp(&hashes[index(b.1)])));
        let leaf = |number: usize| hashes[index(order[number].1)];
        let nodes = Nodes::filled(Shape::of::<OpenZeppelin>(), order.len(), leaf);
        drop(hashes);
        entitled.list = order.into_iter().map(|(_, number)| entitled.list[index(number)]).collect();
        Self { entitled, nodes }
    }

    /// Its root; zero without leaves.
    #[must_use]
    pub fn root(&self) -> B256 {
        self.nodes.root()
    }

    /// Its leaves, sorted.
    pub fn leaves(&self) -> impl ExactSizeIterator<Item = Leaf> {
        (0..self.nodes.leaf_count()).map(|number| {
            let (account, token, cumulative) = self.entitled.at(number);
            Leaf { hash: self.nodes.leaf_at(number), account, token, cumulative }
        })
    }

    /// The nodes as a flat file.
    pub fn write_nodes(&self, to: &mut impl Write) -> std::io::Result<()> {
        self.nodes.write(to)
    }

    /// The `standard-v1` dump of `@openzeppelin/merkle-tree`.
    pub fn write_dump(&self, to: &mut impl Write) -> std::io::Result<()> {
        to.write_all(br#"{"format":"standard-v1","leafEncoding":["address","address","uint256"],"tree":["#)?;
        let nodes = self.nodes.as_slice();
        for (index, node) in nodes.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(to, "{comma}\"{}\"", hex_text(node))?;
        }
        to.write_all(br#"],"values":["#)?;
        for (index, leaf) in self.leaves().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let (account, token) = (hex_text(leaf.account), hex_text(leaf.token));
            let tree_index = nodes.len() - 1 - index;
            write!(to, r#"{comma}{{"value":["{account}","{token}","{}"],"treeIndex":{tree_index}}}"#, leaf.cumulative)?;
        }
        to.write_all(b"]}")
    }

    /// Writes both files of a vault into the folder of an epoch.
    pub(crate) fn save(&self, folder: &Path, vault: Address) -> Result<(), AccountingError> {
        let name = hex_text(vault);
        save(&folder.join(format!("{name}.nodes")), |file| self.write_nodes(file))?;
        save(&folder.join(format!("{name}.json")), |file| self.write_dump(file))
    }
}

/// Siblings of leaf number `index` of `count` in a file of nodes of the default tree, from the leaf up.
pub fn siblings(file: &Path, index: u64, count: u64) -> Result<Vec<B256>, AccountingError> {
    nodes::siblings(Shape::of::<OpenZeppelin>(), file, index, count)
}

/// The root that a leaf and its siblings lead to in the default tree.
#[must_use]
pub fn climb(leaf: B256, siblings: &[B256]) -> B256 {
    siblings.iter().fold(leaf, |node, sibling| Pairs::Sorted.hash(node, *sibling))
}

/// Writes a file so that it is there whole or not at all: temporary name, fsync, rename.
pub(crate) fn save(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<(), AccountingError> {
    let all = || {
        let temporary = path.with_extension("part");
        let mut file = BufWriter::new(File::create(&temporary)?);
        write(&mut file)?;
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    all().map_err(|source| AccountingError::File { action: "write", path: path.display().to_string(), source })
}

#[cfg(test)]
mod tests;
