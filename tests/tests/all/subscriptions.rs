//! What can be watched: the npm client graphql-ws, and server-sent events, across reorgs of a running demo.

use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;
use tributary_tests::generated::root;
use tributary_tests::program::{json, serve_demo};

const BLOCKS: u64 = 300;

/// The answers of a subscription up to the first whose `field` is at least `value`.
fn watched(transport: &str, url: &str, query: &str, field: &str, value: i64) -> Vec<Value> {
    let output = Command::new("node")
        .args(["subscribe.mjs", transport, url, query, field, &value.to_string()])
        .current_dir(root().join("tests/node"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{query}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn events(answers: &[Value], name: &str) -> Vec<Value> {
    answers
        .iter()
        .map(|answer| {
            assert_eq!(answer.get("errors"), None, "{answer}");
            answer["data"][name].clone()
        })
        .collect()
}

/// Sequence numbers begin at `first` and have no gaps.
fn gapless(events: &[Value], first: i64) {
    for (event, expected) in events.iter().zip(first..) {
        assert_eq!(event["sequence"], expected, "{event}");
    }
}

fn blocks(after: i64) -> String {
    format!(
        "subscription {{ blocks(after: {after}) {{ __typename sequence ... on BlockAdded {{ number hash parentHash }} \
         ... on Retracted {{ from to head }} }} }}"
    )
}

/// The chain that the events come to; each added block must stand on the one before.
fn replayed(events: &[Value]) -> (BTreeMap<i64, String>, usize) {
    let (mut chain, mut retractions) = (BTreeMap::<i64, String>::new(), 0);
    for event in events {
        if event["__typename"] == "Retracted" {
            let (from, to) = (event["from"].as_i64().unwrap(), event["to"].as_i64().unwrap());
            assert_eq!(chain.last_key_value().map(|(number, _)| *number), Some(to), "{event}");
            assert_eq!(chain.split_off(&from).len(), usize::try_from(to - from + 1).unwrap());
            assert_eq!(chain.last_key_value().map(|(_, hash)| hash.as_str()), event["head"].as_str());
            retractions += 1;
        } else {
            if let Some((number, hash)) = chain.last_key_value() {
                assert_eq!(event["number"], number + 1, "{event}");
                assert_eq!(event["parentHash"], hash.as_str(), "{event}");
            }
            chain.insert(event["number"].as_i64().unwrap(), event["hash"].as_str().unwrap().to_owned());
        }
    }
    (chain, retractions)
}

#[test]
fn blocks_are_watched_across_reorgs_and_whoever_comes_back_misses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = serve_demo(8, BLOCKS, "reorg,lower-head,same-height", folder.path()).unwrap();
    let url = format!("{}graphql", demo.url);
    let last = i64::try_from(BLOCKS).unwrap() - 1;
    // From the first block on, while the chain is being followed and reorganised.
    let all = events(&watched("ws", &url, &blocks(0), "number", last), "blocks");
    gapless(&all, 1);
    let (_, retractions) = replayed(&all);
    assert!(retractions > 0, "no reorg was told in {} events", all.len());
    demo.until_settled();
    // The past does not change, and the whole feed comes to the chain that was sealed.
    let future = watched("ws", &url, &blocks(1_000_000), "sequence", 0);
    let refusal = &future[0]["errors"][0];
    assert_eq!(refusal["extensions"]["code"], "BAD_USER_INPUT", "{future:?}");
    let newest = refusal["message"].as_str().unwrap().split("<= ").last().unwrap().split(',').next().unwrap();
    let whole = events(&watched("ws", &url, &blocks(0), "sequence", newest.parse().unwrap()), "blocks");
    gapless(&whole, 1);
    assert_eq!(whole[..all.len()], all);
    let (chain, more) = replayed(&whole);
    assert!(more >= retractions);
    let data = folder.path().display().to_string();
    let sealed = json(&["sql", "--json", "--data-dir", &data, "select number, hash from blocks order by number"]);
    for row in sealed.as_array().unwrap() {
        assert_eq!(chain.get(&row["number"].as_i64().unwrap()).map(String::as_str), row["hash"].as_str(), "{row}");
    }

    // Whoever comes back goes on where it was, by either protocol.
    let half = all.len() / 2;
    let after = i64::try_from(half).unwrap();
    for transport in ["ws", "sse"] {
        let rest =
            events(&watched(transport, &url, &blocks(after), "sequence", all.len().try_into().unwrap()), "blocks");
        assert_eq!(rest, all[half..], "{transport}");
    }
    demo.stop();
}

#[test]
fn epochs_earnings_and_batches_are_watched_as_they_settle() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = serve_demo(3, BLOCKS, "", folder.path()).unwrap();
    let url = format!("{}graphql", demo.url);
    demo.until_settled();
    let data = folder.path().display().to_string();
    let rows = |query: &str| json(&["sql", "--json", "--data-dir", &data, query]);
    let number = |query: &str| rows(query)[0]["n"].as_i64().unwrap();

    let epochs = number("select count(distinct epoch) as n from epochs");
    let query = "subscription { epochSettled(after: 0) { sequence epoch { number tokens { revenue { raw } } } } }";
    let answers = watched("ws", &url, query, "sequence", epochs);
    let settled = events(&answers, "epochSettled");
    gapless(&settled, 1);
    assert_eq!(i64::try_from(settled.len()).unwrap(), epochs);
    assert!(answers.iter().all(|answer| answer["extensions"]["asOf"]["hash"].is_string()), "{answers:?}");

    let changes = "select account, vault, token, cumulative from claims where account like '0x%' \
                   and epoch = (select max(epoch) from claims) order by cumulative desc limit 1";
    let most = rows(changes)[0].clone();
    let (account, token) = (most["account"].as_str().unwrap(), most["token"].as_str().unwrap());
    let query = format!(
        "subscription {{ earningsChanged(account: \"{account}\", after: 0) {{ sequence epoch \
         changes {{ earned {{ raw token }} cumulative {{ raw }} }} account {{ entitlement(token: \"{token}\") {{ cumulative {{ raw }} }} }} }} }}"
    );
    let earned = events(&watched("sse", &url, &query, "sequence", 1), "earningsChanged");
    gapless(&earned, 1);
    assert_eq!(earned[0]["account"]["entitlement"]["cumulative"]["raw"], most["cumulative"]);
    let first = &earned[0]["changes"][0];
    assert_eq!(first["earned"]["raw"], first["cumulative"]["raw"], "nothing was earned before: {first}");

    let states = number("select count(*) as n from attribution_batches");
    let query = "subscription { batchStatus(after: 0) { sequence block batch { id state blob { status } } } }";
    let batches = events(&watched("ws", &url, query, "sequence", states), "batchStatus");
    gapless(&batches, 1);
    assert_eq!(i64::try_from(batches.len()).unwrap(), states);
    assert!(batches.iter().any(|event| event["batch"]["blob"]["status"] == "verified"), "{batches:?}");
    demo.stop();
}
