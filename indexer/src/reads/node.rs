//! Asking nodes, and counting who agrees.

use alloy_primitives::Bytes;
use futures::future::join_all;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tributary_schemas::BlockRef;

use super::{ANSWER_BYTES_MAX, Answer, Answers, READ_GAS, Reply, StateCall};
use crate::IndexerError;
use crate::endpoint::{self, EndpointId, Pool, Preference};

/// Calls asked at once.
const CALLS_MAX: usize = 16;

/// Asks the nodes of a chain.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pool: Arc<Pool>,
}

/// What one host says.
enum Vote {
    /// This.
    Said(EndpointId, Reply),
    /// That it cannot know: it has no part in the count.
    Abstains(String),
    /// Nothing: it counts, and agrees with nobody.
    Silent(String),
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
        let first = self.pool.call(Preference::First, "eth_call", &params).await.map_err(|error| error.to_string())?;
        let first =
            (first.endpoint, read(&first).map_err(|reason| format!("{}: {reason}", self.name(first.endpoint)))?);
        let heard = self.pool.host(first.0);
        let others = self.others(heard).into_iter().map(|endpoints| self.vote(endpoints, &params));
        let mut votes = join_all(others).await;
        votes.push(Vote::Said(first.0, first.1));
        self.count(votes)
    }

    /// The endpoints of every other host.
    fn others(&self, heard: usize) -> Vec<Vec<EndpointId>> {
        let mut hosts = BTreeMap::<usize, Vec<EndpointId>>::new();
        for id in self.pool.usable() {
            hosts.entry(self.pool.host(id)).or_default().push(id);
        }
        hosts.remove(&heard);
        hosts.into_values().collect()
    }

    /// The vote of one host, by the first of its endpoints that gives one.
    async fn vote(&self, endpoints: Vec<EndpointId>, params: &serde_json::Value) -> Vote {
        let mut last = Vote::Silent("it was not asked".to_owned());
        for id in endpoints {
            last = match self.pool.call(Preference::Once(id), "eth_call", params).await {
                Ok(answer) => match read(&answer) {
                    Ok(reply) => return Vote::Said(id, reply),
                    Err(reason) => Vote::Silent(format!("{}: {reason}", self.name(id))),
                },
                Err(error @ IndexerError::Refused { .. }) => Vote::Abstains(error.to_string()),
                Err(error) => Vote::Silent(error.to_string()),
            };
        }
        last
    }

    /// What more than half of the hosts say that can know it; who says otherwise is asked last for a while.
    fn count(&self, votes: Vec<Vote>) -> Result<Answer, String> {
        let (mut said, mut reasons, mut hosts) = (BTreeMap::<Reply, Vec<EndpointId>>::new(), Vec::new(), 0_usize);
        for vote in votes {
            match vote {
                Vote::Said(id, reply) => said.entry(reply).or_default().push(id),
                Vote::Silent(reason) => reasons.push(reason),
                Vote::Abstains(reason) => {
                    tracing::debug!(reason, "no vote on a state read");
                    continue;
                }
            }
            hosts = hosts.saturating_add(1);
        }
        let quorum = hosts.checked_div(2).unwrap_or_default().saturating_add(1);
        let agreed = said.iter().find(|(_, ids)| ids.len() >= quorum).map(|(reply, ids)| (reply.clone(), ids.len()));
        let Some((reply, agreeing)) = agreed else {
            reasons.extend(said.iter().map(|(reply, ids)| self.shown(reply, ids)));
            return Err(format!("expected {quorum} of {hosts} hosts to agree: {}", reasons.join("; ")));
        };
        for (other, ids) in said.iter().filter(|(other, _)| **other != reply) {
            let reason = || format!("it says {} where {agreeing} others agree on {}", shown(other), shown(&reply));
            ids.iter().for_each(|id| self.pool.doubt(*id, reason()));
        }
        Ok(Answer { reply, agreeing: u32::try_from(agreeing).unwrap_or(u32::MAX) })
    }

    fn shown(&self, reply: &Reply, ids: &[EndpointId]) -> String {
        format!("{} says {}", ids.iter().map(|id| self.name(*id)).collect::<Vec<_>>().join(", "), shown(reply))
    }

    fn name(&self, id: EndpointId) -> &str {
        self.pool.name(id)
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

fn read(answer: &endpoint::Answer) -> Result<Reply, String> {
    if endpoint::is_reverted(&answer.json) {
        return Ok(Reply::Reverted);
    }
    let bytes: Bytes = serde_json::from_str(answer.json.get()).map_err(|error| format!("no bytes: {error}"))?;
    Ok(if bytes.len() > ANSWER_BYTES_MAX { Reply::Oversize } else { Reply::Returned(bytes) })
}
