//! The events: the shapes that were agreed, and every one of them emitted.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::providers::Provider;
use alloy::rpc::types::Filter;
use alloy::sol_types::SolEvent;
use serde_json::Value;
use tributary_schemas::id::EntityKind;
use tributary_tests::generated;
use tributary_tests::suite::{HostileEmitter, RewardVault};

use super::{NATIVE, Tree, World, key_of, sent};

const CONTRACTS: [&str; 5] = ["DatanetRegistry", "ModelRegistry", "AgentRegistry", "AttributionHub", "RewardVault"];

/// What the suite says beyond the reference events: what the rulings ask for, ERC-8004's announcement, and what
/// OpenZeppelin's parts say of themselves.
const BEYOND: [(&str, &str); 16] = [
    ("DatanetRegistry", "DatanetOwnershipTransferred(uint256,address,address)"),
    ("ModelRegistry", "ModelOwnershipTransferred(uint256,address,address)"),
    ("AgentRegistry", "Registered(uint256,string,address)"),
    ("AgentRegistry", "VersionDeprecated(bytes32,bytes32)"),
    ("AgentRegistry", "Transfer(address,address,uint256)"),
    ("AgentRegistry", "Approval(address,address,uint256)"),
    ("AgentRegistry", "ApprovalForAll(address,address,bool)"),
    ("AttributionHub", "RoleGranted(bytes32,address,address)"),
    ("AttributionHub", "RoleRevoked(bytes32,address,address)"),
    ("AttributionHub", "RoleAdminChanged(bytes32,bytes32,bytes32)"),
    ("RewardVault", "AccountQuarantined(address,bool,bytes32)"),
    ("RewardVault", "SuspenseReleased(bytes32,bytes32,uint8)"),
    ("RewardVault", "EntityPayoutSet(bytes32,address)"),
    ("RewardVault", "RoleGranted(bytes32,address,address)"),
    ("RewardVault", "RoleRevoked(bytes32,address,address)"),
    ("RewardVault", "RoleAdminChanged(bytes32,bytes32,bytes32)"),
];

fn artifact(contract: &str) -> Value {
    let path = generated::root().join(format!("schemas/contracts/artifacts/{contract}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// An event's parameters as (name, type, indexed).
type Shape = Vec<(String, String, bool)>;

fn shape(event: &Value) -> Shape {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let inputs = event["inputs"].as_array().unwrap().iter();
    inputs.map(|one| (text(&one["name"]), text(&one["type"]), one["indexed"].as_bool().unwrap())).collect()
}

fn signature(name: &str, shape: &[(String, String, bool)]) -> String {
    let types: Vec<&str> = shape.iter().map(|(_, kind, _)| kind.as_str()).collect();
    format!("{name}({})", types.join(","))
}

/// Every event of the suite by contract and signature.
fn suite_events() -> BTreeMap<(String, String), Shape> {
    let mut all = BTreeMap::new();
    for contract in CONTRACTS {
        let artifact = artifact(contract);
        for event in artifact["abi"].as_array().unwrap().iter().filter(|item| item["type"] == "event") {
            let shape = shape(event);
            all.insert((contract.to_owned(), signature(event["name"].as_str().unwrap(), &shape)), shape);
        }
    }
    all
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped check says so")]
fn events_are_the_reference_events_and_no_others() {
    let ours = suite_events();
    let beyond: BTreeSet<(String, String)> =
        BEYOND.iter().map(|(contract, signature)| ((*contract).to_owned(), (*signature).to_owned())).collect();
    for one in &beyond {
        assert!(ours.contains_key(one), "{one:?} is not in the artifacts");
    }
    let path = generated::root().join("../shared/data/reference_events.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("skipped: ../shared/data/reference_events.json is not here");
        return;
    };
    let reference: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut named = beyond;
    for event in &reference {
        let shape = shape(event);
        let signature = signature(event["event"].as_str().unwrap(), &shape);
        assert_eq!(event["topic0"].as_str().unwrap().parse::<B256>().unwrap(), keccak256(&signature));
        let key = (event["contract"].as_str().unwrap().to_owned(), signature);
        assert_eq!(ours.get(&key), Some(&shape), "{key:?}");
        named.insert(key);
    }
    assert_eq!(ours.keys().cloned().collect::<BTreeSet<_>>(), named);
}

/// Calls every function that says something, in an order that makes sense.
async fn say_everything(world: &World) {
    let (suite, admin, owner, other) = (&world.suite, world.suite.admin, world.people[0], world.people[1]);
    let (zero, one, none) = (B256::ZERO, U256::from(1), String::new);
    let d = &suite.datanets;
    sent(d.createDatanet(0, zero, zero, none()).from(owner)).await;
    sent(d.setMetadata(one, zero, none()).from(owner)).await;
    sent(d.setRole(one, owner, 0, true).from(owner)).await;
    sent(d.setAccess(one, other, 0, 1, zero).from(owner)).await;
    sent(d.submit(one, zero, 1, 1, zero, Bytes::new()).from(owner)).await;
    let key = key_of(owner, 0);
    let address = *d.address();
    let c = tributary_schemas::id::entity_id(EntityKind::Contribution, super::CHAIN, address, key.as_slice());
    sent(d.review(c, 0, 1, zero).from(owner)).await;
    sent(d.publishVersion(one, zero, 1, 0, 1, zero, Bytes::new()).from(owner)).await;
    sent(d.withdraw(c, 0, zero).from(owner)).await;
    sent(d.transferOwnership(one, other).from(owner)).await;

    let m = &suite.models;
    sent(m.registerModel(0, zero, none()).from(owner)).await;
    sent(m.publishVersion(one, zero, zero, zero, vec![zero], vec![0], vec![1]).from(owner)).await;
    sent(m.assertLineage(one, 1, zero, 2, u32::MAX).from(owner)).await;
    sent(m.retractLineage(one, 1, zero, 2).from(owner)).await;
    sent(m.deprecateVersion(one, 1, zero).from(owner)).await;
    sent(m.transferOwnership(one, other).from(owner)).await;

    let a = &suite.agents;
    sent(a.register(none()).from(owner)).await;
    sent(a.publishVersion(one, zero, vec![zero], vec![7], vec![1]).from(owner)).await;
    sent(a.deprecateVersion(one, 1, zero).from(owner)).await;

    let batch = super::attribution::committed(world, admin).await;
    let h = &suite.hub;
    sent(h.recordInference(zero, 1, owner, zero, zero, 1, 1).from(admin)).await;
    sent(h.challengeBatch(batch, 0).from(other).value(U256::from(1_000))).await;
    sent(h.resolveBatch(batch, 1, zero).from(admin)).await;
    say_everything_about_money(world).await;
}

async fn say_everything_about_money(world: &World) {
    let (v, admin, owner) = (&world.suite.vault, world.suite.admin, world.people[0]);
    let (zero, one) = (B256::ZERO, U256::from(1));
    let payment = world.pay(owner, 100).await;
    sent(v.refund(payment, one).from(admin).value(one)).await;
    sent(v.fundPool(zero, 0, NATIVE, one).from(owner).value(one)).await;
    sent(v.setPolicy(zero, Bytes::from_static(b"{}")).from(admin)).await;
    let agent = world.suite.agents.entityIdOf(one).call().await.unwrap();
    sent(v.setSplit(agent, vec![owner], vec![1_000_000_000]).from(owner)).await;
    sent(v.setPayout(owner).from(owner)).await;
    sent(v.setEntityPayout(agent, owner).from(owner)).await;
    sent(v.stake(zero, one).from(owner).value(one)).await;
    sent(v.slash(zero, owner, agent, one, 1).from(admin)).await;
    sent(v.setPenaltyScore(owner, zero, 5, zero).from(admin)).await;
    sent(v.setQuarantine(owner, true, zero).from(admin)).await;
    sent(v.releaseSuspense(zero, zero, 1).from(admin)).await;
    let tree = Tree::new(&[(Address::repeat_byte(1), NATIVE, 50)]);
    world.publish(0, &tree).await;
    sent(v.claim(Address::repeat_byte(1), NATIVE, U256::from(50), tree.proof(0)).from(owner)).await;
}

#[tokio::test]
async fn every_event_is_emitted_by_its_contract() {
    let world = World::new().await;
    say_everything(&world).await;
    let suite = &world.suite;
    let by_name = [
        *suite.datanets.address(),
        *suite.models.address(),
        *suite.agents.address(),
        *suite.hub.address(),
        *suite.vault.address(),
    ];
    let logs = world.provider.get_logs(&Filter::new().from_block(suite.first_block)).await.unwrap();
    let seen: BTreeSet<(Address, B256)> = logs.iter().map(|log| (log.address(), *log.topic0().unwrap())).collect();
    // OpenZeppelin's own, which nothing here needs to happen.
    let silent = ["RoleRevoked", "RoleAdminChanged", "Approval"];
    for (contract, signature) in suite_events().keys() {
        let emitter = by_name[CONTRACTS.iter().position(|one| one == contract).unwrap()];
        let expected = !silent.iter().any(|one| signature.starts_with(one));
        assert_eq!(seen.contains(&(emitter, keccak256(signature))), expected, "{contract} {signature}");
    }
}

#[tokio::test]
async fn a_liar_can_say_anything_in_its_own_name() {
    let world = World::new().await;
    let liar = world.people[8];
    let address = HostileEmitter::deploy_builder(world.provider.clone()).from(liar).deploy_sync().await.unwrap();
    let emitter = HostileEmitter::new(address, world.provider.clone());
    let lie = RewardVault::RevenueReceived {
        paymentId: B256::repeat_byte(1),
        subjectVersionId: B256::repeat_byte(2),
        payer: liar,
        token: NATIVE,
        amount: U256::from(1_000_000),
        r#ref: B256::ZERO,
    };
    let log = lie.encode_log_data();
    let receipt = sent(emitter.shout(log.topics().to_vec(), log.data.clone()).from(liar)).await;
    assert_eq!(super::said::<RewardVault::RevenueReceived>(&receipt), lie);
    assert_eq!(receipt.logs()[0].address(), address);
    for topics in 0..=4 {
        let receipt = sent(emitter.shout(vec![B256::ZERO; topics], Bytes::new()).from(liar)).await;
        assert_eq!(receipt.logs()[0].topics().len(), topics);
    }
}
