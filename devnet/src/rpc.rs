//! JSON-RPC as a node speaks it: one request in, one JSON text out.
//!
//! Methods are functions of the view. What a lying node would answer is decided here
//! too, because a lie is an answer like any other; what happens to the bytes afterwards
//! (delay, 429, a broken connection) is the transport's business, see `serve`.

pub(crate) mod answer;
mod holdings;
pub(crate) mod query;
mod verifier;

pub(crate) use holdings::Holdings;

use alloy::consensus::Header;
use alloy_primitives::B256;
use serde_json::{Value, json};

use crate::{
    block::Stored,
    fault::Fault,
    node::{Layer, Node},
    rpc::{
        answer::Shape,
        query::{LogFilter, Which},
    },
};

/// An error object of JSON-RPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RpcError {
    code: i64,
    message: String,
}

impl RpcError {
    pub(crate) fn params(message: impl Into<String>) -> Self {
        Self { code: -32602, message: message.into() }
    }

    /// A contract that refused, as nodes say it.
    pub(crate) fn reverted() -> Self {
        Self { code: 3, message: "execution reverted".to_owned() }
    }

    pub(crate) fn server(message: impl Into<String>) -> Self {
        Self { code: -32000, message: message.into() }
    }
}

/// The most requests in one batch, as in go-ethereum.
const LONGEST_BATCH: usize = 1_000;

/// Answers a body: a request or a batch of them. None when there is nothing to answer
/// (notifications only).
pub(crate) fn respond(node: &mut Node, layer: Layer, body: &[u8]) -> Option<String> {
    let request: Value = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(error) => return Some(failed(&Value::Null, -32700, &format!("parse error: {error}"))),
    };
    match request {
        Value::Array(requests) if requests.is_empty() => Some(failed(&Value::Null, -32600, "empty batch")),
        Value::Array(requests) if requests.len() > LONGEST_BATCH => {
            Some(failed(&Value::Null, -32600, "batch too large"))
        }
        Value::Array(requests) => {
            let answers: Vec<_> = requests.iter().filter_map(|request| one(node, layer, request)).collect();
            (!answers.is_empty()).then(|| format!("[{}]", answers.join(",")))
        }
        request => one(node, layer, &request),
    }
}

/// The text of a successful answer.
pub(crate) fn succeeded(id: &Value, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

/// The text of an error.
pub(crate) fn failed(id: &Value, code: i64, message: &str) -> String {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}).to_string()
}

fn one(node: &mut Node, layer: Layer, request: &Value) -> Option<String> {
    let id = request.get("id").cloned();
    let Some(method) = request.get("method").and_then(Value::as_str) else {
        return Some(failed(&id.unwrap_or(Value::Null), -32600, "invalid request: no method"));
    };
    let none = Vec::new();
    let params = match request.get("params") {
        None | Some(Value::Null) => &none,
        Some(Value::Array(params)) => params,
        Some(_) => {
            return id.map(|id| failed(&id, -32602, "non-array args"));
        }
    };
    let answer = call(node, layer, method, params);
    let id = id?;
    Some(match answer {
        Ok(result) => succeeded(&id, &result),
        Err(error) => failed(&id, error.code, &error.message),
    })
}

fn call(node: &mut Node, layer: Layer, method: &str, params: &[Value]) -> Result<String, RpcError> {
    let chain_id = match layer {
        Layer::L1 => node.config.l1_chain_id,
        Layer::L2 => node.config.chain_id,
    };
    let claimed = if node.dice.has(Fault::WrongChainId) { chain_id.wrapping_add(1) } else { chain_id };
    match method {
        "eth_chainId" => Ok(quantity(claimed)),
        "net_version" => Ok(format!("\"{claimed}\"")),
        "web3_clientVersion" => Ok(r#""tributary-devnet/1""#.to_owned()),
        "eth_syncing" | "net_listening" => Ok((method == "net_listening").to_string()),
        "eth_blockNumber" => {
            let head = shown_head(node, layer);
            Ok(quantity(head))
        }
        "eth_getBlockByNumber" => {
            let full = query::flag(params, 1)?;
            let found = find(node, layer, &query::tag(params, 0)?);
            block_answer(node, found, full)
        }
        "eth_getBlockByHash" => {
            let full = query::flag(params, 1)?;
            let found = find(node, layer, &Which::Hash(query::hash(params, 0)?));
            block_answer(node, found, full)
        }
        "eth_getBlockReceipts" if !node.dice.has(Fault::NoBlockReceipts) => {
            let which = query::block(params, 0)?;
            let Some(stored) = find(node, layer, &which) else { return Ok("null".to_owned()) };
            let receipts = shape(node, &stored).receipts();
            if layer == Layer::L2 {
                node.block_read(stored.hash);
            }
            Ok(receipts)
        }
        "eth_getCode" => {
            let address = query::address(params, 0)?;
            // Nothing is executed here: the designated invalid opcode says that there is a contract, and no more.
            let world = &node.chain.world;
            let deployed = match layer {
                Layer::L1 => [world.disperser.router, world.disperser.directory, node.chain.batcher.system_config]
                    .contains(&address),
                Layer::L2 => world.contracts.all().contains(&address),
            };
            Ok(if deployed { r#""0xfe""# } else { r#""0x""# }.to_owned())
        }
        "eth_call" => verifier::call(node, layer, params),
        "eth_getBalance" => holdings::balance(node, layer, params),
        "eth_getLogs" => logs(node, layer, params),
        "eth_getTransactionByHash" | "eth_getTransactionReceipt" => {
            let hash = query::hash(params, 0)?;
            let Some(stored) = node.by_transaction(layer, &hash).cloned() else { return Ok("null".to_owned()) };
            let shape = shape(node, &stored);
            let found =
                if method == "eth_getTransactionByHash" { shape.transaction(&hash) } else { shape.receipt(&hash) };
            Ok(found.unwrap_or_else(|| "null".to_owned()))
        }
        _ => Err(RpcError { code: -32601, message: format!("the method {method} does not exist/is not available") }),
    }
}

/// The head as this request sees it: now and then that of a node that lags.
fn shown_head(node: &mut Node, layer: Layer) -> u64 {
    // Who looks at the L1 says nothing about how far the L2 was followed.
    if layer == Layer::L2 {
        node.head_polled();
    }
    let head = node.head(layer);
    if node.dice.strikes(Fault::LowerHead, 6) {
        let lag = node.dice.moment(1..=12);
        std::cmp::max(head.saturating_sub(lag), node.finalized(layer))
    } else {
        head
    }
}

fn find(node: &mut Node, layer: Layer, which: &Which) -> Option<Stored> {
    let number = match which {
        Which::Hash(hash) => return node.by_hash(layer, hash).cloned(),
        Which::Number(number) => *number,
        Which::Latest => shown_head(node, layer),
        Which::Safe => node.safe(layer),
        Which::Finalized => node.finalized(layer),
        Which::Earliest => 0,
    };
    node.by_number(layer, number).cloned()
}

fn block_answer(node: &mut Node, found: Option<Stored>, full: bool) -> Result<String, RpcError> {
    match found {
        Some(stored) if !node.dice.strikes(Fault::NullBlock, 12) => Ok(shape(node, &stored).block(full)),
        _ => Ok("null".to_owned()),
    }
}

/// A block in the shapes of JSON-RPC, after the node has lied about it.
fn shape(node: &Node, stored: &Stored) -> Shape {
    let mut block = stored.open();
    let subject = block.header.number.to_be_bytes();
    let lies =
        [Fault::OmittedLog, Fault::AlteredLog].into_iter().filter(|fault| node.dice.chosen(*fault, &subject, 16));
    for fault in lies {
        let Some(entry) = block.entries.iter_mut().find(|entry| !entry.logs.is_empty()) else { continue };
        if fault == Fault::OmittedLog {
            entry.logs.pop();
        } else if let Some(log) = entry.logs.last_mut() {
            let mut data = log.data.data.to_vec();
            match data.last_mut() {
                Some(byte) => *byte ^= 1,
                None => data.push(1),
            }
            log.data.data = data.into();
        }
    }
    Shape::new(stored.hash, block)
}

fn logs(node: &mut Node, layer: Layer, params: &[Value]) -> Result<String, RpcError> {
    let filter = LogFilter::parse(params)?;
    let stored: Vec<Stored> = if let Some(hash) = filter.block_hash {
        let found = node.by_hash(layer, &hash).cloned();
        vec![found.ok_or_else(|| RpcError::server("unknown block"))?]
    } else {
        let head = shown_head(node, layer);
        let number = |node: &Node, which: &Which| match which {
            Which::Number(number) => *number,
            Which::Safe => node.safe(layer),
            Which::Finalized => node.finalized(layer),
            Which::Earliest => 0,
            Which::Latest | Which::Hash(_) => head,
        };
        let (from, to) = (number(node, &filter.from), number(node, &filter.to));
        if from > to {
            return Err(RpcError::params("invalid block range params"));
        }
        if to.saturating_sub(from) >= node.config.max_log_range {
            return Err(RpcError {
                code: -32005,
                message: format!("block range too wide: at most {} blocks", node.config.max_log_range),
            });
        }
        (from..=std::cmp::min(to, head)).filter_map(|number| node.by_number(layer, number).cloned()).collect()
    };
    let mut found = Vec::new();
    for stored in &stored {
        let header: Header = stored.header();
        // A real node looks at the bloom first, and only then into the block.
        if filter.may_match(&header.logs_bloom) {
            shape(node, stored).logs(&filter, &mut found);
        }
    }
    if layer == Layer::L2
        && let Some(last) = stored.last()
    {
        node.block_read(last.hash);
    }
    Ok(format!("[{}]", found.join(",")))
}

fn quantity(number: u64) -> String {
    format!("\"{number:#x}\"")
}

/// A `newHeads` notification.
pub(crate) fn new_head(subscription: &str, hash: B256, header: &Header) -> String {
    let head = answer::header(hash, header);
    format!(
        r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":"{subscription}","result":{head}}}}}"#
    )
}
