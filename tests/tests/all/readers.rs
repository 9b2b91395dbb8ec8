//! Readers we did not write: DuckDB, Polars and deltalake over the published tables, OpenZeppelin over the trees.

use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use tributary_schemas::table::TableInfo;
use tributary_schemas::{facts, money};
use tributary_tests::generated::root;
use tributary_tests::program::{json as tributary_json, run_demo};
use tributary_tests::python::script;

fn tables() -> Vec<TableInfo> {
    facts::all().into_iter().chain(money::all()).collect()
}

fn by_python(data: &Path, names: &[&str]) -> Value {
    let output = script("read_tables.py", &[data]).args(names).output().expect("tests/run installs Python's readers");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn duckdb_polars_and_deltalake_read_every_table_without_a_cast() {
    let folder = tempfile::tempdir().unwrap();
    let _printed = run_demo(11, 300, "", folder.path());
    let data = folder.path().display().to_string();
    let published: Vec<TableInfo> = tables()
        .into_iter()
        .filter(|table| folder.path().join("tables").join(table.name).join("_delta_log").try_exists().unwrap())
        .collect();
    assert!(published.len() >= 25, "only {} tables were published", published.len());
    let names: Vec<&str> = published.iter().map(|table| table.name).collect();
    let read = by_python(folder.path(), &names);
    for table in &published {
        let sums: Vec<String> = table
            .schema
            .fields()
            .iter()
            .filter(|field| matches!(field.data_type(), arrow::datatypes::DataType::Decimal128(38, 0)))
            .map(|field| format!("coalesce(sum({0}), 0) as {0}", field.name()))
            .collect();
        let columns = std::iter::once("count(*) as rows".to_owned()).chain(sums).collect::<Vec<_>>().join(", ");
        let ours =
            tributary_json(&["sql", "--json", "--data-dir", &data, &format!("select {columns} from {}", table.name)]);
        let theirs = &read[table.name];
        assert_eq!(ours[0]["rows"], theirs["rows"], "{}", table.name);
        for (name, sum) in theirs["sums"].as_object().unwrap() {
            assert_eq!(&ours[0][name], sum, "{}.{name}", table.name);
        }
    }
}

#[test]
fn openzeppelin_loads_our_dump_and_accepts_our_proofs() {
    let folder = tempfile::tempdir().unwrap();
    let out = run_demo(12, 300, "", folder.path());
    let data = folder.path().display().to_string();
    let claims = "select distinct account from merkle_leaves where epoch = (select max(epoch) from merkle_leaves) order by 1 limit 40";
    let accounts = tributary_json(&["sql", "--json", "--data-dir", &data, claims]);
    let mut proofs = Vec::new();
    for account in accounts.as_array().unwrap() {
        let given = tributary_json(&["proof", account["account"].as_str().unwrap(), "--data-dir", &data]);
        proofs.extend(given.as_array().unwrap().iter().cloned());
    }
    assert!(proofs.len() >= 20, "only {} proofs", proofs.len());
    let (epoch, vault) = (proofs[0]["epoch"].as_i64().unwrap(), proofs[0]["vault"].as_str().unwrap());
    let file = folder.path().join("proofs.json");
    std::fs::write(&file, serde_json::to_vec(&json!(proofs)).unwrap()).unwrap();
    let dump = folder.path().join(format!("epochs/{epoch}/{}.json", vault.to_lowercase()));
    let output = Command::new("node")
        .arg("judge.mjs")
        .arg(&dump)
        .arg(&file)
        .current_dir(root().join("tests/node"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let judged: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(judged["verified"], proofs.len());
    assert_eq!(judged["root"], out["merkle_root"]);
    // The judge is one: a proof for one unit more is refused.
    let mut wrong = proofs[0].clone();
    let more = wrong["cumulative"].as_str().unwrap().parse::<u128>().unwrap() + 1;
    wrong["cumulative"] = more.to_string().into();
    std::fs::write(&file, serde_json::to_vec(&json!([wrong])).unwrap()).unwrap();
    let output = Command::new("node")
        .arg("judge.mjs")
        .arg(&dump)
        .arg(&file)
        .current_dir(root().join("tests/node"))
        .output()
        .unwrap();
    assert!(!output.status.success(), "a wrong proof was accepted");
}
