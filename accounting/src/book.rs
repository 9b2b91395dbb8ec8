//! The book of an epoch in the making: who is due how many sub-units, for what, and over which edges it came.

use alloy_primitives::{Address, B256};
use std::collections::{BTreeMap, BTreeSet};
use tributary_schemas::invariant::SPLIT_IS_WHOLE;
use tributary_schemas::policy::{PPB, Withheld};

use crate::cascade::{portion, split};
use crate::error::{self, AccountingError};
use crate::intake::Key;
pub(crate) use crate::names::{Hold, Line, Role};
use crate::names::{LineKey, Names, Party, Share, Whose, index};
use crate::state::{Contribution, State, Subject};
use crate::sums::Sums;

mod edges;
mod judge;

pub(crate) use edges::MoneyFlows;
use edges::Reached;
pub(crate) use judge::Judge;

/// Whom a flow ends at, before payouts and penalties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum To {
    Account(Address),
    /// The owner of an entity, or its split.
    Entity(Subject),
    /// An account as it is: no penalty and no payout address.
    Direct(Address),
    Treasury,
    Suspense(&'static str),
    /// Suspense that says what it is held of.
    Held(&'static str, Whose),
}

/// One end of an edge that money went over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    Word(&'static str),
    Id(B256),
}

/// Steps of the explanation, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Channel,
    Data,
    Lineage,
    Model,
}

impl Step {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Data => "data",
            Self::Lineage => "lineage",
            Self::Model => "model",
        }
    }
}

type Gross = (Key, Option<Hold>, Line, To);
/// Vault and token.
pub(crate) type Purse = (Address, Address);
/// What is divided by itself: the money of an epoch in a vault and token, or what adjusts an earlier epoch there.
pub(crate) type Pot = (Purse, Option<i64>);

/// An edge that money went over, in the order of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) token: Address,
    pub(crate) step: Step,
    pub(crate) from: Node,
    pub(crate) to: Node,
    pub(crate) vault: Address,
    pub(crate) depth: u32,
}

/// What one flow of the data channel has in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DataFlow {
    pub(crate) key: Key,
    pub(crate) hold: Option<Hold>,
    /// Its lines, but for dataset and contribution.
    pub(crate) line: Line,
    /// The version that answered.
    pub(crate) from: B256,
}

/// The book.
#[derive(Debug, Default)]
pub(crate) struct Book {
    gross: BTreeMap<Gross, u128>,
    edges: BTreeMap<Edge, u128>,
    flows: Vec<DataFlow>,
    sums: Sums,
}

impl Book {
    pub(crate) fn credit(&mut self, key: Key, hold: Option<Hold>, line: Line, to: To, sub: u128) {
        if sub > 0 {
            *self.gross.entry((key, hold, line, to)).or_default() += sub;
        }
    }

    pub(crate) fn edge(&mut self, key: Key, step: Step, depth: u32, from: Node, to: Node, sub: u128) {
        if sub > 0 {
            let edge = Edge { token: key.token, step, from, to, vault: key.vault, depth };
            *self.edges.entry(edge).or_default() += sub;
        }
    }

    /// What flows bring to contributions: nearly everything there is, so it stays numbers.
    pub(crate) fn contributions(
        &mut self,
        state: &State,
        flows: Vec<DataFlow>,
        sums: Sums,
    ) -> Result<(), AccountingError> {
        // Contributions of a dataset lie mostly side by side: what they get is added up before it is an edge's.
        let mut at_hand: Vec<(i64, u128)> = vec![(i64::MIN, 0); flows.len()];
        let mut edges: BTreeMap<(usize, i64), u128> = BTreeMap::new();
        for (flow, place, sub) in sums.iter() {
            let (dataset_sk, sum) = &mut at_hand[flow];
            let one = state.contributions.list()[place].dataset_sk;
            if *dataset_sk == one {
                *sum += sub;
            } else {
                *edges.entry((flow, *dataset_sk)).or_default() += *sum;
                (*dataset_sk, *sum) = (one, sub);
            }
        }
        for (flow, (dataset_sk, sum)) in at_hand.into_iter().enumerate() {
            *edges.entry((flow, dataset_sk)).or_default() += sum;
        }
        for ((flow, dataset_sk), sub) in edges.into_iter().filter(|(_, sub)| *sub > 0) {
            let flow = flows[flow];
            let dataset = dataset(state, dataset_sk)?;
            self.edge(flow.key, Step::Data, 0, Node::Id(flow.from), Node::Id(dataset), sub);
        }
        (self.flows, self.sums) = (flows, sums);
        Ok(())
    }

    /// The credits that are in it, contributions apart.
    pub(crate) fn credits(&self) -> impl Iterator<Item = (Key, Option<Hold>, Line, To, u128)> {
        self.gross.iter().map(|((key, hold, line, to), sub)| (*key, *hold, *line, *to, *sub))
    }

    /// Which of the addresses that are wanted under a policy number its money reaches.
    pub(crate) fn reaches(
        &self,
        state: &State,
        wanted: &BTreeMap<usize, BTreeSet<Address>>,
    ) -> Result<BTreeSet<(usize, Address)>, AccountingError> {
        let mut reached = BTreeSet::new();
        let mut take = |key: Key, account: Address, payout: Option<Address>| {
            let Some(wanted) = wanted.get(&key.ruling) else { return };
            let payout = payout.unwrap_or_else(|| state.payouts.of_account(account, key.vault, key.token));
            for one in [account, payout] {
                if wanted.contains(&one) {
                    reached.insert((key.ruling, one));
                }
            }
        };
        let treasury = |key: Key, take: &mut dyn FnMut(Key, Address, Option<Address>)| {
            let treasury = state.policy(key.ruling).treasury;
            if !treasury.is_zero() {
                take(key, treasury, Some(treasury));
            }
        };
        for (key, _, _, to) in self.gross.keys() {
            match to {
                To::Suspense(_) | To::Held(..) => {}
                To::Direct(account) => take(*key, *account, Some(*account)),
                To::Treasury => treasury(*key, &mut take),
                To::Account(account) => take(*key, *account, None),
                To::Entity(subject) => {
                    let version = state.graph.version(*subject)?;
                    if let Some(shares) = state.payouts.split(version.entity) {
                        for (account, _) in shares.iter().filter(|(_, share)| *share > 0) {
                            take(*key, *account, None);
                        }
                    } else {
                        take(*key, version.owner, state.payouts.of_entity(version.entity, key.vault, key.token));
                    }
                }
            }
        }
        for (flow, place, _) in self.sums.iter() {
            let (one, key) = (&state.contributions.list()[place], self.flows[flow].key);
            if one.removed {
                treasury(key, &mut take);
            } else {
                take(key, one.contributor, None);
            }
        }
        Ok(reached)
    }

    /// Payees of everything in the book: splits, penalties, payout addresses, quarantine, holds.
    pub(crate) fn close(self, state: &State) -> Result<Closed, AccountingError> {
        let before = self.totals();
        let lines = self.gross.keys().map(|(_, _, line, _)| *line).chain(self.flows.iter().map(|flow| flow.line));
        let holds = self.gross.keys().filter_map(|(_, hold, ..)| *hold);
        let held =
            self.gross.keys().filter_map(|(.., to)| if let To::Held(_, whose) = to { Some(*whose) } else { None });
        let whose = held.chain(state.payouts.named().map(Whose::Account));
        let names = Names::new(state, lines, holds.chain(self.flows.iter().filter_map(|flow| flow.hold)), whose)?;
        let mut closing = Closing { state, names, parties: Vec::new(), few: BTreeMap::new(), pots: BTreeMap::new() };
        for ((key, hold, line, to), sub) in self.gross {
            closing.pay(key, hold, &line, to, sub)?;
        }
        let (purses, reached) = closing.data(&self.flows, self.sums)?;
        let flows = MoneyFlows { edges: self.edges.into_iter().collect(), reached, purses };
        let (names, pots) = closing.finish();
        let sum = |shares: &Vec<Share>| shares.iter().map(|share| share.amount).sum::<u128>();
        let after: BTreeMap<Pot, u128> = pots.iter().map(|(pot, shares)| (*pot, sum(shares))).collect();
        error::hold(&SPLIT_IS_WHOLE, before == after, || {
            format!("sub-units at payees are {after:?}: expected {before:?}")
        })?;
        Ok(Closed { names, pots, flows })
    }

    /// Sub-units in the book.
    pub(crate) fn totals(&self) -> BTreeMap<Pot, u128> {
        let mut totals = BTreeMap::new();
        for ((key, ..), sub) in &self.gross {
            *totals.entry(key.pot()).or_insert(0) += sub;
        }
        for (flow, sub) in self.flows.iter().zip(self.sums.of_flows()).filter(|(_, sub)| *sub > 0) {
            *totals.entry(flow.key.pot()).or_insert(0) += sub;
        }
        totals
    }
}

fn dataset(state: &State, sk: i64) -> Result<B256, AccountingError> {
    let dataset = state.graph.datasets.get(&sk).copied();
    dataset.ok_or_else(|| AccountingError::inconsistent(format!("dataset {sk} is in no table")))
}

/// A closed book.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) names: Names,
    /// Sub-units by party and line, each pair once.
    pub(crate) pots: BTreeMap<Pot, Vec<Share>>,
    pub(crate) flows: MoneyFlows,
}

struct Closing<'a> {
    state: &'a State,
    names: Names,
    /// As they come, some of them more than once.
    parties: Vec<Party>,
    /// Numbers of those that come again and again.
    few: BTreeMap<Party, u32>,
    pots: BTreeMap<Pot, Vec<Share>>,
}

impl Closing<'_> {
    fn pay(&mut self, key: Key, hold: Option<Hold>, line: &Line, to: To, sub: u128) -> Result<(), AccountingError> {
        let number = self.names.plain(line);
        let hold = hold.map(|hold| self.names.hold(hold));
        match to {
            To::Treasury => self.treasury(key, hold, number, sub),
            To::Suspense(reason) => self.put(key, Party::Suspense(reason, 0), number, sub),
            To::Held(reason, whose) => self.held(key, reason, whose, number, sub),
            To::Direct(account) => self.put(key, Party::Account(account), number, sub),
            To::Account(account) => self.account(key, hold, number, account, None, &[B256::ZERO], sub),
            To::Entity(subject) => {
                let version = *self.state.graph.version(subject)?;
                let scopes = [B256::ZERO, version.entity];
                if let Some(shares) = self.state.payouts.split(version.entity) {
                    let parts = split(sub, shares.iter().map(|(_, share)| *share));
                    for ((account, _), part) in shares.iter().copied().zip(parts) {
                        self.account(key, hold, number, account, None, &scopes, part);
                    }
                } else {
                    let payout = self.state.payouts.of_entity(version.entity, key.vault, key.token);
                    self.account(key, hold, number, version.owner, payout, &scopes, sub);
                }
            }
        }
        Ok(())
    }

    /// The data channel, contribution by contribution: what comes over several flows mostly has one payee.
    fn data(&mut self, flows: &[DataFlow], sums: Sums) -> Result<(Vec<Purse>, Vec<Reached>), AccountingError> {
        let holds: Vec<Option<u32>> = flows.iter().map(|flow| flow.hold.map(|hold| self.names.hold(hold))).collect();
        let mut purses: Vec<Purse> = flows.iter().map(|flow| (flow.key.vault, flow.key.token)).collect();
        purses.sort_unstable_by_key(|(vault, token)| (*token, *vault));
        purses.dedup();
        let number = |key: &Key| purses.iter().position(|purse| *purse == (key.vault, key.token)).unwrap_or(0);
        let numbers: Vec<u32> = flows.iter().map(|flow| u32::try_from(number(&flow.key)).unwrap_or(u32::MAX)).collect();
        let lines: Vec<LineKey> = flows.iter().map(|flow| self.names.plain(&flow.line)).collect();
        let mut counts = vec![0_usize; flows.len()];
        for (flow, ..) in sums.iter() {
            counts[flow] += 1;
        }
        let mut by_pot: BTreeMap<Pot, usize> = BTreeMap::new();
        for (flow, count) in flows.iter().zip(counts).filter(|(_, count)| *count > 0) {
            *by_pot.entry(flow.key.pot()).or_default() += count;
        }
        for (pot, count) in by_pot {
            self.pots.entry(pot).or_default().reserve(count);
        }
        let mut reached: Vec<Reached> = Vec::new();
        let state = self.state;
        for (flow, place, sub) in sums.iter() {
            let one = state.contributions.list()[place];
            let (hold, purse) = (holds[flow], numbers[flow]);
            let number = self.names.of_contribution(lines[flow], place);
            self.contribution(flows[flow].key, hold, number, &one, sub)?;
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            let same = reached.iter_mut().rev().take_while(|last| last.place == place).find(|last| last.purse == purse);
            match same {
                Some(last) => last.sub += sub,
                None => reached.push(Reached { place, purse, sub }),
            }
        }
        drop(sums);
        let token = |purse: u32| purses[index(purse)].1;
        reached.sort_unstable_by_key(|one| (token(one.purse), self.names.rank(one.place), one.purse));
        Ok((purses, reached))
    }

    /// What came to a contribution: its contributor's, or the treasury's once it is removed.
    fn contribution(
        &mut self,
        key: Key,
        hold: Option<u32>,
        line: LineKey,
        one: &Contribution,
        sub: u128,
    ) -> Result<(), AccountingError> {
        if one.removed {
            self.treasury(key, hold, line, sub);
        } else {
            let scopes = [B256::ZERO, dataset(self.state, one.dataset_sk)?, one.id];
            self.account(key, hold, line, one.contributor, None, &scopes, sub);
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "one credit, spelled out")]
    fn account(
        &mut self,
        key: Key,
        hold: Option<u32>,
        line: LineKey,
        account: Address,
        payout: Option<Address>,
        scopes: &[B256],
        sub: u128,
    ) {
        let policy = self.state.policy(key.ruling);
        let payouts = &self.state.payouts;
        let multiplier = payouts.multiplier(policy, account, scopes);
        let payout = payout.unwrap_or_else(|| payouts.of_account(account, key.vault, key.token));
        let quarantined = payouts.is_quarantined(account) || payouts.is_quarantined(payout);
        let kept = if multiplier == u128::from(PPB) { sub } else { portion(sub, multiplier, u128::from(PPB)) };
        match policy.withheld {
            Withheld::Treasury => self.treasury(key, hold, line, sub - kept),
            Withheld::Hold => self.held(key, "penalty", Whose::Account(account), line, sub - kept),
        }
        if quarantined {
            let named = if payouts.is_quarantined(account) { account } else { payout };
            return self.held(key, "quarantined", Whose::Account(named), line, kept);
        }
        let party = match hold {
            Some(hold) => Party::Pending(hold, payout),
            None => Party::Account(payout),
        };
        self.put(key, party, line, kept);
    }

    /// The treasury is an address when the policy names one. It waits for challenges like everybody else.
    fn treasury(&mut self, key: Key, hold: Option<u32>, line: LineKey, sub: u128) {
        let treasury = self.state.policy(key.ruling).treasury;
        let party = match hold {
            _ if treasury == Address::ZERO => Party::Treasury,
            Some(hold) => Party::Pending(hold, treasury),
            None => Party::Account(treasury),
        };
        self.put(key, party, line, sub);
    }

    fn held(&mut self, key: Key, reason: &'static str, whose: Whose, line: LineKey, sub: u128) {
        // Mostly nothing is withheld, and names cost.
        if sub > 0 {
            let party = Party::Suspense(reason, self.names.whose(whose));
            self.put(key, party, line, sub);
        }
    }

    fn put(&mut self, key: Key, party: Party, line: LineKey, sub: u128) {
        if sub > 0 {
            let party = self.number(party);
            let shares = self.pots.entry(key.pot()).or_default();
            shares.push(Share { party, rounding: 0, line, amount: sub });
        }
    }

    fn number(&mut self, party: Party) -> u32 {
        let next = u32::try_from(self.parties.len()).unwrap_or(u32::MAX);
        let found = match party {
            Party::Suspense(..) | Party::Treasury => self.few.get(&party).copied(),
            Party::Account(_) | Party::Pending(..) => {
                next.checked_sub(1).filter(|_| self.parties.last() == Some(&party))
            }
        };
        if let Some(found) = found {
            return found;
        }
        if matches!(party, Party::Suspense(..) | Party::Treasury) {
            self.few.insert(party, next);
        }
        self.parties.push(party);
        next
    }

    /// Sorts parties and shares; what falls to the same party and line becomes one share.
    fn finish(mut self) -> (Names, BTreeMap<Pot, Vec<Share>>) {
        let came = std::mem::take(&mut self.parties);
        let mut order: Vec<(u64, u32)> = came.iter().map(|party| party.first()).zip(0..).collect();
        let party = |number: u32| came[index(number)];
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| party(a.1).cmp(&party(b.1))));
        let mut numbers = vec![0; order.len()];
        for (_, number) in order {
            if self.names.parties.last() != Some(&party(number)) {
                self.names.parties.push(party(number));
            }
            numbers[index(number)] = u32::try_from(self.names.parties.len() - 1).unwrap_or(u32::MAX);
        }
        for shares in self.pots.values_mut() {
            for share in &mut *shares {
                share.party = numbers[index(share.party)];
            }
            crate::threads::sort(shares, |share| (share.party, share.line));
            shares.dedup_by(|next, kept| {
                let same = (next.party, next.line) == (kept.party, kept.line);
                if same {
                    kept.amount += next.amount;
                }
                same
            });
        }
        (self.names, self.pots)
    }
}
