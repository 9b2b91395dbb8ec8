//! The Solidity side of the structs, for `abi.encode`: hashes and `checkDACert` are over it.

#![allow(clippy::all, clippy::pedantic, reason = "generated")]

alloy_sol_types::sol! {
    struct G1Point { uint256 X; uint256 Y; }
    struct G2Point { uint256[2] X; uint256[2] Y; }
    struct BlobCommitment { G1Point commitment; G2Point lengthCommitment; G2Point lengthProof; uint32 length; }
    struct BlobHeaderV2 { uint16 version; bytes quorumNumbers; BlobCommitment commitment; bytes32 paymentHeaderHash; }
    struct BlobCertificate { BlobHeaderV2 blobHeader; bytes signature; uint32[] relayKeys; }
    struct BlobInclusionInfo { BlobCertificate blobCertificate; uint32 blobIndex; bytes inclusionProof; }
    struct BatchHeaderV2 { bytes32 batchRoot; uint32 referenceBlockNumber; }
    struct NonSignerStakesAndSignature {
        uint32[] nonSignerQuorumBitmapIndices;
        G1Point[] nonSignerPubkeys;
        G1Point[] quorumApks;
        G2Point apkG2;
        G1Point sigma;
        uint32[] quorumApkIndices;
        uint32[] totalStakeIndices;
        uint32[][] nonSignerStakeIndices;
    }
    struct CertV3 {
        BatchHeaderV2 batchHeader;
        BlobInclusionInfo blobInclusionInfo;
        NonSignerStakesAndSignature nonSignerStakesAndSignature;
        bytes signedQuorumNumbers;
    }
    struct CertV4 {
        BatchHeaderV2 batchHeader;
        BlobInclusionInfo blobInclusionInfo;
        NonSignerStakesAndSignature nonSignerStakesAndSignature;
        bytes signedQuorumNumbers;
        uint16 offchainDerivationVersion;
    }
    struct PaymentHeader { string accountId; int64 timestamp; uint256 cumulativePayment; }

    struct QuorumBlobParam {
        uint8 quorumNumber;
        uint8 adversaryThresholdPercentage;
        uint8 confirmationThresholdPercentage;
        uint32 chunkLength;
    }
    struct BlobHeaderV1 { G1Point commitment; uint32 dataLength; QuorumBlobParam[] quorumBlobParams; }

    function checkDACert(bytes abiEncodedCert) external view returns (uint8);
}

use super::certificate as of;
use super::certificate_v1 as v1;

impl From<&of::G1> for G1Point {
    fn from(point: &of::G1) -> Self {
        Self { X: point.x, Y: point.y }
    }
}

impl From<&of::G2> for G2Point {
    fn from(point: &of::G2) -> Self {
        Self { X: [point.x.c1, point.x.c0], Y: [point.y.c1, point.y.c0] }
    }
}

impl From<&of::BlobCommitment> for BlobCommitment {
    fn from(found: &of::BlobCommitment) -> Self {
        Self {
            commitment: (&found.commitment).into(),
            lengthCommitment: (&found.length_commitment).into(),
            lengthProof: (&found.length_proof).into(),
            length: found.length,
        }
    }
}

impl From<&of::BlobInclusion> for BlobInclusionInfo {
    fn from(found: &of::BlobInclusion) -> Self {
        let header = &found.blob_certificate.blob_header;
        Self {
            blobCertificate: BlobCertificate {
                blobHeader: BlobHeaderV2 {
                    version: header.version,
                    quorumNumbers: header.quorum_numbers.clone(),
                    commitment: (&header.commitment).into(),
                    paymentHeaderHash: header.payment_header_hash,
                },
                signature: found.blob_certificate.signature.clone(),
                relayKeys: found.blob_certificate.relay_keys.clone(),
            },
            blobIndex: found.blob_index,
            inclusionProof: found.inclusion_proof.clone(),
        }
    }
}

impl From<&of::BatchHeader> for BatchHeaderV2 {
    fn from(found: &of::BatchHeader) -> Self {
        Self { batchRoot: found.batch_root, referenceBlockNumber: found.reference_block_number }
    }
}

impl From<&of::Signatures> for NonSignerStakesAndSignature {
    fn from(found: &of::Signatures) -> Self {
        Self {
            nonSignerQuorumBitmapIndices: found.non_signer_quorum_bitmap_indices.clone(),
            nonSignerPubkeys: found.non_signer_pubkeys.iter().map(Into::into).collect(),
            quorumApks: found.quorum_apks.iter().map(Into::into).collect(),
            apkG2: (&found.apk_g2).into(),
            sigma: (&found.sigma).into(),
            quorumApkIndices: found.quorum_apk_indices.clone(),
            totalStakeIndices: found.total_stake_indices.clone(),
            nonSignerStakeIndices: found.non_signer_stake_indices.clone(),
        }
    }
}

impl From<&v1::BlobHeaderV1> for BlobHeaderV1 {
    fn from(found: &v1::BlobHeaderV1) -> Self {
        let params = found.blob_quorum_params.iter().map(|param| QuorumBlobParam {
            quorumNumber: param.quorum_number,
            adversaryThresholdPercentage: param.adversary_threshold_percentage,
            confirmationThresholdPercentage: param.confirmation_threshold_percentage,
            chunkLength: param.chunk_length,
        });
        Self {
            // longer coordinates are refused when a certificate is read; one built by hand hashes as zero
            commitment: (&found.commitment.point().unwrap_or_default()).into(),
            dataLength: found.data_length,
            quorumBlobParams: params.collect(),
        }
    }
}
