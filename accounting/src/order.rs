//! Lines of statements in the order of their table, by numbers that sort as the texts do.

use alloy_primitives::Address;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::book::Pot;
use crate::names::{Names, Party, Role, Share, index};
use crate::standing::Posted;

/// The pot of a line that was posted: it is in the list of those.
pub(crate) const POSTED: u32 = u32::MAX;

/// (number of the pot, place among its lines) of every line above zero, by account, token, role, vault, ids.
pub(crate) fn order(names: &Names, lines: &BTreeMap<Pot, Vec<Share>>, posted: &[Posted]) -> Vec<(u32, u32)> {
    let count = lines.values().map(Vec::len).sum::<usize>() + posted.len();
    let mut order: Vec<(u32, u32)> = Vec::with_capacity(count);
    for (number, shares) in (0..).zip(lines.values()) {
        order.extend((0..).zip(shares).filter(|(_, share)| share.amount > 0).map(|(place, _)| (number, place)));
    }
    order.extend((0..).zip(posted).map(|(place, _)| (POSTED, place)));
    let ranks = Ranks::new(names, lines, posted);
    // Nearly sorted already where there is one vault and token; a cached key would take more room than the lines.
    order.sort_by_key(|at| ranks.key(*at));
    order
}

/// Owner, token, role, vault, place within the role, epoch it adjusts, base units.
type Key = (u32, u32, u32, u32, u64, Option<i64>, i128);

/// Ranks of everything that lines sort by.
struct Ranks<'a> {
    pots: Vec<OfPot<'a>>,
    /// By number of the party.
    owners: Vec<u32>,
    /// Numbers of the parties that wait, and of what is held for a reason.
    pending: Range<u32>,
    held: Range<u32>,
    /// By role: when it is due, and when it waits.
    words: Vec<[u32; 2]>,
    posted: Vec<Key>,
}

struct OfPot<'a> {
    token: u32,
    vault: u32,
    adjusts: Option<i64>,
    shares: &'a [Share],
}

impl<'a> Ranks<'a> {
    fn new(names: &Names, lines: &'a BTreeMap<Pot, Vec<Share>>, posted: &[Posted]) -> Self {
        let purses = || lines.keys().map(|(purse, _)| *purse).chain(posted.iter().map(|one| one.purse));
        let vaults: BTreeSet<Address> = purses().map(|(vault, _)| vault).collect();
        let tokens: BTreeSet<Address> = purses().map(|(_, token)| token).collect();
        let (vaults, tokens) = (Vec::from_iter(vaults), Vec::from_iter(tokens));
        let of_pot = |(((vault, token), adjusts), shares): (&Pot, &'a Vec<Share>)| OfPot {
            token: rank(&tokens, token),
            vault: rank(&vaults, vault),
            adjusts: *adjusts,
            shares,
        };
        let mut words: Vec<Word> = Role::ALL.iter().flat_map(|role| Word::of(*role)).collect();
        words.extend(Posted::ROLES.map(|role| Word(false, role)));
        words.sort_unstable();
        let mut owners: Vec<Owner> = posted.iter().map(|one| Owner::Account(one.payee)).collect();
        let merged = !posted.is_empty() || names.parties.iter().any(|party| matches!(party, Party::Pending(..)));
        if merged {
            owners.extend(names.parties.iter().map(|party| Owner::of(*party)));
            owners.sort_unstable();
            owners.dedup();
        }
        let posted = posted.iter().map(|one| {
            let (owner, (vault, token)) = (rank(&owners, &Owner::Account(one.payee)), one.purse);
            let word = rank(&words, &Word(false, one.role));
            (owner, rank(&tokens, &token), word, rank(&vaults, &vault), 0, one.adjusts, one.amount)
        });
        let until = |last: fn(&Party) -> bool| u32::try_from(names.parties.partition_point(last)).unwrap_or(u32::MAX);
        let accounts = until(|party| matches!(party, Party::Account(_)));
        let pending = until(|party| matches!(party, Party::Account(_) | Party::Pending(..)));
        let held = until(|party| !matches!(party, Party::Treasury));
        Self {
            pending: accounts..pending,
            held: pending..held,
            pots: lines.iter().map(of_pot).collect(),
            posted: posted.collect(),
            words: Role::ALL.iter().map(|role| Word::of(*role).map(|word| rank(&words, &word))).collect(),
            // Parties are in the order of their owners, unless somebody is there twice.
            owners: (0..)
                .zip(&names.parties)
                .map(|(number, party)| if merged { rank(&owners, &Owner::of(*party)) } else { number })
                .collect(),
        }
    }
    fn key(&self, (pot, place): (u32, u32)) -> Key {
        if pot == POSTED {
            return self.posted[index(place)];
        }
        let of = &self.pots[index(pot)];
        let share = &of.shares[index(place)];
        // The word of what is held is its reason, which its owner has already.
        let words = self.words[share.line.role_number()];
        let word =
            if self.held.contains(&share.party) { 0 } else { words[usize::from(self.pending.contains(&share.party))] };
        let owner = self.owners[index(share.party)];
        (owner, of.token, word, of.vault, share.line.within_role(), of.adjusts, share.amount.cast_signed())
    }
}

/// The place of something in a sorted list that has it.
fn rank<T: Ord>(list: &[T], one: &T) -> u32 {
    u32::try_from(list.partition_point(|other| other < one)).unwrap_or(u32::MAX)
}

/// The account of a line as its text sorts: addresses begin with a digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Account(Address),
    Suspense(&'static str, u32),
    Treasury,
}

impl Owner {
    const fn of(party: Party) -> Self {
        match party {
            Party::Account(account) | Party::Pending(_, account) => Self::Account(account),
            Party::Suspense(reason, whose) => Self::Suspense(reason, whose),
            Party::Treasury => Self::Treasury,
        }
    }
}

/// A role as its text sorts, with "pending:" before it or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word(bool, &'static str);

impl Word {
    const fn of(role: Role) -> [Self; 2] {
        [Self(false, role.as_str()), Self(true, role.as_str())]
    }
    fn parts(&self) -> (&str, &str) {
        if self.0 { ("pending:", self.1) } else { (self.1, "") }
    }
}
impl PartialOrd for Word {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Word {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.parts().cmp(&other.parts())
    }
}
