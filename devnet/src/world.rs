//! What happens on the chain: people, data, models, agents, answers and money.
//!
//! The world plans the transactions of each block. It keeps what the contracts of the
//! reference suite would keep, so that what it emits is what they would emit: counters
//! from 1, native keys from accounts and nonces, `seq` without gaps, money only with the
//! transfer that brings it. A part of the transactions is wrong or hostile on purpose;
//! those never change what the world believes.
//!
//! Two streams of the seed are used: `chain` decides what happens, `blobs` what is in the
//! payloads and, in a branch of its own, how they are certified.

mod batches;
mod blobs;
mod datanets;
mod hostile;
mod models;
mod money;
mod usage;

use std::collections::{BTreeMap, VecDeque};

use alloy_primitives::{Address, B256, Bytes, Log, U256};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tributary_schemas::id::{BatchId, InferenceId, MethodId, VersionId};

use crate::{
    chain::Call,
    chance::skewed,
    config::{DevnetConfig, Workload},
    disperser::Disperser,
    keys::{Keyring, labelled, stream},
    suite::{Erc20, log},
    truth::{Contracts, TruthBatch},
    world::{
        batches::{Committed, Producer},
        blobs::References,
        datanets::Datanet,
        models::{Agent, Model},
        money::Paid,
        usage::Edge,
    },
};

/// What the world remembers for the truth.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) batches: Vec<TruthBatch>,
    pub(crate) received: BTreeMap<Address, U256>,
    pub(crate) refunded: BTreeMap<Address, U256>,
    pub(crate) payments: u64,
    pub(crate) hostile: u64,
}

/// The state of everything on the chain.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) contracts: Contracts,
    /// Payloads that are kept under their hash: what the proxy keeps for keccak commitments.
    pub(crate) blobs: BTreeMap<B256, Bytes>,
    pub(crate) disperser: Disperser,
    pub(crate) told: Told,
    chain_id: u64,
    workload: Workload,
    chance: ChaCha8Rng,
    blob_chance: ChaCha8Rng,
    references: References,
    admin: Address,
    /// A contract of nobody we know, which emits our events.
    stranger: Address,
    people: BTreeMap<&'static str, u64>,
    nonces: BTreeMap<(Address, Address), u64>,
    datanets: Vec<Datanet>,
    models: Vec<Model>,
    agents: Vec<Agent>,
    methods: Vec<MethodId>,
    producers: Vec<Producer>,
    committed: VecDeque<Committed>,
    recorded: Vec<(InferenceId, VersionId, usize)>,
    params: Vec<B256>,
    payments: VecDeque<Paid>,
    stakes: BTreeMap<(B256, Address), U256>,
    /// The late edge that stands, if one does.
    asserted: Option<Edge>,
    /// The batch that is challenged, if one is.
    disputed: Option<BatchId>,
    policy_version: u32,
    number: u64,
    time: u64,
}

/// What a transaction of the workload may be about.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Found,
    Submit,
    Review,
    Withdraw,
    PublishDataset,
    RegisterModel,
    PublishModel,
    RegisterAgent,
    PublishAgent,
    Housekeeping,
    Record,
    Batch,
    Pay,
    Refund,
    Stake,
    Arrange,
    Judge,
    Dispute,
    Transfer,
    Wrong,
    Hostile,
}

/// How often each deed is drawn.
const DEEDS: [(Deed, u32); 20] = [
    (Deed::Found, 2),
    (Deed::Submit, 26),
    (Deed::Review, 24),
    (Deed::Withdraw, 1),
    (Deed::PublishDataset, 5),
    (Deed::RegisterModel, 2),
    (Deed::PublishModel, 4),
    (Deed::RegisterAgent, 1),
    (Deed::PublishAgent, 2),
    (Deed::Housekeeping, 2),
    (Deed::Record, 3),
    (Deed::Pay, 24),
    (Deed::Refund, 1),
    (Deed::Stake, 3),
    (Deed::Arrange, 3),
    (Deed::Judge, 1),
    (Deed::Dispute, 2),
    (Deed::Transfer, 5),
    (Deed::Wrong, 2),
    (Deed::Hostile, 2),
];

/// The first blocks, so that even a short chain has one of everything that pays.
const OPENING: [&[Deed]; 12] = [
    &[Deed::Found, Deed::Found, Deed::Submit, Deed::Submit],
    &[Deed::Submit, Deed::Submit, Deed::Submit, Deed::Submit, Deed::Submit],
    &[Deed::Review, Deed::Review, Deed::Review, Deed::Review, Deed::Review],
    &[Deed::Review, Deed::Review, Deed::PublishDataset, Deed::PublishDataset],
    &[Deed::RegisterModel, Deed::PublishModel, Deed::Stake],
    &[Deed::RegisterModel, Deed::PublishModel, Deed::Submit, Deed::Submit],
    &[Deed::RegisterAgent, Deed::PublishAgent, Deed::Review, Deed::Review],
    &[Deed::Pay, Deed::Pay, Deed::Stake],
    &[Deed::Batch, Deed::Pay, Deed::Pay],
    &[Deed::RegisterAgent, Deed::PublishAgent, Deed::Record, Deed::PublishDataset],
    &[Deed::Pay, Deed::Pay, Deed::Pay, Deed::Arrange],
    &[Deed::Batch, Deed::Pay, Deed::Pay, Deed::Judge],
];

impl World {
    pub(crate) fn new(config: &DevnetConfig, keys: &mut Keyring) -> Self {
        let at = |name: &str| Address::from_word(labelled(config.seed, name, 0));
        let contracts = Contracts {
            datanet_registry: at("datanet registry"),
            model_registry: at("model registry"),
            agent_registry: at("agent registry"),
            attribution_hub: at("attribution hub"),
            reward_vault: at("reward vault"),
            token_6: at("token of 6 decimals"),
            token_18: at("token of 18 decimals"),
        };
        Self {
            contracts,
            blobs: BTreeMap::new(),
            disperser: Disperser::new(config.seed),
            told: Told::default(),
            chain_id: config.chain_id,
            workload: config.workload.clone(),
            chance: stream(config.seed, "chain"),
            blob_chance: stream(config.seed, "blobs"),
            references: References::new(config),
            admin: keys.account("admin", 0),
            stranger: at("stranger"),
            people: BTreeMap::new(),
            nonces: BTreeMap::new(),
            datanets: Vec::new(),
            models: Vec::new(),
            agents: Vec::new(),
            methods: Vec::new(),
            producers: Vec::new(),
            committed: VecDeque::new(),
            recorded: Vec::new(),
            params: Vec::new(),
            payments: VecDeque::new(),
            stakes: BTreeMap::new(),
            asserted: None,
            disputed: None,
            policy_version: 0,
            number: 0,
            time: 0,
        }
    }

    /// The batch whose blob the faults `missing-blob` and `late-blob` lose: the third sound one.
    pub(crate) fn batch_to_lose(&self) -> Option<&TruthBatch> {
        let mut sound = self.told.batches.iter().filter(|batch| batch.make == crate::Make::Sound);
        sound.nth(2)
    }

    /// The user transactions of a block.
    pub(crate) fn plan(&mut self, keys: &mut Keyring, number: u64, time: u64) -> Vec<Call> {
        (self.number, self.time) = (number, time);
        if number > self.workload.blocks {
            return Vec::new();
        }
        if number == 1 {
            return self.constitution(keys);
        }
        let opening = number.checked_sub(2).and_then(|at| usize::try_from(at).ok()).and_then(|at| OPENING.get(at));
        if let Some(deeds) = opening {
            return deeds.iter().filter_map(|deed| self.act(keys, *deed)).collect();
        }
        let mut calls = Vec::new();
        let wanted = self.chance.random_range(4..=8_u32).saturating_mul(self.workload.intensity_percent) / 100;
        for _ in 0..std::cmp::max(1, wanted) {
            let deed = self.draw();
            let call = self.act(keys, deed).or_else(|| self.act(keys, Deed::Submit));
            calls.extend(call);
        }
        for _ in 0..self.workload.payments {
            calls.extend(self.act(keys, Deed::Pay));
        }
        if self.chance.random_range(0..std::cmp::max(1, self.workload.batch_every)) == 0 {
            calls.extend(self.act(keys, Deed::Batch));
        }
        if number == self.workload.blocks && self.disputed.is_some() {
            // No challenge stays open when the work is done.
            calls.extend(self.act(keys, Deed::Dispute));
        }
        calls
    }

    /// The first block: the policy, two methods, two producers.
    fn constitution(&mut self, keys: &mut Keyring) -> Vec<Call> {
        let mut calls = vec![self.set_policy()];
        calls.extend((0..2).map(|which| self.register_method(which)));
        calls.extend((0..2).map(|which| self.allow_producer(keys, which)));
        calls
    }

    fn draw(&mut self) -> Deed {
        let total: u32 = DEEDS.iter().map(|(_, weight)| weight).sum();
        let mut at = self.chance.random_range(0..total);
        for (deed, weight) in DEEDS {
            match at.checked_sub(weight) {
                Some(rest) => at = rest,
                None => return deed,
            }
        }
        Deed::Submit
    }

    fn act(&mut self, keys: &mut Keyring, deed: Deed) -> Option<Call> {
        match deed {
            Deed::Found => Some(self.found_datanet(keys)),
            Deed::Submit => self.submit(keys),
            Deed::Review => self.review(),
            Deed::Withdraw => self.withdraw(),
            Deed::PublishDataset => self.publish_dataset(),
            Deed::RegisterModel => Some(self.register_model(keys)),
            Deed::PublishModel => self.publish_model(),
            Deed::RegisterAgent => Some(self.register_agent(keys)),
            Deed::PublishAgent => self.publish_agent(),
            Deed::Housekeeping => self.housekeeping(keys),
            Deed::Record => self.record_inference(keys),
            Deed::Batch => self.commit_batch(),
            Deed::Pay => self.pay(keys),
            Deed::Refund => self.refund(),
            Deed::Stake => self.stake(keys),
            Deed::Arrange => self.arrange(keys),
            Deed::Judge => self.judge(),
            Deed::Dispute => self.dispute(keys),
            Deed::Transfer => Some(self.plain_transfer(keys)),
            Deed::Wrong if self.workload.hostile => self.wrong(),
            Deed::Hostile if self.workload.hostile => Some(self.hostile(keys)),
            Deed::Wrong | Deed::Hostile => None,
        }
    }

    /// Somebody in a role: one time in `fresh` somebody new, else mostly those who came
    /// first.
    fn person(&mut self, keys: &mut Keyring, role: &'static str, fresh: u32, most: u64) -> Address {
        let made = self.people.entry(role).or_insert(0);
        let index = if *made == 0 || (*made < most && self.chance.random_range(0..fresh) == 0) {
            *made = made.saturating_add(1);
            made.saturating_sub(1)
        } else {
            let len = usize::try_from(*made).unwrap_or(usize::MAX);
            u64::try_from(skewed(&mut self.chance, len)).unwrap_or_default()
        };
        keys.account(role, index)
    }

    /// The next nonce of an account in a contract, from 1 as the suite counts.
    fn nonce(&mut self, contract: Address, account: Address) -> u64 {
        let nonce = self.nonces.entry((contract, account)).or_insert(0);
        *nonce = nonce.saturating_add(1);
        *nonce
    }

    /// A transfer that has nothing to do with the suite: most traffic of a chain is such.
    fn plain_transfer(&mut self, keys: &mut Keyring) -> Call {
        let (from, to) = (self.person(keys, "trader", 8, 200), self.person(keys, "trader", 8, 200));
        let value = U256::from(self.chance.random_range(1..1_000_000_000_u64));
        let token = self.contracts.token_18;
        let logs = vec![log(token, &Erc20::Transfer { from, to, value })];
        transaction(from, token, &Erc20::transferCall { to, value }, logs)
    }
}

/// A transaction without value that calls a function and succeeds.
fn transaction(from: Address, to: Address, input: &impl alloy_sol_types::SolCall, logs: Vec<Log>) -> Call {
    Call { from, to, value: U256::ZERO, input: input.abi_encode().into(), logs, success: true }
}
