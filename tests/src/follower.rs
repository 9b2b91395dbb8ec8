//! `tributary run` as a process beside a test: configured, waited for, asked over GraphQL, killed and started again.

#![expect(clippy::panic, reason = "a test that cannot go on says why and stops")]

use alloy::primitives::Address;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tributary_devnet::{Devnet, DevnetConfig, L2_CHAIN_ID};

use crate::program::binary;
use crate::suite::Suite;

/// How often a state that comes by itself is asked for, and how many times before the test gives up.
const ASK_EVERY: Duration = Duration::from_millis(100);
const ASK_TIMES: u32 = 600;

/// A running follower. Dropped, it is killed.
#[derive(Debug)]
pub struct Follower {
    child: Child,
    url: String,
    admin: Option<String>,
    heard: Vec<String>,
    said: Receiver<String>,
    http: reqwest::Client,
    data: PathBuf,
}

/// Writes the configuration of a follower of `suite`'s chain.
///
/// # Errors
/// When the file cannot be written.
pub fn configure(
    folder: &Path,
    chain_id: u64,
    l2_url: &str,
    proxy_url: &str,
    suite: &Suite,
    epoch: (u64, u64),
) -> std::io::Result<PathBuf> {
    let contracts = [
        suite.datanets.address(),
        suite.models.address(),
        suite.agents.address(),
        suite.hub.address(),
        suite.vault.address(),
    ];
    let chain = format!("chain_id = {chain_id}\nstart_block = {}\nl2_urls = [{l2_url:?}]", suite.first_block);
    written(folder, &chain, proxy_url, contracts, epoch)
}

/// Writes the configuration of a follower of an embedded chain, with epochs of a minute; `more` are keys beside the least
/// that it needs, or in the place of these.
///
/// # Errors
/// When the file cannot be written, or `more` is no TOML.
pub fn configure_devnet(folder: &Path, devnet: &Devnet, more: &str) -> std::io::Result<PathBuf> {
    let known = devnet.contracts();
    let contracts = [
        &known.datanet_registry,
        &known.model_registry,
        &known.agent_registry,
        &known.attribution_hub,
        &known.reward_vault,
    ];
    let chain = format!("chain_id = {L2_CHAIN_ID}\nl2_urls = [{:?}]", devnet.l2_http());
    let epoch = (DevnetConfig::default().genesis_time, 60);
    let config = written(folder, &chain, &devnet.proxy_url(), contracts, epoch)?;
    reconfigure(&config, more)?;
    Ok(config)
}

/// Adds keys to a configuration, in the place of those that are there.
///
/// # Errors
/// When the file cannot be read and written, or `more` is no TOML.
pub fn reconfigure(config: &Path, more: &str) -> std::io::Result<()> {
    let read = |text: &str| text.parse::<toml::Table>().map_err(std::io::Error::other);
    let mut table = read(&std::fs::read_to_string(config)?)?;
    merge(&mut table, read(more)?);
    std::fs::write(config, table.to_string())
}

fn merge(into: &mut toml::Table, more: toml::Table) {
    for (key, value) in more {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(into)), toml::Value::Table(more)) => merge(into, more),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

/// The least that a follower needs; contracts are registries of datasets, models and agents, hub and vault.
fn written(
    folder: &Path,
    chain: &str,
    proxy_url: &str,
    contracts: [&Address; 5],
    epoch: (u64, u64),
) -> std::io::Result<PathBuf> {
    let [datanets, models, agents, hub, vault] = contracts;
    let (origin, seconds) = epoch;
    let text = format!(
        "[chain]\n{chain}\npoll_interval_ms = 20\n[eigenda]\nproxy_urls = [{proxy_url:?}]\n\
         [contracts]\ndatanet_registry = [\"{datanets}\"]\nmodel_registry = [\"{models}\"]\n\
         agent_registry = [\"{agents}\"]\nattribution_hub = [\"{hub}\"]\nreward_vault = [\"{vault}\"]\n\
         [storage]\ndata_dir = {:?}\nmin_free_bytes = 0\n\
         [settlement]\nepoch_origin = {origin}\nepoch_seconds = {seconds}\n[api]\nlisten = \"127.0.0.1:0\"\n",
        folder.join("data"),
    );
    let file = folder.join("tributary.toml");
    std::fs::write(&file, text)?;
    Ok(file)
}

impl Follower {
    /// Starts it and returns once it serves.
    ///
    /// # Panics
    /// When it ends before it serves: then with what it said.
    #[must_use]
    pub fn start(config: &Path) -> Self {
        Self::of(&binary(), config)
    }

    /// Starts this binary and returns once it serves.
    ///
    /// # Panics
    /// When it ends before it serves: then with what it said.
    #[must_use]
    pub fn of(binary: &Path, config: &Path) -> Self {
        let mut child = Command::new(binary)
            .args(["run", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tests/run builds the program first");
        let (sender, said) = channel();
        let lines = BufReader::new(child.stderr.take().expect("standard error is piped"));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let (mut heard, mut admin) = (Vec::new(), None);
        let url = loop {
            let line = said.recv().unwrap_or_else(|_| panic!("the follower ended: {}", heard.join("\n")));
            let address = |end| line.split_whitespace().find(|word| word.starts_with("http://") && word.ends_with(end));
            if let Some(address) = address("/graphql") {
                break address.to_owned();
            }
            admin = admin.or_else(|| address("/metrics").map(str::to_owned));
            heard.push(line);
        };
        let data = config.parent().map(|folder| folder.join("data")).unwrap_or_default();
        Self { child, url, admin, heard, said, http: reqwest::Client::new(), data }
    }

    /// Where GraphQL is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it serves something else that its configuration has an address for, by the name it calls that.
    ///
    /// # Panics
    /// When it did not say so.
    #[must_use]
    pub fn address(&self, name: &str) -> std::net::SocketAddr {
        let said = self.heard.iter().find_map(|line| line.strip_prefix(name)?.trim().rsplit('/').next()?.parse().ok());
        said.unwrap_or_else(|| panic!("no address of {name}: {:?}", self.heard))
    }

    /// Number of its process.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// A figure of its metrics; `None` where it is not there.
    ///
    /// # Panics
    /// When its configuration has no `api.admin_listen`, or it does not answer.
    pub async fn metric(&self, name: &str) -> Option<u64> {
        let admin = self.admin.as_ref().expect("the configuration has an address for operators");
        let answer = self.http.get(admin).send().await.expect("metrics are answered");
        let text = answer.text().await.expect("metrics are text");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok())
    }

    /// Kills it at once, as a crash would.
    pub fn kill(mut self) {
        end(&mut self.child);
    }

    /// Asks a query and gives its data.
    ///
    /// # Panics
    /// When it is not answered, or with errors.
    pub async fn ask(&self, query: &str) -> Value {
        self.ask_with(query, &Value::Null).await
    }

    /// Asks with variables.
    ///
    /// # Panics
    /// When there is no answer, or one with errors.
    pub async fn ask_with(&self, query: &str, variables: &Value) -> Value {
        let answer = self.try_ask(query, variables).await;
        answer.unwrap_or_else(|error| panic!("{query} {variables}: {error}\n{}", self.heard()))
    }

    async fn try_ask(&self, query: &str, variables: &Value) -> Result<Value, String> {
        let request = self.http.post(&self.url).json(&json!({ "query": query, "variables": variables }));
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let mut body: Value = answer.json().await.map_err(|error| error.to_string())?;
        if body["errors"].is_null() { Ok(body["data"].take()) } else { Err(body["errors"].to_string()) }
    }

    /// Asks until the answer is as wanted.
    ///
    /// # Panics
    /// When it never is: then with the last answer and what the follower said.
    pub async fn wait(&self, query: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Err("never asked".to_owned());
        for _ in 0..ASK_TIMES {
            last = self.try_ask(query, &Value::Null).await;
            if let Ok(data) = &last
                && wanted(data)
            {
                return data.clone();
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        panic!("{query} never gave what was wanted; last: {last:?}\n{}", self.heard());
    }

    /// Waits until this block is indexed, sealed or not.
    ///
    /// # Panics
    /// When it never is.
    pub async fn indexed(&self, number: u64) {
        let mut last = None;
        for _ in 0..ASK_TIMES {
            // Asked of the data folder: nothing is published before the first block is final.
            let status = tributary_store::read_status(&self.data).ok().flatten();
            last = status.and_then(|status| status.indexed).map(|block| block.number);
            if last.is_some_and(|at| at >= number) {
                return;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        panic!("block {number} was never indexed; last: {last:?}\n{}", self.heard());
    }

    /// Waits until this block is sealed.
    pub async fn sealed(&self, number: u64) {
        let query = "{ status { sealed { number } } }";
        self.wait(query, |data| data["status"]["sealed"]["number"].as_u64().is_some_and(|at| at >= number)).await;
    }

    /// Waits until it says that it waits, in these words; all that it says then.
    ///
    /// # Panics
    /// When it never does.
    pub async fn waits(&self, words: &str) -> String {
        let mut last = None;
        for _ in 0..ASK_TIMES {
            last = tributary_store::read_status(&self.data).ok().flatten();
            let waiting = last.as_ref().map(|status| status.waiting.join("; ")).unwrap_or_default();
            if waiting.contains(words) {
                return waiting;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        panic!("it never waited for {words:?}; last: {last:?}\n{}", self.heard());
    }

    fn heard(&self) -> String {
        self.said.try_iter().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Kills and reaps. Either fails only when the process is gone already, which is what is wanted.
fn end(child: &mut Child) {
    drop(child.kill());
    drop(child.wait());
}
