//! The program: arguments, configuration, wiring. It holds no domain logic.

mod arguments;
mod blobs;
mod cluster;
mod config;
mod da;
mod demo;
mod doctor;
mod drill;
mod environment;
mod export;
mod failure;
mod following;
mod generation;
mod graph;
mod init;
mod key;
mod manual;
mod mapping;
mod memory;
mod node;
mod output;
mod progress;
mod prompt;
mod read;
mod replay;
mod serving;
mod settle;
mod settler;
mod settling;
mod signals;
mod sql;
mod status;
mod store;
mod telemetry;
mod tree;
mod vaults;
mod verify;

use clap::Parser as _;
use std::process::ExitCode;
use std::sync::Arc;

use arguments::{Arguments, Command};
use failure::{Exit, Failure, OrExit as _};
use telemetry::{Logs, Telemetry};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let variables = environment::variables();
    let filter = arguments.log.clone().or_else(|| variables.get("TRIBUTARY_LOG").cloned());
    let format = arguments.log_format.or_else(|| {
        let named = variables.get("TRIBUTARY_LOG_FORMAT")?;
        <arguments::LogFormat as clap::ValueEnum>::from_str(named, true).ok()
    });
    let format = format.unwrap_or(arguments::LogFormat::Text);
    let logs = Logs { filter: filter.as_deref().unwrap_or("warn"), format, colours: environment::colours() };
    if matches!(arguments.command, Command::Run(_) | Command::Demo(_)) {
        memory::bound_arenas();
    }
    let done = runtime().and_then(|runtime| {
        let collector = arguments.otlp_endpoint.as_deref();
        let telemetry =
            Telemetry::begin(&logs, collector, &variables, runtime.handle()).or_exit(Exit::Configuration)?;
        let done = runtime.block_on(command(arguments.command, &variables));
        telemetry.end();
        done
    });
    match done {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().or_exit(Exit::Failed)
}

async fn command(
    command: Command,
    variables: &std::collections::BTreeMap<String, String>,
) -> Result<ExitCode, Failure> {
    match command {
        Command::Demo(arguments) => demo::demo(arguments).await,
        Command::Init(arguments) => init::init(&arguments),
        Command::Doctor(arguments) => {
            doctor::doctor(configuration(&arguments.source, variables, Vec::new()), &arguments).await
        }
        Command::Run(arguments) => {
            let mut flags = Vec::new();
            if let Some(listen) = arguments.listen {
                flags.push(("api.listen", toml::Value::String(listen.to_string()), "--listen"));
            }
            let loaded = configuration(&arguments.source, variables, flags)?;
            node::run(&loaded.config, arguments.until_block).await
        }
        Command::Status(arguments) => status::status(&reading(&arguments.source, variables)?, &arguments).await,
        Command::Sql(arguments) => {
            let config = reading_with(&arguments.source, variables, arguments.limits.keys())?;
            sql::sql(&config, &arguments).await
        }
        Command::Export(arguments) => export::export(&reading(&arguments.source, variables)?, &arguments).await,
        Command::Graph(arguments) => graph::graph(&reading(&arguments.source, variables)?, &arguments).await,
        Command::Explain(arguments) => read::explain(&reading(&arguments.source, variables)?, &arguments).await,
        Command::Proof(arguments) => read::proof(&reading(&arguments.source, variables)?, &arguments).await,
        Command::Verify(arguments) => verify::verify(&reading(&arguments.source, variables)?, &arguments).await,
        Command::Replay(arguments) => replay::replay(&reading(&arguments.source, variables)?, &arguments).await,
        Command::Settle(arguments) => settle::settle(&arguments).await,
        Command::Store(arguments) => {
            store::store(&configuration(arguments.source(), variables, Vec::new())?.config, &arguments).await
        }
        Command::Blobs(arguments) => {
            blobs::blobs(&configuration(arguments.source(), variables, Vec::new())?.config, &arguments)
        }
        Command::Key(arguments) => {
            key::key(&configuration(arguments.source(), variables, Vec::new())?.config, &arguments)
        }
        Command::Generation(arguments) => {
            let loaded = configuration(arguments.source(), variables, Vec::new())?;
            Box::pin(generation::generation(&loaded.config, &arguments)).await
        }
        Command::Da(arguments) => da::da(&arguments),
        Command::Tree(arguments::Tree::Build(arguments)) => tree::build(&arguments),
        Command::Mapping(arguments::Mapping::Library(command)) => mapping::library(&command),
        Command::Mapping(arguments::Mapping::Configured(command)) => {
            Box::pin(mapping::configured(&configuration(command.source(), variables, Vec::new())?.config, &command))
                .await
        }
        Command::Cluster(arguments::Cluster::Scheduler(arguments)) => {
            cluster::scheduler(&configuration(&arguments.source, variables, Vec::new())?.config, &arguments).await
        }
        Command::Cluster(arguments::Cluster::Executor(arguments)) => {
            cluster::executor(&configuration(&arguments.source, variables, Vec::new())?.config, &arguments).await
        }
        Command::Config(arguments::Config::Show(arguments)) => {
            show(configuration(&arguments.source, variables, Vec::new())?.as_ref(), &arguments)
        }
        Command::Schema(arguments) => manual::schema(&arguments),
        Command::Completions(arguments) => manual::completions(&arguments),
        Command::Man(arguments) => manual::man(&arguments),
    }
}

/// The configuration for a command that reads a ledger.
fn reading(
    reading: &arguments::Reading,
    variables: &std::collections::BTreeMap<String, String>,
) -> Result<config::Config, Failure> {
    reading_with(reading, variables, Vec::new())
}

/// The same, with keys that flags set.
fn reading_with(
    reading: &arguments::Reading,
    variables: &std::collections::BTreeMap<String, String>,
    flags: Vec<(&str, toml::Value, &str)>,
) -> Result<config::Config, Failure> {
    let mut config = configuration(&reading.source, variables, flags)?.config.clone();
    config.storage.generation = reading.generation;
    Ok(config)
}

fn configuration(
    source: &arguments::Source,
    variables: &std::collections::BTreeMap<String, String>,
    mut flags: Vec<(&str, toml::Value, &str)>,
) -> Result<Arc<config::Loaded>, Failure> {
    if let Some(dir) = &source.data_dir {
        flags.push(("storage.data_dir", toml::Value::String(dir.display().to_string()), "--data-dir"));
    }
    let named = source.config.clone().or_else(|| variables.get("TRIBUTARY_CONFIG").map(Into::into));
    let usual = std::path::PathBuf::from("tributary.toml");
    let file = match named {
        Some(file) => Some(file),
        None => usual.try_exists().or_exit(Exit::Configuration)?.then_some(usual),
    };
    config::load(file.as_deref(), variables, &flags).map(Arc::new).or_exit(Exit::Configuration)
}

fn show(loaded: &config::Loaded, arguments: &arguments::ConfigShow) -> Result<ExitCode, Failure> {
    if arguments.json {
        let values: serde_json::Map<String, serde_json::Value> = loaded
            .values
            .iter()
            .map(|(key, (value, origin))| Ok((key.clone(), serde_json::json!({ "value": value, "origin": origin }))))
            .collect::<Result<_, Failure>>()?;
        output::json(&values)?;
    } else if arguments.origin {
        let rows: Vec<Vec<String>> = loaded
            .values
            .iter()
            .map(|(key, (value, origin))| vec![key.clone(), value.to_string(), origin.to_string()])
            .collect();
        output::result(&output::table(&["KEY", "VALUE", "FROM"], &rows));
    } else {
        output::result(toml::to_string(&loaded.config)?.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}
