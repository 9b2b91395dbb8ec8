//! Worlds from seeds: whatever the order in which the two chains are read, however often reading begins again, and
//! whatever L1 was taken for before, the rows are those of the postings that were made.

mod service;
mod world;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::fold::{Fate, Fold, Resolved};
use super::l1::L1Block;
use super::reader::Reader;
use crate::clock::ManualClock;
use alloy_primitives::B256;
use world::{ORIGIN, WINDOW, World};

fn reader(world: &World) -> Reader {
    Reader::new(Arc::clone(&world.shelf) as _, Arc::new(ManualClock::at(0)), false)
}

fn fold_of(world: &World) -> Fold {
    Fold::new(B256::ZERO, &world.rollup, 1, None)
}

fn blocks(world: &World) -> Vec<L1Block> {
    world.l1_chain().iter().map(|block| L1Block::of(block, &world.rollup)).collect()
}

/// Reads both chains, in turns that the seed decides, beginning again from bytes now and then.
async fn read(world: &World, rng: &mut ChaCha8Rng, restarts: bool) -> (Fold, Vec<Resolved>) {
    let (mut reader, mut fold, mut out) = (reader(world), fold_of(world), Vec::new());
    let l1 = blocks(world);
    let (mut l1, mut l2) = (l1.iter().peekable(), world.l2.iter().peekable());
    let bias = rng.random_range(0.1..0.9);
    while l1.peek().is_some() || l2.peek().is_some() {
        if rng.random_bool(bias)
            && let Some(block) = l2.next()
        {
            fold.admit(&world.rollup, block.clone());
        } else if let Some(block) = l1.next() {
            assert_eq!(reader.feed(&mut fold, &world.rollup, block, false).await, None);
        }
        out.extend(fold.take_resolved().0);
        if restarts && rng.random_bool(0.1) {
            let kept = Fold::from_bytes(&fold.to_bytes().unwrap()).unwrap();
            let remembered = fold.remembered();
            fold = kept;
            world
                .l2
                .iter()
                .filter(|block| remembered.contains(&block.number))
                .for_each(|block| fold.remember(block.clone()));
        }
    }
    out.sort_by_key(|resolved| resolved.block.number);
    (fold, out)
}

fn check(world: &World, resolved: &[Resolved]) {
    let numbers: Vec<u64> = resolved.iter().map(|one| one.block.number).collect();
    assert_eq!(numbers, world.l2.iter().map(|block| block.number).collect::<Vec<_>>(), "every block once");
    for one in resolved {
        let number = one.block.number;
        assert_eq!(world.withheld.contains(&number), one.fate == Fate::NotAnchored, "block {number}");
        let Fate::Anchored(by) = &one.fate else { continue };
        let (last, form) = world.carried[&number];
        assert_eq!(by.parent, Some(true));
        assert!(!by.carriers.is_empty());
        for carrier in &by.carriers {
            assert_eq!(carrier.posted.form.as_str(), form);
            assert!(carrier.posted.l1_block <= last && carrier.posted.l1_block >= one.block.l1_origin);
            assert_eq!(carrier.posted.commitment.is_some(), matches!(form, "keccak" | "eigenda"));
            assert_eq!(carrier.posted.blob.is_some(), form == "blob");
            assert_eq!(carrier.posted.blob_key, carrier.posted.commitment);
        }
        assert!(by.carriers.windows(2).all(|pair| pair[0].frames.end() + 1 == *pair[1].frames.start()));
    }
}

#[tokio::test]
async fn the_order_in_which_the_chains_are_read_changes_nothing() {
    let mut withheld = 0;
    for seed in 0..12 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let world = World::new(&mut rng, 90);
        withheld += world.withheld.len();
        assert!(world.carried.len() > 20);
        let (fold, resolved) = read(&world, &mut rng, false).await;
        check(&world, &resolved);
        assert_eq!((fold.open(), fold.claims_waiting()), (0, 0));
        for _ in 0..4 {
            let (again, the_same) = read(&world, &mut rng, true).await;
            assert_eq!(the_same, resolved, "seed {seed}");
            assert_eq!(again.to_bytes().unwrap(), fold.to_bytes().unwrap(), "seed {seed}");
        }
    }
    assert!(withheld > 50);
}

/// The slow way: every channel of the batcher against the whole L2 at once.
#[tokio::test]
async fn the_fold_agrees_with_the_plain_comparison() {
    use crate::inbox::anchor::anchor;
    use crate::inbox::channel::{Channels, Rules};
    use crate::inbox::frame;
    for seed in 100..110 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let world = World::new(&mut rng, 90);
        let rules = Rules::of(world.rollup.forks.at(0));
        let (mut channels, mut taken, mut plain) = (Channels::new(rules), Default::default(), BTreeMap::new());
        let (mut fold, mut reader) = (fold_of(&world), reader(&world));
        for block in blocks(&world) {
            // The payloads, as the reader finds them.
            let mut probe = fold.clone();
            while let Some((index, posting)) = probe.next(&world.rollup, &block) {
                let l1_tx = block.transactions[index].hash;
                let read = reader.posting(&posting, &block.block, l1_tx).await;
                if let super::fold::Read::Payloads(payloads) = &read {
                    let frames = payloads
                        .iter()
                        .filter_map(|(payload, posted)| Some((frame::parse(payload).ok()?, posted.source())));
                    for channel in frames.flat_map(|(frames, source)| channels.take(&frames, &source).ready) {
                        let anchored = anchor(&channel, &rules, &world.rollup.terms, &world.l2, &mut taken);
                        anchored
                            .rows
                            .into_iter()
                            .for_each(|row| plain.entry(row.l2_block).or_insert_with(Vec::new).push(row));
                    }
                }
                probe.take(&world.rollup, &block, index, read);
            }
            assert_eq!(reader.feed(&mut fold, &world.rollup, &block, false).await, None);
        }
        world.l2.iter().for_each(|block| fold.admit(&world.rollup, block.clone()));
        for one in fold.take_resolved().0 {
            let rows = plain.remove(&one.block.number).unwrap_or_default();
            let Fate::Anchored(by) = one.fate else {
                assert!(rows.is_empty());
                continue;
            };
            let ours: Vec<_> = by.carriers.iter().map(|one| (one.posted.l1_tx, one.frames.clone())).collect();
            assert_eq!(ours, rows.iter().map(|row| (row.l1_tx, row.frames.clone())).collect::<Vec<_>>());
            assert!(rows.iter().all(|row| (row.channel, row.batch, row.kind) == (by.channel, by.index, by.kind)));
        }
        assert!(plain.is_empty(), "seed {seed}");
    }
}

#[tokio::test]
async fn a_window_is_over_when_it_is_over() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let world = World::new(&mut rng, 30);
    let (mut reader, mut fold) = (reader(&world), fold_of(&world));
    world.l2.iter().for_each(|block| fold.admit(&world.rollup, block.clone()));
    for block in blocks(&world) {
        // Nobody reads what was posted: all of it is sent elsewhere.
        let empty = L1Block { transactions: Vec::new(), ..block };
        assert_eq!(reader.feed(&mut fold, &world.rollup, &empty, false).await, None);
        let (resolved, forgotten) = fold.take_resolved();
        let number = empty.block.number;
        assert!(resolved.iter().all(|one| one.block.l1_origin + WINDOW + 1 == number && one.fate == Fate::NotAnchored));
        assert_eq!(forgotten, resolved.iter().map(|one| one.block.number).collect::<Vec<_>>());
    }
    assert_eq!(fold.open(), 0);
}

#[tokio::test]
async fn what_cannot_be_read_makes_its_window_unknown() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let world = World::new(&mut rng, 60);
    let l1 = blocks(&world);
    let read = |unread: u64| {
        let (world, l1) = (&world, &l1);
        async move {
            let (mut reader, mut fold) = (reader(world), fold_of(world));
            world.l2.iter().for_each(|block| fold.admit(&world.rollup, block.clone()));
            for block in l1 {
                while let Some((index, posting)) = fold.next(&world.rollup, block) {
                    let read = reader.posting(&posting, &block.block, block.transactions[index].hash).await;
                    let read = if block.block.number == unread { super::fold::Read::Unread } else { read };
                    fold.take(&world.rollup, block, index, read);
                }
                fold.close(&world.rollup, block);
            }
            fold.take_resolved().0
        }
    };
    // A block with a posting, by which some L2 blocks are carried.
    let lost = world.carried.values().map(|(l1, _)| *l1).nth(20).unwrap();
    let (whole, holed) = (read(0).await, read(lost).await);
    let fates = |resolved: &[Resolved]| -> BTreeMap<u64, Fate> {
        resolved.iter().map(|one| (one.block.number, one.fate.clone())).collect()
    };
    let (whole, holed) = (fates(&whole), fates(&holed));
    assert!(holed.values().any(|fate| *fate == Fate::Unknown));
    for (number, fate) in holed {
        let origin = world.l2[usize::try_from(number - 1).unwrap()].l1_origin;
        let sees = (origin..=origin + WINDOW).contains(&lost);
        match fate {
            Fate::Anchored(_) => assert_eq!(fate, whole[&number]),
            Fate::NotAnchored => assert!(!sees && whole[&number] == Fate::NotAnchored),
            Fate::Unknown => assert!(sees),
        }
    }
    assert!(lost > ORIGIN);
}
