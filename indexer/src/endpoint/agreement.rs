//! What nodes say of what no header vouches for.
//!
//! Every host is asked, and believed is what more than half of those say that can know it, as of final heads: two URLs of
//! one host are one vote. A host that refuses, say for want of the state of that block, is no part of the count; one that
//! is silent, or unreadable, counts and agrees with nobody. Who says otherwise than most is asked last for a while.

use futures::future::join_all;
use serde_json::{Value, value::RawValue};
use std::collections::BTreeMap;

use super::{EndpointId, Pool, Preference};
use crate::IndexerError;

/// What is asked, and how answers are read.
#[derive(Debug)]
pub(crate) struct Question<'a, T> {
    pub(crate) method: &'static str,
    pub(crate) params: &'a Value,
    pub(crate) read: fn(&RawValue) -> Result<T, String>,
    /// An answer for a person.
    pub(crate) shown: fn(&T) -> String,
}

/// What is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Agreed<T> {
    pub(crate) value: T,
    /// How many hosts said so.
    pub(crate) hosts: usize,
}

/// Why nothing is.
#[derive(Debug)]
pub(crate) struct Disagreed {
    pub(crate) reason: String,
    /// Whether asking again may help: not where all refuse.
    pub(crate) may_pass: bool,
}

/// What one host says.
enum Vote<T> {
    /// This.
    Said(EndpointId, T),
    /// That it cannot know: it has no part in the count.
    Abstains(String),
    /// Nothing that can be read: it counts, and agrees with nobody.
    Silent(String),
}

impl Pool {
    /// Asks all hosts, the first that answers patiently and the others for their votes.
    ///
    /// # Errors
    ///
    /// When nobody answers, all refuse, or no more than half of the hosts agree.
    pub(crate) async fn agreed<T: Ord>(&self, question: &Question<'_, T>) -> Result<Agreed<T>, Disagreed> {
        let first = self.call(Preference::First, question.method, question.params).await.map_err(|error| {
            Disagreed { may_pass: matches!(error, IndexerError::Unanswered { .. }), reason: error.to_string() }
        })?;
        let others = self.other_hosts(self.host(first.endpoint)).into_iter();
        let mut votes = join_all(others.map(|endpoints| self.vote_of(endpoints, question))).await;
        votes.push(self.heard(first.endpoint, &first.json, question));
        self.count(votes, question).map_err(|reason| Disagreed { reason, may_pass: true })
    }

    /// The endpoints of every other host.
    fn other_hosts(&self, heard: usize) -> Vec<Vec<EndpointId>> {
        let mut hosts = BTreeMap::<usize, Vec<EndpointId>>::new();
        for id in self.usable() {
            hosts.entry(self.host(id)).or_default().push(id);
        }
        hosts.remove(&heard);
        hosts.into_values().collect()
    }

    /// The vote of one host, by the first of its endpoints that gives one.
    async fn vote_of<T>(&self, endpoints: Vec<EndpointId>, question: &Question<'_, T>) -> Vote<T> {
        let mut last = Vote::Silent("it was not asked".to_owned());
        for id in endpoints {
            last = match self.call(Preference::Once(id), question.method, question.params).await {
                Ok(answer) => match self.heard(id, &answer.json, question) {
                    vote @ Vote::Said(..) => return vote,
                    other => other,
                },
                Err(error @ IndexerError::Refused { .. }) => Vote::Abstains(error.to_string()),
                Err(error) => Vote::Silent(error.to_string()),
            };
        }
        last
    }

    fn heard<T>(&self, id: EndpointId, answer: &RawValue, question: &Question<'_, T>) -> Vote<T> {
        match (question.read)(answer) {
            Ok(value) => Vote::Said(id, value),
            Err(reason) => Vote::Silent(format!("{}: {reason}", self.name(id))),
        }
    }

    /// What more than half of the hosts say that can know it; who says otherwise is asked last for a while.
    fn count<T: Ord>(&self, votes: Vec<Vote<T>>, question: &Question<'_, T>) -> Result<Agreed<T>, String> {
        let (mut said, mut reasons, mut hosts) = (BTreeMap::<T, Vec<EndpointId>>::new(), Vec::new(), 0_usize);
        for vote in votes {
            match vote {
                Vote::Said(id, value) => said.entry(value).or_default().push(id),
                Vote::Silent(reason) => reasons.push(reason),
                Vote::Abstains(reason) => {
                    tracing::debug!(method = question.method, reason, "no vote");
                    continue;
                }
            }
            hosts = hosts.saturating_add(1);
        }
        let quorum = hosts.checked_div(2).unwrap_or_default().saturating_add(1);
        let (mut agreed, others): (Vec<_>, Vec<_>) = said.into_iter().partition(|(_, ids)| ids.len() >= quorum);
        let Some((value, ids)) = agreed.pop() else {
            let names = |ids: &[EndpointId]| ids.iter().map(|id| self.name(*id)).collect::<Vec<_>>().join(", ");
            reasons
                .extend(others.iter().map(|(value, ids)| format!("{} says {}", names(ids), (question.shown)(value))));
            return Err(format!("expected {quorum} of {hosts} hosts to agree: {}", reasons.join("; ")));
        };
        for (other, ids_of_other) in others {
            let (other, most, count) = ((question.shown)(&other), (question.shown)(&value), ids.len());
            for id in ids_of_other {
                self.doubt(id, format!("it says {other} where {count} others agree on {most}"));
            }
        }
        Ok(Agreed { value, hosts: ids.len() })
    }
}
