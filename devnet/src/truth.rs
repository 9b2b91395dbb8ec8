//! What the canonical chain contains, from the side that made it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use alloy_primitives::{Address, B256, Bytes, U256};

use crate::chain::Chain;

/// The contracts of the reference suite on this chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contracts {
    /// Datasets and contributions.
    pub datanet_registry: Address,
    /// Models.
    pub model_registry: Address,
    /// Agents.
    pub agent_registry: Address,
    /// Attribution batches.
    pub attribution_hub: Address,
    /// Money.
    pub reward_vault: Address,
    /// An ERC-20 token with 6 decimals.
    pub token_6: Address,
    /// An ERC-20 token with 18 decimals.
    pub token_18: Address,
}

/// A token payments are made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its contract; zero for the native token.
    pub address: Address,
    /// Its symbol.
    pub symbol: &'static str,
    /// How many of its digits are behind the point.
    pub decimals: u8,
}

impl Contracts {
    /// Every contract there is.
    #[must_use]
    pub const fn all(&self) -> [Address; 7] {
        [
            self.datanet_registry,
            self.model_registry,
            self.agent_registry,
            self.attribution_hub,
            self.reward_vault,
            self.token_6,
            self.token_18,
        ]
    }

    /// The tokens payments are made in.
    #[must_use]
    pub const fn tokens(&self) -> [Token; 3] {
        [
            Token { address: Address::ZERO, symbol: "OPEN", decimals: 18 },
            Token { address: self.token_6, symbol: "USDT6", decimals: 6 },
            Token { address: self.token_18, symbol: "STAKE", decimals: 18 },
        ]
    }
}

/// What became of a batch's blob when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Make {
    /// Everything about it is right.
    Sound,
    /// The payload's hash is not the committed one.
    WrongHash,
    /// The records root is not that of the records.
    WrongRoot,
    /// The payload is no Parquet file.
    NoParquet,
    /// The counts in the footer and on chain differ from the records.
    WrongCounts,
    /// The records are not in their order.
    Unsorted,
    /// The footer names another batch.
    WrongFooter,
    /// The certificate does not parse.
    Unparsable,
    /// The certificate's inclusion proof does not lead to its batch's root.
    WrongProof,
    /// The signature of the certificate's batch was made with other keys than it says.
    ForeignSignature,
    /// The certificate is consistent, but by operators whom the network does not know: only the verifier on L1 tells.
    ForeignOperators,
    /// The certificate is good, for elements that are no encoded payload.
    Undecodable,
}

impl Make {
    /// Whether `checkDACert` refuses the certificate: a batch of such a blob is void, and a proxy says 418 with code 3.
    #[must_use]
    pub const fn is_refused_by_verifier(self) -> bool {
        matches!(self, Self::WrongProof | Self::ForeignSignature | Self::ForeignOperators)
    }

    /// Whether the batch has no payload for ever, by its commitment alone: it does not parse, the verifier on L1
    /// refuses it, or what it commits to does not decode.
    #[must_use]
    pub const fn is_void(self) -> bool {
        matches!(self, Self::Unparsable | Self::Undecodable) || self.is_refused_by_verifier()
    }
}

/// A batch the hub emitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruthBatch {
    /// The block of its reference.
    pub block: u64,
    /// Its native key in the hub.
    pub key: B256,
    /// Its producer.
    pub producer: Address,
    /// Its sequence number.
    pub seq: u64,
    /// keccak256 of the payload, as committed.
    pub payload_hash: B256,
    /// What the event refers to its blob by: a commitment without the derivation byte.
    pub reference: Bytes,
    /// Inferences committed.
    pub inferences: u32,
    /// Records committed.
    pub records: u32,
    /// What is wrong with its blob, if anything.
    pub make: Make,
}

/// A block of the canonical chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TruthBlock {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Its transactions, the deposit included.
    pub transactions: usize,
    /// Its logs.
    pub logs: usize,
}

/// An EIP-4844 blob of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TruthBlob {
    /// Its place among the transaction's blobs.
    pub index: u32,
    /// Its versioned hash.
    pub versioned_hash: B256,
}

/// A transaction of the batcher that carries frames, or a blob of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruthPosting {
    /// The L1 block it is in.
    pub l1_block: u64,
    /// Its hash.
    pub transaction: B256,
    /// keccak256 of its commitment, without the derivation byte; none when the frames are in its calldata or a blob.
    pub commitment: Option<B256>,
    /// The blob they are in.
    pub blob: Option<TruthBlob>,
    /// The channel of its frames.
    pub channel: [u8; 16],
    /// The numbers of its frames.
    pub frames: RangeInclusive<u16>,
    /// Whether the channel ends with it.
    pub last: bool,
    /// The L2 blocks of the whole channel.
    pub blocks: Vec<u64>,
}

/// What the canonical chain contains up to its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// The head.
    pub head: u64,
    /// Every block.
    pub blocks: Vec<TruthBlock>,
    /// Every batch the hub emitted, in order.
    pub batches: Vec<TruthBatch>,
    /// What the batcher posted, in L1 order.
    pub postings: Vec<TruthPosting>,
    /// Received by the vault per token, refunds not taken off.
    pub received: BTreeMap<Address, U256>,
    /// Refunded by the vault per token.
    pub refunded: BTreeMap<Address, U256>,
    /// Payments the vault received.
    pub payments: u64,
    /// Transactions that were made wrong or hostile.
    pub hostile: u64,
}

impl Truth {
    /// The postings of the channel that an L2 block is in, once all of them are on L1; none before that, and none for
    /// a block that is withheld.
    #[must_use]
    pub fn posted(&self, block: u64) -> Vec<&TruthPosting> {
        let found: Vec<_> = self.postings.iter().filter(|posting| posting.blocks.contains(&block)).collect();
        if found.last().is_some_and(|last| last.last) { found } else { Vec::new() }
    }

    pub(crate) fn of(chain: &Chain) -> Self {
        let blocks = (0_u64..).zip(&chain.l2).map(|(number, stored)| {
            let block = stored.open();
            TruthBlock {
                number,
                hash: stored.hash,
                transactions: block.entries.len(),
                logs: block.entries.iter().map(|entry| entry.logs.len()).sum(),
            }
        });
        let told = &chain.world.told;
        Self {
            head: chain.head(),
            blocks: blocks.collect(),
            batches: told.batches.clone(),
            postings: chain.batcher.postings.clone(),
            received: told.received.clone(),
            refunded: told.refunded.clone(),
            payments: told.payments,
            hostile: told.hostile,
        }
    }
}
