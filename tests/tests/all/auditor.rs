//! Two settlements of the same world, written apart, agree to the unit (settlement.md, "An auditor"); and one settlement
//! gives the same digest however it is run (INV-08).

use alloy_primitives::B256;
use num_bigint::BigUint;
use std::collections::BTreeMap;
use tributary_accounting::{Input, Settled, settle};
use tributary_schemas::column::hex_text;
use tributary_schemas::money;
use tributary_tests::auditor::Auditor;
use tributary_tests::tables::{Shape, context, extend};
use tributary_tests::world::World;

fn big(value: i128) -> BigUint {
    BigUint::from(u128::try_from(value).unwrap())
}

/// Settles every epoch of a world; calls back after each.
async fn run(world: &World, shape: Shape, mut each: impl FnMut(i64, &Settled, &money::Rows)) -> Settled {
    let mut all = money::Rows::default();
    let mut input = Input { chain_id: 1612, ..Input::default() };
    let mut last = None;
    for epoch in &world.epochs {
        input.epoch = *epoch;
        let ctx = context(shape, &world.facts, &all);
        let mut settled =
            settle(&ctx, &input).await.unwrap_or_else(|e| panic!("{e}: {e:?}")).expect("blocks in every epoch");
        input.ledger_digest = settled.ledger_digest;
        input.manifest_hash = Some(settled.manifest_hash);
        extend(&mut all, std::mem::take(&mut settled.rows));
        each(*epoch, &settled, &all);
        last = Some(settled);
    }
    last.unwrap()
}

fn compare(world: &World, auditor: &mut Auditor, epoch: i64, settled: &Settled, all: &money::Rows) {
    let audit = auditor.settle(&world.facts, epoch);
    let mut roles = BTreeMap::new();
    for row in all.entitlements.iter().filter(|row| row.epoch == epoch) {
        let key = (row.vault.clone(), row.token.clone(), row.account.clone(), row.role.clone());
        *roles.entry(key).or_insert(BigUint::ZERO) += big(row.amount.0);
    }
    assert_eq!(roles, audit.roles, "payees of epoch {epoch}");
    let claims: BTreeMap<_, _> = all
        .claims
        .iter()
        .filter(|row| row.epoch == epoch)
        .map(|row| {
            let key = (row.vault.clone(), row.account.clone(), row.token.clone());
            (key, (big(row.cumulative.0), big(row.claimed.0)))
        })
        .collect();
    assert_eq!(claims, auditor.positions, "positions after epoch {epoch}");
    let roots: BTreeMap<String, B256> =
        settled.trees.iter().map(|(vault, tree)| (hex_text(vault), tree.root())).collect();
    assert_eq!(roots, audit.roots, "roots of epoch {epoch}");
    assert_eq!(settled.ledger_digest, auditor.digest, "ledger digest of epoch {epoch}");
}

#[tokio::test]
async fn fifty_worlds_come_to_the_same_to_the_unit() {
    let mut money_moved = 0;
    for seed in 0..50 {
        let world = World::new(seed);
        let mut auditor = Auditor::default();
        let settled = run(&world, Shape::default(), |epoch, settled, all| {
            eprintln_on_panic(seed, || compare(&world, &mut auditor, epoch, settled, all));
        })
        .await;
        money_moved += settled.trees.len();
    }
    assert!(money_moved > 50, "the worlds are not empty: {money_moved} trees");
}

/// Names the seed of a world that differs.
fn eprintln_on_panic(seed: u64, check: impl FnOnce()) {
    if let Err(cause) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)) {
        let words = cause.downcast_ref::<String>().cloned().unwrap_or_default();
        panic!("seed {seed}: {words}");
    }
}

#[tokio::test]
async fn one_digest_for_any_partitions_memory_batches_and_order() {
    for seed in [3, 17, 29, 41] {
        let world = World::new(seed);
        let expected = run(&world, Shape::default(), |_, _, _| ()).await;
        for (partitions, memory, rows, shuffle) in [
            (1, None, 8192, None),
            (2, Some(64 << 20), 1, Some(1)),
            (7, Some(32 << 20), 64, Some(2)),
            (7, None, 3, Some(3)),
            (1, Some(32 << 20), 8192, Some(4)),
        ] {
            let shape = Shape { partitions, memory, rows, shuffle };
            let settled = run(&world, shape, |_, _, _| ()).await;
            assert_eq!(settled.manifest, expected.manifest, "seed {seed} as {shape:?}");
        }
    }
}

#[tokio::test]
async fn cumulative_never_falls_and_money_is_conserved() {
    let world = World::new(7);
    let mut before: BTreeMap<(String, String, String), i128> = BTreeMap::new();
    run(&world, Shape::default(), |epoch, _, all| {
        for row in all.epochs.iter().filter(|row| row.epoch == epoch) {
            assert_eq!(row.revenue.0, row.credited.0 + row.held.0);
        }
        for row in all.claims.iter().filter(|row| row.epoch == epoch) {
            let key = (row.vault.clone(), row.account.clone(), row.token.clone());
            let old = before.insert(key, row.cumulative.0).unwrap_or(0);
            assert!(row.cumulative.0 >= old && row.claimable.0 <= row.cumulative.0);
        }
    })
    .await;
    assert!(!before.is_empty());
}
