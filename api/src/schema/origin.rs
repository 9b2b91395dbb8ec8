//! Below a line of an explanation: inferences, the payments that paid for them, records, batches and their blobs.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{ComplexObject, ID, SimpleObject};
use tributary_accounting::Stand;

use crate::error::Refusal;
use crate::scalar::{AddressText, BlockNumber, Bytes32, Money};
use crate::view::Below;

/// A level below a line, the best first.
pub(crate) type InferenceConnection = Connection<String, InferencePart, Level, EmptyFields>;
/// A level below a line, the best first.
pub(crate) type PaymentConnection = Connection<String, PaymentPart, Level, EmptyFields>;
/// A level below a line, the best first.
pub(crate) type RecordConnection = Connection<String, RecordPart, Level, EmptyFields>;
/// A level below a line, the best first.
pub(crate) type BatchConnection = Connection<String, BatchPart, Level, EmptyFields>;

/// What the parts of a level add up to.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Level {
    /// How many there are in all pages.
    pub(crate) total_count: i64,
    /// The amount of what the level is below: this page's parts and `rest`, exactly.
    pub(crate) total: Money,
    /// What is not on this page.
    pub(crate) rest: Money,
    /// The part of `rest` that is on no page: it stands on less than a sub-unit of everything it could have come from.
    pub(crate) untraced: Money,
}

/// Money that came by an inference.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub(crate) struct InferencePart {
    #[graphql(skip)]
    pub(crate) below: Below,
    #[graphql(skip)]
    pub(crate) stand: Stand,
    /// Id of the inference; null for money that stands on none: of other channels than data, or of payments that named
    /// nothing that counts.
    pub(crate) inference: Option<Bytes32>,
    /// Version that answered.
    pub(crate) subject: Option<ID>,
    /// The batch it is in.
    pub(crate) batch: Option<BatchOrigin>,
    /// The money.
    pub(crate) amount: Money,
}

/// Money that came by an inference.
#[ComplexObject]
impl InferencePart {
    /// The payments it was divided from.
    async fn payments(&self, first: Option<i64>, after: Option<String>) -> Result<PaymentConnection, Refusal> {
        self.below.payments(Some(self.stand), first, after).await
    }
    /// The records it was divided by.
    async fn records(&self, first: Option<i64>, after: Option<String>) -> Result<RecordConnection, Refusal> {
        self.below.records(self.stand, first, after).await
    }
}

/// A batch, with the block and the blob it stands in.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct BatchOrigin {
    /// Id.
    pub(crate) id: ID,
    /// Who committed it.
    pub(crate) producer: AddressText,
    /// Block of the reference.
    pub(crate) block: BlockNumber,
    /// Index of the log there.
    pub(crate) log_index: i64,
    /// keccak256 of the payload.
    pub(crate) payload_hash: Option<Bytes32>,
    /// keccak256 of the commitment.
    pub(crate) commitment_hash: Option<Bytes32>,
    /// What names the blob on EigenDA's network; null without a certificate.
    pub(crate) blob_key: Option<Bytes32>,
}

/// Money that came by the inferences of a batch.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct BatchPart {
    /// The batch; null for money that stands on no inference.
    pub(crate) batch: Option<BatchOrigin>,
    /// The money.
    pub(crate) amount: Money,
}

/// Money that came by a record.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct RecordPart {
    /// dataset, contribution or model; null where there is no usable record.
    pub(crate) target: Option<String>,
    /// The contribution, or the version of the dataset or model.
    pub(crate) target_id: Option<ID>,
    /// Row inside a contribution.
    pub(crate) row: Option<i64>,
    /// Raw score, as decimal text.
    pub(crate) score: String,
    /// The money.
    pub(crate) amount: Money,
}

/// Money that came out of a payment.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct PaymentPart {
    /// payment, pool, or released for what was held of a payment.
    pub(crate) kind: String,
    /// Identity of the event.
    pub(crate) event: Option<Bytes32>,
    /// Id of the payment.
    pub(crate) payment: Option<Bytes32>,
    /// Who paid.
    pub(crate) payer: Option<AddressText>,
    /// Hash of the transaction.
    pub(crate) tx: Option<Bytes32>,
    /// Block.
    pub(crate) block: Option<BlockNumber>,
    /// Index of the log.
    pub(crate) log_index: Option<i64>,
    /// What was paid.
    pub(crate) paid: Option<Money>,
    /// Inference or batch it names.
    pub(crate) reference: Option<Bytes32>,
    /// The money.
    pub(crate) amount: Money,
}
