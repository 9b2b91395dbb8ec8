//! How an endpoint does, and why.

use serde::{Deserialize, Serialize};

use crate::endpoint::Failure;

/// What an endpoint is good for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointState {
    /// It answers.
    Up,
    /// Its last answers failed; it is asked when no other is up.
    Failing,
    /// It lied, or serves another chain: it is not asked again.
    Quarantined,
}

/// An endpoint's state and counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointHealth {
    /// Scheme, host and port; never credentials or a path, which may hold a key.
    pub name: String,
    /// Its state.
    pub state: EndpointState,
    /// Why it is not up.
    pub reason: Option<String>,
    /// Requests sent.
    pub requests: u64,
    /// Requests that failed.
    pub failures: u64,
    /// Requests it refused as too many.
    pub limited: u64,
    /// Answers that contradicted the hash they were for.
    pub lies: u64,
    /// Failures since the last good answer.
    pub failures_in_a_row: u32,
    /// When it last answered well, in milliseconds of the clock.
    pub answered_ms: Option<u64>,
    /// When it was last asked, likewise.
    pub asked_ms: Option<u64>,
    /// Until when it counts as failing although it answers: it had nothing where it should have had something.
    pub doubted_until_ms: Option<u64>,
}

/// From so many failures in a row on an endpoint counts as failing.
const FAILING_AFTER: u32 = 3;

/// How long an endpoint is doubted, and asked last. Long enough that others carry the chain on; short enough that a
/// node that only lagged is soon used again.
const DOUBT_MS: u64 = 60_000;

impl EndpointHealth {
    /// A new endpoint, believed to be up.
    #[must_use]
    pub const fn new(name: String) -> Self {
        Self {
            name,
            state: EndpointState::Up,
            reason: None,
            requests: 0,
            failures: 0,
            limited: 0,
            lies: 0,
            failures_in_a_row: 0,
            answered_ms: None,
            asked_ms: None,
            doubted_until_ms: None,
        }
    }

    /// The reason for its quarantine.
    #[must_use]
    pub fn quarantine(&self) -> Option<&str> {
        (self.state == EndpointState::Quarantined).then(|| self.reason.as_deref().unwrap_or_default())
    }

    pub(crate) fn record<T>(&mut self, answer: &Result<T, Failure>, now_ms: u64) {
        self.requests = self.requests.saturating_add(1);
        self.asked_ms = Some(now_ms);
        match answer {
            Ok(_) => {
                self.failures_in_a_row = 0;
                self.answered_ms = Some(now_ms);
                let doubted = self.doubted_until_ms.is_some_and(|until| now_ms < until);
                if self.state == EndpointState::Failing && !doubted {
                    self.state = EndpointState::Up;
                    self.reason = None;
                    self.doubted_until_ms = None;
                }
            }
            Err(Failure::Transient { reason, limited, .. }) => {
                self.failures = self.failures.saturating_add(1);
                self.limited = self.limited.saturating_add(u64::from(*limited));
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
                if self.failures_in_a_row >= FAILING_AFTER && self.state == EndpointState::Up {
                    self.state = EndpointState::Failing;
                }
                if self.state == EndpointState::Failing {
                    self.reason = Some(reason.clone());
                }
            }
            Err(Failure::Refused(_)) => self.failures = self.failures.saturating_add(1),
            Err(Failure::Quarantined(reason)) => self.put_in_quarantine(reason.clone()),
        }
    }

    /// Asks others first for a while.
    pub(crate) fn doubt(&mut self, reason: String, now_ms: u64) {
        if self.state == EndpointState::Quarantined {
            return;
        }
        tracing::warn!(endpoint = %self.name, reason, "endpoint doubted");
        self.state = EndpointState::Failing;
        self.reason = Some(reason);
        self.doubted_until_ms = Some(now_ms.saturating_add(DOUBT_MS));
    }

    /// Counts a lie.
    pub(crate) const fn lied(&mut self) {
        self.lies = self.lies.saturating_add(1);
    }

    pub(super) fn put_in_quarantine(&mut self, reason: String) {
        if self.state != EndpointState::Quarantined {
            tracing::error!(endpoint = %self.name, reason, "endpoint quarantined");
            self.state = EndpointState::Quarantined;
            self.reason = Some(reason);
        }
    }
}
