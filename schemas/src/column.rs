//! The types a published column can have: those every reader has (DuckDB, Polars, Spark, Trino), so that nobody casts.

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, BinaryArray, BinaryBuilder, BooleanArray, BooleanBuilder, Decimal128Array,
    Decimal128Builder, Int32Array, Int32Builder, Int64Array, Int64Builder, StringArray, StringBuilder,
    TimestampMicrosecondArray, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, TimeUnit};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::amount::Amount;

/// A Rust type that is a column.
pub trait Column: Sized {
    /// Its Arrow type.
    fn data_type() -> DataType;
    /// Whether it may be NULL.
    const NULLABLE: bool;
    /// A growing column of these values.
    type Builder: ArrayBuilder + Default;
    /// Adds a value to a growing column.
    fn append(&self, builder: &mut Self::Builder);
    /// Bytes that the value takes in a column.
    fn bytes(&self) -> usize;
    /// A growing column, finished.
    fn finish(builder: Self::Builder) -> ArrayRef;
    /// The value of row `row`, or `None` when the array is of another type or NULL where it may not be.
    fn read(array: &dyn Array, row: usize) -> Option<Self>;
}

/// Money or another wide integer: Decimal128(38, 0). Wider is read as a double by DuckDB and refused by Polars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Decimal38(pub i128);

impl From<Amount> for Decimal38 {
    fn from(amount: Amount) -> Self {
        Self(amount.signed())
    }
}

/// A UTC time in microseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    /// The time of a block; times beyond the year 290,000 stop there.
    #[must_use]
    pub fn from_seconds(seconds: u64) -> Self {
        Self(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000))
    }
}

/// Raw bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Binary(#[serde(with = "bytes")] pub Vec<u8>);

mod bytes {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(value)
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        Vec::<u8>::deserialize(deserializer)
    }
}

/// An address, hash or id as the tables show it: lower-case hex after 0x.
#[must_use]
pub fn hex_text(bytes: impl AsRef<[u8]>) -> String {
    alloy_primitives::hex::encode_prefixed(bytes)
}

/// Number as a signed column; numbers beyond 2^63 stop there (block numbers and counts never do).
#[must_use]
pub fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

macro_rules! primitive {
    ($($rust:ty, $array:ty, $builder:ty, $data_type:expr, $fixed:expr, |$m:ident| $more:expr, |$v:ident| $into:expr, |$n:ident| $from:expr, |$a:ident| $finish:expr;)*) => {$(
        impl Column for $rust {
            fn data_type() -> DataType { $data_type }
            const NULLABLE: bool = false;
            type Builder = $builder;
            fn append(&self, builder: &mut $builder) {
                let $v = self;
                builder.append_value($into);
            }
            fn bytes(&self) -> usize {
                let $m = self;
                $fixed + $more
            }
            fn finish(mut builder: $builder) -> ArrayRef {
                let $a = builder.finish();
                Arc::new($finish)
            }
            fn read(array: &dyn Array, row: usize) -> Option<Self> {
                let array = array.as_any().downcast_ref::<$array>()?;
                (row < array.len() && !array.is_null(row)).then(|| { let $n = array.value(row); $from })
            }
        }
        impl Column for Option<$rust> {
            fn data_type() -> DataType { $data_type }
            const NULLABLE: bool = true;
            type Builder = $builder;
            fn append(&self, builder: &mut $builder) {
                builder.append_option(self.as_ref().map(|$v| $into));
            }
            fn bytes(&self) -> usize {
                $fixed + self.as_ref().map_or(0, |$m| $more)
            }
            fn finish(builder: $builder) -> ArrayRef {
                <$rust as Column>::finish(builder)
            }
            fn read(array: &dyn Array, row: usize) -> Option<Self> {
                let array = array.as_any().downcast_ref::<$array>()?;
                (row < array.len()).then(|| (!array.is_null(row)).then(|| { let $n = array.value(row); $from }))
            }
        }
    )*};
}
primitive! {
    i32, Int32Array, Int32Builder, DataType::Int32, 4, |_v| 0, |v| *v, |n| n, |a| a;
    i64, Int64Array, Int64Builder, DataType::Int64, 8, |_v| 0, |v| *v, |n| n, |a| a;
    String, StringArray, StringBuilder, DataType::Utf8, 4, |v| v.len(), |v| v.as_str(), |n| n.to_owned(), |a| a;
    Binary, BinaryArray, BinaryBuilder, DataType::Binary, 4, |v| v.0.len(), |v| v.0.as_slice(), |n| Self::from_slice(n), |a| a;
    Micros, TimestampMicrosecondArray, TimestampMicrosecondBuilder, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), 8, |_v| 0, |v| v.0, |n| Micros(n), |a| a.with_timezone("UTC");
    Decimal38, Decimal128Array, Decimal128Builder, DataType::Decimal128(38, 0), 16, |_v| 0, |v| v.0, |n| Decimal38(n),
        |a| a.with_precision_and_scale(38, 0).expect("38 and 0 are within the type");
}

trait FromSlice {
    fn from_slice(bytes: &[u8]) -> Binary;
}
impl FromSlice for Binary {
    fn from_slice(bytes: &[u8]) -> Binary {
        Self(bytes.to_vec())
    }
}
impl FromSlice for Option<Binary> {
    fn from_slice(bytes: &[u8]) -> Binary {
        Binary(bytes.to_vec())
    }
}

impl Column for bool {
    fn data_type() -> DataType {
        DataType::Boolean
    }
    const NULLABLE: Self = false;
    type Builder = BooleanBuilder;
    fn append(&self, builder: &mut BooleanBuilder) {
        builder.append_value(*self);
    }
    fn bytes(&self) -> usize {
        1
    }
    fn finish(mut builder: BooleanBuilder) -> ArrayRef {
        Arc::new(builder.finish())
    }
    fn read(array: &dyn Array, row: usize) -> Option<Self> {
        let array = array.as_any().downcast_ref::<BooleanArray>()?;
        (row < array.len() && !array.is_null(row)).then(|| array.value(row))
    }
}
