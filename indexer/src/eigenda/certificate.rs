//! L1 to L3 of a certificate. Each level is only tried when the one under it held: the cheapest check that must fail
//! is the one that is named.

use alloy_primitives::{Address, B256, Signature};
use tributary_schemas::eigenda::router::CertStatus;
use tributary_schemas::eigenda::{BatchHeader, Certificate, CertificateV1, hash};

use super::ladder::{Level, Outcome};
use super::report::Report;
use super::setup::Setup;
use super::signature::{self, Stand};

/// L1 of versions 2 to 4, and how far the checks of L2 have come.
pub(super) fn certificate_checks(
    report: &mut Report,
    certificate: &Certificate,
    setup: &Setup,
) -> Vec<(&'static str, Stand)> {
    let blob = &certificate.blob_inclusion.blob_certificate;
    let (key, leaf) = (hash::blob_key(&blob.blob_header), hash::certificate_hash(blob));
    report.blob_key = Some(key);
    report.certificate_hash = Some(leaf);
    report.batch_header_hash = Some(hash::batch_header_hash(&certificate.batch_header));
    let at = &certificate.blob_inclusion;
    let included = inclusion(leaf, at.blob_index, &at.inclusion_proof, certificate.batch_header.batch_root);
    report.record(Level::L1, "merkle_inclusion", included);
    match dispersing_account(key, &blob.signature) {
        Ok(account) => {
            report.dispersing_account = Some(account);
            report.pass(Level::L1, "dispersing_account");
        }
        Err(why) => report.fail(Level::L1, "dispersing_account", &why),
    }
    if report.failed(Level::L1) {
        report.skip(Level::L2, "signatures_and_length", "a check of L1 failed");
        return Vec::new();
    }
    pairing_checks(certificate, setup)
}

/// L3: what `checkDACert` said.
pub(super) fn stake_check(report: &mut Report, answer: Option<CertStatus>) {
    match answer {
        None => report.skip(Level::L3, "check_da_cert", "checkDACert was not asked"),
        Some(CertStatus::Success) => report.pass(Level::L3, "check_da_cert"),
        Some(CertStatus::Internal | CertStatus::Null) => {
            report.skip(Level::L3, "check_da_cert", "checkDACert failed on its own account");
        }
        Some(other) => report.fail(Level::L3, "check_da_cert", &format!("checkDACert answered {other:?}")),
    }
}

fn pairing_checks(certificate: &Certificate, setup: &Setup) -> Vec<(&'static str, Stand)> {
    let commitment = certificate.commitment();
    let length = signature::length(commitment, setup);
    let in_g2 = signature::PointsInG2::read(&certificate.signatures, commitment);
    let in_the_chain = "a non-signer is not in every signed quorum: only the chain knows in which";
    vec![
        ("signature_lists", Stand::settled(signature::shape(certificate))),
        ("bls_signature", signature::bls(certificate, &in_g2).into()),
        (
            "aggregate_key",
            signature::aggregate_key(certificate, &in_g2)
                .map_or_else(|| Stand::Settled(Outcome::Absent(in_the_chain.to_owned())), Stand::from),
        ),
        ("length", Stand::settled(length.clone().map(|_log| ()))),
        ("length_commitment", signature::length_commitment(commitment, &in_g2).into()),
        (
            "length_proof",
            match length {
                Ok(log) => signature::length_proof(log, &in_g2, setup).into(),
                Err(_said) => Stand::Settled(Outcome::NotRun("there is no such length".to_owned())),
            },
        ),
    ]
}

/// L1 of version 1. The certificate holds no signature at all: the service manager contract checked them when the
/// batch was confirmed, and kept the hash of its metadata.
pub(super) fn certificate_checks_v1(report: &mut Report, certificate: &CertificateV1) {
    let proof = &certificate.blob_verification_proof;
    let of_batch = &proof.batch_metadata;
    let leaf = hash::blob_header_hash_v1(&certificate.blob_header);
    let header = BatchHeader {
        batch_root: of_batch.batch_header.batch_root,
        reference_block_number: of_batch.batch_header.reference_block_number,
    };
    let batch = hash::batch_header_hash(&header);
    report.certificate_hash = Some(leaf);
    report.batch_header_hash = Some(batch);
    report.record(
        Level::L1,
        "merkle_inclusion",
        inclusion(leaf, proof.blob_index, &proof.inclusion_proof, header.batch_root),
    );
    let same = batch == of_batch.batch_header_hash;
    let differs = || format!("the batch header hashes to {batch}: the certificate says {}", of_batch.batch_header_hash);
    report.record(Level::L1, "batch_header_hash", if same { Ok(()) } else { Err(differs()) });
    report.record(Level::L1, "quorums", quorums_v1(certificate));
    report.absent(Level::L1, "dispersing_account", "version 1 does not hold the request's signature");
    report.absent(Level::L2, "signatures_and_length", "version 1 does not hold the operators' signature");
    report.absent(Level::L3, "check_da_cert", "version 1 is not what checkDACert reads");
}

/// Whether each of the blob's quorums is the batch's at the index given for it, as `EigenDABlobUtilsV1` asks.
fn quorums_v1(certificate: &CertificateV1) -> Result<(), String> {
    let proof = &certificate.blob_verification_proof;
    let (quorums, batch) = (&certificate.blob_header.blob_quorum_params, &proof.batch_metadata.batch_header);
    if quorums.len() != proof.quorum_indexes.len() {
        return Err(format!("{} quorum indexes: expected {}", proof.quorum_indexes.len(), quorums.len()));
    }
    let wrong = quorums
        .iter()
        .zip(&proof.quorum_indexes)
        .find(|(quorum, index)| batch.quorum_numbers.get(usize::from(**index)) != Some(&quorum.quorum_number));
    match wrong {
        Some((quorum, index)) => Err(format!("quorum {} is not the batch's at {index}", quorum.quorum_number)),
        None => Ok(()),
    }
}

/// Recovers who signed a blob's request, as `core/auth/v2` does: v is 0 or 1, the message is the blob key itself.
fn dispersing_account(key: B256, signature: &[u8]) -> Result<Address, String> {
    let [rs @ .., v @ (0 | 1)] = signature else {
        return Err(format!("a signature of {} bytes: expected 65, the last 0 or 1", signature.len()));
    };
    if rs.len() != 64 {
        return Err(format!("a signature of {} bytes: expected 65", signature.len()));
    }
    Signature::from_bytes_and_parity(rs, *v == 1).recover_address_from_prehash(&key).map_err(|error| error.to_string())
}

/// The Merkle proof from a leaf's hash to the root.
pub(super) fn inclusion(leaf: B256, index: u32, proof: &[u8], root: B256) -> Result<(), String> {
    let Some((found, rest)) = hash::inclusion_root(leaf, index, proof) else {
        return Err(format!("an inclusion proof of {} bytes: expected a multiple of 32", proof.len()));
    };
    if found != root {
        return Err(format!("the proof leads to {found}: expected the batch root {root}"));
    }
    if rest != 0 {
        return Err(format!("index {index} lies outside a tree of {} levels", proof.len() / 32));
    }
    Ok(())
}
