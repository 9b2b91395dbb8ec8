//! What is wrong with a mapping, and where: file, line, rule, what was expected.

use std::fmt;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

use super::MappingFile;
use super::word::unknown;

/// Something wrong with a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The rule; empty when it is about none.
    pub rule: String,
    /// What was wrong and what was expected.
    pub reason: String,
}

/// Something wrong with a rule, at this key of it.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: Vec<String>,
    pub(super) reason: String,
}

impl Problem {
    pub(super) fn new(file: &str, line: usize, rule: &str, reason: String) -> Self {
        Self { file: file.to_owned(), line, rule: rule.to_owned(), reason }
    }

    /// What the TOML reader says, with the nearest word where it names the known ones.
    pub(super) fn of_toml(file: &MappingFile, error: &toml::de::Error) -> Self {
        let line = error.span().map_or(1, |span| line_of(&file.toml, span.start));
        let message = error.message();
        let mut words = message.split('`').skip(1).step_by(2);
        let reason = match (message.starts_with("unknown"), words.next()) {
            (true, Some(got)) => {
                let known: Vec<&str> = words.collect();
                if known.is_empty() { message.to_owned() } else { format!("{message}: {}", unknown("got", got, known)) }
            }
            _ => message.to_owned(),
        };
        Self::new(&file.name, line, "", reason)
    }

    /// The place, and what is wrong there.
    pub(super) fn parts(&self) -> (String, String) {
        let rule = if self.rule.is_empty() { String::new() } else { format!("rule {:?}: ", self.rule) };
        (format!("{}:{}", self.file, self.line), format!("{rule}{}", self.reason))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, reason) = self.parts();
        write!(f, "{place}: {reason}")
    }
}

impl std::error::Error for Problem {}

impl Fault {
    pub(super) fn at(at: &[&str], reason: impl Into<String>) -> Self {
        Self { at: at.iter().map(|key| (*key).to_owned()).collect(), reason: reason.into() }
    }

    /// The same fault of the value under a key.
    pub(super) fn below(mut self, key: &str) -> Self {
        self.at.insert(0, key.to_owned());
        self
    }

    /// What the vocabulary says about a field, which it names first.
    pub(super) fn of_field(reason: &str) -> Self {
        let field = reason.strip_prefix("field ").and_then(|rest| rest.split_once(':'));
        match field {
            Some((name, _)) => Self::at(&["fields", name], reason),
            None => Self::at(&[], reason),
        }
    }
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Self::at(&[], reason)
    }
}

/// Where the rules of a file stand and their keys.
pub(super) struct Lines<'a> {
    text: &'a str,
    tree: Option<toml::Spanned<DeTable<'a>>>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, tree: DeTable::parse(text).ok() }
    }

    /// The line of a key of a rule, or of what is nearest above it.
    pub(super) fn line(&self, rule: usize, keys: &[impl AsRef<str>]) -> usize {
        self.span(rule, keys).map_or(1, |span| line_of(self.text, span.start))
    }

    fn span(&self, rule: usize, keys: &[impl AsRef<str>]) -> Option<Range<usize>> {
        let rules = self.tree.as_ref()?.get_ref().get("rule")?.get_ref().as_array()?;
        let mut at = rules.get(rule)?;
        let mut span = at.span();
        for key in keys {
            let DeValue::Table(table) = at.get_ref() else { break };
            let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref() == key.as_ref()) else { break };
            (span, at) = (name.span(), value);
        }
        Some(span)
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}
