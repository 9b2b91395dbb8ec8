//! What operators watch: the metrics of a running demo, and that every panel and rule asks for ones that exist.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use tributary_tests::generated::root;
use tributary_tests::program::{get, serve_demo};

/// The names of metrics in a text, without what Prometheus adds to those of histograms.
fn names(text: &str) -> BTreeSet<String> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let words = text.split(word).filter(|word| word.starts_with("tributary_"));
    words.map(|word| ["_bucket", "_sum"].iter().fold(word, |word, end| word.trim_end_matches(end)).to_owned()).collect()
}

fn promtool(arguments: &[&str], input: &str) {
    let process = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut process = process.expect("tests/install.sh installs promtool");
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
}

#[test]
fn every_panel_and_rule_asks_for_metrics_that_exist() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = serve_demo(8, 300, "reorg", folder.path()).unwrap();
    demo.until_settled();
    let admin = demo.admin.clone();
    // One request that is answered and one that is refused, so that both are counted.
    for query in ["%7Bstatus%7Bsnapshot%7D%7D", "%7Bnothing%7D"] {
        let (status, _) = get(&demo.url, &format!("graphql?query={query}")).unwrap();
        assert_eq!(status, 200, "{query}");
    }
    let (status, text) = get(&admin, "metrics").unwrap();
    assert_eq!(status, 200, "{text}");
    promtool(&["check", "metrics"], &text);
    let served = names(&text);
    for area in ["indexer", "store", "settlement", "api"] {
        assert!(served.iter().any(|name| name.starts_with(&format!("tributary_{area}_"))), "{area}: {served:?}");
    }
    for file in ["tributary.json", "alerts.yml"] {
        let path = root().join("dashboards/grafana").join(file);
        let asked = names(&std::fs::read_to_string(path).unwrap());
        let absent: Vec<_> = asked.difference(&served).collect();
        assert!(asked.len() > 5 && absent.is_empty(), "{file} asks for {absent:?}, which nobody serves: {served:?}");
    }
    let rules = root().join("dashboards/grafana/alerts.yml");
    promtool(&["check", "rules", &rules.display().to_string()], "");
    assert!(text.contains("tributary_api_errors_total{code=\"GRAPHQL_VALIDATION_FAILED\"} 1"), "{text}");
    assert_eq!(get(&admin, "readyz").unwrap().0, 200);
    assert_eq!(get(&admin, "healthz").unwrap(), (200, "ok\n".to_owned()));
    // Operators' pages are on their own address only: elsewhere the path is one of the dashboard's.
    assert!(!get(&demo.url, "metrics").unwrap().1.contains("# TYPE tributary_"));
    demo.stop();
}
