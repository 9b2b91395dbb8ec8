use super::*;

fn archive() -> (tempfile::TempDir, Archive) {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::open(dir.path()).unwrap();
    (dir, archive)
}

fn damaged<T: std::fmt::Debug>(got: Result<T, StoreError>, blob: B256) -> bool {
    matches!(got.unwrap_err(), StoreError::BlobDamaged { hash, got } if hash == blob && got != blob)
}

#[test]
fn a_blob_comes_back_by_its_hash_and_damage_is_noticed() {
    let (_dir, archive) = archive();
    let reader = &archive.reader;
    assert_eq!(archive.get(B256::ZERO).unwrap(), None);
    assert_eq!(archive.put(b"one").unwrap(), (keccak256(b"one"), true));
    assert_eq!(archive.put(b"one").unwrap(), (keccak256(b"one"), false));
    let (one, (none, _)) = (keccak256(b"one"), archive.put(b"").unwrap());
    assert_eq!(archive.get(one).unwrap().as_deref(), Some(b"one".as_slice()));
    assert_eq!(archive.get(none).unwrap().as_deref(), Some(b"".as_slice()));
    assert_eq!((reader.check(one).unwrap(), reader.check(B256::ZERO).unwrap()), (Some(3), None));
    assert!(archive.contains(one).unwrap() && !archive.contains(B256::ZERO).unwrap());

    for bytes in [b"0ne".as_slice(), b"", b"one "] {
        std::fs::write(reader.path(one), bytes).unwrap();
        assert!(damaged(archive.get(one), one) && damaged(reader.check(one), one), "{bytes:?}");
        assert_eq!(archive.put(b"one").unwrap(), (one, true), "a damaged copy is mended");
        assert_eq!(archive.get(one).unwrap().as_deref(), Some(b"one".as_slice()));
    }
}

#[test]
fn hashes_are_those_of_the_blobs_and_of_nothing_else() {
    let (dir, archive) = archive();
    let mut all: Vec<B256> = (0..40_u16).map(|i| archive.put(&i.to_be_bytes()).unwrap().0).collect();
    all.sort();
    let blobs = dir.path().join("blobs");
    let (one, other) = (format!("{:x}", all[0]), format!("{:x}", all[39]));
    std::fs::write(blobs.join("stranger"), b"").unwrap();
    std::fs::write(blobs.join(&one[..2]).join(".tmp-left"), b"").unwrap();
    std::fs::write(blobs.join(&one[..2]).join(&other), b"in a folder that is not its own").unwrap();
    std::fs::write(blobs.join(&one[..2]).join(format!("0x{one}")), b"").unwrap();
    let found: Vec<B256> = archive.reader.hashes().collect::<Result<_, _>>().unwrap();
    assert_eq!(found, all);
    assert_eq!(ArchiveReader::new(&dir.path().join("nowhere")).hashes().count(), 0);
    assert!(!dir.path().join("nowhere").try_exists().unwrap(), "reading makes nothing");
}

#[test]
fn a_file_longer_than_any_blob_is_refused_and_never_held() {
    let (_dir, archive) = archive();
    let (limit, reader) = (BLOB_BYTES_MAX, &archive.reader);
    let most = vec![7; limit];
    let (hash, _) = archive.put(&most).unwrap();
    assert!(archive.get(hash).unwrap() == Some(most));
    let more = vec![7; limit + 70_000];
    let of_more = keccak256(&more);
    assert!(matches!(archive.put(&more).unwrap_err(), StoreError::BlobTooLarge { limit: BLOB_BYTES_MAX }));
    std::fs::write(reader.path(hash), &more).unwrap();
    let got = archive.get(hash).unwrap_err();
    assert!(matches!(got, StoreError::BlobDamaged { got, .. } if got == of_more), "{got}");
    // Somebody else's file, under its own name: right, and still no blob.
    let foreign = reader.path(of_more);
    std::fs::create_dir_all(foreign.parent().unwrap()).unwrap();
    std::fs::rename(reader.path(hash), foreign).unwrap();
    assert!(matches!(archive.get(of_more).unwrap_err(), StoreError::BlobTooLarge { .. }));
}

#[test]
fn an_exported_file_is_whole_and_has_the_hash_as_its_name() {
    let (dir, archive) = archive();
    let (reader, out) = (&archive.reader, dir.path().join("out"));
    let (one, _) = archive.put(b"one").unwrap();
    let file = out.join(format!("{one}"));
    assert_eq!(reader.export(B256::ZERO, &out).unwrap(), None);
    assert_eq!(reader.export(one, &out).unwrap(), Some(3));
    std::fs::write(&file, b"half").unwrap();
    assert_eq!(reader.export(one, &out).unwrap(), Some(3), "a file that is something else is replaced");
    assert_eq!(std::fs::read(&file).unwrap(), b"one");
    let written = std::fs::metadata(&file).unwrap().modified().unwrap();
    assert_eq!(reader.export(one, &out).unwrap(), Some(3));
    assert_eq!(std::fs::metadata(&file).unwrap().modified().unwrap(), written, "a right one is left alone");
    std::fs::remove_file(&file).unwrap();
    std::fs::write(reader.path(one), b"0ne").unwrap();
    assert!(damaged(reader.export(one, &out), one) && !file.try_exists().unwrap());
}
