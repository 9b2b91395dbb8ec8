//! Why a log became what it became: which rules it met, what their arguments said, and what came out.

use alloy_primitives::{B256, U256, hex};
use serde::Serialize;
use tributary_schemas::Position;
use tributary_schemas::encoding::payload_json;

use super::abi::Arg;
use super::eval::signed;
use super::{Decoded, Known, Unknown, decode_block};
use crate::mapping::{Mapping, Rule};
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
    let decoded = decode_block(mapping, block, &Unknown as &dyn Known);
    let mut out = Vec::new();
    for log in &block.logs {
        for rule in log.topics.first().into_iter().flat_map(|topic| mapping.rules_for(topic)) {
            let of_rule = |one: &&Decoded| one.position.log_index == log.log_index && one.rule == rule.name;
            out.push(trace(rule, block.block.number, log, &decoded.iter().filter(of_rule).collect::<Vec<_>>()));
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

fn trace(rule: &Rule, block_number: u64, log: &VerifiedLog, decoded: &[&Decoded]) -> Trace {
    let args = rule.shape.decode(&log.topics, &log.data);
    let arguments = args.as_ref().map_or_else(
        |_| Vec::new(),
        |args| rule.shape.names().map(str::to_owned).zip(args.iter().map(shown)).collect(),
    );
    let refused = decoded.iter().find_map(|one| one.refused.as_ref());
    let reason = match (refused, args) {
        (Some((reason, detail)), _) => format!("{reason}: {detail}"),
        (None, _) if !decoded.is_empty() => String::new(),
        (None, Err(reason)) => reason,
        (None, Ok(_)) => passed_over(rule, block_number, log),
    };
    Trace { log_index: log.log_index, rule: rule.name.to_string(), arguments, facts: facts_of(decoded), reason }
}

fn passed_over(rule: &Rule, block_number: u64, log: &VerifiedLog) -> String {
    if !rule.blocks.contains(&block_number) {
        return format!("block {block_number} is not between {} and {}", rule.blocks.start(), rule.blocks.end());
    }
    if !rule.emitters.accept(&log.address) {
        return format!("{:#x} is not among the emitters of the rule", log.address);
    }
    if rule.kind.is_none() {
        return "its money is counted elsewhere".to_owned();
    }
    "its conditions do not hold, or a list it goes through is empty".to_owned()
}

/// An argument as text.
fn shown(arg: &Arg<'_>) -> String {
    match arg {
        Arg::Uint(word, _) => U256::from_be_bytes(**word).to_string(),
        Arg::Int(word, _) => signed(**word).to_string(),
        Arg::Fixed(word, size) => hex::encode_prefixed(&word[..*size]),
        Arg::Address(bytes) | Arg::Bytes(bytes) => hex::encode_prefixed(bytes),
        Arg::Bool(truth) => truth.to_string(),
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
