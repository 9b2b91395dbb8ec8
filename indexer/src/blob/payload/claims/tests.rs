//! Files that would end the process or take hours, each found by the fuzz target `attribution` or in what it led to.

use super::*;
use crate::blob::{Commitment, read_batch};
use alloy_primitives::{Address, B256};
use tributary_devnet::payload::{Inference, Record, root, write};
use tributary_schemas::batch::{BatchFooter, FORMAT};
use tributary_schemas::id::BatchId;

fn sound(records: u8) -> (Vec<u8>, Commitment) {
    let record = |at: u8| Record { target: B256::repeat_byte(at), row: Some(u32::from(at)), score: i64::from(at) };
    let inference = Inference {
        subject: B256::repeat_byte(9),
        fee_weight: Some(3),
        id: None,
        records: (0..records).map(record).collect(),
    };
    let (batch, inferences) = (BatchId(B256::repeat_byte(7)), vec![inference]);
    let commitment = Commitment {
        chain_id: 1,
        hub: Address::repeat_byte(1),
        batch,
        producer: Address::repeat_byte(2),
        seq: 3,
        method: B256::repeat_byte(4),
        params_hash: B256::repeat_byte(5),
        inferences: 1,
        records: u32::from(records),
        records_root: root(batch, &inferences),
    };
    let footer = BatchFooter {
        format: FORMAT.to_owned(),
        chain_id: 1,
        hub: commitment.hub,
        producer: commitment.producer,
        seq: 3,
        method: commitment.method,
        params_hash: commitment.params_hash,
        score_exp: -6,
        inferences: 1,
        records: commitment.records,
    };
    (write(&footer, &inferences).unwrap().to_vec(), commitment)
}

/// A file that is nothing but a footer.
fn file(footer: &[u8]) -> Vec<u8> {
    let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
    [b"PAR1", footer, &length, b"PAR1"].concat()
}

fn refusal(footer: &[u8]) -> String {
    let (_, commitment) = sound(1);
    let file = file(footer);
    assert_eq!(read_batch(&file, &commitment).unwrap_err(), super::footer(&file).unwrap_err());
    super::footer(&file).unwrap_err().detail
}

/// 2^31 - 1 as a varint.
const MANY: [u8; 5] = [0xff, 0xff, 0xff, 0xff, 0x07];

#[test]
fn sound_files_pass() {
    for records in 1..40 {
        let (file, commitment) = sound(records);
        footer(&file).unwrap();
        assert_eq!(read_batch(&file, &commitment).unwrap().records.len(), usize::from(records));
    }
}

#[test]
fn no_memory_is_reserved_for_row_groups_that_are_not_there() {
    // Version 1, an empty schema, no rows, and 2^31 - 1 row groups.
    let claim = [&[0x15, 2, 0x19, 0x0c, 0x16, 0, 0x19, 0xfc], &MANY[..], &[0]].concat();
    assert!(refusal(&claim).contains("a list of 2147483647 elements: expected at most 32768"));
}

#[test]
fn no_list_is_passed_over_that_takes_no_bytes() {
    // Field 20, which nobody knows: a list of 30,000 booleans, and a map of as many pairs of them.
    assert!(refusal(&[0x09, 40, 0xf1, 0xb0, 0xea, 0x01, 0]).contains("a list of booleans"));
    assert!(refusal(&[0x0b, 40, 0xb0, 0xea, 0x01, 0x11, 0]).contains("a list of booleans"));
    assert!(refusal(&[&[0x09, 40, 0xf1], &MANY[..]].concat()).contains("expected at most 32768"));
}

#[test]
fn a_known_field_has_its_type() {
    // The row groups as text: the reader would read a list where this walk passes over bytes.
    assert!(refusal(&[0x48, 2, 0xfc, 0xff, 0]).contains("field [4] has type 8"));
    assert!(refusal(&[0x25, 2, 0]).contains("field [2] has type 5"));
    assert!(refusal(&[0x8c, 0, 0]).contains("field [8] has type 12"));
    assert!(refusal(&[0xfc; 40]).contains("too deep"));
}

#[test]
fn a_page_claims_no_more_than_there_can_be() {
    let page = |values: &[u8], uncompressed: &[u8]| {
        // A dictionary page of no bytes.
        let head = [&[0x15, 4, 0x15], uncompressed, &[0x15, 0, 0x4c, 0x15], values, &[0x15, 0, 0, 0]].concat();
        pages(&head, 100, 1_000).map_err(|refused| refused.detail)
    };
    assert_eq!(page(&[0xc8, 0x01], &[0xd0, 0x0f]), Ok(()));
    assert_eq!(page(&[0xca, 0x01], &[0]), Err("a page claims 101 values: expected at most 100".to_owned()));
    assert_eq!(page(&[0], &[0xd2, 0x0f]), Err("pages claim 1001 bytes: expected at most 1000".to_owned()));
    assert_eq!(page(&[1], &[0]), Err("a page claims -1".to_owned()));
    assert!(page(&[0xfe, 0xff, 0xff, 0xff, 0x0f], &[0]).unwrap_err().contains("claims 2147483647 values"));
}

#[test]
fn any_byte_may_be_another_and_the_file_end_anywhere() {
    let (file, commitment) = sound(12);
    for at in 0..file.len() {
        drop(read_batch(&file[..at], &commitment));
        for bit in [0x01, 0x10, 0x80] {
            let mut other = file.clone();
            other[at] ^= bit;
            drop(read_batch(&other, &commitment));
        }
    }
}
