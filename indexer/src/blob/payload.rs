//! The payload of an attribution batch: a Parquet file of strangers, read within bounds and checked whole.
//!
//! Sizes the file claims are checked before anything is allocated for them. Then every rule of the format: the columns
//! and the footer, the order of inferences and of records, what must be constant, what must not overflow, and the root
//! that is on chain. One broken rule refuses the batch (ruling 18).

mod claims;

use alloy_primitives::{Address, B256, Keccak256};
use arrow::array::{Array, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::DataType;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::ParquetMetaData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tributary_schemas::batch::{BatchFooter, COLUMNS, DECODED_BYTES_MAX, EXPANSION_MAX, FOOTER_KEY, FORMAT};
use tributary_schemas::code::Reason;
use tributary_schemas::encoding::{record_bytes, record_leaf, records_root};
use tributary_schemas::id::{BatchId, InferenceId};

/// What a batch committed to on chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commitment {
    /// The L2's chain id.
    pub chain_id: u64,
    /// The hub.
    pub hub: Address,
    /// The batch.
    pub batch: BatchId,
    /// The producer.
    pub producer: Address,
    /// Its ordinal.
    pub seq: u64,
    /// The method.
    pub method: B256,
    /// Hash of the method's parameters.
    pub params_hash: B256,
    /// Inferences in it.
    pub inferences: u32,
    /// Records in it.
    pub records: u32,
    /// Root over its inferences.
    pub records_root: B256,
}

/// A batch that keeps every rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Its inferences, by ordinal.
    pub inferences: Vec<InferenceHead>,
    /// The records of all inferences, one inference after the other.
    pub records: Vec<Record>,
}

/// An inference of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InferenceHead {
    /// Its id when the file gives one; else it is derived from batch and ordinal.
    pub given: Option<B256>,
    /// The version that answered.
    pub subject: B256,
    /// Relative fee.
    pub fee_weight: i64,
    /// Its records: so many of them.
    pub records: usize,
}

/// A record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// What influenced the answer.
    pub target: B256,
    /// Row inside a contribution.
    pub row: Option<u32>,
    /// Raw signed score.
    pub score: i64,
}

/// Why a payload is void.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The reason that goes into the log.
    pub code: Reason,
    /// What was wrong, for people.
    pub detail: String,
}

/// Bytes a record takes in memory while it is read.
const RECORD_BYTES: u64 = 128;
const ROWS_AT_ONCE: usize = 8192;

/// Reads and checks a payload against what was committed to.
pub fn read_batch(payload: &[u8], commitment: &Commitment) -> Result<Batch, Unreadable> {
    let bytes = Bytes::copy_from_slice(payload);
    // A reader of a format this rich may meet bytes its authors did not think of. That is the batch's fault, not ours.
    catch_unwind(AssertUnwindSafe(|| read(bytes, commitment)))
        .unwrap_or_else(|_| Err(malformed("the Parquet reader gave up on it")))
}

fn read(bytes: Bytes, commitment: &Commitment) -> Result<Batch, Unreadable> {
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    claims::footer(&bytes)?;
    let file = bytes.clone();
    // The file's own Arrow schema is not believed: only Parquet's types count.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).map_err(malformed)?;
    check_sizes(builder.metadata(), size, commitment)?;
    check_pages(builder.metadata(), &file, commitment)?;
    check_footer(builder.metadata(), commitment)?;
    check_columns(builder.schema(), builder.metadata())?;
    let reader = builder.with_batch_size(ROWS_AT_ONCE).build().map_err(malformed)?;
    let mut checker = Checker::new(commitment);
    for rows in reader {
        checker.take(&Columns::of(&rows.map_err(malformed)?)?)?;
    }
    checker.finish()
}

fn malformed(detail: impl std::fmt::Display) -> Unreadable {
    Unreadable { code: Reason::BlobMalformed, detail: detail.to_string() }
}

fn ensure(held: bool, detail: impl FnOnce() -> String) -> Result<(), Unreadable> {
    if held { Ok(()) } else { Err(malformed(detail())) }
}

fn check_sizes(metadata: &ParquetMetaData, size: u64, commitment: &Commitment) -> Result<(), Unreadable> {
    let rows = metadata.file_metadata().num_rows();
    ensure(rows == i64::from(commitment.records), || {
        format!("{rows} records: expected {} by the commitment", commitment.records)
    })?;
    let counted: i64 = metadata.row_groups().iter().map(|group| std::cmp::max(group.num_rows(), 0)).sum();
    ensure(counted == rows, || format!("row groups hold {counted} records: the footer says {rows}"))?;
    let in_memory = u64::from(commitment.records).saturating_mul(RECORD_BYTES) / 2;
    let claimed = metadata.row_groups().iter().flat_map(|group| group.columns()).try_fold(0_u64, |sum, column| {
        let bytes = u64::try_from(column.uncompressed_size()).ok()?;
        let compressed = u64::try_from(column.compressed_size()).ok()?;
        (compressed <= size).then(|| sum.saturating_add(bytes))
    });
    let claimed = claimed.ok_or_else(|| malformed("a column claims a size that cannot be"))?;
    let decoded = std::cmp::max(in_memory, claimed);
    ensure(decoded <= DECODED_BYTES_MAX, || format!("{decoded} bytes decoded: expected at most {DECODED_BYTES_MAX}"))?;
    ensure(decoded <= size.saturating_mul(EXPANSION_MAX), || {
        format!("{decoded} bytes decoded from {size}: expected at most {EXPANSION_MAX} to one")
    })
}

fn check_pages(metadata: &ParquetMetaData, file: &[u8], commitment: &Commitment) -> Result<(), Unreadable> {
    let size = u64::try_from(file.len()).unwrap_or(u64::MAX);
    let bytes_max = std::cmp::min(DECODED_BYTES_MAX, size.saturating_mul(EXPANSION_MAX));
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        let (start, length) = column.byte_range();
        let place = usize::try_from(start).ok().zip(usize::try_from(start.saturating_add(length)).ok());
        let chunk = place.and_then(|(start, end)| file.get(start..end));
        let chunk = chunk.ok_or_else(|| malformed("a column lies outside of the file"))?;
        claims::pages(chunk, u64::from(commitment.records), bytes_max)?;
    }
    Ok(())
}

fn check_footer(metadata: &ParquetMetaData, commitment: &Commitment) -> Result<(), Unreadable> {
    let values = metadata.file_metadata().key_value_metadata().into_iter().flatten();
    let mut found = values.filter(|pair| pair.key == FOOTER_KEY).filter_map(|pair| pair.value.as_deref());
    let (Some(json), None) = (found.next(), found.next()) else {
        return Err(malformed(format!("expected the footer metadata {FOOTER_KEY} once")));
    };
    let footer: BatchFooter =
        serde_json::from_str(json).map_err(|error| malformed(format!("{FOOTER_KEY}: {error}")))?;
    let expected = BatchFooter {
        format: FORMAT.to_owned(),
        chain_id: commitment.chain_id,
        hub: commitment.hub,
        producer: commitment.producer,
        seq: commitment.seq,
        method: commitment.method,
        params_hash: commitment.params_hash,
        score_exp: footer.score_exp,
        inferences: commitment.inferences,
        records: commitment.records,
    };
    ensure(footer == expected, || format!("{FOOTER_KEY} says {footer:?}: the commitment says {expected:?}"))
}

fn check_columns(schema: &arrow::datatypes::Schema, metadata: &ParquetMetaData) -> Result<(), Unreadable> {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let optional = names.get(5..).unwrap_or_default();
    let in_order = names.get(..5) == Some(&COLUMNS[..5])
        && matches!(optional, [] | ["fee_weight" | "inference_id"] | ["fee_weight", "inference_id"]);
    ensure(in_order, || format!("columns {}: expected {}", names.join(", "), COLUMNS.join(", ")))?;
    for field in schema.fields() {
        let expected = match field.name().as_str() {
            "inference" | "row" => DataType::Int32,
            "score" | "fee_weight" => DataType::Int64,
            _ => DataType::FixedSizeBinary(32),
        };
        ensure(*field.data_type() == expected, || {
            format!("column {} is {}: expected {expected}", field.name(), field.data_type())
        })?;
    }
    let flat = metadata.file_metadata().schema_descr().columns().iter().all(|column| column.max_rep_level() == 0);
    ensure(flat, || "a column repeats: expected flat columns".to_owned())
}

/// The columns of some rows.
struct Columns<'a> {
    rows: usize,
    inference: &'a Int32Array,
    subject: &'a FixedSizeBinaryArray,
    target: &'a FixedSizeBinaryArray,
    row: &'a Int32Array,
    score: &'a Int64Array,
    fee_weight: Option<&'a Int64Array>,
    inference_id: Option<&'a FixedSizeBinaryArray>,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, Unreadable> {
        fn column<'a, T: 'static>(
            batch: &'a RecordBatch,
            name: &str,
            nulls: bool,
        ) -> Result<Option<&'a T>, Unreadable> {
            let Some(array) = batch.column_by_name(name) else { return Ok(None) };
            ensure(nulls || array.null_count() == 0, || format!("column {name} has NULLs"))?;
            Ok(array.as_any().downcast_ref::<T>())
        }
        let gone = || malformed("a column is gone");
        Ok(Self {
            rows: batch.num_rows(),
            inference: column(batch, "inference", false)?.ok_or_else(gone)?,
            subject: column(batch, "subject", false)?.ok_or_else(gone)?,
            target: column(batch, "target", false)?.ok_or_else(gone)?,
            row: column(batch, "row", true)?.ok_or_else(gone)?,
            score: column(batch, "score", false)?.ok_or_else(gone)?,
            fee_weight: column(batch, "fee_weight", true)?,
            inference_id: column(batch, "inference_id", true)?,
        })
    }
}

/// Checks rows as they come and keeps what they say.
struct Checker<'a> {
    commitment: &'a Commitment,
    batch: Batch,
    leaves: Vec<B256>,
    records_hash: Keccak256,
    score_sum: u64,
    fee_sum: u64,
    last: Option<(B256, u32)>,
}

impl<'a> Checker<'a> {
    fn new(commitment: &'a Commitment) -> Self {
        let records = Vec::with_capacity(usize::try_from(commitment.records).unwrap_or_default());
        Self {
            commitment,
            batch: Batch { inferences: Vec::new(), records },
            leaves: Vec::new(),
            records_hash: Keccak256::new(),
            score_sum: 0,
            fee_sum: 0,
            last: None,
        }
    }

    fn take(&mut self, columns: &Columns<'_>) -> Result<(), Unreadable> {
        for at in 0..columns.rows {
            let given = columns.inference_id.filter(|ids| !ids.is_null(at)).map(|ids| B256::from_slice(ids.value(at)));
            let fee_weight = columns.fee_weight.filter(|fees| !fees.is_null(at)).map_or(1, |fees| fees.value(at));
            let head =
                InferenceHead { given, subject: B256::from_slice(columns.subject.value(at)), fee_weight, records: 0 };
            self.inference(columns.inference.value(at), head)?;
            let row = (!columns.row.is_null(at)).then(|| columns.row.value(at));
            self.record(B256::from_slice(columns.target.value(at)), row, columns.score.value(at))?;
        }
        Ok(())
    }

    /// The inference of a row: the one before again, or the next.
    fn inference(&mut self, ordinal: i32, head: InferenceHead) -> Result<(), Unreadable> {
        let count = self.batch.inferences.len();
        let ordinal = usize::try_from(ordinal).map_err(|error| malformed(format!("inference {ordinal}: {error}")))?;
        if ordinal.checked_add(1) == Some(count) {
            let known = self.batch.inferences.last_mut().ok_or_else(|| malformed("no inference"))?;
            let same =
                known.given == head.given && known.subject == head.subject && known.fee_weight == head.fee_weight;
            return ensure(same, || format!("inference {ordinal}: subject, fee or id changes inside it"));
        }
        ensure(ordinal == count, || format!("inference {ordinal} after {count}: expected the ordinals in order"))?;
        let fee = u64::try_from(head.fee_weight)
            .map_err(|error| malformed(format!("fee_weight {}: {error}", head.fee_weight)))?;
        self.fee_sum = self.fee_sum.saturating_add(fee);
        ensure(i64::try_from(self.fee_sum).is_ok(), || "fee weights sum to 2^63 or more".to_owned())?;
        self.close_inference();
        self.batch.inferences.push(head);
        self.score_sum = 0;
        self.last = None;
        Ok(())
    }

    fn close_inference(&mut self) {
        let Some(head) = self.batch.inferences.last() else { return };
        let index = u32::try_from(self.leaves.len()).unwrap_or(u32::MAX);
        let id = head.given.map_or_else(|| InferenceId::in_batch(self.commitment.batch, index), InferenceId);
        let hash = std::mem::replace(&mut self.records_hash, Keccak256::new()).finalize();
        self.leaves.push(record_leaf(index, id, head.subject, hash));
    }

    fn record(&mut self, target: B256, row: Option<i32>, score: i64) -> Result<(), Unreadable> {
        let row =
            row.map(|row| u32::try_from(row).map_err(|error| malformed(format!("row {row}: {error}")))).transpose()?;
        // No row is written 0xffffffff, and sorts there.
        let place = (target, row.unwrap_or(u32::MAX));
        ensure(self.last.is_none_or(|last| last < place), || {
            format!("record {}: targets and rows are not strictly ascending", self.batch.records.len())
        })?;
        self.last = Some(place);
        self.score_sum = self.score_sum.saturating_add(score.unsigned_abs());
        ensure(i64::try_from(self.score_sum).is_ok(), || "scores of an inference sum to 2^63 or more".to_owned())?;
        self.records_hash.update(record_bytes(target, row, score));
        self.batch.records.push(Record { target, row, score });
        if let Some(head) = self.batch.inferences.last_mut() {
            head.records += 1;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Batch, Unreadable> {
        self.close_inference();
        let count = u32::try_from(self.batch.inferences.len()).unwrap_or(u32::MAX);
        ensure(count == self.commitment.inferences, || {
            format!("{count} inferences: expected {} by the commitment", self.commitment.inferences)
        })?;
        let root = records_root(self.leaves);
        if root != self.commitment.records_root {
            let detail = format!("records_root {}: the records have {root}", self.commitment.records_root);
            return Err(Unreadable { code: Reason::RecordRootMismatch, detail });
        }
        Ok(self.batch)
    }
}
