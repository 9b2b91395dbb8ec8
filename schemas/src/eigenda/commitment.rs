//! The envelope of a certificate: what stands in calldata, in an event or in a proxy's answer.

use alloy_primitives::B256;
use alloy_rlp::{Decodable, Encodable};

use super::certificate::{self, Certificate, Version};
use super::certificate_v1::CertificateV1;
use crate::error::SchemaError;

/// Most bytes of a commitment. The verifier contract takes at most 262,144 bytes of ABI-encoded certificate, and RLP
/// is always shorter; the envelope adds four.
pub const COMMITMENT_BYTES_MAX: usize = 262_144 + 4;

/// Derivation version byte of transactions that carry frames themselves.
const FRAMES: u8 = 0x00;
/// Derivation version byte of transactions that carry an alt-DA commitment.
const ALT_DA: u8 = 0x01;
/// Commitment type byte of keccak commitments.
const KECCAK: u8 = 0x00;
/// Commitment type byte of generic commitments.
const GENERIC: u8 = 0x01;
/// DA layer byte of EigenDA.
const EIGENDA: u8 = 0x00;

/// How a commitment is wrapped. The bytes cannot tell (`01 00` opens an OP commitment of layer 0 and a standard
/// commitment of version 2 alike), so it is configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The OP Stack's: keccak or generic.
    #[default]
    Op,
    /// EigenDA's own: version byte and certificate.
    Standard,
}

/// A commitment to data that is kept elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commitment {
    /// The keccak256 of the payload.
    Keccak(B256),
    /// A certificate of EigenDA's network since 2025 (version bytes 01, 02, 03).
    EigenDa(Box<Certificate>),
    /// A certificate of EigenDA's first network (version byte 00).
    EigenDaV1(Box<CertificateV1>),
    /// A generic commitment of another DA layer: not ours to read.
    OtherLayer {
        /// The layer's byte, such as 0c for Celestia.
        layer: u8,
    },
}

/// What the calldata of a batcher transaction holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posted<'a> {
    /// Frames, without the version byte: the batcher's fall-back, or a chain without alt-DA.
    Frames(&'a [u8]),
    /// A commitment.
    Commitment(Commitment),
    /// Another derivation version, such as Mantle's `ed`: passed over.
    Unknown(u8),
    /// No bytes.
    Empty,
}

impl Posted<'_> {
    /// Reads the calldata of a batcher transaction. Only an alt-DA commitment can be malformed here; such a
    /// transaction contributes nothing and derivation goes on.
    pub fn read(calldata: &[u8]) -> Result<Posted<'_>, SchemaError> {
        match calldata {
            [] => Ok(Posted::Empty),
            [FRAMES, frames @ ..] => Ok(Posted::Frames(frames)),
            [ALT_DA, commitment @ ..] => Commitment::read(Mode::Op, commitment).map(Posted::Commitment),
            [version, ..] => Ok(Posted::Unknown(*version)),
        }
    }
}

impl Commitment {
    /// Reads a commitment without the derivation byte: what a proxy gives and takes.
    pub fn read(mode: Mode, bytes: &[u8]) -> Result<Self, SchemaError> {
        if bytes.len() > COMMITMENT_BYTES_MAX {
            return Err(malformed(format!("{} bytes: expected at most {COMMITMENT_BYTES_MAX}", bytes.len())));
        }
        match (mode, bytes) {
            (_, []) => Err(malformed("no bytes".to_owned())),
            (Mode::Op, [KECCAK, hash @ ..]) => B256::try_from(hash)
                .map(Self::Keccak)
                .map_err(|_length| malformed(format!("keccak of {} bytes: expected 32", hash.len()))),
            (Mode::Op, [GENERIC, EIGENDA, version, rlp @ ..]) | (Mode::Standard, [version, rlp @ ..]) => {
                Self::certificate(*version, rlp)
            }
            (Mode::Op, [GENERIC, EIGENDA]) => Err(malformed("no version byte after 0100".to_owned())),
            (Mode::Op, [GENERIC, layer, ..]) => Ok(Self::OtherLayer { layer: *layer }),
            (Mode::Op, [GENERIC]) => Err(malformed("no DA layer byte after 01".to_owned())),
            (Mode::Op, [kind, ..]) => {
                Err(malformed(format!("commitment type {kind:02x}: expected 00 (keccak) or 01 (generic)")))
            }
        }
    }

    /// Reads a commitment as a person has it at hand: as [`Commitment::read`] does, and in the OP mode also with the
    /// derivation byte before it. The two do not collide: there is no DA layer 01, and 34 bytes hold no certificate.
    pub fn read_either(mode: Mode, bytes: &[u8]) -> Result<Self, SchemaError> {
        match (mode, bytes) {
            (Mode::Op, [ALT_DA, rest @ ..]) if bytes.starts_with(&[ALT_DA, GENERIC]) || is_keccak(rest) => {
                Self::read(mode, rest)
            }
            _ => Self::read(mode, bytes),
        }
    }

    fn certificate(version: u8, rlp: &[u8]) -> Result<Self, SchemaError> {
        if version == CertificateV1::VERSION_BYTE {
            let certificate = exactly(rlp, |buffer| {
                CertificateV1::decode(buffer).map_err(|error| certificate::malformed("V1 certificate", error))
            })?;
            certificate.bounded()?;
            return Ok(Self::EigenDaV1(Box::new(certificate)));
        }
        let version = Version::of_byte(version)?;
        exactly(rlp, |buffer| Certificate::decode(version, buffer)).map(|found| Self::EigenDa(Box::new(found)))
    }

    /// The bytes [`Commitment::read`] reads; `None` where the mode has no form for it (a keccak in the standard mode,
    /// another layer's body, which was not kept).
    #[must_use]
    pub fn encode(&self, mode: Mode) -> Option<Vec<u8>> {
        let mut out = match (mode, self) {
            (Mode::Op, Self::Keccak(hash)) => return Some([&[KECCAK], hash.as_slice()].concat()),
            (_, Self::Keccak(_) | Self::OtherLayer { .. }) => return None,
            (Mode::Op, _) => vec![GENERIC, EIGENDA],
            (Mode::Standard, _) => Vec::new(),
        };
        out.push(self.version_byte()?);
        out.extend(self.serialized_certificate()?);
        Some(out)
    }

    /// The version byte before the certificate.
    #[must_use]
    pub const fn version_byte(&self) -> Option<u8> {
        match self {
            Self::EigenDa(certificate) => Some(certificate.version.byte()),
            Self::EigenDaV1(_) => Some(CertificateV1::VERSION_BYTE),
            Self::Keccak(_) | Self::OtherLayer { .. } => None,
        }
    }

    /// The certificate alone, as RLP: its keccak256 is the key under which a proxy's fall-back storage keeps the
    /// payload.
    #[must_use]
    pub fn serialized_certificate(&self) -> Option<Vec<u8>> {
        match self {
            Self::EigenDa(certificate) => Some(certificate.encode()),
            Self::EigenDaV1(certificate) => {
                let mut out = Vec::new();
                certificate.encode(&mut out);
                Some(out)
            }
            Self::Keccak(_) | Self::OtherLayer { .. } => None,
        }
    }
}

/// Whether these are a keccak commitment's 33 bytes.
const fn is_keccak(bytes: &[u8]) -> bool {
    matches!(bytes, [KECCAK, rest @ ..] if rest.len() == 32)
}

/// What `read` makes of all the bytes: the proxy refuses any after the item, and so do we.
fn exactly<T>(mut rlp: &[u8], read: impl FnOnce(&mut &[u8]) -> Result<T, SchemaError>) -> Result<T, SchemaError> {
    let found = read(&mut rlp)?;
    if rlp.is_empty() {
        return Ok(found);
    }
    Err(malformed(format!("{} bytes after the certificate: expected none", rlp.len())))
}

const fn malformed(reason: String) -> SchemaError {
    SchemaError::Malformed { what: "commitment", reason }
}
