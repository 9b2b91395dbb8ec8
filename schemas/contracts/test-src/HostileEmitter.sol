// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// @title Says anything, with no right to
/// @notice Emits logs of any shape, so that tests can lie with the suite's own topics. Nothing it says is true.
contract HostileEmitter {
    /// @notice Emits one log with up to four topics and any data.
    function shout(bytes32[] calldata topics, bytes calldata data) external {
        bytes memory d = data;
        if (topics.length == 0) {
            assembly ("memory-safe") { log0(add(d, 0x20), mload(d)) }
        } else if (topics.length == 1) {
            bytes32 a = topics[0];
            assembly ("memory-safe") { log1(add(d, 0x20), mload(d), a) }
        } else if (topics.length == 2) {
            (bytes32 a, bytes32 b) = (topics[0], topics[1]);
            assembly ("memory-safe") { log2(add(d, 0x20), mload(d), a, b) }
        } else if (topics.length == 3) {
            (bytes32 a, bytes32 b, bytes32 c) = (topics[0], topics[1], topics[2]);
            assembly ("memory-safe") { log3(add(d, 0x20), mload(d), a, b, c) }
        } else {
            (bytes32 a, bytes32 b, bytes32 c, bytes32 e) = (topics[0], topics[1], topics[2], topics[3]);
            assembly ("memory-safe") { log4(add(d, 0x20), mload(d), a, b, c, e) }
        }
    }
}
