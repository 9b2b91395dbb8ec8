//! An embedded, seeded L2, L1 and EigenDA that speak the real wire protocols.
//!
//! [`Devnet::start`] opens four loopback ports (two chains, a beacon node, a proxy) and returns the
//! handle that drives them. Nothing here sleeps or looks at a clock: the head moves when
//! [`Devnet::advance`] is called or, with [`DevnetConfig::advance_on_read`], when a client
//! has read it. Production code never depends on this crate; `tributary demo`, tests and
//! benchmarks do.
//!
//! In the order the data travels:
//!
//! 1. `world` decides what happens: transactions with the logs they leave, blobs and
//!    manifests, as the contracts of the reference suite would make them, heavy-tailed,
//!    a part of it wrong or hostile on purpose ([`Workload`]).
//! 2. `disperser` is the EigenDA network: it certifies blobs with keys and a setup that are all known ([`mint`]), holds
//!    them, and vouches for its certificates on L1 ([`Devnet::eigenda_router`]).
//! 3. `chain` seals it: every block begins with the L1-attributes deposit of its L1
//!    origin; user transactions are EIP-1559, signed by seeded keys; transactions root,
//!    receipts root, bloom, gas and header hash are right and recompute. There is no EVM,
//!    so a state root opens nothing. Headers are those of Holocene.
//! 4. `batcher` posts the L2's blocks to the inbox on L1 ([`inbox`]), but those withheld, a share of them in EIP-4844
//!    blobs ([`DevnetConfig::blobs_percent`], [`sidecar`]).
//! 5. `node` decides what is *shown*: the canonical chain or, for a while, a fork of it,
//!    above the finalised block only. A fork ends when the receipts of its tip were read,
//!    when the head was asked for 48 times, or when the chain advances; the view is then
//!    canonical again, at the same or a greater number.
//! 6. `rpc` answers in the shapes of op-geth over HTTP and WebSocket on one port,
//!    `proxy` on the EigenDA proxy's routes, `beacon` on those of a beacon node that have blobs; `serve` does to the answers what networks do.
//! 7. [`Truth`] says what the canonical chain contains, from the side that made it.
//!
//! # Seeds
//!
//! Four streams of the seed never touch each other: `chain`, `blobs`, `faults`, `clock`
//! (and `forks`, for the order of transactions in a fork, `batcher` and `batcher/blobs`). How blobs are certified is a branch of `blobs` of its own, so
//! that what happens is the same with certificates and without. A [`Fault`] changes answers and
//! never the chain: with any set of faults, two runs of one seed end with the same blocks,
//! byte for byte.
//!
//! # Finality
//!
//! `finalized` and `safe` lie [`DevnetConfig::finalized_lag`] and
//! [`DevnetConfig::safe_lag`] blocks behind the canonical head, or where
//! [`Devnet::set_finalized`] puts them, and never fall. The L1 says the same: its finalised
//! block is the L1 origin of the L2's finalised block.
//!
//! # Example
//!
//! ```
//! # #[expect(clippy::disallowed_macros, reason = "an example needs a runtime")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tributary_devnet::DevnetError> {
//! use tributary_devnet::{Devnet, DevnetConfig, Fault};
//!
//! let faults = Fault::parse_list("reorg,429")?;
//! let net = Devnet::start(DevnetConfig { seed: 7, faults, ..DevnetConfig::default() }).await?;
//! net.mine_to(100);
//! assert_eq!(net.finalized(), 36);
//! assert!(net.l2_http().starts_with("http://127.0.0.1:"));
//! assert!(net.truth().payments > 0);
//! # Ok(())
//! # }
//! ```

mod batcher;
mod beacon;
mod block;
mod chain;
mod chance;
mod config;
mod deposit;
mod devnet;
mod disperser;
mod error;
mod fault;
pub mod inbox;
mod keys;
pub mod mint;
mod node;
pub mod payload;
mod proxy;
mod rpc;
mod serve;
pub mod sidecar;
mod suite;
#[cfg(test)]
mod tests;
mod truth;
mod world;

pub use block::{Block, Executed};
pub use config::{
    BATCHER_CHANGES_AT, DevnetConfig, L1_BLOCK_TIME, L1_CHAIN_ID, L2_BLOCK_TIME, L2_CHAIN_ID, POSTED_WITHIN, Workload,
    demo_policy,
};
pub use devnet::Devnet;
pub use error::DevnetError;
pub use fault::Fault;
pub use truth::{Contracts, Make, Token, Truth, TruthBatch, TruthBlob, TruthBlock, TruthPosting};
