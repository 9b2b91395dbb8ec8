//! The embedded network with its faults switched on, one by one and all at once.

use std::collections::BTreeSet;
use tributary_devnet::{Devnet, DevnetConfig, Fault, L2_CHAIN_ID};

use super::*;

const BLOCKS: u64 = 60;

async fn network(seed: u64, faults: &[Fault]) -> Devnet {
    let faults: BTreeSet<Fault> = faults.iter().copied().collect();
    let config = DevnetConfig { seed, faults, finalized_lag: 20, safe_lag: 5, ..DevnetConfig::default() };
    Devnet::start(config).await.unwrap()
}

fn patient() -> EndpointOptions {
    EndpointOptions { response_bytes_max: 8 << 20, attempts_max: 12, ..EndpointOptions::default() }
}

/// Grows the chain while it is followed, in small steps, and compares the ledger with the truth at the end.
async fn check(faults: &[Fault], websocket: bool) -> (Ledger, Devnet) {
    let network = network(11, faults).await;
    let url = if websocket { network.l2_ws() } else { network.l2_http() };
    let mut ledger = Ledger::default();
    let (mut follower, pool) = follower_of(L2_CHAIN_ID, &[&url], &ledger, options(), patient());
    while network.head().0 < BLOCKS {
        network.advance(4);
        settle(&mut follower, &mut ledger).await.unwrap_or_else(|error| panic!("{faults:?}: {error}"));
    }
    network.heal();
    for _ in 0..100 {
        settle(&mut follower, &mut ledger).await.unwrap();
        if ledger.head().unwrap().unwrap().hash == network.head().1 {
            break;
        }
    }
    compare(&ledger, &network, faults);
    assert_eq!(ledger.finalized().unwrap().number, network.finalized());
    assert_eq!(pool.health()[0].lies, 0, "{:?}", pool.health());
    (ledger, network)
}

fn compare(ledger: &Ledger, network: &Devnet, faults: &[Fault]) {
    let blocks = ledger.blocks();
    assert_eq!(blocks.last().unwrap().block.hash, network.head().1, "{faults:?}");
    for block in blocks {
        let truth = network.block(block.block.number).unwrap();
        assert_eq!(block.header, truth.header);
        let logs: Vec<_> = truth.entries.iter().flat_map(|entry| &entry.logs).collect();
        assert_eq!(block.logs.len(), logs.len());
        for (ours, theirs) in block.logs.iter().zip(logs) {
            assert_eq!((ours.address, &*ours.topics, &ours.data), (theirs.address, theirs.topics(), &theirs.data.data));
        }
        // The genesis block has no deposit.
        assert_eq!(block.l1_origin.is_some(), block.block.number > 0);
        for (ours, theirs) in block.transactions.iter().zip(&truth.entries) {
            assert_eq!((ours.hash, ours.success), (theirs.hash(), theirs.success));
        }
    }
}

#[tokio::test]
async fn the_chain_is_followed_over_http_and_websocket() {
    let (ledger, _) = check(&[], false).await;
    assert_eq!(ledger.unwinds(), []);
    assert!(ledger.blocks().iter().map(|block| block.logs.len()).sum::<usize>() > 100);
    check(&[], true).await;
}

#[tokio::test]
async fn forks_are_followed_and_left() {
    for fault in [Fault::Reorg, Fault::LowerHead, Fault::SameHeight] {
        let (ledger, network) = check(&[fault], false).await;
        assert_eq!(ledger.unwinds().is_empty(), fault == Fault::LowerHead, "{fault}");
        assert_eq!(network.forks_shown() == 0, fault == Fault::LowerHead, "{fault}");
    }
}

#[tokio::test]
async fn a_bad_network_is_survived() {
    for fault in
        [Fault::Slow, Fault::TooManyRequests, Fault::Drop, Fault::NullBlock, Fault::TruncatedJson, Fault::Oversized]
    {
        check(&[fault], false).await;
        check(&[fault], true).await;
    }
}

#[tokio::test]
async fn without_block_receipts_they_are_asked_for_in_batches() {
    for websocket in [false, true] {
        let (ledger, _) = check(&[Fault::NoBlockReceipts], websocket).await;
        assert!(ledger.blocks().iter().map(|block| block.logs.len()).sum::<usize>() > 100);
        check(&[Fault::NoBlockReceipts, Fault::Reorg, Fault::TooManyRequests, Fault::Drop], websocket).await;
    }
}

#[tokio::test]
async fn all_faults_of_an_honest_node_at_once() {
    let honest = [
        Fault::Reorg,
        Fault::LowerHead,
        Fault::SameHeight,
        Fault::Slow,
        Fault::TooManyRequests,
        Fault::Drop,
        Fault::NullBlock,
        Fault::TruncatedJson,
        Fault::Oversized,
    ];
    check(&honest, false).await;
    check(&honest, true).await;
}

#[tokio::test]
async fn a_log_left_out_or_altered_is_a_lie_and_nothing_of_the_block_is_stored() {
    for fault in [Fault::OmittedLog, Fault::AlteredLog] {
        let network = network(11, &[fault]).await;
        network.mine_to(200);
        let mut ledger = Ledger::default();
        let (mut follower, pool) = follower_of(L2_CHAIN_ID, &[&network.l2_http()], &ledger, options(), patient());
        let error = settle(&mut follower, &mut ledger).await.unwrap_err();
        let next = ledger.head().unwrap().map_or(0, |head| head.number + 1);
        let text = error.to_string();
        assert!(text.contains(&format!("lies about block {next} ")), "{fault}: {text}");
        assert!(text.contains("receipts: root expected 0x"), "{fault}: {text}");
        assert_eq!(pool.health()[0].state, EndpointState::Quarantined);
        // With an honest node beside the liar the chain is followed on.
        let honest = devnet::network(11, &[]).await;
        honest.mine_to(200);
        let urls = [network.l2_http(), honest.l2_http()];
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        let (mut both, pool) = follower_of(L2_CHAIN_ID, &urls, &ledger, options(), patient());
        settle(&mut both, &mut ledger).await.unwrap();
        compare(&ledger, &honest, &[fault]);
        assert_eq!(pool.health()[0].state, EndpointState::Quarantined);
        assert_eq!(pool.health()[1].state, EndpointState::Up);
    }
}

#[tokio::test]
async fn a_fork_while_the_process_is_down_is_found_by_the_next() {
    let network = network(5, &[]).await;
    network.mine_to(40);
    network.fork(15, 0).unwrap();
    let mut ledger = Ledger::default();
    let (mut first, _) = follower_of(L2_CHAIN_ID, &[&network.l2_http()], &ledger, options(), patient());
    while network.forked() {
        assert_eq!(first.advance(&mut ledger).await.unwrap(), Round::Moved);
    }
    drop(first);
    network.advance(3);
    let (mut second, _) = follower_of(L2_CHAIN_ID, &[&network.l2_http()], &ledger, options(), patient());
    settle(&mut second, &mut ledger).await.unwrap();
    assert_eq!(ledger.unwinds(), [(40, 25)]);
    compare(&ledger, &network, &[]);
}

/// Heads are announced, not only polled: the clock of this test never runs.
#[tokio::test]
async fn a_head_announced_over_websocket_wakes_the_follower() {
    #[derive(Debug)]
    struct Stopped;
    #[async_trait::async_trait]
    impl Clock for Stopped {
        fn now_ms(&self) -> u64 {
            1_750_000_000_000
        }
        async fn sleep(&self, _: Duration) {
            std::future::pending::<()>().await;
        }
    }
    let network = network(3, &[]).await;
    network.mine_to(5);
    let urls = [network.l2_ws().parse().unwrap()];
    let clock: Arc<dyn Clock> = Arc::new(Stopped);
    let pool = Arc::new(Pool::new(&urls, L2_CHAIN_ID, patient(), Arc::clone(&clock)).unwrap());
    let mut ledger = Ledger::default();
    let until = FollowOptions { until: Until::Final(60), ..options() };
    let stop = CancellationToken::new();
    let mut follower = Follower::new(pool, &patient(), ledger.clone(), clock, until, stop).unwrap();
    let seen = ledger.clone();
    let mine = async {
        // Only once the follower stands at the head, and has nothing but the announcement to go on.
        for number in (5..80).step_by(5) {
            while seen.head().unwrap().is_none_or(|head| head.number < number) {
                tokio::task::yield_now().await;
            }
            network.mine_to(number + 5);
        }
    };
    let (followed, ()) = tokio::join!(follower.run(&mut ledger), mine);
    followed.unwrap();
    assert_eq!(ledger.finalized().unwrap().number, 60);
}
