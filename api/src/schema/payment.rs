//! `payments`: money in, as the chain has it.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{ID, Object};
use tributary_schemas::facts::PaymentRow;

use crate::page::Total;
use crate::scalar::{AddressText, BlockNumber, Bytes32, DateTime, Money};
use crate::view::View;

/// A list of payments.
pub(crate) type PaymentListConnection = Connection<String, Payment, Total, EmptyFields>;

/// A payment for an agent or a model.
#[derive(Debug, Clone)]
pub(crate) struct Payment {
    pub(crate) view: View,
    pub(crate) row: PaymentRow,
}

/// A payment for an agent or a model.
#[Object]
impl Payment {
    /// Its id.
    pub(crate) async fn id(&self) -> ID {
        ID(self.row.payment_id.clone())
    }
    /// Identity of the event.
    async fn event(&self) -> Option<Bytes32> {
        Bytes32::read(&self.row.event_id)
    }
    /// Epoch of its block.
    async fn epoch(&self) -> i64 {
        self.row.epoch
    }
    /// Its block.
    async fn block(&self) -> BlockNumber {
        BlockNumber(self.row.block_number)
    }
    /// Index of its log.
    async fn log_index(&self) -> i64 {
        self.row.log_index
    }
    /// Hash of its transaction.
    async fn tx(&self) -> Option<Bytes32> {
        Bytes32::read(&self.row.tx_hash)
    }
    /// Time of its block.
    async fn timestamp(&self) -> DateTime {
        DateTime(self.row.timestamp)
    }
    /// Vault that received it.
    async fn vault(&self) -> AddressText {
        AddressText::read(&self.row.vault)
    }
    /// agent or model.
    async fn subject_kind(&self) -> &str {
        &self.row.subject_kind
    }
    /// Id of the version that was paid for.
    async fn subject(&self) -> ID {
        ID(self.row.subject_id.clone())
    }
    /// Name of that version for people.
    async fn subject_label(&self) -> String {
        self.view.world().label(&self.row.subject_id, self.view.number())
    }
    /// Who paid.
    async fn payer(&self) -> AddressText {
        AddressText::read(&self.row.payer)
    }
    /// What was paid.
    async fn amount(&self) -> Money {
        self.view.money(AddressText::read(&self.row.token), self.row.amount.0)
    }
    /// Inference or batch it names.
    async fn reference(&self) -> Option<Bytes32> {
        self.row.reference.as_deref().and_then(Bytes32::read)
    }
    /// What stands behind it: asserted, vault, transfer or value.
    async fn backing(&self) -> &str {
        &self.row.backing
    }
    /// What is odd about it.
    async fn flags(&self) -> Vec<String> {
        crate::world::flag_words(&self.row.flags)
    }
}
