//! The ports: HTTP and WebSocket for the chains, HTTP for the proxy, on loopback.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::{
    block::Stored,
    fault::Transport,
    node::{Layer, Node},
    rpc,
};

/// How many heads a slow subscriber may fall behind before it misses some.
const HEADS_KEPT: usize = 1_024;
/// White space after an answer that is too large: more than a client should read for a
/// block of 60 million gas full of logs, which is some 40 MB.
const OVERSIZE: usize = 192 * 1024 * 1024;

/// What every port shares.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    node: Arc<Mutex<Node>>,
    heads: broadcast::Sender<(Layer, Stored)>,
    pub(crate) stop: CancellationToken,
}

impl Shared {
    pub(crate) fn new(node: Node) -> Self {
        let (heads, _) = broadcast::channel(HEADS_KEPT);
        Self { node: Arc::new(Mutex::new(node)), heads, stop: CancellationToken::new() }
    }

    /// Works on the node; new heads are announced afterwards.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Node) -> T) -> T {
        let mut node: MutexGuard<'_, Node> = self.node.lock().unwrap_or_else(PoisonError::into_inner);
        let result = work(&mut node);
        for head in node.take_announced() {
            // Nobody subscribed is not an error.
            drop(self.heads.send(head));
        }
        result
    }
}

/// The routes of a chain's endpoint.
pub(crate) fn chain_routes(shared: Shared, layer: Layer) -> Router {
    Router::new().route("/", post(over_http).get(over_websocket)).with_state((shared, layer))
}

async fn over_http(State((shared, layer)): State<(Shared, Layer)>, body: Bytes) -> Response {
    let transport = shared.with(|node| node.dice.transport());
    if matches!(transport, Transport::TooMany(_)) {
        return spoil(transport, Response::default()).await;
    }
    let answer = shared.with(|node| rpc::respond(node, layer, &body)).unwrap_or_default();
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    spoil(transport, (json, answer).into_response()).await
}

/// Does to an answer what the dice decided.
pub(crate) async fn spoil(transport: Transport, response: Response) -> Response {
    match transport {
        Transport::Clean => response,
        Transport::Slow(millis) => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            response
        }
        Transport::TooMany(seconds) => {
            let mut refused = (StatusCode::TOO_MANY_REQUESTS, "too many requests").into_response();
            if let Some(seconds) = seconds {
                refused.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            refused
        }
        Transport::Drop | Transport::Truncated | Transport::Oversized => reshape(transport, response).await,
    }
}

async fn reshape(transport: Transport, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.remove(header::CONTENT_LENGTH);
    let half = whole.slice(..whole.len() / 2);
    let body = match transport {
        Transport::Drop => {
            let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
            Body::from_stream(stream::iter([Ok(half), Err(broken)]))
        }
        Transport::Truncated => Body::from(half),
        _ => {
            let blank = Bytes::from(vec![b' '; 1024 * 1024]);
            let pages = std::iter::repeat_n(blank, OVERSIZE / (1024 * 1024));
            Body::from_stream(stream::iter(std::iter::once(whole).chain(pages).map(Ok::<_, std::io::Error>)))
        }
    };
    Response::from_parts(parts, body)
}

async fn over_websocket(State((shared, layer)): State<(Shared, Layer)>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| talk(shared, layer, socket))
}

async fn talk(shared: Shared, layer: Layer, mut socket: WebSocket) {
    let mut heads = shared.heads.subscribe();
    let mut subscriptions: Vec<String> = Vec::new();
    let mut made = 0_u64;
    loop {
        let outgoing: Vec<String> = tokio::select! {
            () = shared.stop.cancelled() => return,
            head = heads.recv() => match head {
                Ok((of, block)) if of == layer => {
                    let header = block.header();
                    subscriptions.iter().map(|id| rpc::new_head(id, block.hash, &header)).collect()
                }
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => Vec::new(),
                Err(broadcast::error::RecvError::Closed) => return,
            },
            message = socket.next() => {
                let body = match message {
                    Some(Ok(Message::Text(text))) => Bytes::from(text),
                    Some(Ok(Message::Binary(bytes))) => bytes,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                };
                match shared.with(|node| node.dice.transport()) {
                    Transport::Drop | Transport::Truncated => return,
                    Transport::Slow(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
                    // A refusal has no status code here; it is an error like providers send it.
                    Transport::TooMany(_) => {
                        let refused = refuse(&body);
                        if socket.send(Message::Text(refused.into())).await.is_err() {
                            return;
                        }
                        continue;
                    }
                    Transport::Clean | Transport::Oversized => {}
                }
                let known = subscription(&body, &mut subscriptions, &mut made);
                known.or_else(|| shared.with(|node| rpc::respond(node, layer, &body))).into_iter().collect()
            }
        };
        for text in outgoing {
            if socket.send(Message::Text(text.into())).await.is_err() {
                return;
            }
        }
    }
}

fn refuse(body: &[u8]) -> String {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let id = request.get("id").cloned().unwrap_or_default();
    rpc::failed(&id, -32005, "rate limit exceeded")
}

/// Answers `eth_subscribe` and `eth_unsubscribe`, which belong to a connection and not
/// to the node. None for anything else.
fn subscription(body: &[u8], subscriptions: &mut Vec<String>, made: &mut u64) -> Option<String> {
    let request: Value = serde_json::from_slice(body).ok()?;
    let method = request.get("method")?.as_str()?;
    let id = request.get("id").cloned().unwrap_or_default();
    let first = request.get("params").and_then(|params| params.get(0)).and_then(Value::as_str).unwrap_or_default();
    match method {
        "eth_subscribe" if first == "newHeads" => {
            *made = made.saturating_add(1);
            let name = format!("{made:#x}");
            let answer = rpc::succeeded(&id, &json!(name).to_string());
            subscriptions.push(name);
            Some(answer)
        }
        "eth_subscribe" => Some(rpc::failed(&id, -32602, &format!("no {first:?} subscription in eth namespace"))),
        "eth_unsubscribe" => {
            let before = subscriptions.len();
            subscriptions.retain(|name| name != first);
            Some(if subscriptions.len() < before {
                rpc::succeeded(&id, "true")
            } else {
                rpc::failed(&id, -32000, "subscription not found")
            })
        }
        _ => None,
    }
}
