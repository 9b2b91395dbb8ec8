//! Slots, the commitment, both shapes of the API, and a node by whose answers nothing is believed.

mod misbehaviour;

use alloy_primitives::{B256, Bytes, b256};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use tributary_devnet::sidecar::Sidecar;

use super::answer::{blobs, genesis_time, sidecars, slot_ms};
use super::kzg::{hash_of_commitment, versioned_hash};
use super::{KEPT_MAX, Kept, Slots};
use crate::inbox::blob_encoding::{self, BLOB_BYTES};

#[test]
fn a_slot_is_whole_slots_after_genesis() {
    // Ethereum's mainnet: the merge's first block, and the first one with blobs.
    let slots = Slots { genesis_time: 1_606_824_023, slot_ms: 12_000 };
    assert_eq!(slots.at(1_663_224_179), Some(4_700_013));
    assert_eq!(slots.at(1_710_338_135), Some(8_626_176));
    assert!(slots.begins_at(1_663_224_179) && !slots.begins_at(1_663_224_180));
    assert_eq!(
        (slots.at(1_606_824_023), slots.at(1_606_824_034), slots.at(1_606_824_035)),
        (Some(0), Some(0), Some(1))
    );
    assert_eq!(slots.at(1_606_824_022), None);
    assert!(!slots.begins_at(1_606_824_022));
    assert_eq!(slots.at(u64::MAX), None);
    assert_eq!(Slots { genesis_time: 0, slot_ms: 1_500 }.at(10), Some(6));
}

#[test]
fn terms_are_read_quoted_or_not_and_refused_when_they_cannot_be() {
    let read = |body: serde_json::Value| genesis_time(body.to_string().as_bytes());
    assert_eq!(
        read(json!({"data": {"genesis_time": "1606824023", "genesis_validators_root": "0x"}})),
        Ok(1_606_824_023)
    );
    assert_eq!(read(json!({"data": {"genesis_time": 7}})), Ok(7));
    for wrong in [json!({"data": {"genesis_time": "-1"}}), json!({"data": {}}), json!([]), json!({"genesis_time": "1"})]
    {
        assert!(read(wrong.clone()).unwrap_err().starts_with("unreadable answer"), "{wrong}");
    }
    let spec = |data: serde_json::Value| slot_ms(Some(json!({ "data": data }).to_string().as_bytes()));
    assert_eq!(spec(json!({"SECONDS_PER_SLOT": "6", "BLOB_SCHEDULE": [{"EPOCH": "1"}]})), Ok(6_000));
    assert_eq!(spec(json!({"SECONDS_PER_SLOT": "6", "SLOT_DURATION_MS": "4000"})), Ok(4_000));
    assert_eq!((spec(json!({})), slot_ms(None)), (Ok(12_000), Ok(12_000)));
    assert_eq!(spec(json!({"SECONDS_PER_SLOT": "0"})), Err("slots of 0 ms: expected 1 to 86400000".to_owned()));
    assert!(spec(json!({"SECONDS_PER_SLOT": "18446744073709551615"})).is_err());
}

#[test]
fn the_hash_of_the_empty_blob_is_the_one_everybody_knows() {
    let empty = b256!("010657f37554c781402a22917dee2f75def7ab966d7b770905398eba3c444014");
    assert_eq!(versioned_hash(&[0; BLOB_BYTES]), Some(empty));
    let mut infinity = [0; 48];
    infinity[0] = 0xc0;
    assert_eq!(hash_of_commitment(&infinity), empty);
}

#[test]
fn a_flipped_bit_another_length_or_an_element_out_of_the_field_is_another_blob_or_none() {
    let mut rng = ChaCha8Rng::seed_from_u64(44);
    let payload: Vec<u8> = (0..5_000).map(|_| rng.random()).collect();
    let sidecar = Sidecar::of(Bytes::from(payload.clone())).unwrap();
    let blob = sidecar.blob();
    assert_eq!(versioned_hash(&blob), Some(sidecar.versioned_hash));
    assert_eq!(blob_encoding::decode(&blob).unwrap(), payload);
    for _ in 0..24 {
        let (at, bit) = (rng.random_range(0..BLOB_BYTES), rng.random_range(0..8));
        let mut flipped = blob.clone();
        flipped[at] ^= 1 << bit;
        assert_ne!(versioned_hash(&flipped), Some(sidecar.versioned_hash), "bit {bit} of byte {at}");
    }
    for length in [0, 1, BLOB_BYTES - 1, BLOB_BYTES + 1] {
        assert_eq!(versioned_hash(&vec![0; length]), None);
    }
    let mut above = blob;
    above[..32].fill(0xff);
    assert_eq!(versioned_hash(&above), None);
}

#[test]
fn both_shapes_of_answers_are_read_and_nothing_else() {
    let hex = |byte: u8, count: usize| format!("0x{}", format!("{byte:02x}").repeat(count));
    let read = |data: serde_json::Value| blobs(json!({"finalized": true, "data": data}).to_string().as_bytes());
    assert_eq!(read(json!([])), Ok(vec![]));
    assert_eq!(
        read(json!([hex(1, BLOB_BYTES), hex(2, BLOB_BYTES)])),
        Ok(vec![vec![1; BLOB_BYTES], vec![2; BLOB_BYTES]])
    );
    let wrong = [
        json!([hex(1, BLOB_BYTES - 1)]),
        json!([hex(1, BLOB_BYTES + 1)]),
        json!([""]),
        json!([null]),
        json!([[1]]),
        json!([hex(1, BLOB_BYTES - 1) + "zz"]),
        json!({}),
        json!(null),
    ];
    for wrong in wrong {
        let error = read(wrong).unwrap_err();
        assert!(error.starts_with("unreadable answer") && error.len() < 200, "{error}");
    }
    let told = json!({"version": "deneb", "data": [{
        "index": "0", "blob": hex(3, BLOB_BYTES), "kzg_commitment": hex(4, 48), "kzg_proof": hex(0, 48),
        "signed_block_header": {"message": {"slot": "1"}}, "kzg_commitment_inclusion_proof": [hex(5, 32)],
    }]});
    let got = sidecars(told.to_string().as_bytes()).unwrap();
    assert_eq!((got.len(), &got[0].commitment, &got[0].blob), (1, &vec![4; 48], &vec![3; BLOB_BYTES]));
    let short = json!({"data": [{"blob": hex(3, BLOB_BYTES), "kzg_commitment": hex(4, 47)}]});
    assert!(sidecars(short.to_string().as_bytes()).is_err());
    assert!(sidecars(br#"{"data": [{"blob": "0x"}]}"#).is_err());
}

#[test]
fn of_what_was_found_the_newest_is_kept() {
    let mut kept = Kept::default();
    let hash = |number: usize| B256::with_last_byte(u8::try_from(number).unwrap());
    for number in 0..KEPT_MAX + 3 {
        kept.keep(&[(hash(number), vec![0; 4].into())].into());
        kept.keep(&[(hash(number), vec![0; 4].into())].into());
    }
    assert_eq!((kept.blobs.len(), kept.order.len()), (KEPT_MAX, KEPT_MAX));
    assert!(kept.of(&[hash(0), hash(2)]).is_empty());
    assert_eq!(kept.of(&[hash(2), hash(3), hash(KEPT_MAX + 2)]).len(), 2);
}
