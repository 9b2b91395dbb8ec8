//! Where money for an account or entity goes, and what a penalty leaves of it.

use alloy_primitives::{Address, B256};
use datafusion::prelude::SessionContext;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use tributary_schemas::facts::{AccountRow, EntityPayoutRow, PenaltyRow};
use tributary_schemas::policy::{PPB, Policy};

use crate::error::AccountingError;
use crate::read::{address, hash, rows, states};

/// Settings of accounts and entities at the cut.
#[derive(Debug, Default)]
pub(crate) struct Payouts {
    accounts: BTreeMap<Address, Address>,
    quarantined: BTreeSet<Address>,
    entities: BTreeMap<B256, Address>,
    splits: BTreeMap<B256, Vec<(Address, u128)>>,
    penalties: BTreeMap<(Address, B256), i64>,
}

#[derive(Deserialize)]
struct Share {
    account: Address,
    share_ppb: u32,
}

impl Payouts {
    pub(crate) async fn load(ctx: &SessionContext, cut: i64) -> Result<Self, AccountingError> {
        let mut this = Self::default();
        for row in states::<AccountRow>(ctx, cut).await? {
            let account = address(&row.account)?;
            if let Some(payout) = row.payout {
                this.accounts.insert(account, address(&payout)?);
            }
            if row.quarantined {
                this.quarantined.insert(account);
            }
        }
        for row in states::<EntityPayoutRow>(ctx, cut).await? {
            let entity = hash(&row.entity_id)?;
            if let Some(payout) = row.payout {
                this.entities.insert(entity, address(&payout)?);
            }
            if let Some(split) = row.split {
                let shares: Vec<Share> = serde_json::from_str(&split)
                    .map_err(|error| AccountingError::inconsistent(format!("split of {entity}: {error}")))?;
                let mut shares: Vec<_> = shares.iter().map(|one| (one.account, u128::from(one.share_ppb))).collect();
                shares.sort_unstable();
                this.splits.insert(entity, shares);
            }
        }
        let mut penalties: Vec<PenaltyRow> = rows(ctx, &format!("block_number <= {cut}")).await?;
        penalties.sort_by_key(|row| (row.block_number, row.log_index));
        for row in penalties {
            this.penalties.insert((address(&row.account)?, hash(&row.scope)?), row.score);
        }
        Ok(this)
    }

    /// The split of an entity, by address.
    pub(crate) fn split(&self, entity: B256) -> Option<&[(Address, u128)]> {
        self.splits.get(&entity).map(Vec::as_slice)
    }

    /// Where an account's money goes. An address that cannot be meant counts as unset (ruling 7).
    pub(crate) fn of_account(&self, account: Address, vault: Address, token: Address) -> Address {
        usable(self.accounts.get(&account).copied(), vault, token).unwrap_or(account)
    }

    /// The payout address an account has set, whether it can be meant or not.
    pub(crate) fn setting(&self, account: Address) -> Option<Address> {
        self.accounts.get(&account).copied()
    }

    /// Accounts and addresses that entities name.
    pub(crate) fn of_entities(&self) -> impl Iterator<Item = Address> {
        let splits = self.splits.values().flatten().map(|(account, _)| *account);
        self.entities.values().copied().chain(splits)
    }

    /// Where an entity's money goes when it has an address of its own.
    pub(crate) fn of_entity(&self, entity: B256, vault: Address, token: Address) -> Option<Address> {
        usable(self.entities.get(&entity).copied(), vault, token)
    }

    /// Accounts whose money may be held: in quarantine, or with a penalty score.
    pub(crate) fn named(&self) -> impl Iterator<Item = Address> {
        self.quarantined.iter().copied().chain(self.penalties.keys().map(|(account, _)| *account))
    }

    pub(crate) fn is_quarantined(&self, account: Address) -> bool {
        self.quarantined.contains(&account)
    }

    /// What is left of one whole for `account` in these scopes, in 10^-9: the lowest multiplier of those that apply.
    pub(crate) fn multiplier(&self, policy: &Policy, account: Address, scopes: &[B256]) -> u128 {
        let scores = scopes.iter().filter_map(|scope| self.penalties.get(&(account, *scope)));
        let multipliers = scores.filter_map(|score| {
            policy.penalty.iter().rev().find(|step| i64::from(step.score) <= *score).map(|step| step.multiplier_ppb)
        });
        u128::from(std::cmp::min(multipliers.min().unwrap_or(PPB), PPB))
    }
}

fn usable(payout: Option<Address>, vault: Address, token: Address) -> Option<Address> {
    payout.filter(|payout| *payout != Address::ZERO && *payout != vault && *payout != token)
}
