//! A transaction as a node tells it, to try rules on.

use alloy_primitives::B256;
use serde_json::{Value, json};
use std::sync::Arc;
use url::Url;

use crate::endpoint::{EndpointOptions, Pool, Preference};
use crate::{Clock, IndexerError};

/// A transaction's receipt with the transaction, its bytes where the node gives them, and the time of its block: what
/// [`fixture`](crate::decode::fixture) reads. Nothing is verified but that the bytes have the hash.
///
/// # Errors
///
/// When no node answers, or none knows the transaction.
pub async fn transaction(
    urls: &[Url],
    chain_id: u64,
    hash: B256,
    options: EndpointOptions,
    clock: Arc<dyn Clock>,
) -> Result<Value, IndexerError> {
    let pool = Pool::new(urls, chain_id, options, clock)?;
    let mut receipt = ask(&pool, "eth_getTransactionReceipt", json!([hash])).await?;
    if receipt.is_null() {
        let reason = format!("transaction {hash} is not known");
        let method = "eth_getTransactionReceipt".to_owned();
        return Err(IndexerError::Refused { endpoint: format!("chain {chain_id}"), method, reason });
    }
    receipt["transaction"] = ask(&pool, "eth_getTransactionByHash", json!([hash])).await?;
    // Not every node has it; without it there is no sender.
    if let Ok(raw) = ask(&pool, "eth_getRawTransactionByHash", json!([hash])).await
        && raw.is_string()
    {
        receipt["transaction"]["raw"] = raw;
    }
    let block = ask(&pool, "eth_getBlockByHash", json!([receipt["blockHash"], false])).await?;
    for log in receipt["logs"].as_array_mut().into_iter().flatten() {
        log["blockTimestamp"] = block["timestamp"].clone();
    }
    Ok(receipt)
}

async fn ask(pool: &Pool, method: &'static str, params: Value) -> Result<Value, IndexerError> {
    let answer = pool.call(Preference::First, method, &params).await?;
    serde_json::from_str(answer.json.get()).map_err(|error| IndexerError::Unanswered {
        endpoint: pool.name(answer.endpoint).to_owned(),
        method: method.to_owned(),
        attempts: 1,
        reason: error.to_string(),
    })
}
