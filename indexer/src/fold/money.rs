//! Money in and out, who is paid where, policies, stake and penalties.

use alloy_primitives::{Address, B256, Bytes, keccak256};
use std::collections::BTreeSet;
use tributary_schemas::code::{Backing, Flag, Flags, Reason};
use tributary_schemas::column::{Micros, hex_text, signed};
use tributary_schemas::event::SplitPart;
use tributary_schemas::facts::{
    PaymentRow, PenaltyRow, PolicyRow, PoolFundingRow, PublishedRootRow, RefundRow, RewardClaimRow, SlashRow, StakeRow,
};
use tributary_schemas::id::PaymentId;
use tributary_schemas::policy::{PPB, Policy};
use tributary_schemas::{Amount, Payload};

use super::{Fold, Stop, Taken};
use crate::state::{AccountState, Entity, EntityPayout, Key, PaymentState, PolicyState};

/// Most payees of one split.
const PAYEES_MAX: usize = 256;
/// Penalty scores count in 10^-6.
const SCORE_MAX: u32 = 1_000_000;

impl PolicyState {
    /// What holds before anyone set a policy.
    pub(super) fn by_default() -> Self {
        Self::of(&Policy::default(), 0)
    }

    fn of(policy: &Policy, version: u32) -> Self {
        Self {
            version,
            tokens: policy.tokens.clone(),
            challenge_blocks: policy.challenge_blocks,
            resolve_blocks: policy.resolve_blocks,
            blob_deadline_blocks: policy.blob_deadline_blocks,
        }
    }
}

impl Fold<'_, '_> {
    /// Facts of money; `None` when it is none.
    pub(super) fn apply_money(&mut self, payload: &Payload) -> Option<Taken> {
        Some(match payload {
            Payload::RevenueReceived { .. } => self.receive(payload),
            Payload::RevenueRefunded { payment, to, amount } => self.refund(*payment, *to, *amount),
            Payload::PoolFunded { pool, epoch, token, amount } => self.fund(pool.0, *epoch, *token, *amount),
            Payload::RewardPolicySet { scope, policy_hash, version, policy } => {
                self.set_policy(scope.0, *policy_hash, *version, policy)
            }
            Payload::PayoutAddressSet { account, payout } => {
                self.change_account(*account, |state| state.payout = (!payout.is_zero()).then_some(*payout))
            }
            Payload::AccountQuarantined { account, on, .. } => {
                self.change_account(*account, |state| state.quarantined = *on)
            }
            Payload::EntityPayoutSet { entity, payout } => {
                self.change_payout(entity.0, |state| state.payout = (!payout.is_zero()).then_some(*payout))
            }
            Payload::SplitSet { entity, parts } => self.set_split(entity.0, parts),
            Payload::StakeChanged { .. } => self.stake(payload),
            Payload::Slashed { .. } => self.slash(payload),
            Payload::PenaltyScoreSet { account, scope, score, reason } => {
                self.penalise(*account, scope.0, *score, *reason)
            }
            Payload::EpochSettled { .. } => self.published(payload),
            Payload::RewardClaimed { epoch, account, token, amount } => self.claimed(*epoch, *account, *token, *amount),
            _ => return None,
        })
    }

    fn receive(&mut self, payload: &Payload) -> Taken {
        let Payload::RevenueReceived { payment, subject, payer, token, amount, reference, backing, .. } = payload
        else {
            return Ok(Flags::NONE);
        };
        Self::require_amount(*amount)?;
        let key = Key::payment(payment.0);
        let taken = self.state.get::<PaymentState>(&key)?.is_some();
        Self::require(!taken, Reason::DuplicateId, || format!("{payment} is received"))?;
        let version = self.subject(subject.0)?;
        self.require_token(version.entity, *token)?;
        let unbacked = *backing == Backing::Asserted;
        let flags = if unbacked { Flags::NONE.with(Flag::Unbacked) } else { Flags::NONE };
        let sk = self.state.next_ordinal(Key::PAYMENTS)?;
        let state = PaymentState { vault: self.emitter, sk, token: *token, amount: *amount, refunded: Amount::ZERO };
        self.state.put(key, &state)?;
        let row = PaymentRow {
            epoch: self.epoch(),
            payment_sk: sk,
            payment_id: hex_text(payment),
            event_id: self.event_id(),
            block_number: signed(self.at.block_number),
            tx_index: i64::from(self.at.tx_index),
            log_index: i64::from(self.at.log_index),
            tx_hash: hex_text(self.tx_hash),
            timestamp: Micros::from_seconds(self.block.timestamp),
            vault: hex_text(self.emitter),
            subject_kind: version.kind.as_str().to_owned(),
            subject_id: hex_text(subject),
            subject_sk: version.sk,
            payer: hex_text(payer),
            token: hex_text(token),
            amount: (*amount).into(),
            reference: reference.map(hex_text),
            backing: backing.as_str().to_owned(),
            flags: flags.words(),
        };
        self.push(row);
        Ok(flags)
    }

    fn require_amount(amount: Amount) -> Result<(), Stop> {
        Self::require(!amount.is_zero(), Reason::OutOfRange, || "amount 0: expected more".to_owned())
    }

    /// The policy of the scope, else the one for all, else the default, says which tokens are taken.
    fn require_token(&self, scope: B256, token: Address) -> Result<(), Stop> {
        let mut policy: Option<PolicyState> = self.state.get(&Key::policy(self.emitter, scope))?;
        if policy.is_none() {
            policy = self.state.get(&Key::policy(self.emitter, B256::ZERO))?;
        }
        let tokens = policy.map_or_else(Vec::new, |policy| policy.tokens);
        Self::require(tokens.is_empty() || tokens.contains(&token), Reason::TokenNotAllowed, || {
            format!("token {token:#x}: the policy takes {} others", tokens.len())
        })
    }

    fn refund(&mut self, payment: PaymentId, to: Address, amount: Amount) -> Taken {
        Self::require_amount(amount)?;
        let key = Key::payment(payment.0);
        let mut state: PaymentState = self.known("payment", payment.0, &key)?;
        self.require_namespace(state.vault)?;
        let refunded = state.refunded.checked_add(amount).ok().filter(|sum| *sum <= state.amount);
        let Some(refunded) = refunded else {
            let detail = format!("refund of {amount} after {}: the payment was {}", state.refunded, state.amount);
            return Err(Stop::Refused(Reason::OutOfRange, detail));
        };
        state.refunded = refunded;
        self.state.put(key, &state)?;
        let row = RefundRow {
            epoch: self.epoch(),
            event_id: self.event_id(),
            block_number: signed(self.at.block_number),
            log_index: i64::from(self.at.log_index),
            payment_sk: state.sk,
            payment_id: hex_text(payment),
            account: hex_text(to),
            token: hex_text(state.token),
            amount: amount.into(),
        };
        self.push(row);
        Ok(Flags::NONE)
    }

    fn fund(&mut self, pool: B256, epoch: u64, token: Address, amount: Amount) -> Taken {
        Self::require_amount(amount)?;
        self.require_scope(pool)?;
        self.require_token(pool, token)?;
        let row = PoolFundingRow {
            epoch: self.epoch(),
            event_id: self.event_id(),
            block_number: signed(self.at.block_number),
            log_index: i64::from(self.at.log_index),
            vault: hex_text(self.emitter),
            pool: hex_text(pool),
            for_epoch: signed(epoch),
            token: hex_text(token),
            amount: amount.into(),
        };
        self.push(row);
        Ok(Flags::NONE)
    }

    fn set_policy(&mut self, scope: B256, hash: B256, version: u32, bytes: &Bytes) -> Taken {
        self.require_scope(scope)?;
        let invalid = |detail: String| Stop::Refused(Reason::PolicyInvalid, detail);
        let real = keccak256(bytes);
        if real != hash {
            return Err(invalid(format!("policy_hash {hash}: its bytes have {real}")));
        }
        let policy = Policy::parse(bytes).map_err(|error| invalid(error.to_string()))?;
        let key = Key::policy(self.emitter, scope);
        let last = self.state.get::<PolicyState>(&key)?.map_or(0, |state| state.version);
        Self::require(version > last, Reason::VersionNotMonotonic, || {
            format!("version {version}: expected more than {last}")
        })?;
        let state = PolicyState::of(&policy, version);
        self.state.put(key, &state)?;
        if scope.is_zero() {
            self.state.put(Key::policy(Address::ZERO, B256::ZERO), &state)?;
        }
        let row = PolicyRow {
            epoch: self.epoch(),
            block_number: signed(self.at.block_number),
            tx_index: i64::from(self.at.tx_index),
            log_index: i64::from(self.at.log_index),
            vault: hex_text(self.emitter),
            scope: hex_text(scope),
            policy_hash: hex_text(hash),
            version: i64::from(version),
            policy: policy.canonical_json(),
        };
        self.push(row);
        Ok(Flags::NONE)
    }

    fn change_account(&mut self, account: Address, change: impl FnOnce(&mut AccountState)) -> Taken {
        let key = Key::account(account);
        let mut state: AccountState = self.state.get(&key)?.unwrap_or_default();
        change(&mut state);
        self.state.put(key, &state)?;
        self.push_account(account, &state);
        Ok(Flags::NONE)
    }

    fn change_payout(&mut self, entity: B256, change: impl FnOnce(&mut EntityPayout)) -> Taken {
        let _entity: Entity = self.known("entity", entity, &Key::entity(entity))?;
        let key = Key::entity_payout(entity);
        let mut state: EntityPayout = self.state.get(&key)?.unwrap_or_default();
        change(&mut state);
        self.state.put(key, &state)?;
        self.push_entity_payout(entity, &state);
        Ok(Flags::NONE)
    }

    fn set_split(&mut self, entity: B256, parts: &[SplitPart]) -> Taken {
        Self::require(parts.len() <= PAYEES_MAX, Reason::OutOfRange, || {
            format!("{} payees: expected at most {PAYEES_MAX}", parts.len())
        })?;
        let sum: u64 = parts.iter().map(|part| u64::from(part.share_ppb)).sum();
        let whole = u64::from(PPB);
        Self::require(sum <= whole, Reason::ShareSumExceeded, || format!("shares sum to {sum}: expected {whole}"))?;
        Self::require(sum == whole, Reason::OutOfRange, || format!("shares sum to {sum}: expected {whole}"))?;
        let accounts: BTreeSet<Address> = parts.iter().map(|part| part.account).collect();
        Self::require(accounts.len() == parts.len(), Reason::DuplicateFact, || "a payee is named twice".to_owned())?;
        self.change_payout(entity, |state| {
            state.split = parts.iter().map(|part| (part.account, part.share_ppb)).collect();
            state.split.sort_unstable();
        })
    }

    fn stake(&mut self, payload: &Payload) -> Taken {
        let Payload::StakeChanged { pool, account, delta, balance_after } = payload else { return Ok(Flags::NONE) };
        self.require_scope(pool.0)?;
        let row = StakeRow {
            epoch: self.epoch(),
            block_number: signed(self.at.block_number),
            log_index: i64::from(self.at.log_index),
            pool: hex_text(pool),
            account: hex_text(account),
            delta: tributary_schemas::column::Decimal38(delta.0),
            balance_after: (*balance_after).into(),
        };
        self.push(row);
        Ok(Flags::NONE)
    }

    fn slash(&mut self, payload: &Payload) -> Taken {
        let Payload::Slashed { pool, account, subject, amount, cause } = payload else { return Ok(Flags::NONE) };
        self.require_scope(pool.0)?;
        let row = SlashRow {
            epoch: self.epoch(),
            block_number: signed(self.at.block_number),
            log_index: i64::from(self.at.log_index),
            pool: hex_text(pool),
            account: hex_text(account),
            subject: hex_text(subject),
            amount: (*amount).into(),
            cause: i32::from(*cause),
        };
        self.push(row);
        Ok(Flags::NONE)
    }

    fn penalise(&mut self, account: Address, scope: B256, score: u32, reason: B256) -> Taken {
        self.require_scope(scope)?;
        Self::require(score <= SCORE_MAX, Reason::OutOfRange, || {
            format!("score {score}: expected at most {SCORE_MAX}")
        })?;
        let row = PenaltyRow {
            epoch: self.epoch(),
            block_number: signed(self.at.block_number),
            log_index: i64::from(self.at.log_index),
            account: hex_text(account),
            scope: hex_text(scope),
            score: i64::from(score),
            reason: hex_text(reason),
        };
        self.push(row);
        Ok(Flags::NONE)
    }

    fn published(&mut self, payload: &Payload) -> Taken {
        let Payload::EpochSettled { epoch, token, root, total, last_block, ledger_digest } = payload else {
            return Ok(Flags::NONE);
        };
        let key = Key::published(self.emitter, *epoch, *token);
        let told = self.state.get::<B256>(&key)?;
        Self::require(told.is_none(), Reason::DuplicateFact, || {
            format!("epoch {epoch} was published for this token with root {}", told.unwrap_or_default())
        })?;
        self.state.put(key, root)?;
        let row = PublishedRootRow {
            epoch: self.epoch(),
            block_number: signed(self.at.block_number),
            log_index: i64::from(self.at.log_index),
            vault: hex_text(self.emitter),
            settled_epoch: signed(*epoch),
            token: hex_text(token),
            root: hex_text(root),
            total: (*total).into(),
            last_block: signed(*last_block),
            ledger_digest: hex_text(ledger_digest),
        };
        self.push(row);
        Ok(Flags::NONE)
    }

    fn claimed(&mut self, epoch: u64, account: Address, token: Address, amount: Amount) -> Taken {
        Self::require_amount(amount)?;
        // Whether it exceeds the entitlement is for accounting to say, which knows it.
        let row = RewardClaimRow {
            epoch: self.epoch(),
            event_id: self.event_id(),
            block_number: signed(self.at.block_number),
            log_index: i64::from(self.at.log_index),
            tx_hash: hex_text(self.tx_hash),
            vault: hex_text(self.emitter),
            root_epoch: signed(epoch),
            account: hex_text(account),
            token: hex_text(token),
            amount: amount.into(),
        };
        self.push(row);
        Ok(Flags::NONE)
    }
}
