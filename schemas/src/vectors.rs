//! The bytes that contracts and this crate compute each for themselves: `vectors/vectors.json` is made by Solidity on
//! a real node, and every entry of it must come out here as well. `vectors/README.md` is the page about it.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use serde::Deserialize;

use crate::encoding::{
    event_id, log_root_next, log_root_origin, manifest_root, record_bytes, record_leaf, records_root, sorted_pair,
    standard_tree,
};
use crate::id::{BatchId, ContributionId, EntityKind, InferenceId, entity_id, version_id};
use crate::position::Position;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    entity_ids: Vec<Entity>,
    version_ids: Vec<Version>,
    native_keys: Vec<NativeKey>,
    inference_ids: Vec<InBatch>,
    event_ids: Vec<EventAt>,
    log_roots: Vec<Log>,
    record_roots: Vec<Batch>,
    manifest_roots: Vec<Manifest>,
    claim_roots: Vec<Claims>,
}

#[derive(Deserialize)]
struct Entity {
    kind: u8,
    chain_id: String,
    namespace: Address,
    native_key: Bytes,
    id: B256,
}

#[derive(Deserialize)]
struct Version {
    entity: B256,
    version: u32,
    id: B256,
}

#[derive(Deserialize)]
struct NativeKey {
    account: Address,
    n: String,
    key: B256,
}

#[derive(Deserialize)]
struct InBatch {
    batch: B256,
    index: u32,
    id: B256,
}

#[derive(Deserialize)]
struct EventAt {
    chain_id: String,
    block_hash: B256,
    tx_index: u32,
    log_index: u32,
    sub_index: u32,
    id: B256,
}

#[derive(Deserialize)]
struct Log {
    chain_id: String,
    start_block: String,
    mapping_set_hash: B256,
    start_root: B256,
    blocks: Vec<Block>,
}

#[derive(Deserialize)]
struct Block {
    block_hash: B256,
    encoded_events: Bytes,
    root: B256,
}

#[derive(Deserialize)]
struct Batch {
    inferences: Vec<Inference>,
    root: B256,
}

#[derive(Deserialize)]
struct Inference {
    index: u32,
    inference_id: B256,
    subject: B256,
    records: Vec<Record>,
    leaf: B256,
}

#[derive(Deserialize)]
struct Record {
    target: B256,
    row: Option<u32>,
    score: String,
    bytes: Bytes,
}

#[derive(Deserialize)]
struct Manifest {
    members: Vec<B256>,
    root: B256,
}

#[derive(Deserialize)]
struct Claims {
    claims: Vec<Claim>,
    root: B256,
}

#[derive(Deserialize)]
struct Claim {
    account: Address,
    token: Address,
    cumulative: String,
    leaf: B256,
    proof: Vec<B256>,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../vectors/vectors.json")).unwrap()
}

fn u64_of(text: &str) -> u64 {
    text.parse().unwrap()
}

#[test]
fn ids_are_those_of_the_contracts() {
    let vectors = vectors();
    let kinds: Vec<u8> = vectors.entity_ids.iter().map(|one| one.kind).collect();
    assert!(EntityKind::ALL.iter().all(|kind| kinds.contains(&kind.number())), "a kind has no vector: {kinds:?}");
    for one in vectors.entity_ids {
        let kind = EntityKind::ALL.into_iter().find(|kind| kind.number() == one.kind).unwrap();
        assert_eq!(entity_id(kind, u64_of(&one.chain_id), one.namespace, &one.native_key), one.id);
    }
    for one in vectors.version_ids {
        assert_eq!(version_id(one.entity, one.version), one.id);
    }
    for one in vectors.native_keys {
        let key = keccak256([one.account.as_slice(), &u64_of(&one.n).to_be_bytes()].concat());
        assert_eq!(key, one.key);
    }
    for one in vectors.inference_ids {
        assert_eq!(InferenceId::in_batch(BatchId(one.batch), one.index).0, one.id);
    }
}

#[test]
fn event_ids_and_log_roots_are_those_of_the_contracts() {
    let vectors = vectors();
    for one in vectors.event_ids {
        let position =
            Position { block_number: 9, tx_index: one.tx_index, log_index: one.log_index, sub_index: one.sub_index };
        assert_eq!(event_id(u64_of(&one.chain_id), one.block_hash, position).0, one.id);
    }
    for log in vectors.log_roots {
        let mut root = log_root_origin(u64_of(&log.chain_id), u64_of(&log.start_block), log.mapping_set_hash);
        assert_eq!(root, log.start_root);
        for block in log.blocks {
            root = log_root_next(root, block.block_hash, keccak256(&block.encoded_events));
            assert_eq!(root, block.root);
        }
    }
}

#[test]
fn records_roots_are_those_of_the_contracts() {
    let batches = vectors().record_roots;
    assert_eq!(batches.iter().map(|batch| batch.inferences.len()).collect::<Vec<_>>(), [1, 2, 3, 5, 7]);
    for batch in batches {
        let leaves: Vec<B256> = batch.inferences.iter().map(leaf_of).collect();
        assert_eq!(records_root(leaves), batch.root);
    }
}

fn leaf_of(inference: &Inference) -> B256 {
    let mut joined = Vec::new();
    for record in &inference.records {
        let bytes = record_bytes(record.target, record.row, record.score.parse().unwrap());
        assert_eq!(bytes.as_slice(), record.bytes.as_ref());
        joined.extend_from_slice(&bytes);
    }
    let id = InferenceId(inference.inference_id);
    let leaf = record_leaf(inference.index, id, inference.subject, keccak256(joined));
    assert_eq!(leaf, inference.leaf);
    leaf
}

#[test]
fn manifest_roots_are_those_of_the_contracts() {
    let manifests = vectors().manifest_roots;
    assert_eq!(manifests.iter().map(|one| one.members.len()).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 7, 11]);
    for one in manifests {
        let backwards = one.members.iter().rev().copied().map(ContributionId);
        assert_eq!(manifest_root(backwards), one.root);
    }
}

#[test]
fn claim_trees_are_those_of_the_contracts() {
    for tree in vectors().claim_roots {
        let mut leaves = Vec::new();
        for claim in &tree.claims {
            let cumulative: U256 = claim.cumulative.parse().unwrap();
            let encoded =
                [claim.account.into_word(), claim.token.into_word(), B256::from(cumulative.to_be_bytes())].concat();
            let leaf = keccak256(keccak256(encoded));
            assert_eq!(leaf, claim.leaf);
            assert_eq!(claim.proof.iter().fold(leaf, |node, sibling| sorted_pair(node, *sibling)), tree.root);
            leaves.push(leaf);
        }
        leaves.sort_unstable();
        assert_eq!(standard_tree(&leaves).first(), Some(&tree.root));
    }
}
