//! State reads, on Anvil, up to a settled epoch: the event of an ERC-721 registry names who made a token, and only the
//! state says whose it is. `LateRegistry` of `schemas/contracts/test-src/Foreign.sol`.

use alloy::primitives::Address;
use alloy::providers::{DynProvider, Provider as _};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tributary_tests::anvil::Anvil;
use tributary_tests::blobs::BlobServer;
use tributary_tests::follower::{Follower, configure};
use tributary_tests::program::{self, run};
use tributary_tests::suite::{LateRegistry, Suite, mined};

use crate::generations::heads;

const CHAIN_ID: u64 = 1612;
const GENESIS: u64 = 1_750_000_000;
/// Finality lies this far back: twice the slots of an epoch.
const FINAL_AFTER: u64 = 64;

/// Each listing is an agent of whoever has the token, and brings in as much as there are tokens.
const RULES: &str = r#"
name = "tokens"
version = VERSION

[[rule]]
name = "listed"
emitter = "late"
event = "ModelListed(uint256 indexed tokenId, address indexed maker, string uri)"
emit = "AgentRegistered"
[rule.fields]
agent = { native = "agent", key = "tokenId" }
key = "tokenId"
metadata_uri = "uri"
[rule.fields.owner]
state = "ownerOf(uint256 tokenId) returns (address)"
of = { from = "emitter" }
with = [{ cast = "uint256", of = { const = 1000000 } }]
on_revert = "nothing"
or = { state = "ownerOf(uint256 tokenId) returns (address)", of = { from = "emitter" }, with = ["tokenId"] }

[[rule]]
name = "equipped"
emitter = "late"
event = "ModelListed(uint256 indexed tokenId, address indexed maker, string uri)"
emit = "AgentVersionPublished"
[rule.fields]
agent = { native = "agent", key = "tokenId" }
version = { const = 1 }
config_hash = { keccak = "uri" }
upstream = { list = [] }

[[rule]]
name = "sold"
emitter = "late"
authority = true
revenue = "recognise"
event = "ModelListed(uint256 indexed tokenId, address indexed maker, string uri)"
emit = "RevenueReceived"
[rule.fields]
payment = { native = "payment", key = "tokenId" }
key = { cast = "bytes32", of = "tokenId" }
subject = { version_of = { native = "agent", key = "tokenId" }, number = { const = 1 } }
payer = "maker"
token = { const = "0x0000000000000000000000000000000000000000" }
amount = { state = "count() returns (uint256)", of = { from = "emitter" } }
backing = { const = "asserted" }
"#;

/// One more read, which nobody made so far.
const STRICTER: &str = r#"
[[rule]]
name = "named"
emitter = "late"
event = "ModelListed(uint256 indexed tokenId, address indexed maker, string uri)"
emit = "MetadataUpdated"
[rule.fields]
entity = { native = "agent", key = "tokenId" }
uri = { state = "name() returns (string)", of = { from = "emitter" } }
hash = { keccak = "uri" }
"#;

struct World {
    _anvil: Anvil,
    _blobs: BlobServer,
    provider: DynProvider,
    people: Vec<Address>,
    late: LateRegistry::LateRegistryInstance<DynProvider>,
    suite: Suite,
    urls: (String, String),
}

impl World {
    async fn begin() -> Self {
        let genesis = GENESIS.to_string();
        let anvil =
            Anvil::start_l2(&["--slots-in-an-epoch", "32", "--timestamp", &genesis, "--order", "fifo"]).unwrap();
        let provider = anvil.provider();
        let people = provider.get_accounts().await.unwrap();
        let _answer: Value = provider.raw_request("anvil_setBlockTimestampInterval".into(), [2]).await.unwrap();
        let suite = Suite::deploy(&provider, people[0]).await.unwrap();
        let late = LateRegistry::deploy_builder(provider.clone()).from(people[0]).deploy_sync().await.unwrap();
        let late = LateRegistry::new(late, provider.clone());
        let blobs = BlobServer::start().await.unwrap();
        let urls = (anvil.ws_url().to_owned(), blobs.url());
        Self { _anvil: anvil, _blobs: blobs, provider, people, late, suite, urls }
    }

    /// A configuration by the rules of this version, and more.
    fn configured(&self, folder: &Path, version: u32, more: &str) -> PathBuf {
        let (l2, blobs) = &self.urls;
        let config = configure(folder, CHAIN_ID, l2, blobs, &self.suite, (GENESIS, 40)).unwrap();
        let file = folder.join("tokens.toml");
        std::fs::write(&file, RULES.replace("VERSION", &version.to_string()) + more).unwrap();
        let text = std::fs::read_to_string(&config).unwrap();
        let file = file.display().to_string();
        let late = self.late.address();
        let mapping = format!(
            "[mapping]\nfiles = [\"reference\", {file:?}]\nroles = [\"late={late}\"]\n[retention]\nraw_blocks = \"all\"\n"
        );
        std::fs::write(&config, text + &mapping).unwrap();
        config
    }

    async fn sell(&self, buyer: usize, uri: &str) {
        mined(self.late.mintAndSell(self.people[buyer], uri.to_owned()).from(self.people[0])).await.unwrap();
    }

    async fn head(&self) -> u64 {
        self.provider.get_block_number().await.unwrap()
    }

    async fn mine(&self, blocks: u64) {
        let _answer: Value = self.provider.raw_request("anvil_mine".into(), [format!("{blocks:#x}")]).await.unwrap();
    }
}

fn rows(config: &Path, query: &str) -> Vec<Value> {
    let rows = program::json(&["sql", "--json", "--config", &config.display().to_string(), query]);
    rows.as_array().unwrap().clone()
}

fn said(output: &std::process::Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

fn follow(config: &Path, last: u64) {
    let output = run(&["run", "--config", &config.display().to_string(), "--until-block", &last.to_string()]).unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_state_says_is_settled_and_settled_again_without_a_node() {
    let world = World::begin().await;
    let folder = tempfile::tempdir().unwrap();
    let config = world.configured(folder.path(), 1, "");
    let path = config.display().to_string();
    let follower = Follower::start(&config);
    world.sell(1, "ipfs://one").await;
    let kept = world.head().await;
    world.sell(2, "ipfs://two").await;
    follower.indexed(world.head().await).await;
    let depth = world.head().await - kept;
    let _answer: Value = world.provider.raw_request("anvil_reorg".into(), json!([depth, []])).await.unwrap();
    world.sell(3, "ipfs://two").await;
    let last = world.head().await + 40;
    world.mine(FINAL_AFTER + 42).await;
    follower.sealed(last).await;
    follower.kill();
    follow(&config, last);

    let owners: Vec<String> = rows(&config, "select payload from events where rule = 'listed' order by block_number")
        .iter()
        .map(|row| serde_json::from_str::<Value>(row["payload"].as_str().unwrap()).unwrap()["owner"].to_string())
        .collect();
    let expected = [1, 3].map(|buyer| format!("\"{:#x}\"", world.people[buyer]));
    assert_eq!(owners.iter().map(|owner| owner.to_lowercase()).collect::<Vec<_>>(), expected);
    let amounts = rows(&config, "select cast(amount as varchar) as amount from payments order by block_number");
    assert_eq!(amounts.iter().map(|row| row["amount"].as_str().unwrap()).collect::<Vec<_>>(), ["1", "2"]);

    // What was read of the block that is gone is gone with it.
    let query = "select s.block_number, s.outcome, s.agreeing, b.trust, b.hash = s.block_hash as same \
                 from state_reads s join blocks b on b.number = s.block_number order by s.block_number, s.ordinal";
    let reads = rows(&config, query);
    assert_eq!(reads.len(), 6, "{reads:?}");
    for read in &reads {
        assert_eq!((&read["agreeing"], &read["trust"], &read["same"]), (&json!(1), &json!("unverified"), &json!(true)));
    }
    let outcomes = reads.iter().filter(|read| read["outcome"] == "reverted").count();
    assert_eq!(outcomes, 2, "{reads:?}");
    let reverted = rows(&config, "select count(*) as n from blocks where trust = 'full'");
    assert!(reverted[0]["n"].as_u64().unwrap() > 40);
    let (before, settled) = heads(&path);
    assert!(settled["settled_epoch"].as_i64().is_some(), "{settled}");

    again_without_a_node(&world, &folder, last, &before);
}

/// Another set is built of what is kept, and comes to what it comes to with the node; one that reads more does not.
fn again_without_a_node(world: &World, folder: &tempfile::TempDir, last: u64, before: &str) {
    let fresh = tempfile::tempdir().unwrap();
    let straight = world.configured(fresh.path(), 2, "");
    follow(&straight, last);
    let wanted = heads(&straight.display().to_string());
    let config = world.configured(folder.path(), 2, "");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace(&world.urls.0, "http://127.0.0.1:9")).unwrap();
    let path = config.display().to_string();
    let built = run(&["generation", "build", "--config", &path]).unwrap();
    assert!(built.status.success(), "{}", said(&built));
    let got = heads(&path);
    assert_ne!(got.0, before);
    assert_eq!(got, wanted);

    let more = world.configured(folder.path(), 3, STRICTER).display().to_string();
    let checked = run(&[
        "mapping",
        "check",
        "reference",
        &folder.path().join("tokens.toml").display().to_string(),
        "--config",
        &more,
    ]);
    let checked = said(&checked.unwrap());
    assert!(checked.contains("archive endpoint") && checked.contains("named"), "{checked}");
    let refused = run(&["generation", "build", "--config", &more]).unwrap();
    // name()
    assert!(!refused.status.success() && said(&refused).contains("0x06fdde03"), "{}", said(&refused));
}
