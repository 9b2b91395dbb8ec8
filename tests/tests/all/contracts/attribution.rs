//! The hub: producers, batches in their order, challenges with bonds.

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::Provider;
use alloy::providers::ext::AnvilApi;
use alloy::sol_types::SolError;
use tributary_schemas::code::ChallengeOutcome;
use tributary_schemas::id::{EntityKind, version_id};
use tributary_tests::suite::AttributionHub;

use super::{World, key_of, refusal, said, sent};

/// Commits the producer's next batch, of three inferences; the answer is its entity id.
pub(super) async fn committed(world: &World, producer: Address) -> B256 {
    let (hub, admin) = (&world.suite.hub, world.suite.admin);
    let method = world.hub_id(EntityKind::Method, key_of(admin, 0));
    if !hub.isMethod(method).call().await.unwrap() {
        sent(hub.registerMethod(0, 1, B256::ZERO, "influence".to_owned()).from(admin)).await;
    }
    if !hub.isProducer(B256::ZERO, producer).call().await.unwrap() {
        sent(hub.setProducer(B256::ZERO, producer, true).from(admin)).await;
    }
    let seq = hub.nextSeq(producer).call().await.unwrap();
    let call =
        hub.commitBatch(method, seq, 3, 9, B256::repeat_byte(1), B256::repeat_byte(2), Bytes::from_static(b"ref"));
    let event: AttributionHub::AttributionBatchCommitted = said(&sent(call.from(producer)).await);
    let expected = AttributionHub::AttributionBatchCommitted {
        batchId: key_of(producer, seq),
        producer,
        methodId: method,
        seq,
        inferenceCount: 3,
        recordCount: 9,
        payloadHash: B256::repeat_byte(1),
        recordsRoot: B256::repeat_byte(2),
        blobRef: Bytes::from_static(b"ref"),
    };
    assert_eq!(event, expected);
    world.hub_id(EntityKind::Batch, event.batchId)
}

#[tokio::test]
async fn batches_come_in_the_order_of_seq() {
    let world = World::new().await;
    let (hub, producer) = (&world.suite.hub, world.people[0]);
    let first = committed(&world, producer).await;
    let method = world.hub_id(EntityKind::Method, key_of(world.suite.admin, 0));
    let commit = |method, seq, count| {
        hub.commitBatch(method, seq, count, 1, B256::ZERO, B256::ZERO, Bytes::new()).from(producer)
    };
    let cases = [
        ("again", refusal(commit(method, 0, 1)).await, AttributionHub::WrongSeq::SELECTOR),
        ("one left out", refusal(commit(method, 2, 1)).await, AttributionHub::WrongSeq::SELECTOR),
        ("no such method", refusal(commit(first, 1, 1)).await, AttributionHub::UnknownMethod::SELECTOR),
        ("no inference", refusal(commit(method, 1, 0)).await, AttributionHub::EmptyBatch::SELECTOR),
    ];
    for (name, got, expected) in cases {
        assert_eq!(got, expected, "{name}");
    }
    let second = committed(&world, producer).await;
    assert_ne!(first, second);
    // Each producer has a count of its own.
    committed(&world, world.people[1]).await;
}

#[tokio::test]
async fn a_producer_speaks_for_those_who_allow_it() {
    let world = World::new().await;
    let (hub, models, admin) = (&world.suite.hub, &world.suite.models, world.suite.admin);
    let (owner, producer) = (world.people[0], world.people[1]);
    sent(models.registerModel(0, B256::ZERO, String::new()).from(owner)).await;
    let subject = models.entityIdOf(U256::from(1)).call().await.unwrap();
    let record = |subject| hub.recordInference(subject, 1, owner, B256::ZERO, B256::ZERO, 10, 20).from(producer);
    let not_producer = AttributionHub::NotProducer::SELECTOR;

    assert_eq!(refusal(record(subject)).await, not_producer);
    assert_eq!(
        refusal(hub.setProducer(subject, producer, true).from(producer)).await,
        AttributionHub::NotEntityOwner::SELECTOR
    );
    assert_eq!(
        refusal(hub.setProducer(B256::ZERO, producer, true).from(owner)).await,
        AttributionHub::AccessControlUnauthorizedAccount::SELECTOR
    );
    let receipt = sent(hub.setProducer(subject, producer, true).from(owner)).await;
    let expected = AttributionHub::ProducerSet { scope: subject, producer, allowed: true };
    assert_eq!(said::<AttributionHub::ProducerSet>(&receipt), expected);

    let receipt = sent(record(subject)).await;
    let event: AttributionHub::InferenceRecorded = said(&receipt);
    assert_eq!((event.inferenceId, event.subjectVersionId), (key_of(producer, 0), version_id(subject, 1)));
    assert_eq!(refusal(record(B256::repeat_byte(1))).await, not_producer, "another subject");

    // Allowed twice and taken back once is taken back; hub-wide is a scope of its own.
    sent(hub.setProducer(subject, producer, true).from(owner)).await;
    assert_eq!(hub.scopesOf(producer).call().await.unwrap(), U256::from(1));
    sent(hub.setProducer(B256::ZERO, producer, true).from(admin)).await;
    sent(hub.setProducer(subject, producer, false).from(owner)).await;
    sent(record(subject)).await;
    sent(hub.setProducer(B256::ZERO, producer, false).from(admin)).await;
    assert_eq!(hub.scopesOf(producer).call().await.unwrap(), U256::ZERO);
    let commit = hub.commitBatch(B256::ZERO, 0, 1, 1, B256::ZERO, B256::ZERO, Bytes::new());
    assert_eq!(refusal(commit.from(producer)).await, not_producer);
}

#[tokio::test]
async fn a_challenge_has_a_bond_an_index_and_a_window() {
    let world = World::new().await;
    let (hub, challenger) = (&world.suite.hub, world.people[1]);
    let batch = committed(&world, world.people[0]).await;
    let bond = U256::from(1_000);
    let challenge = |batch, index, bond| hub.challengeBatch(batch, index).from(challenger).value(bond);
    let cases = [
        ("unknown", refusal(challenge(B256::ZERO, 0, bond)).await, AttributionHub::UnknownBatch::SELECTOR),
        ("past the last", refusal(challenge(batch, 3, bond)).await, AttributionHub::NoSuchInference::SELECTOR),
        ("cheap", refusal(challenge(batch, 0, U256::from(999))).await, AttributionHub::BondTooLow::SELECTOR),
    ];
    for (name, got, expected) in cases {
        assert_eq!(got, expected, "{name}");
    }
    let receipt = sent(challenge(batch, 2, bond)).await;
    let expected = AttributionHub::AttributionBatchChallenged {
        batchId: batch,
        challenger,
        inferenceIndex: 2,
        token: Address::ZERO,
        bond,
    };
    assert_eq!(said::<AttributionHub::AttributionBatchChallenged>(&receipt), expected);
    assert_eq!(refusal(challenge(batch, 0, bond)).await, AttributionHub::BadState::SELECTOR, "one at a time");

    let late = committed(&world, world.people[0]).await;
    world.provider.anvil_mine(Some(20), None).await.unwrap();
    // A call runs as if in the last block mined: the twentieth after the commit is in the window.
    assert!(challenge(late, 0, bond).call().await.is_ok());
    world.provider.anvil_mine(Some(1), None).await.unwrap();
    assert_eq!(refusal(challenge(late, 0, bond)).await, AttributionHub::WindowClosed::SELECTOR);
}

#[tokio::test]
async fn a_decision_says_whose_the_bond_is() {
    let world = World::new().await;
    let (hub, admin) = (&world.suite.hub, world.suite.admin);
    let (producer, challenger) = (world.people[0], world.people[1]);
    let bond = U256::from(4_000);
    let upheld = ChallengeOutcome::Upheld.number();
    let rejected = ChallengeOutcome::Rejected.number();
    let replaced = ChallengeOutcome::Replaced.number();
    let mut owed = [(challenger, U256::ZERO), (producer, U256::ZERO)];
    let replacement = committed(&world, producer).await;

    for (outcome, by, winner) in [(upheld, B256::ZERO, 0), (rejected, B256::ZERO, 1), (replaced, replacement, 0)] {
        let batch = committed(&world, producer).await;
        let decide = |outcome, by| hub.resolveBatch(batch, outcome, by).from(admin);
        assert_eq!(refusal(decide(outcome, by)).await, AttributionHub::BadState::SELECTOR, "nothing to decide");
        sent(hub.challengeBatch(batch, 0).from(challenger).value(bond)).await;
        let bad = AttributionHub::BadOutcome::SELECTOR;
        assert_eq!(refusal(decide(3, B256::ZERO)).await, bad);
        assert_eq!(refusal(decide(upheld, replacement)).await, bad);
        assert_eq!(refusal(decide(replaced, B256::ZERO)).await, bad);
        assert_eq!(refusal(decide(replaced, batch)).await, bad);
        assert_eq!(refusal(decide(replaced, B256::repeat_byte(9))).await, AttributionHub::UnknownBatch::SELECTOR);

        let receipt = sent(decide(outcome, by)).await;
        let expected = AttributionHub::AttributionBatchResolved { batchId: batch, outcome, replacementBatchId: by };
        assert_eq!(said::<AttributionHub::AttributionBatchResolved>(&receipt), expected);
        owed[winner].1 += bond;
        for (who, amount) in owed {
            assert_eq!(hub.bondsOwed(who).call().await.unwrap(), amount);
        }
        // A batch that stands can be doubted again, one that fell cannot.
        let again = hub.challengeBatch(batch, 0).from(challenger).value(bond);
        if outcome == rejected {
            assert!(again.call().await.is_ok());
        } else {
            assert_eq!(refusal(again).await, AttributionHub::BadState::SELECTOR);
        }
    }
    for (who, _) in owed {
        sent(hub.withdrawBond().from(who)).await;
        assert_eq!(refusal(hub.withdrawBond().from(who)).await, AttributionHub::NoBond::SELECTOR);
    }
    assert_eq!(world.provider.get_balance(*hub.address()).await.unwrap(), U256::ZERO);
}
