//! What a query may use is configured, and holds on each of the four ways in.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tributary_tests::program::{json as told, run, run_demo, serve_run};
use tributary_tests::python::script;

use crate::postgres::psql;

/// A query, what is said of it where its answer is made whole, and where it is streamed.
const DEAR: [(&str, &str, &str); 3] = [
    ("SELECT value FROM generate_series(1, 60)", "more than 40 rows", "more than 50 rows"),
    ("SELECT count(DISTINCT value) FROM generate_series(1, 10000000)", "1048576 bytes", "1048576 bytes"),
    ("SELECT count(*) FROM generate_series(1, 10000000000000)", "longer than 5000 ms", "longer than 6000 ms"),
];

/// A configuration of a demo's data, whose nodes are gone.
fn configured(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    let _printed = run_demo(41, 60, "", &data);
    let mapping: Value = serde_json::from_slice(&std::fs::read(data.join("mapping.json")).unwrap()).unwrap();
    let contracts = mapping["set"]["contracts"].as_object().unwrap();
    let contracts = contracts.iter().map(|(role, addresses)| format!("{role} = {addresses}\n")).collect::<String>();
    let text = format!(
        "[chain]\nchain_id = 16121\nl2_urls = [\"http://127.0.0.1:1\"]\n[contracts]\n{contracts}\
         [storage]\ndata_dir = {data:?}\nmin_free_bytes = 0\n\
         [settlement]\nepoch_origin = 1750000000\nepoch_seconds = 120\n\
         [api]\nlisten = \"127.0.0.1:0\"\nflight_listen = \"127.0.0.1:0\"\npostgres_listen = \"127.0.0.1:0\"\n\
         [sql]\nmemory_mib = 1\nmax_queries = 3\nmax_rows = 40\ndeadline_seconds = 5\n\
         streamed_max_rows = 50\nstreamed_deadline_seconds = 6\n",
    );
    let file = folder.join("tributary.toml");
    std::fs::write(&file, text).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configured_limits_hold_on_every_way_in() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path());
    let named = config.display().to_string();
    let mut served = serve_run(&config).unwrap();
    let (address, url) = (served.postgres.parse().unwrap(), format!("{}v1/sql", served.url));
    let mut flight = script("flight_refused.py", &[Path::new(&served.flight)]);
    flight.args(DEAR.map(|(query, ..)| query));
    let flight = tokio::task::spawn_blocking(move || flight.output()).await.unwrap().unwrap();
    let flight: Vec<Value> = serde_json::from_slice(&flight.stdout)
        .unwrap_or_else(|cause| panic!("{cause}: {}", String::from_utf8_lossy(&flight.stderr)));
    let client = reqwest::Client::new();
    for ((query, whole, streamed), by_flight) in DEAR.into_iter().zip(flight) {
        let body = json!({ "query": query }).to_string();
        let by_http = client.post(&url).body(body).send().await.unwrap().json::<Value>().await.unwrap();
        let output = run(&["sql", "--config", &named, query]).unwrap();
        let by_command = String::from_utf8(output.stderr).unwrap();
        let (printed, by_psql) = psql(address, "", &format!("{query};\n")).await;
        assert!(output.stdout.is_empty() && !printed.contains(" row"), "{query}: {printed}");
        for (said, expected) in [
            (by_http["detail"].as_str().unwrap_or_default(), whole),
            (&by_command, whole),
            (by_flight.as_str().unwrap_or_default(), streamed),
            (&by_psql, streamed),
        ] {
            assert!(said.contains(expected), "{query}: {said:?} instead of {expected}");
        }
    }
    served.stop();
    let (query, ..) = DEAR[0];
    let all = told(&["sql", "--json", "--config", &named, "--rows-max", "60", query]);
    assert_eq!(all.as_array().unwrap().len(), 60, "a flag is over the configuration");
    let shown = told(&["config", "show", "--json", "--config", &named]);
    assert_eq!(shown["sql.max_rows"]["value"], 40);
    assert!(shown["sql.max_rows"]["origin"]["file"].is_string(), "{}", shown["sql.max_rows"]);
    assert_eq!(shown["sql.partitions"]["origin"], "default");
}
