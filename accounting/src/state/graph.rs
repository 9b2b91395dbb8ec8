//! Versions and the edges that carry money, at the cut.

use alloy_primitives::{Address, B256};
use datafusion::prelude::SessionContext;
use std::collections::BTreeMap;
use tributary_schemas::facts::{
    AgentRow, AgentVersionRow, DatasetRow, DatasetVersionRow, EdgeRow, ModelRow, ModelVersionRow,
};
use tributary_schemas::policy::PPB;

use super::Bounds;
use crate::error::AccountingError;
use crate::read::{address, hash, states};

/// What was paid for, or what answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subject {
    pub(crate) kind: SubjectKind,
    pub(crate) sk: i64,
}

/// Kinds of subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SubjectKind {
    Model,
    Agent,
}

impl Subject {
    pub(crate) fn new(kind: &str, sk: i64) -> Result<Self, AccountingError> {
        let kind = match kind {
            "model" => SubjectKind::Model,
            "agent" => SubjectKind::Agent,
            other => {
                return Err(AccountingError::inconsistent(format!("subject kind {other:?}: expected model or agent")));
            }
        };
        Ok(Self { kind, sk })
    }
}

/// A version of a model or agent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version {
    pub(crate) id: B256,
    pub(crate) entity: B256,
    pub(crate) owner: Address,
}

/// A version of a dataset.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DatasetVersion {
    pub(crate) id: B256,
    pub(crate) dataset_sk: i64,
    pub(crate) version: i64,
}

/// An edge with its weight among its like. External sources weigh zero.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edge {
    /// Surrogate key of the source within its kind; meaningless when the weight is zero.
    pub(crate) to: i64,
    /// Weight in relative mode.
    pub(crate) weight: u128,
    /// The share that was declared; zero when none was.
    pub(crate) share_ppb: u128,
}

/// The graph.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub(crate) models: BTreeMap<i64, Version>,
    pub(crate) agents: BTreeMap<i64, Version>,
    pub(crate) dataset_versions: BTreeMap<i64, DatasetVersion>,
    pub(crate) datasets: BTreeMap<i64, B256>,
    uses: BTreeMap<i64, Vec<Edge>>,
    based_on: BTreeMap<i64, Vec<Edge>>,
    trained_on: BTreeMap<i64, Vec<Edge>>,
}

impl Graph {
    pub(crate) async fn load(ctx: &SessionContext, bounds: &Bounds) -> Result<Self, AccountingError> {
        let cut = bounds.last;
        let mut graph = Self::default();
        let models =
            owners(states::<ModelRow>(ctx, cut).await?.into_iter().map(|r| (r.model_sk, r.model_id, r.owner)))?;
        for row in states::<ModelVersionRow>(ctx, cut).await? {
            graph.models.insert(row.version_sk, version(&models, row.model_sk, &row.version_id)?);
        }
        let agents =
            owners(states::<AgentRow>(ctx, cut).await?.into_iter().map(|r| (r.agent_sk, r.agent_id, r.owner)))?;
        for row in states::<AgentVersionRow>(ctx, cut).await? {
            graph.agents.insert(row.version_sk, version(&agents, row.agent_sk, &row.version_id)?);
        }
        for row in states::<DatasetRow>(ctx, cut).await? {
            graph.datasets.insert(row.dataset_sk, hash(&row.dataset_id)?);
        }
        for row in states::<DatasetVersionRow>(ctx, cut).await? {
            let id = hash(&row.version_id)?;
            let version = DatasetVersion { id, dataset_sk: row.dataset_sk, version: row.version };
            graph.dataset_versions.insert(row.version_sk, version);
        }
        // A late edge carries money from the epoch after the one it was asserted in.
        let edges: Vec<EdgeRow> = states::<EdgeRow>(ctx, cut).await?;
        let edges = edges.into_iter().filter(|edge| !edge.late || edge.from_block < bounds.first).collect();
        graph.connect(edges);
        Ok(graph)
    }

    /// Where the model channel of a subject goes: itself, or the models its agent uses.
    pub(crate) fn models_of(&self, subject: Subject) -> Vec<Edge> {
        match subject.kind {
            SubjectKind::Model => vec![Edge { to: subject.sk, weight: 1, share_ppb: u128::from(PPB) }],
            SubjectKind::Agent => self.uses.get(&subject.sk).cloned().unwrap_or_default(),
        }
    }
    /// The models a model is based on.
    pub(crate) fn upstream(&self, model: i64) -> &[Edge] {
        self.based_on.get(&model).map_or(&[], Vec::as_slice)
    }
    /// The dataset versions a model was trained on.
    pub(crate) fn training(&self, model: i64) -> &[Edge] {
        self.trained_on.get(&model).map_or(&[], Vec::as_slice)
    }
    pub(crate) fn version(&self, subject: Subject) -> Result<&Version, AccountingError> {
        let versions = match subject.kind {
            SubjectKind::Model => &self.models,
            SubjectKind::Agent => &self.agents,
        };
        versions.get(&subject.sk).ok_or_else(|| AccountingError::inconsistent(format!("{subject:?} is in no table")))
    }

    /// Sorts edges as money flows over them: by destination id, then relation.
    fn connect(&mut self, mut edges: Vec<EdgeRow>) {
        edges.sort_by(|a, b| (&a.dst_id, &a.relation).cmp(&(&b.dst_id, &b.relation)));
        let mut groups: BTreeMap<(&'static str, i64), Vec<EdgeRow>> = BTreeMap::new();
        for edge in edges {
            let step = match edge.relation.as_str() {
                "USES_MODEL" => "uses",
                "TRAINED_ON" => "trained",
                relation if relation.starts_with("BASED_ON_") => "based",
                _ => continue,
            };
            groups.entry((step, edge.src_sk)).or_default().push(edge);
        }
        for ((step, source), edges) in groups {
            let wanted = if step == "trained" { "dataset" } else { "model" };
            let weights = weights(&edges.iter().map(|edge| edge.share_ppb).collect::<Vec<_>>());
            let edges = edges.iter().zip(weights).map(|(edge, weight)| match edge.dst_sk {
                Some(to) if edge.dst_kind == wanted => {
                    Edge { to, weight, share_ppb: u128::try_from(edge.share_ppb.unwrap_or(0)).unwrap_or(0) }
                }
                _ => Edge { to: 0, weight: 0, share_ppb: 0 },
            });
            let kept = edges.filter(|edge| edge.weight > 0).collect();
            match step {
                "uses" => self.uses.insert(source, kept),
                "trained" => self.trained_on.insert(source, kept),
                _ => self.based_on.insert(source, kept),
            };
        }
    }
}

/// Weights of edges (ruling 19): a missing share among given ones takes an equal part of the rest; all missing, equal
/// parts. With m missing everything is multiplied by m, so that nothing is rounded.
fn weights(shares: &[Option<i64>]) -> Vec<u128> {
    let given = |share: i64| u128::try_from(share).unwrap_or(0);
    let missing = u128::try_from(shares.iter().filter(|share| share.is_none()).count()).unwrap_or(u128::MAX);
    if usize::try_from(missing) == Ok(shares.len()) {
        return vec![1; shares.len()];
    }
    let rest = u128::from(PPB).saturating_sub(shares.iter().flatten().map(|share| given(*share)).sum());
    shares.iter().map(|share| share.map_or(rest, |share| given(share) * std::cmp::max(missing, 1))).collect()
}

type Owners = BTreeMap<i64, (B256, Address)>;

fn owners(rows: impl Iterator<Item = (i64, String, String)>) -> Result<Owners, AccountingError> {
    rows.map(|(sk, id, owner)| Ok((sk, (hash(&id)?, address(&owner)?)))).collect()
}

fn version(owners: &Owners, entity_sk: i64, id: &str) -> Result<Version, AccountingError> {
    let (entity, owner) = owners.get(&entity_sk).copied().ok_or_else(|| {
        AccountingError::inconsistent(format!("version {id} belongs to entity {entity_sk}, which is in no table"))
    })?;
    Ok(Version { id: hash(id)?, entity, owner })
}
