//! Random worlds from a seed: the rows an indexer would have made of a chain with everything awkward in it.
//!
//! Heavy tails, inferences without a usable record, diamonds and chains of models, tokens of 6 and 18 decimals, missing,
//! late and malformed blobs, releases of what is held, refunds before and after settlement, penalties, stakes, splits, quarantine, policies that
//! change, records out of lineage, challenge windows, late edges, vaults that hold less than they owe.

mod funding;
mod graph;
mod money;
mod usage;

use alloy_primitives::{Address, keccak256};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tributary_schemas::column::{Micros, hex_text};
use tributary_schemas::facts::{BlockRow, Rows};

/// A world.
#[derive(Debug)]
pub struct World {
    /// Its rows.
    pub facts: Rows,
    /// Its epochs, in order.
    pub epochs: Vec<i64>,
}

/// What making a world needs.
pub(crate) struct Maker {
    rng: ChaCha8Rng,
    pub(crate) facts: Rows,
    pub(crate) first: i64,
    pub(crate) last: i64,
    logs: i64,
}

impl World {
    /// The world of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut maker =
            Maker { rng: ChaCha8Rng::seed_from_u64(seed), facts: Rows::default(), first: 100, last: 99, logs: 0 };
        let epochs: Vec<i64> = (7..7 + maker.between(2, 4)).collect();
        for epoch in &epochs {
            for _ in 0..maker.between(4, 9) {
                maker.block(*epoch);
            }
        }
        maker.graph();
        maker.usage();
        maker.money();
        maker.fundings(seed, &epochs);
        Self { facts: maker.facts, epochs }
    }
}

impl Maker {
    fn block(&mut self, epoch: i64) {
        self.last += 1;
        let number = self.last;
        self.facts.blocks.push(BlockRow {
            number,
            hash: id("block", number),
            parent_hash: id("block", number - 1),
            timestamp: Micros(number * 2_000_000),
            epoch,
            l1_origin_number: None,
            tx_count: 1,
            log_count: 1,
            event_count: 1,
            finality: "asserted".to_owned(),
            trust: "full".to_owned(),
            log_root: id("root", number),
        });
    }
    /// A number between two, both included.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        self.rng.random_range(low..=high)
    }
    /// True once in so many.
    pub(crate) fn once_in(&mut self, many: i64) -> bool {
        self.between(1, many) == 1
    }
    /// One of a number of things.
    pub(crate) fn pick(&mut self, count: usize) -> usize {
        self.rng.random_range(0..count)
    }
    /// A number with a heavy tail, of at most so many digits.
    pub(crate) fn heavy(&mut self, digits: u32) -> i128 {
        let digits = self.rng.random_range(0..digits);
        self.rng.random_range(0..10i128.pow(digits + 1))
    }
    /// Some block of the world.
    pub(crate) fn some_block(&mut self) -> i64 {
        self.between(self.first, self.last)
    }
    /// The epoch of a block.
    pub(crate) fn epoch_of(&self, block: i64) -> i64 {
        self.facts.blocks.iter().find(|b| b.number == block).map_or(0, |b| b.epoch)
    }
    /// The next log index: unique, so that positions are.
    pub(crate) fn log(&mut self) -> i64 {
        self.logs += 1;
        self.logs
    }
    /// Some account of the few there are, so that payees meet.
    pub(crate) fn account(&mut self) -> String {
        account(self.between(1, 12))
    }
    /// Some share, mostly given.
    pub(crate) fn share(&mut self, rest: &mut i64) -> Option<i64> {
        if self.once_in(3) {
            return None;
        }
        let share = self.between(0, *rest);
        *rest -= share;
        Some(share)
    }
}

/// An account by number.
#[must_use]
pub fn account(number: i64) -> String {
    let hash = keccak256(format!("account {number}"));
    hex_text(Address::from_slice(&hash[12..]))
}

/// The two vaults.
#[must_use]
pub fn vault(number: usize) -> String {
    account(1_000 + i64::try_from(number).unwrap_or(0))
}

/// The three tokens: the native one, one of 6 decimals, one of 18.
#[must_use]
pub fn token(number: usize) -> String {
    if number == 0 { hex_text(Address::ZERO) } else { account(2_000 + i64::try_from(number).unwrap_or(0)) }
}

/// An id by kind and number.
#[must_use]
pub fn id(kind: &str, number: i64) -> String {
    hex_text(keccak256(format!("{kind} {number}")))
}
