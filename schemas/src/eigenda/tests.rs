//! The formats alone. What real certificates prove is tested where they are verified, in the indexer.

use alloy_primitives::{Address, B256, Bytes, U256, b256, hex};
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::certificate_v1::{BatchHeaderV1, BatchMetadata, BlobHeaderV1, BlobVerificationProof, QuorumParam};
use super::router::{CertStatus, abi_encoded, check_da_cert};
use super::*;

fn bytes(rng: &mut ChaCha8Rng, len: usize) -> Bytes {
    let mut out = vec![0; len];
    rng.fill_bytes(&mut out);
    out.into()
}

fn g1(rng: &mut ChaCha8Rng) -> G1 {
    G1 { x: coordinate(rng), y: coordinate(rng) }
}

/// A coordinate; every eighth is short, as integers are minimal in RLP.
fn coordinate(rng: &mut ChaCha8Rng) -> U256 {
    let short = rng.random_range(0..8_usize) == 0;
    U256::from_be_slice(&bytes(rng, if short { 31 } else { 32 }))
}

fn g2(rng: &mut ChaCha8Rng) -> G2 {
    let mut pair = || Quadratic { c1: coordinate(rng), c0: coordinate(rng) };
    G2 { x: pair(), y: pair() }
}

fn numbers(rng: &mut ChaCha8Rng, len: usize) -> Vec<u32> {
    (0..len).map(|_| rng.random::<u32>() >> rng.random_range(0..32_u32)).collect()
}

fn certificate(rng: &mut ChaCha8Rng, version: Version) -> Certificate {
    let (non_signers, siblings) = (rng.random_range(0..4), rng.random_range(0..5));
    let commitment =
        BlobCommitment { commitment: g1(rng), length_commitment: g2(rng), length_proof: g2(rng), length: 8 };
    let blob_header = BlobHeader {
        version: rng.random(),
        quorum_numbers: Bytes::from_static(&[0, 1]),
        commitment,
        payment_header_hash: B256::from_slice(&bytes(rng, 32)),
    };
    Certificate {
        version,
        batch_header: BatchHeader {
            batch_root: B256::from_slice(&bytes(rng, 32)),
            reference_block_number: rng.random(),
        },
        blob_inclusion: BlobInclusion {
            blob_certificate: BlobCertificate {
                blob_header,
                signature: bytes(rng, 65),
                relay_keys: numbers(rng, siblings),
            },
            blob_index: rng.random(),
            inclusion_proof: bytes(rng, 32 * siblings),
        },
        signatures: Signatures {
            non_signer_quorum_bitmap_indices: numbers(rng, non_signers),
            non_signer_pubkeys: (0..non_signers).map(|_| g1(rng)).collect(),
            quorum_apks: (0..2).map(|_| g1(rng)).collect(),
            apk_g2: g2(rng),
            sigma: g1(rng),
            quorum_apk_indices: numbers(rng, 2),
            total_stake_indices: numbers(rng, 2),
            non_signer_stake_indices: (0..2).map(|_| numbers(rng, non_signers)).collect(),
        },
        signed_quorum_numbers: Bytes::from_static(&[0, 1]),
    }
}

fn certificate_v1(rng: &mut ChaCha8Rng) -> CertificateV1 {
    let param = |quorum_number| QuorumParam {
        quorum_number,
        adversary_threshold_percentage: 33,
        confirmation_threshold_percentage: 55,
        chunk_length: 1,
    };
    CertificateV1 {
        blob_header: BlobHeaderV1 {
            commitment: CommitmentV1 { x: [&[0], bytes(rng, 31).as_ref()].concat().into(), y: bytes(rng, 32) },
            data_length: 2,
            blob_quorum_params: vec![param(0), param(1)],
        },
        blob_verification_proof: BlobVerificationProof {
            batch_id: rng.random(),
            blob_index: 195,
            batch_metadata: BatchMetadata {
                batch_header: BatchHeaderV1 {
                    batch_root: B256::from_slice(&bytes(rng, 32)),
                    quorum_numbers: Bytes::from_static(&[0, 1]),
                    quorum_signed_percentages: Bytes::from_static(&[100, 99]),
                    reference_block_number: rng.random(),
                },
                signatory_record_hash: B256::from_slice(&bytes(rng, 32)),
                fee: Bytes::from_static(&[0]),
                confirmation_block_number: rng.random(),
                batch_header_hash: B256::from_slice(&bytes(rng, 32)),
            },
            inclusion_proof: bytes(rng, 256),
            quorum_indexes: Bytes::from_static(&[0, 1]),
        },
    }
}

/// One commitment of every kind that holds a certificate.
fn commitments(rng: &mut ChaCha8Rng) -> Vec<Commitment> {
    let v4 = Version::V4 { offchain_derivation_version: 7 };
    let mut all: Vec<Commitment> =
        [Version::V2, Version::V3, v4].map(|version| Commitment::EigenDa(Box::new(certificate(rng, version)))).into();
    all.push(Commitment::EigenDaV1(Box::new(certificate_v1(rng))));
    all
}

#[test]
fn what_is_written_is_read() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..20 {
        for commitment in commitments(&mut rng) {
            let op = commitment.encode(Mode::Op).unwrap();
            let standard = commitment.encode(Mode::Standard).unwrap();
            assert_eq!(op, [&[1, 0], &standard[..]].concat());
            assert_eq!(Commitment::read(Mode::Op, &op).unwrap(), commitment);
            assert_eq!(Commitment::read(Mode::Standard, &standard).unwrap(), commitment);
            let calldata = [&[1], &op[..]].concat();
            assert_eq!(Posted::read(&calldata).unwrap(), Posted::Commitment(commitment.clone()));
            for either in [&op, &calldata] {
                assert_eq!(Commitment::read_either(Mode::Op, either).unwrap(), commitment);
            }
            assert_eq!(standard[1..], commitment.serialized_certificate().unwrap());
        }
    }
}

#[test]
fn the_mode_is_never_guessed() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for commitment in commitments(&mut rng) {
        let [op, standard] = [Mode::Op, Mode::Standard].map(|mode| commitment.encode(mode).unwrap());
        assert!(Commitment::read(Mode::Standard, &op).is_err());
        assert_ne!(Commitment::read(Mode::Op, &standard).ok(), Some(commitment));
    }
}

#[test]
fn everything_a_batcher_may_post_has_its_place() {
    let hash = [7; 32];
    let keccak = Commitment::Keccak(hash.into());
    let with = |head: &[u8]| [head, &hash].concat();
    assert_eq!(Posted::read(&with(&[1, 0])).unwrap(), Posted::Commitment(keccak.clone()));
    assert_eq!(Commitment::read_either(Mode::Op, &with(&[0])).unwrap(), keccak);
    assert_eq!(Commitment::read_either(Mode::Op, &with(&[1, 0])).unwrap(), keccak);
    assert_eq!(keccak.encode(Mode::Op).unwrap(), with(&[0]));
    assert_eq!(keccak.encode(Mode::Standard), None);
    assert_eq!(Posted::read(&[0, 1, 2]).unwrap(), Posted::Frames(&[1, 2]));
    assert_eq!(Posted::read(&with(&[0xed])).unwrap(), Posted::Unknown(0xed));
    assert_eq!(Posted::read(&[]).unwrap(), Posted::Empty);
    let celestia = Posted::Commitment(Commitment::OtherLayer { layer: 0x0c });
    assert_eq!(Posted::read(&with(&[1, 1, 0x0c])).unwrap(), celestia);
    for wrong in
        [&[1_u8][..], &[1, 0], &[1, 1], &[1, 1, 0], &[1, 2], &[1, 1, 0, 4, 0xc0], &[1, 1, 0, 2], &with(&[1, 0, 0])]
    {
        assert!(Posted::read(wrong).is_err(), "{}", hex::encode(wrong));
    }
    assert!(Commitment::read(Mode::Op, &vec![1; commitment::COMMITMENT_BYTES_MAX + 1]).is_err());
}

/// Every bit, every cut, and a byte more: a certificate has one encoding.
#[test]
fn reading_is_strict() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for commitment in commitments(&mut rng) {
        let bytes = commitment.encode(Mode::Standard).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = Commitment::read(Mode::Standard, &flipped) {
                assert_ne!(other, commitment, "bit {bit}");
                assert_eq!(other.encode(Mode::Standard).unwrap(), flipped, "bit {bit}");
            }
        }
        for len in 0..bytes.len() {
            assert!(Commitment::read(Mode::Standard, &bytes[..len]).is_err(), "{len} bytes");
        }
        assert!(Commitment::read(Mode::Standard, &[&bytes[..], &[0]].concat()).is_err());
    }
}

#[test]
fn noise_is_refused_without_a_panic() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let whole = commitments(&mut rng).swap_remove(1).encode(Mode::Op).unwrap();
    for round in 0..3_000_usize {
        let mut noise = bytes(&mut rng, round % 300).to_vec();
        let _any = Posted::read(&noise).is_ok();
        for (place, head) in noise.iter_mut().zip([1, 0, 2, 0xf9]) {
            *place = head;
        }
        let _any = Commitment::read_either(Mode::Op, &noise).is_ok();
        let mut spliced = whole.clone();
        let (from, len) = (rng.random_range(0..whole.len()), rng.random_range(1..9));
        spliced.splice(from..std::cmp::min(from + len, whole.len()), bytes(&mut rng, round % 9));
        let read = Commitment::read(Mode::Op, &spliced).ok();
        if let Some(again) = read.and_then(|read| read.encode(Mode::Op)) {
            assert_eq!(again, spliced);
        }
    }
}

#[test]
fn lists_are_bounded() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let sound = certificate(&mut rng, Version::V3);
    let refused = |change: &dyn Fn(&mut Certificate)| {
        let mut changed = sound.clone();
        change(&mut changed);
        let commitment = Commitment::EigenDa(Box::new(changed));
        Commitment::read(Mode::Standard, &commitment.encode(Mode::Standard).unwrap()).is_err()
    };
    assert!(!refused(&|_| ()));
    assert!(!refused(&|c| c.signatures.non_signer_pubkeys = vec![G1::default(); 415]));
    assert!(refused(&|c| c.signatures.non_signer_pubkeys = vec![G1::default(); 416]));
    assert!(refused(&|c| c.signatures.non_signer_quorum_bitmap_indices = vec![0; 416]));
    assert!(refused(&|c| c.signatures.non_signer_stake_indices = vec![vec![0; 416]]));
    assert!(refused(&|c| c.signatures.quorum_apks = vec![G1::default(); 257]));
    assert!(!refused(&|c| c.blob_inclusion.inclusion_proof = vec![0; 64 * 32].into()));
    assert!(refused(&|c| c.blob_inclusion.inclusion_proof = vec![0; 65 * 32].into()));
    assert!(refused(&|c| c.signed_quorum_numbers = vec![0; 257].into()));
}

/// Constants of the disperser's own tests.
#[test]
fn hashes_are_the_dispersers() {
    let mut account = Address::ZERO;
    account.0[18..].copy_from_slice(&[0x01, 0x23]);
    assert_eq!(
        hash::payment_header_hash(account, 5, U256::from(100)),
        b256!("234c3d10881641264afe33cf492000f8ecd505e385050314c63469c3ad2977c9")
    );
    let mut batch_root = B256::ZERO;
    batch_root.0[0] = 0x31;
    let header = BatchHeader { batch_root, reference_block_number: 1 };
    assert_eq!(
        hash::batch_header_hash(&header),
        b256!("891d0936da4627f445ef193aad63afb173409af9e775e292e4e35aff790a45e2")
    );
    let blank = |version, quorum_numbers: &'static [u8], payment| BlobHeader {
        version,
        quorum_numbers: Bytes::from_static(quorum_numbers),
        commitment: BlobCommitment {
            commitment: G1::default(),
            length_commitment: G2::default(),
            length_proof: G2::default(),
            length: 0,
        },
        payment_header_hash: B256::repeat_byte(payment),
    };
    assert_eq!(
        hash::blob_key(&blank(2, &[0], 1)),
        b256!("49508c922e2a74bfa0ae0e942aac3aacc28ababb4d4ffc823bb9fc5d3a858cca")
    );
    let certificate = BlobCertificate {
        blob_header: blank(1, &[0, 1], 0),
        signature: Bytes::from_static(&[1, 2, 3]),
        relay_keys: Vec::new(),
    };
    assert_eq!(
        hash::certificate_hash(&certificate),
        b256!("7f8946919c6354b9dd8488a279fd919798adafc7a2023a308f766e157919c124")
    );
    assert_eq!(hash::blob_key(&blank(2, &[1, 0], 1)), hash::blob_key(&blank(2, &[0, 1], 1)), "quorums are sorted");
}

#[test]
fn the_router_is_asked_as_the_contract_reads() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for version in [Version::V2, Version::V3, Version::V4 { offchain_derivation_version: 1 }] {
        let certificate = certificate(&mut rng, version);
        let encoded = abi_encoded(&certificate);
        let number = U256::from(certificate.batch_header.reference_block_number);
        assert_eq!(encoded[32..64], certificate.batch_header.batch_root[..]);
        assert_eq!(encoded[64..96], number.to_be_bytes::<32>(), "the router reads the block number here");
        let call = check_da_cert(&certificate);
        assert_eq!(call[..4], alloy_primitives::keccak256("checkDACert(bytes)")[..4]);
        assert_eq!(call[68..68 + encoded.len()], encoded[..]);
    }
    let answer = |code: u8| CertStatus::of_return_data(&U256::from(code).to_be_bytes::<32>());
    assert_eq!(answer(1).unwrap(), CertStatus::Success);
    assert_eq!((0..8).filter(|code| answer(*code).unwrap().is_void()).collect::<Vec<u8>>(), [2, 3, 4, 5, 6]);
    assert!(answer(8).is_err() && CertStatus::of_return_data(&[1]).is_err());
    assert!(CertStatus::of_return_data(&U256::from(257).to_be_bytes::<32>()).is_err());
}
