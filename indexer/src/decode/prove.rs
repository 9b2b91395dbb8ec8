//! A rule is tried when it is loaded: types that can never fit show then.

use alloy_primitives::{Address, B256};
use tributary_schemas::BlockRef;

use super::Unknown;
use super::build::build;
use super::eval::{At, Joined, Source};
use super::state::Reading;
use crate::mapping::Rule;
use crate::reads::Answers;
use crate::{Topics, TxInfo, VerifiedLog};

/// Tries a rule on logs made of zeros and of ones. What will be computed counts by its type alone.
pub(crate) fn prove_rule(rule: &Rule) -> Result<(), String> {
    let Some(kind) = rule.kind else { return Ok(()) };
    for fill in [0, 1] {
        let (topics, data) = rule.shape.sample(fill);
        let args = rule.shape.decode(&topics, &data)?;
        let topics_of_log =
            Topics::new(&topics).ok_or_else(|| format!("{} topics: expected at most 4", topics.len()))?;
        let log = VerifiedLog {
            tx_index: 0,
            log_index: 0,
            address: Address::ZERO,
            topics: topics_of_log,
            data: data.clone().into(),
        };
        let joined = rule.join.as_ref().map(|join| join.shape.sample(fill));
        let joined = match (&rule.join, &joined) {
            (Some(join), Some((topics, data))) => Some(join.shape.decode(topics, data)?),
            _ => None,
        };
        let called = rule.call.as_ref().map(|call| call.values.sample(fill));
        let called = match (&rule.call, &called) {
            (Some(call), Some((topics, data))) => Some(call.values.decode(topics, data)?),
            _ => None,
        };
        let (tx, block, answers) = (sample_tx(), BlockRef::default(), Answers::new());
        let reading = Reading::of(&answers);
        let mut source = Source {
            chain_id: 0,
            emitter: Address::ZERO,
            block: &block,
            tx: Some(&tx),
            log: (!rule.of_transactions()).then_some(&log),
            args: &args,
            call: called.as_deref().ok_or("the rule has no call"),
            joined: joined.as_ref().map(|args| Joined { log: &log, args }),
            known: &Unknown,
            reading: &reading,
            sample: Some(fill),
            work: &Source::allowance(data.len()),
        };
        let at = &At { levels: rule.levels, ..At::default() };
        build(kind, &rule.fields, &source, at).map_err(|error| error.to_string())?;
        if rule.join.as_ref().is_some_and(|join| join.optional) {
            source.joined = None;
            build(kind, &rule.fields, &source, at).map_err(|error| error.to_string())?;
        }
        if rule.call.as_ref().is_some_and(|call| call.optional) {
            source.call = Err("the call is hidden");
            build(kind, &rule.fields, &source, at).map_err(|error| error.to_string())?;
        }
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
        to: Some(Address::ZERO),
        value: alloy_primitives::U256::ZERO,
        input: alloy_primitives::Bytes::new(),
        success: true,
        raw: raw.into(),
    }
}
