use super::{BatchReport, Form, LISTED_MAX, PostingReport, Report, bytes_of};
use crate::inbox::batch::Terms;
use crate::inbox::testing::{expected, vector};
use alloy_primitives::{B256, hex, keccak256};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tributary_devnet::inbox::{
    ChannelForm, blob, channel, frame, frames, payload, sample_blocks, singular_batch, span_batch,
};
use tributary_schemas::payload_codec;

const RELATIVE: Terms = Terms { chain_id: None, genesis_time: None, block_time: 2 };
const OP_MAINNET: Terms = Terms { chain_id: Some(10), genesis_time: Some(1_686_068_903), block_time: 2 };

#[test]
fn the_sepolia_transaction_gives_its_blocks_with_every_check_on_the_way() {
    let (Some(raw), Some(encoded), Some(expected)) = (
        vector("hokulea/sepolia_3.rawtx.hex"),
        vector("hokulea/sepolia_3.encoded_payload.hex"),
        expected("hokulea/sepolia_3.expected.json"),
    ) else {
        return;
    };
    let report = Report::of_transaction(&raw, Some(&encoded), &RELATIVE).unwrap();
    assert!(matches!(report.posting, Some(PostingReport::Commitment { service: "eigenda", version: Some(2), .. })));
    assert_eq!((report.timestamps_relative, report.omitted, report.is_refused()), (true, 0, false));
    let [payload] = &report.payloads[..] else { panic!("one payload") };
    let plain = hex::decode(expected["payload"].as_str().unwrap()).unwrap();
    assert_eq!(
        (payload.form, payload.bytes),
        (Form::EigendaEncoded, usize::try_from(expected["payload_len"].as_u64().unwrap()).unwrap())
    );
    assert_eq!(payload.keccak256, keccak256(&plain));
    check_frames(&report, &expected["frames"]);
    check_channel(&report, &expected["channel"], 273, 0);
    // The payload may be given decoded, and the commitment alone.
    let decoded = Report::of_transaction(&raw, Some(&plain), &RELATIVE).unwrap();
    assert_eq!((decoded.payloads[0].form, &decoded.channels), (Form::Decoded, &report.channels));
    let commitment = vector("hokulea/sepolia_3.altda_commitment.hex").unwrap();
    let alone = Report::of_commitment(&commitment, Some(&encoded), &RELATIVE).unwrap();
    assert_eq!(
        (alone.transaction.is_none(), &alone.posting, &alone.channels),
        (true, &report.posting, &report.channels)
    );
    // Without the payload the commitment is named, and that the payload is needed.
    let bare = Report::of_transaction(&raw, None, &RELATIVE).unwrap();
    let Some(PostingReport::Commitment { hash, payload_needed, .. }) = bare.posting else { panic!("a commitment") };
    assert_eq!((hash, payload_needed, bare.payloads.len()), (keccak256(commitment), true, 0));
}

fn check_frames(report: &Report, expected: &Value) {
    let got = report.payloads[0].frames.iter().map(|frame| {
        serde_json::json!({"channel": frame.channel, "number": frame.number, "len": frame.bytes, "last": frame.last})
    });
    assert_eq!(&Value::Array(got.collect()), expected);
}

fn check_channel(report: &Report, expected: &Value, blocks: usize, transactions: usize) {
    let [channel] = &report.channels[..] else { panic!("one channel") };
    assert_eq!(channel.compression.as_deref(), Some(if expected["brotli"] == true { "brotli" } else { "zlib" }));
    assert_eq!(channel.bytes as u64, expected["channel_data_len"].as_u64().unwrap());
    assert_eq!(channel.keccak256.to_string(), expected["channel_data_keccak"]);
    assert_eq!(channel.decompressed_bytes as u64, expected["decompressed_len"].as_u64().unwrap());
    assert_eq!(channel.decompressed_keccak256.to_string(), expected["decompressed_keccak"]);
    assert_eq!((channel.end, channel.complete, &channel.broken), ("complete", true, &None));
    let got: Vec<Value> = channel.batches.iter().map(as_expected).collect();
    assert_eq!(&Value::Array(got), &expected["batches"]);
    assert_eq!(channel.batches.iter().map(|batch| batch.block_count).sum::<usize>(), blocks);
    assert_eq!(channel.batches.iter().map(|batch| batch.tx_count).sum::<usize>(), transactions);
}

/// A batch in the words of the expectations.
fn as_expected(batch: &BatchReport) -> Value {
    let blocks = batch.blocks.iter().map(|block| {
        serde_json::json!({"timestamp": block.timestamp, "epoch_num": block.l1_origin, "tx_hashes": block.tx_hashes})
    });
    serde_json::json!({
        "type": batch.kind,
        "parent_check": batch.parent_check,
        "l1_origin_check": batch.l1_origin_check,
        "blocks": blocks.collect::<Vec<_>>(),
    })
}

#[test]
fn the_channel_of_op_mainnet_gives_its_blocks_and_transactions() {
    let (Some(bytes), Some(expected)) = (vector("kona/derive_batch.hex"), expected("kona/derive_batch.expected.json"))
    else {
        return;
    };
    // A frame holds a megabyte at most, and the channel fits.
    let report = Report::of_payload(&payload(&frames([7; 16], &bytes, 1_000_000)), &OP_MAINNET);
    assert!(!report.timestamps_relative);
    check_channel(&report, &expected, 143, 1_766);
    // In many small frames, the same.
    let small = Report::of_payload(&payload(&frames([7; 16], &bytes, 1_000)), &OP_MAINNET);
    assert_eq!((small.channels[0].frames, &small.channels[0].batches), (616, &report.channels[0].batches));
}

#[test]
fn the_mantle_transaction_is_passed_over() {
    let Some(raw) = vector("hokulea/mainnet_non_altda.rawtx.hex") else { return };
    let report = Report::of_transaction(&raw, None, &RELATIVE).unwrap();
    let Some(PostingReport::Ignored { reason }) = &report.posting else { panic!("{:?}", report.posting) };
    assert!(reason.contains("Mantle"), "{reason}");
    assert!(report.payloads.is_empty() && report.channels.is_empty());
}

#[test]
fn a_blob_gives_its_frames() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let blocks = sample_blocks(&mut rng, 10, 5, 1_686_068_905, 2, 3);
    let batch = span_batch((B256::ZERO, 3), 1_686_068_903, &blocks).unwrap();
    let bytes = payload(&frames([7; 16], &channel(&[batch], ChannelForm::Zlib(6)), 300));
    let plain = Report::of_payload(&bytes, &OP_MAINNET);
    assert_eq!(plain.payloads[0].form, Form::Decoded);
    assert_eq!(plain.channels[0].batches[0].blocks.len(), 5);
    let packed = Report::of_payload(&blob(&bytes).unwrap(), &OP_MAINNET);
    assert_eq!((packed.payloads[0].form, &packed.channels), (Form::Blob, &plain.channels));
    let encoded = Report::of_payload(&payload_codec::encode(&bytes).unwrap(), &OP_MAINNET);
    assert_eq!((encoded.payloads[0].form, &encoded.channels), (Form::EigendaEncoded, &plain.channels));
}

#[test]
fn a_part_of_a_channel_is_read_as_far_as_it_goes() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let blocks = sample_blocks(&mut rng, 10, 30, 2_000, 2, 3);
    let batches: Vec<Vec<u8>> = blocks.iter().map(|block| singular_batch(B256::ZERO, block)).collect();
    let all = frames([7; 16], &channel(&batches, ChannelForm::BrotliStored), 400);
    let cut = Report::of_payload(&payload(&all[..all.len() - 1]), &OP_MAINNET);
    let channel = &cut.channels[0];
    assert_eq!((channel.complete, channel.end), (false, "truncated"));
    assert!(channel.batches.len() > 10 && channel.batches.len() < 30 && channel.broken.is_some());
    // The first frame is not here: nothing can be read.
    let tail = Report::of_payload(&payload(&all[1..]), &OP_MAINNET);
    assert_eq!((tail.channels[0].frames, tail.channels[0].batches.len()), (0, 0));
    // A frame is missing: what comes before it.
    let gap = Report::of_payload(&payload(&[&all[..2], &all[3..]].concat()), &OP_MAINNET);
    assert_eq!(gap.channels[0].frames, 2);
    // Nothing counts after the last frame.
    let beyond = [frame([7; 16], 0, b"", true), frame([7; 16], 1, b"x", true)];
    assert_eq!(Report::of_payload(&payload(&beyond), &OP_MAINNET).channels[0].frames, 1);
}

#[test]
fn a_payload_that_derivation_skips_says_why() {
    let refused = |bytes: &[u8]| {
        let report = Report::of_payload(bytes, &RELATIVE);
        assert_eq!((report.is_refused(), report.channels.len()), (true, 0));
        report.payloads[0].refused.clone().unwrap()
    };
    assert!(refused(b"").contains("version"));
    assert!(refused(b"\x01abc").contains("0x01"));
    assert!(refused(b"\0abc").contains("16 bytes, 3 are left"));
    assert!(refused(&[0xff; 131_072]).contains("0x3f"));
    let other = [&[0], keccak256(b"other").as_slice()].concat();
    let report = Report::of_commitment(&other, Some(b"\0abc"), &RELATIVE).unwrap();
    assert!(report.payloads[0].refused.as_ref().unwrap().contains("committed digest"));
    assert_eq!(report.payloads[0].matches_commitment, Some(false));
    assert!(Report::of_commitment(b"\x02", None, &RELATIVE).is_err());
}

#[test]
fn random_bytes_never_panic() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let blocks = sample_blocks(&mut rng, 10, 12, 2_000, 2, 3);
    let batch = span_batch((B256::ZERO, 3), 0, &blocks).unwrap();
    for form in [ChannelForm::Zlib(0), ChannelForm::Zlib(6), ChannelForm::ZlibUnfinished, ChannelForm::BrotliStored] {
        let whole = payload(&frames([7; 16], &channel(std::slice::from_ref(&batch), form), 700));
        let right = Report::of_payload(&whole, &OP_MAINNET);
        assert_eq!(right.channels[0].batches[0].blocks.len(), 12);
        for _ in 0..300 {
            let mut flipped = whole.clone();
            for _ in 0..rng.random_range(1..4) {
                flipped[rng.random_range(0..whole.len())] ^= 1 << rng.random_range(0..8);
            }
            flipped.truncate(rng.random_range(0..=2 * whole.len()));
            assert!(Report::of_payload(&flipped, &OP_MAINNET).payloads.len() == 1);
            // Past the strictness of frames.
            let frame = frame([7; 16], 0, &flipped[std::cmp::min(24, flipped.len())..], true);
            assert!(!Report::of_payload(&payload(&[frame]), &OP_MAINNET).is_refused());
        }
    }
}

#[test]
fn what_is_too_long_to_list_is_counted() {
    // 600,000 empty blocks in a span, twice: a few kilobytes, compressed.
    let count = 600_000_usize;
    let bits = vec![0; count / 8];
    let mut batch = [&[1, 0, 9][..], &[0; 40], &[0xc0, 0xcf, 0x24], &bits, &vec![0; count]].concat();
    assert_eq!(batch.len(), 46 + count / 8 + count);
    let twice = [batch.clone(), batch.clone()];
    let bytes = payload(&frames([7; 16], &channel(&twice, ChannelForm::Zlib(6)), 100_000));
    let report = Report::of_payload(&bytes, &OP_MAINNET);
    let listed: Vec<usize> = report.channels[0].batches.iter().map(|batch| batch.blocks.len()).collect();
    assert_eq!(listed, [600_000, LISTED_MAX - 600_000 - 2]);
    assert_eq!(report.omitted, 2 * 600_000 - (LISTED_MAX - 2));
    assert!(report.channels[0].batches.iter().all(|batch| batch.block_count == 600_000));
    batch.truncate(batch.len() - 1);
    let cut = payload(&frames([7; 16], &channel(&[batch], ChannelForm::Zlib(6)), 100_000));
    assert!(Report::of_payload(&cut, &OP_MAINNET).channels[0].broken.is_some());
}

#[test]
fn bytes_may_be_hex_or_not() {
    assert_eq!(bytes_of(b"0x00ff"), [0, 0xff]);
    assert_eq!(bytes_of(b"00 FF\n01\n"), [0, 0xff, 1]);
    assert_eq!(bytes_of(b"00f"), b"00f");
    assert_eq!(bytes_of(b"\0\xff"), b"\0\xff");
    assert_eq!(bytes_of(b""), b"");
    assert_eq!(bytes_of(b"0x"), b"0x");
}
