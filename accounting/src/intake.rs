//! Money that settles in an epoch: payments that are ripe in it (ruling 12), net of refunds up to the cut (ruling 16),
//! and pool fundings.

use alloy_primitives::{Address, B256, U256};
use datafusion::prelude::SessionContext;
use std::collections::{BTreeMap, BTreeSet};
use tributary_schemas::Amount;
use tributary_schemas::facts::{PaymentRow, PoolFundingRow, RefundRow};
use tributary_schemas::id::{BatchId, InferenceId};
use tributary_schemas::policy::{Policy, Unbacked};

use crate::book::Pot;
use crate::error::{AccountingError, hold};
use crate::read::{Columns, address, amount, hash, list, query, rows};
use crate::state::{State, Subject, later};

/// What every flow is keyed by, its hold apart (ruling 19).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) vault: Address,
    pub(crate) token: Address,
    /// Index of the policy.
    pub(crate) ruling: usize,
    /// The epoch that held it, of money that leaves suspense.
    pub(crate) adjusts: Option<i64>,
}

impl Key {
    pub(crate) const fn pot(&self) -> Pot {
        ((self.vault, self.token), self.adjusts)
    }
}

/// What a receipt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// A payment for a subject.
    Payment(Subject),
    /// An emission for a pool.
    Pool(B256),
    /// To suspense, whole: the payment with this id.
    Suspense(&'static str, B256),
}

/// What a payment named, as it resolves at the cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Named {
    /// Nothing: the subject's inferences of the epoch.
    Nothing,
    /// An inference of a batch that counts.
    Inference(i64, i32),
    /// A batch that counts.
    Batch(i64),
    /// A batch whose blob is missing, or an inference of one, by the payment with this id.
    Missing(B256),
    /// Something that nobody resolved in time, or that does not count.
    Unresolved,
}

/// Who made a payment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payer {
    pub(crate) account: Address,
    /// The epoch in which it was made.
    pub(crate) epoch: i64,
    /// The payment's id.
    pub(crate) payment: B256,
}

/// Money that settles in the epoch.
#[derive(Debug, Clone)]
pub(crate) struct Receipt {
    pub(crate) event: B256,
    pub(crate) key: Key,
    pub(crate) purpose: Purpose,
    pub(crate) named: Named,
    /// Who paid; nobody for an emission and for what leaves suspense.
    pub(crate) payer: Option<Payer>,
    /// Whether the payer is a payee of it, as far as is known.
    pub(crate) dealing: bool,
    /// Base units, refunds taken off; above zero.
    pub(crate) net: u128,
}

/// A refund of money that settled in an earlier epoch.
#[derive(Debug, Clone)]
pub(crate) struct LateRefund {
    pub(crate) event: B256,
    pub(crate) vault: Address,
    pub(crate) token: Address,
    pub(crate) amount: u128,
    /// Last block at which the payment can have been settled: its ripe block.
    pub(crate) ripe_block: i64,
}

/// Everything that comes in.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) late_refunds: Vec<LateRefund>,
    /// Payments that are ripe in the epoch, those fully refunded included.
    pub(crate) payments: BTreeMap<(Address, Address), i64>,
}

/// Most inferences of a batch: 256 MiB of payload hold no more.
const INFERENCES_MAX: i64 = 1 << 22;

/// What the references of payments mean at the cut.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Where inferences were answered: candidates in the order in which their batches were read.
    found: BTreeMap<B256, Vec<Answer>>,
    /// Batches that were without their blob, by the inferences that have no id but the one the batch gives them.
    missed: BTreeMap<B256, i64>,
}

/// An inference of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Answer {
    /// Where its batch was read.
    read: (i64, bool),
    batch: i64,
    inference: i32,
    /// Block from which payments could name it.
    known: i64,
}

impl Intake {
    pub(crate) async fn collect(ctx: &SessionContext, state: &State, epoch: i64) -> Result<Self, AccountingError> {
        let cut = state.bounds.last;
        let waits = state.rulings.iter().map(|one| one.policy.unattributed_after_blocks).max().unwrap_or(0);
        let oldest = state.bounds.first.saturating_sub(i64::try_from(waits).unwrap_or(i64::MAX));
        let refunds = refunds(ctx, cut).await?;
        let refunded =
            list(refunds.values().flatten().filter(|one| one.block >= state.bounds.first).map(|one| one.payment_sk));
        let filter = format!(
            "block_number <= {cut} AND (epoch = {epoch} OR (reference IS NOT NULL AND block_number >= {oldest}) OR payment_sk IN ({refunded}))"
        );
        let mut payments: Vec<PaymentRow> = rows(ctx, &filter).await?;
        payments.sort_by_key(|row| row.payment_sk);
        let unique = payments.windows(2).all(|pair| pair[0].payment_sk < pair[1].payment_sk);
        hold(&tributary_schemas::invariant::SETTLED_ONCE, unique, || "a payment is in its table twice".to_owned())?;
        let answers = Answers::of(ctx, state, &payments).await?;

        let mut this = Self::default();
        for payment in &payments {
            let returned = refunds.get(&payment.payment_sk).map_or(&[][..], Vec::as_slice);
            this.take(state, &answers, payment, returned)?;
        }
        this.take_pools(ctx, state, epoch).await?;
        Ok(this)
    }

    fn take(
        &mut self,
        state: &State,
        answers: &Answers,
        payment: &PaymentRow,
        refunds: &[Refund],
    ) -> Result<(), AccountingError> {
        let (vault, token) = (address(&payment.vault)?, address(&payment.token)?);
        let subject = Subject::new(&payment.subject_kind, payment.subject_sk)?;
        let entity = state.graph.version(subject)?.entity;
        let ruling = state.ruling(vault, entity, state.place(payment));
        let policy = state.policy(ruling);
        let reference = payment.reference.as_deref().map(hash).transpose()?;
        let ripe = answers.ripe(state, payment.block_number, reference, policy.unattributed_after_blocks);
        let unbacked = payment.flags.split(',').any(|flag| flag == "UNBACKED");
        if ripe > state.bounds.last || (unbacked && policy.unbacked == Unbacked::Reject) {
            return Ok(());
        }
        if ripe < state.bounds.first {
            for refund in refunds.iter().filter(|refund| refund.block >= state.bounds.first) {
                let (event, amount) = (refund.event, refund.amount);
                self.late_refunds.push(LateRefund { event, vault, token, amount, ripe_block: ripe });
            }
            return Ok(());
        }
        *self.payments.entry((vault, token)).or_default() += 1;
        let returned = refunds.iter().try_fold(0_u128, |sum, refund| sum.checked_add(refund.amount));
        // The fold refuses refunds above the payment.
        let net = returned.and_then(|returned| amount(payment.amount.0).ok()?.checked_sub(returned));
        let net = net.ok_or_else(|| {
            AccountingError::inconsistent(format!("payment {} has refunds above its amount", payment.payment_id))
        })?;
        if net == 0 {
            return Ok(());
        }
        let id = hash(&payment.payment_id)?;
        let dealing = payment.flags.split(',').any(|flag| flag == "SELF_DEALING");
        self.receipts.push(Receipt {
            event: hash(&payment.event_id)?,
            key: Key { vault, token, ruling, adjusts: None },
            purpose: if unbacked { Purpose::Suspense("unbacked", id) } else { Purpose::Payment(subject) },
            named: answers.named(state, id, reference, policy),
            payer: Some(Payer { account: address(&payment.payer)?, epoch: payment.epoch, payment: id }),
            dealing,
            net,
        });
        Ok(())
    }

    async fn take_pools(&mut self, ctx: &SessionContext, state: &State, epoch: i64) -> Result<(), AccountingError> {
        // Money for a settled epoch counts for the one that is open when it comes (ruling 20).
        let filter = format!("(for_epoch = {epoch} AND epoch <= {epoch}) OR (epoch = {epoch} AND for_epoch < {epoch})");
        let mut fundings: Vec<PoolFundingRow> = rows(ctx, &filter).await?;
        fundings.sort_by_key(|row| (row.block_number, row.log_index));
        for row in fundings {
            let (vault, pool) = (address(&row.vault)?, hash(&row.pool)?);
            let ruling = state.ruling(vault, pool, (row.block_number, row.log_index));
            let net = amount(row.amount.0)?;
            if net > 0 {
                let key = Key { vault, token: address(&row.token)?, ruling, adjusts: None };
                let event = hash(&row.event_id)?;
                self.receipts.push(Receipt {
                    event,
                    key,
                    purpose: Purpose::Pool(pool),
                    named: Named::Nothing,
                    payer: None,
                    dealing: false,
                    net,
                });
            }
        }
        Ok(())
    }

    /// Totals per vault and token in 256 bits, before anything is added in fewer.
    pub(crate) fn totals(&self) -> BTreeMap<(Address, Address), U256> {
        let mut totals = BTreeMap::new();
        for receipt in &self.receipts {
            *totals.entry((receipt.key.vault, receipt.key.token)).or_insert(U256::ZERO) += U256::from(receipt.net);
        }
        totals
    }
}

/// Whether a sum still is an amount.
pub(crate) fn fits(total: U256) -> bool {
    total < U256::from(Amount::LIMIT)
}

#[derive(Debug, Clone)]
struct Refund {
    payment_sk: i64,
    block: i64,
    event: B256,
    amount: u128,
}

async fn refunds(ctx: &SessionContext, cut: i64) -> Result<BTreeMap<i64, Vec<Refund>>, AccountingError> {
    let mut out: BTreeMap<i64, Vec<Refund>> = BTreeMap::new();
    for row in rows::<RefundRow>(ctx, &format!("block_number <= {cut}")).await? {
        let refund = Refund {
            payment_sk: row.payment_sk,
            block: row.block_number,
            event: hash(&row.event_id)?,
            amount: amount(row.amount.0)?,
        };
        out.entry(row.payment_sk).or_default().push(refund);
    }
    Ok(out)
}

impl Answers {
    /// What the references of these payments mean at the cut.
    pub(crate) async fn of(
        ctx: &SessionContext,
        state: &State,
        payments: &[PaymentRow],
    ) -> Result<Self, AccountingError> {
        let named: BTreeSet<&str> = payments.iter().filter_map(|payment| payment.reference.as_deref()).collect();
        let mut this = Self::default();
        // The texts are ids of the table's own making, hex without a quote in it; other text matches nothing.
        let named: Vec<&str> =
            named.into_iter().filter(|text| text.bytes().all(|byte| byte.is_ascii_alphanumeric())).collect();
        for chunk in named.chunks(4096) {
            let sql = format!(
                "SELECT inference_id, batch_sk, inference FROM inferences WHERE inference_id IN ('{}')",
                chunk.join("','")
            );
            for batch in &query(ctx, &sql).await? {
                this.read(state, Columns(batch))?;
            }
        }
        for found in this.found.values_mut() {
            found.sort_unstable();
        }
        let mut unknown = BTreeSet::new();
        for text in named {
            let id = hash(text)?;
            if !this.found.contains_key(&id) && !state.batch_by_id.contains_key(&id) {
                unknown.insert(id);
            }
        }
        this.find_missed(state, &unknown);
        Ok(this)
    }

    fn read(&mut self, state: &State, columns: Columns<'_>) -> Result<(), AccountingError> {
        let ids = columns.text("inference_id", hash)?;
        let inferences = columns.int32("inference")?;
        for (row, batch_sk) in columns.int64("batch_sk")?.into_iter().enumerate() {
            // A batch whose reference lies beyond the cut is not known yet, nor what was found beyond it of one that
            // is missing at the cut.
            let Some(batch) = state.batches.get(&batch_sk).filter(|batch| !batch.is_missing()) else { continue };
            let (id, inference) = (ids[row], inferences[row]);
            // An id that the batch gives could be named while the blob was missing; any other not before it was found.
            let is_given = || u32::try_from(inference).is_ok_and(|at| in_batch(batch.id, at) == id);
            let on_time = batch.known_block == batch.reference_block || is_given();
            let known = if on_time { batch.reference_block } else { batch.known_block };
            let answer = Answer { read: batch.read_at(), batch: batch_sk, inference, known };
            self.found.entry(id).or_default().push(answer);
        }
        Ok(())
    }

    fn find_missed(&mut self, state: &State, unknown: &BTreeSet<B256>) {
        if unknown.is_empty() {
            return;
        }
        for (sk, batch) in state.batches.iter().filter(|(_, batch)| batch.was_missing) {
            let count = u32::try_from(std::cmp::min(batch.inferences, INFERENCES_MAX)).unwrap_or(0);
            let ids = (0..count).map(|at| in_batch(batch.id, at)).filter(|id| unknown.contains(id));
            self.missed.extend(ids.map(|id| (id, *sk)));
        }
    }

    /// The first block at which a payment can be divided.
    fn ripe(&self, state: &State, block: i64, reference: Option<B256>, waits: u64) -> i64 {
        let Some(reference) = reference else { return block };
        let latest = later(block, waits);
        let known = self.found.get(&reference).and_then(|answers| answers.iter().map(|answer| answer.known).min());
        let known = known.or_else(|| {
            let batch = self.missed.get(&reference).or_else(|| state.batch_by_id.get(&reference))?;
            state.batches.get(batch).map(|batch| batch.reference_block)
        });
        known.map_or(latest, |known| std::cmp::min(std::cmp::max(block, known), latest))
    }

    /// What a payment named, as it is at the cut: an inference, then a batch (ruling 3). Of the batches that answer an
    /// inference the first that pays has it.
    pub(crate) fn named(&self, state: &State, payment: B256, reference: Option<B256>, policy: &Policy) -> Named {
        let Some(reference) = reference else { return Named::Nothing };
        if let Some(answers) = self.found.get(&reference) {
            let first = answers.iter().find(|one| state.pays(one.batch, policy));
            return first.map_or(Named::Unresolved, |one| Named::Inference(one.batch, one.inference));
        }
        let missed = self.missed.get(&reference);
        let batch = missed.or_else(|| state.batch_by_id.get(&reference));
        match batch.and_then(|sk| state.batches.get(sk).map(|batch| (*sk, batch))) {
            Some((_, batch)) if batch.is_missing() => Named::Missing(payment),
            Some((sk, _)) if missed.is_none() && state.pays(sk, policy) => Named::Batch(sk),
            _ => Named::Unresolved,
        }
    }
}

/// The id of an inference that has none but the one its batch gives it.
fn in_batch(batch: B256, at: u32) -> B256 {
    InferenceId::in_batch(BatchId(batch), at).0
}
