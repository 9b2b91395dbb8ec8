//! Values that a client binds to `$1`, `$2`, …: text or binary, of the type that it says or that follows from their place.

use std::sync::Arc;

use arrow::array::ListArray;
use arrow::datatypes::{DataType, IntervalMonthDayNanoType};
use datafusion::scalar::ScalarValue;

use super::fault::Fault;
use super::value::{EPOCH_DAYS, EPOCH_MICROS, Kind, Type};

/// Digits that a number of money or the like can have.
const DIGITS_MAX: usize = 38;
/// Items of a list.
const ITEMS_MAX: usize = 100_000;

/// The type of a parameter: what the client said, or what follows from its place, or text.
pub(super) fn type_of(said: u32, inferred: Option<&DataType>) -> Result<Type, Fault> {
    match (said, inferred) {
        (0, None) => Ok(Type::TEXT),
        (0, Some(inferred)) => Ok(Type::of(inferred)),
        (oid, _) => Type::from_oid(oid).ok_or_else(|| {
            Fault::unsupported(format!(
                "a parameter of the type with number {oid}: expected text, a number, a time or a list"
            ))
        }),
    }
}

/// One value. Text that the client gave no type takes the one of its place.
pub(super) fn value(
    bytes: Option<&[u8]>,
    said: u32,
    inferred: Option<&DataType>,
    format: i16,
) -> Result<ScalarValue, Fault> {
    let wanted = type_of(said, inferred)?;
    let Some(bytes) = bytes else {
        let null = inferred.map_or_else(|| wanted.arrow(), DataType::clone);
        return ScalarValue::try_from(&null).map_err(|cause| Fault::invalid(cause.to_string()));
    };
    let read = match (format, wanted.list) {
        (1, false) => binary(bytes, wanted.kind),
        (1, true) => binary_list(bytes, wanted),
        (_, list) => {
            let text = std::str::from_utf8(bytes).map_err(|_cause| Fault::invalid("a text is not UTF-8"))?;
            if list { text_list(text, wanted) } else { self::text(text, wanted.kind) }
        }
    }?;
    // Text of no type, for what is no text: a number with an exponent, a time, an interval.
    match inferred {
        Some(inferred) if wanted.kind == Kind::Text && !wanted.list && !is_text(inferred) => {
            read.cast_to(inferred).map_err(|cause| Fault::invalid(first_line(&cause)))
        }
        _ => Ok(read),
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null)
}

fn first_line(cause: &impl std::fmt::Display) -> String {
    cause.to_string().lines().next().unwrap_or_default().to_owned()
}

fn text(text: &str, kind: Kind) -> Result<ScalarValue, Fault> {
    let wrong = || Fault::invalid(format!("{text:?} is no {}", name(kind)));
    match kind {
        Kind::Text => Ok(ScalarValue::from(text)),
        Kind::Bool => match text.trim().to_ascii_lowercase().as_str() {
            "t" | "true" | "y" | "yes" | "on" | "1" => Ok(ScalarValue::from(true)),
            "f" | "false" | "n" | "no" | "off" | "0" => Ok(ScalarValue::from(false)),
            _ => Err(wrong()),
        },
        Kind::Numeric => decimal(text.trim()),
        Kind::Bytea => {
            let digits = text.strip_prefix("\\x").ok_or_else(wrong)?;
            let bytes = alloy_primitives::hex::decode(digits).map_err(|_cause| wrong())?;
            Ok(ScalarValue::Binary(Some(bytes)))
        }
        _ => {
            let wanted = Type { kind, list: false, modifier: -1 }.arrow();
            ScalarValue::from(text.trim()).cast_to(&wanted).map_err(|_cause| wrong())
        }
    }
}

fn name(kind: Kind) -> String {
    Type { kind, list: false, modifier: -1 }.sql()
}

/// A number with all of its digits.
fn decimal(text: &str) -> Result<ScalarValue, Fault> {
    let wrong = || Fault::invalid(format!("{text:?} is no numeric"));
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    if all.trim_start_matches('0').len() > DIGITS_MAX || fraction.len() > DIGITS_MAX {
        return Err(Fault::range(format!("{text} has more than {DIGITS_MAX} digits")));
    }
    let number = all.parse::<i128>().map_err(|_cause| wrong())?;
    let scale = i8::try_from(fraction.len()).map_err(|_cause| wrong())?;
    Ok(ScalarValue::Decimal128(Some(if negative { -number } else { number }), 38, scale))
}

fn binary(bytes: &[u8], kind: Kind) -> Result<ScalarValue, Fault> {
    let wrong = || Fault::new("22P03", format!("{} bytes are no {} in binary", bytes.len(), name(kind)));
    let whole = || integer(bytes).ok_or_else(wrong);
    Ok(match kind {
        Kind::Bool => match bytes {
            [yes] => ScalarValue::from(*yes != 0),
            _ => return Err(wrong()),
        },
        Kind::Int2 => ScalarValue::from(i16::try_from(whole()?).map_err(|_cause| wrong())?),
        Kind::Int4 => ScalarValue::from(i32::try_from(whole()?).map_err(|_cause| wrong())?),
        Kind::Int8 => ScalarValue::from(whole()?),
        Kind::Float4 => ScalarValue::from(f32::from_be_bytes(bytes.try_into().map_err(|_cause| wrong())?)),
        Kind::Float8 => ScalarValue::from(f64::from_be_bytes(bytes.try_into().map_err(|_cause| wrong())?)),
        Kind::Numeric => return decimal(&digits(bytes).ok_or_else(wrong)?),
        Kind::Text => ScalarValue::from(std::str::from_utf8(bytes).map_err(|_cause| wrong())?),
        Kind::Bytea => ScalarValue::Binary(Some(bytes.to_vec())),
        Kind::Date => {
            let days = i32::try_from(whole()?).map_err(|_cause| wrong())?;
            ScalarValue::Date32(Some(days.saturating_add(EPOCH_DAYS)))
        }
        Kind::Time => ScalarValue::Time64Microsecond(Some(whole()?)),
        Kind::Timestamp | Kind::TimestampTz => {
            let zone = (kind == Kind::TimestampTz).then(|| "+00:00".into());
            ScalarValue::TimestampMicrosecond(Some(whole()?.saturating_add(EPOCH_MICROS)), zone)
        }
        Kind::Interval => {
            let (micros, rest) = bytes.split_first_chunk::<8>().ok_or_else(wrong)?;
            let (days, months) = rest.split_first_chunk::<4>().ok_or_else(wrong)?;
            let months = i32::from_be_bytes(months.try_into().map_err(|_cause| wrong())?);
            let nanoseconds = i64::from_be_bytes(*micros).checked_mul(1_000).ok_or_else(wrong)?;
            let made = IntervalMonthDayNanoType::make_value(months, i32::from_be_bytes(*days), nanoseconds);
            ScalarValue::IntervalMonthDayNano(Some(made))
        }
    })
}

/// A whole number of two, four or eight bytes.
fn integer(bytes: &[u8]) -> Option<i64> {
    match bytes.len() {
        2 => bytes.try_into().ok().map(i16::from_be_bytes).map(i64::from),
        4 => bytes.try_into().ok().map(i32::from_be_bytes).map(i64::from),
        8 => bytes.try_into().ok().map(i64::from_be_bytes),
        _ => None,
    }
}

/// The digits of a numeric in binary; `None` for what is no number.
fn digits(bytes: &[u8]) -> Option<String> {
    let mut fields = bytes.chunks_exact(2).map(|two| two.try_into().map_or(0, i16::from_be_bytes));
    let (count, weight, sign, scale) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let groups: Vec<i16> = fields.collect();
    let scale = usize::try_from(scale).ok()?;
    let fits = bytes.len() == 8 + 2 * groups.len() && usize::try_from(count) == Ok(groups.len());
    // 38 digits are ten groups, and as many zeros may lie on either side of the point.
    if !fits
        || scale > DIGITS_MAX
        || !(-12..=12).contains(&weight)
        || groups.iter().any(|one| !(0..10_000).contains(one))
    {
        return None;
    }
    let (mut whole, mut fraction) = (String::new(), String::new());
    // From the first place before the point, or the first group, to the last group.
    let last = weight - i16::try_from(groups.len()).ok()? + 1;
    for place in (std::cmp::min(last, 0)..=std::cmp::max(weight, 0)).rev() {
        let at = usize::try_from(weight - place).ok();
        let group = at.and_then(|at| groups.get(at)).copied().unwrap_or(0);
        let side = if place >= 0 { &mut whole } else { &mut fraction };
        side.push_str(&format!("{group:04}"));
    }
    let padded = format!("{fraction:0<scale$}");
    let sign = match sign {
        0 => "",
        0x4000 => "-",
        _ => return None,
    };
    Some(format!("{sign}{whole}.{}", padded.get(..scale)?))
}

/// A list of one dimension in binary.
fn binary_list(bytes: &[u8], wanted: Type) -> Result<ScalarValue, Fault> {
    let wrong = || Fault::new("22P03", "the list is none in binary, or has more than one dimension".to_owned());
    let mut rest = bytes;
    let mut field = || -> Result<i32, Fault> {
        let (taken, more) = rest.split_first_chunk::<4>().ok_or_else(wrong)?;
        rest = more;
        Ok(i32::from_be_bytes(*taken))
    };
    let (dimensions, _nulls, oid) = (field()?, field()?, field()?.cast_unsigned());
    let kind = Type::from_oid(oid).filter(|one| !one.list).ok_or_else(wrong)?.kind;
    let count = match dimensions {
        0 => 0,
        1 => usize::try_from(field()?).ok().filter(|count| *count <= ITEMS_MAX).ok_or_else(wrong)?,
        _ => return Err(wrong()),
    };
    if dimensions == 1 {
        let _first = field()?;
    }
    let mut items = Vec::new();
    for _ in 0..count {
        let (length, more) = rest.split_first_chunk::<4>().ok_or_else(wrong)?;
        rest = more;
        items.push(match usize::try_from(i32::from_be_bytes(*length)) {
            Err(_) => None,
            Ok(length) => {
                let (item, more) = rest.split_at_checked(length).ok_or_else(wrong)?;
                rest = more;
                Some(binary(item, kind)?)
            }
        });
    }
    list(items, Type { kind, ..wanted })
}

/// A list as PostgreSQL writes it: `{1,NULL,"two words"}`.
fn text_list(text: &str, wanted: Type) -> Result<ScalarValue, Fault> {
    let wrong = || Fault::invalid(format!("{text:?} is no list of one dimension, like {{1,NULL,\"two words\"}}"));
    let inner = text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}')).ok_or_else(wrong)?;
    let mut items = Vec::new();
    let mut characters = inner.chars().peekable();
    while characters.peek().is_some() {
        let quoted = characters.next_if_eq(&'"').is_some();
        let mut item = String::new();
        loop {
            match characters.next() {
                Some('\\') => item.push(characters.next().ok_or_else(wrong)?),
                Some('"') if quoted => break,
                Some('{' | '}' | '"') if !quoted => return Err(wrong()),
                Some(',') if !quoted => break,
                Some(character) => item.push(character),
                None if quoted => return Err(wrong()),
                None => break,
            }
        }
        if quoted && !matches!(characters.next(), None | Some(',')) {
            return Err(wrong());
        }
        let null = !quoted && item.eq_ignore_ascii_case("null");
        items.push(if null { None } else { Some(self::text(&item, wanted.kind)?) });
        if items.len() > ITEMS_MAX {
            return Err(Fault::range(format!("a list has more than {ITEMS_MAX} items")));
        }
    }
    list(items, wanted)
}

/// Numbers of one list have one scale.
fn list(items: Vec<Option<ScalarValue>>, wanted: Type) -> Result<ScalarValue, Fault> {
    let scale = |item: &ScalarValue| if let ScalarValue::Decimal128(_, _, scale) = item { *scale } else { 0 };
    let most = items.iter().flatten().map(scale).fold(0, std::cmp::max);
    let one = match wanted.kind {
        Kind::Numeric => DataType::Decimal128(38, most),
        _ => Type { list: false, ..wanted }.arrow(),
    };
    let cast = |item: Option<ScalarValue>| match item {
        None => ScalarValue::try_from(&one),
        Some(item) => item.cast_to(&one),
    };
    let items = items.into_iter().map(cast).collect::<Result<Vec<_>, _>>();
    let items = items.map_err(|cause| Fault::range(first_line(&cause)))?;
    let made: Arc<ListArray> = ScalarValue::new_list_nullable(&items, &one);
    Ok(ScalarValue::List(made))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(text: &str, said: u32, inferred: Option<DataType>) -> Result<ScalarValue, String> {
        value(Some(text.as_bytes()), said, inferred.as_ref(), 0).map_err(|fault| fault.state.to_owned())
    }

    #[test]
    fn text_takes_the_type_of_its_place() {
        let number = DataType::Int64;
        assert_eq!(bound("7", 0, Some(number.clone())), Ok(ScalarValue::from(7i64)));
        assert_eq!(bound("7", 25, Some(number.clone())), Ok(ScalarValue::from(7i64)), "text that says so as well");
        assert_eq!(bound("seven", 0, Some(number)), Err("22P02".to_owned()));
        assert_eq!(bound("0xab", 0, Some(DataType::Utf8)), Ok(ScalarValue::from("0xab")));
        assert_eq!(bound("7", 0, None), Ok(ScalarValue::from("7")));
        let money = Some(DataType::Decimal128(38, 0));
        assert_eq!(
            bound("1.50", 0, money.clone()),
            Ok(ScalarValue::Decimal128(Some(150), 38, 2)),
            "nothing is rounded"
        );
        assert_eq!(bound(&"9".repeat(39), 0, money.clone()), Err("22003".to_owned()));
        assert_eq!(bound("1e5", 0, money), Err("22P02".to_owned()));
        assert_eq!(bound("x", 2950, None), Err("0A000".to_owned()));
        assert_eq!(value(None, 0, Some(&DataType::Int64), 0).unwrap(), ScalarValue::Int64(None));
    }

    #[test]
    fn numerics_are_read_as_they_are_written() {
        for (fields, expected) in [
            (vec![0, 0, 0, 0], "0000."),
            (vec![1, 0, 0, 2, 1], "0001.00"),
            (vec![3, 2, 0x4000, 0, 1, 2345, 6789], "-000123456789."),
            (vec![1, 1, 0, 0, 1], "00010000."),
            (vec![1, -2, 0, 5, 5000], "0000.00005"),
        ] {
            let bytes: Vec<u8> = fields.iter().flat_map(|field: &i16| field.to_be_bytes()).collect();
            assert_eq!(digits(&bytes).unwrap(), expected);
            assert!(decimal(expected).is_ok());
            assert_eq!(digits(&bytes[..bytes.len() - 1]), None);
        }
        let none = [0i16, 0, i16::MIN | 0x4000, 0].map(i16::to_be_bytes).concat();
        assert_eq!(digits(&none), None, "not a number");
    }

    #[test]
    fn lists_are_read_in_both_forms() {
        let list = |text: &str| bound(text, 1009, None).map(|list| list.to_string());
        assert_eq!(list(r#"{a,"two words",NULL,"null","q\"\\"}"#).unwrap(), "[a, two words, , null, q\"\\]");
        assert_eq!(list("{}").unwrap(), "[]");
        for wrong in ["", "{", "a", "{{1}}", "{\"a}", "{\"a\"b}"] {
            assert_eq!(list(wrong), Err("22P02".to_owned()), "{wrong}");
        }
        let fields = [1, 0, 23, 2, 1, 4, 7, 4, 8].map(i32::to_be_bytes).concat();
        let read = value(Some(&fields), 1007, None, 1).unwrap();
        assert_eq!(read.to_string(), "[7, 8]");
        for end in 0..fields.len() {
            assert!(value(Some(&fields[..end]), 1007, None, 1).is_err());
        }
    }
}
