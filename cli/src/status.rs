//! `tributary status`: where a data folder stands and what it waits for, once or whenever that has changed.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use tributary_store::Generations;

use crate::arguments::Status;
use crate::config::Config;
use crate::failure::{Exit, Failure, OrExit as _};
use crate::read::Tables;
use crate::signals::Signals;
use crate::{generation, output};

/// What a terminal does to begin anew: the cursor goes home, and everything after it is cleared.
const HOME: &str = "\u{1b}[H\u{1b}[J";

/// `tributary status`.
pub(crate) async fn status(config: &Config, arguments: &Status) -> Result<ExitCode, Failure> {
    if !arguments.watch {
        output::result(&now(config, arguments).await?);
        return Ok(ExitCode::SUCCESS);
    }
    // Listened for first, so that whoever has read something can stop it cleanly.
    let mut signals = Signals::listen()?;
    let home = if std::io::stdout().is_terminal() { HOME } else { "" };
    let mut said = now(config, arguments).await?;
    output::result(&format!("{home}{said}"));
    let stopped = CancellationToken::new();
    loop {
        tokio::select! {
            code = signals.stop(&stopped) => return Ok(code),
            () = tokio::time::sleep(Duration::from_secs(arguments.every)) => {}
        }
        let next = now(config, arguments).await?;
        if next != said {
            output::result(&format!("{home}{next}"));
            said = next;
        }
    }
}

/// The status as text: a table for a person; one JSON object, on one line where it is watched.
async fn now(config: &Config, arguments: &Status) -> Result<String, Failure> {
    let generations = Generations::new(&config.storage.data_dir);
    let all = generations.list().or_exit(Exit::Store)?;
    let dir = &match config.storage.generation {
        Some(hash) => generations.find(hash).or_exit(Exit::Store)?.folder,
        None => generations.current().or_exit(Exit::Store)?.folder,
    };
    let follower = tributary_store::read_status(dir).or_exit(Exit::Store)?;
    let published = match Tables::open(&config.storage).await {
        Ok(tables) => Some(tables),
        Err(failure) if follower.is_none() => return Err(failure),
        Err(_) => None,
    };
    let snapshot = published.as_ref().map(Tables::snapshot);
    let alarms = match &published {
        Some(tables) => tributary_accounting::alarms(&tables.session().await?).await?,
        None => Vec::new(),
    };
    let settling = tributary_store::read_settling(dir).or_exit(Exit::Store)?;
    let generations = all.iter().map(generation::described).collect::<Result<Vec<_>, _>>()?;
    if arguments.json {
        let all = json!({
            "snapshot": snapshot, "follower": follower, "alarms": alarms, "settling": settling, "generations": generations,
        });
        let text = if arguments.watch { serde_json::to_string(&all) } else { serde_json::to_string_pretty(&all) };
        return Ok(text?);
    }
    let mut rows = snapshot.map(published_lines).unwrap_or_default();
    rows.extend(follower.iter().flat_map(followed_lines));
    let mut line = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    if let Some(settling) = &settling {
        line("settlement", crate::settling::words(settling));
    }
    for one in generations.iter().filter(|one| one["state"] != "current") {
        line("generation", generation_words(one));
    }
    for alarm in alarms {
        line("alarm", alarm.to_string());
    }
    Ok(output::table(&["", ""], &rows))
}

/// A generation beside the current one, in words.
fn generation_words(one: &serde_json::Value) -> String {
    let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
    let number = |key: &str| one[key].as_u64().map_or_else(|| "none".to_owned(), |number| number.to_string());
    let waiting = one["waiting"][0].as_str().map(|reason| format!("; {reason}")).unwrap_or_default();
    format!(
        "{} of mapping set {}: indexed {}, sealed {}, settled epoch {}{waiting}",
        text("state"),
        text("mapping_set_hash"),
        number("indexed_block"),
        number("sealed_block"),
        number("settled_epoch"),
    )
}

/// What is published.
fn published_lines(snapshot: &tributary_store::Snapshot) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut line = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    let heads = &snapshot.heads;
    line("chain", heads.chain_id.to_string());
    line("mapping set", heads.mapping_set_hash.to_string());
    line("snapshot", snapshot.version.to_string());
    line("sealed block", format!("{} {}", heads.block_number, heads.block_hash));
    line("log root", heads.log_root.to_string());
    line("finality", heads.finality.clone());
    line("trust", heads.trust.clone());
    line("settled epoch", heads.settled_epoch.map_or_else(|| "none".to_owned(), |epoch| epoch.to_string()));
    line("ledger digest", heads.ledger_digest.map_or_else(|| "none".to_owned(), |digest| digest.to_string()));
    for (vault, root) in &heads.roots {
        line("root", format!("{root} of vault {vault}"));
    }
    rows
}

/// What the process that follows says.
fn followed_lines(follower: &tributary_store::Status) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut line = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    let block = |block: &Option<tributary_schemas::BlockRef>| {
        block.as_ref().map_or_else(|| "unknown".to_owned(), |block| block.number.to_string())
    };
    line("head, safe, final", [&follower.head, &follower.safe, &follower.finalized].map(block).join(", "));
    line("indexed block", block(&follower.indexed));
    let anchored = follower.anchored.as_ref();
    line("anchored head, final", anchored.map_or_else(|| "no L1 inbox is configured".to_owned(), anchored_heads));
    for reason in follower.waiting.iter().chain(anchored.and_then(|anchored| anchored.reason.as_ref())) {
        line("waiting", reason.clone());
    }
    for endpoint in &follower.endpoints {
        let reason = endpoint.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        line("endpoint", format!("{} is {}{reason}", endpoint.name, endpoint.state));
    }
    rows
}

/// How far blocks lie on L1, in words.
fn anchored_heads(anchored: &tributary_store::AnchorStatus) -> String {
    let number = |number: Option<u64>| number.map_or_else(|| "none".to_owned(), |number| number.to_string());
    let [head, last, read] = [anchored.head, anchored.finalized, anchored.l1_read].map(number);
    let (state, open, not_anchored, unknown) =
        (&anchored.state, anchored.open, anchored.not_anchored, anchored.unknown);
    format!("{head}, {last} ({state}, L1 read to {read}; {open} open, {not_anchored} not anchored, {unknown} unknown)")
}
