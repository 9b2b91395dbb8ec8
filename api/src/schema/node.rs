//! `node(id)`: whatever has an id.

use async_graphql::{ID, Interface};

use crate::schema::account::Account;
use crate::schema::batch::AttributionBatch;
use crate::schema::entity::{Agent, AgentVersion, Contribution, Dataset, DatasetVersion, Model, ModelVersion};
use crate::schema::epoch::Epoch;
use crate::schema::payment::Payment;

/// Whatever has an id.
#[derive(Debug, Clone, Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "Its id, for `node`."))]
pub(crate) enum Node {
    /// A dataset.
    Dataset(Dataset),
    /// A version of one.
    DatasetVersion(DatasetVersion),
    /// A contribution.
    Contribution(Contribution),
    /// A model.
    Model(Model),
    /// A version of one.
    ModelVersion(ModelVersion),
    /// An agent.
    Agent(Agent),
    /// A version of one.
    AgentVersion(AgentVersion),
    /// An account.
    Account(Account),
    /// A settled epoch.
    Epoch(Epoch),
    /// A batch.
    AttributionBatch(AttributionBatch),
    /// A payment.
    Payment(Payment),
}
