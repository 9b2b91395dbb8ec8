//! Keys and values as sled holds them: small values in place, large ones in pieces, as sled copies a whole page for
//! every change and dislikes values over 8 KiB.

use std::collections::BTreeMap;

use super::KEY_BYTES_MAX;
use super::index::Index;
use crate::error::StoreError;

/// Longer values are cut into pieces of this many bytes.
pub(super) const PIECE_BYTES: usize = 4096;

/// A namespace of keys: one byte before each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    /// Under undo.
    State,
    /// Not under undo.
    Side,
}

impl Space {
    const fn tags(self) -> (u8, u8) {
        match self {
            Self::State => (b's', b'S'),
            Self::Side => (b'x', b'X'),
        }
    }

    /// The key of a value.
    pub(super) fn key(self, key: &[u8]) -> Vec<u8> {
        [&[self.tags().0], key].concat()
    }

    /// The key of a piece: its last four bytes are the piece's ordinal, so no two keys' pieces can meet.
    pub(super) fn piece_key(self, key: &[u8], piece: u32) -> Vec<u8> {
        [&[self.tags().1], key, &piece.to_be_bytes()].concat()
    }
}

/// A value as sled holds it.
pub(super) enum Held<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// The number of its pieces.
    Pieces(u32),
}

/// Reads what [`StateBatch::into_batch`] wrote under the key of a value.
pub(super) fn held(bytes: &[u8]) -> Result<Held<'_>, StoreError> {
    match bytes.split_first() {
        Some((0, value)) => Ok(Held::Whole(value)),
        Some((1, count)) if count.len() == 4 => {
            Ok(Held::Pieces(u32::from_be_bytes(count.try_into().expect("the guard saw four bytes"))))
        }
        _ => Err(StoreError::TailDamaged { doing: "reading state", reason: "a value has no form of ours".to_owned() }),
    }
}

/// Changes to one namespace, gathered over many blocks and written once.
#[derive(Debug)]
pub(super) struct StateBatch {
    space: Space,
    slots: BTreeMap<Vec<u8>, Slot>,
}

#[derive(Debug)]
struct Slot {
    value: Option<Vec<u8>>,
    /// Pieces of the value that sled holds now.
    pieces: u32,
    /// Block that wrote it last.
    writer: u64,
}

/// What a block found under a key it writes for the first time.
pub(super) struct Old<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: Option<&'a [u8]>,
}

impl StateBatch {
    pub(super) const fn new(space: Space) -> Self {
        Self { space, slots: BTreeMap::new() }
    }

    /// Writes a key for a block and hands `old` what the block found, if it had not written the key before.
    pub(super) fn write(
        &mut self,
        index: &Index,
        key: Vec<u8>,
        value: Option<Vec<u8>>,
        block: u64,
        old: impl FnOnce(Old<'_>),
    ) -> Result<(), StoreError> {
        if key.len() > KEY_BYTES_MAX {
            return Err(StoreError::KeyTooLong { bytes: key.len(), limit: KEY_BYTES_MAX });
        }
        if let Some(slot) = self.slots.get_mut(&key) {
            if slot.writer != block {
                old(Old { key: &key, value: slot.value.as_deref() });
            }
            (slot.value, slot.writer) = (value, block);
            return Ok(());
        }
        let (found, pieces) = index.get_held(self.space, &key)?;
        old(Old { key: &key, value: found.as_deref() });
        self.slots.insert(key, Slot { value, pieces, writer: block });
        Ok(())
    }

    /// Puts the changes into a sled batch.
    pub(super) fn into_batch(self, batch: &mut sled::Batch) {
        let space = self.space;
        for (key, Slot { value, pieces, .. }) in self.slots {
            let written = match value {
                None => {
                    batch.remove(space.key(&key));
                    0
                }
                Some(value) if value.len() <= PIECE_BYTES => {
                    batch.insert(space.key(&key), [&[0], value.as_slice()].concat());
                    0
                }
                Some(value) => {
                    let mut count = 0_u32;
                    for piece in value.chunks(PIECE_BYTES) {
                        batch.insert(space.piece_key(&key, count), piece);
                        count += 1;
                    }
                    batch.insert(space.key(&key), [&[1], count.to_be_bytes().as_slice()].concat());
                    count
                }
            };
            for stale in written..pieces {
                batch.remove(space.piece_key(&key, stale));
            }
        }
    }
}
