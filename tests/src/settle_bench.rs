//! The heavy epoch: one payment for each agent, spread over N attribution records.

use alloy_primitives::{Address, keccak256};
use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use tributary_accounting::{Input, SettleOutcome, Settled, Unread, register, settle, settle_next};
use tributary_schemas::Table;
use tributary_schemas::column::{Decimal38, Micros, hex_text};
use tributary_schemas::facts::{
    AgentRow, AgentVersionRow, AttributionRow, BatchRow, BlockRow, ContributionRow, DatasetRow, InferenceRow,
    PaymentRow, Rows,
};
use tributary_store::{Change, Heads, Lake, Staged};

use crate::tables::Shape;
use crate::world::{account, id, token, vault};

/// Records of an inference.
pub(crate) const RECORDS_PER_INFERENCE: i64 = 64;
/// Inferences of a batch.
pub(crate) const INFERENCES_PER_BATCH: i64 = 16_384;
/// Agents.
pub(crate) const AGENTS: i64 = 4;

/// What a settlement came to.
#[derive(Debug)]
pub struct Outcome {
    /// Base units that came in.
    pub revenue: i128,
    /// Base units that reached contributors.
    pub data: i128,
    /// Lines of statements.
    pub lines: usize,
    /// Sub-units that reached each dataset and each contribution, by its id.
    pub contributions: BTreeMap<String, i128>,
    /// Hash of the manifest: the same for every shape.
    pub manifest: String,
}

impl Outcome {
    /// What a settled epoch came to.
    #[must_use]
    pub fn of(settled: &Settled) -> Self {
        let mut contributions = BTreeMap::new();
        settled.tables.money_flows(|row| {
            if row.step == "data" {
                *contributions.entry(row.dst_id).or_default() += row.amount_sub.0;
            }
        });
        Self {
            revenue: settled.tables.epochs().iter().map(|row| row.revenue.0).sum(),
            data: settled.tables.of_role("data"),
            lines: settled.tables.lines(),
            contributions,
            manifest: hex_text(settled.manifest_hash),
        }
    }
}

/// An epoch in the published tables of a data folder.
#[derive(Debug)]
pub struct Epoch {
    folder: PathBuf,
    /// Records in it.
    pub records: i64,
}

impl Epoch {
    /// Publishes about `records` records for `payees` contributions in a data folder, as an indexer would have.
    pub async fn generate(folder: &Path, records: i64, payees: i64) -> Result<Self, Box<dyn std::error::Error>> {
        let lake = Lake::open(folder).await?;
        let mut facts = Rows::default();
        small_tables(&mut facts, payees);
        let inferences = std::cmp::max(records / RECORDS_PER_INFERENCE, 1);
        let (mut at, mut staged) = (0, Vec::new());
        while at < inferences {
            let batch_sk = at / INFERENCES_PER_BATCH;
            let count = std::cmp::min(INFERENCES_PER_BATCH, inferences - at);
            facts.attribution_batches.push(batch(batch_sk, count));
            let rows = records_of(&mut facts, batch_sk, count, payees);
            let path = folder.join(format!("{batch_sk:06}.parquet"));
            let info = AttributionRow::info();
            let properties = tributary_store::lake::writer_properties(&info, rows.len());
            let mut writer = ArrowWriter::try_new(File::create(&path)?, info.schema, Some(properties))?;
            for group in rows.chunks(131_072) {
                let batch: RecordBatch = AttributionRow::to_batch(group);
                writer.write(&batch)?;
            }
            writer.close()?;
            staged.push(Staged { table: AttributionRow::NAME, path, epoch: 0 });
            at += count;
        }
        let heads = Heads { chain_id: 1612, epoch_seconds: 1, block_timestamp: 1, ..Heads::default() };
        lake.publish(None, heads, Change { facts: facts.into(), staged, ..Change::default() }).await?;
        Self::open(folder).await
    }

    /// The epoch of a folder made by [`Self::generate`].
    pub async fn open(folder: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let snapshot = Lake::open(folder).await?.latest().await?.ok_or("the folder has no tables")?;
        let table = snapshot.tables.get(AttributionRow::NAME).ok_or("the folder has no attributions")?;
        Ok(Self { folder: folder.to_owned(), records: i64::try_from(table.rows)? })
    }

    /// The files of its records.
    pub async fn files(&self) -> Result<Vec<PathBuf>, Box<dyn std::error::Error>> {
        let lake = Lake::open(&self.folder).await?;
        let snapshot = lake.latest().await?.ok_or("the folder has no tables")?;
        let files = lake.files(&snapshot, AttributionRow::NAME).await?;
        Ok(files.into_iter().map(|file| file.path).collect())
    }

    /// Number of its contributions.
    pub async fn contributions(&self) -> Result<i64, Box<dyn std::error::Error>> {
        let snapshot = Lake::open(&self.folder).await?.latest().await?.ok_or("the folder has no tables")?;
        Ok(i64::try_from(snapshot.tables.get(ContributionRow::NAME).map_or(0, |table| table.rows))?)
    }

    /// Settles it, and says what it comes to.
    pub async fn settle(&self, shape: Shape) -> Result<Outcome, Box<dyn std::error::Error>> {
        self.settled(shape).await.map(|settled| Outcome::of(&settled))
    }

    /// Settles it and no more: what is timed.
    pub async fn settled(&self, shape: Shape) -> Result<Settled, Box<dyn std::error::Error>> {
        let ctx = tributary_accounting::session_with_batches(shape.memory, shape.partitions, shape.rows)?;
        let lake = Lake::open(&self.folder).await?;
        let snapshot = lake.latest().await?.ok_or("the folder has no tables")?;
        register(&ctx, &lake, &snapshot).await?;
        let input = Input { chain_id: 1612, epoch: 0, ..Input::default() };
        Ok(settle(&ctx, &input).await?.ok_or("an epoch has blocks")?)
    }

    /// Settles it and publishes what it comes to, as the program does. Once only: the folder is settled then.
    pub async fn publish(&self, shape: Shape) -> Result<(), Box<dyn std::error::Error>> {
        let lake = Lake::open(&self.folder).await?;
        let session = || tributary_accounting::session_with_batches(shape.memory, shape.partitions, shape.rows);
        match settle_next(session, &lake, &self.folder, &Unread).await? {
            SettleOutcome::Settled { .. } => Ok(()),
            other => Err(format!("expected a settled epoch: {other:?}").into()),
        }
    }
}

fn mix(number: i64) -> u64 {
    let hash = u64::from_ne_bytes(number.to_ne_bytes())
        .wrapping_add(0x9e37_79b9_7f4a_7c15)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (hash ^ (hash >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 16
}

fn below(number: i64, limit: i64) -> i64 {
    i64::try_from(mix(number) % u64::try_from(limit).unwrap_or(1)).unwrap_or(0)
}

/// Targets and weights of inference number `seed`, in the order of their table.
pub(crate) fn drawn(seed: i64, payees: i64) -> Vec<(i64, i64)> {
    let mut targets: Vec<i64> = (0..RECORDS_PER_INFERENCE).map(|k| below(seed * 64 + k, payees)).collect();
    targets.sort_unstable();
    let weights = (0..RECORDS_PER_INFERENCE).map(|k| below(seed * 64 + k + 7, 1 << 30));
    targets.into_iter().zip(weights).collect()
}

/// Fee of inference number `seed`.
pub(crate) fn fee(seed: i64) -> i64 {
    1 + below(seed, 1_000)
}

/// What was paid for an agent, in base units.
pub(crate) fn paid(agent: i64) -> i128 {
    1_000_000_000_000_000_000_000_000 + i128::from(agent)
}

/// Records of a batch in the order of its table; running weights are by that order, which serves to measure.
fn records_of(facts: &mut Rows, batch_sk: i64, count: i64, payees: i64) -> Vec<AttributionRow> {
    let mut rows = Vec::new();
    for ordinal in 0..count {
        let inference = i32::try_from(ordinal).unwrap_or(0);
        let seed = batch_sk * INFERENCES_PER_BATCH + ordinal;
        let drawn = drawn(seed, payees);
        let weight_total = drawn.iter().map(|(_, weight)| weight).sum();
        let mut weight_before = 0;
        for (target_sk, weight) in drawn {
            rows.push(AttributionRow {
                epoch: 0,
                batch_sk,
                inference,
                target_kind: 2,
                target_sk,
                row: None,
                score: weight,
                weight,
                weight_before,
                weight_total,
                flags: 0,
            });
            weight_before += weight;
        }
        let subject_sk = seed % AGENTS;
        facts.inferences.push(InferenceRow {
            epoch: 0,
            batch_sk,
            inference,
            inference_id: String::new(),
            subject_kind: "agent".to_owned(),
            subject_sk,
            subject_id: String::new(),
            fee_weight: fee(seed),
            fee_before: 0,
            fee_total: 0,
            records: 64,
            weight_total,
            superseded: false,
            flags: String::new(),
        });
    }
    rows
}

fn batch(batch_sk: i64, inferences: i64) -> BatchRow {
    BatchRow {
        batch_sk,
        batch_id: id("batch", batch_sk),
        epoch: 0,
        reference_block: 1,
        reference_log: batch_sk,
        hub: account(1),
        producer: account(2),
        method_id: id("method", 0),
        seq: batch_sk,
        inferences,
        records: inferences * RECORDS_PER_INFERENCE,
        accepted: None,
        payload_hash: id("payload", batch_sk),
        records_root: id("root", batch_sk),
        blob_ref: String::new(),
        state: "resolved".to_owned(),
        challenged: false,
        valid_from_block: 1,
        valid_to_block: None,
    }
}

fn small_tables(facts: &mut Rows, payees: i64) {
    facts.blocks.push(BlockRow {
        number: 1,
        hash: id("block", 1),
        parent_hash: id("block", 0),
        timestamp: Micros(0),
        epoch: 0,
        l1_origin_number: None,
        tx_count: 0,
        log_count: 0,
        event_count: 0,
        finality: "asserted".to_owned(),
        trust: "full".to_owned(),
        log_root: id("root", 1),
    });
    facts.datasets.push(DatasetRow {
        dataset_sk: 0,
        dataset_id: id("dataset", 0),
        text_id: String::new(),
        owner: account(1),
        visibility: "public".to_owned(),
        license: String::new(),
        metadata_uri: String::new(),
        metadata_hash: id("meta", 0),
        last_version: None,
        flags: String::new(),
        valid_from_block: 1,
        valid_to_block: None,
    });
    facts.contributions.extend((0..payees).map(|sk| ContributionRow {
        contribution_sk: sk,
        contribution_id: id("contribution", sk),
        dataset_sk: 0,
        contributor: hex_text(Address::from_slice(&keccak256(sk.to_be_bytes())[12..])),
        content_hash: String::new(),
        row_count: 1,
        byte_count: 1,
        license: String::new(),
        state: "approved".to_owned(),
        quality: None,
        flags: String::new(),
        submitted_block: 1,
        valid_from_block: 1,
        valid_to_block: None,
    }));
    for sk in 0..AGENTS {
        agent(facts, sk);
    }
}

fn agent(facts: &mut Rows, sk: i64) {
    facts.agents.push(AgentRow {
        agent_sk: sk,
        agent_id: id("agent", sk),
        text_id: String::new(),
        owner: account(10 + sk),
        metadata_uri: String::new(),
        last_version: None,
        valid_from_block: 1,
        valid_to_block: None,
    });
    facts.agent_versions.push(AgentVersionRow {
        version_sk: sk,
        version_id: id("agent version", sk),
        agent_sk: sk,
        version: 1,
        config_hash: id("config", sk),
        deprecated: false,
        flags: String::new(),
        published_block: 1,
        valid_from_block: 1,
        valid_to_block: None,
    });
    facts.payments.push(PaymentRow {
        epoch: 0,
        payment_sk: sk,
        payment_id: id("payment", sk),
        event_id: id("event", sk),
        block_number: 1,
        tx_index: 0,
        log_index: sk,
        tx_hash: id("tx", sk),
        timestamp: Micros(0),
        vault: vault(0),
        subject_kind: "agent".to_owned(),
        subject_id: id("agent version", sk),
        subject_sk: sk,
        payer: account(3),
        token: token(2),
        amount: Decimal38(paid(sk)),
        reference: None,
        backing: "vault".to_owned(),
        flags: String::new(),
    });
}
