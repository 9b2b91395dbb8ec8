//! `status`: where the indexer stands, what the snapshot holds, and what waits.

use async_graphql::{ComplexObject, SimpleObject};

use crate::error::Refusal;
use crate::scalar::{AddressText, BigInt, BlockNumber, Bytes32, DateTime, Money};
use crate::view::View;

/// A block.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct BlockRef {
    /// Its number.
    pub(crate) number: BlockNumber,
    /// Its hash.
    pub(crate) hash: Bytes32,
    /// Its time.
    pub(crate) timestamp: Option<DateTime>,
}

/// Where everything stands.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Status {
    #[graphql(skip)]
    pub(crate) view: View,
    /// Chain.
    pub(crate) chain_id: BigInt,
    /// Newest block of the chain, as the endpoints tell.
    pub(crate) head: Option<BlockRef>,
    /// Newest safe block.
    pub(crate) safe: Option<BlockRef>,
    /// Newest finalised block.
    pub(crate) finalized: Option<BlockRef>,
    /// Newest block that was verified and decoded.
    pub(crate) indexed: Option<BlockRef>,
    /// Last block of the snapshot: everything up to here is final and complete.
    pub(crate) sealed: BlockRef,
    /// How finality is known: asserted, quorum or l1.
    pub(crate) finality: String,
    /// How the blocks were verified: full, or what the configuration weakened.
    pub(crate) trust: String,
    /// Last settled epoch.
    pub(crate) settled_epoch: Option<i64>,
    /// Epoch of the sealed block.
    pub(crate) open_epoch: i64,
    /// Seconds of an epoch.
    pub(crate) epoch_seconds: i64,
    /// Log root at the sealed block.
    pub(crate) log_root: Bytes32,
    /// Hash of the mapping.
    pub(crate) mapping_set_hash: Bytes32,
    /// Hash of the last epoch's manifest.
    pub(crate) manifest_hash: Option<Bytes32>,
    /// Digest of the journal.
    pub(crate) ledger_digest: Option<Bytes32>,
    /// Root of the last settled epoch's tree of each vault.
    pub(crate) merkle_roots: Vec<VaultRoot>,
    /// Version of the snapshot.
    pub(crate) snapshot: i64,
    /// Blocks between the newest block and the sealed one.
    pub(crate) lag_blocks: Option<i64>,
    /// Why the next epoch waits, by name.
    pub(crate) waiting: Vec<String>,
    /// Where blocks and blobs come from.
    pub(crate) endpoints: Vec<EndpointStatus>,
    /// Counters of the process that follows.
    pub(crate) counters: Vec<Counter>,
    /// Which blocks lie on L1, and so in which EigenDA blob; null where no L1 is followed.
    pub(crate) anchored: Option<Anchored>,
}

/// Which blocks lie on L1, as far as that was read.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Anchored {
    /// following, waiting or stopped.
    pub(crate) state: String,
    /// Why it waits or has stopped.
    pub(crate) reason: Option<String>,
    /// Newest block that a posting on L1 carries, final or not.
    pub(crate) head: Option<BlockNumber>,
    /// Newest block that a final posting carries.
    pub(crate) finalized: Option<BlockNumber>,
    /// Blocks between the newest block and the newest one on L1.
    pub(crate) lag_blocks: Option<i64>,
    /// Blocks that wait for a posting: their sequencing window has not passed.
    pub(crate) open: i64,
    /// Blocks that nothing carries.
    pub(crate) not_anchored: i64,
    /// Blocks that perhaps something carries which could not be read.
    pub(crate) unknown: i64,
    /// Newest block of L1.
    pub(crate) l1_head: Option<BlockNumber>,
    /// Newest final block of L1.
    pub(crate) l1_finalized: Option<BlockNumber>,
    /// Final block of L1 up to which postings were read.
    pub(crate) l1_read: Option<BlockNumber>,
}

impl Anchored {
    /// As the follower tells it; `head` is the newest block of the chain.
    pub(crate) fn of(told: tributary_store::AnchorStatus, head: Option<u64>) -> Self {
        let number = |number: Option<u64>| number.map(|number| BlockNumber(tributary_schemas::column::signed(number)));
        let lag = head.zip(told.head).map(|(head, anchored)| head.saturating_sub(anchored));
        Self {
            state: told.state,
            reason: told.reason,
            head: number(told.head),
            finalized: number(told.finalized),
            lag_blocks: lag.map(tributary_schemas::column::signed),
            open: tributary_schemas::column::signed(told.open),
            not_anchored: tributary_schemas::column::signed(told.not_anchored),
            unknown: tributary_schemas::column::signed(told.unknown),
            l1_head: number(told.l1_head),
            l1_finalized: number(told.l1_finalized),
            l1_read: number(told.l1_read),
        }
    }
}

#[ComplexObject]
impl Status {
    /// How much the snapshot holds.
    async fn counts(&self) -> Result<Counts, Refusal> {
        self.view.counts().await
    }
    /// Money by token over all settled epochs: revenue = credited + held.
    async fn totals(&self) -> Result<Vec<TokenTotal>, Refusal> {
        self.view.totals().await
    }
    /// The ledgers of the data folder, each by a mapping set: which one answers, and how far the others are. Any of them
    /// answers a request with the header `x-tributary-generation`.
    async fn generations(&self) -> Result<Vec<Generation>, Refusal> {
        self.view.generations().await
    }
    /// What the chain says of settled epochs and the settlement does not, and vaults that hold less than they owe; empty
    /// when all is well.
    async fn alarms(&self) -> Result<Vec<Alarm>, Refusal> {
        self.view.alarms().await
    }
    /// Vaults whose balance at the end of the last settled epoch does not cover what was earned: what waits for the money
    /// of which vault. Empty when all is well.
    async fn unfunded(&self) -> Result<Vec<Unfunded>, Refusal> {
        self.view.unfunded().await
    }
    /// What must always hold, and how often this process found it broken.
    async fn invariants(&self) -> Vec<InvariantCount> {
        tributary_schemas::invariant::ALL
            .iter()
            .map(|one| InvariantCount {
                id: one.id.to_owned(),
                holds: one.holds.to_owned(),
                broken: i64::try_from(one.broken()).unwrap_or(i64::MAX),
            })
            .collect()
    }
}

/// A ledger of the data folder.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Generation {
    /// Hash of the mapping set it is by.
    pub(crate) mapping_set_hash: Bytes32,
    /// Whether it answers when no other is named.
    pub(crate) current: bool,
    /// Last sealed block; null before the first.
    pub(crate) sealed: Option<BlockNumber>,
    /// Last settled epoch.
    pub(crate) settled_epoch: Option<i64>,
    /// Log root at the sealed block.
    pub(crate) log_root: Option<Bytes32>,
    /// Newest block that was verified and decoded by its rules.
    pub(crate) indexed: Option<BlockNumber>,
    /// What it waits for, by name.
    pub(crate) waiting: Vec<String>,
}

/// Something that the chain says and the settlement does not, or a vault that holds too little.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Alarm {
    /// `root_differs`, `manifest_differs`, `claim_exceeds` or `vault_short`.
    pub(crate) kind: String,
    /// The settled epoch it is about.
    pub(crate) epoch: i64,
    /// Vault.
    pub(crate) vault: AddressText,
    /// Token.
    pub(crate) token: AddressText,
    /// The block that says it.
    pub(crate) block: BlockNumber,
    /// What was found and what was expected, in words.
    pub(crate) detail: String,
    /// The first account, by address, that is known to differ.
    pub(crate) account: Option<AddressText>,
}

/// What waits until a vault has the money.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Unfunded {
    /// The vault.
    pub(crate) vault: AddressText,
    /// Token.
    pub(crate) token: AddressText,
    /// Epoch since whose end something waits without a break.
    pub(crate) since_epoch: i64,
    /// What the vault owes: earned and not claimed, what waits included.
    pub(crate) owed: Money,
    /// What claims can be paid from; null where the balance was not read.
    pub(crate) held: Option<Money>,
    /// What waits.
    pub(crate) waiting: Money,
}

/// The root of a vault's tree.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct VaultRoot {
    /// The vault.
    pub(crate) vault: AddressText,
    /// The root.
    pub(crate) root: Bytes32,
}

/// A source of blocks or blobs.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct EndpointStatus {
    /// Its name, without secrets.
    pub(crate) name: String,
    /// ok, or what is wrong in a word.
    pub(crate) state: String,
    /// Why it is in that state.
    pub(crate) reason: Option<String>,
}

/// A counter of the process that follows.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Counter {
    /// Its name.
    pub(crate) name: String,
    /// Its value.
    pub(crate) value: BigInt,
}

/// How much a snapshot holds.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Counts {
    /// Sealed blocks.
    pub(crate) blocks: i64,
    /// Events, refused ones included.
    pub(crate) events: i64,
    /// Refused events.
    pub(crate) rejected_events: i64,
    /// Payments.
    pub(crate) payments: i64,
    /// Batches of attribution records.
    pub(crate) batches: i64,
    /// Blobs that facts refer to.
    pub(crate) blobs: i64,
    /// Attribution records.
    pub(crate) attributions: i64,
    /// Datasets.
    pub(crate) datasets: i64,
    /// Contributions.
    pub(crate) contributions: i64,
    /// Models.
    pub(crate) models: i64,
    /// Agents.
    pub(crate) agents: i64,
    /// Accounts that earned something.
    pub(crate) accounts: i64,
}

/// Money of one token over all settled epochs.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct TokenTotal {
    /// Token.
    pub(crate) token: AddressText,
    /// Revenue settled, refunds taken off.
    pub(crate) revenue: Money,
    /// Credited to payees and the treasury.
    pub(crate) credited: Money,
    /// Held in suspense or pending.
    pub(crate) held: Money,
    /// Claimed on chain.
    pub(crate) claimed: Money,
}

/// An invariant of the house.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct InvariantCount {
    /// Its name.
    pub(crate) id: String,
    /// What holds.
    pub(crate) holds: String,
    /// How often it was found broken since the process started.
    pub(crate) broken: i64,
}
