//! What the devnet mints climbs the whole ladder, and nothing in it can be changed unnoticed.

use alloy_primitives::U256;
use ark_bn254::G1Affine;
use ark_ec::CurveGroup as _;
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tributary_devnet::mint::{self, Minted};
use tributary_schemas::eigenda::router::CertStatus;
use tributary_schemas::eigenda::{Certificate, Commitment, Mode, Version};

use super::super::signature::{Claim, PointsInG2};
use super::super::*;
use super::{TAU, batch, failures};

const V4: Version = Version::V4 { offchain_derivation_version: 0 };

fn payloads(seed: u64, lengths: &[usize]) -> Vec<Vec<u8>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let payload = |len: &usize| {
        let mut out = vec![0; *len];
        rng.fill_bytes(&mut out);
        out
    };
    lengths.iter().map(payload).collect()
}

fn evidence<'a>(bytes: &'a [u8], srs: &'a Srs) -> Evidence<'a> {
    Evidence { bytes, form: Form::Evaluations, witness: Witness::Srs(srs) }
}

fn judged(certificate: &Certificate, srs: &Srs, bytes: &[u8]) -> Report {
    let commitment = Commitment::EigenDa(Box::new(certificate.clone()));
    judge(Mode::Op, &commitment, srs.setup(), Some(CertStatus::Success), Some(evidence(bytes, srs)))
}

#[test]
fn every_version_and_form_reaches_the_top() {
    let srs = Srs::of_known_tau(TAU, 32);
    assert!(srs.setup().is_unsafe() && !Setup::ceremony().is_unsafe());
    for (seed, version) in (1..).zip([Version::V2, Version::V3, V4]) {
        for form in [Form::Evaluations, Form::Coefficients] {
            let (batch, account) = batch(seed, version, form, &payloads(seed, &[0, 5, 700]));
            for Minted { certificate, payload, encoded } in &batch {
                for bytes in [payload, encoded] {
                    let report = judged(certificate, &srs, bytes);
                    assert_eq!(report.first_failure, None);
                    assert_eq!((report.level, report.data_level), (Some(Level::L3), Some(Level::D2)));
                    assert_eq!(report.dispersing_account, Some(account));
                    assert!(report.unsafe_setup);
                    // two forms of one element are one polynomial
                    let tried = if encoded.len() == 32 { Form::Evaluations } else { form };
                    assert_eq!(report.payload.unwrap().form, Some(tried));
                }
            }
        }
    }
}

#[test]
fn levels_need_what_they_need() {
    let srs = Srs::of_known_tau(TAU, 2);
    let (batch, _account) = batch(1, V4, Form::Evaluations, &payloads(1, &[100]));
    let commitment = Commitment::EigenDa(Box::new(batch[0].certificate.clone()));
    let levels = |setup: &Setup, answer, evidence| {
        let report = judge(Mode::Op, &commitment, setup, answer, evidence);
        (report.level, report.data_level, failures(&report))
    };
    let bytes = &batch[0].payload;
    let l2 = Some(Level::L2);
    assert_eq!(levels(srs.setup(), None, None), (l2, None, vec![]));
    let without = Evidence { bytes, form: Form::Evaluations, witness: Witness::None };
    assert_eq!(levels(srs.setup(), None, Some(without)), (l2, Some(Level::D1), vec![]));
    assert_eq!(levels(srs.setup(), None, Some(evidence(bytes, &srs))), (l2, Some(Level::D1), vec![]), "too few points");
    assert_eq!(levels(srs.setup(), Some(CertStatus::Internal), None), (l2, None, vec![]));
    assert_eq!(levels(srs.setup(), Some(CertStatus::Invalid), None), (l2, None, vec!["check_da_cert"]));
    assert_eq!(levels(Setup::ceremony(), None, None), (Some(Level::L1), None, vec!["length_proof"]));
    let opening = Srs::of_known_tau(TAU, 8);
    let committed = batch[0].certificate.commitment().commitment;
    let opening = opening.open(&batch[0].encoded, Form::Evaluations, &committed).unwrap();
    let opened = Evidence { witness: Witness::Opening(&opening), ..without };
    assert_eq!(levels(srs.setup(), None, Some(opened)), (l2, Some(Level::D2), vec![]));
    let other = batch[0].payload[1..].to_vec();
    let opened = Evidence { bytes: &other, ..opened };
    assert_eq!(levels(srs.setup(), None, Some(opened)), (l2, Some(Level::D1), vec!["kzg_commitment"]));
}

/// Bits of the parts that L1 covers, all of them; of the signature and the lengths, by seed.
#[test]
fn no_bit_is_free() {
    let srs = Srs::of_known_tau(TAU, 8);
    let (batch, account) = batch(9, V4, Form::Evaluations, &payloads(9, &[40, 60, 80]));
    let sound = Commitment::EigenDa(Box::new(batch[1].certificate.clone()));
    let bytes = sound.encode(Mode::Standard).unwrap();
    let pairings_from = {
        let mut inclusion = Vec::new();
        alloy_rlp::Encodable::encode(&batch[1].certificate.blob_inclusion, &mut inclusion);
        bytes.windows(inclusion.len()).position(|window| window == inclusion).unwrap() + inclusion.len()
    };
    let root_at = 1 + 3 + 1 + 1;
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let beyond: Vec<usize> = (0..60).map(|_| rng.random_range(pairings_from * 8..bytes.len() * 8)).collect();
    let mut indices = 0;
    for bit in (root_at * 8..pairings_from * 8).chain(beyond) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let report = inspect(Mode::Standard, &flipped, srs.setup(), None, None);
        if report.level == Some(Level::L2) {
            // history indices and the version of derivation are for the chain to judge
            indices += 1;
            assert!(bit / 8 > pairings_from, "bit {bit} of {pairings_from} bytes");
            assert_eq!(report.dispersing_account, Some(account));
        } else {
            assert!(report.first_failure.is_some(), "bit {bit}");
        }
        if bit < pairings_from * 8 {
            let l1 = report.level < Some(Level::L1);
            let number = report.first_failure.is_some_and(|check| check.name == "bls_signature");
            assert!(l1 || number, "bit {bit} passed L1");
        }
    }
    assert!(indices < 20, "{indices} of 60");
}

#[test]
fn every_point_and_list_of_the_signature_is_checked() {
    let srs = Srs::of_known_tau(TAU, 8);
    let (batch, _account) = batch(3, V4, Form::Evaluations, &payloads(3, &[40]));
    let failed = |change: &dyn Fn(&mut Certificate)| {
        let mut changed = batch[0].certificate.clone();
        change(&mut changed);
        let mut report = judge(Mode::Op, &Commitment::EigenDa(Box::new(changed)), srs.setup(), None, None);
        report.checks.retain(|check| check.level == Level::L2);
        failures(&report)
    };
    let other = mint::g1(5);
    let far = mint::g2(5);
    assert!(failed(&|_| ()).is_empty());
    assert_eq!(failed(&|c| c.signatures.sigma = other), ["bls_signature"]);
    assert_eq!(failed(&|c| c.signatures.sigma.x += U256::ONE), ["bls_signature"]);
    assert_eq!(failed(&|c| c.signatures.apk_g2 = far), ["bls_signature", "aggregate_key"]);
    assert_eq!(failed(&|c| c.signatures.apk_g2 = Default::default()), ["bls_signature", "aggregate_key"]);
    assert_eq!(failed(&|c| c.signatures.apk_g2.x.c0 += U256::ONE), ["bls_signature", "aggregate_key"]);
    assert_eq!(failed(&|c| c.signatures.quorum_apks[1] = other), ["aggregate_key"]);
    assert_eq!(failed(&|c| c.signatures.non_signer_pubkeys[0] = other), ["aggregate_key"]);
    assert_eq!(failed(&|c| c.batch_header.reference_block_number += 1), ["bls_signature"]);
    assert_eq!(failed(&|c| c.signed_quorum_numbers = vec![1, 0].into()), ["signature_lists"]);
    assert_eq!(failed(&|c| c.signed_quorum_numbers = vec![0, 2].into()), ["signature_lists"]);
    assert_eq!(failed(&|c| c.signed_quorum_numbers = vec![].into()), ["signature_lists"]);
    assert_eq!(failed(&|c| c.signatures.quorum_apk_indices = vec![1]), ["signature_lists"]);
    assert_eq!(failed(&|c| c.signatures.total_stake_indices.push(1)), ["signature_lists"]);
    assert_eq!(failed(&|c| c.signatures.non_signer_quorum_bitmap_indices.clear()), ["signature_lists"]);
    let both = "a non-signer of one quorum only leaves the key to the chain";
    assert!(failed(&|c| c.signatures.non_signer_stake_indices[1].clear()).is_empty(), "{both}");
}

/// The lengths are under the Merkle root too, so a batch has to be made around each lie.
#[test]
fn lengths_are_proved() {
    let setup = Setup::of_known_tau(TAU);
    let (batch, _account) = batch(4, V4, Form::Evaluations, &payloads(4, &[40]));
    let sound = batch[0].certificate.commitment();
    let refused = |change: &dyn Fn(&mut tributary_schemas::eigenda::BlobCommitment)| {
        let mut changed = sound.clone();
        change(&mut changed);
        let length = signature::length(&changed, &setup);
        let in_g2 = PointsInG2::read(&batch[0].certificate.signatures, &changed);
        let alone = |claim: Claim| claim.alone(&setup);
        let same = signature::length_commitment(&changed, &in_g2).and_then(alone);
        let proof = length.clone().and_then(|log| signature::length_proof(log, &in_g2, &setup)).and_then(alone);
        (length.is_err(), same.is_err(), proof.is_err())
    };
    let far = mint::g2(5);
    assert_eq!(refused(&|_| ()), (false, false, false));
    assert_eq!(refused(&|c| c.length *= 2), (false, false, true));
    assert_eq!(refused(&|c| c.length /= 2), (false, false, true));
    assert_eq!(refused(&|c| c.length += 1), (true, false, true));
    assert_eq!(refused(&|c| c.length = 0), (true, false, true));
    assert_eq!(refused(&|c| c.length = 1 << 28), (true, false, true));
    assert_eq!(refused(&|c| c.length_commitment = far), (false, true, true));
    assert_eq!(refused(&|c| c.length_proof = far), (false, false, true));
    assert_eq!(refused(&|c| c.commitment = mint::g1(5)), (false, true, false));
    // infinity everywhere commits to zero, whose length is anything
    let zero = |c: &mut tributary_schemas::eigenda::BlobCommitment| {
        (c.commitment, c.length_commitment, c.length_proof) = Default::default();
    };
    assert_eq!(refused(&zero), (false, false, false));
}

/// Two lies that make up for each other in a product without weights: both are found.
#[test]
fn lies_do_not_cancel() {
    let setup = Setup::of_known_tau(TAU);
    let (batch, _account) = batch(6, V4, Form::Evaluations, &payloads(6, &[40]));
    let ends = |shift: u64| {
        let mut certificate = batch[0].certificate.clone();
        let by = curve::g1("shift", &mint::g1(shift)).unwrap();
        let shifted = |of: G1Affine, by: G1Affine| curve::coordinates(&(of + by).into_affine());
        let sigma = &mut certificate.signatures.sigma;
        *sigma = shifted(curve::g1("sigma", sigma).unwrap(), by);
        let mut lengths = certificate.commitment().clone();
        lengths.commitment = shifted(curve::g1("commitment", &lengths.commitment).unwrap(), -by);
        let in_g2 = PointsInG2::read(&certificate.signatures, &lengths);
        let log = signature::length(&lengths, &setup).unwrap();
        let stands = vec![
            signature::bls(&certificate, &in_g2).into(),
            signature::aggregate_key(&certificate, &in_g2).unwrap().into(),
            signature::length_commitment(&lengths, &in_g2).into(),
            signature::length_proof(log, &in_g2, &setup).into(),
        ];
        signature::decide(stands, &setup)
    };
    assert!(ends(0).iter().all(|end| *end == Outcome::Passed));
    for shift in 1..5 {
        let failed: Vec<bool> = ends(shift).iter().map(|end| matches!(end, Outcome::Failed(_))).collect();
        assert_eq!(failed, [true, false, true, false], "{shift}");
    }
}

/// A round of sound and unsound certificates and bytes says of each what is said of it alone.
#[test]
fn company_changes_no_report() {
    let srs = Srs::of_known_tau(TAU, 32);
    let (mut batch, _account) = batch(7, V4, Form::Coefficients, &payloads(7, &[40, 500, 0, 100, 64, 300, 31, 90]));
    batch[1].certificate.signatures.sigma = mint::g1(3);
    batch[2].certificate.signatures.apk_g2 = mint::g2(3);
    batch[3].payload.push(1);
    batch[4].encoded[33] ^= 1;
    batch[5].certificate.blob_inclusion.blob_index += 1;
    let commitments: Vec<Commitment> =
        batch.iter().map(|minted| Commitment::EigenDa(Box::new(minted.certificate.clone()))).collect();
    for places in [0..8, 6..8, 0..1, 1..2, 0..0] {
        let cases: Vec<Case<'_>> = places
            .flat_map(|at| {
                let case = |before, evidence| Case {
                    mode: Mode::Op,
                    commitment: &commitments[at],
                    before,
                    answer: Some(CertStatus::Success),
                    evidence,
                };
                let alone = judge(Mode::Op, &commitments[at], srs.setup(), None, None);
                [
                    case(None, None),
                    case(Some(alone), Some(evidence(&batch[at].payload, &srs))),
                    case(None, Some(evidence(&batch[at].encoded, &srs))),
                ]
            })
            .collect();
        let expected: Vec<Report> = cases.iter().map(|case| case.clone().judge(srs.setup())).collect();
        assert_eq!(judge_all(cases, srs.setup()), expected);
    }
}

/// What was found before is not found again, and the report is the one of a judgement in one go.
#[test]
fn two_steps_come_to_the_same_report() {
    let srs = Srs::of_known_tau(TAU, 8);
    let (batch, _account) = batch(8, V4, Form::Evaluations, &payloads(8, &[40]));
    let commitment = Commitment::EigenDa(Box::new(batch[0].certificate.clone()));
    let (answer, evidence) = (Some(CertStatus::Success), Some(evidence(&batch[0].payload, &srs)));
    let whole = judge(Mode::Op, &commitment, srs.setup(), answer, evidence);
    let before = judge(Mode::Op, &commitment, srs.setup(), None, None);
    assert_eq!((before.level, before.data_level), (Some(Level::L2), None));
    let case = |before, answer, evidence| Case { mode: Mode::Op, commitment: &commitment, before, answer, evidence };
    let further = case(Some(before.clone()), answer, evidence).judge(srs.setup());
    assert_eq!((further.level, further.data_level), (Some(Level::L3), Some(Level::D2)));
    assert_eq!(further, whole);
    assert_eq!(case(Some(before.clone()), None, None).judge(srs.setup()), before);
    // the checks of L2 are taken as they stand
    let mut doubted = before;
    doubted.checks.retain(|check| check.name != "bls_signature");
    let further = case(Some(doubted), answer, evidence).judge(srs.setup());
    assert!(further.checks.iter().all(|check| check.name != "bls_signature"));
}

#[test]
fn no_bit_of_the_bytes_is_free() {
    let srs = Srs::of_known_tau(TAU, 4);
    let (batch, _account) = batch(5, V4, Form::Evaluations, &payloads(5, &[70]));
    let Minted { certificate, payload, encoded } = &batch[0];
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for bit in (0..40).map(|_| rng.random_range(0..encoded.len() * 8)) {
        let mut flipped = encoded.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let report = judged(certificate, &srs, &flipped);
        assert!(report.data_level < Some(Level::D2) && report.first_failure.is_some(), "bit {bit} of the encoding");
    }
    for bit in (0..20).map(|_| rng.random_range(0..payload.len() * 8)) {
        let mut flipped = payload.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let report = judged(certificate, &srs, &flipped);
        assert_eq!((report.data_level, failures(&report)), (Some(Level::D1), vec!["kzg_commitment"]), "bit {bit}");
    }
    for bytes in [&payload[1..], &encoded[32..], &[&encoded[..], &[0; 32]].concat(), &[0; 500]] {
        assert!(judged(certificate, &srs, bytes).first_failure.is_some());
    }
}

#[test]
fn other_commitments_have_their_place() {
    let setup = Setup::ceremony();
    let payload = b"the payload itself";
    let keccak = [&[0][..], alloy_primitives::keccak256(payload).as_slice()].concat();
    let with = |bytes| Some(Evidence { bytes, form: Form::Evaluations, witness: Witness::None });
    let report = inspect(Mode::Op, &keccak, setup, None, with(payload));
    assert_eq!((report.kind, report.level, report.data_level), ("keccak", Some(Level::L0), Some(Level::D2)));
    let report = inspect(Mode::Op, &keccak, setup, None, with(b"another"));
    assert_eq!((report.data_level, failures(&report)), (None, vec!["keccak256"]));
    let report = inspect(Mode::Op, &[1, 0x0c, 1, 2, 3], setup, None, with(payload));
    assert_eq!((report.kind, report.level, report.first_failure), ("other_layer", Some(Level::L0), None));
    let report = inspect(Mode::Op, &[0xed, 1, 2], setup, None, None);
    assert_eq!((report.kind, report.level, failures(&report)), ("malformed", None, vec!["parsed"]));
}
