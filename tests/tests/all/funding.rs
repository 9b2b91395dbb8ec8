//! A vault that holds less than it owes, followed through a node: what the balance covers goes on the tree, the rest
//! waits and is released when the money is there; whoever settles again comes to the same.

use serde_json::Value;
use std::path::Path;
use tributary_devnet::{Devnet, DevnetConfig, Fault, L2_CHAIN_ID, Workload, demo_policy};
use tributary_tests::follower::configure_devnet;
use tributary_tests::program::{self, json, rows, run, serve_run};

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

/// The oldest of these epochs that this much does not pay for, the oldest first.
fn oldest_unpaid(waits: &[Value], mut paid: i128) -> Option<i64> {
    let unpaid = waits.iter().find(|row| {
        paid -= units(&row["units"]);
        paid < 0
    });
    unpaid.and_then(|row| row["epoch"].as_i64())
}

/// The server of such a ledger says what waits for which vault since when, and of an account what is its own.
async fn is_told(config: &str, waiting: &Value) {
    let (account, token) = (text(waiting, "account"), text(waiting, "token"));
    let mut served = serve_run(Path::new(config)).unwrap();
    let query = format!(
        "{{ status {{ unfunded {{ vault token sinceEpoch owed {{ raw }} held {{ raw }} waiting {{ raw }} }} }}
         account(address: \"{account}\") {{ pending {{ kind sinceEpoch untilBlock vault amount {{ raw token }} }} }} }}"
    );
    let client =
        reqwest::Client::new().post(format!("{}graphql", served.url)).header("content-type", "application/json");
    let told = client.body(serde_json::json!({ "query": query }).to_string()).send().await.unwrap();
    let told = told.json::<Value>().await.unwrap();
    served.stop();

    let same = |told: &Value, row: &str| told.as_str().unwrap().eq_ignore_ascii_case(row);
    let vaults = told["data"]["status"]["unfunded"].as_array().unwrap_or_else(|| panic!("{told:#}"));
    let newest = rows(config, &format!("select * from fundings where epoch = {LAST_SHORT} and waiting > 0"));
    assert!(!newest.is_empty() && vaults.len() == newest.len(), "{vaults:?} {newest:?}");
    for row in &newest {
        let of = |one: &&Value| same(&one["vault"], text(row, "vault")) && same(&one["token"], text(row, "token"));
        let one = vaults.iter().find(of).unwrap_or_else(|| panic!("{row} is not told: {vaults:?}"));
        for key in ["owed", "held", "waiting"] {
            assert_eq!(one[key]["raw"], row[key], "{key}");
        }
        let (vault, token) = (text(row, "vault"), text(row, "token"));
        let states = rows(
            config,
            &format!(
                "select epoch, waiting from fundings where vault = '{vault}' and token = '{token}' order by epoch desc"
            ),
        );
        let since = states.iter().take_while(|row| units(&row["waiting"]) > 0).last().unwrap();
        assert_eq!(one["sinceEpoch"], since["epoch"]);
    }

    let role = |role: &str| {
        rows(
            config,
            &format!(
                "select epoch, sum(abs(amount)) as units from entitlements where account = '{account}' and token = '{token}' \
                 and role = '{role}' group by epoch order by epoch"
            ),
        )
    };
    let pending = told["data"]["account"]["pending"].as_array().unwrap();
    let of = |one: &&Value| one["kind"] == "UNFUNDED" && same(&one["amount"]["token"], token);
    let one = pending.iter().find(of).unwrap_or_else(|| panic!("nothing waits: {told:#}"));
    assert_eq!((&one["amount"]["raw"], &one["untilBlock"]), (&waiting["units"], &Value::Null));
    let paid = role("funded").iter().map(|row| units(&row["units"])).sum();
    assert_eq!(one["sinceEpoch"].as_i64(), oldest_unpaid(&role("unfunded"), paid));
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
    is_told(&config, &waiting[0]).await;

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

    // It comes to the very same when it takes what the first one read.
    let (fourth, epochs) = (tempfile::tempdir().unwrap(), folder.path().join("data/epochs"));
    let more = format!("\n[settlement]\nmanifests_dir = {:?}\n", epochs.display().to_string());
    let config = configure_devnet(fourth.path(), &honest, &more).unwrap().display().to_string();
    let imported = follow(&config, end);
    for key in ["roots", "ledger_digest", "manifest_hash"] {
        assert_eq!(heads(&imported, key), heads(&funded, key), "{key}");
    }
    let known = rows(&config, "select distinct known, endpoints from vault_balances");
    assert_eq!(known, [serde_json::json!({ "known": "imported", "endpoints": 0 })]);
    is_sound(&config, settled);
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_of_another_chain_settle_nothing() {
    let (devnet, last) = chain(&[]).await;
    devnet.mine_to(last);
    let (folder, another) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let end = devnet.finalized();
    let first = follow(&configured(folder.path(), &devnet), end);
    let settled = first["snapshot"]["heads"]["settled_epoch"].as_u64().unwrap();
    let epochs = folder.path().join("data/epochs");
    let refused = |epochs: &Path, code: i32, expected: &str| {
        let more = format!("\n[settlement]\nmanifests_dir = {:?}\n", epochs.display().to_string());
        let config = configure_devnet(another.path(), &devnet, &more).unwrap().display().to_string();
        let output = run(&["run", "--config", &config, "--until-block", &end.to_string()]).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(code) && said.contains(expected), "{:?}: {said}", output.status);
    };
    refused(&folder.path().join("nowhere"), 4, "expected the `epochs` folder");
    let of = |epoch: u64| epochs.join(epoch.to_string()).join("manifest.json");
    let kept = std::fs::read_to_string(of(settled)).unwrap();
    let first_of_all = (0..=settled).find(|epoch| of(*epoch).is_file()).unwrap();
    std::fs::write(of(first_of_all), &kept).unwrap();
    refused(&epochs, 1, &format!("expected chain {L2_CHAIN_ID}, epoch {first_of_all}, last block"));
    std::fs::write(of(first_of_all), &kept[1..]).unwrap();
    refused(&epochs, 1, "expected the manifest of an epoch");
}
