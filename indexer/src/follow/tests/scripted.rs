//! A node on loopback that shows what a test tells it: chains of empty blocks, and every kind of bad manners.

use alloy::consensus::{Header, constants::EMPTY_ROOT_HASH};
use alloy_primitives::{B256, Bytes};
use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeSet, VecDeque},
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, task::JoinSet};

/// What a node shows at one time.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    pub(super) chain: Arc<Vec<Header>>,
    hashes: Arc<BTreeSet<String>>,
    pub(super) finalized: usize,
}

impl View {
    pub(super) fn new(chain: &[Header], finalized: usize) -> Self {
        let hashes = chain.iter().map(|header| header.hash_slow().to_string()).collect();
        Self { chain: Arc::new(chain.to_vec()), hashes: Arc::new(hashes), finalized }
    }
}

/// What happens to an answer.
#[derive(Debug, Clone)]
pub(super) enum Manners {
    Good,
    Status(u16, Option<u64>),
    Cut,
    Hang,
    Huge(usize),
    Null,
    /// The answer with every occurrence of a text replaced.
    Replaced(String, String),
}

/// A view and the requests it answers; the last one stays.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) views: VecDeque<View>,
    /// Manners of the next answers to methods that contain the text.
    pub(super) manners: VecDeque<(&'static str, Manners)>,
    pub(super) chain_id: u64,
    pub(super) requests: Vec<String>,
    /// Whether the view moves on with every question about the latest block.
    pub(super) moves: bool,
}

#[derive(Debug)]
pub(super) struct Scripted {
    pub(super) url: String,
    pub(super) script: Arc<Mutex<Script>>,
    _tasks: JoinSet<()>,
}

impl Scripted {
    pub(super) async fn start(script: Script) -> Self {
        Self::start_at(1, script).await
    }

    /// On a host of its own, 127.0.0.`host`.
    pub(super) async fn start_at(host: u8, script: Script) -> Self {
        let script = Arc::new(Mutex::new(script));
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, host), 0)).await.unwrap();
        let url = format!("http://{}/some-key", listener.local_addr().unwrap());
        let routes = Router::new().fallback(post(answer)).with_state(Arc::clone(&script));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, script, _tasks: tasks }
    }

    pub(super) fn with<T>(&self, with: impl FnOnce(&mut Script) -> T) -> T {
        with(&mut self.script.lock().unwrap())
    }
}

/// A child of a block, with a mark that makes it another one than its siblings.
pub(super) fn child(parent: Option<&Header>, mark: u8) -> Header {
    Header {
        number: parent.map_or(0, |parent| parent.number + 1),
        timestamp: parent.map_or(1_750_000_000, |parent| parent.timestamp + 2),
        parent_hash: parent.map_or(B256::ZERO, Header::hash_slow),
        extra_data: Bytes::copy_from_slice(&[mark]),
        transactions_root: EMPTY_ROOT_HASH,
        receipts_root: EMPTY_ROOT_HASH,
        base_fee_per_gas: Some(7),
        ..Header::default()
    }
}

/// A chain of a length, above a shared part of another.
pub(super) fn branch(of: &[Header], shared: usize, length: usize, mark: u8) -> Vec<Header> {
    let mut chain = of[..shared].to_vec();
    while chain.len() < length {
        chain.push(child(chain.last(), mark));
    }
    chain
}

async fn answer(State(script): State<Arc<Mutex<Script>>>, body: String) -> Response {
    let request: Value = serde_json::from_str(&body).unwrap();
    let method = request["method"].as_str().unwrap();
    let (result, manners) = {
        let mut script = script.lock().unwrap();
        script.requests.push(format!("{method} {}", request["params"]));
        let manners = match script.manners.front() {
            Some((what, _)) if format!("{method} {}", request["params"]).contains(what) => {
                script.manners.pop_front().unwrap().1
            }
            _ => Manners::Good,
        };
        (result(&mut script, method, &request["params"]), manners)
    };
    let text = json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string();
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    match manners {
        Manners::Good => (json, text).into_response(),
        Manners::Null => {
            (json, json!({"jsonrpc": "2.0", "id": request["id"], "result": null}).to_string()).into_response()
        }
        Manners::Replaced(old, new) => (json, text.replace(&old, &new)).into_response(),
        Manners::Cut => (json, text[..text.len() / 2].to_owned()).into_response(),
        Manners::Huge(bytes) => (json, text + &" ".repeat(bytes)).into_response(),
        Manners::Status(status, after) => {
            let mut headers = HeaderMap::new();
            if let Some(after) = after {
                headers.insert(header::RETRY_AFTER, after.into());
            }
            (StatusCode::from_u16(status).unwrap(), headers, "no").into_response()
        }
        Manners::Hang => Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>()).into_response(),
    }
}

fn result(script: &mut Script, method: &str, params: &Value) -> Value {
    if method == "eth_chainId" {
        return json!(format!("{:#x}", script.chain_id));
    }
    let which = params[0].as_str().unwrap_or_default();
    if method == "eth_getBlockByNumber" && which == "latest" && script.moves && script.views.len() > 1 {
        script.views.pop_front();
    }
    let view = script.views.front().cloned().unwrap_or_default();
    match method {
        "eth_getBlockByNumber" => {
            let at = match which {
                "latest" => view.chain.len().checked_sub(1),
                "safe" | "finalized" => Some(view.finalized),
                number => usize::from_str_radix(&number[2..], 16).ok(),
            };
            at.and_then(|at| view.chain.get(at)).map_or(Value::Null, shown)
        }
        "eth_getBlockReceipts" => {
            if view.hashes.contains(which) {
                json!([])
            } else {
                Value::Null
            }
        }
        _ => Value::Null,
    }
}

fn shown(header: &Header) -> Value {
    let mut shown = serde_json::to_value(header).unwrap();
    shown["hash"] = json!(header.hash_slow());
    shown["transactions"] = json!([]);
    shown
}
