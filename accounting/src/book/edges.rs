//! Money along the edges of the graph: few edges, and one for every contribution that a dataset reached.

use super::{Edge, Node, Purse, Step};
use crate::names::index;
use crate::state::State;

/// Money from a dataset to a contribution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reached {
    /// Place of the contribution.
    pub(super) place: u32,
    /// Number of the purse.
    pub(super) purse: u32,
    pub(super) sub: u128,
}

/// Money along edges.
#[derive(Debug, Default)]
pub(crate) struct MoneyFlows {
    /// In the order of the table.
    pub(super) edges: Vec<(Edge, u128)>,
    /// By token, dataset and contribution, vault.
    pub(super) reached: Vec<Reached>,
    pub(super) purses: Vec<Purse>,
}

impl MoneyFlows {
    /// Number of edges.
    pub(crate) fn len(&self) -> usize {
        self.edges.len() + self.reached.len()
    }

    /// Every edge with its sub-units, in the order of the table.
    pub(crate) fn iter(&self, state: &State) -> impl Iterator<Item = (Edge, u128)> {
        self.since(state, (0, 0))
    }

    /// As many of both kinds as there are before number `start` of all.
    pub(crate) fn split(&self, state: &State, start: usize) -> (usize, usize) {
        // Both are sorted: how many of the few are among the first is where an edge would stand.
        let is_before = |(few, (edge, _)): (usize, &(Edge, u128))| {
            few + self.reached.partition_point(|one| self.edge(state, one).is_some_and(|other| other < *edge)) < start
        };
        let (mut low, mut high) = (0, self.edges.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if is_before((middle, &self.edges[middle])) { low = middle + 1 } else { high = middle }
        }
        (low, start.saturating_sub(low))
    }

    fn edge(&self, state: &State, one: &Reached) -> Option<Edge> {
        let contribution = state.contributions.list().get(index(one.place))?;
        let (vault, token) = *self.purses.get(index(one.purse))?;
        let from = Node::Id(*state.graph.datasets.get(&contribution.dataset_sk)?);
        Some(Edge { token, step: Step::Data, from, to: Node::Id(contribution.id), vault, depth: 1 })
    }

    /// Edges after so many of both kinds.
    pub(crate) fn since(&self, state: &State, (few, many): (usize, usize)) -> impl Iterator<Item = (Edge, u128)> {
        let mut few = self.edges[few..].iter().copied().peekable();
        let mut many = self.reached[many..].iter().filter_map(move |one| Some((self.edge(state, one)?, one.sub)));
        let mut next = many.next();
        std::iter::from_fn(move || {
            let few_first = match (few.peek(), &next) {
                (Some((a, _)), Some((b, _))) => a < b,
                (few, _) => few.is_some(),
            };
            if few_first { few.next() } else { std::mem::replace(&mut next, many.next()) }
        })
    }
}
