//! A ledger made again, in a folder of its own: what is published is read and never written.

use alloy_primitives::B256;
use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::{col, lit};
use datafusion::prelude::SessionContext;
use std::path::Path;
use std::sync::Arc;
use tributary_schemas::column::hex_text;
use tributary_schemas::facts::PolicyRow;
use tributary_schemas::money::EpochRow;
use tributary_schemas::policy::Policy;
use tributary_schemas::table::TableInfo;
use tributary_schemas::{Table, facts, money};
use tributary_store::{Change, DeclaredOutcome, Heads, Lake, Snapshot};

use crate::error::AccountingError;
use crate::folder::Folder;
use crate::next::{publish, write_files};
use crate::read::{hash, query, rows};
use crate::register::{provider, register_tables};
use crate::settle::{Input, Settled, settle};

/// Where facts come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Facts<'a> {
    /// A snapshot of a data folder. Its ledger is not read.
    Published(&'a Lake, &'a Snapshot),
    /// Tables of anybody, and the ledger among them up to an epoch.
    Folder(&'a Folder, i64),
}

/// The ledger.
#[derive(Debug)]
pub(crate) struct Scratch<'a, S> {
    session: S,
    facts: Facts<'a>,
    dir: &'a Path,
    lake: Lake,
    snapshot: Arc<Snapshot>,
}

impl<'a, S: Fn() -> Result<SessionContext, AccountingError>> Scratch<'a, S> {
    /// An empty ledger in `dir`, which is empty too.
    pub(crate) async fn new(
        session: S,
        facts: Facts<'a>,
        dir: &'a Path,
        heads: Heads,
    ) -> Result<Self, AccountingError> {
        let lake = Lake::open(dir).await?;
        let snapshot = lake.publish(None, heads, Change::default()).await?;
        Ok(Self { session, facts, dir, lake, snapshot })
    }

    /// A session with the facts, and with the ledger as far as it is.
    pub(crate) async fn context(&self) -> Result<SessionContext, AccountingError> {
        let ctx = (self.session)()?;
        match self.facts {
            Facts::Published(lake, snapshot) => register_tables(&ctx, lake, snapshot, facts::all()).await?,
            Facts::Folder(folder, _) => folder.register(&ctx)?,
        }
        for info in money::all() {
            let mut table = provider(&self.lake, &self.snapshot, &info).await?;
            if let Facts::Folder(folder, upto) = self.facts {
                table = after(&ctx, folder, &info, upto, table).map_err(AccountingError::query(info.name))?;
            }
            ctx.register_table(info.name, table).map_err(AccountingError::query(info.name))?;
        }
        Ok(ctx)
    }

    /// Settles an epoch on the ledger as it is; with a policy, as if that were in force everywhere and always.
    pub(crate) async fn settle(
        &self,
        epoch: i64,
        declared_outcomes: Vec<DeclaredOutcome>,
        policy: Option<&Policy>,
    ) -> Result<Option<Settled>, AccountingError> {
        let ctx = self.context().await?;
        if let Some(policy) = policy {
            put_in_force(&ctx, policy).await?;
        }
        let heads = &self.snapshot.heads;
        let mut input = Input {
            chain_id: heads.chain_id,
            epoch,
            ledger_digest: heads.ledger_digest.unwrap_or_default(),
            manifest_hash: heads.manifest_hash,
            declared_outcomes,
            vault_balances: rows(&ctx, &format!("epoch = {epoch}")).await?,
        };
        if let (None, Facts::Folder(..)) = (heads.settled_epoch, self.facts)
            && let Some((digest, manifest)) = last(&ctx, epoch).await?
        {
            (input.ledger_digest, input.manifest_hash) = (digest, Some(manifest));
        }
        settle(&ctx, &input).await
    }

    /// Adds a settled epoch to the ledger; `None` for one without blocks.
    pub(crate) async fn keep(&mut self, epoch: i64, settled: Option<Settled>) -> Result<(), AccountingError> {
        let news = match settled {
            Some(settled) => Some(write_files(self.dir, epoch, settled).await?),
            None => None,
        };
        self.snapshot = publish(&self.lake, Arc::clone(&self.snapshot), epoch, news).await?;
        Ok(())
    }

    pub(crate) fn heads(&self) -> &Heads {
        &self.snapshot.heads
    }
}

/// The folder's rows up to an epoch, and then ours.
fn after(
    ctx: &SessionContext,
    folder: &Folder,
    info: &TableInfo,
    upto: i64,
    ours: Arc<dyn datafusion::catalog::TableProvider>,
) -> datafusion::error::Result<Arc<dyn datafusion::catalog::TableProvider>> {
    let theirs =
        folder.provider(info).map_err(|error| datafusion::error::DataFusionError::External(Box::new(error)))?;
    let theirs = ctx.read_table(theirs)?.filter(col("epoch").lt_eq(lit(upto)))?;
    Ok(theirs.union(ctx.read_table(ours)?)?.into_view())
}

/// Digest of the journal and hash of the manifest after the last epoch of the ledger before `epoch`.
async fn last(ctx: &SessionContext, epoch: i64) -> Result<Option<(B256, B256)>, AccountingError> {
    let filter = format!("epoch = (SELECT max(epoch) FROM epochs WHERE epoch < {epoch})");
    let rows: Vec<EpochRow> = rows(ctx, &filter).await?;
    rows.first().map(|row| Ok((hash(&row.ledger_digest)?, hash(&row.manifest_hash)?))).transpose()
}

/// Epochs with blocks, up to one.
pub(crate) async fn epochs_with_blocks(ctx: &SessionContext, upto: i64) -> Result<Vec<i64>, AccountingError> {
    integers(ctx, &format!("SELECT DISTINCT epoch FROM blocks WHERE epoch <= {upto} ORDER BY epoch")).await
}

/// The integers of a query's one column.
pub(crate) async fn integers(ctx: &SessionContext, sql: &str) -> Result<Vec<i64>, AccountingError> {
    let mut out = Vec::new();
    for batch in &query(ctx, sql).await? {
        out.extend(batch.column(0).as_primitive::<Int64Type>().iter().flatten());
    }
    Ok(out)
}

/// Replaces what was recorded by one policy, in every vault and before every payment.
async fn put_in_force(ctx: &SessionContext, policy: &Policy) -> Result<(), AccountingError> {
    const VAULTS: &str =
        "SELECT vault FROM payments UNION SELECT vault FROM pool_fundings UNION SELECT vault FROM claims";
    let mut recorded = Vec::new();
    for batch in &query(ctx, VAULTS).await? {
        for vault in crate::read::Columns(batch).text("vault", crate::read::address)? {
            recorded.push(PolicyRow {
                epoch: 0,
                block_number: -1,
                tx_index: -1,
                log_index: -1,
                vault: hex_text(vault),
                scope: hex_text(B256::ZERO),
                policy_hash: hex_text(policy.hash()),
                version: 1,
                policy: policy.canonical_json(),
            });
        }
    }
    let failed = || AccountingError::query("policies");
    let batch = PolicyRow::to_batch(&recorded);
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).map_err(failed())?;
    ctx.deregister_table("policies").map_err(failed())?;
    ctx.register_table("policies", Arc::new(table)).map_err(failed())?;
    Ok(())
}
