//! What happens on the chain.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, Log, LogData, U256};
use alloy_sol_types::{SolCall, SolEvent};

use crate::{
    chain::Call,
    config::DevnetConfig,
    keys::Keyring,
    truth::{Contracts, TruthBatch},
};

alloy_sol_types::sol! {
    event Transfer(address indexed from, address indexed to, uint256 value);
    function transfer(address to, uint256 value) external returns (bool);
}

#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) batches: Vec<TruthBatch>,
    pub(crate) received: BTreeMap<Address, U256>,
    pub(crate) refunded: BTreeMap<Address, U256>,
    pub(crate) payments: u64,
    pub(crate) hostile: u64,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) contracts: Contracts,
    pub(crate) blobs: BTreeMap<B256, Bytes>,
    pub(crate) told: Told,
    blocks: u64,
    sender: Address,
}

impl World {
    pub(crate) fn new(config: &DevnetConfig, keys: &mut Keyring) -> Self {
        let mut at = |name: &str| keys.account(name, 0);
        let contracts = Contracts {
            datanet_registry: at("datanet registry"),
            model_registry: at("model registry"),
            agent_registry: at("agent registry"),
            attribution_hub: at("attribution hub"),
            reward_vault: at("reward vault"),
            token_6: at("token 6"),
            token_18: at("token 18"),
        };
        Self {
            contracts,
            blobs: BTreeMap::new(),
            told: Told::default(),
            blocks: config.workload.blocks,
            sender: at("sender"),
        }
    }

    pub(crate) fn blob_to_lose(&self) -> Option<B256> {
        self.told.batches.get(2).map(|batch| batch.payload_hash)
    }

    pub(crate) fn plan(&mut self, _: &mut Keyring, number: u64, _: u64) -> Vec<Call> {
        if number > self.blocks {
            return Vec::new();
        }
        let value = U256::from(number);
        let event = Transfer { from: self.sender, to: self.sender, value };
        let data: LogData = event.encode_log_data();
        let call = Call {
            from: self.sender,
            to: self.contracts.token_18,
            value: U256::ZERO,
            input: transferCall { to: self.sender, value }.abi_encode().into(),
            logs: vec![Log { address: self.contracts.token_18, data }; 3],
            success: true,
        };
        vec![call; 5]
    }
}
