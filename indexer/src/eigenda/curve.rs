//! Between the integers of certificates, the bytes of files and the points of BN254.

use alloy_primitives::U256;
use ark_bn254::{Fq, Fq2, Fr, G1Affine, G2Affine, G2Projective};
use ark_ec::AffineRepr as _;
use ark_ec::bn::BnConfig;
use ark_ff::{AdditiveGroup as _, BigInt, BigInteger as _, Field as _, PrimeField as _};
use tributary_schemas::eigenda::{G1, G2, Quadratic};

use super::EigenDaError;

/// The point of G1 these coordinates name; (0, 0) is infinity. G1 has no smaller subgroup.
pub(super) fn g1(what: &'static str, point: &G1) -> Result<G1Affine, EigenDaError> {
    let (x, y) = (coordinate(what, point.x)?, coordinate(what, point.y)?);
    if point.x.is_zero() && point.y.is_zero() {
        return Ok(G1Affine::identity());
    }
    let found = G1Affine::new_unchecked(x, y);
    if found.is_on_curve() { Ok(found) } else { Err(EigenDaError::Point { what, reason: "not on the curve" }) }
}

/// The point of G2 these coordinates name, in the right subgroup; all zero is infinity.
pub(super) fn g2(what: &'static str, point: &G2) -> Result<G2Affine, EigenDaError> {
    let pair = |of: &Quadratic| Ok(Fq2::new(coordinate(what, of.c0)?, coordinate(what, of.c1)?));
    let (x, y) = (pair(&point.x)?, pair(&point.y)?);
    if *point == G2::default() {
        return Ok(G2Affine::identity());
    }
    let found = G2Affine::new_unchecked(x, y);
    if !found.is_on_curve() {
        return Err(EigenDaError::Point { what, reason: "not on the curve" });
    }
    if !is_in_subgroup(&found) {
        return Err(EigenDaError::Point { what, reason: "not in the subgroup" });
    }
    Ok(found)
}

/// Whether a point of the curve that G2 is part of is in G2, for half of what multiplying by `6x^2` costs, which is how
/// the library finds out: `(x + 1)P + psi(xP) + psi^2(xP) = psi^3(2xP)`, with the curve's parameter x of 63 bits.
///
/// `psi`, Frobenius between twist and curve, satisfies `psi^2 - (6x^2 + 1) psi + p = 0`. By that, the equation says that
/// an endomorphism of some norm takes P to infinity; the norm has only the order r of G2 in common with the number of
/// points of the curve, so what it takes there lies in G2, and G2 lies in it as psi multiplies its points by p.
/// (Scott 2021/1130 and Dai and others 2022/348, both on eprint.iacr.org.)
pub(super) fn is_in_subgroup(point: &G2Affine) -> bool {
    let times_x = point.mul_bigint(<ark_bn254::Config as BnConfig>::X);
    let once = psi(times_x);
    let twice = psi(once);
    times_x + point + once + twice == psi(twice).double()
}

fn psi(point: G2Projective) -> G2Projective {
    let conjugate = |of: Fq2| Fq2::new(of.c0, -of.c1);
    G2Projective::new_unchecked(
        conjugate(point.x) * <ark_bn254::Config as BnConfig>::TWIST_MUL_BY_Q_X,
        conjugate(point.y) * <ark_bn254::Config as BnConfig>::TWIST_MUL_BY_Q_Y,
        conjugate(point.z),
    )
}

fn coordinate(what: &'static str, value: U256) -> Result<Fq, EigenDaError> {
    let above = EigenDaError::Point { what, reason: "not below the field's modulus" };
    Fq::from_bigint(BigInt::new(value.into_limbs())).ok_or(above)
}

/// The coordinates of a point, as certificates have them.
pub(super) fn coordinates(point: &G1Affine) -> G1 {
    point.xy().map_or_else(G1::default, |(x, y)| G1 { x: integer(x), y: integer(y) })
}

fn integer(value: Fq) -> U256 {
    U256::from_limbs(value.into_bigint().0)
}

/// The element of the scalar field that 32 big-endian bytes are; `None` at or above its order.
pub(super) fn scalar(bytes: &[u8; 32]) -> Option<Fr> {
    Fr::from_bigint(BigInt::new(U256::from_be_bytes(*bytes).into_limbs()))
}

const FLAGS: u8 = 0b1100_0000;
const SMALLER: u8 = 0b1000_0000;
const LARGER: u8 = 0b1100_0000;
const INFINITY: u8 = 0b0100_0000;

/// The point in gnark's compressed form: the abscissa, big-endian, with the kind of the ordinate in the top two bits
/// (10 the smaller, 11 the larger, 01 the point is infinity).
pub(super) fn decompress(what: &'static str, bytes: &[u8; 32]) -> Result<G1Affine, EigenDaError> {
    let kind = bytes[0] & FLAGS;
    let mut rest = *bytes;
    rest[0] &= !FLAGS;
    let value = U256::from_be_bytes(rest);
    if kind == INFINITY && value.is_zero() {
        return Ok(G1Affine::identity());
    }
    if kind != SMALLER && kind != LARGER {
        return Err(EigenDaError::Point { what, reason: "not a compressed point" });
    }
    let x = coordinate(what, value)?;
    let root = (x.square() * x + Fq::from(3_u64)).sqrt();
    let y = root.ok_or(EigenDaError::Point { what, reason: "not on the curve" })?;
    let y = if is_larger(y) == (kind == LARGER) { y } else { -y };
    Ok(G1Affine::new_unchecked(x, y))
}

/// The bytes that [`decompress`] reads.
pub(super) fn compress(point: &G1Affine) -> [u8; 32] {
    let mut out = [0; 32];
    match point.xy() {
        None => out[0] = INFINITY,
        Some((x, y)) => {
            out.copy_from_slice(&x.into_bigint().to_bytes_be());
            out[0] |= if is_larger(y) { LARGER } else { SMALLER };
        }
    }
    out
}

fn is_larger(y: Fq) -> bool {
    y.into_bigint() > Fq::MODULUS_MINUS_ONE_DIV_TWO
}
