//! The benchmark of following: events of one contract, from one Anvil, verified, decoded, folded, sealed.

use alloy::primitives::U256;
use alloy::providers::Provider as _;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::anvil::Anvil;
use crate::blobs::BlobServer;
use crate::measure;
use crate::suite::{Spray, Suite, mined};

const CHAIN_ID: u64 = 1612;
const GENESIS: u64 = 1_750_000_000;

/// How much.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Blocks with events.
    pub blocks: u64,
    /// Events in each.
    pub events_per_block: u64,
}

/// Makes the chain, runs `binary` over it and gives what was measured, after checking that nothing is missing.
///
/// # Panics
/// When a part of it fails, or the follower's tables are not complete.
pub async fn bench(binary: &Path, load: Load) -> Value {
    let genesis = GENESIS.to_string();
    let anvil = Anvil::start_l2(&["--slots-in-an-epoch", "1", "--timestamp", &genesis, "--gas-limit", "1000000000000"])
        .expect("anvil starts");
    let provider = anvil.provider();
    let admin = provider.get_accounts().await.expect("anvil has accounts")[0];
    let suite = Suite::deploy(&provider, admin).await.expect("the suite deploys");
    let spray = Spray::deploy_builder(provider.clone()).from(admin).deploy_sync().await.expect("the contract deploys");
    let spray = Spray::new(spray, provider.clone());
    for block in 0..load.blocks {
        let first = U256::from(block * load.events_per_block);
        let call = spray.spray(first, U256::from(load.events_per_block));
        let _receipt = mined(call.from(admin)).await.expect("the events are emitted");
    }
    let last = provider.get_block_number().await.expect("anvil answers");
    let _answer: Value = provider.raw_request("anvil_mine".into(), ["0x4"]).await.expect("anvil mines");

    let blobs = BlobServer::start().await.expect("a port is free");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let data = folder.path().join("data").display().to_string();
    let config = format!(
        "[chain]\nchain_id = {CHAIN_ID}\nstart_block = {}\nl2_urls = [\"{}\"]\npoll_interval_ms = 20\n[eigenda]\nproxy_urls = [\"{}\"]\n\
         [contracts]\nreward_vault = [\"{}\"]\n[storage]\ndata_dir = \"{data}\"\n[settlement]\nepoch_origin = {GENESIS}\nepoch_seconds = 1000000\n[api]\nlisten = \"127.0.0.1:0\"\n",
        suite.first_block,
        anvil.http_url(),
        blobs.url(),
        spray.address(),
    );
    let file = folder.path().join("tributary.toml");
    std::fs::write(&file, config).expect("a file can be written");
    let mut child = Command::new(binary)
        .args(["run", "--until-block", &last.to_string(), "--config"])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the program starts");
    let taken = measure::wait(&mut child).expect("the program can be waited for");
    assert!(taken.status.success(), "the follower ended with {}", taken.status);
    let events = load.blocks * load.events_per_block;
    complete(binary, &data, events);
    let seconds = taken.wall.as_secs_f64();
    json!({
        "events": events,
        "blocks": last,
        "seconds": seconds,
        "events_per_second": u128::from(events) * 1_000_000 / std::cmp::max(taken.wall.as_micros(), 1),
        "peak_rss_mib": taken.peak_rss_bytes >> 20,
    })
}

/// Completeness before speed: the sum over event numbers is what the contract emitted.
fn complete(binary: &Path, data: &str, events: u64) {
    let query = "select count(*) as n, sum(delta) as total from stakes";
    let output =
        Command::new(binary).args(["sql", "--json", "--data-dir", data, query]).output().expect("the program starts");
    let rows: Value = serde_json::from_slice(&output.stdout).expect("sql --json prints JSON");
    let total = u128::from(events) * (u128::from(events) + 1) / 2;
    assert_eq!(rows, json!([{ "n": events, "total": total.to_string() }]), "rows are missing or wrong");
}
