//! Blocks, and what on L1 carries them.

use tributary_schemas::facts::AnchorRow;

use super::View;
use crate::error::Refusal;
use crate::schema::block::{Block, BlockAnchor, Posting};

impl View {
    /// A sealed block.
    pub(crate) async fn block(&self, number: i64) -> Result<Option<Block>, Refusal> {
        let row = self.pinned().block(number).await?;
        Ok(row.map(|row| Block::of(self.clone(), row)))
    }

    /// What carries a sealed block.
    pub(crate) async fn anchor(&self, number: i64) -> Result<BlockAnchor, Refusal> {
        let query = "SELECT * FROM anchors WHERE l2_block = $1 ORDER BY part";
        let rows = self.pinned().rows::<AnchorRow>(query, vec![number.into()]).await?;
        let state = match rows.first() {
            Some(row) => row.state.clone(),
            None if self.pinned().snapshot.heads.anchors.is_some() => "pending".to_owned(),
            None => "off".to_owned(),
        };
        Ok(BlockAnchor { state, postings: rows.into_iter().filter_map(Posting::of).collect() })
    }
}
