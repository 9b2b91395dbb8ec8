//! The reference contracts on a real chain: money, claims, authority, attribution, registries, events.
//!
//! Every test has an Anvil of its own. A refusal is asked for by `eth_call`, which runs the same code and says which
//! error it was; where state matters the transaction is sent.

mod attribution;
mod authority;
mod claims;
mod events;
mod money;
mod reentrancy;
mod registries;
mod reorg;

use alloy::contract::{CallBuilder, CallDecoder};
use alloy::primitives::{Address, B256, Selector, U256, keccak256};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::types::TransactionReceipt;
use alloy::sol_types::{SolEvent, SolValue};
use tributary_schemas::encoding::standard_tree;
use tributary_schemas::id::{EntityKind, entity_id};
use tributary_tests::anvil::Anvil;
use tributary_tests::suite::{PlainToken, Suite, SuiteOptions, deploy_token, mined};

const CHAIN: u64 = 1612;
const NATIVE: Address = Address::ZERO;

/// A chain with the suite on it. `people` are funded and unlocked; the administrator is not among them.
struct World {
    _anvil: Anvil,
    provider: DynProvider,
    suite: Suite,
    token: PlainToken::PlainTokenInstance<DynProvider>,
    people: Vec<Address>,
}

impl World {
    async fn new() -> Self {
        Self::with(SuiteOptions::default()).await
    }

    async fn with(options: SuiteOptions) -> Self {
        let anvil = Anvil::start_l2(&[]).unwrap();
        let provider = anvil.provider();
        let mut people = provider.get_accounts().await.unwrap();
        let admin = people.remove(0);
        let suite = Suite::deploy_with(&provider, admin, options).await.unwrap();
        let token = deploy_token(&provider, admin).await.unwrap();
        Self { _anvil: anvil, provider, suite, token, people }
    }

    /// Gives `who` tokens and lets the vault take them.
    async fn fund(&self, who: Address, amount: u64) {
        let vault = *self.suite.vault.address();
        sent(self.token.mint(who, U256::from(amount)).from(who)).await;
        sent(self.token.approve(vault, U256::MAX).from(who)).await;
    }

    /// Pays for `subject` in the native token; the answer is the payment's entity id.
    async fn pay(&self, payer: Address, amount: u64) -> B256 {
        let call = self.suite.vault.pay(B256::repeat_byte(7), B256::ZERO);
        let receipt = sent(call.from(payer).value(U256::from(amount))).await;
        let event = said::<tributary_tests::suite::RewardVault::RevenueReceived>(&receipt);
        self.vault_id(EntityKind::Payment, event.paymentId)
    }

    fn vault_id(&self, kind: EntityKind, key: B256) -> B256 {
        entity_id(kind, CHAIN, *self.suite.vault.address(), key.as_slice())
    }

    fn hub_id(&self, kind: EntityKind, key: B256) -> B256 {
        entity_id(kind, CHAIN, *self.suite.hub.address(), key.as_slice())
    }

    async fn block_number(&self) -> u64 {
        self.provider.get_block_number().await.unwrap()
    }

    /// Publishes the tree's root as `epoch`, with the totals of its claims.
    async fn publish(&self, epoch: u64, tree: &Tree) -> TransactionReceipt {
        let (tokens, totals) = tree.totals();
        let last_block = self.block_number().await;
        let digest = B256::repeat_byte(0xd1);
        let call = self.suite.vault.publishEpoch(epoch, last_block, digest, tree.root(), tokens, totals);
        sent(call.from(self.suite.admin)).await
    }
}

/// The claims of a vault and OpenZeppelin's tree over them.
struct Tree {
    claims: Vec<(Address, Address, U256)>,
    nodes: Vec<B256>,
}

impl Tree {
    fn new(claims: &[(Address, Address, u64)]) -> Self {
        let claims: Vec<_> = claims.iter().map(|(account, token, sum)| (*account, *token, U256::from(*sum))).collect();
        let mut leaves: Vec<B256> = claims.iter().map(leaf).collect();
        leaves.sort_unstable();
        Self { nodes: standard_tree(&leaves), claims }
    }

    fn root(&self) -> B256 {
        self.nodes[0]
    }

    fn proof(&self, claim: usize) -> Vec<B256> {
        let leaf = leaf(&self.claims[claim]);
        let mut node = self.nodes.iter().rposition(|one| *one == leaf).unwrap();
        let mut siblings = Vec::new();
        while node > 0 {
            siblings.push(self.nodes[if node % 2 == 1 { node + 1 } else { node - 1 }]);
            node = (node - 1) / 2;
        }
        siblings
    }

    fn totals(&self) -> (Vec<Address>, Vec<U256>) {
        let mut totals = std::collections::BTreeMap::new();
        for (_, token, cumulative) in &self.claims {
            *totals.entry(*token).or_insert(U256::ZERO) += *cumulative;
        }
        totals.into_iter().unzip()
    }
}

fn leaf(claim: &(Address, Address, U256)) -> B256 {
    keccak256(keccak256(claim.abi_encode()))
}

/// keccak256(account ‖ n): how the suite names the nth thing of an account.
fn key_of(account: Address, n: u64) -> B256 {
    keccak256([account.as_slice(), &n.to_be_bytes()].concat())
}

/// Mines a call that must succeed.
async fn sent<D: CallDecoder>(call: CallBuilder<&DynProvider, D>) -> TransactionReceipt {
    mined(call).await.unwrap()
}

/// The one event of this kind in a transaction.
fn said<E: SolEvent>(receipt: &TransactionReceipt) -> E {
    let mut all: Vec<E> = receipt.logs().iter().filter_map(|log| E::decode_log_data(log.data()).ok()).collect();
    assert_eq!(all.len(), 1, "{} in {}", E::SIGNATURE, receipt.transaction_hash);
    all.remove(0)
}

/// The error a call is refused with.
async fn refusal<D: CallDecoder>(call: CallBuilder<&DynProvider, D>) -> Selector {
    let refused = call.call_raw().await;
    let data = refused.expect_err("the call must be refused").as_revert_data().expect("the contract must say why");
    Selector::from_slice(&data[..4])
}

/// Mines a call that must fail.
async fn reverted<D: CallDecoder>(call: CallBuilder<&DynProvider, D>) {
    let receipt = call.gas(2_000_000).send_sync().await.unwrap();
    assert!(!receipt.status(), "{} must fail", receipt.transaction_hash);
}
