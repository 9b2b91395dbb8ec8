//! Money: payments, refunds, stake, and how people arrange to be paid.

use alloy_primitives::{Address, B256, I256, Log, U256, keccak256};
use rand::Rng;
use tributary_schemas::{id::PaymentId, policy::PPB};

use crate::{
    chain::Call,
    chance::{heavy, percent, skewed, word},
    keys::Keyring,
    suite::{Erc20, RewardVault as Vault, key_of, log},
    world::{World, transaction},
};

/// Payments that refunds still look at.
const REMEMBERED: usize = 256;

/// A payment the vault holds.
#[derive(Debug)]
pub(super) struct Paid {
    pub(super) id: PaymentId,
    pub(super) key: B256,
    payer: Address,
    token: Address,
    amount: U256,
    refunded: U256,
}

impl World {
    pub(super) fn set_policy(&mut self) -> Call {
        let vault = self.contracts.reward_vault;
        let policy = alloy_primitives::Bytes::from(self.workload.policy.canonical_json().into_bytes());
        self.policy_version = self.policy_version.saturating_add(1);
        let event = Vault::RewardPolicySet {
            scope: B256::ZERO,
            policyHash: keccak256(&policy),
            version: self.policy_version,
            policy: policy.clone(),
        };
        transaction(self.admin, vault, &Vault::setPolicyCall { scope: B256::ZERO, policy }, vec![log(vault, &event)])
    }

    pub(super) fn pay(&mut self, keys: &mut Keyring) -> Option<Call> {
        let (subject, reference, owner) = self.wanted()?;
        let anyone = self.person(keys, "payer", 6, 150);
        let payer = owner.filter(|_| percent(&mut self.chance, 2)).unwrap_or(anyone);
        let (token, amount) = self.price();
        let vault = self.contracts.reward_vault;
        let native = key_of(payer, self.nonce(vault, payer));
        let received = Vault::RevenueReceived {
            paymentId: native,
            subjectVersionId: subject,
            payer,
            token,
            amount,
            r#ref: reference,
        };
        let sum = self.told.received.entry(token).or_default();
        *sum = sum.saturating_add(amount);
        self.told.payments = self.told.payments.saturating_add(1);
        let id = PaymentId::native(self.chain_id, vault, native);
        self.payments.push_back(Paid { id, key: native, payer, token, amount, refunded: U256::ZERO });
        if self.payments.len() > REMEMBERED {
            self.payments.pop_front();
        }
        Some(if token == Address::ZERO {
            let call = Vault::payCall { subjectVersionId: subject, r#ref: reference };
            Call { value: amount, ..transaction(payer, vault, &call, vec![log(vault, &received)]) }
        } else {
            let call = Vault::payTokenCall { token, subjectVersionId: subject, amount, r#ref: reference };
            let logs = vec![moved(token, payer, vault, amount), log(vault, &received)];
            transaction(payer, vault, &call, logs)
        })
    }

    /// What is paid for: the subject, what the payment names, and the agent's owner.
    fn wanted(&mut self) -> Option<(B256, B256, Option<Address>)> {
        let agents: Vec<_> = self.agents.iter().filter(|agent| agent.version > 0).collect();
        let agent = agents.get(skewed(&mut self.chance, agents.len()));
        let owner = agent.map(|agent| agent.owner);
        let agent = agent.map(|agent| agent.last().0);
        let models: Vec<_> = self.models.iter().filter(|model| model.version > 0).collect();
        let model = models.get(skewed(&mut self.chance, models.len())).map(|model| model.last().0);
        // The newest batches are paid for most.
        let newest = self.committed.len().checked_sub(1);
        let batch = newest.map(|newest| newest.saturating_sub(skewed(&mut self.chance, self.committed.len())));
        let batch = batch.and_then(|at| self.committed.get(at));
        let draw = self.chance.random_range(0..100);
        match (draw, batch) {
            (0..40, Some(batch)) => Some((batch.subject.0, batch.batch.0, owner)),
            (40..75, Some(batch)) => {
                let (inference, subject) = batch.inferences.get(skewed(&mut self.chance, batch.inferences.len()))?;
                Some((*subject, inference.0, owner))
            }
            // A batch that will be: the money waits for it.
            (75..80, _) => Some((agent?, self.next_batch(0)?.0, owner)),
            // An inference that never will be.
            (80..81, _) => Some((agent?, word(&mut self.chance), owner)),
            (81..90, _) => Some((model?, B256::ZERO, None)),
            _ => Some((agent.or(model)?, B256::ZERO, owner)),
        }
    }

    fn price(&mut self) -> (Address, U256) {
        let (token, low, doublings) = match self.chance.random_range(0..10) {
            0..5 => (Address::ZERO, 100_000_000_000_000, 12),
            5..8 => (self.contracts.token_6, 10_000, 16),
            _ => (self.contracts.token_18, 1_000_000_000_000_000, 10),
        };
        (token, U256::from(heavy(&mut self.chance, low, doublings)))
    }

    /// The operator gives back a payment, or a part of it, with money it brings along.
    pub(super) fn refund(&mut self) -> Option<Call> {
        let at = skewed(&mut self.chance, self.payments.len());
        let whole = percent(&mut self.chance, 50);
        let (operator, vault) = (self.admin, self.contracts.reward_vault);
        let paid = self.payments.get_mut(at)?;
        let left = paid.amount.saturating_sub(paid.refunded);
        let amount = if whole { left } else { left / U256::from(3) };
        if amount.is_zero() {
            return None;
        }
        paid.refunded = paid.refunded.saturating_add(amount);
        let sum = self.told.refunded.entry(paid.token).or_default();
        *sum = sum.saturating_add(amount);
        let mut logs = vec![log(vault, &Vault::RevenueRefunded { paymentId: paid.id.0, to: paid.payer, amount })];
        let mut value = amount;
        if paid.token != Address::ZERO {
            value = U256::ZERO;
            logs.push(moved(paid.token, operator, vault, amount));
            logs.push(moved(paid.token, vault, paid.payer, amount));
        }
        let call = Vault::refundCall { payment: paid.id.0, amount };
        Some(Call { value, ..transaction(operator, vault, &call, logs) })
    }

    pub(super) fn stake(&mut self, keys: &mut Keyring) -> Option<Call> {
        let account = self.person(keys, "staker", 4, 60);
        let at = skewed(&mut self.chance, self.models.len());
        let on_all = percent(&mut self.chance, 30);
        let pool = self.models.get(at).filter(|_| !on_all).map_or(B256::ZERO, |model| model.id.0);
        let back = percent(&mut self.chance, 20);
        let wanted = U256::from(heavy(&mut self.chance, 1_000_000_000_000_000, 10));
        let (token, vault) = (self.contracts.token_18, self.contracts.reward_vault);
        let balance = self.stakes.entry((pool, account)).or_default();
        if back && *balance > U256::from(1) {
            let amount = *balance / U256::from(2);
            *balance = balance.saturating_sub(amount);
            let changed =
                Vault::StakeChanged { pool, account, delta: I256::ZERO - signed(amount), balanceAfter: *balance };
            let logs = vec![log(vault, &changed), moved(token, vault, account, amount)];
            return Some(transaction(account, vault, &Vault::unstakeCall { pool, amount }, logs));
        }
        *balance = balance.saturating_add(wanted);
        let changed = Vault::StakeChanged { pool, account, delta: signed(wanted), balanceAfter: *balance };
        let logs = vec![moved(token, account, vault, wanted), log(vault, &changed)];
        Some(transaction(account, vault, &Vault::stakeCall { pool, amount: wanted }, logs))
    }

    /// Payout addresses, splits, funded pools.
    pub(super) fn arrange(&mut self, keys: &mut Keyring) -> Option<Call> {
        let vault = self.contracts.reward_vault;
        let payout = match self.chance.random_range(0..10) {
            // Both count as unset.
            0 => Address::ZERO,
            1 => vault,
            _ => self.person(keys, "payout", 2, 100),
        };
        match self.chance.random_range(0..10) {
            0..5 => {
                let account = self.person(keys, "contributor", 400, 400);
                let event = Vault::PayoutAddressSet { account, payout };
                Some(transaction(account, vault, &Vault::setPayoutCall { payout }, vec![log(vault, &event)]))
            }
            5 | 6 => {
                let (entity, owner) = self.owned()?;
                let event = Vault::EntityPayoutSet { entity, payout };
                let call = Vault::setEntityPayoutCall { entity, payout };
                Some(transaction(owner, vault, &call, vec![log(vault, &event)]))
            }
            7 | 8 => self.split(keys),
            _ => {
                let funder = self.person(keys, "payer", 6, 150);
                let at = skewed(&mut self.chance, self.models.len());
                let pool = self.models.get(at)?.id.0;
                let (token, amount) = self.price();
                let event = Vault::PoolFunded { pool, epoch: 0, token, amount };
                let call = Vault::fundPoolCall { pool, epoch: 0, token, amount };
                if token == Address::ZERO {
                    let logs = vec![log(vault, &event)];
                    return Some(Call { value: amount, ..transaction(funder, vault, &call, logs) });
                }
                let logs = vec![moved(token, funder, vault, amount), log(vault, &event)];
                Some(transaction(funder, vault, &call, logs))
            }
        }
    }

    fn split(&mut self, keys: &mut Keyring) -> Option<Call> {
        let (subject, owner) = self.owned()?;
        let vault = self.contracts.reward_vault;
        let wanted = self.chance.random_range(2..=5);
        let mut accounts: Vec<Address> = (0..wanted).map(|_| self.person(keys, "partner", 2, 40)).collect();
        // The vault takes strictly ascending accounts only.
        accounts.sort_unstable();
        accounts.dedup();
        let mut left = PPB;
        let mut shares = Vec::new();
        for _ in 1..accounts.len() {
            let share = self.chance.random_range(1..=left / 2);
            shares.push(share);
            left = left.saturating_sub(share);
        }
        shares.push(left);
        let event = Vault::SplitSet { subject, accounts: accounts.clone(), shares: shares.clone() };
        Some(transaction(owner, vault, &Vault::setSplitCall { subject, accounts, shares }, vec![log(vault, &event)]))
    }

    /// The guardian scores, holds and slashes.
    pub(super) fn judge(&mut self) -> Option<Call> {
        let (guardian, vault) = (self.admin, self.contracts.reward_vault);
        let at = skewed(&mut self.chance, self.datanets.len());
        let datanet = self.datanets.get(at)?;
        let suspect = datanet.members.get(skewed(&mut self.chance, datanet.members.len()))?.contributor;
        let scope = datanet.id.0;
        match self.chance.random_range(0..5) {
            0 => {
                let on = self.chance.random_bool(0.5);
                let reason = keccak256("under review");
                let event = Vault::AccountQuarantined { account: suspect, on, reason };
                let call = Vault::setQuarantineCall { account: suspect, on, reason };
                Some(transaction(guardian, vault, &call, vec![log(vault, &event)]))
            }
            1 => {
                let (reason, to) = (name("blob_missing"), self.chance.random_range(0..=2));
                let event = Vault::SuspenseReleased { reason, subject: B256::ZERO, to };
                let call = Vault::releaseSuspenseCall { reason, subject: B256::ZERO, to };
                Some(transaction(guardian, vault, &call, vec![log(vault, &event)]))
            }
            2 => {
                let staked = self.stakes.iter_mut().find(|(_, balance)| **balance > U256::from(10));
                let ((pool, account), balance) = staked?;
                let amount = *balance / U256::from(10);
                *balance = balance.saturating_sub(amount);
                let (pool, account) = (*pool, *account);
                let slashed = Vault::Slashed { pool, account, subject: scope, amount, cause: 0 };
                let delta = I256::ZERO - signed(amount);
                let changed = Vault::StakeChanged { pool, account, delta, balanceAfter: *balance };
                let call = Vault::slashCall { pool, account, subject: scope, amount, cause: 0 };
                Some(transaction(guardian, vault, &call, vec![log(vault, &slashed), log(vault, &changed)]))
            }
            _ => {
                let score = self.chance.random_range(0..=1_000_000);
                let scope = if self.chance.random_bool(0.5) { scope } else { B256::ZERO };
                let reason = keccak256("redundant data");
                let event = Vault::PenaltyScoreSet { account: suspect, scope, score, reason };
                let call = Vault::setPenaltyScoreCall { account: suspect, scope, score, reason };
                Some(transaction(guardian, vault, &call, vec![log(vault, &event)]))
            }
        }
    }
}

/// The Transfer of an ERC-20 token.
fn moved(token: Address, from: Address, to: Address, value: U256) -> Log {
    log(token, &Erc20::Transfer { from, to, value })
}

/// An amount as a change: amounts are below 10^38, so they fit.
fn signed(amount: U256) -> I256 {
    I256::try_from(amount).unwrap_or(I256::MAX)
}

/// A short name in a word, as Solidity's `bytes32("name")`.
fn name(text: &str) -> B256 {
    B256::right_padding_from(text.as_bytes())
}
