//! Values on the wire: which type of PostgreSQL a column has, and its cells as text and in binary.
//!
//! Every column is first cast to the one Arrow type that its kind is sent from, so that all that the engine can answer
//! with is sent. Decimals travel as their digits: all 38 of them, exactly.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, GenericListArray, IntervalMonthDayNanoArray, StringArray,
};
use arrow::compute::{can_cast_types, cast};
use arrow::datatypes::{
    DataType, Date32Type, Field, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType,
    IntervalUnit, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// A type of PostgreSQL, without what is around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Text,
    Bytea,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Interval,
}

/// What PostgreSQL's catalogue says of a type.
#[derive(Debug, Clone, Copy)]
pub(super) struct About {
    pub(super) kind: Kind,
    pub(super) oid: u32,
    /// Of a list of them.
    pub(super) list_oid: u32,
    /// Bytes of a value, −1 where they vary.
    pub(super) size: i16,
    /// In the catalogue.
    pub(super) name: &'static str,
    /// In SQL.
    pub(super) sql: &'static str,
    /// The group that it belongs to: b, n, s, d, t or u.
    pub(super) category: &'static str,
}

/// The types that are sent, by the numbers of `pg_type.dat` in PostgreSQL's sources.
pub(super) const TYPES: [About; 14] = [
    about(Kind::Bool, 16, 1000, 1, ["bool", "boolean", "B"]),
    about(Kind::Int2, 21, 1005, 2, ["int2", "smallint", "N"]),
    about(Kind::Int4, 23, 1007, 4, ["int4", "integer", "N"]),
    about(Kind::Int8, 20, 1016, 8, ["int8", "bigint", "N"]),
    about(Kind::Float4, 700, 1021, 4, ["float4", "real", "N"]),
    about(Kind::Float8, 701, 1022, 8, ["float8", "double precision", "N"]),
    about(Kind::Numeric, 1700, 1231, -1, ["numeric", "numeric", "N"]),
    about(Kind::Text, 25, 1009, -1, ["text", "text", "S"]),
    about(Kind::Bytea, 17, 1001, -1, ["bytea", "bytea", "U"]),
    about(Kind::Date, 1082, 1182, 4, ["date", "date", "D"]),
    about(Kind::Time, 1083, 1183, 8, ["time", "time without time zone", "D"]),
    about(Kind::Timestamp, 1114, 1115, 8, ["timestamp", "timestamp without time zone", "D"]),
    about(Kind::TimestampTz, 1184, 1185, 8, ["timestamptz", "timestamp with time zone", "D"]),
    about(Kind::Interval, 1186, 1187, 16, ["interval", "interval", "T"]),
];

const fn about(kind: Kind, oid: u32, list_oid: u32, size: i16, names: [&'static str; 3]) -> About {
    let [name, sql, category] = names;
    About { kind, oid, list_oid, size, name, sql, category }
}

/// Numbers of other types of text: name, json, unknown, char(n), varchar(n).
const ALSO_TEXT: [u32; 5] = [19, 114, 705, 1042, 1043];
/// The number of the type of numbers themselves.
const OID: u32 = 26;

/// A type of PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Type {
    pub(super) kind: Kind,
    pub(super) list: bool,
    /// Precision and scale of a numeric, −1 for none.
    pub(super) modifier: i32,
}

impl Type {
    /// Text, of which a NULL can be, too.
    pub(super) const TEXT: Self = Self::plain(Kind::Text);

    const fn plain(kind: Kind) -> Self {
        Self { kind, list: false, modifier: -1 }
    }

    /// The type that a column of the engine is sent as; what PostgreSQL has nothing like is text.
    pub(super) fn of(data_type: &DataType) -> Self {
        let kind = match data_type {
            DataType::Boolean => Kind::Bool,
            DataType::Int8 | DataType::UInt8 | DataType::Int16 => Kind::Int2,
            DataType::UInt16 | DataType::Int32 => Kind::Int4,
            DataType::UInt32 | DataType::Int64 => Kind::Int8,
            DataType::UInt64 | DataType::Decimal256(..) => Kind::Numeric,
            DataType::Decimal128(precision, scale) => {
                // A scale below zero is none of PostgreSQL's before version 15, and nobody needs it.
                let modifier =
                    u8::try_from(*scale).map_or(-1, |scale| (i32::from(*precision) << 16 | i32::from(scale)) + 4);
                return Self { modifier, ..Self::plain(Kind::Numeric) };
            }
            DataType::Float16 | DataType::Float32 => Kind::Float4,
            DataType::Float64 => Kind::Float8,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Kind::Bytea
            }
            DataType::Date32 | DataType::Date64 => Kind::Date,
            DataType::Time32(_) | DataType::Time64(_) => Kind::Time,
            DataType::Timestamp(_, None) => Kind::Timestamp,
            DataType::Timestamp(_, Some(_)) => Kind::TimestampTz,
            DataType::Interval(_) | DataType::Duration(_) => Kind::Interval,
            DataType::Dictionary(_, value) => return Self::of(value),
            DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
                let inner = Self::of(field.data_type());
                let nested = inner.list || field.data_type().is_nested();
                return if nested { Self::TEXT } else { Self { list: true, ..inner } };
            }
            _ => Kind::Text,
        };
        Self::plain(kind)
    }

    /// The type of a number, where it is one that can be bound.
    pub(super) fn from_oid(oid: u32) -> Option<Self> {
        if ALSO_TEXT.contains(&oid) {
            return Some(Self::TEXT);
        }
        if oid == OID {
            return Some(Self::plain(Kind::Int8));
        }
        let found = TYPES.iter().find(|about| about.oid == oid || about.list_oid == oid)?;
        Some(Self { list: found.list_oid == oid, ..Self::plain(found.kind) })
    }

    fn about(self) -> Option<&'static About> {
        TYPES.iter().find(|about| about.kind == self.kind)
    }

    /// Its number.
    pub(super) fn oid(self) -> u32 {
        self.about().map_or(0, |about| if self.list { about.list_oid } else { about.oid })
    }

    /// Bytes of a value, −1 where they vary.
    pub(super) fn size(self) -> i16 {
        self.about().map_or(-1, |about| if self.list { -1 } else { about.size })
    }

    /// Its name in SQL.
    pub(super) fn sql(self) -> String {
        let name = self.about().map_or("text", |about| about.sql);
        let bounds = match (self.kind, self.modifier) {
            (Kind::Numeric, 4..) => format!("({},{})", (self.modifier - 4) >> 16, (self.modifier - 4) & 0xffff),
            _ => String::new(),
        };
        format!("{name}{bounds}{}", if self.list { "[]" } else { "" })
    }

    /// The type of the engine that a bound value has, and that a column is sent from in binary. Numerics are digits.
    pub(super) fn arrow(self) -> DataType {
        let one = match self.kind {
            Kind::Bool => DataType::Boolean,
            Kind::Int2 => DataType::Int16,
            Kind::Int4 => DataType::Int32,
            Kind::Int8 => DataType::Int64,
            Kind::Float4 => DataType::Float32,
            Kind::Float8 => DataType::Float64,
            Kind::Numeric | Kind::Text => DataType::Utf8,
            Kind::Bytea => DataType::Binary,
            Kind::Date => DataType::Date32,
            Kind::Time => DataType::Time64(TimeUnit::Microsecond),
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Kind::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
            Kind::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
        };
        if self.list { DataType::List(Arc::new(Field::new_list_field(one, true))) } else { one }
    }
}

/// A column of rows, ready to be sent cell by cell.
#[derive(Debug)]
pub(super) enum Cells {
    Text(StringArray),
    Binary(Type, ArrayRef),
}

impl Cells {
    /// Makes a column ready; `format` is 0 for text, 1 for binary.
    pub(super) fn new(column: &ArrayRef, wanted: Type, format: i16) -> Result<Self, ArrowError> {
        let target = wanted.arrow();
        let column = if can_cast_types(column.data_type(), &target) { cast(column, &target)? } else { words(column)? };
        if format == 1 {
            return Ok(Self::Binary(wanted, column));
        }
        match column.as_list_opt::<i32>() {
            Some(list) if wanted.list => listed(list, wanted.kind).map(Self::Text),
            _ => texts(&column, wanted.kind).map(Self::Text),
        }
    }

    /// Adds a cell with its length.
    pub(super) fn put(&self, row: usize, body: &mut Vec<u8>) {
        let array: &dyn Array = match self {
            Self::Text(array) => array,
            Self::Binary(_, array) => array.as_ref(),
        };
        if array.is_null(row) {
            body.extend((-1i32).to_be_bytes());
            return;
        }
        sized(body, |body| match self {
            Self::Text(array) => body.extend(array.value(row).as_bytes()),
            Self::Binary(wanted, array) if wanted.list => put_list(body, array.as_list(), row, *wanted),
            Self::Binary(wanted, array) => put_binary(body, array.as_ref(), row, wanted.kind),
        });
    }
}

/// What a body adds, with its length before it.
fn sized(body: &mut Vec<u8>, add: impl FnOnce(&mut Vec<u8>)) {
    let start = body.len();
    body.extend([0; 4]);
    add(body);
    let length = i32::try_from(body.len() - start - 4).unwrap_or(i32::MAX);
    if let Some(place) = body.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// Anything, as the engine prints it.
fn words(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
    let cell = |row: usize| column.is_valid(row).then(|| formatter.value(row).to_string());
    Ok(Arc::new((0..column.len()).map(cell).collect::<StringArray>()))
}

/// Cells of one kind as PostgreSQL writes them.
fn texts(column: &ArrayRef, kind: Kind) -> Result<StringArray, ArrowError> {
    Ok(match kind {
        Kind::Bool => each(column.as_boolean(), BooleanArray::value, |yes| if yes { "t" } else { "f" }.to_owned()),
        Kind::Float4 => each(
            column.as_primitive::<Float32Type>(),
            |array, row| array.value(row),
            |number| float(f64::from(number), &number.to_string(), &format!("{number:e}")),
        ),
        Kind::Float8 => each(
            column.as_primitive::<Float64Type>(),
            |array, row| array.value(row),
            |number| float(number, &number.to_string(), &format!("{number:e}")),
        ),
        Kind::Int2 | Kind::Int4 | Kind::Int8 => cast(column, &DataType::Utf8)?.as_string::<i32>().clone(),
        // A zero byte is no text to PostgreSQL, and ends a text for many a client.
        Kind::Numeric | Kind::Text => {
            let plain = column.as_string::<i32>();
            if plain.value_data().contains(&0) {
                each(plain, |array, row| array.value(row).replace('\0', "\u{fffd}"), |text| text)
            } else {
                plain.clone()
            }
        }
        Kind::Bytea => each(
            column.as_binary::<i32>(),
            |array, row| array.value(row).to_vec(),
            |bytes| format!("\\x{}", alloy_primitives::hex::encode(bytes)),
        ),
        Kind::Interval => {
            let column = column.as_primitive::<IntervalMonthDayNanoType>();
            each(column, IntervalMonthDayNanoArray::value, |interval| {
                interval_text(interval.months, interval.days, interval.nanoseconds)
            })
        }
        Kind::Date | Kind::Time | Kind::Timestamp | Kind::TimestampTz => {
            let options = FormatOptions::default()
                .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
                .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f+00"))
                .with_time_format(Some("%H:%M:%S%.f"));
            let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
            let cell = |row: usize| column.is_valid(row).then(|| formatter.value(row).to_string());
            (0..column.len()).map(cell).collect()
        }
    })
}

fn each<A: Array, V>(column: &A, value: impl Fn(&A, usize) -> V, text: impl Fn(V) -> String) -> StringArray {
    (0..column.len()).map(|row| column.is_valid(row).then(|| text(value(column, row)))).collect()
}

/// A number that is none has a name; one that is very large or small has an exponent.
fn float(number: f64, plain: &str, short: &str) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if number == 0.0 || (1e-5..1e15).contains(&number.abs()) { plain.to_owned() } else { short.to_owned() }
}

fn interval_text(months: i32, days: i32, nanoseconds: i64) -> String {
    let micros = nanoseconds / 1_000;
    let sign = if micros < 0 { "-" } else { "" };
    let (seconds, rest) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    let clock = format!("{sign}{:02}:{:02}:{:02}.{rest:06}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{months} mons {days} days {clock}")
}

/// Lists as PostgreSQL writes them: `{1,NULL,"two words"}`.
fn listed(list: &GenericListArray<i32>, kind: Kind) -> Result<StringArray, ArrowError> {
    let mut out = Vec::with_capacity(list.len());
    for row in 0..list.len() {
        if list.is_null(row) {
            out.push(None);
            continue;
        }
        let mut text = String::from("{");
        for (at, cell) in texts(&list.value(row), kind)?.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            match cell {
                None => text.push_str("NULL"),
                Some(cell) if bare(cell) => text.push_str(cell),
                Some(cell) => {
                    let escaped = cell.replace('\\', "\\\\").replace('"', "\\\"");
                    let _infallible = write!(text, "\"{escaped}\"");
                }
            }
        }
        text.push('}');
        out.push(Some(text));
    }
    Ok(out.into_iter().collect())
}

/// Whether an item of a list needs no quotes.
fn bare(cell: &str) -> bool {
    let plain = |byte: u8| !byte.is_ascii_whitespace() && !b"{},\"\\".contains(&byte);
    !cell.is_empty() && !cell.eq_ignore_ascii_case("null") && cell.bytes().all(plain)
}

/// Days and microseconds from 1970, where Arrow begins, to 2000, where PostgreSQL does.
pub(super) const EPOCH_DAYS: i32 = 10_957;
pub(super) const EPOCH_MICROS: i64 = 10_957 * 86_400_000_000;

fn put_binary(body: &mut Vec<u8>, array: &dyn Array, row: usize, kind: Kind) {
    match kind {
        Kind::Bool => body.push(u8::from(array.as_boolean().value(row))),
        Kind::Int2 => body.extend(array.as_primitive::<Int16Type>().value(row).to_be_bytes()),
        Kind::Int4 => body.extend(array.as_primitive::<Int32Type>().value(row).to_be_bytes()),
        Kind::Int8 => body.extend(array.as_primitive::<Int64Type>().value(row).to_be_bytes()),
        Kind::Float4 => body.extend(array.as_primitive::<Float32Type>().value(row).to_be_bytes()),
        Kind::Float8 => body.extend(array.as_primitive::<Float64Type>().value(row).to_be_bytes()),
        Kind::Numeric => put_numeric(body, array.as_string::<i32>().value(row)),
        Kind::Text => {
            let text = array.as_string::<i32>().value(row);
            body.extend(text.replace('\0', "\u{fffd}").as_bytes());
        }
        Kind::Bytea => body.extend(array.as_any().downcast_ref::<BinaryArray>().map_or(&[][..], |one| one.value(row))),
        Kind::Date => {
            body.extend(array.as_primitive::<Date32Type>().value(row).saturating_sub(EPOCH_DAYS).to_be_bytes());
        }
        Kind::Time => body.extend(array.as_primitive::<Time64MicrosecondType>().value(row).to_be_bytes()),
        Kind::Timestamp | Kind::TimestampTz => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            body.extend(micros.saturating_sub(EPOCH_MICROS).to_be_bytes());
        }
        Kind::Interval => {
            let interval = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            body.extend((interval.nanoseconds / 1_000).to_be_bytes());
            body.extend(interval.days.to_be_bytes());
            body.extend(interval.months.to_be_bytes());
        }
    }
}

/// A list in binary: one dimension that begins at 1.
fn put_list(body: &mut Vec<u8>, list: &GenericListArray<i32>, row: usize, wanted: Type) {
    let items = list.value(row);
    let one = Type { list: false, ..wanted };
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    for field in [i32::from(!items.is_empty()), i32::from(items.null_count() > 0)] {
        body.extend(field.to_be_bytes());
    }
    body.extend(one.oid().to_be_bytes());
    if items.is_empty() {
        return;
    }
    body.extend(number(items.len()).to_be_bytes());
    body.extend(1i32.to_be_bytes());
    let count = items.len();
    let cells = Cells::Binary(one, items);
    (0..count).for_each(|item| cells.put(item, body));
}

/// Digits in binary: groups of four decimal digits, the place of the first, the sign and the scale.
fn put_numeric(body: &mut Vec<u8>, text: &str) {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    let padded = format!(
        "{}{whole}{fraction}{}",
        "0".repeat(whole.len().next_multiple_of(4) - whole.len()),
        "0".repeat(fraction.len().next_multiple_of(4) - fraction.len())
    );
    let group = |four: &[u8]| four.iter().fold(0i16, |sum, digit| sum * 10 + i16::from(digit.saturating_sub(b'0')));
    let groups: Vec<i16> = padded.as_bytes().chunks(4).map(group).collect();
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let kept = groups.get(leading..).unwrap_or_default();
    let trailing = kept.iter().rev().take_while(|group| **group == 0).count();
    let kept = kept.get(..kept.len() - trailing).unwrap_or_default();
    let small = |count: usize| i16::try_from(count).unwrap_or(i16::MAX);
    let weight = if kept.is_empty() { 0 } else { small(whole.len().div_ceil(4)) - small(leading) - 1 };
    let sign = if negative && !kept.is_empty() { 0x4000 } else { 0 };
    for field in [small(kept.len()), weight, sign, small(fraction.len())] {
        body.extend(field.to_be_bytes());
    }
    kept.iter().for_each(|group| body.extend(group.to_be_bytes()));
}

#[cfg(test)]
mod tests;
