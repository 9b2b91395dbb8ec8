//! A disperser and its operators, with every key known: whole batches of valid certificates.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr as _, CurveGroup as _};
use ark_ff::{Field as _, PrimeField as _, Zero as _};
use ark_poly::{EvaluationDomain as _, Radix2EvaluationDomain};
use k256::ecdsa::SigningKey;
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tributary_schemas::eigenda::{
    BatchHeader, BlobCertificate, BlobCommitment, BlobHeader, BlobInclusion, Certificate, G1, G2, Quadratic,
    Signatures, Version, hash,
};
use tributary_schemas::payload_codec;

use super::super::signature::hash_to_g1;
use super::super::{Form, curve};

/// The tau of all that is minted here.
pub(super) const TAU: B256 = B256::repeat_byte(0x2a);

/// A certificate and what it is for.
pub(super) struct Minted {
    pub(super) certificate: Certificate,
    pub(super) payload: Vec<u8>,
    pub(super) encoded: Vec<u8>,
}

/// A batch of one blob per payload, all signed by two of three operators of two quorums.
pub(super) fn batch(seed: u64, version: Version, form: Form, payloads: &[Vec<u8>]) -> (Vec<Minted>, Address) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut secret = [1; 32];
    rng.fill_bytes(&mut secret[1..]);
    let account = SigningKey::from_slice(&secret).unwrap();
    let blobs: Vec<(Vec<u8>, BlobCertificate)> =
        payloads.iter().enumerate().map(|(index, payload)| blob(&account, index, payload, form)).collect();
    let leaves: Vec<B256> = blobs.iter().map(|(_, blob)| keccak256(hash::certificate_hash(blob))).collect();
    let (batch_root, proofs) = tree(leaves);
    let batch_header = BatchHeader { batch_root, reference_block_number: 9_528_091 };
    let signatures = sign(&mut rng, &batch_header);
    let minted = blobs.into_iter().zip(proofs).enumerate();
    let minted = minted.map(|(index, ((encoded, blob_certificate), proof))| Minted {
        certificate: Certificate {
            version,
            batch_header: batch_header.clone(),
            blob_inclusion: BlobInclusion {
                blob_certificate,
                blob_index: u32::try_from(index).unwrap(),
                inclusion_proof: proof.into(),
            },
            signatures: signatures.clone(),
            signed_quorum_numbers: Bytes::from_static(&[0, 1]),
        },
        payload: payloads[index].clone(),
        encoded,
    });
    (minted.collect(), Address::from_public_key(account.verifying_key()))
}

fn blob(account: &SigningKey, index: usize, payload: &[u8], form: Form) -> (Vec<u8>, BlobCertificate) {
    let encoded = payload_codec::encode(payload).unwrap();
    let blob_header = BlobHeader {
        version: 0,
        quorum_numbers: Bytes::from_static(&[0, 1]),
        commitment: commitment(&encoded, form),
        payment_header_hash: hash::payment_header_hash(
            Address::from_public_key(account.verifying_key()),
            1_700_000_000_000_000_000 + i64::try_from(index).unwrap(),
            U256::ZERO,
        ),
    };
    let key = hash::blob_key(&blob_header);
    let (signature, parity) = account.sign_prehash_recoverable(key.as_slice()).unwrap();
    let signature = [&signature.to_bytes()[..], &[parity.to_byte()]].concat().into();
    (encoded, BlobCertificate { blob_header, signature, relay_keys: vec![0, 3] })
}

/// Who knows tau needs no SRS: the commitment is the polynomial's value there.
fn commitment(encoded: &[u8], form: Form) -> BlobCommitment {
    let elements: Vec<Fr> = encoded.as_chunks::<32>().0.iter().map(|bytes| curve::scalar(bytes).unwrap()).collect();
    let length = elements.len();
    let coefficients = match form {
        Form::Coefficients => elements,
        Form::Evaluations => Radix2EvaluationDomain::<Fr>::new(length).unwrap().ifft(&elements),
    };
    let tau = Fr::from_be_bytes_mod_order(TAU.as_slice());
    let value = coefficients.iter().rev().fold(Fr::zero(), |sum, coefficient| sum * tau + coefficient);
    let shift = tau.pow([(1_u64 << 28) - u64::try_from(length).unwrap()]);
    BlobCommitment {
        commitment: g1(value),
        length_commitment: g2(value),
        length_proof: g2(value * shift),
        length: u32::try_from(length).unwrap(),
    }
}

/// The root, and the proof of each leaf; missing leaves are zero.
fn tree(mut level: Vec<B256>) -> (B256, Vec<Vec<u8>>) {
    let count = level.len();
    level.resize(count.next_power_of_two(), B256::ZERO);
    let mut proofs = vec![Vec::new(); count];
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

/// Operators 0 and 1 sign, operator 2 does not; all are in both quorums, so each counts twice.
fn sign(rng: &mut ChaCha8Rng, header: &BatchHeader) -> Signatures {
    let secrets: Vec<Fr> = (0..3).map(|_| Fr::from_be_bytes_mod_order(&rng.next_u64().to_be_bytes())).collect();
    let quorum: Fr = secrets.iter().sum();
    let signers = (secrets[0] + secrets[1]) * Fr::from(2_u64);
    let sigma = (hash_to_g1(hash::batch_header_hash(header)) * signers).into_affine();
    Signatures {
        non_signer_quorum_bitmap_indices: vec![5],
        non_signer_pubkeys: vec![g1(secrets[2])],
        quorum_apks: vec![g1(quorum), g1(quorum)],
        apk_g2: g2(signers),
        sigma: curve::coordinates(&sigma),
        quorum_apk_indices: vec![1, 2],
        total_stake_indices: vec![3, 4],
        non_signer_stake_indices: vec![vec![6], vec![7]],
    }
}

/// The generator of G1, so often.
pub(super) fn g1(times: Fr) -> G1 {
    curve::coordinates(&(G1Affine::generator() * times).into_affine())
}

/// The generator of G2, so often.
pub(super) fn g2(times: Fr) -> G2 {
    let point = (G2Affine::generator() * times).into_affine();
    let integer = |value: ark_bn254::Fq| U256::from_limbs(value.into_bigint().0);
    let pair = |value: ark_bn254::Fq2| Quadratic { c1: integer(value.c1), c0: integer(value.c0) };
    if point.is_zero() { G2::default() } else { G2 { x: pair(point.x), y: pair(point.y) } }
}
