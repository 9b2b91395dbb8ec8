//! Logs as the published tables hold them, to try rules on: nothing but traces and comparisons is made of them.

use alloy_primitives::{Address, B256, Bytes, U256};
use std::collections::BTreeMap;
use std::str::FromStr;
use tributary_schemas::BlockRef;
use tributary_schemas::facts::{BlockRow, RawLogRow};

use crate::mapping::{Around, Emitters, Expr, Mapping, Rule};
use crate::{IndexerError, Topics, Trust, TxInfo, VerifiedBlock, VerifiedLog};

/// Most transactions of a block: far more than fit one.
const TXS_MAX: usize = 1 << 20;

/// The logs of a block. What is not stored is not there: calldata, senders, and whom a transaction called. `rows` are in
/// the order of their indices.
pub fn stored(block: BlockRef, rows: &[RawLogRow]) -> Result<VerifiedBlock, IndexerError> {
    let mut hashes = BTreeMap::new();
    let mut logs = Vec::new();
    for row in rows {
        let tx_index = index(row.tx_index)?;
        hashes.insert(tx_index, (parsed::<B256>(&row.tx_hash)?, row.tx_value));
        let topics = [&row.topic0, &row.topic1, &row.topic2, &row.topic3].into_iter().flatten();
        let topics = topics.map(|topic| parsed(topic)).collect::<Result<Vec<B256>, _>>()?;
        logs.push(VerifiedLog {
            tx_index,
            log_index: index(row.log_index)?,
            address: parsed::<Address>(&row.address)?,
            topics: Topics::new(&topics).ok_or_else(|| broken(format!("{} topics", topics.len())))?,
            data: Bytes::from(row.data.0.clone()),
        });
    }
    let count = hashes.keys().next_back().map_or(0, |last| usize::try_from(*last).unwrap_or(TXS_MAX).saturating_add(1));
    if count > TXS_MAX {
        return Err(broken(format!(
            "transaction {} of a block: expected less than {TXS_MAX}",
            count.saturating_sub(1)
        )));
    }
    let transactions = (0..).take(count).map(|at| {
        let (hash, value) = hashes.get(&at).copied().unwrap_or_default();
        let value = value.and_then(|value| u128::try_from(value.0).ok()).map(U256::from).unwrap_or_default();
        TxInfo { hash, kind: 2, to: None, value, input: Bytes::new(), success: true, raw: Bytes::new() }
    });
    Ok(VerifiedBlock {
        block,
        header: alloy::consensus::Header::default(),
        l1_origin: None,
        transactions: transactions.collect(),
        logs,
        trust: Trust::Unverified,
        reads: BTreeMap::new(),
    })
}

/// The block of a published row.
pub fn block_ref(row: &BlockRow) -> Result<BlockRef, IndexerError> {
    let seconds = row.timestamp.0.checked_div(1_000_000).unwrap_or_default();
    Ok(BlockRef {
        number: u64::try_from(row.number).map_err(|error| broken(error.to_string()))?,
        hash: parsed(&row.hash)?,
        parent_hash: parsed(&row.parent_hash)?,
        timestamp: u64::try_from(seconds).map_err(|error| broken(error.to_string()))?,
    })
}

/// The rules that read what is not stored: transactions without logs, calldata, senders, whom a transaction called, logs that were joined and matched
/// no rule themselves, the state of contracts, and what is known of entities.
#[must_use]
pub fn beyond_stored(mapping: &Mapping) -> Vec<&str> {
    let mut names: Vec<&str> = mapping.rules().iter().filter(|rule| reads_more(rule)).map(|rule| &*rule.name).collect();
    // Generations of one rule stand together.
    names.dedup();
    names
}

/// The rules whose emitters a factory announces: which there are is not known of a block alone.
#[must_use]
pub fn of_factories(mapping: &Mapping) -> Vec<&str> {
    let of_factory = |rule: &&Rule| matches!(rule.emitters, Emitters::Children(_));
    let mut names: Vec<&str> = mapping.rules().iter().filter(of_factory).map(|rule| &*rule.name).collect();
    names.dedup();
    names
}

fn reads_more(rule: &Rule) -> bool {
    let mut more = |expr: &Expr| matches!(expr, Expr::Around(Around::TxFrom | Around::TxTo | Around::TxInput));
    let conditions = rule.conditions.iter().map(|(expr, _)| expr);
    let mut exprs = rule.fields.iter().chain(conditions);
    rule.of_transactions()
        || rule.late
        || rule.call.is_some()
        || rule.join.is_some()
        || rule.reads_state
        || exprs.any(|expr| expr.any(&mut more))
}

fn index(number: i64) -> Result<u32, IndexerError> {
    u32::try_from(number).map_err(|error| broken(format!("index {number}: {error}")))
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, IndexerError> {
    text.parse().map_err(|error| broken(format!("{text:?}: {error}")))
}

fn broken(reason: String) -> IndexerError {
    IndexerError::State { key: "published tables".to_owned(), reason }
}
