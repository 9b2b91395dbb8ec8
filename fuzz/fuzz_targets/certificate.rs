//! `version byte ‖ RLP`: what reads is written back to the same bytes, has its hashes, goes to the contract, and is
//! judged without its bytes and with wrong ones.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tributary_indexer::eigenda::ladder::{Level, judge};
use tributary_indexer::eigenda::{Outcome, Setup};
use tributary_schemas::eigenda::{Certificate, Commitment, Mode, Version, hash, router};

fuzz_target!(|data: &[u8]| {
    let [byte, rlp @ ..] = data else { return };
    if *byte == 0 {
        judged(data);
        return;
    }
    let Ok(version) = Version::of_byte(*byte) else { return };
    let mut rest = rlp;
    let Ok(certificate) = Certificate::decode(version, &mut rest) else { return };
    let read = &rlp[..rlp.len() - rest.len()];
    assert_eq!(certificate.encode(), read);
    assert_eq!(certificate.version.byte(), *byte);
    let blob = &certificate.blob_inclusion;
    let key = hash::blob_key(&blob.blob_certificate.blob_header);
    let leaf = hash::certificate_hash(&blob.blob_certificate);
    assert_ne!(key, leaf);
    let whole = blob.inclusion_proof.len() % 32 == 0;
    assert_eq!(hash::inclusion_root(leaf, blob.blob_index, &blob.inclusion_proof).is_some(), whole);
    let encoded = router::abi_encoded(&certificate);
    assert!(encoded.len() % 32 == 0);
    // A byte of RLP becomes two words at most (an empty list: where it is, and how long).
    assert!(encoded.len() <= 64 * (read.len() + 64), "{} bytes from {}", encoded.len(), read.len());
    assert!(router::check_da_cert(&certificate).len() >= encoded.len() + 4 + 64);
    if rest.is_empty() {
        judged(data);
    }
});

/// Without L1's answer and without bytes, nothing above L2 is reached and nothing is called failed that was left out.
fn judged(standard: &[u8]) {
    let Ok(commitment) = Commitment::read(Mode::Standard, standard) else { return };
    let report = judge(Mode::Standard, &commitment, Setup::ceremony(), None, None);
    for check in &report.checks {
        if check.level >= Level::L3 {
            assert!(!matches!(check.outcome, Outcome::Passed), "{check:?}");
        }
    }
}
