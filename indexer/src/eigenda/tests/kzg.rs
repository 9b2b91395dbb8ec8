//! Commitments, opening proofs and the files of points.

use std::num::NonZeroUsize;

use ark_bn254::{Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr as _, CurveGroup as _};
use ark_ff::PrimeField as _;
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tributary_schemas::eigenda::G1;

use super::super::*;
use super::{TAU, shared};

/// So many elements below the order of the field.
fn elements(seed: u64, count: usize) -> Vec<u8> {
    let mut out = vec![0; count * 32];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut out);
    for element in out.chunks_exact_mut(32) {
        element[0] &= 0x0f;
    }
    out
}

#[test]
fn openings_hold_for_their_bytes_only() {
    let srs = Srs::of_known_tau(TAU, 64);
    for count in [1, 2, 8, 64] {
        for form in [Form::Evaluations, Form::Coefficients] {
            let bytes = elements(1, count);
            let commitment = srs.commit(&bytes, form).unwrap();
            let opening = srs.open(&bytes, form, &commitment).unwrap();
            assert_eq!(srs.prove(&bytes, form, &commitment).unwrap(), opening);
            let verify = |bytes: &[u8], form, commitment: &G1, opening: &Opening| {
                srs.setup().verify_opening(bytes, form, commitment, opening)
            };
            verify(&bytes, form, &commitment, &opening).unwrap();
            let mut changed = bytes.clone();
            changed[count * 32 - 1] ^= 1;
            assert!(matches!(verify(&changed, form, &commitment, &opening), Err(EigenDaError::Opening)));
            let doubled = srs.commit(&changed, form).unwrap();
            for (bytes, commitment) in [(&changed, &commitment), (&bytes, &doubled)] {
                let refused = srs.prove(bytes, form, commitment);
                assert!(matches!(refused, Err(EigenDaError::Commitment { form: tried }) if tried == form));
            }
            assert!(verify(&bytes, form, &doubled, &opening).is_err());
            assert!(verify(&bytes, form.other(), &commitment, &opening).is_err() == (count > 1));
            // of one element the quotient is zero and the proof infinity
            assert_eq!(opening.0[0] == 0x40, count == 1);
            for bit in 0..8 {
                let mut wrong = opening;
                wrong.0[31] ^= 1 << bit;
                assert!(verify(&bytes, form, &commitment, &wrong).is_err());
            }
            assert!(Setup::ceremony().verify_opening(&bytes, form, &commitment, &opening).is_err() == (count > 1));
        }
    }
}

#[test]
fn bytes_that_are_no_elements_are_refused() {
    let srs = Srs::of_known_tau(TAU, 8);
    let commit = |bytes: &[u8]| srs.commit(bytes, Form::Evaluations);
    let order = alloy_primitives::hex!("30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001");
    let mut below = order;
    below[31] = 0;
    assert!(commit(&below).is_ok());
    assert!(matches!(commit(&order), Err(EigenDaError::Element { index: 0 })));
    assert!(matches!(commit(&[below, [0xff; 32]].concat()), Err(EigenDaError::Element { index: 1 })));
    for len in [0, 31, 33, 96] {
        assert!(matches!(commit(&vec![0; len]), Err(EigenDaError::Length { .. })), "{len}");
    }
    assert!(matches!(commit(&elements(1, 16)), Err(EigenDaError::TooFewPoints { have: 8, need: 16 })));
}

#[test]
fn compressed_points_come_back() {
    for times in 0..20_u64 {
        let point = (G1Affine::generator() * Fr::from(times)).into_affine();
        for point in [point, -point] {
            assert_eq!(curve::decompress("point", &curve::compress(&point)).unwrap(), point);
            assert_eq!(curve::g1("point", &curve::coordinates(&point)).unwrap(), point);
        }
    }
    let refused = |first: u8, rest: u8| {
        let mut bytes = [rest; 32];
        bytes[0] = first;
        assert!(curve::decompress("point", &bytes).is_err(), "{first:02x} {rest:02x}");
    };
    refused(0x40, 1); // infinity with an abscissa
    refused(0x00, 1); // no kind
    refused(0xff, 0xff); // above the modulus
    refused(0x80, 0); // 3 is no square
}

/// Points of the curve that G2 is part of, and what the library says of them.
#[test]
fn points_outside_the_subgroup_are_found() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut outside = 0;
    for _ in 0..20 {
        let inside = (G2Affine::generator() * Fr::from(rng.next_u64())).into_affine();
        assert!(curve::is_in_subgroup(&inside));
        let x = Fq2::new(Fq::from(rng.next_u64()), Fq::from(rng.next_u64()));
        let Some((y, _)) = G2Affine::get_ys_from_x_unchecked(x) else { continue };
        let point = G2Affine::new_unchecked(x, y);
        // any point, one of the cofactor's order, and one that is both
        let of_cofactor = point.mul_bigint(Fr::MODULUS).into_affine();
        for point in [point, of_cofactor, (of_cofactor + inside).into_affine(), point.clear_cofactor()] {
            assert_eq!(curve::is_in_subgroup(&point), point.is_in_correct_subgroup_assuming_on_curve());
            outside += usize::from(!curve::is_in_subgroup(&point));
        }
    }
    assert!(outside > 15, "{outside}");
    assert!(curve::is_in_subgroup(&G2Affine::identity()));
}

/// A file of points certifies itself; a changed point, a changed order and another setup's points do not.
#[test]
fn files_certify_themselves() {
    let Some(file) = shared("srs/g1.point.4096") else { return };
    let bytes = &file[..64 * 32];
    assert_eq!(Srs::read(bytes).unwrap().points(), 64);
    let mut swapped = bytes.to_vec();
    swapped[32 * 7..32 * 9].rotate_left(32);
    assert!(Srs::read(&swapped).is_err());
    let mut negated = bytes.to_vec();
    negated[32 * 20] ^= 0x40;
    assert!(Srs::read(&negated).is_err());
    assert!(Srs::read(&bytes[32..]).is_err(), "the first point is the generator");
    let known: Vec<u8> = Srs::of_known_tau(TAU, 8).points.iter().flat_map(curve::compress).collect();
    assert!(Srs::read(&known).is_err(), "a known tau is not the ceremony's");
}

#[test]
fn points_are_cached_beside_their_digest() {
    let Some(file) = shared("srs/g1.point.4096") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("g1.point");
    std::fs::write(&path, &file[..64 * 32]).unwrap();
    let load = |points| Srs::load(&path, points, &Cache::Beside).unwrap().points;
    let (all, some) = (load(None), load(Some(16)));
    assert_eq!((all.len(), &all[..16]), (64, &some[..]));
    let cache = folder.path().join("g1.point.64.raw");
    let raw = std::fs::read(&cache).unwrap();
    assert_eq!(raw.len(), 80 + 64 * 64);
    assert_eq!(load(None), all, "from the cache");
    for damage in [79, 80, 1000, raw.len() - 1] {
        let mut damaged = raw.clone();
        damaged[damage] ^= 1;
        std::fs::write(&cache, &damaged).unwrap();
        assert_eq!(load(None), all, "byte {damage}");
        assert_eq!(std::fs::read(&cache).unwrap(), raw, "made again");
    }
    std::fs::write(&cache, &raw[..200]).unwrap();
    assert_eq!(load(None), all);
    // the cache of another file is not believed
    let mut other = file[..64 * 32].to_vec();
    other[32 * 20] ^= 0x40;
    std::fs::write(&path, other).unwrap();
    assert!(matches!(Srs::load(&path, None, &Cache::Beside), Err(EigenDaError::Srs { .. })));
    assert!(matches!(Srs::load(&path, Some(65), &Cache::None), Err(EigenDaError::Srs { .. })));
    let nowhere = Cache::In(folder.path().join("absent"));
    std::fs::write(&path, &file[..64 * 32]).unwrap();
    assert_eq!(Srs::load(&path, None, &nowhere).unwrap().points, all, "done without");
    assert!(matches!(Srs::load(&folder.path().join("g2"), None, &Cache::None), Err(EigenDaError::Read { .. })));
}

/// The verifier that EigenDA publishes agrees with our openings, on random blobs.
#[test]
fn the_published_verifier_agrees() {
    let Some(file) = shared("srs/g1.point.4096") else { return };
    let srs = Srs::read(&file[..128 * 32]).unwrap();
    for (seed, count) in (0..).zip([2, 4, 32, 128]) {
        let bytes = elements(seed, count);
        let commitment = srs.commit(&bytes, Form::Evaluations).unwrap();
        let opening = srs.open(&bytes, Form::Evaluations, &commitment).unwrap();
        let points = [curve::g1("commitment", &commitment).unwrap(), curve::decompress("opening", &opening.0).unwrap()];
        let judge = |bytes: &[u8]| {
            let blob = rust_kzg_bn254_primitives::blob::Blob::new(bytes).unwrap();
            rust_kzg_bn254_verifier::verify::verify_blob_kzg_proof(&blob, &points[0], &points[1]).unwrap()
        };
        assert!(judge(&bytes));
        let mut changed = bytes.clone();
        changed[31] ^= 1;
        assert!(!judge(&changed));
    }
}

#[tokio::test]
async fn work_is_done_one_at_a_time_and_a_panic_is_an_error() {
    let pool = Pool::new(NonZeroUsize::MIN).unwrap();
    let srs = std::sync::Arc::new(Srs::of_known_tau(TAU, 8));
    let jobs = (0..4_u64).map(|seed| {
        let (pool, srs) = (pool.clone(), std::sync::Arc::clone(&srs));
        async move { pool.run(move || srs.commit(&elements(seed, 8), Form::Evaluations)).await.unwrap().unwrap() }
    });
    let mut made = Vec::new();
    for job in jobs {
        made.push(job.await);
    }
    assert_eq!(made[2], srs.commit(&elements(2, 8), Form::Evaluations).unwrap());
    let lost = pool.run(|| panic!("on purpose")).await;
    assert!(matches!(lost, Err(EigenDaError::Lost)));
    assert_eq!(pool.run(|| 7).await.unwrap(), 7, "the turn was given back");
}
