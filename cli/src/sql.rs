//! `tributary sql`: one query, or those of standard input, each through the gate and over one snapshot.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use arrow::array::RecordBatch;
use serde_json::Value;
use tributary_api::rows;
use tributary_api::sql_gate::SqlLimits;

use crate::arguments::{Sql, SqlFormat};
use crate::config::{Config, Storage};
use crate::failure::{Exit, Failure, OrExit as _};
use crate::prompt::{Prompt, Typed};
use crate::read::Tables;
use crate::{environment, output};

/// What a person may type beside queries.
const HELP: &str = "a query ends with ; and .tables lists what there is, .schema NAME gives columns, .quit ends it";

/// Words that are completed beside names.
const WORDS: [&str; 14] = [
    "select",
    "distinct",
    "from",
    "join",
    "where",
    "group by",
    "order by",
    "having",
    "limit",
    "between",
    "with",
    "union all",
    ".tables",
    ".schema",
];

/// `tributary sql`.
pub(crate) async fn sql(config: &Config, arguments: &Sql) -> Result<ExitCode, Failure> {
    let storage = &config.storage;
    if arguments.duckdb {
        return duckdb(storage).await;
    }
    let format = if arguments.json { SqlFormat::Json } else { arguments.format };
    let asking = Asking { storage, format, limits: config.sql.whole().or_exit(Exit::Configuration)? };
    match &arguments.query {
        Some(query) => asking.answer(query).await?,
        None => asking.standard_input().await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn duckdb(storage: &Storage) -> Result<ExitCode, Failure> {
    let tables = Tables::open(storage).await?;
    let dir = std::path::absolute(tables.folder()).or_exit(Exit::Store)?;
    let place = |table: &str, file: &tributary_store::TableFile| {
        let name = file.path.file_name().unwrap_or_default();
        dir.join("tables").join(table).join(name).display().to_string()
    };
    let script = tributary_accounting::duckdb(tables.lake(), tables.snapshot(), place).await?;
    output::result(script.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// How queries are answered.
struct Asking<'a> {
    storage: &'a Storage,
    format: SqlFormat,
    limits: SqlLimits,
}

impl Asking<'_> {
    async fn answer(&self, query: &str) -> Result<(), Failure> {
        let tables = Tables::open(self.storage).await?;
        let batches = tables.limited(query, &self.limits).await?;
        match self.format {
            SqlFormat::Table => output::result(&columns(&batches)?),
            SqlFormat::Json => output::result(&String::from_utf8(rows::json(&batches)?)?),
            SqlFormat::Csv => output::bytes(&rows::csv(&batches)?),
            SqlFormat::Arrow => output::bytes(&rows::arrow(&batches, &[])?),
        }
        Ok(())
    }

    /// Queries as they come. To a person an error is said, and the next one may be right.
    async fn standard_input(&self) -> Result<(), Failure> {
        let typed = std::io::stdin().is_terminal();
        let mut input = if typed {
            output::say(HELP);
            let history = environment::state_folder().map(|folder| folder.join("sql_history"));
            Input::Terminal(Prompt::new(history, self.names().await?))
        } else {
            Input::Lines(std::io::stdin().lines())
        };
        let mut pending = String::new();
        loop {
            let line = match input.next(pending.trim().is_empty()).or_exit(Exit::Failed)? {
                Typed::Line(line) => line,
                Typed::Abandoned => {
                    pending.clear();
                    continue;
                }
                Typed::End => break,
            };
            if pending.trim().is_empty() && line.trim_start().starts_with('.') {
                pending.clear();
                match command(line.trim()) {
                    Command::Query(query) => self.tell(&query, typed).await?,
                    Command::Quit => return Ok(()),
                    Command::Unknown => output::say(HELP),
                }
                continue;
            }
            pending.push_str(&line);
            pending.push('\n');
            while let Some(end) = end_of_statement(&pending) {
                let rest = pending.split_off(end);
                let query = std::mem::replace(&mut pending, rest);
                self.tell(query.trim_end().trim_end_matches(';'), typed).await?;
                pending = pending.trim_start().to_owned();
            }
        }
        if pending.trim().is_empty() { Ok(()) } else { self.tell(&pending, typed).await }
    }

    /// What may be completed: tables, views, their columns, and the words that most queries have.
    async fn names(&self) -> Result<Vec<String>, Failure> {
        let tables = Tables::open(self.storage).await?;
        let query = "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' \
                     UNION SELECT column_name FROM information_schema.columns WHERE table_schema = 'public'";
        let rows = tables.rows(query).await?;
        let names = rows.iter().filter_map(|row| row["name"].as_str()).chain(WORDS).map(str::to_owned);
        Ok(names.collect())
    }

    async fn tell(&self, query: &str, typed: bool) -> Result<(), Failure> {
        match self.answer(query).await {
            Err(failure) if typed => {
                failure.report();
                Ok(())
            }
            other => other,
        }
    }
}

/// Where queries come from.
enum Input {
    Terminal(Prompt),
    Lines(std::io::Lines<std::io::StdinLock<'static>>),
}

impl Input {
    fn next(&mut self, first: bool) -> std::io::Result<Typed> {
        match self {
            Self::Terminal(prompt) => prompt.read(if first { "tributary> " } else { "        -> " }),
            Self::Lines(lines) => Ok(lines.next().transpose()?.map_or(Typed::End, Typed::Line)),
        }
    }
}

/// What a line that begins with a dot asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Query(String),
    Quit,
    Unknown,
}

fn command(line: &str) -> Command {
    let mut words = line.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(".quit" | ".exit"), None, _) => Command::Quit,
        (Some(".tables"), None, _) => Command::Query(
            "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
                .to_owned(),
        ),
        (Some(".schema"), Some(name), None) => {
            let name = name.replace('\'', "''");
            let (schema, name) = name.split_once('.').unwrap_or(("public", &name));
            Command::Query(format!(
                "SELECT column_name, data_type, is_nullable FROM information_schema.columns \
                 WHERE table_schema = '{schema}' AND table_name = '{name}' ORDER BY ordinal_position"
            ))
        }
        _ => Command::Unknown,
    }
}

/// Where the first statement of a text ends, after its semicolon; quoted text and comments may hold others.
fn end_of_statement(text: &str) -> Option<usize> {
    let mut inside = None;
    let mut before = ' ';
    for (at, now) in text.char_indices() {
        inside = match (inside, now) {
            (None, ';') => return Some(at + 1),
            (None, '\'' | '"') => Some(now),
            (None, '-') if before == '-' => Some('\n'),
            (None, '*') if before == '/' => Some('*'),
            (Some('*'), '/') if before == '*' => None,
            (Some('\n'), '\n') => None,
            (Some(quote @ ('\'' | '"')), now) if quote == now => None,
            (inside, _) => inside,
        };
        before = now;
    }
    None
}

fn columns(batches: &[RecordBatch]) -> Result<String, Failure> {
    let schema = batches.first().map(RecordBatch::schema);
    let header: Vec<&str> =
        schema.iter().flat_map(|schema| schema.fields()).map(|field| field.name().as_str()).collect();
    let rows: Vec<Value> = serde_json::from_slice(&rows::json(batches)?)?;
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| header.iter().map(|name| plain(&row[*name])).collect()).collect();
    Ok(output::table(&header, &cells))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, command, end_of_statement};

    #[test]
    fn a_statement_ends_at_its_own_semicolon() {
        for (text, expected) in [
            ("select 1", None),
            ("select 1; select 2;", Some(9)),
            ("select ';' ;", Some(12)),
            ("select 'it''s;';", Some(16)),
            ("select \";\" -- ;\n;", Some(17)),
            ("select /* ; */ 1;", Some(17)),
            ("-- ;", None),
        ] {
            assert_eq!(end_of_statement(text), expected, "{text}");
        }
    }

    #[test]
    fn lines_with_a_dot_are_commands() {
        assert_eq!(command(".quit"), Command::Quit);
        assert_eq!(command(".schema"), Command::Unknown);
        assert_eq!(command(".drop blocks"), Command::Unknown);
        let Command::Query(query) = command(".schema it's") else { panic!("no query") };
        assert!(query.contains("table_schema = 'public' AND table_name = 'it''s'"), "{query}");
        let Command::Query(query) = command(".schema hot.events") else { panic!("no query") };
        assert!(query.contains("table_schema = 'hot' AND table_name = 'events'"), "{query}");
    }
}
