//! Rows of a query as text: the same for `POST /v1/sql` and for the command line.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;

/// A JSON array of one object a row; columns that are NULL are there.
pub fn json(batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let mut writer = arrow::json::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow::json::writer::JsonArray>(Vec::new());
    for batch in batches {
        writer.write(&plain(batch)?)?;
    }
    writer.finish()?;
    let rows = writer.into_inner();
    Ok(if rows.is_empty() { b"[]".to_vec() } else { rows })
}

/// CSV with a header.
pub fn csv(batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let mut out = Vec::new();
    let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(&mut out);
    for batch in batches {
        writer.write(&plain(batch)?)?;
    }
    drop(writer);
    Ok(out)
}

/// An Arrow IPC stream, the columns in their own types. `metadata` goes with its schema.
pub fn arrow(batches: &[RecordBatch], metadata: &[(&str, String)]) -> Result<Vec<u8>, ArrowError> {
    let schema = batches.first().map_or_else(Schema::empty, |batch| batch.schema().as_ref().clone());
    let metadata = metadata.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let mut out = Vec::new();
    let mut writer = StreamWriter::try_new(&mut out, &schema.with_metadata(metadata))?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    drop(writer);
    Ok(out)
}

/// Decimals as text (JSON has no integers this wide, and money is never a float), bytes as hex.
fn plain(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let cast = |column: &ArrayRef| match column.data_type() {
        DataType::Decimal128(..) | DataType::Decimal256(..) | DataType::UInt64 => {
            arrow::compute::cast(column, &DataType::Utf8)
        }
        DataType::Binary => {
            let bytes = column.as_any().downcast_ref::<BinaryArray>();
            let text = bytes.into_iter().flatten().map(|bytes| bytes.map(tributary_schemas::column::hex_text));
            Ok(Arc::new(text.collect::<StringArray>()) as ArrayRef)
        }
        _ => Ok(Arc::clone(column)),
    };
    let columns = batch.columns().iter().map(cast).collect::<Result<Vec<_>, _>>()?;
    let fields = batch
        .schema()
        .fields()
        .iter()
        .zip(&columns)
        .map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true))
        .collect::<Vec<_>>();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}
