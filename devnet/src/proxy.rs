//! The EigenDA proxy's REST routes, with its status semantics.
//!
//! Only the keccak form of commitments (`0x00 ‖ keccak256(payload)`) is served; the
//! certificate forms are answered as a proxy answers what it cannot parse. There is no
//! 404: a blob that is not there is a 500, as with the real one, and 400 means that the
//! request was wrong.

use alloy_primitives::{B256, Bytes, hex, keccak256};
use axum::{
    Router,
    extract::{Path, RawQuery, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use tributary_schemas::payload_codec;

use crate::{
    fault::{Fault, Transport},
    node::Node,
    serve::{Shared, spoil},
};

/// How often a damaged blob is served before the right one.
const DAMAGED_ANSWERS: u32 = 2;

/// The routes.
pub(crate) fn routes(shared: Shared) -> Router {
    Router::new()
        .route("/get/{commitment}", get(read))
        .route("/put/{commitment}", post(write))
        .route("/put/", post(write_anywhere))
        .route("/put", post(write_anywhere))
        .route("/health", get(|| async { StatusCode::OK }))
        .route("/config", get(config))
        .layer(axum::extract::DefaultBodyLimit::max(16 * 1024 * 1024))
        .with_state(shared)
}

async fn config() -> Response {
    let json = json!({
        "version": "tributary-devnet/1",
        "chain_id": "0",
        "directory_address": "",
        "cert_verifier_address": "",
        "max_payload_size_bytes": payload_codec::PAYLOAD_BYTES_MAX,
        "apis_enabled": ["op-keccak"],
        "read_only_mode": false,
    });
    axum::Json(json).into_response()
}

async fn read(State(shared): State<Shared>, Path(commitment): Path<String>, RawQuery(query): RawQuery) -> Response {
    let transport = shared.with(|node| node.dice.transport());
    if matches!(transport, Transport::TooMany(_)) {
        return spoil(transport, Response::default()).await;
    }
    let answer = match (digest(&commitment), wants_encoded(query.as_deref())) {
        (Ok(digest), Ok(encoded)) => shared.with(|node| payload(node, &digest, encoded)),
        (Err(refusal), _) => Err(refusal),
        (_, Err(reason)) => Err((StatusCode::BAD_REQUEST, reason)),
    };
    let octets = [(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))];
    spoil(transport, answer.map(|bytes| (octets, bytes.0)).into_response()).await
}

async fn write(
    State(shared): State<Shared>,
    Path(commitment): Path<String>,
    body: axum::body::Bytes,
) -> Result<StatusCode, (StatusCode, String)> {
    let digest = digest(&commitment)?;
    if keccak256(&body) != digest {
        return Err((StatusCode::BAD_REQUEST, format!("keccak256 of the payload is not {digest}")));
    }
    shared.with(|node| node.chain.world.blobs.insert(digest, Bytes::from(body)));
    Ok(StatusCode::OK)
}

/// Dispersal to a network there is none of: the one call that may be answered 503.
async fn write_anywhere() -> (StatusCode, &'static str) {
    (StatusCode::SERVICE_UNAVAILABLE, "no disperser: fail over to another form of commitment")
}

fn digest(commitment: &str) -> Result<B256, (StatusCode, String)> {
    let text = commitment.strip_prefix("0x").unwrap_or(commitment);
    let bytes = hex::decode(text).map_err(|error| (StatusCode::BAD_REQUEST, format!("bad hex: {error}")))?;
    match bytes.split_first() {
        Some((0, digest)) if digest.len() == 32 => Ok(B256::from_slice(digest)),
        Some((0, digest)) => {
            Err((StatusCode::BAD_REQUEST, format!("a keccak commitment has 32 bytes, not {}", digest.len())))
        }
        Some((1, _)) => {
            let body = json!({"StatusCode": 1, "Msg": "this proxy parses no certificates"});
            Err((StatusCode::IM_A_TEAPOT, body.to_string()))
        }
        Some((other, _)) => Err((StatusCode::BAD_REQUEST, format!("unknown commitment type {other}"))),
        None => Err((StatusCode::BAD_REQUEST, "empty commitment".to_owned())),
    }
}

fn wants_encoded(query: Option<&str>) -> Result<bool, String> {
    let mut encoded = false;
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "return_encoded_payload" => match value {
                "" | "true" | "1" => encoded = true,
                "false" | "0" => {}
                other => return Err(format!("return_encoded_payload: {other:?} is not a bool")),
            },
            "l1_inclusion_block_number" if value.parse::<u64>().is_err() => {
                return Err(format!("l1_inclusion_block_number: {value:?} is not a number"));
            }
            _ => {}
        }
    }
    Ok(encoded)
}

/// A payload that may be answered in place of the stored one.
struct Served(axum::body::Bytes);

fn payload(node: &mut Node, digest: &B256, encoded: bool) -> Result<Served, (StatusCode, String)> {
    let gone = || (StatusCode::INTERNAL_SERVER_ERROR, format!("all retrievers failed for {digest}"));
    if node.dice.has(Fault::MissingBlob) && node.chain.world.blob_to_lose() == Some(*digest) {
        return Err(gone());
    }
    let mut payload = node.chain.world.blobs.get(digest).cloned().ok_or_else(gone)?.to_vec();
    if node.dice.chosen(Fault::CorruptBlob, digest.as_slice(), 4) {
        let answers = node.damaged.entry(*digest).or_insert(0);
        *answers = answers.saturating_add(1);
        if *answers <= DAMAGED_ANSWERS
            && let Some(byte) = payload.get_mut(usize::from(digest[1]))
        {
            *byte ^= 0x40;
        }
    }
    if encoded {
        payload =
            payload_codec::encode(&payload).map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    }
    Ok(Served(payload.into()))
}
