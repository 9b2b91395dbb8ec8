//! Step 7: base units. One largest remainder per (epoch, vault, token), on the epoch's own totals: on cumulative ones a
//! published cumulative could fall by one.

use alloy_primitives::B256;
use std::collections::BTreeMap;

use crate::book::{Line, Party, Shares};
use crate::cascade::split;

/// What a participant gets, in base units.
#[derive(Debug, Clone)]
pub(crate) struct Due {
    pub(crate) amount: u128,
    /// Per line: base units, and those of them that rounding placed (below zero where a line lost a unit to another).
    pub(crate) lines: BTreeMap<Line, (u128, i128)>,
}

/// Floors every participant to base units of `scale` sub-units; the largest remainders get one more, ties by the order of
/// participants. Returns what each gets and how many units were placed.
pub(crate) fn round(shares: Shares, scale: u128) -> (BTreeMap<Party, Due>, u128) {
    let totals: Vec<u128> = shares.values().map(|lines| lines.values().sum()).collect();
    let whole: u128 = totals.iter().sum();
    let floors: u128 = totals.iter().map(|total| total / scale).sum();
    let spare = whole / scale - floors;
    let mut order: Vec<usize> = (0..totals.len()).collect();
    order.sort_by_key(|index| (std::cmp::Reverse(totals[*index] % scale), *index));
    let mut extra = vec![0; totals.len()];
    for index in order.into_iter().take(usize::try_from(spare).unwrap_or(usize::MAX)) {
        extra[index] = 1;
    }
    let mut out = BTreeMap::new();
    for (index, (party, lines)) in shares.into_iter().enumerate() {
        let amount = totals[index] / scale + extra[index];
        let parts = split(amount, lines.values().copied());
        let lines = lines
            .into_iter()
            .zip(parts)
            .map(|((line, sub), part)| (line, (part, part.cast_signed() - (sub / scale).cast_signed())));
        out.insert(party, Due { amount, lines: lines.collect() });
    }
    (out, spare)
}

/// Decimal digits of a base unit in sub-units: q = min(9, 38 − digits(total)), so that every partial sum stays below
/// 10^38.
pub(crate) fn sub_digits(total: u128) -> u32 {
    let digits = total.checked_ilog10().map_or(1, |log| log + 1);
    std::cmp::min(9, 38u32.saturating_sub(digits))
}

/// A line as the tables name it: dataset, contribution, model, agent.
pub(crate) fn names(line: &Line) -> [Option<String>; 4] {
    [line.dataset, line.contribution, line.model, line.agent]
        .map(|id: Option<B256>| id.map(tributary_schemas::column::hex_text))
}

#[cfg(test)]
mod tests {
    use super::{round, sub_digits};
    use crate::book::{Line, Party, Role, Shares};
    use alloy_primitives::Address;

    #[test]
    fn the_largest_remainders_get_one_more_and_ties_go_by_address() {
        let line = Line::of(Role::Data);
        let shares: Shares = [(1, 15), (2, 15), (3, 9), (4, 21)]
            .into_iter()
            .map(|(byte, sub)| (Party::Account(Address::repeat_byte(byte)), [(line, sub)].into()))
            .collect();
        let (due, spare) = round(shares, 10);
        assert_eq!(spare, 2);
        let amounts: Vec<u128> = due.values().map(|due| due.amount).collect();
        assert_eq!(amounts, [2, 1, 1, 2], "9 has the largest remainder, then 15 of the lower address");
    }

    #[test]
    fn lines_add_up_to_the_amount() {
        let lines = [(Line::of(Role::Agent), 7), (Line::of(Role::Model), 8), (Line::of(Role::Data), 16)];
        let shares: Shares =
            [(Party::treasury(), lines.into()), (Party::suspense("x"), [(Line::of(Role::Data), 9)].into())].into();
        for due in round(shares, 10).0.values() {
            assert_eq!(due.lines.values().map(|(part, _)| part).sum::<u128>(), due.amount);
        }
    }

    #[test]
    fn sub_units_leave_room_for_the_total() {
        for (total, digits) in [(0, 9), (1, 9), (10u128.pow(29) - 1, 9), (10u128.pow(29), 8), (10u128.pow(38) - 1, 0)] {
            assert_eq!(sub_digits(total), digits, "{total}");
            assert!(total.checked_mul(10u128.pow(digits)).unwrap() < 10u128.pow(38));
        }
    }
}
