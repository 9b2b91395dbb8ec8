//! Pages of lists: bounds, and cursors that pin what they were made at.

use async_graphql::SimpleObject;

/// How many there are.
#[derive(Debug, Clone, Copy, SimpleObject)]
pub(crate) struct Total {
    /// How many there are in all pages.
    pub(crate) total_count: i64,
}
