//! The published tables: Parquet under Delta Lake, cut atomically by snapshots.
//!
//! ```text
//! DATA/tables/<name>/_delta_log/…      which files are the table, version by version
//! DATA/tables/<name>/e<epoch>-….parquet  facts of an epoch     open-… / past-…  states that hold / have ended
//! DATA/snapshots/<version>.json        one version of every table, and the heads; created once, never changed
//! ```
//!
//! Any reader of Delta opens a table at its newest version; whoever wants all tables at one block reads a snapshot and
//! opens each at the version it names. A table's newest version may hold rows of a publication that never happened
//! until the next one takes them out; a snapshot never does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use tributary_schemas::table::TableInfo;
use tributary_schemas::{Table, facts, money};

use crate::durable;
use crate::error::StoreError;

mod file;
mod gather;
mod keyed;
mod log;
mod publish;
mod snapshot;
mod states;
mod stats;
#[cfg(test)]
mod tests;

pub use self::file::{GROUP_ROWS, writer_properties};
pub use self::keyed::{Keyed, WINDOW_ROWS};
pub use self::log::delta_files;
#[doc(hidden)]
pub use self::publish::{Hook, Step};
pub use self::snapshot::{Anchors, BlockRanges, DeclaredOutcome, Heads, Snapshot, TableRef};

use self::file::DataFile;
use self::log::{Stamp, TableLog, Version, Want};

/// Table versions whose file lists are kept in memory.
const VERSIONS_KEPT: usize = 512;

/// The published tables of a data folder. Cheap to clone; any number of processes may read, and publish: one wins.
#[derive(Debug, Clone)]
pub struct Lake {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tables: PathBuf,
    snapshots: PathBuf,
    publishing: tokio::sync::Mutex<()>,
    logs: tokio::sync::Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<TableLog>>>>,
    versions: Mutex<BTreeMap<(String, i64), Arc<Version>>>,
    newest: Mutex<Option<Arc<Snapshot>>>,
}

/// What a publication adds. Within a state table the order of rows is the order of states.
#[derive(Debug, Default)]
pub struct Change {
    /// Rows of the indexer's tables.
    pub facts: facts::Columns,
    /// Rows of accounting's tables.
    pub money: money::Columns,
    /// Files already written.
    pub staged: Vec<Staged>,
}

/// A Parquet file already written, with [`writer_properties`] and in the order of its table: it is linked in, and its
/// old name removed once the snapshot is published.
#[derive(Debug, Clone)]
pub struct Staged {
    /// The table, one that grows by facts.
    pub table: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// The epoch of all its rows.
    pub epoch: i64,
}

/// A data file of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFile {
    /// Where it is.
    pub path: PathBuf,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// The least and the greatest epoch of its rows, where its statistics say so.
    pub epochs: Option<(i64, i64)>,
}

impl TableFile {
    pub(crate) fn of(file: &DataFile, folder: &Path) -> Self {
        let epochs = || {
            let (low, high) = stats::ranges_of(&file.stats, &["epoch"]).pop()??;
            low.as_i64().zip(high.as_i64())
        };
        Self { path: folder.join(&file.name), rows: file.rows, bytes: file.bytes, epochs: epochs() }
    }
}

impl Lake {
    /// The tables of a data folder; `tables/` and `snapshots/` are made when absent.
    pub async fn open(dir: &Path) -> Result<Self, StoreError> {
        let (tables, snapshots) = (dir.join("tables"), dir.join("snapshots"));
        let folders = [tables.clone(), snapshots.clone()];
        blocking(move || folders.iter().try_for_each(|folder| durable::make_folder(folder))).await?;
        let shared = Shared {
            tables,
            snapshots,
            publishing: tokio::sync::Mutex::default(),
            logs: tokio::sync::Mutex::default(),
            versions: Mutex::default(),
            newest: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The newest snapshot, whoever published it; `None` before the first.
    pub async fn latest(&self) -> Result<Option<Arc<Snapshot>>, StoreError> {
        let known = self.shared.newest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = &known {
            // Every request asks: looking for a name is cheaper here than on another thread.
            let next = self.snapshot_path(known.version.saturating_add(1));
            if !next.try_exists().map_err(durable::io("looking for", &next))? {
                return Ok(Some(Arc::clone(known)));
            }
        }
        let lake = self.clone();
        let newest = blocking(move || lake.find_newest(known)).await?;
        if let Some(newest) = &newest {
            self.remember(newest);
        }
        Ok(newest)
    }

    /// A snapshot by its version.
    pub async fn snapshot(&self, version: u64) -> Result<Arc<Snapshot>, StoreError> {
        let lake = self.clone();
        let found = blocking(move || lake.read_snapshot(version)).await?;
        found.ok_or(StoreError::NoSnapshot { version })
    }

    /// The files of a table at the version the snapshot names; none when the table has no rows yet.
    pub async fn files(&self, snapshot: &Snapshot, table: &str) -> Result<Vec<TableFile>, StoreError> {
        self.info(table)?;
        let Some(pinned) = snapshot.tables.get(table) else { return Ok(Vec::new()) };
        let version = self.version(table, pinned.delta_version).await?;
        let folder = self.folder(table);
        Ok(version.files.values().map(|file| TableFile::of(file, &folder)).collect())
    }

    /// All rows of a table at the version the snapshot names, file by file. For small tables.
    pub async fn read<T: Table + Send + 'static>(&self, snapshot: &Snapshot) -> Result<Vec<T>, StoreError> {
        let files = self.files(snapshot, T::NAME).await?;
        let paths = files.into_iter().map(|file| file.path).collect::<Vec<_>>();
        blocking(move || {
            let rows = publish::read_all(&T::info(), &paths)?;
            T::from_batch(&rows).map_err(|source| StoreError::Rows { source })
        })
        .await
    }

    /// Publishes a change on top of `base` (`None` for the first) as one atomic cut, and returns the new snapshot.
    ///
    /// Somebody who published in between makes this fail with [`StoreError::SnapshotTaken`]: take the newest snapshot
    /// and its heads, and publish the same change on it. After a crash the same change may be published again.
    #[tracing::instrument(level = "info", skip_all, fields(block = heads.block_number))]
    pub async fn publish(
        &self,
        base: Option<&Snapshot>,
        heads: Heads,
        change: Change,
    ) -> Result<Arc<Snapshot>, StoreError> {
        Box::pin(publish::publish(self, base, heads, change, &|_| Ok(()))).await
    }

    /// [`Lake::publish`] for tests, which may end it at any step as a crash would.
    #[doc(hidden)]
    pub async fn publish_hooked(
        &self,
        base: Option<&Snapshot>,
        heads: Heads,
        change: Change,
        hook: Hook<'_>,
    ) -> Result<Arc<Snapshot>, StoreError> {
        Box::pin(publish::publish(self, base, heads, change, hook)).await
    }

    fn folder(&self, table: &str) -> PathBuf {
        self.shared.tables.join(table)
    }

    fn snapshot_path(&self, version: u64) -> PathBuf {
        self.shared.snapshots.join(format!("{version:010}.json"))
    }

    #[expect(clippy::unused_self, reason = "a lake may come to hold tables of its own")]
    fn info(&self, table: &str) -> Result<Arc<TableInfo>, StoreError> {
        static TABLES: LazyLock<BTreeMap<&'static str, Arc<TableInfo>>> = LazyLock::new(|| {
            facts::all().into_iter().chain(money::all()).map(|info| (info.name, Arc::new(info))).collect()
        });
        TABLES.get(table).map(Arc::clone).ok_or_else(|| StoreError::NoTable { table: table.to_owned() })
    }

    fn read_snapshot(&self, version: u64) -> Result<Option<Arc<Snapshot>>, StoreError> {
        let path = self.snapshot_path(version);
        let Some(bytes) = durable::read(&path)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Arc::new).map(Some).map_err(durable::json(&path))
    }

    fn find_newest(&self, known: Option<Arc<Snapshot>>) -> Result<Option<Arc<Snapshot>>, StoreError> {
        let mut newest = known;
        if newest.is_none() {
            let names = durable::names(&self.shared.snapshots)?;
            let versions = names.iter().filter_map(|name| name.strip_suffix(".json")?.parse::<u64>().ok());
            newest = versions.max().map(|version| self.read_snapshot(version)).transpose()?.flatten();
        }
        // Versions have no gaps, so whoever published since then is found one by one.
        loop {
            let next = newest.as_ref().map_or(0, |newest| newest.version + 1);
            match self.read_snapshot(next)? {
                Some(found) => newest = Some(found),
                None => return Ok(newest),
            }
        }
    }

    fn remember(&self, snapshot: &Arc<Snapshot>) {
        let mut newest = self.shared.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.as_ref().is_none_or(|known| known.version < snapshot.version) {
            *newest = Some(Arc::clone(snapshot));
        }
    }

    async fn log(&self, table: &str) -> Arc<tokio::sync::Mutex<TableLog>> {
        let mut logs = self.shared.logs.lock().await;
        let log = logs
            .entry(table.to_owned())
            .or_insert_with(|| Arc::new(tokio::sync::Mutex::new(TableLog::new(table.to_owned(), self.folder(table)))));
        Arc::clone(log)
    }

    async fn version(&self, table: &str, number: i64) -> Result<Arc<Version>, StoreError> {
        let key = (table.to_owned(), number);
        if let Some(known) = self.shared.versions.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(known));
        }
        let version = Arc::new(self.log(table).await.lock().await.at(number).await?);
        self.keep_version(key, Arc::clone(&version));
        Ok(version)
    }

    async fn commit(&self, info: &TableInfo, want: &Want, stamp: Stamp) -> Result<i64, StoreError> {
        let number = self.log(info.name).await.lock().await.commit(info, want, stamp).await?;
        let version = Version { number, files: want.files.clone() };
        self.keep_version((info.name.to_owned(), number), Arc::new(version));
        Ok(number)
    }

    fn keep_version(&self, key: (String, i64), version: Arc<Version>) {
        let mut versions = self.shared.versions.lock().unwrap_or_else(PoisonError::into_inner);
        if versions.len() >= VERSIONS_KEPT {
            versions.clear();
        }
        versions.insert(key, version);
    }
}

/// Runs work on disk where it does not hold up the runtime.
pub(crate) async fn blocking<T, F>(work: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, StoreError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::Worker { reason: error.to_string() }),
    }
}
