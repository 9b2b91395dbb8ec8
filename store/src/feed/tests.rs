use alloy_primitives::B256;

use super::{Feed, FeedEvent, FeedOptions, FeedReader, RECORD_BYTES, path};
use crate::tail::{BlockRef, Tail, TailBlock, TailOptions};

/// A block of a fork: the fork begins at block `since`.
fn block(number: u64, fork: u8, since: u64) -> BlockRef {
    let hash = |number: u64| {
        let fork = if number >= since { fork } else { 0 };
        B256::left_padding_from(&[&[fork][..], &number.to_be_bytes()].concat())
    };
    let parent_hash = number.checked_sub(1).map_or(B256::ZERO, hash);
    BlockRef { number, hash: hash(number), parent_hash, timestamp: number * 2 }
}

fn append(tail: &Tail, numbers: std::ops::RangeInclusive<u64>, fork: u8, since: u64) {
    let one = |number| TailBlock { block: block(number, fork, since), body: vec![], writes: vec![] };
    tail.append(numbers.map(one).collect()).unwrap();
}

/// Every record as a word: `+number/fork` or `-from..to`.
fn told(reader: &FeedReader) -> Vec<String> {
    let page = reader.read(0, 1_000).unwrap();
    let sequences: Vec<u64> = page.records.iter().map(|record| record.sequence).collect();
    assert_eq!(sequences, (1..reader.next().unwrap()).collect::<Vec<_>>());
    let word = |event| match event {
        FeedEvent::Added(block) => format!("+{}/{}", block.number, block.hash[23]),
        FeedEvent::Retracted { from, to, .. } => format!("-{from}..{to}"),
    };
    page.records.into_iter().map(|record| word(record.event)).collect()
}

#[test]
fn a_reorg_is_told_and_so_is_what_comes_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let reader = FeedReader::new(dir.path());
    assert_eq!((reader.next().unwrap(), reader.read(0, 9).unwrap().records), (1, vec![]));
    let tail = Tail::open(dir.path(), TailOptions::default()).unwrap();
    append(&tail, 0..=3, 0, 9);
    tail.unwind(1).unwrap();
    append(&tail, 2..=2, 7, 2);
    drop(tail);
    let tail = Tail::open(dir.path(), TailOptions::default()).unwrap();
    append(&tail, 3..=3, 7, 2);
    assert_eq!(told(&reader), ["+0/0", "+1/0", "+2/0", "+3/0", "-2..3", "+2/7", "+3/7"]);
    let page = reader.read(4, 2).unwrap();
    assert_eq!(page.records.first().map(|record| (record.sequence, record.event)), {
        Some((5, FeedEvent::Retracted { from: 2, to: 3, head: block(1, 0, 9).hash }))
    });
    assert_eq!(page.records.len(), 2);
}

#[test]
fn a_feed_that_lost_its_end_is_brought_into_step() {
    let dir = tempfile::tempdir().unwrap();
    let reader = FeedReader::new(dir.path());
    let tail = Tail::open(dir.path(), TailOptions::default()).unwrap();
    append(&tail, 0..=4, 0, 9);
    tail.seal(block(1, 0, 9), vec![]).unwrap();
    drop(tail);
    // Half of block 4 and all of block 3 did not reach the disk.
    let file = std::fs::OpenOptions::new().write(true).open(path(&dir.path().join("feed"), 1)).unwrap();
    file.set_len((3 * RECORD_BYTES + 50) as u64).unwrap();
    let tail = Tail::open(dir.path(), TailOptions::default()).unwrap();
    append(&tail, 5..=5, 0, 9);
    assert_eq!(told(&reader), ["+0/0", "+1/0", "+2/0", "+3/0", "+4/0", "+5/0"]);
    // What it says and the tail does not is taken back, down to what is sealed.
    tail.unwind(2).unwrap();
    drop(tail);
    file.set_len((6 * RECORD_BYTES) as u64).unwrap();
    let tail = Tail::open(dir.path(), TailOptions::default()).unwrap();
    append(&tail, 3..=3, 8, 3);
    assert_eq!(told(&reader)[6..], ["-2..5", "+2/0", "+3/8"]);
}

#[test]
fn old_records_go_and_a_reader_that_wants_them_is_told_which_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::open(dir.path(), FeedOptions { records: 4, files: 2 }).unwrap();
    let blocks: Vec<BlockRef> = (0..11).map(|number| block(number, 0, 99)).collect();
    feed.appended(&blocks, None, |number| Ok(blocks.get(usize::try_from(number).unwrap()).copied())).unwrap();
    let reader = FeedReader::new(dir.path());
    let gone = reader.read(2, 100).unwrap();
    assert_eq!((gone.oldest, gone.records), (5, vec![]));
    let sequences = |after| reader.read(after, 100).unwrap().records.iter().map(|one| one.sequence).collect::<Vec<_>>();
    assert_eq!(sequences(4), (5..=11).collect::<Vec<_>>());
    assert_eq!(sequences(9), [10, 11]);
    assert_eq!(sequences(11), Vec::<u64>::new());
}
