//! Ledgers made again: what is published follows from its facts, whoever wrote them down, and nothing else.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use tributary_accounting::folder::FACTS;
use tributary_schemas::{facts, money};
use tributary_tests::program::{json as printed, run, run_demo};
use tributary_tests::python::script;

const BLOCKS: u64 = 300;

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Last settled epoch of a data folder.
fn last_epoch(data: &Path) -> i64 {
    let status = printed(&["status", "--json", "--data-dir", &text(data)]);
    status["snapshot"]["heads"]["settled_epoch"].as_i64().unwrap()
}

fn manifest(data: &Path, epoch: i64) -> Value {
    let file = data.join(format!("epochs/{epoch}/manifest.json"));
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// Every file of a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                out.insert(path.clone(), std::fs::read(path).unwrap());
            }
        }
    }
    out
}

/// Tables that are published.
fn published(data: &Path) -> Vec<&'static str> {
    let all = facts::all().into_iter().chain(money::all()).map(|info| info.name);
    all.filter(|name| data.join("tables").join(name).try_exists().unwrap()).collect()
}

/// Writes them again with another writer; says which tables of facts are not there.
fn written_by(writer: &str, data: &Path, out: &Path, tables: &[&str]) -> String {
    let output = script("write_tables.py", &[data, out]).arg(writer).args(tables).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let absent =
        facts::all().into_iter().map(|info| info.name).filter(|name| !tables.contains(name) && FACTS.contains(name));
    absent.collect::<Vec<_>>().join(",")
}

fn settle(tables: &Path, epoch: i64, without: &str, more: &[&str]) -> Output {
    let (tables, epoch) = (text(tables), epoch.to_string());
    let mut arguments = vec!["settle", "--tables", &tables, "--epoch", &epoch, "--json"];
    if !without.is_empty() {
        arguments.extend(["--without", without]);
    }
    arguments.extend(more);
    run(&arguments).unwrap()
}

fn settled(tables: &Path, epoch: i64, without: &str, more: &[&str]) -> Value {
    let output = settle(tables, epoch, without, more);
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn agrees(audit: &Value, manifest: &Value, what: &str) {
    for key in ["ledger_digest", "outputs", "roots"] {
        assert_eq!(audit[key], manifest[key], "{key} by {what}");
    }
}

#[test]
fn replay_makes_the_same_ledger_and_names_what_differs_first() {
    let folder = tempfile::tempdir().unwrap();
    let _summary = run_demo(21, BLOCKS, "", folder.path());
    let (data, last) = (text(folder.path()), last_epoch(folder.path()));
    assert!(last >= 3, "only {last} epochs");
    let replay = |epoch: i64| run(&["replay", "--epoch", &epoch.to_string(), "--data-dir", &data, "--json"]).unwrap();
    let before = files(folder.path());
    let output = replay(last);
    assert!(output.status.success(), "{}", said(&output));
    let same: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(same["same"], true, "{same}");
    for epoch in same["epochs"].as_array().unwrap() {
        let manifest = manifest(folder.path(), epoch["epoch"].as_i64().unwrap());
        assert_eq!(epoch["ledger_digest"], manifest["ledger_digest"]);
        assert_eq!(epoch["roots"], manifest["roots"]);
    }
    assert_eq!(before, files(folder.path()), "a replay only reads");
    let beyond = replay(last + 1);
    assert_eq!(beyond.status.code(), Some(1));
    assert!(said(&beyond).contains(&format!("the last one is {last}")), "{}", said(&beyond));

    let differs = |what: &[&str]| {
        let output = replay(last);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(shown["same"], false);
        for what in what {
            assert!(said(&output).contains(what), "{what} is not named: {}", said(&output));
        }
    };
    let file = folder.path().join("epochs/2/manifest.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let credited = manifest(folder.path(), 2)["totals"][0]["credited"].as_str().unwrap().to_owned();
    std::fs::write(&file, text.replace(&format!("\"credited\":\"{credited}\""), "\"credited\":\"7\"")).unwrap();
    differs(&["epoch 2: the manifest's /totals", "\"credited\":\"7\""]);
    std::fs::remove_file(&file).unwrap();
    differs(&["epoch 2: the manifest is absent: expected there"]);
    std::fs::write(&file, &text).unwrap();

    let vault = manifest(folder.path(), 1)["roots"].as_object().unwrap().keys().next().unwrap().clone();
    let nodes = folder.path().join(format!("epochs/1/{vault}.nodes"));
    let mut bytes = std::fs::read(&nodes).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&nodes, &bytes).unwrap();
    differs(&["epoch 1: the digest of the node file of vault"]);
    bytes[40] ^= 1;
    std::fs::write(&nodes, &bytes).unwrap();

    // A payee who was written into the published lines, with everything else as it was.
    let lines = folder.path().join("tables/entitlements");
    let file = epoch_file(&lines, 1);
    let bytes = std::fs::read(&file).unwrap();
    forge(&file);
    differs(&["epoch 1: row 0 of entitlements", "\"account\":\"0x0000000000000000000000000000000000000000\""]);
    std::fs::write(&file, bytes).unwrap();
    assert!(replay(last).status.success());
}

/// The file with the rows of an epoch.
fn epoch_file(table: &Path, epoch: i64) -> PathBuf {
    let begins = format!("e{epoch:08}-");
    let mut found = std::fs::read_dir(table).unwrap().map(|entry| entry.unwrap().path());
    found.find(|path| path.file_name().unwrap().to_string_lossy().starts_with(&begins)).unwrap()
}

/// Gives the first line to somebody else.
fn forge(file: &Path) {
    use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(file).unwrap());
    let batches: Vec<RecordBatch> = reader.unwrap().build().unwrap().map(Result::unwrap).collect();
    let schema = batches[0].schema();
    let mut writer = parquet::arrow::ArrowWriter::try_new(
        std::fs::File::create(file).unwrap(),
        std::sync::Arc::clone(&schema),
        None,
    )
    .unwrap();
    for (number, batch) in batches.into_iter().enumerate() {
        let at = schema.index_of("account").unwrap();
        let accounts = batch.column(at).as_string::<i32>();
        let forged = format!("0x{}", "0".repeat(40));
        let changed = accounts.iter().enumerate().map(|(row, account)| match (number, row) {
            (0, 0) => Some(forged.as_str()),
            _ => account,
        });
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        columns[at] = std::sync::Arc::new(changed.collect::<StringArray>());
        writer.write(&RecordBatch::try_new(std::sync::Arc::clone(&schema), columns).unwrap()).unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn tables_of_other_writers_settle_to_the_published_digest() {
    let folder = tempfile::tempdir().unwrap();
    let _summary = run_demo(22, BLOCKS, "", folder.path());
    let data = folder.path();
    let last = last_epoch(data);
    let tables = published(data);
    // The published ones, as they are: an epoch in the middle too, where later ones are in the tables.
    for epoch in [1, last] {
        agrees(&settled(&data.join("tables"), epoch, "", &[]), &manifest(data, epoch), "us");
    }
    let read: Vec<&str> = tables.iter().copied().filter(|name| FACTS.contains(name)).collect();
    for writer in ["duckdb", "polars", "pyarrow"] {
        let out = data.join(writer);
        let ledger = ["claims", "epochs", "ledger_entries"];
        let names = if writer == "polars" { read.clone() } else { [&read[..], &ledger].concat() };
        let without = written_by(writer, data, &out, &names);
        for epoch in [2, last] {
            agrees(&settled(&out, epoch, &without, &[]), &manifest(data, epoch), writer);
        }
    }
}

#[test]
fn a_table_that_is_not_as_documented_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let _summary = run_demo(23, 120, "", folder.path());
    let (data, out) = (folder.path(), folder.path().join("out"));
    let read: Vec<&str> = published(data).into_iter().filter(|name| FACTS.contains(name)).collect();
    let without = written_by("duckdb", data, &out, &read);
    let names = |more: &str, words: &[&str]| {
        let output = settle(&out, 1, more, &[]);
        assert_eq!(output.status.code(), Some(1));
        for word in words {
            assert!(said(&output).contains(word), "{word} is not named: {}", said(&output));
        }
    };
    let moved = |name: &str| (out.join(name), out.join(format!("{name}.away")));
    let (there, away) = moved("payments");
    std::fs::rename(&there, &away).unwrap();
    names(&without, &["table payments is missing", "payments/*.parquet", "amount Decimal128(38, 0)"]);
    std::fs::create_dir(&there).unwrap();
    names(&without, &["table payments has no file", "some that end in .parquet"]);
    std::fs::remove_dir(&there).unwrap();
    std::fs::rename(&away, &there).unwrap();
    names(&format!("{without},payments"), &["table payments is in", "as it was said to have no rows"]);
    names("nonsense", &["no table \"nonsense\"", "attributions"]);

    let change = |sql: &str| {
        let file = there.join("all.parquet");
        let rewrite = format!(
            "import duckdb; f = {:?}; duckdb.sql(\"create table t as select {sql} from read_parquet('{{}}')\".format(f)); duckdb.table('t').write_parquet(f)",
            text(&file)
        );
        let output =
            std::process::Command::new(tributary_tests::python::python()).args(["-c", &rewrite]).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    };
    let good = std::fs::read(there.join("all.parquet")).unwrap();
    for (sql, words) in [
        ("* exclude (token)", ["column token of table payments is missing", "expected Utf8"]),
        (
            "* replace (amount::double as amount)",
            ["column amount of table payments is Float64", "expected Decimal128(38, 0)"],
        ),
        (
            "* replace (amount::varchar as amount)",
            ["column amount of table payments is Utf8", "expected Decimal128(38, 0)"],
        ),
        ("* replace (null::varchar as vault)", ["column vault", "NULL"]),
        ("* replace ('0x12' as vault)", ["contradict themselves", "\"0x12\" is not an address"]),
    ] {
        change(sql);
        names(&without, &words);
        std::fs::write(there.join("all.parquet"), &good).unwrap();
    }
    std::fs::write(there.join("all.parquet"), b"PAR1").unwrap();
    names(&without, &["could not read", "all.parquet"]);
}

#[test]
fn another_policy_says_who_gains_and_who_loses() {
    let folder = tempfile::tempdir().unwrap();
    let _summary = run_demo(24, BLOCKS, "", folder.path());
    let (data, epoch) = (folder.path(), 2);
    let before = files(data);
    let file = data.with_extension("policy.json");
    let with = |policy: &str| {
        std::fs::write(&file, policy).unwrap();
        settled(&data.join("tables"), epoch, "", &["--policy", &text(&file)])
    };
    let recorded = printed(&["sql", "--json", "--data-dir", &text(data), "select distinct policy from policies"]);
    assert_eq!(recorded.as_array().unwrap().len(), 1, "the demo has one policy");
    let recorded = recorded[0]["policy"].as_str().unwrap();
    // Everything to the platform: what everybody else had is what it gains, token by token.
    let mut policy: Value = serde_json::from_str(recorded).unwrap();
    policy["split_ppb"] = json!({ "platform": 1_000_000_000, "agent": 0, "model": 0, "data": 0, "stakers": 0 });
    let platform = with(&policy.to_string());
    agrees(&platform, &manifest(data, epoch), "a comparison");
    let number = |value: &Value| value.as_str().unwrap().parse::<i128>().unwrap();
    let changes = platform["policy"]["changes"].as_array().unwrap();
    assert!(changes.len() > 10, "{changes:?}");
    let mut sums: BTreeMap<&str, i128> = BTreeMap::new();
    for change in changes {
        assert_eq!(number(&change["difference"]), number(&change["after"]) - number(&change["before"]), "{change}");
        *sums.entry(change["token"].as_str().unwrap()).or_default() += number(&change["difference"]);
        // An emission goes to contributors by every policy; rounded beside less, it may come to one unit more.
        assert_eq!(number(&change["difference"]) > 1, change["account"] == "treasury", "{change}");
    }
    assert!(sums.values().all(|sum| *sum == 0), "{sums:?}");
    let gain =
        changes.iter().filter(|change| change["account"] == "treasury").map(|change| number(&change["difference"]));
    assert!(gain.sum::<i128>() > 0);

    // What was recorded, once more, changes nothing.
    let same = with(recorded);
    assert_eq!(same["policy"]["changes"], json!([]));
    assert_eq!(same["policy"]["outcome"]["ledger_digest"], same["ledger_digest"]);

    std::fs::write(&file, r#"{"splt":1}"#).unwrap();
    let wrong = settle(&data.join("tables"), epoch, "", &["--policy", &text(&file)]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(said(&wrong).contains("unknown field `splt`"), "{}", said(&wrong));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(before, files(data), "a comparison only reads");
}
