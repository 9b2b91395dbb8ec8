//! From expressions to facts: a serde deserializer whose input is a decoded log.
//!
//! The vocabulary's own derived readers ask for each field by its type and an expression answers, so a new kind or
//! field needs no code here, and what does not fit is refused with the reader's own words. It is not human-readable,
//! so ids are raw bytes and amounts are integers: nothing passes through text.

use alloy_primitives::{Address, U256};
use serde::de::value::{StrDeserializer, U32Deserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer as _, SeqAccess, VariantAccess, Visitor,
};
use serde::{Deserialize as _, forward_to_deserialize_any};
use std::fmt;
use tributary_schemas::id::entity_id;
use tributary_schemas::{Amount, Payload};

use super::abi::Arg;
use crate::TxInfo;
use crate::mapping::{Constant, Expr};

/// What a rule can read from.
pub(crate) struct Source<'a> {
    pub(crate) chain_id: u64,
    pub(crate) emitter: Address,
    pub(crate) tx: Option<&'a TxInfo>,
    pub(crate) args: &'a [Arg<'a>],
}

/// Why no fact could be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BuildError {
    /// A number is outside what its field can hold.
    Range(String),
    /// Anything else.
    Shape(String),
}

/// The fact of kind `kind` that `fields` yield, in the order of the vocabulary.
pub(crate) fn build(kind: u32, fields: &[Expr], source: &Source<'_>) -> Result<Payload, BuildError> {
    Payload::deserialize(Whole { kind, fields, source })
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(reason) | Self::Shape(reason) => f.write_str(reason),
        }
    }
}
impl std::error::Error for BuildError {}
impl de::Error for BuildError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Shape(message.to_string())
    }
}

#[derive(Clone, Copy)]
struct Whole<'a> {
    kind: u32,
    fields: &'a [Expr],
    source: &'a Source<'a>,
}

impl<'de> Deserializer<'de> for Whole<'_> {
    type Error = BuildError;
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        visitor.visit_enum(self)
    }
    fn is_human_readable(&self) -> bool {
        false
    }
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
impl<'de> EnumAccess<'de> for Whole<'_> {
    type Error = BuildError;
    type Variant = Self;
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), BuildError> {
        let index: U32Deserializer<BuildError> = self.kind.into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}
impl<'de> VariantAccess<'de> for Whole<'_> {
    type Error = BuildError;
    fn struct_variant<V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BuildError> {
        visitor.visit_seq(Fields { names, exprs: self.fields.iter(), source: self.source, at: 0 })
    }
    fn unit_variant(self) -> Result<(), BuildError> {
        Err(unfit("a kind without fields", "fields"))
    }
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _: S) -> Result<S::Value, BuildError> {
        Err(unfit("a kind of one field", "named fields"))
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, BuildError> {
        Err(unfit("a kind of unnamed fields", "named fields"))
    }
}

struct Fields<'a> {
    names: &'static [&'static str],
    exprs: std::slice::Iter<'a, Expr>,
    source: &'a Source<'a>,
    at: usize,
}

impl<'de> SeqAccess<'de> for Fields<'_> {
    type Error = BuildError;
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, BuildError> {
        let Some(expr) = self.exprs.next() else { return Ok(None) };
        let name = self.names.get(self.at).copied().unwrap_or("?");
        self.at += 1;
        let field = Field { expr, source: self.source, element: None };
        seed.deserialize(field).map(Some).map_err(|error| error.within(name))
    }
}

impl BuildError {
    fn within(self, field: &str) -> Self {
        match self {
            Self::Range(reason) => Self::Range(format!("field {field}: {reason}")),
            Self::Shape(reason) => Self::Shape(format!("field {field}: {reason}")),
        }
    }
}

/// One field: an expression over the log, or over one element of its arrays.
#[derive(Clone, Copy)]
struct Field<'a> {
    expr: &'a Expr,
    source: &'a Source<'a>,
    element: Option<usize>,
}

enum Value<'a> {
    Nothing,
    Unsigned([u8; 32]),
    Signed([u8; 32]),
    Id([u8; 32]),
    Address([u8; 20]),
    Bytes(&'a [u8]),
    Text(&'a str),
    Bool(bool),
    Array(Field<'a>, usize),
}

impl<'a> Field<'a> {
    fn value(self) -> Result<Value<'a>, BuildError> {
        let tx = || self.source.tx.ok_or_else(|| unfit("a log without a transaction", "a transaction"));
        Ok(match self.expr {
            Expr::Nothing => Value::Nothing,
            Expr::Arg(index) => self.argument(*index)?,
            Expr::Emitter => Value::Address(self.source.emitter.into_array()),
            Expr::TxFrom => Value::Address(
                tx()?.sender().ok_or_else(|| unfit("a transaction without a sender", "a signature"))?.into_array(),
            ),
            Expr::TxValue => Value::Unsigned(tx()?.value.to_be_bytes()),
            Expr::TxHash => Value::Id(tx()?.hash.0),
            Expr::Const(Constant::Text(text)) => Value::Text(text),
            Expr::Const(Constant::Number(number)) => Value::Unsigned(U256::from(*number).to_be_bytes()),
            Expr::Const(Constant::Bool(truth)) => Value::Bool(*truth),
            Expr::Const(Constant::Bytes(bytes)) => Value::Bytes(bytes),
            Expr::Native(kind, key) => {
                let id = |key: &[u8]| entity_id(*kind, self.source.chain_id, self.source.emitter, key);
                Value::Id(match (Field { expr: key, ..self }).value()? {
                    Value::Unsigned(word) | Value::Signed(word) | Value::Id(word) => id(&word).0,
                    Value::Bytes(bytes) => id(bytes).0,
                    Value::Text(text) => id(text.as_bytes()).0,
                    Value::Address(address) => id(&address).0,
                    Value::Nothing | Value::Bool(_) | Value::Array(..) => {
                        return Err(unfit("this argument", "a native key"));
                    }
                })
            }
            Expr::NoneIf(none, inner) => match (Field { expr: inner, ..self }).value()? {
                Value::Unsigned(word) | Value::Signed(word) | Value::Id(word) if word == none.0 => Value::Nothing,
                Value::Bytes(bytes) if bytes == none.as_slice() => Value::Nothing,
                Value::Address(address) if none[..12] == [0; 12] && address[..] == none[12..] => Value::Nothing,
                value => value,
            },
            Expr::Zip(_) => Value::Array(self, self.zipped()?),
        })
    }

    fn argument(self, index: usize) -> Result<Value<'a>, BuildError> {
        let arg = self.source.args.get(index).ok_or_else(|| unfit("no argument", "an argument"))?;
        let arg = match (arg, self.element) {
            (Arg::Array(bytes, kind), Some(element)) => {
                let (words, _) = bytes.as_chunks::<32>();
                let word = words.get(element).ok_or_else(|| unfit("a shorter array", "an element"))?;
                kind.read(word).map_err(BuildError::Shape)?
            }
            (arg, _) => *arg,
        };
        Ok(match arg {
            Arg::Uint(word) => Value::Unsigned(*word),
            Arg::Int(word) => Value::Signed(*word),
            Arg::Fixed(word, size) => Value::Bytes(&word[..size]),
            Arg::Address(bytes) => Value::Address(Address::from_slice(bytes).into_array()),
            Arg::Bool(truth) => Value::Bool(truth),
            Arg::Bytes(bytes) => Value::Bytes(bytes),
            Arg::Text(text) => Value::Text(text),
            Arg::Array(bytes, _) => Value::Array(self, bytes.len() / 32),
        })
    }

    /// The length that all arrays of a zip have.
    fn zipped(self) -> Result<usize, BuildError> {
        let mut arguments = Vec::new();
        self.expr.arguments(&mut arguments);
        let mut lengths = arguments.iter().filter_map(|index| match self.source.args.get(*index) {
            Some(Arg::Array(bytes, _)) => Some(bytes.len() / 32),
            _ => None,
        });
        let first = lengths.next().ok_or_else(|| unfit("a zip without arrays", "at least one array"))?;
        match lengths.find(|length| *length != first) {
            Some(other) => {
                Err(BuildError::Shape(format!("arrays of {first} and {other} elements: expected one length")))
            }
            None => Ok(first),
        }
    }

    fn unsigned(self, bits: u32) -> Result<u128, BuildError> {
        let word = match self.value()? {
            Value::Unsigned(word) | Value::Signed(word) => word,
            other => return Err(unfit(other.what(), "an unsigned integer")),
        };
        let wide = U256::from_be_bytes(word);
        let limit = if bits == 128 { Amount::LIMIT } else { 1 << bits };
        match u128::try_from(wide) {
            Ok(number) if number < limit => Ok(number),
            _ => Err(BuildError::Range(format!("{wide} is out of range: expected less than {limit}"))),
        }
    }

    fn signed(self, bits: u32) -> Result<i128, BuildError> {
        let limit = if bits == 128 { Amount::LIMIT } else { 1 << (bits - 1) };
        let word = match self.value()? {
            Value::Signed(word) => word,
            Value::Unsigned(_) => return self.unsigned(bits - 1).map(u128::cast_signed),
            other => return Err(unfit(other.what(), "an integer")),
        };
        let negative = word[0] & 0x80 != 0;
        let wide = U256::from_be_bytes(word);
        let size = if negative { wide.wrapping_neg() } else { wide };
        match u128::try_from(size) {
            Ok(size) if size < limit => Ok(if negative { -size.cast_signed() } else { size.cast_signed() }),
            Ok(size) if size == limit && negative && bits < 128 => Ok(-size.cast_signed()),
            _ => Err(BuildError::Range(format!(
                "{wide:#x} as a signed integer is out of range: expected size below {limit}"
            ))),
        }
    }
}

impl Value<'_> {
    const fn what(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Unsigned(_) => "an unsigned integer",
            Self::Signed(_) => "a signed integer",
            Self::Id(_) => "an id",
            Self::Address(_) => "an address",
            Self::Bytes(_) => "bytes",
            Self::Text(_) => "text",
            Self::Bool(_) => "a truth value",
            Self::Array(..) => "an array",
        }
    }
}

fn unfit(got: &str, expected: &str) -> BuildError {
    BuildError::Shape(format!("got {got}: expected {expected}"))
}

macro_rules! integers {
    ($($method:ident $visit:ident $read:ident $type:ty, $bits:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
            let number = self.$read($bits)?;
            visitor.$visit(<$type>::try_from(number).map_err(|error| BuildError::Range(error.to_string()))?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Field<'_> {
    type Error = BuildError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        match self.value()? {
            Value::Nothing => visitor.visit_none(),
            Value::Unsigned(bytes) | Value::Signed(bytes) | Value::Id(bytes) => visitor.visit_bytes(&bytes),
            Value::Address(bytes) => visitor.visit_bytes(&bytes),
            Value::Bytes(bytes) => visitor.visit_bytes(bytes),
            Value::Text(text) => visitor.visit_str(text),
            Value::Bool(truth) => visitor.visit_bool(truth),
            Value::Array(field, length) => visitor.visit_seq(Elements { field, length, at: 0 }),
        }
    }

    integers! {
        deserialize_u8 visit_u8 unsigned u8, 8;
        deserialize_u16 visit_u16 unsigned u16, 16;
        deserialize_u32 visit_u32 unsigned u32, 32;
        deserialize_u64 visit_u64 unsigned u64, 64;
        deserialize_u128 visit_u128 unsigned u128, 128;
        deserialize_i8 visit_i8 signed i8, 8;
        deserialize_i16 visit_i16 signed i16, 16;
        deserialize_i32 visit_i32 signed i32, 32;
        deserialize_i64 visit_i64 signed i64, 64;
        deserialize_i128 visit_i128 signed i128, 128;
    }

    /// Text is text only: bytes that happen to be readable are not.
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        match self.value()? {
            Value::Text(text) => visitor.visit_str(text),
            other => Err(unfit(other.what(), "text")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        self.deserialize_string(visitor)
    }

    /// Bytes are never read out of text, which would be taken for hex.
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        match self.value()? {
            Value::Unsigned(bytes) | Value::Signed(bytes) | Value::Id(bytes) => visitor.visit_bytes(&bytes),
            Value::Address(bytes) => visitor.visit_bytes(&bytes),
            Value::Bytes(bytes) => visitor.visit_bytes(bytes),
            other => Err(unfit(other.what(), "bytes")),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        match self.value()? {
            Value::Nothing => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, BuildError> {
        visitor.visit_newtype_struct(self)
    }

    /// A closed set: by number, or by the word of a constant. The sets of the vocabulary number from zero without gaps.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BuildError> {
        let word = match self.value()? {
            Value::Text(word) => word,
            _ => {
                let number = self.unsigned(8)?;
                let word = usize::try_from(number).ok().and_then(|index| words.get(index));
                word.ok_or_else(|| BuildError::Range(format!("{number} is out of range: expected one of {words:?}")))?
            }
        };
        let word: StrDeserializer<'_, BuildError> = word.into_deserializer();
        visitor.visit_enum(word)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BuildError> {
        let Expr::Zip(fields) = self.expr else { return Err(unfit("one value", "a zip of fields")) };
        if let Some((unknown, _)) = fields.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            return Err(BuildError::Shape(format!("no field {unknown:?}: expected {names:?}")));
        }
        visitor.visit_seq(ZipFields { field: self, fields, names: names.iter() })
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    forward_to_deserialize_any! {
        bool f32 f64 char unit unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Elements<'a> {
    field: Field<'a>,
    length: usize,
    at: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = BuildError;
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, BuildError> {
        if self.at == self.length {
            return Ok(None);
        }
        let field = Field { element: Some(self.at), ..self.field };
        self.at += 1;
        seed.deserialize(field).map(Some)
    }
    fn size_hint(&self) -> Option<usize> {
        Some(self.length - self.at)
    }
}

struct ZipFields<'a> {
    field: Field<'a>,
    fields: &'a [(String, Expr)],
    names: std::slice::Iter<'static, &'static str>,
}

impl<'de> SeqAccess<'de> for ZipFields<'_> {
    type Error = BuildError;
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, BuildError> {
        let Some(name) = self.names.next() else { return Ok(None) };
        let expr = self.fields.iter().find(|(known, _)| known == name).map_or(&Expr::Nothing, |(_, expr)| expr);
        seed.deserialize(Field { expr, ..self.field }).map(Some).map_err(|error| error.within(name))
    }
}
