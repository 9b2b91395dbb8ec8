//! One Parquet file of a table: written durably under a name made of its content, read back, and summed up for the log.

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use tributary_schemas::table::TableInfo;

use super::stats::Stats;
use crate::durable;
use crate::error::StoreError;

/// Rows in a row group: DuckDB and DataFusion hand out work by row group.
pub const GROUP_ROWS: usize = 131_072;

/// A data file as the log of its table names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataFile {
    /// Name inside the table's folder.
    pub(crate) name: String,
    /// Rows.
    pub(crate) rows: u64,
    /// Bytes.
    pub(crate) bytes: u64,
    /// Statistics as the log holds them.
    pub(crate) stats: String,
}

/// How every file of a table is written. Whoever stages files writes them with this too, rows in the order of
/// [`TableInfo::sort`].
#[must_use]
pub fn writer_properties(info: &TableInfo, rows: usize) -> WriterProperties {
    // On these columns level 3 makes files no smaller and costs a tenth of a backfill.
    let level = ZstdLevel::try_new(1).unwrap_or_default();
    let sorting = info.sort.iter().filter_map(|column| info.schema.index_of(column).ok()).filter_map(|index| {
        Some(SortingColumn { column_idx: i32::try_from(index).ok()?, descending: false, nulls_first: true })
    });
    let mut builder = WriterProperties::builder()
        .set_created_by("tributary".to_owned())
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Page)
        // Ids and hashes are 66 characters: kept whole, so that statistics are exact.
        .set_statistics_truncate_length(Some(72))
        .set_column_index_truncate_length(Some(72))
        .set_sorting_columns(Some(sorting.collect()));
    let distinct = u64::try_from(std::cmp::min(rows, GROUP_ROWS)).unwrap_or(u64::MAX);
    for column in info.bloom {
        let path = ColumnPath::from(*column);
        builder = builder
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_bloom_filter_fpp(path.clone(), 0.01)
            .set_column_bloom_filter_max_ndv(path, std::cmp::max(distinct, 1));
    }
    builder.build()
}

/// Writes sorted rows into `folder` under `<prefix>-<hash>.parquet`, durably.
pub(crate) fn write(folder: &Path, prefix: &str, info: &TableInfo, rows: &RecordBatch) -> Result<DataFile, StoreError> {
    write_batches(folder, prefix, info, rows.num_rows(), std::iter::once(Ok(rows.clone())))
}

/// [`write`] of sorted rows that come batch by batch, `count` in all.
pub(crate) fn write_batches(
    folder: &Path,
    prefix: &str,
    info: &TableInfo,
    count: usize,
    batches: impl Iterator<Item = Result<RecordBatch, StoreError>>,
) -> Result<DataFile, StoreError> {
    let mut file = durable::temporary(&folder.join(prefix))?;
    let mut stats = Stats::default();
    let hash = {
        let properties = writer_properties(info, count);
        let sink = Hashing { to: std::io::BufWriter::new(file.as_file_mut()), hash: blake3::Hasher::new() };
        let fail = |source| StoreError::Parquet { path: folder.join(prefix), source };
        let mut writer = ArrowWriter::try_new(sink, Arc::clone(&info.schema), Some(properties)).map_err(fail)?;
        for batch in batches {
            let batch = batch?;
            writer.write(&batch).map_err(fail)?;
            stats.add(&batch);
        }
        let mut sink = writer.into_inner().map_err(fail)?;
        sink.flush().map_err(durable::io("writing", folder))?;
        sink.hash.finalize()
    };
    let name = name(prefix, &hash);
    let path = folder.join(&name);
    let bytes = file.as_file().metadata().map_err(durable::io("measuring", &path))?.len();
    durable::keep(file, &path)?;
    Ok(DataFile { name, rows: stats.rows(), bytes, stats: stats.json() })
}

/// Links a staged file into `folder` under its content's name, so that a publication that fails can be done again from
/// the same staged file.
pub(crate) fn adopt(folder: &Path, prefix: &str, staged: &Path) -> Result<DataFile, StoreError> {
    let mut hash = blake3::Hasher::new();
    let mut file = File::open(staged).map_err(durable::io("opening", staged))?;
    file.sync_all().map_err(durable::io("syncing", staged))?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer).map_err(durable::io("reading", staged))?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
    }
    let name = name(prefix, &hash.finalize());
    let path = folder.join(&name);
    match std::fs::hard_link(staged, &path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(_) => {
            // Another file system: copied, as a rename could not cross it either.
            let mut copy = durable::temporary(&path)?;
            let mut from = File::open(staged).map_err(durable::io("opening", staged))?;
            std::io::copy(&mut from, copy.as_file_mut()).map_err(durable::io("copying", staged))?;
            durable::keep(copy, &path)?;
        }
        Ok(()) => durable::sync_folder(folder)?,
    }
    let mut stats = Stats::default();
    for batch in batches(&path)? {
        stats.add(&batch?);
    }
    let bytes = file.metadata().map_err(durable::io("measuring", staged))?.len();
    Ok(DataFile { name, rows: stats.rows(), bytes, stats: stats.json() })
}

/// The rows of a file, batch by batch.
pub(crate) fn batches(
    path: &Path,
) -> Result<impl Iterator<Item = Result<RecordBatch, StoreError>> + use<>, StoreError> {
    let file = File::open(path).map_err(durable::io("opening", path))?;
    let path = path.to_path_buf();
    let fail = |source| StoreError::Parquet { path: path.clone(), source };
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(fail)?;
    let reader = reader.with_batch_size(8192).build().map_err(fail)?;
    Ok(reader.map(move |batch| batch.map_err(|error| StoreError::Parquet { path: path.clone(), source: error.into() })))
}

/// The rows of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<RecordBatch>, StoreError> {
    batches(path)?.collect()
}

/// Half of the BLAKE3 hash of the content: the same rows are the same file, however often they are written.
fn name(prefix: &str, hash: &blake3::Hash) -> String {
    format!("{prefix}-{}.parquet", &hash.to_hex()[..32])
}

struct Hashing<W> {
    to: W,
    hash: blake3::Hasher,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}
