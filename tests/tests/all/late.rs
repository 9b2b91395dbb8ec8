//! A blob that turns up after it was declared missing: its batch pays what it would have paid in time, whoever indexes
//! and whenever it is settled.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tributary_accounting::{
    Input, SettleOutcome, Unread, explain, register, session, settle, settle_next, verify_log, verify_store,
};
use tributary_devnet::{Devnet, DevnetConfig, Fault, Workload};
use tributary_indexer::clock::ManualClock;
use tributary_indexer::seal::Imported;
use tributary_indexer::{IndexerConfig, Progress, run};
use tributary_schemas::facts::{BatchRow, Rows};
use tributary_schemas::id::{BatchId, InferenceId};
use tributary_schemas::money::{self, EntitlementRow, LedgerEntryRow};
use tributary_schemas::policy::{Policy, SelfDealing};
use tributary_store::{Archive, Lake, Snapshot, Tail, TailOptions};
use tributary_tests::share::configuration;
use tributary_tests::tables::{Shape, context, extend};
use tributary_tests::world::World;

/// Blocks between two runs.
const STEP: u64 = 16;

/// A world in which nothing changes but batches, and payments name them or what they give a name.
fn still(mut facts: Rows) -> Rows {
    macro_rules! hold {
        ($($table:ident),*) => {$(
            facts.$table.retain(|row| row.valid_to_block.is_none());
            facts.$table.iter_mut().for_each(|row| row.valid_from_block = 0);
        )*};
    }
    hold!(
        accounts,
        entity_payouts,
        contributions,
        dataset_membership,
        models,
        model_versions,
        agents,
        agent_versions,
        edges
    );
    facts.edges.iter_mut().for_each(|row| row.late = false);
    facts.penalties.iter_mut().for_each(|row| row.block_number = 0);
    facts.events.clear();
    facts.pool_fundings.clear();
    facts.attribution_batches = facts.attribution_batches.iter().filter_map(|row| undisputed(&facts, row)).collect();
    // An id of its own says nothing of its batch before the blob is there, so what names one is ripe at another time.
    let ids: BTreeMap<i64, &String> =
        facts.attribution_batches.iter().map(|row| (row.batch_sk, &row.batch_id)).collect();
    let from_batch = facts.inferences.iter().filter(|row| {
        let batch = BatchId(ids[&row.batch_sk].parse().unwrap());
        let at = u32::try_from(row.inference).unwrap();
        row.inference_id == tributary_schemas::column::hex_text(InferenceId::in_batch(batch, at))
    });
    let given: BTreeSet<String> =
        from_batch.map(|row| &row.inference_id).chain(ids.values().copied()).cloned().collect();
    // An amount near the limit leaves no digits below the base unit, so that every step rounds.
    facts.payments.retain(|row| row.amount.0 < 10i128.pow(28));
    facts.payments.retain(|row| row.reference.as_ref().is_some_and(|reference| given.contains(reference)));
    // What others covered before a blob was found stays theirs: here nothing is covered twice.
    for (number, row) in facts.inferences.iter_mut().enumerate().filter(|(_, row)| !given.contains(&row.inference_id)) {
        row.inference_id = tributary_schemas::column::hex_text(alloy_primitives::keccak256(number.to_be_bytes()));
        row.superseded = false;
    }
    let kept: BTreeSet<i64> = facts.payments.iter().map(|row| row.payment_sk).collect();
    facts.refunds.retain(|row| kept.contains(&row.payment_sk));
    for row in &mut facts.policies {
        let policy = Policy::parse(row.policy.as_bytes()).unwrap();
        // Whether a payment is one to oneself is judged once, by who is paid then.
        let policy = Policy { suspense_release_blocks: 0, self_dealing: SelfDealing::Pay, ..policy };
        row.policy = policy.canonical_json();
    }
    facts
}

/// A state of a batch, unless it was missing once and this is a state of a dispute about it: what is found and then
/// rejected, or held for longer, would be paid by when that is.
fn undisputed(facts: &Rows, row: &BatchRow) -> Option<BatchRow> {
    let of_batch = || facts.attribution_batches.iter().filter(|one| one.batch_sk == row.batch_sk);
    if of_batch().all(|one| one.state != "unavailable") {
        return Some(row.clone());
    }
    let found = of_batch().filter(|one| one.state != "unavailable").min_by_key(|one| one.valid_from_block);
    let found = found.filter(|one| one.state != "rejected");
    if row.valid_from_block == row.reference_block {
        return Some(BatchRow { valid_to_block: found.map(|one| one.valid_from_block), ..row.clone() });
    }
    found.filter(|one| *one == row).map(|row| BatchRow { challenged: false, valid_to_block: None, ..row.clone() })
}

/// The same world with every blob in time that turned up late.
fn in_time(mut facts: Rows) -> Rows {
    let late: BTreeSet<i64> = facts
        .attribution_batches
        .iter()
        .filter(|row| row.state == "unavailable" && row.valid_to_block.is_some())
        .map(|row| row.batch_sk)
        .collect();
    facts.attribution_batches.retain(|row| !late.contains(&row.batch_sk) || row.state != "unavailable");
    for row in facts.attribution_batches.iter_mut().filter(|row| late.contains(&row.batch_sk)) {
        row.valid_from_block = row.reference_block;
    }
    facts
}

async fn settled(facts: &Rows, epochs: &[i64]) -> money::Rows {
    let mut all = money::Rows::default();
    let mut input = Input { chain_id: 1612, ..Input::default() };
    for epoch in epochs {
        input.epoch = *epoch;
        let settled = settle(&context(Shape::default(), facts, &all), &input).await.unwrap().unwrap();
        (input.ledger_digest, input.manifest_hash) = (settled.ledger_digest, Some(settled.manifest_hash));
        extend(&mut all, settled.tables.rows());
    }
    all
}

#[tokio::test]
async fn a_late_blob_pays_what_it_would_have_paid_in_time() {
    let mut adjusting = 0;
    for seed in 100..320 {
        let world = World::new(seed);
        let late = still(world.facts);
        let prompt = in_time(late.clone());
        let last = *world.epochs.last().unwrap();
        let (late, prompt) = (settled(&late, &world.epochs).await, settled(&prompt, &world.epochs).await);
        adjusting += late.entitlements.iter().filter(|row| row.adjusts_epoch.is_some() && row.role == "data").count();
        let stands = |rows: &money::Rows| -> BTreeMap<_, i128> {
            let rows = rows.claims.iter().filter(|row| row.epoch == last);
            rows.map(|row| ((row.vault.clone(), row.account.clone(), row.token.clone()), row.cumulative.0)).collect()
        };
        let (ours, theirs) = (stands(&late), stands(&prompt));
        // Each epoch rounds once, and once more for each epoch it adjusts.
        let epochs = i128::try_from(world.epochs.len()).unwrap();
        for key in ours.keys().chain(theirs.keys()) {
            let of = |side: &BTreeMap<_, i128>| side.get(key).copied().unwrap_or(0);
            let difference = of(&ours) - of(&theirs);
            assert!(
                difference.abs() <= 3 * epochs,
                "seed {seed}: {key:?} has {} late and {} in time",
                of(&ours),
                of(&theirs)
            );
        }
    }
    assert!(adjusting > 40, "{adjusting} lines adjust an epoch");
}

async fn follow(devnet: &Devnet, dir: &Path, until: u64, imported: Option<Imported>) {
    let tail = Arc::new(Tail::open(&dir.join("tail"), TailOptions::default()).unwrap());
    let lake = Lake::open(dir).await.unwrap();
    let (progress, _) = watch::channel(Progress::default());
    let config = IndexerConfig { imported, ..configuration(devnet, 1 << 12, dir, until) };
    let clock = Arc::new(ManualClock::at(1));
    let archive = Archive::open(dir).unwrap();
    run(config, tail, lake, archive, clock, CancellationToken::new(), progress).await.unwrap();
}

async fn settle_all(dir: &Path) {
    let lake = Lake::open(dir).await.unwrap();
    while let SettleOutcome::Settled { .. } = settle_next(|| session(None, 2), &lake, dir, &Unread).await.unwrap() {}
}

async fn latest(dir: &Path) -> Snapshot {
    Lake::open(dir).await.unwrap().latest().await.unwrap().unwrap().as_ref().clone()
}

async fn read<T: tributary_schemas::Table + Send + 'static>(dir: &Path) -> Vec<T> {
    let lake = Lake::open(dir).await.unwrap();
    lake.read::<T>(&lake.latest().await.unwrap().unwrap()).await.unwrap()
}

/// The embedded chain loses a blob and finds it again; a node that follows it in many runs and settles after each has the
/// same roots and ledger as one that is given its list and settles everything at the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_chain_s_late_blob_is_paid_in_a_later_epoch() {
    let workload = Workload { blocks: 240, ..Workload::default() };
    let faults = [Fault::LateBlob].into();
    let config = DevnetConfig { seed: 10, finalized_lag: 8, workload, faults, ..DevnetConfig::default() };
    let last = config.decided_at();
    let devnet = Devnet::start(config).await.unwrap();
    let (pieces, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut head = 60;
    while head < last {
        devnet.mine_to(head);
        follow(&devnet, pieces.path(), devnet.finalized(), None).await;
        settle_all(pieces.path()).await;
        head += STEP;
    }
    let list = latest(pieces.path()).await;
    let found = list.heads.declared_outcomes.iter().find(|one| one.outcome == "found");
    let said = tributary_store::read_status(pieces.path()).unwrap();
    let found = found.unwrap_or_else(|| panic!("it did not turn up: {:?} {said:?}", list.heads.declared_outcomes));
    follow(&devnet, whole.path(), list.heads.block_number, Some(Imported::of(list.clone()))).await;
    settle_all(whole.path()).await;
    let theirs = latest(whole.path()).await;
    assert_eq!(theirs.heads.log_root, list.heads.log_root);
    assert_eq!(theirs.heads.declared_outcomes, list.heads.declared_outcomes);
    assert_eq!(
        (theirs.heads.settled_epoch, theirs.heads.manifest_hash),
        (list.heads.settled_epoch, list.heads.manifest_hash)
    );
    assert_eq!((theirs.heads.ledger_digest, &theirs.heads.roots), (list.heads.ledger_digest, &list.heads.roots));

    let blocks: Vec<tributary_schemas::facts::BlockRow> = read(pieces.path()).await;
    let of = |number: u64| blocks.iter().find(|row| u64::try_from(row.number) == Ok(number)).unwrap().epoch;
    let (epoch, adjusted) = (of(found.declared_at), of(found.block_number));
    assert!(epoch > adjusted);
    let entries: Vec<LedgerEntryRow> = read(pieces.path()).await;
    let freed: Vec<_> =
        entries.iter().filter(|row| row.epoch == epoch && row.debit.starts_with("suspense:blob_missing:")).collect();
    assert!(!freed.is_empty(), "nothing was held for the batch");
    assert!(freed.iter().all(|row| row.credit == "clearing" && row.adjusts_epoch >= Some(adjusted)));
    let lines: Vec<EntitlementRow> = read(pieces.path()).await;
    let paid: Vec<_> = lines
        .iter()
        .filter(|row| row.epoch == epoch && row.role == "data" && row.adjusts_epoch.is_some())
        .filter(|row| row.account.starts_with("0x"))
        .collect();
    assert!(!paid.is_empty());
    everything_checks_out(pieces.path(), &list, paid[0]).await;
}

/// The folder verifies, and the explanation of a line says which epoch it adjusts.
async fn everything_checks_out(dir: &Path, snapshot: &Snapshot, line: &EntitlementRow) {
    let lake = Lake::open(dir).await.unwrap();
    let ctx = session(None, 2).unwrap();
    register(&ctx, &lake, snapshot).await.unwrap();
    for (epoch, findings) in verify_store(&ctx, dir, None).await.unwrap() {
        assert!(findings.is_clean(), "epoch {epoch}: {findings:?}");
    }
    let log = verify_log(&ctx, &snapshot.heads).await.unwrap();
    assert!(log.is_clean(), "{log:?}");
    let explanation =
        explain(&ctx, line.account.parse().unwrap(), line.token.parse().unwrap(), line.epoch).await.unwrap();
    let adjusting: Vec<_> = explanation.lines.iter().filter(|one| one.adjusts_epoch == line.adjusts_epoch).collect();
    assert!(!adjusting.is_empty());
    let words = format!("adjusts epoch {}", line.adjusts_epoch.unwrap());
    assert!(adjusting.iter().all(|one| one.description.contains(&words)), "{adjusting:?}");
    assert_eq!(explanation.lines.iter().map(|one| one.amount).sum::<i128>(), explanation.total);
    assert!(!explanation.blobs.is_empty());
}
