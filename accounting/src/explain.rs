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

/// Explains what `account` earned in `epoch`, over the tables registered in `ctx`.
pub async fn explain(
    ctx: &SessionContext,
    account: Address,
    token: Address,
    epoch: i64,
) -> Result<Explanation, AccountingError> {
    let (owner, coin) = (hex_text(account), hex_text(token));
    let filter = format!("epoch = {epoch} AND account = '{owner}' AND token = '{coin}'");
    let mut earned: Vec<EntitlementRow> = rows(ctx, &filter).await?;
    earned.sort_by(|a, b| b.amount.cmp(&a.amount).then_with(|| names(a).cmp(&names(b))));
    let edges = edges(ctx, epoch, &coin, &earned).await?;
    let epochs: Vec<EpochRow> = rows(ctx, &format!("epoch = {epoch} AND token = '{coin}'")).await?;
    let blobs: Vec<BlobRow> = rows(ctx, &came_in(epoch, &epochs)).await?;
    let mut blobs: Vec<String> = blobs.into_iter().filter_map(|blob| blob.payload_hash).collect();
    blobs.sort_unstable();

    let blocks = epochs.first().map(|row| (row.first_block, row.last_block));
    let outside = outside(ctx, blocks, &earned).await?;
    let (pending, lines): (Vec<_>, Vec<_>) = earned.into_iter().partition(|row| row.role.starts_with("pending:"));
    let explained = |rows: Vec<EntitlementRow>| rows.into_iter().map(|row| line(row, &edges, &outside));
    let lines: Vec<ExplanationLine> = explained(lines).collect::<Result<_, _>>()?;
    let total = lines.iter().map(|line| line.amount).sum();
    let earned = rise(ctx, &owner, &coin, epoch).await?;
    hold(&SPLIT_IS_WHOLE, earned == total, || {
        format!("lines of {owner} in epoch {epoch} sum to {total}: expected {earned}, the rise of its entitlement")
    })?;
    Ok(Explanation {
        account,
        token,
        epoch,
        total,
        rounding: lines.iter().map(|line| line.rounding).sum(),
        lines,
        pending: explained(pending).collect::<Result<_, _>>()?,
        blocks,
        payments: epochs.iter().map(|row| row.payments).sum(),
        blobs,
    })
}

/// The filter for blobs of batches that came in an epoch: in time, or late.
fn came_in(epoch: i64, epochs: &[EpochRow]) -> String {
    let (first, last) = epochs.first().map_or((0, -1), |row| (row.first_block, row.last_block));
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
async fn edges(
    ctx: &SessionContext,
    epoch: i64,
    coin: &str,
    earned: &[EntitlementRow],
) -> Result<Edges, AccountingError> {
    if earned.iter().all(|row| !comes_over_models(role(row))) {
        return Ok(Edges::default());
    }
    let filter = format!("epoch = {epoch} AND token = '{coin}' AND step IN ('model', 'lineage')");
    Edges::of(rows::<MoneyFlowRow>(ctx, &filter).await?)
}

/// What a line is for, whether it waits or not.
fn role(row: &EntitlementRow) -> &str {
    row.role.strip_prefix("pending:").unwrap_or(&row.role)
}

fn comes_over_models(role: &str) -> bool {
    role == "model" || role == "lineage"
}

/// Models of the lines that are based on nothing but things outside the chain: nobody can be paid for these, so such a
/// model keeps what it would pass on (ruling 20).
async fn outside(
    ctx: &SessionContext,
    blocks: Option<(i64, i64)>,
    earned: &[EntitlementRow],
) -> Result<BTreeSet<String>, AccountingError> {
    let passes = |row: &&EntitlementRow| row.role.ends_with("model") || row.role.ends_with("lineage");
    let models: BTreeSet<&str> =
        earned.iter().filter(passes).filter_map(|row| row.model_version_id.as_deref()).collect();
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

fn line(row: EntitlementRow, edges: &Edges, outside: &BTreeSet<String>) -> Result<ExplanationLine, AccountingError> {
    let role = role(&row).to_owned();
    let model = row.model_version_id;
    let depth = model.as_ref().filter(|_| role == "lineage").map_or(0, |model| edges.depth(model).unwrap_or(1));
    let over_models = model.as_ref().filter(|_| comes_over_models(&role));
    let paths = over_models.map(|model| {
        Ok::<_, AccountingError>(edges.paths(&row.vault, model, role == "lineage", amount(row.amount.0)?))
    });
    let paths = paths.transpose()?;
    let short = |id: &Option<String>| id.as_ref().map_or_else(String::new, |id| id.chars().take(10).collect());
    let keeps = if model.as_ref().is_some_and(|id| outside.contains(id)) {
        "; it is based on models outside this chain only, so it passes nothing on"
    } else {
        ""
    };
    let description = match role.as_str() {
        "platform" => "the platform's share of payments".to_owned(),
        "agent" => format!("the owner's share of payments for agent {}", short(&row.agent_version_id)),
        "model" => format!("payments for what model {} answered{keeps}", short(&model)),
        "lineage" => format!(
            "passed up to model {} by models based on it, {depth} generation(s) below at the least{keeps}",
            short(&model)
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
    let description = match row.adjusts_epoch {
        Some(adjusted) => format!("{description}; adjusts epoch {adjusted}"),
        None => description,
    };
    Ok(ExplanationLine {
        vault: address(&row.vault)?,
        role,
        dataset: row.dataset_id,
        contribution: row.contribution_id,
        model,
        agent: row.agent_version_id,
        description,
        amount: row.amount.0,
        rounding: row.rounding.0,
        depth: i32::try_from(depth).unwrap_or(i32::MAX),
        adjusts_epoch: row.adjusts_epoch,
        paths,
    })
}
