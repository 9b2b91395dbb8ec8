//! EigenDA's formats: what a batcher or an application posts instead of its data, and the hashes over it.
//!
//! ```text
//! calldata = 01 ‖ commitment                       specs of the OP Stack, alt-DA mode
//! commitment = 00 ‖ keccak256(payload)             keccak mode
//!            | 01 ‖ 00 ‖ version ‖ RLP(certificate)  generic mode, DA layer 00 = EigenDA
//! standard   =           version ‖ RLP(certificate)
//! ```
//!
//! 1. [`commitment`]: the envelope; its mode is an argument, because the bytes do not say it;
//! 2. [`certificate`]: versions 2 to 4, of the network since 2025; [`certificate_v1`]: the ones before;
//! 3. [`hash`]: blob key, certificate hash, Merkle root, batch header hash; [`router`]: the question `checkDACert`
//!    on L1 and its answers.
//!
//! Reading is strict (canonical RLP, nothing after it, bounded lists), so that a certificate has one encoding and
//! encoding what was read gives the same bytes. It is not verifying: points may lie off the curve here, signatures
//! may be of any length. What a certificate proves is judged by the indexer, level by level.

mod abi;
pub mod certificate;
pub mod certificate_v1;
pub mod commitment;
mod form;
pub mod hash;
pub mod router;

pub use certificate::{
    BatchHeader, BlobCertificate, BlobCommitment, BlobHeader, BlobInclusion, Certificate, G1, G2, Quadratic,
    Signatures, Version,
};
pub use certificate_v1::{CertificateV1, CommitmentV1};
pub use commitment::{Commitment, Mode, Posted};
pub use form::Form;

#[cfg(test)]
mod tests;
