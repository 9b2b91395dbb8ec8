//! Kinds of misbehaving beacon nodes, as a table: what becomes of the blobs of a transaction when there is no other node,
//! and, for every kind, that one honest node after it is enough. Whatever happens, no byte is taken that is not what was
//! committed to.
//!
//! `MISBEHAVIOUR.md` has the same table for people; a test compares the two.

use alloy_primitives::B256;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::task::JoinSet;
use tributary_devnet::{Devnet, DevnetConfig, L1_BLOCK_TIME, L2_BLOCK_TIME, TruthPosting};

use crate::Clock;
use crate::beacon::kzg::versioned_hash;
use crate::beacon::node::BLOBS_BYTES_MAX;
use crate::beacon::{BeaconNodes, Slots};
use crate::clock::ManualClock;
use crate::endpoint::EndpointState;

/// An answer on its way.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
}

/// What a node makes of an honest answer for a path and query.
type Deed = fn(&str, &mut Answer);

/// How it ends without another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The blobs are read.
    Read,
    /// They are waited for, and the reason says this.
    Waits(&'static str),
}
use End::{Read, Waits};

struct Kind {
    name: &'static str,
    deed: Deed,
    alone: End,
}

const fn kind(name: &'static str, deed: Deed, alone: End) -> Kind {
    Kind { name, deed, alone }
}

const NEW: &str = "/eth/v1/beacon/blobs/";
const OLD: &str = "/eth/v1/beacon/blob_sidecars/";
const GENESIS: &str = "/eth/v1/beacon/genesis";
const SPEC: &str = "/eth/v1/config/spec";
const LIE: &str = "none is what was committed to";

fn kinds() -> Vec<Kind> {
    [blobs(), routes(), terms(), wire()].into_iter().flatten().collect()
}

fn blobs() -> Vec<Kind> {
    vec![
        kind("a bit of every blob flipped", |_, answer| each(answer, |blob| flip(blob, 40)), Waits(LIE)),
        kind("an element above the modulus", |_, answer| each(answer, |blob| set(blob, 0, "ff")), Waits(LIE)),
        kind("blobs of zeros", |_, answer| each(answer, |blob| *blob = json!(zeros())), Waits(LIE)),
        kind("blobs in another order", |_, answer| list(answer, |data| data.reverse()), Read),
        kind("every blob twice", |_, answer| list(answer, |data| data.extend(data.clone())), Read),
        kind("one blob in place of all", |_, answer| list(answer, |data| data.truncate(1)), Read),
        kind("other blobs beside them", |_, answer| list(answer, |data| data.insert(0, other(data))), Read),
        kind("an empty list", |_, answer| list(answer, Vec::clear), Waits("does not have it")),
        kind("blobs that are too short", |_, answer| each(answer, cut), Waits("unreadable answer")),
        kind("blobs that are no hex", |_, answer| each(answer, |blob| set(blob, 9, "zz")), Waits("unreadable answer")),
        kind("null for a blob", |_, answer| each(answer, |blob| *blob = Value::Null), Waits("unreadable answer")),
        kind("a million nothings", |_, answer| list(answer, nothings), Waits("unreadable answer")),
        kind(
            "a sidecar that claims the right commitment for other bytes",
            |path, answer| only_old(path, answer, |one| flip(&mut one["blob"], 77)),
            Waits(LIE),
        ),
        kind(
            "a sidecar of another commitment",
            |path, answer| only_old(path, answer, |one| flip(&mut one["kzg_commitment"], 20)),
            Waits("does not have it"),
        ),
        kind(
            "sidecars whose proofs are zeros",
            |path, answer| only_old(path, answer, |one| one["kzg_proof"] = json!(format!("0x{}", "0".repeat(96)))),
            Read,
        ),
    ]
}

fn routes() -> Vec<Kind> {
    vec![
        kind("no newer route (404)", |path, answer| at(path, NEW, answer, 404), Read),
        kind("no older route (410)", |path, answer| at(path, OLD, answer, 410), Read),
        kind(
            "too few columns to put blobs together (400)",
            |path, answer| {
                at(path, NEW, answer, 400);
                at(path, OLD, answer, 400);
            },
            Waits("status 400"),
        ),
        kind(
            "blobs that were dropped (404)",
            |path, answer| {
                at(path, NEW, answer, 404);
                at(path, OLD, answer, 404);
            },
            Waits("status 404"),
        ),
    ]
}

fn terms() -> Vec<Kind> {
    vec![
        kind(
            "another genesis, so that other slots are asked for",
            |path, answer| told(path, GENESIS, answer, json!({"genesis_time": "1600000000"})),
            Waits("status 404"),
        ),
        kind(
            "a genesis after the block",
            |path, answer| told(path, GENESIS, answer, json!({"genesis_time": "1900000000"})),
            Waits("expected it before"),
        ),
        kind(
            "a genesis that is no number",
            |path, answer| told(path, GENESIS, answer, json!({"genesis_time": "soon"})),
            Waits("unreadable answer"),
        ),
        kind("no genesis (404)", |path, answer| at(path, GENESIS, answer, 404), Waits("status 404")),
        kind("no configuration (404)", |path, answer| at(path, SPEC, answer, 404), Read),
        kind(
            "slots of no time",
            |path, answer| told(path, SPEC, answer, json!({"SECONDS_PER_SLOT": "0"})),
            Waits("slots of 0 ms"),
        ),
        kind("numbers without quotes", |path, answer| told(path, SPEC, answer, json!({"SECONDS_PER_SLOT": 12})), Read),
    ]
}

fn wire() -> Vec<Kind> {
    vec![
        kind("500", |_, answer| answer.status = 500, Waits("status 500")),
        kind("429 without end", |_, answer| answer.status = 429, Waits("status 429")),
        kind(
            "307 to somebody else",
            |_, answer| {
                answer.status = 307;
                answer.headers.push(("location", "http://127.0.0.1:9/"));
            },
            Waits("status 307"),
        ),
        kind("a page with status 200", |_, answer| answer.body = b"<html>".to_vec(), Waits("unreadable answer")),
        kind("an answer that ends early", |_, answer| answer.body.truncate(20), Waits("unreadable answer")),
        kind(
            "an answer above the bound",
            |path, answer| {
                if path.starts_with(NEW) || path.starts_with(OLD) {
                    answer.body.resize(BLOBS_BYTES_MAX + 1, b' ');
                }
            },
            Waits("answer larger than 16777216 bytes"),
        ),
    ]
}

/// Changes an answer's list of blobs or sidecars, if it has one.
fn list(answer: &mut Answer, change: impl FnOnce(&mut Vec<Value>)) {
    let Ok(mut told) = serde_json::from_slice::<Value>(&answer.body) else { return };
    if let Some(data) = told["data"].as_array_mut() {
        change(data);
        answer.body = told.to_string().into_bytes();
    }
}

/// Changes every blob of an answer, of either shape.
fn each(answer: &mut Answer, change: impl Fn(&mut Value)) {
    list(answer, |data| {
        for one in data {
            change(if one.is_object() { &mut one["blob"] } else { one });
        }
    });
}

/// Without the newer route, changes every sidecar of the older one.
fn only_old(path: &str, answer: &mut Answer, change: impl Fn(&mut Value)) {
    at(path, NEW, answer, 404);
    if path.starts_with(OLD) {
        list(answer, |data| data.iter_mut().for_each(change));
    }
}

fn at(path: &str, route: &str, answer: &mut Answer, status: u16) {
    if path.starts_with(route) {
        answer.status = status;
    }
}

fn told(path: &str, route: &str, answer: &mut Answer, data: Value) {
    if path.starts_with(route) {
        answer.body = json!({ "data": data }).to_string().into_bytes();
    }
}

/// Writes other digits from the one at a place on.
fn set(hex: &mut Value, digit: usize, to: &str) {
    let mut text = hex.as_str().unwrap().to_owned();
    text.replace_range(2 + digit..2 + digit + to.len(), to);
    *hex = json!(text);
}

fn flip(hex: &mut Value, digit: usize) {
    let old = hex.as_str().unwrap().as_bytes()[2 + digit];
    let new = if old == b'0' { "1" } else { "0" };
    set(hex, digit, new);
}

fn cut(blob: &mut Value) {
    let text = blob.as_str().unwrap();
    *blob = json!(text[..text.len() - 2]);
}

fn zeros() -> String {
    format!("0x{}", "00".repeat(131_072))
}

fn nothings(data: &mut Vec<Value>) {
    *data = vec![json!(""); 1 << 20];
}

/// Something like the first of a list, for other bytes.
fn other(data: &[Value]) -> Value {
    let mut other = data[0].clone();
    if other.is_object() {
        other["kzg_commitment"] = json!(format!("0x{}", "11".repeat(48)));
        other["blob"] = json!(zeros());
        return other;
    }
    json!(zeros())
}

/// A beacon node that asks an honest one and does its deed to the answer.
async fn node(honest: &str, deed: Deed, tasks: &mut JoinSet<()>) -> String {
    let (honest, http) = (honest.to_owned(), reqwest::Client::new());
    let routes = axum::Router::new().fallback(move |request: Request<Body>| {
        let (honest, http) = (honest.clone(), http.clone());
        async move {
            let path = request.uri().path_and_query().unwrap().to_string();
            let told = http.get(format!("{honest}{path}")).send().await.unwrap();
            let status = told.status().as_u16();
            let mut answer = Answer { status, headers: Vec::new(), body: told.bytes().await.unwrap().to_vec() };
            deed(&path, &mut answer);
            let mut response = Response::builder().status(answer.status);
            for (name, value) in answer.headers {
                response = response.header(name, value);
            }
            response.body(Body::from(answer.body)).unwrap()
        }
    });
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tasks.spawn(async move { axum::serve(listener, routes).await.unwrap() });
    url
}

/// A transaction with two blobs or more: their hashes, in order, and the time of its block.
async fn posted(net: &Devnet) -> (Vec<B256>, u64) {
    let in_blobs: Vec<TruthPosting> = net.truth().postings.into_iter().filter(|one| one.blob.is_some()).collect();
    let shared = |one: &&TruthPosting| in_blobs.iter().filter(|other| other.transaction == one.transaction).count() > 1;
    let one = in_blobs.iter().find(shared).unwrap();
    let same = in_blobs.iter().filter(|other| other.transaction == one.transaction);
    let first = DevnetConfig::default().genesis_time - 2 * L1_BLOCK_TIME;
    (same.map(|one| one.blob.unwrap().versioned_hash).collect(), first + one.l1_block * L1_BLOCK_TIME)
}

async fn devnet() -> Devnet {
    let net = Devnet::start(DevnetConfig { blobs_percent: 100, ..DevnetConfig::default() }).await.unwrap();
    net.mine_to(60 * L1_BLOCK_TIME / L2_BLOCK_TIME);
    net
}

fn nodes(urls: &[&str]) -> BeaconNodes {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(0));
    let urls: Vec<_> = urls.iter().map(|url| url.parse().unwrap()).collect();
    BeaconNodes::new(&urls, &clock).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_misbehaviour_is_survived_or_named() {
    let (net, mut tasks) = (devnet().await, JoinSet::new());
    let (hashes, timestamp) = posted(&net).await;
    let right = |blobs: &[Vec<u8>]| {
        assert_eq!(blobs.iter().map(|blob| versioned_hash(blob).unwrap()).collect::<Vec<_>>(), hashes);
    };
    assert!(hashes.len() > 1);
    for Kind { name, deed, alone } in kinds() {
        let url = node(&net.beacon_url(), deed, &mut tasks).await;
        let lonely = nodes(&[&url]);
        match (lonely.blobs(&hashes, timestamp).await, alone) {
            (Ok(blobs), Read) => right(&blobs),
            (Err(reason), Waits(words)) => assert!(reason.contains(words), "{name}: says {reason}"),
            (got, expected) => panic!("{name}: expected {expected:?}, got {:?}", got.map(|blobs| blobs.len())),
        }
        assert_eq!(lonely.health()[0].lies > 0, alone == Waits(LIE), "{name}: {:?}", lonely.health());
        right(
            &nodes(&[&url, &net.beacon_url()])
                .blobs(&hashes, timestamp)
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}")),
        );
    }
}

/// A node that was wrong about its slots is asked again, and what was found is not asked for twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_to_its_senses_is_read() {
    let (net, mut tasks) = (devnet().await, JoinSet::new());
    let (hashes, timestamp) = posted(&net).await;
    let deed: Deed = |path, answer| told(path, GENESIS, answer, json!({"genesis_time": 5}));
    let beacon = nodes(&[&node(&net.beacon_url(), deed, &mut tasks).await]);
    beacon.blobs(&hashes, timestamp).await.unwrap_err();
    *beacon.nodes[0].slots.lock().unwrap() = Some(Slots { genesis_time: 5, slot_ms: 12_000 });
    beacon.blobs(&hashes, timestamp).await.unwrap_err();
    assert_eq!(*beacon.nodes[0].slots.lock().unwrap(), None, "what it said is forgotten when nothing was found");

    let honest = nodes(&[&net.beacon_url()]);
    let blobs = honest.blobs(&hashes, timestamp).await.unwrap();
    let asked = honest.health()[0].requests;
    assert_eq!(honest.blobs(&hashes, timestamp).await.unwrap(), blobs);
    let health = &honest.health()[0];
    assert_eq!((health.requests, health.state, health.lies), (asked, EndpointState::Up, 0));
    assert_eq!(nodes(&[]).blobs(&hashes, timestamp).await.unwrap_err(), "no beacon node is configured");
    assert_eq!(nodes(&[]).blobs(&[], timestamp).await.unwrap(), Vec::<Vec<u8>>::new());
}

/// The table for people.
fn page() -> String {
    let mut out = String::from("| what the beacon node does | alone |\n|---|---|\n");
    for Kind { name, alone, .. } in kinds() {
        let alone = match alone {
            Read => "read".to_owned(),
            Waits(words) => format!("waits: “{words}”"),
        };
        out.push_str(&format!("| {name} | {alone} |\n"));
    }
    out
}

#[test]
fn the_page_is_the_table() {
    let room = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(room.join("MISBEHAVIOUR.md")).unwrap();
    let page = page();
    assert!(text.contains(&page), "MISBEHAVIOUR.md is not the table any more; it should say:\n\n{page}");
}
