//! The commands that only read a data folder. They answer from the last published snapshot and say which.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use alloy_primitives::Address;
use anyhow::{Context as _, anyhow};
use arrow::array::RecordBatch;
use datafusion::prelude::SessionContext;
use serde_json::Value;
use tributary_accounting::{Explanation, ExplanationLine};
use tributary_api::rows;
use tributary_api::sql_gate::{self, Hot, SqlLimits};
use tributary_store::{Generations, HotTails, Lake, Snapshot};

use crate::arguments::{Explain, Proof};
use crate::config::{Config, Storage};
use crate::failure::{Exit, Failure, OrExit as _};
use crate::output;

/// The published tables of a data folder, pinned to a snapshot.
pub(crate) struct Tables {
    folder: PathBuf,
    lake: Lake,
    snapshot: Arc<Snapshot>,
}

impl Tables {
    /// Those of the generation that is to be read.
    pub(crate) async fn open(storage: &Storage) -> Result<Self, Failure> {
        let generations = Generations::new(&storage.data_dir);
        let folder = match storage.generation {
            Some(hash) => generations.find(hash).or_exit(Exit::Store)?.folder,
            None => generations.current().or_exit(Exit::Store)?.folder,
        };
        let dir = folder.as_path();
        if !dir.join("snapshots").try_exists().or_exit(Exit::Store)? {
            return Err(Failure::new(Exit::Store, anyhow!("{} is no data folder: it has no snapshots", dir.display())));
        }
        let lake = Lake::open(dir).await.or_exit(Exit::Store)?;
        let snapshot = lake.latest().await.or_exit(Exit::Store)?;
        let snapshot = snapshot
            .ok_or_else(|| Failure::new(Exit::Store, anyhow!("nothing is published in {} yet", dir.display())))?;
        Ok(Self { folder, lake, snapshot })
    }

    /// Where the generation is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) const fn lake(&self) -> &Lake {
        &self.lake
    }

    /// The snapshot, to hold.
    pub(crate) fn pinned(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The rows of a query; wide integers are decimal text.
    pub(crate) async fn rows(&self, query: &str) -> Result<Vec<Value>, Failure> {
        let limits = SqlLimits { rows_max: usize::MAX, ..SqlLimits::default() };
        let batches = self.limited(query, &limits).await?;
        Ok(serde_json::from_slice(&rows::json(&batches)?)?)
    }

    /// The rows of a query, within these bounds.
    pub(crate) async fn limited(&self, query: &str, limits: &SqlLimits) -> Result<Vec<RecordBatch>, Failure> {
        // Whoever follows is another process: blocks that are not sealed are refused, with who has them.
        let hot = Hot::above(&HotTails::default(), &self.snapshot);
        Ok(sql_gate::query(&self.lake, &self.snapshot, hot, query, limits).await?.batches)
    }

    /// A session with every table of the snapshot registered.
    pub(crate) async fn session(&self) -> Result<SessionContext, Failure> {
        let ctx = tributary_accounting::session(None, 2)?;
        tributary_accounting::register(&ctx, &self.lake, &self.snapshot).await?;
        Ok(ctx)
    }

    /// The tokens with rows of `account` in `table`, or the one that was asked for.
    async fn tokens(
        &self,
        table: &str,
        account: Address,
        asked: Option<&str>,
        filter: &str,
    ) -> Result<Vec<Address>, Failure> {
        if let Some(token) = asked {
            return Ok(vec![address(token)?]);
        }
        let query =
            format!("select distinct token from {table} where account = '{account:#x}' and {filter} order by token");
        let rows = self.rows(&query).await?;
        rows.iter().filter_map(|row| row["token"].as_str()).map(address).collect()
    }

    /// The one integer a query gives.
    pub(crate) async fn number(&self, query: &str) -> Result<i64, Failure> {
        let rows = self.rows(query).await?;
        let first = rows.first().and_then(Value::as_object).and_then(|row| row.values().next()).and_then(Value::as_i64);
        first.with_context(|| format!("{query} gave no integer")).or_exit(Exit::Failed)
    }
}

pub(crate) fn address(text: &str) -> Result<Address, Failure> {
    text.parse().with_context(|| format!("{text:?} is no address")).or_exit(Exit::Failed)
}

/// `tributary explain`.
pub(crate) async fn explain(config: &Config, arguments: &Explain) -> Result<ExitCode, Failure> {
    let tables = Tables::open(&config.storage).await?;
    let account = address(&arguments.account)?;
    let of_epoch = format!("epoch = {}", arguments.epoch);
    let tokens = tables.tokens("entitlements", account, arguments.token.as_deref(), &of_epoch).await?;
    if tokens.is_empty() {
        return Err(anyhow!("{account} earned nothing in epoch {}", arguments.epoch).into());
    }
    let ctx = tables.session().await?;
    if let Some(by) = arguments.drill.by {
        return crate::drill::drill(&ctx, (account, arguments.epoch), &tokens, by, arguments).await;
    }
    let mut found = Vec::new();
    for token in tokens {
        found.push(tributary_accounting::explain(&ctx, account, token, arguments.epoch).await?);
    }
    if arguments.json {
        output::json(&found)?;
    } else {
        output::result(&found.iter().map(explained).collect::<Vec<_>>().join("\n\n"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Ways of a line that are printed; all of them are in the JSON.
const WAYS: usize = 3;

/// The most valuable ways that the money of a line took, and what the others brought.
fn ways(line: &ExplanationLine) -> Vec<Vec<String>> {
    let Some(found) = line.paths.as_ref().filter(|found| found.paths.len() > 1) else { return Vec::new() };
    let short = |id: &String| id.chars().take(10).collect::<String>();
    let row = |amount: i128, why: String| vec![format!("  {amount}"), String::new(), why];
    let listed = found.paths.iter().take(WAYS);
    let shown: i128 = listed.clone().map(|path| path.amount).sum();
    let rest = line.amount - shown;
    let listed = listed.map(|path| {
        let steps = path.steps.iter().map(short).collect::<Vec<_>>();
        row(path.amount, format!("  over {}", steps.join(" > ")))
    });
    listed.chain((rest > 0).then(|| row(rest, "  over other paths".to_owned()))).collect()
}

fn explained(found: &Explanation) -> String {
    let lines: Vec<Vec<String>> = found
        .lines
        .iter()
        .flat_map(|line| {
            let whole = vec![line.amount.to_string(), line.role.clone(), line.description.clone()];
            [whole].into_iter().chain(ways(line))
        })
        .chain([vec![found.total.to_string(), "total".to_owned(), String::new()]])
        .collect();
    let blocks = found.blocks.map_or_else(String::new, |(first, last)| format!(", blocks {first} to {last}"));
    let mut out = format!(
        "{} earned {} of token {} in epoch {}{blocks}, from {} payments and {} blobs\n{}",
        found.account,
        found.total,
        found.token,
        found.epoch,
        found.payments,
        found.blobs.len(),
        output::table(&["AMOUNT", "ROLE", "WHY"], &lines)
    );
    for line in &found.pending {
        out.push_str(&format!("\npending: {} {} {}", line.amount, line.role, line.description));
    }
    out
}

/// `tributary proof`.
pub(crate) async fn proof(config: &Config, arguments: &Proof) -> Result<ExitCode, Failure> {
    let tables = Tables::open(&config.storage).await?;
    let dir = tables.folder();
    let account = address(&arguments.account)?;
    let settled = tables.snapshot().heads.settled_epoch.context("no epoch is settled yet")?;
    let epoch = arguments.epoch.unwrap_or(settled);
    let of_epoch = format!("epoch = {epoch}");
    let tokens = tables.tokens("merkle_leaves", account, arguments.token.as_deref(), &of_epoch).await?;
    let ctx = tables.session().await?;
    let mut proofs = Vec::new();
    for token in tokens {
        proofs.extend(tributary_accounting::proof(&ctx, dir, account, token, epoch, None).await?);
    }
    if proofs.is_empty() {
        return Err(anyhow!("{account} has no leaf in the tree of epoch {epoch}").into());
    }
    match &arguments.output {
        None => output::json(&proofs)?,
        Some(file) => std::fs::write(file, serde_json::to_vec_pretty(&proofs)?)
            .with_context(|| format!("writing {}", file.display()))?,
    }
    Ok(ExitCode::SUCCESS)
}
