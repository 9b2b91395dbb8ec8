//! Heavy-tailed draws in integers.
//!
//! Revenue, usage and targets are heavy-tailed, and uniform worlds hide bugs. These draws
//! use powers of two instead of floating point, so that every machine draws the same.

use alloy_primitives::B256;
use rand::{Rng, RngCore};

/// An index below `len` that favours the small ones: about as many draws fall into each
/// doubling, as in Zipf's law.
pub(crate) fn skewed(chance: &mut impl Rng, len: usize) -> usize {
    let doublings = len.checked_ilog2().unwrap_or(0);
    let reach = 1_usize << chance.random_range(0..=doublings);
    chance.random_range(0..std::cmp::max(1, std::cmp::min(len, reach.saturating_mul(2))))
}

/// A number of at least `low` whose doublings above it get rarer: each is drawn half as
/// often as the one before, at most `doublings` of them.
pub(crate) fn heavy(chance: &mut impl Rng, low: u64, doublings: u32) -> u64 {
    let tail = std::cmp::min(chance.next_u64().trailing_zeros(), doublings);
    let base = low << tail;
    base.saturating_add(chance.random_range(0..base))
}

/// True `part` times in a hundred.
pub(crate) fn percent(chance: &mut impl Rng, part: u32) -> bool {
    chance.random_range(0..100) < part
}

/// Thirty-two bytes.
pub(crate) fn word(chance: &mut impl RngCore) -> B256 {
    let mut bytes = B256::ZERO;
    chance.fill_bytes(bytes.as_mut_slice());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::stream;

    #[test]
    fn the_first_is_popular_and_the_last_is_reached() {
        let mut chance = stream(3, "test");
        let mut counts = vec![0_u32; 1_000];
        for _ in 0..100_000 {
            counts[skewed(&mut chance, 1_000)] += 1;
        }
        assert!(counts[0] > 10_000 && counts[1] > 10_000, "{counts:?}");
        assert!(counts[500..].iter().sum::<u32>() > 1_000);
        assert_eq!(skewed(&mut chance, 1), 0);
    }

    #[test]
    fn one_in_a_hundred_holds_much_of_the_sum() {
        let mut chance = stream(3, "test");
        let mut drawn: Vec<u64> = (0..10_000).map(|_| heavy(&mut chance, 1_000, 12)).collect();
        drawn.sort_unstable();
        let top: u64 = drawn[9_900..].iter().sum();
        assert!(top * 4 > drawn.iter().sum::<u64>(), "the top one in a hundred has {top}");
    }
}
