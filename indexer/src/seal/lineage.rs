//! What an answer can have come from: everything upstream of the version that gave it, as of a position.

use alloy_primitives::B256;
use std::collections::{BTreeMap, BTreeSet};
use tributary_schemas::Position;
use tributary_schemas::code::Relation;
use tributary_schemas::id::EntityKind;

use crate::IndexerError;
use crate::state::{EdgeState, Key, Member, StateView, Version, VersionBody};

/// Most versions in one closure; real trees have a few thousand nodes in all. Beyond, the closure is cut off in the
/// order of the walk, which is the same everywhere.
const VERSIONS_MAX: usize = 20_000;

/// The versions upstream of one, itself included.
#[derive(Debug, Default)]
pub(super) struct Closure {
    versions: BTreeSet<B256>,
    /// Dataset versions in it, by dataset.
    datasets: BTreeMap<B256, Vec<u32>>,
}

/// Whether records may come along this edge. An evaluation is never paid, and an earlier revision is another thing.
const fn carries(relation: Relation) -> bool {
    matches!(
        relation,
        Relation::TrainedOn
            | Relation::BasedOnFinetune
            | Relation::BasedOnAdapter
            | Relation::BasedOnMerge
            | Relation::BasedOnQuantized
            | Relation::BasedOnDistilled
            | Relation::UsesModel
            | Relation::UsesData
            | Relation::CallsAgent
            | Relation::DerivedFrom
            | Relation::GeneratedBy
    )
}

impl Closure {
    /// Walks the edges that held before `position`.
    pub(super) fn of(state: &StateView<'_>, subject: B256, position: Position) -> Result<Self, IndexerError> {
        let mut closure = Self::default();
        let mut open = vec![subject];
        while let Some(id) = open.pop() {
            if closure.versions.len() >= VERSIONS_MAX || !closure.versions.insert(id) {
                continue;
            }
            let version = state.get::<Version>(&Key::version(id))?;
            if let Some(version) = version.filter(|version| version.kind == EntityKind::Dataset) {
                closure.datasets.entry(version.entity).or_default().push(version.version);
            }
            for (_, edge) in state.scan::<EdgeState>(&Key::edges_from(id))? {
                // What was external when the edge was made stays outside, even if it is registered later.
                if carries(edge.relation) && edge.dst_kind.is_some() && edge.held_before(position) {
                    open.push(edge.dst);
                }
            }
        }
        Ok(closure)
    }

    pub(super) fn holds(&self, version: B256) -> bool {
        self.versions.contains(&version)
    }

    /// Whether a contribution is a member of a dataset version in it.
    pub(super) fn holds_member(&self, dataset: B256, member: &Member) -> bool {
        self.datasets.get(&dataset).is_some_and(|versions| versions.iter().any(|version| member.holds(*version)))
    }
}

/// A target of records, looked up once.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// A contribution, and when it was in which versions of its dataset.
    Contribution { sk: i64, dataset: B256, member: Option<Member> },
    /// A dataset or model version.
    Version { kind: EntityKind, sk: i64 },
}

impl Target {
    /// The target as of a position, or nothing.
    pub(super) fn find(state: &StateView<'_>, id: B256, position: Position) -> Result<Option<Self>, IndexerError> {
        if let Some(version) = state.get::<Version>(&Key::version(id))? {
            let can_be = match version.body {
                VersionBody::Dataset { .. } | VersionBody::Model { .. } => version.published < position,
                VersionBody::Agent { .. } => false,
            };
            return Ok(can_be.then_some(Self::Version { kind: version.kind, sk: version.sk }));
        }
        let found = state.get::<crate::state::ContributionState>(&Key::contribution(id))?;
        let Some(found) = found.filter(|found| found.phase_before(position).is_some()) else { return Ok(None) };
        let member = state.get(&Key::member(found.dataset, id))?;
        Ok(Some(Self::Contribution { sk: found.sk, dataset: found.dataset, member }))
    }

    /// The number of its kind in the table.
    pub(super) const fn kind(&self) -> i32 {
        match self {
            Self::Version { kind: EntityKind::Dataset, .. } => 1,
            Self::Contribution { .. } => 2,
            Self::Version { .. } => 3,
        }
    }

    pub(super) const fn sk(&self) -> i64 {
        match self {
            Self::Version { sk, .. } | Self::Contribution { sk, .. } => *sk,
        }
    }

    pub(super) fn is_in(&self, id: B256, closure: &Closure) -> bool {
        match self {
            Self::Version { .. } => closure.holds(id),
            Self::Contribution { dataset, member, .. } => {
                member.as_ref().is_some_and(|member| member.accepted && closure.holds_member(*dataset, member))
            }
        }
    }
}
