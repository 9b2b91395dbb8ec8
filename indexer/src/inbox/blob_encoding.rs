//! The OP Stack's packing of a payload into an EIP-4844 blob, version 0 (specs/protocol/derivation.md, "Blob
//! encoding").
//!
//! A blob is 4,096 field elements of 32 bytes whose two highest bits are zero. Four elements make a round of
//! 4 × 31 + 3 = 127 bytes: their low 31 bytes each, and three more out of the 4 × 6 bits left in their first bytes:
//!
//! ```text
//! element 0    element 1    element 2    element 3
//! a ‖ 31       b ‖ 31       c ‖ 31       d ‖ 31        a, b, c, d: six bits
//! 31 ‖ x ‖ 31 ‖ y ‖ 31 ‖ z ‖ 31                         x = a + b high · y = b low + d low · z = c + d high
//! ```
//!
//! The first element begins with version (1 byte) and length (3 bytes, big-endian), so that the first round gives
//! 123 bytes. All that the length does not cover is zero.

use super::InboxError;

/// Bytes of a blob.
pub const BLOB_BYTES: usize = 4_096 * ELEMENT;

/// Most bytes a blob carries.
pub const PAYLOAD_BYTES_MAX: usize = ROUND * ROUNDS - HEADER;

const ELEMENT: usize = 32;
const CHUNK: usize = 31;
const ROUNDS: usize = 1_024;
const ROUND: usize = 4 * CHUNK + 3;
const HEADER: usize = 4;
const VERSION: u8 = 0;

/// The payload of a blob, refused when anything that must be zero is not.
pub fn decode(blob: &[u8]) -> Result<Vec<u8>, InboxError> {
    if blob.len() != BLOB_BYTES {
        let got = format!("{} bytes", blob.len());
        return Err(InboxError::Unexpected { what: "a blob", got, expected: "131072 bytes" });
    }
    // Header and payload together are 1,024 whole rounds: the header is cut off afterwards.
    let mut unpacked = Vec::with_capacity(ROUND * ROUNDS);
    for round in blob.chunks_exact(4 * ELEMENT) {
        unpack(round, &mut unpacked)?;
    }
    let [version, len @ ..] = [unpacked[0], unpacked[1], unpacked[2], unpacked[3]];
    if version != VERSION {
        let got = format!("{version:#04x}");
        return Err(InboxError::Unexpected { what: "the version of a blob", got, expected: "0x00" });
    }
    let len = usize::from(len[0]) << 16 | usize::from(len[1]) << 8 | usize::from(len[2]);
    if len > PAYLOAD_BYTES_MAX {
        let (got, limit) = (len as u64, PAYLOAD_BYTES_MAX as u64);
        return Err(InboxError::OverLimit { what: "the length of a blob's payload", got, limit });
    }
    if unpacked[HEADER + len..].iter().any(|byte| *byte != 0) {
        let (what, got) = ("what follows the payload of a blob", "not zero".to_owned());
        return Err(InboxError::Unexpected { what, got, expected: "zero" });
    }
    unpacked.truncate(HEADER + len);
    unpacked.drain(..HEADER);
    Ok(unpacked)
}

fn unpack(round: &[u8], out: &mut Vec<u8>) -> Result<(), InboxError> {
    let [a, b, c, d] = [round[0], round[ELEMENT], round[2 * ELEMENT], round[3 * ELEMENT]];
    if (a | b | c | d) & 0b1100_0000 != 0 {
        let got = format!("{a:#04x}, {b:#04x}, {c:#04x}, {d:#04x}");
        return Err(InboxError::Unexpected {
            what: "the first bytes of field elements",
            got,
            expected: "at most 0x3f",
        });
    }
    out.extend_from_slice(&round[1..ELEMENT]);
    out.push(a | (b & 0b0011_0000) << 2);
    out.extend_from_slice(&round[ELEMENT + 1..2 * ELEMENT]);
    out.push((b & 0b0000_1111) | (d & 0b0000_1111) << 4);
    out.extend_from_slice(&round[2 * ELEMENT + 1..3 * ELEMENT]);
    out.push(c | (d & 0b0011_0000) << 2);
    out.extend_from_slice(&round[3 * ELEMENT + 1..]);
    Ok(())
}

#[cfg(test)]
mod tests;
