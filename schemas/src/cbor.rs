//! Deterministic CBOR (RFC 8949 §4.2.1): shortest lengths, definite lengths, map keys in the bytewise order of their
//! encodings. Written as a serde serializer because the ready ones keep the order of declaration; it knows only what
//! the vocabulary needs: no floats, no maps with computed keys.

use serde::ser::{self, Serialize};
use std::fmt;

/// The deterministic encoding of `value`.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CborError> {
    let mut out = Vec::with_capacity(256);
    append(value, &mut out)?;
    Ok(out)
}

/// Appends the deterministic encoding of `value`.
pub fn append<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CborError> {
    value.serialize(&mut Encoder { out })
}

/// Something the deterministic encoding has no form for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CborError(String);

impl fmt::Display for CborError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no deterministic CBOR: {}", self.0)
    }
}
impl std::error::Error for CborError {}
impl ser::Error for CborError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

struct Encoder<'a> {
    out: &'a mut Vec<u8>,
}

fn head(out: &mut Vec<u8>, major: u8, value: u64) {
    let major = major << 5;
    let bytes = value.to_be_bytes();
    match value {
        0..=23 => out.push(major | bytes[7]),
        24..=0xff => out.extend_from_slice(&[major | 24, bytes[7]]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend_from_slice(&bytes[6..]);
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend_from_slice(&bytes[4..]);
        }
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&bytes);
        }
    }
}

fn length(value: usize) -> u64 {
    u64::try_from(value).expect("a length in memory fits 64 bits")
}

/// A bignum (tag 2 or 3) where 64 bits do not do, without leading zeros.
fn wide(out: &mut Vec<u8>, tag: u8, magnitude: u128) {
    match u64::try_from(magnitude) {
        Ok(small) => head(out, tag, small),
        Err(_) => {
            let bytes = magnitude.to_be_bytes();
            let skip = bytes.iter().take_while(|byte| **byte == 0).count();
            head(out, 6, u64::from(tag) + 2);
            head(out, 2, length(bytes.len() - skip));
            out.extend_from_slice(&bytes[skip..]);
        }
    }
}

impl<'a, 'b> ser::Serializer for &'b mut Encoder<'a> {
    type Ok = ();
    type Error = CborError;
    type SerializeSeq = Sequence<'b>;
    type SerializeTuple = Sequence<'b>;
    type SerializeTupleStruct = Sequence<'b>;
    type SerializeTupleVariant = Sequence<'b>;
    type SerializeMap = ser::Impossible<(), CborError>;
    type SerializeStruct = Fields<'b>;
    type SerializeStructVariant = Fields<'b>;

    fn is_human_readable(&self) -> bool {
        false
    }
    fn serialize_bool(self, value: bool) -> Result<(), CborError> {
        self.out.push(if value { 0xf5 } else { 0xf4 });
        Ok(())
    }
    fn serialize_i8(self, value: i8) -> Result<(), CborError> {
        self.serialize_i64(value.into())
    }
    fn serialize_i16(self, value: i16) -> Result<(), CborError> {
        self.serialize_i64(value.into())
    }
    fn serialize_i32(self, value: i32) -> Result<(), CborError> {
        self.serialize_i64(value.into())
    }
    fn serialize_i64(self, value: i64) -> Result<(), CborError> {
        self.serialize_i128(value.into())
    }
    fn serialize_i128(self, value: i128) -> Result<(), CborError> {
        match u128::try_from(value) {
            Ok(positive) => wide(self.out, 0, positive),
            Err(_) => wide(self.out, 1, (!value).cast_unsigned()),
        }
        Ok(())
    }
    fn serialize_u8(self, value: u8) -> Result<(), CborError> {
        self.serialize_u64(value.into())
    }
    fn serialize_u16(self, value: u16) -> Result<(), CborError> {
        self.serialize_u64(value.into())
    }
    fn serialize_u32(self, value: u32) -> Result<(), CborError> {
        self.serialize_u64(value.into())
    }
    fn serialize_u64(self, value: u64) -> Result<(), CborError> {
        head(self.out, 0, value);
        Ok(())
    }
    fn serialize_u128(self, value: u128) -> Result<(), CborError> {
        wide(self.out, 0, value);
        Ok(())
    }
    fn serialize_f32(self, value: f32) -> Result<(), CborError> {
        Err(CborError(format!("the floating point number {value}")))
    }
    fn serialize_f64(self, value: f64) -> Result<(), CborError> {
        Err(CborError(format!("the floating point number {value}")))
    }
    fn serialize_char(self, value: char) -> Result<(), CborError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, value: &str) -> Result<(), CborError> {
        head(self.out, 3, length(value.len()));
        self.out.extend_from_slice(value.as_bytes());
        Ok(())
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<(), CborError> {
        head(self.out, 2, length(value.len()));
        self.out.extend_from_slice(value);
        Ok(())
    }
    fn serialize_none(self) -> Result<(), CborError> {
        self.out.push(0xf6);
        Ok(())
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), CborError> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), CborError> {
        self.serialize_none()
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), CborError> {
        self.serialize_none()
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), CborError> {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), CborError> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), CborError> {
        head(self.out, 5, 1);
        self.serialize_str(variant)?;
        value.serialize(&mut Encoder { out: self.out })
    }
    fn serialize_seq(self, len: Option<usize>) -> Result<Sequence<'b>, CborError> {
        let len = len.ok_or_else(|| CborError("a sequence of unknown length".to_owned()))?;
        head(self.out, 4, length(len));
        Ok(Sequence { out: self.out })
    }
    fn serialize_tuple(self, len: usize) -> Result<Sequence<'b>, CborError> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Sequence<'b>, CborError> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Sequence<'b>, CborError> {
        head(self.out, 5, 1);
        self.serialize_str(variant)?;
        head(self.out, 4, length(len));
        Ok(Sequence { out: self.out })
    }
    fn serialize_map(self, _: Option<usize>) -> Result<ser::Impossible<(), CborError>, CborError> {
        Err(CborError("a map with computed keys".to_owned()))
    }
    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Fields<'b>, CborError> {
        Ok(Fields::new(self.out, len))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Fields<'b>, CborError> {
        head(self.out, 5, 1);
        self.serialize_str(variant)?;
        Ok(Fields::new(self.out, len))
    }
}

struct Sequence<'a> {
    out: &'a mut Vec<u8>,
}

macro_rules! sequence {
    ($($trait:ident $method:ident;)*) => {$(
        impl ser::$trait for Sequence<'_> {
            type Ok = ();
            type Error = CborError;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CborError> {
                value.serialize(&mut Encoder { out: self.out })
            }
            fn end(self) -> Result<(), CborError> {
                Ok(())
            }
        }
    )*};
}
sequence! {
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
    SerializeTupleVariant serialize_field;
}

/// The fields of a struct: written one after the other, put in the order of their keys at the end.
struct Fields<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    /// Key and where its entry ends.
    entries: Vec<(&'static str, usize)>,
}

impl<'a> Fields<'a> {
    fn new(out: &'a mut Vec<u8>, len: usize) -> Self {
        head(out, 5, length(len));
        let start = out.len();
        Fields { out, start, entries: Vec::with_capacity(len) }
    }

    fn push<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), CborError> {
        head(self.out, 3, length(key.len()));
        self.out.extend_from_slice(key.as_bytes());
        value.serialize(&mut Encoder { out: self.out })?;
        self.entries.push((key, self.out.len()));
        Ok(())
    }

    fn finish(self) {
        if self.entries.is_sorted_by(|(a, _), (b, _)| (a.len(), a) <= (b.len(), b)) {
            return;
        }
        let written = self.out.split_off(self.start);
        let mut begin = 0;
        let mut parts = Vec::with_capacity(self.entries.len());
        for (key, end) in self.entries {
            let end = end - self.start;
            parts.push((key, begin..end));
            begin = end;
        }
        parts.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
        for (_, range) in parts {
            self.out.extend_from_slice(&written[range]);
        }
    }
}

macro_rules! fields {
    ($($trait:ident;)*) => {$(
        impl ser::$trait for Fields<'_> {
            type Ok = ();
            type Error = CborError;
            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), CborError> {
                self.push(key, value)
            }
            fn end(self) -> Result<(), CborError> {
                self.finish();
                Ok(())
            }
        }
    )*};
}
fields! {
    SerializeStruct;
    SerializeStructVariant;
}
