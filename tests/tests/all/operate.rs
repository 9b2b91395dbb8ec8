//! What an operator does first: a configuration file to fill in, and a doctor that looks at it.

use serde_json::Value;
use std::path::Path;
use tributary_devnet::{Devnet, DevnetConfig, Fault, L1_CHAIN_ID};
use tributary_tests::follower::configure_devnet;
use tributary_tests::program::{json, run, run_demo};

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

/// A configuration of everything the devnet has, with these L2 nodes.
fn configured(folder: &Path, devnet: &Devnet, l2_urls: &[String]) -> String {
    let more = format!(
        "[chain]\nl2_urls = {l2_urls:?}\nl1_urls = [{:?}]\nl1_chain_id = {L1_CHAIN_ID}\nl1_beacon_urls = [{:?}]\n",
        devnet.l1_http(),
        devnet.beacon_url(),
    );
    text(&configure_devnet(folder, devnet, &more).unwrap())
}

async fn devnet(fault: Option<Fault>) -> Devnet {
    let config = DevnetConfig { faults: fault.into_iter().collect(), ..DevnetConfig::default() };
    let devnet = Devnet::start(config).await.unwrap();
    devnet.mine_to(100);
    devnet
}

/// The exit code, the checks and those of them that failed.
fn examined(file: &str) -> (Option<i32>, Vec<Value>, Vec<Value>) {
    let output = run(&["doctor", "--json", "--config", file]).unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap().clone();
    let failed: Vec<Value> = checks.iter().filter(|check| check["outcome"] == "failed").cloned().collect();
    assert_eq!(report["healthy"], failed.is_empty());
    (output.status.code(), checks, failed)
}

fn says(finding: &Value, key: &str, what: &str) {
    assert!(finding[key].as_str().unwrap().contains(what), "{key} does not say {what:?}: {finding:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_a_healthy_network_healthy() {
    for (fault, by) in [(None, "by eth_getBlockReceipts"), (Some(Fault::NoBlockReceipts), "in batches")] {
        let (folder, devnet) = (tempfile::tempdir().unwrap(), devnet(fault).await);
        let file = configured(folder.path(), &devnet, &[devnet.l2_http(), devnet.l2_ws()]);
        let (code, checks, failed) = examined(&file);
        assert_eq!((code, failed), (Some(0), vec![]));
        let receipts: Vec<_> =
            checks.iter().filter(|check| check["check"].as_str().unwrap().ends_with("receipts")).collect();
        assert_eq!(receipts.len(), 3, "two nodes of the L2, one of the L1: {checks:#?}");
        receipts.iter().for_each(|check| says(check, "seen", by));
        let genesis = checks.iter().find(|check| check["check"].as_str().unwrap().ends_with("genesis")).unwrap();
        says(genesis, "seen", "slots of 12000 ms: L1 block");
        assert!(!folder.path().join("data").try_exists().unwrap(), "looking made the data folder");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_is_wrong_and_how_to_mend_it() {
    let folder = tempfile::tempdir().unwrap();
    let other_chain = devnet(Some(Fault::WrongChainId)).await;
    let (code, checks, failed) = examined(&configured(folder.path(), &other_chain, &[other_chain.l2_http()]));
    assert_eq!((code, failed.len()), (Some(5), 2), "{checks:#?}");
    says(&failed[0], "seen", "chain id expected 16121, got 16122");
    says(&failed[0], "mend", "chain.l2_urls");
    says(&failed[1], "mend", "chain.l1_urls");

    let healthy = devnet(None).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dead = [format!("http://{port}"), healthy.l2_http()];
    let (code, checks, failed) = examined(&configured(folder.path(), &healthy, &dead));
    assert_eq!((code, failed.len()), (Some(5), 1), "{checks:#?}");
    says(&failed[0], "check", &port.to_string());
    says(&failed[0], "seen", "refused");
    says(&failed[0], "mend", "can be reached");
    assert!(checks.len() > 8, "one dead node hides other checks: {checks:#?}");

    let file = configured(folder.path(), &healthy, &[healthy.l2_http()]);
    let nobody = "0x00000000000000000000000000000000000000aa";
    let vault = healthy.contracts().reward_vault.to_string();
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap().replace(&vault, nobody)).unwrap();
    let (code, _, failed) = examined(&file);
    assert_eq!((code, failed.len()), (Some(4), 1), "{failed:#?}");
    says(&failed[0], "check", "contracts.reward_vault");
    says(&failed[0], "seen", "no code");
}

#[test]
fn the_doctor_reads_the_folder_and_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = text(&folder.path().join("tributary.toml"));
    assert_eq!(ended(&["init", "--out", &file]).0, Some(0));
    let (code, _, failed) = examined(&file);
    assert_eq!((code, failed.len()), (Some(4), 1), "{failed:#?}");
    says(&failed[0], "seen", "chain.l2_urls");
    std::fs::write(&file, "[chain]\nl2_url = []\n").unwrap();
    let (code, _, failed) = examined(&file);
    assert_eq!((code, failed.len()), (Some(4), 1), "{failed:#?}");
    says(&failed[0], "seen", "chain.l2_urls");

    let wrong =
        "[chain]\nl2_urls = [\"127.0.0.1\"]\n[contracts]\nreward_vault = [\"0x12\"]\n[api]\ntokens = [\"OPEN\"]\n";
    std::fs::write(&file, wrong).unwrap();
    let (code, _, failed) = examined(&file);
    let named = ["chain.l2_urls \"127.0.0.1\"", "contracts.reward_vault \"0x12\"", "api.tokens"];
    assert_eq!((code, failed.len()), (Some(4), named.len()), "{failed:#?}");
    failed.iter().zip(named).for_each(|(finding, named)| says(finding, "check", named));

    let (data, taken) = (folder.path().join("keys"), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let taken_at = taken.local_addr().unwrap().to_string();
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("keys.json"), "[").unwrap();
    let wrong = format!(
        "[chain]\nl2_urls = [\"http://127.0.0.1:1\"]\n[storage]\ndata_dir = {data:?}\n\
         [api]\npostgres_listen = \"5432\"\nflight_listen = {taken_at:?}\nmax_connections = 0\n"
    );
    std::fs::write(&file, wrong).unwrap();
    let (_, _, failed) = examined(&file);
    let flight = format!("api.flight_listen {taken_at}");
    for (check, seen) in [
        ("api.postgres_listen \"5432\"", "no ADDRESS:PORT"),
        (&flight, "in use"),
        ("api, sql", "api.max_connections is 0"),
        ("API keys", "EOF"),
    ] {
        let found = failed.iter().find(|finding| finding["check"] == check);
        says(found.unwrap_or_else(|| panic!("{check}: {failed:#?}")), "seen", seen);
    }

    std::fs::write(&file, format!("[storage]\nmin_free_bytes = {}\n", i64::MAX)).unwrap();
    let (code, _, failed) = examined(&file);
    assert_eq!(code, Some(6), "{failed:#?}");
    says(&failed[0], "check", "free space");
    says(&failed[0], "expected", "8589934591 GiB");
    says(&failed[0], "mend", "storage.min_free_bytes");

    // The data of the demo's chain, under the configuration of another.
    let data = folder.path().join("data");
    let _summary = run_demo(3, 60, "", &data);
    std::fs::write(&file, format!("[storage]\ndata_dir = {data:?}\n")).unwrap();
    let (code, _, failed) = examined(&file);
    assert_eq!(code, Some(6), "{failed:#?}");
    says(&failed[0], "check", "published tables");
    says(&failed[0], "seen", "chain 16121,");
    says(&failed[0], "expected", "chain 1612,");
}
