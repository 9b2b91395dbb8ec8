//! Arrow Flight SQL, asked by ADBC's own driver.

use serde_json::{Value, json};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tributary_api::{ApiConfig, Bound, serve};
use tributary_store::Lake;
use tributary_tests::program::run_demo;
use tributary_tests::python::script;

/// A server over a data folder, with Flight SQL on a free port.
pub(crate) async fn served(folder: &Path, shutdown: &CancellationToken) -> Bound {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = ApiConfig { flight: Some(free), ..ApiConfig::default() };
    let lake = Lake::open(folder).await.unwrap();
    serve(config, lake, folder.to_owned(), None, shutdown.clone()).await.unwrap()
}

/// Attacks on a way in of SQL, each with the first word of its answer.
pub(crate) fn attacks(target: &Path) -> Vec<(String, &'static str)> {
    let target = target.display();
    let refused = [
        "CREATE TABLE t AS SELECT 1".to_owned(),
        "CREATE VIEW v AS SELECT 1".to_owned(),
        format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{target}'"),
        "DROP TABLE blocks".to_owned(),
        "INSERT INTO blocks SELECT * FROM blocks".to_owned(),
        "UPDATE blocks SET number = 1".to_owned(),
        "DELETE FROM blocks".to_owned(),
        "TRUNCATE TABLE blocks".to_owned(),
        format!("COPY blocks TO '{target}'"),
        format!("EXPLAIN ANALYZE COPY (SELECT 1) TO '{target}'"),
        "SET datafusion.execution.batch_size = 1".to_owned(),
    ];
    let failed = [
        "SELECT * FROM read_parquet('/etc/passwd')".to_owned(),
        "SELECT * FROM read_csv('/etc/passwd')".to_owned(),
        "SELECT * FROM '/etc/passwd'".to_owned(),
        "SELECT * FROM 's3://bucket/blocks.parquet'".to_owned(),
        "SELECT * FROM 'http://127.0.0.1/blocks.parquet'".to_owned(),
        // The largest amount a column holds, twice.
        "SELECT sum(n) FROM (VALUES (99999999999999999999999999999999999999), (99999999999999999999999999999999999999)) v (n)"
            .to_owned(),
    ];
    let all = refused.map(|statement| (statement, "SQL_REFUSED")).into_iter();
    all.chain(failed.map(|statement| (statement, "SQL_FAILED"))).collect()
}

async fn by_adbc(address: SocketAddr, target: &Path, statements: &[String]) -> Value {
    let mut child = script("flight_client.py", &[Path::new(&format!("grpc://{address}")), target])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(statements).unwrap()).unwrap();
    let output = tokio::task::spawn_blocking(|| child.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adbc_reads_the_catalogue_queries_and_a_million_rows() {
    let folder = tempfile::tempdir().unwrap();
    let printed = run_demo(31, 120, "", folder.path());
    let shutdown = CancellationToken::new();
    let bound = served(folder.path(), &shutdown).await;
    let address = bound.flight.unwrap();
    let mut running = JoinSet::new();
    running.spawn(bound.run);
    let target = folder.path().join("out.csv");
    let attacks = attacks(&target);
    let statements: Vec<String> = attacks.iter().map(|(statement, _)| statement.clone()).collect();
    let told = by_adbc(address, &target, &statements).await;
    shutdown.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();

    assert_eq!(told["info"]["vendor_name"], "Tributary", "{told:#}");
    assert_eq!(told["table_types"], json!(["TABLE", "VIEW"]));
    assert_eq!(
        (&told["objects"]["catalogs"], &told["objects"]["schemas"]),
        (&json!(["datafusion"]), &json!(["hot", "public"]))
    );
    assert_eq!(told["objects"]["tables"]["blocks"], json!(["TABLE", 12]));
    assert!(told["objects"]["tables"].as_object().unwrap().len() >= 45);
    assert!(told["views"].as_array().unwrap().contains(&json!("epoch_conservation")), "{}", told["views"]);
    assert_eq!(told["columns"][1], "hash");
    assert!(told["blocks"]["n"].as_u64().unwrap() >= 100, "{printed:#}");
    assert!(told["metadata"].as_array().unwrap().contains(&json!("tributary.log_root")), "{}", told["metadata"]);
    assert_eq!(told["parameters"], json!({ "$1": "int64", "$2": "int64" }));
    assert_eq!((&told["bound"], &told["bound_again"]), (&json!([3, 4, 5]), &json!([7])));
    assert_eq!(told["million"], json!([1_000_000u64, 1_000_001_000_000u64]));
    for (statement, code) in &attacks {
        let said = told["refused"][statement].as_str().unwrap_or_else(|| panic!("{statement} was answered"));
        assert!(said.contains(code), "{statement}: {said}");
    }
    assert!(told["ingested"].as_str().unwrap().contains("SQL_REFUSED"), "{}", told["ingested"]);
    assert_eq!(told["after"], 1, "the server answers on");
    assert!(told["stranger"].as_str().unwrap().contains("UNAUTHORIZED"), "{}", told["stranger"]);
    assert!(!target.try_exists().unwrap(), "nothing is written");
}
