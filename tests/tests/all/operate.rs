//! What an operator does first: a configuration file to fill in, and a doctor that looks at it.

use std::path::Path;
use tributary_tests::program::{json, run};

/// Exit code and what was said.
fn ended(arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(arguments).unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn init_writes_a_file_that_the_program_reads_and_never_overwrites() {
    let folder = tempfile::tempdir().unwrap();
    let file = text(&folder.path().join("tributary.toml"));
    assert_eq!(ended(&["init", "--out", &file]).0, Some(0));
    let shown = json(&["config", "show", "--json", "--config", &file]);
    assert_eq!(shown["chain.chain_id"]["value"], 1612);
    assert_eq!(shown["api.tokens"]["value"][0], "0x0000000000000000000000000000000000000000:OPEN:18");
    let (code, said) = ended(&["init", "--preset", "custom", "--out", &file]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("--out"), "{said}");
    assert_eq!(json(&["config", "show", "--json", "--config", &file]), shown);
}

#[test]
fn run_names_every_placeholder_and_touches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (text(&folder.path().join("tributary.toml")), folder.path().join("data"));
    assert_eq!(ended(&["init", "--preset", "custom", "--out", &file]).0, Some(0));
    let (code, said) = ended(&["run", "--config", &file, "--data-dir", &text(&data)]);
    assert_eq!(code, Some(4), "{said}");
    for key in ["chain.chain_id", "chain.l2_urls", "eigenda.proxy_urls"] {
        assert!(said.contains(key), "{key} is not named: {said}");
    }
    assert!(!data.try_exists().unwrap());
}
