//! The undo record of a block: the value each key had before the block first wrote it.
//!
//! `key length u32be ‖ key ‖ 0`, or `… ‖ 1 ‖ value length u64be ‖ value`, until the end.

use crate::error::StoreError;

use super::Write;

/// Builds a record.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    pub(super) fn push(&mut self, key: &[u8], old: Option<&[u8]>) {
        let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(key);
        match old {
            None => self.bytes.push(0),
            Some(value) => {
                self.bytes.push(1);
                self.bytes.extend_from_slice(&u64::try_from(value.len()).unwrap_or(u64::MAX).to_be_bytes());
                self.bytes.extend_from_slice(value);
            }
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// The keys of a record and what to put back.
pub(super) fn decode(mut bytes: &[u8]) -> Result<Vec<Write>, StoreError> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        out.push(next(&mut bytes).ok_or_else(|| {
            let reason = "an undo record ends early".to_owned();
            StoreError::TailDamaged { doing: "unwinding", reason }
        })?);
    }
    Ok(out)
}

fn next(bytes: &mut &[u8]) -> Option<Write> {
    let length = u32::from_be_bytes(bytes.split_off(..4)?.try_into().ok()?);
    let key = bytes.split_off(..usize::try_from(length).ok()?)?.to_vec();
    match bytes.split_off_first()? {
        0 => Some((key, None)),
        1 => {
            let length = u64::from_be_bytes(bytes.split_off(..8)?.try_into().ok()?);
            let value = bytes.split_off(..usize::try_from(length).ok()?)?.to_vec();
            Some((key, Some(value)))
        }
        _ => None,
    }
}
