//! The tree that claims are proved against: OpenZeppelin's `StandardMerkleTree` over `(address account, address token,
//! uint256 cumulative)`, one per vault.
//!
//! leaf = keccak256(keccak256(abi.encode(account, token, cumulative))); leaves sorted; an array of 2n − 1 nodes, root
//! first; a parent is the hash of its sorted pair. Nodes lie in one flat file of 32 bytes each, so that a proof is
//! log₂(n) positioned reads; the same tree as `standard-v1` JSON loads in `@openzeppelin/merkle-tree`.

use alloy_primitives::{Address, B256, U256, keccak256};
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use tributary_schemas::column::hex_text;
use tributary_schemas::encoding::{sorted_pair, standard_tree};

use crate::error::AccountingError;

/// Bytes of a node.
const NODE: u64 = 32;

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
        let mut encoded = [0; 96];
        encoded[12..32].copy_from_slice(account.as_slice());
        encoded[44..64].copy_from_slice(token.as_slice());
        encoded[64..].copy_from_slice(&U256::from(cumulative).to_be_bytes::<32>());
        Self { hash: keccak256(keccak256(encoded)), account, token, cumulative }
    }
}

/// A tree.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    leaves: Vec<Leaf>,
    nodes: Vec<B256>,
}

impl Tree {
    /// The tree over these entitlements.
    #[must_use]
    pub fn new(mut leaves: Vec<Leaf>) -> Self {
        leaves.sort_unstable();
        let nodes = standard_tree(&leaves.iter().map(|leaf| leaf.hash).collect::<Vec<_>>());
        Self { leaves, nodes }
    }

    /// Its root; zero without leaves.
    #[must_use]
    pub fn root(&self) -> B256 {
        self.nodes.first().copied().unwrap_or_default()
    }

    /// Its leaves, sorted.
    #[must_use]
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// The nodes as a flat file.
    pub fn write_nodes(&self, to: &mut impl Write) -> std::io::Result<()> {
        for node in &self.nodes {
            to.write_all(node.as_slice())?;
        }
        Ok(())
    }

    /// The `standard-v1` dump of `@openzeppelin/merkle-tree`.
    pub fn write_dump(&self, to: &mut impl Write) -> std::io::Result<()> {
        to.write_all(br#"{"format":"standard-v1","leafEncoding":["address","address","uint256"],"tree":["#)?;
        for (index, node) in self.nodes.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(to, "{comma}\"{}\"", hex_text(node))?;
        }
        to.write_all(br#"],"values":["#)?;
        for (index, leaf) in self.leaves.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let (account, token) = (hex_text(leaf.account), hex_text(leaf.token));
            let tree_index = self.nodes.len() - 1 - index;
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

/// Siblings of leaf number `index` of `count` in a file of nodes, from the leaf up.
pub fn siblings(file: &Path, index: u64, count: u64) -> Result<Vec<B256>, AccountingError> {
    let failed = |source| AccountingError::File { action: "read", path: file.display().to_string(), source };
    let mut nodes = File::open(file).map_err(failed)?;
    let length = nodes.metadata().map_err(failed)?.len();
    if index >= count || length != (2 * count - 1) * NODE {
        let what =
            format!("{} has {length} bytes: expected {count} leaves and one of them number {index}", file.display());
        return Err(AccountingError::inconsistent(what));
    }
    let mut at = 2 * count - 2 - index;
    let mut out = Vec::new();
    while at > 0 {
        let sibling = if at % 2 == 1 { at + 1 } else { at - 1 };
        let mut node = [0; 32];
        nodes.seek(SeekFrom::Start(sibling * NODE)).map_err(failed)?;
        nodes.read_exact(&mut node).map_err(failed)?;
        out.push(B256::from(node));
        at = (at - 1) / 2;
    }
    Ok(out)
}

/// The root that a leaf and its siblings lead to.
#[must_use]
pub fn climb(leaf: B256, siblings: &[B256]) -> B256 {
    siblings.iter().fold(leaf, |node, sibling| sorted_pair(node, *sibling))
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
