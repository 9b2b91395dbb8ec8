//! The hashes that tie a certificate together. Each formula was confirmed by the Merkle roots of real certificates.

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::{SolValue as _, sol_data};

use super::abi;
use super::certificate::{BatchHeader, BlobCertificate, BlobHeader};
use super::certificate_v1::BlobHeaderV1;

/// What names a blob on the network: `keccak(abi.encode(keccak(abi.encode(version, quorum numbers, commitment)),
/// payment header hash))`, the quorum numbers sorted.
///
/// It holds the time of payment, so the same payload dispersed twice has two keys.
#[must_use]
pub fn blob_key(header: &BlobHeader) -> B256 {
    let mut quorums = header.quorum_numbers.to_vec();
    quorums.sort_unstable();
    let commitment = abi::BlobCommitment::from(&header.commitment);
    let inner = (header.version, alloy_primitives::Bytes::from(quorums), commitment).abi_encode_params();
    keccak256((keccak256(inner), header.payment_header_hash).abi_encode_params())
}

/// `keccak(abi.encode(blob key, signature, relay keys))`.
#[must_use]
pub fn certificate_hash(certificate: &BlobCertificate) -> B256 {
    use alloy_sol_types::SolType as _;
    type Fields = (sol_data::FixedBytes<32>, sol_data::Bytes, sol_data::Array<sol_data::Uint<32>>);
    let key = blob_key(&certificate.blob_header);
    let fields = (key, certificate.signature.clone(), certificate.relay_keys.clone());
    keccak256(Fields::abi_encode_params(&fields))
}

/// What the operators sign: `keccak(abi.encode(batch root, reference block number))`.
#[must_use]
pub fn batch_header_hash(header: &BatchHeader) -> B256 {
    keccak256(abi::BatchHeaderV2::from(header).abi_encode())
}

/// Hash of who pays for a blob, when and how much: `keccak(abi.encode(tuple(string account, int64 timestamp,
/// uint256 cumulative payment)))`, the account as checksummed text, the timestamp in nanoseconds.
#[must_use]
pub fn payment_header_hash(account: Address, timestamp_ns: i64, cumulative_payment: U256) -> B256 {
    let header = abi::PaymentHeader {
        accountId: account.to_checksum(None),
        timestamp: timestamp_ns,
        cumulativePayment: cumulative_payment,
    };
    keccak256(header.abi_encode())
}

/// `keccak(abi.encode(blob header))` of the first network.
#[must_use]
pub fn blob_header_hash_v1(header: &BlobHeaderV1) -> B256 {
    keccak256(abi::BlobHeaderV1::from(header).abi_encode())
}

/// The root that `keccak(hash)` leads to at place `index`: an even node is a left one. The index that is left when
/// the siblings are used up comes back too; a place inside the tree leaves 0.
///
/// `None` when the proof is no whole number of 32-byte siblings.
#[must_use]
pub fn inclusion_root(hash: B256, index: u32, proof: &[u8]) -> Option<(B256, u32)> {
    let (siblings, rest) = proof.as_chunks::<32>();
    if !rest.is_empty() {
        return None;
    }
    let leaf = (keccak256(hash), index);
    Some(siblings.iter().fold(leaf, |(node, index), sibling| {
        let pair = if index % 2 == 0 { [node.0, *sibling] } else { [*sibling, node.0] };
        (keccak256(pair.concat()), index >> 1)
    }))
}
