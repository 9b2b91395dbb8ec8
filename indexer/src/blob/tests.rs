use alloy_primitives::{Address, B256};
use arrow::array::{ArrayRef, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use std::sync::Arc;
use tributary_schemas::batch::{BatchFooter, FOOTER_KEY, FORMAT};
use tributary_schemas::code::Reason;
use tributary_schemas::eigenda::Mode;
use tributary_schemas::encoding::{record_bytes, record_leaf, records_root};
use tributary_schemas::id::{BatchId, InferenceId};

use super::{Commitment, Reference, read_batch, read_manifest};

/// (inference, subject, target, row, score, fee): one line per record.
type Line = (i32, u8, u8, Option<i32>, i64, i64);

const GOOD: [Line; 5] = [
    (0, 1, 1, None, 5, 2),
    (0, 1, 2, Some(0), -3, 2),
    (0, 1, 2, Some(1), 4, 2),
    (0, 1, 2, None, 1, 2),
    (1, 2, 1, None, 0, 0),
];

fn commitment(lines: &[Line]) -> Commitment {
    let batch = BatchId(B256::repeat_byte(7));
    let count = lines.iter().map(|line| line.0 + 1).max().unwrap_or(0);
    let leaves = (0..count).map(|inference| {
        let mine: Vec<&Line> = lines.iter().filter(|line| line.0 == inference).collect();
        let bytes: Vec<u8> = mine
            .iter()
            .flat_map(|line| {
                record_bytes(B256::repeat_byte(line.2), line.3.and_then(|row| u32::try_from(row).ok()), line.4)
            })
            .collect();
        let index = u32::try_from(inference).unwrap();
        let subject = B256::repeat_byte(mine.first().map_or(0, |line| line.1));
        record_leaf(index, InferenceId::in_batch(batch, index), subject, alloy_primitives::keccak256(bytes))
    });
    Commitment {
        chain_id: 1,
        hub: Address::repeat_byte(1),
        batch,
        producer: Address::repeat_byte(2),
        seq: 3,
        method: B256::repeat_byte(4),
        params_hash: B256::repeat_byte(5),
        inferences: u32::try_from(count).unwrap(),
        records: u32::try_from(lines.len()).unwrap(),
        records_root: records_root(leaves.collect()),
    }
}

fn footer(commitment: &Commitment) -> BatchFooter {
    BatchFooter {
        format: FORMAT.to_owned(),
        chain_id: commitment.chain_id,
        hub: commitment.hub,
        producer: commitment.producer,
        seq: commitment.seq,
        method: commitment.method,
        params_hash: commitment.params_hash,
        score_exp: -6,
        inferences: commitment.inferences,
        records: commitment.records,
    }
}

fn columns(lines: &[Line]) -> Vec<(&'static str, ArrayRef)> {
    let fixed = |bytes: Vec<[u8; 32]>| -> ArrayRef {
        Arc::new(FixedSizeBinaryArray::try_from_iter(bytes.into_iter()).unwrap())
    };
    vec![
        ("inference", Arc::new(Int32Array::from_iter_values(lines.iter().map(|line| line.0)))),
        ("subject", fixed(lines.iter().map(|line| [line.1; 32]).collect())),
        ("target", fixed(lines.iter().map(|line| [line.2; 32]).collect())),
        ("row", Arc::new(Int32Array::from_iter(lines.iter().map(|line| line.3)))),
        ("score", Arc::new(Int64Array::from_iter_values(lines.iter().map(|line| line.4)))),
        ("fee_weight", Arc::new(Int64Array::from_iter_values(lines.iter().map(|line| line.5)))),
    ]
}

fn write(columns: Vec<(&'static str, ArrayRef)>, footer: Option<String>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let pairs = footer.map(|value| vec![KeyValue::new(FOOTER_KEY.to_owned(), value)]);
    let properties = WriterProperties::builder()
        .set_key_value_metadata(pairs)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).unwrap()))
        .build();
    let mut out = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut out, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    out
}

fn file(lines: &[Line], commitment: &Commitment) -> Vec<u8> {
    write(columns(lines), Some(serde_json::to_string(&footer(commitment)).unwrap()))
}

fn refusal(payload: &[u8], commitment: &Commitment) -> (Reason, String) {
    let refused = read_batch(payload, commitment).unwrap_err();
    (refused.code, refused.detail)
}

#[test]
fn a_sound_batch_comes_back() {
    let commitment = commitment(&GOOD);
    let batch = read_batch(&file(&GOOD, &commitment), &commitment).unwrap();
    assert_eq!(batch.records.len(), 5);
    let heads: Vec<(usize, i64)> = batch.inferences.iter().map(|head| (head.records, head.fee_weight)).collect();
    assert_eq!(heads, [(4, 2), (1, 0)]);
    // The last columns may be absent; then every fee is one.
    let mut short = columns(&GOOD);
    short.pop();
    let payload = write(short, Some(serde_json::to_string(&footer(&commitment)).unwrap()));
    assert!(read_batch(&payload, &commitment).unwrap().inferences.iter().all(|head| head.fee_weight == 1));
}

#[test]
fn every_broken_rule_refuses_the_whole_batch() {
    let cases: [(&[Line], &str); 10] = [
        (&[(1, 1, 1, None, 1, 1)], "ordinals in order"),
        (&[(0, 1, 1, None, 1, 1), (2, 1, 1, None, 1, 1)], "ordinals in order"),
        (&[(0, 1, 2, None, 1, 1), (0, 1, 1, None, 1, 1)], "strictly ascending"),
        (&[(0, 1, 1, None, 1, 1), (0, 1, 1, None, 2, 1)], "strictly ascending"),
        (&[(0, 1, 1, None, 1, 1), (0, 1, 1, Some(3), 2, 1)], "strictly ascending"),
        (&[(0, 1, 1, None, 1, 1), (0, 2, 2, None, 2, 1)], "changes inside it"),
        (&[(0, 1, 1, None, 1, 1), (0, 1, 2, None, 2, 9)], "changes inside it"),
        (&[(0, 1, 1, Some(-1), 1, 1)], "row -1"),
        (&[(0, 1, 1, None, i64::MAX, 1), (0, 1, 2, None, -1, 1)], "2^63"),
        (&[(0, 1, 1, None, 1, -1)], "fee_weight -1"),
    ];
    for (lines, words) in cases {
        let commitment = commitment(lines);
        let (code, detail) = refusal(&file(lines, &commitment), &commitment);
        assert!(code == Reason::BlobMalformed && detail.contains(words), "{lines:?}: {detail}");
    }
}

#[test]
fn the_file_must_be_what_was_committed_to() {
    let good = commitment(&GOOD);
    let payload = file(&GOOD, &good);
    let other_root = Commitment { records_root: B256::ZERO, ..good };
    assert_eq!(refusal(&payload, &other_root).0, Reason::RecordRootMismatch);
    for other in [
        Commitment { seq: 4, ..good },
        Commitment { hub: Address::ZERO, ..good },
        Commitment { params_hash: B256::ZERO, ..good },
        Commitment { records: 6, ..good },
        Commitment { chain_id: 2, ..good },
        Commitment { inferences: 3, ..good },
    ] {
        assert_eq!(refusal(&payload, &other).0, Reason::BlobMalformed, "{other:?}");
    }
    let json = serde_json::to_string(&footer(&good)).unwrap();
    assert!(refusal(&write(columns(&GOOD), None), &good).1.contains(FOOTER_KEY));
    let mut swapped = columns(&GOOD);
    swapped.swap(0, 1);
    assert!(refusal(&write(swapped, Some(json.clone())), &good).1.contains("expected inference"));
    let mut wide = columns(&GOOD);
    wide[0].1 = Arc::new(Int64Array::from_iter_values(GOOD.iter().map(|line| i64::from(line.0))));
    assert!(refusal(&write(wide, Some(json)), &good).1.contains("Int64"));
}

#[test]
fn bombs_are_refused_before_they_are_read() {
    // A million equal records in some kilobytes.
    let lines: Vec<Line> = vec![(0, 1, 1, None, 1, 1); 1_000_000];
    let mut commitment = commitment(&GOOD);
    commitment.records = 1_000_000;
    let payload = file(&lines, &commitment);
    let (code, detail) = refusal(&payload, &commitment);
    assert!(code == Reason::BlobMalformed && detail.contains("to one"), "{} bytes: {detail}", payload.len());
    commitment.records = u32::MAX;
    assert!(refusal(&payload, &commitment).1.contains("by the commitment"));
}

#[test]
fn damaged_files_are_refused_and_never_panic_out() {
    use rand::{Rng as _, SeedableRng as _};
    let commitment = commitment(&GOOD);
    let payload = file(&GOOD, &commitment);
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
    for _ in 0..400 {
        let mut damaged = payload.clone();
        match rng.random_range(0..3) {
            0 => damaged.truncate(rng.random_range(0..payload.len())),
            1 => damaged.extend((0..rng.random_range(1..50)).map(|_| rng.random::<u8>())),
            _ => {
                let at = rng.random_range(0..damaged.len());
                damaged[at] ^= 1 << rng.random_range(0..8);
            }
        }
        // What still reads has the records that were committed to; fees are covered by the payload's hash alone.
        if let Ok(batch) = read_batch(&damaged, &commitment) {
            assert_eq!(batch.records, read_batch(&payload, &commitment).unwrap().records);
        }
    }
}

#[test]
fn manifests_and_references() {
    let ids = |list: &[u8]| list.iter().flat_map(|n| [*n; 32]).collect::<Vec<u8>>();
    let manifest = read_manifest(&ids(&[1, 2, 1]), 2, 1).unwrap();
    assert_eq!((manifest.added.len(), manifest.removed), (2, vec![B256::repeat_byte(1)]));
    for (list, added, removed) in [(vec![2, 1], 2, 0), (vec![1, 1], 2, 0), (vec![1], 2, 0), (vec![1, 2], 1, 0)] {
        assert_eq!(read_manifest(&ids(&list), added, removed).unwrap_err().code, Reason::BlobMalformed);
    }
    assert!(read_manifest(&[0; 33], 1, 0).is_err());
}

#[test]
fn a_reference_is_read_by_the_configured_mode() {
    let read = |mode, bytes: &[u8]| Reference::read(mode, &alloy_primitives::Bytes::copy_from_slice(bytes), None);
    let mut content = vec![0];
    content.extend([9; 32]);
    assert_eq!(read(Mode::Op, &content), Ok(Reference::Content(B256::repeat_byte(9))));
    assert!(read(Mode::Op, &content[..32]).unwrap_err().contains("31 bytes: expected 32"));
    assert!(read(Mode::Standard, &content).is_err(), "in this mode 00 begins a certificate");
    assert!(read(Mode::Op, &[1, 0x0c, 7]).unwrap_err().contains("DA layer 0c is not EigenDA"));
    assert!(read(Mode::Op, &[]).is_err());
}
