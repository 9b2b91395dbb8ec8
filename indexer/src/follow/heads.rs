//! What the endpoints say the heads are, and which finalised head is believed.
//!
//! A finalised head is believed when more than half of the *hosts* name the same block: two URLs of one node, say for
//! HTTP and for WebSocket, are one vote. A host that is silent has no vote and still counts among them, so with two
//! hosts both are needed; with three, one may fail.

use alloy_primitives::B256;
use futures::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use tributary_schemas::BlockRef;

use crate::{
    Chain, Finality, IndexerError,
    endpoint::{EndpointId, Preference},
    follow::source::{By, Source, Told},
};

/// An endpoint so many blocks behind another is left for that one.
const LAG_MAX: u64 = 10;

/// The head to follow, given what the first endpoint says it is: another's, when that is far ahead and shows the block
/// after the first one's. A number alone moves nobody: it is easily said.
pub(super) async fn newest(source: &Source, first: Told) -> Told {
    let voters = source.pool.voters();
    let others = voters.into_iter().filter(|id| *id != first.endpoint);
    let asked = others.map(|id| source.header(Preference::Once(id), By::Tag("latest")));
    let told = join_all(asked).await.into_iter().filter_map(Result::ok).flatten();
    let Some(newest) = told.max_by_key(|told| told.checked.block.number) else { return first };
    let (behind, ahead) = (first.checked.block.number, newest.checked.block.number);
    if ahead <= behind.saturating_add(LAG_MAX) {
        return first;
    }
    let next = source.header_at(Preference::Once(newest.endpoint), behind.saturating_add(1)).await;
    if next.is_err() {
        return first;
    }
    source.pool.doubt(first.endpoint, format!("its head {behind} lags behind another's, {ahead}"));
    newest
}

/// The finalised heads of all endpoints, as last told.
#[derive(Debug, Default)]
pub(super) struct Finals {
    told: Vec<(EndpointId, BlockRef)>,
    quorum: usize,
}

impl Finals {
    /// Asks every endpoint that is up. One that contradicts what is final here is put in quarantine (INV-11).
    pub(super) async fn ask(source: &Source, chain: &dyn Chain, floor: Option<BlockRef>) -> Result<Self, IndexerError> {
        let voters = source.pool.voters();
        let asked = voters.iter().map(|id| source.header(source.pool.vote(*id), By::Tag("finalized")));
        let mut told = Vec::new();
        for answer in join_all(asked).await {
            match answer {
                Ok(Some(Told { endpoint, checked })) => told.push((endpoint, checked.block)),
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "no finalised head from an endpoint"),
            }
        }
        for (endpoint, block) in &told {
            if let Some(error) = contradiction(source, chain, floor, *endpoint, *block)? {
                source.pool.quarantine(*endpoint, error.to_string());
            }
        }
        let usable = source.pool.usable();
        // One vote for each host: the first of its endpoints that tells.
        let mut heard = BTreeSet::new();
        told.retain(|(endpoint, _)| usable.contains(endpoint) && heard.insert(source.pool.host(*endpoint)));
        let hosts: BTreeSet<usize> = usable.iter().map(|id| source.pool.host(*id)).collect();
        Ok(Self { told, quorum: hosts.len().checked_div(2).unwrap_or_default().saturating_add(1) })
    }

    pub(super) const fn finality(&self) -> Finality {
        if self.quorum > 1 { Finality::Quorum } else { Finality::Asserted }
    }

    /// The newest number that a quorum calls final.
    pub(super) fn number(&self) -> Option<u64> {
        let mut numbers: Vec<u64> = self.told.iter().map(|(_, block)| block.number).collect();
        numbers.sort_unstable_by(|left, right| right.cmp(left));
        numbers.get(self.quorum.checked_sub(1)?).copied()
    }

    /// The block of this number, when a quorum of those who call it final has the same; who has another one is put
    /// in quarantine.
    pub(super) async fn agreed(&self, source: &Source, number: u64) -> Result<Option<BlockRef>, IndexerError> {
        let voters = self.told.iter().filter(|(_, block)| block.number >= number);
        let votes = voters.map(|(endpoint, block)| async move {
            if block.number == number {
                return Some((*endpoint, *block));
            }
            match source.header_at(source.pool.vote(*endpoint), number).await {
                Ok(told) => Some((*endpoint, told.checked.block)),
                Err(error) => {
                    tracing::debug!(%error, number, "no vote on a final block");
                    None
                }
            }
        });
        let votes: Vec<_> = join_all(votes).await.into_iter().flatten().collect();
        let mut counts: BTreeMap<B256, usize> = BTreeMap::new();
        for (_, block) in &votes {
            let count = counts.entry(block.hash).or_default();
            *count = count.saturating_add(1);
        }
        let Some((agreed, _)) = counts.into_iter().find(|(_, count)| *count >= self.quorum) else {
            if votes.len() >= self.quorum {
                tracing::warn!(number, "the endpoints do not agree on a final block; finality waits");
            }
            return Ok(None);
        };
        for (endpoint, block) in votes.iter().filter(|(_, block)| block.hash != agreed) {
            let error = contradicts(source, *endpoint, number, agreed, block.hash);
            source.pool.quarantine(*endpoint, error.to_string());
        }
        Ok(votes.into_iter().map(|(_, block)| block).find(|block| block.hash == agreed))
    }
}

/// Whether a header contradicts a block that is final here.
pub(super) fn contradiction(
    source: &Source,
    chain: &dyn Chain,
    floor: Option<BlockRef>,
    endpoint: EndpointId,
    block: BlockRef,
) -> Result<Option<IndexerError>, IndexerError> {
    let Some(floor) = floor.filter(|floor| block.number <= floor.number) else { return Ok(None) };
    let ours = if block.number == floor.number { Some(floor) } else { chain.block(block.number)? };
    // A block whose reference was dropped already cannot be compared; what follows it is.
    Ok(ours
        .filter(|ours| ours.hash != block.hash)
        .map(|ours| contradicts(source, endpoint, block.number, ours.hash, block.hash)))
}

pub(super) fn contradicts(
    source: &Source,
    endpoint: EndpointId,
    number: u64,
    expected: B256,
    got: B256,
) -> IndexerError {
    IndexerError::ContradictsFinal { endpoint: source.pool.name(endpoint).to_owned(), number, expected, got }
}
