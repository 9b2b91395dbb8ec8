//! `tributary replay`: what is settled, settled again.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use serde_json::json;
use tributary_accounting::Replayed;

use crate::arguments::Replay;
use crate::config::Config;
use crate::failure::{Exit, Failure, OrExit as _};
use crate::{cluster, output, read::Tables};

/// Replays up to an epoch; exit 3 when something comes out otherwise.
pub(crate) async fn replay(config: &Config, arguments: &Replay) -> Result<ExitCode, Failure> {
    let tables = Tables::open(&config.storage).await?;
    let dir = tables.folder();
    let scratch = Scratch::new("replay")?;
    let cluster = cluster::configured(config, scratch.path().join("jobs")).or_exit(Exit::Configuration)?;
    let session = || {
        let session = tributary_accounting::session(None, 2)?;
        if let Some(cluster) = &cluster {
            cluster.carry(&session);
        }
        Ok(session)
    };
    let epochs = tributary_accounting::replay(session, tables.lake(), dir, scratch.path(), arguments.epoch).await?;
    let differs = epochs.last().and_then(|epoch| Some((epoch.epoch, epoch.differences.first()?)));
    if arguments.json {
        output::json(&json!({ "same": differs.is_none(), "epochs": epochs }))?;
    } else {
        output::result(&words(&epochs));
    }
    match differs {
        None => Ok(ExitCode::SUCCESS),
        Some((epoch, first)) => Err(Failure::new(Exit::Difference, anyhow!("epoch {epoch}: {first}"))),
    }
}

fn words(epochs: &[Replayed]) -> String {
    let hash = |hash: Option<alloy_primitives::B256>| hash.map_or_else(|| "none".to_owned(), |hash| hash.to_string());
    let row = |one: &Replayed| {
        let same = if one.differences.is_empty() { "same" } else { "differs" };
        vec![one.epoch.to_string(), same.to_owned(), hash(one.manifest_hash), hash(one.ledger_digest)]
    };
    output::table(&["EPOCH", "", "MANIFEST", "LEDGER DIGEST"], &epochs.iter().map(row).collect::<Vec<_>>())
}

/// A new folder among the temporary files, gone at the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(what: &str) -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("tributary-{what}-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("making the folder {}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "a temporary folder was left behind");
        }
    }
}
