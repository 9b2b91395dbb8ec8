use std::net::SocketAddr;

use alloy_primitives::keccak256;
use axum::body::to_bytes;
use axum::extract::connect_info::MockConnectInfo;
use axum::http::{HeaderMap, Request};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tributary_store::{Archive, Lake};

use super::*;
use crate::serve::{ApiConfig, routes};

/// A server over a folder where nothing but blobs is.
async fn server() -> (Router, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path()).await.unwrap();
    let app = App::new(ApiConfig::default(), lake, dir.path().to_owned(), None, CancellationToken::new()).unwrap();
    (routes::router(app).layer(MockConnectInfo(SocketAddr::from(([192, 0, 2, 1], 1)))), dir)
}

async fn send(router: &Router, method: &str, path: &str) -> (u16, HeaderMap, Bytes) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    (parts.status.as_u16(), parts.headers, to_bytes(body, 1 << 20).await.unwrap())
}

#[tokio::test]
async fn an_archived_blob_is_served_for_ever_and_a_damaged_one_never() {
    let (router, dir) = server().await;
    let archive = Archive::open(dir.path()).unwrap();
    let payload = b"what a batcher posted".as_slice();
    let (hash, _) = archive.put(payload).unwrap();
    let encoded = payload_codec::encode(payload).unwrap();
    let plain = format!("/get/0x00{hash:x}");
    let cases = [
        (plain.clone(), payload),
        (format!("/get/00{}", hex::encode_upper(hash)), payload),
        (format!("{plain}?l1_inclusion_block_number=5&return_encoded_payload=false"), payload),
        (format!("{plain}?return_encoded_payload"), encoded.as_slice()),
        (format!("{plain}?commitment_mode=optimism_keccak256&return_encoded_payload=True"), encoded.as_slice()),
    ];
    for (path, expected) in &cases {
        let (status, headers, body) = send(&router, "GET", path).await;
        assert_eq!((status, body.as_ref()), (200, *expected), "{path}");
        assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(headers["content-type"], "application/octet-stream");
    }
    let (status, headers, body) = send(&router, "HEAD", &plain).await;
    assert_eq!((status, &headers["content-length"], body.len()), (200, &HeaderValue::from(payload.len()), 0));

    let name = format!("{hash:x}");
    std::fs::write(dir.path().join("blobs").join(&name[..2]).join(&name), b"something else").unwrap();
    let (status, headers, body) = send(&router, "GET", &plain).await;
    assert_eq!((status, &headers["cache-control"]), (500, &HeaderValue::from_static("no-store")));
    assert!(!body.windows(14).any(|part| part == b"something else"), "{body:?}");
}

#[tokio::test]
async fn each_refusal_says_what_it_knows_and_what_was_expected() {
    let (router, _dir) = server().await;
    let digest = hex::encode(keccak256(b"nobody has it"));
    let cases = [
        ("GET", format!("/get/0x00{digest}"), 404, "is not in this archive"),
        ("GET", format!("/get/0x00{digest}00"), 400, "33 bytes after 00: expected hex of 00 and the keccak256"),
        ("GET", format!("/get/0x00{}", &digest[2..]), 400, "31 bytes after 00"),
        ("GET", format!("/get/0x00{}", &digest[1..]), 400, "no hex"),
        ("GET", "/get/0xzz".to_owned(), 400, "no hex"),
        ("GET", "/get/0x".to_owned(), 400, "it is empty"),
        ("GET", "/get/05ff".to_owned(), 400, "begins with 05"),
        ("GET", "/get/01".to_owned(), 400, "ends before the certificate"),
        ("GET", "/get/010004c0".to_owned(), 400, "version byte 04"),
        ("GET", "/get/010cff".to_owned(), 403, "DA layer 0c is not EigenDA"),
        ("GET", "/get/..%2F..%2Fstatus.json".to_owned(), 400, "no hex"),
        ("GET", format!("/get/0x00{digest}?l1_inclusion_block_number=x"), 400, "l1_inclusion_block_number"),
        ("POST", format!("/get/0x00{digest}"), 405, "only read"),
        ("PUT", format!("/get/0x00{digest}"), 405, "only read"),
        ("POST", format!("/put/0x00{digest}"), 405, "only read"),
        ("PUT", "/put/".to_owned(), 405, "only read"),
        ("POST", "/put".to_owned(), 405, "only read"),
    ];
    for (method, path, expected, reason) in cases {
        let (status, headers, body) = send(&router, method, &path).await;
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, &body["status"]), (expected, &expected.into()), "{method} {path}: {body}");
        assert!(body["detail"].as_str().unwrap().contains(reason), "{method} {path}: {body}");
        assert_eq!(headers["cache-control"], "no-store", "{method} {path}");
        assert_eq!(headers.contains_key("allow"), expected == 405, "{method} {path}");
    }
}

/// A reader that does not take what it asked for keeps its room, so that memory is bounded by what is sent.
#[tokio::test]
async fn so_many_blobs_are_in_memory_and_no_more() {
    let (router, dir) = server().await;
    let (hash, _) = Archive::open(dir.path()).unwrap().put(b"a blob").unwrap();
    let path = format!("/get/0x00{hash:x}");
    let ask = async || router.clone().oneshot(Request::get(&path).body(Body::empty()).unwrap()).await.unwrap();
    let mut slow = Vec::new();
    for _ in 0..AT_ONCE_MAX {
        slow.push(ask().await);
    }
    assert!(slow.iter().all(|answer| answer.status() == StatusCode::OK));
    assert_eq!(ask().await.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(to_bytes(slow.remove(0).into_body(), 10).await.unwrap());
    assert_eq!(ask().await.status(), StatusCode::OK);
}
