// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// @title Many small events, for benchmarks
/// @notice Emits as many stake changes as asked for, each of another account: the shape of a token's Transfer, two
/// indexed words and two of data, on a contract that a follower can be told to believe.
contract Spray {
    /// @notice As the vault's.
    event StakeChanged(bytes32 indexed pool, address indexed account, int256 delta, uint256 balanceAfter);

    /// @notice Emits the events numbered `first` to `first + count - 1`; number n changes a stake by n + 1.
    function spray(uint256 first, uint256 count) external {
        for (uint256 n = first; n < first + count; ++n) {
            address account = address(uint160(uint256(keccak256(abi.encode(n)))));
            emit StakeChanged(bytes32(0), account, int256(n + 1), n + 1);
        }
    }
}
