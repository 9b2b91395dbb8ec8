//! From a blob to its versioned hash.
//!
//! `0x01 ‖ sha256(commitment)[1..]`, the commitment being KZG's over BLS12-381 to the polynomial whose values at the
//! 4,096th roots of unity are the blob's elements (EIP-4844). The points are those of Ethereum's ceremony; they come with
//! the library, which checks them as it loads them, once in the life of the process.

use alloy_primitives::B256;
use c_kzg::{BYTES_PER_BLOB, Blob, ethereum_kzg_settings};
use sha2::{Digest as _, Sha256};

/// First byte of the versioned hash of a KZG commitment.
pub const VERSION: u8 = 1;

/// Windows of the tables for proofs, which nobody makes here: none are laid out.
const PRECOMPUTE: u64 = 0;

/// The versioned hash of a blob. `None` when the bytes are none: not 131,072, or an element that is not of the field.
#[must_use]
pub fn versioned_hash(blob: &[u8]) -> Option<B256> {
    let bytes: Box<[u8; BYTES_PER_BLOB]> = Box::<[u8]>::from(blob).try_into().ok()?;
    let blob = Blob::new(*bytes);
    let commitment = ethereum_kzg_settings(PRECOMPUTE).blob_to_kzg_commitment(&blob).ok()?;
    Some(hash_of_commitment(&*commitment))
}

/// The versioned hash of a commitment.
#[must_use]
pub fn hash_of_commitment(commitment: &[u8]) -> B256 {
    let mut hash: [u8; 32] = Sha256::digest(commitment).into();
    hash[0] = VERSION;
    hash.into()
}
