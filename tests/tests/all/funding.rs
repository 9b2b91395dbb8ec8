//! A vault that holds less than it owes, followed through a node: what the balance covers goes on the tree, the rest
//! waits and is released when the money is there; whoever settles again comes to the same.

use serde_json::Value;
use std::path::Path;
use tributary_devnet::{Devnet, DevnetConfig, Fault, Workload, demo_policy};
use tributary_tests::follower::configure_devnet;
use tributary_tests::program::{self, json, rows, run};

/// Up to here the node says that the vault is short; epochs have 30 blocks.
const SHORT_UNTIL: u64 = 200;
/// The last epoch that ends in that time.
const LAST_SHORT: u64 = 5;

/// A chain, and the block at which everything is decided.
async fn chain(faults: &[Fault]) -> (Devnet, u64) {
    let config = DevnetConfig {
        seed: 5,
        finalized_lag: 8,
        certificates: false,
        workload: Workload { blocks: 180, policy: demo_policy(), ..Workload::default() },
        faults: faults.iter().copied().collect(),
        ..DevnetConfig::default()
    };
    let last = std::cmp::max(config.decided_at(), SHORT_UNTIL + 100);
    (Devnet::start(config).await.unwrap(), last)
}

fn configured(folder: &Path, devnet: &Devnet) -> String {
    configure_devnet(folder, devnet, "").unwrap().display().to_string()
}

/// Follows to a block and settles; where the ledger stands then.
fn follow(config: &str, last: u64) -> Value {
    program::follow(config, last);
    json(&["status", "--json", "--config", config])
}

fn units(value: &Value) -> i128 {
    value.as_str().unwrap_or_else(|| panic!("{value} is no decimal text")).parse().unwrap()
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_else(|| panic!("no {key} in {row}"))
}

/// Everything that is settled fits together and is made again, without a node.
fn is_sound(config: &str, epoch: u64) {
    for arguments in
        [vec!["verify", "store", "--config", config], vec!["replay", "--epoch", &epoch.to_string(), "--config", config]]
    {
        let output = run(&arguments).unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_vault_is_an_alarm_and_increases_wait_until_it_has_the_money() {
    let (devnet, last) = chain(&[Fault::ShortVault]).await;
    devnet.mine_to(SHORT_UNTIL);
    let (folder, another) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = configured(folder.path(), &devnet);
    let vault = devnet.contracts().reward_vault;

    let short = follow(&config, devnet.finalized());
    assert_eq!(short["snapshot"]["heads"]["settled_epoch"], LAST_SHORT, "{short:#}");
    let alarms = short["alarms"].as_array().unwrap();
    assert!(!alarms.is_empty() && alarms.iter().all(|alarm| alarm["kind"] == "vault_short"), "{alarms:#?}");
    let said = String::from_utf8(run(&["status", "--config", &config]).unwrap().stdout).unwrap();
    assert!(said.contains(&format!("vault_short in epoch {LAST_SHORT}, vault {vault}")), "{said}");
    let fundings = rows(&config, "select * from fundings where state = 'short' order by epoch");
    for row in &fundings {
        assert!(units(&row["held"]) < units(&row["owed"]) && units(&row["waiting"]) > 0, "{row}");
    }
    let waiting = rows(
        &config,
        "select account, token, sum(-amount) as units from entitlements where role in ('unfunded', 'funded') \
         group by account, token having sum(-amount) > 0 order by account, token",
    );
    assert!(waiting.len() > 10, "{waiting:?}");
    is_sound(&config, LAST_SHORT);

    devnet.mine_to(last);
    let end = devnet.finalized();
    let funded = follow(&config, end);
    let settled = funded["snapshot"]["heads"]["settled_epoch"].as_u64().unwrap();
    assert!(settled > LAST_SHORT + 1 && funded["alarms"] == serde_json::json!([]), "{funded:#}");
    let newest = format!("select * from fundings where epoch = {settled}");
    for row in rows(&config, &newest) {
        assert_eq!((text(&row, "state"), units(&row["waiting"])), ("covered", 0), "{row}");
    }
    let rest = "select account, sum(amount) as units from entitlements where role in ('unfunded', 'funded') \
                group by account, token having sum(amount) <> 0";
    assert_eq!(rows(&config, rest), Vec::<Value>::new(), "what waited came, and nothing else");
    is_sound(&config, settled);

    // Another node reads the same, whenever it follows, and comes to the same; one whose vault was never short comes to
    // the same tree in the end, by other entries.
    let heads = |status: &Value, key: &str| status["snapshot"]["heads"][key].clone();
    let again = follow(&configured(another.path(), &devnet), end);
    for key in ["roots", "ledger_digest", "manifest_hash"] {
        assert_eq!(heads(&again, key), heads(&funded, key), "{key}");
    }
    let ((honest, _), third) = (chain(&[]).await, tempfile::tempdir().unwrap());
    honest.mine_to(last);
    let never = follow(&configured(third.path(), &honest), end);
    assert_eq!(heads(&never, "roots"), heads(&funded, "roots"));
    assert_ne!(heads(&never, "ledger_digest"), heads(&funded, "ledger_digest"));
}
