//! Fetching with bounded concurrency, again and again, and what was said about what is not there.

use alloy_primitives::B256;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinSet;

use super::find::{Answer, Finder, Kept, Lack, NotFound};
use super::late::Seeker;
use super::reference::Reference;
use crate::{Clock, IndexerError};

/// Fetches what is wanted and remembers what was said about what is not there.
pub struct Fetcher {
    finder: Finder,
    clock: Arc<dyn Clock>,
    concurrency_max: usize,
    wanted: BTreeMap<B256, Want>,
    running: JoinSet<(B256, Answer)>,
    found: BTreeMap<B256, String>,
    /// Those that were declared missing.
    late: Seeker,
}

#[derive(Debug, Clone)]
struct Want {
    reference: Reference,
    attempts: u32,
    running: bool,
    next_ms: u64,
    reason: String,
    absences: u32,
    troubles: u32,
    undecided: u32,
    waits_for_l1: bool,
    hurried: bool,
}

/// So often must everybody have said that a blob is not there before it can be declared missing.
const ABSENCES_MIN: u32 = 3;
/// So often must it have been asked for when some do not answer, or answer with other bytes: three minutes, by the
/// pauses in between. A proxy says nothing else of a blob that expired; that one only asks for a pause is no answer.
const ANSWERS_MIN: u32 = 10;
/// So often must L1 have failed to say what a certificate is worth, each time after the pause for that. It is rarely the
/// blob's fault, and sometimes it is, so it does not hold up everything for ever.
const UNDECIDED_MIN: u32 = 16;
/// Longest pause between two attempts for one blob.
const PAUSE_MS_MAX: u64 = 60_000;
/// Places of found blobs that are remembered until they are sealed.
const FOUND_MAX: usize = 65_536;

impl Fetcher {
    /// A fetcher of so many blobs at a time.
    #[must_use]
    pub fn new(finder: Finder, clock: Arc<dyn Clock>, concurrency_max: usize) -> Self {
        let concurrency_max = std::cmp::max(concurrency_max, 1);
        let (wanted, running, found) = (BTreeMap::new(), JoinSet::new(), BTreeMap::new());
        let late = Seeker::new(finder.clone(), Arc::clone(&clock));
        Self { finder, clock, concurrency_max, wanted, running, found, late }
    }

    /// Wants a blob, unless it is archived.
    pub fn want(&mut self, reference: &Reference) -> Result<(), IndexerError> {
        if !self.finder.has(reference)? {
            self.want_anew(reference);
        }
        self.start();
        Ok(())
    }

    fn want_anew(&mut self, reference: &Reference) {
        self.wanted.entry(reference.key()).or_insert_with(|| Want {
            reference: reference.clone(),
            attempts: 0,
            running: false,
            next_ms: 0,
            reason: String::new(),
            absences: 0,
            troubles: 0,
            undecided: 0,
            waits_for_l1: false,
            hurried: false,
        });
    }

    /// The blob, if it is archived. One whose copy is damaged or gone is wanted anew.
    pub fn get(&mut self, reference: &Reference) -> Result<Option<Kept>, IndexerError> {
        let Some(kept) = self.finder.kept(reference)? else {
            if self.finder.has(reference)? {
                self.want_anew(reference);
            }
            return Ok(None);
        };
        Ok(Some(Kept { source: self.found.get(&reference.key()).cloned(), ..kept }))
    }

    /// How often a blob was asked for and what was said last.
    #[must_use]
    pub fn trouble(&self, key: B256) -> Option<(u32, &str)> {
        self.wanted.get(&key).map(|want| (want.attempts, want.reason.as_str()))
    }

    /// Takes what has arrived and starts what is due, without waiting.
    pub fn poll(&mut self) -> Result<(), IndexerError> {
        while let Some(done) = self.running.try_join_next() {
            self.finish(done)?;
        }
        self.start();
        self.late.poll()
    }

    /// Blobs that were declared missing and are sought.
    pub const fn late(&mut self) -> &mut Seeker {
        &mut self.late
    }

    /// How many of them are sought.
    #[must_use]
    pub fn sought(&self) -> usize {
        self.late.len()
    }

    /// How many blobs are asked for.
    #[must_use]
    pub fn wanted(&self) -> usize {
        self.wanted.len()
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
    pub fn is_first_attempt(&self, key: B256) -> bool {
        self.wanted.get(&key).is_some_and(|want| want.attempts == 0)
    }

    /// Whether it was asked for often enough to believe that it is not there: a few clear answers, or many others.
    #[must_use]
    pub fn is_given_up(&self, key: B256) -> bool {
        self.wanted.get(&key).is_some_and(|want| {
            let answers = want.absences.saturating_add(want.troubles);
            want.absences >= ABSENCES_MIN || answers >= ANSWERS_MIN || want.undecided >= UNDECIDED_MIN
        })
    }

    /// Milliseconds until the next attempt for anything; `None` when nothing is wanted.
    #[must_use]
    pub fn pause_ms(&self) -> Option<u64> {
        let now = self.clock.now_ms();
        self.wanted.values().map(|want| want.next_ms.saturating_sub(now)).min()
    }

    fn start(&mut self) {
        let now = self.clock.now_ms();
        for (key, want) in &mut self.wanted {
            if self.running.len() >= self.concurrency_max {
                return;
            }
            if !want.running && want.next_ms <= now {
                want.running = true;
                let (key, reference, finder) = (*key, want.reference.clone(), self.finder.clone());
                self.running.spawn(async move { (key, finder.find(&reference).await) });
            }
        }
    }

    fn finish(&mut self, done: Result<(B256, Answer), tokio::task::JoinError>) -> Result<(), IndexerError> {
        let (key, answer) =
            done.map_err(|error| IndexerError::Ended { task: "fetching a blob", reason: error.to_string() })?;
        let NotFound { reason, lack } = match answer {
            Ok((found, place)) => {
                self.finder.keep(&found)?;
                self.wanted.remove(&key);
                if self.found.len() < FOUND_MAX {
                    self.found.insert(key, place);
                }
                return Ok(());
            }
            Err(not_found) => not_found,
        };
        let now = self.clock.now_ms();
        if let Some(want) = self.wanted.get_mut(&key) {
            want.running = false;
            want.attempts = want.attempts.saturating_add(1);
            let pause = 250_u64.checked_shl(std::cmp::min(want.attempts, 20)).unwrap_or(PAUSE_MS_MAX);
            want.next_ms = now.saturating_add(std::cmp::min(pause, PAUSE_MS_MAX));
            want.reason = reason;
            want.waits_for_l1 = lack == Lack::AwaitsL1;
            let hurried = std::mem::take(&mut want.hurried);
            let count = match lack {
                Lack::Absent => &mut want.absences,
                Lack::Trouble => &mut want.troubles,
                Lack::AwaitsL1 if !hurried => &mut want.undecided,
                Lack::AwaitsL1 | Lack::Paused => return Ok(()),
            };
            *count = count.saturating_add(1);
        }
        Ok(())
    }

    /// Something became final: what only waits for L1 is asked for without a pause.
    pub fn hurry(&mut self) {
        for want in self.wanted.values_mut().filter(|want| want.waits_for_l1) {
            (want.next_ms, want.hurried) = (0, true);
        }
    }

    /// No longer wants a blob: its reference is gone, or it was declared missing.
    pub fn forget(&mut self, key: B256) {
        self.wanted.remove(&key);
        self.found.remove(&key);
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Fetcher, Lack, NotFound};
    use crate::blob::{Answer, Assessed, BlobSource, Finder, Judge, Reference};
    use crate::clock::ManualClock;
    use alloy_primitives::B256;
    use std::sync::Arc;
    use std::time::Duration;
    use tributary_store::Archive;

    /// Never has anything, for the same reason always.
    struct Never(Lack);

    #[async_trait::async_trait]
    impl BlobSource for Never {
        async fn fetch(&self, _: &Reference, _: Option<&Assessed>, _: &Judge) -> Answer {
            Err(NotFound { reason: "nobody".to_owned(), lack: self.0 })
        }
    }

    /// How many attempts it takes to give up, of so many at most; `hurry` before each.
    async fn attempts(lack: Lack, hurry: bool) -> Option<u32> {
        let dir = tempfile::tempdir().unwrap();
        let finder = Finder::new(
            vec![Arc::new(Never(Lack::Absent)) as _, Arc::new(Never(lack)) as _],
            Judge::default(),
            Archive::open(dir.path()).unwrap(),
        );
        let clock = Arc::new(ManualClock::at(0));
        let mut fetcher = Fetcher::new(finder, Arc::clone(&clock) as _, 4);
        let reference = Reference::Content(B256::repeat_byte(1));
        fetcher.want(&reference).unwrap();
        for attempt in 1..=100 {
            assert!(fetcher.settle_one().await.unwrap());
            if fetcher.is_given_up(reference.key()) {
                return Some(attempt);
            }
            if hurry {
                fetcher.hurry();
            }
            clock.advance(Duration::from_millis(fetcher.pause_ms().unwrap()));
        }
        None
    }

    #[tokio::test]
    async fn a_blob_is_given_up_by_answers_alone() {
        assert_eq!(attempts(Lack::Absent, false).await, Some(3));
        assert_eq!(attempts(Lack::Trouble, false).await, Some(10));
        assert_eq!(attempts(Lack::Paused, false).await, None, "nobody was heard");
        assert_eq!(attempts(Lack::AwaitsL1, false).await, Some(16));
        assert_eq!(attempts(Lack::AwaitsL1, true).await, None, "only after the pause for that");
    }
}
