use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Log, U256, keccak256};
use alloy_sol_types::{SolEvent, SolEventInterface};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tributary_schemas::{
    batch::{BatchFooter, FOOTER_KEY},
    encoding::manifest_root,
    id::{BatchId, ContributionId, InferenceId},
    payload_codec,
    policy::Policy,
};

use super::start;
use crate::payload::{Inference, Record, root};
use crate::suite::{AgentRegistry, AttributionHub, DatanetRegistry, Erc20, ModelRegistry, RewardVault, key_of};
use crate::{Contracts, Devnet, DevnetConfig, Make, Workload};

async fn grown(blocks: u64, hostile: bool) -> Devnet {
    let policy = Policy { challenge_blocks: 20, ..crate::demo_policy() };
    let workload = Workload { hostile, policy, ..Workload::default() };
    let net = start(DevnetConfig { workload, ..DevnetConfig::default() }).await;
    net.mine_to(blocks);
    net
}

fn transactions(net: &Devnet) -> Vec<Vec<Log>> {
    let blocks = (1..=net.head().0).map(|number| net.block(number).unwrap());
    blocks.flat_map(|block| block.entries.into_iter().map(|entry| entry.logs)).collect()
}

/// The event's name when the log is one of the suite's, decoded by its ABI.
fn name(contracts: &Contracts, log: &Log) -> Option<&'static str> {
    type Topics = (&'static str, B256);
    let known: [Topics; 36] = [
        ("DatanetCreated", DatanetRegistry::DatanetCreated::SIGNATURE_HASH),
        ("DatanetMetadataUpdated", DatanetRegistry::DatanetMetadataUpdated::SIGNATURE_HASH),
        ("DatanetOwnershipTransferred", DatanetRegistry::DatanetOwnershipTransferred::SIGNATURE_HASH),
        ("DatanetRoleSet", DatanetRegistry::DatanetRoleSet::SIGNATURE_HASH),
        ("DatanetAccessSet", DatanetRegistry::DatanetAccessSet::SIGNATURE_HASH),
        ("ContributionSubmitted", DatanetRegistry::ContributionSubmitted::SIGNATURE_HASH),
        ("ContributionReviewed", DatanetRegistry::ContributionReviewed::SIGNATURE_HASH),
        ("ContributionWithdrawn", DatanetRegistry::ContributionWithdrawn::SIGNATURE_HASH),
        ("DatanetVersionPublished", DatanetRegistry::DatanetVersionPublished::SIGNATURE_HASH),
        ("ModelRegistered", ModelRegistry::ModelRegistered::SIGNATURE_HASH),
        ("ModelOwnershipTransferred", ModelRegistry::ModelOwnershipTransferred::SIGNATURE_HASH),
        ("ModelVersionPublished", ModelRegistry::ModelVersionPublished::SIGNATURE_HASH),
        ("LineageAsserted", ModelRegistry::LineageAsserted::SIGNATURE_HASH),
        ("LineageRetracted", ModelRegistry::LineageRetracted::SIGNATURE_HASH),
        ("VersionDeprecated", ModelRegistry::VersionDeprecated::SIGNATURE_HASH),
        ("Registered", AgentRegistry::Registered::SIGNATURE_HASH),
        ("AgentTransfer", AgentRegistry::Transfer::SIGNATURE_HASH),
        ("AgentVersionPublished", AgentRegistry::AgentVersionPublished::SIGNATURE_HASH),
        ("MethodRegistered", AttributionHub::MethodRegistered::SIGNATURE_HASH),
        ("ProducerSet", AttributionHub::ProducerSet::SIGNATURE_HASH),
        ("AttributionBatchCommitted", AttributionHub::AttributionBatchCommitted::SIGNATURE_HASH),
        ("AttributionBatchChallenged", AttributionHub::AttributionBatchChallenged::SIGNATURE_HASH),
        ("AttributionBatchResolved", AttributionHub::AttributionBatchResolved::SIGNATURE_HASH),
        ("InferenceRecorded", AttributionHub::InferenceRecorded::SIGNATURE_HASH),
        ("RevenueReceived", RewardVault::RevenueReceived::SIGNATURE_HASH),
        ("RevenueRefunded", RewardVault::RevenueRefunded::SIGNATURE_HASH),
        ("PoolFunded", RewardVault::PoolFunded::SIGNATURE_HASH),
        ("RewardPolicySet", RewardVault::RewardPolicySet::SIGNATURE_HASH),
        ("SplitSet", RewardVault::SplitSet::SIGNATURE_HASH),
        ("PayoutAddressSet", RewardVault::PayoutAddressSet::SIGNATURE_HASH),
        ("EntityPayoutSet", RewardVault::EntityPayoutSet::SIGNATURE_HASH),
        ("StakeChanged", RewardVault::StakeChanged::SIGNATURE_HASH),
        ("Slashed", RewardVault::Slashed::SIGNATURE_HASH),
        ("PenaltyScoreSet", RewardVault::PenaltyScoreSet::SIGNATURE_HASH),
        ("SuspenseReleased", RewardVault::SuspenseReleased::SIGNATURE_HASH),
        ("AccountQuarantined", RewardVault::AccountQuarantined::SIGNATURE_HASH),
    ];
    let decodes = if log.address == contracts.datanet_registry {
        DatanetRegistry::DatanetRegistryEvents::decode_log(log).is_ok()
    } else if log.address == contracts.model_registry {
        ModelRegistry::ModelRegistryEvents::decode_log(log).is_ok()
    } else if log.address == contracts.agent_registry {
        AgentRegistry::AgentRegistryEvents::decode_log(log).is_ok()
    } else if log.address == contracts.attribution_hub {
        AttributionHub::AttributionHubEvents::decode_log(log).is_ok()
    } else if log.address == contracts.reward_vault {
        RewardVault::RewardVaultEvents::decode_log(log).is_ok()
    } else {
        return None;
    };
    let topic = log.data.topics()[0];
    if !decodes {
        return Some("does not decode");
    }
    known.into_iter().find(|(_, hash)| *hash == topic).map(|(name, _)| name)
}

#[tokio::test]
async fn every_event_of_the_suite_happens_and_decodes_by_its_abi() {
    let net = grown(1_200, false).await;
    let contracts = net.contracts();
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for log in transactions(&net).iter().flatten() {
        if let Some(name) = name(&contracts, log) {
            *seen.entry(name).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), 36, "{seen:?}");
    assert!(!seen.contains_key("does not decode"));
    assert!(seen["RevenueReceived"] > 900 && seen["AttributionBatchCommitted"] > 100, "{seen:?}");
    let wrong = grown(600, true).await;
    let logs = transactions(&wrong);
    let broken = logs.iter().flatten().filter(|log| name(&contracts, log) == Some("does not decode")).count();
    assert!(broken > 2, "{broken} of {} hostile", wrong.truth().hostile);
}

#[tokio::test]
async fn the_vault_announces_what_arrived_and_nothing_else() {
    let net = grown(400, false).await;
    let contracts = net.contracts();
    let mut received: BTreeMap<Address, U256> = BTreeMap::new();
    let mut nonces: BTreeMap<Address, u64> = BTreeMap::new();
    for logs in transactions(&net) {
        for (at, log) in logs.iter().enumerate() {
            let Ok(paid) = RewardVault::RevenueReceived::decode_log(log) else { continue };
            let nonce = nonces.entry(paid.payer).or_default();
            *nonce += 1;
            assert_eq!(paid.paymentId, key_of(paid.payer, *nonce));
            *received.entry(paid.token).or_default() += paid.amount;
            if paid.token != Address::ZERO {
                let moved = Erc20::Transfer::decode_log(&logs[at - 1]).unwrap();
                assert_eq!((moved.address, moved.to, moved.value), (paid.token, contracts.reward_vault, paid.amount));
            }
        }
    }
    let truth = net.truth();
    assert_eq!(received, truth.received);
    assert_eq!(received.len(), 3, "native, 6 decimals, 18 decimals");
    assert_eq!(nonces.values().sum::<u64>(), truth.payments);
}

#[tokio::test]
async fn the_first_policy_is_the_configured_one() {
    let net = grown(1, true).await;
    let logs = transactions(&net);
    let set = logs.iter().flatten().find_map(|log| RewardVault::RewardPolicySet::decode_log(log).ok()).unwrap();
    assert_eq!(Policy::parse(&set.policy).unwrap().challenge_blocks, 20);
    assert_eq!((set.policyHash, set.version), (keccak256(&set.policy), 1));
}

/// Reads a payload back the way an indexer would.
fn read(payload: Vec<u8>) -> (BatchFooter, Vec<Inference>) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(payload)).unwrap();
    let metadata = reader.metadata().file_metadata().key_value_metadata().unwrap().clone();
    let footer = metadata.iter().find(|pair| pair.key == FOOTER_KEY).unwrap().value.clone().unwrap();
    let batches: Vec<RecordBatch> = reader.build().unwrap().collect::<Result<_, _>>().unwrap();
    let mut inferences: Vec<Inference> = Vec::new();
    for batch in &batches {
        let fixed = |name: &str, row: usize| {
            let column = batch.column_by_name(name)?.as_fixed_size_binary();
            column.is_valid(row).then(|| B256::from_slice(column.value(row)))
        };
        let ordinals = batch.column_by_name("inference").unwrap().as_primitive::<Int32Type>();
        let rows = batch.column_by_name("row").unwrap().as_primitive::<Int32Type>();
        let scores = batch.column_by_name("score").unwrap().as_primitive::<Int64Type>();
        let weights = batch.column_by_name("fee_weight").map(|column| column.as_primitive::<Int64Type>());
        for row in 0..batch.num_rows() {
            if usize::try_from(ordinals.value(row)).unwrap() == inferences.len() {
                inferences.push(Inference {
                    subject: fixed("subject", row).unwrap(),
                    fee_weight: weights.map(|weights| weights.value(row)),
                    id: fixed("inference_id", row).map(InferenceId),
                    records: Vec::new(),
                });
            }
            inferences.last_mut().unwrap().records.push(Record {
                target: fixed("target", row).unwrap(),
                row: rows.is_valid(row).then(|| rows.value(row).try_into().unwrap()),
                score: scores.value(row),
            });
        }
    }
    (serde_json::from_str(&footer).unwrap(), inferences)
}

#[tokio::test]
async fn a_sound_batch_is_what_its_commitment_says() {
    let net = grown(500, true).await;
    let http = alloy::transports::http::reqwest::Client::new();
    let contracts = net.contracts();
    let truth = net.truth();
    let mut committed = BTreeMap::new();
    for log in transactions(&net).iter().flatten() {
        if let Ok(event) = AttributionHub::AttributionBatchCommitted::decode_log(log) {
            committed.insert(event.batchId, event.data);
        }
    }
    let mut makes = BTreeSet::new();
    let mut seqs: BTreeMap<Address, u64> = BTreeMap::new();
    let mut named = 0;
    for batch in &truth.batches {
        let event = &committed[&batch.key];
        let seq = seqs.entry(batch.producer).or_default();
        assert_eq!((batch.seq, batch.key), (*seq, key_of(batch.producer, *seq)));
        *seq += 1;
        makes.insert(batch.make);
        assert_eq!(batch.reference, event.blobRef);
        if batch.make.is_void() {
            continue;
        }
        let url = format!("{}/get/{}?return_encoded_payload=true", net.proxy_url(), event.blobRef);
        let encoded = http.get(url).send().await.unwrap().bytes().await.unwrap();
        let payload = payload_codec::decode(&encoded).unwrap();
        if batch.make != Make::Sound {
            continue;
        }
        assert_eq!(keccak256(&payload), event.payloadHash);
        let (footer, inferences) = read(payload);
        let id = BatchId::native(16_121, contracts.attribution_hub, batch.key);
        assert_eq!(root(id, &inferences), event.recordsRoot);
        let records: usize = inferences.iter().map(|one| one.records.len()).sum();
        assert_eq!((inferences.len(), records), (footer.inferences as usize, footer.records as usize));
        assert_eq!((footer.inferences, footer.records), (event.inferenceCount, event.recordCount));
        assert_eq!((footer.seq, footer.producer, footer.method), (event.seq, event.producer, event.methodId));
        assert!(inferences.iter().all(|one| one.records.is_sorted_by(|a, b| (a.target, a.row) < (b.target, b.row))));
        named += usize::from(inferences.iter().any(|one| one.id.is_some()));
    }
    assert!(makes.len() > 3, "{makes:?}");
    assert!(named > 2 && named < truth.batches.len() / 2, "{named} of {}", truth.batches.len());
}

#[tokio::test]
async fn manifests_prove_the_members_of_every_version() {
    let net = grown(400, false).await;
    let http = alloy::transports::http::reqwest::Client::new();
    let mut members: BTreeMap<U256, BTreeSet<ContributionId>> = BTreeMap::new();
    let mut removed = 0;
    for log in transactions(&net).iter().flatten() {
        let Ok(event) = DatanetRegistry::DatanetVersionPublished::decode_log(log) else { continue };
        let url = format!("{}/get/{}", net.proxy_url(), event.manifestRef);
        let manifest = http.get(url).send().await.unwrap().bytes().await.unwrap();
        let ids: Vec<_> = manifest.chunks(32).map(|id| ContributionId(B256::from_slice(id))).collect();
        let (added, gone) = ids.split_at(event.added as usize);
        assert_eq!(gone.len(), event.removed as usize);
        assert!(added.is_sorted() && gone.is_sorted());
        let now = members.entry(event.datanetId).or_default();
        now.extend(added);
        removed += gone.len();
        now.retain(|id| !gone.contains(id));
        assert_eq!(manifest_root(now.iter().copied()), event.manifestRoot);
    }
    assert!(members.len() > 2 && removed > 2, "{} datanets, {removed} removals", members.len());
}

#[tokio::test]
async fn after_the_workload_come_quiet_blocks() {
    let workload = Workload { blocks: 30, ..Workload::default() };
    let config = DevnetConfig { workload, ..DevnetConfig::default() };
    assert_eq!(config.decided_at(), 30 + 96 + 64 + 1);
    let net = start(config).await;
    net.mine_to(40);
    let truth = net.truth();
    assert!(truth.blocks[30].transactions > 1);
    assert!(truth.blocks[31..].iter().all(|block| block.transactions == 1 && block.logs == 0));
    assert!(truth.payments > 10 && !truth.batches.is_empty(), "a short chain pays somebody too");
}

#[tokio::test]
async fn challenges_stay_in_their_window_and_end_with_the_work() {
    let policy = Policy { challenge_blocks: 20, ..crate::demo_policy() };
    let mut challenged = 0;
    for seed in 1..=6 {
        let workload = Workload { blocks: 150, policy: policy.clone(), ..Workload::default() };
        let net = start(DevnetConfig { seed, workload, ..DevnetConfig::default() }).await;
        net.mine_to(150);
        let hub = net.contracts().attribution_hub;
        let committed: BTreeMap<B256, u64> =
            net.truth().batches.iter().map(|batch| (BatchId::native(16_121, hub, batch.key).0, batch.block)).collect();
        let mut open: Option<B256> = None;
        let mut ever = BTreeSet::new();
        for number in 1..=150 {
            for log in net.block(number).unwrap().entries.iter().flat_map(|entry| &entry.logs) {
                if let Ok(event) = AttributionHub::AttributionBatchChallenged::decode_log(log) {
                    assert!(open.replace(event.batchId).is_none() && ever.insert(event.batchId));
                    assert!(number <= committed[&event.batchId] + 20);
                } else if let Ok(event) = AttributionHub::AttributionBatchResolved::decode_log(log) {
                    assert_eq!(open.take(), Some(event.batchId));
                }
            }
        }
        assert_eq!(open, None, "seed {seed}");
        challenged += ever.len();
    }
    assert!(challenged > 5, "{challenged}");
}
