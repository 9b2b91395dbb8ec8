//! An EigenDA proxy for tests on chains we do not simulate: blobs by keccak commitment, on the proxy's own routes.

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::routing::get;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tributary_schemas::payload_codec;

use alloy::primitives::{B256, Bytes, hex, keccak256};

use crate::local::LocalServer;

type Blobs = Arc<Mutex<BTreeMap<B256, Vec<u8>>>>;

/// The proxy; dropped, it stops.
#[derive(Debug)]
pub struct BlobServer {
    blobs: Blobs,
    server: LocalServer,
}

impl BlobServer {
    /// Starts it on a free loopback port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> std::io::Result<Self> {
        let blobs = Blobs::default();
        let routes = Router::new().route("/get/{commitment}", get(serve)).with_state(Arc::clone(&blobs));
        Ok(Self { blobs, server: LocalServer::start(routes).await? })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Keeps a payload and gives the reference a contract is told: `00 ‖ keccak256(payload)`.
    #[must_use]
    pub fn put(&self, payload: &[u8]) -> Bytes {
        let hash = keccak256(payload);
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner).insert(hash, payload.to_vec());
        [&[0][..], hash.as_slice()].concat().into()
    }
}

async fn serve(
    State(blobs): State<Blobs>,
    Path(commitment): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Vec<u8>, StatusCode> {
    let bytes = hex::decode(&commitment).map_err(|_wrong| StatusCode::BAD_REQUEST)?;
    let [0, hash @ ..] = bytes.as_slice() else { return Err(StatusCode::BAD_REQUEST) };
    let hash = B256::try_from(hash).map_err(|_wrong| StatusCode::BAD_REQUEST)?;
    let payload = blobs.lock().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned();
    let payload = payload.ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
    if query.unwrap_or_default().contains("return_encoded_payload") {
        return payload_codec::encode(&payload).map_err(|_wrong| StatusCode::INTERNAL_SERVER_ERROR);
    }
    Ok(payload)
}
