//! What a document may cost, judged before anything expands it.
//!
//! async-graphql's own depth and complexity limits walk every fragment as often as it is spread: forty fragments that
//! each spread the next one twice are 2^40 visits in 900 bytes. Here tokens and nesting are counted before parsing
//! (deep nesting would also overflow the parser's stack), and each fragment is costed once and remembered.

use std::collections::BTreeMap;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{ExecutableDocument, Field, Selection, SelectionSet};
use async_graphql::{Value, Variables};

use crate::error::{ErrorCode, Refusal};

/// Bounds of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardLimits {
    /// Most tokens.
    pub tokens_max: usize,
    /// Most fragment definitions.
    pub fragments_max: usize,
    /// Most aliases.
    pub aliases_max: usize,
    /// Deepest selection.
    pub depth_max: u64,
    /// Most selected fields once fragments are spread.
    pub fields_max: u64,
    /// Most complexity: objects to resolve, times the rows of the lists they are in.
    pub complexity_max: u64,
}

impl Default for GuardLimits {
    fn default() -> Self {
        Self {
            tokens_max: 2_000,
            fragments_max: 64,
            aliases_max: 64,
            depth_max: 16,
            fields_max: 5_000,
            complexity_max: 5_000,
        }
    }
}

/// Deepest nesting of brackets: selections, lists, input objects and types together.
const NESTING_MAX: usize = 48;
/// Longest chain of selection sets and fragments; the library's own limit is above it.
const CHAIN_MAX: usize = 60;
/// Rows of a list that says nothing about `first`.
const ROWS_DEFAULT: u64 = 50;
/// Lists, by name: what is selected in them is resolved once a row.
const LISTS: [&str; 12] = [
    "accounts",
    "agents",
    "attributionBatches",
    "batches",
    "blobs",
    "contributions",
    "datasets",
    "epochs",
    "inferences",
    "models",
    "payments",
    "records",
];

/// A document that may run.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) document: ExecutableDocument,
    pub(crate) complexity: u64,
}

/// Parses a document and refuses it when it breaks a bound.
pub(crate) fn admit(query: &str, variables: &Variables, limits: &GuardLimits) -> Result<Admitted, Refusal> {
    let tokens = scan(query, limits.tokens_max)?;
    within(ErrorCode::TooLarge, "tokens", tokens, limits.tokens_max)?;
    let document = parse_query(query).map_err(|cause| Refusal::new(ErrorCode::ParseFailed, cause.to_string()))?;
    within(ErrorCode::TooLarge, "fragments", document.fragments.len(), limits.fragments_max)?;
    let operations = document.operations.iter().map(|(_, one)| aliases(&one.node.selection_set.node)).sum::<usize>();
    let fragments = document.fragments.values().map(|one| aliases(&one.node.selection_set.node)).sum::<usize>();
    let aliases = operations + fragments;
    within(ErrorCode::TooLarge, "aliases", aliases, limits.aliases_max)?;
    let mut costing = Costing { document: &document, variables, known: BTreeMap::new() };
    let mut total = Cost::default();
    for (_, operation) in document.operations.iter() {
        total = total.beside(costing.set(&operation.node.selection_set.node, 0)?);
    }
    within(ErrorCode::TooDeep, "levels", total.depth, limits.depth_max)?;
    within(ErrorCode::TooLarge, "fields", total.fields, limits.fields_max)?;
    within(ErrorCode::TooComplex, "units of work", total.complexity, limits.complexity_max)?;
    Ok(Admitted { document, complexity: total.complexity })
}

/// Plain values in a value.
fn count(value: &Value) -> u64 {
    match value {
        Value::List(list) => list.iter().map(count).fold(0, u64::saturating_add),
        Value::Object(object) => object.values().map(count).fold(0, u64::saturating_add),
        Value::Null => 0,
        _ => 1,
    }
}

fn within<T: PartialOrd + std::fmt::Display>(code: ErrorCode, what: &str, got: T, max: T) -> Result<(), Refusal> {
    if got <= max {
        return Ok(());
    }
    Err(Refusal::new(code, format!("the document has {got} {what}: expected at most {max}")))
}

/// Number of tokens, as far as `max` + 1; refuses nesting that the parser's stack may not survive.
fn scan(text: &str, max: usize) -> Result<usize, Refusal> {
    let bytes = text.as_bytes();
    let (mut at, mut tokens, mut nesting) = (0, 0, 0usize);
    while let Some(byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        let length = match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b',' | 0xEF | 0xBB | 0xBF => {
                at += 1;
                continue;
            }
            b'#' => {
                at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                continue;
            }
            b'"' => string_length(rest),
            b'{' | b'[' | b'(' => {
                nesting += 1;
                within(ErrorCode::TooDeep, "levels of brackets", nesting, NESTING_MAX)?;
                1
            }
            b'}' | b']' | b')' => {
                nesting = nesting.saturating_sub(1);
                1
            }
            _ if is_word(*byte) => rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len()),
            _ => 1,
        };
        at += length;
        tokens += 1;
        if tokens > max {
            break;
        }
    }
    Ok(tokens)
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'.')
}

fn string_length(rest: &[u8]) -> usize {
    let block = rest.starts_with(b"\"\"\"");
    let mut at = if block { 3 } else { 1 };
    while at < rest.len() {
        let here = rest.get(at..).unwrap_or_default();
        if block && here.starts_with(b"\\\"\"\"") {
            at += 4;
        } else if block && here.starts_with(b"\"\"\"") {
            return at + 3;
        } else if !block && here.starts_with(b"\\") {
            at += 2;
        } else if !block && (here.starts_with(b"\"") || here.starts_with(b"\n")) {
            return at + 1;
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn aliases(set: &SelectionSet) -> usize {
    set.items
        .iter()
        .map(|item| match &item.node {
            Selection::Field(field) => {
                usize::from(field.node.alias.is_some()) + aliases(&field.node.selection_set.node)
            }
            Selection::InlineFragment(inline) => aliases(&inline.node.selection_set.node),
            Selection::FragmentSpread(_) => 0,
        })
        .sum()
}

/// What a selection costs; everything saturates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cost {
    fields: u64,
    complexity: u64,
    depth: u64,
    /// Whether a list lies in it.
    listed: bool,
}

impl Cost {
    fn beside(self, other: Self) -> Self {
        Self {
            fields: self.fields.saturating_add(other.fields),
            complexity: self.complexity.saturating_add(other.complexity),
            depth: std::cmp::max(self.depth, other.depth),
            listed: self.listed || other.listed,
        }
    }
}

struct Costing<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    /// `None` while a fragment is being costed: meeting it again then is a cycle.
    known: BTreeMap<&'a str, Option<Cost>>,
}

impl<'a> Costing<'a> {
    fn set(&mut self, set: &'a SelectionSet, chain: usize) -> Result<Cost, Refusal> {
        within(ErrorCode::TooDeep, "nested selections", chain, CHAIN_MAX)?;
        let mut cost = Cost::default();
        for item in &set.items {
            let one = match &item.node {
                Selection::Field(field) => self.field(&field.node, chain)?,
                Selection::InlineFragment(inline) => self.set(&inline.node.selection_set.node, chain + 1)?,
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node, chain)?,
            };
            cost = cost.beside(one);
        }
        Ok(cost)
    }

    fn field(&mut self, field: &'a Field, chain: usize) -> Result<Cost, Refusal> {
        let inside = self.set(&field.selection_set.node, chain + 1)?;
        let leaf = field.selection_set.node.items.is_empty();
        let name = field.name.node.as_str();
        let first = self.first(field);
        let (own, rows) = match name {
            "provenance" => (50 + first.unwrap_or(300) / 10, 1),
            "flows" => (5 + first.unwrap_or(200) / 20, 1),
            "explanation" | "statement" => (10, 1),
            "counts" | "earnings" | "proof" | "alarms" | "unfunded" => (5, 1),
            _ if LISTS.contains(&name) => {
                (1 + self.comparisons(field), std::cmp::max(first.unwrap_or(ROWS_DEFAULT), 1))
            }
            // Lines are read at once, whatever lies below them line by line.
            "lines" | "pending" if inside.listed => (1, std::cmp::max(first.unwrap_or(ROWS_DEFAULT), 1)),
            _ => (u64::from(!leaf), 1),
        };
        Ok(Cost {
            fields: inside.fields.saturating_add(1),
            complexity: inside.complexity.saturating_mul(rows).saturating_add(own),
            depth: inside.depth.saturating_add(1),
            listed: inside.listed || LISTS.contains(&name),
        })
    }

    /// Comparisons of the argument `where`: every row of a list may be asked for each of them.
    fn comparisons(&self, field: &Field) -> u64 {
        self.argument(field, "where").map_or(0, |value| count(&value))
    }

    /// The argument `first`; one that is no number is the schema's to refuse.
    fn first(&self, field: &Field) -> Option<u64> {
        match self.argument(field, "first") {
            Some(Value::Number(number)) => number.as_u64(),
            _ => None,
        }
    }

    /// An argument with its variables filled in; one that nobody gave a value is null.
    fn argument(&self, field: &Field, name: &str) -> Option<Value> {
        let given = field.get_argument(name)?.node.clone();
        let of_variable = |name: async_graphql::Name| {
            let given = self.variables.get(&name).cloned().or_else(|| self.default_of(&name));
            Ok::<_, std::convert::Infallible>(given.unwrap_or_default())
        };
        given.into_const_with(of_variable).ok()
    }

    fn default_of(&self, name: &str) -> Option<Value> {
        let mut definitions = self.document.operations.iter().flat_map(|(_, one)| &one.node.variable_definitions);
        let found = definitions.find(|one| one.node.name.node.as_str() == name)?;
        found.node.default_value().cloned()
    }

    fn fragment(&mut self, name: &'a str, chain: usize) -> Result<Cost, Refusal> {
        match self.known.get(name) {
            Some(Some(cost)) => return Ok(*cost),
            Some(None) => {
                return Err(Refusal::new(ErrorCode::ValidationFailed, format!("fragment {name} contains itself")));
            }
            None => {}
        }
        // A fragment nobody defined is the schema's to refuse; here it costs nothing.
        let document = self.document;
        let Some(fragment) = document.fragments.get(name) else { return Ok(Cost::default()) };
        self.known.insert(name, None);
        let cost = self.set(&fragment.node.selection_set.node, chain + 1)?;
        self.known.insert(name, Some(cost));
        Ok(cost)
    }
}

#[cfg(test)]
mod tests;
