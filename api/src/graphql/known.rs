//! Documents that were judged before: clients send the same ones again and again, with other variables.
//!
//! What the guard and the schema say of a document depends on its text, on the operation that runs, and on the kinds of
//! its variables' values. Of text they look at the content only where it could name a value of an enumeration, which is
//! a `Name` (October 2021, section 2.1.9); an address, a hash and any other text that is none are all one to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_graphql::parser::types::ExecutableDocument;
use serde_json::{Map, Value};

use super::{Asked, Order};
use crate::kept::Kept;

/// Most bytes of keys; then those of before are forgotten. What is kept beside a key is some twenty times as large.
const BYTES_MAX: usize = 1 << 20;
/// Longer ones are judged each time.
const KEY_BYTES_MAX: usize = 8 << 10;

/// A document that passed the guard.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(super) document: ExecutableDocument,
    /// What the guard counted.
    pub(super) complexity: u64,
    /// Whether the operation is a subscription.
    pub(super) watches: bool,
    /// The order of its answers' fields.
    pub(super) order: Order,
    /// Whether it fits the schema: known once it was run.
    fits: AtomicBool,
}

impl Judged {
    pub(super) fn new(document: ExecutableDocument, complexity: u64, watches: bool, order: Order) -> Arc<Self> {
        Arc::new(Self { document, complexity, watches, order, fits: AtomicBool::new(false) })
    }

    /// What it costs of the quota, beside the one that every request costs.
    pub(super) fn units(&self) -> u32 {
        u32::try_from(self.complexity / 100).unwrap_or(u32::MAX)
    }

    /// Whether it is known to fit the schema.
    pub(super) fn fits(&self) -> bool {
        self.fits.load(Ordering::Relaxed)
    }

    /// It was found to fit.
    pub(super) fn found_to_fit(&self) {
        self.fits.store(true, Ordering::Relaxed);
    }
}

/// Documents by what was judged.
pub(super) type Known = Kept<Arc<Judged>>;

/// None yet.
pub(super) fn none() -> Known {
    Kept::new(BYTES_MAX, KEY_BYTES_MAX)
}

/// All that a judgement depends on; `None` where it is too long to be kept.
pub(super) fn key(asked: &Asked) -> Option<String> {
    let variables = asked.variables.as_ref().map(|variables| Value::Object(kinds(variables)).to_string());
    let name = asked.operation_name.as_deref().unwrap_or_default();
    // Neither JSON nor a name has a zero byte; what the text holds stands last.
    let key = format!("{}\0{name}\0{}", variables.unwrap_or_default(), asked.query);
    (key.len() <= KEY_BYTES_MAX).then_some(key)
}

fn kinds(object: &Map<String, Value>) -> Map<String, Value> {
    object.iter().map(|(name, value)| (name.clone(), kind(value))).collect()
}

fn kind(value: &Value) -> Value {
    match value {
        Value::String(text) if !is_name(text) => Value::String(String::new()),
        Value::Array(items) => items.iter().map(kind).collect(),
        Value::Object(fields) => Value::Object(kinds(fields)),
        other => other.clone(),
    }
}

fn is_name(text: &str) -> bool {
    let word = text.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
    word && text.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key_of(asked: Value) -> Option<String> {
        key(&serde_json::from_value::<Asked>(asked).unwrap())
    }

    #[test]
    fn text_counts_only_where_it_could_name_a_value_of_an_enumeration() {
        let with = |variables: Value| key_of(json!({ "query": "{ a }", "variables": variables })).unwrap();
        let same = [
            (json!({ "a": "0x1" }), json!({ "a": "0x22" })),
            (json!({ "a": ["é", { "b": "1" }] }), json!({ "a": ["", { "b": "a b" }] })),
        ];
        for (one, other) in same {
            assert_eq!(with(one.clone()), with(other.clone()), "{one} {other}");
        }
        let different = [
            (json!({ "a": "ASC" }), json!({ "a": "DESC" })),
            (json!({ "a": "_a" }), json!({ "a": "0" })),
            (json!({ "a": 1 }), json!({ "a": 2 })),
            (json!({ "a": "0x1" }), json!({ "a": null })),
            (json!({ "a": "0x1" }), json!({ "b": "0x1" })),
            (json!({ "a": "0x1" }), json!({ "a": ["0x1"] })),
            (json!({ "a": true }), json!({ "a": false })),
        ];
        for (one, other) in different {
            assert_ne!(with(one.clone()), with(other.clone()), "{one} {other}");
        }
        let named = |name: &str| key_of(json!({ "query": "{ a }", "operationName": name }));
        assert_ne!(named("a"), named("b"));
        assert_eq!(key_of(json!({ "query": "a".repeat(KEY_BYTES_MAX) })), None);
    }

    #[test]
    fn documents_are_kept_within_their_bytes() {
        let known = none();
        let document = async_graphql::parser::parse_query("{ a }").unwrap();
        let judged = Judged::new(document, 1, false, Order::default());
        for number in 0..BYTES_MAX / 1_000 + 1 {
            known.keep(format!("{number:01000}"), Arc::clone(&judged), 0);
        }
        assert!(known.get(&format!("{:01000}", 0)).is_none());
        assert!(known.get(&format!("{:01000}", BYTES_MAX / 1_000)).is_some());
        assert!(known.bytes() <= BYTES_MAX);
    }
}
