//! Commitments of both modes, and calldata. What reads has one encoding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tributary_schemas::eigenda::commitment::COMMITMENT_BYTES_MAX;
use tributary_schemas::eigenda::{Commitment, Mode, Posted};

fuzz_target!(|data: &[u8]| {
    for mode in [Mode::Op, Mode::Standard] {
        let Ok(commitment) = Commitment::read(mode, data) else { continue };
        assert!(data.len() <= COMMITMENT_BYTES_MAX);
        // A person may give the derivation byte too; without it the reading is the same, unless the bytes happen to
        // begin as if they had one.
        if data[0] != 1 || mode == Mode::Standard {
            assert_eq!(Commitment::read_either(mode, data).ok().as_ref(), Some(&commitment));
        }
        match commitment.encode(mode) {
            Some(encoded) => assert_eq!(encoded, data),
            None => assert!(matches!(commitment, Commitment::OtherLayer { .. })),
        }
        if let Some(rlp) = commitment.serialized_certificate() {
            assert!(data.ends_with(&rlp));
            let standard = commitment.encode(Mode::Standard).expect("a certificate has a standard form");
            assert_eq!(Commitment::read(Mode::Standard, &standard).ok().as_ref(), Some(&commitment));
        }
        if mode == Mode::Op {
            let calldata = [&[1], data].concat();
            assert_eq!(Posted::read(&calldata).ok(), Some(Posted::Commitment(commitment.clone())));
            assert_eq!(Commitment::read_either(Mode::Op, &calldata).ok(), Some(commitment));
        }
    }
    // Only an alt-DA commitment can be malformed in calldata.
    if Posted::read(data).is_err() {
        assert_eq!(data[0], 1);
    }
});
