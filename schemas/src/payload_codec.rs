//! EigenDA's payload encoding, version 0 (`coretypes/payload.go`, `encoded_payload.go`): a 32-byte header
//! `00 ‖ version 00 ‖ payload length u32be ‖ 26 zero bytes`, then 31 bytes of payload in every 32-byte element, the
//! first byte of each zero, zero-extended to a power-of-two number of elements. All padding is forced, so an encoded
//! payload has one payload and, for a given number of elements, one encoding.

use crate::error::SchemaError;

const ELEMENT: usize = 32;
const CHUNK: usize = 31;

/// Elements of the largest blob: 2^19, 16 MiB.
pub const ELEMENTS_MAX: usize = 1 << 19;
/// Bytes of the largest payload: 31 in each element of the largest blob but the first, 16,252,897.
pub const PAYLOAD_BYTES_MAX: usize = CHUNK * (ELEMENTS_MAX - 1);

/// The encoded payload, in the smallest power-of-two number of elements that holds it.
pub fn encode(payload: &[u8]) -> Result<Vec<u8>, SchemaError> {
    encode_to(payload, (1 + payload.len().div_ceil(CHUNK)).next_power_of_two())
}

/// The encoded payload, in so many elements. A certificate may be for more than the payload needs, and with another
/// number the commitment is another.
pub fn encode_to(payload: &[u8], elements: usize) -> Result<Vec<u8>, SchemaError> {
    if !elements.is_power_of_two() || elements > ELEMENTS_MAX {
        return Err(malformed(format!("{elements} elements: expected a power of two, at most {ELEMENTS_MAX}")));
    }
    let room = CHUNK * (elements - 1);
    if payload.len() > room {
        return Err(malformed(format!("{} bytes: {elements} elements hold at most {room}", payload.len())));
    }
    let claimed = u32::try_from(payload.len()).map_err(|error| malformed(error.to_string()))?;
    let mut out = vec![0; elements * ELEMENT];
    out[2..6].copy_from_slice(&claimed.to_be_bytes());
    for (element, chunk) in out[ELEMENT..].chunks_exact_mut(ELEMENT).zip(payload.chunks(CHUNK)) {
        element[1..=chunk.len()].copy_from_slice(chunk);
    }
    Ok(out)
}

/// The payload of an encoded payload, refused when any forced byte differs.
pub fn decode(encoded: &[u8]) -> Result<Vec<u8>, SchemaError> {
    let elements = encoded.len() / ELEMENT;
    if encoded.is_empty()
        || !encoded.len().is_multiple_of(ELEMENT)
        || !elements.is_power_of_two()
        || elements > ELEMENTS_MAX
    {
        return Err(malformed(format!(
            "{} bytes: expected a power-of-two number, at most {ELEMENTS_MAX}, of 32-byte elements",
            encoded.len()
        )));
    }
    let (header, body) = encoded.split_at(ELEMENT);
    if header[0] != 0 || header[1] != 0 {
        return Err(malformed(format!("header {:02x}{:02x}: expected 00 and version 00", header[0], header[1])));
    }
    if header[6..].iter().any(|byte| *byte != 0) {
        return Err(malformed("header bytes after the length are not zero".to_owned()));
    }
    let claimed = usize::try_from(u32::from_be_bytes([header[2], header[3], header[4], header[5]]))
        .map_err(|error| malformed(error.to_string()))?;
    let room = CHUNK * (elements - 1);
    if claimed > room {
        return Err(malformed(format!("claims {claimed} bytes: {elements} elements hold at most {room}")));
    }
    let mut payload = Vec::with_capacity(room);
    for element in body.chunks_exact(ELEMENT) {
        if element[0] != 0 {
            return Err(malformed(format!("an element starts with {:02x}: expected 00", element[0])));
        }
        payload.extend_from_slice(&element[1..]);
    }
    if payload[claimed..].iter().any(|byte| *byte != 0) {
        return Err(malformed("bytes after the payload are not zero".to_owned()));
    }
    payload.truncate(claimed);
    Ok(payload)
}

const fn malformed(reason: String) -> SchemaError {
    SchemaError::Malformed { what: "encoded payload", reason }
}

#[cfg(test)]
mod tests {
    use super::{ELEMENTS_MAX, PAYLOAD_BYTES_MAX, decode, encode, encode_to};

    #[test]
    fn every_small_length_comes_back() {
        for len in 0..400_u16 {
            let payload: Vec<u8> = (0..len).map(|i| i.to_le_bytes()[0] | 1).collect();
            let encoded = encode(&payload).unwrap();
            assert_eq!(decode(&encoded).unwrap(), payload);
        }
        assert_eq!(encode(b"").unwrap().len(), 32);
        assert_eq!(encode(b"hello").unwrap().len(), 64);
    }

    #[test]
    fn more_elements_than_needed_hold_the_same_payload() {
        let small = encode(&[7; 40]).unwrap();
        let large = encode_to(&[7; 40], 16).unwrap();
        assert_eq!((small.len(), large.len()), (4 * 32, 16 * 32));
        assert!(large.starts_with(&small) && large[small.len()..].iter().all(|byte| *byte == 0));
        assert_eq!(decode(&large).unwrap(), [7; 40]);
        for (bytes, elements) in [(40, 2), (40, 3), (0, 0), (31, 1), (1, 2 * ELEMENTS_MAX)] {
            assert!(encode_to(&vec![7; bytes], elements).is_err(), "{bytes} in {elements}");
        }
        assert_eq!(encode_to(b"", 1).unwrap(), encode(b"").unwrap());
        assert_eq!(PAYLOAD_BYTES_MAX, 16_252_897);
        assert!(encode(&vec![1; PAYLOAD_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn every_forced_byte_is_checked() {
        let encoded = encode(&[7; 40]).unwrap();
        let payload = decode(&encoded).unwrap();
        for index in 0..encoded.len() {
            let mut changed = encoded.clone();
            changed[index] ^= 0x80;
            assert_ne!(decode(&changed).ok(), Some(payload.clone()), "byte {index} is free");
        }
        assert!(decode(&encoded[..96]).is_err());
        assert!(decode(&[]).is_err());
    }
}
