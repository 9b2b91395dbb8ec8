//! Participants and lines of an epoch as small numbers that sort as what they stand for: a million payees with a few
//! lines each are a list of 32-byte entries, and text is made only of what is published.

use alloy_primitives::{Address, B256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tributary_schemas::column::hex_text;

use crate::error::AccountingError;
use crate::state::{Contributions, State, Subject, SubjectKind};

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
    Released,
}

impl Role {
    pub(crate) const ALL: [Self; 8] = [
        Self::Platform,
        Self::Agent,
        Self::Model,
        Self::Lineage,
        Self::Data,
        Self::Staker,
        Self::Payment,
        Self::Released,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Agent => "agent",
            Self::Model => "model",
            Self::Lineage => "lineage",
            Self::Data => "data",
            Self::Staker => "staker",
            Self::Payment => "payment",
            Self::Released => "released",
        }
    }

    /// Back from its word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
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

impl Hold {
    /// The beginning of the names of accounts that wait for it. None is the beginning of another.
    fn prefix(self) -> String {
        format!("pending:{}:{}:{}:", self.batch_sk, self.release, self.resolve_by)
    }
}

/// What money is held of, where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Whose {
    Payment(B256),
    Account(Address),
}

impl Whose {
    fn text(self) -> String {
        match self {
            Self::Payment(id) => hex_text(id),
            Self::Account(account) => hex_text(account),
        }
    }
}

/// A participant of the largest remainder: addresses first, then pseudo-accounts by name (ruling 21), which is the order
/// of these variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Party {
    Account(Address),
    /// Money that waits for the end of a challenge window: the hold's number in [`Names`], and whom it is kept for.
    Pending(u32, Address),
    /// The reason, and the number in [`Names`] of what it is held of; zero for nothing in particular.
    Suspense(&'static str, u32),
    Treasury,
}

impl Party {
    /// A number that is never below that of a party before it, and mostly above.
    pub(crate) fn first(&self) -> u64 {
        match self {
            Self::Account(account) => u64::from_be_bytes(account.0.0.first_chunk().copied().unwrap_or_default()) >> 1,
            Self::Pending(..) | Self::Suspense(..) | Self::Treasury => u64::MAX,
        }
    }
}

/// A line as a number: its role, the rank of its contribution by (dataset, id), the rank of its (model, agent).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LineKey(u64);

/// Bits of the rank of (model, agent).
const THROUGH_BITS: u32 = 29;
/// Bits of the rank of a contribution.
const CONTRIBUTION_BITS: u32 = 32;

impl LineKey {
    fn part(self, shift: u32, bits: u32) -> usize {
        usize::try_from((self.0 >> shift) & ((1 << bits) - 1)).unwrap_or(usize::MAX)
    }
    pub(crate) fn role(self) -> Role {
        Role::ALL[self.role_number()]
    }
    /// The place of its role among all.
    pub(crate) fn role_number(self) -> usize {
        std::cmp::min(self.part(THROUGH_BITS + CONTRIBUTION_BITS, 3), Role::ALL.len() - 1)
    }
    /// What its order within a role is made of.
    pub(crate) const fn within_role(self) -> u64 {
        self.0 & ((1 << (THROUGH_BITS + CONTRIBUTION_BITS)) - 1)
    }
}

/// What a participant is due for a line: sub-units, then base units once rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) party: u32,
    /// Base units of `amount` that rounding placed (below zero where a line lost a unit to another).
    pub(crate) rounding: i32,
    pub(crate) line: LineKey,
    pub(crate) amount: u128,
}

type Through = (Option<B256>, Option<B256>);

/// The names behind the numbers.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// By number; sorted.
    pub(crate) parties: Vec<Party>,
    /// (model, agent), sorted.
    through: Vec<Through>,
    /// Beginnings of names of pending accounts, sorted.
    holds: Vec<(String, Hold)>,
    /// What money is held of, as text, sorted.
    whose: Vec<(String, Whose)>,
    /// Places of contributions by (dataset id, contribution id).
    order: Vec<u32>,
    /// The rank of each place.
    ranks: Vec<u32>,
    contributions: Arc<Contributions>,
    datasets: BTreeMap<i64, B256>,
}

impl Names {
    /// The names of these lines and holds.
    pub(crate) fn new(
        state: &State,
        lines: impl Iterator<Item = Line>,
        holds: impl Iterator<Item = Hold>,
        whose: impl Iterator<Item = Whose>,
    ) -> Result<Self, AccountingError> {
        let through: BTreeSet<Through> = lines.map(|line| (line.model, line.agent)).collect();
        if through.len() >= 1 << THROUGH_BITS {
            return Err(AccountingError::inconsistent(format!("{} models and agents: expected fewer", through.len())));
        }
        let holds: BTreeSet<Hold> = holds.collect();
        let mut holds: Vec<(String, Hold)> = holds.into_iter().map(|hold| (hold.prefix(), hold)).collect();
        holds.sort_unstable();
        let whose: BTreeSet<(String, Whose)> = whose.map(|one| (one.text(), one)).collect();
        let (order, ranks) = ranked(state)?;
        Ok(Self {
            parties: Vec::new(),
            through: through.into_iter().collect(),
            holds,
            whose: whose.into_iter().collect(),
            order,
            ranks,
            contributions: Arc::clone(&state.contributions),
            datasets: state.graph.datasets.clone(),
        })
    }

    /// The number of a line for the contribution at `place`, from that of the line without it.
    pub(crate) fn of_contribution(&self, line: LineKey, place: usize) -> LineKey {
        let rank = self.ranks.get(place).copied().unwrap_or(u32::MAX - 1);
        LineKey(line.0 | (u64::from(rank) + 1) << THROUGH_BITS)
    }

    /// The number of a line that names no contribution.
    pub(crate) fn plain(&self, line: &Line) -> LineKey {
        let through = self.through.partition_point(|one| *one < (line.model, line.agent));
        let role = Role::ALL.iter().position(|one| *one == line.role).unwrap_or(0);
        let wide = |number: usize| u64::try_from(number).unwrap_or(0);
        LineKey(wide(role) << (THROUGH_BITS + CONTRIBUTION_BITS) | wide(through))
    }

    /// The rank of the contribution at `place` by (dataset, id).
    pub(crate) fn rank(&self, place: u32) -> u32 {
        self.ranks.get(index(place)).copied().unwrap_or(u32::MAX)
    }

    /// The line behind a number.
    pub(crate) fn line(&self, key: LineKey) -> Line {
        let (model, agent) = self.through.get(key.part(0, THROUGH_BITS)).copied().unwrap_or_default();
        let rank = key.part(THROUGH_BITS, CONTRIBUTION_BITS).checked_sub(1);
        let one = rank.and_then(|rank| self.contributions.list().get(index(*self.order.get(rank)?)));
        Line {
            role: key.role(),
            dataset: one.and_then(|one| self.datasets.get(&one.dataset_sk).copied()),
            contribution: one.map(|one| one.id),
            model,
            agent,
        }
    }

    /// The number of a hold.
    pub(crate) fn hold(&self, hold: Hold) -> u32 {
        let at = self.holds.iter().position(|(_, one)| *one == hold);
        at.and_then(|at| u32::try_from(at).ok()).unwrap_or(u32::MAX)
    }

    /// The number of what money is held of.
    pub(crate) fn whose(&self, whose: Whose) -> u32 {
        let at = self.whose.binary_search(&(whose.text(), whose));
        at.ok().and_then(|at| u32::try_from(at.saturating_add(1)).ok()).unwrap_or(0)
    }

    /// How many of the parties are accounts: these have the first numbers.
    pub(crate) fn accounts(&self) -> usize {
        self.parties.partition_point(|party| matches!(party, Party::Account(_)))
    }

    /// The party behind a number.
    pub(crate) fn party(&self, number: u32) -> Party {
        self.parties.get(index(number)).copied().unwrap_or(Party::Treasury)
    }

    /// The name of a party in the journal.
    pub(crate) fn name(&self, party: Party) -> String {
        match party {
            Party::Account(account) => crate::journal::payable(account),
            Party::Pending(hold, payee) => {
                let prefix = self.holds.get(index(hold)).map_or("pending:", |(prefix, _)| prefix.as_str());
                format!("{prefix}{}", hex_text(payee))
            }
            Party::Suspense(reason, whose) => match whose.checked_sub(1).and_then(|at| self.whose.get(index(at))) {
                Some((whose, _)) => format!("suspense:{reason}:{whose}"),
                None => format!("suspense:{reason}"),
            },
            Party::Treasury => "treasury".to_owned(),
        }
    }
}

pub(crate) fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Places of contributions by (dataset id, contribution id), and the rank of each place.
fn ranked(state: &State) -> Result<(Vec<u32>, Vec<u32>), AccountingError> {
    let list = state.contributions.list();
    let by_id: BTreeSet<(B256, i64)> = state.graph.datasets.iter().map(|(sk, id)| (*id, *sk)).collect();
    let datasets: BTreeMap<i64, u32> = by_id.into_iter().map(|(_, sk)| sk).zip(0..).collect();
    if u32::try_from(list.len()).is_err() {
        return Err(AccountingError::inconsistent(format!("{} contributions: expected fewer", list.len())));
    }
    // The first bytes of an id decide nearly always.
    let mut keys: Vec<(u32, u64, u32)> = (0..)
        .zip(list)
        .map(|(place, one)| {
            let first = u64::from_be_bytes(one.id.0.first_chunk().copied().unwrap_or_default());
            (datasets.get(&one.dataset_sk).copied().unwrap_or(u32::MAX), first, place)
        })
        .collect();
    keys.sort_unstable_by(|a, b| {
        (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| list[index(a.2)].id.cmp(&list[index(b.2)].id))
    });
    let order: Vec<u32> = keys.into_iter().map(|(.., place)| place).collect();
    let mut ranks = vec![0; order.len()];
    for (rank, place) in (0..).zip(&order) {
        ranks[index(*place)] = rank;
    }
    Ok((order, ranks))
}

#[cfg(test)]
mod tests {
    use super::{Hold, Line, Names, Role};

    #[test]
    fn numbers_of_lines_sort_as_lines() {
        let id = |byte: u8| alloy_primitives::B256::repeat_byte(byte);
        let mut lines = Vec::new();
        for role in Role::ALL {
            for model in [None, Some(id(1)), Some(id(2))] {
                for agent in [None, Some(id(1)), Some(id(9))] {
                    lines.push(Line { model, agent, ..Line::of(role) });
                }
            }
        }
        let through = lines.iter().map(|line| (line.model, line.agent)).collect::<std::collections::BTreeSet<_>>();
        let names =
            Names { through: through.into_iter().collect(), ranks: vec![1, 0], order: vec![1, 0], ..Names::default() };
        lines.sort_unstable();
        let mut keys: Vec<_> = lines.iter().map(|line| names.plain(line)).collect();
        assert!(keys.is_sorted());
        assert_eq!(keys.iter().map(|key| names.line(*key)).collect::<Vec<_>>(), lines);
        keys.dedup();
        assert_eq!(keys.len(), lines.len());
        let data = names.plain(&Line::of(Role::Data));
        assert!(data < names.of_contribution(data, 1));
        assert!(names.of_contribution(data, 1) < names.of_contribution(data, 0), "by rank");
    }

    #[test]
    fn no_pending_name_is_the_beginning_of_another() {
        let holds = [(1, 2, 3), (1, 2, 34), (11, 2, 3), (1, 22, 3), (-1, 2, 3)];
        let prefixes: Vec<String> = holds
            .map(|(batch_sk, release, resolve_by)| Hold { batch_sk, release, resolve_by }.prefix())
            .into_iter()
            .collect();
        for a in &prefixes {
            assert_eq!(prefixes.iter().filter(|b| b.starts_with(a.as_str())).count(), 1, "{a}");
        }
    }
}
