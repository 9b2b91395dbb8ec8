//! Rows of large tables by what they are asked by, where everybody asks another question: whose the rows of a file are is
//! found once, and rows that were read are kept with their neighbours. No query is planned, no file is read again. Files
//! with more rows than are to be held so are left to the engine.

use std::sync::Arc;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;
use tributary_accounting::{Statement, StatementOf, stated_for};
use tributary_schemas::Table;
use tributary_schemas::column::hex_text;
use tributary_schemas::money::{ClaimRow, LedgerEntryRow};
use tributary_store::{Keyed, StoreError, TableFile, WINDOW_ROWS};

use super::Pinned;
use crate::error::{ErrorCode, Refusal};
use crate::kept::Kept;

/// Most bytes that where rows are takes: eight for each, in each column with keys.
const PLACES_BYTES_MAX: usize = 32 << 20;
/// Most of them that are of one file.
const FILE_BYTES_MAX: usize = PLACES_BYTES_MAX / 2;
/// Most bytes of rows that were read, some thousands together.
const ROWS_BYTES_MAX: usize = 64 << 20;
/// So many may read files at a time.
const READERS: usize = 8;

/// A table of facts whose rows are asked for by a key.
pub(crate) trait ByKey: Table {
    /// The columns that keys are in.
    const COLUMNS: &'static [&'static str];
    /// The key in a text of these columns.
    fn key(text: &str) -> Option<&str>;
}

impl ByKey for ClaimRow {
    const COLUMNS: &'static [&'static str] = &["account"];
    fn key(text: &str) -> Option<&str> {
        Some(text)
    }
}

impl ByKey for LedgerEntryRow {
    const COLUMNS: &'static [&'static str] = &["debit", "credit"];
    fn key(text: &str) -> Option<&str> {
        stated_for(text)
    }
}

/// What is known of the files of a generation. They never change and have names of their own, so it is known for every
/// snapshot that has them.
#[derive(Debug)]
pub(super) struct Places {
    files: Kept<Arc<Keyed>>,
    windows: Kept<Arc<RecordBatch>>,
    reading: [tokio::sync::Mutex<()>; READERS],
}

impl Default for Places {
    fn default() -> Self {
        Self {
            files: Kept::new(PLACES_BYTES_MAX, PLACES_BYTES_MAX),
            windows: Kept::new(ROWS_BYTES_MAX, ROWS_BYTES_MAX),
            reading: Default::default(),
        }
    }
}

impl Pinned {
    /// The statement of an account: the same that SQL over the tables gives.
    pub(crate) async fn statement(&self, of: StatementOf) -> Result<Statement, Refusal> {
        let (account, (from, to)) = (hex_text(of.account), of.epochs);
        if from > to {
            let message = format!("from is {from} and to is {to}: expected from <= to");
            return Err(Refusal::new(ErrorCode::BadInput, message));
        }
        let before = match from.checked_sub(1) {
            Some(last) => self.last_epoch::<ClaimRow>(last).await?,
            None => None,
        };
        let after = self.last_epoch::<ClaimRow>(to).await?;
        let only = |epoch: Option<i64>| epoch.map_or((0, -1), |epoch| (epoch, epoch));
        let (before, after) = (only(before), only(after));
        let are_held = self.are_held::<ClaimRow>(before).await?
            && self.are_held::<ClaimRow>(after).await?
            && self.are_held::<LedgerEntryRow>((from, to)).await?;
        let stated = if are_held {
            let before = self.rows_by(&account, before).await?;
            let after = self.rows_by(&account, after).await?;
            of.made_of(before, after, self.rows_by(&account, (from, to)).await?)
        } else {
            // Two positions, and what moved between them.
            (0..3).for_each(|_| self.count_read());
            let session = self.session().await?;
            Box::pin(tributary_accounting::statement(session, of)).await
        };
        stated.map_err(|cause| Refusal::internal("reading the journal", &cause))
    }

    /// Whether no file with these epochs has more rows than are held.
    async fn are_held<T: ByKey>(&self, epochs: (i64, i64)) -> Result<bool, Refusal> {
        let bytes = |file: &TableFile| {
            let places = usize::try_from(file.rows).unwrap_or(usize::MAX).saturating_mul(T::COLUMNS.len());
            places.saturating_mul(size_of::<u64>())
        };
        let files = self.files::<T>().await?;
        Ok(files.iter().filter(|file| meets(file, epochs)).all(|file| bytes(file) <= FILE_BYTES_MAX))
    }

    /// The last epoch with rows that is not after `epoch`.
    async fn last_epoch<T: ByKey>(&self, epoch: i64) -> Result<Option<i64>, Refusal> {
        let mut last = None;
        for file in self.files::<T>().await?.iter() {
            let (low, high) = range(file);
            if low > epoch || last >= Some(high) {
                continue;
            }
            let found = if high <= epoch && file.epochs.is_some() {
                Some(high)
            } else {
                let keyed = self.keyed::<T>(file).await?;
                let until = keyed.epochs().partition_point(|one| *one <= epoch);
                until.checked_sub(1).and_then(|at| keyed.epochs().get(at).copied())
            };
            last = std::cmp::max(last, found);
        }
        Ok(last)
    }

    /// The rows with a key of the epochs from the first to the last; a few with other keys may be among them.
    pub(crate) async fn rows_by<T: ByKey>(&self, key: &str, epochs: (i64, i64)) -> Result<Vec<T>, Refusal> {
        let mut rows = Vec::new();
        for file in self.files::<T>().await?.iter() {
            if !meets(file, epochs) {
                continue;
            }
            let keyed = self.keyed::<T>(file).await?;
            let found = keyed.rows_of(key).collect::<Vec<_>>();
            for near in found.chunk_by(|a, b| a / WINDOW_ROWS == b / WINDOW_ROWS) {
                let window = near.first().map_or(0, |row| row / WINDOW_ROWS);
                let batch = self.window(file, &keyed, window).await?;
                let places = near.iter().filter_map(|row| usize::try_from(row % WINDOW_ROWS).ok());
                for at in places.filter(|at| within(&batch, *at, epochs)) {
                    let read = T::from_batch(&batch.slice(at, 1));
                    rows.extend(read.map_err(|cause| Refusal::internal("reading rows", &cause))?);
                }
            }
        }
        Ok(rows)
    }

    /// The files of a table.
    async fn files<T: Table>(&self) -> Result<Arc<[TableFile]>, Refusal> {
        let mut known = self.files.lock().await;
        if let Some(files) = known.get(T::NAME) {
            return Ok(Arc::clone(files));
        }
        let files = self.lake.files(&self.snapshot, T::NAME).await;
        let files = Arc::<[TableFile]>::from(files.map_err(|cause| Refusal::internal("finding files", &cause))?);
        known.insert(T::NAME, Arc::clone(&files));
        Ok(files)
    }

    /// Where the keys of a file are.
    async fn keyed<T: ByKey>(&self, file: &TableFile) -> Result<Arc<Keyed>, Refusal> {
        let path = file.path.clone();
        let open = move || Keyed::open(&path, T::COLUMNS, T::key);
        let name = file.path.to_string_lossy().into_owned();
        self.known(&self.places.files, name, open, Keyed::bytes).await
    }

    /// A window of a file.
    async fn window(&self, file: &TableFile, keyed: &Arc<Keyed>, number: u64) -> Result<Arc<RecordBatch>, Refusal> {
        let keyed = Arc::clone(keyed);
        let read = move || keyed.window(number);
        let name = format!("{number} of {}", file.path.display());
        self.known(&self.places.windows, name, read, RecordBatch::get_array_memory_size).await
    }

    /// What is kept under a name, or is read now: once, however many ask at a time.
    async fn known<V: Send + Sync + 'static>(
        &self,
        kept: &Kept<Arc<V>>,
        name: String,
        read: impl FnOnce() -> Result<V, StoreError> + Send + 'static,
        bytes: impl Fn(&V) -> usize,
    ) -> Result<Arc<V>, Refusal> {
        if let Some(found) = kept.get(&name) {
            return Ok(found);
        }
        let turn = name.bytes().map(usize::from).sum::<usize>() % READERS;
        let reading = self.places.reading.get(turn).map(tokio::sync::Mutex::lock);
        let _reading = futures::future::OptionFuture::from(reading).await;
        if let Some(found) = kept.get(&name) {
            return Ok(found);
        }
        self.count_read();
        let failed = |cause: &dyn std::fmt::Display| Refusal::internal("reading rows", cause);
        let found = tokio::task::spawn_blocking(read).await.map_err(|cause| failed(&cause))?;
        let found = Arc::new(found.map_err(|cause| failed(&cause))?);
        kept.keep(name, Arc::clone(&found), bytes(&found));
        Ok(found)
    }
}

/// The epochs that a file may have rows of.
fn range(file: &TableFile) -> (i64, i64) {
    file.epochs.unwrap_or((i64::MIN, i64::MAX))
}

/// Whether a file may have rows of one of these epochs.
fn meets(file: &TableFile, (from, to): (i64, i64)) -> bool {
    let (low, high) = range(file);
    from <= to && low <= to && high >= from
}

/// Whether a row is of one of these epochs, or does not say.
fn within(rows: &RecordBatch, at: usize, (from, to): (i64, i64)) -> bool {
    let epochs = rows.column_by_name("epoch").and_then(|epochs| epochs.as_primitive_opt::<Int64Type>());
    let epoch = epochs.and_then(|epochs| epochs.values().get(at));
    epoch.is_none_or(|epoch| (from..=to).contains(epoch))
}

#[cfg(test)]
mod tests;
