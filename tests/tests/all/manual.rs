//! What the program says of itself: help, completions, manual pages, schemas; its exit codes; and the README's commands.

use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use tributary_tests::generated::root;
use tributary_tests::program::{binary, json, run, run_demo, tributary};

fn printed(arguments: &[&str]) -> String {
    let output = run(arguments).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that the committed help has a page of, as the words after `tributary`.
fn documented() -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("cli/HELP.md")).unwrap();
    let pages = text.lines().filter_map(|line| line.strip_prefix("## tributary"));
    pages.map(|page| page.trim().to_owned()).filter(|page| !page.is_empty()).collect()
}

#[test]
fn completions_know_every_command_and_bash_reads_them() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&["completions", shell]);
        for command in documented().iter().filter(|command| !command.contains(' ')) {
            assert!(script.contains(command.as_str()), "{shell} does not complete {command}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tributary.bash");
    std::fs::write(&file, printed(&["completions", "bash"])).unwrap();
    let complete = "COMP_WORDS=(tributary sta); COMP_CWORD=1; _tributary tributary sta tributary; echo ${COMPREPLY[@]}";
    let output = Command::new("bash").arg("-c").arg(format!("source {}; {complete}", file.display())).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "status", "{output:?}");
    assert_eq!(run(&["completions", "tcsh"]).unwrap().status.code(), Some(2));
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    printed(&["man", "--out", pages.to_str().unwrap()]);
    let commands = documented();
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        let file = pages.join(format!("tributary-{}.1", command.replace(' ', "-")));
        let page = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(page.contains(".SH SYNOPSIS"), "{page}");
    }
    assert!(printed(&["man"]).contains(".TH tributary 1"));
}

#[test]
fn schemas_are_those_that_are_committed() {
    let committed = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    assert_eq!(printed(&["schema", "graphql"]).trim_end(), committed("schemas/graphql/schema.graphql").trim_end());
    let table = printed(&["schema", "tables", "--table", "claims"]);
    assert_eq!(table.trim_end(), committed("schemas/tables/claims.md").trim_end());
    assert!(printed(&["schema", "tables"]).contains(table.trim_end()));
    let unknown = run(&["schema", "tables", "--table", "clams"]).unwrap();
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("claims"), "{unknown:?}");
    let keys = json(&["schema", "config", "--json"]);
    let shown = json(&["config", "show", "--json", "--config", "/dev/null"]);
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&keys), names(&shown));
    assert_eq!(keys["chain.poll_interval_ms"]["variable"], "TRIBUTARY_CHAIN_POLL_INTERVAL_MS");
    assert_eq!(keys["chain.poll_interval_ms"]["default"], shown["chain.poll_interval_ms"]["value"]);
}

#[test]
fn a_command_ends_with_the_exit_code_of_what_went_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    assert!(run_demo(3, 40, "", &data)["log_root"].is_string());
    let data = data.to_str().unwrap();
    let wrong = folder.path().join("wrong.toml");
    std::fs::write(&wrong, "[chain]\nchain_idd = 1\n").unwrap();
    let proofs = folder.path().join("proofs.json");
    let account = json(&["sql", "--json", "--data-dir", data, "select account from merkle_leaves limit 1"]);
    let account = account[0]["account"].as_str().unwrap();
    printed(&["proof", "--data-dir", data, account, "-o", proofs.to_str().unwrap()]);
    let mut forged: Value = serde_json::from_slice(&std::fs::read(&proofs).unwrap()).unwrap();
    let proofs = proofs.to_str().unwrap();
    assert_eq!(run(&["verify", proofs]).unwrap().status.code(), Some(0));
    forged[0]["cumulative"] = Value::from("1");
    let forgery = folder.path().join("forged.json");
    std::fs::write(&forgery, forged.to_string()).unwrap();
    let nowhere = folder.path().join("nowhere");
    let cases: [(&[&str], i32); 6] = [
        (&["sql", "--data-dir", data, "select nonsense"], 1),
        (&["explain", "--data-dir", data], 2),
        (&["verify", forgery.to_str().unwrap()], 3),
        (&["config", "show", "--config", wrong.to_str().unwrap()], 4),
        (&["status", "--every", "2", "--data-dir", data], 2),
        (&["status", "--data-dir", nowhere.to_str().unwrap()], 6),
    ];
    for (arguments, code) in cases {
        let output = run(arguments).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.is_empty(), "{arguments:?} said its error on standard output");
    }
    for (signal, code) in [("-INT", 130), ("-TERM", 0)] {
        assert_eq!(watched(data, signal), code, "{signal}");
    }
}

/// Watches a status until its first line is there, sends the signal, and gives the exit code.
fn watched(data: &str, signal: &str) -> i32 {
    let mut command = tributary(&["status", "--watch", "--json", "--data-dir", data]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    assert!(said["snapshot"]["version"].is_u64(), "{line}");
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    let code = child.wait().unwrap().code().unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "nothing had changed");
    code
}

/// The block of a document that begins with a line, word for word.
fn block(document: &str, begins: &str) -> String {
    let text = std::fs::read_to_string(root().join(document)).unwrap();
    let mut blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.find(|block| block.starts_with(begins)).unwrap_or_else(|| panic!("{document} has {begins}")).to_owned()
}

/// A script without the lines in which somebody has to fill something in.
fn filled_in(block: &str) -> String {
    block.lines().filter(|line| !line.contains("=...")).map(|line| format!("{line}\n")).collect()
}

/// The README's block of commands over a data folder, word for word, but for what it says to fill in.
#[test]
fn the_commands_of_the_readme_run() {
    let block = block("README.md", "DATA=...");
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    assert!(run_demo(1, 150, "", &data)["log_root"].is_string());
    let query = block.lines().find(|line| line.contains(" sql ")).unwrap();
    let listed = shell(folder.path(), &data, query);
    let account = listed.lines().nth(1).and_then(|line| line.split_whitespace().next()).unwrap();
    assert!(account.starts_with("0x") && account.len() == 42, "{listed}");
    let commands = block.replace("ACCOUNT=0x...", &format!("ACCOUNT={account}"));
    let said = shell(folder.path(), &data, &filled_in(&commands));
    assert!(said.contains("sealed block"), "{said}");
}

/// The operators' copy of a data folder is whole, and answers as the folder does.
#[test]
fn a_backup_as_the_operators_page_makes_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    assert!(run_demo(5, 80, "", &data)["log_root"].is_string());
    let script = format!("COPY=copy\nNEW=new\n{}", filled_in(&block("OPERATIONS.md", "DATA=...")));
    shell(folder.path(), &data, &script);
    let rows =
        |data: &Path| printed(&["sql", "--data-dir", data.to_str().unwrap(), "select * from claims order by 1, 2, 3"]);
    assert_eq!(rows(&folder.path().join("copy")), rows(&data));
    assert_eq!(rows(&folder.path().join("new")), rows(&data));
    // What is missing from a copy is told.
    let lost = std::fs::read_dir(folder.path().join("copy/tables/claims")).unwrap();
    for file in lost.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        std::fs::remove_file(file).unwrap();
    }
    let output = run(&["verify", "--data-dir", folder.path().join("copy").to_str().unwrap(), "store"]).unwrap();
    assert!(!output.status.success());
}

/// What a script says on standard output; it must end well.
fn shell(folder: &Path, data: &Path, script: &str) -> String {
    let program = format!("tributary() {{ {} \"$@\"; }}", binary().display());
    let whole = format!("set -euo pipefail\n{program}\nDATA={}\n{script}\n", data.display());
    let output = Command::new("bash").arg("-c").arg(&whole).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{whole}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
