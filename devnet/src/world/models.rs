//! Models with their lineage, and the agents deployed on them.

use alloy_primitives::{Address, B256, U256};
use rand::Rng;
use tributary_schemas::{
    code::{ModelKind, Relation},
    id::{AgentId, ModelId, VersionId, external_id},
    policy::PPB,
};

use crate::{
    chain::Call,
    chance::{percent, skewed, word},
    keys::Keyring,
    suite::{AgentRegistry, ModelRegistry, key, log},
    world::{World, datanets::license, transaction},
};

/// Deepest lineage: fine-tunes of fine-tunes end here.
const GENERATIONS: u32 = 5;
/// Targets kept for one subject, evenly picked from all of them: chains of tens of
/// thousands of blocks have thousands of subjects.
const TARGETS: usize = 256;
/// On chain, the share that was not given.
const NO_SHARE: u32 = u32::MAX;

/// A model.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) number: u64,
    pub(super) id: ModelId,
    pub(super) owner: Address,
    pub(super) kind: ModelKind,
    pub(super) parents: Vec<usize>,
    pub(super) generation: u32,
    pub(super) version: u32,
    /// What records about its last version may name.
    pub(super) targets: Vec<B256>,
}

/// An agent.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) number: u64,
    pub(super) id: AgentId,
    pub(super) owner: Address,
    pub(super) version: u32,
    pub(super) targets: Vec<B256>,
}

impl Agent {
    pub(super) fn last(&self) -> VersionId {
        self.id.version(self.version)
    }
}

impl Model {
    pub(super) fn last(&self) -> VersionId {
        self.id.version(self.version)
    }
}

/// The three parallel lists of a version.
#[derive(Debug, Default)]
struct Upstream {
    versions: Vec<B256>,
    relations: Vec<u8>,
    shares: Vec<u32>,
    targets: Vec<B256>,
}

impl Upstream {
    fn add(&mut self, version: B256, relation: Relation) {
        self.versions.push(version);
        self.relations.push(relation.number());
    }
}

impl World {
    pub(super) fn register_model(&mut self, keys: &mut Keyring) -> Call {
        // Models per author: median one, some with many.
        let owner = self.person(keys, "model owner", 2, 120);
        let number = u64::try_from(self.models.len()).unwrap_or_default().saturating_add(1);
        let published: Vec<usize> = (0..self.models.len())
            .filter(|at| self.models.get(*at).is_some_and(|model| model.version > 0 && model.generation < GENERATIONS))
            .collect();
        let kind = match self.chance.random_range(0..100) {
            _ if published.is_empty() => ModelKind::Base,
            _ if self.models.len() == 1 => ModelKind::Finetune,
            0..10 => ModelKind::Base,
            10..52 => ModelKind::Finetune,
            52..80 => ModelKind::Adapter,
            80..88 => ModelKind::Merge,
            88..96 => ModelKind::Quantized,
            _ => ModelKind::Distilled,
        };
        let wanted = match kind {
            ModelKind::Base => 0,
            ModelKind::Merge => 2,
            _ => 1,
        };
        let mut parents = Vec::new();
        for _ in 0..wanted {
            // Half the time a popular old model, half the time the newest: both a model
            // with very many children and long chains.
            let pick = if self.chance.random_bool(0.5) {
                skewed(&mut self.chance, published.len())
            } else {
                published.len().saturating_sub(1)
            };
            parents.extend(published.get(pick).copied().filter(|parent| !parents.contains(parent)));
        }
        let above = parents.iter().filter_map(|at| self.models.get(*at)).map(|model| model.generation).max();
        let registry = self.contracts.model_registry;
        let metadata = word(&mut self.chance);
        let uri = format!("hf://tributary/model-{number}");
        let event = ModelRegistry::ModelRegistered {
            modelId: U256::from(number),
            owner,
            kind: kind.number(),
            metadataHash: metadata,
            metadataURI: uri.clone(),
        };
        self.models.push(Model {
            number,
            id: ModelId::native(self.chain_id, registry, key(number)),
            owner,
            kind,
            parents,
            generation: above.map_or(0, |above| above.saturating_add(1)),
            version: 0,
            targets: Vec::new(),
        });
        let call = ModelRegistry::registerModelCall { kind: kind.number(), metadataHash: metadata, metadataURI: uri };
        transaction(owner, registry, &call, vec![log(registry, &event)])
    }

    /// A first version of a model that has none, or a further one.
    pub(super) fn publish_model(&mut self) -> Option<Call> {
        let unpublished = self.models.iter().position(|model| model.version == 0);
        let at = unpublished.unwrap_or_else(|| skewed(&mut self.chance, self.models.len()));
        let upstream = self.model_upstream(at)?;
        let model = self.models.get_mut(at)?;
        model.version = model.version.saturating_add(1);
        model.targets = upstream.targets;
        let (number, version, owner) = (model.number, model.version, model.owner);
        let artifact = word(&mut self.chance);
        let config = word(&mut self.chance);
        let license = license(skewed(&mut self.chance, 4));
        let registry = self.contracts.model_registry;
        let event = ModelRegistry::ModelVersionPublished {
            modelId: U256::from(number),
            version,
            artifactHash: artifact,
            configHash: config,
            licenseId: license,
            upstream: upstream.versions.clone(),
            relations: upstream.relations.clone(),
            shares: upstream.shares.clone(),
        };
        let call = ModelRegistry::publishVersionCall {
            modelId: U256::from(number),
            artifactHash: artifact,
            configHash: config,
            licenseId: license,
            upstream: upstream.versions,
            relations: upstream.relations,
            shares: upstream.shares,
        };
        Some(transaction(owner, registry, &call, vec![log(registry, &event)]))
    }

    fn model_upstream(&mut self, at: usize) -> Option<Upstream> {
        let mut upstream = Upstream::default();
        let model = self.models.get(at)?;
        let relation = match model.kind {
            ModelKind::Base | ModelKind::Finetune => Relation::BasedOnFinetune,
            ModelKind::Adapter => Relation::BasedOnAdapter,
            ModelKind::Merge => Relation::BasedOnMerge,
            ModelKind::Quantized => Relation::BasedOnQuantized,
            ModelKind::Distilled => Relation::BasedOnDistilled,
        };
        for parent in model.parents.iter().filter_map(|parent| self.models.get(*parent)) {
            upstream.add(parent.last().0, relation);
            upstream.targets.push(parent.last().0);
            upstream.targets.extend(&parent.targets);
        }
        let data = match model.kind {
            ModelKind::Quantized | ModelKind::Merge => 0,
            ModelKind::Base => 2,
            _ => 1,
        };
        let kind = model.kind;
        for _ in 0..data {
            self.use_dataset(&mut upstream, Relation::TrainedOn);
        }
        if percent(&mut self.chance, 20) {
            self.use_dataset(&mut upstream, Relation::EvaluatedOn);
        }
        // A quarter of real upstreams are registered nowhere.
        if kind != ModelKind::Base && percent(&mut self.chance, 25) {
            let which = skewed(&mut self.chance, 8);
            upstream.add(external_id(&format!("hf:elsewhere/model-{which}")).0, Relation::BasedOnFinetune);
        }
        self.share(&mut upstream);
        Some(upstream)
    }

    fn use_dataset(&mut self, upstream: &mut Upstream, relation: Relation) {
        let published: Vec<usize> = (0..self.datanets.len())
            .filter(|at| self.datanets.get(*at).is_some_and(|datanet| datanet.version > 0))
            .collect();
        let pick = skewed(&mut self.chance, published.len());
        let Some(datanet) = published.get(pick).and_then(|at| self.datanets.get(*at)) else { return };
        let version = datanet.id.version(datanet.version).0;
        if upstream.versions.contains(&version) {
            return;
        }
        upstream.add(version, relation);
        if relation != Relation::EvaluatedOn {
            upstream.targets.push(version);
            upstream.targets.extend(datanet.members.iter().map(|member| member.id.0));
        }
    }

    /// Shares in 10^-9: mostly given, at times left to equal parts.
    fn share(&mut self, upstream: &mut Upstream) {
        upstream.targets.sort_unstable();
        upstream.targets.dedup();
        let step = std::cmp::max(1, upstream.targets.len().div_ceil(TARGETS));
        upstream.targets = upstream.targets.iter().step_by(step).copied().collect();
        let count = upstream.versions.len();
        if percent(&mut self.chance, 25) {
            upstream.shares = vec![NO_SHARE; count];
            return;
        }
        let mut left = PPB;
        for _ in 0..count {
            let share = self.chance.random_range(1..=std::cmp::max(1, left / 2));
            upstream.shares.push(share);
            left = left.saturating_sub(share);
        }
    }

    pub(super) fn register_agent(&mut self, keys: &mut Keyring) -> Call {
        let owner = self.person(keys, "agent owner", 2, 60);
        let number = u64::try_from(self.agents.len()).unwrap_or_default().saturating_add(1);
        let registry = self.contracts.agent_registry;
        let uri = format!("https://agent-{number}.example/card.json");
        let id = U256::from(number);
        let mint = AgentRegistry::Transfer { from: Address::ZERO, to: owner, tokenId: id };
        let registered = AgentRegistry::Registered { agentId: id, agentURI: uri.clone(), owner };
        self.agents.push(Agent {
            number,
            id: AgentId::native(self.chain_id, registry, key(number)),
            owner,
            version: 0,
            targets: Vec::new(),
        });
        let logs = vec![log(registry, &mint), log(registry, &registered)];
        transaction(owner, registry, &AgentRegistry::registerCall { agentURI: uri }, logs)
    }

    pub(super) fn publish_agent(&mut self) -> Option<Call> {
        let unpublished = self.agents.iter().position(|agent| agent.version == 0);
        let at = unpublished.unwrap_or_else(|| skewed(&mut self.chance, self.agents.len()));
        self.agents.get(at)?;
        let mut upstream = Upstream::default();
        let models: Vec<usize> =
            (0..self.models.len()).filter(|at| self.models.get(*at).is_some_and(|model| model.version > 0)).collect();
        for nth in 0..2 {
            // The newest model of all on the first place half the time: deep lineage.
            let newest = nth == 0 && self.chance.random_bool(0.5);
            let pick = if newest { models.len().checked_sub(1)? } else { skewed(&mut self.chance, models.len()) };
            let model = models.get(pick).and_then(|at| self.models.get(*at))?;
            if !upstream.versions.contains(&model.last().0) && (nth == 0 || percent(&mut self.chance, 30)) {
                upstream.add(model.last().0, Relation::UsesModel);
                upstream.targets.push(model.last().0);
                upstream.targets.extend(&model.targets);
            }
        }
        if percent(&mut self.chance, 40) {
            self.use_dataset(&mut upstream, Relation::UsesData);
        }
        let other = self.agents.iter().find(|agent| agent.version > 0 && at > 0).map(Agent::last);
        if let Some(other) = other.filter(|_| percent(&mut self.chance, 20)) {
            upstream.add(other.0, Relation::CallsAgent);
        }
        if percent(&mut self.chance, 15) {
            upstream.add(external_id("hf:elsewhere/embedder").0, Relation::UsesModel);
        }
        self.share(&mut upstream);
        let agent = self.agents.get_mut(at)?;
        agent.version = agent.version.saturating_add(1);
        agent.targets = upstream.targets;
        let (number, version, owner) = (agent.number, agent.version, agent.owner);
        let config = word(&mut self.chance);
        let registry = self.contracts.agent_registry;
        let event = AgentRegistry::AgentVersionPublished {
            agentId: U256::from(number),
            version,
            configHash: config,
            upstream: upstream.versions.clone(),
            relations: upstream.relations.clone(),
            shares: upstream.shares.clone(),
        };
        let call = AgentRegistry::publishVersionCall {
            agentId: U256::from(number),
            configHash: config,
            upstream: upstream.versions,
            relations: upstream.relations,
            shares: upstream.shares,
        };
        Some(transaction(owner, registry, &call, vec![log(registry, &event)]))
    }
}
