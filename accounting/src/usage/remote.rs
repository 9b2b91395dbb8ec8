//! Records by their stored weights, on a cluster: what [`stream`](super::stream) does here, as one plan.

use datafusion::arrow::array::{ArrayRef, Decimal128Array, Int32Array, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::listing::{ListingTable, ListingTableUrl};
use datafusion::prelude::SessionContext;
use parquet::arrow::ArrowWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tributary_schemas::Table as _;
use tributary_schemas::facts::AttributionRow;

use super::Targets;
use super::inferences::Flows;
use super::records::{Target, within};
use crate::cluster::Cluster;
use crate::error::AccountingError;
use crate::read::{Columns, amount};
use crate::register::provider_of_urls;
use crate::state::State;

/// How often a job is tried: each try is a job of its own, so one whose result was on a machine that is gone is made
/// again by the others.
const TRIES: u32 = 3;
/// Name of the table of what is divided.
const FLOWS: &str = "flows";
const RECORDS: &str = "attributions";

/// The one heavy query.
pub(super) async fn by_stored_weights(
    ctx: &SessionContext,
    cluster: &Cluster,
    state: &State,
    flows: &Flows,
    amounts: &[(usize, usize, u128)],
    targets: &mut Targets,
) -> Result<(), AccountingError> {
    let files = files_of(ctx, RECORDS).await?;
    if files.is_empty() {
        return Ok(());
    }
    let filter = within(state, flows, amounts);
    let rows = rows(flows, amounts)?;
    let job = write(cluster, &rows)?;
    let divided = divide(cluster, &files, (&job, rows.schema()), &filter).await;
    cluster.inputs().done(&job).await;
    std::fs::remove_file(&job).map_err(file("remove", &job))?;
    for batch in &divided? {
        let columns = Columns(batch);
        let (kinds, keys) = (columns.int32("target_kind")?, columns.int64("target_sk")?);
        let sums = columns.money("sub")?;
        for (row, flow) in columns.int64("flow")?.into_iter().enumerate() {
            let flow = usize::try_from(flow).map_err(|_negative| cluster.failed(format!("it named flow {flow}")))?;
            targets.add(state, flow, Target::new(i64::from(kinds[row]), keys[row])?, amount(sums[row])?)?;
        }
    }
    Ok(())
}

/// The files of a table in a session; none when it has no rows.
async fn files_of(ctx: &SessionContext, table: &str) -> Result<Vec<PathBuf>, AccountingError> {
    let provider = ctx.table_provider(table).await.map_err(AccountingError::query(table))?;
    if provider.is::<EmptyTable>() {
        return Ok(Vec::new());
    }
    let rows =
        || AccountingError::Missing { what: format!("files of {table}"), expected: "a table of files".to_owned() };
    let listing = provider.downcast_ref::<ListingTable>().ok_or_else(rows)?;
    let local = |url: &ListingTableUrl| {
        let path = url.get_url().to_file_path();
        path.map_err(|()| AccountingError::Missing {
            what: url.to_string(),
            expected: "a file of this machine".to_owned(),
        })
    };
    listing.table_paths().iter().map(local).collect()
}

/// What is divided: one row per inference and flow.
fn rows(flows: &Flows, amounts: &[(usize, usize, u128)]) -> Result<RecordBatch, AccountingError> {
    let at = |inference: usize| &flows.inferences[inference];
    let number = |flow: usize| i64::try_from(flow).unwrap_or(i64::MAX);
    let subs = Decimal128Array::from_iter_values(amounts.iter().map(|(.., sub)| sub.cast_signed()));
    let subs = subs.with_precision_and_scale(38, 0).map_err(|error| AccountingError::query(FLOWS)(error.into()))?;
    let columns: [(&str, ArrayRef); 5] = [
        ("flow", Arc::new(Int64Array::from_iter_values(amounts.iter().map(|(_, flow, _)| number(*flow))))),
        ("batch_sk", Arc::new(Int64Array::from_iter_values(amounts.iter().map(|(one, ..)| at(*one).batch_sk)))),
        ("inference", Arc::new(Int32Array::from_iter_values(amounts.iter().map(|(one, ..)| at(*one).ordinal)))),
        ("sub", Arc::new(subs)),
        ("total", Arc::new(Int64Array::from_iter_values(amounts.iter().map(|(one, ..)| at(*one).weight_total)))),
    ];
    RecordBatch::try_from_iter(columns).map_err(|error| AccountingError::query(FLOWS)(error.into()))
}

/// Writes it as a file that is named by what is in it.
fn write(cluster: &Cluster, rows: &RecordBatch) -> Result<PathBuf, AccountingError> {
    let parquet = |error: parquet::errors::ParquetError| AccountingError::query(FLOWS)(error.into());
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), None).map_err(parquet)?;
    writer.write(rows).map_err(parquet)?;
    writer.close().map_err(parquet)?;
    let folder = cluster.folder();
    std::fs::create_dir_all(folder).map_err(file("make", folder))?;
    let path = folder.join(format!("{FLOWS}-{:x}.parquet", alloy_primitives::keccak256(&bytes)));
    std::fs::write(&path, &bytes).map_err(file("write", &path))?;
    Ok(path)
}

fn file<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> AccountingError + use<'a> {
    move |source| AccountingError::File { action, path: path.display().to_string(), source }
}

async fn divide(
    cluster: &Cluster,
    files: &[PathBuf],
    (flows, schema): (&Path, SchemaRef),
    filter: &str,
) -> Result<Vec<RecordBatch>, AccountingError> {
    let records = cluster.inputs().table(RECORDS, files).await.map_err(|why| cluster.failed(why))?;
    let flows = cluster.inputs().job(flows).await.map_err(|why| cluster.failed(why))?;
    let tables = [(RECORDS, AttributionRow::info().schema, records), (FLOWS, schema, vec![flows])];
    let sql = format!(
        "SELECT f.flow, a.target_kind, a.target_sk, sum(cascade(f.sub, a.weight_before, a.weight, f.total)) AS sub \
         FROM {RECORDS} a JOIN {FLOWS} f ON a.batch_sk = f.batch_sk AND a.inference = f.inference \
         WHERE a.weight <> 0 AND {filter} GROUP BY f.flow, a.target_kind, a.target_sk"
    );
    let mut reason = String::new();
    for attempt in 1..=TRIES {
        match tried(cluster, &tables, &sql).await {
            Ok(batches) => return Ok(batches),
            Err(error) => reason = error.to_string(),
        }
        tracing::warn!(attempt, reason, "a job of the cluster failed");
    }
    Err(cluster.failed(reason))
}

async fn tried(
    cluster: &Cluster,
    tables: &[(&str, SchemaRef, Vec<String>)],
    sql: &str,
) -> datafusion::common::Result<Vec<RecordBatch>> {
    let external = |error: AccountingError| datafusion::common::DataFusionError::External(Box::new(error));
    let remote = cluster.session().map_err(external)?;
    for (name, schema, urls) in tables {
        remote.register_table(*name, provider_of_urls(Arc::clone(schema), urls)?)?;
    }
    remote.sql(sql).await?.collect().await
}
