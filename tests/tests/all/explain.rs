//! Explanations, drilled: in random worlds every level adds up to the one above, and GraphQL pages through them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use datafusion::prelude::SessionContext;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tributary_accounting::explain::{Payer, below};
use tributary_accounting::{Explainer, Origins, SettleOutcome, Unread, session, settle_next};
use tributary_api::ApiConfig;
use tributary_schemas::money;
use tributary_store::Lake;
use tributary_tests::audit;
use tributary_tests::tables::{Shape, context};
use tributary_tests::world::World;

type Line = (String, String, String);

/// Every level of what lines came from adds up to the line.
fn adds_up(origins: &Origins, expected: i128, of: &str) {
    assert_eq!(origins.total(), expected, "{of}");
    assert_eq!(origins.untraced(), 0, "{of}: {origins:?}");
    let sum = |amounts: &mut dyn Iterator<Item = i128>| amounts.sum::<i128>();
    assert_eq!(sum(&mut origins.inferences().iter().map(|(_, units)| *units)), expected, "{of} by inference");
    assert_eq!(sum(&mut origins.batches().iter().map(|(_, units)| *units)), expected, "{of} by batch");
    assert_eq!(sum(&mut origins.payments(None).iter().map(|(_, units)| *units)), expected, "{of} by payment");
    assert!(origins.inferences().is_sorted_by(|a, b| a.1 >= b.1), "{of}: the best first");
    for (stand, units) in origins.inferences() {
        assert!(*units > 0, "{of}");
        let parts = origins.payments(Some(*stand));
        assert_eq!(sum(&mut parts.iter().map(|(_, units)| *units)), *units, "{of} in {stand} by payment");
        let parts = origins.records(*stand);
        assert_eq!(sum(&mut parts.iter().map(|(_, units)| *units)), *units, "{of} in {stand} by record");
        assert_eq!(stand.to_string().parse::<tributary_accounting::Stand>().unwrap(), *stand);
    }
}

/// The lines of accounts in an epoch, taken back together, each role by itself, are what they are alone.
async fn together_as_alone(
    (explainer, ctx, epoch): (&Explainer, &SessionContext, i64),
    alone: BTreeMap<(String, String), Vec<(String, Origins)>>,
) {
    for ((account, token), alone) in alone {
        let of = (account.parse().unwrap(), token.parse().unwrap(), epoch);
        let which = |row: &money::EntitlementRow| alone.iter().position(|(role, _)| *role == row.role);
        let together = Box::pin(explainer.origins_by(ctx, of, alone.len(), which)).await.unwrap();
        assert_eq!(together.len(), alone.len());
        for ((role, alone), together) in alone.iter().zip(together) {
            assert_eq!(together.total(), alone.total(), "{role} of {account}");
            assert_eq!(together.inferences(), alone.inferences(), "{role} of {account}");
            assert_eq!(together.payments(None), alone.payments(None), "{role} of {account}");
            for (stand, _) in alone.inferences() {
                assert_eq!(together.records(*stand), alone.records(*stand), "{role} of {account}: {stand}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_level_adds_up_to_the_one_above_in_random_worlds() {
    let mut roles = BTreeSet::new();
    for seed in 0..12 {
        let world = World::new(seed);
        let mut all = money::Rows::default();
        audit::run(&world, Shape::default(), |_, _, rows| {
            all = rows.clone();
            Ok(())
        })
        .await
        .unwrap();
        let ctx = context(Shape::default(), &world.facts, &all);
        let explainer = Explainer::default();
        let mut paid: BTreeMap<Payer, i128> = BTreeMap::new();
        let mut parts = 0;
        for epoch in &world.epochs {
            let rows = all.entitlements.iter().filter(|row| row.epoch == *epoch && row.account.starts_with("0x"));
            let mut lines: BTreeMap<Line, i128> = BTreeMap::new();
            for row in rows {
                *lines.entry((row.account.clone(), row.token.clone(), row.role.clone())).or_default() += row.amount.0;
            }
            let mut alone: BTreeMap<_, Vec<_>> = BTreeMap::new();
            for ((account, token, role), units) in lines {
                let of = (account.parse().unwrap(), token.parse().unwrap(), *epoch);
                let origins = explainer.origins(&ctx, of, |row| row.role == role).await.unwrap();
                let named = format!("seed {seed}, epoch {epoch}: {role} of {account} in {token}");
                // What the vault's balance lets through came from what other lines say.
                if ["unfunded", "funded"].contains(&role.as_str()) {
                    assert_eq!((origins.total(), origins.untraced()), (units, units), "{named}");
                } else {
                    adds_up(&origins, units, &named);
                }
                // What waits is posted later: counted once.
                if !role.starts_with("pending:") {
                    for (payer, units) in origins.payments(None) {
                        *paid.entry(payer).or_default() += units;
                        parts += 1;
                    }
                }
                roles.insert(role.clone());
                alone.entry((account, token)).or_default().push((role, origins));
            }
            Box::pin(together_as_alone((&explainer, &ctx, *epoch), alone)).await;
        }
        // Nobody's lines take more out of a payment than was paid, but for what rounding placed.
        let list: Vec<(Payer, i128)> = paid.into_iter().collect();
        for row in below::payments(&ctx, &list).await.unwrap() {
            let of = row.of.paid.map(|paid| paid.parse::<i128>().unwrap());
            assert!(of.is_none_or(|paid| row.amount <= paid + parts), "seed {seed}: {} of {of:?}", row.amount);
        }
    }
    for role in
        ["platform", "agent", "model", "lineage", "data", "staker", "posted", "released", "pending:data", "unfunded"]
    {
        assert!(roles.contains(role), "no world has {role}: {roles:?}");
    }
}

/// A data folder with a world that is not settled.
pub(crate) async fn published(folder: &Path, world: &World) -> Lake {
    let lake = Lake::open(folder).await.unwrap();
    let heads = tributary_store::Heads {
        chain_id: 1612,
        epoch_seconds: 1,
        block_number: u64::try_from(world.facts.blocks.last().unwrap().number).unwrap(),
        block_hash: world.facts.blocks.last().unwrap().hash.parse().unwrap(),
        block_timestamp: u64::try_from(*world.epochs.last().unwrap()).unwrap() + 1,
        ..tributary_store::Heads::default()
    };
    // What vaults hold is told by whoever settles.
    let facts = tributary_schemas::facts::Rows { vault_balances: Vec::new(), ..world.facts.clone() };
    let facts = crate::auditor::as_changes(facts).into();
    let change = tributary_store::Change { facts, ..tributary_store::Change::default() };
    lake.publish(None, heads, change).await.unwrap();
    lake
}

/// A data folder with a settled world.
async fn settled(folder: &Path, world: &World) {
    let lake = published(folder, world).await;
    while let SettleOutcome::Settled { .. } = settle_next(|| session(None, 2), &lake, folder, &Unread).await.unwrap() {}
}

async fn ask(url: &str, query: &str) -> Value {
    let answer = reqwest::Client::new().post(format!("{url}/graphql")).json(&json!({ "query": query }));
    let answer: Value = answer.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["errors"], Value::Null, "{query}");
    answer["data"].clone()
}

fn raw(money: &Value) -> i128 {
    money["raw"].as_str().unwrap().parse().unwrap()
}

/// A page of lines is traced at once, and says of each what it says alone.
async fn a_page_says_what_each_line_says(url: &str, of: &money::EntitlementRow) {
    let asked = |lines: &str| {
        let below = "inferences(first: 3) { totalCount nodes { inference amount { raw } } } payments { totalCount }";
        let explanation = format!("explanation(epoch: {}, token: \"{}\")", of.epoch, of.token);
        format!("{{ account(address: \"{}\") {{ {explanation} {{ {lines} {{ {below} }} }} }} }}", of.account)
    };
    let page = ask(url, &asked("lines(first: 4)")).await["account"]["explanation"]["lines"].clone();
    let page = page.as_array().unwrap();
    assert!(!page.is_empty());
    for (at, line) in page.iter().enumerate() {
        let alone = ask(url, &asked(&format!("line(at: {at})"))).await;
        assert_eq!(alone["account"]["explanation"]["line"], *line, "line {at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_pages_through_what_a_line_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(11);
    settled(folder.path(), &world).await;
    let lake = Lake::open(folder.path()).await.unwrap();
    let snapshot = lake.latest().await.unwrap().unwrap();
    let served = tributary_api::serve(
        ApiConfig::default(),
        lake.clone(),
        folder.path().to_owned(),
        None,
        CancellationToken::new(),
    );
    let bound = served.await.unwrap();
    let url = format!("http://{}", bound.addr);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { bound.run.await.unwrap() });

    let rows = lake.read::<money::EntitlementRow>(&snapshot).await.unwrap();
    let data = rows.iter().filter(|row| row.role == "data" && row.account.starts_with("0x"));
    let best = data.max_by_key(|row| row.amount.0).unwrap();
    let explanation = async |asked: &str| {
        let explanation = format!("explanation(epoch: {}, token: \"{}\") {{ {asked} }}", best.epoch, best.token);
        let query = format!("{{ account(address: \"{}\") {{ {explanation} }} }}", best.account);
        ask(&url, &query).await["account"]["explanation"].clone()
    };
    let is_best = |line: &Value| {
        line["role"] == "data"
            && line["contribution"] == json!(best.contribution_id)
            && line["agent"] == json!(best.agent_version_id)
            && raw(&line["amount"]) == best.amount.0
    };
    let all = explanation("lines { role contribution agent amount { raw } }").await;
    let at = all["lines"].as_array().unwrap().iter().position(is_best).unwrap();
    let line = async |below: &str| explanation(&format!("line(at: {at}) {{ {below} }}")).await["line"].clone();
    let level = "totalCount total { raw } rest { raw } untraced { raw } pageInfo { hasNextPage endCursor }";
    let mut after = String::new();
    let (mut seen, mut sum) = (BTreeSet::new(), 0);
    loop {
        let found = line(&format!(
            "inferences(first: 1{after}) {{ {level} nodes {{ inference amount {{ raw }} batch {{ id block payloadHash }} \
             payments(first: 500) {{ total {{ raw }} rest {{ raw }} nodes {{ kind tx block logIndex amount {{ raw }} }} }} \
             records(first: 5) {{ total {{ raw }} rest {{ raw }} nodes {{ target amount {{ raw }} }} }} }} }}"
        ))
        .await;
        let page = &found["inferences"];
        let node = &page["nodes"][0];
        assert_eq!(raw(&page["total"]), best.amount.0);
        assert_eq!(raw(&page["rest"]), best.amount.0 - raw(&node["amount"]));
        assert_eq!(raw(&page["untraced"]), 0);
        let paid: i128 = node["payments"]["nodes"].as_array().unwrap().iter().map(|one| raw(&one["amount"])).sum();
        assert_eq!((raw(&node["payments"]["total"]), paid), (raw(&node["amount"]), raw(&node["amount"])));
        assert_eq!(raw(&node["records"]["total"]), raw(&node["amount"]));
        assert!(seen.insert(node["inference"].to_string()), "{node} twice");
        sum += raw(&node["amount"]);
        if page["pageInfo"]["hasNextPage"] == false {
            assert_eq!(page["totalCount"], seen.len());
            break;
        }
        after = format!(", after: {}", page["pageInfo"]["endCursor"]);
    }
    assert_eq!(sum, best.amount.0);
    a_page_says_what_each_line_says(&url, best).await;
    let found = line(&format!("batches {{ {level} nodes {{ amount {{ raw }} batch {{ id blobKey }} }} }}")).await;
    let batches = found["batches"]["nodes"].as_array().unwrap();
    assert_eq!(batches.iter().map(|one| raw(&one["amount"])).sum::<i128>(), best.amount.0);
    tasks.abort_all();
}
