use super::*;
use crate::tail::{Tail, TailBlock, TailOptions};
use alloy_primitives::keccak256;

fn block(number: u64, parent: B256, fork: u8) -> BlockRef {
    let hash = keccak256([&number.to_be_bytes()[..], &parent[..], &[fork]].concat());
    BlockRef { number, hash, parent_hash: parent, timestamp: 2 * number }
}

/// Blocks after `parent`, whose bodies say their number and fork.
fn chain(after: Option<&BlockRef>, count: u64, fork: u8) -> Vec<TailBlock> {
    let (mut number, mut parent) = after.map_or((0, B256::ZERO), |block| (block.number, block.hash));
    (0..count)
        .map(|_| {
            number += 1;
            let block = block(number, parent, fork);
            parent = block.hash;
            TailBlock { block, body: [vec![fork; 700], number.to_be_bytes().to_vec()].concat(), writes: Vec::new() }
        })
        .collect()
}

fn head(block: &BlockRef) -> HeldHead {
    HeldHead { number: block.number, hash: block.hash }
}

fn open(dir: &std::path::Path) -> Tail {
    // Segments of a few blocks, so that they go while they are read.
    Tail::open(dir, TailOptions { segment_bytes: 2_000, ..TailOptions::default() }).unwrap()
}

fn read(held: &Held) -> Vec<(BlockRef, Vec<u8>)> {
    held.bodies().map(|one| one.map(|(block, body)| (*block, body)).unwrap()).collect()
}

#[test]
fn what_is_held_stays_as_it_was_whatever_comes() {
    let dir = tempfile::tempdir().unwrap();
    let tail = open(dir.path());
    let blocks = chain(None, 20, 1);
    for one in &blocks {
        tail.append(vec![one.clone()]).unwrap();
    }
    tail.seal(blocks[4].block, Vec::new()).unwrap();
    let held = tail.hold(head(&blocks[4].block), None).unwrap();
    // A reorg, a seal past all of it, and the segments gone.
    tail.unwind(15).unwrap();
    let other = chain(Some(&blocks[14].block), 8, 2);
    for one in &other {
        tail.append(vec![one.clone()]).unwrap();
    }
    tail.seal(other[7].block, Vec::new()).unwrap();
    let expected: Vec<_> = blocks[5..].iter().map(|one| (one.block, one.body.clone())).collect();
    assert_eq!(read(&held), expected);
    assert_eq!(held.head(), head(&blocks[19].block));
    let none = tail.hold(head(&other[7].block), None).unwrap();
    assert_eq!((read(&none), none.head()), (Vec::new(), head(&other[7].block)));
}

#[test]
fn blocks_join_one_that_the_tail_has_and_go_up_to_one_that_it_still_has() {
    let dir = tempfile::tempdir().unwrap();
    let tail = open(dir.path());
    let blocks = chain(None, 10, 1);
    let refused = |above: &BlockRef, upto: Option<&BlockRef>| match tail.hold(head(above), upto.map(head)) {
        Err(StoreError::NotJoined { number, reason, .. }) => {
            assert_eq!(number, above.number);
            reason
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&blocks[0].block, None), "the tail has no block yet");
    tail.append(blocks.clone()).unwrap();
    // Above one that is published and not sealed in the tail yet, too.
    assert_eq!(read(&tail.hold(head(&blocks[2].block), None).unwrap()).len(), 7);
    tail.seal(blocks[3].block, Vec::new()).unwrap();
    assert_eq!(refused(&blocks[2].block, None), "blocks up to 4 were sealed meanwhile");
    assert_eq!(read(&tail.hold(head(&blocks[6].block), None).unwrap()).len(), 3);
    let upto = tail.hold(head(&blocks[3].block), Some(head(&blocks[7].block))).unwrap();
    assert_eq!((read(&upto).len(), upto.head()), (4, head(&blocks[7].block)));
    let unknown = block(30, B256::ZERO, 1);
    assert_eq!(refused(&unknown, None), "the tail has come to block 10 so far");
    let other = block(6, blocks[4].block.hash, 9);
    assert!(refused(&other, None).contains("the tail has 0x"));
    tail.unwind(7).unwrap();
    assert!(refused(&blocks[3].block, Some(&blocks[7].block)).ends_with("was taken back since"));
    tail.append(chain(Some(&blocks[6].block), 2, 2)).unwrap();
    assert!(refused(&blocks[3].block, Some(&blocks[7].block)).ends_with("was taken back since"));
}

#[test]
fn more_blocks_than_are_held_at_a_time_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let tail = open(dir.path());
    let first = block(1, B256::ZERO, 1);
    tail.append(vec![TailBlock { block: first, body: Vec::new(), writes: Vec::new() }]).unwrap();
    let (mut parent, mut more) = (first, Vec::new());
    for number in 2..=HELD_BLOCKS_MAX + 2 {
        parent = block(number, parent.hash, 1);
        more.push(TailBlock { block: parent, body: Vec::new(), writes: Vec::new() });
    }
    tail.append(more).unwrap();
    match tail.hold(head(&first), None) {
        Err(StoreError::TailTooLong { number: 1, blocks, limit }) => assert_eq!(blocks, limit + 1),
        other => panic!("{:?}", other.map(|held| held.head())),
    }
    assert_eq!(read(&tail.hold(head(&parent), None).unwrap()).len(), 0);
}

#[test]
fn a_flipped_bit_is_found_when_the_body_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let tail = open(dir.path());
    let blocks = chain(None, 2, 1);
    tail.append(blocks.clone()).unwrap();
    let held = tail.hold(head(&blocks[0].block), None).unwrap();
    let folder = dir.path().join("segments");
    let name = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().file_name();
    let mut bytes = std::fs::read(folder.join(&name)).unwrap();
    let at = bytes.len() / 2 + 20;
    bytes[at] ^= 1;
    std::fs::write(folder.join(name), bytes).unwrap();
    let found = held.bodies().next().unwrap();
    assert!(matches!(found, Err(StoreError::TailDamaged { .. })), "{found:?}");
}
