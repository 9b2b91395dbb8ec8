//! The values of the state.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use tributary_schemas::code::{Flags, ModelKind, Relation, Visibility};
use tributary_schemas::id::EntityKind;
use tributary_schemas::{Amount, Position};

/// A dataset, model or agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entity {
    /// The contract that issued its key, and the only one that speaks about it.
    pub(crate) namespace: Address,
    pub(crate) key: B256,
    pub(crate) owner: Address,
    pub(crate) sk: i64,
    pub(crate) last_version: Option<u32>,
    pub(crate) uri: String,
    pub(crate) hash: B256,
    pub(crate) body: EntityBody,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EntityBody {
    Dataset { visibility: Visibility, license: B256 },
    Model { kind: ModelKind },
    Agent,
}

/// A version of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) kind: EntityKind,
    pub(crate) entity: B256,
    pub(crate) entity_sk: i64,
    pub(crate) namespace: Address,
    pub(crate) version: u32,
    pub(crate) sk: i64,
    pub(crate) published: Position,
    pub(crate) license: B256,
    pub(crate) deprecated: bool,
    pub(crate) flags: Flags,
    pub(crate) body: VersionBody,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum VersionBody {
    Dataset { manifest_root: B256, added: u32, removed: u32, total_rows: u64 },
    Model { artifact_hash: B256, config_hash: B256 },
    Agent { config_hash: B256 },
}

/// Where a contribution is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ContributionPhase {
    Submitted,
    Approved,
    Rejected,
    Flagged,
    Removed,
}

/// A value that began to hold at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChangeAt<T> {
    pub(crate) at: Position,
    pub(crate) to: T,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContributionState {
    pub(crate) namespace: Address,
    pub(crate) sk: i64,
    pub(crate) dataset: B256,
    pub(crate) dataset_sk: i64,
    pub(crate) contributor: Address,
    pub(crate) content_hash: B256,
    pub(crate) row_count: i64,
    pub(crate) byte_count: i64,
    pub(crate) license: B256,
    pub(crate) quality: Option<i32>,
    pub(crate) flags: Flags,
    /// Its phases, oldest first; never empty.
    pub(crate) phases: Vec<ChangeAt<ContributionPhase>>,
}

impl ContributionState {
    /// Where it is now.
    pub(crate) fn phase(&self) -> ContributionPhase {
        self.phases.last().map_or(ContributionPhase::Submitted, |last| last.to)
    }

    /// Where it was before a position; `None` when it was not there yet.
    pub(crate) fn phase_before(&self, position: Position) -> Option<ContributionPhase> {
        self.phases.iter().rev().find(|change| change.at < position).map(|change| change.to)
    }

    /// Enters a phase. Repeating one is not kept, so that asking for reviews again and again does not grow it.
    pub(crate) fn enter(&mut self, at: Position, to: ContributionPhase) {
        if self.phase() != to {
            self.phases.push(ChangeAt { at, to });
        }
    }
}

impl ContributionPhase {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Flagged => "flagged",
            Self::Removed => "removed",
        }
    }
}

/// An edge, derived → source. Its key names both ends and the relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EdgeState {
    pub(crate) relation: Relation,
    pub(crate) dst: B256,
    /// Kind of the source when it was registered at that position; `None` is external, and never walked through.
    pub(crate) dst_kind: Option<EntityKind>,
    pub(crate) dst_sk: Option<i64>,
    pub(crate) share_ppb: Option<u32>,
    pub(crate) late: bool,
    pub(crate) flags: Flags,
    pub(crate) from: Position,
    pub(crate) to: Option<Position>,
    /// Earlier times at which it held, each ended by a retraction.
    pub(crate) past: Vec<(Position, Position)>,
}

impl EdgeState {
    /// Whether it held just before a position.
    pub(crate) fn held_before(&self, position: Position) -> bool {
        let held = |from: Position, to: Option<Position>| from < position && to.is_none_or(|to| to >= position);
        held(self.from, self.to) || self.past.iter().any(|(from, to)| held(*from, Some(*to)))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MethodState {
    pub(crate) params_hash: B256,
}

/// A producer at a hub.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProducerState {
    /// Scopes it may speak for now.
    pub(crate) scopes: u32,
    /// Valid commits so far, which is the `seq` of the next.
    pub(crate) commits: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BatchState {
    pub(crate) hub: Address,
    pub(crate) sk: i64,
    pub(crate) producer: Address,
    pub(crate) method: B256,
    pub(crate) inferences: u32,
    pub(crate) reference: Position,
    /// Last block at which it can be challenged, by the policy in force at its reference.
    pub(crate) challenge_until: u64,
    pub(crate) challenge: Option<Challenge>,
    /// Upheld or replaced: it does not count any more.
    pub(crate) rejected: bool,
}

/// An open challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Challenge {
    /// Last block at which it can be resolved; unresolved, it counts as rejected.
    pub(crate) until: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordedInference {
    pub(crate) subject: B256,
    pub(crate) at: Position,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PaymentState {
    pub(crate) vault: Address,
    pub(crate) sk: i64,
    pub(crate) token: Address,
    pub(crate) amount: Amount,
    pub(crate) refunded: Amount,
}

/// What the fold needs of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PolicyState {
    pub(crate) version: u32,
    pub(crate) tokens: Vec<Address>,
    pub(crate) challenge_blocks: u64,
    pub(crate) resolve_blocks: u64,
    pub(crate) blob_deadline_blocks: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccountState {
    pub(crate) payout: Option<Address>,
    pub(crate) quarantined: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EntityPayout {
    pub(crate) payout: Option<Address>,
    pub(crate) split: Vec<(Address, u32)>,
}

/// A contribution's time in a dataset, by versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) contribution_sk: i64,
    pub(crate) row_count: i64,
    /// Whether it is a member; else its dataset claims it and it was not approved when it joined.
    pub(crate) accepted: bool,
    /// Intervals of versions, oldest first; the last may be open.
    pub(crate) versions: Vec<(u32, Option<u32>)>,
}

impl Member {
    /// Whether it is in a version.
    pub(crate) fn holds(&self, version: u32) -> bool {
        self.versions.iter().any(|(from, to)| *from <= version && to.is_none_or(|to| version < to))
    }

    /// Whether it is in the last version.
    pub(crate) fn is_open(&self) -> bool {
        self.versions.last().is_some_and(|(_, to)| to.is_none())
    }
}
