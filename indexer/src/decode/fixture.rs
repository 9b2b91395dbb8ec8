//! Logs from a file, to try rules on: nobody vouches for them, and nothing but a trace is made of them.

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::Deserialize;
use serde_json::Value;
use tributary_schemas::BlockRef;

use crate::reads::{Answer, Reply, StateCall};
use crate::{Topics, Trust, TxInfo, VerifiedBlock, VerifiedLog};

/// Most logs of a file.
const LOGS_MAX: usize = 10_000;

/// What a file holds, as nodes name it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Receipt {
    transaction_hash: B256,
    block_number: U256,
    block_hash: B256,
    to: Option<Address>,
    logs: Vec<Log>,
    /// The transaction, when somebody put it there: receipts have no calldata and no value.
    transaction: Option<Transaction>,
    /// What contracts answer at the end of the block, likewise.
    state: Vec<Read>,
}

/// A call and what it is answered with: with nothing, when it reverts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    to: Address,
    data: Bytes,
    answer: Option<Bytes>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Log {
    address: Address,
    topics: Vec<B256>,
    #[serde(default)]
    data: Bytes,
    /// Its index in the block; without one, its place in the file.
    log_index: Option<U256>,
    /// The time of its block, which many nodes write here.
    #[serde(default)]
    block_timestamp: U256,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Transaction {
    input: Bytes,
    value: U256,
    /// Its bytes (`eth_getRawTransactionByHash`), which hold all the rest and the signature of its sender.
    raw: Bytes,
}

/// The logs of one transaction, as a block that no hash vouches for: a receipt (`eth_getTransactionReceipt`), a list of
/// logs (`eth_getLogs`), or a node's whole answer with either as its `result`. Beside the logs of a receipt may stand the
/// `transaction` with its `input` and `value`, or its bytes as `raw`, and
/// `state`: a list of `to`, `data` and `answer` (null for a revert), where rules read the state of contracts.
pub fn fixture(json: &str) -> Result<VerifiedBlock, String> {
    let tree: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let tree = tree.get("result").cloned().unwrap_or(tree);
    let receipt = match tree {
        Value::Array(_) => Receipt { logs: read(tree)?, ..Receipt::default() },
        Value::Object(ref object) if object.contains_key("logs") => read(tree)?,
        Value::Object(ref object) if object.contains_key("topics") => {
            Receipt { logs: vec![read(tree)?], ..Receipt::default() }
        }
        _ => return Err("expected a receipt, a log or a list of logs".to_owned()),
    };
    if receipt.logs.len() > LOGS_MAX {
        return Err(format!("{} logs: expected at most {LOGS_MAX}", receipt.logs.len()));
    }
    let transaction = receipt.transaction.unwrap_or_default();
    let timestamp = receipt.logs.first().map(|log| log.block_timestamp).unwrap_or_default();
    let logs = (0..).zip(receipt.logs).map(|(log_index, log)| {
        let count = log.topics.len();
        let topics = Topics::new(&log.topics)
            .ok_or_else(|| format!("log {log_index} has {count} topics: expected at most 4"))?;
        let log_index = match log.log_index {
            None => log_index,
            Some(index) => u32::try_from(index).map_err(|error| format!("logIndex {index}: {error}"))?,
        };
        Ok(VerifiedLog { tx_index: 0, log_index, address: log.address, topics, data: log.data })
    });
    Ok(VerifiedBlock {
        block: BlockRef {
            number: u64::try_from(receipt.block_number).map_err(|error| format!("blockNumber: {error}"))?,
            timestamp: u64::try_from(timestamp).map_err(|error| format!("blockTimestamp: {error}"))?,
            hash: receipt.block_hash,
            ..BlockRef::default()
        },
        header: alloy::consensus::Header::default(),
        l1_origin: None,
        transactions: vec![transaction.info(receipt.transaction_hash, receipt.to)?],
        logs: logs.collect::<Result<_, String>>()?,
        trust: Trust::Unverified,
        reads: receipt.state.into_iter().map(Read::answer).collect(),
    })
}

impl Read {
    fn answer(self) -> (StateCall, Answer) {
        let reply = self.answer.map_or(Reply::Reverted, Reply::Returned);
        (StateCall { to: self.to, data: self.data }, Answer { reply, agreeing: 0 })
    }
}

impl Transaction {
    /// The transaction with this hash, to whom its receipt says.
    fn info(self, hash: B256, to: Option<Address>) -> Result<TxInfo, String> {
        let Self { input, value, raw } = self;
        if raw.is_empty() {
            return Ok(TxInfo { hash, kind: 2, to, value, input, success: true, raw });
        }
        let info = TxInfo::decode(raw, true).ok_or("transaction.raw is no transaction of a type known here")?;
        if hash.is_zero() || info.hash == hash {
            return Ok(info);
        }
        Err(format!("transaction.raw has hash {}: expected {hash}", info.hash))
    }
}

fn read<T: serde::de::DeserializeOwned>(tree: Value) -> Result<T, String> {
    serde_json::from_value(tree).map_err(|error| error.to_string())
}
