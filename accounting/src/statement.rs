//! An account's statement: what was owed before, every movement since, and what is owed after.
//!
//! What an account claims beyond what is due is booked on `receivable:<address>`, and stays there: what it earns later
//! is payable in full, and the two are set against each other. So a statement is of both, payable less receivable, which
//! is what was earned less what was claimed.

use alloy_primitives::Address;
use datafusion::prelude::SessionContext;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tributary_schemas::Amount;
use tributary_schemas::column::hex_text;
use tributary_schemas::invariant::DEBITS_ARE_CREDITS;
use tributary_schemas::money::{ClaimRow, LedgerEntryRow};

use crate::error::{AccountingError, hold};
use crate::journal::{PAYABLE, payable, receivable};
use crate::read::rows;

/// What an account was owed before, the movements, and what it is owed after; of one token, over all vaults or one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Account.
    pub account: Address,
    /// Token; zero for the native one.
    pub token: Address,
    /// First epoch of the lines.
    pub from: i64,
    /// Last epoch of the lines.
    pub to: i64,
    /// Base units owed and not claimed when `from` began; below zero what was claimed beyond what was due.
    pub opening: i128,
    /// The movements, in the order of epochs and entries.
    pub lines: Vec<StatementLine>,
    /// Base units owed and not claimed when `to` settled, likewise: the opening and the lines.
    pub closing: i128,
}

/// A movement: an entry of the journal that is for or against the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementLine {
    /// Epoch it was written in.
    pub epoch: i64,
    /// Id of the entry.
    pub entry: String,
    /// Vault.
    pub vault: String,
    /// What it is: credit, claim, adjust.
    pub code: String,
    /// single or post.
    pub phase: String,
    /// The account on the other side of the entry.
    pub counterpart: String,
    /// The event or step that caused it.
    pub source: String,
    /// Epoch it adjusts.
    pub adjusts_epoch: Option<i64>,
    /// Base units; below zero for what was paid out or taken back.
    pub amount: i128,
}

/// Which statement: of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementOf {
    /// Account.
    pub account: Address,
    /// Token; zero for the native one.
    pub token: Address,
    /// First and last epoch of the lines, both included.
    pub epochs: (i64, i64),
    /// Of what this vault owes; of all where none is named.
    pub vault: Option<Address>,
}

impl StatementOf {
    /// The statement, of what tables hold. Rows of other tokens, vaults and accounts may be among those given.
    ///
    /// - `before`: rows of `claims` of their last epoch before the first one;
    /// - `after`: those of their last epoch that is not after the last one;
    /// - `entries`: the journal of these epochs.
    ///
    /// # Errors
    ///
    /// When the entries do not lead from where `claims` says that the account stood to where it stands, in any of the
    /// vaults; or when it is owed 10^38 or more by all vaults together.
    pub fn made_of(
        self,
        before: Vec<ClaimRow>,
        after: Vec<ClaimRow>,
        mut entries: Vec<LedgerEntryRow>,
    ) -> Result<Statement, AccountingError> {
        let Self { account, token, epochs: (from, to), .. } = self;
        let names = [payable(account), receivable(account)];
        let (coin, vault) = (hex_text(token), self.vault.map(hex_text));
        let is_asked = |of: (&String, &String)| *of.0 == coin && vault.as_ref().is_none_or(|vault| of.1 == vault);
        let owner = hex_text(account);
        let owed = |positions: Vec<ClaimRow>| {
            let is_of = |row: &ClaimRow| row.account == owner && is_asked((&row.token, &row.vault));
            owed(positions.into_iter().filter(is_of))
        };
        let (before, after) = (owed(before), owed(after));
        let is_of = |row: &LedgerEntryRow| names.contains(&row.debit) || names.contains(&row.credit);
        entries.retain(|row| is_asked((&row.token, &row.vault)) && is_of(row));
        entries.sort_by(|a, b| (a.epoch, &a.entry_id).cmp(&(b.epoch, &b.entry_id)));
        let lines: Vec<StatementLine> = entries.into_iter().map(|row| line(row, &names)).collect();
        let mut balances = before.clone();
        for line in &lines {
            let balance = balances.entry(line.vault.clone()).or_default();
            *balance = balance.saturating_add(line.amount);
        }
        balances.retain(|_, units| *units != 0);
        hold(&DEBITS_ARE_CREDITS, balances == after, || {
            format!(
                "by the journal {account} is owed {balances:?} of {token}: expected {after:?}, as its positions say"
            )
        })?;
        let (opening, closing) = (over_all(&before)?, over_all(&after)?);
        Ok(Statement { account, token, from, to, opening, lines, closing })
    }
}

/// The address of an account of the journal that statements are of; `None` for every other account.
#[must_use]
pub fn stated_for(name: &str) -> Option<&str> {
    let (kind, address) = name.split_once(':')?;
    matches!(kind, PAYABLE | "receivable").then_some(address)
}

/// A statement over the tables registered in `ctx`. It opens with where `claims` says that the account stood and reads the journal
/// of its epochs alone: what came before is in those counters.
///
/// # Errors
///
/// When the tables cannot be read, or as [`StatementOf::made_of`] says.
pub async fn statement(ctx: &SessionContext, of: StatementOf) -> Result<Statement, AccountingError> {
    let StatementOf { account, token, epochs: (from, to), vault } = of;
    if from > to {
        let what = format!("a statement of epochs {from} to {to}");
        return Err(AccountingError::Unfit { what, expected: "the first one not to be behind the last".to_owned() });
    }
    let (coin, names) = (hex_text(token), [payable(account), receivable(account)]);
    let of_vault = vault.map_or_else(String::new, |vault| format!(" AND vault = '{}'", hex_text(vault)));
    let of_account = format!("account = '{}' AND token = '{coin}'{of_vault}", hex_text(account));
    let last = |epochs: String| format!("{of_account} AND epoch = (SELECT max(epoch) FROM claims WHERE {epochs})");
    let before = rows(ctx, &last(format!("epoch < {from}"))).await?;
    let after = rows(ctx, &last(format!("epoch <= {to}"))).await?;
    let sides = names.each_ref().map(|name| format!("debit = '{name}' OR credit = '{name}'")).join(" OR ");
    let filter = format!("epoch BETWEEN {from} AND {to} AND token = '{coin}' AND ({sides}){of_vault}");
    let entries = rows(ctx, &filter).await?;
    of.made_of(before, after, entries)
}

/// What each vault owes by a position; below zero what was claimed beyond that. Vaults that owe nothing are left out.
fn owed(positions: impl Iterator<Item = ClaimRow>) -> BTreeMap<String, i128> {
    let owed = positions.map(|row| (row.vault, row.cumulative.0.saturating_sub(row.claimed.0)));
    owed.filter(|(_, units)| *units != 0).collect()
}

/// What all vaults owe together.
fn over_all(balances: &BTreeMap<String, i128>) -> Result<i128, AccountingError> {
    let sum = balances.values().try_fold(0_i128, |sum, units| sum.checked_add(*units));
    let sum = sum.filter(|sum| sum.unsigned_abs() < Amount::LIMIT);
    sum.ok_or_else(|| AccountingError::Unfit {
        what: "what all vaults owe the account together has more than 38 digits".to_owned(),
        expected: "the statement of one vault".to_owned(),
    })
}

fn line(row: LedgerEntryRow, names: &[String]) -> StatementLine {
    let is_for = names.contains(&row.credit);
    StatementLine {
        epoch: row.epoch,
        entry: row.entry_id,
        vault: row.vault,
        code: row.code,
        phase: row.phase,
        counterpart: if is_for { row.debit } else { row.credit },
        source: row.source,
        adjusts_epoch: row.adjusts_epoch,
        amount: if is_for { row.amount.0 } else { -row.amount.0 },
    }
}
