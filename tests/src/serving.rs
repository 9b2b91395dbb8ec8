//! The benchmark of serving: what wrk gets out of a running node's GraphQL, and what that takes from following.

#![expect(clippy::panic, reason = "a benchmark that cannot go on says why and stops")]

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tributary_devnet::{Devnet, DevnetConfig, Workload, demo_policy};

use crate::follower::{Follower, configure_devnet};
use crate::measure;

/// Seconds of an epoch.
const EPOCH: u64 = 120;
/// Accounts, and things of each kind, that are asked for in turn.
const ASKED: usize = 500;

/// How much.
#[derive(Debug, Clone)]
pub struct Load {
    /// Blocks before anything is asked.
    pub blocks: u64,
    /// Blocks that are followed while nobody asks, and as many while somebody does.
    pub followed: u64,
    /// Seconds of each measurement.
    pub seconds: u64,
    /// Connections of the measurements, one after another.
    pub connections: Vec<u32>,
    /// Memory for answers that are given again.
    pub kept_answers_mib: u64,
}

/// What is asked: one document, as clients keep them, with variables that take turns.
struct Question {
    name: &'static str,
    query: &'static str,
    variables: Vec<Value>,
}

/// Starts a node over an embedded chain and measures it, and tells a line for each question and number of connections,
/// and one for following.
///
/// # Panics
/// When a part of it fails, or an answer is not what was asked for.
pub async fn bench(binary: &Path, load: &Load, mut tell: impl FnMut(&Value)) {
    let workload = Workload {
        blocks: load.blocks + 2 * load.followed,
        policy: demo_policy(),
        hostile: false,
        ..Workload::default()
    };
    let config = DevnetConfig { certificates: false, finalized_lag: 8, workload, ..DevnetConfig::default() };
    let devnet = Devnet::start(config).await.expect("ports are free");
    devnet.mine_to(load.blocks);
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = configure_devnet(folder.path(), &devnet, &more(load)).expect("a file can be written");
    let node = Follower::of(binary, &file);
    node.sealed(devnet.finalized()).await;
    settled(&node).await;

    let questions = questions(&node).await;
    for question in &questions {
        let name = question.name;
        for connections in &load.connections {
            let script = folder.path().join(format!("{name}.lua"));
            std::fs::write(&script, lua(question)).expect("a file can be written");
            let before = reads(&node).await;
            let mut line = wrk(node.url(), &script, *connections, load.seconds);
            let asked = line["requests"].as_u64().unwrap_or_default();
            assert!(asked > 0 && line["failed"] == 0, "{name}: {line}");
            line["question"] = name.into();
            line["kept_answers_mib"] = load.kept_answers_mib.into();
            line["asked"] = question.variables.len().into();
            line["table_reads"] = (reads(&node).await - before).into();
            line["rss_mib"] = (measure::rss(node.process_id()) >> 20).into();
            line["peak_rss_mib"] = (measure::peak_rss(node.process_id()) >> 20).into();
            tell(&line);
        }
    }
    tell(&following(&devnet, &node, load, folder.path()).await);
}

/// Follows as many blocks with nobody asking as with sixteen connections that ask for accounts all the time.
async fn following(devnet: &Devnet, node: &Follower, load: &Load, folder: &Path) -> Value {
    let quiet = followed(devnet, node, load.blocks + load.followed).await;
    settled(node).await;
    let (url, script) = (node.url().to_owned(), folder.join("account.lua"));
    // More than it takes: it is ended when the blocks are there.
    let mut asking = wrk_command(&url, &script, 16, 3_600).stdout(std::process::Stdio::null()).spawn().expect("wrk");
    let busy = followed(devnet, node, load.blocks + 2 * load.followed).await;
    drop(asking.kill());
    drop(asking.wait());
    let blocks = std::cmp::max(load.followed, 1);
    json!({
        "question": "following",
        "kept_answers_mib": load.kept_answers_mib,
        "blocks": load.followed,
        "milliseconds_a_block": quiet.as_secs_f64() * 1_000.0 / blocks as f64,
        "milliseconds_a_block_while_asked": busy.as_secs_f64() * 1_000.0 / blocks as f64,
    })
}

/// Waits until every epoch that is over is settled.
async fn settled(node: &Follower) {
    let wanted = |data: &Value| {
        let of = |name: &str| data["status"][name].as_i64();
        of("settledEpoch").zip(of("openEpoch")).is_some_and(|(settled, open)| settled + 1 >= open)
    };
    node.wait("{ status { settledEpoch openEpoch } }", wanted).await;
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
async fn followed(devnet: &Devnet, node: &Follower, to: u64) -> Duration {
    let began = Instant::now();
    devnet.mine_to(to);
    node.sealed(devnet.finalized()).await;
    began.elapsed()
}

async fn reads(node: &Follower) -> u64 {
    node.metric("tributary_api_table_reads_total").await.unwrap_or_default()
}

/// Metrics, and more than a client may ask for.
fn more(load: &Load) -> String {
    format!(
        "[settlement]\nepoch_seconds = {EPOCH}\n[api]\nadmin_listen = \"127.0.0.1:0\"\nrate_units = 100000000\n\
         rate_window_seconds = 1\nkept_answers_mib = {}\n",
        load.kept_answers_mib,
    )
}

/// What an account earned, pages, where a model comes from, an account's statement.
const ACCOUNT: &str = "query ($of: Address!) { account(address: $of) { address payout entitlements { vault token \
     cumulative { raw } claimed { raw } claimable { raw } } } }";
const ACCOUNTS: &str = "query ($after: String) { accounts(first: 50, after: $after) { nodes { address payout quarantined } \
     pageInfo { endCursor hasNextPage } } }";
const PAYMENTS: &str = "query ($after: String) { payments(first: 50, after: $after) { nodes { id amount { raw } } \
     pageInfo { endCursor hasNextPage } } }";
const PROVENANCE: &str = "query ($of: ID!) { provenance(of: $of, depth: 2) { nodes { id kind label } edges { source \
     target } } }";
const STATEMENT: &str = "query ($of: Address!, $token: Address!, $epoch: Int!) { account(address: $of) { statement(token: \
     $token, from: $epoch, to: $epoch) { opening { raw } lines { epoch entry } closing { raw } } } }";

async fn questions(node: &Follower) -> Vec<Question> {
    let accounts = pages(node, ACCOUNTS, "accounts").await;
    let payments = pages(node, PAYMENTS, "payments").await;
    let found = node
        .ask(&format!(
            "{{ accounts(first: {ASKED}) {{ nodes {{ address entitlements {{ token epoch }} }} }} \
             models(first: {ASKED}) {{ nodes {{ id }} }} }}"
        ))
        .await;
    let known = found["accounts"]["nodes"].as_array().cloned().unwrap_or_default();
    let account = known.iter().map(|one| json!({ "of": one["address"] }));
    let models = found["models"]["nodes"].as_array().cloned().unwrap_or_default();
    let provenance = models.iter().map(|model| json!({ "of": model["id"] }));
    let statement = known.iter().filter_map(|one| {
        let owed = one["entitlements"].get(0)?;
        Some(json!({ "of": one["address"], "token": owed["token"], "epoch": owed["epoch"] }))
    });
    let questions = vec![
        Question { name: "account", query: ACCOUNT, variables: account.collect() },
        Question { name: "accounts", query: ACCOUNTS, variables: accounts },
        Question { name: "payments", query: PAYMENTS, variables: payments },
        Question { name: "provenance", query: PROVENANCE, variables: provenance.collect() },
        Question { name: "statement", query: STATEMENT, variables: statement.collect() },
    ];
    // Each is answered, without an error, before it is asked in numbers.
    for Question { name, query, variables } in &questions {
        assert!(!variables.is_empty(), "there is nothing to ask of {name}");
        for one in variables {
            let _answer = node.ask_with(query, one).await;
        }
    }
    questions
}

/// The variables of a list's pages, from the first on: full ones where there are any.
async fn pages(node: &Follower, query: &str, list: &str) -> Vec<Value> {
    let mut pages = vec![json!({ "after": null })];
    while pages.len() < ASKED / 10 {
        let last = pages.last().unwrap_or(&Value::Null);
        let page = node.ask_with(query, last).await[list]["pageInfo"].take();
        if page["hasNextPage"] != true {
            pages.truncate(std::cmp::max(pages.len() - 1, 1));
            break;
        }
        pages.push(json!({ "after": page["endCursor"] }));
    }
    pages
}

/// A script for wrk that asks in turn and prints one line of JSON at the end.
fn lua(question: &Question) -> String {
    let mut text = String::from("local bodies = {\n");
    for variables in &question.variables {
        let body = json!({ "query": question.query, "variables": variables }).to_string();
        writeln!(text, "[==[{body}]==],").expect("a string takes it");
    }
    text.push_str(
        "}\nlocal at = 0\nlocal headers = { [\"content-type\"] = \"application/json\" }\n\
         request = function()\n  at = at % #bodies + 1\n  return wrk.format(\"POST\", nil, headers, bodies[at])\nend\n\
         done = function(summary, latency, _)\n  local e = summary.errors\n  print(string.format(\n\
         '{\"requests\":%d,\"microseconds\":%d,\"bytes\":%d,\"failed\":%d,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}',\n\
         summary.requests, summary.duration, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout,\n\
         latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000))\nend\n",
    );
    text
}

fn wrk_command(url: &str, script: &Path, connections: u32, seconds: u64) -> Command {
    let mut command = Command::new("wrk");
    command
        .args(["--timeout", "30s", "-t", "1", "-c", &connections.to_string(), "-d", &format!("{seconds}s"), "-s"])
        .arg(script)
        .arg(url);
    command
}

fn wrk(url: &str, script: &Path, connections: u32, seconds: u64) -> Value {
    let output = wrk_command(url, script, connections, seconds).output().expect("wrk is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().rev().find(|line| line.starts_with('{'));
    let mut line: Value = line
        .and_then(|line| serde_json::from_str(line).ok())
        .unwrap_or_else(|| panic!("wrk: {said}{}", String::from_utf8_lossy(&output.stderr)));
    let number = |name: &str| line[name].as_u64().unwrap_or_default();
    let per_second = number("requests") * 1_000_000 / std::cmp::max(number("microseconds"), 1);
    line["connections"] = connections.into();
    line["per_second"] = per_second.into();
    line
}
