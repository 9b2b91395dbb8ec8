//! The benchmark programs at their smallest size, so that they do not rot. Nothing is asserted about time.

use tributary_tests::program::binary;
use tributary_tests::spray::{Load, bench};
use tributary_tests::unwind;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn following_is_complete_at_the_smallest_size() {
    let measured = bench(&binary(), Load { blocks: 20, events_per_block: 100 }).await;
    assert_eq!(measured["events"], 2000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deep_reorg_leaves_nothing_behind_at_the_smallest_size() {
    let measured = unwind::bench(&binary(), 1, 300).await;
    assert_eq!(measured["blocks_unwound"], 300);
}
