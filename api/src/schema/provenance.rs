//! `provenance`: the graph around one thing, laid out, with the money that ran along its edges.

use async_graphql::{Enum, ID, SimpleObject};

use crate::scalar::{AddressText, BlockNumber, Money};

/// Which way to walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum Direction {
    /// To what it was made from.
    Upstream,
    /// To what was made from it.
    Downstream,
    /// Both ways: its ancestors and its descendants.
    Both,
}

/// The graph around one thing.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Provenance {
    /// The node it is around.
    pub(crate) focus: ID,
    /// The block it is of.
    pub(crate) block: BlockNumber,
    /// The settled epoch up to which money is counted; null before the first.
    pub(crate) settled_epoch: Option<i64>,
    /// The nodes, by layer and position.
    pub(crate) nodes: Vec<ProvenanceNode>,
    /// The edges between them.
    pub(crate) edges: Vec<ProvenanceEdge>,
    /// Edges to neighbours that were left out, by relation.
    pub(crate) left_out: Vec<LeftOut>,
}

/// A contributor, a version of a dataset, model or agent, or something external.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct ProvenanceNode {
    /// Id of the version, address of the contributor, or id of the external thing.
    pub(crate) id: ID,
    /// account, dataset, model, agent or external.
    pub(crate) kind: String,
    /// Its name for people.
    pub(crate) label: String,
    /// Id of the entity it is a version of.
    pub(crate) entity: Option<ID>,
    /// Layer from left to right: contributors 0, datasets 1, generations of models from 2, agents last.
    pub(crate) layer: i64,
    /// Horizontal coordinate; columns of one layer are 20 apart, layers at least 100.
    pub(crate) x: i64,
    /// Vertical coordinate; nodes of one column are 10 apart and centred on 0.
    pub(crate) y: i64,
    /// What came through it in all settled epochs, by token; for a contributor, through all its contributions.
    pub(crate) earned: Vec<Money>,
    /// Who owns it.
    pub(crate) owner: Option<AddressText>,
    /// How many of its neighbours were left out.
    pub(crate) hidden: i64,
}

/// An edge. Value flows from `source` to `target` (dataset to model, model to agent); money flows the other way.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct ProvenanceEdge {
    /// `relation:source:target`.
    pub(crate) id: ID,
    /// What was used.
    pub(crate) source: ID,
    /// What was made from it.
    pub(crate) target: ID,
    /// How it was used, such as `TRAINED_ON`; `CONTRIBUTED_BY` from a contributor to a dataset version.
    pub(crate) relation: String,
    /// Share in 10^-9; null when none was given.
    pub(crate) share_ppb: Option<i64>,
    /// For `CONTRIBUTED_BY`: how many contributions it stands for.
    pub(crate) contributions: Option<i64>,
    /// Money that ran from `target` to `source` in all settled epochs, in whole base units, rounded down.
    pub(crate) money: Vec<Money>,
}

/// Edges that were left out.
#[derive(Debug, Clone, PartialEq, Eq, SimpleObject)]
pub(crate) struct LeftOut {
    /// The relation.
    pub(crate) relation: String,
    /// How many edges.
    pub(crate) count: i64,
}
