//! Which posting carries which L2 block.
//!
//! The L2 chain is known already, so nothing is derived and nothing executed: a batch *anchors* a block when it says
//! the same timestamp, the same L1 origin and the same transactions in the same order (deposits come from L1 and are
//! in no batch), and, where it is the first of the batch, the same parent. The first such batch in L1 order anchors
//! the block; a block nobody posted stays without a row. Derivation rules would only repeat the node; equality with
//! what the node has is the stronger statement.
//!
//! A pure function of the blocks and a channel, so it can be run again after a reorg of either chain.

use super::batch::{Claim, Claims, Kind, Terms};
use super::channel::{Channel, Rules};
use super::compression::Decompressed;
use super::frame::ChannelId;
use super::{InboxError, batch};
use crate::VerifiedBlock;
use alloy_primitives::B256;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// EIP-2718 type of deposits, which come from L1 and are in no batch.
const DEPOSIT_TYPE: u8 = 0x7e;

/// What has to be known of an L2 block.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Hashes of its transactions in order, without deposits (type 0x7e).
    pub transactions: Vec<B256>,
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
            transactions: posted.map(|transaction| transaction.hash).collect(),
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
    let data = channel.decompress(rules);
    let contents = batch::split(&data.bytes);
    let mut anchored = Anchored::default();
    for (index, (range, batch)) in (0_u32..).zip(&contents.batches) {
        let claims = match batch.resolve(terms) {
            Ok(claims) => claims,
            Err(error) => {
                anchored.broken.push((index, error));
                continue;
            }
        };
        let Some(matched) = compare(&claims, blocks) else {
            continue;
        };
        let postings = postings(channel, &data, range.start..range.end);
        for block in matched.blocks.iter().filter(|block| taken.insert(block.number)) {
            anchored.rows.extend(postings.iter().map(|posting| Anchor {
                l2_block: block.number,
                l2_hash: block.hash,
                l1_block: posting.source.l1_block,
                l1_tx: posting.source.l1_tx,
                commitment: posting.source.commitment,
                channel: channel.id,
                frames: posting.frames.clone(),
                batch: index,
                kind: claims.kind,
                parent: matched.parent,
                l1_origin: matched.l1_origin,
            }));
        }
    }
    if let Some((_, error)) = contents.broken {
        let index = u32::try_from(contents.batches.len()).unwrap_or(u32::MAX);
        anchored.broken.push((index, error));
    }
    anchored
}

struct Matched<'b> {
    blocks: Vec<&'b L2Block>,
    parent: Option<bool>,
    l1_origin: Option<bool>,
}

/// The blocks that a batch claims as they are; `None` when it was made for another chain or fork, or for none of
/// these blocks.
fn compare<'b>(claims: &Claims<'_>, blocks: &'b [L2Block]) -> Option<Matched<'b>> {
    let mut matched = Matched { blocks: Vec::new(), parent: None, l1_origin: None };
    let last = claims.len() - 1;
    for (index, claim) in claims.blocks().enumerate() {
        let Ok(at) = blocks.binary_search_by_key(&claim.timestamp, |block| block.timestamp) else {
            continue;
        };
        let block = &blocks[at];
        if index == 0 {
            let agrees = block.parent_hash.starts_with(&claims.parent_check);
            if !agrees {
                return None;
            }
            matched.parent = Some(agrees);
        }
        if !is_the_same(&claim, block) {
            continue;
        }
        if index == last {
            matched.l1_origin = Some(block.l1_origin_hash.starts_with(&claims.l1_origin_check));
        }
        matched.blocks.push(block);
    }
    (!matched.blocks.is_empty()).then_some(matched)
}

fn is_the_same(claim: &Claim<'_>, block: &L2Block) -> bool {
    debug_assert_eq!(claim.timestamp, block.timestamp, "looked up by it");
    claim.l1_origin == block.l1_origin
        && claim.transactions.len() == block.transactions.len()
        && claim.transactions.hashes().is_some_and(|hashes| hashes.eq(block.transactions.iter().copied()))
}

struct Carried {
    source: super::channel::Source,
    frames: RangeInclusive<u16>,
}

/// The postings whose frames hold a piece of the decompressed bytes, in order.
fn postings(channel: &Channel, data: &Decompressed, range: std::ops::Range<usize>) -> Vec<Carried> {
    let mut out: Vec<Carried> = Vec::new();
    let parts = data.parts_of(&range);
    for (number, part) in (0..=u16::MAX).zip(&channel.parts).filter(|(number, _)| parts.contains(&usize::from(*number)))
    {
        match out.last_mut().filter(|last| last.source == part.source && *last.frames.end() + 1 == number) {
            Some(last) => last.frames = *last.frames.start()..=number,
            None => out.push(Carried { source: part.source, frames: number..=number }),
        }
    }
    out
}

#[cfg(test)]
mod tests;
