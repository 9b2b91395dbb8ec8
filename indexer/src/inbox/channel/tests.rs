use super::{Channels, Dropped, Fork, Lost, Rules, Source};
use crate::inbox::frame::{ChannelId, Frame};
use alloy_primitives::B256;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tributary_devnet::inbox::{frames, payload};

const fn source(l1_block: u64) -> Source {
    Source { l1_block, l1_tx: B256::ZERO, commitment: None, blob: None }
}

/// Payloads as text, one a line: `BLOCK: frames`. A frame is a letter for its channel, a number, and `!` when it is
/// the last; its data is its own name. What comes out is text too, one line a payload: channels that are ready as
/// their data, `-` and a frame that was dropped, `x` and a channel that was lost.
fn check(rules: Rules, script: &str, expected: &str) {
    let mut channels = Channels::new(rules);
    let mut got = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (block, names) = line.split_once(':').unwrap();
        let names: Vec<&str> = names.split_whitespace().collect();
        let frames: Vec<Frame<'_>> = names.iter().map(|name| named(name)).collect();
        let taken = channels.take(&frames, &source(block.parse().unwrap()));
        let ready = taken.ready.iter().map(|channel| {
            assert!(channel.parts.iter().all(|part| !part.data.is_empty()));
            String::from_utf8(channel.parts.iter().flat_map(|part| part.data.clone()).collect()).unwrap()
        });
        let dropped = taken.dropped.iter().map(|(index, _)| format!("-{}", names[*index]));
        let lost = taken.lost.iter().map(|(id, _)| format!("x{}", char::from(id.0[0])));
        got.push(ready.chain(dropped).chain(lost).collect::<Vec<_>>().join(" "));
    }
    let expected: Vec<&str> = expected.split('\n').map(str::trim).collect();
    assert_eq!(got, expected, "{script}");
}

fn named(name: &str) -> Frame<'_> {
    let mut id = [0; 16];
    id[0] = name.as_bytes()[0];
    let number = name[1..].trim_end_matches('!').parse().unwrap();
    Frame { channel: ChannelId(id), number, data: name.as_bytes(), last: name.ends_with('!') }
}

#[test]
fn before_holocene_frames_come_in_any_order() {
    let rules = Rules::of(Fork::Granite);
    check(rules, "1: a2! a0 a1", "a0a1a2!");
    check(rules, "1: a1! b0 \n 2: b1! a0", "\n b0b1! a0a1!");
    // Twice the same; another last one; frames beyond the last one, early and late.
    check(rules, "1: a0 a0 a1! \n 2: a1", "a0a1! -a0 \n");
    check(rules, "1: a0 a2! a3! a4 a2! a1", "a0a1a2! -a3! -a4 -a2!");
    check(rules, "1: a5 a4 a1! a0", "a0a1!");
    // 50 blocks after its first frame a channel still takes one; after 51 it is lost, and begins anew.
    check(rules, "1: a0 \n 51: a1!", "\n a0a1!");
    check(rules, "1: a0 \n 52: a1! a0", "\n a0a1! xa");
    check(Rules::of(Fork::Fjord), "1: a0 \n 301: a1!", "\n a0a1!");
    check(Rules::of(Fork::Bedrock), "1: a0 \n 302: a1!", "\n xa");
}

#[test]
fn from_holocene_frames_come_in_order_and_one_channel_is_open() {
    let rules = Rules::of(Fork::Holocene);
    check(rules, "1: a0 a1 a2!", "a0a1a2!");
    check(rules, "1: a0 \n 2: a1 \n 3: a2!", "\n \n a0a1a2!");
    check(rules, "1: a0! b0!", "a0! b0!");
    // Out of order, in one payload and in two.
    check(rules, "1: a1 a0 a1!", "-a1 -a0 -a1!");
    check(rules, "1: a1 \n 2: a0 a1!", "-a1 \n a0a1!");
    check(rules, "1: a0 a2! a1!", "a0a1! -a2!");
    check(rules, "1: a0 \n 2: a2! \n 3: a1!", "\n -a2! \n a0a1!");
    // A first frame ends an unclosed channel, in one payload and in two.
    check(rules, "1: a0 b0 a1! b1!", "b0b1! -a0 -a1!");
    check(rules, "1: a0 a1 b0 b1!", "b0b1! -a0 -a1");
    check(rules, "1: a0 \n 2: b0 \n 3: a1! \n 4: b1!", "\n xa \n -a1! \n b0b1!");
    check(rules, "1: a0 \n 2: a0 \n 3: a1!", "\n xa \n a0a1!");
    // In one payload the second of two first frames is dropped, not the first.
    check(rules, "1: a0 a0 a1!", "a0a1! -a0");
    check(rules, "1: a0 a1! a0", "a0a1! -a0");
    // The rest of an earlier channel goes before a new one begins.
    check(rules, "1: a0 \n 2: a1 b0!", "\n b0! -a1 xa");
    check(rules, "1: a0 \n 2: a1! b0!", "\n a0a1! b0!");
    check(rules, "1: b3 \n 2: b0!", "-b3 \n b0!");
    check(rules, "1: a0 \n 51: a1!", "\n a0a1!");
    check(rules, "1: a0 \n 52: a1! \n 53: a0!", "\n -a1! xa \n a0!");
}

#[test]
fn what_weighs_too_much_is_given_up() {
    let id = |byte| ChannelId([byte; 16]);
    let frame = |byte, number| Frame { channel: id(byte), number, data: &[0; 300], last: false };
    let rules = Rules { channel_bytes_max: 1_200, open_bytes_max: 1_200, ..Rules::of(Fork::Holocene) };
    let mut ordered = Channels::new(rules);
    assert_eq!(ordered.take(&[frame(1, 0), frame(1, 1)], &source(1)).lost, []);
    assert_eq!(ordered.open_bytes(), 1_000);
    assert_eq!(ordered.take(&[frame(1, 2)], &source(1)).lost, [(id(1), Lost::TooLarge)]);
    assert_eq!((ordered.open(), ordered.open_bytes()), (0, 0));
    assert_eq!(ordered.take(&[frame(1, 3)], &source(1)).dropped, [(0, Dropped::NotOpen)]);
    let mut any = Channels::new(Rules { ordered: false, ..rules });
    assert_eq!(any.take(&[frame(1, 0), frame(2, 0)], &source(1)).lost, []);
    assert_eq!(any.take(&[frame(2, 1)], &source(1)).lost, [(id(1), Lost::TooLarge)]);
    assert_eq!((any.open(), any.open_bytes()), (1, 1_000));
    assert_eq!(any.change_rules(rules), [(id(2), Lost::RulesChanged)]);
    assert_eq!(any.change_rules(rules), []);
}

#[test]
fn the_rules_are_those_of_op_node() {
    let [bedrock, fjord, granite, holocene] =
        [Fork::Bedrock, Fork::Fjord, Fork::Granite, Fork::Holocene].map(Rules::of);
    assert_eq!((bedrock.timeout_blocks, fjord.timeout_blocks), (300, 300));
    assert_eq!((granite.timeout_blocks, holocene.timeout_blocks), (50, 50));
    assert_eq!((bedrock.channel_bytes_max, fjord.channel_bytes_max), (10_000_000, 100_000_000));
    assert_eq!((bedrock.brotli, fjord.brotli), (false, true));
    assert_eq!([bedrock, fjord, granite, holocene].map(|rules| rules.ordered), [false, false, false, true]);
}

#[test]
fn random_channels_come_back_from_shuffled_payloads() {
    for seed in 0..30 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut sent: Vec<(ChannelId, Vec<u8>)> = Vec::new();
        let mut all: Vec<Vec<u8>> = Vec::new();
        for _ in 0..rng.random_range(1..6) {
            let (id, len) = (rng.random(), rng.random_range(1..2_000));
            let data: Vec<u8> = (0..len).map(|_| rng.random()).collect();
            all.extend(frames(id, &data, rng.random_range(50..400)));
            sent.push((ChannelId(id), data));
        }
        all.shuffle(&mut rng);
        let mut channels = Channels::new(Rules::of(Fork::Fjord));
        let mut got = Vec::new();
        for (block, some) in (1..).zip(all.chunks(3)) {
            let bytes = payload(some);
            let taken = channels.take(&crate::inbox::frame::parse(&bytes).unwrap(), &source(block));
            assert_eq!((taken.dropped, taken.lost), (vec![], vec![]));
            got.extend(taken.ready.into_iter().map(|channel| {
                assert!(channel.parts.iter().all(|part| part.source.l1_block <= block));
                (channel.id, channel.parts.into_iter().flat_map(|part| part.data).collect::<Vec<u8>>())
            }));
        }
        got.sort();
        sent.sort();
        assert_eq!(got, sent);
        assert_eq!((channels.open(), channels.open_bytes()), (0, 0));
    }
}
