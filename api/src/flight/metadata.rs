//! The catalogue as Flight SQL asks for it: one catalogue, the published tables and the views in one schema, the hot tables
//! in another.

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Int32Array, RecordBatch, StringArray, UInt32Array, UnionArray,
    new_empty_array,
};
use arrow::datatypes::{DataType, Field, Fields, Schema, UnionFields};
use arrow::error::ArrowError;
use datafusion::common::TableReference;
use std::sync::Arc;
use tonic::Status;
use tributary_schemas::table::{Growth, TableInfo};
use tributary_schemas::{facts, hot, money};

use super::message::{GetPrimaryKeys, GetSqlInfo, GetTables, Metadata};
use super::{malformed, status, stream};
use crate::error::Refusal;
use crate::pinned::Pinned;
use crate::session::CATALOG;

/// The name of the schema in the engine.
const SCHEMA: &str = "public";
/// Both schemas, in the order of their names.
const SCHEMAS: [&str; 2] = [hot::SCHEMA, SCHEMA];

/// The rows that were asked for.
pub(super) async fn batch(asked: &Metadata, pinned: &Pinned) -> Result<RecordBatch, Status> {
    let made = match asked {
        Metadata::Catalogs(_) => table(&[("catalog_name", false)], &[vec![CATALOG]]),
        Metadata::Schemas(asked) => {
            let found = schemas(asked.catalog.as_deref(), asked.schema_pattern.as_deref())?;
            let rows = found.into_iter().map(|schema| vec![CATALOG, schema]).collect::<Vec<_>>();
            table(&[("catalog_name", true), ("db_schema_name", false)], &rows)
        }
        Metadata::TableTypes(_) => table(&[("table_type", false)], &[vec!["TABLE"], vec!["VIEW"]]),
        Metadata::Tables(asked) => return tables(asked, pinned).await,
        Metadata::PrimaryKeys(asked) => primary_keys(asked),
        Metadata::SqlInfo(asked) => sql_info(asked),
        Metadata::Keys => no_keys(),
    };
    made.map_err(unwritten)
}

fn unwritten(cause: ArrowError) -> Status {
    status(&Refusal::internal("writing the catalogue", &cause))
}

fn is_ours(catalog: Option<&str>) -> bool {
    catalog.is_none_or(|catalog| catalog == CATALOG)
}

/// The schemas that a catalogue has by a pattern.
fn schemas(catalog: Option<&str>, pattern: Option<&str>) -> Result<Vec<&'static str>, Status> {
    let mut found = Vec::new();
    for schema in SCHEMAS.into_iter().filter(|_| is_ours(catalog)) {
        if like(schema, pattern)? {
            found.push(schema);
        }
    }
    Ok(found)
}

/// Whether a name is of a pattern in which % stands for any text and _ for any character.
fn like(name: &str, pattern: Option<&str>) -> Result<bool, Status> {
    let Some(pattern) = pattern else { return Ok(true) };
    let found = arrow::compute::like(&StringArray::from(vec![name]), &StringArray::new_scalar(pattern));
    found.map(|found| found.value(0)).map_err(malformed)
}

fn table(columns: &[(&str, bool)], rows: &[Vec<&str>]) -> Result<RecordBatch, ArrowError> {
    let fields = columns.iter().map(|(name, null)| Field::new(*name, DataType::Utf8, *null)).collect::<Vec<_>>();
    let column = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at).copied());
        Arc::new(StringArray::from_iter_values(cells)) as ArrayRef
    };
    RecordBatch::try_new(Arc::new(Schema::new(fields)), (0..columns.len()).map(column).collect())
}

async fn tables(asked: &GetTables, pinned: &Pinned) -> Result<RecordBatch, Status> {
    let session = pinned.session().await.map_err(|refusal| status(&refusal))?;
    let unread = |cause| status(&Refusal::internal("reading the catalogue", &cause));
    let infos = infos();
    let mut names = Vec::new();
    for schema in schemas(asked.catalog.as_deref(), asked.schema_pattern.as_deref())? {
        let there = session.catalog(CATALOG).and_then(|catalog| catalog.schema(schema));
        let mut inside = there.map(|schema| schema.table_names()).unwrap_or_default();
        inside.sort();
        names.extend(inside.into_iter().map(|name| (schema, name)));
    }
    let mut found = Vec::new();
    let mut schemas = Vec::new();
    for (schema, name) in &names {
        let kind = if infos.iter().any(|info| info.name == name) { "TABLE" } else { "VIEW" };
        let wanted = asked.table_types.is_empty() || asked.table_types.iter().any(|wanted| wanted == kind);
        if wanted && like(name, asked.table_pattern.as_deref())? {
            found.push(vec![CATALOG, *schema, name.as_str(), kind]);
            if asked.include_schema {
                let place = TableReference::partial(*schema, name.as_str());
                let provider = session.table_provider(place).await.map_err(unread)?;
                schemas.push(stream::schema_message(&provider.schema())?);
            }
        }
    }
    let columns = [("catalog_name", true), ("db_schema_name", true), ("table_name", false), ("table_type", false)];
    let batch = table(&columns, &found).map_err(unwritten)?;
    if !asked.include_schema {
        return Ok(batch);
    }
    let field = Field::new("table_schema", DataType::Binary, false);
    let fields = batch.schema().fields().iter().cloned().chain([Arc::new(field)]).collect::<Fields>();
    let column = Arc::new(BinaryArray::from_iter_values(schemas)) as ArrayRef;
    let columns = batch.columns().iter().cloned().chain([column]).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(unwritten)
}

fn infos() -> Vec<TableInfo> {
    facts::all().into_iter().chain(money::all()).collect()
}

/// States have keys: the columns that say of what they are, and the block they begin at. Facts have none.
fn primary_keys(asked: &GetPrimaryKeys) -> Result<RecordBatch, ArrowError> {
    let ours = is_ours(asked.catalog.as_deref()) && asked.schema.as_deref().is_none_or(|schema| schema == SCHEMA);
    let info = infos().into_iter().find(|info| ours && info.name == asked.table && info.growth == Growth::State);
    let columns = info.iter().flat_map(|info| info.key.iter().copied().chain(["valid_from_block"]));
    let columns: Vec<&str> = columns.collect();
    let rows: Vec<Vec<&str>> =
        columns.iter().map(|column| vec![CATALOG, SCHEMA, asked.table.as_str(), column, "key"]).collect();
    let named = [
        ("catalog_name", true),
        ("db_schema_name", true),
        ("table_name", false),
        ("column_name", false),
        ("key_name", true),
    ];
    let batch = table(&named, &rows)?;
    let sequence = (1i32..).take(columns.len()).collect::<Int32Array>();
    let mut fields = batch.schema().fields().to_vec();
    let mut arrays = batch.columns().to_vec();
    fields.push(Arc::new(Field::new("key_sequence", DataType::Int32, false)));
    arrays.push(Arc::new(sequence));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}

/// No table refers to another by a declared key.
fn no_keys() -> Result<RecordBatch, ArrowError> {
    let text = |name: &str, null| Field::new(name, DataType::Utf8, null);
    let side = |side: &str| {
        let name = |what: &str| format!("{side}_{what}");
        [
            text(&name("catalog_name"), true),
            text(&name("db_schema_name"), true),
            text(&name("table_name"), false),
            text(&name("column_name"), false),
        ]
    };
    let rest = [
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ];
    let fields = side("pk").into_iter().chain(side("fk")).chain(rest).collect::<Vec<_>>();
    Ok(RecordBatch::new_empty(Arc::new(Schema::new(fields))))
}

/// A value of `SqlInfo`.
enum Info {
    Text(&'static str),
    Yes(bool),
    Number(i32),
}

/// What this server is and can do, by the numbers of `FlightSql.proto`.
const INFO: [(u32, Info); 10] = [
    (0, Info::Text("Tributary")),
    (1, Info::Text(env!("CARGO_PKG_VERSION"))),
    // The version of the format.
    (2, Info::Text("1.3")),
    // Read-only, SQL, no Substrait.
    (3, Info::Yes(true)),
    (4, Info::Yes(true)),
    (5, Info::Yes(false)),
    // No transactions, no cancelling, no bulk ingestion.
    (8, Info::Number(0)),
    (9, Info::Yes(false)),
    (10, Info::Yes(false)),
    // How identifiers are quoted.
    (504, Info::Text("\"")),
];

fn sql_info(asked: &GetSqlInfo) -> Result<RecordBatch, ArrowError> {
    let wanted = INFO.iter().filter(|(name, _)| asked.info.is_empty() || asked.info.contains(name));
    let (mut names, mut kinds, mut offsets) = (Vec::new(), Vec::new(), Vec::new());
    let (mut texts, mut flags, mut numbers): (Vec<&str>, Vec<bool>, Vec<i32>) = Default::default();
    for (name, info) in wanted {
        names.push(*name);
        let (kind, place) = match info {
            Info::Text(text) => (0i8, count(&mut texts, *text)),
            Info::Yes(flag) => (1, count(&mut flags, *flag)),
            Info::Number(number) => (3, count(&mut numbers, *number)),
        };
        kinds.push(kind);
        offsets.push(i32::try_from(place).map_err(|cause| ArrowError::ComputeError(cause.to_string()))?);
    }
    let fields = info_fields();
    let children: Vec<ArrayRef> = fields
        .iter()
        .map(|field| match field.name().as_str() {
            "string_value" => Arc::new(StringArray::from(texts.clone())) as ArrayRef,
            "bool_value" => Arc::new(BooleanArray::from(flags.clone())),
            "int32_bitmask" => Arc::new(Int32Array::from(numbers.clone())),
            _ => new_empty_array(field.data_type()),
        })
        .collect();
    let values = UnionArray::try_new(UnionFields::from_fields(fields), kinds.into(), Some(offsets.into()), children)?;
    let schema = Schema::new(vec![
        Field::new("info_name", DataType::UInt32, false),
        Field::new("value", values.data_type().clone(), false),
    ]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(UInt32Array::from(names)), Arc::new(values)])
}

/// Adds a value and gives its place.
fn count<T>(values: &mut Vec<T>, value: T) -> usize {
    values.push(value);
    values.len() - 1
}

/// The children of the union that a value is.
fn info_fields() -> Vec<Field> {
    let list = |data_type| DataType::List(Arc::new(Field::new_list_field(data_type, true)));
    let entry = Fields::from(vec![
        Field::new("keys", DataType::Int32, false),
        Field::new("values", list(DataType::Int32), true),
    ]);
    let entries = Arc::new(Field::new("entries", DataType::Struct(entry), false));
    vec![
        Field::new("string_value", DataType::Utf8, false),
        Field::new("bool_value", DataType::Boolean, false),
        Field::new("bigint_value", DataType::Int64, false),
        Field::new("int32_bitmask", DataType::Int32, false),
        Field::new("string_list", list(DataType::Utf8), true),
        Field::new("int32_to_int32_list_map", DataType::Map(entries, false), true),
    ]
}
