//! What every answer on the wire has in common: bodies that come in time, compression, and which pages of other origins
//! may ask.

use std::io::Write as _;
use std::sync::Arc;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::App;
use super::routes::{FOR_EVER, answer, mentions};
use crate::error::{ErrorCode, Refusal};

/// Smaller answers are sent as they are.
const COMPRESSED_MIN: u64 = 1 << 10;
/// Larger answers are sent as they are: who wants so much asks for Parquet.
const COMPRESSED_MAX: u64 = 16 << 20;
/// What pages of other origins may read of an answer.
const EXPOSED: &str = "etag, ratelimit, ratelimit-policy, retry-after, x-request-id, x-tributary-generation";
/// What pages of other origins may send.
const ACCEPTED: &str = "accept, authorization, content-type, if-none-match, x-tributary-generation";

/// The body of a request, read before the request takes room from others: a client that sends slowly, or never ends,
/// waits alone.
pub(super) async fn body_in_time(app: &App, request: Request) -> Result<Request, Refusal> {
    let (parts, body) = request.into_parts();
    let most = app.config.body_bytes_max;
    let patience = app.config.body_deadline;
    match tokio::time::timeout(patience, to_bytes(body, most)).await {
        Ok(Ok(bytes)) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Ok(Err(_)) => Err(Refusal::new(ErrorCode::TooLarge, format!("the body is larger than {most} bytes"))),
        Err(_) => {
            let message = format!("the body took longer than {} ms", patience.as_millis());
            Err(Refusal::new(ErrorCode::BodyTimeout, message))
        }
    }
}

/// Compresses answers for whoever takes gzip.
pub(super) async fn compress(request: Request, next: Next) -> Response {
    let takes = mentions(request.headers(), &header::ACCEPT_ENCODING, "gzip");
    let response = next.run(request).await;
    let size = response.body().size_hint().exact().unwrap_or(0);
    let headers = response.headers();
    let text = ["application/", "text/", "image/svg"].iter().any(|kind| is(headers, kind));
    if !takes || !text || !(COMPRESSED_MIN..=COMPRESSED_MAX).contains(&size) {
        return response;
    }
    // A strong tag names these very bytes, which somebody may fetch in parts.
    let strong = headers.get(header::ETAG).is_some_and(|tag| !tag.as_bytes().starts_with(b"W/"));
    if strong || headers.contains_key(header::CONTENT_ENCODING) || headers.contains_key(header::CONTENT_RANGE) {
        return response;
    }
    gzipped(response).await
}

fn is(headers: &HeaderMap, kind: &str) -> bool {
    let found = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    found.starts_with(kind) && !found.starts_with("application/octet-stream")
}

async fn gzipped(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let most = usize::try_from(COMPRESSED_MAX).unwrap_or(usize::MAX);
    // It is in memory already: its exact size is known.
    let Ok(bytes) = to_bytes(body, most).await else {
        return answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "the answer cannot be read");
    };
    let plain = bytes.clone();
    let work = tokio::task::spawn_blocking(move || {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&plain).and_then(|()| encoder.finish())
    });
    let Ok(Ok(small)) = work.await else { return Response::from_parts(parts, Body::from(bytes)) };
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::ACCEPT_RANGES);
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    Response::from_parts(parts, Body::from(small))
}

/// A name for what an answer says, whenever it is said: for `ETag`. It is of one address and generation. It is weak, as extensions name the request.
pub(super) fn tag(address: (&str, &str), strict: bool, data: &async_graphql::Value) -> String {
    let said = serde_json::to_vec(&(address, strict, data)).unwrap_or_default();
    format!("W/\"{}\"", alloy_primitives::hex::encode(&alloy_primitives::keccak256(said)[..16]))
}

/// How long an answer keeps: for ever when nothing that comes can change it, else until somebody asks whether it did.
pub(super) fn keep(headers: &mut HeaderMap, tag: &str, fixed: bool) {
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    let keep = if fixed { FOR_EVER } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    headers.append(header::VARY, HeaderValue::from_static("accept, x-tributary-generation"));
}

/// Lets pages of listed origins ask, and answers the question whether they may.
pub(super) async fn cross_origin(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let listed = |origin: &HeaderValue| {
        let text = origin.to_str().unwrap_or_default();
        app.config.cors_origins.iter().any(|one| one == "*" || one == text)
    };
    let Some(origin) = origin.filter(listed) else { return next.run(request).await };
    let asks =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if asks {
        let mut response = answer(StatusCode::NO_CONTENT, "text/plain", Body::empty());
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ACCEPTED));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        response
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    response
}

#[cfg(test)]
mod tests;
