//! A kill at any moment loses nothing and books nothing twice: the next run ends with the roots of a straight one.
//!
//! Ten seeds here; `TESTS_KILLS` asks for more.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tributary_accounting::{register, session, verify_store};
use tributary_schemas::Table;
use tributary_schemas::money::{BalanceRow, ClaimRow, EntitlementRow, LedgerEntryRow, MerkleLeafRow, MoneyFlowRow};
use tributary_store::{Heads, Lake};
use tributary_tests::program::{built, roots, run_demo, start_demo};
use tributary_tests::world::World;

const BLOCKS: u64 = 300;

#[expect(clippy::disallowed_methods, reason = "a longer run is asked for from outside")]
fn seeds() -> u64 {
    std::env::var("TESTS_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

/// Kills a run of the demo up to three times at moments drawn from the seed.
fn kill_some(seed: u64, data: &Path) {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..dice.random_range(1..=3) {
        let child = start_demo(seed % 3, BLOCKS, "reorg", data).unwrap();
        kill_after(child, Duration::from_millis(dice.random_range(20..2500)));
    }
}

/// Kills a process after a while. The wait is the fault that is injected: nothing is asserted about time.
fn kill_after(mut child: Child, moment: Duration) {
    pause(moment);
    child.kill().unwrap();
    child.wait().unwrap();
}

fn pause(moment: Duration) {
    let (done, wait) = std::sync::mpsc::channel::<()>();
    assert!(wait.recv_timeout(moment).is_err());
    drop(done);
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

/// Where a data folder keeps what follows the chain: sled and its segments.
pub(crate) fn tail_folders(data: &Path) -> Vec<PathBuf> {
    let of_tail = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("sled-") || name == "segments"
    };
    std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path()).filter(of_tail).collect()
}

#[test]
fn without_the_sled_folder_the_state_is_folded_again() {
    let folder = tempfile::tempdir().unwrap();
    let child = start_demo(1, BLOCKS, "", folder.path()).unwrap();
    while !folder.path().join("snapshots/0000000000.json").try_exists().unwrap() {
        pause(Duration::from_millis(5));
    }
    kill_after(child, Duration::ZERO);
    let lost = tail_folders(folder.path());
    assert!(lost.len() >= 2, "{lost:?}");
    lost.iter().for_each(|folder| std::fs::remove_dir_all(folder).unwrap());
    let after = run_demo(1, BLOCKS, "", folder.path());
    let straight = run_demo(1, BLOCKS, "", tempfile::tempdir().unwrap().path());
    assert_eq!(roots(&after), roots(&straight));
}

/// A process that settles a folder and does nothing else.
fn start_settling(folder: &Path) -> Child {
    let mut command = Command::new(built("settle_folder"));
    command.arg(folder).stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().expect("tests/run builds the program first")
}

/// Settles a folder to its end, and how long that takes here.
#[expect(clippy::disallowed_methods, reason = "a later run is killed somewhere within")]
fn settle_folder(folder: &Path) -> Duration {
    let began = Instant::now();
    assert!(start_settling(folder).wait().unwrap().success());
    began.elapsed()
}

/// Where a folder stands, and its rows, each as often as it is there.
async fn settled(folder: &Path) -> (Heads, Vec<Vec<String>>) {
    async fn rows<T: Table + Debug + Send + 'static>(lake: &Lake) -> Vec<String> {
        let snapshot = lake.latest().await.unwrap().unwrap();
        let mut rows: Vec<String> =
            lake.read::<T>(&snapshot).await.unwrap().iter().map(|row| format!("{row:?}")).collect();
        rows.sort_unstable();
        rows
    }
    let lake = Lake::open(folder).await.unwrap();
    let snapshot = lake.latest().await.unwrap().unwrap();
    let entries = lake.read::<LedgerEntryRow>(&snapshot).await.unwrap();
    let ids: BTreeSet<&str> = entries.iter().map(|entry| entry.entry_id.as_str()).collect();
    assert_eq!(ids.len(), entries.len(), "an entry is booked once");
    let ctx = session(None, 2).unwrap();
    register(&ctx, &lake, &snapshot).await.unwrap();
    for (epoch, findings) in verify_store(&ctx, folder, None).await.unwrap() {
        assert!(findings.is_clean(), "epoch {epoch}: {findings:?}");
    }
    let tables = vec![
        rows::<LedgerEntryRow>(&lake).await,
        rows::<BalanceRow>(&lake).await,
        rows::<EntitlementRow>(&lake).await,
        rows::<ClaimRow>(&lake).await,
        rows::<MerkleLeafRow>(&lake).await,
        rows::<MoneyFlowRow>(&lake).await,
    ];
    (snapshot.heads.clone(), tables)
}

#[tokio::test]
async fn a_settlement_that_is_killed_books_everything_once() {
    for seed in 0..seeds() {
        let world = World::new(seed);
        let (straight, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in [straight.path(), killed.path()] {
            Box::pin(crate::explain::published(folder, &world)).await;
        }
        let took = settle_folder(straight.path());
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        for _ in 0..dice.random_range(1..=3) {
            kill_after(start_settling(killed.path()), took.mul_f64(dice.random_range(0.1..1.0)));
        }
        settle_folder(killed.path());
        let expected = Box::pin(settled(straight.path())).await;
        let after = Box::pin(settled(killed.path())).await;
        assert_eq!(after.0, expected.0, "seed {seed}");
        assert_eq!(after.1, expected.1, "seed {seed}");
        assert_eq!(expected.0.settled_epoch, world.epochs.last().copied(), "seed {seed}");
    }
}
