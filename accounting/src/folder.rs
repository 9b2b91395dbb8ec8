//! Tables in a folder, whoever wrote them: `DIR/<table>/*.parquet`, or Delta, with the columns of `schemas/tables`.
//!
//! Nothing is believed: a settlement over a column of another type would come to another result without a word, as a
//! reader casts doubles to decimals and unknown columns to NULL. So every file's columns are looked at before a query
//! runs, and a table that is not there is only empty when somebody says so.

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::prelude::SessionContext;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tributary_schemas::table::TableInfo;
use tributary_schemas::{facts, money};

use crate::error::AccountingError;
use crate::register::provider_of_files;

/// The fact tables that a settlement reads.
pub const FACTS: [&str; 23] = [
    "accounts",
    "agent_versions",
    "agents",
    "attribution_batches",
    "attributions",
    "blocks",
    "contributions",
    "dataset_membership",
    "dataset_versions",
    "datasets",
    "edges",
    "entity_payouts",
    "events",
    "inferences",
    "model_versions",
    "models",
    "payments",
    "penalties",
    "policies",
    "pool_fundings",
    "refunds",
    "reward_claims",
    "stakes",
];
/// What vaults held: where it is not there, nobody read it, and nothing is compared.
const READINGS: &str = "vault_balances";
/// The money tables that a settlement reads: what earlier epochs came to.
const MONEY: [&str; 3] = ["claims", "epochs", "ledger_entries"];

/// A folder of tables that were looked at.
#[derive(Debug)]
pub struct Folder {
    tables: BTreeMap<&'static str, Vec<PathBuf>>,
}

impl Folder {
    /// Looks at the tables of a folder. `without` names fact tables that are not there because they have no rows; in the
    /// `tables` folder of a data folder that is known of all that are absent.
    pub async fn open(dir: &Path, without: &[String]) -> Result<Self, AccountingError> {
        // A path is a pattern to the engine.
        if dir.to_string_lossy().contains(['*', '?', '[']) {
            return Err(unfit(dir.display().to_string(), "a path without *, ? and ["));
        }
        let dir = std::path::absolute(dir).map_err(failed("find", dir))?;
        if !dir.try_exists().map_err(failed("look for", &dir))? {
            return Err(AccountingError::Unknown { what: format!("folder {}", dir.display()) });
        }
        for name in without {
            if !FACTS.contains(&name.as_str()) {
                let what = format!("table {name:?} that a settlement could do without: they are {}", FACTS.join(", "));
                return Err(AccountingError::Unknown { what });
            }
        }
        let snapshots =
            dir.parent().filter(|_| dir.ends_with("tables")).map(|parent| parent.join("snapshots").try_exists());
        let ours = snapshots.transpose().map_err(failed("look for", &dir))?.unwrap_or(false);
        let (mut tables, mut absent) = (BTreeMap::new(), Vec::new());
        for info in infos() {
            let named = without.iter().any(|name| name == info.name);
            match files(&dir, &info).await? {
                Some(_) if named => {
                    let what = format!("table {} is in {}", info.name, dir.display());
                    return Err(unfit(what, "none, as it was said to have no rows"));
                }
                Some(files) => {
                    files.iter().try_for_each(|file| check(&info, file))?;
                    tables.insert(info.name, files);
                }
                None if named || ours || info.name == READINGS => {}
                None => absent.push(info),
            }
        }
        // A ledger is there or not: without any of it, everything is settled from the beginning.
        let ledger = MONEY.iter().any(|name| tables.contains_key(name));
        let missing = absent.into_iter().find(|info| ledger || !MONEY.contains(&info.name));
        missing.map_or(Ok(Self { tables }), |info| Err(is_missing(&dir, &info)))
    }

    /// Registers the fact tables.
    pub(crate) fn register(&self, ctx: &SessionContext) -> Result<(), AccountingError> {
        for info in infos().filter(|info| !MONEY.contains(&info.name)) {
            let table = self.provider(&info)?;
            ctx.register_table(info.name, table).map_err(AccountingError::query(info.name))?;
        }
        Ok(())
    }

    /// A table of the folder; empty when it is not there.
    pub(crate) fn provider(
        &self,
        info: &TableInfo,
    ) -> Result<Arc<dyn datafusion::catalog::TableProvider>, AccountingError> {
        // Whether a column has NULLs is found where its rows are read, and named there.
        let fields: Vec<Field> =
            info.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let files = self.tables.get(info.name).map_or(&[][..], Vec::as_slice);
        provider_of_files(info.name, Arc::new(Schema::new(fields)), files)
    }
}

fn unfit(what: String, expected: &str) -> AccountingError {
    AccountingError::Unfit { what, expected: expected.to_owned() }
}

fn infos() -> impl Iterator<Item = TableInfo> {
    let read = |info: &TableInfo| FACTS.contains(&info.name) || MONEY.contains(&info.name) || info.name == READINGS;
    facts::all().into_iter().chain(money::all()).filter(read)
}

fn failed(action: &'static str, path: &Path) -> impl Fn(std::io::Error) -> AccountingError + use<> {
    let path = path.display().to_string();
    move |source| AccountingError::File { action, path: path.clone(), source }
}

/// The files of a table; `None` when it is not there.
async fn files(dir: &Path, info: &TableInfo) -> Result<Option<Vec<PathBuf>>, AccountingError> {
    let folder = dir.join(info.name);
    if !folder.try_exists().map_err(failed("look for", &folder))? {
        return Ok(None);
    }
    if folder.join("_delta_log").try_exists().map_err(failed("look for", &folder))? {
        let files = tributary_store::lake::delta_files(&folder).await?;
        return Ok(Some(files.into_iter().map(|file| file.path).collect()));
    }
    let mut out = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(failed("list", &folder))? {
        let path = entry.map_err(failed("list", &folder))?.path();
        if path.extension().is_some_and(|extension| extension == "parquet") {
            out.push(path);
        }
    }
    out.sort();
    if out.is_empty() {
        let what = format!("table {} has no file in {}", info.name, folder.display());
        return Err(unfit(what, "some that end in .parquet, or a _delta_log"));
    }
    Ok(Some(out))
}

fn is_missing(dir: &Path, info: &TableInfo) -> AccountingError {
    let columns: Vec<String> =
        info.schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
    AccountingError::Missing {
        what: format!("table {}", info.name),
        expected: format!("{}/{}/*.parquet with the columns {}", dir.display(), info.name, columns.join(", ")),
    }
}

/// Looks at the columns of a file.
fn check(info: &TableInfo, file: &Path) -> Result<(), AccountingError> {
    let open = File::open(file).map_err(failed("read", file))?;
    let metadata = ArrowReaderMetadata::load(&open, parquet::arrow::arrow_reader::ArrowReaderOptions::default());
    let metadata = metadata.map_err(|error| failed("read", file)(std::io::Error::other(error)))?;
    for field in info.schema.fields() {
        let column = format!("column {} of table {}", field.name(), info.name);
        let expected = format!("{} in {}", field.data_type(), file.display());
        match metadata.schema().field_with_name(field.name()) {
            Err(_) => return Err(AccountingError::Missing { what: column, expected }),
            Ok(found) if !reads_as(found.data_type(), field.data_type()) => {
                return Err(AccountingError::Unfit { what: format!("{column} is {}", found.data_type()), expected });
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

/// Whether every value of a type is one of the expected type, the same in both.
fn reads_as(found: &DataType, expected: &DataType) -> bool {
    match (found, expected) {
        (DataType::Dictionary(_, values), expected) => reads_as(values, expected),
        (DataType::LargeUtf8 | DataType::Utf8View, DataType::Utf8)
        | (DataType::LargeBinary | DataType::BinaryView, DataType::Binary)
        | (DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16, DataType::Int32)
        | (
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 | DataType::UInt32,
            DataType::Int64,
        )
        // A time without a zone is UTC here, as in every engine that writes it so.
        | (DataType::Timestamp(..), DataType::Timestamp(..)) => true,
        (DataType::Decimal128(precision, 0), DataType::Decimal128(most, 0)) => precision <= most,
        (found, expected) => found == expected,
    }
}
