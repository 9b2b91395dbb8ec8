//! From expressions to facts: a serde deserializer whose input is a decoded log.
//!
//! The vocabulary's own derived readers ask for each field by its type and an expression answers, so a new kind or
//! field needs no code here, and what does not fit is refused with the reader's own words. It is not human-readable,
//! so ids are raw bytes and amounts are integers: nothing passes through text.

use alloy_primitives::U256;
use serde::de::value::{SeqDeserializer, StrDeserializer, U32Deserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer as _, SeqAccess, VariantAccess, Visitor,
};
use serde::{Deserialize as _, forward_to_deserialize_any};
use std::fmt;
use tributary_schemas::{Amount, Payload};

use super::abi::{Arg, Static};
use super::eval::{At, BuildError, Field, Source, Value, unfit};
use crate::mapping::Expr;

/// The fact of kind `kind` that `fields` yield, in the order of the vocabulary.
pub(crate) fn build(kind: u32, fields: &[Expr], source: &Source<'_>, at: &At) -> Result<Payload, BuildError> {
    Payload::deserialize(Whole { kind, fields, source, at })
}

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
    at: &'a At,
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
        visitor.visit_seq(Fields { names: names.iter(), exprs: self.fields.iter(), source: self.source, at: self.at })
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
    names: std::slice::Iter<'static, &'static str>,
    exprs: std::slice::Iter<'a, Expr>,
    source: &'a Source<'a>,
    at: &'a At,
}

impl<'de> SeqAccess<'de> for Fields<'_> {
    type Error = BuildError;
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, BuildError> {
        let Some(expr) = self.exprs.next() else { return Ok(None) };
        let name = self.names.next().copied().unwrap_or("?");
        let field = Field { expr, source: self.source, at: self.at };
        seed.deserialize(field).map(Some).map_err(|error| error.within(name))
    }
}

impl BuildError {
    fn within(self, field: &str) -> Self {
        match self {
            Self::Range(reason) => Self::Range(format!("field {field}: {reason}")),
            Self::Unknown(reason) => Self::Unknown(format!("field {field}: {reason}")),
            Self::Spent(reason) => Self::Spent(format!("field {field}: {reason}")),
            Self::Stranger(reason) => Self::Stranger(reason),
            Self::Shape(reason) => Self::Shape(format!("field {field}: {reason}")),
        }
    }
}

impl Field<'_> {
    pub(super) fn unsigned(self, bits: u32) -> Result<u128, BuildError> {
        let word = match self.plain()? {
            Some(Arg::Word(word, Static::Uint(_) | Static::Int(_))) => **word,
            _ => match self.value()? {
                Value::Unsigned(word, _) | Value::Signed(word, _) => word,
                other => return Err(unfit(other.what(), "an unsigned integer")),
            },
        };
        let limit = if bits == 128 { Amount::LIMIT } else { 1 << bits };
        match word.split_last_chunk() {
            Some((high, low)) if high == [0; 16] && u128::from_be_bytes(*low) < limit => Ok(u128::from_be_bytes(*low)),
            _ => {
                let wide = U256::from_be_bytes(word);
                Err(BuildError::Range(format!("{wide} is out of range: expected less than {limit}")))
            }
        }
    }

    fn signed(self, bits: u32) -> Result<i128, BuildError> {
        let limit = if bits == 128 { Amount::LIMIT } else { 1 << (bits - 1) };
        let word = match self.value()? {
            Value::Signed(word, _) => word,
            Value::Unsigned(..) => return self.unsigned(bits - 1).map(u128::cast_signed),
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
            Value::Unsigned(bytes, _) | Value::Signed(bytes, _) | Value::Id(bytes) => visitor.visit_bytes(&bytes),
            Value::Address(bytes) => visitor.visit_bytes(&bytes),
            Value::Bytes(bytes) => visitor.visit_bytes(&bytes),
            Value::Text(text) => visitor.visit_str(&text),
            Value::Bool(truth) => visitor.visit_bool(truth),
            Value::Array(field, length) => visitor.visit_seq(Elements { field, length, at: 0 }),
            Value::Texts(texts) => visitor.visit_seq(SeqDeserializer::new(texts.into_iter())),
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
            Value::Text(text) => visitor.visit_str(&text),
            other => Err(unfit(other.what(), "text")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        self.deserialize_string(visitor)
    }

    /// Bytes are never read out of text, which would be taken for hex.
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        match self.plain()? {
            None | Some(Arg::Text(_) | Arg::Word(_, Static::Bool)) => {}
            Some(arg) => return visitor.visit_bytes(arg.bytes().unwrap_or_default()),
        }
        if let Expr::Native(kind, namespace, key) = self.expr {
            self.source.charge(0)?;
            return visitor.visit_bytes(self.native(*kind, namespace.as_deref(), key)?.as_slice());
        }
        match self.value()? {
            Value::Unsigned(bytes, _) | Value::Signed(bytes, _) | Value::Id(bytes) => visitor.visit_bytes(&bytes),
            Value::Address(bytes) => visitor.visit_bytes(&bytes),
            Value::Bytes(bytes) => visitor.visit_bytes(&bytes),
            other => Err(unfit(other.what(), "bytes")),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        if self.plain()?.is_some() {
            return visitor.visit_some(self);
        }
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
        let value = self.value()?;
        let word = match &value {
            // While a rule is tried, a text that will be computed stands for any word of the set.
            Value::Text(word) => match (self.source.sample, words.get(usize::from(self.source.sample.unwrap_or(0)))) {
                (Some(fill), Some(any)) if **word == fill.to_string() => any,
                _ => word.as_ref(),
            },
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
        let fields = match (self.expr, self.at.element) {
            (Expr::Zip(_, fields), _) => Some(fields),
            (Expr::List(structs), Some(index)) => structs.get(index),
            _ => None,
        };
        let fields = fields.ok_or_else(|| unfit("one value", "a zip or a list of fields"))?;
        if let Some((unknown, _)) = fields.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            return Err(BuildError::Shape(format!("no field {unknown:?}: expected {names:?}")));
        }
        let at = At { element: None, ..*self.at };
        let field = Field { at: &at, ..self };
        visitor.visit_seq(ZipFields { field, fields, names: names.iter() })
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
        let mut at = *self.field.at;
        match (self.field.expr, at.indices.get_mut(at.levels)) {
            (Expr::Zip(..), Some(index)) => *index = self.at,
            _ => at.element = Some(self.at),
        }
        self.at += 1;
        seed.deserialize(Field { at: &at, ..self.field }).map(Some)
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
