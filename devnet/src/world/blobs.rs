//! How events refer to their blobs: by certificate or by hash, and what is wrong with a certificate.

use alloy_primitives::{B256, Bytes, keccak256};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use crate::{chain::Chain, config::DevnetConfig, keys::stream, suite::keccak_reference, truth::Make, world::World};

/// Every so many references one is a keccak commitment, also where there are certificates.
const KECCAK_EVERY: u64 = 5;
/// L1 blocks between the one whose stakes count for a certificate and the L1 origin of the event that refers to it.
const REFERENCE_AGE: u64 = 2;
/// Of so many batches with a certificate one has a flaw in it.
const FLAW_EVERY: u64 = 6;
/// The flaws, which take turns.
const FLAWS: [Make; 5] =
    [Make::Unparsable, Make::WrongProof, Make::ForeignSignature, Make::Undecodable, Make::ForeignOperators];

/// The state of referring. Its randomness is a branch of the stream `blobs`, so that payloads are the same with
/// certificates and without.
#[derive(Debug)]
pub(super) struct References {
    certificates: bool,
    chance: ChaCha8Rng,
    made: u64,
    certified: u64,
    /// Sound batches that were referred to by certificate, and the flaw that comes first.
    batches: u64,
    first_flaw: usize,
}

impl References {
    pub(super) fn new(config: &DevnetConfig) -> Self {
        let mut chance = stream(config.seed, "blobs/certificates");
        let first_flaw = chance.random_range(0..FLAWS.len());
        Self { certificates: config.certificates, chance, made: 0, certified: 0, batches: 0, first_flaw }
    }

    /// Whether the next reference is a certificate.
    const fn next_is_certificate(&self) -> bool {
        self.certificates && self.made % KECCAK_EVERY != KECCAK_EVERY - 1
    }

    /// What is wrong with the certificate of the next batch, whose payload is sound.
    pub(super) fn next_flaw(&mut self) -> Make {
        if !self.next_is_certificate() {
            return Make::Sound;
        }
        self.batches = self.batches.saturating_add(1);
        if !self.batches.is_multiple_of(FLAW_EVERY) {
            return Make::Sound;
        }
        let turn = usize::try_from(self.batches / FLAW_EVERY).unwrap_or_default();
        FLAWS[turn.wrapping_add(self.first_flaw) % FLAWS.len()]
    }
}

impl World {
    /// Puts a payload where the proxy finds it: its hash, and what an event refers to it by. With a flaw in its
    /// certificate that may be nowhere.
    pub(super) fn keep_blob(&mut self, payload: Bytes, make: Make) -> (B256, Bytes) {
        let digest = keccak256(&payload);
        let references = &mut self.references;
        let certified = references.next_is_certificate();
        references.made = references.made.saturating_add(1);
        if !certified {
            self.blobs.insert(digest, payload);
            return (digest, keccak_reference(digest));
        }
        let turn = references.certified;
        references.certified = turn.saturating_add(1);
        // The verifier only speaks of blocks that are past.
        let past = Chain::l1_origin(self.number).saturating_sub(REFERENCE_AGE);
        let reference_block = u32::try_from(past).unwrap_or(u32::MAX);
        let reference = self.disperser.disperse(&mut references.chance, (turn, reference_block), payload, make);
        (digest, reference)
    }
}
