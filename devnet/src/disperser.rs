//! The EigenDA network of the devnet: it takes blobs, certifies them, and holds them.
//!
//! Every blob goes into a Merkle batch of its own with up to three others that nobody asked for: a certificate has to
//! exist when the event that carries it is planned, so there is no waiting for company. Versions 2, 3 and 4 take
//! turns. What the verifier on L1 vouches for is exactly what was certified here without a flaw.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Bytes, keccak256};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tributary_schemas::{
    eigenda::{BlobCommitment, Certificate, Commitment, Mode, Version, router},
    payload_codec,
};

use crate::{
    keys::labelled,
    mint::{Form, Mint},
    truth::Make,
};

/// Most blobs beside one's own in a batch.
const COMPANY_MAX: usize = 3;
/// One blob in so many is encoded to twice the length it needs, as a disperser may.
const ROOMY: u32 = 8;

/// What is dispersed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A payload, and the number of elements it is encoded to.
    Payload { bytes: Bytes, elements: usize },
    /// Elements that are no encoded payload.
    Undecodable(Bytes),
}

/// The network.
#[derive(Debug)]
pub(crate) struct Disperser {
    pub(crate) tau: B256,
    /// The certificate verifier on L1.
    pub(crate) router: Address,
    /// The directory of the network's contracts on L1.
    pub(crate) directory: Address,
    seed: u64,
    made: Option<Made>,
    /// What is held, by keccak256 of the certificate's RLP.
    held: BTreeMap<B256, Content>,
    /// keccak256 of every certificate the verifier vouches for, as it is asked for it (ABI).
    vouched: BTreeSet<B256>,
}

/// What costs time to make, and is made when the first blob comes.
#[derive(Debug)]
struct Made {
    mint: Mint,
    /// A disperser and operators whom nobody appointed.
    strangers: Mint,
    company: Vec<BlobCommitment>,
}

impl Disperser {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            tau: labelled(seed, "blobs/tau", 0),
            router: Address::from_word(labelled(seed, "eigenda router", 0)),
            directory: Address::from_word(labelled(seed, "eigenda directory", 0)),
            seed,
            made: None,
            held: BTreeMap::new(),
            vouched: BTreeSet::new(),
        }
    }

    /// Certifies a payload: an OP commitment, without the derivation byte. Versions 2, 3 and 4 take turns by `turn`.
    /// What `make` says is wrong about the certificate is wrong about it. `reference_block` is the L1 block whose
    /// stakes count.
    pub(crate) fn disperse(
        &mut self,
        chance: &mut ChaCha8Rng,
        (turn, reference_block): (u64, u32),
        payload: Bytes,
        make: Make,
    ) -> Bytes {
        let version = match turn % 3 {
            0 => Version::V2,
            1 => Version::V3,
            _ => Version::V4 { offchain_derivation_version: 0 },
        };
        let content = content(chance, payload, make);
        let (seed, tau) = (self.seed, self.tau);
        let made = self.made.get_or_insert_with(|| Made::new(seed, tau));
        let certificate = made.certify(chance, version, reference_block, &content, make);
        if !make.is_refused_by_verifier() {
            self.vouched.insert(keccak256(router::abi_encoded(&certificate)));
            self.held.insert(key(&certificate), content);
        }
        let commitment = Commitment::EigenDa(Box::new(certificate));
        let mut bytes = commitment.encode(Mode::Op).expect("a certificate has an OP commitment");
        if make == Make::Unparsable {
            // After the version byte, so that it is the certificate that does not parse.
            bytes.truncate(chance.random_range(3..bytes.len()));
        }
        bytes.into()
    }

    /// What a certificate is for.
    pub(crate) fn content(&self, certificate: &Certificate) -> Option<&Content> {
        self.held.get(&key(certificate))
    }

    /// Another payload than a certificate's own, the same one every time.
    pub(crate) fn neighbour(&self, certificate: &Certificate) -> Option<&Content> {
        let own = key(certificate);
        let payload = |(key, content): &(&B256, &Content)| **key != own && matches!(content, Content::Payload { .. });
        self.held
            .range::<B256, _>(own..)
            .chain(self.held.range::<B256, _>(..own))
            .find(payload)
            .map(|(_, content)| content)
    }

    /// Whether the verifier vouches for these bytes of ABI-encoded certificate.
    pub(crate) fn vouches(&self, abi_encoded: &[u8]) -> bool {
        self.vouched.contains(&keccak256(abi_encoded))
    }
}

impl Made {
    fn new(seed: u64, tau: B256) -> Self {
        let mint = Mint::new(seed, tau);
        let others: Vec<Vec<u8>> = (0..2_u64)
            .map(|index| labelled(seed, "blobs/company", index))
            .map(|payload| payload_codec::encode(payload.as_slice()).expect("thirty-two bytes fit a blob"))
            .collect();
        let company = mint.commit(Form::Evaluations, &others).expect("encoded payloads are elements of the field");
        Self { mint, strangers: Mint::new(seed.wrapping_add(1), tau), company }
    }

    /// One's own blob at a random place of a batch.
    fn certify(
        &mut self,
        chance: &mut ChaCha8Rng,
        version: Version,
        reference_block: u32,
        content: &Content,
        make: Make,
    ) -> Certificate {
        // A proof without siblings has nothing to be wrong.
        let count = chance.random_range(usize::from(make == Make::WrongProof)..=COMPANY_MAX);
        let place = chance.random_range(0..=count);
        let own = self.mint.commit(Form::Evaluations, &[content.encoded()]);
        let own = own.expect("encoded payloads are elements of the field, a power of two of them");
        let mut blobs: Vec<BlobCommitment> =
            (0..count).map(|_| self.company[chance.random_range(0..self.company.len())].clone()).collect();
        blobs.splice(place..place, own);
        let by = if make == Make::ForeignOperators { &mut self.strangers } else { &mut self.mint };
        let mut batch = by.certify(version, reference_block, blobs).expect("a batch has a blob and not 2^32");
        let mut certificate = batch.swap_remove(place);
        if make == Make::WrongProof {
            let mut proof = certificate.blob_inclusion.inclusion_proof.to_vec();
            proof[0] ^= 1;
            certificate.blob_inclusion.inclusion_proof = proof.into();
        }
        if make == Make::ForeignSignature {
            certificate.signatures.sigma = self.strangers.sign(&certificate.batch_header).sigma;
        }
        certificate
    }
}

impl Content {
    /// The encoded payload at its certificate's length.
    pub(crate) fn encoded(&self) -> Vec<u8> {
        match self {
            Self::Payload { bytes, elements } => {
                payload_codec::encode_to(bytes, *elements).expect("the elements were counted for this payload")
            }
            Self::Undecodable(encoded) => encoded.to_vec(),
        }
    }
}

/// The payload, or for the flaw of that name elements whose header is of no version that is known.
fn content(chance: &mut ChaCha8Rng, payload: Bytes, make: Make) -> Content {
    let mut encoded = payload_codec::encode(&payload).expect("the devnet's payloads fit a blob");
    if make == Make::Undecodable {
        encoded[1] = 1;
        return Content::Undecodable(encoded.into());
    }
    let roomy = chance.random_range(0..ROOMY) == 0 && encoded.len() < 1 << 16;
    let elements = (encoded.len() / 32) << u32::from(roomy);
    Content::Payload { bytes: payload, elements }
}

fn key(certificate: &Certificate) -> B256 {
    keccak256(certificate.encode())
}
