//! The functions of PostgreSQL that its clients ask the catalogue with.
//!
//! Nearly all of them have one answer here: everything is visible to everybody, but for what has to be named with its
//! schema, and nobody may write. Tables have the description of the manual and the size of their files, views their
//! definition.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;

use super::catalog::{FIRST_HOT_OID, NAME, PUBLIC};
use super::value::{TYPES, Type};

/// What the server says it is: clients ask by version what a server of PostgreSQL can do.
pub(super) const VERSION: &str = "15.0";

/// Settings as clients ask for them. None of them can be changed.
const SETTINGS: [(&str, &str); 22] = [
    ("server_version", VERSION),
    ("server_version_num", "150000"),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("integer_datetimes", "on"),
    ("standard_conforming_strings", "on"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    ("is_superuser", "off"),
    ("in_hot_standby", "on"),
    ("default_transaction_read_only", "on"),
    ("transaction_read_only", "on"),
    ("transaction_isolation", "repeatable read"),
    ("default_transaction_isolation", "repeatable read"),
    ("search_path", PUBLIC),
    ("max_identifier_length", "63"),
    ("max_index_keys", "32"),
    ("lc_collate", "C"),
    ("lc_ctype", "C"),
];

/// Every setting and its value.
pub(super) fn settings() -> impl Iterator<Item = (&'static str, &'static str)> {
    SETTINGS.into_iter()
}

/// The value of a setting, whatever the case of its name.
pub(super) fn setting(name: &str) -> Option<(&'static str, &'static str)> {
    settings().find(|(known, _)| known.eq_ignore_ascii_case(name))
}

/// Functions that are always true.
const TRUE: [&str; 15] = [
    "pg_type_is_visible",
    "pg_function_is_visible",
    "pg_operator_is_visible",
    "pg_opclass_is_visible",
    "pg_collation_is_visible",
    "pg_is_in_recovery",
    "has_table_privilege",
    "has_any_column_privilege",
    "has_column_privilege",
    "has_schema_privilege",
    "has_database_privilege",
    "has_function_privilege",
    "has_sequence_privilege",
    "has_type_privilege",
    "pg_has_role",
];

/// Functions whose answer is text that nothing here has.
const NOTHING: [&str; 15] = [
    "pg_get_expr",
    "pg_get_constraintdef",
    "pg_get_indexdef",
    "pg_get_triggerdef",
    "pg_get_ruledef",
    "pg_get_functiondef",
    "pg_get_function_result",
    "pg_get_function_arguments",
    "pg_get_function_identity_arguments",
    "pg_get_partkeydef",
    "pg_get_serial_sequence",
    "pg_get_statisticsobjdef_columns",
    "shobj_description",
    "pg_tablespace_location",
    "pg_describe_object",
];

/// Functions that are zero.
const ZERO: [&str; 3] = ["pg_indexes_size", "pg_backend_pid", "pg_my_temp_schema"];

/// What these functions say of tables.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Numbers of tables by name.
    pub(super) oids: Arc<BTreeMap<String, i64>>,
    /// What is described: a table, under 0, and each of its columns by number.
    pub(super) descriptions: Arc<BTreeMap<(i64, i64), String>>,
    /// The queries of views, under 0.
    pub(super) definitions: Arc<BTreeMap<(i64, i64), String>>,
}

/// Puts the functions into a session. `bytes` are the sizes of tables by name, `user` is who asks.
pub(super) fn register(session: &SessionContext, known: &Known, bytes: &BTreeMap<String, i64>, user: &str) {
    let Known { oids, descriptions, definitions } = known;
    let text = |text: &str| Answer::Always(ScalarValue::from(text));
    let all = |names: &'static [&'static str], value: ScalarValue| {
        names.iter().map(move |name| (*name, Answer::Always(value.clone())))
    };
    let version = format!("PostgreSQL {VERSION} (Tributary {})", env!("CARGO_PKG_VERSION"));
    let schemas = ScalarValue::List(ScalarValue::new_list_nullable(&[ScalarValue::from(PUBLIC)], &DataType::Utf8));
    let total = bytes.values().fold(0i64, |sum, one| sum.saturating_add(*one));
    let sized = bytes.iter().filter_map(|(name, bytes)| Some((*oids.get(name)?, *bytes)));
    let sized = Arc::new(sized.collect::<BTreeMap<_, _>>());
    let size = || Answer::Bytes(Arc::clone(oids), Arc::clone(&sized));
    let others = [
        ("version", text(&version)),
        ("current_database", text(NAME)),
        ("current_catalog", text(NAME)),
        ("current_schema", text(PUBLIC)),
        ("current_schemas", Answer::Always(schemas)),
        ("current_user", text(user)),
        ("session_user", text(user)),
        ("user", text(user)),
        ("pg_get_userbyid", text(NAME)),
        ("pg_encoding_to_char", text("UTF8")),
        ("pg_relation_size", size()),
        ("pg_table_size", size()),
        ("pg_total_relation_size", size()),
        ("pg_database_size", Answer::Always(ScalarValue::from(total))),
        ("pg_tablespace_size", Answer::Always(ScalarValue::from(total))),
        ("pg_size_pretty", Answer::PrettyBytes),
        ("obj_description", Answer::OfTable(Arc::clone(descriptions))),
        ("col_description", Answer::OfColumn(Arc::clone(descriptions))),
        ("pg_get_viewdef", Answer::OfTable(Arc::clone(definitions))),
        ("current_setting", Answer::Setting),
        ("format_type", Answer::TypeName),
        ("to_regtype", Answer::TypeNumber),
        ("quote_ident", Answer::Quoted),
        ("pg_table_is_visible", Answer::Below(FIRST_HOT_OID)),
        ("to_regclass", Answer::Number(Arc::clone(oids))),
        (REGCLASS_NAME, Answer::Name(Arc::clone(oids))),
        ("pg_relation_is_publishable", Answer::Always(ScalarValue::from(false))),
    ];
    let same = all(&TRUE, ScalarValue::from(true))
        .chain(all(&NOTHING, ScalarValue::Utf8(None)))
        .chain(all(&ZERO, ScalarValue::from(0i64)));
    for (name, answer) in same.chain(others) {
        let any = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
        let signature = Signature::one_of(any, Volatility::Stable);
        session.register_udf(ScalarUDF::new_from_impl(Function { name, signature, answer }));
    }
}

/// What a number that is cast to `regclass` becomes.
pub(super) const REGCLASS_NAME: &str = "regclass_name";

/// How a function is answered.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Answer {
    Always(ScalarValue),
    /// The value of a setting.
    Setting,
    /// The name of a type by its number and modifier.
    TypeName,
    /// The number of a type by its name.
    TypeNumber,
    /// A name, in quotes where it needs them.
    Quoted,
    /// Whether a number is below this one.
    Below(i64),
    /// The number of a table by its name.
    Number(Arc<BTreeMap<String, i64>>),
    /// The name of a table by its number.
    Name(Arc<BTreeMap<String, i64>>),
    /// The size of a table by its name or number.
    Bytes(Arc<BTreeMap<String, i64>>, Arc<BTreeMap<i64, i64>>),
    /// A size for people.
    PrettyBytes,
    /// What is known of a table by its number.
    OfTable(Arc<BTreeMap<(i64, i64), String>>),
    /// What is known of a column by the numbers of its table and its own.
    OfColumn(Arc<BTreeMap<(i64, i64), String>>),
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    name: &'static str,
    signature: Signature,
    answer: Answer,
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match &self.answer {
            Answer::Always(value) => value.data_type(),
            Answer::Below(_) => DataType::Boolean,
            Answer::Number(_) | Answer::TypeNumber | Answer::Bytes(..) => DataType::Int64,
            Answer::Setting | Answer::TypeName | Answer::Quoted | Answer::Name(_) => DataType::Utf8,
            Answer::PrettyBytes | Answer::OfTable(_) | Answer::OfColumn(_) => DataType::Utf8,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Answer::Always(value) = &self.answer {
            return Ok(ColumnarValue::Scalar(value.clone()));
        }
        let whole = args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if whole { 1 } else { args.number_rows };
        let argument = |at: usize, data_type: &DataType| -> Result<ArrayRef> {
            let none = || DataFusionError::Plan(format!("{} needs more than {at} arguments", self.name));
            let array = args.args.get(at).ok_or_else(none)?.to_array(rows)?;
            Ok(cast(&array, data_type)?)
        };
        let array = self.rows(argument)?;
        Ok(if whole {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
        } else {
            ColumnarValue::Array(array)
        })
    }
}

impl Function {
    fn rows(&self, argument: impl Fn(usize, &DataType) -> Result<ArrayRef>) -> Result<ArrayRef> {
        let number = |at| argument(at, &DataType::Int64);
        // Text and numbers by text, by a number, and by two of them.
        let worded = |answer: &dyn Fn(&str) -> Option<String>| -> Result<ArrayRef> {
            let given = argument(0, &DataType::Utf8)?;
            let given = given.as_string::<i32>().iter();
            Ok(Arc::new(given.map(|one| one.and_then(answer)).collect::<StringArray>()))
        };
        let counted = |answer: &dyn Fn(&str) -> Option<i64>| -> Result<ArrayRef> {
            let given = argument(0, &DataType::Utf8)?;
            let given = given.as_string::<i32>().iter();
            Ok(Arc::new(given.map(|one| one.and_then(answer)).collect::<Int64Array>()))
        };
        let numbered = |answer: &dyn Fn(i64) -> Option<String>| -> Result<ArrayRef> {
            let given = number(0)?;
            let given = given.as_primitive::<Int64Type>().iter();
            Ok(Arc::new(given.map(|one| one.and_then(answer)).collect::<StringArray>()))
        };
        let paired = |answer: &dyn Fn(i64, Option<i64>) -> Option<String>| -> Result<ArrayRef> {
            let (first, second) = (number(0)?, number(1)?);
            let pairs = first.as_primitive::<Int64Type>().iter().zip(second.as_primitive::<Int64Type>());
            let answered = pairs.map(|(first, second)| first.and_then(|first| answer(first, second)));
            Ok(Arc::new(answered.collect::<StringArray>()))
        };
        match &self.answer {
            Answer::TypeName => paired(&|number, modifier| Some(type_name(number, modifier))),
            Answer::OfColumn(known) => paired(&|table, column| known.get(&(table, column?)).cloned()),
            Answer::OfTable(known) => numbered(&|table| known.get(&(table, 0)).cloned()),
            Answer::PrettyBytes => numbered(&|bytes| Some(pretty(bytes))),
            Answer::Name(oids) => numbered(&|number| {
                let found = oids.iter().find(|(_, oid)| **oid == number);
                Some(found.map_or_else(|| number.to_string(), |(name, _)| name.clone()))
            }),
            Answer::Below(bound) => {
                let given = number(0)?;
                let below = given.as_primitive::<Int64Type>().iter().map(|one| one.map(|number| number < *bound));
                Ok(Arc::new(below.collect::<BooleanArray>()))
            }
            Answer::Number(oids) => counted(&|name| table_number(oids, name)),
            Answer::Bytes(oids, bytes) => counted(&|table| {
                let table = table.parse().ok().or_else(|| table_number(oids, table))?;
                Some(bytes.get(&table).copied().unwrap_or(0))
            }),
            Answer::TypeNumber => counted(&type_number),
            Answer::Quoted => worded(&|name| Some(quoted(name))),
            Answer::Setting | Answer::Always(_) => worded(&|name| setting(name).map(|(_, value)| value.to_owned())),
        }
    }
}

fn table_number(oids: &BTreeMap<String, i64>, name: &str) -> Option<i64> {
    oids.get(name.strip_prefix("public.").unwrap_or(name).trim_matches('"')).copied()
}

/// A size as PostgreSQL says it: ten thousand or so of a unit before the next one begins, rounded half up.
fn pretty(bytes: i64) -> String {
    if bytes.abs() < 10 << 10 {
        return format!("{bytes} bytes");
    }
    let mut halves = bytes >> 9;
    let mut units = ["kB", "MB", "GB", "TB", "PB"].into_iter().peekable();
    while let Some(unit) = units.next() {
        if halves.abs() < (20 << 10) - 1 || units.peek().is_none() {
            return format!("{} {unit}", (halves + halves.signum()) / 2);
        }
        halves >>= 10;
    }
    format!("{bytes} bytes")
}

fn type_name(number: i64, modifier: Option<i64>) -> String {
    let known = u32::try_from(number).ok().and_then(Type::from_oid);
    let modifier = modifier.and_then(|modifier| i32::try_from(modifier).ok()).unwrap_or(-1);
    known.map_or_else(|| "???".to_owned(), |known| Type { modifier, ..known }.sql())
}

fn type_number(name: &str) -> Option<i64> {
    let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
    let (one, list) =
        name.strip_suffix("[]").or_else(|| name.strip_prefix('_')).map_or((name, false), |one| (one, true));
    let known = TYPES.iter().find(|about| about.name == one || about.sql == one)?;
    Some(i64::from(if list { known.list_oid } else { known.oid }))
}

fn quoted(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.bytes().all(plain) && !name.starts_with(|first: char| first.is_ascii_digit()) && !name.is_empty() {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

#[cfg(test)]
mod tests {
    use super::pretty;

    #[test]
    fn sizes_are_said_as_postgresql_says_them() {
        for (bytes, expected) in [
            (0, "0 bytes"),
            (10_239, "10239 bytes"),
            (10_240, "10 kB"),
            (10_752, "11 kB"),
            (10_485_248, "10 MB"),
            (10_484_735, "10239 kB"),
            (1 << 40, "1024 GB"),
            (i64::MAX, "8192 PB"),
        ] {
            assert_eq!(pretty(bytes), expected, "{bytes}");
        }
    }
}
