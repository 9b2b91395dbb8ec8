//! The journal: double entry, immutable, every entry with an id made of what identifies it.
//!
//! Accounts, per vault and token: `escrow` (what payers left with the vault), `clearing` of the epoch (ends at zero),
//! `treasury`, `payable:<address>`, `pending:<batch>:<release>:<resolve by>:<address>`, `unfunded:<address>` (earned, and
//! waiting until the vault has the money: `funding`), `suspense:<reason>` and
//! `suspense:<reason>:<payment or account>` (`suspense`),
//! `receivable:<address>` (claimed beyond what was due), `receivable:platform` (refunded after settlement: the caller of
//! the refund supplied the money, and the platform owes the difference), `distributor` (what claims are paid from: each
//! epoch moves there from escrow what it posts to payees), `claimed`.
//!
//! An entry that is made twice is made once; two entries that share an id and nothing else are a fault of ours.
//!
//! - id = the first 16 bytes of keccak256("trib/jrn/1" ‖ epoch u64be ‖ rule u32be ‖ code u8 ‖ vault ‖ token ‖
//!   keccak256(debit) ‖ keccak256(credit) ‖ source);
//! - an entry's encoding = id ‖ epoch u64be ‖ vault ‖ token ‖ keccak256(debit) ‖ keccak256(credit) ‖ amount u128be ‖
//!   code u8 ‖ phase u8 ‖ source ‖ `adjusts_epoch` u64be (2^64 − 1 for none);
//! - `ledger_digest(E)` = keccak256("trib/led/1" ‖ `ledger_digest(E − 1)`, zero before the first ‖ epoch u64be ‖
//!   keccak256(encodings of the epoch's entries in the order of their ids)).
//!
//! `source` is the id of the event that caused the entry; for entries that a step of the settlement causes,
//! keccak256("trib/step/1" ‖ name of the step), which is `close`, or `adjust <epoch>` for what adjusts an earlier epoch;
//! for a post or void, and for what leaves suspense, the id of the entry that held it and 16 zero bytes. What waits for
//! the vault's balance (`unfunded`, a step) may be posted in parts, in several epochs.

use alloy_primitives::{Address, B256, Keccak256, keccak256};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;
use std::iter::{Peekable, from_fn};
use std::sync::LazyLock;
use tributary_schemas::column::{Decimal38, hex_text};
use tributary_schemas::invariant::DEBITS_ARE_CREDITS;
use tributary_schemas::money::LedgerEntryRow;

use crate::book::{Pot, Purse};
use crate::error::{AccountingError, hold};
use crate::keccak;
use crate::names::{Names, Party, index};
use crate::read::{address, amount, hash};
use crate::threads;

mod encoding;

/// The account that everything of an epoch goes through.
pub(crate) const CLEARING: &str = "clearing";
/// What payers left.
pub(crate) const ESCROW: &str = "escrow";
/// What claims are paid from.
pub(crate) const DISTRIBUTOR: &str = "distributor";
/// Where payments of a token wait that would overflow.
pub(crate) const OVERFLOW: &str = "suspense:overflow";
/// All `payable:<address>` together.
pub(crate) const PAYABLE: &str = "payable";
/// All `pending:…` together.
pub(crate) const PENDING: &str = "pending";
/// All `unfunded:<address>` together.
pub(crate) const UNFUNDED: &str = "unfunded";
/// keccak256("trib/step/1close"): the source of entries that close the epoch's clearing.
static CLOSING: LazyLock<B256> = LazyLock::new(|| step("close"));
/// Number of the rule in ids.
pub(crate) const RULE_NUMBER: u32 = 1;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Receive,
    Credit,
    Hold,
    Claim,
    Adjust,
    Fund,
}

impl Code {
    const fn number(self) -> u8 {
        match self {
            Self::Receive => 1,
            Self::Credit => 2,
            Self::Hold => 3,
            Self::Claim => 5,
            Self::Adjust => 6,
            Self::Fund => 8,
        }
    }
    const fn as_str(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Credit => "credit",
            Self::Hold => "hold",
            Self::Claim => "claim",
            Self::Adjust => "adjust",
            Self::Fund => "fund",
        }
    }
    const ALL: [Self; 6] = [Self::Receive, Self::Credit, Self::Hold, Self::Claim, Self::Adjust, Self::Fund];
}

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Single,
    Pending,
    Post,
    Void,
}

impl Phase {
    const fn number(self) -> u8 {
        match self {
            Self::Single => 0,
            Self::Pending => 1,
            Self::Post => 2,
            Self::Void => 3,
        }
    }
    const fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Pending => "pending",
            Self::Post => "post",
            Self::Void => "void",
        }
    }
    const ALL: [Self; 4] = [Self::Single, Self::Pending, Self::Post, Self::Void];

    /// The phase of this name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == name)
    }
}

/// An entry to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) purse: Purse,
    pub(crate) debit: String,
    pub(crate) credit: String,
    pub(crate) amount: u128,
    pub(crate) code: Code,
    pub(crate) phase: Phase,
    pub(crate) source: B256,
    pub(crate) adjusts: Option<i64>,
}

/// The source of entries that close the epoch's clearing, or the part of it that adjusts an earlier epoch.
fn closing(adjusts: Option<i64>) -> B256 {
    adjusts.map_or_else(|| *CLOSING, |epoch| step(&format!("adjust {epoch}")))
}

/// The source of an entry that a step caused.
pub(crate) fn step(name: &str) -> B256 {
    keccak256([b"trib/step/1".as_slice(), name.as_bytes()].concat())
}

/// The account of the trial balance that an account of the journal belongs to.
pub(crate) fn control(account: &str) -> &str {
    match account.split_once(':') {
        Some((PAYABLE, _)) => PAYABLE,
        Some((PENDING, _)) => PENDING,
        Some((UNFUNDED, _)) => UNFUNDED,
        // Beginning and reason, without what it is held of.
        Some(("suspense", held)) => match held.split_once(':') {
            Some((reason, _)) => account.get(.."suspense:".len() + reason.len()).unwrap_or(account),
            None => account,
        },
        _ => account,
    }
}

pub(crate) fn payable(account: Address) -> String {
    format!("payable:{}", hex_text(account))
}

pub(crate) fn unfunded(account: Address) -> String {
    format!("unfunded:{}", hex_text(account))
}

pub(crate) fn receivable(account: Address) -> String {
    format!("receivable:{}", hex_text(account))
}

/// What a step of the settlement credits to a party: the mass of entries. Clearing is debited.
#[derive(Debug, Clone, Copy)]
struct Credit {
    id: [u8; 16],
    /// Number of the pot.
    pot: u32,
    /// Number of the party.
    party: u32,
    amount: u128,
}

/// An entry as its encoding and its row have it.
#[derive(Debug)]
struct Body<'a> {
    purse: Purse,
    debit: &'a str,
    credit: &'a str,
    amount: u128,
    code: Code,
    phase: Phase,
    source: B256,
    adjusts: Option<i64>,
}

/// The journal of an epoch.
#[derive(Debug)]
pub(crate) struct Journal {
    epoch: i64,
    entries: BTreeMap<[u8; 16], Entry>,
    /// What is closed, and the source of the entries that do.
    pots: Vec<(Pot, B256)>,
    credits: Vec<Credit>,
}

impl Journal {
    pub(crate) const fn new(epoch: i64) -> Self {
        Self { epoch, entries: BTreeMap::new(), pots: Vec::new(), credits: Vec::new() }
    }

    /// Adds an entry. The same entry again changes nothing; another one under its id is a fault of ours: ids are made
    /// of what identifies an entry.
    pub(crate) fn write(&mut self, entry: Entry) -> Result<(), AccountingError> {
        if entry.amount == 0 {
            return Ok(());
        }
        let id = self.id(&entry.body(), keccak256(&entry.debit), keccak256(&entry.credit));
        match self.entries.entry(id) {
            MapEntry::Vacant(place) => {
                place.insert(entry);
                Ok(())
            }
            MapEntry::Occupied(other) if *other.get() == entry => Ok(()),
            MapEntry::Occupied(other) => Err(twice(id, other.get())),
        }
    }

    /// The ids that receiving `event` has in an epoch, whichever account it is received on.
    pub(crate) fn receipts(epoch: i64, purse: Purse, event: B256) -> [[u8; 16]; 2] {
        let journal = Self::new(epoch);
        [(CLEARING, Code::Receive), (OVERFLOW, Code::Hold)].map(|(credit, code)| {
            let entry = Body {
                purse,
                debit: ESCROW,
                credit,
                amount: 0,
                code,
                phase: Phase::Single,
                source: event,
                adjusts: None,
            };
            journal.id(&entry, keccak256(ESCROW), keccak256(credit))
        })
    }

    /// Hands over what every entry moves, (debit, credit, base units, phase): payees are the accounts `payable` and
    /// `pending`, all of them together, as [`crate::balances`] keeps them, and what one pot credits to them comes as a sum.
    pub(crate) fn movements(&self, names: &Names, mut take: impl FnMut(Purse, &str, &str, u128, Phase)) {
        for entry in self.entries.values() {
            take(entry.purse, control(&entry.debit), control(&entry.credit), entry.amount, entry.phase);
        }
        let mut sums = vec![[0_u128; 2]; self.pots.len()];
        for credit in &self.credits {
            let party = names.party(credit.party);
            let [payable, pending] = &mut sums[index(credit.pot)];
            match party {
                // Below 10^38, as everything that came in is.
                Party::Account(_) => *payable = payable.saturating_add(credit.amount),
                Party::Pending(..) => *pending = pending.saturating_add(credit.amount),
                Party::Suspense(..) | Party::Treasury => {
                    let ((purse, _), _) = self.pots[index(credit.pot)];
                    take(purse, CLEARING, control(&names.name(party)), credit.amount, of_party(party).1);
                }
            }
        }
        for (((purse, _), _), [payable, pending]) in self.pots.iter().zip(sums) {
            for (account, sum, phase) in [(PAYABLE, payable, Phase::Single), (PENDING, pending, Phase::Pending)] {
                if sum > 0 {
                    take(*purse, CLEARING, account, sum, phase);
                }
            }
        }
    }

    /// Adds what the parties of a pot are credited at the close of the epoch; [`Self::sort`] makes the ids.
    pub(crate) fn close(&mut self, pot: Pot, credits: impl Iterator<Item = (u32, u128)>) {
        let number = u32::try_from(self.pots.len()).unwrap_or(u32::MAX);
        self.pots.push((pot, closing(pot.1)));
        let credits = credits.filter(|(_, amount)| *amount > 0);
        self.credits.extend(credits.map(|(party, amount)| Credit { id: [0; 16], pot: number, party, amount }));
    }

    fn id(&self, entry: &Body<'_>, debit: B256, credit: B256) -> [u8; 16] {
        encoding::begin(keccak256(encoding::identity(self.epoch, entry, debit, credit)))
    }

    /// Puts the entries in the order of their ids, which are unique.
    pub(crate) fn sort(&mut self, names: &Names) -> Result<(), AccountingError> {
        let (mut credits, debit) = (std::mem::take(&mut self.credits), keccak256(CLEARING));
        threads::change(&mut credits, |_, piece| {
            for some in piece.chunks_mut(encoding::AT_ONCE) {
                let hashes = encoding::hashes_of_names(names, some.iter().map(|credit| credit.party));
                let identity =
                    |at: usize| encoding::identity(self.epoch, &self.body(names, &some[at], ""), debit, hashes[at]);
                let mut ids = Vec::with_capacity(some.len());
                keccak::each(some.len(), identity, |_, hash| ids.push(encoding::begin(hash)));
                for (credit, id) in some.iter_mut().zip(ids) {
                    credit.id = id;
                }
            }
        });
        threads::sort(&mut credits, |credit| u128::from_be_bytes(credit.id));
        self.credits = credits;
        let twin = self.credits.windows(2).find(|pair| pair[0].id == pair[1].id).map(|pair| &pair[0]);
        let among = |id: &[u8; 16]| Some(&self.credits[self.credits.binary_search_by_key(id, |one| one.id).ok()?]);
        let twin = twin.or_else(|| self.entries.keys().find_map(among));
        twin.map_or(Ok(()), |credit| Err(twice(credit.id, credit)))
    }

    /// An entry of the mass, with the name of its party where that is asked for.
    fn body<'a>(&self, names: &Names, credit: &Credit, name: &'a str) -> Body<'a> {
        let ((purse, adjusts), source) = self.pots[index(credit.pot)];
        let (code, phase) = of_party(names.party(credit.party));
        Body { purse, debit: CLEARING, credit: name, amount: credit.amount, code, phase, source, adjusts }
    }

    /// Every entry by id: the credits among the others.
    fn each(&self) -> impl Iterator<Item = Made<'_>> {
        let mut others: Peekable<_> = self.entries.iter().peekable();
        let mut credits: Peekable<_> = self.credits.iter().peekable();
        from_fn(move || {
            let first = credits.peek().map(|credit| credit.id);
            let other = others.next_if(|(id, _)| first.is_none_or(|first| **id < first));
            let other = other.map(|(id, entry)| Made::Entry(id, entry));
            other.or_else(|| credits.next().map(Made::Credit))
        })
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() + self.credits.len()
    }

    /// The digest of the journal up to this epoch.
    pub(crate) fn digest(&self, names: &Names, previous: B256) -> B256 {
        let (mut entries, clearing) = (Keccak256::new(), keccak256(CLEARING));
        let mut all = self.each();
        loop {
            let some: Vec<Made<'_>> = all.by_ref().take(encoding::AT_ONCE).collect();
            if some.is_empty() {
                break;
            }
            let parties =
                some.iter().filter_map(|one| if let Made::Credit(credit) = one { Some(credit.party) } else { None });
            let mut hashes = encoding::hashes_of_names(names, parties).into_iter();
            for one in some {
                let bytes = match one {
                    Made::Entry(id, entry) => {
                        let (debit, credit) = (keccak256(&entry.debit), keccak256(&entry.credit));
                        encoding::entry(self.epoch, id, &entry.body(), debit, credit)
                    }
                    Made::Credit(credit) => {
                        let name = hashes.next().unwrap_or_default();
                        encoding::entry(self.epoch, &credit.id, &self.body(names, credit, ""), clearing, name)
                    }
                };
                entries.update(bytes);
            }
        }
        let mut hasher = Keccak256::new();
        hasher.update(b"trib/led/1");
        hasher.update(previous);
        hasher.update(self.epoch.to_be_bytes());
        hasher.update(entries.finalize());
        hasher.finalize()
    }

    /// INV-06: clearing ends at zero for every vault and token. (Each entry debits what it credits by its shape.)
    pub(crate) fn check(&self) -> Result<(), AccountingError> {
        let mut clearing: BTreeMap<Purse, i128> = BTreeMap::new();
        for entry in self.entries.values() {
            let balance = clearing.entry(entry.purse).or_default();
            if entry.debit == CLEARING {
                *balance -= entry.amount.cast_signed();
            }
            if entry.credit == CLEARING {
                *balance += entry.amount.cast_signed();
            }
        }
        let mut credited = vec![0_i128; self.pots.len()];
        for credit in &self.credits {
            credited[index(credit.pot)] += credit.amount.cast_signed();
        }
        for (((purse, _), _), credited) in self.pots.iter().zip(credited) {
            *clearing.entry(*purse).or_default() -= credited;
        }
        hold(&DEBITS_ARE_CREDITS, clearing.values().all(|balance| *balance == 0), || {
            format!("clearing ends at {clearing:?}: expected zero")
        })
    }

    /// Hands over its rows, by id.
    pub(crate) fn rows(&self, names: &Names, mut take: impl FnMut(LedgerEntryRow)) {
        for one in self.each() {
            match one {
                Made::Entry(id, entry) => take(self.row(id, &entry.body())),
                Made::Credit(credit) => {
                    let name = names.name(names.party(credit.party));
                    take(self.row(&credit.id, &self.body(names, credit, &name)));
                }
            }
        }
    }

    fn row(&self, id: &[u8; 16], entry: &Body<'_>) -> LedgerEntryRow {
        LedgerEntryRow {
            epoch: self.epoch,
            entry_id: hex_text(id),
            vault: hex_text(entry.purse.0),
            token: hex_text(entry.purse.1),
            debit: entry.debit.to_owned(),
            credit: entry.credit.to_owned(),
            amount: Decimal38(entry.amount.cast_signed()),
            code: entry.code.as_str().to_owned(),
            phase: entry.phase.as_str().to_owned(),
            source: hex_text(entry.source),
            adjusts_epoch: entry.adjusts,
        }
    }
}

/// An entry with its id.
enum Made<'a> {
    Entry(&'a [u8; 16], &'a Entry),
    Credit(&'a Credit),
}

impl Entry {
    fn body(&self) -> Body<'_> {
        Body {
            purse: self.purse,
            debit: &self.debit,
            credit: &self.credit,
            amount: self.amount,
            code: self.code,
            phase: self.phase,
            source: self.source,
            adjusts: self.adjusts,
        }
    }
}

/// Code and phase of what the close of an epoch credits to a party.
pub(crate) const fn of_party(party: Party) -> (Code, Phase) {
    match party {
        Party::Account(_) | Party::Treasury => (Code::Credit, Phase::Single),
        Party::Pending(..) => (Code::Credit, Phase::Pending),
        Party::Suspense(..) => (Code::Hold, Phase::Single),
    }
}

fn twice(id: [u8; 16], other: &dyn std::fmt::Debug) -> AccountingError {
    AccountingError::inconsistent(format!("two entries have the id {}: one is {other:?}", hex_text(id)))
}

/// A journal read back from its table: every id is made again from what it identifies.
pub(crate) fn of_rows<'a>(
    epoch: i64,
    rows: impl IntoIterator<Item = &'a LedgerEntryRow>,
) -> Result<Journal, AccountingError> {
    let mut journal = Journal::new(epoch);
    for row in rows {
        let unknown = || AccountingError::inconsistent(format!("entry {} is {} {}", row.entry_id, row.code, row.phase));
        let entry = Entry {
            purse: (address(&row.vault)?, address(&row.token)?),
            debit: row.debit.clone(),
            credit: row.credit.clone(),
            amount: amount(row.amount.0)?,
            code: Code::ALL.into_iter().find(|code| code.as_str() == row.code).ok_or_else(unknown)?,
            phase: Phase::of(&row.phase).ok_or_else(unknown)?,
            source: hash(&row.source)?,
            adjusts: row.adjusts_epoch,
        };
        let id = journal.id(&entry.body(), keccak256(&entry.debit), keccak256(&entry.credit));
        if hex_text(id) != row.entry_id {
            return Err(AccountingError::inconsistent(format!(
                "entry {} has another id than its content",
                row.entry_id
            )));
        }
        journal.write(entry)?;
    }
    Ok(journal)
}

#[cfg(test)]
mod tests;
