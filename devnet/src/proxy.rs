//! The EigenDA proxy's REST routes, with its status semantics.
//!
//! What each status means is what it means of the real proxy: 200 bytes, 400 a request that is wrong, 403 a part of
//! the API that is switched off, 418 a certificate that is void for ever (and why, by code), 500 everything else.
//! There is no 404: a blob that is not there is a 500. 503 comes from `POST` only. Where
//! [`DevnetConfig::certificates`](crate::DevnetConfig) is off, only the keccak part of the API is on.

mod request;

use alloy_primitives::{B256, Bytes, keccak256};
use axum::{
    Router,
    extract::{Path, RawQuery, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use tributary_schemas::{
    eigenda::{Certificate, router},
    payload_codec,
};

use crate::{
    disperser::Content,
    fault::{Fault, Transport},
    node::Node,
    proxy::request::{Api, Asked, Query, Refusal, Void},
    serve::{Shared, spoil},
    truth::TruthBatch,
};

/// One blob in so many is served wrong at first by the faults about that.
const SPOILED: u8 = 4;

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

const fn enabled(node: &Node) -> &'static [Api] {
    if node.config.certificates { &[Api::OpGeneric, Api::OpKeccak, Api::Standard] } else { &[Api::OpKeccak] }
}

async fn config(State(shared): State<Shared>) -> Response {
    let json = shared.with(|node| {
        json!({
            "version": "tributary-devnet/1",
            "chain_id": node.config.l1_chain_id.to_string(),
            "directory_address": node.chain.world.disperser.directory,
            "cert_verifier_address": node.chain.world.disperser.router,
            "max_payload_size_bytes": payload_codec::PAYLOAD_BYTES_MAX,
            "apis_enabled": enabled(node).iter().map(|api| api.name()).collect::<Vec<_>>(),
            "read_only_mode": false,
        })
    });
    axum::Json(json).into_response()
}

async fn read(State(shared): State<Shared>, Path(commitment): Path<String>, RawQuery(query): RawQuery) -> Response {
    let transport = shared.with(|node| node.dice.transport());
    if matches!(transport, Transport::TooMany(_)) {
        return spoil(transport, Response::default()).await;
    }
    let answer = shared.with(|node| {
        let query = Query::parse(query.as_deref())?;
        let served = match Asked::parse(&commitment, query, enabled(node))? {
            Asked::Keccak(digest) => by_digest(node, &digest)?,
            Asked::Certificate(serialized) => by_certificate(node, &request::certificate(&serialized, query)?)?,
        };
        served.bytes(query.encoded)
    });
    let octets = [(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))];
    spoil(transport, answer.map(|bytes| (octets, bytes)).into_response()).await
}

async fn write(
    State(shared): State<Shared>,
    Path(commitment): Path<String>,
    body: axum::body::Bytes,
) -> Result<StatusCode, Refusal> {
    let Asked::Keccak(digest) = Asked::parse(&commitment, Query::default(), &[Api::OpKeccak])? else {
        return Err(Refusal::Bad("only a keccak commitment can be chosen by who puts".to_owned()));
    };
    if keccak256(&body) != digest {
        return Err(Refusal::Bad(format!("keccak256 of the payload is not {digest}")));
    }
    shared.with(|node| node.chain.world.blobs.insert(digest, Bytes::from(body)));
    Ok(StatusCode::OK)
}

/// Dispersal, which this proxy leaves to the chain: the one call that may be answered 503.
async fn write_anywhere() -> (StatusCode, &'static str) {
    (StatusCode::SERVICE_UNAVAILABLE, "no disperser: fail over to another form of commitment")
}

/// What is answered for a commitment, be it right or not.
struct Served(Content);

impl Served {
    fn bytes(self, encoded: bool) -> Result<axum::body::Bytes, Refusal> {
        match self.0 {
            content if encoded => Ok(content.encoded().into()),
            Content::Payload { bytes, .. } => Ok(bytes.0),
            Content::Undecodable(encoded) => match payload_codec::decode(&encoded) {
                Ok(payload) => Ok(payload.into()),
                Err(error) => Err(Refusal::Void(Void::Decode, error.to_string())),
            },
        }
    }
}

fn by_digest(node: &mut Node, digest: &B256) -> Result<Served, Refusal> {
    let stored = node.chain.world.blobs.get(digest).cloned();
    let payload = stored.ok_or_else(|| gone(digest))?;
    let others = &node.chain.world.blobs;
    let other = others.range::<B256, _>(..digest).next_back().or_else(|| others.last_key_value());
    let other = other.filter(|(key, _)| *key != digest).map(|(_, payload)| shortest(payload.clone()));
    misserved(node, digest, shortest(payload), other)
}

fn by_certificate(node: &mut Node, certificate: &Certificate) -> Result<Served, Refusal> {
    let disperser = &node.chain.world.disperser;
    if !disperser.vouches(&router::abi_encoded(certificate)) {
        return Err(Refusal::Void(Void::Invalid, "checkDACert: invalid certificate".to_owned()));
    }
    let key = keccak256(certificate.encode());
    let content = disperser.content(certificate).cloned().ok_or_else(|| gone(&key))?;
    let other = disperser.neighbour(certificate).cloned();
    // Which blobs are lost or damaged is decided by payload, so that it is the same in every form of commitment.
    let subject = match &content {
        Content::Payload { bytes, .. } => keccak256(bytes),
        Content::Undecodable(encoded) => keccak256(encoded),
    };
    if node.spoils_at_first(Fault::VoidClaim, subject, SPOILED) {
        return Err(Refusal::Void(Void::Invalid, "checkDACert: invalid certificate".to_owned()));
    }
    misserved(node, &subject, content, other)
}

/// What the faults make of what is stored.
fn misserved(node: &mut Node, digest: &B256, content: Content, other: Option<Content>) -> Result<Served, Refusal> {
    let lost = node.chain.world.batch_to_lose().filter(|batch| batch.payload_hash == *digest);
    if let Some(deadline) = lost.map(|batch| deadline(node, batch))
        && (node.dice.has(Fault::MissingBlob) || node.withholds(*digest, deadline))
    {
        return Err(gone(digest));
    }
    if let Some(other) = other
        && node.spoils_at_first(Fault::WrongBlob, *digest, SPOILED)
    {
        return Ok(Served(other));
    }
    if let Content::Payload { bytes, elements } = &content
        && node.spoils_at_first(Fault::CorruptBlob, *digest, SPOILED)
    {
        let mut damaged = bytes.to_vec();
        if let Some(byte) = damaged.get_mut(usize::from(digest[1])) {
            *byte ^= 0x40;
        }
        return Ok(Served(Content::Payload { bytes: damaged.into(), elements: *elements }));
    }
    Ok(Served(content))
}

/// The block at which a blob that nobody had is declared missing.
const fn deadline(node: &Node, batch: &TruthBatch) -> u64 {
    batch.block.saturating_add(node.config.workload.policy.blob_deadline_blocks)
}

/// A payload encoded as short as it can be.
fn shortest(bytes: Bytes) -> Content {
    let elements = (1 + bytes.len().div_ceil(31)).next_power_of_two();
    Content::Payload { bytes, elements }
}

fn gone(key: &B256) -> Refusal {
    Refusal::Failed(format!("all retrievers failed for {key}"))
}
