//! What can go wrong, for three audiences.
//!
//! [`ApiError`] is for whoever starts the server: it could not be started or it stopped. [`Refusal`] is for whoever
//! asked something: a code of the closed set [`ErrorCode`] and a sentence that says what was wrong and what would have
//! worked. What only the operator should read (paths, plans, sources of errors) goes to the log beside the request id.

use async_graphql::ErrorExtensions;

/// Why the server could not start or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The address could not be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address asked for.
        address: std::net::SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Serving ended with an error.
    #[error("serving {address} ended")]
    Serve {
        /// The bound address.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A limit that is zero where zero means nothing may pass.
    #[error("limit {name} is {got}: expected {expected}")]
    Limit {
        /// The limit's name in the configuration.
        name: &'static str,
        /// Its value.
        got: String,
        /// What it may be.
        expected: &'static str,
    },
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident $word:literal $status:literal;)*) => {
        /// The closed set of `extensions.code`: programs match on these, people read the message.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum ErrorCode { $($(#[doc = $doc])* $name,)* }
        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// The word in `extensions.code`.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $word,)* } }
            /// The HTTP status of an answer that is nothing but this error.
            #[must_use]
            pub const fn status(self) -> u16 { match self { $(Self::$name => $status,)* } }
        }
    };
}
codes! {
    /// The HTTP request is not a GraphQL or SQL request.
    BadRequest "BAD_REQUEST" 400;
    /// The document does not parse.
    ParseFailed "GRAPHQL_PARSE_FAILED" 400;
    /// The document does not fit the schema.
    ValidationFailed "GRAPHQL_VALIDATION_FAILED" 400;
    /// More tokens, fragments, aliases, fields or bytes than a document may have.
    TooLarge "QUERY_TOO_LARGE" 400;
    /// Deeper than a document may be.
    TooDeep "QUERY_TOO_DEEP" 400;
    /// More work than one request may ask for.
    TooComplex "QUERY_TOO_COMPLEX" 400;
    /// An array of requests.
    BatchRefused "BATCH_REFUSED" 400;
    /// An argument outside its range.
    BadInput "BAD_USER_INPUT" 400;
    /// A state that is older than what is kept or newer than what is sealed.
    AsOfUnavailable "AS_OF_UNAVAILABLE" 400;
    /// A cursor that this server did not make.
    BadCursor "BAD_CURSOR" 400;
    /// A cursor of a block that is no longer there.
    CursorReorged "CURSOR_REORGED" 409;
    /// Events that are no longer kept.
    EventsGone "EVENTS_GONE" 410;
    /// No snapshot is published yet, or the one that was read is not joined to the newest blocks any more.
    NotReady "NOT_READY" 503;
    /// A body that came too slowly.
    BodyTimeout "BODY_TIMEOUT" 408;
    /// A document id that this server does not know.
    DocumentNotFound "DOCUMENT_NOT_FOUND" 404;
    /// The deadline passed.
    Timeout "TIMEOUT" 504;
    /// More requests than the limit allows.
    RateLimited "RATE_LIMITED" 429;
    /// More requests at once than the server takes.
    Overloaded "OVERLOADED" 503;
    /// SQL that is no read-only query.
    SqlRefused "SQL_REFUSED" 400;
    /// SQL that does not plan or run.
    SqlFailed "SQL_FAILED" 400;
    /// Nothing is at this address.
    NotFound "NOT_FOUND" 404;
    /// Only forms of answers are accepted that this route does not have.
    NotAcceptable "NOT_ACCEPTABLE" 406;
    /// A way of asking that this server does not offer.
    NotOffered "NOT_OFFERED" 403;
    /// An API key that is not known.
    Unauthorized "UNAUTHORIZED" 401;
    /// A write.
    ReadOnly "READ_ONLY" 405;
    /// A certificate's blob that is not archived here. On the routes of EigenDA's proxy that is a 500, never a 404.
    NotArchived "NOT_ARCHIVED" 500;
    /// Our fault.
    Internal "INTERNAL" 500;
}

/// An answer that is no: a code and a sentence for whoever asked. It is not `Display`, so that nothing turns it into
/// an error without its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: ErrorCode,
    /// What was wrong and what would have worked.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Our fault: the cause goes to the log with what we were doing, the person asking learns only that.
    pub(crate) fn internal(doing: &str, cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "{doing} failed");
        Self::new(ErrorCode::Internal, format!("{doing} failed; the server's log has the cause"))
    }
}

impl From<Refusal> for async_graphql::Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.message).extend_with(|_, extensions| extensions.set("code", refusal.code.as_str()))
    }
}
