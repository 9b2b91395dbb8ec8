//! Contracts that a factory names in its events: emitters that nobody knows beforehand.

use alloy_primitives::{Address, B256, Keccak256};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::sync::Arc;
use toml::{Table, Value};

use super::parse::{Scope, required};
use super::problem::Fault;
use super::text::{Abis, emitters, event};
use super::word::unknown;
use super::{Contracts, Emitters, Place, Rule};
use crate::decode::{Kind, Shape, Static};

/// Deepest nesting: a factory, one that it made, and one that that made.
const LEVELS_MAX: usize = 3;
/// Most children of a family that does not say how many.
const CHILDREN: u64 = 100_000;
/// Most children that a family may say: each takes some hundred bytes of the state.
pub(super) const CHILDREN_MAX: u64 = 10_000_000;
/// The keys of a family.
const KEYS: [&str; 4] = ["factory", "event", "child", "children_max"];

/// The children of factories.
#[derive(Debug, Clone)]
pub(crate) struct Family {
    /// What it is known by in the state: the hash of everything below.
    pub(crate) id: B256,
    /// The factories: contracts that are named, or a family.
    pub(crate) factories: Emitters,
    /// The generations of the event that names a child.
    pub(crate) announcements: Vec<Announcement>,
    /// Most children that are heard.
    pub(crate) children_max: u64,
}

/// An event of a factory, and where it names a child.
#[derive(Debug, Clone)]
pub(crate) struct Announcement {
    pub(crate) topic0: B256,
    pub(crate) shape: Shape,
    pub(crate) child: Place,
}

impl PartialEq for Family {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}
impl Eq for Family {}

/// The emitters of a rule as they are written: a word, several, or a table that names a factory.
pub(super) fn emitters_of(value: &Value, contracts: &Contracts) -> Result<Emitters, Fault> {
    read(value, contracts, 0)
}

fn read(value: &Value, contracts: &Contracts, level: usize) -> Result<Emitters, Fault> {
    match value {
        Value::String(word) => Ok(emitters(std::slice::from_ref(word), contracts)?),
        Value::Array(_) => Ok(emitters(&typed::<Vec<String>>(value, "names of contracts")?, contracts)?),
        Value::Table(table) => {
            Family::read(table, contracts, level + 1).map(|family| Emitters::Children(Arc::new(family)))
        }
        other => Err(Fault::at(&[], format!("got {other}: expected contracts, or a table that names a factory"))),
    }
}

/// Puts signatures in the place of the names of events.
pub(super) fn resolve(emitter: &mut Value, abis: &Abis) -> Result<(), String> {
    let Value::Table(table) = emitter else { return Ok(()) };
    if let Some(event) = table.get_mut("event") {
        // What is neither is told when it is compiled.
        let names = typed::<Vec<String>>(event, "").or_else(|_| typed::<String>(event, "").map(|name| vec![name]));
        if let Ok(names) = names
            && let Some(signatures) = abis.signatures(&names)?
        {
            *event = signatures.into();
        }
    }
    table.get_mut("factory").map_or(Ok(()), |factory| resolve(factory, abis))
}

impl Family {
    fn read(table: &Table, contracts: &Contracts, level: usize) -> Result<Self, Fault> {
        if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(Fault::at(&[key], unknown("a factory has no key", key, KEYS)));
        }
        if level > LEVELS_MAX {
            return Err(Fault::at(&[], format!("factories of factories: expected at most {LEVELS_MAX} levels")));
        }
        let of = |key: &'static str| required(table, key).map_err(|reason| Fault::at(&[], reason));
        let factories = read(of("factory")?, contracts, level).map_err(|fault| fault.below("factory"))?;
        if factories == Emitters::Any {
            let reason = "factory \"any\": expected contracts that are named, or every stranger could name emitters";
            return Err(Fault::at(&["factory"], reason));
        }
        let events = match of("event")? {
            Value::String(one) => vec![one.clone()],
            several => typed(several, "the signature of an event").map_err(|fault| fault.below("event"))?,
        };
        if events.is_empty() {
            return Err(Fault::at(&["event"], "expected at least one event"));
        }
        let child: String = typed(of("child")?, "the name of an argument").map_err(|fault| fault.below("child"))?;
        let announcements = events.iter().map(|event| Announcement::read(event, &child, contracts));
        let announcements = announcements.collect::<Result<Vec<_>, _>>()?;
        let children_max = match table.get("children_max") {
            None => CHILDREN,
            Some(most) => typed(most, "a number from zero").map_err(|fault| fault.below("children_max"))?,
        };
        if children_max > CHILDREN_MAX {
            let reason = format!("children_max {children_max}: expected at most {CHILDREN_MAX}");
            return Err(Fault::at(&["children_max"], reason));
        }
        let id = identity(&factories, &announcements, children_max);
        Ok(Self { id, factories, announcements, children_max })
    }

    /// The announcement that a log of this first topic with so many topics is.
    pub(crate) fn announcement(&self, topics: &[B256]) -> Option<&Announcement> {
        let is = |one: &&Announcement| Some(&one.topic0) == topics.first() && one.shape.topic_count() == topics.len();
        self.announcements.iter().find(is)
    }
}

impl Announcement {
    fn read(signature: &str, child: &str, contracts: &Contracts) -> Result<Self, Fault> {
        let event = event(signature).map_err(|reason| Fault::at(&["event"], reason))?;
        let shape = Shape::event(&event).map_err(|reason| Fault::at(&["event"], reason))?;
        let scope = Scope::of(&shape, BTreeSet::new(), contracts);
        let (child, kind) = scope.place(child).map_err(|refusal| Fault::at(&["child"], refusal.reason))?;
        if kind != Kind::Static(Static::Address) {
            return Err(Fault::at(&["child"], format!("the child is {kind}: expected an address")));
        }
        Ok(Self { topic0: event.selector(), shape, child })
    }
}

/// keccak256 of the factories, the events, where they name the child, and how many there may be.
fn identity(factories: &Emitters, announcements: &[Announcement], children_max: u64) -> B256 {
    let mut hasher = Keccak256::new();
    match factories {
        Emitters::Any => {}
        Emitters::Listed(list, _) => list.iter().for_each(|one| hasher.update(one)),
        Emitters::Children(family) => hasher.update(family.id),
    }
    for one in announcements {
        hasher.update(one.topic0);
        hasher.update([u8::try_from(one.shape.topic_count()).unwrap_or(u8::MAX)]);
        hasher.update(format!("{:?}", one.child));
    }
    hasher.update(children_max.to_be_bytes());
    hasher.finalize()
}

fn typed<T: DeserializeOwned>(value: &Value, expected: &str) -> Result<T, Fault> {
    value.clone().try_into().map_err(|_wrong| Fault::at(&[], format!("got {value}: expected {expected}")))
}

/// The families of some rules, each once with what its refusals are filed under, factories before their children.
pub(super) fn all_of(rules: &[Rule]) -> Vec<(Arc<str>, Arc<Family>)> {
    let mut found = Vec::new();
    for rule in rules {
        add(&mut found, format!("{}: factory", rule.name), &rule.emitters);
    }
    found
}

fn add(found: &mut Vec<(Arc<str>, Arc<Family>)>, label: String, emitters: &Emitters) {
    let Emitters::Children(family) = emitters else { return };
    if found.iter().any(|(_, known)| known == family) {
        return;
    }
    add(found, format!("{label}: factory"), &family.factories);
    found.push((label.into(), Arc::clone(family)));
}

/// The contracts that a set names: what a factory says of them makes them no children, so that whose word counts by name
/// counts by its name alone.
pub(super) fn named(rules: &[Rule], contracts: &Contracts) -> BTreeSet<Address> {
    let mut named: BTreeSet<Address> = contracts.values().flatten().copied().collect();
    let joined = rules.iter().filter_map(|rule| rule.join.as_ref()).map(|join| &join.emitters);
    for mut emitters in rules.iter().map(|rule| &rule.emitters).chain(joined) {
        while let Emitters::Children(family) = emitters {
            emitters = &family.factories;
        }
        if let Emitters::Listed(list, _) = emitters {
            named.extend(list);
        }
    }
    named
}
