//! The Delta log of one table: which files are its rows at each version.
//!
//! Reading goes through deltalake (replay, checkpoints). Commits are written here, because deltalake's own builder
//! does two things we must not have: on a lost race it silently rebases an append onto what the winner wrote, which
//! would let rows that no snapshot names into ours; and it does not sync the file before it counts as committed.
//! A commit is the difference between the table's newest version and the files we want, so what a publisher left
//! half done is taken out by the next commit, whoever makes it.

use alloy_primitives::keccak256;
use arrow::datatypes::DataType;
use deltalake_core::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tributary_schemas::table::TableInfo;

use super::file::DataFile;
use super::{TableFile, stats};
use crate::durable;
use crate::error::StoreError;

/// A checkpoint sums up the log this often, so that opening a table reads at most this many commits.
const CHECKPOINT_EVERY: i64 = 50;
/// How often we write over somebody else's commit before we give up.
const TRIES: u32 = 16;
/// Who our transactions say they are from.
const APP_ID: &str = "tributary";

/// The files of a table at one version, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) number: i64,
    pub(crate) files: BTreeMap<String, DataFile>,
}

/// The files a table is to consist of.
#[derive(Debug, Clone)]
pub(crate) struct Want {
    pub(crate) files: BTreeMap<String, DataFile>,
    /// Files that only hold rows of others, and those others: readers of changes pass them over.
    pub(crate) rearranged: BTreeSet<String>,
}

impl Want {
    pub(crate) fn put(&mut self, file: DataFile) {
        self.files.insert(file.name.clone(), file);
    }
}

/// The log of one table.
pub(crate) struct TableLog {
    name: String,
    folder: PathBuf,
    /// What deltalake last loaded; later versions are read from there on.
    loaded: Option<DeltaTable>,
}

impl std::fmt::Debug for TableLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableLog").field("name", &self.name).finish_non_exhaustive()
    }
}

impl TableLog {
    /// The log of the table in `folder`, which may not exist yet.
    pub(crate) const fn new(name: String, folder: PathBuf) -> Self {
        Self { name, folder, loaded: None }
    }

    /// The files at a version.
    pub(crate) async fn at(&mut self, number: i64) -> Result<Version, StoreError> {
        self.load(Some(number)).await
    }

    /// The files at the newest version, whoever wrote it; `None` before the first commit.
    pub(crate) async fn newest(&mut self) -> Result<Option<Version>, StoreError> {
        let first = commit_path(&self.folder, 0);
        if !first.try_exists().map_err(durable::io("looking for", &first))? {
            return Ok(None);
        }
        self.load(None).await.map(Some)
    }

    /// Commits whatever makes the newest version hold exactly `want`; returns the version that does.
    pub(crate) async fn commit(&mut self, info: &TableInfo, want: &Want, stamp: Stamp) -> Result<i64, StoreError> {
        for _ in 0..TRIES {
            let newest = self.newest().await?;
            if let Some(newest) = &newest
                && newest.files.keys().eq(want.files.keys())
            {
                return Ok(newest.number);
            }
            let number = newest.as_ref().map_or(0, |newest| newest.number + 1);
            let none = BTreeMap::new();
            let have = newest.as_ref().map_or(&none, |newest| &newest.files);
            let mut lines = vec![stamp.commit_info()];
            if newest.is_none() {
                lines.extend(first_lines(info, stamp));
            }
            lines.extend(difference(have, want, stamp));
            lines.push(json!({"txn": {"appId": APP_ID, "version": stamp.snapshot}}));
            let text = lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
            let (folder, path) = (self.folder.join("_delta_log"), commit_path(&self.folder, number));
            let write = move || {
                durable::make_folder(&folder)?;
                durable::create_new(&path, text.as_bytes())
            };
            if super::blocking(write).await? {
                self.checkpoint(number).await;
                return Ok(number);
            }
        }
        Err(StoreError::Contended { table: self.name.clone(), tries: TRIES })
    }

    /// A checkpoint only makes reading faster, so failing to write one is not a failure.
    async fn checkpoint(&mut self, number: i64) {
        if number == 0 || number % CHECKPOINT_EVERY != 0 {
            return;
        }
        let written = match self.load(Some(number)).await {
            Ok(_) => match &self.loaded {
                Some(table) => deltalake_core::checkpoints::create_checkpoint(table, None).await.map_err(self.fail()),
                None => Ok(()),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::warn!(table = self.name, version = number, %error, "no checkpoint was written");
        }
    }

    async fn load(&mut self, number: Option<i64>) -> Result<Version, StoreError> {
        let wanted = number.map(|number| number.unsigned_abs());
        let fail = self.fail();
        let mut table = match self.loaded.take() {
            Some(table) => table,
            None => DeltaTableBuilder::from_url(folder_url(&self.folder)?)
                .and_then(DeltaTableBuilder::build)
                .map_err(self.fail())?,
        };
        let loaded = match wanted {
            Some(wanted) => table.load_version(wanted).await,
            None => table.load().await,
        };
        loaded.map_err(fail)?;
        let version = self.version_of(&table)?;
        self.loaded = Some(table);
        Ok(version)
    }

    fn version_of(&self, table: &DeltaTable) -> Result<Version, StoreError> {
        let state = table.snapshot().map_err(self.fail())?;
        let mut files = BTreeMap::new();
        for file in state.snapshot().try_log_data().map_err(self.fail())?.iter() {
            let name = file.path().into_owned();
            let stats = file.stats().unwrap_or_default();
            let rows = file.num_records().and_then(|rows| u64::try_from(rows).ok()).or_else(|| stats::rows_of(&stats));
            let (rows, bytes) = (rows.unwrap_or(0), file.size().unsigned_abs());
            files.insert(name.clone(), DataFile { name, rows, bytes, stats });
        }
        Ok(Version { number: i64::try_from(state.version()).unwrap_or(i64::MAX), files })
    }

    fn fail(&self) -> impl FnOnce(DeltaTableError) -> StoreError + use<> {
        let table = self.name.clone();
        move |source| StoreError::Delta { table, source: Box::new(source) }
    }
}

/// The files of anybody's Delta table at its newest version.
///
/// A table is its files and no more here: one that deletes single rows in its log, or names files outside of its folder,
/// is refused.
pub async fn delta_files(folder: &Path) -> Result<Vec<TableFile>, StoreError> {
    let refuse = |what: String| StoreError::Foreign { path: folder.to_owned(), what };
    let mut log = TableLog::new(folder.display().to_string(), folder.to_owned());
    let version = log.load(None).await?;
    if let Some(table) = &log.loaded {
        let state = table.snapshot().map_err(log.fail())?;
        let files = state.snapshot().try_log_data().map_err(log.fail())?;
        if let Some(file) = files.iter().find(|file| file.deletion_vector_descriptor().is_some()) {
            return Err(refuse(format!("rows of {} are deleted by a vector: expected whole files", file.path())));
        }
    }
    let plain = |name: &str| Path::new(name).components().all(|one| matches!(one, std::path::Component::Normal(_)));
    let file = |file: DataFile| {
        if !plain(&file.name) {
            return Err(refuse(format!("its file {} is not in its folder", file.name)));
        }
        Ok(TableFile::of(&file, folder))
    };
    version.files.into_values().map(file).collect()
}

/// What a commit says about itself. Its time is the sealed block's: nothing here asks the clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    /// The snapshot it is for.
    pub(crate) snapshot: u64,
    /// Milliseconds since 1970.
    pub(crate) time_ms: u64,
    /// Identity of the chain, so that two chains' tables differ.
    pub(crate) chain_id: u64,
}

impl Stamp {
    fn commit_info(self) -> Value {
        json!({"commitInfo": {
            "timestamp": self.time_ms,
            "operation": "WRITE",
            "operationParameters": {"mode": "Append", "snapshot": self.snapshot.to_string()},
            "engineInfo": "tributary",
        }})
    }
}

fn first_lines(info: &TableInfo, stamp: Stamp) -> [Value; 2] {
    let fields = info.columns.iter().zip(info.schema.fields()).map(|(column, field)| {
        json!({
            "name": field.name(), "type": type_name(field.data_type()), "nullable": field.is_nullable(),
            "metadata": {"comment": column.doc},
        })
    });
    let schema = json!({"type": "struct", "fields": fields.collect::<Vec<_>>()}).to_string();
    [
        json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}),
        json!({"metaData": {
            "id": table_id(info.name, stamp.chain_id), "name": info.name, "description": info.doc,
            "format": {"provider": "parquet", "options": {}}, "schemaString": schema,
            "partitionColumns": [], "configuration": {}, "createdTime": stamp.time_ms,
        }}),
    ]
}

fn difference(have: &BTreeMap<String, DataFile>, want: &Want, stamp: Stamp) -> Vec<Value> {
    let changes = |file: &DataFile| !want.rearranged.contains(&file.name);
    let gone = have.values().filter(|file| !want.files.contains_key(&file.name)).map(|file| {
        json!({"remove": {
            "path": file.name, "deletionTimestamp": stamp.time_ms, "dataChange": changes(file),
            "extendedFileMetadata": true, "partitionValues": {}, "size": file.bytes,
        }})
    });
    let new = want.files.values().filter(|file| !have.contains_key(&file.name)).map(|file| {
        json!({"add": {
            "path": file.name, "partitionValues": {}, "size": file.bytes, "modificationTime": stamp.time_ms,
            "dataChange": changes(file), "stats": file.stats,
        }})
    });
    gone.chain(new).collect()
}

/// A type as the log names it.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 => "long".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Binary => "binary".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        // The columns of the vocabulary are the types above and text.
        _ => "string".to_owned(),
    }
}

/// An identity in the form of a UUID, the same for the same table of the same chain.
fn table_id(name: &str, chain_id: u64) -> String {
    let hex = format!("{:x}", keccak256(format!("trib/table/1 {chain_id} {name}")));
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

fn commit_path(folder: &Path, number: i64) -> PathBuf {
    folder.join("_delta_log").join(format!("{number:020}.json"))
}

fn folder_url(folder: &Path) -> Result<url::Url, StoreError> {
    let absolute = std::path::absolute(folder).map_err(durable::io("resolving", folder))?;
    url::Url::from_directory_path(&absolute).map_err(|()| {
        let reason = std::io::Error::new(std::io::ErrorKind::InvalidInput, "no URL can be made of this path");
        durable::io("resolving", &absolute)(reason)
    })
}
