//! `tributary verify`: a file of proofs, an epoch or the whole store, offline.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use serde_json::json;
use tributary_accounting::Alarm;

use crate::arguments::Verify;
use crate::config::{Config, Storage};
use crate::failure::{Exit, Failure, OrExit as _};
use crate::{output, read::Tables};

/// Verifies what was named; exit 3 when something differs.
pub(crate) async fn verify(config: &Config, arguments: &Verify) -> Result<ExitCode, Failure> {
    let differences = match (arguments.what.as_str(), arguments.number) {
        ("store", None) => whole(&config.storage).await?,
        ("epoch", Some(epoch)) => {
            let tables = Tables::open(&config.storage).await?;
            let ctx = tables.session().await?;
            let epochs = tributary_accounting::verify_store(&ctx, tables.folder(), Some(epoch)).await?;
            if !epochs.contains_key(&epoch) {
                return Err(anyhow!("epoch {epoch} is not settled in {}", tables.folder().display()).into());
            }
            let alarms = tributary_accounting::alarms(&ctx).await?;
            let differs = |alarm: &&Alarm| alarm.epoch == epoch && alarm.kind.is_difference();
            let said = alarms.iter().filter(differs).map(ToString::to_string);
            named(epochs).into_iter().chain(said).collect()
        }
        ("epoch", None) => return Err(anyhow!("`verify epoch` needs the epoch's number").into()),
        (file, None) => proofs(file)?,
        (file, Some(number)) => return Err(anyhow!("{number} after {file}: only `epoch` takes a number").into()),
    };
    if arguments.json {
        output::json(&json!({ "verified": differences.is_empty(), "differences": differences }))?;
    } else if differences.is_empty() {
        output::result("verified");
    }
    let Some(first) = differences.first() else { return Ok(ExitCode::SUCCESS) };
    Err(Failure::new(Exit::Difference, anyhow!("{} differences; the first: {first}", differences.len())))
}

/// The differences of all that is published in the generation that is read.
pub(crate) async fn whole(storage: &Storage) -> Result<Vec<String>, Failure> {
    let tables = Tables::open(storage).await?;
    let ctx = tables.session().await?;
    // Before the first epoch is settled there is no folder of them.
    let epochs = match tables.snapshot().heads.settled_epoch {
        Some(_) => tributary_accounting::verify_store(&ctx, tables.folder(), None).await?,
        None => BTreeMap::new(),
    };
    let log = tributary_accounting::verify_log(&ctx, &tables.snapshot().heads).await?;
    let alarms = tributary_accounting::alarms(&ctx).await?;
    let said = alarms.iter().filter(|alarm| alarm.kind.is_difference()).map(ToString::to_string);
    Ok(log.differences.into_iter().chain(named(epochs)).chain(said).collect())
}

/// The differences of epochs, each with its epoch's name.
fn named(epochs: BTreeMap<i64, tributary_accounting::Findings>) -> Vec<String> {
    epochs
        .into_iter()
        .flat_map(|(epoch, findings)| {
            findings.differences.into_iter().map(move |difference| format!("epoch {epoch}: {difference}"))
        })
        .collect()
}

fn proofs(file: &str) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {file}")).or_exit(Exit::Failed)?;
    let proofs: Vec<tributary_accounting::Proof> = serde_json::from_str(&text)
        .with_context(|| format!("{file} holds no list of proofs"))
        .or_exit(Exit::Difference)?;
    if proofs.is_empty() {
        return Ok(vec![format!("{file} holds no proof")]);
    }
    let wrong = proofs.iter().filter(|proof| !tributary_accounting::verify_proof(proof));
    Ok(wrong
        .map(|proof| {
            format!(
                "the proof of {} for {} of {} does not lead to {}",
                proof.account, proof.cumulative, proof.token, proof.root
            )
        })
        .collect())
}
