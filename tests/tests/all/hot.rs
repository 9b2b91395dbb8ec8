//! SQL about blocks that are not sealed yet: what it says of them is what is sealed later, whatever happens in between,
//! and no block is ever in both.

use alloy::providers::Provider as _;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::time::Duration;
use tributary_devnet::{Devnet, DevnetConfig, Workload, demo_policy};
use tributary_schemas::hot;
use tributary_tests::follower::{Follower, reconfigure};
use tributary_tests::program::run;
use tributary_tests::python::script;

use crate::generations::{REFERENCE, by_node};
use crate::postgres::psql;

/// Blocks between the head and the final one.
const LAG: u64 = 40;
/// Pauses between queries while blocks are sealed, and how many before the test gives up.
const ASK_EVERY: Duration = Duration::from_millis(10);
const ASK_TIMES: u32 = 6_000;

/// An embedded chain with a head.
async fn chain(head: u64) -> Devnet {
    let workload = Workload { blocks: 400, policy: demo_policy(), ..Workload::default() };
    let config =
        DevnetConfig { seed: 12, finalized_lag: LAG, certificates: false, workload, ..DevnetConfig::default() };
    let devnet = Devnet::start(config).await.unwrap();
    devnet.mine_to(head);
    devnet
}

/// `POST /v1/sql` of a follower.
struct Sql {
    http: reqwest::Client,
    url: String,
}

impl Sql {
    fn of(follower: &Follower) -> Self {
        Self { http: reqwest::Client::new(), url: follower.url().replace("/graphql", "/v1/sql") }
    }

    /// Status, headers that name the tail, and body.
    async fn ask(&self, query: &str) -> (u16, [Option<String>; 2], Value) {
        let asked = self.http.post(&self.url).json(&json!({ "query": query })).send().await.unwrap();
        let header = |name: &str| asked.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let told = ["x-tributary-tail-block", "x-tributary-tail-hash"].map(header);
        (asked.status().as_u16(), told, asked.json().await.unwrap())
    }

    /// An answer that has to be one.
    async fn answer(&self, query: &str) -> Value {
        let (status, told, body) = self.ask(query).await;
        assert_eq!(status, 200, "{query}: {body}");
        let tail = &body["asOf"]["tail"];
        let said = [tail["number"].as_u64().map(|number| number.to_string()), tail["hash"].as_str().map(str::to_owned)];
        assert_eq!(said, told, "{query}: headers and body name the same block");
        body
    }

    async fn rows(&self, query: &str) -> BTreeSet<String> {
        let body = self.answer(query).await;
        let rows: Vec<String> = body["rows"].as_array().unwrap().iter().map(Value::to_string).collect();
        let set: BTreeSet<String> = rows.iter().cloned().collect();
        assert_eq!(set.len(), rows.len(), "{query} has a row twice");
        set
    }

    /// Every table's rows of some blocks, from the schema that is asked for; without what a block gets when it is sealed.
    async fn tables(&self, schema: &str, (first, last): (u64, u64)) -> BTreeMap<&'static str, BTreeSet<String>> {
        let mut found = BTreeMap::new();
        for info in hot::all() {
            let columns = info.columns.iter().map(|column| column.name);
            let sealed = ["finality", "log_root", "event_count"];
            let kept = columns.filter(|name| info.name != "blocks" || !sealed.contains(name));
            let columns = kept.map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
            let at = if info.name == "blocks" { "number" } else { "block_number" };
            let only = match info.name {
                "events" => "AND source <> 'blob' AND kind <> 'BatchDeclaredMissing'",
                _ => "",
            };
            let table = format!("{schema}.{}", info.name);
            let query = format!("SELECT {columns} FROM {table} WHERE {at} BETWEEN {first} AND {last} {only}");
            found.insert(info.name, self.rows(&query).await);
        }
        found
    }

    /// One query over sealed and hot blocks: every block up to the tail's once, each the parent of the next. `None` where
    /// it is told to ask again.
    async fn joined(&self) -> Option<(u64, u64)> {
        let query = "WITH chain AS (SELECT number, hash, parent_hash, log_root FROM blocks \
                     UNION ALL SELECT number, hash, parent_hash, log_root FROM hot.blocks) \
                     SELECT count(*) AS blocks, count(DISTINCT number) AS numbers, max(number) AS last, \
                     count(log_root) AS sealed, (SELECT count(*) FROM chain a JOIN chain b ON a.hash = b.parent_hash \
                     AND a.number + 1 = b.number) AS links FROM chain";
        let (status, _, body) = self.ask(query).await;
        if status == 503 {
            assert_eq!(body["code"], "NOT_READY", "{body}");
            return None;
        }
        let (row, at) = (&body["rows"][0], &body["asOf"]);
        let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{status}: {body}"));
        let (sealed, last) = (number(&at["number"]), number(&at["tail"]["number"]));
        assert_eq!((number(&row["blocks"]), number(&row["numbers"])), (last + 1, last + 1), "{body}");
        assert_eq!((number(&row["last"]), number(&row["sealed"])), (last, sealed + 1), "{body}");
        assert_eq!(number(&row["links"]), last, "{body}");
        Some((sealed, last))
    }
}

/// On a folder, whoever follows it or not.
fn refused_on_folder(config: &str) {
    let output = run(&["sql", "--config", config, "select count(*) from hot.blocks"]).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
    assert!(said.contains("tributary run"), "{said}");
    assert_eq!(said.matches("is not followed here").count(), 1, "{said}");
    let sealed = run(&["sql", "--config", config, "--json", "select count(*) as n from blocks"]).unwrap();
    assert!(sealed.status.success(), "{}", String::from_utf8_lossy(&sealed.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hot_rows_are_what_is_sealed_later_and_a_kill_leaves_no_overlap() {
    let devnet = chain(60).await;
    let folder = tempfile::tempdir().unwrap();
    let config = by_node(folder.path(), &devnet, REFERENCE);
    let follower = Follower::start(Path::new(&config));
    follower.indexed(60).await;
    follower.sealed(20).await;
    let sql = Sql::of(&follower);
    assert_eq!(sql.joined().await, Some((20, 60)));
    let known = sql.answer("SELECT count(*) AS n FROM hot.events").await;
    let (number, hash) = devnet.head();
    assert_eq!(known["asOf"]["tail"], json!({ "number": number, "hash": hash, "final": false }));
    let before = sql.tables("hot", (21, 60)).await;
    let filled = before.iter().filter(|(_, rows)| !rows.is_empty()).count();
    assert!(
        filled >= 5 && !before["payments"].is_empty(),
        "{:?}",
        before.iter().map(|(k, v)| (k, v.len())).collect::<Vec<_>>()
    );
    // Nothing of it is in the published tables, and a query that does not name it says nothing of it.
    assert!(sql.tables("public", (21, 60)).await.values().all(BTreeSet::is_empty));
    assert!(sql.answer("SELECT count(*) AS n FROM events").await["asOf"]["tail"].is_null());
    refused_on_folder(&config);

    // A kill while blocks are being sealed, and queries from the first moment after it on.
    devnet.mine_to(80);
    follower.kill();
    refused_on_folder(&config);
    devnet.mine_to(100);
    let follower = Follower::start(Path::new(&config));
    let sql = Sql::of(&follower);
    for _ in 0..ASK_TIMES {
        if sql.joined().await == Some((60, 100)) {
            break;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    assert_eq!(sql.joined().await, Some((60, 100)));
    // What was said of these blocks is what is sealed.
    assert_eq!(sql.tables("public", (21, 60)).await, before);
    let rest = sql.tables("hot", (0, u64::MAX >> 1)).await;
    assert_eq!(rest["blocks"].len(), 40);
    devnet.mine_to(140);
    follower.sealed(100).await;
    assert_eq!(sql.tables("public", (61, 100)).await, rest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_reorg_takes_back_is_gone_from_the_next_query_and_was_never_sealed() {
    let mut world = Box::pin(crate::reorgs::World::begin()).await;
    world.finalize().await;
    let follower = Follower::start(&world.config);
    world.pay(12).await;
    follower.indexed(world.head().await).await;
    follower.sealed(world.suite.first_block).await;
    let sql = Sql::of(&follower);
    let paid = "SELECT tx_hash FROM hot.events WHERE kind = 'RevenueReceived'";
    let hashes = "SELECT hash FROM blocks UNION ALL SELECT hash FROM hot.blocks";
    let (before, chain) = (sql.rows(paid).await, sql.rows(hashes).await);
    assert!(before.len() >= 12, "{before:?}");

    world.reorg(8).await;
    Box::pin(world.pay(3)).await;
    let head = world.head().await;
    follower.indexed(head).await;
    let (after, other) = (sql.rows(paid).await, sql.rows(hashes).await);
    let gone: Vec<&String> = before.difference(&after).collect();
    assert!(gone.len() >= 8, "{} of {} payments are gone", gone.len(), before.len());
    assert_eq!(chain.difference(&other).count(), 8, "eight blocks are gone");
    let block = world.provider.get_block_by_number(head.into()).await.unwrap().unwrap();
    let tail = sql.answer(hashes).await["asOf"]["tail"].clone();
    assert_eq!(
        (tail["number"].as_u64(), tail["hash"].as_str()),
        (Some(head), Some(block.header.hash.to_string().as_str()))
    );

    world.finalize().await;
    follower.sealed(head).await;
    let sealed = sql.rows("SELECT hash FROM blocks").await;
    assert!(other.is_subset(&sealed) && sealed.is_disjoint(&chain.difference(&other).cloned().collect()));
    let sealed = sql.rows("SELECT tx_hash FROM events WHERE kind = 'RevenueReceived'").await;
    assert!(after.is_subset(&sealed) && gone.iter().all(|hash| !sealed.contains(*hash)), "{gone:?}");
}

/// A client in Python, which goes on when it is told to and says what it found.
struct Client {
    input: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

impl Client {
    fn said(&mut self) -> Value {
        let line = self.said.next().unwrap_or_else(|| panic!("the client ended")).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    fn goes_on(&mut self) -> Value {
        self.input.write_all(b"\n").unwrap();
        self.said()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flight_and_postgresql_have_the_hot_tables_as_of_what_was_planned() {
    let devnet = chain(60).await;
    devnet.set_finalized(Some(20));
    let folder = tempfile::tempdir().unwrap();
    let config = by_node(folder.path(), &devnet, REFERENCE);
    let more = "[api]\nflight_listen = \"127.0.0.1:0\"\npostgres_listen = \"127.0.0.1:0\"\n";
    reconfigure(Path::new(&config), more).unwrap();
    let follower = Follower::start(Path::new(&config));
    follower.indexed(60).await;
    follower.sealed(20).await;
    let postgres = follower.address("PostgreSQL");
    let (flight, connection) = (
        format!("grpc://{}", follower.address("Flight SQL")),
        format!("host={} port={} user=ann dbname=tributary", postgres.ip(), postgres.port()),
    );
    let mut child = script("hot_client.py", &[Path::new(&flight), Path::new(&connection)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut client = Client { input: child.stdin.take().unwrap(), said };
    let names: Vec<&str> = hot::TABLES.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let blocks = |first: u64, last: u64| {
        let hash = |number| devnet.block(number).unwrap().header.hash_slow().to_string();
        json!((first..=last).map(|number| json!({ "number": number, "hash": hash(number) })).collect::<Vec<_>>())
    };
    let first = client.said();
    assert_eq!((&first["flight"]["tables"], &first["postgres"]["tables"]), (&json!({ "hot": names }), &json!(names)));
    assert_eq!(first["flight"]["at_once"]["rows"], blocks(21, 60));
    let metadata = &first["flight"]["at_once"]["metadata"];
    assert_eq!((&metadata["tributary.block"], &metadata["tributary.tail_block"]), (&json!("20"), &json!("60")));
    assert_eq!(metadata["tributary.tail_hash"], devnet.head().1.to_string());
    assert_eq!(first["postgres"]["top"], 60);
    let notice = first["postgres"]["notices"][0].as_str().unwrap();
    assert!(notice.contains("60 0x") && notice.contains("not sealed"), "{notice}");

    // The chain goes on: what was planned and the open transaction stay where they were.
    devnet.mine_to(70);
    follower.indexed(70).await;
    let second = client.goes_on();
    assert_eq!(second["flight"]["rows"], blocks(55, 60));
    assert_eq!(second["flight"]["metadata"]["tributary.tail_block"], "60");
    assert_eq!((&second["postgres"]["top"], &second["postgres"]["other"]), (&json!(60), &json!(70)));

    // Sealed, the blocks are in no tail any more: both say so, and the next query is right.
    devnet.set_finalized(Some(50));
    follower.sealed(50).await;
    let third = client.goes_on();
    assert!(third["flight"].as_str().unwrap().contains("were sealed meanwhile: ask again"), "{third}");
    assert_eq!((&third["postgres"]["state"], &third["postgres"]["range"]), (&json!("40001"), &json!([51, 70])));
    assert!(child.wait().unwrap().success());

    let (printed, said) = psql(postgres, "", "\\dn\n\\dt\n\\dt hot.*\n\\d hot.blocks\n\\d blocks\n").await;
    for line in ["hot|tributary", "hot|payments|table|tributary", "Table \"hot.blocks\"", "Table \"public.blocks\""] {
        assert_eq!(printed.matches(line).count(), 1, "{line}: {printed}{said}");
    }
    assert!(printed.contains("log_root|text|||") && printed.contains("log_root|text||not null|"), "{printed}");
}
