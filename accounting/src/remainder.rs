//! Step 7: base units. One largest remainder per (epoch, vault, token), on the epoch's own totals: on cumulative ones a
//! published cumulative could fall by one.

use crate::cascade::portion;
use crate::names::Share;

/// Turns shares, sorted by participant, from sub-units into base units of `scale` sub-units: every participant is
/// floored, the largest remainders get one more, ties by the order of participants, and its lines divide what it gets.
/// Returns how many units were placed.
pub(crate) fn round(shares: &mut [Share], scale: u128) -> u128 {
    let totals: Vec<u128> = parties(shares).map(|lines| lines.iter().map(|line| line.amount).sum()).collect();
    let whole: u128 = totals.iter().sum();
    let floors: u128 = totals.iter().map(|total| total / scale).sum();
    let spare = whole / scale - floors;
    let mut order: Vec<(std::cmp::Reverse<u128>, usize)> =
        totals.iter().map(|total| std::cmp::Reverse(total % scale)).zip(0..).collect();
    let mut amounts: Vec<u128> = totals.iter().map(|total| total / scale).collect();
    let count = usize::try_from(spare).unwrap_or(usize::MAX);
    if count < order.len() {
        order.select_nth_unstable(count);
    }
    for (_, party) in order.into_iter().take(count) {
        amounts[party] += 1;
    }
    for (lines, (amount, total)) in shares.chunk_by_mut(|a, b| a.party == b.party).zip(amounts.iter().zip(&totals)) {
        let (mut running, mut given) = (0, 0);
        for line in lines {
            running += line.amount;
            let upto = portion(*amount, running, *total);
            let (part, floor) = (upto - given, line.amount / scale);
            // A part is within one unit of exact, and so is its floor.
            line.rounding = i32::try_from(part.cast_signed() - floor.cast_signed()).unwrap_or(i32::MAX);
            line.amount = part;
            given = upto;
        }
    }
    spare
}

/// The lines of each participant.
pub(crate) fn parties(shares: &[Share]) -> impl Iterator<Item = &[Share]> {
    shares.chunk_by(|a, b| a.party == b.party)
}

/// Decimal digits of a base unit in sub-units: q = min(9, 38 − digits(total)), so that every partial sum stays below
/// 10^38.
pub(crate) fn sub_digits(total: u128) -> u32 {
    let digits = total.checked_ilog10().map_or(1, |log| log + 1);
    std::cmp::min(9, 38u32.saturating_sub(digits))
}

#[cfg(test)]
mod tests {
    use super::{parties, round, sub_digits};
    use crate::names::{LineKey, Share};

    fn share(party: u32, amount: u128) -> Share {
        Share { party, rounding: 0, line: LineKey::default(), amount }
    }

    #[test]
    fn the_largest_remainders_get_one_more_and_ties_go_by_order() {
        let mut shares = [share(0, 15), share(1, 15), share(2, 9), share(3, 21)];
        assert_eq!(round(&mut shares, 10), 2);
        assert_eq!(shares.map(|share| share.amount), [2, 1, 1, 2], "9 has the largest remainder, then the first 15");
        assert_eq!(shares.map(|share| share.rounding), [1, 0, 1, 0]);
    }

    #[test]
    fn lines_add_up_to_the_amount() {
        let mut shares = [share(0, 7), share(0, 8), share(0, 16), share(1, 9)];
        assert_eq!(round(&mut shares, 10), 1);
        let sums: Vec<u128> = parties(&shares).map(|lines| lines.iter().map(|line| line.amount).sum()).collect();
        assert_eq!(sums, [3, 1]);
        assert_eq!(shares.map(|share| share.rounding).iter().sum::<i32>(), 4 - 1);
    }

    #[test]
    fn sub_units_leave_room_for_the_total() {
        for (total, digits) in [(0, 9), (1, 9), (10u128.pow(29) - 1, 9), (10u128.pow(29), 8), (10u128.pow(38) - 1, 0)] {
            assert_eq!(sub_digits(total), digits, "{total}");
            assert!(total.checked_mul(10u128.pow(digits)).unwrap() < 10u128.pow(38));
        }
    }
}
