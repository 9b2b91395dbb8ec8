//! What vaults hold against what they owe (ruling 6), account by account and never the whole root.
//!
//! A reading says what a vault held of a token at the cut; what of that is stake is not its own. Claims are paid from the
//! rest, so the cumulative amounts of a tree less what was claimed must not come to more. What an epoch earned goes on the
//! tree as far as that leaves room; the rest waits as `unfunded`, and the shortfall is an alarm.
//!
//! - *Owed* is what payees earned and did not claim, what waits included. What is pending, in suspense or the treasury's
//!   can be claimed by nobody and is not in it: it is compared at the cut that posts it, behind what was earned before.
//! - What waits from the oldest epoch comes first, then that of the next, and last the epoch's own increases: a later
//!   payee never overtakes an earlier one.
//! - Within an epoch room is divided pro rata to the increases, by the cascade in the order of addresses. Who has half of
//!   the increase gets half of the room: splitting an account, or having another address, moves a base unit at most.
//! - An amount that is on the tree stays there, however little the vault holds: a cumulative amount never falls (INV-09).
//! - A vault and token without a reading settle as if the vault held enough, unless something of theirs waits: then their
//!   increases wait too, as nothing says that the money came.
//!
//! The journal credits payees in full and takes from them what waits: an entry `payable` → `unfunded` in two phases, the
//! second one, which posts it back, in as many parts as the balance makes of it.

use alloy_primitives::{Address, B256};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use tributary_schemas::Amount;
use tributary_schemas::column::{Decimal38, hex_text};
use tributary_schemas::facts::VaultBalanceRow;
use tributary_schemas::money::{FundingRow, LedgerEntryRow};

use crate::book::Purse;
use crate::cascade::portion;
use crate::error::AccountingError;
use crate::journal::{Code, Entry, Journal, Phase, UNFUNDED, control, payable, step, unfunded};
use crate::next::Cut;
use crate::read::{address, amount, hash};
use crate::standing::{Posted, Standing};
use crate::state::Bounds;

/// What claims of each vault and token can be paid from, where it was read.
pub(crate) type Held = BTreeMap<Purse, u128>;

/// What the readings of an epoch say.
///
/// # Errors
///
/// When one is of another epoch or block, or there are two of one vault and token.
pub(crate) fn held(readings: &[VaultBalanceRow], epoch: i64, cut: &Bounds) -> Result<Held, AccountingError> {
    let mut out = Held::new();
    for row in readings {
        let what = format!("the balance of token {} in vault {}", row.token, row.vault);
        let expected = format!("block {} {} of epoch {epoch}, the cut", cut.last, cut.last_hash);
        let said = format!("block {} {} of epoch {}, the cut", row.block_number, row.block_hash, row.epoch);
        if said != expected {
            return Err(AccountingError::Unfit { what: format!("{what} is that at {said}"), expected });
        }
        let purse = (address(&row.vault)?, address(&row.token)?);
        let units = amount(row.balance.0)?.saturating_sub(amount(row.stake.0)?);
        if out.insert(purse, units).is_some() {
            return Err(AccountingError::Unfit { what: format!("{what} is there twice"), expected: "one".to_owned() });
        }
    }
    Ok(out)
}

/// The readings as a manifest has them: what they say, and not who said it.
pub(crate) fn inputs(readings: &[VaultBalanceRow]) -> serde_json::Value {
    let mut sorted: Vec<&VaultBalanceRow> = readings.iter().collect();
    sorted.sort_by(|a, b| (&a.vault, &a.token).cmp(&(&b.vault, &b.token)));
    let said = |row: &VaultBalanceRow| {
        serde_json::json!({
            "vault": row.vault, "token": row.token, "balance": row.balance.0.to_string(),
            "stake": row.stake.0.to_string(),
        })
    };
    sorted.into_iter().map(said).collect()
}

/// The readings that the manifest of another index of the chain has: what it does not have was not compared there.
///
/// # Errors
///
/// When it is no manifest, or that of another chain, epoch or last block than the cut's.
pub fn readings_in(manifest: &str, chain_id: u64, cut: &Cut) -> Result<Vec<VaultBalanceRow>, AccountingError> {
    let unfit = |what: String, expected: &str| AccountingError::Unfit { what, expected: expected.to_owned() };
    let manifest: Manifest =
        serde_json::from_str(manifest).map_err(|error| unfit(error.to_string(), "the manifest of an epoch"))?;
    let told = [manifest.chain_id, manifest.epoch, manifest.last_block, manifest.last_block_hash];
    let ours = [chain_id.to_string(), cut.epoch.to_string(), cut.block_number.to_string(), hex_text(cut.block_hash)];
    if told != ours {
        let said = |[chain, epoch, block, hash]: [String; 4]| {
            format!("chain {chain}, epoch {epoch}, last block {block} {hash}")
        };
        return Err(unfit(format!("a manifest of {}", said(told)), &said(ours)));
    }
    let row = |one: ManifestBalance| {
        let units = |text: &str| text.parse().map_err(|error| unfit(format!("{text:?} ({error})"), "base units"));
        Ok(VaultBalanceRow {
            epoch: cut.epoch,
            block_number: cut.block_number,
            block_hash: hex_text(cut.block_hash),
            vault: hex_text(address(&one.vault)?),
            token: hex_text(address(&one.token)?),
            balance: Decimal38(units(&one.balance)?),
            stake: Decimal38(units(&one.stake)?),
            known: "imported".to_owned(),
            endpoints: 0,
        })
    };
    manifest.vault_balances.into_iter().map(row).collect()
}

/// What of a manifest says where and what was read.
#[derive(Deserialize)]
struct Manifest {
    chain_id: String,
    epoch: String,
    last_block: String,
    last_block_hash: String,
    #[serde(default)]
    vault_balances: Vec<ManifestBalance>,
}

/// As [`inputs`] writes it.
#[derive(Deserialize)]
struct ManifestBalance {
    vault: String,
    token: String,
    balance: String,
    stake: String,
}

/// What waits for one account, of the increase of one epoch.
#[derive(Debug, Clone, Copy)]
struct Wait {
    /// Id of the entry that waits, and 16 zero bytes.
    source: B256,
    units: u128,
}

/// What waits, by the epoch that earned it, and there by account.
#[derive(Debug, Default)]
pub(crate) struct Queue(BTreeMap<Purse, BTreeMap<i64, BTreeMap<Address, Wait>>>);

impl Queue {
    /// Of the entries in two phases: what was taken from payees less what was posted back.
    pub(crate) fn of(entries: &[LedgerEntryRow]) -> Result<Self, AccountingError> {
        let mut this = Self::default();
        let of = |name: &str| address(name.trim_start_matches(UNFUNDED).trim_start_matches(':'));
        for row in entries.iter().filter(|row| control(&row.credit) == UNFUNDED) {
            let purse = (address(&row.vault)?, address(&row.token)?);
            let source = hash(&format!("{}{}", row.entry_id, "0".repeat(32)))?;
            let wait = Wait { source, units: amount(row.amount.0)? };
            this.0.entry(purse).or_default().entry(row.epoch).or_default().insert(of(&row.credit)?, wait);
        }
        for row in entries.iter().filter(|row| control(&row.debit) == UNFUNDED) {
            let purse = (address(&row.vault)?, address(&row.token)?);
            let since = row.adjusts_epoch.unwrap_or(row.epoch);
            let waits = this.0.get_mut(&purse).and_then(|of_purse| of_purse.get_mut(&since));
            let wait = waits.and_then(|waits| waits.get_mut(&of(&row.debit).ok()?));
            let left = wait.as_ref().and_then(|wait| wait.units.checked_sub(row.amount.0.unsigned_abs()));
            let (Some(wait), Some(left)) = (wait, left) else {
                let what = format!("entry {} posts more than waits in {}", row.entry_id, row.debit);
                return Err(AccountingError::inconsistent(what));
            };
            wait.units = left;
        }
        for of_purse in this.0.values_mut() {
            of_purse.values_mut().for_each(|waits| waits.retain(|_, wait| wait.units > 0));
            of_purse.retain(|_, waits| !waits.is_empty());
        }
        this.0.retain(|_, of_purse| !of_purse.is_empty());
        Ok(this)
    }

    fn units(&self, purse: Purse) -> u128 {
        let waits = self.0.get(&purse).into_iter().flat_map(BTreeMap::values).flat_map(BTreeMap::values);
        waits.map(|wait| wait.units).sum()
    }
}

/// An epoch's increases, compared.
#[derive(Debug)]
pub(crate) struct Funding {
    epoch: i64,
    held: Held,
    queue: Queue,
    /// What waits of the epoch's own increases.
    waiting: BTreeMap<Purse, u128>,
    /// Lines of statements: what begins to wait, and what does no longer.
    pub(crate) lines: Vec<Posted>,
}

impl Funding {
    /// Compares what was earned with what is held: what `standing` is left with is what goes on the tree.
    pub(crate) fn compare(
        epoch: i64,
        held: Held,
        queue: Queue,
        standing: &mut Standing,
        journal: &mut Journal,
    ) -> Result<Self, AccountingError> {
        let mut this = Self { epoch, held, queue, waiting: BTreeMap::new(), lines: Vec::new() };
        let concerned: BTreeSet<Purse> = this.held.keys().chain(this.queue.0.keys()).copied().collect();
        if concerned.is_empty() {
            return Ok(this);
        }
        let (open, increase) = (standing.owed().1, standing.increase());
        for purse in concerned {
            let units = |map: &BTreeMap<Purse, u128>| map.get(&purse).copied().unwrap_or(0);
            let new = units(&increase);
            let room = this.held.get(&purse).map(|held| held.saturating_sub(units(&open)));
            let room = match room {
                Some(room) => this.release(purse, room, standing, journal)?,
                None if this.queue.0.contains_key(&purse) => 0,
                None => new,
            };
            if room < new {
                this.withhold(purse, (room, new), standing, journal)?;
            }
        }
        Ok(this)
    }

    /// Posts what waits, as far as there is room, the oldest first. Returns the room that is left.
    fn release(
        &mut self,
        purse: Purse,
        mut room: u128,
        standing: &mut Standing,
        journal: &mut Journal,
    ) -> Result<u128, AccountingError> {
        let Some(of_purse) = self.queue.0.get_mut(&purse) else { return Ok(room) };
        for (since, waits) in of_purse.iter_mut() {
            let whole: u128 = waits.values().map(|wait| wait.units).sum();
            let granted = std::cmp::min(room, whole);
            room -= granted;
            let mut running = 0;
            for (account, wait) in waits.iter_mut() {
                let before = portion(granted, running, whole);
                running += wait.units;
                let part = portion(granted, running, whole) - before;
                wait.units -= part;
                if part == 0 {
                    continue;
                }
                standing.earn(purse, *account, part);
                self.lines.push(Posted {
                    purse,
                    payee: *account,
                    role: Posted::FUNDED,
                    amount: part.cast_signed(),
                    adjusts: Some(*since),
                });
                journal.write(Entry {
                    purse,
                    debit: unfunded(*account),
                    credit: payable(*account),
                    amount: part,
                    code: Code::Credit,
                    phase: Phase::Post,
                    source: wait.source,
                    adjusts: Some(*since),
                })?;
            }
        }
        Ok(room)
    }

    /// Takes from every increase of the epoch what there is no room for.
    fn withhold(
        &mut self,
        purse: Purse,
        (room, whole): (u128, u128),
        standing: &mut Standing,
        journal: &mut Journal,
    ) -> Result<(), AccountingError> {
        // What waited and was posted just now is an increase too, and never waits again.
        let posted: BTreeMap<Address, u128> = self.posted(purse);
        let mut granted = Vec::new();
        let mut running = 0;
        for (account, all) in standing.increases(purse) {
            let again = posted.get(&account).copied().unwrap_or(0);
            let increase = all.saturating_sub(again);
            let before = portion(room, running, whole);
            running += increase;
            let part = portion(room, running, whole) - before;
            granted.push((account, part + again));
            let units = increase - part;
            if units == 0 {
                continue;
            }
            self.lines.push(Posted {
                purse,
                payee: account,
                role: Posted::UNFUNDED,
                amount: -units.cast_signed(),
                adjusts: None,
            });
            journal.write(Entry {
                purse,
                debit: payable(account),
                credit: unfunded(account),
                amount: units,
                code: Code::Hold,
                phase: Phase::Pending,
                source: step(UNFUNDED),
                adjusts: None,
            })?;
        }
        standing.replace(purse, granted);
        self.waiting.insert(purse, whole - room);
        Ok(())
    }

    fn posted(&self, purse: Purse) -> BTreeMap<Address, u128> {
        let mut out = BTreeMap::new();
        for line in self.lines.iter().filter(|line| line.purse == purse) {
            *out.entry(line.payee).or_default() += line.amount.unsigned_abs();
        }
        out
    }

    /// What waits of a vault and token after the epoch.
    pub(crate) fn waiting(&self, purse: Purse) -> u128 {
        self.queue.units(purse) + self.waiting.get(&purse).copied().unwrap_or(0)
    }

    /// Rows of the table, in its order. `open` is what payees may still claim, `granted` what positions rose by.
    pub(crate) fn rows(
        &self,
        block_number: i64,
        open: &BTreeMap<Purse, u128>,
        granted: &BTreeMap<Purse, u128>,
    ) -> Vec<FundingRow> {
        let purses: BTreeSet<Purse> = open.keys().chain(self.held.keys()).chain(granted.keys()).copied().collect();
        let row = |purse: Purse| {
            let units = |map: &BTreeMap<Purse, u128>| map.get(&purse).copied().unwrap_or(0);
            let (held, waiting) = (self.held.get(&purse).copied(), self.waiting(purse));
            let owed = std::cmp::min(units(open).saturating_add(waiting), Amount::LIMIT - 1);
            let state = match held {
                None => "not_compared",
                Some(held) if held < owed => "short",
                Some(_) => "covered",
            };
            FundingRow {
                epoch: self.epoch,
                block_number,
                vault: hex_text(purse.0),
                token: hex_text(purse.1),
                state: state.to_owned(),
                owed: Decimal38(owed.cast_signed()),
                held: held.map(|units| Decimal38(units.cast_signed())),
                granted: Decimal38(units(granted).cast_signed()),
                waiting: Decimal38(waiting.cast_signed()),
            }
        };
        purses.into_iter().map(row).collect()
    }
}
