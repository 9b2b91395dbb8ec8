//! How much may be asked of one endpoint at once, and how often.

use governor::{
    Quota, RateLimiter,
    clock::Clock as GovernorClock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use std::{
    fmt,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

use crate::Clock;

/// Additive increase, multiplicative decrease: one more request at once after a whole round of good answers, half as
/// many after a bad one.
pub(super) struct Gate {
    places: Mutex<Places>,
    freed: Notify,
    places_max: usize,
    rate: Option<RateLimiter<NotKeyed, InMemoryState, Ticks, NoOpMiddleware<Nanos>>>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Places {
    taken: usize,
    limit: usize,
    good_answers: usize,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("places", &*self.places()).finish_non_exhaustive()
    }
}

/// A place at the gate, free again when dropped.
pub(super) struct Pass<'a> {
    gate: &'a Gate,
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut places = self.gate.places();
        places.taken = places.taken.saturating_sub(1);
        drop(places);
        self.gate.freed.notify_one();
    }
}

/// Where the gate begins.
const PLACES_AT_FIRST: usize = 4;

impl Gate {
    pub(super) fn new(places_max: usize, per_second: Option<NonZeroU32>, clock: Arc<dyn Clock>) -> Self {
        let places_max = std::cmp::max(places_max, 1);
        let ticks = Ticks(Arc::clone(&clock));
        Self {
            places: Mutex::new(Places { taken: 0, limit: std::cmp::min(PLACES_AT_FIRST, places_max), good_answers: 0 }),
            freed: Notify::new(),
            places_max,
            rate: per_second.map(|rate| RateLimiter::direct_with_clock(Quota::per_second(rate), ticks)),
            clock,
        }
    }

    pub(super) async fn enter(&self) -> Pass<'_> {
        let pass = loop {
            let freed = self.freed.notified();
            if let Some(pass) = self.try_enter() {
                break pass;
            }
            freed.await;
        };
        if let Some(rate) = &self.rate {
            while let Err(not_until) = rate.check() {
                let wait = not_until.wait_time_from(GovernorClock::now(&Ticks(Arc::clone(&self.clock))));
                // At least a millisecond, which is as fine as our clock: a shorter wait would never end.
                self.clock.sleep(std::cmp::max(wait, Duration::from_millis(1))).await;
            }
        }
        pass
    }

    fn try_enter(&self) -> Option<Pass<'_>> {
        let mut places = self.places();
        if places.taken >= places.limit {
            return None;
        }
        places.taken = places.taken.saturating_add(1);
        let more = places.taken < places.limit;
        drop(places);
        if more {
            // Two that wait may have been woken by one notification.
            self.freed.notify_one();
        }
        Some(Pass { gate: self })
    }

    pub(super) fn widen(&self) {
        let mut places = self.places();
        places.good_answers = places.good_answers.saturating_add(1);
        if places.good_answers >= places.limit && places.limit < self.places_max {
            places.limit = places.limit.saturating_add(1);
            places.good_answers = 0;
            drop(places);
            self.freed.notify_one();
        }
    }

    pub(super) fn narrow(&self) {
        let mut places = self.places();
        places.limit = std::cmp::max(places.limit >> 1, 1);
        places.good_answers = 0;
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Our clock in governor's terms.
#[derive(Debug, Clone)]
struct Ticks(Arc<dyn Clock>);

impl GovernorClock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(Duration::from_millis(self.0.now_ms()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[tokio::test]
    async fn the_gate_grows_with_good_answers_and_halves_with_a_bad_one() {
        let gate = Gate::new(6, None, Arc::new(ManualClock::at(0)));
        let limit = || gate.places().limit;
        assert_eq!(limit(), 4);
        (0..4).for_each(|_| gate.widen());
        assert_eq!(limit(), 5);
        (0..99).for_each(|_| gate.widen());
        assert_eq!(limit(), 6);
        gate.narrow();
        assert_eq!(limit(), 3);
        (0..9).for_each(|_| gate.narrow());
        assert_eq!(limit(), 1);
        let first = gate.enter().await;
        assert!(gate.try_enter().is_none());
        drop(first);
        assert!(gate.try_enter().is_some());
    }

    #[tokio::test]
    async fn the_rate_is_kept_by_the_clock() {
        let clock = Arc::new(ManualClock::at(1_000));
        let gate = Gate::new(6, NonZeroU32::new(10), Arc::clone(&clock) as Arc<dyn Clock>);
        for _ in 0..40 {
            drop(gate.enter().await);
        }
        // Ten at once, then one every 100 ms.
        assert_eq!(clock.now_ms(), 1_000 + 3_000);
    }
}
