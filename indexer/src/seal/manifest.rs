//! Members of dataset versions.

use alloy_primitives::{B256, keccak256};
use tributary_schemas::code::Reason;
use tributary_schemas::column::signed;
use tributary_schemas::encoding::{manifest_root, refused_digest};
use tributary_schemas::facts::MembershipRow;
use tributary_schemas::id::ContributionId;
use tributary_schemas::{Event, Payload, Position};

use super::outcome::Outcome;
use super::{IndexerError, SealStep};
use crate::blob::{Manifest, Unreadable, read_manifest};
use crate::fold::BlobNeed;
use crate::state::{ContributionPhase, ContributionState, Entity, Key, Member};

/// What a version's members become: the changed ones, how many hold, and which ids are left out.
struct Change {
    members: Vec<(B256, Member)>,
    count: u32,
    refused: Vec<(u32, Reason)>,
}

impl SealStep<'_, '_> {
    pub(super) fn manifest(&mut self, event: &Event, need: &BlobNeed, outcome: &Outcome) -> Result<(), IndexerError> {
        let Payload::DatasetVersionPublished { dataset, version, manifest_root, added, removed, .. } = &event.payload
        else {
            return Ok(());
        };
        let id = dataset.version(*version);
        let payload = match outcome {
            Outcome::Found { payload, .. } => payload,
            Outcome::Missing { declared_at } => {
                self.declare(need, *declared_at);
                self.push_blob((need, self.epoch()), outcome, "missing", None);
                self.add_event(event.position, Payload::ManifestVoided { version: id, code: None }, String::new());
                return Ok(());
            }
            Outcome::Void { why, .. } => {
                self.void_manifest(event.position, need, outcome, why.clone());
                return Ok(());
            }
        };
        let read = read_manifest(payload, *added, *removed);
        let change = match read {
            Ok(manifest) => self.members_after(dataset.0, *version, *manifest_root, &manifest, event.position)?,
            Err(why) => Err(why),
        };
        match change {
            Err(why) => self.void_manifest(event.position, need, outcome, why),
            Ok(change) => {
                let decoded = Payload::ManifestDecoded {
                    version: id,
                    payload_hash: keccak256(payload),
                    members: change.count,
                    refused_digest: refused_digest(change.refused.iter().copied()),
                };
                self.state.put(Key::resolved_version(id.0), &i64::from(change.count))?;
                self.put_members(dataset.0, change.members)?;
                self.push_blob((need, self.epoch()), outcome, "verified", None);
                self.add_event(event.position, decoded, String::new());
            }
        }
        Ok(())
    }

    fn void_manifest(&mut self, at: Position, need: &BlobNeed, outcome: &Outcome, why: Unreadable) {
        let crate::fold::BlobOwner::Manifest(version) = need.owner else { return };
        self.push_blob((need, self.epoch()), outcome, "void", Some(why.detail.clone()));
        self.add_event(at, Payload::ManifestVoided { version, code: Some(why.code) }, why.detail);
    }

    /// The members after a manifest. The root is over everything its publisher claims; what is not approved here is
    /// remembered as claimed and left out of the members.
    fn members_after(
        &self,
        dataset: B256,
        version: u32,
        root: B256,
        manifest: &Manifest,
        at: Position,
    ) -> Result<Result<Change, Unreadable>, IndexerError> {
        let prefix = Key::members(dataset);
        let mut members = std::collections::BTreeMap::new();
        for (key, member) in self.state.scan::<Member>(&prefix)? {
            members.insert(B256::from_slice(&key[prefix.0.len()..]), member);
        }
        let mut refused = Vec::new();
        let mut changed = std::collections::BTreeSet::new();
        for (ordinal, id) in (0_u32..).zip(&manifest.added) {
            let known = members.get(id).filter(|member| member.is_open());
            let reason = if known.is_some() { Some(Reason::DuplicateFact) } else { self.refusal(dataset, *id, at)? };
            refused.extend(reason.map(|reason| (ordinal, reason)));
            if known.is_none() {
                let member = self.joined(members.get(id), *id, version, reason.is_none())?;
                members.insert(*id, member);
                changed.insert(*id);
            }
        }
        for (ordinal, id) in (u32::try_from(manifest.added.len()).unwrap_or(u32::MAX)..).zip(&manifest.removed) {
            match members.get_mut(id).filter(|member| member.is_open()) {
                Some(member) => {
                    if let Some(last) = member.versions.last_mut() {
                        last.1 = Some(version);
                    }
                    changed.insert(*id);
                }
                None => refused.push((ordinal, Reason::UnknownRef)),
            }
        }
        let open = || members.iter().filter(|(_, member)| member.is_open());
        let real = manifest_root(open().map(|(id, _)| ContributionId(*id)));
        if real != root {
            let detail = format!("manifest_root {root}: the members have {real}");
            return Ok(Err(Unreadable { code: Reason::RecordRootMismatch, detail }));
        }
        let count = u32::try_from(open().filter(|(_, member)| member.accepted).count()).unwrap_or(u32::MAX);
        let members = members.into_iter().filter(|(id, _)| changed.contains(id)).collect();
        Ok(Ok(Change { members, count, refused }))
    }

    /// Why a contribution cannot be a member at a position.
    fn refusal(&self, dataset: B256, id: B256, at: Position) -> Result<Option<Reason>, IndexerError> {
        let Some(state) = self.state.get::<ContributionState>(&Key::contribution(id))? else {
            return Ok(Some(Reason::UnknownRef));
        };
        Ok(match state.phase_before(at) {
            _ if state.dataset != dataset => Some(Reason::UnknownRef),
            None => Some(Reason::UnknownRef),
            Some(ContributionPhase::Approved) => None,
            Some(_) => Some(Reason::BadState),
        })
    }

    fn joined(&self, before: Option<&Member>, id: B256, version: u32, accepted: bool) -> Result<Member, IndexerError> {
        let state = self.state.get::<ContributionState>(&Key::contribution(id))?;
        let (contribution_sk, row_count) = state.map_or((-1, 0), |state| (state.sk, state.row_count));
        // What was left out before has no past as a member.
        let past = before.filter(|before| before.accepted && accepted).map(|before| before.versions.clone());
        let mut versions = past.unwrap_or_default();
        versions.push((version, None));
        Ok(Member { contribution_sk, row_count, accepted, versions })
    }

    fn put_members(&mut self, dataset: B256, members: Vec<(B256, Member)>) -> Result<(), IndexerError> {
        let entity: Option<Entity> = self.state.get(&Key::entity(dataset))?;
        let Some(dataset_sk) = entity.map(|entity| entity.sk) else {
            return Err(self.fault(format!("dataset {dataset} of a manifest is not in the state")));
        };
        for (id, member) in members {
            if let (true, Some((from, to))) = (member.accepted, member.versions.last()) {
                let row = MembershipRow {
                    dataset_sk,
                    contribution_sk: member.contribution_sk,
                    from_version: i64::from(*from),
                    to_version: to.map(i64::from),
                    row_count: member.row_count,
                    valid_from_block: signed(self.block.number),
                    valid_to_block: None,
                };
                self.push(row);
            }
            self.state.put(Key::member(dataset, id), &member)?;
        }
        Ok(())
    }
}
