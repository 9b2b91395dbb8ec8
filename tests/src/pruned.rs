//! A node that may be without the state of its blocks: it passes on what another one says, and refuses `eth_call` as geth
//! does that has pruned the state, for as long as it is told to.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::local::LocalServer;

/// What it speaks.
const JSON: &str = "application/json";

/// The node; dropped, it stops.
#[derive(Debug)]
pub struct Pruned {
    shared: Arc<Shared>,
    server: LocalServer,
}

#[derive(Debug)]
struct Shared {
    node: String,
    http: reqwest::Client,
    is_pruned: AtomicBool,
}

impl Pruned {
    /// Starts it before another node, by HTTP on a free loopback port; without state at first.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(node: &str) -> std::io::Result<Self> {
        let (node, http, is_pruned) = (node.to_owned(), reqwest::Client::new(), AtomicBool::new(true));
        let shared = Arc::new(Shared { node, http, is_pruned });
        let routes = Router::new().route("/", post(answer)).with_state(Arc::clone(&shared));
        Ok(Self { shared, server: LocalServer::start(routes).await? })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// From now on it has the state, or has not.
    pub fn set(&self, is_pruned: bool) {
        self.shared.is_pruned.store(is_pruned, Ordering::SeqCst);
    }
}

async fn answer(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    if asked["method"] == "eth_call" && shared.is_pruned.load(Ordering::SeqCst) {
        let error = json!({ "code": -32000, "message": "missing trie node 12 (path )" });
        return axum::Json(json!({ "jsonrpc": "2.0", "id": asked["id"], "error": error })).into_response();
    }
    let request = shared.http.post(&shared.node).header("content-type", JSON).body(body);
    let said = async { request.send().await?.bytes().await };
    match said.await {
        Ok(said) => ([(header::CONTENT_TYPE, JSON)], said).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
