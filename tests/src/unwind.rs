//! The benchmark of deep reorgs: a follower with many unfinalised blocks is shown another chain from the first of them
//! on, and then the first chain again. It must end with what a follower has that never saw the other chain.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tributary_devnet::{Devnet, DevnetConfig, L2_BLOCK_TIME, Workload};
use tributary_schemas::BlockRef;
use tributary_store::{Heads, Lake, read_status};

use crate::follower::configure_devnet;
use crate::measure;

/// Blocks below the ones that are unwound.
const BEFORE: u64 = 8;
/// How often the follower's status is read.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Makes a chain with `depth` unfinalised blocks, unwinds them under a run of `binary`, and compares what it publishes
/// in the end with a run that went straight.
///
/// # Panics
/// When a part of it fails, or the two runs differ.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
pub async fn bench(binary: &Path, seed: u64, depth: u64) -> Value {
    let last = BEFORE + depth;
    let net = Devnet::start(DevnetConfig {
        seed,
        finalized_lag: depth,
        certificates: false,
        workload: Workload { intensity_percent: 25, batch_every: 50, ..Workload::default() },
        ..DevnetConfig::default()
    })
    .await
    .expect("ports are free");
    net.mine_to(last);

    let folder = tempfile::tempdir().expect("a folder can be made");
    let began = Instant::now();
    let mut turned = Run::start(binary, &net, &folder.path().join("turned"), last);
    turned.until(|indexed| indexed.hash == net.head().1).await;
    let indexed = began.elapsed();

    let began = Instant::now();
    net.fork(depth, 0).expect("nothing above the finalised block is fixed");
    let began_to_show = began.elapsed();
    turned.until(|indexed| indexed.number < last).await;
    let unwound = began.elapsed() - began_to_show;
    turned.until(|indexed| !net.forked() && indexed.hash == net.head().1).await;
    let back = began.elapsed() - began_to_show;
    let unwinding_peak = measure::peak_rss(turned.child.id());

    net.set_finalized(Some(last));
    let turned = turned.end().await;
    let straight = Run::start(binary, &net, &folder.path().join("straight"), last).end().await;
    assert_eq!(turned.heads, straight.heads, "the reorg left something behind");
    json!({
        "blocks_unwound": depth,
        "payments": net.truth().payments,
        "seconds_to_index": indexed.as_secs_f64(),
        "seconds_to_unwind": unwound.as_secs_f64(),
        "seconds_until_back": back.as_secs_f64(),
        "peak_rss_mib": unwinding_peak >> 20,
        "peak_rss_mib_to_the_end": turned.peak_rss_bytes >> 20,
        "peak_rss_mib_straight": straight.peak_rss_bytes >> 20,
        "log_root": turned.heads.log_root,
        "ledger_digest": turned.heads.ledger_digest,
    })
}

/// A follower as a process.
struct Run {
    child: Child,
    data: PathBuf,
}

/// What a follower that ended leaves.
struct Ended {
    heads: Heads,
    peak_rss_bytes: u64,
}

impl Run {
    fn start(binary: &Path, net: &Devnet, folder: &Path, last: u64) -> Self {
        std::fs::create_dir_all(folder).expect("a folder can be made");
        let seconds = std::cmp::max(last / 4, 1) * L2_BLOCK_TIME;
        let more = format!("[settlement]\nepoch_seconds = {seconds}\n");
        let file = configure_devnet(folder, net, &more).expect("a file can be written");
        let child = Command::new(binary)
            .args(["run", "--until-block", &last.to_string(), "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        Self { child, data: folder.join("data") }
    }

    /// Waits until the last block in the tail is as wanted.
    async fn until(&mut self, wanted: impl Fn(BlockRef) -> bool) {
        loop {
            let status = read_status(&self.data).ok().flatten();
            if status.and_then(|status| status.indexed).is_some_and(&wanted) {
                return;
            }
            let ended = self.child.try_wait().expect("the program can be waited for");
            assert!(ended.is_none(), "the follower ended with {ended:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn end(mut self) -> Ended {
        let taken = tokio::task::spawn_blocking(move || measure::wait(&mut self.child)).await;
        let taken = taken.expect("waiting does not panic").expect("the program can be waited for");
        assert!(taken.status.success(), "the follower ended with {}", taken.status);
        let lake = Lake::open(&self.data).await.expect("the tables can be read");
        let snapshot = lake.latest().await.expect("the tables can be read").expect("something is published");
        Ended { heads: snapshot.heads.clone(), peak_rss_bytes: taken.peak_rss_bytes }
    }
}
