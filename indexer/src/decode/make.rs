//! How values are made of other values.

use alloy_primitives::{I256, U256};
use std::borrow::Cow;

use super::Static;
use super::abi::{Arg, Shape};
use super::eval::{At, BuildError, Value, signed, unfit};
use crate::mapping::{Place, Step, Type};

/// What ends the calldata of a transaction that carries codes (ERC-8021).
const ERC8021: [u8; 16] =
    [0x80, 0x21, 0x80, 0x21, 0x80, 0x21, 0x80, 0x21, 0x80, 0x21, 0x80, 0x21, 0x80, 0x21, 0x80, 0x21];

/// Bytes from a place, counted from the end when negative.
pub(super) fn slice<'a>(
    bytes: Cow<'a, [u8]>,
    at: i64,
    length: Option<usize>,
    ty: &Type,
) -> Result<Value<'a>, BuildError> {
    let size = bytes.len();
    let out = || BuildError::Shape(format!("{size} bytes: expected more, to slice at {at}"));
    let distance = usize::try_from(at.unsigned_abs()).map_err(|_wide| out())?;
    let start = if at < 0 { size.checked_sub(distance) } else { Some(distance) }.ok_or_else(out)?;
    let end = length.map_or(Some(size), |length| start.checked_add(length)).ok_or_else(out)?;
    let part = match bytes {
        Cow::Borrowed(bytes) => bytes.get(start..end).map(Cow::Borrowed),
        Cow::Owned(bytes) => bytes.get(start..end).map(|part| Cow::Owned(part.to_vec())),
    }
    .ok_or_else(out)?;
    match (ty, <[u8; 20]>::try_from(part.as_ref())) {
        (Type::Word(Static::Address), Ok(address)) => Ok(Value::Address(address)),
        _ => Ok(Value::Bytes(part)),
    }
}

/// The same value as another type, when it fits.
pub(super) fn cast<'a>(value: Value<'a>, ty: &Type) -> Result<Value<'a>, BuildError> {
    if matches!(value, Value::Nothing) {
        return Ok(value);
    }
    let wrong = || BuildError::Range(format!("{} does not fit {ty}", value.what()));
    let Type::Word(word) = ty else {
        return match ty {
            Type::Bytes => Ok(Value::Bytes(Cow::Owned(value.packed("bytes")?.into_owned()))),
            _ => Ok(value),
        };
    };
    match word {
        Static::Uint(bits) => {
            let number = number(&value).ok_or_else(wrong)?;
            if number.bit_len() > *bits { Err(wrong()) } else { Ok(Value::Unsigned(number.to_be_bytes(), *bits)) }
        }
        Static::Int(bits) => {
            let number = match &value {
                Value::Signed(word, _) => signed(*word),
                other => I256::try_from(number(other).ok_or_else(wrong)?).map_err(|_wide| wrong())?,
            };
            if number.bits() > u32::try_from(*bits).unwrap_or_default() {
                return Err(wrong());
            }
            Ok(Value::Signed(number.into_raw().to_be_bytes(), *bits))
        }
        Static::Address => {
            if let Value::Text(text) = &value {
                return text
                    .parse::<alloy_primitives::Address>()
                    .map(|one| Value::Address(*one.0))
                    .map_err(|_bad| wrong());
            }
            let bytes = value.packed("an address")?;
            let (padding, address) = bytes.split_at(bytes.len().checked_sub(20).ok_or_else(wrong)?);
            let address = <[u8; 20]>::try_from(address).map_err(|_short| wrong())?;
            if padding.iter().any(|byte| *byte != 0) || bytes.len() > 32 {
                return Err(wrong());
            }
            Ok(Value::Address(address))
        }
        Static::Fixed(size) => {
            let bytes = match &value {
                Value::Text(text) if text.starts_with("0x") => {
                    alloy_primitives::hex::decode(text.as_ref()).map_err(|_bad| wrong())?
                }
                // An address and an integer stand at the end of a word, as Solidity casts them.
                Value::Address(_) | Value::Unsigned(..) | Value::Signed(..) if *size == 32 => {
                    number(&value).ok_or_else(wrong)?.to_be_bytes_vec()
                }
                other => other.packed("bytes")?.into_owned(),
            };
            if bytes.len() == *size { Ok(Value::Bytes(Cow::Owned(bytes))) } else { Err(wrong()) }
        }
        Static::Bool => Err(wrong()),
    }
}

/// The number that a value stands for: bytes big-endian, text decimal or 0x hex.
fn number(value: &Value<'_>) -> Option<U256> {
    match value {
        Value::Unsigned(word, _) | Value::Id(word) => Some(U256::from_be_bytes(*word)),
        Value::Signed(word, _) => (word[0] & 0x80 == 0).then(|| U256::from_be_bytes(*word)),
        Value::Address(address) => Some(U256::from_be_slice(address)),
        Value::Bytes(bytes) => (bytes.len() <= 32).then(|| U256::from_be_slice(bytes)),
        Value::Bool(truth) => Some(U256::from(u8::from(*truth))),
        Value::Text(text) => {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let hex = text.strip_prefix("0x").is_some_and(|hex| !hex.is_empty());
            if digits || hex { text.parse().ok() } else { None }
        }
        Value::Nothing | Value::Array(..) | Value::Texts(_) => None,
    }
}

/// The value times a power of ten.
pub(super) fn scale<'a>(value: &Value<'_>, power: i32, floor: bool) -> Result<Value<'a>, BuildError> {
    let factor = U256::from(10).pow(U256::from(power.unsigned_abs()));
    let (size, negative, bits) = match value {
        Value::Nothing => return Ok(Value::Nothing),
        Value::Unsigned(word, _) => (U256::from_be_bytes(*word), false, 256),
        Value::Signed(word, _) => (signed(*word).unsigned_abs(), word[0] & 0x80 != 0, 255),
        other => return Err(unfit(other.what(), "an integer")),
    };
    let scaled = if power >= 0 {
        size.checked_mul(factor)
    } else {
        let (quotient, rest) = size.div_rem(factor);
        if !rest.is_zero() && !floor {
            return Err(BuildError::Range(format!("{size} is no multiple of 10^{}", power.unsigned_abs())));
        }
        // Down is towards less, also below zero.
        Some(if negative && !rest.is_zero() { quotient + U256::ONE } else { quotient })
    };
    let scaled = scaled.filter(|scaled| scaled.bit_len() <= bits);
    let scaled = scaled.ok_or_else(|| BuildError::Range(format!("{size} times 10^{power} is out of range")))?;
    Ok(match (value, negative) {
        (Value::Signed(..), true) => Value::Signed(scaled.wrapping_neg().to_be_bytes(), 256),
        (Value::Signed(..), false) => Value::Signed(scaled.to_be_bytes(), 256),
        _ => Value::Unsigned(scaled.to_be_bytes(), 256),
    })
}

/// One value of what abi.encode wrote.
pub(super) fn abi<'a>(bytes: &[u8], shape: &Shape, place: &Place) -> Result<Value<'a>, BuildError> {
    taken(&shape.decode(&[alloy_primitives::B256::ZERO], bytes).map_err(BuildError::Shape)?, place)
}

/// One value of decoded arguments.
pub(super) fn taken<'a>(args: &[Arg<'_>], place: &Place) -> Result<Value<'a>, BuildError> {
    let missing = || unfit("a shorter list", "an element");
    let mut arg = args.get(place.index).cloned().ok_or_else(missing)?;
    for step in &place.steps {
        let index = match *step {
            Step::Part(index) => index,
            Step::Each(level) => At::default().indices.get(level).copied().unwrap_or_default(),
        };
        arg = arg.part(index).ok_or_else(missing)?;
    }
    Ok(Value::of_arg(&arg).owned())
}

/// Bytes read as text; fixed bytes end at their trailing zeros, as short texts do that Solidity keeps in a word.
pub(super) fn utf8(value: Value<'_>) -> Result<Value<'_>, BuildError> {
    let broken = |error: &dyn std::fmt::Display| BuildError::Shape(format!("no text: {error}"));
    let trimmed = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    match value {
        Value::Bytes(Cow::Borrowed(bytes)) => {
            let bytes = if bytes.len() <= 32 { &bytes[..trimmed(bytes)] } else { bytes };
            std::str::from_utf8(bytes).map(|text| Value::Text(Cow::Borrowed(text))).map_err(|error| broken(&error))
        }
        Value::Bytes(Cow::Owned(mut bytes)) => {
            if bytes.len() <= 32 {
                bytes.truncate(trimmed(&bytes));
            }
            String::from_utf8(bytes).map(|text| Value::Text(Cow::Owned(text))).map_err(|error| broken(&error))
        }
        Value::Id(word) => {
            let text = String::from_utf8(word[..trimmed(&word)].to_vec()).map_err(|error| broken(&error))?;
            Ok(Value::Text(Cow::Owned(text)))
        }
        Value::Nothing => Ok(Value::Nothing),
        other => Err(unfit(other.what(), "bytes")),
    }
}

/// A value inside a JSON text; nothing when the path leads nowhere. Fractions are no numbers here.
pub(super) fn json<'a>(text: &str, path: &[String], ty: &Type) -> Result<Value<'a>, BuildError> {
    let tree: serde_json::Value =
        serde_json::from_str(text).map_err(|error| BuildError::Shape(format!("no JSON: {error}")))?;
    let found = path.iter().try_fold(&tree, |at, key| match at {
        serde_json::Value::Object(object) => object.get(key),
        serde_json::Value::Array(list) => key.parse::<usize>().ok().and_then(|index| list.get(index)),
        _ => None,
    });
    let value = match found {
        None | Some(serde_json::Value::Null) => return Ok(Value::Nothing),
        Some(serde_json::Value::Bool(truth)) => Value::Bool(*truth),
        Some(serde_json::Value::String(text)) => Value::Text(Cow::Owned(text.clone())),
        Some(serde_json::Value::Number(number)) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Value::Unsigned(U256::from(number).to_be_bytes(), 64),
            (None, Some(number)) => {
                let wide = I256::try_from(number).map_err(|error| BuildError::Range(error.to_string()))?;
                Value::Signed(wide.into_raw().to_be_bytes(), 64)
            }
            (None, None) => return Err(BuildError::Range(format!("{number}: expected an integer below 2^64"))),
        },
        Some(_) => return Err(unfit("an object or a list", &ty.to_string())),
    };
    match (ty, value) {
        (Type::Text, Value::Text(text)) => Ok(Value::Text(text)),
        (Type::Word(Static::Bool), Value::Bool(truth)) => Ok(Value::Bool(truth)),
        (Type::Text | Type::Word(Static::Bool), other) => Err(unfit(other.what(), &ty.to_string())),
        (_, Value::Bool(_)) => Err(unfit("a truth value", &ty.to_string())),
        (_, value) => cast(value, ty),
    }
}

/// The codes at the end of calldata, by schema 0 of ERC-8021: codes ‖ their length u8 ‖ schema u8 ‖ marker; codes are
/// ASCII with commas between. Nothing when there is no marker.
pub(super) fn codes(input: &[u8]) -> Result<Vec<String>, BuildError> {
    let wrong = |what: &str| BuildError::Shape(format!("ERC-8021 suffix: {what}"));
    let Some(rest) = input.strip_suffix(&ERC8021) else { return Ok(Vec::new()) };
    let Some((schema, rest)) = rest.split_last() else { return Err(wrong("no schema")) };
    if *schema != 0 {
        return Err(wrong(&format!("schema {schema}: expected 0")));
    }
    let Some((length, rest)) = rest.split_last() else { return Err(wrong("no length")) };
    let start = rest.len().checked_sub(usize::from(*length)).ok_or_else(|| wrong("longer than the calldata"))?;
    let text = std::str::from_utf8(&rest[start..]).map_err(|error| wrong(&error.to_string()))?;
    if !text.is_ascii() {
        return Err(wrong("codes are ASCII"));
    }
    Ok(text.split(',').filter(|code| !code.is_empty()).map(str::to_owned).collect())
}

impl Value<'_> {
    fn owned<'b>(self) -> Value<'b> {
        match self {
            Self::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Unsigned(word, bits) => Value::Unsigned(word, bits),
            Self::Signed(word, bits) => Value::Signed(word, bits),
            Self::Id(word) => Value::Id(word),
            Self::Address(address) => Value::Address(address),
            Self::Bool(truth) => Value::Bool(truth),
            Self::Texts(texts) => Value::Texts(texts),
            Self::Nothing | Self::Array(..) => Value::Nothing,
        }
    }
}
