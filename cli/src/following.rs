//! Following, by generations: the ledger that answers, and beside it the one that the configured mapping set asks for,
//! until that has come as far and answers in its place.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tributary_indexer::mapping::MappingFile;
use tributary_indexer::reads::PublishedReads;
use tributary_indexer::seal::HotRows;
use tributary_indexer::{
    Contracts, IndexerConfig, IndexerError, KeptBlocks, MappingChoice, Progress as Followed, Reached,
};
use tributary_store::{
    Archive, BlockRef, Blocks, Generation, Generations, Heads, HotTails, Lake, StoreError, Tail, TailOptions,
};

use crate::config::{Config, RawBlocks};
use crate::failure::{Exit, Failure, OrExit as _};
use crate::node::{exit_of, indexer_config};
use crate::settler::Settler;
use crate::vaults::Readings;
use crate::{cluster, environment, output};

/// How often two generations are compared.
const COMPARE: Duration = Duration::from_millis(50);

/// A mapping set as a generation records it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Set {
    files: Vec<MappingFile>,
    contracts: Contracts,
}

/// What is to be followed.
#[derive(Debug)]
pub(crate) enum Plan {
    /// The generation of the configured mapping set, which answers.
    Follow(Generation),
    /// Another one answers until this one has come as far.
    Change {
        /// The one that answers.
        from: Generation,
        /// The one of the configured mapping set.
        to: Generation,
    },
}

/// What others are told meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) progress: watch::Sender<Followed>,
    pub(crate) settled: watch::Sender<bool>,
    pub(crate) settling: watch::Sender<Option<String>>,
}

impl Told {
    /// Tells nobody.
    fn nobody() -> Self {
        Self {
            progress: watch::channel(Followed::default()).0,
            settled: watch::channel(false).0,
            settling: watch::channel(None).0,
        }
    }
}

/// Follows the configured chain.
pub(crate) struct Following {
    config: Config,
    indexer: IndexerConfig,
    blocks: Arc<Blocks>,
    stop: CancellationToken,
    told: Told,
    hot: HotTails,
}

/// How a change from one generation to another ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Changed {
    /// The new one answers.
    Switched,
    /// It was told to stop, or both came to the block to stop at and the new one is not as far.
    Ended,
}

impl Following {
    /// Reads and checks what is configured, and what is to be done first. The tails that are followed into are offered to
    /// `hot`.
    pub(crate) fn begin(
        config: &Config,
        until_block: Option<u64>,
        stop: &CancellationToken,
        told: Told,
        hot: &HotTails,
    ) -> Result<(Self, Plan), Failure> {
        if config.chain.l2_urls.is_empty() {
            let reason = anyhow!("chain.l2_urls is empty: name at least one endpoint of the L2");
            return Err(Failure::new(Exit::Configuration, reason));
        }
        let indexer = indexer_config(config, until_block).or_exit(Exit::Configuration)?;
        cluster::configured(config, config.storage.data_dir.join("jobs")).or_exit(Exit::Configuration)?;
        unheld(&config.storage.data_dir)?;
        let plan = plan(config, &indexer)?;
        let blocks = Arc::new(Blocks::new(&config.storage.data_dir));
        let (config, stop, hot) = (config.clone(), stop.clone(), hot.clone());
        Ok((Self { config, indexer, blocks, stop, told, hot }, plan))
    }

    /// Follows, until told to stop or until everything up to the block to stop at is settled.
    pub(crate) async fn run(self, mut plan: Plan) -> Result<(), Failure> {
        loop {
            match &plan {
                Plan::Follow(generation) => {
                    let mut side = self.answering(generation, self.told.clone()).await?;
                    return side.ended().await;
                }
                Plan::Change { from, to } => match Box::pin(self.change(from, to)).await? {
                    Changed::Ended => {
                        self.told.settled.send_if_modified(|settled| {
                            *settled = !self.stop.is_cancelled();
                            *settled
                        });
                        return Ok(());
                    }
                    Changed::Switched => plan = self::plan(&self.config, &self.indexer)?,
                },
            }
        }
    }

    /// Follows into both until the new one is as far, and lets it answer. Nothing but the last step changes what anybody
    /// is answered: whatever ends the process before it leaves the old one as it is.
    async fn change(&self, from: &Generation, to: &Generation) -> Result<Changed, Failure> {
        let theirs = Lake::open(&from.folder).await.or_exit(Exit::Store)?;
        let mut old = match recorded(from, self.config.chain.chain_id)? {
            Some(mapping) => {
                let indexer = IndexerConfig { contracts: mapping.1, mapping: mapping.0, ..self.indexer.clone() };
                self.side(from, indexer, true, Told::nobody()).await?
            }
            None => {
                tracing::warn!(mapping_set_hash = %from.mapping_set_hash, "it recorded no mapping set: it stays where it is");
                Side::still(theirs.clone())
            }
        };
        let indexer = IndexerConfig { kept: kept_for(&self.blocks, &theirs).await?, ..self.indexer.clone() };
        let mut new =
            self.side(to, indexer, false, Told { settled: watch::channel(false).0, ..self.told.clone() }).await?;
        let mut compare = tokio::time::interval(COMPARE);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {}
                done = new.one_ended() => done?,
                done = old.one_ended() => done?,
                _ = compare.tick() => {}
            }
            let stopped = self.stop.is_cancelled();
            if !stopped && new.is_as_far_as(&old).await? {
                // From here on the old one seals no more, so that the new one need not run after it.
                old.stop().await?;
                if new.is_as_far_as(&old).await? {
                    new.stop().await?;
                    self.generations().switch(to.mapping_set_hash).or_exit(Exit::Store)?;
                    tracing::info!(mapping_set_hash = %to.mapping_set_hash, "a new generation answers");
                    return Ok(Changed::Switched);
                }
            }
            if stopped || (new.is_over() && old.is_over()) {
                old.stop().await?;
                new.stop().await?;
                if !stopped {
                    output::say(&format!(
                        "the ledger by mapping set {} is built up to the block to stop at, and not as far as the one that \
                         answers: that goes on answering",
                        to.mapping_set_hash
                    ));
                }
                return Ok(Changed::Ended);
            }
        }
    }

    fn generations(&self) -> Generations {
        Generations::new(&self.config.storage.data_dir)
    }

    async fn answering(&self, generation: &Generation, told: Told) -> Result<Side, Failure> {
        self.side(generation, self.indexer.clone(), true, told).await
    }

    /// Starts to follow into a generation. The one that answers keeps blocks, and tells those who watch.
    async fn side(
        &self,
        generation: &Generation,
        indexer: IndexerConfig,
        answers: bool,
        told: Told,
    ) -> Result<Side, Failure> {
        let keep = self.config.retention.raw_blocks == RawBlocks::All;
        let kept = if answers { KeptBlocks::Written { blocks: Arc::clone(&self.blocks), keep } } else { indexer.kept };
        let indexer = IndexerConfig { data_dir: generation.folder.clone(), kept, ..indexer };
        Side::start(self, generation, indexer, answers, told).await
    }
}

/// One generation as it is followed.
struct Side {
    lake: Lake,
    tasks: JoinSet<Result<(), Failure>>,
    stop: CancellationToken,
}

impl Side {
    /// One that is not followed.
    fn still(lake: Lake) -> Self {
        Self { lake, tasks: JoinSet::new(), stop: CancellationToken::new() }
    }

    async fn start(
        following: &Following,
        generation: &Generation,
        indexer: IndexerConfig,
        answers: bool,
        told: Told,
    ) -> Result<Self, Failure> {
        let (config, stop) = (&following.config, following.stop.child_token());
        let (data_dir, folder) = (&config.storage.data_dir, generation.folder.clone());
        let lake = Lake::open(&folder).await.or_exit(Exit::Store)?;
        let options = TailOptions::default();
        let feed = options.feed.filter(|_| answers);
        let tail = Tail::open_in(data_dir, &folder, TailOptions { feed, ..options }).or_exit(Exit::Store)?;
        let tail = Arc::new(tail);
        let rows = Arc::new(HotRows { chronology: indexer.chronology() });
        let offer = following.hot.offer(generation.mapping_set_hash, Arc::clone(&tail), rows);
        let archive = Archive::open(data_dir).or_exit(Exit::Store)?;
        let cluster = cluster::configured(config, folder.join("jobs")).or_exit(Exit::Configuration)?;
        let vaults = Readings::of(config, &indexer, &folder).await?;
        let (sealed_sender, sealed) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let (indexed, stop_indexer) = (lake.clone(), stop.clone());
        tasks.spawn(async move {
            let clock = Arc::new(environment::SystemClock);
            let run = tributary_indexer::run(indexer, tail, indexed, archive, clock, stop_indexer, told.progress).await;
            // Whoever follows into this folder next finds the tail free.
            drop(offer);
            let outcome = run.map_err(|error| Failure::new(exit_of(&error), error))?;
            tracing::info!(?outcome, "the indexer ended");
            sealed_sender.send_replace(true);
            Ok(())
        });
        let settler = Settler {
            lake: lake.clone(),
            dir: folder,
            sealed,
            settled: told.settled,
            settling: told.settling,
            stop: stop.clone(),
            config: config.clone(),
            cluster,
            vaults,
        };
        tasks.spawn(settler.run());
        Ok(Self { lake, tasks, stop })
    }

    /// Whether nothing follows it any more.
    fn is_over(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Waits until one of its tasks has ended; for ever when there is none.
    async fn one_ended(&mut self) -> Result<(), Failure> {
        match self.tasks.join_next().await {
            Some(ended) => joined(ended),
            None => std::future::pending().await,
        }
    }

    /// Waits until all of its tasks have ended.
    async fn ended(&mut self) -> Result<(), Failure> {
        while let Some(ended) = self.tasks.join_next().await {
            joined(ended)?;
        }
        Ok(())
    }

    async fn stop(&mut self) -> Result<(), Failure> {
        self.stop.cancel();
        self.ended().await
    }

    async fn is_as_far_as(&self, other: &Self) -> Result<bool, Failure> {
        Ok(is_as_far(heads(&self.lake).await?.as_ref(), heads(&other.lake).await?.as_ref()))
    }
}

/// Whether a ledger is sealed and settled as far as another, so that nobody who asks for it instead misses anything.
pub(crate) fn is_as_far(ours: Option<&Heads>, theirs: Option<&Heads>) -> bool {
    match (ours, theirs) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(ours), Some(theirs)) => {
            ours.block_number >= theirs.block_number && ours.settled_epoch >= theirs.settled_epoch
        }
    }
}

fn joined(ended: Result<Result<(), Failure>, tokio::task::JoinError>) -> Result<(), Failure> {
    ended.map_err(|error| Failure::new(Exit::Failed, anyhow::Error::new(error).context("a task of the node")))?
}

/// Where a ledger stands.
pub(crate) async fn heads(lake: &Lake) -> Result<Option<Heads>, Failure> {
    Ok(lake.latest().await.or_exit(Exit::Store)?.map(|snapshot| snapshot.heads.clone()))
}

/// The blocks that are kept up to where a ledger is sealed, and what it read of the state, for whoever builds another.
pub(crate) async fn kept_for(blocks: &Arc<Blocks>, theirs: &Lake) -> Result<KeptBlocks, Failure> {
    let Some(snapshot) = theirs.latest().await.or_exit(Exit::Store)? else { return Ok(KeptBlocks::None) };
    let sealed = reached(&snapshot.heads);
    let reads = PublishedReads::new(theirs.clone(), snapshot);
    Ok(KeptBlocks::Read { blocks: Arc::clone(blocks), sealed, reads })
}

/// How far a ledger was sealed.
fn reached(heads: &Heads) -> Reached {
    let block = BlockRef {
        number: heads.block_number,
        hash: heads.block_hash,
        parent_hash: alloy_primitives::B256::ZERO,
        timestamp: heads.block_timestamp,
    };
    Reached { block, finality: heads.finality.clone() }
}

/// Which generation the configured mapping set has, and whether another answers.
pub(crate) fn plan(config: &Config, indexer: &IndexerConfig) -> Result<Plan, Failure> {
    let refused = |error: IndexerError| Failure::new(exit_of(&error), error);
    let hash = indexer.mapping().map_err(refused)?.hash();
    let generations = Generations::new(&config.storage.data_dir);
    let current = generations.list().or_exit(Exit::Store)?.into_iter().find(|one| one.current);
    if let Some(current) = current.as_ref().filter(|current| current.mapping_set_hash != hash) {
        same_terms(config, &current.folder)?;
    }
    let files = match &indexer.mapping {
        MappingChoice::Files(files) => files.clone(),
        MappingChoice::Reference => Vec::new(),
    };
    let set = serde_json::to_value(Set { files, contracts: indexer.contracts.clone() })?;
    let to = generations.begin(hash, &set).or_exit(Exit::Store)?;
    match current {
        _ if to.current => Ok(Plan::Follow(to)),
        Some(from) => Ok(Plan::Change { from, to }),
        None => {
            let lost = generations.current().or_exit(Exit::Store)?.folder;
            Err(Failure::new(Exit::Store, anyhow!("generation.json names {}, where no generation is", lost.display())))
        }
    }
}

/// A change of the mapping set begins a generation; a change of anything else that roots depend on is no such change.
fn same_terms(config: &Config, folder: &Path) -> Result<(), Failure> {
    let newest = tributary_store::newest_heads(folder).or_exit(Exit::Store)?;
    let Some(heads) = newest else { return Ok(()) };
    let of = |chain: u64, start: u64, seconds: u64, origin: u64| {
        format!("chain {chain}, start block {start}, epochs of {seconds} s from {origin}")
    };
    let theirs = of(heads.chain_id, heads.start_block, heads.epoch_seconds, heads.epoch_origin);
    let settlement = &config.settlement;
    let ours = of(config.chain.chain_id, config.chain.start_block, settlement.epoch_seconds, settlement.epoch_origin);
    if ours == theirs {
        return Ok(());
    }
    let reason = anyhow!("{} holds {theirs}: expected {ours}, or another storage.data_dir", folder.display());
    Err(Failure::new(Exit::Configuration, reason))
}

/// That no other process follows into a data folder: one does, whichever generation it follows.
pub(crate) fn unheld(data_dir: &Path) -> Result<(), Failure> {
    for generation in Generations::new(data_dir).list().or_exit(Exit::Store)? {
        if let Some(holder) = Tail::holder(&generation.folder).or_exit(Exit::Store)? {
            let path = generation.folder.join("LOCK");
            return Err(Failure::new(Exit::Store, StoreError::Locked { path, holder }));
        }
    }
    Ok(())
}

/// The mapping set that a generation recorded, if it did: as it is to be followed on.
fn recorded(generation: &Generation, chain_id: u64) -> Result<Option<(MappingChoice, Contracts)>, Failure> {
    let Some(set) = Generations::recorded(&generation.folder).or_exit(Exit::Store)? else { return Ok(None) };
    let named = || format!("the mapping set that {} recorded", generation.folder.display());
    let set: Set = serde_json::from_value(set).with_context(named).or_exit(Exit::Store)?;
    let mapping = tributary_indexer::Mapping::load(&set.files, chain_id, &set.contracts);
    let hash = mapping.with_context(named).or_exit(Exit::Store)?.hash();
    if hash != generation.mapping_set_hash {
        let expected = generation.mapping_set_hash;
        return Err(Failure::new(Exit::Store, anyhow!("{} has hash {hash}: expected {expected}", named())));
    }
    Ok(Some((MappingChoice::Files(set.files), set.contracts)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_answers_for_another_only_when_it_is_sealed_and_settled_as_far() {
        let at = |block_number, settled_epoch| Some(Heads { block_number, settled_epoch, ..Heads::default() });
        for (ours, theirs, expected) in [
            (None, None, false),
            (None, at(1, None), false),
            (at(1, None), None, true),
            (at(9, None), at(9, None), true),
            (at(8, Some(3)), at(9, Some(3)), false),
            (at(9, None), at(9, Some(0)), false),
            (at(9, Some(2)), at(9, Some(3)), false),
            (at(10, Some(3)), at(9, Some(3)), true),
        ] {
            assert_eq!(is_as_far(ours.as_ref(), theirs.as_ref()), expected, "{ours:?} {theirs:?}");
        }
    }
}
