//! Records by their stored weights: one pass over the columns, in as many streams as the session has partitions.
//!
//! The engine scans: it prunes files and row groups and decodes six columns. Join, split and sum are ours, because a
//! profile says so: records of an inference lie side by side, so the join is looked up once an inference; the division
//! by its total becomes a multiplication ([`Ready`]); and the sum is an element of an array ([`Sums`]). None of it
//! depends on the order of rows: a record carries all that its share needs, and sums are of integers.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Int32Type, Int64Type};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;
use futures::StreamExt as _;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Targets;
use super::inferences::{Flows, Inference};
use super::records::{Target, expect, within};
use crate::cascade::Ready;
use crate::error::AccountingError;
use crate::names::index;
use crate::progress::Progress;
use crate::read::Columns;
use crate::state::{Contributions, State};
use crate::sums::Sums;

/// The one heavy query.
pub(super) async fn by_stored_weights(
    ctx: &SessionContext,
    state: &State,
    flows: &mut Flows,
    amounts: Vec<(usize, usize, u128)>,
    targets: &mut Targets,
) -> Result<(), AccountingError> {
    const WHAT: &str = "attributions";
    let sql = format!(
        "SELECT batch_sk, inference, target_kind, target_sk, weight_before, weight FROM attributions a WHERE {}",
        within(state, flows, &amounts)
    );
    let progress = expect(ctx, state, flows, &amounts);
    let paid = Arc::new(Paid::new(std::mem::take(&mut flows.inferences), amounts, Arc::clone(&state.contributions)));
    let frame = ctx.sql(&sql).await.map_err(AccountingError::query(WHAT))?;
    let streams = frame.execute_stream_partitioned().await.map_err(AccountingError::query(WHAT))?;
    let mut tasks = tokio::task::JoinSet::new();
    for stream in streams {
        tasks.spawn(divide(stream, Arc::clone(&paid), progress.clone()));
    }
    while let Some(done) = tasks.join_next().await {
        let done = done.map_err(|error| AccountingError::inconsistent(format!("a scan of records ended: {error}")))?;
        let Divided { sums, others, .. } = done?;
        targets.contributions.merge(sums)?;
        for (target, sub) in others {
            *targets.others.entry(target).or_default() += sub;
        }
    }
    // Every task is done: nobody else holds it.
    flows.inferences = Arc::into_inner(paid).map(|paid| paid.inferences).unwrap_or_default();
    Ok(())
}

async fn divide(
    mut stream: SendableRecordBatchStream,
    paid: Arc<Paid>,
    progress: Option<Arc<Progress>>,
) -> Result<Divided, AccountingError> {
    let mut divided = Divided::default();
    let mut run = Run::default();
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(AccountingError::query("attributions"))?;
        divided.take(&paid, &mut run, &batch)?;
        if let Some(progress) = &progress {
            progress.divided(batch.num_rows());
        }
    }
    Ok(divided)
}

/// What the records are joined to.
#[derive(Debug)]
struct Paid {
    /// By batch and ordinal.
    inferences: Vec<Inference>,
    /// First inference of each batch.
    batches: BTreeMap<i64, usize>,
    /// (inference, flow, sub-units), by inference.
    amounts: Vec<(usize, usize, u128)>,
    /// First amount of each inference, and one past the last.
    first: Vec<u32>,
    contributions: Arc<Contributions>,
}

impl Paid {
    fn new(inferences: Vec<Inference>, amounts: Vec<(usize, usize, u128)>, contributions: Arc<Contributions>) -> Self {
        let mut batches = BTreeMap::new();
        for (place, one) in inferences.iter().enumerate() {
            batches.entry(one.batch_sk).or_insert(place);
        }
        let mut first = vec![0_u32; inferences.len() + 1];
        for (inference, ..) in &amounts {
            first[inference + 1] += 1;
        }
        for place in 1..first.len() {
            first[place] += first[place - 1];
        }
        Self { inferences, batches, amounts, first, contributions }
    }

    /// The place of an inference. Ordinals without a gap are found at once.
    fn place(&self, batch_sk: i64, ordinal: i32) -> Option<usize> {
        let start = *self.batches.get(&batch_sk)?;
        let of_batch = self.inferences.get(start..)?;
        let guess = usize::try_from(ordinal.checked_sub(of_batch.first()?.ordinal)?).ok()?;
        let is_it = |one: &Inference| (one.batch_sk, one.ordinal) == (batch_sk, ordinal);
        if of_batch.get(guess).is_some_and(is_it) {
            return Some(start + guess);
        }
        self.inferences.binary_search_by_key(&(batch_sk, ordinal), |one| (one.batch_sk, one.ordinal)).ok()
    }

    /// The amounts on an inference, and its total weight.
    fn on(&self, batch_sk: i64, ordinal: i32) -> (&[(usize, usize, u128)], u64) {
        let Some(place) = self.place(batch_sk, ordinal) else { return (&[], 0) };
        let at = |place: usize| usize::try_from(self.first[place]).unwrap_or(usize::MAX);
        let total = u64::try_from(self.inferences[place].weight_total).unwrap_or(0);
        (self.amounts.get(at(place)..at(place + 1)).unwrap_or(&[]), total)
    }
}

/// The inference whose records come by, with the amounts on it.
#[derive(Debug, Default)]
struct Run {
    inference: Option<(i64, i32)>,
    shares: Vec<Share>,
}

/// One amount. A record mostly begins where the last one ended, so that its lower portion is known.
#[derive(Debug)]
struct Share {
    flow: u32,
    amount: Ready,
    upto: u64,
    portion: u128,
}

impl Run {
    fn enter(&mut self, paid: &Paid, inference: (i64, i32)) {
        self.inference = Some(inference);
        self.shares.clear();
        let (amounts, total) = paid.on(inference.0, inference.1);
        self.shares.extend(amounts.iter().filter_map(|(_, flow, sub)| {
            Some(Share { flow: u32::try_from(*flow).ok()?, amount: Ready::new(*sub, total)?, upto: 0, portion: 0 })
        }));
    }
}

#[derive(Debug, Default)]
struct Divided {
    sums: Sums,
    others: BTreeMap<(usize, Target), u128>,
    /// Parts of the batch at hand, for their sums.
    parts: Vec<(u32, u32, u128)>,
}

impl Divided {
    fn take(&mut self, paid: &Paid, run: &mut Run, batch: &RecordBatch) -> Result<(), AccountingError> {
        let columns = Columns(batch);
        let (batches, ordinals) = (columns.values::<Int64Type>("batch_sk")?, columns.values::<Int32Type>("inference")?);
        let (kinds, keys) = (columns.values::<Int32Type>("target_kind")?, columns.values::<Int64Type>("target_sk")?);
        let (befores, weights) =
            (columns.values::<Int64Type>("weight_before")?, columns.values::<Int64Type>("weight")?);
        let records = batches.iter().zip(ordinals.iter()).zip(kinds.iter().zip(keys.iter()));
        for (((batch_sk, ordinal), (kind, key)), (before, weight)) in records.zip(befores.iter().zip(weights.iter())) {
            if run.inference != Some((*batch_sk, *ordinal)) {
                run.enter(paid, (*batch_sk, *ordinal));
            }
            if *weight == 0 || run.shares.is_empty() {
                continue;
            }
            let place = if *kind == 2 { paid.contributions.place(*key) } else { None };
            let place = place.and_then(|place| u32::try_from(place).ok());
            for share in &mut run.shares {
                let sub = share.part(*before, *weight)?;
                if let Some(place) = place {
                    self.parts.push((share.flow, place, sub));
                } else {
                    let target = Target::new(i64::from(*kind), *key)?;
                    if let Target::Contribution(sk) = target {
                        return Err(AccountingError::inconsistent(format!("contribution {sk} is in no table")));
                    }
                    *self.others.entry((index(share.flow), target)).or_default() += sub;
                }
            }
        }
        self.sums.add_all(&self.parts)?;
        self.parts.clear();
        Ok(())
    }
}

impl Share {
    fn part(&mut self, before: i64, weight: i64) -> Result<u128, AccountingError> {
        let ends = u64::try_from(before).ok().zip(u64::try_from(weight).ok());
        let Some((before, upto)) = ends.map(|(before, weight)| (before, before + weight)) else {
            return Err(AccountingError::inconsistent(format!(
                "a weight of {weight} after {before}: expected neither below zero"
            )));
        };
        if upto > self.amount.total() {
            let total = self.amount.total();
            return Err(AccountingError::inconsistent(format!("a weight up to {upto}: expected at most {total}")));
        }
        let lower = if self.upto == before { self.portion } else { self.amount.portion(before) };
        self.portion = self.amount.portion(upto);
        self.upto = upto;
        Ok(self.portion - lower)
    }
}
