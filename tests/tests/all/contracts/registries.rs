//! The registries: ids as the indexer derives them, states, versions, and the announcement of agents.

use alloy::primitives::{Address, B256, Bytes, U256, b256};
use alloy::sol_types::{SolError, SolEvent};
use tributary_schemas::code::{Decision, RemovalCause, Role, Visibility};
use tributary_schemas::id::{EntityKind, entity_id, version_id};
use tributary_tests::suite::{AgentRegistry, DatanetRegistry, ModelRegistry};

use super::{CHAIN, World, refusal, said, sent};

#[tokio::test]
async fn ids_are_those_the_indexer_derives() {
    let world = World::new().await;
    let (suite, owner) = (&world.suite, world.people[0]);
    sent(suite.datanets.createDatanet(0, B256::ZERO, B256::ZERO, String::new()).from(owner)).await;
    sent(suite.models.registerModel(0, B256::ZERO, String::new()).from(owner)).await;
    sent(suite.agents.register("ipfs://agent".to_owned()).from(owner)).await;
    let (one, key) = (U256::from(1), B256::with_last_byte(1));
    let seen = [
        (EntityKind::Dataset, *suite.datanets.address(), suite.datanets.entityIdOf(one).call().await.unwrap()),
        (EntityKind::Model, *suite.models.address(), suite.models.entityIdOf(one).call().await.unwrap()),
        (EntityKind::Agent, *suite.agents.address(), suite.agents.entityIdOf(one).call().await.unwrap()),
    ];
    for (kind, registry, id) in seen {
        assert_eq!(id, entity_id(kind, CHAIN, registry, key.as_slice()), "{kind}");
        assert_eq!(suite.hub.ownerOfEntity(id).call().await.unwrap(), owner);
        assert_eq!(suite.vault.ownerOfEntity(id).call().await.unwrap(), owner);
    }
    assert_eq!(suite.models.versionIdOf(one, 3).call().await.unwrap(), version_id(seen[1].2, 3));
    assert_eq!(suite.agents.versionIdOf(one, 3).call().await.unwrap(), version_id(seen[2].2, 3));
    assert_eq!(suite.vault.ownerOfEntity(B256::ZERO).call().await.unwrap(), Address::ZERO);
    assert_eq!(suite.vault.ownerOfEntity(B256::repeat_byte(1)).call().await.unwrap(), Address::ZERO);
}

/// A permissioned datanet of person 0 with person 1 as validator, 2 as curator, 3 as contributor.
async fn datanet(world: &World) -> U256 {
    let (datanets, owner) = (&world.suite.datanets, world.people[0]);
    let visibility = Visibility::Permissioned.number();
    sent(datanets.createDatanet(visibility, B256::ZERO, B256::ZERO, String::new()).from(owner)).await;
    let id = U256::from(1);
    for (person, role) in [(1, Role::Validator), (2, Role::Curator), (3, Role::Contributor)] {
        sent(datanets.setRole(id, world.people[person], role.number(), true).from(owner)).await;
    }
    id
}

/// Submits as person 3; the answer is the contribution's entity id.
async fn contribution(world: &World, datanet: U256) -> B256 {
    let call = world.suite.datanets.submit(datanet, B256::repeat_byte(1), 10, 100, B256::ZERO, Bytes::new());
    let event: DatanetRegistry::ContributionSubmitted = said(&sent(call.from(world.people[3])).await);
    entity_id(EntityKind::Contribution, CHAIN, *world.suite.datanets.address(), event.contributionId.as_slice())
}

#[tokio::test]
async fn a_contribution_goes_through_its_states() {
    let world = World::new().await;
    let datanets = &world.suite.datanets;
    let id = datanet(&world).await;
    let (owner, validator, contributor) = (world.people[0], world.people[1], world.people[3]);
    let bad_state = DatanetRegistry::BadState::SELECTOR;
    let review = |c, decision: u8| datanets.review(c, decision, -5, B256::ZERO).from(validator);

    let first = contribution(&world, id).await;
    let flagged = sent(review(first, Decision::Flag.number())).await;
    let expected = DatanetRegistry::ContributionReviewed {
        contributionId: first,
        reviewer: validator,
        decision: Decision::Flag.number(),
        qualityScore: -5,
        reason: B256::ZERO,
    };
    assert_eq!(said::<DatanetRegistry::ContributionReviewed>(&flagged), expected);
    assert_eq!(refusal(review(first, 3)).await, DatanetRegistry::BadCode::SELECTOR);
    sent(review(first, Decision::Approve.number())).await;
    assert_eq!(refusal(review(first, Decision::Reject.number())).await, bad_state);

    let second = contribution(&world, id).await;
    assert_ne!(first, second);
    sent(review(second, Decision::Reject.number())).await;
    assert_eq!(refusal(review(second, Decision::Approve.number())).await, bad_state);

    sent(datanets.withdraw(first, RemovalCause::Withdrawn.number(), B256::ZERO).from(contributor)).await;
    let again = datanets.withdraw(first, RemovalCause::Revoked.number(), B256::ZERO).from(owner);
    assert_eq!(refusal(again).await, bad_state);
    let unknown = datanets.withdraw(B256::ZERO, 0, B256::ZERO).from(owner);
    assert_eq!(refusal(unknown).await, DatanetRegistry::UnknownContribution::SELECTOR);
    let nowhere = datanets.submit(U256::from(9), B256::ZERO, 1, 1, B256::ZERO, Bytes::new()).from(owner);
    assert_eq!(refusal(nowhere).await, DatanetRegistry::UnknownDatanet::SELECTOR);
}

#[tokio::test]
async fn versions_count_from_one() {
    let world = World::new().await;
    let (suite, owner, curator) = (&world.suite, world.people[0], world.people[2]);
    let id = datanet(&world).await;
    for version in 1..=3 {
        let root = B256::with_last_byte(version);
        let call = suite.datanets.publishVersion(id, root, 2, 1, 30, B256::ZERO, Bytes::from_static(b"m"));
        let event: DatanetRegistry::DatanetVersionPublished = said(&sent(call.from(curator)).await);
        assert_eq!((event.version, event.manifestRoot), (u32::from(version), root));
    }
    sent(suite.models.registerModel(0, B256::ZERO, String::new()).from(owner)).await;
    let publish = |upstream: usize, relations: usize, shares: Vec<u32>| {
        let upstream = vec![B256::repeat_byte(1); upstream];
        let none = B256::ZERO;
        suite.models.publishVersion(U256::from(1), none, none, none, upstream, vec![0; relations], shares).from(owner)
    };
    // 0xffffffff is a share that is not given, so it adds nothing.
    let whole = publish(3, 3, vec![400_000_000, 600_000_000, u32::MAX]);
    let event: ModelRegistry::ModelVersionPublished = said(&sent(whole).await);
    assert_eq!(event.version, 1);
    let too_much = publish(2, 2, vec![400_000_000, 600_000_001]);
    assert_eq!(refusal(too_much).await, ModelRegistry::ShareSumExceeded::SELECTOR);
    for (relations, shares) in [(1, 2), (2, 1)] {
        let uneven = publish(2, relations, vec![0; shares]);
        assert_eq!(refusal(uneven).await, ModelRegistry::BadUpstreams::SELECTOR);
    }
    assert_eq!(refusal(publish(257, 257, vec![0; 257])).await, ModelRegistry::BadUpstreams::SELECTOR);
    for version in [0, 2] {
        let call = suite.models.assertLineage(U256::from(1), version, B256::ZERO, 2, 0).from(owner);
        assert_eq!(refusal(call).await, ModelRegistry::UnknownVersion::SELECTOR);
    }
}

#[tokio::test]
async fn an_agent_is_minted_and_then_announced() {
    let world = World::new().await;
    let (agents, owner, buyer) = (&world.suite.agents, world.people[0], world.people[1]);
    let receipt = sent(agents.register("ipfs://agent".to_owned()).from(owner)).await;
    let topics: Vec<B256> = receipt.logs().iter().map(|log| *log.topic0().unwrap()).collect();
    assert_eq!(topics, [AgentRegistry::Transfer::SIGNATURE_HASH, AgentRegistry::Registered::SIGNATURE_HASH]);
    // The topic that ERC-8004's own registry emits.
    assert_eq!(topics[1], b256!("ca52e62c367d81bb2e328eb795f7c7ba24afb478408a26c0e201d155c449bc4a"));
    let event: AgentRegistry::Registered = said(&receipt);
    assert_eq!((event.agentId, event.agentURI.as_str(), event.owner), (U256::from(1), "ipfs://agent", owner));
    assert_eq!(agents.tokenURI(U256::from(1)).call().await.unwrap(), "ipfs://agent");

    sent(agents.transferFrom(owner, buyer, U256::from(1)).from(owner)).await;
    let publish = |who| agents.publishVersion(U256::from(1), B256::ZERO, vec![], vec![], vec![]).from(who);
    assert_eq!(refusal(publish(owner)).await, AgentRegistry::NotOwner::SELECTOR);
    sent(publish(buyer)).await;
}
