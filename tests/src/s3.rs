//! A real server of S3 over a folder, which checks every signature, and a wire to it that tells what goes by.

#![expect(clippy::panic, reason = "a test that cannot go on says why and stops")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tributary_indexer::s3::{S3Credentials, S3Options};

/// The key that the server knows.
pub const KEY_ID: &str = "the-key";
/// The secret of that key.
pub const SECRET: &str = "the-secret";

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
#[derive(Debug)]
pub struct S3Server {
    child: Child,
    url: String,
    _stdout: BufReader<ChildStdout>,
}

impl S3Server {
    /// Starts it on a port the system chooses, and returns once it listens.
    ///
    /// # Panics
    /// When it is not installed, or ends at once.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
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
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let url = loop {
            let mut line = String::new();
            let read = stdout.read_line(&mut line).expect("a pipe is read");
            assert!(read > 0, "the server ended before it listened");
            if let Some((_, url)) = line.split_once("server is running at ") {
                break url.trim().to_owned();
            }
        };
        Self { child, url, _stdout: stdout }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How it is reached with a key.
    ///
    /// # Panics
    /// Never: the server's own URL is one.
    #[must_use]
    pub fn options(&self, key_id: &str, secret: &str) -> S3Options {
        let (key_id, secret) = (key_id.to_owned(), secret.to_owned());
        S3Options {
            endpoint: Some(self.url.parse().expect("the server names its URL")),
            region: "us-east-1".to_owned(),
            credentials: Some(S3Credentials { key_id, secret, session_token: None }),
        }
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // Either fails only when the process is gone already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A wire to a server: bytes pass as they are, so signatures stay right. It keeps the first line of every request, and can
/// hold back those that read an object whose name has a part in it. Dropping it cuts every connection.
#[derive(Debug)]
pub struct Wire {
    url: String,
    seen: Arc<Seen>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Seen {
    hold: Option<&'static str>,
    requests: Mutex<Vec<String>>,
    held: Notify,
}

impl Wire {
    /// A wire to the server at a URL of loopback.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn to(server: &S3Server, hold: Option<&'static str>) -> std::io::Result<Self> {
        let there = server.url().trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let seen = Arc::new(Seen { hold, requests: Mutex::default(), held: Notify::new() });
        let (mut tasks, shared) = (JoinSet::new(), Arc::clone(&seen));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                connections.spawn(pass(near, there.clone(), Arc::clone(&shared)));
            }
        });
        Ok(Self { url, seen, _tasks: tasks })
    }

    /// Its own end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every request so far, as `METHOD /bucket/object?query`.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a request is held back.
    pub async fn held(&self) {
        self.seen.held.notified().await;
    }
}

/// Passes bytes both ways until either end is closed.
async fn pass(near: TcpStream, there: String, seen: Arc<Seen>) {
    let Ok(far) = TcpStream::connect(there).await else { return };
    let ((mut from_near, mut to_near), (mut from_far, mut to_far)) = (near.into_split(), far.into_split());
    let up = async {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from_near.read(&mut buffer).await {
            seen.look(&buffer[..count]).await;
            if to_far.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = up => {}
        _ = tokio::io::copy(&mut from_far, &mut to_near) => {}
    }
}

impl Seen {
    /// Keeps the first line of a request; does not return for one that is held.
    async fn look(&self, bytes: &[u8]) {
        // A client sends a request's head in one piece, after it has read the answer to the one before.
        let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let Some(line) = std::str::from_utf8(line).ok().and_then(|line| line.strip_suffix(" HTTP/1.1")) else { return };
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
        if line.starts_with("GET ") && self.hold.is_some_and(|part| line.contains(part)) {
            self.held.notify_one();
            std::future::pending::<()>().await;
        }
    }
}
