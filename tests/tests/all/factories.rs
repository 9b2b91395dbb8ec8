//! Emitters that factories name, on Anvil, through reorgs, restarts and a lost tail: `Mall` and `MallBuilder` of
//! `schemas/contracts/test-src/Foreign.sol`.

use alloy::primitives::{Address, U256};
use alloy::providers::DynProvider;
use alloy::sol_types::SolEvent;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tributary_tests::chain::Chain;
use tributary_tests::follower::Follower;
use tributary_tests::program::rows;
use tributary_tests::suite::{Mall, MallBuilder, Stall, mined};

/// Stalls of malls of the builder: each is an agent, and what it takes is revenue.
const RULES: &str = r#"
name = "stalls"
version = 1

[[rule]]
name = "stall-opened"
emitter = { factory = { factory = "builder", event = "MallBuilt(address mall)", child = "mall" }, event = "StallMade(address indexed stall, uint256 number)", child = "stall" }
event = "Opened(uint256 indexed id, address indexed owner, string uri)"
emit = "AgentRegistered"
fields = { agent = { native = "agent", key = "id" }, key = "id", owner = "owner", metadata_uri = "uri" }

[[rule]]
name = "stall-equipped"
emitter = { factory = { factory = "builder", event = "MallBuilt(address mall)", child = "mall" }, event = "StallMade(address indexed stall, uint256 number)", child = "stall" }
event = "Opened(uint256 indexed id, address indexed owner, string uri)"
emit = "AgentVersionPublished"
[rule.fields]
agent = { native = "agent", key = "id" }
version = { const = 1 }
config_hash = { keccak = "uri" }
upstream = { list = [] }

[[rule]]
name = "stall-took"
emitter = { factory = { factory = "builder", event = "MallBuilt(address mall)", child = "mall" }, event = "StallMade(address indexed stall, uint256 number)", child = "stall" }
authority = true
revenue = "recognise"
event = "Took(bytes32 indexed id, address indexed payer, uint256 sum)"
emit = "RevenueReceived"
[rule.fields]
payment = { native = "payment", key = "id" }
key = "id"
subject = { version_of = { native = "agent", key = { cast = "uint256", of = { const = 1 } } }, number = { const = 1 } }
payer = "payer"
token = { const = "0x0000000000000000000000000000000000000000" }
amount = "sum"
backing = { const = "asserted" }
"#;

struct World {
    chain: Chain,
    builder: MallBuilder::MallBuilderInstance<DynProvider>,
    folder: tempfile::TempDir,
    config: PathBuf,
}

impl World {
    async fn begin() -> Self {
        let chain = Chain::begin().await;
        let provider = chain.provider.clone();
        let builder = MallBuilder::deploy_builder(provider.clone()).from(chain.people[0]).deploy_sync().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stalls.toml");
        std::fs::write(&file, RULES).unwrap();
        let more = format!("[mapping]\nfiles = [\"reference\", {file:?}]\nroles = [\"builder={builder}\"]\n");
        let config = chain.configure(folder.path(), chain.anvil.ws_url(), 100_000, &more);
        Self { chain, builder: MallBuilder::new(builder, provider), folder, config }
    }

    fn admin(&self) -> Address {
        self.chain.people[0]
    }

    /// A mall that the builder builds.
    async fn mall(&self) -> Mall::MallInstance<DynProvider> {
        let receipt = mined(self.builder.build().from(self.admin())).await.unwrap();
        let built = receipt.decoded_log::<MallBuilder::MallBuilt>().unwrap();
        Mall::new(built.mall, self.chain.provider.clone())
    }

    /// A stall that a mall makes.
    async fn stall(&self, mall: &Mall::MallInstance<DynProvider>, uri: &str) -> Address {
        let receipt = mined(mall.make(uri.to_owned()).from(self.admin())).await.unwrap();
        assert_eq!(receipt.logs()[0].topics()[0], Stall::Opened::SIGNATURE_HASH, "it speaks before it is named");
        receipt.decoded_log::<Mall::StallMade>().unwrap().stall
    }

    async fn pay(&self, stall: Address, sum: u64) {
        let stall = Stall::new(stall, self.chain.provider.clone());
        mined(stall.take().value(U256::from(sum)).from(self.admin())).await.unwrap();
    }

    /// Mines until the head of now is final, and waits until it is sealed.
    async fn seal(&self, follower: &Follower) {
        let head = self.chain.head().await;
        self.chain.mine(Chain::FINAL_AFTER + 2).await;
        follower.sealed(head).await;
    }

    /// Who took how much, and why it does not count; in the order of the chain.
    fn taken(&self) -> Vec<(Address, u64, Option<String>)> {
        let query = "select emitter, reason, payload from events where kind = 'RevenueReceived' order by block_number";
        let rows = rows(&self.config, query);
        let one = |row: &Value| {
            let payload: Value = serde_json::from_str(row["payload"].as_str().unwrap()).unwrap();
            let sum = payload["amount"].as_str().unwrap().parse().unwrap();
            (address(row), sum, row["reason"].as_str().map(str::to_owned))
        };
        rows.iter().map(one).collect()
    }

    fn rejected(&self) -> u64 {
        let status = tributary_store::read_status(&self.folder.path().join("data")).unwrap().unwrap();
        status.counters.get("rejected_events").copied().unwrap_or_default()
    }
}

/// Removes what is known beside the published tables.
fn lose_tail(data: &Path) {
    let folders = super::kill::tail_folders(data);
    assert!(folders.len() >= 2, "{folders:?}");
    folders.iter().for_each(|folder| std::fs::remove_dir_all(folder).unwrap());
}

fn address(row: &Value) -> Address {
    row["emitter"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalls_count_from_when_their_mall_names_them_until_a_reorg_takes_it_back() {
    let world = World::begin().await;
    let (p, admin) = (|| world.chain.provider.clone(), world.admin());
    let mall = world.mall().await;
    // Made as the others are, by somebody whom nobody named.
    let strangers_mall = Mall::new(Mall::deploy_builder(p()).from(admin).deploy_sync().await.unwrap(), p());
    let strangers = world.stall(&strangers_mall, "ipfs://strangers").await;
    let lone = Stall::deploy_builder(p(), admin, "ipfs://lone".to_owned()).from(admin).deploy_sync().await.unwrap();
    let follower = Follower::start(&world.config);
    let one = world.stall(&mall, "ipfs://one").await;
    world.pay(one, 5).await;
    world.pay(strangers, 9).await;
    // A mall, and its first stall, in one transaction that names the stall first.
    let receipt = mined(world.builder.buildAndMake("ipfs://two".to_owned()).from(admin)).await.unwrap();
    let two = receipt.decoded_log::<Mall::StallMade>().unwrap().stall;
    world.pay(two, 6).await;

    let kept = world.chain.head().await;
    mined(mall.adopt(lone).from(admin)).await.unwrap();
    world.pay(lone, 7).await;
    let gone = world.stall(&mall, "ipfs://gone").await;
    world.pay(gone, 8).await;
    follower.indexed(world.chain.head().await).await;
    assert_eq!(world.rejected(), 2, "the stranger's, and the lone stall's, which opened unheard and so is no agent");
    world.chain.reorg(kept).await;
    world.pay(lone, 7).await;
    let again = world.stall(&mall, "ipfs://again").await;
    assert_eq!(again, gone, "at the place of the one that is gone");
    world.pay(again, 10).await;
    world.seal(&follower).await;

    let stranger = || Some("UNAUTHORIZED".to_owned());
    let mut expected =
        vec![(one, 5, None), (strangers, 9, stranger()), (two, 6, None), (lone, 7, stranger()), (again, 10, None)];
    assert_eq!(world.taken(), expected);
    let agents =
        "select emitter from events where kind = 'AgentRegistered' and rule = 'stall-opened' order by block_number";
    let agents: Vec<_> = rows(&world.config, agents).iter().map(address).collect();
    assert_eq!(agents, [one, two, again], "the logs before the announcement count, and those of strangers do not");

    follower.kill();
    let follower = Follower::start(&world.config);
    world.pay(one, 11).await;
    mined(mall.adopt(lone).from(admin)).await.unwrap();
    world.pay(lone, 12).await;
    world.seal(&follower).await;
    // Heard now, of an agent that nobody knows.
    let heard = || Some("UNKNOWN_REF".to_owned());
    expected.extend([(one, 11, None), (lone, 12, heard())]);
    assert_eq!(world.taken(), expected, "after a restart");

    follower.kill();
    lose_tail(&world.folder.path().join("data"));
    let follower = Follower::start(&world.config);
    world.pay(two, 13).await;
    world.pay(strangers, 14).await;
    world.pay(lone, 15).await;
    world.seal(&follower).await;
    expected.extend([(two, 13, None), (strangers, 14, stranger()), (lone, 15, heard())]);
    assert_eq!(world.taken(), expected, "after the tail was built again from the tables");
}
