//! What an epoch comes to, told: its totals, the rows of `epochs`, and the manifest.

use alloy_primitives::B256;
use std::collections::{BTreeMap, BTreeSet};
use tributary_schemas::column::{Decimal38, hex_text};
use tributary_schemas::money::EpochRow;
use tributary_store::DeclaredOutcome;

use super::{Input, RULE};
use crate::book::Purse;
use crate::funding;
use crate::remainder::sub_digits;
use crate::tables::Tables;
use crate::tree::Tree;

/// Totals of a vault and token.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Total {
    pub(super) payments: i64,
    pub(super) revenue: u128,
    /// What left suspense of earlier epochs: no revenue of this one.
    pub(super) released: u128,
    pub(super) credited: u128,
    pub(super) held: u128,
    pub(super) rounding: u128,
    pub(super) cumulative: u128,
}

impl Total {
    /// Decimal digits of a base unit in the sub-units of the epoch.
    pub(super) fn sub_digits(&self) -> u32 {
        sub_digits(self.revenue.saturating_add(self.released))
    }
}

/// The rows of `epochs`: one for each vault and token.
pub(super) fn epochs(
    tables: &Tables,
    totals: &BTreeMap<Purse, Total>,
    ledger_digest: B256,
    manifest_hash: B256,
) -> Vec<EpochRow> {
    let rows = totals.iter().map(|(purse, total)| EpochRow {
        epoch: tables.epoch,
        vault: hex_text(purse.0),
        token: hex_text(purse.1),
        first_block: tables.state.bounds.first,
        last_block: tables.state.bounds.last,
        payments: total.payments,
        revenue: Decimal38(total.revenue.cast_signed()),
        credited: Decimal38(total.credited.cast_signed()),
        held: Decimal38(total.held.cast_signed()),
        rounding: Decimal38(total.rounding.cast_signed()),
        cumulative: Decimal38(total.cumulative.cast_signed()),
        root: hex_text(tables.trees.get(&purse.0).map(Tree::root).unwrap_or_default()),
        ledger_digest: hex_text(ledger_digest),
        manifest_hash: hex_text(manifest_hash),
        rule: RULE.to_owned(),
    });
    rows.collect()
}

/// What the manifest says of the tables.
pub(super) fn outputs(
    tables: &Tables,
    [entitlements, money_flows, claims]: [serde_json::Value; 3],
) -> serde_json::Value {
    serde_json::json!({
        "ledger_entries": { "rows": tables.journal.len().to_string() },
        "entitlements": entitlements,
        "money_flows": money_flows,
        "claims": claims,
        "balances": crate::digest::of_rows(&tables.balances),
        "merkle_leaves": { "rows": tables.rows_of("merkle_leaves").to_string() },
    })
}

/// The manifest: everything the result depends on and everything it is, by digest. The digest of the journal covers its
/// rows and the roots cover the leaves, so of these two tables only the numbers of rows are said. Numbers that may pass
/// 2^53 are text, so that every JSON reader sees the same.
pub(super) fn manifest(
    input: &Input,
    tables: &Tables,
    totals: &BTreeMap<Purse, Total>,
    policies: &BTreeSet<String>,
    ledger_digest: B256,
    outputs: &serde_json::Value,
) -> String {
    let bounds = &tables.state.bounds;
    let totals = totals.iter().map(|((vault, token), total)| {
        serde_json::json!({
            "vault": hex_text(vault), "token": hex_text(token), "payments": total.payments.to_string(),
            "revenue": total.revenue.to_string(), "credited": total.credited.to_string(),
            "held": total.held.to_string(), "rounding": total.rounding.to_string(),
            "cumulative": total.cumulative.to_string(),
        })
    });
    // One that was found late is known from the block whose fact that is.
    let since = |one: &DeclaredOutcome| if one.outcome == "found" { one.declared_at } else { one.block_number };
    let known = |one: &&DeclaredOutcome| i64::try_from(since(one)).is_ok_and(|block| block <= bounds.last);
    let declared: Vec<_> = input
        .declared_outcomes
        .iter()
        .filter(known)
        .map(|one| {
            serde_json::json!({
                "block_number": one.block_number.to_string(), "log_index": one.log_index.to_string(),
                "reference": one.reference, "outcome": one.outcome, "declared_at": one.declared_at.to_string(),
            })
        })
        .collect();
    let roots: BTreeMap<String, String> =
        tables.trees.iter().map(|(vault, tree)| (hex_text(vault), hex_text(tree.root()))).collect();
    let mut manifest = serde_json::json!({
        "chain_id": input.chain_id.to_string(),
        "epoch": input.epoch.to_string(),
        "rule": RULE,
        "first_block": bounds.first.to_string(),
        "last_block": bounds.last.to_string(),
        "last_block_hash": bounds.last_hash,
        "log_root": bounds.log_root,
        "declared_outcomes": declared,
        "policies": policies,
        "totals": totals.collect::<Vec<_>>(),
        "roots": roots,
        "ledger_digest": hex_text(ledger_digest),
        "outputs": outputs,
        "previous": input.manifest_hash.map(hex_text),
    });
    // A settlement that compared nothing says nothing of it.
    if !input.vault_balances.is_empty() {
        manifest["vault_balances"] = funding::inputs(&input.vault_balances);
    }
    manifest.to_string()
}
