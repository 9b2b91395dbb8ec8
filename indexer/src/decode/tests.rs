use alloy_dyn_abi::{DynSolValue, Specifier as _};
use alloy_json_abi::Event as AbiEvent;
use alloy_primitives::{Address, B256, Bytes, I256, U256};
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tributary_schemas::code::Reason;
use tributary_schemas::{BlockRef, Payload};

mod call;
mod children;
mod join;
mod language;
mod state;
mod strangers;

use super::{Decoded, Unknown, decode_block as decode_in};
use crate::mapping::{Contracts, Mapping, REFERENCE};
use crate::{Topics, Trust, VerifiedBlock, VerifiedLog};

const ROLES: [&str; 5] = ["datanet_registry", "model_registry", "agent_registry", "attribution_hub", "reward_vault"];

fn decode_block(mapping: &Mapping, block: &VerifiedBlock) -> Vec<Decoded> {
    decode_in(mapping, block, &Unknown)
}

fn mapping() -> Mapping {
    let contracts: Contracts =
        ROLES.iter().map(|role| ((*role).to_owned(), [Address::repeat_byte(1)].into())).collect();
    Mapping::reference(1612, &contracts).unwrap()
}

/// The events of the reference set, as written in it.
fn events() -> Vec<(String, AbiEvent)> {
    let set: toml::Value = toml::from_str(REFERENCE).unwrap();
    let rules = set["rule"].as_array().unwrap().iter();
    rules
        .map(|rule| {
            (rule["emit"].as_str().unwrap().to_owned(), AbiEvent::parse(rule["event"].as_str().unwrap()).unwrap())
        })
        .collect()
}

fn block(logs: Vec<(Address, Vec<B256>, Vec<u8>)>) -> VerifiedBlock {
    let logs = (0..).zip(logs).map(|(log_index, (address, topics, data))| VerifiedLog {
        tx_index: 0,
        log_index,
        address,
        topics: Topics::new(&topics).unwrap(),
        data: Bytes::from(data),
    });
    VerifiedBlock {
        block: BlockRef { number: 5, ..BlockRef::default() },
        header: alloy::consensus::Header::default(),
        l1_origin: None,
        transactions: Vec::new(),
        logs: logs.collect(),
        trust: Trust::Verified,
        reads: Default::default(),
    }
}

/// A value within what the vocabulary takes: small numbers, so that every enum and every amount fits.
fn value(kind: &alloy_dyn_abi::DynSolType, rng: &mut ChaCha8Rng) -> DynSolValue {
    use alloy_dyn_abi::DynSolType as T;
    match kind {
        T::Bool => DynSolValue::Bool(rng.random()),
        T::Uint(bits) => DynSolValue::Uint(U256::from(rng.random_range(0..2_u8)), *bits),
        T::Int(bits) => DynSolValue::Int(I256::try_from(rng.random_range(-9_i64..9)).unwrap(), *bits),
        T::Address => DynSolValue::Address(Address::from(rng.random::<[u8; 20]>())),
        T::FixedBytes(size) => DynSolValue::FixedBytes(B256::from(rng.random::<[u8; 32]>()), *size),
        T::Bytes => DynSolValue::Bytes((0..rng.random_range(0..70)).map(|_| rng.random()).collect()),
        T::String => DynSolValue::String("é\0x".repeat(rng.random_range(0..20))),
        T::Array(one) => DynSolValue::Array((0..2).map(|_| value(one, rng)).collect()),
        other => panic!("{other} is in no event"),
    }
}

/// What alloy emits for an event.
fn emit(event: &AbiEvent, rng: &mut ChaCha8Rng) -> (Vec<B256>, Vec<u8>, Vec<DynSolValue>) {
    let values: Vec<DynSolValue> = event.inputs.iter().map(|input| value(&input.resolve().unwrap(), rng)).collect();
    let mut topics = vec![event.selector()];
    let mut body = Vec::new();
    for (input, value) in event.inputs.iter().zip(&values) {
        if input.indexed {
            topics.push(value.as_word().unwrap());
        } else {
            body.push(value.clone());
        }
    }
    (topics, DynSolValue::Tuple(body).abi_encode_params(), values)
}

#[test]
fn every_event_as_alloy_encodes_it_becomes_its_fact() {
    let (mapping, mut rng) = (mapping(), ChaCha8Rng::seed_from_u64(1));
    for (kind, event) in events() {
        for _ in 0..50 {
            let (topics, data, values) = emit(&event, &mut rng);
            let decoded = decode_block(&mapping, &block(vec![(Address::repeat_byte(1), topics, data)]));
            let [Decoded { payload, refused: None, .. }] = decoded.as_slice() else {
                panic!("{kind}: {decoded:?}");
            };
            assert_eq!(payload.kind(), kind);
            // Every text, byte string, address and word of the log is in the fact.
            let told = tributary_schemas::encoding::payload_json(payload);
            for value in values {
                let (text, skip) = match &value {
                    DynSolValue::Bytes(bytes) => (alloy_primitives::hex::encode_prefixed(bytes), false),
                    DynSolValue::String(text) => (serde_json::to_string(text).unwrap(), false),
                    DynSolValue::Address(address) => (address.to_string().to_lowercase(), address.is_zero()),
                    DynSolValue::FixedBytes(word, 32) => (word.to_string(), false),
                    _ => continue,
                };
                assert!(skip || told.to_lowercase().contains(&text.to_lowercase()), "{kind}: {text} in {told}");
            }
        }
    }
}

#[test]
fn fields_arrive_where_they_belong() {
    let (mapping, mut rng) = (mapping(), ChaCha8Rng::seed_from_u64(2));
    let (_, event) = events().into_iter().find(|(_, event)| event.name == "ModelVersionPublished").unwrap();
    let (topics, mut data, values) = emit(&event, &mut rng);
    // The last two words are the shares.
    let shares = data.len() - 64;
    data[shares..].fill(0);
    data[shares + 28..shares + 32].fill(0xff);
    data[shares + 63] = 7;
    let decoded = decode_block(&mapping, &block(vec![(Address::repeat_byte(1), topics, data)]));
    let Payload::ModelVersionPublished { model, upstream, artifact_hash, .. } = &decoded[0].payload else { panic!() };
    let key = B256::from(values[0].as_uint().unwrap().0);
    assert_eq!(*model, tributary_schemas::id::ModelId::native(1612, Address::repeat_byte(1), key));
    assert_eq!(
        Some((*artifact_hash, 32)),
        values[2].as_fixed_bytes().map(|(word, size)| (B256::from_slice(word), size))
    );
    assert_eq!(upstream.iter().map(|one| one.share_ppb).collect::<Vec<_>>(), [None, Some(7)]);
}

#[test]
fn damaged_logs_are_facts_and_never_panic() {
    let (mapping, mut rng) = (mapping(), ChaCha8Rng::seed_from_u64(3));
    let (mut refused, mut taken) = (0, 0);
    for (_, event) in events() {
        for round in 0..300 {
            let (mut topics, mut data, _) = emit(&event, &mut rng);
            match round % 5 {
                0 => data.truncate(rng.random_range(0..=data.len())),
                1 => data.push(0),
                2 if !data.is_empty() => {
                    let at = rng.random_range(0..data.len());
                    data[at] ^= 1 << rng.random_range(0..8);
                }
                3 if topics.len() > 1 => {
                    let at = rng.random_range(1..topics.len());
                    rng.fill_bytes(topics[at].as_mut_slice());
                }
                _ => {
                    data = vec![0; rng.random_range(0..400)];
                    rng.fill_bytes(&mut data);
                }
            }
            for one in decode_block(&mapping, &block(vec![(Address::repeat_byte(1), topics, data)])) {
                match (&one.payload, &one.refused) {
                    (Payload::Undecodable { .. }, Some((Reason::DecodeError | Reason::OutOfRange, detail))) => {
                        assert!(!detail.is_empty());
                        refused += 1;
                    }
                    (Payload::Undecodable { .. }, other) => panic!("{other:?}"),
                    (_, None) => taken += 1,
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    assert!(refused > 3000 && taken > 100, "{refused} refused, {taken} taken");
}

#[test]
fn strangers_are_heard_with_the_words_of_authority_only() {
    let (mapping, mut rng) = (mapping(), ChaCha8Rng::seed_from_u64(4));
    for (kind, event) in events() {
        let (topics, data, _) = emit(&event, &mut rng);
        let decoded = decode_block(&mapping, &block(vec![(Address::repeat_byte(9), topics, data)]));
        match (event.name.as_str(), decoded.as_slice()) {
            ("Transfer", []) => {}
            (_, [Decoded { refused: Some((Reason::Unauthorized, _)), .. }]) => {
                assert!(super::super::mapping::is_authority(&kind), "{kind}");
            }
            (_, [Decoded { refused: None, .. }]) => assert!(!super::super::mapping::is_authority(&kind), "{kind}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_mint_is_no_transfer_and_foreign_shapes_are_skipped() {
    let mapping = mapping();
    let (_, event) = events().into_iter().find(|(_, event)| event.name == "Transfer").unwrap();
    let word = |n: u8| B256::with_last_byte(n);
    let log = |from: u8| (Address::repeat_byte(1), vec![event.selector(), word(from), word(2), word(3)], Vec::new());
    let erc20 = (Address::repeat_byte(1), vec![event.selector(), word(1), word(2)], word(9).to_vec());
    let unknown = (Address::repeat_byte(1), vec![B256::repeat_byte(7)], Vec::new());
    let nameless = (Address::repeat_byte(1), Vec::new(), vec![1, 2, 3]);
    let decoded = decode_block(&mapping, &block(vec![log(0), erc20, unknown, nameless, log(1)]));
    assert_eq!(decoded.len(), 1);
    assert_eq!(decoded[0].position.log_index, 4);
    assert!(matches!(decoded[0].payload, Payload::OwnershipTransferred { .. }));
}
