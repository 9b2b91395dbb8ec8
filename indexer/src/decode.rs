//! From verified logs to facts, by the rules of a mapping. Nothing here can fail: what does not decode is a fact too.

mod abi;
mod build;
mod probe;

use alloy_primitives::{Address, B256, Keccak256};
use std::sync::Arc;
use tributary_schemas::code::Reason;
use tributary_schemas::{Payload, Position};

use crate::mapping::{Mapping, Rule};
use crate::{TxInfo, VerifiedBlock, VerifiedLog};
pub(crate) use abi::EventShape;
use build::{BuildError, Source, build};
pub(crate) use probe::{fields_of, kind_index};

/// What one rule makes of one log, before anything is known about its truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Where it stands.
    pub position: Position,
    /// The contract that said it.
    pub emitter: Address,
    /// The rule.
    pub rule: Arc<str>,
    /// What it says.
    pub payload: Payload,
    /// Why it cannot hold whatever the state is, and the detail.
    pub refused: Option<(Reason, String)>,
}

/// Everything the rules make of a block's logs, in the order of positions.
#[must_use]
pub fn decode_block(mapping: &Mapping, block: &VerifiedBlock) -> Vec<Decoded> {
    let mut out = Vec::new();
    for log in &block.logs {
        decode_log(mapping, block, log, &mut out);
    }
    out
}

/// Whether any rule is about this log.
#[must_use]
pub fn is_watched(mapping: &Mapping, log: &VerifiedLog) -> bool {
    candidates(mapping, log).next().is_some()
}

/// Appends what the rules make of one log: rules in the order of the set, one fact each.
fn decode_log(mapping: &Mapping, block: &VerifiedBlock, log: &VerifiedLog, out: &mut Vec<Decoded>) {
    let first = out.len();
    let mut broken: Option<(&Rule, BuildError)> = None;
    for rule in candidates(mapping, log) {
        let tx = usize::try_from(log.tx_index).ok().and_then(|index| block.transactions.get(index));
        match rule.read(mapping.chain_id(), log, tx) {
            Ok(None) => {}
            Ok(Some(payload)) => {
                let stranger = !rule.emitters.accept(&log.address);
                let refused = stranger.then(|| {
                    (Reason::Unauthorized, format!("{:#x} is not among the contracts of the rule", log.address))
                });
                out.push(decoded(block, log, out.len() - first, rule, payload, refused));
            }
            // Another rule of the same topic may have other indexed marks and fit.
            Err(error) => broken = broken.or(Some((rule, error))),
        }
    }
    if let (true, Some((rule, error))) = (out.len() == first, broken) {
        let (reason, detail) = match error {
            BuildError::Range(detail) => (Reason::OutOfRange, detail),
            BuildError::Shape(detail) => (Reason::DecodeError, detail),
        };
        let payload = Payload::Undecodable { rule: rule.name.to_string(), content_hash: content_hash(log) };
        out.push(decoded(block, log, 0, rule, payload, Some((reason, detail))));
    }
}

fn decoded(
    block: &VerifiedBlock,
    log: &VerifiedLog,
    sub_index: usize,
    rule: &Rule,
    payload: Payload,
    refused: Option<(Reason, String)>,
) -> Decoded {
    let position = Position {
        block_number: block.block.number,
        tx_index: log.tx_index,
        log_index: log.log_index,
        sub_index: u32::try_from(sub_index).unwrap_or(u32::MAX),
    };
    Decoded { position, emitter: log.address, rule: Arc::clone(&rule.name), payload, refused }
}

/// The rules whose topic and number of topics fit, from an emitter that is listened to. A stranger who speaks with
/// authority's words is heard, to be refused; a stranger with any other words is none of ours.
fn candidates<'a>(mapping: &'a Mapping, log: &'a VerifiedLog) -> impl Iterator<Item = &'a Rule> {
    log.topics
        .first()
        .into_iter()
        .flat_map(|topic0| mapping.rules_for(topic0))
        .filter(|rule| rule.shape.topic_count() == log.topics.len())
        .filter(|rule| rule.authority || rule.emitters.accept(&log.address))
}

impl Rule {
    /// The fact, or nothing when a zero argument says the log is not meant.
    fn read(&self, chain_id: u64, log: &VerifiedLog, tx: Option<&TxInfo>) -> Result<Option<Payload>, BuildError> {
        let args = self.shape.decode(&log.topics, &log.data).map_err(BuildError::Shape)?;
        if self.unless_zero.iter().any(|index| args.get(*index).is_some_and(abi::Arg::is_zero)) {
            return Ok(None);
        }
        let source = Source { chain_id, emitter: log.address, tx, args: &args };
        build(self.kind, &self.fields, &source).map(Some)
    }
}

/// Tries a rule on logs made of zeros and of ones: types that can never fit show here, when the set is loaded.
pub(crate) fn prove_rule(rule: &Rule) -> Result<(), String> {
    for fill in [0, 1] {
        let (topics, data) = rule.shape.sample(fill);
        let args = rule.shape.decode(&topics, &data)?;
        let source = Source { chain_id: 0, emitter: Address::ZERO, tx: Some(&sample_tx()), args: &args };
        build(rule.kind, &rule.fields, &source).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// A deposit, whose sender is written in it, so that `tx.from` has an answer.
fn sample_tx() -> TxInfo {
    // 0x7e ‖ rlp([source hash, from, to, mint, value, gas, is system, data])
    let mut raw = vec![0x7e, 0xf8, 0x50, 0xa0];
    raw.extend([0; 32]);
    raw.push(0x94);
    raw.extend([0; 20]);
    raw.push(0x94);
    raw.extend([0; 20]);
    raw.extend([0x80; 5]);
    TxInfo {
        hash: B256::ZERO,
        kind: 0x7e,
        to: None,
        value: alloy_primitives::U256::ZERO,
        input: alloy_primitives::Bytes::new(),
        success: true,
        raw: raw.into(),
    }
}

fn content_hash(log: &VerifiedLog) -> B256 {
    let mut hasher = Keccak256::new();
    for topic in log.topics.iter() {
        hasher.update(topic);
    }
    hasher.update(&log.data);
    hasher.finalize()
}

#[cfg(test)]
mod tests;
