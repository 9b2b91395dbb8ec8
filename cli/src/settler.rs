//! Settling, as epochs get ripe.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tributary_accounting::{AccountingError, Cluster, SettleOutcome};
use tributary_store::{Lake, Settling};

use crate::config::Config;
use crate::failure::{Exit, Failure, OrExit as _};
use crate::settling;
use crate::vaults::Readings;

/// How often the settler looks for a new snapshot.
const SETTLE_POLL: Duration = Duration::from_millis(50);

/// How soon a settlement is tried again that its cluster did not do.
const CLUSTER_POLL: Duration = Duration::from_secs(5);

/// Settles every epoch that is ripe, whenever a snapshot was published.
pub(crate) struct Settler {
    pub(crate) lake: Lake,
    pub(crate) dir: PathBuf,
    pub(crate) sealed: watch::Receiver<bool>,
    pub(crate) settled: watch::Sender<bool>,
    /// How far a long settlement is, in words.
    pub(crate) settling: watch::Sender<Option<String>>,
    pub(crate) stop: CancellationToken,
    pub(crate) config: Config,
    pub(crate) cluster: Option<Arc<Cluster>>,
    pub(crate) vaults: Readings,
}

impl Settler {
    /// Until told to stop, or until everything that is sealed is settled and no more will be.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        // What a process that was killed said last.
        tributary_store::write_settling(&self.dir, None).or_exit(Exit::Store)?;
        let mut seen = None;
        loop {
            // Asked before looking, so that nothing sealed last is overlooked.
            let all_sealed = *self.sealed.borrow();
            let version = self.lake.latest().await.or_exit(Exit::Store)?.map(|snapshot| snapshot.version);
            let mut pause = SETTLE_POLL;
            if version != seen {
                if self.settle_ripe().await? {
                    seen = version;
                } else {
                    pause = CLUSTER_POLL;
                }
            } else if all_sealed {
                self.settled.send_replace(true);
                return Ok(());
            }
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Does a settlement, and says how far it is where `status` looks for it.
    async fn watched<T>(
        &self,
        progress: &tributary_accounting::Progress,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let settled = self.lake.latest().await.or_exit(Exit::Store)?.and_then(|snapshot| snapshot.heads.settled_epoch);
        let epoch = settled.map_or(0, |settled| settled.saturating_add(1));
        let tell = |one: Settling| {
            let said = settling::words(&one);
            tracing::info!("{said}");
            self.settling.send_replace(Some(said));
            if let Err(error) = tributary_store::write_settling(&self.dir, Some(one)) {
                tracing::warn!(%error, "how far the settlement is cannot be written");
            }
        };
        let done = settling::watch(progress, epoch, tell, work).await;
        if self.settling.send_replace(None).is_some() {
            tributary_store::write_settling(&self.dir, None).or_exit(Exit::Store)?;
        }
        Ok(done)
    }

    /// Whether everything that is ripe is settled: not while the cluster fails, which stops nothing else.
    async fn settle_ripe(&self) -> Result<bool, Failure> {
        let memory = usize::try_from(self.config.engine.memory_mib.saturating_mul(1 << 20)).unwrap_or(usize::MAX);
        let partitions = usize::try_from(self.config.engine.partitions).unwrap_or(1);
        loop {
            let progress = Arc::new(tributary_accounting::Progress::default());
            let session = || {
                let session = tributary_accounting::session(Some(memory), partitions)?;
                if let Some(cluster) = &self.cluster {
                    cluster.carry(&session);
                }
                Ok(tributary_accounting::watched(session, &progress))
            };
            let work = Box::pin(tributary_accounting::settle_next(session, &self.lake, &self.dir, &self.vaults));
            match self.watched(&progress, work).await? {
                Ok(SettleOutcome::Settled { epoch, .. }) => tracing::info!(epoch, "an epoch settled"),
                Ok(SettleOutcome::Waiting { epoch, why }) => {
                    tracing::debug!(epoch, ?why, "an epoch waits");
                    return Ok(true);
                }
                Ok(SettleOutcome::NothingToDo) => return Ok(true),
                Err(error @ AccountingError::Cluster { .. }) => {
                    tracing::warn!(%error, "settlement waits for its cluster");
                    return Ok(false);
                }
                Err(error) => return Err(Failure::new(Exit::Failed, error)),
            }
            if self.stop.is_cancelled() {
                return Ok(true);
            }
        }
    }
}
