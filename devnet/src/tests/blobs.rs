//! Postings in EIP-4844 blobs, as somebody reads them who has the L1 node and the beacon node.

use std::collections::{BTreeMap, BTreeSet};

use alloy::consensus::{
    ReceiptEnvelope, Transaction as _, TxEnvelope,
    proofs::{calculate_receipt_root, calculate_transaction_root},
};
use alloy::rpc::types::Log as RpcLog;
use alloy::transports::http::reqwest::Client;
use alloy_primitives::{B256, Bytes, hex};
use c_kzg::{Blob, Bytes48, ethereum_kzg_settings};
use serde_json::{Value, json};

use super::{ask, client, start};
use crate::inbox::{blob, payload};
use crate::{Devnet, DevnetConfig, Fault, L1_BLOCK_TIME, TruthPosting};

async fn posting(percent: u32, faults: &[Fault], blocks: u64) -> Devnet {
    let faults = faults.iter().copied().collect();
    let net = start(DevnetConfig { blobs_percent: percent, faults, ..DevnetConfig::default() }).await;
    net.mine_to(blocks);
    net
}

async fn get(http: &Client, net: &Devnet, route: &str) -> (u16, Value) {
    let answer = http.get(format!("{}{route}", net.beacon_url())).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

fn bytes(text: &Value) -> Vec<u8> {
    hex::decode(text.as_str().unwrap()).unwrap()
}

/// The slot of an L1 block, as a client works it out.
async fn slot(http: &Client, net: &Devnet, l1_block: u64) -> u64 {
    let (genesis, spec) =
        (get(http, net, "/eth/v1/beacon/genesis").await.1, get(http, net, "/eth/v1/config/spec").await.1);
    let number = |text: &Value| text.as_str().unwrap().parse::<u64>().unwrap();
    let number_text = format!("{l1_block:#x}");
    let block = ask(&client(&net.l1_http()), "eth_getBlockByNumber", json!([number_text, false])).await;
    let timestamp = u64::from_str_radix(block["timestamp"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    let since = timestamp - number(&genesis["data"]["genesis_time"]);
    let seconds = number(&spec["data"]["SECONDS_PER_SLOT"]);
    assert_eq!((seconds, since % seconds), (L1_BLOCK_TIME, 0));
    since / seconds
}

#[tokio::test]
async fn what_is_posted_in_blobs_is_served_and_proved() {
    let net = posting(60, &[], 240).await;
    let (http, truth) = (Client::new(), net.truth());
    let mut found: BTreeMap<u64, Vec<&TruthPosting>> = BTreeMap::new();
    for posting in truth.postings.iter().filter(|posting| posting.blob.is_some()) {
        assert_eq!(posting.commitment, None);
        found.entry(posting.l1_block).or_default().push(posting);
    }
    assert!(found.len() > 8 && found.values().any(|postings| postings.len() > 1));
    let mut idle = 0;
    for (l1_block, postings) in found {
        let slot = slot(&http, &net, l1_block).await;
        assert_ne!(slot, l1_block);
        let (status, all) = get(&http, &net, &format!("/eth/v1/beacon/blob_sidecars/{slot}")).await;
        assert_eq!(status, 200);
        let sidecars = all["data"].as_array().unwrap();
        idle += sidecars.len() - postings.len();
        for (index, one) in sidecars.iter().enumerate() {
            assert_eq!(one["index"], index.to_string());
            let of = |key: &str| Bytes48::from_bytes(&bytes(&one[key])).unwrap();
            let packed = Box::new(Blob::from_bytes(&bytes(&one["blob"])).unwrap());
            let (commitment, proof) = (of("kzg_commitment"), of("kzg_proof"));
            assert!(ethereum_kzg_settings(0).verify_blob_kzg_proof(&packed, &commitment, &proof).unwrap());
        }
        for posting in postings {
            let hash = posting.blob.unwrap().versioned_hash;
            let route = format!("/eth/v1/beacon/blobs/{slot}?versioned_hashes={hash}");
            let (_, one) = get(&http, &net, &route).await;
            let data = one["data"].as_array().unwrap();
            assert_eq!(data.len(), 1);
            assert!(sidecars.iter().any(|sidecar| sidecar["blob"] == data[0]));
            assert_eq!(bytes(&data[0]).len(), 131_072);
        }
    }
    assert!(idle > 0, "some blobs carry nothing");
    assert_eq!(get(&http, &net, "/eth/v1/beacon/blobs/99999").await.0, 404);
    assert_eq!(get(&http, &net, "/eth/v1/beacon/blobs/0").await.0, 404);
    assert_eq!(get(&http, &net, "/eth/v1/beacon/blobs/current").await.0, 400);
    assert_eq!(get(&http, &net, "/eth/v1/beacon/blobs/9?versioned_hashes=0x12").await.0, 400);
}

#[tokio::test]
async fn blocks_with_blobs_recompute_and_name_them() {
    let net = posting(60, &[], 240).await;
    let l1 = client(&net.l1_http());
    let by_transaction = net.truth().postings.into_iter().fold(BTreeMap::<B256, Vec<_>>::new(), |mut all, posting| {
        all.entry(posting.transaction).or_default().extend(posting.blob);
        all
    });
    let mut with_blobs = 0;
    for number in 0..=40_u64 {
        let text = format!("{number:#x}");
        let block = ask(&l1, "eth_getBlockByNumber", json!([text, true])).await;
        let receipts = ask(&l1, "eth_getBlockReceipts", json!([text])).await;
        let header: alloy::consensus::Header = serde_json::from_value(block.clone()).unwrap();
        assert_eq!(json!(header.hash_slow()), block["hash"]);
        let transactions: Vec<TxEnvelope> = serde_json::from_value(block["transactions"].clone()).unwrap();
        assert_eq!(calculate_transaction_root(&transactions), header.transactions_root);
        let told: Vec<ReceiptEnvelope<RpcLog>> = serde_json::from_value(receipts.clone()).unwrap();
        let told: Vec<ReceiptEnvelope> = told.into_iter().map(|one| one.map_logs(RpcLog::into_inner)).collect();
        assert_eq!(calculate_receipt_root(&told), header.receipts_root);
        let mut blobs = 0;
        for (transaction, receipt) in transactions.iter().zip(receipts.as_array().unwrap()) {
            let hashes = transaction.blob_versioned_hashes().unwrap_or_default();
            assert_eq!(transaction.is_eip4844(), !hashes.is_empty());
            let gas = (!hashes.is_empty()).then(|| format!("{:#x}", 131_072 * hashes.len()));
            assert_eq!(receipt["blobGasUsed"].as_str(), gas.as_deref());
            blobs += hashes.len();
            for blob in by_transaction.get(transaction.tx_hash()).into_iter().flatten() {
                assert_eq!(hashes[usize::try_from(blob.index).unwrap()], blob.versioned_hash);
            }
        }
        assert_eq!(header.blob_gas_used, Some(131_072 * u64::try_from(blobs).unwrap()));
        assert!(blobs <= 6, "{blobs} blobs in block {number}");
        with_blobs += usize::from(blobs > 0);
    }
    assert!(with_blobs > 8, "{with_blobs}");
}

/// Other postings are other hashes of L1 blocks, which the L2 names; nothing else of the L2 is different.
#[tokio::test]
async fn the_l2_does_the_same_whatever_is_posted_in_blobs() {
    let (without, with) = (posting(0, &[], 200).await, posting(60, &[], 200).await);
    assert!(without.truth().postings.iter().all(|posting| posting.blob.is_none()));
    for number in 1..=200 {
        let (one, other) = (without.block(number).unwrap(), with.block(number).unwrap());
        assert_eq!(one.entries[1..], other.entries[1..], "{number}");
        assert_eq!(one.header.timestamp, other.header.timestamp);
    }
    let (one, other) = (without.truth(), with.truth());
    assert_eq!(
        (one.batches, one.received, one.refunded, one.payments),
        (other.batches, other.received, other.refunded, other.payments)
    );
}

#[tokio::test]
async fn one_sidecar_is_missing_and_some_are_damaged_at_first() {
    let net = posting(60, &[Fault::MissingSidecar, Fault::CorruptSidecar], 240).await;
    let honest = posting(60, &[], 240).await;
    assert_eq!(net.truth(), honest.truth());
    let http = Client::new();
    let (mut missing, mut damaged) = (BTreeSet::new(), 0);
    for posting in net.truth().postings {
        let Some(blob) = posting.blob else { continue };
        let slot = slot(&http, &net, posting.l1_block).await;
        let route = format!("/eth/v1/beacon/blobs/{slot}?versioned_hashes={}", blob.versioned_hash);
        let right = get(&http, &honest, &route).await.1["data"][0].clone();
        let mut bad = 0;
        loop {
            let got = get(&http, &net, &route).await.1["data"].clone();
            if got == json!([]) {
                missing.insert(blob.versioned_hash);
                break;
            }
            if got[0] == right {
                break;
            }
            // Elements of the field all the same: only the commitment tells.
            let bytes = bytes(&got[0]);
            let packed = Box::new(Blob::from_bytes(&bytes).unwrap());
            assert!(ethereum_kzg_settings(0).blob_to_kzg_commitment(&packed).is_ok());
            bad += 1;
        }
        damaged += u32::from(bad > 0);
        assert!(bad <= 2);
    }
    assert_eq!((missing.len(), damaged > 1), (1, true), "{missing:?} {damaged}");
}

#[test]
fn a_sidecar_is_of_its_payload() {
    let carried = payload(&[vec![1; 500]]);
    let sidecar = crate::sidecar::Sidecar::of(Bytes::from(carried.clone())).unwrap();
    assert_eq!(sidecar.blob(), blob(&carried).unwrap());
    assert_eq!(sidecar.versioned_hash[0], 1);
    assert!(crate::sidecar::Sidecar::of(vec![0; 130_045].into()).is_none());
}
