//! The benchmark programs at their smallest size, so that they do not rot. Nothing is asserted about time.

use std::num::NonZeroUsize;
use std::path::Path;
use tributary_tests::commit;
use tributary_tests::engines::{ENGINES, Job};
use tributary_tests::program::binary;
use tributary_tests::share::{self, Load};
use tributary_tests::{decoding, lists, serving, spray, unwind};

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

#[test]
fn rules_decode_to_what_a_decoder_by_hand_does_at_the_smallest_size() {
    let measured = decoding::bench(600, 1).unwrap();
    assert_eq!(measured["logs"], 600);
    assert!(measured["ratio"].as_f64() > Some(0.0), "{measured}");
}

#[test]
fn trees_of_every_format_are_built_and_proved_at_the_smallest_size() {
    let folder = tempfile::tempdir().unwrap();
    let measured = lists::bench(folder.path(), 100).unwrap();
    assert_eq!(measured.len(), 6);
    assert!(measured.iter().all(|line| line["leaves"] == 100), "{measured:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_is_answered_and_following_goes_on_at_the_smallest_size() {
    let load = serving::Load { blocks: 200, followed: 20, seconds: 1, connections: vec![2], kept_answers_mib: 32 };
    let mut lines = Vec::new();
    serving::bench(&binary(), &load, |line| lines.push(line.clone())).await;
    let asked = lines.iter().filter_map(|line| line["question"].as_str()).collect::<Vec<_>>();
    assert_eq!(asked, ["account", "accounts", "payments", "provenance", "statement", "following"], "{lines:?}");
    // What was read once of a snapshot is not read again.
    let few = |line: &serde_json::Value| line["table_reads"].as_u64() < line["requests"].as_u64();
    assert!(lines.iter().take(5).all(few), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_agree_or_are_caught_at_the_smallest_size() {
    let folder = tempfile::tempdir().unwrap();
    let job = Job::prepare(folder.path(), 64_000, 1_000).await.unwrap();
    for engine in ENGINES {
        let line = job.run(Path::new(env!("CARGO_BIN_EXE_bench_engines")), engine).unwrap();
        if engine == "postgres" && line["skipped"].is_string() {
            continue;
        }
        assert!(line["failed"].is_null(), "{line}");
        // Doubles are fast, and wrong in nearly every sum.
        assert_eq!(line["exact"], engine != "duckdb-double", "{line}");
        assert!(line["cpu_seconds"].is_number() && line["peak_rss_bytes"].as_u64() > Some(0), "{line}");
    }
}
