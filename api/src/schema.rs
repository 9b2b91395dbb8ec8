//! The root of the schema, and its text.
//!
//! Every root field takes `asOf` where it has a meaning, makes a [`View`] of it, and hands it down: an object of this
//! schema never reads anything but through the view it was made with.

pub(crate) mod account;
pub(crate) mod batch;
pub(crate) mod blob;
pub(crate) mod block;
pub(crate) mod entity;
pub(crate) mod epoch;
pub(crate) mod node;
pub(crate) mod origin;
pub(crate) mod payment;
pub(crate) mod provenance;
pub(crate) mod status;
pub(crate) mod subscription;

use async_graphql::{Context, EmptyMutation, Enum, ID, InputObject, Object, Schema, ValidationMode};

use crate::error::Refusal;
use crate::filter::{
    AccountWhere, AgentWhere, AttributionBatchWhere, BlobWhere, Condition, DatasetWhere, EntityOrder, EpochWhere,
    ModelWhere, OrderDirection, PaymentOrder, PaymentWhere,
};
use crate::page::Asked;
use crate::scalar::{AddressText, BlockNumber, Bytes32, DateTime};
use crate::view::{Request, View};
use account::Account;
use batch::{AttributionBatch, AttributionBatchConnection};
use blob::{Blob, BlobConnection, BlobStatus};
use block::Block;
use entity::{Agent, AgentConnection, Contribution, Dataset, DatasetConnection, Model, ModelConnection};
use epoch::{Epoch, EpochConnection};
use node::Node;
use payment::{Payment, PaymentListConnection};
use provenance::{Direction, Provenance};
use status::Status;
use subscription::Subscription;

/// The schema; stateless: what a request may read comes with the request.
pub(crate) type Tributary = Schema<Query, EmptyMutation, Subscription>;

/// The schema with its own limits as a second line behind [`guard`](crate::guard). For documents that are known to fit it,
/// [`ValidationMode::Fast`] does.
pub(crate) fn build(mode: ValidationMode) -> Tributary {
    let schema = Schema::build(Query, EmptyMutation, Subscription).validation_mode(mode);
    schema.limit_depth(64).limit_recursive_depth(64).finish()
}

/// The schema in the schema definition language: what is committed as `schemas/graphql/schema.graphql`.
#[must_use]
pub fn sdl() -> String {
    build(ValidationMode::Strict).sdl()
}

/// A block by what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum AsOfTag {
    /// The oldest that is kept.
    Earliest,
    /// The last one of the last settled epoch.
    Settled,
    /// The newest that is final and complete: the same as nothing at all.
    Finalized,
}

/// A block of the past: one of the five. Without any, the newest sealed block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, InputObject)]
pub(crate) struct AsOf {
    /// The block with this number.
    pub(crate) number: Option<BlockNumber>,
    /// The block with this hash.
    pub(crate) hash: Option<Bytes32>,
    /// The last block of this settled epoch.
    pub(crate) epoch: Option<i64>,
    /// The last block at or before this time.
    pub(crate) timestamp: Option<DateTime>,
    /// The block by what it is.
    pub(crate) tag: Option<AsOfTag>,
}

/// What accounts are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum AccountOrder {
    /// By address.
    Address,
    /// By what was earned of `token` (the native token by default), most first, then by address.
    Earned,
}

/// Which accounts to list.
#[derive(Debug, Clone)]
pub(crate) struct AccountFilter {
    pub(crate) search: Option<String>,
    pub(crate) order: AccountOrder,
    pub(crate) token: Option<AddressText>,
    pub(crate) condition: Condition,
}

/// Everything that can be asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query;

/// Everything that can be asked. Every answer is computed from one published snapshot, named in `extensions.asOf`.
#[Object]
impl Query {
    /// Where everything stands.
    async fn status(&self, ctx: &Context<'_>) -> Result<Status, Refusal> {
        view(ctx, None, None).await?.status().await
    }

    /// A sealed block, and which posting on L1 carries it.
    async fn block(
        &self,
        ctx: &Context<'_>,
        number: BlockNumber,
        as_of: Option<AsOf>,
    ) -> Result<Option<Block>, Refusal> {
        view(ctx, as_of, None).await?.block(number.0).await
    }

    /// Whatever has this id: an entity, a version, a contribution, an account, an epoch, a batch or a payment.
    async fn node(&self, ctx: &Context<'_>, id: ID, as_of: Option<AsOf>) -> Result<Option<Node>, Refusal> {
        view(ctx, as_of, None).await?.node(&id).await
    }

    /// An account, whether or not it ever earned something.
    async fn account(&self, ctx: &Context<'_>, address: AddressText, as_of: Option<AsOf>) -> Result<Account, Refusal> {
        Ok(Account { view: view(ctx, as_of, None).await?, address })
    }

    /// A dataset by its id or text id, or by the id of one of its versions.
    async fn dataset(&self, ctx: &Context<'_>, id: ID, as_of: Option<AsOf>) -> Result<Option<Dataset>, Refusal> {
        view(ctx, as_of, None).await?.dataset(&id).await
    }

    /// A model by its id or text id, or by the id of one of its versions.
    async fn model(&self, ctx: &Context<'_>, id: ID, as_of: Option<AsOf>) -> Result<Option<Model>, Refusal> {
        view(ctx, as_of, None).await?.model(&id).await
    }

    /// An agent by its id or text id, or by the id of one of its versions.
    async fn agent(&self, ctx: &Context<'_>, id: ID, as_of: Option<AsOf>) -> Result<Option<Agent>, Refusal> {
        view(ctx, as_of, None).await?.agent(&id).await
    }

    /// A contribution by its id.
    async fn contribution(
        &self,
        ctx: &Context<'_>,
        id: ID,
        as_of: Option<AsOf>,
    ) -> Result<Option<Contribution>, Refusal> {
        view(ctx, as_of, None).await?.contribution(&id).await
    }

    /// A settled epoch.
    async fn epoch(&self, ctx: &Context<'_>, number: i64, as_of: Option<AsOf>) -> Result<Option<Epoch>, Refusal> {
        view(ctx, as_of, None).await?.epoch(number).await
    }

    /// A blob by keccak256 of its payload or of its commitment, or by its blob key: the first reference to it.
    async fn blob(&self, ctx: &Context<'_>, hash: Bytes32, as_of: Option<AsOf>) -> Result<Option<Blob>, Refusal> {
        view(ctx, as_of, None).await?.blob(hash).await
    }

    /// Blobs in the order of the references to them; `first` is at most 500.
    async fn blobs(
        &self,
        ctx: &Context<'_>,
        first: Option<i64>,
        after: Option<String>,
        status: Option<BlobStatus>,
        #[graphql(name = "where")] filter: Option<BlobWhere>,
        as_of: Option<AsOf>,
    ) -> Result<BlobConnection, Refusal> {
        let view = view(ctx, as_of, after.as_deref()).await?;
        let asked = std::iter::once(Condition::of(filter)?).chain(status.map(BlobStatus::condition));
        view.blobs(Asked { first, after }, &Condition::All(asked.collect())).await
    }

    /// A batch of attribution records by its id.
    async fn attribution_batch(
        &self,
        ctx: &Context<'_>,
        id: ID,
        as_of: Option<AsOf>,
    ) -> Result<Option<AttributionBatch>, Refusal> {
        view(ctx, as_of, None).await?.batch(&id).await
    }

    /// Batches of attribution records in the order of their references; `first` is at most 500.
    async fn attribution_batches(
        &self,
        ctx: &Context<'_>,
        first: Option<i64>,
        after: Option<String>,
        #[graphql(name = "where")] filter: Option<AttributionBatchWhere>,
        as_of: Option<AsOf>,
    ) -> Result<AttributionBatchConnection, Refusal> {
        let (view, condition) = (view(ctx, as_of, after.as_deref()).await?, Condition::of(filter)?);
        view.batches(Asked { first, after }, &condition).await
    }

    /// A payment by its id.
    async fn payment(&self, ctx: &Context<'_>, id: ID, as_of: Option<AsOf>) -> Result<Option<Payment>, Refusal> {
        view(ctx, as_of, None).await?.payment(&id).await
    }

    /// Payments in the order in which they were paid, if nothing else is asked for; `first` is at most 500.
    async fn payments(
        &self,
        ctx: &Context<'_>,
        first: Option<i64>,
        after: Option<String>,
        #[graphql(name = "where")] filter: Option<PaymentWhere>,
        order_by: Option<PaymentOrder>,
        as_of: Option<AsOf>,
    ) -> Result<PaymentListConnection, Refusal> {
        let (view, condition) = (view(ctx, as_of, after.as_deref()).await?, Condition::of(filter)?);
        view.payments(Asked { first, after }, &condition, order_by.unwrap_or_default()).await
    }

    /// Datasets in the order of registration, if nothing else is asked for; `first` is at most 500.
    async fn datasets(
        &self,
        ctx: &Context<'_>,
        first: Option<i64>,
        after: Option<String>,
        #[graphql(name = "where")] filter: Option<DatasetWhere>,
        order_by: Option<EntityOrder>,
        as_of: Option<AsOf>,
    ) -> Result<DatasetConnection, Refusal> {
        let (view, condition) = (view(ctx, as_of, after.as_deref()).await?, Condition::of(filter)?);
        view.datasets(Asked { first, after }, &condition, order_by.unwrap_or_default()).await
    }

    /// Models in the order of registration, if nothing else is asked for; `first` is at most 500.
    async fn models(
        &self,
        ctx: &Context<'_>,
        first: Option<i64>,
        after: Option<String>,
        #[graphql(name = "where")] filter: Option<ModelWhere>,
        order_by: Option<EntityOrder>,
        as_of: Option<AsOf>,
    ) -> Result<ModelConnection, Refusal> {
        let (view, condition) = (view(ctx, as_of, after.as_deref()).await?, Condition::of(filter)?);
        view.models(Asked { first, after }, &condition, order_by.unwrap_or_default()).await
    }

    /// Agents in the order of registration, if nothing else is asked for; `first` is at most 500.
    async fn agents(
        &self,
        ctx: &Context<'_>,
        first: Option<i64>,
        after: Option<String>,
        #[graphql(name = "where")] filter: Option<AgentWhere>,
        order_by: Option<EntityOrder>,
        as_of: Option<AsOf>,
    ) -> Result<AgentConnection, Refusal> {
        let (view, condition) = (view(ctx, as_of, after.as_deref()).await?, Condition::of(filter)?);
        view.agents(Asked { first, after }, &condition, order_by.unwrap_or_default()).await
    }

    /// Settled epochs, newest first if nothing else is asked for; `first` is at most 500.
    async fn epochs(
        &self,
        ctx: &Context<'_>,
        first: Option<i64>,
        after: Option<String>,
        #[graphql(name = "where")] filter: Option<EpochWhere>,
        #[graphql(default_with = "OrderDirection::Desc")] direction: OrderDirection,
        as_of: Option<AsOf>,
    ) -> Result<EpochConnection, Refusal> {
        let (view, condition) = (view(ctx, as_of, after.as_deref()).await?, Condition::of(filter)?);
        view.epochs(Asked { first, after }, &condition, direction).await
    }

    /// Accounts that earned something; `search` is a part of the address, `first` at most 500.
    #[expect(clippy::too_many_arguments, reason = "they are the arguments of the field")]
    async fn accounts(
        &self,
        ctx: &Context<'_>,
        first: Option<i64>,
        after: Option<String>,
        search: Option<String>,
        #[graphql(name = "where")] filter: Option<AccountWhere>,
        #[graphql(default_with = "AccountOrder::Address")] order_by: AccountOrder,
        token: Option<AddressText>,
        as_of: Option<AsOf>,
    ) -> Result<AccountConnection, Refusal> {
        let filter = AccountFilter { search, order: order_by, token, condition: Condition::of(filter)? };
        view(ctx, as_of, after.as_deref()).await?.accounts(Asked { first, after }, filter).await
    }

    /// The graph around a version, an entity (its last version) or an account; `depth` is at most 16, `first` (nodes)
    /// at most 2,000. Where there are more neighbours than `first`, those with most money come first.
    async fn provenance(
        &self,
        ctx: &Context<'_>,
        of: ID,
        #[graphql(default_with = "Direction::Both")] direction: Direction,
        #[graphql(default = 1)] depth: i64,
        #[graphql(default = 300)] first: i64,
        as_of: Option<AsOf>,
    ) -> Result<Option<Provenance>, Refusal> {
        view(ctx, as_of, None).await?.provenance(&of, direction, depth, first).await
    }
}

pub(crate) type AccountConnection =
    async_graphql::connection::Connection<String, Account, crate::page::Total, async_graphql::connection::EmptyFields>;

/// The view that `as_of`, or else the cursor, asks for; noted under the field's name when it is not the newest.
async fn view(ctx: &Context<'_>, as_of: Option<AsOf>, after: Option<&str>) -> Result<View, Refusal> {
    let request = ctx
        .data_opt::<std::sync::Arc<Request>>()
        .ok_or_else(|| Refusal::new(crate::ErrorCode::NotReady, "no snapshot"))?;
    request.view(ctx.field().alias().unwrap_or_else(|| ctx.field().name()), as_of, after).await
}

#[cfg(test)]
mod tests;
