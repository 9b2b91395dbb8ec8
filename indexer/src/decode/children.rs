//! Children of factories: who announced whom, and since when.
//!
//! A child is heard in the whole transaction that announces it, so the announcements of a transaction are read before its
//! facts, those of factories before those of their children. Since when it is heard is part of the state, which reorgs take
//! back; what a factory announces again changes nothing.

use alloy_primitives::{Address, B256};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::abi::{Arg, Static};
use super::call::reach;
use super::eval::{At, BuildError};
use super::{Decoded, Decoder, Known};
use crate::mapping::{Emitters, Family, Mapping};
use crate::{VerifiedBlock, VerifiedLog};

/// A block and a transaction in it, by its index: since when a child is heard.
pub type Since = (u64, u32);

/// A contract that a factory announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Child {
    /// Of which family of the mapping.
    pub family: B256,
    /// The contract.
    pub address: Address,
}

/// What is known, and children that were announced since.
pub(super) struct Grown<'a> {
    known: &'a dyn Known,
    found: BTreeMap<Child, Since>,
}

impl<'a> Grown<'a> {
    pub(super) const fn of(known: &'a dyn Known) -> Self {
        Self { known, found: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, children: impl IntoIterator<Item = Child>, since: Since) {
        self.found.extend(children.into_iter().map(|child| (child, since)));
    }
}

impl Known for Grown<'_> {
    fn owner(&self, entity: B256) -> Option<Address> {
        self.known.owner(entity)
    }
    fn latest_version(&self, entity: B256) -> Option<B256> {
        self.known.latest_version(entity)
    }
    fn child_since(&self, child: Child) -> Option<Since> {
        self.found.get(&child).copied().or_else(|| self.known.child_since(child))
    }
    fn children(&self, family: B256) -> u64 {
        let found = self.found.keys().filter(|child| child.family == family).count();
        self.known.children(family).saturating_add(u64::try_from(found).unwrap_or(u64::MAX))
    }
}

impl Emitters {
    /// Whether the word of `address` is taken at a place of the chain.
    pub(super) fn hear(&self, address: &Address, at: Since, known: &dyn Known) -> bool {
        match self {
            Self::Children(family) => {
                let child = Child { family: family.id, address: *address };
                known.child_since(child).is_some_and(|since| since <= at)
            }
            named => named.accept(address),
        }
    }
}

/// Whether a log may announce a child of any family.
pub(super) fn announces(mapping: &Mapping, block_number: u64, log: &VerifiedLog, known: &dyn Known) -> bool {
    mapping.families().iter().any(|(_, family)| {
        family.announcement(&log.topics).is_some()
            && family.factories.hear(&log.address, (block_number, log.tx_index), known)
    })
}

/// What a log announces to a family; none when it announces nothing, or one that the set names.
fn announced(mapping: &Mapping, family: &Family, log: &VerifiedLog) -> Result<Option<Child>, String> {
    let Some(announcement) = family.announcement(&log.topics) else { return Ok(None) };
    let args = announcement.shape.decode(&log.topics, &log.data)?;
    let address = match reach(&args, &announcement.child, At::default()).as_deref() {
        Some(Arg::Word(word, Static::Address)) => Address::from_word((*word).into()),
        _ => return Err("the announcement has no child".to_owned()),
    };
    let is_one = !address.is_zero() && !mapping.names(&address);
    Ok(is_one.then_some(Child { family: family.id, address }))
}

/// Every child that the logs of a block announce, with the transaction, in order.
#[must_use]
pub fn children_of(mapping: &Mapping, block: &VerifiedBlock, known: &dyn Known) -> Vec<(Child, Since)> {
    let mut grown = Grown::of(known);
    let mut out = Vec::new();
    let mut decoder = Decoder::new(mapping, block);
    for tx_index in decoder.transactions() {
        let since = (block.block.number, tx_index);
        let children = decoder.announced(tx_index, &grown);
        out.extend(children.iter().map(|child| (*child, since)));
        grown.add(children, since);
    }
    out
}

impl Decoder<'_> {
    /// The children that a transaction announces and that were not known; before the two steps, which tell the
    /// announcements that are refused.
    pub fn announced(&mut self, tx_index: u32, known: &dyn Known) -> Vec<Child> {
        self.unannounced.clear();
        let mapping = self.mapping;
        let since = (self.block.block.number, tx_index);
        let mut out = Vec::new();
        let mut grown = Grown::of(known);
        for (label, family) in mapping.families() {
            let mut count = grown.children(family.id);
            for log in self.logs(tx_index) {
                if !family.factories.hear(&log.address, since, &grown) {
                    continue;
                }
                let child = match announced(mapping, family, log) {
                    Ok(None) => continue,
                    Ok(Some(child)) if grown.child_since(child).is_some() => continue,
                    Ok(Some(child)) if count < family.children_max => child,
                    Ok(Some(child)) => {
                        let most = family.children_max;
                        let reason = format!("{:#x} is one too many: at most {most} children are heard", child.address);
                        self.refuse(label, log, BuildError::Range(reason));
                        continue;
                    }
                    Err(reason) => {
                        self.refuse(label, log, BuildError::Shape(reason));
                        continue;
                    }
                };
                count = count.saturating_add(1);
                grown.add([child], since);
                out.push(child);
            }
        }
        out
    }

    fn refuse(&mut self, label: &Arc<str>, log: &VerifiedLog, error: BuildError) {
        let fact = Decoded::undecodable(self.block.block.number, log, label, error);
        self.unannounced.entry(log.log_index).or_default().push(fact);
    }

    /// Appends the announcements of a log that were refused, after what its rules made of it.
    pub(super) fn tell_refused(&mut self, log: &VerifiedLog, yielded: usize, out: &mut Vec<Decoded>) {
        let refused = self.unannounced.remove(&log.log_index).unwrap_or_default();
        for (sub_index, mut fact) in (yielded..).zip(refused) {
            fact.position.sub_index = u32::try_from(sub_index).unwrap_or(u32::MAX);
            out.push(fact);
        }
    }
}
