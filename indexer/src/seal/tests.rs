//! Crashes at the worst moment: after a publication, before the tail knows of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use tributary_schemas::BlockRef;
use tributary_schemas::code::Visibility;
use tributary_schemas::eigenda::Mode;
use tributary_schemas::id::DatasetId;
use tributary_schemas::{Payload, Position};
use tributary_store::{Archive, Lake, Tail, TailBlock, TailOptions};

use alloy_primitives::{Address, B256};

use super::{Body, PublishLimits, SealContext, Sealed, Sealer, seal_block};
use crate::blob::{Answer, Assessed, BlobSource, Fetcher, Finder, Judge, Lack, NotFound, Reference};
use crate::clock::ManualClock;
use crate::decode::Decoded;
use crate::fold::{Chronology, fold_block};
use crate::pipeline::TailState;
use crate::state::StateView;
use crate::{Contracts, Mapping, Trust};

const CHRONOLOGY: Chronology = Chronology { chain_id: 1, epoch_origin: 0, epoch_seconds: 30 };

struct Nobody;

#[async_trait::async_trait]
impl BlobSource for Nobody {
    async fn fetch(&self, _: &Reference, _: Option<&Assessed>, _: &Judge) -> Answer {
        Err(NotFound { reason: "nobody".to_owned(), lack: Lack::Absent })
    }
}

fn mapping() -> Mapping {
    Mapping::parse("t", "name = \"t\"\nversion = 1\nrule = []", 1, &Contracts::default()).unwrap()
}

fn block(number: u64) -> BlockRef {
    let hash = |number: u64| B256::from(alloy_primitives::U256::from(number + 1000));
    BlockRef { number, hash: hash(number + 1), parent_hash: hash(number), timestamp: number * 10 }
}

/// Appends blocks that each register a dataset and publish a version whose manifest nobody has.
fn fill(tail: &Arc<Tail>, numbers: std::ops::Range<u64>) {
    let base = TailState(Arc::clone(tail));
    for number in numbers {
        let mut state = StateView::new(&base);
        let key = B256::from(alloy_primitives::U256::from(number));
        let dataset = DatasetId::native(1, Address::ZERO, key);
        let at = |log_index| Position { block_number: number, tx_index: 0, log_index, sub_index: 0 };
        let say = |log_index, payload| Decoded {
            position: at(log_index),
            emitter: Address::ZERO,
            rule: "t".into(),
            payload,
            refused: None,
        };
        let registered = Payload::DatasetRegistered {
            dataset,
            key,
            owner: Address::ZERO,
            visibility: Visibility::Public,
            license: B256::ZERO,
            metadata_uri: String::new(),
            metadata_hash: B256::ZERO,
        };
        let published = Payload::DatasetVersionPublished {
            dataset,
            version: 1,
            manifest_root: B256::ZERO,
            added: 1,
            removed: 0,
            total_rows: 1,
            license: B256::ZERO,
            manifest_ref: if number % 2 == 0 { vec![0; 33].into() } else { vec![9; 9].into() },
        };
        let decoded = vec![say(0, registered), say(1, published)];
        let folded = fold_block(&mut state, &CHRONOLOGY, &mapping(), &block(number), &[], decoded).unwrap();
        let body = Body {
            l1_origin: None,
            tx_count: 1,
            log_count: 2,
            trust: Trust::Verified,
            txs: BTreeMap::new(),
            raw_logs: Vec::new(),
            folded,
            reads: BTreeMap::new(),
        };
        let writes = state.take_writes();
        tail.append(vec![TailBlock { block: block(number), body: body.to_bytes().unwrap(), writes }]).unwrap();
    }
}

async fn sealer(dir: &std::path::Path, tail: &Arc<Tail>) -> Sealer {
    sealer_with(dir, tail, PublishLimits::default()).await
}

async fn sealer_with(dir: &std::path::Path, tail: &Arc<Tail>, limits: PublishLimits) -> Sealer {
    let lake = Lake::open(dir).await.unwrap();
    Sealer::new(Arc::clone(tail), lake, CHRONOLOGY, 0, &mapping(), &dir.join("staging"), limits)
}

async fn seal_to(dir: &std::path::Path, tail: &Arc<Tail>, last: u64) -> B256 {
    seal_to_with(dir, tail, last, PublishLimits::default()).await
}

async fn seal_to_with(dir: &std::path::Path, tail: &Arc<Tail>, last: u64, limits: PublishLimits) -> B256 {
    let archive = Archive::open(dir).unwrap();
    let clock = Arc::new(ManualClock::at(1));
    let mut fetcher = Fetcher::new(
        Finder::new(vec![Arc::new(Nobody)], Judge::default(), archive.clone()),
        Arc::clone(&clock) as _,
        2,
    );
    let mut sealer = sealer_with(dir, tail, limits).await;
    sealer.recover(&mapping(), &archive).await.unwrap();
    // Far past every deadline, so that what nobody has is declared missing.
    let finalized = BlockRef { number: 1_000_000, ..block(last) };
    while sealer.head().is_none_or(|head| head.number < last) {
        sealer.advance(&finalized, &mut fetcher).await.unwrap();
        while fetcher.settle_one().await.unwrap() {}
        clock.advance(std::time::Duration::from_secs(100));
    }
    sealer.publish(finalized.number).await.unwrap();
    Lake::open(dir).await.unwrap().latest().await.unwrap().unwrap().heads.log_root
}

#[tokio::test]
async fn however_often_it_is_published_the_state_and_the_root_are_the_same() {
    let (mut seen, mut publications) = (Vec::new(), Vec::new());
    // Blocks are sealed on the writes of a publication that is still under way when each is one of its own.
    for (blocks_max, bytes_max) in [(1, usize::MAX), (3, usize::MAX), (4096, 4096), (4096, usize::MAX)] {
        let dir = tempfile::tempdir().unwrap();
        let tail = Arc::new(Tail::open(&dir.path().join("tail"), TailOptions::default()).unwrap());
        fill(&tail, 0..14);
        let limits = PublishLimits { blocks_max, bytes_max, ..PublishLimits::default() };
        let root = seal_to_with(dir.path(), &tail, 13, limits).await;
        assert_eq!(tail.sealed(), Some(block(13)));
        let published = Lake::open(dir.path()).await.unwrap().latest().await.unwrap().unwrap().version + 1;
        publications.push(published);
        seen.push((root, tail.scan(b"").unwrap()));
    }
    assert!(seen.windows(2).all(|two| two[0] == two[1]));
    // A block is of some kilobytes.
    assert!(publications[2] > 4 && publications[3] == 1, "{publications:?}");
}

#[tokio::test]
async fn a_crash_between_publishing_and_sealing_is_mended() {
    let whole = tempfile::tempdir().unwrap();
    let other = Arc::new(Tail::open(&whole.path().join("tail"), TailOptions::default()).unwrap());
    fill(&other, 0..12);
    let expected = seal_to(whole.path(), &other, 11).await;

    // Published to block 7, but the tail stands where it did: a copy from before.
    let dir = tempfile::tempdir().unwrap();
    let tail = Arc::new(Tail::open(&dir.path().join("tail"), TailOptions::default()).unwrap());
    fill(&tail, 0..8);
    seal_to(dir.path(), &tail, 7).await;
    drop(tail);
    std::fs::remove_dir_all(dir.path().join("tail")).unwrap();
    let tail = Arc::new(Tail::open(&dir.path().join("tail"), TailOptions::default()).unwrap());
    fill(&tail, 0..12);
    assert_eq!(tail.sealed(), None);
    assert_eq!(seal_to(dir.path(), &tail, 11).await, expected);

    // Taken away altogether: built again from the tables, then the rest of the chain follows.
    drop(tail);
    std::fs::remove_dir_all(dir.path().join("tail")).unwrap();
    let tail = Arc::new(Tail::open(&dir.path().join("tail"), TailOptions::default()).unwrap());
    let archive = Archive::open(dir.path()).unwrap();
    sealer(dir.path(), &tail).await.recover(&mapping(), &archive).await.unwrap();
    assert_eq!(tail.sealed(), Some(block(11)));
    assert_eq!(tail.scan(b"").unwrap(), other.scan(b"").unwrap());
}

#[test]
fn a_block_without_the_outcome_of_its_blob_is_not_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let tail = Arc::new(Tail::open(dir.path(), TailOptions::default()).unwrap());
    fill(&tail, 0..1);
    let context = SealContext {
        chronology: CHRONOLOGY,
        log_root_origin: B256::ZERO,
        commitment_mode: Mode::Op,
        finality: "asserted".to_owned(),
        staging: dir.path().join("staging"),
        discard: false,
    };
    let body = Body::from_bytes(&tail.body(0).unwrap().unwrap()).unwrap();
    let state = TailState(Arc::clone(&tail));
    let refused =
        seal_block(&state, &context, &mut Sealed::default(), &block(0), body, (&BTreeMap::new(), &BTreeMap::new()));
    assert!(refused.unwrap_err().to_string().contains("sealing block 0"));
}
