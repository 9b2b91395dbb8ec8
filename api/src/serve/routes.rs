//! The routes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Extension, OriginalUri, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::json;
use tracing::Instrument as _;

use super::stream::{self, Answering};
use super::{App, blobs, exports, metrics, sql, trace, wire};
use crate::error::{ErrorCode, Refusal};
use crate::graphql::{self, Asked};
use crate::limits::{Remaining, client};
use crate::pinned::Reply;
use crate::view;

/// How long a request waits for room.
pub(super) const WAIT_FOR_ROOM: Duration = Duration::from_millis(500);
/// How to keep what its address names by content.
pub(super) const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Pages run our own scripts and talk to our own server, and nothing else. Charts set inline styles.
const CONTENT_SECURITY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; worker-src 'self' blob:; manifest-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PAGE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Tributary: GraphQL</title>\
     <h1>GraphQL</h1><p>Send a POST with a JSON body <code>{\"query\": \"…\"}</code> to this address. <a \
     href=\"/graphiql\">GraphiQL</a> writes one for you; the schema is at <a href=\"/schema.graphql\">/schema.graphql</a>.\
     </p></html>";

/// The id of a request, for its answer and the log.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) String);

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client(pub(super) std::net::IpAddr);

pub(super) fn router(app: Arc<App>) -> Router {
    let limited = Router::new()
        .route("/graphql", post(graphql_post).get(graphql_get))
        .route("/v1/sql", post(sql::sql))
        .merge(blobs::routes())
        .merge(exports::routes())
        .layer(DefaultBodyLimit::max(app.config.body_bytes_max))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), admit));
    Router::new()
        .route("/schema.graphql", get(schema_text))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .merge(limited)
        .merge(exports::files_routes())
        .fallback(page)
        .layer(middleware::from_fn(wire::compress))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), wire::cross_origin))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), identify))
        .with_state(app)
}

/// What operators ask, on an address of their own.
pub(super) fn operators(app: Arc<App>) -> Router {
    Router::new()
        .route("/metrics", get(metrics_text))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), identify))
        .with_state(app)
}

async fn metrics_text(State(app): State<Arc<App>>, Extension(RequestId(id)): Extension<RequestId>) -> Response {
    match metrics::text(&app).await {
        Ok(text) => answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text),
        Err(refusal) => problem(&refusal, &id),
    }
}

/// Gives every request an id and a span, and every answer its safety headers.
async fn identify(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let id = format!("{:08x}", app.requests.fetch_add(1, Ordering::Relaxed));
    request.extensions_mut().insert(RequestId(id.clone()));
    let (path, began) = (request.uri().path().to_owned(), tokio::time::Instant::now());
    let span = trace::begin(&id, &request);
    let mut response = next.run(request).instrument(span.clone()).await;
    trace::end(&span, response.status());
    app.counters.answered(&path, response.status().as_u16(), began.elapsed());
    let headers = response.headers_mut();
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    headers.entry("content-security-policy").or_insert(HeaderValue::from_static(CONTENT_SECURITY));
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert("x-request-id", id);
    }
    response
}

/// Charges the client one unit and waits for room.
async fn admit(
    State(app): State<Arc<App>>,
    Extension(RequestId(id)): Extension<RequestId>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let asking = match app.keys.client(request.headers()) {
        Ok(key) => key.unwrap_or_else(|| client(peer.ip(), request.headers(), &app.config.trusted_proxies)),
        Err(refusal) => {
            let mut response = problem(&refusal, &id);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return response;
        }
    };
    let left = match app.limiter.charge(asking, 1) {
        Ok(left) => left,
        Err(none) => return too_many(&app, none, &id),
    };
    let mut request = match wire::body_in_time(&app, request).await {
        Ok(request) => request,
        Err(refusal) => {
            let mut response = problem(&refusal, &id);
            if refusal.code == ErrorCode::TooLarge {
                *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            }
            app.limiter.tell(left, response.headers_mut());
            return response;
        }
    };
    let Ok(Ok(_room)) = tokio::time::timeout(WAIT_FOR_ROOM, app.room.acquire()).await else {
        return overloaded(&id);
    };
    request.extensions_mut().insert(Client(asking));
    let mut response = next.run(request).await;
    let left = response.extensions().get::<Left>().map_or(left, |left| left.0);
    app.limiter.tell(left, response.headers_mut());
    response
}

pub(super) fn overloaded(id: &str) -> Response {
    problem(&Refusal::new(ErrorCode::Overloaded, "more requests at once than this server takes"), id)
}

/// What a handler left of the quota.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left(pub(super) Remaining);

pub(super) fn too_many(app: &App, left: Remaining, id: &str) -> Response {
    let wait = left.wait.unwrap_or_default().as_secs().saturating_add(1);
    let refusal = Refusal::new(ErrorCode::RateLimited, format!("too many requests: try again in {wait} s"));
    let mut response = problem(&refusal, id);
    app.limiter.tell(left, response.headers_mut());
    response.extensions_mut().insert(Left(left));
    response
}

/// A refusal as problem details (RFC 9457).
pub(super) fn problem(refusal: &Refusal, id: &str) -> Response {
    let status = StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("error"),
        "status": status.as_u16(),
        "detail": refusal.message,
        "code": refusal.code.as_str(),
        "requestId": id,
    });
    let mut response = answer(status, "application/problem+json", body.to_string());
    if refusal.code == ErrorCode::Overloaded {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

pub(super) fn answer(status: StatusCode, media_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn graphql_post(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(asking): Extension<Client>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    graphql_any(&app, &id.0, asking, &headers, None, Asked::from_body(&headers, &body)).await
}

async fn graphql_get(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(asking): Extension<Client>,
    OriginalUri(uri): OriginalUri,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    headers: HeaderMap,
) -> Response {
    if let Ok(upgrade) = upgrade {
        let answering = Answering::new(&app, asking, &id.0);
        let talk = stream::websocket(upgrade, answering, app.config.body_bytes_max);
        return talk.unwrap_or_else(|refusal| problem(&refusal, &id.0));
    }
    match uri.query() {
        None if accepts(&headers, "text/html") => answer(StatusCode::OK, "text/html; charset=utf-8", PAGE),
        query => {
            let query = query.unwrap_or_default();
            graphql_any(&app, &id.0, asking, &headers, Some(query), Asked::from_query(query)).await
        }
    }
}

/// Whether a header of the request names something.
pub(super) fn mentions(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    headers.get_all(name).iter().any(|value| value.to_str().is_ok_and(|text| text.contains(word)))
}

fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    mentions(headers, &header::ACCEPT, media_type)
}

/// One answer, or a stream of events for whoever takes no other.
async fn graphql_any(
    app: &Arc<App>,
    id: &str,
    asking: Client,
    headers: &HeaderMap,
    address: Option<&str>,
    asked: Result<Asked, Refusal>,
) -> Response {
    let asked = asked.and_then(|asked| asked.with_document(&app.config.documents));
    if !accepts(headers, "text/event-stream") {
        return graphql_answer(app, id, asking, headers, address, asked).await;
    }
    let events = asked.and_then(|asked| stream::events(&Answering::new(app, asking, id), asked));
    events.unwrap_or_else(|refusal| problem(&refusal, id))
}

async fn graphql_answer(
    app: &App,
    id: &str,
    Client(asking): Client,
    headers: &HeaderMap,
    address: Option<&str>,
    asked: Result<Asked, Refusal>,
) -> Response {
    let strict = graphql::is_strict(headers);
    let (mut left, mut run) = (None, None);
    let ready = asked.and_then(|asked| app.engine.prepare(asked)).and_then(graphql::not_watching);
    let mut response = match ready {
        Err(refusal) => graphql::refuse(&refusal),
        Ok(ready) => {
            if ready.units() > 0 {
                match app.limiter.charge(asking, ready.units()) {
                    Ok(now) => left = Some(now),
                    Err(none) => return too_many(app, none, id),
                }
            }
            let pinned = async { app.shelf.newest_of(sql::generation(headers)?).await };
            match pinned.await {
                Err(refusal) => graphql::refuse(&refusal),
                Ok(pinned) => {
                    // Another generation may answer one day, unless this one is named.
                    let named = headers.contains_key(sql::GENERATION);
                    let asked = ready.asked((strict, named), address);
                    if let Some(reply) = pinned.replies.get(&asked) {
                        app.counters.replied();
                        return told(headers, strict, &reply, id, left);
                    }
                    let reads = Arc::new(view::Request::new(Arc::clone(&pinned), Arc::clone(&app.tokens)));
                    let response = app.engine.run(ready, &reads, app.config.deadline).await;
                    run = Some((pinned, asked, reads, named));
                    response
                }
            }
        }
    };
    let status = graphql::finish(&mut response, id, strict);
    graphql::codes(&response).for_each(|code| app.counters.error(code));
    let body = serde_json::to_string(&response).unwrap_or_else(|cause| {
        tracing::error!(%cause, request = id, "an answer cannot be written as JSON");
        String::from("{\"errors\":[{\"message\":\"the answer cannot be written\"}]}")
    });
    if let Some((pinned, asked, reads, named)) = run.filter(|_| response.errors.is_empty()) {
        let generation = reads.mapping_set_hash();
        let tag = address.map(|address| wire::tag((address, &generation), strict, &response.data));
        if let Some(body) = body.strip_suffix(&ending(id)) {
            let reply = Reply { body: body.to_owned(), tag, fixed: named && reads.is_fixed() };
            let response = told(headers, strict, &reply, id, left);
            if reads.is_of_snapshot() {
                let bytes = reply.body.len();
                pinned.replies.keep(asked, Arc::new(reply), bytes);
            }
            return response;
        }
    }
    with_left(answer(status, media_type(strict), body), left)
}

const fn media_type(strict: bool) -> &'static str {
    if strict { "application/graphql-response+json" } else { "application/json" }
}

fn with_left(mut response: Response, left: Option<Remaining>) -> Response {
    if let Some(left) = left {
        response.extensions_mut().insert(Left(left));
    }
    response
}

/// What an answer without errors ends with: the last of its extensions is the id of the request.
fn ending(id: &str) -> String {
    format!("{id}\"}}}}")
}

/// An answer without errors; that it is as it was, where the client has it.
fn told(headers: &HeaderMap, strict: bool, reply: &Reply, id: &str, left: Option<Remaining>) -> Response {
    let known = reply.tag.as_ref().is_some_and(|tag| mentions(headers, &header::IF_NONE_MATCH, tag));
    let mut response = if known {
        let mut response = answer(StatusCode::NOT_MODIFIED, "application/json", Body::empty());
        response.headers_mut().remove(header::CONTENT_TYPE);
        response
    } else {
        answer(StatusCode::OK, media_type(strict), format!("{}{}", reply.body, ending(id)))
    };
    if let Some(tag) = &reply.tag {
        wire::keep(response.headers_mut(), tag, reply.fixed);
    }
    with_left(response, left)
}

async fn schema_text(State(app): State<Arc<App>>) -> Response {
    answer(StatusCode::OK, "text/plain; charset=utf-8", app.sdl.clone())
}

/// Ready means: there is a snapshot, the follower says that it has caught up, and the roots agree with the chain.
async fn ready(State(app): State<Arc<App>>, Extension(RequestId(id)): Extension<RequestId>) -> Response {
    let pinned = match app.shelf.newest().await {
        Ok(pinned) => pinned,
        Err(refusal) => return problem(&refusal, &id),
    };
    let dir = pinned.folder.clone();
    let told = tokio::task::spawn_blocking(move || tributary_store::read_status(&dir)).await;
    let told = match told {
        Ok(Ok(Some(told))) => told,
        Ok(Ok(None)) => {
            return problem(&Refusal::new(ErrorCode::NotReady, "the follower has not said where it is"), &id);
        }
        Ok(Err(cause)) => return problem(&Refusal::internal("reading the follower's status", &cause), &id),
        Err(cause) => return problem(&Refusal::internal("reading the follower's status", &cause), &id),
    };
    if told.head.is_none() || told.lag_blocks > app.config.ready_lag_max {
        let message = format!("{} blocks behind: expected at most {}", told.lag_blocks, app.config.ready_lag_max);
        return problem(&Refusal::new(ErrorCode::NotReady, message), &id);
    }
    match pinned.alarms().await {
        Err(refusal) => return problem(&refusal, &id),
        Ok(found) => {
            if let Some(first) = found.iter().find(|alarm| alarm.kind.is_difference()) {
                let message = format!("epoch {} is not what the chain says: {}", first.epoch, first.detail);
                return problem(&Refusal::new(ErrorCode::NotReady, message), &id);
            }
        }
    }
    let heads = &pinned.snapshot.heads;
    let body = json!({ "ready": true, "snapshot": pinned.snapshot.version, "block": heads.block_number, "lagBlocks": told.lag_blocks });
    answer(StatusCode::OK, "application/json", body.to_string())
}

/// A page of the dashboard; the program knows no others.
async fn page(
    State(app): State<Arc<App>>,
    Extension(RequestId(id)): Extension<RequestId>,
    method: Method,
    OriginalUri(uri): OriginalUri,
) -> Response {
    let path = uri.path().trim_start_matches('/');
    let found = app.dashboard.as_ref().and_then(|assets| assets(path));
    match found {
        Some((media_type, bytes)) if method == Method::GET || method == Method::HEAD => {
            let mut response = answer(StatusCode::OK, media_type, bytes.into_owned());
            // Vite puts a hash of the content into the names of files under assets/.
            let keep = if path.starts_with("assets/") { FOR_EVER } else { "no-cache" };
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
            response
        }
        _ => problem(&Refusal::new(ErrorCode::NotFound, format!("nothing is at {}", uri.path())), &id),
    }
}
