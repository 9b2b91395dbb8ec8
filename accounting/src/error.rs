//! What can stop a settlement. Money that cannot find its payee is not an error: it goes to suspense with a reason.

use tributary_schemas::SchemaError;

pub use tributary_store::Remedy;

/// A settlement, answer or check that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountingError {
    /// A query over the tables failed.
    #[error("could not query {what}")]
    Query {
        /// What was asked for.
        what: String,
        /// Why.
        #[source]
        source: Box<datafusion::error::DataFusionError>,
    },
    /// A row that is not what its table says.
    #[error("could not read the tables")]
    Schema(#[from] SchemaError),
    /// The store failed.
    #[error("could not use the store")]
    Store(#[from] tributary_store::StoreError),
    /// A file of an epoch could not be read or written.
    #[error("could not {action} {path}")]
    File {
        /// What was being done.
        action: &'static str,
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A list of entitlements that cannot mean one thing only.
    #[error("{path} is not a list to build a tree of: {what}")]
    List {
        /// Which file.
        path: String,
        /// Where in it and what.
        what: String,
    },
    /// The tables contradict themselves.
    #[error("the tables contradict themselves: {what}")]
    Inconsistent {
        /// The value and what was expected.
        what: String,
    },
    /// A table or column that is not there.
    #[error("{what} is missing: expected {expected}")]
    Missing {
        /// Which.
        what: String,
        /// What it should be, and where.
        expected: String,
    },
    /// A table or column that is there and is not as documented.
    #[error("{what}: expected {expected}")]
    Unfit {
        /// Which, and what it is.
        what: String,
        /// What it should be.
        expected: String,
    },
    /// An invariant does not hold; nothing was published.
    #[error("{id} is broken ({holds}): {what}")]
    Broken {
        /// Name of the invariant.
        id: &'static str,
        /// What should hold.
        holds: &'static str,
        /// The values that differ.
        what: String,
    },
    /// A cluster did not do its part; nothing was published.
    #[error("the cluster at {cluster} did not divide the records: {what}")]
    Cluster {
        /// Where it is.
        cluster: String,
        /// Why.
        what: String,
    },
    /// Something that was asked for does not exist.
    #[error("no {what}")]
    Unknown {
        /// What was asked for.
        what: String,
    },
}

impl AccountingError {
    /// What the caller can do about it.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::File { .. } | Self::Cluster { .. } => Remedy::Retry,
            Self::Store(error) => error.remedy(),
            Self::Query { .. }
            | Self::Schema(_)
            | Self::List { .. }
            | Self::Inconsistent { .. }
            | Self::Missing { .. }
            | Self::Unfit { .. }
            | Self::Broken { .. }
            | Self::Unknown { .. } => Remedy::Halt,
        }
    }

    pub(crate) fn query(what: &str) -> impl FnOnce(datafusion::error::DataFusionError) -> Self + use<'_> {
        move |source| Self::Query { what: what.to_owned(), source: Box::new(source) }
    }

    pub(crate) fn inconsistent(what: impl Into<String>) -> Self {
        Self::Inconsistent { what: what.into() }
    }
}

/// Checks an invariant and refuses to go on when it is broken, in release builds too.
pub(crate) fn hold(
    invariant: &'static tributary_schemas::invariant::Invariant,
    held: bool,
    what: impl FnOnce() -> String,
) -> Result<(), AccountingError> {
    if held {
        return Ok(());
    }
    let what = what();
    tracing::error!(id = invariant.id, what, "invariant broken");
    // In debug builds this stops the program; in release builds it counts, and the error below refuses to go on.
    let still = invariant.check(held);
    debug_assert!(!still, "the check says what it was told");
    Err(AccountingError::Broken { id: invariant.id, holds: invariant.holds, what })
}
