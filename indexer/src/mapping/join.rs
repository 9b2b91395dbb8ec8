//! A log of the same transaction that a rule wants beside its own: a payment's Transfer.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::parse::Scope;
use super::problem::Fault;
use super::text::{OneOrMore, emitters, event, role_of};
use super::{Contracts, Emitters, Expr, Place, Test};
use crate::decode::Shape;

/// A join as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JoinText {
    event: String,
    emitter: OneOrMore,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
    on: BTreeMap<String, toml::Value>,
}

/// A log that a rule wants beside its own.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    pub(crate) topic0: B256,
    pub(crate) shape: Shape,
    pub(crate) emitters: Emitters,
    /// Whether the rule does without it.
    pub(crate) optional: bool,
    pub(crate) on: Vec<(Place, On)>,
}

/// What an argument of the joined log must be.
#[derive(Debug, Clone)]
pub(crate) enum On {
    /// What this comes to for the rule's own log.
    Same(Expr),
    /// A contract of a role.
    Is(Test),
}

impl JoinText {
    /// The join; `scope` has the arguments of the rule's own log.
    pub(super) fn compile(&self, scope: &Scope<'_>, contracts: &Contracts) -> Result<Join, Fault> {
        let at = |key: &'static str| move |reason: String| Fault::at(&["join", key], reason);
        let event = event(&self.event).map_err(at("event"))?;
        let shape = Shape::event(&event).map_err(at("event"))?;
        let emitters = emitters(self.emitter.as_slice(), contracts).map_err(at("emitter"))?;
        if emitters == Emitters::Any {
            let reason = "any: expected contracts that are named, or a stranger's log would back a payment";
            return Err(Fault::at(&["join", "emitter"], reason));
        }
        if self.on.is_empty() {
            return Err(Fault::at(&["join"], "on is empty: expected at least one argument and what it must be"));
        }
        let theirs = Scope::of(&shape, Default::default(), contracts);
        let on = self.on.iter().map(|(name, value)| {
            let wrong = |reason: String| Fault::at(&["join", "on", name], reason);
            let (place, _) = theirs.place(name).map_err(|refusal| wrong(refusal.reason))?;
            if let Some(test) = role_of(value, contracts).map_err(wrong)? {
                return Ok((place, On::Is(test)));
            }
            let (expr, _) = scope.read(value).map_err(|refusal| wrong(refusal.reason))?;
            Ok((place, On::Same(expr)))
        });
        let on = on.collect::<Result<_, Fault>>()?;
        Ok(Join { topic0: event.selector(), shape, emitters, optional: self.optional, on })
    }
}
