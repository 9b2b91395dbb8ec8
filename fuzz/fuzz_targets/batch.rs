//! Batches from their type byte on: resolved, hashed, and written again by the batcher's side.
#![no_main]

use alloy_primitives::{B256, Bytes, keccak256};
use libfuzzer_sys::fuzz_target;
use tributary_devnet::inbox::{PostedBlock, singular_batch, span_batch};
use tributary_indexer::inbox::batch::{Batch, Claims, Singular, Span, Terms, Transactions};

const CHAIN: u64 = 1612;
const TERMS: Terms = Terms { chain_id: Some(CHAIN), genesis_time: Some(1_000), block_time: 2 };

fuzz_target!(|data: &[u8]| {
    let Ok(batch) = Batch::decode(data) else { return };
    let unknown = Terms { chain_id: None, genesis_time: None, block_time: 2 };
    if let Ok(claims) = batch.resolve(&unknown) {
        assert_eq!(claims.blocks().count(), claims.len());
    }
    let Ok(claims) = batch.resolve(&TERMS) else { return };
    assert!(!claims.is_empty() && claims.len() <= data.len());
    match &batch {
        Batch::Singular(singular) => assert_eq!(again(singular), data),
        Batch::Span(span) => compare(span, &claims),
    }
});

/// A singular batch has one encoding.
fn again(singular: &Singular<'_>) -> Vec<u8> {
    let Transactions::Encoded { mut rlp, count } = singular.transactions() else { panic!("of a singular batch") };
    let mut transactions = Vec::new();
    while !rlp.is_empty() {
        let bytes = <Bytes as alloy::rlp::Decodable>::decode(&mut rlp).expect("it was checked");
        transactions.push(bytes);
    }
    assert_eq!(transactions.len(), count);
    let hashes: Vec<B256> = singular.transactions().hashes().expect("they are known").collect();
    assert_eq!(hashes, transactions.iter().map(keccak256).collect::<Vec<_>>());
    let block = PostedBlock {
        timestamp: singular.timestamp,
        l1_origin: singular.l1_origin,
        l1_origin_hash: singular.l1_origin_hash,
        transactions,
    };
    singular_batch(singular.parent_hash, &block)
}

/// A span batch may have several (long varints, bytes after it): what is compared is what it claims.
fn compare(span: &Span<'_>, claims: &Claims<'_>) {
    let encoded: Vec<Bytes> = span.encoded(CHAIN).map(|one| one.expect("it was resolved").into()).collect();
    assert_eq!(encoded.len(), span.transactions());
    let mut rest = encoded.as_slice();
    let mut blocks = Vec::new();
    for (claim, count) in claims.blocks().zip(&span.tx_counts) {
        let (mine, others) = rest.split_at(*count as usize);
        rest = others;
        let hashes: Vec<B256> = claim.transactions.hashes().expect("the chain is known").collect();
        assert_eq!(hashes, mine.iter().map(keccak256).collect::<Vec<_>>());
        blocks.push(PostedBlock {
            timestamp: claim.timestamp,
            l1_origin: claim.l1_origin,
            l1_origin_hash: padded(&claims.l1_origin_check),
            transactions: mine.to_vec(),
        });
    }
    assert!(rest.is_empty());
    let Some(first) = blocks.first() else { panic!("no block") };
    // The batcher's side refuses what no batcher makes, such as fields that are no transaction's.
    let Ok(posted) = span_batch((padded(&claims.parent_check), first.l1_origin), 1_000, &blocks) else { return };
    let again = Batch::decode(&posted).expect("it was written");
    let again = again.resolve(&TERMS).expect("it was resolved");
    assert_eq!((&again.parent_check, &again.l1_origin_check), (&claims.parent_check, &claims.l1_origin_check));
    let said = |claims: &Claims<'_>| -> Vec<(u64, u64, Vec<B256>)> {
        let hashes = |transactions: Transactions<'_>| transactions.hashes().expect("the chain is known").collect();
        claims.blocks().map(|one| (one.timestamp, one.l1_origin, hashes(one.transactions))).collect()
    };
    assert_eq!(said(&again), said(claims));
}

fn padded(check: &[u8]) -> B256 {
    let mut out = [0; 32];
    out[..check.len()].copy_from_slice(check);
    out.into()
}
