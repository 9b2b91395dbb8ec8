//! The trial balance finds what an entry too many, or one too few, does.

use alloy_primitives::Address;
use std::collections::BTreeMap;

use super::{Balances, MOST, Purse};
use crate::journal::Phase;

const PURSE: Purse = (Address::ZERO, Address::ZERO);

/// One movement a line: debit, credit, base units, phase. Then whether the books hold when payees are entitled to
/// `entitled` and may still claim `open`.
fn check(movements: &[(&str, &str, u128, Phase)], entitled: u128, open: u128) -> Result<Balances, String> {
    let mut balances = Balances::default();
    for (debit, credit, units, phase) in movements {
        balances.take(PURSE, debit, credit, *units, *phase);
    }
    let of = |units| BTreeMap::from([(PURSE, units)]);
    // A broken invariant stops a debug build, where this runs.
    let held = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| balances.check(&of(entitled), &of(open))));
    match held {
        Ok(Ok(())) => Ok(balances),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("stopped".to_owned()),
    }
}

const EPOCH: [(&str, &str, u128, Phase); 6] = [
    ("escrow", "clearing", 100, Phase::Single),
    ("clearing", "payable", 60, Phase::Single),
    ("clearing", "pending", 30, Phase::Pending),
    ("clearing", "treasury", 10, Phase::Single),
    ("distributor", "escrow", 60, Phase::Single),
    ("payable", "claimed", 25, Phase::Single),
];

#[test]
fn a_whole_epoch_holds_and_its_counters_are_what_moved() {
    let balances = check(&EPOCH, 60, 35).unwrap();
    let rows = balances.rows(7);
    let counters: Vec<(&str, [i128; 4])> = rows
        .iter()
        .map(|row| {
            let four = [row.debits_pending, row.debits_posted, row.credits_pending, row.credits_posted];
            (row.account.as_str(), four.map(|counter| counter.0))
        })
        .collect();
    assert_eq!(
        counters,
        [
            ("claimed", [0, 0, 0, 25]),
            ("clearing", [30, 70, 0, 100]),
            ("distributor", [0, 60, 0, 0]),
            ("escrow", [0, 100, 0, 60]),
            ("payable", [0, 25, 0, 60]),
            ("pending", [0, 0, 30, 0]),
            ("treasury", [0, 0, 0, 10]),
        ]
    );
    let mut posted = EPOCH.to_vec();
    posted.push(("pending", "payable", 30, Phase::Post));
    posted.push(("distributor", "escrow", 30, Phase::Single));
    check(&posted, 90, 65).unwrap();
}

#[test]
fn what_is_missing_or_too_much_is_found() {
    for (what, movement, entitled, open) in [
        ("clearing does not end at zero", ("clearing", "treasury", 1, Phase::Single), 60, 35),
        ("more was voided than waits", ("pending", "suspense:batch_rejected", 31, Phase::Void), 60, 35),
        ("more left suspense than came", ("suspense:unbacked", "treasury", 1, Phase::Single), 60, 35),
        ("nobody is entitled to it", ("treasury", "payable", 1, Phase::Single), 60, 35),
        ("claims are not backed", ("treasury", "payable", 1, Phase::Single), 61, 36),
    ] {
        let mut movements = EPOCH.to_vec();
        movements.push(movement);
        assert!(check(&movements, entitled, open).is_err(), "{what}");
    }
    assert!(check(&EPOCH, 60, 36).is_err(), "more is open than the distributor holds");
}

#[test]
fn a_counter_stops_at_the_largest_amount_and_says_so() {
    let most =
        [("escrow", "suspense:overflow", MOST, Phase::Single), ("escrow", "suspense:overflow", 9, Phase::Single)];
    let balances = check(&most, 0, 0).unwrap();
    for row in balances.rows(0) {
        assert_eq!(std::cmp::max(row.debits_posted.0, row.credits_posted.0).cast_unsigned(), MOST, "{row:?}");
    }
}
