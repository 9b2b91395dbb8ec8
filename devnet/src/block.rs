//! Blocks as they are sealed and kept.
//!
//! There is no EVM here: what a transaction *did* (gas, logs, success) is decided by the
//! workload, and sealing makes every commitment over it right: transactions root,
//! receipts root, bloom, gas used, and with them the header hash. The state root commits
//! to nothing anyone could open; it is a hash chain over the transactions, so that equal
//! histories have equal roots and different ones do not.

use alloy::consensus::{
    Header, TxEnvelope, TxReceipt, constants::EIP4844_TX_TYPE_ID, proofs::ordered_trie_root_encoded,
};
use alloy::eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bloom, Bytes, Log, keccak256};
use alloy_rlp::{Decodable, RlpDecodable, RlpEncodable};
use op_alloy_consensus::{DEPOSIT_TX_TYPE_ID, OpReceiptEnvelope, OpTxEnvelope, OpTxType};

/// One transaction with what came of it.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct Executed {
    /// The sender.
    pub from: Address,
    /// The transaction as in the block (EIP-2718).
    pub raw: Bytes,
    /// Gas of this transaction alone.
    pub gas_used: u64,
    /// Whether it succeeded.
    pub success: bool,
    /// The sender's nonce, part of a deposit's receipt since Regolith.
    pub deposit_nonce: u64,
    /// What it logged.
    pub logs: Vec<Log>,
}

impl Executed {
    /// The transaction's hash.
    #[must_use]
    pub fn hash(&self) -> B256 {
        keccak256(&self.raw)
    }

    /// Whether it names blobs: only on the L1, whose transactions an L2's envelope has no place for.
    #[must_use]
    pub fn has_blobs(&self) -> bool {
        self.raw.first() == Some(&EIP4844_TX_TYPE_ID)
    }

    /// A transaction with blobs, decoded.
    #[must_use]
    pub fn blob_envelope(&self) -> TxEnvelope {
        TxEnvelope::decode_2718(&mut self.raw.as_ref()).expect("the bytes were encoded by this crate")
    }

    /// A transaction without blobs, decoded.
    #[must_use]
    pub fn envelope(&self) -> OpTxEnvelope {
        OpTxEnvelope::decode_2718(&mut self.raw.as_ref())
            .expect("the bytes were encoded by this crate from the same type")
    }

    /// What the receipts trie holds.
    fn encoded_receipt(receipt: &OpReceiptEnvelope, has_blobs: bool) -> Vec<u8> {
        let mut bytes = receipt.encoded_2718();
        // A typed receipt is its type, and then the same fields for every type but deposits.
        if let Some(kind) = bytes.first_mut().filter(|_| has_blobs) {
            *kind = EIP4844_TX_TYPE_ID;
        }
        bytes
    }

    /// The receipt; that of a transaction with blobs under the type of one without.
    #[must_use]
    pub fn receipt(&self, cumulative_gas_used: u64) -> OpReceiptEnvelope {
        let deposit = self.raw.first() == Some(&DEPOSIT_TX_TYPE_ID);
        OpReceiptEnvelope::from_parts(
            self.success,
            cumulative_gas_used,
            &self.logs,
            if deposit { OpTxType::Deposit } else { OpTxType::Eip1559 },
            deposit.then_some(self.deposit_nonce),
            // Version 1: since Canyon the nonce and version are part of the receipt's hash.
            deposit.then_some(1),
        )
    }
}

/// A sealed block, open for reading.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct Block {
    /// The header, with every root filled in.
    pub header: Header,
    /// The transactions, in order.
    pub entries: Vec<Executed>,
}

impl Block {
    /// Fills in everything a header says about its transactions.
    #[must_use]
    pub fn seal(mut header: Header, parent_state: B256, entries: Vec<Executed>) -> Self {
        let raw: Vec<&Bytes> = entries.iter().map(|entry| &entry.raw).collect();
        header.transactions_root = ordered_trie_root_encoded(&raw);
        let receipts = receipts(&entries);
        let encoded = receipts.iter().zip(&entries).map(|(one, of)| Executed::encoded_receipt(one, of.has_blobs()));
        header.receipts_root = ordered_trie_root_encoded(&encoded.collect::<Vec<_>>());
        header.logs_bloom = receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom());
        header.gas_used = receipts.last().map_or(0, TxReceipt::cumulative_gas_used);
        let mut state = parent_state.to_vec();
        state.extend_from_slice(header.transactions_root.as_slice());
        state.extend_from_slice(header.receipts_root.as_slice());
        header.state_root = keccak256(state);
        Self { header, entries }
    }

    /// The receipts, with cumulative gas.
    #[must_use]
    pub fn receipts(&self) -> Vec<OpReceiptEnvelope> {
        receipts(&self.entries)
    }
}

fn receipts(entries: &[Executed]) -> Vec<OpReceiptEnvelope> {
    let mut cumulative = 0_u64;
    entries
        .iter()
        .map(|entry| {
            cumulative = cumulative.saturating_add(entry.gas_used);
            entry.receipt(cumulative)
        })
        .collect()
}

/// A sealed block as it is kept: its hash and its bytes. Tens of thousands of these stay
/// in memory, so blooms of receipts and decoded forms are made when somebody asks.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) hash: B256,
    bytes: Bytes,
}

impl Stored {
    pub(crate) fn new(block: &Block) -> Self {
        Self { hash: block.header.hash_slow(), bytes: alloy_rlp::encode(block).into() }
    }

    pub(crate) fn open(&self) -> Block {
        Block::decode(&mut self.bytes.as_ref()).expect("the bytes were encoded by this crate from the same type")
    }

    /// The header alone: most answers need no more.
    pub(crate) fn header(&self) -> Header {
        let mut bytes = self.bytes.as_ref();
        alloy_rlp::Header::decode(&mut bytes)
            .and_then(|_| Header::decode(&mut bytes))
            .expect("the bytes were encoded by this crate from the same type")
    }
}
