//! Everything in one process: follow, settle, serve.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use alloy_primitives::Address;
use anyhow::{Context as _, anyhow};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tributary_indexer::anchor::{AnchorOptions, Forks, Rollup};
use tributary_indexer::endpoint::EndpointOptions;
use tributary_indexer::follow::{FollowOptions, Until};
use tributary_indexer::inbox::batch::Terms;
use tributary_indexer::s3::S3Options;
use tributary_indexer::seal::{Imported, PublishLimits};
use tributary_indexer::{
    CertificateOptions, IndexerConfig, IndexerError, KeptBlocks, MappingChoice, Points, Progress as Followed,
    SpaceOptions, Trust, VerifierOptions,
};
use tributary_store::{HotTails, Lake};
use url::Url;

use crate::config::{self, Config};
use crate::failure::{Exit, Failure, OrExit as _};
use crate::following::{Following, Told};
use crate::progress::Progress;
use crate::signals::Signals;
use crate::{init, mapping, output, serving};

/// The L1 is looked at so many times less often than the L2: its blocks come every twelve seconds, not every two.
const L1_POLL_FACTOR: u64 = 5;

/// Blobs fetched at once.
const BLOB_FETCHES_MAX: usize = 8;

/// The tasks of a running node.
pub(crate) struct Node {
    tasks: JoinSet<Result<Done, Failure>>,
    shutdown: CancellationToken,
    progress: watch::Receiver<Followed>,
    address: Option<SocketAddr>,
    settled: watch::Receiver<bool>,
    settling: watch::Receiver<Option<String>>,
}

/// Which task ended, and that it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Following,
    Server,
}

impl Node {
    /// Starts all tasks. With `until_block` the indexer stops when that block is sealed, and the settler when
    /// everything up to it is settled.
    pub(crate) async fn start(
        config: &Config,
        until_block: Option<u64>,
        serve: bool,
        shutdown: &CancellationToken,
    ) -> Result<Self, Failure> {
        let dir = config.storage.data_dir.clone();
        let (progress_sender, progress) = watch::channel(Followed::default());
        let (settled_sender, settled) = watch::channel(false);
        let (settling_sender, settling) = watch::channel(None);
        let told = Told { progress: progress_sender, settled: settled_sender, settling: settling_sender };
        let hot = HotTails::default();
        let (following, plan) = Following::begin(config, until_block, shutdown, told, &hot)?;
        let lake = Lake::open(&dir).await.or_exit(Exit::Store)?;
        let mut tasks = JoinSet::new();
        let mut address = None;
        if serve {
            let bound = serving::bind(config, &lake, &dir, hot, shutdown).await?;
            address = Some(bound.addr);
            tasks.spawn(async move { bound.run.await.map(|()| Done::Server).or_exit(Exit::Failed) });
        }
        tasks.spawn(async move { Box::pin(following.run(plan)).await.map(|()| Done::Following) });
        Ok(Self { tasks, shutdown: shutdown.clone(), progress, address, settled, settling })
    }

    /// Where it serves.
    pub(crate) const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// How many reorgs were followed.
    pub(crate) fn reorgs(&self) -> u64 {
        self.progress.borrow().reorgs
    }

    /// What sealing still waits for.
    pub(crate) fn waiting(&self) -> Vec<String> {
        self.progress.borrow().waiting.clone()
    }

    /// Waits until everything up to `until_block` is settled, or a task fails.
    pub(crate) async fn until_settled(&mut self, shown: &Progress) -> Result<(), Failure> {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let mut unsettled = false;
        loop {
            tokio::select! {
                // In this order: the tasks end as soon as everything is settled.
                biased;
                done = self.settled.wait_for(|settled| *settled), if !unsettled => match done {
                    Ok(_) => return Ok(()),
                    // Whoever would say so has ended: its task says why.
                    Err(_gone) => unsettled = true,
                },
                ended = self.tasks.join_next() => match joined(ended)? {
                    Some(Done::Following) if !unsettled => {}
                    _ => return Err(anyhow!("the node ended before everything was settled").into()),
                },
                _ = tick.tick() => {
                    let now = self.progress.borrow().clone();
                    let settling = self.settling.borrow().clone();
                    shown.show(now.sealed.unwrap_or(0), &settling.unwrap_or_else(|| doing(&now)));
                }
            }
        }
    }

    /// Waits for a task to fail.
    pub(crate) async fn failed(&mut self) -> Failure {
        loop {
            match joined(self.tasks.join_next().await) {
                Ok(Some(Done::Server) | None) => return anyhow!("the server ended").into(),
                Ok(Some(_)) => {}
                Err(failure) => return failure,
            }
        }
    }

    /// Asks everything to stop and waits for it.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        self.shutdown.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            joined(Some(ended))?;
        }
        Ok(())
    }
}

/// What it is doing or waiting for: the bottleneck, in words.
fn doing(now: &Followed) -> String {
    let indexed = now.indexed.unwrap_or(0);
    match (now.waiting.first(), now.finalized) {
        (Some(reason), _) => reason.clone(),
        (None, _) if indexed < now.head => format!("following: block {indexed} of {}", now.head),
        (None, Some(last)) if now.sealed.unwrap_or(0) < last => "sealing".to_owned(),
        (None, _) => "waiting for the chain".to_owned(),
    }
}

fn joined(ended: Option<Result<Result<Done, Failure>, tokio::task::JoinError>>) -> Result<Option<Done>, Failure> {
    match ended {
        None => Ok(None),
        Some(Ok(done)) => done.map(Some),
        Some(Err(error)) => Err(Failure::new(Exit::Failed, anyhow::Error::new(error).context("a task of the node"))),
    }
}

/// The configured addresses by the role of the contract.
pub(crate) fn roles(contracts: &config::Contracts) -> [(&'static str, &[String]); 5] {
    [
        ("datanet_registry", &contracts.datanet_registry),
        ("model_registry", &contracts.model_registry),
        ("agent_registry", &contracts.agent_registry),
        ("attribution_hub", &contracts.attribution_hub),
        ("reward_vault", &contracts.reward_vault),
    ]
}

pub(crate) fn indexer_config(config: &Config, until_block: Option<u64>) -> anyhow::Result<IndexerConfig> {
    let mut contracts = mapping::contracts(config)?;
    let files = mapping::files(&config.mapping.files, &mut contracts).context("mapping.files")?;
    Ok(IndexerConfig {
        chain_id: config.chain.chain_id,
        l2: urls("chain.l2_urls", &config.chain.l2_urls)?,
        proxies: urls("eigenda.proxy_urls", &config.eigenda.proxy_urls)?,
        buckets: urls("eigenda.bucket_urls", &config.eigenda.bucket_urls)?,
        s3: blob_buckets(config)?,
        certificates: certificates(config)?,
        contracts,
        mapping: MappingChoice::Files(files),
        epoch_origin: config.settlement.epoch_origin,
        epoch_seconds: config.settlement.epoch_seconds,
        data_dir: config.storage.data_dir.clone(),
        cache_dir: config.storage.data_dir.clone(),
        follow: FollowOptions {
            start_block: config.chain.start_block,
            poll_interval: Duration::from_millis(config.chain.poll_interval_ms),
            until: until_block.map_or(Until::Stopped, Until::Final),
            trust: match config.chain.trust {
                config::Trust::Full => Trust::Verified,
                config::Trust::Unverified => Trust::Unverified,
            },
            ..FollowOptions::default()
        },
        endpoint: EndpointOptions::default(),
        blob_fetches_max: BLOB_FETCHES_MAX,
        publish: PublishLimits::default(),
        imported: imported(&config.eigenda.outcomes_file)?,
        anchor: anchor_options(config)?,
        space: SpaceOptions { min_free_bytes: config.storage.min_free_bytes, ..SpaceOptions::default() },
        kept: KeptBlocks::None,
    })
}

/// The declared outcomes of another index; none where no file is named.
fn imported(file: &Path) -> anyhow::Result<Option<Imported>> {
    if file.as_os_str().is_empty() {
        return Ok(None);
    }
    let named = || format!("eigenda.outcomes_file {}", file.display());
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", named()))?;
    let snapshot = serde_json::from_str(&text).with_context(|| format!("{} is no snapshot", named()))?;
    Ok(Some(Imported::of(snapshot)))
}

/// How L1 is followed; none where no inbox is named.
fn anchor_options(config: &Config) -> anyhow::Result<Option<AnchorOptions>> {
    let chain = &config.chain;
    if chain.inbox.is_empty() {
        return Ok(None);
    }
    if chain.l1_urls.is_empty() {
        return Err(anyhow!("chain.inbox is set and chain.l1_urls is empty: name at least one endpoint of the L1"));
    }
    if chain.genesis_time == 0 || chain.block_seconds == 0 {
        return Err(anyhow!(
            "chain.inbox is set and chain.genesis_time or chain.block_seconds is 0: expected the rollup's"
        ));
    }
    let address =
        |key: &str, text: &str| text.parse::<Address>().with_context(|| format!("chain.{key}: {text:?} is no address"));
    let system_config = Some(chain.system_config.as_str()).filter(|text| !text.is_empty());
    let rollup = Rollup {
        inbox: address("inbox", &chain.inbox)?,
        batcher: address("batcher", &chain.batcher)?,
        system_config: system_config.map(|text| address("system_config", text)).transpose()?,
        sequencing_window: chain.sequencing_window,
        forks: Forks { fjord: chain.fjord_time, granite: chain.granite_time, holocene: chain.holocene_time },
        terms: Terms {
            chain_id: Some(chain.chain_id),
            genesis_time: Some(chain.genesis_time),
            block_time: chain.block_seconds,
        },
    };
    Ok(Some(AnchorOptions {
        l1: urls("chain.l1_urls", &chain.l1_urls)?,
        l1_chain_id: chain.l1_chain_id,
        beacon: urls("chain.l1_beacon_urls", &chain.l1_beacon_urls)?,
        rollup,
        start_block: Some(chain.l1_start_block).filter(|number| *number > 0),
        l2_start_block: chain.start_block,
        poll_interval: Duration::from_millis(chain.poll_interval_ms.saturating_mul(L1_POLL_FACTOR)),
        required: chain.seal == config::Seal::Anchored,
    }))
}

/// Where the buckets with copies of blobs are.
pub(crate) fn blob_buckets(config: &Config) -> anyhow::Result<S3Options> {
    s3("eigenda.s3_endpoint", &config.eigenda.s3_endpoint, &config.eigenda.s3_region, config)
}

/// A service of S3, by its endpoint and region; `key` is the endpoint's.
pub(crate) fn s3(key: &str, endpoint: &str, region: &str, config: &Config) -> anyhow::Result<S3Options> {
    let url = |text| Url::parse(text).with_context(|| format!("{key}: {text:?} is no URL"));
    let endpoint = Some(endpoint).filter(|text| !text.is_empty()).map(url).transpose()?;
    Ok(S3Options { endpoint, region: region.to_owned(), credentials: config.s3_credentials.clone() })
}

/// How certificates are checked.
pub(crate) fn certificates(config: &Config) -> anyhow::Result<CertificateOptions> {
    let eigenda = &config.eigenda;
    let points = match eigenda.known_tau {
        Some(tau) => Points::known_tau(tau),
        None if eigenda.srs_file.as_os_str().is_empty() => Points::None,
        None => Points::File(eigenda.srs_file.clone()),
    };
    let threads = usize::try_from(config.engine.partitions).ok().and_then(NonZeroUsize::new);
    let mut options = CertificateOptions {
        form: eigenda.form,
        points,
        verifier: None,
        threads: threads.unwrap_or(NonZeroUsize::MIN),
    };
    if !eigenda.router.is_empty() {
        let router = eigenda.router.parse();
        if config.chain.l1_urls.is_empty() {
            return Err(anyhow!("eigenda.router is set and chain.l1_urls is empty: name at least one endpoint of L1"));
        }
        options.verifier = Some(VerifierOptions {
            l1: urls("chain.l1_urls", &config.chain.l1_urls)?,
            l1_chain_id: config.chain.l1_chain_id,
            router: router.with_context(|| format!("eigenda.router: {:?} is no address", eigenda.router))?,
        });
    }
    Ok(options)
}

fn urls(key: &str, texts: &[String]) -> anyhow::Result<Vec<Url>> {
    texts.iter().map(|text| Url::parse(text).with_context(|| format!("{key}: {text:?} is no URL"))).collect()
}

pub(crate) const fn exit_of(error: &IndexerError) -> Exit {
    match error {
        IndexerError::Configuration { .. } => Exit::Configuration,
        IndexerError::Store(_) | IndexerError::State { .. } | IndexerError::Sealing { .. } => Exit::Store,
        IndexerError::Unanswered { .. }
        | IndexerError::Refused { .. }
        | IndexerError::Lie { .. }
        | IndexerError::ContradictsFinal { .. }
        | IndexerError::BlockGone { .. }
        | IndexerError::NoEndpoint { .. } => Exit::Unreachable,
        _ => Exit::Failed,
    }
}

/// `tributary run`.
pub(crate) async fn run(config: &Config, until_block: Option<u64>) -> Result<ExitCode, Failure> {
    init::require_filled(config)?;
    std::fs::create_dir_all(&config.storage.data_dir).or_exit(Exit::Store)?;
    let mut signals = Signals::listen()?;
    let shutdown = CancellationToken::new();
    let mut node = Node::start(config, until_block, true, &shutdown).await?;
    if let Some(address) = node.address() {
        output::say(&format!("dashboard  http://{address}/\nGraphQL    http://{address}/graphql"));
    }
    let progress = Progress::new(until_block.unwrap_or(u64::MAX));
    let code = if until_block.is_some() {
        tokio::select! {
            done = node.until_settled(&progress) => done.map(|()| ExitCode::SUCCESS)?,
            code = signals.stop(&shutdown) => code,
        }
    } else {
        tokio::select! {
            failed = node.failed() => return Err(failed),
            code = signals.stop(&shutdown) => code,
        }
    };
    progress.finish();
    node.stop().await?;
    Ok(code)
}
