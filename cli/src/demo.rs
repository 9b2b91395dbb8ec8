//! `tributary demo`: the whole job on an embedded chain.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr as _;

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tributary_devnet::{Devnet, DevnetConfig, Fault, Workload};
use tributary_schemas::policy::Policy;

use crate::arguments::Demo;
use crate::config::{Config, Contracts, Seal};
use crate::failure::{Exit, Failure, OrExit as _};
use crate::node::Node;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::{environment, output, read};

/// Blocks of an epoch in the demo: two minutes.
const EPOCH_BLOCKS: u64 = 60;
/// Blocks after which a payment that names an unresolved inference is ripe all the same.
const UNATTRIBUTED_AFTER_BLOCKS: u64 = 40;
/// Blocks after which a missing blob is declared missing.
const BLOB_DEADLINE_BLOCKS: u64 = 64;
/// Blocks by which the head moves at a time: finality moves as far, and every move is a publication.
const HEAD_STEP_BLOCKS: u64 = 24;
/// Challenge window in blocks.
const CHALLENGE_BLOCKS: u64 = 20;
/// Of a hundred payloads so many are posted in EIP-4844 blobs.
const BLOBS_PERCENT: u32 = 25;
/// L1 blocks after which a block that was not posted never will be: short, so that the demo sees it.
const SEQUENCING_WINDOW: u64 = 20;

/// Runs it.
pub(crate) async fn demo(arguments: Demo) -> Result<ExitCode, Failure> {
    let started = environment::now();
    let faults = arguments.faults.iter().map(|name| Fault::from_str(name)).collect::<Result<_, _>>();
    let config = DevnetConfig {
        seed: arguments.seed,
        faults: faults.map_err(|error| anyhow!("{error}"))?,
        workload: Workload { blocks: arguments.blocks, policy: policy(), ..Workload::default() },
        blobs_percent: BLOBS_PERCENT,
        withhold: arguments.withhold.iter().copied().collect(),
        advance_on_read: HEAD_STEP_BLOCKS,
        ..DevnetConfig::default()
    };
    // Quiet blocks follow the work, until everything that waits for time has had it.
    let quiet = UNATTRIBUTED_AFTER_BLOCKS + BLOB_DEADLINE_BLOCKS + CHALLENGE_BLOCKS + 2 * EPOCH_BLOCKS;
    let last = arguments.blocks + quiet;
    let config = DevnetConfig { stop_at: Some(last + config.finalized_lag + 1), ..config };
    let genesis_time = config.genesis_time;
    let chain_id = config.chain_id;
    let devnet = Devnet::start(config).await.context("starting the embedded chain")?;
    // Half of the chain is there already, so that both catching up and following are seen.
    devnet.mine_to(arguments.blocks / 2);

    let dir = folder(&arguments)?;
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let mut config = configuration(&devnet, chain_id, genesis_time, &dir, listen);
    if !arguments.withhold.is_empty() {
        config.chain.seal = Seal::Final;
    }
    let mut signals = Signals::listen()?;
    let shutdown = CancellationToken::new();
    let mut node = Node::start(&config, Some(last), !arguments.once, &shutdown).await?;
    if let Some(address) = node.address() {
        output::say(&format!(
            "dashboard  http://{address}/\nGraphQL    http://{address}/graphql\ndata       {}",
            dir.display()
        ));
    }
    let progress = Progress::new(last);
    let code = tokio::select! {
        done = node.until_settled(&progress) => { done?; None }
        code = signals.stop(&shutdown) => Some(code),
    };
    progress.finish();
    if let Some(code) = code {
        node.stop().await?;
        return Ok(code);
    }
    let (reorgs, waiting) = (node.reorgs(), node.waiting());
    let summary = summary(&arguments, &config, reorgs, started.elapsed().as_secs_f64()).await?;
    if arguments.once {
        node.stop().await?;
        if arguments.json {
            output::json(&summary)?;
        } else {
            output::result(&words(&summary));
        }
        // Roots of a part are no roots of the whole.
        return match waiting.first() {
            None => Ok(ExitCode::SUCCESS),
            Some(reason) => Err(anyhow!("not everything could be sealed: {reason}").into()),
        };
    }
    output::say(&words(&summary));
    match waiting.first() {
        None => output::say("everything is settled; serving until interrupted"),
        Some(reason) => output::say(&format!("not everything could be sealed: {reason}; serving until interrupted")),
    }
    let code = tokio::select! {
        code = signals.stop(&shutdown) => code,
        failed = node.failed() => return Err(failed),
    };
    node.stop().await?;
    Ok(code)
}

fn policy() -> Policy {
    Policy {
        unattributed_after_blocks: UNATTRIBUTED_AFTER_BLOCKS,
        blob_deadline_blocks: BLOB_DEADLINE_BLOCKS,
        challenge_blocks: CHALLENGE_BLOCKS,
        ..Policy::default()
    }
}

fn folder(arguments: &Demo) -> Result<PathBuf, Failure> {
    let dir = arguments.data_dir.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("tributary-demo-{}-{}", arguments.seed, std::process::id()))
    });
    std::fs::create_dir_all(&dir)
        .with_context(|| format!("making the data folder {}", dir.display()))
        .or_exit(Exit::Store)?;
    Ok(dir)
}

fn configuration(devnet: &Devnet, chain_id: u64, genesis_time: u64, dir: &Path, listen: SocketAddr) -> Config {
    let contracts = devnet.contracts();
    let mut config = Config::default();
    config.chain.chain_id = chain_id;
    config.chain.l2_urls = vec![devnet.l2_ws()];
    config.chain.poll_interval_ms = 20;
    let (inbox, batcher, system_config) = devnet.inbox();
    config.chain.l1_urls = vec![devnet.l1_http()];
    config.chain.l1_chain_id = tributary_devnet::L1_CHAIN_ID;
    config.chain.l1_beacon_urls = vec![devnet.beacon_url()];
    config.chain.inbox = inbox.to_string();
    config.chain.batcher = batcher.to_string();
    config.chain.system_config = system_config.to_string();
    config.chain.sequencing_window = SEQUENCING_WINDOW;
    config.chain.genesis_time = genesis_time;
    config.chain.block_seconds = tributary_devnet::L2_BLOCK_TIME;
    config.eigenda.proxy_urls = vec![devnet.proxy_url()];
    config.eigenda.router = devnet.eigenda_router().to_string();
    config.eigenda.known_tau = Some(devnet.tau());
    config.contracts = Contracts {
        datanet_registry: vec![contracts.datanet_registry.to_string()],
        model_registry: vec![contracts.model_registry.to_string()],
        agent_registry: vec![contracts.agent_registry.to_string()],
        attribution_hub: vec![contracts.attribution_hub.to_string()],
        reward_vault: vec![contracts.reward_vault.to_string()],
    };
    config.storage.data_dir = dir.to_owned();
    // It takes a few megabytes and is thrown away: whoever's disk is nearly full may look at it too.
    config.storage.min_free_bytes = 0;
    config.settlement.epoch_origin = genesis_time;
    config.settlement.epoch_seconds = EPOCH_BLOCKS * tributary_devnet::L2_BLOCK_TIME;
    config.api.listen = listen;
    config.api.admin_listen = format!("{}:0", listen.ip());
    config.api.postgres_listen = format!("{}:0", listen.ip());
    let named = contracts.tokens().into_iter();
    config.api.tokens = named.map(|token| format!("{}:{}:{}", token.address, token.symbol, token.decimals)).collect();
    config
}

/// What a run of the demo came to: each number is a query over the published tables.
async fn summary(arguments: &Demo, config: &Config, reorgs: u64, seconds: f64) -> Result<Value, Failure> {
    let tables = read::Tables::open(&config.storage).await?;
    let count = async |query: &str| -> Result<i64, Failure> { tables.number(query).await };
    let heads = &tables.snapshot().heads;
    let mut tokens = Vec::new();
    // Emissions are revenue too. A refund after its payment was settled is paid with other money: it is an adjustment,
    // not less revenue.
    let per_token = "with money as (
            select token, sum(amount) as revenue, 0 as credited, 0 as held from payments group by token
            union all select token, -sum(amount), 0, 0 from refunds group by token
            union all select token, sum(amount), 0, 0 from ledger_entries
                where code = 'adjust' and debit = 'receivable:platform' group by token
            union all select token, sum(amount), 0, 0 from pool_fundings group by token
            union all select token, 0, sum(credited), sum(held) from epochs group by token)
        select token, sum(revenue) as revenue, sum(credited) as credited, sum(held) as held
        from money group by token order by token";
    for row in tables.rows(per_token).await? {
        tokens.push(json!({ "token": row["token"], "revenue": row["revenue"], "credited": row["credited"], "held": row["held"] }));
    }
    let root = heads.roots.values().next().map(ToString::to_string);
    Ok(json!({
        "seed": arguments.seed,
        "chain_id": config.chain.chain_id,
        "blocks": count("select count(*) from blocks").await?,
        "events": count("select count(*) from events where valid").await?,
        "rejected_events": count("select count(*) from rejected_events").await?,
        "blobs": count("select count(*) from blobs").await?,
        "batches": count("select count(*) from attribution_batches where valid_to_block is null").await?,
        "attributions": count("select count(*) from attributions").await?,
        "payments": count("select count(*) from payments").await?,
        "accounts": count("select count(distinct account) from claims").await?,
        "epochs": count("select count(distinct epoch) from epochs").await?,
        "anchored": count("select count(distinct l2_block) from anchors where state = 'anchored'").await?,
        "not_anchored": count("select count(*) from anchors where state <> 'anchored'").await?,
        "reorgs": reorgs,
        "tokens": tokens,
        "log_root": heads.log_root,
        "merkle_root": root,
        "ledger_digest": heads.ledger_digest,
        "seconds": seconds,
    }))
}

fn words(summary: &Value) -> String {
    let text = |key: &str| summary[key].to_string();
    let mut out = format!(
        "{} blocks ({} on L1, {} not), {} events ({} refused), {} blobs, {} batches with {} attributions, {} payments, {} accounts, {} epochs, {} reorgs\nlog root      {}\nmerkle root   {}\nledger digest {}",
        text("blocks"),
        text("anchored"),
        text("not_anchored"),
        text("events"),
        text("rejected_events"),
        text("blobs"),
        text("batches"),
        text("attributions"),
        text("payments"),
        text("accounts"),
        text("epochs"),
        text("reorgs"),
        text("log_root"),
        text("merkle_root"),
        text("ledger_digest"),
    );
    for token in summary["tokens"].as_array().into_iter().flatten() {
        out.push_str(&format!(
            "\ntoken {}: revenue {} = credited {} + held {}",
            token["token"], token["revenue"], token["credited"], token["held"]
        ));
    }
    out.replace('"', "")
}
