//! What can be wrong with bytes that were found in an L1 inbox.
//!
//! These are never failures of the program: a batcher may post anything. Whoever reads keeps the text as the reason
//! why the bytes were passed over and goes on with the next ones.

/// Bytes of an inbox that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InboxError {
    /// The bytes end too early.
    #[error("{what} needs {expected} bytes, {got} are left")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Bytes it takes.
        expected: usize,
        /// Bytes there are.
        got: usize,
    },
    /// A value outside of what its place allows.
    #[error("{what} is {got}, expected {expected}")]
    Unexpected {
        /// What was being read.
        what: &'static str,
        /// The value.
        got: String,
        /// What would have been right.
        expected: &'static str,
    },
    /// A count or a length above its bound; nothing was allocated for it.
    #[error("{what} is {got}, at most {limit} are read")]
    OverLimit {
        /// What was being read.
        what: &'static str,
        /// The count.
        got: u64,
        /// The bound.
        limit: u64,
    },
    /// An RLP item that is malformed or of the wrong kind.
    #[error("{what} is not the RLP it should be")]
    Rlp {
        /// What was being read.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: alloy_rlp::Error,
    },
    /// A signed transaction that cannot be read.
    #[error("transaction: {reason}")]
    Transaction {
        /// What is wrong with it.
        reason: String,
    },
}

impl InboxError {
    /// The error and its cause in one line: what is kept as the reason why bytes were passed over.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Rlp { source, .. } => format!("{self}: {source}"),
            Self::Truncated { .. } | Self::Unexpected { .. } | Self::OverLimit { .. } | Self::Transaction { .. } => {
                self.to_string()
            }
        }
    }

    /// For `map_err`: an RLP error while reading `what`.
    pub(super) const fn rlp(what: &'static str) -> impl Fn(alloy_rlp::Error) -> Self {
        move |source| Self::Rlp { what, source }
    }
}
