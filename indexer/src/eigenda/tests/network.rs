//! The certificates on the devnet's chain, judged with the bytes its proxy serves and the answers of its L1.

use alloy_primitives::{Bytes, hex};
use serde_json::{Value, json};
use tributary_devnet::{Devnet, DevnetConfig, Make, TruthBatch};
use tributary_schemas::eigenda::router::{CertStatus, check_da_cert};
use tributary_schemas::eigenda::{Commitment, Mode};

use super::super::*;
use super::failures;

/// What the verifier on L1 says of a certificate.
async fn asked(http: &reqwest::Client, net: &Devnet, commitment: &Commitment) -> Option<CertStatus> {
    let Commitment::EigenDa(certificate) = commitment else { return None };
    let call = json!({"to": net.eigenda_router(), "input": check_da_cert(certificate)});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [call, "latest"]});
    let answer = http.post(net.l1_http()).body(body.to_string()).send().await.unwrap().text().await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let data = hex::decode(answer["result"].as_str().unwrap()).unwrap();
    Some(CertStatus::of_return_data(&data).unwrap())
}

async fn served(http: &reqwest::Client, net: &Devnet, reference: &Bytes) -> Option<Bytes> {
    let url = format!("{}/get/{reference}?return_encoded_payload=true", net.proxy_url());
    let answer = http.get(url).send().await.unwrap();
    let found = answer.status() == 200;
    found.then_some(answer.bytes().await.unwrap().into())
}

async fn judged(http: &reqwest::Client, net: &Devnet, srs: &Srs, batch: &TruthBatch) -> Report {
    let Ok(commitment) = Commitment::read(Mode::Op, &batch.reference) else {
        return inspect(Mode::Op, &batch.reference, srs.setup(), None, None);
    };
    let status = asked(http, net, &commitment).await;
    let bytes = served(http, net, &batch.reference).await;
    let evidence =
        bytes.as_deref().map(|bytes| Evidence { bytes, form: Form::Evaluations, witness: Witness::Srs(srs) });
    judge(Mode::Op, &commitment, srs.setup(), status, evidence)
}

#[tokio::test]
async fn the_ladder_says_of_every_batch_what_the_devnet_made_of_it() {
    let net = Devnet::start(DevnetConfig { certificates: true, ..DevnetConfig::default() }).await.unwrap();
    net.mine_to(420);
    let srs = Srs::of_known_tau(net.tau(), 1 << 12);
    let http = reqwest::Client::new();
    let mut sound = 0;
    let mut flawed = std::collections::BTreeSet::new();
    for batch in net.truth().batches {
        let climbs = batch.make.is_void() || sound < 6;
        if !climbs || batch.reference[0] == 0 {
            continue;
        }
        let report = judged(&http, &net, &srs, &batch).await;
        let (levels, failed) = ((report.level, report.data_level), failures(&report));
        let expected = match batch.make {
            Make::Unparsable => ((None, None), vec!["parsed"]),
            Make::WrongProof => ((Some(Level::L0), None), vec!["merkle_inclusion", "check_da_cert"]),
            Make::ForeignSignature => ((Some(Level::L1), None), vec!["bls_signature", "check_da_cert"]),
            Make::ForeignOperators => ((Some(Level::L2), None), vec!["check_da_cert"]),
            Make::Undecodable => ((Some(Level::L3), None), vec!["payload_decodes"]),
            _ => ((Some(Level::L3), Some(Level::D2)), vec![]),
        };
        assert_eq!((levels, failed), expected, "{:?}", batch.make);
        if batch.make.is_void() {
            flawed.insert(batch.make);
        } else {
            sound += 1;
        }
    }
    assert!(sound == 6 && flawed.len() > 2, "{sound} {flawed:?}");
}
