//! Money: base units of a token, an integer in 0 ≤ x < 10^38, so that it fits Decimal128(38, 0) in every reader.

use alloy_primitives::U256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

use crate::error::SchemaError;

/// Base units of a token. Arithmetic is checked; nothing wraps and nothing rounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u128);

impl Amount {
    /// 10^38, the first value that is too large.
    pub const LIMIT: u128 = 10u128.pow(38);
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount of `units` base units.
    pub fn new(units: u128) -> Result<Self, SchemaError> {
        if units < Self::LIMIT {
            Ok(Self(units))
        } else {
            Err(SchemaError::AmountOutOfRange { got: units.to_string() })
        }
    }

    /// The amount held by an unsigned 256-bit integer of a contract.
    pub fn from_u256(units: U256) -> Result<Self, SchemaError> {
        u128::try_from(units).map_or_else(|_| Err(SchemaError::AmountOutOfRange { got: units.to_string() }), Self::new)
    }

    /// The base units.
    #[must_use]
    pub const fn units(self) -> u128 {
        self.0
    }

    /// The base units as the signed integer that a decimal column holds. It always fits: 10^38 < 2^127.
    #[must_use]
    pub const fn signed(self) -> i128 {
        self.0.cast_signed()
    }

    /// The amount in a decimal column, refused when negative or too large.
    pub fn from_signed(units: i128) -> Result<Self, SchemaError> {
        u128::try_from(units).map_or_else(|_| Err(SchemaError::AmountOutOfRange { got: units.to_string() }), Self::new)
    }

    /// The sum, refused at 10^38.
    pub fn checked_add(self, other: Self) -> Result<Self, SchemaError> {
        self.0
            .checked_add(other.0)
            .map_or_else(|| Err(SchemaError::AmountOutOfRange { got: format!("{self} + {other}") }), Self::new)
    }

    /// The difference, refused below zero.
    pub fn checked_sub(self, other: Self) -> Result<Self, SchemaError> {
        self.0
            .checked_sub(other.0)
            .map(Self)
            .ok_or_else(|| SchemaError::AmountNegative { left: self.to_string(), right: other.to_string() })
    }

    /// Whether it is zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The 32-byte big-endian form a contract uses.
    #[must_use]
    pub fn to_u256(self) -> U256 {
        U256::from(self.0)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Amount {
    type Err = SchemaError;
    fn from_str(text: &str) -> Result<Self, SchemaError> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(SchemaError::Malformed {
                what: "amount",
                reason: format!("{text:?} is not decimal text of base units"),
            });
        }
        text.parse::<u128>().map_or_else(|_| Err(SchemaError::AmountOutOfRange { got: text.to_owned() }), Self::new)
    }
}

impl Serialize for Amount {
    /// Decimal text for people (JSON has no integers this wide), a plain integer otherwise.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_u128(self.0) }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
        } else {
            Self::new(u128::deserialize(deserializer)?).map_err(D::Error::custom)
        }
    }
}
