//! The question put to EigenDA's certificate verifier on L1, and its answers.
//!
//! The router picks the verifier by the reference block number it reads in the call; any later block will do, so the
//! question needs no archive node.

use alloy_primitives::Bytes;
use alloy_sol_types::{SolCall as _, SolValue as _};
use serde::{Deserialize, Serialize};

use super::abi;
use super::certificate::{Certificate, Version};
use crate::error::SchemaError;

/// What `checkDACert` answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertStatus {
    /// 0: the contract forgot to answer.
    Null,
    /// 1: enough stake signed for the blob.
    Success,
    /// 2 to 5, of verifiers of 2025: the blob is not part of the batch, or its quorums do not suffice.
    Historic(u8),
    /// 6: the certificate proves nothing.
    Invalid,
    /// 7: the contract failed on its own account; nothing is said about the certificate.
    Internal,
}

impl CertStatus {
    /// The meaning of a code; codes above 7 are of no verifier we know.
    pub fn of_code(code: u8) -> Result<Self, SchemaError> {
        match code {
            0 => Ok(Self::Null),
            1 => Ok(Self::Success),
            2..=5 => Ok(Self::Historic(code)),
            6 => Ok(Self::Invalid),
            7 => Ok(Self::Internal),
            other => Err(malformed(format!("code {other}: expected 0 to 7"))),
        }
    }

    /// The meaning of what an `eth_call` returned.
    pub fn of_return_data(data: &[u8]) -> Result<Self, SchemaError> {
        let code = abi::checkDACertCall::abi_decode_returns_validate(data)
            .map_err(|error| malformed(format!("{} bytes of return data: {error}", data.len())))?;
        Self::of_code(code)
    }

    /// Whether the certificate is void for ever: neither good nor a fault of the contract.
    #[must_use]
    pub const fn is_void(self) -> bool {
        matches!(self, Self::Historic(_) | Self::Invalid)
    }
}

/// Call data of `checkDACert(bytes)`.
#[must_use]
pub fn check_da_cert(certificate: &Certificate) -> Bytes {
    abi::checkDACertCall { abiEncodedCert: abi_encoded(certificate) }.abi_encode().into()
}

/// The certificate as the contract reads it: `abi.encode` of the struct. Version 2 goes as version 3, whose parts are
/// the same.
#[must_use]
pub fn abi_encoded(certificate: &Certificate) -> Bytes {
    let v3 = abi::CertV3 {
        batchHeader: (&certificate.batch_header).into(),
        blobInclusionInfo: (&certificate.blob_inclusion).into(),
        nonSignerStakesAndSignature: (&certificate.signatures).into(),
        signedQuorumNumbers: certificate.signed_quorum_numbers.clone(),
    };
    let Version::V4 { offchain_derivation_version } = certificate.version else { return v3.abi_encode().into() };
    let v4 = abi::CertV4 {
        batchHeader: v3.batchHeader,
        blobInclusionInfo: v3.blobInclusionInfo,
        nonSignerStakesAndSignature: v3.nonSignerStakesAndSignature,
        signedQuorumNumbers: v3.signedQuorumNumbers,
        offchainDerivationVersion: offchain_derivation_version,
    };
    v4.abi_encode().into()
}

const fn malformed(reason: String) -> SchemaError {
    SchemaError::Malformed { what: "checkDACert", reason }
}
