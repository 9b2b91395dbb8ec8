//! kona, which others wrote, judges how we read frames, channels and batches.

use alloy_primitives::{B256, keccak256};
use kona_genesis::{ChainGenesis, HardForkConfig, RollupConfig};
use kona_protocol::{Batch as Theirs, BatchReader, Frame};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tributary_devnet::inbox::{ChannelForm, channel, frames, payload, sample_blocks, singular_batch, span_batch};
use tributary_indexer::inbox::InboxError;
use tributary_indexer::inbox::batch::{Batch, Terms, split};
use tributary_indexer::inbox::channel::{Fork, Rules};
use tributary_indexer::inbox::compression::{StreamEnd, decompress};
use tributary_indexer::inbox::frame;
use tributary_indexer::inbox::report::bytes_of;
use tributary_tests::shared::shared;

const CHAIN: u64 = 10;
const GENESIS: u64 = 1_686_068_903;

/// What is said of a batch: kind, checks, blocks with timestamp, L1 origin and transaction hashes.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    parent: Vec<u8>,
    l1_origin: Vec<u8>,
    blocks: Vec<(u64, u64, Vec<B256>)>,
}

fn theirs(batch: Theirs) -> Said {
    let hashes = |transactions: &[alloy_primitives::Bytes]| transactions.iter().map(keccak256).collect();
    match batch {
        Theirs::Single(one) => Said {
            parent: one.parent_hash.to_vec(),
            l1_origin: one.epoch_hash.to_vec(),
            blocks: vec![(one.timestamp, one.epoch_num, hashes(&one.transactions))],
        },
        Theirs::Span(span) => Said {
            parent: span.parent_check.to_vec(),
            l1_origin: span.l1_origin_check.to_vec(),
            blocks: span.batches.iter().map(|one| (one.timestamp, one.epoch_num, hashes(&one.transactions))).collect(),
        },
    }
}

fn ours(batch: &Batch<'_>) -> Result<Said, InboxError> {
    let terms = Terms { chain_id: Some(CHAIN), genesis_time: Some(GENESIS), block_time: 2 };
    let claims = batch.resolve(&terms)?;
    let blocks = claims
        .blocks()
        .map(|claim| (claim.timestamp, claim.l1_origin, claim.transactions.hashes().unwrap().collect()))
        .collect();
    Ok(Said { parent: claims.parent_check.to_vec(), l1_origin: claims.l1_origin_check.to_vec(), blocks })
}

fn config() -> RollupConfig {
    RollupConfig {
        block_time: 2,
        l2_chain_id: CHAIN.into(),
        genesis: ChainGenesis { l2_time: GENESIS, ..ChainGenesis::default() },
        hardforks: HardForkConfig { fjord_time: Some(0), ..HardForkConfig::default() },
        ..RollupConfig::default()
    }
}

/// Reads a channel both ways; the batches they agree on.
fn judge(channel: &[u8]) -> usize {
    let rules = Rules::of(Fork::Fjord);
    let data = decompress(&[channel], rules.channel_bytes_max, rules.brotli);
    assert_eq!(data.end, StreamEnd::Complete { unread: 0 });
    let contents = split(&data.bytes);
    assert_eq!(contents.broken, None);
    let mut reader = BatchReader::new(channel, rules.channel_bytes_max);
    let config = config();
    for (_, batch) in &contents.batches {
        let theirs = theirs(reader.next_batch(&config).expect("kona has no fewer batches"));
        assert_eq!(ours(batch).unwrap(), theirs);
    }
    assert!(reader.next_batch(&config).is_none(), "kona has no more batches");
    contents.batches.len()
}

#[test]
fn kona_reads_random_channels_as_we_do() {
    for seed in 0..40 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let count = rng.random_range(1..30);
        let blocks = sample_blocks(&mut rng, CHAIN, count, GENESIS + 2 * seed, 2, 500);
        let mut batches = vec![span_batch((B256::repeat_byte(3), 500), GENESIS, &blocks).unwrap()];
        batches.extend(blocks.iter().map(|block| singular_batch(B256::from(rng.random::<[u8; 32]>()), block)));
        let form = [ChannelForm::Zlib(0), ChannelForm::Zlib(9), ChannelForm::BrotliStored][rng.random_range(0..3)];
        let channel = channel(&batches, form);
        assert_eq!(judge(&channel), batches.len(), "seed {seed}");
        let payload = payload(&frames(rng.random(), &channel, rng.random_range(100..5_000)));
        let (theirs, ours) = (Frame::parse_frames(&payload).unwrap(), frame::parse(&payload).unwrap());
        assert_eq!(theirs.len(), ours.len());
        for (theirs, ours) in theirs.iter().zip(&ours) {
            assert_eq!((theirs.id, theirs.number, theirs.is_last), (ours.channel.0, ours.number, ours.last));
            assert_eq!(theirs.data, ours.data);
        }
    }
}

#[test]
fn kona_reads_flipped_transactions_as_we_do() {
    let (mut both, mut neither) = (0, 0);
    for seed in 0..10 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let blocks = sample_blocks(&mut rng, CHAIN, 6, GENESIS, 2, 500);
        let batch = span_batch((B256::repeat_byte(3), 500), GENESIS, &blocks).unwrap();
        for _ in 0..300 {
            let mut flipped = batch.clone();
            // Behind the counts: what comes before them kona subtracts and allocates by.
            flipped[rng.random_range(60..batch.len())] ^= 1 << rng.random_range(0..8);
            let ours = Batch::decode(&flipped).and_then(|batch| ours(&batch));
            let theirs = Theirs::decode(&mut flipped.as_slice(), &config()).map(theirs);
            match (&ours, &theirs) {
                (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "seed {seed}"),
                (Err(_), Err(_)) => {}
                // Where the last bit list is cut off kona fills it with zeros; op-node refuses it, and so do we.
                (Err(InboxError::Truncated { what, .. }), Ok(_)) if what.contains("bits") => {}
                (ours, theirs) => panic!("seed {seed}: we say {ours:?}, kona says {theirs:?}"),
            }
            both += usize::from(ours.is_ok());
            neither += usize::from(ours.is_err());
        }
    }
    assert!(both > 1_000 && neither > 100, "{both} read, {neither} refused");
}

#[test]
fn kona_reads_the_channel_of_op_mainnet_as_we_do() {
    let Some(text) = shared("eigenda/kona/derive_batch.hex") else { return };
    assert_eq!(judge(&bytes_of(&text)), 1);
}
