//! Follow, verify, decode, append, seal.

pub mod blob;
pub mod block;
pub mod clock;
pub mod decode;
pub mod endpoint;
pub mod error;
pub mod fold;
pub mod follow;
pub mod mapping;
pub mod pipeline;
pub mod seal;
pub mod state;
pub mod verify;

pub use block::{Chain, Finality, Heads, L1Origin, Sink, Step, Topics, Trust, TxInfo, VerifiedBlock, VerifiedLog};
pub use clock::Clock;
pub use error::{IndexerError, Remedy};
pub use mapping::{Contracts, Mapping};
pub use pipeline::{IndexerConfig, MappingChoice, Outcome, Pipeline, Progress, run};
