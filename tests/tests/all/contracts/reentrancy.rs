//! Accounts and tokens that call back while they are paid.

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::{DynProvider, Provider};
use alloy::sol_types::SolError;
use tributary_tests::suite::{HookToken, ReentrantClaimer, RewardVault};

use super::{NATIVE, Tree, World, refusal, reverted, sent};

async fn claimer(world: &World) -> ReentrantClaimer::ReentrantClaimerInstance<DynProvider> {
    let deployer = world.people[0];
    let address = ReentrantClaimer::deploy_builder(world.provider.clone()).from(deployer).deploy_sync().await.unwrap();
    ReentrantClaimer::new(address, world.provider.clone())
}

fn is_reentrant_call(answer: &Bytes) -> bool {
    answer.as_ref() == RewardVault::ReentrancyGuardReentrantCall::SELECTOR
}

#[tokio::test]
async fn a_claimer_that_claims_again_is_paid_once() {
    let world = World::new().await;
    let (vault, caller) = (&world.suite.vault, world.people[1]);
    let claimer = claimer(&world).await;
    world.pay(world.people[0], 1_000).await;
    let tree = Tree::new(&[(*claimer.address(), NATIVE, 100), (Address::repeat_byte(1), NATIVE, 900)]);
    world.publish(0, &tree).await;
    let claim = || vault.claim(*claimer.address(), NATIVE, U256::from(100), tree.proof(0)).from(caller);
    let again = claim().calldata().clone();

    // When the inner failure is passed on, the whole claim fails and leaves no trace.
    sent(claimer.arm(*vault.address(), again.clone(), true).from(caller)).await;
    reverted(claim()).await;
    assert_eq!(vault.claimed(*claimer.address(), NATIVE).call().await.unwrap(), U256::ZERO);
    assert_eq!(vault.escrowed(NATIVE).call().await.unwrap(), U256::from(1_000));

    // When it is swallowed, the claim pays once.
    sent(claimer.arm(*vault.address(), again, false).from(caller)).await;
    sent(claim()).await;
    assert_eq!(claimer.attempts().call().await.unwrap(), U256::from(1));
    assert!(!claimer.innerSucceeded().call().await.unwrap());
    assert!(is_reentrant_call(&claimer.innerAnswer().call().await.unwrap()));
    assert_eq!(world.provider.get_balance(*claimer.address()).await.unwrap(), U256::from(100));
    assert_eq!(refusal(claim()).await, RewardVault::NothingToClaim::SELECTOR);
}

#[tokio::test]
async fn nothing_that_moves_money_runs_inside_a_token_transfer() {
    let world = World::new().await;
    let (vault, payer) = (&world.suite.vault, world.people[0]);
    let address = HookToken::deploy_builder(world.provider.clone()).from(payer).deploy_sync().await.unwrap();
    let token = HookToken::new(address, world.provider.clone());
    sent(token.mint(payer, U256::from(1_000)).from(payer)).await;
    sent(token.approve(*vault.address(), U256::MAX).from(payer)).await;
    let (zero, one) = (B256::ZERO, U256::from(1));
    let inner = [
        ("pay", vault.pay(zero, zero).calldata().clone()),
        ("payToken", vault.payToken(address, zero, one, zero).calldata().clone()),
        ("fundPool", vault.fundPool(zero, 0, address, one).calldata().clone()),
        ("refund", vault.refund(zero, one).calldata().clone()),
        ("stake", vault.stake(zero, one).calldata().clone()),
        ("unstake", vault.unstake(zero, one).calldata().clone()),
        ("claim", vault.claim(payer, NATIVE, one, vec![]).calldata().clone()),
        ("publishEpoch", vault.publishEpoch(0, 0, zero, zero, vec![], vec![]).calldata().clone()),
    ];
    for (name, data) in inner {
        sent(token.setHook(*vault.address(), data).from(payer)).await;
        sent(vault.payToken(address, zero, U256::from(10), zero).from(payer)).await;
        assert!(!token.hookSucceeded().call().await.unwrap(), "{name}");
        assert!(is_reentrant_call(&token.hookAnswer().call().await.unwrap()), "{name}");
    }
    assert_eq!(vault.escrowed(address).call().await.unwrap(), U256::from(80));
}

#[tokio::test]
async fn a_refund_to_a_payer_that_calls_back_is_made_once() {
    let world = World::new().await;
    let (vault, admin) = (&world.suite.vault, world.suite.admin);
    let payer = claimer(&world).await;
    let pay = vault.pay(B256::ZERO, B256::ZERO).calldata().clone();
    sent(payer.forward(*vault.address(), pay.clone()).from(admin).value(U256::from(100))).await;
    let payment = world.vault_id(tributary_schemas::id::EntityKind::Payment, super::key_of(*payer.address(), 0));
    sent(payer.arm(*vault.address(), pay, false).from(admin)).await;
    sent(vault.refund(payment, U256::from(60)).from(admin).value(U256::from(60))).await;
    assert!(is_reentrant_call(&payer.innerAnswer().call().await.unwrap()));
    assert_eq!(world.provider.get_balance(*payer.address()).await.unwrap(), U256::from(60));
    assert_eq!(vault.payments(payment).call().await.unwrap().refunded, U256::from(60));
}

#[tokio::test]
async fn a_bond_is_taken_back_once() {
    let world = World::new().await;
    let (hub, admin, producer) = (&world.suite.hub, world.suite.admin, world.people[0]);
    let challenger = claimer(&world).await;
    let batch = super::attribution::committed(&world, producer).await;
    let challenge = hub.challengeBatch(batch, 0).calldata().clone();
    let bond = U256::from(5_000);
    sent(challenger.forward(*hub.address(), challenge).from(admin).value(bond)).await;
    sent(hub.resolveBatch(batch, 0, B256::ZERO).from(admin)).await;
    // Another's bond lies in the hub, so that a second payment could be made.
    let other = super::attribution::committed(&world, producer).await;
    sent(hub.challengeBatch(other, 0).from(world.people[2]).value(bond)).await;

    let withdraw = hub.withdrawBond().calldata().clone();
    sent(challenger.arm(*hub.address(), withdraw.clone(), false).from(admin)).await;
    sent(challenger.forward(*hub.address(), withdraw).from(admin)).await;
    assert!(is_reentrant_call(&challenger.innerAnswer().call().await.unwrap()));
    assert_eq!(world.provider.get_balance(*challenger.address()).await.unwrap(), bond);
    assert_eq!(world.provider.get_balance(*hub.address()).await.unwrap(), bond);
}
