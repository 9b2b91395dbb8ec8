//! Blocks of the tail held for a reader, as they were at one moment.

use alloy_primitives::B256;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;

use super::segment::Extent;
use super::{BlockRef, Inner};
use crate::error::StoreError;

/// Blocks held at a time at most: as many as the deepest reorg expected has.
pub const HELD_BLOCKS_MAX: u64 = 43_200;

/// A block by number and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldHead {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
}

/// Blocks above one, each the parent of the next. Segments are only appended to, and an open file outlives its name, so
/// neither a reorg nor a seal changes them; sled was read for as long as it took to list them.
#[derive(Debug)]
pub struct Held {
    head: HeldHead,
    blocks: Vec<(BlockRef, Extent)>,
    segments: BTreeMap<u64, File>,
}

impl Held {
    /// The last of them, or the one they are above when there is none.
    #[must_use]
    pub const fn head(&self) -> HeldHead {
        self.head
    }

    /// The blocks, ascending, each with its body, which is read and checked when it is asked for.
    pub fn bodies(&self) -> impl Iterator<Item = Result<(&BlockRef, Vec<u8>), StoreError>> + Send {
        self.blocks.iter().map(|(block, extent)| {
            let absent = || StoreError::TailDamaged {
                doing: "reading what is held",
                reason: format!("segment {} is not open", extent.segment),
            };
            let file = self.segments.get(&extent.segment).ok_or_else(absent)?;
            Ok((block, extent.read(file)?))
        })
    }
}

impl Inner {
    pub(super) fn hold(&self, above: HeldHead, upto: Option<HeldHead>) -> Result<Held, StoreError> {
        let apart = |reason: String| StoreError::NotJoined { number: above.number, hash: above.hash, reason };
        let Some(newest) = self.head else { return Err(apart("the tail has no block yet".to_owned())) };
        if let Some(sealed) = self.sealed.filter(|sealed| above.number < sealed.number) {
            return Err(apart(format!("blocks up to {} were sealed meanwhile", sealed.number)));
        }
        match self.block(above.number)? {
            Some(held) if held.hash == above.hash => {}
            Some(held) => return Err(apart(format!("the tail has {} there", held.hash))),
            None => return Err(apart(format!("the tail has come to block {} so far", newest.number))),
        }
        let head = match upto {
            None => HeldHead { number: newest.number, hash: newest.hash },
            Some(upto) => match self.block(upto.number)? {
                Some(held) if held.hash == upto.hash => upto,
                _ => return Err(apart(format!("block {} {} was taken back since", upto.number, upto.hash))),
            },
        };
        let blocks = head.number.saturating_sub(above.number);
        if blocks > HELD_BLOCKS_MAX {
            return Err(StoreError::TailTooLong { number: above.number, blocks, limit: HELD_BLOCKS_MAX });
        }
        let mut held = Held { head, blocks: Vec::new(), segments: BTreeMap::new() };
        let mut last = above.hash;
        for number in above.number.saturating_add(1)..=head.number {
            let entry = self.index.entry(number)?.filter(|entry| entry.block.parent_hash == last);
            let broken = || StoreError::TailDamaged {
                doing: "holding blocks",
                reason: format!("block {number} does not follow {last}"),
            };
            let entry = entry.ok_or_else(broken)?;
            if let Entry::Vacant(place) = held.segments.entry(entry.body.segment) {
                place.insert(self.segments.file(entry.body.segment)?);
            }
            last = entry.block.hash;
            held.blocks.push((entry.block, entry.body));
        }
        Ok(held)
    }
}

#[cfg(test)]
mod tests;
