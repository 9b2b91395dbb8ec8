//! Settling anybody's tables: what an epoch comes to by the policies that were recorded, and who would gain and lose by
//! another one. No ledger is touched; what is made on the way lies in a folder of its own.

use alloy_primitives::{Address, B256};
use datafusion::prelude::SessionContext;
use std::collections::BTreeMap;
use std::path::Path;
use tributary_schemas::money::EpochRow;
use tributary_schemas::policy::Policy;
use tributary_store::Heads;

use crate::error::AccountingError;
use crate::folder::Folder;
use crate::scratch::{Facts, Scratch, epochs_with_blocks, integers};
use crate::settle::Settled;
use crate::tree::Tree;

/// An epoch of anybody's tables, settled.
#[derive(Debug, Clone)]
pub struct Audit {
    /// As it was recorded.
    pub recorded: Outcome,
    /// By another policy.
    pub other: Option<Outcome>,
    /// Everyone who would get another amount by it, by account and token.
    pub changes: Vec<Change>,
}

/// What an epoch comes to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Digest of the journal after it.
    pub ledger_digest: B256,
    /// Root of each vault's tree.
    pub roots: BTreeMap<Address, B256>,
    /// Rows of `epochs`, one for each vault and token. Their manifest hashes are without a chain id.
    pub totals: Vec<EpochRow>,
    /// Digests and numbers of rows of the other money tables, as a manifest has them.
    pub outputs: serde_json::Value,
}

/// What an account would get instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The account, or what is suspended with its reason, or the treasury.
    pub account: String,
    /// The token.
    pub token: String,
    /// Base units as recorded.
    pub before: i128,
    /// Base units by the other policy.
    pub after: i128,
}

/// Settles an epoch of the tables in `folder`, and again with `policy` in force everywhere when there is one. Where the
/// folder has no ledger, every epoch before it is settled first. `scratch` is an empty folder.
pub async fn audit(
    session: impl Fn() -> Result<SessionContext, AccountingError>,
    folder: &Folder,
    scratch: &Path,
    epoch: i64,
    policy: Option<&Policy>,
) -> Result<Audit, AccountingError> {
    let ctx = session()?;
    folder.register(&ctx)?;
    let epochs = epochs_with_blocks(&ctx, epoch).await?;
    if epochs.last() != Some(&epoch) {
        let last = epochs
            .last()
            .map_or_else(|| "there is none before it".to_owned(), |last| format!("the last one before it is {last}"));
        return Err(AccountingError::Unknown { what: format!("epoch {epoch} with blocks: {last}") });
    }
    let info = <EpochRow as tributary_schemas::Table>::info();
    ctx.register_table(info.name, folder.provider(&info)?).map_err(AccountingError::query(info.name))?;
    let settled = integers(&ctx, &format!("SELECT max(epoch) FROM epochs WHERE epoch < {epoch}")).await?;
    let upto = settled.first().copied().unwrap_or(-1);
    drop(ctx);

    let mut ledger = Scratch::new(session, Facts::Folder(folder, upto), scratch, Heads::default()).await?;
    for before in epochs.into_iter().filter(|one| *one > upto && *one < epoch) {
        let settled = ledger.settle(before, Vec::new(), None).await?;
        ledger.keep(before, settled).await?;
    }
    let absent = || AccountingError::Unknown { what: format!("block of epoch {epoch}") };
    let recorded = ledger.settle(epoch, Vec::new(), None).await?.ok_or_else(absent)?;
    let Some(policy) = policy else {
        return Ok(Audit { recorded: outcome(&recorded), other: None, changes: Vec::new() });
    };
    let mut sums: BTreeMap<(String, String), (i128, i128)> = BTreeMap::new();
    recorded.tables.entitlements(|row| {
        let sum = &mut sums.entry((row.account, row.token)).or_default().0;
        *sum = sum.saturating_add(row.amount.0);
    });
    let recorded = outcome(&recorded);
    let other = ledger.settle(epoch, Vec::new(), Some(policy)).await?.ok_or_else(absent)?;
    other.tables.entitlements(|row| {
        let sum = &mut sums.entry((row.account, row.token)).or_default().1;
        *sum = sum.saturating_add(row.amount.0);
    });
    let changed = sums.into_iter().filter(|(_, (before, after))| before != after);
    let changes = changed.map(|((account, token), (before, after))| Change { account, token, before, after }).collect();
    Ok(Audit { recorded, other: Some(outcome(&other)), changes })
}

fn outcome(settled: &Settled) -> Outcome {
    let manifest: serde_json::Value = serde_json::from_str(&settled.manifest).unwrap_or_default();
    Outcome {
        ledger_digest: settled.ledger_digest,
        roots: settled.trees().iter().map(|(vault, tree)| (*vault, Tree::root(tree))).collect(),
        totals: settled.tables.epochs().to_vec(),
        outputs: manifest["outputs"].clone(),
    }
}
