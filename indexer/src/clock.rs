//! Time is an input: whoever waits or measures is handed a clock.

use async_trait::async_trait;
use std::{
    fmt::Debug,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Tells the time and waits.
#[async_trait]
pub trait Clock: Debug + Send + Sync {
    /// Milliseconds since 1970. It may jump, as clocks do: only differences of answers close to each other mean
    /// something.
    fn now_ms(&self) -> u64;

    /// Returns after so long.
    async fn sleep(&self, duration: Duration);

    /// Returns after so long at most when a real other party is waited for. A clock that does not wait still gives
    /// the other party a real chance, so that tests with scripted time do not cut off honest answers.
    async fn deadline(&self, duration: Duration) {
        self.sleep(duration).await;
    }
}

/// A clock for tests: whoever sleeps moves it on and never waits.
#[derive(Debug, Default)]
pub struct ManualClock {
    now_ms: AtomicU64,
}

impl ManualClock {
    /// A clock that shows this time.
    #[must_use]
    pub const fn at(now_ms: u64) -> Self {
        Self { now_ms: AtomicU64::new(now_ms) }
    }

    /// Moves it on.
    pub fn advance(&self, duration: Duration) {
        let _ = self.now_ms.fetch_add(millis(duration), Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
        // Others get their turn: a loop that sleeps must not keep the runtime to itself.
        tokio::task::yield_now().await;
    }

    async fn deadline(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
        self.advance(duration);
    }
}

/// Whole milliseconds, at most what fits.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
