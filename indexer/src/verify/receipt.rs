//! Receipts: read, re-encoded as the chain hashes them, and turned into logs.
//!
//! The encoding is written here rather than taken from op-alloy's types, because those want each log as owned
//! objects; a test holds it to theirs, byte for byte.

use alloy_primitives::{Address, B256, Bloom, BloomInput, Bytes, keccak256};
use alloy_rlp::{BufMut, Encodable, Header as RlpHeader, length_of_length};
use op_alloy_consensus::DEPOSIT_TX_TYPE_ID;
use serde::Deserialize;
use std::ops::Range;

use crate::{
    Topics, Trust, VerifiedLog,
    verify::{
        Differs, Part,
        json::{self, Fixed, Quantity},
    },
};

/// The receipts of one block.
pub(super) struct Receipts {
    receipts: Vec<Receipt>,
    logs: Vec<Log>,
    /// The data of all logs.
    data: Vec<u8>,
}

struct Receipt {
    kind: u8,
    success: bool,
    cumulative_gas_used: u64,
    /// Nonce and version of a deposit since Canyon, which brought both into the hash at once. Between Regolith and
    /// Canyon nodes show a nonce that the hash leaves out: without a version there is no nonce here.
    deposit: Option<(u64, u64)>,
    logs: Range<usize>,
}

struct Log {
    address: Address,
    topics: Topics,
    data: Range<usize>,
    claimed_index: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptJson<'a> {
    #[serde(rename = "type")]
    kind: Option<Quantity>,
    status: Quantity,
    cumulative_gas_used: Quantity,
    #[serde(borrow)]
    logs: Vec<LogJson<'a>>,
    deposit_nonce: Option<Quantity>,
    deposit_receipt_version: Option<Quantity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogJson<'a> {
    address: Fixed<20>,
    #[serde(deserialize_with = "json::topics")]
    topics: Topics,
    #[serde(borrow)]
    data: &'a str,
    log_index: Quantity,
}

impl Receipts {
    /// Reads an answer to `eth_getBlockReceipts`.
    pub(super) fn read(text: &str) -> Result<Self, Differs> {
        let unreadable = |error: serde_json::Error| Differs::new(Part::Receipts, format!("unreadable: {error}"));
        let read: Vec<ReceiptJson<'_>> = serde_json::from_str(text).map_err(unreadable)?;
        let data_bytes = read.iter().flat_map(|receipt| &receipt.logs).map(|log| log.data.len()).sum::<usize>();
        let mut receipts = Self {
            receipts: Vec::with_capacity(read.len()),
            logs: Vec::with_capacity(read.iter().map(|receipt| receipt.logs.len()).sum()),
            data: Vec::with_capacity(data_bytes),
        };
        for receipt in read {
            receipts.push(&receipt)?;
        }
        Ok(receipts)
    }

    fn push(&mut self, read: &ReceiptJson<'_>) -> Result<(), Differs> {
        let kind = read.kind.map_or(0, |kind| kind.0);
        // A type unknown here may hash in a way unknown here: never skipped, never guessed.
        let kind = u8::try_from(kind).ok().filter(|kind| matches!(*kind, 0..=4 | DEPOSIT_TX_TYPE_ID));
        let kind = kind.ok_or_else(|| Differs::new(Part::Receipts, format!("unknown type {:?}", read.kind)))?;
        let start = self.logs.len();
        for log in &read.logs {
            let begin = self.data.len();
            json::append_hex(log.data, &mut self.data)
                .ok_or_else(|| Differs::new(Part::Receipts, "data of a log that is no hex"))?;
            self.logs.push(Log {
                address: log.address.0.into(),
                topics: log.topics,
                data: begin..self.data.len(),
                claimed_index: log.log_index.0,
            });
        }
        let nonce_and_version = read.deposit_nonce.zip(read.deposit_receipt_version);
        self.receipts.push(Receipt {
            kind,
            success: read.status.0 == 1,
            cumulative_gas_used: read.cumulative_gas_used.0,
            deposit: nonce_and_version
                .filter(|_| kind == DEPOSIT_TX_TYPE_ID)
                .map(|(nonce, version)| (nonce.0, version.0)),
            logs: start..self.logs.len(),
        });
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.receipts.len()
    }

    pub(super) fn successes(&self) -> impl Iterator<Item = bool> + '_ {
        self.receipts.iter().map(|receipt| receipt.success)
    }

    /// The root of the receipts trie and the bloom of the block.
    pub(super) fn root_and_bloom(&self) -> (B256, Bloom) {
        let mut memo = HashMemo::new();
        let mut all = Bloom::ZERO;
        let root = alloy_trie::root::ordered_trie_root_with_encoder(&self.receipts, |receipt, out| {
            let logs = &self.logs[receipt.logs.clone()];
            let bloom = memo.bloom(logs);
            all |= bloom;
            self.encode(receipt, logs, &bloom, out);
        });
        (root, all)
    }

    fn encode(&self, receipt: &Receipt, logs: &[Log], bloom: &Bloom, out: &mut Vec<u8>) {
        let logs_bytes = logs.iter().map(|log| with_header(self.log_payload_bytes(log))).sum::<usize>();
        let deposit_bytes = receipt.deposit.map_or(0, |(nonce, version)| nonce.length() + version.length());
        let payload_length = receipt.success.length()
            + receipt.cumulative_gas_used.length()
            + bloom.length()
            + with_header(logs_bytes)
            + deposit_bytes;
        if receipt.kind != 0 {
            out.put_u8(receipt.kind);
        }
        RlpHeader { list: true, payload_length }.encode(out);
        receipt.success.encode(out);
        receipt.cumulative_gas_used.encode(out);
        bloom.encode(out);
        RlpHeader { list: true, payload_length: logs_bytes }.encode(out);
        for log in logs {
            RlpHeader { list: true, payload_length: self.log_payload_bytes(log) }.encode(out);
            log.address.encode(out);
            RlpHeader { list: true, payload_length: TOPIC_BYTES * log.topics.len() }.encode(out);
            for topic in log.topics.iter() {
                topic.encode(out);
            }
            self.data[log.data.clone()].encode(out);
        }
        if let Some((nonce, version)) = receipt.deposit {
            nonce.encode(out);
            version.encode(out);
        }
    }

    fn log_payload_bytes(&self, log: &Log) -> usize {
        ADDRESS_BYTES + with_header(TOPIC_BYTES * log.topics.len()) + self.data[log.data.clone()].length()
    }

    /// The logs, when the root was found right, or is not looked at.
    pub(super) fn into_logs(self, trust: Trust) -> Result<Vec<VerifiedLog>, Differs> {
        let too_many = || Differs::new(Part::Receipts, "more logs than 32 bits count");
        let data = Bytes::from(self.data);
        let mut logs = Vec::with_capacity(self.logs.len());
        for (tx_index, receipt) in self.receipts.iter().enumerate() {
            let tx_index = u32::try_from(tx_index).ok().ok_or_else(too_many)?;
            for log in &self.logs[receipt.logs.clone()] {
                let log_index = u32::try_from(logs.len()).ok().ok_or_else(too_many)?;
                if trust == Trust::Verified && log.claimed_index != u64::from(log_index) {
                    return Err(Differs::value(Part::Receipts, "log index", log_index, log.claimed_index));
                }
                logs.push(VerifiedLog {
                    tx_index,
                    log_index,
                    address: log.address,
                    topics: log.topics,
                    data: data.slice(log.data.clone()),
                });
            }
        }
        Ok(logs)
    }
}

/// An address with its RLP header, and a topic with its.
const ADDRESS_BYTES: usize = 21;
const TOPIC_BYTES: usize = 33;

fn with_header(payload_length: usize) -> usize {
    payload_length + length_of_length(payload_length)
}

/// Hashes for blooms. Most logs of a block share contract and signature, so that remembering the last hash of each
/// of a few slots saves more than half of all hashing; what is remembered is compared whole, so a collision of slots
/// only costs a hash.
struct HashMemo {
    slots: Vec<Option<([u8; 32], usize, B256)>>,
}

impl HashMemo {
    const SLOTS: u8 = 64;

    fn new() -> Self {
        Self { slots: vec![None; usize::from(Self::SLOTS)] }
    }

    fn bloom(&mut self, logs: &[Log]) -> Bloom {
        let mut bloom = Bloom::ZERO;
        for log in logs {
            bloom.accrue(BloomInput::Hash(self.hash(log.address.as_slice())));
            for topic in log.topics.iter() {
                bloom.accrue(BloomInput::Hash(self.hash(topic.as_slice())));
            }
        }
        bloom
    }

    fn hash(&mut self, item: &[u8]) -> B256 {
        let mut key = [0; 32];
        key[..item.len()].copy_from_slice(item);
        let mixed = item.iter().rev().take(4).fold(0_u8, |mixed, byte| mixed.rotate_left(3) ^ byte);
        let slot = &mut self.slots[usize::from(mixed % Self::SLOTS)];
        match slot {
            Some((known, length, hash)) if *known == key && *length == item.len() => *hash,
            _ => {
                let hash = keccak256(item);
                *slot = Some((key, item.len(), hash));
                hash
            }
        }
    }
}
