//! The payload codec: a payload and its number of elements have one encoding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tributary_schemas::payload_codec::{decode, encode, encode_to};

fuzz_target!(|data: &[u8]| {
    if let Ok(payload) = decode(data) {
        let elements = data.len() / 32;
        assert!(payload.len() <= 31 * (elements - 1));
        assert_eq!(encode_to(&payload, elements).expect("it was decoded"), data);
        let small = encode(&payload).expect("it was decoded");
        assert!(small.len() <= data.len());
        assert_eq!(decode(&small).expect("it was encoded"), payload);
    }
    let encoded = encode(data).expect("the fuzzer's inputs are small");
    assert!(encoded.len().is_power_of_two() && encoded.len() <= 4 * (data.len() + 32));
    assert_eq!(decode(&encoded).expect("it was encoded"), data);
});
