//! Step 4 by the book: inferences by fee, records by weight, members by rows.

use num_bigint::BigUint;
use std::collections::{BTreeMap, BTreeSet};
use tributary_schemas::facts::{AttributionRow, ContributionRow, InferenceRow};
use tributary_schemas::policy::{Dedupe, Normaliser, Policy, Removed, ZeroTotal};

use super::{Cut, End, Flows, Hold, Key, Line, Named, PPB, Subject, cascade, zero_id};

type Flow = (Key, Hold, Subject);

pub(super) fn divide(
    cut: &Cut<'_>,
    data: BTreeMap<(Key, Option<Subject>, Named), BigUint>,
    weightless: &BTreeSet<(i64, i32)>,
    flows: &mut Flows,
) {
    let mut on: BTreeMap<(i64, i32), BTreeMap<Key, BigUint>> = BTreeMap::new();
    let mut without: BTreeMap<Flow, BigUint> = BTreeMap::new();
    for ((key, subject, named), sub) in data {
        let policy = &cut.policies[key.2].4;
        let epoch = key.3.unwrap_or(cut.epoch);
        let mut found: Vec<&InferenceRow> =
            cut.facts.inferences.iter().filter(|i| cut.pays(i.batch_sk, policy) && !cut.superseded(i)).collect();
        found.sort_by_key(|i| (i.batch_sk, i.inference));
        found.retain(|i| match &named {
            Named::Nothing => i.epoch == epoch && subject == Some((i.subject_kind.clone(), i.subject_sk)),
            Named::Inference(batch, ordinal) => (i.batch_sk, i.inference) == (*batch, *ordinal),
            Named::Batch(batch) => i.batch_sk == *batch,
            Named::Pool(pool) => {
                i.epoch == epoch
                    && serves(cut, pool, &(i.subject_kind.clone(), i.subject_sk))
                    && !weightless.contains(&(i.batch_sk, i.inference))
            }
            Named::Missing(_) | Named::Unresolved => false,
        });
        let fees: Vec<BigUint> =
            found.iter().map(|i| BigUint::from(u64::try_from(i.fee_weight).expect("positive"))).collect();
        let fees = if fees.iter().all(|f| *f == BigUint::ZERO) { vec![BigUint::from(1u8); fees.len()] } else { fees };
        match (&named, subject) {
            (Named::Missing(payment), Some(subject)) => {
                let end = End::Suspense(format!("blob_missing:{payment}"));
                flows.add(&key, None, through(cut, &subject), end, &sub);
            }
            (_, None) if found.is_empty() => {
                flows.add(&key, None, super::line(4), End::Suspense("no_inferences".to_owned()), &sub);
            }
            (_, Some(subject)) if found.is_empty() => *without.entry((key, None, subject)).or_default() += sub,
            _ => {
                for (inference, part) in found.iter().zip(cascade(&sub, &fees)) {
                    let amounts = on.entry((inference.batch_sk, inference.inference)).or_default();
                    *amounts.entry(key.clone()).or_default() += part;
                }
            }
        }
    }
    let mut targets: BTreeMap<(Flow, i32, i64), BigUint> = BTreeMap::new();
    for ((batch, ordinal), amounts) in on {
        let mut inferences = cut.facts.inferences.iter();
        let inference = inferences.find(|i| (i.batch_sk, i.inference) == (batch, ordinal)).expect("found above");
        for (key, sub) in amounts {
            let policy = &cut.policies[key.2].4;
            let flow = (key.clone(), hold(cut, policy, batch), (inference.subject_kind.clone(), inference.subject_sk));
            let records = records(cut, batch, ordinal);
            let parts = cascade(&sub, &weights(cut, policy, &records));
            if parts.is_empty() {
                *without.entry(flow.clone()).or_default() += sub;
            }
            for (record, part) in records.iter().zip(parts) {
                *targets.entry((flow.clone(), record.target_kind, record.target_sk)).or_default() += part;
            }
        }
    }
    for (flow, sub) in without {
        fall_back(cut, flow, &sub, &mut targets, flows);
    }
    for ((flow, kind, sk), sub) in targets {
        pay(cut, &flow, kind, sk, &sub, flows);
    }
}

fn serves(cut: &Cut<'_>, pool: &str, subject: &Subject) -> bool {
    pool == zero_id() || cut.models_of(subject).iter().any(|m| cut.version(&("model".to_owned(), m.0)).1 == pool)
}

fn hold(cut: &Cut<'_>, policy: &Policy, batch_sk: i64) -> Hold {
    let release = cut.release(batch_sk, policy);
    let resolve_by = release + i64::try_from(policy.resolve_blocks).expect("small");
    (release > cut.last || cut.challenged(batch_sk)).then_some((batch_sk, release, resolve_by))
}

fn contribution<'a>(cut: &Cut<'a>, sk: i64) -> &'a ContributionRow {
    let mut rows = cut.facts.contributions.iter();
    rows.find(|c| c.contribution_sk == sk && cut.holds(c.valid_from_block, c.valid_to_block))
        .expect("contributions exist")
}

fn target_id(cut: &Cut<'_>, kind: i32, sk: i64) -> String {
    match kind {
        1 => cut.facts.dataset_versions.iter().find(|v| v.version_sk == sk).expect("versions exist").version_id.clone(),
        2 => contribution(cut, sk).contribution_id.clone(),
        _ => cut.version(&("model".to_owned(), sk)).0,
    }
}

fn records<'a>(cut: &Cut<'a>, batch: i64, inference: i32) -> Vec<&'a AttributionRow> {
    let mut rows: Vec<_> =
        cut.facts.attributions.iter().filter(|a| (a.batch_sk, a.inference) == (batch, inference)).collect();
    rows.sort_by_key(|a| {
        (
            target_id(cut, a.target_kind, a.target_sk),
            a.row.map_or(u32::MAX, |row| u32::try_from(row).expect("positive")),
        )
    });
    rows
}

fn weights(cut: &Cut<'_>, policy: &Policy, records: &[&AttributionRow]) -> Vec<BigUint> {
    let weight = |a: &&AttributionRow| {
        let gone = policy.removed == Removed::Redistribute
            && a.target_kind == 2
            && contribution(cut, a.target_sk).state == "removed";
        if a.flags & (1 << 4) != 0 || gone {
            return BigUint::ZERO;
        }
        match policy.normaliser {
            Normaliser::PositivePart => BigUint::from(u64::try_from(a.score).unwrap_or(0)),
            Normaliser::Abs => BigUint::from(a.score.unsigned_abs()),
        }
    };
    let mut weights: Vec<BigUint> = records.iter().map(weight).collect();
    if policy.dedupe != Dedupe::None {
        weights = once(cut, policy.dedupe, records, weights);
    }
    let total: BigUint = weights.iter().sum();
    for w in &mut weights {
        if &*w * PPB < &total * policy.min_share_ppb {
            *w = BigUint::ZERO;
        }
    }
    keep(policy.mass_keep_ppb, weights)
}

/// Counts copies once: same dataset, content and row.
fn once(cut: &Cut<'_>, dedupe: Dedupe, records: &[&AttributionRow], weights: Vec<BigUint>) -> Vec<BigUint> {
    let content = |a: &AttributionRow| {
        let c = contribution(cut, a.target_sk);
        (c.dataset_sk, c.content_hash.clone(), a.row)
    };
    let alike = |place: usize| -> Vec<usize> {
        let same = |other: &usize| {
            weights[*other] > BigUint::ZERO
                && records[*other].target_kind == 2
                && content(records[*other]) == content(records[place])
        };
        (0..records.len()).filter(same).collect()
    };
    let once = |place: usize| {
        if records[place].target_kind != 2 || weights[place] == BigUint::ZERO {
            return weights[place].clone();
        }
        let copies = alike(place);
        let heaviest = copies.iter().map(|c| &weights[*c]).max().expect("itself at least");
        let first = copies.iter().min_by_key(|c| records[**c].target_sk).expect("itself at least");
        match dedupe {
            Dedupe::None => weights[place].clone(),
            Dedupe::First if *first == place => heaviest.clone(),
            Dedupe::First => BigUint::ZERO,
            Dedupe::Split => {
                let parts = cascade(heaviest, &vec![BigUint::from(1u8); copies.len()]);
                parts[copies.iter().position(|c| *c == place).expect("itself at least")].clone()
            }
        }
    };
    (0..records.len()).map(once).collect()
}

/// A record is kept when those before it, by weight and then by place, do not hold enough yet.
fn keep(mass_keep_ppb: u32, weights: Vec<BigUint>) -> Vec<BigUint> {
    let total: BigUint = weights.iter().sum();
    let before = |place: usize| -> BigUint {
        let earlier =
            |other: &usize| weights[*other] > weights[place] || (weights[*other] == weights[place] && *other < place);
        (0..weights.len()).filter(earlier).map(|other| &weights[other]).sum()
    };
    let kept = |place: usize| before(place) * PPB < &total * mass_keep_ppb;
    (0..weights.len()).map(|place| if kept(place) { weights[place].clone() } else { BigUint::ZERO }).collect()
}

/// Members of a dataset version by contribution id, with their rows.
fn members(cut: &Cut<'_>, version_sk: i64, policy: &Policy) -> Vec<(i64, BigUint)> {
    let mut versions = cut.facts.dataset_versions.iter();
    let version = versions.find(|v| v.version_sk == version_sk && cut.holds(v.valid_from_block, v.valid_to_block));
    let Some(version) = version else { return Vec::new() };
    let mut rows: Vec<_> = cut
        .facts
        .dataset_membership
        .iter()
        .filter(|m| m.dataset_sk == version.dataset_sk && cut.holds(m.valid_from_block, m.valid_to_block))
        .filter(|m| m.from_version <= version.version && m.to_version.is_none_or(|to| to > version.version))
        .filter(|m| policy.removed == Removed::Treasury || contribution(cut, m.contribution_sk).state != "removed")
        .collect();
    rows.sort_by_key(|m| contribution(cut, m.contribution_sk).contribution_id.clone());
    let equal = rows.iter().all(|m| m.row_count == 0);
    let weight =
        |rows: i64| if equal { BigUint::from(1u8) } else { BigUint::from(u64::try_from(rows).expect("positive")) };
    rows.into_iter().map(|m| (m.contribution_sk, weight(m.row_count))).collect()
}

fn fall_back(
    cut: &Cut<'_>,
    flow: Flow,
    sub: &BigUint,
    targets: &mut BTreeMap<(Flow, i32, i64), BigUint>,
    flows: &mut Flows,
) {
    let (key, hold, subject) = &flow;
    let policy = &cut.policies[key.2].4;
    match policy.zero_total {
        ZeroTotal::Hold => flows.add(key, *hold, through(cut, subject), End::Suspense("zero_total".to_owned()), sub),
        ZeroTotal::Treasury => flows.add(key, *hold, through(cut, subject), End::Treasury, sub),
        ZeroTotal::Manifest => {
            let sets = |model: i64| -> Vec<(i64, BigUint)> {
                let edges = cut.edges(model, "TRAINED_ON", "dataset").into_iter();
                edges.filter(|e| !members(cut, e.0, policy).is_empty()).map(|e| (e.0, e.1)).collect()
            };
            let models = cut.models_of(subject);
            let weights: Vec<BigUint> =
                models.iter().map(|m| if sets(m.0).is_empty() { BigUint::ZERO } else { m.1.clone() }).collect();
            let parts = cascade(sub, &weights);
            if parts.is_empty() {
                flows.add(key, *hold, through(cut, subject), End::Suspense("no_manifest".to_owned()), sub);
            }
            for (model, part) in models.iter().zip(parts) {
                let sets = sets(model.0);
                let weights: Vec<BigUint> = sets.iter().map(|s| s.1.clone()).collect();
                for (set, part) in sets.iter().zip(cascade(&part, &weights)) {
                    *targets.entry((flow.clone(), 1, set.0)).or_default() += part;
                }
            }
        }
    }
}

/// A data line through a subject; an agent on one model names the model too.
fn through(cut: &Cut<'_>, subject: &Subject) -> Line {
    let id = cut.version(subject).0;
    if subject.0 == "model" {
        return (4, None, None, Some(id), None);
    }
    let models = cut.models_of(subject);
    let only = (models.len() == 1).then(|| cut.version(&("model".to_owned(), models[0].0)).0);
    (4, None, None, only, Some(id))
}

fn pay(cut: &Cut<'_>, flow: &Flow, kind: i32, sk: i64, sub: &BigUint, flows: &mut Flows) {
    let (key, hold, subject) = flow;
    let line = through(cut, subject);
    let policy = &cut.policies[key.2].4;
    let mut to = |sk: i64, sub: &BigUint| {
        let c = contribution(cut, sk);
        let dataset = cut.facts.datasets.iter().find(|d| d.dataset_sk == c.dataset_sk).expect("datasets exist");
        let line =
            (4, Some(dataset.dataset_id.clone()), Some(c.contribution_id.clone()), line.3.clone(), line.4.clone());
        let end = if c.state == "removed" { End::Treasury } else { End::Account(c.contributor.clone()) };
        flows.add(key, *hold, line, end, sub);
    };
    match kind {
        2 => to(sk, sub),
        1 => {
            let members = members(cut, sk, policy);
            let weights: Vec<BigUint> = members.iter().map(|m| m.1.clone()).collect();
            for (member, part) in members.iter().zip(cascade(sub, &weights)) {
                to(member.0, &part);
            }
            if members.is_empty() {
                flows.add(key, *hold, line.clone(), End::Suspense("no_members".to_owned()), sub);
            }
        }
        _ => {
            let owner = ("model".to_owned(), sk);
            let line = (4, None, None, Some(cut.version(&owner).0), line.4.clone());
            flows.add(key, *hold, line, End::Entity(owner), sub);
        }
    }
}
