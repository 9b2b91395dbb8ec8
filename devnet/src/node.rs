//! What the node shows of the chain: the view, which may for a while be a fork.
//!
//! `Node` holds the canonical chains and at most one fork. A fork begins above the
//! finalised block and ends when its tip's receipts were read, when it was polled often
//! enough, or when the chain advances; then the view is the canonical chain again, at a
//! number greater than or equal to the fork's. So a client always gets to the end.

use std::collections::{BTreeMap, VecDeque};

use alloy_primitives::B256;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::{
    DevnetError,
    block::{Executed, Stored},
    chain::Chain,
    config::{DevnetConfig, POSTED_WITHIN},
    fault::{Dice, Fault},
    keys::stream,
    rpc::Holdings,
};

/// After so many looks at the head a fork ends by itself.
const POLLS: u32 = 48;
/// How many blocks of past forks are still found by hash.
const SIDE_BLOCKS: usize = 2_048;
/// How often a blob that is spoiled at first is served wrong before it is served right.
const SPOILED_ANSWERS: u32 = 2;
/// How many requests for a late blob are refused when its deadline is final: more than a client needs that asks a few
/// times, each time again and again, before it declares the blob missing.
const LATE_ANSWERS: u32 = 56;
/// How many new heads are announced when the view jumps.
const ANNOUNCED: u64 = 64;

/// Which of the two chains an endpoint serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    L1,
    L2,
}

#[derive(Debug)]
struct Fork {
    /// The last block shared with the canonical chain.
    base: u64,
    blocks: Vec<Stored>,
}

/// The chains, the view of them, and the dice.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) config: DevnetConfig,
    pub(crate) chain: Chain,
    pub(crate) dice: Dice,
    /// How often each blob was spoiled by each fault.
    spoiled: BTreeMap<(Fault, B256), u32>,
    /// What the reward vault holds after each block, as far as somebody asked.
    pub(crate) holdings: Vec<Holdings>,
    forks: ChaCha8Rng,
    fork: Option<Fork>,
    forks_shown: u64,
    finalized: u64,
    finalized_by_hand: Option<u64>,
    side: BTreeMap<B256, Stored>,
    side_order: VecDeque<B256>,
    /// How often the head was asked for since it last moved.
    polls: u32,
    /// How often the chain moved on by being polled since its head was last read.
    unread: u32,
    /// New heads since the last time somebody took them, for subscribers.
    announced: Vec<(Layer, Stored)>,
}

impl Node {
    pub(crate) fn new(config: DevnetConfig) -> Self {
        let chain = Chain::new(&config);
        let dice = Dice::new(config.seed, config.faults.clone());
        let first = config.stop_at.map_or(config.advance_on_read, |stop| std::cmp::min(stop, config.advance_on_read));
        let mut node = Self {
            forks: stream(config.seed, "forks"),
            config,
            chain,
            dice,
            spoiled: BTreeMap::new(),
            holdings: Vec::new(),
            fork: None,
            forks_shown: 0,
            finalized: 0,
            finalized_by_hand: None,
            side: BTreeMap::new(),
            side_order: VecDeque::new(),
            polls: 0,
            unread: 0,
            announced: Vec::new(),
        };
        // Nobody reads the receipts of a genesis block, which has none.
        if first > 0 {
            node.advance(first);
        }
        node
    }

    /// The newest block of the view.
    pub(crate) fn head(&self, layer: Layer) -> u64 {
        match (layer, &self.fork) {
            (Layer::L1, _) => index_of_last(&self.chain.l1),
            (Layer::L2, None) => self.chain.head(),
            (Layer::L2, Some(fork)) => fork.base.saturating_add(wide(fork.blocks.len())),
        }
    }

    /// The finalised block: on the L1 the block that makes the L2's finalised block final, in which at the latest it
    /// was posted.
    pub(crate) fn finalized(&self, layer: Layer) -> u64 {
        match layer {
            Layer::L2 => self.finalized,
            Layer::L1 => std::cmp::min(
                Chain::l1_origin(self.finalized).saturating_add(POSTED_WITHIN),
                index_of_last(&self.chain.l1),
            ),
        }
    }

    /// The safe block.
    pub(crate) fn safe(&self, layer: Layer) -> u64 {
        let behind = self.chain.head().saturating_sub(self.config.safe_lag);
        let shared = self.fork.as_ref().map_or(behind, |fork| std::cmp::min(behind, fork.base));
        let safe = std::cmp::max(shared, self.finalized);
        match layer {
            Layer::L2 => safe,
            Layer::L1 => std::cmp::max(Chain::l1_origin(safe), self.finalized(Layer::L1)),
        }
    }

    /// The block of a number in the view.
    pub(crate) fn by_number(&self, layer: Layer, number: u64) -> Option<&Stored> {
        match (layer, &self.fork) {
            (Layer::L1, _) => usize::try_from(number).ok().and_then(|at| self.chain.l1.get(at)),
            (Layer::L2, Some(fork)) if number > fork.base => {
                let above = number.checked_sub(fork.base)?.checked_sub(1)?;
                fork.blocks.get(usize::try_from(above).ok()?)
            }
            (Layer::L2, _) => usize::try_from(number).ok().and_then(|at| self.chain.l2.get(at)),
        }
    }

    /// The block of a hash: of the view, of the canonical chain beneath a fork, or of a
    /// fork of the past, which real nodes answer too.
    pub(crate) fn by_hash(&self, layer: Layer, hash: &B256) -> Option<&Stored> {
        let (numbers, blocks) = match layer {
            Layer::L1 => (&self.chain.l1_numbers, &self.chain.l1),
            Layer::L2 => (&self.chain.l2_numbers, &self.chain.l2),
        };
        let canonical = numbers.get(hash).and_then(|number| blocks.get(usize::try_from(*number).ok()?));
        canonical.or_else(|| self.side.get(hash).filter(|_| layer == Layer::L2))
    }

    /// The block of the view that holds a transaction.
    pub(crate) fn by_transaction(&self, layer: Layer, hash: &B256) -> Option<&Stored> {
        if let (Layer::L2, Some(fork)) = (layer, &self.fork)
            && let Some(found) =
                fork.blocks.iter().find(|block| block.open().entries.iter().any(|entry| entry.hash() == *hash))
        {
            return Some(found);
        }
        let transactions = match layer {
            Layer::L1 => &self.chain.l1_transactions,
            Layer::L2 => &self.chain.l2_transactions,
        };
        let number = *transactions.get(hash)?;
        let hidden = layer == Layer::L2 && self.fork.as_ref().is_some_and(|fork| number > fork.base);
        if hidden { None } else { self.by_number(layer, number) }
    }

    /// Moves the canonical head by `blocks` and ends a fork that is shown. With the faults
    /// switched on another one may begin.
    pub(crate) fn advance(&mut self, blocks: u64) {
        let before = self.head(Layer::L2);
        let before_l1 = self.head(Layer::L1);
        let returning = self.fork.take().map(|fork| fork.base);
        for _ in 0..blocks {
            self.chain.mine();
        }
        self.follow_finality();
        let begun = blocks > 0 && self.roll_fork();
        if !begun {
            self.announce(returning.unwrap_or(before));
        }
        for number in before_l1.saturating_add(1)..=self.head(Layer::L1) {
            let found = self.by_number(Layer::L1, number).cloned();
            self.announced.extend(found.map(|block| (Layer::L1, block)));
        }
    }

    /// Sets the finalised block by hand; none gives it back to the lag. It never falls.
    pub(crate) fn set_finalized(&mut self, number: Option<u64>) {
        self.finalized_by_hand = number;
        self.follow_finality();
    }

    /// Shows a fork of `depth` blocks whose tip stands `short` blocks below the head.
    pub(crate) fn show_fork(&mut self, depth: u64, short: u64) -> Result<(), DevnetError> {
        let head = self.chain.head();
        let base = head.checked_sub(depth).filter(|base| depth > short && *base >= self.finalized);
        let Some(base) = base else {
            return Err(DevnetError::ForkTooDeep { depth, head, finalized: self.finalized });
        };
        let tip = head.saturating_sub(short);
        self.forks_shown = self.forks_shown.saturating_add(1);
        let mut blocks: Vec<Stored> = Vec::new();
        let mut waiting = Vec::new();
        for number in base.saturating_add(1)..=tip {
            let Some(canonical) = usize::try_from(number).ok().and_then(|at| self.chain.l2.get(at)) else { break };
            let entries = self.reshuffled(canonical.open().entries, &mut waiting);
            let parent = blocks.last().or_else(|| usize::try_from(base).ok().and_then(|at| self.chain.l2.get(at)));
            let Some(parent) = parent else { break };
            let sibling = self.chain.sibling(parent, self.forks_shown, entries);
            self.remember(sibling.clone(), depth);
            blocks.push(sibling);
        }
        self.fork = Some(Fork { base, blocks });
        self.polls = 0;
        self.announce(base);
        Ok(())
    }

    /// Ends a fork that is shown; the head does not move.
    pub(crate) fn heal(&mut self) {
        if let Some(fork) = self.fork.take() {
            self.announce(fork.base);
        }
    }

    /// Whether a fork is shown now.
    pub(crate) const fn forked(&self) -> bool {
        self.fork.is_some()
    }

    /// How many forks were shown so far.
    pub(crate) const fn forks_shown(&self) -> u64 {
        self.forks_shown
    }

    /// Somebody asked for the head. Who asks often enough and never reads it moves things
    /// on as well, each time twice as far: a follower of finalised blocks, or one that was
    /// started again and knows more blocks than this chain has yet.
    pub(crate) fn head_polled(&mut self) {
        self.polls = self.polls.saturating_add(1);
        if self.polls >= POLLS {
            let faster = 1_u64.checked_shl(self.unread).unwrap_or(u64::MAX);
            self.unread = self.unread.saturating_add(1);
            self.move_on(faster);
        }
    }

    /// Somebody read all of a block: when it was the view's newest, things may move on.
    pub(crate) fn block_read(&mut self, hash: B256) {
        let head = self.head(Layer::L2);
        if self.by_number(Layer::L2, head).is_some_and(|tip| tip.hash == hash) {
            self.unread = 0;
            self.move_on(1);
        }
    }

    /// Ends a fork that is shown, else advances when the chain lives by itself.
    fn move_on(&mut self, steps: u64) {
        self.polls = 0;
        if self.fork.is_some() {
            self.heal();
        } else if self.config.advance_on_read > 0 {
            let head = self.chain.head();
            let room = self.config.stop_at.map_or(u64::MAX, |stop| stop.saturating_sub(head));
            let blocks = std::cmp::min(self.config.advance_on_read.saturating_mul(steps), room);
            if blocks > 0 {
                self.advance(blocks);
            }
        }
    }

    /// Whether a fault spoils this answer about a blob: those it chose, one in `every`, the first few times.
    pub(crate) fn spoils_at_first(&mut self, fault: Fault, blob: B256, every: u8) -> bool {
        if !self.dice.chosen(fault, blob.as_slice(), every) {
            return false;
        }
        let answers = self.spoiled.entry((fault, blob)).or_insert(0);
        *answers = answers.saturating_add(1);
        *answers <= SPOILED_ANSWERS
    }

    /// Whether a late blob is not served yet: before its deadline, and the first few times after.
    pub(crate) fn withholds(&mut self, blob: B256, deadline: u64) -> bool {
        if !self.dice.has(Fault::LateBlob) || self.finalized < deadline {
            return self.dice.has(Fault::LateBlob);
        }
        let answers = self.spoiled.entry((Fault::LateBlob, blob)).or_insert(0);
        *answers = answers.saturating_add(1);
        *answers <= LATE_ANSWERS
    }

    /// New heads since the last call, oldest first.
    pub(crate) fn take_announced(&mut self) -> Vec<(Layer, Stored)> {
        std::mem::take(&mut self.announced)
    }

    fn follow_finality(&mut self) {
        let head = self.chain.head();
        let wanted = self.finalized_by_hand.unwrap_or_else(|| head.saturating_sub(self.config.finalized_lag));
        self.finalized = std::cmp::max(self.finalized, std::cmp::min(wanted, head));
    }

    /// Transactions of a fork are those of the canonical chain, some of them a block or
    /// more later, as when another sequencer picked from the same pool. Those still
    /// waiting at the tip are gone.
    fn reshuffled(&mut self, canonical: Vec<Executed>, waiting: &mut Vec<Executed>) -> Vec<Executed> {
        let mut entries = canonical.into_iter();
        let mut chosen: Vec<Executed> = entries.next().into_iter().collect();
        waiting.extend(entries);
        let taken = self.forks.random_range(0..=waiting.len());
        chosen.extend(waiting.drain(..taken));
        chosen
    }

    fn roll_fork(&mut self) -> bool {
        let room = self.chain.head().saturating_sub(self.finalized);
        let depth = if room < 2 {
            return false;
        } else if self.dice.strikes(Fault::SameHeight, 6) {
            1
        } else if self.dice.strikes(Fault::Reorg, 6) {
            // Mostly shallow; one in eight goes down to the block above finality.
            let bits = self.dice.moment(0..=7);
            if bits == 7 { room } else { std::cmp::min(room, 1_u64 << bits) }
        } else {
            return false;
        };
        let short = if depth > 2 { self.dice.moment(0..=1) } else { 0 };
        self.show_fork(depth, short).is_ok()
    }

    /// Keeps a block of a fork of this depth to be asked for by its hash: all of the newest fork, and some before it.
    fn remember(&mut self, block: Stored, depth: u64) {
        let most = std::cmp::max(SIDE_BLOCKS, usize::try_from(depth).unwrap_or(usize::MAX));
        self.side_order.push_back(block.hash);
        self.side.insert(block.hash, block);
        while self.side_order.len() > most {
            if let Some(oldest) = self.side_order.pop_front() {
                self.side.remove(&oldest);
            }
        }
    }

    fn announce(&mut self, above: u64) {
        let head = self.head(Layer::L2);
        let first = std::cmp::max(above.saturating_add(1), head.saturating_sub(ANNOUNCED));
        for number in first..=head {
            let found = self.by_number(Layer::L2, number).cloned();
            self.announced.extend(found.map(|block| (Layer::L2, block)));
        }
    }
}

fn index_of_last(blocks: &[Stored]) -> u64 {
    wide(blocks.len()).saturating_sub(1)
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
