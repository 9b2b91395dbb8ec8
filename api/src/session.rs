//! The SQL session over a snapshot: accounting's engine (whose `sum` over money cannot wrap) with every published table
//! under its name and the views, pinned to the files the snapshot names. The schema `hot` has names only: the gate fills in
//! what a query asks of them.

use std::sync::Arc;

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::SessionContext;
use tributary_store::{Lake, Snapshot};

use crate::sql_gate::hot;

/// What went wrong; only ever told to the log.
pub(crate) type Failed = Box<dyn std::error::Error + Send + Sync>;

/// The name of the catalogue in the engine.
pub(crate) const CATALOG: &str = "datafusion";

/// A session with the snapshot's tables, whose operators share `memory_bytes` and write nothing to disk.
pub(crate) async fn open(
    lake: &Lake,
    snapshot: &Snapshot,
    memory_bytes: usize,
    partitions: usize,
) -> Result<SessionContext, Failed> {
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory_bytes)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .build_arc()?;
    let engine = tributary_accounting::session(Some(memory_bytes), partitions)?;
    let state = SessionStateBuilder::new_from_existing(engine.state()).with_runtime_env(runtime).build();
    let session = SessionContext::new_with_state(state);
    tributary_accounting::register(&session, lake, snapshot).await?;
    let catalog = session.catalog(CATALOG).ok_or_else(|| format!("the session has no catalogue {CATALOG}"))?;
    catalog.register_schema(tributary_schemas::hot::SCHEMA, hot::names()?)?;
    Ok(session)
}
