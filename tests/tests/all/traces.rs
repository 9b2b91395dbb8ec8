//! Traces: what a collector is sent by OTLP/HTTP, read with the messages that OpenTelemetry publishes for another language.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tributary_tests::local::LocalServer;
use tributary_tests::program::{demo, roots, run, run_demo, said, serve};
use tributary_tests::python::script;

/// A trace that somebody else began, and the span in it that asks us (W3C Trace Context).
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// A collector, and the bodies that it is sent.
async fn collector() -> (LocalServer, UnboundedReceiver<Bytes>) {
    async fn take(State(bodies): State<UnboundedSender<Bytes>>, body: Bytes) {
        bodies.send(body).unwrap();
    }
    let (sender, bodies) = unbounded_channel();
    let routes = Router::new().route("/v1/traces", post(take)).with_state(sender);
    (LocalServer::start(routes).await.unwrap(), bodies)
}

/// The spans in these bodies.
fn spans(bodies: &[Bytes]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    for (number, body) in bodies.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{number:06}")), body).unwrap();
    }
    let output = script("read_traces.py", &[folder.path()]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn named<'a>(spans: &'a [Value], name: &str) -> Vec<&'a Value> {
    spans.iter().filter(|span| span["name"] == name).collect()
}

/// The block that a span tells. OpenTelemetry has no unsigned integers, so they are text.
fn block(span: &Value) -> Option<u64> {
    span["attributes"]["block"].as_str().map(|number| number.parse().unwrap())
}

/// That every span of a name happened inside one of another, and which of its blocks it tells.
fn inside(spans: &[Value], inner: &str, outer: &str) -> BTreeSet<u64> {
    let outer: BTreeMap<&str, &Value> =
        named(spans, outer).into_iter().map(|span| (span["span"].as_str().unwrap(), span)).collect();
    let mut blocks = BTreeSet::new();
    for span in named(spans, inner) {
        let parent = outer.get(span["parent"].as_str().unwrap()).unwrap_or_else(|| panic!("{span} is in no such span"));
        assert_eq!(span["trace"], parent["trace"], "{span}");
        blocks.extend(block(span));
    }
    blocks
}

#[tokio::test]
async fn a_collector_gets_what_blocks_epochs_and_requests_went_through() {
    let (collector, mut bodies) = collector().await;
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = demo(11, 120, "", folder.path());
    arguments.retain(|one| !matches!(one.as_str(), "--once" | "--json"));
    arguments.extend(["--otlp-endpoint".to_owned(), collector.url()]);
    let mut node = tokio::task::spawn_blocking(move || {
        let mut node = serve(arguments.iter().map(String::as_str)).unwrap();
        node.until_settled();
        node
    })
    .await
    .unwrap();

    let client = reqwest::Client::new();
    let ask = |path: &str, body: &Value| {
        let asked = client.post(format!("{}{path}", node.url)).json(body);
        asked.header("traceparent", format!("00-{TRACE}-{CALLER}-01")).send()
    };
    let query = serde_json::json!({ "query": "{ epochs(first: 1) { nodes { epoch } } }" });
    let sql = serde_json::json!({ "query": "SELECT count(*) FROM blocks" });
    let mut asked = BTreeMap::new();
    for (path, body) in [("graphql", query), ("v1/sql", sql)] {
        let answer = ask(path, &body).await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        asked.insert(answer.headers()["x-request-id"].to_str().unwrap().to_owned(), format!("/{path}"));
    }

    let (mut taken, mut found) = (Vec::new(), Vec::new());
    let of_requests = |found: &[Value]| -> BTreeMap<String, String> {
        let requests = named(found, "request").into_iter().filter(|span| span["trace"] == TRACE);
        let told = |span: &Value, what: &str| span["attributes"][what].as_str().unwrap().to_owned();
        requests.map(|span| (told(span, "id"), told(span, "url.path"))).collect()
    };
    while of_requests(&found) != asked {
        taken.push(bodies.recv().await.unwrap());
        while let Ok(body) = bodies.try_recv() {
            taken.push(body);
        }
        found = spans(&taken);
    }
    node.stop();

    assert!(found.iter().all(|span| span["service"] == "tributary"), "{found:?}");
    for span in named(&found, "request").into_iter().filter(|span| span["trace"] == TRACE) {
        assert_eq!((&span["parent"], &span["kind"]), (&CALLER.into(), &"SPAN_KIND_SERVER".into()), "{span}");
        assert_eq!(span["attributes"]["http.response.status_code"], 200, "{span}");
    }
    // The demo asks in SQL too, for itself.
    let asked: Vec<Value> = found.iter().filter(|span| span["trace"] == TRACE).cloned().collect();
    for name in ["plan", "execute"] {
        inside(&asked, name, "request");
        assert_eq!(named(&asked, name).len(), 1, "{asked:?}");
    }

    let verified = inside(&found, "verify", "fetch");
    let folded = inside(&found, "fold", "ingest");
    let sealed: BTreeSet<u64> = named(&found, "seal").into_iter().filter_map(block).collect();
    let blocks: BTreeSet<u64> = (0..120).collect();
    for (what, seen) in [("verified", &verified), ("folded", &folded), ("sealed", &sealed)] {
        let absent: Vec<_> = blocks.difference(seen).collect();
        assert!(absent.is_empty(), "{absent:?} were not {what}");
    }
    for name in ["find_blob", "publish", "settle_epoch"] {
        assert!(!named(&found, name).is_empty(), "no {name}");
    }
    inside(&found, "divide", "settle_epoch");
    inside(&found, "write_files", "settle_epoch");
}

#[tokio::test]
async fn what_is_left_is_sent_at_the_end_and_nothing_waits_for_a_collector() {
    let (traced_here, traced_nowhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (collector, mut bodies) = collector().await;
    let traced = |url: String, folder: &std::path::Path| {
        let mut arguments = demo(12, 60, "", folder);
        arguments.extend(["--otlp-endpoint".to_owned(), url]);
        tokio::task::spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let output = run(&arguments).unwrap();
            assert!(output.status.success(), "{}", said(&output));
            roots(&serde_json::from_slice(&output.stdout).unwrap())
        })
    };
    let here = traced(collector.url(), traced_here.path()).await.unwrap();
    let mut taken = Vec::new();
    while let Ok(body) = bodies.try_recv() {
        taken.push(body);
    }
    let last = named(&spans(&taken), "settle_epoch").len();
    assert!(last > 0, "{} bodies, and the last epoch is in none", taken.len());

    // Nobody listens there any more.
    let url = collector.url();
    drop(collector);
    let nowhere = traced(url, traced_nowhere.path()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let untraced = roots(&run_demo(12, 60, "", folder.path()));
    assert_eq!((&here, &nowhere), (&untraced, &untraced));
}

#[test]
fn what_is_no_address_of_a_collector_is_refused() {
    for address in ["localhost:4318", "grpc://localhost:4317", "4318"] {
        let output = run(&["--otlp-endpoint", address, "mapping", "list"]).unwrap();
        assert_eq!(output.status.code(), Some(4), "{address}: {}", said(&output));
        assert!(said(&output).contains("such as http://localhost:4318"), "{address}: {}", said(&output));
    }
}
