//! Exports: tables as of a block, statements, provenance before the judges of its formats, and files over HTTP.

use serde_json::{Value, json};
use std::path::Path;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tributary_accounting::StatementOf;
use tributary_api::{StatementForm, write_statement};
use tributary_store::Lake;
use tributary_tests::program::{json as tributary_json, run, run_demo};
use tributary_tests::python::script;

use crate::flight::served;

/// An account that has nothing.
const NOBODY: &str = "0x00000000000000000000000000000000000000bb";

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn rows(data: &str, query: &str) -> Value {
    tributary_json(&["sql", "--json", "--data-dir", data, query])
}

fn exported(data: &str, arguments: &[&str]) -> Vec<u8> {
    let output = run(&[&["export", "--data-dir", data], arguments].concat()).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn a_table_is_exported_as_it_stood_at_a_block() {
    let folder = tempfile::tempdir().unwrap();
    let _printed = run_demo(41, 120, "", folder.path());
    let data = text(folder.path());
    for format in ["csv", "json", "arrow", "parquet"] {
        let bytes = exported(&data, &["--table", "blocks", "--as-of", "40", "--format", format]);
        let count = match format {
            "csv" => String::from_utf8(bytes).unwrap().lines().count() - 1,
            "json" => serde_json::from_slice::<Vec<Value>>(&bytes).unwrap().len(),
            "arrow" => {
                let read = arrow::ipc::reader::StreamReader::try_new(bytes.as_slice(), None).unwrap();
                read.map(|batch| batch.unwrap().num_rows()).sum()
            }
            _ => {
                let file = folder.path().join("blocks.parquet");
                std::fs::write(&file, bytes).unwrap();
                let read = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(
                    std::fs::File::open(&file).unwrap(),
                );
                read.unwrap().build().unwrap().map(|batch| batch.unwrap().num_rows()).sum()
            }
        };
        let expected = rows(&data, "select count(*) as n from blocks where number <= 40")[0]["n"].as_u64().unwrap();
        assert_eq!(count as u64, expected, "{format}");
    }
    let held = "select count(*) as n from contributions where valid_from_block <= 60 and (valid_to_block is null or valid_to_block > 60)";
    let states: Vec<Value> =
        serde_json::from_slice(&exported(&data, &["--table", "contributions", "--as-of", "60", "--format", "json"]))
            .unwrap();
    assert_eq!(states.len() as u64, rows(&data, held)[0]["n"].as_u64().unwrap());
    assert!(states.iter().all(|row| row["valid_from_block"].as_i64().unwrap() <= 60));
    for (arguments, expected) in [
        (["--table", "block", "--format", "csv"].as_slice(), "the nearest is blocks"),
        (&["--table", "blocks", "--as-of", "999999"], "not sealed yet"),
        (&["--statement", "0x00"], "no address"),
        (&["--statement", NOBODY, "--from", "3", "--to", "1"], "expected the first one not to be behind the last"),
        (&["--provenance", "spdx", "0x00"], "expected prov, cyclonedx or croissant"),
        (&["--provenance", "prov", "0x00"], "nothing has the id"),
    ] {
        let output = run(&[&["export", "--data-dir", &data], arguments].concat()).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(expected) && output.stdout.is_empty(), "{arguments:?}: {said}");
    }
}

#[test]
fn a_statement_opens_adds_up_and_closes_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let _printed = run_demo(42, 300, "", folder.path());
    let data = text(folder.path());
    let most = rows(&data, "select account, token from top_contributors limit 1");
    let (account, token) = (most[0]["account"].as_str().unwrap(), most[0]["token"].as_str().unwrap());
    let of = ["--statement", account, "--token", token, "--from", "0"];
    let whole: Value = serde_json::from_slice(&exported(&data, &[&of[..], &["--format", "json"]].concat())).unwrap();
    let number = |value: &Value| value.as_str().unwrap().parse::<i128>().unwrap();
    let lines = whole["lines"].as_array().unwrap();
    assert!(!lines.is_empty(), "{whole:#}");
    let sum: i128 = lines.iter().map(|line| number(&line["amount"])).sum();
    assert_eq!(number(&whole["opening"]) + sum, number(&whole["closing"]));
    let csv = String::from_utf8(exported(&data, &[&of[..], &["--format", "csv"]].concat())).unwrap();
    assert!(csv.starts_with("epoch,code,amount,") && csv.lines().count() == lines.len() + 3, "{csv}");
    assert!(
        csv.lines().last().unwrap().contains(&format!(",closing,{},", whole["closing"].as_str().unwrap())),
        "{csv}"
    );
    let parquet = exported(&data, &[&of[..], &["--format", "parquet"]].concat());
    assert_eq!((&parquet[..4], &parquet[parquet.len() - 4..]), (b"PAR1".as_slice(), b"PAR1".as_slice()));
}

/// A server reads them by row, the command line by SQL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_over_http_are_those_of_sql() {
    let folder = tempfile::tempdir().unwrap();
    let _printed = run_demo(46, 300, "", folder.path());
    let lake = Lake::open(folder.path()).await.unwrap();
    let snapshot = lake.latest().await.unwrap().unwrap();
    let ctx = tributary_accounting::session(None, 2).unwrap();
    tributary_accounting::register(&ctx, &lake, &snapshot).await.unwrap();
    let shutdown = CancellationToken::new();
    let bound = served(folder.path(), &shutdown).await;
    let base = format!("http://{}", bound.addr);
    let mut running = JoinSet::new();
    running.spawn(bound.run);

    let settled = snapshot.heads.settled_epoch.unwrap();
    let most = "select account, token from top_contributors order by account, token limit 12";
    let all = rows(&text(folder.path()), most);
    let all = all.as_array().unwrap();
    assert!(settled > 2 && all.len() == 12, "{settled}: {all:?}");
    for (one, first) in all.iter().zip((0..settled).cycle()) {
        let (account, token) = (one["account"].as_str().unwrap(), one["token"].as_str().unwrap());
        for (from, to) in [(0, settled), (first, settled - 1)] {
            let (owner, coin) = (account.parse().unwrap(), token.parse().unwrap());
            let of = StatementOf { account: owner, token: coin, epochs: (from, to), vault: None };
            let by_sql = Box::pin(tributary_accounting::statement(&ctx, of)).await;
            let url = format!("{base}/exports/statement/{account}?token={token}&from={from}&to={to}&format=json");
            let answer = reqwest::get(&url).await.unwrap();
            let expected = write_statement(&by_sql.unwrap(), StatementForm::Json).unwrap();
            assert_eq!(answer.bytes().await.unwrap(), expected, "{url}");
        }
    }
    let refused = reqwest::get(format!("{base}/exports/statement/{NOBODY}?from=2&to=1")).await.unwrap();
    assert_eq!(refused.status(), 400);
    let said = refused.json::<Value>().await.unwrap();
    assert_eq!(said["detail"], "from is 2 and to is 1: expected from <= to");
    shutdown.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
}

#[test]
fn the_graph_is_drawn_in_three_languages() {
    let folder = tempfile::tempdir().unwrap();
    let _printed = run_demo(45, 120, "", folder.path());
    let data = text(folder.path());
    let agent = rows(&data, "select src_id as id from edges where relation = 'USES_MODEL' limit 1")[0]["id"].clone();
    let drawn = |more: &[&str]| {
        let output = run(&[&["graph", agent.as_str().unwrap(), "--data-dir", &data], more].concat()).unwrap();
        assert!(output.status.success(), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let graph: Value = serde_json::from_str(&drawn(&["--format", "json", "--depth", "16"])).unwrap();
    let (nodes, edges) = (graph["nodes"].as_array().unwrap().len(), graph["edges"].as_array().unwrap().len());
    assert!(nodes >= 3 && edges >= 2 && graph["leftOut"] == 0, "{graph:#}");
    let dot = drawn(&["--depth", "16"]);
    assert_eq!((dot.matches(" -> ").count(), dot.matches("  \"").count()), (edges, nodes + edges), "{dot}");
    assert_eq!(drawn(&["--format", "mermaid", "--depth", "16"]).matches(" -->|").count(), edges);
    let near: Value = serde_json::from_str(&drawn(&["--format", "json", "--depth", "1"])).unwrap();
    assert!(near["edges"].as_array().unwrap().len() < edges && near["leftOut"].as_u64().unwrap() > 0, "{near:#}");
    let one_way = |way: &str| {
        let graph: Value = serde_json::from_str(&drawn(&["--format", "json", "--depth", "16", way])).unwrap();
        graph["edges"].as_array().unwrap().len()
    };
    assert_eq!(one_way("--up") + one_way("--down"), edges);
}

#[test]
fn validators_accept_provenance() {
    let folder = tempfile::tempdir().unwrap();
    let _printed = run_demo(43, 300, "", folder.path());
    let data = text(folder.path());
    let one = |query: &str| rows(&data, query)[0]["id"].as_str().unwrap().to_owned();
    let model = one("select src_id as id from edges where relation like 'BASED_ON%' and src_kind = 'model' limit 1");
    let dataset = one("select version_id as id from dataset_versions where members > 1 limit 1");
    let agent = one("select src_id as id from edges where relation = 'USES_MODEL' limit 1");
    let files = [("prov", &agent), ("cyclonedx", &model), ("croissant", &dataset)].map(|(form, id)| {
        let file = folder.path().join(format!("{form}.json"));
        let none = exported(&data, &["--provenance", form, id, "-o", &text(&file)]);
        assert!(none.is_empty());
        file
    });
    let output = script("provenance.py", &files.each_ref().map(|file| file.as_path())).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let judged: Value = serde_json::from_slice(&output.stdout).unwrap();
    let members = format!(
        "select count(*) as n, sum(m.row_count) as total from dataset_versions v join dataset_membership m on \
         m.dataset_sk = v.dataset_sk and m.from_version <= v.version and (m.to_version is null or m.to_version > v.version) \
         where v.version_id = '{dataset}' and v.valid_to_block is null and m.valid_to_block is null"
    );
    let expected = &rows(&data, &members)[0];
    assert_eq!((&judged["records"], &judged["rows"]), (&expected["n"], &expected["total"]), "{judged:#}");
    assert!(judged["derivations"].as_u64().unwrap() >= 2 && judged["components"].as_u64().unwrap() >= 1, "{judged:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duckdb_reads_the_published_files_over_http() {
    let folder = tempfile::tempdir().unwrap();
    let _printed = run_demo(44, 120, "", folder.path());
    let shutdown = CancellationToken::new();
    let bound = served(folder.path(), &shutdown).await;
    let base = format!("http://{}", bound.addr);
    let mut running = JoinSet::new();
    running.spawn(bound.run);
    let client = reqwest::Client::new();

    let list: Value = client.get(format!("{base}/exports")).send().await.unwrap().json().await.unwrap();
    let file = &list["tables"]["blocks"]["files"][0];
    let url = format!("{base}{}", file["url"].as_str().unwrap());
    let whole = client.get(&url).send().await.unwrap();
    let etag = whole.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(json!(etag), file["etag"]);
    let bytes = whole.bytes().await.unwrap();
    assert_eq!(bytes.len() as u64, file["bytes"].as_u64().unwrap());
    let asked = |name: &'static str, value: String| client.get(&url).header(name, value).send();
    let tail = asked("range", "bytes=-8".to_owned()).await.unwrap();
    assert_eq!(tail.status(), 206);
    let expected = format!("bytes {}-{}/{}", bytes.len() - 8, bytes.len() - 1, bytes.len());
    assert_eq!(tail.headers()["content-range"], expected.as_str());
    assert_eq!(tail.bytes().await.unwrap(), bytes.slice(bytes.len() - 8..));
    assert_eq!(asked("range", format!("bytes={}-", bytes.len())).await.unwrap().status(), 416);
    assert_eq!(asked("if-none-match", etag.clone()).await.unwrap().status(), 304);
    let head = client.head(&url).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], bytes.len().to_string().as_str());
    for wrong in
        ["/exports/999/blocks/x.parquet", "/exports/0/blocks/..%2F..%2Fsnapshots%2F0.json", "/exports/0/etc/passwd"]
    {
        assert_eq!(client.get(format!("{base}{wrong}")).send().await.unwrap().status(), 404, "{wrong}");
    }

    let output = tokio::task::spawn_blocking(move || script("http_lake.py", &[Path::new(&base)]).output());
    let output = output.await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let counted: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (table, listed) in list["tables"].as_object().unwrap() {
        assert_eq!(counted[table], listed["rows"], "{table}");
    }
    shutdown.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
}
