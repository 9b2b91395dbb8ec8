//! Worlds settled twice, by the product and by [`crate::auditor`], and compared: payees, positions, trial balance, roots
//! and the digest of the journal, epoch by epoch.

use alloy_primitives::B256;
use num_bigint::BigUint;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use tokio::task::JoinSet;
use tributary_accounting::{Input, Settled, settle};
use tributary_schemas::code::Flag;
use tributary_schemas::column::hex_text;
use tributary_schemas::money;
use tributary_schemas::policy::{Dedupe, LineageMode, Normaliser, PPB, Policy, Removed, SelfDealing};

use crate::auditor::{Auditor, big};
use crate::tables::{Shape, context, extend};
use crate::world::World;

/// Settles every epoch of a world; calls back after each with its rows among all before it.
pub async fn run(
    world: &World,
    shape: Shape,
    mut each: impl FnMut(i64, &Settled, &money::Rows) -> Result<(), String>,
) -> Result<Settled, String> {
    let mut all = money::Rows::default();
    let mut input = Input { chain_id: 1612, ..Input::default() };
    let mut last = None;
    for epoch in &world.epochs {
        input.epoch = *epoch;
        let readings = world.facts.vault_balances.iter().filter(|row| row.epoch == *epoch);
        input.vault_balances = readings.cloned().collect();
        let ctx = context(shape, &world.facts, &all);
        let settled = settle(&ctx, &input).await.map_err(|error| format!("epoch {epoch}: {error}: {error:?}"))?;
        let settled = settled.ok_or("the world has blocks in every epoch")?;
        input.ledger_digest = settled.ledger_digest;
        input.manifest_hash = Some(settled.manifest_hash);
        extend(&mut all, settled.tables.rows());
        each(*epoch, &settled, &all)?;
        last = Some(settled);
    }
    last.ok_or_else(|| "the world has an epoch".to_owned())
}

/// Compares what a settlement came to with what the auditor comes to.
pub fn compare(
    facts: &tributary_schemas::facts::Rows,
    auditor: &mut Auditor,
    epoch: i64,
    settled: &Settled,
    all: &money::Rows,
) -> Result<(), String> {
    let audit = auditor.settle(facts, epoch);
    let mut roles = BTreeMap::new();
    for row in all.entitlements.iter().filter(|row| row.epoch == epoch) {
        let key = (row.vault.clone(), row.token.clone(), row.account.clone(), row.role.clone(), row.adjusts_epoch);
        // What begins to wait is taken off; everything else adds.
        let units = if row.role == "unfunded" { -row.amount.0 } else { row.amount.0 };
        *roles.entry(key).or_insert(BigUint::ZERO) += big(units);
    }
    same("payees", epoch, &roles, &audit.roles)?;
    let claims: BTreeMap<_, _> = all
        .claims
        .iter()
        .filter(|row| row.epoch == epoch)
        .map(|row| {
            let key = (row.vault.clone(), row.account.clone(), row.token.clone());
            (key, (big(row.cumulative.0), big(row.claimed.0)))
        })
        .collect();
    same("positions", epoch, &claims, &auditor.positions)?;
    let balances: BTreeMap<_, _> = all
        .balances
        .iter()
        .filter(|row| row.epoch == epoch)
        .map(|row| {
            let key = (row.vault.clone(), row.token.clone(), row.account.clone());
            let four = [row.debits_pending, row.debits_posted, row.credits_pending, row.credits_posted];
            (key, four.map(|counter| big(counter.0)))
        })
        .collect();
    same("the trial balance", epoch, &balances, &auditor.balances)?;
    let roots: BTreeMap<String, B256> =
        settled.trees().iter().map(|(vault, tree)| (hex_text(vault), tree.root())).collect();
    same("roots", epoch, &roots, &audit.roots)?;
    in_order(epoch, all)?;
    let waiting: BTreeMap<_, _> = all
        .fundings
        .iter()
        .filter(|row| row.epoch == epoch && row.waiting.0 > 0)
        .map(|row| ((row.vault.clone(), row.token.clone()), big(row.waiting.0)))
        .collect();
    same("what waits for balances", epoch, &waiting, &auditor.waiting())?;
    same("the ledger digest", epoch, &settled.ledger_digest, &auditor.digest)
}

/// Tables of many rows are in the order that their texts have: their digests are over rows in that order.
fn in_order(epoch: i64, all: &money::Rows) -> Result<(), String> {
    let lines = all.entitlements.iter().filter(|row| row.epoch == epoch).map(|row| {
        let ids = [&row.dataset_id, &row.contribution_id, &row.model_version_id, &row.agent_version_id];
        (&row.account, &row.token, &row.role, &row.vault, ids, row.adjusts_epoch, row.amount.0)
    });
    let flows = all.money_flows.iter().filter(|row| row.epoch == epoch);
    let flows = flows.map(|row| (&row.token, &row.step, &row.src_id, &row.dst_id, &row.vault, row.depth));
    let entries = all.ledger_entries.iter().filter(|row| row.epoch == epoch).map(|row| &row.entry_id);
    let ordered = [lines.is_sorted(), flows.is_sorted(), entries.is_sorted()];
    same("the order of lines, flows and entries", epoch, &ordered, &[true; 3])
}

fn same<T: PartialEq + Debug>(what: &str, epoch: i64, got: &T, expected: &T) -> Result<(), String> {
    if got == expected {
        return Ok(());
    }
    Err(format!("{what} of epoch {epoch}:\n got      {got:?}\n expected {expected:?}"))
}

/// Settles a world twice. What it had in it, by name; the first difference otherwise.
pub async fn audit(world: World) -> Result<BTreeSet<String>, String> {
    let mut auditor = Auditor::default();
    let mut seen = drawn(&world);
    run(&world, Shape::default(), |epoch, settled, all| {
        seen.extend(all.entitlements.iter().map(|row| row.role.clone()));
        seen.extend(all.fundings.iter().map(|row| format!("vault {}", row.state)));
        seen.extend(all.ledger_entries.iter().map(|row| format!("{} {}", row.code, row.phase)));
        seen.extend(
            all.ledger_entries
                .iter()
                .filter(|row| row.credit.starts_with("suspense:"))
                .map(|row| row.credit.split(':').take(2).collect::<Vec<_>>().join(":")),
        );
        compare(&world.facts, &mut auditor, epoch, settled, all)
    })
    .await?;
    Ok(seen)
}

/// Audits the worlds of many seeds, so many at a time: what they had in them, and each seed that differs.
pub async fn audit_many(seeds: impl IntoIterator<Item = u64>, at_once: usize) -> (BTreeSet<String>, Vec<String>) {
    let (mut seen, mut failed, mut tasks) = (BTreeSet::new(), Vec::new(), JoinSet::new());
    let mut seeds = seeds.into_iter();
    loop {
        while tasks.len() < at_once
            && let Some(seed) = seeds.next()
        {
            tasks.spawn(async move { (seed, audit_apart(World::new(seed)).await) });
        }
        match tasks.join_next().await {
            Some(Ok((_, Ok(drawn)))) => seen.extend(drawn),
            Some(Ok((seed, Err(why)))) => failed.push(format!("seed {seed}: {why}")),
            Some(Err(error)) => failed.push(error.to_string()),
            None => return (seen, failed),
        }
    }
}

/// As [`audit`], in a task of its own: a panic is an answer too.
pub async fn audit_apart(world: World) -> Result<BTreeSet<String>, String> {
    let mut alone = JoinSet::new();
    alone.spawn(audit(world));
    match alone.join_next().await {
        Some(Ok(done)) => done,
        Some(Err(error)) => Err(error.to_string()),
        None => Err("nothing ran".to_owned()),
    }
}

/// Features of a world that its statements do not show.
fn drawn(world: &World) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut take = |is: bool, word: &str| {
        if is {
            seen.insert(word.to_owned());
        }
    };
    for row in &world.facts.policies {
        let Ok(policy) = Policy::parse(row.policy.as_bytes()) else { continue };
        take(policy.normaliser == Normaliser::Abs, "policy abs");
        take(policy.min_share_ppb > 0, "policy min_share");
        take(policy.mass_keep_ppb < PPB, "policy mass_keep");
        take(policy.dedupe == Dedupe::First, "policy dedupe first");
        take(policy.dedupe == Dedupe::Split, "policy dedupe split");
        take(policy.lineage.mode == LineageMode::Absolute, "policy absolute");
        take(policy.removed == Removed::Treasury, "policy removed treasury");
        take(policy.self_dealing == SelfDealing::Suspense, "policy self_dealing suspense");
        take(policy.method.is_some(), "policy method");
        take(!policy.platform_flat.is_empty(), "policy platform_flat");
        take(!policy.min_payout.is_empty(), "policy min_payout");
    }
    let missing = world.facts.attribution_batches.iter().filter(|row| row.state == "unavailable");
    let missing: BTreeSet<i64> = missing.map(|row| row.batch_sk).collect();
    for row in &world.facts.attribution_batches {
        take(true, &format!("batch {}", row.state));
        take(row.challenged, "batch challenged");
        take(row.state == "resolved" && missing.contains(&row.batch_sk), "batch found late");
    }
    for row in &world.facts.inferences {
        take(row.superseded, "inference superseded");
        take(row.weight_total == 0, "inference without weight");
        take(row.fee_weight > 1 << 62, "fee near 2^63");
    }
    for row in &world.facts.attributions {
        take(row.score < 0, "negative score");
        take(row.score > 1 << 62, "score near 2^63");
        take(row.flags & (1 << Flag::OutOfLineage.number()) != 0, "record out of lineage");
        take(row.target_kind == 1, "record for a dataset");
        take(row.target_kind == 3, "record for a model");
    }
    take(world.facts.edges.iter().any(|row| row.late), "late edge");
    take(world.facts.edges.iter().any(|row| row.dst_sk.is_none()), "external upstream");
    take(world.facts.entity_payouts.iter().any(|row| row.split.is_some()), "split");
    take(!world.facts.pool_fundings.is_empty(), "pool");
    take(!world.facts.refunds.is_empty(), "refund");
    take(world.facts.contributions.iter().any(|row| row.state == "removed"), "contribution removed");
    seen
}
