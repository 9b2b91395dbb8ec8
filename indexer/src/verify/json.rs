//! Hex as nodes write it, read without detours.

use alloy_primitives::{U256, hex};
use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};
use std::fmt;

use crate::Topics;

/// A number: `0x` and hex digits of either case (one node writes `0x7E`), or a plain JSON number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quantity(pub(super) u64);

/// Exactly `N` bytes of hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fixed<const N: usize>(pub(super) [u8; N]);

/// A number of up to 256 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wide(pub(super) U256);

fn digits<E: Error>(text: &str) -> Result<&str, E> {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).ok_or_else(|| E::custom("hex without 0x"))
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of 64 bits, as 0x-hex")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Quantity, E> {
                u64::from_str_radix(digits(text)?, 16).map(Quantity).map_err(E::custom)
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Quantity, E> {
                Ok(Quantity(value))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Fixed<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<const N: usize>;
        impl<const N: usize> Visitor<'_> for Reader<N> {
            type Value = Fixed<N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{N} bytes of hex")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Fixed<N>, E> {
                let mut bytes = [0; N];
                hex::decode_to_slice(digits(text)?, &mut bytes).map_err(E::custom)?;
                Ok(Fixed(bytes))
            }
        }
        deserializer.deserialize_str(Reader::<N>)
    }
}

impl<'de> Deserialize<'de> for Wide {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Wide;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of 256 bits, as 0x-hex")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Wide, E> {
                U256::from_str_radix(digits(text)?, 16).map(Wide).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Reader)
    }
}

/// Up to four topics, read in place; for `#[serde(deserialize_with)]`.
pub(super) fn topics<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Topics, D::Error> {
    struct Reader;
    impl<'de> Visitor<'de> for Reader {
        type Value = Topics;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("at most four topics")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Topics, A::Error> {
            let mut topics = Topics::default();
            while let Some(topic) = items.next_element::<Fixed<32>>()? {
                topics.push(topic.0.into()).ok_or_else(|| A::Error::custom("more than four topics"))?;
            }
            Ok(topics)
        }
    }
    deserializer.deserialize_seq(Reader)
}

/// Appends the bytes of `0x`-hex to a buffer; `None` when it is no hex.
pub(super) fn append_hex(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    let start = out.len();
    out.resize(start.checked_add(digits.len().checked_div(2)?)?, 0);
    hex::decode_to_slice(digits, &mut out[start..]).ok()
}
