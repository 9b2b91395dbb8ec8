//! A snapshot as a script for DuckDB: its tables as views over exactly the files it names, and our views over them.

use datafusion::arrow::datatypes::DataType;
use std::fmt::Write as _;
use tributary_schemas::column::hex_text;
use tributary_schemas::table::TableInfo;
use tributary_schemas::{facts, money};
use tributary_store::{Lake, Snapshot, TableFile};

use crate::error::AccountingError;
use crate::register::VIEWS;

/// The script that opens a snapshot in DuckDB. `place` says where a file of a table is found: a path or a URL.
///
/// A table without rows is there with its columns. Nothing needs an extension but reading from the places.
///
/// # Errors
///
/// When the lists of files cannot be read.
pub async fn duckdb(
    lake: &Lake,
    snapshot: &Snapshot,
    place: impl Fn(&str, &TableFile) -> String,
) -> Result<String, AccountingError> {
    let heads = &snapshot.heads;
    let mut script = format!(
        "-- Snapshot {} of chain {}, sealed up to block {} {}.\n-- Days are days of UTC, as in the tables.\n\
         SET TimeZone = 'UTC';\n",
        snapshot.version,
        heads.chain_id,
        heads.block_number,
        hex_text(heads.block_hash)
    );
    for info in facts::all().into_iter().chain(money::all()) {
        let files = lake.files(snapshot, info.name).await?;
        let files: Vec<String> = files.iter().map(|file| quoted(&place(info.name, file))).collect();
        let from = if files.is_empty() { nothing(&info) } else { format!("FROM read_parquet([{}])", files.join(", ")) };
        writeln!(script, "CREATE OR REPLACE VIEW {} AS {from};", info.name).expect("a String takes everything");
    }
    for (name, sql) in VIEWS {
        writeln!(script, "CREATE OR REPLACE VIEW {name} AS {sql};").expect("a String takes everything");
    }
    Ok(script)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The columns of a table, and no row.
fn nothing(info: &TableInfo) -> String {
    let column =
        |(name, data_type): (&String, &DataType)| format!("CAST(NULL AS {}) AS \"{name}\"", sql_type(data_type));
    let columns = info.schema.fields().iter().map(|field| column((field.name(), field.data_type())));
    format!("SELECT {} WHERE false", columns.collect::<Vec<_>>().join(", "))
}

/// DuckDB's name of a type that published columns have.
fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int32 => "INTEGER".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Binary => "BLOB".to_owned(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::Timestamp(..) => "TIMESTAMPTZ".to_owned(),
        _ => "VARCHAR".to_owned(),
    }
}
