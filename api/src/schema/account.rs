//! `account`: what someone earned, why, and how to claim it.

use std::sync::Arc;

use async_graphql::{Enum, ID, Object, SimpleObject};
use tributary_accounting::explain::role;
use tributary_schemas::money::EntitlementRow;

use crate::error::{ErrorCode, Refusal};
use crate::filter::{Condition, ContributionOrder, ContributionWhere};
use crate::page::Asked;
use crate::scalar::{AddressText, BigInt, BlockNumber, Bytes32, Money};
use crate::schema::blob::Blob;
use crate::schema::entity::{ContributionConnection, Owned};
use crate::schema::origin::{BatchConnection, InferenceConnection, PaymentConnection};
use crate::view::{Below, Explained, View};

/// An account. Money answers are those of the last settled epoch at or before the block asked for.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) view: View,
    pub(crate) address: AddressText,
}

/// An account. Money answers are those of the last settled epoch at or before the block asked for.
#[Object]
impl Account {
    /// Its id: the address.
    pub(crate) async fn id(&self) -> ID {
        ID(self.address.0.to_checksum(None))
    }
    /// The account.
    async fn address(&self) -> AddressText {
        self.address
    }
    /// Where its money goes instead of to itself; null when unset.
    async fn payout(&self) -> Result<Option<AddressText>, Refusal> {
        Ok(self.view.account_state(self.address).await?.and_then(|row| row.payout).map(|text| AddressText::read(&text)))
    }
    /// Whether its money waits.
    async fn quarantined(&self) -> Result<bool, Refusal> {
        Ok(self.view.account_state(self.address).await?.is_some_and(|row| row.quarantined))
    }
    /// The epoch that the money answers are of; null before the first settled one.
    async fn settled_epoch(&self) -> Option<i64> {
        self.view.cut()
    }
    /// What it earned, by group and token; of one epoch or of all.
    async fn earnings(
        &self,
        #[graphql(default_with = "EarningsGroup::Role")] group_by: EarningsGroup,
        epoch: Option<i64>,
    ) -> Result<Vec<Earning>, Refusal> {
        self.view.earnings(self.address, group_by, epoch).await
    }
    /// What it is owed, by vault and token.
    async fn entitlements(&self) -> Result<Vec<Entitlement>, Refusal> {
        self.view.entitlements(self.address, None).await
    }
    /// What it is owed of one token, by the vault that owes most where there are several.
    async fn entitlement(&self, token: AddressText) -> Result<Option<Entitlement>, Refusal> {
        let all = self.view.entitlements(self.address, Some(token)).await?;
        Ok(all.into_iter().max_by_key(|one| one.units))
    }
    /// What it would have if nothing stood in the way, by what does: a challenge window, or money that is held for it.
    /// None of it is in `entitlements`.
    async fn pending(&self) -> Result<Vec<PendingMoney>, Refusal> {
        self.view.pending(self.address).await
    }
    /// Why it earned what it earned in an epoch: lines that add up.
    async fn explanation(&self, epoch: i64, token: AddressText) -> Result<Option<Explanation>, Refusal> {
        self.view.explanation(self.address, epoch, token).await
    }
    /// What it was owed before the epoch `from`, every movement from there to the epoch `to`, and what it was owed then:
    /// of one token, over all vaults or one. Null where `to` is not settled.
    async fn statement(
        &self,
        token: AddressText,
        from: i64,
        to: i64,
        vault: Option<AddressText>,
    ) -> Result<Option<Statement>, Refusal> {
        self.view.statement(self.address, token, (from, to), vault).await
    }
    /// Its contributions to datasets, in the order of registration if nothing else is asked for.
    async fn contributions(
        &self,
        first: Option<i64>,
        after: Option<String>,
        #[graphql(name = "where")] filter: Option<ContributionWhere>,
        order_by: Option<ContributionOrder>,
    ) -> Result<ContributionConnection, Refusal> {
        let (asked, condition) = (Asked { first, after }, Condition::of(filter)?);
        self.view.contributions_of(self.address, asked, &condition, order_by.unwrap_or_default()).await
    }
    /// The datasets, models and agents it owns.
    async fn owns(&self) -> Result<Vec<Owned>, Refusal> {
        self.view.owned_by(self.address).await
    }
}

/// What earnings are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Enum)]
pub(crate) enum EarningsGroup {
    /// By role: platform, agent, model, lineage, data, staker.
    Role,
    /// By the dataset it came through.
    Dataset,
    /// By the model version it came through.
    Model,
    /// By the agent version it came through.
    Agent,
    /// By epoch.
    Epoch,
}

impl EarningsGroup {
    /// The column of the view `earnings`.
    pub(crate) const fn column(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Dataset => "dataset_id",
            Self::Model => "model_version_id",
            Self::Agent => "agent_version_id",
            Self::Epoch => "epoch",
        }
    }
}

/// Money earned in one group.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Earning {
    /// The group: a role, an id or an epoch; empty where the money came through none.
    pub(crate) key: String,
    /// The group's name for people.
    pub(crate) label: Option<String>,
    /// The epoch, where it is the group or was asked for.
    pub(crate) epoch: Option<i64>,
    /// The money.
    pub(crate) amount: Money,
}

/// Why money waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum PendingKind {
    /// For the end of a challenge window.
    Challenge,
    /// It is held: `reason` says why.
    Suspended,
    /// For the vault's balance: it is earned, and goes on the tree once the vault has the money.
    Unfunded,
}

/// Money that waits.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct PendingMoney {
    /// Why it waits.
    pub(crate) kind: PendingKind,
    /// For what is held or unfunded, the reason by name.
    pub(crate) reason: Option<String>,
    /// For a challenge window, its last block.
    pub(crate) until_block: Option<BlockNumber>,
    /// For what is unfunded, the oldest epoch of which something still waits.
    pub(crate) since_epoch: Option<i64>,
    /// The vault.
    pub(crate) vault: AddressText,
    /// The money.
    pub(crate) amount: Money,
}

/// What an account is owed by a vault.
#[derive(Debug, Clone)]
pub(crate) struct Entitlement {
    pub(crate) view: View,
    pub(crate) account: AddressText,
    pub(crate) token: AddressText,
    pub(crate) vault: AddressText,
    pub(crate) epoch: i64,
    pub(crate) units: i128,
    pub(crate) on_tree: i128,
    pub(crate) claimed: i128,
}

/// What an account is owed by a vault.
#[Object]
impl Entitlement {
    /// Token.
    async fn token(&self) -> AddressText {
        self.token
    }
    /// The vault that received the payments and pays the claims.
    async fn vault(&self) -> AddressText {
        self.vault
    }
    /// Earned since the beginning, up to `epoch`.
    async fn cumulative(&self) -> Money {
        self.view.money(self.token, self.units)
    }
    /// Claimed on chain up to the block asked for.
    async fn claimed(&self) -> Money {
        self.view.money(self.token, self.claimed)
    }
    /// What a claim with `proof` pays now: what is on the tree less what was claimed. Amounts below the policy's least
    /// payout are earned but not yet on the tree.
    async fn claimable(&self) -> Money {
        self.view.money(self.token, std::cmp::max(self.on_tree.saturating_sub(self.claimed), 0))
    }
    /// The settled epoch this is of.
    async fn epoch(&self) -> i64 {
        self.epoch
    }
    /// Whether the root of that epoch is published on chain, so that a claim will be taken.
    async fn published(&self) -> Result<bool, Refusal> {
        self.view.root_published(self.vault, self.token, self.epoch).await
    }
    /// The proof; null when the account has no leaf on the tree.
    async fn proof(&self) -> Result<Option<Proof>, Refusal> {
        self.view.proof(self.account, self.token, self.vault, self.epoch).await
    }
}

/// A Merkle proof of an entitlement: what `RewardVault.claim` takes.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Proof {
    /// Root of the tree.
    pub(crate) root: Bytes32,
    /// keccak256(keccak256(abi.encode(account, token, cumulative))).
    pub(crate) leaf: Bytes32,
    /// From the leaf up; pairs are hashed in sorted order.
    pub(crate) siblings: Vec<Bytes32>,
    /// Epoch of the root.
    pub(crate) epoch: i64,
    /// The vault.
    pub(crate) vault: AddressText,
    /// The account.
    pub(crate) account: AddressText,
    /// Token.
    pub(crate) token: AddressText,
    /// Cumulative base units in the leaf.
    pub(crate) cumulative: BigInt,
}

/// What an account was owed, the movements, and what it was owed after.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Statement {
    /// First epoch of the lines.
    pub(crate) from: i64,
    /// Last epoch of the lines.
    pub(crate) to: i64,
    /// Owed and not claimed when `from` began.
    pub(crate) opening: Money,
    /// The movements.
    pub(crate) lines: Vec<StatementLine>,
    /// Owed and not claimed when `to` settled: the opening and the lines.
    pub(crate) closing: Money,
}

/// An entry of the journal that is for or against an account.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct StatementLine {
    /// Epoch it was written in.
    pub(crate) epoch: i64,
    /// Id of the entry.
    pub(crate) entry: String,
    /// Vault.
    pub(crate) vault: AddressText,
    /// credit, claim, adjust, or hold for what begins to wait for the vault's balance.
    pub(crate) code: String,
    /// single; pending for what begins to wait, post for what waited.
    pub(crate) phase: String,
    /// The journal's account on the other side.
    pub(crate) counterpart: String,
    /// The event or step that caused it.
    pub(crate) source: String,
    /// Epoch it adjusts.
    pub(crate) adjusts_epoch: Option<i64>,
    /// Below zero for what was paid out or taken back.
    pub(crate) amount: Money,
}

/// Why an account earned what it earned in an epoch.
#[derive(Debug, Clone)]
pub(crate) struct Explanation(pub(crate) Arc<Explained>);

/// Why an account earned what it earned in an epoch.
#[Object]
impl Explanation {
    /// The epoch.
    async fn epoch(&self) -> i64 {
        self.0.lines.epoch
    }
    /// What the lines add up to.
    async fn total(&self) -> Money {
        self.0.view.money(self.0.token, self.0.lines.total)
    }
    /// How many lines there are.
    async fn line_count(&self) -> i64 {
        i64::try_from(self.0.lines.earned.len()).unwrap_or(i64::MAX)
    }
    /// The lines, the largest first: `first` of them (at most 500) after the first `from`; all of them where `first` says
    /// nothing. What lies below lines is traced for all of the list at once, for lists of 50 lines at most if `first` says
    /// nothing.
    async fn lines(
        &self,
        first: Option<i64>,
        #[graphql(default = 0)] from: i64,
    ) -> Result<Vec<ExplanationLine>, Refusal> {
        self.0.some(false, first, from)
    }
    /// The line at a place of `lines`, counted from 0; null where there are fewer.
    async fn line(&self, at: i64) -> Option<ExplanationLine> {
        self.0.line(at)
    }
    /// What waits for the end of a challenge window, as `lines` are listed; not in the total.
    async fn pending(
        &self,
        first: Option<i64>,
        #[graphql(default = 0)] from: i64,
    ) -> Result<Vec<ExplanationLine>, Refusal> {
        self.0.some(true, first, from)
    }
    /// The part of the total that rounding placed.
    async fn rounding(&self) -> Money {
        self.0.view.money(self.0.token, self.0.lines.rounding())
    }
    /// Payments of this token that settled in the epoch.
    async fn payments(&self) -> i64 {
        self.0.payments
    }
    /// The blocks whose payments were settled.
    async fn blocks(&self) -> BlockRange {
        let (first, last) = self.0.blocks;
        BlockRange { first: BlockNumber(first), last: BlockNumber(last) }
    }
    /// The blobs with the attribution records of the epoch.
    async fn blobs(&self) -> Result<Vec<Blob>, Refusal> {
        self.0.blobs().await
    }
}

/// Blocks from first to last, both included.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct BlockRange {
    /// First block.
    pub(crate) first: BlockNumber,
    /// Last block.
    pub(crate) last: BlockNumber,
}

/// One reason for money.
#[derive(Debug, Clone)]
pub(crate) struct ExplanationLine {
    pub(crate) explained: Arc<Explained>,
    pub(crate) row: EntitlementRow,
    pub(crate) below: Below,
    /// On a list that is too long to be traced: how many lines there are.
    pub(crate) too_many: Option<usize>,
}

impl ExplanationLine {
    fn money(&self, units: i128) -> Money {
        self.explained.view.money(self.explained.token, units)
    }

    fn below(&self) -> Result<&Below, Refusal> {
        let Some(lines) = self.too_many else { return Ok(&self.below) };
        let message = format!("below {lines} lines at once: expected lines(first: …), or line(at: …) for one of them");
        Err(Refusal::new(ErrorCode::TooComplex, message))
    }
}

/// One reason for money.
#[Object]
impl ExplanationLine {
    /// The vault that pays it.
    async fn vault(&self) -> AddressText {
        AddressText::read(&self.row.vault)
    }
    /// platform, agent, model, lineage, data, staker; posted, released or funded for what waited in an earlier epoch;
    /// unfunded, below zero, for what waits until the vault has the money.
    async fn role(&self) -> &str {
        role(&self.row)
    }
    /// Dataset it came through.
    async fn dataset(&self) -> Option<ID> {
        self.row.dataset_id.clone().map(ID)
    }
    /// Contribution it came through.
    async fn contribution(&self) -> Option<ID> {
        self.row.contribution_id.clone().map(ID)
    }
    /// Model version it came through.
    async fn model(&self) -> Option<ID> {
        self.row.model_version_id.clone().map(ID)
    }
    /// Agent version it came through.
    async fn agent(&self) -> Option<ID> {
        self.row.agent_version_id.clone().map(ID)
    }
    /// Names for people of what it came through, from what earned to what was paid.
    async fn through(&self) -> Vec<String> {
        let EntitlementRow { dataset_id, contribution_id, model_version_id, agent_version_id, .. } = &self.row;
        let ids = [contribution_id, dataset_id, model_version_id, agent_version_id].into_iter().flatten();
        let view = &self.explained.view;
        ids.map(|id| view.world().label(id, view.number())).collect()
    }
    /// In a sentence.
    async fn description(&self) -> Result<String, Refusal> {
        self.explained.description(&self.row).await
    }
    /// The money.
    async fn amount(&self) -> Money {
        self.money(self.row.amount.0)
    }
    /// The part of the money that rounding placed.
    async fn rounding(&self) -> Money {
        self.money(self.row.rounding.0)
    }
    /// For lineage: generations between the model that was used and this one.
    async fn depth(&self) -> Result<Option<i64>, Refusal> {
        self.explained.depth(&self.row).await
    }
    /// The earlier epoch that held the money and that this line adjusts; null for money of the epoch itself.
    async fn adjusts_epoch(&self) -> Option<i64> {
        self.row.adjusts_epoch
    }
    /// For models and lineage: the ways that the money took, the most valuable first.
    async fn paths(&self) -> Result<Vec<MoneyPath>, Refusal> {
        Ok(self.explained.paths(&self.row).await?.map_or_else(Vec::new, |found| found.paths))
    }
    /// For models and lineage: what came over ways that are not listed; with the paths, the amount.
    async fn other_paths(&self) -> Result<Option<Money>, Refusal> {
        Ok(self.explained.paths(&self.row).await?.map(|found| found.other))
    }
    /// The inferences that the money came by, each with its payments and records.
    async fn inferences(&self, first: Option<i64>, after: Option<String>) -> Result<InferenceConnection, Refusal> {
        self.below()?.inferences(first, after).await
    }
    /// The batches that these inferences are in, each in one block and one blob.
    async fn batches(&self, first: Option<i64>, after: Option<String>) -> Result<BatchConnection, Refusal> {
        self.below()?.batches(first, after).await
    }
    /// The payments that the money came out of.
    async fn payments(&self, first: Option<i64>, after: Option<String>) -> Result<PaymentConnection, Refusal> {
        self.below()?.payments(None, first, after).await
    }
}

/// The ways that the money of a line took: those that are listed, and what came over the others.
#[derive(Debug, Clone)]
pub(crate) struct MoneyPaths {
    pub(crate) paths: Vec<MoneyPath>,
    pub(crate) other: Money,
}

/// A way that money took up the lineage.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct MoneyPath {
    /// Versions, from the one that was paid for to the model of the line.
    pub(crate) steps: Vec<ID>,
    /// Their names for people.
    pub(crate) labels: Vec<String>,
    /// The money that came this way.
    pub(crate) amount: Money,
}
