//! EIP-4844 blobs as a beacon node keeps them.
//!
//! Commitments are those of Ethereum's ceremony, whose points come with the library and are loaded once in the life of
//! the process. Only the payload stays in memory: a blob is made of it when somebody asks.

use alloy_primitives::{B256, Bytes, FixedBytes};
use c_kzg::{Blob, Bytes48, KzgSettings, ethereum_kzg_settings};
use sha2::{Digest as _, Sha256};

use crate::inbox::blob;

/// Bytes of a blob, which are its gas too.
pub const BLOB_BYTES: usize = 131_072;
/// Where the version of the packing stands in a blob.
const VERSION_AT: usize = 1;
/// First byte of the versioned hash of a KZG commitment.
const HASH_VERSION: u8 = 1;

/// A blob with its commitment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecar {
    /// What it carries.
    pub payload: Bytes,
    /// The KZG commitment.
    pub commitment: FixedBytes<48>,
    /// What a transaction names it by.
    pub versioned_hash: B256,
    version: u8,
}

impl Sidecar {
    /// The blob of a payload; `None` above 130,044 bytes.
    #[must_use]
    pub fn of(payload: Bytes) -> Option<Self> {
        Self::packed(payload, 0)
    }

    /// A blob of a packing that nobody knows: what it carries is no payload.
    pub(crate) fn undecodable(payload: Bytes) -> Option<Self> {
        Self::packed(payload, 1)
    }

    fn packed(payload: Bytes, version: u8) -> Option<Self> {
        let packed = pack(&payload, version)?;
        let made = settings().blob_to_kzg_commitment(&packed).expect("a packed payload is elements of the field");
        let commitment = FixedBytes::from(*made);
        let mut hash: [u8; 32] = Sha256::digest(commitment).into();
        hash[0] = HASH_VERSION;
        Some(Self { payload, commitment, versioned_hash: hash.into(), version })
    }

    /// The blob.
    #[must_use]
    pub fn blob(&self) -> Vec<u8> {
        self.packed_again().to_vec()
    }

    /// The proof that the blob is what the commitment is to.
    #[must_use]
    pub fn proof(&self) -> FixedBytes<48> {
        let commitment = Bytes48::new(self.commitment.0);
        let proof = settings().compute_blob_kzg_proof(&self.packed_again(), &commitment);
        FixedBytes::from(*proof.expect("the commitment is of this blob"))
    }

    fn packed_again(&self) -> Box<Blob> {
        pack(&self.payload, self.version).expect("it was packed before")
    }
}

fn pack(payload: &[u8], version: u8) -> Option<Box<Blob>> {
    let mut bytes = blob(payload)?;
    bytes[VERSION_AT] = version;
    Blob::from_bytes(&bytes).ok().map(Box::new)
}

fn settings() -> &'static KzgSettings {
    // Without tables for proofs, which are rarely made.
    ethereum_kzg_settings(0)
}
