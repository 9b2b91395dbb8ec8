//! The pairings of a certificate: the operators' signature, and the length of the blob.

use alloy_primitives::{B256, U256};
use ark_bn254::{Fq, Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::{AffineRepr as _, CurveGroup as _};
use ark_ff::{Field as _, PrimeField as _};
use tributary_schemas::eigenda::{BlobCommitment, Certificate, hash};

use super::curve;
use super::setup::{Setup, pairings_cancel};

/// Why a pairing check does not hold.
pub(super) type Refused = String;

/// Whether lists that go together have one length, as `BLSSignatureChecker` asks, and the blob's quorums signed.
pub(super) fn shape(certificate: &Certificate) -> Result<(), Refused> {
    let (of, quorums) = (&certificate.signatures, certificate.signed_quorum_numbers.as_ref());
    if quorums.is_empty() || !quorums.is_sorted_by(|left, right| left < right) {
        return Err(format!("signed quorums {quorums:?}: expected one or more, ascending"));
    }
    let lists = [
        ("quorum keys", of.quorum_apks.len(), quorums.len()),
        ("quorum key indices", of.quorum_apk_indices.len(), quorums.len()),
        ("total stake indices", of.total_stake_indices.len(), quorums.len()),
        ("lists of non-signer stake indices", of.non_signer_stake_indices.len(), quorums.len()),
        ("non-signer bitmap indices", of.non_signer_quorum_bitmap_indices.len(), of.non_signer_pubkeys.len()),
    ];
    if let Some((what, got, expected)) = lists.into_iter().find(|(_, got, expected)| got != expected) {
        return Err(format!("{got} {what}: expected {expected}"));
    }
    match certificate.blob_header().quorum_numbers.iter().find(|quorum| !quorums.contains(quorum)) {
        Some(quorum) => Err(format!("the blob's quorum {quorum} is not among those that signed, {quorums:?}")),
        None => Ok(()),
    }
}

/// `e(sigma, G2) = e(hash to G1 of the batch header's hash, apk)`.
pub(super) fn bls(certificate: &Certificate) -> Result<(), Refused> {
    let sigma = curve::g1("sigma", &certificate.signatures.sigma).map_err(|error| error.to_string())?;
    let apk = curve::g2("apk_g2", &certificate.signatures.apk_g2).map_err(|error| error.to_string())?;
    if apk.is_zero() {
        return Err("apk_g2 is infinity: nobody signed".to_owned());
    }
    let message = hash_to_g1(hash::batch_header_hash(&certificate.batch_header));
    holds(
        pairings_cancel([sigma, -message], [G2Affine::generator(), apk]),
        "sigma is no signature of the batch header's hash under apk_g2",
    )
}

/// Whether the signers' key is the quorums' keys without the non-signers': `None` when that cannot be known offline,
/// because some non-signer is not in every signed quorum and only the chain knows which.
pub(super) fn aggregate_key(certificate: &Certificate) -> Option<Result<(), Refused>> {
    let of = &certificate.signatures;
    let everywhere = of.non_signer_stake_indices.iter().all(|indices| indices.len() == of.non_signer_pubkeys.len());
    everywhere.then(|| {
        let mut sum = G1Projective::default();
        for key in &of.quorum_apks {
            sum += curve::g1("a quorum's key", key).map_err(|error| error.to_string())?;
        }
        let times = Fr::from(u64::try_from(of.quorum_apks.len()).unwrap_or(u64::MAX));
        for key in &of.non_signer_pubkeys {
            sum -= curve::g1("a non-signer's key", key).map_err(|error| error.to_string())? * times;
        }
        let apk = curve::g2("apk_g2", &of.apk_g2).map_err(|error| error.to_string())?;
        holds(
            pairings_cancel([sum.into_affine(), -G1Affine::generator()], [G2Affine::generator(), apk]),
            "apk_g2 is not the quorums' keys without the non-signers'",
        )
    })
}

/// Whether the length is one a blob can have.
pub(super) fn length(commitment: &BlobCommitment, setup: &Setup) -> Result<usize, Refused> {
    let most = setup.shifts.len() - 1;
    let log = usize::try_from(commitment.length.trailing_zeros()).unwrap_or(usize::MAX);
    if commitment.length.is_power_of_two() && log <= most {
        return Ok(log);
    }
    Err(format!("length {}: expected a power of two, at most 2^{most}", commitment.length))
}

/// `e(commitment, G2) = e(G1, length commitment)`: both commit to one polynomial.
pub(super) fn length_commitment(commitment: &BlobCommitment) -> Result<(), Refused> {
    let of_g1 = curve::g1("commitment", &commitment.commitment).map_err(|error| error.to_string())?;
    let of_g2 = curve::g2("length_commitment", &commitment.length_commitment).map_err(|error| error.to_string())?;
    holds(
        pairings_cancel([of_g1, -G1Affine::generator()], [G2Affine::generator(), of_g2]),
        "length_commitment and commitment are of two polynomials",
    )
}

/// `e(tau^(2^28 - length), length commitment) = e(G1, length proof)`: shifted to the end of the setup, the polynomial
/// still fits.
pub(super) fn length_proof(commitment: &BlobCommitment, setup: &Setup) -> Result<(), Refused> {
    let shift = setup.shifts[length(commitment, setup)?];
    let of_g2 = curve::g2("length_commitment", &commitment.length_commitment).map_err(|error| error.to_string())?;
    let proof = curve::g2("length_proof", &commitment.length_proof).map_err(|error| error.to_string())?;
    holds(
        pairings_cancel([shift, -G1Affine::generator()], [of_g2, proof]),
        "length_proof does not show that the blob is no longer than its length",
    )
}

/// The first point at or after the digest, as EigenDA's `BN254.hashToG1` finds it.
pub(super) fn hash_to_g1(digest: B256) -> G1Affine {
    let mut x = Fq::from_be_bytes_mod_order(&U256::from_be_bytes(digest.0).to_be_bytes::<32>());
    loop {
        let square = x.square() * x + Fq::from(3_u64);
        // p is 3 mod 4, so this is the root that b^((p+1)/4) gives, if there is one
        let root = square.pow(ROOT_EXPONENT);
        if root.square() == square {
            return G1Affine::new_unchecked(x, root);
        }
        x += Fq::ONE;
    }
}

/// `(p + 1) / 4` of BN254's base field, as in EigenDA's `BN254.findYFromX`.
const ROOT_EXPONENT: [u64; 4] =
    [0x4f08_2305_b61f_3f52, 0x65e0_5aa4_5a1c_72a3, 0x6e14_116d_a060_5617, 0x0c19_139c_b84c_680a];

fn holds(held: bool, otherwise: &str) -> Result<(), Refused> {
    if held { Ok(()) } else { Err(otherwise.to_owned()) }
}
