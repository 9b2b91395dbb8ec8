//! An embedded, seeded L2, L1 and EigenDA that speak the real wire protocols.
//!
//! Same seed, same chain. `Devnet::start` opens the ports; `advance` moves the head.

mod block;
mod chain;
mod chance;
mod config;
mod deposit;
mod devnet;
mod error;
mod fault;
mod keys;
mod node;
pub mod payload;
mod proxy;
mod rpc;
mod serve;
mod suite;
#[cfg(test)]
mod tests;
mod truth;
mod world;

pub use block::{Block, Executed};
pub use config::{DevnetConfig, L1_BLOCK_TIME, L1_CHAIN_ID, L2_BLOCK_TIME, L2_CHAIN_ID, Workload, demo_policy};
pub use devnet::Devnet;
pub use error::DevnetError;
pub use fault::Fault;
pub use truth::{Contracts, Make, Truth, TruthBatch, TruthBlock};
