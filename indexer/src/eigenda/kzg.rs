//! Commitments from bytes, and proofs that bytes open them.
//!
//! An encoded payload is a power-of-two number of field elements. They are, by the configuration of whoever
//! dispersed them, the values of a polynomial at the roots of unity (the default) or its coefficients; the
//! certificate does not say which.
//!
//! An opening proof shows that the committed polynomial has, at a point drawn from bytes and commitment together, the
//! value these bytes give it. It is 32 bytes, is made once with the SRS, and is verified with one constant of the
//! setup: two pairings and a pass over the bytes.

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr as _, CurveGroup as _};
use ark_ff::{Field as _, One as _, PrimeField as _, Zero as _, batch_inversion};
use ark_poly::{EvaluationDomain as _, Radix2EvaluationDomain};
use ark_serialize::CanonicalSerialize as _;
use sha2::{Digest as _, Sha256};
use tributary_schemas::eigenda::{Form, G1};
use tributary_schemas::payload_codec::ELEMENTS_MAX;

use super::setup::Setup;
use super::signature::Claim;
use super::srs::Srs;
use super::{EigenDaError, curve, msm};

/// An opening proof: a point of G1 in gnark's compressed form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening(pub [u8; 32]);

/// Names the protocol in the challenge, as EigenDA's own verifiers do.
const DOMAIN: &[u8] = b"EIGENDA_FSBLOBVERIFY_V1_";

impl Srs {
    /// The commitment to an encoded payload.
    pub fn commit(&self, encoded: &[u8], form: Form) -> Result<G1, EigenDaError> {
        let coefficients = coefficients(elements(encoded)?, form)?;
        Ok(curve::coordinates(&self.combine(&coefficients)?))
    }

    /// The proof that an encoded payload opens its commitment.
    pub fn open(&self, encoded: &[u8], form: Form, commitment: &G1) -> Result<Opening, EigenDaError> {
        let commitment = curve::g1("commitment", commitment)?;
        let (opened, _at) = self.opened(encoded, form, &commitment)?;
        Ok(Opening(curve::compress(&opened.proof)))
    }

    /// The proof that an encoded payload opens this commitment, if the commitment is to it:
    /// [`EigenDaError::Commitment`] when not.
    ///
    /// This is as good as making the commitment again, at the price of the proof alone. The proof commits to what is
    /// left of this payload's own polynomial, so of all commitments it fits exactly the payload's: nobody else has a
    /// say in it, and no chance is left for another one to pass.
    pub fn prove(&self, encoded: &[u8], form: Form, commitment: &G1) -> Result<Opening, EigenDaError> {
        let (opening, claim) = self.claim(encoded, form, commitment)?;
        claim.alone(self.setup()).map(|()| opening).map_err(|_said| EigenDaError::Commitment { form })
    }

    /// The proof, and what it comes down to that the commitment is to this payload.
    pub(super) fn claim(&self, encoded: &[u8], form: Form, commitment: &G1) -> Result<(Opening, Claim), EigenDaError> {
        let commitment = curve::g1("commitment", commitment)?;
        let (opened, at) = self.opened(encoded, form, &commitment)?;
        Ok((Opening(curve::compress(&opened.proof)), self.setup().opens(&commitment, &opened, at)))
    }

    /// The value at the point that is drawn, and the commitment to what is left of the polynomial beside it.
    fn opened(&self, encoded: &[u8], form: Form, commitment: &G1Affine) -> Result<(Opened, Fr), EigenDaError> {
        let coefficients = coefficients(elements(encoded)?, form)?;
        let too_few = EigenDaError::TooFewPoints { have: self.points(), need: coefficients.len() };
        if coefficients.len() > self.points() {
            return Err(too_few);
        }
        let at = challenge(encoded, commitment)?;
        // (p(X) - p(at)) / (X - at), from the highest coefficient down; what is carried out at the end is p(at)
        let mut quotient = vec![Fr::zero(); coefficients.len() - 1];
        let mut carried = Fr::zero();
        for (place, coefficient) in quotient.iter_mut().zip(&coefficients[1..]).rev() {
            carried = carried * at + coefficient;
            *place = carried;
        }
        let value = carried * at + coefficients[0];
        Ok((Opened { value, proof: self.combine(&quotient)? }, at))
    }
}

/// What a polynomial is at a point, and the proof of that.
#[derive(Debug, Clone, Copy)]
struct Opened {
    value: Fr,
    proof: G1Affine,
}

impl Setup {
    /// Whether these bytes are what was committed to: [`EigenDaError::Opening`] when not.
    pub fn verify_opening(
        &self,
        encoded: &[u8],
        form: Form,
        commitment: &G1,
        opening: &Opening,
    ) -> Result<(), EigenDaError> {
        let commitment = curve::g1("commitment", commitment)?;
        let proof = curve::decompress("opening proof", &opening.0)?;
        let elements = elements(encoded)?;
        let at = challenge(encoded, &commitment)?;
        let value = match form {
            Form::Coefficients => elements.iter().rev().fold(Fr::zero(), |sum, coefficient| sum * at + coefficient),
            Form::Evaluations => interpolate(&elements, at)?,
        };
        let claim = self.opens(&commitment, &Opened { value, proof }, at);
        claim.alone(self).map_err(|_said| EigenDaError::Opening)
    }

    /// `e(C - value·G1 + at·proof, G2) = e(proof, tau·G2)`.
    fn opens(&self, commitment: &G1Affine, opened: &Opened, at: Fr) -> Claim {
        let terms = [(-G1Affine::generator(), opened.value), (opened.proof, at)];
        let left = msm::few(&terms) + commitment;
        let pairs = [(left.into_affine(), G2Affine::generator()), (-opened.proof, self.tau_g2)];
        Claim::new(pairs, "the commitment is to other bytes")
    }
}

/// The elements, each refused at or above the order of the field: reducing them would give two encodings one
/// commitment.
fn elements(encoded: &[u8]) -> Result<Vec<Fr>, EigenDaError> {
    let (chunks, rest) = encoded.as_chunks::<32>();
    if !rest.is_empty() || !chunks.len().is_power_of_two() || chunks.len() > ELEMENTS_MAX {
        return Err(EigenDaError::Length { got: encoded.len(), most: ELEMENTS_MAX });
    }
    let scalars = chunks.iter().enumerate();
    scalars.map(|(index, bytes)| curve::scalar(bytes).ok_or(EigenDaError::Element { index })).collect()
}

fn coefficients(elements: Vec<Fr>, form: Form) -> Result<Vec<Fr>, EigenDaError> {
    match form {
        Form::Coefficients => Ok(elements),
        Form::Evaluations => Ok(domain(elements.len())?.ifft(&elements)),
    }
}

fn domain(size: usize) -> Result<Radix2EvaluationDomain<Fr>, EigenDaError> {
    let length = EigenDaError::Length { got: size * 32, most: ELEMENTS_MAX };
    Radix2EvaluationDomain::new(size).ok_or(length)
}

/// The value at `at` of the polynomial with these values at the roots of unity:
/// `(at^n - 1) / n · Σ value_i · root_i / (at - root_i)`, with one inversion for all.
fn interpolate(values: &[Fr], at: Fr) -> Result<Fr, EigenDaError> {
    let domain = domain(values.len())?;
    let roots: Vec<Fr> = domain.elements().collect();
    if let Some(index) = roots.iter().position(|root| *root == at) {
        return Ok(values[index]);
    }
    let mut weights: Vec<Fr> = roots.iter().map(|root| at - root).collect();
    batch_inversion(&mut weights);
    let terms = values.iter().zip(&roots).zip(&weights);
    let sum: Fr = terms.map(|((value, root), weight)| *value * root * weight).sum();
    Ok((at.pow([domain.size]) - Fr::one()) * domain.size_inv * sum)
}

/// `sha256(domain ‖ elements as u64be ‖ bytes ‖ commitment)`, reduced; the commitment little-endian with ark's flags.
fn challenge(encoded: &[u8], commitment: &G1Affine) -> Result<Fr, EigenDaError> {
    let count = u64::try_from(encoded.len() / 32);
    let length = EigenDaError::Length { got: encoded.len(), most: ELEMENTS_MAX };
    let Ok(count) = count else { return Err(length) };
    let mut point = Vec::with_capacity(32);
    if commitment.serialize_compressed(&mut point).is_err() {
        return Err(EigenDaError::Point { what: "commitment", reason: "not serializable" });
    }
    let mut hasher = Sha256::new();
    hasher.update(DOMAIN);
    hasher.update(count.to_be_bytes());
    hasher.update(encoded);
    hasher.update(point);
    Ok(Fr::from_be_bytes_mod_order(&hasher.finalize()))
}
