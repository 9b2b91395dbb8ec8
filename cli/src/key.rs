//! `tributary key`: API keys of a data folder. A secret is shown once, when it is made; only its hash is kept.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use serde_json::json;
use tributary_api::keys::{self, ApiKey};

use crate::arguments::{Key, KeyCreate, KeyList, KeyRevoke};
use crate::config::Config;
use crate::failure::{Exit, Failure, OrExit as _};
use crate::{environment, output};

/// Runs a command of `key`.
pub(crate) fn key(config: &Config, arguments: &Key) -> Result<ExitCode, Failure> {
    let dir = &config.storage.data_dir;
    let known = keys::read(dir).with_context(|| format!("reading {}", dir.join(keys::FILE).display()));
    let known = known.or_exit(Exit::Store)?;
    match arguments {
        Key::Create(arguments) => create(dir, known, arguments),
        Key::List(arguments) => list(&known, arguments),
        Key::Revoke(arguments) => revoke(dir, known, arguments),
    }
}

fn create(dir: &Path, mut known: Vec<ApiKey>, arguments: &KeyCreate) -> Result<ExitCode, Failure> {
    let random = environment::random().context("drawing a secret").or_exit(Exit::Failed)?;
    let secret = format!("{}{}", keys::PREFIX, alloy_primitives::hex::encode(random));
    let key = ApiKey::new(&arguments.name, &secret);
    known.push(key.clone());
    write(dir, &known)?;
    if arguments.json {
        output::json(&json!({ "id": key.id, "name": key.name, "secret": secret }))?;
    } else {
        output::result(&secret);
        output::say(&format!(
            "key {} of {}: this is the only time that it is shown; send it as `authorization: Bearer …`",
            key.id, key.name
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn list(known: &[ApiKey], arguments: &KeyList) -> Result<ExitCode, Failure> {
    if arguments.json {
        let keys = known.iter().map(|key| json!({ "id": key.id, "name": key.name, "revoked": key.revoked }));
        output::json(&keys.collect::<Vec<_>>())?;
    } else {
        let state = |key: &ApiKey| if key.revoked { "revoked" } else { "valid" }.to_owned();
        let rows = known.iter().map(|key| vec![key.id.clone(), state(key), key.name.clone()]);
        output::result(&output::table(&["id", "state", "name"], &rows.collect::<Vec<_>>()));
    }
    Ok(ExitCode::SUCCESS)
}

fn revoke(dir: &Path, mut known: Vec<ApiKey>, arguments: &KeyRevoke) -> Result<ExitCode, Failure> {
    let Some(key) = known.iter_mut().find(|key| key.id == arguments.id) else {
        let reason = anyhow!("there is no key {:?}: `tributary key list` says which there are", arguments.id);
        return Err(Failure::new(Exit::Failed, reason));
    };
    key.revoked = true;
    write(dir, &known)?;
    output::say(&format!("key {} is revoked; running servers refuse it from now on", arguments.id));
    Ok(ExitCode::SUCCESS)
}

/// Replaces the file as a whole, readable by its owner alone.
fn write(dir: &Path, known: &[ApiKey]) -> Result<(), Failure> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display())).or_exit(Exit::Store)?;
    let (path, new) = (dir.join(keys::FILE), dir.join(format!(".{}.new", keys::FILE)));
    let text = serde_json::to_vec_pretty(known)?;
    let written = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new);
    let written = written.and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()));
    let replaced = written.and_then(|()| std::fs::rename(&new, &path));
    replaced.with_context(|| format!("writing {}", path.display())).or_exit(Exit::Store)
}
