//! Channels from frames by every set of rules, and what they decompress to. The first byte chooses the fork; then
//! come payloads, each after the L1 blocks since the one before (a byte) and its length (two bytes).
#![no_main]

use alloy_primitives::B256;
use libfuzzer_sys::fuzz_target;
use std::cmp::min;
use tributary_indexer::inbox::channel::{Channel, Channels, Fork, Rules, Source};
use tributary_indexer::inbox::compression::{StreamEnd, decompress};
use tributary_indexer::inbox::{batch, frame};

/// Bounds that inputs of a few kilobytes reach.
fn rules(byte: u8) -> Rules {
    let fork = [Fork::Bedrock, Fork::Fjord, Fork::Granite, Fork::Holocene][usize::from(byte & 3)];
    Rules { channel_bytes_max: 1 << 16, open_bytes_max: 1 << 12, ..Rules::of(fork) }
}

fuzz_target!(|data: &[u8]| {
    let [fork, rest @ ..] = data else { return };
    let mut rest = rest;
    let mut now = rules(*fork);
    let mut channels = Channels::new(now);
    let mut source = Source { l1_block: 1, l1_tx: B256::ZERO, commitment: None, blob: None };
    while let [step, high, low, more @ ..] = rest {
        let length = min(usize::from(u16::from_be_bytes([*high, *low])), more.len());
        let (payload, after) = more.split_at(length);
        rest = after;
        source.l1_block += u64::from(*step);
        if *step == 255 {
            now = rules(*low);
            channels.change_rules(now);
        }
        let Ok(frames) = frame::parse(payload) else { continue };
        let taken = channels.take(&frames, &source);
        assert!(taken.dropped.is_sorted_by(|left, right| left.0 < right.0));
        assert!(taken.dropped.iter().all(|(index, _)| *index < frames.len()));
        for channel in &taken.ready {
            assert!(!channel.parts.is_empty());
            read(channel, &now);
        }
        let most = if now.ordered { now.channel_bytes_max } else { now.open_bytes_max };
        assert!(channels.open_bytes() <= most, "{} bytes are open", channels.open_bytes());
        assert!(!now.ordered || channels.open() <= 1);
        assert!(channels.open() > 0 || channels.open_bytes() == 0);
    }
});

fn read(channel: &Channel, rules: &Rules) {
    let got = channel.decompress(rules);
    assert!(got.bytes.len() <= rules.channel_bytes_max);
    assert_eq!(got.ends.len(), channel.parts.len());
    assert!(got.ends.is_sorted() && got.ends.last() == Some(&got.bytes.len()));
    // How a channel was cut into frames says nothing about what it holds.
    let whole: Vec<u8> = channel.parts.iter().flat_map(|part| &part.data).copied().collect();
    let at_once = decompress(&[&whole], rules.channel_bytes_max, rules.brotli);
    let common = min(got.bytes.len(), at_once.bytes.len());
    assert_eq!(got.bytes[..common], at_once.bytes[..common]);
    if !matches!(got.end, StreamEnd::Corrupt { .. }) {
        assert_eq!((&got.bytes, &got.end), (&at_once.bytes, &at_once.end));
    }
    // A lower bound cuts off and changes nothing before.
    let half = got.bytes.len() / 2;
    let cut = decompress(&[&whole], half, rules.brotli);
    assert!(cut.bytes.len() <= half && at_once.bytes.starts_with(&cut.bytes));
    let contents = batch::split(&got.bytes);
    let mut last = 0;
    for (place, _) in &contents.batches {
        assert!(place.start == last && place.end > place.start && place.end <= got.bytes.len());
        let parts = got.parts_of(place);
        assert!(parts.start() <= parts.end() && *parts.end() < channel.parts.len(), "{parts:?}");
        last = place.end;
    }
    match contents.broken {
        Some((at, _)) => assert_eq!(at, last),
        None => assert_eq!(last, got.bytes.len()),
    }
}
