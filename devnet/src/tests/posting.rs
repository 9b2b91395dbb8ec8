//! The batcher's postings, as somebody reads them who has the L1 node and the proxy.

use std::collections::BTreeSet;

use alloy::network::AnyNetwork;
use alloy::providers::RootProvider;
use alloy::transports::http::reqwest::Client;
use alloy_primitives::{Address, B256, Bytes, hex, keccak256};
use alloy_sol_types::SolEvent;
use serde_json::{Value, json};
use tributary_schemas::eigenda::{Commitment, Posted};

use super::{ask, chain::recompute, client, start};
use crate::suite::SystemConfig::ConfigUpdate;
use crate::{BATCHER_CHANGES_AT, Devnet, DevnetConfig, L2_BLOCK_TIME, POSTED_WITHIN, Truth, TruthPosting};

const PER_EPOCH: u64 = crate::L1_BLOCK_TIME / L2_BLOCK_TIME;

async fn posting(certificates: bool, withhold: &[u64], blocks: u64) -> Devnet {
    let withhold = withhold.iter().copied().collect();
    let net = start(DevnetConfig { certificates, withhold, ..DevnetConfig::default() }).await;
    net.mine_to(blocks);
    net
}

/// The number of the newest L1 block.
async fn l1_head(net: &Devnet) -> u64 {
    let said = ask(&client(&net.l1_http()), "eth_blockNumber", json!([])).await;
    u64::from_str_radix(said.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// Sender, recipient and calldata of a transaction of the L1.
async fn sent(l1: &RootProvider<AnyNetwork>, transaction: B256) -> (Address, Address, Bytes) {
    let said = ask(l1, "eth_getTransactionByHash", json!([transaction])).await;
    let field = |name: &str| said[name].as_str().unwrap().to_owned();
    (field("from").parse().unwrap(), field("to").parse().unwrap(), field("input").parse().unwrap())
}

/// The payload of a posting, from its calldata or from the proxy; checked against what the truth says of it.
async fn payload(http: &Client, net: &Devnet, posting: &TruthPosting, input: &Bytes) -> Vec<u8> {
    match Posted::read(input).unwrap() {
        Posted::Frames(_) => {
            assert_eq!(posting.commitment, None);
            input.to_vec()
        }
        Posted::Commitment(Commitment::EigenDa(_) | Commitment::Keccak(_)) => {
            assert_eq!(posting.commitment, Some(keccak256(&input[1..])));
            let url = format!("{}/get/{}", net.proxy_url(), hex::encode(&input[1..]));
            let answer = http.get(url).send().await.unwrap();
            assert_eq!(answer.status(), 200);
            answer.bytes().await.unwrap().to_vec()
        }
        other => panic!("{other:?}"),
    }
}

/// Channel, number and end of every frame.
fn frames(payload: &[u8]) -> Vec<([u8; 16], u16, bool)> {
    assert_eq!(payload[0], 0);
    let mut rest = &payload[1..];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let number = u16::from_be_bytes([rest[16], rest[17]]);
        let len = u32::from_be_bytes([rest[18], rest[19], rest[20], rest[21]]) as usize;
        found.push((rest[..16].try_into().unwrap(), number, rest[22 + len] == 1));
        rest = &rest[23 + len..];
    }
    found
}

fn in_time(truth: &Truth, withhold: &[u64]) {
    let last = truth.head - (POSTED_WITHIN + 1) * PER_EPOCH;
    for block in 1..=last {
        let carried = truth.posted(block);
        if withhold.contains(&block) {
            assert!(truth.postings.iter().all(|posting| !posting.blocks.contains(&block)));
            continue;
        }
        assert!(carried.last().is_some_and(|posting| posting.l1_block <= block / PER_EPOCH + POSTED_WITHIN), "{block}");
        assert_eq!(carried.iter().filter(|posting| posting.last).count(), 1);
    }
}

#[tokio::test]
async fn every_block_is_posted_in_time_but_those_withheld() {
    let withhold = [50, 51, 70, 200];
    for certificates in [true, false] {
        let net = posting(certificates, &withhold, 320).await;
        let truth = net.truth();
        in_time(&truth, &withhold);
        let (inbox, _, _) = net.inbox();
        let (http, l1) = (Client::new(), client(&net.l1_http()));
        let (mut direct, mut committed, mut split) = (0, 0, 0);
        let mut senders = BTreeSet::new();
        for posting in &truth.postings {
            let (from, to, input) = sent(&l1, posting.transaction).await;
            assert_eq!(to, inbox);
            senders.insert((posting.l1_block >= BATCHER_CHANGES_AT, from));
            let found = frames(&payload(&http, &net, posting, &input).await);
            let expected: Vec<u16> = posting.frames.clone().collect();
            assert_eq!(found.iter().map(|frame| frame.1).collect::<Vec<_>>(), expected);
            assert!(found.iter().all(|frame| frame.0 == posting.channel));
            assert_eq!(found.last().unwrap().2, posting.last);
            direct += u32::from(posting.commitment.is_none());
            committed += u32::from(posting.commitment.is_some());
            split += u32::from(!posting.last);
        }
        assert_eq!(senders.len(), 2, "one batcher before the change and one after");
        assert!(direct > 3 && committed > 2 * direct && split > 5, "{direct} {committed} {split}");
    }
}

#[tokio::test]
async fn l1_blocks_recompute_and_say_once_who_the_batcher_is() {
    let net = posting(true, &[], 330).await;
    let l1 = client(&net.l1_http());
    let (inbox, first, system_config) = net.inbox();
    let truth = net.truth();
    let (mut updates, mut noise) = (Vec::new(), 0);
    for number in 0..=l1_head(&net).await {
        let number_text = format!("{number:#x}");
        let block = ask(&l1, "eth_getBlockByNumber", json!([number_text, true])).await;
        let receipts = ask(&l1, "eth_getBlockReceipts", json!([number_text])).await;
        recompute(&block, &receipts);
        for receipt in receipts.as_array().unwrap() {
            for log in receipt["logs"].as_array().unwrap() {
                let log: alloy::rpc::types::Log = serde_json::from_value(log.clone()).unwrap();
                let update = ConfigUpdate::decode_log(&log.inner).unwrap();
                updates.push((number, update.address, update.updateType, update.data.data.clone()));
            }
        }
        let sent: Vec<&Value> = block["transactions"].as_array().unwrap().iter().collect();
        let known: BTreeSet<String> = truth.postings.iter().map(|one| one.transaction.to_string()).collect();
        let to_inbox = sent.iter().filter(|one| one["to"].as_str().unwrap().parse() == Ok(inbox));
        noise += to_inbox.filter(|one| !known.contains(one["hash"].as_str().unwrap())).count();
    }
    assert!(noise > 5, "{noise}");
    let ours: Vec<_> = updates.iter().filter(|update| update.1 == system_config && update.2 == 0).collect();
    assert_eq!((ours.len(), ours[0].0, updates.len()), (1, BATCHER_CHANGES_AT, 3));
    let second = Address::from_slice(&ours[0].3[12..]);
    assert_ne!(first, second);
    for posting in &truth.postings {
        let expected = if posting.l1_block < BATCHER_CHANGES_AT { first } else { second };
        assert_eq!(sent(&l1, posting.transaction).await.0, expected);
    }
    // The L1-attributes deposit names the batcher of its origin: the last word of its calldata.
    for (block, batcher) in [(BATCHER_CHANGES_AT * PER_EPOCH - 1, first), (BATCHER_CHANGES_AT * PER_EPOCH, second)] {
        let deposit = net.block(block).unwrap().entries[0].envelope();
        let input = alloy::consensus::Transaction::input(&deposit).clone();
        assert_eq!(Address::from_slice(&input[input.len() - 20..]), batcher);
    }
}
