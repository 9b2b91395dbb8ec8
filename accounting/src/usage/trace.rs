//! The data channel taken back: from lines of contributions to the inferences and records that their money came by, and
//! from an inference to the payments and pools it was divided from.
//!
//! Nothing of that is kept by a settlement, so it is made again: everything up to the inferences as it was, and of the
//! records only those of the lines that are asked for. Where records are divided by their stored weights these are the
//! rows of a few contributions out of a hundred million.

use datafusion::prelude::SessionContext;
use std::collections::{BTreeMap, BTreeSet};
use tributary_schemas::policy::ZeroTotal;

use super::inferences::{Flow, Flows, Index};
use super::records::{Sorted, Target, by_made_weights, sorted, within};
use super::{Due, place};
use crate::book::{Book, Hold, Line, Role};
use crate::cascade::{part, split};
use crate::error::AccountingError;
use crate::flow::{DataIn, Source};
use crate::intake::Key;
use crate::names::index;
use crate::read::{Columns, each, list};
use crate::state::{State, Subject};

/// The data channel of an epoch, divided over its inferences.
#[derive(Debug)]
pub(crate) struct Channel {
    epoch: i64,
    data: DataIn,
    weightless: BTreeSet<(i64, i32)>,
    flows: Flows,
    index: Index,
}

/// Whom a part of the data channel reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reached {
    /// The contribution at a place.
    Contribution(usize),
    /// A model's owner.
    Model(i64),
    /// The treasury, by a policy that says so where there is no usable record.
    Treasury,
}

/// What is asked for.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Numbers of flows.
    pub(crate) flows: BTreeSet<usize>,
    /// Places of contributions.
    pub(crate) contributions: BTreeSet<usize>,
    pub(crate) models: BTreeSet<i64>,
    pub(crate) treasury: bool,
}

/// A record that money came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RecordAt {
    pub(crate) target: Target,
    /// Row inside a contribution.
    pub(crate) row: Option<u32>,
    pub(crate) score: i64,
}

/// Sub-units of a flow that reached somebody.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) flow: usize,
    /// Place of the inference; none for what named no inference that counts.
    pub(crate) inference: Option<u32>,
    /// None for what found no usable record.
    pub(crate) record: Option<RecordAt>,
    pub(crate) to: Reached,
    pub(crate) sub: u128,
}

/// Number, key and hold of a flow, and its line but for what was reached.
type FlowLine = (usize, Key, Option<Hold>, Line);
/// By place of the inference and number of the flow: sources, with the sub-units of each.
type Sources = BTreeMap<(Option<u32>, usize), Vec<((Key, Source), u128)>>;

/// Sub-units by what they stand on.
#[derive(Debug, Clone, Copy)]
struct Item {
    inference: Option<u32>,
    record: Option<RecordAt>,
    sub: u128,
}

impl Channel {
    pub(crate) async fn spread(
        ctx: &SessionContext,
        state: &State,
        epoch: i64,
        (data, weightless): (DataIn, BTreeSet<(i64, i32)>),
    ) -> Result<Self, AccountingError> {
        let mut flows = Flows::spread(ctx, state, epoch, &data, &weightless).await?;
        for flow in flows.fallback.keys().copied().collect::<Vec<_>>() {
            flows.index(flow);
        }
        let index = Index::new(state, &flows.inferences, &data);
        Ok(Self { epoch, data, weightless, flows, index })
    }

    /// What flows have in common: number, key, hold, and their lines but for what each reached.
    pub(crate) fn flows(&self, state: &State) -> Result<Vec<FlowLine>, AccountingError> {
        let line = |flow: &Flow| Line::through(Role::Data, state, flow.subject);
        let list = self.flows.list.iter().enumerate();
        list.map(|(number, flow)| Ok((number, flow.key, flow.hold, line(flow)?))).collect()
    }

    /// Batch, ordinal and subject of the inference at a place.
    pub(crate) fn inference(&self, place: u32) -> Option<(i64, i32, Subject)> {
        self.flows.inferences.get(index(place)).map(|one| (one.batch_sk, one.ordinal, one.subject))
    }

    /// Where money on inferences came from: for each of `wanted` (place of the inference, number of the flow) the sources
    /// with the sub-units of each.
    pub(crate) fn sources(&self, state: &State, wanted: &BTreeSet<(Option<u32>, usize)>) -> Sources {
        let keys: BTreeSet<Key> = wanted.iter().map(|(_, number)| self.flows.list[*number].key).collect();
        let mut out: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut take = |place: Option<u32>, flow: Flow, source: (Key, Source), sub: u128| {
            let Some(number) = self.flows.numbers.get(&flow).copied() else { return };
            if sub > 0 && wanted.contains(&(place, number)) {
                out.entry((place, number)).or_default().push((source, sub));
            }
        };
        for ((key, source), sub) in self.data.iter().filter(|((key, _), _)| keys.contains(key)) {
            let found = self.flows.reached(state, &self.index, (self.epoch, &self.weightless), *key, *source);
            for (place, part) in self.flows.parts(&found, *sub) {
                take(u32::try_from(place).ok(), self.flows.flow(state, *key, place), (*key, *source), part);
            }
            if let (true, Source::Payment(subject, _)) = (found.is_empty(), *source) {
                take(None, Flow { key: *key, hold: None, subject }, (*key, *source), *sub);
            }
        }
        out
    }

    /// The parts of what is asked for, in the order of flows, then of inferences, then of records.
    pub(crate) async fn trace(
        &self,
        ctx: &SessionContext,
        state: &State,
        asked: &Asked,
    ) -> Result<Vec<Part>, AccountingError> {
        let of_flows = self.flows.amounts.iter().filter(|(_, number, _)| asked.flows.contains(number));
        let Sorted { stored, made, dry } = sorted(ctx, state, &self.flows, of_flows.copied().collect()).await?;
        let mut found = Found { state, asked, parts: Vec::new(), sets: BTreeMap::new(), dry: BTreeMap::new() };
        for (flow, sub) in &self.flows.fallback {
            let number = self.flows.numbers.get(flow).copied().filter(|number| asked.flows.contains(number));
            if let Some(number) = number {
                found.dry.entry(number).or_default().push(Item { inference: None, record: None, sub: *sub });
            }
        }
        for (inference, number, sub) in dry {
            found.dry(number, inference, sub);
        }
        self.stored(ctx, &stored, &mut found).await?;
        by_made_weights(ctx, state, &self.flows, &made, &mut |one| match one.record {
            Some(record) => {
                let row = Some(record.order.1).filter(|row| *row != u32::MAX);
                let at = RecordAt { target: record.target, row, score: record.score };
                found.record(one.number, one.inference, at, one.sub)
            }
            None => {
                found.dry(one.number, one.inference, one.sub);
                Ok(())
            }
        })
        .await?;
        self.sets(ctx, &mut found).await?;
        let mut parts = found.parts;
        parts.sort_unstable_by_key(|one| (one.flow, one.inference, one.record, one.to));
        Ok(parts)
    }

    /// Records of what is asked for, by their stored weights.
    async fn stored(
        &self,
        ctx: &SessionContext,
        amounts: &[(usize, usize, u128)],
        found: &mut Found<'_>,
    ) -> Result<(), AccountingError> {
        if amounts.is_empty() {
            return Ok(());
        }
        for targets in found.targets() {
            let sql = format!(
                "SELECT batch_sk, inference, target_kind, target_sk, row, score, weight_before, weight \
                 FROM attributions a WHERE {targets} AND weight > 0 AND {}",
                within(found.state, &self.flows, amounts)
            );
            each(ctx, &sql, |columns| self.read(columns, amounts, found)).await?;
        }
        Ok(())
    }

    fn read(
        &self,
        columns: Columns<'_>,
        amounts: &[(usize, usize, u128)],
        found: &mut Found<'_>,
    ) -> Result<(), AccountingError> {
        let (ordinals, kinds, keys) =
            (columns.int32("inference")?, columns.int32("target_kind")?, columns.int64("target_sk")?);
        let (rows, scores) = (columns.int32_or_null("row")?, columns.int64("score")?);
        let (befores, weights) = (columns.int64("weight_before")?, columns.int64("weight")?);
        let wide = |weight: i64| u128::try_from(weight).unwrap_or(0);
        for (at, batch_sk) in columns.int64("batch_sk")?.into_iter().enumerate() {
            let Some(place) = self.flows.place(batch_sk, ordinals[at]) else { continue };
            let total = wide(self.flows.inferences[place].weight_total);
            let target = Target::new(i64::from(kinds[at]), keys[at])?;
            let row = rows[at].and_then(|row| u32::try_from(row).ok());
            let record = RecordAt { target, row, score: scores[at] };
            let first = amounts.partition_point(|(inference, ..)| *inference < place);
            for (_, number, sub) in amounts[first..].iter().take_while(|(inference, ..)| *inference == place) {
                found.record(*number, place, record, part(*sub, wide(befores[at]), wide(weights[at]), total))?;
            }
        }
        Ok(())
    }

    /// What fell to dataset versions as a whole, named by records or by what models were trained on, over their members.
    async fn sets(&self, ctx: &SessionContext, found: &mut Found<'_>) -> Result<(), AccountingError> {
        let state = found.state;
        let mut book = Book::default();
        let mut due = Due { state, book: &mut book, members: BTreeMap::new() };
        let dry: Vec<Flow> = found.dry.keys().map(|number| self.flows.list[*number]).collect();
        let versions: BTreeSet<i64> = found.sets.keys().map(|(_, set)| *set).collect();
        due.load_members(ctx, dry.iter(), versions.into_iter()).await?;
        for (number, items) in std::mem::take(&mut found.dry) {
            let flow = self.flows.list[number];
            let total = items.iter().map(|one| one.sub).sum();
            match state.policy(flow.key.ruling).zero_total {
                ZeroTotal::Hold => {}
                ZeroTotal::Treasury => found.take(number, Reached::Treasury, total, &items),
                ZeroTotal::Manifest => {
                    for (set, sub) in due.manifests(flow, total).unwrap_or_default() {
                        found.sets.entry((number, set)).or_default().extend(over(sub, &items));
                    }
                }
            }
        }
        for ((number, set), items) in std::mem::take(&mut found.sets) {
            let members = due.weighted(set, state.policy(self.flows.list[number].key.ruling).removed);
            let total = items.iter().map(|one| one.sub).sum();
            for ((member, _), sub) in members.iter().zip(split(total, members.iter().map(|(_, weight)| *weight))) {
                found.take(number, Reached::Contribution(place(state, *member)?), sub, &items);
            }
        }
        Ok(())
    }
}

/// What was found so far.
struct Found<'a> {
    state: &'a State,
    asked: &'a Asked,
    parts: Vec<Part>,
    /// By flow and dataset version.
    sets: BTreeMap<(usize, i64), Vec<Item>>,
    /// What found no usable record, by flow.
    dry: BTreeMap<usize, Vec<Item>>,
}

impl Found<'_> {
    fn dry(&mut self, number: usize, inference: usize, sub: u128) {
        let inference = u32::try_from(inference).ok();
        self.dry.entry(number).or_default().push(Item { inference, record: None, sub });
    }

    fn record(&mut self, number: usize, inference: usize, at: RecordAt, sub: u128) -> Result<(), AccountingError> {
        let item = Item { inference: u32::try_from(inference).ok(), record: Some(at), sub };
        match at.target {
            Target::Contribution(sk) => self.take(number, Reached::Contribution(place(self.state, sk)?), sub, &[item]),
            Target::ModelVersion(sk) => self.take(number, Reached::Model(sk), sub, &[item]),
            Target::DatasetVersion(sk) => self.sets.entry((number, sk)).or_default().push(item),
        }
        Ok(())
    }

    /// Divides what reached somebody over what it stands on, if that is asked for.
    fn take(&mut self, flow: usize, to: Reached, sub: u128, items: &[Item]) {
        let asked = match to {
            Reached::Contribution(place) => self.asked.contributions.contains(&place),
            Reached::Model(sk) => self.asked.models.contains(&sk),
            Reached::Treasury => self.asked.treasury,
        };
        if asked {
            let part = |one: Item| Part { flow, inference: one.inference, record: one.record, to, sub: one.sub };
            self.parts.extend(over(sub, items).filter(|one| one.sub > 0).map(part));
        }
    }

    /// Conditions on records that can be of what is asked for; some targets at a time.
    fn targets(&self) -> Vec<String> {
        let contributions = self.state.contributions.list();
        let of = |place: &usize| contributions.get(*place);
        let datasets: BTreeSet<i64> =
            self.asked.contributions.iter().filter_map(of).map(|one| one.dataset_sk).collect();
        let versions = self.state.graph.dataset_versions.iter();
        let versions: Vec<i64> =
            versions.filter(|(_, one)| datasets.contains(&one.dataset_sk)).map(|(sk, _)| *sk).collect();
        let keys: Vec<i64> =
            self.asked.contributions.iter().filter_map(|at| self.state.contributions.key(*at)).collect();
        let models: Vec<i64> = self.asked.models.iter().copied().collect();
        let kinds = [(1, versions), (2, keys), (3, models)];
        let some = kinds.iter().flat_map(|(kind, keys)| keys.chunks(4096).map(move |keys| (kind, keys)));
        some.map(|(kind, keys)| format!("a.target_kind = {kind} AND a.target_sk IN ({})", list(keys.iter().copied())))
            .collect()
    }
}

/// An amount over items, by what each of them has of all.
fn over(sub: u128, items: &[Item]) -> impl Iterator<Item = Item> + use<'_> {
    items.iter().zip(split(sub, items.iter().map(|one| one.sub))).map(|(one, sub)| Item { sub, ..*one })
}
