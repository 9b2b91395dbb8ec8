//! What became of a blob.

use serde::{Deserialize, Serialize};

/// What became of a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Here it is, and it is what was committed to.
    Found {
        /// The payload.
        payload: Vec<u8>,
        /// Where it was found, when that is still known.
        source: Option<String>,
    },
    /// It was not found by the policy's deadline: an input of the log (ruling 10).
    Missing {
        /// The block at which the deadline passed.
        declared_at: u64,
    },
    /// The reference has no form that can be fetched.
    NoForm,
}
