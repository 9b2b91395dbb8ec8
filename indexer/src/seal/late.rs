//! Blobs that were found after they had been declared missing (ruling 10).
//!
//! What is sealed is never changed, so such a blob is a fact of the first block sealed after it was archived: of the
//! block after the sealed head at which it was found. Its facts have system positions there, are in that block's log
//! root, and the snapshot lists the outcome `found` with the block. As only final blocks are sealed, no reorg touches
//! it; as the list is published with the block, a crash before that forgets the choice together with the block, and one
//! after it finds the list. Records are judged as of the batch's reference, as they would have been in time, but what
//! other batches covered meanwhile stays theirs.
//!
//! Which block that is depends on luck. Whoever wants the roots of another indexer takes its list ([`Imported`]): then
//! blobs are missing and found where the list says so, and sealing waits for one that was found.
//!
//! Manifests of dataset versions are not sought: the members of every later version were judged without them.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tributary_schemas::column::hex_text;
use tributary_schemas::eigenda::Mode;
use tributary_schemas::{Event, Position};
use tributary_store::{Archive, DeclaredOutcome, Heads, Snapshot};

use super::outcome::Outcome;
use super::publish::{archived_outcome, reference};
use super::{IndexerError, SealStep};
use crate::blob::{Fetcher, Place, Reference};
use crate::fold::{BlobNeed, BlobOwner};
use crate::pipeline::TailState;
use crate::state::{Key, Overlay, StateRead, StateView, read};

/// Most blobs found late that one block takes, as their payloads are in memory together.
const LATE_MAX: usize = 4;

/// Outcomes of blobs found late that become facts of one block, by the place of their references.
pub type Late = BTreeMap<Place, Outcome>;

/// What is kept of a batch whose blob was declared missing, until it is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Missing {
    /// The commit.
    pub(super) event: Event,
    /// Its blob.
    pub(super) need: BlobNeed,
}

/// The list of declared outcomes of another index of the same chain, to come to the same roots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    heads: Heads,
}

impl Imported {
    /// The list of a snapshot.
    #[must_use]
    pub fn of(snapshot: Snapshot) -> Self {
        Self { heads: snapshot.heads }
    }

    /// Whether the list decides what becomes of blobs at a block. Beyond, it is our own luck again.
    pub(super) const fn decides(&self, block: u64) -> bool {
        block <= self.heads.block_number
    }

    /// Where it stands: chain, first block and mapping.
    pub(super) const fn identity(&self) -> (u64, u64, B256) {
        (self.heads.chain_id, self.heads.start_block, self.heads.mapping_set_hash)
    }

    /// The block at which a blob is declared missing, if it is.
    pub(super) fn missing(&self, need: &BlobNeed) -> Option<u64> {
        declared_missing(&self.heads.declared_outcomes, need)
    }
}

/// The block at which a blob was declared missing, if it was.
pub(super) fn declared_missing(list: &[DeclaredOutcome], need: &BlobNeed) -> Option<u64> {
    let place = place(need);
    let found = list.iter().find(|one| one.outcome == "missing" && (one.block_number, one.log_index) == place);
    found.map(|one| one.declared_at)
}

/// The places of blobs that were found late and are facts of a block.
fn found_at(list: &[DeclaredOutcome], block: u64) -> impl Iterator<Item = Place> {
    let found = list.iter().filter(move |one| one.outcome == "found" && one.declared_at == block);
    found.map(|one| (one.block_number, one.log_index))
}

/// Where a blob is referred to.
pub(super) const fn place(need: &BlobNeed) -> Place {
    (need.position.block_number, need.position.log_index)
}

/// A blob found late that is not here yet, although the imported list has it at the next block.
#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) reference: Reference,
    pub(super) need: BlobNeed,
}

/// The blobs found late that become facts of the next block, or one that is waited for. `overlay` is what sealing wrote
/// over `state`.
pub(super) fn of_next_block(
    (state, overlay): (&dyn StateRead, &Overlay),
    mode: Mode,
    imported: Option<&Imported>,
    block: u64,
    fetcher: &mut Fetcher,
) -> Result<Result<Late, Box<Awaited>>, IndexerError> {
    let mut late = Late::new();
    let list = imported.filter(|list| list.decides(block));
    let places: Vec<(Place, Option<String>)> = match list {
        Some(list) => found_at(&list.heads.declared_outcomes, block).map(|place| (place, None)).collect(),
        None => fetcher.late().here(),
    };
    for (place, source) in places {
        if list.is_none() && late.len() >= LATE_MAX {
            break;
        }
        // One that was declared missing in a publication that was overtaken is declared again first.
        let Some(missing) = missing_at(state, overlay, place)? else { continue };
        let Ok(reference) = reference(mode, &missing.need) else { continue };
        match fetcher.get(&reference)? {
            Some(kept) => {
                let source = kept.source.clone().or(source);
                late.insert(place, Outcome::of(crate::blob::Kept { source, ..kept }));
            }
            None if list.is_none() => fetcher.late().lost(place),
            None => {
                fetcher.want(&reference)?;
                return Ok(Err(Box::new(Awaited { reference, need: missing.need })));
            }
        }
    }
    Ok(Ok(late))
}

/// The blobs found late that are facts of a published block.
pub(super) fn of_published_block(
    (state, overlay): (&dyn StateRead, &Overlay),
    snapshot: &Snapshot,
    block: u64,
    archive: &Archive,
    mode: Mode,
) -> Result<Late, IndexerError> {
    let mut late = Late::new();
    for place in found_at(&snapshot.heads.declared_outcomes, block) {
        let missing = missing_at(state, overlay, place)?.ok_or_else(|| IndexerError::Sealing {
            block,
            reason: format!(
                "the snapshot says that the blob of block {}, log {} was found late: it was not missing",
                place.0, place.1
            ),
        })?;
        late.insert(place, archived_outcome(&missing.need, archive, mode)?);
    }
    Ok(late)
}

fn missing_at(state: &dyn StateRead, overlay: &Overlay, place: Place) -> Result<Option<Missing>, IndexerError> {
    let key = Key::missing(place);
    let bytes = match overlay.get(&key.0) {
        Some(written) => written.clone(),
        None => state.get(&key.0)?,
    };
    bytes.map(|bytes| read(&key, &bytes)).transpose()
}

/// Seeks everything that the sealed state says is missing.
pub(super) fn seek_all(state: &TailState, mode: Mode, fetcher: &mut Fetcher) -> Result<(), IndexerError> {
    for (_, missing) in StateView::new(state).scan::<Missing>(&Key::all_missing())? {
        seek(&missing.need, mode, fetcher);
    }
    Ok(())
}

/// Seeks a blob that is declared missing, if it is a batch's.
pub(super) fn seek(need: &BlobNeed, mode: Mode, fetcher: &mut Fetcher) {
    if let (BlobOwner::Batch(_), Ok(reference)) = (need.owner, reference(mode, need)) {
        fetcher.late().seek(place(need), &reference);
    }
}

impl SealStep<'_, '_> {
    /// Remembers a batch that has no blob.
    pub(super) fn miss(&mut self, event: &Event, need: &BlobNeed) -> Result<(), IndexerError> {
        self.state.put(Key::missing(place(need)), &Missing { event: event.clone(), need: need.clone() })
    }

    /// What blobs found late yield, after everything else in the block.
    pub(super) fn late(&mut self, late: &Late) -> Result<(), IndexerError> {
        for (place, outcome) in late {
            let key = Key::missing(*place);
            let missing: Option<Missing> = self.state.get(&key)?;
            let Some(Missing { event, need }) = missing else {
                return Err(self.fault(format!("the blob of block {}, log {} was not missing", place.0, place.1)));
            };
            self.state.remove(key);
            self.sealed.declared.push(DeclaredOutcome {
                block_number: place.0,
                log_index: place.1,
                reference: hex_text(&need.reference),
                outcome: "found".to_owned(),
                declared_at: self.block.number,
            });
            self.batch(&event, &need, outcome, Position::system(self.block.number, 0))?;
        }
        Ok(())
    }
}
