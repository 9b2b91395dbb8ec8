//! What queries in SQL may use, whichever way they come.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use tributary_api::sql_gate::SqlLimits;

use super::Api;

/// What queries in SQL may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sql {
    /// Memory of one query.
    pub(crate) memory_mib: u64,
    /// Parts that a query is worked on in at a time.
    pub(crate) partitions: u64,
    /// Queries at work at a time, by all ways in together.
    pub(crate) max_queries: u64,
    /// Most rows of an answer that is made whole: of `POST /v1/sql` and `tributary sql`.
    pub(crate) max_rows: u64,
    /// Most seconds of such a query.
    pub(crate) deadline_seconds: u64,
    /// Most rows of an answer that is streamed: over Flight SQL and PostgreSQL's protocol.
    pub(crate) streamed_max_rows: u64,
    /// Most seconds of such a query, until its last row is taken.
    pub(crate) streamed_deadline_seconds: u64,
}

impl Default for Sql {
    fn default() -> Self {
        Self {
            memory_mib: 256,
            partitions: 2,
            max_queries: 8,
            max_rows: 10_000,
            deadline_seconds: 10,
            streamed_max_rows: 10_000_000,
            streamed_deadline_seconds: 60,
        }
    }
}

impl Sql {
    /// The bounds of a query whose answer is made whole.
    pub(crate) fn whole(&self) -> anyhow::Result<SqlLimits> {
        self.limits(("max_rows", self.max_rows), ("deadline_seconds", self.deadline_seconds))
    }

    /// The bounds of a query whose answer is streamed.
    pub(crate) fn streamed(&self) -> anyhow::Result<SqlLimits> {
        let deadline = ("streamed_deadline_seconds", self.streamed_deadline_seconds);
        self.limits(("streamed_max_rows", self.streamed_max_rows), deadline)
    }

    /// Queries at a time: one at least for each way in that is served.
    pub(crate) fn queries_max(&self, api: &Api) -> anyhow::Result<usize> {
        let beside = [&api.flight_listen, &api.postgres_listen].into_iter().filter(|address| !address.is_empty());
        let (ways, queries) = (1 + beside.count(), count("max_queries", self.max_queries)?);
        ensure!(queries >= ways, "sql.max_queries is {queries}: expected at least {ways}, one for each way in");
        Ok(queries)
    }

    fn limits(&self, rows: (&str, u64), deadline: (&str, u64)) -> anyhow::Result<SqlLimits> {
        let mebibytes = count("memory_mib", self.memory_mib)?;
        let bytes = mebibytes.checked_mul(1 << 20);
        Ok(SqlLimits {
            memory_bytes: bytes.with_context(|| format!("sql.memory_mib is {mebibytes}: more than there can be"))?,
            rows_max: count(rows.0, rows.1)?,
            deadline: Duration::from_secs(u64::try_from(count(deadline.0, deadline.1)?)?),
            partitions: count("partitions", self.partitions)?,
        })
    }
}

fn count(key: &str, number: u64) -> anyhow::Result<usize> {
    ensure!(number > 0, "sql.{key} is 0: expected at least 1");
    usize::try_from(number).with_context(|| format!("sql.{key} is {number}: more than this machine can count"))
}
