//! Follow, verify, decode, append, seal.

pub mod block;
pub mod clock;
pub mod endpoint;
pub mod error;
pub mod follow;
pub mod verify;

pub use block::{Chain, Finality, Heads, L1Origin, Sink, Step, Topics, Trust, TxInfo, VerifiedBlock, VerifiedLog};
pub use clock::Clock;
pub use error::{IndexerError, Remedy};
