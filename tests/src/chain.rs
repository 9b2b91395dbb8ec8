//! A chain of its own for a test: Anvil with the reference contracts, a proxy with blobs, and finality that lies back.

use std::path::{Path, PathBuf};

use alloy::primitives::Address;
use alloy::providers::{DynProvider, Provider as _};
use serde_json::{Value, json};

use crate::anvil::Anvil;
use crate::blobs::BlobServer;
use crate::follower::{configure, reconfigure};
use crate::suite::Suite;

/// Unix seconds of the first block.
const GENESIS: u64 = 1_750_000_000;
/// Slots of an epoch of the chain.
const SLOTS: u64 = 32;

/// The chain. Dropped, all of it ends.
#[derive(Debug)]
pub struct Chain {
    /// Where it runs.
    pub anvil: Anvil,
    /// The proxy.
    pub blobs: BlobServer,
    /// A client.
    pub provider: DynProvider,
    /// Whom it knows; the first of them deployed the contracts.
    pub people: Vec<Address>,
    /// The reference contracts.
    pub suite: Suite,
}

impl Chain {
    /// Its chain id.
    pub const ID: u64 = 1612;
    /// So many blocks back lies finality: twice the slots of an epoch.
    pub const FINAL_AFTER: u64 = 2 * SLOTS;

    /// Starts it: a block every two seconds of its own time, and as fast as there are transactions.
    ///
    /// # Panics
    /// When a tool is not installed, or a contract cannot be deployed.
    pub async fn begin() -> Self {
        let (slots, genesis) = (SLOTS.to_string(), GENESIS.to_string());
        let options = ["--slots-in-an-epoch", &slots, "--timestamp", &genesis, "--order", "fifo"];
        let anvil = Anvil::start_l2(&options).expect("tests/run installs anvil");
        let provider = anvil.provider();
        let people = provider.get_accounts().await.expect("Anvil has accounts");
        let _answer = asked(&provider, "anvil_setBlockTimestampInterval", json!([2])).await;
        let suite = Suite::deploy(&provider, people[0]).await.expect("the contracts are deployed");
        let blobs = BlobServer::start().await.expect("ports are free");
        Self { anvil, blobs, provider, people, suite }
    }

    /// Writes a follower's configuration, by these nodes of the chain and with epochs so long; `more` are keys beside the
    /// least that it needs, or in the place of these.
    ///
    /// # Panics
    /// When the file cannot be written, or `more` is no TOML.
    #[must_use]
    pub fn configure(&self, folder: &Path, node: &str, epoch_seconds: u64, more: &str) -> PathBuf {
        let epoch = (GENESIS, epoch_seconds);
        let config = configure(folder, Self::ID, node, &self.blobs.url(), &self.suite, epoch);
        let config = config.expect("a configuration can be written");
        reconfigure(&config, more).expect("a configuration can be changed");
        config
    }

    /// Number of the newest block.
    ///
    /// # Panics
    /// When the node does not answer.
    pub async fn head(&self) -> u64 {
        self.provider.get_block_number().await.expect("Anvil answers")
    }

    /// Mines so many empty blocks.
    ///
    /// # Panics
    /// When the node does not answer.
    pub async fn mine(&self, blocks: u64) {
        let _answer = asked(&self.provider, "anvil_mine", json!([format!("{blocks:#x}")])).await;
    }

    /// Takes back every block above this one, and mines as many empty ones.
    ///
    /// # Panics
    /// When the node does not answer.
    pub async fn reorg(&self, kept: u64) {
        let depth = self.head().await.saturating_sub(kept);
        let _answer = asked(&self.provider, "anvil_reorg", json!([depth, []])).await;
    }
}

async fn asked(provider: &DynProvider, method: &'static str, params: Value) -> Value {
    provider.raw_request(method.into(), params).await.expect("Anvil answers")
}
