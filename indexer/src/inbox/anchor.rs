//! Which posting carries which L2 block.
//!
//! The L2 chain is known already, so nothing is derived and nothing executed: a batch *anchors* a block when it says
//! the same timestamp, the same L1 origin and the same transactions in the same order (deposits come from L1 and are
//! in no batch), and, where it is the first of the batch, the same parent. The first such batch in L1 order anchors
//! the block; a block nobody posted stays without a row. Derivation rules would only repeat the node; equality with
//! what the node has is the stronger statement.
//!
//! Two steps, both pure: [`claims`] is what a channel says, whatever the L2 is; [`anchor`] holds it against blocks.
//! Whoever follows both chains keeps the claims until the blocks are known ([`anchor`](crate::anchor)). Transactions
//! are compared by their number and the digest of their hashes ([`TxList`]), so that a block takes the same few bytes
//! however many it has.

use super::batch::{Claim, Claims, Kind, Terms};
use super::channel::{Channel, Rules, Source};
use super::compression::Decompressed;
use super::frame::ChannelId;
use super::{InboxError, batch};
use crate::VerifiedBlock;
use alloy_primitives::{B256, Keccak256};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// EIP-2718 type of deposits, which come from L1 and are in no batch.
const DEPOSIT_TYPE: u8 = 0x7e;

/// Most blocks that are read of one channel's claims: two weeks of blocks of two seconds are twice as many as any
/// sequencing window lets a channel hold. What is beyond is reported as broken.
pub const CLAIMS_MAX: usize = 1 << 18;

/// Transactions of a block without deposits, in order: how many, and keccak256 over their hashes one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxList {
    /// How many.
    pub count: u32,
    /// keccak256(hash ‖ hash ‖ …).
    pub digest: B256,
}

impl TxList {
    /// The list of these hashes.
    #[must_use]
    pub fn of(hashes: impl IntoIterator<Item = B256>) -> Self {
        let (mut hasher, mut count) = (Keccak256::new(), 0_u32);
        for hash in hashes {
            hasher.update(hash);
            count = count.saturating_add(1);
        }
        Self { count, digest: hasher.finalize() }
    }
}

impl FromIterator<B256> for TxList {
    fn from_iter<I: IntoIterator<Item = B256>>(hashes: I) -> Self {
        Self::of(hashes)
    }
}

/// What has to be known of an L2 block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct L2Block {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Hash of its parent.
    pub parent_hash: B256,
    /// Its timestamp, in seconds.
    pub timestamp: u64,
    /// Number of its L1 origin.
    pub l1_origin: u64,
    /// Hash of its L1 origin.
    pub l1_origin_hash: B256,
    /// Its transactions in order, without deposits (type 0x7e).
    pub transactions: TxList,
}

impl L2Block {
    /// What is needed of a verified block; `None` on a chain without L1-attributes deposits, which has no inbox.
    #[must_use]
    pub fn of(block: &VerifiedBlock) -> Option<Self> {
        let l1_origin = block.l1_origin?;
        let posted = block.transactions.iter().filter(|transaction| transaction.kind != DEPOSIT_TYPE);
        Some(Self {
            number: block.block.number,
            hash: block.block.hash,
            parent_hash: block.block.parent_hash,
            timestamp: block.block.timestamp,
            l1_origin: l1_origin.number,
            l1_origin_hash: l1_origin.hash,
            transactions: TxList::of(posted.map(|transaction| transaction.hash)),
        })
    }
}

/// One posting that carries a block: a block whose batch lies in several postings has a row for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Number of the L2 block.
    pub l2_block: u64,
    /// Hash of the L2 block.
    pub l2_hash: B256,
    /// Number of the L1 block of the posting.
    pub l1_block: u64,
    /// Hash of the L1 transaction of the posting.
    pub l1_tx: B256,
    /// keccak256 of the alt-DA commitment; `None` when the frames were posted on L1 itself.
    pub commitment: Option<B256>,
    /// Place of the EIP-4844 blob among those of the transaction; `None` for everything else.
    pub blob: Option<u32>,
    /// The channel.
    pub channel: ChannelId,
    /// Numbers of the channel's frames in this posting that carry the batch.
    pub frames: RangeInclusive<u16>,
    /// Index of the batch in the channel.
    pub batch: u32,
    /// Kind of the batch.
    pub kind: Kind,
    /// Whether what the batch says of its parent was seen to be right: `None` when the first block of the batch is
    /// not among the blocks given. Where it is wrong, no block of the batch is anchored.
    pub parent: Option<bool>,
    /// Whether what the batch says of the hash of its last L1 origin is right: `None` when the last block of the
    /// batch is not among the blocks given. Derivation refuses a batch where it is wrong, so that is never expected.
    pub l1_origin: Option<bool>,
}

/// What a channel anchors.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Anchored {
    /// The rows, in the order of the channel.
    pub rows: Vec<Anchor>,
    /// Batches that could not be read, by index, with the reason; nothing after a broken one is read.
    pub broken: Vec<(u32, InboxError)>,
}

/// What a channel says about the L2.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Claimed {
    /// Its batches, in order.
    pub batches: Vec<ClaimedBatch>,
    /// Batches that could not be read, by index, with the reason.
    pub broken: Vec<(u32, InboxError)>,
}

/// A batch with what it says of each block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedBatch {
    /// Its index in the channel.
    pub index: u32,
    /// Its kind.
    pub kind: Kind,
    /// Leading bytes of the hash of the parent of its first block.
    pub parent_check: Vec<u8>,
    /// Leading bytes of the hash of the L1 origin of its last block.
    pub l1_origin_check: Vec<u8>,
    /// The blocks, oldest first; at least one.
    pub blocks: Vec<ClaimedBlock>,
    /// The postings that carry it, in order.
    pub carried: Vec<Carried>,
}

/// What a batch says of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedBlock {
    /// Its timestamp, in seconds.
    pub timestamp: u64,
    /// Number of its L1 origin.
    pub l1_origin: u64,
    /// Its transactions; `None` when their hashes cannot be known, so that nothing matches.
    pub transactions: Option<TxList>,
}

impl ClaimedBlock {
    /// Whether a block is the one claimed, its parent aside.
    #[must_use]
    pub fn is(&self, block: &L2Block) -> bool {
        self.timestamp == block.timestamp
            && self.l1_origin == block.l1_origin
            && self.transactions == Some(block.transactions)
    }
}

/// Frames of one posting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// The posting.
    pub source: Source,
    /// Numbers of its frames.
    pub frames: RangeInclusive<u16>,
}

/// What a channel says about the L2, at most [`CLAIMS_MAX`] blocks of it.
#[must_use]
pub fn claims(channel: &Channel, rules: &Rules, terms: &Terms) -> Claimed {
    let data = channel.decompress(rules);
    let contents = batch::split(&data.bytes);
    let mut claimed = Claimed::default();
    let mut room = CLAIMS_MAX;
    for (index, (range, batch)) in (0_u32..).zip(&contents.batches) {
        let claims = match batch.resolve(terms) {
            Ok(claims) => claims,
            Err(error) => {
                claimed.broken.push((index, error));
                continue;
            }
        };
        let Some(left) = room.checked_sub(claims.len()) else {
            let (what, got, limit) = ("the number of blocks in a channel", claims.len() as u64, room as u64);
            claimed.broken.push((index, InboxError::OverLimit { what, got, limit }));
            return claimed;
        };
        room = left;
        claimed.batches.push(ClaimedBatch {
            index,
            kind: claims.kind,
            parent_check: claims.parent_check.to_vec(),
            l1_origin_check: claims.l1_origin_check.to_vec(),
            blocks: claimed_blocks(&claims),
            carried: postings(channel, &data, range.clone()),
        });
    }
    if let Some((_, error)) = contents.broken {
        let index = u32::try_from(contents.batches.len()).unwrap_or(u32::MAX);
        claimed.broken.push((index, error));
    }
    claimed
}

fn claimed_blocks(claims: &Claims<'_>) -> Vec<ClaimedBlock> {
    let one = |claim: Claim<'_>| ClaimedBlock {
        timestamp: claim.timestamp,
        l1_origin: claim.l1_origin,
        transactions: claim.transactions.hashes().map(TxList::of),
    };
    claims.blocks().map(one).collect()
}

/// What a channel anchors among `blocks`, which are in order of their timestamps. Blocks in `taken` (by number) are
/// anchored already by an earlier channel; those anchored here are added to it.
#[must_use]
pub fn anchor(
    channel: &Channel,
    rules: &Rules,
    terms: &Terms,
    blocks: &[L2Block],
    taken: &mut BTreeSet<u64>,
) -> Anchored {
    let claimed = claims(channel, rules, terms);
    let by_time: BTreeMap<u64, &L2Block> = blocks.iter().map(|block| (block.timestamp, block)).collect();
    let mut rows = Vec::new();
    for batch in &claimed.batches {
        let Some(matched) = compare(batch, &by_time) else {
            continue;
        };
        for block in matched.blocks.iter().filter(|block| taken.insert(block.number)) {
            rows.extend(batch.carried.iter().map(|posting| Anchor {
                l2_block: block.number,
                l2_hash: block.hash,
                l1_block: posting.source.l1_block,
                l1_tx: posting.source.l1_tx,
                commitment: posting.source.commitment,
                blob: posting.source.blob,
                channel: channel.id,
                frames: posting.frames.clone(),
                batch: batch.index,
                kind: batch.kind,
                parent: matched.parent,
                l1_origin: matched.l1_origin,
            }));
        }
    }
    Anchored { rows, broken: claimed.broken }
}

struct Matched<'b> {
    blocks: Vec<&'b L2Block>,
    parent: Option<bool>,
    l1_origin: Option<bool>,
}

/// The blocks that a batch claims as they are; `None` when it was made for another chain or fork, or for none of
/// these blocks.
fn compare<'b>(batch: &ClaimedBatch, blocks: &BTreeMap<u64, &'b L2Block>) -> Option<Matched<'b>> {
    let mut matched = Matched { blocks: Vec::new(), parent: None, l1_origin: None };
    let last = batch.blocks.len().checked_sub(1)?;
    for (index, claim) in batch.blocks.iter().enumerate() {
        let Some(block) = blocks.get(&claim.timestamp) else {
            continue;
        };
        if index == 0 {
            if !block.parent_hash.starts_with(&batch.parent_check) {
                return None;
            }
            matched.parent = Some(true);
        }
        if !claim.is(block) {
            continue;
        }
        if index == last {
            matched.l1_origin = Some(block.l1_origin_hash.starts_with(&batch.l1_origin_check));
        }
        matched.blocks.push(block);
    }
    (!matched.blocks.is_empty()).then_some(matched)
}

/// The postings whose frames hold a piece of the decompressed bytes, in order.
fn postings(channel: &Channel, data: &Decompressed, range: std::ops::Range<usize>) -> Vec<Carried> {
    let mut out: Vec<Carried> = Vec::new();
    let parts = data.parts_of(&range);
    for (number, part) in (0..=u16::MAX).zip(&channel.parts).filter(|(number, _)| parts.contains(&usize::from(*number)))
    {
        match out
            .last_mut()
            .filter(|last| last.source == part.source && last.frames.end().checked_add(1) == Some(number))
        {
            Some(last) => last.frames = *last.frames.start()..=number,
            None => out.push(Carried { source: part.source, frames: number..=number }),
        }
    }
    out
}

#[cfg(test)]
mod tests;
