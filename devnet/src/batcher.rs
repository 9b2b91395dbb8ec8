//! The batcher: it posts the canonical L2 blocks to the inbox on L1, as op-batcher does with alt-DA.
//!
//! Every L1 block it may put the L2 blocks since the last time into a channel (span or singular batches, zlib or
//! brotli), cut that into frames, and post these: as a commitment to what EigenDA or the keccak store holds, now and
//! then as frames in the calldata itself, and where that is switched on in EIP-4844 blobs. A channel may take two L1 blocks. Around it happens what happens around an
//! inbox: strangers repeat what it posts, and it posts what is no batch.
//!
//! It follows the canonical chain, which never changes here; the forks that clients see are none of its business.

use std::collections::{BTreeSet, VecDeque};

use alloy_primitives::{Address, B256, Bytes, Log, U256, keccak256};
use alloy_sol_types::SolCall as _;
use rand::{Rng as _, RngCore as _};
use rand_chacha::ChaCha8Rng;

use crate::{
    block::Block,
    chain::{Call, Chain},
    chance::percent,
    config::{BATCHER_CHANGES_AT, DevnetConfig},
    inbox::{ChannelForm, PostedBlock, channel, commitment_calldata, frames, payload, singular_batch, span_batch},
    keys::{Keyring, labelled, stream},
    sidecar::Sidecar,
    suite::{SystemConfig, keccak_reference, log},
    truth::{Make, TruthBlob, TruthPosting},
    world::World,
};

/// Most bytes of a channel in one frame, so that a payload stays below the 130,672 bytes that keccak commitments may
/// be for.
const FRAME_DATA_MAX: usize = 100_000;
/// So many waiting blocks wait no longer: those of two L1 blocks, of which the first two lack the genesis block.
const WAITING_MAX: usize = 11;
/// `updateType` of the batcher in `ConfigUpdate`.
const UPDATE_BATCHER: u8 = 0;
/// `updateType` of the L2 gas limit.
const UPDATE_GAS_LIMIT: u8 = 2;
/// The L1 block of a `ConfigUpdate` that is not about the batcher.
const OTHER_UPDATE_AT: u64 = 15;
/// The L1 block of a `ConfigUpdate` that is by a stranger's contract.
const FALSE_UPDATE_AT: u64 = 25;

/// Of a hundred transactions with a blob so many have another blob in front that carries nothing.
const IDLE_BLOB_PERCENT: u32 = 20;
/// Likewise, of those that have a payload after them so many carry that as well.
const SHARED_PERCENT: u32 = 40;

/// A transaction for the next L1 block, what it posts when it is one of the batcher's that counts, and its blobs.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) call: Call,
    pub(crate) postings: Vec<TruthPosting>,
    pub(crate) blobs: Vec<Sidecar>,
}

/// The batcher with what waits to be posted.
#[derive(Debug)]
pub(crate) struct Batcher {
    pub(crate) inbox: Address,
    pub(crate) system_config: Address,
    /// Before the change and after it.
    pub(crate) accounts: [Address; 2],
    /// What was posted; the hashes of the transactions are filled in when they are signed.
    pub(crate) postings: Vec<TruthPosting>,
    seed: u64,
    genesis_time: u64,
    certificates: bool,
    blobs_percent: u32,
    withhold: BTreeSet<u64>,
    chance: ChaCha8Rng,
    /// Which payloads are posted in blobs.
    blob_chance: ChaCha8Rng,
    owner: Address,
    stranger: Address,
    waiting: Vec<Waiting>,
    queue: VecDeque<Piece>,
    channels: u64,
    certified: u64,
}

/// An L2 block in no channel yet, with its parent's hash and L1 origin.
#[derive(Debug)]
struct Waiting {
    number: u64,
    parent: (B256, u64),
    block: PostedBlock,
}

/// A payload of a channel.
#[derive(Debug)]
struct Piece {
    payload: Bytes,
    posting: TruthPosting,
}

impl Batcher {
    pub(crate) fn new(config: &DevnetConfig, keys: &mut Keyring) -> Self {
        Self {
            inbox: Address::from_word(labelled(config.seed, "batch inbox", 0)),
            system_config: Address::from_word(labelled(config.seed, "system config", 0)),
            accounts: [keys.account("batcher", 0), keys.account("batcher", 1)],
            postings: Vec::new(),
            seed: config.seed,
            genesis_time: config.genesis_time,
            certificates: config.certificates,
            blobs_percent: config.blobs_percent,
            withhold: config.withhold.clone(),
            chance: stream(config.seed, "batcher"),
            blob_chance: stream(config.seed, "batcher/blobs"),
            owner: keys.account("system config owner", 0),
            stranger: keys.account("inbox stranger", 0),
            waiting: Vec::new(),
            queue: VecDeque::new(),
            channels: 0,
            certified: 0,
        }
    }

    /// Who may post in an L1 block. A change counts for the block it happens in, as in op-node.
    pub(crate) const fn account_at(&self, l1_block: u64) -> Address {
        if l1_block < BATCHER_CHANGES_AT { self.accounts[0] } else { self.accounts[1] }
    }

    /// Takes note of a block of the L2, above genesis.
    pub(crate) fn note(&mut self, block: &Block, l1_origin_hash: B256) {
        let header = &block.header;
        let (number, parent) = (header.number, header.number.saturating_sub(1));
        // A block begins with its L1-attributes deposit, which comes from L1 and is in no batch.
        let transactions = block.entries.iter().skip(1).map(|entry| entry.raw.clone()).collect();
        self.waiting.push(Waiting {
            number,
            parent: (header.parent_hash, Chain::l1_origin(parent)),
            block: PostedBlock {
                timestamp: header.timestamp,
                l1_origin: Chain::l1_origin(number),
                l1_origin_hash,
                transactions,
            },
        });
    }

    /// The transactions of the next L1 block that have to do with the inbox.
    pub(crate) fn plan(&mut self, l1_block: u64, world: &mut World) -> Vec<Planned> {
        let mut pieces: Vec<Piece> = self.queue.drain(..).collect();
        let due = self.waiting.len() >= WAITING_MAX || (!self.waiting.is_empty() && percent(&mut self.chance, 60));
        if due {
            let mut fresh = self.open_channel();
            if fresh.len() > 1 && percent(&mut self.chance, 50) {
                let now = self.chance.random_range(1..fresh.len());
                self.queue = fresh.split_off(now).into();
            }
            pieces.append(&mut fresh);
        }
        let posted =
            pieces.into_iter().map(|piece| (piece.payload.clone(), self.post(l1_block, piece, world))).collect();
        let mut planned = self.move_into_blobs(l1_block, posted);
        let noise = self.noise(l1_block, &planned, world);
        for call in noise {
            let at = self.chance.random_range(0..=planned.len());
            planned.insert(at, Planned { call, postings: Vec::new(), blobs: Vec::new() });
        }
        if let Some(call) = self.govern(l1_block) {
            planned.push(Planned { call, postings: Vec::new(), blobs: Vec::new() });
        }
        planned
    }

    /// The blocks that wait, but those withheld, as the payloads of a channel.
    fn open_channel(&mut self) -> Vec<Piece> {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|one| !self.withhold.contains(&one.number));
        if waiting.is_empty() {
            return Vec::new();
        }
        let blocks: Vec<u64> = waiting.iter().map(|one| one.number).collect();
        let batches = self.batches(waiting);
        let form = match self.chance.random_range(0..5) {
            0 | 1 => ChannelForm::Zlib(6),
            2 => ChannelForm::ZlibUnfinished,
            _ => ChannelForm::BrotliStored,
        };
        let data = channel(&batches, form);
        let mut id = [0; 16];
        id.copy_from_slice(&labelled(self.seed, "channel", self.channels)[..16]);
        self.channels = self.channels.saturating_add(1);
        let pieces = [1, 1, 2, 3][self.chance.random_range(0..4)];
        let frames = frames(id, &data, std::cmp::min(data.len().div_ceil(pieces), FRAME_DATA_MAX));
        let together = data.len() <= FRAME_DATA_MAX && percent(&mut self.chance, 50);
        let groups: Vec<&[Vec<u8>]> = frames.chunks(if together { frames.len() } else { 1 }).collect();
        let count = groups.len();
        let mut first = 0_u16;
        let mut made = Vec::with_capacity(count);
        for (index, group) in groups.into_iter().enumerate() {
            let after = first.saturating_add(u16::try_from(group.len()).unwrap_or(u16::MAX));
            let posting = TruthPosting {
                l1_block: 0,
                transaction: B256::ZERO,
                commitment: None,
                blob: None,
                channel: id,
                frames: first..=after.saturating_sub(1),
                last: index.saturating_add(1) == count,
                blocks: blocks.clone(),
            };
            made.push(Piece { payload: payload(group).into(), posting });
            first = after;
        }
        made
    }

    /// Span batches over runs without a gap, or a batch a block.
    fn batches(&mut self, waiting: Vec<Waiting>) -> Vec<Vec<u8>> {
        if percent(&mut self.chance, 30) {
            return waiting.iter().map(|one| singular_batch(one.parent.0, &one.block)).collect();
        }
        let mut runs: Vec<Vec<Waiting>> = Vec::new();
        for one in waiting {
            match runs.last_mut() {
                Some(run)
                    if run.last().is_some_and(|last| last.number.saturating_add(1) == one.number)
                        && !percent(&mut self.chance, 10) =>
                {
                    run.push(one);
                }
                _ => runs.push(vec![one]),
            }
        }
        let span = |run: Vec<Waiting>| {
            let parent = run[0].parent;
            let blocks: Vec<PostedBlock> = run.into_iter().map(|one| one.block).collect();
            span_batch(parent, self.genesis_time, &blocks)
                .expect("blocks of one chain in a row, whose transactions all have fees")
        };
        runs.into_iter().map(span).collect()
    }

    fn post(&mut self, l1_block: u64, piece: Piece, world: &mut World) -> Planned {
        let Piece { payload, mut posting } = piece;
        posting.l1_block = l1_block;
        let input = if percent(&mut self.chance, 15) {
            payload
        } else {
            let commitment = self.commit(l1_block, payload, Make::Sound, world);
            posting.commitment = Some(keccak256(&commitment));
            commitment_calldata(&commitment)
        };
        let call = self.to_inbox(self.account_at(l1_block), input);
        Planned { call, postings: vec![posting], blobs: Vec::new() }
    }

    /// Posts a share of the payloads in blobs instead. What they were dispersed as stays where it is: nobody refers to
    /// it, and every stream goes on as it would have.
    fn move_into_blobs(&mut self, l1_block: u64, posted: Vec<(Bytes, Planned)>) -> Vec<Planned> {
        let mut planned = Vec::with_capacity(posted.len());
        let mut posted = posted.into_iter().peekable();
        while let Some((payload, elsewhere)) = posted.next() {
            if !percent(&mut self.blob_chance, self.blobs_percent) {
                planned.push(elsewhere);
                continue;
            }
            let mut together = vec![(payload, elsewhere)];
            if posted.peek().is_some() && percent(&mut self.blob_chance, SHARED_PERCENT) {
                together.extend(posted.next());
            }
            planned.push(self.post_blobs(l1_block, together));
        }
        planned
    }

    /// One transaction with a blob for each payload, and perhaps one that carries nothing before them.
    fn post_blobs(&mut self, l1_block: u64, posted: Vec<(Bytes, Planned)>) -> Planned {
        let mut blobs = Vec::new();
        if percent(&mut self.blob_chance, IDLE_BLOB_PERCENT) {
            let idle = Bytes::copy_from_slice(labelled(self.seed, "idle blob", l1_block).as_slice());
            blobs.extend(Sidecar::undecodable(idle));
        }
        let mut postings = Vec::new();
        for (payload, elsewhere) in posted {
            let sidecar = Sidecar::of(payload).expect("so little of a channel fits a blob");
            let index = u32::try_from(blobs.len()).unwrap_or(u32::MAX);
            let blob = Some(TruthBlob { index, versioned_hash: sidecar.versioned_hash });
            let moved = |posting| TruthPosting { commitment: None, blob, ..posting };
            postings.extend(elsewhere.postings.into_iter().map(moved));
            blobs.push(sidecar);
        }
        Planned { call: self.to_inbox(self.account_at(l1_block), Bytes::new()), postings, blobs }
    }

    /// Puts a payload where the proxy finds it; what it is found by.
    fn commit(&mut self, l1_block: u64, payload: Bytes, make: Make, world: &mut World) -> Bytes {
        if self.certificates {
            let reference_block = u32::try_from(l1_block.saturating_sub(1)).unwrap_or(u32::MAX);
            let turn = self.certified;
            self.certified = turn.saturating_add(1);
            world.disperser.disperse(&mut self.chance, (turn, reference_block), payload, make)
        } else {
            let digest = keccak256(&payload);
            world.blobs.insert(digest, payload);
            keccak_reference(digest)
        }
    }

    /// What else is sent to the inbox: nothing of it counts.
    fn noise(&mut self, l1_block: u64, planned: &[Planned], world: &mut World) -> Vec<Call> {
        let batcher = self.account_at(l1_block);
        let repeated = planned.first().map(|first| first.call.input.clone()).unwrap_or_default();
        let mut calls = Vec::new();
        if l1_block == BATCHER_CHANGES_AT {
            calls.push(self.to_inbox(self.accounts[0], repeated.clone()));
        }
        let mut junk = vec![0; 60];
        self.chance.fill_bytes(&mut junk);
        let with = |front: &[u8]| Bytes::from([front, junk.as_slice()].concat());
        let (from, input) = match self.chance.random_range(0..24) {
            0 | 1 => (self.stranger, repeated),
            2 => (batcher, with(&[0xed])),
            3 => (batcher, with(&[1, 1, 0, 2])),
            4 => (batcher, with(&[0])),
            5 => (batcher, Bytes::new()),
            6 => (batcher, with(&[1, 1, 0x0c])),
            7 if self.certificates => {
                let void = self.commit(l1_block, junk.into(), Make::WrongProof, world);
                (batcher, commitment_calldata(&void))
            }
            _ => return calls,
        };
        calls.push(self.to_inbox(from, input));
        calls
    }

    /// What the `SystemConfig` says in an L1 block, or somebody in its name.
    fn govern(&self, l1_block: u64) -> Option<Call> {
        let (emitter, kind, value) = match l1_block {
            OTHER_UPDATE_AT => (self.system_config, UPDATE_GAS_LIMIT, U256::from(60_000_000)),
            FALSE_UPDATE_AT => (self.stranger, UPDATE_BATCHER, word(self.stranger)),
            BATCHER_CHANGES_AT => (self.system_config, UPDATE_BATCHER, word(self.accounts[1])),
            _ => return None,
        };
        let data = value.to_be_bytes::<32>();
        let update = SystemConfig::ConfigUpdate { version: U256::ZERO, updateType: kind, data: data.into() };
        let call = SystemConfig::setBatcherHashCall { batcherHash: data.into() };
        Some(Call {
            from: self.owner,
            to: emitter,
            value: U256::ZERO,
            input: call.abi_encode().into(),
            logs: vec![log(emitter, &update)],
            success: true,
        })
    }

    fn to_inbox(&self, from: Address, input: Bytes) -> Call {
        Call { from, to: self.inbox, value: U256::ZERO, input, logs: Vec::<Log>::new(), success: true }
    }
}

fn word(account: Address) -> U256 {
    U256::from_be_bytes(account.into_word().0)
}
