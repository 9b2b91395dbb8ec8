//! What subscriptions watch: the tail's feed and the newest snapshot.
//!
//! One task looks at both, a few times a second and only while somebody is subscribed; whoever is wakes up when
//! something is new and reads it where it lies, by sequence numbers. Nothing is buffered for a client that is slow: it
//! reads on where it was, and is told when that is no longer kept.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_graphql::Value;
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::{Semaphore, watch};
use tributary_store::{FeedPage, FeedReader};

use crate::error::{ErrorCode, Refusal};
use crate::pinned::Shelf;
use crate::view::{Request, Tokens};

/// How often is looked.
const BEAT: Duration = Duration::from_millis(100);
/// The bit from which a pulse counts changes of the generation: there are fewer snapshots of any.
const SWITCHES_FROM: u32 = 48;
/// Most events read at a time.
pub(crate) const PAGE: usize = 256;

/// What was there when somebody looked last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pulse {
    /// Sequence number of the feed's next record.
    pub(crate) feed: u64,
    /// Version of the newest snapshot and one, zero without one; in the highest bits, how often the generation changed.
    pub(crate) snapshot: u64,
}

/// What subscriptions watch.
#[derive(Debug)]
pub(crate) struct Live {
    shelf: Arc<Shelf>,
    tokens: Arc<Tokens>,
    feed: FeedReader,
    pulse: watch::Sender<Pulse>,
    /// Room for subscriptions.
    pub(crate) room: Arc<Semaphore>,
}

impl Live {
    /// Watches a data folder for at most `most` subscriptions at a time.
    pub(crate) fn new(shelf: Arc<Shelf>, tokens: Arc<Tokens>, most: usize) -> Self {
        let feed = FeedReader::new(shelf.data_dir());
        Self { shelf, tokens, feed, pulse: watch::Sender::default(), room: Arc::new(Semaphore::new(most)) }
    }

    /// Looks again and again, for as long as it is awaited.
    pub(crate) async fn beat(&self) {
        loop {
            if self.pulse.receiver_count() > 0 {
                match self.look().await {
                    Ok(now) => {
                        self.pulse.send_if_modified(|last| std::mem::replace(last, now) != now);
                    }
                    Err(refusal) => tracing::warn!(refusal.message, "subscriptions see nothing new"),
                }
            }
            tokio::time::sleep(BEAT).await;
        }
    }

    async fn look(&self) -> Result<Pulse, Refusal> {
        let feed = self.feed.clone();
        let next = blocking(move || feed.next()).await?;
        let switches = self.shelf.current()?.switches;
        let version = match self.shelf.newest().await {
            Ok(newest) => newest.snapshot.version.saturating_add(1),
            Err(refusal) if refusal.code == ErrorCode::NotReady => 0,
            Err(refusal) => return Err(refusal),
        };
        Ok(Pulse { feed: next, snapshot: (switches << SWITCHES_FROM) | version })
    }

    /// Sequence number of the feed's newest record; zero before the first.
    pub(crate) async fn feed_newest(&self) -> Result<i64, Refusal> {
        let feed = self.feed.clone();
        let next = blocking(move || feed.next()).await?;
        Ok(tributary_schemas::column::signed(next.saturating_sub(1)))
    }

    /// What the feed says after a record.
    pub(crate) async fn feed_after(&self, after: u64) -> Result<FeedPage, Refusal> {
        let feed = self.feed.clone();
        blocking(move || feed.read(after, PAGE)).await
    }

    /// A request over the newest snapshot.
    pub(crate) async fn newest(&self) -> Result<Arc<Request>, Refusal> {
        Ok(Arc::new(Request::new(self.shelf.newest().await?, Arc::clone(&self.tokens))))
    }
}

async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, tributary_store::StoreError> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(cause)) => Err(Refusal::internal("reading the feed", &cause)),
        Err(cause) => Err(Refusal::internal("reading the feed", &cause)),
    }
}

/// The snapshot that the event under way was made from.
#[derive(Debug, Default)]
pub(crate) struct Spoken(Mutex<Option<Arc<Request>>>);

impl Spoken {
    fn of(&self, reads: Option<&Arc<Request>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reads.map(Arc::clone);
    }

    /// `extensions.asOf` of the event.
    pub(crate) fn as_of(&self) -> Option<Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|reads| reads.as_of())
    }
}

/// Events with their sequence numbers, and the snapshot they were made from.
pub(crate) struct Found<T> {
    pub(crate) reads: Option<Arc<Request>>,
    pub(crate) events: Vec<(i64, T)>,
}

/// Where events come from. Sequence numbers begin at 1 and have no gaps.
pub(crate) trait Source: Send + Sync + 'static {
    /// An event.
    type Event: Send + 'static;
    /// What changes when there may be something new.
    fn key(pulse: &Pulse) -> u64;
    /// The sequence number of the newest event; zero before the first.
    fn newest(&self, live: &Live) -> impl Future<Output = Result<i64, Refusal>> + Send;
    /// Some events after one; none when there is nothing newer.
    fn after(&self, live: &Live, after: i64) -> impl Future<Output = Result<Found<Self::Event>, Refusal>> + Send;
}

struct Following<S: Source> {
    live: Arc<Live>,
    spoken: Arc<Spoken>,
    source: S,
    pulse: watch::Receiver<Pulse>,
    after: i64,
    ready: VecDeque<(i64, S::Event)>,
    reads: Option<Arc<Request>>,
    /// The key after which nothing was found.
    seen: Option<u64>,
}

/// The events of `source` after the one with the number `after`; without it, those that are still to come.
pub(crate) async fn follow<S: Source>(
    live: Arc<Live>,
    spoken: Arc<Spoken>,
    source: S,
    after: Option<i64>,
) -> Result<BoxStream<'static, Result<S::Event, Refusal>>, Refusal> {
    let pulse = live.pulse.subscribe();
    let newest = source.newest(&live).await?;
    let after = after.unwrap_or(newest);
    if !(0..=newest).contains(&after) {
        let message = format!("after is {after}: expected 0 <= after <= {newest}, the newest event's sequence");
        return Err(Refusal::new(ErrorCode::BadInput, message));
    }
    let begin = Following { live, spoken, source, pulse, after, ready: VecDeque::new(), reads: None, seen: None };
    Ok(stream::unfold(Some(begin), async |state| state?.next().await).boxed())
}

impl<S: Source> Following<S> {
    async fn next(mut self) -> Option<(Result<S::Event, Refusal>, Option<Self>)> {
        loop {
            if let Some((sequence, event)) = self.ready.pop_front() {
                self.after = sequence;
                self.spoken.of(self.reads.as_ref());
                return Some((Ok(event), Some(self)));
            }
            let key = S::key(&self.pulse.borrow_and_update());
            if self.seen == Some(key) {
                self.pulse.changed().await.ok()?;
                continue;
            }
            match self.source.after(&self.live, self.after).await {
                Err(refusal) => return Some((Err(refusal), None)),
                Ok(found) if found.events.is_empty() => self.seen = Some(key),
                Ok(found) => (self.reads, self.ready) = (found.reads, found.events.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
