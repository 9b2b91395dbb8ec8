//! Archived blobs on the routes of the EigenDA proxy, so that an op-node, or another follower, can fall back on this
//! archive: `GET /get/[0x]00<keccak256 of the payload, 64 hex digits>`.
//!
//! The statuses say what the reader may conclude. 200: these bytes have the hash, it was checked just now. 404: they
//! are not in this archive. A proxy never says that; an op-node reads it as "not found", which for a commitment by
//! hash is what OP's own DA server says. 400: the commitment is malformed. 403: certificates, in the modes `op generic`
//! and `standard`, are not served, as by a proxy whose API for them is off. It must be neither 404 nor 418: the first
//! says that the data is gone, the second that the certificate is void for ever, and we know neither. 405: there is
//! nothing to write here, and 503, which makes a batcher fail over to Ethereum, is never the answer to a write.

use std::sync::Arc;

use alloy_primitives::{B256, hex};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{any, get};
use tokio::sync::OwnedSemaphorePermit;
use tributary_schemas::payload_codec;

use super::App;
use super::routes::{FOR_EVER, RequestId, WAIT_FOR_ROOM, answer, overloaded, problem};
use crate::error::{ErrorCode, Refusal};

/// Blobs that are being read or sent at a time. One is at most 16 MiB, and twice that while it is encoded.
pub(super) const AT_ONCE_MAX: usize = 8;

const EXPECTED: &str = "expected 00 and the keccak256 of the payload, 66 hex digits in all, with or without 0x";

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/get/{commitment}", get(read).fallback(read_only))
        .route("/put", any(read_only))
        .route("/put/", any(read_only))
        .route("/put/{commitment}", any(read_only))
}

async fn read_only(Extension(RequestId(id)): Extension<RequestId>) -> Response {
    let refusal = Refusal::new(ErrorCode::ReadOnly, "this archive is only read: expected GET /get/<commitment>");
    let mut response = problem(&refusal, &id);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

async fn read(
    State(app): State<Arc<App>>,
    Extension(RequestId(id)): Extension<RequestId>,
    Path(commitment): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let (hash, form) = match asked(&commitment, &query.unwrap_or_default()) {
        Ok(asked) => asked,
        Err(refusal) => return problem(&refusal, &id),
    };
    let Ok(Ok(room)) = tokio::time::timeout(WAIT_FOR_ROOM, Arc::clone(&app.blob_room).acquire_owned()).await else {
        return overloaded(&id);
    };
    let found = tokio::task::spawn_blocking(move || blob(&app, hash, form)).await;
    match found.unwrap_or_else(|cause| Err(Refusal::internal("reading a blob", &cause))) {
        Ok(bytes) => {
            // The room is taken until the last byte is sent.
            let body = Body::from(Bytes::from_owner(Sent { bytes, _room: room }));
            let mut response = answer(StatusCode::OK, "application/octet-stream", body);
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
            response
        }
        Err(refusal) => problem(&refusal, &id),
    }
}

/// In which form bytes are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Payload,
    Encoded,
}

struct Sent {
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What is asked for. The mode is said by the query and never guessed: in the mode `standard`, 00 begins a certificate.
fn asked(commitment: &str, query: &str) -> Result<(B256, Form), Refusal> {
    let mut form = Form::Payload;
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "commitment_mode" if value == "standard" => return Err(certificate()),
            "return_encoded_payload" if ["", "1", "true"].contains(&value.to_ascii_lowercase().as_str()) => {
                form = Form::Encoded;
            }
            _ => {}
        }
    }
    let malformed =
        |got: String| Refusal::new(ErrorCode::BadRequest, format!("malformed commitment: {got}: {EXPECTED}"));
    let bytes = hex::decode(commitment).map_err(|error| malformed(format!("it is no hex ({error})")))?;
    match bytes.as_slice() {
        [0, hash @ ..] => match B256::try_from(hash) {
            Ok(hash) => Ok((hash, form)),
            Err(_) => Err(malformed(format!("{} bytes after 00", hash.len()))),
        },
        [1, _, ..] => Err(certificate()),
        [kind, ..] => Err(malformed(format!("it begins with {kind:02x}"))),
        [] => Err(malformed("it is empty".to_owned())),
    }
}

fn certificate() -> Refusal {
    Refusal::new(ErrorCode::NotOffered, format!("this archive is by hash, it serves no certificates: {EXPECTED}"))
}

fn blob(app: &App, hash: B256, form: Form) -> Result<Vec<u8>, Refusal> {
    let found = app.archive.get(hash).map_err(|cause| Refusal::internal("reading a blob", &cause))?;
    let absent = || Refusal::new(ErrorCode::NotFound, format!("blob {hash} is not in this archive"));
    let payload = found.ok_or_else(absent)?;
    match form {
        Form::Payload => Ok(payload),
        Form::Encoded => payload_codec::encode(&payload).map_err(|cause| Refusal::internal("encoding a blob", &cause)),
    }
}

#[cfg(test)]
mod tests;
