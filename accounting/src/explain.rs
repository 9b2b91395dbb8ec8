//! Why this number: the lines of a payout, down to the blocks and blobs it rests on. They add up to it, always.

use alloy_primitives::Address;
use datafusion::prelude::SessionContext;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tributary_schemas::column::hex_text;
use tributary_schemas::facts::{BlobRow, EdgeRow};
use tributary_schemas::invariant::SPLIT_IS_WHOLE;
use tributary_schemas::money::{EntitlementRow, EpochRow, MoneyFlowRow};

use crate::error::{AccountingError, hold};
use crate::read::{address, amount, rows, standing};
use crate::standing::Posted;

pub mod below;
mod made;
mod origin;
mod paths;
mod wanted;

pub use origin::{Explainer, Origins, Payer, RecordKey, Stand};
use paths::Edges;
pub use paths::{MoneyPath, MoneyPaths};
pub use wanted::{Group, Wanted, grouped};

/// Why an account earned what it earned in an epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Account.
    pub account: Address,
    /// Token.
    pub token: Address,
    /// Epoch.
    pub epoch: i64,
    /// Base units earned: by how much the cumulative entitlement rose.
    pub total: i128,
    /// What it is made of; the amounts add up to the total.
    pub lines: Vec<ExplanationLine>,
    /// What waits for the end of a challenge window; not in the total.
    pub pending: Vec<ExplanationLine>,
    /// Base units of the total that the largest remainder placed.
    pub rounding: i128,
    /// First and last block of the epoch.
    pub blocks: Option<(i64, i64)>,
    /// Payments that settled in the epoch in this token.
    pub payments: i64,
    /// Hashes of the payloads that the epoch's attributions came in.
    pub blobs: Vec<String>,
}

/// A line of an explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplanationLine {
    /// The vault that pays it.
    pub vault: Address,
    /// platform, agent, model, lineage, data, staker, posted, released, unfunded (below zero) or funded.
    pub role: String,
    /// Dataset, where the money came through one.
    pub dataset: Option<String>,
    /// Contribution, where the money came through one.
    pub contribution: Option<String>,
    /// Model version, where the money came through one.
    pub model: Option<String>,
    /// Agent version, where the money came through one.
    pub agent: Option<String>,
    /// In words.
    pub description: String,
    /// Base units.
    pub amount: i128,
    /// Base units of the amount that rounding placed.
    pub rounding: i128,
    /// Generations between the model that was used and this one; zero elsewhere.
    pub depth: i32,
    /// The earlier epoch that the line adjusts: the money was held then.
    pub adjusts_epoch: Option<i64>,
    /// For models and lineage: the ways that the money took, from what was paid for to the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<MoneyPaths>,
}

/// Explains what `account` earned in `epoch`, over the tables registered in `ctx`: all of it at once. Whoever wants a part
/// reads the [`Lines`], and the rest of what is shown where it is ([`Ways`], [`blobs`]).
pub async fn explain(
    ctx: &SessionContext,
    account: Address,
    token: Address,
    epoch: i64,
) -> Result<Explanation, AccountingError> {
    let lines = Lines::read(ctx, account, token, epoch).await?;
    let epochs: Vec<EpochRow> = rows(ctx, &format!("epoch = {epoch} AND token = '{}'", hex_text(token))).await?;
    let blocks = epochs.first().map(|row| (row.first_block, row.last_block));
    let ways = Ways::read(ctx, &lines, blocks).await?;
    let explained = |rows: &[EntitlementRow]| rows.iter().map(|row| line(row, &ways)).collect::<Result<_, _>>();
    Ok(Explanation {
        account,
        token,
        epoch,
        total: lines.total,
        rounding: lines.rounding(),
        lines: explained(&lines.earned)?,
        pending: explained(&lines.pending)?,
        blocks,
        payments: epochs.iter().map(|row| row.payments).sum(),
        blobs: blobs(ctx, epoch, blocks).await?,
    })
}

/// The lines of an explanation as `entitlements` has them, the best first. They add up: that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    /// Token.
    pub token: Address,
    /// Epoch.
    pub epoch: i64,
    /// Base units earned: by how much the cumulative entitlement rose.
    pub total: i128,
    /// What the total is made of.
    pub earned: Vec<EntitlementRow>,
    /// What waits for the end of a challenge window: their roles begin with `pending:`.
    pub pending: Vec<EntitlementRow>,
}

impl Lines {
    /// The lines of an account; two queries, however many there are.
    ///
    /// # Errors
    ///
    /// When the tables cannot be read, or the lines do not add up to what was earned.
    pub async fn read(
        ctx: &SessionContext,
        account: Address,
        token: Address,
        epoch: i64,
    ) -> Result<Self, AccountingError> {
        let (owner, coin) = (hex_text(account), hex_text(token));
        let filter = format!("epoch = {epoch} AND account = '{owner}' AND token = '{coin}'");
        let mut lines: Vec<EntitlementRow> = rows(ctx, &filter).await?;
        lines.sort_by(|a, b| b.amount.cmp(&a.amount).then_with(|| names(a).cmp(&names(b))));
        let (pending, earned): (Vec<_>, Vec<_>) = lines.into_iter().partition(|row| row.role.starts_with("pending:"));
        let total = earned.iter().map(|row| row.amount.0).sum();
        let rose = rise(ctx, &owner, &coin, epoch).await?;
        hold(&SPLIT_IS_WHOLE, rose == total, || {
            format!("lines of {owner} in epoch {epoch} sum to {total}: expected {rose}, the rise of its entitlement")
        })?;
        Ok(Self { token, epoch, total, earned, pending })
    }

    /// Base units of the total that the largest remainder placed.
    #[must_use]
    pub fn rounding(&self) -> i128 {
        self.earned.iter().map(|row| row.rounding.0).sum()
    }

    fn all(&self) -> impl Iterator<Item = &EntitlementRow> {
        self.earned.iter().chain(&self.pending)
    }
}

/// What is said of lines beyond what they are: how far the lineage went and over which ways. Only lines of models and
/// lineage need any of it read.
#[derive(Debug, Default)]
pub struct Ways {
    edges: Edges,
    outside: BTreeSet<String>,
}

impl Ways {
    /// What the lines of an explanation need, which is of the epoch that has these first and last blocks: two queries at
    /// most.
    ///
    /// # Errors
    ///
    /// When the tables cannot be read.
    pub async fn read(
        ctx: &SessionContext,
        lines: &Lines,
        blocks: Option<(i64, i64)>,
    ) -> Result<Self, AccountingError> {
        let edges = edges(ctx, lines).await?;
        Ok(Self { edges, outside: outside(ctx, blocks, lines).await? })
    }

    /// For lineage: the fewest generations between the model that was used and this one; zero elsewhere.
    #[must_use]
    pub fn depth(&self, row: &EntitlementRow) -> i32 {
        let model = row.model_version_id.as_ref().filter(|_| role(row) == "lineage");
        let depth = model.map_or(0, |model| self.edges.depth(model).unwrap_or(1));
        i32::try_from(depth).unwrap_or(i32::MAX)
    }

    /// For models and lineage: the ways that the money took.
    ///
    /// # Errors
    ///
    /// When the line is below zero.
    pub fn paths(&self, row: &EntitlementRow) -> Result<Option<MoneyPaths>, AccountingError> {
        let Some(model) = row.model_version_id.as_ref().filter(|_| over_models(row)) else { return Ok(None) };
        let units = amount(row.amount.0)?;
        Ok(Some(self.edges.paths(&row.vault, model, role(row) == "lineage", units)))
    }

    /// The line in words.
    #[must_use]
    pub fn description(&self, row: &EntitlementRow) -> String {
        let short = |id: &Option<String>| id.as_ref().map_or_else(String::new, |id| id.chars().take(10).collect());
        let model = &row.model_version_id;
        let keeps = if model.as_ref().is_some_and(|id| self.outside.contains(id)) {
            "; it is based on models outside this chain only, so it passes nothing on"
        } else {
            ""
        };
        let description = match role(row) {
            "platform" => "the platform's share of payments".to_owned(),
            "agent" => format!("the owner's share of payments for agent {}", short(&row.agent_version_id)),
            "model" => format!("payments for what model {} answered{keeps}", short(model)),
            "lineage" => format!(
                "passed up to model {} by models based on it, {} generation(s) below at the least{keeps}",
                short(model),
                self.depth(row)
            ),
            "data" => {
                let through = row.agent_version_id.as_ref().or(model.as_ref()).cloned();
                format!(
                    "contribution {} of dataset {}, by its influence on answers of {}",
                    short(&row.contribution_id),
                    short(&row.dataset_id),
                    short(&through)
                )
            }
            "staker" => "stake held through the epoch".to_owned(),
            "posted" => "credits whose challenge window is over".to_owned(),
            "released" => "money that was held".to_owned(),
            Posted::UNFUNDED => "earned, and waiting until the vault has the money".to_owned(),
            Posted::FUNDED => "earned before, and on the tree now that the vault has the money".to_owned(),
            other => other.to_owned(),
        };
        match row.adjusts_epoch {
            Some(adjusted) => format!("{description}; adjusts epoch {adjusted}"),
            None => description,
        }
    }
}

/// Hashes of the payloads that the attributions of an epoch with these first and last blocks came in.
///
/// # Errors
///
/// When the tables cannot be read.
pub async fn blobs(
    ctx: &SessionContext,
    epoch: i64,
    blocks: Option<(i64, i64)>,
) -> Result<Vec<String>, AccountingError> {
    let blobs: Vec<BlobRow> = rows(ctx, &came_in(epoch, blocks)).await?;
    let mut blobs: Vec<String> = blobs.into_iter().filter_map(|blob| blob.payload_hash).collect();
    blobs.sort_unstable();
    Ok(blobs)
}

/// The filter for blobs of batches that came in an epoch: in time, or late.
fn came_in(epoch: i64, blocks: Option<(i64, i64)>) -> String {
    let (first, last) = blocks.unwrap_or((0, -1));
    format!(
        "owner_kind = 'batch' AND status = 'verified' \
         AND ((epoch = {epoch} AND found_block IS NULL) OR found_block BETWEEN {first} AND {last})"
    )
}

/// By how much the account's cumulative entitlement rose: the number that the lines must add up to.
async fn rise(ctx: &SessionContext, owner: &str, coin: &str, epoch: i64) -> Result<i128, AccountingError> {
    let filter = format!(
        "account = '{owner}' AND token = '{coin}' AND (epoch = {epoch} OR epoch = (SELECT max(epoch) FROM claims WHERE epoch < {epoch}))"
    );
    let standing: Vec<tributary_schemas::money::ClaimRow> = rows(ctx, &filter).await?;
    let of =
        |now: bool| standing.iter().filter(|row| (row.epoch == epoch) == now).map(|row| row.cumulative.0).sum::<i128>();
    Ok(of(true) - of(false))
}

type Names<'a> = (&'a str, [&'a Option<String>; 4]);

const fn names(row: &EntitlementRow) -> Names<'_> {
    let ids = [&row.dataset_id, &row.contribution_id, &row.model_version_id, &row.agent_version_id];
    (row.role.as_str(), ids)
}

/// The edges that money went over to models, where a line asks for them.
async fn edges(ctx: &SessionContext, lines: &Lines) -> Result<Edges, AccountingError> {
    if !lines.all().any(over_models) {
        return Ok(Edges::default());
    }
    let (epoch, coin) = (lines.epoch, hex_text(lines.token));
    let filter = format!("epoch = {epoch} AND token = '{coin}' AND step IN ('model', 'lineage')");
    Edges::of(rows::<MoneyFlowRow>(ctx, &filter).await?)
}

/// What a line is for, whether it waits or not.
#[must_use]
pub fn role(row: &EntitlementRow) -> &str {
    row.role.strip_prefix("pending:").unwrap_or(&row.role)
}

/// Whether money came over edges to models.
fn over_models(row: &EntitlementRow) -> bool {
    matches!(role(row), "model" | "lineage")
}

/// Models of the lines that are based on nothing but things outside the chain: nobody can be paid for these, so such a
/// model keeps what it would pass on (ruling 20).
async fn outside(
    ctx: &SessionContext,
    blocks: Option<(i64, i64)>,
    lines: &Lines,
) -> Result<BTreeSet<String>, AccountingError> {
    let models: BTreeSet<&str> =
        lines.all().filter(|row| over_models(row)).filter_map(|row| row.model_version_id.as_deref()).collect();
    let (Some((first, last)), false) = (blocks, models.is_empty()) else { return Ok(BTreeSet::new()) };
    let names: Vec<String> = models.iter().map(|id| format!("'{id}'")).collect();
    let filter = format!(
        "relation LIKE 'BASED_ON_%' AND src_id IN ({}) AND NOT (late AND from_block >= {first}) AND {}",
        names.join(","),
        standing(last)
    );
    let edges: Vec<EdgeRow> = rows(ctx, &filter).await?;
    let (inside, outside): (Vec<_>, Vec<_>) = edges.into_iter().partition(|edge| edge.dst_kind == "model");
    let inside: BTreeSet<String> = inside.into_iter().map(|edge| edge.src_id).collect();
    Ok(outside.into_iter().map(|edge| edge.src_id).filter(|id| !inside.contains(id)).collect())
}

fn line(row: &EntitlementRow, ways: &Ways) -> Result<ExplanationLine, AccountingError> {
    Ok(ExplanationLine {
        vault: address(&row.vault)?,
        role: role(row).to_owned(),
        dataset: row.dataset_id.clone(),
        contribution: row.contribution_id.clone(),
        model: row.model_version_id.clone(),
        agent: row.agent_version_id.clone(),
        description: ways.description(row),
        amount: row.amount.0,
        rounding: row.rounding.0,
        depth: ways.depth(row),
        adjusts_epoch: row.adjusts_epoch,
        paths: ways.paths(row)?,
    })
}
