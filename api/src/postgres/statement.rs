//! The statements of a text: what goes to the gate, and what a client of PostgreSQL says beside its queries.
//!
//! Drivers begin and end transactions around every query and set what they need of a session. Nothing here can be
//! written, so a transaction is no more than a snapshot that is held; a setting is taken when it is the one that there is
//! or concerns the client alone, and refused otherwise.

use datafusion::sql::sqlparser::ast::{Expr, Reset, Set, Statement, Value};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::fault::Fault;
use super::functions::setting;
use super::rewrite::rewrite;

/// Nesting that is read.
const DEPTH_MAX: usize = 50;

/// What a statement asks for.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// An answer of the gate, or its refusal.
    Ask(Box<Statement>),
    /// Nothing, but it has to be said that it is done.
    Nothing(&'static str),
    /// A transaction to begin.
    Begin,
    /// A transaction to end; whether it is given up.
    End { rollback: bool },
    /// The part of a transaction since a savepoint to be given up.
    Rewind,
    /// A statement to be forgotten, or all of them.
    Forget(Option<String>),
}

/// The statements of a text, in order; none when there are none.
pub(super) fn read(text: &str) -> Result<Vec<Step>, Fault> {
    let parser = Parser::new(&PostgreSqlDialect {}).with_recursion_limit(DEPTH_MAX).try_with_sql(text);
    let statements = parser.and_then(|mut parser| parser.parse_statements());
    let statements = statements.map_err(|cause| Fault::new("42601", cause.to_string()))?;
    statements.into_iter().map(step).collect()
}

fn step(statement: Statement) -> Result<Step, Fault> {
    Ok(match statement {
        Statement::StartTransaction { .. } => Step::Begin,
        Statement::Commit { .. } => Step::End { rollback: false },
        Statement::Rollback { savepoint: None, .. } => Step::End { rollback: true },
        Statement::Rollback { .. } => Step::Rewind,
        Statement::Savepoint { .. } => Step::Nothing("SAVEPOINT"),
        Statement::ReleaseSavepoint { .. } => Step::Nothing("RELEASE"),
        Statement::Set(set) => self::set(&set).map(|()| Step::Nothing("SET"))?,
        Statement::Reset(reset) => {
            if let Reset::ConfigurationParameter(name) = &reset.reset {
                known(&name.to_string())?;
            }
            Step::Nothing("RESET")
        }
        Statement::ShowVariable { variable } => {
            let words: Vec<String> = variable.into_iter().map(|word| word.value).collect();
            return shown(&words.join(" "));
        }
        Statement::Deallocate { name, .. } => {
            let all = name.quote_style.is_none() && name.value.eq_ignore_ascii_case("all");
            Step::Forget((!all).then_some(name.value))
        }
        Statement::Discard { .. } => Step::Forget(None),
        mut other => {
            rewrite(&mut other);
            Step::Ask(Box::new(other))
        }
    })
}

/// The value of a setting, or of all of them, as a query.
fn shown(name: &str) -> Result<Step, Fault> {
    let query = match name.to_ascii_lowercase().as_str() {
        "all" => "SELECT name, setting, short_desc AS description FROM pg_settings".to_owned(),
        lower => {
            let (name, value) = known(match lower {
                "transaction isolation level" => "transaction_isolation",
                "time zone" => "TimeZone",
                other => other,
            })?;
            format!("SELECT '{value}' AS \"{name}\"")
        }
    };
    let mut steps = read(&query)?;
    if steps.is_empty() { Ok(Step::Nothing("SHOW")) } else { Ok(steps.swap_remove(0)) }
}

/// Settings that concern the client alone, or bound what it may do: any value will do.
const ANY_VALUE: [&str; 8] = [
    "application_name",
    "client_min_messages",
    "extra_float_digits",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "log_statement",
];

fn set(set: &Set) -> Result<(), Fault> {
    match set {
        Set::SingleAssignment { variable, values, .. } => {
            let name = variable.to_string();
            if ANY_VALUE.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
                return Ok(());
            }
            let (name, there) = known(&name)?;
            let given: Vec<String> = values.iter().map(plain).collect();
            same(name, there, &given.join(", "))
        }
        Set::SetTimeZone { value, .. } => same("TimeZone", "UTC", &plain(value)),
        Set::SetNames { charset_name, .. } => same("client_encoding", "UTF8", &charset_name.value),
        // Whatever it is to be, it reads one snapshot and writes nothing.
        Set::SetNamesDefault {} | Set::SetTransaction { .. } => Ok(()),
        other => Err(Fault::unsupported(other)),
    }
}

fn known(name: &str) -> Result<(&'static str, &'static str), Fault> {
    let all = ANY_VALUE.iter().find(|known| known.eq_ignore_ascii_case(name)).map(|known| (*known, ""));
    all.or_else(|| setting(name)).ok_or_else(|| Fault::new("42704", format!("{name:?} is no setting of this server")))
}

/// A value of a setting without its quotes.
fn plain(value: &Expr) -> String {
    match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => text.clone(),
            other => other.to_string(),
        },
        Expr::Identifier(name) => name.value.clone(),
        other => other.to_string(),
    }
}

/// Whether a setting is set to what it is: the names of encodings and time zones have more than one spelling.
fn same(name: &str, there: &str, given: &str) -> Result<(), Fault> {
    let spelt = |text: &str| text.to_ascii_lowercase().replace(['-', '"', '\''], "");
    let (given_as, there_as) = (spelt(given), spelt(there));
    let default = given_as == "default" || there_as.split(", ").any(|part| part == given_as);
    let also = match name {
        "TimeZone" => ["utc", "etc/utc", "gmt", "z", "0", "+00:00"].contains(&given_as.as_str()),
        "client_encoding" => ["utf8", "unicode", "sql_ascii"].contains(&given_as.as_str()),
        "search_path" => given_as.split(", ").any(|part| part == "public") || given_as.is_empty(),
        "default_transaction_isolation" | "transaction_isolation" => true,
        _ => ["true", "1", "yes"].contains(&given_as.as_str()) && there == "on",
    };
    if default || also || given_as == there_as {
        return Ok(());
    }
    Err(Fault::new("22023", format!("{name} is {there} here and cannot be {given:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first step of a text, by its name and, for the gate, the statement as the engine gets it.
    fn first(text: &str) -> String {
        match read(text).map(|mut steps| steps.swap_remove(0)) {
            Ok(Step::Ask(statement)) => statement.to_string(),
            Ok(step) => format!("{step:?}"),
            Err(fault) => fault.state.to_owned(),
        }
    }

    #[test]
    fn what_drivers_say_beside_queries_is_taken_and_what_changes_answers_is_not() {
        for (text, expected) in [
            ("BEGIN", "Begin"),
            ("START TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY", "Begin"),
            ("COMMIT", "End { rollback: false }"),
            ("ROLLBACK", "End { rollback: true }"),
            ("SET extra_float_digits = 3", "Nothing(\"SET\")"),
            ("SET client_encoding TO 'utf-8'", "Nothing(\"SET\")"),
            ("SET DateStyle = ISO", "Nothing(\"SET\")"),
            ("SET TIME ZONE 'UTC'", "Nothing(\"SET\")"),
            ("SET TimeZone TO 'Europe/Berlin'", "22023"),
            ("SET search_path TO public", "Nothing(\"SET\")"),
            ("SET default_transaction_read_only = off", "22023"),
            ("SET datafusion.execution.batch_size = 1", "42704"),
            ("SET ROLE admin", "0A000"),
            ("SHOW server_version", "SELECT '15.0' AS \"server_version\""),
            ("SHOW TRANSACTION ISOLATION LEVEL", "SELECT 'repeatable read' AS \"transaction_isolation\""),
            ("DEALLOCATE ALL", "Forget(None)"),
            ("DISCARD ALL", "Forget(None)"),
            ("SELEC 1", "42601"),
        ] {
            assert_eq!(first(text), expected, "{text}");
        }
        assert_eq!(read("select 1; ; select 2;").unwrap().len(), 2);
        assert!(read(" ; -- nothing").unwrap().is_empty());
        assert_eq!(read(&"(".repeat(1_000)).unwrap_err().state, "42601");
    }

    #[test]
    fn what_psql_asks_becomes_plain_sql() {
        for (text, expected) in [
            (
                "SELECT relname FROM pg_class c WHERE c.relname OPERATOR(pg_catalog.~) '^(a)$' COLLATE pg_catalog.default",
                "SELECT relname FROM pg_catalog.pg_class c WHERE c.relname ~ '^(a)$'",
            ),
            (
                "SELECT pg_catalog.format_type(1, 2), 'blocks'::regclass::oid, c.reltype::pg_catalog.regtype::pg_catalog.text",
                "SELECT format_type(1, 2), to_regclass('blocks')::BIGINT, format_type(c.reltype, NULL)::TEXT",
            ),
            (
                "SELECT a.x, (SELECT d.y FROM pg_catalog.pg_attrdef d WHERE d.adnum = a.x) FROM t a",
                "SELECT a.x, NULL FROM t a",
            ),
            (
                "SELECT i.indkey, now() AS n FROM pg_index i JOIN t ON true ORDER BY i.indrelid",
                "SELECT NULL AS \"indkey\", NULL AS \"n\" WHERE false",
            ),
            (
                "SELECT ARRAY(SELECT a.attname FROM pg_attribute a), ARRAY(SELECT 'toast.' || x FROM pg_catalog.unnest(t.reloptions) x)",
                "SELECT (SELECT array_agg(a.attname) FROM pg_catalog.pg_attribute a), NULL",
            ),
            ("SELECT count(*) FROM pg_catalog.pg_proc", "SELECT count(*) FROM pg_catalog.pg_proc"),
            (
                "SELECT t.x FROM t LEFT JOIN pg_catalog.pg_index i ON i.indrelid = t.x WHERE NOT EXISTS (SELECT 1 FROM pg_policy)",
                "SELECT t.x FROM t LEFT JOIN pg_catalog.pg_index i ON i.indrelid = t.x WHERE true",
            ),
            (
                "SELECT array_to_string(ARRAY(SELECT a.attname FROM pg_attribute a WHERE a.x = 1 AND (attacl IS NOT NULL)), ', ')",
                "SELECT NULL",
            ),
            (
                "SELECT 1 FROM t WHERE t.x = 0 OR (SELECT c.relkind = 'c' FROM pg_class c WHERE c.oid = t.x)",
                "SELECT 1 FROM t WHERE t.x = 0 OR (SELECT max(c.relkind = 'c') FROM pg_catalog.pg_class c WHERE c.oid = t.x)",
            ),
            (
                "SELECT (SELECT b.x FROM blocks b WHERE b.oid = t.x), (SELECT count(*) FROM pg_class c WHERE c.oid = t.x) FROM t",
                "SELECT (SELECT b.x FROM blocks b WHERE b.oid = t.x), (SELECT count(*) FROM pg_catalog.pg_class c WHERE c.oid = t.x) FROM t",
            ),
        ] {
            assert_eq!(first(text), expected, "{text}");
        }
    }
}
