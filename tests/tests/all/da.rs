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
