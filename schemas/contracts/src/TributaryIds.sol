// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// @title Identifiers that contracts and the indexer derive alike
/// @notice A native key is what a contract calls a thing (a counter, a hash). An entity id is that key made
/// unique across kinds, chains and contracts, so that no stranger can squat an id: the namespace is the address
/// of the contract that issued the key. A version id names one version of an entity.
///
/// In the events of this suite a `uint256` parameter, and a `bytes32` that names the event's own new entity, is
/// a native key; a `bytes32` that refers to something that exists is an entity id or a version id.
library TributaryIds {
    uint8 internal constant DATASET = 1;
    uint8 internal constant CONTRIBUTION = 2;
    uint8 internal constant MODEL = 3;
    uint8 internal constant AGENT = 4;
    uint8 internal constant INFERENCE = 5;
    uint8 internal constant PAYMENT = 6;
    uint8 internal constant BATCH = 7;
    uint8 internal constant METHOD = 8;
    uint8 internal constant POLICY = 9;
    uint8 internal constant APP = 10;
    uint8 internal constant ATTESTATION = 11;
    uint8 internal constant EXTERNAL = 12;

    /// @notice keccak256("trib/id/1" ‖ kind u8 ‖ chain_id u64be ‖ namespace 20 B ‖ native_key).
    /// @dev The key is last, so a key of any length cannot be confused with another field.
    function entityId(uint8 kind, uint64 chainId, address namespace, bytes memory nativeKey)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked("trib/id/1", kind, chainId, namespace, nativeKey));
    }

    /// @notice The entity id of a key issued by the calling contract on this chain.
    function localId(uint8 kind, bytes32 nativeKey) internal view returns (bytes32) {
        return keccak256(abi.encodePacked("trib/id/1", kind, uint64(block.chainid), address(this), nativeKey));
    }

    /// @notice keccak256("trib/ver/1" ‖ entity_id ‖ version u32be).
    function versionId(bytes32 entity, uint32 version) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked("trib/ver/1", entity, version));
    }

    /// @notice The native key of the nth thing an account makes: keccak256(account 20 B ‖ n u64be).
    /// @dev Contributions, methods, inferences and payments count by an account's nonce, batches by a
    /// producer's seq; both begin at 0. Deriving the key leaves the caller nothing to choose.
    function keyOf(address account, uint64 n) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(account, n));
    }
}
