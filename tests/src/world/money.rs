//! Policies, payments, refunds, fundings and claims.

use alloy_primitives::B256;
use std::collections::BTreeMap;
use tributary_schemas::code::ReleaseTo;
use tributary_schemas::column::{Decimal38, Micros};
use tributary_schemas::encoding::payload_json;
use tributary_schemas::facts::{EventRow, PaymentRow, PolicyRow, PoolFundingRow, RefundRow, RewardClaimRow};
use tributary_schemas::policy::{
    Dedupe, Lineage, LineageMode, Normaliser, PPB, PenaltyStep, Policy, Removed, SelfDealing, SplitPpb, Unbacked,
    Withheld, ZeroTotal,
};
use tributary_schemas::{Amount, Payload};

use super::{Maker, account, id, token, vault};

impl Maker {
    pub(crate) fn money(&mut self) {
        for version in 0..self.between(0, 4) {
            let block_number = self.some_block();
            let scopes = [crate::auditor::zero_id(), crate::auditor::zero_id(), id("agent", 0), id("model", 0)];
            let scope = scopes[self.pick(4)].clone();
            let policy = self.policy();
            let (epoch, log_index) = (self.epoch_of(block_number), self.log());
            let row = PolicyRow {
                epoch,
                block_number,
                tx_index: 0,
                log_index,
                vault: vault(self.pick(2)),
                scope,
                policy_hash: tributary_schemas::column::hex_text(policy.hash()),
                version,
                policy: policy.canonical_json(),
            };
            self.facts.policies.push(row);
        }
        let mut sk = 0;
        for block in self.first..=self.last {
            for _ in 0..self.between(0, 3) {
                self.payment(sk, block);
                sk += 1;
            }
        }
        self.releases();
        self.fundings_and_claims();
    }

    fn policy(&mut self) -> Policy {
        let mut cuts: Vec<u32> = (0..4).map(|_| u32::try_from(self.between(0, 1_000_000_000)).unwrap_or(0)).collect();
        cuts.sort_unstable();
        if self.once_in(6) {
            // Everything to one channel, which may have nobody in it.
            let one = self.pick(5);
            cuts = (0..4).map(|place| if place < one { 0 } else { 1_000_000_000 }).collect();
        }
        let split_ppb = SplitPpb {
            platform: cuts[0],
            agent: cuts[1] - cuts[0],
            model: cuts[2] - cuts[1],
            data: cuts[3] - cuts[2],
            stakers: 1_000_000_000 - cuts[3],
        };
        let mode = if self.once_in(2) { LineageMode::Relative } else { LineageMode::Absolute };
        let pass_ppb = u32::try_from(self.between(0, 1_000_000_000)).unwrap_or(0);
        let max_depth = u32::try_from(self.between(0, 5)).unwrap_or(0);
        let blocks = |number: i64| u64::try_from(number).unwrap_or(0);
        let mut some = |map: &mut BTreeMap<alloy_primitives::Address, Amount>| {
            if self.once_in(2) {
                let amount = u128::try_from(self.heavy(20)).unwrap_or(0);
                let token = token(self.pick(3)).parse().expect("an address");
                map.insert(token, Amount::new(amount).expect("below 10^38"));
            }
        };
        let (mut platform_flat, mut min_payout) = (BTreeMap::new(), BTreeMap::new());
        some(&mut platform_flat);
        some(&mut min_payout);
        let steps = [(100_000, 900_000_000), (500_000, 333_333_333), (900_000, 0)];
        let penalty = steps.map(|(score, multiplier_ppb)| PenaltyStep { score, multiplier_ppb }).to_vec();
        Policy {
            split_ppb,
            platform_flat,
            lineage: Lineage { pass_ppb, max_depth, mode },
            normaliser: if self.once_in(4) { Normaliser::Abs } else { Normaliser::PositivePart },
            min_share_ppb: if self.once_in(4) { 50_000_000 } else { 0 },
            mass_keep_ppb: if self.once_in(4) {
                u32::try_from(self.between(1, 1_000_000_000)).unwrap_or(1)
            } else {
                PPB
            },
            dedupe: [Dedupe::None, Dedupe::None, Dedupe::First, Dedupe::Split][self.pick(4)],
            method: self.once_in(5).then(|| id("method", 0).parse().expect("an id")),
            zero_total: [ZeroTotal::Manifest, ZeroTotal::Hold, ZeroTotal::Treasury][self.pick(3)],
            unattributed_after_blocks: blocks(self.between(0, 9)),
            challenge_blocks: if self.once_in(2) { blocks(self.between(1, 12)) } else { 0 },
            resolve_blocks: blocks(self.between(0, 9)),
            suspense_release_blocks: if self.once_in(3) { blocks(self.between(1, 15)) } else { 0 },
            penalty: if self.once_in(2) { penalty } else { Vec::new() },
            withheld: if self.once_in(2) { Withheld::Treasury } else { Withheld::Hold },
            min_payout,
            unbacked: if self.once_in(2) { Unbacked::Hold } else { Unbacked::Reject },
            self_dealing: if self.once_in(2) { SelfDealing::Pay } else { SelfDealing::Suspense },
            removed: if self.once_in(2) { Removed::Redistribute } else { Removed::Treasury },
            treasury: if self.once_in(2) {
                account(50).parse().expect("an address")
            } else {
                alloy_primitives::Address::ZERO
            },
            ..Policy::default()
        }
    }

    fn payment(&mut self, payment_sk: i64, block_number: i64) {
        let agent = self.once_in(2);
        let (kind, count) =
            if agent { ("agent", self.facts.agents.len()) } else { ("model", self.facts.model_versions.len()) };
        let subject_sk = i64::try_from(self.pick(count)).unwrap_or(0);
        let number = self.pick(3);
        let amount = if self.once_in(80) {
            // As much as a token can hold, or half of that: two of these overflow.
            (10i128.pow(38) - 1) / i128::from(self.between(1, 2)) - self.heavy(6)
        } else {
            self.heavy(if number == 1 { 12 } else { 27 }) + 1
        };
        let batches = i64::try_from(self.facts.attribution_batches.len()).unwrap_or(0);
        let reference = match self.between(0, 6) {
            0 => Some(id("batch", self.between(0, batches))),
            1 | 2 if !self.facts.inferences.is_empty() => {
                let one = self.pick(self.facts.inferences.len());
                Some(self.facts.inferences[one].inference_id.clone())
            }
            3 if self.once_in(3) => Some(id("nothing", 0)),
            4 => {
                let (batch, at) = (self.between(0, batches), self.between(0, 4));
                Some(super::usage::in_batch(&id("batch", batch), u32::try_from(at).unwrap_or(0)))
            }
            _ => None,
        };
        let flags = ["", "", "", "", "UNBACKED", "SELF_DEALING"][self.pick(6)].to_owned();
        let (epoch, log_index) = (self.epoch_of(block_number), self.log());
        let row = PaymentRow {
            epoch,
            payment_sk,
            payment_id: id("payment", payment_sk),
            event_id: id("event", log_index),
            block_number,
            tx_index: 0,
            log_index,
            tx_hash: id("tx", log_index),
            timestamp: Micros(block_number * 2_000_000),
            vault: vault(self.pick(2)),
            subject_kind: kind.to_owned(),
            subject_id: id(&format!("{kind} version"), subject_sk),
            subject_sk,
            payer: self.account(),
            token: token(number),
            amount: Decimal38(amount),
            reference,
            backing: "vault".to_owned(),
            flags,
        };
        self.facts.payments.push(row);
        if self.once_in(6) {
            let parts = if self.once_in(3) { vec![amount] } else { vec![std::cmp::max(amount / 3, 1), amount / 3] };
            for part in parts.into_iter().filter(|part| *part > 0) {
                self.refund(payment_sk, block_number, number, part);
            }
        }
    }

    /// Somebody with authority releases what is held, now and then.
    fn releases(&mut self) {
        for _ in 0..self.between(0, 5) {
            let reasons = [
                "blob_missing",
                "blob_missing",
                "unbacked",
                "self_dealing",
                "quarantined",
                "penalty",
                "zero_total",
                "no_manifest",
                "batch_rejected",
                "nothing",
            ];
            let reason = reasons[self.pick(reasons.len())];
            let payments = i64::try_from(self.facts.payments.len()).unwrap_or(0);
            let batches = i64::try_from(self.facts.attribution_batches.len()).unwrap_or(0);
            let subject = match self.between(0, 9) {
                0 => id("payment", self.between(0, payments)),
                1 => id("batch", self.between(0, batches)),
                2 => id("agent", 0),
                3 => format!("0x{:0>64}", self.account().trim_start_matches("0x")),
                _ => crate::auditor::zero_id(),
            };
            let to = [ReleaseTo::Payees, ReleaseTo::Payees, ReleaseTo::Payer, ReleaseTo::Treasury][self.pick(4)];
            let payload = Payload::SuspenseReleased {
                reason: B256::right_padding_from(reason.as_bytes()),
                subject: subject.parse().expect("an id"),
                to,
            };
            let block_number = self.some_block();
            let (epoch, log_index) = (self.epoch_of(block_number), self.log());
            let row = EventRow {
                epoch,
                event_id: id("event", log_index),
                block_number,
                tx_index: 0,
                log_index,
                sub_index: 0,
                tx_hash: None,
                emitter: vault(self.pick(2)),
                source: "log".to_owned(),
                kind: payload.kind().to_owned(),
                schema_version: 1,
                rule: "world".to_owned(),
                valid: !self.once_in(10),
                reason: None,
                flags: String::new(),
                payload: payload_json(&payload),
            };
            self.facts.events.push(row);
        }
    }

    fn refund(&mut self, payment_sk: i64, after: i64, number: usize, amount: i128) {
        let back = self.between(after, self.last);
        let (epoch, log_index) = (self.epoch_of(back), self.log());
        let row = RefundRow {
            epoch,
            event_id: id("event", log_index),
            block_number: back,
            log_index,
            payment_sk,
            payment_id: id("payment", payment_sk),
            account: self.account(),
            token: token(number),
            amount: Decimal38(amount),
        };
        self.facts.refunds.push(row);
    }

    fn fundings_and_claims(&mut self) {
        for _ in 0..self.between(0, 3) {
            let block_number = self.some_block();
            let (epoch, log_index) = (self.epoch_of(block_number), self.log());
            let pool = if self.once_in(2) { crate::auditor::zero_id() } else { id("model", self.between(0, 2)) };
            let row = PoolFundingRow {
                epoch,
                event_id: id("event", log_index),
                block_number,
                log_index,
                vault: vault(self.pick(2)),
                pool,
                for_epoch: epoch + self.between(-1, 2),
                token: token(self.pick(3)),
                amount: Decimal38(self.heavy(24)),
            };
            self.facts.pool_fundings.push(row);
        }
        for _ in 0..self.between(0, 6) {
            let block_number = self.some_block();
            let (epoch, log_index) = (self.epoch_of(block_number), self.log());
            let row = RewardClaimRow {
                epoch,
                event_id: id("event", log_index),
                block_number,
                log_index,
                tx_hash: id("tx", log_index),
                vault: vault(self.pick(2)),
                root_epoch: epoch - 1,
                account: self.account(),
                token: token(self.pick(3)),
                amount: Decimal38(if self.once_in(12) { 10i128.pow(38) - 1 } else { self.heavy(18) }),
            };
            self.facts.reward_claims.push(row);
        }
    }
}
