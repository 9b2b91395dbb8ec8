//! A sink that keeps the chain it is told, and checks every step.

use async_trait::async_trait;
use std::sync::{Arc, Mutex};
use tributary_schemas::BlockRef;

use crate::{Chain, Heads, IndexerError, Sink, VerifiedBlock};

/// The chain as the steps make it. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    blocks: Vec<VerifiedBlock>,
    finalized: Option<BlockRef>,
    heads: Heads,
    unwinds: Vec<(u64, u64)>,
}

impl Ledger {
    pub(super) fn hashes(&self) -> Vec<(u64, alloy_primitives::B256)> {
        self.with(|state| state.blocks.iter().map(|block| (block.block.number, block.block.hash)).collect())
    }

    pub(super) fn blocks(&self) -> Vec<VerifiedBlock> {
        self.with(|state| state.blocks.clone())
    }

    /// From and to, of every unwind.
    pub(super) fn unwinds(&self) -> Vec<(u64, u64)> {
        self.with(|state| state.unwinds.clone())
    }

    pub(super) fn finalized(&self) -> Option<BlockRef> {
        self.with(|state| state.finalized)
    }

    pub(super) fn seen(&self) -> Heads {
        self.with(|state| state.heads)
    }

    fn with<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.0.lock().unwrap())
    }
}

#[async_trait]
impl Sink for Ledger {
    async fn ingest(&mut self, blocks: Vec<VerifiedBlock>) -> Result<(), IndexerError> {
        assert!(!blocks.is_empty());
        self.with(|state| {
            for block in blocks {
                if let Some(last) = state.blocks.last() {
                    assert_eq!(block.block.parent_hash, last.block.hash);
                    assert_eq!(block.block.number, last.block.number + 1);
                }
                state.blocks.push(block);
            }
        });
        Ok(())
    }

    async fn unwind(&mut self, to: BlockRef) -> Result<(), IndexerError> {
        self.with(|state| {
            let tip = state.blocks.last().unwrap().block;
            assert!(to.number < tip.number);
            assert!(state.finalized.is_none_or(|finalized| finalized.number <= to.number), "INV-11");
            state.blocks.retain(|block| block.block.number <= to.number);
            assert!(state.blocks.last().is_none_or(|last| last.block == to));
            state.unwinds.push((tip.number, to.number));
        });
        Ok(())
    }

    async fn heads(&mut self, heads: Heads) -> Result<(), IndexerError> {
        self.with(|state| {
            let number = |heads: Heads| heads.finalized.map(|block| block.number);
            assert!(number(heads) >= number(state.heads), "finalized went back");
            state.heads = heads;
        });
        Ok(())
    }

    async fn finalized(&mut self, block: BlockRef) -> Result<(), IndexerError> {
        self.with(|state| {
            assert!(state.blocks.iter().any(|ours| ours.block == block));
            assert!(state.finalized.is_none_or(|finalized| finalized.number < block.number));
            state.finalized = Some(block);
        });
        Ok(())
    }
}

impl Chain for Ledger {
    fn head(&self) -> Result<Option<BlockRef>, IndexerError> {
        Ok(self.with(|state| state.blocks.last().map(|block| block.block)))
    }

    fn block(&self, number: u64) -> Result<Option<BlockRef>, IndexerError> {
        Ok(self.with(|state| {
            let first = state.blocks.first()?.block.number;
            let at = usize::try_from(number.checked_sub(first)?).ok()?;
            state.blocks.get(at).map(|block| block.block)
        }))
    }

    fn sealed(&self) -> Result<Option<BlockRef>, IndexerError> {
        Ok(self.finalized())
    }
}
