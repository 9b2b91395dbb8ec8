//! The SQL engine with money in it: `cascade`, `sum_checked`, and a `sum` that cannot wrap.
//!
//! DataFusion 55 adds decimals with wrapping and sums integers the same way. So the function that answers to `sum` in a
//! session of ours is [`sum_checked`], and [`swap_sum`] replaces a stock one that a plan brought along.

pub mod cascade_udf;
pub mod sum_checked;
pub mod swap_sum;

use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use std::sync::Arc;

use crate::error::AccountingError;

/// A session with our functions, at most `memory_bytes` for operators and `partitions` at work at a time.
pub fn session(memory_bytes: Option<usize>, partitions: usize) -> Result<SessionContext, AccountingError> {
    session_with_batches(memory_bytes, partitions, 8192)
}

/// As [`session`], with batches of `rows` rows. The answer never depends on it; a test says so.
pub fn session_with_batches(
    memory_bytes: Option<usize>,
    partitions: usize,
    rows: usize,
) -> Result<SessionContext, AccountingError> {
    let mut config = SessionConfig::new()
        .with_target_partitions(std::cmp::max(partitions, 1))
        .with_batch_size(std::cmp::max(rows, 1))
        .with_information_schema(true);
    let options = config.options_mut();
    // The columns come back as the types that the tables declare, not as views.
    options.execution.parquet.schema_force_view_types = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    // A literal above 2^64 would become a double otherwise.
    options.sql_parser.parse_float_as_decimal = true;
    let mut runtime = RuntimeEnvBuilder::new();
    if let Some(bytes) = memory_bytes {
        runtime = runtime.with_memory_pool(Arc::new(FairSpillPool::new(bytes)));
    }
    let runtime = runtime.build_arc().map_err(AccountingError::query("the session's memory"))?;
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_analyzer_rule(Arc::new(swap_sum::SwapSum::default()))
        .build();
    let context = SessionContext::new_with_state(state);
    context.register_udf(cascade_udf::cascade());
    context.register_udaf(sum_checked::sum_checked());
    Ok(context)
}

#[cfg(test)]
mod tests;
