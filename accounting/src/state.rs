//! What holds at the cut: policies, batches, owners, the graph, payouts, penalties and stake (ruling 15).

mod graph;
mod payouts;
mod stake;

use alloy_primitives::{Address, B256};
use datafusion::prelude::SessionContext;
use std::collections::BTreeMap;
use std::sync::Arc;
use tributary_schemas::Position;
use tributary_schemas::facts::{BatchRow, BlockRow, PaymentRow, PolicyRow};
use tributary_schemas::policy::{Dedupe, Policy};

use crate::error::{AccountingError, hold};
use crate::read::{address, each, hash, rows, standing, states};

pub(crate) use graph::{Edge, Graph, Subject, SubjectKind};
pub(crate) use payouts::Payouts;
pub(crate) use stake::Stakes;

/// The blocks of an epoch. The cut is the end of the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// First block.
    pub(crate) first: i64,
    /// Last block.
    pub(crate) last: i64,
    /// Hash of the last block.
    pub(crate) last_hash: String,
    /// Log root there: the digest of everything that went in.
    pub(crate) log_root: String,
}

impl Bounds {
    /// The blocks of `epoch`, without a gap (INV-07); `None` when it has none.
    pub(crate) async fn of(ctx: &SessionContext, epoch: i64) -> Result<Option<Self>, AccountingError> {
        let mut blocks: Vec<BlockRow> = rows(ctx, &format!("epoch = {epoch}")).await?;
        blocks.sort_by_key(|block| block.number);
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else { return Ok(None) };
        let linked =
            blocks.windows(2).all(|pair| pair[1].number == pair[0].number + 1 && pair[1].parent_hash == pair[0].hash);
        hold(&tributary_schemas::invariant::SETTLED_ONCE, linked, || {
            format!("blocks {} to {} of epoch {epoch} are not one chain", first.number, last.number)
        })?;
        Ok(Some(Self {
            first: first.number,
            last: last.number,
            last_hash: last.hash.clone(),
            log_root: last.log_root.clone(),
        }))
    }
}

/// The state of a batch whose blob is missing.
const MISSING: &str = "unavailable";

/// A batch at the cut.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) id: B256,
    pub(crate) reference_block: i64,
    reference_log: i64,
    /// Where what it says was known: its reference, or the block as of which it was found after it was missing.
    pub(crate) known_block: i64,
    /// Whether it ever was without its blob.
    pub(crate) was_missing: bool,
    /// Inferences, as committed.
    pub(crate) inferences: i64,
    /// Records that were accepted.
    pub(crate) accepted: i64,
    pub(crate) epoch: i64,
    pub(crate) method: B256,
    pub(crate) state: String,
    /// The block it was challenged at, while nobody resolved that.
    pub(crate) challenged: Option<i64>,
}

impl Batch {
    /// Whether it carries money (ruling 13).
    pub(crate) fn counts(&self) -> bool {
        self.state == "resolved" || self.state == "final"
    }
    pub(crate) fn is_missing(&self) -> bool {
        self.state == MISSING
    }
    /// Where it was read. Of batches that cover the same inference the one that was read first has it, so what others
    /// covered before a late blob was found stays theirs. In a block, what was found late comes last.
    pub(crate) const fn read_at(&self) -> (i64, bool) {
        (self.known_block, self.known_block > self.reference_block)
    }
    /// Whether it was missing and is so no longer, since some block of these.
    pub(crate) fn left_missing_in(&self, bounds: &Bounds) -> bool {
        let came = self.was_missing && !self.is_missing();
        came && bounds.first <= self.known_block && self.known_block <= bounds.last
    }
}

/// A block so many blocks later.
pub(crate) fn later(block: i64, blocks: u64) -> i64 {
    block.saturating_add(i64::try_from(blocks).unwrap_or(i64::MAX))
}

/// A policy with the position from which it holds. The first of the list is the default one.
#[derive(Debug, Clone)]
pub(crate) struct Ruling {
    vault: Address,
    scope: B256,
    position: (i64, i64),
    tx_index: i64,
    pub(crate) policy: Policy,
    pub(crate) hash: String,
}

/// A contribution at the cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contribution {
    pub(crate) id: B256,
    pub(crate) dataset_sk: i64,
    pub(crate) contributor: Address,
    pub(crate) removed: bool,
}

/// Contributions at the cut by surrogate key. There are as many as payees, so they lie in one sorted list; keys are given
/// out one after the other, and then a key is a place in it.
#[derive(Debug, Default)]
pub(crate) struct Contributions {
    keys: Vec<i64>,
    /// Whether no key is left out between the first and the last.
    dense: bool,
    list: Vec<Contribution>,
}

impl Contributions {
    fn new(mut pairs: Vec<(i64, Contribution)>) -> Self {
        pairs.sort_by_key(|(sk, _)| *sk);
        pairs.dedup_by_key(|(sk, _)| *sk);
        let dense = pairs.windows(2).all(|pair| pair[0].0.checked_add(1) == Some(pair[1].0));
        let keys = pairs.iter().map(|(sk, _)| *sk).collect();
        Self { keys, dense, list: pairs.into_iter().map(|(_, one)| one).collect() }
    }

    /// The place of a key in the list.
    pub(crate) fn place(&self, sk: i64) -> Option<usize> {
        let first = self.keys.first()?;
        if self.dense {
            return usize::try_from(sk.checked_sub(*first)?).ok().filter(|place| *place < self.list.len());
        }
        self.keys.binary_search(&sk).ok()
    }
    pub(crate) fn get(&self, sk: i64) -> Option<&Contribution> {
        self.list.get(self.place(sk)?)
    }
    /// The key of the contribution at a place.
    pub(crate) fn key(&self, place: usize) -> Option<i64> {
        self.keys.get(place).copied()
    }
    /// The contributions, by key.
    pub(crate) fn list(&self) -> &[Contribution] {
        &self.list
    }
    /// Keys of those that are removed.
    pub(crate) fn removed(&self) -> Vec<i64> {
        self.keys.iter().zip(&self.list).filter(|(_, one)| one.removed).map(|(sk, _)| *sk).collect()
    }
}

/// Everything that holds at the cut.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) bounds: Bounds,
    pub(crate) rulings: Vec<Ruling>,
    pub(crate) batches: BTreeMap<i64, Batch>,
    pub(crate) batch_by_id: BTreeMap<B256, i64>,
    pub(crate) graph: Graph,
    pub(crate) contributions: Arc<Contributions>,
    /// Contributions of which there are copies in their dataset, by key: the first of each content.
    pub(crate) originals: BTreeMap<i64, i64>,
    pub(crate) payouts: Payouts,
    pub(crate) stakes: Stakes,
}

impl State {
    pub(crate) async fn load(ctx: &SessionContext, bounds: Bounds) -> Result<Self, AccountingError> {
        let cut = bounds.last;
        let missed = missed(ctx, cut).await?;
        let mut batches = BTreeMap::new();
        let mut batch_by_id = BTreeMap::new();
        for row in states::<BatchRow>(ctx, cut).await? {
            let id = hash(&row.batch_id)?;
            batch_by_id.insert(id, row.batch_sk);
            let (left, challenged) = missed.get(&row.batch_sk).copied().unzip();
            // Only a challenge begins a challenged state of the row, or that its blob was found while it was open.
            let challenged = challenged.flatten().filter(|_| left == Some(row.valid_from_block));
            let challenged = row.challenged.then_some(challenged.unwrap_or(row.valid_from_block));
            batches.insert(
                row.batch_sk,
                Batch {
                    id,
                    reference_block: row.reference_block,
                    reference_log: row.reference_log,
                    known_block: left.unwrap_or(row.reference_block),
                    was_missing: left.is_some() || row.state == MISSING,
                    inferences: row.inferences,
                    accepted: row.accepted.unwrap_or(0),
                    epoch: row.epoch,
                    method: hash(&row.method_id)?,
                    state: row.state,
                    challenged,
                },
            );
        }
        let rulings = rulings(ctx, cut).await?;
        let dedupes = rulings.iter().any(|one| one.policy.dedupe != Dedupe::None);
        Ok(Self {
            originals: if dedupes { originals(ctx, cut).await? } else { BTreeMap::new() },
            rulings,
            batches,
            batch_by_id,
            graph: Graph::load(ctx, &bounds).await?,
            contributions: Arc::new(contributions(ctx, cut).await?),
            payouts: Payouts::load(ctx, cut).await?,
            stakes: Stakes::load(ctx, &bounds).await?,
            bounds,
        })
    }

    /// The policy for a payment at `position` in `vault`: the last one set before it for the subject's entity, else for
    /// everything, else the default.
    pub(crate) fn ruling(&self, vault: Address, entity: B256, position: (i64, i64)) -> usize {
        let last = |scope: B256| {
            self.rulings
                .iter()
                .enumerate()
                .skip(1)
                .rev()
                .find(|(_, ruling)| ruling.vault == vault && ruling.scope == scope && ruling.position < position)
        };
        last(entity).or_else(|| last(B256::ZERO)).map_or(0, |(index, _)| index)
    }

    /// Where a payment stands among the policies of its block, as (block, log).
    pub(crate) fn place(&self, payment: &PaymentRow) -> (i64, i64) {
        place(&self.rulings, payment)
    }

    pub(crate) fn policy(&self, ruling: usize) -> &Policy {
        &self.rulings[ruling].policy
    }

    /// The block after which nothing that rests on a batch can be challenged: the log refuses it after the window of
    /// the hub's policy at the reference, and the policy of the payment may ask for a longer wait. The hub's policy is
    /// the last one that any vault set for everything.
    pub(crate) fn release(&self, policy: &Policy, batch: &Batch) -> i64 {
        let before = |one: &&Ruling| one.scope.is_zero() && one.position < (batch.reference_block, batch.reference_log);
        let hub = self.rulings.iter().rev().find(before).map_or(0, |one| one.policy.challenge_blocks);
        later(batch.reference_block, std::cmp::max(policy.challenge_blocks, hub))
    }

    /// Whether a challenge is open at the cut. One that nobody resolved in time counts as rejected: the log refuses its
    /// resolution from then on (ruling 13). Where the hub's policy changed in the block of the challenge, the longer
    /// time counts.
    pub(crate) fn is_challenged(&self, batch: &Batch) -> bool {
        let Some(at) = batch.challenged else { return false };
        let for_all = || self.rulings.iter().filter(|one| one.scope.is_zero());
        let before = for_all().rev().find(|one| one.position.0 < at);
        let waits = for_all().filter(|one| one.position.0 == at).chain(before).map(|one| one.policy.resolve_blocks);
        later(at, waits.max().unwrap_or(0)) > self.bounds.last
    }

    /// Whether a batch pays under a policy: it counts, and its method is the one that does.
    pub(crate) fn pays(&self, batch_sk: i64, policy: &Policy) -> bool {
        let batch = self.batches.get(&batch_sk).filter(|batch| batch.counts());
        batch.is_some_and(|batch| policy.method.is_none_or(|method| method == batch.method))
    }
}

/// A payment without a log stands after the logs of its transaction, and before those of the next (ruling 2).
fn place(rulings: &[Ruling], payment: &PaymentRow) -> (i64, i64) {
    if payment.log_index != i64::from(Position::NO_LOG) {
        return (payment.block_number, payment.log_index);
    }
    let earlier = |one: &&Ruling| one.position.0 == payment.block_number && one.tx_index <= payment.tx_index;
    let last = rulings.iter().filter(earlier).map(|one| one.position.1).max();
    (payment.block_number, last.map_or(0, |log| log.saturating_add(1)))
}

/// The block at which each batch last was missing no longer, by surrogate key; with the block at which it had been
/// challenged, if that was open then.
async fn missed(ctx: &SessionContext, cut: i64) -> Result<BTreeMap<i64, (i64, Option<i64>)>, AccountingError> {
    let mut left = BTreeMap::new();
    for row in rows::<BatchRow>(ctx, &format!("state = '{MISSING}' AND valid_to_block <= {cut}")).await? {
        let this = (row.valid_to_block.unwrap_or(row.reference_block), row.challenged.then_some(row.valid_from_block));
        let last = left.entry(row.batch_sk).or_insert(this);
        *last = std::cmp::max(*last, this);
    }
    Ok(left)
}

async fn rulings(ctx: &SessionContext, cut: i64) -> Result<Vec<Ruling>, AccountingError> {
    let default = Policy::default();
    let hash_of_default = tributary_schemas::column::hex_text(default.hash());
    let mut out = Vec::new();
    for row in rows::<PolicyRow>(ctx, &format!("block_number <= {cut}")).await? {
        // A policy that the vocabulary refuses never becomes a row; one that did is a table of another version.
        out.push(Ruling {
            vault: address(&row.vault)?,
            scope: hash(&row.scope)?,
            position: (row.block_number, row.log_index),
            tx_index: row.tx_index,
            policy: Policy::parse(row.policy.as_bytes())?,
            hash: row.policy_hash,
        });
    }
    out.sort_by_key(|ruling| (ruling.position, ruling.vault, ruling.scope));
    out.insert(
        0,
        Ruling {
            vault: Address::ZERO,
            scope: B256::ZERO,
            position: (-1, -1),
            tx_index: -1,
            policy: default,
            hash: hash_of_default,
        },
    );
    Ok(out)
}

/// The first contribution, by surrogate key, for every one of a content that its dataset has more than once.
async fn originals(ctx: &SessionContext, cut: i64) -> Result<BTreeMap<i64, i64>, AccountingError> {
    let sql = format!("SELECT contribution_sk, dataset_sk, content_hash FROM contributions WHERE {}", standing(cut));
    let mut contents: BTreeMap<(i64, B256), Vec<i64>> = BTreeMap::new();
    each(ctx, &sql, |columns| {
        let (datasets, contents_of) = (columns.int64("dataset_sk")?, columns.text("content_hash", hash)?);
        for (row, sk) in columns.int64("contribution_sk")?.into_iter().enumerate() {
            contents.entry((datasets[row], contents_of[row])).or_default().push(sk);
        }
        Ok(())
    })
    .await?;
    let mut out = BTreeMap::new();
    for mut copies in contents.into_values().filter(|copies| copies.len() > 1) {
        copies.sort_unstable();
        out.extend(copies.iter().map(|sk| (*sk, copies[0])));
    }
    Ok(out)
}

async fn contributions(ctx: &SessionContext, cut: i64) -> Result<Contributions, AccountingError> {
    let sql = format!(
        "SELECT contribution_sk, contribution_id, dataset_sk, contributor, state = 'removed' AS removed FROM contributions WHERE {}",
        standing(cut)
    );
    let mut out = Vec::new();
    each(ctx, &sql, |columns| {
        let ids = columns.text("contribution_id", hash)?;
        let contributors = columns.text("contributor", address)?;
        let datasets = columns.int64("dataset_sk")?;
        let removed = columns.boolean("removed")?;
        for (row, sk) in columns.int64("contribution_sk")?.into_iter().enumerate() {
            out.push((
                sk,
                Contribution {
                    id: ids[row],
                    dataset_sk: datasets[row],
                    contributor: contributors[row],
                    removed: removed[row],
                },
            ));
        }
        Ok(())
    })
    .await?;
    Ok(Contributions::new(out))
}

#[cfg(test)]
mod tests {
    use super::{Address, B256, PaymentRow, Policy, Position, Ruling, place};
    use tributary_schemas::column::Micros;

    fn payment(tx_index: i64, log_index: i64) -> PaymentRow {
        PaymentRow {
            epoch: 0,
            payment_sk: 0,
            payment_id: String::new(),
            event_id: String::new(),
            block_number: 5,
            tx_index,
            log_index,
            tx_hash: String::new(),
            timestamp: Micros::from_seconds(0),
            vault: String::new(),
            subject_kind: String::new(),
            subject_id: String::new(),
            subject_sk: 0,
            payer: String::new(),
            token: String::new(),
            amount: tributary_schemas::Amount::ZERO.into(),
            reference: None,
            backing: String::new(),
            flags: String::new(),
        }
    }

    #[test]
    fn a_payment_without_a_log_stands_between_the_logs_of_its_transaction_and_the_next() {
        let ruling = |block, tx_index, log| Ruling {
            vault: Address::ZERO,
            scope: B256::ZERO,
            position: (block, log),
            tx_index,
            policy: Policy::default(),
            hash: String::new(),
        };
        let rulings = [ruling(4, 9, 90), ruling(5, 0, 3), ruling(5, 2, 7), ruling(5, 3, 8)];
        let no_log = i64::from(Position::NO_LOG);
        let before = |payment: &PaymentRow| {
            let at = place(&rulings, payment);
            rulings.iter().filter(|one| one.position < at).count()
        };
        assert_eq!([0, 1, 2, 3].map(|tx| before(&payment(tx, no_log))), [2, 2, 3, 4]);
        assert_eq!(place(&rulings, &payment(1, 6)), (5, 6));
        assert_eq!(place(&[], &payment(1, no_log)), (5, 0));
    }
}
