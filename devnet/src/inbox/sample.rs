//! Random blocks for whoever tests a decoder.

use super::PostedBlock;
use alloy::consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxEnvelope, TxLegacy};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::eips::eip2930::{AccessList, AccessListItem};
use alloy::eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use rand::Rng;

/// Consecutive blocks with transactions of every type that a span batch knows: legacy with and without a chain,
/// creations, access lists, authorizations, fields of every width. Nothing but their form is valid: the signatures
/// are random numbers. Timestamps go up by `block_time` from `first_timestamp`, L1 origins by nothing or one.
pub fn sample_blocks(
    rng: &mut impl Rng,
    chain_id: u64,
    count: usize,
    first_timestamp: u64,
    block_time: u64,
    parent_l1_origin: u64,
) -> Vec<PostedBlock> {
    let mut l1_origin = parent_l1_origin;
    let mut timestamp = first_timestamp;
    (0..count)
        .map(|_| {
            l1_origin += u64::from(rng.random_bool(0.3));
            let transactions = if rng.random_bool(0.4) { 0 } else { rng.random_range(1..6) };
            let block = PostedBlock {
                timestamp,
                l1_origin,
                l1_origin_hash: B256::from((U256::from(l1_origin) * U256::from(0x9e37_79b9_7f4a_7c15_u64)) << 192),
                transactions: (0..transactions).map(|_| transaction(rng, chain_id)).collect(),
            };
            timestamp += block_time;
            block
        })
        .collect()
}

fn transaction(rng: &mut impl Rng, chain_id: u64) -> Bytes {
    let (nonce, gas_limit) = (narrow(rng), narrow(rng));
    let (tip, fee_cap) = (u128::from(narrow(rng)), u128::from(narrow(rng)));
    let to = if rng.random_bool(0.2) { TxKind::Create } else { TxKind::Call(address(rng)) };
    let value = U256::from(narrow(rng)) << rng.random_range(0..190_usize);
    let input = Bytes::from((0..rng.random_range(0..200)).map(|_| rng.random()).collect::<Vec<u8>>());
    let access_list = access_list(rng);
    let signature = signature(rng);
    let envelope: TxEnvelope = match rng.random_range(0..5) {
        0 => {
            let chain_id = rng.random_bool(0.7).then_some(chain_id);
            let tx = TxLegacy { chain_id, nonce, gas_price: tip, gas_limit, to, value, input };
            tx.into_signed(signature).into()
        }
        1 => {
            let tx = TxEip2930 { chain_id, nonce, gas_price: tip, gas_limit, to, value, access_list, input };
            tx.into_signed(signature).into()
        }
        2 => {
            let tx = TxEip7702 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas: fee_cap,
                max_priority_fee_per_gas: tip,
                to: address(rng),
                value,
                access_list,
                authorization_list: authorizations(rng, chain_id),
                input,
            };
            tx.into_signed(signature).into()
        }
        _ => {
            let tx = TxEip1559 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas: fee_cap,
                max_priority_fee_per_gas: tip,
                to,
                value,
                access_list,
                input,
            };
            tx.into_signed(signature).into()
        }
    };
    envelope.encoded_2718().into()
}

fn authorizations(rng: &mut impl Rng, chain_id: u64) -> Vec<SignedAuthorization> {
    (0..rng.random_range(0..3))
        .map(|_| {
            let authorization =
                Authorization { chain_id: U256::from(chain_id), address: address(rng), nonce: narrow(rng) };
            authorization.into_signed(signature(rng))
        })
        .collect()
}

fn access_list(rng: &mut impl Rng) -> AccessList {
    let count = if rng.random_bool(0.6) { 0 } else { rng.random_range(1..4) };
    let item = |rng: &mut _| {
        let keys = Rng::random_range(rng, 0..3);
        AccessListItem { address: address(rng), storage_keys: (0..keys).map(|_| B256::from(word(rng))).collect() }
    };
    AccessList((0..count).map(|_| item(rng)).collect())
}

/// Below the order of the curve, and now and then short.
fn signature(rng: &mut impl Rng) -> Signature {
    let r = word(rng) >> 1;
    let s = word(rng) >> rng.random_range(1..20_usize);
    Signature::new(r, s, rng.random())
}

fn address(rng: &mut impl Rng) -> Address {
    Address::from(rng.random::<[u8; 20]>())
}

fn word(rng: &mut impl Rng) -> U256 {
    U256::from_be_bytes(rng.random::<[u8; 32]>())
}

/// Of every width up to 62 bits.
fn narrow(rng: &mut impl Rng) -> u64 {
    rng.random::<u64>() >> rng.random_range(2..64)
}
