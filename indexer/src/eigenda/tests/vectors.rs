//! Real certificates of Sepolia and Holesky.

use alloy_primitives::{Address, B256, hex};
use ark_bn254::{Bn254, Fq, Fq2, G2Affine};
use ark_ec::pairing::Pairing as _;
use ark_ff::PrimeField as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tributary_schemas::eigenda::router::abi_encoded;
use tributary_schemas::eigenda::{Commitment, Mode, Posted, hash};

use super::super::*;
use super::{failures, shared};

fn hex_file(name: &str) -> Option<Vec<u8>> {
    let text = String::from_utf8(shared(name)?).unwrap();
    Some(hex::decode(text.trim()).unwrap())
}

fn srs() -> Option<Srs> {
    shared("srs/g1.point.4096").map(|bytes| Srs::read(&bytes[..64 * 32]).unwrap())
}

fn of(bytes: &[u8]) -> Report {
    inspect(Mode::Op, bytes, Setup::ceremony(), None, None)
}

fn is<T: std::str::FromStr<Err: std::fmt::Debug>>(expected: &Value, key: &str) -> Option<T> {
    Some(expected[key].as_str().unwrap().parse().unwrap())
}

#[test]
fn certificates_are_what_others_made_of_them() {
    let Some(expected) = shared("certs.expected.visible.json") else { return };
    let expected: Vec<Value> = serde_json::from_slice(&expected).unwrap();
    assert_eq!(expected.len(), 4);
    for expected in expected {
        let file = expected["file"].as_str().unwrap();
        let bytes = hex_file(file).unwrap();
        let report = of(&bytes);
        assert_eq!((report.level, report.first_failure), (Some(Level::L2), None), "{file}");
        assert_eq!(report.blob_key, is::<B256>(&expected, "blob_key"), "{file}");
        assert_eq!(report.certificate_hash, is::<B256>(&expected, "blob_certificate_hash"), "{file}");
        assert_eq!(report.batch_header_hash, is::<B256>(&expected, "batch_header_hash"), "{file}");
        assert_eq!(report.dispersing_account, is::<Address>(&expected, "dispersing_account_ecrecover"), "{file}");
        assert_eq!(report.storage_key, is::<B256>(&expected, "keccak_serialized_cert_proxy_s3_key"), "{file}");
        assert_eq!(report.commitment_hash, is::<B256>(&expected, "keccak_altda_commitment"), "{file}");
        assert_eq!(report.cert_version.map(u64::from), expected["cert_version"].as_u64());
        assert_eq!(report.version_byte.map(u64::from), expected["da_commitment_version_byte"].as_u64());
        assert_eq!(report.length.map(u64::from), expected["blob_length_symbols"].as_u64());
        let Ok(Commitment::EigenDa(certificate)) = Commitment::read_either(Mode::Op, &bytes) else { panic!("{file}") };
        let signatures = &certificate.signatures;
        assert_eq!(Some(certificate.batch_header.batch_root), is(&expected, "batch_root"));
        assert_eq!(expected["reference_block_number"], certificate.batch_header.reference_block_number);
        assert_eq!(expected["blob_index"], certificate.blob_inclusion.blob_index);
        assert_eq!(expected["non_signer_count"], signatures.non_signer_pubkeys.len());
        assert_eq!(expected["quorum_numbers"], certificate.blob_header().quorum_numbers.to_string());
        assert_eq!(expected["signed_quorum_numbers"], certificate.signed_quorum_numbers.to_string());
        assert_eq!(
            expected["kzg_commitment"],
            serde_json::to_value(padded(&certificate.commitment().commitment)).unwrap()
        );
        assert!(abi_encoded(&certificate).len() < 262_144);
    }
}

fn padded(point: &tributary_schemas::eigenda::G1) -> Value {
    serde_json::json!({ "x": B256::from(point.x), "y": B256::from(point.y) })
}

#[test]
fn the_first_network_can_still_be_read() {
    let Some(bytes) = hex_file("eigenda-proxy/v1_altda_commitment_0.hex") else { return };
    let report = of(&bytes);
    assert_eq!((report.cert_version, report.level, report.first_failure), (Some(1), Some(Level::L1), None));
    assert_eq!(report.dispersing_account, None);
    let index = &report.fields["blob_verification_proof"]["blob_index"];
    assert_eq!(index, 195);
    flip_all(&bytes, 4..bytes.len(), Level::L1, &FREE_V1);
}

/// What a version 1 certificate says of itself, with nothing in it to hold it against: who signed how much, what was
/// paid, when it was confirmed, and its own number.
const FREE_V1: [&str; 5] =
    ["batch_id", "signatory_record_hash", "fee", "confirmation_block_number", "quorum_signed_percentages"];

/// The bytes of a real blob, from the commitment on L1 to the payload.
#[test]
fn a_real_blob_reaches_l2_and_d2() {
    let (Some(srs), Some(bytes), Some(encoded)) =
        (srs(), hex_file("hokulea/sepolia_3.altda_commitment.hex"), hex_file("hokulea/sepolia_3.encoded_payload.hex"))
    else {
        return;
    };
    let report = |bytes: &[u8], data: &[u8]| {
        let evidence = Evidence { bytes: data, form: Form::Coefficients, witness: Witness::Srs(&srs) };
        inspect(Mode::Op, bytes, srs.setup(), None, Some(evidence))
    };
    let found = report(&bytes, &encoded);
    assert_eq!((found.level, found.data_level, found.unsafe_setup), (Some(Level::L2), Some(Level::D2), false));
    let of_payload = found.payload.unwrap();
    assert_eq!((of_payload.given_as, of_payload.form), ("encoded_payload", Some(Form::Evaluations)));
    let payload = tributary_schemas::payload_codec::decode(&encoded).unwrap();
    let found = report(&bytes, &payload);
    assert_eq!((found.payload.unwrap().given_as, found.data_level), ("payload", Some(Level::D2)));
    for bit in (0..encoded.len() * 8).step_by(13) {
        let mut flipped = encoded.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(report(&bytes, &flipped).data_level < Some(Level::D2), "bit {bit}");
    }
}

#[test]
fn no_bit_of_a_real_certificate_is_free() {
    let v3 = [
        "version",
        "non_signer_quorum_bitmap_indices",
        "quorum_apk_indices",
        "total_stake_indices",
        "non_signer_stake_indices",
    ];
    for (file, from) in [
        ("hokulea/sepolia_3.altda_commitment.hex", 3),
        ("eigenda/cert_v3.sepolia.rlp.hex", 3),
        ("hokulea/sepolia_v2cert.calldata.hex", 4),
    ] {
        let Some(bytes) = hex_file(file) else { return };
        flip_all(&bytes, from..bytes.len(), Level::L2, &v3);
    }
}

/// Flips every bit; what is not refused must be a different value of a field that nothing here can judge. Pairings are
/// dear, so of the certificates that pass L1 only a few are taken up to L2.
fn flip_all(bytes: &[u8], range: std::ops::Range<usize>, top: Level, free: &[&str]) {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let sound = of(bytes);
    for bit in range.start * 8..range.end * 8 {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(commitment) = Commitment::read_either(Mode::Op, &flipped) else { continue };
        if let Commitment::EigenDa(certificate) = &commitment {
            let at = &certificate.blob_inclusion;
            let leaf = hash::certificate_hash(&at.blob_certificate);
            let root = certificate.batch_header.batch_root;
            let included = certificate::inclusion(leaf, at.blob_index, &at.inclusion_proof, root).is_ok();
            if included && rng.random_range(0..25_usize) > 0 {
                continue;
            }
        }
        let report = judge(Mode::Op, &commitment, Setup::ceremony(), None, None);
        if report.level == Some(top) {
            let mut changed = Vec::new();
            differences(&sound.fields, &report.fields, "", &mut changed);
            assert!(changed.iter().all(|field| free.contains(&field.as_str())), "bit {bit}: {changed:?}");
        } else {
            assert!(!failures(&report).is_empty(), "bit {bit}");
        }
    }
}

/// The names of the fields in which two certificates differ.
fn differences(left: &Value, right: &Value, name: &str, found: &mut Vec<String>) {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            for (key, value) in left {
                differences(value, &right[key], key, found);
            }
        }
        _ if left != right => found.push(name.to_owned()),
        _ => {}
    }
}

#[test]
fn mantle_is_passed_over() {
    let Some(transaction) = hex_file("hokulea/mainnet_non_altda.rawtx.hex") else { return };
    // the calldata begins with ed and holds what looks like a commitment of ours further on
    let at = transaction.windows(4).position(|window| window == [0xed, 0x12, 0xce, 0x02]).unwrap();
    assert_eq!(Posted::read(&transaction[at..]).unwrap(), Posted::Unknown(0xed));
    assert_eq!(of(&transaction[at..]).level, None);
}

/// The published powers of two of tau in G2 begin with our constant, and `tau^(2^28 - 2^i) · tau^(2^i)` is one value
/// for every i.
#[test]
fn the_constants_of_the_ceremony_fit_each_other() {
    let setup = Setup::ceremony();
    assert_eq!(setup.shifts.len(), 28);
    let Some(powers) = shared("srs/g2.point.powerOf2") else { return };
    let powers: Vec<G2Affine> = powers.as_chunks::<64>().0.iter().map(decompress_g2).collect();
    assert_eq!(powers.len(), 28);
    assert_eq!(powers[0], setup.tau_g2);
    let products: Vec<_> = setup.shifts.iter().zip(&powers).map(|(g1, g2)| Bn254::pairing(g1, g2)).collect();
    assert!(products.windows(2).all(|pair| pair[0] == pair[1]));
}

/// gnark's form: the imaginary part first, with the kind of the ordinate in the top two bits.
fn decompress_g2(bytes: &[u8; 64]) -> G2Affine {
    let (c1, c0) = bytes.split_at(32);
    let mut top = c1.to_vec();
    top[0] &= 0x3f;
    let x = Fq2::new(Fq::from_be_bytes_mod_order(c0), Fq::from_be_bytes_mod_order(&top));
    let (smaller, larger) = G2Affine::get_ys_from_x_unchecked(x).unwrap();
    let y = if c1[0] & 0xc0 == 0xc0 { larger } else { smaller };
    G2Affine::new(x, y)
}
