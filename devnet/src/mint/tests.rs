//! What is minted verifies by the vocabulary's hashes and by pairings written out here; the indexer's ladder judges
//! it once more in its own tests.

use alloy_primitives::Signature;
use ark_bn254::Bn254;
use ark_ec::pairing::Pairing as _;
use ark_ff::Zero as _;

use super::*;

const TAU: B256 = B256::repeat_byte(0x2a);
const V4: Version = Version::V4 { offchain_derivation_version: 0 };

fn on_g1(point: &G1) -> G1Affine {
    let of = |value: U256| Fq::from_bigint(BigInt::new(value.into_limbs())).unwrap();
    G1Affine::new(of(point.x), of(point.y))
}

fn on_g2(point: &G2) -> G2Affine {
    let of = |value: U256| Fq::from_bigint(BigInt::new(value.into_limbs())).unwrap();
    let pair = |value: &Quadratic| Fq2::new(of(value.c0), of(value.c1));
    G2Affine::new(pair(&point.x), pair(&point.y))
}

fn cancel(pairs: [(G1Affine, G2Affine); 2]) -> bool {
    let [(a, b), (c, d)] = pairs;
    Bn254::multi_pairing([a, -c], [b, d]).is_zero()
}

#[test]
fn a_batch_verifies_from_its_leaves_to_its_operators() {
    let mut mint = Mint::new(3, TAU);
    let payloads = [vec![], b"short".to_vec(), vec![7; 300]];
    let batch = mint.batch(V4, Form::Evaluations, 77, &payloads).unwrap();
    let (one, other) = (G1Affine::generator(), G2Affine::generator());
    for (index, Minted { certificate, payload, encoded }) in (0_u32..).zip(&batch) {
        let inclusion = &certificate.blob_inclusion;
        assert_eq!((inclusion.blob_index, certificate.batch_header.reference_block_number), (index, 77));
        let leaf = hash::certificate_hash(&inclusion.blob_certificate);
        let root = hash::inclusion_root(leaf, index, &inclusion.inclusion_proof).unwrap();
        assert_eq!(root, (certificate.batch_header.batch_root, 0));
        let key = hash::blob_key(certificate.blob_header());
        let signature = Signature::from_raw(&inclusion.blob_certificate.signature).unwrap();
        assert_eq!(signature.recover_address_from_prehash(&key).unwrap(), mint.account());
        assert_eq!(payload_codec::decode(encoded).unwrap(), *payload);
        assert_eq!(u32::try_from(encoded.len()).unwrap(), certificate.commitment().length * 32);
    }
    let certificate = &batch[2].certificate;
    let read = Certificate::decode(V4, &mut certificate.encode().as_slice()).unwrap();
    assert_eq!(read, *certificate);
    let commitment = certificate.commitment();
    let (of_g1, of_g2) = (on_g1(&commitment.commitment), on_g2(&commitment.length_commitment));
    assert!(cancel([(of_g1, other), (one, of_g2)]), "one polynomial");
    let shift = Fr::from_be_bytes_mod_order(TAU.as_slice()).pow([ORDER - u64::from(commitment.length)]);
    let shift = (one * shift).into_affine();
    assert!(cancel([(shift, of_g2), (one, on_g2(&commitment.length_proof))]), "no longer than it says");
    let signatures = &certificate.signatures;
    let message = hash_to_g1(hash::batch_header_hash(&certificate.batch_header));
    assert!(message.is_on_curve());
    let apk = on_g2(&signatures.apk_g2);
    assert!(cancel([(on_g1(&signatures.sigma), other), (message, apk)]), "signed");
    let quorums = on_g1(&signatures.quorum_apks[0]) + on_g1(&signatures.quorum_apks[1]);
    let absent = on_g1(&signatures.non_signer_pubkeys[0]);
    assert!(cancel([((quorums - absent - absent).into_affine(), other), (one, apk)]), "by those who are there");
}

/// The slow way: coefficients by solving for them at every root.
#[test]
fn evaluations_and_coefficients_are_one_polynomial() {
    let tau = Fr::from(1_234_567_u64);
    for count in [1_u64, 2, 8] {
        let coefficients: Vec<Fr> = (0..count).map(|at| Fr::from(at * at + 3)).collect();
        let at = |x: Fr| coefficients.iter().rev().fold(Fr::ZERO, |sum, coefficient| sum * x + coefficient);
        let root = Fr::get_root_of_unity(count).unwrap();
        let values: Vec<Fr> = (0..count).map(|power| at(root.pow([power]))).collect();
        assert_eq!(from_evaluations(tau, &values).unwrap(), at(tau), "{count}");
    }
}

#[test]
fn what_is_no_blob_is_refused_and_equal_seeds_mint_alike() {
    let mut mint = Mint::new(3, TAU);
    assert!(mint.commit(Form::Coefficients, &[vec![0; 96]]).is_err());
    assert!(mint.commit(Form::Coefficients, &[vec![0; 33]]).is_err());
    assert!(mint.commit(Form::Coefficients, &[vec![0xff; 32]]).is_err());
    assert!(mint.certify(V4, 1, Vec::new()).is_err());
    let mut again = Mint::new(3, TAU);
    let payload = [b"the same".to_vec()];
    let twice = |mint: &mut Mint| mint.batch(Version::V2, Form::Evaluations, 1, &payload).unwrap();
    let (first, second) = (twice(&mut mint), twice(&mut again));
    assert_eq!(first, second);
    // The same payload dispersed again is another blob with the same commitment.
    let later = twice(&mut mint);
    assert_ne!(later[0].certificate, first[0].certificate);
    assert_eq!(later[0].certificate.commitment(), first[0].certificate.commitment());
    assert_ne!(Mint::new(4, TAU).account(), mint.account());
}
