//! Rows in memory as the tables of a session: in any order, in any number of partitions.

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeMap;
use std::sync::Arc;
use tributary_schemas::{facts, money};

/// How a session is made; none of it may change what a settlement comes to.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Partitions at work.
    pub partitions: usize,
    /// Bytes for operators.
    pub memory: Option<usize>,
    /// Rows in a batch.
    pub rows: usize,
    /// Seed of the order of rows; `None` keeps it.
    pub shuffle: Option<u64>,
}

impl Default for Shape {
    fn default() -> Self {
        Self { partitions: 2, memory: None, rows: 8192, shuffle: None }
    }
}

/// A session with these rows.
pub fn context(shape: Shape, facts: &facts::Rows, money: &money::Rows) -> SessionContext {
    let context = tributary_accounting::session_with_batches(shape.memory, shape.partitions, shape.rows)
        .expect("a session needs nothing but memory");
    let mut batches: BTreeMap<&str, RecordBatch> = facts::Columns::from(facts.clone())
        .into_batches()
        .into_iter()
        .chain(money::Columns::from(money.clone()).into_batches())
        .collect();
    for info in facts::all().into_iter().chain(money::all()) {
        let batch = batches.remove(info.name).unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(&info.schema)));
        let mut order: Vec<u32> = (0..u32::try_from(batch.num_rows()).expect("small")).collect();
        if let Some(seed) = shape.shuffle {
            order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        }
        let size = std::cmp::max(order.len().div_ceil(shape.partitions), 1);
        let pieces = order.chunks(size).map(|piece| {
            let rows = UInt32Array::from(piece.to_vec());
            vec![take_record_batch(&batch, &rows).expect("indices lie within the batch")]
        });
        let mut pieces: Vec<Vec<RecordBatch>> = pieces.collect();
        if pieces.is_empty() {
            pieces.push(vec![batch]);
        }
        let table = MemTable::try_new(info.schema, pieces).expect("batches have the table's schema");
        context.register_table(info.name, Arc::new(table)).expect("each table has its own name");
    }
    context
}

/// Appends the rows of an epoch.
pub fn extend(all: &mut money::Rows, epoch: money::Rows) {
    all.epochs.extend(epoch.epochs);
    all.ledger_entries.extend(epoch.ledger_entries);
    all.balances.extend(epoch.balances);
    all.fundings.extend(epoch.fundings);
    all.entitlements.extend(epoch.entitlements);
    all.money_flows.extend(epoch.money_flows);
    all.claims.extend(epoch.claims);
    all.merkle_leaves.extend(epoch.merkle_leaves);
}
