//! What of one credit falls to one account: the closing of a book, asked of a part of it.

use alloy_primitives::Address;
use std::collections::BTreeMap;

use super::{Closing, Hold, Line, To};
use crate::error::AccountingError;
use crate::intake::Key;
use crate::names::{LineKey, Names, Party};
use crate::state::State;

/// Answers for one account.
pub(crate) struct Judge<'a> {
    closing: Closing<'a>,
    account: Address,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(state: &'a State, account: Address) -> Self {
        let names = Names::default();
        let closing = Closing { state, names, parties: Vec::new(), few: BTreeMap::new(), pots: BTreeMap::new() };
        Self { closing, account }
    }

    /// Sub-units of a credit.
    pub(crate) fn of_credit(
        &mut self,
        (key, hold, line): (Key, Option<Hold>, &Line),
        to: To,
        sub: u128,
    ) -> Result<u128, AccountingError> {
        self.closing.pay(key, hold, line, to, sub)?;
        Ok(self.taken())
    }

    /// Sub-units of what came to the contribution at `place`.
    pub(crate) fn of_contribution(
        &mut self,
        (key, hold): (Key, Option<Hold>),
        place: usize,
        sub: u128,
    ) -> Result<u128, AccountingError> {
        let one = self.closing.state.contributions.list()[place];
        let hold = hold.map(|hold| self.closing.names.hold(hold));
        self.closing.contribution(key, hold, LineKey::default(), &one, sub)?;
        Ok(self.taken())
    }

    /// What the account has of what was just paid, which is forgotten then.
    fn taken(&mut self) -> u128 {
        let (parties, pots) = (std::mem::take(&mut self.closing.parties), std::mem::take(&mut self.closing.pots));
        self.closing.few.clear();
        let is_own = |party: u32| {
            let party = parties.get(crate::names::index(party));
            matches!(party, Some(Party::Account(one) | Party::Pending(_, one)) if *one == self.account)
        };
        pots.values().flatten().filter(|share| is_own(share.party)).map(|share| share.amount).sum()
    }
}
