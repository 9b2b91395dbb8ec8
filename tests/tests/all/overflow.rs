//! Numbers as large as they get, and rows that no indexer would write: an exact answer or a refusal that names the fault,
//! never a sum that wrapped.

use std::fmt::Write as _;
use tributary_schemas::column::Decimal38;
use tributary_tests::audit::audit_apart;
use tributary_tests::world::World;

use crate::rules::check;

/// What is done to a world.
type Change = fn(&mut World);

const MOST: i128 = 10i128.pow(38) - 1;

/// The largest payment over three hundred payees whose weights sum to nearly 2^63: the auditor agrees to the unit.
#[tokio::test]
async fn the_largest_payment_reaches_hundreds_of_payees_exactly() {
    let mut text = "policy platform 1 data 99 treasury tom\n agent bot by carol\n".to_owned();
    let mut records = Vec::new();
    for number in 0..300_i64 {
        writeln!(text, " data c{number} of fruit by account{}", number % 250).unwrap();
        records.push(format!("c{number} {}", i64::MAX / 301 - number * number * 7));
    }
    writeln!(text, " batch b1\n   bot: {}\n   bot fee {}: c7 1", records.join(", "), i64::MAX - 1).unwrap();
    writeln!(text, " pay 10^38-1 by dave for bot\n settle\n   anything\n   = payable 10^38-1\n   = clearing 0")
        .unwrap();
    check(&text).await;
}

/// What large numbers do to a world: both settlements come to the same.
#[tokio::test]
async fn large_numbers_settle_exactly() {
    let changes: [(&str, Change); 7] = [
        ("payments", |world| world.facts.payments.iter_mut().for_each(|row| row.amount = Decimal38(MOST))),
        ("payments that just fit", |world| {
            let share = MOST / i128::try_from(world.facts.payments.len() + 1).unwrap();
            world.facts.payments.iter_mut().for_each(|row| row.amount = Decimal38(share));
        }),
        ("fundings", |world| world.facts.pool_fundings.iter_mut().for_each(|row| row.amount = Decimal38(MOST))),
        ("stakes", |world| world.facts.stakes.iter_mut().for_each(|row| row.balance_after = Decimal38(MOST))),
        ("claims", |world| world.facts.reward_claims.iter_mut().for_each(|row| row.amount = Decimal38(MOST))),
        ("fees", |world| world.facts.inferences.iter_mut().for_each(|row| row.fee_weight = i64::MAX)),
        ("rows", |world| world.facts.dataset_membership.iter_mut().for_each(|row| row.row_count = i64::MAX)),
    ];
    for (what, change) in changes {
        for seed in [1, 5, 23] {
            let mut world = World::new(seed);
            world.facts.refunds.clear();
            change(&mut world);
            audit_apart(world).await.unwrap_or_else(|why| panic!("{what} of seed {seed}: {why}"));
        }
    }
}

/// The most negative score there is: its size is 2^63, and only a policy that counts sizes sees it.
#[tokio::test]
async fn the_most_negative_scores_settle_exactly() {
    for seed in [1, 5, 23, 24] {
        let mut world = World::new(seed);
        for row in &mut world.facts.attributions {
            (row.score, row.weight, row.weight_before, row.weight_total) = (i64::MIN, 0, 0, 0);
        }
        world.facts.inferences.iter_mut().for_each(|row| row.weight_total = 0);
        audit_apart(world).await.unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
}

/// Rows that contradict themselves: nothing is settled, and the fault has a name.
#[tokio::test]
async fn impossible_rows_are_refused_by_name() {
    let changes: [(&str, &str, Change); 6] = [
        ("running weights beyond the total", "expected at most", |world| {
            world.facts.attributions.iter_mut().for_each(|row| row.weight_before = i64::MAX);
        }),
        ("a weight below zero", "expected neither below zero", |world| {
            world.facts.attributions.iter_mut().for_each(|row| row.weight = -1);
        }),
        ("records that do not fill their total", "INV-05", |world| {
            world.facts.attributions.iter_mut().for_each(|row| row.weight = std::cmp::min(row.weight, 1));
        }),
        ("a refund above its payment", "has refunds above its amount", |world| {
            world.facts.refunds.iter_mut().for_each(|row| row.amount = Decimal38(MOST));
        }),
        ("a payment twice", "INV-07", |world| {
            let again = world.facts.payments[0].clone();
            world.facts.payments.push(again);
        }),
        ("a gap in the chain", "INV-07", |world| {
            world.facts.blocks[1].parent_hash = String::new();
        }),
    ];
    for (what, words, change) in changes {
        let mut refused = 0;
        for seed in 0..6 {
            let mut world = World::new(seed);
            change(&mut world);
            match audit_apart(world).await {
                // Nothing of the world was paid by such a row.
                Ok(_) => {}
                Err(why) if why.contains(words) => refused += 1,
                Err(why) => panic!("{what}, seed {seed}: {why}: expected {words:?}"),
            }
        }
        assert!(refused > 0, "{what}: no world was refused");
    }
}
