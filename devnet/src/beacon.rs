//! The routes of a beacon node that have to do with blobs, in the shapes of the beacon API.
//!
//! Integers are texts there, and an error is an object of code and message. Slots have the length of L1 blocks, and a
//! few of them passed before block 0, as on every chain that was merged: a slot is not a block's number.

use std::collections::BTreeSet;

use alloy_primitives::{B256, hex};
use axum::{
    Router,
    extract::{Path, RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};

use crate::{
    config::L1_BLOCK_TIME,
    fault::{Fault, Transport},
    node::{Layer, Node},
    serve::{Shared, spoil},
    sidecar::Sidecar,
};

/// Slots that passed before L1 block 0.
const SLOTS_BEFORE: u64 = 5;
/// One blob in so many is damaged at first by the fault about that.
const SPOILED: u8 = 2;

/// The routes.
pub(crate) fn routes(shared: Shared) -> Router {
    Router::new()
        .route("/eth/v1/beacon/genesis", get(genesis))
        .route("/eth/v1/config/spec", get(spec))
        .route("/eth/v1/beacon/blobs/{block_id}", get(blobs))
        .route("/eth/v1/beacon/blob_sidecars/{block_id}", get(sidecars))
        .with_state(shared)
}

/// How a request ends without what was asked for.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"code": self.0.as_u16(), "message": self.1});
        (self.0, axum::Json(body)).into_response()
    }
}

async fn genesis(State(shared): State<Shared>) -> Response {
    answer(&shared, |node| {
        let first = node.by_number(Layer::L1, 0).map_or(0, |block| block.header().timestamp);
        let genesis = first.saturating_sub(SLOTS_BEFORE.saturating_mul(L1_BLOCK_TIME));
        Ok(json!({"data": {
            "genesis_time": genesis.to_string(),
            "genesis_validators_root": B256::ZERO,
            "genesis_fork_version": "0x00000000",
        }}))
    })
    .await
}

async fn spec(State(shared): State<Shared>) -> Response {
    answer(&shared, |node| {
        Ok(json!({"data": {
            "PRESET_BASE": "mainnet",
            "CONFIG_NAME": "tributary-devnet",
            "DEPOSIT_CHAIN_ID": node.config.l1_chain_id.to_string(),
            "SECONDS_PER_SLOT": L1_BLOCK_TIME.to_string(),
            "BLOB_SCHEDULE": [{"EPOCH": "0", "MAX_BLOBS_PER_BLOCK": "9"}],
        }}))
    })
    .await
}

async fn blobs(State(shared): State<Shared>, Path(block_id): Path<String>, RawQuery(query): RawQuery) -> Response {
    answer(&shared, |node| {
        let wanted = wanted(query.as_deref(), "versioned_hashes", |text| text.parse::<B256>().ok())?;
        let (kept, finalized) = at(node, &block_id)?;
        let asked = kept
            .into_iter()
            .filter(|(_, one)| wanted.as_ref().is_none_or(|wanted| wanted.contains(&one.versioned_hash)));
        let data: Vec<String> = asked.filter_map(|(_, one)| served(node, &one)).map(hex::encode_prefixed).collect();
        Ok(json!({"execution_optimistic": false, "finalized": finalized, "data": data}))
    })
    .await
}

async fn sidecars(State(shared): State<Shared>, Path(block_id): Path<String>, RawQuery(query): RawQuery) -> Response {
    answer(&shared, |node| {
        let wanted = wanted(query.as_deref(), "indices", |text| text.parse::<usize>().ok())?;
        let (kept, finalized) = at(node, &block_id)?;
        let asked = kept.into_iter().filter(|(index, _)| wanted.as_ref().is_none_or(|wanted| wanted.contains(index)));
        let shown = |(index, one): (usize, Sidecar)| {
            let blob = served(node, &one)?;
            Some(json!({
                "index": index.to_string(),
                "blob": hex::encode_prefixed(blob),
                "kzg_commitment": one.commitment,
                "kzg_proof": one.proof(),
            }))
        };
        let data: Vec<Value> = asked.filter_map(shown).collect();
        Ok(json!({"version": "deneb", "execution_optimistic": false, "finalized": finalized, "data": data}))
    })
    .await
}

/// Answers, and does to the answer what the dice decided.
async fn answer(shared: &Shared, work: impl FnOnce(&mut Node) -> Result<Value, Refusal>) -> Response {
    let transport = shared.with(|node| node.dice.transport());
    if matches!(transport, Transport::TooMany(_)) {
        return spoil(transport, Response::default()).await;
    }
    let response = shared.with(work).map(axum::Json).into_response();
    spoil(transport, response).await
}

/// The values of a parameter, which may be repeated or separated by commas; none when it is not there.
fn wanted<T: Ord>(
    query: Option<&str>,
    name: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<BTreeSet<T>>, Refusal> {
    let mut found = None;
    for (key, values) in query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')) {
        if key != name {
            continue;
        }
        let found = found.get_or_insert_with(BTreeSet::new);
        for value in values.split(',') {
            let bad = || Refusal(StatusCode::BAD_REQUEST, format!("invalid {name}: {value:?}"));
            found.insert(read(value).ok_or_else(bad)?);
        }
    }
    Ok(found)
}

/// The blobs of a slot with their places, and whether its block is final.
fn at(node: &Node, block_id: &str) -> Result<(Vec<(usize, Sidecar)>, bool), Refusal> {
    let number = match (block_id, block_id.parse::<u64>()) {
        ("head", _) => Some(node.head(Layer::L1)),
        ("finalized", _) => Some(node.finalized(Layer::L1)),
        (_, Ok(slot)) => slot.checked_sub(SLOTS_BEFORE),
        (_, Err(_)) => return Err(Refusal(StatusCode::BAD_REQUEST, format!("Invalid block ID: {block_id}"))),
    };
    let known = number.filter(|number| node.by_number(Layer::L1, *number).is_some());
    let number = known.ok_or_else(|| Refusal(StatusCode::NOT_FOUND, "Block not found".to_owned()))?;
    let kept = node.chain.sidecars.get(&number).cloned().unwrap_or_default();
    Ok((kept.into_iter().enumerate().collect(), number <= node.finalized(Layer::L1)))
}

/// What the faults make of a blob; none when it is not served at all.
fn served(node: &mut Node, one: &Sidecar) -> Option<Vec<u8>> {
    if node.dice.has(Fault::MissingSidecar) && node.chain.sidecar_to_lose() == Some(one.versioned_hash) {
        return None;
    }
    let mut blob = one.blob();
    // Not the first byte of an element: it stays one of the field, so that only the commitment tells.
    if node.spoils_at_first(Fault::CorruptSidecar, one.versioned_hash, SPOILED)
        && let Some(byte) = blob.get_mut(usize::from(one.versioned_hash[1] % 31).saturating_add(1))
    {
        *byte ^= 1;
    }
    Some(blob)
}
