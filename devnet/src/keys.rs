//! Seeded randomness and seeded signing keys.

use std::collections::BTreeMap;

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEip4844},
    eips::eip2718::Encodable2718,
    signers::{SignerSync, local::PrivateKeySigner},
};
use alloy_primitives::{Address, B256, Bytes, Signature, keccak256};
use op_alloy_consensus::OpTxEnvelope;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// One of the independent streams of a seed. Streams of different names share nothing,
/// so drawing from one never moves another.
pub(crate) fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(labelled(seed, name, 0).0)
}

/// Thirty-two bytes named by the seed, a label and a counter.
pub(crate) fn labelled(seed: u64, label: &str, index: u64) -> B256 {
    let mut text = b"trib/devnet/".to_vec();
    text.extend_from_slice(&seed.to_be_bytes());
    text.extend_from_slice(&index.to_be_bytes());
    text.extend_from_slice(label.as_bytes());
    keccak256(text)
}

/// The accounts that sign, with their nonces.
#[derive(Debug)]
pub(crate) struct Keyring {
    seed: u64,
    signers: BTreeMap<Address, (PrivateKeySigner, u64)>,
    known: BTreeMap<(&'static str, u64), Address>,
}

impl Keyring {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { seed, signers: BTreeMap::new(), known: BTreeMap::new() }
    }

    /// The account of a label and number, made on first use.
    pub(crate) fn account(&mut self, label: &'static str, index: u64) -> Address {
        if let Some(known) = self.known.get(&(label, index)) {
            return *known;
        }
        let secret = labelled(self.seed, label, index);
        let signer = PrivateKeySigner::from_bytes(&secret)
            .expect("a keccak digest is zero or above the group order once in 2^127 seeds");
        let address = signer.address();
        self.signers.insert(address, (signer, 0));
        self.known.insert((label, index), address);
        address
    }

    /// Gives a transaction its sender's next nonce and signature, encoded for a block.
    pub(crate) fn sign(&mut self, from: Address, mut tx: TxEip1559) -> Bytes {
        tx.nonce = self.next_nonce(from);
        let signature = self.signature(from, tx.signature_hash());
        OpTxEnvelope::Eip1559(tx.into_signed(signature)).encoded_2718().into()
    }

    /// Likewise of one with blobs, which are not in the block.
    pub(crate) fn sign_blobs(&mut self, from: Address, mut tx: TxEip4844) -> Bytes {
        tx.nonce = self.next_nonce(from);
        let signature = self.signature(from, tx.signature_hash());
        tx.into_signed(signature).encoded_2718().into()
    }

    fn next_nonce(&mut self, from: Address) -> u64 {
        let (_, nonce) = self.signers.get_mut(&from).expect("only accounts of this keyring are planned as senders");
        let next = *nonce;
        *nonce = nonce.wrapping_add(1);
        next
    }

    fn signature(&self, from: Address, hash: B256) -> Signature {
        let (signer, _) = &self.signers[&from];
        signer.sign_hash_sync(&hash).expect("deterministic ECDSA over a valid key signs every hash")
    }
}
