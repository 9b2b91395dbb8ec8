//! Attribution payloads: 40 bytes of commitment (inferences, records, records root), then a Parquet file.
#![no_main]

use alloy_primitives::{Address, B256, keccak256};
use libfuzzer_sys::fuzz_target;
use tributary_indexer::blob::{Commitment, read_batch};
use tributary_schemas::batch::EXPANSION_MAX;
use tributary_schemas::encoding::{record_bytes, record_leaf, records_root};
use tributary_schemas::id::{BatchId, InferenceId};

/// The Parquet reader may give up on bytes its authors did not think of; that is caught where it is called. Only a
/// panic of ours ends the run.
fn hook() {
    std::panic::set_hook(Box::new(|info| {
        if info.location().is_some_and(|at| at.file().contains("fuzz_targets") || at.file().contains("indexer/src")) {
            eprintln!("{info}");
            std::process::abort();
        }
    }));
}

fuzz_target!(init: hook(), |data: &[u8]| {
    let Some((head, file)) = data.split_at_checked(40) else { return };
    let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let commitment = Commitment {
        chain_id: 1,
        hub: Address::repeat_byte(1),
        batch: BatchId(B256::repeat_byte(7)),
        producer: Address::repeat_byte(2),
        seq: 3,
        method: B256::repeat_byte(4),
        params_hash: B256::repeat_byte(5),
        inferences: number(0),
        records: number(4),
        records_root: B256::from_slice(&head[8..]),
    };
    let batch = match read_batch(file, &commitment) {
        Ok(batch) => batch,
        Err(refused) => {
            assert!(!refused.detail.is_empty());
            return;
        }
    };
    assert_eq!(batch.inferences.len(), commitment.inferences as usize);
    assert_eq!(batch.records.len(), commitment.records as usize);
    assert!(batch.records.len() * 64 <= file.len() * EXPANSION_MAX as usize);
    let mut rest = batch.records.as_slice();
    let leaves = (0_u32..).zip(&batch.inferences).map(|(index, inference)| {
        let (mine, others) = rest.split_at(inference.records);
        rest = others;
        assert!(inference.fee_weight >= 0);
        assert!(mine.is_sorted_by_key(|record| (record.target, record.row.unwrap_or(u32::MAX))));
        let bytes: Vec<u8> =
            mine.iter().flat_map(|record| record_bytes(record.target, record.row, record.score)).collect();
        let id = inference.given.map_or_else(|| InferenceId::in_batch(commitment.batch, index), InferenceId);
        record_leaf(index, id, inference.subject, keccak256(bytes))
    });
    assert_eq!(records_root(leaves.collect()), commitment.records_root);
});
