//! What a change of rules would change.

use alloy_primitives::Address;
use serde::Serialize;
use std::collections::BTreeMap;
use tributary_schemas::encoding::payload_json;

use super::{Decoded, Unknown, beyond_stored, decode_block, of_factories};
use crate::VerifiedBlock;
use crate::mapping::Mapping;

/// Which of two mappings makes an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The first, and the second no more.
    Gone,
    /// The second, and the first not yet.
    New,
}

/// An event that only one of two mappings makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The block.
    pub block: u64,
    /// Index of the log in it.
    pub log_index: u32,
    /// Which of the log's events.
    pub sub_index: u32,
    /// Who makes it.
    pub side: Side,
    /// By which rule.
    pub rule: String,
    /// The contract that it is of.
    pub emitter: Address,
    /// Its kind.
    pub kind: String,
    /// What it says.
    pub payload: serde_json::Value,
    /// Why it is refused whatever the state is; empty when it is not.
    pub reason: String,
}

/// The events of a block that only one of two mappings makes, in the order of the logs. Rules that read more than is stored
/// ([`beyond_stored`]), or whose emitters were announced earlier ([`of_factories`]), are left out on both sides; an event that another rule makes alike is the same event.
#[must_use]
pub fn compare(before: &Mapping, after: &Mapping, block: &VerifiedBlock) -> Vec<Difference> {
    let gone = events(before, Side::Gone, block);
    let new = events(after, Side::New, block);
    let only = |these: &BTreeMap<Identity, Difference>, others: &BTreeMap<Identity, Difference>| {
        let only = these.iter().filter(|(identity, _)| !others.contains_key(*identity));
        only.map(|(_, one)| one.clone()).collect::<Vec<_>>()
    };
    let mut out = [only(&gone, &new), only(&new, &gone)].concat();
    out.sort_by_key(|one| (one.log_index, one.sub_index, one.side));
    out
}

/// What makes two events the same: place, contract, kind, payload and refusal.
type Identity = (u32, u32, Address, &'static str, String, String);

fn events(mapping: &Mapping, side: Side, block: &VerifiedBlock) -> BTreeMap<Identity, Difference> {
    let left_out = [beyond_stored(mapping), of_factories(mapping)].concat();
    let decoded = decode_block(mapping, block, &Unknown);
    let told = decoded.into_iter().filter(|one| !left_out.contains(&&*one.rule));
    told.map(|Decoded { position, emitter, rule, payload, refused }| {
        let (json, kind) = (payload_json(&payload), payload.kind());
        let reason = refused.map(|(reason, detail)| format!("{reason}: {detail}")).unwrap_or_default();
        let identity = (position.log_index, position.sub_index, emitter, kind, json.clone(), reason.clone());
        let difference = Difference {
            block: position.block_number,
            log_index: position.log_index,
            sub_index: position.sub_index,
            side,
            rule: rule.to_string(),
            emitter,
            kind: kind.to_owned(),
            payload: serde_json::from_str(&json).unwrap_or_default(),
            reason,
        };
        (identity, difference)
    })
    .collect()
}
