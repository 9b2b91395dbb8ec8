//! `tributary init`: a configuration file to fill in, and what of it is not filled in yet.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use url::Url;

use crate::arguments::{Init, Preset};
use crate::config::Config;
use crate::failure::{Exit, Failure, OrExit as _};
use crate::output;

/// Writes the file; one that is there already is left alone.
pub(crate) fn init(arguments: &Init) -> Result<ExitCode, Failure> {
    let file = arguments.out.display();
    let opened = OpenOptions::new().write(true).create_new(true).open(&arguments.out);
    let mut opened = match opened {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let reason = format!("{file} is there already and stays as it is: name another file with --out");
            return Err(Failure::new(Exit::Configuration, anyhow!(reason)));
        }
        opened => opened.with_context(|| format!("making {file}"))?,
    };
    let written = opened.write_all(text(arguments.preset).as_bytes()).and_then(|()| opened.sync_all());
    written.with_context(|| format!("writing {file}"))?;
    output::result(&file.to_string());
    output::say(&format!(
        "fill in what is marked as a placeholder, then\n  tributary doctor --config {file}\n  tributary run --config {file}"
    ));
    Ok(ExitCode::SUCCESS)
}

/// The placeholders that are left in a configuration, each with its key.
pub(crate) fn placeholders(config: &Config) -> Vec<String> {
    let mut left = Vec::new();
    if config.chain.chain_id == 0 {
        left.push("chain.chain_id = 0".to_owned());
    }
    let lists = [("chain.l2_urls", &config.chain.l2_urls), ("eigenda.proxy_urls", &config.eigenda.proxy_urls)];
    for (key, urls) in lists {
        left.extend(urls.iter().filter(|url| is_placeholder(url)).map(|url| format!("{key} = {url:?}")));
    }
    left
}

/// Refuses a configuration that still has placeholders.
pub(crate) fn require_filled(config: &Config) -> Result<(), Failure> {
    let left = placeholders(config);
    if left.is_empty() {
        return Ok(());
    }
    Err(anyhow!("placeholders are not filled in yet: {}", left.join(", "))).or_exit(Exit::Configuration)
}

/// Whether a URL's host is under `.example`, which RFC 2606 keeps free of real hosts.
pub(crate) fn is_placeholder(url: &str) -> bool {
    let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| host == "example" || host.trim_end_matches('.').ends_with(".example"))
}

const fn text(preset: Preset) -> &'static str {
    match preset {
        Preset::Openledger => include_str!("../presets/openledger.toml"),
        Preset::Custom => include_str!("../presets/custom.toml"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Loaded, Origin, load};
    use clap::ValueEnum as _;
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    fn written(preset: Preset, out: PathBuf) -> Loaded {
        init(&Init { preset, out: out.clone() }).unwrap();
        load(Some(&out), &BTreeMap::new(), &[]).unwrap()
    }

    #[test]
    fn every_preset_sets_every_key_there_is() {
        let folder = tempfile::tempdir().unwrap();
        for preset in Preset::value_variants() {
            let loaded = written(*preset, folder.path().join(format!("{preset:?}.toml")));
            for (key, (_, origin)) in &loaded.values {
                assert!(matches!(origin, Origin::File(_)), "cli/presets/ says nothing about {key}: {preset:?}");
            }
        }
    }

    #[test]
    fn the_placeholders_of_a_preset_are_named_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = written(Preset::Openledger, folder.path().join("openledger.toml")).config;
        assert_eq!(
            placeholders(&config),
            [
                r#"chain.l2_urls = "https://your-openledger-node.example""#,
                r#"eigenda.proxy_urls = "http://your-eigenda-proxy.example:3100""#
            ]
        );
        let failure = require_filled(&config).unwrap_err();
        assert_eq!(failure.exit, Exit::Configuration);
        config.chain.l2_urls = vec!["wss://example.org/your-node.example?x=.example".to_owned()];
        config.eigenda.proxy_urls = vec!["http://127.0.0.1:3100".to_owned()];
        assert!(require_filled(&config).is_ok());
        assert_eq!((config.chain.chain_id, config.api.tokens.len()), (1612, 1));
        let custom = written(Preset::Custom, folder.path().join("custom.toml")).config;
        assert_eq!(placeholders(&custom)[0], "chain.chain_id = 0");
    }

    #[test]
    fn a_file_that_is_there_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("tributary.toml");
        std::fs::write(&out, "mine").unwrap();
        let failure = init(&Init { preset: Preset::Openledger, out: out.clone() }).unwrap_err();
        assert!(failure.error.to_string().contains("--out"), "{}", failure.error);
        assert_eq!(std::fs::read_to_string(Path::new(&out)).unwrap(), "mine");
    }
}
