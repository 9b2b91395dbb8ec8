//! The canonical chains: an L2 and the L1 it derives from, generated block by block.
//!
//! Nothing here knows about clients, views or faults. `mine` appends one L2 block, and
//! the L1 blocks that must exist by its time; the same seed always appends the same.

use std::collections::BTreeMap;

use alloy::consensus::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header, TxEip1559, TxEip4844};
use alloy::eips::{eip1559::BaseFeeParams, eip7685::EMPTY_REQUESTS_HASH};
use alloy_primitives::{Address, B64, B256, Bytes, Log, TxKind, U256, address};

use crate::{
    batcher::{Batcher, Planned},
    block::{Block, Executed, Stored},
    config::{DevnetConfig, L1_BLOCK_TIME, L2_BLOCK_TIME},
    deposit::l1_attributes,
    keys::{Keyring, labelled},
    sidecar::{BLOB_BYTES, Sidecar},
    truth::TruthPosting,
    world::World,
};

/// Where an OP Stack chain collects its fees; also the L2's `miner`.
const SEQUENCER_FEE_VAULT: Address = address!("4200000000000000000000000000000000000011");
const GAS_LIMIT: u64 = 60_000_000;
/// Denominator and elasticity of the base fee, as Holocene puts them into the header.
const L2_FEES: BaseFeeParams = BaseFeeParams::new(250, 6);
const HOLOCENE_EXTRA_DATA: [u8; 9] = [0, 0, 0, 0, 250, 0, 0, 0, 6];
/// L2 blocks per L1 block.
const BLOCKS_PER_EPOCH: u64 = L1_BLOCK_TIME / L2_BLOCK_TIME;
/// How many L1 blocks the newest L1 block is ahead of the newest L1 origin.
const L1_LEAD: u64 = 2;

/// One transaction the workload wants in the next block, and what it does.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) value: U256,
    pub(crate) input: Bytes,
    pub(crate) logs: Vec<Log>,
    pub(crate) success: bool,
}

/// The two chains and everything needed to lengthen them.
#[derive(Debug)]
pub(crate) struct Chain {
    seed: u64,
    chain_id: u64,
    l1_chain_id: u64,
    genesis_time: u64,
    keys: Keyring,
    l1_sender: Address,
    pub(crate) world: World,
    pub(crate) batcher: Batcher,
    pub(crate) l2: Vec<Stored>,
    pub(crate) l1: Vec<Stored>,
    pub(crate) l2_numbers: BTreeMap<B256, u64>,
    pub(crate) l1_numbers: BTreeMap<B256, u64>,
    /// Transaction hash to its block's number, for both chains.
    pub(crate) l2_transactions: BTreeMap<B256, u64>,
    pub(crate) l1_transactions: BTreeMap<B256, u64>,
    /// The blobs of each L1 block that has any.
    pub(crate) sidecars: BTreeMap<u64, Vec<Sidecar>>,
}

impl Chain {
    pub(crate) fn new(config: &DevnetConfig) -> Self {
        let mut keys = Keyring::new(config.seed);
        let l1_sender = keys.account("l1", 0);
        let world = World::new(config, &mut keys);
        let batcher = Batcher::new(config, &mut keys);
        let mut chain = Self {
            seed: config.seed,
            chain_id: config.chain_id,
            l1_chain_id: config.l1_chain_id,
            genesis_time: config.genesis_time,
            keys,
            l1_sender,
            world,
            batcher,
            l2: Vec::new(),
            l1: Vec::new(),
            l2_numbers: BTreeMap::new(),
            l1_numbers: BTreeMap::new(),
            l2_transactions: BTreeMap::new(),
            l1_transactions: BTreeMap::new(),
            sidecars: BTreeMap::new(),
        };
        chain.mine();
        chain
    }

    /// The number of the newest L2 block.
    pub(crate) fn head(&self) -> u64 {
        last(&self.l2)
    }

    /// The L1 block an L2 block derives from.
    pub(crate) const fn l1_origin(number: u64) -> u64 {
        number / BLOCKS_PER_EPOCH
    }

    /// The blob that a beacon node loses when it loses one: the first.
    pub(crate) fn sidecar_to_lose(&self) -> Option<B256> {
        self.sidecars.values().flatten().next().map(|one| one.versioned_hash)
    }

    /// Appends the next L2 block, the genesis block first.
    pub(crate) fn mine(&mut self) {
        let number = u64::try_from(self.l2.len()).expect("a chain in memory is shorter than 2^64 blocks");
        while last(&self.l1) < Self::l1_origin(number).saturating_add(L1_LEAD) || self.l1.is_empty() {
            self.mine_l1();
        }
        let header = self.next_header(number);
        let mut entries = Vec::new();
        if number > 0 {
            entries.push(self.deposit(&header));
            let calls = self.world.plan(&mut self.keys, header.number, header.timestamp);
            let base_fee = header.base_fee_per_gas.unwrap_or_default();
            entries
                .extend(calls.into_iter().map(|call| self.execute(self.chain_id, base_fee, call)).collect::<Vec<_>>());
        }
        let parent_state = self.l2.last().map_or(B256::ZERO, |parent| parent.header().state_root);
        let block = Block::seal(header, parent_state, entries);
        let stored = Stored::new(&block);
        if number > 0 {
            let origin = self.origin(number).hash;
            self.batcher.note(&block, origin);
        }
        self.l2_numbers.insert(stored.hash, number);
        self.l2_transactions.extend(block.entries.iter().map(|entry| (entry.hash(), number)));
        self.l2.push(stored);
    }

    /// Another block of the same number on another parent: what a fork shows. Its
    /// randomness differs, so its hash does even with the same transactions.
    pub(crate) fn sibling(&self, parent: &Stored, salt: u64, entries: Vec<Executed>) -> Stored {
        let parent_header = parent.header();
        let number = parent_header.number.saturating_add(1);
        let mut header = self.next_header(number);
        header.parent_hash = parent.hash;
        header.base_fee_per_gas = parent_header.next_block_base_fee(L2_FEES);
        header.mix_hash = labelled(self.seed, "fork", salt);
        Stored::new(&Block::seal(header, parent_header.state_root, entries))
    }

    fn next_header(&self, number: u64) -> Header {
        let origin = Self::l1_origin(number);
        let below = number.checked_sub(1).and_then(|below| usize::try_from(below).ok()).and_then(|i| self.l2.get(i));
        let parent = below.map(Stored::header);
        Header {
            parent_hash: below.map_or(B256::ZERO, |parent| parent.hash),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: SEQUENCER_FEE_VAULT,
            number,
            gas_limit: GAS_LIMIT,
            timestamp: self.genesis_time.saturating_add(number.saturating_mul(L2_BLOCK_TIME)),
            extra_data: Bytes::from_static(&HOLOCENE_EXTRA_DATA),
            mix_hash: labelled(self.seed, "randao", origin),
            nonce: B64::ZERO,
            base_fee_per_gas: parent.map_or(Some(1_000_000), |parent| parent.next_block_base_fee(L2_FEES)),
            withdrawals_root: Some(EMPTY_ROOT_HASH),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(labelled(self.seed, "beacon", origin)),
            ..Header::default()
        }
    }

    /// The L1-attributes transaction that every block of an OP Stack chain begins with.
    fn deposit(&self, header: &Header) -> Executed {
        let origin = self.origin(header.number);
        let batcher = self.batcher.account_at(Self::l1_origin(header.number));
        l1_attributes(header.number, header.number % BLOCKS_PER_EPOCH, (&origin.header(), origin.hash), batcher)
    }

    fn origin(&self, number: u64) -> &Stored {
        let stored = usize::try_from(Self::l1_origin(number)).ok().and_then(|index| self.l1.get(index));
        stored.expect("L1 blocks are mined up to the origin before the L2 block is")
    }

    fn mine_l1(&mut self) {
        let number = u64::try_from(self.l1.len()).expect("a chain in memory is shorter than 2^64 blocks");
        let parent = self.l1.last().map(|parent| (parent.hash, parent.header()));
        let lead = L1_LEAD.saturating_mul(L1_BLOCK_TIME);
        let mut header = Header {
            parent_hash: parent.as_ref().map_or(B256::ZERO, |(hash, _)| *hash),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: self.l1_sender,
            number,
            gas_limit: GAS_LIMIT,
            timestamp: self.genesis_time.saturating_sub(lead).saturating_add(number.saturating_mul(L1_BLOCK_TIME)),
            mix_hash: labelled(self.seed, "randao", number),
            base_fee_per_gas: parent
                .as_ref()
                .map_or(Some(1_000_000_000), |(_, parent)| parent.next_block_base_fee(BaseFeeParams::ethereum())),
            withdrawals_root: Some(EMPTY_ROOT_HASH),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(labelled(self.seed, "beacon", number)),
            requests_hash: Some(EMPTY_REQUESTS_HASH),
            ..Header::default()
        };
        let mut entries = Vec::new();
        if number > 0 {
            let call = Call {
                from: self.l1_sender,
                to: self.l1_sender,
                value: U256::from(number),
                input: Bytes::new(),
                logs: Vec::new(),
                success: true,
            };
            let base_fee = header.base_fee_per_gas.unwrap_or_default();
            entries.push(self.execute(self.l1_chain_id, base_fee, call));
            let mut sidecars = Vec::new();
            for Planned { call, postings, blobs } in self.batcher.plan(number, &mut self.world) {
                let executed = if blobs.is_empty() {
                    self.execute(self.l1_chain_id, base_fee, call)
                } else {
                    self.execute_blobs(base_fee, call, &blobs)
                };
                let transaction = executed.hash();
                let posted = postings.into_iter().map(|posting| TruthPosting { transaction, ..posting });
                self.batcher.postings.extend(posted);
                sidecars.extend(blobs);
                entries.push(executed);
            }
            // Less than the target, so that there is never an excess and blob gas costs the least it can.
            header.blob_gas_used = Some(blob_gas(sidecars.len()));
            if !sidecars.is_empty() {
                self.sidecars.insert(number, sidecars);
            }
        }
        let parent_state = parent.map_or(B256::ZERO, |(_, parent)| parent.state_root);
        let block = Block::seal(header, parent_state, entries);
        let stored = Stored::new(&block);
        self.l1_numbers.insert(stored.hash, number);
        self.l1_transactions.extend(block.entries.iter().map(|entry| (entry.hash(), number)));
        self.l1.push(stored);
    }

    fn execute(&mut self, chain_id: u64, base_fee: u64, call: Call) -> Executed {
        let gas_used = gas(&call);
        let tx = TxEip1559 {
            chain_id,
            nonce: 0,
            gas_limit: gas_used.saturating_add(gas_used / 4),
            max_fee_per_gas: u128::from(base_fee).saturating_mul(2).saturating_add(1_000),
            max_priority_fee_per_gas: 1_000,
            to: TxKind::Call(call.to),
            value: call.value,
            access_list: Default::default(),
            input: call.input,
        };
        let raw = self.keys.sign(call.from, tx);
        Executed { from: call.from, raw, gas_used, success: call.success, deposit_nonce: 0, logs: call.logs }
    }

    /// A transaction of the L1 that names blobs.
    fn execute_blobs(&mut self, base_fee: u64, call: Call, blobs: &[Sidecar]) -> Executed {
        let gas_used = gas(&call);
        let tx = TxEip4844 {
            chain_id: self.l1_chain_id,
            nonce: 0,
            gas_limit: gas_used.saturating_add(gas_used / 4),
            max_fee_per_gas: u128::from(base_fee).saturating_mul(2).saturating_add(1_000),
            max_priority_fee_per_gas: 1_000,
            to: call.to,
            value: call.value,
            access_list: Default::default(),
            blob_versioned_hashes: blobs.iter().map(|blob| blob.versioned_hash).collect(),
            max_fee_per_blob_gas: 1,
            input: call.input,
        };
        let raw = self.keys.sign_blobs(call.from, tx);
        Executed { from: call.from, raw, gas_used, success: call.success, deposit_nonce: 0, logs: call.logs }
    }
}

/// Gas of so many blobs.
pub(crate) fn blob_gas(blobs: usize) -> u64 {
    u64::try_from(blobs.saturating_mul(BLOB_BYTES)).unwrap_or(u64::MAX)
}

/// Intrinsic gas of a transaction plus what its logs and a few storage writes cost.
fn gas(call: &Call) -> u64 {
    let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let calldata = call.input.iter().map(|byte| if *byte == 0 { 4_u64 } else { 16 }).sum::<u64>();
    let logs = call.logs.iter().map(|log| {
        375_u64
            .saturating_add(wide(log.data.topics().len()).saturating_mul(375))
            .saturating_add(wide(log.data.data.len()).saturating_mul(8))
            .saturating_add(22_100)
    });
    21_000_u64.saturating_add(calldata).saturating_add(logs.sum::<u64>())
}

fn last(blocks: &[Stored]) -> u64 {
    u64::try_from(blocks.len().saturating_sub(1)).expect("a chain in memory is shorter than 2^64 blocks")
}
