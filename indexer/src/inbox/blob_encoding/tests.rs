use super::{BLOB_BYTES, PAYLOAD_BYTES_MAX, decode};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tributary_devnet::inbox::blob;

fn random(rng: &mut ChaCha8Rng, len: usize) -> Vec<u8> {
    (0..len).map(|_| rng.random()).collect()
}

#[test]
fn every_length_around_an_edge_comes_back() {
    assert_eq!(PAYLOAD_BYTES_MAX, 130_044);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let edges = [0, 1, 26, 27, 28, 58, 59, 122, 123, 124, 250, 251, 1_000, 130_043, 130_044];
    for len in edges {
        let payload = random(&mut rng, len);
        let packed = blob(&payload).unwrap();
        assert_eq!(packed.len(), BLOB_BYTES);
        assert_eq!(decode(&packed).unwrap(), payload, "{len} bytes");
    }
    assert!(blob(&random(&mut rng, 130_045)).is_none());
}

#[test]
fn the_first_round_is_packed_as_the_specification_draws_it() {
    // 123 bytes of ones: every field element is 3f ff .. ff but the first, which begins with version and length.
    let packed = blob(&[0xff; 123]).unwrap();
    assert_eq!(packed[..6], [0x3f, 0, 0, 0, 123, 0xff]);
    assert_eq!(packed[32..34], [0x3f, 0xff]);
    assert!(packed[34..128].iter().enumerate().all(|(at, byte)| *byte == if (at + 2) % 32 == 0 { 0x3f } else { 0xff }));
    assert!(packed[128..].iter().all(|byte| *byte == 0));
    // The 31st byte of data is six bits of the first element and two of the second.
    let mut payload = [0; 123];
    payload[27] = 0b1100_0001;
    let packed = blob(&payload).unwrap();
    assert_eq!((packed[0], packed[32]), (0b0000_0001, 0b0011_0000));
}

#[test]
fn every_flipped_bit_shows() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let payload = random(&mut rng, 1_000);
    let packed = blob(&payload).unwrap();
    for _ in 0..300 {
        let (at, bit) = (rng.random_range(0..BLOB_BYTES), rng.random_range(0..8));
        let mut flipped = packed.clone();
        flipped[at] ^= 1 << bit;
        let got = decode(&flipped);
        assert_ne!(got.as_ref(), Ok(&payload), "bit {bit} of byte {at}");
        if at % 32 == 0 && bit > 5 {
            assert!(got.is_err(), "bit {bit} of byte {at} is not in the field");
        }
    }
    for len in [0, 1, BLOB_BYTES - 1, BLOB_BYTES + 1] {
        assert!(decode(&vec![0; len]).is_err());
    }
    let mut version = packed.clone();
    version[1] = 1;
    assert!(decode(&version).is_err());
    let mut len = packed;
    len[2] = 0xff;
    assert!(decode(&len).is_err());
}
