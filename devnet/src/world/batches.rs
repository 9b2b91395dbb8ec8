//! Attribution batches: answers, what they were made from, and the blobs that say so.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use rand::{Rng, RngCore};
use tributary_schemas::{
    batch::{BatchFooter, FORMAT},
    code::ChallengeOutcome,
    id::{BatchId, InferenceId, MethodId, VersionId},
};

use crate::{
    chain::Call,
    chance::{heavy, percent, skewed, word},
    keys::Keyring,
    payload::{Inference, Record, root, write},
    suite::{AttributionHub as Hub, key_of, log},
    truth::{Make, TruthBatch},
    world::{World, transaction},
};

/// Committed batches that payments still refer to.
const REMEMBERED: usize = 24;
/// Batches that are sound whatever the dice say, so that short chains pay somebody.
const SOUND_FIRST: usize = 3;

/// A producer of batches.
#[derive(Debug)]
pub(super) struct Producer {
    pub(super) account: Address,
    /// The `seq` of its next batch.
    pub(super) seq: u64,
    pub(super) method: MethodId,
    pub(super) params: B256,
}

/// A batch payments can refer to.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) batch: BatchId,
    block: u64,
    /// Challenged before: the hub takes no second challenge of a batch that lost one.
    disputed: bool,
    /// The subject most of its answers came from.
    pub(super) subject: VersionId,
    pub(super) inferences: Vec<(InferenceId, B256)>,
}

/// What a batch says on chain.
struct Claim {
    inferences: u32,
    records: u32,
    payload_hash: B256,
    records_root: B256,
    reference: Bytes,
}

impl World {
    pub(super) fn register_method(&mut self, which: u8) -> Call {
        let (registrant, hub) = (self.admin, self.contracts.attribution_hub);
        let params = word(&mut self.chance);
        let name = if which == 0 { "influence functions" } else { "suffix-array spans" };
        let native = key_of(registrant, self.nonce(hub, registrant));
        self.methods.push(MethodId::native(self.chain_id, hub, native));
        let event = Hub::MethodRegistered {
            methodId: native,
            registrant,
            valueKind: which,
            verifiability: 2,
            paramsHash: params,
            name: name.to_owned(),
        };
        let call =
            Hub::registerMethodCall { valueKind: which, verifiability: 2, paramsHash: params, name: name.to_owned() };
        self.params.push(params);
        transaction(registrant, hub, &call, vec![log(hub, &event)])
    }

    pub(super) fn allow_producer(&mut self, keys: &mut Keyring, which: u8) -> Call {
        let hub = self.contracts.attribution_hub;
        let account = keys.account("producer", which.into());
        let at = usize::from(which);
        let method = self.methods.get(at).copied().unwrap_or(MethodId(B256::ZERO));
        let params = self.params.get(at).copied().unwrap_or_default();
        self.producers.push(Producer { account, seq: 0, method, params });
        let event = Hub::ProducerSet { scope: B256::ZERO, producer: account, allowed: true };
        let call = Hub::setProducerCall { scope: B256::ZERO, producer: account, allowed: true };
        transaction(self.admin, hub, &call, vec![log(hub, &event)])
    }

    /// The id the next batch of a producer will have: payments may name it beforehand.
    pub(super) fn next_batch(&self, producer: usize) -> Option<BatchId> {
        let producer = self.producers.get(producer)?;
        let native = key_of(producer.account, producer.seq);
        Some(BatchId::native(self.chain_id, self.contracts.attribution_hub, native))
    }

    pub(super) fn commit_batch(&mut self) -> Option<Call> {
        let which = usize::from(percent(&mut self.chance, 20));
        let batch = self.next_batch(which)?;
        let (main, inferences) = self.answers(batch)?;
        let make = self.next_make();
        let claim = self.make_blob(batch, which, &inferences, make)?;
        let hub = self.contracts.attribution_hub;
        let producer = self.producers.get_mut(which)?;
        let (account, seq, method) = (producer.account, producer.seq, producer.method);
        producer.seq = producer.seq.saturating_add(1);
        let native = key_of(account, seq);
        self.told.batches.push(TruthBatch {
            block: self.number,
            key: native,
            producer: account,
            seq,
            payload_hash: claim.payload_hash,
            reference: claim.reference.clone(),
            inferences: claim.inferences,
            records: claim.records,
            make,
        });
        let ids = (0_u32..)
            .zip(&inferences)
            .map(|(at, one)| (one.id.unwrap_or_else(|| InferenceId::in_batch(batch, at)), one.subject));
        self.committed.push_back(Committed {
            batch,
            block: self.number,
            disputed: false,
            subject: main,
            inferences: ids.collect(),
        });
        if self.committed.len() > REMEMBERED {
            self.committed.pop_front();
        }
        let event = Hub::AttributionBatchCommitted {
            batchId: native,
            producer: account,
            methodId: method.0,
            seq,
            inferenceCount: claim.inferences,
            recordCount: claim.records,
            payloadHash: claim.payload_hash,
            recordsRoot: claim.records_root,
            blobRef: claim.reference.clone(),
        };
        let call = Hub::commitBatchCall {
            method: method.0,
            seq,
            inferenceCount: claim.inferences,
            recordCount: claim.records,
            payloadHash: claim.payload_hash,
            recordsRoot: claim.records_root,
            blobRef: claim.reference,
        };
        Some(transaction(account, hub, &call, vec![log(hub, &event)]))
    }

    /// What will be wrong with the next batch, if anything.
    fn next_make(&mut self) -> Make {
        if !self.workload.hostile || self.told.batches.len() < SOUND_FIRST {
            return Make::Sound;
        }
        if percent(&mut self.chance, 12) {
            let ways = [
                Make::WrongHash,
                Make::WrongRoot,
                Make::NoParquet,
                Make::WrongCounts,
                Make::Unsorted,
                Make::WrongFooter,
            ];
            return ways[self.chance.random_range(0..ways.len())];
        }
        self.references.next_flaw()
    }

    /// A challenge of the newest batch, or the end of the one that is open. Only where the
    /// policy has a window for it.
    pub(super) fn dispute(&mut self, keys: &mut Keyring) -> Option<Call> {
        let hub = self.contracts.attribution_hub;
        if let Some(disputed) = self.disputed.take() {
            let other = self.committed.iter().map(|one| one.batch).rfind(|batch| *batch != disputed);
            let (outcome, replacement) = match (self.chance.random_range(0..10), other) {
                (0, Some(other)) => (ChallengeOutcome::Replaced, other.0),
                (1..4, _) => (ChallengeOutcome::Upheld, B256::ZERO),
                _ => (ChallengeOutcome::Rejected, B256::ZERO),
            };
            let outcome = outcome.number();
            let event = Hub::AttributionBatchResolved { batchId: disputed.0, outcome, replacementBatchId: replacement };
            let call = Hub::resolveBatchCall { batch: disputed.0, outcome, replacement };
            return Some(transaction(self.admin, hub, &call, vec![log(hub, &event)]));
        }
        let challenger = self.person(keys, "challenger", 2, 20);
        let window = self.workload.policy.challenge_blocks;
        let newest = self.committed.back_mut()?;
        if window == 0 || newest.disputed || self.number > newest.block.saturating_add(window) {
            return None;
        }
        newest.disputed = true;
        let index = u32::try_from(skewed(&mut self.chance, newest.inferences.len())).ok()?;
        let batch = newest.batch;
        self.disputed = Some(batch);
        let bond = U256::from(1_000_000_000_000_000_u64);
        let event = Hub::AttributionBatchChallenged {
            batchId: batch.0,
            challenger,
            inferenceIndex: index,
            token: Address::ZERO,
            bond,
        };
        let call = Hub::challengeBatchCall { batch: batch.0, inferenceIndex: index };
        Some(Call { value: bond, ..transaction(challenger, hub, &call, vec![log(hub, &event)]) })
    }

    /// What a batch is about: the answers recorded on chain when there are enough of
    /// them, else answers of one agent mostly.
    fn answers(&mut self, batch: BatchId) -> Option<(VersionId, Vec<Inference>)> {
        let agents: Vec<usize> =
            (0..self.agents.len()).filter(|at| self.agents.get(*at).is_some_and(|agent| agent.version > 0)).collect();
        let main = *agents.get(skewed(&mut self.chance, agents.len()))?;
        let subject = self.agents.get(main)?.last();
        let weighed = percent(&mut self.chance, 50);
        let mut plans: Vec<(usize, VersionId, Option<InferenceId>)> = Vec::new();
        if self.recorded.len() >= 4 {
            plans.extend(self.recorded.drain(..).map(|(id, subject, agent)| (agent, subject, Some(id))));
        } else {
            let count = heavy(&mut self.chance, 20, 3).saturating_mul(self.workload.intensity_percent.into()) / 100;
            for _ in 0..std::cmp::max(1, count) {
                plans.push(self.answer(&agents, main, subject));
            }
        }
        for _ in plans.len()..self.workload.inferences_min {
            plans.push(self.answer(&agents, main, subject));
        }
        let subject = plans.first().map_or(subject, |plan| plan.1);
        let mut inferences = Vec::with_capacity(plans.len());
        for (agent, subject, id) in plans {
            let fee_weight = weighed.then(|| i64::try_from(heavy(&mut self.blob_chance, 1, 12)).unwrap_or(1));
            let records = self.records(agent, batch);
            inferences.push(Inference { subject: subject.0, fee_weight, id, records });
        }
        Some((subject, inferences))
    }

    /// An answer that is recorded in its batch only: mostly the main agent's.
    fn answer(&mut self, agents: &[usize], main: usize, subject: VersionId) -> (usize, VersionId, Option<InferenceId>) {
        let other = percent(&mut self.blob_chance, 12);
        let at = if other { agents[skewed(&mut self.blob_chance, agents.len())] } else { main };
        (at, self.agents.get(at).map_or(subject, super::models::Agent::last), None)
    }

    /// The records of one answer of an agent: heavy-tailed scores, some negative; now and
    /// then targets that nobody knows or that are none of its upstream.
    fn records(&mut self, agent: usize, batch: BatchId) -> Vec<Record> {
        let chance = &mut self.blob_chance;
        let foreign = self.datanets.last().and_then(|datanet| datanet.members.first()).map(|member| member.id.0);
        let targets = self.agents.get(agent).map(|agent| agent.targets.as_slice()).unwrap_or_default();
        let barren = percent(chance, 3);
        let count = std::cmp::min(heavy(chance, 3, 3), 30);
        let mut records: BTreeMap<(B256, Option<u32>), i64> = BTreeMap::new();
        for _ in 0..count {
            let target = match chance.random_range(0..200) {
                0 => keccak256(batch.0),
                1..4 => foreign.unwrap_or_else(|| keccak256(batch.0)),
                _ => targets.get(skewed(chance, targets.len())).copied().unwrap_or_else(|| keccak256(batch.0)),
            };
            // A target either has rows or has none, so that their order has no question.
            let row = target[31].is_multiple_of(4).then(|| chance.random_range(0..50));
            let size = i64::try_from(heavy(chance, 1_000, 24)).unwrap_or(i64::MAX >> 8);
            let negative = barren || percent(chance, 12);
            records.insert((target, row), if negative { size.saturating_neg() } else { size });
        }
        records.into_iter().map(|((target, row), score)| Record { target, row, score }).collect()
    }

    fn make_blob(&mut self, batch: BatchId, which: usize, inferences: &[Inference], make: Make) -> Option<Claim> {
        let producer = self.producers.get(which)?;
        let count = u32::try_from(inferences.len()).ok()?;
        let records = u32::try_from(inferences.iter().map(|one| one.records.len()).sum::<usize>()).ok()?;
        let records_root = root(batch, inferences);
        let seq = producer.seq.saturating_add(u64::from(make == Make::WrongFooter));
        let footer = BatchFooter {
            format: FORMAT.to_owned(),
            chain_id: self.chain_id,
            hub: self.contracts.attribution_hub,
            producer: producer.account,
            seq,
            method: producer.method.0,
            params_hash: producer.params,
            score_exp: -9,
            inferences: count,
            records,
        };
        let mut written = inferences.to_vec();
        if make == Make::Unsorted
            && let Some(long) = written.iter_mut().find(|one| one.records.len() > 1)
        {
            long.records.reverse();
        }
        let payload = if make == Make::NoParquet {
            let mut noise = vec![0; 700];
            self.blob_chance.fill_bytes(&mut noise);
            noise.into()
        } else {
            write(&footer, &written).expect("every record fits its column")
        };
        let (digest, reference) = self.keep_blob(payload, make);
        let wrong = |is: bool, digest: B256| if is { keccak256(digest) } else { digest };
        Some(Claim {
            inferences: if make == Make::WrongCounts { count.saturating_add(1) } else { count },
            records,
            payload_hash: wrong(make == Make::WrongHash, digest),
            records_root: wrong(make == Make::WrongRoot, records_root),
            reference,
        })
    }
}
