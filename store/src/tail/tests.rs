use super::*;

pub(super) fn block(number: u64, parent: B256, fork: u8) -> BlockRef {
    let hash = alloy_primitives::keccak256([&number.to_be_bytes()[..], &parent[..], &[fork]].concat());
    BlockRef { number, hash, parent_hash: parent, timestamp: 2 * number }
}

#[test]
fn blocks_are_appended_unwound_and_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let tail = Tail::open(dir.path(), TailOptions::default()).unwrap();
    assert_eq!(tail.head(), None);
    let first = block(10, B256::ZERO, 0);
    let second = block(11, first.hash, 0);
    let write = |key: &[u8], value: &[u8]| (key.to_vec(), Some(value.to_vec()));
    let large = vec![7; 100_000];
    tail.append(vec![
        TailBlock { block: first, body: b"one".to_vec(), writes: vec![write(b"a", b"1"), write(b"b", &large)] },
        TailBlock { block: second, body: large.clone(), writes: vec![write(b"a", b"2"), (b"b".to_vec(), None)] },
    ])
    .unwrap();
    assert_eq!(tail.get(b"a").unwrap().unwrap(), b"2");
    assert_eq!(tail.get(b"b").unwrap(), None);
    assert_eq!(tail.body(11).unwrap().unwrap(), large);
    tail.put_side(b"blob", b"verified").unwrap();
    assert!(matches!(Tail::open(dir.path(), TailOptions::default()), Err(StoreError::Locked { .. })));

    assert_eq!(tail.unwind(10).unwrap(), vec![second]);
    assert_eq!(tail.get(b"a").unwrap().unwrap(), b"1");
    assert_eq!(tail.get(b"b").unwrap().unwrap(), large);
    assert_eq!(tail.head(), Some(first));
    tail.seal(first, vec![write(b"z", b"9")]).unwrap();
    drop(tail);

    let tail = Tail::open(dir.path(), TailOptions::default()).unwrap();
    assert_eq!(tail.rebuilt(), None);
    assert_eq!((tail.head(), tail.sealed(), tail.block(10).unwrap()), (Some(first), Some(first), Some(first)));
    assert_eq!(tail.body(10).unwrap(), None);
    assert_eq!(tail.get_side(b"blob").unwrap().unwrap(), b"verified");
    assert_eq!(tail.scan(b"").unwrap().len(), 3);
    assert!(matches!(tail.unwind(9), Err(StoreError::BelowSealed { to: 9, sealed: 10 })));
    assert!(matches!(
        tail.append(vec![TailBlock { block: block(11, B256::ZERO, 1), body: vec![], writes: vec![] }]),
        Err(StoreError::NotNext { got_number: 11, .. })
    ));
}
