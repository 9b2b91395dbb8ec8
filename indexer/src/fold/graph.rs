//! Versions and the edges between them. An edge points only to an earlier version, so the graph has no cycle.

use alloy_primitives::{Address, B256};
use std::collections::BTreeMap;
use tributary_schemas::Payload;
use tributary_schemas::code::{Flag, Flags, Reason, Relation, Visibility};
use tributary_schemas::event::Upstream;
use tributary_schemas::id::{EntityKind, VersionId, version_id};
use tributary_schemas::policy::PPB;

use super::{BlobNeed, BlobOwner, Fold, Stop, Taken};
use crate::state::{ContributionState, EdgeState, Entity, EntityBody, Key, Version, VersionBody};

/// An upstream after its checks.
struct Source {
    relation: Relation,
    dst: B256,
    kind: Option<EntityKind>,
    sk: Option<i64>,
    share_ppb: Option<u32>,
    flags: Flags,
}

impl Fold<'_, '_> {
    /// Facts of versions and lineage; `None` when it is none.
    pub(super) fn apply_version(&mut self, payload: &Payload) -> Option<Taken> {
        Some(match payload {
            Payload::DatasetVersionPublished { .. } => self.publish_dataset(payload),
            Payload::ModelVersionPublished { model, version, artifact_hash, config_hash, license, upstream } => {
                let body = VersionBody::Model { artifact_hash: *artifact_hash, config_hash: *config_hash };
                self.publish(EntityKind::Model, model.0, *version, *license, upstream, body)
            }
            Payload::AgentVersionPublished { agent, version, config_hash, upstream } => {
                let body = VersionBody::Agent { config_hash: *config_hash };
                self.publish(EntityKind::Agent, agent.0, *version, B256::ZERO, upstream, body)
            }
            Payload::VersionDeprecated { version, .. } => self.deprecate(version.0),
            Payload::LineageAsserted { from, to, relation, share_ppb, asserter } => {
                self.assert_lineage(from.0, to.0, *relation, *share_ppb, *asserter)
            }
            Payload::LineageRetracted { from, to, relation } => self.retract_lineage(from.0, to.0, *relation),
            _ => return None,
        })
    }

    fn publish_dataset(&mut self, payload: &Payload) -> Taken {
        let Payload::DatasetVersionPublished {
            dataset,
            version,
            manifest_root,
            added,
            removed,
            total_rows,
            license,
            manifest_ref,
        } = payload
        else {
            return Ok(Flags::NONE);
        };
        let body = VersionBody::Dataset {
            manifest_root: *manifest_root,
            added: *added,
            removed: *removed,
            total_rows: *total_rows,
        };
        let flags = self.publish(EntityKind::Dataset, dataset.0, *version, *license, &[], body)?;
        let deadline_blocks = self.hub_policy()?.blob_deadline_blocks;
        self.needs.push(BlobNeed {
            position: self.at,
            owner: BlobOwner::Manifest(VersionId(version_id(dataset.0, *version))),
            reference: manifest_ref.clone(),
            payload_hash: None,
            deadline_blocks,
        });
        Ok(flags)
    }

    fn publish(
        &mut self,
        kind: EntityKind,
        entity_id: B256,
        number: u32,
        license: B256,
        upstream: &[Upstream],
        body: VersionBody,
    ) -> Taken {
        let mut entity = self.own_entity(entity_id)?;
        Self::require(kind_of(&entity) == kind, Reason::UnknownRef, || format!("{entity_id} is no {kind}"))?;
        let last = entity.last_version;
        Self::require(last.is_none_or(|last| number > last), Reason::VersionNotMonotonic, || {
            format!("version {number}: expected more than {}", last.unwrap_or_default())
        })?;
        let id = version_id(entity_id, number);
        let sources = self.sources(kind, id, &entity, license, upstream)?;
        let mut flags = sources.iter().fold(Flags::NONE, |flags, source| Flags(flags.0 | source.flags.0));
        if number > last.unwrap_or_default().saturating_add(1) {
            flags = flags.with(Flag::VersionGap);
        }
        let sk = self.state.next_ordinal(series(kind))?;
        let resolved = if kind == EntityKind::Dataset { flags.with(Flag::ManifestUnresolved) } else { flags };
        let version = Version {
            kind,
            entity: entity_id,
            entity_sk: entity.sk,
            namespace: entity.namespace,
            version: number,
            sk,
            published: self.at,
            license,
            deprecated: false,
            flags: resolved,
            body,
        };
        self.state.put(Key::version(id), &version)?;
        self.push_version(id, &version);
        for source in sources {
            self.add_edge(kind, id, sk, source, false)?;
        }
        if let Some(last) = last {
            self.add_revision(kind, id, sk, version_id(entity_id, last))?;
        }
        entity.last_version = Some(number);
        self.put_entity(entity_id, &entity)?;
        Ok(flags)
    }

    fn add_revision(&mut self, kind: EntityKind, id: B256, sk: i64, before: B256) -> Result<(), Stop> {
        let dst_sk = self.state.get::<Version>(&Key::version(before))?.map(|before| before.sk);
        let source = Source {
            relation: Relation::RevisionOf,
            dst: before,
            kind: Some(kind),
            sk: dst_sk,
            share_ppb: None,
            flags: Flags::NONE,
        };
        self.add_edge(kind, id, sk, source, false)
    }

    /// Checks the upstreams of a version that is about to be published. One that is named twice with one relation is
    /// one edge with the shares added up.
    fn sources(
        &self,
        kind: EntityKind,
        id: B256,
        entity: &Entity,
        license: B256,
        upstream: &[Upstream],
    ) -> Result<Vec<Source>, Stop> {
        let sum: u64 = upstream.iter().filter_map(|one| one.share_ppb).map(u64::from).sum();
        Self::require(sum <= u64::from(PPB), Reason::ShareSumExceeded, || {
            format!("shares sum to {sum}: expected at most {PPB}")
        })?;
        let mut sources = Vec::<Source>::with_capacity(upstream.len());
        let mut seen = BTreeMap::<(Relation, B256), usize>::new();
        for one in upstream {
            let source = self.source(kind, id, entity, license, one)?;
            let known = seen.get(&(one.relation, one.version)).and_then(|index| sources.get_mut(*index));
            if let Some(known) = known {
                known.share_ppb = match (known.share_ppb, source.share_ppb) {
                    (Some(a), Some(b)) => a.checked_add(b),
                    (a, b) => a.or(b),
                };
            } else {
                seen.insert((one.relation, one.version), sources.len());
                sources.push(source);
            }
        }
        Ok(sources)
    }

    fn source(
        &self,
        kind: EntityKind,
        id: B256,
        entity: &Entity,
        license: B256,
        one: &Upstream,
    ) -> Result<Source, Stop> {
        let dst = one.version;
        Self::require(dst != id, Reason::Cycle, || "a version cannot be its own upstream".to_owned())?;
        let found = self.state.get::<Version>(&Key::version(dst))?;
        let mut flags = Flags::NONE;
        let registered = match &found {
            Some(found) => {
                if found.deprecated {
                    flags = flags.with(Flag::DeprecatedUpstream);
                }
                if !license.is_zero() && !found.license.is_zero() && found.license != license {
                    flags = flags.with(Flag::LicenseConflict);
                }
                if one.relation == Relation::TrainedOn && !self.may_train(found.entity, entity.owner)? {
                    flags = flags.with(Flag::NoAccessGrant);
                }
                Some(found.kind)
            }
            None => {
                self.require_external(dst)?;
                flags = flags.with(Flag::ExternalRef);
                None
            }
        };
        Self::require(fits(kind, one.relation, registered), Reason::OutOfRange, || {
            let to = registered.map_or("an external thing", EntityKind::as_str);
            format!("relation {} does not lead from {kind} to {to}", one.relation)
        })?;
        let sk = found.map(|found| found.sk);
        Ok(Source { relation: one.relation, dst, kind: registered, sk, share_ppb: one.share_ppb, flags })
    }

    /// An upstream that is no version may be something outside, but not zero and not another thing of this chain.
    fn require_external(&self, id: B256) -> Result<(), Stop> {
        let other = self.state.get::<Entity>(&Key::entity(id))?.is_some()
            || self.state.get::<ContributionState>(&Key::contribution(id))?.is_some();
        Self::require(!id.is_zero() && !other, Reason::UnknownRef, || format!("{id}: expected a version"))
    }

    /// Whether an account may train on a dataset now.
    fn may_train(&self, dataset: B256, account: Address) -> Result<bool, Stop> {
        let Some(entity) = self.state.get::<Entity>(&Key::entity(dataset))? else { return Ok(true) };
        let EntityBody::Dataset { visibility, .. } = entity.body else { return Ok(true) };
        if visibility == Visibility::Public || entity.owner == account {
            return Ok(true);
        }
        let until: Option<u64> = self.state.get(&Key::training_grant(dataset, account))?;
        Ok(until.is_some_and(|until| until > self.block.timestamp))
    }

    fn add_edge(&mut self, kind: EntityKind, src: B256, sk: i64, source: Source, late: bool) -> Result<(), Stop> {
        let key = Key::edge(src, source.relation.number(), source.dst);
        let before: Option<EdgeState> = self.state.get(&key)?;
        let past = before.map_or_else(Vec::new, |before| {
            let mut past = before.past;
            past.extend(before.to.map(|to| (before.from, to)));
            past
        });
        let edge = EdgeState {
            relation: source.relation,
            dst: source.dst,
            dst_kind: source.kind,
            dst_sk: source.sk,
            share_ppb: source.share_ppb,
            late,
            flags: source.flags,
            from: self.at,
            to: None,
            past,
        };
        self.state.put(key, &edge)?;
        self.push_edge(kind, src, sk, &edge);
        Ok(())
    }

    fn deprecate(&mut self, id: B256) -> Taken {
        let mut version = self.version(id)?;
        self.require_namespace(version.namespace)?;
        Self::require(!version.deprecated, Reason::DuplicateFact, || "version is deprecated already".to_owned())?;
        version.deprecated = true;
        self.state.put(Key::version(id), &version)?;
        self.push_version(id, &version);
        Ok(Flags::NONE)
    }

    fn assert_lineage(
        &mut self,
        from: B256,
        to: B256,
        relation: Relation,
        share_ppb: Option<u32>,
        asserter: Address,
    ) -> Taken {
        let version = self.version(from)?;
        self.require_namespace(version.namespace)?;
        let entity: Entity = self.known("entity", version.entity, &Key::entity(version.entity))?;
        Self::require(entity.owner == asserter, Reason::Unauthorized, || {
            format!("asserted by {asserter:#x}: expected the owner, {:#x}", entity.owner)
        })?;
        let one = Upstream { version: to, relation, share_ppb };
        let source = self.source(version.kind, from, &entity, version.license, &one)?;
        if let Some(older) = self.state.get::<Version>(&Key::version(to))? {
            Self::require(older.published < version.published, Reason::Cycle, || {
                format!("upstream was published at {}: expected before {}", older.published, version.published)
            })?;
        }
        let edges = self.state.scan::<EdgeState>(&Key::edges_from(from))?;
        let live: Vec<&EdgeState> = edges.iter().map(|(_, edge)| edge).filter(|edge| edge.to.is_none()).collect();
        let known = live.iter().any(|edge| edge.relation == relation && edge.dst == to);
        Self::require(!known, Reason::DuplicateFact, || "this edge holds already".to_owned())?;
        let shares = live.iter().filter_map(|edge| edge.share_ppb).chain(share_ppb).map(u64::from).sum::<u64>();
        Self::require(shares <= u64::from(PPB), Reason::ShareSumExceeded, || {
            format!("shares sum to {shares} with this one: expected at most {PPB}")
        })?;
        let flags = source.flags;
        self.add_edge(version.kind, from, version.sk, source, true)?;
        Ok(flags)
    }

    fn retract_lineage(&mut self, from: B256, to: B256, relation: Relation) -> Taken {
        let version = self.version(from)?;
        self.require_namespace(version.namespace)?;
        let key = Key::edge(from, relation.number(), to);
        let mut edge: EdgeState = self.known("edge to", to, &key)?;
        Self::require(edge.to.is_none(), Reason::BadState, || "the edge is retracted already".to_owned())?;
        Self::require(edge.late, Reason::BadState, || "the edge is part of an immutable version".to_owned())?;
        edge.to = Some(self.at);
        self.state.put(key, &edge)?;
        self.push_edge(version.kind, from, version.sk, &edge);
        Ok(Flags::NONE)
    }
}

const fn kind_of(entity: &Entity) -> EntityKind {
    match entity.body {
        EntityBody::Dataset { .. } => EntityKind::Dataset,
        EntityBody::Model { .. } => EntityKind::Model,
        EntityBody::Agent => EntityKind::Agent,
    }
}

const fn series(kind: EntityKind) -> u8 {
    match kind {
        EntityKind::Dataset => Key::DATASET_VERSIONS,
        EntityKind::Model => Key::MODEL_VERSIONS,
        _ => Key::AGENT_VERSIONS,
    }
}

/// Whether a relation can lead from one kind to the other; to something external if it can lead anywhere. Money follows
/// relations by kind, so an edge of the wrong kind must not get in.
fn fits(src: EntityKind, relation: Relation, dst: Option<EntityKind>) -> bool {
    let expected = match (src, relation) {
        (EntityKind::Model, Relation::TrainedOn | Relation::EvaluatedOn)
        | (EntityKind::Agent, Relation::UsesData)
        | (EntityKind::Dataset, Relation::DerivedFrom) => EntityKind::Dataset,
        (
            EntityKind::Model,
            Relation::BasedOnFinetune
            | Relation::BasedOnAdapter
            | Relation::BasedOnMerge
            | Relation::BasedOnQuantized
            | Relation::BasedOnDistilled,
        )
        | (EntityKind::Agent, Relation::UsesModel)
        | (EntityKind::Dataset, Relation::GeneratedBy) => EntityKind::Model,
        (EntityKind::Agent, Relation::CallsAgent) => EntityKind::Agent,
        _ => return false,
    };
    dst.is_none_or(|dst| dst == expected)
}
