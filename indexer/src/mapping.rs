//! Rules, as data, that carry any contract's events onto the vocabulary.
//!
//! A mapping set is TOML. Each rule says which logs it is for (emitter, event signature with its indexed marks), which
//! kind of the vocabulary it makes, and where each field comes from:
//!
//! ```toml
//! [[rule]]
//! name = "model-registered"
//! emitter = "any"
//! event = "ModelRegistered(uint256 indexed modelId, address indexed owner, uint8 kind, bytes32 metadataHash, string metadataURI)"
//! emit = "ModelRegistered"
//! [rule.fields]
//! model = { native = "model", key = "modelId" }
//! key = "modelId"
//! owner = "owner"
//! kind = "kind"
//! metadata_uri = "metadataURI"
//! metadata_hash = "metadataHash"
//! ```
//!
//! | expression | meaning |
//! |---|---|
//! | `"name"` | the argument of that name |
//! | `{ arg = "name", none_if = N }` | the argument, or nothing when it equals N |
//! | `{ native = KIND, key = EXPR }` | the id of KIND with that native key in the emitter's namespace |
//! | `{ from = "emitter" }`, `"tx.from"`, `"tx.value"`, `"tx.hash"` | what surrounds the log |
//! | `{ const = VALUE }` | a fixed word, number or truth value |
//! | `{ zip = { field = EXPR, … } }` | one struct per element of parallel arrays, whose lengths must agree |
//!
//! A field takes what its type in the vocabulary takes: a wide integer where an amount, a count or a 32-byte key is due
//! (with a range check), a number where a word of a closed set is due. A set is tried on sample logs when it is loaded,
//! so a rule that can never work is refused then, with the file, the rule and the field. Fields without an expression
//! are NULL, where the vocabulary allows it.
//!
//! References to blobs (`blob_ref`, `manifest_ref`) are commitments in the mode of the OP Stack, unless the set says
//! `commitment_mode = "standard"` beside its name. The bytes themselves do not tell.
//!
//! Who may say it: `emitter` is a role of the configured contracts, several of them, or `any`. Facts about money and
//! who may speak carry `authority = true` and a role (ruling 5); the same words from a stranger are kept as refused.

mod expr;
mod text;

use alloy_primitives::{Address, B256, keccak256};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tributary_schemas::eigenda::Mode;

use crate::IndexerError;
use crate::decode::{EventShape, prove_rule};
pub(crate) use expr::{Constant, Expr};
use text::RuleText;
#[cfg(test)]
pub(crate) use text::is_authority;

/// The mapping set of the reference contracts.
pub const REFERENCE: &str = include_str!("../mappings/reference.toml");

/// The configured contracts, by role: whose word about money and authority is taken.
pub type Contracts = BTreeMap<String, BTreeSet<Address>>;

/// A mapping set, checked and ready to decode with.
#[derive(Debug, Clone)]
pub struct Mapping {
    rules: Vec<Rule>,
    by_topic: BTreeMap<B256, Vec<u16>>,
    hash: B256,
    chain_id: u64,
    commitment_mode: Mode,
}

/// Who a rule listens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Emitters {
    /// Anyone: what they say stays in their own namespace.
    Any,
    /// These contracts.
    Listed(BTreeSet<Address>),
}

/// One rule, compiled.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) name: Arc<str>,
    pub(crate) emitters: Emitters,
    pub(crate) authority: bool,
    pub(crate) topic0: B256,
    pub(crate) shape: EventShape,
    /// Index of the kind among the vocabulary's.
    pub(crate) kind: u32,
    /// One expression per field of the kind, in the order of the vocabulary.
    pub(crate) fields: Vec<Expr>,
    /// Arguments that must not be zero; a log where one is, is not for this rule.
    pub(crate) unless_zero: Vec<usize>,
}

/// A whole set as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetText {
    name: String,
    version: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    commitment_mode: Mode,
    rule: Vec<RuleText>,
}

impl Mapping {
    /// Reads and checks a set. `file` names it in errors.
    pub fn parse(file: &str, toml: &str, chain_id: u64, contracts: &Contracts) -> Result<Self, IndexerError> {
        let set: SetText = toml::from_str(toml).map_err(|error| refused(file, error.to_string()))?;
        let mut rules = Vec::with_capacity(set.rule.len());
        let mut names = BTreeSet::new();
        for text in &set.rule {
            let in_rule = |reason: String| refused(file, format!("rule {:?}: {reason}", text.name));
            if !names.insert(&text.name) {
                return Err(in_rule("the name is taken by an earlier rule".to_owned()));
            }
            let rule = text.compile(contracts).map_err(in_rule)?;
            prove_rule(&rule).map_err(in_rule)?;
            rules.push(rule);
        }
        let mut by_topic = BTreeMap::<B256, Vec<u16>>::new();
        for (index, rule) in rules.iter().enumerate() {
            let index = u16::try_from(index).map_err(|error| refused(file, format!("too many rules: {error}")))?;
            by_topic.entry(rule.topic0).or_default().push(index);
        }
        let canonical = serde_json::json!({ "contracts": contracts, "mapping": set }).to_string();
        let commitment_mode = set.commitment_mode;
        Ok(Self { rules, by_topic, hash: keccak256(canonical), chain_id, commitment_mode })
    }

    /// The set of the reference contracts.
    pub fn reference(chain_id: u64, contracts: &Contracts) -> Result<Self, IndexerError> {
        Self::parse("reference.toml", REFERENCE, chain_id, contracts)
    }

    /// keccak256 of the canonical JSON of the set and the configured contracts.
    #[must_use]
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// The chain whose ids it makes.
    #[must_use]
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// How the references to blobs in its events are read.
    #[must_use]
    pub const fn commitment_mode(&self) -> Mode {
        self.commitment_mode
    }

    /// The first topics that any rule listens to.
    pub fn topics(&self) -> impl Iterator<Item = B256> + '_ {
        self.by_topic.keys().copied()
    }

    /// The rules for a first topic, in the order of the set.
    pub(crate) fn rules_for(&self, topic0: &B256) -> impl Iterator<Item = &Rule> {
        let indices = self.by_topic.get(topic0).map_or(&[][..], Vec::as_slice);
        indices.iter().filter_map(|index| self.rules.get(usize::from(*index)))
    }

    /// The rules, in the order of the set.
    #[cfg(test)]
    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

impl Emitters {
    /// Whether the word of `address` is taken.
    pub(crate) fn accept(&self, address: &Address) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(list) => list.contains(address),
        }
    }
}

/// Whether a mode need not be said, so that a set that does not say it keeps its hash.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_default(mode: &Mode) -> bool {
    *mode == Mode::default()
}

fn refused(file: &str, reason: String) -> IndexerError {
    IndexerError::Configuration { what: format!("mapping {file}"), reason }
}

#[cfg(test)]
mod tests;
