//! A bucket of S3 as a source of blobs: read with signed requests off a real server that checks them, and what that
//! server refuses is understood.

use alloy_primitives::{B256, keccak256};
use std::path::Path;
use std::sync::Arc;
use tributary_indexer::blob::{BlobSource as _, Judge, Lack, NotFound, Proxies, Reference};
use tributary_indexer::clock::ManualClock;
use tributary_indexer::s3::S3Options;
use tributary_tests::s3::{KEY_ID, S3Server, SECRET};

async fn fetch(url: &str, options: &S3Options, hash: B256) -> Result<(Vec<u8>, String), NotFound> {
    let buckets = Proxies::buckets(&[url.parse().unwrap()], options, Arc::new(ManualClock::at(0))).unwrap();
    let found = buckets.fetch(&Reference::Content(hash), None, &Judge::default()).await;
    found.map(|(found, place)| (found.bytes.unwrap(), place))
}

fn put(folder: &Path, bytes: &[u8]) -> B256 {
    let hash = keccak256(bytes);
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join(format!("{hash:x}")), bytes).unwrap();
    hash
}

#[tokio::test]
async fn a_bucket_is_read_with_signed_requests() {
    let folder = tempfile::tempdir().unwrap();
    let hash = put(&folder.path().join("copies/of proxies"), b"a batch");
    let server = S3Server::start(folder.path());
    let right = server.options(KEY_ID, SECRET);
    let (bytes, place) = fetch("s3://copies/of%20proxies", &right, hash).await.unwrap();
    assert_eq!((bytes.as_slice(), place.as_str()), (&b"a batch"[..], "s3://copies"));

    let absent = fetch("s3://copies/of%20proxies", &right, B256::ZERO).await.unwrap_err();
    assert!(absent.lack == Lack::Absent, "{}", absent.reason);
    let without = S3Options { credentials: None, ..right };
    let refused = Proxies::buckets(&["s3://copies".parse().unwrap()], &without, Arc::new(ManualClock::at(0)));
    assert!(refused.unwrap_err().to_string().contains("AWS_ACCESS_KEY_ID"));
}

#[tokio::test]
async fn a_wrong_key_is_named_and_says_nothing_of_the_blob() {
    let folder = tempfile::tempdir().unwrap();
    let hash = put(&folder.path().join("copies"), b"a batch");
    let server = S3Server::start(folder.path());
    let wrong = [
        (KEY_ID, "another", "the secret access key is not the one of the access key id"),
        ("nobody", SECRET, "nobody there knows the access key id"),
    ];
    for (key_id, secret, expected) in wrong {
        let refused = fetch("s3://copies", &server.options(key_id, secret), hash).await.unwrap_err();
        assert!(refused.lack == Lack::Trouble && refused.reason.contains(expected), "{}", refused.reason);
        assert!(!refused.reason.contains(secret), "{}", refused.reason);
    }
    // Without a signature the server refuses: so the signature was what opened it.
    let refused = fetch(&format!("{}/copies", server.url()), &S3Options::default(), hash).await.unwrap_err();
    assert!(refused.lack == Lack::Trouble && refused.reason.contains("status 403"), "{}", refused.reason);
}
