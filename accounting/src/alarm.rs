//! What the chain says and the settlement does not: roots that a vault published and that are not ours, and claims
//! beyond what was due. Neither is ever adopted. And a vault that held less than it owed when its last epoch ended.
//!
//! A root says nothing of its leaves, but who claimed under it showed one: the sum of an account's claims, up to the
//! last one under that root, is the cumulative amount that the root has for it. So the first account that differs is
//! named as soon as it has claimed.

use alloy_primitives::Address;
use datafusion::prelude::SessionContext;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use tributary_schemas::facts::{PublishedRootRow, RewardClaimRow};
use tributary_schemas::money::{BalanceRow, EpochRow, FundingRow, LedgerEntryRow, MerkleLeafRow};

use crate::error::AccountingError;
use crate::read::{address, amount, list, rows};

/// Something that the chain says and the settlement does not, or a vault that holds too little.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// What it is.
    pub kind: AlarmKind,
    /// The settled epoch it is about.
    pub epoch: i64,
    /// Vault.
    pub vault: Address,
    /// Token; zero for the native one.
    pub token: Address,
    /// The block that says it.
    pub block: i64,
    /// What was found and what was expected, in words.
    pub detail: String,
    /// The first account, by address, that is known to differ.
    pub account: Option<Address>,
}

/// What an alarm is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// The root a vault published is not that of our tree.
    RootDiffers,
    /// The root is ours, and what was published with it (cumulative total, journal's digest, last block) is not.
    ManifestDiffers,
    /// An account claimed more than was due to it.
    ClaimExceeds,
    /// A vault held less of a token, at the end of the last settled epoch, than it owed.
    VaultShort,
}

impl AlarmKind {
    /// Whether the chain says otherwise of what is settled: a vault that is short contradicts nothing.
    #[must_use]
    pub const fn is_difference(self) -> bool {
        match self {
            Self::RootDiffers | Self::ManifestDiffers | Self::ClaimExceeds => true,
            Self::VaultShort => false,
        }
    }

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RootDiffers => "root_differs",
            Self::ManifestDiffers => "manifest_differs",
            Self::ClaimExceeds => "claim_exceeds",
            Self::VaultShort => "vault_short",
        }
    }
}

impl std::fmt::Display for Alarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, epoch, vault, token, block, detail, .. } = self;
        write!(f, "{} in epoch {epoch}, vault {vault}, token {token}, block {block}: {detail}", kind.as_str())
    }
}

/// All alarms of the settled epochs over the tables registered in `ctx`, by epoch, block and kind.
pub async fn alarms(ctx: &SessionContext) -> Result<Vec<Alarm>, AccountingError> {
    let settled: Vec<EpochRow> = rows(ctx, "true").await?;
    let last = settled.iter().map(|row| row.epoch).max();
    let published: Vec<PublishedRootRow> = rows(ctx, "true").await?;
    let mut out = Vec::new();
    for row in published.iter().filter(|row| last.is_some_and(|last| row.settled_epoch <= last)) {
        out.extend(compare(ctx, &settled, row).await?);
    }
    out.extend(beyond(ctx).await?);
    out.extend(short(ctx).await?);
    out.sort_by_key(|one| (one.epoch, one.block, one.kind, one.vault, one.token, one.account));
    Ok(out)
}

/// A published root against ours.
async fn compare(
    ctx: &SessionContext,
    settled: &[EpochRow],
    row: &PublishedRootRow,
) -> Result<Option<Alarm>, AccountingError> {
    // A vault has one tree over all its tokens; one without a row of its own has the tree of the epoch before.
    let of_vault = settled.iter().filter(|ours| ours.vault == row.vault && ours.epoch <= row.settled_epoch);
    let ours = of_vault.clone().max_by_key(|ours| (ours.epoch, ours.token == row.token));
    let alarm = |kind, detail, account| Alarm {
        kind,
        epoch: row.settled_epoch,
        vault: address(&row.vault).unwrap_or_default(),
        token: address(&row.token).unwrap_or_default(),
        block: row.block_number,
        detail,
        account,
    };
    let root = ours.map_or("none", |ours| ours.root.as_str());
    if row.root != root {
        let first = first_difference(ctx, row, ours.map(|ours| ours.epoch)).await?;
        let (account, words) = match first {
            Some(first) => (Some(first.account), format!("the first account that differs is {first}")),
            None => (None, "no claim under it shows where".to_owned()),
        };
        let detail = format!("the root on chain is {}: expected {root}; {words}", row.root);
        return Ok(Some(alarm(AlarmKind::RootDiffers, detail, account)));
    }
    let Some(ours) = ours.filter(|ours| ours.epoch == row.settled_epoch && ours.token == row.token) else {
        return Ok(None);
    };
    let compared = [
        ("the cumulative total", row.total.0.to_string(), ours.cumulative.0.to_string()),
        ("the journal's digest", row.ledger_digest.clone(), ours.ledger_digest.clone()),
        ("the last block", row.last_block.to_string(), ours.last_block.to_string()),
    ];
    let differs = compared.into_iter().find(|(_, theirs, ours)| theirs != ours);
    Ok(differs.map(|(what, theirs, ours)| {
        alarm(AlarmKind::ManifestDiffers, format!("{what} on chain is {theirs}: expected {ours}"), None)
    }))
}

/// Where a root that is not ours differs, as far as claims show it.
struct Difference {
    account: Address,
    token: Address,
    theirs: u128,
    ours: Option<u128>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { account, token, theirs, ours } = self;
        write!(f, "{account}: it claimed {theirs} of token {token} in all, expected ")?;
        match ours {
            Some(ours) => write!(f, "{ours}"),
            None => f.write_str("no leaf"),
        }
    }
}

async fn first_difference(
    ctx: &SessionContext,
    row: &PublishedRootRow,
    epoch: Option<i64>,
) -> Result<Option<Difference>, AccountingError> {
    let mut claims: Vec<RewardClaimRow> = rows(ctx, &format!("vault = '{}'", row.vault)).await?;
    claims.sort_by_key(|claim| (claim.block_number, claim.log_index));
    let (mut so_far, mut shown) = (BTreeMap::new(), BTreeMap::new());
    for claim in claims {
        let key = (claim.account, claim.token);
        let sum: &mut u128 = so_far.entry(key.clone()).or_default();
        *sum = sum.saturating_add(amount(claim.amount.0)?);
        if claim.root_epoch == row.settled_epoch {
            shown.insert(key, *sum);
        }
    }
    let Some(epoch) = epoch.filter(|_| !shown.is_empty()) else {
        let first = shown.into_iter().next();
        return first.map(|((account, token), theirs)| difference(&account, &token, theirs, None)).transpose();
    };
    let filter = format!("epoch = {epoch} AND vault = '{}'", row.vault);
    let leaves: Vec<MerkleLeafRow> = rows(ctx, &filter).await?;
    let leaves: BTreeMap<(String, String), i128> =
        leaves.into_iter().map(|leaf| ((leaf.account, leaf.token), leaf.cumulative.0)).collect();
    for ((account, token), theirs) in shown {
        let ours = leaves.get(&(account.clone(), token.clone())).map(|units| amount(*units)).transpose()?;
        if ours != Some(theirs) {
            return difference(&account, &token, theirs, ours).map(Some);
        }
    }
    Ok(None)
}

fn difference(account: &str, token: &str, theirs: u128, ours: Option<u128>) -> Result<Difference, AccountingError> {
    Ok(Difference { account: address(account)?, token: address(token)?, theirs, ours })
}

/// Vaults that are short, as the last settled epoch found them: what was short before and is covered now is no alarm.
/// One that was not read since was not found to be covered.
async fn short(ctx: &SessionContext) -> Result<Vec<Alarm>, AccountingError> {
    let mut found: Vec<FundingRow> = rows(ctx, "state <> 'not_compared'").await?;
    found.sort_by_key(|row| row.epoch);
    let newest: BTreeMap<_, _> = found.iter().map(|row| ((&row.vault, &row.token), row)).collect();
    let alarm = |row: &&FundingRow| {
        let held = row.held.map_or(0, |held| held.0);
        Ok(Alarm {
            kind: AlarmKind::VaultShort,
            epoch: row.epoch,
            vault: address(&row.vault)?,
            token: address(&row.token)?,
            block: row.block_number,
            detail: format!(
                "it held {held} for claims: expected {} at least, what it owes; {} wait unfunded",
                row.owed.0, row.waiting.0
            ),
            account: None,
        })
    };
    newest.values().filter(|row| row.state == "short").map(alarm).collect()
}

/// Claims beyond what was due: the journal has the rest as owed by the account. The journal has an entry for every payee
/// of every epoch; which of its epochs to look into, the few rows of the trial balance say.
async fn beyond(ctx: &SessionContext) -> Result<Vec<Alarm>, AccountingError> {
    let owing: Vec<BalanceRow> = rows(ctx, "account LIKE 'receivable:0x%'").await?;
    let mut counters: BTreeMap<(&str, &str, &str, i64), i128> = BTreeMap::new();
    for row in &owing {
        counters.insert((&row.vault, &row.token, &row.account, row.epoch), row.debits_posted.0);
    }
    let mut epochs = BTreeSet::new();
    let mut before = None;
    for ((vault, token, account, epoch), debits) in counters {
        let rose = before != Some((vault, token, account, debits));
        before = Some((vault, token, account, debits));
        epochs.extend(rose.then_some(epoch));
    }
    if epochs.is_empty() {
        return Ok(Vec::new());
    }
    let filter = format!("epoch IN ({}) AND code = 'claim' AND debit LIKE 'receivable:%'", list(epochs));
    let entries: Vec<LedgerEntryRow> = rows(ctx, &filter).await?;
    let mut claims = BTreeMap::new();
    if !entries.is_empty() {
        let of_event: Vec<RewardClaimRow> = rows(ctx, "true").await?;
        claims.extend(of_event.into_iter().map(|claim| (claim.event_id.clone(), claim)));
    }
    let alarm = |entry: &LedgerEntryRow| {
        let account = address(entry.debit.trim_start_matches("receivable:"))?;
        let claim = claims.get(&entry.source);
        Ok(Alarm {
            kind: AlarmKind::ClaimExceeds,
            epoch: entry.epoch,
            vault: address(&entry.vault)?,
            token: address(&entry.token)?,
            block: claim.map_or(0, |claim| claim.block_number),
            detail: format!("{account} claimed {} more than was due to it", entry.amount.0),
            account: Some(account),
        })
    };
    entries.iter().map(alarm).collect()
}
