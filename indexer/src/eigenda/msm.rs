//! Sums of points of G1, each as often as a scalar says: most of what a commitment costs.
//!
//! [`sum`] is Pippenger's method. Scalars are cut into signed digits of some bits; for each place of a digit, points go
//! into the bucket of their digit, and a bucket counts as often as its digit says. What makes it quick is that points
//! which meet in a bucket are added in affine coordinates: each addition needs an inversion, but all additions of a
//! round share one, and then an addition is six multiplications of the field where projective coordinates need eleven.
//!
//! [`Shifted`] is for the points of a setup, which are always the same: kept with each of their doublings to a place,
//! all places share one row of buckets, and short sums cost a third. [`few`] is for a handful of points, where sharing
//! the doublings is all there is to gain.

use ark_bn254::{Fq, Fr, G1Affine, G1Projective};
use ark_ec::CurveGroup as _;
use ark_ff::{AdditiveGroup as _, BigInteger as _, Field as _, PrimeField as _, Zero as _};
use rayon::prelude::*;

/// Bits of a scalar, below the order of the group.
const SCALAR_BITS: usize = 254;
/// Widest digit: its buckets fit a processor's cache.
const WIDTH_MAX: usize = 14;
/// Multiplications of an addition in affine coordinates, its share of the inversion included.
const ADDITION: usize = 6;
/// Multiplications that a bucket costs at the end: an addition of an affine and one of a projective point.
const BUCKET: usize = 27;
/// Points that are added in one go, about: enough for an inversion to be shared, little enough to stay in a cache.
const GO: usize = 1 << 14;

/// The sum of the points, each as often as its scalar says. Whatever is longer is cut to the length of the other.
pub(super) fn sum(points: &[G1Affine], scalars: &[Fr]) -> G1Projective {
    let count = std::cmp::min(points.len(), scalars.len());
    let places = Places::of(count);
    let biased: Vec<[u64; 4]> = scalars[..count].iter().map(|scalar| places.bias(scalar)).collect();
    let threads = rayon::current_num_threads();
    let in_a_go = std::cmp::max(GO / std::cmp::max(count, 1), 1);
    let at_once = std::cmp::min(in_a_go, places.count.div_ceil(threads));
    let firsts: Vec<usize> = (0..places.count).step_by(at_once).collect();
    let sums: Vec<G1Projective> = firsts
        .into_par_iter()
        .flat_map_iter(|first| {
            let last = std::cmp::min(first + at_once, places.count);
            of_places(&points[..count], &biased, places, first..last)
        })
        .collect();
    sums.iter().rev().fold(G1Projective::zero(), |mut total, of_place| {
        for _ in 0..places.width {
            total.double_in_place();
        }
        total + of_place
    })
}

/// Where the digits of a scalar stand.
#[derive(Debug, Clone, Copy)]
struct Places {
    /// Bits of a digit.
    width: usize,
    /// Digits of a scalar.
    count: usize,
}

impl Places {
    /// Those that cost the least for so many points.
    fn of(points: usize) -> Self {
        let places = |width: usize| Self { width, count: SCALAR_BITS / width + 1 };
        let cost = |at: &Self| at.count * (points * ADDITION + at.buckets() * BUCKET);
        (2..=WIDTH_MAX).map(places).min_by_key(cost).unwrap_or(Self { width: 2, count: SCALAR_BITS / 2 + 1 })
    }

    /// Buckets of a place: digits are from minus this to this.
    const fn buckets(self) -> usize {
        1 << (self.width - 1)
    }

    /// The scalar with half the base added at every place but the last, so that each digit can be read by itself: it
    /// is what stands there, less that half. The sum stays below 2^255.
    fn bias(self, scalar: &Fr) -> [u64; 4] {
        let mut bias = [0_u64; 4];
        for place in 0..self.count - 1 {
            let bit = place * self.width + self.width - 1;
            bias[bit / 64] |= 1 << (bit % 64);
        }
        let mut sum = scalar.into_bigint();
        sum.add_with_carry(&ark_ff::BigInt::new(bias));
        sum.0
    }

    /// The bucket of a digit, from 0, and whether the point goes in negated; `None` for a digit of zero.
    fn digit(self, biased: &[u64; 4], place: usize) -> Option<(usize, bool)> {
        let (limb, shift) = (place * self.width / 64, place * self.width % 64);
        let low = biased[limb] >> shift;
        let high = match biased.get(limb + 1) {
            Some(next) if shift > 0 => next << (64 - shift),
            _ => 0,
        };
        let found = usize::try_from((low | high) & ((1 << self.width) - 1)).unwrap_or_default();
        let half = if place + 1 < self.count { self.buckets() } else { 0 };
        match found.cmp(&half) {
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some((found - half - 1, false)),
            std::cmp::Ordering::Less => Some((half - found - 1, true)),
        }
    }
}

/// The sums at some places, each still to be doubled to where its place is.
fn of_places(
    points: &[G1Affine],
    biased: &[[u64; 4]],
    places: Places,
    range: std::ops::Range<usize>,
) -> Vec<G1Projective> {
    let (buckets, first, rows) = (places.buckets(), range.start, range.len());
    let fall = range.flat_map(|place| {
        points.iter().zip(biased).filter_map(move |(point, biased)| {
            let (bucket, is_negative) = places.digit(biased, place)?;
            Some(((place - first) * buckets + bucket, if is_negative { -*point } else { *point }))
        })
    });
    fill(fall, rows * buckets).chunks(buckets).map(weighed).collect()
}

/// The sum of the points that fall into each bucket.
fn fill(fall: impl Iterator<Item = (usize, G1Affine)> + Clone, buckets: usize) -> Vec<G1Affine> {
    let mut ends = vec![0; buckets];
    for (bucket, _) in fall.clone() {
        ends[bucket] += 1;
    }
    // Where each bucket begins, and after it is filled, where it ends.
    let mut begin = 0;
    for end in &mut ends {
        begin += std::mem::replace(end, begin);
    }
    let mut sorted = vec![G1Affine::identity(); begin];
    for (bucket, point) in fall {
        sorted[ends[bucket]] = point;
        ends[bucket] += 1;
    }
    add_up(&mut sorted, &ends)
}

/// Each bucket as often as its digit: from the highest down, what was added so far is added once more for every bucket.
fn weighed(buckets: &[G1Affine]) -> G1Projective {
    let (mut running, mut total) = (G1Projective::zero(), G1Projective::zero());
    for bucket in buckets.iter().rev() {
        running += bucket;
        total += &running;
    }
    total
}

/// The sum of the points of every bucket. A bucket's points lie beside each other; `ends` says where each ends.
fn add_up(points: &mut [G1Affine], ends: &[usize]) -> Vec<G1Affine> {
    let begins: Vec<usize> = std::iter::once(&0).chain(ends).take(ends.len()).copied().collect();
    let mut lengths: Vec<usize> = ends.iter().zip(&begins).map(|(end, begin)| end - begin).collect();
    let mut inverses = Vec::with_capacity(points.len() / 2);
    let mut products = Vec::with_capacity(points.len() / 2);
    while lengths.iter().any(|length| *length > 1) {
        inverses.clear();
        for (begin, length) in begins.iter().zip(&lengths) {
            let (pairs, _single) = points[*begin..begin + length].as_chunks::<2>();
            inverses.extend(pairs.iter().map(|[left, right]| denominator(left, right)));
        }
        invert(&mut inverses, &mut products);
        let mut next = inverses.iter();
        for (begin, length) in begins.iter().zip(&mut lengths) {
            let (pairs, single) = (*length / 2, *length % 2);
            for (pair, inverse) in (0..pairs).zip(&mut next) {
                let (left, right) = (points[begin + 2 * pair], points[begin + 2 * pair + 1]);
                points[begin + pair] = added(&left, &right, inverse);
            }
            if single == 1 {
                points[begin + pairs] = points[begin + *length - 1];
            }
            *length = pairs + single;
        }
    }
    let first = |(begin, length): (&usize, &usize)| if *length == 0 { G1Affine::identity() } else { points[*begin] };
    begins.iter().zip(&lengths).map(first).collect()
}

/// What the slope through two points is divided by; zero where there is no slope to find.
fn denominator(left: &G1Affine, right: &G1Affine) -> Fq {
    if left.infinity || right.infinity {
        return Fq::zero();
    }
    let run = right.x - left.x;
    if run.is_zero() && left.y == right.y { left.y.double() } else { run }
}

/// The sum of two points, given the inverse of their denominator.
fn added(left: &G1Affine, right: &G1Affine, inverse: &Fq) -> G1Affine {
    if inverse.is_zero() {
        return match (left.infinity, right.infinity) {
            (true, _) => *right,
            (_, true) => *left,
            // a point and its negative
            _ => G1Affine::identity(),
        };
    }
    let rise = if left.x == right.x {
        let square = left.x.square();
        square.double() + square
    } else {
        right.y - left.y
    };
    let slope = rise * inverse;
    let x = slope.square() - left.x - right.x;
    G1Affine::new_unchecked(x, slope * (left.x - x) - left.y)
}

/// Inverts all but the zeros, with one inversion. `products` is room to work in.
fn invert(values: &mut [Fq], products: &mut Vec<Fq>) {
    products.clear();
    let mut product = Fq::ONE;
    for value in values.iter().filter(|value| !value.is_zero()) {
        products.push(product);
        product *= value;
    }
    let mut inverse = product.inverse().unwrap_or_default();
    let nonzero = values.iter_mut().filter(|value| !value.is_zero());
    for (value, product) in nonzero.rev().zip(products.iter().rev()) {
        let inverted = inverse * product;
        inverse *= &*value;
        *value = inverted;
    }
}

/// Points with each of their doublings to a place.
#[derive(Debug, Clone)]
pub(super) struct Shifted {
    /// By place, the points in their order.
    points: Vec<G1Affine>,
    /// Points of a place.
    count: usize,
}

impl Shifted {
    /// Bytes for bits: wider digits would need fewer additions and more buckets.
    const PLACES: Places = Places { width: 8, count: SCALAR_BITS / 8 + 1 };

    /// The doublings of these points, two kilobytes for each.
    pub(super) fn new(points: &[G1Affine]) -> Self {
        let doubled = points.iter().map(|point| {
            let double = |last: &G1Projective| {
                let mut next = *last;
                for _ in 0..Self::PLACES.width {
                    next.double_in_place();
                }
                Some(next)
            };
            let of_places: Vec<G1Projective> =
                std::iter::successors(Some(G1Projective::from(*point)), double).take(Self::PLACES.count).collect();
            G1Projective::normalize_batch(&of_places)
        });
        let by_point: Vec<Vec<G1Affine>> = doubled.collect();
        let by_place = (0..Self::PLACES.count).flat_map(|place| by_point.iter().map(move |places| places[place]));
        Self { points: by_place.collect(), count: points.len() }
    }

    /// The sum of the first points, each as often as its scalar says; `None` when there are more scalars than points.
    pub(super) fn sum(&self, scalars: &[Fr]) -> Option<G1Projective> {
        if scalars.len() > self.count {
            return None;
        }
        let biased: Vec<[u64; 4]> = scalars.iter().map(|scalar| Self::PLACES.bias(scalar)).collect();
        let places = (0..).zip(self.points.chunks(std::cmp::max(self.count, 1)));
        let fall = places.flat_map(|(place, points)| {
            points.iter().zip(&biased).filter_map(move |(point, biased)| {
                let (bucket, is_negative) = Self::PLACES.digit(biased, place)?;
                Some((bucket, if is_negative { -*point } else { *point }))
            })
        });
        Some(weighed(&fill(fall, Self::PLACES.buckets())))
    }
}

/// Bits of a digit where points are few.
const FEW_WIDTH: usize = 4;

/// The sum of a handful of points, each as often as its scalar says; short scalars cost less.
pub(super) fn few(terms: &[(G1Affine, Fr)]) -> G1Projective {
    let scalars: Vec<_> = terms.iter().map(|(_, scalar)| scalar.into_bigint()).collect();
    let bits = scalars.iter().map(|scalar| scalar.num_bits()).max().unwrap_or_default();
    let digits = usize::try_from(bits).unwrap_or(SCALAR_BITS).div_ceil(FEW_WIDTH);
    // from once to fifteen times the point
    let multiples: Vec<Vec<G1Projective>> = terms
        .iter()
        .map(|(point, _)| {
            std::iter::successors(Some(G1Projective::from(*point)), |last| Some(*last + point)).take(15).collect()
        })
        .collect();
    let mut total = G1Projective::zero();
    for digit in (0..digits).rev() {
        for _ in 0..FEW_WIDTH {
            total.double_in_place();
        }
        let (limb, shift) = (digit * FEW_WIDTH / 64, digit * FEW_WIDTH % 64);
        for (scalar, multiples) in scalars.iter().zip(&multiples) {
            let times = usize::try_from((scalar.0[limb] >> shift) & 0xf).unwrap_or_default();
            if let Some(multiple) = times.checked_sub(1).and_then(|at| multiples.get(at)) {
                total += multiple;
            }
        }
    }
    total
}

#[cfg(test)]
mod tests;
