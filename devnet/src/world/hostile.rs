//! Wrong facts and hostile ones.
//!
//! The suite's contracts would refuse most of the wrong facts below. A contract that was
//! upgraded badly would not, and a stranger's contract emits whatever it likes: neither
//! may change what anybody is owed, and none may stop an indexer.

use alloy_primitives::{Address, B256, Bytes, Log, LogData, U256, keccak256};
use alloy_sol_types::SolEvent;
use rand::{Rng, RngCore};
use tributary_schemas::code::Relation;

use crate::{
    chain::Call,
    chance::{skewed, word},
    keys::Keyring,
    suite::{AgentRegistry, AttributionHub, DatanetRegistry, ModelRegistry, RewardVault, key, key_of, log},
    world::World,
};

impl World {
    /// A fact by a contract of the suite that does not hold.
    pub(super) fn wrong(&mut self) -> Option<Call> {
        let noise = word(&mut self.chance);
        let logs = match self.chance.random_range(0..10) {
            0 => vec![self.datanet_twice()?],
            1 => vec![self.review_of_nothing(noise)],
            2 => vec![self.version_again()?],
            3 => vec![self.batch_out_of_order(noise)?],
            4 => vec![self.shares_above_a_whole(noise)?],
            5 => vec![self.payment_twice()?],
            6 => vec![self.payment_out_of_range(noise)],
            7 => vec![self.refund_of_too_much()?],
            8 => vec![self.policy_of_nonsense()],
            _ => vec![self.broken_data()?],
        };
        self.told.hostile = self.told.hostile.saturating_add(1);
        let to = logs.first()?.address;
        Some(shouted(self.admin, to, logs))
    }

    /// A stranger's contract with the suite's own topics.
    pub(super) fn hostile(&mut self, keys: &mut Keyring) -> Call {
        let from = self.person(keys, "hostile", 8, 20);
        let noise = word(&mut self.chance);
        let log = match self.chance.random_range(0..8) {
            draw @ 0..4 => self.false_authority(draw, from, noise),
            draw => self.false_registry(draw, from, noise),
        };
        self.told.hostile = self.told.hostile.saturating_add(1);
        shouted(from, self.stranger, vec![log])
    }

    /// Money, policy, producers and epochs, said by somebody who may not.
    fn false_authority(&self, draw: u32, from: Address, noise: B256) -> Log {
        let stranger = self.stranger;
        match draw {
            0 => {
                let subject = self.agents.first().map_or(noise, |agent| agent.last().0);
                let event = RewardVault::RevenueReceived {
                    paymentId: noise,
                    subjectVersionId: subject,
                    payer: from,
                    token: Address::ZERO,
                    amount: U256::from(10).pow(U256::from(30)),
                    r#ref: B256::ZERO,
                };
                log(stranger, &event)
            }
            1 => log(stranger, &AttributionHub::ProducerSet { scope: B256::ZERO, producer: from, allowed: true }),
            2 => {
                let event = RewardVault::EpochSettled {
                    epoch: 0,
                    token: Address::ZERO,
                    root: noise,
                    total: U256::MAX,
                    lastBlock: self.number,
                    ledgerDigest: noise,
                };
                log(stranger, &event)
            }
            _ => {
                let event = RewardVault::RewardPolicySet {
                    scope: B256::ZERO,
                    policyHash: noise,
                    version: u32::MAX,
                    policy: Bytes::from_static(b"{\"split_ppb\":{\"platform\":1000000000}}"),
                };
                log(stranger, &event)
            }
        }
    }

    /// Registry facts with text that breaks things, about our entities, or of no shape.
    fn false_registry(&mut self, draw: u32, from: Address, noise: B256) -> Log {
        let stranger = self.stranger;
        match draw {
            4 => {
                let event = DatanetRegistry::DatanetCreated {
                    datanetId: U256::from(self.number),
                    owner: from,
                    visibility: 0,
                    licenseId: noise,
                    metadataHash: noise,
                    metadataURI: "ipfs://\0\u{202e}'; DROP TABLE datanets; --\0".to_owned(),
                };
                log(stranger, &event)
            }
            5 => {
                let event = AgentRegistry::Registered {
                    agentId: U256::from(self.number),
                    agentURI: "A".repeat(self.chance.random_range(20_000..60_000)),
                    owner: from,
                };
                log(stranger, &event)
            }
            6 => {
                let ours = self.datanets.first().and_then(|one| one.waiting.first());
                let event = DatanetRegistry::ContributionReviewed {
                    contributionId: ours.map_or(noise, |one| one.id.0),
                    reviewer: from,
                    decision: 0,
                    qualityScore: i32::MAX,
                    reason: B256::ZERO,
                };
                log(stranger, &event)
            }
            _ => self.noise_under_our_topic(),
        }
    }

    fn datanet_twice(&mut self) -> Option<Log> {
        let datanet = self.datanets.get(skewed(&mut self.chance, self.datanets.len()))?;
        Some(log(
            self.contracts.datanet_registry,
            &DatanetRegistry::DatanetCreated {
                datanetId: U256::from(datanet.number),
                owner: self.admin,
                visibility: 0,
                licenseId: datanet.license,
                metadataHash: B256::ZERO,
                metadataURI: "ipfs://taken".to_owned(),
            },
        ))
    }

    fn review_of_nothing(&self, noise: B256) -> Log {
        log(
            self.contracts.datanet_registry,
            &DatanetRegistry::ContributionReviewed {
                contributionId: noise,
                reviewer: self.admin,
                decision: 0,
                qualityScore: 1,
                reason: B256::ZERO,
            },
        )
    }

    fn version_again(&self) -> Option<Log> {
        let model = self.models.iter().find(|model| model.version > 0)?;
        Some(log(
            self.contracts.model_registry,
            &ModelRegistry::ModelVersionPublished {
                modelId: U256::from(model.number),
                version: model.version,
                artifactHash: B256::ZERO,
                configHash: B256::ZERO,
                licenseId: B256::ZERO,
                upstream: Vec::new(),
                relations: Vec::new(),
                shares: Vec::new(),
            },
        ))
    }

    fn batch_out_of_order(&self, noise: B256) -> Option<Log> {
        let producer = self.producers.first()?;
        let seq = producer.seq.saturating_add(5);
        Some(log(
            self.contracts.attribution_hub,
            &AttributionHub::AttributionBatchCommitted {
                batchId: key_of(producer.account, seq),
                producer: producer.account,
                methodId: producer.method.0,
                seq,
                inferenceCount: 1,
                recordCount: 1,
                payloadHash: noise,
                recordsRoot: noise,
                blobRef: crate::suite::keccak_reference(noise),
            },
        ))
    }

    fn shares_above_a_whole(&self, noise: B256) -> Option<Log> {
        let model = self.models.iter().find(|model| model.version > 0)?;
        Some(log(
            self.contracts.model_registry,
            &ModelRegistry::ModelVersionPublished {
                modelId: U256::from(model.number),
                version: model.version.saturating_add(1),
                artifactHash: noise,
                configHash: noise,
                licenseId: noise,
                upstream: vec![noise, keccak256(noise)],
                relations: vec![Relation::BasedOnMerge.number(); 2],
                shares: vec![700_000_000, 300_000_001],
            },
        ))
    }

    fn payment_twice(&self) -> Option<Log> {
        let paid = self.payments.front()?;
        Some(log(
            self.contracts.reward_vault,
            &RewardVault::RevenueReceived {
                paymentId: paid.key,
                subjectVersionId: B256::ZERO,
                payer: self.admin,
                token: Address::ZERO,
                amount: U256::from(1),
                r#ref: B256::ZERO,
            },
        ))
    }

    fn payment_out_of_range(&mut self, noise: B256) -> Log {
        let limit = U256::from(10).pow(U256::from(38));
        let amount = [U256::ZERO, limit, U256::MAX][self.chance.random_range(0..3)];
        log(
            self.contracts.reward_vault,
            &RewardVault::RevenueReceived {
                paymentId: noise,
                subjectVersionId: noise,
                payer: self.admin,
                token: self.contracts.token_18,
                amount,
                r#ref: B256::ZERO,
            },
        )
    }

    fn refund_of_too_much(&self) -> Option<Log> {
        let paid = self.payments.front()?;
        Some(log(
            self.contracts.reward_vault,
            &RewardVault::RevenueRefunded {
                paymentId: paid.id.0,
                to: self.admin,
                amount: U256::from(10).pow(U256::from(37)),
            },
        ))
    }

    fn policy_of_nonsense(&mut self) -> Log {
        let texts: [&'static [u8]; 4] = [
            b"{\"split_ppb\":{\"platform\":1,\"agent\":1,\"model\":1,\"data\":1,\"stakers\":1}}",
            b"not json at all",
            b"{\"split\":\"everything to me\"}",
            b"{\"lineage\":{\"pass_ppb\":0,\"max_depth\":99,\"mode\":\"relative\"}}",
        ];
        let policy = Bytes::from_static(texts[self.chance.random_range(0..texts.len())]);
        log(
            self.contracts.reward_vault,
            &RewardVault::RewardPolicySet {
                scope: B256::ZERO,
                policyHash: keccak256(&policy),
                version: self.policy_version.saturating_add(1),
                policy,
            },
        )
    }

    /// An event of ours whose data was cut, lengthened or points outside itself.
    fn broken_data(&mut self) -> Option<Log> {
        let agent = self.agents.first()?;
        let event = AgentRegistry::AgentVersionPublished {
            agentId: U256::from(agent.number),
            version: agent.version.saturating_add(1),
            configHash: B256::ZERO,
            upstream: vec![key(7)],
            relations: vec![Relation::UsesModel.number()],
            shares: vec![1],
        };
        let whole = event.encode_log_data();
        let mut data = whole.data.to_vec();
        match self.chance.random_range(0..3) {
            0 => data.truncate(data.len().saturating_sub(40)),
            1 => data.truncate(0),
            // The offset of the first list, far outside.
            _ => data.get_mut(32..64)?.fill(0xff),
        }
        Some(Log {
            address: self.contracts.agent_registry,
            data: LogData::new_unchecked(whole.topics().to_vec(), data.into()),
        })
    }

    /// One of our topics over random bytes, with a random number of topics.
    fn noise_under_our_topic(&mut self) -> Log {
        let ours = [
            DatanetRegistry::ContributionSubmitted::SIGNATURE_HASH,
            ModelRegistry::ModelVersionPublished::SIGNATURE_HASH,
            AgentRegistry::Registered::SIGNATURE_HASH,
            RewardVault::SplitSet::SIGNATURE_HASH,
        ];
        let mut topics = vec![ours[self.chance.random_range(0..ours.len())]];
        topics.extend((0..self.chance.random_range(0..=3)).map(|_| word(&mut self.chance)));
        let mut data = vec![0; self.chance.random_range(0..300)];
        self.chance.fill_bytes(&mut data);
        Log { address: self.stranger, data: LogData::new_unchecked(topics, data.into()) }
    }
}

/// A transaction with calldata of no function anyone knows.
fn shouted(from: Address, to: Address, logs: Vec<Log>) -> Call {
    let selector = keccak256("shout(bytes32[],bytes)");
    Call { from, to, value: U256::ZERO, input: Bytes::copy_from_slice(&selector[..4]), logs, success: true }
}
