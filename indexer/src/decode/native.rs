//! Payments that leave no log: transactions that carry value to a contract of a rule (ruling 6, `value`).

use alloy_primitives::Address;
use std::sync::Arc;
use tributary_schemas::Position;
use tributary_schemas::code::Reason;

use super::eval::Source;
use super::{Decoded, Decoder, Known, Payload};
use crate::TxInfo;
use crate::mapping::{Emitters, Rule};

impl<'a> Decoder<'a> {
    /// Appends what the rules for transactions make of one, in their order and after its logs; of those that ask about
    /// entities, or of those that do not.
    pub(super) fn of_value(&mut self, tx_index: u32, late: bool, known: &dyn Known, out: &mut Vec<Decoded>) {
        let Some(tx) = carries_value(self.block.transactions.get(usize::try_from(tx_index).unwrap_or(usize::MAX)))
        else {
            return;
        };
        let mapping = self.mapping;
        let at = (self.block.block.number, tx_index);
        let called = |rule: &Rule| tx.to.as_ref().is_some_and(|to| rule.emitters.hear(to, at, known));
        let rules = mapping.rules().iter().filter(|rule| rule.late == late && self.is_for(rule) && called(rule));
        for rule in rules.collect::<Vec<_>>() {
            let made = self.made(rule, tx, known);
            let facts = made.map(|facts| facts.into_iter().map(|payload| (payload, None)).collect());
            let facts = facts.unwrap_or_else(|error| {
                let payload = Payload::Undecodable { rule: rule.name.to_string(), content_hash: tx.hash };
                vec![(payload, Some(error.refusal()))]
            });
            for (payload, refused) in facts {
                let position = Position {
                    block_number: self.block.block.number,
                    tx_index,
                    log_index: Position::NO_LOG,
                    sub_index: self.valued,
                };
                self.valued = self.valued.saturating_add(1);
                let emitter = tx.to.unwrap_or_default();
                out.push(Decoded { position, emitter, rule: Arc::clone(&rule.name), payload, refused });
            }
        }
    }

    /// The transactions that a rule for transactions is for, if those that they call are heard.
    pub(super) fn with_value(&self) -> impl Iterator<Item = u32> {
        let rules: Vec<&Rule> = self.mapping.rules().iter().filter(|rule| self.is_for(rule)).collect();
        // Whom factories have announced by then is not known yet.
        let may_hear =
            |rule: &Rule, to: &Address| matches!(rule.emitters, Emitters::Children(_)) || rule.emitters.accept(to);
        let transactions = if rules.is_empty() { &[][..] } else { self.block.transactions.as_slice() };
        (0..)
            .zip(transactions)
            .filter(move |(_, tx)| {
                let called = carries_value(Some(tx)).and_then(|tx| tx.to.as_ref());
                called.is_some_and(|to| rules.iter().any(|rule| may_hear(rule, to)))
            })
            .map(|(tx_index, _)| tx_index)
    }

    /// Whether a rule is for transactions of this block.
    fn is_for(&self, rule: &Rule) -> bool {
        rule.of_transactions() && rule.blocks.contains(&self.block.block.number)
    }

    fn made(&self, rule: &Rule, tx: &TxInfo, known: &dyn Known) -> Result<Vec<Payload>, super::BuildError> {
        let Some(kind) = rule.kind else { return Ok(Vec::new()) };
        let source = Source {
            chain_id: self.mapping.chain_id(),
            emitter: tx.to.unwrap_or_default(),
            block: &self.block.block,
            tx: Some(tx),
            log: None,
            args: &[],
            call: Err("the rule has no call"),
            joined: None,
            known,
            reading: &self.reading,
            sample: None,
            work: &Source::allowance(tx.input.len()),
        };
        self.reading.begin();
        let mut facts = Vec::new();
        rule.facts(kind, &source, &mut |payload, _| facts.push(payload))?;
        Ok(facts)
    }
}

/// A transaction that moved value to an account.
fn carries_value(tx: Option<&TxInfo>) -> Option<&TxInfo> {
    tx.filter(|tx| tx.success && !tx.value.is_zero() && tx.to.is_some())
}

impl super::BuildError {
    /// The reason, and the detail.
    pub(super) fn refusal(self) -> (Reason, String) {
        match self {
            Self::Range(detail) => (Reason::OutOfRange, detail),
            Self::Unknown(detail) => (Reason::UnknownRef, detail),
            Self::Spent(detail) => (Reason::DuplicateFact, detail),
            Self::Stranger(detail) => (Reason::Unauthorized, detail),
            Self::Shape(detail) => (Reason::DecodeError, detail),
        }
    }
}
