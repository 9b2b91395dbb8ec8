//! What is kept is one chain, whatever was taken back and wherever a crash cut.

use super::*;

fn block(number: u64, fork: u8) -> KeptBlock {
    let hash = |number: u64| B256::with_last_byte(u8::try_from(number).unwrap() ^ fork);
    let bytes = vec![u8::try_from(number).unwrap() ^ fork; usize::try_from(number % 7).unwrap() + 1];
    KeptBlock { number, hash: hash(number), parent_hash: hash(number.wrapping_sub(1) & 0x7f), bytes }
}

fn chain(numbers: std::ops::Range<u64>) -> Vec<KeptBlock> {
    numbers.map(|number| block(number, 0)).collect()
}

/// Numbers and bytes of what is kept of the first 40 blocks.
fn kept(blocks: &Blocks) -> Vec<(u64, Vec<u8>)> {
    let one = |number| blocks.read(number, number, usize::MAX).unwrap();
    (0..40).flat_map(one).map(|block| (block.number, block.bytes)).collect()
}

fn expected(chain: &[KeptBlock]) -> Vec<(u64, Vec<u8>)> {
    chain.iter().map(|block| (block.number, block.bytes.clone())).collect()
}

fn small(dir: &Path) -> Blocks {
    Blocks { file_bytes: 20, ..Blocks::new(dir) }
}

#[test]
fn blocks_are_read_as_they_were_written_over_many_files() {
    let dir = tempfile::tempdir().unwrap();
    let blocks = small(dir.path());
    assert_eq!(blocks.read(3, 9, usize::MAX).unwrap(), []);
    assert_eq!(blocks.first_absent(3, 30).unwrap(), Some(3));
    for some in chain(3..30).chunks(4) {
        blocks.append(some).unwrap();
    }
    let files = durable::names(&dir.path().join("blocks")).unwrap();
    assert!(files.len() > 4, "{files:?}");
    assert_eq!(kept(&blocks), expected(&chain(3..30)));
    assert_eq!(kept(&Blocks::new(dir.path())), expected(&chain(3..30)));
    assert_eq!(blocks.hash(29).unwrap(), Some(block(29, 0).hash));
    assert_eq!((blocks.first_absent(3, 29).unwrap(), blocks.first_absent(3, 30).unwrap()), (None, Some(30)));
    assert_eq!(blocks.first_absent(0, 5).unwrap(), Some(0));
    // As many as are asked for, or as fill the memory that is allowed, and never past a gap.
    let numbers = |first, last, bytes| {
        blocks.read(first, last, bytes).unwrap().iter().map(|block| block.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(5, 8, usize::MAX), [5, 6, 7, 8]);
    assert_eq!(numbers(5, 8, 7), [5, 6]);
    assert_eq!(numbers(28, 40, usize::MAX), [28, 29]);
}

#[test]
fn what_the_chain_takes_back_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let blocks = small(dir.path());
    blocks.append(&chain(3..20)).unwrap();
    blocks.unwind(9).unwrap();
    assert_eq!(kept(&blocks), expected(&chain(3..10)));
    // What follows is of another fork, and replaces what is there from its first block on.
    let mut fork = vec![KeptBlock { parent_hash: block(9, 0).hash, ..block(10, 0x80) }, block(11, 0x80)];
    fork[1].parent_hash = fork[0].hash;
    blocks.append(&fork).unwrap();
    blocks.append(&fork[1..]).unwrap();
    assert_eq!(kept(&blocks), [expected(&chain(3..10)), expected(&fork)].concat());
    blocks.unwind(0).unwrap();
    assert_eq!(kept(&blocks), []);
}

#[test]
fn a_gap_is_a_gap_and_what_does_not_follow_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let blocks = small(dir.path());
    blocks.append(&chain(3..6)).unwrap();
    blocks.append(&chain(8..10)).unwrap();
    assert_eq!(kept(&blocks), [expected(&chain(3..6)), expected(&chain(8..10))].concat());
    assert_eq!((blocks.first_absent(3, 9).unwrap(), blocks.first_absent(8, 9).unwrap()), (Some(6), None));
    let stranger = block(10, 0x80);
    blocks.append(std::slice::from_ref(&stranger)).unwrap();
    assert_eq!(kept(&blocks), expected(&[stranger]));
}

#[test]
fn what_is_kept_after_a_gap_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let blocks = small(dir.path());
    assert_eq!(blocks.first_kept(0, 40).unwrap(), None);
    blocks.append(&chain(3..6)).unwrap();
    blocks.append(&chain(8..30)).unwrap();
    for (range, expected) in [
        ((0, 40), Some(3)),
        ((0, 2), None),
        ((5, 40), Some(5)),
        ((6, 40), Some(8)),
        ((6, 7), None),
        ((29, 40), Some(29)),
        ((30, 40), None),
    ] {
        assert_eq!(blocks.first_kept(range.0, range.1).unwrap(), expected, "{range:?}");
    }
}

#[test]
fn the_oldest_give_way_where_room_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("blocks");
    let size = || {
        let sizes = durable::names(&folder).unwrap().into_iter().map(|name| std::fs::metadata(folder.join(name)));
        sizes.map(|file| file.unwrap().len()).sum::<u64>()
    };
    let heavy = |numbers| chain(numbers).into_iter().map(|block| KeptBlock { bytes: vec![1; 200], ..block });
    let heavy = |numbers| heavy(numbers).collect::<Vec<_>>();
    let blocks = Blocks::bounded(dir.path(), 10_000);
    for some in heavy(3..90).chunks(3) {
        blocks.append(some).unwrap();
        assert!(size() <= 10_000, "{}", size());
        // The newest are there, without a gap.
        let last = some[2].number;
        let first = blocks.first_kept(0, last).unwrap().unwrap();
        assert!(first <= some[0].number && blocks.first_absent(first, last).unwrap().is_none(), "{first} to {last}");
    }
    assert!(size() > 7_000 && blocks.read(3, 3, usize::MAX).unwrap().is_empty(), "{}", size());
    // A smaller bound holds from the next block on; without one nothing gives way.
    let blocks = Blocks::bounded(dir.path(), 3_000);
    blocks.append(&heavy(90..91)).unwrap();
    let first = blocks.first_kept(0, 90).unwrap();
    assert!(size() <= 3_000 && first < Some(90), "{first:?}, {}", size());
    Blocks::new(dir.path()).append(&heavy(100..110)).unwrap();
    assert_eq!(blocks.first_kept(0, 110).unwrap(), first);
    // What is appended at once is kept, whatever it takes.
    blocks.append(&heavy(110..127)).unwrap();
    assert!(size() > 3_000);
    assert_eq!((blocks.first_kept(0, 127).unwrap(), blocks.first_absent(110, 126).unwrap()), (Some(110), None));
}

#[test]
fn it_is_brought_into_step_with_the_tail() {
    let dir = tempfile::tempdir().unwrap();
    let blocks = small(dir.path());
    blocks.append(&chain(3..20)).unwrap();
    let head = |number, hash| Some(BlockRef { number, hash, parent_hash: B256::ZERO, timestamp: 0 });
    blocks.follow(None).unwrap();
    blocks.follow(head(25, B256::ZERO)).unwrap();
    assert_eq!(kept(&blocks), expected(&chain(3..20)));
    blocks.follow(head(12, block(12, 0).hash)).unwrap();
    assert_eq!(kept(&blocks), expected(&chain(3..13)));
    blocks.follow(head(12, B256::ZERO)).unwrap();
    assert_eq!(kept(&blocks), []);
}

#[test]
fn what_a_crash_or_a_disk_spoilt_is_as_never_kept() {
    let dir = tempfile::tempdir().unwrap();
    let blocks = Blocks::new(dir.path());
    blocks.append(&chain(3..6)).unwrap();
    let index = blocks.path(3, "idx");
    let length = std::fs::metadata(&index).unwrap().len();
    OpenOptions::new().write(true).open(&index).unwrap().set_len(length - 1).unwrap();
    assert_eq!(kept(&blocks), expected(&chain(3..5)));
    blocks.append(&chain(5..7)).unwrap();
    assert_eq!(kept(&blocks), expected(&chain(3..7)));
    let bytes = OpenOptions::new().write(true).open(blocks.path(3, "bin")).unwrap();
    bytes.write_all_at(&[0xff], 0).unwrap();
    assert_eq!(kept(&blocks), expected(&chain(4..7)));
    bytes.set_len(4).unwrap();
    assert_eq!(kept(&blocks), []);
}
