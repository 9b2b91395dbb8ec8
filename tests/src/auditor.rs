//! A second settlement, to judge the first: rows in memory, `BTreeMap`s and big integers, no SQL engine.
//!
//! Written from the design of the rule, not from the engine: weights are always made from raw scores, payments are
//! settled once because they are remembered, and money is never kept in fewer bits than it needs.

mod data;
mod funding;
mod held;
mod ledger;

use num_bigint::BigUint;
use std::collections::{BTreeMap, BTreeSet};
use tributary_schemas::column::hex_text;
use tributary_schemas::facts::{InferenceRow, PaymentRow, Rows};
use tributary_schemas::id::{BatchId, InferenceId};
use tributary_schemas::policy::{LineageMode, Policy, SelfDealing, Unbacked};

pub use ledger::Entry;

/// One whole of every share.
pub const PPB: u64 = 1_000_000_000;

/// Vault, token, number of the policy, and the epoch that is adjusted.
pub type Key = (String, String, usize, Option<i64>);
/// Vault, token, and the epoch that is adjusted: what is divided and rounded by itself.
pub type Pot = (String, String, Option<i64>);
/// Batch, block its window closes at, block an open challenge counts as rejected at.
pub type Hold = Option<(i64, i64, i64)>;
/// agent or model, and surrogate key.
pub type Subject = (String, i64);
/// Role (with its rank), dataset, contribution, model, agent.
pub type Line = (u8, Option<String>, Option<String>, Option<String>, Option<String>);
/// Whether it is a pseudo-account, and its name.
pub type Party = (bool, String);

/// What the auditor remembers from epoch to epoch.
#[derive(Debug, Default)]
pub struct Auditor {
    /// Digest of the journal.
    pub digest: alloy_primitives::B256,
    /// (vault, account, token) → (cumulative, claimed).
    pub positions: Positions,
    /// (vault, token, account) → debits pending, debits posted, credits pending, credits posted.
    pub balances: BTreeMap<(String, String, String), [BigUint; 4]>,
    settled: BTreeSet<i64>,
    pending: BTreeMap<[u8; 16], Entry>,
    unfunded: funding::Unfunded,
    /// What is in suspense, with the epoch that held it.
    held: BTreeMap<[u8; 16], (i64, Entry)>,
    /// Revenue since the beginning by vault and token.
    received: BTreeMap<(String, String), BigUint>,
}

/// What an epoch came to.
#[derive(Debug, Default)]
pub struct Audit {
    /// Root of each vault's tree.
    pub roots: BTreeMap<String, alloy_primitives::B256>,
    /// Base units by vault, token, account, role and adjusted epoch.
    pub roles: BTreeMap<(String, String, String, String, Option<i64>), BigUint>,
    /// Revenue by vault and token.
    pub revenue: BTreeMap<(String, String), BigUint>,
}

/// Rows and the cut they are read at.
pub struct Cut<'a> {
    facts: &'a Rows,
    epoch: i64,
    first: i64,
    last: i64,
    policies: Vec<(i64, i64, String, String, Policy)>,
}

impl std::fmt::Debug for Cut<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "epoch {} from block {} to {}", self.epoch, self.first, self.last)
    }
}

/// Sub-units by flow, line and end.
#[derive(Debug, Default)]
pub struct Flows {
    gross: BTreeMap<(Key, Hold, Line, End), BigUint>,
}

/// Where a flow ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// An account.
    Account(String),
    /// The owner or split of a model or agent.
    Entity(Subject),
    /// The treasury.
    Treasury,
    /// An account, as it is.
    Direct(String),
    /// Suspense, with the reason and what it is held of.
    Suspense(String),
}

/// What a reference came to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// No reference.
    Nothing,
    /// An inference.
    Inference(i64, i32),
    /// A batch.
    Batch(i64),
    /// A batch without its blob, for the payment with this id.
    Missing(String),
    /// Nothing that pays.
    Unresolved,
    /// A pool.
    Pool(String),
}

/// (vault, account, token) → (cumulative, claimed).
pub type Positions = BTreeMap<(String, String, String), (BigUint, BigUint)>;
/// Sub-units of data channels.
type Data = BTreeMap<(Key, Option<Subject>, Named), BigUint>;
/// Event, vault and token, and amount of what came in.
type Received = (String, Key, BigUint);
/// Event, vault and token, amount, and the epoch the payment was settled in.
type LateRefund = (String, Key, BigUint, i64);

pub(crate) fn big(value: i128) -> BigUint {
    BigUint::from(u128::try_from(value).expect("the world has no negative amounts"))
}

/// `part_i = ⌊X·C_i/W⌋ − ⌊X·C_{i−1}/W⌋`; nothing when `W` is zero.
#[must_use]
pub fn cascade(x: &BigUint, weights: &[BigUint]) -> Vec<BigUint> {
    let total: BigUint = weights.iter().sum();
    if total == BigUint::ZERO {
        return Vec::new();
    }
    let mut running = BigUint::ZERO;
    let mut parts = Vec::new();
    for weight in weights {
        let lower = x * &running / &total;
        running += weight;
        parts.push(x * &running / &total - lower);
    }
    parts
}

impl<'a> Cut<'a> {
    fn new(facts: &'a Rows, epoch: i64) -> Self {
        let blocks: Vec<i64> = facts.blocks.iter().filter(|b| b.epoch == epoch).map(|b| b.number).collect();
        let first = blocks.iter().copied().min().expect("the world has blocks in every epoch");
        let last = blocks.iter().copied().max().expect("the world has blocks in every epoch");
        let mut policies: Vec<_> = facts
            .policies
            .iter()
            .filter(|row| row.block_number <= last)
            .map(|row| {
                let policy = Policy::parse(row.policy.as_bytes()).expect("the world's policies are valid");
                (row.block_number, row.log_index, row.vault.clone(), row.scope.clone(), policy)
            })
            .collect();
        policies.sort_by_key(|policy| (policy.0, policy.1));
        policies.insert(0, (-1, -1, String::new(), String::new(), Policy::default()));
        Self { facts, epoch, first, last, policies }
    }
    fn holds(&self, from: i64, to: Option<i64>) -> bool {
        from <= self.last && to.is_none_or(|to| to > self.last)
    }
    fn policy(&self, vault: &str, entity: &str, block: i64, log: i64) -> usize {
        let mut best = 0;
        for scope in [zero_id(), entity.to_owned()] {
            let found = self.policies.iter().rposition(|p| (p.0, p.1) < (block, log) && p.2 == vault && p.3 == scope);
            best = found.unwrap_or(best);
        }
        best
    }
    /// The last policy that any vault set for everything before a position: hubs go by it.
    fn hub_policy(&self, block: i64, log: i64) -> &Policy {
        let set = self.policies.iter().rfind(|p| (p.0, p.1) < (block, log) && p.3 == zero_id());
        set.map_or(&self.policies[0].4, |p| &p.4)
    }
    /// The block after which a batch cannot be challenged, or is not waited for under a policy.
    fn release(&self, batch_sk: i64, policy: &Policy) -> i64 {
        let batch = self.batch(batch_sk).expect("known batches wait");
        let hub = self.hub_policy(batch.reference_block, batch.reference_log).challenge_blocks;
        batch.reference_block + i64::try_from(std::cmp::max(hub, policy.challenge_blocks)).expect("small")
    }
    /// Whether a challenge is open that can still be upheld.
    fn challenged(&self, batch_sk: i64) -> bool {
        let Some(batch) = self.batch(batch_sk).filter(|b| b.challenged) else { return false };
        // A blob that was found while the challenge was open began another state of the row.
        let mut before = self.facts.attribution_batches.iter();
        let before =
            before.find(|b| b.batch_sk == batch_sk && b.challenged && b.valid_to_block == Some(batch.valid_from_block));
        let at = before.map_or(batch.valid_from_block, |b| b.valid_from_block);
        let mut waits = vec![self.hub_policy(at, -1).resolve_blocks];
        let same_block = self.policies.iter().filter(|p| p.0 == at && p.3 == zero_id());
        waits.extend(same_block.map(|p| p.4.resolve_blocks));
        let most = waits.into_iter().max().expect("one at least");
        at + i64::try_from(most).expect("small") > self.last
    }
    /// Version id, entity id and owner of a subject.
    fn version(&self, (kind, sk): &Subject) -> (String, String, String) {
        let f = self.facts;
        if kind == "model" {
            let v = f
                .model_versions
                .iter()
                .find(|v| v.version_sk == *sk && self.holds(v.valid_from_block, v.valid_to_block));
            let v = v.expect("the world's versions exist");
            let m =
                f.models.iter().find(|m| m.model_sk == v.model_sk && self.holds(m.valid_from_block, m.valid_to_block));
            let m = m.expect("the world's models exist");
            (v.version_id.clone(), m.model_id.clone(), m.owner.clone())
        } else {
            let v = f
                .agent_versions
                .iter()
                .find(|v| v.version_sk == *sk && self.holds(v.valid_from_block, v.valid_to_block));
            let v = v.expect("the world's versions exist");
            let a =
                f.agents.iter().find(|a| a.agent_sk == v.agent_sk && self.holds(a.valid_from_block, a.valid_to_block));
            let a = a.expect("the world's agents exist");
            (v.version_id.clone(), a.agent_id.clone(), a.owner.clone())
        }
    }
    /// Destinations of a kind of edge with their weight and declared share, in canonical order.
    fn edges(&self, from: i64, relation: &str, kind: &str) -> Vec<(i64, BigUint, u64)> {
        let mut edges: Vec<_> = self
            .facts
            .edges
            .iter()
            .filter(|e| e.src_sk == from && e.relation.starts_with(relation))
            .filter(|e| self.holds(e.valid_from_block, e.valid_to_block) && !(e.late && e.from_block >= self.first))
            .collect();
        edges.sort_by_key(|e| (e.dst_id.clone(), e.relation.clone()));
        let missing = u64::try_from(edges.iter().filter(|e| e.share_ppb.is_none()).count()).expect("small");
        let given: u64 = edges.iter().filter_map(|e| e.share_ppb).map(|s| u64::try_from(s).expect("positive")).sum();
        let all_missing = edges.iter().all(|e| e.share_ppb.is_none());
        let weight = |share: Option<i64>| match share {
            None if all_missing => BigUint::from(1u8),
            None => BigUint::from(PPB.saturating_sub(given)),
            Some(share) if missing > 0 => BigUint::from(u64::try_from(share).expect("positive")) * missing,
            Some(share) => BigUint::from(u64::try_from(share).expect("positive")),
        };
        edges
            .into_iter()
            .filter(|e| e.dst_kind == kind)
            .filter_map(|e| {
                let share = u64::try_from(e.share_ppb.unwrap_or(0)).expect("positive");
                Some((e.dst_sk?, weight(e.share_ppb), share))
            })
            .filter(|(_, weight, _)| *weight > BigUint::ZERO)
            .collect()
    }
    fn models_of(&self, subject: &Subject) -> Vec<(i64, BigUint)> {
        if subject.0 == "model" {
            return vec![(subject.1, BigUint::from(1u8))];
        }
        self.edges(subject.1, "USES_MODEL", "model").into_iter().map(|(sk, weight, _)| (sk, weight)).collect()
    }
    fn batch(&self, sk: i64) -> Option<&tributary_schemas::facts::BatchRow> {
        let mut rows = self.facts.attribution_batches.iter();
        rows.find(|b| b.batch_sk == sk && self.holds(b.valid_from_block, b.valid_to_block))
    }
    fn counts(&self, sk: i64) -> bool {
        self.batch(sk).is_some_and(|b| b.state == "resolved" || b.state == "final")
    }
    fn pays(&self, sk: i64, policy: &Policy) -> bool {
        let method = policy.method.map(hex_text);
        self.counts(sk) && method.is_none_or(|m| self.batch(sk).is_some_and(|b| b.method_id == m))
    }
    /// The block at which a batch was missing no longer.
    fn came(&self, sk: i64) -> Option<i64> {
        let missing = self.facts.attribution_batches.iter().filter(|b| b.batch_sk == sk && b.state == "unavailable");
        missing.filter_map(|b| b.valid_to_block).filter(|end| *end <= self.last).max()
    }
    /// The batch that was missing once and would give an inference this id.
    fn gives(&self, id: &str) -> Option<&tributary_schemas::facts::BatchRow> {
        let batches = self.facts.attribution_batches.iter();
        let mut batches = batches.filter(|b| self.holds(b.valid_from_block, b.valid_to_block));
        batches.find(|b| {
            let was_missing = b.state == "unavailable" || self.came(b.batch_sk).is_some();
            was_missing && (0..b.inferences).any(|at| in_batch(&b.batch_id, i32::try_from(at).expect("few")) == id)
        })
    }
    /// When a batch was read: at its reference, or when its blob was found, after everything else in that block.
    fn read(&self, sk: i64) -> (i64, bool) {
        let reference = self.batch(sk).expect("known batches are read").reference_block;
        self.came(sk).map_or((reference, false), |came| (came, true))
    }
    /// Whether a batch of the same method that was read earlier covers an inference, one that counts.
    fn superseded(&self, i: &InferenceRow) -> bool {
        let method = |sk: i64| self.batch(sk).map(|b| b.method_id.clone());
        let place = |i: &InferenceRow| (self.read(i.batch_sk), i.batch_sk, i.inference);
        self.facts.inferences.iter().any(|other| {
            other.inference_id == i.inference_id
                && self.counts(other.batch_sk)
                && method(other.batch_sk) == method(i.batch_sk)
                && place(other) < place(i)
        })
    }
    /// Candidates for an inference id, in the order in which their batches were read; with the block since which a
    /// payment can name them.
    fn answers(&self, id: &str) -> Vec<((i64, bool), i64, i32, i64)> {
        let mut found: Vec<_> = self
            .facts
            .inferences
            .iter()
            .filter(|i| i.inference_id == id)
            .filter_map(|i| {
                let batch = self.batch(i.batch_sk).filter(|b| b.state != "unavailable")?;
                let came = self.came(i.batch_sk).filter(|_| in_batch(&batch.batch_id, i.inference) != id);
                Some((self.read(i.batch_sk), i.batch_sk, i.inference, came.unwrap_or(batch.reference_block)))
            })
            .collect();
        found.sort_unstable();
        found
    }
    fn ripe(&self, payment: &PaymentRow, policy: &Policy) -> i64 {
        let Some(id) = &payment.reference else { return payment.block_number };
        let latest = payment.block_number + i64::try_from(policy.unattributed_after_blocks).expect("small");
        let by_inference = self.answers(id).iter().map(|answer| answer.3).min();
        let by_batch = || {
            let batches =
                self.facts.attribution_batches.iter().filter(|b| self.holds(b.valid_from_block, b.valid_to_block));
            batches.into_iter().find(|b| b.batch_id == *id).map(|b| b.reference_block)
        };
        let by_gift = || self.gives(id).map(|b| b.reference_block);
        let known = by_inference.or_else(by_batch).or_else(by_gift);
        known.map_or(latest, |known| std::cmp::min(latest, std::cmp::max(known, payment.block_number)))
    }
    fn resolve(&self, payment: &PaymentRow, policy: &Policy) -> Named {
        let Some(id) = &payment.reference else { return Named::Nothing };
        let answers = self.answers(id);
        if !answers.is_empty() {
            let usable = answers.iter().find(|(_, batch, ..)| self.pays(*batch, policy));
            return usable.map_or(Named::Unresolved, |(_, batch, ordinal, _)| Named::Inference(*batch, *ordinal));
        }
        let mut batches = self.facts.attribution_batches.iter();
        match batches.find(|b| b.batch_id == *id && self.holds(b.valid_from_block, b.valid_to_block)) {
            Some(b) if b.state == "unavailable" => Named::Missing(payment.payment_id.clone()),
            Some(b) if self.pays(b.batch_sk, policy) => Named::Batch(b.batch_sk),
            None if self.gives(id).is_some_and(|b| b.state == "unavailable") => {
                Named::Missing(payment.payment_id.clone())
            }
            _ => Named::Unresolved,
        }
    }
    /// The stakers that a model's money goes to, with Σ balance over the blocks of the epoch.
    fn stakers(&self, model: i64) -> Vec<(String, BigUint)> {
        let (_, entity, _) = self.version(&("model".to_owned(), model));
        for pool in [entity, zero_id()] {
            let mut changes: Vec<_> =
                self.facts.stakes.iter().filter(|s| s.pool == pool && s.block_number <= self.last).collect();
            changes.sort_by_key(|s| (s.block_number, s.log_index));
            let accounts: BTreeSet<&String> = changes.iter().map(|s| &s.account).collect();
            let mut out = Vec::new();
            for account in accounts {
                let mut weight = BigUint::ZERO;
                for block in self.first..=self.last {
                    let held = changes.iter().rev().find(|s| s.account == *account && s.block_number <= block);
                    weight += held.map_or(BigUint::ZERO, |s| big(s.balance_after.0));
                }
                if weight > BigUint::ZERO {
                    out.push((account.clone(), weight));
                }
            }
            if !out.is_empty() {
                return out;
            }
        }
        Vec::new()
    }
}

/// Thirty-two zero bytes, as the tables show them.
#[must_use]
pub fn zero_id() -> String {
    format!("0x{}", "0".repeat(64))
}

fn in_batch(batch: &str, at: i32) -> String {
    let batch = BatchId(batch.parse().expect("an id"));
    hex_text(InferenceId::in_batch(batch, u32::try_from(at).expect("positive")).0)
}

/// A line with nothing but a role. Ranks: platform, agent, model, lineage, data, staker, payment, released.
#[must_use]
pub const fn line(role: u8) -> Line {
    (role, None, None, None, None)
}

impl Flows {
    fn add(&mut self, key: &Key, hold: Hold, line: Line, end: End, sub: &BigUint) {
        if *sub > BigUint::ZERO {
            *self.gross.entry((key.clone(), hold, line, end)).or_default() += sub;
        }
    }
}

/// A payment or funding of the epoch.
struct Receipt {
    event: String,
    payment: String,
    key: Key,
    subject: Option<Subject>,
    suspense: Option<String>,
    named: Named,
    payer: String,
    dealing: bool,
    net: BigUint,
}

impl Auditor {
    /// Settles an epoch; epochs are given in order.
    pub fn settle(&mut self, facts: &Rows, epoch: i64) -> Audit {
        let cut = Cut::new(facts, epoch);
        let (mut receipts, late) = self.receipts(&cut);
        let weightless = dealing(&cut, &mut receipts);
        let mut revenue: BTreeMap<(String, String), BigUint> = BTreeMap::new();
        for r in &receipts {
            *revenue.entry((r.key.0.clone(), r.key.1.clone())).or_default() += &r.net;
        }
        // A token that would reach 10^38 is suspended as payments, and is no revenue.
        let limit = BigUint::from(10u8).pow(38);
        let before = |purse: &(String, String)| self.received.get(purse).cloned().unwrap_or_default();
        revenue.retain(|purse, total| &*total + before(purse) < limit);
        for (purse, total) in &revenue {
            *self.received.entry(purse.clone()).or_default() += total;
        }
        let (fitting, overflowing): (Vec<Receipt>, Vec<Receipt>) =
            receipts.into_iter().partition(|r| revenue.contains_key(&(r.key.0.clone(), r.key.1.clone())));
        // What comes in, by what it is divided with: revenue, and what was held by each earlier epoch and is free now.
        let freed = self.freed(&cut);
        let mut pots: BTreeMap<Pot, BigUint> = BTreeMap::new();
        let mut totals: BTreeMap<(String, String), BigUint> = BTreeMap::new();
        let comes = fitting.iter().map(|r| (&r.key, &r.net)).chain(freed.iter().map(|f| (&f.key, f.amount())));
        for (key, amount) in comes {
            *pots.entry((key.0.clone(), key.1.clone(), key.3)).or_default() += amount;
            *totals.entry((key.0.clone(), key.1.clone())).or_default() += amount;
        }
        let scale = |key: &Key| ledger::scale(&totals[&(key.0.clone(), key.1.clone())]);
        let amounts = |r: &Receipt| {
            let scale = scale(&r.key);
            let token: alloy_primitives::Address = r.key.1.parse().expect("an address");
            let flat = cut.policies[r.key.2].4.platform_flat.get(&token).map_or(0, |flat| flat.units());
            let flat =
                if r.subject.is_some() { std::cmp::min(BigUint::from(flat), r.net.clone()) } else { BigUint::ZERO };
            (&flat * &scale, (&r.net - &flat) * &scale)
        };
        let mut again = Vec::new();
        let mut data = Data::new();
        let mut flows = Flows::default();
        for f in &freed {
            let (key, sub) = (f.key.clone(), f.amount() * scale(&f.key));
            match &f.way {
                held::Way::Payment(subject, named) => again.push(Receipt {
                    event: String::new(),
                    payment: String::new(),
                    key,
                    subject: Some(subject.clone()),
                    suspense: None,
                    named: named.clone(),
                    payer: String::new(),
                    dealing: false,
                    net: f.amount().clone(),
                }),
                held::Way::Data(subject, named) => {
                    *data.entry((key, Some(subject.clone()), named.clone())).or_default() += sub;
                }
                held::Way::End(end) => flows.add(&key, None, line(7), end.clone(), &sub),
            }
        }
        distribute(&cut, fitting.iter().chain(&again), amounts, (data, &weightless), &mut flows);
        let received = |all: &[Receipt]| all.iter().map(|r| (r.event.clone(), r.key.clone(), r.net.clone())).collect();
        self.book(&cut, flows, (received(&fitting), received(&overflowing), late), freed, (pots, totals))
    }

    /// What settles now, each payment once, and refunds of what settled before.
    fn receipts(&mut self, cut: &Cut<'_>) -> (Vec<Receipt>, Vec<LateRefund>) {
        let mut receipts = Vec::new();
        let mut late = Vec::new();
        for p in cut.facts.payments.iter().filter(|p| p.block_number <= cut.last) {
            let subject = (p.subject_kind.clone(), p.subject_sk);
            let number = cut.policy(&p.vault, &cut.version(&subject).1, p.block_number, p.log_index);
            let policy = &cut.policies[number].4;
            let key = (p.vault.clone(), p.token.clone(), number, None);
            let refunds =
                cut.facts.refunds.iter().filter(|r| r.payment_sk == p.payment_sk && r.block_number <= cut.last);
            let ripe = cut.ripe(p, policy);
            let unbacked = p.flags.contains("UNBACKED");
            if ripe > cut.last || (unbacked && policy.unbacked == Unbacked::Reject) {
                continue;
            }
            if !self.settled.insert(p.payment_sk) {
                for r in refunds.filter(|r| r.block_number >= cut.first) {
                    let block = cut.facts.blocks.iter().find(|b| b.number == ripe).expect("ripe at a block");
                    late.push((r.event_id.clone(), key.clone(), big(r.amount.0), block.epoch));
                }
                continue;
            }
            let net = big(p.amount.0) - refunds.map(|r| big(r.amount.0)).sum::<BigUint>();
            if net == BigUint::ZERO {
                continue;
            }
            receipts.push(Receipt {
                event: p.event_id.clone(),
                payment: p.payment_id.clone(),
                key,
                subject: Some(subject),
                suspense: unbacked.then(|| format!("unbacked:{}", p.payment_id)),
                named: cut.resolve(p, policy),
                payer: p.payer.clone(),
                dealing: p.flags.contains("SELF_DEALING"),
                net,
            });
        }
        for f in &cut.facts.pool_fundings {
            if std::cmp::max(f.epoch, f.for_epoch) == cut.epoch {
                let number = cut.policy(&f.vault, &f.pool, f.block_number, f.log_index);
                let key = (f.vault.clone(), f.token.clone(), number, None);
                let named = Named::Pool(f.pool.clone());
                let net = big(f.amount.0);
                receipts.push(Receipt {
                    event: f.event_id.clone(),
                    payment: String::new(),
                    key,
                    subject: None,
                    suspense: None,
                    named,
                    payer: String::new(),
                    dealing: false,
                    net,
                });
            }
        }
        (receipts, late)
    }
}

/// Steps 1 to 4 for receipts with their sub-units: the platform's flat fee, and the rest. `data` comes to step 4 alone.
fn distribute<'a>(
    cut: &Cut<'_>,
    receipts: impl Iterator<Item = &'a Receipt>,
    amounts: impl Fn(&Receipt) -> (BigUint, BigUint),
    (mut data, weightless): (Data, &BTreeSet<(i64, i32)>),
    flows: &mut Flows,
) {
    let mut models: BTreeMap<(Key, Subject), BigUint> = BTreeMap::new();
    let mut stakers = models.clone();
    for r in receipts {
        let (flat, rest) = amounts(r);
        if let Some(reason) = &r.suspense {
            flows.add(&r.key, None, line(6), End::Suspense(reason.clone()), &(flat + rest));
            continue;
        }
        let Some(subject) = &r.subject else {
            *data.entry((r.key.clone(), None, r.named.clone())).or_default() += rest;
            continue;
        };
        let parts = channels(cut, r, subject, flat, &rest, flows);
        let Some([to_models, to_data, to_stakers]) = parts else { continue };
        *models.entry((r.key.clone(), subject.clone())).or_default() += to_models;
        *data.entry((r.key.clone(), Some(subject.clone()), r.named.clone())).or_default() += to_data;
        *stakers.entry((r.key.clone(), subject.clone())).or_default() += to_stakers;
    }
    let mut frontier: BTreeMap<(Key, i64), BigUint> = BTreeMap::new();
    for ((key, subject), sub) in &models {
        let edges = cut.models_of(subject);
        let weights: Vec<_> = edges.iter().map(|e| e.1.clone()).collect();
        for (edge, part) in edges.iter().zip(cascade(sub, &weights)) {
            *frontier.entry((key.clone(), edge.0)).or_default() += part;
        }
    }
    lineage(cut, frontier, flows);
    for ((key, subject), sub) in &stakers {
        let edges: Vec<_> = cut.models_of(subject).into_iter().filter(|e| !cut.stakers(e.0).is_empty()).collect();
        let weights: Vec<_> = edges.iter().map(|e| e.1.clone()).collect();
        for (edge, part) in edges.iter().zip(cascade(sub, &weights)) {
            let pool = cut.stakers(edge.0);
            let weights: Vec<_> = pool.iter().map(|s| s.1.clone()).collect();
            for (staker, part) in pool.iter().zip(cascade(&part, &weights)) {
                flows.add(key, None, line(5), End::Account(staker.0.clone()), &part);
            }
        }
    }
    data::divide(cut, data, weightless, flows);
}

/// Finds payments to oneself by dividing each of them alone, and suspends those whose policy says so. Returns the
/// inferences that only such payments name.
fn dealing(cut: &Cut<'_>, receipts: &mut [Receipt]) -> BTreeSet<(i64, i32)> {
    let pools = receipts.iter().any(|r| r.subject.is_none());
    let (mut dealt, mut honest) = (BTreeSet::new(), BTreeSet::new());
    for r in receipts.iter_mut().filter(|r| r.subject.is_some() && r.suspense.is_none()) {
        let suspends = cut.policies[r.key.2].4.self_dealing == SelfDealing::Suspense;
        if suspends || pools {
            let whole = BigUint::from(10u8).pow(27);
            let amounts = |_: &Receipt| (BigUint::ZERO, whole.clone());
            let mut flows = Flows::default();
            distribute(cut, std::iter::once(&*r), amounts, (Data::new(), &BTreeSet::new()), &mut flows);
            r.dealing |= ledger::reaches(cut, &r.key, &flows, &r.payer);
        }
        if let Named::Inference(batch, ordinal) = r.named {
            if r.dealing {
                dealt.insert((batch, ordinal))
            } else {
                honest.insert((batch, ordinal))
            };
        }
        if suspends && r.dealing {
            r.suspense = Some(format!("self_dealing:{}", r.payment));
        }
    }
    &dealt - &honest
}

/// Step 1 for one payment; returns what goes to models, data and stakers.
fn channels(
    cut: &Cut<'_>,
    r: &Receipt,
    subject: &Subject,
    flat: BigUint,
    rest: &BigUint,
    flows: &mut Flows,
) -> Option<[BigUint; 3]> {
    let s = &cut.policies[r.key.2].4.split_ppb;
    let models = cut.models_of(subject);
    let staked = models.iter().any(|m| !cut.stakers(m.0).is_empty());
    let weigh = |somebody: bool, share: u32| BigUint::from(if somebody { share } else { 0 });
    let weights = [
        weigh(true, s.platform),
        weigh(subject.0 == "agent", s.agent),
        weigh(!models.is_empty(), s.model),
        weigh(true, s.data),
        weigh(staked, s.stakers),
    ];
    let parts = cascade(rest, &weights);
    if parts.is_empty() {
        flows.add(&r.key, None, line(0), End::Treasury, &flat);
        flows.add(&r.key, None, line(6), End::Suspense("no_channel".to_owned()), rest);
        return None;
    }
    flows.add(&r.key, None, line(0), End::Treasury, &(flat + &parts[0]));
    let agent = (1, None, None, None, Some(cut.version(subject).0));
    flows.add(&r.key, None, agent, End::Entity(subject.clone()), &parts[1]);
    Some([parts[2].clone(), parts[3].clone(), parts[4].clone()])
}

/// Step 3.
fn lineage(cut: &Cut<'_>, mut frontier: BTreeMap<(Key, i64), BigUint>, flows: &mut Flows) {
    let mut depth = 0;
    while !frontier.is_empty() {
        let mut next: BTreeMap<(Key, i64), BigUint> = BTreeMap::new();
        for ((key, model), inflow) in frontier {
            let rule = &cut.policies[key.2].4.lineage;
            if rule.mode == LineageMode::Absolute {
                absolute(cut, &key, model, &inflow, flows);
                continue;
            }
            let edges = if depth < rule.max_depth { cut.edges(model, "BASED_ON_", "model") } else { Vec::new() };
            let pass = if edges.is_empty() { 0 } else { rule.pass_ppb };
            let passed = &inflow * pass / PPB;
            let subject = ("model".to_owned(), model);
            let kept = (if depth == 0 { 2 } else { 3 }, None, None, Some(cut.version(&subject).0), None);
            flows.add(&key, None, kept, End::Entity(subject), &(&inflow - &passed));
            let weights: Vec<BigUint> = edges.iter().map(|e| e.1.clone()).collect();
            for (edge, part) in edges.iter().zip(cascade(&passed, &weights)) {
                if part > BigUint::ZERO {
                    *next.entry((key.clone(), edge.0)).or_default() += part;
                }
            }
        }
        frontier = next;
        depth += 1;
    }
}

/// Step 3 in absolute mode, path by path.
fn absolute(cut: &Cut<'_>, key: &Key, model: i64, inflow: &BigUint, flows: &mut Flows) {
    let rule = &cut.policies[key.2].4.lineage;
    let mut shares: BTreeMap<(u32, String, i64), BigUint> = BTreeMap::new();
    let mut open = vec![(model, 0)];
    while let Some((from, depth)) = open.pop() {
        if depth == rule.max_depth {
            continue;
        }
        for (to, _, declared) in cut.edges(from, "BASED_ON_", "model") {
            let id = cut.version(&("model".to_owned(), to)).0;
            *shares.entry((depth, id, to)).or_default() += declared;
            open.push((to, depth + 1));
        }
    }
    let pass = std::cmp::min(shares.values().sum::<BigUint>(), BigUint::from(rule.pass_ppb));
    let passed = inflow * pass / PPB;
    let used = ("model".to_owned(), model);
    let line = (2, None, None, Some(cut.version(&used).0), None);
    flows.add(key, None, line, End::Entity(used), &(inflow - &passed));
    let weights: Vec<BigUint> = shares.values().cloned().collect();
    for ((_, id, to), part) in shares.into_keys().zip(cascade(&passed, &weights)) {
        flows.add(key, None, (3, None, None, Some(id), None), End::Entity(("model".to_owned(), to)), &part);
    }
}
