//! Subscriptions on the wire: graphql-transport-ws over WebSocket, and server-sent events.
//!
//! Both pass the guard and the quota like any other request. A client that does not take what it asked for is let go,
//! with a reason where its protocol has one; nothing is kept for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::http::{WebSocket as Protocol, WebSocketProtocols as Protocols, WsMessage};
use async_graphql::{Data, Executor};
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::stream::{self, BoxStream, StreamExt as _};
use futures::{SinkExt as _, future};
use tokio::sync::Semaphore;

use super::App;
use super::routes::Client;
use crate::error::{ErrorCode, Refusal};
use crate::graphql::{self, Asked, Ready};
use crate::live::{Live, Spoken};
use crate::view;

/// The one protocol spoken.
const PROTOCOL: &str = "graphql-transport-ws";
/// Subscriptions of one connection.
const PER_CONNECTION: usize = 32;
/// How long a client may take to say hello, and to take a message.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a silent connection is asked whether it is still there.
const PING: Duration = Duration::from_secs(25);
/// The status of graphql-transport-ws for a hello that did not come.
const HELLO_TIMEOUT: u16 = 4408;
/// The status of WebSocket for a server that goes away.
const GOING_AWAY: u16 = 1001;

/// Answers one client's operations, one after the other or at once.
#[derive(Clone)]
pub(super) struct Answering {
    app: Arc<App>,
    asking: Client,
    id: String,
    room: Arc<Semaphore>,
}

impl Answering {
    pub(super) fn new(app: &Arc<App>, asking: Client, id: &str) -> Self {
        Self { app: Arc::clone(app), asking, id: id.to_owned(), room: Arc::new(Semaphore::new(PER_CONNECTION)) }
    }

    /// The answers to a request that passed the guard: one, or an event after the other.
    fn answers(&self, ready: Ready) -> Result<BoxStream<'static, async_graphql::Response>, Refusal> {
        let (app, id) = (Arc::clone(&self.app), self.id.clone());
        if !ready.watches() {
            let answer = async move {
                let mut response = match app.shelf.newest().await {
                    Err(refusal) => graphql::refuse(&refusal),
                    Ok(pinned) => {
                        let reads = Arc::new(view::Request::new(pinned, Arc::clone(&app.tokens)));
                        app.engine.run(ready, &reads, app.config.deadline).await
                    }
                };
                graphql::finish(&mut response, &id, true);
                response
            };
            return Ok(stream::once(answer).boxed());
        }
        let full = |_| Refusal::new(ErrorCode::Overloaded, "more subscriptions at once than this server takes");
        let place = Arc::clone(&app.live.room).try_acquire_owned().map_err(full)?;
        let own = Arc::clone(&self.room).try_acquire_owned().map_err(full)?;
        let (live, spoken): (Arc<Live>, _) = (Arc::clone(&app.live), Arc::new(Spoken::default()));
        let told = Arc::clone(&spoken);
        let events = app.engine.watch(ready, |request| request.data(live).data(told)).map(move |mut response| {
            let _places = (&place, &own);
            if let Some(as_of) = spoken.as_of() {
                response.extensions.insert("asOf".to_owned(), as_of);
            }
            graphql::finish(&mut response, &id, true);
            response
        });
        Ok(events.take_until(self.app.stop.clone().cancelled_owned()).boxed())
    }

    fn asked(&self, asked: Asked) -> Result<BoxStream<'static, async_graphql::Response>, Refusal> {
        let ready = self.app.engine.prepare(asked)?;
        let charged = self.app.limiter.charge(self.asking.0, ready.units().saturating_add(1));
        charged.map_err(|none| {
            let wait = none.wait.unwrap_or_default().as_secs().saturating_add(1);
            Refusal::new(ErrorCode::RateLimited, format!("too many requests: try again in {wait} s"))
        })?;
        self.answers(ready)
    }
}

impl Executor for Answering {
    async fn execute(&self, request: async_graphql::Request) -> async_graphql::Response {
        let mut all = self.execute_stream(request, None);
        let none = || graphql::refuse(&Refusal::new(ErrorCode::Overloaded, "the server stops"));
        all.next().await.unwrap_or_else(none)
    }

    fn execute_stream(
        &self,
        request: async_graphql::Request,
        _session: Option<Arc<Data>>,
    ) -> BoxStream<'static, async_graphql::Response> {
        let asked = Asked::of(request.query, request.variables, request.operation_name);
        let asked = asked.with_document(&self.app.config.documents);
        asked.and_then(|asked| self.asked(asked)).unwrap_or_else(|refusal| {
            let mut response = graphql::refuse(&refusal);
            graphql::finish(&mut response, &self.id, true);
            stream::once(future::ready(response)).boxed()
        })
    }
}

/// A WebSocket of graphql-transport-ws.
pub(super) fn websocket(
    upgrade: WebSocketUpgrade,
    answering: Answering,
    most_bytes: usize,
) -> Result<Response, Refusal> {
    let upgrade = upgrade.protocols([PROTOCOL]).max_message_size(most_bytes).max_frame_size(most_bytes);
    if upgrade.selected_protocol().is_none() {
        let message = format!("sec-websocket-protocol names no protocol spoken here: expected {PROTOCOL}");
        return Err(Refusal::new(ErrorCode::BadRequest, message));
    }
    Ok(upgrade.on_upgrade(move |socket| Box::pin(converse(socket, answering))))
}

async fn converse(socket: WebSocket, answering: Answering) {
    let stop = answering.app.stop.clone();
    let (mut sink, stream) = socket.split();
    let (greeted, mut hello) = tokio::sync::oneshot::channel();
    let bytes = stream.take_while(|message| future::ready(message.is_ok())).filter_map(|message| {
        future::ready(match message {
            Ok(Message::Text(text)) => Some(text.as_bytes().to_vec()),
            Ok(Message::Binary(bytes)) => Some(bytes.to_vec()),
            _ => None,
        })
    });
    let protocol = Protocol::new(answering, Box::pin(bytes), Protocols::GraphQLWS);
    let mut protocol = std::pin::pin!(protocol.on_connection_init(move |_| {
        let _heard = greeted.send(());
        future::ready(Ok(Data::default()))
    }));
    let mut patience = std::pin::pin!(tokio::time::sleep(PATIENCE));
    let mut silent = true;
    let mut ping = tokio::time::interval(PING);
    loop {
        let message = tokio::select! {
            () = stop.cancelled() => close(GOING_AWAY, "the server stops"),
            _ = &mut hello, if silent => { silent = false; continue }
            () = &mut patience, if silent => close(HELLO_TIMEOUT, "Connection initialisation timeout"),
            _ = ping.tick() => Message::Ping(axum::body::Bytes::new()),
            said = protocol.next() => match said {
                Some(WsMessage::Text(text)) => Message::Text(text.into()),
                Some(WsMessage::Close(code, reason)) => close(code, &reason),
                None => return,
            },
        };
        let last = matches!(message, Message::Close(_));
        match tokio::time::timeout(PATIENCE, sink.send(message)).await {
            Ok(Ok(())) if !last => {}
            Ok(_) => return,
            Err(_) => {
                tracing::info!(seconds = PATIENCE.as_secs(), "a client that does not take its events is let go");
                return;
            }
        }
    }
}

fn close(code: u16, reason: &str) -> Message {
    Message::Close(Some(CloseFrame { code, reason: reason.into() }))
}

/// Server-sent events: `next` with an answer each, then `complete`.
pub(super) fn events(answering: &Answering, asked: Asked) -> Result<Response, Refusal> {
    let answers = answering.asked(asked)?.map(|response| {
        let text = serde_json::to_string(&response).unwrap_or_default();
        Event::default().event("next").data(text)
    });
    let all = answers.chain(stream::once(async { Event::default().event("complete").data("") }));
    let sse = Sse::new(all.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::new());
    Ok(sse.into_response())
}
