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
    #[command(flatten)]
    pub(crate) limits: SqlLimits,
}

/// What a query may use; where nothing is said, what is configured under `sql`.
#[derive(Debug, Args)]
pub(crate) struct SqlLimits {
    /// Most rows to give, instead of `sql.max_rows`
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) rows_max: Option<i64>,
    /// Most memory of a query in MiB, instead of `sql.memory_mib`
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) memory_mib: Option<i64>,
    /// Most seconds of a query, instead of `sql.deadline_seconds`
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) deadline_seconds: Option<i64>,
    /// Parts that a query is worked on in at a time, instead of `sql.partitions`
    #[arg(long, value_name = "PARTS", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) partitions: Option<i64>,
}

impl SqlLimits {
    /// The keys that these flags set.
    pub(crate) fn keys(&self) -> Vec<(&'static str, toml::Value, &'static str)> {
        let flags = [
            ("sql.max_rows", self.rows_max, "--rows-max"),
            ("sql.memory_mib", self.memory_mib, "--memory-mib"),
            ("sql.deadline_seconds", self.deadline_seconds, "--deadline-seconds"),
            ("sql.partitions", self.partitions, "--partitions"),
        ];
        let given =
            |(key, value, flag): (_, Option<i64>, _)| value.map(|value| (key, toml::Value::Integer(value), flag));
        flags.into_iter().filter_map(given).collect()
    }
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
