// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title An ordinary token with six decimals that anyone can mint
contract PlainToken is ERC20 {
    constructor() ERC20("Plain Dollar", "PUSD") {}

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// @title A token that burns one percent of every transfer
contract FeeToken is ERC20 {
    constructor() ERC20("Fee Token", "FEE") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 value) internal override {
        if (from != address(0) && to != address(0)) {
            uint256 fee = value / 100;
            super._update(from, address(0), fee);
            value -= fee;
        }
        super._update(from, to, value);
    }
}

/// @title A token that calls back into its recipient's friend on every transfer
/// @dev While a transfer runs, `hook` is called with `data`; what it answers is remembered, not enforced.
contract HookToken is ERC20 {
    address public hook;
    bytes public data;
    bool public hookSucceeded;
    bytes public hookAnswer;

    constructor() ERC20("Hook Token", "HOOK") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function setHook(address hook_, bytes calldata data_) external {
        hook = hook_;
        data = data_;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (hook != address(0) && from != address(0)) {
            (hookSucceeded, hookAnswer) = hook.call(data);
        }
    }
}
