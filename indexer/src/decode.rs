//! From verified logs to facts, by the rules of a mapping. Nothing here can fail: what does not decode is a fact too.
//!
//! A block is decoded one transaction at a time, in two steps: rules that ask about entities come after the transaction's
//! registrations were folded, so that they see them.

mod abi;
mod build;
mod call;
mod children;
mod compare;
mod eval;
mod fixture;
mod join;
mod make;
mod native;
mod probe;
mod prove;
mod sample;
mod state;
mod stored;
mod trace;

use alloy_primitives::{Address, B256, Keccak256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tributary_schemas::code::Reason;
use tributary_schemas::{Payload, Position};

use crate::mapping::{Call, Mapping, Revenue, Rule, Step};
use crate::reads::StateCall;
use crate::{VerifiedBlock, VerifiedLog};
use abi::Arg;
pub(crate) use abi::{Kind, Shape, Static};
use build::build;
use call::{Called, Calls};
pub use children::{Child, Since, children_of};
use children::{Grown, announces};
pub use compare::{Difference, Side, compare};
use eval::{At, BuildError, Field, Joined, Source};
pub use fixture::fixture;
use join::Spent;
pub(crate) use probe::{fields_of, kind_index};
pub(crate) use prove::prove_rule;
pub(crate) use state::Asked;
use state::Reading;
pub use stored::{beyond_stored, block_ref, of_factories, stored};
pub use trace::{Trace, trace_block};

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

/// What rules may ask of the state before a log.
pub trait Known {
    /// Who owns an entity.
    fn owner(&self, entity: B256) -> Option<Address>;
    /// The id of an entity's last version.
    fn latest_version(&self, entity: B256) -> Option<B256>;
    /// Since when a child of a factory is heard.
    fn child_since(&self, child: Child) -> Option<Since>;
    /// How many children a family has.
    fn children(&self, family: B256) -> u64;
}

/// A state without entities, in which no factory announced anybody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unknown;

impl Known for Unknown {
    fn owner(&self, _: B256) -> Option<Address> {
        None
    }
    fn latest_version(&self, _: B256) -> Option<B256> {
        None
    }
    fn child_since(&self, _: Child) -> Option<Since> {
        None
    }
    fn children(&self, _: B256) -> u64 {
        0
    }
}

/// Everything the rules make of a block's logs, in the order of positions.
#[must_use]
pub fn decode_block(mapping: &Mapping, block: &VerifiedBlock, known: &dyn Known) -> Vec<Decoded> {
    decode_onto(mapping, block, &mut Grown::of(known))
}

/// The calls by which rules ask the state of contracts at the end of a block, and that are not answered beside it. With
/// their answers there may be others.
#[must_use]
pub fn unread(mapping: &Mapping, block: &VerifiedBlock) -> BTreeSet<StateCall> {
    decode_all(mapping, block, &mut Grown::of(&Unknown)).1.unread
}

/// The same as [`decode_block`], with the children that are announced on the way.
fn decode_onto(mapping: &Mapping, block: &VerifiedBlock, grown: &mut Grown<'_>) -> Vec<Decoded> {
    decode_all(mapping, block, grown).0
}

fn decode_all(mapping: &Mapping, block: &VerifiedBlock, grown: &mut Grown<'_>) -> (Vec<Decoded>, Asked) {
    let mut out = Vec::new();
    let mut decoder = Decoder::new(mapping, block);
    for tx_index in decoder.transactions() {
        let first = out.len();
        let children = decoder.announced(tx_index, grown);
        grown.add(children, (block.block.number, tx_index));
        decoder.first(tx_index, grown, &mut out);
        decoder.second(tx_index, grown, &mut out);
        out[first..].sort_by_key(|one| one.position);
    }
    (out, decoder.into_asked())
}

/// Whether any rule is about this log, or it announces whom one is about. `known` has the children of the block.
#[must_use]
pub fn is_watched(mapping: &Mapping, block_number: u64, log: &VerifiedLog, known: &dyn Known) -> bool {
    candidates(mapping, block_number, log, known).any(|one| one.rule.keeps_log())
        || announces(mapping, block_number, log, known)
}

/// Decodes a block, transaction by transaction.
#[derive(Debug)]
pub struct Decoder<'a> {
    mapping: &'a Mapping,
    block: &'a VerifiedBlock,
    /// Facts that each log of the transaction has yielded, where there are rules for it in the second step.
    yielded: BTreeMap<u32, (usize, Option<Decoded>)>,
    /// Logs of the transaction that back a payment.
    spent: Spent,
    /// What the calls of the transaction say.
    calls: Calls<'a>,
    /// Facts that the transaction has yielded by the value it carried.
    valued: u32,
    /// Announcements of the transaction that are refused, by the index of their log.
    unannounced: BTreeMap<u32, Vec<Decoded>>,
    /// Where the arguments of a log are put together.
    args: Vec<Arg<'a>>,
    /// What it asks of contracts.
    reading: Reading<'a>,
}

impl<'a> Decoder<'a> {
    /// A decoder at the beginning of a block.
    #[must_use]
    pub const fn new(mapping: &'a Mapping, block: &'a VerifiedBlock) -> Self {
        Self {
            mapping,
            block,
            yielded: BTreeMap::new(),
            spent: Spent::new(),
            calls: Calls::new(),
            valued: 0,
            unannounced: BTreeMap::new(),
            args: Vec::new(),
            reading: Reading::of(&block.reads),
        }
    }

    /// What the block was asked of the state of contracts.
    pub(crate) fn into_asked(self) -> Asked {
        self.reading.into_asked()
    }

    /// The transactions that have logs, or carry value to whom a rule is for.
    #[must_use]
    pub fn transactions(&self) -> BTreeSet<u32> {
        let with_logs = self.block.logs.chunk_by(|one, next| one.tx_index == next.tx_index);
        with_logs.flat_map(<[_]>::first).map(|log| log.tx_index).chain(self.with_value()).collect()
    }

    /// Appends what the rules that ask nothing make of a transaction.
    pub fn first(&mut self, tx_index: u32, known: &dyn Known, out: &mut Vec<Decoded>) {
        self.yielded.clear();
        self.spent.clear();
        self.calls.clear();
        self.valued = 0;
        for log in self.logs(tx_index) {
            let (mapping, number) = (self.mapping, self.block.block.number);
            let rules = || candidates(mapping, number, log, known);
            let first = out.len();
            let broken = self.read_log(log, rules().filter(|one| !one.rule.late), 0, known, out);
            if broken.is_none() || out.len() > first {
                self.tell_refused(log, out.len() - first, out);
            }
            let broken = if out.len() == first { broken } else { None };
            if mapping.asks_about_entities() && rules().any(|one| one.rule.late) {
                self.yielded.insert(log.log_index, (out.len() - first, broken));
            } else {
                out.extend(broken);
            }
        }
        self.of_value(tx_index, false, known, out);
    }

    /// Appends what the rules that ask about entities make of the transaction that the first step was about.
    pub fn second(&mut self, tx_index: u32, known: &dyn Known, out: &mut Vec<Decoded>) {
        let yielded = std::mem::take(&mut self.yielded);
        self.of_value(tx_index, true, known, out);
        if yielded.is_empty() {
            return;
        }
        for log in self.logs(tx_index) {
            let Some((count, broken)) = yielded.get(&log.log_index) else { continue };
            let late = candidates(self.mapping, self.block.block.number, log, known).filter(|one| one.rule.late);
            let first = out.len();
            let later = self.read_log(log, late, *count, known, out);
            if *count == 0 && out.len() == first {
                out.extend(broken.clone().or(later));
            }
        }
    }

    fn logs(&self, tx_index: u32) -> impl Iterator<Item = &'a VerifiedLog> + use<'a> {
        Self::logs_of(self.block, tx_index)
    }

    fn logs_of(block: &'a VerifiedBlock, tx_index: u32) -> impl Iterator<Item = &'a VerifiedLog> + use<'a> {
        let logs = &block.logs;
        let start = logs.partition_point(|log| log.tx_index < tx_index);
        logs[start..].iter().take_while(move |log| log.tx_index == tx_index)
    }

    /// Appends what rules make of a log, in their order; what to say of it when none fits.
    fn read_log<'r>(
        &mut self,
        log: &'a VerifiedLog,
        rules: impl Iterator<Item = Candidate<'r>>,
        yielded: usize,
        known: &dyn Known,
        out: &mut Vec<Decoded>,
    ) -> Option<Decoded> {
        let (first, number) = (out.len(), self.block.block.number);
        let mut broken: Option<(&Rule, BuildError)> = None;
        let mut args = std::mem::take(&mut self.args);
        for one in rules {
            let before = out.len();
            let mut tell = |payload, speaker| {
                // What a stranger says is of the stranger, whatever it names.
                let emitter = if one.believed { speaker } else { log.address };
                let refused = (!one.believed).then(|| (Reason::Unauthorized, unlisted(log)));
                let position = log.position(number, yielded + out.len() - first);
                out.push(Decoded { position, emitter, rule: Arc::clone(&one.rule.name), payload, refused });
            };
            if let Err(error) = self.read(one, log, known, &mut args, &mut tell) {
                // Another rule of the same topic may have other indexed marks and fit.
                out.truncate(before);
                broken = broken.or(Some((one.rule, error)));
            }
        }
        self.args = args;
        broken.map(|(rule, error)| Decoded::undecodable(number, log, &rule.name, error))
    }

    /// Tells the facts, or none when an argument says that the log is not meant, or no log is there to join. What was told
    /// before an error does not hold.
    fn read(
        &mut self,
        Candidate { rule, believed }: Candidate<'_>,
        log: &'a VerifiedLog,
        known: &dyn Known,
        args: &mut Vec<Arg<'a>>,
        tell: &mut dyn FnMut(Payload, Address),
    ) -> Result<(), BuildError> {
        let Some(kind) = rule.kind else { return Ok(()) };
        rule.shape.decode_into(&log.topics, &log.data, args).map_err(BuildError::Shape)?;
        if rule.unless_zero.iter().any(|index| args.get(*index).is_some_and(Arg::is_zero)) {
            return Ok(());
        }
        // Nodes are not asked because of what a stranger says with authority's words.
        if rule.authority && rule.reads_state && !believed {
            return Err(BuildError::Stranger(unlisted(log)));
        }
        let tx = usize::try_from(log.tx_index).ok().and_then(|index| self.block.transactions.get(index));
        let called = rule.call.as_ref().map(|call| {
            let read = || Called::read(call, rule, tx, Self::logs_of(self.block, log.tx_index));
            let of_rule = self.calls.entry((Arc::clone(&rule.name), rule.topic0)).or_insert_with(read);
            (call, of_rule.of(log.log_index))
        });
        self.reading.begin();
        let disagreement;
        let mut source = Source {
            chain_id: self.mapping.chain_id(),
            emitter: log.address,
            block: &self.block.block,
            tx,
            log: Some(log),
            args,
            call: called.map_or(Err("the rule has no call"), |(_, called)| called),
            joined: None,
            known,
            reading: &self.reading,
            sample: None,
            work: &Source::allowance(log.data.len() + tx.map_or(0, |tx| tx.input.len())),
        };
        if let Some((call, Ok(_))) = called
            && let Err(reason) = call::agrees(call, rule, &source)
        {
            disagreement = reason;
            source.call = Err(&disagreement);
        }
        let found = match &rule.join {
            None => None,
            Some(join) => join::find(join, Decoder::logs_of(self.block, log.tx_index), &self.spent, &source)?,
        };
        if found.is_none() && rule.join.as_ref().is_some_and(|join| !join.optional) {
            return Ok(());
        }
        source.joined = found.as_ref().map(|(log, args)| Joined { log, args });
        let counts = rule.revenue == Some(Revenue::Recognise) && believed;
        let backing = found.as_ref().map_or(log.log_index, |(log, _)| log.log_index);
        if counts && self.spent.contains(&backing) {
            return Err(BuildError::Spent(format!("log {backing} backs another payment of this transaction")));
        }
        let told = rule.facts(kind, &source, tell)?;
        if counts && told > 0 {
            self.spent.insert(backing);
        }
        Ok(())
    }
}

fn unlisted(log: &VerifiedLog) -> String {
    format!("{:#x} is not among the contracts of the rule", log.address)
}

/// A rule that may be for a log.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    rule: &'a Rule,
    /// Whether the log's emitter is one of the rule's: no stranger to it.
    believed: bool,
}

/// The rules whose topic, number of topics and blocks fit, from an emitter that is listened to. A stranger who speaks with
/// authority's words is heard, to be refused; a stranger with any other words is none of ours. Who is a stranger to one
/// rule and believed by another for the same kind is no stranger.
fn candidates<'a>(
    mapping: &'a Mapping,
    block_number: u64,
    log: &'a VerifiedLog,
    known: &'a dyn Known,
) -> impl Iterator<Item = Candidate<'a>> {
    let fitting = move || {
        let rules = log.topics.first().into_iter().flat_map(|topic0| mapping.rules_for(topic0));
        rules
            .filter(|rule| rule.shape.topic_count() == log.topics.len())
            .filter(move |rule| rule.blocks.contains(&block_number))
    };
    let believes = move |rule: &Rule| rule.emitters.hear(&log.address, (block_number, log.tx_index), known);
    fitting().filter_map(move |rule| {
        let believed = believes(rule);
        let heard = believed || (rule.authority && !fitting().any(|other| other.kind == rule.kind && believes(other)));
        heard.then_some(Candidate { rule, believed })
    })
}

impl Rule {
    /// Tells a fact for each element that the rule goes through, or one, where its conditions hold, and of what contract it
    /// is; how many.
    fn facts(
        &self,
        kind: u32,
        source: &Source<'_>,
        tell: &mut dyn FnMut(Payload, Address),
    ) -> Result<usize, BuildError> {
        if self.levels == 0 {
            return self.fact(kind, source, &At::NOWHERE, tell);
        }
        self.elements(source)?.iter().try_fold(0, |told, at| Ok(told + self.fact(kind, source, at, tell)?))
    }

    fn fact(
        &self,
        kind: u32,
        source: &Source<'_>,
        at: &At,
        tell: &mut dyn FnMut(Payload, Address),
    ) -> Result<usize, BuildError> {
        for (expr, test) in &self.conditions {
            if !source.passes(expr, test, at)? {
                return Ok(0);
            }
        }
        if let (Some(Call { optional: false, .. }), Err(reason)) = (&self.call, source.call) {
            return Err(BuildError::Shape(reason.to_owned()));
        }
        match &self.on_behalf_of {
            None => tell(build(kind, &self.fields, source, at)?, source.emitter),
            Some(expr) => {
                let emitter = (Field { expr, source, at }).address()?;
                tell(build(kind, &self.fields, &Source { emitter, ..*source }, at)?, emitter);
            }
        }
        Ok(1)
    }

    /// The elements that the rule goes through, in order.
    fn elements(&self, source: &Source<'_>) -> Result<Vec<At>, BuildError> {
        let mut found = vec![At { levels: self.levels, ..At::default() }];
        for level in 0..self.levels {
            let lists: Vec<_> = self.each.iter().map(|place| place.above(level)).collect();
            let mut next = Vec::new();
            for at in found {
                for index in 0..source.zipped(&lists, &at)? {
                    source.charge(0)?;
                    let mut at = at;
                    at.indices[level] = index;
                    at.ordinal = next.len();
                    next.push(at);
                }
            }
            found = next;
        }
        Ok(found)
    }
}

impl crate::mapping::Place {
    /// The list that is gone through at a level.
    fn above(&self, level: usize) -> Self {
        let end = self.steps.iter().position(|step| *step == Step::Each(level)).unwrap_or(self.steps.len());
        Self { steps: self.steps[..end].to_vec(), ..self.clone() }
    }
}

impl VerifiedLog {
    /// Where a fact of it stands, of those of a block of this number.
    fn position(&self, block_number: u64, sub_index: usize) -> Position {
        Position {
            block_number,
            tx_index: self.tx_index,
            log_index: self.log_index,
            sub_index: u32::try_from(sub_index).unwrap_or(u32::MAX),
        }
    }

    fn content_hash(&self) -> B256 {
        let mut hasher = Keccak256::new();
        for topic in self.topics.iter() {
            hasher.update(topic);
        }
        hasher.update(&self.data);
        hasher.finalize()
    }
}

impl Decoded {
    /// What is told of a log of a block of this number that a rule, or a factory, could not read.
    fn undecodable(block_number: u64, log: &VerifiedLog, rule: &Arc<str>, error: BuildError) -> Self {
        let payload = Payload::Undecodable { rule: rule.to_string(), content_hash: log.content_hash() };
        let (position, rule) = (log.position(block_number, 0), Arc::clone(rule));
        Self { position, emitter: log.address, rule, payload, refused: Some(error.refusal()) }
    }
}

#[cfg(test)]
mod tests;
