//! Certificates on the chain, at the proxy and before the verifier on L1.

use std::collections::{BTreeMap, BTreeSet};

use alloy::transports::http::reqwest::Client;
use alloy_primitives::{Bytes, hex, keccak256};
use alloy_sol_types::SolEvent;
use serde_json::{Value, json};
use tributary_schemas::eigenda::{Certificate, Commitment, Mode, Version, hash, router};
use tributary_schemas::payload_codec;

use super::{ask, client, start};
use crate::suite::DatanetRegistry::DatanetVersionPublished;
use crate::{Devnet, DevnetConfig, Fault, Make};

async fn certified(faults: &[Fault], blocks: u64) -> Devnet {
    let faults = faults.iter().copied().collect();
    let net = start(DevnetConfig { certificates: true, faults, ..DevnetConfig::default() }).await;
    net.mine_to(blocks);
    net
}

fn read(reference: &[u8]) -> Option<Certificate> {
    match Commitment::read(Mode::Op, reference) {
        Ok(Commitment::EigenDa(certificate)) => Some(*certificate),
        _ => None,
    }
}

/// Status, code of a 418, and body.
async fn get(http: &Client, net: &Devnet, path: &str) -> (u16, u64, Vec<u8>) {
    let answer = http.get(format!("{}/get/{path}", net.proxy_url())).send().await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.bytes().await.unwrap().to_vec();
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    (status, said["StatusCode"].as_u64().unwrap_or_default(), body)
}

async fn verdict(http: &Client, net: &Devnet, input: &Bytes) -> Value {
    let call = json!([{ "to": net.eigenda_router(), "input": input }, "latest"]);
    let body = json!({"id": 1, "method": "eth_call", "params": call}).to_string();
    let answer = http.post(net.l1_http()).body(body).send().await.unwrap().text().await.unwrap();
    serde_json::from_str::<Value>(&answer).unwrap()["result"].take()
}

fn word(status: u8) -> Value {
    json!(format!("0x{}{status:02x}", "00".repeat(31)))
}

/// Batches and manifests of a chain, each reference with what is wrong with it.
fn references(net: &Devnet) -> Vec<(Bytes, Make)> {
    let mut found: Vec<(Bytes, Make)> =
        net.truth().batches.into_iter().map(|batch| (batch.reference, batch.make)).collect();
    for number in 1..=net.head().0 {
        for log in net.block(number).unwrap().entries.iter().flat_map(|entry| &entry.logs) {
            let event = DatanetVersionPublished::decode_log(log);
            found.extend(event.map(|event| (event.manifestRef.clone(), Make::Sound)));
        }
    }
    found
}

#[tokio::test]
async fn every_version_is_there_in_batches_of_several_and_every_flaw() {
    let net = certified(&[], 600).await;
    let http = Client::new();
    let mut kinds: BTreeMap<u8, u32> = BTreeMap::new();
    let mut makes: BTreeMap<Make, u32> = BTreeMap::new();
    let mut deep = BTreeSet::new();
    for (reference, make) in references(&net) {
        *makes.entry(make).or_default() += 1;
        let Some(certificate) = read(&reference) else {
            assert!(make == Make::Unparsable || Commitment::read(Mode::Op, &reference).is_ok(), "{make:?}");
            *kinds.entry(0).or_default() += 1;
            continue;
        };
        *kinds.entry(certificate.version.number()).or_default() += 1;
        let inclusion = &certificate.blob_inclusion;
        let leaf = hash::certificate_hash(&inclusion.blob_certificate);
        let root = hash::inclusion_root(leaf, inclusion.blob_index, &inclusion.inclusion_proof);
        let header = &certificate.batch_header;
        assert_eq!(root == Some((header.batch_root, 0)), make != Make::WrongProof, "{make:?}");
        deep.insert(inclusion.inclusion_proof.len() / 32);
        let answer = verdict(&http, &net, &router::check_da_cert(&certificate)).await;
        assert_eq!(answer, word(if make.is_refused_by_verifier() { 6 } else { 1 }), "{make:?}");
    }
    assert_eq!(deep.into_iter().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), [0, 2, 3, 4]);
    let (all, hashes) = (kinds.values().sum::<u32>(), kinds[&0]);
    assert!(hashes * 4 > all / 2 && hashes * 4 < all * 2, "{hashes} of {all} by hash");
    for flaw in [Make::Unparsable, Make::WrongProof, Make::ForeignSignature, Make::ForeignOperators, Make::Undecodable]
    {
        assert!(makes.contains_key(&flaw) && flaw.is_void(), "{flaw:?}: {makes:?}");
    }
    let void: u32 = makes.iter().filter(|(make, _)| make.is_void()).map(|(_, count)| count).sum();
    assert!(void * 5 < net.truth().batches.len().try_into().unwrap(), "{makes:?}");
}

#[tokio::test]
async fn the_proxy_answers_each_as_a_proxy_would() {
    let net = certified(&[], 500).await;
    let http = Client::new();
    let (mut seen, mut roomy) = (BTreeSet::new(), 0);
    for batch in net.truth().batches {
        let plain = get(&http, &net, &batch.reference.to_string()).await;
        let encoded = get(&http, &net, &format!("{}?return_encoded_payload=true", batch.reference)).await;
        seen.insert((batch.make.is_void(), plain.0, plain.1));
        match batch.make {
            Make::Unparsable => assert_eq!((plain.0, plain.1), (418, 1)),
            make if make.is_refused_by_verifier() => assert_eq!((plain.0, plain.1, encoded.1), (418, 3, 3)),
            Make::Undecodable => {
                assert_eq!((plain.0, plain.1, encoded.0), (418, 4, 200));
                assert!(payload_codec::decode(&encoded.2).is_err());
            }
            Make::WrongHash => assert_ne!(keccak256(&plain.2), batch.payload_hash),
            _ => assert_eq!((plain.0, keccak256(&plain.2)), (200, batch.payload_hash)),
        }
        let Some(certificate) = read(&batch.reference).filter(|_| !batch.make.is_void()) else { continue };
        assert_eq!(encoded.2.len(), usize::try_from(certificate.commitment().length).unwrap() * 32);
        assert_eq!(payload_codec::decode(&encoded.2).unwrap(), plain.2);
        roomy += u32::from(encoded.2.len() > payload_codec::encode(&plain.2).unwrap().len());
        let standard = Commitment::EigenDa(Box::new(certificate.clone())).encode(Mode::Standard).unwrap();
        let standard = format!("{}?commitment_mode=standard", hex::encode(standard));
        assert_eq!(get(&http, &net, &standard).await, plain);
        let late = u64::from(certificate.batch_header.reference_block_number) + 14_401;
        let late = get(&http, &net, &format!("{}?l1_inclusion_block_number={late}", batch.reference)).await;
        let expected = if certificate.version.number() == 4 { (418, 2) } else { (200, 0) };
        assert_eq!((late.0, late.1), expected);
    }
    let expected = BTreeSet::from([(false, 200, 0), (true, 418, 1), (true, 418, 3), (true, 418, 4)]);
    assert_eq!(seen, expected);
    assert!(roomy > 0, "some are longer than they need to be");
}

#[tokio::test]
async fn what_was_never_dispersed_is_void_and_other_contracts_are_not_answered() {
    let net = certified(&[], 40).await;
    let http = Client::new();
    let truth = net.truth();
    let (reference, mut certificate) =
        truth.batches.iter().find_map(|batch| Some((&batch.reference, read(&batch.reference)?))).unwrap();
    let posted = |certificate: &Certificate| {
        let bytes = Commitment::EigenDa(Box::new(certificate.clone())).encode(Mode::Op).unwrap();
        hex::encode_prefixed(bytes)
    };
    assert_eq!(posted(&certificate), reference.to_string());
    let layer = reference.to_string().replacen("0x0100", "0x010c", 1);
    assert_eq!(get(&http, &net, &layer).await.0, 200, "the layer is not looked at");
    let rest = format!("{reference}00");
    assert_eq!(get(&http, &net, &rest).await.1, 1, "bytes after the certificate");
    certificate.signatures.total_stake_indices[0] += 1;
    assert_eq!(get(&http, &net, &posted(&certificate)).await.1, 3);
    assert_eq!(verdict(&http, &net, &router::check_da_cert(&certificate)).await, word(6));
    certificate.version = Version::V4 { offchain_derivation_version: 1 };
    assert_eq!(get(&http, &net, &posted(&certificate)).await.1, 1);
    let l1 = client(&net.l1_http());
    let code = ask(&l1, "eth_getCode", json!([net.eigenda_router(), "latest"])).await;
    assert_ne!(code, json!("0x"));
    let call = async |url: &str, call: Value| {
        let body = json!({"id": 1, "method": "eth_call", "params": [call, "latest"]}).to_string();
        let answer = http.post(url).body(body).send().await.unwrap().text().await.unwrap();
        serde_json::from_str::<Value>(&answer).unwrap()["error"]["code"].as_i64()
    };
    let good = router::check_da_cert(&certificate);
    assert_eq!(call(&net.l1_http(), json!({"to": net.eigenda_router(), "data": "0x12345678"})).await, Some(3));
    assert_eq!(call(&net.l1_http(), json!({"to": net.contracts().reward_vault, "data": good})).await, Some(-32000));
    assert_eq!(call(&net.l2_http(), json!({"to": net.eigenda_router(), "data": good})).await, Some(-32000));
    assert_eq!(call(&net.l1_http(), json!(7)).await, Some(-32602));
    // Without certificates that part of the API is off.
    let plain = start(DevnetConfig { certificates: false, ..DevnetConfig::default() }).await;
    assert_eq!(get(&http, &plain, &reference.to_string()).await.0, 403);
    assert_eq!(get(&http, &plain, "02c0?commitment_mode=standard").await.0, 403);
}

#[tokio::test]
async fn certificates_are_no_part_of_what_happens() {
    let net = certified(&[], 60).await;
    let plain = start(DevnetConfig { certificates: false, ..DevnetConfig::default() }).await;
    plain.mine_to(60);
    let (with, without) = (net.truth(), plain.truth());
    let hashes = |truth: &crate::Truth| truth.batches.iter().map(|batch| batch.payload_hash).collect::<Vec<_>>();
    assert_eq!(hashes(&with), hashes(&without));
    assert_eq!((with.payments, with.received), (without.payments, without.received));
    let again = certified(Fault::ALL, 60).await;
    assert_eq!(net.head(), again.head(), "nor are faults");
}

#[tokio::test]
async fn good_certificates_are_called_void_and_blobs_are_swapped_at_first() {
    let net = certified(&[Fault::VoidClaim, Fault::WrongBlob, Fault::VerifierDown], 300).await;
    let http = Client::new();
    let (mut claims, mut swaps, mut down) = (0, 0, 0);
    for batch in net.truth().batches.into_iter().filter(|batch| batch.make == Make::Sound) {
        let mut answers = 0;
        loop {
            let (status, code, body) = get(&http, &net, &batch.reference.to_string()).await;
            if status == 200 && keccak256(&body) == batch.payload_hash {
                break;
            }
            claims += u32::from((status, code) == (418, 3));
            swaps += u32::from(status == 200);
            answers += 1;
            assert!(answers <= 4);
        }
        let Some(certificate) = read(&batch.reference) else { continue };
        let answer = verdict(&http, &net, &router::check_da_cert(&certificate)).await;
        assert!(answer == word(1) || answer == word(7));
        down += u32::from(answer == word(7));
    }
    assert!(claims > 3 && swaps > 3 && down > 2, "{claims} {swaps} {down}");
}
