//! Batches of attribution records and payments at the view's block.

use tributary_schemas::Table;
use tributary_schemas::facts::{BatchRow, PaymentRow};

use super::View;
use crate::error::Refusal;
use crate::filter::{Condition, PaymentOrder, PaymentOrderField};
use crate::page::{self, Asked, Listed};
use crate::schema::batch::{AttributionBatch, AttributionBatchConnection};
use crate::schema::payment::{Payment, PaymentListConnection};

/// States of batches up to a block, of one batch or of all, in the order in which they began: a later snapshot only adds
/// to the end.
const STATES: &str = "FROM attribution_batches WHERE valid_from_block <= $1 AND ($2 = '' OR batch_id = $2)";
/// The batches as they are at a block.
const BATCHES: &str = "FROM attribution_batches WHERE valid_from_block <= $1 AND coalesce(valid_to_block > $1, true)";
/// The payments up to a block.
const PAYMENTS: &str = "FROM payments WHERE block_number <= $1";

impl View {
    /// How many states batches went through.
    pub(crate) async fn batch_state_count(&self, batch: Option<&str>) -> Result<i64, Refusal> {
        let values = vec![self.number().into(), batch.unwrap_or_default().into()];
        self.count(&format!("SELECT count(*) {STATES}"), values).await
    }

    /// States that batches went through, after the first `skip`.
    pub(crate) async fn batch_states(
        &self,
        batch: Option<&str>,
        skip: i64,
        most: usize,
    ) -> Result<Vec<AttributionBatch>, Refusal> {
        let query = format!("SELECT * {STATES} ORDER BY valid_from_block, batch_sk LIMIT {most} OFFSET {skip}");
        let values = vec![self.number().into(), batch.unwrap_or_default().into()];
        let rows = self.pinned().rows::<BatchRow>(&query, values).await?;
        Ok(rows.into_iter().map(|row| AttributionBatch { view: self.clone(), row }).collect())
    }

    /// A batch by its id.
    pub(crate) async fn batch(&self, id: &str) -> Result<Option<AttributionBatch>, Refusal> {
        let query = format!("SELECT * {BATCHES} AND batch_id = $2");
        let rows = self.pinned().rows(&query, vec![self.number().into(), id.to_lowercase().into()]).await?;
        Ok(rows.into_iter().next().map(|row| AttributionBatch { view: self.clone(), row }))
    }

    /// Batches in the order of their references.
    pub(crate) async fn batches(
        &self,
        asked: Asked,
        condition: &Condition,
    ) -> Result<AttributionBatchConnection, Refusal> {
        let from = format!("{BATCHES} AND {}", condition.sql());
        let listed = self.listed::<BatchRow>(&from, "batch_sk", asked).await?;
        Ok(page::listed(listed, &self.cursor(), |row| AttributionBatch { view: self.clone(), row }))
    }

    /// A payment by its id.
    pub(crate) async fn payment(&self, id: &str) -> Result<Option<Payment>, Refusal> {
        let query = format!("SELECT * {PAYMENTS} AND payment_id = $2 ORDER BY payment_sk LIMIT 1");
        let rows = self.pinned().rows(&query, vec![self.number().into(), id.to_lowercase().into()]).await?;
        Ok(rows.into_iter().next().map(|row| Payment { view: self.clone(), row }))
    }

    /// Payments.
    pub(crate) async fn payments(
        &self,
        asked: Asked,
        condition: &Condition,
        order: PaymentOrder,
    ) -> Result<PaymentListConnection, Refusal> {
        let from = format!("{PAYMENTS} AND {}", condition.sql());
        let way = order.direction.sql();
        let order = match order.field {
            PaymentOrderField::Position => format!("payment_sk {way}"),
            PaymentOrderField::Amount => format!("amount {way}, payment_sk"),
        };
        let listed = self.listed::<PaymentRow>(&from, &order, asked).await?;
        Ok(page::listed(listed, &self.cursor(), |row| Payment { view: self.clone(), row }))
    }

    /// A page of rows `from` a table, where `$1` is the view's block. What is sealed up to a block never changes, so a
    /// row's place names it: no row can slip in before it.
    pub(super) async fn listed<T: Table>(&self, from: &str, order: &str, asked: Asked) -> Result<Listed<T>, Refusal> {
        let list = page::fingerprint(&[from, order]);
        let (first, offset) = asked.place(&list)?;
        let query = format!("SELECT * {from} ORDER BY {order} LIMIT {first} OFFSET {offset}");
        let rows = self.pinned().rows(&query, vec![self.number().into()]).await?;
        let total = self.count(&format!("SELECT count(*) {from}"), vec![self.number().into()]).await?;
        Ok(Listed { rows, offset, total, list })
    }
}
