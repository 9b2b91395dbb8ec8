//! Events as the rows an indexer would have made of them.

use alloy_primitives::{B256, keccak256};
use tributary_schemas::Payload;
use tributary_schemas::code::ReleaseTo;
use tributary_schemas::column::{Decimal38, Micros, hex_text};
use tributary_schemas::encoding::payload_json;
use tributary_schemas::facts::{
    AccountRow, AttributionRow, BatchRow, BlockRow, ContributionRow, EntityPayoutRow, EventRow, InferenceRow,
    PaymentRow, PenaltyRow, PoolFundingRow, RefundRow, RewardClaimRow, SlashRow, StakeRow,
};
use tributary_tests::world::{token, vault};

use super::policy::ppb;
use super::scene::{Scene, units};

/// The value after a word.
pub(super) fn after<'a>(words: &[&'a str], word: &str) -> Option<&'a str> {
    let at = words.iter().position(|one| *one == word)?;
    words.get(at + 1).copied()
}

fn needed<'a>(words: &[&'a str], word: &str) -> &'a str {
    after(words, word).unwrap_or_else(|| panic!("{words:?}: expected {word:?} and a name"))
}

impl Scene {
    /// An event in a block of its own.
    pub(super) fn event(&mut self, words: &[&str], below: &[&str]) {
        self.add_block();
        match words[0] {
            "policy" => self.policy(&words[1..]),
            "data" => self.contribute(words),
            "model" => self.model(words),
            "agent" => self.agent(words),
            "edge" => self.late_edge(words),
            "batch" => self.batch(words, Some(below)),
            "missing" => self.batch(words, None),
            "found" => self.find(words[1], below),
            "free" => self.free(words[1], needed(words, "to")),
            "challenge" | "uphold" | "reject" | "replace" => self.dispute(words[0], words[1]),
            "pay" => self.pay(words),
            "refund" => self.refund(words),
            "fund" => self.fund(words),
            "claim" => self.claim(words),
            "vault" => self.hold(words),
            "stake" | "slash" => self.stake(words),
            "penalty" => self.penalise(words),
            "quarantine" => self.set_account(words[1], |row| row.quarantined = true),
            "release" => self.set_account(words[1], |row| row.quarantined = false),
            "payout" => {
                let to = self.account(words[3]);
                self.set_account(words[1], |row| row.payout = Some(to));
            }
            "split" => self.split(words),
            "transfer" => self.transfer(words[1], words[3]),
            "remove" => self.remove(words[1]),
            "amend" => {
                let reference = self.id("batch", needed(words, "about"));
                self.payment(words[1]).reference = Some(reference);
            }
            "wait" => (1..words[1].parse::<i64>().unwrap()).for_each(|_| self.add_block()),
            other => panic!("{other:?} is no event"),
        }
    }

    pub(super) fn add_block(&mut self) {
        self.block += 1;
        let hash = |number: i64| hex_text(keccak256(format!("block {number}")));
        self.facts.blocks.push(BlockRow {
            number: self.block,
            hash: hash(self.block),
            parent_hash: hash(self.block - 1),
            timestamp: Micros(self.block * 2_000_000),
            epoch: self.epoch,
            l1_origin_number: None,
            tx_count: 1,
            log_count: 1,
            event_count: 1,
            finality: "asserted".to_owned(),
            trust: "full".to_owned(),
            log_root: hash(-self.block),
        });
    }

    pub(super) fn log(&mut self) -> i64 {
        self.logs += 1;
        self.logs
    }

    fn event_id(log: i64) -> String {
        hex_text(keccak256(format!("event {log}")))
    }

    /// `N`, or `N usd`.
    fn money(words: &[&str]) -> (String, Decimal38) {
        let usd = words.get(2) == Some(&"usd");
        (token(if usd { 1 } else { 2 }), Decimal38(units(words[1])))
    }

    fn pay(&mut self, words: &[&str]) {
        let (subject_kind, subject_sk) = self.subject(needed(words, "for"));
        let sk = i64::try_from(self.facts.payments.len()).unwrap();
        let (token, amount) = Self::money(words);
        let reference = after(words, "about").map(|name| match name.split_once('/') {
            Some(_) => self.inference_id(name),
            None => self.id("batch", name),
        });
        let log_index = self.log();
        let row = PaymentRow {
            epoch: self.epoch,
            payment_sk: sk,
            payment_id: hex_text(keccak256(format!("payment {sk}"))),
            event_id: Self::event_id(log_index),
            block_number: self.block,
            tx_index: 0,
            log_index,
            tx_hash: Self::event_id(-log_index),
            timestamp: Micros(0),
            vault: vault(0),
            subject_kind: subject_kind.to_owned(),
            subject_id: self.id(&format!("{subject_kind} version"), needed(words, "for")),
            subject_sk,
            payer: self.account(needed(words, "by")),
            token,
            amount,
            reference,
            backing: "vault".to_owned(),
            flags: if words.contains(&"unbacked") { "UNBACKED".to_owned() } else { String::new() },
        };
        self.facts.payments.push(row);
    }

    /// `p1` is the first.
    fn payment(&mut self, name: &str) -> &mut PaymentRow {
        let number: usize = name.trim_start_matches('p').parse().unwrap();
        &mut self.facts.payments[number - 1]
    }

    fn refund(&mut self, words: &[&str]) {
        let payment = self.payment(needed(words, "of")).clone();
        let log_index = self.log();
        self.facts.refunds.push(RefundRow {
            epoch: self.epoch,
            event_id: Self::event_id(log_index),
            block_number: self.block,
            log_index,
            payment_sk: payment.payment_sk,
            payment_id: payment.payment_id,
            account: payment.payer,
            token: payment.token,
            amount: Decimal38(units(words[1])),
        });
    }

    fn fund(&mut self, words: &[&str]) {
        let (token, amount) = Self::money(words);
        let log_index = self.log();
        let row = PoolFundingRow {
            epoch: self.epoch,
            event_id: Self::event_id(log_index),
            block_number: self.block,
            log_index,
            vault: vault(0),
            pool: self.scope(needed(words, "for")),
            for_epoch: after(words, "epoch").map_or(self.epoch, |epoch| epoch.parse().unwrap()),
            token,
            amount,
        };
        self.facts.pool_fundings.push(row);
    }

    fn claim(&mut self, words: &[&str]) {
        let (token, amount) = Self::money(words);
        let log_index = self.log();
        let row = RewardClaimRow {
            epoch: self.epoch,
            event_id: Self::event_id(log_index),
            block_number: self.block,
            log_index,
            tx_hash: Self::event_id(-log_index),
            vault: vault(0),
            root_epoch: self.epoch - 1,
            account: self.account(needed(words, "by")),
            token,
            amount,
        };
        self.facts.reward_claims.push(row);
    }

    /// A stake says by how much it changed and to how much; a slash says why it fell.
    fn stake(&mut self, words: &[&str]) {
        let slashed = words[0] == "slash";
        let account = self.account(needed(words, if slashed { "of" } else { "by" }));
        let pool = self.scope(needed(words, "in"));
        let mut held = self.facts.stakes.iter().rev();
        let held = held.find(|row| row.account == account && row.pool == pool).map_or(0, |row| row.balance_after.0);
        let delta = if slashed { -units(words[1]) } else { units(words[1]) };
        let (epoch, block_number, log_index) = (self.epoch, self.block, self.log());
        if slashed {
            self.facts.slashes.push(SlashRow {
                epoch,
                block_number,
                log_index,
                pool: pool.clone(),
                account: account.clone(),
                subject: pool.clone(),
                amount: Decimal38(-delta),
                cause: 0,
            });
        }
        self.facts.stakes.push(StakeRow {
            epoch,
            block_number,
            log_index: self.logs + 1,
            pool,
            account,
            delta: Decimal38(delta),
            balance_after: Decimal38(held + delta),
        });
        self.logs += 1;
    }

    fn penalise(&mut self, words: &[&str]) {
        let row = PenaltyRow {
            epoch: self.epoch,
            block_number: self.block,
            log_index: self.log(),
            account: self.account(needed(words, "of")),
            scope: self.scope(after(words, "in").unwrap_or("all")),
            score: i64::from(ppb(words[1]) / 1_000),
            reason: String::new(),
        };
        self.facts.penalties.push(row);
    }

    fn set_account(&mut self, name: &str, change: impl FnOnce(&mut AccountRow)) {
        let (account, block) = (self.account(name), self.block);
        let mut row =
            AccountRow { account, payout: None, quarantined: false, valid_from_block: block, valid_to_block: None };
        let mut rows = self.facts.accounts.iter_mut();
        if let Some(last) = rows.rfind(|one| one.account == row.account && one.valid_to_block.is_none()) {
            last.valid_to_block = Some(block);
            (row.payout, row.quarantined) = (last.payout.clone(), last.quarantined);
        }
        change(&mut row);
        self.facts.accounts.push(row);
    }

    fn split(&mut self, words: &[&str]) {
        let entity_id = self.scope(words[1]);
        let part = |part: &[&str]| {
            let account = self.account(part[0]);
            serde_json::json!({ "account": account, "share_ppb": ppb(part[1]) })
        };
        let parts: Vec<serde_json::Value> = words[2..].chunks(2).map(part).collect();
        self.facts.entity_payouts.push(EntityPayoutRow {
            entity_id,
            payout: None,
            split: Some(serde_json::Value::from(parts).to_string()),
            valid_from_block: self.block,
            valid_to_block: None,
        });
    }

    fn transfer(&mut self, name: &str, to: &str) {
        let (id, owner, block) = (self.id("model", name), self.account(to), self.block);
        let mut rows = self.facts.models.iter_mut();
        let last = rows.rfind(|row| row.model_id == id).unwrap();
        last.valid_to_block = Some(block);
        let row =
            tributary_schemas::facts::ModelRow { owner, valid_from_block: block, valid_to_block: None, ..last.clone() };
        self.facts.models.push(row);
    }

    fn remove(&mut self, name: &str) {
        let (id, block) = (self.id("contribution", name), self.block);
        let mut rows = self.facts.contributions.iter_mut();
        let last = rows.rfind(|row| row.contribution_id == id).unwrap();
        last.valid_to_block = Some(block);
        let state = "removed".to_owned();
        let row = ContributionRow { state, valid_from_block: block, valid_to_block: None, ..last.clone() };
        self.facts.contributions.push(row);
    }

    /// `batch/ordinal`, or `batch/id` where the answer has an id of its own.
    fn inference_id(&mut self, name: &str) -> String {
        let (batch, which) = name.split_once('/').unwrap();
        match which.parse::<i32>() {
            Ok(_) => hex_text(keccak256(format!("inference {batch} {which}"))),
            Err(_) => self.id("inference", which),
        }
    }

    fn batch(&mut self, words: &[&str], answers: Option<&[&str]>) {
        let name = words[1];
        let batch_sk = self.key("batch", name);
        let method = after(words, "method").unwrap_or("m");
        let row = BatchRow {
            batch_sk,
            batch_id: self.id("batch", name),
            epoch: self.epoch,
            reference_block: self.block,
            reference_log: self.log(),
            hub: self.account("hub"),
            producer: self.account("producer"),
            method_id: hex_text(keccak256(format!("method {method}"))),
            seq: batch_sk,
            inferences: 0,
            records: 0,
            accepted: None,
            payload_hash: self.id("payload", name),
            records_root: self.id("records", name),
            blob_ref: String::new(),
            state: if answers.is_some() { "resolved".to_owned() } else { "unavailable".to_owned() },
            challenged: false,
            valid_from_block: self.block,
            valid_to_block: None,
        };
        self.facts.attribution_batches.push(row);
        self.answers(name, answers.unwrap_or_default());
    }

    fn answers(&mut self, name: &str, answers: &[&str]) {
        for (ordinal, line) in answers.iter().enumerate() {
            self.answer(name, i32::try_from(ordinal).unwrap(), line);
        }
    }

    /// The blob of a missing batch turns up.
    fn find(&mut self, name: &str, answers: &[&str]) {
        self.change_batch(name, |row| row.state = "resolved".to_owned());
        self.answers(name, answers);
    }

    fn free(&mut self, reason: &str, to: &str) {
        let to = match to {
            "payees" => ReleaseTo::Payees,
            "payer" => ReleaseTo::Payer,
            "treasury" => ReleaseTo::Treasury,
            other => panic!("nothing is freed to {other:?}"),
        };
        let reason = B256::right_padding_from(reason.as_bytes());
        let payload = Payload::SuspenseReleased { reason, subject: B256::ZERO, to };
        let log_index = self.log();
        let row = EventRow {
            epoch: self.epoch,
            event_id: Self::event_id(log_index),
            block_number: self.block,
            tx_index: 0,
            log_index,
            sub_index: 0,
            tx_hash: None,
            emitter: vault(0),
            source: "log".to_owned(),
            kind: payload.kind().to_owned(),
            schema_version: 1,
            rule: "text".to_owned(),
            valid: true,
            reason: None,
            flags: String::new(),
            payload: payload_json(&payload),
        };
        self.facts.events.push(row);
    }

    /// `SUBJECT fee N id ID: TARGET SCORE, …`
    fn answer(&mut self, batch: &str, inference: i32, line: &str) {
        let batch_sk = self.key("batch", batch);
        // Of a blob that was found late as well: records are of the epoch of their batch's reference.
        let epoch = self.facts.attribution_batches.iter().find(|row| row.batch_sk == batch_sk).unwrap().epoch;
        let (head, records) = line.split_once(':').unwrap_or((line, ""));
        let head: Vec<&str> = head.split_whitespace().collect();
        let (kind, subject_sk) = self.subject(head[0]);
        let which = after(&head, "id").map_or_else(|| inference.to_string(), str::to_owned);
        let inference_id = self.inference_id(&format!("{batch}/{which}"));
        let method = |sk: i64| self.facts.attribution_batches.iter().find(|b| b.batch_sk == sk).map(|b| &b.method_id);
        let mut known = self.facts.inferences.iter().filter(|row| row.inference_id == inference_id);
        let superseded = known.any(|row| method(row.batch_sk) == method(batch_sk));
        let records: Vec<Vec<&str>> = records
            .split(',')
            .map(|one| one.split_whitespace().collect())
            .filter(|one: &Vec<_>| !one.is_empty())
            .collect();
        let weight_total = self.records(epoch, batch_sk, inference, &records);
        let row = InferenceRow {
            epoch,
            batch_sk,
            inference,
            inference_id,
            subject_kind: kind.to_owned(),
            subject_sk,
            subject_id: self.id(&format!("{kind} version"), head[0]),
            fee_weight: after(&head, "fee").map_or(1, |fee| i64::try_from(units(fee)).unwrap()),
            fee_before: 0,
            fee_total: 0,
            records: i32::try_from(records.len()).unwrap(),
            weight_total,
            superseded,
            flags: String::new(),
        };
        self.facts.inferences.push(row);
    }

    /// Rows of records with running weights in the order of (target id, row); their total.
    fn records(&mut self, epoch: i64, batch_sk: i64, inference: i32, records: &[Vec<&str>]) -> i64 {
        let mut rows = Vec::new();
        for record in records {
            let out = record[0].contains('!');
            let name = record[0].replace('!', "");
            let (name, row) =
                name.split_once('#').map_or((name.as_str(), None), |(a, b)| (a, Some(b.parse().unwrap())));
            let (kind, sk, id) = if let Some(sk) = self.known("contribution", name) {
                (2, sk, self.id("contribution", name))
            } else if let Some(sk) = self.known("dataset", name) {
                (1, sk * 2, self.id("dataset version", &format!("{name} 1")))
            } else {
                (3, self.subject(name).1, self.id("model version", name))
            };
            let score = i64::try_from(units(record[1].trim_start_matches('-'))).unwrap();
            let score = if record[1].starts_with('-') { -score } else { score };
            rows.push(((id, row.map_or(u32::MAX, i32::cast_unsigned)), kind, sk, row, score, out));
        }
        rows.sort();
        let weight = |score: i64, out: bool| if out { 0 } else { std::cmp::max(score, 0) };
        let weight_total = rows.iter().map(|row| weight(row.4, row.5)).sum();
        let mut weight_before = 0;
        for (_, target_kind, target_sk, row, score, out) in rows {
            self.facts.attributions.push(AttributionRow {
                epoch,
                batch_sk,
                inference,
                target_kind,
                target_sk,
                row,
                score,
                weight: weight(score, out),
                weight_before,
                weight_total,
                flags: i32::from(out) << 4,
            });
            weight_before += weight(score, out);
        }
        weight_total
    }

    fn dispute(&mut self, what: &str, name: &str) {
        self.change_batch(name, |row| {
            row.challenged = what == "challenge";
            match what {
                "uphold" => row.state = "rejected".to_owned(),
                "replace" => row.state = "superseded".to_owned(),
                _ => {}
            }
        });
    }

    fn change_batch(&mut self, name: &str, change: impl FnOnce(&mut BatchRow)) {
        let batch_sk = self.key("batch", name);
        let block = self.block;
        let mut rows = self.facts.attribution_batches.iter_mut();
        let last = rows.rfind(|row| row.batch_sk == batch_sk).unwrap();
        last.valid_to_block = Some(block);
        let mut row = BatchRow { valid_from_block: block, valid_to_block: None, ..last.clone() };
        change(&mut row);
        self.facts.attribution_batches.push(row);
    }
}
