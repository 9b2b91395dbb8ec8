//! What the calldata of an inbox transaction is.
//!
//! ```text
//! 00 │ frames                          a payload, here and now (also when EigenDA is down: "failover")
//! 01 │ 00 │ keccak256(payload) 32      the payload lies where its hash finds it
//! 01 │ 01 │ 00 │ version │ RLP(cert)   it lies in EigenDA
//! 01 │ 01 │ layer │ …                  it lies in another service
//! ```
//!
//! (specs/experimental/alt-da.md.) Anything else is passed over. `01 00 …` is a keccak commitment whatever its
//! digest begins with, so one must look at the second byte before the third. A type-3 transaction posts its blobs,
//! and its calldata counts for nothing.

use super::InboxError;
use super::frame::DERIVATION_VERSION;
use super::transaction::L1Transaction;
use alloy_primitives::{B256, keccak256};
use std::fmt;

/// First byte of calldata that carries an alt-DA commitment.
pub const COMMITMENT_VERSION: u8 = 1;

/// Most bytes of a payload behind a keccak commitment; a larger one is skipped (alt-da.md). Generic ones are exempt.
pub const KECCAK_PAYLOAD_BYTES_MAX: usize = 130_672;

/// First byte of Mantle's own postings: protobuf with an EigenDA V1 certificate in it.
const MANTLE_VERSION: u8 = 0xed;

const EIGENDA_LAYER: u8 = 0;

/// What an inbox transaction posts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posting<'a> {
    /// A payload: version byte and frames.
    Payload(&'a [u8]),
    /// A commitment to a payload that lies elsewhere.
    Commitment(Commitment<'a>),
    /// EIP-4844 blobs, by their versioned hashes, each a payload.
    Blobs(&'a [B256]),
    /// Nothing: derivation goes on with the next transaction.
    Ignored(Ignored),
}

/// Why calldata is passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ignored {
    /// There is none.
    Empty,
    /// Mantle's own form (`ed` and protobuf), which is not the OP Stack's.
    Mantle,
    /// A version byte that means nothing.
    Version(u8),
    /// A commitment that does not parse.
    Commitment(InboxError),
}

impl fmt::Display for Ignored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(formatter, "no calldata"),
            Self::Mantle => write!(formatter, "calldata begins with 0xed: Mantle's own form, not the OP Stack's"),
            Self::Version(byte) => write!(formatter, "calldata begins with {byte:#04x}, expected 0x00 or 0x01"),
            Self::Commitment(error) => formatter.write_str(&error.reason()),
        }
    }
}

/// An alt-DA commitment: all that follows the `01` of the calldata, as the EigenDA proxy gives and takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commitment<'a> {
    /// The whole commitment.
    pub bytes: &'a [u8],
    /// What it commits to.
    pub kind: CommitmentKind,
}

/// Kinds of commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitmentKind {
    /// keccak256 of the payload.
    Keccak(B256),
    /// EigenDA, with the version byte of the certificate: 0 to 3 for V1 to V4.
    EigenDa {
        /// The byte before the certificate.
        version: u8,
    },
    /// Another service (known: 0x0a Avail, 0x0c Celestia).
    Generic {
        /// Its byte.
        layer: u8,
    },
}

impl<'a> Posting<'a> {
    /// What a transaction posts. That it may post at all is for [`Inbox`](super::transaction::Inbox) to say.
    #[must_use]
    pub fn of(transaction: &'a L1Transaction) -> Self {
        if transaction.kind == 3 {
            return Self::Blobs(&transaction.blob_hashes);
        }
        Self::of_calldata(&transaction.input)
    }

    /// What calldata posts.
    #[must_use]
    pub fn of_calldata(calldata: &'a [u8]) -> Self {
        match calldata.split_first() {
            None => Self::Ignored(Ignored::Empty),
            Some((&DERIVATION_VERSION, _)) => Self::Payload(calldata),
            Some((&COMMITMENT_VERSION, commitment)) => match Commitment::parse(commitment) {
                Ok(commitment) => Self::Commitment(commitment),
                Err(error) => Self::Ignored(Ignored::Commitment(error)),
            },
            Some((&MANTLE_VERSION, _)) => Self::Ignored(Ignored::Mantle),
            Some((&other, _)) => Self::Ignored(Ignored::Version(other)),
        }
    }
}

impl<'a> Commitment<'a> {
    /// Reads a commitment without the `01` of the calldata.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, InboxError> {
        let kind = match bytes {
            [0, digest @ ..] => {
                let digest = B256::try_from(digest).map_err(|_wrong_length| InboxError::Unexpected {
                    what: "the digest of a keccak commitment",
                    got: format!("{} bytes", digest.len()),
                    expected: "32 bytes",
                })?;
                CommitmentKind::Keccak(digest)
            }
            [1, EIGENDA_LAYER, version, _, ..] => CommitmentKind::EigenDa { version: *version },
            [1, EIGENDA_LAYER, ..] | [1] | [] => {
                return Err(InboxError::Truncated { what: "a commitment", expected: 4, got: bytes.len() });
            }
            [1, layer, ..] => CommitmentKind::Generic { layer: *layer },
            [other, ..] => {
                return Err(InboxError::Unexpected {
                    what: "the kind of a commitment",
                    got: format!("{other:#04x}"),
                    expected: "0x00 (keccak) or 0x01 (generic)",
                });
            }
        };
        Ok(Self { bytes, kind })
    }

    /// keccak256 of the commitment: the name it goes by.
    #[must_use]
    pub fn hash(&self) -> B256 {
        keccak256(self.bytes)
    }

    /// What derivation has against a payload that was found for it, if anything.
    pub fn check_payload(&self, payload: &[u8]) -> Result<(), InboxError> {
        let CommitmentKind::Keccak(digest) = self.kind else {
            return Ok(());
        };
        if payload.len() > KECCAK_PAYLOAD_BYTES_MAX {
            let (got, limit) = (payload.len() as u64, KECCAK_PAYLOAD_BYTES_MAX as u64);
            return Err(InboxError::OverLimit { what: "the payload of a keccak commitment, in bytes,", got, limit });
        }
        let got = keccak256(payload);
        if got != digest {
            let got = got.to_string();
            return Err(InboxError::Unexpected { what: "keccak256(payload)", got, expected: "the committed digest" });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
