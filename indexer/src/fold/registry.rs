//! Datasets, models and agents: who registered what, who owns it, what was offered to it.

use alloy_primitives::{Address, B256};
use tributary_schemas::Payload;
use tributary_schemas::code::{AccessScope, Decision, Flag, Flags, Reason, RemovalCause};
use tributary_schemas::column::{Micros, hex_text, signed};
use tributary_schemas::facts::{AccessRow, RoleRow};

use super::{Fold, Stop, Taken};
use crate::state::{ChangeAt, ContributionPhase, ContributionState, Entity, EntityBody, Key};

impl Fold<'_, '_> {
    /// Facts of registries, versions apart; `None` when it is none.
    pub(super) fn apply_registry(&mut self, payload: &Payload) -> Option<Taken> {
        Some(match payload {
            Payload::DatasetRegistered { dataset, key, owner, visibility, license, metadata_uri, metadata_hash } => {
                let body = EntityBody::Dataset { visibility: *visibility, license: *license };
                self.register(dataset.0, Key::DATASETS, *key, *owner, (metadata_uri, *metadata_hash), body)
            }
            Payload::ModelRegistered { model, key, owner, kind, metadata_uri, metadata_hash } => {
                let body = EntityBody::Model { kind: *kind };
                self.register(model.0, Key::MODELS, *key, *owner, (metadata_uri, *metadata_hash), body)
            }
            Payload::AgentRegistered { agent, key, owner, metadata_uri } => {
                self.register(agent.0, Key::AGENTS, *key, *owner, (metadata_uri, B256::ZERO), EntityBody::Agent)
            }
            Payload::MetadataUpdated { entity, uri, hash } => self.update_metadata(entity.0, uri, *hash),
            Payload::OwnershipTransferred { entity, from, to } => self.transfer(entity.0, *from, *to),
            Payload::RoleSet { scope, account, role, granted } => {
                self.set_role(scope.0, *account, role.as_str(), *granted)
            }
            Payload::AccessSet { dataset, grantee, scope, expires_at, terms_hash } => {
                self.set_access(dataset.0, *grantee, *scope, *expires_at, *terms_hash)
            }
            Payload::ContributionSubmitted { .. } => self.submit(payload),
            Payload::ContributionReviewed { contribution, decision, quality, .. } => {
                self.review(contribution.0, *decision, *quality)
            }
            Payload::ContributionRemoved { contribution, cause, .. } => self.remove(contribution.0, *cause),
            _ => return None,
        })
    }

    fn register(
        &mut self,
        id: B256,
        series: u8,
        key: B256,
        owner: Address,
        (uri, hash): (&str, B256),
        body: EntityBody,
    ) -> Taken {
        let taken = self.state.get::<Entity>(&Key::entity(id))?.is_some();
        Self::require(!taken, Reason::DuplicateId, || format!("{id} is registered"))?;
        let sk = self.state.next_ordinal(series)?;
        let uri = uri.to_owned();
        let entity = Entity { namespace: self.emitter, key, owner, sk, last_version: None, uri, hash, body };
        self.put_entity(id, &entity)?;
        Ok(Flags::NONE)
    }

    /// Stores an entity and its row.
    pub(super) fn put_entity(&mut self, id: B256, entity: &Entity) -> Result<(), Stop> {
        self.state.put(Key::entity(id), entity)?;
        self.push_entity(id, entity);
        Ok(())
    }

    /// An entity that exists and is of the emitter's namespace.
    pub(super) fn own_entity(&self, id: B256) -> Result<Entity, Stop> {
        let entity: Entity = self.known("entity", id, &Key::entity(id))?;
        self.require_namespace(entity.namespace)?;
        Ok(entity)
    }

    fn update_metadata(&mut self, id: B256, uri: &str, hash: B256) -> Taken {
        let mut entity = self.own_entity(id)?;
        uri.clone_into(&mut entity.uri);
        entity.hash = hash;
        self.put_entity(id, &entity)?;
        Ok(Flags::NONE)
    }

    fn transfer(&mut self, id: B256, from: Address, to: Address) -> Taken {
        let mut entity = self.own_entity(id)?;
        Self::require(entity.owner == from, Reason::BadState, || {
            format!("from {from:#x}: expected the owner, {:#x}", entity.owner)
        })?;
        entity.owner = to;
        self.put_entity(id, &entity)?;
        Ok(Flags::NONE)
    }

    fn set_role(&mut self, scope: B256, account: Address, role: &str, granted: bool) -> Taken {
        let _scope = self.own_entity(scope)?;
        self.push_role(scope, account, role, granted);
        Ok(Flags::NONE)
    }

    /// A row of `roles`; producers of a hub are there too.
    pub(super) fn push_role(&mut self, scope: B256, account: Address, role: &str, granted: bool) {
        let row = RoleRow {
            epoch: self.epoch(),
            block_number: signed(self.at.block_number),
            log_index: i64::from(self.at.log_index),
            scope: hex_text(scope),
            account: hex_text(account),
            role: role.to_owned(),
            granted,
        };
        self.push(row);
    }

    fn set_access(
        &mut self,
        dataset: B256,
        grantee: Address,
        scope: AccessScope,
        expires_at: u64,
        terms_hash: B256,
    ) -> Taken {
        let _dataset = self.own_dataset(dataset)?;
        if scope == AccessScope::Train {
            self.state.put(Key::training_grant(dataset, grantee), &expires_at)?;
        }
        let row = AccessRow {
            epoch: self.epoch(),
            block_number: signed(self.at.block_number),
            log_index: i64::from(self.at.log_index),
            dataset_id: hex_text(dataset),
            grantee: hex_text(grantee),
            scope: scope.as_str().to_owned(),
            expires_at: Micros::from_seconds(expires_at),
            terms_hash: hex_text(terms_hash),
        };
        self.push(row);
        Ok(Flags::NONE)
    }

    fn own_dataset(&self, id: B256) -> Result<Entity, Stop> {
        let entity = self.own_entity(id)?;
        match entity.body {
            EntityBody::Dataset { .. } => Ok(entity),
            EntityBody::Model { .. } | EntityBody::Agent => {
                Err(Stop::Refused(Reason::UnknownRef, format!("{id} is no dataset")))
            }
        }
    }

    fn submit(&mut self, payload: &Payload) -> Taken {
        let Payload::ContributionSubmitted {
            contribution,
            dataset,
            contributor,
            content_hash,
            row_count,
            byte_count,
            license,
            ..
        } = payload
        else {
            return Ok(Flags::NONE);
        };
        let id = contribution.0;
        let owner = self.own_dataset(dataset.0)?;
        let taken = self.state.get::<ContributionState>(&Key::contribution(id))?.is_some();
        Self::require(!taken, Reason::DuplicateId, || format!("{id} is submitted"))?;
        let count = |name: &str, count: u64| {
            i64::try_from(count).map_err(|error| Stop::Refused(Reason::OutOfRange, format!("{name} {count}: {error}")))
        };
        let (row_count, byte_count) = (count("row_count", *row_count)?, count("byte_count", *byte_count)?);
        let duplicate = self.state.get::<B256>(&Key::content(dataset.0, *content_hash))?.is_some();
        let flags = if duplicate { Flags::NONE.with(Flag::DuplicateContent) } else { Flags::NONE };
        let state = ContributionState {
            namespace: self.emitter,
            sk: self.state.next_ordinal(Key::CONTRIBUTIONS)?,
            dataset: dataset.0,
            dataset_sk: owner.sk,
            contributor: *contributor,
            content_hash: *content_hash,
            row_count,
            byte_count,
            license: *license,
            quality: None,
            flags,
            phases: vec![ChangeAt { at: self.at, to: ContributionPhase::Submitted }],
        };
        self.put_contribution(id, &state)?;
        Ok(flags)
    }

    fn put_contribution(&mut self, id: B256, state: &ContributionState) -> Result<(), Stop> {
        self.state.put(Key::contribution(id), state)?;
        self.push_contribution(id, state);
        Ok(())
    }

    fn review(&mut self, id: B256, decision: Decision, quality: i32) -> Taken {
        let mut state: ContributionState = self.known("contribution", id, &Key::contribution(id))?;
        self.require_namespace(state.namespace)?;
        let phase = state.phase();
        let open = matches!(phase, ContributionPhase::Submitted | ContributionPhase::Flagged);
        Self::require(open, Reason::BadState, || {
            format!("contribution is {}: expected submitted or flagged", phase.as_str())
        })?;
        state.quality = Some(quality);
        let content = Key::content(state.dataset, state.content_hash);
        let mut flags = Flags::NONE;
        match decision {
            Decision::Approve => {
                state.enter(self.at, ContributionPhase::Approved);
                if self.state.get::<B256>(&content)?.is_some() {
                    // Approved all the same: what becomes of its money is for policy to say.
                    flags = Flags::NONE.with(Flag::DuplicateContent);
                    state.flags = state.flags.with(Flag::DuplicateContent);
                } else {
                    self.state.put(content, &id)?;
                }
            }
            Decision::Reject => state.enter(self.at, ContributionPhase::Rejected),
            Decision::Flag => state.enter(self.at, ContributionPhase::Flagged),
        }
        self.put_contribution(id, &state)?;
        Ok(flags)
    }

    /// Any cause removes it; the cause itself is in the event.
    fn remove(&mut self, id: B256, _cause: RemovalCause) -> Taken {
        let mut state: ContributionState = self.known("contribution", id, &Key::contribution(id))?;
        self.require_namespace(state.namespace)?;
        let gone = state.phase() == ContributionPhase::Removed;
        Self::require(!gone, Reason::BadState, || "contribution is removed already".to_owned())?;
        state.enter(self.at, ContributionPhase::Removed);
        self.put_contribution(id, &state)?;
        Ok(Flags::NONE)
    }
}
