//! What a pipeline is made of, brought into step with what is stored.

use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tributary_store::{Archive, Lake, Tail};

use super::{IndexerConfig, KeptBlocks, Pipeline, Progress, Room};
use crate::anchor::service::Parts;
use crate::anchor::{PayloadSource, Payloads, Service};
use crate::blob::{BlobSource, Fetcher, Finder, Judge, Proxies};
use crate::endpoint::Pool;
use crate::reads::{LookUp, Reader};
use crate::seal::Sealer;
use crate::{Clock, Heads, IndexerError};

impl Pipeline {
    /// A pipeline over what is stored, brought into step. Without a pool no node of the L2 is asked.
    pub(super) async fn start(
        config: &IndexerConfig,
        tail: &Arc<Tail>,
        lake: Lake,
        archive: Archive,
        (clock, shutdown): (&Arc<dyn Clock>, &CancellationToken),
        (pool, progress): (Option<Arc<Pool>>, watch::Sender<Progress>),
    ) -> Result<Self, IndexerError> {
        let mapping = config.mapping()?;
        let finder = finder(config, &archive, clock).await?;
        let fetcher = Fetcher::new(finder.clone(), Arc::clone(clock), config.blob_fetches_max);
        let mut sealer = Sealer::new(
            Arc::clone(tail),
            lake,
            config.chronology(),
            config.follow.start_block,
            &mapping,
            &config.data_dir.join("staging"),
            config.publish,
        );
        sealer.import(config.imported.clone())?;
        sealer.recover(&mapping, &archive).await?;
        if let KeptBlocks::Written { blocks, .. } = &config.kept {
            blocks.follow(tail.head())?;
        }
        let beacon = config.anchor.as_ref().map_or(&[][..], |anchor| anchor.beacon.as_slice());
        let payloads = Arc::new(Payloads::new(finder, beacon, clock)?);
        let anchoring = start_anchoring(config, tail, &sealer, pool.as_ref(), payloads, clock).await?;
        let mut pipeline = Self {
            tail: Arc::clone(tail),
            sealer,
            fetcher,
            mapping,
            chronology: config.chronology(),
            reader: pool.clone().map(Reader::new),
            published_reads: config.kept.reads().cloned().map(LookUp::new),
            unheard: None,
            data_dir: config.data_dir.clone(),
            pool,
            heads: Heads::default(),
            finalized: None,
            counters: BTreeMap::new(),
            progress,
            anchoring,
            room: Room { options: config.space.clone(), clock: Arc::clone(clock), shutdown: shutdown.clone() },
            kept: config.kept.clone(),
        };
        let anchors_required = config.anchor.as_ref().is_some_and(|anchor| anchor.required);
        pipeline.sealer.publish_anchors(pipeline.anchors(), anchors_required);
        pipeline.want_again()?;
        Ok(pipeline)
    }
}

async fn start_anchoring(
    config: &IndexerConfig,
    tail: &Arc<Tail>,
    sealer: &Sealer,
    l2: Option<&Arc<Pool>>,
    payloads: Arc<dyn PayloadSource>,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Service>, IndexerError> {
    let Some(options) = config.anchor.clone() else { return Ok(None) };
    let parts = Parts {
        tail: Arc::clone(tail),
        l2: l2.map(Arc::clone),
        endpoint: config.endpoint.clone(),
        trust: config.follow.trust,
        payloads,
        chronology: config.chronology(),
        clock: Arc::clone(clock),
        published: sealer.published_anchors().await?,
    };
    Service::start(options, parts).map(Some)
}

/// Who finds blobs, and judges them.
async fn finder(config: &IndexerConfig, archive: &Archive, clock: &Arc<dyn Clock>) -> Result<Finder, IndexerError> {
    let mut sources: Vec<Arc<dyn BlobSource>> = vec![Arc::new(Proxies::new(&config.proxies, Arc::clone(clock))?)];
    if !config.buckets.is_empty() {
        sources.push(Arc::new(Proxies::buckets(&config.buckets, &config.s3, Arc::clone(clock))?));
    }
    let (certificates, endpoint) = (config.certificates.clone(), config.endpoint.clone());
    let (cache_dir, clock_of_judge) = (config.cache_dir.clone(), Arc::clone(clock));
    // Reading and certifying points is seconds of work.
    let made = tokio::task::spawn_blocking(move || certificates.judge(Some(&cache_dir), &endpoint, &clock_of_judge));
    let judge: Judge =
        made.await.map_err(|error| IndexerError::Ended { task: "reading the SRS", reason: error.to_string() })??;
    Ok(Finder::new(sources, judge, archive.clone()))
}
