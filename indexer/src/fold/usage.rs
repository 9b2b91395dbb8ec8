//! Methods, producers, inferences, batches and what people say about them.

use alloy_primitives::{Address, B256};
use tributary_schemas::Payload;
use tributary_schemas::code::{ChallengeOutcome, Flags, Reason, Role};
use tributary_schemas::column::{hex_text, signed};
use tributary_schemas::facts::{AttestationRow, MethodRow, RecordedInferenceRow};
use tributary_schemas::id::{BatchId, EntityKind};

use super::{BlobNeed, BlobOwner, Fold, Stop, Taken};
use crate::state::{BatchState, Challenge, ChangeAt, Key, MethodState, PolicyState, ProducerState, RecordedInference};

impl Fold<'_, '_> {
    /// Facts of use; `None` when it is none.
    pub(super) fn apply_usage(&mut self, payload: &Payload) -> Option<Taken> {
        Some(match payload {
            Payload::MethodRegistered { .. } => self.register_method(payload),
            Payload::ProducerSet { scope, producer, allowed } => self.set_producer(scope.0, *producer, *allowed),
            Payload::InferenceRecorded { .. } => self.record_inference(payload),
            Payload::AttributionBatchCommitted { .. } => self.commit(payload),
            Payload::BatchChallenged { batch, index, .. } => self.challenge(batch.0, *index),
            Payload::BatchResolved { batch, outcome, replacement } => self.resolve(batch.0, *outcome, *replacement),
            Payload::AttestationRecorded { .. } => self.attest(payload),
            Payload::AttestationRevoked { attestation, attester } => self.revoke(attestation.0, *attester),
            _ => return None,
        })
    }

    fn register_method(&mut self, payload: &Payload) -> Taken {
        let Payload::MethodRegistered { method, registrant, value_kind, verifiability, params_hash, name, .. } =
            payload
        else {
            return Ok(Flags::NONE);
        };
        let key = Key::method(method.0);
        let taken = self.state.get::<MethodState>(&key)?.is_some();
        Self::require(!taken, Reason::DuplicateId, || format!("{method} is registered"))?;
        self.state.put(key, &MethodState { params_hash: *params_hash })?;
        let row = MethodRow {
            epoch: self.epoch(),
            block_number: signed(self.at.block_number),
            log_index: i64::from(self.at.log_index),
            method_id: hex_text(method),
            registrant: hex_text(registrant),
            value_kind: value_kind.as_str().to_owned(),
            verifiability: verifiability.as_str().to_owned(),
            params_hash: hex_text(params_hash),
            name: name.clone(),
        };
        self.push(row);
        Ok(Flags::NONE)
    }

    /// The permissions of a producer keep their history: the records of a blob are judged as of its reference.
    fn set_producer(&mut self, scope: B256, producer: Address, allowed: bool) -> Taken {
        self.require_scope(scope)?;
        let key = Key::permission(self.emitter, scope, producer);
        let mut history: Vec<ChangeAt<bool>> = self.state.get(&key)?.unwrap_or_default();
        let before = history.last().is_some_and(|last| last.to);
        if before != allowed {
            history.push(ChangeAt { at: self.at, to: allowed });
            self.state.put(key, &history)?;
            let key = Key::producer(self.emitter, producer);
            let mut state: ProducerState = self.state.get(&key)?.unwrap_or_default();
            state.scopes = if allowed { state.scopes.saturating_add(1) } else { state.scopes.saturating_sub(1) };
            self.state.put(key, &state)?;
        }
        self.push_role(scope, producer, Role::Producer.as_str(), allowed);
        Ok(Flags::NONE)
    }

    fn record_inference(&mut self, payload: &Payload) -> Taken {
        let Payload::InferenceRecorded {
            inference,
            subject,
            payer,
            request_hash,
            response_hash,
            tokens_in,
            tokens_out,
            ..
        } = payload
        else {
            return Ok(Flags::NONE);
        };
        let _version = self.subject(subject.0)?;
        let key = Key::inference(inference.0);
        let taken = self.state.get::<RecordedInference>(&key)?.is_some();
        Self::require(!taken, Reason::DuplicateId, || format!("{inference} is recorded"))?;
        self.state.put(key, &RecordedInference { subject: subject.0, at: self.at })?;
        let row = RecordedInferenceRow {
            epoch: self.epoch(),
            block_number: signed(self.at.block_number),
            log_index: i64::from(self.at.log_index),
            inference_id: hex_text(inference),
            subject_id: hex_text(subject),
            payer: hex_text(payer),
            request_hash: hex_text(request_hash),
            response_hash: hex_text(response_hash),
            tokens_in: i64::from(*tokens_in),
            tokens_out: i64::from(*tokens_out),
        };
        self.push(row);
        Ok(Flags::NONE)
    }

    /// A version that can answer: of an agent or a model.
    pub(super) fn subject(&self, id: B256) -> Result<crate::state::Version, Stop> {
        let version = self.version(id)?;
        let answers = matches!(version.kind, EntityKind::Agent | EntityKind::Model);
        Self::require(answers, Reason::UnknownRef, || format!("{id} is a version of a {}", version.kind))?;
        Ok(version)
    }

    /// The policy for all, in force at this position: what hubs go by.
    pub(super) fn hub_policy(&self) -> Result<PolicyState, Stop> {
        let set = self.state.get(&Key::policy(Address::ZERO, B256::ZERO))?;
        Ok(set.unwrap_or_else(PolicyState::by_default))
    }

    fn commit(&mut self, payload: &Payload) -> Taken {
        let Payload::AttributionBatchCommitted {
            batch, producer, method, seq, inferences, payload_hash, blob_ref, ..
        } = payload
        else {
            return Ok(Flags::NONE);
        };
        let key = Key::batch(batch.0);
        let taken = self.state.get::<BatchState>(&key)?.is_some();
        Self::require(!taken, Reason::DuplicateId, || format!("{batch} is committed"))?;
        let producer_key = Key::producer(self.emitter, *producer);
        let mut state: ProducerState = self.state.get(&producer_key)?.unwrap_or_default();
        Self::require(state.scopes > 0, Reason::Unauthorized, || format!("{producer:#x} is no producer at this hub"))?;
        let known = self.state.get::<MethodState>(&Key::method(method.0))?.is_some();
        Self::require(known, Reason::MethodUnregistered, || format!("no method {method} at this position"))?;
        Self::require(state.commits == *seq, Reason::BadState, || format!("seq {seq}: expected {}", state.commits))?;
        Self::require(*inferences > 0, Reason::OutOfRange, || "no inferences: expected at least one".to_owned())?;
        let policy = self.hub_policy()?;
        state.commits = state.commits.saturating_add(1);
        self.state.put(producer_key, &state)?;
        let committed = BatchState {
            hub: self.emitter,
            sk: self.state.next_ordinal(Key::BATCHES)?,
            producer: *producer,
            method: method.0,
            inferences: *inferences,
            reference: self.at,
            challenge_until: self.at.block_number.saturating_add(policy.challenge_blocks),
            challenge: None,
            rejected: false,
        };
        self.state.put(key, &committed)?;
        // Its row is written when its outcome is known.
        self.needs.push(BlobNeed {
            position: self.at,
            owner: BlobOwner::Batch(*batch),
            reference: blob_ref.clone(),
            payload_hash: Some(*payload_hash),
            deadline_blocks: policy.blob_deadline_blocks,
        });
        Ok(Flags::NONE)
    }

    fn own_batch(&self, id: B256) -> Result<BatchState, Stop> {
        let batch: BatchState = self.known("batch", id, &Key::batch(id))?;
        self.require_namespace(batch.hub)?;
        Ok(batch)
    }

    fn challenge(&mut self, id: B256, index: u32) -> Taken {
        let mut batch = self.own_batch(id)?;
        let now = self.at.block_number;
        let open = batch.challenge.is_some_and(|challenge| now <= challenge.until);
        Self::require(!open && !batch.rejected, Reason::BadState, || {
            if open { "a challenge is open".to_owned() } else { "batch is rejected already".to_owned() }
        })?;
        Self::require(index < batch.inferences, Reason::OutOfRange, || {
            format!("inference {index}: expected less than {}", batch.inferences)
        })?;
        Self::require(now <= batch.challenge_until, Reason::WindowClosed, || {
            format!("challenged at block {now}: the window closed after {}", batch.challenge_until)
        })?;
        let until = now.saturating_add(self.hub_policy()?.resolve_blocks);
        batch.challenge = Some(Challenge { until });
        self.state.put(Key::batch(id), &batch)?;
        Ok(Flags::NONE)
    }

    fn resolve(&mut self, id: B256, outcome: ChallengeOutcome, replacement: Option<BatchId>) -> Taken {
        let mut batch = self.own_batch(id)?;
        let Some(challenge) = batch.challenge else {
            return Err(Stop::Refused(Reason::BadState, "no challenge is open".to_owned()));
        };
        let now = self.at.block_number;
        Self::require(now <= challenge.until, Reason::WindowClosed, || {
            format!("resolved at block {now}: unresolved after {}, the challenge counts as rejected", challenge.until)
        })?;
        let replaced = outcome == ChallengeOutcome::Replaced;
        Self::require(replaced == replacement.is_some(), Reason::BadState, || {
            format!("outcome {outcome} with replacement {replacement:?}")
        })?;
        if let Some(replacement) = replacement {
            let _other = self.own_batch(replacement.0)?;
            Self::require(replacement.0 != id, Reason::BadState, || "a batch cannot replace itself".to_owned())?;
        }
        batch.challenge = None;
        batch.rejected = outcome != ChallengeOutcome::Rejected;
        self.state.put(Key::batch(id), &batch)?;
        Ok(Flags::NONE)
    }

    fn attest(&mut self, payload: &Payload) -> Taken {
        let Payload::AttestationRecorded { attestation, schema, subject, attester, value, decimals, tag, uri, .. } =
            payload
        else {
            return Ok(Flags::NONE);
        };
        let key = Key::attestation(attestation.0);
        let taken = self.state.get::<AttestationRow>(&key)?.is_some();
        Self::require(!taken, Reason::DuplicateId, || format!("{attestation} is recorded"))?;
        let row = AttestationRow {
            epoch: self.epoch(),
            block_number: signed(self.at.block_number),
            log_index: i64::from(self.at.log_index),
            attestation_id: hex_text(attestation),
            schema: hex_text(schema),
            subject: hex_text(subject),
            attester: hex_text(attester),
            value: *value,
            decimals: i32::from(*decimals),
            tag: tag.clone(),
            uri: uri.clone(),
            revoked: false,
        };
        self.state.put(key, &row)?;
        self.push(row);
        Ok(Flags::NONE)
    }

    fn revoke(&mut self, id: B256, attester: Address) -> Taken {
        let key = Key::attestation(id);
        let row: AttestationRow = self.known("attestation", id, &key)?;
        Self::require(row.attester == hex_text(attester), Reason::Unauthorized, || {
            format!("revoked by {attester:#x}: expected {}", row.attester)
        })?;
        Self::require(!row.revoked, Reason::BadState, || "attestation is revoked already".to_owned())?;
        let revoked = AttestationRow {
            epoch: self.epoch(),
            block_number: signed(self.at.block_number),
            log_index: i64::from(self.at.log_index),
            revoked: true,
            ..row
        };
        self.state.put(key, &revoked)?;
        self.push(revoked);
        Ok(Flags::NONE)
    }
}
