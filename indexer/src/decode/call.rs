//! Finding the call that a log comes from, in the calldata of its transaction.
//!
//! Calldata says what was asked, not what was done, so a log takes values from it only where the two cannot differ: the
//! transaction called the emitter, or Multicall3 with calls that all had to succeed, and the listed calls to the emitter
//! make as many logs of the event as it emitted. Then the n-th log comes from the n-th. Anything else is refused.

use alloy_primitives::{Address, B256, address};
use std::borrow::Cow;
use std::collections::BTreeMap;

use super::abi::{Arg, Shape, Static};
use super::eval::{At, Field, Source};
use crate::mapping::{Call, Expr, Function, Place, Rule, Step, function};
use crate::{TxInfo, VerifiedLog};

/// Multicall3, which has one address on every chain and is a predeploy of the OP Stack's.
const MULTICALL3: Address = address!("ca11bde05977b3631167028862be2a173976ca11");
/// What it is called with; of a call in the second and third form, whether it may fail.
const AGGREGATES: [(&str, Option<usize>); 3] = [
    ("aggregate((address target, bytes data)[] calls)", None),
    ("aggregate3((address target, bool mayFail, bytes data)[] calls)", Some(1)),
    ("aggregate3Value((address target, bool mayFail, uint256 value, bytes data)[] calls)", Some(1)),
];

/// What the calls of a transaction say for the logs of one rule.
#[derive(Debug, Default)]
pub(super) struct Called<'a> {
    found: BTreeMap<u32, Vec<Arg<'a>>>,
    refused: BTreeMap<u32, String>,
}

impl<'a> Called<'a> {
    /// The values for a log, or why there are none.
    pub(super) fn of(&self, log_index: u32) -> Result<&[Arg<'a>], &str> {
        match (self.found.get(&log_index), self.refused.get(&log_index)) {
            (Some(args), _) => Ok(args),
            (None, reason) => Err(reason.map_or("no call was found", String::as_str)),
        }
    }

    /// Reads the calls once for all logs of a transaction that a rule's event fits.
    pub(super) fn read(
        call: &Call,
        rule: &Rule,
        tx: Option<&'a TxInfo>,
        logs: impl Iterator<Item = &'a VerifiedLog>,
    ) -> Self {
        let mut called = Self::default();
        let mut of_emitter = BTreeMap::<Address, Vec<u32>>::new();
        let fits = |log: &&VerifiedLog| {
            log.topics.first() == Some(&rule.topic0) && log.topics.len() == rule.shape.topic_count()
        };
        for log in logs.filter(fits) {
            of_emitter.entry(log.address).or_default().push(log.log_index);
        }
        let calls = tx.ok_or_else(|| "the transaction is not known".to_owned()).and_then(calls_of);
        let mut items = BTreeMap::<Address, Result<Vec<Vec<Arg<'a>>>, String>>::new();
        for (target, input) in calls.iter().flatten() {
            let Some((function, input)) = named(call, input) else { continue };
            let of_target = items.entry(*target).or_insert_with(|| Ok(Vec::new()));
            if let Ok(list) = of_target {
                match function.items(input) {
                    Ok(more) => list.extend(more),
                    Err(reason) => *of_target = Err(reason),
                }
            }
        }
        for (emitter, indices) in of_emitter {
            let found = match (&calls, items.remove(&emitter)) {
                (Err(reason), _) => Err(reason.clone()),
                (Ok(_), None) => Err(format!(
                    "the transaction calls no listed function of {emitter:#x}: it was called from inside another \
                     contract, or by another function"
                )),
                (Ok(_), Some(found)) => found,
            };
            called.match_up(&indices, found);
        }
        called
    }

    fn match_up(&mut self, indices: &[u32], found: Result<Vec<Vec<Arg<'a>>>, String>) {
        let found = found.and_then(|found| {
            let (calls, logs) = (found.len(), indices.len());
            let reason = || format!("its listed calls make {calls} logs of this event, and it emitted {logs}");
            if calls == logs { Ok(found) } else { Err(reason()) }
        });
        match found {
            Ok(found) => self.found.extend(indices.iter().copied().zip(found)),
            Err(reason) => self.refused.extend(indices.iter().map(|index| (*index, reason.clone()))),
        }
    }
}

/// The listed function that calldata names, and its arguments' bytes.
fn named<'c, 'a>(call: &'c Call, input: &'a [u8]) -> Option<(&'c Function, &'a [u8])> {
    let (selector, rest) = input.split_at_checked(4)?;
    call.functions.iter().find(|one| one.selector == selector).map(|function| (function, rest))
}

/// Whom a transaction calls with what, in order.
fn calls_of(tx: &TxInfo) -> Result<Vec<(Address, &[u8])>, String> {
    let to = tx.to.ok_or("the transaction made a contract")?;
    if to != MULTICALL3 {
        return Ok(vec![(to, &tx.input)]);
    }
    let (given, rest) = tx.input.split_at_checked(4).ok_or("Multicall3 was called with no function")?;
    for (signature, may_fail) in AGGREGATES {
        let (selector, params) = function(signature)?;
        if selector != given {
            continue;
        }
        let args = Shape::tuple(&params)?.decode_call(rest)?;
        let Some(Arg::Many(calls)) = args.into_iter().next() else { return Ok(Vec::new()) };
        return calls.into_iter().map(|call| one_call(call, may_fail)).collect();
    }
    Err(format!("Multicall3 was called with another function than {}", AGGREGATES.map(|(name, _)| name).join(", ")))
}

fn one_call(call: Arg<'_>, may_fail: Option<usize>) -> Result<(Address, &[u8]), String> {
    let broken = || "a call of Multicall3 without a target".to_owned();
    let Arg::Many(parts) = call else { return Err(broken()) };
    if may_fail.is_some_and(|at| matches!(parts.get(at), Some(Arg::Word(word, Static::Bool)) if word[31] == 1)) {
        return Err("a call of Multicall3 was allowed to fail, so what it asked for may not have been done".to_owned());
    }
    match (parts.first(), parts.last()) {
        (Some(Arg::Word(target, Static::Address)), Some(Arg::Bytes(data))) => {
            Ok((Address::from_word((*target).into()), data))
        }
        _ => Err(broken()),
    }
}

impl Function {
    /// The values of every log that a call of it emits.
    fn items<'a>(&self, input: &'a [u8]) -> Result<Vec<Vec<Arg<'a>>>, String> {
        let args = self.shape.decode_call(input)?;
        let mut found = vec![At::default()];
        for level in 0..self.levels {
            let mut next = Vec::new();
            for at in found {
                let list = self.each.as_ref().map(|each| each.above(level));
                let list = list.and_then(|list| reach(&args, &list, at)?.length()).ok_or("no list")?;
                next.extend((0..list).map(|index| {
                    let mut at = at;
                    at.indices[level] = index;
                    at
                }));
            }
            found = next;
        }
        let values = |at: At| {
            let value = |place| reach(&args, place, at).map(Cow::into_owned).ok_or("a list is shorter than another");
            self.values.iter().map(value).collect()
        };
        found.into_iter().map(values).collect::<Result<_, &str>>().map_err(str::to_owned)
    }
}

/// The part of the arguments at a place.
pub(super) fn reach<'x, 'a>(args: &'x [Arg<'a>], place: &Place, at: At) -> Option<Cow<'x, Arg<'a>>> {
    place.steps.iter().try_fold(Cow::Borrowed(args.get(place.index)?), |arg, step| {
        let index = match *step {
            Step::Part(index) => index,
            Step::Each(level) => *at.indices.get(level)?,
        };
        match arg {
            Cow::Borrowed(Arg::Many(parts)) => parts.get(index).map(Cow::Borrowed),
            arg => arg.part(index).map(Cow::Owned),
        }
    })
}

/// Whether a call says what its log says, or what is said otherwise.
pub(super) fn agrees(call: &Call, rule: &Rule, source: &Source<'_>) -> Result<(), String> {
    for (place, expr) in &call.on {
        let log = Expr::Arg(place.clone());
        let of = |expr| Field { expr, source, at: &At::NOWHERE }.value();
        let same = of(&log).and_then(|said| said.same(&of(expr)?));
        if !same.map_err(|error| format!("what the call says cannot be compared: {error}"))? {
            let name = rule.shape.names().nth(place.index).unwrap_or_default();
            return Err(format!("the call and the log disagree about {name}"));
        }
    }
    Ok(())
}

/// The calls of a transaction by rule and generation.
pub(super) type Calls<'a> = BTreeMap<(std::sync::Arc<str>, B256), Called<'a>>;
