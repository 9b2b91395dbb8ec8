//! Whoever asks too much is refused with a code, and everybody else is answered meanwhile.

use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use tributary_tests::program::serve_demo;

/// More than the server has places for.
const SLOW: usize = 100;

fn connect(url: &str) -> (TcpStream, String) {
    let host = url.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    (TcpStream::connect(&host).unwrap(), host)
}

/// Status and answer of a POST to /graphql.
fn post(url: &str, body: &str) -> (u16, Value) {
    let (mut stream, host) = connect(url);
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\nconnection: close\r\n\
         accept: application/graphql-response+json\r\nx-forwarded-for: 203.0.113.9\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // A server that refuses a body need not read all of it.
    let _sent = stream.write_all(body.as_bytes());
    let mut answer = Vec::new();
    let _read = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
}

fn asked(query: &str) -> String {
    json!({ "query": query }).to_string()
}

/// Forty fragments, each of which spreads the next one twice: 2^40 fields in a kilobyte.
fn fragments() -> String {
    let nested = (0..40).map(|level| format!(" fragment f{level} on Query {{ ...f{0} ...f{0} }}", level + 1));
    format!("{{ ...f0 }}{} fragment f40 on Query {{ status {{ finality }} }}", nested.collect::<String>())
}

#[test]
fn bombs_are_refused_and_others_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = serve_demo(2, 120, "", folder.path()).unwrap();
    demo.until_settled();
    let url = demo.url.clone();
    let fine = asked("{ status { snapshot } }");
    assert_eq!(post(&url, &fine).0, 200);

    // Clients that begin a body and never end it, more of them than there are places.
    let slow: Vec<TcpStream> = (0..SLOW)
        .map(|_| {
            let (mut stream, host) = connect(&url);
            let head = format!("POST /graphql HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{{");
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    assert_eq!(post(&url, &fine).0, 200, "{SLOW} slow clients keep others out");

    let aliases = (0..65).map(|n| format!("a{n}: status {{ finality }} ")).collect::<String>();
    let directives = "@include(if: true) ".repeat(600);
    for (what, body, status, code) in [
        ("fragments", asked(&fragments()), 400, "QUERY_TOO_LARGE"),
        ("aliases", asked(&format!("{{ {aliases} }}")), 400, "QUERY_TOO_LARGE"),
        ("directives", asked(&format!("{{ status {directives} {{ finality }} }}")), 400, "QUERY_TOO_LARGE"),
        ("depth", asked(&"{a".repeat(20_000)), 400, "QUERY_TOO_DEEP"),
        (
            "lists in lists",
            asked("{ datasets(first: 500) { nodes { contributions(first: 500) { nodes { dataset { id } } } } } }"),
            400,
            "QUERY_TOO_COMPLEX",
        ),
        ("a batch", format!("[{fine},{fine}]"), 400, "BATCH_REFUSED"),
        ("no JSON", "{".to_owned(), 400, "BAD_REQUEST"),
        ("a page without end", asked("{ payments(first: 501) { totalCount } }"), 400, "BAD_USER_INPUT"),
    ] {
        let (got, answer) = post(&url, &body);
        assert_eq!((got, answer["errors"][0]["extensions"]["code"].as_str()), (status, Some(code)), "{what}: {answer}");
        assert_eq!(post(&url, &fine).0, 200, "after {what}");
    }
    let (status, answer) = post(&url, &asked(&"x".repeat(100_000)));
    assert_eq!((status, answer["code"].as_str()), (413, Some("QUERY_TOO_LARGE")), "{answer}");

    // The quota is this machine's, whoever it says that it asks for.
    let dear = asked("{ accounts(first: 500) { nodes { nothing } } }");
    let refused = (0..1_000).map(|_| post(&url, &dear)).find(|(status, _)| *status == 429);
    let (status, answer) = refused.expect("a thousand dear requests are within the quota");
    assert_eq!((status, answer["code"].as_str()), (429, Some("RATE_LIMITED")), "{answer}");
    drop(slow);
    demo.stop();
}
