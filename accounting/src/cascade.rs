//! The one way in which money is split: the cascade.
//!
//! X over weights in canonical order, with running weight `C(i)` and total `W`: part `i` is `⌊X·C(i)/W⌋ − ⌊X·C(i−1)/W⌋`.
//! The parts telescope to X, each is within one unit of exact, a zero weight gets zero, and one part needs nothing but
//! its own `(C(i−1), C(i), W)`. That is why the running weight and the total are stored beside every weight.

use alloy_primitives::{U256, U512};

/// Low half of a 128-bit word.
const LOW: u128 = u64::MAX as u128;

/// ⌊x·c/w⌋ for c ≤ w and w > 0, exact for every x.
///
/// Products below 2^128 are one multiplication and one division. Where the divisor fits one limb (every stored weight
/// does) the 192-bit product is divided limb by limb; else 256 bits are needed.
#[must_use]
pub fn portion(x: u128, c: u128, w: u128) -> u128 {
    debug_assert!(c <= w && w > 0, "a running weight {c} lies within its total {w}");
    if let Some(product) = x.checked_mul(c) {
        return product / w;
    }
    if c == w {
        return x;
    }
    if w <= LOW {
        let low = (x & LOW) * c;
        let high = (x >> 64) * c;
        let middle = (low >> 64) + (high & LOW);
        // c < w, so x·c/w < 2^128: the topmost limb is below w and its quotient is zero.
        let top = (high >> 64) + (middle >> 64);
        let upper = (top << 64) | (middle & LOW);
        let lower = ((upper % w) << 64) | (low & LOW);
        return ((upper / w) << 64) | (lower / w);
    }
    let quotient = U256::from(x).widening_mul::<256, 4, 512, 8>(U256::from(c)) / U512::from(w);
    u128::try_from(quotient).expect("x·c/w is at most x when c is at most w")
}

/// An amount made ready to be split over many weights of one total: ⌊x·c/w⌋ for a fixed x and w, without a division.
///
/// With x = a·w + r it is a·c + ⌊r·c/w⌋, and the second product has 128 bits. It is divided by multiplying with a
/// reciprocal of w (Möller and Granlund, "Improved division by invariant integers", algorithm 4), which is exact.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ready {
    whole: u128,
    rest: u128,
    total: u64,
    shift: u32,
    divisor: u64,
    reciprocal: u64,
}

impl Ready {
    /// `None` for a total of zero.
    pub(crate) fn new(x: u128, total: u64) -> Option<Self> {
        if total == 0 {
            return None;
        }
        let shift = total.leading_zeros();
        let divisor = total << shift;
        // ⌊(2^128 − 1)/d⌋ − 2^64 for a divisor d whose top bit is set.
        let reciprocal = low(u128::MAX / u128::from(divisor));
        Some(Self { whole: x / u128::from(total), rest: x % u128::from(total), total, shift, divisor, reciprocal })
    }

    /// The total.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// ⌊x·c/w⌋ for c ≤ w.
    pub(crate) fn portion(&self, c: u64) -> u128 {
        debug_assert!(c <= self.total, "a running weight {c} lies within its total {}", self.total);
        if c == self.total {
            return self.whole * u128::from(c) + self.rest;
        }
        self.whole * u128::from(c) + u128::from(self.quotient(self.rest * u128::from(c)))
    }

    /// ⌊u/w⌋ for u < w·2^64. Here u = r·c < w·c.
    fn quotient(&self, u: u128) -> u64 {
        let u = u << self.shift;
        let (upper, lower) = (low(u >> 64), low(u));
        // Below 2^128: upper < d.
        let guess = u128::from(self.reciprocal) * u128::from(upper) + u;
        let mut quotient = low(guess >> 64).wrapping_add(1);
        let mut rest = lower.wrapping_sub(quotient.wrapping_mul(self.divisor));
        if rest > low(guess) {
            quotient = quotient.wrapping_sub(1);
            rest = rest.wrapping_add(self.divisor);
        }
        if rest >= self.divisor {
            quotient = quotient.wrapping_add(1);
        }
        quotient
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
const fn low(word: u128) -> u64 {
    word as u64
}

/// The part of `x` that falls to `weight` when `before` lies before it and `total` is the sum of all weights.
/// A total of zero gives zero.
#[must_use]
pub fn part(x: u128, before: u128, weight: u128, total: u128) -> u128 {
    if weight == 0 || total == 0 {
        return 0;
    }
    portion(x, before + weight, total) - portion(x, before, total)
}

/// Splits `x` over `weights` in their order. Empty when they sum to zero (the caller decides where `x` goes then).
/// Weights must sum to less than 2^128: shares, row counts, fees and sub-units all do.
#[must_use]
pub fn split(x: u128, weights: impl IntoIterator<Item = u128> + Clone) -> Vec<u128> {
    let total: u128 = weights.clone().into_iter().sum();
    if total == 0 {
        return Vec::new();
    }
    let mut running = 0;
    let mut given = 0;
    weights
        .into_iter()
        .map(|weight| {
            running += weight;
            let upto = portion(x, running, total);
            let part = upto - given;
            given = upto;
            part
        })
        .collect()
}

/// As [`split`], for weights beyond 128 bits: stake is balance × blocks. Their sum must be below 2^256.
#[must_use]
pub fn split_wide(x: u128, weights: &[U256]) -> Vec<u128> {
    let total = weights.iter().fold(U256::ZERO, |sum, weight| sum + *weight);
    if total.is_zero() {
        return Vec::new();
    }
    let total = U512::from(total);
    let mut running = U256::ZERO;
    let mut given = 0;
    weights
        .iter()
        .map(|weight| {
            running += *weight;
            let quotient = U256::from(x).widening_mul::<256, 4, 512, 8>(running) / total;
            let upto = u128::try_from(quotient).expect("a running weight lies within its total");
            let part = upto - given;
            given = upto;
            part
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Ready, part, portion, split, split_wide};
    use alloy_primitives::U256;

    fn numbers() -> impl Iterator<Item = u128> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        std::iter::repeat_with(move || {
            let mut word = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                u128::from(state)
            };
            let wide = (word() << 64) | word();
            wide >> (word() % 128)
        })
    }

    #[test]
    fn every_path_of_the_division_agrees_with_big_integers() {
        let mut numbers = numbers();
        for _ in 0..100_000 {
            let x = numbers.next().unwrap() % 10u128.pow(38);
            let w = std::cmp::max(numbers.next().unwrap() >> 1, 1);
            let c = numbers.next().unwrap() % (w + 1);
            let exact =
                alloy_primitives::U512::from(x) * alloy_primitives::U512::from(c) / alloy_primitives::U512::from(w);
            assert_eq!(alloy_primitives::U512::from(portion(x, c, w)), exact, "{x}·{c}/{w}");
        }
    }

    #[test]
    fn an_amount_made_ready_divides_as_exactly() {
        let mut numbers = numbers();
        let edges = [1, 2, 3, (1 << 62) - 1, 1 << 62, (1 << 63) - 1, 1 << 63, u64::MAX];
        for round in 0..200_000 {
            let x = numbers.next().unwrap() % 10u128.pow(38);
            let w = u64::try_from(numbers.next().unwrap() >> 64).unwrap();
            let w = if round % 4 == 0 { edges[usize::try_from(w % 8).unwrap()] } else { std::cmp::max(w, 1) };
            let ready = Ready::new(x, w).unwrap();
            let c = u64::try_from(numbers.next().unwrap() >> 64).unwrap();
            for c in [0, 1, w / 2, w - 1, w, if w == u64::MAX { c } else { c % (w + 1) }] {
                assert_eq!(ready.portion(c), portion(x, u128::from(c), u128::from(w)), "{x}·{c}/{w}");
            }
        }
        assert!(Ready::new(1, 0).is_none());
    }

    #[test]
    fn parts_are_the_whole_and_zero_gets_zero() {
        let mut numbers = numbers();
        for round in 0..2_000 {
            let x = numbers.next().unwrap() % 10u128.pow(38);
            let weights: Vec<u128> = (0..round % 17)
                .map(|_| numbers.next().unwrap() >> 70)
                .map(|weight| if weight % 3 == 0 { 0 } else { weight })
                .collect();
            let parts = split(x, weights.iter().copied());
            let total: u128 = weights.iter().sum();
            if total == 0 {
                assert!(parts.is_empty());
                continue;
            }
            assert_eq!(parts.iter().sum::<u128>(), x);
            let wide: Vec<U256> = weights.iter().map(|weight| U256::from(*weight)).collect();
            assert_eq!(split_wide(x, &wide), parts);
            let mut before = 0;
            for (weight, one) in weights.iter().zip(&parts) {
                assert_eq!(part(x, before, *weight, total), *one);
                assert!(*weight > 0 || *one == 0);
                before += weight;
            }
        }
    }
}
