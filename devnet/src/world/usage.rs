//! Answers recorded on chain, and what owners do beside their work.

use alloy_primitives::{Address, B256, U256, keccak256};
use rand::Rng;
use tributary_schemas::code::{Relation, Role, Visibility};
use tributary_schemas::id::{InferenceId, VersionId};

use crate::{
    chain::Call,
    chance::{heavy, skewed, word},
    keys::Keyring,
    suite::{AgentRegistry, AttributionHub, DatanetRegistry, ModelRegistry, key_of, log},
    world::{World, transaction},
};

/// A late edge of the lineage.
#[derive(Debug)]
pub(super) struct Edge {
    model: u64,
    version: u32,
    from: VersionId,
    to: VersionId,
}

impl World {
    pub(super) fn record_inference(&mut self, keys: &mut Keyring) -> Option<Call> {
        let hub = self.contracts.attribution_hub;
        let recorder = self.producers.first()?.account;
        let at = skewed(&mut self.chance, self.agents.len());
        let payer = self.person(keys, "payer", 6, 150);
        let agent = self.agents.get(at).filter(|agent| agent.version > 0)?;
        let (subject, version, answered) = (agent.id.0, agent.version, agent.last());
        let (request, response) = (word(&mut self.chance), word(&mut self.chance));
        let tokens = |chance: &mut rand_chacha::ChaCha8Rng| u32::try_from(heavy(chance, 20, 10)).unwrap_or(u32::MAX);
        let (tokens_in, tokens_out) = (tokens(&mut self.chance), tokens(&mut self.chance));
        let native = key_of(recorder, self.nonce(hub, recorder));
        self.recorded.push((InferenceId::native(self.chain_id, hub, native), answered, at));
        let event = AttributionHub::InferenceRecorded {
            inferenceId: native,
            subjectVersionId: answered.0,
            payer,
            requestHash: request,
            responseHash: response,
            tokensIn: tokens_in,
            tokensOut: tokens_out,
        };
        let call = AttributionHub::recordInferenceCall {
            subject,
            version,
            payer,
            requestHash: request,
            responseHash: response,
            tokensIn: tokens_in,
            tokensOut: tokens_out,
        };
        Some(transaction(recorder, hub, &call, vec![log(hub, &event)]))
    }

    pub(super) fn housekeeping(&mut self, keys: &mut Keyring) -> Option<Call> {
        match self.chance.random_range(0..8) {
            0 => self.describe(),
            1 | 2 => self.invite(keys),
            3 => self.grant(keys),
            4 => self.assert_lineage(),
            5 => self.deprecate(),
            _ => self.hand_over(keys),
        }
    }

    fn describe(&mut self) -> Option<Call> {
        let at = skewed(&mut self.chance, self.datanets.len());
        let hash = word(&mut self.chance);
        let datanet = self.datanets.get(at)?;
        let registry = self.contracts.datanet_registry;
        let uri = format!("ipfs://datanet/{}?described={}", datanet.number, self.number);
        let event = DatanetRegistry::DatanetMetadataUpdated {
            datanetId: U256::from(datanet.number),
            metadataHash: hash,
            metadataURI: uri.clone(),
        };
        let call = DatanetRegistry::setMetadataCall {
            datanetId: U256::from(datanet.number),
            metadataHash: hash,
            metadataURI: uri,
        };
        Some(transaction(datanet.owner, registry, &call, vec![log(registry, &event)]))
    }

    /// A contributor of a datanet that is not public.
    fn invite(&mut self, keys: &mut Keyring) -> Option<Call> {
        let account = self.person(keys, "contributor", 4, 400);
        let closed = |datanet: &&mut super::datanets::Datanet| datanet.visibility != Visibility::Public;
        let datanet = self.datanets.iter_mut().rev().find(closed)?;
        if !datanet.invited.contains(&account) {
            datanet.invited.push(account);
        }
        let registry = self.contracts.datanet_registry;
        let (id, role) = (U256::from(datanet.number), Role::Contributor.number());
        let event = DatanetRegistry::DatanetRoleSet { datanetId: id, account, role, granted: true };
        let call = DatanetRegistry::setRoleCall { datanetId: id, account, role, granted: true };
        Some(transaction(datanet.owner, registry, &call, vec![log(registry, &event)]))
    }

    fn grant(&mut self, keys: &mut Keyring) -> Option<Call> {
        let grantee = self.person(keys, "model owner", 2, 120);
        let at = skewed(&mut self.chance, self.datanets.len());
        let terms = word(&mut self.chance);
        let expires = self.time.saturating_add(heavy(&mut self.chance, 60, 12));
        let datanet = self.datanets.get(at)?;
        let registry = self.contracts.datanet_registry;
        let id = U256::from(datanet.number);
        let event = DatanetRegistry::DatanetAccessSet {
            datanetId: id,
            grantee,
            scope: 0,
            expiresAt: expires,
            termsHash: terms,
        };
        let call =
            DatanetRegistry::setAccessCall { datanetId: id, grantee, scope: 0, expiresAt: expires, termsHash: terms };
        Some(transaction(datanet.owner, registry, &call, vec![log(registry, &event)]))
    }

    /// An edge named after publication, always to an older model; the next time it is
    /// taken back.
    fn assert_lineage(&mut self) -> Option<Call> {
        let registry = self.contracts.model_registry;
        let relation = Relation::BasedOnDistilled.number();
        if let Some(edge) = self.asserted.take() {
            let owner = self.models.iter().find(|model| model.number == edge.model)?.owner;
            let event =
                ModelRegistry::LineageRetracted { fromVersionId: edge.from.0, toVersionId: edge.to.0, relation };
            let call = ModelRegistry::retractLineageCall {
                modelId: U256::from(edge.model),
                version: edge.version,
                toVersionId: edge.to.0,
                relation,
            };
            return Some(transaction(owner, registry, &call, vec![log(registry, &event)]));
        }
        let published: Vec<_> = self.models.iter().filter(|model| model.version > 0).collect();
        let to = published.first()?;
        let from = published.last().filter(|from| from.number != to.number)?;
        let share = 10_000_000;
        let edge = Edge { model: from.number, version: from.version, from: from.last(), to: to.id.version(1) };
        let event = ModelRegistry::LineageAsserted {
            fromVersionId: edge.from.0,
            toVersionId: edge.to.0,
            relation,
            sharePpb: share,
            asserter: from.owner,
        };
        let call = ModelRegistry::assertLineageCall {
            modelId: U256::from(edge.model),
            version: edge.version,
            toVersionId: edge.to.0,
            relation,
            sharePpb: share,
        };
        let call = transaction(from.owner, registry, &call, vec![log(registry, &event)]);
        self.asserted = Some(edge);
        Some(call)
    }

    fn deprecate(&self) -> Option<Call> {
        let model = self.models.iter().find(|model| model.version > 1)?;
        let registry = self.contracts.model_registry;
        let version = model.version.saturating_sub(1);
        let reason = keccak256("superseded");
        let event = ModelRegistry::VersionDeprecated { versionId: model.id.version(version).0, reason };
        let call = ModelRegistry::deprecateVersionCall { modelId: U256::from(model.number), version, reason };
        Some(transaction(model.owner, registry, &call, vec![log(registry, &event)]))
    }

    /// A datanet, a model or an agent changes hands.
    fn hand_over(&mut self, keys: &mut Keyring) -> Option<Call> {
        match self.chance.random_range(0..3) {
            0 => {
                let at = skewed(&mut self.chance, self.datanets.len());
                let to = self.person(keys, "datanet owner", 2, 60);
                let registry = self.contracts.datanet_registry;
                let datanet = self.datanets.get_mut(at)?;
                let from = std::mem::replace(&mut datanet.owner, to);
                let id = U256::from(datanet.number);
                let event = DatanetRegistry::DatanetOwnershipTransferred { datanetId: id, from, to };
                let call = DatanetRegistry::transferOwnershipCall { datanetId: id, to };
                Some(transaction(from, registry, &call, vec![log(registry, &event)]))
            }
            1 => {
                let at = skewed(&mut self.chance, self.models.len());
                let to = self.person(keys, "model owner", 2, 120);
                let registry = self.contracts.model_registry;
                let model = self.models.get_mut(at)?;
                let from = std::mem::replace(&mut model.owner, to);
                let id = U256::from(model.number);
                let event = ModelRegistry::ModelOwnershipTransferred { modelId: id, from, to };
                let call = ModelRegistry::transferOwnershipCall { modelId: id, to };
                Some(transaction(from, registry, &call, vec![log(registry, &event)]))
            }
            _ => {
                let at = skewed(&mut self.chance, self.agents.len());
                let to = self.person(keys, "agent owner", 2, 60);
                let registry = self.contracts.agent_registry;
                let agent = self.agents.get_mut(at)?;
                let from = std::mem::replace(&mut agent.owner, to);
                let id = U256::from(agent.number);
                let event = AgentRegistry::Transfer { from, to, tokenId: id };
                let call = AgentRegistry::transferFromCall { from, to, tokenId: id };
                Some(transaction(from, registry, &call, vec![log(registry, &event)]))
            }
        }
    }

    /// An entity with an owner, for those who arrange how they are paid.
    pub(super) fn owned(&mut self) -> Option<(B256, Address)> {
        match self.chance.random_range(0..3) {
            0 => self.datanets.get(skewed(&mut self.chance, self.datanets.len())).map(|one| (one.id.0, one.owner)),
            1 => self.models.get(skewed(&mut self.chance, self.models.len())).map(|one| (one.id.0, one.owner)),
            _ => self.agents.get(skewed(&mut self.chance, self.agents.len())).map(|one| (one.id.0, one.owner)),
        }
    }
}
