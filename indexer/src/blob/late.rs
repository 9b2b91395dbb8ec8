//! Blobs that were declared missing are asked for still (ruling 14): seldom, two at a time, and not too many of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinSet;

use super::find::{Answer, Finder};
use super::reference::Reference;
use crate::{Clock, IndexerError};

/// Where a blob was referred to: block number and log index.
pub type Place = (u64, u32);

/// Most blobs that are sought. The newest are: EigenDA forgets the oldest first. What falls out is sought again after
/// a restart, if there is room then, and its bytes can always be imported into the archive.
pub const SOUGHT_MAX: usize = 256;
/// So many are asked for at a time, beside what is wanted in time.
const AT_ONCE: usize = 2;
/// Pauses double from here...
const PAUSE_MS_MIN: u64 = 50;
/// ... to an hour.
const PAUSE_MS_MAX: u64 = 3_600_000;

/// Seeks blobs that were declared missing.
pub struct Seeker {
    finder: Finder,
    clock: Arc<dyn Clock>,
    sought: BTreeMap<Place, Sought>,
    running: JoinSet<(Place, Answer)>,
}

#[derive(Debug)]
struct Sought {
    reference: Reference,
    attempts: u32,
    running: bool,
    next_ms: u64,
    /// It is archived.
    here: bool,
    /// Where it was found.
    source: Option<String>,
}

impl Seeker {
    pub(super) fn new(finder: Finder, clock: Arc<dyn Clock>) -> Self {
        Self { finder, clock, sought: BTreeMap::new(), running: JoinSet::new() }
    }

    /// Seeks a blob from now on.
    pub fn seek(&mut self, place: Place, reference: &Reference) {
        self.sought.entry(place).or_insert_with(|| Sought {
            reference: reference.clone(),
            attempts: 0,
            running: false,
            next_ms: 0,
            here: false,
            source: None,
        });
        if self.sought.len() > SOUGHT_MAX {
            self.sought.pop_first();
        }
    }

    /// Seeks a blob no more: it became a fact.
    pub fn forget(&mut self, place: Place) {
        self.sought.remove(&place);
    }

    /// Those that are archived now, in the order of their references, and where each was found.
    #[must_use]
    pub fn here(&self) -> Vec<(Place, Option<String>)> {
        let here = self.sought.iter().filter(|(_, sought)| sought.here);
        here.map(|(place, sought)| (*place, sought.source.clone())).collect()
    }

    /// Seeks one anew that is archived no longer.
    pub fn lost(&mut self, place: Place) {
        if let Some(sought) = self.sought.get_mut(&place) {
            (sought.here, sought.source) = (false, None);
        }
    }

    /// How many are sought.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sought.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sought.is_empty()
    }

    /// Takes what has arrived and starts what is due, without waiting.
    pub fn poll(&mut self) -> Result<(), IndexerError> {
        while let Some(done) = self.running.try_join_next() {
            self.finish(done)?;
        }
        self.start()
    }

    /// Waits until everything that is being asked for has arrived or failed.
    pub async fn settle(&mut self) -> Result<(), IndexerError> {
        self.start()?;
        while let Some(done) = self.running.join_next().await {
            self.finish(done)?;
            self.start()?;
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), IndexerError> {
        let now = self.clock.now_ms();
        for (place, sought) in &mut self.sought {
            if self.running.len() >= AT_ONCE {
                return Ok(());
            }
            if sought.running || sought.here || sought.next_ms > now {
                continue;
            }
            // Somebody may have imported it.
            if self.finder.has(&sought.reference)? {
                sought.here = true;
                continue;
            }
            sought.running = true;
            let (place, reference, finder) = (*place, sought.reference.clone(), self.finder.clone());
            self.running.spawn(async move { (place, finder.find(&reference).await) });
        }
        Ok(())
    }

    fn finish(&mut self, done: Result<(Place, Answer), tokio::task::JoinError>) -> Result<(), IndexerError> {
        let (place, answer) =
            done.map_err(|error| IndexerError::Ended { task: "seeking a blob", reason: error.to_string() })?;
        let now = self.clock.now_ms();
        if let Ok((found, _)) = &answer {
            self.finder.keep(found)?;
        }
        // One that is sought no more is archived all the same.
        let Some(sought) = self.sought.get_mut(&place) else { return Ok(()) };
        sought.running = false;
        sought.attempts = sought.attempts.saturating_add(1);
        let pause = PAUSE_MS_MIN.checked_shl(std::cmp::min(sought.attempts, 20)).unwrap_or(PAUSE_MS_MAX);
        sought.next_ms = now.saturating_add(std::cmp::min(pause, PAUSE_MS_MAX));
        if let Ok((_, source)) = answer {
            (sought.here, sought.source) = (true, Some(source));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Seeker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seeker").field("sought", &self.sought).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{PAUSE_MS_MAX, SOUGHT_MAX, Seeker};
    use crate::blob::{Answer, Assessed, BlobSource, Finder, Found, Judge, Lack, NotFound, Reference};
    use crate::clock::ManualClock;
    use alloy_primitives::{B256, keccak256};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;
    use tributary_store::Archive;

    const PAYLOAD: &[u8] = b"late";

    /// Has the payload after so many requests.
    struct Late {
        asked: AtomicU32,
        after: u32,
    }

    #[async_trait::async_trait]
    impl BlobSource for Late {
        async fn fetch(&self, reference: &Reference, _: Option<&Assessed>, _: &Judge) -> Answer {
            let asked = self.asked.fetch_add(1, Ordering::SeqCst);
            if asked >= self.after && reference.key() == keccak256(PAYLOAD) {
                return Ok((Found { bytes: Some(PAYLOAD.to_vec()), record: None }, "somebody".to_owned()));
            }
            Err(NotFound { reason: "nobody".to_owned(), lack: Lack::Absent })
        }
    }

    fn seeker(dir: &std::path::Path, after: u32) -> (Seeker, Arc<Late>, Arc<ManualClock>) {
        let source = Arc::new(Late { asked: AtomicU32::new(0), after });
        let clock = Arc::new(ManualClock::at(1));
        let archive = Archive::open(dir).unwrap();
        let finder = Finder::new(vec![Arc::clone(&source) as _], Judge::default(), archive);
        (Seeker::new(finder, Arc::clone(&clock) as _), source, clock)
    }

    #[tokio::test]
    async fn pauses_grow_to_an_hour_and_what_is_found_is_archived() {
        let dir = tempfile::tempdir().unwrap();
        let (mut seeker, source, clock) = seeker(dir.path(), 20);
        let reference = Reference::Content(keccak256(PAYLOAD));
        seeker.seek((7, 1), &reference);
        let (mut paused, mut asked) = (0, 0);
        while seeker.here().is_empty() {
            seeker.settle().await.unwrap();
            let now = source.asked.load(Ordering::SeqCst);
            if now == asked {
                paused += 500;
                clock.advance(Duration::from_millis(500));
            } else {
                assert!(paused <= PAUSE_MS_MAX, "{paused}");
                (paused, asked) = (0, now);
            }
        }
        assert_eq!(asked, 21);
        assert_eq!(seeker.here(), [((7, 1), Some("somebody".to_owned()))]);
        assert_eq!(Archive::open(dir.path()).unwrap().get(keccak256(PAYLOAD)).unwrap().as_deref(), Some(PAYLOAD));
        seeker.forget((7, 1));
        assert!(seeker.is_empty() && seeker.here().is_empty());
    }

    #[tokio::test]
    async fn what_somebody_imported_needs_no_request_and_the_newest_are_sought() {
        let dir = tempfile::tempdir().unwrap();
        let (mut seeker, source, _clock) = seeker(dir.path(), 0);
        Archive::open(dir.path()).unwrap().put(PAYLOAD).unwrap();
        seeker.seek((1_000_000, 0), &Reference::Content(keccak256(PAYLOAD)));
        seeker.settle().await.unwrap();
        assert_eq!((seeker.here().len(), source.asked.load(Ordering::SeqCst)), (1, 0));
        for block in 0..2 * u64::try_from(SOUGHT_MAX).unwrap() {
            seeker.seek((block, 0), &Reference::Content(B256::ZERO));
        }
        assert_eq!(seeker.len(), SOUGHT_MAX);
        assert_eq!(seeker.here().len(), 1, "the newest of all");
        seeker.seek((0, 0), &Reference::Content(B256::ZERO));
        assert!(!seeker.sought.contains_key(&(0, 0)) && seeker.sought.contains_key(&(511, 0)));
    }
}
