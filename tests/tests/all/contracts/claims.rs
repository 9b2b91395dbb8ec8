//! Money out: proven claims against the current root, each wei once.

use alloy::primitives::{Address, B256, U256};
use alloy::providers::Provider;
use alloy::providers::ext::AnvilApi;
use alloy::sol_types::SolError;
use tributary_tests::suite::RewardVault;

use super::{NATIVE, Tree, World, refusal, reverted, said, sent};

const ALICE: Address = Address::repeat_byte(0xa1);
const BOB: Address = Address::repeat_byte(0xb0);

/// A vault that holds 1,000 wei and 5,000 tokens.
async fn funded() -> World {
    let world = World::new().await;
    let payer = world.people[0];
    world.pay(payer, 1_000).await;
    world.fund(payer, 5_000).await;
    let call = world.suite.vault.payToken(*world.token.address(), B256::ZERO, U256::from(5_000), B256::ZERO);
    sent(call.from(payer)).await;
    world
}

/// Claims entry `claim` of the tree by way of a stranger and returns the event.
async fn claimed(world: &World, tree: &Tree, claim: usize) -> RewardVault::RewardClaimed {
    let (account, token, cumulative) = tree.claims[claim];
    let call = world.suite.vault.claim(account, token, cumulative, tree.proof(claim));
    said(&sent(call.from(world.people[3])).await)
}

#[tokio::test]
async fn claims_pay_what_two_cumulative_roots_add() {
    let world = funded().await;
    let (vault, token) = (&world.suite.vault, *world.token.address());
    let first = Tree::new(&[(ALICE, NATIVE, 100), (ALICE, token, 300), (BOB, NATIVE, 50)]);
    let paid = |epoch, account, token, amount: u64| RewardVault::RewardClaimed {
        epoch,
        account,
        token,
        amount: U256::from(amount),
    };
    world.publish(3, &first).await;
    assert_eq!(claimed(&world, &first, 0).await, paid(3, ALICE, NATIVE, 100));
    assert_eq!(
        world.provider.get_balance(ALICE).await.unwrap(),
        U256::from(100),
        "the account is paid, not the caller"
    );

    let second = Tree::new(&[(ALICE, NATIVE, 250), (ALICE, token, 300), (BOB, NATIVE, 60)]);
    world.publish(4, &second).await;
    assert_eq!(claimed(&world, &second, 0).await, paid(4, ALICE, NATIVE, 150));
    assert_eq!(claimed(&world, &second, 1).await, paid(4, ALICE, token, 300));
    assert_eq!(claimed(&world, &second, 2).await, paid(4, BOB, NATIVE, 60));

    assert_eq!(world.provider.get_balance(ALICE).await.unwrap(), U256::from(250));
    assert_eq!(world.provider.get_balance(BOB).await.unwrap(), U256::from(60));
    assert_eq!(world.token.balanceOf(ALICE).call().await.unwrap(), U256::from(300));
    assert_eq!(vault.claimedTotal(NATIVE).call().await.unwrap(), U256::from(310));
    assert_eq!(vault.escrowed(NATIVE).call().await.unwrap(), U256::from(690));
}

#[tokio::test]
async fn a_second_claim_is_refused() {
    let world = funded().await;
    let tree = Tree::new(&[(ALICE, NATIVE, 100), (BOB, NATIVE, 50)]);
    world.publish(0, &tree).await;
    claimed(&world, &tree, 0).await;
    let again = || world.suite.vault.claim(ALICE, NATIVE, U256::from(100), tree.proof(0)).from(world.people[3]);
    assert_eq!(refusal(again()).await, RewardVault::NothingToClaim::SELECTOR);
    reverted(again()).await;
    assert_eq!(world.provider.get_balance(ALICE).await.unwrap(), U256::from(100));

    // The same cumulative amount under the next root is nothing new either.
    let next = Tree::new(&[(ALICE, NATIVE, 100), (BOB, NATIVE, 70)]);
    world.publish(1, &next).await;
    let under_next = world.suite.vault.claim(ALICE, NATIVE, U256::from(100), next.proof(0));
    assert_eq!(refusal(under_next.from(ALICE)).await, RewardVault::NothingToClaim::SELECTOR);
}

#[tokio::test]
async fn a_wrong_proof_is_refused() {
    let world = funded().await;
    let (vault, caller, token) = (&world.suite.vault, world.people[3], *world.token.address());
    let tree = Tree::new(&[(ALICE, NATIVE, 100), (BOB, NATIVE, 50), (BOB, token, 70)]);
    let claim = |account, token, sum: u64, proof| vault.claim(account, token, U256::from(sum), proof).from(caller);
    let before = refusal(claim(ALICE, NATIVE, 100, tree.proof(0))).await;
    world.publish(0, &tree).await;

    let mut longer = tree.proof(0);
    longer.push(B256::repeat_byte(1));
    let mut flipped = tree.proof(0);
    flipped[0].0[31] ^= 1;
    let cases = [
        ("before any root", before),
        ("another's proof", refusal(claim(ALICE, NATIVE, 100, tree.proof(1))).await),
        ("a larger amount", refusal(claim(ALICE, NATIVE, 101, tree.proof(0))).await),
        ("another account", refusal(claim(caller, NATIVE, 100, tree.proof(0))).await),
        ("another token", refusal(claim(ALICE, token, 100, tree.proof(0))).await),
        ("no proof", refusal(claim(ALICE, NATIVE, 100, Vec::new())).await),
        ("a sibling short", refusal(claim(ALICE, NATIVE, 100, tree.proof(0)[1..].to_vec())).await),
        ("a sibling more", refusal(claim(ALICE, NATIVE, 100, longer)).await),
        ("one bit flipped", refusal(claim(ALICE, NATIVE, 100, flipped)).await),
    ];
    for (name, got) in cases {
        assert_eq!(got, RewardVault::WrongProof::SELECTOR, "{name}");
    }
    claimed(&world, &tree, 0).await;
}

#[tokio::test]
async fn a_proof_against_another_root_is_refused() {
    let world = funded().await;
    let vault = &world.suite.vault;
    let old = Tree::new(&[(ALICE, NATIVE, 100), (BOB, NATIVE, 50)]);
    let new = Tree::new(&[(ALICE, NATIVE, 120), (BOB, NATIVE, 50)]);
    world.publish(0, &old).await;
    let ahead = vault.claim(ALICE, NATIVE, U256::from(120), new.proof(0)).from(BOB);
    assert_eq!(refusal(ahead).await, RewardVault::WrongProof::SELECTOR);
    world.publish(1, &new).await;
    let stale = vault.claim(ALICE, NATIVE, U256::from(100), old.proof(0)).from(BOB);
    assert_eq!(refusal(stale).await, RewardVault::WrongProof::SELECTOR);
    claimed(&world, &new, 0).await;
}

#[tokio::test]
async fn a_root_must_be_covered() {
    let world = funded().await;
    let (vault, admin, staker) = (&world.suite.vault, world.suite.admin, world.people[1]);
    let token = *world.token.address();
    // Stake is in the vault's balance, but owed to stakers.
    sent(vault.stake(B256::ZERO, U256::from(500)).from(staker).value(U256::from(500))).await;
    let publish = |epoch, last_block, tokens: &[Address], totals: &[u64]| {
        let totals = totals.iter().copied().map(U256::from).collect();
        vault.publishEpoch(epoch, last_block, B256::ZERO, B256::repeat_byte(2), tokens.to_vec(), totals).from(admin)
    };
    let block = world.block_number().await;
    let insolvent = RewardVault::Insolvent::SELECTOR;
    assert_eq!(refusal(publish(0, block - 1, &[NATIVE], &[1_001])).await, insolvent);
    assert_eq!(refusal(publish(0, block - 1, &[NATIVE, token], &[1_000, 5_001])).await, insolvent);

    let tree = Tree::new(&[(ALICE, NATIVE, 600), (BOB, NATIVE, 400)]);
    world.publish(0, &tree).await;
    claimed(&world, &tree, 0).await;
    // 400 wei are left, all of them owed; 600 have been paid.
    let block = world.block_number().await;
    assert_eq!(refusal(publish(1, block - 1, &[NATIVE], &[1_001])).await, insolvent);
    assert_eq!(refusal(publish(1, block - 1, &[NATIVE], &[999])).await, RewardVault::TotalDecreased::SELECTOR);
    world.pay(world.people[0], 1).await;
    sent(publish(1, block, &[NATIVE], &[1_001])).await;
    assert_eq!(vault.publishedTotal(NATIVE).call().await.unwrap(), U256::from(1_001));
}

#[tokio::test]
async fn a_root_that_grants_more_than_its_total_pays_no_more() {
    let world = funded().await;
    let (vault, admin) = (&world.suite.vault, world.suite.admin);
    let tree = Tree::new(&[(ALICE, NATIVE, 600), (BOB, NATIVE, 400)]);
    let block = world.block_number().await;
    let understated = vec![U256::from(700)];
    sent(vault.publishEpoch(0, block, B256::ZERO, tree.root(), vec![NATIVE], understated).from(admin)).await;
    claimed(&world, &tree, 0).await;
    let over = vault.claim(BOB, NATIVE, U256::from(400), tree.proof(1)).from(BOB);
    assert_eq!(refusal(over).await, RewardVault::ExceedsTotal::SELECTOR);
}

#[tokio::test]
async fn epochs_only_rise() {
    let world = funded().await;
    let (vault, admin) = (&world.suite.vault, world.suite.admin);
    let token = *world.token.address();
    let tree = Tree::new(&[(ALICE, NATIVE, 10), (ALICE, token, 20)]);
    let receipt = world.publish(5, &tree).await;
    let settled: Vec<_> =
        receipt.logs().iter().map(|log| log.log_decode::<RewardVault::EpochSettled>().unwrap()).collect();
    let seen: Vec<_> =
        settled.iter().map(|log| (log.data().epoch, log.data().token, log.data().root, log.data().total)).collect();
    let expected = [(5, NATIVE, tree.root(), U256::from(10)), (5, token, tree.root(), U256::from(20))];
    assert_eq!(seen, expected, "once per token, one root");
    let last = settled[0].data().lastBlock;
    world.provider.anvil_mine(Some(2), None).await.unwrap();

    let block = world.block_number().await;
    let publish = |epoch, last_block, tokens: Vec<Address>, totals: Vec<U256>| {
        vault.publishEpoch(epoch, last_block, B256::ZERO, B256::ZERO, tokens, totals).from(admin)
    };
    let (ten, pair) = (vec![U256::from(10)], vec![U256::from(10), U256::from(20)]);
    let not_monotonic = RewardVault::EpochNotMonotonic::SELECTOR;
    let bad_tokens = RewardVault::BadTokens::SELECTOR;
    let cases = [
        ("the same epoch", refusal(publish(5, block - 1, vec![NATIVE], ten.clone())).await, not_monotonic),
        ("an earlier epoch", refusal(publish(4, block - 1, vec![NATIVE], ten.clone())).await, not_monotonic),
        ("the same last block", refusal(publish(6, last, vec![NATIVE], ten.clone())).await, not_monotonic),
        ("a block to come", refusal(publish(6, block + 10, vec![NATIVE], ten.clone())).await, not_monotonic),
        ("no token", refusal(publish(6, block - 1, vec![], vec![])).await, bad_tokens),
        ("a total short", refusal(publish(6, block - 1, vec![NATIVE, token], ten.clone())).await, bad_tokens),
        ("a token twice", refusal(publish(6, block - 1, vec![NATIVE, NATIVE], pair.clone())).await, bad_tokens),
    ];
    for (name, got, expected) in cases {
        assert_eq!(got, expected, "{name}");
    }
    // An epoch may be skipped, and a total may stand still.
    sent(publish(7, block, vec![NATIVE, token], pair)).await;
}
