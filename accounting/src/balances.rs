//! The trial balance: what every account was debited and credited since the beginning, and what must hold of it.
//!
//! Four counters an account, none of which ever falls: debits and credits, posted and pending. An entry that waits
//! credits its `pending` account in the pending counter; what posts or voids it debits that account in the pending
//! counter and credits the other one in the posted counter. Payees are as many as contributors, so in the trial balance
//! they are one account, `payable`, and what waits is one, `pending`, or `unfunded` where it waits for the vault's
//! balance: that is taken from `payable` in the pending counter. Where each of them stands, [`crate::standing`] says. What is held under a reason is one account too, `suspense:<reason>`, whatever it is held of.

use alloy_primitives::U256;
use datafusion::prelude::SessionContext;
use std::collections::BTreeMap;
use tributary_schemas::Amount;
use tributary_schemas::column::{Decimal38, hex_text};
use tributary_schemas::invariant::{DEBITS_ARE_CREDITS, OWED_IS_HELD};
use tributary_schemas::money::{BalanceRow, LedgerEntryRow};

use crate::book::Purse;
use crate::error::{AccountingError, hold};
use crate::journal::{CLEARING, DISTRIBUTOR, Journal, PAYABLE, PENDING, Phase, UNFUNDED, control};
use crate::names::Names;
use crate::read::{address, amount, rows};

/// What a counter stops at.
const MOST: u128 = Amount::LIMIT - 1;

/// The counters of an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    debits_pending: u128,
    debits_posted: u128,
    credits_pending: u128,
    credits_posted: u128,
}

impl Counters {
    fn add(counter: &mut u128, units: u128) {
        // Both are below 10^38, so the sum has room.
        *counter = std::cmp::min(counter.saturating_add(units), MOST);
    }
    fn debits(&self) -> U256 {
        U256::from(self.debits_pending) + U256::from(self.debits_posted)
    }
    fn credits(&self) -> U256 {
        U256::from(self.credits_pending) + U256::from(self.credits_posted)
    }
    /// A counter that stopped says nothing exact any more.
    const fn stopped(&self) -> bool {
        self.debits_pending == MOST
            || self.debits_posted == MOST
            || self.credits_pending == MOST
            || self.credits_posted == MOST
    }
}

/// The trial balance of every vault and token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Balances(BTreeMap<Purse, BTreeMap<String, Counters>>);

impl Balances {
    /// The balance after the last epoch before this one that had blocks. Folders from before this table are summed up
    /// from their journal.
    pub(crate) async fn before(ctx: &SessionContext, epoch: i64) -> Result<Self, AccountingError> {
        let filter = format!("epoch = (SELECT max(epoch) FROM balances WHERE epoch < {epoch})");
        let mut this = Self::default();
        let known: Vec<BalanceRow> = rows(ctx, &filter).await?;
        for row in &known {
            let purse = (address(&row.vault)?, address(&row.token)?);
            let counters = Counters {
                debits_pending: amount(row.debits_pending.0)?,
                debits_posted: amount(row.debits_posted.0)?,
                credits_pending: amount(row.credits_pending.0)?,
                credits_posted: amount(row.credits_posted.0)?,
            };
            this.0.entry(purse).or_default().insert(row.account.clone(), counters);
        }
        if known.is_empty() {
            for row in rows::<LedgerEntryRow>(ctx, &format!("epoch < {epoch}")).await? {
                let purse = (address(&row.vault)?, address(&row.token)?);
                let phase = Phase::of(&row.phase)
                    .ok_or_else(|| AccountingError::inconsistent(format!("entry {} is {}", row.entry_id, row.phase)))?;
                this.take(purse, control(&row.debit), control(&row.credit), amount(row.amount.0)?, phase);
            }
        }
        Ok(this)
    }

    /// Adds the entries of an epoch.
    pub(crate) fn add(&mut self, journal: &Journal, names: &Names) {
        journal.movements(names, |purse, debit, credit, units, phase| self.take(purse, debit, credit, units, phase));
    }

    fn take(&mut self, purse: Purse, debit: &str, credit: &str, units: u128, phase: Phase) {
        let accounts = self.0.entry(purse).or_default();
        let debited = account(accounts, debit);
        let counter = match phase {
            Phase::Single => &mut debited.debits_posted,
            Phase::Pending | Phase::Post | Phase::Void => &mut debited.debits_pending,
        };
        Counters::add(counter, units);
        let credited = account(accounts, credit);
        let counter = match phase {
            Phase::Pending => &mut credited.credits_pending,
            Phase::Single | Phase::Post | Phase::Void => &mut credited.credits_posted,
        };
        Counters::add(counter, units);
    }

    fn of(&self, purse: Purse, account: &str) -> Counters {
        self.0.get(&purse).and_then(|accounts| accounts.get(account)).copied().unwrap_or_default()
    }

    /// INV-06 and INV-12, since the beginning: debits are credits, clearing is zero, no account that owes is below zero,
    /// and what is entitled and not claimed is with the distributor. `entitled` is what all positions of each vault and
    /// token add up to, `open` what of that was not claimed.
    pub(crate) fn check(
        &self,
        entitled: &BTreeMap<Purse, u128>,
        open: &BTreeMap<Purse, u128>,
    ) -> Result<(), AccountingError> {
        for (purse, accounts) in &self.0 {
            let whole = accounts.values().all(|counters| !counters.stopped());
            let debits = accounts.values().fold(U256::ZERO, |sum, counters| sum + counters.debits());
            let credits = accounts.values().fold(U256::ZERO, |sum, counters| sum + counters.credits());
            hold(&DEBITS_ARE_CREDITS, !whole || debits == credits, || {
                format!("debits of {purse:?} are {debits} since the beginning: expected {credits}, its credits")
            })?;
            let clearing = self.of(*purse, CLEARING);
            hold(&DEBITS_ARE_CREDITS, clearing.stopped() || clearing.debits() == clearing.credits(), || {
                format!("clearing of {purse:?} is {clearing:?}: expected as much debited as credited")
            })?;
            for (account, counters) in accounts.iter().filter(|(account, _)| owes(account)) {
                hold(&OWED_IS_HELD, counters.stopped() || counters.credits() >= counters.debits(), || {
                    format!("{account} of {purse:?} is {counters:?}: expected no more debited than credited")
                })?;
            }
            self.check_payees(*purse, entitled, open)?;
        }
        Ok(())
    }

    fn check_payees(
        &self,
        purse: Purse,
        entitled: &BTreeMap<Purse, u128>,
        open: &BTreeMap<Purse, u128>,
    ) -> Result<(), AccountingError> {
        let units = |map: &BTreeMap<Purse, u128>| map.get(&purse).copied().unwrap_or(0);
        let (payable, distributor) = (self.of(purse, PAYABLE), self.of(purse, DISTRIBUTOR));
        let (entitled, open) = (units(entitled), units(open));
        let credited = payable.credits().saturating_sub(U256::from(payable.debits_pending));
        hold(&OWED_IS_HELD, payable.stopped() || credited == U256::from(entitled), || {
            format!("{purse:?} credited {credited} to payees: expected {entitled}, what they are entitled to")
        })?;
        // What was claimed beyond what was due left the vault, but not on account of a payee.
        let owed = U256::from(open);
        let held = distributor.debits().saturating_sub(U256::from(payable.debits_posted));
        hold(&OWED_IS_HELD, distributor.stopped() || owed <= held, || {
            format!("{purse:?} owes {owed} to payees: expected at most {held}, what its distributor holds")
        })
    }

    /// Whether so many base units wait for the vault's balance, and no others (INV-12).
    pub(crate) fn check_waiting(&self, purse: Purse, waiting: u128) -> Result<(), AccountingError> {
        let unfunded = self.of(purse, UNFUNDED);
        let waits = unfunded.credits().saturating_sub(unfunded.debits());
        hold(&OWED_IS_HELD, unfunded.stopped() || waits == U256::from(waiting), || {
            format!("{waits} of {purse:?} are unfunded: expected {waiting}, what waits for its balance")
        })
    }

    /// Rows of the table, in its order.
    pub(crate) fn rows(&self, epoch: i64) -> Vec<BalanceRow> {
        let rows = self.0.iter().flat_map(|(purse, accounts)| {
            accounts.iter().map(move |(account, counters)| BalanceRow {
                epoch,
                vault: hex_text(purse.0),
                token: hex_text(purse.1),
                account: account.clone(),
                debits_pending: Decimal38(counters.debits_pending.cast_signed()),
                debits_posted: Decimal38(counters.debits_posted.cast_signed()),
                credits_pending: Decimal38(counters.credits_pending.cast_signed()),
                credits_posted: Decimal38(counters.credits_posted.cast_signed()),
            })
        });
        rows.collect()
    }
}

fn account<'a>(accounts: &'a mut BTreeMap<String, Counters>, name: &str) -> &'a mut Counters {
    if !accounts.contains_key(name) {
        accounts.insert(name.to_owned(), Counters::default());
    }
    accounts.entry(name.to_owned()).or_default()
}

/// Whether an account says what the vault owes to somebody.
fn owes(account: &str) -> bool {
    [PAYABLE, PENDING, UNFUNDED, "treasury"].contains(&account) || account.starts_with("suspense:")
}

#[cfg(test)]
mod tests;
