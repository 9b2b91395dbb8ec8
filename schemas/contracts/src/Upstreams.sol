// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {TributaryCodes} from "./TributaryCodes.sol";

/// @title Checks on the upstream lists of a version
/// @dev A registry cannot know the versions of other contracts or the outside world, so whether an upstream
/// exists, and is older, is for the indexer to judge. What can be seen in the arguments is refused here.
library Upstreams {
    /// @notice More upstreams than one version may name.
    uint256 internal constant MAX = 256;

    /// @notice The three lists do not have one length, or are longer than `MAX`.
    error BadUpstreams(uint256 upstream, uint256 relations, uint256 shares);
    /// @notice The shares add up to more than a whole.
    error ShareSumExceeded(uint256 sum);

    /// @notice Refuses lists of different lengths and given shares above 10^9 together.
    function check(bytes32[] calldata upstream, uint8[] calldata relations, uint32[] calldata shares) internal pure {
        if (upstream.length != relations.length || upstream.length != shares.length || upstream.length > MAX) {
            revert BadUpstreams(upstream.length, relations.length, shares.length);
        }
        uint256 sum = 0;
        for (uint256 i = 0; i < shares.length; ++i) {
            if (shares[i] != TributaryCodes.NO_SHARE) sum += shares[i];
        }
        if (sum > TributaryCodes.PPB) revert ShareSumExceeded(sum);
    }
}
