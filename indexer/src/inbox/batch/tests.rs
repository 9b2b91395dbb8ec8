use super::{Batch, Kind, Terms, split};
use crate::inbox::InboxError;
use crate::inbox::testing::vector;
use alloy_primitives::{B256, hex, keccak256};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tributary_devnet::inbox::{PostedBlock, sample_blocks, singular_batch, span_batch};

const CHAIN: u64 = 1612;
const TERMS: Terms = Terms { chain_id: Some(CHAIN), genesis_time: Some(1_000), block_time: 2 };

#[test]
fn random_span_batches_come_back() {
    for seed in 0..60 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let count = rng.random_range(1..40);
        let blocks = sample_blocks(&mut rng, CHAIN, count, 1_000 + 2 * seed, 2, 77);
        let parent = B256::repeat_byte(7);
        let posted = span_batch((parent, 77), 1_000, &blocks).unwrap();
        let batch = Batch::decode(&posted).unwrap();
        let Batch::Span(span) = &batch else { panic!("seed {seed}: {batch:?}") };
        assert_eq!(span.unread, 0);
        let raw: Vec<u8> = span.encoded(CHAIN).flat_map(Result::unwrap).collect();
        assert_eq!(raw, blocks.iter().flat_map(|block| &block.transactions).flatten().copied().collect::<Vec<_>>());
        check_claims(&batch, &parent[..20], &blocks, seed);
    }
}

#[test]
fn random_singular_batches_come_back() {
    for seed in 0..60 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let blocks = sample_blocks(&mut rng, CHAIN, 1, 5_000, 2, 9);
        let parent = B256::from(rng.random::<[u8; 32]>());
        let posted = singular_batch(parent, &blocks[0]);
        let batch = Batch::decode(&posted).unwrap();
        assert_eq!(batch.kind(), Kind::Singular);
        check_claims(&batch, parent.as_slice(), &blocks, seed);
    }
}

fn check_claims(batch: &Batch<'_>, parent: &[u8], blocks: &[PostedBlock], seed: u64) {
    let claims = batch.resolve(&TERMS).unwrap();
    assert_eq!(claims.parent_check, parent);
    assert!(blocks.last().unwrap().l1_origin_hash.starts_with(&claims.l1_origin_check));
    assert_eq!(claims.len(), blocks.len());
    for (claim, block) in claims.blocks().zip(blocks) {
        assert_eq!((claim.timestamp, claim.l1_origin), (block.timestamp, block.l1_origin), "seed {seed}");
        let hashes: Vec<B256> = claim.transactions.hashes().unwrap().collect();
        assert_eq!(hashes, block.transactions.iter().map(keccak256).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(claim.transactions.len(), block.transactions.len());
    }
}

#[test]
fn a_span_without_its_chain_has_times_and_counts_but_no_hashes() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let blocks = sample_blocks(&mut rng, CHAIN, 9, 1_100, 2, 5);
    let posted = span_batch((B256::ZERO, 5), 1_000, &blocks).unwrap();
    let terms = Terms { chain_id: None, genesis_time: None, block_time: 2 };
    let batch = Batch::decode(&posted).unwrap();
    let claims = batch.resolve(&terms).unwrap();
    assert!(claims.relative);
    assert_eq!(claims.first_timestamp(), 100);
    for (claim, block) in claims.blocks().zip(&blocks) {
        assert_eq!(claim.transactions.len(), block.transactions.len());
        assert_eq!(claim.transactions.hashes().is_none(), !block.transactions.is_empty());
    }
}

#[test]
fn what_is_cut_off_is_refused_and_never_panics() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let blocks = sample_blocks(&mut rng, CHAIN, 6, 1_100, 2, 5);
    for posted in [span_batch((B256::ZERO, 5), 1_000, &blocks).unwrap(), singular_batch(B256::ZERO, &blocks[1])] {
        for len in 0..posted.len() {
            assert!(Batch::decode(&posted[..len]).is_err(), "{len} bytes of {}", posted.len());
        }
    }
}

#[test]
fn what_is_flipped_never_panics_and_never_passes_for_the_same() {
    for seed in 0..12 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let blocks = sample_blocks(&mut rng, CHAIN, 8, 1_100, 2, 5);
        let posted = span_batch((B256::ZERO, 5), 1_000, &blocks).unwrap();
        let said = |bytes: &[u8]| {
            let batch = Batch::decode(bytes).ok()?;
            let claims = batch.resolve(&TERMS).ok()?;
            let blocks = claims.blocks().map(|claim| {
                (claim.timestamp, claim.l1_origin, claim.transactions.hashes().unwrap().collect::<Vec<_>>())
            });
            Some((claims.parent_check.to_vec(), claims.l1_origin_check.to_vec(), blocks.collect::<Vec<_>>()))
        };
        let right = said(&posted);
        assert!(right.is_some());
        for _ in 0..400 {
            let mut flipped = posted.clone();
            flipped[rng.random_range(1..posted.len())] ^= 1 << rng.random_range(0..8);
            let got = said(&flipped);
            // Bit 0 of the origin bits belongs to the block before the span: it says nothing about these.
            assert!(got != right || origin_bit_zero(&posted, &flipped, blocks.len()), "seed {seed}");
        }
    }
}

/// Whether two span batches differ in nothing but bit 0 of their origin bits.
fn origin_bit_zero(left: &[u8], right: &[u8], blocks: usize) -> bool {
    assert!(blocks < 128, "the block count is one byte");
    // Type, uvarints of the timestamp and the origin (one byte each here), two checks, the count, the bits.
    let at = 1 + 1 + 1 + 20 + 20 + 1 + blocks.div_ceil(8) - 1;
    let (first, last) = (left[1], left[2]);
    assert!(first < 128 && last < 128, "one byte each");
    let differing: Vec<usize> = (0..left.len()).filter(|index| left[*index] != right[*index]).collect();
    differing == [at] && left[at] ^ right[at] == 1
}

#[test]
fn a_count_that_the_bytes_cannot_hold_is_refused_before_anything_is_allocated() {
    let prefix = [&[1, 0, 9][..], &[0; 40]].concat();
    // Ten million blocks in no bytes; more than that; a 64-bit count.
    for (count, limit) in [("80ade204", false), ("81ade204", true), ("ffffffffffffffffff01", true)] {
        let bytes = [prefix.clone(), hex::decode(count).unwrap()].concat();
        let error = Batch::decode(&bytes).unwrap_err();
        assert_eq!(matches!(error, InboxError::OverLimit { .. }), limit, "{error}");
    }
    // One block with ten million transactions, and one above.
    for (count, limit) in [("80ade204", false), ("81ade204", true)] {
        let bytes = [prefix.clone(), vec![1, 0], hex::decode(count).unwrap()].concat();
        let error = Batch::decode(&bytes).unwrap_err();
        assert_eq!(matches!(error, InboxError::OverLimit { .. }), limit, "{error}");
    }
    // A uvarint of more than 64 bits.
    assert!(Batch::decode(&[&[1][..], &[0xff; 10]].concat()).is_err());
    // No block at all, and a bit beyond the count.
    assert!(Batch::decode(&[prefix.clone(), vec![0]].concat()).is_err());
    assert!(Batch::decode(&[prefix.clone(), vec![1, 1, 0]].concat()).is_ok());
    assert!(Batch::decode(&[prefix, vec![1, 2, 0]].concat()).is_err());
}

#[test]
fn origins_and_times_that_do_not_fit_are_refused() {
    // Two blocks, the second with a new origin, and the origin of the last is number 0.
    let bytes = [&[1, 0, 0][..], &[0; 40], &[2, 0b10, 0, 0]].concat();
    assert!(Batch::decode(&bytes).unwrap().resolve(&TERMS).is_err());
    let late = [&[1][..], &[0xff; 9], &[1, 9], &[0; 40], &[1, 0, 0]].concat();
    assert!(Batch::decode(&late).unwrap().resolve(&TERMS).is_err());
}

#[test]
fn a_channel_is_read_to_its_first_broken_batch() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let blocks = sample_blocks(&mut rng, CHAIN, 3, 1_100, 2, 5);
    let mut bytes = Vec::new();
    for block in &blocks {
        alloy_rlp::Encodable::encode(singular_batch(B256::ZERO, block).as_slice(), &mut bytes);
    }
    let whole = split(&bytes);
    assert_eq!((whole.batches.len(), whole.broken.is_none()), (3, true));
    let [first, second, third] = [0, 1, 2].map(|index: usize| whole.batches[index].0.clone());
    assert_eq!((first.start, first.end, second.end, third.end), (0, second.start, third.start, bytes.len()));
    let cut = split(&bytes[..bytes.len() - 1]);
    assert_eq!(cut.batches, whole.batches[..2]);
    assert_eq!(cut.broken.as_ref().unwrap().0, third.start);
    let unknown = [&bytes[..second.end], &[0x02], &bytes[second.end..]].concat();
    assert_eq!(split(&unknown).batches, whole.batches[..2]);
    assert_eq!(split(&unknown).broken.unwrap().0, second.end);
    let list = [&[0xc0], bytes.as_slice()].concat();
    assert_eq!(split(&list).batches.len(), 0);
}

#[test]
fn the_raw_span_batch_of_op_node_comes_back_byte_for_byte() {
    let Some(raw) = vector("kona/raw_batch.hex") else { return };
    let bytes = [&[1][..], &raw].concat();
    let Batch::Span(span) = Batch::decode(&bytes).unwrap() else { panic!("a span") };
    assert_eq!((span.tx_counts.len(), span.transactions(), span.unread), (4, 39, 0));
    // Posted again by the other side, from what was read.
    let batch = Batch::Span(span.clone());
    let claims = batch.resolve(&Terms { chain_id: Some(CHAIN), genesis_time: Some(0), block_time: 2 }).unwrap();
    let mut transactions = span.encoded(CHAIN).map(|raw| raw.unwrap().into());
    let padded = |front: &[u8]| B256::from_slice(&[front, &[0; 12]].concat());
    let blocks: Vec<PostedBlock> = claims
        .blocks()
        .map(|claim| PostedBlock {
            timestamp: claim.timestamp,
            l1_origin: claim.l1_origin,
            l1_origin_hash: padded(span.l1_origin_check),
            transactions: transactions.by_ref().take(claim.transactions.len()).collect(),
        })
        .collect();
    let parent_origin = blocks[0].l1_origin - u64::from(span.origin_bits.get(0));
    assert_eq!(span_batch((padded(span.parent_check), parent_origin), 0, &blocks).unwrap(), bytes);
}
