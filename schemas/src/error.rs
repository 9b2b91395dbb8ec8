//! What can be wrong with a value before it enters the vocabulary.
//!
//! These errors are for bytes and texts that claim to be something of ours and are not. Whoever reads untrusted
//! input stores the text as the reason of a refused fact; whoever reads a file shows it to a person.

/// A value that does not fit the vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// An amount at or above 10^38, or a result that would be.
    #[error("amount {got} is out of range: expected 0 <= amount < 10^38")]
    AmountOutOfRange {
        /// The amount as decimal text.
        got: String,
    },
    /// A subtraction that would have gone below zero.
    #[error("amount {left} - {right} is below zero")]
    AmountNegative {
        /// What it was taken from.
        left: String,
        /// What was taken.
        right: String,
    },
    /// A word outside a closed set.
    #[error("unknown {what} {got:?}: expected one of {expected}")]
    UnknownWord {
        /// What the word should have named.
        what: &'static str,
        /// The word.
        got: String,
        /// The closed set.
        expected: String,
    },
    /// Text or bytes of the wrong form.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// What was wrong and what was expected.
        reason: String,
    },
    /// A policy that breaks one of its rules.
    #[error("invalid policy: {reason}")]
    Policy {
        /// The rule and the value.
        reason: String,
    },
    /// A column of a record batch that is not what the table says.
    #[error("table {table}: column {column}: {reason}")]
    Column {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// What was expected.
        reason: String,
    },
}
