use std::collections::BTreeSet;

use alloy::network::AnyNetwork;
use alloy::providers::{Provider, RootProvider};
use alloy::transports::http::reqwest::{Client, Response};
use alloy_primitives::keccak256;
use serde_json::{Value, json};

use super::{ask, client, start, with_faults};
use crate::{Devnet, DevnetConfig, Fault, Make};

async fn latest(client: &RootProvider<AnyNetwork>) -> Value {
    ask(client, "eth_getBlockByNumber", json!(["latest", false])).await
}

fn number(block: &Value) -> u64 {
    u64::from_str_radix(block["number"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

#[tokio::test]
async fn a_fork_is_shown_and_ends_when_it_was_read() {
    let net = start(with_faults(&[])).await;
    net.advance(100);
    let (_, hash) = net.head();
    let client = client(&net.l2_http());
    assert!(net.fork(65, 0).is_err(), "block 36 is final");
    net.fork(40, 3).unwrap();
    let tip = latest(&client).await;
    assert_eq!(number(&tip), 97);
    // Down to the block both share, every parent is another one than on the canonical chain.
    let mut block = tip.clone();
    for below in (61..97).rev() {
        assert_ne!(block["hash"], json!(net.block(below + 1).unwrap().header.hash_slow()));
        block = ask(&client, "eth_getBlockByHash", json!([block["parentHash"], false])).await;
    }
    assert_eq!(block["parentHash"], json!(net.block(60).unwrap().header.hash_slow()));
    ask(&client, "eth_getBlockReceipts", json!([tip["hash"]])).await;
    assert!(!net.forked());
    assert_eq!(latest(&client).await["hash"], json!(hash));
    // The fork's blocks are still known by their hash, as on a real node.
    let old = ask(&client, "eth_getBlockByHash", json!([tip["hash"], false])).await;
    assert_eq!(old, tip);
    net.fork(64, 0).unwrap();
    net.advance(1);
    assert_eq!((net.forked(), net.head().0), (false, 101));
    net.fork(5, 0).unwrap();
    for _ in 0..100 {
        client.get_block_number().await.unwrap();
    }
    assert!(!net.forked(), "whoever only asks for the head gets back too");
}

#[tokio::test]
async fn faults_never_change_the_canonical_chain() {
    let clean = start(with_faults(&[])).await;
    let spoiled = start(with_faults(Fault::ALL)).await;
    clean.mine_to(300);
    for number in (0..=300).step_by(5) {
        spoiled.mine_to(number);
    }
    assert_eq!(clean.truth(), spoiled.truth());
    assert!(spoiled.forks_shown() > 5, "{}", spoiled.forks_shown());
}

#[tokio::test]
async fn forks_stay_above_finality_and_reach_down_to_it() {
    let net = start(with_faults(&[Fault::Reorg, Fault::SameHeight])).await;
    let client = client(&net.l2_http());
    let mut depths = BTreeSet::new();
    for _ in 0..120 {
        net.advance(2);
        let (head, _) = net.head();
        let shown = latest(&client).await;
        assert!(number(&shown) <= head);
        let canonical = |at: u64| json!(net.block(at).unwrap().header.hash_slow());
        let mut at = number(&shown);
        let mut block = shown;
        while block["hash"] != canonical(at) {
            at -= 1;
            block = ask(&client, "eth_getBlockByHash", json!([block["parentHash"], false])).await;
        }
        assert!(at >= net.finalized());
        depths.insert(head - at);
    }
    assert!(depths.contains(&1) && depths.contains(&64) && depths.len() > 4, "{depths:?}");
}

#[tokio::test]
async fn a_lagging_answer_is_lower_and_never_final() {
    let net = start(with_faults(&[Fault::LowerHead])).await;
    net.advance(200);
    let client = client(&net.l2_http());
    let mut seen = BTreeSet::new();
    for _ in 0..40 {
        seen.insert(client.get_block_number().await.unwrap());
    }
    assert!(seen.len() > 2 && seen.contains(&200) && *seen.first().unwrap() >= 136, "{seen:?}");
}

async fn lies(net: &Devnet) -> u64 {
    let client = client(&net.l2_http());
    let mut lies = 0;
    for number in 1..=net.head().0 {
        let truth = net.block(number).unwrap();
        let said: Value = ask(&client, "eth_getBlockReceipts", json!([truth.header.hash_slow()])).await;
        let receipts: Vec<op_alloy_consensus::OpReceiptEnvelope<alloy::rpc::types::Log>> =
            serde_json::from_value(said).unwrap();
        let logs: Vec<_> = receipts.into_iter().flat_map(|one| one.into_logs()).map(|log| log.inner).collect();
        let right: Vec<_> = truth.entries.into_iter().flat_map(|one| one.logs).collect();
        lies += u64::from(logs != right);
    }
    lies
}

#[tokio::test]
async fn a_lying_node_omits_or_alters_logs_of_some_blocks() {
    for (fault, expected) in [(None, false), (Some(Fault::OmittedLog), true), (Some(Fault::AlteredLog), true)] {
        let net = start(with_faults(fault.as_slice())).await;
        net.advance(100);
        let lies = lies(&net).await;
        assert_eq!(lies > 1 && lies < 30, expected, "{fault:?}: {lies}");
    }
}

async fn post(http: &Client, net: &Devnet) -> Result<Response, alloy::transports::http::reqwest::Error> {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0x5",true]}"#;
    http.post(net.l2_http()).body(body).send().await
}

#[tokio::test]
async fn refusals_and_broken_connections_are_seen_and_survived() {
    let net = start(with_faults(&[Fault::TooManyRequests, Fault::Drop, Fault::TruncatedJson, Fault::Slow])).await;
    net.advance(10);
    let http = Client::new();
    let (mut waits, mut bare, mut broken, mut cut, mut whole) = (0, 0, 0, 0, 0);
    for _ in 0..300 {
        let Ok(answer) = post(&http, &net).await else {
            broken += 1;
            continue;
        };
        if answer.status() == 429 {
            if answer.headers().contains_key("retry-after") {
                waits += 1;
            } else {
                bare += 1;
            }
            continue;
        }
        match answer.text().await {
            Err(_) => broken += 1,
            Ok(text) if serde_json::from_str::<Value>(&text).is_err() => cut += 1,
            Ok(_) => whole += 1,
        }
    }
    assert!(waits > 3 && bare > 3 && broken > 5 && cut > 5 && whole > 200, "{waits} {bare} {broken} {cut} {whole}");
}

#[tokio::test]
async fn other_oddities_are_seen() {
    let net = start(with_faults(&[Fault::WrongChainId, Fault::NullBlock])).await;
    net.advance(10);
    let client = client(&net.l2_http());
    assert_eq!(client.get_chain_id().await.unwrap(), 16_122);
    let mut nulls = 0;
    for _ in 0..100 {
        nulls += u32::from(ask(&client, "eth_getBlockByNumber", json!(["0x5", false])).await.is_null());
    }
    assert!(nulls > 1 && nulls < 50, "{nulls}");
    let net = start(with_faults(&[Fault::Oversized])).await;
    net.advance(10);
    let http = Client::new();
    let mut largest = 0;
    for _ in 0..150 {
        let mut answer = post(&http, &net).await.unwrap();
        let mut bytes = 0;
        // A careful client stops reading.
        while let Some(chunk) = answer.chunk().await.unwrap() {
            bytes += chunk.len();
            if bytes > 4_000_000 {
                break;
            }
        }
        largest = std::cmp::max(largest, bytes);
    }
    assert!(largest > 4_000_000, "{largest}");
}

#[tokio::test]
async fn one_blob_is_missing_and_some_are_damaged_at_first() {
    let net = start(with_faults(&[Fault::MissingBlob, Fault::CorruptBlob])).await;
    net.mine_to(300);
    let http = Client::new();
    let (mut missing, mut damaged) = (Vec::new(), 0);
    for batch in net.truth().batches.iter().filter(|batch| batch.make == Make::Sound) {
        let url = format!("{}/get/{}", net.proxy_url(), batch.reference);
        let mut bad = 0;
        loop {
            let answer = http.get(&url).send().await.unwrap();
            if answer.status() == 500 {
                missing.push(url);
                break;
            }
            if keccak256(answer.bytes().await.unwrap()) == batch.payload_hash {
                break;
            }
            bad += 1;
        }
        damaged += u32::from(bad > 0);
        assert!(bad <= 2);
    }
    assert_eq!(missing.len(), 1);
    assert!(damaged > 1, "{damaged}");
    assert_eq!(http.get(&missing[0]).send().await.unwrap().status(), 500);
}

#[tokio::test]
async fn a_chain_that_lives_by_itself_ends_where_it_was_told_to() {
    let faults = [Fault::Reorg, Fault::LowerHead, Fault::SameHeight].into_iter().collect();
    let config = DevnetConfig { faults, advance_on_read: 3, stop_at: Some(120), ..DevnetConfig::default() };
    let net = start(config).await;
    let client = client(&net.l2_http());
    let mut reads = 0;
    while net.head().0 < 120 || net.forked() {
        let head = latest(&client).await;
        ask(&client, "eth_getBlockReceipts", json!([head["hash"]])).await;
        reads += 1;
        assert!(reads < 500);
    }
    assert!(net.forks_shown() > 2, "{}", net.forks_shown());
    // Whoever never reads a block, but asks, sees it move as well, and ever faster.
    let slow = start(DevnetConfig { advance_on_read: 3, ..DevnetConfig::default() }).await;
    let client = super::client(&slow.l2_http());
    for expected in [3, 6, 12, 24, 48] {
        assert_eq!(slow.head().0, expected);
        for _ in 0..48 {
            client.get_block_number().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_late_blob_is_there_some_requests_after_its_deadline() {
    let net = start(with_faults(&[Fault::LateBlob])).await;
    net.mine_to(100);
    let (http, truth) = (Client::new(), net.truth());
    let late = truth.batches.iter().filter(|batch| batch.make == Make::Sound).nth(2).unwrap();
    let url = format!("{}/get/{}", net.proxy_url(), late.reference);
    let deadline = late.block + DevnetConfig::default().workload.policy.blob_deadline_blocks;
    let mut answers = Vec::new();
    for finalized in [deadline - 1, deadline] {
        net.mine_to(finalized + DevnetConfig::default().finalized_lag);
        for _ in 0..60 {
            answers.push(http.get(&url).send().await.unwrap().status().as_u16());
        }
    }
    let served: Vec<_> = answers.iter().map(|status| *status == 200).collect();
    assert_eq!(served.iter().position(|served| *served), Some(116), "{answers:?}");
}
