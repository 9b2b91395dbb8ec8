// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {IEntityOwner} from "./EntityDirectory.sol";
import {TributaryIds} from "./TributaryIds.sol";
import {Upstreams} from "./Upstreams.sol";

/// @title Agents: ERC-721 tokens that announce themselves as ERC-8004 does
/// @notice An agent changes hands by the token's Transfer event.
contract AgentRegistry is ERC721, IEntityOwner {
    /// @notice ERC-8004's announcement; the token's mint comes before it in the same transaction.
    /// `agentId` is the native key, a counter from 1.
    event Registered(uint256 indexed agentId, string agentURI, address indexed owner);
    /// @notice A version is published. `upstream` holds version ids of what the agent is deployed on;
    /// `relations` are 7 uses model, 8 uses data, 9 calls agent; shares as in the model registry.
    event AgentVersionPublished(
        uint256 indexed agentId,
        uint32 indexed version,
        bytes32 configHash,
        bytes32[] upstream,
        uint8[] relations,
        uint32[] shares
    );
    /// @notice A version should not be used any more.
    event VersionDeprecated(bytes32 indexed versionId, bytes32 reason);

    /// @notice `agentId` is not the caller's.
    error NotOwner(uint256 agentId, address caller);
    /// @notice The agent has no such version.
    error UnknownVersion(uint256 agentId, uint32 version);

    uint256 public agentCount;
    mapping(uint256 agentId => uint32) public lastVersion;
    mapping(uint256 agentId => string) private _uris;
    mapping(bytes32 entityId => uint256) private _agentOf;

    constructor() ERC721("Tributary Agent", "TAGENT") {}

    modifier onlyOwner(uint256 agentId) {
        if (_ownerOf(agentId) != msg.sender) revert NotOwner(agentId, msg.sender);
        _;
    }

    /// @notice Registers an agent owned by the caller.
    /// @dev Minted without the receiver hook, so that nothing foreign runs between mint and announcement.
    function register(string calldata agentURI) external returns (uint256 agentId) {
        agentId = ++agentCount;
        _uris[agentId] = agentURI;
        _agentOf[entityIdOf(agentId)] = agentId;
        _mint(msg.sender, agentId);
        emit Registered(agentId, agentURI, msg.sender);
    }

    /// @notice Publishes the next version.
    /// @return version Counts from 1 without gaps.
    function publishVersion(
        uint256 agentId,
        bytes32 configHash,
        bytes32[] calldata upstream,
        uint8[] calldata relations,
        uint32[] calldata shares
    ) external onlyOwner(agentId) returns (uint32 version) {
        Upstreams.check(upstream, relations, shares);
        version = ++lastVersion[agentId];
        emit AgentVersionPublished(agentId, version, configHash, upstream, relations, shares);
    }

    /// @notice Marks a version as one not to use.
    function deprecateVersion(uint256 agentId, uint32 version, bytes32 reason) external onlyOwner(agentId) {
        if (version == 0 || version > lastVersion[agentId]) revert UnknownVersion(agentId, version);
        emit VersionDeprecated(versionIdOf(agentId, version), reason);
    }

    /// @notice What the agent said it is.
    function tokenURI(uint256 agentId) public view override returns (string memory) {
        _requireOwned(agentId);
        return _uris[agentId];
    }

    /// @notice The entity id of an agent.
    function entityIdOf(uint256 agentId) public view returns (bytes32) {
        return TributaryIds.localId(TributaryIds.AGENT, bytes32(agentId));
    }

    /// @notice The id of a version, published or not.
    function versionIdOf(uint256 agentId, uint32 version) public view returns (bytes32) {
        return TributaryIds.versionId(entityIdOf(agentId), version);
    }

    /// @inheritdoc IEntityOwner
    function ownerOfEntity(bytes32 entityId) external view returns (address) {
        return _ownerOf(_agentOf[entityId]);
    }
}
