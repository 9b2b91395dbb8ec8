//! A ledger by other rules, from the blocks that are kept: as far as the chain was sealed before, nobody is asked but for
//! blocks that are not there.

use alloy_primitives::B256;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tributary_schemas::BlockRef;
use tributary_store::{Archive, Blocks, Lake, Tail};

use super::{IndexerConfig, Outcome, Pipeline, Progress, TailState};
use crate::endpoint::Pool;
use crate::follow::{FollowOptions, Follower, Until};
use crate::reads::PublishedReads;
use crate::{Clock, Heads, IndexerError, Sink as _, VerifiedBlock, kept};

/// Packed bytes of blocks that are taken in at once, about.
const STEP_BYTES: usize = 1 << 20;

/// Between two tries to have what contracts answered, which those who kept the blocks did not ask for.
const UNHEARD_PAUSE: Duration = Duration::from_secs(5);

/// What a pipeline does with the whole blocks that are kept of its chain.
#[derive(Debug, Clone, Default)]
pub enum KeptBlocks {
    /// Nothing.
    #[default]
    None,
    /// What it takes back is taken back there; with `keep`, what it takes in is kept.
    Written {
        /// The blocks.
        blocks: Arc<Blocks>,
        /// Whether more are kept.
        keep: bool,
    },
    /// It takes in those that were sealed by other rules.
    Read {
        /// The blocks.
        blocks: Arc<Blocks>,
        /// How far that was.
        sealed: Reached,
        /// What those asked of contracts, as it is published: kept blocks may lack it, and some are not kept.
        reads: PublishedReads,
    },
}

impl KeptBlocks {
    /// What other rules asked of contracts.
    pub(super) const fn reads(&self) -> Option<&PublishedReads> {
        match self {
            Self::Read { reads, .. } => Some(reads),
            Self::None | Self::Written { .. } => None,
        }
    }
}

/// How far a chain was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The last sealed block.
    pub block: BlockRef,
    /// How its finality was known, as in snapshots.
    pub finality: String,
}

/// Builds a ledger up to the block that was sealed by other rules, from kept blocks alone: no node of the L2 is asked.
///
/// # Errors
///
/// When a block is not kept, which is named, and when L1 would have to be read; and those of [`run`](super::run).
pub async fn rebuild(
    config: IndexerConfig,
    tail: Arc<Tail>,
    lake: Lake,
    archive: Archive,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
    progress: watch::Sender<Progress>,
) -> Result<Outcome, IndexerError> {
    let refused = |reason: String| IndexerError::Configuration { what: "building without a node".to_owned(), reason };
    let KeptBlocks::Read { blocks, sealed, .. } = config.kept.clone() else {
        return Err(refused("nothing was sealed before, so there is nothing to build it from".to_owned()));
    };
    if config.anchor.is_some() {
        return Err(refused(
            "an inbox is configured, and which posting carries a block is read from nodes of L1".to_owned(),
        ));
    }
    let (start_block, last) = (config.follow.start_block, sealed.block.number);
    let mut pipeline = Pipeline::start(&config, &tail, lake, archive, (&clock, &shutdown), (None, progress)).await?;
    let absent = |next: u64| {
        refused(format!(
            "block {next} is not kept: expected each from {start_block} to {last}, as retention.raw_blocks = \"all\" keeps \
             them while raw_blocks_max_bytes has room; `tributary run` asks a node for it"
        ))
    };
    if let Some(next) = blocks.first_absent(pipeline.next_block(start_block), last)? {
        return Err(absent(next));
    }
    pipeline.replay(&blocks, &sealed, start_block).await?;
    let next = pipeline.next_block(start_block);
    if next <= last && !shutdown.is_cancelled() {
        return Err(absent(next));
    }
    pipeline.finish(clock.as_ref(), &shutdown).await?;
    if pipeline.lacking().is_none() {
        pipeline.flush().await?;
    }
    pipeline.report()?;
    pipeline.outcome()
}

impl Pipeline {
    /// The block that follows what was taken in.
    fn next_block(&self, start_block: u64) -> u64 {
        self.tail.head().map_or(start_block, |head| head.number.saturating_add(1))
    }

    /// Takes in what is kept, then whatever comes.
    pub(super) async fn follow(&mut self, config: &IndexerConfig, pool: &Arc<Pool>) -> Result<(), IndexerError> {
        if let KeptBlocks::Read { blocks, sealed, .. } = &config.kept {
            self.take_kept(config, pool, (blocks, sealed)).await?;
        }
        if self.room.shutdown.is_cancelled() {
            return Ok(());
        }
        self.follow_until(config, pool, config.follow.until).await
    }

    /// Follows the nodes.
    async fn follow_until(
        &mut self,
        config: &IndexerConfig,
        pool: &Arc<Pool>,
        until: Until,
    ) -> Result<(), IndexerError> {
        let (chain, clock) = (TailState(Arc::clone(&self.tail)), Arc::clone(&self.room.clock));
        let follow = FollowOptions { until, ..config.follow.clone() };
        let stop = self.room.shutdown.clone();
        let mut follower = Follower::new(Arc::clone(pool), &config.endpoint, chain, clock, follow, stop)?;
        Box::pin(follower.run(self)).await
    }

    /// Takes in kept blocks up to the sealed one; those that are not kept between them are asked of the nodes.
    async fn take_kept(
        &mut self,
        config: &IndexerConfig,
        pool: &Arc<Pool>,
        (blocks, sealed): (&Arc<Blocks>, &Reached),
    ) -> Result<(), IndexerError> {
        let (start_block, last) = (config.follow.start_block, sealed.block.number);
        // Where the index has blocks that cannot be read, or that do not follow, ever more are left to the nodes at once.
        let mut left_out = 0_u64;
        while self.next_block(start_block) <= last && !self.room.shutdown.is_cancelled() {
            let before = self.next_block(start_block);
            if !self.replay(blocks, sealed, start_block).await? {
                break;
            }
            let next = self.next_block(start_block);
            left_out = if next > before { 1 } else { std::cmp::max(1, left_out.saturating_mul(2)) };
            let Some(kept) = blocks.first_kept(next.saturating_add(left_out), last)? else { break };
            let gap = kept.saturating_sub(1);
            tracing::info!(first = next, last = gap, "these blocks are not kept: nodes are asked");
            self.follow_until(config, pool, Until::Last(gap)).await?;
        }
        Ok(())
    }

    /// Takes in kept blocks up to the sealed one, as far as they are there and follow each other; `false` when they are of
    /// another chain.
    async fn replay(&mut self, blocks: &Arc<Blocks>, sealed: &Reached, start_block: u64) -> Result<bool, IndexerError> {
        let last = sealed.block;
        if blocks.hash(last.number)?.is_some_and(|hash| hash != last.hash) {
            tracing::warn!(block = %last, "another block is kept: what is kept is not of this chain");
            return Ok(false);
        }
        self.heads = Heads { latest: last, finalized: Some(last), ..Heads::default() };
        self.sealer.set_finality(&sealed.finality);
        // What was taken in before a process ended, and perhaps not sealed.
        let taken_in = self.tail.head().map(|head| std::cmp::min(head.number, last.number));
        if let Some(block) = taken_in.map(|number| self.tail.block(number)).transpose()?.flatten() {
            self.finalized(block).await?;
        }
        while self.next_block(start_block) <= last.number && !self.room.shutdown.is_cancelled() {
            let parent = self.tail.head().map(|head| head.hash);
            let found = read(blocks, self.next_block(start_block), last.number, parent).await?;
            let Some(reached) = found.last().map(|block| block.block) else { break };
            let count = found.len();
            match self.ingest(found).await {
                Err(IndexerError::Stopped) => break,
                Err(error @ IndexerError::Unheard { .. }) => {
                    tracing::warn!(%error, "building goes on after a pause");
                    tokio::select! {
                        () = self.room.clock.sleep(UNHEARD_PAUSE) => {}
                        () = self.room.shutdown.cancelled() => {}
                    }
                    continue;
                }
                done => done?,
            }
            self.count("kept_blocks", count);
            self.finalized(reached).await?;
        }
        Ok(true)
    }
}

/// Some kept blocks, each the child of the one before.
async fn read(
    blocks: &Arc<Blocks>,
    first: u64,
    last: u64,
    parent: Option<B256>,
) -> Result<Vec<VerifiedBlock>, IndexerError> {
    let blocks = Arc::clone(blocks);
    let work = move || {
        let mut parent = parent;
        let mut found = Vec::new();
        for packed in blocks.read(first, last, STEP_BYTES)? {
            let block = kept::unpack(&packed)?;
            if parent.is_some_and(|parent| parent != block.block.parent_hash) {
                tracing::warn!(block = %block.block, "the kept block does not follow the one before");
                break;
            }
            parent = Some(block.block.hash);
            found.push(block);
        }
        Ok(found)
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| IndexerError::Ended { task: "reading kept blocks", reason: error.to_string() })?
}
