use super::*;
use ark_ec::{AffineRepr as _, VariableBaseMSM as _};
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

fn scalar(rng: &mut ChaCha8Rng) -> Fr {
    let mut bytes = [0; 48];
    rng.fill_bytes(&mut bytes);
    match rng.random_range(0..8_u32) {
        0 => Fr::zero(),
        1 => -Fr::ONE,
        2 => Fr::from(rng.random::<u64>()),
        _ => Fr::from_be_bytes_mod_order(&bytes),
    }
}

/// Points among which some are equal, some each other's negative and some infinity.
fn point(rng: &mut ChaCha8Rng) -> G1Affine {
    let times = rng.random_range(0..40_u64);
    let point = (G1Affine::generator() * Fr::from(times)).into_affine();
    if rng.random() { point } else { -point }
}

#[test]
fn sums_are_those_of_the_library() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for count in [0, 1, 2, 3, 7, 31, 32, 100, 257, 1_500] {
        let points: Vec<G1Affine> = (0..count).map(|_| point(&mut rng)).collect();
        let scalars: Vec<Fr> = (0..count).map(|_| scalar(&mut rng)).collect();
        let expected = points.iter().zip(&scalars).map(|(point, scalar)| *point * scalar).sum::<G1Projective>();
        assert_eq!(sum(&points, &scalars), expected, "{count} points");
        let library = G1Projective::msm_unchecked(&points, &scalars);
        assert_eq!(library, expected, "{count} points");
        let shifted = Shifted::new(&points);
        assert_eq!(shifted.sum(&scalars), Some(expected), "{count} points");
        assert_eq!(shifted.sum(&scalars[..count / 2]), Some(sum(&points, &scalars[..count / 2])), "{count} points");
        assert_eq!(shifted.sum(&[scalars.as_slice(), &[Fr::ONE]].concat()), None);
        if count < 32 {
            let terms: Vec<(G1Affine, Fr)> = points.into_iter().zip(scalars).collect();
            assert_eq!(few(&terms), expected, "{count} terms");
        }
    }
}

#[test]
fn every_width_reads_every_digit() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let scalars: Vec<Fr> = (0..50).map(|_| scalar(&mut rng)).chain([-Fr::ONE, Fr::zero(), Fr::ONE]).collect();
    for width in 2..=WIDTH_MAX {
        let places = Places { width, count: SCALAR_BITS / width + 1 };
        let base = Fr::from(1_u64 << width);
        for scalar in &scalars {
            let biased = places.bias(scalar);
            let value = (0..places.count).rev().fold(Fr::zero(), |value, place| {
                let digit = match places.digit(&biased, place) {
                    None => Fr::zero(),
                    Some((bucket, is_negative)) => {
                        assert!(bucket < places.buckets(), "{width} bits, place {place}");
                        let digit = Fr::from(u64::try_from(bucket + 1).unwrap());
                        if is_negative { -digit } else { digit }
                    }
                };
                value * base + digit
            });
            assert_eq!(value, *scalar, "{width} bits");
        }
    }
}

#[test]
fn what_is_longer_is_cut() {
    let points = vec![G1Affine::generator(); 5];
    let scalars = vec![Fr::ONE; 3];
    assert_eq!(sum(&points, &scalars), G1Affine::generator() * Fr::from(3_u64));
    assert_eq!(sum(&points[..2], &scalars), G1Affine::generator() * Fr::from(2_u64));
    assert!(few(&[]).is_zero());
}

/// All points in one bucket, and a point met by its negative: every case of an affine addition.
#[test]
fn buckets_of_equal_and_opposite_points_add_up() {
    let generator = G1Affine::generator();
    for count in [2_usize, 3, 64, 65] {
        let equal = vec![generator; count];
        let scalars = vec![Fr::from(7_u64); count];
        let times = Fr::from(7 * u64::try_from(count).unwrap());
        assert_eq!(sum(&equal, &scalars), generator * times);
        let opposite: Vec<G1Affine> = (0..count).map(|at| if at % 2 == 0 { generator } else { -generator }).collect();
        let left = if count % 2 == 0 { Fr::zero() } else { Fr::from(7_u64) };
        assert_eq!(sum(&opposite, &scalars), generator * left);
    }
}
