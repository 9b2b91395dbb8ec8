//! A real chain for a test: Anvil on a free loopback port, stopped when dropped.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use alloy::providers::{DynProvider, Provider, ProviderBuilder};

/// Why there is no chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnvilError {
    /// The binary is not where the test tools are installed.
    #[error(
        "no anvil below {searched}: run tests/run, which installs it (or tests/install-node.sh, or set TESTS_ANVIL)"
    )]
    NotInstalled {
        /// The folder that was searched.
        searched: String,
    },
    /// The binary could not be started.
    #[error("starting {binary}")]
    Start {
        /// The binary.
        binary: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The process ended, or fell silent, before it said where it listens.
    #[error("anvil ended before it listened; it said: {said}")]
    Ended {
        /// Standard output and standard error so far.
        said: String,
    },
}

/// A running Anvil. Dropping it ends the process.
#[derive(Debug)]
pub struct Anvil {
    child: Child,
    /// Where it keeps old states. In its own folder in the home they would stay behind when it is killed.
    _states: tempfile::TempDir,
    http_url: String,
    ws_url: String,
}

impl Anvil {
    /// Starts Anvil with `args` on a port the system chooses, and returns once it listens.
    ///
    /// Its first accounts are funded and unlocked, so a transaction needs a `from` and no key.
    pub fn start(args: &[&str]) -> Result<Self, AnvilError> {
        let binary = find_binary()?;
        let start = |source| AnvilError::Start { binary: binary.display().to_string(), source };
        let states = tempfile::tempdir().map_err(start)?;
        let mut child = Command::new(&binary)
            .args(["--host", "127.0.0.1", "--port", "0", "--cache-path"])
            .arg(states.path())
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(start)?;
        match listening_at(&mut child) {
            Ok(at) => {
                Ok(Self { child, _states: states, http_url: format!("http://{at}"), ws_url: format!("ws://{at}") })
            }
            Err(error) => {
                end(&mut child);
                Err(error)
            }
        }
    }

    /// Starts Anvil as Tributary's L2: OP Stack rules, chain id 1612.
    pub fn start_l2(args: &[&str]) -> Result<Self, AnvilError> {
        let all: Vec<&str> = ["--network", "optimism", "--chain-id", "1612"].iter().chain(args).copied().collect();
        Self::start(&all)
    }

    /// Where JSON-RPC is served over HTTP.
    #[must_use]
    pub fn http_url(&self) -> &str {
        &self.http_url
    }

    /// Where JSON-RPC is served over WebSocket.
    #[must_use]
    pub fn ws_url(&self) -> &str {
        &self.ws_url
    }

    /// The process id, for tests that stop or watch it.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// A client over HTTP that leaves nonce, gas and signature to the node.
    #[must_use]
    pub fn provider(&self) -> DynProvider {
        let url = self.http_url.parse().expect("the url was put together from a socket address");
        let provider = ProviderBuilder::new().disable_recommended_fillers().connect_http(url);
        provider.client().set_poll_interval(Duration::from_millis(20));
        provider.erased()
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Kills and reaps. Either fails only when the process is gone already, which is what is wanted.
fn end(child: &mut Child) {
    drop(child.kill());
    drop(child.wait());
}

/// The binary named by `TESTS_ANVIL`, or the one in the platform package that npm installed.
fn find_binary() -> Result<PathBuf, AnvilError> {
    match named_binary() {
        Some(named) => Ok(named.into()),
        None => find_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("node/node_modules/@foundry-rs")),
    }
}

fn find_below(scope: &Path) -> Result<PathBuf, AnvilError> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(scope)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin").join(format!("anvil{}", std::env::consts::EXE_SUFFIX)))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.into_iter().next().ok_or_else(|| AnvilError::NotInstalled { searched: scope.display().to_string() })
}

#[expect(clippy::disallowed_methods, reason = "a test harness has no configuration but the environment")]
fn named_binary() -> Option<OsString> {
    std::env::var("TESTS_ANVIL").ok().filter(|path| !path.is_empty()).map(OsString::from)
}

/// Reads until Anvil says where it listens, then keeps both pipes empty: a full one would stop it.
fn listening_at(child: &mut Child) -> Result<String, AnvilError> {
    let mut said = String::new();
    let mut found = None;
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout);
        while found.is_none() {
            let mut line = String::new();
            if !matches!(lines.read_line(&mut line), Ok(read) if read > 0) {
                break;
            }
            found = line.trim().strip_prefix("Listening on ").map(str::to_owned);
            said.push_str(&line);
        }
        if found.is_some() {
            drain(lines);
        }
    }
    match (found, child.stderr.take()) {
        (Some(at), stderr) => {
            stderr.into_iter().for_each(drain);
            Ok(at)
        }
        (None, stderr) => {
            if let Some(mut stderr) = stderr {
                // What cannot be read is left out of a message that is about something else.
                drop(stderr.read_to_string(&mut said));
            }
            Err(AnvilError::Ended { said })
        }
    }
}

/// Throws away what the process says, until it ends.
fn drain<R: Read + Send + 'static>(mut pipe: R) {
    std::thread::spawn(move || {
        drop(std::io::copy(&mut pipe, &mut std::io::sink()));
    });
}

#[cfg(test)]
mod tests {
    use super::{Anvil, find_below};

    #[test]
    fn a_missing_binary_is_an_error_that_names_the_test_command() {
        let empty = tempfile::tempdir().unwrap();
        let message = find_below(empty.path()).unwrap_err().to_string();
        assert!(message.contains("tests/run"), "{message}");
    }

    #[test]
    fn a_chain_that_cannot_start_says_why() {
        let error = Anvil::start(&["--no-such-option"]).unwrap_err().to_string();
        assert!(error.contains("--no-such-option"), "{error}");
    }

    #[test]
    fn two_chains_have_two_ports() {
        let (one, other) = (Anvil::start(&[]).unwrap(), Anvil::start(&[]).unwrap());
        assert_ne!(one.http_url(), other.http_url());
        assert_eq!(one.http_url().replace("http", "ws"), one.ws_url());
    }
}
