//! Chains that fork in every way, nodes that misbehave in every way; the chain the steps make is the canonical one.

mod devnet;
mod ledger;
mod misbehaviour;
mod scripted;

use super::*;
use crate::{Finality, clock::ManualClock, endpoint::EndpointState};
use ledger::Ledger;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use scripted::{Manners, Script, Scripted, View, branch};

const CHAIN_ID: u64 = 1612;

fn quick() -> EndpointOptions {
    EndpointOptions {
        deadline: Duration::from_millis(300),
        response_bytes_max: 1 << 20,
        attempts_max: 5,
        ..EndpointOptions::default()
    }
}

fn options() -> FollowOptions {
    FollowOptions { step_blocks_max: 7, fetches_max: 4, verify_threads: 1, ..FollowOptions::default() }
}

fn follower(urls: &[&str], ledger: &Ledger, options: FollowOptions) -> (Follower<Ledger>, Arc<Pool>) {
    follower_of(CHAIN_ID, urls, ledger, options, quick())
}

fn follower_of(
    chain_id: u64,
    urls: &[&str],
    ledger: &Ledger,
    options: FollowOptions,
    endpoint: EndpointOptions,
) -> (Follower<Ledger>, Arc<Pool>) {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(1_750_000_000_000));
    let urls: Vec<_> = urls.iter().map(|url| url.parse().unwrap()).collect();
    let pool = Arc::new(Pool::new(&urls, chain_id, endpoint.clone(), Arc::clone(&clock)).unwrap());
    let stop = CancellationToken::new();
    let follower = Follower::new(Arc::clone(&pool), &endpoint, ledger.clone(), clock, options, stop).unwrap();
    (follower, pool)
}

fn view(chain: &[alloy::consensus::Header], finalized: usize) -> View {
    View::new(chain, finalized)
}

fn script(views: impl IntoIterator<Item = View>) -> Script {
    Script { views: views.into_iter().collect(), chain_id: CHAIN_ID, ..Script::default() }
}

fn expected(chain: &[alloy::consensus::Header]) -> Vec<(u64, alloy_primitives::B256)> {
    chain.iter().map(|header| (header.number, header.hash_slow())).collect()
}

/// Rounds until the ledger stands at the node's head; errors that say so are retried.
async fn settle(follower: &mut Follower<Ledger>, ledger: &mut Ledger) -> Result<(), IndexerError> {
    for _ in 0..200 {
        match follower.advance(ledger).await {
            Ok(Round::AtHead | Round::Done) => return Ok(()),
            Ok(Round::Moved) => {}
            Err(error) if error.remedy() == Remedy::Halt => return Err(error),
            Err(_) => {}
        }
    }
    panic!("did not settle");
}

/// Each view in its turn, settled; then the ledger is the view's chain.
async fn check(views: Vec<View>, unwinds: &[(u64, u64)]) {
    let node = Scripted::start(script([])).await;
    let mut ledger = Ledger::default();
    let (mut follower, _) = follower(&[&node.url], &ledger, options());
    for view in views {
        node.with(|script| script.views = [view.clone()].into());
        settle(&mut follower, &mut ledger).await.unwrap();
        assert_eq!(ledger.hashes(), expected(&view.chain));
        assert_eq!(ledger.finalized().map(|block| block.number), Some(view.finalized as u64));
    }
    assert_eq!(ledger.unwinds(), unwinds);
}

#[tokio::test]
async fn a_chain_is_followed_and_a_fork_undone() {
    let one = branch(&[], 0, 30, 0);
    let two = branch(&one, 20, 35, 1);
    check(vec![view(&one[..5], 0), view(&one, 3), view(&two, 9), view(&two, 30)], &[(29, 19)]).await;
}

#[tokio::test]
async fn a_block_replaced_at_the_same_number_is_a_reorg() {
    let one = branch(&[], 0, 12, 0);
    check(vec![view(&one, 2), view(&branch(&one, 11, 12, 1), 2)], &[(11, 10)]).await;
}

#[tokio::test]
async fn a_fork_with_a_lower_head_is_a_reorg_too() {
    let one = branch(&[], 0, 40, 0);
    let two = branch(&one, 8, 20, 1);
    check(vec![view(&one, 2), view(&two, 2)], &[(39, 7)]).await;
}

#[tokio::test]
async fn a_lower_head_alone_is_no_reorg() {
    let one = branch(&[], 0, 40, 0);
    let node = Scripted::start(script([view(&one, 5)])).await;
    let mut ledger = Ledger::default();
    let (mut follower, _) = follower(&[&node.url], &ledger, options());
    settle(&mut follower, &mut ledger).await.unwrap();
    for lag in [1, 2, 20, 35] {
        node.with(|script| script.views = [view(&one[..40 - lag], 5)].into());
        assert_eq!(follower.advance(&mut ledger).await.unwrap(), Round::AtHead);
    }
    assert_eq!(ledger.hashes(), expected(&one));
    assert_eq!(ledger.unwinds(), []);
}

#[tokio::test]
async fn depth_is_no_constant_and_costs_few_questions_to_find() {
    let one = branch(&[], 0, 3_000, 0);
    let two = branch(&one, 11, 3_001, 1);
    let node = Scripted::start(script([view(&one, 10)])).await;
    let mut ledger = Ledger::default();
    let (mut first, _) = follower(&[&node.url], &ledger, FollowOptions { fetches_max: 32, ..options() });
    settle(&mut first, &mut ledger).await.unwrap();
    // The whole window goes while nobody looks, and the process is a new one.
    node.with(|script| {
        script.views = [view(&two, 10)].into();
        script.requests.clear();
    });
    let (mut second, _) = follower(&[&node.url], &ledger, options());
    assert_eq!(second.advance(&mut ledger).await.unwrap(), Round::Moved);
    assert_eq!(ledger.unwinds(), [(2_999, 10)]);
    // One header each to check the links, and some thirty to find the place.
    let asked = node.with(|script| script.requests.len());
    assert!((2_988..3_040).contains(&asked), "{asked}");
    settle(&mut second, &mut ledger).await.unwrap();
    assert_eq!(ledger.hashes(), expected(&two));
}

#[tokio::test]
async fn everything_may_go_when_nothing_is_final() {
    let one = branch(&[], 0, 10, 0);
    let other = branch(&one, 4, 12, 1);
    let node = Scripted::start(script([view(&one, 99)])).await;
    let mut ledger = Ledger::default();
    let (mut follower, _) = follower(&[&node.url], &ledger, FollowOptions { start_block: 6, ..options() });
    settle(&mut follower, &mut ledger).await.unwrap();
    node.with(|script| script.views = [view(&other, 99)].into());
    settle(&mut follower, &mut ledger).await.unwrap();
    assert_eq!(ledger.unwinds(), [(9, 5)]);
    assert_eq!(ledger.hashes(), expected(&other[6..]));
}

#[tokio::test]
async fn an_endpoint_that_contradicts_what_is_final_is_refused() {
    let one = branch(&[], 0, 20, 0);
    for (shared, length) in [(5, 30), (10, 11), (5, 20), (0, 8)] {
        let node = Scripted::start(script([view(&one, 10)])).await;
        let mut ledger = Ledger::default();
        let (mut follower, pool) = follower(&[&node.url], &ledger, options());
        settle(&mut follower, &mut ledger).await.unwrap();
        node.with(|script| script.views = [view(&branch(&one, shared, length, 1), 3)].into());
        let error = settle(&mut follower, &mut ledger).await.unwrap_err();
        assert!(matches!(error, IndexerError::NoEndpoint { .. }), "{error}");
        assert!(error.to_string().contains("contradicts finalised block"), "{error}");
        assert_eq!(pool.health()[0].state, EndpointState::Quarantined);
        assert_eq!(ledger.hashes(), expected(&one));
        assert_eq!(ledger.unwinds(), []);
    }
}

#[tokio::test]
async fn with_several_endpoints_a_quorum_says_what_is_final() {
    let one = branch(&[], 0, 20, 0);
    let nodes = [
        Scripted::start_at(1, script([view(&one, 15)])).await,
        Scripted::start_at(2, script([view(&one, 9)])).await,
        Scripted::start_at(3, script([view(&one[..8], 4)])).await,
    ];
    let urls: Vec<&str> = nodes.iter().map(|node| node.url.as_str()).collect();
    let mut ledger = Ledger::default();
    let (mut follower, pool) = follower(&urls, &ledger, options());
    settle(&mut follower, &mut ledger).await.unwrap();
    assert_eq!(ledger.finalized().unwrap().number, 9);
    assert_eq!(ledger.seen().finality, Finality::Quorum);
    // The third comes up to the others on a fork of its own, and calls it final: two against one.
    nodes[2].with(|script| script.views = [view(&branch(&one, 12, 20, 1), 15)].into());
    nodes[1].with(|script| script.views = [view(&one, 16)].into());
    settle(&mut follower, &mut ledger).await.unwrap();
    assert_eq!(ledger.finalized().unwrap().number, 15);
    let states: Vec<_> = pool.health().into_iter().map(|health| health.state).collect();
    assert_eq!(states, [EndpointState::Up, EndpointState::Up, EndpointState::Quarantined]);
}

#[tokio::test]
async fn bad_manners_are_survived() {
    let one = branch(&[], 0, 12, 0);
    let bad = [
        ("eth_chainId", Manners::Status(503, None)),
        ("latest", Manners::Status(429, None)),
        ("latest", Manners::Status(429, Some(7))),
        ("latest", Manners::Cut),
        ("safe", Manners::Status(500, None)),
        ("finalized", Manners::Huge(2 << 20)),
        ("0x1\"", Manners::Null),
        ("Receipts", Manners::Null),
        ("Receipts", Manners::Cut),
        ("0x9", Manners::Hang),
        ("Receipts", Manners::Status(429, None)),
    ];
    let node = Scripted::start(Script { manners: bad.into(), ..script([view(&one, 3)]) }).await;
    let mut ledger = Ledger::default();
    let (mut follower, pool) = follower(&[&node.url], &ledger, options());
    settle(&mut follower, &mut ledger).await.unwrap();
    assert_eq!(ledger.hashes(), expected(&one));
    let health = &pool.health()[0];
    assert_eq!(node.with(|script| script.manners.len()), 0);
    assert_eq!((health.state, health.limited, health.lies), (EndpointState::Up, 3, 0));
    assert!(!health.name.contains("some-key"));
}

#[tokio::test]
async fn a_node_that_never_answers_is_given_up_and_another_asked() {
    let one = branch(&[], 0, 6, 0);
    let silent = Script { manners: std::iter::repeat_n(("", Manners::Hang), 60).collect(), ..script([view(&one, 3)]) };
    let nodes = [Scripted::start(silent).await, Scripted::start(script([view(&one, 3)])).await];
    let mut ledger = Ledger::default();
    let endpoint = EndpointOptions { deadline: Duration::from_millis(30), ..quick() };
    let urls = [nodes[0].url.as_str(), nodes[1].url.as_str()];
    let (mut follower, pool) = follower_of(CHAIN_ID, &urls, &ledger, options(), endpoint);
    settle(&mut follower, &mut ledger).await.unwrap();
    assert_eq!(ledger.hashes(), expected(&one));
    assert_eq!(pool.health()[0].state, EndpointState::Failing);
    assert!(pool.health()[0].reason.as_deref().unwrap().contains("no answer within 30 ms"));
}

#[tokio::test]
async fn a_wrong_chain_is_refused() {
    let one = branch(&[], 0, 6, 0);
    let node = Scripted::start(Script { chain_id: 7, ..script([view(&one, 3)]) }).await;
    let mut ledger = Ledger::default();
    let (mut follower, _) = follower(&[&node.url], &ledger, options());
    let error = settle(&mut follower, &mut ledger).await.unwrap_err();
    assert!(error.to_string().contains("chain id expected 1612, got 7"), "{error}");
    assert_eq!(ledger.hashes(), []);
}

#[tokio::test]
async fn one_damaged_answer_is_asked_again_and_a_second_is_a_lie() {
    let one = branch(&[], 0, 6, 0);
    let damaged = || ("0x3\"", Manners::Replaced("0x68".to_owned(), "0x67".to_owned()));
    for (count, ends_well) in [(1, true), (2, false)] {
        let manners = std::iter::repeat_with(damaged).take(count).collect();
        let node = Scripted::start(Script { manners, ..script([view(&one, 1)]) }).await;
        let mut ledger = Ledger::default();
        let (mut follower, pool) = follower(&[&node.url], &ledger, options());
        let result = settle(&mut follower, &mut ledger).await;
        assert_eq!(result.is_ok(), ends_well);
        assert_eq!(pool.health()[0].lies, count as u64);
        if let Err(error) = result {
            let text = error.to_string();
            assert!(text.contains("lies about block 3") && text.contains("hash of the fields"), "{text}");
            assert_eq!(ledger.hashes(), expected(&one[..3]));
        }
    }
}

#[tokio::test]
async fn blocks_that_do_not_follow_each_other_are_never_stored() {
    let one = branch(&[], 0, 12, 0);
    let mut torn = one.clone();
    torn[6] = branch(&one, 4, 12, 1)[6].clone();
    let node = Scripted::start(script([view(&torn, 0)])).await;
    let mut ledger = Ledger::default();
    let (mut follower, _) = follower(&[&node.url], &ledger, options());
    let error = settle(&mut follower, &mut ledger).await.unwrap_err();
    assert!(error.to_string().contains("do not follow each other"), "{error}");
    assert_eq!(ledger.hashes(), expected(&one[..6]));
}

#[tokio::test]
async fn following_ends_when_told_and_when_there() {
    let one = branch(&[], 0, 30, 0);
    let node = Scripted::start(script([view(&one, 12)])).await;
    let mut ledger = Ledger::default();
    let (mut there, _) = follower(&[&node.url], &ledger, FollowOptions { until: Until::FinalNow, ..options() });
    there.run(&mut ledger).await.unwrap();
    assert_eq!(ledger.finalized().unwrap().number, 12);
    let (mut told, _) = follower(&[&node.url], &ledger, options());
    told.stop.cancel();
    told.run(&mut ledger).await.unwrap();
}

/// Random trees of forks, a view of another branch with every look, restarts between: what is left in the end is the
/// chain shown last, and no step broke a link or undid a final block (the ledger checks).
#[tokio::test]
async fn any_schedule_of_forks_folds_to_the_last_chain() {
    for seed in 0..40 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut chain = branch(&[], 0, random.random_range(3..12), 0);
        let mut finalized = random.random_range(0..chain.len());
        let mut views = vec![view(&chain, finalized)];
        for mark in 1..random.random_range(3..25) {
            let shared = random.random_range(finalized + 1..=chain.len());
            let length = random.random_range(shared..shared + 14);
            chain = branch(&chain, shared, length, mark);
            finalized = random.random_range(finalized..chain.len());
            views.push(view(&chain, finalized));
        }
        let node = Scripted::start(Script { moves: true, ..script(views) }).await;
        let mut ledger = Ledger::default();
        while node.with(|script| script.views.len()) > 1 {
            let (mut follower, _) = follower(&[&node.url], &ledger, options());
            for _ in 0..random.random_range(1..6) {
                if let Err(error) = follower.advance(&mut ledger).await {
                    assert_eq!(error.remedy(), Remedy::Retry, "seed {seed}: {error}");
                }
            }
        }
        let (mut follower, _) = follower(&[&node.url], &ledger, options());
        settle(&mut follower, &mut ledger).await.unwrap();
        assert_eq!(ledger.hashes(), expected(&chain), "seed {seed}");
        assert_eq!(ledger.finalized().unwrap().number, finalized as u64, "seed {seed}");
    }
}
