//! The data channel over inferences, by fee.

use alloy_primitives::B256;
use datafusion::prelude::SessionContext;
use std::collections::{BTreeMap, BTreeSet};
use tributary_schemas::column::hex_text;

use super::hold_of;
use crate::book::{Hold, To};
use crate::cascade::split;
use crate::error::AccountingError;
use crate::flow::{DataIn, Source};
use crate::intake::{Key, Named};
use crate::names::Whose;
use crate::read::{each, hash, list};
use crate::state::{State, Subject};
use crate::suspense::BLOB_MISSING;

/// What records are summed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Flow {
    pub(super) key: Key,
    pub(super) hold: Option<Hold>,
    pub(super) subject: Subject,
}

/// An inference of a batch that counts and that no earlier batch covers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inference {
    pub(super) batch_sk: i64,
    pub(super) ordinal: i32,
    pub(super) subject: Subject,
    fee: i64,
    pub(super) weight_total: i64,
}

/// Money on inferences.
#[derive(Debug, Default)]
pub(super) struct Flows {
    /// The flows, by number.
    pub(super) list: Vec<Flow>,
    pub(super) numbers: BTreeMap<Flow, usize>,
    /// The inferences, by batch and ordinal.
    pub(super) inferences: Vec<Inference>,
    /// (inference, flow, sub-units): sorted, each pair once.
    pub(super) amounts: Vec<(usize, usize, u128)>,
    /// What found no records, by flow.
    pub(super) fallback: BTreeMap<Flow, u128>,
    /// What waits for a reason.
    pub(super) held: BTreeMap<(Key, To, Option<Subject>), u128>,
}

impl Flows {
    /// The number of a flow.
    pub(super) fn index(&mut self, flow: Flow) -> usize {
        *self.numbers.entry(flow).or_insert_with(|| {
            self.list.push(flow);
            self.list.len() - 1
        })
    }

    pub(super) async fn spread(
        ctx: &SessionContext,
        state: &State,
        epoch: i64,
        data: &DataIn,
        weightless: &BTreeSet<(i64, i32)>,
    ) -> Result<Self, AccountingError> {
        let mut this = Self { inferences: load(ctx, state, epoch, data).await?, ..Self::default() };
        let index = Index::new(state, &this.inferences, data);
        for ((key, source), sub) in data {
            let found = this.reached(state, &index, (epoch, weightless), *key, *source);
            match (source, found.is_empty()) {
                (_, false) => {
                    for (place, part) in this.parts(&found, *sub).filter(|(_, part)| *part > 0) {
                        let number = this.index(this.flow(state, *key, place));
                        this.amounts.push((place, number, part));
                    }
                }
                (Source::Payment(subject, Named::Missing(payment)), true) => {
                    let to = To::Held(BLOB_MISSING, Whose::Payment(*payment));
                    *this.held.entry((*key, to, Some(*subject))).or_default() += sub;
                }
                (Source::Payment(subject, _), true) => {
                    let flow = Flow { key: *key, hold: None, subject: *subject };
                    *this.fallback.entry(flow).or_default() += sub;
                }
                (Source::Pool(_), true) => {
                    *this.held.entry((*key, To::Suspense("no_inferences"), None)).or_default() += sub;
                }
            }
        }
        this.merge();
        Ok(this)
    }

    /// The inferences that a source is divided over, in their order: none where it named nothing that counts, or nothing
    /// of the method that pays.
    pub(super) fn reached(
        &self,
        state: &State,
        index: &Index,
        (epoch, weightless): (i64, &BTreeSet<(i64, i32)>),
        key: Key,
        source: Source,
    ) -> Vec<usize> {
        // Money that leaves suspense goes to what was answered when it was paid.
        let epoch = key.adjusts.unwrap_or(epoch);
        let mut found = match source {
            Source::Payment(_, Named::Missing(_) | Named::Unresolved) => Vec::new(),
            Source::Payment(subject, Named::Nothing) => {
                index.by_subject.get(&(epoch, subject)).cloned().unwrap_or_default()
            }
            Source::Payment(_, Named::Inference(batch, ordinal)) => {
                self.place(batch, ordinal).map_or_else(Vec::new, |place| vec![place])
            }
            Source::Payment(_, Named::Batch(batch)) => index.by_batch.get(&batch).cloned().unwrap_or_default(),
            Source::Pool(pool) => {
                let subjects =
                    index.by_subject.iter().filter(|((of, subject), _)| *of == epoch && serves(state, pool, *subject));
                let mut found: Vec<usize> = subjects.flat_map(|(_, found)| found.iter().copied()).collect();
                found.retain(|place| {
                    let one = self.inferences[*place];
                    !weightless.contains(&(one.batch_sk, one.ordinal))
                });
                found.sort_unstable();
                found
            }
        };
        let policy = state.policy(key.ruling);
        found.retain(|place| self.inferences.get(*place).is_some_and(|one| state.pays(one.batch_sk, policy)));
        found
    }

    /// The place of an inference.
    pub(super) fn place(&self, batch_sk: i64, ordinal: i32) -> Option<usize> {
        self.inferences.binary_search_by_key(&(batch_sk, ordinal), |one| (one.batch_sk, one.ordinal)).ok()
    }

    /// An amount over inferences in their order, by fee; equal when there is none.
    pub(super) fn parts<'a>(&self, found: &'a [usize], sub: u128) -> impl Iterator<Item = (usize, u128)> + use<'a> {
        let fee = |place: &usize| u128::try_from(self.inferences[*place].fee).unwrap_or(0);
        let mut fees: Vec<u128> = found.iter().map(fee).collect();
        if fees.iter().all(|fee| *fee == 0) {
            fees.fill(1);
        }
        found.iter().copied().zip(split(sub, fees.iter().copied()))
    }

    /// What money of a key on an inference is summed by.
    pub(super) fn flow(&self, state: &State, key: Key, place: usize) -> Flow {
        let one = self.inferences[place];
        Flow { key, hold: hold_of(state, key, one.batch_sk), subject: one.subject }
    }

    fn merge(&mut self) {
        self.amounts.sort_unstable_by_key(|(inference, flow, _)| (*inference, *flow));
        self.amounts.dedup_by(|next, kept| {
            let same = (next.0, next.1) == (kept.0, kept.1);
            if same {
                kept.2 += next.2;
            }
            same
        });
    }
}

/// Places of inferences by what names them.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_subject: BTreeMap<(i64, Subject), Vec<usize>>,
    by_batch: BTreeMap<i64, Vec<usize>>,
}

impl Index {
    pub(super) fn new(state: &State, inferences: &[Inference], data: &DataIn) -> Self {
        let mut this = Self::default();
        let named: BTreeSet<i64> = data.keys().filter_map(|(_, source)| named_batch(*source)).collect();
        for (place, one) in inferences.iter().enumerate() {
            if let Some(batch) = state.batches.get(&one.batch_sk) {
                this.by_subject.entry((batch.epoch, one.subject)).or_default().push(place);
            }
            if named.contains(&one.batch_sk) {
                this.by_batch.entry(one.batch_sk).or_default().push(place);
            }
        }
        this
    }
}

fn named_batch(source: Source) -> Option<i64> {
    match source {
        Source::Payment(_, Named::Batch(batch) | Named::Inference(batch, _)) => Some(batch),
        Source::Payment(_, Named::Nothing | Named::Missing(_) | Named::Unresolved) | Source::Pool(_) => None,
    }
}

/// Whether a subject's inferences share in a pool: its own model's versions, agents that use one of them, or everything.
fn serves(state: &State, pool: B256, subject: Subject) -> bool {
    let of_pool = |edge: &crate::state::Edge| state.graph.models.get(&edge.to).is_some_and(|one| one.entity == pool);
    pool == B256::ZERO || state.graph.models_of(subject).iter().any(of_pool)
}

async fn load(
    ctx: &SessionContext,
    state: &State,
    epoch: i64,
    data: &DataIn,
) -> Result<Vec<Inference>, AccountingError> {
    let named = list(data.keys().filter_map(|(_, source)| named_batch(*source)).collect::<BTreeSet<_>>());
    let epochs = list(data.keys().filter_map(|(key, _)| key.adjusts).chain([epoch]).collect::<BTreeSet<_>>());
    let within = format!("(epoch IN ({epochs}) OR batch_sk IN ({named}))");
    let superseded = superseded(ctx, state, &within).await?;
    let sql = format!(
        "SELECT batch_sk, inference, subject_kind, subject_sk, fee_weight, weight_total FROM inferences WHERE {within}"
    );
    let mut out = Vec::new();
    each(ctx, &sql, |columns| {
        let (ordinals, kinds) =
            (columns.int32("inference")?, columns.text("subject_kind", |kind| Ok(kind == "agent"))?);
        let (subjects, fees) = (columns.int64("subject_sk")?, columns.int64("fee_weight")?);
        let totals = columns.int64("weight_total")?;
        for (row, batch_sk) in columns.int64("batch_sk")?.into_iter().enumerate() {
            let counts = state.batches.get(&batch_sk).is_some_and(crate::state::Batch::counts);
            if counts && !superseded.contains(&(batch_sk, ordinals[row])) {
                let kind = if kinds[row] { crate::state::SubjectKind::Agent } else { crate::state::SubjectKind::Model };
                out.push(Inference {
                    batch_sk,
                    ordinal: ordinals[row],
                    subject: Subject { kind, sk: subjects[row] },
                    fee: fees[row],
                    weight_total: totals[row],
                });
            }
        }
        Ok(())
    })
    .await?;
    out.sort_unstable_by_key(|one| (one.batch_sk, one.ordinal));
    Ok(out)
}

/// Where an inference was read: in the order of batches, and by its place in its own.
type Place = ((i64, bool), i64, i32);

/// Inferences that another batch of the same method covers, one that counts and was read first. The table says of which
/// inferences there was such a batch when they were read; that one may have been rejected since, and then the next is
/// the first.
async fn superseded(
    ctx: &SessionContext,
    state: &State,
    within: &str,
) -> Result<BTreeSet<(i64, i32)>, AccountingError> {
    let mut ids: BTreeMap<B256, Vec<(i64, i32)>> = BTreeMap::new();
    let later = format!("SELECT inference_id, batch_sk, inference FROM inferences WHERE superseded AND {within}");
    each(ctx, &later, |columns| {
        let (found, ordinals) = (columns.text("inference_id", hash)?, columns.int32("inference")?);
        for (row, batch_sk) in columns.int64("batch_sk")?.into_iter().enumerate() {
            ids.entry(found[row]).or_default().push((batch_sk, ordinals[row]));
        }
        Ok(())
    })
    .await?;
    let mut first: BTreeMap<(B256, B256), Place> = BTreeMap::new();
    for chunk in ids.keys().copied().collect::<Vec<_>>().chunks(4096) {
        let chunk: Vec<String> = chunk.iter().map(|id| format!("'{}'", hex_text(id))).collect();
        let sql = format!(
            "SELECT inference_id, batch_sk, inference FROM inferences WHERE inference_id IN ({})",
            chunk.join(",")
        );
        each(ctx, &sql, |columns| {
            let (found, ordinals) = (columns.text("inference_id", hash)?, columns.int32("inference")?);
            for (row, batch_sk) in columns.int64("batch_sk")?.into_iter().enumerate() {
                let Some(batch) = state.batches.get(&batch_sk).filter(|batch| batch.counts()) else { continue };
                let place = (batch.read_at(), batch_sk, ordinals[row]);
                let known = first.entry((found[row], batch.method)).or_insert(place);
                *known = std::cmp::min(*known, place);
            }
            Ok(())
        })
        .await?;
    }
    let is_first = |id: B256, place: &(i64, i32)| {
        let method = state.batches.get(&place.0).map(|batch| batch.method);
        let known = method.and_then(|method| first.get(&(id, method)));
        known.is_some_and(|(_, batch, ordinal)| (*batch, *ordinal) == *place)
    };
    let all = ids.iter().flat_map(|(id, places)| places.iter().map(move |place| (*id, *place)));
    Ok(all.filter(|(id, place)| !is_first(*id, place)).map(|(_, place)| place).collect())
}
