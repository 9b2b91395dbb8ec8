//! The tables of a settled epoch as files, written from numbers piece by piece: publishing links them in.

use parquet::arrow::ArrowWriter;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tributary_schemas::Table;
use tributary_schemas::money::{ClaimRow, EntitlementRow, LedgerEntryRow, MerkleLeafRow, MoneyFlowRow};
use tributary_store::Staged;
use tributary_store::lake::writer_properties;

use crate::error::AccountingError;
use crate::tables::Tables;

/// Rows that are text at a time.
const ROWS: usize = 8192;

/// Writes every table but `epochs` and `balances`, which have few rows, into `folder`. A table without rows has no
/// file.
pub(crate) async fn stage(folder: &Path, tables: Arc<Tables>) -> Result<Vec<Staged>, AccountingError> {
    let mut tasks = tokio::task::JoinSet::new();
    let mut spawn = |write: fn(PathBuf, &Tables) -> Result<Option<Staged>, AccountingError>| {
        let (folder, tables) = (folder.to_owned(), Arc::clone(&tables));
        tasks.spawn_blocking(move || write(folder, &tables));
    };
    spawn(|folder, tables| write::<EntitlementRow>(&folder, tables, |take| tables.entitlements(take)));
    spawn(|folder, tables| write::<LedgerEntryRow>(&folder, tables, |take| tables.ledger_entries(take)));
    spawn(|folder, tables| write::<MoneyFlowRow>(&folder, tables, |take| tables.money_flows(take)));
    spawn(|folder, tables| write::<ClaimRow>(&folder, tables, |take| tables.claims(take)));
    spawn(|folder, tables| write::<MerkleLeafRow>(&folder, tables, |take| tables.merkle_leaves(take)));
    let mut out = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let done = done.map_err(|error| AccountingError::inconsistent(format!("writing a table ended: {error}")))?;
        out.extend(done?);
    }
    out.sort_by_key(|staged| staged.table);
    Ok(out)
}

/// Rows on their way into a file; the first failure stays.
struct Writing<T> {
    writer: ArrowWriter<File>,
    rows: Vec<T>,
    count: usize,
    failed: Option<parquet::errors::ParquetError>,
}

impl<T: Table> Writing<T> {
    fn take(&mut self, row: T) {
        self.rows.push(row);
        if self.rows.len() == ROWS {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.failed.is_none() && !self.rows.is_empty() {
            self.failed = self.writer.write(&T::to_batch(&self.rows)).err();
        }
        self.count += self.rows.len();
        self.rows.clear();
    }
}

fn write<T: Table>(
    folder: &Path,
    tables: &Tables,
    each: impl FnOnce(&mut dyn FnMut(T)),
) -> Result<Option<Staged>, AccountingError> {
    let path = folder.join(format!("{}.parquet", T::NAME));
    let failed = |source| AccountingError::File { action: "write", path: path.display().to_string(), source };
    let parquet = |error: parquet::errors::ParquetError| failed(std::io::Error::other(error));
    let info = T::info();
    let file = File::create(&path).map_err(failed)?;
    let properties = writer_properties(&info, tables.rows_of(T::NAME));
    let writer = ArrowWriter::try_new(file, info.schema, Some(properties)).map_err(parquet)?;
    let mut writing = Writing { writer, rows: Vec::with_capacity(ROWS), count: 0, failed: None };
    each(&mut |row| writing.take(row));
    writing.flush();
    if let Some(error) = writing.failed {
        return Err(parquet(error));
    }
    let count = writing.count;
    let file = writing.writer.into_inner().map_err(parquet)?;
    file.sync_all().map_err(failed)?;
    if count == 0 {
        std::fs::remove_file(&path).map_err(failed)?;
        return Ok(None);
    }
    Ok(Some(Staged { table: T::NAME, path, epoch: tables.epoch }))
}
