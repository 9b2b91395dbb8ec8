//! Settling what can be settled: the next epoch of a data folder, from its newest snapshot to a published one.

use alloy_primitives::{Address, B256};
use datafusion::prelude::SessionContext;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tributary_schemas::column::hex_text;
use tributary_schemas::money;
use tributary_store::{Change, Heads, Lake, Snapshot, Staged, StoreError};

use crate::error::AccountingError;
use crate::read::query;
use crate::register::register;
use crate::settle::{Input, Settled, settle};
use crate::stage::stage;
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

/// Folder of an epoch's manifest and trees.
#[must_use]
pub fn epoch_folder(data_dir: &Path, epoch: i64) -> PathBuf {
    data_dir.join("epochs").join(epoch.to_string())
}

/// Settles the epoch after the last settled one, if a later block is sealed: then all its blocks are final and all their
/// blobs have an outcome (INV-07). `session` makes the session it runs in.
pub async fn settle_next(
    session: impl Fn() -> Result<SessionContext, AccountingError>,
    lake: &Lake,
    data_dir: &Path,
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
    let input = Input {
        chain_id: heads.chain_id,
        epoch,
        ledger_digest: heads.ledger_digest.unwrap_or_default(),
        manifest_hash: heads.manifest_hash,
        declared_outcomes: heads.declared_outcomes.clone(),
    };
    let settled = settle(&ctx, &input).await?;
    drop(ctx);
    let news = match settled {
        Some(settled) => Some(write_files(data_dir, epoch, settled).await?),
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

/// What a settled epoch brings to a publication.
#[derive(Debug)]
pub(crate) struct News {
    few: money::Rows,
    staged: Vec<Staged>,
    manifest_hash: B256,
    ledger_digest: B256,
    roots: Vec<(Address, B256)>,
}

/// The files of an epoch. They are functions of the epoch, so writing them again after a crash changes nothing.
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
    Ok(News { few, staged, manifest_hash, ledger_digest, roots })
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
