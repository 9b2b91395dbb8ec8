//! What stands behind the keys of a level, as rows: read for a page, so that a level of a million lines costs a page of
//! look-ups.

use alloy_primitives::B256;
use datafusion::prelude::SessionContext;
use serde::Serialize;
use std::collections::BTreeMap;
use tributary_schemas::column::hex_text;
use tributary_schemas::facts::{BatchRow, BlobRow, EventRow, InferenceRow, PaymentRow, PoolFundingRow};
use tributary_schemas::{Position, Table};

use super::origin::{Payer, RecordKey, Stand};
use crate::error::AccountingError;
use crate::read::{list, rows};

/// A line of a level below: what it is, and its base units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Below<T> {
    /// What it is.
    pub of: T,
    /// Base units.
    pub amount: i128,
}

/// An inference that money came by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inference {
    /// What it is called in questions about it: see [`Stand`].
    pub key: String,
    /// Its id; none for money that stands on no inference.
    pub inference: Option<String>,
    /// Version that answered.
    pub subject: Option<String>,
    /// The batch it is in.
    pub batch: Option<Batch>,
}

/// A batch, with the block and the blob it stands in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Batch {
    /// Id.
    pub batch: String,
    /// Who committed it.
    pub producer: String,
    /// Block of the reference.
    pub block: i64,
    /// Index of the log there.
    pub log_index: i64,
    /// keccak256 of the payload.
    pub payload_hash: String,
    /// The reference as the contract gave it.
    pub blob_ref: String,
    /// keccak256 of the commitment; none where the reference is none.
    pub commitment_hash: Option<String>,
    /// What names the blob on EigenDA's network; none without a certificate.
    pub blob_key: Option<String>,
}

/// A record that money came by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// dataset, contribution or model; none for an inference without a usable record.
    pub target: Option<&'static str>,
    /// Version of the dataset or model, or the contribution.
    pub target_id: Option<String>,
    /// Row inside a contribution.
    pub row: Option<u32>,
    /// Raw score.
    pub score: i64,
}

/// What paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Payment {
    /// payment, pool, or released for what was held of a payment.
    pub kind: &'static str,
    /// Identity of the event; none for what was held of no payment in particular.
    pub event: Option<String>,
    /// Id of the payment; none for a pool's funding.
    pub payment: Option<String>,
    /// Who paid; none for a pool's funding.
    pub payer: Option<String>,
    /// Hash of the transaction.
    pub tx: Option<String>,
    /// Block.
    pub block: Option<i64>,
    /// Index of the log.
    pub log_index: Option<i64>,
    /// Base units that were paid, as decimal text.
    pub paid: Option<String>,
    /// Inference or batch it names.
    pub reference: Option<String>,
}

/// Inferences of a page.
///
/// # Errors
///
/// When the tables cannot be read.
pub async fn inferences(
    ctx: &SessionContext,
    page: &[(Stand, i128)],
) -> Result<Vec<Below<Inference>>, AccountingError> {
    let keys: Vec<(i64, i32)> = page.iter().filter_map(|(stand, _)| stand.inference).collect();
    let batches = by_key(ctx, keys.iter().map(|(batch, _)| *batch)).await?;
    let mut found: BTreeMap<(i64, i32), InferenceRow> = BTreeMap::new();
    if !keys.is_empty() {
        let any: Vec<String> =
            keys.iter().map(|(batch, ordinal)| format!("(batch_sk = {batch} AND inference = {ordinal})")).collect();
        let within = list(keys.iter().map(|(batch, _)| *batch));
        for row in rows::<InferenceRow>(ctx, &format!("batch_sk IN ({within}) AND ({})", any.join(" OR "))).await? {
            found.insert((row.batch_sk, row.inference), row);
        }
    }
    let below = |(stand, amount): &(Stand, i128)| {
        let row = stand.inference.and_then(|key| found.get(&key));
        Below {
            of: Inference {
                key: stand.to_string(),
                inference: row.map(|row| row.inference_id.clone()),
                subject: row.map(|row| row.subject_id.clone()),
                batch: stand.inference.and_then(|(batch, _)| batches.get(&batch).cloned()),
            },
            amount: *amount,
        }
    };
    Ok(page.iter().map(below).collect())
}

/// Batches of a page; none is what stands on no inference.
///
/// # Errors
///
/// When the tables cannot be read.
pub async fn batches(
    ctx: &SessionContext,
    page: &[(Option<i64>, i128)],
) -> Result<Vec<Below<Option<Batch>>>, AccountingError> {
    let found = by_key(ctx, page.iter().filter_map(|(batch, _)| *batch)).await?;
    let below = |(batch, amount): &(Option<i64>, i128)| {
        let of = batch.and_then(|batch| found.get(&batch).cloned());
        Below { of, amount: *amount }
    };
    Ok(page.iter().map(below).collect())
}

/// Batches by surrogate key, each with the blob that it was read from.
async fn by_key(
    ctx: &SessionContext,
    keys: impl Iterator<Item = i64>,
) -> Result<BTreeMap<i64, Batch>, AccountingError> {
    let found: Vec<BatchRow> = rows(ctx, &format!("batch_sk IN ({}) AND valid_to_block IS NULL", list(keys))).await?;
    let ids: Vec<String> = found.iter().map(|row| format!("'{}'", row.batch_id)).collect();
    let mut blobs: BTreeMap<String, BlobRow> = BTreeMap::new();
    if !ids.is_empty() {
        let filter = format!("owner_kind = 'batch' AND owner_id IN ({})", ids.join(","));
        let mut rows: Vec<BlobRow> = rows(ctx, &filter).await?;
        // One that was found late has a row of its own, after the one that says that it was missing.
        rows.sort_by_key(|row| row.found_block);
        blobs.extend(rows.into_iter().map(|row| (row.owner_id.clone(), row)));
    }
    let batch = |row: BatchRow| {
        let blob = blobs.get(&row.batch_id);
        let of = Batch {
            producer: row.producer,
            block: row.reference_block,
            log_index: row.reference_log,
            payload_hash: row.payload_hash,
            blob_ref: row.blob_ref,
            commitment_hash: blob.and_then(|blob| blob.commitment_hash.clone()),
            blob_key: blob.and_then(|blob| blob.blob_key.clone()),
            batch: row.batch_id,
        };
        (row.batch_sk, of)
    };
    Ok(found.into_iter().map(batch).collect())
}

/// Records of a page.
///
/// # Errors
///
/// When the tables cannot be read.
pub async fn records(ctx: &SessionContext, page: &[(RecordKey, i128)]) -> Result<Vec<Below<Record>>, AccountingError> {
    const KINDS: [(i32, &str, &str, &str, &str); 3] = [
        (1, "dataset", "dataset_versions", "version_sk", "version_id"),
        (2, "contribution", "contributions", "contribution_sk", "contribution_id"),
        (3, "model", "model_versions", "version_sk", "version_id"),
    ];
    let mut ids: BTreeMap<(i32, i64), String> = BTreeMap::new();
    for (kind, _, table, key, id) in KINDS {
        let keys: Vec<i64> =
            page.iter().filter(|(record, _)| record.target_kind == kind).map(|(record, _)| record.target_sk).collect();
        if keys.is_empty() {
            continue;
        }
        let sql = format!("SELECT {key}, {id} FROM {table} WHERE {key} IN ({})", list(keys));
        crate::read::each(ctx, &sql, |columns| {
            let names = columns.text(id, |id| Ok(id.to_owned()))?;
            ids.extend(columns.int64(key)?.into_iter().map(|sk| (kind, sk)).zip(names));
            Ok(())
        })
        .await?;
    }
    let below = |(record, amount): &(RecordKey, i128)| Below {
        of: Record {
            target: KINDS.iter().find(|(kind, ..)| *kind == record.target_kind).map(|(_, word, ..)| *word),
            target_id: ids.get(&(record.target_kind, record.target_sk)).cloned(),
            row: record.row,
            score: record.score,
        },
        amount: *amount,
    };
    Ok(page.iter().map(below).collect())
}

/// Payments of a page.
///
/// # Errors
///
/// When the tables cannot be read.
pub async fn payments(ctx: &SessionContext, page: &[(Payer, i128)]) -> Result<Vec<Below<Payment>>, AccountingError> {
    let events = ids(page, |payer| if let Payer::Event(event) = payer { Some(*event) } else { None });
    let held = ids(page, |payer| if let Payer::Held(payment) = payer { *payment } else { None });
    let mut paid: BTreeMap<String, PaymentRow> = BTreeMap::new();
    for row in found::<PaymentRow>(ctx, "event_id", &events).await? {
        paid.insert(row.event_id.clone(), row);
    }
    for row in found::<PaymentRow>(ctx, "payment_id", &held).await? {
        paid.insert(row.payment_id.clone(), row);
    }
    let unknown: Vec<String> = events.iter().filter(|event| !paid.contains_key(*event)).cloned().collect();
    let mut pools: BTreeMap<String, PoolFundingRow> = BTreeMap::new();
    for row in found::<PoolFundingRow>(ctx, "event_id", &unknown).await? {
        pools.insert(row.event_id.clone(), row);
    }
    let mut txs: BTreeMap<String, Option<String>> = BTreeMap::new();
    for row in found::<EventRow>(ctx, "event_id", &unknown).await? {
        txs.insert(row.event_id, row.tx_hash);
    }
    let below = |(payer, amount): &(Payer, i128)| {
        let (kind, key) = match payer {
            Payer::Event(event) => ("payment", Some(hex_text(*event))),
            Payer::Held(payment) => ("released", payment.map(hex_text)),
        };
        let pool = key.as_ref().and_then(|key| pools.get(key));
        let of = match (key.as_ref().and_then(|key| paid.get(key)), pool) {
            (Some(row), _) => of_payment(kind, row),
            (None, Some(row)) => Payment {
                kind: "pool",
                event: Some(row.event_id.clone()),
                tx: txs.get(&row.event_id).cloned().flatten(),
                block: Some(row.block_number),
                log_index: Some(row.log_index),
                paid: Some(row.amount.0.to_string()),
                ..nothing(kind)
            },
            (None, None) => nothing(kind),
        };
        Below { of, amount: *amount }
    };
    Ok(page.iter().map(below).collect())
}

fn of_payment(kind: &'static str, row: &PaymentRow) -> Payment {
    Payment {
        kind,
        event: Some(row.event_id.clone()),
        payment: Some(row.payment_id.clone()),
        payer: Some(row.payer.clone()),
        tx: Some(row.tx_hash.clone()),
        block: Some(row.block_number),
        log_index: Some(row.log_index).filter(|index| *index != i64::from(Position::NO_LOG)),
        paid: Some(row.amount.0.to_string()),
        reference: row.reference.clone(),
    }
}

const fn nothing(kind: &'static str) -> Payment {
    Payment {
        kind,
        event: None,
        payment: None,
        payer: None,
        tx: None,
        block: None,
        log_index: None,
        paid: None,
        reference: None,
    }
}

fn ids(page: &[(Payer, i128)], of: impl Fn(&Payer) -> Option<B256>) -> Vec<String> {
    page.iter().filter_map(|(payer, _)| of(payer)).map(hex_text).collect()
}

/// Rows of a table that have one of these ids.
async fn found<T: Table>(ctx: &SessionContext, column: &str, ids: &[String]) -> Result<Vec<T>, AccountingError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    rows(ctx, &format!("{column} IN ('{}')", ids.join("','"))).await
}
