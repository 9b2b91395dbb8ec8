use alloy::consensus::{
    Header, TxReceipt,
    proofs::{calculate_receipt_root, calculate_transaction_root},
};
use alloy::eips::BlockNumberOrTag;
use alloy::network::primitives::BlockTransactionsKind;
use alloy::providers::{Provider, ProviderBuilder, WsConnect};
use alloy::rpc::types::{Filter, Log as RpcLog};
use alloy_primitives::{B256, Bloom};
use futures::StreamExt;
use op_alloy_consensus::{OpReceiptEnvelope, OpTxEnvelope};
use serde_json::{Value, json};

use super::{ask, client, start};
use crate::DevnetConfig;

fn header_of(block: &Value) -> (B256, Header) {
    let hash = serde_json::from_value(block["hash"].clone()).unwrap();
    (hash, serde_json::from_value(block.clone()).unwrap())
}

/// Everything a careful client recomputes, from what the wire says alone.
pub(super) fn recompute(block: &Value, receipts: &Value) -> usize {
    let (hash, header) = header_of(block);
    assert_eq!(header.hash_slow(), hash);
    let transactions: Vec<OpTxEnvelope> = serde_json::from_value(block["transactions"].clone()).unwrap();
    assert_eq!(calculate_transaction_root(&transactions), header.transactions_root);
    let receipts: Vec<OpReceiptEnvelope<RpcLog>> = serde_json::from_value(receipts.clone()).unwrap();
    let receipts: Vec<OpReceiptEnvelope> =
        receipts.into_iter().map(|receipt| receipt.map_logs(RpcLog::into_inner)).collect();
    assert_eq!(calculate_receipt_root(&receipts), header.receipts_root);
    let bloom = receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom());
    assert_eq!(bloom, header.logs_bloom);
    assert_eq!(receipts.last().map_or(0, TxReceipt::cumulative_gas_used), header.gas_used);
    for transaction in &transactions {
        if let OpTxEnvelope::Eip1559(signed) = transaction {
            let said = block["transactions"].as_array().unwrap().iter();
            let said = said.clone().find(|one| one["hash"] == json!(signed.hash())).unwrap();
            assert_eq!(json!(signed.recover_signer().unwrap()), said["from"]);
        }
    }
    receipts.iter().map(|receipt| receipt.logs().len()).sum()
}

#[tokio::test]
async fn every_hash_recomputes_from_what_the_wire_says() {
    let net = start(DevnetConfig::default()).await;
    net.advance(60);
    for url in [net.l2_http(), net.l1_http()] {
        let client = client(&url);
        let head = client.get_block_number().await.unwrap();
        let mut parent = B256::ZERO;
        let mut logs = 0;
        for number in 0..=head {
            let block = ask(&client, "eth_getBlockByNumber", json!([format!("{number:#x}"), true])).await;
            let receipts = ask(&client, "eth_getBlockReceipts", json!([block["hash"]])).await;
            logs += recompute(&block, &receipts);
            assert_eq!(block["parentHash"], json!(parent));
            parent = header_of(&block).0;
        }
        assert_eq!(logs > 50, url == net.l2_http());
    }
}

#[tokio::test]
async fn the_first_transaction_names_the_l1_origin() {
    let net = start(DevnetConfig::default()).await;
    net.advance(20);
    let (l2, l1) = (client(&net.l2_http()), client(&net.l1_http()));
    for number in 1..=20_u64 {
        let block = ask(&l2, "eth_getBlockByNumber", json!([format!("{number:#x}"), true])).await;
        let deposit = &block["transactions"][0];
        assert_eq!(deposit["type"], "0x7e");
        let input: alloy_primitives::Bytes = serde_json::from_value(deposit["input"].clone()).unwrap();
        assert_eq!(input.len(), 164);
        let origin = u64::from_be_bytes(input[28..36].try_into().unwrap());
        let l1_block = ask(&l1, "eth_getBlockByNumber", json!([format!("{origin:#x}"), false])).await;
        assert_eq!(l1_block["hash"], json!(B256::from_slice(&input[100..132])));
        let receipts = ask(&l2, "eth_getBlockReceipts", json!([block["hash"]])).await;
        assert_eq!(receipts[0]["depositReceiptVersion"], "0x1");
        assert_eq!(receipts[0]["depositNonce"], format!("{:#x}", number - 1));
    }
}

#[tokio::test]
async fn alloy_reads_the_chain_and_its_tags() {
    let net = start(DevnetConfig::default()).await;
    net.advance(200);
    let client = client(&net.l2_http());
    assert_eq!(client.get_chain_id().await.unwrap(), 16_121);
    assert_eq!(client.get_block_number().await.unwrap(), 200);
    let of = async |tag| client.get_block_by_number(tag).await.unwrap().unwrap().header.number;
    assert_eq!(of(BlockNumberOrTag::Finalized).await, 136);
    assert_eq!(of(BlockNumberOrTag::Safe).await, 184);
    assert_eq!(of(BlockNumberOrTag::Earliest).await, 0);
    net.set_finalized(Some(150));
    assert_eq!(of(BlockNumberOrTag::Finalized).await, 150);
    let logs = client.get_logs(&Filter::new().from_block(10).to_block(20)).await.unwrap();
    let truth = net.truth();
    let expected: usize = truth.blocks[10..=20].iter().map(|block| block.logs).sum();
    assert_eq!(logs.len(), expected);
    let one = &logs[0];
    let receipt = client.get_transaction_receipt(one.transaction_hash.unwrap()).await.unwrap().unwrap();
    assert_eq!(receipt.block_hash, one.block_hash);
    let block = client.get_block_by_hash(one.block_hash.unwrap()).kind(BlockTransactionsKind::Full).await;
    assert_eq!(block.unwrap().unwrap().header.number, one.block_number.unwrap());
    let filter = Filter::new().at_block_hash(one.block_hash.unwrap()).address(one.address());
    assert!(client.get_logs(&filter).await.unwrap().contains(one));
    let unknown = client.get_block_by_hash(B256::repeat_byte(7)).await.unwrap();
    assert!(unknown.is_none());
}

#[tokio::test]
async fn a_websocket_announces_every_head() {
    let net = start(DevnetConfig::default()).await;
    let client = ProviderBuilder::new().connect_ws(WsConnect::new(net.l2_ws())).await.unwrap();
    let mut heads = client.subscribe_blocks().await.unwrap().into_stream();
    net.advance(3);
    for number in 1..=3_u64 {
        let head = heads.next().await.unwrap();
        assert_eq!((head.number, head.inner.hash_slow()), (number, head.hash));
    }
    net.fork(2, 0).unwrap();
    let (first, second) = (heads.next().await.unwrap(), heads.next().await.unwrap());
    assert_eq!((first.number, second.number), (2, 3));
    assert_eq!(second.parent_hash, first.hash);
    assert_ne!(second.hash, net.head().1);
    net.heal();
    assert_eq!(heads.next().await.unwrap().number, 2);
    assert_eq!(heads.next().await.unwrap().hash, net.head().1);
}

#[tokio::test]
async fn same_seed_same_chain_other_seed_other() {
    let mut heads = Vec::new();
    for seed in [1, 1, 2] {
        let net = start(DevnetConfig { seed, ..DevnetConfig::default() }).await;
        net.advance(if heads.is_empty() { 40 } else { 17 });
        net.mine_to(40);
        heads.push((net.head(), net.truth()));
    }
    assert_eq!(heads[0], heads[1]);
    assert_ne!(heads[0].0, heads[2].0);
}

#[tokio::test]
async fn wrong_requests_are_answered_as_nodes_do() {
    let net = start(DevnetConfig::default()).await;
    let http = alloy::transports::http::reqwest::Client::new();
    let post = async |body: &str| {
        let answer = http.post(net.l2_http()).body(body.to_owned()).send().await.unwrap().text().await.unwrap();
        serde_json::from_str::<Value>(&answer).unwrap()
    };
    assert_eq!(post("{").await["error"]["code"], -32700);
    assert_eq!(post("[]").await["error"]["code"], -32600);
    assert_eq!(post(r#"{"id":1,"method":"eth_nothing"}"#).await["error"]["code"], -32601);
    assert_eq!(post(r#"{"id":1,"method":"eth_getBlockByNumber","params":["7",true]}"#).await["error"]["code"], -32602);
    let batch = r#"[{"id":1,"method":"eth_chainId"},{"id":"b","method":"eth_blockNumber","params":[]}]"#;
    assert_eq!(post(batch).await[1], json!({"jsonrpc": "2.0", "id": "b", "result": "0x0"}));
    let wide = r#"{"id":1,"method":"eth_getLogs","params":[{"fromBlock":"0x0","toBlock":"0xffffff"}]}"#;
    assert_eq!(post(wide).await["error"]["code"], -32005);
}
