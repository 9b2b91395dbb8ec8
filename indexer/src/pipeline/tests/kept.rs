//! A ledger by other rules from the blocks that are kept: the roots of one that asked the node.

use tributary_schemas::BlockRef;
use tributary_store::Blocks;

use super::*;
use crate::mapping::BuiltIn;
use crate::pipeline::{KeptBlocks, Reached, rebuild};
use crate::reads::PublishedReads;

/// The rules of the reference contracts and of ERC-8004: other rules than those alone, by their hash.
fn other_rules(config: IndexerConfig) -> IndexerConfig {
    let mut contracts = config.contracts.clone();
    let files = ["reference", "erc8004"].map(|name| BuiltIn::named(name).unwrap().file(&mut contracts));
    IndexerConfig { mapping: MappingChoice::Files(files.to_vec()), contracts, ..config }
}

async fn rebuilt(config: IndexerConfig, dir: &Path) -> Result<Outcome, IndexerError> {
    let tail = Arc::new(Tail::open(&dir.join("tail"), TailOptions::default()).unwrap());
    let (progress, _) = watch::channel(Progress::default());
    let (lake, archive) = (Lake::open(dir).await.unwrap(), Archive::open(dir).unwrap());
    let clock = Arc::new(ManualClock::at(1));
    Box::pin(rebuild(config, tail, lake, archive, clock, CancellationToken::new(), progress)).await
}

/// Kept blocks up to where the ledger in a folder stands, for those who build another from them.
async fn kept_for(blocks: &Arc<Blocks>, dir: &Path) -> (Reached, KeptBlocks) {
    let lake = Lake::open(dir).await.unwrap();
    let snapshot = lake.latest().await.unwrap().unwrap();
    let heads = snapshot.heads.clone();
    let block = BlockRef {
        number: heads.block_number,
        hash: heads.block_hash,
        parent_hash: Default::default(),
        timestamp: heads.block_timestamp,
    };
    let sealed = Reached { block, finality: heads.finality };
    let reads = PublishedReads::new(lake, snapshot);
    (sealed.clone(), KeptBlocks::Read { blocks: Arc::clone(blocks), sealed, reads })
}

fn roots(rows: Vec<BlockRow>) -> BTreeMap<i64, (String, String, String)> {
    rows.into_iter().map(|row| (row.number, (row.hash, row.log_root, row.finality))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_rules_need_no_node_where_blocks_are_kept() {
    // Blocks are taken back and come again while they are kept.
    let (devnet, last) = start(devnet_config(8, &[Fault::Reorg, Fault::LowerHead])).await;
    let (first, straight) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let blocks = Arc::new(Blocks::new(first.path()));
    let keeping = KeptBlocks::Written { blocks: Arc::clone(&blocks), keep: true };
    // In two runs, as a node that was restarted.
    for until in [last / 2, last] {
        let config = IndexerConfig { kept: keeping.clone(), ..config(&devnet, first.path(), Until::Final(until)) };
        try_index(config, first.path()).await.unwrap();
    }
    assert_eq!(blocks.first_absent(0, last).unwrap(), None);
    let wanted = try_index(other_rules(config(&devnet, straight.path(), Until::Final(last))), straight.path()).await;
    let wanted = wanted.unwrap();
    let (sealed, kept) = kept_for(&blocks, first.path()).await;
    assert_eq!(sealed.block.number, last);

    let second = tempfile::tempdir().unwrap();
    let reading = || IndexerConfig {
        kept: kept.clone(),
        l2: Vec::new(),
        ..other_rules(config(&devnet, second.path(), Until::Final(last)))
    };
    let built = rebuilt(reading(), second.path()).await.unwrap();
    assert_eq!((built.sealed, built.log_root), (wanted.sealed, wanted.log_root), "{:?}", built.progress);
    assert_eq!(roots(read(second.path()).await), roots(read(straight.path()).await));
    // Once more: there is nothing left to do.
    assert_eq!(rebuilt(reading(), second.path()).await.unwrap().log_root, wanted.log_root);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_is_not_kept_is_named_and_a_node_gives_it() {
    let chain = devnet_config(8, &[]);
    let head = chain.decided_at();
    let devnet = Devnet::start(chain).await.unwrap();
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let blocks = Arc::new(Blocks::new(first.path()));
    let keeping = |keep| KeptBlocks::Written { blocks: Arc::clone(&blocks), keep };
    for (head, keep) in [(head / 2, true), (head, false)] {
        devnet.mine_to(head);
        let until = Until::Final(devnet.finalized());
        let config = IndexerConfig { kept: keeping(keep), ..config(&devnet, first.path(), until) };
        try_index(config, first.path()).await.unwrap();
    }
    let last = devnet.finalized();
    let absent = blocks.first_absent(0, last).unwrap().unwrap();
    assert!(absent > 0 && absent <= head / 2 + 1, "{absent}");
    let (_, kept) = kept_for(&blocks, first.path()).await;
    let reading =
        || IndexerConfig { kept: kept.clone(), ..other_rules(config(&devnet, second.path(), Until::Final(last))) };
    let said = rebuilt(reading(), second.path()).await.unwrap_err().to_string();
    assert!(said.contains(&format!("block {absent} is not kept")) && said.contains("raw_blocks"), "{said}");
    let built = try_index(reading(), second.path()).await.unwrap();
    let straight = tempfile::tempdir().unwrap();
    let wanted = try_index(other_rules(config(&devnet, straight.path(), Until::Final(last))), straight.path()).await;
    assert_eq!(built.log_root, wanted.unwrap().log_root);
    let status = read_status(second.path()).unwrap().unwrap();
    assert_eq!(status.counters["kept_blocks"], absent);
    assert!(status.counters["blocks"] > last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_and_a_spoilt_block_cost_themselves_and_no_other_block() {
    let chain = devnet_config(8, &[]);
    let head = chain.decided_at();
    let devnet = Devnet::start(chain).await.unwrap();
    let (first, second, straight) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let blocks = Arc::new(Blocks::new(first.path()));
    for (head, keep) in [(head / 3, true), (head / 2, false), (head, true)] {
        devnet.mine_to(head);
        let kept = KeptBlocks::Written { blocks: Arc::clone(&blocks), keep };
        let config = IndexerConfig { kept, ..config(&devnet, first.path(), Until::Final(devnet.finalized())) };
        try_index(config, first.path()).await.unwrap();
    }
    let last = devnet.finalized();
    let gap = blocks.first_absent(0, last).unwrap().unwrap();
    let after = blocks.first_kept(gap, last).unwrap().unwrap();
    assert!(0 < gap && gap < after && blocks.first_absent(after, last).unwrap().is_none(), "{gap} to {after}");
    let file = first.path().join(format!("blocks/{:020}.bin", 0));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&file, bytes).unwrap();

    let (_, kept) = kept_for(&blocks, first.path()).await;
    let config_of = |dir: &Path| other_rules(config(&devnet, dir, Until::Final(last)));
    let built = try_index(IndexerConfig { kept, ..config_of(second.path()) }, second.path()).await.unwrap();
    let wanted = try_index(config_of(straight.path()), straight.path()).await.unwrap();
    assert_eq!((built.sealed, built.log_root), (wanted.sealed, wanted.log_root));
    let read_back = read_status(second.path()).unwrap().unwrap().counters["kept_blocks"];
    assert_eq!(read_back, last + 1 - (after - gap) - 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_of_another_chain_are_left_alone() {
    let (devnet, last) = start(devnet_config(8, &[])).await;
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let blocks = Arc::new(Blocks::new(first.path()));
    let kept = KeptBlocks::Written { blocks: Arc::clone(&blocks), keep: true };
    try_index(IndexerConfig { kept, ..config(&devnet, first.path(), Until::Final(last)) }, first.path()).await.unwrap();
    let (_, mut kept) = kept_for(&blocks, first.path()).await;
    let KeptBlocks::Read { sealed, .. } = &mut kept else { panic!("{kept:?}") };
    sealed.block.hash = Default::default();
    let config = IndexerConfig { kept, ..other_rules(config(&devnet, second.path(), Until::Final(last))) };
    let built = try_index(config, second.path()).await.unwrap();
    assert_eq!(built.sealed.map(|block| block.number), Some(last));
    assert!(!read_status(second.path()).unwrap().unwrap().counters.contains_key("kept_blocks"));
}
