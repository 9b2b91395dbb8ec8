//! The arguments of `tributary sql`.

use clap::Args;

use super::Reading;

/// Runs read-only queries over the published tables and views.
///
/// Without QUERY they are read from standard input, each up to its `;`, and each is answered from the newest snapshot.
/// `.tables` lists what there is, `.schema NAME` gives columns, `.quit` ends it. One that fails ends the run with exit
/// code 1, but not on a terminal: there is a prompt, which completes names (Tab) and remembers lines (arrows).
///
/// The tables are described in schemas/tables, examples are in dashboards/sql. With --duckdb no query is run: a script
/// is printed that opens the snapshot in DuckDB, with the same views.
#[derive(Debug, Args)]
pub(crate) struct Sql {
    /// The query
    pub(crate) query: Option<String>,
    #[command(flatten)]
    pub(crate) source: Reading,
    /// How rows are written
    #[arg(long, value_enum, default_value_t = SqlFormat::Table)]
    pub(crate) format: SqlFormat,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
    /// Print the script for DuckDB
    #[arg(long, conflicts_with_all = ["query", "format", "json"])]
    pub(crate) duckdb: bool,
    /// Most rows to give
    #[arg(long, default_value_t = 10_000)]
    pub(crate) rows_max: usize,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SqlFormat {
    /// Columns for people
    Table,
    /// An array of one object a row; wide integers are text
    Json,
    /// CSV with a header
    Csv,
    /// An Arrow IPC stream
    Arrow,
}
