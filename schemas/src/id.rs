//! Identity: one type per kind of thing, so that a model's id cannot be passed where a dataset's is due.
//!
//! An entity id is `keccak256("trib/id/1" ‖ kind u8 ‖ chain_id u64be ‖ namespace 20 B ‖ native_key)`,
//! a version id `keccak256("trib/ver/1" ‖ entity_id ‖ version u32be)`. The contracts of the reference suite
//! compute both with `abi.encodePacked`, so a reference on chain and an id here agree byte for byte.

use alloy_primitives::{Address, B256, Keccak256};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

use crate::error::SchemaError;

/// The kinds of things that have ids; the number is part of the id's preimage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum EntityKind {
    /// A datanet: a dataset with an owner, contributors and validators.
    Dataset = 1,
    /// One contribution to a dataset.
    Contribution = 2,
    /// A model, adapters included.
    Model = 3,
    /// An agent deployed on models.
    Agent = 4,
    /// One answer of a model or agent.
    Inference = 5,
    /// One payment received by a vault.
    Payment = 6,
    /// One batch of attribution records.
    Batch = 7,
    /// An attribution method.
    Method = 8,
    /// A reward policy.
    Policy = 9,
    /// An application.
    App = 10,
    /// An attestation.
    Attestation = 11,
    /// Something that no contract of this chain registered.
    External = 12,
}

impl EntityKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Dataset,
        Self::Contribution,
        Self::Model,
        Self::Agent,
        Self::Inference,
        Self::Payment,
        Self::Batch,
        Self::Method,
        Self::Policy,
        Self::App,
        Self::Attestation,
        Self::External,
    ];

    /// The number that enters the id's preimage.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Dataset => 1,
            Self::Contribution => 2,
            Self::Model => 3,
            Self::Agent => 4,
            Self::Inference => 5,
            Self::Payment => 6,
            Self::Batch => 7,
            Self::Method => 8,
            Self::Policy => 9,
            Self::App => 10,
            Self::Attestation => 11,
            Self::External => 12,
        }
    }

    /// The word used in tables, queries and the text form of ids.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dataset => "dataset",
            Self::Contribution => "contribution",
            Self::Model => "model",
            Self::Agent => "agent",
            Self::Inference => "inference",
            Self::Payment => "payment",
            Self::Batch => "batch",
            Self::Method => "method",
            Self::Policy => "policy",
            Self::App => "app",
            Self::Attestation => "attestation",
            Self::External => "external",
        }
    }
}

impl fmt::Display for EntityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EntityKind {
    type Err = SchemaError;
    fn from_str(text: &str) -> Result<Self, SchemaError> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| SchemaError::UnknownWord {
            what: "entity kind",
            got: text.to_owned(),
            expected: Self::ALL.map(Self::as_str).join(", "),
        })
    }
}

/// The 32 bytes of the id of `kind` issued by the contract `namespace` under `native_key`.
#[must_use]
pub fn entity_id(kind: EntityKind, chain_id: u64, namespace: Address, native_key: &[u8]) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(b"trib/id/1");
    hasher.update([kind.number()]);
    hasher.update(chain_id.to_be_bytes());
    hasher.update(namespace);
    hasher.update(native_key);
    hasher.finalize()
}

/// The 32 bytes of the id of version `version` of the entity `entity`.
#[must_use]
pub fn version_id(entity: B256, version: u32) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(b"trib/ver/1");
    hasher.update(entity);
    hasher.update(version.to_be_bytes());
    hasher.finalize()
}

/// The id of something outside the chain, such as `hf:meta-llama/llama-2-7b`: chain 0, zero namespace,
/// key = the text in UTF-8 (ruling 1).
#[must_use]
pub fn external_id(text: &str) -> ExternalId {
    ExternalId(entity_id(EntityKind::External, 0, Address::ZERO, text.as_bytes()))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub B256);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                self.0.as_slice()
            }
        }
        impl From<$name> for B256 {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    )*};
}

ids! {
    /// Id of a dataset (datanet).
    DatasetId;
    /// Id of a contribution.
    ContributionId;
    /// Id of a model or adapter.
    ModelId;
    /// Id of an agent.
    AgentId;
    /// Id of an inference.
    InferenceId;
    /// Id of a payment.
    PaymentId;
    /// Id of an attribution batch.
    BatchId;
    /// Id of an attribution method.
    MethodId;
    /// Id of an attestation.
    AttestationId;
    /// Id of an external thing.
    ExternalId;
    /// Id of any entity, where the kind is open.
    EntityId;
    /// Id of a version of a dataset, model or agent, where the kind is open.
    VersionId;
    /// Identity of an event: see [`event_id`](crate::encoding::event_id).
    EventId;
}

macro_rules! native {
    ($($name:ident $kind:ident;)*) => {$(
        impl $name {
            /// The id issued by the contract `namespace` under the 32-byte native key `key`.
            #[must_use]
            pub fn native(chain_id: u64, namespace: Address, key: B256) -> Self {
                Self(entity_id(EntityKind::$kind, chain_id, namespace, key.as_slice()))
            }
            /// The same id where any kind of entity is accepted.
            #[must_use]
            pub const fn entity(self) -> EntityId {
                EntityId(self.0)
            }
        }
    )*};
}
native! {
    DatasetId Dataset;
    ContributionId Contribution;
    ModelId Model;
    AgentId Agent;
    InferenceId Inference;
    PaymentId Payment;
    BatchId Batch;
    MethodId Method;
    AttestationId Attestation;
}

impl DatasetId {
    /// The id of one of its versions.
    #[must_use]
    pub fn version(self, version: u32) -> VersionId {
        VersionId(version_id(self.0, version))
    }
}
impl ModelId {
    /// The id of one of its versions.
    #[must_use]
    pub fn version(self, version: u32) -> VersionId {
        VersionId(version_id(self.0, version))
    }
}
impl AgentId {
    /// The id of one of its versions.
    #[must_use]
    pub fn version(self, version: u32) -> VersionId {
        VersionId(version_id(self.0, version))
    }
}

impl InferenceId {
    /// The id of the inference with ordinal `index` in a batch that gives its inferences no ids of their own:
    /// `keccak256("trib/inf/1" ‖ batch_id ‖ index u32be)`.
    #[must_use]
    pub fn in_batch(batch: BatchId, index: u32) -> Self {
        let mut hasher = Keccak256::new();
        hasher.update(b"trib/inf/1");
        hasher.update(batch.0);
        hasher.update(index.to_be_bytes());
        Self(hasher.finalize())
    }
}

/// The text form of a registered entity, `trib:1612:dataset:0x<namespace>:<key>[@version]`;
/// a key that fits 64 bits is written in decimal, any other as 0x hex.
#[must_use]
pub fn text_id(kind: EntityKind, chain_id: u64, namespace: Address, key: B256, version: Option<u32>) -> String {
    let key =
        u64::try_from(alloy_primitives::U256::from_be_bytes(key.0)).map_or_else(|_| key.to_string(), |n| n.to_string());
    let base = format!("trib:{chain_id}:{kind}:{namespace:#x}:{key}");
    match version {
        Some(version) => format!("{base}@{version}"),
        None => base,
    }
}
