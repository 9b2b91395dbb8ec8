//! One world, one line per fact: what is said, and what becomes of it.

use alloy_primitives::{Address, B256, Bytes, keccak256};
use std::collections::BTreeSet;
use tributary_schemas::code::{
    AccessScope, Backing, ChallengeOutcome, Decision, ModelKind, Relation, RemovalCause, ValueKind, Verifiability,
    Visibility,
};
use tributary_schemas::event::{SplitPart, Upstream};
use tributary_schemas::id::{
    AgentId, BatchId, ContributionId, DatasetId, EntityId, InferenceId, MethodId, ModelId, PaymentId, VersionId,
    version_id,
};
use tributary_schemas::policy::Policy;
use tributary_schemas::{Amount, BlockRef, Payload, Position};

use super::{Chronology, Folded, fold_block};
use crate::decode::Decoded;
use crate::state::{MemoryState, StateView};
use crate::{Contracts, Mapping};

const REGISTRY: Address = Address::repeat_byte(0xa1);
const HUB: Address = Address::repeat_byte(0xa2);
const VAULT: Address = Address::repeat_byte(0xa3);
const STRANGER: Address = Address::repeat_byte(0xff);
const OWNER: Address = Address::repeat_byte(0x01);
const OTHER: Address = Address::repeat_byte(0x02);
const PRODUCER: Address = Address::repeat_byte(0x03);

fn key(n: u8) -> B256 {
    B256::with_last_byte(n)
}
fn dataset(n: u8) -> DatasetId {
    DatasetId::native(1, REGISTRY, key(n))
}
fn model(n: u8) -> ModelId {
    ModelId::native(1, REGISTRY, key(n))
}
fn agent(n: u8) -> AgentId {
    AgentId::native(1, REGISTRY, key(n))
}
fn contribution(n: u8) -> ContributionId {
    ContributionId::native(1, REGISTRY, key(n))
}
fn method(n: u8) -> MethodId {
    MethodId::native(1, HUB, key(n))
}
fn batch(n: u8) -> BatchId {
    BatchId::native(1, HUB, key(n))
}
fn payment(n: u8) -> PaymentId {
    PaymentId::native(1, VAULT, key(n))
}

fn amount(units: u128) -> Amount {
    Amount::new(units).unwrap()
}

/// A state that facts are told to, one block each.
mod twice;

#[derive(Default)]
struct World {
    state: MemoryState,
    number: u64,
    /// The rules that facts are of; one that knows nothing again when there are none.
    rules: Option<Mapping>,
}

impl World {
    /// Tells a block of facts, all of one transaction, and what became of each.
    fn tell(&mut self, facts: Vec<(Address, Payload)>) -> Folded {
        self.number += 1;
        let block = BlockRef { number: self.number, timestamp: self.number * 10, ..BlockRef::default() };
        let decoded = (0_u32..).zip(facts).map(|(log_index, (emitter, payload))| Decoded {
            position: Position { block_number: block.number, tx_index: 0, log_index, sub_index: 0 },
            emitter,
            rule: "test".into(),
            payload,
            refused: None,
        });
        let decoded: Vec<Decoded> = decoded.collect();
        let none = || Mapping::parse("t", "name = \"t\"\nversion = 1\nrule = []", 1, &Contracts::default()).unwrap();
        let mapping = self.rules.clone().unwrap_or_else(none);
        let chronology = Chronology { chain_id: 1, epoch_origin: 0, epoch_seconds: 100 };
        let mut view = StateView::new(&self.state);
        let folded = fold_block(&mut view, &chronology, &mapping, &block, &[], decoded).unwrap();
        let writes = view.take_writes();
        let valid = folded.events.iter().any(|one| one.event.is_valid());
        assert!(valid || (writes.is_empty() && folded.rows.is_empty()), "a refused fact changed something");
        self.state.apply(writes);
        folded
    }

    /// Tells one fact: its reason or its flags, as words.
    fn say(&mut self, emitter: Address, payload: Payload) -> String {
        let folded = self.tell(vec![(emitter, payload)]);
        let first = &folded.events[0];
        assert_eq!(first.event.is_valid(), first.detail.is_empty());
        first.event.reason.map_or_else(|| first.event.flags.words(), |reason| reason.as_str().to_owned())
    }

    fn check(&mut self, lines: Vec<(Address, Payload, &str)>) {
        for (index, (emitter, payload, expected)) in lines.into_iter().enumerate() {
            let shown = format!("line {index}: {payload:?}");
            assert_eq!(self.say(emitter, payload), expected, "{shown}");
        }
    }
}

fn dataset_registered(n: u8, visibility: Visibility) -> Payload {
    Payload::DatasetRegistered {
        dataset: dataset(n),
        key: key(n),
        owner: OWNER,
        visibility,
        license: key(1),
        metadata_uri: "ipfs://\0x".to_owned(),
        metadata_hash: B256::ZERO,
    }
}
fn model_registered(n: u8) -> Payload {
    Payload::ModelRegistered {
        model: model(n),
        key: key(n),
        owner: OTHER,
        kind: ModelKind::Base,
        metadata_uri: String::new(),
        metadata_hash: B256::ZERO,
    }
}
fn agent_registered(n: u8) -> Payload {
    Payload::AgentRegistered { agent: agent(n), key: key(n), owner: OWNER, metadata_uri: String::new() }
}
fn submitted(n: u8, content: u8) -> Payload {
    Payload::ContributionSubmitted {
        contribution: contribution(n),
        key: key(n),
        dataset: dataset(1),
        contributor: OTHER,
        content_hash: key(content),
        row_count: 10,
        byte_count: 100,
        license: key(1),
        data_ref: Bytes::new(),
    }
}
fn reviewed(n: u8, decision: Decision) -> Payload {
    Payload::ContributionReviewed {
        contribution: contribution(n),
        reviewer: OWNER,
        decision,
        quality: 5,
        reason: B256::ZERO,
    }
}
fn removed(n: u8) -> Payload {
    Payload::ContributionRemoved {
        contribution: contribution(n),
        by: OWNER,
        cause: RemovalCause::Revoked,
        reason: B256::ZERO,
    }
}
fn dataset_version(n: u8, version: u32) -> Payload {
    Payload::DatasetVersionPublished {
        dataset: dataset(n),
        version,
        manifest_root: B256::ZERO,
        added: 1,
        removed: 0,
        total_rows: 10,
        license: key(1),
        manifest_ref: Bytes::from_static(&[0; 33]),
    }
}
fn upstream(version: B256, relation: Relation, share_ppb: Option<u32>) -> Upstream {
    Upstream { version, relation, share_ppb }
}
fn model_version(n: u8, version: u32, license: u8, upstream: Vec<Upstream>) -> Payload {
    Payload::ModelVersionPublished {
        model: model(n),
        version,
        artifact_hash: key(1),
        config_hash: key(2),
        license: key(license),
        upstream,
    }
}
fn agent_version(version: u32, upstream: Vec<Upstream>) -> Payload {
    Payload::AgentVersionPublished { agent: agent(1), version, config_hash: key(1), upstream }
}
fn asserted(from: VersionId, to: B256, relation: Relation, asserter: Address) -> Payload {
    Payload::LineageAsserted { from, to: VersionId(to), relation, share_ppb: Some(500_000_000), asserter }
}
/// The `nth` commit, counted from one; its `seq` is counted from zero.
fn committed(n: u8, nth: u64, method: MethodId) -> Payload {
    Payload::AttributionBatchCommitted {
        batch: batch(n),
        key: key(n),
        producer: PRODUCER,
        method,
        seq: nth.saturating_sub(1),
        inferences: 2,
        records: 4,
        payload_hash: key(1),
        records_root: key(2),
        blob_ref: Bytes::from_static(&[0; 33]),
    }
}
fn producer_set(scope: B256, allowed: bool) -> Payload {
    Payload::ProducerSet { scope: EntityId(scope), producer: PRODUCER, allowed }
}
fn method_registered() -> Payload {
    Payload::MethodRegistered {
        method: method(1),
        key: key(1),
        registrant: OWNER,
        value_kind: ValueKind::Signed,
        verifiability: Verifiability::Claim,
        params_hash: key(9),
        name: "m".to_owned(),
    }
}
fn received(n: u8, subject: B256, token: u8, units: u128, backing: Backing) -> Payload {
    Payload::RevenueReceived {
        payment: payment(n),
        key: key(n),
        subject: VersionId(subject),
        payer: OTHER,
        token: Address::with_last_byte(token),
        amount: amount(units),
        reference: None,
        backing,
    }
}
fn policy_set(version: u32, policy: &str) -> Payload {
    let policy = Bytes::from(policy.as_bytes().to_vec());
    Payload::RewardPolicySet { scope: EntityId(B256::ZERO), policy_hash: keccak256(&policy), version, policy }
}

#[test]
fn registries() {
    let transfer = |entity, from, to| Payload::OwnershipTransferred { entity, from, to };
    let metadata = |entity| Payload::MetadataUpdated { entity, uri: "x".to_owned(), hash: key(3) };
    World::default().check(vec![
        (REGISTRY, dataset_registered(1, Visibility::Public), ""),
        (REGISTRY, dataset_registered(1, Visibility::Public), "DUPLICATE_ID"),
        (REGISTRY, metadata(dataset(1).entity()), ""),
        (STRANGER, metadata(dataset(1).entity()), "UNAUTHORIZED"),
        (REGISTRY, metadata(dataset(2).entity()), "UNKNOWN_REF"),
        (REGISTRY, transfer(dataset(1).entity(), OTHER, OWNER), "BAD_STATE"),
        (REGISTRY, transfer(dataset(1).entity(), OWNER, OTHER), ""),
        (REGISTRY, transfer(dataset(1).entity(), OWNER, OTHER), "BAD_STATE"),
        (STRANGER, submitted(1, 1), "UNAUTHORIZED"),
        (REGISTRY, submitted(1, 1), ""),
        (REGISTRY, submitted(1, 1), "DUPLICATE_ID"),
        (REGISTRY, submitted(2, 1), ""),
        (REGISTRY, reviewed(3, Decision::Approve), "UNKNOWN_REF"),
        (STRANGER, reviewed(1, Decision::Approve), "UNAUTHORIZED"),
        (REGISTRY, reviewed(1, Decision::Flag), ""),
        (REGISTRY, reviewed(1, Decision::Approve), ""),
        (REGISTRY, reviewed(1, Decision::Reject), "BAD_STATE"),
        // The same content again: it happened, and says so.
        (REGISTRY, reviewed(2, Decision::Approve), "DUPLICATE_CONTENT"),
        (REGISTRY, submitted(3, 1), "DUPLICATE_CONTENT"),
        (REGISTRY, removed(1), ""),
        (REGISTRY, removed(1), "BAD_STATE"),
        (REGISTRY, removed(9), "UNKNOWN_REF"),
        (REGISTRY, dataset_version(1, 1), ""),
        (REGISTRY, dataset_version(1, 1), "VERSION_NOT_MONOTONIC"),
        (REGISTRY, dataset_version(1, 3), "VERSION_GAP"),
        (REGISTRY, dataset_version(1, 2), "VERSION_NOT_MONOTONIC"),
        (REGISTRY, dataset_version(7, 1), "UNKNOWN_REF"),
    ]);
}

#[test]
fn versions_and_lineage() {
    let data = dataset(1).version(1).0;
    let closed = dataset(2).version(1).0;
    let base = model(1).version(1);
    let tune = model(2).version(1);
    let deprecated = |version| Payload::VersionDeprecated { version, reason: B256::ZERO };
    let grant = |expires_at| Payload::AccessSet {
        dataset: dataset(2),
        grantee: OTHER,
        scope: AccessScope::Train,
        expires_at,
        terms_hash: B256::ZERO,
    };
    let retracted = |from, to, relation| Payload::LineageRetracted { from, to: VersionId(to), relation };
    let outside = tributary_schemas::id::external_id("hf:meta-llama/llama-2-7b").0;
    let (half, most) = (Some(500_000_000), Some(600_000_000));
    World::default().check(vec![
        (REGISTRY, dataset_registered(1, Visibility::Public), ""),
        (REGISTRY, dataset_registered(2, Visibility::Permissioned), ""),
        (REGISTRY, dataset_version(1, 1), ""),
        (REGISTRY, dataset_version(2, 1), ""),
        (REGISTRY, model_registered(1), ""),
        (REGISTRY, model_registered(2), ""),
        (REGISTRY, agent_registered(1), ""),
        (REGISTRY, model_version(1, 1, 1, vec![upstream(base.0, Relation::BasedOnFinetune, None)]), "CYCLE"),
        (REGISTRY, model_version(1, 1, 1, vec![upstream(B256::ZERO, Relation::TrainedOn, None)]), "UNKNOWN_REF"),
        (REGISTRY, model_version(1, 1, 1, vec![upstream(dataset(1).0, Relation::TrainedOn, None)]), "UNKNOWN_REF"),
        (REGISTRY, model_version(1, 1, 1, vec![upstream(data, Relation::UsesModel, None)]), "OUT_OF_RANGE"),
        (
            REGISTRY,
            model_version(
                1,
                1,
                1,
                vec![upstream(data, Relation::TrainedOn, half), upstream(closed, Relation::TrainedOn, most)],
            ),
            "SHARE_SUM_EXCEEDED",
        ),
        (REGISTRY, model_version(1, 1, 1, vec![upstream(data, Relation::TrainedOn, half)]), ""),
        (REGISTRY, model_version(1, 2, 2, vec![upstream(data, Relation::TrainedOn, half)]), "LICENSE_CONFLICT"),
        (REGISTRY, model_version(2, 1, 1, vec![upstream(closed, Relation::TrainedOn, half)]), "NO_ACCESS_GRANT"),
        (REGISTRY, grant(u64::MAX), ""),
        (REGISTRY, model_version(2, 2, 1, vec![upstream(closed, Relation::TrainedOn, half)]), ""),
        (REGISTRY, grant(1), ""),
        (REGISTRY, model_version(2, 3, 1, vec![upstream(closed, Relation::TrainedOn, half)]), "NO_ACCESS_GRANT"),
        (REGISTRY, model_version(2, 4, 1, vec![upstream(outside, Relation::BasedOnFinetune, None)]), "EXTERNAL_REF"),
        (REGISTRY, deprecated(base), ""),
        (REGISTRY, deprecated(base), "DUPLICATE_FACT"),
        (STRANGER, deprecated(tune), "UNAUTHORIZED"),
        (REGISTRY, deprecated(VersionId(key(7))), "UNKNOWN_REF"),
        (REGISTRY, agent_version(1, vec![upstream(base.0, Relation::UsesModel, None)]), "DEPRECATED_UPSTREAM"),
        // A late edge must lead to an older version, and be asserted by the owner.
        (REGISTRY, asserted(base, tune.0, Relation::BasedOnFinetune, OTHER), "CYCLE"),
        (REGISTRY, asserted(base, base.0, Relation::BasedOnFinetune, OTHER), "CYCLE"),
        (REGISTRY, asserted(tune, base.0, Relation::BasedOnFinetune, OWNER), "UNAUTHORIZED"),
        (STRANGER, asserted(tune, base.0, Relation::BasedOnFinetune, OTHER), "UNAUTHORIZED"),
        (REGISTRY, asserted(VersionId(key(8)), base.0, Relation::BasedOnFinetune, OTHER), "UNKNOWN_REF"),
        (REGISTRY, asserted(tune, base.0, Relation::BasedOnFinetune, OTHER), "DEPRECATED_UPSTREAM"),
        (REGISTRY, asserted(tune, base.0, Relation::BasedOnFinetune, OTHER), "DUPLICATE_FACT"),
        (REGISTRY, asserted(tune, data, Relation::TrainedOn, OTHER), "SHARE_SUM_EXCEEDED"),
        (REGISTRY, retracted(tune, closed, Relation::TrainedOn), "BAD_STATE"),
        (REGISTRY, retracted(tune, base.0, Relation::BasedOnFinetune), ""),
        (REGISTRY, retracted(tune, base.0, Relation::BasedOnFinetune), "BAD_STATE"),
        (REGISTRY, retracted(tune, data, Relation::TrainedOn), "UNKNOWN_REF"),
        (REGISTRY, asserted(tune, data, Relation::TrainedOn, OTHER), ""),
    ]);
}

#[test]
fn batches_and_challenges() {
    let challenged = |n, index| Payload::BatchChallenged {
        batch: batch(n),
        index,
        challenger: OTHER,
        token: Address::ZERO,
        bond: amount(1),
    };
    let resolved = |n, outcome, replacement| Payload::BatchResolved { batch: batch(n), outcome, replacement };
    let recorded = |subject: B256| Payload::InferenceRecorded {
        inference: InferenceId(key(1)),
        key: key(1),
        subject: VersionId(subject),
        payer: OTHER,
        request_hash: key(1),
        response_hash: key(2),
        tokens_in: 1,
        tokens_out: 2,
    };
    let window = r#"{"challenge_blocks":12,"resolve_blocks":4}"#;
    World::default().check(vec![
        (REGISTRY, model_registered(1), ""),
        (REGISTRY, model_version(1, 1, 1, vec![]), ""),
        (HUB, committed(1, 1, method(1)), "UNAUTHORIZED"),
        (HUB, producer_set(key(9), true), "UNKNOWN_REF"),
        (HUB, producer_set(model(1).0, true), ""),
        (HUB, committed(1, 1, method(1)), "METHOD_UNREGISTERED"),
        (HUB, method_registered(), ""),
        (HUB, method_registered(), "DUPLICATE_ID"),
        (VAULT, policy_set(1, window), ""),
        (HUB, committed(1, 2, method(1)), "BAD_STATE"),
        (HUB, committed(1, 1, method(1)), ""),
        (HUB, committed(1, 2, method(1)), "DUPLICATE_ID"),
        (HUB, committed(2, 2, method(1)), ""),
        (HUB, challenged(9, 0), "UNKNOWN_REF"),
        (STRANGER, challenged(1, 0), "UNAUTHORIZED"),
        (HUB, challenged(1, 2), "OUT_OF_RANGE"),
        (HUB, resolved(1, ChallengeOutcome::Upheld, None), "BAD_STATE"),
        (HUB, challenged(1, 1), ""),
        (HUB, challenged(1, 1), "BAD_STATE"),
        (HUB, resolved(1, ChallengeOutcome::Replaced, None), "BAD_STATE"),
        (HUB, resolved(1, ChallengeOutcome::Replaced, Some(batch(2))), ""),
        (HUB, challenged(1, 1), "BAD_STATE"),
        (HUB, challenged(2, 1), ""),
        (HUB, recorded(key(5)), "UNKNOWN_REF"),
        (HUB, recorded(model(1).version(1).0), ""),
        (HUB, recorded(model(1).version(1).0), "DUPLICATE_ID"),
        (HUB, producer_set(model(1).0, false), ""),
        (HUB, resolved(2, ChallengeOutcome::Upheld, None), "WINDOW_CLOSED"),
        (HUB, challenged(2, 1), "WINDOW_CLOSED"),
        (HUB, committed(3, 3, method(1)), "UNAUTHORIZED"),
    ]);
}

#[test]
fn money() {
    let subject = model(1).version(1).0;
    let refund = |n, units| Payload::RevenueRefunded { payment: payment(n), to: OTHER, amount: amount(units) };
    let split = |shares: &[u32]| Payload::SplitSet {
        entity: model(1).entity(),
        parts: (1..)
            .zip(shares)
            .map(|(n, share)| SplitPart { account: Address::with_last_byte(n), share_ppb: *share })
            .collect(),
    };
    let funded = |pool, units| Payload::PoolFunded {
        pool: EntityId(pool),
        epoch: 1,
        token: Address::ZERO,
        amount: amount(units),
    };
    let settled = |epoch| Payload::EpochSettled {
        epoch,
        token: Address::ZERO,
        root: key(1),
        total: amount(1),
        last_block: 1,
        ledger_digest: key(1),
    };
    let penalty =
        |score| Payload::PenaltyScoreSet { account: OWNER, scope: EntityId(B256::ZERO), score, reason: key(1) };
    let payout = |entity| Payload::EntityPayoutSet { entity, payout: OTHER };
    let only = format!("{{\"tokens\":[\"{}\"]}}", Address::with_last_byte(5));
    let wrong_hash = Payload::RewardPolicySet {
        scope: EntityId(B256::ZERO),
        policy_hash: key(1),
        version: 1,
        policy: Bytes::from_static(b"{}"),
    };
    World::default().check(vec![
        (REGISTRY, model_registered(1), ""),
        (VAULT, received(1, subject, 0, 5, Backing::Vault), "UNKNOWN_REF"),
        (REGISTRY, model_version(1, 1, 1, vec![]), ""),
        (VAULT, received(1, subject, 0, 0, Backing::Vault), "OUT_OF_RANGE"),
        (VAULT, received(1, subject, 0, 5, Backing::Vault), ""),
        (VAULT, received(1, subject, 0, 5, Backing::Vault), "DUPLICATE_ID"),
        (VAULT, received(2, subject, 0, 5, Backing::Asserted), "UNBACKED"),
        (VAULT, refund(9, 1), "UNKNOWN_REF"),
        (STRANGER, refund(1, 1), "UNAUTHORIZED"),
        (VAULT, refund(1, 3), ""),
        (VAULT, refund(1, 3), "OUT_OF_RANGE"),
        (VAULT, refund(1, 2), ""),
        (VAULT, wrong_hash, "POLICY_INVALID"),
        (VAULT, policy_set(1, "{\"nope\":1}"), "POLICY_INVALID"),
        (VAULT, policy_set(1, &only), ""),
        (VAULT, policy_set(1, &only), "VERSION_NOT_MONOTONIC"),
        (VAULT, received(3, subject, 0, 5, Backing::Vault), "TOKEN_NOT_ALLOWED"),
        (VAULT, received(3, subject, 5, 5, Backing::Vault), ""),
        (VAULT, funded(key(9), 1), "UNKNOWN_REF"),
        (VAULT, funded(B256::ZERO, 1), "TOKEN_NOT_ALLOWED"),
        (VAULT, policy_set(2, &Policy::default().canonical_json()), ""),
        (VAULT, funded(B256::ZERO, 0), "OUT_OF_RANGE"),
        (VAULT, funded(model(1).0, 1), ""),
        (VAULT, split(&[1]), "OUT_OF_RANGE"),
        (VAULT, split(&[600_000_000, 600_000_000]), "SHARE_SUM_EXCEEDED"),
        (VAULT, split(&[400_000_000, 600_000_000]), ""),
        (VAULT, payout(model(1).entity()), ""),
        (VAULT, payout(model(9).entity()), "UNKNOWN_REF"),
        (VAULT, settled(1), ""),
        (VAULT, settled(1), "DUPLICATE_FACT"),
        (VAULT, penalty(1_000_000), ""),
        (VAULT, penalty(1_000_001), "OUT_OF_RANGE"),
    ]);
}

#[test]
fn registrations_of_a_transaction_come_first_at_unchanged_positions() {
    let moved = Payload::OwnershipTransferred { entity: agent(1).entity(), from: OWNER, to: OTHER };
    let folded = World::default().tell(vec![(REGISTRY, moved.clone()), (REGISTRY, agent_registered(1))]);
    assert!(folded.events.iter().all(|one| one.event.is_valid()));
    assert_eq!(folded.events[0].event.payload, moved);
    let positions: Vec<Position> = folded.events.iter().map(|one| one.event.position).collect();
    assert!(positions.is_sorted_by(|a, b| a < b));
    // The first block of all also says which mapping came into force.
    assert_eq!(folded.events.last().unwrap().event.payload.kind(), "MappingActivated");
}

#[test]
fn a_forward_edge_becomes_external_and_is_not_walked() {
    let mut world = World::default();
    let (first, second) = (model(1).version(1), model(2).version(1));
    world.check(vec![
        (REGISTRY, model_registered(1), ""),
        (REGISTRY, model_registered(2), ""),
        (REGISTRY, model_version(1, 1, 1, vec![upstream(second.0, Relation::BasedOnMerge, None)]), "EXTERNAL_REF"),
        (REGISTRY, model_version(2, 1, 1, vec![upstream(first.0, Relation::BasedOnMerge, None)]), ""),
    ]);
}

#[test]
fn unwinding_restores_every_byte_of_random_worlds() {
    use rand::{Rng as _, SeedableRng as _};
    for seed in 0..20 {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut world = World::default();
        let mut history = Vec::new();
        let mut seen = BTreeSet::new();
        for _ in 0..120 {
            let n = rng.random_range(1..4);
            let version = rng.random_range(1..5);
            let any = version_id(model(rng.random_range(1..4)).0, rng.random_range(1..4));
            let fact = match rng.random_range(0..12) {
                0 => (REGISTRY, dataset_registered(n, Visibility::Private)),
                1 => (REGISTRY, model_registered(n)),
                2 => (REGISTRY, submitted(n, n % 2)),
                3 => (REGISTRY, reviewed(n, Decision::Approve)),
                4 => (REGISTRY, removed(n)),
                5 => (REGISTRY, dataset_version(n, version)),
                6 => (REGISTRY, model_version(n, version, 1, vec![upstream(any, Relation::BasedOnMerge, None)])),
                7 => {
                    (REGISTRY, asserted(VersionId(version_id(model(n).0, version)), any, Relation::BasedOnMerge, OTHER))
                }
                8 => (HUB, producer_set(B256::ZERO, rng.random())),
                9 => (HUB, method_registered()),
                10 => (HUB, committed(n, u64::from(version), method(1))),
                _ => (VAULT, received(n, any, 0, 7, Backing::Vault)),
            };
            let before = world.state.clone();
            let folded = world.tell(vec![fact]);
            seen.extend(folded.events.iter().map(|one| (one.event.payload.kind(), one.event.is_valid())));
            history.push((before, world.state.clone()));
        }
        assert!(seen.len() > 12, "{seen:?}");
        // Undo as the tail does it: the old values of what was written, newest first.
        let mut state = world.state;
        for (before, after) in history.into_iter().rev() {
            assert_eq!(state, after);
            let keys: BTreeSet<_> = before.0.keys().chain(after.0.keys()).cloned().collect();
            let undo = keys
                .into_iter()
                .map(|key| {
                    let old = before.0.get(&key).cloned();
                    (key, old)
                })
                .collect();
            let redo = state.apply(undo);
            assert_eq!(state, before);
            let mut again = state.clone();
            again.apply(redo);
            assert_eq!(again, after);
        }
        assert_eq!(state, MemoryState::default());
    }
}
