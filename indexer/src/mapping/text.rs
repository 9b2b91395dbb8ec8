//! A rule as it is written, and its compilation.

use alloy_json_abi::{Event as AbiEvent, JsonAbi};
use alloy_primitives::{Address, address, keccak256};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use tributary_schemas::Payload;

use super::call::CallText;
use super::family;
use super::join::JoinText;
use super::parse::{Scope, constant};
use super::problem::Fault;
use super::types::Type;
use super::word::unknown;
use super::{Constant, Contracts, Dedupe, Emitters, Expr, OF_TRANSACTIONS, OnExists, Revenue, Rule, TRANSACTION, Test};
use crate::decode::{Shape, Static, fields_of, kind_index};

/// Facts that are believed only from listed contracts (ruling 5): money, policy, producers, challenges, stakes,
/// slashes, penalties, quarantine, settlement and claims.
const AUTHORITY: &[&str] = &[
    "ProducerSet",
    "InferenceRecorded",
    "AttributionBatchCommitted",
    "BatchChallenged",
    "BatchResolved",
    "RevenueReceived",
    "RevenueRefunded",
    "PoolFunded",
    "RewardPolicySet",
    "PayoutAddressSet",
    "EntityPayoutSet",
    "SplitSet",
    "StakeChanged",
    "Slashed",
    "PenaltyScoreSet",
    "AccountQuarantined",
    "SuspenseReleased",
    "EpochSettled",
    "RewardClaimed",
];

/// Whether a kind is a fact of authority.
pub(crate) fn is_authority(kind: &str) -> bool {
    AUTHORITY.contains(&kind)
}

/// Facts that only this program makes.
const SYSTEM: &[&str] = &[
    "BatchDecoded",
    "BatchVoided",
    "BatchDeclaredMissing",
    "ManifestDecoded",
    "ManifestVoided",
    "MappingActivated",
    "Undecodable",
];

/// Whether only this program makes facts of a kind.
pub(super) fn is_system(kind: &str) -> bool {
    SYSTEM.contains(&kind)
}

/// Facts that make an entity: they are judged before the others of their transaction, and so cannot ask about any.
const REGISTRATIONS: &[&str] = &["DatasetRegistered", "ModelRegistered", "AgentRegistered", "MethodRegistered"];

/// Contracts that every OP Stack chain has.
const PREDEPLOYS: [(&str, Address); 3] = [
    ("predeploy.weth", address!("4200000000000000000000000000000000000006")),
    ("predeploy.schema_registry", address!("4200000000000000000000000000000000000020")),
    ("predeploy.eas", address!("4200000000000000000000000000000000000021")),
];

/// A rule as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleText {
    pub(super) name: String,
    emitter: toml::Value,
    event: OneOrMore,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    emit: Option<String>,
    #[serde(default)]
    authority: bool,
    /// Always said of an event of revenue, so what is said most need not be hashed.
    #[serde(default, skip_serializing_if = "is_recognised")]
    revenue: Option<Revenue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from_block: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to_block: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<String>,
    #[serde(default)]
    unless_zero: Vec<String>,
    #[serde(default, rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    conditions: BTreeMap<String, toml::Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    each: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    join: Option<JoinText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    call: Option<CallText>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dedupe_key: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_exists: Option<OnExists>,
    #[serde(default)]
    fields: BTreeMap<String, toml::Value>,
}

/// One word or several.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    pub(super) fn as_slice(&self) -> &[String] {
        match self {
            Self::One(word) => std::slice::from_ref(word),
            Self::More(words) => words,
        }
    }
}

/// Whether the hash covers it by the kind alone.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_recognised(revenue: &Option<Revenue>) -> bool {
    matches!(revenue, None | Some(Revenue::Recognise))
}

/// The events of the JSON ABIs that a file names.
pub(super) struct Abis {
    events: BTreeMap<String, Vec<String>>,
}

impl Abis {
    pub(super) fn read(names: &[String], files: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut events = BTreeMap::<String, Vec<String>>::new();
        for name in names {
            let text = files.get(name).ok_or_else(|| format!("abi {name:?} was not given: expected a JSON file"))?;
            // Build tools write the ABI inside an object with other things.
            let tree: serde_json::Value =
                serde_json::from_str(text).map_err(|error| format!("abi {name:?}: {error}"))?;
            let list = tree.get("abi").unwrap_or(&tree).clone();
            let abi: JsonAbi = serde_json::from_value(list).map_err(|error| format!("abi {name:?}: {error}"))?;
            for event in abi.events() {
                events.entry(event.name.clone()).or_default().push(super::skeleton::signature(event));
            }
        }
        Ok(Self { events })
    }

    /// The signatures of events, some of which are named; `None` when none is.
    pub(super) fn signatures(&self, events: &[String]) -> Result<Option<Vec<String>>, String> {
        if events.iter().all(|event| event.contains('(')) {
            return Ok(None);
        }
        let mut signatures = Vec::new();
        for event in events {
            if event.contains('(') {
                signatures.push(event.clone());
                continue;
            }
            let found = self.events.get(event);
            let found = found.ok_or_else(|| unknown("no event", event, self.events.keys().map(String::as_str)))?;
            signatures.extend(found.iter().cloned());
        }
        Ok(Some(signatures))
    }
}

impl RuleText {
    /// Puts signatures in the place of names.
    pub(super) fn resolve(&mut self, abis: &Abis) -> Result<(), String> {
        family::resolve(&mut self.emitter, abis)?;
        if self.event.as_slice() == [TRANSACTION] {
            return Ok(());
        }
        let Some(signatures) = abis.signatures(self.event.as_slice())? else { return Ok(()) };
        self.event = match <[String; 1]>::try_from(signatures) {
            Ok([one]) => OneOrMore::One(one),
            Err(more) => OneOrMore::More(more),
        };
        Ok(())
    }

    /// The rule, once for each generation of its event.
    pub(super) fn compile(&self, contracts: &Contracts) -> Result<Vec<Rule>, Fault> {
        let emitters = family::emitters_of(&self.emitter, contracts).map_err(|fault| fault.below("emitter"))?;
        let kind = self.kind(&emitters)?;
        let of_transactions = self.event.as_slice() == [TRANSACTION];
        if of_transactions {
            self.check_of_transactions(&emitters)?;
        }
        let mut events = Vec::new();
        for signature in self.event.as_slice() {
            // As an event without arguments.
            let signature = if of_transactions { "Transaction()" } else { signature };
            events.push(event(signature).map_err(|reason| Fault::at(&["event"], reason))?);
        }
        let names = |event: &AbiEvent| event.inputs.iter().map(|input| input.name.clone()).collect::<BTreeSet<_>>();
        let everywhere: BTreeSet<String> = events.iter().flat_map(names).collect();
        let rules = events.iter().map(|event| {
            let shape = Shape::event(event).map_err(|reason| Fault::at(&["event"], reason))?;
            let elsewhere = everywhere.difference(&names(event)).cloned().collect();
            let mut rule = Rule {
                name: self.name.as_str().into(),
                emitters: emitters.clone(),
                authority: self.authority,
                topic0: if of_transactions { OF_TRANSACTIONS } else { event.selector() },
                shape: shape.clone(),
                kind,
                revenue: self.revenue,
                fields: Vec::new(),
                unless_zero: Vec::new(),
                conditions: Vec::new(),
                each: Vec::new(),
                levels: 0,
                source: 0,
                blocks: self.from_block.unwrap_or(0)..=self.to_block.unwrap_or(u64::MAX),
                on_behalf_of: None,
                join: None,
                call: None,
                dedupe: self.dedupe(kind)?,
                late: false,
                reads_state: false,
            };
            let mut scope = Scope::of(&shape, elsewhere, contracts);
            let join = self.join.as_ref().map(|join| join.compile(&scope, contracts)).transpose()?;
            scope.joined = join.as_ref().map(|join| &join.shape);
            scope.joined_is_there = join.as_ref().is_some_and(|join| !join.optional);
            let calls =
                self.call.as_ref().map(|call| Ok::<_, Fault>((call, call.functions(contracts)?))).transpose()?;
            if let Some((text, (functions, values))) = &calls {
                (scope.call, scope.call_is_there) = (Some(values), true);
                let call = text.compile(functions.clone(), values, &scope)?;
                scope.call_is_there = !call.optional;
                rule.call = Some(call);
            }
            self.fill(&mut rule, &mut scope, contracts)?;
            Self::check_backing(&rule, join.is_some())?;
            rule.join = join;
            rule.reads_state = rule.has_state_read();
            Ok(rule)
        });
        rules.collect()
    }

    /// A rule for transactions has no log to say more of.
    fn check_of_transactions(&self, emitters: &Emitters) -> Result<(), Fault> {
        if *emitters == Emitters::Any {
            let reason = "any: expected contracts that are named, or every transaction of the chain would be meant";
            return Err(Fault::at(&["emitter"], reason));
        }
        let strange = [
            ("join", self.join.is_some()),
            ("call", self.call.is_some()),
            ("each", !self.each.is_empty()),
            ("unless_zero", !self.unless_zero.is_empty()),
            ("on_behalf_of", self.on_behalf_of.is_some()),
        ];
        match strange.iter().find(|(_, there)| *there) {
            Some((key, _)) => {
                Err(Fault::at(&[key], format!("{key}: expected none, as a rule for transactions has no log")))
            }
            None => Ok(()),
        }
    }

    /// Reads what names arguments.
    fn fill(&self, rule: &mut Rule, scope: &mut Scope<'_>, contracts: &Contracts) -> Result<(), Fault> {
        for name in &self.unless_zero {
            let found = rule.shape.argument(name);
            let missing = || Fault::at(&["unless_zero"], unknown("no argument", name, rule.shape.names()));
            rule.unless_zero.push(found.ok_or_else(missing)?.0);
        }
        scope.go_through(&self.each).map_err(|reason| Fault::at(&["each"], reason))?;
        (rule.each, rule.levels) = (scope.each.clone(), scope.levels);
        // What a call says comes after the question whether the log is meant.
        let there = std::mem::take(&mut scope.call_is_there);
        for (name, value) in &self.conditions {
            let condition = condition(scope, name, value, contracts);
            rule.conditions.push(condition.map_err(|reason| Fault::at(&["where", name], reason))?);
        }
        rule.on_behalf_of = self.behalf(scope)?;
        scope.call_is_there = there;
        rule.fields = match rule.kind {
            None => Vec::new(),
            Some(kind) => self.fields(kind, scope)?,
        };
        rule.late = rule.fields.iter().any(Expr::looks_up);
        let registers = self.emit.as_deref().is_some_and(|emit| REGISTRATIONS.contains(&emit));
        if rule.late && registers {
            return Err(Fault::at(&["fields"], "a registration cannot ask about what is registered"));
        }
        Ok(())
    }

    /// The fields by which a fact is known again.
    fn dedupe(&self, kind: Option<u32>) -> Result<Option<Dedupe>, Fault> {
        let kind = match (kind, self.dedupe_key.is_empty(), self.on_exists) {
            (_, true, None) => return Ok(None),
            (None, ..) => return Err(Fault::at(&["dedupe_key"], "the rule emits nothing that could be told twice")),
            (_, true, Some(_)) => return Err(Fault::at(&["on_exists"], "expected dedupe_key beside it")),
            (Some(kind), false, _) => kind,
        };
        let known = fields_of(kind)?;
        if let Some(name) = self.dedupe_key.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(Fault::at(&["dedupe_key"], unknown("no field", name, known.iter().copied())));
        }
        let kind = usize::try_from(kind).ok().and_then(|index| Payload::KINDS.get(index)).copied().unwrap_or_default();
        let on_exists = self.on_exists.unwrap_or_default();
        Ok(Some(Dedupe { kind, fields: self.dedupe_key.clone(), on_exists }))
    }

    /// Who says that a Transfer backs a payment must name it, or be one.
    fn check_backing(rule: &Rule, joins: bool) -> Result<(), Fault> {
        if joins && !rule.each.is_empty() {
            return Err(Fault::at(&["join"], "goes through lists too: one joined log cannot back several facts"));
        }
        let says = |said: &str| {
            let mut claims = |expr: &Expr| matches!(expr, Expr::Const(Constant::Text(word)) if word == said);
            rule.revenue.is_some() && rule.fields.iter().any(|expr| expr.any(&mut claims))
        };
        if says("value") && !rule.of_transactions() {
            let reason =
                "backing is \"value\": expected event = \"transaction\", as a transaction's value backs one payment";
            return Err(Fault::at(&["fields", "backing"], reason));
        }
        let claimed = says("transfer");
        if claimed && !joins && rule.topic0 != keccak256("Transfer(address,address,uint256)") {
            let reason = "backing is \"transfer\": expected [rule.join] with the Transfer";
            return Err(Fault::at(&["fields", "backing"], reason));
        }
        Ok(())
    }

    /// The contract that the fact is of, where that is not the emitter: one of a role, by a condition of the rule.
    fn behalf(&self, scope: &Scope<'_>) -> Result<Option<Expr>, Fault> {
        let Some(path) = &self.on_behalf_of else { return Ok(None) };
        let by_role = self.conditions.get(path).is_some_and(|value| value.get("role").is_some());
        if !by_role {
            let reason = format!("on_behalf_of {path:?}: expected a condition where.{path} = {{ role = … }} beside it");
            return Err(Fault::at(&["on_behalf_of"], reason));
        }
        let read = scope.read(&toml::Value::String(path.clone()));
        read.map(|(expr, _)| Some(expr)).map_err(|refusal| Fault::at(&["on_behalf_of"], refusal.reason))
    }

    fn fields(&self, kind: u32, scope: &Scope<'_>) -> Result<Vec<Expr>, Fault> {
        let known = fields_of(kind)?;
        if let Some(name) = self.fields.keys().find(|name| !known.contains(&name.as_str())) {
            let emit = self.emit.as_deref().unwrap_or_default();
            let reason = unknown(&format!("{emit} has no field"), name, known.iter().copied());
            return Err(Fault::at(&["fields", name], reason));
        }
        known
            .iter()
            .map(|field| {
                let Some(value) = self.fields.get(*field) else { return Ok(Expr::Nothing) };
                let read = scope.read(value).map(|(expr, _)| expr);
                read.map_err(|refusal| Fault::at(&["fields", field], format!("field {field:?}: {}", refusal.reason)))
            })
            .collect()
    }

    /// The kind that is made, when it may be said so.
    fn kind(&self, emitters: &Emitters) -> Result<Option<u32>, Fault> {
        let Some(emit) = self.emit.as_deref() else {
            if !matches!(self.revenue, Some(Revenue::Distribution | Revenue::Ignore)) || !self.fields.is_empty() {
                let reason = "emits nothing: expected emit, or revenue = \"distribution\" or \"ignore\" and no fields";
                return Err(Fault::at(&["name"], reason));
            }
            return Ok(None);
        };
        self.check_authority(emit, emitters)?;
        let expected = (emit == "RevenueReceived").then_some(Revenue::Recognise);
        if self.revenue != expected {
            let reason = match expected {
                Some(_) => {
                    "emits RevenueReceived: expected revenue = \"recognise\" (or no emit and \"distribution\" or \
                            \"ignore\", where another rule counts this money)"
                        .to_owned()
                }
                None => format!("emits {emit}, which is no revenue: expected no key revenue"),
            };
            return Err(Fault::at(&["revenue"], reason));
        }
        kind_index(emit).map(Some).map_err(|reason| Fault::at(&["emit"], reason))
    }

    fn check_authority(&self, kind: &str, emitters: &Emitters) -> Result<(), Fault> {
        if is_system(kind) {
            return Err(Fault::at(&["emit"], format!("{kind} is a system fact: no contract says it")));
        }
        let needed = is_authority(kind);
        if (needed || self.authority) && *emitters == Emitters::Any {
            let reason = format!("{kind} is a fact of authority: emitter \"any\" would let every stranger say it");
            return Err(Fault::at(&["emitter"], reason));
        }
        if needed && !self.authority {
            let reason = format!("{kind} is a fact of authority: expected authority = true");
            return Err(Fault::at(&["emit"], reason));
        }
        Ok(())
    }
}

pub(super) fn event(signature: &str) -> Result<AbiEvent, String> {
    let event = super::signature::event(signature)?;
    if event.anonymous {
        return Err(format!("event {signature:?} is anonymous: there is no topic to match"));
    }
    Ok(event)
}

/// Contracts by role, address or predeploy.
pub(super) fn emitters(words: &[String], contracts: &Contracts) -> Result<Emitters, String> {
    if words.len() == 1 && words.iter().any(|word| word == "any") {
        return Ok(Emitters::Any);
    }
    let mut listed = BTreeSet::new();
    for word in words {
        if let Some(addresses) = contracts.get(word) {
            listed.extend(addresses.iter().copied());
        } else if let Some((_, address)) = PREDEPLOYS.iter().find(|(name, _)| name == word) {
            listed.insert(*address);
        } else if word.starts_with("0x") {
            listed.insert(word.parse().map_err(|error| format!("emitter {word:?}: {error}"))?);
        } else {
            let known = contracts.keys().map(String::as_str).chain(PREDEPLOYS.map(|(name, _)| name));
            let what =
                "is no configured contract, no address and no predeploy; expected \"any\" or one of these: emitter";
            return Err(unknown(&format!("emitter {word:?} {what}"), word, known.chain(["any"])));
        }
    }
    Ok(Emitters::Listed(listed, words.iter().cloned().collect()))
}

/// The contracts of a role, when a value names one as `{ role = … }`.
pub(super) fn role_of(value: &toml::Value, contracts: &Contracts) -> Result<Option<Test>, String> {
    let role = value.as_table().filter(|table| table.len() == 1).and_then(|table| table.get("role"));
    let Some(role) = role else { return Ok(None) };
    let role = super::parse::text(role)?;
    let list = contracts.get(role);
    let list = list.ok_or_else(|| unknown("no role", role, contracts.keys().map(String::as_str)))?;
    Ok(Some(Test::OneOf(list.clone())))
}

/// A condition: a value that an argument has, or a role that it is of.
fn condition(
    scope: &Scope<'_>,
    name: &str,
    value: &toml::Value,
    contracts: &Contracts,
) -> Result<(Expr, Test), String> {
    let (expr, ty) = scope.read(&toml::Value::String(name.to_owned())).map_err(|refusal| refusal.reason)?;
    if let Some(test) = role_of(value, contracts)? {
        return match ty {
            Type::Word(Static::Address) => Ok((expr, test)),
            other => Err(format!("got {other}: expected an address")),
        };
    }
    let constant = constant(value).map_err(|reason| format!("{reason}, or {{ role = … }}"))?;
    let fits = match (&constant, &ty) {
        (Constant::Text(_), Type::Text) | (Constant::Bool(_), Type::Word(Static::Bool)) => true,
        (Constant::Number(_), ty) => ty.is_integer() || ty.is_id() || *ty == Type::Word(Static::Address),
        (Constant::Bytes(bytes), Type::Word(Static::Address)) => bytes.len() == 20,
        (Constant::Bytes(bytes), Type::Word(Static::Fixed(size))) => bytes.len() == *size,
        (Constant::Bytes(_), ty) => ty.is_bytes(),
        _ => false,
    };
    if fits { Ok((expr, Test::Is(constant))) } else { Err(format!("{value} is never equal to {ty}")) }
}
