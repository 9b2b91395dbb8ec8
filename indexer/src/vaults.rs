//! What reward vaults hold at the end of an epoch: asked by the hash of its last block, so that no fork and no later
//! block can answer.
//!
//! The native token is proved where a node gives the account's proof (`eth_getProof`) and the header it leads to, whose
//! fields give the hash that was sealed: then one node is enough. Everything else is read from every node that is up, and
//! counts when more than half of the hosts say the same, as rules' reads do ([`reads`](crate::reads)). What they do not
//! agree on is not read.
//!
//! Stake lies in the vault as well and is no part of what claims are paid from. A vault that keeps some says so
//! (`stakeToken()`, `staked()`); one that has no such functions keeps none.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::{Encodable as _, RlpEncodable};
use alloy_trie::{Nibbles, proof::verify_proof};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tributary_schemas::Amount;
use tributary_schemas::column::{Decimal38, hex_text};
use tributary_schemas::facts::VaultBalanceRow;
use url::Url;

use crate::endpoint::{self, Agreed, EndpointOptions, Pool, Preference, Question};
use crate::{Clock, IndexerError, Trust, verify};

/// How often nodes are asked again for one value while they do not agree on it: an epoch waits for it.
const ROUNDS_MAX: u32 = 4;
/// How often for a proof: without one, the balance is asked for.
const PROOF_ATTEMPTS_MAX: u32 = 3;
/// How long one answer may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// `balanceOf(address)` of ERC-20.
const BALANCE_OF: [u8; 4] = [0x70, 0xa0, 0x82, 0x31];

/// The last block of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch.
    pub epoch: i64,
    /// Number of the block.
    pub number: i64,
    /// Its hash.
    pub hash: B256,
}

/// Reads what vaults hold.
#[derive(Debug)]
pub struct VaultReader {
    pool: Pool,
    options: EndpointOptions,
    clock: Arc<dyn Clock>,
}

/// How an answer is read; `None` is the answer that there is nothing.
type Read = fn(&RawValue) -> Result<Option<U256>, String>;

/// A value and how it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    units: U256,
    proved: bool,
    endpoints: usize,
}

/// An account as the state has it.
#[derive(RlpEncodable)]
struct Account {
    nonce: u64,
    balance: U256,
    storage_root: B256,
    code_hash: B256,
}

/// What `eth_getProof` answers, as far as the account goes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountProof {
    nonce: alloy_primitives::U64,
    balance: U256,
    storage_hash: B256,
    code_hash: B256,
    account_proof: Vec<Bytes>,
}

impl VaultReader {
    /// A reader over these endpoints of the L2 with this chain id. Nothing is connected before it is asked.
    ///
    /// # Errors
    ///
    /// When there is none, or one has a scheme unknown here.
    pub fn new(urls: &[Url], chain_id: u64, clock: Arc<dyn Clock>) -> Result<Self, IndexerError> {
        let options =
            EndpointOptions { attempts_max: PROOF_ATTEMPTS_MAX, deadline: DEADLINE, ..EndpointOptions::default() };
        let pool = Pool::new(urls, chain_id, options.clone(), Arc::clone(&clock))?;
        Ok(Self { pool, options, clock })
    }

    /// What each vault holds of each token after a block. What cannot be read is left out, and logged.
    pub async fn read(&self, end: EpochEnd, vaults: &[(Address, Address)]) -> Vec<VaultBalanceRow> {
        let mut stakes: BTreeMap<Address, Result<(Address, U256), String>> = BTreeMap::new();
        let mut rows = Vec::new();
        for (vault, token) in vaults {
            if !stakes.contains_key(vault) {
                stakes.insert(*vault, self.stake(*vault, end.hash).await);
            }
            let stake = stakes.get(vault).cloned().unwrap_or_else(|| Err("not asked for".to_owned()));
            let balance = match stake {
                Ok(stake) => self.balance(*vault, *token, end.hash).await.map(|known| (known, stake)),
                Err(reason) => Err(reason),
            };
            match balance {
                Ok((known, (staked, units))) => {
                    let stake = if staked == *token { units } else { U256::ZERO };
                    rows.push(row(end, (*vault, *token), known, stake));
                }
                Err(reason) => {
                    tracing::warn!(%vault, %token, block = %end.hash, reason, "what a vault holds was not read");
                }
            }
        }
        rows
    }

    /// The token a vault keeps stake in, and how much of it.
    async fn stake(&self, vault: Address, block: B256) -> Result<(Address, U256), String> {
        let none = (Address::ZERO, U256::ZERO);
        let Some(token) = self.word(vault, &selector("stakeToken()"), block).await? else { return Ok(none) };
        let Some(staked) = self.word(vault, &selector("staked()"), block).await? else { return Ok(none) };
        Ok((Address::from_word(B256::from(token.units)), staked.units))
    }

    async fn balance(&self, vault: Address, token: Address, block: B256) -> Result<Known, String> {
        if token.is_zero() {
            if let Some(units) = self.proved(vault, block).await {
                return Ok(Known { units, proved: true, endpoints: 1 });
            }
            let params = json!([vault, at(block)]);
            let said = self.agreed("eth_getBalance", &params, quantity).await?;
            return said.ok_or_else(|| "a balance was asked for: expected a quantity".to_owned());
        }
        let call = [BALANCE_OF.as_slice(), vault.into_word().as_slice()].concat();
        let said = self.word(token, &call, block).await?;
        said.ok_or_else(|| "the token has no balanceOf".to_owned())
    }

    /// The native balance of an account by a proof that leads to the block's hash.
    async fn proved(&self, account: Address, block: B256) -> Option<U256> {
        for id in self.pool.usable() {
            let header =
                self.pool.call(Preference::Only(id), "eth_getBlockByHash", &json!([block, false])).await.ok()?;
            let params = json!([account, [], at(block)]);
            let Ok(answer) = self.pool.call(Preference::Only(id), "eth_getProof", &params).await else { continue };
            match balance_of_proof(block, header.json.get(), account, answer.json.get()) {
                Ok(balance) => return Some(balance),
                Err(reason) => {
                    let endpoint = self.pool.name(id);
                    tracing::warn!(endpoint, %account, reason, "the proof of a vault's balance proves nothing");
                }
            }
        }
        None
    }

    /// A function's answer of one word; `None` when the contract has no such function.
    async fn word(&self, to: Address, data: &[u8], block: B256) -> Result<Option<Known>, String> {
        let call = json!([{ "to": to, "data": Bytes::copy_from_slice(data) }, at(block)]);
        self.agreed("eth_call", &call, word).await
    }

    /// What the hosts agree on, asked again while they may come to agree; `None` when they say that there is nothing.
    async fn agreed(&self, method: &'static str, params: &Value, read: Read) -> Result<Option<Known>, String> {
        let question = Question { method, params, read, shown };
        let mut round = 0;
        loop {
            match self.pool.agreed(&question).await {
                Ok(Agreed { value, hosts }) => {
                    return Ok(value.map(|units| Known { units, proved: false, endpoints: hosts }));
                }
                Err(disagreed) if round >= ROUNDS_MAX || !disagreed.may_pass => return Err(disagreed.reason),
                Err(disagreed) => tracing::debug!(method, reason = disagreed.reason, "asked again after a pause"),
            }
            self.clock.sleep(self.options.backoff(round)).await;
            round = round.saturating_add(1);
        }
    }
}

/// An answer for a person.
fn shown(answer: &Option<U256>) -> String {
    answer.map_or_else(|| "nothing".to_owned(), |units| units.to_string())
}

/// A block by its hash (EIP-1898).
fn at(block: B256) -> Value {
    json!({ "blockHash": block })
}

fn selector(signature: &str) -> Vec<u8> {
    keccak256(signature).iter().take(4).copied().collect()
}

/// A quantity as nodes write it: hexadecimal digits, at least one, after 0x.
fn quantity(answer: &RawValue) -> Result<Option<U256>, String> {
    let json = answer.get();
    let text: String = serde_json::from_str(json).map_err(|error| format!("{json:?} is no quantity: {error}"))?;
    let digits = text.strip_prefix("0x").filter(|digits| !digits.is_empty());
    let digits = digits.ok_or_else(|| format!("{json:?} is no quantity: expected 0x and digits"))?;
    U256::from_str_radix(digits, 16).map(Some).map_err(|error| format!("{json:?} is no quantity: {error}"))
}

/// The one word of an answer; none where nothing is at the address, or no such function: then the call reverts.
fn word(answer: &RawValue) -> Result<Option<U256>, String> {
    if endpoint::is_reverted(answer) {
        return Ok(None);
    }
    let json = answer.get();
    let data: Bytes = serde_json::from_str(json).map_err(|error| format!("{json:?} is no answer: {error}"))?;
    match data.len() {
        0 => Ok(None),
        32 => Ok(Some(U256::from_be_slice(&data))),
        length => Err(format!("{length} bytes were answered: expected one word of 32")),
    }
}

/// The balance that an account's proof leads to, from the hash of a block.
fn balance_of_proof(block: B256, header: &str, account: Address, proof: &str) -> Result<U256, String> {
    let checked = verify::header(header, Trust::Verified).map_err(|differs| differs.to_string())?;
    if checked.block.hash != block {
        return Err(format!("the header is that of {}: expected {block}", checked.block.hash));
    }
    let proof: AccountProof = serde_json::from_str(proof).map_err(|error| format!("unreadable: {error}"))?;
    let mut value = Vec::new();
    let said = Account {
        nonce: proof.nonce.to(),
        balance: proof.balance,
        storage_root: proof.storage_hash,
        code_hash: proof.code_hash,
    };
    said.encode(&mut value);
    let key = Nibbles::unpack(keccak256(account));
    verify_proof(checked.header.state_root, key, Some(value), &proof.account_proof)
        .map_err(|error| format!("it does not lead to state root {}: {error}", checked.header.state_root))?;
    Ok(proof.balance)
}

fn row(end: EpochEnd, (vault, token): (Address, Address), known: Known, stake: U256) -> VaultBalanceRow {
    let most = Amount::LIMIT - 1;
    let units = |units: U256| {
        let units = u128::try_from(units).unwrap_or(u128::MAX);
        Decimal38(std::cmp::min(units, most).cast_signed())
    };
    VaultBalanceRow {
        epoch: end.epoch,
        block_number: end.number,
        block_hash: hex_text(end.hash),
        vault: hex_text(vault),
        token: hex_text(token),
        balance: units(known.units),
        stake: units(stake),
        known: if known.proved { "proved" } else { "read" }.to_owned(),
        endpoints: i32::try_from(known.endpoints).unwrap_or(i32::MAX),
    }
}

#[cfg(test)]
mod tests;
