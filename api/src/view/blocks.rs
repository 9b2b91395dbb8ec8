//! Blocks, and what on L1 carries them.

use super::View;
use super::load::AnchorKey;
use crate::error::Refusal;
use crate::schema::block::{Block, BlockAnchor, Posting};

impl View {
    /// A sealed block, not newer than the view's.
    pub(crate) async fn block(&self, number: i64) -> Result<Option<Block>, Refusal> {
        let row = self.pinned().block(number).await?.filter(|row| row.number <= self.number());
        Ok(row.map(|row| Block::of(self.clone(), row)))
    }

    /// What carries a sealed block.
    pub(crate) async fn anchor(&self, number: i64) -> Result<BlockAnchor, Refusal> {
        let rows = self.pinned().loads.load_one(AnchorKey(number)).await?.unwrap_or_default();
        let state = match rows.first() {
            Some(row) => row.state.clone(),
            None if self.pinned().snapshot.heads.anchors.is_some() => "pending".to_owned(),
            None => "off".to_owned(),
        };
        Ok(BlockAnchor { state, postings: rows.into_iter().filter_map(Posting::of).collect() })
    }
}
