//! The program as a process: how the tests run `tributary`.

#![expect(clippy::panic, reason = "a test that cannot go on says why and stops")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The `tributary` binary that was built beside this test.
#[must_use]
pub fn binary() -> PathBuf {
    built("tributary")
}

/// A binary that was built beside this test.
#[must_use]
pub fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    let folder = test.ancestors().find(|folder| folder.join(name).is_file());
    folder
        .map(|folder| folder.join(name))
        .unwrap_or_else(|| PathBuf::from(format!("{name}-is-not-built-run-tests-run")))
}

/// A command of the program, with an environment of its own.
#[must_use]
pub fn tributary(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).env_remove("TRIBUTARY_CONFIG").stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub fn run(arguments: &[&str]) -> std::io::Result<Output> {
    tributary(arguments).output()
}

/// Runs it to its end, expects exit code 0 and one JSON object on standard output.
///
/// # Panics
/// When it ends otherwise: then with what it said.
#[must_use]
pub fn json(arguments: &[&str]) -> Value {
    let output = run(arguments).expect("tests/run builds the program first");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tributary {arguments:?} ended with {}:\n{said}", output.status);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "tributary {arguments:?} printed no JSON ({error}):\n{}\n{said}",
            String::from_utf8_lossy(&output.stdout)
        )
    })
}

/// Follows to a block by this configuration, and settles.
///
/// # Panics
/// When it fails: then with what it said.
pub fn follow(config: impl AsRef<Path>, last: u64) {
    let config = config.as_ref().display().to_string();
    let output = run(&["run", "--config", &config, "--until-block", &last.to_string()]);
    let output = output.expect("tests/run builds the program first");
    assert!(output.status.success(), "{}", said(&output));
}

/// Rows of a query.
///
/// # Panics
/// When it is not answered: then with what was said.
#[must_use]
pub fn rows(config: impl AsRef<Path>, query: &str) -> Vec<Value> {
    let config = config.as_ref().display().to_string();
    let rows = json(&["sql", "--json", "--config", &config, "--rows-max", "100000", query]);
    rows.as_array().unwrap_or_else(|| panic!("no list of rows: {rows}")).clone()
}

/// All that a process said.
#[must_use]
pub fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

/// Arguments of a demo that runs to its end.
#[must_use]
pub fn demo(seed: u64, blocks: u64, faults: &str, data_dir: &Path) -> Vec<String> {
    let mut arguments: Vec<String> = ["demo", "--once", "--json", "--seed"].map(str::to_owned).to_vec();
    arguments.extend([seed.to_string(), "--blocks".to_owned(), blocks.to_string()]);
    if !faults.is_empty() {
        arguments.extend(["--faults".to_owned(), faults.to_owned()]);
    }
    arguments.extend(["--data-dir".to_owned(), data_dir.display().to_string()]);
    arguments
}

/// Runs such a demo and gives what it printed.
#[must_use]
pub fn run_demo(seed: u64, blocks: u64, faults: &str, data_dir: &Path) -> Value {
    let arguments = demo(seed, blocks, faults, data_dir);
    json(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Starts such a demo without waiting.
///
/// # Errors
/// When the process cannot be started.
pub fn start_demo(seed: u64, blocks: u64, faults: &str, data_dir: &Path) -> std::io::Result<Child> {
    let arguments = demo(seed, blocks, faults, data_dir);
    Command::new(binary()).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

/// A process that serves until it is stopped.
#[derive(Debug)]
pub struct Served {
    process: Child,
    said: std::io::Lines<std::io::BufReader<std::process::ChildStderr>>,
    /// Where it serves, with a slash at the end.
    pub url: String,
    /// Where operators ask, with a slash at the end; empty where they cannot.
    pub admin: String,
    /// Where Flight SQL is served, as a URL; empty where it is not.
    pub flight: String,
    /// Where PostgreSQL's protocol is spoken, as `address:port`; empty where it is not.
    pub postgres: String,
}

/// Starts a demo that goes on serving, and waits until it says where.
///
/// # Errors
/// When the process cannot be started or ends before it serves.
pub fn serve_demo(seed: u64, blocks: u64, faults: &str, data_dir: &Path) -> std::io::Result<Served> {
    let arguments = demo(seed, blocks, faults, data_dir);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    serve(arguments.into_iter().filter(|one| !matches!(*one, "--once" | "--json")))
}

/// Starts a node by a configuration file, and waits until it says where it serves.
///
/// # Errors
/// When the process cannot be started or ends before it serves.
pub fn serve_run(config: &Path) -> std::io::Result<Served> {
    serve(["run", "--config", &config.display().to_string()])
}

/// Starts the program with arguments by which it serves, and waits until it says where.
///
/// # Errors
/// When the process cannot be started or ends before it serves.
pub fn serve<'a>(arguments: impl IntoIterator<Item = &'a str>) -> std::io::Result<Served> {
    let mut process =
        tributary(&arguments.into_iter().collect::<Vec<_>>()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let stderr = process.stderr.take().ok_or_else(|| std::io::Error::other("it says nothing"))?;
    let mut said = std::io::BufRead::lines(std::io::BufReader::new(stderr));
    let [mut admin, mut flight, mut postgres] = [const { String::new() }; 3];
    while let Some(line) = said.next().transpose()? {
        if let Some(url) = line.strip_prefix("metrics") {
            admin = url.trim().trim_end_matches("metrics").to_owned();
        }
        for (what, found) in [("Flight SQL", &mut flight), ("PostgreSQL", &mut postgres)] {
            if let Some(address) = line.strip_prefix(what) {
                address.trim().clone_into(found);
            }
        }
        if let Some(url) = line.strip_prefix("dashboard") {
            return Ok(Served { process, url: url.trim().to_owned(), admin, flight, postgres, said });
        }
    }
    Err(std::io::Error::other("it ended before it served"))
}

impl Served {
    /// Waits until it says that everything is settled.
    ///
    /// # Panics
    /// When it ends before.
    pub fn until_settled(&mut self) {
        let settled = self.said.by_ref().map_while(Result::ok).any(|line| line.starts_with("everything is settled"));
        assert!(settled, "the demo ended before everything was settled");
    }

    /// Stops it.
    pub fn stop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).map(drop).expect("it was started");
    }
}

/// Status and body of a GET over plain HTTP.
///
/// # Errors
/// When nothing answers there, or what answers is no HTTP.
pub fn get(url: &str, path: &str) -> std::io::Result<(u16, String)> {
    use std::io::{Read as _, Write as _};
    let host = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let mut stream = std::net::TcpStream::connect(host)?;
    write!(stream, "GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(|| std::io::Error::other(format!("{head:?} is no HTTP")))?, body.to_owned()))
}

impl Drop for Served {
    fn drop(&mut self) {
        // A test that failed leaves none behind.
        drop(self.process.kill().and_then(|()| self.process.wait()));
    }
}

/// What two runs of the same seed must agree on.
#[must_use]
pub fn roots(output: &Value) -> [Value; 3] {
    ["log_root", "merkle_root", "ledger_digest"].map(|key| output[key].clone())
}
