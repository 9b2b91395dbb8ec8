//! Blocks, transactions, receipts and logs in the shapes a node gives them.
//!
//! The shapes are those of alloy's own types wherever they say the same as op-geth; what
//! op-geth adds (a deposit's nonce and receipt version on the transaction, the L1 fee
//! fields on a receipt) is added here.

use alloy::{
    consensus::{Header, ReceiptEnvelope, Transaction as _, TxEnvelope, transaction::Recovered},
    rpc::types::{Header as RpcHeader, Log as RpcLog, Transaction, TransactionReceipt},
};
use alloy_primitives::{B256, Log, U64, U256};
use alloy_rlp::Encodable;
use op_alloy_consensus::{OpReceiptEnvelope, OpTxEnvelope};
use serde::Serialize;

use crate::{
    block::{Block, Executed},
    chain::blob_gas,
    rpc::query::LogFilter,
};

/// The header as a block or a subscription shows it.
pub(crate) fn header(hash: B256, header: &Header) -> String {
    text(&RpcHeader { hash, inner: header.clone(), total_difficulty: None, size: None })
}

/// One block on its way to a client.
#[derive(Debug)]
pub(crate) struct Shape {
    hash: B256,
    block: Block,
}

#[derive(Serialize)]
struct BlockAnswer<T> {
    #[serde(flatten)]
    header: RpcHeader,
    uncles: [B256; 0],
    transactions: Vec<T>,
    withdrawals: [B256; 0],
}

#[derive(Serialize)]
#[serde(untagged)]
enum TransactionAnswer {
    User(Box<Transaction<OpTxEnvelope>>),
    Blobs(Box<Transaction<TxEnvelope>>),
    Deposit(Box<DepositAnswer>),
}

/// A deposit carries its sender itself, so alloy's wrapper would say `from` twice.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DepositAnswer {
    #[serde(flatten)]
    transaction: OpTxEnvelope,
    block_hash: B256,
    block_number: U64,
    transaction_index: U64,
    gas_price: U64,
    nonce: U64,
    deposit_receipt_version: U64,
}

#[derive(Serialize)]
struct ReceiptAnswer {
    #[serde(flatten)]
    receipt: ReceiptOf,
    #[serde(flatten)]
    l1: Option<L1Fields>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ReceiptOf {
    Any(Box<TransactionReceipt<OpReceiptEnvelope<RpcLog>>>),
    Blobs(Box<TransactionReceipt<ReceiptEnvelope<RpcLog>>>),
}

/// What op-geth says about the data fee of a user transaction. This chain charges none.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct L1Fields {
    l1_gas_price: U64,
    l1_gas_used: U64,
    l1_fee: U64,
    l1_base_fee_scalar: U64,
    l1_blob_base_fee: U64,
    l1_blob_base_fee_scalar: U64,
}

impl Shape {
    pub(crate) const fn new(hash: B256, block: Block) -> Self {
        Self { hash, block }
    }

    /// The block, with transactions or with their hashes.
    pub(crate) fn block(&self, full: bool) -> String {
        let header = RpcHeader {
            hash: self.hash,
            inner: self.block.header.clone(),
            total_difficulty: None,
            size: Some(U256::from(self.block.length())),
        };
        if full {
            let transactions = self.indexed().map(|(at, entry)| self.transaction_answer(at, entry)).collect();
            text(&BlockAnswer { header, uncles: [], transactions, withdrawals: [] })
        } else {
            let transactions: Vec<B256> = self.block.entries.iter().map(Executed::hash).collect();
            text(&BlockAnswer { header, uncles: [], transactions, withdrawals: [] })
        }
    }

    /// One transaction.
    pub(crate) fn transaction(&self, hash: &B256) -> Option<String> {
        let (at, entry) = self.indexed().find(|(_, entry)| entry.hash() == *hash)?;
        Some(text(&self.transaction_answer(at, entry)))
    }

    /// Its receipt.
    pub(crate) fn receipt(&self, hash: &B256) -> Option<String> {
        let at = self.block.entries.iter().position(|entry| entry.hash() == *hash)?;
        self.receipt_answers().get(at).map(text)
    }

    /// All receipts.
    pub(crate) fn receipts(&self) -> String {
        text(&self.receipt_answers())
    }

    /// The logs a filter wants.
    pub(crate) fn logs(&self, filter: &LogFilter, found: &mut Vec<String>) {
        let mut log_index = 0_u64;
        for (at, entry) in self.indexed() {
            for log in &entry.logs {
                if filter.matches(log) {
                    found.push(text(&self.log(at, entry.hash(), log_index, log.clone())));
                }
                log_index = log_index.saturating_add(1);
            }
        }
    }

    fn indexed(&self) -> impl Iterator<Item = (u64, &Executed)> {
        (0_u64..).zip(&self.block.entries)
    }

    fn transaction_answer(&self, at: u64, entry: &Executed) -> TransactionAnswer {
        if entry.has_blobs() {
            return TransactionAnswer::Blobs(Box::new(self.transaction_of(at, entry, entry.blob_envelope())));
        }
        let envelope = entry.envelope();
        if envelope.is_deposit() {
            return TransactionAnswer::Deposit(Box::new(DepositAnswer {
                transaction: envelope,
                block_hash: self.hash,
                block_number: U64::from(self.block.header.number),
                transaction_index: U64::from(at),
                gas_price: U64::ZERO,
                nonce: U64::from(entry.deposit_nonce),
                deposit_receipt_version: U64::ONE,
            }));
        }
        TransactionAnswer::User(Box::new(self.transaction_of(at, entry, envelope)))
    }

    fn transaction_of<T: alloy::consensus::Transaction>(
        &self,
        at: u64,
        entry: &Executed,
        envelope: T,
    ) -> Transaction<T> {
        Transaction {
            effective_gas_price: Some(envelope.effective_gas_price(self.block.header.base_fee_per_gas)),
            inner: Recovered::new_unchecked(envelope, entry.from),
            block_hash: Some(self.hash),
            block_number: Some(self.block.header.number),
            transaction_index: Some(at),
            block_timestamp: None,
        }
    }

    fn receipt_answers(&self) -> Vec<ReceiptAnswer> {
        let mut log_index = 0_u64;
        let receipts = self.block.receipts().into_iter().zip(self.indexed());
        receipts
            .map(|(receipt, (at, entry))| {
                let hash = entry.hash();
                let inner = receipt.map_logs(|log| {
                    let log = self.log(at, hash, log_index, log);
                    log_index = log_index.saturating_add(1);
                    log
                });
                self.receipt_answer(at, entry, inner)
            })
            .collect()
    }

    fn receipt_answer(&self, at: u64, entry: &Executed, inner: OpReceiptEnvelope<RpcLog>) -> ReceiptAnswer {
        if entry.has_blobs()
            && let OpReceiptEnvelope::Eip1559(receipt) = &inner
        {
            let (envelope, inner) = (entry.blob_envelope(), ReceiptEnvelope::Eip4844(receipt.clone()));
            let blobs = envelope.blob_versioned_hashes().map_or(0, <[B256]>::len);
            let told = self.receipt_of(at, entry, &envelope, inner);
            let told = TransactionReceipt { blob_gas_used: Some(blob_gas(blobs)), blob_gas_price: Some(1), ..told };
            return ReceiptAnswer { receipt: ReceiptOf::Blobs(Box::new(told)), l1: None };
        }
        let envelope = entry.envelope();
        let receipt = ReceiptOf::Any(Box::new(self.receipt_of(at, entry, &envelope, inner)));
        ReceiptAnswer { receipt, l1: (!envelope.is_deposit()).then(L1Fields::default) }
    }

    fn receipt_of<T>(
        &self,
        at: u64,
        entry: &Executed,
        envelope: &impl alloy::consensus::Transaction,
        inner: T,
    ) -> TransactionReceipt<T> {
        TransactionReceipt {
            inner,
            transaction_hash: entry.hash(),
            transaction_index: Some(at),
            block_hash: Some(self.hash),
            block_number: Some(self.block.header.number),
            gas_used: entry.gas_used,
            effective_gas_price: envelope.effective_gas_price(self.block.header.base_fee_per_gas),
            blob_gas_used: None,
            blob_gas_price: None,
            from: entry.from,
            to: envelope.to(),
            contract_address: None,
        }
    }

    fn log(&self, at: u64, transaction: B256, log_index: u64, inner: Log) -> RpcLog {
        RpcLog {
            inner,
            block_hash: Some(self.hash),
            block_number: Some(self.block.header.number),
            block_timestamp: Some(self.block.header.timestamp),
            transaction_hash: Some(transaction),
            transaction_index: Some(at),
            log_index: Some(log_index),
            removed: false,
        }
    }
}

fn text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("answers have string keys and no failing serialisers")
}
