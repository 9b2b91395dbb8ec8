//! The benchmark of certificates: what checking them costs of following, sealing and publishing a chain.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tributary_devnet::{Devnet, DevnetConfig, L1_CHAIN_ID, L2_CHAIN_ID, Workload};
use tributary_indexer::clock::ManualClock;
use tributary_indexer::endpoint::EndpointOptions;
use tributary_indexer::follow::{FollowOptions, Until};
use tributary_indexer::seal::PublishLimits;
use tributary_indexer::{
    CertificateOptions, Contracts, IndexerConfig, MappingChoice, Points, Progress, VerifierOptions, run,
};
use tributary_store::{Archive, ArchiveReader, Lake, Tail, TailOptions};

use crate::measure;

/// What one chain took.
struct Cost {
    wall: Duration,
    cpu: Duration,
    certificates: usize,
    bytes: u64,
}

/// Follows the same chain twice, with every blob referred to by its hash and with most referred to by certificates.
/// The node that serves it is in this process, and serves the same in both.
///
/// # Panics
/// When a part of it fails.
pub async fn bench(seed: u64, blocks: u64) -> Value {
    let plain = follow(seed, blocks, false).await;
    let certified = follow(seed, blocks, true).await;
    json!({
        "blocks": blocks,
        "certificates": certified.certificates,
        "blob_bytes": certified.bytes,
        "by_hash": { "wall_seconds": plain.wall.as_secs_f64(), "cpu_seconds": plain.cpu.as_secs_f64() },
        "certified": { "wall_seconds": certified.wall.as_secs_f64(), "cpu_seconds": certified.cpu.as_secs_f64() },
        "share_of_cpu": 1.0 - plain.cpu.as_secs_f64() / certified.cpu.as_secs_f64(),
    })
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
async fn follow(seed: u64, blocks: u64, certificates: bool) -> Cost {
    let workload = Workload { blocks, hostile: false, ..Workload::default() };
    let config = DevnetConfig { seed, certificates, finalized_lag: 8, workload, ..DevnetConfig::default() };
    let last = config.decided_at();
    let devnet = Devnet::start(config).await.expect("ports are free");
    devnet.mine_to(last);
    let folder = tempfile::tempdir().expect("a folder can be made");
    let dir = folder.path();
    let tail = Arc::new(Tail::open(dir, TailOptions::default()).expect("the folder is new"));
    let lake = Lake::open(dir).await.expect("the folder is new");
    let archive = Archive::open(dir).expect("the folder is new");
    let (progress, _) = watch::channel(Progress::default());
    let clock = Arc::new(ManualClock::at(1));
    let (began, before) = (Instant::now(), measure::cpu_time());
    let indexer = configuration(&devnet, dir, devnet.finalized());
    let outcome = run(indexer, tail, lake, archive, clock, CancellationToken::new(), progress).await;
    let (wall, cpu) = (began.elapsed(), measure::cpu_time().saturating_sub(before));
    let sealed = outcome.expect("the devnet answers").sealed.map(|block| block.number);
    assert_eq!(sealed, Some(devnet.finalized()), "everything is sealed");
    let archived = ArchiveReader::new(dir);
    let bytes = archived.hashes().flatten().filter_map(|hash| archived.check(hash).ok().flatten()).sum();
    Cost { wall, cpu, certificates: archived.keys().flatten().count(), bytes }
}

/// How a node follows the embedded chain up to a final block.
///
/// # Panics
/// When the embedded chain's addresses are no URLs.
#[must_use]
pub fn configuration(devnet: &Devnet, dir: &Path, until: u64) -> IndexerConfig {
    let url = |text: String| text.parse().expect("the devnet's addresses are URLs");
    let known = devnet.contracts();
    let contracts: Contracts = BTreeMap::from([
        ("datanet_registry".to_owned(), [known.datanet_registry].into()),
        ("model_registry".to_owned(), [known.model_registry].into()),
        ("agent_registry".to_owned(), [known.agent_registry].into()),
        ("attribution_hub".to_owned(), [known.attribution_hub].into()),
        ("reward_vault".to_owned(), [known.reward_vault].into()),
    ]);
    let verifier =
        VerifierOptions { l1: vec![url(devnet.l1_http())], l1_chain_id: L1_CHAIN_ID, router: devnet.eigenda_router() };
    IndexerConfig {
        chain_id: L2_CHAIN_ID,
        l2: vec![url(devnet.l2_http())],
        proxies: vec![url(devnet.proxy_url())],
        buckets: Vec::new(),
        certificates: CertificateOptions {
            points: Points::KnownTau(devnet.tau()),
            verifier: Some(verifier),
            threads: NonZeroUsize::new(2).expect("two is not zero"),
            ..CertificateOptions::default()
        },
        contracts,
        mapping: MappingChoice::Reference,
        epoch_origin: DevnetConfig::default().genesis_time,
        epoch_seconds: 120,
        data_dir: dir.to_path_buf(),
        follow: FollowOptions {
            until: Until::Final(until),
            poll_interval: Duration::from_millis(1),
            ..FollowOptions::default()
        },
        endpoint: EndpointOptions::default(),
        blob_fetches_max: 8,
        publish: PublishLimits::default(),
        imported: None,
        anchor: None,
    }
}
