//! Two settlements of the same world, written apart, agree to the unit (settlement.md, "An auditor"); and one settlement
//! gives the same digest however it is run (INV-08).

use std::collections::BTreeMap;
use tributary_accounting::{AccountingError, Cut, Settled, Vaults};
use tributary_schemas::column::{Decimal38, hex_text};
use tributary_schemas::facts::VaultBalanceRow;
use tributary_schemas::money;
use tributary_tests::audit::{self, audit_many};
use tributary_tests::tables::Shape;
use tributary_tests::world::World;

/// Settles every epoch of a world; calls back after each.
async fn run(world: &World, shape: Shape, mut each: impl FnMut(i64, &Settled, &money::Rows)) -> Settled {
    let settled = audit::run(world, shape, |epoch, settled, all| {
        each(epoch, settled, all);
        Ok(())
    });
    settled.await.unwrap()
}

/// `audit_worlds` does the same for any number of worlds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_worlds_come_to_the_same_to_the_unit() {
    let (seen, failed) = audit_many(0..200, 2).await;
    assert_eq!(failed, Vec::<String>::new());
    let expected = "platform|agent|model|lineage|data|staker|posted|released|pending:data|blob_missing|unbacked|self_dealing|\
        quarantined|penalty|zero_total|no_manifest|no_inferences|no_channel|no_members|claim single|adjust single|\
        fund single|credit post|hold void|suspense:overflow|suspense:batch_rejected|\
        policy abs|policy min_share|policy mass_keep|policy dedupe first|policy dedupe split|policy absolute|\
        policy removed treasury|policy self_dealing suspense|policy method|policy platform_flat|policy min_payout|\
        batch final|batch rejected|batch superseded|batch unavailable|batch malformed|batch challenged|batch found late|\
        inference superseded|inference without weight|fee near 2^63|negative score|score near 2^63|\
        record out of lineage|record for a dataset|record for a model|late edge|external upstream|split|pool|refund|\
        contribution removed|unfunded|funded|vault short|vault covered|vault not_compared|hold pending";
    for what in expected.split('|') {
        assert!(seen.contains(what), "no world has {what}: {seen:?}");
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

/// A reading of a vault that holds enough moves no root and no entry: only the manifest says that somebody looked.
#[tokio::test]
async fn a_vault_that_holds_enough_settles_as_one_that_nobody_looked_at() {
    let (mut compared, mut waited) = (0, 0);
    for seed in 0..12 {
        let mut world = World::new(seed);
        let mut as_drawn = BTreeMap::new();
        run(&world, Shape::default(), |epoch, settled, all| {
            let waits = all.fundings.iter().any(|row| row.waiting.0 > 0);
            as_drawn.insert(epoch, (waits, settled.ledger_digest));
        })
        .await;
        let enough = |row: &VaultBalanceRow| VaultBalanceRow {
            balance: Decimal38(10i128.pow(38) - 1),
            stake: Decimal38(0),
            ..row.clone()
        };
        let covered: Vec<VaultBalanceRow> = world.facts.vault_balances.iter().map(enough).collect();
        world.facts.vault_balances = Vec::new();
        let mut alone = BTreeMap::new();
        run(&world, Shape::default(), |epoch, settled, _| {
            let roots: Vec<_> = settled.trees().values().map(tributary_accounting::tree::Tree::root).collect();
            alone.insert(epoch, (roots, settled.ledger_digest));
        })
        .await;
        world.facts.vault_balances = covered;
        run(&world, Shape::default(), |epoch, settled, all| {
            let roots: Vec<_> = settled.trees().values().map(tributary_accounting::tree::Tree::root).collect();
            assert_eq!((roots, settled.ledger_digest), alone[&epoch], "seed {seed}, epoch {epoch}");
            compared += all.fundings.iter().filter(|row| row.state == "covered").count();
            // The journal is a chain: where anything waited, everything after it differs.
            let (waits, digest) = as_drawn[&epoch];
            assert_eq!(waits, digest != settled.ledger_digest, "seed {seed}, epoch {epoch}");
            waited += usize::from(waits);
        })
        .await;
    }
    assert!(compared > 20 && waited > 5, "{compared} vaults compared, {waited} epochs with something that waits");
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

/// A change of a state table is pushed as the new state; the store ends the one before.
pub(crate) fn as_changes(mut facts: tributary_schemas::facts::Rows) -> tributary_schemas::facts::Rows {
    facts.contributions.iter_mut().for_each(|row| row.valid_to_block = None);
    facts.models.iter_mut().for_each(|row| row.valid_to_block = None);
    facts.accounts.iter_mut().for_each(|row| row.valid_to_block = None);
    facts.attribution_batches.iter_mut().for_each(|row| row.valid_to_block = None);
    let edges = std::mem::take(&mut facts.edges);
    for edge in edges {
        let ended = edge.valid_to_block.is_some();
        facts.edges.push(tributary_schemas::facts::EdgeRow { valid_to_block: None, ..edge.clone() });
        if ended {
            facts.edges.push(edge);
        }
    }
    facts
}

/// What a world has, as if it were read.
struct Drawn(Vec<VaultBalanceRow>);

impl Vaults for Drawn {
    async fn balances(&self, cut: &Cut) -> Result<Vec<VaultBalanceRow>, AccountingError> {
        let asked = |row: &&VaultBalanceRow| {
            let purse = (row.vault.parse().unwrap(), row.token.parse().unwrap());
            row.epoch == cut.epoch && cut.vaults.contains(&purse)
        };
        Ok(self.0.iter().filter(asked).cloned().collect())
    }
}

const VIEWS: [&str; 7] = [
    "earnings",
    "earnings_daily",
    "top_contributors",
    "lineage_paths",
    "epoch_conservation",
    "suspense",
    "unresolved_blobs",
];

#[tokio::test]
async fn a_data_folder_settles_explains_proves_and_verifies() {
    use tributary_accounting::{
        SettleOutcome, explain, proof, register, session, settle_next, verify_proof, verify_store,
    };
    let read = |world: &World| !world.facts.vault_balances.is_empty();
    let world = (11..).map(World::new).find(read).unwrap();
    let expected = run(&world, Shape::default(), |_, _, _| ()).await;
    let vaults = Drawn(world.facts.vault_balances.clone());
    // They are published with the epochs that they are inputs of.
    let sealed = tributary_schemas::facts::Rows { vault_balances: Vec::new(), ..world.facts.clone() };
    let folder = tempfile::tempdir().unwrap();
    let lake = tributary_store::Lake::open(folder.path()).await.unwrap();
    let first = world.epochs[0];
    let heads = tributary_store::Heads {
        chain_id: 1612,
        epoch_seconds: 1,
        block_timestamp: u64::try_from(*world.epochs.last().unwrap()).unwrap() + 1,
        ..tributary_store::Heads::default()
    };
    let change = tributary_store::Change { facts: as_changes(sealed).into(), ..tributary_store::Change::default() };
    lake.publish(None, heads, change).await.unwrap();
    let mut epoch = first;
    loop {
        match settle_next(|| session(None, 2), &lake, folder.path(), &vaults).await.unwrap() {
            SettleOutcome::Settled { epoch: settled, .. } => {
                assert_eq!(settled, epoch);
                epoch += 1;
            }
            SettleOutcome::Waiting { epoch: waiting, why } => {
                assert_eq!((waiting, why.len()), (epoch, 1));
                break;
            }
            SettleOutcome::NothingToDo => panic!("there are blocks"),
        }
    }
    let snapshot = lake.latest().await.unwrap().unwrap();
    assert_eq!(snapshot.heads.ledger_digest, Some(expected.ledger_digest), "from files as from memory");
    assert_eq!(snapshot.heads.manifest_hash, Some(expected.manifest_hash));
    let ctx = session(None, 2).unwrap();
    register(&ctx, &lake, &snapshot).await.unwrap();
    for (epoch, findings) in verify_store(&ctx, folder.path(), None).await.unwrap() {
        assert!(findings.is_clean(), "epoch {epoch}: {findings:?}");
    }
    let last = *world.epochs.last().unwrap();
    let mut proved = 0;
    for row in lake.read::<money::MerkleLeafRow>(&snapshot).await.unwrap().iter().filter(|row| row.epoch == last) {
        let (account, token) = (row.account.parse().unwrap(), row.token.parse().unwrap());
        let vault = Some(row.vault.parse().unwrap());
        let proof = proof(&ctx, folder.path(), account, token, last, vault).await.unwrap().unwrap();
        assert!(verify_proof(&proof));
        assert_eq!(proof.root, snapshot.heads.roots[&proof.vault]);
        let mut other = proof.clone();
        other.cumulative = tributary_schemas::Amount::new(proof.cumulative.units() + 1).unwrap();
        assert!(!verify_proof(&other), "a proof is for one amount");
        let explanation = explain(&ctx, account, token, last).await.unwrap();
        assert_eq!(explanation.lines.iter().map(|line| line.amount).sum::<i128>(), explanation.total);
        proved += 1;
    }
    assert!(proved > 0);
    let nodes =
        folder.path().join(format!("epochs/{last}/{}.nodes", hex_text(snapshot.heads.roots.keys().next().unwrap())));
    let mut bytes = std::fs::read(&nodes).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&nodes, bytes).unwrap();
    assert!(!verify_store(&ctx, folder.path(), Some(last)).await.unwrap()[&last].is_clean(), "a flipped bit is found");
    for view in VIEWS {
        ctx.sql(&format!("SELECT * FROM {view} LIMIT 5")).await.unwrap().collect().await.unwrap();
    }
}

#[tokio::test]
async fn the_benchmark_s_epoch_settles_whole() {
    let folder = tempfile::tempdir().unwrap();
    let epoch = tributary_tests::settle_bench::Epoch::generate(folder.path(), 20_000, 500).await.unwrap();
    let outcome = epoch.settle(Shape::default()).await.unwrap();
    let agents: i128 = (0..4).map(|agent| 10i128.pow(24) + agent).sum();
    assert_eq!(outcome.revenue, agents);
    // No models and no stakers: platform 5, agent 15 and data 45 parts of 65.
    let expected = agents * 45 / 65;
    assert!((outcome.data - expected).abs() < 1_000, "{} of {expected}", outcome.data);
}
