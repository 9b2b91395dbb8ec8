//! Money that leaves suspense: because a blob turned up late, because somebody with authority says so (ruling 7), or
//! because it waited long enough.
//!
//! What is held is an entry of the journal: it names its reason and, where that is known, the payment or account it is
//! held of. It moves as a whole and once, in the epoch whose cut is the first to see why, through clearing, by what
//! holds at that cut and the policy of the payment's position. Every entry and line it yields names the epoch that it
//! adjusts: the one that held it.
//!
//! | reason | held of | to payees | to the payer | to the treasury | after `suspense_release_blocks` |
//! |---|---|---|---|---|---|
//! | `blob_missing` | payment | as without records (policy `zero_total`) | yes | yes | as to payees |
//! | `unbacked` | payment | as a payment | yes | yes | stays |
//! | `self_dealing` | payment | as a payment | yes | yes | to the treasury |
//! | `quarantined` | account | the account, once free | – | yes | as to payees |
//! | `penalty` | account | the account, once free | – | yes | to the treasury |
//! | `overflow` | – | – | – | – | stays |
//! | others | – | – | – | yes | to the treasury |
//!
//! A batch whose blob turned up (or that was rejected meanwhile) is no longer missing, and what was held for payments
//! that name it or an inference of it is divided as it would have been: by its records and weights. That comes before
//! whatever was said in the same epoch. Where an order moves nothing (–, or an account still in quarantine), the money
//! stays, and a later order may move it. An order is of one vault and for what earlier epochs hold there. Its reason is
//! the word in ASCII, filled up with zeros; its subject is zero for everything under that reason, or a payment, what the
//! payment names, the version or entity it paid, or an account (its 20 bytes at the end).

use alloy_primitives::{Address, B256};
use datafusion::prelude::SessionContext;
use std::collections::{BTreeMap, BTreeSet};
use tributary_schemas::code::ReleaseTo;
use tributary_schemas::encoding::payload_from_json;
use tributary_schemas::facts::{EventRow, PaymentRow};
use tributary_schemas::money::LedgerEntryRow;
use tributary_schemas::{Payload, SchemaError};

use crate::book::{Purse, To};
use crate::error::AccountingError;
use crate::flow::Source;
use crate::intake::{Answers, Key, Named, Purpose, Receipt};
use crate::read::{Columns, address, amount, hash, query, rows};
use crate::state::{State, Subject};

/// Beginning of the names of accounts that hold.
pub(crate) const SUSPENSE: &str = "suspense:";
/// The reason of money that waits for a blob.
pub(crate) const BLOB_MISSING: &str = "blob_missing";

/// Held money on its way out.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    /// Id of the entry that held it, and 16 zero bytes: the source of the entry that takes it out.
    pub(crate) source: B256,
    /// The account that held it.
    pub(crate) account: String,
    pub(crate) key: Key,
    pub(crate) amount: u128,
    /// The payment it was held of, if of one.
    pub(crate) payment: Option<B256>,
    pub(crate) way: Way,
}

/// Where it goes.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// Over all channels, as the payment that it is.
    Payment(Box<Receipt>),
    /// Over the data channel, which was held.
    Data(Source),
    /// To somebody who is known.
    To(To),
}

/// An order to release.
#[derive(Debug)]
struct Order {
    vault: Address,
    reason: String,
    subject: B256,
    to: ReleaseTo,
}

/// What is held.
#[derive(Debug)]
struct Held {
    row: LedgerEntryRow,
    purse: Purse,
    reason: String,
    payment: Option<B256>,
    account: Option<Address>,
}

/// A payment that something is held of.
#[derive(Debug)]
struct Payment {
    payer: Address,
    subject: Subject,
    /// What an order may call it, its own id aside.
    names: [B256; 3],
    ruling: usize,
    named: Named,
}

/// What leaves suspense in an epoch, in the order of the entries that held it.
pub(crate) async fn releases(ctx: &SessionContext, state: &State, epoch: i64) -> Result<Vec<Release>, AccountingError> {
    let orders = orders(ctx, epoch).await?;
    let expires = state.rulings.iter().any(|ruling| ruling.policy.suspense_release_blocks > 0);
    let came = state.batches.values().any(|batch| batch.left_missing_in(&state.bounds));
    if orders.is_empty() && !expires && !came {
        return Ok(Vec::new());
    }
    let held = held(ctx, epoch).await?;
    let payments = payments(ctx, state, &held).await?;
    let ends = if expires { ends(ctx, epoch).await? } else { BTreeMap::new() };
    let desk = Desk { state, orders, payments, ends };
    held.iter().filter_map(|held| desk.release(held).transpose()).collect()
}

/// Orders of an epoch, in the order of the log.
async fn orders(ctx: &SessionContext, epoch: i64) -> Result<Vec<Order>, AccountingError> {
    let mut events: Vec<EventRow> =
        rows(ctx, &format!("epoch = {epoch} AND kind = 'SuspenseReleased' AND valid")).await?;
    events.sort_by_key(|row| (row.block_number, row.tx_index, row.log_index, row.sub_index));
    let mut orders = Vec::with_capacity(events.len());
    for row in events {
        let Payload::SuspenseReleased { reason, subject, to } = payload_from_json(&row.kind, &row.payload)? else {
            let reason = format!("event {} is of another kind", row.event_id);
            return Err(SchemaError::Malformed { what: "event", reason }.into());
        };
        let word = reason.0.split(|byte| *byte == 0).next().unwrap_or_default();
        let reason = String::from_utf8_lossy(word).into_owned();
        orders.push(Order { vault: address(&row.emitter)?, reason, subject, to });
    }
    Ok(orders)
}

/// Entries of earlier epochs that hold and whose money is still there.
async fn held(ctx: &SessionContext, epoch: i64) -> Result<Vec<Held>, AccountingError> {
    let filter = format!("epoch < {epoch} AND (credit LIKE '{SUSPENSE}%' OR debit LIKE '{SUSPENSE}%')");
    let entries: Vec<LedgerEntryRow> = rows(ctx, &filter).await?;
    let gone: BTreeSet<String> =
        entries.iter().filter(|row| row.debit.starts_with(SUSPENSE)).map(|row| row.source.clone()).collect();
    let mut held = Vec::new();
    for row in entries {
        let Some(name) = row.credit.strip_prefix(SUSPENSE) else { continue };
        if gone.contains(&taken(&row)) {
            continue;
        }
        let (reason, whose) = name.split_once(':').map_or((name, None), |(reason, whose)| (reason, Some(whose)));
        held.push(Held {
            purse: (address(&row.vault)?, address(&row.token)?),
            reason: reason.to_owned(),
            payment: whose.filter(|text| text.len() == 66).map(hash).transpose()?,
            account: whose.filter(|text| text.len() == 42).map(address).transpose()?,
            row,
        });
    }
    held.sort_by(|a, b| (a.row.epoch, &a.row.entry_id).cmp(&(b.row.epoch, &b.row.entry_id)));
    Ok(held)
}

/// The source of the entry that takes out what this one held.
fn taken(row: &LedgerEntryRow) -> String {
    format!("{}{}", row.entry_id, "0".repeat(32))
}

/// The payments that something is held of, as they resolve at the cut.
async fn payments(
    ctx: &SessionContext,
    state: &State,
    held: &[Held],
) -> Result<BTreeMap<B256, Payment>, AccountingError> {
    let ids: BTreeSet<B256> = held.iter().filter_map(|one| one.payment).collect();
    let ids: Vec<String> = ids.into_iter().map(|id| format!("'{}'", tributary_schemas::column::hex_text(id))).collect();
    let mut found: Vec<PaymentRow> = Vec::new();
    for chunk in ids.chunks(4096) {
        found.extend(rows::<PaymentRow>(ctx, &format!("payment_id IN ({})", chunk.join(","))).await?);
    }
    let answers = Answers::of(ctx, state, &found).await?;
    let mut payments = BTreeMap::new();
    for row in &found {
        let subject = Subject::new(&row.subject_kind, row.subject_sk)?;
        let version = *state.graph.version(subject)?;
        let ruling = state.ruling(address(&row.vault)?, version.entity, state.place(row));
        let id = hash(&row.payment_id)?;
        let reference = row.reference.as_deref().map(hash).transpose()?;
        let payment = Payment {
            payer: address(&row.payer)?,
            subject,
            names: [reference.unwrap_or_default(), version.id, version.entity],
            ruling,
            named: answers.named(state, id, reference, state.policy(ruling)),
        };
        payments.insert(id, payment);
    }
    Ok(payments)
}

/// The last block of every earlier epoch.
async fn ends(ctx: &SessionContext, epoch: i64) -> Result<BTreeMap<i64, i64>, AccountingError> {
    let sql = format!("SELECT epoch, max(number) AS last FROM blocks WHERE epoch < {epoch} GROUP BY epoch");
    let mut ends = BTreeMap::new();
    for batch in &query(ctx, &sql).await? {
        let columns = Columns(batch);
        ends.extend(columns.int64("epoch")?.into_iter().zip(columns.int64("last")?));
    }
    Ok(ends)
}

/// Decides about what is held.
struct Desk<'a> {
    state: &'a State,
    orders: Vec<Order>,
    payments: BTreeMap<B256, Payment>,
    ends: BTreeMap<i64, i64>,
}

impl Desk<'_> {
    fn release(&self, held: &Held) -> Result<Option<Release>, AccountingError> {
        let payment = held.payment.as_ref().and_then(|id| self.payments.get(id));
        let (vault, token) = held.purse;
        let everything = (self.state.bounds.last.saturating_add(1), 0);
        let ruling = payment.map_or_else(|| self.state.ruling(vault, B256::ZERO, everything), |one| one.ruling);
        let adjusts = Some(held.row.adjusts_epoch.unwrap_or(held.row.epoch));
        let key = Key { vault, token, ruling, adjusts };
        let (amount, source) = (amount(held.row.amount.0)?, hash(&taken(&held.row))?);
        let receipt = |one: &Payment| {
            let purpose = Purpose::Payment(one.subject);
            let (event, named, net) = (source, one.named, amount);
            Way::Payment(Box::new(Receipt { event, key, purpose, named, payer: None, dealing: false, net }))
        };
        let way = resolved(held, payment).or_else(|| {
            let mut orders = self.orders.iter().filter(|order| order.covers(held, payment));
            orders.find_map(|order| self.ordered(held, payment, order.to, &receipt))
        });
        let way = way.or_else(|| self.expired(held, payment));
        Ok(way.map(|way| Release { source, account: held.row.credit.clone(), key, amount, payment: held.payment, way }))
    }

    fn ordered(
        &self,
        held: &Held,
        payment: Option<&Payment>,
        to: ReleaseTo,
        receipt: &impl Fn(&Payment) -> Way,
    ) -> Option<Way> {
        match (to, held.reason.as_str()) {
            (_, "overflow") => None,
            (ReleaseTo::Treasury, _) => Some(Way::To(To::Treasury)),
            (ReleaseTo::Payer, _) => payment.map(|one| Way::To(To::Direct(one.payer))),
            (ReleaseTo::Payees, BLOB_MISSING) => payment.map(without_records),
            (ReleaseTo::Payees, "unbacked" | "self_dealing") => payment.map(receipt),
            (ReleaseTo::Payees, "quarantined" | "penalty") => self.account(held),
            (ReleaseTo::Payees, _) => None,
        }
    }

    /// What waited for long enough, by the policy that holds for everything in its vault at the cut.
    fn expired(&self, held: &Held, payment: Option<&Payment>) -> Option<Way> {
        let cut = self.state.bounds.last;
        let ruling = self.state.ruling(held.purse.0, B256::ZERO, (cut.saturating_add(1), 0));
        let wait = self.state.policy(ruling).suspense_release_blocks;
        let since = *self.ends.get(&held.row.epoch).filter(|_| wait > 0)?;
        if since.saturating_add(i64::try_from(wait).unwrap_or(i64::MAX)) > cut {
            return None;
        }
        match held.reason.as_str() {
            "overflow" | "unbacked" => None,
            BLOB_MISSING => payment.map(without_records),
            "quarantined" => self.account(held),
            _ => Some(Way::To(To::Treasury)),
        }
    }

    /// Where the account that something is held of is paid, unless one of the two is in quarantine.
    fn account(&self, held: &Held) -> Option<Way> {
        let account = held.account?;
        let payouts = &self.state.payouts;
        let payout = payouts.of_account(account, held.purse.0, held.purse.1);
        let free = !payouts.is_quarantined(account) && !payouts.is_quarantined(payout);
        free.then_some(Way::To(To::Direct(payout)))
    }
}

/// What waited for a blob is divided when its batch is missing no longer.
fn resolved(held: &Held, payment: Option<&Payment>) -> Option<Way> {
    let payment = payment.filter(|_| held.reason == BLOB_MISSING)?;
    let came = !matches!(payment.named, Named::Missing(_));
    came.then_some(Way::Data(Source::Payment(payment.subject, payment.named)))
}

const fn without_records(payment: &Payment) -> Way {
    Way::Data(Source::Payment(payment.subject, Named::Unresolved))
}

impl Order {
    fn covers(&self, held: &Held, payment: Option<&Payment>) -> bool {
        let named = || {
            let of_payment = payment.is_some_and(|one| one.names.contains(&self.subject));
            of_payment || held.payment == Some(self.subject) || held.account.map(word) == Some(self.subject)
        };
        self.vault == held.purse.0 && self.reason == held.reason && (self.subject.is_zero() || named())
    }
}

/// An address as an order's subject.
fn word(account: Address) -> B256 {
    B256::left_padding_from(account.as_slice())
}
