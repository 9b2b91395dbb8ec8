//! `tributary da`: the program reads what a batcher posted, in every form it may be given.

use alloy_primitives::{B256, hex, keccak256};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::path::Path;
use tributary_devnet::inbox::{ChannelForm, PostedBlock, channel, frames, payload, sample_blocks, span_batch};
use tributary_schemas::payload_codec;
use tributary_tests::generated::root;
use tributary_tests::program::{json, run};
use tributary_tests::shared::shared;

const CHAIN: u64 = 1612;
const GENESIS: u64 = 1_700_000_000;

/// Blocks and a payload that posts them.
fn posted() -> (Vec<PostedBlock>, Vec<u8>) {
    let blocks = sample_blocks(&mut ChaCha8Rng::seed_from_u64(1), CHAIN, 20, GENESIS + 60, 2, 9);
    let batch = span_batch((B256::repeat_byte(5), 9), GENESIS, &blocks).unwrap();
    (blocks, payload(&frames([3; 16], &channel(&[batch], ChannelForm::BrotliStored), 700)))
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

/// Exit code, what was printed, what was said.
fn ended(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = run(arguments).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_payload_is_decoded_in_every_form_it_is_given_in() {
    let folder = tempfile::tempdir().unwrap();
    let (blocks, plain) = posted();
    let encoded = payload_codec::encode(&plain).unwrap();
    let inline = hex::encode_prefixed(&plain);
    let given = [
        (write(folder.path(), "plain", &plain), "decoded"),
        (write(folder.path(), "plain.hex", format!("{}\n", hex::encode(&plain)).as_bytes()), "decoded"),
        (write(folder.path(), "encoded", &encoded), "eigenda_encoded"),
        (write(folder.path(), "encoded.hex", hex::encode_prefixed(&encoded).as_bytes()), "eigenda_encoded"),
    ];
    assert!(inline.len() > 1_000);
    let terms = ["--chain-id", "1612", "--l2-genesis-time", "1700000000", "--block-time", "2"];
    for (file, form) in &given {
        let report = json(&[&["da", "decode", "--json", "--payload", file], &terms[..]].concat());
        assert_eq!((&report["payloads"][0]["form"], &report["timestamps_relative"]), (&(*form).into(), &false.into()));
        let batch = &report["channels"][0]["batches"][0];
        assert_eq!(batch["block_count"], blocks.len());
        for (got, block) in batch["blocks"].as_array().unwrap().iter().zip(&blocks) {
            assert_eq!((&got["timestamp"], &got["l1_origin"]), (&block.timestamp.into(), &block.l1_origin.into()));
            let hashes: Vec<B256> = block.transactions.iter().map(keccak256).collect();
            assert_eq!(got["tx_hashes"], serde_json::json!(hashes));
        }
    }
    // Without the chain's configuration: counts, and times since the first block.
    let bare = json(&["da", "decode", "--json", "--payload", &given[0].0]);
    let first = &bare["channels"][0]["batches"][0]["blocks"][0];
    assert_eq!((&bare["timestamps_relative"], &first["timestamp"]), (&true.into(), &60.into()));
    assert_eq!(first["tx_count"], blocks[0].transactions.len());
    // A person is told the same.
    let (code, said, _) = ended(&[&["da", "decode", "--payload", &given[2].0], &terms[..]].concat());
    assert_eq!(code, Some(0));
    assert!(said.contains("eigenda_encoded") && said.contains("(span): 20 blocks"), "{said}");
    let hash = blocks.iter().flat_map(|block| &block.transactions).next().map(keccak256).unwrap();
    assert!(said.contains(&hash.to_string()), "{said}");
}

#[test]
fn the_exit_code_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (_, plain) = posted();
    let file = write(folder.path(), "plain", &plain);
    let keccak = |payload: &[u8]| hex::encode_prefixed([&[0], keccak256(payload).as_slice()].concat());
    let (right, wrong) = (keccak(&plain), keccak(b"other"));
    let cases: [(&[&str], i32, &str); 8] = [
        (&["--commitment", &right, "--payload", &file], 0, ""),
        (&["--commitment", &right], 0, ""),
        (&["--commitment", &wrong, "--payload", &file], 3, "keccak256(payload)"),
        (&["--payload", "0x00aa"], 1, "16 bytes, 1 are left"),
        (&["--tx", "0x02"], 1, "reading the transaction"),
        (&["--tx", "no such file"], 1, "neither hex nor a file"),
        (&[], 2, "--payload"),
        (&["--tx", "0x00", "--commitment", &right], 2, "cannot be used with"),
    ];
    for (arguments, expected, reason) in cases {
        let (code, _, said) = ended(&[&["da", "decode"], arguments].concat());
        assert_eq!(code, Some(expected), "{arguments:?}: {said}");
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
}

#[test]
fn the_sepolia_transaction_goes_from_raw_bytes_to_its_blocks() {
    let Some(expected) = shared("eigenda/hokulea/sepolia_3.expected.json") else { return };
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let [tx, payload] = ["rawtx", "encoded_payload"]
        .map(|name| root().join(format!("../shared/data/eigenda/hokulea/sepolia_3.{name}.hex")).display().to_string());
    let report = json(&["da", "decode", "--json", "--tx", &tx, "--payload", &payload]);
    assert_eq!(report["transaction"]["sender"], "0x15f447c49d9eac8eca80ce12c5620278e7f59d2f");
    assert_eq!(report["posting"]["service"], "eigenda");
    let got = report["channels"][0]["batches"][0]["blocks"].as_array().unwrap();
    let blocks = expected["channel"]["batches"][0]["blocks"].as_array().unwrap();
    assert_eq!((got.len(), blocks.len()), (273, 273));
    for (got, block) in got.iter().zip(blocks) {
        assert_eq!((&got["timestamp"], &got["l1_origin"]), (&block["timestamp"], &block["epoch_num"]));
        assert_eq!(got["tx_hashes"], block["tx_hashes"]);
    }
    let bare = json(&["da", "decode", "--json", "--tx", &tx]);
    assert_eq!((&bare["posting"]["payload_needed"], &bare["channels"]), (&true.into(), &serde_json::json!([])));
}

/// The real commitment, with its blob and the ceremony's points, climbs both ladders; a changed bit is named.
#[test]
fn the_sepolia_commitment_is_inspected_up_to_its_bytes() {
    let (Some(encoded), Some(commitment)) = (
        shared("eigenda/hokulea/sepolia_3.encoded_payload.hex"),
        shared("eigenda/hokulea/sepolia_3.altda_commitment.hex"),
    ) else {
        return;
    };
    let path = |name: &str| root().join("../shared/data/eigenda").join(name).display().to_string();
    let [file, payload, srs] =
        ["hokulea/sepolia_3.altda_commitment.hex", "hokulea/sepolia_3.encoded_payload.hex", "srs/g1.point.4096"]
            .map(path);
    let report = json(&["da", "inspect", &file, "--payload", &payload, "--srs", &srs, "--json"]);
    assert_eq!((&report["level"], &report["data_level"]), (&"L2".into(), &"D2".into()));
    assert_eq!(report["dispersing_account"], "0xc212b67c76586979cd736ea3e9738bb7bbf01b04");
    assert_eq!(report["blob_key"], "0x22c71d35b2e6e30de0f5e9d9e2254e8835b84ebc300f0645af602a60dd95b060");
    assert_eq!((&report["cert_version"], &report["first_failure"]), (&3.into(), &Value::Null));
    assert_eq!(report["payload"]["given_as"], "encoded_payload");

    // in binary, in the other mode, and as a payload
    let folder = tempfile::tempdir().unwrap();
    let bytes = |hex: &[u8]| hex::decode(String::from_utf8(hex.to_vec()).unwrap().trim()).unwrap();
    let (commitment, encoded) = (bytes(&commitment), bytes(&encoded));
    let standard = write(folder.path(), "standard", &commitment[2..]);
    let plain = write(folder.path(), "plain", &payload_codec::decode(&encoded).unwrap());
    let other = json(&["da", "inspect", &standard, "--mode", "standard", "--payload", &plain, "--srs", &srs, "--json"]);
    assert_eq!((&other["level"], &other["data_level"]), (&"L2".into(), &"D2".into()));
    assert_eq!((&other["blob_key"], &other["payload"]["given_as"]), (&report["blob_key"], &"payload".into()));

    let flipped = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        hex::encode(bytes)
    };
    let changed = write(folder.path(), "changed", flipped(&encoded, 40).as_bytes());
    let cases: [(&[&str], i32, &str); 6] = [
        (&[&file], 0, ""),
        (&[&hex::encode_prefixed(&commitment)], 0, ""),
        (&[&flipped(&commitment, 20)], 3, "L1 merkle_inclusion"),
        (&[&file, "--payload", &changed, "--srs", &srs], 3, "D2 kzg_commitment"),
        (&["0xed12ce"], 3, "L0 parsed"),
        (&[&file, "--mode", "neither"], 2, "possible values"),
    ];
    for (arguments, expected, reason) in cases {
        let (code, printed, said) = ended(&[&["da", "inspect"], arguments].concat());
        assert_eq!(code, Some(expected), "{arguments:?}: {said}");
        assert!(said.contains(reason), "{arguments:?}: {said}");
        assert_eq!(printed.is_empty(), expected == 2, "the report is printed, whatever it says");
    }
}
