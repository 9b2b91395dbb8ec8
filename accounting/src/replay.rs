//! Settling again what is settled, and comparing: that a ledger is what its rule makes of its facts, and nothing else.
//!
//! `verify` checks that what is published fits together; this makes it again. Facts come from the published tables, the
//! ledger from nothing: every epoch is settled in a folder of its own on the epochs that were settled there before.

use alloy_primitives::{Address, B256};
use datafusion::prelude::SessionContext;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tributary_schemas::Table;
use tributary_schemas::column::hex_text;
use tributary_schemas::money::{
    ClaimRow, EntitlementRow, EpochRow, FundingRow, LedgerEntryRow, MerkleLeafRow, MoneyFlowRow,
};
use tributary_store::{DeclaredOutcome, Heads, Lake, Snapshot};

use crate::error::AccountingError;
use crate::next::epoch_folder;
use crate::read::rows;
use crate::register::register;
use crate::scratch::{Facts, Scratch, epochs_with_blocks};
use crate::tables::{sort_flows, sort_lines};
use crate::verify::Findings;

/// An epoch that was settled again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Which.
    pub epoch: i64,
    /// Hash of its manifest; none when it has no blocks.
    pub manifest_hash: Option<B256>,
    /// Digest of the journal after it.
    pub ledger_digest: Option<B256>,
    /// Root of each vault's tree.
    pub roots: BTreeMap<Address, B256>,
    /// What is published otherwise; the first is what differs first.
    pub differences: Vec<String>,
}

/// Settles all epochs up to `last` again in the folder `scratch`, which must be empty, and stops after the first that
/// differs from what is published.
pub async fn replay(
    session: impl Fn() -> Result<SessionContext, AccountingError>,
    lake: &Lake,
    data_dir: &Path,
    scratch: &Path,
    last: i64,
) -> Result<Vec<Replayed>, AccountingError> {
    let snapshot = lake.latest().await?.ok_or_else(|| AccountingError::Unknown { what: "snapshot yet".to_owned() })?;
    let settled = snapshot.heads.settled_epoch;
    if settled.is_none_or(|settled| last > settled) {
        let upto = settled.map_or_else(|| "nothing is".to_owned(), |settled| format!("the last one is {settled}"));
        return Err(AccountingError::Unknown { what: format!("epoch {last} that is settled: {upto}") });
    }
    let published = session()?;
    register(&published, lake, &snapshot).await?;
    let Some(first) = epochs_with_blocks(&published, last).await?.first().copied() else { return Ok(Vec::new()) };
    let mut again =
        Scratch::new(session, Facts::Published(lake, &snapshot), scratch, nothing_settled(&snapshot)).await?;
    let mut out = Vec::new();
    for epoch in first..=last {
        let found = read_manifest(data_dir, epoch)?;
        let declared = declared(&snapshot.heads, found.as_deref());
        let settled = again.settle(epoch, declared, None).await?;
        let made = settled.as_ref().map(|settled| settled.manifest.clone());
        let has_blocks = settled.is_some();
        again.keep(epoch, settled).await?;
        let mut findings = Findings::default();
        compare_manifests(found.as_deref(), made.as_deref(), &mut findings)?;
        if has_blocks {
            let ours = again.context().await?;
            compare_tables(&published, &ours, epoch, &mut findings).await?;
            compare_nodes(data_dir, scratch, epoch, again.heads(), &mut findings)?;
        }
        if snapshot.heads.settled_epoch == Some(epoch) {
            compare_heads(&snapshot.heads, again.heads(), &mut findings);
        }
        let heads = again.heads();
        let differs = !findings.is_clean();
        out.push(Replayed {
            epoch,
            manifest_hash: heads.manifest_hash.filter(|_| has_blocks),
            ledger_digest: heads.ledger_digest,
            roots: heads.roots.clone(),
            differences: findings.differences,
        });
        if differs {
            break;
        }
    }
    Ok(out)
}

fn nothing_settled(snapshot: &Snapshot) -> Heads {
    Heads {
        settled_epoch: None,
        manifest_hash: None,
        ledger_digest: None,
        roots: BTreeMap::new(),
        ..snapshot.heads.clone()
    }
}

fn read_manifest(data_dir: &Path, epoch: i64) -> Result<Option<String>, AccountingError> {
    let path = epoch_folder(data_dir, epoch).join("manifest.json");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(AccountingError::File { action: "read", path: path.display().to_string(), source }),
    }
}

/// Outcomes are an input of an epoch (ruling 10), and it lists those that were declared when it settled: more may have
/// been since. One that is listed and was never declared is not taken over, and differs.
fn declared(heads: &Heads, manifest: Option<&str>) -> Vec<DeclaredOutcome> {
    let manifest: Value = manifest.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let Some(listed) = manifest["declared_outcomes"].as_array() else { return heads.declared_outcomes.clone() };
    let is_listed = |one: &&DeclaredOutcome| {
        let (block, log) = (Value::String(one.block_number.to_string()), Value::String(one.log_index.to_string()));
        listed.iter().any(|said| {
            said["block_number"] == block
                && said["log_index"] == log
                && said["reference"] == one.reference
                && said["outcome"] == one.outcome
        })
    };
    heads.declared_outcomes.iter().filter(is_listed).cloned().collect()
}

fn compare_manifests(found: Option<&str>, made: Option<&str>, findings: &mut Findings) -> Result<(), AccountingError> {
    let (Some(found), Some(made)) = (found, made) else {
        let words = |text: Option<&str>| if text.is_some() { "there" } else { "absent" };
        findings.expect("the manifest", words(found), words(made));
        return Ok(());
    };
    let made: Value = serde_json::from_str(made)
        .map_err(|error| AccountingError::inconsistent(format!("the manifest made again: {error}")))?;
    let Ok(said) = serde_json::from_str::<Value>(found) else {
        findings.differences.push("the manifest is no JSON".to_owned());
        return Ok(());
    };
    compare_values("the manifest's ", &said, &made, findings);
    if findings.is_clean() {
        findings.expect("the manifest", found, &made);
    }
    Ok(())
}

/// Names every leaf of two JSON values that differs.
fn compare_values(at: &str, found: &Value, made: &Value, findings: &mut Findings) {
    match (found, made) {
        (Value::Object(found), Value::Object(made)) => {
            let keys: std::collections::BTreeSet<&String> = found.keys().chain(made.keys()).collect();
            for key in keys {
                let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                compare_values(&format!("{at}/{key}"), &of(found), &of(made), findings);
            }
        }
        (found, made) => findings.expect(at, found, made),
    }
}

/// Names the first row of each table that differs.
async fn compare_tables(
    published: &SessionContext,
    ours: &SessionContext,
    epoch: i64,
    findings: &mut Findings,
) -> Result<(), AccountingError> {
    let contexts = [published, ours];
    rows_of::<EpochRow>(contexts, epoch, findings, |rows| {
        rows.sort_by(|a, b| (&a.vault, &a.token).cmp(&(&b.vault, &b.token)));
    })
    .await?;
    rows_of::<LedgerEntryRow>(contexts, epoch, findings, |rows| rows.sort_by(|a, b| a.entry_id.cmp(&b.entry_id)))
        .await?;
    rows_of::<EntitlementRow>(contexts, epoch, findings, sort_lines).await?;
    rows_of::<MoneyFlowRow>(contexts, epoch, findings, sort_flows).await?;
    rows_of::<ClaimRow>(contexts, epoch, findings, |rows| {
        rows.sort_by(|a, b| (&a.account, &a.token, &a.vault).cmp(&(&b.account, &b.token, &b.vault)));
    })
    .await?;
    rows_of::<MerkleLeafRow>(contexts, epoch, findings, |rows| {
        rows.sort_by(|a, b| (&a.vault, a.leaf_index).cmp(&(&b.vault, b.leaf_index)));
    })
    .await?;
    // Epochs from before this table have no rows in it.
    if rows::<FundingRow>(published, &format!("epoch = {epoch}")).await?.is_empty() {
        return Ok(());
    }
    rows_of::<FundingRow>(contexts, epoch, findings, |rows| {
        rows.sort_by(|a, b| (&a.vault, &a.token).cmp(&(&b.vault, &b.token)));
    })
    .await
}

async fn rows_of<T: Table + PartialEq + Serialize>(
    [published, ours]: [&SessionContext; 2],
    epoch: i64,
    findings: &mut Findings,
    sort: impl Fn(&mut [T]),
) -> Result<(), AccountingError> {
    let of_epoch = format!("epoch = {epoch}");
    let (mut found, mut made) = (rows::<T>(published, &of_epoch).await?, rows::<T>(ours, &of_epoch).await?);
    sort(&mut found);
    sort(&mut made);
    let text =
        |row: Option<&T>| row.and_then(|row| serde_json::to_string(row).ok()).unwrap_or_else(|| "absent".to_owned());
    let count = std::cmp::max(found.len(), made.len());
    if let Some(row) = (0..count).find(|row| found.get(*row) != made.get(*row)) {
        let what = format!("row {row} of {} by its order", T::NAME);
        findings.expect(&what, text(found.get(row)), text(made.get(row)));
    }
    Ok(())
}

fn compare_nodes(
    data_dir: &Path,
    scratch: &Path,
    epoch: i64,
    heads: &Heads,
    findings: &mut Findings,
) -> Result<(), AccountingError> {
    for vault in heads.roots.keys() {
        let read = |dir: &Path| {
            let path = epoch_folder(dir, epoch).join(format!("{}.nodes", hex_text(vault)));
            match std::fs::read(&path) {
                Ok(bytes) => Ok(Some(alloy_primitives::keccak256(bytes))),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(source) => Err(AccountingError::File { action: "read", path: path.display().to_string(), source }),
            }
        };
        let text = |digest: Option<B256>| digest.map_or_else(|| "absent".to_owned(), hex_text);
        let what = format!("the digest of the node file of vault {vault}");
        findings.expect(&what, text(read(data_dir)?), text(read(scratch)?));
    }
    Ok(())
}

fn compare_heads(found: &Heads, made: &Heads, findings: &mut Findings) {
    let text = |digest: Option<B256>| digest.map_or_else(|| "absent".to_owned(), hex_text);
    findings.expect("the snapshot's ledger digest", text(found.ledger_digest), text(made.ledger_digest));
    findings.expect("the snapshot's manifest hash", text(found.manifest_hash), text(made.manifest_hash));
    let vaults: std::collections::BTreeSet<&Address> = found.roots.keys().chain(made.roots.keys()).collect();
    for vault in vaults {
        let root = |heads: &Heads| text(heads.roots.get(vault).copied());
        findings.expect(&format!("the snapshot's root of vault {vault}"), root(found), root(made));
    }
}
