//! `datasets`, `models`, `agents` and what hangs on them.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{ID, Object, SimpleObject};
use tributary_schemas::facts::{
    AgentRow, AgentVersionRow, ContributionRow, DatasetRow, DatasetVersionRow, ModelRow, ModelVersionRow,
};

use crate::error::Refusal;
use crate::filter::{Condition, ContributionOrder, ContributionWhere};
use crate::page::{Asked, Total};
use crate::scalar::{AddressText, BlockNumber, Bytes32, Money};
use crate::view::View;
use crate::world::{Kind, flag_words};

pub(crate) type DatasetConnection = Connection<String, Dataset, Total, EmptyFields>;
pub(crate) type ModelConnection = Connection<String, Model, Total, EmptyFields>;
pub(crate) type AgentConnection = Connection<String, Agent, Total, EmptyFields>;
pub(crate) type ContributionConnection = Connection<String, Contribution, Total, EmptyFields>;

/// A dataset, model or agent by name.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Owned {
    /// Its id.
    pub(crate) id: ID,
    /// dataset, model or agent.
    pub(crate) kind: String,
    /// Its name for people.
    pub(crate) label: String,
}

/// One share of a split.
#[derive(Debug, Clone, SimpleObject, serde::Deserialize)]
pub(crate) struct SplitShare {
    /// Who gets it.
    #[serde(deserialize_with = "address_text")]
    pub(crate) account: AddressText,
    /// How much, in 10^-9.
    pub(crate) share_ppb: i64,
}

fn address_text<'de, D: serde::Deserializer<'de>>(from: D) -> Result<AddressText, D::Error> {
    <alloy_primitives::Address as serde::Deserialize>::deserialize(from).map(AddressText)
}

/// Where the money of an entity goes.
#[derive(Debug, Clone, Default, SimpleObject)]
pub(crate) struct PayoutRule {
    /// The address set for it; null when its owner gets it.
    pub(crate) payout: Option<AddressText>,
    /// Its split; empty when there is none.
    pub(crate) split: Vec<SplitShare>,
}

macro_rules! entity {
    ($(#[doc = $doc:literal])* $name:ident $row:ident $kind:ident $id:ident $sk:ident { $($more:tt)* }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $name {
            pub(crate) view: View,
            pub(crate) row: $row,
        }
        $(#[doc = $doc])*
        #[Object]
        impl $name {
            /// Its id.
            pub(crate) async fn id(&self) -> ID {
                ID(self.row.$id.clone())
            }
            /// Text form of the id.
            async fn text_id(&self) -> &str {
                &self.row.text_id
            }
            /// Its name for people.
            async fn label(&self) -> String {
                Kind::$kind.label(&self.row.text_id, None)
            }
            /// Who owns it.
            async fn owner(&self) -> AddressText {
                AddressText::read(&self.row.owner)
            }
            /// Where the description is.
            async fn metadata_uri(&self) -> &str {
                &self.row.metadata_uri
            }
            /// Number of the last version; null before the first.
            async fn last_version(&self) -> Option<i64> {
                self.row.last_version
            }
            /// First block of this state.
            async fn since_block(&self) -> BlockNumber {
                BlockNumber(self.row.valid_from_block)
            }
            /// Where its money goes.
            async fn payout_rule(&self) -> Result<PayoutRule, Refusal> {
                self.view.payout_rule(&self.row.$id).await
            }
            /// What came through it in all settled epochs, by token.
            async fn earned(&self) -> Result<Vec<Money>, Refusal> {
                self.view.earned_by(Kind::$kind, self.row.$sk).await
            }
            $($more)*
        }
    };
}

entity! {
    /// A dataset: contributions by many, in versions.
    Dataset DatasetRow Dataset dataset_id dataset_sk {
        /// public, permissioned or private.
        async fn visibility(&self) -> &str {
            &self.row.visibility
        }
        /// Licence id.
        async fn license(&self) -> &str {
            &self.row.license
        }
        /// Hash of the description.
        async fn metadata_hash(&self) -> Option<Bytes32> {
            Bytes32::read(&self.row.metadata_hash)
        }
        /// What is odd about it.
        async fn flags(&self) -> Vec<String> {
            flag_words(&self.row.flags)
        }
        /// Its versions, oldest first.
        async fn versions(&self) -> Result<Vec<DatasetVersion>, Refusal> {
            self.view.dataset_versions(self.row.dataset_sk).await
        }
        /// Its contributions, in the order of registration if nothing else is asked for.
        async fn contributions(
            &self,
            first: Option<i64>,
            after: Option<String>,
            #[graphql(name = "where")] filter: Option<ContributionWhere>,
            order_by: Option<ContributionOrder>,
        ) -> Result<ContributionConnection, Refusal> {
            let (asked, condition) = (Asked { first, after }, Condition::of(filter)?);
            self.view.contributions_in(self.row.dataset_sk, asked, &condition, order_by.unwrap_or_default()).await
        }
        /// How many accounts contributed to it.
        async fn contributor_count(&self) -> Result<i64, Refusal> {
            self.view.contributor_count(self.row.dataset_sk).await
        }
    }
}

entity! {
    /// A model or an adapter, in versions.
    Model ModelRow Model model_id model_sk {
        /// base, finetune, adapter, merge, quantized or distilled.
        async fn kind(&self) -> &str {
            &self.row.kind
        }
        /// Hash of the description.
        async fn metadata_hash(&self) -> Option<Bytes32> {
            Bytes32::read(&self.row.metadata_hash)
        }
        /// Its versions, oldest first.
        async fn versions(&self) -> Result<Vec<ModelVersion>, Refusal> {
            self.view.model_versions(self.row.model_sk).await
        }
    }
}

entity! {
    /// An agent, in versions.
    Agent AgentRow Agent agent_id agent_sk {
        /// Its versions, oldest first.
        async fn versions(&self) -> Result<Vec<AgentVersion>, Refusal> {
            self.view.agent_versions(self.row.agent_sk).await
        }
    }
}

/// What a version was made from.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Upstream {
    /// Id of the source version, or of an external thing.
    pub(crate) id: ID,
    /// dataset, model, agent or external.
    pub(crate) kind: String,
    /// Its name for people.
    pub(crate) label: String,
    /// How it was used.
    pub(crate) relation: String,
    /// Share in 10^-9; null when none was given.
    pub(crate) share_ppb: Option<i64>,
}

macro_rules! version {
    ($(#[doc = $doc:literal])* $name:ident $row:ident { $($more:tt)* }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $name {
            pub(crate) view: View,
            pub(crate) row: $row,
        }
        $(#[doc = $doc])*
        #[Object]
        impl $name {
            /// Its id.
            pub(crate) async fn id(&self) -> ID {
                ID(self.row.version_id.clone())
            }
            /// Its number.
            async fn version(&self) -> i64 {
                self.row.version
            }
            /// Whether it is deprecated.
            async fn deprecated(&self) -> bool {
                self.row.deprecated
            }
            /// What is odd about it.
            async fn flags(&self) -> Vec<String> {
                flag_words(&self.row.flags)
            }
            /// Block it was published at.
            async fn published_block(&self) -> BlockNumber {
                BlockNumber(self.row.published_block)
            }
            /// What it was made from.
            async fn upstream(&self) -> Result<Vec<Upstream>, Refusal> {
                self.view.upstream_of(&self.row.version_id).await
            }
            $($more)*
        }
    };
}

version! {
    /// A version of a dataset.
    DatasetVersion DatasetVersionRow {
        /// Root over its members.
        async fn manifest_root(&self) -> Option<Bytes32> {
            Bytes32::read(&self.row.manifest_root)
        }
        /// Contributions added.
        async fn added(&self) -> i64 {
            self.row.added
        }
        /// Contributions removed.
        async fn removed(&self) -> i64 {
            self.row.removed
        }
        /// Rows, as declared.
        async fn total_rows(&self) -> i64 {
            self.row.total_rows
        }
        /// Members; null while the manifest is not known.
        async fn members(&self) -> Option<i64> {
            self.row.members
        }
        /// Licence id.
        async fn license(&self) -> &str {
            &self.row.license
        }
    }
}

version! {
    /// A version of a model.
    ModelVersion ModelVersionRow {
        /// Hash of the weights.
        async fn artifact_hash(&self) -> Option<Bytes32> {
            Bytes32::read(&self.row.artifact_hash)
        }
        /// Hash of the configuration.
        async fn config_hash(&self) -> Option<Bytes32> {
            Bytes32::read(&self.row.config_hash)
        }
        /// Licence id.
        async fn license(&self) -> &str {
            &self.row.license
        }
    }
}

version! {
    /// A version of an agent.
    AgentVersion AgentVersionRow {
        /// Hash of the configuration.
        async fn config_hash(&self) -> Option<Bytes32> {
            Bytes32::read(&self.row.config_hash)
        }
    }
}

/// A contribution to a dataset.
#[derive(Debug, Clone)]
pub(crate) struct Contribution {
    pub(crate) view: View,
    pub(crate) row: ContributionRow,
}

/// A contribution to a dataset.
#[Object]
impl Contribution {
    /// Its id.
    pub(crate) async fn id(&self) -> ID {
        ID(self.row.contribution_id.clone())
    }
    /// The dataset.
    async fn dataset(&self) -> Result<Option<Dataset>, Refusal> {
        self.view.dataset_by_sk(self.row.dataset_sk).await
    }
    /// Who contributed it.
    async fn contributor(&self) -> AddressText {
        AddressText::read(&self.row.contributor)
    }
    /// Hash of the content.
    async fn content_hash(&self) -> Option<Bytes32> {
        Bytes32::read(&self.row.content_hash)
    }
    /// Rows in it.
    async fn row_count(&self) -> i64 {
        self.row.row_count
    }
    /// Bytes in it.
    async fn byte_count(&self) -> i64 {
        self.row.byte_count
    }
    /// Licence id.
    async fn license(&self) -> &str {
        &self.row.license
    }
    /// submitted, approved, rejected, flagged or removed.
    async fn state(&self) -> &str {
        &self.row.state
    }
    /// Quality the last reviewer gave.
    async fn quality(&self) -> Option<i64> {
        self.row.quality
    }
    /// What is odd about it.
    async fn flags(&self) -> Vec<String> {
        flag_words(&self.row.flags)
    }
    /// Block it was submitted at.
    async fn submitted_block(&self) -> BlockNumber {
        BlockNumber(self.row.submitted_block)
    }
    /// What came through it in all settled epochs, by token.
    async fn earned(&self) -> Result<Vec<Money>, Refusal> {
        self.view.earned_by(Kind::Contribution, self.row.contribution_sk).await
    }
}
