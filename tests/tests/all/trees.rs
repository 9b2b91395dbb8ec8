//! `tributary tree build`: anybody's list as a tree of anybody's format, from the command line.

use serde_json::Value;
use std::path::Path;
use std::process::Command;
use tributary_tests::generated::root;
use tributary_tests::lists::{FORMATS, account, list};
use tributary_tests::program::{json, run};

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn openzeppelins_library_makes_the_same_tree_of_a_list() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list.csv");
    for rows in [1, 2, 3, 100, 1_025] {
        std::fs::write(&file, list("amount,account,token", rows)).unwrap();
        let owner = format!("{:#x}", account(rows - 1));
        let ours = json(&["tree", "build", "--format", "oz", &text(&file), "--proof", &owner, "--json"]);
        let output = Command::new("node")
            .arg("tree.mjs")
            .args([text(&file), owner])
            .current_dir(root().join("tests/node"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let theirs: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&ours["root"], &ours["leaves"]), (&theirs["root"], &theirs["leaves"]), "{rows} rows");
        let (proof, branch) = (&ours["proofs"][0], &ours["proofs"][0]["branches"][0]);
        let expected = &theirs["proofs"][proof["token"].as_str().unwrap()];
        assert_eq!((&branch["leaf"], &branch["siblings"]), (&expected["leaf"], &expected["siblings"]), "{rows} rows");
    }
}

/// Arguments and more of them.
fn joined<'a>(first: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [first, more].concat()
}

#[test]
fn every_format_is_built_proved_and_compared_with_what_was_published() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list.csv");
    let nodes = folder.path().join("nodes");
    for (format, _, columns) in FORMATS {
        std::fs::write(&file, list(columns, 11)).unwrap();
        let owner = account(4).to_string();
        let arguments = ["tree", "build", "--format", format, &text(&file)];
        let built = json(&joined(&arguments, &["--proof", &owner, "--leaves", "--nodes", &text(&nodes), "--json"]));
        assert_eq!(built["leaves"], 11, "{format}");
        assert_eq!(built["tree"].as_array().unwrap().len(), 11);
        let branches = built["proofs"][0]["branches"].as_array().unwrap();
        assert_eq!(branches.len(), if format == "eigen" { 2 } else { 1 });
        assert_eq!(branches.last().unwrap()["root"], built["root"]);
        let written = std::fs::read(&nodes).unwrap();
        let hex = alloy_primitives::hex::encode_prefixed(&written[..32]);
        assert_eq!(built["root"], hex, "{format}: the root is the first node");

        let published = built["root"].as_str().unwrap();
        assert_eq!(run(&joined(&arguments, &["--root", published])).unwrap().status.code(), Some(0));
        let other = format!("0x{}", "1".repeat(64));
        let differs = run(&joined(&arguments, &["--root", &other])).unwrap();
        assert_eq!(differs.status.code(), Some(3), "{format}");
        assert!(String::from_utf8_lossy(&differs.stderr).contains(published));
        let nobody = format!("0x{}", "1".repeat(40));
        let absent = run(&joined(&arguments, &["--proof", &nobody])).unwrap();
        assert_eq!(absent.status.code(), Some(1), "{format}");
        assert!(String::from_utf8_lossy(&absent.stderr).contains("is not in"));
    }
    std::fs::write(&file, "account,token,amount\n0x12,0x34,1\n").unwrap();
    let wrong = run(&["tree", "build", "--format", "oz", &text(&file)]).unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("row 1: account is \"0x12\""));
}
