//! Follow, verify, decode, append, seal.

pub mod block;
pub mod clock;
pub mod error;

pub use block::{Chain, Heads, L1Origin, Sink, Step, Topics, Trust, TxInfo, VerifiedBlock, VerifiedLog};
pub use clock::Clock;
pub use error::{IndexerError, Remedy};
