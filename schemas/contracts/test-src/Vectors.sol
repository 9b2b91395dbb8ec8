// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Arrays} from "@openzeppelin/contracts/utils/Arrays.sol";
import {TributaryIds} from "../src/TributaryIds.sol";

/// @title The bytes that contracts and the indexer must agree on, computed on chain
/// @notice One pure function per formula. The test vectors are made by calling them on a real node; the Rust
/// side checks that it computes the same.
contract Vectors {
    /// @notice The id of an entity.
    function entityId(uint8 kind, uint64 chainId, address namespace, bytes calldata nativeKey)
        external
        pure
        returns (bytes32)
    {
        return TributaryIds.entityId(kind, chainId, namespace, nativeKey);
    }

    /// @notice The id of a version.
    function versionId(bytes32 entity, uint32 version) external pure returns (bytes32) {
        return TributaryIds.versionId(entity, version);
    }

    /// @notice The native key of the nth thing of an account.
    function keyOf(address account, uint64 n) external pure returns (bytes32) {
        return TributaryIds.keyOf(account, n);
    }

    /// @notice The id of an inference that was not recorded on chain; `batch` is the batch's entity id.
    function inferenceId(bytes32 batch, uint32 index) external pure returns (bytes32) {
        return keccak256(abi.encodePacked("trib/inf/1", batch, index));
    }

    /// @notice The id of an event.
    function eventId(uint64 chainId, bytes32 blockHash, uint32 txIndex, uint32 logIndex, uint32 subIndex)
        external
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked("trib/evt/1", chainId, blockHash, txIndex, logIndex, subIndex));
    }

    /// @notice The log root before the first block.
    function logRootStart(uint64 chainId, uint64 startBlock, bytes32 mappingSetHash) external pure returns (bytes32) {
        return keccak256(abi.encodePacked("trib/log/1", chainId, startBlock, mappingSetHash));
    }

    /// @notice The log root after a block with `encodedEvents`.
    function logRootNext(bytes32 previous, bytes32 blockHash, bytes calldata encodedEvents)
        external
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked(previous, blockHash, keccak256(encodedEvents)));
    }

    /// @notice One record: target 32 ‖ row u32be (0xffffffff for none) ‖ score i64be.
    function record(bytes32 target, uint32 row, int64 score) external pure returns (bytes memory) {
        return abi.encodePacked(target, row, score);
    }

    /// @notice The leaf of one inference; `records` is the concatenation of its records.
    function recordsLeaf(uint32 index, bytes32 inference, bytes32 subject, bytes calldata records)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked(bytes1(0x00), index, inference, subject, keccak256(records)));
    }

    /// @notice The root over the inferences of a batch, in their order; an odd node is promoted.
    function recordsRoot(bytes32[] calldata inferences, bytes32[] calldata subjects, bytes[] calldata records)
        external
        pure
        returns (bytes32)
    {
        bytes32[] memory level = new bytes32[](inferences.length);
        for (uint256 i = 0; i < level.length; ++i) {
            level[i] = recordsLeaf(uint32(i), inferences[i], subjects[i], records[i]);
        }
        uint256 n = level.length;
        while (n > 1) {
            for (uint256 i = 0; i < n / 2; ++i) {
                level[i] = keccak256(abi.encodePacked(bytes1(0x01), level[2 * i], level[2 * i + 1]));
            }
            if (n % 2 == 1) level[n / 2] = level[n - 1];
            n = (n + 1) / 2;
        }
        return level[0];
    }

    /// @notice The leaf of a claim.
    function claimLeaf(address account, address token, uint256 cumulative) public pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(account, token, cumulative))));
    }

    /// @notice The root over claims, in any order.
    function claimRoot(address[] calldata accounts, address[] calldata tokens, uint256[] calldata cumulatives)
        external
        pure
        returns (bytes32)
    {
        bytes32[] memory leaves = new bytes32[](accounts.length);
        for (uint256 i = 0; i < leaves.length; ++i) {
            leaves[i] = claimLeaf(accounts[i], tokens[i], cumulatives[i]);
        }
        return _sortedTree(leaves);
    }

    /// @notice The root over the members of a dataset version, in any order; zero when there are none.
    function manifestRoot(bytes32[] calldata members) external pure returns (bytes32) {
        bytes32[] memory leaves = new bytes32[](members.length);
        for (uint256 i = 0; i < leaves.length; ++i) {
            leaves[i] = keccak256(bytes.concat(keccak256(abi.encodePacked(members[i]))));
        }
        return _sortedTree(leaves);
    }

    /// @dev OpenZeppelin's tree: 2n-1 nodes, the sorted leaves at the end in reverse, node i over 2i+1 and 2i+2
    /// with the smaller child first. For counts that are no power of two this is not the tree that pairs level
    /// by level.
    function _sortedTree(bytes32[] memory leaves) private pure returns (bytes32) {
        uint256 n = leaves.length;
        if (n == 0) return bytes32(0);
        leaves = Arrays.sort(leaves);
        bytes32[] memory tree = new bytes32[](2 * n - 1);
        for (uint256 i = 0; i < n; ++i) {
            tree[2 * n - 2 - i] = leaves[i];
        }
        for (uint256 i = n - 1; i > 0; --i) {
            (bytes32 a, bytes32 b) = (tree[2 * i - 1], tree[2 * i]);
            tree[i - 1] = a < b ? keccak256(bytes.concat(a, b)) : keccak256(bytes.concat(b, a));
        }
        return tree[0];
    }
}
