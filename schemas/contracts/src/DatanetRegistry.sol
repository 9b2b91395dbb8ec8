// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {IEntityOwner} from "./EntityDirectory.sol";
import {TributaryCodes} from "./TributaryCodes.sol";
import {TributaryIds} from "./TributaryIds.sol";

/// @title Datanets: datasets with an owner, contributors and validators
/// @notice Keeps only what its own rules need; everything else lives in the events.
contract DatanetRegistry is IEntityOwner {
    /// @notice Where a contribution stands. A flag asks for another review; the other outcomes are final.
    enum State {
        Unknown,
        Submitted,
        Flagged,
        Approved,
        Rejected,
        Removed
    }

    struct Datanet {
        address owner;
        uint8 visibility;
        uint32 lastVersion;
    }

    struct Contribution {
        uint256 datanetId;
        address contributor;
        State state;
    }

    /// @notice A datanet begins. `datanetId` is its native key, a counter from 1.
    event DatanetCreated(
        uint256 indexed datanetId,
        address indexed owner,
        uint8 visibility,
        bytes32 licenseId,
        bytes32 metadataHash,
        string metadataURI
    );
    /// @notice Descriptive data changed; this never makes a version.
    event DatanetMetadataUpdated(uint256 indexed datanetId, bytes32 metadataHash, string metadataURI);
    /// @notice A datanet changes hands; epochs cut later pay the new owner.
    event DatanetOwnershipTransferred(uint256 indexed datanetId, address indexed from, address indexed to);
    /// @notice `account` gained or lost `role` in a datanet.
    event DatanetRoleSet(uint256 indexed datanetId, address indexed account, uint8 indexed role, bool granted);
    /// @notice `grantee` may use the datanet for `scope` (0 train, 1 infer, 2 read) until `expiresAt`, seconds.
    event DatanetAccessSet(
        uint256 indexed datanetId, address indexed grantee, uint8 indexed scope, uint64 expiresAt, bytes32 termsHash
    );
    /// @notice Data is offered. `contributionId` is a native key: keccak256(contributor ‖ nonce u64be).
    event ContributionSubmitted(
        bytes32 indexed contributionId,
        uint256 indexed datanetId,
        address indexed contributor,
        bytes32 contentHash,
        uint64 rowCount,
        uint64 byteCount,
        bytes32 licenseId,
        bytes dataRef
    );
    /// @notice A review. `contributionId` refers, so it is the entity id of the contribution.
    event ContributionReviewed(
        bytes32 indexed contributionId, address indexed reviewer, uint8 decision, int32 qualityScore, bytes32 reason
    );
    /// @notice A contribution leaves later versions; older ones keep it. `contributionId` is its entity id.
    event ContributionWithdrawn(bytes32 indexed contributionId, address indexed by, uint8 cause, bytes32 reason);
    /// @notice A version is published. Its members are those of the last version, less `removed`, plus `added`.
    /// @param manifestRoot Merkle root over keccak256(keccak256(id)) of all members after the change, as in
    /// OpenZeppelin's trees: leaves sorted, pairs sorted; `id` is a contribution's entity id. Given by the
    /// publisher: the manifest behind `manifestRef` proves it (contribution ids of 32 bytes, added then removed,
    /// each ascending), and the indexer refuses the members otherwise.
    event DatanetVersionPublished(
        uint256 indexed datanetId,
        uint32 indexed version,
        bytes32 manifestRoot,
        uint32 added,
        uint32 removed,
        uint64 totalRows,
        bytes32 licenseId,
        bytes manifestRef
    );

    /// @notice `datanetId` was never created.
    error UnknownDatanet(uint256 datanetId);
    /// @notice `contribution` is not an entity id of this registry.
    error UnknownContribution(bytes32 contribution);
    /// @notice `account` may not do this in the datanet.
    error NotAllowed(uint256 datanetId, address account);
    /// @notice A contribution in `state` cannot be changed so.
    error BadState(bytes32 contribution, State state);
    /// @notice `code` has no meaning here.
    error BadCode(uint8 code);
    /// @notice The zero address cannot own a datanet.
    error ZeroOwner();

    uint256 public datanetCount;
    mapping(uint256 datanetId => Datanet) public datanets;
    mapping(uint256 datanetId => mapping(address account => mapping(uint8 role => bool))) public hasRole;
    mapping(bytes32 entityId => Contribution) public contributions;
    mapping(address contributor => uint64) public nonces;
    mapping(bytes32 entityId => uint256) private _datanetOf;

    modifier onlyOwner(uint256 datanetId) {
        if (_existing(datanetId).owner != msg.sender) revert NotAllowed(datanetId, msg.sender);
        _;
    }

    /// @notice Creates a datanet owned by the caller.
    function createDatanet(uint8 visibility, bytes32 licenseId, bytes32 metadataHash, string calldata metadataURI)
        external
        returns (uint256 datanetId)
    {
        if (visibility > TributaryCodes.PRIVATE) revert BadCode(visibility);
        datanetId = ++datanetCount;
        datanets[datanetId] = Datanet(msg.sender, visibility, 0);
        _datanetOf[entityIdOf(datanetId)] = datanetId;
        emit DatanetCreated(datanetId, msg.sender, visibility, licenseId, metadataHash, metadataURI);
    }

    /// @notice Changes descriptive data.
    function setMetadata(uint256 datanetId, bytes32 metadataHash, string calldata metadataURI)
        external
        onlyOwner(datanetId)
    {
        emit DatanetMetadataUpdated(datanetId, metadataHash, metadataURI);
    }

    /// @notice Hands a datanet to `to`.
    function transferOwnership(uint256 datanetId, address to) external onlyOwner(datanetId) {
        if (to == address(0)) revert ZeroOwner();
        datanets[datanetId].owner = to;
        emit DatanetOwnershipTransferred(datanetId, msg.sender, to);
    }

    /// @notice Grants or takes a role.
    function setRole(uint256 datanetId, address account, uint8 role, bool granted) external onlyOwner(datanetId) {
        if (role > TributaryCodes.PRODUCER) revert BadCode(role);
        hasRole[datanetId][account][role] = granted;
        emit DatanetRoleSet(datanetId, account, role, granted);
    }

    /// @notice Grants access until `expiresAt`; zero, or a time that has passed, ends it.
    function setAccess(uint256 datanetId, address grantee, uint8 scope, uint64 expiresAt, bytes32 termsHash)
        external
        onlyOwner(datanetId)
    {
        emit DatanetAccessSet(datanetId, grantee, scope, expiresAt, termsHash);
    }

    /// @notice Offers data: to a public datanet anyone may, to the others its owner and contributors.
    /// @return contribution The entity id, by which reviews and records refer to it.
    function submit(
        uint256 datanetId,
        bytes32 contentHash,
        uint64 rowCount,
        uint64 byteCount,
        bytes32 licenseId,
        bytes calldata dataRef
    ) external returns (bytes32 contribution) {
        bool open = _existing(datanetId).visibility == TributaryCodes.PUBLIC;
        if (!open && !_may(datanetId, TributaryCodes.CONTRIBUTOR)) revert NotAllowed(datanetId, msg.sender);
        bytes32 key = TributaryIds.keyOf(msg.sender, nonces[msg.sender]++);
        contribution = TributaryIds.localId(TributaryIds.CONTRIBUTION, key);
        contributions[contribution] = Contribution(datanetId, msg.sender, State.Submitted);
        emit ContributionSubmitted(key, datanetId, msg.sender, contentHash, rowCount, byteCount, licenseId, dataRef);
    }

    /// @notice Reviews a contribution that is submitted or flagged; for the owner, validators and curators.
    function review(bytes32 contribution, uint8 decision, int32 qualityScore, bytes32 reason) external {
        Contribution storage c = _known(contribution);
        if (!_may(c.datanetId, TributaryCodes.VALIDATOR) && !_may(c.datanetId, TributaryCodes.CURATOR)) {
            revert NotAllowed(c.datanetId, msg.sender);
        }
        if (c.state != State.Submitted && c.state != State.Flagged) revert BadState(contribution, c.state);
        if (decision == TributaryCodes.APPROVE) c.state = State.Approved;
        else if (decision == TributaryCodes.REJECT) c.state = State.Rejected;
        else if (decision == TributaryCodes.FLAG) c.state = State.Flagged;
        else revert BadCode(decision);
        emit ContributionReviewed(contribution, msg.sender, decision, qualityScore, reason);
    }

    /// @notice Takes a contribution out of later versions: its contributor withdraws it, or the owner or a
    /// curator gives another cause.
    function withdraw(bytes32 contribution, uint8 cause, bytes32 reason) external {
        Contribution storage c = _known(contribution);
        bool allowed = cause == TributaryCodes.WITHDRAWN
            ? c.contributor == msg.sender
            : _may(c.datanetId, TributaryCodes.CURATOR);
        if (!allowed) revert NotAllowed(c.datanetId, msg.sender);
        if (cause > TributaryCodes.SLASHED) revert BadCode(cause);
        if (c.state == State.Removed) revert BadState(contribution, c.state);
        c.state = State.Removed;
        emit ContributionWithdrawn(contribution, msg.sender, cause, reason);
    }

    /// @notice Publishes the next version; for the owner and curators.
    /// @return version Counts from 1 without gaps.
    function publishVersion(
        uint256 datanetId,
        bytes32 manifestRoot,
        uint32 added,
        uint32 removed,
        uint64 totalRows,
        bytes32 licenseId,
        bytes calldata manifestRef
    ) external returns (uint32 version) {
        Datanet storage d = _existing(datanetId);
        if (!_may(datanetId, TributaryCodes.CURATOR)) revert NotAllowed(datanetId, msg.sender);
        version = ++d.lastVersion;
        emit DatanetVersionPublished(
            datanetId, version, manifestRoot, added, removed, totalRows, licenseId, manifestRef
        );
    }

    /// @notice The entity id of a datanet.
    function entityIdOf(uint256 datanetId) public view returns (bytes32) {
        return TributaryIds.localId(TributaryIds.DATASET, bytes32(datanetId));
    }

    /// @inheritdoc IEntityOwner
    function ownerOfEntity(bytes32 entityId) external view returns (address) {
        return datanets[_datanetOf[entityId]].owner;
    }

    function _may(uint256 datanetId, uint8 role) private view returns (bool) {
        return datanets[datanetId].owner == msg.sender || hasRole[datanetId][msg.sender][role];
    }

    function _existing(uint256 datanetId) private view returns (Datanet storage d) {
        d = datanets[datanetId];
        if (d.owner == address(0)) revert UnknownDatanet(datanetId);
    }

    function _known(bytes32 contribution) private view returns (Contribution storage c) {
        c = contributions[contribution];
        if (c.state == State.Unknown) revert UnknownContribution(contribution);
    }
}
