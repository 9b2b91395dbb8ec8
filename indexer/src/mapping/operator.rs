//! The operators of expressions: one list that is read by, checked against and published as the JSON schema.

use toml::Table;

use super::word::unknown;

/// An operator as it is written.
pub(crate) struct Operator {
    /// Its key in the table.
    pub(crate) name: &'static str,
    /// Other keys that may stand beside it.
    pub(crate) beside: &'static [&'static str],
    /// What it gives.
    pub(crate) doc: &'static str,
}

/// Keys that may stand beside any operator.
pub(crate) const ALWAYS: [(&str, &str); 2] =
    [("none_if", "nothing when the value is this constant"), ("or", "what to take where the value is nothing")];

/// Every operator.
pub(crate) const ALL: [Operator; 24] = [
    op("arg", &[], "an argument, or another expression"),
    op("from", &[], "what surrounds the log: emitter, tx.*, block.*, log.*, chain.id, each.index, joined.*"),
    op("const", &[], "a fixed value: text, 0x hex, a number from zero or a truth value"),
    op("role", &[], "the address of the one configured contract of this role"),
    op("native", &["key", "namespace"], "the id of this kind with this native key"),
    op("version_of", &["number"], "the id of a version of this entity"),
    op("external", &[], "the id of something outside the chain, by its text"),
    op("zip", &[], "one struct per element of parallel arrays"),
    op("list", &[], "as many structs as are written here"),
    op("keccak", &[], "keccak256 of the packed values"),
    op("concat", &[], "the packed values, one after the other"),
    op("slice", &["at", "length"], "bytes from a place, counted from the end when negative"),
    op("cast", &["of"], "the same value as another type, when it fits"),
    op("scale", &["of", "round"], "the value times ten to this power"),
    op("abi", &["of", "take"], "one value of what abi.encode wrote"),
    op("utf8", &[], "bytes read as text"),
    op("json", &["path", "as"], "a value inside a JSON text"),
    op("owner", &[], "who owns the entity with this id"),
    op("latest_version", &[], "the id of the last version of the entity with this id"),
    op("first", &[], "the first expression whose arguments this generation of the event has"),
    op("if_joined", &["else"], "a value when the join found a log, else another"),
    op("if_called", &["else"], "a value when the call was found that the log comes from, else another"),
    op("erc8021", &[], "the codes of an ERC-8021 suffix, read from the end of calldata"),
    op(
        "state",
        &["of", "with", "take", "on_revert"],
        "what a contract answers at the end of the block: needs an archive endpoint",
    ),
];

const fn op(name: &'static str, beside: &'static [&'static str], doc: &'static str) -> Operator {
    Operator { name, beside, doc }
}

/// The operator of an expression; every other key must belong to it.
pub(super) fn of(table: &Table) -> Result<&'static str, String> {
    let mut found = ALL.iter().filter(|operator| table.contains_key(operator.name));
    let Some(operator) = found.next() else {
        let key = table.keys().next().map_or("", String::as_str);
        return Err(unknown("keys: no operator", key, ALL.iter().map(|operator| operator.name)));
    };
    if let Some(second) = found.next() {
        return Err(format!("keys {} and {}: expected one operator", operator.name, second.name));
    }
    let known = || operator.beside.iter().copied().chain(ALWAYS.map(|(name, _)| name));
    let strange = table.keys().find(|key| *key != operator.name && !known().any(|name| name == *key));
    match strange {
        Some(key) => Err(unknown(&format!("keys: beside {} no", operator.name), key, known())),
        None => Ok(operator.name),
    }
}
