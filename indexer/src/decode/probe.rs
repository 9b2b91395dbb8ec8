//! What kinds the vocabulary has and what fields each: asked of the vocabulary's own reader, so that no list is kept twice.

use serde::Deserialize as _;
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer as _, VariantAccess, Visitor};
use serde::forward_to_deserialize_any;
use tributary_schemas::Payload;

use super::eval::BuildError;
use crate::mapping::unknown;

/// The index of a kind.
pub(crate) fn kind_index(kind: &str) -> Result<u32, String> {
    Payload::KINDS
        .iter()
        .position(|known| *known == kind)
        .and_then(|index| u32::try_from(index).ok())
        .ok_or_else(|| unknown("no kind", kind, Payload::KINDS.iter().copied()))
}

/// The fields of the kind with this index, in the order of the vocabulary.
pub(crate) fn fields_of(kind: u32) -> Result<&'static [&'static str], String> {
    let mut fields = None;
    let told = Payload::deserialize(Probe { kind, fields: &mut fields });
    fields.ok_or_else(|| told.err().map_or_else(|| format!("kind {kind} has no fields"), |error| error.to_string()))
}

struct Probe<'a> {
    kind: u32,
    fields: &'a mut Option<&'static [&'static str]>,
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = BuildError;
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        visitor.visit_enum(self)
    }
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
impl<'de> EnumAccess<'de> for Probe<'_> {
    type Error = BuildError;
    type Variant = Self;
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), BuildError> {
        let index: de::value::U32Deserializer<BuildError> = self.kind.into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}
impl<'de> VariantAccess<'de> for Probe<'_> {
    type Error = BuildError;
    fn struct_variant<V: Visitor<'de>>(self, names: &'static [&'static str], _: V) -> Result<V::Value, BuildError> {
        *self.fields = Some(names);
        Err(de::Error::custom("only the names were asked for"))
    }
    fn unit_variant(self) -> Result<(), BuildError> {
        Err(de::Error::custom("a kind has fields"))
    }
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _: S) -> Result<S::Value, BuildError> {
        Err(de::Error::custom("a kind has named fields"))
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, BuildError> {
        Err(de::Error::custom("a kind has named fields"))
    }
}
