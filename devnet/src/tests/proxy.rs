use alloy_primitives::{hex, keccak256};
use tributary_schemas::payload_codec;

use super::start;
use crate::DevnetConfig;

#[tokio::test]
async fn payloads_are_put_and_got_by_their_hash() {
    let net = start(DevnetConfig { certificates: true, ..DevnetConfig::default() }).await;
    let http = alloy::transports::http::reqwest::Client::new();
    let payload = b"hello".repeat(50);
    let commitment = format!("0x00{}", hex::encode(keccak256(&payload)));
    let put = http.post(format!("{}/put/{commitment}", net.proxy_url())).body(payload.clone()).send().await.unwrap();
    assert_eq!(put.status(), 200);
    let get = async |path: &str| {
        let answer = http.get(format!("{}{path}", net.proxy_url())).send().await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap())
    };
    assert_eq!(get(&format!("/get/{commitment}")).await, (200, payload.clone().into()));
    let encoded = payload_codec::encode(&payload).unwrap();
    for query in ["return_encoded_payload", "return_encoded_payload=true", "return_encoded_payload=1"] {
        assert_eq!(get(&format!("/get/{commitment}?{query}")).await, (200, encoded.clone().into()));
    }
    let absent = format!("/get/0x00{}", hex::encode([9; 32]));
    assert_eq!(get(&absent).await.0, 500);
    assert_eq!(get("/get/0xzz").await.0, 400);
    assert_eq!(get("/get/0x00ff").await.0, 400);
    assert_eq!(get("/get/0x05ff").await.0, 400);
    assert_eq!(get(&format!("/get/{commitment}?l1_inclusion_block_number=x")).await.0, 400);
    for bad in ["0x", "0x01", "0x0100", "0x010004c0", "0x010000"] {
        let status = get(&format!("/get/{bad}")).await.0;
        assert_eq!(status, if bad == "0x010000" { 500 } else { 400 }, "{bad}");
    }
    assert_eq!(get("/health").await.0, 200);
    let (status, config) = get("/config").await;
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&config).unwrap()["read_only_mode"], false);
    let wrong = http.post(format!("{}/put/{commitment}", net.proxy_url())).body("other").send().await.unwrap();
    assert_eq!(wrong.status(), 400);
    let disperse = http.post(format!("{}/put", net.proxy_url())).body("other").send().await.unwrap();
    assert_eq!(disperse.status(), 503);
}
