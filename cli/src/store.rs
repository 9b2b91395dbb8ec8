//! `tributary store`: a copy of the data folder, and a data folder of a copy.

use std::path::Path;
use std::process::ExitCode;

use anyhow::anyhow;
use serde_json::json;
use tributary_store::backup::{self, Copied};
use tributary_store::{Generations, Tail};

use crate::arguments::{Store, StoreBackup, StoreRestore};
use crate::config::{Config, Storage};
use crate::failure::{Exit, Failure, OrExit as _};
use crate::{blobs, output, verify};

/// Runs a command of `store`.
pub(crate) async fn store(config: &Config, arguments: &Store) -> Result<ExitCode, Failure> {
    let dir = &config.storage.data_dir;
    match arguments {
        Store::Backup(arguments) => backup(dir, arguments).await,
        Store::Restore(arguments) => restore(&config.storage, arguments).await,
    }
}

async fn backup(dir: &Path, arguments: &StoreBackup) -> Result<ExitCode, Failure> {
    apart(dir, &arguments.dir)?;
    let copied = backup::copy(dir, &arguments.dir).await.or_exit(Exit::Store)?;
    tell(&copied, arguments.json, &format!("copied to {}", arguments.dir.display()))?;
    Ok(ExitCode::SUCCESS)
}

async fn restore(storage: &Storage, arguments: &StoreRestore) -> Result<ExitCode, Failure> {
    let dir = &storage.data_dir;
    apart(&arguments.dir, dir)?;
    let refuse = |why: String| Err(Failure::new(Exit::Store, anyhow!("{} {why}", dir.display())));
    if let Some(holder) = Tail::holder(dir).or_exit(Exit::Store)? {
        return refuse(format!("is followed into by {holder}: stop it first"));
    }
    if has_snapshots(dir).or_exit(Exit::Store)? {
        return refuse("has something published: expected a new folder, as nothing is ever written over".to_owned());
    }
    let copied = backup::copy(&arguments.dir, dir).await.or_exit(Exit::Store)?;
    let mut differences = blobs::damaged(dir)?;
    for one in Generations::new(dir).list().or_exit(Exit::Store)? {
        let hash = one.mapping_set_hash;
        let found = verify::whole(&Storage { generation: Some(hash), ..storage.clone() }).await?;
        differences.extend(found.into_iter().map(|difference| format!("generation {hash}: {difference}")));
    }
    if let Some(first) = differences.first() {
        return Err(Failure::new(Exit::Difference, anyhow!("{} differences; the first: {first}", differences.len())));
    }
    tell(&copied, arguments.json, "verified")?;
    Ok(ExitCode::SUCCESS)
}

fn has_snapshots(dir: &Path) -> std::io::Result<bool> {
    match std::fs::read_dir(dir.join("snapshots")) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A copy into the folder itself, or beneath it, would be no copy.
fn apart(from: &Path, to: &Path) -> Result<(), Failure> {
    let absolute = |path: &Path| std::path::absolute(path).or_exit(Exit::Failed);
    if absolute(to)?.starts_with(absolute(from)?) {
        let reason = anyhow!("{} lies in {}: name a folder outside of it", to.display(), from.display());
        return Err(Failure::new(Exit::Failed, reason));
    }
    Ok(())
}

fn tell(copied: &Copied, as_json: bool, done: &str) -> Result<(), Failure> {
    let Copied { snapshot, files, bytes } = copied;
    let heads = &snapshot.heads;
    if as_json {
        return output::json(&json!({
            "snapshot": snapshot.version, "block": heads.block_number, "logRoot": heads.log_root,
            "settledEpoch": heads.settled_epoch, "files": files, "bytes": bytes,
        }));
    }
    let (version, block) = (snapshot.version, heads.block_number);
    output::result(&format!("snapshot {version}, sealed to block {block}: {files} files, {bytes} bytes {done}"));
    Ok(())
}
