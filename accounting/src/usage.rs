//! Step 4: the data channel over inferences, then over their records.
//!
//! Inferences are many and records are most: a hundred million an epoch. Inferences are spread in memory, as one flat
//! list; records are scanned by the SQL engine and joined to them, split and summed on their columns, in one pass
//! without a sort or a hash table.

mod inferences;
mod records;
mod remote;
mod stream;
pub(crate) mod trace;

use alloy_primitives::B256;
use datafusion::prelude::SessionContext;
use std::collections::{BTreeMap, BTreeSet};
use tributary_schemas::facts::MembershipRow;
use tributary_schemas::policy::{Removed, ZeroTotal};

use crate::book::{Book, DataFlow, Hold, Line, Node, Role, Step, To};
use crate::cascade::split;
use crate::error::{AccountingError, hold};
use crate::flow::DataIn;
use crate::intake::Key;
use crate::read::{list, standing};
use crate::state::{State, Subject, SubjectKind};
use crate::sums::Sums;

use inferences::{Flow, Flows};
pub(crate) use records::Target;

/// Steps 4: from data channels to credits in the book. `weightless` inferences have no part in pools.
pub(crate) async fn divide(
    ctx: &SessionContext,
    state: &State,
    epoch: i64,
    (data, weightless): (DataIn, &BTreeSet<(i64, i32)>),
    book: &mut Book,
) -> Result<(), AccountingError> {
    let whole = sums(data.iter().map(|((key, _), sub)| (*key, *sub)));
    let mut flows = Flows::spread(ctx, state, epoch, &data, weightless).await?;
    let mut targets = records::divide(ctx, state, &mut flows).await?;

    let mut due = Due { state, book, members: BTreeMap::new() };
    let named = targets.others.keys().filter_map(|(_, target)| match target {
        Target::DatasetVersion(sk) => Some(*sk),
        Target::Contribution(_) | Target::ModelVersion(_) => None,
    });
    due.load_members(ctx, flows.fallback.keys(), named).await?;
    // What found no records falls back to the manifest of the subject's models, or as the policy says.
    let (fallback, held) = (std::mem::take(&mut flows.fallback), std::mem::take(&mut flows.held));
    let others = targets.others.iter().map(|((flow, ..), sub)| (flows.list[*flow].key, *sub));
    let of_flows = targets.contributions.of_flows();
    let reached = sums(
        others
            .chain(flows.list.iter().zip(of_flows).map(|(flow, sub)| (flow.key, sub)))
            .chain(fallback.iter().map(|(flow, sub)| (flow.key, *sub)))
            .chain(held.iter().map(|((key, ..), sub)| (*key, *sub))),
    );
    hold(&tributary_schemas::invariant::SPLIT_IS_WHOLE, whole == reached, || {
        format!("the data step divided {reached:?}: expected {whole:?}")
    })?;
    for ((key, to, subject), sub) in held {
        let line = match subject {
            Some(subject) => Line::through(Role::Data, state, subject)?,
            None => Line::of(Role::Data),
        };
        due.book.credit(key, None, line, to, sub);
    }
    for (flow, sub) in fallback {
        due.fall_back(flow, sub, &mut targets, &mut flows)?;
    }
    let Targets { mut contributions, others } = targets;
    for ((flow, target), sub) in others {
        due.target((flow, flows.list[flow]), target, sub, &mut contributions)?;
    }
    let through = |flow: &Flow| {
        let line = Line::through(Role::Data, state, flow.subject)?;
        let from = state.graph.version(flow.subject)?.id;
        Ok(DataFlow { key: flow.key, hold: flow.hold, line, from })
    };
    let list = flows.list.iter().map(through).collect::<Result<_, AccountingError>>()?;
    book.contributions(state, list, contributions)
}

fn place(state: &State, sk: i64) -> Result<usize, AccountingError> {
    let place = state.contributions.place(sk);
    place.ok_or_else(|| AccountingError::inconsistent(format!("contribution {sk} is in no table")))
}

fn sums(parts: impl Iterator<Item = (Key, u128)>) -> BTreeMap<Key, u128> {
    let mut out = BTreeMap::new();
    for (key, sub) in parts.filter(|(_, sub)| *sub > 0) {
        *out.entry(key).or_insert(0) += sub;
    }
    out
}

/// Sub-units per flow and target.
#[derive(Debug, Default)]
struct Targets {
    /// Of contributions: nearly all of them.
    contributions: Sums,
    /// Of dataset and model versions.
    others: BTreeMap<(usize, Target), u128>,
}

impl Targets {
    fn add(&mut self, state: &State, flow: usize, target: Target, sub: u128) -> Result<(), AccountingError> {
        if let Target::Contribution(sk) = target {
            return self.contributions.add(flow, place(state, sk)?, sub);
        }
        *self.others.entry((flow, target)).or_default() += sub;
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
struct Member {
    contribution_sk: i64,
    id: B256,
    from: i64,
    to: Option<i64>,
    rows: u128,
}

struct Due<'a> {
    state: &'a State,
    book: &'a mut Book,
    /// Members of datasets that money goes to as a whole, by contribution id.
    members: BTreeMap<i64, Vec<Member>>,
}

impl Due<'_> {
    /// Members of the datasets of these versions, and of those that the models behind the flows were trained on.
    async fn load_members<'f>(
        &mut self,
        ctx: &SessionContext,
        fallback: impl Iterator<Item = &'f Flow>,
        versions: impl Iterator<Item = i64>,
    ) -> Result<(), AccountingError> {
        let graph = &self.state.graph;
        let trained = fallback.flat_map(|flow| graph.models_of(flow.subject));
        let trained = trained.flat_map(|edge| graph.training(edge.to).iter().map(|edge| edge.to).collect::<Vec<_>>());
        let datasets =
            trained.chain(versions).filter_map(|version| Some(graph.dataset_versions.get(&version)?.dataset_sk));
        let datasets: BTreeSet<i64> = datasets.collect();
        if datasets.is_empty() {
            return Ok(());
        }
        let filter = format!("dataset_sk IN ({}) AND {}", list(datasets), standing(self.state.bounds.last));
        for row in crate::read::rows::<MembershipRow>(ctx, &filter).await? {
            let id = self.state.contributions.list()[place(self.state, row.contribution_sk)?].id;
            self.members.entry(row.dataset_sk).or_default().push(Member {
                contribution_sk: row.contribution_sk,
                id,
                from: row.from_version,
                to: row.to_version,
                rows: u128::try_from(row.row_count).unwrap_or(0),
            });
        }
        for members in self.members.values_mut() {
            members.sort_by_key(|member| (member.id, member.from));
        }
        Ok(())
    }

    /// Members of a dataset version with their weights: rows, equal when none has any. Removed ones weigh nothing when
    /// their money is to be redistributed.
    fn weighted(&self, version_sk: i64, removed: Removed) -> Vec<(i64, u128)> {
        let Some(version) = self.state.graph.dataset_versions.get(&version_sk) else { return Vec::new() };
        let members = self.members.get(&version.dataset_sk).map_or(&[][..], Vec::as_slice);
        let within = members
            .iter()
            .filter(|one| one.from <= version.version && one.to.is_none_or(|to| version.version < to))
            .filter(|one| {
                let gone = self.state.contributions.get(one.contribution_sk).is_none_or(|one| one.removed);
                removed == Removed::Treasury || !gone
            });
        let mut weights: Vec<(i64, u128)> = within.map(|one| (one.contribution_sk, one.rows)).collect();
        if weights.iter().all(|(_, rows)| *rows == 0) {
            for (_, weight) in &mut weights {
                *weight = 1;
            }
        }
        weights
    }

    /// An inference or payment without usable records (policy `zero_total`).
    fn fall_back(
        &mut self,
        flow: Flow,
        sub: u128,
        targets: &mut Targets,
        flows: &mut Flows,
    ) -> Result<(), AccountingError> {
        let policy = self.state.policy(flow.key.ruling);
        let line = Line::through(Role::Data, self.state, flow.subject)?;
        match policy.zero_total {
            ZeroTotal::Hold => self.book.credit(flow.key, flow.hold, line, To::Suspense("zero_total"), sub),
            ZeroTotal::Treasury => self.book.credit(flow.key, flow.hold, line, To::Treasury, sub),
            ZeroTotal::Manifest => {
                let Some(parts) = self.manifests(flow, sub) else {
                    self.book.credit(flow.key, flow.hold, line, To::Suspense("no_manifest"), sub);
                    return Ok(());
                };
                let index = flows.index(flow);
                for (set, part) in parts {
                    targets.add(self.state, index, Target::DatasetVersion(set), part)?;
                }
            }
        }
        Ok(())
    }

    /// What falls to the dataset versions that the models behind a flow were trained on; `None` when there is none.
    fn manifests(&self, flow: Flow, sub: u128) -> Option<Vec<(i64, u128)>> {
        let removed = self.state.policy(flow.key.ruling).removed;
        let models = self.state.graph.models_of(flow.subject);
        let trained: Vec<Vec<(i64, u128)>> = models.iter().map(|edge| self.training(edge.to, removed)).collect();
        let weights: Vec<u128> =
            models.iter().zip(&trained).map(|(edge, sets)| if sets.is_empty() { 0 } else { edge.weight }).collect();
        let parts = split(sub, weights.iter().copied());
        if parts.is_empty() {
            return None;
        }
        let over = |(sets, part): (&Vec<(i64, u128)>, u128)| {
            let parts = split(part, sets.iter().map(|(_, weight)| *weight));
            sets.iter().map(|(set, _)| *set).zip(parts).collect::<Vec<_>>()
        };
        Some(trained.iter().zip(parts).flat_map(over).collect())
    }

    /// The dataset versions a model was trained on that have members, with their weights.
    fn training(&self, model: i64, removed: Removed) -> Vec<(i64, u128)> {
        let edges = self.state.graph.training(model).iter();
        edges.filter(|edge| !self.weighted(edge.to, removed).is_empty()).map(|edge| (edge.to, edge.weight)).collect()
    }

    fn target(
        &mut self,
        (number, flow): (usize, Flow),
        target: Target,
        sub: u128,
        sums: &mut Sums,
    ) -> Result<(), AccountingError> {
        let line = Line::through(Role::Data, self.state, flow.subject)?;
        let removed = self.state.policy(flow.key.ruling).removed;
        match target {
            Target::Contribution(sk) => sums.add(number, place(self.state, sk)?, sub),
            Target::ModelVersion(sk) => {
                let owner = Subject { kind: SubjectKind::Model, sk };
                let id = self.state.graph.version(owner)?.id;
                let from = Node::Id(self.state.graph.version(flow.subject)?.id);
                self.book.edge(flow.key, Step::Data, 0, from, Node::Id(id), sub);
                self.book.credit(flow.key, flow.hold, Line { model: Some(id), ..line }, To::Entity(owner), sub);
                Ok(())
            }
            Target::DatasetVersion(sk) => {
                let members = self.weighted(sk, removed);
                if members.is_empty() {
                    self.book.credit(flow.key, flow.hold, line, To::Suspense("no_members"), sub);
                }
                for ((member, _), part) in members.iter().zip(split(sub, members.iter().map(|(_, weight)| *weight))) {
                    sums.add(number, place(self.state, *member)?, part)?;
                }
                Ok(())
            }
        }
    }
}

/// Whether credits that rest on a batch still wait, and until when (ruling 13).
fn hold_of(state: &State, key: Key, batch_sk: i64) -> Option<Hold> {
    let batch = state.batches.get(&batch_sk)?;
    let policy = state.policy(key.ruling);
    let release = state.release(policy, batch);
    let resolve_by = crate::state::later(release, policy.resolve_blocks);
    let waits = release > state.bounds.last || state.is_challenged(batch);
    waits.then_some(Hold { batch_sk, release, resolve_by })
}
