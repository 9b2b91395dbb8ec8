//! The one gate for SQL: read-only queries over one snapshot, within memory, time and rows.
//!
//! Three fences, each of which would do: a list of statements (query, `EXPLAIN` of one, `SHOW TABLES`), DataFusion's own
//! `SQLOptions` over the whole plan, and a session in which nothing can be written and no name means a file. `sum` over
//! money is the checked one.
//!
//! A query that names tables of the schema `hot` reads blocks that are not sealed yet, too ([`Hot`]): those above the
//! snapshot's sealed one up to the newest at the moment it is planned, never more than
//! [`HELD_BLOCKS_MAX`](tributary_store::HELD_BLOCKS_MAX) and within its memory. Only the process that follows has them.

use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{DataFrame, SQLOptions, SessionContext};
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement as Outer;
use datafusion::sql::sqlparser::ast::Statement;
use futures::StreamExt as _;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument as _;
use tributary_store::{HeldHead, Lake, Remedy, Snapshot, StoreError};

pub(crate) mod hot;
mod stoppable;

pub use self::hot::Hot;
use self::hot::Pinned;
use self::stoppable::Stoppable;
use crate::session;

/// Bounds of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlLimits {
    /// Most memory of its operators.
    pub memory_bytes: usize,
    /// Most rows of its answer.
    pub rows_max: usize,
    /// Most time.
    pub deadline: Duration,
    /// Parts it works on at a time.
    pub partitions: usize,
}

impl Default for SqlLimits {
    fn default() -> Self {
        Self { memory_bytes: 256 << 20, rows_max: 10_000, deadline: Duration::from_secs(10), partitions: 2 }
    }
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqlError {
    /// A statement that is no read-only query.
    #[error("{got} is refused: expected one SELECT, WITH, EXPLAIN or SHOW TABLES")]
    Refused {
        /// The kind of statement.
        got: String,
    },
    /// SQL that does not parse, plan or run.
    #[error("the query failed: {message}")]
    Failed {
        /// What kind of mistake it is.
        fault: Fault,
        /// What the engine said, without its backtrace.
        message: String,
    },
    /// A query that took too long.
    #[error("the query took longer than {} ms", .deadline.as_millis())]
    Deadline {
        /// The limit.
        deadline: Duration,
    },
    /// A query that needed too much memory.
    #[error("the query needs more than {memory_bytes} bytes of memory")]
    Memory {
        /// The limit.
        memory_bytes: usize,
    },
    /// An answer that is too long.
    #[error("the answer has more than {rows_max} rows: add a LIMIT")]
    Rows {
        /// The limit.
        rows_max: usize,
    },
    /// The tables of the snapshot could not be opened.
    #[error("opening the tables of snapshot {snapshot}")]
    Tables {
        /// The snapshot.
        snapshot: u64,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The blocks that are not sealed yet cannot be had.
    #[error("the tables of schema hot cannot be read: {cause}{}", advice(.cause))]
    Hot {
        /// Why not. Told already: an error chain would tell it again.
        cause: StoreError,
    },
}

/// What to do about it, where that is not said already.
const fn advice(cause: &StoreError) -> &'static str {
    match cause {
        StoreError::NotFollowed { .. } => {
            ": ask the process that does (tributary run) over HTTP, Flight SQL or PostgreSQL, or what is sealed only"
        }
        StoreError::TailTooLong { .. } => ": tributary status says what sealing waits for",
        _ => "",
    }
}

/// What kind of mistake a query that failed made, as far as the engine tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is no SQL.
    Syntax,
    /// It names a table that is not there.
    UnknownTable,
    /// It names a column that is not there.
    UnknownColumn,
    /// It names a function that is not there, or not for these types.
    UnknownFunction,
    /// The engine does not have what it asks for.
    Unsupported,
    /// A number left its range.
    Range,
    /// A division by zero.
    Division,
    /// Anything else.
    Other,
}

impl SqlError {
    fn other(message: String) -> Self {
        Self::Failed { fault: Fault::Other, message }
    }

    /// What the caller can do: a query that was refused or failed will be again.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        match self {
            Self::Deadline { .. } | Self::Memory { .. } => Remedy::Retry,
            Self::Hot { cause } => cause.remedy(),
            Self::Refused { .. } | Self::Failed { .. } | Self::Rows { .. } | Self::Tables { .. } => Remedy::Halt,
        }
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Found {
    /// Its rows. The first batch is there even when it has none, so that the columns are known.
    pub batches: Vec<RecordBatch>,
    /// The newest block that it read, where it read blocks that are not sealed.
    pub tail: Option<HeldHead>,
}

/// The answer of a read-only query over a snapshot.
pub async fn query(
    lake: &Lake,
    snapshot: &Snapshot,
    hot: Hot,
    sql: &str,
    limits: &SqlLimits,
) -> Result<Found, SqlError> {
    let prepared = prepare(lake, snapshot, hot, sql, limits).await?;
    let tail = prepared.tail();
    let mut answer = prepared.run(Vec::new());
    let mut batches = Vec::new();
    while let Some(batch) = answer.next().await {
        batches.push(batch?);
    }
    if batches.len() > 1 {
        batches.remove(0);
    }
    Ok(Found { batches, tail })
}

/// Lets a query in: it is read-only and its plan is made, nothing of it has run.
pub async fn prepare(
    lake: &Lake,
    snapshot: &Snapshot,
    hot: Hot,
    sql: &str,
    limits: &SqlLimits,
) -> Result<Prepared, SqlError> {
    let session = tables(lake, snapshot, limits).await?;
    prepare_in(session, Asked::Text(sql.to_owned()), hot, limits).await
}

/// The tables of a snapshot, in a session of their own.
pub(crate) async fn tables(lake: &Lake, snapshot: &Snapshot, limits: &SqlLimits) -> Result<SessionContext, SqlError> {
    let opened = session::open(lake, snapshot, limits.memory_bytes, limits.partitions).await;
    opened.map_err(|source| SqlError::Tables { snapshot: snapshot.version, source })
}

/// What is asked.
#[derive(Debug)]
pub(crate) enum Asked {
    /// SQL.
    Text(String),
    /// A statement that was read already.
    Read(Box<Statement>),
}

/// As [`prepare`], in a session that has the tables already.
pub(crate) async fn prepare_in(
    session: SessionContext,
    asked: Asked,
    hot: Hot,
    limits: &SqlLimits,
) -> Result<Prepared, SqlError> {
    let stop = CancellationToken::new();
    let state = SessionStateBuilder::new_from_existing(session.state())
        .with_physical_optimizer_rule(Arc::new(Stoppable(stop.clone())))
        .build();
    let session = SessionContext::new_with_state(state);
    // In a task of its own: a step of the engine that computes for long would otherwise keep the deadline from being
    // looked at. The task ends with the set.
    let mut task = JoinSet::new();
    let (bounds, engine) = (*limits, engine()?);
    let planning = async move {
        let plan = match plan(&session, asked).await {
            Ok(plan) => plan,
            Err(Ok(refused)) => return Err(refused),
            Err(Err(cause)) => return Err(describe(&cause, &bounds)),
        };
        let (plan, tail) = hot::fill(plan, &hot, &session, &bounds).await?;
        Ok(Prepared { session, plan, tail, limits: bounds, stop, engine })
    };
    task.spawn_on(planning.instrument(tracing::info_span!("plan")), engine);
    match tokio::time::timeout(limits.deadline, task.join_next()).await {
        Err(_) => Err(SqlError::Deadline { deadline: limits.deadline }),
        Ok(joined) => ended(joined, "did not start"),
    }
}

/// Threads of the engine: more than there are cores, as a join may keep some busy until its deadline.
const ENGINE_THREADS: usize = 8;

/// The engine has threads of its own, so that whoever asks for anything but SQL never waits for a query that computes.
fn engine() -> Result<&'static Handle, SqlError> {
    static ENGINE: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
        Builder::new_multi_thread().worker_threads(ENGINE_THREADS).thread_name("sql").enable_all().build()
    });
    match ENGINE.as_ref() {
        Ok(engine) => Ok(engine.handle()),
        Err(cause) => Err(SqlError::other(format!("the engine has no threads: {cause}"))),
    }
}

/// A query that was let in.
pub struct Prepared {
    session: SessionContext,
    plan: LogicalPlan,
    tail: Option<Pinned>,
    limits: SqlLimits,
    stop: CancellationToken,
    engine: &'static Handle,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Prepared {
    /// The columns of its answer.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(self.plan.schema().inner())
    }

    /// The newest block that it reads, where it reads blocks that are not sealed.
    #[must_use]
    pub fn tail(&self) -> Option<HeldHead> {
        self.tail.as_ref().map(|pinned| pinned.head)
    }

    /// Whether it reads nothing but tables of these schemas: what a catalogue says costs little.
    pub(crate) fn stays_in(&self, schemas: &[&str]) -> bool {
        let mut stays = true;
        let walked = self.plan.apply_with_subqueries(|node| {
            stays &= match node {
                LogicalPlan::TableScan(scan) => {
                    scan.table_name.schema().is_some_and(|schema| schemas.contains(&schema))
                }
                LogicalPlan::RecursiveQuery(_) => false,
                _ => true,
            };
            Ok(if stays { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
        });
        stays && walked.is_ok()
    }

    /// What stands for a value in it (`$1`, `$2`, …) in order, each with its type where that follows from its place.
    pub fn parameters(&self) -> Result<Vec<(String, Option<DataType>)>, SqlError> {
        let found = self.plan.get_parameter_types().map_err(|cause| describe(&cause, &self.limits))?;
        let mut found = found.into_iter().collect::<Vec<_>>();
        found.sort_by_key(|(name, _)| (name.len(), name.clone()));
        Ok(found)
    }

    /// The columns of its answer with these values for `$1`, `$2`, ….
    pub(crate) fn shape(&self, values: Vec<ScalarValue>) -> Result<SchemaRef, SqlError> {
        let bound = self.plan.clone().with_param_values(values).map_err(|cause| describe(&cause, &self.limits))?;
        Ok(Arc::clone(bound.schema().inner()))
    }

    /// The same with these values for `$1`, `$2`, ….
    pub(crate) fn bound(self, values: Vec<ScalarValue>) -> Result<Self, SqlError> {
        let plan = self.plan.with_param_values(values).map_err(|cause| describe(&cause, &self.limits))?;
        Ok(Self { plan, ..self })
    }

    /// Whether it says how a query would run, and does not run it.
    pub(crate) const fn is_explanation(&self) -> bool {
        matches!(self.plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_))
    }

    /// Runs it with these values for `$1`, `$2`, ….
    #[must_use]
    pub fn run(self, values: Vec<ScalarValue>) -> Answer {
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        let stop = self.stop.clone().drop_guard();
        let (limits, end) = (self.limits, Box::pin(tokio::time::sleep(self.limits.deadline)));
        let (mut task, engine) = (JoinSet::new(), self.engine);
        let running = async move { self.send(values, sender).await };
        task.spawn_on(running.instrument(tracing::info_span!("execute")), engine);
        Answer { batches, task, end, limits, over: false, _stop: stop }
    }

    async fn send(self, values: Vec<ScalarValue>, sender: mpsc::Sender<RecordBatch>) -> Result<(), SqlError> {
        let failed = |cause: DataFusionError| describe(&cause, &self.limits);
        let plan = if values.is_empty() { self.plan } else { self.plan.with_param_values(values).map_err(failed)? };
        let mut stream = DataFrame::new(self.session.state(), plan).execute_stream().await.map_err(failed)?;
        let mut next = Some(Ok(RecordBatch::new_empty(stream.schema())));
        let mut rows = 0usize;
        while let Some(batch) = next {
            let batch = batch.map_err(failed)?;
            rows = rows.saturating_add(batch.num_rows());
            if rows > self.limits.rows_max {
                return Err(SqlError::Rows { rows_max: self.limits.rows_max });
            }
            if sender.send(batch).await.is_err() {
                // Whoever asked is gone.
                return Ok(());
            }
            next = stream.next().await;
        }
        Ok(())
    }
}

/// Batches that are made before anybody takes them.
const BATCHES_AHEAD: usize = 2;

/// The answer of a query, as it comes. The first batch has no rows and is always there. Time runs until the last batch
/// is taken, so a slow reader is cut off.
#[derive(Debug)]
pub struct Answer {
    batches: mpsc::Receiver<RecordBatch>,
    task: JoinSet<Result<(), SqlError>>,
    end: Pin<Box<tokio::time::Sleep>>,
    limits: SqlLimits,
    over: bool,
    _stop: DropGuard,
}

impl Answer {
    /// The next batch; an error is the last thing there is.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, SqlError>> {
        if self.over {
            return None;
        }
        let next = tokio::select! {
            biased;
            () = &mut self.end => Some(Err(SqlError::Deadline { deadline: self.limits.deadline })),
            batch = self.batches.recv() => match batch {
                Some(batch) => Some(Ok(batch)),
                None => ended(self.task.join_next().await, "ended before").err().map(Err),
            },
        };
        if !matches!(next, Some(Ok(_))) {
            self.over = true;
            self.task.abort_all();
        }
        next
    }
}

/// What a task came to.
fn ended<T>(joined: Option<Result<Result<T, SqlError>, JoinError>>, none: &str) -> Result<T, SqlError> {
    match joined {
        Some(Ok(done)) => done,
        Some(Err(cause)) => Err(SqlError::other(format!("the engine stopped: {cause}"))),
        None => Err(SqlError::other(format!("the engine {none}"))),
    }
}

/// The plan of an allowed statement.
async fn plan(session: &SessionContext, asked: Asked) -> Result<LogicalPlan, Result<SqlError, DataFusionError>> {
    let state = session.state();
    let statement = match asked {
        Asked::Read(statement) => Outer::Statement(statement),
        Asked::Text(sql) => {
            let dialect = state.config().options().sql_parser.dialect;
            state.sql_to_statement(&sql, &dialect).map_err(Err)?
        }
    };
    allowed(&statement).map_err(Ok)?;
    let plan = state.statement_to_plan(statement).await.map_err(Err)?;
    let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    read_only.verify_plan(&plan).map_err(|cause| Ok(SqlError::Refused { got: first_line(&cause) }))?;
    Ok(plan)
}

fn allowed(statement: &Outer) -> Result<(), SqlError> {
    match statement {
        Outer::Explain(explain) => allowed(&explain.statement),
        Outer::Statement(statement) => match statement.as_ref() {
            Statement::Query(_) | Statement::ShowTables { .. } => Ok(()),
            Statement::Explain { statement: inner, .. } if matches!(inner.as_ref(), Statement::Query(_)) => Ok(()),
            other => Err(refused(other)),
        },
        other => Err(refused(other)),
    }
}

/// The words a statement begins with name its kind; the rest may be long.
fn refused(statement: &impl std::fmt::Display) -> SqlError {
    let text = statement.to_string();
    let words = text.split_whitespace().take_while(|word| word.bytes().all(|byte| byte.is_ascii_uppercase()));
    let kind = words.take(3).collect::<Vec<_>>().join(" ");
    SqlError::Refused { got: if kind.is_empty() { "this statement".to_owned() } else { kind } }
}

fn describe(cause: &DataFusionError, limits: &SqlLimits) -> SqlError {
    match cause.find_root() {
        DataFusionError::ResourcesExhausted(_) => SqlError::Memory { memory_bytes: limits.memory_bytes },
        root => SqlError::Failed { fault: fault(root), message: first_line(cause) },
    }
}

fn fault(root: &DataFusionError) -> Fault {
    match root {
        DataFusionError::SQL(..) => Fault::Syntax,
        DataFusionError::SchemaError(cause, _) if matches!(cause.as_ref(), SchemaError::FieldNotFound { .. }) => {
            Fault::UnknownColumn
        }
        DataFusionError::NotImplemented(_) => Fault::Unsupported,
        DataFusionError::ArrowError(cause, _) => match cause.as_ref() {
            ArrowError::DivideByZero => Fault::Division,
            ArrowError::ArithmeticOverflow(_) => Fault::Range,
            _ => Fault::Other,
        },
        // The engine has one kind for all of these, and words.
        DataFusionError::Plan(words) if words.starts_with("table '") && words.ends_with("not found") => {
            Fault::UnknownTable
        }
        DataFusionError::Plan(words) if words.starts_with("Invalid function") => Fault::UnknownFunction,
        DataFusionError::Execution(words) if words.contains("overflow") || words.contains("out of range") => {
            Fault::Range
        }
        _ => Fault::Other,
    }
}

fn first_line(cause: &DataFusionError) -> String {
    cause.strip_backtrace().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
