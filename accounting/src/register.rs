//! The published tables in a session: exactly the files a snapshot names, under the tables' own names, and the views
//! that people ask for.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::prelude::SessionContext;
use std::path::PathBuf;
use std::sync::Arc;
use tributary_schemas::table::TableInfo;
use tributary_schemas::{facts, money};
use tributary_store::{Lake, Snapshot};

use crate::error::AccountingError;

/// Views, by name.
pub(crate) const VIEWS: [(&str, &str); 7] = [
    (
        "earnings",
        "SELECT epoch, vault, account, token, role, dataset_id, contribution_id, model_version_id, agent_version_id, amount, rounding \
         FROM entitlements WHERE account LIKE '0x%' AND role NOT LIKE 'pending:%'",
    ),
    (
        "earnings_daily",
        "SELECT date_trunc('day', b.ended) AS day, e.account, e.token, sum(e.amount) AS amount FROM earnings e \
         JOIN (SELECT epoch, max(\"timestamp\") AS ended FROM blocks GROUP BY epoch) b ON b.epoch = e.epoch GROUP BY 1, 2, 3",
    ),
    (
        "top_contributors",
        "SELECT account, token, sum(amount) AS amount, count(DISTINCT contribution_id) AS contributions \
         FROM earnings WHERE role = 'data' GROUP BY account, token ORDER BY amount DESC, account, token",
    ),
    (
        "lineage_paths",
        "SELECT epoch, vault, token, depth, src_id, dst_id, amount_sub, sub_digits FROM money_flows WHERE step = 'lineage'",
    ),
    (
        "epoch_conservation",
        "SELECT epoch, vault, token, revenue, credited, held, rounding, revenue - credited - held AS difference FROM epochs",
    ),
    (
        "suspense",
        "SELECT * FROM (SELECT vault, token, account, sum(units) AS amount FROM (\
         SELECT vault, token, credit AS account, amount AS units FROM ledger_entries WHERE credit LIKE 'suspense:%' \
         UNION ALL \
         SELECT vault, token, debit AS account, -amount AS units FROM ledger_entries WHERE debit LIKE 'suspense:%') \
         GROUP BY vault, token, account) WHERE amount <> 0",
    ),
    (
        "unresolved_blobs",
        "SELECT * FROM blobs b WHERE status <> 'verified' AND NOT EXISTS (SELECT 1 FROM blobs l \
         WHERE l.owner_id = b.owner_id AND l.found_block IS NOT NULL AND b.found_block IS NULL)",
    ),
];

/// Registers every table of [`facts::all`] and [`money::all`] at the versions that the snapshot names, and the views.
/// A table without rows is there and empty.
pub async fn register(ctx: &SessionContext, lake: &Lake, snapshot: &Snapshot) -> Result<(), AccountingError> {
    register_tables(ctx, lake, snapshot, facts::all().into_iter().chain(money::all()).collect()).await?;
    register_views(ctx).await
}

/// Registers the views over tables that are already there.
pub async fn register_views(ctx: &SessionContext) -> Result<(), AccountingError> {
    for (name, sql) in VIEWS {
        let view = format!("CREATE OR REPLACE VIEW {name} AS {sql}");
        ctx.sql(&view).await.map_err(AccountingError::query(name))?;
    }
    Ok(())
}

/// Registers some of the tables at the versions that the snapshot names.
pub(crate) async fn register_tables(
    ctx: &SessionContext,
    lake: &Lake,
    snapshot: &Snapshot,
    tables: Vec<TableInfo>,
) -> Result<(), AccountingError> {
    for info in tables {
        let table = provider(lake, snapshot, &info).await?;
        ctx.register_table(info.name, table).map_err(AccountingError::query(info.name))?;
    }
    Ok(())
}

/// The pinned files of one table.
pub(crate) async fn provider(
    lake: &Lake,
    snapshot: &Snapshot,
    info: &TableInfo,
) -> Result<Arc<dyn TableProvider>, AccountingError> {
    let files = lake.files(snapshot, info.name).await?;
    let paths: Vec<PathBuf> = files.into_iter().map(|file| file.path).collect();
    provider_of_files(info.name, Arc::clone(&info.schema), &paths)
}

/// Files as a table. The engine prunes files and row groups by their statistics and reads only the columns that a plan
/// asks for.
pub(crate) fn provider_of_files(
    name: &str,
    schema: SchemaRef,
    files: &[PathBuf],
) -> Result<Arc<dyn TableProvider>, AccountingError> {
    if files.is_empty() {
        return Ok(Arc::new(EmptyTable::new(schema)));
    }
    let urls: Vec<String> = files.iter().map(|file| file.to_string_lossy().into_owned()).collect();
    provider_of_urls(schema, &urls).map_err(AccountingError::query(name))
}

/// Files as a table, by their URLs or paths; at least one.
pub(crate) fn provider_of_urls(
    schema: SchemaRef,
    files: &[String],
) -> datafusion::common::Result<Arc<dyn TableProvider>> {
    let urls = files.iter().map(ListingTableUrl::parse).collect::<Result<Vec<_>, _>>()?;
    let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
    let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config)?))
}
