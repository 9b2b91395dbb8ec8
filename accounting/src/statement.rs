//! An account's statement: what was owed before, every movement since, and what is owed after.

use alloy_primitives::Address;
use datafusion::prelude::SessionContext;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tributary_schemas::column::hex_text;
use tributary_schemas::invariant::DEBITS_ARE_CREDITS;
use tributary_schemas::money::{ClaimRow, LedgerEntryRow};

use crate::error::{AccountingError, hold};
use crate::journal::payable;
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
    /// Base units owed and not claimed when `from` began.
    pub opening: i128,
    /// The movements, in the order of epochs and entries.
    pub lines: Vec<StatementLine>,
    /// Base units owed and not claimed when `to` settled: the opening and the lines.
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

/// The statement of an account for the epochs from `from` to `to`, both included, over the tables registered in `ctx`.
/// With a vault, of what that vault owes.
///
/// # Errors
///
/// When the tables cannot be read, or the journal does not come to what `claims` says that the account is owed.
pub async fn statement(
    ctx: &SessionContext,
    account: Address,
    token: Address,
    (from, to): (i64, i64),
    vault: Option<Address>,
) -> Result<Statement, AccountingError> {
    let (owner, coin, name) = (hex_text(account), hex_text(token), payable(account));
    let of_vault = vault.map_or_else(String::new, |vault| format!(" AND vault = '{}'", hex_text(vault)));
    let filter = format!("epoch <= {to} AND token = '{coin}' AND (debit = '{name}' OR credit = '{name}'){of_vault}");
    let mut entries: Vec<LedgerEntryRow> = rows(ctx, &filter).await?;
    entries.sort_by(|a, b| (a.epoch, &a.entry_id).cmp(&(b.epoch, &b.entry_id)));
    let mut opening = 0;
    let mut lines = Vec::new();
    let mut balances: BTreeMap<String, i128> = BTreeMap::new();
    for row in entries {
        let is_for = row.credit == name;
        let amount = if is_for { row.amount.0 } else { -row.amount.0 };
        *balances.entry(row.vault.clone()).or_default() += amount;
        if row.epoch < from {
            opening += amount;
            continue;
        }
        lines.push(StatementLine {
            epoch: row.epoch,
            entry: row.entry_id,
            vault: row.vault,
            code: row.code,
            phase: row.phase,
            counterpart: if is_for { row.debit } else { row.credit },
            source: row.source,
            adjusts_epoch: row.adjusts_epoch,
            amount,
        });
    }
    let standing = format!(
        "account = '{owner}' AND token = '{coin}'{of_vault} AND epoch = (SELECT max(epoch) FROM claims WHERE epoch <= {to})"
    );
    for row in rows::<ClaimRow>(ctx, &standing).await? {
        // What was claimed beyond what was due is owed by the account: a receivable, no line of what it is owed.
        let owed = std::cmp::max(row.cumulative.0 - row.claimed.0, 0);
        let balance = balances.get(&row.vault).copied().unwrap_or_default();
        hold(&DEBITS_ARE_CREDITS, owed == balance, || {
            format!("vault {} owes {owner} {balance} by the journal: expected {owed}, as its position says", row.vault)
        })?;
    }
    let closing = opening + lines.iter().map(|line| line.amount).sum::<i128>();
    Ok(Statement { account, token, from, to, opening, lines, closing })
}
