// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";

// Contracts in the shape of real ones that are hard to map: what makes them hard is said at each.

/// @title A shop whose own event says what a payment was for, and the token's Transfer that it was paid
/// @notice `buy` is honest. `boast` says twice what was paid once.
contract Shop {
    event Paid(bytes32 indexed id, bytes32 indexed subject, uint256 sum);

    uint64 public sales;

    function buy(IERC20 token, address escrow, bytes32 subject, uint256 sum) external {
        _take(token, escrow, sum);
        _say(subject, sum);
    }

    function buyMany(IERC20 token, address escrow, bytes32[] calldata subjects, uint256 sum) external {
        for (uint256 i = 0; i < subjects.length; ++i) {
            _take(token, escrow, sum);
            _say(subjects[i], sum);
        }
    }

    function boast(IERC20 token, address escrow, bytes32 subject, uint256 sum) external {
        _take(token, escrow, sum);
        _say(subject, sum);
        _say(subject, sum);
    }

    function _take(IERC20 token, address escrow, uint256 sum) private {
        require(token.transferFrom(msg.sender, escrow, sum), "not paid");
    }

    function _say(bytes32 subject, uint256 sum) private {
        emit Paid(keccak256(abi.encodePacked(address(this), sales++)), subject, sum);
    }
}

/// @title An event with its first argument indexed: the first of two masks
contract TipperBySender {
    event Tipped(address indexed from, address to, uint256 sum);

    function tip(address to, uint256 sum) external {
        emit Tipped(msg.sender, to, sum);
    }
}

/// @title The same event with another argument indexed: the second of two masks, with as many topics
contract TipperByReceiver {
    event Tipped(address from, address indexed to, uint256 sum);

    function tip(address to, uint256 sum) external {
        emit Tipped(msg.sender, to, sum);
    }
}

/// @title An ERC-721 whose tokens change hands before anybody hears that they exist
/// @notice One call mints, transfers and only then registers, as marketplaces that mint on sale do.
contract LateRegistry is ERC721 {
    event ModelListed(uint256 indexed tokenId, address indexed maker, string uri);

    uint256 public count;

    constructor() ERC721("Late", "LATE") {}

    function mintAndSell(address buyer, string calldata uri) external {
        uint256 tokenId = ++count;
        _mint(msg.sender, tokenId);
        _transfer(msg.sender, buyer, tokenId);
        emit ModelListed(tokenId, msg.sender, uri);
    }
}

/// @title A stall that a mall makes: it says what it is before anybody hears that there is such a stall
contract Stall {
    event Opened(uint256 indexed id, address indexed owner, string uri);
    event Took(bytes32 indexed id, address indexed payer, uint256 sum);

    uint64 public sales;

    constructor(address owner, string memory uri) {
        emit Opened(1, owner, uri);
    }

    function take() external payable {
        emit Took(keccak256(abi.encodePacked(address(this), sales++)), msg.sender, msg.value);
    }
}

/// @title A factory: that it made a stall is the last thing it says of it
/// @notice `adopt` names a contract that somebody else made, as registries of existing contracts do.
contract Mall {
    event StallMade(address indexed stall, uint256 number);

    uint256 public count;

    function make(string calldata uri) external returns (address stall) {
        stall = address(new Stall(msg.sender, uri));
        adopt(stall);
    }

    function adopt(address stall) public {
        emit StallMade(stall, ++count);
    }
}

/// @title A factory of factories
contract MallBuilder {
    event MallBuilt(address mall);

    function build() external {
        emit MallBuilt(address(new Mall()));
    }

    /// @notice Builds a mall whose first stall is there before anybody hears of the mall.
    function buildAndMake(string calldata uri) external {
        Mall mall = new Mall();
        mall.make(uri);
        emit MallBuilt(address(mall));
    }
}
