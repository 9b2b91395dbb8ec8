//! A deep reorg under the suite: what was in the lost blocks did not happen, and can happen again.

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::U256;
use alloy::providers::Provider;
use alloy::providers::ext::AnvilApi;
use alloy::rpc::types::anvil::ReorgOptions;

use super::{NATIVE, World};

#[tokio::test]
async fn a_payment_in_lost_blocks_can_be_made_again() {
    let world = World::new().await;
    let (vault, payer) = (&world.suite.vault, world.people[0]);
    let kept = world.pay(payer, 100).await;
    let lost = world.pay(payer, 23).await;
    world.provider.anvil_mine(Some(44), None).await.unwrap();
    let head = world.provider.get_block_by_number(BlockNumberOrTag::Latest).await.unwrap().unwrap();
    assert_eq!(vault.escrowed(NATIVE).call().await.unwrap(), U256::from(123));

    world.provider.anvil_reorg(ReorgOptions { depth: 45, tx_block_pairs: Vec::new() }).await.unwrap();
    let after = world.provider.get_block_by_number(BlockNumberOrTag::Latest).await.unwrap().unwrap();
    assert_eq!(after.header.number, head.header.number);
    assert_ne!(after.header.hash, head.header.hash);
    assert_eq!(vault.escrowed(NATIVE).call().await.unwrap(), U256::from(100));
    assert_eq!(vault.payments(kept).call().await.unwrap().amount, U256::from(100));
    assert_eq!(vault.payments(lost).call().await.unwrap().amount, U256::ZERO);

    // The payer's nonce in the vault went back as well, so the payment has the id it had.
    assert_eq!(world.pay(payer, 23).await, lost);
}
