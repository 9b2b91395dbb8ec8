//! The types of expressions, known before any log is read.

use std::fmt;

use crate::decode::{Kind, Static};

/// What kind of value an expression gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    /// One word of the ABI.
    Word(Static),
    /// An id, or a hash.
    Id,
    /// Bytes of any length.
    Bytes,
    /// Text, or a word of a closed set.
    Text,
    /// A number written in the file, which has no width.
    Number,
    /// Several values.
    List,
}

impl Type {
    /// The type of an argument.
    pub(crate) const fn of(kind: &Kind) -> Self {
        match kind {
            Kind::Static(word) => Self::Word(*word),
            Kind::Bytes => Self::Bytes,
            Kind::Text => Self::Text,
            Kind::List(_) | Kind::Fixed(..) | Kind::Tuple(_) => Self::List,
        }
    }

    /// Reads the name of a type.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        match name {
            "text" => Ok(Self::Text),
            "bytes" => Ok(Self::Bytes),
            "string" => Err("type string: expected text".to_owned()),
            _ => Static::parse(name).map(Self::Word),
        }
    }

    /// Whether it has one packed form.
    pub(crate) const fn packs(&self) -> bool {
        matches!(self, Self::Word(_) | Self::Id | Self::Bytes | Self::Text)
    }

    /// Whether it is a string of bytes.
    pub(crate) const fn is_bytes(&self) -> bool {
        matches!(self, Self::Word(Static::Fixed(_)) | Self::Id | Self::Bytes)
    }

    /// Whether it is an integer.
    pub(crate) const fn is_integer(&self) -> bool {
        matches!(self, Self::Word(Static::Uint(_) | Static::Int(_)) | Self::Number)
    }

    /// Whether it has the 32 bytes of an id.
    pub(crate) const fn is_id(&self) -> bool {
        matches!(self, Self::Word(Static::Fixed(32)) | Self::Id)
    }

    /// Whether a value of this type can be one of `to`.
    pub(crate) const fn casts_to(&self, to: &Self) -> bool {
        match (self, to) {
            (Self::List, _) | (_, Self::List | Self::Id | Self::Number | Self::Word(Static::Bool)) => false,
            (Self::Word(Static::Bool), Self::Word(Static::Uint(_))) => true,
            (Self::Word(Static::Bool), _) => false,
            (from, Self::Bytes) => !from.is_integer(),
            (_, Self::Text) => matches!(self, Self::Text),
            (_, Self::Word(_)) => true,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => word.fmt(f),
            Self::Id => f.write_str("an id"),
            Self::Bytes => f.write_str("bytes"),
            Self::Text => f.write_str("text"),
            Self::Number => f.write_str("a number of the file"),
            Self::List => f.write_str("a list"),
        }
    }
}
