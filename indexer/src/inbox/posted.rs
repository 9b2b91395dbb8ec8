//! The devnet's inbox, read from its L1 and its proxy as a follower would: what is anchored is what it says it posted.

use super::anchor::{Anchor, L2Block, anchor};
use super::batch::Terms;
use super::blob_encoding;
use super::channel::{Channels, Fork, Rules, Source};
use super::frame;
use super::posting::Posting;
use super::transaction::{Inbox, L1Transaction};
use crate::Clock;
use crate::beacon::BeaconNodes;
use crate::clock::ManualClock;
use alloy::consensus::TxEnvelope;
use alloy::eips::eip2718::Encodable2718 as _;
use alloy_primitives::{B256, hex, keccak256};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tributary_devnet::{BATCHER_CHANGES_AT, Devnet, DevnetConfig, L2_CHAIN_ID, POSTED_WITHIN, TruthPosting};

const TERMS: Terms = Terms { chain_id: Some(L2_CHAIN_ID), genesis_time: Some(1_750_000_000), block_time: 2 };

/// The L2 as it is.
fn known(net: &Devnet) -> Vec<L2Block> {
    let blocks = (1..=net.head().0).map(|number| net.block(number).unwrap());
    let known = blocks.map(|block| {
        let origin = block.header.number / 6;
        L2Block {
            number: block.header.number,
            hash: block.header.hash_slow(),
            parent_hash: block.header.parent_hash,
            timestamp: block.header.timestamp,
            l1_origin: origin,
            l1_origin_hash: B256::from_slice(
                &block.entries[0].envelope().as_deposit().unwrap().inner().input[100..132],
            ),
            transactions: block.entries[1..].iter().map(|entry| keccak256(&entry.raw)).collect(),
        }
    });
    known.collect()
}

/// The transactions of a block of the L1, and its time.
async fn l1_block(http: &reqwest::Client, net: &Devnet, number: u64) -> Option<(Vec<L1Transaction>, u64)> {
    let params = json!([format!("{number:#x}"), true]);
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": params}).to_string();
    let answer = http.post(net.l1_http()).body(body).send().await.unwrap().text().await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let sent = answer["result"]["transactions"].as_array()?;
    let read = |transaction: &Value| {
        let envelope: TxEnvelope = serde_json::from_value(transaction.clone()).unwrap();
        L1Transaction::decode(&envelope.encoded_2718()).unwrap()
    };
    let timestamp = answer["result"]["timestamp"].as_str().unwrap().trim_start_matches("0x");
    Some((sent.iter().map(read).collect(), u64::from_str_radix(timestamp, 16).unwrap()))
}

/// The payloads of a transaction, each with the hash of its commitment or its place among the blobs.
async fn payloads(
    http: &reqwest::Client,
    beacon: &BeaconNodes,
    net: &Devnet,
    sent: &L1Transaction,
    timestamp: u64,
) -> Vec<(Vec<u8>, Option<B256>, Option<u32>)> {
    match Posting::of(sent) {
        Posting::Payload(payload) => vec![(payload.to_vec(), None, None)],
        Posting::Commitment(commitment) => {
            let url = format!("{}/get/{}", net.proxy_url(), hex::encode(commitment.bytes));
            let answer = http.get(url).send().await.unwrap();
            // 418: void, derivation goes on.
            if answer.status() != 200 {
                return Vec::new();
            }
            vec![(answer.bytes().await.unwrap().to_vec(), Some(commitment.hash()), None)]
        }
        Posting::Blobs(hashes) => {
            let blobs = beacon.blobs(hashes, timestamp).await.unwrap();
            assert_eq!(blobs.len(), hashes.len());
            let payload = |(index, blob): (u32, Vec<u8>)| Some((blob_encoding::decode(&blob).ok()?, None, Some(index)));
            (0..).zip(blobs).filter_map(payload).collect()
        }
        Posting::Ignored(_) => Vec::new(),
    }
}

/// Every row that the inbox anchors.
async fn read(net: &Devnet, second: alloy_primitives::Address) -> Vec<Anchor> {
    let http = reqwest::Client::new();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(0));
    let beacon = BeaconNodes::new(&[net.beacon_url().parse().unwrap()], &clock).unwrap();
    let known = known(net);
    let rules = Rules::of(Fork::Holocene);
    let (mut channels, mut taken, mut rows) = (Channels::new(rules), BTreeSet::new(), Vec::new());
    let (address, first, _) = net.inbox();
    for number in 0.. {
        let Some((sent, timestamp)) = l1_block(&http, net, number).await else { break };
        let inbox = Inbox { address, batcher: if number < BATCHER_CHANGES_AT { first } else { second } };
        for transaction in sent.iter().filter(|transaction| inbox.admit(transaction).is_ok()) {
            for (payload, commitment, blob) in payloads(&http, &beacon, net, transaction, timestamp).await {
                let source = Source { l1_block: number, l1_tx: transaction.hash, commitment, blob };
                let Ok(frames) = frame::parse(&payload) else { continue };
                for channel in channels.take(&frames, &source).ready {
                    let anchored = anchor(&channel, &rules, &TERMS, &known, &mut taken);
                    assert_eq!(anchored.broken, []);
                    rows.extend(anchored.rows);
                }
            }
        }
    }
    rows
}

#[tokio::test]
async fn every_block_is_anchored_where_the_devnet_posted_it() {
    let withhold = BTreeSet::from([30, 31, 77]);
    for (certificates, blobs_percent) in [(true, 0), (false, 0), (true, 60)] {
        let (withhold, defaults) = (withhold.clone(), DevnetConfig::default());
        let config = DevnetConfig { certificates, blobs_percent, withhold: withhold.clone(), ..defaults };
        assert_eq!(Some(config.genesis_time), TERMS.genesis_time);
        let net = Devnet::start(config).await.unwrap();
        net.mine_to(330);
        let truth = net.truth();
        let second = net.batcher_at(u64::MAX);
        let mut rows: BTreeMap<u64, Vec<Anchor>> = BTreeMap::new();
        let mut in_blobs = 0;
        for row in read(&net, second).await {
            assert_eq!((row.parent, row.l1_origin), (Some(true), Some(true)));
            rows.entry(row.l2_block).or_default().push(row);
        }
        for block in 1..=330 - 6 * (POSTED_WITHIN + 1) {
            let posted = truth.posted(block);
            assert_eq!(withhold.contains(&block), posted.is_empty(), "{block}");
            let rows = rows.remove(&block).unwrap_or_default();
            assert_eq!(rows.is_empty(), posted.is_empty(), "{block}");
            for row in rows {
                let blob = |posting: &TruthPosting| posting.blob.map(|blob| blob.index);
                let same = |posting: &&&TruthPosting| posting.transaction == row.l1_tx && blob(posting) == row.blob;
                let one = posted.iter().find(same).unwrap();
                in_blobs += u32::from(row.blob.is_some());
                assert_eq!((row.l1_block, row.commitment), (one.l1_block, one.commitment));
                assert_eq!(row.channel.0, one.channel);
                assert!(one.frames.contains(row.frames.start()) && one.frames.contains(row.frames.end()));
            }
        }
        assert_eq!(in_blobs > 50, blobs_percent > 0, "{in_blobs}");
    }
}
