use std::io::Read as _;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode};
use futures::StreamExt as _;
use serde_json::json;

use crate::serve::tests::{Answer, config, graphql, post, send, server};
use crate::serve::{ApiConfig, Documents};

fn get(query: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let escaped = query.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let mut request = Request::get(format!("/graphql?query={escaped}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

fn code(answer: &Answer) -> String {
    answer.json()["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned()
}

/// The generation of the fixture.
const NAMED: &str = "0x0000000000000000000000000000000000000000000000000000000000000000";

#[tokio::test]
async fn a_generation_that_is_named_answers_or_is_said_not_to_be_there() {
    let (router, _published) = server(config()).await;
    for (named, expected) in [(NAMED, ""), (&NAMED.replace("0x0", "0x1"), "NOT_FOUND"), ("0x12", "BAD_REQUEST")] {
        let answer = send(&router, get("{ status { snapshot } }", &[("x-tributary-generation", named)])).await;
        assert_eq!(code(&answer), expected, "{}", answer.body);
    }
}

#[tokio::test]
async fn what_nothing_can_change_is_kept_for_ever_and_the_rest_is_asked_for_again() {
    let (router, _published) = server(config()).await;
    // Epoch 1 is settled and block 16 lies in it; block 20 lies in epoch 2.
    for (query, keep) in [
        ("{ datasets(asOf: {number: 16}) { nodes { label owner } } }", "public, max-age=31536000, immutable"),
        ("{ epochs(asOf: {epoch: 1}) { nodes { number } } }", "public, max-age=31536000, immutable"),
        ("{ datasets(asOf: {number: 20}) { nodes { label } } }", "no-cache"),
        ("{ datasets(asOf: {tag: SETTLED}) { nodes { label } } }", "no-cache"),
        ("{ datasets { nodes { label } } }", "no-cache"),
        ("{ a: datasets(asOf: {number: 16}) { totalCount } status { snapshot } }", "no-cache"),
    ] {
        let named = ("x-tributary-generation", NAMED);
        let first = send(&router, get(query, &[named])).await;
        assert_eq!(
            (first.status, &first.headers["cache-control"]),
            (StatusCode::OK, &keep.parse().unwrap()),
            "{query}"
        );
        // Where none is named, another generation may answer one day.
        assert_eq!(send(&router, get(query, &[])).await.headers["cache-control"], "no-cache", "{query}");
        let tag = first.headers["etag"].to_str().unwrap();
        let again = send(&router, get(query, &[("if-none-match", tag)])).await;
        assert_eq!((again.status, again.body.as_str()), (StatusCode::NOT_MODIFIED, ""), "{query}");
        assert_eq!(again.headers["etag"], tag);
        let other = send(&router, get(query, &[("if-none-match", "W/\"00\"")])).await;
        assert_eq!(other.status, StatusCode::OK, "{query}");
    }
    let wrong = send(&router, get("{ datasets(asOf: {number: 99}) { totalCount } }", &[])).await;
    assert_eq!((code(&wrong).as_str(), wrong.headers.get("etag")), ("AS_OF_UNAVAILABLE", None));
    assert_eq!(send(&router, graphql("{ status { snapshot } }")).await.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn answers_say_what_they_cost() {
    let (router, _published) = server(config()).await;
    let cheap = send(&router, graphql("{ status { snapshot } }")).await;
    assert_eq!(cheap.json()["extensions"]["cost"], json!({ "complexity": 1, "units": 1 }));
    let dear = send(&router, graphql("{ accounts(first: 500) { nodes { address } } }")).await;
    assert_eq!(dear.json()["extensions"]["cost"], json!({ "complexity": 501, "units": 6 }));
}

#[tokio::test]
async fn large_answers_are_compressed_for_whoever_takes_it() {
    let (router, _published) = server(config()).await;
    let ask = async |accept: &'static str| {
        let request = Request::get("/schema.graphql").header("accept-encoding", accept).body(Body::empty()).unwrap();
        tower::ServiceExt::oneshot(router.clone(), request).await.unwrap()
    };
    let response = ask("br, gzip").await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes.as_ref()).read_to_string(&mut text).unwrap();
    assert!(text == crate::sdl() && bytes.len() * 2 < text.len());
    assert_eq!(ask("br").await.headers().get("content-encoding"), None);
    // Small ones are not worth it.
    let mut small = graphql("{ status { snapshot } }");
    small.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
    assert_eq!(send(&router, small).await.headers.get("content-encoding"), None);
}

#[tokio::test]
async fn pages_of_listed_origins_may_ask() {
    let listed = ApiConfig { cors_origins: vec!["https://app.example".to_owned()], ..config() };
    let (router, _published) = server(listed).await;
    let ask = async |origin: &'static str| {
        let mut request = graphql("{ status { snapshot } }");
        request.headers_mut().insert("origin", origin.parse().unwrap());
        send(&router, request).await
    };
    assert_eq!(ask("https://app.example").await.headers["access-control-allow-origin"], "https://app.example");
    assert_eq!(ask("https://other.example").await.headers.get("access-control-allow-origin"), None);
    let preflight = Request::builder().method(Method::OPTIONS).uri("/graphql").header("origin", "https://app.example");
    let preflight = preflight.header("access-control-request-method", "POST").body(Body::empty()).unwrap();
    let may = send(&router, preflight).await;
    assert_eq!(may.status, StatusCode::NO_CONTENT);
    assert!(may.headers["access-control-allow-headers"].to_str().unwrap().contains("content-type"));
}

#[tokio::test]
async fn documents_are_named_and_may_be_all_that_is_answered() {
    let by_id = [("snapshot".to_owned(), "{ status { snapshot } }".to_owned())].into();
    for only in [false, true] {
        let documents = Documents { by_id: std::collections::BTreeMap::clone(&by_id), only };
        let (router, _published) = server(ApiConfig { documents, ..config() }).await;
        let ask = async |body: serde_json::Value| {
            send(&router, post("/graphql", "application/graphql-response+json", body.to_string())).await
        };
        let named = ask(json!({ "documentId": "snapshot" })).await;
        assert_eq!(named.json()["data"], json!({ "status": { "snapshot": 0 } }), "{}", named.body);
        let by_get = Request::get("/graphql?documentId=snapshot").body(Body::empty()).unwrap();
        assert_eq!(send(&router, by_get).await.json()["data"], json!({ "status": { "snapshot": 0 } }));
        let unknown = ask(json!({ "documentId": "other" })).await;
        assert_eq!((unknown.status.as_u16(), code(&unknown).as_str()), (404, "DOCUMENT_NOT_FOUND"));
        let free = ask(json!({ "query": "{ status { finality } }" })).await;
        assert_eq!((free.status.as_u16(), code(&free).as_str()), if only { (403, "NOT_OFFERED") } else { (200, "") });
    }
}

#[tokio::test]
async fn a_slow_body_takes_room_from_nobody_and_ends() {
    let never = || {
        let begun = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{\"query\": \""))]);
        post("/graphql", "application/json", Body::from_stream(begun.chain(futures::stream::pending())))
    };
    let patient = ApiConfig { concurrency_max: 1, body_deadline: Duration::from_secs(3_600), ..config() };
    let (router, _published) = server(patient).await;
    let mut slow = std::pin::pin!(send(&router, never()));
    // It has begun and waits for its body; others are answered in the one place that there is.
    assert!(futures::poll!(slow.as_mut()).is_pending());
    assert_eq!(send(&router, graphql("{ status { snapshot } }")).await.status, StatusCode::OK);
    assert!(futures::poll!(slow.as_mut()).is_pending());
    let hasty = ApiConfig { body_deadline: Duration::from_millis(1), ..config() };
    let (router, _published) = server(hasty).await;
    let refused = send(&router, never()).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (408, &json!("BODY_TIMEOUT")));
}

#[tokio::test]
async fn subscriptions_come_as_events_within_bounds() {
    let (router, _published) = server(ApiConfig { subscriptions_max: 1, ..config() }).await;
    let ask = || {
        let query = "subscription Settled { epochSettled(after: 0) { sequence epoch { number } } }";
        post("/graphql", "text/event-stream", json!({ "query": query }).to_string())
    };
    let response = tower::ServiceExt::oneshot(router.clone(), ask()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body().into_data_stream();
    for (sequence, epoch) in [(1, 0), (2, 1)] {
        let event = String::from_utf8(body.next().await.unwrap().unwrap().to_vec()).unwrap();
        let data = event.strip_prefix("event: next\ndata: ").unwrap_or_else(|| panic!("{event}")).trim_end();
        let said: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(said["data"], json!({ "epochSettled": { "sequence": sequence, "epoch": { "number": epoch } } }));
        assert_eq!(said["extensions"]["asOf"]["number"], json!(20));
    }
    let full = send(&router, ask()).await;
    assert_eq!((full.status.as_u16(), &full.json()["code"]), (503, &json!("OVERLOADED")));
    drop(body);
    let free = tower::ServiceExt::oneshot(router.clone(), ask()).await.unwrap();
    assert_eq!(free.status(), StatusCode::OK);
    // Where there is one answer, there is none to a subscription.
    for query in ["subscription { blocks { sequence } }", "subscription Named { blocks { sequence } }"] {
        let query = json!({ "query": query }).to_string();
        let refused = send(&router, post("/graphql", "application/graphql-response+json", query)).await;
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (400, "BAD_REQUEST"));
    }
    let bomb = format!("subscription {{ {} }}", "a ".repeat(3_000));
    let refused = send(&router, post("/graphql", "text/event-stream", json!({ "query": bomb }).to_string())).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (400, &json!("QUERY_TOO_LARGE")));
}

#[tokio::test]
async fn whoever_has_a_key_has_a_quota_of_its_own() {
    let (router, published) = server(config()).await;
    let key = crate::keys::ApiKey::new("ann", "trib_secret");
    let ask = async |secret: &str| {
        let mut request = graphql("{ status { snapshot } }");
        request.headers_mut().insert("authorization", format!("Bearer {secret}").parse().unwrap());
        send(&router, request).await
    };
    let unknown = ask("trib_secret").await;
    assert_eq!((unknown.status.as_u16(), &unknown.json()["code"]), (401, &json!("UNAUTHORIZED")));
    std::fs::write(published.dir.path().join(crate::keys::FILE), json!([key]).to_string()).unwrap();
    let known = ask("trib_secret").await;
    assert_eq!(
        (known.status.as_u16(), &known.headers["ratelimit-policy"]),
        (200, &"\"key\";q=6000;w=60".parse().unwrap())
    );
    let stranger = send(&router, graphql("{ status { snapshot } }")).await;
    assert_eq!(stranger.headers["ratelimit"], "\"default\";r=99;t=1000", "nobody else paid for it");
}
