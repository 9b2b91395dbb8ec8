//! Steps 1 to 3: a payment over its channels, the model channel over models, and up their lineage. Every edge is
//! touched once per depth; paths are never enumerated.

use alloy_primitives::{Address, B256, U256};
use std::collections::BTreeMap;
use tributary_schemas::policy::{LineageMode, PPB};

use crate::book::{Book, Line, Node, Role, Step, To};
use crate::cascade::{portion, split, split_wide};
use crate::error::AccountingError;
use crate::intake::{Key, Named, Purpose, Receipt};
use crate::names::Whose;
use crate::state::{State, Subject, SubjectKind};

/// What the data channel of payments is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    Payment(Subject, Named),
    Pool(B256),
}

/// Sub-units that wait for the data step.
pub(crate) type DataIn = BTreeMap<(Key, Source), u128>;

/// The sub-units of a receipt, `scale` to a base unit: the platform's flat fee, and the rest.
pub(crate) fn amounts(state: &State, receipt: &Receipt, scale: u128) -> (u128, u128) {
    let fees = &state.policy(receipt.key.ruling).platform_flat;
    let flat = match receipt.purpose {
        Purpose::Payment(_) => fees.get(&receipt.key.token).map_or(0, |flat| flat.units()),
        Purpose::Pool(_) | Purpose::Suspense(..) => 0,
    };
    let flat = std::cmp::min(flat, receipt.net);
    (flat * scale, (receipt.net - flat) * scale)
}

/// Steps 1 to 3 for all receipts. `amounts` gives the sub-units of one: the platform's flat fee, and the rest.
pub(crate) fn spread<'a>(
    state: &State,
    receipts: impl Iterator<Item = &'a Receipt>,
    amounts: impl Fn(&Receipt) -> (u128, u128),
    book: &mut Book,
) -> Result<DataIn, AccountingError> {
    let mut channels = Channels::default();
    for receipt in receipts {
        channels.receipt(state, receipt, amounts(receipt), book)?;
    }
    let mut frontier = BTreeMap::new();
    for ((key, subject), sub) in channels.models {
        let edges = state.graph.models_of(subject);
        let from = Node::Id(state.graph.version(subject)?.id);
        for (edge, part) in edges.iter().zip(split(sub, edges.iter().map(|edge| edge.weight))) {
            book.edge(key, Step::Model, 0, from, Node::Id(state.graph.version(model(edge.to))?.id), part);
            *frontier.entry((key, edge.to)).or_insert(0) += part;
        }
    }
    lineage(state, frontier, book)?;
    for ((key, subject), sub) in channels.stakers {
        let edges = staked(state, subject);
        let parts = split(sub, edges.iter().map(|(weight, _)| *weight));
        for ((_, stakers), part) in edges.iter().zip(parts) {
            let weights: Vec<_> = stakers.iter().map(|(_, weight)| *weight).collect();
            for ((account, _), part) in stakers.iter().zip(split_wide(part, &weights)) {
                book.credit(key, None, Line::of(Role::Staker), To::Account(*account), part);
            }
        }
    }
    Ok(channels.data)
}

const fn model(sk: i64) -> Subject {
    Subject { kind: SubjectKind::Model, sk }
}

#[derive(Default)]
struct Channels {
    models: BTreeMap<(Key, Subject), u128>,
    stakers: BTreeMap<(Key, Subject), u128>,
    data: DataIn,
}

impl Channels {
    fn receipt(
        &mut self,
        state: &State,
        receipt: &Receipt,
        (flat, rest): (u128, u128),
        book: &mut Book,
    ) -> Result<(), AccountingError> {
        let key = receipt.key;
        match receipt.purpose {
            Purpose::Suspense(reason, payment) => {
                let to = To::Held(reason, Whose::Payment(payment));
                book.credit(key, None, Line::of(Role::Payment), to, rest);
            }
            Purpose::Pool(pool) => {
                book.edge(key, Step::Channel, 0, Node::Id(pool), Node::Word("data"), rest);
                *self.data.entry((key, Source::Pool(pool))).or_default() += rest;
            }
            Purpose::Payment(subject) => {
                self.payment(state, key, subject, receipt.named, (flat, rest), book)?;
            }
        }
        Ok(())
    }

    /// Step 1.
    fn payment(
        &mut self,
        state: &State,
        key: Key,
        subject: Subject,
        named: Named,
        (flat, rest): (u128, u128),
        book: &mut Book,
    ) -> Result<(), AccountingError> {
        let version = state.graph.version(subject)?;
        let parts = channels(state, key, subject, rest);
        let from = Node::Id(version.id);
        let [platform, agent, models, data, stakers] = parts.as_slice() else {
            book.credit(key, None, Line::of(Role::Platform), To::Treasury, flat);
            book.credit(key, None, Line::of(Role::Payment), To::Suspense("no_channel"), rest);
            return Ok(());
        };
        for (word, part) in [
            ("platform", flat + platform),
            ("agent", *agent),
            ("model", *models),
            ("data", *data),
            ("stakers", *stakers),
        ] {
            book.edge(key, Step::Channel, 0, from, Node::Word(word), part);
        }
        book.credit(key, None, Line::of(Role::Platform), To::Treasury, flat + platform);
        let line = Line { agent: Some(version.id), ..Line::of(Role::Agent) };
        book.credit(key, None, line, To::Entity(subject), *agent);
        add(&mut self.models, (key, subject), *models);
        add(&mut self.stakers, (key, subject), *stakers);
        add(&mut self.data, (key, Source::Payment(subject, named)), *data);
        Ok(())
    }
}

/// A payment over its channels, in the order platform, agent, model, data, stakers; empty when there is none. A channel
/// with nobody in it weighs nothing (ruling 20).
pub(crate) fn channels(state: &State, key: Key, subject: Subject, rest: u128) -> Vec<u128> {
    let shares = state.policy(key.ruling).split_ppb;
    let when = |somebody: bool, share: u32| if somebody { u128::from(share) } else { 0 };
    let weights = [
        u128::from(shares.platform),
        when(subject.kind == SubjectKind::Agent, shares.agent),
        when(!state.graph.models_of(subject).is_empty(), shares.model),
        u128::from(shares.data),
        when(!staked(state, subject).is_empty(), shares.stakers),
    ];
    split(rest, weights)
}

fn add<K: Ord>(map: &mut BTreeMap<K, u128>, key: K, sub: u128) {
    if sub > 0 {
        *map.entry(key).or_default() += sub;
    }
}

/// The stakers of a subject's models, each with the model's weight; models without stakers are left out.
fn staked(state: &State, subject: Subject) -> Vec<(u128, &[(Address, U256)])> {
    let edges = state.graph.models_of(subject);
    let pools = edges.iter().filter_map(|edge| {
        let entity = state.graph.models.get(&edge.to)?.entity;
        let (_, stakers) = state.stakes.pool(entity);
        (!stakers.is_empty()).then_some((edge.weight, stakers))
    });
    pools.collect()
}

/// Step 3. A model with inflow a keeps a − R and passes R on to what it is based on, for `max_depth` generations. Paths
/// are never enumerated. A model whose upstreams are all external has nobody to pass on to, and keeps everything.
fn lineage(state: &State, mut frontier: BTreeMap<(Key, i64), u128>, book: &mut Book) -> Result<(), AccountingError> {
    for depth in 0.. {
        let mut next = BTreeMap::new();
        for ((key, sk), inflow) in &frontier {
            let policy = &state.policy(key.ruling).lineage;
            if policy.mode == LineageMode::Absolute {
                absolute(state, *key, *sk, *inflow, book)?;
                continue;
            }
            let upstream = state.graph.upstream(*sk);
            let version = state.graph.version(model(*sk))?;
            let passes = if depth >= policy.max_depth || upstream.is_empty() { 0 } else { u128::from(policy.pass_ppb) };
            let passed = portion(*inflow, passes, u128::from(PPB));
            let role = if depth == 0 { Role::Model } else { Role::Lineage };
            let line = Line { model: Some(version.id), ..Line::of(role) };
            book.credit(*key, None, line, To::Entity(model(*sk)), inflow - passed);
            for (edge, part) in upstream.iter().zip(split(passed, upstream.iter().map(|edge| edge.weight))) {
                let to = Node::Id(state.graph.version(model(edge.to))?.id);
                book.edge(*key, Step::Lineage, depth, Node::Id(version.id), to, part);
                add(&mut next, (*key, edge.to), part);
            }
        }
        if next.is_empty() {
            return Ok(());
        }
        frontier = next;
    }
    Ok(())
}

/// Step 3 in absolute mode, for a model that was used, with its inflow. Each ancestor has the share that was declared
/// for it, of that inflow, however many generations up it is, once for every path that leads to it; all of them
/// together get at most `pass_ppb`. Ancestors in the order of their generation, then of their version id.
fn absolute(state: &State, key: Key, sk: i64, inflow: u128, book: &mut Book) -> Result<(), AccountingError> {
    let policy = &state.policy(key.ruling).lineage;
    let version = state.graph.version(model(sk))?;
    // Number of paths to each model of a generation. With 16 generations it stays far below 2^256.
    let mut paths = BTreeMap::from([(sk, U256::from(1))]);
    let (mut ancestors, mut shares) = (Vec::new(), Vec::new());
    for depth in 0..policy.max_depth {
        let mut above: BTreeMap<i64, U256> = BTreeMap::new();
        let mut due: BTreeMap<(B256, i64), U256> = BTreeMap::new();
        for (from, paths) in &paths {
            for edge in state.graph.upstream(*from) {
                let number = above.entry(edge.to).or_default();
                *number = number.saturating_add(*paths);
                let due = due.entry((state.graph.version(model(edge.to))?.id, edge.to)).or_default();
                *due = due.saturating_add(paths.saturating_mul(U256::from(edge.share_ppb)));
            }
        }
        for ((id, to), share) in due {
            ancestors.push((depth, id, to));
            shares.push(share);
        }
        paths = above;
    }
    let declared = shares.iter().fold(U256::ZERO, |sum, share| sum.saturating_add(*share));
    let pass = u128::from(policy.pass_ppb);
    let pass = u128::try_from(declared).map_or(pass, |declared| std::cmp::min(declared, pass));
    let passed = portion(inflow, pass, u128::from(PPB));
    let line = Line { model: Some(version.id), ..Line::of(Role::Model) };
    book.credit(key, None, line, To::Entity(model(sk)), inflow - passed);
    for ((depth, id, to), part) in ancestors.into_iter().zip(split_wide(passed, &shares)) {
        book.edge(key, Step::Lineage, depth, Node::Id(version.id), Node::Id(id), part);
        let line = Line { model: Some(id), ..Line::of(Role::Lineage) };
        book.credit(key, None, line, To::Entity(model(to)), part);
    }
    Ok(())
}
