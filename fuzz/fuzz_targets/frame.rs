//! Frames of a payload (its version byte is 0); after any other first byte, the payload of an EIP-4844 blob that the
//! rest begins or is put into.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tributary_devnet::inbox as written;
use tributary_indexer::inbox::{blob_encoding, frame};

fuzz_target!(|data: &[u8]| {
    if let Ok(frames) = frame::parse(data) {
        assert!(!frames.is_empty());
        assert!(frames.iter().all(|one| one.data.len() <= frame::FRAME_BYTES_MAX));
        let again: Vec<Vec<u8>> =
            frames.iter().map(|one| written::frame(one.channel.0, one.number, one.data, one.last)).collect();
        assert_eq!(written::payload(&again), data);
    }
    let [1..=255, data @ ..] = data else { return };
    let mut blob = data.to_vec();
    blob.resize(blob_encoding::BLOB_BYTES, 0);
    if let Ok(payload) = blob_encoding::decode(&blob) {
        assert_eq!(written::blob(&payload).expect("it came out of a blob"), blob);
    }
    if let Some(blob) = written::blob(data) {
        assert_eq!(blob_encoding::decode(&blob).expect("it was encoded"), data);
    }
});
