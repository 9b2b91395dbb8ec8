//! Nodes: the right chain, its heads, a block that verifies, and code where contracts are configured.

use alloy_primitives::{Address, Bytes};
use futures::future::join_all;
use serde_json::json;
use std::sync::Arc;
use tributary_schemas::BlockRef;
use url::Url;

use super::{Finding, within};
use crate::{
    Clock, Contracts, Trust,
    endpoint::{EndpointOptions, Pool, Preference, names},
    follow::{By, Source},
};

/// What was seen of the nodes of a chain.
#[derive(Debug)]
pub struct Nodes {
    /// The findings, node by node in the order of the configuration.
    pub findings: Vec<Finding>,
    /// The first node that answered and is of the right chain.
    pub(super) first: Option<Arc<Pool>>,
    /// A block that the first node which gave one calls final, or else newest.
    pub(super) block: Option<BlockRef>,
}

/// How a node is asked, and by whose clock.
struct Look<'a> {
    key: &'a str,
    chain_id: u64,
    options: &'a EndpointOptions,
    clock: &'a Arc<dyn Clock>,
}

/// Looks at all nodes of a chain side by side. `key` is where they stand in the configuration.
pub async fn nodes(key: &str, urls: &[Url], chain_id: u64, options: &EndpointOptions, clock: &Arc<dyn Clock>) -> Nodes {
    let look = Look { key, chain_id, options, clock };
    let looks = names(urls).into_iter().zip(urls).map(|(name, url)| look.node(name, url));
    let mut nodes = Nodes { findings: Vec::new(), first: None, block: None };
    for (findings, pool, block) in join_all(looks).await {
        nodes.findings.extend(findings);
        nodes.first = nodes.first.or(pool);
        nodes.block = nodes.block.or(block);
    }
    nodes
}

/// Looks for code at every configured contract.
pub async fn contracts(
    nodes: &Nodes,
    contracts: &Contracts,
    options: &EndpointOptions,
    clock: &Arc<dyn Clock>,
) -> Vec<Finding> {
    let all = contracts.iter().flat_map(|(role, addresses)| addresses.iter().map(move |address| (role, address)));
    let keys: Vec<_> = all.map(|(role, address)| (format!("contracts.{role}"), *address)).collect();
    join_all(keys.iter().map(|(key, address)| contract(key, *address, nodes, options, clock))).await
}

impl Look<'_> {
    /// One node, the pool by which it is asked when it is of the right chain, and a block of it.
    async fn node(&self, name: String, url: &Url) -> (Vec<Finding>, Option<Arc<Pool>>, Option<BlockRef>) {
        let (pool, first) = self.chain(&name, url).await;
        let Some(pool) = pool else { return (vec![first], None, None) };
        let source = Source::new(Arc::clone(&pool), 1, Arc::clone(self.clock), self.options.clone(), Trust::Verified);
        let source = match source {
            Ok(source) => source,
            Err(error) => {
                let skipped = Finding::skipped(format!("{name} blocks"), error.to_string());
                return (vec![first, skipped], Some(pool), None);
            }
        };
        let ((latest, newest), (finalized, last)) = (
            self.head(&name, &source, "latest", "see whether the node is still starting").await,
            self.head(&name, &source, "finalized", FINALIZED_MEND).await,
        );
        let known = last.or(newest);
        let block = self.block(&name, &source, known.map(|block| block.number)).await;
        (vec![first, latest, finalized, block], Some(pool), known)
    }

    async fn chain(&self, name: &str, url: &Url) -> (Option<Arc<Pool>>, Finding) {
        let check = format!("{name} chain id");
        let expected = format!("chain id {}", self.chain_id);
        let pool =
            match Pool::new(std::slice::from_ref(url), self.chain_id, self.options.clone(), Arc::clone(self.clock)) {
                Ok(pool) => Arc::new(pool),
                Err(error) => {
                    let mend = format!("write {} with a scheme of these", self.key);
                    return (None, Finding::failed(check, error.to_string(), "http, https, ws or wss", mend));
                }
            };
        let said =
            within(self.clock.as_ref(), self.options, pool.call(Preference::First, "eth_chainId", &json!([]))).await;
        // The endpoint layer compares the chain id itself, and bars a node of another chain.
        let barred = pool.health().first().and_then(|health| health.quarantine().map(str::to_owned));
        match (said, barred) {
            (Ok(_), _) => (Some(pool), Finding::ok(check, expected.clone(), expected)),
            (Err(_), Some(reason)) => {
                let mend = format!(
                    "name a node of chain {} in {}, or correct the chain id configured",
                    self.chain_id, self.key
                );
                (None, Finding::failed(check, reason, expected, mend))
            }
            (Err(reason), None) => {
                let mend = format!("see that the node runs and can be reached from here, or correct {}", self.key);
                (None, Finding::failed(check, reason, expected, mend))
            }
        }
    }

    /// The header of a tag, and its block.
    async fn head(&self, name: &str, source: &Source, tag: &'static str, mend: &str) -> (Finding, Option<BlockRef>) {
        let check = format!("{name} {tag} block");
        let expected = format!("a {tag} block whose fields give its hash");
        let told = within(self.clock.as_ref(), self.options, source.header(Preference::First, By::Tag(tag))).await;
        match told {
            Ok(Some(told)) => {
                let block = told.checked.block;
                (Finding::ok(check, format!("block {} {}", block.number, block.hash), expected), Some(block))
            }
            Ok(None) => (Finding::failed(check, format!("there is no {tag} block"), expected, mend), None),
            Err(reason) => (Finding::failed(check, reason, expected, NODE_MEND), None),
        }
    }

    /// A block with its receipts, verified as following verifies it.
    async fn block(&self, name: &str, source: &Source, number: Option<u64>) -> Finding {
        let check = format!("{name} receipts");
        let Some(number) = number else { return Finding::skipped(check, "it gave no block to ask the receipts of") };
        let expected = "transactions and receipts that give the roots of their block";
        match within(self.clock.as_ref(), self.options, source.block(Preference::First, number)).await {
            Ok(fetched) => {
                let (transactions, logs) = (fetched.block.transactions.len(), fetched.block.logs.len());
                let way = if source.asks_one_by_one() {
                    "eth_getTransactionReceipt in batches, which is slower: it has no eth_getBlockReceipts"
                } else {
                    "eth_getBlockReceipts"
                };
                let seen = format!("block {number}: {transactions} transactions and {logs} logs verify; by {way}");
                Finding::ok(check, seen, expected)
            }
            Err(reason) => Finding::failed(check, reason, expected, NODE_MEND),
        }
    }
}

const FINALIZED_MEND: &str = "only final blocks are sealed and settled: wait until the node knows one, or take a node \
                              that follows L1";
const NODE_MEND: &str = "take another node: this one leaves out or alters what following needs";

/// Looks for code at an address; `key` is where it stands in the configuration.
pub async fn contract(
    key: &str,
    address: Address,
    nodes: &Nodes,
    options: &EndpointOptions,
    clock: &Arc<dyn Clock>,
) -> Finding {
    let check = format!("{key} {address}");
    let Some(pool) = nodes.first.as_deref() else { return Finding::skipped(check, "no node of the chain answers") };
    let asked = json!([address, "latest"]);
    let answer = within(clock.as_ref(), options, pool.call(Preference::First, "eth_getCode", &asked)).await;
    let code = answer.and_then(|answer| {
        serde_json::from_str::<Bytes>(answer.json.get()).map_err(|error| format!("unreadable code: {error}"))
    });
    match code.map(|code| code.len()) {
        // Following never asks for code: a node that does not give it will do.
        Err(reason) => Finding::skipped(check, reason),
        Ok(0) => {
            let mend = format!("correct {key}: deployed to another chain, or not a contract's address");
            Finding::failed(check, "no code at this address", "a contract", mend)
        }
        Ok(bytes) => Finding::ok(check, format!("{bytes} bytes of code"), "a contract"),
    }
}
