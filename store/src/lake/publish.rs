//! One atomic publication: Parquet files, then a commit per changed table, then the snapshot that names them.
//!
//! A crash between any two steps leaves files that no commit names or commits that no snapshot names; readers see
//! neither, and the next publication takes the commits out (see [`super::log`]).

use arrow::array::{AsArray, RecordBatch, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::Int64Type;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tributary_schemas::table::{Growth, TableInfo};

use super::file;
use super::log::{Stamp, Version, Want};
use super::snapshot::{Heads, Snapshot, TableRef};
use super::{Change, Lake, gather, states};
use crate::durable;
use crate::error::StoreError;

/// A point of a publication at which a test may stop it as a crash would.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The files of this many tables are durable.
    Written(usize),
    /// This many tables are committed.
    Committed(usize),
    /// The snapshot is published, the staged files are not yet cleared away.
    Published,
}

/// What happens at a [`Step`]: an error ends the publication there.
#[doc(hidden)]
pub type Hook<'a> = &'a (dyn Fn(Step) -> Result<(), StoreError> + Send + Sync);

/// Prefix of the names of files that hold open states.
const OPEN: &str = "open";
/// Prefix of the names of files that hold ended states.
const PAST: &str = "past";

/// What is new in a table.
#[derive(Debug, Default)]
struct News {
    rows: Option<RecordBatch>,
    staged: Vec<(PathBuf, i64)>,
}

pub(super) async fn publish(
    lake: &Lake,
    base: Option<&Snapshot>,
    heads: Heads,
    change: Change,
    hook: Hook<'_>,
) -> Result<Arc<Snapshot>, StoreError> {
    let _one_at_a_time = lake.shared.publishing.lock().await;
    let version = base.map_or(0, |base| base.version + 1);
    if lake.latest().await?.map(|latest| latest.version) != base.map(|base| base.version) {
        return Err(StoreError::SnapshotTaken { version });
    }
    let staged = change.staged.iter().map(|staged| staged.path.clone()).collect::<Vec<_>>();
    let stamp =
        Stamp { snapshot: version, time_ms: heads.block_timestamp.saturating_mul(1000), chain_id: heads.chain_id };

    let mut wanted = Vec::new();
    for (name, news) in news(change)? {
        let info = lake.info(name)?;
        let held = match base.and_then(|base| base.tables.get(name)) {
            Some(table) => lake.version(name, table.delta_version).await?,
            None => Arc::new(Version { number: -1, files: BTreeMap::new() }),
        };
        let folder = lake.folder(name);
        let want = super::blocking({
            let info = Arc::clone(&info);
            move || write_table(&folder, &info, &held, news)
        })
        .await?;
        wanted.push((info, want));
        hook(Step::Written(wanted.len()))?;
    }

    let mut tables = base.map(|base| base.tables.clone()).unwrap_or_default();
    for (done, (info, want)) in wanted.into_iter().enumerate() {
        let delta_version = lake.commit(&info, &want, stamp).await?;
        let rows = want.files.values().map(|file| file.rows).sum();
        tables.insert(info.name.to_owned(), TableRef { delta_version, rows });
        hook(Step::Committed(done + 1))?;
    }

    let snapshot = Arc::new(Snapshot { version, parent: base.map(|base| base.version), heads, tables });
    let path = lake.snapshot_path(version);
    let text = durable::canonical_json(&*snapshot, &path)?;
    if !super::blocking(move || durable::create_new(&path, text.as_bytes())).await? {
        return Err(StoreError::SnapshotTaken { version });
    }
    lake.remember(&snapshot);
    hook(Step::Published)?;
    for path in staged {
        durable::remove(&path)?;
    }
    Ok(snapshot)
}

/// What is new, by table.
fn news(change: Change) -> Result<BTreeMap<&'static str, News>, StoreError> {
    let mut out: BTreeMap<&'static str, News> = BTreeMap::new();
    for (name, rows) in change.facts.into_batches().into_iter().chain(change.money.into_batches()) {
        out.entry(name).or_default().rows = Some(rows);
    }
    for staged in change.staged {
        out.entry(staged.table).or_default().staged.push((staged.path, staged.epoch));
    }
    Ok(out)
}

/// Writes what is new in a table and returns the files it then consists of.
fn write_table(folder: &Path, info: &TableInfo, held: &Version, news: News) -> Result<Want, StoreError> {
    durable::make_folder(folder)?;
    let mut want = Want { files: held.files.clone(), rearranged: BTreeSet::new() };
    let mut prefixes = BTreeSet::new();
    for (path, epoch) in news.staged {
        want.put(file::adopt(folder, &fact_prefix(epoch), &path)?);
        prefixes.insert(fact_prefix(epoch));
    }
    match (info.growth, news.rows) {
        (Growth::Fact, Some(rows)) => {
            for (epoch, rows) in by_epoch(info, &rows)? {
                want.put(file::write(folder, &fact_prefix(epoch), info, &rows)?);
                prefixes.insert(fact_prefix(epoch));
            }
        }
        (Growth::State, Some(rows)) => {
            write_states(folder, info, &mut want, &rows)?;
            prefixes.insert(PAST.to_owned());
        }
        (_, None) => {}
    }
    for prefix in prefixes {
        gather::small_files(folder, info, held, &prefix, &mut want)?;
    }
    Ok(want)
}

/// Ends and begins states: the files of open rows that may hold their keys are written anew, ended rows are appended.
fn write_states(folder: &Path, info: &TableInfo, want: &mut Want, change: &RecordBatch) -> Result<(), StoreError> {
    let mut open = Vec::new();
    for name in gather::touched(info, want.files.values().filter(|file| file.name.starts_with(OPEN)), change) {
        open.extend(file::read(&folder.join(&name))?);
        want.files.remove(&name);
    }
    let merged = states::merge(info, &open, change)?;
    for (prefix, rows) in [(OPEN, merged.open), (PAST, merged.past)] {
        for start in (0..rows.num_rows()).step_by(file::GROUP_ROWS) {
            let length = std::cmp::min(file::GROUP_ROWS, rows.num_rows() - start);
            want.put(file::write(folder, prefix, info, &rows.slice(start, length))?);
        }
    }
    Ok(())
}

fn fact_prefix(epoch: i64) -> String {
    format!("e{epoch:08}")
}

/// The rows of each epoch, each in the order of the table.
fn by_epoch(info: &TableInfo, rows: &RecordBatch) -> Result<Vec<(i64, RecordBatch)>, StoreError> {
    let arrow = |source| StoreError::Arrow { table: info.name.to_owned(), source };
    let epochs = states::column(rows, "epoch").map_err(arrow)?;
    let epochs = epochs.as_primitive::<Int64Type>().values();
    if let Some(epoch) = epochs.first().filter(|first| epochs.iter().all(|epoch| epoch == *first)) {
        return Ok(vec![(*epoch, states::sorted(info, rows).map_err(arrow)?)]);
    }
    let mut indices: BTreeMap<i64, Vec<u64>> = BTreeMap::new();
    for (row, epoch) in (0_u64..).zip(epochs) {
        indices.entry(*epoch).or_default().push(row);
    }
    indices
        .into_iter()
        .map(|(epoch, indices)| {
            let rows = take_record_batch(rows, &UInt64Array::from(indices)).map_err(arrow)?;
            Ok((epoch, states::sorted(info, &rows).map_err(arrow)?))
        })
        .collect()
}

/// All rows of some files of one table.
pub(super) fn read_all(info: &TableInfo, paths: &[PathBuf]) -> Result<RecordBatch, StoreError> {
    let mut batches = Vec::new();
    for path in paths {
        batches.extend(file::read(path)?);
    }
    concat_batches(&info.schema, &batches).map_err(|source| StoreError::Arrow { table: info.name.to_owned(), source })
}
