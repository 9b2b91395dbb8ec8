//! PostgreSQL's protocol, asked by psql and psycopg, and by somebody who knows no manners.

use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tributary_api::limits::RateLimit;
use tributary_api::sql_gate::SqlLimits;
use tributary_api::{ApiConfig, Bound, serve};
use tributary_store::Lake;
use tributary_tests::program::{json, run_demo};
use tributary_tests::python::script;

use crate::flight::attacks;

/// A server over a data folder, and the task it runs in.
pub(super) async fn served(folder: &Path, config: ApiConfig, shutdown: &CancellationToken) -> (Bound, JoinSet<()>) {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    // More queries than a stranger has are asked here, all by one.
    let rate = RateLimit { burst: 1_000_000.try_into().unwrap(), ..RateLimit::default() };
    let config = ApiConfig { postgres: Some(free), rate, key_rate: rate, ..config };
    let lake = Lake::open(folder).await.unwrap();
    let mut bound = serve(config, lake, folder.to_owned(), None, shutdown.clone()).await.unwrap();
    let run = std::mem::replace(&mut bound.run, Box::pin(async { Ok(()) }));
    let mut running = JoinSet::new();
    running.spawn(async move { run.await.unwrap() });
    (bound, running)
}

pub(super) async fn ended(shutdown: &CancellationToken, mut running: JoinSet<()>) {
    shutdown.cancel();
    running.join_next().await.unwrap().unwrap();
}

/// Runs a command to its end, with this on standard input, while the server of this process answers.
pub(super) async fn run_beside(mut command: Command, input: Vec<u8>) -> Output {
    let run = move || {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        child.stdin.take().unwrap().write_all(&input).unwrap();
        child.wait_with_output().unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// What psql prints of these commands, without alignment, and what it says on standard error.
pub(super) async fn psql(address: SocketAddr, password: &str, commands: &str) -> (String, String) {
    let mut psql = Command::new("psql");
    psql.args(["-X", "-A", "-w", "-h", &address.ip().to_string(), "-p", &address.port().to_string()])
        .args(["-U", "ann", "-d", "tributary", "-f", "-"])
        .env("PGPASSWORD", password)
        .env("LC_ALL", "C.UTF-8");
    let output = run_beside(psql, commands.as_bytes().to_vec()).await;
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn psycopg_reads_binds_and_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _printed = run_demo(27, 120, "", folder.path());
    let shutdown = CancellationToken::new();
    let streamed = SqlLimits { deadline: Duration::from_secs(3), ..ApiConfig::default().streamed_sql };
    let config = ApiConfig { streamed_sql: streamed, ..ApiConfig::default() };
    let (bound, running) = served(folder.path(), config, &shutdown).await;
    let address = bound.postgres.unwrap();
    let target = folder.path().join("out.csv");
    let attacks = attacks(&target);
    let statements: Vec<&String> = attacks.iter().map(|(statement, _)| statement).collect();
    let connection = format!("host={} port={} user=ann dbname=tributary", address.ip(), address.port());
    let client = script("postgres_client.py", &[Path::new(&connection)]);
    let output = run_beside(client, serde_json::to_vec(&statements).unwrap()).await;
    ended(&shutdown, running).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();

    let most = "9".repeat(38);
    let expected = json!({
        "yes": true, "small": -7, "middle": 70_000, "large": 9_007_199_254_740_993u64, "single": 0.5, "double": 1e300,
        "most": most, "little": "-0.00012", "words": "zwei Wörter", "bytes": "00ff", "day": "2024-02-29",
        "local": "2024-02-29 12:34:56.789012", "instant": "2024-02-29 12:34:56+00:00", "month": "30 days, 0:00:00",
        "numbers": [1, null, 3], "texts": ["a", "b c", "null", "\""], "nothing": null,
    });
    assert_eq!(told["text"], expected);
    assert_eq!(told["binary"], expected);
    assert_eq!(told["amount"], json!([1700, 38, 0]));
    assert_eq!(told["differ"], json!({}));
    assert_eq!(
        (&told["bound"], &told["as_text"], &told["any"]),
        (&json!([3, 4, 5]), &json!([3, 4, 5]), &json!([2, 4]))
    );
    assert_eq!((&told["by_hash"], &told["prepared"]), (&json!(3), &json!([1, 2, 3, 4, 5, 6, 7, 8])));
    assert!(told["by_money"][0].as_u64().unwrap() > 0 && told["by_money"][1] == 0, "{}", told["by_money"]);
    assert_eq!(told["streamed"], 5_000_050_000u64);
    assert_eq!(told["in_transaction"], "INTRANS");
    assert_eq!(told["failed"], json!(["42703", "25P02", "INERROR"]));
    assert_eq!((&told["inner"], &told["outer"]), (&json!("22012"), &json!(2)));
    assert_eq!(told["pipeline"], json!([0, 1, 2, 3, 4]));
    assert_eq!(told["type"], json!([1700, 1231]));
    assert_eq!(told["columns"], json!([["number", "bigint"], ["hash", "text"]]));
    assert_eq!((&told["oid"], &told["version_num"]), (&json!(true), &json!(1500)));
    assert!(told["grafana"].as_u64().unwrap() >= 45);
    assert_eq!(
        told["states"],
        json!({
            "syntax": "42601", "table": "42P01", "column": "42703", "function": "42883", "division": "22012",
            "value": "22P02", "digits": "22003", "setting": "42704", "zone": "22023", "setting_that_is": ["SET", null],
            "show": ["SELECT 1", [["on"]]], "two": told["states"]["two"], "none": told["states"]["none"],
            "endless": told["states"]["endless"],
        })
    );
    // It is stopped by its deadline, or by what it needs.
    assert!([json!("57014"), json!("53200")].contains(&told["states"]["endless"]), "{}", told["states"]["endless"]);
    for (statement, code) in &attacks {
        let state = told["refused"][statement].as_str().unwrap_or_else(|| panic!("{statement} was answered: {told:#}"));
        let refused = ["25006", "42601", "42704"].contains(&state);
        assert!(if *code == "SQL_REFUSED" { refused } else { state != "25006" }, "{statement}: {state}");
    }
    assert_eq!((&told["copied"], &told["after"]), (&json!("25006"), &json!(1)));
    assert!(!target.try_exists().unwrap(), "nothing is written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn psql_describes_tables_and_asks_by_an_api_key() {
    let folder = tempfile::tempdir().unwrap();
    let _printed = run_demo(28, 60, "", folder.path());
    let shutdown = CancellationToken::new();
    let (bound, running) = served(folder.path(), ApiConfig::default(), &shutdown).await;
    let address = bound.postgres.unwrap();
    let (printed, said) =
        psql(address, "", "\\d\n\\dt\n\\dv\n\\d blocks\n\\d earnings\n\\d nothing\n\\l\n\\dn\n\\du\n\\di\n").await;
    let lines: Vec<&str> = said.lines().filter_map(|line| line.split(" error: ").nth(1)).collect();
    assert_eq!(lines, ["Did not find any relation named \"nothing\".", "Did not find any relations."], "{printed}");
    for line in [
        "public|blocks|table|tributary",
        "public|earnings|view|tributary",
        "Table \"public.blocks\"",
        "Column|Type|Collation|Nullable|Default",
        "number|bigint||not null|",
        "timestamp|timestamp with time zone||not null|",
        "View \"public.earnings\"",
        "amount|numeric(38,0)||not null|",
        "tributary|tributary|UTF8|C|C|",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    let (printed, said) = psql(
        address,
        "",
        "select count(*) > 0 as some from blocks;\nselect 1; select 2;\nselect 1/0;\nselect current_user, version();\n\
         begin; select max(number) > 0 as more from blocks; commit;\nexplain select 1;\ncopy blocks to stdout;\n\
         copy blocks from stdin;\ndrop table blocks;\nselect 3 as last;\n",
    )
    .await;
    for line in ["some\nt\n", "ann|PostgreSQL 15.0 (Tributary", "BEGIN\nmore\nt\n(1 row)\nCOMMIT", "last\n3\n"] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    assert_eq!(said.matches("is refused").count(), 3, "{said}");

    let dir = folder.path().display().to_string();
    let made = json(&["key", "create", "ann", "--json", "--data-dir", &dir]);
    let secret = made["secret"].as_str().unwrap();
    for (password, expected) in [("", "no password supplied"), ("trib_wrong", "not known or was revoked")] {
        let (printed, said) = psql(address, password, "select 1;\n").await;
        assert!(printed.is_empty() && said.contains(expected), "{password}: {said}");
    }
    assert!(psql(address, secret, "select 5 as five;\n").await.0.contains("five\n5\n"));
    ended(&shutdown, running).await;
}

/// What psql offers to list; without what needs a name that is there.
const LISTS: [&str; 44] = [
    "\\dp",
    "\\dp blocks",
    "\\z",
    "\\dT",
    "\\dT+",
    "\\dTS",
    "\\df",
    "\\df+",
    "\\dfS count",
    "\\da",
    "\\l",
    "\\l+",
    "\\dn",
    "\\dn+",
    "\\dv",
    "\\dv+",
    "\\di",
    "\\di+",
    "\\du",
    "\\du+",
    "\\dg",
    "\\dt",
    "\\dt+",
    "\\d+",
    "\\dx",
    "\\dS",
    "\\ds",
    "\\dm",
    "\\dE",
    "\\dD",
    "\\db",
    "\\db+",
    "\\dO",
    "\\do",
    "\\dL",
    "\\dF",
    "\\dA+",
    "\\dAc",
    "\\dC",
    "\\dc",
    "\\dd",
    "\\ddp",
    "\\drds",
    "\\dconfig",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn psql_lists_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let _printed = run_demo(31, 60, "", folder.path());
    let shutdown = CancellationToken::new();
    let (bound, running) = served(folder.path(), ApiConfig::default(), &shutdown).await;
    let named = ["\\d+ blocks", "\\d+ earnings", "\\sv earnings", "\\dt+ blocks"];
    let commands = LISTS.into_iter().chain(named).collect::<Vec<_>>().join("\n");
    let (printed, said) = psql(bound.postgres.unwrap(), "", &format!("{commands}\n")).await;
    ended(&shutdown, running).await;
    assert!(!said.contains("ERROR"), "{said}");
    for line in [
        // Privileges that nobody changed are empty in PostgreSQL, too.
        "public|blocks|table|||",
        "public|earnings|view|||",
        "List of data types\nSchema|Name|Description\n(0 rows)",
        "pg_catalog|bigint|\n",
        "List of functions\nSchema|Name|Result data type|Argument data types|Type\n(0 rows)",
        "tributary|tributary|UTF8|C|C||libc|\n",
        "List of schemas\nName|Owner\nhot|tributary\npublic|tributary\n",
        "List of roles\nRole name|Attributes|Member of\ntributary||\n",
        "pg_default|tributary|",
        "number|bigint||not null||plain|||Block number.",
        "View definition:\n",
        "CREATE OR REPLACE VIEW public.earnings AS\nSELECT epoch, vault, account",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    // Sizes are those of the files: something, and together those of the database.
    let blocks =
        printed.lines().rfind(|line| line.starts_with("public|blocks|table|tributary|permanent|heap|")).unwrap();
    assert!(blocks.ends_with("|Verified L2 blocks.") && !blocks.contains("|0 bytes|"), "{blocks}");
    let database = printed.lines().find(|line| line.contains("|pg_default|")).unwrap();
    assert!(database.starts_with("tributary|tributary|UTF8|") && !database.contains("|0 bytes|"), "{database}");
}

/// What a server says until it closes, to somebody who says this.
fn shout(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    let _sent = stream.write_all(bytes);
    let mut said = Vec::new();
    let _read = stream.read_to_end(&mut said);
    said
}

const HELLO: &[u8] = b"\0\0\0\x12\0\x03\0\0user\0ann\0\0";

/// A message of a client: its kind, its length and this.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

/// The kinds of the messages in what a server said.
fn kinds(mut said: &[u8]) -> String {
    let mut kinds = String::new();
    while let [kind, a, b, c, d, ..] = said {
        kinds.push(char::from(*kind));
        said = &said[1 + usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap()..];
    }
    kinds
}

/// Another connection stops a query that has no end.
fn stop_from_elsewhere(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).unwrap();
    let endless = b"SELECT count(*) FROM generate_series(1, 10000000000000)\0";
    stream.write_all(&[HELLO, &message(b'Q', endless)].concat()).unwrap();
    let mut said: Vec<u8> = Vec::new();
    let key = loop {
        let mut more = [0; 512];
        let count = stream.read(&mut more).unwrap();
        said.extend(&more[..count]);
        if let Some(at) = said.windows(5).position(|five| five == b"K\0\0\0\x0c")
            && said.len() >= at + 13
        {
            break said[at + 5..at + 13].to_vec();
        }
    };
    let wrong = [&key[..4], &[0; 4]].concat();
    let mut ask = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || {
            let mut rest: Vec<u8> = Vec::new();
            let mut more = [0; 512];
            while !rest.windows(5).any(|five| five == b"57014") {
                let count = ask.read(&mut more).unwrap();
                assert!(count > 0, "the connection ended");
                rest.extend(&more[..count]);
            }
        });
        // It may not have begun yet.
        while !waiting.is_finished() {
            for secret in [&wrong, &key] {
                shout(address, &[b"\0\0\0\x10\x04\xd2\x16\x2e", secret.as_slice()].concat());
            }
        }
        waiting.join().unwrap();
    });
    stream.write_all(&message(b'X', b"")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn portals_are_read_in_parts_and_queries_are_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let _printed = run_demo(30, 60, "", folder.path());
    let shutdown = CancellationToken::new();
    let (bound, running) = served(folder.path(), ApiConfig::default(), &shutdown).await;
    let address = bound.postgres.unwrap();
    let five = b"s\0SELECT value FROM generate_series(1, 5)\0\0\0";
    let bound_to = b"p\0s\0\0\0\0\0\0\0";
    let two = message(b'E', b"p\0\0\0\0\x02");
    let (sync, end) = (message(b'S', b""), message(b'X', b""));
    let all = [
        HELLO,
        &message(b'P', five),
        &message(b'D', b"Ss\0"),
        &message(b'B', bound_to),
        &message(b'D', b"Pp\0"),
        &two,
        &two,
        &two,
        &two,
        &sync,
        // Gone with the Sync; what follows an error is passed over up to the next one.
        &two,
        &two,
        &sync,
        &message(b'C', b"Ss\0"),
        &message(b'B', bound_to),
        &sync,
        &message(b'Q', b" ; \0"),
        &end,
    ]
    .concat();
    let said = tokio::task::spawn_blocking(move || shout(address, &all)).await.unwrap();
    let began = kinds(&said).find('Z').unwrap();
    assert_eq!(&kinds(&said)[began + 1..], "1tT2TDDsDDsDCCZEZ3EZIZ");

    tokio::task::spawn_blocking(move || stop_from_elsewhere(address)).await.unwrap();
    ended(&shutdown, running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_message_ends_the_connection_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let _printed = run_demo(29, 60, "", folder.path());
    let shutdown = CancellationToken::new();
    let short = Duration::from_millis(300);
    let config = ApiConfig { connections_max: 4, header_deadline: short, body_deadline: short, ..ApiConfig::default() };
    let (bound, running) = served(folder.path(), config, &shutdown).await;
    let address = bound.postgres.unwrap();
    let hostile = move || {
        for (what, bytes) in [
            ("HTTP", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()),
            ("nothing but a length", b"\0\0\0\0".to_vec()),
            ("another version", b"\0\0\0\x09\0\x02\0\0\0".to_vec()),
            ("half a beginning", HELLO[..9].to_vec()),
            ("an unknown kind", [HELLO, b"?\0\0\0\x04"].concat()),
            ("a length of two gigabytes", [HELLO, b"Q\x7f\xff\xff\xff"].concat()),
            ("a negative length", [HELLO, b"Q\xff\xff\xff\xff"].concat()),
            ("half a message", [HELLO, b"Q\0\0\0\x40select"].concat()),
            ("a bind that is cut short", [HELLO, b"B\0\0\0\x08\0\0\0\x09"].concat()),
        ] {
            let said = shout(address, &bytes);
            let told = said.windows(5).any(|five| five == b"FATAL");
            assert_eq!(told, !what.starts_with("half"), "{what}: {:?}", String::from_utf8_lossy(&said));
        }
        // Encryption is declined, and then spoken without.
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"\0\0\0\x08\x04\xd2\x16\x2f").unwrap();
        let mut answer = [0];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"N");
        // Whoever does nothing makes room for others.
        let idle: Vec<TcpStream> = (0..20)
            .map(|_| {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(HELLO).unwrap();
                let mut first = [0; 9];
                stream.read_exact(&mut first).unwrap();
                assert_eq!(&first, b"R\0\0\0\x08\0\0\0\0");
                stream
            })
            .collect();
        idle
    };
    let idle = tokio::task::spawn_blocking(hostile).await.unwrap();
    assert!(psql(address, "", "select 5 as five;\n").await.0.contains("five\n5\n"));
    drop(idle);
    ended(&shutdown, running).await;
}
