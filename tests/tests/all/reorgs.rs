//! Reorgs on Anvil, the truth being the node's own logs: at depths 1, 10, 40 and 200, across the seam between catching
//! up and following live, and across a restart.

use alloy::primitives::B256;
use alloy::providers::{DynProvider, Provider as _};
use alloy::rpc::types::Filter;
use alloy::sol_types::SolEvent as _;
use serde_json::{Value, json};
use tributary_tests::anvil::Anvil;
use tributary_tests::blobs::BlobServer;
use tributary_tests::follower::{Follower, configure};
use tributary_tests::program::json as tributary_json;
use tributary_tests::suite::{RewardVault, Suite, mined};

const CHAIN_ID: u64 = 1612;
const GENESIS: u64 = 1_750_000_000;
/// Finality lies this far back: twice the slots of an epoch.
const FINAL_AFTER: u64 = 512;

pub(super) struct World {
    anvil: Anvil,
    pub(super) provider: DynProvider,
    pub(super) suite: Suite,
    _blobs: BlobServer,
    folder: tempfile::TempDir,
    pub(super) config: std::path::PathBuf,
    paid: u64,
}

impl World {
    pub(super) async fn begin() -> Self {
        let genesis = GENESIS.to_string();
        let anvil =
            Anvil::start_l2(&["--slots-in-an-epoch", "256", "--timestamp", &genesis, "--order", "fifo"]).unwrap();
        let provider = anvil.provider();
        let admin = provider.get_accounts().await.unwrap()[0];
        let _answer: Value = provider.raw_request("anvil_setBlockTimestampInterval".into(), [2]).await.unwrap();
        let suite = Suite::deploy(&provider, admin).await.unwrap();
        let blobs = BlobServer::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let config =
            configure(folder.path(), CHAIN_ID, anvil.ws_url(), &blobs.url(), &suite, (GENESIS, 100_000)).unwrap();
        let mut world = Self { anvil, provider, suite, _blobs: blobs, folder, config, paid: 0 };
        world.pay(5).await;
        world
    }

    /// So many payments, a block each; no two are alike.
    pub(super) async fn pay(&mut self, count: u64) {
        for _ in 0..count {
            self.paid += 1;
            let amount = alloy::primitives::U256::from(1000 + self.paid);
            mined(self.suite.vault.pay(B256::ZERO, B256::ZERO).value(amount).from(self.suite.admin)).await.unwrap();
        }
    }

    pub(super) async fn reorg(&self, depth: u64) {
        let _answer: Value = self.provider.raw_request("anvil_reorg".into(), json!([depth, []])).await.unwrap();
    }

    pub(super) async fn head(&self) -> u64 {
        self.provider.get_block_number().await.unwrap()
    }

    /// Mines until the head of now is final.
    pub(super) async fn finalize(&self) {
        let blocks = format!("{:#x}", FINAL_AFTER + 2);
        let _answer: Value = self.provider.raw_request("anvil_mine".into(), [blocks]).await.unwrap();
    }

    /// Mines until the head of now is final, waits until it is sealed, and compares every log with the node's own.
    pub(super) async fn compare(&self, follower: &Follower) {
        let head = self.head().await;
        self.finalize().await;
        follower.sealed(head).await;
        let paid = RewardVault::RevenueReceived::SIGNATURE_HASH;
        let vault = *self.suite.vault.address();
        let filter =
            Filter::new().from_block(self.suite.first_block).to_block(head).address(vault).event_signature(paid);
        let mut truth: Vec<(u64, u64, String)> = self
            .provider
            .get_logs(&filter)
            .await
            .unwrap()
            .iter()
            .map(|log| (log.block_number.unwrap(), log.log_index.unwrap(), log.transaction_hash.unwrap().to_string()))
            .collect();
        truth.sort();
        let data = self.folder.path().join("data").display().to_string();
        let query = format!(
            "select block_number, log_index, tx_hash from raw_logs where topic0 = '{paid}' and address = '{vault:#x}' \
             and block_number <= {head} order by 1, 2"
        );
        let rows = tributary_json(&["sql", "--json", "--rows-max", "1000000", "--data-dir", &data, &query]);
        let ours: Vec<(u64, u64, String)> = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                let number = |key: &str| row[key].as_u64().unwrap();
                (number("block_number"), number("log_index"), row["tx_hash"].as_str().unwrap().to_owned())
            })
            .collect();
        assert!(!truth.is_empty(), "the node has no logs to compare with");
        assert_eq!(ours, truth);
        let blocks = format!("select hash from blocks where number = {head}");
        let hash = tributary_json(&["sql", "--json", "--data-dir", &data, &blocks]);
        let block = self.provider.get_block_by_number(head.into()).await.unwrap().unwrap();
        assert_eq!(hash[0]["hash"], block.header.hash.to_string());
    }
}

async fn live(depth: u64) {
    let mut world = World::begin().await;
    let follower = Follower::start(&world.config);
    world.pay(depth + 5).await;
    follower.indexed(world.head().await).await;
    world.reorg(depth).await;
    world.pay(3).await;
    world.compare(&follower).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_block_deep() {
    live(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_blocks_deep() {
    live(10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_blocks_deep() {
    live(40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_blocks_deep() {
    live(200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn across_the_seam_between_catching_up_and_live() {
    let mut world = World::begin().await;
    // These blocks are there before the follower starts: it never sees them live, and the reorg goes below them.
    world.pay(60).await;
    let follower = Follower::start(&world.config);
    follower.indexed(world.head().await).await;
    world.pay(5).await;
    follower.indexed(world.head().await).await;
    world.reorg(50).await;
    world.pay(2).await;
    world.compare(&follower).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn across_a_restart() {
    let mut world = World::begin().await;
    let follower = Follower::start(&world.config);
    world.pay(30).await;
    follower.indexed(world.head().await).await;
    follower.kill();
    world.reorg(25).await;
    world.pay(40).await;
    let follower = Follower::start(&world.config);
    world.compare(&follower).await;
    assert!(world.anvil.process_id() > 0);
}
