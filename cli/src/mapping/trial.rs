//! `tributary mapping test`: rules tried on the logs of a file, of a node or of the data folder.

use std::process::ExitCode;
use std::sync::Arc;

use alloy_primitives::{B256, hex};
use anyhow::{Context as _, anyhow};
use serde_json::json;
use tributary_indexer::decode::{Trace, beyond_stored, fixture, stored, trace_block, unread};
use tributary_indexer::reads::Answer;
use tributary_indexer::{Mapping, VerifiedBlock, probe};
use tributary_schemas::Position;
use url::Url;

use super::{diff, say_reading, set};
use crate::arguments::MappingTest;
use crate::config::Config;
use crate::environment::SystemClock;
use crate::failure::{Exit, Failure, OrExit as _};
use crate::output;
use crate::read::Tables;

/// Tries files on logs.
pub(super) async fn test(config: &Config, arguments: &MappingTest) -> Result<ExitCode, Failure> {
    let (files, contracts) = set(config, &arguments.set).or_exit(Exit::Configuration)?;
    let mapping = Mapping::load(&files, config.chain.chain_id, &contracts).or_exit(Exit::Configuration)?;
    let mut block = logs(config, arguments).await?;
    if arguments.tx.is_some() && !arguments.stored {
        answer(config, &mapping, &mut block).await?;
    }
    let traces = trace_block(&mapping, &block);
    let beyond = if arguments.stored { beyond_stored(&mapping) } else { Vec::new() };
    let reads: Vec<_> = (block.reads.iter())
        .map(|(call, answer)| {
            let Answer { reply, agreeing } = answer;
            json!({
                "to": call.to, "data": call.data, "outcome": reply.as_str(),
                "answer": hex::encode_prefixed(reply.bytes()), "agreeing": agreeing,
            })
        })
        .collect();
    let unread = unread(&mapping, &block);
    if arguments.json {
        let unread: Vec<_> = unread.iter().map(|call| json!({ "to": call.to, "data": call.data })).collect();
        output::json(&json!({
            "logs": block.logs.len(), "traces": traces, "beyond_stored": beyond, "state_reads": reads,
            "unread_state": unread,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for log in &block.logs {
        let of_log: Vec<String> = traces.iter().filter(|trace| trace.log_index == log.log_index).map(words).collect();
        let none = || "  no rule is for its first topic".to_owned();
        let told = if of_log.is_empty() { none() } else { of_log.join("\n") };
        output::result(&format!("log {} of {:#x}\n{told}", log.log_index, log.address));
    }
    for trace in traces.iter().filter(|trace| trace.log_index == Position::NO_LOG) {
        output::result(&format!("by the value it carried\n{}", words(trace)));
    }
    for (call, answer) in &block.reads {
        let reply = answer.reply.as_str();
        output::result(&format!("state read {call}\n  {reply} {}", hex::encode_prefixed(answer.reply.bytes())));
    }
    for call in &unread {
        output::result(&format!("state read {call}\n  not answered: no fact comes of the rules that ask it"));
    }
    say_reading(&mapping);
    if !beyond.is_empty() {
        output::say(&format!("these rules read more than is stored, and are told without it: {}", beyond.join(", ")));
    }
    Ok(ExitCode::SUCCESS)
}

/// The logs that were asked for.
async fn logs(config: &Config, arguments: &MappingTest) -> Result<VerifiedBlock, Failure> {
    if let Some(path) = &arguments.fixture {
        let file = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {file}"))?;
        return Ok(fixture(&text).map_err(|reason| anyhow!("{file}: {reason}"))?);
    }
    let hash = arguments.tx.ok_or_else(|| anyhow!("no logs: expected --fixture or --tx"))?;
    if arguments.stored { of_folder(config, hash).await } else { of_nodes(config, hash).await }
}

/// Asks the nodes for what the rules read of the state of contracts.
async fn answer(config: &Config, mapping: &Mapping, block: &mut VerifiedBlock) -> Result<(), Failure> {
    loop {
        let calls = unread(mapping, block);
        if calls.is_empty() {
            return Ok(());
        }
        let (urls, options, clock) = (nodes(config)?, probe::patience(), Arc::new(SystemClock));
        let asked = probe::state(&urls, config.chain.chain_id, &block.block, calls, options, clock);
        block.reads.extend(Box::pin(asked).await.or_exit(Exit::Unreachable)?);
    }
}

fn nodes(config: &Config) -> Result<Vec<Url>, Failure> {
    let urls =
        config.chain.l2_urls.iter().map(|text| Url::parse(text).with_context(|| format!("chain.l2_urls: {text:?}")));
    let urls = urls.collect::<anyhow::Result<Vec<_>>>().or_exit(Exit::Configuration)?;
    if urls.is_empty() {
        let reason = anyhow!("chain.l2_urls is empty: expected nodes of the L2, or --stored beside --tx");
        return Err(Failure::new(Exit::Configuration, reason));
    }
    Ok(urls)
}

async fn of_nodes(config: &Config, hash: B256) -> Result<VerifiedBlock, Failure> {
    let urls = nodes(config)?;
    let (options, clock) = (probe::patience(), Arc::new(SystemClock));
    let told =
        probe::transaction(&urls, config.chain.chain_id, hash, options, clock).await.or_exit(Exit::Unreachable)?;
    Ok(fixture(&told.to_string()).map_err(|reason| anyhow!("transaction {hash}: {reason}"))?)
}

async fn of_folder(config: &Config, hash: B256) -> Result<VerifiedBlock, Failure> {
    let tables = Tables::open(&config.storage).await?;
    let rows = diff::raw_logs(&tables, &format!("tx_hash = '{hash}'")).await?;
    let Some(first) = rows.first() else {
        let reason = "no stored log is of it; the data folder has those that the set in force matched";
        return Err(anyhow!("transaction {hash}: {reason}").into());
    };
    let blocks = diff::blocks(&tables, first.block_number, first.block_number).await?;
    let block = blocks.get(&first.block_number).copied();
    let block = block.ok_or_else(|| anyhow!("block {} is not published", first.block_number))?;
    stored(block, &rows).or_exit(Exit::Store)
}

/// A trace for a person.
fn words(trace: &Trace) -> String {
    let mut lines = vec![format!("  rule {}", trace.rule)];
    lines.extend(trace.arguments.iter().map(|(name, value)| format!("    {name}: {value}")));
    for (kind, payload) in &trace.facts {
        lines.push(format!("    -> {kind} {payload}"));
    }
    if !trace.reason.is_empty() {
        lines.push(format!("    because: {}", trace.reason));
    }
    lines.join("\n")
}
