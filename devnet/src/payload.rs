//! Attribution payloads, as a producer's pipeline writes them.
//!
//! One Parquet file, zstd, sorted, with the footer the vocabulary asks for; and the
//! records root over the same records. Tests on other chains use this to make blobs.

use std::sync::Arc;

use alloy_primitives::{B256, Bytes, keccak256};
use arrow::array::{ArrayRef, FixedSizeBinaryBuilder, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{metadata::KeyValue, properties::WriterProperties},
};
use tributary_schemas::{
    batch::{BatchFooter, COLUMNS, FOOTER_KEY},
    encoding::{record_bytes, record_leaf, records_root},
    id::{BatchId, InferenceId},
};

/// One record: how much a target counted for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// A contribution, dataset version or model version.
    pub target: B256,
    /// A row inside a contribution.
    pub row: Option<u32>,
    /// The raw signed score.
    pub score: i64,
}

/// One answer and what it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inference {
    /// The version of the agent or model that answered.
    pub subject: B256,
    /// Its fee in proportion to the others of the batch.
    pub fee_weight: Option<i64>,
    /// Its id, when it was recorded on chain.
    pub id: Option<InferenceId>,
    /// Its records, ascending by target and row.
    pub records: Vec<Record>,
}

/// The root over the records of a batch (ruling 18).
#[must_use]
pub fn root(batch: BatchId, inferences: &[Inference]) -> B256 {
    let leaves = (0_u32..).zip(inferences).map(|(index, inference)| {
        let records: Vec<u8> =
            inference.records.iter().flat_map(|record| record_bytes(record.target, record.row, record.score)).collect();
        let id = inference.id.unwrap_or_else(|| InferenceId::in_batch(batch, index));
        record_leaf(index, id, inference.subject, keccak256(records))
    });
    records_root(leaves.collect())
}

/// The Parquet file. The optional columns `fee_weight` and `inference_id` are there when
/// any inference has one.
///
/// # Errors
/// When the file cannot be written, which in memory means a record that does not fit its
/// column.
pub fn write(footer: &BatchFooter, inferences: &[Inference]) -> Result<Bytes, ParquetError> {
    let batch = columns(inferences)?;
    let footer = serde_json::to_string(footer).map_err(|error| ParquetError::External(error.into()))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_created_by("tributary-devnet".to_owned())
        .set_key_value_metadata(Some(vec![KeyValue::new(FOOTER_KEY.to_owned(), footer)]))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?.into())
}

fn columns(inferences: &[Inference]) -> Result<RecordBatch, ParquetError> {
    let rows: Vec<(i32, &Inference, &Record)> = (0_i32..)
        .zip(inferences)
        .flat_map(|(index, inference)| inference.records.iter().map(move |record| (index, inference, record)))
        .collect();
    let wide =
        |row: Option<u32>| row.map(i32::try_from).transpose().map_err(|error| ParquetError::External(error.into()));
    let mut subjects = FixedSizeBinaryBuilder::with_capacity(rows.len(), 32);
    let mut targets = FixedSizeBinaryBuilder::with_capacity(rows.len(), 32);
    let mut ids = FixedSizeBinaryBuilder::with_capacity(rows.len(), 32);
    for (_, inference, record) in &rows {
        subjects.append_value(inference.subject)?;
        targets.append_value(record.target)?;
        match inference.id {
            Some(id) => ids.append_value(id)?,
            None => ids.append_null(),
        }
    }
    let rows_inside = rows.iter().map(|(_, _, record)| wide(record.row)).collect::<Result<Vec<_>, _>>()?;
    let fixed = DataType::FixedSizeBinary(32);
    let weighed = inferences.iter().any(|inference| inference.fee_weight.is_some());
    let named = inferences.iter().any(|inference| inference.id.is_some());
    let made: [(bool, bool, DataType, ArrayRef); 7] = [
        (true, false, DataType::Int32, Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.0)))),
        (true, false, fixed.clone(), Arc::new(subjects.finish())),
        (true, false, fixed.clone(), Arc::new(targets.finish())),
        (true, true, DataType::Int32, Arc::new(Int32Array::from(rows_inside))),
        (true, false, DataType::Int64, Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2.score)))),
        (weighed, true, DataType::Int64, Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.1.fee_weight)))),
        (named, true, fixed, Arc::new(ids.finish())),
    ];
    let present: Vec<(Field, ArrayRef)> = COLUMNS
        .into_iter()
        .zip(made)
        .filter(|(_, (present, ..))| *present)
        .map(|(name, (_, nullable, kind, array))| (Field::new(name, kind, nullable), array))
        .collect();
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = present.into_iter().unzip();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}
