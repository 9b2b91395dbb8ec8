//! The wiring: from endpoints to published tables, in one process.
//!
//! [`run`] follows the chain into a [`Pipeline`], which ingests, unwinds and seals. Ingesting makes blocks durable and
//! starts fetching their blobs; sealing happens when the node calls blocks final. Memory is bounded in bytes by the
//! follower's steps and in rows by what waits to be published. Where an L1 is configured, anchoring runs beside it:
//! what it needs of each block is written down with the block, and what it finds goes out with the next publication.
//! While the disk has less room than is to stay free, nothing is taken in. What other rules sealed before is taken in from
//! the blocks that are kept, and [`rebuild`] does nothing else.

mod config;
mod fold;
mod replay;
mod space;
mod start;

use alloy_primitives::B256;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tributary_schemas::BlockRef;
use tributary_store::{Archive, EndpointStatus, Lake, Status, Tail, TailBlock, write_status};

use crate::anchor::{Exchange, Service};
use crate::blob::{Fetcher, Reference};
use crate::endpoint::{EndpointState, Pool};
use crate::fold::{BlobNeed, Chronology};
use crate::follow::Until;
use crate::reads::{LookUp, Reader};
use crate::seal::{Body, Progressed, SealedHead, Sealer};
use crate::state::{Key, Overlay, StateRead, StateView};
use crate::{Chain, Clock, Heads, IndexerError, Mapping, Sink, VerifiedBlock, kept};
pub use config::{CertificateOptions, IndexerConfig, MappingChoice, Points, VerifierOptions};
pub use replay::{KeptBlocks, Reached, rebuild};
pub use space::{Disk, FreeSpace, SpaceOptions};

/// Rounds in which a blob is asked for once more, when nothing else is left to do and nothing was sealed or found
/// meanwhile: for each blob that is asked for, as a round may be another's.
const LAST_ROUNDS: usize = 12;

/// How long anchoring is waited for, when nothing else is left to do: so many pauses of this length.
const ANCHOR_PAUSES: u32 = 500;
const ANCHOR_PAUSE: Duration = Duration::from_millis(20);

/// Where the indexer stands, for whoever watches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Newest block of the node.
    pub head: u64,
    /// Newest final block of the node.
    pub finalized: Option<u64>,
    /// Last block in the tail.
    pub indexed: Option<u64>,
    /// Last block sealed.
    pub sealed: Option<u64>,
    /// Events since the start of the process, refused ones included.
    pub events: u64,
    /// Refused ones.
    pub rejected_events: u64,
    /// Unwinds since the start of the process.
    pub reorgs: u64,
    /// Why sealing waits.
    pub waiting: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Last block sealed.
    pub sealed: Option<BlockRef>,
    /// Log root there.
    pub log_root: Option<B256>,
    /// Where it stood at the end.
    pub progress: Progress,
}

/// The state of a tail.
#[derive(Debug, Clone)]
pub struct TailState(pub Arc<Tail>);

impl StateRead for TailState {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexerError> {
        Ok(self.0.get(key)?)
    }
    fn scan(&self, prefix: &[u8]) -> Result<crate::state::Pairs, IndexerError> {
        Ok(self.0.scan(prefix)?)
    }
}

impl Chain for TailState {
    fn head(&self) -> Result<Option<BlockRef>, IndexerError> {
        Ok(self.0.head())
    }
    fn block(&self, number: u64) -> Result<Option<BlockRef>, IndexerError> {
        Ok(self.0.block(number)?)
    }
    fn sealed(&self) -> Result<Option<BlockRef>, IndexerError> {
        Ok(self.0.sealed())
    }
}

/// Follows, folds and seals until told to stop, or until what was to be reached is sealed.
///
/// # Errors
///
/// Those that need a person; everything else is waited out.
pub async fn run(
    config: IndexerConfig,
    tail: Arc<Tail>,
    lake: Lake,
    archive: Archive,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
    progress: watch::Sender<Progress>,
) -> Result<Outcome, IndexerError> {
    let pool = Arc::new(Pool::new(&config.l2, config.chain_id, config.endpoint.clone(), Arc::clone(&clock))?);
    let shared = (Some(Arc::clone(&pool)), progress);
    let mut pipeline = Pipeline::start(&config, &tail, lake, archive, (&clock, &shutdown), shared).await?;
    let until = config.follow.until;
    let followed = Box::pin(pipeline.follow(&config, &pool)).await;
    if followed.is_ok() && !shutdown.is_cancelled() && until != Until::Stopped {
        pipeline.finish(clock.as_ref(), &shutdown).await?;
        pipeline.finish_anchoring(clock.as_ref(), &shutdown).await?;
    }
    // Whatever is sealed in memory is published before the process ends: a restart need not do it again.
    if pipeline.lacking().is_none() {
        pipeline.flush().await?;
    }
    pipeline.report()?;
    if let Some(anchoring) = pipeline.anchoring.take() {
        anchoring.stop().await;
    }
    followed?;
    pipeline.outcome()
}

/// Takes the follower's steps.
#[derive(Debug)]
pub struct Pipeline {
    tail: Arc<Tail>,
    sealer: Sealer,
    fetcher: Fetcher,
    mapping: Mapping,
    chronology: Chronology,
    data_dir: PathBuf,
    pool: Option<Arc<Pool>>,
    heads: Heads,
    /// The last block that was called final.
    finalized: Option<BlockRef>,
    counters: BTreeMap<String, u64>,
    progress: watch::Sender<Progress>,
    anchoring: Option<Service>,
    room: Room,
    kept: KeptBlocks,
    reader: Option<Reader>,
    /// What was read by other rules before.
    published_reads: Option<LookUp>,
    /// Why the next block cannot be folded yet.
    unheard: Option<String>,
}

/// What waiting for room on the disk needs.
#[derive(Debug)]
struct Room {
    options: SpaceOptions,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
}

impl Pipeline {
    /// Why nothing more is written now.
    fn lacking(&self) -> Option<String> {
        self.room.options.lacking(&self.data_dir)
    }

    /// Waits until there is room for what comes next, and tells everybody why; `false` when told to stop meanwhile.
    async fn wait_for_room(&self) -> bool {
        while let Some(reason) = self.lacking() {
            tracing::warn!(reason, "waiting for room on the disk");
            if let Err(error) = self.report() {
                tracing::warn!(%error, "the status was not written");
            }
            tokio::select! {
                () = self.room.clock.sleep(space::LOOK_EVERY) => {}
                () = self.room.shutdown.cancelled() => return false,
            }
        }
        true
    }

    fn anchors(&self) -> Option<Arc<Exchange>> {
        self.anchoring.as_ref().map(Service::exchange)
    }

    fn count(&mut self, name: &str, more: usize) {
        let counter = self.counters.entry(name.to_owned()).or_default();
        *counter = counter.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
    }

    fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or_default()
    }

    /// After a start: the blobs of unsealed blocks are wanted again, and those that were declared missing are sought.
    fn want_again(&mut self) -> Result<(), IndexerError> {
        self.sealer.seek_missing(&mut self.fetcher)?;
        let Some(head) = self.tail.head() else { return Ok(()) };
        let first = self.tail.sealed().map_or(0, |sealed| sealed.number.saturating_add(1));
        for number in first..=head.number {
            let Some(bytes) = self.tail.body(number)? else { continue };
            self.want(&Body::from_bytes(&bytes)?.folded.needs)?;
        }
        Ok(())
    }

    fn want(&mut self, needs: &[BlobNeed]) -> Result<(), IndexerError> {
        for need in needs {
            let mode = self.mapping.commitment_mode();
            if let Ok(reference) = Reference::read(mode, &need.reference, need.payload_hash) {
                self.fetcher.want(&reference)?;
            }
        }
        Ok(())
    }

    /// Seals as far as finality and blobs allow.
    async fn seal(&mut self) -> Result<Progressed, IndexerError> {
        let Some(finalized) = self.finalized else { return Ok(Progressed::CaughtUp) };
        if !self.wait_for_room().await {
            return Ok(Progressed::Waiting);
        }
        self.fetcher.poll()?;
        loop {
            let progressed = self.sealer.advance(&finalized, &mut self.fetcher).await?;
            let more_is_final = self.heads.finalized.is_some_and(|last| last.number > finalized.number);
            match progressed {
                // While final blocks are still coming in, they are published by size, not by step.
                Progressed::CaughtUp | Progressed::Unanchored if more_is_final => return Ok(progressed),
                Progressed::CaughtUp | Progressed::Waiting | Progressed::Unanchored => {
                    self.flush().await?;
                    return Ok(progressed);
                }
                Progressed::Fetching => {
                    if !self.fetcher.settle_one().await? {
                        return Ok(Progressed::Waiting);
                    }
                }
            }
        }
    }

    async fn flush(&mut self) -> Result<(), IndexerError> {
        let finalized = self.heads.finalized.or(self.finalized).map_or(0, |block| block.number);
        self.sealer.publish(finalized).await?;
        Ok(())
    }

    /// Nothing follows any more: asks for missing blobs a few times over, then leaves it at that.
    async fn finish(&mut self, clock: &dyn Clock, shutdown: &CancellationToken) -> Result<(), IndexerError> {
        // What is being sought is archived still, for the next run to find.
        self.fetcher.late().settle().await?;
        let mut rounds = 0;
        let mut reached = (self.sealer.head(), self.fetcher.wanted());
        while rounds < LAST_ROUNDS.saturating_mul(std::cmp::max(self.fetcher.wanted(), 1)) {
            let resolved = self.anchors().map_or(0, |anchors| anchors.resolved());
            let sealed = self.seal().await?;
            let now = (self.sealer.head(), self.fetcher.wanted());
            if now != reached {
                (reached, rounds) = (now, 0);
            }
            if sealed == Progressed::CaughtUp {
                // Newer blocks may be final, which nobody waits for: what is sealed is published now.
                self.flush().await?;
                let [sealed, head] =
                    [self.tail.sealed(), self.tail.head()].map(|block| block.map(|block| block.number));
                let finalized = self.finalized.map(|block| block.number);
                if sealed >= finalized || head < finalized || shutdown.is_cancelled() {
                    return Ok(());
                }
                // Somebody published in between, so this publication was overtaken: it is sealed again. That is no
                // round, as whoever overtakes has only so much to publish.
                continue;
            }
            self.report()?;
            if sealed == Progressed::Unanchored {
                if self.anchors_moved(resolved, clock, shutdown).await {
                    continue;
                }
                return Ok(());
            }
            if self.fetcher.settle_one().await? {
                continue;
            }
            rounds += 1;
            let pause = Duration::from_millis(self.fetcher.pause_ms().unwrap_or_default());
            tokio::select! {
                () = clock.sleep(pause) => {}
                () = shutdown.cancelled() => return Ok(()),
            }
        }
        Ok(())
    }

    /// Waits until more than so many L2 blocks came to something on L1; `false` when anchoring has done what it can with
    /// what is final now, or did not for so long.
    async fn anchors_moved(&self, resolved: u64, clock: &dyn Clock, shutdown: &CancellationToken) -> bool {
        let Some(anchors) = self.anchors() else { return false };
        let Some(enough) = anchors.idle().map(|idle| idle.saturating_add(2)) else { return false };
        for _ in 0..ANCHOR_PAUSES {
            // In this order: what a look finds is told before the look is over.
            let done = shutdown.is_cancelled() || anchors.idle().is_none_or(|idle| idle >= enough);
            if anchors.resolved() > resolved {
                return true;
            }
            if done {
                return false;
            }
            clock.deadline(ANCHOR_PAUSE).await;
        }
        false
    }

    /// Waits until anchoring has done what it can with what is final now, or for so long; publishes what it found.
    async fn finish_anchoring(&mut self, clock: &dyn Clock, shutdown: &CancellationToken) -> Result<(), IndexerError> {
        let Some(anchors) = self.anchors() else { return Ok(()) };
        // The first look after this one may have begun before the last block was sealed.
        let Some(enough) = anchors.idle().map(|idle| idle.saturating_add(2)) else { return Ok(()) };
        for _ in 0..ANCHOR_PAUSES {
            if anchors.rows() > 0 {
                self.flush().await?;
            } else if shutdown.is_cancelled() || anchors.idle().is_none_or(|idle| idle >= enough) {
                break;
            } else {
                // It waits for a node that answers in real time.
                clock.deadline(ANCHOR_PAUSE).await;
            }
        }
        Ok(())
    }

    fn current(&self) -> Progress {
        Progress {
            head: self.heads.latest.number,
            finalized: self.heads.finalized.map(|block| block.number),
            indexed: self.tail.head().map(|block| block.number),
            sealed: self.tail.sealed().map(|block| block.number),
            events: self.counter("events"),
            rejected_events: self.counter("rejected_events"),
            reorgs: self.counter("reorgs"),
            waiting: self
                .lacking()
                .into_iter()
                .chain(self.unheard.clone())
                .chain(self.sealer.waiting().iter().cloned())
                .collect(),
        }
    }

    /// Tells everybody where things stand.
    fn report(&self) -> Result<(), IndexerError> {
        let progress = self.current();
        let mut counters = self.counters.clone();
        counters.insert("blobs_sought".to_owned(), u64::try_from(self.fetcher.sought()).unwrap_or(u64::MAX));
        let known = |block: BlockRef| (block != BlockRef::default()).then_some(block);
        let mut health = self.pool.as_ref().map_or_else(Vec::new, |pool| pool.health());
        health.extend(self.anchoring.as_ref().map(Service::health).into_iter().flatten());
        let status = Status {
            chain_id: self.chronology.chain_id,
            head: known(self.heads.latest),
            safe: self.heads.safe,
            finalized: self.heads.finalized,
            indexed: self.tail.head(),
            sealed: self.tail.sealed(),
            log_root: self.log_root()?,
            settled_epoch: None,
            lag_blocks: progress.head.saturating_sub(progress.indexed.unwrap_or_default()),
            waiting: progress.waiting.clone(),
            endpoints: health
                .into_iter()
                .map(|one| EndpointStatus {
                    name: one.name,
                    state: state_word(one.state).to_owned(),
                    reason: one.reason,
                })
                .collect(),
            counters,
            anchored: self.anchors().map(|anchors| anchors.status()),
        };
        self.progress.send_replace(progress);
        write_status(&self.data_dir, &status)?;
        Ok(())
    }

    fn log_root(&self) -> Result<Option<B256>, IndexerError> {
        let state = TailState(Arc::clone(&self.tail));
        let head: Option<SealedHead> = StateView::new(&state).get(&Key::sealed())?;
        Ok(head.map(|head| head.log_root))
    }

    fn outcome(&self) -> Result<Outcome, IndexerError> {
        Ok(Outcome { sealed: self.tail.sealed(), log_root: self.log_root()?, progress: self.current() })
    }
}

#[async_trait]
impl Sink for Pipeline {
    #[tracing::instrument(level = "debug", skip_all, fields(blocks = blocks.len()))]
    async fn ingest(&mut self, blocks: Vec<VerifiedBlock>) -> Result<(), IndexerError> {
        if !self.wait_for_room().await {
            return Err(IndexerError::Stopped);
        }
        let base = TailState(Arc::clone(&self.tail));
        let mut tail_blocks = Vec::with_capacity(blocks.len());
        let mut packed = Vec::new();
        let mut needs = Vec::new();
        let (mut events, mut rejected) = (0, 0);
        let mut written = Overlay::default();
        for mut block in blocks {
            let (body, writes) = Box::pin(self.fold(&base, &mut written, &mut block)).await?;
            if matches!(self.kept, KeptBlocks::Written { keep: true, .. }) {
                packed.push(kept::pack(&block)?);
            }
            events += body.folded.events.len();
            rejected += body.folded.events.iter().filter(|folded| !folded.event.is_valid()).count();
            // As bytes at once: what a block comes to takes many times the room of the block while it is rows.
            tail_blocks.push(TailBlock { block: block.block, body: body.to_bytes()?, writes });
            needs.extend(body.folded.needs);
        }
        self.count("events", events);
        self.count("rejected_events", rejected);
        self.count("blocks", tail_blocks.len());
        if let KeptBlocks::Written { blocks, .. } = &self.kept {
            blocks.append(&packed)?;
        }
        self.tail.append(tail_blocks)?;
        self.want(&needs)
    }

    async fn unwind(&mut self, to: BlockRef) -> Result<(), IndexerError> {
        if let KeptBlocks::Written { blocks, .. } = &self.kept {
            blocks.unwind(to.number)?;
        }
        self.tail.unwind(to.number)?;
        self.count("reorgs", 1);
        self.report()
    }

    async fn heads(&mut self, heads: Heads) -> Result<(), IndexerError> {
        self.heads = heads;
        self.sealer.set_finality(heads.finality.as_str());
        if self.lacking().is_some() {
            return self.report();
        }
        self.fetcher.poll()?;
        if !self.sealer.waiting().is_empty() {
            self.seal().await?;
        } else if self.anchors().is_some_and(|anchors| anchors.rows() > 0) {
            // With the next blocks if there are any, else by themselves.
            self.flush().await?;
        }
        self.report()
    }

    async fn finalized(&mut self, block: BlockRef) -> Result<(), IndexerError> {
        self.finalized = Some(block);
        if let Some(anchors) = self.anchors() {
            anchors.set_final(block.number);
        }
        self.fetcher.hurry();
        self.seal().await?;
        self.report()
    }
}

const fn state_word(state: EndpointState) -> &'static str {
    match state {
        EndpointState::Up => "healthy",
        EndpointState::Failing => "down",
        EndpointState::Quarantined => "quarantined",
    }
}

#[cfg(test)]
mod tests;
