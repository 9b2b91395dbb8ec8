//! Arguments of the commands that print what the program says of itself.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Prints what is fixed between the program and whoever builds on it.
#[derive(Debug, Subcommand)]
pub(crate) enum Schema {
    /// The GraphQL schema, as `/graphql` serves it
    Graphql,
    /// Every table: columns, types, units, keys; as Markdown
    Tables(SchemaTables),
    /// Every key of the configuration, with its default and its environment variable
    Config(SchemaConfig),
}

#[derive(Debug, Args)]
pub(crate) struct SchemaTables {
    /// Only this table
    #[arg(long, value_name = "NAME")]
    pub(crate) table: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaConfig {
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Prints the script that makes a shell complete commands and flags.
///
/// For bash: `tributary completions bash > ~/.local/share/bash-completion/completions/tributary`; for zsh, a file
/// `_tributary` in a folder of `fpath`; for fish, `~/.config/fish/completions/tributary.fish`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

/// Prints the manual page, or writes those of every command into a folder.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Where to write `tributary.1`, `tributary-run.1` …, a folder; made when absent
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}
