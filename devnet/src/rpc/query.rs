//! Reading the parameters of a request.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256, Bloom, BloomInput, Log};
use serde_json::Value;

use crate::rpc::RpcError;

/// The block a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Number(u64),
    Hash(B256),
    Latest,
    Safe,
    Finalized,
    Earliest,
}

/// A flag that may be left out.
pub(crate) fn flag(params: &[Value], at: usize) -> Result<bool, RpcError> {
    match params.get(at) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(RpcError::params(format!("invalid argument {at}: {other} is not a bool"))),
    }
}

/// A hash.
pub(crate) fn hash(params: &[Value], at: usize) -> Result<B256, RpcError> {
    let value = params.get(at).ok_or_else(|| missing(at))?;
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| RpcError::params(format!("invalid argument {at}: {value} is not a 32-byte hash")))
}

/// An account.
pub(crate) fn address(params: &[Value], at: usize) -> Result<Address, RpcError> {
    parsed(params.get(at).ok_or_else(|| missing(at))?)
}

/// A block number or one of the tags.
pub(crate) fn tag(params: &[Value], at: usize) -> Result<Which, RpcError> {
    let value = params.get(at).ok_or_else(|| missing(at))?;
    let text = value.as_str();
    text.and_then(parse_tag)
        .ok_or_else(|| RpcError::params(format!("invalid argument {at}: {value} is not a block number or tag")))
}

/// A block by number, tag, hash, or the object of EIP-1898.
pub(crate) fn block(params: &[Value], at: usize) -> Result<Which, RpcError> {
    match params.get(at) {
        Some(Value::Object(object)) => {
            if let Some(value) = object.get("blockHash") {
                return parsed(value).map(Which::Hash);
            }
            let number = object.get("blockNumber").and_then(Value::as_str).and_then(parse_tag);
            number.ok_or_else(|| RpcError::params(format!("invalid argument {at}: neither blockHash nor blockNumber")))
        }
        Some(Value::String(text)) if text.len() == 66 => hash(params, at).map(Which::Hash),
        _ => tag(params, at),
    }
}

fn parse_tag(text: &str) -> Option<Which> {
    Some(match text {
        "latest" | "pending" => Which::Latest,
        "safe" => Which::Safe,
        "finalized" => Which::Finalized,
        "earliest" => Which::Earliest,
        number => {
            let digits = number.strip_prefix("0x").filter(|digits| !digits.starts_with('+'))?;
            Which::Number(u64::from_str_radix(digits, 16).ok()?)
        }
    })
}

fn missing(at: usize) -> RpcError {
    RpcError::params(format!("missing value for required argument {at}"))
}

/// The filter of `eth_getLogs`.
#[derive(Debug)]
pub(crate) struct LogFilter {
    pub(crate) block_hash: Option<B256>,
    pub(crate) from: Which,
    pub(crate) to: Which,
    addresses: BTreeSet<Address>,
    topics: Vec<BTreeSet<B256>>,
}

impl LogFilter {
    pub(crate) fn parse(params: &[Value]) -> Result<Self, RpcError> {
        let Some(Value::Object(filter)) = params.first() else { return Err(missing(0)) };
        let ends = |name: &str| match filter.get(name) {
            None | Some(Value::Null) => Ok(Which::Latest),
            Some(value) => {
                value.as_str().and_then(parse_tag).ok_or_else(|| RpcError::params(format!("invalid {name}: {value}")))
            }
        };
        let block_hash = match filter.get("blockHash") {
            None | Some(Value::Null) => None,
            Some(value) => Some(parsed::<B256>(value)?),
        };
        let topics = match filter.get("topics") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(topics)) if topics.len() <= 4 => {
                topics.iter().map(alternatives).collect::<Result<_, _>>()?
            }
            Some(other) => return Err(RpcError::params(format!("invalid topics: {other}"))),
        };
        let addresses = filter.get("address").map_or_else(|| Ok(BTreeSet::new()), alternatives)?;
        Ok(Self { block_hash, from: ends("fromBlock")?, to: ends("toBlock")?, addresses, topics })
    }

    /// False when the bloom excludes every log this filter could want.
    pub(crate) fn may_match(&self, bloom: &Bloom) -> bool {
        let has = |raw: &[u8]| bloom.contains_input(BloomInput::Raw(raw));
        (self.addresses.is_empty() || self.addresses.iter().any(|address| has(address.as_slice())))
            && self.topics.iter().all(|topics| topics.is_empty() || topics.iter().any(|topic| has(topic.as_slice())))
    }

    pub(crate) fn matches(&self, log: &Log) -> bool {
        let topics = log.data.topics();
        let position = |(at, wanted): (usize, &BTreeSet<B256>)| {
            wanted.is_empty() || topics.get(at).is_some_and(|topic| wanted.contains(topic))
        };
        // A filter with more positions than the log has topics does not match it.
        self.topics.len() <= topics.len()
            && (self.addresses.is_empty() || self.addresses.contains(&log.address))
            && self.topics.iter().enumerate().all(position)
    }
}

fn alternatives<T: std::str::FromStr + Ord>(value: &Value) -> Result<BTreeSet<T>, RpcError> {
    match value {
        Value::Null => Ok(BTreeSet::new()),
        Value::Array(values) => values.iter().map(parsed).collect(),
        one => Ok(BTreeSet::from([parsed(one)?])),
    }
}

pub(crate) fn parsed<T: std::str::FromStr>(value: &Value) -> Result<T, RpcError> {
    let text = value.as_str().and_then(|text| text.parse().ok());
    text.ok_or_else(|| RpcError::params(format!("invalid value {value}")))
}
