// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {IEntityOwner} from "./EntityDirectory.sol";
import {TributaryCodes} from "./TributaryCodes.sol";
import {TributaryIds} from "./TributaryIds.sol";
import {Upstreams} from "./Upstreams.sol";

/// @title Models, their versions and what they were made from
contract ModelRegistry is IEntityOwner {
    struct Model {
        address owner;
        uint32 lastVersion;
    }

    /// @notice A model begins. `modelId` is its native key, a counter from 1; `kind` is 0 base, 1 fine-tune,
    /// 2 adapter, 3 merge, 4 quantized, 5 distilled.
    event ModelRegistered(
        uint256 indexed modelId, address indexed owner, uint8 kind, bytes32 metadataHash, string metadataURI
    );
    /// @notice A model changes hands; epochs cut later pay the new owner.
    event ModelOwnershipTransferred(uint256 indexed modelId, address indexed from, address indexed to);
    /// @notice A version is published. `upstream` holds version ids (or entity ids of externals); `shares` are
    /// in 10^-9, 0xffffffff for one not given; `relations` as in the vocabulary (0 trained on, 1 evaluated on, 2
    /// to 6 based on: fine-tune, adapter, merge, quantized, distilled).
    event ModelVersionPublished(
        uint256 indexed modelId,
        uint32 indexed version,
        bytes32 artifactHash,
        bytes32 configHash,
        bytes32 licenseId,
        bytes32[] upstream,
        uint8[] relations,
        uint32[] shares
    );
    /// @notice An edge named after publication. It counts from the next epoch.
    event LineageAsserted(
        bytes32 indexed fromVersionId, bytes32 indexed toVersionId, uint8 relation, uint32 sharePpb, address asserter
    );
    /// @notice An asserted edge ends.
    event LineageRetracted(bytes32 indexed fromVersionId, bytes32 indexed toVersionId, uint8 relation);
    /// @notice A version should not be built upon any more.
    event VersionDeprecated(bytes32 indexed versionId, bytes32 reason);

    /// @notice `modelId` is not the caller's.
    error NotOwner(uint256 modelId, address caller);
    /// @notice The model has no such version.
    error UnknownVersion(uint256 modelId, uint32 version);
    /// @notice The zero address cannot own a model.
    error ZeroOwner();

    uint256 public modelCount;
    mapping(uint256 modelId => Model) public models;
    mapping(bytes32 entityId => uint256) private _modelOf;

    modifier onlyOwner(uint256 modelId) {
        if (models[modelId].owner != msg.sender) revert NotOwner(modelId, msg.sender);
        _;
    }

    /// @notice Registers a model owned by the caller.
    function registerModel(uint8 kind, bytes32 metadataHash, string calldata metadataURI)
        external
        returns (uint256 modelId)
    {
        modelId = ++modelCount;
        models[modelId] = Model(msg.sender, 0);
        _modelOf[entityIdOf(modelId)] = modelId;
        emit ModelRegistered(modelId, msg.sender, kind, metadataHash, metadataURI);
    }

    /// @notice Hands a model to `to`.
    function transferOwnership(uint256 modelId, address to) external onlyOwner(modelId) {
        if (to == address(0)) revert ZeroOwner();
        models[modelId].owner = to;
        emit ModelOwnershipTransferred(modelId, msg.sender, to);
    }

    /// @notice Publishes the next version.
    /// @return version Counts from 1 without gaps.
    function publishVersion(
        uint256 modelId,
        bytes32 artifactHash,
        bytes32 configHash,
        bytes32 licenseId,
        bytes32[] calldata upstream,
        uint8[] calldata relations,
        uint32[] calldata shares
    ) external onlyOwner(modelId) returns (uint32 version) {
        Upstreams.check(upstream, relations, shares);
        version = ++models[modelId].lastVersion;
        emit ModelVersionPublished(
            modelId, version, artifactHash, configHash, licenseId, upstream, relations, shares
        );
    }

    /// @notice Names an edge from a published version of the caller's model.
    function assertLineage(uint256 modelId, uint32 version, bytes32 toVersionId, uint8 relation, uint32 sharePpb)
        external
        onlyOwner(modelId)
    {
        if (sharePpb > TributaryCodes.PPB && sharePpb != TributaryCodes.NO_SHARE) {
            revert Upstreams.ShareSumExceeded(sharePpb);
        }
        emit LineageAsserted(_published(modelId, version), toVersionId, relation, sharePpb, msg.sender);
    }

    /// @notice Ends an asserted edge.
    function retractLineage(uint256 modelId, uint32 version, bytes32 toVersionId, uint8 relation)
        external
        onlyOwner(modelId)
    {
        emit LineageRetracted(_published(modelId, version), toVersionId, relation);
    }

    /// @notice Marks a version as one not to build upon.
    function deprecateVersion(uint256 modelId, uint32 version, bytes32 reason) external onlyOwner(modelId) {
        emit VersionDeprecated(_published(modelId, version), reason);
    }

    /// @notice The entity id of a model.
    function entityIdOf(uint256 modelId) public view returns (bytes32) {
        return TributaryIds.localId(TributaryIds.MODEL, bytes32(modelId));
    }

    /// @notice The id of a version, published or not.
    function versionIdOf(uint256 modelId, uint32 version) public view returns (bytes32) {
        return TributaryIds.versionId(entityIdOf(modelId), version);
    }

    /// @inheritdoc IEntityOwner
    function ownerOfEntity(bytes32 entityId) external view returns (address) {
        return models[_modelOf[entityId]].owner;
    }

    function _published(uint256 modelId, uint32 version) private view returns (bytes32) {
        if (version == 0 || version > models[modelId].lastVersion) revert UnknownVersion(modelId, version);
        return versionIdOf(modelId, version);
    }
}
