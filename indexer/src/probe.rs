//! What endpoints are seen to be able to, before anything is followed: the looking of `tributary doctor`.
//!
//! Each check is a [`Finding`] with what was seen, what was expected and how to mend it. Endpoints are asked side by
//! side and every question has an end, so that one that hangs or fails hides no other. The questions are those that
//! following asks, by the same code: a block is verified here as it is there.

mod beacon;
mod certificate;
mod node;
mod proxy;
mod state;
mod transaction;

pub use beacon::beacons;
pub use certificate::certificate;
pub use node::{Nodes, contract, contracts, nodes};
pub use proxy::proxies;
pub use state::{archive, state};
pub use transaction::transaction;

use serde::Serialize;
use std::time::Duration;

use crate::{Clock, IndexerError, endpoint::EndpointOptions};

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It will do.
    Ok,
    /// It will not do.
    Failed,
    /// It was not looked at, and `seen` says why.
    Skipped,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: String,
    /// What came of it.
    pub outcome: Outcome,
    /// What was seen.
    pub seen: String,
    /// What was expected; empty when it was not looked at.
    pub expected: String,
    /// How to mend it; empty unless it failed.
    pub mend: String,
}

impl Finding {
    /// It will do.
    pub fn ok(check: impl Into<String>, seen: impl Into<String>, expected: impl Into<String>) -> Self {
        let (check, seen, expected) = (check.into(), seen.into(), expected.into());
        Self { check, outcome: Outcome::Ok, seen, expected, mend: String::new() }
    }

    /// It will not do.
    pub fn failed(
        check: impl Into<String>,
        seen: impl Into<String>,
        expected: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        let (check, seen, expected) = (check.into(), seen.into(), expected.into());
        Self { check, outcome: Outcome::Failed, seen, expected, mend: mend.into() }
    }

    /// It was not looked at.
    pub fn skipped(check: impl Into<String>, why: impl Into<String>) -> Self {
        let (expected, mend) = (String::new(), String::new());
        Self { check: check.into(), outcome: Outcome::Skipped, seen: why.into(), expected, mend }
    }
}

/// How endpoints are asked here: a person waits for the answer.
#[must_use]
pub fn patience() -> EndpointOptions {
    EndpointOptions {
        deadline: Duration::from_secs(5),
        attempts_max: 3,
        backoff_max: Duration::from_secs(1),
        ..EndpointOptions::default()
    }
}

/// Waits for an answer as long as all attempts take, and not longer: a node may ask for a pause of minutes.
async fn within<T>(
    clock: &dyn Clock,
    options: &EndpointOptions,
    work: impl Future<Output = Result<T, IndexerError>>,
) -> Result<T, String> {
    let limit = options.deadline.saturating_mul(options.attempts_max.saturating_add(1));
    tokio::select! {
        biased;
        done = work => done.map_err(|error| error.to_string()),
        () = clock.deadline(limit) => Err(format!("no answer within {} ms", limit.as_millis())),
    }
}

#[cfg(test)]
mod tests;
