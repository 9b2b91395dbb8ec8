//! The book of an epoch in the making: who is due how many sub-units, for what, and over which edges it came.

use alloy_primitives::{Address, B256};
use std::collections::BTreeMap;

use crate::error::{self, AccountingError};
use crate::intake::Key;
use crate::state::{State, Subject, SubjectKind};
use tributary_schemas::policy::{PPB, Withheld};

/// Why somebody earns. The order is the canonical order of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Platform,
    Agent,
    Model,
    Lineage,
    Data,
    Staker,
    Payment,
}

impl Role {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Agent => "agent",
            Self::Model => "model",
            Self::Lineage => "lineage",
            Self::Data => "data",
            Self::Staker => "staker",
            Self::Payment => "payment",
        }
    }
}

/// A line of a statement. The order of its fields is the canonical order of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    pub(crate) role: Role,
    pub(crate) dataset: Option<B256>,
    pub(crate) contribution: Option<B256>,
    pub(crate) model: Option<B256>,
    pub(crate) agent: Option<B256>,
}

impl Line {
    pub(crate) const fn of(role: Role) -> Self {
        Self { role, dataset: None, contribution: None, model: None, agent: None }
    }
    /// A line for money that came through `subject`. An agent on exactly one model names that model too.
    pub(crate) fn through(role: Role, state: &State, subject: Subject) -> Result<Self, AccountingError> {
        let id = state.graph.version(subject)?.id;
        let mut line = Self::of(role);
        match subject.kind {
            SubjectKind::Model => line.model = Some(id),
            SubjectKind::Agent => {
                line.agent = Some(id);
                if let [only] = state.graph.models_of(subject).as_slice() {
                    line.model = state.graph.models.get(&only.to).map(|version| version.id);
                }
            }
        }
        Ok(line)
    }
}

/// A batch whose challenge window is open at the cut, with the blocks at which it closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hold {
    pub(crate) batch_sk: i64,
    pub(crate) release: i64,
    pub(crate) resolve_by: i64,
}

/// Whom a flow ends at, before payouts and penalties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum To {
    Account(Address),
    /// The owner of an entity, or its split.
    Entity(Subject),
    Treasury,
    Suspense(&'static str),
}

/// A participant of the largest remainder: addresses first, then pseudo-accounts by name (ruling 21).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Party {
    Account(Address),
    Pseudo {
        name: String,
        /// Whom it is kept for, when it is for somebody.
        payee: Option<Address>,
    },
}

impl Party {
    pub(crate) fn treasury() -> Self {
        Self::Pseudo { name: "treasury".to_owned(), payee: None }
    }
    pub(crate) fn suspense(reason: &str) -> Self {
        Self::Pseudo { name: format!("suspense:{reason}"), payee: None }
    }
    /// Its name in the journal.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Account(account) => crate::journal::payable(*account),
            Self::Pseudo { name, .. } => name.clone(),
        }
    }
    /// Money that waits for the end of a challenge window.
    pub(crate) fn pending(payee: Address, hold: Hold) -> Self {
        let payee_text = tributary_schemas::column::hex_text(payee);
        let Hold { batch_sk, release, resolve_by } = hold;
        Self::Pseudo { name: format!("pending:{batch_sk}:{release}:{resolve_by}:{payee_text}"), payee: Some(payee) }
    }
}

/// One end of an edge that money went over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    Word(&'static str),
    Id(B256),
}

/// Steps of the explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Channel,
    Model,
    Lineage,
    Data,
}

impl Step {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Model => "model",
            Self::Lineage => "lineage",
            Self::Data => "data",
        }
    }
}

type Gross = (Key, Option<Hold>, Line, To);
/// Vault and token.
pub(crate) type Purse = (Address, Address);
/// Sub-units per participant and line.
pub(crate) type Shares = BTreeMap<Party, BTreeMap<Line, u128>>;

/// The book.
#[derive(Debug, Default)]
pub(crate) struct Book {
    gross: BTreeMap<Gross, u128>,
    pub(crate) edges: BTreeMap<(Purse, Step, u32, Node, Node), u128>,
}

impl Book {
    pub(crate) fn credit(&mut self, key: Key, hold: Option<Hold>, line: Line, to: To, sub: u128) {
        if sub > 0 {
            *self.gross.entry((key, hold, line, to)).or_default() += sub;
        }
    }

    pub(crate) fn edge(&mut self, key: Key, step: Step, depth: u32, from: Node, to: Node, sub: u128) {
        if sub > 0 {
            *self.edges.entry(((key.vault, key.token), step, depth, from, to)).or_default() += sub;
        }
    }

    /// Payees of everything in the book: splits, penalties, payout addresses, quarantine, holds.
    pub(crate) fn close(self, state: &State) -> Result<BTreeMap<Purse, Shares>, AccountingError> {
        let before = self.totals();
        let mut closing = Closing { state, purses: BTreeMap::new() };
        for ((key, hold, line, to), sub) in self.gross {
            closing.pay(key, hold, line, to, sub)?;
        }
        let sum = |shares: &Shares| shares.values().flat_map(BTreeMap::values).sum::<u128>();
        let after: BTreeMap<Purse, u128> = closing.purses.iter().map(|(purse, shares)| (*purse, sum(shares))).collect();
        error::hold(&tributary_schemas::invariant::SPLIT_IS_WHOLE, before == after, || {
            format!("sub-units at payees are {after:?}: expected {before:?}")
        })?;
        Ok(closing.purses)
    }

    /// Sub-units in the book, per vault and token.
    pub(crate) fn totals(&self) -> BTreeMap<Purse, u128> {
        let mut totals = BTreeMap::new();
        for ((key, ..), sub) in &self.gross {
            *totals.entry((key.vault, key.token)).or_insert(0) += sub;
        }
        totals
    }
}

struct Closing<'a> {
    state: &'a State,
    purses: BTreeMap<Purse, Shares>,
}

impl Closing<'_> {
    fn pay(&mut self, key: Key, hold: Option<Hold>, line: Line, to: To, sub: u128) -> Result<(), AccountingError> {
        match to {
            To::Treasury => self.treasury(key, hold, line, sub),
            To::Suspense(reason) => self.put(key, Party::suspense(reason), line, sub),
            To::Account(account) => {
                let scopes = [Some(B256::ZERO), line.dataset, line.contribution].into_iter().flatten();
                self.account(key, hold, line, account, None, &scopes.collect::<Vec<_>>(), sub);
            }
            To::Entity(subject) => {
                let version = *self.state.graph.version(subject)?;
                let scopes = [B256::ZERO, version.entity];
                if let Some(split) = self.state.payouts.split(version.entity) {
                    let parts = crate::cascade::split(sub, split.iter().map(|(_, share)| *share));
                    for ((account, _), part) in split.iter().copied().zip(parts) {
                        self.account(key, hold, line, account, None, &scopes, part);
                    }
                } else {
                    let payout = self.state.payouts.of_entity(version.entity, key.vault, key.token);
                    self.account(key, hold, line, version.owner, payout, &scopes, sub);
                }
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "one credit, spelled out")]
    fn account(
        &mut self,
        key: Key,
        hold: Option<Hold>,
        line: Line,
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
        let kept = crate::cascade::portion(sub, multiplier, u128::from(PPB));
        match policy.withheld {
            Withheld::Treasury => self.treasury(key, hold, line, sub - kept),
            Withheld::Hold => self.put(key, Party::suspense("penalty"), line, sub - kept),
        }
        let party = match hold {
            _ if quarantined => Party::suspense("quarantined"),
            Some(hold) => Party::pending(payout, hold),
            None => Party::Account(payout),
        };
        self.put(key, party, line, kept);
    }

    /// The treasury is an address when the policy names one. It waits for challenges like everybody else.
    fn treasury(&mut self, key: Key, hold: Option<Hold>, line: Line, sub: u128) {
        let treasury = self.state.policy(key.ruling).treasury;
        let party = match hold {
            _ if treasury == Address::ZERO => Party::treasury(),
            Some(hold) => Party::pending(treasury, hold),
            None => Party::Account(treasury),
        };
        self.put(key, party, line, sub);
    }

    fn put(&mut self, key: Key, party: Party, line: Line, sub: u128) {
        if sub > 0 {
            let lines = self.purses.entry((key.vault, key.token)).or_default().entry(party).or_default();
            *lines.entry(line).or_default() += sub;
        }
    }
}
