//! What the endpoints say the heads are, and which finalised head is believed.

use alloy_primitives::B256;
use futures::future::join_all;
use std::collections::BTreeMap;
use tributary_schemas::BlockRef;

use crate::{
    Chain, Finality, IndexerError,
    endpoint::{EndpointId, Preference},
    follow::source::{By, Source, Told},
};

/// The finalised heads of all endpoints, as last told.
#[derive(Debug, Default)]
pub(super) struct Finals {
    told: Vec<(EndpointId, BlockRef)>,
    quorum: usize,
}

impl Finals {
    /// Asks every usable endpoint. One that contradicts what is final here is put in quarantine (INV-11).
    pub(super) async fn ask(source: &Source, chain: &dyn Chain, floor: Option<BlockRef>) -> Result<Self, IndexerError> {
        let usable = source.pool.usable();
        let asked = usable.iter().map(|id| source.header(Preference::Only(*id), By::Tag("finalized")));
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
        told.retain(|(endpoint, _)| usable.contains(endpoint));
        Ok(Self { told, quorum: usable.len().checked_div(2).unwrap_or_default().saturating_add(1) })
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
            match source.header_at(Preference::Only(*endpoint), number).await {
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
