//! The promise of the README: one command runs the whole job, the same seed gives the same roots, and faults of the
//! network change nothing but the time it takes.

use serde_json::Value;
use tempfile::TempDir;
use tributary_tests::program::{demo, json, roots, run, run_demo};

const BLOCKS: u64 = 300;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn number(text: &Value) -> i128 {
    text.as_str().unwrap_or_else(|| panic!("{text} is no decimal text")).parse().unwrap()
}

#[test]
fn one_command_runs_the_whole_job() {
    let out = run_demo(3, BLOCKS, "", folder().path());
    assert_eq!((out["seed"].as_u64(), out["chain_id"].as_u64()), (Some(3), Some(16_121)));
    assert!(out["blocks"].as_u64().unwrap() >= BLOCKS, "{out}");
    for key in ["events", "rejected_events", "blobs", "batches", "attributions", "payments", "accounts", "epochs"] {
        assert!(out[key].as_u64().is_some_and(|count| count > 0), "no {key}: {out}");
    }
    assert!(out["reorgs"].is_u64() && out["seconds"].is_number(), "{out}");
    let tokens = out["tokens"].as_array().unwrap();
    assert!(tokens.len() >= 3, "native, 6 and 18 decimals: {out}");
    for token in tokens {
        assert!(number(&token["revenue"]) > 0, "{token}");
        assert!(number(&token["credited"]) > 0, "{token}");
        assert_eq!(number(&token["revenue"]), number(&token["credited"]) + number(&token["held"]), "{token}");
    }
}

#[test]
fn the_same_seed_gives_the_same_roots_and_another_gives_others() {
    let one = roots(&run_demo(5, BLOCKS, "", folder().path()));
    assert_eq!(one, roots(&run_demo(5, BLOCKS, "", folder().path())));
    let other = roots(&run_demo(6, BLOCKS, "", folder().path()));
    for (one, other) in one.iter().zip(&other) {
        assert!(one.is_string() && one != other, "{one} {other}");
    }
}

#[test]
fn faults_that_can_be_survived_change_nothing() {
    let straight = run_demo(8, BLOCKS, "", folder().path());
    let faulty = run_demo(8, BLOCKS, "reorg,lower-head,same-height,slow,429,drop", folder().path());
    assert_eq!(roots(&straight), roots(&faulty));
    assert_eq!(straight["tokens"], faulty["tokens"]);
    assert_eq!(straight["reorgs"], 0);
    assert!(faulty["reorgs"].as_u64().unwrap() > 0, "no reorg was seen: {faulty}");
}

#[test]
fn a_lying_endpoint_is_refused_and_nothing_of_it_is_stored() {
    for fault in ["omitted-log", "altered-log"] {
        let folder = folder();
        let arguments = demo(9, BLOCKS, fault, folder.path());
        let output = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{fault}: {said}");
        assert!(said.contains("receipts: root expected"), "{fault}: says {said}");
        let data = folder.path().display().to_string();
        let sql = run(&["sql", "--json", "--data-dir", &data, "select count(*) as n from blocks"]).unwrap();
        let rows: Value = serde_json::from_slice(&sql.stdout).unwrap_or(Value::Null);
        let sealed = rows[0]["n"].as_u64().unwrap_or(0);
        assert!(sealed < BLOCKS, "{fault}: {sealed} blocks were sealed");
        // What was sealed before the lie is what an honest run seals.
        if sealed > 0 {
            let honest = tempfile::tempdir().unwrap();
            let _printed = run_demo(9, BLOCKS, "", honest.path());
            let query = format!("select log_root from blocks where number = {}", sealed - 1);
            let root = |dir: &str| run(&["sql", "--json", "--data-dir", dir, &query]).unwrap().stdout;
            assert_eq!(root(&data), root(&honest.path().display().to_string()), "{fault}");
        }
    }
}

#[test]
fn a_missing_blob_is_waited_for_and_then_named() {
    let folder = folder();
    let out = run_demo(10, BLOCKS, "missing-blob", folder.path());
    let data = folder.path().display().to_string();
    let sql = run(&["sql", "--json", "--data-dir", &data, "select status, count(*) as n from blobs group by status"])
        .unwrap();
    let rows: Value = serde_json::from_slice(&sql.stdout).unwrap();
    assert!(rows.as_array().unwrap().iter().any(|row| row["status"] == "missing"), "{rows}");
    // What was held; the demo's guardian may have released it since.
    let query = "select sum(amount) as held from entitlements where account like 'suspense:blob_missing:%'";
    let sql = run(&["sql", "--json", "--data-dir", &data, query]).unwrap();
    let rows: Value = serde_json::from_slice(&sql.stdout).unwrap();
    assert!(number(&rows[0]["held"]) > 0, "nothing is held for the missing blob: {rows} {out}");
    for token in out["tokens"].as_array().unwrap() {
        assert_eq!(number(&token["revenue"]), number(&token["credited"]) + number(&token["held"]), "{token}");
    }
}

#[test]
fn every_final_block_is_anchored_to_its_blob_and_a_withheld_one_is_not() {
    let folder = folder();
    let mut arguments = demo(12, BLOCKS, "", folder.path());
    arguments.extend(["--withhold".to_owned(), "50,51,200".to_owned()]);
    let out = json(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(out["not_anchored"], 3, "{out}");
    // All but the genesis block and those withheld.
    assert_eq!(out["anchored"].as_u64(), out["blocks"].as_u64().map(|blocks| blocks - 4), "{out}");
    let data = folder.path().display().to_string();
    let rows = |query: &str| json(&["sql", "--json", "--data-dir", &data, query]);
    let not = rows("select l2_block from anchors where state = 'not_anchored' order by l2_block");
    assert_eq!(not, serde_json::json!([{ "l2_block": 50 }, { "l2_block": 51 }, { "l2_block": 200 }]));
    let wrong = "select count(*) as n from anchors a join blocks b on a.l2_block = b.number \
                 where a.l2_hash <> b.hash or (a.state = 'anchored' and a.l1_tx is null)";
    assert_eq!(rows(wrong)[0]["n"], 0);
    let by_commitment = rows("select count(*) as n from anchors where commitment_hash is not null");
    assert!(by_commitment[0]["n"].as_u64().unwrap() > BLOCKS / 2, "{by_commitment}");
    let in_blobs = rows(
        "select count(distinct l2_block) as n, count(distinct versioned_hash) as blobs from anchors \
         where form = 'blob' and data_level = 'content' and versioned_hash like '0x01%' and blob_index is not null",
    );
    assert!(in_blobs[0]["n"].as_u64() > Some(BLOCKS / 20) && in_blobs[0]["blobs"].as_u64() > Some(3), "{in_blobs}");
    let status = json(&["status", "--json", "--data-dir", &data]);
    let anchored = &status["follower"]["anchored"];
    assert_eq!((anchored["state"].as_str(), anchored["not_anchored"].as_u64()), (Some("following"), Some(3)));
    // Final blocks that nobody asked to seal are looked for too.
    let sealed = status["snapshot"]["heads"]["block_number"].as_u64();
    assert!(anchored["finalized"].as_u64() >= sealed, "{anchored}, sealed {sealed:?}");
}
