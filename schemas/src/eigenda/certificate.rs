//! Certificates of EigenDA's network since 2025. Versions 2, 3 and 4 are the same four parts; version 2 has the first
//! two in the other order, version 4 adds a fifth.
//!
//! Fields are in the order of their RLP lists and named as in `EigenDATypesV2.sol`.

use alloy_primitives::{B256, Bytes, U256};
use alloy_rlp::{Decodable, Encodable, Header, RlpDecodable, RlpEncodable};
use serde::Serialize;

use crate::error::SchemaError;

/// Most operators that did not sign; the verifier contract takes no more.
pub const NON_SIGNERS_MAX: usize = 415;
/// Most siblings of an inclusion proof; a batch of 2^64 blobs cannot be.
pub const SIBLINGS_MAX: usize = 64;
/// Most quorums: their numbers are bytes.
pub const QUORUMS_MAX: usize = 256;

/// Which list of parts a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Version {
    /// Version byte 01: inclusion before batch header.
    V2,
    /// Version byte 02: batch header before inclusion.
    V3,
    /// Version byte 03: version 3 and the version of the rules the sequencer derives by.
    V4 {
        /// Chooses the recency window: 0 is 14,400 L1 blocks.
        offchain_derivation_version: u16,
    },
}

impl Version {
    /// The version a byte stands for; that of version 4 is filled in when its certificate is read.
    pub fn of_byte(byte: u8) -> Result<Self, SchemaError> {
        match byte {
            1 => Ok(Self::V2),
            2 => Ok(Self::V3),
            3 => Ok(Self::V4 { offchain_derivation_version: 0 }),
            other => Err(SchemaError::Malformed {
                what: "commitment",
                reason: format!("certificate version byte {other:02x}: expected 00 to 03"),
            }),
        }
    }

    /// The byte before the certificate.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self.number() - 1
    }

    /// 2, 3 or 4.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
            Self::V4 { .. } => 4,
        }
    }
}

/// A certificate: operators with enough stake signed that they hold the chunks of a batch that a blob is part of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// The list of parts.
    pub version: Version,
    /// What the operators signed.
    pub batch_header: BatchHeader,
    /// The blob, and why it is part of the batch.
    pub blob_inclusion: BlobInclusion,
    /// Who signed, and the signature.
    pub signatures: Signatures,
    /// The quorums whose signatures were aggregated, ascending, a byte each.
    pub signed_quorum_numbers: Bytes,
}

/// What the operators signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, RlpEncodable, RlpDecodable)]
pub struct BatchHeader {
    /// Root of the tree over the batch's blob certificates.
    pub batch_root: B256,
    /// The L1 block at which stakes are counted.
    pub reference_block_number: u32,
}

/// The blob, and why it is part of the batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, RlpEncodable, RlpDecodable)]
pub struct BlobInclusion {
    /// The leaf.
    pub blob_certificate: BlobCertificate,
    /// Its place among the leaves, from 0.
    pub blob_index: u32,
    /// The siblings from leaf to root, 32 bytes each.
    pub inclusion_proof: Bytes,
}

/// What the disperser made of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, RlpEncodable, RlpDecodable)]
pub struct BlobCertificate {
    /// The blob.
    pub blob_header: BlobHeader,
    /// The dispersing account's signature over the blob key: r, s and v (0 or 1), 65 bytes.
    pub signature: Bytes,
    /// The relays that hold the blob.
    pub relay_keys: Vec<u32>,
}

/// The blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, RlpEncodable, RlpDecodable)]
pub struct BlobHeader {
    /// The version of the blob's encoding parameters.
    pub version: u16,
    /// The quorums that are to hold it, a byte each.
    pub quorum_numbers: Bytes,
    /// What commits to its bytes.
    pub commitment: BlobCommitment,
    /// Hash of who pays, when and how much.
    pub payment_header_hash: B256,
}

/// What commits to the bytes of a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, RlpEncodable, RlpDecodable)]
pub struct BlobCommitment {
    /// KZG commitment to the blob's polynomial.
    pub commitment: G1,
    /// The same in G2.
    pub length_commitment: G2,
    /// Shows that the polynomial has no more coefficients than `length`.
    pub length_proof: G2,
    /// Field elements, a power of two.
    pub length: u32,
}

/// Who signed, and the signature: what `BLSSignatureChecker` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, RlpEncodable, RlpDecodable)]
pub struct Signatures {
    /// Where each non-signer's quorums are found in its history.
    pub non_signer_quorum_bitmap_indices: Vec<u32>,
    /// Keys of the operators that did not sign.
    pub non_signer_pubkeys: Vec<G1>,
    /// Sum of all operators' keys, per signed quorum.
    pub quorum_apks: Vec<G1>,
    /// Sum of the keys that signed, in G2.
    pub apk_g2: G2,
    /// The aggregated signature.
    pub sigma: G1,
    /// Where each quorum's key is found in its history.
    pub quorum_apk_indices: Vec<u32>,
    /// Where each quorum's stake is found in its history.
    pub total_stake_indices: Vec<u32>,
    /// Where each non-signer's stake is found, per quorum.
    pub non_signer_stake_indices: Vec<Vec<u32>>,
}

/// A point of BN254's G1, or what claims to be one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, RlpEncodable, RlpDecodable)]
pub struct G1 {
    /// The abscissa.
    pub x: U256,
    /// The ordinate.
    pub y: U256,
}

/// A point of BN254's G2, or what claims to be one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, RlpEncodable, RlpDecodable)]
pub struct G2 {
    /// The abscissa.
    pub x: Quadratic,
    /// The ordinate.
    pub y: Quadratic,
}

/// `c0 + c1·i`, the imaginary part first, as Ethereum's precompiles have it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, RlpEncodable, RlpDecodable)]
pub struct Quadratic {
    /// The imaginary part.
    pub c1: U256,
    /// The real part.
    pub c0: U256,
}

/// L1 blocks after its reference block within which a certificate may be posted, by version 0 of the rules the
/// sequencer derives by. Source: the recency window of EigenDA's proxy.
const RECENCY_WINDOW: u64 = 14_400;

impl Certificate {
    /// Whether derivation takes it when it was posted in this block of L1. Only certificates of version 4 have a limit.
    #[must_use]
    pub fn is_recent(&self, l1_block: u64) -> bool {
        let reference = u64::from(self.batch_header.reference_block_number);
        match self.version {
            Version::V4 { offchain_derivation_version: 0 } => l1_block <= reference + RECENCY_WINDOW,
            Version::V2 | Version::V3 | Version::V4 { .. } => true,
        }
    }

    /// Reads the RLP list from the front of `buffer`.
    pub fn decode(version: Version, buffer: &mut &[u8]) -> Result<Self, SchemaError> {
        let mut list = Header::decode_bytes(buffer, true).map_err(|error| malformed("certificate", error))?;
        let list = &mut list;
        let (batch_header, blob_inclusion) = if version == Version::V2 {
            let inclusion = part("blob inclusion", list)?;
            (part("batch header", list)?, inclusion)
        } else {
            (part("batch header", list)?, part("blob inclusion", list)?)
        };
        let mut found = Self {
            version,
            batch_header,
            blob_inclusion,
            signatures: part("signatures", list)?,
            signed_quorum_numbers: part("signed quorum numbers", list)?,
        };
        if let Version::V4 { offchain_derivation_version } = &mut found.version {
            *offchain_derivation_version = part("offchain derivation version", list)?;
        }
        if !list.is_empty() {
            return Err(SchemaError::Malformed {
                what: "certificate",
                reason: format!("{} bytes after the last part of its list: expected none", list.len()),
            });
        }
        found.bounded()?;
        Ok(found)
    }

    /// The RLP list that [`Certificate::decode`] reads.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut parts = Vec::new();
        if self.version == Version::V2 {
            self.blob_inclusion.encode(&mut parts);
            self.batch_header.encode(&mut parts);
        } else {
            self.batch_header.encode(&mut parts);
            self.blob_inclusion.encode(&mut parts);
        }
        self.signatures.encode(&mut parts);
        self.signed_quorum_numbers.encode(&mut parts);
        if let Version::V4 { offchain_derivation_version } = self.version {
            offchain_derivation_version.encode(&mut parts);
        }
        let mut out = Vec::new();
        Header { list: true, payload_length: parts.len() }.encode(&mut out);
        out.extend(parts);
        out
    }

    /// The blob's header.
    #[must_use]
    pub const fn blob_header(&self) -> &BlobHeader {
        &self.blob_inclusion.blob_certificate.blob_header
    }

    /// What commits to the blob's bytes.
    #[must_use]
    pub const fn commitment(&self) -> &BlobCommitment {
        &self.blob_header().commitment
    }

    fn bounded(&self) -> Result<(), SchemaError> {
        let signatures = &self.signatures;
        let entries = signatures.non_signer_stake_indices.iter().map(Vec::len).max().unwrap_or(0);
        at_most("siblings", self.blob_inclusion.inclusion_proof.len() / 32, SIBLINGS_MAX)?;
        at_most("quorum numbers", self.blob_header().quorum_numbers.len(), QUORUMS_MAX)?;
        at_most("signed quorum numbers", self.signed_quorum_numbers.len(), QUORUMS_MAX)?;
        at_most("non-signers", signatures.non_signer_pubkeys.len(), NON_SIGNERS_MAX)?;
        at_most("non-signer bitmap indices", signatures.non_signer_quorum_bitmap_indices.len(), NON_SIGNERS_MAX)?;
        at_most("non-signer stake indices of a quorum", entries, NON_SIGNERS_MAX)?;
        at_most("non-signer stake indices", signatures.non_signer_stake_indices.len(), QUORUMS_MAX)?;
        at_most("quorum keys", signatures.quorum_apks.len(), QUORUMS_MAX)?;
        at_most("quorum key indices", signatures.quorum_apk_indices.len(), QUORUMS_MAX)?;
        at_most("total stake indices", signatures.total_stake_indices.len(), QUORUMS_MAX)
    }
}

/// One part of the list, with its name on the error.
fn part<T: Decodable>(name: &str, list: &mut &[u8]) -> Result<T, SchemaError> {
    T::decode(list).map_err(|error| malformed(name, error))
}

pub(super) fn malformed(part: &str, error: alloy_rlp::Error) -> SchemaError {
    SchemaError::Malformed { what: "certificate", reason: format!("{part}: {error}") }
}

pub(super) fn at_most(what: &str, got: usize, most: usize) -> Result<(), SchemaError> {
    if got <= most {
        return Ok(());
    }
    Err(SchemaError::Malformed { what: "certificate", reason: format!("{got} {what}: expected at most {most}") })
}
