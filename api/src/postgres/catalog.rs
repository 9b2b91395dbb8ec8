//! `pg_catalog` and `information_schema`, as far as clients read them: psql's `\d`, Grafana's query builder, drivers that
//! look types up.
//!
//! They say what is there: the published tables, the views and the hot tables, their columns and types. What a ledger has
//! none of (indexes, triggers, policies, …) are tables without rows.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider as _, TableProvider};
use datafusion::common::TableReference;
use datafusion::datasource::MemTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::Statement;
use tributary_schemas::table::TableInfo;
use tributary_schemas::{facts, hot, money};
use tributary_store::{Lake, Snapshot, StoreError};

use super::functions::{self, Known};
use super::tables::{Columns, EMPTY, INFORMATION, TABLES};
use super::value::{TYPES, Type};
use crate::session::CATALOG as ENGINE;

/// The schema that all of them are in, beside `information_schema`.
pub(super) const SCHEMA: &str = "pg_catalog";
/// The database's name, and its owner's.
pub(super) const NAME: &str = "tributary";
/// The schema of the published tables, in the engine and here.
pub(super) const PUBLIC: &str = "public";
/// Numbers of things: of the schemas those of PostgreSQL, of the tables those from where its own users' begin.
const CATALOG_OID: i64 = 11;
const PUBLIC_OID: i64 = 2_200;
const HOT_OID: i64 = 2_201;
const INFORMATION_OID: i64 = 13_000;
const OWNER_OID: i64 = 10;
const FIRST_OID: i64 = 16_384;
/// From here on are the numbers of the hot tables, which have to be named with their schema.
pub(super) const FIRST_HOT_OID: i64 = 32_768;

/// A cell of a table of the catalogue. The one of a column's declaration is its type and what stands where a row says
/// nothing.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    Int(i64),
    Text(Cow<'static, str>),
    Bool(bool),
    /// A NULL of text.
    Null,
    /// A NULL of a list of texts.
    Texts,
}

impl Cell {
    pub(super) const fn text(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text.as_ref()) } else { None }
    }

    fn data_type(&self) -> DataType {
        match self {
            Self::Int(_) => DataType::Int64,
            Self::Bool(_) => DataType::Boolean,
            Self::Text(_) | Self::Null => DataType::Utf8,
            Self::Texts => DataType::new_list(DataType::Utf8, true),
        }
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Cell {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(Cow::Owned(text.to_owned()))
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

/// The cells that a row has beside those that every row has.
type Row = BTreeMap<&'static str, Cell>;

macro_rules! row {
    ($($column:ident: $cell:expr),* $(,)?) => { BTreeMap::from([$((stringify!($column), Cell::from($cell))),*]) };
}

/// The catalogue of the tables of a session; it is the same for all snapshots.
#[derive(Debug)]
pub(crate) struct Catalog {
    tables: Vec<(&'static str, &'static str, RecordBatch)>,
    /// Names of the published tables.
    published: Vec<String>,
    known: Known,
}

/// A published table, a view or a hot table.
struct Relation {
    oid: i64,
    /// Name and number of its schema.
    of: (&'static str, i64),
    name: String,
    view: bool,
    schema: SchemaRef,
    /// The query of a view.
    definition: Option<String>,
}

impl Relation {
    /// Its name, with its schema where it is not found without.
    fn called(&self) -> String {
        if self.of.0 == PUBLIC { self.name.clone() } else { format!("{}.{}", self.of.0, self.name) }
    }
}

impl Catalog {
    /// Reads what is in a session.
    pub(crate) async fn read(session: &SessionContext) -> Result<Self> {
        let relations = relations(session).await?;
        let mut rows: BTreeMap<&'static str, Vec<Row>> = BTreeMap::new();
        rows.insert("pg_namespace", namespaces());
        rows.insert("pg_class", relations.iter().map(class).collect());
        rows.insert("pg_attribute", relations.iter().flat_map(attributes).collect());
        rows.insert("pg_type", types());
        rows.insert("pg_database", vec![row! { datname: NAME }]);
        rows.insert("pg_tablespace", vec![Row::new()]);
        rows.insert("pg_roles", vec![row! { rolname: NAME }]);
        rows.insert("pg_user", vec![row! { usename: NAME }]);
        rows.insert("pg_am", vec![row! { oid: 2, amname: "heap" }]);
        rows.insert(
            "pg_settings",
            functions::settings()
                .map(|(name, value)| row! { name: name, setting: value, boot_val: value, reset_val: value })
                .collect(),
        );
        let tables = |view: bool| relations.iter().filter(move |one| one.view == view);
        let named = |one: &Relation| row! { schemaname: one.of.0, tablename: one.name.as_str() };
        rows.insert("pg_tables", tables(false).map(named).collect());
        rows.insert("pg_views", tables(true).map(view).collect());
        let schemata = [SCHEMA, INFORMATION, PUBLIC, hot::SCHEMA].map(|name| row! { schema_name: name });
        rows.insert("schemata", schemata.to_vec());
        rows.insert("tables", relations.iter().map(information).collect());
        rows.insert("columns", relations.iter().flat_map(columns).collect());
        let mut tables = Vec::new();
        for (schema, name, columns) in TABLES {
            let rows = rows.remove(name).unwrap_or_default();
            tables.push((schema, name, batch(columns, &rows)?));
        }
        for (name, columns) in EMPTY {
            tables.push((SCHEMA, name, batch(columns, &[])?));
        }
        let published =
            relations.iter().filter(|one| !one.view && one.of.0 == PUBLIC).map(|one| one.name.clone()).collect();
        Ok(Self { tables, published, known: known(&relations) })
    }

    /// The bytes of the files of each table in a snapshot, where a statement asks for sizes.
    pub(crate) async fn sizes(
        &self,
        asked: &Statement,
        lake: &Lake,
        snapshot: &Snapshot,
    ) -> std::result::Result<BTreeMap<String, i64>, StoreError> {
        let mut sizes = BTreeMap::new();
        if asked.to_string().contains("_size(") {
            for name in &self.published {
                let bytes: u64 = lake.files(snapshot, name).await?.iter().map(|file| file.bytes).sum();
                sizes.insert(name.clone(), i64::try_from(bytes).unwrap_or(i64::MAX));
            }
        }
        Ok(sizes)
    }

    /// A session with it and the functions that are asked with it. `sizes` are those of the tables, `user` is who asks.
    pub(crate) fn register(
        &self,
        session: &SessionContext,
        sizes: &BTreeMap<String, i64>,
        user: &str,
    ) -> Result<SessionContext> {
        // The engine's own description of its tables speaks of its own types; a time with a zone has one.
        let mut config = session.copied_config().with_information_schema(false);
        config.options_mut().execution.time_zone = Some("+00:00".to_owned());
        let state = SessionStateBuilder::new_from_existing(session.state()).with_config(config).build();
        let session = SessionContext::new_with_state(state);
        let unknown = || DataFusionError::Internal(format!("the session has no catalogue {ENGINE}"));
        let engine = session.catalog(ENGINE).ok_or_else(unknown)?;
        for schema in [SCHEMA, INFORMATION] {
            let made = MemorySchemaProvider::new();
            for (_, name, batch) in self.tables.iter().filter(|(of, _, _)| *of == schema) {
                let table = MemTable::try_new(batch.schema(), vec![vec![batch.clone()]])?;
                made.register_table((*name).to_owned(), Arc::new(table) as Arc<dyn TableProvider>)?;
            }
            engine.register_schema(schema, Arc::new(made))?;
        }
        functions::register(&session, &self.known, sizes, user);
        Ok(session)
    }
}

async fn relations(session: &SessionContext) -> Result<Vec<Relation>> {
    let mut found = Vec::new();
    for (of, first) in [((PUBLIC, PUBLIC_OID), FIRST_OID), ((hot::SCHEMA, HOT_OID), FIRST_HOT_OID)] {
        let schema = session.catalog(ENGINE).and_then(|catalog| catalog.schema(of.0));
        let mut names = schema.as_ref().map(|schema| schema.table_names()).unwrap_or_default();
        names.sort();
        for (oid, name) in (first..).zip(names) {
            let table = session.table_provider(TableReference::partial(of.0, name.as_str())).await?;
            // A hot table is filled in later, which to the engine is no table either.
            let view = of.0 == PUBLIC && table.table_type() == datafusion::logical_expr::TableType::View;
            // It is kept with the statement that made it.
            let definition = table.get_table_definition().and_then(|made| made.split_once(" AS "));
            let definition = definition.map(|(_, query)| query.to_owned());
            found.push(Relation { oid, of, name, view, schema: table.schema(), definition });
        }
    }
    Ok(found)
}

/// What functions say of tables; the manual describes those that are published.
fn known(relations: &[Relation]) -> Known {
    let manual: Vec<TableInfo> = facts::all().into_iter().chain(money::all()).collect();
    let (mut descriptions, mut definitions) = (BTreeMap::new(), BTreeMap::new());
    for one in relations {
        if let Some(definition) = &one.definition {
            definitions.insert((one.oid, 0), definition.clone());
        }
        let Some(info) = manual.iter().find(|info| info.name == one.name) else { continue };
        descriptions.insert((one.oid, 0), info.doc.to_owned());
        for (number, field) in (1..).zip(one.schema.fields()) {
            if let Some(column) = info.columns.iter().find(|column| column.name == field.name()) {
                descriptions.insert((one.oid, number), column.doc.to_owned());
            }
        }
    }
    let oids = relations.iter().map(|one| (one.called(), one.oid)).collect();
    Known { oids: Arc::new(oids), descriptions: Arc::new(descriptions), definitions: Arc::new(definitions) }
}

fn namespaces() -> Vec<Row> {
    let all = [(CATALOG_OID, SCHEMA), (PUBLIC_OID, PUBLIC), (HOT_OID, hot::SCHEMA), (INFORMATION_OID, INFORMATION)];
    all.map(|(oid, name)| row! { oid: oid, nspname: name, nspowner: OWNER_OID }).to_vec()
}

fn class(one: &Relation) -> Row {
    row! {
        oid: one.oid,
        relname: one.name.as_str(),
        relnamespace: one.of.1,
        relowner: OWNER_OID,
        relam: if one.view { 0 } else { 2 },
        relkind: if one.view { "v" } else { "r" },
        relnatts: count(one.schema.fields().len()),
    }
}

fn view(one: &Relation) -> Row {
    let mut row = row! { viewname: one.name.as_str() };
    row.extend(one.definition.clone().map(|definition| ("definition", Cell::from(definition))));
    row
}

fn attributes(one: &Relation) -> Vec<Row> {
    let attribute = |(number, field): (i64, &Arc<Field>)| {
        let sent = Type::of(field.data_type());
        row! {
            attrelid: one.oid,
            attname: field.name().as_str(),
            atttypid: i64::from(sent.oid()),
            attlen: i64::from(sent.size()),
            attnum: number,
            atttypmod: i64::from(sent.modifier),
            attnotnull: !field.is_nullable(),
        }
    };
    (1..).zip(one.schema.fields()).map(attribute).collect()
}

fn types() -> Vec<Row> {
    let each = TYPES.iter().flat_map(|about| {
        let one = row! {
            oid: i64::from(about.oid),
            typname: about.name,
            typlen: i64::from(about.size),
            typcategory: about.category,
            typarray: i64::from(about.list_oid),
        };
        let list = row! {
            oid: i64::from(about.list_oid),
            typname: format!("_{}", about.name),
            typcategory: "A",
            typelem: i64::from(about.oid),
        };
        [one, list]
    });
    each.collect()
}

fn information(one: &Relation) -> Row {
    row! { table_schema: one.of.0, table_name: one.name.as_str(), table_type: if one.view { "VIEW" } else { "BASE TABLE" } }
}

fn columns(one: &Relation) -> Vec<Row> {
    let column = |(number, field): (i64, &Arc<Field>)| {
        let sent = Type::of(field.data_type());
        let name = if sent.list { "ARRAY".to_owned() } else { Type { modifier: -1, ..sent }.sql() };
        row! {
            table_schema: one.of.0,
            table_name: one.name.as_str(),
            column_name: field.name().as_str(),
            ordinal_position: number,
            is_nullable: if field.is_nullable() { "YES" } else { "NO" },
            data_type: name,
            udt_name: TYPES.iter().find(|about| about.kind == sent.kind).map_or("text", |about| about.name),
        }
    };
    (1..).zip(one.schema.fields()).map(column).collect()
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Rows as a batch: what a row does not say, its column does.
fn batch(columns: Columns, rows: &[Row]) -> std::result::Result<RecordBatch, ArrowError> {
    let fields: Vec<Field> = columns.iter().map(|(name, cell)| Field::new(*name, cell.data_type(), true)).collect();
    let array = |(name, usual): &(&'static str, Cell)| -> ArrayRef {
        let cells = || rows.iter().map(|row| row.get(name).unwrap_or(usual));
        match usual {
            Cell::Int(_) => Arc::new(
                cells()
                    .map(|cell| if let Cell::Int(number) = cell { Some(*number) } else { None })
                    .collect::<Int64Array>(),
            ),
            Cell::Bool(_) => Arc::new(
                cells()
                    .map(|cell| if let Cell::Bool(flag) = cell { Some(*flag) } else { None })
                    .collect::<BooleanArray>(),
            ),
            Cell::Text(_) | Cell::Null => Arc::new(cells().map(Cell::as_text).collect::<StringArray>()),
            Cell::Texts => new_null_array(&usual.data_type(), rows.len()),
        }
    };
    let arrays: Vec<ArrayRef> = columns.iter().map(array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}
