//! The benchmark of certificates: what checking them costs of following, sealing and publishing a chain.
//!
//! Each chain is followed twice, with every blob referred to by its hash and with most referred to by certificates. The
//! node, the L1 and the proxy are in this process too, on threads of their own that are not counted. Two figures say
//! what certificates cost. One is what the threads had that judge them, which do nothing else. The other is the
//! difference of both runs, which has everything that comes with a certificate: the questions to L1, and the longer
//! logs that carry it. Making the points of the devnet's setup is no part of either: a real follower reads them from a
//! file.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tributary_devnet::{Devnet, DevnetConfig, L1_CHAIN_ID, L2_CHAIN_ID, Workload};
use tributary_indexer::clock::ManualClock;
use tributary_indexer::eigenda::Srs;
use tributary_indexer::endpoint::EndpointOptions;
use tributary_indexer::follow::{FollowOptions, Until};
use tributary_indexer::seal::PublishLimits;
use tributary_indexer::{
    CertificateOptions, Contracts, IndexerConfig, KeptBlocks, MappingChoice, Points, Progress, SpaceOptions,
    VerifierOptions, run,
};
use tributary_store::{Archive, ArchiveReader, Lake, Tail, TailOptions};

use crate::measure::Watch;

/// Threads of the node, by name.
const NODE: &str = "node";
/// Threads that check headers, transactions and receipts.
const VERIFY: &str = "verify";
/// Threads that judge certificates and bytes.
const JUDGE: &str = "kzg";

/// A chain, by how full its blocks are and how often a batch of what size is committed.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Blocks with transactions.
    pub blocks: u64,
    /// Percentage of four to eight transactions of all kinds a block.
    pub intensity_percent: u32,
    /// Payments in every block beside them.
    pub payments: u32,
    /// Blocks between two batches, about.
    pub batch_every: u64,
    /// Inferences in a batch at least.
    pub inferences_min: usize,
    /// Field elements of the longest blob.
    pub elements: usize,
}

impl Load {
    /// The devnet as it is: few events a block, and a small batch every tenth block or so.
    #[must_use]
    pub const fn sparse(blocks: u64) -> Self {
        Self { blocks, intensity_percent: 100, payments: 0, batch_every: 10, inferences_min: 0, elements: 1 << 12 }
    }

    /// A busy chain: 250 payments a block with little else, and a batch of a good megabyte every `batch_every` blocks.
    #[must_use]
    pub const fn dense(blocks: u64, batch_every: u64) -> Self {
        let inferences_min = 40_000;
        Self { blocks, intensity_percent: 17, payments: 250, batch_every, inferences_min, elements: 1 << 16 }
    }
}

/// What one run took.
struct Cost {
    wall: Duration,
    /// By the name of the threads.
    cpu: BTreeMap<String, Duration>,
    /// Making the points took so much of it.
    points: Duration,
    certificates: usize,
    blob_bytes: u64,
    events: u64,
    sealed: u64,
}

impl Cost {
    fn of(&self, threads: &str) -> f64 {
        self.cpu.get(threads).map_or(0.0, Duration::as_secs_f64)
    }

    /// What the follower took.
    fn all(&self) -> f64 {
        let own = self.cpu.iter().filter(|(threads, _)| *threads != NODE);
        own.map(|(_, time)| time.as_secs_f64()).sum::<f64>() - self.points.as_secs_f64()
    }
}

/// Follows a chain with certificates and without.
///
/// # Panics
/// When a part of it fails.
#[must_use]
pub fn bench(seed: u64, load: Load) -> Value {
    let plain = follow(seed, load, false);
    let certified = follow(seed, load, true);
    let (all, judging, verifying) = (certified.all(), certified.of(JUDGE), certified.of(VERIFY));
    json!({
        "blocks": certified.sealed,
        "events": certified.events,
        "certificates": certified.certificates,
        "blob_bytes": certified.blob_bytes,
        "seconds": certified.wall.as_secs_f64(),
        "cpu_seconds": {
            "all": all,
            "headers_and_receipts": verifying,
            "certificates": judging,
            "rest": all - judging - verifying,
            "all_by_hash": plain.all(),
            "points": certified.points.as_secs_f64(),
            "node": certified.of(NODE),
        },
        "share_of_certificates": judging / all,
        "share_by_difference": 1.0 - plain.all() / all,
        "milliseconds_a_certificate": 1_000.0 * judging / certificates(&certified),
    })
}

fn certificates(cost: &Cost) -> f64 {
    u32::try_from(cost.certificates).map_or(f64::NAN, f64::from)
}

fn threads(name: &str) -> Runtime {
    Builder::new_multi_thread().worker_threads(2).thread_name(name).enable_all().build().expect("threads start")
}

fn follow(seed: u64, load: Load, certificates: bool) -> Cost {
    let Load { blocks, intensity_percent, payments, batch_every, inferences_min, .. } = load;
    let workload = Workload {
        blocks,
        intensity_percent,
        payments,
        batch_every,
        inferences_min,
        hostile: false,
        ..Workload::default()
    };
    let config = DevnetConfig { seed, certificates, finalized_lag: 8, workload, ..DevnetConfig::default() };
    let last = config.decided_at();
    let node = threads(NODE);
    let devnet = node.block_on(Devnet::start(config)).expect("ports are free");
    devnet.mine_to(last);
    let cost = threads("follow").block_on(Box::pin(followed(&devnet, load)));
    drop(devnet);
    node.shutdown_background();
    cost
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
async fn followed(devnet: &Devnet, load: Load) -> Cost {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let dir = folder.path();
    let tail = Arc::new(Tail::open(dir, TailOptions::default()).expect("the folder is new"));
    let lake = Lake::open(dir).await.expect("the folder is new");
    let archive = Archive::open(dir).expect("the folder is new");
    let (progress, _) = watch::channel(Progress::default());
    let clock = Arc::new(ManualClock::at(1));
    let indexer = configuration(devnet, load.elements, dir, devnet.finalized());
    let making = Watch::start();
    let points = Srs::of_known_tau(devnet.tau(), load.elements).points();
    let making: Duration = making.stop().into_values().sum();
    assert_eq!(points, load.elements);
    let (began, watched) = (Instant::now(), Watch::start());
    let outcome = run(indexer, tail, lake, archive, clock, CancellationToken::new(), progress).await;
    let (wall, cpu) = (began.elapsed(), watched.stop());
    let outcome = outcome.expect("the devnet answers");
    let sealed = outcome.sealed.map_or(0, |block| block.number);
    assert_eq!(sealed, devnet.finalized(), "everything is sealed");
    let archived = ArchiveReader::new(dir);
    let blob_bytes = archived.hashes().flatten().filter_map(|hash| archived.check(hash).ok().flatten()).sum();
    let certificates = archived.keys().flatten().count();
    Cost { wall, cpu, points: making, certificates, blob_bytes, events: outcome.progress.events, sealed }
}

/// How a node follows the embedded chain up to a final block, with the points of blobs of so many field
/// elements.
///
/// # Panics
/// When the embedded chain's addresses are no URLs.
#[must_use]
pub fn configuration(devnet: &Devnet, elements: usize, dir: &Path, until: u64) -> IndexerConfig {
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
        s3: tributary_indexer::s3::S3Options::default(),
        buckets: Vec::new(),
        certificates: CertificateOptions {
            points: Points::KnownTau { tau: devnet.tau(), points: elements },
            verifier: Some(verifier),
            threads: NonZeroUsize::new(2).expect("two is not zero"),
            ..CertificateOptions::default()
        },
        contracts,
        mapping: MappingChoice::Reference,
        epoch_origin: DevnetConfig::default().genesis_time,
        epoch_seconds: 120,
        data_dir: dir.to_path_buf(),
        cache_dir: dir.to_path_buf(),
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
        space: SpaceOptions::default(),
        kept: KeptBlocks::None,
    }
}
