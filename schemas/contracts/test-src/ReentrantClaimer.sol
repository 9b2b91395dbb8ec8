// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// @title An account that, when paid, calls its payer again
/// @dev `strict` lets the inner failure end the outer call; otherwise it is remembered.
contract ReentrantClaimer {
    address public target;
    bytes public data;
    bool public strict;
    uint256 public attempts;
    bool public innerSucceeded;
    bytes public innerAnswer;

    /// @notice Prepares the call made on receipt of money.
    function arm(address target_, bytes calldata data_, bool strict_) external {
        target = target_;
        data = data_;
        strict = strict_;
    }

    /// @notice Makes a call in this contract's name.
    function forward(address to, bytes calldata payload) external payable returns (bytes memory answer) {
        bool ok;
        (ok, answer) = to.call{value: msg.value}(payload);
        if (!ok) _bubble(answer);
    }

    receive() external payable {
        if (target == address(0)) return;
        ++attempts;
        (bool ok, bytes memory answer) = target.call(data);
        innerSucceeded = ok;
        innerAnswer = answer;
        if (!ok && strict) _bubble(answer);
    }

    function _bubble(bytes memory answer) private pure {
        assembly ("memory-safe") {
            revert(add(answer, 0x20), mload(answer))
        }
    }
}
