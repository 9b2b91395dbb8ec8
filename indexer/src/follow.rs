//! The canonical chain, as steps: blocks forward, an unwind, heads.
//!
//! [`Follower::advance`] is one round: look at the heads, compare the stored tip with the node's chain, undo what
//! parted from it, fetch and hand on what follows. A round begins from what is stored and nothing else, so a start
//! after years, the seam between backfill and live, and the next block are the same code; a crash between two rounds
//! leaves nothing behind.
//!
//! [`Follower::run`] repeats rounds: at once while there is more, else when a node announces a head over WebSocket
//! or the poll interval has passed. An announcement wakes and says nothing: everything is asked again and checked.
//!
//! ```text
//!  heads ──▶ tip still on the node's chain? ──no──▶ ancestor, links checked ──▶ Sink::unwind
//!                        │ yes                                                      │
//!                        ▼                                                          ▼
//!               prefetch in order, bounded in bytes ──▶ Sink::ingest ──▶ Sink::finalized
//! ```

mod fork;
mod heads;
mod prefetch;
mod source;

pub(crate) use source::{By, Source};

use alloy::pubsub::RawSubscription;
use std::{sync::Arc, time::Duration};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tributary_schemas::BlockRef;

use crate::{
    Chain, Clock, Heads, IndexerError, Remedy, Sink, Trust,
    clock::millis,
    endpoint::{EndpointId, EndpointOptions, Pool, Preference},
    follow::{
        heads::Finals,
        prefetch::{Ahead, Prefetch, Ready},
        source::Told,
    },
};

/// How a chain is followed.
#[derive(Debug, Clone)]
pub struct FollowOptions {
    /// The first block that is ingested.
    pub start_block: u64,
    /// Between two looks at a node that announces nothing.
    pub poll_interval: Duration,
    /// Blocks handed on at once at most.
    pub step_blocks_max: usize,
    /// Bytes handed on at once, about.
    pub step_bytes_max: usize,
    /// Bytes of blocks fetched ahead.
    pub prefetch_bytes_max: usize,
    /// Blocks being fetched at once.
    pub fetches_max: usize,
    /// Threads that verify.
    pub verify_threads: usize,
    /// What is demanded of the nodes' answers.
    pub trust: Trust,
    /// When to stop by itself.
    pub until: Until,
}

/// When following stops by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Never.
    Stopped,
    /// When this block is ingested and final.
    Final(u64),
    /// As that, and no block after it is ingested.
    Last(u64),
    /// When the block that was final at the first look is ingested and final.
    FinalNow,
}

impl Default for FollowOptions {
    fn default() -> Self {
        Self {
            start_block: 0,
            poll_interval: Duration::from_secs(1),
            step_blocks_max: 512,
            step_bytes_max: 4 << 20,
            prefetch_bytes_max: 16 << 20,
            fetches_max: 64,
            verify_threads: 2,
            trust: Trust::Verified,
            until: Until::Stopped,
        }
    }
}

/// What a round came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// The stored tip is the node's head, or the node lags behind it.
    AtHead,
    /// The chain moved on or back; there may be more.
    Moved,
    /// What was to be reached is reached.
    Done,
}

/// Follows one chain.
#[derive(Debug)]
pub struct Follower<C> {
    source: Arc<Source>,
    chain: C,
    clock: Arc<dyn Clock>,
    options: FollowOptions,
    backoff: EndpointOptions,
    stop: CancellationToken,
    heads: Heads,
    finals: Finals,
    /// The last block reported final.
    finalized: Option<BlockRef>,
    looked_ms: u64,
    /// Not before this a subscription is asked for again.
    subscribe_at_ms: u64,
    /// Rounds in a row that ended on a block that does not follow the one before it.
    broken_links: u32,
}

/// So many rounds may end on a broken link before the node that serves it is at fault: a chain that moves while it is
/// read breaks one or two.
const BROKEN_LINKS_MAX: u32 = 5;

impl<C: Chain> Follower<C> {
    /// A follower of the chain behind these endpoints, from what `chain` has stored.
    ///
    /// # Errors
    ///
    /// When the threads that verify cannot be started.
    pub fn new(
        pool: Arc<Pool>,
        endpoint: &EndpointOptions,
        chain: C,
        clock: Arc<dyn Clock>,
        options: FollowOptions,
        stop: CancellationToken,
    ) -> Result<Self, IndexerError> {
        let source = Source::new(pool, options.verify_threads, Arc::clone(&clock), endpoint.clone(), options.trust)?;
        let finalized = chain.sealed()?;
        Ok(Self {
            source: Arc::new(source),
            chain,
            clock,
            options,
            backoff: endpoint.clone(),
            stop,
            heads: Heads::default(),
            finals: Finals::default(),
            finalized,
            looked_ms: 0,
            subscribe_at_ms: 0,
            broken_links: 0,
        })
    }

    /// The heads as last seen.
    #[must_use]
    pub const fn heads(&self) -> Heads {
        self.heads
    }

    /// Rounds until told to stop, or until there is nothing more to reach.
    ///
    /// # Errors
    ///
    /// Those a person has to look at; the others are waited out.
    pub async fn run(&mut self, sink: &mut (impl Sink + ?Sized)) -> Result<(), IndexerError> {
        let mut failures = 0_u32;
        let mut announcements = None;
        loop {
            match self.advance(sink).await {
                Ok(Round::Done) | Err(IndexerError::Stopped) => return Ok(()),
                Ok(Round::Moved) => failures = 0,
                Ok(Round::AtHead) => {
                    failures = 0;
                    if announcements.is_none() && self.clock.now_ms() >= self.subscribe_at_ms {
                        self.subscribe_at_ms = self.clock.now_ms().saturating_add(SUBSCRIBE_EVERY_MS);
                        announcements = self.source.pool.subscribe().await;
                        if announcements.is_some() {
                            // A head that came before the subscription was not announced.
                            continue;
                        }
                    }
                    self.wait(self.options.poll_interval, &mut announcements).await;
                }
                Err(error) => match error.remedy() {
                    Remedy::Halt => return Err(error),
                    Remedy::Retry | Remedy::Unwind => {
                        tracing::warn!(%error, "following goes on after a pause");
                        self.wait(self.backoff.backoff(failures), &mut None).await;
                        failures = failures.saturating_add(1);
                    }
                },
            }
        }
    }

    /// One round.
    ///
    /// # Errors
    ///
    /// [`IndexerError::remedy`] says what to do; nothing unverified was handed on.
    pub async fn advance(&mut self, sink: &mut (impl Sink + ?Sized)) -> Result<Round, IndexerError> {
        let latest = Box::pin(self.look(sink)).await?;
        if let Some(tip) = self.chain.head()? {
            let parted = self.unless_stopped(fork::find(&self.source, &self.chain, tip, &latest)).await?;
            if let Some(theirs) = parted {
                self.unless_stopped(self.source.pool.confirm_chain(theirs.endpoint)).await?;
                let (floor, before_first) = (self.floor(), self.options.start_block.checked_sub(1));
                let search = fork::ancestor(&self.source, &self.chain, floor, before_first, &theirs);
                let to = self.unless_stopped(Box::pin(search)).await?;
                tracing::warn!(from = %tip, %to, blocks = tip.number.saturating_sub(to.number), "reorg");
                sink.unwind(to).await?;
                self.broken_links = 0;
                return Ok(Round::Moved);
            }
        }
        self.report_final(sink).await?;
        let next = self.chain.head()?.map_or(self.options.start_block, |tip| tip.number.saturating_add(1));
        let last = match self.options.until {
            Until::Last(number) => std::cmp::min(number, latest.checked.block.number),
            Until::Stopped | Until::Final(_) | Until::FinalNow => latest.checked.block.number,
        };
        let moved = next <= last && self.extend(sink, next, last).await?;
        Ok(match (self.reached(), moved) {
            (true, _) => Round::Done,
            (false, true) => Round::Moved,
            (false, false) => Round::AtHead,
        })
    }

    /// Asks for the heads and passes them on.
    async fn look(&mut self, sink: &mut (impl Sink + ?Sized)) -> Result<Told, IndexerError> {
        let asked = async {
            let latest = self.source.header(Preference::First, By::Tag("latest")).await?;
            let latest = latest
                .ok_or_else(|| IndexerError::BlockGone { endpoint: "any".to_owned(), block: "latest".to_owned() })?;
            let latest = heads::newest(&self.source, latest).await;
            // A node that knows no safe head says null or an error; neither keeps anybody from following, so it is
            // asked once.
            let safe = self.source.header(Preference::Once(latest.endpoint), By::Tag("safe")).await;
            let finals = Finals::ask(&self.source, &self.chain, self.finalized).await?;
            let agreed = match finals.number() {
                Some(number) => finals.agreed(&self.source, number).await?,
                None => None,
            };
            Ok((latest, safe, finals, agreed))
        };
        let (latest, safe, finals, agreed) = self.unless_stopped(Box::pin(asked)).await?;
        let known = self.heads.finalized;
        let finalized = std::cmp::max_by_key(known, agreed, |head| head.map(|block| block.number));
        self.heads = Heads {
            latest: latest.checked.block,
            safe: safe.map_or(self.heads.safe, |told| told.map(|told| told.checked.block)),
            finalized,
            finality: finals.finality(),
        };
        self.finals = finals;
        self.looked_ms = self.clock.now_ms();
        if self.options.until == Until::FinalNow
            && let Some(block) = finalized
        {
            self.options.until = Until::Final(block.number);
        }
        sink.heads(self.heads).await?;
        Ok(latest)
    }

    /// Fetches and hands on a range; says whether anything came of it.
    async fn extend(&mut self, sink: &mut (impl Sink + ?Sized), first: u64, last: u64) -> Result<bool, IndexerError> {
        // What is final is the same everywhere; above it two nodes may be on two forks.
        let (last, prefer) = match self.heads.finalized {
            Some(head) if head.number >= first => (std::cmp::min(last, head.number), Preference::Turns),
            _ => (last, Preference::First),
        };
        let ahead = Ahead { bytes_max: self.options.prefetch_bytes_max, fetches_max: self.options.fetches_max };
        let mut prefetch = Prefetch::start(Arc::clone(&self.source), prefer, first..=last, ahead);
        let mut moved = false;
        loop {
            let (batch, end) = self.unless_stopped(self.gather(&mut prefetch)).await?;
            if !batch.is_empty() {
                moved = true;
                self.broken_links = 0;
                self.hand_on(sink, batch).await?;
            }
            match end {
                End::More => {}
                End::All => return Ok(moved),
                End::Broken(endpoint) => {
                    self.note_broken_link(endpoint);
                    return Ok(true);
                }
                End::Failed(error) => return Err(error),
            }
            let since = self.clock.now_ms().saturating_sub(self.looked_ms);
            if since >= millis(self.options.poll_interval).saturating_mul(LOOK_EVERY_POLLS) {
                Box::pin(self.look(sink)).await?;
            }
        }
    }

    /// At least one block, and whatever else is there, as long as each is the child of the one before.
    async fn gather(&self, prefetch: &mut Prefetch) -> Result<(Vec<Ready>, End), IndexerError> {
        let mut parent = self.chain.head()?;
        let mut batch: Vec<Ready> = Vec::new();
        let mut bytes = 0_usize;
        loop {
            let next = if batch.is_empty() {
                match prefetch.next().await {
                    Some(next) => next,
                    None => return Ok((batch, End::All)),
                }
            } else {
                match prefetch.try_next() {
                    Some(next) => next,
                    None => return Ok((batch, End::More)),
                }
            };
            let ready = match next {
                Ok(ready) => ready,
                Err(error) => return Ok((batch, End::Failed(error))),
            };
            let block = ready.fetched.block.block;
            if parent.is_some_and(|parent| parent.hash != block.parent_hash) {
                return Ok((batch, End::Broken(ready.fetched.endpoint)));
            }
            parent = Some(block);
            bytes = bytes.saturating_add(ready.fetched.block.bytes());
            batch.push(ready);
            if batch.len() >= self.options.step_blocks_max || bytes >= self.options.step_bytes_max {
                return Ok((batch, End::More));
            }
        }
    }

    async fn hand_on(&mut self, sink: &mut (impl Sink + ?Sized), batch: Vec<Ready>) -> Result<(), IndexerError> {
        // The leases end only when the blocks are durable: what the sink holds counts as fetched ahead.
        let (blocks, leases): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|ready| (ready.fetched.block, ready.lease)).unzip();
        sink.ingest(blocks).await?;
        drop(leases);
        self.report_final(sink).await
    }

    /// Tells the sink up to where its blocks are final.
    async fn report_final(&mut self, sink: &mut (impl Sink + ?Sized)) -> Result<(), IndexerError> {
        let (Some(head), Some(tip)) = (self.heads.finalized, self.chain.head()?) else { return Ok(()) };
        let number = std::cmp::min(head.number, tip.number);
        if self.finalized.is_some_and(|known| known.number >= number) {
            return Ok(());
        }
        let Some(ours) = self.chain.block(number)? else { return Ok(()) };
        let agreed = if number == head.number {
            Some(head)
        } else {
            self.unless_stopped(self.finals.agreed(&self.source, number)).await?
        };
        if agreed.is_some_and(|agreed| agreed.hash == ours.hash) {
            self.finalized = Some(ours);
            sink.finalized(ours).await?;
        }
        Ok(())
    }

    /// The last block that is never unwound.
    fn floor(&self) -> Option<BlockRef> {
        self.finalized
    }

    fn reached(&self) -> bool {
        match self.options.until {
            Until::Final(number) | Until::Last(number) => self.finalized.is_some_and(|block| block.number >= number),
            Until::Stopped | Until::FinalNow => false,
        }
    }

    fn note_broken_link(&mut self, endpoint: EndpointId) {
        self.broken_links = self.broken_links.saturating_add(1);
        if self.broken_links >= BROKEN_LINKS_MAX {
            self.broken_links = 0;
            self.source.pool.quarantine(endpoint, "its blocks do not follow each other");
        }
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T, IndexerError>>) -> Result<T, IndexerError> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(IndexerError::Stopped),
            done = work => done,
        }
    }

    /// Until a head is announced, the time has passed, or it is time to stop.
    async fn wait(&self, time: Duration, announcements: &mut Option<RawSubscription>) {
        let announced = async {
            match announcements.as_mut() {
                // Having missed some says that there was one.
                Some(subscription) => !matches!(subscription.recv().await, Err(RecvError::Closed)),
                None => std::future::pending().await,
            }
        };
        let open = tokio::select! {
            biased;
            () = self.stop.cancelled() => true,
            open = announced => open,
            () = self.clock.sleep(time) => true,
        };
        if !open {
            *announcements = None;
        }
    }
}

/// Between two requests for a subscription: a node that ends every one, or never answers, is polled meanwhile.
const SUBSCRIBE_EVERY_MS: u64 = 30_000;

/// During a long backfill the heads are looked at every so many poll intervals.
const LOOK_EVERY_POLLS: u64 = 5;

/// Why a batch ended where it did.
enum End {
    /// It is large enough, or no more is there yet.
    More,
    /// The range is through.
    All,
    /// The next block does not follow.
    Broken(EndpointId),
    /// The next block could not be had.
    Failed(IndexerError),
}

#[cfg(test)]
mod tests;
