//! Transactions: from the fields a node shows to the bytes the transactions root commits to.

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy},
    eips::{eip2718::Encodable2718, eip2930::AccessList, eip7702::SignedAuthorization},
};
use alloy_primitives::{Address, B256, Bytes, Sealable, Signature, TxKind, U256};
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use serde::Deserialize;

use crate::verify::{
    Differs, Part,
    json::{self, Fixed, Quantity, Wide},
};

/// A transaction as nodes show it: the union of the fields of all types.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TransactionJson<'a> {
    #[serde(rename = "type")]
    kind: Option<Quantity>,
    hash: Fixed<32>,
    from: Option<Fixed<20>>,
    to: Option<Fixed<20>>,
    value: Wide,
    gas: Quantity,
    #[serde(borrow, alias = "data")]
    input: &'a str,
    nonce: Option<Quantity>,
    chain_id: Option<Quantity>,
    gas_price: Option<Wide>,
    max_fee_per_gas: Option<Wide>,
    max_priority_fee_per_gas: Option<Wide>,
    access_list: Option<AccessList>,
    max_fee_per_blob_gas: Option<Wide>,
    blob_versioned_hashes: Option<Vec<Fixed<32>>>,
    authorization_list: Option<Vec<SignedAuthorization>>,
    v: Option<Quantity>,
    y_parity: Option<Quantity>,
    r: Option<Wide>,
    s: Option<Wide>,
    source_hash: Option<Fixed<32>>,
    mint: Option<Wide>,
    #[serde(alias = "isSystemTransaction")]
    is_system_tx: Option<bool>,
}

impl TransactionJson<'_> {
    /// The bytes (EIP-2718), whose hash is the claimed one.
    pub(super) fn encode(&self) -> Result<Bytes, Differs> {
        let kind = self.kind.map_or(0, |kind| kind.0);
        let raw = match kind {
            0 => OpTxEnvelope::from(self.legacy()?).encoded_2718(),
            1 => OpTxEnvelope::from(self.eip2930()?.into_signed(self.signature()?)).encoded_2718(),
            2 => OpTxEnvelope::from(self.eip1559()?.into_signed(self.signature()?)).encoded_2718(),
            // On L1 only, as in the block: without the blobs.
            3 => self.eip4844()?.into_signed(self.signature()?).encoded_2718(),
            4 => OpTxEnvelope::from(self.eip7702()?.into_signed(self.signature()?)).encoded_2718(),
            0x7e => OpTxEnvelope::from(self.deposit()?.seal_slow()).encoded_2718(),
            other => {
                let known = "this version knows 0x0 to 0x4 and 0x7e, and skips nothing";
                return Err(Differs::new(Part::Transactions, format!("unknown type {other:#x}: {known}")));
            }
        };
        let raw = Bytes::from(raw);
        let hash = alloy_primitives::keccak256(&raw);
        if hash.0 != self.hash.0 {
            let claimed = B256::from(self.hash.0);
            return Err(Differs::value(Part::Transactions, "hash of a transaction's fields", claimed, hash));
        }
        Ok(raw)
    }

    fn legacy(&self) -> Result<alloy::consensus::Signed<TxLegacy>, Differs> {
        let v = need("v", self.v)?.0;
        // EIP-155: v = 35 + 2 * chain id + parity; before it 27 + parity.
        let (chain_id, parity) = match v.checked_sub(35) {
            Some(above) => (Some(above >> 1), above & 1 == 1),
            None => (None, v == 28),
        };
        let transaction = TxLegacy {
            chain_id,
            nonce: need("nonce", self.nonce)?.0,
            gas_price: narrow("gasPrice", self.gas_price)?,
            gas_limit: self.gas.0,
            to: self.to(),
            value: self.value.0,
            input: self.input()?,
        };
        let signature = Signature::new(need("r", self.r)?.0, need("s", self.s)?.0, parity);
        Ok(transaction.into_signed(signature))
    }

    fn eip2930(&self) -> Result<TxEip2930, Differs> {
        Ok(TxEip2930 {
            chain_id: need("chainId", self.chain_id)?.0,
            nonce: need("nonce", self.nonce)?.0,
            gas_price: narrow("gasPrice", self.gas_price)?,
            gas_limit: self.gas.0,
            to: self.to(),
            value: self.value.0,
            access_list: self.access_list.clone().unwrap_or_default(),
            input: self.input()?,
        })
    }

    fn eip1559(&self) -> Result<TxEip1559, Differs> {
        Ok(TxEip1559 {
            chain_id: need("chainId", self.chain_id)?.0,
            nonce: need("nonce", self.nonce)?.0,
            gas_limit: self.gas.0,
            max_fee_per_gas: narrow("maxFeePerGas", self.max_fee_per_gas)?,
            max_priority_fee_per_gas: narrow("maxPriorityFeePerGas", self.max_priority_fee_per_gas)?,
            to: self.to(),
            value: self.value.0,
            access_list: self.access_list.clone().unwrap_or_default(),
            input: self.input()?,
        })
    }

    fn eip4844(&self) -> Result<TxEip4844, Differs> {
        let blob_hashes = self.blob_versioned_hashes.iter().flatten();
        Ok(TxEip4844 {
            chain_id: need("chainId", self.chain_id)?.0,
            nonce: need("nonce", self.nonce)?.0,
            gas_limit: self.gas.0,
            max_fee_per_gas: narrow("maxFeePerGas", self.max_fee_per_gas)?,
            max_priority_fee_per_gas: narrow("maxPriorityFeePerGas", self.max_priority_fee_per_gas)?,
            to: Address::from(need("to", self.to)?.0),
            value: self.value.0,
            access_list: self.access_list.clone().unwrap_or_default(),
            blob_versioned_hashes: blob_hashes.map(|hash| B256::from(hash.0)).collect(),
            max_fee_per_blob_gas: narrow("maxFeePerBlobGas", self.max_fee_per_blob_gas)?,
            input: self.input()?,
        })
    }

    fn eip7702(&self) -> Result<TxEip7702, Differs> {
        Ok(TxEip7702 {
            chain_id: need("chainId", self.chain_id)?.0,
            nonce: need("nonce", self.nonce)?.0,
            gas_limit: self.gas.0,
            max_fee_per_gas: narrow("maxFeePerGas", self.max_fee_per_gas)?,
            max_priority_fee_per_gas: narrow("maxPriorityFeePerGas", self.max_priority_fee_per_gas)?,
            to: Address::from(need("to", self.to)?.0),
            value: self.value.0,
            access_list: self.access_list.clone().unwrap_or_default(),
            authorization_list: self.authorization_list.clone().unwrap_or_default(),
            input: self.input()?,
        })
    }

    fn deposit(&self) -> Result<TxDeposit, Differs> {
        Ok(TxDeposit {
            source_hash: need("sourceHash", self.source_hash)?.0.into(),
            from: need("from", self.from)?.0.into(),
            to: self.to(),
            mint: narrow("mint", Some(self.mint.unwrap_or(Wide(U256::ZERO))))?,
            value: self.value.0,
            gas_limit: self.gas.0,
            is_system_transaction: self.is_system_tx.unwrap_or_default(),
            input: self.input()?,
        })
    }

    fn signature(&self) -> Result<Signature, Differs> {
        // For typed transactions v and yParity are the same; older nodes show v only.
        let parity = need("yParity", self.y_parity.or(self.v))?.0;
        Ok(Signature::new(need("r", self.r)?.0, need("s", self.s)?.0, parity == 1))
    }

    fn to(&self) -> TxKind {
        self.to.map_or(TxKind::Create, |to| TxKind::Call(to.0.into()))
    }

    fn input(&self) -> Result<Bytes, Differs> {
        let mut bytes = Vec::new();
        json::append_hex(self.input, &mut bytes)
            .ok_or_else(|| Differs::new(Part::Transactions, "input that is no hex"))?;
        Ok(bytes.into())
    }
}

fn need<T>(name: &str, value: Option<T>) -> Result<T, Differs> {
    value.ok_or_else(|| Differs::new(Part::Transactions, format!("a transaction without {name}")))
}

fn narrow(name: &str, value: Option<Wide>) -> Result<u128, Differs> {
    let value = need(name, value)?.0;
    u128::try_from(value)
        .ok()
        .ok_or_else(|| Differs::new(Part::Transactions, format!("{name} of {value}: expected less than 2^128")))
}
