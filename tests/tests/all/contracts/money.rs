//! Money in: the vault announces what arrived, and nothing else.

use alloy::primitives::{Address, B256, I256, U256};
use alloy::providers::Provider;
use alloy::sol_types::SolError;
use tributary_schemas::id::EntityKind;
use tributary_tests::suite::{FeeToken, RewardVault, SuiteOptions};

use super::{NATIVE, World, key_of, refusal, reverted, said, sent};

#[tokio::test]
async fn a_payment_is_announced_as_it_arrived() {
    let world = World::new().await;
    let (vault, payer) = (&world.suite.vault, world.people[0]);
    let (subject, reference) = (B256::repeat_byte(7), B256::repeat_byte(9));
    world.fund(payer, 5_000_000).await;

    let native = sent(vault.pay(subject, reference).from(payer).value(U256::from(1_000))).await;
    let call = vault.payToken(*world.token.address(), subject, U256::from(2_500_000), reference);
    let token = sent(call.from(payer)).await;

    for (n, receipt, asset, amount) in [(0, native, NATIVE, 1_000_u64), (1, token, *world.token.address(), 2_500_000)] {
        let expected = RewardVault::RevenueReceived {
            paymentId: key_of(payer, n),
            subjectVersionId: subject,
            payer,
            token: asset,
            amount: U256::from(amount),
            r#ref: reference,
        };
        assert_eq!(said::<RewardVault::RevenueReceived>(&receipt), expected);
        assert_eq!(vault.escrowed(asset).call().await.unwrap(), U256::from(amount));
        let kept = vault.payments(world.vault_id(EntityKind::Payment, key_of(payer, n))).call().await.unwrap();
        assert_eq!(
            (kept.payer, kept.token, kept.amount, kept.refunded),
            (payer, asset, U256::from(amount), U256::ZERO)
        );
    }
}

#[tokio::test]
async fn a_token_that_takes_a_fee_is_refused() {
    let world = World::new().await;
    let (vault, payer) = (&world.suite.vault, world.people[0]);
    let address = FeeToken::deploy_builder(world.provider.clone()).from(payer).deploy_sync().await.unwrap();
    let token = FeeToken::new(address, world.provider.clone());
    sent(token.mint(payer, U256::from(10_000)).from(payer)).await;
    sent(token.approve(*vault.address(), U256::MAX).from(payer)).await;

    let pay = || vault.payToken(address, B256::ZERO, U256::from(1_000), B256::ZERO).from(payer);
    let fund = || vault.fundPool(B256::ZERO, 0, address, U256::from(1_000)).from(payer);
    assert_eq!(refusal(pay()).await, RewardVault::DidNotArrive::SELECTOR);
    assert_eq!(refusal(fund()).await, RewardVault::DidNotArrive::SELECTOR);
    reverted(pay()).await;
    reverted(fund()).await;
    assert_eq!(token.balanceOf(payer).call().await.unwrap(), U256::from(10_000));
    assert_eq!(vault.nonces(payer).call().await.unwrap(), 0);
}

#[tokio::test]
async fn amounts_and_values_must_match() {
    let world = World::new().await;
    let (vault, payer) = (&world.suite.vault, world.people[0]);
    let token = *world.token.address();
    world.fund(payer, 1_000).await;
    let limit = U256::from(10).pow(U256::from(38));
    let (zero, one) = (B256::ZERO, U256::from(1));

    let wrong_value = RewardVault::WrongValue::SELECTOR;
    let out_of_range = RewardVault::AmountOutOfRange::SELECTOR;
    let cases = [
        ("nothing", refusal(vault.pay(zero, zero).from(payer)).await, out_of_range),
        ("no tokens", refusal(vault.payToken(token, zero, U256::ZERO, zero).from(payer)).await, out_of_range),
        ("10^38 tokens", refusal(vault.payToken(token, zero, limit, zero).from(payer)).await, out_of_range),
        ("native by payToken", refusal(vault.payToken(NATIVE, zero, one, zero).from(payer)).await, wrong_value),
        (
            "pool, too little",
            refusal(vault.fundPool(zero, 0, NATIVE, U256::from(2)).from(payer).value(one)).await,
            wrong_value,
        ),
        ("pool, both kinds", refusal(vault.fundPool(zero, 0, token, one).from(payer).value(one)).await, wrong_value),
        ("stake, too much", refusal(vault.stake(zero, one).from(payer).value(U256::from(2))).await, wrong_value),
    ];
    for (name, got, expected) in cases {
        assert_eq!(got, expected, "{name}");
    }
    let bare = world
        .provider
        .estimate_gas(alloy::rpc::types::TransactionRequest::default().from(payer).to(*vault.address()).value(one));
    assert!(bare.await.is_err(), "money without a call is refused");
}

#[tokio::test]
async fn a_pool_is_funded_in_either_token() {
    let world = World::new().await;
    let (vault, payer) = (&world.suite.vault, world.people[0]);
    world.fund(payer, 1_000).await;
    let pool = B256::repeat_byte(3);
    for (token, value) in [(NATIVE, 40), (*world.token.address(), 0)] {
        let call = vault.fundPool(pool, 6, token, U256::from(40)).from(payer).value(U256::from(value));
        let expected = RewardVault::PoolFunded { pool, epoch: 6, token, amount: U256::from(40) };
        assert_eq!(said::<RewardVault::PoolFunded>(&sent(call).await), expected);
        assert_eq!(vault.escrowed(token).call().await.unwrap(), U256::from(40));
    }
}

#[tokio::test]
async fn a_refund_brings_its_own_money() {
    let world = World::new().await;
    let (vault, admin, payer) = (&world.suite.vault, world.suite.admin, world.people[0]);
    let payment = world.pay(payer, 1_000).await;
    let refund = |amount: u64| vault.refund(payment, U256::from(amount)).from(admin).value(U256::from(amount));

    let before = world.provider.get_balance(payer).await.unwrap();
    let receipt = sent(refund(400)).await;
    let expected = RewardVault::RevenueRefunded { paymentId: payment, to: payer, amount: U256::from(400) };
    assert_eq!(said::<RewardVault::RevenueRefunded>(&receipt), expected);
    assert_eq!(world.provider.get_balance(payer).await.unwrap(), before + U256::from(400));
    assert_eq!(vault.escrowed(NATIVE).call().await.unwrap(), U256::from(1_000), "escrow pays no refund");

    assert_eq!(refusal(refund(601)).await, RewardVault::RefundTooLarge::SELECTOR);
    assert_eq!(refusal(refund(600).value(U256::ZERO)).await, RewardVault::WrongValue::SELECTOR);
    sent(refund(600)).await;
    assert_eq!(refusal(refund(1)).await, RewardVault::RefundTooLarge::SELECTOR);
    let unknown = vault.refund(B256::repeat_byte(1), U256::from(1)).from(admin).value(U256::from(1));
    assert_eq!(refusal(unknown).await, RewardVault::UnknownPayment::SELECTOR);
}

#[tokio::test]
async fn a_refund_in_tokens_is_taken_from_the_operator() {
    let world = World::new().await;
    let (vault, admin, payer) = (&world.suite.vault, world.suite.admin, world.people[0]);
    let token = *world.token.address();
    world.fund(payer, 1_000).await;
    world.fund(admin, 300).await;
    sent(vault.payToken(token, B256::ZERO, U256::from(1_000), B256::ZERO).from(payer)).await;
    let payment = world.vault_id(EntityKind::Payment, key_of(payer, 0));

    sent(vault.refund(payment, U256::from(300)).from(admin)).await;
    for (who, left) in [(payer, 300_u64), (admin, 0), (*vault.address(), 1_000)] {
        assert_eq!(world.token.balanceOf(who).call().await.unwrap(), U256::from(left));
    }
}

#[tokio::test]
async fn stake_is_apart_from_escrow() {
    let world = World::new().await;
    check_stake(&world, NATIVE).await;
}

#[tokio::test]
async fn stake_may_be_a_token() {
    // The token's address is known beforehand: the sixth person deploys it first.
    let first = World::new().await;
    let token = first.people[5].create(0);
    let world = World::with(SuiteOptions { stake_token: token, ..SuiteOptions::default() }).await;
    let deployer = world.people[5];
    let deployed = tributary_tests::suite::deploy_token(&world.provider, deployer).await.unwrap();
    assert_eq!(*deployed.address(), token);
    let staker = world.people[0];
    sent(deployed.mint(staker, U256::from(500)).from(staker)).await;
    sent(deployed.approve(*world.suite.vault.address(), U256::MAX).from(staker)).await;
    check_stake(&world, token).await;
}

async fn check_stake(world: &World, token: Address) {
    let (vault, admin, staker) = (&world.suite.vault, world.suite.admin, world.people[0]);
    let pool = B256::repeat_byte(4);
    let value = if token == NATIVE { 500 } else { 0 };
    let changed = |delta: i64, after: u64| RewardVault::StakeChanged {
        pool,
        account: staker,
        delta: I256::try_from(delta).unwrap(),
        balanceAfter: U256::from(after),
    };

    let staked = sent(vault.stake(pool, U256::from(500)).from(staker).value(U256::from(value))).await;
    assert_eq!(said::<RewardVault::StakeChanged>(&staked), changed(500, 500));
    assert_eq!(vault.escrowed(token).call().await.unwrap(), U256::ZERO);

    let unstaked = sent(vault.unstake(pool, U256::from(200)).from(staker)).await;
    assert_eq!(said::<RewardVault::StakeChanged>(&unstaked), changed(-200, 300));
    let too_low = RewardVault::StakeTooLow::SELECTOR;
    assert_eq!(refusal(vault.unstake(pool, U256::from(301)).from(staker)).await, too_low);
    assert_eq!(refusal(vault.unstake(B256::ZERO, U256::from(1)).from(staker)).await, too_low);

    let subject = B256::repeat_byte(5);
    let slashed = sent(vault.slash(pool, staker, subject, U256::from(100), 3).from(admin)).await;
    assert_eq!(said::<RewardVault::StakeChanged>(&slashed), changed(-100, 200));
    let why = RewardVault::Slashed { pool, account: staker, subject, amount: U256::from(100), cause: 3 };
    assert_eq!(said::<RewardVault::Slashed>(&slashed), why);
    assert_eq!(vault.escrowed(token).call().await.unwrap(), U256::from(100));
    assert_eq!(refusal(vault.slash(pool, staker, subject, U256::from(201), 3).from(admin)).await, too_low);
    sent(vault.unstake(pool, U256::from(200)).from(staker)).await;
    assert_eq!(vault.staked().call().await.unwrap(), U256::ZERO);
    assert_eq!(vault.escrowed(token).call().await.unwrap(), U256::from(100));
}
