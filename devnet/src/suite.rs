//! The reference suite as this chain speaks it: events and calls from the committed ABIs.
#![expect(clippy::too_many_arguments, reason = "the ABI decides how many fields an event has")]

use alloy_primitives::{Address, B256, Log, U256, keccak256};
use alloy_sol_types::SolEvent;

alloy_sol_types::sol!(DatanetRegistry, "../schemas/contracts/artifacts/DatanetRegistry.json");
alloy_sol_types::sol!(ModelRegistry, "../schemas/contracts/artifacts/ModelRegistry.json");
alloy_sol_types::sol!(AgentRegistry, "../schemas/contracts/artifacts/AgentRegistry.json");
alloy_sol_types::sol!(AttributionHub, "../schemas/contracts/artifacts/AttributionHub.json");
alloy_sol_types::sol!(RewardVault, "../schemas/contracts/artifacts/RewardVault.json");

alloy_sol_types::sol! {
    /// What an ERC-20 token says and can be told.
    contract Erc20 {
        event Transfer(address indexed from, address indexed to, uint256 value);
        function transfer(address to, uint256 value) external returns (bool);
        function balanceOf(address account) external view returns (uint256);
    }
}

alloy_sol_types::sol! {
    /// EigenDA's certificate verifier on L1, behind its router.
    contract CertVerifier {
        function checkDACert(bytes abiEncodedCert) external view returns (uint8 status);
    }
}

alloy_sol_types::sol! {
    /// The OP Stack's `SystemConfig` on L1, as far as a batcher has to do with it.
    contract SystemConfig {
        event ConfigUpdate(uint256 indexed version, uint8 indexed updateType, bytes data);
        function setBatcherHash(bytes32 batcherHash) external;
    }
}

/// A log of one of the suite's events.
pub(crate) fn log<E: SolEvent>(address: Address, event: &E) -> Log {
    Log { address, data: event.encode_log_data() }
}

/// The native key the suite derives from who acts and how often it did:
/// keccak256(account ‖ nonce u64be).
pub(crate) fn key_of(account: Address, nonce: u64) -> B256 {
    let mut text = account.to_vec();
    text.extend_from_slice(&nonce.to_be_bytes());
    keccak256(text)
}

/// A counter as a native key.
pub(crate) fn key(number: u64) -> B256 {
    B256::from(U256::from(number))
}

/// How this stage refers to a payload: 0x00 ‖ keccak256(payload).
pub(crate) fn keccak_reference(digest: B256) -> alloy_primitives::Bytes {
    let mut reference = vec![0];
    reference.extend_from_slice(digest.as_slice());
    reference.into()
}
