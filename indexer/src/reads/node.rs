//! Asking nodes: what they agree on is the answer.

use alloy_primitives::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{json, value::RawValue};
use std::collections::BTreeSet;
use std::sync::Arc;
use tributary_schemas::BlockRef;

use super::{ANSWER_BYTES_MAX, Answer, Answers, READ_GAS, Reply, StateCall};
use crate::IndexerError;
use crate::endpoint::{Agreed, Pool, Question, is_reverted};

/// Calls asked at once.
const CALLS_MAX: usize = 16;

/// Asks the nodes of a chain.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pool: Arc<Pool>,
}

impl Reader {
    pub(crate) const fn new(pool: Arc<Pool>) -> Self {
        Self { pool }
    }

    /// The answers to all of these calls at the end of a block.
    ///
    /// # Errors
    ///
    /// [`IndexerError::Unheard`] when one could not be had, or not enough hosts agree on it. A revert is an answer.
    pub(crate) async fn ask(&self, block: &BlockRef, calls: BTreeSet<StateCall>) -> Result<Answers, IndexerError> {
        let asked = calls.into_iter().map(|call| async move {
            let answer = Box::pin(self.one(block, &call)).await;
            let answer = answer.map_err(|reason| IndexerError::Unheard {
                number: block.number,
                hash: block.hash,
                call: call.to_string(),
                reason,
            })?;
            Ok((call, answer))
        });
        stream::iter(asked.collect::<Vec<_>>()).buffer_unordered(CALLS_MAX).try_collect().await
    }

    async fn one(&self, block: &BlockRef, call: &StateCall) -> Result<Answer, String> {
        let params = json!([
            { "to": call.to, "data": call.data, "gas": format!("{READ_GAS:#x}") },
            { "blockHash": block.hash, "requireCanonical": true },
        ]);
        let question = Question { method: "eth_call", params: &params, read, shown };
        let Agreed { value, hosts } = self.pool.agreed(&question).await.map_err(|disagreed| disagreed.reason)?;
        Ok(Answer { reply: value, agreeing: u32::try_from(hosts).unwrap_or(u32::MAX) })
    }
}

/// A reply for a person.
fn shown(reply: &Reply) -> String {
    match reply {
        Reply::Returned(bytes) if bytes.len() > 64 => format!("{} bytes", bytes.len()),
        Reply::Returned(bytes) => bytes.to_string(),
        other => other.as_str().to_owned(),
    }
}

fn read(answer: &RawValue) -> Result<Reply, String> {
    if is_reverted(answer) {
        return Ok(Reply::Reverted);
    }
    let bytes: Bytes = serde_json::from_str(answer.get()).map_err(|error| format!("no bytes: {error}"))?;
    Ok(if bytes.len() > ANSWER_BYTES_MAX { Reply::Oversize } else { Reply::Returned(bytes) })
}
