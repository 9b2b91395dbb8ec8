//! Where accounts stand: what each earned since the beginning, what it claimed, and what waits for a challenge.

use alloy_primitives::{Address, U256};
use datafusion::prelude::SessionContext;
use std::collections::BTreeMap;
use std::ops::Range;
use tributary_schemas::Amount;
use tributary_schemas::facts::RewardClaimRow;
use tributary_schemas::invariant::CUMULATIVE_MONOTONE;
use tributary_schemas::money::LedgerEntryRow;

use crate::book::Purse;
use crate::error::{AccountingError, hold};
use crate::journal::{Code, Entry, Journal, PENDING, Phase, control, payable, receivable};
use crate::names::index;
use crate::read::{address, amount, each, hash, rows};
use crate::state::State;

/// An account's position in one vault and token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) account: Address,
    /// Number of the purse.
    purse: u32,
    pub(crate) cumulative: u128,
    pub(crate) claimed: u128,
}

/// Positions of everybody: as many as payees since the beginning, so they lie in one list.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    purses: Vec<Purse>,
    /// By (account, token, vault), each once.
    positions: Vec<Position>,
    /// Earned since and not in the positions yet: (account, number of the purse, base units).
    earned: Vec<(Address, u32, u128)>,
}

/// A line that an entry of its own makes: a pending one that was posted is what its payee earned now.
#[derive(Debug, Clone)]
pub(crate) struct Posted {
    pub(crate) purse: Purse,
    pub(crate) payee: Address,
    pub(crate) role: &'static str,
    pub(crate) amount: i128,
    /// The epoch that booked it pending.
    pub(crate) adjusts: Option<i64>,
}

impl Posted {
    /// Their roles: what a challenge window held, and what waits, or waited, for the vault's balance.
    pub(crate) const ROLES: [&str; 3] = [Self::POSTED, Self::UNFUNDED, Self::FUNDED];
    pub(crate) const POSTED: &str = "posted";
    pub(crate) const UNFUNDED: &str = "unfunded";
    pub(crate) const FUNDED: &str = "funded";
}

impl Standing {
    /// Positions after the last epoch that had blocks.
    pub(crate) async fn before(ctx: &SessionContext, epoch: i64) -> Result<Self, AccountingError> {
        let mut this = Self::default();
        // Every settled epoch with blocks says where everybody stands; an epoch without blocks says nothing.
        let sql = format!(
            "SELECT vault, account, token, cumulative, claimed FROM claims WHERE epoch = (SELECT max(epoch) FROM claims WHERE epoch < {epoch})"
        );
        each(ctx, &sql, |columns| {
            let (vaults, tokens) = (columns.text("vault", address)?, columns.text("token", address)?);
            let (cumulative, claimed) = (columns.money("cumulative")?, columns.money("claimed")?);
            for (row, account) in columns.text("account", address)?.into_iter().enumerate() {
                let purse = this.purse((vaults[row], tokens[row]));
                let (cumulative, claimed) = (amount(cumulative[row])?, amount(claimed[row])?);
                this.positions.push(Position { account, purse, cumulative, claimed });
            }
            Ok(())
        })
        .await?;
        this.sort();
        Ok(this)
    }

    fn purse(&mut self, purse: Purse) -> u32 {
        let known = self.purses.iter().position(|one| *one == purse).unwrap_or(self.purses.len());
        if known == self.purses.len() {
            self.purses.push(purse);
        }
        u32::try_from(known).unwrap_or(u32::MAX)
    }

    fn order(purses: &[Purse], account: Address, purse: u32) -> (Address, Address, Address) {
        let (vault, token) = purses[index(purse)];
        (account, token, vault)
    }

    fn sort(&mut self) {
        let purses = &self.purses;
        self.positions.sort_unstable_by(|a, b| {
            Self::order(purses, a.account, a.purse).cmp(&Self::order(purses, b.account, b.purse))
        });
    }

    fn position(&mut self, (vault, token): Purse, account: Address) -> &mut Position {
        let purse = self.purse((vault, token));
        let purses = &self.purses;
        let found = self
            .positions
            .binary_search_by(|one| Self::order(purses, one.account, one.purse).cmp(&(account, token, vault)));
        let at = found.unwrap_or_else(|at| {
            // Somebody claims who never earned: rare, and an alarm.
            self.positions.insert(at, Position { account, purse, ..Position::default() });
            at
        });
        &mut self.positions[at]
    }

    pub(crate) fn earn(&mut self, purse: Purse, account: Address, amount: u128) {
        let purse = self.purse(purse);
        self.earned.push((account, purse, amount));
    }

    /// What each account earned in a vault and token that is in no position yet.
    pub(crate) fn increases(&self, purse: Purse) -> BTreeMap<Address, u128> {
        let mut sums = BTreeMap::new();
        for (account, _, amount) in self.earned.iter().filter(|(_, one, _)| self.purses[index(*one)] == purse) {
            *sums.entry(*account).or_default() += amount;
        }
        sums
    }

    /// The sums of all increases, by vault and token.
    pub(crate) fn increase(&self) -> BTreeMap<Purse, u128> {
        let mut sums: BTreeMap<Purse, u128> = BTreeMap::new();
        for (_, purse, amount) in &self.earned {
            *sums.entry(self.purses[index(*purse)]).or_default() += amount;
        }
        sums
    }

    /// Puts others in the place of the increases in a vault and token.
    pub(crate) fn replace(&mut self, purse: Purse, increases: impl IntoIterator<Item = (Address, u128)>) {
        let number = self.purse(purse);
        self.earned.retain(|(_, one, _)| *one != number);
        self.earned.extend(increases.into_iter().map(|(account, amount)| (account, number, amount)));
    }

    /// Adds what was earned to the positions. A cumulative entitlement never falls (INV-09), and an account has one
    /// position. Returns what was earned, per vault and token.
    pub(crate) fn settle(&mut self, epoch: i64) -> Result<BTreeMap<Purse, u128>, AccountingError> {
        let count = self.positions.len();
        let sums = self.increase();
        let earned = std::mem::take(&mut self.earned);
        self.positions.reserve_exact(earned.len());
        for (account, purse, amount) in earned {
            self.positions.push(Position { account, purse, cumulative: amount, claimed: 0 });
        }
        let before: U256 =
            self.positions.iter().take(count).fold(U256::ZERO, |sum, one| sum + U256::from(one.cumulative));
        let after: U256 = self.positions.iter().fold(U256::ZERO, |sum, one| sum + U256::from(one.cumulative));
        self.sort();
        let mut fits = true;
        self.positions.dedup_by(|next, kept| {
            let same = (next.account, next.purse) == (kept.account, kept.purse);
            if same {
                let sum = kept.cumulative.checked_add(next.cumulative);
                fits &= sum.is_some();
                kept.cumulative = sum.unwrap_or(u128::MAX);
                kept.claimed = kept.claimed.saturating_add(next.claimed);
            }
            same
        });
        let stands: U256 = self.positions.iter().fold(U256::ZERO, |sum, one| sum + U256::from(one.cumulative));
        hold(&CUMULATIVE_MONOTONE, fits && stands == after && after >= before, || {
            format!("entitlements of epoch {epoch} sum to {stands}: expected {after}, at least {before}")
        })?;
        let key = |one: &Position| Self::order(&self.purses, one.account, one.purse);
        let twice = self.positions.windows(2).find(|pair| key(&pair[0]) >= key(&pair[1]));
        hold(&CUMULATIVE_MONOTONE, twice.is_none(), || {
            format!("positions of epoch {epoch}: {twice:?} are out of order or the same, expected one each")
        })?;
        Ok(sums)
    }

    /// What all positions of each vault and token are entitled to, and what of that was not claimed.
    pub(crate) fn owed(&self) -> (BTreeMap<Purse, u128>, BTreeMap<Purse, u128>) {
        let (mut entitled, mut open) = (BTreeMap::new(), BTreeMap::new());
        for (purse, one) in self.iter() {
            *entitled.entry(purse).or_default() += one.cumulative;
            *open.entry(purse).or_default() += one.cumulative.saturating_sub(one.claimed);
        }
        (entitled, open)
    }

    /// Everybody's position with its vault and token, by account, token and vault.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Purse, &Position)> {
        self.range(0..self.positions.len())
    }

    /// Some of them, by their numbers.
    pub(crate) fn range(&self, range: Range<usize>) -> impl Iterator<Item = (Purse, &Position)> {
        self.positions[range].iter().map(|one| (self.purses[index(one.purse)], one))
    }

    /// Vaults and tokens that somebody has a position in.
    pub(crate) fn purses(&self) -> impl Iterator<Item = Purse> {
        self.purses.iter().copied()
    }

    /// Number of positions.
    pub(crate) fn len(&self) -> usize {
        self.positions.len()
    }

    /// Pending entries, of those in two phases, whose window is over at the cut: posted to their payees, or voided into
    /// suspense.
    pub(crate) fn release(
        &mut self,
        entries: &[LedgerEntryRow],
        state: &State,
        journal: &mut Journal,
    ) -> Result<Vec<Posted>, AccountingError> {
        let done: std::collections::BTreeSet<String> =
            entries.iter().filter(|row| row.phase != "pending").map(|row| row.source.clone()).collect();
        let mut posted = Vec::new();
        let waits = |row: &&LedgerEntryRow| row.phase == "pending" && control(&row.credit) == PENDING;
        for row in entries.iter().filter(waits) {
            let source = format!("{}{}", row.entry_id, "0".repeat(32));
            if done.contains(&source) {
                continue;
            }
            let (batch_sk, release, payee) = pending(&row.credit)?;
            let batch = state.batches.get(&batch_sk);
            let stands = batch.is_some_and(crate::state::Batch::counts);
            let challenged = batch.is_some_and(|batch| state.is_challenged(batch));
            if stands && (release > state.bounds.last || challenged) {
                continue;
            }
            let purse = (address(&row.vault)?, address(&row.token)?);
            let amount = amount(row.amount.0)?;
            let (credit, code, phase) = if stands {
                let (role, units) = (Posted::POSTED, amount.cast_signed());
                posted.push(Posted { purse, payee, role, amount: units, adjusts: Some(row.epoch) });
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

    /// Claims of the epoch. What was claimed beyond what was due is recorded as owed by the account, and an alarm. No
    /// vault can have paid out 10^38 of a token: an event that says so is believed up to there.
    pub(crate) async fn claim(
        &mut self,
        ctx: &SessionContext,
        epoch: i64,
        journal: &mut Journal,
    ) -> Result<(), AccountingError> {
        let mut claims: Vec<RewardClaimRow> = rows(ctx, &format!("epoch = {epoch}")).await?;
        claims.sort_by_key(|row| (row.block_number, row.log_index));
        let mut room: BTreeMap<Purse, u128> = BTreeMap::new();
        if !claims.is_empty() {
            for (purse, one) in self.iter() {
                let room = room.entry(purse).or_insert(Amount::LIMIT - 1);
                *room = room.saturating_sub(one.claimed);
            }
        }
        for row in claims {
            let (vault, account, token) = (address(&row.vault)?, address(&row.account)?, address(&row.token)?);
            let said = amount(row.amount.0)?;
            let room = room.entry((vault, token)).or_insert(Amount::LIMIT - 1);
            let claimed = std::cmp::min(said, *room);
            *room -= claimed;
            if claimed < said {
                tracing::error!(%vault, %token, said, claimed, "claims would reach 10^38: the rest is not booked");
            }
            let position = self.position((vault, token), account);
            let due = std::cmp::min(claimed, position.cumulative.saturating_sub(position.claimed));
            position.claimed += claimed;
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
                journal.write(entry(receivable(account), claimed - due)?)?;
            }
        }
        Ok(())
    }
}

/// The batch that a pending account waits for.
pub(crate) fn batch_of(name: &str) -> Result<i64, AccountingError> {
    pending(name).map(|(batch, ..)| batch)
}

/// Batch, release and payee of a pending account's name.
fn pending(name: &str) -> Result<(i64, i64, Address), AccountingError> {
    let malformed = || AccountingError::inconsistent(format!("{name:?} is not a pending account"));
    let mut parts = name.split(':').skip(1);
    let mut number = || parts.next().and_then(|part| part.parse::<i64>().ok());
    let (Some(batch), Some(release), Some(_)) = (number(), number(), number()) else {
        return Err(malformed());
    };
    let payee = parts.next().ok_or_else(malformed)?;
    Ok((batch, release, address(payee)?))
}
