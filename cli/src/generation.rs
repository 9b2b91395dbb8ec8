//! `tributary generation`: the ledgers of a data folder, each by a mapping set of its own.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tributary_indexer::{IndexerConfig, Progress as Followed};
use tributary_store::{
    Archive, Blocks, Generation as Ledger, Generations, Lake, Tail, TailOptions, newest_heads, read_status,
};

use crate::arguments::Generation;
use crate::config::Config;
use crate::failure::{Exit, Failure, OrExit as _};
use crate::following::{Plan, heads, is_as_far, kept_for, plan, unheld};
use crate::node::{exit_of, indexer_config};
use crate::settler::Settler;
use crate::signals::Signals;
use crate::vaults::Readings;
use crate::{cluster, environment, output};

/// Runs a command of `generation`.
pub(crate) async fn generation(config: &Config, arguments: &Generation) -> Result<ExitCode, Failure> {
    let generations = Generations::new(&config.storage.data_dir);
    match arguments {
        Generation::List(arguments) => list(&generations, arguments.json),
        Generation::Build(_) => build(config, &generations).await,
        Generation::Drop(arguments) => {
            generations.drop(arguments.mapping_set_hash).or_exit(Exit::Store)?;
            output::say(&format!("the generation by mapping set {} is gone", arguments.mapping_set_hash));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn list(generations: &Generations, as_json: bool) -> Result<ExitCode, Failure> {
    let all = generations.list().or_exit(Exit::Store)?;
    let shown = all.iter().map(described).collect::<Result<Vec<_>, _>>()?;
    if as_json {
        output::json(&shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = |value: &Value| match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let keys = ["mapping_set_hash", "state", "sealed_block", "settled_epoch", "log_root"];
    let rows: Vec<Vec<String>> = shown.iter().map(|one| keys.map(|key| text(&one[key])).to_vec()).collect();
    output::result(&output::table(&["MAPPING SET", "STATE", "SEALED BLOCK", "SETTLED EPOCH", "LOG ROOT"], &rows));
    Ok(ExitCode::SUCCESS)
}

/// Where a generation stands, and what it waits for while somebody follows into it.
pub(crate) fn described(one: &Ledger) -> Result<Value, Failure> {
    let heads = newest_heads(&one.folder).or_exit(Exit::Store)?;
    let status = read_status(&one.folder).or_exit(Exit::Store)?;
    let followed = Tail::holder(&one.folder).or_exit(Exit::Store)?.is_some();
    let state = match (one.current, followed) {
        (true, _) => "current",
        (false, true) => "building",
        (false, false) => "kept",
    };
    let waiting = status.as_ref().filter(|_| followed).map(|status| status.waiting.clone()).unwrap_or_default();
    Ok(json!({
        "mapping_set_hash": one.mapping_set_hash,
        "state": state,
        "sealed_block": heads.as_ref().map(|heads| heads.block_number),
        "settled_epoch": heads.as_ref().and_then(|heads| heads.settled_epoch),
        "log_root": heads.as_ref().map(|heads| heads.log_root),
        "indexed_block": status.as_ref().and_then(|status| status.indexed).map(|block| block.number),
        "kept_blocks": status.and_then(|status| status.counters.get("kept_blocks").copied()),
        "waiting": waiting,
    }))
}

/// Builds the generation of the configured mapping set from kept blocks, as far as the current one is, and lets it answer.
async fn build(config: &Config, generations: &Generations) -> Result<ExitCode, Failure> {
    let indexer = indexer_config(config, None).or_exit(Exit::Configuration)?;
    unheld(&config.storage.data_dir)?;
    let (from, to) = match plan(config, &indexer)? {
        Plan::Follow(current) => {
            output::say(&format!("the generation by mapping set {} is current already", current.mapping_set_hash));
            return Ok(ExitCode::SUCCESS);
        }
        Plan::Change { from, to } => (from, to),
    };
    let old = Lake::open(&from.folder).await.or_exit(Exit::Store)?;
    let theirs = heads(&old).await?;
    let lake = Lake::open(&to.folder).await.or_exit(Exit::Store)?;
    let blocks = Arc::new(Blocks::new(&config.storage.data_dir));
    let kept = kept_for(&blocks, &old).await?;
    let indexer = IndexerConfig { data_dir: to.folder.clone(), kept, ..indexer };
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let built = Box::pin(built(config, indexer, &to, &lake, &stop));
    tokio::select! {
        done = built => done?,
        code = signals.stop(&stop) => return Ok(code),
    }
    let ours = heads(&lake).await?;
    if !is_as_far(ours.as_ref(), theirs.as_ref()) {
        let waiting = read_status(&to.folder).or_exit(Exit::Store)?.map(|status| status.waiting).unwrap_or_default();
        let why = waiting.first().cloned().unwrap_or_else(|| "its epochs are not settled as far".to_owned());
        return Err(
            anyhow!("it is not as far as the one that answers: {why}; `tributary run` goes on from here").into()
        );
    }
    generations.switch(to.mapping_set_hash).or_exit(Exit::Store)?;
    output::result(&serde_json::to_string(&described(&Ledger { current: true, ..to })?)?);
    Ok(ExitCode::SUCCESS)
}

async fn built(
    config: &Config,
    indexer: IndexerConfig,
    to: &Ledger,
    lake: &Lake,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let options = TailOptions { feed: None, ..TailOptions::default() };
    let tail = Arc::new(Tail::open_in(&config.storage.data_dir, &to.folder, options).or_exit(Exit::Store)?);
    let archive = Archive::open(&config.storage.data_dir).or_exit(Exit::Store)?;
    let clock = Arc::new(environment::SystemClock);
    let progress = watch::channel(Followed::default()).0;
    let vaults = Readings::of(config, &indexer, &to.folder).await?;
    let done = tributary_indexer::rebuild(indexer, tail, lake.clone(), archive, clock, stop.clone(), progress).await;
    done.map_err(|error| Failure::new(exit_of(&error), error))?;
    let settler = Settler {
        lake: lake.clone(),
        dir: to.folder.clone(),
        sealed: watch::channel(true).1,
        settled: watch::channel(false).0,
        settling: watch::channel(None).0,
        stop: stop.clone(),
        config: config.clone(),
        cluster: cluster::configured(config, to.folder.join("jobs")).or_exit(Exit::Configuration)?,
        vaults,
    };
    settler.run().await
}
