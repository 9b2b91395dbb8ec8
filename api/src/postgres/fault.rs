//! What a client is told went wrong, with its SQLSTATE (PostgreSQL's manual, appendix A).

use tributary_store::StoreError;

use crate::error::{ErrorCode, Refusal};
use crate::sql_gate::{self, SqlError};

/// A refusal in PostgreSQL's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The SQLSTATE.
    pub(super) state: &'static str,
    /// What was wrong, and what would have worked.
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(state: &'static str, message: impl Into<String>) -> Self {
        Self { state, message: message.into() }
    }

    /// A value that is none of its type.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new("22P02", message)
    }

    /// A number that is too large.
    pub(super) fn range(message: impl Into<String>) -> Self {
        Self::new("22003", message)
    }

    /// Something that this server does not have.
    pub(super) fn unsupported(what: impl std::fmt::Display) -> Self {
        Self::new("0A000", format!("not offered: {what}"))
    }

    /// Something that a client of this protocol does not say.
    pub(super) fn protocol(message: impl Into<String>) -> Self {
        Self::new("08P01", message)
    }

    pub(super) fn cancelled() -> Self {
        Self::new("57014", "the query was cancelled, as its client asked")
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let state = match refusal.code {
            ErrorCode::NotReady => "57P03",
            ErrorCode::RateLimited => "53400",
            ErrorCode::Overloaded => "53000",
            ErrorCode::Unauthorized => "28P01",
            ErrorCode::Internal => "XX000",
            _ => "42000",
        };
        Self::new(state, refusal.message)
    }
}

impl From<SqlError> for Fault {
    fn from(cause: SqlError) -> Self {
        let state = match &cause {
            SqlError::Refused { .. } => "25006",
            SqlError::Failed { fault, .. } => match fault {
                sql_gate::Fault::Syntax => "42601",
                sql_gate::Fault::UnknownTable => "42P01",
                sql_gate::Fault::UnknownColumn => "42703",
                sql_gate::Fault::UnknownFunction => "42883",
                sql_gate::Fault::Unsupported => "0A000",
                sql_gate::Fault::Range => "22003",
                sql_gate::Fault::Division => "22012",
                sql_gate::Fault::Other => "42000",
            },
            SqlError::Deadline { .. } => "57014",
            SqlError::Memory { .. } => "53200",
            SqlError::Rows { .. } => "54000",
            SqlError::Hot { cause: StoreError::NotJoined { .. } } => "40001",
            SqlError::Hot { cause: StoreError::NotFollowed { .. } } => "0A000",
            SqlError::Hot { cause: StoreError::TailTooLong { .. } } => "54000",
            SqlError::Hot { cause } => return Refusal::internal("reading the tail", cause).into(),
            SqlError::Tables { source, .. } => return Refusal::internal("opening tables", source).into(),
        };
        Self::new(state, cause.to_string())
    }
}
