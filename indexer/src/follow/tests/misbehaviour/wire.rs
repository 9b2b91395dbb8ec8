//! What goes wrong around the answer: statuses, bodies, connections.

use axum::{
    body::{Body, Bytes},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{FutureExt as _, StreamExt as _, stream};
use std::{io::Error, io::ErrorKind};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    End::{Follows, Stops, Waits},
    Kind,
    Stand::{Last, Up},
    kind,
    node::Deed,
    silent,
};

const BLOCKS: &str = "eth_getBlockByNumber";

pub(super) fn wire() -> Vec<Kind> {
    let mut kinds = statuses();
    kinds.extend(bodies());
    kinds.extend(connections());
    kinds
}

fn statuses() -> Vec<Kind> {
    let survived =
        |name, make, words| kind(name, Deed::Http(BLOCKS, make), Follows, Waits(words), (Follows, Last(words)));
    let refusal = |name, make, words| kind(name, Deed::Http(BLOCKS, make), Stops(words), Stops(words), (Follows, Up));
    vec![
        survived("429 without Retry-After", || status(429), "status 429"),
        survived("429 with Retry-After", || after(429, "7"), "status 429"),
        survived("429 with a Retry-After of a century", || after(429, "3153600000"), "status 429"),
        survived("429 with a Retry-After that is no number", || after(429, "soon"), "status 429"),
        survived("408, a time-out of its own", || status(408), "status 408"),
        survived("500", || status(500), "status 500"),
        survived(
            "502 with a page",
            || (StatusCode::BAD_GATEWAY, "<html>bad gateway</html>").into_response(),
            "status 502",
        ),
        survived("503 with Retry-After", || after(503, "3"), "status 503"),
        refusal("400", || status(400), "status 400"),
        refusal("401, a key that is not known", || status(401), "status 401"),
        refusal("403, a door that is closed", || status(403), "status 403"),
        refusal("404, a path that is not there", || status(404), "status 404"),
        refusal(
            "301 to itself, for ever",
            || (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, "/some-key")]).into_response(),
            "status 301",
        ),
        refusal(
            "307 to somebody else",
            || (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "http://127.0.0.3:1/")]).into_response(),
            "status 307",
        ),
    ]
}

fn bodies() -> Vec<Kind> {
    let survived =
        |name, make, words| kind(name, Deed::Http(BLOCKS, make), Follows, Waits(words), (Follows, Last(words)));
    let unanswered =
        |name, make, words| silent(name, Deed::Http(BLOCKS, make), Follows, Waits(words), (Follows, Last(words)));
    vec![
        survived("status 200 and no body", || status(200), "unreadable answer"),
        survived("status 204", || status(204), "unreadable answer"),
        survived(
            "a page with status 200",
            || "<!doctype html><title>Sign in</title>".into_response(),
            "unreadable answer",
        ),
        survived("bytes that are no text", || vec![0xff, 0xfe, 0x00, 0x80].into_response(), "unreadable answer"),
        survived(
            "a compressed body nobody asked for",
            || ([(header::CONTENT_ENCODING, "gzip")], vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0]).into_response(),
            "unreadable answer",
        ),
        survived(
            "a body above the bound, with its length",
            || vec![b' '; 3 << 20].into_response(),
            "answer larger than 1048576 bytes",
        ),
        survived("a body above the bound, in pieces", || pieces(48), "answer larger than 1048576 bytes"),
        survived("a body without end", || pieces(usize::MAX), "answer larger than 1048576 bytes"),
        survived("a body that breaks off", broken, "broke off"),
        unanswered(
            "a body that stops coming",
            || {
                Body::from_stream(
                    stream::iter([Ok(Bytes::from_static(b"{\"jsonrpc\""))])
                        .chain(stream::pending::<Result<Bytes, Error>>()),
                )
                .into_response()
            },
            "no answer within 250 ms",
        ),
    ]
}

fn connections() -> Vec<Kind> {
    let survived = |name, talk, words| kind(name, Deed::Tcp(talk), Follows, Waits(words), (Follows, Last(words)));
    let unanswered = |name, talk, words| silent(name, Deed::Tcp(talk), Follows, Waits(words), (Follows, Last(words)));
    vec![
        kind(
            "nobody listens",
            Deed::Absent,
            Waits("error sending request"),
            Waits("error sending request"),
            (Follows, Last("error sending request")),
        ),
        survived("closes every connection at once", |stream| closes(stream).boxed(), "error sending request"),
        survived("closes after half a head", |stream| half_a_head(stream).boxed(), "error sending request"),
        survived(
            "speaks something that is not HTTP",
            |stream| another_protocol(stream).boxed(),
            "error sending request",
        ),
        survived("a head without end", |stream| endless_head(stream).boxed(), "error sending request"),
        survived("fewer bytes than it announced", |stream| too_few(stream).boxed(), "broke off"),
        unanswered(
            "takes the connection and says nothing",
            |stream| silence(stream).boxed(),
            "no answer within 250 ms",
        ),
        unanswered("a head, a byte at a time, for ever", |stream| drips(stream).boxed(), "no answer within 250 ms"),
    ]
}

fn status(status: u16) -> Response {
    StatusCode::from_u16(status).unwrap().into_response()
}

fn after(code: u16, after: &'static str) -> Response {
    (StatusCode::from_u16(code).unwrap(), [(header::RETRY_AFTER, after)], "too many").into_response()
}

/// Pieces of 64 KiB.
fn pieces(count: usize) -> Response {
    let piece = Bytes::from_static(&[b' '; 1 << 16]);
    Body::from_stream(stream::repeat(piece).take(count).map(Ok::<_, Error>)).into_response()
}

fn broken() -> Response {
    let first = stream::iter([Ok(Bytes::from_static(b"{\"jsonrpc\""))]);
    let then = stream::once(async {
        // The beginning is on its way before the end is not.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        Err(Error::from(ErrorKind::ConnectionReset))
    });
    Body::from_stream(first.chain(then)).into_response()
}

/// Reads the beginning of a request, says something, and hangs up.
async fn says(mut stream: TcpStream, text: &[u8]) {
    let mut request = [0; 1024];
    if stream.read(&mut request).await.is_ok() && stream.write_all(text).await.is_ok() {
        drop(stream.shutdown().await);
    }
}

async fn closes(stream: TcpStream) {
    drop(stream);
}

async fn half_a_head(stream: TcpStream) {
    says(stream, b"HTTP/1.1 200 OK\r\nContent-Le").await;
}

async fn another_protocol(stream: TcpStream) {
    says(stream, b"220 mail.example ESMTP ready\r\n").await;
}

async fn too_few(stream: TcpStream) {
    says(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"jsonrpc\"").await;
}

async fn endless_head(mut stream: TcpStream) {
    let mut request = [0; 1024];
    if stream.read(&mut request).await.is_err() || stream.write_all(b"HTTP/1.1 200 OK\r\n").await.is_err() {
        return;
    }
    while stream.write_all(format!("X-More: {}\r\n", "x".repeat(8_000)).as_bytes()).await.is_ok() {}
}

async fn silence(stream: TcpStream) {
    let _kept = stream;
    std::future::pending::<()>().await;
}

async fn drips(mut stream: TcpStream) {
    let mut request = [0; 1024];
    if stream.read(&mut request).await.is_err() {
        return;
    }
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'x')) {
        if stream.write_all(&[*byte]).await.is_err() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
