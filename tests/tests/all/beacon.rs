//! A real blob transaction on a real L1, read back through its beacon routes.
//!
//! Anvil takes a slot for a block's number, so its blocks are twelve seconds apart from genesis on.

use std::sync::Arc;

use alloy::consensus::{
    BlobTransactionSidecar, SignableTransaction as _, TxEip4844, TxEip4844Variant, TxEip4844WithSidecar,
};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::eips::eip4844::{Blob, Bytes48};
use alloy::providers::{DynProvider, Provider as _};
use alloy::signers::{SignerSync as _, local::PrivateKeySigner};
use alloy_primitives::{Address, B256, Bytes, U256};
use serde_json::{Value, json};
use tributary_devnet::sidecar::Sidecar;
use tributary_indexer::beacon::BeaconNodes;
use tributary_indexer::beacon::kzg::versioned_hash;
use tributary_indexer::clock::ManualClock;
use tributary_indexer::inbox::blob_encoding;
use tributary_indexer::inbox::posting::Posting;
use tributary_indexer::inbox::transaction::L1Transaction;
use tributary_tests::anvil::Anvil;

const L1: u64 = 900;
const GENESIS: u64 = 1_750_000_000;

async fn ask(provider: &DynProvider, method: &'static str, params: Value) -> Value {
    provider.raw_request(method.into(), params).await.unwrap()
}

/// A signed transaction to the inbox with a blob for each payload, as it is sent: with its sidecar.
fn posting(signer: &PrivateKeySigner, nonce: u64, inbox: Address, payloads: &[Vec<u8>]) -> (Vec<u8>, Vec<Sidecar>) {
    let made: Vec<Sidecar> = payloads.iter().map(|one| Sidecar::of(Bytes::from(one.clone())).unwrap()).collect();
    let sidecar = BlobTransactionSidecar {
        blobs: made.iter().map(|one| Blob::from_slice(&one.blob())).collect(),
        commitments: made.iter().map(|one| Bytes48::from(one.commitment.0)).collect(),
        proofs: made.iter().map(|one| Bytes48::from(one.proof().0)).collect(),
    };
    let tx = TxEip4844 {
        chain_id: L1,
        nonce,
        gas_limit: 100_000,
        max_fee_per_gas: 100_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: inbox,
        value: U256::ZERO,
        access_list: Default::default(),
        blob_versioned_hashes: made.iter().map(|one| one.versioned_hash).collect(),
        max_fee_per_blob_gas: 1_000_000_000,
        input: Bytes::new(),
    };
    let tx = TxEip4844Variant::TxEip4844WithSidecar(TxEip4844WithSidecar { tx, sidecar });
    let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
    (tx.into_signed(signature).encoded_2718(), made)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_transaction_on_anvil_is_read_from_its_beacon_routes_and_verified() {
    let chain_id = L1.to_string();
    let genesis = GENESIS.to_string();
    let anvil =
        Anvil::start(&["--chain-id", &chain_id, "--timestamp", &genesis, "--hardfork", "cancun", "--no-mining"])
            .unwrap();
    let provider = anvil.provider();
    let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(7)).unwrap();
    let inbox = Address::repeat_byte(0xff);
    let wealth = format!("{:#x}", U256::from(10).pow(U256::from(20)));
    ask(&provider, "anvil_setBalance", json!([signer.address(), wealth])).await;
    ask(&provider, "anvil_setBlockTimestampInterval", json!([12])).await;

    let clock: Arc<dyn tributary_indexer::Clock> = Arc::new(ManualClock::at(0));
    let beacon = BeaconNodes::new(&[anvil.http_url().parse().unwrap()], &clock).unwrap();
    let payloads = [vec![vec![0, 1, 2, 3]], vec![vec![7; 90_000], vec![9; 130_044]]];
    for (nonce, payloads) in (0_u64..).zip(&payloads) {
        let (raw, made) = posting(&signer, nonce, inbox, payloads);
        let sent = ask(&provider, "eth_sendRawTransaction", json!([Bytes::from(raw)])).await;
        ask(&provider, "evm_mine", json!([])).await;
        let shown = ask(&provider, "eth_getTransactionByHash", json!([sent])).await;
        let block = ask(&provider, "eth_getBlockByNumber", json!([shown["blockNumber"], false])).await;
        let timestamp = u64::from_str_radix(block["timestamp"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
        assert_eq!((timestamp - GENESIS) % 12, 0);
        // What the block holds, as following reads it: no sidecar, and the hashes.
        let raw = ask(&provider, "eth_getRawTransactionByHash", json!([sent])).await;
        let raw: Bytes = serde_json::from_value(raw).unwrap();
        let transaction = L1Transaction::decode(&raw).unwrap();
        let Posting::Blobs(hashes) = Posting::of(&transaction) else { panic!("{transaction:?}") };
        assert_eq!(hashes, made.iter().map(|one| one.versioned_hash).collect::<Vec<_>>());

        let blobs = beacon.blobs(hashes, timestamp).await.unwrap();
        assert_eq!(blobs.iter().map(|blob| versioned_hash(blob).unwrap()).collect::<Vec<_>>(), hashes);
        let got: Vec<Vec<u8>> = blobs.iter().map(|blob| blob_encoding::decode(blob).unwrap()).collect();
        assert_eq!(&got, payloads);

        let mut other = hashes[0];
        other[31] ^= 1;
        let refused = beacon.blobs(&[other], timestamp).await.unwrap_err();
        assert!(refused.contains("blobs of slot"), "{refused}");
    }
}
