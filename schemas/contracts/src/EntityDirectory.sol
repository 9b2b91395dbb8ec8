// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// @title Who owns an entity
/// @notice Every registry of the suite answers this for the entities it issued.
interface IEntityOwner {
    /// @return The owner of `entityId`, or zero when this registry did not issue it.
    function ownerOfEntity(bytes32 entityId) external view returns (address);
}

/// @title A fixed list of registries that are believed about ownership
/// @dev Entity ids hold the address of the registry that issued them, so at most one registry knows an id.
abstract contract EntityDirectory is IEntityOwner {
    IEntityOwner[] private _registries;

    /// @notice `caller` does not own `entity`.
    error NotEntityOwner(bytes32 entity, address caller);

    modifier onlyEntityOwner(bytes32 entity) {
        if (ownerOfEntity(entity) != msg.sender) revert NotEntityOwner(entity, msg.sender);
        _;
    }

    constructor(address[] memory registries_) {
        for (uint256 i = 0; i < registries_.length; ++i) {
            _registries.push(IEntityOwner(registries_[i]));
        }
    }

    /// @inheritdoc IEntityOwner
    function ownerOfEntity(bytes32 entity) public view returns (address owner) {
        for (uint256 i = 0; i < _registries.length && owner == address(0); ++i) {
            owner = _registries[i].ownerOfEntity(entity);
        }
    }

    /// @notice The registries, in the order they are asked.
    function registries() external view returns (address[] memory list) {
        list = new address[](_registries.length);
        for (uint256 i = 0; i < list.length; ++i) {
            list[i] = address(_registries[i]);
        }
    }
}
