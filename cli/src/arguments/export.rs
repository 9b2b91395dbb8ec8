//! The arguments of `tributary export` and `tributary graph`.

use clap::Args;
use std::path::PathBuf;

use super::Reading;

/// Writes a table as it stood at a block, an account's statement, or provenance in a form that others read.
///
/// A table is written in the columns and the order of schemas/tables; with --as-of, states that held at that block and
/// facts up to it, and of money what was settled by then. A statement begins with a line `opening` and ends with one
/// `closing`. Provenance is of a version (an id, a text id, or `TEXT_ID@VERSION`; the newest version where none is
/// named): `prov` is W3C PROV-JSON of anything, `cyclonedx` a `CycloneDX` 1.6 ML-BOM of a model, `croissant` a Croissant
/// 1.0 description of a dataset.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("exported").required(true).args(["table", "statement", "provenance"]))]
pub(crate) struct Export {
    /// The table
    #[arg(long)]
    pub(crate) table: Option<String>,
    /// The account whose statement is written
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) statement: Option<String>,
    /// The form, and of what
    #[arg(long, num_args = 2, value_names = ["FORM", "ID"])]
    pub(crate) provenance: Vec<String>,
    /// The block that a table is written as of; the sealed one when not given
    #[arg(long, value_name = "BLOCK", requires = "table")]
    pub(crate) as_of: Option<u64>,
    /// The token of a statement; the native one when not given
    #[arg(long, requires = "statement")]
    pub(crate) token: Option<String>,
    /// The first epoch of a statement; 0 when not given
    #[arg(long, value_name = "EPOCH", requires = "statement")]
    pub(crate) from: Option<i64>,
    /// The last epoch of a statement; the last settled one when not given
    #[arg(long, value_name = "EPOCH", requires = "statement")]
    pub(crate) to: Option<i64>,
    /// How a table or statement is written
    #[arg(long, value_enum, default_value_t = ExportFormat::Parquet)]
    pub(crate) format: ExportFormat,
    /// The file to write; standard output when not given
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) source: Reading,
}

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ExportFormat {
    /// Parquet, as the published files are
    Parquet,
    /// CSV with a header
    Csv,
    /// An Arrow IPC stream
    Arrow,
    /// An array of one object a row; wide integers are text
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Graph {
    /// An id, a text id, or `TEXT_ID@VERSION`; the newest version where none is named
    pub(crate) id: String,
    /// What it was made from; both ways when neither is named
    #[arg(long)]
    pub(crate) up: bool,
    /// What was made from it
    #[arg(long)]
    pub(crate) down: bool,
    /// Most steps from it
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) depth: u32,
    /// The language of the drawing
    #[arg(long, value_enum, default_value_t = GraphFormat::Dot)]
    pub(crate) format: GraphFormat,
    #[command(flatten)]
    pub(crate) source: Reading,
}

/// The language of a drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum GraphFormat {
    /// Graphviz
    Dot,
    /// Nodes and edges
    Json,
    /// Mermaid
    Mermaid,
}
