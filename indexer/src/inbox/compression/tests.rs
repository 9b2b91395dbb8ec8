use super::{Algorithm, StreamEnd, decompress, decompress_as};
use crate::inbox::batch::{Batch, Terms};
use crate::inbox::testing::expected;
use alloy_primitives::{B256, hex, keccak256};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tributary_devnet::inbox::{ChannelForm, channel};

const LIMIT: usize = 10_000_000;

/// Content of a channel with one string in it, and its three compressions.
fn sample(seed: u64, len: usize) -> (Vec<u8>, [Vec<u8>; 3]) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let text: Vec<u8> = (0..len).map(|_| rng.random_range(b'a'..b'j')).collect();
    let mut content = Vec::new();
    alloy_rlp::Encodable::encode(text.as_slice(), &mut content);
    let forms = [ChannelForm::Zlib(9), ChannelForm::ZlibUnfinished, ChannelForm::BrotliStored];
    (content, forms.map(|form| channel(std::slice::from_ref(&text), form)))
}

#[test]
fn every_form_comes_back_whole_however_it_is_cut() {
    for (seed, len) in [(1, 0), (2, 60), (3, 5_000), (4, 200_000)] {
        let (content, [zlib, unfinished, brotli]) = sample(seed, len);
        let complete = StreamEnd::Complete { unread: 0 };
        let cases = [(zlib, complete.clone()), (unfinished, StreamEnd::Truncated), (brotli, complete)];
        for (bytes, end) in cases {
            for piece in [1, 7, 1_000, usize::MAX] {
                let parts: Vec<&[u8]> = bytes.chunks(piece).collect();
                let got = decompress(&parts, LIMIT, true);
                assert_eq!((&got.bytes, &got.end), (&content, &end));
                assert_eq!(got.ends.len(), parts.len());
                assert!(got.ends.is_sorted());
                assert_eq!(got.ends.last(), Some(&content.len()));
            }
        }
    }
}

#[test]
fn what_is_cut_off_gives_what_came_before() {
    let (content, forms) = sample(5, 3_000);
    for bytes in forms {
        let mut last = 0;
        for len in 0..bytes.len() {
            let got = decompress(&[&bytes[..len]], LIMIT, true);
            assert_eq!(got.end, StreamEnd::Truncated, "{len} of {}", bytes.len());
            assert!(content.starts_with(&got.bytes) && got.bytes.len() >= last);
            last = got.bytes.len();
        }
        assert!(last > content.len() / 2);
    }
}

#[test]
fn what_is_damaged_gives_a_state_and_never_a_panic() {
    let (content, forms) = sample(6, 3_000);
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for bytes in forms {
        let mut corrupt = 0;
        for _ in 0..500 {
            let mut flipped = bytes.clone();
            flipped[rng.random_range(1..bytes.len())] ^= 1 << rng.random_range(0..8);
            let got = decompress(&[&flipped], LIMIT, true);
            assert!(got.bytes.len() <= LIMIT);
            corrupt += usize::from(matches!(got.end, StreamEnd::Corrupt { .. }));
        }
        assert!(corrupt > 0);
        // The bytes before the damage are there.
        let mut damaged = bytes[..bytes.len() / 2].to_vec();
        damaged.extend([0xff; 64]);
        let got = decompress(&[&damaged], LIMIT, true);
        assert!(got.bytes.len() > 500 && got.bytes[..500] == content[..500], "{:?}", got.end);
    }
}

#[test]
fn the_limit_is_kept_to_the_byte() {
    let (content, forms) = sample(7, 100_000);
    for bytes in forms {
        let exact = decompress(&[&bytes], content.len(), true);
        assert_eq!(exact.bytes, content);
        assert!(!matches!(exact.end, StreamEnd::Capped { .. }), "{:?}", exact.end);
        for limit in [0, 1, 65_536, content.len() - 1] {
            let got = decompress(&[&bytes], limit, true);
            assert_eq!((got.bytes.as_slice(), got.end), (&content[..limit], StreamEnd::Capped { limit }));
            assert!(got.bytes.capacity() <= limit);
        }
    }
    // A bomb: a hundred megabytes in a tenth of one.
    let bomb = channel(&[vec![0; 100_000_000]], ChannelForm::Zlib(9));
    assert!(bomb.len() < 200_000);
    let got = decompress(&[&bomb], LIMIT, true);
    assert_eq!((got.bytes.len(), got.bytes.capacity()), (LIMIT, LIMIT));
    assert_eq!(got.end, StreamEnd::Capped { limit: LIMIT });
}

#[test]
fn the_first_byte_decides() {
    let (content, [zlib, _, brotli]) = sample(8, 10);
    assert_eq!(decompress(&[&zlib], LIMIT, false).algorithm, Some(Algorithm::Zlib));
    assert_eq!(decompress(&[&brotli], LIMIT, true).algorithm, Some(Algorithm::Brotli));
    let early = decompress(&[&brotli], LIMIT, false);
    assert_eq!((early.algorithm, early.bytes.len()), (None, 0), "before Fjord");
    assert!(matches!(early.end, StreamEnd::Corrupt { .. }));
    assert!(matches!(decompress(&[&[0x02, 1]], LIMIT, true).end, StreamEnd::Corrupt { .. }));
    assert_eq!(decompress(&[], LIMIT, true).end, StreamEnd::Truncated);
    assert_eq!(decompress(&[&[], &[]], LIMIT, true).ends, [0, 0]);
    // Frames may be empty, the first too.
    let got = decompress(&[&[], &brotli[..1], &[], &brotli[1..]], LIMIT, true);
    assert_eq!((got.bytes, got.ends), (content.clone(), vec![0, 0, 0, content.len()]));
    // Compression method 15 goes to zlib, which has no such method.
    assert!(matches!(decompress(&[&[0x7f, 0x00, 0, 0]], LIMIT, true).end, StreamEnd::Corrupt { .. }));
    let trailing = decompress(&[&zlib, b"abc"], LIMIT, true);
    assert_eq!((trailing.bytes, trailing.end), (content, StreamEnd::Complete { unread: 3 }));
}

#[test]
fn the_parts_of_a_range_are_those_its_bytes_came_in() {
    let (content, [_, _, brotli]) = sample(9, 1_000);
    let parts: Vec<&[u8]> = brotli.chunks(100).collect();
    let got = decompress(&parts, LIMIT, true);
    assert_eq!(got.parts_of(&(0..1)), 0..=0);
    assert_eq!(got.parts_of(&(0..content.len())), 0..=10);
    assert_eq!(got.parts_of(&(got.ends[3]..got.ends[5])), 3..=5);
    assert_eq!(got.parts_of(&(got.ends[3] - 1..got.ends[5] + 1)), 3..=6);
}

#[test]
fn the_brotli_stream_of_kona_comes_out() {
    let Some(vector) = expected("kona/brotli_batch.json") else { return };
    let bytes = |key: &str| hex::decode(vector[key].as_str().unwrap()).unwrap();
    let (compressed, decompressed) = (bytes("compressed"), bytes("decompressed"));
    let versioned = [&[1], compressed.as_slice()].concat();
    let got = decompress(&[&versioned], LIMIT, true);
    assert_eq!((got.bytes, got.end), (decompressed, StreamEnd::Complete { unread: 0 }));
}

#[test]
fn the_two_frames_of_kona_give_a_singular_batch() {
    let Some(vector) = expected("kona/frames_example.json") else { return };
    let frames = vector["frames"].as_array().unwrap().iter().map(|frame| hex::decode(frame.as_str().unwrap()).unwrap());
    let payload = [vec![0], frames.collect::<Vec<_>>().concat()].concat();
    let frames = crate::inbox::frame::parse(&payload).unwrap();
    assert_eq!(frames.iter().map(|frame| (frame.number, frame.last)).collect::<Vec<_>>(), [(0, false), (1, true)]);
    assert!(frames.iter().all(|frame| frame.channel.to_string() == "60d54f49b71978b1b09288af847b11d2"));
    // The example has neither the version byte of brotli nor the RLP string around the batch.
    let parts: Vec<&[u8]> = frames.iter().map(|frame| frame.data).collect();
    let data = decompress_as(Algorithm::Brotli, &parts, LIMIT);
    let batch = Batch::decode(&data.bytes).unwrap();
    let claims = batch.resolve(&Terms { chain_id: None, genesis_time: None, block_time: 2 }).unwrap();
    assert_eq!(claims.parent_check, B256::ZERO.as_slice());
    let claim = claims.blocks().next().unwrap();
    assert_eq!((claims.len(), claim.timestamp, claim.l1_origin, claim.transactions.len()), (1, 1, 1, 2));
    let Batch::Singular(_) = &batch else { panic!("a singular batch") };
    let hashes: Vec<B256> = claim.transactions.hashes().unwrap().collect();
    assert_eq!(hashes.len(), 2);
    assert!(hashes.iter().all(|hash| *hash != keccak256([])));
}
