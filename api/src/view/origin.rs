//! Below the lines of an explanation. What a line came from is found once, together with the other lines of the answer
//! that ask, and kept with the snapshot; a page then costs its look-ups, which lines share as well.

use std::hash::Hash;
use std::sync::Arc;

use async_graphql::connection::{Connection, Edge, EmptyFields};
use async_graphql::dataloader::Loader;
use async_graphql::{ID, OutputType};
use tokio::sync::OnceCell;
use tributary_accounting::explain::below;
use tributary_accounting::{Origins, Stand};
use tributary_schemas::money::EntitlementRow;

use super::View;
use super::load::{BatchKey, Loads};
use crate::error::{ErrorCode, Refusal};
use crate::page::{Cursor, first};
use crate::pinned::OriginKey;
use crate::scalar::{AddressText, BlockNumber, Bytes32};
use crate::schema::origin::{
    BatchConnection, BatchOrigin, BatchPart, InferenceConnection, InferencePart, Level, PaymentConnection, PaymentPart,
    RecordConnection, RecordPart,
};

/// A line of an explanation, from below.
#[derive(Debug, Clone)]
pub(crate) struct Below {
    pub(crate) view: View,
    pub(crate) token: AddressText,
    pub(crate) key: OriginKey,
    /// What it came from, once somebody asked.
    pub(crate) found: Arc<OnceCell<Arc<Origins>>>,
}

impl Below {
    /// By inference.
    pub(crate) async fn inferences(
        &self,
        asked: Option<i64>,
        after: Option<String>,
    ) -> Result<InferenceConnection, Refusal> {
        let origins = self.origins().await?;
        let page = self.page(origins.inferences(), asked, after.as_deref())?;
        let rows = self.rows(page.list, |stand| stand).await?;
        let nodes = rows.into_iter().map(|(stand, of, units)| InferencePart {
            below: self.clone(),
            stand,
            inference: of.inference.as_deref().and_then(Bytes32::read),
            subject: of.subject.map(ID),
            batch: of.batch.map(batch),
            amount: self.view.money(self.token, units),
        });
        Ok(self.connection(&page, (origins.total(), origins.untraced()), nodes.collect()))
    }

    /// By batch.
    pub(crate) async fn batches(&self, asked: Option<i64>, after: Option<String>) -> Result<BatchConnection, Refusal> {
        let origins = self.origins().await?;
        let list = origins.batches();
        let page = self.page(&list, asked, after.as_deref())?;
        let rows = self.rows(page.list, BatchKey).await?;
        let nodes = rows
            .into_iter()
            .map(|(_, of, units)| BatchPart { batch: of.map(batch), amount: self.view.money(self.token, units) });
        Ok(self.connection(&page, (origins.total(), origins.untraced()), nodes.collect()))
    }

    /// By payment: of an inference, or of all of it.
    pub(crate) async fn payments(
        &self,
        of: Option<Stand>,
        asked: Option<i64>,
        after: Option<String>,
    ) -> Result<PaymentConnection, Refusal> {
        let origins = self.origins().await?;
        let list = origins.payments(of);
        let page = self.page(&list, asked, after.as_deref())?;
        let rows = self.rows(page.list, |payer| payer).await?;
        let bytes = |text: Option<String>| text.as_deref().and_then(Bytes32::read);
        let nodes = rows.into_iter().map(|(_, of, units)| PaymentPart {
            kind: of.kind.to_owned(),
            event: bytes(of.event),
            payment: bytes(of.payment),
            payer: of.payer.as_deref().map(AddressText::read),
            tx: bytes(of.tx),
            block: of.block.map(BlockNumber),
            log_index: of.log_index,
            paid: of.paid.and_then(|paid| paid.parse().ok()).map(|paid| self.view.money(self.token, paid)),
            reference: bytes(of.reference),
            amount: self.view.money(self.token, units),
        });
        Ok(self.connection(&page, Self::whole(&origins, of), nodes.collect()))
    }

    /// By record, of an inference.
    pub(crate) async fn records(
        &self,
        of: Stand,
        asked: Option<i64>,
        after: Option<String>,
    ) -> Result<RecordConnection, Refusal> {
        let origins = self.origins().await?;
        let list = origins.records(of);
        let page = self.page(&list, asked, after.as_deref())?;
        let rows = self.rows(page.list, |record| record).await?;
        let nodes = rows.into_iter().map(|(_, of, units)| RecordPart {
            target: of.target.map(str::to_owned),
            target_id: of.target_id.map(ID),
            row: of.row.map(i64::from),
            score: of.score.to_string(),
            amount: self.view.money(self.token, units),
        });
        Ok(self.connection(&page, Self::whole(&origins, Some(of)), nodes.collect()))
    }

    async fn origins(&self) -> Result<Arc<Origins>, Refusal> {
        let find = || async {
            let found = self.view.0.loads.load_one(self.key.clone()).await?;
            found.ok_or_else(|| Refusal::internal("taking lines back", &"a line is not there"))
        };
        self.found.get_or_try_init(find).await.cloned()
    }

    /// What stands behind the keys of a page, with the base units of each.
    async fn rows<K: Copy, L>(
        &self,
        list: &[(K, i128)],
        key: impl Fn(K) -> L,
    ) -> Result<Vec<(K, <Loads as Loader<L>>::Value, i128)>, Refusal>
    where
        L: Send + Sync + Hash + Eq + Clone + 'static,
        Loads: Loader<L, Error = Refusal>,
    {
        let found = self.view.0.loads.load_many(list.iter().map(|(of, _)| key(*of))).await?;
        let row = |(of, units): &(K, i128)| found.get(&key(*of)).cloned().map(|row| (*of, row, *units));
        let rows = list.iter().map(row).collect::<Option<Vec<_>>>();
        rows.ok_or_else(|| Refusal::internal("reading below a line", &"a key has no row"))
    }

    /// What a level below an inference, or below everything, adds up to, and what is untraced of it.
    fn whole(origins: &Origins, of: Option<Stand>) -> (i128, i128) {
        let Some(of) = of else { return (origins.total(), origins.untraced()) };
        let found = origins.inferences().iter().find(|(stand, _)| *stand == of);
        (found.map_or(0, |(_, units)| *units), 0)
    }

    fn page<'a, K>(
        &self,
        list: &'a [(K, i128)],
        asked: Option<i64>,
        after: Option<&str>,
    ) -> Result<Page<'a, K>, Refusal> {
        let wrong = || Refusal::new(ErrorCode::BadCursor, "cursor names a row that this list does not have");
        // The order is one of sealed facts, so a row's rank names it.
        let start = match self.view.inner_cursor(after)? {
            Some(cursor) => {
                let rank: usize = cursor.key.parse().ok().filter(|rank| *rank < list.len()).ok_or_else(wrong)?;
                rank.saturating_add(1)
            }
            None => 0,
        };
        let end = std::cmp::min(start.saturating_add(first(asked)?), list.len());
        Ok(Page { start, total: list.len(), list: &list[start..end] })
    }

    fn connection<K, N: OutputType>(
        &self,
        page: &Page<'_, K>,
        (total, untraced): (i128, i128),
        nodes: Vec<N>,
    ) -> Connection<String, N, Level, EmptyFields> {
        let here: i128 = page.list.iter().map(|(_, units)| *units).sum();
        let money = |units: i128| self.view.money(self.token, units);
        let level = Level {
            total_count: i64::try_from(page.total).unwrap_or(i64::MAX),
            total: money(total),
            rest: money(total - here),
            untraced: money(untraced),
        };
        let more = page.start.saturating_add(page.list.len()) < page.total;
        let mut connection = Connection::with_additional_fields(page.start > 0, more, level);
        let edge = |(rank, node): (usize, N)| {
            let cursor = Cursor { key: rank.to_string(), ..self.view.cursor() };
            Edge::new(cursor.encode(), node)
        };
        connection.edges = (page.start..).zip(nodes).map(edge).collect();
        connection
    }
}

struct Page<'a, K> {
    start: usize,
    total: usize,
    list: &'a [(K, i128)],
}

fn batch(of: below::Batch) -> BatchOrigin {
    BatchOrigin {
        id: ID(of.batch),
        producer: AddressText::read(&of.producer),
        block: BlockNumber(of.block),
        log_index: of.log_index,
        payload_hash: Bytes32::read(&of.payload_hash),
        commitment_hash: of.commitment_hash.as_deref().and_then(Bytes32::read),
        blob_key: of.blob_key.as_deref().and_then(Bytes32::read),
    }
}

impl OriginKey {
    /// Whether a row of `entitlements` is the line.
    pub(crate) fn is(&self, row: &EntitlementRow) -> bool {
        let ids = [&row.dataset_id, &row.contribution_id, &row.model_version_id, &row.agent_version_id];
        row.vault == self.vault
            && row.role == self.role
            && row.adjusts_epoch == self.adjusts_epoch
            && ids.into_iter().eq(self.ids.iter())
    }
}
