//! Payments to oneself (ruling 8): a payment whose payer, or the payer's payout address, is a payee of that very payment.
//!
//! Who the payees are is found out by dividing: every such payment in question is divided alone, as [`WHOLE`] sub-units,
//! by the same steps as all money, under a policy number of its own, so that one pass serves all of them. A payee is
//! whoever is reached, before penalties and quarantine: an account, the address it is paid at, or the treasury's address.
//! The platform's flat fee, which depends on the amount, is left out.
//! Payments with the same vault, token, policy, subject and reference have the same payees and are one question.
//!
//! It matters where a policy suspends such payments, and where a pool is distributed: an inference that is named by such
//! payments and by no other one has no part in a pool. Elsewhere nobody asks, and only payers that are payees of
//! anything are asked about.

use alloy_primitives::{Address, B256};
use datafusion::prelude::SessionContext;
use std::collections::{BTreeMap, BTreeSet};
use tributary_schemas::policy::SelfDealing;

use crate::book::Book;
use crate::error::AccountingError;
use crate::flow::spread;
use crate::intake::{Key, Named, Purpose, Receipt};
use crate::state::{State, Subject};

/// What is divided to see where it goes: a payee of less than 10^-27 of a payment is none.
pub(crate) const WHOLE: u128 = 10u128.pow(27);

/// Payments of the same payees.
type Question = (Key, Subject, Named);

/// Marks the receipts that deal with their own payer, and suspends those whose policy says so. Returns the inferences
/// that have no part in pools.
pub(crate) async fn mark(
    ctx: &SessionContext,
    state: &mut State,
    epoch: i64,
    receipts: &mut [Receipt],
) -> Result<BTreeSet<(i64, i32)>, AccountingError> {
    let pools = receipts.iter().any(|receipt| matches!(receipt.purpose, Purpose::Pool(_)));
    let payees = Payees::among(state, receipts);
    let mut questions: BTreeMap<Question, Vec<usize>> = BTreeMap::new();
    for (place, receipt) in receipts.iter().enumerate() {
        let Purpose::Payment(subject) = receipt.purpose else { continue };
        let suspends = state.policy(receipt.key.ruling).self_dealing == SelfDealing::Suspense;
        let in_pools = pools && matches!(receipt.named, Named::Inference(..));
        let asked = !receipt.dealing && (suspends || in_pools);
        if asked && receipt.payer.is_some_and(|payer| payees.is_one(state, receipt.key, payer.account)) {
            questions.entry((receipt.key, subject, receipt.named)).or_default().push(place);
        }
    }
    for (place, dealing) in answers(ctx, state, epoch, receipts, &questions).await? {
        receipts[place].dealing = dealing;
    }
    let mut dealt = BTreeSet::new();
    let mut honest = BTreeSet::new();
    for receipt in receipts {
        if let (Purpose::Payment(_), Named::Inference(batch, ordinal)) = (receipt.purpose, receipt.named) {
            let named = if receipt.dealing { &mut dealt } else { &mut honest };
            named.insert((batch, ordinal));
        }
        let suspends = state.policy(receipt.key.ruling).self_dealing == SelfDealing::Suspense;
        if let (true, Purpose::Payment(_), Some(payer)) = (receipt.dealing && suspends, receipt.purpose, receipt.payer)
        {
            receipt.purpose = Purpose::Suspense("self_dealing", payer.payment);
        }
    }
    Ok(&dealt - &honest)
}

/// For every payment in question whether it reaches its payer.
async fn answers(
    ctx: &SessionContext,
    state: &mut State,
    epoch: i64,
    receipts: &[Receipt],
    questions: &BTreeMap<Question, Vec<usize>>,
) -> Result<Vec<(usize, bool)>, AccountingError> {
    if questions.is_empty() {
        return Ok(Vec::new());
    }
    let rulings = state.rulings.len();
    let mut alone = Vec::new();
    let mut wanted: BTreeMap<usize, BTreeSet<Address>> = BTreeMap::new();
    for ((key, subject, named), places) in questions {
        let ruling = state.rulings.len();
        state.rulings.push(state.rulings[key.ruling].clone());
        let key = Key { ruling, ..*key };
        let receipt = Receipt {
            event: B256::ZERO,
            key,
            purpose: Purpose::Payment(*subject),
            named: *named,
            payer: None,
            dealing: false,
            net: 0,
        };
        let payers = places.iter().filter_map(|place| receipts[*place].payer);
        wanted.insert(ruling, payers.flat_map(|payer| own(state, key, payer.account)).collect());
        alone.push(receipt);
    }
    let book = divide(ctx, state, epoch, &alone).await;
    let reached = book.map(|book| book.reaches(state, &wanted));
    state.rulings.truncate(rulings);
    let reached = reached??;
    let mut out = Vec::new();
    for (receipt, places) in alone.iter().zip(questions.values()) {
        for place in places {
            let payer = receipts[*place].payer.map(|payer| payer.account).unwrap_or_default();
            let own = own(state, receipt.key, payer);
            out.push((*place, own.iter().any(|one| reached.contains(&(receipt.key.ruling, *one)))));
        }
    }
    Ok(out)
}

async fn divide(ctx: &SessionContext, state: &State, epoch: i64, alone: &[Receipt]) -> Result<Book, AccountingError> {
    let mut book = Book::default();
    let data = spread(state, alone.iter(), |_| (0, WHOLE), &mut book)?;
    crate::usage::divide(ctx, state, epoch, (data, &BTreeSet::new()), &mut book).await?;
    Ok(book)
}

/// A payer and the address it would be paid at.
fn own(state: &State, key: Key, payer: Address) -> [Address; 2] {
    [payer, state.payouts.of_account(payer, key.vault, key.token)]
}

/// Everybody who is paid for anything: the payers among them may be payees of their own payment.
struct Payees(BTreeSet<Address>);

impl Payees {
    fn among(state: &State, receipts: &[Receipt]) -> Self {
        let mut payers: BTreeSet<Address> = BTreeSet::new();
        for receipt in receipts {
            if let Some(payer) = receipt.payer {
                payers.extend(own(state, receipt.key, payer.account));
            }
        }
        let mut found = BTreeSet::new();
        let mut take = |account: Address| {
            for one in [Some(account), state.payouts.setting(account)].into_iter().flatten() {
                if payers.contains(&one) {
                    found.insert(one);
                }
            }
        };
        state.contributions.list().iter().for_each(|one| take(one.contributor));
        state.graph.models.values().chain(state.graph.agents.values()).for_each(|one| take(one.owner));
        state.payouts.of_entities().for_each(&mut take);
        state.stakes.accounts().for_each(&mut take);
        state.rulings.iter().for_each(|one| take(one.policy.treasury));
        Self(found)
    }

    fn is_one(&self, state: &State, key: Key, payer: Address) -> bool {
        own(state, key, payer).iter().any(|one| self.0.contains(one))
    }
}
