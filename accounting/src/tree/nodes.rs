//! The nodes of a tree, root first, in one flat list: in memory, and as a file that proofs are read from.
//!
//! Where nodes lie follows from the padding and the number of leaves alone, so a file needs no header. A heap has the
//! children of node i at 2i + 1 and 2i + 2; layers of promoted nodes lie one after the other, each half the next.

use alloy_primitives::B256;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;

use super::format::{Format, Order, Padding, Pairs};
use crate::error::AccountingError;

/// Bytes of a node.
const NODE: u64 = 32;
/// Below so many hashes another thread costs more than it saves.
const HASHES_A_THREAD: usize = 4096;

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
        let count = leaves.len();
        let total = shape.nodes(count);
        let mut nodes = vec![B256::ZERO; total];
        for (index, leaf) in leaves.iter().enumerate() {
            nodes[shape.place_among(total, index, count)] = *leaf;
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

    fn leaf_at(&self, index: usize) -> B256 {
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
        fill(&mut above[start..], |at| {
            let left = 2 * (start + at) + 1;
            pairs.hash(child(left), child(left + 1))
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
        fill(&mut above[start..], |at| match from.get(2 * at + 1) {
            Some(right) => pairs.hash(from[2 * at], *right),
            None => from[2 * at],
        });
    }
}

/// Computes every element from its number, on as many threads as there are processors when there are many: none depends
/// on another, so nothing depends on which is done first.
pub(super) fn fill<T: Send>(out: &mut [T], make: impl Fn(usize) -> T + Sync) {
    let size = std::cmp::max(out.len().div_ceil(threads()), HASHES_A_THREAD);
    let piecewise = |first: usize, piece: &mut [T]| {
        for (at, one) in piece.iter_mut().enumerate() {
            *one = make(first + at);
        }
    };
    if out.len() <= size {
        return piecewise(0, out);
    }
    std::thread::scope(|scope| {
        for (number, piece) in out.chunks_mut(size).enumerate() {
            scope.spawn(move || piecewise(number * size, piece));
        }
    });
}

/// Sorts by a key: each half by itself, on two threads when there is much, and then both as one. The library's stable
/// sort finds that they are in order, and merges them.
pub(super) fn sort<T: Send, K: Ord>(list: &mut [T], key: impl Fn(&T) -> K + Sync) {
    let (left, right) = list.split_at_mut(list.len() / 2);
    if threads() < 2 || left.len() < HASHES_A_THREAD {
        return list.sort_unstable_by_key(key);
    }
    std::thread::scope(|scope| {
        scope.spawn(|| left.sort_unstable_by_key(&key));
        right.sort_unstable_by_key(&key);
    });
    list.sort_by_key(key);
}

/// Threads that are worth having. The system is asked once: it reads files to find out, which takes longer than the
/// tree of an account.
fn threads() -> usize {
    static THREADS: LazyLock<usize> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get));
    *THREADS
}
