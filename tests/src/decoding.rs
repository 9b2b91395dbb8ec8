//! The benchmark of decoding: rules of a mapping against a decoder of the same events that is written by hand.

use alloy::primitives::{Address, B256, Bytes, I256, U256};
use alloy::sol_types::SolEvent;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tributary_indexer::decode::{Decoded, Unknown, decode_block};
use tributary_indexer::{Contracts, IndexerError, Mapping, Topics, Trust, VerifiedBlock, VerifiedLog};
use tributary_schemas::code::{Backing, Relation};
use tributary_schemas::event::{DecimalI128, Upstream};
use tributary_schemas::id::{
    BatchId, ContributionId, DatasetId, EntityId, InferenceId, MethodId, ModelId, PaymentId, VersionId,
};
use tributary_schemas::{Amount, BlockRef, Payload, Position};

use crate::suite::{AttributionHub, DatanetRegistry, ModelRegistry, RewardVault};

const CHAIN: u64 = 1612;
/// Stands for a share that was not given.
const NO_SHARE: u32 = u32::MAX;
/// The contracts: registry, hub, vault.
const CONTRACTS: [(&str, Address); 5] = [
    ("datanet_registry", Address::repeat_byte(1)),
    ("model_registry", Address::repeat_byte(2)),
    ("agent_registry", Address::repeat_byte(3)),
    ("attribution_hub", Address::repeat_byte(4)),
    ("reward_vault", Address::repeat_byte(5)),
];
const HUB: Address = CONTRACTS[3].1;
const VAULT: Address = CONTRACTS[4].1;

/// Decodes a block of so many logs in both ways, several times, and gives the best time of each.
///
/// # Errors
/// When the reference mapping is not sound.
///
/// # Panics
/// When the two do not come to the same facts.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
pub fn bench(logs: usize, rounds: usize) -> Result<Value, IndexerError> {
    let contracts: Contracts = CONTRACTS.iter().map(|(role, one)| ((*role).to_owned(), [*one].into())).collect();
    let mapping = Mapping::reference(CHAIN, &contracts)?;
    let block = block(logs);
    let names = Names::default();
    assert_eq!(decode_block(&mapping, &block, &Unknown), by_hand(&names, &block), "one event, two facts");
    let mut best = [Duration::MAX; 2];
    for _ in 0..rounds {
        let began = Instant::now();
        black_box(decode_block(&mapping, black_box(&block), &Unknown));
        best[0] = std::cmp::min(best[0], began.elapsed());
        let began = Instant::now();
        black_box(by_hand(&names, black_box(&block)));
        best[1] = std::cmp::min(best[1], began.elapsed());
    }
    let [mapped, by_hand] = best.map(|time| time.as_secs_f64() * 1e9 / f64::from(u32::try_from(logs).unwrap_or(1)));
    Ok(json!({
        "logs": logs, "rounds": rounds,
        "mapping_ns_per_log": mapped, "by_hand_ns_per_log": by_hand, "ratio": mapped / by_hand,
    }))
}

/// A block whose logs are events of six kinds, in turn, with random values.
fn block(count: usize) -> VerifiedBlock {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let logs = (0..).zip(0..count).map(|(log_index, place)| {
        let (address, (topics, data)) = event(place, &mut rng);
        let topics = Topics::new(&topics).unwrap_or_default();
        VerifiedLog { tx_index: log_index / 8, log_index, address, topics, data }
    });
    VerifiedBlock {
        block: BlockRef { number: 7, ..BlockRef::default() },
        header: alloy::consensus::Header::default(),
        l1_origin: None,
        transactions: Vec::new(),
        logs: logs.collect(),
        trust: Trust::Verified,
        reads: Default::default(),
    }
}

fn event(place: usize, rng: &mut ChaCha8Rng) -> (Address, (Vec<B256>, Bytes)) {
    let mut word = || B256::from(rng.random::<[u8; 32]>());
    let account = |word: B256| Address::from_word(word);
    match place % 6 {
        0 => (
            CONTRACTS[0].1,
            encoded(&DatanetRegistry::ContributionSubmitted {
                contributionId: word(),
                datanetId: U256::from(place),
                contributor: account(word()),
                contentHash: word(),
                rowCount: 12,
                byteCount: 3_456,
                licenseId: word(),
                dataRef: Bytes::copy_from_slice(word().as_slice()),
            }),
        ),
        1 => (
            CONTRACTS[1].1,
            encoded(&ModelRegistry::ModelVersionPublished {
                modelId: U256::from(place),
                version: 3,
                artifactHash: word(),
                configHash: word(),
                licenseId: word(),
                upstream: vec![word(), word(), word()],
                relations: vec![0, 2, 0],
                shares: vec![NO_SHARE, 1_000, NO_SHARE],
            }),
        ),
        2 => (
            HUB,
            encoded(&AttributionHub::InferenceRecorded {
                inferenceId: word(),
                subjectVersionId: word(),
                payer: account(word()),
                requestHash: word(),
                responseHash: word(),
                tokensIn: 500,
                tokensOut: 70,
            }),
        ),
        3 => (
            HUB,
            encoded(&AttributionHub::AttributionBatchCommitted {
                batchId: word(),
                producer: account(word()),
                methodId: word(),
                seq: 9,
                inferenceCount: 100,
                recordCount: 2_000,
                payloadHash: word(),
                recordsRoot: word(),
                blobRef: Bytes::copy_from_slice(&word()[..31]),
            }),
        ),
        _ => (VAULT, of_vault(place, word)),
    }
}

fn of_vault(place: usize, mut word: impl FnMut() -> B256) -> (Vec<B256>, Bytes) {
    if place % 6 == 4 {
        return encoded(&RewardVault::RevenueReceived {
            paymentId: word(),
            subjectVersionId: word(),
            payer: Address::from_word(word()),
            token: Address::from_word(word()),
            amount: U256::from(1_000_000_007_u64),
            r#ref: if place % 12 == 4 { B256::ZERO } else { word() },
        });
    }
    encoded(&RewardVault::StakeChanged {
        pool: word(),
        account: Address::from_word(word()),
        delta: I256::MINUS_ONE,
        balanceAfter: U256::from(5),
    })
}

fn encoded(event: &impl SolEvent) -> (Vec<B256>, Bytes) {
    let data = event.encode_log_data();
    (data.topics().to_vec(), data.data)
}

/// The names of the rules, shared as the mapping shares them.
struct Names([Arc<str>; 6]);

impl Default for Names {
    fn default() -> Self {
        let names = ["contribution-submitted", "model-version-published", "inference-recorded"];
        let more = ["batch-committed", "revenue-received", "stake-changed"];
        Self([names[0], names[1], names[2], more[0], more[1], more[2]].map(Arc::from))
    }
}

/// What somebody would write who knew these contracts alone.
fn by_hand(names: &Names, block: &VerifiedBlock) -> Vec<Decoded> {
    let facts = block.logs.iter().filter_map(|log| {
        let (name, payload) = fact(log)?;
        let position = Position {
            block_number: block.block.number,
            tx_index: log.tx_index,
            log_index: log.log_index,
            sub_index: 0,
        };
        Some(Decoded { position, emitter: log.address, rule: Arc::clone(&names.0[name]), payload, refused: None })
    });
    facts.collect()
}

/// The number of the rule, and the fact; none of what is not these contracts' or does not fit.
fn fact(log: &VerifiedLog) -> Option<(usize, Payload)> {
    let topics: &[B256] = &log.topics;
    let topic = *topics.first()?;
    if topic == DatanetRegistry::ContributionSubmitted::SIGNATURE_HASH {
        return Some((0, contribution(log, read(log)?)));
    }
    if topic == ModelRegistry::ModelVersionPublished::SIGNATURE_HASH {
        return Some((1, model_version(log, read(log)?)?));
    }
    if log.address == HUB && topic == AttributionHub::InferenceRecorded::SIGNATURE_HASH {
        return Some((2, inference(log, &read(log)?)));
    }
    if log.address == HUB && topic == AttributionHub::AttributionBatchCommitted::SIGNATURE_HASH {
        return Some((3, batch(log, read(log)?)));
    }
    if log.address == VAULT && topic == RewardVault::RevenueReceived::SIGNATURE_HASH {
        return Some((4, payment(log, &read(log)?)?));
    }
    if log.address == VAULT && topic == RewardVault::StakeChanged::SIGNATURE_HASH {
        return Some((5, stake(&read(log)?)?));
    }
    None
}

fn read<E: SolEvent>(log: &VerifiedLog) -> Option<E> {
    E::decode_raw_log_validate(log.topics.iter().copied(), &log.data).ok()
}

fn contribution(log: &VerifiedLog, event: DatanetRegistry::ContributionSubmitted) -> Payload {
    Payload::ContributionSubmitted {
        contribution: ContributionId::native(CHAIN, log.address, event.contributionId),
        key: event.contributionId,
        dataset: DatasetId::native(CHAIN, log.address, event.datanetId.into()),
        contributor: event.contributor,
        content_hash: event.contentHash,
        row_count: event.rowCount,
        byte_count: event.byteCount,
        license: event.licenseId,
        data_ref: event.dataRef,
    }
}

fn model_version(log: &VerifiedLog, event: ModelRegistry::ModelVersionPublished) -> Option<Payload> {
    if event.upstream.len() != event.relations.len() || event.upstream.len() != event.shares.len() {
        return None;
    }
    let upstream =
        event.upstream.iter().zip(&event.relations).zip(&event.shares).map(|((version, relation), share)| {
            let share_ppb = (*share != NO_SHARE).then_some(*share);
            Some(Upstream { version: *version, relation: Relation::from_number(*relation).ok()?, share_ppb })
        });
    Some(Payload::ModelVersionPublished {
        model: ModelId::native(CHAIN, log.address, event.modelId.into()),
        version: event.version,
        artifact_hash: event.artifactHash,
        config_hash: event.configHash,
        license: event.licenseId,
        upstream: upstream.collect::<Option<_>>()?,
    })
}

fn inference(log: &VerifiedLog, event: &AttributionHub::InferenceRecorded) -> Payload {
    Payload::InferenceRecorded {
        inference: InferenceId::native(CHAIN, log.address, event.inferenceId),
        key: event.inferenceId,
        subject: VersionId(event.subjectVersionId),
        payer: event.payer,
        request_hash: event.requestHash,
        response_hash: event.responseHash,
        tokens_in: event.tokensIn,
        tokens_out: event.tokensOut,
    }
}

fn batch(log: &VerifiedLog, event: AttributionHub::AttributionBatchCommitted) -> Payload {
    Payload::AttributionBatchCommitted {
        batch: BatchId::native(CHAIN, log.address, event.batchId),
        key: event.batchId,
        producer: event.producer,
        method: MethodId(event.methodId),
        seq: event.seq,
        inferences: event.inferenceCount,
        records: event.recordCount,
        payload_hash: event.payloadHash,
        records_root: event.recordsRoot,
        blob_ref: event.blobRef,
    }
}

fn payment(log: &VerifiedLog, event: &RewardVault::RevenueReceived) -> Option<Payload> {
    Some(Payload::RevenueReceived {
        payment: PaymentId::native(CHAIN, log.address, event.paymentId),
        key: event.paymentId,
        subject: VersionId(event.subjectVersionId),
        payer: event.payer,
        token: event.token,
        amount: Amount::from_u256(event.amount).ok()?,
        reference: (!event.r#ref.is_zero()).then_some(event.r#ref),
        backing: Backing::Vault,
    })
}

fn stake(event: &RewardVault::StakeChanged) -> Option<Payload> {
    Some(Payload::StakeChanged {
        pool: EntityId(event.pool),
        account: event.account,
        delta: DecimalI128(i128::try_from(event.delta).ok()?),
        balance_after: Amount::from_u256(event.balanceAfter).ok()?,
    })
}
