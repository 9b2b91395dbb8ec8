//! The whole way, from the embedded chain's real ports to tables that are read back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tributary_devnet::{Devnet, DevnetConfig, Fault, Make, Workload};
use tributary_schemas::facts::{
    AnchorRow, AttributionRow, BatchRow, BlobRow, BlockRow, DatasetVersionRow, EventRow, InferenceRow, MembershipRow,
    PaymentRow,
};
use tributary_store::{Archive, Lake, Tail, TailOptions, read_status};

use super::{CertificateOptions, IndexerConfig, KeptBlocks, MappingChoice, Outcome, Progress, SpaceOptions, run};
use crate::anchor::{AnchorOptions, Forks, Rollup};
use crate::blob::recheck;
use crate::clock::ManualClock;
use crate::endpoint::EndpointOptions;
use crate::follow::{FollowOptions, Until};
use crate::inbox::batch::Terms;
use crate::seal::PublishLimits;
use crate::{Contracts, IndexerError, Trust};

mod blobs;
mod certificates;
mod kept;
mod late;
mod space;

const BLOCKS: u64 = 120;
/// Sequencing window, in L1 blocks of six L2 blocks.
const WINDOW: u64 = 8;

fn devnet_config(seed: u64, faults: &[Fault]) -> DevnetConfig {
    DevnetConfig {
        seed,
        finalized_lag: 8,
        certificates: false,
        workload: Workload { blocks: BLOCKS, ..Workload::default() },
        faults: faults.iter().copied().collect::<BTreeSet<_>>(),
        ..DevnetConfig::default()
    }
}

async fn start(config: DevnetConfig) -> (Devnet, u64) {
    let last = config.decided_at();
    let devnet = Devnet::start(config).await.unwrap();
    devnet.mine_to(last);
    let finalized = devnet.finalized();
    (devnet, finalized)
}

fn config(devnet: &Devnet, dir: &Path, until: Until) -> IndexerConfig {
    let known = devnet.contracts();
    let contracts: Contracts = BTreeMap::from([
        ("datanet_registry".to_owned(), [known.datanet_registry].into()),
        ("model_registry".to_owned(), [known.model_registry].into()),
        ("agent_registry".to_owned(), [known.agent_registry].into()),
        ("attribution_hub".to_owned(), [known.attribution_hub].into()),
        ("reward_vault".to_owned(), [known.reward_vault].into()),
    ]);
    IndexerConfig {
        chain_id: DevnetConfig::default().chain_id,
        l2: vec![devnet.l2_http().parse().unwrap()],
        proxies: vec![devnet.proxy_url().parse().unwrap()],
        buckets: Vec::new(),
        s3: crate::s3::S3Options::default(),
        certificates: CertificateOptions::default(),
        contracts,
        mapping: MappingChoice::Reference,
        epoch_origin: DevnetConfig::default().genesis_time,
        epoch_seconds: 60,
        data_dir: dir.to_path_buf(),
        cache_dir: dir.to_path_buf(),
        follow: FollowOptions { until, poll_interval: Duration::from_millis(1), ..FollowOptions::default() },
        endpoint: EndpointOptions::default(),
        blob_fetches_max: 4,
        publish: PublishLimits::default(),
        imported: None,
        anchor: None,
        space: SpaceOptions::default(),
        kept: KeptBlocks::None,
    }
}

async fn index(devnet: &Devnet, dir: &Path, until: u64) -> Outcome {
    index_with(config(devnet, dir, Until::Final(until)), dir).await
}

async fn index_with(config: IndexerConfig, dir: &Path) -> Outcome {
    try_index(config, dir).await.unwrap()
}

async fn try_index(config: IndexerConfig, dir: &Path) -> Result<Outcome, IndexerError> {
    let tail = Arc::new(Tail::open(&dir.join("tail"), TailOptions::default()).unwrap());
    let (progress, _) = watch::channel(Progress::default());
    let lake = Lake::open(dir).await.unwrap();
    let archive = Archive::open(dir).unwrap();
    let clock = Arc::new(ManualClock::at(1));
    Box::pin(run(config, tail, lake, archive, clock, CancellationToken::new(), progress)).await
}

/// As [`index`], with the L1 of the embedded chain.
async fn index_with_l1(devnet: &Devnet, dir: &Path, until: u64, required: bool) -> Outcome {
    let (inbox, batcher, system_config) = devnet.inbox();
    let defaults = DevnetConfig::default();
    let rollup = Rollup {
        inbox,
        batcher,
        system_config: Some(system_config),
        sequencing_window: WINDOW,
        forks: Forks::default(),
        terms: Terms {
            chain_id: Some(defaults.chain_id),
            genesis_time: Some(defaults.genesis_time),
            block_time: tributary_devnet::L2_BLOCK_TIME,
        },
    };
    let anchor = AnchorOptions {
        l1: vec![devnet.l1_http().parse().unwrap()],
        l1_chain_id: defaults.l1_chain_id,
        beacon: vec![devnet.beacon_url().parse().unwrap()],
        rollup,
        start_block: None,
        l2_start_block: 0,
        // By the clock, which does not wait: pauses between two attempts are over soon.
        poll_interval: Duration::from_secs(1),
        required,
    };
    let config = IndexerConfig { anchor: Some(anchor), ..config(devnet, dir, Until::Final(until)) };
    try_index(config, dir).await.unwrap()
}

async fn read<T: tributary_schemas::Table + Send + 'static>(dir: &Path) -> Vec<T> {
    let lake = Lake::open(dir).await.unwrap();
    let snapshot = lake.latest().await.unwrap().unwrap();
    lake.read::<T>(&snapshot).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tables_hold_what_the_chain_holds() {
    let (devnet, last) = start(devnet_config(7, &[])).await;
    let dir = tempfile::tempdir().unwrap();
    let outcome = index(&devnet, dir.path(), last).await;
    assert_eq!(outcome.sealed.map(|block| block.number), Some(last), "{:?}", outcome.progress);
    let truth = devnet.truth();

    let payments = read::<PaymentRow>(dir.path()).await;
    assert_eq!(u64::try_from(payments.len()).unwrap(), truth.payments);
    let batches: Vec<BatchRow> = read::<BatchRow>(dir.path()).await;
    let of = |hash: String| batches.iter().find(|row| row.payload_hash == hash).map(|row| row.state.as_str());
    for batch in &truth.batches {
        let expected = if batch.make == Make::Sound { "resolved" } else { "malformed" };
        let got = of(tributary_schemas::column::hex_text(batch.payload_hash));
        assert!(got == Some(expected) || got == Some("rejected") || got == Some("superseded"), "{batch:?} is {got:?}");
    }
    assert!(truth.batches.iter().any(|batch| batch.make == Make::Sound));

    let attributions: Vec<AttributionRow> = read(dir.path()).await;
    assert!(attributions.iter().any(|row| row.weight > 0));
    let mut inferences: BTreeMap<(i64, i32), InferenceRow> = BTreeMap::new();
    for row in read::<InferenceRow>(dir.path()).await {
        assert!(inferences.insert((row.batch_sk, row.inference), row).is_none());
    }
    let mut sums = BTreeMap::<(i64, i32), i64>::new();
    for row in &attributions {
        *sums.entry((row.batch_sk, row.inference)).or_default() += row.weight;
        assert_eq!(row.weight_total, inferences[&(row.batch_sk, row.inference)].weight_total);
        assert!(row.weight_before + row.weight <= row.weight_total);
    }
    assert!(sums.iter().all(|(key, sum)| inferences[key].weight_total == *sum));
    assert!(read::<MembershipRow>(dir.path()).await.iter().any(|row| row.to_version.is_none()));
    assert!(read::<DatasetVersionRow>(dir.path()).await.iter().any(|row| row.members > Some(0)));
    let kinds: BTreeMap<String, usize> =
        read::<EventRow>(dir.path()).await.iter().fold(BTreeMap::new(), |mut kinds, row| {
            let reason = row.reason.clone().unwrap_or_default();
            *kinds.entry(format!("{} {reason}", row.kind)).or_default() += 1;
            kinds
        });
    assert!(kinds.keys().any(|kind| kind.ends_with("UNAUTHORIZED")), "{kinds:#?}");
    assert!(read_status(dir.path()).unwrap().unwrap().waiting.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_restarts_and_a_lost_tail_change_nothing() {
    let (devnet, last) = start(devnet_config(8, &[])).await;
    let dir = tempfile::tempdir().unwrap();
    let plain = index(&devnet, dir.path(), last).await;
    assert_eq!(plain.sealed.map(|block| block.number), Some(last));

    // In three runs, with the tail taken away before the last.
    let pieces = tempfile::tempdir().unwrap();
    index(&devnet, pieces.path(), last / 3).await;
    index(&devnet, pieces.path(), last / 2).await;
    std::fs::remove_dir_all(pieces.path().join("tail")).unwrap();
    let again = index(&devnet, pieces.path(), last).await;
    assert_eq!(again.sealed, plain.sealed);
    assert_eq!(again.log_root, plain.log_root);
    let (mut ours, mut theirs) = (read::<BatchRow>(dir.path()).await, read::<BatchRow>(pieces.path()).await);
    ours.sort_by_key(|row| (row.batch_sk, row.valid_from_block));
    theirs.sort_by_key(|row| (row.batch_sk, row.valid_from_block));
    assert_eq!(ours, theirs);

    let faulty = [Fault::Reorg, Fault::LowerHead, Fault::SameHeight, Fault::Slow, Fault::TooManyRequests, Fault::Drop];
    let (devnet, last) = start(devnet_config(8, &faulty)).await;
    let dir = tempfile::tempdir().unwrap();
    let faulty = index(&devnet, dir.path(), last).await;
    assert_eq!((faulty.sealed, faulty.log_root), (plain.sealed, plain.log_root));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_that_nobody_has_is_declared_missing_at_its_deadline() {
    let config = devnet_config(9, &[Fault::MissingBlob]);
    let last = config.decided_at();
    let devnet = Devnet::start(config).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    // The chain grows until a final block waits for the blob, and the status says for which and until when.
    let (mut said, mut head) = (Vec::new(), 20);
    while said.is_empty() && head < last {
        devnet.mine_to(head);
        index(&devnet, dir.path(), devnet.finalized()).await;
        said = read_status(dir.path()).unwrap().unwrap().waiting;
        head += 10;
    }
    assert!(said.iter().any(|line| line.contains("waits for blob ") && line.contains("deadline block")), "{said:?}");
    devnet.mine_to(last);
    let last = devnet.finalized();
    let outcome = index(&devnet, dir.path(), last).await;
    assert_eq!(outcome.sealed.map(|block| block.number), Some(last), "{:?}", outcome.progress.waiting);
    let missing: Vec<BlobRow> =
        read::<BlobRow>(dir.path()).await.into_iter().filter(|row| row.status == "missing").collect();
    assert!(!missing.is_empty());
    let lake = Lake::open(dir.path()).await.unwrap();
    let snapshot = lake.latest().await.unwrap().unwrap();
    assert_eq!(snapshot.heads.declared_outcomes.len(), missing.len());
    assert!(read::<BatchRow>(dir.path()).await.iter().any(|row| row.state == "unavailable"));
}

/// A node that leaves out logs is refused; where the configuration says that it is to be believed, whatever rests on it
/// says so, for good (INV-04).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_unverified_source_yields_says_so_for_good() {
    let quiet = |faults: &[Fault]| DevnetConfig { finalized_lag: 4, ..devnet_config(11, faults) };
    let liar = Devnet::start(quiet(&[Fault::OmittedLog])).await.unwrap();
    liar.mine_to(60);
    let trusting = |devnet: &Devnet, dir: &Path, until, trust| {
        let mut config = config(devnet, dir, Until::Final(until));
        config.follow.trust = trust;
        config
    };
    let dir = tempfile::tempdir().unwrap();
    let refused = try_index(trusting(&liar, dir.path(), 50, Trust::Verified), dir.path()).await.unwrap_err();
    assert!(refused.to_string().contains("receipts: root expected"), "{refused}");

    let dir = tempfile::tempdir().unwrap();
    let believed = try_index(trusting(&liar, dir.path(), 50, Trust::Unverified), dir.path()).await.unwrap();
    assert!(believed.progress.sealed >= Some(50), "{:?}", believed.progress);
    let tainted = i64::try_from(believed.progress.indexed.unwrap()).unwrap();
    assert!(read::<BlockRow>(dir.path()).await.iter().all(|row| row.trust == "unverified"));

    let honest = Devnet::start(quiet(&[])).await.unwrap();
    honest.mine_to(80);
    let after = try_index(trusting(&honest, dir.path(), 70, Trust::Verified), dir.path()).await.unwrap();
    assert!(after.progress.sealed >= Some(70), "{:?}", after.progress);
    for row in read::<BlockRow>(dir.path()).await {
        // What was in the tail already was not asked for again.
        let expected = if row.number <= tainted { "unverified" } else { "full" };
        assert_eq!(row.trust, expected, "block {}", row.number);
    }
    let snapshot = Lake::open(dir.path()).await.unwrap().latest().await.unwrap().unwrap();
    assert_eq!(snapshot.heads.trust, "unverified");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_final_block_is_anchored_where_it_was_posted_and_a_withheld_one_nowhere() {
    let withheld = BTreeSet::from([20, 61, 62]);
    let with = |faults: &[Fault]| DevnetConfig { withhold: withheld.clone(), ..devnet_config(11, faults) };
    let (devnet, last) = start(with(&[])).await;
    let dir = tempfile::tempdir().unwrap();
    let plain = index_with_l1(&devnet, dir.path(), last, false).await;
    assert_eq!(plain.sealed.map(|block| block.number), Some(last));
    let mut rows: Vec<AnchorRow> = read(dir.path()).await;
    rows.sort_by_key(|row| (row.l2_block, row.part));
    let truth = devnet.truth();
    let status = read_status(dir.path()).unwrap().unwrap().anchored.unwrap();
    let l1_final = status.l1_finalized.unwrap();
    assert_eq!((status.state.as_str(), status.l1_read), ("following", Some(l1_final)));
    let hash = |hash: alloy_primitives::B256| Some(tributary_schemas::column::hex_text(hash));
    for number in 1..=last {
        let found: Vec<&AnchorRow> = rows.iter().filter(|row| row.l2_block == i64::try_from(number).unwrap()).collect();
        let posted = truth.posted(number);
        if withheld.contains(&number) {
            assert_eq!(found.iter().map(|row| row.state.as_str()).collect::<Vec<_>>(), ["not_anchored"], "{number}");
        } else if posted.last().is_some_and(|last| last.l1_block <= l1_final) {
            assert!(!found.is_empty(), "block {number} was posted in {posted:?}");
            for row in found {
                let of = posted.iter().find(|posting| hash(posting.transaction) == row.l1_tx).unwrap();
                assert_eq!((row.state.as_str(), row.l1_block), ("anchored", i64::try_from(of.l1_block).ok()));
                assert_eq!(row.commitment_hash, of.commitment.and_then(hash));
                assert_eq!(row.channel, Some(tributary_schemas::column::hex_text(of.channel)));
                let frames = row.frame_first.unwrap()..=row.frame_last.unwrap();
                assert!(frames.into_iter().all(|frame| of.frames.contains(&u16::try_from(frame).unwrap())));
            }
        } else {
            assert!(found.is_empty() && number + 60 > last, "{number}");
        }
    }
    assert!(rows.iter().any(|row| row.form.as_deref() == Some("calldata")));
    assert!(rows.iter().any(|row| row.form.as_deref() == Some("keccak")));

    // In pieces, with the tail taken away, the same rows; with every fault of the network too; and the log knows
    // nothing of it.
    let pieces = tempfile::tempdir().unwrap();
    index_with_l1(&devnet, pieces.path(), last / 3, false).await;
    index_with_l1(&devnet, pieces.path(), last / 2, false).await;
    std::fs::remove_dir_all(pieces.path().join("tail")).unwrap();
    let again = index_with_l1(&devnet, pieces.path(), last, false).await;
    let without = tempfile::tempdir().unwrap();
    let without_l1 = index(&devnet, without.path(), last).await;
    let faulty = [Fault::Reorg, Fault::LowerHead, Fault::SameHeight, Fault::Slow, Fault::TooManyRequests, Fault::Drop];
    let (devnet, last) = start(with(&faulty)).await;
    let broken = tempfile::tempdir().unwrap();
    let through = index_with_l1(&devnet, broken.path(), last, false).await;
    for outcome in [again, without_l1, through] {
        assert_eq!((outcome.sealed, outcome.log_root), (plain.sealed, plain.log_root));
    }
    for dir in [pieces.path(), broken.path()] {
        let mut same: Vec<AnchorRow> = read(dir).await;
        same.sort_by_key(|row| (row.l2_block, row.part));
        assert_eq!(same, rows);
    }
}

/// Where L1 decides, what an L2 node calls final is not enough: blocks are sealed as far as postings carry them, in
/// pieces as in one go, and one that has transactions and was never posted is where it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_l1_decides_a_block_is_sealed_once_a_posting_carries_it() {
    let (devnet, last) = start(devnet_config(11, &[])).await;
    let plain = tempfile::tempdir().unwrap();
    index(&devnet, plain.path(), last).await;
    let blocks: Vec<BlockRow> = read(plain.path()).await;
    let block = |number: u64| blocks.iter().find(|row| row.number == i64::try_from(number).unwrap()).unwrap();

    let (whole, pieces) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let outcome = index_with_l1(&devnet, whole.path(), last, true).await;
    let l1_final = read_status(whole.path()).unwrap().unwrap().anchored.unwrap().l1_finalized.unwrap();
    let truth = devnet.truth();
    let carried = |number: &u64| truth.posted(*number).last().is_some_and(|posted| posted.l1_block <= l1_final);
    let expected = (1..=last).take_while(carried).last();
    assert!(expected > Some(last / 2), "{expected:?} of {last}");
    index_with_l1(&devnet, pieces.path(), last / 3, true).await;
    std::fs::remove_dir_all(pieces.path().join("tail")).unwrap();
    index_with_l1(&devnet, pieces.path(), last / 2, true).await;
    let again = index_with_l1(&devnet, pieces.path(), last, true).await;
    for (outcome, dir) in [(outcome, &whole), (again, &pieces)] {
        assert_eq!(outcome.sealed.map(|block| block.number), expected, "{:?}", outcome.progress);
        assert_eq!(
            outcome.log_root.map(tributary_schemas::column::hex_text),
            Some(block(expected.unwrap()).log_root.clone())
        );
        assert!(read::<BlockRow>(dir.path()).await.iter().all(|row| row.finality == "l1"));
    }

    // One transaction is that which every block has.
    let withheld = (20..).find(|number| block(*number).tx_count > 1).unwrap();
    let empty = (20..).find(|number| block(*number).tx_count == 1);
    let withhold = empty.into_iter().filter(|empty| *empty < withheld).chain([withheld]).collect();
    let (devnet, last) = start(DevnetConfig { withhold, ..devnet_config(11, &[]) }).await;
    let dir = tempfile::tempdir().unwrap();
    let outcome = index_with_l1(&devnet, dir.path(), last, true).await;
    assert_eq!(outcome.sealed.map(|block| block.number), Some(withheld - 1), "{:?}", outcome.progress);
    let waiting = read_status(dir.path()).unwrap().unwrap().waiting;
    let named = format!("block {withheld} waits for L1: it has transactions, and nothing that was posted");
    assert!(waiting.iter().any(|line| line.starts_with(&named)), "{waiting:?}");
}
