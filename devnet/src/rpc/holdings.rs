//! What the reward vault holds: nothing is executed here, so it is what its own events and the tokens' transfers say.

use alloy_primitives::{Address, I256, U256, hex};
use alloy_sol_types::{SolCall as _, SolEvent as _};

use crate::{
    block::Block,
    fault::Fault,
    node::{Layer, Node},
    rpc::{
        RpcError,
        query::{self, Which},
    },
    suite::{Erc20, RewardVault},
};

/// With [`Fault::ShortVault`]: up to this block the vault holds a tenth of what it took in.
const SHORT_UNTIL: u64 = 200;

/// What the vault holds after a block.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Holdings {
    native: U256,
    token_6: U256,
    token_18: U256,
    staked: U256,
}

impl Holdings {
    /// After one more block.
    fn after(mut self, block: &Block, vault: Address, (token_6, token_18): (Address, Address)) -> Self {
        for log in block.entries.iter().flat_map(|entry| &entry.logs) {
            if log.address == vault {
                if let Ok(paid) = RewardVault::RevenueReceived::decode_log(log) {
                    self.native += if paid.token.is_zero() { paid.amount } else { U256::ZERO };
                } else if let Ok(funded) = RewardVault::PoolFunded::decode_log(log) {
                    self.native += if funded.token.is_zero() { funded.amount } else { U256::ZERO };
                } else if let Ok(changed) = RewardVault::StakeChanged::decode_log(log) {
                    let size = changed.delta.unsigned_abs();
                    self.staked =
                        if changed.delta < I256::ZERO { self.staked.saturating_sub(size) } else { self.staked + size };
                }
                continue;
            }
            let held = match log.address {
                token if token == token_6 => &mut self.token_6,
                token if token == token_18 => &mut self.token_18,
                _ => continue,
            };
            if let Ok(moved) = Erc20::Transfer::decode_log(log) {
                if moved.to == vault {
                    *held = held.saturating_add(moved.value);
                }
                if moved.from == vault {
                    *held = held.saturating_sub(moved.value);
                }
            }
        }
        self
    }
}

/// The answer to `eth_getBalance`: of the vault alone.
pub(crate) fn balance(node: &mut Node, layer: Layer, params: &[serde_json::Value]) -> Result<String, RpcError> {
    let account = query::address(params, 0)?;
    let which = query::block(params, 1)?;
    if layer != Layer::L2 || account != node.chain.world.contracts.reward_vault {
        return Err(RpcError::server("this node executes no contracts: it knows what the reward vault holds, on L2"));
    }
    let (holdings, number) = at(node, &which)?;
    let shown = shown(node, number, holdings.native);
    Ok(format!("\"{shown:#x}\""))
}

/// The answer to a call of a token or the vault, where it is one about what the vault holds.
pub(crate) fn call(
    node: &mut Node,
    to: Option<Address>,
    input: &[u8],
    which: &Which,
) -> Option<Result<String, RpcError>> {
    let contracts = &node.chain.world.contracts;
    let (vault, token_6, token_18) = (contracts.reward_vault, contracts.token_6, contracts.token_18);
    let asked = |selector: [u8; 4]| input.starts_with(&selector);
    let asks_balance = Erc20::balanceOfCall::abi_decode(input).is_ok_and(|call| call.account == vault);
    let read: fn(&Holdings) -> U256 = match to? {
        token if token == token_6 && asks_balance => |held| held.token_6,
        token if token == token_18 && asks_balance => |held| held.token_18,
        to if to == vault && asked(RewardVault::stakedCall::SELECTOR) => |held| held.staked,
        to if to == vault && asked(RewardVault::stakeTokenCall::SELECTOR) => {
            return Some(Ok(word(token_18.into_word().into())));
        }
        _ => return None,
    };
    let found = at(node, which).map(|(holdings, number)| {
        let units = read(&holdings);
        word(if asks_balance { shown(node, number, units) } else { units })
    });
    Some(found)
}

fn word(units: U256) -> String {
    format!("\"{}\"", hex::encode_prefixed(units.to_be_bytes::<32>()))
}

/// What the node says that the vault holds.
fn shown(node: &Node, number: u64, units: U256) -> U256 {
    let short = node.dice.has(Fault::ShortVault) && number <= SHORT_UNTIL;
    if short { units / U256::from(10) } else { units }
}

/// What the vault holds after a block of the canonical chain, and that block's number.
fn at(node: &mut Node, which: &Which) -> Result<(Holdings, u64), RpcError> {
    let unknown = || RpcError::server("header not found");
    let stored = super::find(node, Layer::L2, which).ok_or_else(unknown)?;
    let number = stored.header().number;
    if node.chain.l2_numbers.get(&stored.hash) != Some(&number) {
        return Err(RpcError::server("the state of this block is not available"));
    }
    let contracts = &node.chain.world.contracts;
    let (vault, tokens) = (contracts.reward_vault, (contracts.token_6, contracts.token_18));
    let Ok(wanted) = usize::try_from(number) else { return Err(unknown()) };
    while node.holdings.len() <= wanted {
        let last = node.holdings.last().copied().unwrap_or_default();
        let block = node.chain.l2.get(node.holdings.len()).ok_or_else(unknown)?.open();
        node.holdings.push(last.after(&block, vault, tokens));
    }
    node.holdings.get(wanted).map(|holdings| (*holdings, number)).ok_or_else(unknown)
}
