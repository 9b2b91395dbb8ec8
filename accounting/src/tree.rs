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

/// A tree.
#[derive(Debug, Clone)]
pub struct Tree {
    leaves: Vec<Leaf>,
    nodes: Nodes,
}

impl Tree {
    /// The tree over these entitlements.
    #[must_use]
    pub fn new(mut leaves: Vec<Leaf>) -> Self {
        leaves.sort_unstable();
        let hashes: Vec<B256> = leaves.iter().map(|leaf| leaf.hash).collect();
        let nodes = Nodes::new(Shape::of::<OpenZeppelin>(), &hashes);
        Self { leaves, nodes }
    }

    /// Its root; zero without leaves.
    #[must_use]
    pub fn root(&self) -> B256 {
        self.nodes.root()
    }

    /// Its leaves, sorted.
    #[must_use]
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
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
        for (index, leaf) in self.leaves.iter().enumerate() {
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
