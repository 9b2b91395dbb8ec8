//! The steps along L1, with a tail on disk and publications that fail half-way.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tributary_schemas::BlockRef;
use tributary_schemas::facts::AnchorRow;
use tributary_store::{Anchors, Tail, TailBlock, TailOptions};

use super::world::{ORIGIN, World};
use crate::anchor::service::{Anchoring, Parts};
use crate::anchor::{AnchorOptions, Exchange};
use crate::clock::ManualClock;
use crate::endpoint::EndpointOptions;
use crate::fold::Chronology;
use crate::inbox::anchor::L2Block;
use crate::state::Key;
use crate::{Heads, Sink as _, VerifiedBlock};

/// A node: its tail, what it published, and the task.
struct Node<'w> {
    world: &'w World,
    tail: Arc<Tail>,
    exchange: Arc<Exchange>,
    anchoring: Anchoring,
    published: Option<Anchors>,
    required: bool,
    rows: Vec<AnchorRow>,
    clock: Arc<ManualClock>,
    _dir: tempfile::TempDir,
}

fn entry(block: &L2Block) -> (Vec<u8>, Option<Vec<u8>>) {
    (Key::l2_block(block.number).0, Some(postcard::to_stdvec(&Some(block.clone())).unwrap()))
}

fn block_ref(block: &L2Block) -> BlockRef {
    BlockRef { number: block.number, hash: block.hash, parent_hash: block.parent_hash, timestamp: block.timestamp }
}

async fn open(
    world: &World,
    tail: &Arc<Tail>,
    published: Option<Anchors>,
    required: bool,
    clock: &Arc<ManualClock>,
) -> (Arc<Exchange>, Anchoring) {
    let options = AnchorOptions {
        l1: Vec::new(),
        l1_chain_id: 1,
        beacon: Vec::new(),
        rollup: world.rollup,
        start_block: None,
        l2_start_block: 0,
        poll_interval: std::time::Duration::from_millis(1),
        required,
    };
    let parts = Parts {
        tail: Arc::clone(tail),
        l2: None,
        endpoint: EndpointOptions::default(),
        trust: crate::Trust::default(),
        payloads: Arc::clone(&world.shelf) as _,
        chronology: Chronology { chain_id: 1, epoch_origin: 0, epoch_seconds: 60 },
        clock: Arc::clone(clock) as _,
        published,
    };
    let exchange = Arc::new(Exchange::after(parts.published.as_ref()));
    let opened = Anchoring::open(options, parts, Arc::clone(&exchange), CancellationToken::new()).await;
    let (anchoring, start) = opened.unwrap();
    assert!(anchoring.seen.tip().is_some() || start == world.l2[0].l1_origin);
    (exchange, anchoring)
}

impl<'w> Node<'w> {
    /// A node whose tail has the genesis block and the first one, both sealed.
    async fn start(world: &'w World) -> Self {
        Self::start_where(world, false).await
    }

    /// The same; whether others wait for L1.
    async fn start_where(world: &'w World, required: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tail = Arc::new(Tail::open(&dir.path().join("tail"), TailOptions::default()).unwrap());
        let genesis = BlockRef { hash: world.l2[0].parent_hash, ..BlockRef::default() };
        let no_block = postcard::to_stdvec(&None::<L2Block>).unwrap();
        let writes = vec![(Key::l2_block(0).0, Some(no_block))];
        tail.append(vec![TailBlock { block: genesis, body: vec![], writes }]).unwrap();
        tail.seal(genesis, vec![]).unwrap();
        let clock = Arc::new(ManualClock::at(0));
        let first = &world.l2[0];
        tail.append(vec![TailBlock { block: block_ref(first), body: vec![], writes: vec![entry(first)] }]).unwrap();
        tail.seal(block_ref(first), vec![]).unwrap();
        let (exchange, anchoring) = open(world, &tail, None, required, &clock).await;
        Self { world, tail, exchange, anchoring, published: None, required, rows: Vec::new(), clock, _dir: dir }
    }

    /// Ingests L2 blocks up to a number and seals them up to another.
    fn l2_to(&self, head: u64, sealed: u64) {
        let last = self.tail.head().unwrap().number;
        let new = self.world.l2.iter().filter(|block| block.number > last && block.number <= head);
        let new = new.map(|block| TailBlock { block: block_ref(block), body: vec![], writes: vec![entry(block)] });
        self.tail.append(new.collect()).unwrap();
        let sealed = std::cmp::min(sealed, self.tail.head().unwrap().number);
        if self.tail.sealed().unwrap().number < sealed {
            let block = &self.world.l2[usize::try_from(sealed - 1).unwrap()];
            self.tail.seal(block_ref(block), vec![]).unwrap();
        }
    }

    /// Publishes what is offered; a crash may leave the tail behind.
    fn publish(&mut self, crash: bool) {
        let Some(increment) = self.exchange.take(false) else { return };
        self.rows.extend(increment.rows.iter().cloned());
        self.published = Some(increment.anchors.clone());
        if !crash {
            self.tail.seal(self.tail.sealed().unwrap(), increment.writes()).unwrap();
            self.exchange.confirm();
        }
    }

    async fn restart(&mut self) {
        let published = self.published.clone();
        (self.exchange, self.anchoring) = open(self.world, &self.tail, published, self.required, &self.clock).await;
    }

    /// The L1 block that the node would be told to go on from.
    fn l1_tip(&self) -> Option<u64> {
        self.anchoring.seen.tip().map(|tip| tip.number)
    }

    fn sorted_rows(&self) -> Vec<AnchorRow> {
        let mut rows = self.rows.clone();
        rows.sort_by_key(|row| (row.l2_block, row.part));
        rows
    }

    /// Follows the chain from where it stands to its end, final up to a number.
    async fn finish(&mut self, chain: &[VerifiedBlock]) {
        let last = self.world.l2.last().unwrap().number;
        self.l2_to(last, last);
        let next = self.l1_tip().map_or(ORIGIN, |tip| tip + 1);
        let rest: Vec<VerifiedBlock> = chain.iter().filter(|block| block.block.number >= next).cloned().collect();
        if !rest.is_empty() {
            self.anchoring.ingest(rest).await.unwrap();
        }
        let head = chain.last().unwrap().block;
        self.anchoring.finalized(head).await.unwrap();
        let heads = Heads { latest: head, finalized: Some(head), ..Heads::default() };
        self.anchoring.heads(heads).await.unwrap();
        self.publish(false);
    }
}

async fn straight(world: &World) -> (Vec<AnchorRow>, Vec<u8>, Anchors) {
    let mut node = Node::start(world).await;
    node.finish(&world.l1_chain()).await;
    let kept = node.tail.get(&Key::anchoring().0).unwrap().unwrap();
    (node.sorted_rows(), kept, node.published.unwrap())
}

/// What L1 shows, and the chain it ends on.
struct L1<'w> {
    world: &'w World,
    chain: Vec<VerifiedBlock>,
    shown: Vec<VerifiedBlock>,
}

impl L1<'_> {
    /// So many of the blocks shown are of the chain.
    fn agreeing(&self) -> usize {
        self.shown.iter().zip(&self.chain).take_while(|(ours, theirs)| ours.block == theirs.block).count()
    }

    /// Keeps so many of the blocks.
    async fn keep(&mut self, count: usize, node: &mut Node<'_>) {
        if count < self.shown.len() {
            let before_all = BlockRef { number: ORIGIN - 1, ..BlockRef::default() };
            let to = count.checked_sub(1).map_or(before_all, |last| self.shown[last].block);
            node.anchoring.unwind(to).await.unwrap();
            self.shown.truncate(count);
        }
    }

    /// Shows a branch above what is final, of the chain's blocks or of others: some postings are lost, and come again.
    async fn branch(&mut self, rng: &mut ChaCha8Rng, finalized: usize, node: &mut Node<'_>) {
        let honest = rng.random_bool(0.5);
        let to = std::cmp::min(finalized + rng.random_range(1..8), self.chain.len());
        if self.shown.len() > finalized {
            let kept = rng.random_range(finalized + 1..=self.shown.len());
            let kept = if honest { std::cmp::min(kept, self.agreeing()) } else { kept };
            self.keep(kept, node).await;
        }
        let first_new = self.shown.len();
        while self.shown.len() < to {
            let mut draft = self.world.l1[self.shown.len()].clone();
            let mark = u8::from(!honest) * rng.random_range(1..9);
            if !honest {
                draft.transactions.retain(|_| rng.random_bool(0.7));
            }
            let parent = self.shown.last().map(|parent| parent.block);
            self.shown.push(self.world.l1_block(&draft, parent, mark));
        }
        if first_new < self.shown.len() {
            node.anchoring.ingest(self.shown[first_new..].to_vec()).await.unwrap();
        }
    }
}

/// A life of reorgs, publications, crashes and restarts, which ends on the chain.
async fn live(world: &World, rng: &mut ChaCha8Rng) -> (Vec<AnchorRow>, Vec<u8>, Anchors) {
    let mut node = Node::start(world).await;
    let mut l1 = L1 { world, chain: world.l1_chain(), shown: Vec::new() };
    let (mut finalized, mut sealed) = (0, 1);
    while finalized + 6 < l1.chain.len() {
        l1.branch(rng, finalized, &mut node).await;
        sealed = std::cmp::min(sealed + rng.random_range(0..6), 60);
        node.l2_to(sealed + 5, sealed);
        let final_now = std::cmp::min(l1.agreeing(), finalized + rng.random_range(0..5));
        if let Some(last) = final_now.checked_sub(1).filter(|last| *last > finalized) {
            finalized = last;
            node.anchoring.finalized(l1.shown[last].block).await.unwrap();
        }
        let latest = l1.shown.last().unwrap().block;
        node.anchoring.heads(Heads { latest, ..Heads::default() }).await.unwrap();
        let status = node.exchange.status();
        assert!(status.head >= status.finalized && status.state == "following", "{status:?}");
        if rng.random_bool(0.5) {
            let crash = rng.random_bool(0.3);
            node.publish(crash);
            if crash || rng.random_bool(0.3) {
                node.restart().await;
                let index = node.l1_tip().map(|tip| usize::try_from(tip - ORIGIN).unwrap());
                l1.shown.truncate(index.map_or(0, |index| index + 1));
                finalized = index.unwrap_or(0);
            }
        }
    }
    l1.keep(l1.agreeing(), &mut node).await;
    node.finish(&l1.chain).await;
    // Of L2 blocks only the genesis block is still written down: every window has passed.
    assert_eq!(node.tail.scan(b"a").unwrap().len(), 1);
    let kept = node.tail.get(&Key::anchoring().0).unwrap().unwrap();
    (node.sorted_rows(), kept, node.published.unwrap())
}

#[tokio::test]
async fn reorgs_and_restarts_leave_the_rows_of_the_straight_chain() {
    for seed in 0..16 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let world = World::new(&mut rng, 60);
        let (rows, kept, anchors) = straight(&world).await;
        let numbers: std::collections::BTreeSet<i64> = rows.iter().map(|row| row.l2_block).collect();
        assert_eq!(numbers.len(), world.l2.len());
        assert_eq!(usize::try_from(anchors.not_anchored).unwrap(), world.withheld.len());
        assert_eq!(live(&world, &mut rng).await, (rows, kept, anchors), "seed {seed}");
    }
}

#[tokio::test]
async fn a_payload_that_is_not_there_is_waited_for_and_then_given_up() {
    // A world whose first batcher posts by commitment, and the L1 block of the first.
    let of_seed = |seed| {
        let world = World::new(&mut ChaCha8Rng::seed_from_u64(seed), 60);
        let mut posted = (0..).zip(&world.l1).flat_map(|(at, block)| block.transactions.iter().map(move |tx| (at, tx)));
        let first = posted.find_map(|(at, draft)| {
            let commitment = draft.calldata.strip_prefix(&[1])?.to_vec();
            let sound = draft.by == world.rollup.batcher && world.shelf.has(&commitment);
            sound.then_some((at, commitment))
        });
        first.map(|(at, commitment)| (world, at, commitment))
    };
    let (world, at, commitment): (World, usize, _) = (3..).find_map(of_seed).unwrap();
    let chain = world.l1_chain();
    let (rows, ..) = straight(&world).await;
    world.shelf.hidden.lock().unwrap().insert(commitment.clone());
    let mut node = Node::start(&world).await;
    node.l2_to(60, 60);
    node.anchoring.ingest(chain.clone()).await.unwrap();
    node.anchoring.finalized(chain[at].block).await.unwrap();
    let status = node.exchange.status();
    assert!(status.state == "waiting" && status.reason.unwrap().contains("nobody has it"));
    // It turns up: nothing is lost.
    world.shelf.hidden.lock().unwrap().clear();
    node.clock.advance(std::time::Duration::from_secs(600));
    let head = chain.last().unwrap().block;
    node.anchoring.finalized(head).await.unwrap();
    node.publish(false);
    assert_eq!(node.sorted_rows(), rows);
    // It never does: what it carries is unknown, and the rest goes on; unless others wait for that.
    let far = BlockRef { number: head.number + 100, ..head };
    for required in [false, true] {
        world.shelf.hidden.lock().unwrap().insert(commitment.clone());
        let mut node = Node::start_where(&world, required).await;
        node.l2_to(60, 60);
        node.anchoring.ingest(chain.clone()).await.unwrap();
        node.anchoring.finalized(head).await.unwrap();
        for _ in 0..40 {
            node.clock.advance(std::time::Duration::from_secs(600));
            node.anchoring.heads(Heads { latest: head, finalized: Some(far), ..Heads::default() }).await.unwrap();
        }
        node.publish(false);
        let holed = node.sorted_rows();
        assert!(holed.iter().filter(|row| row.state == "anchored").all(|row| rows.contains(row)));
        assert_eq!(holed.iter().any(|row| row.state == "unknown"), !required);
        assert_eq!(node.exchange.status().state, if required { "waiting" } else { "following" });
        world.shelf.hidden.lock().unwrap().clear();
        if required {
            node.restart().await;
            node.finish(&chain).await;
            assert_eq!(node.sorted_rows(), rows, "whoever has it: nothing is lost");
        }
    }
}
