//! A list of entitlements as a tree of one of the formats: its root, its leaves, and a proof for each account.

use alloy_primitives::{Address, B256};
use serde::Serialize;
use std::path::Path;
use tributary_schemas::column::hex_text;

use super::format::{
    CumulativeDrop, Earner, EigenEarner, EigenToken, Entitlement, Format, Indexed, Merkl, NodeRewards, OpenZeppelin,
    Rocket, Share, Uniswap,
};
use super::list::List;
use super::nodes::{Nodes, Shape};
use crate::error::AccountingError;
use crate::threads::{fill, sort};

/// The formats by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`OpenZeppelin`].
    OpenZeppelin,
    /// [`CumulativeDrop`].
    CumulativeDrop,
    /// [`Merkl`].
    Merkl,
    /// [`Uniswap`].
    Uniswap,
    /// [`EigenToken`] under [`EigenEarner`].
    Eigen,
    /// [`Rocket`].
    Rocket,
}

/// A tree over a list.
#[derive(Debug)]
pub struct Claims {
    entries: Entries,
    nodes: Nodes,
}

/// The list by account, each entry once.
#[derive(Debug)]
enum Entries {
    OpenZeppelin(Vec<Entitlement>),
    Merkl(Vec<Entitlement>),
    /// By (account, token): those of an account are its tree of tokens; and the accounts in the order of the upper tree.
    Eigen(Vec<Entitlement>, Vec<Address>),
    CumulativeDrop(Vec<Share>),
    Uniswap(Vec<Indexed>),
    Rocket(Vec<NodeRewards>),
}

/// A leaf's way to the root of one tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Branch {
    /// The leaf.
    pub leaf: B256,
    /// Its number among the leaves.
    pub index: u64,
    /// Siblings from the leaf up.
    pub siblings: Vec<B256>,
    /// The root they lead to.
    pub root: B256,
}

/// What a leaf says: names and values in the order of the leaf.
pub type Said = Vec<(&'static str, String)>;

/// What an account shows to a distributor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What the leaf says.
    pub says: Said,
    /// One branch; of EigenLayer's two levels the token's first, then the earner's.
    pub branches: Vec<Branch>,
}

impl Claims {
    /// Reads a list and builds its tree. `token` chooses the token where a tree has only one.
    pub fn read(kind: Kind, path: &Path, token: Option<Address>) -> Result<Self, AccountingError> {
        let list = List::open(path)?;
        let entries = match kind {
            Kind::OpenZeppelin => Entries::OpenZeppelin(list.entitlements()?),
            Kind::Merkl => Entries::Merkl(list.entitlements()?),
            Kind::Eigen => Entries::Eigen(list.entitlements()?, Vec::new()),
            Kind::CumulativeDrop => Entries::CumulativeDrop(list.shares(token)?),
            Kind::Uniswap => Entries::Uniswap(list.indexed(token)?),
            Kind::Rocket => Entries::Rocket(list.nodes()?),
        };
        Self::new(entries).map_err(|what| AccountingError::List { path: path.display().to_string(), what })
    }

    fn new(entries: Entries) -> Result<Self, String> {
        let (entries, nodes) = match entries {
            Entries::OpenZeppelin(list) => {
                let list = sorted(list, entitled)?;
                let nodes = Nodes::of::<OpenZeppelin>(&list);
                (Entries::OpenZeppelin(list), nodes)
            }
            Entries::Merkl(list) => {
                let list = sorted(list, entitled)?;
                let nodes = Nodes::of::<Merkl>(&list);
                (Entries::Merkl(list), nodes)
            }
            Entries::Eigen(list, _) => {
                let list = sorted(list, entitled)?;
                let earners = earners(&list);
                let nodes = Nodes::of::<EigenEarner>(&earners);
                (Entries::Eigen(list, earners.iter().map(|one| one.earner).collect()), nodes)
            }
            Entries::CumulativeDrop(list) => {
                let list = sorted(list, |one| (one.account, None))?;
                let nodes = Nodes::of::<CumulativeDrop>(&list);
                (Entries::CumulativeDrop(list), nodes)
            }
            Entries::Uniswap(list) => {
                let list = sorted(list, |one| (one.account, None))?;
                indexes(&list)?;
                let nodes = Nodes::of::<Uniswap>(&list);
                (Entries::Uniswap(list), nodes)
            }
            Entries::Rocket(list) => {
                let list = sorted(list, |one| (one.node, None))?;
                let nodes = Nodes::of::<Rocket>(&list);
                (Entries::Rocket(list), nodes)
            }
        };
        Ok(Self { entries, nodes })
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> B256 {
        self.nodes.root()
    }

    /// The nodes: of EigenLayer's two levels, those of the tree of earners.
    #[must_use]
    pub const fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// Number of entries in the list that the tree is over; of EigenLayer's, an earner has as many as it has tokens.
    #[must_use]
    pub const fn entry_count(&self) -> usize {
        match &self.entries {
            Entries::OpenZeppelin(list) | Entries::Merkl(list) | Entries::Eigen(list, _) => list.len(),
            Entries::CumulativeDrop(list) => list.len(),
            Entries::Uniswap(list) => list.len(),
            Entries::Rocket(list) => list.len(),
        }
    }

    /// Every leaf in the order of the tree, with what it says.
    #[must_use]
    pub fn leaves(&self) -> Vec<(B256, Said)> {
        let mut leaves: Vec<(B256, Said)> = match &self.entries {
            Entries::OpenZeppelin(list) => said::<OpenZeppelin>(list, entitlement),
            Entries::Merkl(list) => said::<Merkl>(list, entitlement),
            Entries::CumulativeDrop(list) => said::<CumulativeDrop>(list, share),
            Entries::Uniswap(list) => said::<Uniswap>(list, indexed),
            Entries::Rocket(list) => said::<Rocket>(list, rewards),
            // Earners are in the order of the tree already.
            Entries::Eigen(list, _) => return said::<EigenEarner>(&earners(list), earner),
        };
        leaves.sort_by_key(|(leaf, _)| *leaf);
        leaves
    }

    /// What `account` shows: one claim, or one for each of its tokens, or the one for `token`. Empty when the tree has
    /// none.
    #[must_use]
    pub fn claims(&self, account: Address, token: Option<Address>) -> Vec<Claim> {
        let entitled = |list: &[Entitlement]| {
            let list = group(list, account);
            list.iter().filter(|one| token.is_none_or(|token| token == one.token)).copied().collect::<Vec<_>>()
        };
        let found = |leaf: B256, says: Said| Some(Claim { says, branches: vec![self.branch(leaf)?] });
        match &self.entries {
            Entries::OpenZeppelin(list) => {
                entitled(list).iter().filter_map(|one| found(OpenZeppelin::leaf(one), entitlement(one))).collect()
            }
            Entries::Merkl(list) => {
                entitled(list).iter().filter_map(|one| found(Merkl::leaf(one), entitlement(one))).collect()
            }
            Entries::Eigen(list, earners) => self.eigen(list, earners, account, token),
            Entries::CumulativeDrop(list) => {
                let at = list.binary_search_by_key(&account, |one| one.account);
                at.ok().and_then(|at| found(CumulativeDrop::leaf(&list[at]), share(&list[at]))).into_iter().collect()
            }
            Entries::Uniswap(list) => {
                let at = list.binary_search_by_key(&account, |one| one.account);
                at.ok().and_then(|at| found(Uniswap::leaf(&list[at]), indexed(&list[at]))).into_iter().collect()
            }
            Entries::Rocket(list) => {
                let at = list.binary_search_by_key(&account, |one| one.node);
                at.ok().and_then(|at| found(Rocket::leaf(&list[at]), rewards(&list[at]))).into_iter().collect()
            }
        }
    }

    /// The branch of a leaf in a tree of sorted leaves.
    fn branch(&self, leaf: B256) -> Option<Branch> {
        let index = self.nodes.find(leaf)?;
        branch(&self.nodes, index)
    }

    fn eigen(&self, list: &[Entitlement], earners: &[Address], account: Address, token: Option<Address>) -> Vec<Claim> {
        let upper = earners.binary_search(&account).ok().and_then(|place| branch(&self.nodes, place));
        let Some(upper) = upper else { return Vec::new() };
        let tokens = group(list, account);
        let lower = Nodes::of::<EigenToken>(tokens);
        let wanted = tokens.iter().enumerate().filter(|(_, one)| token.is_none_or(|token| token == one.token));
        let claim = |(at, one): (usize, &Entitlement)| {
            Some(Claim { says: entitlement(one), branches: vec![branch(&lower, at)?, upper.clone()] })
        };
        wanted.filter_map(claim).collect()
    }
}

fn branch(nodes: &Nodes, index: usize) -> Option<Branch> {
    let leaf = nodes.leaf(index)?;
    let siblings = nodes.siblings(index)?;
    Some(Branch { leaf, index: u64::try_from(index).ok()?, siblings, root: nodes.root() })
}

impl Branch {
    /// Whether leaf and siblings lead to the root.
    #[must_use]
    pub fn holds(&self, shape: Shape) -> bool {
        shape.climb(self.leaf, self.index, &self.siblings) == self.root
    }
}

/// What makes two entries of a list the same: their account, and their token where a tree has several.
type Pair = (Address, Option<Address>);

const fn entitled(one: &Entitlement) -> Pair {
    (one.account, Some(one.token))
}

/// The list by pair. A distributor pays the larger of two leaves of one pair, not their sum: a pair that is there twice
/// is refused.
fn sorted<T: Send>(mut list: Vec<T>, pair: impl Fn(&T) -> Pair + Sync) -> Result<Vec<T>, String> {
    sort(&mut list, &pair);
    match list.windows(2).find(|two| pair(&two[0]) == pair(&two[1])).map(|two| pair(&two[0])) {
        Some((account, Some(token))) => Err(format!("account {account} is there twice for token {token}")),
        Some((account, None)) => Err(format!("account {account} is there twice")),
        None if list.is_empty() => Err("it has no row for the token".to_owned()),
        None => Ok(list),
    }
}

/// An index is a bit in the distributor: whoever claims second would find it taken.
fn indexes(list: &[Indexed]) -> Result<(), String> {
    let mut indexes: Vec<_> = list.iter().map(|one| one.index).collect();
    indexes.sort_unstable();
    match indexes.windows(2).find(|two| two[0] == two[1]) {
        Some(two) => Err(format!("index {} is there twice", two[0])),
        None => Ok(()),
    }
}

/// The entries of an account in a list by account.
fn group(list: &[Entitlement], account: Address) -> &[Entitlement] {
    let start = list.partition_point(|one| one.account < account);
    let count = list[start..].partition_point(|one| one.account == account);
    &list[start..start + count]
}

/// Each earner with the root of its tokens, by address.
fn earners(list: &[Entitlement]) -> Vec<Earner> {
    let groups: Vec<&[Entitlement]> = list.chunk_by(|a, b| a.account == b.account).collect();
    let mut out = vec![Earner { earner: Address::ZERO, token_root: B256::ZERO }; groups.len()];
    fill(&mut out, |at| {
        let tokens = groups[at];
        Earner { earner: tokens[0].account, token_root: Nodes::of::<EigenToken>(tokens).root() }
    });
    out
}

fn said<F: Format>(list: &[F::Entry], says: impl Fn(&F::Entry) -> Said) -> Vec<(B256, Said)> {
    list.iter().map(|one| (F::leaf(one), says(one))).collect()
}

fn entitlement(one: &Entitlement) -> Said {
    vec![("account", hex_text(one.account)), ("token", hex_text(one.token)), ("amount", one.amount.to_string())]
}

fn share(one: &Share) -> Said {
    vec![("account", hex_text(one.account)), ("amount", one.amount.to_string())]
}

fn indexed(one: &Indexed) -> Said {
    let amount = one.amount.to_string();
    vec![("index", one.index.to_string()), ("account", hex_text(one.account)), ("amount", amount)]
}

fn earner(one: &Earner) -> Said {
    vec![("account", hex_text(one.earner)), ("token_root", hex_text(one.token_root))]
}

fn rewards(one: &NodeRewards) -> Said {
    let mut out = vec![
        ("account", hex_text(one.node)),
        ("network", one.network.to_string()),
        ("rpl", one.rpl.to_string()),
        ("eth", one.eth.to_string()),
    ];
    out.extend(one.voter.map(|voter| ("voter", voter.to_string())));
    out
}

#[cfg(test)]
mod tests;
