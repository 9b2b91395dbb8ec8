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

/// Steps 1 to 3 for all receipts. `scale` gives the sub-units of a base unit.
pub(crate) fn spread<'a>(
    state: &State,
    receipts: impl Iterator<Item = &'a Receipt>,
    scale: impl Fn(Key) -> u128,
    book: &mut Book,
) -> Result<DataIn, AccountingError> {
    let mut channels = Channels::default();
    for receipt in receipts {
        channels.receipt(state, receipt, scale(receipt.key), book)?;
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
        scale: u128,
        book: &mut Book,
    ) -> Result<(), AccountingError> {
        let (key, sub) = (receipt.key, receipt.net * scale);
        match receipt.purpose {
            Purpose::Suspense(reason, payment) => {
                let to = To::Held(reason, Whose::Payment(payment));
                book.credit(key, None, Line::of(Role::Payment), to, sub);
            }
            Purpose::Pool(pool) => {
                book.edge(key, Step::Channel, 0, Node::Id(pool), Node::Word("data"), sub);
                *self.data.entry((key, Source::Pool(pool))).or_default() += sub;
            }
            Purpose::Payment(subject) => {
                let policy = state.policy(key.ruling);
                let flat = policy.platform_flat.get(&key.token).map_or(0, |flat| flat.units());
                let flat = std::cmp::min(flat, receipt.net) * scale;
                self.payment(state, key, subject, receipt.named, (flat, sub - flat), book)?;
            }
        }
        Ok(())
    }

    /// Step 1, in the order platform, agent, model, data, stakers. A channel with nobody in it weighs nothing (ruling 20).
    fn payment(
        &mut self,
        state: &State,
        key: Key,
        subject: Subject,
        named: Named,
        (flat, rest): (u128, u128),
        book: &mut Book,
    ) -> Result<(), AccountingError> {
        let shares = state.policy(key.ruling).split_ppb;
        let when = |somebody: bool, share: u32| if somebody { u128::from(share) } else { 0 };
        let weights = [
            u128::from(shares.platform),
            when(subject.kind == SubjectKind::Agent, shares.agent),
            when(!state.graph.models_of(subject).is_empty(), shares.model),
            u128::from(shares.data),
            when(!staked(state, subject).is_empty(), shares.stakers),
        ];
        let version = state.graph.version(subject)?;
        let parts = split(rest, weights);
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

/// Step 3. A model with inflow a keeps a − R and passes R on to what it is based on, for `max_depth` generations.
fn lineage(state: &State, mut frontier: BTreeMap<(Key, i64), u128>, book: &mut Book) -> Result<(), AccountingError> {
    for depth in 0.. {
        let mut next = BTreeMap::new();
        for ((key, sk), inflow) in &frontier {
            let policy = &state.policy(key.ruling).lineage;
            let upstream = state.graph.upstream(*sk);
            let version = state.graph.version(model(*sk))?;
            let passes = if depth >= policy.max_depth || upstream.is_empty() {
                0
            } else {
                match policy.mode {
                    LineageMode::Relative => u128::from(policy.pass_ppb),
                    // Each ancestor has its declared share of what its descendant gets; all together at most `pass`.
                    LineageMode::Absolute => {
                        std::cmp::min(upstream.iter().map(|edge| edge.share_ppb).sum(), u128::from(policy.pass_ppb))
                    }
                }
            };
            let passed = portion(*inflow, passes, u128::from(PPB));
            let role = if depth == 0 { Role::Model } else { Role::Lineage };
            let line = Line { model: Some(version.id), ..Line::of(role) };
            book.credit(*key, None, line, To::Entity(model(*sk)), inflow - passed);
            if passed == 0 {
                continue;
            }
            let weight = |edge: &crate::state::Edge| match policy.mode {
                LineageMode::Relative => edge.weight,
                LineageMode::Absolute => edge.share_ppb,
            };
            for (edge, part) in upstream.iter().zip(split(passed, upstream.iter().map(weight))) {
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
