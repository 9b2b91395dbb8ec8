//! What vaults hold at the ends of epochs: enough, too little, or read by nobody.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeMap;
use tributary_schemas::column::Decimal38;
use tributary_schemas::facts::VaultBalanceRow;

use super::Maker;

/// Sets these draws apart from all others of a seed, so that they change nothing else of its world.
const APART: u64 = 0x7661_756c_7473;

impl Maker {
    /// Readings, in two worlds of three: the rest is as if nobody had looked.
    pub(crate) fn fundings(&mut self, seed: u64, epochs: &[i64]) {
        self.rng = ChaCha8Rng::seed_from_u64(seed ^ APART);
        if self.once_in(3) {
            return;
        }
        for epoch in epochs {
            let blocks = self.facts.blocks.iter().filter(|block| block.epoch == *epoch);
            let last = blocks.max_by_key(|block| block.number).expect("the world has blocks in every epoch").clone();
            let mut purses: BTreeMap<(String, String), i128> = BTreeMap::new();
            for row in self.facts.payments.iter().filter(|row| row.block_number <= last.number) {
                let taken_in = purses.entry((row.vault.clone(), row.token.clone())).or_default();
                *taken_in = std::cmp::min(taken_in.saturating_add(row.amount.0), 10i128.pow(38) - 1);
            }
            for ((vault, token), taken_in) in purses {
                let stake = if self.once_in(4) { self.heavy(12) } else { 0 };
                let balance = match self.between(0, 6) {
                    0 => continue,
                    1 => 0,
                    2 | 3 => self.heavy(27),
                    4 => taken_in / i128::from(self.between(1, 40)),
                    5 => taken_in,
                    _ => 10i128.pow(38) - 1,
                };
                self.facts.vault_balances.push(VaultBalanceRow {
                    epoch: *epoch,
                    block_number: last.number,
                    block_hash: last.hash.clone(),
                    vault,
                    token,
                    balance: Decimal38(balance),
                    stake: Decimal38(stake),
                    known: "read".to_owned(),
                    endpoints: 1,
                });
            }
        }
    }
}
