use super::{
    encode_event, events_digest, log_root_next, manifest_root, payload_from_json, payload_json, records_root,
    standard_tree,
};
use crate::amount::Amount;
use crate::code::{Backing, Flag, Flags, Reason, Relation};
use crate::event::{DecimalI128, Event, Payload, SplitPart, Upstream};
use crate::id::{BatchId, ContributionId, EntityId, ModelId, PaymentId, VersionId};
use crate::position::Position;
use alloy_primitives::{Address, B256, Bytes, hex, keccak256};
use minicbor::data::Type;
use minicbor::decode::Decoder;

fn samples() -> Vec<Payload> {
    vec![
        Payload::ModelVersionPublished {
            model: ModelId(B256::repeat_byte(1)),
            version: 3,
            artifact_hash: B256::repeat_byte(2),
            config_hash: B256::ZERO,
            license: B256::ZERO,
            upstream: vec![
                Upstream { version: B256::repeat_byte(9), relation: Relation::TrainedOn, share_ppb: None },
                Upstream { version: B256::repeat_byte(8), relation: Relation::BasedOnAdapter, share_ppb: Some(5) },
            ],
        },
        Payload::RevenueReceived {
            payment: PaymentId(B256::repeat_byte(3)),
            key: B256::ZERO,
            subject: VersionId(B256::repeat_byte(4)),
            payer: Address::repeat_byte(5),
            token: Address::ZERO,
            amount: Amount::new(Amount::LIMIT - 1).unwrap(),
            reference: Some(B256::repeat_byte(6)),
            backing: Backing::Vault,
        },
        Payload::StakeChanged {
            pool: EntityId(B256::ZERO),
            account: Address::ZERO,
            delta: DecimalI128(-i128::from(u64::MAX) - 5),
            balance_after: Amount::ZERO,
        },
        Payload::SplitSet {
            entity: EntityId(B256::ZERO),
            parts: vec![SplitPart { account: Address::repeat_byte(1), share_ppb: 1_000_000_000 }],
        },
        Payload::Undecodable { rule: "a\u{0}b".to_owned(), content_hash: B256::ZERO },
        Payload::BatchDeclaredMissing { batch: BatchId(B256::ZERO), declared_at: u64::MAX },
        Payload::RewardPolicySet {
            scope: EntityId(B256::ZERO),
            policy_hash: B256::ZERO,
            version: 0,
            policy: Bytes::from_static(b"{}"),
        },
    ]
}

fn event(payload: Payload) -> Event {
    Event {
        position: Position { block_number: 70_000, tx_index: 1, log_index: 300, sub_index: 0 },
        emitter: Address::repeat_byte(0xee),
        reason: Some(Reason::UnknownRef),
        flags: Flags::NONE.with(Flag::ExternalRef),
        payload,
    }
}

/// Walks one item with an independent decoder and checks RFC 8949 §4.2.1 as it goes.
fn check_deterministic(decoder: &mut Decoder<'_>) {
    let start = decoder.position();
    let shortest = |value: u64, used: usize| {
        let expected = match value {
            0..=23 => 1,
            24..=0xff => 2,
            0x100..=0xffff => 3,
            0x1_0000..=0xffff_ffff => 5,
            _ => 9,
        };
        assert_eq!(used, expected, "{value} is not in its shortest form");
    };
    match decoder.datatype().unwrap() {
        Type::Map => {
            let entries = decoder.map().unwrap().expect("a definite length");
            let mut last: Option<Vec<u8>> = None;
            for _ in 0..entries {
                let begin = decoder.position();
                decoder.str().unwrap();
                let key = decoder.input()[begin..decoder.position()].to_vec();
                assert!(last.is_none_or(|last| last < key), "keys out of order");
                last = Some(key);
                check_deterministic(decoder);
            }
        }
        Type::Array => {
            for _ in 0..decoder.array().unwrap().expect("a definite length") {
                check_deterministic(decoder);
            }
        }
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => {
            let value = decoder.u64().unwrap();
            shortest(value, decoder.position() - start);
        }
        Type::Tag => {
            decoder.tag().unwrap();
            let bytes = decoder.bytes().unwrap();
            assert!(bytes.len() > 8 && bytes[0] != 0, "a bignum that is not needed or has leading zeros");
        }
        _ => decoder.skip().unwrap(),
    }
}

#[test]
fn every_encoding_is_deterministic_and_complete() {
    for payload in samples() {
        let mut bytes = Vec::new();
        encode_event(&event(payload.clone()), &mut bytes);
        let mut decoder = Decoder::new(&bytes);
        check_deterministic(&mut decoder);
        assert_eq!(decoder.position(), bytes.len(), "bytes after the event of kind {}", payload.kind());
        let kind = payload.kind().as_bytes();
        assert!(bytes.windows(kind.len()).any(|window| window == kind));
    }
}

#[test]
fn the_bytes_of_an_event_never_change() {
    let mut bytes = Vec::new();
    encode_event(
        &Event {
            position: Position { block_number: 24, tx_index: 0, log_index: 1, sub_index: 2 },
            emitter: Address::repeat_byte(0xaa),
            reason: None,
            flags: Flags::NONE,
            payload: Payload::BatchDeclaredMissing { batch: BatchId(B256::repeat_byte(0xbb)), declared_at: 1000 },
        },
        &mut bytes,
    );
    let expected = concat!(
        "a7",
        "646b696e64",
        "74",
        "42617463684465636c617265644d697373696e67", // kind
        "65666c616773",
        "00",
        "66726561736f6e",
        "f6", // flags, reason
        "67656d6974746572",
        "54",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", // emitter
        "677061796c6f6164",
        "a1",
        "74",
        "42617463684465636c617265644d697373696e67",
        "a2", // payload
        "656261746368",
        "5820",
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
        "6b6465636c617265645f6174",
        "1903e8",
        "68706f736974696f6e",
        "a4",
        "687478",
        "5f696e646578",
        "00",
        "696c6f675f696e646578",
        "01",
        "697375625f696e646578",
        "02",
        "6c626c6f636b5f6e756d626572",
        "1818",
        "6876616c6964697479",
        "f5"
    );
    assert_eq!(hex::encode(&bytes), expected);
}

#[test]
fn payloads_come_back_from_json_and_from_bytes() {
    for payload in samples() {
        let json = payload_json(&payload);
        assert_eq!(payload_from_json(payload.kind(), &json).unwrap(), payload);
        let bytes = postcard::to_stdvec(&event(payload.clone())).unwrap();
        assert_eq!(postcard::from_bytes::<Event>(&bytes).unwrap(), event(payload));
    }
    assert!(payload_from_json("Nothing", "{}").unwrap_err().to_string().contains("Nothing"));
}

#[test]
fn every_part_of_a_block_moves_the_log_root() {
    let one = event(samples().remove(0));
    let mut other = one.clone();
    other.reason = None;
    assert_ne!(events_digest([&one]), events_digest([&other]));
    assert_ne!(events_digest([&one, &other]), events_digest([&other, &one]));
    let digest = events_digest([&one]);
    let root = log_root_next(B256::ZERO, B256::repeat_byte(1), digest);
    assert_ne!(root, log_root_next(B256::ZERO, B256::repeat_byte(2), digest));
    assert_ne!(root, log_root_next(root, B256::repeat_byte(1), digest));
}

#[test]
fn trees_over_few_leaves() {
    let leaf = |byte| B256::repeat_byte(byte);
    assert_eq!(records_root(vec![]), B256::ZERO);
    assert_eq!(records_root(vec![leaf(1)]), leaf(1));
    let pair = |left: B256, right: B256| keccak256([&[1][..], left.as_slice(), right.as_slice()].concat());
    assert_eq!(records_root(vec![leaf(1), leaf(2), leaf(3)]), pair(pair(leaf(1), leaf(2)), leaf(3)));
    assert_eq!(manifest_root([]), B256::ZERO);
    let id = ContributionId(leaf(7));
    assert_eq!(manifest_root([id]), keccak256(keccak256(id.0)));
    assert_eq!(standard_tree(&[]), Vec::<B256>::new());
    assert_eq!(standard_tree(&[leaf(1), leaf(2)])[1..], [leaf(2), leaf(1)]);
}
