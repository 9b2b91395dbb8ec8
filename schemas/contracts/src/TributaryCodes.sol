// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// @title The small numbers in the events, and what they mean
/// @notice Contracts refuse only codes that would confuse their own state; the indexer judges the rest.
library TributaryCodes {
    // Visibility of a datanet.
    uint8 internal constant PUBLIC = 0;
    uint8 internal constant PERMISSIONED = 1;
    uint8 internal constant PRIVATE = 2;

    // Roles in a datanet.
    uint8 internal constant VALIDATOR = 0;
    uint8 internal constant CURATOR = 1;
    uint8 internal constant CONTRIBUTOR = 2;
    uint8 internal constant PRODUCER = 3;

    // Decisions of a review.
    uint8 internal constant APPROVE = 0;
    uint8 internal constant REJECT = 1;
    uint8 internal constant FLAG = 2;

    // Causes of a withdrawal.
    uint8 internal constant WITHDRAWN = 0;
    uint8 internal constant REVOKED = 1;
    uint8 internal constant LICENCE = 2;
    uint8 internal constant SLASHED = 3;

    // Outcomes of a challenge: upheld rejects the batch, rejected lets it stand, replaced supersedes it.
    uint8 internal constant UPHELD = 0;
    uint8 internal constant REJECTED = 1;
    uint8 internal constant REPLACED = 2;

    // Where released suspense money goes.
    uint8 internal constant TO_PAYEES = 0;
    uint8 internal constant TO_PAYER = 1;
    uint8 internal constant TO_TREASURY = 2;

    /// @notice A whole, in parts per billion.
    uint32 internal constant PPB = 1_000_000_000;
    /// @notice A share that is not given: an equal part of what the given ones leave.
    uint32 internal constant NO_SHARE = type(uint32).max;
}
