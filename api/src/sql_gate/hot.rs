//! The hot tables of a query: rows of the blocks above the sealed one, as they were when the query was planned.
//!
//! In a session they are names and columns, so that catalogues can list them and a query that names none costs nothing.
//! Once a plan names some, the blocks are held, rows are made for these tables, and the plan reads the rows instead: a
//! reorg, a seal or a new block afterwards is no part of it.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::SessionContext;
use tributary_schemas::facts::Columns;
use tributary_schemas::hot;
use tributary_store::{HeldHead, HotTails, SealedAt, Snapshot};

use super::{SqlError, SqlLimits, describe};

/// Blocks read between two looks at whether the query is still wanted.
const BLOCKS_AT_ONCE: usize = 64;

/// Where a query has its hot tables from.
#[derive(Debug, Clone)]
pub struct Hot {
    tails: HotTails,
    above: SealedAt,
    upto: Option<HeldHead>,
}

impl Hot {
    /// From the tails of this process, above the sealed block of the snapshot that the query reads.
    #[must_use]
    pub fn above(tails: &HotTails, snapshot: &Snapshot) -> Self {
        Self { tails: tails.clone(), above: SealedAt::from(&snapshot.heads), upto: None }
    }

    /// Up to this block, where one is given, not to the newest one.
    #[must_use]
    pub fn upto(self, upto: Option<HeldHead>) -> Self {
        Self { upto, ..self }
    }
}

/// What of the tail a plan holds in memory.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) head: HeldHead,
    _memory: MemoryReservation,
}

/// The names and columns of the hot tables, for every session.
pub(crate) fn names() -> Result<Arc<dyn SchemaProvider>> {
    static NAMES: LazyLock<Result<Arc<MemorySchemaProvider>, String>> = LazyLock::new(|| {
        let names = MemorySchemaProvider::new();
        for info in hot::all() {
            let unread = Arc::new(Unread(Arc::clone(&info.schema)));
            let table = StreamingTable::try_new(info.schema, vec![unread]).map_err(|cause| cause.to_string())?;
            let table = names.register_table(info.name.to_owned(), Arc::new(table));
            table.map_err(|cause| cause.to_string())?;
        }
        Ok(Arc::new(names))
    });
    match NAMES.as_ref() {
        Ok(names) => Ok(Arc::clone(names) as Arc<dyn SchemaProvider>),
        Err(cause) => Err(DataFusionError::Internal(cause.clone())),
    }
}

/// A table that no plan reads: [`fill`] puts rows in its place.
#[derive(Debug)]
struct Unread(SchemaRef);

impl PartitionStream for Unread {
    fn schema(&self) -> &SchemaRef {
        &self.0
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let refused = DataFusionError::Internal("a hot table is read before it is filled".to_owned());
        let stream = futures::stream::once(std::future::ready(Err(refused)));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.0), stream))
    }
}

/// The plan with the rows of the hot tables that it names, and what is held for them; as it was when it names none.
pub(super) async fn fill(
    plan: LogicalPlan,
    from: &Hot,
    session: &SessionContext,
    limits: &SqlLimits,
) -> Result<(LogicalPlan, Option<Pinned>), SqlError> {
    let failed = |cause: DataFusionError| describe(&cause, limits);
    let wanted = named(&plan).map_err(failed)?;
    if wanted.is_empty() {
        return Ok((plan, None));
    }
    let unheld = |cause| SqlError::Hot { cause };
    let (held, bodies) = from.tails.hold(from.above, from.upto).map_err(unheld)?;
    let mut rows = Columns::default();
    for (at, one) in held.bodies().enumerate() {
        let (block, body) = one.map_err(unheld)?;
        bodies.rows(block, &body, &wanted, &mut rows).map_err(unheld)?;
        // Columns that grow have room for as much again.
        if rows.bytes() > limits.memory_bytes / 2 {
            return Err(SqlError::Memory { memory_bytes: limits.memory_bytes });
        }
        if at % BLOCKS_AT_ONCE == BLOCKS_AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
    }
    let batches = hot::batches(rows).map_err(|cause| failed(cause.into()))?;
    let memory = MemoryConsumer::new("hot tables").register(&session.runtime_env().memory_pool);
    let bytes = batches.iter().map(|(_, batch)| batch.get_array_memory_size()).sum();
    memory.try_grow(bytes).map_err(failed)?;
    let plan = reading(plan, &batches).map_err(failed)?;
    Ok((plan, Some(Pinned { head: held.head(), _memory: memory })))
}

/// The hot tables that a plan names.
fn named(plan: &LogicalPlan) -> Result<BTreeSet<&'static str>> {
    let mut found = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && scan.table_name.schema() == Some(hot::SCHEMA)
        {
            found.extend(hot::TABLES.into_iter().filter(|name| *name == scan.table_name.table()));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// The plan over these rows; a hot table that has none is empty.
fn reading(plan: LogicalPlan, batches: &[(&'static str, RecordBatch)]) -> Result<LogicalPlan> {
    let filled = plan.transform_down_with_subqueries(|node| {
        let LogicalPlan::TableScan(mut scan) = node else { return Ok(Transformed::no(node)) };
        if scan.table_name.schema() != Some(hot::SCHEMA) {
            return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
        }
        let rows = batches.iter().filter(|(name, _)| *name == scan.table_name.table());
        let rows = rows.map(|(_, batch)| batch.clone()).collect();
        let table = MemTable::try_new(scan.source.schema(), vec![rows])?;
        scan.source = provider_as_source(Arc::new(table) as Arc<dyn TableProvider>);
        Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
    });
    Ok(filled?.data)
}

#[cfg(test)]
mod tests;
