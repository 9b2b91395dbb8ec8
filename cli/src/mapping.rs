//! `tributary mapping`: the files that carry contracts' events onto the vocabulary.

mod diff;
mod trial;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};
use tributary_indexer::mapping::{BUILT_IN, BuiltIn, MappingFile, abi_files, skeleton};
use tributary_indexer::{Contracts, Mapping};

use crate::arguments::{
    MappingCheck, MappingConfigured as Configured, MappingInit, MappingLibrary as Library, MappingSet,
};
use crate::config::Config;
use crate::failure::{Exit, Failure, OrExit as _};
use crate::{node, output};

/// Runs a command that needs no configuration.
pub(crate) fn library(command: &Library) -> Result<ExitCode, Failure> {
    match command {
        Library::List(arguments) => list(&BUILT_IN, arguments.json)?,
        Library::Show(arguments) => {
            let known = || BUILT_IN.map(|file| file.name).join(", ");
            let file = BuiltIn::named(&arguments.name);
            let file =
                file.ok_or_else(|| anyhow!("no mapping file {:?}: expected one of {}", arguments.name, known()))?;
            show(file, arguments.json)?;
        }
        Library::Kinds(arguments) if arguments.json => {
            output::json(&Mapping::kinds().into_iter().collect::<BTreeMap<_, _>>())?;
        }
        Library::Kinds(_) => {
            let rows: Vec<Vec<String>> =
                Mapping::kinds().into_iter().map(|(kind, fields)| vec![kind.to_owned(), fields.join(", ")]).collect();
            output::result(&output::table(&["KIND", "FIELDS"], &rows));
        }
        Library::Init(arguments) => init(arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(files: &[BuiltIn], as_json: bool) -> Result<(), Failure> {
    let described = files.iter().map(described).collect::<anyhow::Result<Vec<_>>>()?;
    if as_json {
        return output::json(&described.iter().map(|(json, _)| json).collect::<Vec<_>>());
    }
    let row = |(file, (_, mapping)): (&BuiltIn, &(Value, Mapping))| {
        let reading = mapping.reading_state();
        let reading = if reading.is_empty() { "none".to_owned() } else { reading.join(", ") };
        vec![file.name.to_owned(), file.about.to_owned(), file.roles.join(", "), reading]
    };
    let rows: Vec<_> = files.iter().zip(&described).map(row).collect();
    output::result(&output::table(&["NAME", "ABOUT", "ROLES", "RULES THAT READ STATE"], &rows));
    Ok(())
}

fn show(file: &BuiltIn, as_json: bool) -> Result<(), Failure> {
    let (mut json, mapping) = described(file)?;
    if as_json {
        json["toml"] = file.toml.into();
        return output::json(&json);
    }
    output::result(file.toml.trim_end());
    say_reading(&mapping);
    Ok(())
}

/// A file of the program, and what it comes to while its roles are nobody's.
fn described(file: &BuiltIn) -> anyhow::Result<(Value, Mapping)> {
    let config = Config::default();
    let mut contracts = contracts(&config)?;
    let mapping = Mapping::load(&[file.file(&mut contracts)], config.chain.chain_id, &contracts)?;
    let json = json!({
        "name": file.name, "about": file.about, "roles": file.roles, "reading_state": mapping.reading_state(),
    });
    Ok((json, mapping))
}

/// Runs a command that reads the configuration.
pub(crate) async fn configured(config: &Config, command: &Configured) -> Result<ExitCode, Failure> {
    match command {
        Configured::Check(arguments) => check(config, arguments),
        Configured::Test(arguments) => trial::test(config, arguments).await,
        Configured::Diff(arguments) => diff::diff(config, arguments).await,
    }
}

/// Checks files, as one set; every problem is told, and the exit code is 4 when there is one.
fn check(config: &Config, arguments: &MappingCheck) -> Result<ExitCode, Failure> {
    let (files, contracts) = set(config, &arguments.set).or_exit(Exit::Configuration)?;
    match Mapping::check(&files, config.chain.chain_id, &contracts) {
        Ok(mapping) if arguments.json => output::json(&json!({
            "mapping_set_hash": mapping.hash(), "problems": [], "reading_state": mapping.reading_state(),
        }))?,
        Ok(mapping) => {
            output::result(&format!("sound: mapping set {}", mapping.hash()));
            say_reading(&mapping);
        }
        Err(problems) => {
            if arguments.json {
                let shown = problems
                    .iter()
                    .map(|one| json!({ "file": one.file, "line": one.line, "rule": one.rule, "reason": one.reason }));
                output::json(&json!({ "problems": shown.collect::<Vec<_>>() }))?;
            } else {
                problems.iter().for_each(|problem| output::result(&problem.to_string()));
            }
            let count = problems.len();
            let words = if count == 1 { "1 problem".to_owned() } else { format!("{count} problems") };
            return Err(Failure::new(Exit::Configuration, anyhow!("the mapping has {words}")));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Names the rules that read the state of contracts.
fn say_reading(mapping: &Mapping) {
    let rules = mapping.reading_state();
    if !rules.is_empty() {
        output::say(&format!(
            "these rules read the state of contracts, which needs an archive endpoint where blocks are old: {}",
            rules.join(", ")
        ));
    }
}

/// The files of a set, and the contracts they may name.
fn set(config: &Config, given: &MappingSet) -> anyhow::Result<(Vec<MappingFile>, Contracts)> {
    named(config, &given.files, &given.roles)
}

/// The files of these names, and the contracts they may name.
fn named(config: &Config, names: &[String], roles: &[String]) -> anyhow::Result<(Vec<MappingFile>, Contracts)> {
    let mut contracts = contracts(config)?;
    for text in roles {
        add_role(&mut contracts, text)?;
    }
    let files = files(names, &mut contracts)?;
    Ok((files, contracts))
}

fn init(arguments: &MappingInit) -> anyhow::Result<()> {
    let file = &arguments.abi;
    let abi = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let name = file.file_stem().map_or_else(|| "mapping".to_owned(), |stem| stem.to_string_lossy().to_lowercase());
    let text = skeleton(&name, &abi).map_err(|reason| anyhow!("{}: {reason}", file.display()))?;
    let Some(out) = &arguments.out else {
        output::result(text.trim_end());
        return Ok(());
    };
    let opened = OpenOptions::new().write(true).create_new(true).open(out);
    let mut opened = opened.with_context(|| format!("making {}: expected a file that is not there", out.display()))?;
    opened
        .write_all(text.as_bytes())
        .and_then(|()| opened.sync_all())
        .with_context(|| format!("writing {}", out.display()))?;
    output::result(&out.display().to_string());
    Ok(())
}

/// The configured contracts by role, those that mapping files ask for too.
pub(crate) fn contracts(config: &Config) -> anyhow::Result<Contracts> {
    let mut contracts = Contracts::new();
    for (role, texts) in node::roles(&config.contracts) {
        let list = contracts.entry(role.to_owned()).or_default();
        for text in texts {
            list.insert(text.parse().with_context(|| format!("contracts.{role}: {text:?} is no address"))?);
        }
    }
    for text in &config.mapping.roles {
        add_role(&mut contracts, text).context("mapping.roles")?;
    }
    Ok(contracts)
}

fn add_role(contracts: &mut Contracts, text: &str) -> anyhow::Result<()> {
    let Some((role, address)) = text.split_once('=') else { bail!("{text:?} is not of the form ROLE=ADDRESS") };
    let address = address.parse().with_context(|| format!("{text:?}: {address:?} is no address"))?;
    contracts.entry(role.to_owned()).or_default().insert(address);
    Ok(())
}

/// The mapping files of these names, with the ABIs they name: a file that comes with the program, or a path. Roles that
/// only files of the program ask for are nobody's until they are configured.
pub(crate) fn files(names: &[String], contracts: &mut Contracts) -> anyhow::Result<Vec<MappingFile>> {
    let mut files = Vec::new();
    for name in names {
        if let Some(file) = BuiltIn::named(name) {
            files.push(file.file(contracts));
            continue;
        }
        let path = Path::new(name);
        let known =
            || format!("reading {name}, which is no file of the program ({})", BUILT_IN.map(|one| one.name).join(", "));
        let toml = std::fs::read_to_string(path).with_context(known)?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let mut abis = BTreeMap::new();
        for abi in abi_files(&toml) {
            let text = std::fs::read_to_string(folder.join(&abi))
                .with_context(|| format!("reading {abi}, which {name} names"))?;
            abis.insert(abi, text);
        }
        files.push(MappingFile { name: name.clone(), toml, abis });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const READING: &str = r#"
name = "tokens"
version = 1

[[rule]]
name = "listed"
emitter = "late"
event = "ModelListed(uint256 indexed tokenId, string uri)"
emit = "MetadataUpdated"
[rule.fields]
entity = { native = "agent", key = "tokenId" }
uri = { state = "tokenURI(uint256 id) returns (string)", of = { from = "emitter" }, with = ["tokenId"] }
hash = { keccak = "uri" }
"#;

    #[test]
    fn a_file_says_which_of_its_rules_read_state() {
        let file = BuiltIn { name: "tokens", about: "tokens", roles: &["late"], toml: READING };
        let (json, _) = described(&file).unwrap();
        assert_eq!(json["reading_state"], json!(["listed"]));
        for file in &BUILT_IN {
            let reads = file.toml.lines().any(|line| line.contains("{ state ="));
            let (json, mapping) = described(file).unwrap();
            assert_eq!(mapping.reading_state().is_empty(), !reads, "{json}");
        }
    }
}
