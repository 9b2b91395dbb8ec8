//! State reads, on Anvil, up to a settled epoch: the event of an ERC-721 registry names who made a token, and only the
//! state says whose it is. `LateRegistry` of `schemas/contracts/test-src/Foreign.sol`.

use alloy::providers::DynProvider;
use alloy::rpc::types::TransactionReceipt;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tributary_tests::chain::Chain;
use tributary_tests::follower::{Follower, reconfigure};
use tributary_tests::program::{self, follow, rows, run, said};
use tributary_tests::pruned::Pruned;
use tributary_tests::suite::{LateRegistry, mined};

use crate::generations::heads;

/// A node that is not there.
const NOBODY: &str = "http://127.0.0.1:9";

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
    chain: Chain,
    late: LateRegistry::LateRegistryInstance<DynProvider>,
}

impl World {
    async fn begin() -> Self {
        let chain = Chain::begin().await;
        let provider = chain.provider.clone();
        let late = LateRegistry::deploy_builder(provider.clone()).from(chain.people[0]).deploy_sync().await.unwrap();
        Self { chain, late: LateRegistry::new(late, provider) }
    }

    /// A configuration by the rules of this version, and more, with this node.
    fn configured(&self, folder: &Path, node: &str, version: u32, more: &str) -> PathBuf {
        let file = rules(folder);
        std::fs::write(&file, RULES.replace("VERSION", &version.to_string()) + more).unwrap();
        let late = self.late.address();
        let more = format!(
            "[mapping]\nfiles = [\"reference\", {file:?}]\nroles = [\"late={late}\"]\n[retention]\nraw_blocks = \"all\"\n"
        );
        self.chain.configure(folder, node, 40, &more)
    }

    /// As that, with Anvil.
    fn by_anvil(&self, folder: &Path, version: u32, more: &str) -> PathBuf {
        self.configured(folder, self.chain.anvil.ws_url(), version, more)
    }

    async fn sell(&self, buyer: usize, uri: &str) -> TransactionReceipt {
        let people = &self.chain.people;
        mined(self.late.mintAndSell(people[buyer], uri.to_owned()).from(people[0])).await.unwrap()
    }

    /// Mines until it and 40 blocks after it are final; the last of these.
    async fn settle(&self) -> u64 {
        let last = self.chain.head().await + 40;
        self.chain.mine(Chain::FINAL_AFTER + 42).await;
        last
    }
}

/// Where the rules are.
fn rules(folder: &Path) -> PathBuf {
    folder.join("tokens.toml")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_state_says_is_settled_and_settled_again_without_a_node() {
    let world = World::begin().await;
    let folder = tempfile::tempdir().unwrap();
    let config = world.by_anvil(folder.path(), 1, "");
    let path = config.display().to_string();
    let follower = Follower::start(&config);
    world.sell(1, "ipfs://one").await;
    let kept = world.chain.head().await;
    world.sell(2, "ipfs://two").await;
    follower.indexed(world.chain.head().await).await;
    world.chain.reorg(kept).await;
    world.sell(3, "ipfs://two").await;
    let last = world.settle().await;
    follower.sealed(last).await;
    follower.kill();
    follow(&config, last);

    let owners: Vec<String> = rows(&config, "select payload from events where rule = 'listed' order by block_number")
        .iter()
        .map(|row| serde_json::from_str::<Value>(row["payload"].as_str().unwrap()).unwrap()["owner"].to_string())
        .collect();
    let expected = [1, 3].map(|buyer| format!("\"{:#x}\"", world.chain.people[buyer]));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_rules_before_read_is_not_asked_again_though_the_blocks_lack_it() {
    let world = World::begin().await;
    let folder = tempfile::tempdir().unwrap();
    // Those who keep the blocks ask nothing; those who ask read them, and keep none.
    let config = world.by_anvil(folder.path(), 0, "");
    reconfigure(&config, "[mapping]\nfiles = [\"reference\"]\n").unwrap();
    world.sell(1, "ipfs://one").await;
    world.sell(2, "ipfs://two").await;
    let last = world.settle().await;
    follow(&config, last);
    assert_eq!(rows(&config, "select count(*) as n from state_reads")[0]["n"], 0);
    let config = world.by_anvil(folder.path(), 1, "");
    follow(&config, last);
    assert_eq!(rows(&config, "select count(*) as n from state_reads")[0]["n"], 6);
    let (before, _) = heads(&config.display().to_string());

    again_without_a_node(&world, &folder, last, &before);
}

/// Another set is built of what is kept, and comes to what it comes to with the node; one that reads more does not.
fn again_without_a_node(world: &World, folder: &tempfile::TempDir, last: u64, before: &str) {
    let fresh = tempfile::tempdir().unwrap();
    let straight = world.by_anvil(fresh.path(), 2, "");
    follow(&straight, last);
    let wanted = heads(&straight.display().to_string());
    let config = world.configured(folder.path(), NOBODY, 2, "");
    let path = config.display().to_string();
    let built = run(&["generation", "build", "--config", &path]).unwrap();
    assert!(built.status.success(), "{}", said(&built));
    let got = heads(&path);
    assert_ne!(got.0, before);
    assert_eq!(got, wanted);

    let more = world.by_anvil(folder.path(), 3, STRICTER).display().to_string();
    let file = rules(folder.path()).display().to_string();
    let checked = said(&run(&["mapping", "check", "reference", &file, "--config", &more]).unwrap());
    assert!(checked.contains("archive endpoint") && checked.contains("named"), "{checked}");
    let refused = run(&["generation", "build", "--config", &more]).unwrap();
    let refused = (refused.status.success(), said(&refused));
    // name(), and neither ownerOf(uint256) nor count(), which were asked before.
    assert!(!refused.0 && refused.1.contains("0x06fdde03"), "{}", refused.1);
    assert!(!refused.1.contains("0x6352211e") && !refused.1.contains("0x06661abd"), "{}", refused.1);
}

/// What the doctor finds of the state that the rules read.
fn examined(config: &Path) -> Value {
    let output = run(&["doctor", "--json", "--config", &config.display().to_string()]).unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|one| one["check"].as_str().unwrap().starts_with("state of block"));
    found.unwrap_or_else(|| panic!("{report:#}")).clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_no_node_has_is_waited_for_by_name() {
    let world = World::begin().await;
    let folder = tempfile::tempdir().unwrap();
    let node = Pruned::start(world.chain.anvil.http_url()).await.unwrap();
    let config = world.configured(folder.path(), &node.url(), 1, "");
    let finding = examined(&config);
    assert_eq!(finding["outcome"], "failed", "{finding:#}");
    for (key, words) in [("check", "listed, sold"), ("seen", "missing trie node"), ("mend", "archive endpoint")] {
        assert!(finding[key].as_str().unwrap().contains(words), "{key}: expected {words:?}: {finding:#}");
    }

    world.sell(1, "ipfs://one").await;
    let sold = world.chain.head().await;
    let follower = Follower::start(&config);
    // Everything before the sale, and no more: what the block, the contract and the call are, and what the node says.
    let (block, late) = (format!("block {sold} "), format!("{:#x}", world.late.address()));
    let waiting = follower.waits("eth_call").await;
    for words in [&*block, &late, "missing trie node", "needs an endpoint with the state"] {
        assert!(waiting.contains(words), "expected {words:?}: {waiting}");
    }
    // Of the two that are asked at once, ownerOf(uint256) and count(), one is named.
    let is_named = |said: &str| ["0x6352211e", "0x06661abd"].iter().any(|selector| said.contains(selector));
    assert!(is_named(&waiting), "{waiting}");
    let status = program::json(&["status", "--json", "--config", &config.display().to_string()]);
    let status = &status["follower"];
    assert!(is_named(&status["waiting"].to_string()), "{status:#}");
    assert!(status["indexed"]["number"].as_u64().is_none_or(|indexed| indexed < sold), "{status:#}");

    node.set(false);
    follower.indexed(sold).await;
    let last = world.settle().await;
    follower.sealed(last).await;
    let status = program::json(&["status", "--json", "--config", &config.display().to_string()]);
    assert!(!status["follower"]["waiting"].to_string().contains("eth_call"), "{status:#}");
    let owner = rows(&config, "select payload from events where rule = 'listed'");
    let owner = serde_json::from_str::<Value>(owner[0]["payload"].as_str().unwrap()).unwrap()["owner"].to_string();
    assert_eq!(owner.to_lowercase(), format!("\"{:#x}\"", world.chain.people[1]));
    assert_eq!(examined(&config)["outcome"], "ok");
}

/// What a trial says of a rule: its one fact, or why there is none.
fn of_rule<'a>(told: &'a Value, rule: &str) -> &'a Value {
    let traces = told["traces"].as_array().unwrap();
    traces.iter().find(|trace| trace["rule"] == rule).unwrap_or_else(|| panic!("{told:#}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_that_read_state_are_tried_on_a_transaction_and_on_a_file() {
    let world = World::begin().await;
    let folder = tempfile::tempdir().unwrap();
    let receipt = world.sell(2, "ipfs://one").await;
    // The state of later blocks is another.
    world.sell(3, "ipfs://two").await;
    let config = world.by_anvil(folder.path(), 1, "").display().to_string();
    let (file, hash) = (rules(folder.path()).display().to_string(), receipt.transaction_hash.to_string());
    let by_node = program::json(&["mapping", "test", &file, "--tx", &hash, "--json", "--config", &config]);
    let owner = format!("{:#x}", world.chain.people[2]);
    let facts = &of_rule(&by_node, "listed")["facts"];
    assert_eq!(facts[0][1]["owner"].as_str().unwrap().to_lowercase(), owner, "{by_node:#}");
    assert_eq!(of_rule(&by_node, "sold")["facts"][0][1]["amount"], "1", "{by_node:#}");
    let reads = by_node["state_reads"].as_array().unwrap();
    let outcomes: Vec<_> = reads.iter().map(|read| (read["outcome"].as_str().unwrap(), &read["agreeing"])).collect();
    assert_eq!(outcomes.len(), 3, "{reads:#?}");
    assert!(outcomes.iter().all(|(_, agreeing)| **agreeing == json!(1)), "{reads:#?}");
    assert_eq!(outcomes.iter().filter(|(outcome, _)| *outcome == "reverted").count(), 1, "{reads:#?}");

    // The same from a file, with nobody to ask.
    let nobody = world.configured(folder.path(), NOBODY, 1, "").display().to_string();
    let mut fixture = serde_json::to_value(&receipt).unwrap();
    let answer = |read: &Value| if read["outcome"] == "returned" { read["answer"].clone() } else { Value::Null };
    let state = reads.iter().map(|read| json!({ "to": read["to"], "data": read["data"], "answer": answer(read) }));
    fixture["state"] = state.collect();
    let path = folder.path().join("sale.json").display().to_string();
    let tried = |fixture: &Value| {
        std::fs::write(&path, fixture.to_string()).unwrap();
        program::json(&["mapping", "test", &file, "--fixture", &path, "--json", "--config", &nobody])
    };
    let by_file = tried(&fixture);
    assert_eq!(by_file["unread_state"], json!([]), "{by_file:#}");
    for rule in ["listed", "sold"] {
        assert_eq!(of_rule(&by_file, rule)["facts"], of_rule(&by_node, rule)["facts"], "{by_file:#}");
    }
    // What the file lacks is named.
    let lacking = fixture["state"].as_array_mut().unwrap().remove(0);
    let told = tried(&fixture);
    assert_eq!(told["unread_state"], json!([{ "to": lacking["to"], "data": lacking["data"] }]), "{told:#}");
}
