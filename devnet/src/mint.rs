//! A disperser of EigenDA and its operators, with every key known: whole batches of valid certificates.
//!
//! Nothing here is borrowed from the indexer's verifier, so that each judges the other. Who knows tau needs no points
//! of a setup: the commitment to a polynomial is its value at tau, times the generator. Payloads in the form of
//! evaluations get that value by the barycentric formula, where the verifier goes back to coefficients.
//!
//! ```
//! use tributary_devnet::mint::{Form, Mint};
//! use tributary_schemas::eigenda::Version;
//! # use alloy_primitives::B256;
//! # fn main() -> Result<(), tributary_devnet::DevnetError> {
//! let mut mint = Mint::new(7, B256::repeat_byte(0x2a));
//! let batch = mint.batch(Version::V3, Form::Evaluations, 100, &[b"one".to_vec(), b"two".to_vec()])?;
//! assert_eq!(batch[1].certificate.blob_inclusion.blob_index, 1);
//! assert_eq!(batch[0].certificate.batch_header, batch[1].certificate.batch_header);
//! # Ok(())
//! # }
//! ```

use std::sync::LazyLock;

use alloy::signers::{SignerSync, local::PrivateKeySigner};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use ark_bn254::{Fq, Fq2, Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::{AffineRepr as _, CurveGroup as _, PrimeGroup as _, scalar_mul::BatchMulPreprocessing};
use ark_ff::{AdditiveGroup as _, BigInt, FftField as _, Field as _, PrimeField as _, batch_inversion};
use tributary_schemas::eigenda::{
    BatchHeader, BlobCertificate, BlobCommitment, BlobHeader, BlobInclusion, Certificate, G1, G2, Quadratic,
    Signatures, Version, hash,
};
use tributary_schemas::payload_codec;

use crate::{DevnetError, keys::labelled};

/// Both quorums that every blob is dispersed to, and that sign every batch.
const QUORUMS: [u8; 2] = [0, 1];
/// 2023-11-14T22:13:20Z in nanoseconds: when the first blob was paid for; each later one a nanosecond after.
const FIRST_PAYMENT_NS: i64 = 1_700_000_000_000_000_000;
/// Coefficients of the longest polynomial that the ceremony's setup has points for.
const ORDER: u64 = 1 << 28;

/// What the elements of an encoded payload are of the blob's polynomial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Its values at the roots of unity: what proxies do unless told otherwise.
    Evaluations,
    /// Its coefficients, the constant first.
    Coefficients,
}

/// A certificate and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minted {
    /// The certificate.
    pub certificate: Certificate,
    /// The payload.
    pub payload: Vec<u8>,
    /// The payload encoded to the certificate's length.
    pub encoded: Vec<u8>,
}

/// A disperser with its paying account and its three operators, of which two sign.
#[derive(Clone, Debug)]
pub struct Mint {
    tau: Fr,
    account: PrivateKeySigner,
    /// The sum of the secrets of those who sign, once for every quorum.
    signers: Fr,
    non_signer: G1,
    quorum: G1,
    aggregate: G2,
    blobs: i64,
}

impl Mint {
    /// The disperser of a seed, over the setup of a tau that is known (taken modulo the order of the field). Equal
    /// arguments and equal calls make equal certificates.
    #[must_use]
    pub fn new(seed: u64, tau: B256) -> Self {
        let secret = |index| Fr::from_be_bytes_mod_order(labelled(seed, "blobs/operator", index).as_slice());
        let (signing, absent) = (secret(0) + secret(1), secret(2));
        let signers = signing * Fr::from(2_u64);
        let keys = times_g1(&[absent, signing + absent]);
        let account = PrivateKeySigner::from_bytes(&labelled(seed, "blobs/account", 0))
            .expect("a keccak digest is zero or above the group order once in 2^127 seeds");
        Self {
            tau: Fr::from_be_bytes_mod_order(tau.as_slice()),
            account,
            signers,
            non_signer: keys[0],
            quorum: keys[1],
            aggregate: times_g2(&[signers])[0],
            blobs: 0,
        }
    }

    /// The account that disperses, whose signature every certificate carries.
    #[must_use]
    pub const fn account(&self) -> Address {
        self.account.address()
    }

    /// One batch of one blob per payload, each encoded as short as it can be. `reference_block` is the L1 block whose
    /// stakes count.
    ///
    /// # Errors
    /// When there is no payload or one is too long for a blob.
    pub fn batch(
        &mut self,
        version: Version,
        form: Form,
        reference_block: u32,
        payloads: &[Vec<u8>],
    ) -> Result<Vec<Minted>, DevnetError> {
        let encoded: Vec<Vec<u8>> =
            payloads.iter().map(|payload| payload_codec::encode(payload).map_err(unfit)).collect::<Result<_, _>>()?;
        let commitments = self.commit(form, &encoded)?;
        let certificates = self.certify(version, reference_block, commitments)?;
        let minted = certificates.into_iter().zip(payloads).zip(encoded);
        Ok(minted
            .map(|((certificate, payload), encoded)| Minted { certificate, payload: payload.clone(), encoded })
            .collect())
    }

    /// What commits to blobs of 32-byte elements. These need not be encoded payloads.
    ///
    /// # Errors
    /// When a blob is no power-of-two number of elements, or an element is not below the order of the field.
    pub fn commit(&self, form: Form, blobs: &[Vec<u8>]) -> Result<Vec<BlobCommitment>, DevnetError> {
        let mut values = Vec::with_capacity(blobs.len());
        let mut shifted = Vec::with_capacity(blobs.len());
        let mut lengths = Vec::with_capacity(blobs.len());
        for blob in blobs {
            let elements = elements(blob)?;
            let length = u32::try_from(elements.len()).map_err(unfit)?;
            let value = match form {
                Form::Evaluations => from_evaluations(self.tau, &elements)?,
                Form::Coefficients => elements.iter().rev().fold(Fr::ZERO, |sum, element| sum * self.tau + element),
            };
            values.push(value);
            shifted.push(value * self.tau.pow([ORDER - u64::from(length)]));
            lengths.push(length);
        }
        let (commitments, mut points) = (times_g1(&values), values);
        points.append(&mut shifted);
        let points = times_g2(&points);
        let (length_commitments, length_proofs) = points.split_at(lengths.len());
        let parts = commitments.into_iter().zip(length_commitments).zip(length_proofs).zip(lengths);
        Ok(parts
            .map(|(((commitment, length_commitment), length_proof), length)| BlobCommitment {
                commitment,
                length_commitment: *length_commitment,
                length_proof: *length_proof,
                length,
            })
            .collect())
    }

    /// One batch of certificates, one per commitment.
    ///
    /// # Errors
    /// When there is no commitment, or more than 2^32.
    pub fn certify(
        &mut self,
        version: Version,
        reference_block: u32,
        commitments: Vec<BlobCommitment>,
    ) -> Result<Vec<Certificate>, DevnetError> {
        let blobs: Vec<BlobCertificate> = commitments.into_iter().map(|commitment| self.accept(commitment)).collect();
        if blobs.is_empty() {
            return Err(unfit("a batch of no blobs"));
        }
        let leaves = blobs.iter().map(|blob| keccak256(hash::certificate_hash(blob))).collect();
        let (batch_root, proofs) = tree(leaves);
        let batch_header = BatchHeader { batch_root, reference_block_number: reference_block };
        let signatures = self.sign(&batch_header);
        let placed = (0_u64..).zip(blobs.into_iter().zip(proofs));
        placed
            .map(|(index, (blob_certificate, proof))| {
                Ok(Certificate {
                    version,
                    batch_header: batch_header.clone(),
                    blob_inclusion: BlobInclusion {
                        blob_certificate,
                        blob_index: u32::try_from(index).map_err(unfit)?,
                        inclusion_proof: proof.into(),
                    },
                    signatures: signatures.clone(),
                    signed_quorum_numbers: Bytes::from_static(&QUORUMS),
                })
            })
            .collect()
    }

    /// Two of the three operators sign; all three are in both quorums, so that each counts twice.
    #[must_use]
    pub fn sign(&self, header: &BatchHeader) -> Signatures {
        let sigma = (hash_to_g1(hash::batch_header_hash(header)) * self.signers).into_affine();
        Signatures {
            non_signer_quorum_bitmap_indices: vec![5],
            non_signer_pubkeys: vec![self.non_signer],
            quorum_apks: vec![self.quorum; QUORUMS.len()],
            apk_g2: self.aggregate,
            sigma: coordinates(&sigma),
            quorum_apk_indices: vec![1, 2],
            total_stake_indices: vec![3, 4],
            non_signer_stake_indices: vec![vec![6], vec![7]],
        }
    }

    /// A blob's header, paid for and signed by the account.
    fn accept(&mut self, commitment: BlobCommitment) -> BlobCertificate {
        let paid_at = FIRST_PAYMENT_NS.saturating_add(self.blobs);
        self.blobs = self.blobs.saturating_add(1);
        let blob_header = BlobHeader {
            version: 0,
            quorum_numbers: Bytes::from_static(&QUORUMS),
            commitment,
            payment_header_hash: hash::payment_header_hash(self.account(), paid_at, U256::ZERO),
        };
        let key = hash::blob_key(&blob_header);
        let signature = self.account.sign_hash_sync(&key).expect("deterministic ECDSA over a valid key signs any hash");
        let mut bytes = Vec::with_capacity(65);
        bytes.extend_from_slice(&signature.r().to_be_bytes::<32>());
        bytes.extend_from_slice(&signature.s().to_be_bytes::<32>());
        bytes.push(u8::from(signature.v()));
        BlobCertificate { blob_header, signature: bytes.into(), relay_keys: vec![0, 3] }
    }
}

/// The generator of G1, so often: a point that has nothing to do with a certificate it is put into.
#[must_use]
pub fn g1(times: u64) -> G1 {
    times_g1(&[Fr::from(times)])[0]
}

/// The generator of G2, so often.
#[must_use]
pub fn g2(times: u64) -> G2 {
    times_g2(&[Fr::from(times)])[0]
}

/// The elements of a blob.
fn elements(blob: &[u8]) -> Result<Vec<Fr>, DevnetError> {
    let (chunks, rest) = blob.as_chunks::<32>();
    if !rest.is_empty() || !chunks.len().is_power_of_two() {
        return Err(unfit(format!("{} bytes: expected a power-of-two number of 32-byte elements", blob.len())));
    }
    let element = |bytes: &[u8; 32]| Fr::from_bigint(BigInt::new(U256::from_be_bytes(*bytes).into_limbs()));
    let found: Option<Vec<Fr>> = chunks.iter().map(element).collect();
    found.ok_or_else(|| unfit("an element that is not below the order of the field"))
}

/// The value at `tau` of the polynomial that has these values at the roots of unity:
/// `(tau^n - 1) / n * sum of y_i * w^i / (tau - w^i)`.
fn from_evaluations(tau: Fr, values: &[Fr]) -> Result<Fr, DevnetError> {
    let count = u64::try_from(values.len()).map_err(unfit)?;
    let root = Fr::get_root_of_unity(count).ok_or_else(|| unfit(format!("{count} elements: above 2^28")))?;
    let roots: Vec<Fr> = std::iter::successors(Some(Fr::ONE), |power| Some(*power * root)).take(values.len()).collect();
    let mut inverses: Vec<Fr> = roots.iter().map(|root| tau - root).collect();
    batch_inversion(&mut inverses);
    let terms = values.iter().zip(&roots).zip(&inverses);
    let sum = terms.fold(Fr::ZERO, |sum, ((value, root), inverse)| sum + *value * root * inverse);
    let scale = (tau.pow([count]) - Fr::ONE) / Fr::from(count);
    Ok(sum * scale)
}

/// The root, and the proof of each leaf; missing leaves are zero.
fn tree(mut level: Vec<B256>) -> (B256, Vec<Vec<u8>>) {
    let mut proofs = vec![Vec::new(); level.len()];
    level.resize(level.len().next_power_of_two(), B256::ZERO);
    let mut depth = 0;
    while level.len() > 1 {
        for (index, proof) in proofs.iter_mut().enumerate() {
            proof.extend_from_slice(level[(index >> depth) ^ 1].as_slice());
        }
        level = level.chunks(2).map(|pair| keccak256([pair[0].0, pair[1].0].concat())).collect();
        depth += 1;
    }
    (level[0], proofs)
}

/// The first abscissa at or after the digest that has a point; of its two ordinates the one that is the other's
/// `(p + 1) / 4`-th power of the square, which is what a square root is where `p = 3 mod 4`
/// (EigenDA's `BN254.hashToG1`).
fn hash_to_g1(digest: B256) -> G1Affine {
    let first = Fq::from_be_bytes_mod_order(digest.as_slice());
    let point = |x: Fq| (x * x * x + Fq::from(3_u64)).sqrt().map(|y| G1Affine::new_unchecked(x, y));
    std::iter::successors(Some(first), |x| Some(*x + Fq::ONE))
        .find_map(point)
        .expect("every other abscissa has a point, and the field has no end")
}

/// Multiples of both generators, by windows of five bits: a tenth of the additions of doubling and adding, which
/// counts where arithmetic is not optimised.
static GENERATORS: LazyLock<(BatchMulPreprocessing<G1Projective>, BatchMulPreprocessing<G2Projective>)> =
    LazyLock::new(|| {
        const SCALARS: usize = 256;
        (
            BatchMulPreprocessing::new(G1Projective::generator(), SCALARS),
            BatchMulPreprocessing::new(G2Projective::generator(), SCALARS),
        )
    });

fn times_g1(scalars: &[Fr]) -> Vec<G1> {
    GENERATORS.0.batch_mul(scalars).iter().map(coordinates).collect()
}

fn times_g2(scalars: &[Fr]) -> Vec<G2> {
    let pair = |value: &Fq2| Quadratic { c1: integer(&value.c1), c0: integer(&value.c0) };
    let point = |point: &G2Affine| point.xy().map_or_else(G2::default, |(x, y)| G2 { x: pair(&x), y: pair(&y) });
    GENERATORS.1.batch_mul(scalars).iter().map(point).collect()
}

fn coordinates(point: &G1Affine) -> G1 {
    point.xy().map_or_else(G1::default, |(x, y)| G1 { x: integer(&x), y: integer(&y) })
}

fn integer(value: &Fq) -> U256 {
    U256::from_limbs(value.into_bigint().0)
}

fn unfit(reason: impl std::fmt::Display) -> DevnetError {
    DevnetError::Undispersable { reason: reason.to_string() }
}

#[cfg(test)]
mod tests;
