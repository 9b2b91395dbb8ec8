use super::{Anchor, L2Block, TxList, anchor};
use crate::block::{L1Origin, Trust, TxInfo, VerifiedBlock};
use crate::inbox::batch::{Kind, Terms};
use crate::inbox::channel::{Channel, Channels, Fork, Part, Rules, Source};
use crate::inbox::frame::{self, ChannelId};
use alloy_primitives::{B256, Bytes, U256, keccak256};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use tributary_devnet::inbox::{
    ChannelForm, PostedBlock, channel, frames, payload, sample_blocks, singular_batch, span_batch,
};
use tributary_schemas::BlockRef;

const CHAIN: u64 = 1612;
const GENESIS: u64 = 1_700_000_000;
const ORIGIN: u64 = 40;
const TERMS: Terms = Terms { chain_id: Some(CHAIN), genesis_time: Some(GENESIS), block_time: 2 };

/// A chain of so many blocks, as a batcher and as an indexer knows it.
fn chain(rng: &mut ChaCha8Rng, count: usize) -> (Vec<PostedBlock>, Vec<L2Block>) {
    let posted = sample_blocks(rng, CHAIN, count, GENESIS + 2, 2, ORIGIN);
    let hash = |number: u64| keccak256(number.to_be_bytes());
    let known = (1_u64..).zip(&posted).map(|(number, block)| L2Block {
        number,
        hash: hash(number),
        parent_hash: hash(number - 1),
        timestamp: block.timestamp,
        l1_origin: block.l1_origin,
        l1_origin_hash: block.l1_origin_hash,
        transactions: TxList::of(block.transactions.iter().map(keccak256)),
    });
    (posted.clone(), known.collect())
}

/// A span batch over blocks `from..to`, counted from zero.
fn span(posted: &[PostedBlock], known: &[L2Block], from: usize, to: usize) -> Vec<u8> {
    let origin = if from == 0 { ORIGIN } else { posted[from - 1].l1_origin };
    span_batch((known[from].parent_hash, origin), GENESIS, &posted[from..to]).unwrap()
}

/// A channel in one posting at an L1 block.
fn posting(batches: &[Vec<u8>], l1_block: u64) -> Channel {
    let source = Source { l1_block, l1_tx: keccak256([1]), commitment: Some(keccak256([2])), blob: None };
    let data = channel(batches, ChannelForm::Zlib(6));
    Channel { id: ChannelId([9; 16]), parts: vec![Part { data, source }] }
}

fn rows(channel: &Channel, known: &[L2Block], taken: &mut BTreeSet<u64>) -> Vec<Anchor> {
    let anchored = anchor(channel, &Rules::of(Fork::Holocene), &TERMS, known, taken);
    assert_eq!(anchored.broken, []);
    anchored.rows
}

fn numbers(rows: &[Anchor]) -> Vec<u64> {
    rows.iter().map(|row| row.l2_block).collect()
}

#[test]
fn random_postings_anchor_every_block_they_hold_and_no_other() {
    for seed in 0..25 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (posted, known) = chain(&mut rng, 60);
        let mut channels = Channels::new(Rules::of(Fork::Holocene));
        let (mut taken, mut got, mut expected) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        let (mut next, mut l1_block) = (0, 100_u64);
        while next < known.len() {
            let to = std::cmp::min(next + rng.random_range(1..12), known.len());
            let from = next;
            next = to;
            if rng.random_bool(0.15) {
                continue; // Withheld: these blocks are nobody's.
            }
            let batches: Vec<Vec<u8>> = if rng.random_bool(0.5) {
                vec![span(&posted, &known, from, to)]
            } else {
                (from..to).map(|index| singular_batch(known[index].parent_hash, &posted[index])).collect()
            };
            let form = [ChannelForm::Zlib(1), ChannelForm::ZlibUnfinished, ChannelForm::BrotliStored];
            let data = channel(&batches, form[rng.random_range(0..3)]);
            for frame in frames(rng.random(), &data, rng.random_range(40..4_000)) {
                l1_block += u64::from(rng.random_bool(0.1));
                let source =
                    Source { l1_block, l1_tx: keccak256(rng.random::<[u8; 8]>()), commitment: None, blob: None };
                let bytes = payload(&[frame]);
                let ready = channels.take(&frame::parse(&bytes).unwrap(), &source).ready;
                for row in ready.iter().flat_map(|channel| rows(channel, &known, &mut taken)) {
                    assert_eq!(row.l2_hash, known[usize::try_from(row.l2_block).unwrap() - 1].hash);
                    assert_eq!((row.parent, row.l1_block <= l1_block), (Some(true), true));
                    got.entry(row.l2_block).or_insert_with(Vec::new).push(row);
                }
            }
            expected.extend((from..to).map(|index| (known[index].number, l1_block)));
        }
        assert_eq!(got.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "seed {seed}");
        for (number, rows) in got {
            // The frames of a block's rows follow each other, one posting a frame here.
            assert!(rows.windows(2).all(|pair| pair[0].frames.end() + 1 == *pair[1].frames.start()));
            assert!(rows.iter().all(|row| row.channel == rows[0].channel && row.batch == rows[0].batch));
            assert!(rows.iter().all(|row| row.l1_block <= expected[&number]));
            assert!(rows[0].kind == Kind::Singular || *rows[0].frames.start() == 0, "a span begins its channel here");
        }
    }
}

#[test]
fn whatever_a_batch_says_wrong_keeps_it_from_anchoring() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (posted, known) = chain(&mut rng, 10);
    let full = (0..10).find(|index| !posted[*index].transactions.is_empty()).unwrap();
    let of = |block: &PostedBlock| {
        let batch = singular_batch(known[full].parent_hash, block);
        rows(&posting(&[batch], 7), &known, &mut BTreeSet::new())
    };
    let right = &posted[full];
    assert_eq!(numbers(&of(right)), [known[full].number]);
    let fewer = right.transactions[1..].to_vec();
    let twice = [right.transactions.as_slice(), &right.transactions[..1]].concat();
    assert_eq!(of(&PostedBlock { timestamp: right.timestamp + 1, ..right.clone() }), []);
    assert_eq!(of(&PostedBlock { timestamp: right.timestamp + 2, ..right.clone() }), []);
    assert_eq!(of(&PostedBlock { l1_origin: right.l1_origin + 1, ..right.clone() }), []);
    assert_eq!(of(&PostedBlock { transactions: fewer, ..right.clone() }), []);
    assert_eq!(of(&PostedBlock { transactions: twice, ..right.clone() }), []);
    let reversed: Vec<_> = right.transactions.iter().rev().cloned().collect();
    assert_eq!(of(&PostedBlock { transactions: reversed, ..right.clone() }).is_empty(), right.transactions.len() > 1);
    let orphan = singular_batch(B256::ZERO, right);
    assert_eq!(rows(&posting(&[orphan], 7), &known, &mut BTreeSet::new()), []);
    // A wrong hash of the L1 origin is shown.
    let other = of(&PostedBlock { l1_origin_hash: B256::ZERO, ..right.clone() });
    assert_eq!(other[0].l1_origin, Some(false));
    assert_eq!(of(right)[0].l1_origin, Some(true));
}

#[test]
fn a_span_is_checked_by_the_parent_of_its_first_block() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let (posted, known) = chain(&mut rng, 10);
    let whole = posting(&[span(&posted, &known, 2, 8)], 7);
    let all = rows(&whole, &known, &mut BTreeSet::new());
    assert_eq!(numbers(&all), [3, 4, 5, 6, 7, 8]);
    assert!(all.iter().all(|row| (row.parent, row.l1_origin) == (Some(true), Some(true))));
    // The indexer knows a part: what it cannot check, it says.
    let middle = rows(&whole, &known[4..6], &mut BTreeSet::new());
    assert_eq!(numbers(&middle), [5, 6]);
    assert!(middle.iter().all(|row| (row.parent, row.l1_origin) == (None, None)));
    let forked = span_batch((B256::ZERO, posted[1].l1_origin), GENESIS, &posted[2..8]).unwrap();
    assert_eq!(rows(&posting(&[forked], 7), &known, &mut BTreeSet::new()), []);
    // A block in the middle that came to be otherwise is not carried; its neighbours are.
    let mut otherwise = known.clone();
    otherwise[4].transactions.count += 1;
    assert_eq!(numbers(&rows(&whole, &otherwise, &mut BTreeSet::new())), [3, 4, 6, 7, 8]);
    // Without the chain id only empty blocks can be compared.
    let blind = Terms { chain_id: None, ..TERMS };
    let anchored = anchor(&whole, &Rules::of(Fork::Holocene), &blind, &known, &mut BTreeSet::new());
    let empty: Vec<u64> =
        known[2..8].iter().filter(|block| block.transactions.count == 0).map(|block| block.number).collect();
    assert_eq!(numbers(&anchored.rows), empty);
}

#[test]
fn a_verified_block_is_compared_without_its_deposits() {
    let transaction = |kind: u8| TxInfo {
        hash: B256::repeat_byte(kind),
        kind,
        to: None,
        value: U256::ZERO,
        input: Bytes::new(),
        success: true,
        raw: Bytes::new(),
    };
    let mut block = VerifiedBlock {
        block: BlockRef { number: 5, hash: B256::repeat_byte(5), parent_hash: B256::repeat_byte(4), timestamp: 10 },
        header: alloy::consensus::Header::default(),
        l1_origin: Some(L1Origin { number: 3, hash: B256::repeat_byte(3), timestamp: 9, sequence: 0 }),
        transactions: [0x7e, 2, 0x7e, 0, 4].map(transaction).to_vec(),
        logs: vec![],
        trust: Trust::Verified,
        reads: Default::default(),
    };
    let known = L2Block::of(&block).unwrap();
    assert_eq!((known.number, known.timestamp, known.l1_origin), (5, 10, 3));
    assert_eq!(known.transactions, TxList::of([2, 0, 4].map(B256::repeat_byte)));
    block.l1_origin = None;
    assert_eq!(L2Block::of(&block), None);
}

#[test]
fn the_first_posting_wins() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let (posted, known) = chain(&mut rng, 8);
    let mut taken = BTreeSet::new();
    let first = rows(&posting(&[span(&posted, &known, 0, 5)], 7), &known, &mut taken);
    let again = rows(&posting(&[span(&posted, &known, 3, 8), span(&posted, &known, 0, 8)], 8), &known, &mut taken);
    assert_eq!((numbers(&first), numbers(&again)), (vec![1, 2, 3, 4, 5], vec![6, 7, 8]));
    assert!(again.iter().all(|row| row.l1_block == 8 && row.batch == 0));
    assert_eq!(taken.len(), 8);
}

#[test]
fn a_batch_that_runs_over_several_postings_has_a_row_for_each() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let (posted, known) = chain(&mut rng, 40);
    let batches = [span(&posted, &known, 0, 20), span(&posted, &known, 20, 40)];
    let data = channel(&batches, ChannelForm::BrotliStored);
    let piece = data.len().div_ceil(4);
    let parts = data.chunks(piece).zip([1_u8, 1, 2, 3]).map(|(data, posting)| Part {
        data: data.to_vec(),
        source: Source {
            l1_block: u64::from(posting),
            l1_tx: B256::repeat_byte(posting),
            commitment: None,
            blob: None,
        },
    });
    let channel = Channel { id: ChannelId([1; 16]), parts: parts.collect() };
    let all = rows(&channel, &known, &mut BTreeSet::new());
    // A stored stream ends with one byte; the frame in which the first batch ends is the one the second begins in.
    let border = data.len() - 1 - alloy_rlp::Encodable::length(batches[1].as_slice());
    let border = u16::try_from((border - 1) / piece).unwrap();
    let postings = |frames: std::ops::RangeInclusive<u16>| {
        let all = [(1, 0..=1), (2, 2..=2), (3, 3..=3_u16)];
        let shared = |of: std::ops::RangeInclusive<u16>| {
            std::cmp::max(*of.start(), *frames.start())..=std::cmp::min(*of.end(), *frames.end())
        };
        all.map(|(l1_block, of)| (l1_block, shared(of))).into_iter().filter(|(_, of)| !of.is_empty()).collect()
    };
    let of = |number: u64| -> Vec<(u64, std::ops::RangeInclusive<u16>)> {
        all.iter().filter(|row| row.l2_block == number).map(|row| (row.l1_block, row.frames.clone())).collect()
    };
    let (first, second): (Vec<_>, Vec<_>) = (postings(0..=border), postings(border..=3));
    assert_eq!((of(1), of(20)), (first.clone(), first));
    assert_eq!((of(21), of(40)), (second.clone(), second));
    assert_eq!(all.iter().map(|row| row.l2_block).collect::<BTreeSet<_>>().len(), 40);
}
