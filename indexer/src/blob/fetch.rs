//! Fetching with bounded concurrency: the own archive first, then whoever serves the proxy's routes.

use alloy_primitives::{B256, keccak256};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinSet;
use tributary_store::Archive;

use crate::{Clock, IndexerError};

/// A payload and where it was found, or why it was not.
pub type Answer = Result<(Vec<u8>, String), NotFound>;

/// Somebody who may have a blob.
#[async_trait]
pub trait BlobSource: Send + Sync {
    /// The payload whose keccak256 is `hash`, and where it was found. Implementations check the hash and the payload
    /// encoding; whatever they return is hashed again.
    async fn fetch(&self, hash: B256) -> Answer;
}

/// An archived payload, and where it was found when that is still known.
pub type Kept = (Vec<u8>, Option<String>);

/// Why a blob was not found this time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFound {
    /// Each source and what it said.
    pub reason: String,
    /// Whether every source answered, and said that it does not have it.
    pub absent: bool,
}

/// Fetches what is wanted and remembers what was said about what is not there.
pub struct Fetcher {
    source: Arc<dyn BlobSource>,
    archive: Archive,
    clock: Arc<dyn Clock>,
    concurrency_max: usize,
    wanted: BTreeMap<B256, Want>,
    running: JoinSet<(B256, Answer)>,
    found: BTreeMap<B256, String>,
}

#[derive(Debug, Clone, Default)]
struct Want {
    attempts: u32,
    running: bool,
    next_ms: u64,
    reason: String,
    absences: u32,
}

/// So often must everybody have said that a blob is not there before it can be declared missing.
const ABSENCES_MIN: u32 = 3;
/// So often must it have been asked for when some do not answer, or answer with other bytes.
const ATTEMPTS_MIN: u32 = 4;
/// Longest pause between two attempts for one blob.
const PAUSE_MS_MAX: u64 = 60_000;
/// Places of found blobs that are remembered until they are sealed.
const FOUND_MAX: usize = 65_536;

impl Fetcher {
    /// A fetcher that asks `source` for what `archive` does not have.
    #[must_use]
    pub fn new(source: Arc<dyn BlobSource>, archive: Archive, clock: Arc<dyn Clock>, concurrency_max: usize) -> Self {
        let concurrency_max = std::cmp::max(concurrency_max, 1);
        let (wanted, running, found) = (BTreeMap::new(), JoinSet::new(), BTreeMap::new());
        Self { source, archive, clock, concurrency_max, wanted, running, found }
    }

    /// Wants a blob, unless it is archived.
    pub fn want(&mut self, hash: B256) -> Result<(), IndexerError> {
        if !self.archive.contains(hash)? {
            self.wanted.entry(hash).or_default();
        }
        self.start();
        Ok(())
    }

    /// The blob, if it is archived, and where it was found when that is still known.
    pub fn get(&mut self, hash: B256) -> Result<Option<Kept>, IndexerError> {
        match self.archive.get(hash) {
            Ok(Some(bytes)) => Ok(Some((bytes, self.found.get(&hash).cloned()))),
            Ok(None) => Ok(None),
            // A damaged copy is fetched anew, and mended by that.
            Err(tributary_store::StoreError::BlobDamaged { .. }) => {
                self.wanted.entry(hash).or_default();
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// How often a blob was asked for and what was said last.
    #[must_use]
    pub fn trouble(&self, hash: B256) -> Option<(u32, &str)> {
        self.wanted.get(&hash).map(|want| (want.attempts, want.reason.as_str()))
    }

    /// Takes what has arrived and starts what is due, without waiting.
    pub fn poll(&mut self) -> Result<(), IndexerError> {
        while let Some(done) = self.running.try_join_next() {
            self.finish(done)?;
        }
        self.start();
        Ok(())
    }

    /// Waits until something that is being fetched arrives or fails; `false` when nothing is being fetched.
    pub async fn settle_one(&mut self) -> Result<bool, IndexerError> {
        self.start();
        let Some(done) = self.running.join_next().await else { return Ok(false) };
        self.finish(done)?;
        self.start();
        Ok(true)
    }

    /// Whether this blob is being asked for, or waits for its first turn.
    #[must_use]
    pub fn is_first_attempt(&self, hash: B256) -> bool {
        self.wanted.get(&hash).is_some_and(|want| want.attempts == 0)
    }

    /// Whether it was asked for often enough to believe that it is not there: a few clear answers, or many others.
    #[must_use]
    pub fn is_given_up(&self, hash: B256) -> bool {
        self.wanted.get(&hash).is_some_and(|want| want.absences >= ABSENCES_MIN || want.attempts >= ATTEMPTS_MIN)
    }

    /// Milliseconds until the next attempt for anything; `None` when nothing is wanted.
    #[must_use]
    pub fn pause_ms(&self) -> Option<u64> {
        let now = self.clock.now_ms();
        self.wanted.values().map(|want| want.next_ms.saturating_sub(now)).min()
    }

    fn start(&mut self) {
        let now = self.clock.now_ms();
        for (hash, want) in &mut self.wanted {
            if self.running.len() >= self.concurrency_max {
                return;
            }
            if !want.running && want.next_ms <= now {
                want.running = true;
                let (source, hash) = (Arc::clone(&self.source), *hash);
                self.running.spawn(async move { (hash, source.fetch(hash).await) });
            }
        }
    }

    fn finish(&mut self, done: Result<(B256, Answer), tokio::task::JoinError>) -> Result<(), IndexerError> {
        let (hash, answer) =
            done.map_err(|error| IndexerError::Ended { task: "fetching a blob", reason: error.to_string() })?;
        let NotFound { reason, absent } = match answer {
            Ok((bytes, place)) if keccak256(&bytes) == hash => {
                self.archive.put(&bytes)?;
                self.wanted.remove(&hash);
                if self.found.len() < FOUND_MAX {
                    self.found.insert(hash, place);
                }
                return Ok(());
            }
            Ok((bytes, place)) => {
                NotFound { reason: format!("{place} gave {} bytes of another hash", bytes.len()), absent: false }
            }
            Err(not_found) => not_found,
        };
        let now = self.clock.now_ms();
        if let Some(want) = self.wanted.get_mut(&hash) {
            want.running = false;
            want.attempts = want.attempts.saturating_add(1);
            let pause = 250_u64.checked_shl(std::cmp::min(want.attempts, 20)).unwrap_or(PAUSE_MS_MAX);
            want.next_ms = now.saturating_add(std::cmp::min(pause, PAUSE_MS_MAX));
            want.reason = reason;
            want.absences = want.absences.saturating_add(u32::from(absent));
        }
        Ok(())
    }

    /// No longer wants a blob: its reference is gone, or it was declared missing.
    pub fn forget(&mut self, hash: B256) {
        self.wanted.remove(&hash);
        self.found.remove(&hash);
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}
