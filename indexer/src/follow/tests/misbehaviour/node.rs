//! A node that passes on what an honest one says, and misbehaves in one way.

use axum::{
    Router,
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::header,
    response::{IntoResponse, Response},
    routing::post,
};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Hashes of blocks that were made up, and what they were made from.
pub(super) type MadeUp = BTreeMap<String, String>;

/// What a node does to a request whose method and parameters contain a text.
#[derive(Clone, Copy)]
pub(super) enum Deed {
    /// Asks the honest node something else.
    Asks(&'static str, fn(&mut Value)),
    /// Changes the result; says whether there was something to change.
    Result(&'static str, fn(&mut Value, &mut MadeUp) -> bool),
    /// Changes the JSON-RPC answer around the result.
    Answer(&'static str, fn(&mut Value)),
    /// Changes the text of the answer.
    Text(&'static str, fn(String) -> String),
    /// Sends another HTTP response.
    Http(&'static str, fn() -> Response),
    /// Knows receipts one by one only, and changes the answers of a batch.
    Batch(fn(&mut Vec<Value>)),
    /// Does something else with a connection.
    Tcp(fn(TcpStream) -> BoxFuture<'static, ()>),
    /// Listens nowhere.
    Absent,
    /// Sends other messages over a WebSocket than the answer.
    Socket(&'static str, fn(&str) -> Vec<Message>),
}

pub(super) struct Node {
    pub(super) url: String,
    _tasks: JoinSet<()>,
}

struct Inner {
    deed: Deed,
    honest: String,
    client: reqwest::Client,
    left: Mutex<u32>,
    made_up: Mutex<MadeUp>,
}

impl Node {
    /// A node that misbehaves so many times, in front of an honest one. It has a host of its own, 127.0.0.`host`.
    pub(super) async fn start(host: u8, deed: Deed, honest: &str, times: u32) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, host), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        let inner = Arc::new(Inner {
            deed,
            honest: honest.to_owned(),
            client: reqwest::Client::new(),
            left: Mutex::new(times),
            made_up: Mutex::default(),
        });
        match deed {
            Deed::Absent => drop(listener),
            Deed::Tcp(talk) => {
                tasks.spawn(accept(listener, inner, talk));
            }
            _ => {
                let routes = Router::new().fallback(post(over_http).get(over_socket)).with_state(inner);
                tasks.spawn(async move { axum::serve(listener, routes).await.unwrap() });
            }
        }
        let scheme = if matches!(deed, Deed::Socket(..)) { "ws" } else { "http" };
        // What stands between the socket and an honest node does not read the path.
        let path = if matches!(deed, Deed::Tcp(_)) { "" } else { "some-key" };
        Self { url: format!("{scheme}://{address}/{path}"), _tasks: tasks }
    }
}

async fn accept(listener: TcpListener, inner: Arc<Inner>, talk: fn(TcpStream) -> BoxFuture<'static, ()>) {
    let mut talks = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        if inner.strikes() {
            talks.spawn(talk(stream));
            continue;
        }
        let honest = inner.honest.trim_start_matches("http://").trim_end_matches('/').to_owned();
        talks.spawn(async move {
            let mut other = TcpStream::connect(honest).await.unwrap();
            // Either side may hang up first.
            drop(tokio::io::copy_bidirectional(&mut stream, &mut other).await);
        });
    }
}

async fn over_http(State(inner): State<Arc<Inner>>, body: String) -> Response {
    let request: Value = serde_json::from_str(&body).unwrap();
    if let Deed::Http(what, make) = inner.deed
        && label(&request).contains(what)
        && inner.strikes()
    {
        return make();
    }
    ([(header::CONTENT_TYPE, "application/json")], inner.answer(request).await).into_response()
}

async fn over_socket(State(inner): State<Arc<Inner>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| talk(inner, socket))
}

async fn talk(inner: Arc<Inner>, mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(text) = message else { continue };
        let request: Value = serde_json::from_str(&text).unwrap();
        let label = label(&request);
        let answer = inner.answer(request).await;
        let messages = match inner.deed {
            Deed::Socket(what, make) if label.contains(what) && inner.strikes() => make(&answer),
            _ => vec![Message::Text(answer.into())],
        };
        for message in messages {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    }
}

/// Method and parameters; of a batch the method of its first request.
fn label(request: &Value) -> String {
    match request {
        Value::Array(all) => format!("batch of {}", all[0]["method"]),
        one => format!("{} {}", one["method"].as_str().unwrap(), one["params"]),
    }
}

impl Inner {
    fn strikes(&self) -> bool {
        let mut left = self.left.lock().unwrap();
        let strikes = *left > 0;
        *left = left.saturating_sub(1);
        strikes
    }

    async fn answer(&self, mut request: Value) -> String {
        let label = label(&request);
        if label.starts_with("eth_subscribe") {
            return json!({"jsonrpc": "2.0", "id": request["id"], "result": "0x5"}).to_string();
        }
        if matches!(self.deed, Deed::Batch(_)) && label.starts_with("eth_getBlockReceipts") {
            let error = json!({"code": -32601, "message": "the method does not exist"});
            return json!({"jsonrpc": "2.0", "id": request["id"], "error": error}).to_string();
        }
        if let Deed::Asks(what, change) = self.deed
            && label.contains(what)
            && self.strikes()
        {
            change(&mut request);
        }
        let mut body = request.to_string();
        for (made_up, real) in self.made_up.lock().unwrap().iter() {
            body = body.replace(made_up, real);
        }
        let sent = self.client.post(&self.honest).body(body).send().await.unwrap();
        self.changed(&label, sent.text().await.unwrap())
    }

    fn changed(&self, label: &str, text: String) -> String {
        let mut left = self.left.lock().unwrap();
        if *left == 0 {
            return text;
        }
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        let did = match self.deed {
            Deed::Result(what, change) if label.contains(what) => {
                change(&mut answer["result"], &mut self.made_up.lock().unwrap())
            }
            Deed::Answer(what, change) if label.contains(what) => {
                change(&mut answer);
                true
            }
            Deed::Batch(change) if label.starts_with("batch") => {
                change(answer.as_array_mut().unwrap());
                true
            }
            Deed::Text(what, change) if label.contains(what) => {
                *left -= 1;
                return change(text);
            }
            _ => false,
        };
        if !did {
            return text;
        }
        *left -= 1;
        answer.to_string()
    }
}
