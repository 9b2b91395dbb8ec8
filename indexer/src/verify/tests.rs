//! Blocks put together with op-alloy's and alloy's own encoders, which judge ours; then spoilt in every way.

use super::*;
use alloy::{
    consensus::{
        Eip658Value, SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy, TxReceipt as _,
        proofs::{calculate_receipt_root, calculate_transaction_root},
    },
    eips::{eip2718::Encodable2718 as _, eip2930::AccessListItem, eip7702::Authorization},
};
use alloy_primitives::{Address, Bloom, Log, LogData, Sealable as _, Signature, TxKind, U256, address, hex};
use op_alloy_consensus::{
    OpDepositReceipt, OpDepositReceiptWithBloom, OpReceiptEnvelope, OpTxEnvelope, OpTxType, TxDeposit,
};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// A block and what a node says about it.
struct World {
    header: Header,
    block: Value,
    receipts: Value,
    logs: Vec<Log>,
}

impl World {
    fn verify(&self) -> Result<VerifiedBlock, Differs> {
        self.verify_with(Trust::Verified)
    }

    fn verify_with(&self, trust: Trust) -> Result<VerifiedBlock, Differs> {
        let text = self.block.to_string();
        block(header(&text, trust)?, &text, &self.receipts.to_string(), trust)
    }
}

fn transactions(random: &mut ChaCha8Rng) -> Vec<OpTxEnvelope> {
    let to = Address::repeat_byte(7);
    let signature =
        |random: &mut ChaCha8Rng| Signature::new(U256::from(random.random::<u128>()), U256::from(9), random.random());
    let list = vec![AccessListItem { address: to, storage_keys: vec![B256::repeat_byte(3)] }];
    let deposit = TxDeposit {
        source_hash: B256::repeat_byte(1),
        from: address!("DeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001"),
        to: TxKind::Call(address!("4200000000000000000000000000000000000015")),
        mint: 5,
        value: U256::from(2),
        gas_limit: 1_000_000,
        is_system_transaction: false,
        input: [
            &hex!("440a5e20")[..],
            &[0; 8],
            &7_u64.to_be_bytes(),
            &8_u64.to_be_bytes(),
            &9_u64.to_be_bytes(),
            &[0; 64],
            &[0xaa; 32],
            &[0; 32],
        ]
        .concat()
        .into(),
    };
    let legacy = TxLegacy {
        chain_id: Some(1612),
        nonce: 1,
        gas_price: 1 << 70,
        input: vec![1, 2, 3].into(),
        ..TxLegacy::default()
    };
    let old = TxLegacy { chain_id: None, nonce: 2, to: TxKind::Call(to), ..TxLegacy::default() };
    let eip2930 = TxEip2930 { chain_id: 1612, access_list: list.clone().into(), ..TxEip2930::default() };
    let eip1559 = TxEip1559 {
        chain_id: 1612,
        max_fee_per_gas: 4,
        value: U256::MAX,
        input: vec![0; 300].into(),
        ..TxEip1559::default()
    };
    let authorization = Authorization { chain_id: U256::from(1612), address: to, nonce: 3 };
    let eip7702 = TxEip7702 {
        chain_id: 1612,
        to,
        authorization_list: vec![authorization.into_signed(signature(random))],
        access_list: list.into(),
        ..TxEip7702::default()
    };
    vec![
        deposit.seal_slow().into(),
        legacy.into_signed(signature(random)).into(),
        old.into_signed(signature(random)).into(),
        eip2930.into_signed(signature(random)).into(),
        eip1559.into_signed(signature(random)).into(),
        eip7702.into_signed(signature(random)).into(),
    ]
}

fn random_log(random: &mut ChaCha8Rng) -> Log {
    let topics = (0..random.random_range(0..=4)).map(|_| B256::repeat_byte(random.random_range(0..9))).collect();
    let mut data = vec![0; [0, 1, 31, 32, 55, 56, 64, 300][random.random_range(0..8_usize)]];
    random.fill(&mut data[..]);
    Log { address: Address::repeat_byte(random.random_range(0..4)), data: LogData::new_unchecked(topics, data.into()) }
}

fn world(seed: u64, canyon: bool) -> World {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let transactions = transactions(&mut random);
    let (mut receipts, mut shown, mut all, mut gas) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for transaction in &transactions {
        gas += random.random_range(21_000..9_000_000_u64);
        let logs: Vec<Log> = (0..random.random_range(0..6)).map(|_| random_log(&mut random)).collect();
        let kind = transaction.tx_type();
        let version = (kind == OpTxType::Deposit && canyon).then_some(1);
        let success = random.random_bool(0.8);
        // Before Canyon the nonce was shown and not hashed.
        let receipt = OpReceiptEnvelope::from_parts(success, gas, &logs, kind, version.map(|_| 41), version);
        let logs_json: Vec<Value> = logs
            .iter()
            .enumerate()
            .map(|(index, log)| {
                json!({"address": log.address, "topics": log.topics(), "data": log.data.data,
                       "logIndex": format!("{:#x}", all.len() + index), "removed": false})
            })
            .collect();
        let mut json = json!({"type": format!("{:#x}", kind as u8), "status": if success { "0x1" } else { "0x0" },
            "cumulativeGasUsed": format!("{gas:#x}"), "logs": logs_json, "gasUsed": "0x5208"});
        if kind == OpTxType::Deposit {
            json["type"] = json!("0x7E");
            json["depositNonce"] = json!("0x29");
            json["depositReceiptVersion"] = version.map_or(Value::Null, |version| json!(format!("{version:#x}")));
        }
        all.extend(logs);
        receipts.push(receipt);
        shown.push(json);
    }
    let header = Header {
        number: 77,
        timestamp: 1_750_000_000,
        transactions_root: calculate_transaction_root(&transactions),
        receipts_root: calculate_receipt_root(&receipts),
        logs_bloom: receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom()),
        base_fee_per_gas: Some(7),
        withdrawals_root: Some(B256::repeat_byte(2)),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::repeat_byte(3)),
        requests_hash: Some(B256::repeat_byte(4)),
        ..Header::default()
    };
    let mut block = serde_json::to_value(&header).unwrap();
    block["hash"] = json!(header.hash_slow());
    let shown_transactions = transactions.iter().map(|transaction| {
        let mut shown = serde_json::to_value(transaction).unwrap();
        shown["hash"] = json!(alloy_primitives::keccak256(transaction.encoded_2718()));
        shown
    });
    block["transactions"] = shown_transactions.collect();
    World { header, block, receipts: shown.into(), logs: all }
}

#[test]
fn blocks_of_all_types_pass_with_every_log() {
    for seed in 0..60 {
        let world = world(seed, seed % 3 > 0);
        let verified = world.verify().unwrap_or_else(|differs| panic!("seed {seed}: {differs}"));
        assert_eq!(verified.block.hash, world.header.hash_slow());
        let logs = verified.logs.iter().map(|log| Log {
            address: log.address,
            data: LogData::new_unchecked(log.topics.to_vec(), log.data.clone()),
        });
        assert_eq!(logs.collect::<Vec<_>>(), world.logs, "seed {seed}");
        assert!(verified.logs.iter().zip(0..).all(|(log, index)| log.log_index == index));
        let kinds: Vec<u8> = verified.transactions.iter().map(|tx| tx.kind).collect();
        assert_eq!(kinds, [0x7e, 0, 0, 1, 2, 4]);
        let origin = verified.l1_origin.unwrap();
        assert_eq!((origin.sequence, origin.timestamp, origin.number), (7, 8, 9));
        assert_eq!(origin.hash, B256::repeat_byte(0xaa));
    }
}

#[test]
fn the_sender_is_written_in_a_deposit_and_recovered_elsewhere() {
    let key = alloy::signers::local::PrivateKeySigner::from_bytes(&B256::repeat_byte(5)).unwrap();
    let transaction = TxEip1559 { chain_id: 1612, ..TxEip1559::default() };
    let signature = alloy::signers::SignerSync::sign_hash_sync(&key, &transaction.signature_hash()).unwrap();
    let raw = OpTxEnvelope::from(transaction.into_signed(signature)).encoded_2718();
    assert_eq!(TxInfo::decode(raw.into(), true).unwrap().sender(), Some(key.address()));
    let deposit = TxDeposit { from: Address::repeat_byte(6), ..TxDeposit::default() };
    let raw = OpTxEnvelope::from(deposit.seal_slow()).encoded_2718();
    assert_eq!(TxInfo::decode(raw.into(), true).unwrap().sender(), Some(Address::repeat_byte(6)));
    assert_eq!(TxInfo::decode(vec![0x63, 1, 2].into(), true), None);
}

/// A deposit receipt of op-alloy with a nonce and no version hashes the nonce; the chain does not.
#[test]
fn a_nonce_without_a_version_is_not_hashed() {
    let world = world(3, false);
    assert!(world.verify().is_ok());
    let deposit = OpReceiptEnvelope::Deposit(OpDepositReceiptWithBloom {
        receipt: OpDepositReceipt {
            inner: alloy::consensus::Receipt {
                status: Eip658Value::Eip658(true),
                cumulative_gas_used: 1,
                logs: vec![],
            },
            deposit_nonce: Some(41),
            deposit_receipt_version: None,
        },
        logs_bloom: Bloom::ZERO,
    });
    let without = OpReceiptEnvelope::from_parts(true, 1, &[] as &[Log], OpTxType::Deposit, None, None);
    assert_ne!(deposit.encoded_2718(), without.encoded_2718());
}

#[test]
fn every_lie_is_found_and_named() {
    type Lie = (&'static str, Part, fn(&mut World));
    let lies: &[Lie] = &[
        ("a header field", Part::Header, |world| world.block["gasUsed"] = json!("0x1")),
        ("a header of another hash", Part::Header, |world| world.block["hash"] = json!(B256::ZERO)),
        ("a header without a field", Part::Header, |world| drop(world.block.as_object_mut().unwrap().remove("nonce"))),
        ("a fork field left out", Part::Header, |world| world.block["requestsHash"] = Value::Null),
        ("a transaction left out", Part::Transactions, |world| drop(txs(world).pop())),
        ("no transactions", Part::Transactions, |world| txs(world).clear()),
        ("two transactions swapped", Part::Transactions, |world| txs(world).swap(1, 2)),
        ("a value", Part::Transactions, |world| txs(world)[4]["value"] = json!("0x5")),
        ("a deposit's mint", Part::Transactions, |world| txs(world)[0]["mint"] = json!("0x6")),
        ("a type of transaction nobody knows", Part::Transactions, |world| txs(world)[1]["type"] = json!("0x63")),
        ("hashes instead of transactions", Part::Transactions, |world| txs(world)[1] = json!(B256::ZERO)),
        ("a receipt left out", Part::Receipts, |world| drop(receipts(world).pop())),
        ("no receipts yet", Part::Receipts, |world| receipts(world).clear()),
        ("a receipt too many", Part::Receipts, |world| {
            let last = receipts(world)[5].clone();
            receipts(world).push(last);
        }),
        ("a log left out", Part::Receipts, |world| drop(logs(world).pop())),
        ("a log's data", Part::Receipts, |world| logs(world)[0]["data"] = json!("0x1234")),
        ("a log's data that is no hex", Part::Receipts, |world| logs(world)[0]["data"] = json!("0xzz")),
        ("a log's contract", Part::Receipts, |world| logs(world)[0]["address"] = json!(Address::repeat_byte(99))),
        ("a log's topics", Part::Receipts, |world| logs(world)[0]["topics"] = json!([B256::repeat_byte(42)])),
        ("five topics", Part::Receipts, |world| logs(world)[0]["topics"] = json!(vec![B256::ZERO; 5])),
        ("two logs swapped", Part::Receipts, |world| logs(world).swap(0, 1)),
        ("a log index", Part::Receipts, |world| logs(world)[0]["logIndex"] = json!("0x63")),
        ("a status", Part::Receipts, |world| {
            let status = if receipts(world)[2]["status"] == "0x1" { "0x0" } else { "0x1" };
            receipts(world)[2]["status"] = json!(status);
        }),
        ("gas", Part::Receipts, |world| receipts(world)[2]["cumulativeGasUsed"] = json!("0x1")),
        ("a deposit's nonce", Part::Receipts, |world| receipts(world)[0]["depositNonce"] = json!("0x1")),
        ("a deposit's version", Part::Receipts, |world| receipts(world)[0]["depositReceiptVersion"] = Value::Null),
        ("a type of receipt nobody knows", Part::Receipts, |world| receipts(world)[0]["type"] = json!("0x63")),
    ];
    for (name, part, lie) in lies {
        let mut world = (0..).map(|seed| world(seed, true)).find(|world| richest(world).is_some()).unwrap();
        assert!(world.verify().is_ok());
        lie(&mut world);
        let differs = world.verify().expect_err(name);
        assert_eq!(differs.part, *part, "{name}: {differs}");
        assert!(!differs.what.is_empty());
        assert_eq!(differs.maybe_early, matches!(*name, "a receipt left out" | "no receipts yet"), "{name}");
    }
}

/// What a source that is not verified may get wrong, and what it may not: that cannot be read, or cannot be followed.
#[test]
fn an_unverified_source_is_believed_and_its_blocks_say_so() {
    type Lie = (&'static str, bool, fn(&mut World));
    let lies: &[Lie] = &[
        ("nothing", true, |_| {}),
        ("a header field", true, |world| world.block["gasUsed"] = json!("0x1")),
        ("the transactions root", true, |world| world.block["transactionsRoot"] = json!(B256::ZERO)),
        ("the receipts root", true, |world| world.block["receiptsRoot"] = json!(B256::ZERO)),
        ("a log left out", true, |world| drop(logs(world).pop())),
        ("a log index", true, |world| logs(world)[0]["logIndex"] = json!("0x63")),
        ("a receipt left out", false, |world| drop(receipts(world).pop())),
        ("a transaction's value", false, |world| txs(world)[4]["value"] = json!("0x5")),
        ("a type nobody knows", false, |world| txs(world)[1]["type"] = json!("0x63")),
        ("data that is no hex", false, |world| logs(world)[0]["data"] = json!("0xzz")),
    ];
    for (name, passes, lie) in lies {
        let mut world = (0..).map(|seed| world(seed, true)).find(|world| richest(world).is_some()).unwrap();
        lie(&mut world);
        let verified = world.verify_with(Trust::Unverified);
        assert_eq!(verified.is_ok(), *passes, "{name}: {verified:?}");
        if let Ok(verified) = verified {
            assert_eq!(verified.trust, Trust::Unverified, "{name}");
            assert_eq!(json!(verified.block.hash), world.block["hash"], "{name}");
        }
    }
}

fn txs(world: &mut World) -> &mut Vec<Value> {
    world.block["transactions"].as_array_mut().unwrap()
}

fn receipts(world: &mut World) -> &mut Vec<Value> {
    world.receipts.as_array_mut().unwrap()
}

/// The receipt with at least two logs that differ.
fn richest(world: &World) -> Option<usize> {
    let receipts = world.receipts.as_array().unwrap();
    receipts.iter().position(|receipt| {
        let logs = receipt["logs"].as_array().unwrap();
        logs.len() > 1 && logs[0]["data"] != logs[1]["data"]
    })
}

fn logs(world: &mut World) -> &mut Vec<Value> {
    let at = richest(world).unwrap();
    receipts(world)[at]["logs"].as_array_mut().unwrap()
}
