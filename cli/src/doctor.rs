//! `tributary doctor`: looks at everything a run will need, and says how to mend what will not do.

mod certificates;

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;
use serde_json::json;
use tributary_indexer::endpoint::EndpointOptions;
use tributary_indexer::probe::{self, Finding, Outcome};
use tributary_indexer::{Clock, Contracts};
use tributary_store::{Generations, Lake, Snapshot, StoreError, Tail, free_bytes};
use url::Url;

use crate::arguments::Doctor;
use crate::config::{Api, Config, Loaded};
use crate::environment::SystemClock;
use crate::failure::{Exit, Failure};
use crate::{init, node, output, serving};

/// Looks, prints, and fails with the exit code of the first check that failed.
pub(crate) async fn doctor(loaded: Result<Arc<Loaded>, Failure>, arguments: &Doctor) -> Result<ExitCode, Failure> {
    let findings = match loaded {
        Ok(loaded) => look(&loaded.config, arguments).await,
        Err(failure) => vec![unread(&failure)],
    };
    let failed = || findings.iter().filter(|(_, finding)| finding.outcome == Outcome::Failed);
    let count = failed().count();
    if arguments.json {
        let checks: Vec<&Finding> = findings.iter().map(|(_, finding)| finding).collect();
        output::json(&json!({ "healthy": count == 0, "checks": checks }))?;
    } else {
        output::result(&findings.iter().map(|(_, finding)| words(finding)).collect::<Vec<_>>().join("\n"));
    }
    let Some((exit, first)) = failed().next() else { return Ok(ExitCode::SUCCESS) };
    Err(Failure::new(
        *exit,
        anyhow!("{count} of {} checks failed; the first: {}: {}", findings.len(), first.check, first.seen),
    ))
}

/// A finding for a person: one line when it will do, and what to do about it when it will not.
fn words(finding: &Finding) -> String {
    let Finding { check, seen, expected, mend, outcome } = finding;
    match outcome {
        Outcome::Ok => format!("ok       {check}: {seen}"),
        Outcome::Skipped => format!("skipped  {check}: {seen}"),
        Outcome::Failed => format!("failed   {check}: {seen}\n         expected {expected}\n         to mend: {mend}"),
    }
}

/// Every check, in the order of the configuration, with the exit code it fails with.
async fn look(config: &Config, arguments: &Doctor) -> Vec<(Exit, Finding)> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let options = probe::patience();
    let mut found = Findings::default();
    found.add(Exit::Configuration, [filled(config)]);
    found.add(Exit::Store, [writable(config), room(config), lock(config), published(config).await]);
    let mut l2 = found.urls("chain.l2_urls", &config.chain.l2_urls);
    if config.chain.l2_urls.is_empty() {
        let mend = "name at least one in the configuration file; `tributary init` writes one";
        found.add(Exit::Configuration, [Finding::failed("chain.l2_urls", "it is empty", "nodes of the L2", mend)]);
    } else if config.chain.chain_id == 0 {
        found.add(Exit::Unreachable, [Finding::skipped("chain.l2_urls", "which chain they should be of is not known")]);
        l2.clear();
    }
    let contracts = found.contracts(config);
    let proxy_urls = found.urls("eigenda.proxy_urls", &config.eigenda.proxy_urls);
    let (nodes, proxies) = tokio::join!(
        probe::nodes("chain.l2_urls", &l2, config.chain.chain_id, &options, &clock),
        probe::proxies("eigenda.proxy_urls", &proxy_urls, &options, &clock)
    );
    let contracts = probe::contracts(&nodes, &contracts, &options, &clock).await;
    let archive = archive(config, &nodes, &options, &clock).await;
    found.add(Exit::Unreachable, nodes.findings);
    found.add(Exit::Configuration, contracts);
    found.add(Exit::Unreachable, archive);
    found.add(Exit::Unreachable, proxies);
    if config.eigenda.proxy_urls.is_empty() {
        let why = "none are configured: every blob will be declared missing at its deadline";
        found.add(Exit::Unreachable, [Finding::skipped("eigenda.proxy_urls", why)]);
    }
    found.look_at_certificates(config, arguments, &proxy_urls, &options, &clock).await;
    found.add(Exit::Configuration, [tokens(config), listen(config, "api.listen", config.api.listen)]);
    found.beside(config);
    found.add(Exit::Configuration, [limits(config), keys(config)]);
    found.0
}

/// Whether nodes have the state that the mapping reads, if it reads any. A mapping that cannot be read is told elsewhere.
async fn archive(
    config: &Config,
    nodes: &probe::Nodes,
    options: &EndpointOptions,
    clock: &Arc<dyn Clock>,
) -> Option<Finding> {
    let mapping = node::indexer_config(config, None).ok()?.mapping().ok()?;
    let rules = mapping.reading_state().join(", ");
    if rules.is_empty() {
        return None;
    }
    Some(probe::archive(nodes, config.chain.start_block, &rules, options, clock).await)
}

/// What was found so far, each with the exit code it fails with.
#[derive(Debug, Default)]
struct Findings(Vec<(Exit, Finding)>);

impl Findings {
    fn add(&mut self, exit: Exit, findings: impl IntoIterator<Item = Finding>) {
        self.0.extend(findings.into_iter().map(|finding| (exit, finding)));
    }

    /// The URLs that can be asked; the others are findings.
    fn urls(&mut self, key: &str, texts: &[String]) -> Vec<Url> {
        let mut urls = Vec::new();
        for text in texts {
            match Url::parse(text) {
                Ok(_) if init::is_placeholder(text) => {
                    self.add(Exit::Configuration, [Finding::skipped(format!("{key} {text}"), "a placeholder")]);
                }
                Ok(url) => urls.push(url),
                Err(error) => {
                    let (check, mend) = (format!("{key} {text:?}"), format!("correct it in {key}"));
                    let finding = Finding::failed(check, error.to_string(), "a URL", mend);
                    self.add(Exit::Configuration, [finding]);
                }
            }
        }
        urls
    }

    /// The addresses that are served beside the first one; those that cannot be read are findings, too.
    fn beside(&mut self, config: &Config) {
        for (key, text) in serving::beside(&config.api) {
            let finding = match serving::address(key, text) {
                Ok(None) => continue,
                Ok(Some(address)) => listen(config, key, address),
                Err(error) => {
                    let mend = format!("correct {key}, or leave it empty to do without");
                    Finding::failed(format!("{key} {text:?}"), error.to_string(), "ADDRESS:PORT", mend)
                }
            };
            self.add(Exit::Configuration, [finding]);
        }
    }

    /// The contracts whose addresses can be read; the others are findings.
    fn contracts(&mut self, config: &Config) -> Contracts {
        let mut contracts = Contracts::new();
        for (role, texts) in node::roles(&config.contracts) {
            for text in texts {
                match text.parse() {
                    Ok(address) => {
                        contracts.entry(role.to_owned()).or_default().insert(address);
                    }
                    Err(_) => {
                        let (check, mend) = (format!("contracts.{role} {text:?}"), "correct the address");
                        let expected = "0x and 40 hexadecimal digits";
                        self.add(Exit::Configuration, [Finding::failed(check, "no address", expected, mend)]);
                    }
                }
            }
        }
        if node::roles(&config.contracts).iter().all(|(_, texts)| texts.is_empty()) {
            let why = "none are configured: registry facts only, and no money is settled";
            self.add(Exit::Configuration, [Finding::skipped("contracts", why)]);
        }
        contracts
    }
}

/// A configuration that cannot be read: nothing else can be looked at.
fn unread(failure: &Failure) -> (Exit, Finding) {
    let mend = "correct it, or write a new one with `tributary init`";
    let finding = Finding::failed("configuration", format!("{:#}", failure.error), "a configuration that reads", mend);
    (failure.exit, finding)
}

fn filled(config: &Config) -> Finding {
    let expected = "a configuration without placeholders";
    let left = init::placeholders(config);
    if left.is_empty() {
        return Finding::ok("configuration", format!("reads; chain {}", config.chain.chain_id), expected);
    }
    Finding::failed("configuration", left.join(", "), expected, "write the real values in their place")
}

/// Writes a file into the data folder, or into the nearest folder above it that is there, and takes it away again.
fn writable(config: &Config) -> Finding {
    let dir = &config.storage.data_dir;
    let (check, expected) = ("data folder", "a folder that can be written");
    let there = dir.ancestors().find(|folder| folder.try_exists().unwrap_or(false) || folder.as_os_str().is_empty());
    let folder = there.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| std::path::Path::new("."));
    let probe = folder.join(format!(".tributary-doctor-{}", std::process::id()));
    let written = std::fs::OpenOptions::new().write(true).create_new(true).open(&probe).and_then(|mut file| {
        let written = std::io::Write::write_all(&mut file, b"doctor");
        std::fs::remove_file(&probe).and(written)
    });
    match written {
        Ok(()) if folder == dir => Finding::ok(check, format!("{} can be written", dir.display()), expected),
        Ok(()) => Finding::ok(check, format!("{} is not there and will be made", dir.display()), expected),
        Err(error) => {
            let seen = format!("writing into {}: {error}", folder.display());
            Finding::failed(
                check,
                seen,
                expected,
                "name another folder in storage.data_dir, or give this user the right to write",
            )
        }
    }
}

/// Whether the disk of the data folder has room to take anything in.
fn room(config: &Config) -> Finding {
    let storage = &config.storage;
    let (check, expected) = ("free space", format!("at least {} free", bytes(storage.min_free_bytes)));
    match free_bytes(&storage.data_dir) {
        Ok(free) if free >= storage.min_free_bytes => Finding::ok(check, format!("{} free", bytes(free)), expected),
        Ok(free) => {
            let seen = format!("{} free on the disk of {}", bytes(free), storage.data_dir.display());
            let mend = "free some, name a folder on another disk in storage.data_dir, or lower storage.min_free_bytes";
            Finding::failed(check, seen, expected, mend)
        }
        Err(error) => Finding::skipped(check, format!("the file system does not say: {error}")),
    }
}

/// A number of bytes for a person, in the largest unit of which there is one.
fn bytes(count: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units.into_iter().find(|(_, shift)| count >> shift > 0);
    unit.map_or_else(|| format!("{count} bytes"), |(unit, shift)| format!("{} {unit}", count >> shift))
}

/// Who follows into the data folder, whichever generation.
fn holder(config: &Config) -> Result<Option<String>, StoreError> {
    let all = Generations::new(&config.storage.data_dir).list()?;
    let holders = all.iter().map(|one| Tail::holder(&one.folder)).collect::<Result<Vec<_>, _>>()?;
    match holders.into_iter().flatten().next() {
        Some(holder) => Ok(Some(holder)),
        None => Tail::holder(&config.storage.data_dir),
    }
}

fn lock(config: &Config) -> Finding {
    let (check, expected) = ("data folder lock", "at most one follower");
    match holder(config) {
        Ok(None) => Finding::ok(check, "free", expected),
        Ok(Some(holder)) => Finding::ok(check, format!("held by {holder}; another `run` would be refused"), expected),
        Err(error) => Finding::failed(check, error.to_string(), expected, "see who owns the file LOCK in the folder"),
    }
}

/// Whether what is published in the folder can be read, and is of the chain and the epochs that are configured.
async fn published(config: &Config) -> Finding {
    let check = "published tables";
    let dir = &match Generations::new(&config.storage.data_dir).current() {
        Ok(current) => current.folder,
        Err(error) => {
            let mend = "name in generation.json one that `tributary generation list` gives";
            return Finding::failed(check, format!("{:#}", anyhow!(error)), "a file that can be read", mend);
        }
    };
    if !dir.join("snapshots").try_exists().unwrap_or(false) {
        return Finding::skipped(check, "nothing is published yet");
    }
    let latest = match Lake::open(dir).await {
        Ok(lake) => lake.latest().await,
        Err(error) => Err(error),
    };
    let expected = terms(config.chain.chain_id, config.settlement.epoch_origin, config.settlement.epoch_seconds);
    match latest {
        Ok(None) => Finding::skipped(check, "nothing is published yet"),
        Ok(Some(snapshot)) => judge(check, &snapshot, expected),
        Err(error) => {
            let mend = "run `tributary verify store`, and follow into a new folder when it cannot be read";
            Finding::failed(check, format!("{:#}", anyhow!(error)), expected, mend)
        }
    }
}

fn judge(check: &str, snapshot: &Snapshot, expected: String) -> Finding {
    let heads = &snapshot.heads;
    let seen = terms(heads.chain_id, heads.epoch_origin, heads.epoch_seconds);
    if seen == expected {
        let seen = format!("snapshot {}, sealed to block {}; {seen}", snapshot.version, heads.block_number);
        return Finding::ok(check, seen, expected);
    }
    Finding::failed(check, seen, expected, "configure what the folder was begun with, or name another storage.data_dir")
}

fn terms(chain_id: u64, epoch_origin: u64, epoch_seconds: u64) -> String {
    format!("chain {chain_id}, epochs of {epoch_seconds} s from {epoch_origin}")
}

fn tokens(config: &Config) -> Finding {
    let tokens = &config.api.tokens;
    let (check, expected) = ("api.tokens", "ADDRESS:SYMBOL:DECIMALS");
    match tokens.iter().find_map(|text| serving::token(text).err()) {
        None => Finding::ok(check, format!("{} named", tokens.len()), expected),
        Some(error) => Finding::failed(check, format!("{error:#}"), expected, "correct it"),
    }
}

fn listen(config: &Config, key: &str, address: SocketAddr) -> Finding {
    let (check, expected) = (format!("{key} {address}"), "an address to serve on");
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok(check, "free", expected),
        // A node that runs serves there.
        Err(error) if matches!(holder(config), Ok(Some(_))) => {
            Finding::ok(check, format!("{error}: most likely the follower that holds the data folder"), expected)
        }
        Err(error) => {
            Finding::failed(check, error.to_string(), expected, "name another address, or port 0 for a free one")
        }
    }
}

/// Whether the rest of the section, and that of queries, are such that a server would start with them.
fn limits(config: &Config) -> Finding {
    let (check, expected) = ("api, sql", "limits above zero, and documents and proxies that can be read");
    // What has a finding of its own is left out.
    let mut rest = Api { tokens: Vec::new(), ..config.api.clone() };
    for address in [&mut rest.admin_listen, &mut rest.flight_listen, &mut rest.postgres_listen] {
        address.clear();
    }
    match serving::api_config(&rest).and_then(|api| serving::with_sql(api, config)) {
        Ok(_) => Finding::ok(check, "a server would start with it", expected),
        Err(error) => Finding::failed(check, format!("{error:#}"), expected, "correct it"),
    }
}

/// Whether the API keys can be read: where they cannot, whoever brings one is turned away.
fn keys(config: &Config) -> Finding {
    let (check, expected) = ("API keys", "no keys.json, or one that can be read");
    let open = !config.api.postgres_listen.is_empty();
    match tributary_api::keys::read(&config.storage.data_dir) {
        Ok(keys) => {
            let used = keys.iter().filter(|key| !key.revoked).count();
            let trusted =
                if used == 0 && open { ": whoever is on this machine may use api.postgres_listen" } else { "" };
            Finding::ok(check, format!("{used} in use{trusted}"), expected)
        }
        Err(error) => {
            let mend =
                "give this user the right to read it, or remove it and make new keys with `tributary key create`";
            Finding::failed(check, error.to_string(), expected, mend)
        }
    }
}
