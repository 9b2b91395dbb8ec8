//! Connections of HTTP, and how long they may stay.
//!
//! `axum::serve` waits for a client as long as the client likes, so connections are served by what is beneath it: a head
//! has its time to arrive, a connection on which nothing happens ends, and there are only so many of them (`doors`).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::ApiConfig;
use super::doors::{Doors, Visitor, Work};
use crate::error::ApiError;

/// How long a connection that has to end may take to send what it began.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Pause after a connection that could not be accepted, most likely for want of file descriptors.
const PAUSE: Duration = Duration::from_secs(1);
/// So many of them one after the other, and the server ends: a minute in which nobody was let in.
const PAUSES_MAX: usize = 60;

/// Lets connections in and serves each in a task of its own, until the token is cancelled and they have ended.
pub(crate) async fn accept<S>(
    listener: TcpListener,
    address: SocketAddr,
    stop: CancellationToken,
    mut serve: impl FnMut(TcpStream, SocketAddr) -> S,
) -> Result<(), ApiError>
where
    S: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut failures = 0;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((socket, peer)) => {
                failures = 0;
                // Without it small answers would wait for those before them to be acknowledged.
                let _best_effort = socket.set_nodelay(true);
                connections.spawn(serve(socket, peer));
            }
            // The client was gone before it was let in.
            Err(cause) if is_the_clients(&cause) => {}
            Err(source) if failures == PAUSES_MAX => return Err(ApiError::Serve { address, source }),
            Err(cause) => {
                tracing::warn!(%cause, %address, "a connection cannot be accepted");
                failures += 1;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    Ok(())
}

fn is_the_clients(cause: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(cause.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves HTTP until the token is cancelled and what is at work is answered.
pub(super) fn answer(
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    config: &ApiConfig,
    stop: CancellationToken,
) -> impl Future<Output = Result<(), ApiError>> + Send + 'static {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(config.header_deadline);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(config.header_deadline);
    let (doors, idle, ended) = (Doors::new(config.connections_max), config.idle_deadline, stop.clone());
    let serve = move |socket, peer| {
        let served = Served { builder: builder.clone(), router: router.clone(), peer, idle, stop: stop.clone() };
        let visitor = doors.enter();
        async move {
            // Where everybody inside is at work, the door stays shut.
            if let Some(visitor) = visitor {
                Box::pin(served.serve(socket, visitor)).await;
            }
        }
    };
    accept(listener, address, ended, serve)
}

/// A connection to be served.
struct Served {
    builder: Builder<TokioExecutor>,
    router: Router,
    peer: SocketAddr,
    idle: Duration,
    stop: CancellationToken,
}

impl Served {
    async fn serve(self, socket: TcpStream, visitor: Visitor) {
        let visitor = Arc::new(visitor);
        let (router, peer, working) = (self.router, self.peer, Arc::clone(&visitor));
        let service = service_fn(move |request: Request<Incoming>| {
            let work = working.work();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let answered = router.clone().oneshot(request);
            async move {
                let answered: Result<_, Infallible> = answered.await;
                answered.map(|response| response.map(|body| Answering { body, work }))
            }
        });
        let connection = self.builder.serve_connection_with_upgrades(TokioIo::new(socket), service);
        let mut connection = std::pin::pin!(connection);
        let (mut mark, mut stopping) = (visitor.mark(), false);
        loop {
            tokio::select! {
                biased;
                _ended = connection.as_mut() => return,
                () = visitor.leave().cancelled() => break,
                () = self.stop.cancelled(), if !stopping => {
                    connection.as_mut().graceful_shutdown();
                    stopping = true;
                }
                () = tokio::time::sleep(self.idle) => {
                    let now = visitor.mark();
                    if now == mark {
                        break;
                    }
                    mark = now;
                }
            }
        }
        connection.as_mut().graceful_shutdown();
        let _ended = tokio::time::timeout(LAST_WORDS, connection).await;
    }
}

/// The body of an answer: its connection is at work until it is sent, and goes on with each part that is taken.
struct Answering {
    body: Body,
    work: Work,
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() {
            self.work.goes_on();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
