//! The fold: L1 blocks in, L2 blocks in, and out come the L2 blocks whose postings are known.
//!
//! Nothing here asks anybody anything. L1 blocks come with the payloads they post, L2 blocks in the order of their
//! numbers once they are final; either chain may be ahead. A claim about an L2 block that is not known yet waits for
//! it; an L2 block that nobody claimed yet stays open until its sequencing window has passed. So what an L2 block comes
//! to depends on the two chains and not on when each was read:
//!
//! - claims count in L1 order, and the first that is right carries the block;
//! - a batch whose first block's window had passed when its channel was complete is not read (as in derivation), so that
//!   a block need not be remembered for longer than its window to check the parent that a later batch names;
//! - a claim about a time at which there is no block, or that lies beyond any possible drift, is dropped.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use tributary_schemas::BlockRef;

use super::l1::L1Block;
use super::{Found, Rollup};
use crate::IndexerError;
use crate::inbox::anchor::{ClaimedBatch, ClaimedBlock, L2Block, claims};
use crate::inbox::batch::Kind;
use crate::inbox::channel::{Channel, Channels, Rules, Source};
use crate::inbox::frame::{self, ChannelId};
use crate::inbox::posting::Posting;
use crate::inbox::transaction::Inbox;

/// Seconds by which a claimed block may be later than the L1 block that completes its channel. The L2 may run ahead of
/// its L1 origin by the sequencer drift, half an hour since Fjord and configurable before; a day is more than any.
const AHEAD_SECONDS_MAX: u64 = 86_400;
/// L1 blocks after which nothing that was posted is part of an open channel: the longest timeout there was.
pub(super) const CHANNEL_BLOCKS_MAX: u64 = 300;

/// How a payload was posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Form {
    /// In calldata.
    Calldata,
    /// In EIP-4844 blobs.
    Blob,
    /// By its keccak256.
    Keccak,
    /// In EigenDA.
    EigenDa,
}

impl Form {
    /// Its word in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calldata => "calldata",
            Self::Blob => "blob",
            Self::Keccak => "keccak",
            Self::EigenDa => "eigenda",
        }
    }
}

/// An EIP-4844 blob of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct L1Blob {
    /// Its place among the transaction's blobs, from 0.
    pub index: u32,
    /// Its versioned hash.
    pub versioned_hash: B256,
}

/// What is known of a posting: one transaction, or one blob of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    /// Its L1 block.
    pub l1_block: u64,
    /// Hash of that.
    pub l1_hash: B256,
    /// Its L1 transaction.
    pub l1_tx: B256,
    /// How it was posted.
    pub form: Form,
    /// The EIP-4844 blob.
    pub blob: Option<L1Blob>,
    /// keccak256 of its alt-DA commitment.
    pub commitment: Option<B256>,
    /// Blob key of its certificate.
    pub blob_key: Option<B256>,
    /// Who dispersed the blob.
    pub dispersed_by: Option<Address>,
    /// What was verified of the certificate.
    pub level: Option<String>,
    /// What was verified of the payload.
    pub data_level: Option<String>,
}

impl Posted {
    /// A posting of this form in a transaction of this block; what a source found fills in the rest.
    #[must_use]
    pub fn new(block: &BlockRef, l1_tx: B256, form: Form, commitment: Option<B256>, found: &Found) -> Self {
        Self {
            l1_block: block.number,
            l1_hash: block.hash,
            l1_tx,
            form,
            blob: None,
            commitment,
            blob_key: found.blob_key,
            dispersed_by: found.dispersed_by,
            level: found.level.clone(),
            data_level: found.data_level.clone(),
        }
    }

    /// What frames are said to come from.
    #[must_use]
    pub fn source(&self) -> Source {
        let blob = self.blob.map(|blob| blob.index);
        Source { l1_block: self.l1_block, l1_tx: self.l1_tx, commitment: self.commitment, blob }
    }
}

/// What came of a posting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// Its payloads, in order: one, or one a blob, each with what is known of it.
    Payloads(Vec<(Vec<u8>, Posted)>),
    /// It posts nothing.
    Nothing,
    /// It posts something that cannot be read here.
    Unread,
}

/// The frames of one posting that carry a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carrier {
    /// The posting.
    pub posted: Posted,
    /// Numbers of its frames.
    pub frames: RangeInclusive<u16>,
}

/// The batch that carries a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedBy {
    /// Its channel.
    pub channel: ChannelId,
    /// Its index in the channel.
    pub index: u32,
    /// Its kind.
    pub kind: Kind,
    /// Whether the parent it names was seen to be right; `None` when its first block is not one that was read.
    pub parent: Option<bool>,
    /// The postings it lies in, in order.
    pub carriers: Vec<Carrier>,
}

/// What an L2 block came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// A batch carries it.
    Anchored(CarriedBy),
    /// Its window passed, all that was posted in it was read, and nothing carries it.
    NotAnchored,
    /// Its window passed, and something that was posted in it could not be read.
    Unknown,
}

/// An L2 block whose fate is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The block.
    pub block: L2Block,
    /// What it came to.
    pub fate: Fate,
}

/// A batch of which some blocks are not known yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pending {
    by: CarriedBy,
    parent_check: Vec<u8>,
    /// Time of its first block.
    first: u64,
    /// Claims that wait.
    waiting: u64,
}

/// How many blocks came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Carried by a batch.
    pub anchored: u64,
    /// Carried by nothing.
    pub not_anchored: u64,
    /// Perhaps carried by something that could not be read.
    pub unknown: u64,
    /// The newest block that is carried.
    pub newest: Option<u64>,
}

/// The state of the fold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fold {
    /// What it is the fold of: another configuration gives another one.
    identity: B256,
    /// The last L1 block that was folded whole.
    cursor: Option<BlockRef>,
    batcher: Address,
    channels: Channels,
    /// What is known of postings whose frames may be in open channels, by transaction and place of the blob.
    posted: BTreeMap<(B256, Option<u32>), Posted>,
    batches: BTreeMap<u64, Pending>,
    batches_so_far: u64,
    /// Claims about blocks that are not known yet, by time, in L1 order.
    claims: BTreeMap<u64, Vec<(u64, ClaimedBlock)>>,
    claims_waiting: u64,
    /// L1 blocks with postings that could not be read.
    unread: BTreeSet<u64>,
    /// The next L2 block.
    l2_next: u64,
    /// The first L2 block that is remembered.
    l2_oldest: u64,
    /// Times of the first and of the last L2 block.
    l2_begin: Option<u64>,
    l2_time: Option<u64>,
    /// Remembered L2 blocks that nothing carries so far.
    open: BTreeSet<u64>,
    counts: Counts,
    /// Transactions of the next L1 block that were taken.
    #[serde(skip)]
    within: usize,
    /// L2 blocks whose window has not passed, by time.
    #[serde(skip)]
    l2: BTreeMap<u64, L2Block>,
    #[serde(skip)]
    resolved: Vec<Resolved>,
    #[serde(skip)]
    forgotten: Vec<u64>,
}

impl Fold {
    /// Before the first L1 block; `l2_first` is the first L2 block. Where the L2 is older than what is read of its L1,
    /// `unread_to` is the L1 block up to which a posting may rest on what came before: blocks with an origin up to
    /// there are never said to be carried by nothing.
    #[must_use]
    pub fn new(identity: B256, rollup: &Rollup, l2_first: u64, unread_to: Option<u64>) -> Self {
        Self {
            identity,
            cursor: None,
            batcher: rollup.batcher,
            channels: Channels::new(Rules::of(rollup.forks.at(0))),
            posted: BTreeMap::new(),
            batches: BTreeMap::new(),
            batches_so_far: 0,
            claims: BTreeMap::new(),
            claims_waiting: 0,
            unread: unread_to.into_iter().collect(),
            l2_next: l2_first,
            l2_oldest: l2_first,
            l2_begin: None,
            l2_time: None,
            open: BTreeSet::new(),
            counts: Counts::default(),
            within: 0,
            l2: BTreeMap::new(),
            resolved: Vec::new(),
            forgotten: Vec::new(),
        }
    }

    /// As bytes, between two L1 blocks; what was resolved has to be taken before.
    pub fn to_bytes(&self) -> Result<Vec<u8>, IndexerError> {
        debug_assert!(self.within == 0 && self.resolved.is_empty() && self.forgotten.is_empty());
        postcard::to_stdvec(self).map_err(|error| broken(&error))
    }

    /// From bytes; the L2 blocks in [`Fold::remembered`] have to be given back with [`Fold::remember`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IndexerError> {
        postcard::from_bytes(bytes).map_err(|error| broken(&error))
    }

    /// What it is the fold of.
    #[must_use]
    pub const fn identity(&self) -> B256 {
        self.identity
    }

    /// Whether it stands between two L1 blocks, where it can be written down.
    #[must_use]
    pub const fn is_between_blocks(&self) -> bool {
        self.within == 0
    }

    /// Whether there is something to take with [`Fold::take_resolved`].
    #[must_use]
    pub fn has_resolved(&self) -> bool {
        !self.resolved.is_empty()
    }

    /// Numbers of the L2 blocks whose window has not passed.
    #[must_use]
    pub const fn remembered(&self) -> std::ops::Range<u64> {
        self.l2_oldest..self.l2_next
    }

    /// Gives back an L2 block after a restart.
    pub fn remember(&mut self, block: L2Block) {
        self.l2.insert(block.timestamp, block);
    }

    /// The last L1 block that was folded.
    #[must_use]
    pub const fn cursor(&self) -> Option<BlockRef> {
        self.cursor
    }

    /// The L2 block that is wanted next.
    #[must_use]
    pub const fn l2_next(&self) -> u64 {
        self.l2_next
    }

    /// How many L2 blocks came to what.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// L2 blocks that nothing carries so far.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Claims that wait for their L2 block: what memory is bounded by.
    #[must_use]
    pub const fn claims_waiting(&self) -> u64 {
        self.claims_waiting
    }

    /// The L2 blocks whose fate became known, and the numbers of those that need not be remembered any more.
    pub fn take_resolved(&mut self) -> (Vec<Resolved>, Vec<u64>) {
        (std::mem::take(&mut self.resolved), std::mem::take(&mut self.forgotten))
    }

    /// The next posting of a block that follows the cursor: the place of its transaction, and what it posts.
    #[must_use]
    pub fn next<'b>(&self, rollup: &Rollup, block: &'b L1Block) -> Option<(usize, Posting<'b>)> {
        let inbox = Inbox { address: rollup.inbox, batcher: block.batcher.unwrap_or(self.batcher) };
        let left = block.transactions.iter().enumerate().skip(self.within);
        let mut admitted = left.filter(|(_, transaction)| inbox.admit(transaction).is_ok());
        admitted.next().map(|(index, transaction)| (index, Posting::of(transaction)))
    }

    /// Takes what came of the posting at a place that [`Fold::next`] named.
    pub fn take(&mut self, rollup: &Rollup, block: &L1Block, index: usize, read: Read) {
        self.within = index.saturating_add(1);
        let payloads = match read {
            Read::Payloads(payloads) => payloads,
            Read::Nothing => return,
            Read::Unread => {
                self.unread.insert(block.block.number);
                return;
            }
        };
        let rules = Rules::of(rollup.forks.at(block.block.timestamp));
        // What is given up says nothing about any block.
        let _lost = self.channels.change_rules(rules);
        for (payload, posted) in payloads {
            let source = posted.source();
            self.posted.insert((source.l1_tx, source.blob), posted);
            let Ok(frames) = frame::parse(&payload) else { continue };
            for channel in self.channels.take(&frames, &source).ready {
                self.read_channel(rollup, &rules, block, &channel);
            }
        }
    }

    /// Ends a block, all of whose postings were taken.
    pub fn close(&mut self, rollup: &Rollup, block: &L1Block) {
        debug_assert!(self.cursor.is_none_or(|cursor| cursor.hash == block.block.parent_hash), "blocks in order");
        self.within = 0;
        self.batcher = block.batcher.unwrap_or(self.batcher);
        self.cursor = Some(block.block);
        let number = block.block.number;
        self.posted.retain(|_, posted| posted.l1_block.saturating_add(CHANNEL_BLOCKS_MAX) >= number);
        self.expire(rollup);
    }

    fn read_channel(&mut self, rollup: &Rollup, rules: &Rules, block: &L1Block, channel: &Channel) {
        for batch in claims(channel, rules, &rollup.terms).batches {
            self.read_batch(rollup, block, channel.id, batch);
        }
    }

    fn read_batch(&mut self, rollup: &Rollup, l1: &L1Block, channel: ChannelId, batch: ClaimedBatch) {
        let Some(first) = batch.blocks.first() else { return };
        if first.l1_origin.saturating_add(rollup.sequencing_window) < l1.block.number {
            return;
        }
        let carriers = batch.carried.into_iter().filter_map(|carried| {
            let posted = self.posted.get(&(carried.source.l1_tx, carried.source.blob))?.clone();
            Some(Carrier { posted, frames: carried.frames })
        });
        let by =
            CarriedBy { channel, index: batch.index, kind: batch.kind, parent: None, carriers: carriers.collect() };
        let id = self.batches_so_far;
        self.batches_so_far = id.saturating_add(1);
        let pending = Pending { by, parent_check: batch.parent_check, first: first.timestamp, waiting: 0 };
        self.batches.insert(id, pending);
        let latest = l1.block.timestamp.saturating_add(AHEAD_SECONDS_MAX);
        let mut waiting = 0_u64;
        for claim in batch.blocks {
            if self.l2_time.is_some_and(|known| claim.timestamp <= known) {
                self.judge(id, &claim);
            } else if claim.timestamp <= latest {
                self.claims.entry(claim.timestamp).or_default().push((id, claim));
                waiting = waiting.saturating_add(1);
            }
        }
        self.claims_waiting = self.claims_waiting.saturating_add(waiting);
        match self.batches.get_mut(&id) {
            Some(batch) if waiting > 0 => batch.waiting = waiting,
            _ => drop(self.batches.remove(&id)),
        }
    }

    /// Takes the next L2 block, which is final.
    pub fn admit(&mut self, rollup: &Rollup, block: L2Block) {
        debug_assert_eq!(block.number, self.l2_next, "in order");
        let time = block.timestamp;
        self.l2_next = block.number.saturating_add(1);
        self.l2_time = Some(time);
        self.l2_begin.get_or_insert(time);
        self.open.insert(block.number);
        self.l2.insert(time, block);
        while let Some(entry) = self.claims.first_entry().filter(|entry| *entry.key() <= time) {
            for (id, claim) in entry.remove() {
                self.judge(id, &claim);
                self.claims_waiting = self.claims_waiting.saturating_sub(1);
                let waiting = self.batches.get_mut(&id).map_or(0, |batch| {
                    batch.waiting = batch.waiting.saturating_sub(1);
                    batch.waiting
                });
                if waiting == 0 {
                    self.batches.remove(&id);
                }
            }
        }
        self.expire(rollup);
    }

    /// Passes over the next L2 block, which no batch can hold: it has no L1 origin.
    pub fn skip(&mut self) {
        self.l2_next = self.l2_next.saturating_add(1);
        if self.l2.is_empty() {
            self.l2_oldest = self.l2_next;
        }
    }

    /// Holds a claim against the block of its time, if there is one.
    fn judge(&mut self, id: u64, claim: &ClaimedBlock) {
        let Some(batch) = self.batches.get_mut(&id) else { return };
        let Some(block) = self.l2.get(&claim.timestamp) else {
            // Nothing is known from before the first block. Later there is either no block of that time, or one whose
            // window has passed, so that the batch names a wrong origin, or it would have been too old.
            if claim.timestamp == batch.first && self.l2_begin.is_some_and(|begin| claim.timestamp >= begin) {
                batch.by.parent = Some(false);
            }
            return;
        };
        if claim.timestamp == batch.first {
            let agrees = block.parent_hash.starts_with(&batch.parent_check) && block.l1_origin == claim.l1_origin;
            batch.by.parent = Some(agrees);
        }
        if batch.by.parent != Some(false) && claim.is(block) && self.open.remove(&block.number) {
            self.counts.anchored = self.counts.anchored.saturating_add(1);
            self.counts.newest = std::cmp::max(self.counts.newest, Some(block.number));
            self.resolved.push(Resolved { block: block.clone(), fate: Fate::Anchored(batch.by.clone()) });
        }
    }

    /// Forgets the L2 blocks whose window has passed.
    fn expire(&mut self, rollup: &Rollup) {
        let Some(cursor) = self.cursor else { return };
        while let Some(oldest) = self.l2.first_entry() {
            let last = oldest.get().l1_origin.saturating_add(rollup.sequencing_window);
            if last >= cursor.number {
                break;
            }
            let block = oldest.remove();
            self.l2_oldest = block.number.saturating_add(1);
            self.forgotten.push(block.number);
            if !self.open.remove(&block.number) {
                continue;
            }
            let fate = if self.unread.range(block.l1_origin..=last).next().is_some() {
                self.counts.unknown = self.counts.unknown.saturating_add(1);
                Fate::Unknown
            } else {
                self.counts.not_anchored = self.counts.not_anchored.saturating_add(1);
                Fate::NotAnchored
            };
            self.resolved.push(Resolved { block, fate });
        }
        if let Some((_, oldest)) = self.l2.first_key_value() {
            self.unread = self.unread.split_off(&oldest.l1_origin);
        }
    }

    /// The newest block that is carried, claims about blocks that are not final yet included: `find` gives the L2
    /// block of a time as it is now. So many claims are looked at, newest first.
    pub fn newest(
        &self,
        looks_max: usize,
        mut find: impl FnMut(u64) -> Result<Option<L2Block>, IndexerError>,
    ) -> Result<Option<u64>, IndexerError> {
        for (time, claims) in self.claims.iter().rev().take(looks_max) {
            let Some(block) = find(*time)? else { continue };
            if claims.iter().any(|(_, claim)| claim.is(&block)) {
                return Ok(std::cmp::max(self.counts.newest, Some(block.number)));
            }
        }
        Ok(self.counts.newest)
    }
}

fn broken(error: &postcard::Error) -> IndexerError {
    IndexerError::State { key: "the fold over L1".to_owned(), reason: error.to_string() }
}
