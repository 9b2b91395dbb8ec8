//! Why a log became what it became: which rules it met, what their arguments said, and what came out.

use alloy_primitives::{B256, U256, hex};
use serde::Serialize;
use tributary_schemas::Position;
use tributary_schemas::encoding::payload_json;

use super::abi::{Arg, Shape, Static};
use super::eval::signed;
use super::{Decoded, Grown, Known, Unknown, decode_onto};
use crate::mapping::{Emitters, Family, Mapping, Rule};
use crate::{VerifiedBlock, VerifiedLog};

/// What one rule made of one log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// Index of the log in its block; 4294967295 for a transaction by the value it carried.
    pub log_index: u32,
    /// The rule.
    pub rule: String,
    /// The arguments by name, as text: numbers decimal, bytes 0x hex, text as JSON, lists in brackets.
    pub arguments: Vec<(String, String)>,
    /// The kind and payload, as JSON, of each fact.
    pub facts: Vec<(String, serde_json::Value)>,
    /// Why nothing came out, or why what came out is refused; empty when neither.
    pub reason: String,
}

/// Every rule that is for a log's first topic, and what it made of it; empty when there is none.
#[must_use]
pub fn trace_block(mapping: &Mapping, block: &VerifiedBlock) -> Vec<Trace> {
    let mut grown = Grown::of(&Unknown);
    let decoded = decode_onto(mapping, block, &mut grown);
    let known: &dyn Known = &grown;
    let mut out = Vec::new();
    for log in &block.logs {
        for (label, family) in mapping.families() {
            let of_family = |one: &&Decoded| one.position.log_index == log.log_index && one.rule == *label;
            let refused: Vec<_> = decoded.iter().filter(of_family).collect();
            out.extend(announcement((label, family), block.block.number, log, &refused, known));
        }
        for rule in log.topics.first().into_iter().flat_map(|topic| mapping.rules_for(topic)) {
            let of_rule = |one: &&Decoded| one.position.log_index == log.log_index && one.rule == rule.name;
            let told: Vec<_> = decoded.iter().filter(of_rule).collect();
            out.push(trace(rule, block.block.number, log, &told, known));
        }
    }
    for one in decoded.iter().filter(|one| one.position.log_index == Position::NO_LOG) {
        let reason = one.refused.as_ref().map(|(reason, detail)| format!("{reason}: {detail}")).unwrap_or_default();
        let (log_index, rule) = (Position::NO_LOG, one.rule.to_string());
        out.push(Trace { log_index, rule, arguments: Vec::new(), facts: facts_of(&[one]), reason });
    }
    out
}

fn facts_of(decoded: &[&Decoded]) -> Vec<(String, serde_json::Value)> {
    let facts = decoded.iter().map(|one| {
        let json = serde_json::from_str(&payload_json(&one.payload)).unwrap_or_default();
        (one.payload.kind().to_owned(), json)
    });
    facts.collect()
}

/// What a log announces to a family; none when it is no log for that.
fn announcement(
    (label, family): (&str, &Family),
    block_number: u64,
    log: &VerifiedLog,
    refused: &[&Decoded],
    known: &dyn Known,
) -> Option<Trace> {
    let shape = &family.announcement(&log.topics)?.shape;
    let args = shape.decode(&log.topics, &log.data);
    let heard = family.factories.hear(&log.address, (block_number, log.tx_index), known);
    let arguments = arguments(shape, args.as_deref().unwrap_or_default());
    let reason = match (refused.iter().find_map(|one| one.refused.as_ref()), args) {
        (Some((reason, detail)), _) => format!("{reason}: {detail}"),
        (None, _) if !heard => stranger(log, &family.factories),
        (None, Err(reason)) => reason,
        (None, Ok(_)) => "its child is an emitter from this transaction on, unless the set names it".to_owned(),
    };
    Some(Trace { log_index: log.log_index, rule: label.to_owned(), arguments, facts: facts_of(refused), reason })
}

/// The arguments of a log by name.
fn arguments(shape: &Shape, args: &[Arg<'_>]) -> Vec<(String, String)> {
    shape.names().map(str::to_owned).zip(args.iter().map(shown)).collect()
}

fn stranger(log: &VerifiedLog, emitters: &Emitters) -> String {
    let announced = match emitters {
        Emitters::Children(_) => ": no factory announces it in this transaction, and earlier ones were not looked at",
        _ => "",
    };
    format!("{:#x} is not among the emitters of the rule{announced}", log.address)
}

fn trace(rule: &Rule, block_number: u64, log: &VerifiedLog, decoded: &[&Decoded], known: &dyn Known) -> Trace {
    let args = rule.shape.decode(&log.topics, &log.data);
    let arguments = arguments(&rule.shape, args.as_deref().unwrap_or_default());
    let refused = decoded.iter().find_map(|one| one.refused.as_ref());
    let reason = match (refused, args) {
        (Some((reason, detail)), _) => format!("{reason}: {detail}"),
        (None, _) if !decoded.is_empty() => String::new(),
        (None, Err(reason)) => reason,
        (None, Ok(_)) => passed_over(rule, block_number, log, known),
    };
    Trace { log_index: log.log_index, rule: rule.name.to_string(), arguments, facts: facts_of(decoded), reason }
}

fn passed_over(rule: &Rule, block_number: u64, log: &VerifiedLog, known: &dyn Known) -> String {
    if !rule.blocks.contains(&block_number) {
        return format!("block {block_number} is not between {} and {}", rule.blocks.start(), rule.blocks.end());
    }
    if !rule.emitters.hear(&log.address, (block_number, log.tx_index), known) {
        return stranger(log, &rule.emitters);
    }
    if rule.kind.is_none() {
        return "its money is counted elsewhere".to_owned();
    }
    "its conditions do not hold, or a list it goes through is empty".to_owned()
}

/// An argument as text.
fn shown(arg: &Arg<'_>) -> String {
    match arg {
        Arg::Word(word, Static::Uint(_)) => U256::from_be_bytes(**word).to_string(),
        Arg::Word(word, Static::Int(_)) => signed(**word).to_string(),
        Arg::Word(word, Static::Bool) => (word[31] == 1).to_string(),
        Arg::Word(word, kind) => hex::encode_prefixed(kind.bytes(word)),
        Arg::Bytes(bytes) => hex::encode_prefixed(bytes),
        Arg::Text(text) => serde_json::Value::from(*text).to_string(),
        Arg::Words(words, kind) => {
            let parts = words.as_chunks::<32>().0.iter();
            list(parts.map(|word| kind.read(word).map_or_else(|_| B256::from(*word).to_string(), |arg| shown(&arg))))
        }
        Arg::Many(parts) => list(parts.iter().map(shown)),
    }
}

fn list(parts: impl Iterator<Item = String>) -> String {
    format!("[{}]", parts.collect::<Vec<_>>().join(", "))
}
