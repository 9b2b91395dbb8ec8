//! The functions of PostgreSQL that its clients ask the catalogue with.
//!
//! Nearly all of them have one answer here: everything is visible to everybody, but for what has to be named with its
//! schema, nobody may write, and nothing has a definition, a comment or a size.

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
const NOTHING: [&str; 18] = [
    "pg_get_expr",
    "pg_get_viewdef",
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
    "obj_description",
    "col_description",
    "shobj_description",
    "pg_tablespace_location",
    "pg_describe_object",
];

/// Functions that are zero.
const ZERO: [&str; 7] = [
    "pg_relation_size",
    "pg_table_size",
    "pg_indexes_size",
    "pg_total_relation_size",
    "pg_database_size",
    "pg_backend_pid",
    "pg_my_temp_schema",
];

/// Puts the functions into a session. `oids` are the numbers of tables by name, `user` is who asks.
pub(super) fn register(session: &SessionContext, oids: &Arc<BTreeMap<String, i64>>, user: &str) {
    let text = |text: &str| Answer::Always(ScalarValue::from(text));
    let all = |names: &'static [&'static str], value: ScalarValue| {
        names.iter().map(move |name| (*name, Answer::Always(value.clone())))
    };
    let version = format!("PostgreSQL {VERSION} (Tributary {})", env!("CARGO_PKG_VERSION"));
    let schemas = ScalarValue::List(ScalarValue::new_list_nullable(&[ScalarValue::from(PUBLIC)], &DataType::Utf8));
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
        ("pg_size_pretty", text("0 bytes")),
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
            Answer::Number(_) | Answer::TypeNumber => DataType::Int64,
            Answer::Setting | Answer::TypeName | Answer::Quoted | Answer::Name(_) => DataType::Utf8,
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
        Ok(match &self.answer {
            Answer::TypeName => {
                let (numbers, modifiers) = (argument(0, &DataType::Int64)?, argument(1, &DataType::Int64)?);
                let pairs = numbers.as_primitive::<Int64Type>().iter().zip(modifiers.as_primitive::<Int64Type>());
                Arc::new(
                    pairs
                        .map(|(number, modifier)| number.map(|number| type_name(number, modifier)))
                        .collect::<StringArray>(),
                )
            }
            Answer::Name(oids) => {
                let numbers = argument(0, &DataType::Int64)?;
                let name = |number: i64| {
                    let found = oids.iter().find(|(_, oid)| **oid == number);
                    found.map_or_else(|| number.to_string(), |(name, _)| name.clone())
                };
                Arc::new(numbers.as_primitive::<Int64Type>().iter().map(|one| one.map(name)).collect::<StringArray>())
            }
            Answer::Below(bound) => {
                let numbers = argument(0, &DataType::Int64)?;
                let below = numbers.as_primitive::<Int64Type>().iter().map(|one| one.map(|number| number < *bound));
                Arc::new(below.collect::<BooleanArray>())
            }
            Answer::Number(oids) => {
                let names = argument(0, &DataType::Utf8)?;
                let number = |name: &str| {
                    let name = name.strip_prefix("public.").unwrap_or(name).trim_matches('"');
                    oids.get(name).copied()
                };
                Arc::new(names.as_string::<i32>().iter().map(|one| one.and_then(number)).collect::<Int64Array>())
            }
            Answer::TypeNumber => {
                let names = argument(0, &DataType::Utf8)?;
                Arc::new(names.as_string::<i32>().iter().map(|one| one.and_then(type_number)).collect::<Int64Array>())
            }
            Answer::Quoted => {
                let names = argument(0, &DataType::Utf8)?;
                Arc::new(names.as_string::<i32>().iter().map(|one| one.map(quoted)).collect::<StringArray>())
            }
            Answer::Setting | Answer::Always(_) => {
                let names = argument(0, &DataType::Utf8)?;
                let value = |name: &str| setting(name).map(|(_, value)| value);
                Arc::new(names.as_string::<i32>().iter().map(|one| one.and_then(value)).collect::<StringArray>())
            }
        })
    }
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
