//! The bytes that two indexers compare: encoded events, the log root, event ids, record and manifest roots.

use alloy_primitives::{Address, B256, Keccak256, keccak256};
use serde::Serialize;

use crate::cbor;
use crate::code::{Flags, Reason};
use crate::event::{Event, Payload};
use crate::id::{ContributionId, EventId, InferenceId};
use crate::position::Position;

/// What is encoded of an event: what it says and whether it holds, never how well this node could check it (ruling 9).
#[derive(Serialize)]
struct Encoded<'a> {
    kind: &'static str,
    flags: Flags,
    reason: Option<u16>,
    emitter: Address,
    payload: &'a Payload,
    position: Position,
    validity: bool,
}

/// Appends the deterministic CBOR of an event to `out`.
pub fn encode_event(event: &Event, out: &mut Vec<u8>) {
    let encoded = Encoded {
        kind: event.payload.kind(),
        flags: event.flags,
        reason: event.reason.map(Reason::number),
        emitter: event.emitter,
        payload: &event.payload,
        position: event.position,
        validity: event.is_valid(),
    };
    cbor::append(&encoded, out).expect("the vocabulary has no floats and no maps with computed keys");
}

/// keccak256 of the encoded events of one block, in position order, invalid ones included.
#[must_use]
pub fn events_digest<'a>(events: impl IntoIterator<Item = &'a Event>) -> B256 {
    let mut bytes = Vec::new();
    for event in events {
        encode_event(event, &mut bytes);
    }
    keccak256(bytes)
}

/// The payload as canonical JSON (RFC 8785): what the `events` table shows.
#[must_use]
pub fn payload_json(payload: &Payload) -> String {
    let value = serde_json::to_value(payload).expect("the vocabulary is plain data");
    let inner =
        value.as_object().and_then(|object| object.values().next()).expect("an enum of structs is a map of one entry");
    inner.to_string()
}

/// The payload of kind `kind` from its canonical JSON.
pub fn payload_from_json(kind: &str, json: &str) -> Result<Payload, crate::error::SchemaError> {
    let malformed = |error: serde_json::Error| crate::error::SchemaError::Malformed {
        what: "event payload",
        reason: format!("kind {kind}: {error}"),
    };
    let inner: serde_json::Value = serde_json::from_str(json).map_err(malformed)?;
    let mut object = serde_json::Map::new();
    object.insert(kind.to_owned(), inner);
    serde_json::from_value(serde_json::Value::Object(object)).map_err(malformed)
}

/// The log root before the first block:
/// `keccak256("trib/log/1" ‖ chain_id u64be ‖ start_block u64be ‖ mapping_set_hash)` (ruling 9).
#[must_use]
pub fn log_root_origin(chain_id: u64, start_block: u64, mapping_set_hash: B256) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(b"trib/log/1");
    hasher.update(chain_id.to_be_bytes());
    hasher.update(start_block.to_be_bytes());
    hasher.update(mapping_set_hash);
    hasher.finalize()
}

/// `log_root(n) = keccak256(log_root(n-1) ‖ block_hash(n) ‖ keccak256(encoded events of block n))`.
#[must_use]
pub fn log_root_next(previous: B256, block_hash: B256, events_digest: B256) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(previous);
    hasher.update(block_hash);
    hasher.update(events_digest);
    hasher.finalize()
}

/// `keccak256("trib/evt/1" ‖ chain_id u64be ‖ block_hash ‖ tx_index u32be ‖ log_index u32be ‖ sub_index u32be)`.
#[must_use]
pub fn event_id(chain_id: u64, block_hash: B256, position: Position) -> EventId {
    let mut hasher = Keccak256::new();
    hasher.update(b"trib/evt/1");
    hasher.update(chain_id.to_be_bytes());
    hasher.update(block_hash);
    hasher.update(position.tx_index.to_be_bytes());
    hasher.update(position.log_index.to_be_bytes());
    hasher.update(position.sub_index.to_be_bytes());
    EventId(hasher.finalize())
}

/// keccak256 of (ordinal u32be ‖ reason u16be) of refused records, ascending by ordinal.
#[must_use]
pub fn refused_digest(refused: impl IntoIterator<Item = (u32, Reason)>) -> B256 {
    let mut hasher = Keccak256::new();
    for (ordinal, reason) in refused {
        hasher.update(ordinal.to_be_bytes());
        hasher.update(reason.number().to_be_bytes());
    }
    hasher.finalize()
}

/// The bytes of one record in a leaf: target 32 ‖ row u32be (0xffffffff for none) ‖ score i64be (ruling 18).
#[must_use]
pub fn record_bytes(target: B256, row: Option<u32>, score: i64) -> [u8; 44] {
    let mut out = [0; 44];
    out[..32].copy_from_slice(target.as_slice());
    out[32..36].copy_from_slice(&row.unwrap_or(u32::MAX).to_be_bytes());
    out[36..].copy_from_slice(&score.to_be_bytes());
    out
}

/// The leaf of one inference: `keccak256(0x00 ‖ index u32be ‖ inference_id ‖ subject ‖ keccak256(records))`.
#[must_use]
pub fn record_leaf(index: u32, inference: InferenceId, subject: B256, records_hash: B256) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update([0x00]);
    hasher.update(index.to_be_bytes());
    hasher.update(inference);
    hasher.update(subject);
    hasher.update(records_hash);
    hasher.finalize()
}

/// Root over the leaves of a batch: node = `keccak256(0x01 ‖ left ‖ right)`, by index, an odd one is promoted.
/// No leaves: zero.
#[must_use]
pub fn records_root(mut level: Vec<B256>) -> B256 {
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => {
                    let mut hasher = Keccak256::new();
                    hasher.update([0x01]);
                    hasher.update(left);
                    hasher.update(right);
                    hasher.finalize()
                }
                rest => rest[0],
            })
            .collect();
    }
    level.first().copied().unwrap_or_default()
}

/// Root over the members of a dataset version (ruling 17): OpenZeppelin's sorted-pair tree (leaves sorted, laid out in
/// an array of 2n−1 nodes from its end) over `keccak256(keccak256(id))`. No members: zero.
#[must_use]
pub fn manifest_root(members: impl IntoIterator<Item = ContributionId>) -> B256 {
    let mut leaves: Vec<B256> = members.into_iter().map(|id| keccak256(keccak256(id.0))).collect();
    leaves.sort_unstable();
    standard_tree(&leaves).first().copied().unwrap_or_default()
}

/// The 2n−1 nodes of OpenZeppelin's tree over sorted leaves: root first, leaves last in reverse order, and every
/// parent the hash of its sorted pair of children. Empty for no leaves.
#[must_use]
pub fn standard_tree(sorted_leaves: &[B256]) -> Vec<B256> {
    let count = sorted_leaves.len();
    if count == 0 {
        return Vec::new();
    }
    let mut nodes = vec![B256::ZERO; 2 * count - 1];
    let last = nodes.len() - 1;
    for (index, leaf) in sorted_leaves.iter().enumerate() {
        nodes[last - index] = *leaf;
    }
    for index in (0..count - 1).rev() {
        nodes[index] = sorted_pair(nodes[2 * index + 1], nodes[2 * index + 2]);
    }
    nodes
}

/// keccak256 of two nodes, the smaller one first.
#[must_use]
pub fn sorted_pair(a: B256, b: B256) -> B256 {
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    let mut hasher = Keccak256::new();
    hasher.update(low);
    hasher.update(high);
    hasher.finalize()
}

#[cfg(test)]
mod tests;
