//! Backups: a copy made beside a running follower is whole, and a node goes on from it to the same roots.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use tributary_tests::program::{binary, demo, json, roots, run, run_demo};

const SEED: u64 = 35;
const BLOCKS: u64 = 300;

/// A backup of one folder into another: what it says, or its exit code.
fn backup(from: &Path, to: &Path) -> Result<Value, Option<i32>> {
    let (from, to) = (from.display().to_string(), to.display().to_string());
    let output = run(&["store", "backup", &to, "--json", "--data-dir", &from]).unwrap();
    serde_json::from_slice(&output.stdout).map_err(|_not_json| output.status.code())
}

fn restore(from: &Path, to: &Path) -> (Option<i32>, String) {
    let (from, to) = (from.display().to_string(), to.display().to_string());
    let output = run(&["store", "restore", &from, "--json", "--data-dir", &to]).unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_copy_beside_a_follower_goes_on_to_the_same_roots() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let arguments = demo(SEED, BLOCKS, "", &at("first"));
    let quiet = || Command::new(binary()).args(&arguments).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    let mut follower = quiet().unwrap();
    // Again and again while it follows, until there is something in the copy.
    let early = loop {
        match backup(&at("first"), &at("copy")) {
            Ok(said) if said["block"].as_u64() >= Some(100) => break said,
            Ok(_) => {}
            Err(code) => assert_eq!(code, Some(6), "only that nothing is published yet"),
        }
    };
    assert!(follower.wait().unwrap().success());
    let expected = run_demo(SEED, BLOCKS, "", &at("first"));
    assert_eq!(restore(&at("copy"), &at("second")), (Some(0), String::new()));
    assert_eq!(roots(&run_demo(SEED, BLOCKS, "", &at("second"))), roots(&expected));

    // The next backup adds to the same folder, and nothing when nothing was published since.
    let late = backup(&at("first"), &at("copy")).unwrap();
    assert!(late["snapshot"].as_u64() >= early["snapshot"].as_u64(), "{late}");
    assert_eq!(backup(&at("first"), &at("copy")).unwrap()["files"], 0);
    assert_eq!(restore(&at("copy"), &at("third")), (Some(0), String::new()));
    let data = at("third").display().to_string();
    let status = json(&["status", "--json", "--data-dir", &data]);
    assert!(status.to_string().contains(expected["log_root"].as_str().unwrap()), "{status:#}");
    assert_eq!(roots(&run_demo(SEED, BLOCKS, "", &at("third"))), roots(&expected));

    // What is there is never written over, and damage is found.
    let (code, said) = restore(&at("copy"), &at("third"));
    assert!(code == Some(6) && said.contains("has something published"), "{said}");
    let inside = at("first").join("blobs").join("copy");
    assert_eq!(backup(&at("first"), &inside), Err(Some(1)));
    let some = std::fs::read_dir(at("copy").join("blobs")).unwrap().next().unwrap().unwrap().path();
    let blob = std::fs::read_dir(some).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let (code, said) = restore(&at("copy"), &at("fourth"));
    assert!(code == Some(3) && said.contains("differences"), "{said}");
}
