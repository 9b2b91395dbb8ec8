//! A rule as it is written, and its compilation.

use alloy_json_abi::Event as AbiEvent;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use super::{Contracts, Emitters, Expr, Rule};
use crate::decode::{EventShape, fields_of, kind_index};

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

/// A rule as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleText {
    pub(super) name: String,
    emitter: EmitterText,
    event: String,
    emit: String,
    #[serde(default)]
    authority: bool,
    #[serde(default)]
    unless_zero: Vec<String>,
    #[serde(default)]
    fields: BTreeMap<String, toml::Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum EmitterText {
    One(String),
    Several(Vec<String>),
}

impl RuleText {
    pub(super) fn compile(&self, contracts: &Contracts) -> Result<Rule, String> {
        let emitters = self.emitters(contracts)?;
        self.check_authority(&emitters)?;
        let event = AbiEvent::parse(&self.event).map_err(|error| format!("event {:?}: {error}", self.event))?;
        if event.anonymous {
            return Err(format!("event {:?} is anonymous: there is no topic to match", self.event));
        }
        let shape = EventShape::new(&event)?;
        let names: Vec<&str> = event.inputs.iter().map(|input| input.name.as_str()).collect();
        let unless_zero =
            self.unless_zero.iter().map(|name| position(&names, name)).collect::<Result<Vec<_>, String>>()?;
        let kind = kind_index(&self.emit)?;
        Ok(Rule {
            name: self.name.as_str().into(),
            emitters,
            authority: self.authority,
            topic0: event.selector(),
            shape,
            kind,
            fields: self.fields(kind, &names)?,
            unless_zero,
        })
    }

    fn fields(&self, kind: u32, names: &[&str]) -> Result<Vec<Expr>, String> {
        let known = fields_of(kind)?;
        if let Some(unknown) = self.fields.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(format!("{} has no field {unknown:?}: expected one of {}", self.emit, known.join(", ")));
        }
        known
            .iter()
            .map(|field| {
                let Some(value) = self.fields.get(*field) else { return Ok(Expr::Nothing) };
                Expr::parse(value, names).map_err(|reason| format!("field {field:?}: {reason}"))
            })
            .collect()
    }

    fn emitters(&self, contracts: &Contracts) -> Result<Emitters, String> {
        let roles = match &self.emitter {
            EmitterText::One(word) if word == "any" => return Ok(Emitters::Any),
            EmitterText::One(role) => std::slice::from_ref(role),
            EmitterText::Several(roles) => roles.as_slice(),
        };
        let mut listed = BTreeSet::new();
        for role in roles {
            let Some(addresses) = contracts.get(role) else {
                let known = contracts.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                return Err(format!("emitter {role:?} is no configured contract: expected \"any\" or one of {known}"));
            };
            listed.extend(addresses.iter().copied());
        }
        Ok(Emitters::Listed(listed))
    }

    fn check_authority(&self, emitters: &Emitters) -> Result<(), String> {
        let kind = self.emit.as_str();
        if SYSTEM.contains(&kind) {
            return Err(format!("{kind} is a system fact: no contract says it"));
        }
        let needed = is_authority(kind);
        if (needed || self.authority) && *emitters == Emitters::Any {
            return Err(format!("{kind} is a fact of authority: emitter \"any\" would let every stranger say it"));
        }
        if needed && !self.authority {
            return Err(format!("{kind} is a fact of authority: expected authority = true"));
        }
        Ok(())
    }
}

pub(super) fn position(names: &[&str], name: &str) -> Result<usize, String> {
    names
        .iter()
        .position(|known| *known == name)
        .ok_or_else(|| format!("no argument {name:?}: expected one of {}", names.join(", ")))
}
