use super::*;
use alloy_primitives::{B256, keccak256};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;

type State = BTreeMap<Vec<u8>, Vec<u8>>;

fn block(number: u64, parent: B256, fork: u32) -> BlockRef {
    let hash = keccak256([&number.to_be_bytes()[..], &parent[..], &fork.to_be_bytes()].concat());
    BlockRef { number, hash, parent_hash: parent, timestamp: 2 * number }
}

fn put(key: &[u8], value: &[u8]) -> Write {
    (key.to_vec(), Some(value.to_vec()))
}

fn small() -> TailOptions {
    TailOptions { cache_bytes: 4 << 20, segment_bytes: 20_000, compact_above_bytes: 1, ..TailOptions::default() }
}

fn open(dir: &Path) -> Tail {
    Tail::open(dir, small()).unwrap()
}

/// `count` blocks from number 1, each writing its number under `n` and a key of its own.
fn chain(count: u64) -> Vec<TailBlock> {
    let mut parent = B256::ZERO;
    (1..=count)
        .map(|number| {
            let block = block(number, parent, 0);
            parent = block.hash;
            let writes = vec![put(b"n", &number.to_be_bytes()), put(&number.to_be_bytes(), b"own")];
            TailBlock { block, body: vec![1; 1000], writes }
        })
        .collect()
}

#[test]
fn blocks_are_appended_unwound_and_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let tail = open(dir.path());
    assert_eq!(tail.head(), None);
    let first = block(10, B256::ZERO, 0);
    let second = block(11, first.hash, 0);
    let large = vec![7; 100_000];
    tail.append(vec![
        TailBlock { block: first, body: b"one".to_vec(), writes: vec![put(b"a", b"1"), put(b"b", &large)] },
        TailBlock { block: second, body: large.clone(), writes: vec![put(b"a", b"2"), (b"b".to_vec(), None)] },
    ])
    .unwrap();
    assert_eq!(tail.get(b"a").unwrap().unwrap(), b"2");
    assert_eq!(tail.get(b"b").unwrap(), None);
    assert_eq!(tail.body(11).unwrap().unwrap(), large);
    tail.put_side(b"blob", b"verified").unwrap();

    assert_eq!(tail.unwind(10).unwrap(), vec![second]);
    assert_eq!(tail.get(b"a").unwrap().unwrap(), b"1");
    assert_eq!(tail.get(b"b").unwrap().unwrap(), large);
    assert_eq!(tail.head(), Some(first));
    tail.seal(first, vec![put(b"z", b"9")]).unwrap();
    drop(tail);

    let tail = open(dir.path());
    assert_eq!(tail.rebuilt(), None);
    assert_eq!((tail.head(), tail.sealed(), tail.block(10).unwrap()), (Some(first), Some(first), Some(first)));
    assert_eq!(tail.body(10).unwrap(), None);
    assert_eq!(tail.get_side(b"blob").unwrap().unwrap(), b"verified");
    tail.del_side(b"blob").unwrap();
    assert_eq!(tail.scan_side(b"").unwrap(), vec![]);
    assert_eq!(tail.scan(b"").unwrap().len(), 3);
}

#[test]
fn what_does_not_follow_or_is_sealed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let tail = open(dir.path());
    let blocks = chain(5);
    tail.append(blocks.clone()).unwrap();
    tail.seal(blocks[2].block, vec![]).unwrap();
    let before = tail.scan(b"").unwrap();

    let next = |number, parent| vec![TailBlock { block: block(number, parent, 9), body: vec![], writes: vec![] }];
    for wrong in [next(6, B256::ZERO), next(7, blocks[4].block.hash), next(5, blocks[3].block.hash)] {
        let error = tail.append(wrong).unwrap_err();
        assert!(matches!(error, StoreError::NotNext { .. }), "{error}");
        assert_eq!(error.remedy(), crate::Remedy::Unwind);
    }
    let error = tail.unwind(2).unwrap_err();
    assert!(matches!(error, StoreError::BelowSealed { to: 2, sealed: 3 }), "{error}");
    for wrong in [block(4, B256::ZERO, 9), blocks[1].block, block(9, B256::ZERO, 0)] {
        let error = tail.seal(wrong, vec![]).unwrap_err();
        assert!(matches!(error, StoreError::NotSealable { .. }), "{error}");
    }
    let long = vec![TailBlock {
        block: block(6, blocks[4].block.hash, 0),
        body: vec![],
        writes: vec![put(b"fine", b""), put(&[0; KEY_BYTES_MAX + 1], b"")],
    }];
    assert!(matches!(tail.append(long), Err(StoreError::KeyTooLong { .. })));
    assert_eq!(tail.scan(b"").unwrap(), before);
    assert_eq!(tail.head(), Some(blocks[4].block));
    // What was refused leaves nothing behind that hinders the next.
    tail.append(next(6, blocks[4].block.hash)).unwrap();
    assert_eq!(tail.unwind(3).unwrap().len(), 3);
}

#[test]
fn a_second_follower_is_told_who_the_first_is() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Tail::holder(dir.path()).unwrap(), None);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "asking who holds the folder made a file");
    let tail = open(dir.path());
    let error = Tail::open(dir.path(), small()).unwrap_err();
    let us = format!("process {}", std::process::id());
    assert!(error.to_string().contains(&us), "{error}");
    assert_eq!(Tail::holder(dir.path()).unwrap(), Some(us));
    drop(tail);
    assert_eq!(Tail::holder(dir.path()).unwrap(), None);
    open(dir.path());
}

/// A chain with the state before each block: the obvious version.
struct Model {
    blocks: Vec<(TailBlock, State)>,
    state: State,
    sealed: Option<BlockRef>,
}

impl Model {
    fn head(&self) -> Option<BlockRef> {
        self.blocks.last().map(|(block, _)| block.block).or(self.sealed)
    }

    fn check(&self, tail: &Tail) {
        assert_eq!(tail.head(), self.head());
        assert_eq!(tail.sealed(), self.sealed);
        let pairs = self.state.iter().map(|(key, value)| (key.clone(), value.clone())).collect::<Vec<_>>();
        assert!(tail.scan(b"").unwrap() == pairs, "the state differs");
        for (block, _) in &self.blocks {
            assert_eq!(tail.block(block.block.number).unwrap(), Some(block.block));
            assert!(tail.body(block.block.number).unwrap().as_ref() == Some(&block.body));
        }
        for (key, value) in &self.state {
            assert!(tail.get(key).unwrap().as_ref() == Some(value));
        }
    }
}

fn bytes(rng: &mut ChaCha8Rng) -> Vec<u8> {
    // Around every size at which a value is held another way.
    let length = match rng.random_range(0..12) {
        0 => 0,
        1 => rng.random_range(4090..4100),
        2 => rng.random_range(8185..8200),
        3 => rng.random_range(10_000..40_000),
        _ => rng.random_range(1..60),
    };
    let first = rng.random();
    let mut out = vec![first; length];
    if let Some(last) = out.last_mut() {
        *last = rng.random();
    }
    out
}

fn write(rng: &mut ChaCha8Rng) -> Write {
    // Few keys, some of them prefixes of others, so that blocks meet.
    let key = vec![rng.random_range(0..3); rng.random_range(0..8)];
    (key, rng.random_bool(0.75).then(|| bytes(rng)))
}

fn apply(state: &mut State, writes: &[Write]) {
    for (key, value) in writes {
        match value {
            Some(value) => state.insert(key.clone(), value.clone()),
            None => state.remove(key),
        };
    }
}

fn random_world(seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let mut tail = open(dir.path());
    let mut model = Model { blocks: vec![], state: State::new(), sealed: None };
    for fork in 0..60 {
        match rng.random_range(0..10) {
            0..=4 => {
                let mut blocks = Vec::new();
                for _ in 0..rng.random_range(1..6) {
                    let (number, parent) = model.head().map_or((7, B256::ZERO), |head| (head.number + 1, head.hash));
                    let writes = (0..rng.random_range(0..12)).map(|_| write(&mut rng)).collect::<Vec<_>>();
                    let block = TailBlock { block: block(number, parent, fork), body: bytes(&mut rng), writes };
                    let before = model.state.clone();
                    apply(&mut model.state, &block.writes);
                    model.blocks.push((block.clone(), before));
                    blocks.push(block);
                }
                tail.append(blocks).unwrap();
            }
            5..=6 => {
                let depth = rng.random_range(0..=model.blocks.len());
                let to = model.head().map_or(0, |head| head.number - u64::try_from(depth).unwrap());
                let gone = model.blocks.split_off(model.blocks.len() - depth);
                if let Some((_, before)) = gone.first() {
                    model.state.clone_from(before);
                }
                let expected = gone.iter().rev().map(|(block, _)| block.block).collect::<Vec<_>>();
                assert_eq!(tail.unwind(to).unwrap(), expected);
            }
            7 if !model.blocks.is_empty() => {
                let upto = rng.random_range(0..model.blocks.len());
                let to = model.blocks[upto].0.block;
                // The keys of sealing are its own.
                let writes = vec![(vec![9, rng.random_range(0..3)], rng.random_bool(0.7).then(|| bytes(&mut rng)))];
                apply(&mut model.state, &writes);
                for (_, before) in &mut model.blocks {
                    apply(before, &writes);
                }
                model.blocks.drain(..=upto);
                model.sealed = Some(to);
                tail.seal(to, writes).unwrap();
            }
            _ => {
                drop(tail);
                disturb(&mut rng, dir.path());
                tail = open(dir.path());
                assert_eq!(tail.rebuilt(), None);
            }
        }
        model.check(&tail);
    }
}

/// What kills leave behind: torn ends of segments, segments nobody names, sled's and a compaction's unfinished files.
fn disturb(rng: &mut ChaCha8Rng, dir: &Path) {
    let segments = dir.join("segments");
    if let Some(last) = durable::names(&segments).unwrap().last() {
        let mut bytes = fs::read(segments.join(last)).unwrap();
        bytes.extend(vec![0xee; rng.random_range(0..5000)]);
        fs::write(segments.join(last), bytes).unwrap();
    }
    fs::write(segments.join("000000999999.seg"), b"torn").unwrap();
    fs::create_dir_all(dir.join("sled-000777")).unwrap();
    fs::write(dir.join("sled-000777").join("db"), b"half a copy").unwrap();
    let current = durable::names(dir).unwrap().into_iter().find(|name| name.starts_with("sled-")).unwrap();
    fs::write(dir.join(current).join("snap.0000000000ABCDEF.generating"), b"half").unwrap();
}

#[test]
fn random_worlds_agree_with_the_obvious_version() {
    for seed in 0..12 {
        random_world(seed);
    }
}

#[test]
fn deep_reorgs_are_files_and_batches() {
    let dir = tempfile::tempdir().unwrap();
    let tail = open(dir.path());
    let blocks = chain(3 * u64::try_from(UNWIND_BLOCKS).unwrap());
    let first = blocks[0].block;
    for some in blocks.chunks(500) {
        tail.append(some.to_vec()).unwrap();
    }
    assert!(durable::names(&dir.path().join("segments")).unwrap().len() > 10);
    assert_eq!(tail.unwind(1).unwrap().len(), blocks.len() - 1);
    assert_eq!(
        tail.scan(b"").unwrap(),
        vec![(1_u64.to_be_bytes().to_vec(), b"own".to_vec()), (b"n".to_vec(), 1_u64.to_be_bytes().to_vec())]
    );
    assert_eq!(tail.head(), Some(first));
    assert_eq!(tail.unwind(0).unwrap(), vec![first]);
    assert_eq!((tail.head(), tail.scan(b"").unwrap()), (None, vec![]));
    // Only the segment being appended to is left.
    assert_eq!(durable::names(&dir.path().join("segments")).unwrap().len(), 1);
}

#[test]
fn sealing_frees_segments_and_sled_is_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let tail = open(dir.path());
    for block in chain(400) {
        let to = block.block;
        tail.append(vec![block]).unwrap();
        tail.seal(to, vec![]).unwrap();
    }
    assert!(durable::names(&dir.path().join("segments")).unwrap().len() <= 2);
    let generations = durable::names(dir.path()).unwrap().into_iter().filter(|name| name.starts_with("sled-"));
    assert_eq!(generations.count(), 1);
    let before = tail.scan(b"").unwrap();
    assert_eq!(before.len(), 401);
    drop(tail);
    assert_ne!(fs::read_to_string(dir.path().join("CURRENT")).unwrap(), "0");
    assert_eq!(open(dir.path()).scan(b"").unwrap(), before);
}

/// Damages the folder of a tail.
type Harm = fn(&Path);

#[test]
fn damage_is_answered_by_an_empty_tail_that_can_be_filled_again() {
    let harm: [(&str, Harm); 4] = [
        ("sled is overwritten", |dir| {
            let sled = dir.join("sled-000000");
            let length = usize::try_from(fs::metadata(sled.join("db")).unwrap().len()).unwrap();
            fs::write(sled.join("db"), vec![0xff; length]).unwrap();
        }),
        ("sled is gone", |dir| fs::remove_dir_all(dir.join("sled-000000")).unwrap()),
        ("a segment is gone", |dir| {
            let name = durable::names(&dir.join("segments")).unwrap().remove(0);
            fs::remove_file(dir.join("segments").join(name)).unwrap();
        }),
        ("everything is gone", |dir| {
            fs::remove_dir_all(dir.join("segments")).unwrap();
            fs::remove_dir_all(dir.join("sled-000000")).unwrap();
        }),
    ];
    for (what, harm) in harm {
        let dir = tempfile::tempdir().unwrap();
        let options = TailOptions::default();
        let tail = Tail::open(dir.path(), options).unwrap();
        let blocks = chain(20);
        tail.append(blocks.clone()).unwrap();
        drop(tail);
        harm(dir.path());
        let tail = Tail::open(dir.path(), options).unwrap();
        assert_eq!((tail.head(), tail.scan(b"").unwrap()), (None, vec![]), "{what}");
        // Rebuilt from sealed tables in steps, then followed on.
        for block in &blocks[..10] {
            tail.seal(block.block, block.writes.clone()).unwrap();
        }
        tail.append(blocks[10..].to_vec()).unwrap();
        assert_eq!(tail.get(b"n").unwrap().unwrap(), 20_u64.to_be_bytes());
        tail.unwind(10).unwrap();
        assert_eq!(tail.get(b"n").unwrap().unwrap(), 10_u64.to_be_bytes());
    }
}

#[test]
fn a_flipped_bit_in_a_segment_is_damage_and_reset_is_its_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let tail = Tail::open(dir.path(), TailOptions::default()).unwrap();
    let blocks = chain(3);
    tail.append(blocks.clone()).unwrap();
    let segments = dir.path().join("segments");
    let path = segments.join(&durable::names(&segments).unwrap()[0]);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = tail.unwind(2).unwrap_err();
    assert!(matches!(error, StoreError::TailDamaged { .. }), "{error}");
    assert_eq!(error.remedy(), crate::Remedy::Unwind);
    tail.reset("a bit flipped").unwrap();
    assert_eq!(tail.rebuilt().as_deref(), Some("a bit flipped"));
    assert_eq!((tail.head(), tail.scan(b"").unwrap()), (None, vec![]));
    tail.append(blocks).unwrap();
    drop(tail);
    assert_eq!(Tail::open(dir.path(), TailOptions::default()).unwrap().head().unwrap().number, 3);
}
