//! A bucket of S3 as a source of blobs: read with signed requests off a real server that checks them, and what that
//! server refuses is understood.

use alloy_primitives::{B256, keccak256};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tributary_indexer::blob::{BlobSource as _, Judge, Lack, NotFound, Proxies, Reference};
use tributary_indexer::clock::ManualClock;
use tributary_indexer::s3::{S3Credentials, S3Options};

const KEY_ID: &str = "the-key";
const SECRET: &str = "the-secret";

/// The server that `tests/install.sh` installs, or the one that `TESTS_S3` names.
#[expect(clippy::disallowed_methods, reason = "a test harness has no configuration but the environment")]
fn binary() -> PathBuf {
    let cache = || match std::env::var("XDG_CACHE_HOME") {
        Ok(cache) => PathBuf::from(cache),
        Err(_) => PathBuf::from(std::env::var("HOME").unwrap_or_default()).join(".cache"),
    };
    std::env::var("TESTS_S3").map_or_else(|_| cache().join("tributary/s3/bin/s3s-fs"), PathBuf::from)
}

/// A running server of S3 over a folder whose folders are the buckets; killed when dropped.
struct Server {
    child: Child,
    url: String,
    _stdout: BufReader<std::process::ChildStdout>,
}

impl Server {
    /// Starts it on a port the system chooses, and returns once it listens.
    fn start(folder: &Path) -> Self {
        let binary = binary();
        let mut child = Command::new(&binary)
            .args(["--host", "127.0.0.1", "--port", "0", "--access-key", KEY_ID, "--secret-key", SECRET])
            .arg(folder)
            .env("RUST_LOG", "s3s_fs=info")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}: tests/install.sh installs it", binary.display()));
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let url = loop {
            let mut line = String::new();
            assert!(stdout.read_line(&mut line).unwrap() > 0, "the server ended before it listened");
            if let Some((_, url)) = line.split_once("server is running at ") {
                break url.trim().to_owned();
            }
        };
        Self { child, url, _stdout: stdout }
    }

    fn options(&self, key_id: &str, secret: &str) -> S3Options {
        let (key_id, secret) = (key_id.to_owned(), secret.to_owned());
        S3Options {
            endpoint: Some(self.url.parse().unwrap()),
            region: "us-east-1".to_owned(),
            credentials: Some(S3Credentials { key_id, secret, session_token: None }),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Either fails only when the process is gone already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

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
    let server = Server::start(folder.path());
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
    let server = Server::start(folder.path());
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
    let refused = fetch(&format!("{}/copies", server.url), &S3Options::default(), hash).await.unwrap_err();
    assert!(refused.lack == Lack::Trouble && refused.reason.contains("status 403"), "{}", refused.reason);
}
