//! Settling what can be settled: the next epoch of a data folder, from its newest snapshot to a published one.

use alloy_primitives::{Address, B256};
use datafusion::prelude::SessionContext;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tributary_schemas::column::hex_text;
use tributary_schemas::facts::{self, VaultBalanceRow};
use tributary_schemas::money;
use tributary_store::{Change, Heads, Lake, Snapshot, Staged, StoreError};

use crate::error::AccountingError;
use crate::read::{Columns, address, hash, query};
use crate::register::register;
use crate::settle::{Input, Settled, settle};
use crate::stage::stage;
use crate::state::Bounds;
use crate::tree::save;

/// What became of an attempt.
#[derive(Debug, Clone)]
pub enum SettleOutcome {
    /// An epoch settled.
    Settled {
        /// Which.
        epoch: i64,
        /// The snapshot that holds it.
        snapshot: Arc<Snapshot>,
    },
    /// The next epoch cannot settle yet.
    Waiting {
        /// Which.
        epoch: i64,
        /// Why, in words.
        why: Vec<String>,
    },
    /// Nothing is sealed yet.
    NothingToDo,
}

/// The end of an epoch, and what is to be read there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The epoch.
    pub epoch: i64,
    /// Its last block.
    pub block_number: i64,
    /// Hash of that block.
    pub block_hash: B256,
    /// Vaults and the tokens they took in, in order.
    pub vaults: Vec<(Address, Address)>,
}

/// Who reads what vaults hold: settlement itself asks no node.
pub trait Vaults: Sync {
    /// What the vaults hold after the last block of an epoch, as far as it can be read: what is not in the answer is not
    /// compared with what is owed.
    ///
    /// # Errors
    ///
    /// When the epoch must not be settled with what there is; that something cannot be read is no such thing.
    fn balances(&self, cut: &Cut) -> impl Future<Output = Result<Vec<VaultBalanceRow>, AccountingError>> + Send;
}

/// Nobody: nothing is compared.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unread;

impl Vaults for Unread {
    async fn balances(&self, _: &Cut) -> Result<Vec<VaultBalanceRow>, AccountingError> {
        Ok(Vec::new())
    }
}

/// Folder of an epoch's manifest and trees.
#[must_use]
pub fn epoch_folder(data_dir: &Path, epoch: i64) -> PathBuf {
    data_dir.join("epochs").join(epoch.to_string())
}

/// Settles the epoch after the last settled one, if a later block is sealed: then all its blocks are final and all their
/// blobs have an outcome (INV-07). `session` makes the session it runs in, `vaults` reads balances at the cut.
pub async fn settle_next(
    session: impl Fn() -> Result<SessionContext, AccountingError>,
    lake: &Lake,
    data_dir: &Path,
    vaults: &impl Vaults,
) -> Result<SettleOutcome, AccountingError> {
    let Some(snapshot) = lake.latest().await? else { return Ok(SettleOutcome::NothingToDo) };
    let heads = &snapshot.heads;
    let sealed = heads.epoch_of(heads.block_timestamp);
    let waiting = |epoch| {
        let why = format!(
            "the sealed head is block {} of epoch {sealed}: expected a sealed block of a later epoch than {epoch}",
            heads.block_number
        );
        Ok(SettleOutcome::Waiting { epoch, why: vec![why] })
    };
    // Asked after every publication: without a session, as long as the answer is no.
    let next = heads.settled_epoch.map(|settled| settled + 1);
    if let Some(epoch) = next.filter(|epoch| sealed <= *epoch) {
        return waiting(epoch);
    }
    let ctx = session()?;
    register(&ctx, lake, &snapshot).await?;
    let epoch = match next {
        Some(epoch) => epoch,
        None => match first_epoch(&ctx).await? {
            Some(first) => first,
            None => return Ok(SettleOutcome::NothingToDo),
        },
    };
    if sealed <= epoch {
        return waiting(epoch);
    }
    settle_epoch(ctx, lake, data_dir, vaults, snapshot, epoch).await
}

/// Settles an epoch that is ripe and publishes what it comes to.
#[tracing::instrument(level = "info", skip_all, fields(epoch))]
async fn settle_epoch(
    ctx: SessionContext,
    lake: &Lake,
    data_dir: &Path,
    vaults: &impl Vaults,
    snapshot: Arc<Snapshot>,
    epoch: i64,
) -> Result<SettleOutcome, AccountingError> {
    let heads = &snapshot.heads;
    let vault_balances = match cut(&ctx, epoch).await? {
        Some(cut) if !cut.vaults.is_empty() => vaults.balances(&cut).await?,
        _ => Vec::new(),
    };
    let input = Input {
        chain_id: heads.chain_id,
        epoch,
        ledger_digest: heads.ledger_digest.unwrap_or_default(),
        manifest_hash: heads.manifest_hash,
        declared_outcomes: heads.declared_outcomes.clone(),
        vault_balances,
    };
    let settled = settle(&ctx, &input).await?;
    drop(ctx);
    let news = match settled {
        Some(settled) => {
            let readings = input.vault_balances;
            Some(News { readings, ..write_files(data_dir, epoch, settled).await? })
        }
        None => None,
    };
    let snapshot = publish(lake, snapshot, epoch, news).await?;
    Ok(SettleOutcome::Settled { epoch, snapshot })
}

async fn first_epoch(ctx: &SessionContext) -> Result<Option<i64>, AccountingError> {
    use datafusion::arrow::array::{Array, AsArray};
    use datafusion::arrow::datatypes::Int64Type;
    let batches = query(ctx, "SELECT min(epoch) AS epoch FROM blocks").await?;
    let column = batches.first().map(|batch| batch.column(0).as_primitive::<Int64Type>());
    Ok(column.filter(|column| !column.is_empty() && column.is_valid(0)).map(|column| column.value(0)))
}

/// The cut of an epoch, with the vaults that hold what they say they took in: those whose contract emits for nothing
/// else. `None` for an epoch without blocks.
async fn cut(ctx: &SessionContext, epoch: i64) -> Result<Option<Cut>, AccountingError> {
    let Some(bounds) = Bounds::of(ctx, epoch).await? else { return Ok(None) };
    let last = bounds.last;
    let sql = format!(
        "SELECT vault, token FROM payments WHERE backing = 'vault' AND block_number <= {last} \
         UNION SELECT vault, token FROM pool_fundings WHERE block_number <= {last}"
    );
    let mut vaults = BTreeSet::new();
    for batch in &query(ctx, &sql).await? {
        let columns = Columns(batch);
        vaults.extend(columns.text("vault", address)?.into_iter().zip(columns.text("token", address)?));
    }
    let block_hash = hash(&bounds.last_hash)?;
    Ok(Some(Cut { epoch, block_number: last, block_hash, vaults: vaults.into_iter().collect() }))
}

/// What a settled epoch brings to a publication.
#[derive(Debug)]
pub(crate) struct News {
    /// What was read for it.
    readings: Vec<VaultBalanceRow>,
    few: money::Rows,
    staged: Vec<Staged>,
    manifest_hash: B256,
    ledger_digest: B256,
    roots: Vec<(Address, B256)>,
}

/// The files of an epoch. They are functions of the epoch, so writing them again after a crash changes nothing.
#[tracing::instrument(level = "info", skip_all)]
pub(crate) async fn write_files(data_dir: &Path, epoch: i64, settled: Settled) -> Result<News, AccountingError> {
    let folder = epoch_folder(data_dir, epoch);
    std::fs::create_dir_all(&folder).map_err(|source| AccountingError::File {
        action: "make",
        path: folder.display().to_string(),
        source,
    })?;
    for (vault, tree) in settled.trees() {
        tree.save(&folder, *vault)?;
    }
    save(&folder.join("manifest.json"), |file| std::io::Write::write_all(file, settled.manifest.as_bytes()))?;
    let Settled { tables, manifest_hash, ledger_digest, .. } = settled;
    let few = tables.few();
    let roots = tables.trees.iter().map(|(vault, tree)| (*vault, tree.root())).collect();
    let staged = stage(&folder, Arc::new(tables)).await?;
    Ok(News { readings: Vec::new(), few, staged, manifest_hash, ledger_digest, roots })
}

/// Publishes on the newest snapshot. The indexer may publish in between: what it adds lies beyond the epoch, so the
/// same rows are right on top of it.
pub(crate) async fn publish(
    lake: &Lake,
    mut base: Arc<Snapshot>,
    epoch: i64,
    news: Option<News>,
) -> Result<Arc<Snapshot>, AccountingError> {
    let before = base.heads.settled_epoch;
    loop {
        let mut heads: Heads = base.heads.clone();
        heads.settled_epoch = Some(epoch);
        let mut change = Change::default();
        if let Some(news) = &news {
            heads.manifest_hash = Some(news.manifest_hash);
            heads.ledger_digest = Some(news.ledger_digest);
            heads.roots.extend(news.roots.iter().copied());
            change.facts = facts::Rows { vault_balances: news.readings.clone(), ..facts::Rows::default() }.into();
            change.money = news.few.clone().into();
            change.staged.clone_from(&news.staged);
        }
        match lake.publish(Some(&base), heads, change).await {
            Err(StoreError::SnapshotTaken { version }) => {
                tracing::debug!(version, "somebody published first: settling on top of it");
                base = lake.latest().await?.unwrap_or(base);
                if base.heads.settled_epoch != before {
                    let found = base.heads.settled_epoch;
                    return Err(AccountingError::inconsistent(format!(
                        "somebody else settled up to {found:?} while epoch {epoch} settled on {before:?} ({})",
                        hex_text(base.heads.block_hash)
                    )));
                }
            }
            other => return Ok(other?),
        }
    }
}
