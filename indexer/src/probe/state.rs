//! The state of contracts: asked for rules that are tried, and whether nodes have it of old blocks.

use alloy_primitives::Address;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use tributary_schemas::BlockRef;
use url::Url;

use super::{Finding, Nodes, within};
use crate::endpoint::{EndpointOptions, Pool, Preference};
use crate::reads::{Answers, Reader, StateCall};
use crate::{Clock, IndexerError};

/// What contracts answer at the end of a block, as following would have it.
///
/// # Errors
///
/// When it cannot be had, or the nodes do not agree.
pub async fn state(
    urls: &[Url],
    chain_id: u64,
    block: &BlockRef,
    calls: BTreeSet<StateCall>,
    options: EndpointOptions,
    clock: Arc<dyn Clock>,
) -> Result<Answers, IndexerError> {
    let pool = Pool::new(urls, chain_id, options, clock)?;
    Reader::new(Arc::new(pool)).ask(block, calls).await
}

/// Whether a node has the state of the first block that is followed: rules read it. `rules` names them.
pub async fn archive(
    nodes: &Nodes,
    start_block: u64,
    rules: &str,
    options: &EndpointOptions,
    clock: &Arc<dyn Clock>,
) -> Finding {
    let check = format!("state of block {start_block}, which the mapping reads ({rules})");
    let Some(pool) = nodes.first.as_deref() else { return Finding::skipped(check, "no node of the chain answers") };
    let asked = json!([{ "to": Address::ZERO, "data": "0x" }, format!("{start_block:#x}")]);
    match within(clock.as_ref(), options, pool.call(Preference::First, "eth_call", &asked)).await {
        Ok(_) => Finding::ok(check, "eth_call is answered there", "an answer"),
        Err(reason) => {
            let mend =
                "name an archive endpoint of the L2 in chain.l2_urls, or a start_block whose state the nodes have";
            Finding::failed(check, reason, "an answer to eth_call", mend)
        }
    }
}
