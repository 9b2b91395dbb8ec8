//! The points that commitments are made with: `tau^i` in G1.
//!
//! EigenDA publishes them as a file of 32-byte compressed points. Where the file came from does not matter, as it
//! certifies itself: its first point is the generator, and a random combination of all points paired with `tau` in G2
//! is the same combination of their successors. That and taking square roots costs seconds for the whole file, so the
//! points are then kept as they lie in memory (Montgomery limbs), beside the digest of what they were read from.
//! Whoever can write that cache is believed: keep it in a folder of this node's own.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use alloy_primitives::{B256, keccak256};
use ark_bn254::{Fq, Fr, G1Affine, G1Projective};
use ark_ec::{AffineRepr as _, CurveGroup as _, PrimeGroup as _, ScalarMul as _};
use ark_ff::{BigInt, Field as _, PrimeField as _, Zero as _};
use rayon::prelude::*;
use tributary_schemas::payload_codec::ELEMENTS_MAX;

use super::setup::{Setup, generator_lines, pairings_cancel};
use super::{EigenDaError, curve, msm};

const COMPRESSED: usize = 32;
const RAW: usize = 64;
const MAGIC: &[u8; 16] = b"trib/srs/raw/01\n";
const HEADER: usize = 16 + 32 + 32;

/// The points, and the setup they belong to.
#[derive(Debug, Clone)]
pub struct Srs {
    pub(super) points: Vec<G1Affine>,
    setup: Setup,
    /// The first points, for short blobs; made when the first one comes.
    shifted: OnceLock<msm::Shifted>,
}

/// Points that are kept shifted, for blobs of up to 8 KiB: half a megabyte, made in the time of ten such blobs.
const SHIFTED: usize = 256;

/// Where the points are kept after they were certified.
#[derive(Debug, Clone, Default)]
pub enum Cache {
    /// Nowhere.
    #[default]
    None,
    /// In the folder of the file itself.
    Beside,
    /// In this folder.
    In(PathBuf),
}

impl Srs {
    /// The first `points` points of a file, all of them (2^19 at most) when not given. Only that much is read.
    ///
    /// A cache that cannot be read or does not belong to the file is made again; one that cannot be written is done
    /// without.
    pub fn load(file: &Path, points: Option<usize>, cache: &Cache) -> Result<Self, EigenDaError> {
        let compressed = prefix(file, points)?;
        let cached = cache.file(file, compressed.len() / COMPRESSED);
        let digest = keccak256(&compressed);
        if let Some(points) = cached.as_deref().and_then(|path| read_cache(path, digest)) {
            return Ok(Self::of(points, Setup::ceremony().clone()));
        }
        let srs = Self::read(&compressed)
            .map_err(|error| EigenDaError::Srs { file: file.to_owned(), reason: error.to_string() })?;
        if let Some(path) = cached
            && let Err(error) = write_cache(&path, digest, &srs.points)
        {
            tracing::warn!(file = %path.display(), %error, "the SRS cache was not written");
        }
        Ok(srs)
    }

    /// The points of the ceremony from their compressed bytes, certified.
    pub fn read(compressed: &[u8]) -> Result<Self, EigenDaError> {
        let (chunks, rest) = compressed.as_chunks::<COMPRESSED>();
        let refused = |reason| EigenDaError::Point { what: "the SRS", reason };
        if !rest.is_empty() || chunks.is_empty() || chunks.len() > ELEMENTS_MAX {
            return Err(refused("not a whole number, from 1 to 2^19, of 32-byte points"));
        }
        let points: Vec<G1Affine> =
            chunks.par_iter().map(|bytes| curve::decompress("a point of the SRS", bytes)).collect::<Result<_, _>>()?;
        certify(&points, Setup::ceremony(), keccak256(compressed)).map_err(refused)?;
        Ok(Self::of(points, Setup::ceremony().clone()))
    }

    /// Points of a setup whose tau everybody may know; see [`Setup::of_known_tau`].
    #[must_use]
    pub fn of_known_tau(tau: B256, points: usize) -> Self {
        let setup = Setup::of_known_tau(tau);
        let tau = Fr::from_be_bytes_mod_order(tau.as_slice());
        let powers = std::iter::successors(Some(Fr::ONE), |power| Some(*power * tau));
        let scalars: Vec<Fr> = powers.take(std::cmp::min(points, ELEMENTS_MAX)).collect();
        let points = G1Projective::generator().batch_mul(&scalars);
        Self::of(points, setup)
    }

    const fn of(points: Vec<G1Affine>, setup: Setup) -> Self {
        Self { points, setup, shifted: OnceLock::new() }
    }

    /// How many points there are: the elements of the longest blob.
    #[must_use]
    pub const fn points(&self) -> usize {
        self.points.len()
    }

    /// The constants that what is made with these points is verified with.
    #[must_use]
    pub const fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The sum of the first points, each as often as its scalar says.
    pub(super) fn combine(&self, scalars: &[Fr]) -> Result<G1Affine, EigenDaError> {
        let too_few = EigenDaError::TooFewPoints { have: self.points.len(), need: scalars.len() };
        let points = self.points.get(..scalars.len()).ok_or(too_few)?;
        if scalars.len() > SHIFTED {
            return Ok(msm::sum(points, scalars).into_affine());
        }
        let first = &self.points[..std::cmp::min(SHIFTED, self.points.len())];
        let shifted = self.shifted.get_or_init(|| msm::Shifted::new(first));
        Ok(shifted.sum(scalars).unwrap_or_else(|| msm::sum(points, scalars)).into_affine())
    }
}

/// Holds for powers of one tau, and for others with a chance of at most 2^19 in 2^253: the combination's scalars are
/// powers of the digest of what is certified.
fn certify(points: &[G1Affine], setup: &Setup, digest: B256) -> Result<(), &'static str> {
    if points.first() != Some(&G1Affine::generator()) {
        return Err("not one that begins with the generator");
    }
    let challenge = Fr::from_be_bytes_mod_order(digest.as_slice());
    let weights: Vec<Fr> =
        std::iter::successors(Some(Fr::ONE), |power| Some(*power * challenge)).take(points.len() - 1).collect();
    if weights.is_empty() || challenge.is_zero() {
        return Err("too short to be certified: expected two points or more");
    }
    let lower = msm::sum(&points[..weights.len()], &weights).into_affine();
    let upper = msm::sum(&points[1..], &weights).into_affine();
    if pairings_cancel([(lower, setup.tau_lines()), (-upper, generator_lines())]) {
        Ok(())
    } else {
        Err("not the ceremony's: its points are no powers of that tau")
    }
}

/// The bytes of the first points of a file.
fn prefix(file: &Path, points: Option<usize>) -> Result<Vec<u8>, EigenDaError> {
    let read = |source| EigenDaError::Read { file: file.to_owned(), source };
    let most = std::cmp::min(points.unwrap_or(ELEMENTS_MAX), ELEMENTS_MAX) * COMPRESSED;
    let open = File::open(file).map_err(read)?;
    let mut bytes = Vec::new();
    open.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut bytes).map_err(read)?;
    if let Some(wanted) = points
        && bytes.len() < wanted * COMPRESSED
    {
        let reason = format!("{} points: expected at least {wanted}", bytes.len() / COMPRESSED);
        return Err(EigenDaError::Srs { file: file.to_owned(), reason });
    }
    Ok(bytes)
}

impl Cache {
    fn file(&self, source: &Path, points: usize) -> Option<PathBuf> {
        let name = format!("{}.{points}.raw", source.file_name()?.to_string_lossy());
        match self {
            Self::None => None,
            Self::Beside => Some(source.with_file_name(name)),
            Self::In(folder) => Some(folder.join(name)),
        }
    }
}

/// The points, when the file is whole and was made from bytes of this digest.
fn read_cache(path: &Path, digest: B256) -> Option<Vec<G1Affine>> {
    let most = u64::try_from(HEADER + ELEMENTS_MAX * RAW).ok()?;
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(most + 1).read_to_end(&mut bytes).ok()?;
    let body = bytes.strip_prefix(MAGIC)?.strip_prefix(digest.as_slice())?;
    let (of_body, raw) = body.split_at_checked(32)?;
    let (points, rest) = raw.as_chunks::<RAW>();
    if keccak256(raw) != of_body || !rest.is_empty() {
        return None;
    }
    points.iter().map(raw_point).collect()
}

fn raw_point(raw: &[u8; RAW]) -> Option<G1Affine> {
    let (words, _none) = raw.as_chunks::<8>();
    let limbs: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let field = |limbs: &[u64]| {
        let value = BigInt::new(limbs.try_into().ok()?);
        (value < Fq::MODULUS).then(|| Fq::new_unchecked(value))
    };
    Some(G1Affine::new_unchecked(field(&limbs[..4])?, field(&limbs[4..])?))
}

/// Written under another name first: a half-written cache is never found.
fn write_cache(path: &Path, digest: B256, points: &[G1Affine]) -> std::io::Result<()> {
    let mut raw = Vec::with_capacity(points.len() * RAW);
    for point in points {
        for limb in point.x.0.0.iter().chain(&point.y.0.0) {
            raw.extend_from_slice(&limb.to_le_bytes());
        }
    }
    let unfinished = path.with_extension("unfinished");
    let mut file = File::create(&unfinished)?;
    file.write_all(MAGIC)?;
    file.write_all(digest.as_slice())?;
    file.write_all(keccak256(&raw).as_slice())?;
    file.write_all(&raw)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)
}
