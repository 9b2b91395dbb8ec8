//! Nodes: asked over HTTP or WebSocket, several at once, none of them trusted.
//!
//! ```text
//! Pool::call ──▶ pick an endpoint ──▶ gate (rate, concurrency) ──▶ alloy client ──▶ node
//!     ▲                                                               │
//!     └── wait, or take another endpoint ◀── transient ◀──────────────┤
//!         quarantine                     ◀── lie, wrong chain ◀───────┘
//! ```
//!
//! An endpoint is up, failing or quarantined. Failing is survived: broken connections, status 429 with and without
//! `Retry-After`, truncated or oversized bodies, answers that take longer than the deadline. Each is retried with a
//! back-off that the [`Clock`] measures. Quarantine is for endpoints that lie, and lasts until the
//! process is started again, because an endpoint that lied once has no word left to clear itself with; the reason is
//! kept and shown.
//!
//! The answers are alloy's raw JSON: its response types are stricter than nodes are (Anvil writes a deposit's type
//! as `0x7E`), and [`verify`](crate::verify) reads the text without building them.

mod agreement;
mod execution;
mod gate;
mod health;
mod http;
mod pool;
mod server;
mod socket;

use alloy::{
    rpc::client::{ClientBuilder, RpcClient},
    transports::{RpcError, TransportError, TransportErrorKind},
};
use serde_json::{Value, value::RawValue};
use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use url::Url;

use crate::{
    Clock, IndexerError,
    endpoint::{gate::Gate, socket::OneSocket},
};

pub(crate) use agreement::{Agreed, Question};
pub(crate) use execution::is_reverted;
pub use health::{EndpointHealth, EndpointState};
pub use http::BoundedHttp;
pub(crate) use http::{read_bounded, reason, retry_after};
pub(crate) use pool::names;
pub use pool::{Answer, EndpointId, Pool, Preference};
pub(crate) use server::{REASON_BYTES_MAX, Server, excerpt};

/// How endpoints are asked.
#[derive(Debug, Clone)]
pub struct EndpointOptions {
    /// Requests a second to one endpoint, none for as many as it takes.
    pub requests_per_second: Option<NonZeroU32>,
    /// Requests under way at one endpoint at most. The gate begins low, grows while answers come and halves when
    /// the endpoint complains.
    pub concurrency_max: usize,
    /// Bytes of one answer at most.
    pub response_bytes_max: usize,
    /// How long one answer may take.
    pub deadline: Duration,
    /// How often a request is tried, over all endpoints.
    pub attempts_max: u32,
    /// The first pause after a failure; each further one is twice as long.
    pub backoff_first: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
}

impl Default for EndpointOptions {
    fn default() -> Self {
        Self {
            requests_per_second: None,
            concurrency_max: 32,
            // A block of 60 million gas full of logs is some 40 MB of JSON.
            response_bytes_max: 128 << 20,
            deadline: Duration::from_secs(30),
            attempts_max: 8,
            backoff_first: Duration::from_millis(100),
            backoff_max: Duration::from_secs(20),
        }
    }
}

impl EndpointOptions {
    /// The pause before the `attempt`-th repetition, counted from zero.
    #[must_use]
    pub fn backoff(&self, attempt: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempt).unwrap_or(u32::MAX);
        std::cmp::min(self.backoff_first.saturating_mul(factor), self.backoff_max)
    }
}

/// Why one attempt failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Another attempt may succeed; not before so long, when the endpoint says so.
    Transient { reason: String, after: Option<Duration>, limited: bool },
    /// The endpoint will say the same again.
    Refused(String),
    /// The endpoint is out, for this reason.
    Quarantined(String),
}

impl Failure {
    pub(crate) fn transient(reason: impl Into<String>) -> Self {
        Self::Transient { reason: reason.into(), after: None, limited: false }
    }

    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Transient { reason, .. } | Self::Refused(reason) | Self::Quarantined(reason) => reason,
        }
    }
}

/// How long a subscription is waited for: heads can be asked for instead.
const SUBSCRIBE_DEADLINE: Duration = Duration::from_secs(5);

/// What is asked in one request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asked<'a> {
    /// One call with these parameters.
    One(&'a Value),
    /// A batch of calls, one for each of these parameters: the answer is the array of their answers.
    Each(&'a [Value]),
}

/// One node.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) name: String,
    url: Url,
    chain_id: u64,
    options: EndpointOptions,
    clock: Arc<dyn Clock>,
    gate: Gate,
    health: Mutex<EndpointHealth>,
    client: tokio::sync::Mutex<Option<RpcClient>>,
}

impl Endpoint {
    pub(crate) fn new(
        name: String,
        url: Url,
        chain_id: u64,
        options: EndpointOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, IndexerError> {
        if !matches!(url.scheme(), "http" | "https" | "ws" | "wss") {
            let reason = format!("scheme {:?}: expected http, https, ws or wss", url.scheme());
            return Err(IndexerError::Configuration { what: format!("endpoint {name}"), reason });
        }
        Ok(Self {
            gate: Gate::new(options.concurrency_max, options.requests_per_second, Arc::clone(&clock)),
            health: Mutex::new(EndpointHealth::new(name.clone())),
            client: tokio::sync::Mutex::new(None),
            name,
            url,
            chain_id,
            options,
            clock,
        })
    }

    /// Whether it announces new heads by itself.
    pub(crate) fn subscribes(&self) -> bool {
        matches!(self.url.scheme(), "ws" | "wss")
    }

    /// One attempt at one request.
    pub(crate) async fn call(
        &self,
        method: &'static str,
        asked: Asked<'_>,
        deadline: Duration,
    ) -> Result<Box<RawValue>, Failure> {
        if let Some(reason) = self.health(|health| health.quarantine().map(str::to_owned)) {
            return Err(Failure::Quarantined(reason));
        }
        let _pass = self.gate.enter().await;
        let answer = self.within(deadline, self.ask(method, asked)).await;
        let answered_at = self.clock.now_ms();
        self.health(|health| health.record(&answer, answered_at));
        match &answer {
            Ok(_) => self.gate.widen(),
            Err(Failure::Transient { .. }) => self.gate.narrow(),
            Err(Failure::Refused(_) | Failure::Quarantined(_)) => {}
        }
        answer
    }

    /// A stream of announcements of new heads. What they say is not used: they only wake up whoever follows.
    pub(crate) async fn subscribe(&self) -> Result<alloy::pubsub::RawSubscription, Failure> {
        self.within(std::cmp::min(self.options.deadline, SUBSCRIBE_DEADLINE), async {
            let client = self.client().await?;
            let frontend = client.pubsub_frontend().ok_or_else(|| Failure::Refused("no subscriptions".to_owned()))?;
            let mut call = client.request::<_, alloy_primitives::B256>("eth_subscribe", ("newHeads",));
            call.set_is_subscription();
            let id = call.await.map_err(|error| classify(&error))?;
            frontend.get_subscription(id).await.map_err(|error| classify(&error))
        })
        .await
    }

    pub(crate) fn health<T>(&self, with: impl FnOnce(&mut EndpointHealth) -> T) -> T {
        with(&mut self.health.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn within<T>(
        &self,
        deadline: Duration,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            done = work => return done,
            () = self.clock.deadline(deadline) => {}
        }
        if self.subscribes() {
            // A socket that stays silent is given up: the next attempt connects again.
            if let Ok(mut kept) = self.client.try_lock() {
                *kept = None;
            }
        }
        Err(Failure::transient(format!("no answer within {} ms", deadline.as_millis())))
    }

    async fn ask(&self, method: &'static str, asked: Asked<'_>) -> Result<Box<RawValue>, Failure> {
        let client = self.client().await?;
        let answer = match asked {
            Asked::One(params) => client.request::<_, Box<RawValue>>(method, params.clone()).await,
            Asked::Each(all) => each(&client, method, all).await,
        };
        if let Err(RpcError::Transport(TransportErrorKind::BackendGone)) = &answer {
            // The socket is gone: the next attempt connects again.
            *self.client.lock().await = None;
        }
        if method == "eth_call"
            && let Err(RpcError::ErrorResp(payload)) = &answer
            && let Some(judged) = execution::judge(payload)
        {
            return judged;
        }
        answer.map_err(|error| classify(&error))
    }

    /// The client, connected, to the right chain.
    async fn client(&self) -> Result<RpcClient, Failure> {
        let mut kept = self.client.lock().await;
        if let Some(client) = kept.as_ref() {
            return Ok(client.clone());
        }
        // Boxed: a socket's handshake is 24 KB of future that every caller's future would hold.
        let client = Box::pin(self.connect()).await?;
        let told: String = client.request("eth_chainId", ()).await.map_err(|error| classify(&error))?;
        judge_chain_id(&told, self.chain_id).map_err(Failure::Quarantined)?;
        *kept = Some(client.clone());
        Ok(client)
    }

    async fn connect(&self) -> Result<RpcClient, Failure> {
        if self.subscribes() {
            let socket = OneSocket::new(&self.url, self.options.response_bytes_max);
            return ClientBuilder::default().pubsub(socket).await.map_err(|error| classify(&error));
        }
        let transport = BoundedHttp::new(self.url.clone(), self.options.response_bytes_max)
            .map_err(|error| Failure::Refused(error.to_string()))?;
        Ok(RpcClient::new(transport, true))
    }
}

/// Whether a chain id is the one expected; else what is wrong with it.
fn judge_chain_id(told: &str, expected: u64) -> Result<(), String> {
    let told = told.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    if told == Some(expected) {
        return Ok(());
    }
    let told = told.map_or_else(|| "nothing readable".to_owned(), |id| id.to_string());
    Err(format!("chain id expected {expected}, got {told}"))
}

/// Asks the same for many parameters in one batch; the answers as one array, in the order of the parameters.
async fn each(client: &RpcClient, method: &'static str, all: &[Value]) -> Result<Box<RawValue>, TransportError> {
    let mut batch = client.new_batch();
    let mut waiters = Vec::with_capacity(all.len());
    for params in all {
        waiters.push(batch.add_call::<_, Box<RawValue>>(method, params)?);
    }
    batch.send().await?;
    let mut answers = Vec::with_capacity(waiters.len());
    for waiter in waiters {
        answers.push(waiter.await?);
    }
    array(&answers).map_err(|error| TransportError::deser_err(error, ""))
}

/// Answers as one array.
pub(crate) fn array(answers: &[Box<RawValue>]) -> Result<Box<RawValue>, serde_json::Error> {
    serde_json::value::to_raw_value(answers)
}

/// What alloy's error means for whoever may ask again.
fn classify(error: &TransportError) -> Failure {
    match error {
        RpcError::ErrorResp(payload) => {
            let reason = format!("error {}: {}", payload.code, payload.message);
            match payload.code {
                // Method not found, invalid params, invalid request, and a call that reverts (3): ours or theirs, but the
                // same every time.
                -32602..=-32600 | 3 => Failure::Refused(reason),
                // -32005 limit exceeded, 429 and -32029 by some providers.
                -32005 | 429 | -32029 => Failure::Transient { reason, after: None, limited: true },
                _ => Failure::transient(reason),
            }
        }
        RpcError::Transport(kind) => match kind.as_http_error() {
            Some(http) => {
                let reason = format!("status {}", http.status);
                match http.status {
                    429 => Failure::Transient { reason, after: kind.retry_after(), limited: true },
                    408 | 425 => Failure::Transient { reason, after: kind.retry_after(), limited: false },
                    // A node is asked where it is configured: to follow a redirect would be to ask somebody else.
                    300..=499 => Failure::Refused(reason),
                    _ => Failure::Transient { reason, after: kind.retry_after(), limited: false },
                }
            }
            None => Failure::transient(kind.to_string()),
        },
        RpcError::DeserError { err, .. } => Failure::transient(format!("unreadable answer: {err}")),
        other => Failure::transient(other.to_string()),
    }
}
