//! A signed L1 transaction, and whether it may post to the inbox.

use super::InboxError;
use super::blob_encoding::BLOB_BYTES;
use alloy::consensus::transaction::SignerRecoverable as _;
use alloy::consensus::{Transaction as _, TxEip4844Variant, TxEnvelope};
use alloy::eips::eip2718::Decodable2718 as _;
use alloy_primitives::{Address, B256, Bytes};
use std::fmt;

/// What derivation needs of a signed L1 transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct L1Transaction {
    /// Its hash, as the block names it (a sidecar does not count).
    pub hash: B256,
    /// Its EIP-2718 type: 0 legacy, 1 access list, 2 fees, 3 blobs, 4 set code.
    pub kind: u8,
    /// The chain it is signed for; `None` for a legacy one that is signed for all.
    pub chain_id: Option<u64>,
    /// Nonce of the sender.
    pub nonce: u64,
    /// Who signed it, by its signature.
    pub sender: Address,
    /// Whom it calls; `None` when it creates a contract.
    pub to: Option<Address>,
    /// Its calldata.
    pub input: Bytes,
    /// Versioned hashes of its blobs.
    pub blob_hashes: Vec<B256>,
    /// The blobs themselves, 131,072 bytes each, when the transaction came with its sidecar (as in the pool, not as
    /// in a block). Not checked against the hashes.
    pub sidecar: Vec<Bytes>,
}

impl L1Transaction {
    /// Reads the signed bytes (EIP-2718) and recovers the sender.
    pub fn decode(raw: &[u8]) -> Result<Self, InboxError> {
        let envelope = TxEnvelope::decode_2718_exact(raw)
            .map_err(|error| InboxError::Transaction { reason: error.to_string() })?;
        let sender = envelope
            .recover_signer()
            .map_err(|error| InboxError::Transaction { reason: format!("no sender: {error}") })?;
        Ok(Self {
            hash: *envelope.tx_hash(),
            kind: envelope.tx_type() as u8,
            chain_id: envelope.chain_id(),
            nonce: envelope.nonce(),
            sender,
            to: envelope.to(),
            input: envelope.input().clone(),
            blob_hashes: envelope.blob_versioned_hashes().unwrap_or_default().to_vec(),
            sidecar: sidecar(&envelope),
        })
    }
}

fn sidecar(envelope: &TxEnvelope) -> Vec<Bytes> {
    let TxEnvelope::Eip4844(signed) = envelope else {
        return Vec::new();
    };
    let TxEip4844Variant::TxEip4844WithSidecar(with) = signed.tx() else {
        return Vec::new();
    };
    let blobs = with.sidecar.blobs();
    debug_assert!(blobs.iter().all(|blob| blob.len() == BLOB_BYTES));
    blobs.iter().map(|blob| Bytes::copy_from_slice(blob.as_slice())).collect()
}

/// Where batches are posted, and by whom, at one L1 block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inbox {
    /// The address batches are sent to; nobody holds its key.
    pub address: Address,
    /// The batcher by the `SystemConfig` of that L1 block (its `ConfigUpdate` events of type 0 change it).
    pub batcher: Address,
}

/// Why a transaction posts nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is sent elsewhere.
    Recipient(Option<Address>),
    /// Somebody else signed it.
    Sender(Address),
    /// Its type is neither 0, 1, 2 (calldata) nor 3 (blobs).
    Kind(u8),
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recipient(Some(to)) => write!(formatter, "sent to {to}, which is not the inbox"),
            Self::Recipient(None) => write!(formatter, "creates a contract"),
            Self::Sender(sender) => write!(formatter, "signed by {sender}, who is not the batcher"),
            Self::Kind(kind) => write!(formatter, "of type {kind}, expected 0 to 3"),
        }
    }
}

impl Inbox {
    /// Whether a transaction may post.
    pub fn admit(&self, transaction: &L1Transaction) -> Result<(), Refusal> {
        if transaction.to != Some(self.address) {
            return Err(Refusal::Recipient(transaction.to));
        }
        if transaction.kind > 3 {
            return Err(Refusal::Kind(transaction.kind));
        }
        if transaction.sender != self.batcher {
            return Err(Refusal::Sender(transaction.sender));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
