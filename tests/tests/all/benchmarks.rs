//! The benchmark programs at their smallest size, so that they do not rot. Nothing is asserted about time.

use std::num::NonZeroUsize;
use tributary_tests::commit;
use tributary_tests::program::binary;
use tributary_tests::share::{self, Load};
use tributary_tests::{spray, unwind};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn following_is_complete_at_the_smallest_size() {
    let measured = spray::bench(&binary(), spray::Load { blocks: 20, events_per_block: 100 }).await;
    assert_eq!(measured["events"], 2000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deep_reorg_leaves_nothing_behind_at_the_smallest_size() {
    let measured = unwind::bench(&binary(), 1, 300).await;
    assert_eq!(measured["blocks_unwound"], 300);
}

#[test]
fn certificates_are_checked_at_the_smallest_size() {
    let dense = Load { payments: 60, inferences_min: 500, ..Load::dense(16, 8) };
    for (load, certificates_min) in [(Load::sparse(40), 6), (dense, 2)] {
        let measured = share::bench(1, load);
        assert!(measured["certificates"].as_u64() >= Some(certificates_min), "{measured}");
        assert!(measured["cpu_seconds"]["certificates"].as_f64() > Some(0.0), "{measured}");
    }
}

#[tokio::test]
async fn a_commitment_is_opened_and_verified_at_the_smallest_size() {
    let measured = commit::bench(4096, NonZeroUsize::MIN).await.unwrap();
    assert_eq!(measured["blob_bytes"], 4096);
}
