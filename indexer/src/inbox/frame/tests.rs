use super::{ChannelId, Frame, parse};
use crate::inbox::InboxError;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tributary_devnet::inbox::{frame, frames, payload};

#[test]
fn random_frames_come_back() {
    for seed in 0..40 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let channel: Vec<u8> = (0..rng.random_range(0..3_000)).map(|_| rng.random()).collect();
        let id: [u8; 16] = rng.random();
        let bytes = payload(&frames(id, &channel, rng.random_range(1..500)));
        let parsed = parse(&bytes).unwrap();
        assert_eq!(parsed.iter().flat_map(|frame| frame.data).copied().collect::<Vec<u8>>(), channel);
        assert!(parsed.iter().enumerate().all(|(index, frame)| usize::from(frame.number) == index));
        assert!(parsed.iter().all(|frame| frame.channel == ChannelId(id)));
        let lasts: Vec<usize> = (0..parsed.len()).filter(|index| parsed[*index].last).collect();
        assert_eq!(lasts, [parsed.len() - 1]);
    }
}

#[test]
fn one_frame_that_does_not_parse_spoils_them_all() {
    let good = [frame([1; 16], 0, b"abc", false), frame([2; 16], 7, b"", true)];
    let bytes = payload(&good);
    assert_eq!(parse(&bytes).unwrap()[1], Frame { channel: ChannelId([2; 16]), number: 7, data: b"", last: true });
    // Cut anywhere but between the two frames.
    for len in (0..bytes.len()).filter(|len| *len != 1 + good[0].len()) {
        assert!(parse(&bytes[..len]).is_err(), "{len} bytes");
    }
    let cases: [(usize, u8, &str); 4] = [
        (0, 1, "version 1"),
        (0, 0xff, "version ff"),
        (1 + good[0].len() - 1, 2, "is_last 2"),
        (bytes.len() - 1, 0xff, "is_last ff"),
    ];
    for (at, byte, case) in cases {
        let mut changed = bytes.clone();
        changed[at] = byte;
        assert!(matches!(parse(&changed), Err(InboxError::Unexpected { .. })), "{case}");
    }
    assert!(parse(&[bytes, vec![0]].concat()).is_err(), "a byte too many");
}

#[test]
fn a_frame_has_a_megabyte_at_most() {
    let most = payload(&[frame([1; 16], 0, &vec![0; 1_000_000], true)]);
    assert_eq!(parse(&most).unwrap()[0].data.len(), 1_000_000);
    let more = payload(&[frame([1; 16], 0, &vec![0; 1_000_001], true)]);
    assert!(matches!(parse(&more), Err(InboxError::OverLimit { .. })));
    let claimed = [&[0][..], &[1; 16], &[0, 0], &[0xff; 4], &[0; 8]].concat();
    assert!(matches!(parse(&claimed), Err(InboxError::OverLimit { .. })));
}
