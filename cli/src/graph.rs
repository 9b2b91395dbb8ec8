//! `tributary graph`: what a version was made from and what was made from it, for a drawing program.

use std::process::ExitCode;

use anyhow::anyhow;
use tributary_api::GraphWalk;

use crate::arguments::{Graph, GraphFormat};
use crate::config::Config;
use crate::failure::Failure;
use crate::output;
use crate::read::Tables;

/// `tributary graph`.
pub(crate) async fn graph(config: &Config, arguments: &Graph) -> Result<ExitCode, Failure> {
    let tables = Tables::open(&config.storage).await?;
    // Neither way named means both.
    let both = arguments.up == arguments.down;
    let walk = GraphWalk { up: both || arguments.up, down: both || arguments.down, depth: arguments.depth };
    let found = tributary_api::graph(tables.lake(), tables.pinned(), &arguments.id, walk).await;
    let found = found.map_err(|refusal| anyhow!("{}", refusal.message))?;
    match arguments.format {
        GraphFormat::Dot => output::result(&found.dot()),
        GraphFormat::Mermaid => output::result(&found.mermaid()),
        GraphFormat::Json => output::json(&found.json())?,
    }
    Ok(ExitCode::SUCCESS)
}
