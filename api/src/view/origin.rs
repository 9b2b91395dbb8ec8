//! Below the lines of an explanation. What a line came from is found once and kept with the snapshot; a page then costs
//! its look-ups.

use std::sync::Arc;

use async_graphql::connection::{Connection, Edge, EmptyFields};
use async_graphql::{ID, OutputType};
use tributary_accounting::explain::below;
use tributary_accounting::{Origins, Stand};
use tributary_schemas::money::EntitlementRow;

use super::View;
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
        let session = self.view.pinned().session().await?;
        let rows = Box::pin(below::inferences(session, page.list)).await;
        let rows = rows.map_err(|cause| Refusal::internal("reading inferences", &cause))?;
        let nodes = rows.into_iter().zip(page.list).map(|(row, (stand, _))| InferencePart {
            below: self.clone(),
            stand: *stand,
            inference: row.of.inference.as_deref().and_then(Bytes32::read),
            subject: row.of.subject.map(ID),
            batch: row.of.batch.map(batch),
            amount: self.view.money(self.token, row.amount),
        });
        Ok(self.connection(&page, (origins.total(), origins.untraced()), nodes.collect()))
    }

    /// By batch.
    pub(crate) async fn batches(&self, asked: Option<i64>, after: Option<String>) -> Result<BatchConnection, Refusal> {
        let origins = self.origins().await?;
        let list = origins.batches();
        let page = self.page(&list, asked, after.as_deref())?;
        let session = self.view.pinned().session().await?;
        let rows = Box::pin(below::batches(session, page.list)).await;
        let rows = rows.map_err(|cause| Refusal::internal("reading batches", &cause))?;
        let nodes = rows
            .into_iter()
            .map(|row| BatchPart { batch: row.of.map(batch), amount: self.view.money(self.token, row.amount) });
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
        let session = self.view.pinned().session().await?;
        let rows = Box::pin(below::payments(session, page.list)).await;
        let rows = rows.map_err(|cause| Refusal::internal("reading payments", &cause))?;
        let bytes = |text: Option<String>| text.as_deref().and_then(Bytes32::read);
        let nodes = rows.into_iter().map(|row| PaymentPart {
            kind: row.of.kind.to_owned(),
            event: bytes(row.of.event),
            payment: bytes(row.of.payment),
            payer: row.of.payer.as_deref().map(AddressText::read),
            tx: bytes(row.of.tx),
            block: row.of.block.map(BlockNumber),
            log_index: row.of.log_index,
            paid: row.of.paid.and_then(|units| units.parse().ok()).map(|units| self.view.money(self.token, units)),
            reference: bytes(row.of.reference),
            amount: self.view.money(self.token, row.amount),
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
        let session = self.view.pinned().session().await?;
        let rows = Box::pin(below::records(session, page.list)).await;
        let rows = rows.map_err(|cause| Refusal::internal("reading records", &cause))?;
        let nodes = rows.into_iter().map(|row| RecordPart {
            target: row.of.target.map(str::to_owned),
            target_id: row.of.target_id.map(ID),
            row: row.of.row.map(i64::from),
            score: row.of.score.to_string(),
            amount: self.view.money(self.token, row.amount),
        });
        Ok(self.connection(&page, Self::whole(&origins, Some(of)), nodes.collect()))
    }

    async fn origins(&self) -> Result<Arc<Origins>, Refusal> {
        self.view.pinned().origins(&self.key).await
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
