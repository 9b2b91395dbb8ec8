//! A block and its receipts as a node tells them: two lines of JSON. A hash stands for one block: whatever is told
//! about it, either what passes is the same as ever, or it is refused.
#![no_main]

use alloy_primitives::B256;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::sync::Mutex;
use tributary_indexer::{Trust, VerifiedBlock, verify};

static SEEN: Mutex<BTreeMap<B256, VerifiedBlock>> = Mutex::new(BTreeMap::new());

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (block, receipts) = text.split_once('\n').unwrap_or((text, "[]"));
    let hashes = verify::transaction_hashes(block);
    let Ok(checked) = verify::header(block, Trust::Verified) else { return };
    let reference = checked.block;
    assert_eq!(checked.header.hash_slow(), reference.hash);
    if let Some(all) = verify::receipts_in(reference.hash, receipts) {
        assert!(all.iter().map(|one| one.get().len()).sum::<usize>() <= receipts.len());
    }
    let Ok(verified) = verify::block(checked, block, receipts, Trust::Verified) else { return };
    assert_eq!(verified.block, reference);
    assert_eq!(verified.transactions.iter().map(|one| one.hash).collect::<Vec<_>>(), hashes);
    assert!(verified.logs.iter().zip(0..).all(|(log, index)| log.log_index == index));
    assert!(verified.bytes() <= 64 * data.len() + 4096);
    let mut seen = SEEN.lock().expect("nobody panics with it");
    let known = seen.entry(reference.hash).or_insert_with(|| verified.clone());
    assert_eq!(*known, verified);
});
