//! Facts that a contract tells twice, or again later.
//!
//! What a fact is known again by is made of its payload, and its rule's name is in the table of events, so that folding
//! published events again comes to the same state.

use alloy_primitives::{B256, Keccak256};
use tributary_schemas::Payload;
use tributary_schemas::code::Reason;
use tributary_schemas::encoding::payload_json;

use super::{Around, Folded, Verdict, judge};
use crate::IndexerError;
use crate::decode::Decoded;
use crate::mapping::{Dedupe, OnExists};
use crate::state::{Key, StateView};

/// Judges a fact that may have been told before; none when it is left out.
pub(super) fn judge_once(
    state: &mut StateView<'_>,
    around: &Around<'_>,
    fact: &mut Decoded,
    out: &mut Folded,
) -> Result<Option<Verdict>, IndexerError> {
    let dedupe = around.mapping.dedupe(&fact.rule).filter(|dedupe| dedupe.kind == fact.payload.kind());
    let (None, Some(dedupe)) = (&fact.refused, dedupe) else {
        return judge(state, around, fact, out).map(Some);
    };
    let key = Key::told(digest(dedupe, fact));
    let told = state.get::<bool>(&key)?.is_some();
    match dedupe.on_exists {
        OnExists::Ignore if told => return Ok(None),
        OnExists::Reject if told => {
            return Ok(Some(Err((Reason::DuplicateFact, format!("was told before, by {}", dedupe.fields.join(", "))))));
        }
        OnExists::Update if told => describe_anew(&mut fact.payload),
        OnExists::Reject | OnExists::Ignore | OnExists::Update => {}
    }
    let verdict = judge(state, around, fact, out)?;
    if verdict.is_ok() {
        state.put(key, &true)?;
    }
    Ok(Some(verdict))
}

/// keccak256 of kind, emitter and the fields, as canonical JSON.
fn digest(dedupe: &Dedupe, fact: &Decoded) -> B256 {
    let payload: serde_json::Value = serde_json::from_str(&payload_json(&fact.payload)).unwrap_or_default();
    let mut hasher = Keccak256::new();
    hasher.update(dedupe.kind);
    hasher.update(fact.emitter);
    for field in &dedupe.fields {
        hasher.update(payload.get(field).map(ToString::to_string).unwrap_or_default());
        hasher.update([0]);
    }
    hasher.finalize()
}

/// A registration of what is registered describes it anew.
fn describe_anew(payload: &mut Payload) {
    let (entity, uri, hash) = match payload {
        Payload::DatasetRegistered { dataset, metadata_uri, metadata_hash, .. } => {
            (dataset.entity(), metadata_uri, *metadata_hash)
        }
        Payload::ModelRegistered { model, metadata_uri, metadata_hash, .. } => {
            (model.entity(), metadata_uri, *metadata_hash)
        }
        Payload::AgentRegistered { agent, metadata_uri, .. } => (agent.entity(), metadata_uri, B256::ZERO),
        _ => return,
    };
    *payload = Payload::MetadataUpdated { entity, uri: std::mem::take(uri), hash };
}
