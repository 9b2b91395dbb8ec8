//! Anchoring as a task of its own: follows L1 and folds it, beside the pipeline and never in its way.

use alloy_primitives::{B256, keccak256};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tributary_schemas::BlockRef;
use tributary_store::{AnchorStatus, Anchors, Tail};

use super::fold::{CHANNEL_BLOCKS_MAX, Fate, Fold, Resolved};
use super::l1::L1Block;
use super::l2::{Entry, L2Blocks};
use super::reader::Reader;
use super::seen::Seen;
use super::{AnchorOptions, Exchange, Increment, PayloadSource, record};
use crate::endpoint::{EndpointHealth, EndpointOptions, Pool};
use crate::fold::Chronology;
use crate::follow::{FollowOptions, Follower, Source, Until};
use crate::pipeline::TailState;
use crate::state::{Key, StateRead as _};
use crate::{Clock, Heads, IndexerError, Sink, Trust, VerifiedBlock};

/// Rows that may wait for a publication before reading L1 waits too.
const ROWS_MAX: usize = 50_000;
/// Claims that may wait for their L2 blocks before reading L1 waits too.
const CLAIMS_MAX: u64 = 1 << 18;
/// L1 blocks that may wait to be folded although they are final.
const BLOCKS_MAX: usize = 2_048;
/// The pause while L1 waits for the pipeline.
const PAUSE: Duration = Duration::from_millis(100);
/// Claims that are looked at for the newest block on L1.
const LOOKS_MAX: usize = 4_096;

/// A running task.
#[derive(Debug)]
pub struct Service {
    exchange: Arc<Exchange>,
    pool: Arc<Pool>,
    payloads: Arc<dyn PayloadSource>,
    stop: CancellationToken,
    task: JoinSet<()>,
}

/// What anchoring works with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Where the pipeline writes L2 blocks down, and where the fold is kept.
    pub tail: Arc<Tail>,
    /// L2 nodes, for blocks that are not written down; none to do without those.
    pub l2: Option<Arc<Pool>>,
    /// How nodes are asked.
    pub endpoint: EndpointOptions,
    /// What is demanded of what L2 nodes say.
    pub trust: Trust,
    /// Whoever has payloads.
    pub payloads: Arc<dyn PayloadSource>,
    /// Chain and epochs.
    pub chronology: Chronology,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What the newest snapshot says of the table.
    pub published: Option<Anchors>,
}

impl Service {
    /// Starts it. Fails when it is configured so that it cannot work; whatever happens later is in its status.
    pub fn start(options: AnchorOptions, parts: Parts) -> Result<Self, IndexerError> {
        let clock = Arc::clone(&parts.clock);
        let pool = Arc::new(Pool::new(&options.l1, options.l1_chain_id, parts.endpoint.clone(), clock)?);
        let exchange = Arc::new(Exchange::after(parts.published.as_ref()));
        let (stop, mut task) = (CancellationToken::new(), JoinSet::new());
        let payloads = Arc::clone(&parts.payloads);
        let (told, l1, stopped) = (Arc::clone(&exchange), Arc::clone(&pool), stop.clone());
        task.spawn(async move {
            let ended = Box::pin(run(options, l1, parts, Arc::clone(&told), stopped)).await;
            if let Err(error) = &ended {
                tracing::error!(%error, "anchoring stopped; everything else goes on");
            }
            told.end(ended.err().map(|error| error.to_string()));
        });
        Ok(Self { exchange, pool, payloads, stop, task })
    }

    /// Where its rows and its status are.
    #[must_use]
    pub fn exchange(&self) -> Arc<Exchange> {
        Arc::clone(&self.exchange)
    }

    /// State and counters of the L1 endpoints, and of those with its blobs.
    #[must_use]
    pub fn health(&self) -> Vec<EndpointHealth> {
        self.pool.health().into_iter().chain(self.payloads.health()).collect()
    }

    /// Ends it and waits for that.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.task.join_next().await.is_some() {}
    }
}

async fn run(
    options: AnchorOptions,
    pool: Arc<Pool>,
    parts: Parts,
    exchange: Arc<Exchange>,
    stop: CancellationToken,
) -> Result<(), IndexerError> {
    let (clock, endpoint) = (Arc::clone(&parts.clock), parts.endpoint.clone());
    let poll_interval = options.poll_interval;
    let opened = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(()),
        opened = Anchoring::open(options, parts, exchange, stop.clone()) => opened,
    };
    let (mut anchoring, start_block) = opened?;
    // One block of L1 comes every twelve seconds: a backfill is bounded by the network.
    let follow = FollowOptions {
        start_block,
        poll_interval,
        fetches_max: 16,
        verify_threads: 1,
        until: Until::Stopped,
        ..FollowOptions::default()
    };
    let mut follower = Follower::new(pool, &endpoint, anchoring.seen.clone(), clock, follow, stop)?;
    follower.run(&mut anchoring).await
}

/// Takes the steps along L1.
#[derive(Debug)]
pub(super) struct Anchoring {
    options: AnchorOptions,
    chronology: Chronology,
    clock: Arc<dyn Clock>,
    exchange: Arc<Exchange>,
    stop: CancellationToken,
    reader: Reader,
    l2: L2Blocks,
    pub(super) seen: Seen,
    /// Over final L1 blocks.
    fold: Fold,
    /// Over all L1 blocks; made again from `fold` when L1 changes its mind.
    tip: Option<Fold>,
    /// What is published and offered.
    anchors: Anchors,
    heads: Heads,
    finalized: Option<BlockRef>,
    waiting: Option<String>,
}

impl Anchoring {
    /// From what is kept, or from the beginning; and the L1 block to begin with where nothing is kept.
    pub(super) async fn open(
        options: AnchorOptions,
        parts: Parts,
        exchange: Arc<Exchange>,
        stop: CancellationToken,
    ) -> Result<(Self, u64), IndexerError> {
        let clock = Arc::clone(&parts.clock);
        let nodes = match parts.l2 {
            Some(pool) => Some(Source::new(pool, 1, Arc::clone(&clock), parts.endpoint, parts.trust)?),
            None => None,
        };
        let l2 = L2Blocks { tail: parts.tail, exchange: Arc::clone(&exchange), nodes };
        let anchors = parts.published.unwrap_or_default();
        let identity = identity(&options);
        let (fold, start_block) = match kept(&l2, identity).await? {
            // What it begins with does not matter any more.
            Some(fold) => (fold, options.start_block.unwrap_or_default()),
            None => {
                let (start_block, unread_to) = start(&options, &l2, clock.as_ref()).await?;
                // With the tail the blocks are gone too: those that have rows are not needed again.
                let lost = l2.stored(options.l2_start_block)? == Entry::Absent;
                let first = if lost { first_open(&anchors, options.l2_start_block) } else { options.l2_start_block };
                (Fold::new(identity, &options.rollup, first, unread_to), start_block)
            }
        };
        let seen = Seen::from_cursor(fold.cursor());
        let reader = Reader::new(parts.payloads, Arc::clone(&clock), options.required);
        let (chronology, heads) = (parts.chronology, Heads::default());
        let (tip, finalized, waiting) = (None, fold.cursor(), None);
        let anchoring = Self {
            options,
            chronology,
            clock,
            exchange,
            stop,
            reader,
            l2,
            seen,
            fold,
            tip,
            anchors,
            heads,
            finalized,
            waiting,
        };
        Ok((anchoring, start_block))
    }

    /// Folds what is final, as far as it can be; then looks at what is not.
    async fn work(&mut self) -> Result<(), IndexerError> {
        self.waiting = None;
        admit(&mut self.fold, &self.l2, &self.options).await?;
        while let Some(block) = self.seen.oldest_up_to(self.finalized) {
            self.offer()?;
            if self.is_full() {
                return Ok(());
            }
            if let Some(reason) = self.feed_final(&block).await? {
                self.waiting = Some(reason);
                break;
            }
            self.seen.fold_oldest();
            admit(&mut self.fold, &self.l2, &self.options).await?;
        }
        self.offer()?;
        self.advance_tip().await
    }

    async fn feed_final(&mut self, block: &L1Block) -> Result<Option<String>, IndexerError> {
        let window = self.options.rollup.sequencing_window;
        let expired = |head: BlockRef| head.number > block.block.number.saturating_add(window);
        let expired = self.heads.finalized.is_some_and(expired);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(IndexerError::Stopped),
            fed = self.reader.feed(&mut self.fold, &self.options.rollup, block, expired) => Ok(fed),
        }
    }

    /// Whether reading L1 has to wait for the pipeline.
    fn is_full(&self) -> bool {
        self.exchange.rows() >= ROWS_MAX || self.fold.claims_waiting() >= CLAIMS_MAX
    }

    /// Hands on what became known, and the fold that it became known by.
    fn offer(&mut self) -> Result<(), IndexerError> {
        let Some(cursor) = self.fold.cursor().filter(|_| self.fold.is_between_blocks()) else { return Ok(()) };
        if !self.fold.has_resolved() && cursor.number == self.anchors.l1_number {
            return Ok(());
        }
        let (resolved, forgotten) = self.fold.take_resolved();
        let mut rows = Vec::new();
        for one in &resolved {
            let number = one.block.number;
            if !self.anchors.resolved.add(number) {
                continue;
            }
            note(&mut self.anchors, one);
            rows.extend(record::rows(one, &self.chronology));
        }
        // After a restart from an older fold the cursor may lie below the published one; the rows are then none.
        if cursor.number >= self.anchors.l1_number {
            (self.anchors.l1_number, self.anchors.l1_hash) = (cursor.number, cursor.hash);
        }
        let (anchors, fold) = (self.anchors.clone(), self.fold.to_bytes()?);
        self.exchange.offer(Increment { rows, anchors, forgotten, fold });
        Ok(())
    }

    /// Folds the blocks that are not final, in a copy.
    async fn advance_tip(&mut self) -> Result<(), IndexerError> {
        let number = |fold: &Fold| fold.cursor().map(|cursor| cursor.number);
        let kept = self.tip.take().filter(|tip| number(tip) >= number(&self.fold));
        let mut tip = kept.unwrap_or_else(|| self.fold.clone());
        for block in self.seen.above(tip.cursor()) {
            let waiting = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(IndexerError::Stopped),
                waiting = self.reader.feed(&mut tip, &self.options.rollup, &block, false) => waiting,
            };
            if let Some(reason) = waiting {
                self.waiting.get_or_insert(reason);
                break;
            }
        }
        admit(&mut tip, &self.l2, &self.options).await?;
        drop(tip.take_resolved());
        self.tip = Some(tip);
        Ok(())
    }

    fn tell(&self) -> Result<(), IndexerError> {
        let number = |block: Option<BlockRef>| block.map(|block| block.number);
        let finalized = std::cmp::max(self.anchors.newest, self.fold.counts().newest);
        let head = self.tip.as_ref().map(|tip| tip.newest(LOOKS_MAX, |time| self.block_at(time))).transpose()?;
        let status = AnchorStatus {
            state: if self.waiting.is_some() { "waiting" } else { "following" }.to_owned(),
            reason: self.waiting.clone(),
            head: std::cmp::max(finalized, head.flatten()),
            finalized,
            open: u64::try_from(self.fold.open()).unwrap_or(u64::MAX),
            not_anchored: self.anchors.not_anchored,
            unknown: self.anchors.unknown,
            l1_head: Some(self.heads.latest.number),
            l1_finalized: number(self.heads.finalized),
            l1_read: number(self.fold.cursor()),
        };
        let read = self.seen.tip().is_some_and(|tip| tip.number >= self.heads.latest.number);
        let folded = status.l1_read >= status.l1_finalized;
        self.exchange.tell(status, read && folded && self.waiting.is_none());
        Ok(())
    }

    /// The L2 block of a time, sealed or not.
    fn block_at(&self, time: u64) -> Result<Option<crate::inbox::anchor::L2Block>, IndexerError> {
        let Some(sealed) = self.l2.tail.sealed() else { return Ok(None) };
        let after = time.saturating_sub(sealed.timestamp).checked_div(self.options.rollup.terms.block_time);
        let Some(number) = after.and_then(|after| sealed.number.checked_add(after)) else { return Ok(None) };
        match self.l2.stored(number)? {
            Entry::Block(block) => Ok(Some(block)),
            Entry::InNoBatch | Entry::Absent => Ok(None),
        }
    }
}

/// Counts what a block came to.
fn note(anchors: &mut Anchors, one: &Resolved) {
    let number = one.block.number;
    let count = match one.fate {
        Fate::Anchored(_) => {
            anchors.newest = std::cmp::max(anchors.newest, Some(number));
            &mut anchors.anchored
        }
        Fate::NotAnchored => {
            if one.block.transactions.count > 0 {
                anchors.contradicted.add(number);
            }
            &mut anchors.not_anchored
        }
        Fate::Unknown => {
            anchors.unread.add(number);
            &mut anchors.unknown
        }
    };
    *count = count.saturating_add(1);
}

/// Gives a fold the final L2 blocks whose L1 origin it has reached.
async fn admit(fold: &mut Fold, l2: &L2Blocks, options: &AnchorOptions) -> Result<(), IndexerError> {
    let (Some(last), Some(cursor)) = (l2.final_head(), fold.cursor()) else { return Ok(()) };
    while fold.l2_next() <= last {
        match l2.final_block(fold.l2_next()).await? {
            Entry::Block(block) if block.l1_origin <= cursor.number => fold.admit(&options.rollup, block),
            Entry::Block(_) | Entry::Absent => return Ok(()),
            Entry::InNoBatch => fold.skip(),
        }
    }
    Ok(())
}

/// The L1 block to begin with, and up to which L1 block postings may rest on what came before it, if any may.
async fn start(options: &AnchorOptions, l2: &L2Blocks, clock: &dyn Clock) -> Result<(u64, Option<u64>), IndexerError> {
    let (mut number, mut from_genesis) = (options.l2_start_block, false);
    let origin = loop {
        match l2.final_block(number).await {
            Ok(Entry::Block(block)) => break block.l1_origin,
            Ok(Entry::InNoBatch) => {
                from_genesis = true;
                number = number.saturating_add(1);
            }
            Ok(Entry::Absent) => clock.sleep(options.poll_interval).await,
            Err(error) if error.remedy() == crate::Remedy::Halt => return Err(error),
            Err(_) => clock.sleep(options.poll_interval).await,
        }
    };
    let first = options.start_block.unwrap_or(origin);
    let whole = from_genesis && first <= origin;
    Ok((first, (!whole).then(|| first.saturating_add(CHANNEL_BLOCKS_MAX))))
}

/// The fold that is kept, if it is of this configuration and whole.
async fn kept(l2: &L2Blocks, identity: B256) -> Result<Option<Fold>, IndexerError> {
    let Some(bytes) = TailState(Arc::clone(&l2.tail)).get(&Key::anchoring().0)? else { return Ok(None) };
    let mut fold = match Fold::from_bytes(&bytes) {
        Ok(fold) if fold.identity() == identity => fold,
        Ok(_) => {
            tracing::warn!("anchoring is configured otherwise than it was: L1 is read again");
            return Ok(None);
        }
        Err(error) => {
            tracing::warn!(%error, "L1 is read again");
            return Ok(None);
        }
    };
    for number in fold.remembered() {
        if let Entry::Block(block) = l2.final_block(number).await? {
            fold.remember(block);
        }
    }
    Ok(Some(fold))
}

/// The first L2 block that the table has no row of.
fn first_open(anchors: &Anchors, start: u64) -> u64 {
    // The genesis block has no row: no batch can hold it.
    match anchors.resolved.first() {
        Some((first, last)) if first <= start.saturating_add(1) => last.saturating_add(1),
        _ => start,
    }
}

/// What a fold is of.
fn identity(options: &AnchorOptions) -> B256 {
    let AnchorOptions {
        l1_chain_id,
        rollup,
        start_block,
        l2_start_block,
        l1: _,
        beacon: _,
        poll_interval: _,
        required: _,
    } = options;
    keccak256(format!("2 {l1_chain_id} {start_block:?} {l2_start_block} {rollup:?}"))
}

#[async_trait]
impl Sink for Anchoring {
    async fn ingest(&mut self, blocks: Vec<VerifiedBlock>) -> Result<(), IndexerError> {
        self.seen.extend(blocks.iter().map(|block| L1Block::of(block, &self.options.rollup)));
        self.work().await?;
        while self.seen.len() > BLOCKS_MAX && self.seen.oldest_up_to(self.finalized).is_some() {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(IndexerError::Stopped),
                () = self.clock.sleep(PAUSE) => {}
            }
            self.work().await?;
            self.tell()?;
        }
        Ok(())
    }

    async fn unwind(&mut self, to: BlockRef) -> Result<(), IndexerError> {
        self.seen.unwind(to.number);
        self.tip = None;
        Ok(())
    }

    async fn heads(&mut self, heads: Heads) -> Result<(), IndexerError> {
        self.heads = heads;
        self.work().await?;
        self.tell()
    }

    async fn finalized(&mut self, block: BlockRef) -> Result<(), IndexerError> {
        self.finalized = Some(block);
        self.work().await?;
        self.tell()
    }
}
