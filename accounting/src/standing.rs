//! Where accounts stand: what each earned since the beginning, what it claimed, and what waits for a challenge.

use alloy_primitives::{Address, B256};
use datafusion::prelude::SessionContext;
use std::collections::BTreeMap;
use tributary_schemas::column::hex_text;
use tributary_schemas::facts::RewardClaimRow;
use tributary_schemas::money::{ClaimRow, LedgerEntryRow};

use crate::book::Purse;
use crate::error::AccountingError;
use crate::journal::{Code, Entry, Journal, Phase, payable, step};
use crate::read::{address, amount, hash, rows};
use crate::state::State;

/// An account's position in one vault and token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) cumulative: u128,
    pub(crate) claimed: u128,
}

/// Positions by (vault, account, token).
#[derive(Debug, Default)]
pub(crate) struct Standing {
    pub(crate) positions: BTreeMap<(Address, Address, Address), Position>,
}

/// A pending entry that was posted: what its payee earned now.
#[derive(Debug, Clone)]
pub(crate) struct Posted {
    pub(crate) purse: Purse,
    pub(crate) payee: Address,
    pub(crate) amount: u128,
}

impl Standing {
    /// Positions after the last epoch that had blocks.
    pub(crate) async fn before(ctx: &SessionContext, epoch: i64) -> Result<Self, AccountingError> {
        let mut positions = BTreeMap::new();
        // Every settled epoch with blocks says where everybody stands; an epoch without blocks says nothing.
        let last = format!("epoch = (SELECT max(epoch) FROM claims WHERE epoch < {epoch})");
        for row in rows::<ClaimRow>(ctx, &last).await? {
            let key = (address(&row.vault)?, address(&row.account)?, address(&row.token)?);
            positions.insert(key, Position { cumulative: amount(row.cumulative.0)?, claimed: amount(row.claimed.0)? });
        }
        Ok(Self { positions })
    }

    pub(crate) fn earn(&mut self, (vault, token): Purse, account: Address, amount: u128) {
        let position = self.positions.entry((vault, account, token)).or_default();
        position.cumulative = position.cumulative.saturating_add(amount);
    }

    /// Pending entries whose window is over at the cut: posted to their payees, or voided into suspense.
    pub(crate) async fn release(
        &mut self,
        ctx: &SessionContext,
        state: &State,
        journal: &mut Journal,
    ) -> Result<Vec<Posted>, AccountingError> {
        let entries: Vec<LedgerEntryRow> = rows(ctx, "phase <> 'single'").await?;
        let done: std::collections::BTreeSet<String> =
            entries.iter().filter(|row| row.phase != "pending").map(|row| row.source.clone()).collect();
        let mut posted = Vec::new();
        for row in entries.iter().filter(|row| row.phase == "pending") {
            let source = format!("{}{}", row.entry_id, "0".repeat(32));
            if done.contains(&source) {
                continue;
            }
            let (batch_sk, release, resolve_by, payee) = pending(&row.credit)?;
            let batch = state.batches.get(&batch_sk);
            let stands = batch.is_some_and(crate::state::Batch::counts);
            let challenged = batch.is_some_and(|batch| batch.challenged);
            let cut = state.bounds.last;
            if stands && (release > cut || (challenged && resolve_by > cut)) {
                continue;
            }
            let purse = (address(&row.vault)?, address(&row.token)?);
            let amount = amount(row.amount.0)?;
            let (credit, code, phase) = if stands {
                posted.push(Posted { purse, payee, amount });
                self.earn(purse, payee, amount);
                (payable(payee), Code::Credit, Phase::Post)
            } else {
                ("suspense:batch_rejected".to_owned(), Code::Hold, Phase::Void)
            };
            journal.write(Entry {
                purse,
                debit: row.credit.clone(),
                credit,
                amount,
                code,
                phase,
                source: hash(&source)?,
                adjusts: Some(row.epoch),
            })?;
        }
        Ok(posted)
    }

    /// Claims of the epoch. What was claimed beyond what was due is recorded as owed by the account, and an alarm.
    pub(crate) async fn claim(
        &mut self,
        ctx: &SessionContext,
        epoch: i64,
        journal: &mut Journal,
    ) -> Result<(), AccountingError> {
        let mut claims: Vec<RewardClaimRow> = rows(ctx, &format!("epoch = {epoch}")).await?;
        claims.sort_by_key(|row| (row.block_number, row.log_index));
        for row in claims {
            let (vault, account, token) = (address(&row.vault)?, address(&row.account)?, address(&row.token)?);
            let claimed = amount(row.amount.0)?;
            let position = self.positions.entry((vault, account, token)).or_default();
            let due = std::cmp::min(claimed, position.cumulative.saturating_sub(position.claimed));
            position.claimed = position.claimed.saturating_add(claimed);
            let entry = |debit: String, amount: u128| -> Result<Entry, AccountingError> {
                let (credit, source) = ("claimed".to_owned(), hash(&row.event_id)?);
                Ok(Entry {
                    purse: (vault, token),
                    debit,
                    credit,
                    amount,
                    code: Code::Claim,
                    phase: Phase::Single,
                    source,
                    adjusts: None,
                })
            };
            journal.write(entry(payable(account), due)?)?;
            if claimed > due {
                tracing::error!(%account, %token, claimed, due, "claimed more than was due");
                journal.write(entry(format!("receivable:{}", hex_text(account)), claimed - due)?)?;
            }
        }
        Ok(())
    }
}

/// The parts of a pending account's name.
fn pending(name: &str) -> Result<(i64, i64, i64, Address), AccountingError> {
    let malformed = || AccountingError::inconsistent(format!("{name:?} is not a pending account"));
    let mut parts = name.split(':').skip(1);
    let mut number = || parts.next().and_then(|part| part.parse::<i64>().ok());
    let (Some(batch), Some(release), Some(resolve_by)) = (number(), number(), number()) else {
        return Err(malformed());
    };
    let payee = parts.next().ok_or_else(malformed)?;
    Ok((batch, release, resolve_by, address(payee)?))
}

/// The source of entries that close the epoch's clearing.
pub(crate) fn closing() -> B256 {
    step("close")
}
