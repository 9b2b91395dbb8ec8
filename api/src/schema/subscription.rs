//! Subscriptions: each event has a sequence number, without gaps, that a later subscription may go on `after`.

use std::sync::Arc;

use async_graphql::{Context, ID, Interface, SimpleObject, Subscription as Subscribable};
use futures::stream::BoxStream;
use tributary_store::FeedEvent;

use crate::error::{ErrorCode, Refusal};
use crate::live::{self, Found, Live, PAGE, Pulse, Source, Spoken};
use crate::scalar::{AddressText, BlockNumber, Bytes32, DateTime, Money};
use crate::schema::account::Account;
use crate::schema::batch::AttributionBatch;
use crate::schema::epoch::Epoch;

type Events<T> = BoxStream<'static, Result<T, Refusal>>;

/// Everything that can be watched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subscription;

/// Everything that can be watched, over graphql-transport-ws or as server-sent events. Events are numbered from 1
/// without gaps; with `after`, those after that one come first, without it only new ones come. One that is no longer
/// kept is answered with `EVENTS_GONE`.
#[Subscribable]
impl Subscription {
    /// Blocks as they are verified and decoded, before they are final: what a reorg takes back is said.
    async fn blocks(&self, ctx: &Context<'_>, after: Option<i64>) -> Result<Events<BlockEvent>, Refusal> {
        follow(ctx, Blocks, after).await
    }

    /// Epochs as they settle. A settled epoch is final: nothing is ever taken back.
    async fn epoch_settled(&self, ctx: &Context<'_>, after: Option<i64>) -> Result<Events<EpochSettled>, Refusal> {
        follow(ctx, Epochs, after).await
    }

    /// What an account earns, epoch by epoch, for the epochs in which it earned or gave back something.
    async fn earnings_changed(
        &self,
        ctx: &Context<'_>,
        account: AddressText,
        after: Option<i64>,
    ) -> Result<Events<EarningsChanged>, Refusal> {
        follow(ctx, Earnings(account), after).await
    }

    /// Batches as they are sealed and whenever what became of one changes; of one batch or of all.
    async fn batch_status(
        &self,
        ctx: &Context<'_>,
        batch: Option<ID>,
        after: Option<i64>,
    ) -> Result<Events<BatchStatus>, Refusal> {
        follow(ctx, Batches(batch.map(|id| id.0.to_lowercase())), after).await
    }
}

async fn follow<S: Source>(ctx: &Context<'_>, source: S, after: Option<i64>) -> Result<Events<S::Event>, Refusal> {
    let (Some(live), Some(spoken)) = (ctx.data_opt::<Arc<Live>>(), ctx.data_opt::<Arc<Spoken>>()) else {
        return Err(Refusal::new(ErrorCode::NotReady, "nothing is watched"));
    };
    live::follow(Arc::clone(live), Arc::clone(spoken), source, after).await
}

/// Something that happened to the newest blocks.
#[derive(Debug, Clone, Interface)]
#[graphql(field(name = "sequence", ty = "&i64", desc = "Its number: from 1, without gaps."))]
pub(crate) enum BlockEvent {
    /// A block was added.
    Added(BlockAdded),
    /// Blocks were taken back.
    Retracted(Retracted),
}

/// A block was added. It may still be taken back.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct BlockAdded {
    /// Number of the event: from 1, without gaps.
    sequence: i64,
    /// Number of the block. Numbers may jump where blocks were sealed while nobody watched.
    number: BlockNumber,
    /// Its hash.
    hash: Bytes32,
    /// Hash of the block before.
    parent_hash: Bytes32,
    /// Its time.
    timestamp: DateTime,
}

/// A reorg: these blocks are no longer part of the chain; others follow.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Retracted {
    /// Number of the event: from 1, without gaps.
    sequence: i64,
    /// The lowest block taken back.
    from: BlockNumber,
    /// The highest block taken back.
    to: BlockNumber,
    /// Hash of the block below, which stands; null when that is not known.
    head: Option<Bytes32>,
}

/// An epoch settled.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct EpochSettled {
    /// Number of the event: from 1, without gaps.
    sequence: i64,
    /// The epoch.
    epoch: Epoch,
}

/// An account earned something in an epoch, or gave it back.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct EarningsChanged {
    /// Number of the event: from 1, without gaps, for each account.
    sequence: i64,
    /// The epoch.
    epoch: i64,
    /// The account, as it stands now.
    account: Account,
    /// What changed, by vault and token.
    changes: Vec<EarningsChange>,
}

/// What changed for an account in one vault and token.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct EarningsChange {
    /// The vault.
    pub(crate) vault: AddressText,
    /// What it earned in the epoch; below zero for what it gave back.
    pub(crate) earned: Money,
    /// What it earned since the beginning, up to the epoch.
    pub(crate) cumulative: Money,
}

/// A batch was sealed, or what became of it changed.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct BatchStatus {
    /// Number of the event: from 1, without gaps, for one batch or for all, as was asked.
    sequence: i64,
    /// The block since which it is so.
    block: BlockNumber,
    /// The batch as it is since then.
    batch: AttributionBatch,
}

struct Blocks;

impl Source for Blocks {
    type Event = BlockEvent;

    fn key(pulse: &Pulse) -> u64 {
        pulse.feed
    }

    async fn newest(&self, live: &Live) -> Result<i64, Refusal> {
        live.feed_newest().await
    }

    async fn after(&self, live: &Live, after: i64) -> Result<Found<BlockEvent>, Refusal> {
        let wanted = u64::try_from(after).unwrap_or_default();
        let page = live.feed_after(wanted).await?;
        if wanted.saturating_add(1) < page.oldest {
            let kept = page.oldest.saturating_sub(1);
            let message = format!("events up to {kept} are no longer kept: subscribe again with after >= {kept}");
            return Err(Refusal::new(ErrorCode::EventsGone, message));
        }
        let number = |number: u64| BlockNumber(tributary_schemas::column::signed(number));
        let event = |record: tributary_store::FeedRecord| {
            let sequence = tributary_schemas::column::signed(record.sequence);
            let event = match record.event {
                FeedEvent::Added(block) => BlockEvent::Added(BlockAdded {
                    sequence,
                    number: number(block.number),
                    hash: Bytes32(block.hash),
                    parent_hash: Bytes32(block.parent_hash),
                    timestamp: DateTime::seconds(block.timestamp),
                }),
                FeedEvent::Retracted { from, to, head } => BlockEvent::Retracted(Retracted {
                    sequence,
                    from: number(from),
                    to: number(to),
                    head: Some(Bytes32(head)).filter(|head| !head.0.is_zero()),
                }),
            };
            (sequence, event)
        };
        Ok(Found { reads: None, events: page.records.into_iter().map(event).collect() })
    }
}

struct Epochs;

impl Source for Epochs {
    type Event = EpochSettled;

    fn key(pulse: &Pulse) -> u64 {
        pulse.snapshot
    }

    async fn newest(&self, live: &Live) -> Result<i64, Refusal> {
        let view = live.newest().await?.view("epochSettled", None, None).await?;
        Ok(count(view.settled_epochs().count()))
    }

    async fn after(&self, live: &Live, after: i64) -> Result<Found<EpochSettled>, Refusal> {
        let reads = live.newest().await?;
        let view = reads.view("epochSettled", None, None).await?;
        let skip = usize::try_from(after).unwrap_or_default();
        let settled = view.settled_epochs().skip(skip).take(PAGE);
        let events = (after.saturating_add(1)..).zip(settled);
        let events = events.map(|(sequence, epoch)| (sequence, EpochSettled { sequence, epoch })).collect();
        Ok(Found { reads: Some(reads), events })
    }
}

struct Earnings(AddressText);

impl Source for Earnings {
    type Event = EarningsChanged;

    fn key(pulse: &Pulse) -> u64 {
        pulse.snapshot
    }

    async fn newest(&self, live: &Live) -> Result<i64, Refusal> {
        let view = live.newest().await?.view("earningsChanged", None, None).await?;
        Ok(count(view.earnings_changes(self.0).await?.len()))
    }

    async fn after(&self, live: &Live, after: i64) -> Result<Found<EarningsChanged>, Refusal> {
        let reads = live.newest().await?;
        let view = reads.view("earningsChanged", None, None).await?;
        let skip = usize::try_from(after).unwrap_or_default();
        let found = view.earnings_changes(self.0).await?.into_iter().skip(skip).take(PAGE);
        let event = |(sequence, (epoch, changes)): (i64, _)| {
            let account = Account { view: view.clone(), address: self.0 };
            (sequence, EarningsChanged { sequence, epoch, account, changes })
        };
        let events = (after.saturating_add(1)..).zip(found).map(event).collect();
        Ok(Found { reads: Some(reads), events })
    }
}

struct Batches(Option<String>);

impl Source for Batches {
    type Event = BatchStatus;

    fn key(pulse: &Pulse) -> u64 {
        pulse.snapshot
    }

    async fn newest(&self, live: &Live) -> Result<i64, Refusal> {
        let view = live.newest().await?.view("batchStatus", None, None).await?;
        view.batch_state_count(self.0.as_deref()).await
    }

    async fn after(&self, live: &Live, after: i64) -> Result<Found<BatchStatus>, Refusal> {
        let reads = live.newest().await?;
        let view = reads.view("batchStatus", None, None).await?;
        let states = view.batch_states(self.0.as_deref(), after, PAGE).await?;
        let event = |(sequence, batch): (i64, AttributionBatch)| {
            let block = BlockNumber(batch.row.valid_from_block);
            (sequence, BatchStatus { sequence, block, batch })
        };
        let events = (after.saturating_add(1)..).zip(states).map(event).collect();
        Ok(Found { reads: Some(reads), events })
    }
}

fn count(many: usize) -> i64 {
    i64::try_from(many).unwrap_or(i64::MAX)
}
