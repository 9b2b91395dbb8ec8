//! What the program says of itself: completions, manual pages, schemas. Nothing here reads a data folder.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::CommandFactory as _;

use crate::arguments::{Arguments, Completions, Man, Schema};
use crate::failure::{Exit, Failure, OrExit as _};
use crate::{config, output};

/// `tributary completions`.
pub(crate) fn completions(arguments: &Completions) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "tributary", &mut script);
    output::result(String::from_utf8(script)?.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// `tributary man`.
pub(crate) fn man(arguments: &Man) -> Result<ExitCode, Failure> {
    let Some(folder) = &arguments.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Arguments::command()).render(&mut page)?;
        output::result(String::from_utf8(page)?.trim_end());
        return Ok(ExitCode::SUCCESS);
    };
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    clap_mangen::generate_to(Arguments::command(), folder)
        .with_context(|| format!("writing manual pages into {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// `tributary schema`.
pub(crate) fn schema(arguments: &Schema) -> Result<ExitCode, Failure> {
    match arguments {
        Schema::Graphql => output::result(tributary_api::sdl().trim_end()),
        Schema::Tables(asked) => output::result(tables(asked.table.as_deref())?.trim_end()),
        Schema::Config(asked) => return keys(asked.json),
    }
    Ok(ExitCode::SUCCESS)
}

fn tables(only: Option<&str>) -> Result<String, Failure> {
    let all = || tributary_schemas::facts::all().into_iter().chain(tributary_schemas::money::all());
    let chosen = all().filter(|table| only.is_none_or(|name| table.name == name));
    let pages: Vec<String> = chosen.map(|table| table.markdown()).collect();
    match only {
        Some(name) if pages.is_empty() => {
            let names: Vec<&str> = all().map(|table| table.name).collect();
            Err(anyhow!("there is no table {name:?}: expected one of {}", names.join(", "))).or_exit(Exit::Failed)
        }
        _ => Ok(pages.join("\n")),
    }
}

fn keys(json: bool) -> Result<ExitCode, Failure> {
    let defaults = config::load(None, &BTreeMap::new(), &[]).or_exit(Exit::Configuration)?;
    let variable = |key: &str| format!("TRIBUTARY_{}", key.replace('.', "_").to_uppercase());
    if json {
        let keys: BTreeMap<&String, serde_json::Value> = defaults
            .values
            .iter()
            .map(|(key, (value, _))| {
                let kind = value.type_str();
                (key, serde_json::json!({ "type": kind, "default": value, "variable": variable(key) }))
            })
            .collect();
        output::json(&keys)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = defaults
        .values
        .iter()
        .map(|(key, (value, _))| vec![key.clone(), value.type_str().to_owned(), value.to_string(), variable(key)])
        .collect();
    output::result(&output::table(&["KEY", "TYPE", "DEFAULT", "VARIABLE"], &rows));
    Ok(ExitCode::SUCCESS)
}
