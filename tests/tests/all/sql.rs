//! SQL: the examples of `dashboards/sql` in our engine and in DuckDB, the forms of answers, and what is refused.

use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tributary_api::sql_gate::SqlLimits;
use tributary_api::{ApiConfig, serve};
use tributary_store::Lake;
use tributary_tests::generated::root;
use tributary_tests::program::{binary, run, run_demo, tributary};
use tributary_tests::python::script;

use crate::flight::attacks;

fn examples() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(root().join("dashboards/sql")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn asked(folder: &Path, arguments: &[&str]) -> Output {
    let data = folder.display().to_string();
    let output = run(&[&["sql", "--data-dir", &data], arguments].concat()).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// DECIMAL and HUGEINT sums are text in both; a sum over integers is a number in ours.
fn as_text(rows: &Value) -> String {
    let mut text = String::new();
    for row in rows.as_array().unwrap() {
        for (name, value) in row.as_object().unwrap() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.push_str(&format!("{name}={value} "));
        }
        text.push('\n');
    }
    text
}

#[test]
fn every_example_gives_the_same_rows_here_and_in_duckdb() {
    let folder = tempfile::tempdir().unwrap();
    let _printed = run_demo(21, 300, "missing-blob", folder.path());
    let lake = folder.path().join("duckdb.sql");
    std::fs::write(&lake, asked(folder.path(), &["--duckdb"]).stdout).unwrap();
    let examples = examples();
    assert!(examples.len() >= 9, "only {} examples", examples.len());
    let output = script("duckdb_lake.py", &[&lake]).args(&examples).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Value = serde_json::from_slice(&output.stdout).unwrap();
    let data = folder.path().display().to_string();
    let mut with_rows = 0;
    for example in &examples {
        let name = example.file_stem().unwrap().to_str().unwrap();
        let query = std::fs::File::open(example).unwrap();
        let output = tributary(&["sql", "--json", "--data-dir", &data]).stdin(query).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let ours: Value = serde_json::from_slice(&output.stdout).unwrap();
        with_rows += usize::from(ours.as_array().is_some_and(|rows| !rows.is_empty()));
        assert_eq!(as_text(&ours), as_text(&theirs[name]), "{name}");
    }
    // Money that is held and blobs that are missing are not in every chain.
    assert!(with_rows >= examples.len() - 2, "only {with_rows} examples have rows");
}

#[test]
fn queries_of_standard_input_are_answered_in_the_form_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let _printed = run_demo(22, 120, "", folder.path());
    let one = "select number, hash, epoch from blocks where number < 3 order by number";
    let table = String::from_utf8(asked(folder.path(), &[one]).stdout).unwrap();
    assert!(table.starts_with("number  hash"), "{table}");
    assert_eq!(asked(folder.path(), &[one, "--json"]).stdout, asked(folder.path(), &[one, "--format", "json"]).stdout);
    let csv = String::from_utf8(asked(folder.path(), &[one, "--format", "csv"]).stdout).unwrap();
    assert_eq!(csv.lines().next(), Some("number,hash,epoch"));
    let arrow = asked(folder.path(), &[one, "--format", "arrow"]).stdout;
    let read = arrow::ipc::reader::StreamReader::try_new(arrow.as_slice(), None).unwrap();
    let rows: usize = read.map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows, csv.lines().count() - 1);

    let data = folder.path().display().to_string();
    let mut child = tributary(&["sql", "--format", "csv", "--data-dir", &data])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let typed = b"select 1 as one; select ';' as\n two;\n.schema blocks\nselect 3 as three";
    child.stdin.take().unwrap().write_all(typed).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("one\n1\ntwo\n;\ncolumn_name,data_type,is_nullable\nnumber,Int64,NO\n"), "{said}");
    assert!(said.ends_with("three\n3\n"), "{said}");
    assert!(output.stderr.is_empty(), "nobody is at a terminal: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_terminal_has_a_prompt_that_completes_and_remembers() {
    let folder = tempfile::tempdir().unwrap();
    let _printed = run_demo(26, 60, "", folder.path());
    let state = folder.path().join("state");
    let session = |keys: &str| {
        let arguments = [binary(), "sql".into(), "--data-dir".into(), folder.path().to_owned()];
        let output = script("terminal.py", &[Path::new(keys)]).args(arguments).env("XDG_STATE_HOME", &state).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let first = session(
        "select coun(*) as n\\x1b[D\\x01\\x1b[C\\x05 from epoch_c\\t;\\r\
        select 40 + 2 as answer;\\r.quit\\r",
    );
    assert!(first.contains("from epoch_conservation;"), "{first}");
    assert!(first.contains("coun") && first.contains("error: the query failed"), "a wrong one ends nothing: {first}");
    assert!(first.contains("answer\r\n42\r\n"), "{first}");
    let second = session("\\x1b[A\\x1b[A\\r\\x04");
    assert!(second.contains("answer\r\n42\r\n"), "{second}");
}

#[test]
fn a_statement_that_is_no_query_ends_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let _printed = run_demo(23, 60, "", folder.path());
    let data = folder.path().display().to_string();
    let target = folder.path().join("out.parquet");
    let output = run(&["sql", "--data-dir", &data, &format!("COPY blocks TO '{}'", target.display())]).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("COPY") && said.contains("expected one SELECT"), "{said}");
    assert!(!target.try_exists().unwrap() && output.stdout.is_empty());
}

#[test]
fn attacks_on_the_command_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _printed = run_demo(24, 60, "", folder.path());
    let data = folder.path().display().to_string();
    let target = folder.path().join("out.csv");
    for (statement, code) in attacks(&target) {
        let output = run(&["sql", "--data-dir", &data, &statement]).unwrap();
        assert_eq!(output.status.code(), Some(1), "{statement}");
        let said = String::from_utf8_lossy(&output.stderr);
        let expected = if code == "SQL_REFUSED" { "is refused" } else { "the query failed" };
        assert!(said.contains(expected) && output.stdout.is_empty(), "{statement}: {said}");
    }
    assert!(!target.try_exists().unwrap(), "nothing is written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attacks_over_http_are_refused_and_others_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let _printed = run_demo(25, 60, "", folder.path());
    let target = folder.path().join("out.csv");
    let lake = Lake::open(folder.path()).await.unwrap();
    let sql = SqlLimits { deadline: Duration::from_secs(3), ..SqlLimits::default() };
    let config = ApiConfig { sql, ..ApiConfig::default() };
    let shutdown = CancellationToken::new();
    let bound = serve(config, lake, folder.path().to_owned(), None, shutdown.clone()).await.unwrap();
    let address = format!("http://{}/v1/sql", bound.addr);
    let mut running = JoinSet::new();
    running.spawn(bound.run);
    let client = reqwest::Client::new();
    let ask = |query: String, accept: &'static str| {
        client.post(&address).header("accept", accept).body(json!({ "query": query }).to_string()).send()
    };
    for (statement, code) in attacks(&target) {
        let refused = ask(statement.clone(), "application/json").await.unwrap();
        assert_eq!(refused.status(), 400, "{statement}");
        assert_eq!(refused.json::<Value>().await.unwrap()["code"], json!(code), "{statement}");
    }
    assert!(!target.try_exists().unwrap(), "nothing is written");
    let endless = "SELECT count(*) FROM generate_series(1, 10000000) a CROSS JOIN generate_series(1, 10000000) b \
                   WHERE a.value + b.value < 0";
    let (endless, other) = tokio::join!(
        ask(endless.to_owned(), "application/json"),
        ask("SELECT count(*) AS n FROM blocks".to_owned(), "text/csv")
    );
    let code = endless.unwrap().json::<Value>().await.unwrap()["code"].clone();
    assert!([json!("TIMEOUT"), json!("QUERY_TOO_COMPLEX")].contains(&code), "{code}");
    assert!(other.unwrap().text().await.unwrap().starts_with("n\n"), "others are answered");
    let arrow = ask("SELECT number, hash FROM blocks".to_owned(), "application/vnd.apache.arrow.stream").await.unwrap();
    assert_eq!(arrow.headers()["content-type"], "application/vnd.apache.arrow.stream");
    let bytes = arrow.bytes().await.unwrap();
    let read = arrow::ipc::reader::StreamReader::try_new(bytes.as_ref(), None).unwrap();
    assert!(read.schema().metadata().contains_key("tributary.log_root"));
    assert!(read.map(|batch| batch.unwrap().num_rows()).sum::<usize>() >= 60);
    assert_eq!(ask("SELECT 1".to_owned(), "text/html").await.unwrap().status(), 406);
    shutdown.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
}
