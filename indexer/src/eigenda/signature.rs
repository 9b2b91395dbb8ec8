//! The pairings of a certificate: the operators' signature, and the length of the blob.
//!
//! Each check is a [`Claim`] about a product of pairings. All claims of a certificate, and of all certificates that are
//! judged in one round, are tried at once, which costs little more than one of them; only when they do not hold together
//! is each looked at, to name the one that fails.

use alloy_primitives::{B256, U256, keccak256};
use ark_bn254::{Fq, Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::{AffineRepr as _, CurveGroup as _};
use ark_ff::{Field as _, PrimeField as _};
use ark_serialize::CanonicalSerialize as _;
use tributary_schemas::eigenda::{BlobCommitment, Certificate, G1, Signatures, hash};

use super::ladder::Outcome;
use super::setup::{Setup, pairings_cancel};
use super::{curve, msm};

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

/// What a check comes down to: the product of two pairings is one.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pairs: [(G1Affine, G2Affine); 2],
    /// What is said when it is not.
    otherwise: &'static str,
}

impl Claim {
    /// That the product of these pairings is one; `otherwise` is said when it is not.
    pub(super) const fn new(pairs: [(G1Affine, G2Affine); 2], otherwise: &'static str) -> Self {
        Self { pairs, otherwise }
    }

    /// Whether it holds, by itself.
    pub(super) fn alone(self, setup: &Setup) -> Result<(), Refused> {
        let lines = |(left, right): (G1Affine, G2Affine)| (left, setup.lines(&right));
        if pairings_cancel(self.pairs.map(lines)) { Ok(()) } else { Err(self.otherwise.to_owned()) }
    }
}

/// The points of G2 in a certificate. Each is read once: to find out whether it is in the subgroup is dear.
#[derive(Debug, Clone)]
pub(super) struct PointsInG2 {
    apk: Result<G2Affine, Refused>,
    length_commitment: Result<G2Affine, Refused>,
    length_proof: Result<G2Affine, Refused>,
}

impl PointsInG2 {
    pub(super) fn read(signatures: &Signatures, commitment: &BlobCommitment) -> Self {
        let read = |what, point| curve::g2(what, point).map_err(|error| error.to_string());
        Self {
            apk: read("apk_g2", &signatures.apk_g2),
            length_commitment: read("length_commitment", &commitment.length_commitment),
            length_proof: read("length_proof", &commitment.length_proof),
        }
    }
}

/// `e(sigma, G2) = e(hash to G1 of the batch header's hash, apk)`.
pub(super) fn bls(certificate: &Certificate, in_g2: &PointsInG2) -> Result<Claim, Refused> {
    let sigma = curve::g1("sigma", &certificate.signatures.sigma).map_err(|error| error.to_string())?;
    let apk = in_g2.apk.clone()?;
    if apk.is_zero() {
        return Err("apk_g2 is infinity: nobody signed".to_owned());
    }
    let message = hash_to_g1(hash::batch_header_hash(&certificate.batch_header));
    Ok(Claim {
        pairs: [(sigma, G2Affine::generator()), (-message, apk)],
        otherwise: "sigma is no signature of the batch header's hash under apk_g2",
    })
}

/// The signers' key is the quorums' keys without the non-signers': `None` when that cannot be known offline, because
/// some non-signer is not in every signed quorum and only the chain knows which.
pub(super) fn aggregate_key(certificate: &Certificate, in_g2: &PointsInG2) -> Option<Result<Claim, Refused>> {
    let of = &certificate.signatures;
    let everywhere = of.non_signer_stake_indices.iter().all(|indices| indices.len() == of.non_signer_pubkeys.len());
    everywhere.then(|| {
        let total = |what, keys: &[G1]| {
            keys.iter().try_fold(G1Projective::default(), |sum, key| curve::g1(what, key).map(|key| sum + key))
        };
        let quorums = total("a quorum's key", &of.quorum_apks).map_err(|error| error.to_string())?;
        let absent = total("a non-signer's key", &of.non_signer_pubkeys).map_err(|error| error.to_string())?;
        // Each non-signer is missing in every quorum.
        let times = Fr::from(u64::try_from(of.quorum_apks.len()).unwrap_or(u64::MAX));
        let signers = quorums - msm::few(&[(absent.into_affine(), times)]);
        Ok(Claim {
            pairs: [(signers.into_affine(), G2Affine::generator()), (-G1Affine::generator(), in_g2.apk.clone()?)],
            otherwise: "apk_g2 is not the quorums' keys without the non-signers'",
        })
    })
}

/// Whether the length is one a blob can have, and its logarithm.
pub(super) fn length(commitment: &BlobCommitment, setup: &Setup) -> Result<usize, Refused> {
    let most = setup.shifts.len() - 1;
    let log = usize::try_from(commitment.length.trailing_zeros()).unwrap_or(usize::MAX);
    if commitment.length.is_power_of_two() && log <= most {
        return Ok(log);
    }
    Err(format!("length {}: expected a power of two, at most 2^{most}", commitment.length))
}

/// `e(commitment, G2) = e(G1, length commitment)`: both commit to one polynomial.
pub(super) fn length_commitment(commitment: &BlobCommitment, in_g2: &PointsInG2) -> Result<Claim, Refused> {
    let of_g1 = curve::g1("commitment", &commitment.commitment).map_err(|error| error.to_string())?;
    let of_g2 = in_g2.length_commitment.clone()?;
    Ok(Claim {
        pairs: [(of_g1, G2Affine::generator()), (-G1Affine::generator(), of_g2)],
        otherwise: "length_commitment and commitment are of two polynomials",
    })
}

/// `e(tau^(2^28 - length), length commitment) = e(G1, length proof)`: shifted to the end of the setup, the polynomial
/// still fits. The length is given by its logarithm.
pub(super) fn length_proof(log: usize, in_g2: &PointsInG2, setup: &Setup) -> Result<Claim, Refused> {
    let (of_g2, proof) = (in_g2.length_commitment.clone()?, in_g2.length_proof.clone()?);
    Ok(Claim {
        pairs: [(setup.shifts[log], of_g2), (-G1Affine::generator(), proof)],
        otherwise: "length_proof does not show that the blob is no longer than its length",
    })
}

/// How far a check has come.
#[derive(Debug, Clone)]
pub(super) enum Stand {
    /// It is through.
    Settled(Outcome),
    /// It comes down to this.
    Claimed(Box<Claim>),
}

impl Stand {
    /// A check that needs no pairing.
    pub(super) fn settled(result: Result<(), Refused>) -> Self {
        Self::Settled(outcome(result))
    }

    fn claim(&self) -> Option<&Claim> {
        match self {
            Self::Settled(_) => None,
            Self::Claimed(claim) => Some(claim),
        }
    }
}

impl From<Result<Claim, Refused>> for Stand {
    fn from(claim: Result<Claim, Refused>) -> Self {
        claim.map_or_else(|why| Self::Settled(Outcome::Failed(why)), |claim| Self::Claimed(Box::new(claim)))
    }
}

fn outcome(result: Result<(), Refused>) -> Outcome {
    result.map_or_else(Outcome::Failed, |()| Outcome::Passed)
}

/// How checks end. All claims are tried together, and each alone when they do not hold together.
pub(super) fn decide(stands: Vec<Stand>, setup: &Setup) -> Vec<Outcome> {
    let claims: Vec<&Claim> = stands.iter().filter_map(Stand::claim).collect();
    let together = hold_together(&claims, setup);
    end(stands, together, setup)
}

/// How the checks of several certificates end. The claims of all are tried together; when they do not hold, those of
/// each certificate are.
pub(super) fn decide_all(groups: Vec<Vec<Stand>>, setup: &Setup) -> Vec<Vec<Outcome>> {
    let claims: Vec<&Claim> = groups.iter().flatten().filter_map(Stand::claim).collect();
    if groups.len() > 1 && hold_together(&claims, setup) {
        return groups.into_iter().map(|stands| end(stands, true, setup)).collect();
    }
    groups.into_iter().map(|stands| decide(stands, setup)).collect()
}

fn end(stands: Vec<Stand>, together: bool, setup: &Setup) -> Vec<Outcome> {
    let end = |stand| match stand {
        Stand::Settled(outcome) => outcome,
        Stand::Claimed(_) if together => Outcome::Passed,
        Stand::Claimed(claim) => outcome(claim.alone(setup)),
    };
    stands.into_iter().map(end).collect()
}

/// Names the protocol in the weights.
const DOMAIN: &[u8] = b"trib/eigenda/claims/1";

/// Whether all claims hold, by one product of pairings: that of each claim raised to a weight of its own. Points that
/// are paired with one point of G2 are added up first, so a product of few pairings is left, and its last step, as dear
/// as two of them, is done once.
///
/// The weights are 128 bits of a digest over every point of every claim. Whoever made the points could not know them,
/// so a product that hides a false claim is found by chance alone, once in 2^128 tries. The first weight is one: only
/// their ratios count.
fn hold_together(claims: &[&Claim], setup: &Setup) -> bool {
    let mut points = DOMAIN.to_vec();
    for (left, right) in claims.iter().flat_map(|claim| &claim.pairs) {
        let written = left.serialize_uncompressed(&mut points).and_then(|()| right.serialize_uncompressed(&mut points));
        if written.is_err() {
            return false;
        }
    }
    let digest = keccak256(&points);
    let mut terms: Vec<(G2Affine, Vec<(G1Affine, Fr)>)> = Vec::new();
    for (index, claim) in (0_u64..).zip(claims) {
        let weight = match index {
            0 => Fr::ONE,
            _ => Fr::from_be_bytes_mod_order(&keccak256([digest.as_slice(), &index.to_be_bytes()].concat())[..16]),
        };
        for (left, right) in claim.pairs {
            match terms.iter_mut().find(|(known, _)| *known == right) {
                Some((_, lefts)) => lefts.push((left, weight)),
                None => terms.push((right, vec![(left, weight)])),
            }
        }
    }
    let lefts: Vec<G1Projective> = terms.iter().map(|(_, lefts)| msm::few(lefts)).collect();
    let lefts = G1Projective::normalize_batch(&lefts);
    pairings_cancel(lefts.into_iter().zip(terms.iter().map(|(right, _)| setup.lines(right))))
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
