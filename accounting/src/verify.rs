//! Checking a data folder offline: manifests, journals, trees and the chain between them.

use alloy_primitives::{B256, keccak256};
use datafusion::prelude::SessionContext;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tributary_schemas::column::hex_text;
use tributary_schemas::facts::VaultBalanceRow;
use tributary_schemas::money::{
    BalanceRow, ClaimRow, EntitlementRow, EpochRow, LedgerEntryRow, MerkleLeafRow, MoneyFlowRow,
};

use crate::balances::Balances;
use crate::digest::of_rows;
use crate::error::AccountingError;
use crate::funding;
use crate::journal;
use crate::names::Names;
use crate::next::epoch_folder;
use crate::read::{address, amount, hash, rows};
use crate::tables::{sort_flows, sort_lines};
use crate::tree::{Leaf, Tree};

/// What was found wrong with an epoch; empty when all is well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Each difference: what it was and what was expected.
    pub differences: Vec<String>,
}

impl Findings {
    /// Whether nothing differs.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.differences.is_empty()
    }
    pub(crate) fn expect(
        &mut self,
        what: &str,
        got: impl PartialEq + std::fmt::Display,
        expected: impl std::fmt::Display,
    ) {
        let (got, expected) = (got.to_string(), expected.to_string());
        if got != expected {
            self.differences.push(format!("{what} is {got}: expected {expected}"));
        }
    }
}

/// Checks one settled epoch: the manifest against the tables, the journal's digest, every leaf, root and node file, and
/// that money is conserved. `previous` is the digest of the journal and the hash of the manifest of the epoch before.
pub async fn verify_epoch(
    ctx: &SessionContext,
    data_dir: &Path,
    epoch: i64,
    previous: (B256, Option<B256>),
) -> Result<Findings, AccountingError> {
    let mut findings = Findings::default();
    let folder = epoch_folder(data_dir, epoch);
    let path = folder.join("manifest.json");
    let text = std::fs::read_to_string(&path).map_err(|source| AccountingError::File {
        action: "read",
        path: path.display().to_string(),
        source,
    })?;
    let manifest: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| AccountingError::inconsistent(format!("{}: {error}", path.display())))?;
    let canonical = manifest.to_string();
    findings.expect("the manifest in canonical form", &canonical, &text);
    let said =
        |pointer: &str| manifest.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or("absent").to_owned();

    let of_epoch = format!("epoch = {epoch}");
    let mut entries: Vec<LedgerEntryRow> = rows(ctx, &of_epoch).await?;
    entries.sort_by(|a, b| a.entry_id.cmp(&b.entry_id));
    let journal = journal::of_rows(epoch, &entries)?;
    let digest = journal.digest(&Names::default(), previous.0);
    findings.expect("the journal's digest", hex_text(digest), said("/ledger_digest"));
    balances(ctx, epoch, &journal, &manifest, &mut findings).await?;
    let readings: Vec<VaultBalanceRow> = rows(ctx, &of_epoch).await?;
    let said_of_vaults = manifest.get("vault_balances").cloned().unwrap_or_else(|| serde_json::json!([]));
    findings.expect("what vaults held", funding::inputs(&readings), said_of_vaults);
    findings.expect("the rows of the journal", entries.len(), said("/outputs/ledger_entries/rows"));
    findings.expect(
        "the hash of the manifest before",
        said("/previous"),
        previous.1.map_or_else(|| "absent".to_owned(), hex_text),
    );
    let mut claims: Vec<ClaimRow> = rows(ctx, &of_epoch).await?;
    claims.sort_by(|a, b| (&a.account, &a.token, &a.vault).cmp(&(&b.account, &b.token, &b.vault)));
    findings.expect("the rows of claims", of_rows(&claims), &manifest["outputs"]["claims"]);
    let mut lines: Vec<EntitlementRow> = rows(ctx, &of_epoch).await?;
    sort_lines(&mut lines);
    findings.expect("the rows of entitlements", of_rows(&lines), &manifest["outputs"]["entitlements"]);
    let mut flows: Vec<MoneyFlowRow> = rows(ctx, &of_epoch).await?;
    sort_flows(&mut flows);
    findings.expect("the rows of money flows", of_rows(&flows), &manifest["outputs"]["money_flows"]);

    for row in rows::<EpochRow>(ctx, &of_epoch).await? {
        let what = format!("revenue of {} in vault {}", row.token, row.vault);
        findings.expect(&what, row.revenue.0, row.credited.0 + row.held.0);
        findings.expect("the manifest's hash", hex_text(keccak256(&text)), &row.manifest_hash);
        findings.expect("the ledger digest in epochs", row.ledger_digest, said("/ledger_digest"));
    }
    trees(ctx, &folder, epoch, &manifest, &mut findings).await?;
    Ok(findings)
}

/// The trial balance is the one before and the entries of the epoch.
async fn balances(
    ctx: &SessionContext,
    epoch: i64,
    journal: &journal::Journal,
    manifest: &serde_json::Value,
    findings: &mut Findings,
) -> Result<(), AccountingError> {
    let mut made = Balances::before(ctx, epoch).await?;
    made.add(journal, &Names::default());
    let mut published: Vec<BalanceRow> = rows(ctx, &format!("epoch = {epoch}")).await?;
    let key = |row: &BalanceRow| (row.vault.clone(), row.token.clone(), row.account.clone());
    published.sort_by_key(key);
    findings.expect("the rows of balances", of_rows(&published), &manifest["outputs"]["balances"]);
    findings.expect("the trial balance", of_rows(&made.rows(epoch)), &manifest["outputs"]["balances"]);
    Ok(())
}

async fn trees(
    ctx: &SessionContext,
    folder: &Path,
    epoch: i64,
    manifest: &serde_json::Value,
    findings: &mut Findings,
) -> Result<(), AccountingError> {
    let mut leaves: BTreeMap<String, Vec<Leaf>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut published: Vec<MerkleLeafRow> = rows(ctx, &format!("epoch = {epoch}")).await?;
    published.sort_by(|a, b| (&a.vault, a.leaf_index).cmp(&(&b.vault, b.leaf_index)));
    let counted = manifest.pointer("/outputs/merkle_leaves/rows").and_then(serde_json::Value::as_str);
    findings.expect("the number of leaves", published.len(), counted.unwrap_or("absent"));
    for row in published {
        let leaf = Leaf::new(address(&row.account)?, address(&row.token)?, amount(row.cumulative.0)?);
        findings.expect("a leaf", row.leaf, hex_text(leaf.hash));
        let first = seen.insert((row.vault.clone(), leaf.account, leaf.token));
        findings.expect("the first leaf of its account and token", first, true);
        let before = leaves.entry(row.vault).or_default();
        findings.expect("the index of a leaf", row.leaf_index, before.len());
        before.push(leaf);
    }
    for (vault, leaves) in leaves {
        findings.expect("the order of the leaves by their hash", leaves.is_sorted(), true);
        let tree = Tree::new(leaves);
        let said = manifest["roots"][&vault].as_str().unwrap_or("absent");
        findings.expect("the root", hex_text(tree.root()), said);
        let file = folder.join(format!("{vault}.nodes"));
        let stored = std::fs::read(&file).map_err(|source| AccountingError::File {
            action: "read",
            path: file.display().to_string(),
            source,
        })?;
        let mut nodes = Vec::with_capacity(stored.len());
        tree.write_nodes(&mut nodes).map_err(|source| AccountingError::File {
            action: "write",
            path: file.display().to_string(),
            source,
        })?;
        findings.expect("the node file", keccak256(stored), keccak256(nodes));
    }
    Ok(())
}

/// Checks every settled epoch that has blocks, or only one of them, and the chain of digests and manifests up to it. An
/// epoch that is not settled is not in the answer.
pub async fn verify_store(
    ctx: &SessionContext,
    data_dir: &Path,
    only: Option<i64>,
) -> Result<BTreeMap<i64, Findings>, AccountingError> {
    let folder = data_dir.join("epochs");
    let mut epochs = BTreeSet::new();
    let failed = |source| AccountingError::File { action: "list", path: folder.display().to_string(), source };
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if let Some(epoch) = name.to_str().and_then(|name| name.parse::<i64>().ok()) {
            epochs.insert(epoch);
        }
    }
    let mut previous = (B256::ZERO, None);
    let mut out = BTreeMap::new();
    for epoch in epochs {
        if only.is_none_or(|only| only == epoch) {
            out.insert(epoch, verify_epoch(ctx, data_dir, epoch, previous).await?);
        }
        let path = epoch_folder(data_dir, epoch).join("manifest.json");
        let text = std::fs::read_to_string(&path).map_err(|source| AccountingError::File {
            action: "read",
            path: path.display().to_string(),
            source,
        })?;
        let manifest: serde_json::Value = serde_json::from_str(&text)
            .map_err(|error| AccountingError::inconsistent(format!("{}: {error}", path.display())))?;
        previous = (hash(manifest["ledger_digest"].as_str().unwrap_or_default())?, Some(keccak256(&text)));
    }
    Ok(out)
}
