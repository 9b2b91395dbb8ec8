//! The JSON schema of mapping files, made from what reads them, so that an editor can check a file while it is written.

use serde_json::{Value, json};
use tributary_schemas::Payload;

use super::family::CHILDREN_MAX;
use super::operator;

/// The JSON schema (draft 2020-12) of a mapping file.
#[must_use]
pub fn json_schema() -> Value {
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "array", "items": text });
    let number = json!({ "type": "integer", "minimum": 0 });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tributary mapping file",
        "type": "object",
        "required": ["name", "version", "rule"],
        "additionalProperties": false,
        "properties": {
            "name": described(&text, "The name of the set"),
            "version": described(&number, "Its version"),
            "commitment_mode": { "enum": ["op", "standard"], "description": "How references to blobs are wrapped" },
            "abi": described(&texts, "JSON ABIs, by which events may be named"),
            "rule": { "type": "array", "items": rule() },
        },
        "$defs": { "expression": expression(), "emitter": emitter() },
    })
}

/// A rule as it is written.
fn rule() -> Value {
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "array", "items": text });
    let one_or_more = json!({ "anyOf": [text, texts] });
    let block = json!({ "type": "integer", "minimum": 0 });
    let constant = json!({ "anyOf": [text, block, { "type": "boolean" }] });
    let role = json!({
        "type": "object", "required": ["role"], "additionalProperties": false, "properties": { "role": text },
    });
    let kinds: Vec<&str> = Payload::KINDS.to_vec();
    json!({
        "type": "object",
        "required": ["name", "emitter", "event"],
        "additionalProperties": false,
        "properties": {
            "name": described(&text, "Its name: what the table of events says made an event"),
            "emitter": { "$ref": "#/$defs/emitter" },
            "event": described(&one_or_more, "The signature with its indexed marks; several are generations of one fact; a name alone when the set names an ABI; `transaction` for transactions that carry value"),
            "emit": { "enum": kinds, "description": "The kind of the vocabulary" },
            "authority": { "type": "boolean", "description": "That this is a fact about money or who may speak" },
            "revenue": { "enum": ["recognise", "distribution", "ignore"], "description": "What the event says of money that comes in" },
            "from_block": described(&block, "The first block"),
            "to_block": described(&block, "The last block"),
            "on_behalf_of": described(&text, "The argument that names the contract the fact is of"),
            "unless_zero": described(&texts, "Arguments that must not be zero"),
            "where": {
                "type": "object",
                "description": "Conditions: an argument and its value, or a role that it is of",
                "additionalProperties": { "anyOf": [constant, role] },
            },
            "each": described(&texts, "Lists of equal length: every element is a fact"),
            "dedupe_key": described(&texts, "Fields by which a fact is known again when it is told twice"),
            "on_exists": { "enum": ["reject", "ignore", "update"], "description": "What becomes of it then" },
            "join": {
                "type": "object",
                "description": "A log of the same transaction, whose arguments are joined.NAME",
                "required": ["event", "emitter", "on"],
                "additionalProperties": false,
                "properties": {
                    "event": described(&text, "Its signature"),
                    "emitter": described(&one_or_more, "Whose log: contracts, as of a rule, any and factories apart"),
                    "optional": { "type": "boolean", "description": "Whether the rule does without it" },
                    "on": {
                        "type": "object",
                        "description": "What its arguments must be: expressions over the rule's own log, or a role",
                        "additionalProperties": { "$ref": "#/$defs/expression" },
                    },
                },
            },
            "call": call(),
            "fields": {
                "type": "object",
                "description": "Where each field of the kind comes from",
                "additionalProperties": { "$ref": "#/$defs/expression" },
            },
        },
    })
}

/// Who a rule listens to.
fn emitter() -> Value {
    let text = json!({ "type": "string" });
    let one_or_more = json!({ "anyOf": [text, { "type": "array", "items": text }] });
    let factory = json!({
        "type": "object",
        "description": "The children of a factory",
        "required": ["factory", "event", "child"],
        "additionalProperties": false,
        "properties": {
            "factory": {
                "$ref": "#/$defs/emitter",
                "description": "Who names them: contracts, any apart, or the children of another factory",
            },
            "event": described(&one_or_more, "The event that names a child; several are generations of it"),
            "child": described(&text, "The argument, or the part of one, that is its address"),
            "children_max": {
                "type": "integer", "minimum": 0, "maximum": CHILDREN_MAX,
                "description": "Most that are heard; the announcement of another is kept as refused",
            },
        },
    });
    let contracts = "Whose logs: any, a role of the configured contracts, an address or a predeploy";
    json!({ "anyOf": [described(&one_or_more, contracts), factory] })
}

/// The calls that a rule's log may come from.
fn call() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "description": "The call that the log comes from, whose values are call.NAME",
        "required": ["function"],
        "additionalProperties": false,
        "properties": {
            "optional": { "type": "boolean", "description": "Whether the rule does without it" },
            "on": {
                "type": "object",
                "description": "What the log's arguments must be: expressions over the log and the call",
                "additionalProperties": { "$ref": "#/$defs/expression" },
            },
            "function": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["signature", "values"],
                    "additionalProperties": false,
                    "properties": {
                        "signature": described(&text, "The function with the names of its parameters"),
                        "each": {
                            "type": "array", "items": text, "maxItems": 1,
                            "description": "The list whose every element emits a log",
                        },
                        "values": {
                            "type": "object",
                            "description": "Names for parts of its arguments, the same for every function",
                            "additionalProperties": text,
                        },
                    },
                },
            },
        },
    })
}

fn described(schema: &Value, description: &str) -> Value {
    let mut schema = schema.clone();
    schema["description"] = description.into();
    schema
}

/// A name, or a table with one operator and the keys that belong to it.
fn expression() -> Value {
    let mut forms = vec![json!({ "type": "string", "description": "An argument, or a part of it" })];
    for operator in &operator::ALL {
        let mut properties = serde_json::Map::new();
        properties.insert(operator.name.to_owned(), json!({ "description": operator.doc }));
        properties.extend(operator.beside.iter().map(|key| ((*key).to_owned(), json!(true))));
        properties.extend(operator::ALWAYS.map(|(key, doc)| (key.to_owned(), json!({ "description": doc }))));
        forms.push(json!({
            "type": "object",
            "required": [operator.name],
            "additionalProperties": false,
            "properties": properties,
        }));
    }
    json!({ "anyOf": forms })
}
