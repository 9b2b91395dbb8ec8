//! The scalars of the schema, and money: never a float, always with its token.

use alloy_primitives::{Address, B256};
use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, SimpleObject, Value};
use tributary_schemas::column::{Micros, hex_text};

/// An account or contract: 20 bytes as 0x hex, taken in any case, given with the checksum of EIP-55.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AddressText(pub(crate) Address);

impl AddressText {
    /// The address in a column, which holds 0x hex; text that is none becomes the zero address.
    pub(crate) fn read(text: &str) -> Self {
        Self(text.parse().unwrap_or(Address::ZERO))
    }
    /// As the tables hold it.
    pub(crate) fn lower(self) -> String {
        hex_text(self.0)
    }
}

/// 20 bytes as 0x hex; taken in any case, given with the checksum of EIP-55.
#[Scalar(name = "Address")]
impl ScalarType for AddressText {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        let bare = text.strip_prefix("0x").filter(|rest| rest.len() == 40);
        bare.and_then(|rest| rest.parse().ok())
            .map(Self)
            .ok_or_else(|| InputValueError::custom(format!("{text:?} is no address: expected 0x and 40 hex digits")))
    }
    fn to_value(&self) -> Value {
        Value::String(self.0.to_checksum(None))
    }
}

/// A hash, root or id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bytes32(pub(crate) B256);

impl Bytes32 {
    /// The hash in a column; `None` for text that is none.
    pub(crate) fn read(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// 32 bytes as lower-case 0x hex.
#[Scalar(name = "Bytes32")]
impl ScalarType for Bytes32 {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        let bare = text.strip_prefix("0x").filter(|rest| rest.len() == 64);
        bare.and_then(|rest| rest.parse().ok())
            .map(Self)
            .ok_or_else(|| InputValueError::custom(format!("{text:?} is no hash: expected 0x and 64 hex digits")))
    }
    fn to_value(&self) -> Value {
        Value::String(hex_text(self.0))
    }
}

/// An integer of any width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BigInt(pub(crate) String);

impl<T: Into<i128>> From<T> for BigInt {
    fn from(number: T) -> Self {
        Self(number.into().to_string())
    }
}

/// An integer of any width as decimal text.
#[Scalar(name = "BigInt")]
impl ScalarType for BigInt {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::Number(number) if !number.is_f64() => Ok(Self(number.to_string())),
            Value::String(text) if text.parse::<i128>().is_ok() => Ok(Self(text.clone())),
            Value::String(text) => Err(InputValueError::custom(format!("{text:?} is no decimal integer"))),
            _ => Err(InputValueError::expected_type(value)),
        }
    }
    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// The number of an L2 block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BlockNumber(pub(crate) i64);

/// The number of an L2 block: an integer, taken as decimal text too.
#[Scalar(name = "BlockNumber")]
impl ScalarType for BlockNumber {
    fn parse(value: Value) -> InputValueResult<Self> {
        let number = match &value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse::<i64>().ok(),
            _ => return Err(InputValueError::expected_type(value)),
        };
        number
            .filter(|number| *number >= 0)
            .map(Self)
            .ok_or_else(|| InputValueError::custom(format!("{value} is no block number: expected 0 <= number < 2^63")))
    }
    fn to_value(&self) -> Value {
        Value::from(self.0)
    }
}

/// A time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DateTime(pub(crate) Micros);

impl DateTime {
    /// The time `seconds` after 1970.
    pub(crate) fn seconds(seconds: u64) -> Self {
        Self(Micros::from_seconds(seconds))
    }
}

/// A time as RFC 3339 text: taken with any offset, given in UTC.
#[Scalar(name = "DateTime")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        let nanos = arrow::compute::kernels::cast_utils::string_to_timestamp_nanos(text).ok();
        nanos.map(|nanos| Self(Micros(nanos.div_euclid(1_000)))).ok_or_else(|| {
            InputValueError::custom(format!("{text:?} is no time: expected RFC 3339, such as 2026-01-31T12:00:00Z"))
        })
    }
    fn to_value(&self) -> Value {
        arrow::temporal_conversions::timestamp_us_to_datetime(self.0.0).map_or(Value::Null, |time| {
            let form = if self.0.0 % 1_000_000 == 0 { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%.6fZ" };
            Value::String(time.format(form).to_string())
        })
    }
}

/// Money of one token. Never a float: `raw` is exact, `formatted` is `raw` with the decimal point of the token set.
#[derive(Debug, Clone, PartialEq, Eq, SimpleObject)]
#[graphql(name = "Amount")]
pub(crate) struct Money {
    /// Base units.
    pub(crate) raw: BigInt,
    /// Token; the zero address is the native token.
    pub(crate) token: AddressText,
    /// Symbol, where the configuration names one.
    pub(crate) symbol: Option<String>,
    /// Decimals, where the configuration names them.
    pub(crate) decimals: Option<i32>,
    /// For people: with the decimal point where the token has it; the base units where its decimals are not known.
    pub(crate) formatted: String,
}

/// `units` with the decimal point `decimals` digits from the right and no zeros at the end.
pub(crate) fn with_point(units: i128, decimals: u8) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let width = usize::from(decimals) + 1;
    let digits = format!("{:0>width$}", units.unsigned_abs());
    let (whole, part) = digits.split_at(digits.len() - usize::from(decimals));
    let part = part.trim_end_matches('0');
    if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_point_is_set_exactly() {
        for (units, decimals, text) in [
            (0, 18, "0"),
            (1, 18, "0.000000000000000001"),
            (1_500_000_000_000_000_000, 18, "1.5"),
            (-25, 1, "-2.5"),
            (7, 0, "7"),
            (10i128.pow(38) - 1, 6, "99999999999999999999999999999999.999999"),
        ] {
            assert_eq!(with_point(units, decimals), text, "{units} with {decimals}");
        }
    }

    #[test]
    fn addresses_come_out_with_their_checksum() {
        let taken = AddressText::parse(Value::String("0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359".into())).unwrap();
        assert_eq!(taken.to_value(), Value::String("0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359".into()));
        for wrong in
            ["", "0x", "fb6916095ca1df60bb79ce92ce3ea74c37c5d359", "0xzz6916095ca1df60bb79ce92ce3ea74c37c5d359"]
        {
            assert!(AddressText::parse(Value::String(wrong.into())).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(DateTime::seconds(1_700_000_000).to_value(), Value::String("2023-11-14T22:13:20Z".into()));
        assert_eq!(DateTime(Micros(1)).to_value(), Value::String("1970-01-01T00:00:00.000001Z".into()));
    }
}
