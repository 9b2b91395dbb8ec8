//! Money on inferences over their records.
//!
//! The stored running weights serve the policies that count positive parts and keep every record: each record is split
//! on its own row, in whatever order records come ([`mod@stream`]). Where a policy asks for another normaliser, for a
//! threshold or for copies to count once, or a contribution was removed since, the weights of those inferences are made
//! again in the flow.

use datafusion::arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tributary_schemas::code::Flag;
use tributary_schemas::policy::{Dedupe, Normaliser, PPB, Policy, Removed};

use super::inferences::Flows;
use super::{Targets, remote, stream};
use crate::cascade::split;
use crate::cluster::Cluster;
use crate::error::AccountingError;
use crate::progress::Progress;
use crate::read::{Columns, list, query};
use crate::state::State;

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    DatasetVersion(i64),
    Contribution(i64),
    ModelVersion(i64),
}

impl Target {
    pub(crate) fn new(kind: i64, sk: i64) -> Result<Self, AccountingError> {
        match kind {
            1 => Ok(Self::DatasetVersion(sk)),
            2 => Ok(Self::Contribution(sk)),
            3 => Ok(Self::ModelVersion(sk)),
            other => Err(AccountingError::inconsistent(format!("target kind {other}: expected 1, 2 or 3"))),
        }
    }
}

/// Name of the table of flows while a settlement runs.
const FLOWS: &str = "settling_flows";
/// Inferences whose records are in memory at a time when their weights are made again.
const INFERENCES_AT_ONCE: usize = 16_384;

/// Divides every amount on an inference; what finds no usable record is added to the fallback of its flow.
pub(super) async fn divide(ctx: &SessionContext, state: &State, flows: &mut Flows) -> Result<Targets, AccountingError> {
    let amounts = std::mem::take(&mut flows.amounts);
    let Sorted { stored, made, dry } = sorted(ctx, state, flows, amounts).await?;
    for (_, number, sub) in dry {
        *flows.fallback.entry(flows.list[number]).or_default() += sub;
    }
    let mut targets = Targets::default();
    if !stored.is_empty() {
        match Cluster::of(ctx) {
            Some(cluster) => {
                remote::by_stored_weights(ctx, &cluster, state, flows, &stored, &mut targets).await?;
            }
            None => stream::by_stored_weights(ctx, state, flows, stored, &mut targets).await?,
        }
    }
    let mut dry: BTreeMap<usize, u128> = BTreeMap::new();
    by_made_weights(ctx, state, flows, &made, &mut |part| match part.record {
        Some(record) => targets.add(state, part.number, record.target, part.sub),
        None => {
            *dry.entry(part.number).or_default() += part.sub;
            Ok(())
        }
    })
    .await?;
    for (number, sub) in dry {
        *flows.fallback.entry(flows.list[number]).or_default() += sub;
    }
    Ok(targets)
}

/// Amounts by how they are divided.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// By the stored running weights.
    pub(super) stored: Vec<(usize, usize, u128)>,
    /// By weights that are made again.
    pub(super) made: Vec<(usize, usize, u128)>,
    /// Not at all: their inferences have no usable record.
    pub(super) dry: Vec<(usize, usize, u128)>,
}

/// Sorts amounts on inferences.
pub(super) async fn sorted(
    ctx: &SessionContext,
    state: &State,
    flows: &Flows,
    amounts: Vec<(usize, usize, u128)>,
) -> Result<Sorted, AccountingError> {
    let touched = touched_by_removals(ctx, state, flows, &amounts).await?;
    let mut sorted = Sorted { stored: amounts, ..Sorted::default() };
    sorted.stored.retain(|(inference, number, sub)| {
        let policy = state.policy(flows.list[*number].key.ruling);
        let again = policy.normaliser != Normaliser::PositivePart
            || policy.min_share_ppb > 0
            || policy.mass_keep_ppb < PPB
            || policy.dedupe != Dedupe::None
            || (policy.removed == Removed::Redistribute && touched.contains(inference));
        if again {
            sorted.made.push((*inference, *number, *sub));
        } else if flows.inferences[*inference].weight_total == 0 {
            sorted.dry.push((*inference, *number, *sub));
        } else {
            return true;
        }
        false
    });
    Ok(sorted)
}

/// Tells whoever watches how many records are about to be looked at: those of the files and row groups of [`within`].
pub(super) fn expect(
    ctx: &SessionContext,
    state: &State,
    flows: &Flows,
    amounts: &[(usize, usize, u128)],
) -> Option<Arc<Progress>> {
    let progress = Progress::of(ctx)?;
    let (epochs, first, last) = span(state, flows, amounts);
    let batches = state.batches.range(first..=std::cmp::max(first, last)).map(|(_, batch)| batch);
    progress.expect(batches.filter(|batch| epochs.contains(&batch.epoch)).map(|batch| batch.accepted).sum());
    Some(progress)
}

/// Files and row groups that can hold records of these inferences.
pub(super) fn within(state: &State, flows: &Flows, amounts: &[(usize, usize, u128)]) -> String {
    let (epochs, first, last) = span(state, flows, amounts);
    format!("a.epoch IN ({}) AND a.batch_sk BETWEEN {first} AND {last}", list(epochs))
}

/// Epochs, and the first and last batch, of these inferences.
fn span(state: &State, flows: &Flows, amounts: &[(usize, usize, u128)]) -> (BTreeSet<i64>, i64, i64) {
    let batches: BTreeSet<i64> = amounts.iter().map(|(inference, ..)| flows.inferences[*inference].batch_sk).collect();
    let epochs: BTreeSet<i64> = batches.iter().filter_map(|sk| Some(state.batches.get(sk)?.epoch)).collect();
    let (first, last) = (batches.first().copied().unwrap_or(0), batches.last().copied().unwrap_or(-1));
    (epochs, first, last)
}

fn register(ctx: &SessionContext, flows: &Flows, amounts: &[(usize, usize, u128)]) -> Result<(), AccountingError> {
    let at = |inference: &usize| &flows.inferences[*inference];
    let columns: [(&str, ArrayRef); 3] = [
        ("batch_sk", Arc::new(Int64Array::from_iter_values(amounts.iter().map(|(one, ..)| at(one).batch_sk)))),
        ("inference", Arc::new(Int32Array::from_iter_values(amounts.iter().map(|(one, ..)| at(one).ordinal)))),
        (
            "number",
            Arc::new(Int64Array::from_iter_values(amounts.iter().map(|(one, ..)| i64::try_from(*one).unwrap_or(-1)))),
        ),
    ];
    let batch = RecordBatch::try_from_iter(columns).map_err(|error| AccountingError::query(FLOWS)(error.into()))?;
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).map_err(AccountingError::query(FLOWS))?;
    ctx.register_table(FLOWS, Arc::new(table)).map_err(AccountingError::query(FLOWS))?;
    Ok(())
}

/// Inferences with a record for a contribution that is removed at the cut.
async fn touched_by_removals(
    ctx: &SessionContext,
    state: &State,
    flows: &Flows,
    amounts: &[(usize, usize, u128)],
) -> Result<BTreeSet<usize>, AccountingError> {
    let removed = state.contributions.removed();
    let redistributes = flows.list.iter().any(|flow| state.policy(flow.key.ruling).removed == Removed::Redistribute);
    let mut touched = BTreeSet::new();
    if removed.is_empty() || !redistributes || amounts.is_empty() {
        return Ok(touched);
    }
    register(ctx, flows, amounts)?;
    for chunk in removed.chunks(4096) {
        let sql = format!(
            "SELECT DISTINCT f.number FROM {FLOWS} f JOIN attributions a ON f.batch_sk = a.batch_sk AND f.inference = a.inference \
             WHERE a.target_kind = 2 AND a.target_sk IN ({}) AND {}",
            list(chunk.iter().copied()),
            within(state, flows, amounts)
        );
        for batch in &query(ctx, &sql).await? {
            touched.extend(Columns(batch).int64("number")?.into_iter().filter_map(|one| usize::try_from(one).ok()));
        }
    }
    ctx.deregister_table(FLOWS).map_err(AccountingError::query(FLOWS))?;
    Ok(touched)
}

/// A record whose weight is to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    pub(super) order: ([u8; 32], u32),
    pub(super) target: Target,
    pub(super) score: i64,
    in_lineage: bool,
    removed: bool,
    /// The first contribution with its content, where its dataset has that more than once.
    original: Option<i64>,
}

/// A part of an amount on an inference.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// Place of the inference.
    pub(super) inference: usize,
    /// Number of the flow.
    pub(super) number: usize,
    /// Whose it is; `None` for all of it when no record counts.
    pub(super) record: Option<&'a Record>,
    pub(super) sub: u128,
}

type Take<'a> = dyn FnMut(Part<'_>) -> Result<(), AccountingError> + Send + 'a;

/// Weights made in the flow, inference by inference, records by (target id, row); some inferences at a time.
pub(super) async fn by_made_weights(
    ctx: &SessionContext,
    state: &State,
    flows: &Flows,
    amounts: &[(usize, usize, u128)],
    take: &mut Take<'_>,
) -> Result<(), AccountingError> {
    let mut rest = amounts;
    while !rest.is_empty() {
        // Amounts are sorted by inference: those of one inference stay together.
        let mut count = std::cmp::min(INFERENCES_AT_ONCE, rest.len());
        while count < rest.len() && rest[count].0 == rest[count - 1].0 {
            count += 1;
        }
        some_by_made_weights(ctx, state, flows, &rest[..count], take).await?;
        rest = &rest[count..];
    }
    Ok(())
}

async fn some_by_made_weights(
    ctx: &SessionContext,
    state: &State,
    flows: &Flows,
    amounts: &[(usize, usize, u128)],
    take: &mut Take<'_>,
) -> Result<(), AccountingError> {
    let mut once = amounts.to_vec();
    once.dedup_by_key(|(inference, ..)| *inference);
    register(ctx, flows, &once)?;
    let sql = format!(
        "SELECT f.number, a.target_kind, a.target_sk, a.row, a.score, a.flags \
         FROM {FLOWS} f JOIN attributions a ON f.batch_sk = a.batch_sk AND f.inference = a.inference WHERE {}",
        within(state, flows, &once)
    );
    let result = query(ctx, &sql).await;
    ctx.deregister_table(FLOWS).map_err(AccountingError::query(FLOWS))?;
    let mut records: BTreeMap<usize, Vec<Record>> = BTreeMap::new();
    for batch in &result? {
        read_records(state, batch, &mut records)?;
    }
    for (inference, number, sub) in amounts.iter().copied() {
        let found = records.get_mut(&inference).map_or(&mut [][..], Vec::as_mut_slice);
        found.sort_unstable_by_key(|record| record.order);
        let weights = weights(state.policy(flows.list[number].key.ruling), found);
        let parts = split(sub, weights);
        if parts.is_empty() {
            take(Part { inference, number, record: None, sub })?;
        }
        for (record, part) in found.iter().zip(parts).filter(|(_, part)| *part > 0) {
            take(Part { inference, number, record: Some(record), sub: part })?;
        }
    }
    Ok(())
}

fn read_records(
    state: &State,
    batch: &RecordBatch,
    records: &mut BTreeMap<usize, Vec<Record>>,
) -> Result<(), AccountingError> {
    let columns = Columns(batch);
    let (kinds, keys, rows) =
        (columns.int32("target_kind")?, columns.int64("target_sk")?, columns.int32_or_null("row")?);
    let (scores, flags) = (columns.int64("score")?, columns.int32("flags")?);
    for (row, number) in columns.int64("number")?.into_iter().enumerate() {
        let target = Target::new(i64::from(kinds[row]), keys[row])?;
        let id = match target {
            Target::Contribution(sk) => state.contributions.get(sk).map(|one| one.id),
            Target::ModelVersion(sk) => state.graph.models.get(&sk).map(|one| one.id),
            Target::DatasetVersion(sk) => state.graph.dataset_versions.get(&sk).map(|one| one.id),
        };
        let id = id.ok_or_else(|| AccountingError::inconsistent(format!("{target:?} is in no table")))?;
        let removed =
            matches!(target, Target::Contribution(sk) if state.contributions.get(sk).is_some_and(|one| one.removed));
        let original = if let Target::Contribution(sk) = target { state.originals.get(&sk).copied() } else { None };
        let place = rows[row].map_or(u32::MAX, |row| u32::try_from(row).unwrap_or(u32::MAX));
        records.entry(usize::try_from(number).unwrap_or(usize::MAX)).or_default().push(Record {
            order: (id.0, place),
            target,
            score: scores[row],
            in_lineage: flags[row] & (1 << Flag::OutOfLineage.number()) == 0,
            removed,
            original,
        });
    }
    Ok(())
}

/// Weights of one inference's records under a policy, records in their order: normalised, copies counted once, without
/// those below the least share of what is left, without those beyond the mass that is kept of what is left then.
fn weights(policy: &Policy, records: &[Record]) -> Vec<u128> {
    let weight = |record: &Record| {
        let counted = record.in_lineage && !(record.removed && policy.removed == Removed::Redistribute);
        match policy.normaliser {
            _ if !counted => 0,
            Normaliser::PositivePart => u128::try_from(record.score).unwrap_or(0),
            Normaliser::Abs => u128::from(record.score.unsigned_abs()),
        }
    };
    let mut weights: Vec<u128> = records.iter().map(weight).collect();
    if policy.dedupe != Dedupe::None {
        count_once(policy.dedupe, records, &mut weights);
    }
    let least = weights.iter().sum::<u128>() * u128::from(policy.min_share_ppb);
    for weight in &mut weights {
        if *weight * u128::from(PPB) < least {
            *weight = 0;
        }
    }
    if policy.mass_keep_ppb < PPB {
        keep_mass(policy.mass_keep_ppb, &mut weights);
    }
    weights
}

/// Copies that weigh something, at one row, together weigh what the heaviest of them does.
fn count_once(dedupe: Dedupe, records: &[Record], weights: &mut [u128]) {
    let mut copies: BTreeMap<(i64, u32), Vec<(i64, usize)>> = BTreeMap::new();
    for (place, record) in records.iter().enumerate() {
        if let (Some(original), Target::Contribution(sk)) = (record.original, record.target)
            && weights[place] > 0
        {
            copies.entry((original, record.order.1)).or_default().push((sk, place));
        }
    }
    for copies in copies.values() {
        let heaviest = copies.iter().map(|(_, place)| weights[*place]).max().unwrap_or(0);
        let first = copies.iter().min().map(|(_, place)| *place);
        let parts: Vec<u128> = match dedupe {
            Dedupe::None => continue,
            Dedupe::First => copies.iter().map(|(_, place)| if Some(*place) == first { heaviest } else { 0 }).collect(),
            Dedupe::Split => split(heaviest, vec![1; copies.len()]),
        };
        for ((_, place), part) in copies.iter().zip(parts) {
            weights[*place] = part;
        }
    }
}

/// Keeps the heaviest, the earlier of equal ones, until they hold so much of the whole.
fn keep_mass(keep_ppb: u32, weights: &mut [u128]) {
    let enough = weights.iter().sum::<u128>() * u128::from(keep_ppb);
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|place| std::cmp::Reverse(weights[*place]));
    let mut kept = 0;
    for place in order {
        if kept * u128::from(PPB) >= enough {
            weights[place] = 0;
        }
        kept += weights[place];
    }
}

#[cfg(test)]
mod tests;
