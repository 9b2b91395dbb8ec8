//! The L2 blocks, as the pipeline wrote them down; where it did not, as the nodes have them.

use std::sync::Arc;
use tributary_store::Tail;

use super::Exchange;
use crate::IndexerError;
use crate::endpoint::Preference;
use crate::follow::Source;
use crate::inbox::anchor::L2Block;
use crate::pipeline::TailState;
use crate::state::{Key, StateView};

/// What is known of an L2 block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// What a batch may claim.
    Block(L2Block),
    /// It has no L1 origin, as the genesis block: no batch can hold it.
    InNoBatch,
    /// Nothing so far.
    Absent,
}

/// L2 blocks by number.
#[derive(Debug)]
pub(super) struct L2Blocks {
    pub(super) tail: Arc<Tail>,
    /// Told which blocks are final.
    pub(super) exchange: Arc<Exchange>,
    /// Asked for final blocks that are not written down: those from before anchoring was switched on, or from before
    /// the tail was lost.
    pub(super) nodes: Option<Source>,
}

impl L2Blocks {
    /// What is written down of a block.
    pub(super) fn stored(&self, number: u64) -> Result<Entry, IndexerError> {
        let state = TailState(Arc::clone(&self.tail));
        let stored: Option<Option<L2Block>> = StateView::new(&state).get(&Key::l2_block(number))?;
        Ok(match stored {
            Some(Some(block)) => Entry::Block(block),
            Some(None) => Entry::InNoBatch,
            None => Entry::Absent,
        })
    }

    /// The newest block that is final and was written down.
    pub(super) fn final_head(&self) -> Option<u64> {
        let written = self.tail.head().map(|head| head.number);
        let known_final = self.exchange.final_l2().and_then(|last| written.map(|head| std::cmp::min(last, head)));
        std::cmp::max(self.tail.sealed().map(|sealed| sealed.number), known_final)
    }

    /// A block that is final.
    pub(super) async fn final_block(&self, number: u64) -> Result<Entry, IndexerError> {
        let stored = self.stored(number)?;
        let (Entry::Absent, Some(nodes)) = (&stored, &self.nodes) else { return Ok(stored) };
        if self.final_head().is_none_or(|last| last < number) {
            return Ok(Entry::Absent);
        }
        let fetched = nodes.block(Preference::Turns, number).await?.block;
        Ok(L2Block::of(&fetched).map_or(Entry::InNoBatch, Entry::Block))
    }
}
