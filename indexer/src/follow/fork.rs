//! Where the stored chain and the node's chain parted.
//!
//! A lower head is not a reorg: a node that lags shows a block we have. A reorg is a header that contradicts ours at
//! the same number, linked by hashes to a block we share. The search asks by number, in steps that double and then
//! halve, so that 43,200 blocks cost some thirty questions; then every header between the shared block and the
//! contradiction is fetched and its link checked, in a stream that holds none of them, before anything is undone.

use futures::{StreamExt as _, stream};
use tributary_schemas::BlockRef;

use crate::{
    Chain, IndexerError,
    endpoint::Preference,
    follow::{
        heads::{contradiction, contradicts},
        source::{Source, Told},
    },
};

/// Headers asked for at once while links are checked.
const HEADERS_AT_ONCE: usize = 16;

/// The node's header that contradicts the stored chain, if one does.
pub(super) async fn find(
    source: &Source,
    chain: &dyn Chain,
    tip: BlockRef,
    latest: &Told,
) -> Result<Option<Told>, IndexerError> {
    let newest = latest.checked.block;
    if newest.number > tip.number {
        if newest.parent_hash == tip.hash {
            return Ok(None);
        }
        let theirs = source.header_at(Preference::Only(latest.endpoint), tip.number).await?;
        return Ok(Some(theirs).filter(|theirs| theirs.checked.block.hash != tip.hash));
    }
    let ours = if newest.number == tip.number { Some(tip) } else { chain.block(newest.number)? };
    // Nothing is known about a block that was dropped already: the node lags far behind.
    Ok(ours.filter(|ours| ours.hash != newest.hash).map(|_| latest.clone()))
}

/// The last block both chains share, given a header that contradicts ours.
///
/// `floor` is the last block that is final here; `before_first` the number before the first block ever stored.
pub(super) async fn ancestor(
    source: &Source,
    chain: &dyn Chain,
    floor: Option<BlockRef>,
    before_first: Option<u64>,
    theirs: &Told,
) -> Result<BlockRef, IndexerError> {
    let refuse = |error: IndexerError| {
        source.pool.quarantine(theirs.endpoint, error.to_string());
        Err(error)
    };
    let other = theirs.checked.block;
    if let Some(error) = contradiction(source, chain, floor, theirs.endpoint, other)? {
        return refuse(error);
    }
    let Some(lowest) = floor.map(|floor| floor.number).or(before_first).filter(|lowest| *lowest < other.number) else {
        // Block zero of another chain.
        let ours = chain.block(other.number)?.unwrap_or_default();
        return refuse(contradicts(source, theirs.endpoint, other.number, ours.hash, other.hash));
    };
    let probe = Probe { source, chain, theirs, lowest, floor };
    let (mut differs, mut step) = (other.number, 1_u64);
    let mut shared = loop {
        let at = std::cmp::max(other.number.saturating_sub(step), lowest);
        if let Some(shared) = probe.shared(at).await? {
            break shared;
        }
        if at == lowest {
            let expected = floor.unwrap_or_default().hash;
            let got = source.header_at(Preference::Only(theirs.endpoint), at).await?.checked.block.hash;
            return refuse(contradicts(source, theirs.endpoint, at, expected, got));
        }
        differs = at;
        step = step.saturating_mul(2);
    };
    while differs.saturating_sub(shared.number) > 1 {
        let middle = shared.number.midpoint(differs);
        match probe.shared(middle).await? {
            Some(found) => shared = found,
            None => differs = middle,
        }
    }
    probe.check_links(shared).await?;
    Ok(shared)
}

struct Probe<'a> {
    source: &'a Source,
    chain: &'a dyn Chain,
    theirs: &'a Told,
    lowest: u64,
    floor: Option<BlockRef>,
}

impl Probe<'_> {
    /// Their block of this number, when it is ours too.
    async fn shared(&self, number: u64) -> Result<Option<BlockRef>, IndexerError> {
        let other = self.theirs.checked.block;
        let ours = match self.floor {
            Some(floor) if floor.number == number => Some(floor),
            _ => self.chain.block(number)?,
        };
        if other.number.checked_sub(1) == Some(number) && ours.is_some_and(|ours| ours.hash == other.parent_hash) {
            return Ok(ours);
        }
        let told = self.source.header_at(Preference::Only(self.theirs.endpoint), number).await?.checked.block;
        // Before the first stored block there is nothing to compare: everything stored goes.
        let before_first = self.floor.is_none() && number == self.lowest;
        Ok((before_first || ours.is_some_and(|ours| ours.hash == told.hash)).then_some(told))
    }

    /// Every header above the shared block up to the contradiction names the one before it.
    async fn check_links(&self, shared: BlockRef) -> Result<(), IndexerError> {
        let other = self.theirs.checked.block;
        let endpoint = self.theirs.endpoint;
        let numbers = shared.number.saturating_add(1)..other.number;
        let asked = numbers.map(|number| self.source.header_at(Preference::Only(endpoint), number));
        let mut headers = stream::iter(asked).buffered(HEADERS_AT_ONCE);
        let mut parent = shared;
        while let Some(told) = headers.next().await {
            let header = told?.checked.block;
            self.linked(parent, header)?;
            parent = header;
        }
        self.linked(parent, other)
    }

    /// A node whose chain moved while it was asked is asked again later; nothing is undone on its word.
    fn linked(&self, parent: BlockRef, header: BlockRef) -> Result<(), IndexerError> {
        if header.parent_hash == parent.hash {
            return Ok(());
        }
        let endpoint = self.source.pool.name(self.theirs.endpoint).to_owned();
        Err(IndexerError::BlockGone { endpoint, block: format!("{} after {parent}", header.number) })
    }
}
