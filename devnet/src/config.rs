//! What a devnet is told before it starts.

use std::collections::BTreeSet;

use tributary_schemas::policy::Policy;

use crate::fault::Fault;

/// Chain id of the embedded L2: 1612 with a digit appended, so that it is nobody's.
pub const L2_CHAIN_ID: u64 = 16_121;
/// Chain id of the embedded L1, the one every development L1 of the OP Stack uses.
pub const L1_CHAIN_ID: u64 = 900;
/// Seconds between two L2 blocks.
pub const L2_BLOCK_TIME: u64 = 2;
/// Seconds between two L1 blocks.
pub const L1_BLOCK_TIME: u64 = 12;

/// The L1 block in which `SystemConfig` appoints another batcher. That one posts from this block on.
pub const BATCHER_CHANGES_AT: u64 = 40;
/// The batcher posts an L2 block at the latest so many L1 blocks after its L1 origin.
pub const POSTED_WITHIN: u64 = 5;

/// Everything an embedded network depends on. Same configuration, same chain, byte for
/// byte; `faults` and everything below them change only what is *answered*.
#[derive(Clone, Debug)]
pub struct DevnetConfig {
    /// The seed of all streams: chain, blobs, faults, clock, and those of the batcher.
    pub seed: u64,
    /// Chain id of the L2.
    pub chain_id: u64,
    /// Chain id of the L1.
    pub l1_chain_id: u64,
    /// Unix time of L2 block 0.
    pub genesis_time: u64,
    /// How many L2 blocks `finalized` lies behind the head.
    pub finalized_lag: u64,
    /// How many L2 blocks `safe` lies behind the head.
    pub safe_lag: u64,
    /// Whether batches and manifests refer to their blobs by certificates of EigenDA, versions
    /// 2, 3 and 4 in turn, and every fifth by the payload's hash; else all by the hash. The
    /// batcher's commitments are of the same kind.
    pub certificates: bool,
    /// Of a hundred payloads that the batcher posts so many are posted in EIP-4844 blobs, and served by the beacon
    /// node. How they are drawn is a stream of its own; as every L2 block names its L1 origin by hash, other postings
    /// are other hashes on both chains, and nothing else.
    pub blobs_percent: u32,
    /// L2 blocks that the batcher never posts.
    pub withhold: BTreeSet<u64>,
    /// What happens on the chain.
    pub workload: Workload,
    /// The faults that are switched on.
    pub faults: BTreeSet<Fault>,
    /// When not zero, the head advances by so many blocks whenever a client has read the
    /// receipts (or the logs) of the head, or has asked for the head 48 times (then twice as
    /// far each time): a chain that lives without anybody driving it.
    pub advance_on_read: u64,
    /// With `advance_on_read`: the block at which the head stops by itself.
    pub stop_at: Option<u64>,
    /// Widest block range that `eth_getLogs` answers.
    pub max_log_range: u64,
}

impl Default for DevnetConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            chain_id: L2_CHAIN_ID,
            l1_chain_id: L1_CHAIN_ID,
            // 2025-06-15T15:06:40Z: late enough that every fork of today is active.
            genesis_time: 1_750_000_000,
            finalized_lag: 64,
            safe_lag: 16,
            certificates: true,
            blobs_percent: 0,
            withhold: BTreeSet::new(),
            workload: Workload::default(),
            faults: BTreeSet::new(),
            advance_on_read: 0,
            stop_at: None,
            max_log_range: 10_000,
        }
    }
}

impl DevnetConfig {
    /// The head at which everything the workload did is decided and final: the last block
    /// with transactions is older than every wait of the policy, and finalised.
    #[must_use]
    pub fn decided_at(&self) -> u64 {
        let policy = &self.workload.policy;
        let dispute = if policy.challenge_blocks == 0 {
            0
        } else {
            policy.challenge_blocks.saturating_add(policy.resolve_blocks)
        };
        let longest = [policy.blob_deadline_blocks, policy.unattributed_after_blocks, dispute].into_iter().max();
        let waited = self.workload.blocks.saturating_add(longest.unwrap_or_default());
        waited.saturating_add(self.finalized_lag).saturating_add(1)
    }
}

/// How much happens on the chain, and under which policy.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The last block with user transactions; later blocks hold the deposit only, so
    /// that what happened can become final.
    pub blocks: u64,
    /// Percentage of the default number of user transactions and of inferences in a
    /// batch: 100 gives four to eight transactions a block.
    pub intensity_percent: u32,
    /// Blocks between two attribution batches, about.
    pub batch_every: u64,
    /// Inferences in a batch at least; others of the same agents are added where there are fewer.
    pub inferences_min: usize,
    /// Payments in every block beside what else happens there.
    pub payments: u32,
    /// Whether wrong and hostile transactions are mixed in.
    pub hostile: bool,
    /// The policy that `RewardPolicySet` carries at the first block with transactions.
    pub policy: Policy,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            blocks: u64::MAX,
            intensity_percent: 100,
            batch_every: 10,
            inferences_min: 0,
            payments: 0,
            hostile: true,
            policy: demo_policy(),
        }
    }
}

/// The default policy with the waits of a chain that lives for minutes: a blob is given
/// up after 96 blocks, and so is a payment that names what never comes.
#[must_use]
pub fn demo_policy() -> Policy {
    Policy { unattributed_after_blocks: 96, resolve_blocks: 64, blob_deadline_blocks: 96, ..Policy::default() }
}
