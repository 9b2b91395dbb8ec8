//! Another mapping set is another ledger: built beside the one that answers, swapped whole, whatever happens meanwhile.
//!
//! Four seeds of kills here; `TESTS_KILLS` asks for more.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;
use tributary_devnet::{Devnet, DevnetConfig, Workload, demo_policy};
use tributary_store::{FeedEvent, FeedReader};
use tributary_tests::follower::{Follower, configure_devnet};
use tributary_tests::program::{follow, json as told, run, tributary};

const BLOCKS: u64 = 90;
pub(super) const REFERENCE: &[&str] = &["reference"];
const OTHER: &[&str] = &["reference", "erc8004"];

/// A chain that is long enough for epochs to settle, and its final block.
async fn chain() -> (Devnet, u64) {
    let config = DevnetConfig {
        seed: 5,
        finalized_lag: 8,
        certificates: false,
        workload: Workload { blocks: BLOCKS, policy: demo_policy(), ..Workload::default() },
        ..DevnetConfig::default()
    };
    let last = config.decided_at();
    let devnet = Devnet::start(config).await.unwrap();
    devnet.mine_to(last);
    let finalized = devnet.finalized();
    (devnet, finalized)
}

/// A configuration of this chain by these mapping files; blocks are kept.
fn configured(folder: &Path, devnet: &Devnet, files: &[&str], nodes: &[String], raw_blocks: &str) -> String {
    let more = format!(
        "[chain]\nl2_urls = {nodes:?}\n[mapping]\nfiles = {files:?}\n[retention]\nraw_blocks = {raw_blocks:?}\n\
         [api]\nrate_units = 1000000\n"
    );
    configure_devnet(folder, devnet, &more).unwrap().display().to_string()
}

pub(super) fn by_node(folder: &Path, devnet: &Devnet, files: &[&str]) -> String {
    configured(folder, devnet, files, &[devnet.l2_http()], "all")
}

/// Where a ledger stands: the mapping set, and everything that two nodes with it must agree on.
pub(super) fn heads(config: &str) -> (String, Value) {
    let heads = &told(&["status", "--json", "--config", config])["snapshot"]["heads"];
    let keys = ["block_number", "log_root", "settled_epoch", "roots", "ledger_digest", "manifest_hash"];
    let agreed: BTreeMap<&str, Value> = keys.into_iter().map(|key| (key, heads[key].clone())).collect();
    (heads["mapping_set_hash"].as_str().unwrap().to_owned(), json!(agreed))
}

/// Log roots by block, as text.
fn roots(config: &str, generation: &str) -> BTreeMap<u64, String> {
    let query = "select number, log_root from blocks order by number";
    let rows = told(&["sql", "--json", "--rows-max", "100000", "--config", config, "--generation", generation, query]);
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| (row["number"].as_u64().unwrap(), row["log_root"].as_str().unwrap().to_owned())).collect()
}

/// The generations of a data folder and which of them is current.
fn generations(config: &str) -> BTreeMap<String, bool> {
    let listed = told(&["generation", "list", "--json", "--config", config]);
    let one = |one: &Value| (one["mapping_set_hash"].as_str().unwrap().to_owned(), one["state"] == "current");
    listed.as_array().unwrap().iter().map(one).collect()
}

/// What one answer said: its generation, and the log roots of its rows.
type Said = (String, BTreeMap<u64, String>);

/// An answer to SQL over HTTP.
async fn by_sql(http: &reqwest::Client, graphql: &str, generation: Option<&str>) -> Said {
    let mut request = http.post(graphql.replace("/graphql", "/v1/sql"));
    if let Some(named) = generation {
        request = request.header("x-tributary-generation", named);
    }
    let query = json!({ "query": "select number, log_root from blocks order by number" });
    let answer: Value = request.json(&query).send().await.unwrap().json().await.unwrap();
    let rows = answer["rows"].as_array().unwrap_or_else(|| panic!("{answer}")).iter();
    let rows = rows.map(|row| (row["number"].as_u64().unwrap(), row["log_root"].as_str().unwrap().to_owned()));
    (answer["asOf"]["mappingSetHash"].as_str().unwrap().to_owned(), rows.collect())
}

/// An answer to GraphQL: of its own fields, and of what is said beside them.
async fn by_graphql(http: &reqwest::Client, graphql: &str) -> Said {
    let query = "{ status { mappingSetHash logRoot sealed { number } } block(number: 3) { number logRoot } }";
    let answer: Value = http.post(graphql).json(&json!({ "query": query })).send().await.unwrap().json().await.unwrap();
    let (status, block) = (&answer["data"]["status"], &answer["data"]["block"]);
    assert_eq!(status["mappingSetHash"], answer["extensions"]["asOf"]["mappingSetHash"], "{answer}");
    assert_eq!(status["logRoot"], answer["extensions"]["asOf"]["logRoot"], "{answer}");
    let root = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{answer}"));
    let rows = [(&status["sealed"]["number"], &status["logRoot"]), (&block["number"], &block["logRoot"])];
    (root(&status["mappingSetHash"]), rows.map(|(at, is)| (number(at), root(is))).into())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_mapping_set_answers_whole_or_not_at_all() {
    let (devnet, last) = chain().await;
    let (folder, straight) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = by_node(folder.path(), &devnet, REFERENCE);
    follow(&config, last / 2);
    let (before, _) = heads(&config);
    let fresh = by_node(straight.path(), &devnet, OTHER);
    follow(&fresh, last);
    let (after, wanted) = heads(&fresh);
    assert_ne!(before, after);
    assert!(wanted["settled_epoch"].as_i64().is_some(), "{wanted}");

    by_node(folder.path(), &devnet, OTHER);
    let follower = Follower::start(Path::new(&config));
    let (http, url) = (reqwest::Client::new(), follower.url().to_owned());
    let mut said: Vec<Said> = Vec::new();
    // Asked both ways until the new one has answered a few times.
    while said.iter().filter(|(generation, _)| *generation == after).count() < 20 {
        said.push(by_sql(&http, &url, None).await);
        said.push(by_graphql(&http, &url).await);
        assert!(said.len() < 100_000, "the new one never answered");
    }
    follower.sealed(last).await;
    let of_old = by_sql(&http, &url, Some(&before)).await;
    let query = "{ status { generations { mappingSetHash current } } }";
    let listed = follower.ask(query).await["status"]["generations"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    follower.kill();

    // Every answer is of one of the two, row by row; the old one answers until the switch, and never again.
    let known = BTreeMap::from([(before.clone(), roots(&config, &before)), (after.clone(), roots(&fresh, &after))]);
    assert!(of_old.0 == before && of_old.1 == known[&before]);
    for (generation, rows) in &said {
        for (number, root) in rows {
            assert_eq!(known[generation].get(number), Some(root), "block {number} of {generation}");
        }
    }
    let order: Vec<&String> = said.iter().map(|(generation, _)| generation).collect();
    assert_eq!(order.first(), Some(&&before), "the old one answers at first");
    let switch = order.iter().position(|generation| **generation == after).unwrap();
    assert!(order[..switch].iter().all(|one| **one == before) && order[switch..].iter().all(|one| **one == after));

    // It is the ledger of whoever began with it.
    follow(&config, last);
    assert_eq!(heads(&config), (after.clone(), wanted));
    assert_eq!(generations(&config), [(before.clone(), false), (after.clone(), true)].into());
    let output = run(&["verify", "store", "--config", &config, "--generation", &before]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // Those who watch were told by both, one after the other, under numbers without gaps.
    let records = FeedReader::new(&folder.path().join("data")).read(0, 100_000).unwrap().records;
    assert!(records.iter().zip(1..).all(|(record, sequence)| record.sequence == sequence));
    let newest = records.last().map(|record| record.event);
    assert!(matches!(newest, Some(FeedEvent::Added(block)) if block.number >= last), "{newest:?}");

    // Going back is a switch, too: what is there is gone on with.
    by_node(folder.path(), &devnet, REFERENCE);
    follow(&config, last);
    assert_eq!(heads(&config).0, before);
    let refused = run(&["generation", "drop", "--config", &config, &before]).unwrap();
    assert_eq!(refused.status.code(), Some(6), "the current one is not dropped");
    let dropped = run(&["generation", "drop", "--config", &config, &after]).unwrap();
    assert!(dropped.status.success(), "{}", String::from_utf8_lossy(&dropped.stderr));
    assert_eq!(generations(&config), [(before.clone(), true)].into());
    let gone = run(&["sql", "select 1", "--config", &config, "--generation", &after]).unwrap();
    let why = String::from_utf8_lossy(&gone.stderr).into_owned();
    assert!(gone.status.code() == Some(6) && why.contains(&before), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_blocks_make_another_ledger_without_a_node() {
    let (devnet, last) = chain().await;
    let (folder, straight) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = by_node(folder.path(), &devnet, REFERENCE);
    follow(&config, last);
    let (before, _) = heads(&config);
    configured(folder.path(), &devnet, OTHER, &[], "all");
    let built = told(&["generation", "build", "--config", &config]);
    let fresh = by_node(straight.path(), &devnet, OTHER);
    follow(&fresh, last);
    let wanted = heads(&fresh);
    assert_eq!(built["mapping_set_hash"], wanted.0.as_str(), "{built}");
    assert_eq!(built["state"], "current", "{built}");
    assert_eq!(heads(&config), wanted);
    assert_eq!(generations(&config), [(before, false), (wanted.0, true)].into());

    // Where blocks are missing the first of them is named, and the old one answers on.
    let bare = tempfile::tempdir().unwrap();
    let config = configured(bare.path(), &devnet, REFERENCE, &[devnet.l2_http()], "none");
    follow(&config, last);
    let as_it_was = heads(&config);
    configured(bare.path(), &devnet, OTHER, &[], "none");
    let refused = run(&["generation", "build", "--config", &config]).unwrap();
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(4) && why.contains("block 0 is not kept"), "{why}");
    assert_eq!(heads(&config), as_it_was);

    // Other epochs are no other mapping set.
    let file = Path::new(&config);
    let text = std::fs::read_to_string(file).unwrap().replace("epoch_seconds = 60", "epoch_seconds = 61");
    std::fs::write(file, text).unwrap();
    let refused = run(&["generation", "build", "--config", &config]).unwrap();
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(4) && why.contains("epochs of 60 s"), "{why}");
}

#[expect(clippy::disallowed_methods, reason = "a longer run is asked for from outside")]
fn seeds() -> u64 {
    std::env::var("TESTS_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(4)
}

/// Kills a process after a while. The wait is the fault that is injected: nothing is asserted about time.
fn kill_after(mut child: Child, moment: Duration) {
    let (done, wait) = std::sync::mpsc::channel::<()>();
    assert!(wait.recv_timeout(moment).is_err());
    drop(done);
    child.kill().unwrap();
    child.wait().unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place: PathBuf = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &place);
        } else {
            std::fs::copy(entry.path(), place).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_of_a_change_leaves_one_of_the_two_whole() {
    let (devnet, last) = chain().await;
    let (first, straight) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let begun = by_node(first.path(), &devnet, REFERENCE);
    follow(&begun, last);
    let old = heads(&begun);
    let fresh = by_node(straight.path(), &devnet, OTHER);
    follow(&fresh, last);
    let new = heads(&fresh);
    for seed in 0..seeds() {
        let folder = tempfile::tempdir().unwrap();
        copy(&first.path().join("data"), &folder.path().join("data"));
        let config = by_node(folder.path(), &devnet, OTHER);
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let mut seen = BTreeSet::from([old.0.clone()]);
        for _ in 0..dice.random_range(2..=4) {
            // With nodes and without.
            let command = if dice.random_bool(0.5) { vec!["run"] } else { vec!["generation", "build"] };
            let mut command = tributary(&[command, vec!["--config", &config]].concat());
            let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            kill_after(child, Duration::from_millis(dice.random_range(20..2_500)));
            let now = heads(&config);
            assert!(now == old || now == new, "seed {seed}: {now:?} is neither {old:?} nor {new:?}");
            assert!(now == new || !seen.contains(&new.0), "seed {seed}: it went back");
            seen.insert(now.0);
            let verified = run(&["verify", "store", "--config", &config]).unwrap();
            assert!(verified.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&verified.stderr));
        }
        follow(&config, last);
        assert_eq!(heads(&config), new, "seed {seed}");
        assert_eq!(generations(&config), [(old.0.clone(), false), (new.0.clone(), true)].into(), "seed {seed}");
    }
}
