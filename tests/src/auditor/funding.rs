//! What vaults hold against what they owe, by the book: accounts one by one.

use alloy_primitives::keccak256;
use num_bigint::BigUint;
use std::collections::{BTreeMap, BTreeSet};

use super::ledger::{Entry, id};
use super::{Audit, Auditor, Cut, Positions, big, cascade};

/// What waits: (vault, token, epoch that earned it, account) → id of its entry, and how much is left of it.
pub(super) type Unfunded = BTreeMap<(String, String, i64, String), ([u8; 16], BigUint)>;

impl Auditor {
    /// What waits in all, by vault and token.
    #[must_use]
    pub fn waiting(&self) -> BTreeMap<(String, String), BigUint> {
        let mut out = BTreeMap::new();
        for ((vault, token, ..), (_, left)) in &self.unfunded {
            *out.entry((vault.clone(), token.clone())).or_insert(BigUint::ZERO) += left;
        }
        out
    }

    /// Puts back what the vaults do not hold, and takes out what they hold now. `before` is where accounts stood when the
    /// epoch's claims were taken off.
    #[expect(clippy::too_many_lines, reason = "the obvious version is read from top to bottom")]
    pub(super) fn fund(&mut self, cut: &Cut<'_>, before: &Positions, write: &mut impl FnMut(Entry), audit: &mut Audit) {
        let mut purses: BTreeSet<(String, String)> =
            self.unfunded.keys().map(|(vault, token, ..)| (vault.clone(), token.clone())).collect();
        let readings = cut.facts.vault_balances.iter().filter(|row| row.epoch == cut.epoch);
        let readings: BTreeMap<(String, String), BigUint> = readings
            .map(|row| {
                let free = big(std::cmp::max(row.balance.0 - row.stake.0, 0));
                ((row.vault.clone(), row.token.clone()), free)
            })
            .collect();
        purses.extend(readings.keys().cloned());
        for (vault, token) in purses {
            let mut increases = BTreeMap::new();
            let mut open = BigUint::ZERO;
            for (key, (cumulative, claimed)) in &self.positions {
                if key.0 == vault && key.2 == token {
                    let old = before.get(key).map_or(BigUint::ZERO, |position| position.0.clone());
                    open += if old > *claimed { &old - claimed } else { BigUint::ZERO };
                    increases.insert(key.1.clone(), cumulative - old);
                }
            }
            let waiting: Vec<_> =
                self.unfunded.keys().filter(|key| key.0 == vault && key.1 == token).cloned().collect();
            let mut room = match readings.get(&(vault.clone(), token.clone())) {
                Some(free) if *free > open => free - open,
                Some(_) => BigUint::ZERO,
                None if waiting.is_empty() => continue,
                None => BigUint::ZERO,
            };
            let mut released: Vec<(String, BigUint)> = Vec::new();
            let epochs: BTreeSet<i64> = waiting.iter().map(|key| key.2).collect();
            for since in epochs {
                let of_epoch: Vec<_> = waiting.iter().filter(|key| key.2 == since).cloned().collect();
                let amounts: Vec<BigUint> = of_epoch.iter().map(|key| self.unfunded[key].1.clone()).collect();
                let given = std::cmp::min(room.clone(), amounts.iter().sum());
                room -= &given;
                for (key, part) in of_epoch.into_iter().zip(cascade(&given, &amounts)) {
                    let (held_by, left) = self.unfunded.get_mut(&key).expect("it waits");
                    *left -= &part;
                    let mut source = [0; 32];
                    source[..16].copy_from_slice(held_by);
                    write(Entry {
                        vault: vault.clone(),
                        token: token.clone(),
                        debit: format!("unfunded:{}", key.3),
                        credit: format!("payable:{}", key.3),
                        amount: part.clone(),
                        code: 2,
                        phase: 2,
                        source,
                        adjusts: Some(since),
                    });
                    let line = (vault.clone(), token.clone(), key.3.clone(), "funded".to_owned(), Some(since));
                    *audit.roles.entry(line).or_default() += &part;
                    released.push((key.3, part));
                }
            }
            let weights: Vec<BigUint> = increases.values().cloned().collect();
            let whole: BigUint = weights.iter().sum();
            let given = std::cmp::min(room, whole);
            let parts = cascade(&given, &weights);
            for ((account, increase), part) in increases.into_iter().zip(parts) {
                let waits = increase - part;
                let entry = Entry {
                    vault: vault.clone(),
                    token: token.clone(),
                    debit: format!("payable:{account}"),
                    credit: format!("unfunded:{account}"),
                    amount: waits.clone(),
                    code: 3,
                    phase: 1,
                    source: keccak256(b"trib/step/1unfunded").0,
                    adjusts: None,
                };
                if waits > BigUint::ZERO {
                    let key = (vault.clone(), token.clone(), cut.epoch, account.clone());
                    self.unfunded.insert(key, (id(cut.epoch, &entry), waits.clone()));
                }
                write(entry);
                let line = (vault.clone(), token.clone(), account.clone(), "unfunded".to_owned(), None);
                *audit.roles.entry(line).or_default() += &waits;
                let position = self.positions.get_mut(&(vault.clone(), account, token.clone()));
                position.expect("it earned").0 -= waits;
            }
            for (account, part) in released {
                let position = self.positions.get_mut(&(vault.clone(), account, token.clone()));
                position.expect("it earned before").0 += part;
            }
        }
        self.unfunded.retain(|_, (_, left)| *left > BigUint::ZERO);
    }
}
