//! Rules, as data, that carry any contract's events onto the vocabulary.
//!
//! A mapping set is one or more TOML files. Each rule says which logs it is for (emitter, event signature with its indexed
//! marks, blocks, conditions), which kind of the vocabulary it makes, and where each field comes from:
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
//! | `"name"`, `"name.component"`, `"list[0]"`, `"list[].component"` | the argument, or a part of it; `[]` is the element that the rule goes through |
//! | `{ native = KIND, key = EXPR, namespace = EXPR }` | the id of KIND with that native key, in the emitter's namespace unless another is said |
//! | `{ version_of = EXPR, number = EXPR }`, `{ external = EXPR }` | the id of a version, and of something outside the chain |
//! | `{ from = "emitter" }`, `tx.*`, `block.*`, `log.*`, `chain.id`, `each.index` | what surrounds the log |
//! | `{ const = VALUE }` | fixed text, 0x hex, a number or a truth value |
//! | `{ zip = { field = EXPR, … } }` | one struct per element of parallel lists, whose lengths must agree |
//! | `{ list = [{ field = EXPR, … }, …] }` | as many structs as are written |
//! | `{ keccak = [EXPR, …] }`, `{ concat = [EXPR, …] }` | of the values as `abi.encodePacked` writes them |
//! | `{ slice = EXPR, at = N, length = N }` | bytes from a place, counted from the end when negative |
//! | `{ cast = "uint64", of = EXPR }`, `{ scale = N, of = EXPR, round = "down" }` | another type when it fits; times 10^N, which must come out even below zero unless rounded |
//! | `{ abi = "uint256 a, string b", of = EXPR, take = "a" }` | one value of what `abi.encode` wrote |
//! | `{ utf8 = EXPR }`, `{ json = EXPR, path = "a.0.b", as = "uint64" }` | text of bytes; a value inside a JSON text |
//! | `{ state = "ownerOf(uint256 id) returns (address)", of = ADDRESS, with = [EXPR, …], take = "a", on_revert = "nothing" }` | what a contract answers at the end of the block |
//! | `{ owner = EXPR }`, `{ latest_version = EXPR }` | what is known of the entity with this id |
//! | `{ first = [EXPR, …] }` | the first whose arguments this generation of the event has |
//! | `{ if_joined = EXPR, else = EXPR }`, `{ if_called = EXPR, else = EXPR }` | the first where the join, or the call, was found |
//! | `{ erc8021 = { from = "tx.input" } }` | the codes of a suffix, read from the end |
//!
//! Beside any of them, `none_if = CONSTANT` makes nothing of a value, and `or = EXPR` something of nothing.
//!
//! A field takes what its type in the vocabulary takes: a wide integer where an amount, a count or a 32-byte key is due
//! (with a range check), a number where a word of a closed set is due. Every expression has a type that is known when the
//! set is loaded; then it is also tried on sample logs, so a rule that can never work is refused, with the file, the line,
//! what was expected and the nearest right word. Fields without an expression are NULL, where the vocabulary allows it.
//! There are no loops but the elements of lists in the log, no floats, and what one log may cost is bounded by its size.
//!
//! `event` may be a list: generations of one fact, read alike. `each` goes through lists of equal length and makes a fact of
//! every element. `[rule.where]` are conditions: `to = { role = "escrow" }`, `kind = 2`. `from_block` and `to_block` bound
//! a rule. `on_behalf_of = "to"` puts a fact in the name of a contract of a role, as a token's Transfer is a payment to
//! the escrow. `abi = ["File.json"]` beside the set's name gives events by name alone.
//!
//! `[rule.join]` names a log of the same transaction by its `event` and `emitter`; `on` says what its arguments must be. Its
//! arguments are `joined.name`. Without such a log the rule passes over its own, unless the join is `optional = true`: then
//! `{ if_joined = EXPR, else = EXPR }` tells the cases apart. A log backs one payment: those that rules of revenue joined,
//! or counted themselves, are not found again in their transaction.
//!
//! `[rule.call]` reads the call that a log comes from. Each `[[rule.call.function]]` has a `signature`, the list (`each`)
//! whose elements emit a log each, and `values`: names for parts of its arguments, the same for every function. They are
//! `call.name`. The transaction must call the emitter, or Multicall3 with calls that may not fail, and the calls must make
//! as many logs of the event as there are; then the n-th log comes from the n-th, and `on` says what the log's arguments
//! must be: a log whose call does not agree, or is hidden inside another contract, is kept as `DECODE_ERROR`, unless the
//! call is `optional = true`: then `{ if_called = EXPR, else = EXPR }` tells the cases apart.
//!
//! `event = "transaction"` makes a rule for transactions that succeeded and carried value to its emitters, which need not have
//! left a log. It has no arguments: `tx.*` and `block.*` are there, `log.*` is not. Its facts stand after those of the
//! transaction's logs, and only they may say `backing = { const = "value" }`.
//!
//! Contracts that tell a fact twice, or again later: `dedupe_key` lists the fields by which it is known again, per emitter
//! and kind, and `on_exists` says what becomes of it then: `reject` (kept as refused), `ignore` (left out) or `update` (it
//! holds; a registration becomes `MetadataUpdated`).
//!
//! `{ state = … }` asks a contract at the end of the log's block, whatever came between. It needs an archive endpoint where
//! blocks are old; nothing vouches for the answer but who gives it ([`reads`](crate::reads)), so a block with one counts as
//! `unverified`. Without `on_revert`, a log whose read reverts, or is answered with other bytes, is kept as `DECODE_ERROR`.
//! A rule asks at most 32 times for a log, and at most 2 reads stand inside each other. Parameters are no lists and no tuples.
//!
//! References to blobs (`blob_ref`, `manifest_ref`) are commitments in the mode of the OP Stack, unless the set says
//! `commitment_mode = "standard"` beside its name. The bytes themselves do not tell.
//!
//! Who may say it: `emitter` is a role of the configured contracts, an address, a predeploy (`predeploy.eas`), several of
//! these, `any`, or the children of a factory: `{ factory = "mall", event = "Made(address stall)", child = "stall" }`. What
//! the factory names is heard from the transaction on in which it is named, the logs before that in it too, and until a
//! reorg takes the naming back. `factory` is what an emitter is, `any` apart: a factory may itself be a child. `event` may
//! be a list of generations; more than `children_max` children (100,000 unless said) are kept as refused, and a contract
//! that the set names is heard by its name alone, whoever announces it. Facts about money and who may speak carry `authority = true` and a listed emitter (ruling 5); the same
//! words from a stranger are kept as refused. What brings money in says `revenue = "recognise"`; an event that reports money
//! which is counted elsewhere says `distribution` (it is kept) or `ignore`, and makes no fact. A set that could count one
//! payment twice is refused.

mod call;
mod conflict;
mod each;
mod expr;
mod family;
mod join;
mod library;
mod load;
mod operator;
mod parse;
mod problem;
mod published;
mod signature;
mod skeleton;
mod state;
mod text;
mod types;
mod word;

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use tributary_schemas::Payload;
use tributary_schemas::eigenda::Mode;

use crate::decode::{Shape, fields_of, kind_index};
pub(crate) use call::{Call, Function};
pub(crate) use expr::{Around, Constant, Expr, Lookup, Made, Place, Root, Step, Test};
pub(crate) use family::Family;
pub(crate) use join::{Join, On};
pub use library::{BUILT_IN, BuiltIn};
pub use load::{MappingFile, abi_files};
pub(crate) use parse::LEVELS_MAX;
pub use problem::Problem;
pub use published::json_schema;
#[cfg(test)]
pub(crate) use signature::event as event_of;
pub(crate) use signature::function;
pub use skeleton::skeleton;
pub(crate) use state::StateRead;
#[cfg(test)]
pub(crate) use text::is_authority;
pub(crate) use types::Type;
pub(crate) use word::unknown;

/// What `event` says of a rule for transactions that carry value; their first topic, which no log has.
pub(crate) const TRANSACTION: &str = "transaction";
const OF_TRANSACTIONS: B256 = B256::ZERO;

/// The mapping set of the reference contracts.
pub const REFERENCE: &str = include_str!("../mappings/reference.toml");

/// The configured contracts, by role: whose word about money and authority is taken.
pub type Contracts = BTreeMap<String, BTreeSet<Address>>;

/// A mapping set, checked and ready to decode with.
#[derive(Debug, Clone)]
pub struct Mapping {
    rules: Vec<Rule>,
    by_topic: BTreeMap<B256, Vec<u16>>,
    /// The families of its emitters, each with what its refusals are filed under, factories before their children.
    families: Vec<(Arc<str>, Arc<Family>)>,
    /// The contracts it names, which are nobody's children.
    named: BTreeSet<Address>,
    /// Whether any rule asks about entities.
    late: bool,
    hash: B256,
    chain_id: u64,
    commitment_mode: Mode,
}

/// Who a rule listens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Emitters {
    /// Anyone: what they say stays in their own namespace.
    Any,
    /// These contracts, and what the rule calls them.
    Listed(BTreeSet<Address>, BTreeSet<String>),
    /// Those that a factory has named.
    Children(Arc<Family>),
}

/// What an event says of money that comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Revenue {
    /// Here it is counted.
    Recognise,
    /// It is counted elsewhere; the log is kept.
    Distribution,
    /// It is counted elsewhere.
    Ignore,
}

/// What becomes of a fact that was told before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnExists {
    /// It is kept as refused.
    #[default]
    Reject,
    /// It is left out.
    Ignore,
    /// It holds; a registration becomes a change of the description.
    Update,
}

/// The fields by which a fact is known again, and what becomes of it then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dedupe {
    pub(crate) kind: &'static str,
    pub(crate) fields: Vec<String>,
    pub(crate) on_exists: OnExists,
}

/// One rule for one generation of its event, compiled.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) name: Arc<str>,
    pub(crate) emitters: Emitters,
    pub(crate) authority: bool,
    pub(crate) topic0: B256,
    pub(crate) shape: Shape,
    /// Index of the kind among the vocabulary's; none for an event whose money is counted elsewhere.
    pub(crate) kind: Option<u32>,
    pub(crate) revenue: Option<Revenue>,
    /// One expression per field of the kind, in the order of the vocabulary.
    pub(crate) fields: Vec<Expr>,
    /// Arguments that must not be zero; a log where one is, is not for this rule.
    pub(crate) unless_zero: Vec<usize>,
    pub(crate) conditions: Vec<(Expr, Test)>,
    /// The contract that the fact is of, where that is not the emitter.
    pub(crate) on_behalf_of: Option<Expr>,
    /// The log of the same transaction that it wants beside its own.
    pub(crate) join: Option<Join>,
    /// The call that its log comes from.
    pub(crate) call: Option<Call>,
    /// By what the fact is known again when it is told twice.
    pub(crate) dedupe: Option<Dedupe>,
    /// The lists that it goes through, and how many levels deep.
    pub(crate) each: Vec<Place>,
    pub(crate) levels: usize,
    pub(crate) blocks: RangeInclusive<u64>,
    /// Which rule of the set, as written: generations of one event share it.
    pub(crate) source: usize,
    /// Whether it asks about entities.
    pub(crate) late: bool,
    /// Whether it asks the state of a contract.
    pub(crate) reads_state: bool,
}

impl Mapping {
    /// Every kind that a rule may make, and its fields.
    #[must_use]
    pub fn kinds() -> Vec<(&'static str, &'static [&'static str])> {
        let kinds = Payload::KINDS.iter().copied().filter(|kind| !text::is_system(kind));
        kinds.filter_map(|kind| Some((kind, fields_of(kind_index(kind).ok()?).ok()?))).collect()
    }

    /// keccak256 of the canonical JSON of the set and the configured contracts: of one file as it is, of several as a list.
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

    /// The first topics that any rule listens to, those of factories too.
    pub fn topics(&self) -> impl Iterator<Item = B256> + use<> {
        let announced = self.families.iter().flat_map(|(_, family)| &family.announcements).map(|one| one.topic0);
        self.by_topic.keys().copied().chain(announced).collect::<BTreeSet<_>>().into_iter()
    }

    /// The names of the rules that listen to other first topics than these, or whose factories do.
    pub fn rules_beside(&self, topics: &BTreeSet<B256>) -> impl Iterator<Item = &str> {
        let beside = |rule: &&Rule| {
            !rule.of_transactions() && !topics.contains(&rule.topic0) || rule.emitters.announced_beside(topics)
        };
        self.rules.iter().filter(beside).map(|rule| &*rule.name)
    }

    /// The families of its emitters, each with what its refusals are filed under, factories before their children.
    pub(crate) fn families(&self) -> &[(Arc<str>, Arc<Family>)] {
        &self.families
    }

    /// Whether any rule asks about entities.
    pub(crate) const fn asks_about_entities(&self) -> bool {
        self.late
    }

    /// Whether it names a contract.
    pub(crate) fn names(&self, contract: &Address) -> bool {
        self.named.contains(contract)
    }

    /// The rules for a first topic, in the order of the set.
    pub(crate) fn rules_for(&self, topic0: &B256) -> impl Iterator<Item = &Rule> {
        let indices = self.by_topic.get(topic0).map_or(&[][..], Vec::as_slice);
        indices.iter().filter_map(|index| self.rules.get(usize::from(*index)))
    }

    /// The rules that ask the state of contracts, so that they need an archive endpoint where blocks are old.
    #[must_use]
    pub fn reading_state(&self) -> Vec<&str> {
        let reading = self.rules.iter().filter(|rule| rule.reads_state);
        let mut names: Vec<&str> = reading.map(|rule| &*rule.name).collect();
        names.dedup();
        names
    }

    /// By what facts of a rule are known again.
    pub(crate) fn dedupe(&self, rule: &str) -> Option<&Dedupe> {
        self.rules.iter().find(|one| &*one.name == rule)?.dedupe.as_ref()
    }

    /// The rules, in the order of the set.
    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

impl Emitters {
    /// Whether the word of `address` is taken, whatever happened on the chain.
    pub(crate) fn accept(&self, address: &Address) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(list, _) => list.contains(address),
            Self::Children(_) => false,
        }
    }

    /// Whether a factory of theirs announces by other first topics than these.
    fn announced_beside(&self, topics: &BTreeSet<B256>) -> bool {
        let Self::Children(family) = self else { return false };
        let beside = |one: &family::Announcement| !topics.contains(&one.topic0);
        family.announcements.iter().any(beside) || family.factories.announced_beside(topics)
    }
}

impl Rule {
    /// Whether it is for transactions that carry value, not for logs.
    pub(crate) fn of_transactions(&self) -> bool {
        self.topic0 == OF_TRANSACTIONS
    }

    /// Whether an expression of it asks the state of a contract.
    fn has_state_read(&self) -> bool {
        let of_call = self.call.iter().flat_map(|call| &call.on).map(|(_, expr)| expr);
        let of_join = self.join.iter().flat_map(|join| &join.on).filter_map(|(_, on)| match on {
            On::Same(expr) => Some(expr),
            On::Is(_) => None,
        });
        self.fields.iter().chain(of_call).chain(of_join).any(Expr::reads_state)
    }

    /// Whether the logs it matches are kept.
    pub(crate) fn keeps_log(&self) -> bool {
        self.revenue != Some(Revenue::Ignore)
    }
}

#[cfg(test)]
mod tests;
