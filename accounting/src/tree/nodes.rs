//! The nodes of a tree, root first, in one flat list: in memory, and as a file that proofs are read from.
//!
//! Where nodes lie follows from the padding and the number of leaves alone, so a file needs no header. A heap has the
//! children of node i at 2i + 1 and 2i + 2; layers of promoted nodes lie one after the other, each half the next.

use alloy_primitives::B256;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use super::format::{Format, Order, Padding, Pairs};
use crate::error::AccountingError;
use crate::keccak;
use crate::threads::{change, fill, sort};

/// Bytes of a node.
const NODE: u64 = 32;

/// How nodes lie and are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Nodes without a partner.
    pub padding: Padding,
    /// How two nodes are hashed.
    pub pairs: Pairs,
}

impl Shape {
    /// The shape of a format's trees.
    #[must_use]
    pub const fn of<F: Format>() -> Self {
        Self { padding: F::PADDING, pairs: F::PAIRS }
    }

    /// Number of nodes over so many leaves.
    fn nodes(self, leaves: usize) -> usize {
        match self.padding {
            _ if leaves == 0 => 0,
            Padding::Heap => 2 * leaves - 1,
            Padding::Zeros => 2 * leaves.next_power_of_two() - 1,
            Padding::Promoted => layers(leaves).last().map_or(0, |top| top.end),
        }
    }

    /// Where leaf number `index` lies.
    fn place(self, index: usize, leaves: usize) -> usize {
        self.place_among(self.nodes(leaves), index, leaves)
    }

    /// Where leaf number `index` lies among so many nodes.
    const fn place_among(self, nodes: usize, index: usize, leaves: usize) -> usize {
        match self.padding {
            Padding::Heap => nodes - 1 - index,
            Padding::Zeros => nodes / 2 + index,
            Padding::Promoted => nodes - leaves + index,
        }
    }

    /// Where the siblings of leaf number `index` lie, from the leaf up.
    fn siblings(self, index: usize, leaves: usize) -> Vec<usize> {
        if self.padding == Padding::Promoted {
            let nodes = self.nodes(leaves);
            let of_layer = |(depth, layer): (usize, Range<usize>)| {
                let sibling = (index >> depth) ^ 1;
                // Layers are counted from the leaves, which end the list.
                (sibling < layer.len()).then(|| nodes - layer.end + sibling)
            };
            return layers(leaves).enumerate().filter_map(of_layer).collect();
        }
        let mut at = self.place(index, leaves);
        let mut out = Vec::new();
        while at > 0 {
            out.push(if at % 2 == 1 { at + 1 } else { at - 1 });
            at = (at - 1) / 2;
        }
        out
    }

    /// The root that a leaf and its siblings lead to. The index of the leaf matters where pairs go by it.
    #[must_use]
    pub fn climb(self, leaf: B256, index: u64, siblings: &[B256]) -> B256 {
        let up = |(node, index): (B256, u64), sibling: &B256| {
            let parent = if index % 2 == 0 { self.pairs.hash(node, *sibling) } else { self.pairs.hash(*sibling, node) };
            (parent, index / 2)
        };
        siblings.iter().fold((leaf, index), up).0
    }
}

/// The layers of a tree with promoted nodes, leaves first, as ranges counted from the end of its list.
fn layers(leaves: usize) -> impl Iterator<Item = Range<usize>> {
    let first = (leaves > 0).then_some(0..leaves);
    std::iter::successors(first, |below| (below.len() > 1).then(|| below.end..below.end + below.len().div_ceil(2)))
}

/// A tree's nodes.
#[derive(Debug, Clone)]
pub struct Nodes {
    shape: Shape,
    leaves: usize,
    nodes: Vec<B256>,
}

impl Nodes {
    /// The tree of a format over the leaves of these entries, in the format's order.
    #[must_use]
    pub fn of<F: Format>(entries: &[F::Entry]) -> Self {
        let mut leaves = vec![B256::ZERO; entries.len()];
        fill(&mut leaves, |at| F::leaf(&entries[at]));
        if F::ORDER != Order::AsGiven {
            sort(&mut leaves, |leaf| *leaf);
        }
        if F::ORDER == Order::ByHashOnce {
            leaves.dedup();
        }
        Self::new(Shape::of::<F>(), &leaves)
    }

    /// The tree over leaves in their order.
    #[must_use]
    pub fn new(shape: Shape, leaves: &[B256]) -> Self {
        Self::filled(shape, leaves.len(), |index| leaves[index])
    }

    /// The tree over so many leaves, each from its number.
    pub(super) fn filled(shape: Shape, count: usize, leaf: impl Fn(usize) -> B256) -> Self {
        let total = shape.nodes(count);
        let mut nodes = vec![B256::ZERO; total];
        for index in 0..count {
            nodes[shape.place_among(total, index, count)] = leaf(index);
        }
        match shape.padding {
            Padding::Promoted => promote(shape.pairs, count, &mut nodes),
            Padding::Heap | Padding::Zeros => heap(shape.pairs, &mut nodes),
        }
        Self { shape, leaves: count, nodes }
    }

    /// The root; zero without leaves.
    #[must_use]
    pub fn root(&self) -> B256 {
        self.nodes.first().copied().unwrap_or_default()
    }

    /// Number of leaves.
    #[must_use]
    pub const fn leaf_count(&self) -> usize {
        self.leaves
    }

    /// Leaf number `index`; `None` when there is no such leaf.
    #[must_use]
    pub fn leaf(&self, index: usize) -> Option<B256> {
        (index < self.leaves).then(|| self.leaf_at(index))
    }

    /// The number of a leaf among leaves that are sorted by their hash.
    #[must_use]
    pub fn find(&self, leaf: B256) -> Option<usize> {
        let (mut low, mut high) = (0, self.leaves);
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.leaf_at(middle).cmp(&leaf) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Every node, root first.
    #[must_use]
    pub fn as_slice(&self) -> &[B256] {
        &self.nodes
    }

    /// The siblings of leaf number `index`, from the leaf up; `None` when there is no such leaf.
    #[must_use]
    pub fn siblings(&self, index: usize) -> Option<Vec<B256>> {
        let places = (index < self.leaves).then(|| self.shape.siblings(index, self.leaves))?;
        Some(places.into_iter().map(|place| self.nodes[place]).collect())
    }

    /// The nodes as a flat file.
    pub fn write(&self, to: &mut impl Write) -> std::io::Result<()> {
        self.nodes.iter().try_for_each(|node| to.write_all(node.as_slice()))
    }

    /// Leaf number `index`, which there is.
    pub(super) fn leaf_at(&self, index: usize) -> B256 {
        self.nodes[self.shape.place(index, self.leaves)]
    }
}

/// Siblings of leaf number `index` of `count` in a file of nodes, from the leaf up: log₂(n) positioned reads.
pub fn siblings(shape: Shape, file: &Path, index: u64, count: u64) -> Result<Vec<B256>, AccountingError> {
    let failed = |source| AccountingError::File { action: "read", path: file.display().to_string(), source };
    let mut nodes = File::open(file).map_err(failed)?;
    let length = nodes.metadata().map_err(failed)?.len();
    let wrong = || {
        let what =
            format!("{} has {length} bytes: expected {count} leaves and one of them number {index}", file.display());
        AccountingError::inconsistent(what)
    };
    let (Ok(at), Ok(leaves)) = (usize::try_from(index), usize::try_from(count)) else { return Err(wrong()) };
    let bytes = |nodes: usize| u64::try_from(nodes).ok().and_then(|nodes| nodes.checked_mul(NODE));
    // A count that the file has no room for is refused before anything is computed from it.
    if at >= leaves || count > length / NODE || bytes(shape.nodes(leaves)) != Some(length) {
        return Err(wrong());
    }
    let mut out = Vec::new();
    for place in shape.siblings(at, leaves) {
        let mut node = [0; 32];
        let offset = u64::try_from(place).map_or(u64::MAX, |place| place.saturating_mul(NODE));
        nodes.seek(SeekFrom::Start(offset)).map_err(failed)?;
        nodes.read_exact(&mut node).map_err(failed)?;
        out.push(B256::from(node));
    }
    Ok(out)
}

/// Fills the inner nodes of a heap, the lowest level first.
fn heap(pairs: Pairs, nodes: &mut [B256]) {
    let inner = nodes.len() / 2;
    let mut end = inner;
    while end > 0 {
        // The level that the last of them is in: its nodes depend on those after them only.
        let start: usize = (1 << end.ilog2()) - 1;
        let (above, below) = nodes.split_at_mut(end);
        let child = |at: usize| below[at - end];
        // Children lie below the level: 2i + 1 >= end for every i >= start.
        hash(&mut above[start..], |at| {
            let left = 2 * (start + at) + 1;
            pairs.both(child(left), child(left + 1))
        });
        end = start;
    }
}

/// Fills the layers above the leaves.
fn promote(pairs: Pairs, leaves: usize, nodes: &mut [B256]) {
    let count = nodes.len();
    for (below, layer) in layers(leaves).zip(layers(leaves).skip(1)) {
        let (above, rest) = nodes.split_at_mut(count - below.end);
        let (from, start) = (&rest[..below.len()], count - layer.end);
        // The last one of an odd number moves up as it is.
        if let ([.., last], [.., odd]) = (&mut *above, from)
            && from.len() % 2 == 1
        {
            *last = *odd;
        }
        hash(&mut above[start..start + from.len() / 2], |at| pairs.both(from[2 * at], from[2 * at + 1]));
    }
}

/// Fills nodes with the hashes of what each is made of.
fn hash(nodes: &mut [B256], both: impl Fn(usize) -> [u8; 64] + Sync) {
    change(nodes, |first, piece| keccak::each(piece.len(), |at| both(first + at), |at, hash| piece[at] = hash));
}
