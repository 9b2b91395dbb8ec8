//! A kill at any moment loses nothing and books nothing twice: the next run ends with the roots of a straight one.
//!
//! Ten seeds here; `TESTS_KILLS` asks for more.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::Path;
use std::time::Duration;
use tributary_tests::program::{roots, run_demo, start_demo};

const BLOCKS: u64 = 300;

#[expect(clippy::disallowed_methods, reason = "a longer run is asked for from outside")]
fn seeds() -> u64 {
    std::env::var("TESTS_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

/// Kills a run of the demo up to three times at moments drawn from the seed.
fn kill_some(seed: u64, data: &Path) {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..dice.random_range(1..=3) {
        let mut child = start_demo(seed % 3, BLOCKS, "reorg", data).unwrap();
        let moment = Duration::from_millis(dice.random_range(20..2500));
        let (done, wait) = std::sync::mpsc::channel::<()>();
        // The wait is the fault that is injected: nothing is asserted about time.
        assert!(wait.recv_timeout(moment).is_err());
        drop(done);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_kill_at_any_moment_changes_nothing() {
    let straight: Vec<_> =
        (0..3).map(|chain| roots(&run_demo(chain, BLOCKS, "", tempfile::tempdir().unwrap().path()))).collect();
    for seed in 0..seeds() {
        let folder = tempfile::tempdir().unwrap();
        kill_some(seed, folder.path());
        let after = run_demo(seed % 3, BLOCKS, "reorg", folder.path());
        let chain = usize::try_from(seed % 3).unwrap();
        assert_eq!(roots(&after), straight[chain], "seed {seed}");
    }
}

#[test]
fn without_the_sled_folder_the_state_is_folded_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start_demo(1, BLOCKS, "", folder.path()).unwrap();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    assert!(wait.recv_timeout(Duration::from_millis(2000)).is_err());
    drop(done);
    child.kill().unwrap();
    child.wait().unwrap();
    for name in ["sled", "tail"] {
        let path = folder.path().join(name);
        if path.try_exists().unwrap() {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
    let after = run_demo(1, BLOCKS, "", folder.path());
    let straight = run_demo(1, BLOCKS, "", tempfile::tempdir().unwrap().path());
    assert_eq!(roots(&after), roots(&straight));
}
