//! A disk that runs out of room while a chain is followed: nobody fills one, the reading is scripted.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::task::JoinSet;
use tributary_store::Status;

use super::*;
use crate::FreeSpace;

const MIN_FREE_BYTES: u64 = 1_000;
/// Readings before the disk is full: a few steps are taken in first.
const FULL_AFTER: u64 = 20;

/// Has a byte too little, once it was asked so often, until it is freed.
#[derive(Debug, Default)]
struct Filling {
    readings: AtomicU64,
    is_freed: AtomicBool,
}

impl Filling {
    fn readings(&self) -> u64 {
        self.readings.load(Ordering::SeqCst)
    }
}

impl FreeSpace for Filling {
    fn free_bytes(&self, _folder: &Path) -> io::Result<u64> {
        let is_full = self.readings.fetch_add(1, Ordering::SeqCst) >= FULL_AFTER;
        let lacks = is_full && !self.is_freed.load(Ordering::SeqCst);
        Ok(MIN_FREE_BYTES - u64::from(lacks))
    }
}

/// A follower of the chain that has come to the point where the disk is full.
struct Stopped {
    disk: Arc<Filling>,
    run: JoinSet<Result<Outcome, IndexerError>>,
    shutdown: CancellationToken,
}

impl Stopped {
    async fn start(devnet: &Devnet, dir: &Path, until: u64) -> Self {
        let disk = Arc::new(Filling::default());
        let config = config(devnet, dir, Until::Final(until));
        let config = IndexerConfig {
            space: SpaceOptions { min_free_bytes: MIN_FREE_BYTES, disk: Arc::clone(&disk) as Arc<dyn FreeSpace> },
            follow: FollowOptions { step_blocks_max: 4, ..config.follow },
            ..config
        };
        let tail = Arc::new(Tail::open(&dir.join("tail"), TailOptions::default()).unwrap());
        let (progress, mut seen) = watch::channel(Progress::default());
        let (lake, archive) = (Lake::open(dir).await.unwrap(), Archive::open(dir).unwrap());
        let (clock, shutdown) = (Arc::new(ManualClock::at(1)), CancellationToken::new());
        let mut following = JoinSet::new();
        following.spawn(run(config, tail, lake, archive, clock, shutdown.clone(), progress));
        let says_why = |progress: &Progress| progress.waiting.iter().any(|why| why.contains("min_free_bytes"));
        drop(seen.wait_for(says_why).await.unwrap());
        Self { disk, run: following, shutdown }
    }

    /// Returns after it was looked for room a few times more.
    async fn look_on(&self) {
        let enough = self.disk.readings() + 30;
        while self.disk.readings() < enough {
            tokio::task::yield_now().await;
        }
    }

    async fn end(mut self) -> Outcome {
        self.run.join_next().await.unwrap().unwrap().unwrap()
    }
}

fn told(dir: &Path) -> Status {
    read_status(dir).unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_intake_stops_and_goes_on_by_itself() {
    let (devnet, last) = start(devnet_config(5, &[])).await;
    let (folder, straight) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let stopped = Stopped::start(&devnet, folder.path(), last).await;
    stopped.look_on().await;
    let before = told(folder.path());
    assert!(before.waiting[0].contains("999 bytes are free"), "{:?}", before.waiting);
    assert!(before.indexed.is_some_and(|block| block.number < last), "{:?} of {last}", before.indexed);
    stopped.look_on().await;
    let after = told(folder.path());
    assert_eq!((after.indexed, after.sealed), (before.indexed, before.sealed), "something was taken in");
    stopped.disk.is_freed.store(true, Ordering::SeqCst);
    let outcome = stopped.end().await;
    assert_eq!(outcome.log_root, index(&devnet, straight.path(), last).await.log_root);
    assert_eq!(outcome.sealed.map(|block| block.number), Some(last));
    assert_eq!(told(folder.path()).waiting, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_it_can_still_be_told_to_stop() {
    let (devnet, last) = start(devnet_config(6, &[])).await;
    let folder = tempfile::tempdir().unwrap();
    let stopped = Stopped::start(&devnet, folder.path(), last).await;
    stopped.shutdown.cancel();
    let outcome = stopped.end().await;
    assert!(outcome.sealed.is_none_or(|block| block.number < last));
    let straight = tempfile::tempdir().unwrap();
    // What was taken in is whole: another run goes on from there.
    assert_eq!(
        index(&devnet, folder.path(), last).await.log_root,
        index(&devnet, straight.path(), last).await.log_root
    );
}
