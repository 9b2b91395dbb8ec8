//! Closed sets with a number on chain and a word in tables: reasons, flags, relations, roles, kinds.

use crate::error::SchemaError;
use serde::{Deserialize, Serialize};

macro_rules! coded {
    ($($(#[$doc:meta])* $name:ident ($number:ty, $what:literal) { $($(#[$vdoc:meta])* $variant:ident = $code:literal $word:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            /// Every member, in the order of its numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// The number used on chain and in encodings.
            #[must_use]
            pub const fn number(self) -> $number { match self { $(Self::$variant => $code,)* } }
            /// The word used in tables, queries and manuals.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $word,)* } }
            /// The member with this number.
            pub fn from_number(number: $number) -> Result<Self, SchemaError> {
                match number { $($code => Ok(Self::$variant),)* _ => Err(Self::unknown(number.to_string())) }
            }
            fn unknown(got: String) -> SchemaError {
                let expected = Self::ALL.iter().map(|one| format!("{} ({})", one.number(), one.as_str())).collect::<Vec<_>>().join(", ");
                SchemaError::UnknownWord { what: $what, got, expected }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }
        impl std::str::FromStr for $name {
            type Err = SchemaError;
            fn from_str(text: &str) -> Result<Self, SchemaError> {
                match text { $($word => Ok(Self::$variant),)* _ => Err(Self::unknown(text.to_owned())) }
            }
        }
    )*};
}

coded! {
    /// Why a fact was refused. The number is part of the log's encoding and never changes its meaning.
    Reason (u16, "reason") {
        /// An id that is already taken.
        DuplicateId = 1 "DUPLICATE_ID",
        /// A reference to something that does not exist at this position.
        UnknownRef = 2 "UNKNOWN_REF",
        /// The entity is not in the state the fact needs.
        BadState = 3 "BAD_STATE",
        /// A version number that is not above the last one.
        VersionNotMonotonic = 4 "VERSION_NOT_MONOTONIC",
        /// A Merkle root or count that the content does not have.
        RecordRootMismatch = 5 "RECORD_ROOT_MISMATCH",
        /// An upstream that is not older than its descendant.
        Cycle = 6 "CYCLE",
        /// Shares above one whole.
        ShareSumExceeded = 7 "SHARE_SUM_EXCEEDED",
        /// Said by someone who may not say it.
        Unauthorized = 8 "UNAUTHORIZED",
        /// A method nobody registered.
        MethodUnregistered = 9 "METHOD_UNREGISTERED",
        /// A second record for one inference, target and row.
        DuplicateRecord = 10 "DUPLICATE_RECORD",
        /// An inference that an earlier batch of the same method covers.
        Superseded = 11 "SUPERSEDED",
        /// A challenge outside its window.
        WindowClosed = 12 "WINDOW_CLOSED",
        /// A number outside its range.
        OutOfRange = 13 "OUT_OF_RANGE",
        /// A token the policy does not take.
        TokenNotAllowed = 14 "TOKEN_NOT_ALLOWED",
        /// A claim above the entitlement; recorded, and an alarm.
        ClaimExceeds = 15 "CLAIM_EXCEEDS",
        /// Bytes that do not decode as the rule says.
        DecodeError = 16 "DECODE_ERROR",
        /// A blob whose payload is not the one committed to.
        PayloadHashMismatch = 17 "PAYLOAD_HASH_MISMATCH",
        /// A blob whose content breaks the format; refused whole.
        BlobMalformed = 18 "BLOB_MALFORMED",
        /// The same fact told a second time.
        DuplicateFact = 19 "DUPLICATE_FACT",
        /// A policy that breaks its own rules.
        PolicyInvalid = 20 "POLICY_INVALID",
        /// A certificate that proves nothing, so that what it is for is void.
        CertificateInvalid = 21 "CERTIFICATE_INVALID",
    }

    /// What is odd about a fact that happened all the same; policy decides about money. The number is the bit.
    Flag (u8, "flag") {
        /// The same content is already approved in this dataset.
        DuplicateContent = 0 "DUPLICATE_CONTENT",
        /// Trained on data it had no grant for.
        NoAccessGrant = 1 "NO_ACCESS_GRANT",
        /// The licence differs from an upstream's.
        LicenseConflict = 2 "LICENSE_CONFLICT",
        /// A payment with nothing behind it.
        Unbacked = 3 "UNBACKED",
        /// A record whose target is not upstream of its subject.
        OutOfLineage = 4 "OUT_OF_LINEAGE",
        /// An upstream that nobody registered here.
        ExternalRef = 5 "EXTERNAL_REF",
        /// An upstream that is deprecated.
        DeprecatedUpstream = 6 "DEPRECATED_UPSTREAM",
        /// An upstream that was removed.
        RemovedUpstream = 7 "REMOVED_UPSTREAM",
        /// A time of its own that contradicts the block's.
        TimeInversion = 8 "TIME_INVERSION",
        /// The payer is a payee of its own payment.
        SelfDealing = 9 "SELF_DEALING",
        /// Negative influence that was clipped to zero.
        NegativeClipped = 10 "NEGATIVE_CLIPPED",
        /// An inference with nothing to share by.
        ZeroTotal = 11 "ZERO_TOTAL",
        /// A version number that skips some.
        VersionGap = 12 "VERSION_GAP",
        /// A dataset version whose manifest is not known yet.
        ManifestUnresolved = 13 "MANIFEST_UNRESOLVED",
    }

    /// How a derived thing relates to its source (edges point derived → source). The number is the `uint8` of the
    /// reference suite's `relations` arrays.
    Relation (u8, "relation") {
        /// Model version → dataset version: weights were fitted to it.
        TrainedOn = 0 "TRAINED_ON",
        /// Model version → dataset version: measured on it; never paid.
        EvaluatedOn = 1 "EVALUATED_ON",
        /// Model version → model version: further training.
        BasedOnFinetune = 2 "BASED_ON_FINETUNE",
        /// Model version → model version: an adapter on it.
        BasedOnAdapter = 3 "BASED_ON_ADAPTER",
        /// Model version → model version: merged from it.
        BasedOnMerge = 4 "BASED_ON_MERGE",
        /// Model version → model version: fewer bits.
        BasedOnQuantized = 5 "BASED_ON_QUANTIZED",
        /// Model version → model version: a student of it.
        BasedOnDistilled = 6 "BASED_ON_DISTILLED",
        /// Agent version → model version.
        UsesModel = 7 "USES_MODEL",
        /// Agent version → dataset version.
        UsesData = 8 "USES_DATA",
        /// Agent version → agent version; carries no money in rule 1.
        CallsAgent = 9 "CALLS_AGENT",
        /// Dataset version → source it was derived from.
        DerivedFrom = 10 "DERIVED_FROM",
        /// Dataset version → model version that made it.
        GeneratedBy = 11 "GENERATED_BY",
        /// Contribution → account.
        ContributedBy = 12 "CONTRIBUTED_BY",
        /// Contribution → dataset version (an interval of versions).
        MemberOf = 13 "MEMBER_OF",
        /// Version → the version before it.
        RevisionOf = 14 "REVISION_OF",
        /// Entity → account.
        OwnedBy = 15 "OWNED_BY",
        /// Contribution → the contribution with the same content.
        DuplicateOf = 16 "DUPLICATE_OF",
    }

    /// Who can see a dataset.
    Visibility (u8, "visibility") {
        /// Anyone.
        Public = 0 "public",
        /// Whoever was granted access.
        Permissioned = 1 "permissioned",
        /// The owner.
        Private = 2 "private",
    }

    /// What a model is made from.
    ModelKind (u8, "model kind") {
        /// Trained from nothing.
        Base = 0 "base",
        /// Further trained.
        Finetune = 1 "finetune",
        /// An adapter, such as `LoRA`.
        Adapter = 2 "adapter",
        /// Merged from several.
        Merge = 3 "merge",
        /// With fewer bits.
        Quantized = 4 "quantized",
        /// A student.
        Distilled = 5 "distilled",
    }

    /// What an account may do in a scope.
    Role (u8, "role") {
        /// Approves contributions.
        Validator = 0 "validator",
        /// Publishes versions.
        Curator = 1 "curator",
        /// Submits contributions.
        Contributor = 2 "contributor",
        /// Commits attribution batches.
        Producer = 3 "producer",
    }

    /// What a grant allows.
    AccessScope (u8, "access scope") {
        /// Training.
        Train = 0 "train",
        /// Inference.
        Infer = 1 "infer",
        /// Reading.
        Read = 2 "read",
    }

    /// What a reviewer decided.
    Decision (u8, "decision") {
        /// It may enter versions.
        Approve = 0 "approve",
        /// It may not.
        Reject = 1 "reject",
        /// Somebody should look again.
        Flag = 2 "flag",
    }

    /// Why a contribution was removed.
    RemovalCause (u8, "removal cause") {
        /// By its contributor.
        Withdrawn = 0 "withdrawn",
        /// By the dataset.
        Revoked = 1 "revoked",
        /// For its licence.
        Licence = 2 "licence",
        /// For fraud.
        Slashed = 3 "slashed",
    }

    /// What the scores of a method mean.
    ValueKind (u8, "value kind") {
        /// Positive and negative influence.
        Signed = 0 "signed",
        /// Zero and above.
        NonNegative = 1 "non-negative",
        /// Parts of one whole.
        Share = 2 "share",
    }

    /// How far a method's results can be checked.
    Verifiability (u8, "verifiability") {
        /// Not at all.
        Claim = 0 "claim",
        /// The arithmetic.
        Arithmetic = 1 "arithmetic",
        /// By computing it again.
        Recomputable = 2 "recomputable",
        /// By an attestation.
        Attested = 3 "attested",
    }

    /// How a challenge ended.
    ChallengeOutcome (u8, "challenge outcome") {
        /// The batch is rejected.
        Upheld = 0 "upheld",
        /// The batch stands.
        Rejected = 1 "rejected",
        /// Another batch takes its place.
        Replaced = 2 "replaced",
    }

    /// Where released suspense goes.
    ReleaseTo (u8, "release target") {
        /// To those who were entitled.
        Payees = 0 "payees",
        /// Back to the payer.
        Payer = 1 "payer",
        /// To the treasury.
        Treasury = 2 "treasury",
    }

    /// What stands behind a payment (ruling 6).
    Backing (u8, "backing") {
        /// Nothing but the emitter's word.
        Asserted = 0 "asserted",
        /// The emitter is a listed vault, which emits only for what it received.
        Vault = 1 "vault",
        /// An ERC-20 Transfer to the escrow in the same transaction.
        Transfer = 2 "transfer",
        /// The value of the transaction.
        Value = 3 "value",
    }
}

/// A set of [`Flag`]s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Flags(pub u32);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// The set with `flag` added.
    #[must_use]
    pub const fn with(self, flag: Flag) -> Self {
        Self(self.0 | (1 << flag.number()))
    }
    /// Whether `flag` is in it.
    #[must_use]
    pub const fn contains(self, flag: Flag) -> bool {
        self.0 & (1 << flag.number()) != 0
    }
    /// Its members' words, comma-separated, in the order of their numbers: what the tables show.
    #[must_use]
    pub fn words(self) -> String {
        Flag::ALL.iter().filter(|flag| self.contains(**flag)).map(|flag| flag.as_str()).collect::<Vec<_>>().join(",")
    }
}
