//! The public constants of a trusted setup: what verifying needs of it, without its points.

use std::sync::LazyLock;

use alloy_primitives::{B256, hex};
use ark_bn254::{Bn254, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::pairing::Pairing;
use ark_ec::{AffineRepr as _, CurveGroup as _};
use ark_ff::{Field as _, MontFp, PrimeField as _, Zero as _};

use super::curve;

/// Length proofs are shifts to the end of 2^28 powers, the length of the ceremony's file.
const ORDER_LOG: usize = 28;

/// What a pairing needs of a point of G2: the lines through its multiples. They are a third of a pairing's cost, and the
/// same for every pairing with that point.
pub(super) type G2Lines = <Bn254 as Pairing>::G2Prepared;

/// The constants of a setup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// `tau` in G2.
    pub(super) tau_g2: G2Affine,
    /// The lines of a pairing with it.
    tau_lines: G2Lines,
    /// `tau^(2^28 - 2^i)` in G1, at `i`.
    pub(super) shifts: Vec<G1Affine>,
    known: bool,
}

impl Setup {
    /// The setup of every network of EigenDA: the Perpetual Powers of Tau, contribution 85. Its tau is known to
    /// nobody.
    #[must_use]
    pub fn ceremony() -> &'static Self {
        static CEREMONY: LazyLock<Setup> = LazyLock::new(|| Setup {
            tau_g2: CEREMONY_TAU_G2,
            tau_lines: CEREMONY_TAU_G2.into(),
            shifts: CEREMONY_SHIFTS
                .iter()
                .map(|bytes| curve::decompress("shift", bytes).expect("a test reads every constant"))
                .collect(),
            known: false,
        });
        &CEREMONY
    }

    /// A setup whose tau everybody may know: commitments can be forged under it, so it is for tests and embedded
    /// chains and has no place beside a real network. `tau` is reduced by the order of the field.
    #[must_use]
    pub fn of_known_tau(tau: B256) -> Self {
        let tau = Fr::from_be_bytes_mod_order(tau.as_slice());
        let shift = |log: usize| {
            let exponent = (1_u64 << ORDER_LOG) - (1_u64 << log);
            (G1Affine::generator() * tau.pow([exponent])).into_affine()
        };
        let tau_g2 = (G2Affine::generator() * tau).into_affine();
        Self { tau_g2, tau_lines: tau_g2.into(), shifts: (0..ORDER_LOG).map(shift).collect(), known: true }
    }

    /// Whether somebody knows tau, so that nothing is proved.
    #[must_use]
    pub const fn is_unsafe(&self) -> bool {
        self.known
    }

    /// `tau` in G2, as pairings need it.
    pub(super) fn tau_lines(&self) -> G2Lines {
        self.tau_lines.clone()
    }

    /// What pairings need of a point of G2.
    pub(super) fn lines(&self, point: &G2Affine) -> G2Lines {
        if *point == G2Affine::generator() {
            generator_lines()
        } else if *point == self.tau_g2 {
            self.tau_lines()
        } else {
            (*point).into()
        }
    }
}

/// The generator of G2, as pairings need it.
pub(super) fn generator_lines() -> G2Lines {
    static LINES: LazyLock<G2Lines> = LazyLock::new(|| G2Affine::generator().into());
    LINES.clone()
}

/// Whether the product of these pairings is one.
pub(super) fn pairings_cancel(pairs: impl IntoIterator<Item = (G1Affine, G2Lines)>) -> bool {
    let (left, right): (Vec<G1Affine>, Vec<G2Lines>) = pairs.into_iter().unzip();
    Bn254::multi_pairing(left, right).is_zero()
}

/// `tau` in G2 of the ceremony, as in EigenDA's own verifiers; the visible SRS points pair with it.
const CEREMONY_TAU_G2: G2Affine = G2Affine::new_unchecked(
    Fq2::new(
        MontFp!("19394299006376106554626551996044114846855237028623244664226757033024550999552"),
        MontFp!("10478571113809844268398751534081669357808742555529167819607714577862447855483"),
    ),
    Fq2::new(
        MontFp!("9205262336805673656533560220225620941045451042642528799409071118332922267006"),
        MontFp!("10552783866161062341197740743287753408530108186218052255509661543860392060676"),
    ),
);

/// `tau^(2^28 - 2^i)` in G1 of the ceremony, for `i` from 0, compressed: what EigenDA's disperser and nodes prove and
/// check lengths with. A test pairs them with each other.
const CEREMONY_SHIFTS: [[u8; 32]; ORDER_LOG] = [
    hex!("d902537c5ac68b39468f8cfcc46b00da353024b618b0454e6847d2aee530e850"),
    hex!("c672cec11e3d0c0096d550635d28c4b51dd3c2deb407a5985f458f5a8610fe94"),
    hex!("c2ee739ae261af377f3c65362049fef9402013bd898351eb60e0d7429a56f880"),
    hex!("d9d7adde8d4e55e87312fcb7713fdd1e8713358347d7c8bc1ac21fa1ef1db34a"),
    hex!("8f89ac9e77846d29af1c58af31cfc3fe61c45ca14cf0a10f7aa71605b868c0e7"),
    hex!("e3adc6dbd3cb5c694b17bdb974860d07222f9ffd75655d8800702f455ddffc97"),
    hex!("cb36c6a5486f20baf22e4ca283ee475b70447c35e16b749d710caa4bc7bf2ac9"),
    hex!("86aa256a555695131099bc873d2d23dd0f31d6fa9e0117f2dc913565380f8536"),
    hex!("ac25b7bfc07913ee0aa062624b6c06f0218dcf1f03f232397761463d079be7fe"),
    hex!("a219ecf6ee97fe6b32ab434e3daff9ed6cbe8f467979ad1c6f39ee9dc660b212"),
    hex!("97840fcc4dd766fa0748bf2d50dd85242d4bb031fac39f8bb8f12d1146b0d443"),
    hex!("95b23343161483eed8834b7d595f5ac18b8c5dfe85d40538c83027a12b7e0ca6"),
    hex!("82e393213e64aef7726afb4ee823b58634087a47330ef6150c6e9e496a18cc5a"),
    hex!("e11a52ebf3628f51663a2fb41de1b755d28b764dde082521072531cf53bbb895"),
    hex!("c6318eb9dfa5f5627ceddde2f026af4e3ef79b7f1702f497b353437f57f188e4"),
    hex!("cfdc1c150ef291fa5eb1bdd2743815eebea02b4a89b3b0b1cc801269fb2502d6"),
    hex!("88723a42d3025fbb3beb27a75cf1266e37c59959a434ccabd04c332c888afc7c"),
    hex!("ebc857866d0cbb6ce20c2abd612cb99d1d2f4446e5330255c77f69bcfc56c8be"),
    hex!("ecc72a85bca27e6e6d9dcc73e15bd528b9bb1b4dc5b158e87d821571859820eb"),
    hex!("899e0d8eda7fcd5d0fcb7488574361663a7d05e920c11643101c1c996aad21b7"),
    hex!("87f814468e6e5b08526830fe3ce8fde7b5385f53e7654d3c061f5f602c5452b6"),
    hex!("a26d44f770db3207696477d61e7feedc3f0a83ea58f37b9ef914834fb32895b8"),
    hex!("90ec8f5ba15034bf2faa5b650606b7786e3c5c16201488c4411de3a40476874c"),
    hex!("ad10e224d82572833b2854c327a5db10a0b6c617c367e3aff58f5862aab90a41"),
    hex!("8ccb85c07ad9092316ea6f95161e0a64ed7cca863f23bc22300225bf456d094a"),
    hex!("d20165a1b364337df11a35fb687aa62382236938f8f740cb7059b656e1f4dd1c"),
    hex!("a9d669092e951729fcc2eaf05ff706cf372e04cbde166f48833337fa37b69537"),
    hex!("eb34e5696bcd208899dbd9d1e7604ec39cc594eeedae3eaf40ff8695ab25ca72"),
];
