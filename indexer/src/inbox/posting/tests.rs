use super::{Commitment, CommitmentKind, Ignored, KECCAK_PAYLOAD_BYTES_MAX, Posting};
use alloy_primitives::{B256, hex, keccak256};

/// What calldata is taken for, in one word.
fn check(calldata: &str, expected: &str) {
    let calldata = hex::decode(calldata).unwrap();
    let got = match Posting::of_calldata(&calldata) {
        Posting::Payload(payload) => format!("payload of {}", payload.len()),
        Posting::Commitment(Commitment { kind, .. }) => match kind {
            CommitmentKind::Keccak(digest) => format!("keccak {:02x}..", digest[0]),
            CommitmentKind::EigenDa { version } => format!("eigenda {version}"),
            CommitmentKind::Generic { layer } => format!("layer {layer:02x}"),
        },
        Posting::Blobs(_) => "blobs".to_owned(),
        Posting::Ignored(Ignored::Empty) => "empty".to_owned(),
        Posting::Ignored(Ignored::Mantle) => "mantle".to_owned(),
        Posting::Ignored(Ignored::Version(version)) => format!("version {version:02x}"),
        Posting::Ignored(Ignored::Commitment(_)) => "bad commitment".to_owned(),
    };
    assert_eq!(got, expected, "{}", hex::encode(calldata));
}

#[test]
fn calldata_is_told_apart() {
    let digest = "00".repeat(31);
    check("", "empty");
    check("00", "payload of 1");
    check("0001020304", "payload of 5");
    // A keccak digest that begins with 00 or 01 is a keccak digest.
    check(&format!("0100aa{digest}"), "keccak aa..");
    check(&format!("010000{digest}"), "keccak 00..");
    check(&format!("010001{digest}"), "keccak 01..");
    check(&format!("0100aa{digest}00"), "bad commitment");
    check(&format!("0100{digest}"), "bad commitment");
    check("01010002f903ee", "eigenda 2");
    check("01010000c0", "eigenda 0");
    check("01010ac0", "layer 0a");
    check("01010c", "layer 0c");
    check("0101", "bad commitment");
    check("010100", "bad commitment");
    check("01010002", "bad commitment");
    check("01", "bad commitment");
    check("0102", "bad commitment");
    check("ed12ce02188e94a6", "mantle");
    check("02", "version 02");
    check("ff00", "version ff");
}

#[test]
fn a_keccak_payload_must_match_and_be_small_enough() {
    let commit = |payload: &[u8]| [&[0], keccak256(payload).as_slice()].concat();
    let most = vec![7; KECCAK_PAYLOAD_BYTES_MAX];
    let more = vec![7; KECCAK_PAYLOAD_BYTES_MAX + 1];
    assert!(Commitment::parse(&commit(&most)).unwrap().check_payload(&most).is_ok());
    assert!(Commitment::parse(&commit(&more)).unwrap().check_payload(&more).is_err());
    assert!(Commitment::parse(&commit(b"a")).unwrap().check_payload(b"b").is_err());
    // A generic commitment is checked by its own service, and has no such limit.
    assert!(Commitment::parse(&[1, 0, 2, 0xc0]).unwrap().check_payload(&more).is_ok());
}

#[test]
fn a_commitment_goes_by_the_hash_of_all_that_follows_the_first_byte() {
    let bytes = [1, 0, 2, 0xc0];
    let commitment = Commitment::parse(&bytes).unwrap();
    assert_eq!(commitment.hash(), keccak256(bytes));
    assert_ne!(commitment.hash(), B256::ZERO);
}
