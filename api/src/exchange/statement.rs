//! An account's statement as a file: CSV, JSON or Parquet.

use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use std::sync::Arc;
use tributary_accounting::Statement;
use tributary_schemas::column::hex_text;

use crate::rows;

/// A form that a statement is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementForm {
    /// CSV with a header.
    Csv,
    /// One object, its money as decimal text.
    Json,
    /// Parquet.
    Parquet,
}

impl StatementForm {
    /// Its word in addresses, if there is one.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// The media type of a file.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

/// A statement as a file. As rows it begins with one of code `opening` and ends with one of code `closing`, and the
/// amounts before the last add up to the last.
///
/// # Errors
///
/// When a number does not fit its column.
pub fn write_statement(statement: &Statement, form: StatementForm) -> Result<Vec<u8>, ArrowError> {
    let lines = lines(statement)?;
    match form {
        StatementForm::Csv => rows::csv(&[lines]),
        StatementForm::Parquet => {
            let mut out = Vec::new();
            let mut writer = ArrowWriter::try_new(&mut out, lines.schema(), None)?;
            writer.write(&lines)?;
            writer.close()?;
            Ok(out)
        }
        StatementForm::Json => {
            let inner = lines.slice(1, lines.num_rows().saturating_sub(2));
            let broken = |cause: serde_json::Error| ArrowError::JsonError(cause.to_string());
            let lines: Value = serde_json::from_slice(&rows::json(&[inner])?).map_err(broken)?;
            let whole = json!({
                "account": hex_text(statement.account),
                "token": hex_text(statement.token),
                "from": statement.from,
                "to": statement.to,
                "opening": statement.opening.to_string(),
                "lines": lines,
                "closing": statement.closing.to_string(),
            });
            serde_json::to_vec(&whole).map_err(broken)
        }
    }
}

fn lines(statement: &Statement) -> Result<RecordBatch, ArrowError> {
    let lines = &statement.lines;
    let text = |ends: [&str; 2], of: fn(&tributary_accounting::StatementLine) -> &str| {
        let [first, last] = ends;
        let cells = std::iter::once(first).chain(lines.iter().map(of)).chain([last]);
        Arc::new(StringArray::from_iter_values(cells)) as ArrayRef
    };
    let epochs = std::iter::once(statement.from).chain(lines.iter().map(|line| line.epoch)).chain([statement.to]);
    let adjusts = std::iter::once(None).chain(lines.iter().map(|line| line.adjusts_epoch)).chain([None]);
    let amounts = std::iter::once(statement.opening).chain(lines.iter().map(|line| line.amount));
    let amounts =
        Decimal128Array::from_iter_values(amounts.chain([statement.closing])).with_precision_and_scale(38, 0)?;
    let none = ["", ""];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("epoch", Arc::new(epochs.collect::<Int64Array>())),
        ("code", text(["opening", "closing"], |line| &line.code)),
        ("amount", Arc::new(amounts)),
        ("counterpart", text(none, |line| &line.counterpart)),
        ("phase", text(none, |line| &line.phase)),
        ("adjusts_epoch", Arc::new(adjusts.collect::<Int64Array>())),
        ("vault", text(none, |line| &line.vault)),
        ("entry", text(none, |line| &line.entry)),
        ("source", text(none, |line| &line.source)),
    ];
    let field = |(name, column): &(&str, ArrayRef)| {
        Field::new(*name, column.data_type().clone(), *column.data_type() == DataType::Int64)
    };
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, column)| column).collect())
}
