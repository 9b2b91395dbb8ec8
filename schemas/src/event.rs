//! The vocabulary: every fact Tributary knows, whoever's contract said it.
//!
//! An [`Event`] is a [`Payload`] at a [`Position`], with who said it, whether it holds and what is odd about it.
//! An event that does not hold never changes state: it is kept with its [`Reason`]. Fields that a mapping cannot
//! fill are `None`.

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::code::{
    AccessScope, Backing, ChallengeOutcome, Decision, Flags, ModelKind, Reason, Relation, ReleaseTo, RemovalCause,
    Role, ValueKind, Verifiability, Visibility,
};
use crate::id::{
    AgentId, AttestationId, BatchId, ContributionId, DatasetId, EntityId, InferenceId, MethodId, ModelId, PaymentId,
    VersionId,
};
use crate::position::Position;

/// A fact, valid or refused, where it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Where it stands.
    pub position: Position,
    /// The contract that said it; zero for a system fact.
    pub emitter: Address,
    /// Why it was refused; `None` when it holds.
    pub reason: Option<Reason>,
    /// What is odd about it.
    pub flags: Flags,
    /// What it says.
    pub payload: Payload,
}

impl Event {
    /// Whether it holds.
    #[must_use]
    pub const fn is_valid(&self) -> bool {
        self.reason.is_none()
    }
}

/// One upstream of a version: what it was derived from, how, and what share of the lineage money goes there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// The version id of the source, or the id of an external thing.
    pub version: B256,
    /// How it is related.
    pub relation: Relation,
    /// Its share in 10^-9; `None` when the contract said 0xffffffff: an equal part of the rest.
    pub share_ppb: Option<u32>,
}

/// An account's part of a split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitPart {
    /// Who is paid.
    pub account: Address,
    /// The share in 10^-9.
    pub share_ppb: u32,
}

/// Integers that JSON readers would round are decimal text there, and plain integers in every other encoding.
pub(crate) mod decimal {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::fmt::Display;
    use std::str::FromStr;

    pub(crate) fn serialize<T: Display + Serialize, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(value) } else { value.serialize(serializer) }
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr + Deserialize<'de>,
        T::Err: Display,
        D: Deserializer<'de>,
    {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
        } else {
            T::deserialize(deserializer)
        }
    }
}

macro_rules! vocabulary {
    ($($(#[$doc:meta])* $kind:ident { $($(#[$fdoc:meta])* $field:ident : $type:ty,)* })*) => {
        /// What an event says. The variant's name is the event's kind, everywhere.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Payload { $($(#[$doc])* $kind { $($(#[$fdoc])* $field: $type,)* },)* }

        impl Payload {
            /// Every kind, in the order of the vocabulary.
            pub const KINDS: &'static [&'static str] = &[$(stringify!($kind),)*];
            /// The name of its kind.
            #[must_use]
            pub const fn kind(&self) -> &'static str { match self { $(Self::$kind { .. } => stringify!($kind),)* } }
        }
    };
}

vocabulary! {
    /// A dataset exists.
    DatasetRegistered {
        /// Its id.
        dataset: DatasetId,
        /// Its native key in the emitter's namespace.
        key: B256,
        /// Who owns it.
        owner: Address,
        /// Who can see it.
        visibility: Visibility,
        /// Licence id.
        license: B256,
        /// Where its description is.
        metadata_uri: String,
        /// Hash of the description.
        metadata_hash: B256,
    }
    /// The description of an entity changed; never makes a version.
    MetadataUpdated {
        /// The entity.
        entity: EntityId,
        /// Where its description is now.
        uri: String,
        /// Hash of the description.
        hash: B256,
    }
    /// An entity changed hands.
    OwnershipTransferred {
        /// The entity.
        entity: EntityId,
        /// The owner before.
        from: Address,
        /// The owner after.
        to: Address,
    }
    /// An account got or lost a role.
    RoleSet {
        /// The dataset or other entity it is about.
        scope: EntityId,
        /// The account.
        account: Address,
        /// The role.
        role: Role,
        /// Got or lost.
        granted: bool,
    }
    /// Access to a dataset was granted.
    AccessSet {
        /// The dataset.
        dataset: DatasetId,
        /// To whom.
        grantee: Address,
        /// For what.
        scope: AccessScope,
        /// Until when, Unix seconds; zero ends it.
        #[serde(with = "decimal")]
        expires_at: u64,
        /// Hash of the terms.
        terms_hash: B256,
    }
    /// A contribution was offered to a dataset.
    ContributionSubmitted {
        /// Its id.
        contribution: ContributionId,
        /// Its native key in the emitter's namespace.
        key: B256,
        /// The dataset.
        dataset: DatasetId,
        /// By whom.
        contributor: Address,
        /// Hash of the content.
        content_hash: B256,
        /// Rows in it.
        #[serde(with = "decimal")]
        row_count: u64,
        /// Bytes in it.
        #[serde(with = "decimal")]
        byte_count: u64,
        /// Licence id.
        license: B256,
        /// Where the data is; never fetched.
        data_ref: Bytes,
    }
    /// A contribution was reviewed.
    ContributionReviewed {
        /// The contribution.
        contribution: ContributionId,
        /// By whom.
        reviewer: Address,
        /// With what result.
        decision: Decision,
        /// The quality the reviewer gave.
        quality: i32,
        /// The reviewer's reason.
        reason: B256,
    }
    /// A contribution was removed; versions that hold it keep it.
    ContributionRemoved {
        /// The contribution.
        contribution: ContributionId,
        /// By whom.
        by: Address,
        /// Why.
        cause: RemovalCause,
        /// The remover's reason.
        reason: B256,
    }
    /// A version of a dataset; immutable.
    DatasetVersionPublished {
        /// The dataset.
        dataset: DatasetId,
        /// The version number.
        version: u32,
        /// Root over all members after the change (ruling 17).
        manifest_root: B256,
        /// Contributions added.
        added: u32,
        /// Contributions removed.
        removed: u32,
        /// Rows in all.
        #[serde(with = "decimal")]
        total_rows: u64,
        /// Licence id.
        license: B256,
        /// Where the manifest is.
        manifest_ref: Bytes,
    }
    /// A model exists.
    ModelRegistered {
        /// Its id.
        model: ModelId,
        /// Its native key in the emitter's namespace.
        key: B256,
        /// Who owns it.
        owner: Address,
        /// What it is made from.
        kind: ModelKind,
        /// Where its description is.
        metadata_uri: String,
        /// Hash of the description.
        metadata_hash: B256,
    }
    /// A version of a model; immutable.
    ModelVersionPublished {
        /// The model.
        model: ModelId,
        /// The version number.
        version: u32,
        /// Hash of the weights.
        artifact_hash: B256,
        /// Hash of the configuration.
        config_hash: B256,
        /// Licence id.
        license: B256,
        /// What it was derived from.
        upstream: Vec<Upstream>,
    }
    /// An agent exists.
    AgentRegistered {
        /// Its id.
        agent: AgentId,
        /// Its native key in the emitter's namespace.
        key: B256,
        /// Who owns it.
        owner: Address,
        /// Where its description is.
        metadata_uri: String,
    }
    /// A version of an agent; immutable.
    AgentVersionPublished {
        /// The agent.
        agent: AgentId,
        /// The version number.
        version: u32,
        /// Hash of the configuration.
        config_hash: B256,
        /// What it runs on.
        upstream: Vec<Upstream>,
    }
    /// A version should not be used any more.
    VersionDeprecated {
        /// The version.
        version: VersionId,
        /// Why.
        reason: B256,
    }
    /// A late edge of the graph.
    LineageAsserted {
        /// The derived version.
        from: VersionId,
        /// Its source.
        to: VersionId,
        /// How they are related.
        relation: Relation,
        /// The share, if any was given.
        share_ppb: Option<u32>,
        /// Who says so.
        asserter: Address,
    }
    /// A late edge was taken back.
    LineageRetracted {
        /// The derived version.
        from: VersionId,
        /// Its source.
        to: VersionId,
        /// How they were related.
        relation: Relation,
    }
    /// Where an account's money goes; zero, the vault and the token itself count as unset.
    PayoutAddressSet {
        /// The account.
        account: Address,
        /// Where its money goes.
        payout: Address,
    }
    /// Where an entity's money goes.
    EntityPayoutSet {
        /// The entity.
        entity: EntityId,
        /// Where its money goes.
        payout: Address,
    }
    /// How an entity's money is split.
    SplitSet {
        /// The entity.
        entity: EntityId,
        /// Who gets what.
        parts: Vec<SplitPart>,
    }
    /// A way of attributing exists.
    MethodRegistered {
        /// Its id.
        method: MethodId,
        /// Its native key in the emitter's namespace.
        key: B256,
        /// Who registered it.
        registrant: Address,
        /// What its scores mean.
        value_kind: ValueKind,
        /// How far it can be checked.
        verifiability: Verifiability,
        /// Hash of its parameters.
        params_hash: B256,
        /// Its name.
        name: String,
    }
    /// Who may commit batches for a subject, or for all (scope zero).
    ProducerSet {
        /// The subject's entity, or zero.
        scope: EntityId,
        /// The producer.
        producer: Address,
        /// May or may not.
        allowed: bool,
    }
    /// An answer was given.
    InferenceRecorded {
        /// Its id.
        inference: InferenceId,
        /// Its native key in the emitter's namespace.
        key: B256,
        /// The version that answered.
        subject: VersionId,
        /// Who asked.
        payer: Address,
        /// Hash of the question.
        request_hash: B256,
        /// Hash of the answer.
        response_hash: B256,
        /// Tokens read.
        tokens_in: u32,
        /// Tokens written.
        tokens_out: u32,
    }
    /// A batch of attribution records was committed to.
    AttributionBatchCommitted {
        /// Its id.
        batch: BatchId,
        /// Its native key: keccak256(producer ‖ seq).
        key: B256,
        /// By whom.
        producer: Address,
        /// Made how.
        method: MethodId,
        /// Ordinal per hub and producer, from 0.
        #[serde(with = "decimal")]
        seq: u64,
        /// Inferences in it.
        inferences: u32,
        /// Records in it.
        records: u32,
        /// keccak256 of the file.
        payload_hash: B256,
        /// Merkle root over one leaf per inference (ruling 18).
        records_root: B256,
        /// Where the blob is.
        blob_ref: Bytes,
    }
    /// A batch was challenged.
    BatchChallenged {
        /// The batch.
        batch: BatchId,
        /// The inference in it.
        index: u32,
        /// By whom.
        challenger: Address,
        /// Token of the bond.
        token: Address,
        /// The bond.
        bond: Amount,
    }
    /// A challenge ended.
    BatchResolved {
        /// The batch.
        batch: BatchId,
        /// How.
        outcome: ChallengeOutcome,
        /// What takes its place, when replaced.
        replacement: Option<BatchId>,
    }
    /// Somebody said something about something.
    AttestationRecorded {
        /// Its id.
        attestation: AttestationId,
        /// Its schema.
        schema: B256,
        /// What it is about.
        subject: EntityId,
        /// Who says so.
        attester: Address,
        /// A value, if it has one.
        value: Option<i64>,
        /// Decimals of the value.
        decimals: u8,
        /// Its tag.
        tag: String,
        /// Where more is.
        uri: String,
        /// Hash of its data.
        data_hash: B256,
    }
    /// It was taken back.
    AttestationRevoked {
        /// Which.
        attestation: AttestationId,
        /// By whom.
        attester: Address,
    }
    /// Money came in.
    RevenueReceived {
        /// Its id.
        payment: PaymentId,
        /// Its native key: keccak256(payer ‖ nonce) in the vault.
        key: B256,
        /// The version it was paid for.
        subject: VersionId,
        /// By whom.
        payer: Address,
        /// In what; zero is the native token.
        token: Address,
        /// How much.
        amount: Amount,
        /// The inference or batch it is for; resolved when the payment is ripe (ruling 3).
        reference: Option<B256>,
        /// What stands behind it.
        backing: Backing,
    }
    /// Money went back to a payer.
    RevenueRefunded {
        /// The payment.
        payment: PaymentId,
        /// To whom.
        to: Address,
        /// How much.
        amount: Amount,
    }
    /// Emissions for an epoch.
    PoolFunded {
        /// The pool: a model's entity id, or zero.
        pool: EntityId,
        /// For which epoch.
        #[serde(with = "decimal")]
        epoch: u64,
        /// In what.
        token: Address,
        /// How much.
        amount: Amount,
    }
    /// A policy, for payments after this position.
    RewardPolicySet {
        /// For which entity; zero for all.
        scope: EntityId,
        /// keccak256 of the policy's bytes.
        policy_hash: B256,
        /// Ordinal per scope.
        version: u32,
        /// Canonical JSON, at most 16 KiB.
        policy: Bytes,
    }
    /// A stake changed.
    StakeChanged {
        /// The pool: a model's entity id, or zero.
        pool: EntityId,
        /// Whose.
        account: Address,
        /// By how much.
        delta: DecimalI128,
        /// To how much.
        balance_after: Amount,
    }
    /// A stake was slashed.
    Slashed {
        /// The pool.
        pool: EntityId,
        /// Whose.
        account: Address,
        /// Over what.
        subject: EntityId,
        /// By how much.
        amount: Amount,
        /// Why, by the contract's own number.
        cause: u8,
    }
    /// A penalty lowers future rewards.
    PenaltyScoreSet {
        /// Whose.
        account: Address,
        /// Where; zero for everywhere.
        scope: EntityId,
        /// The score in 10^-6.
        score: u32,
        /// Why.
        reason: B256,
    }
    /// An account's money waits.
    AccountQuarantined {
        /// Whose.
        account: Address,
        /// On or off.
        on: bool,
        /// Why.
        reason: B256,
    }
    /// Suspense was released.
    SuspenseReleased {
        /// The suspense's reason.
        reason: B256,
        /// Whose or what's.
        subject: B256,
        /// To whom.
        to: ReleaseTo,
    }
    /// A root was published on chain; compared with ours, never adopted.
    EpochSettled {
        /// The epoch.
        #[serde(with = "decimal")]
        epoch: u64,
        /// For which token.
        token: Address,
        /// The root of the tree.
        root: B256,
        /// Cumulative total of the token.
        total: Amount,
        /// Last block of the epoch.
        #[serde(with = "decimal")]
        last_block: u64,
        /// Digest of the journal.
        ledger_digest: B256,
    }
    /// A reward was paid out on chain.
    RewardClaimed {
        /// The epoch of the root it was proved against.
        #[serde(with = "decimal")]
        epoch: u64,
        /// To whom.
        account: Address,
        /// In what.
        token: Address,
        /// How much was paid out by this claim.
        amount: Amount,
    }
    /// Codes of builders found in a transaction (ERC-8021).
    ReferralTagged {
        /// The transaction.
        tx: B256,
        /// The codes.
        codes: Vec<String>,
    }
    /// System: a batch's blob was read.
    BatchDecoded {
        /// The batch.
        batch: BatchId,
        /// keccak256 of the file.
        payload_hash: B256,
        /// Records accepted.
        accepted: u32,
        /// keccak256 of (ordinal u32be ‖ reason u16be) of the refused ones, ascending; of nothing when none was.
        refused_digest: B256,
    }
    /// System: a batch's blob was read and is not what was committed to.
    BatchVoided {
        /// The batch.
        batch: BatchId,
        /// Why.
        code: Reason,
    }
    /// System: a batch's blob was not found in time (an input of the log: ruling 10).
    BatchDeclaredMissing {
        /// The batch.
        batch: BatchId,
        /// The block at which the deadline passed.
        #[serde(with = "decimal")]
        declared_at: u64,
    }
    /// System: a dataset version's manifest was read.
    ManifestDecoded {
        /// The dataset version.
        version: VersionId,
        /// keccak256 of the manifest.
        payload_hash: B256,
        /// Members after the change.
        members: u32,
        /// keccak256 of (ordinal u32be ‖ reason u16be) of the ids left out, ascending.
        refused_digest: B256,
    }
    /// System: a dataset version's manifest is not what was committed to, or was not found in time.
    ManifestVoided {
        /// The dataset version.
        version: VersionId,
        /// Why: malformed and mismatching content, or `None` when it was declared missing.
        code: Option<Reason>,
    }
    /// System: a mapping set came into force.
    MappingActivated {
        /// Its hash.
        mapping_set_hash: B256,
    }
    /// A log that a rule matched and that does not decode as it says; always refused with `DECODE_ERROR`.
    Undecodable {
        /// The rule.
        rule: String,
        /// keccak256 of topics and data, so that the log root covers what was not understood.
        content_hash: B256,
    }
}

/// A signed 128-bit integer that is decimal text in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DecimalI128(#[serde(with = "decimal")] pub i128);
