// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {EntityDirectory} from "./EntityDirectory.sol";
import {TributaryCodes} from "./TributaryCodes.sol";
import {TributaryIds} from "./TributaryIds.sol";

/// @title Where producers say which data an answer came from
/// @notice The records themselves lie in blobs; the hub holds their commitments, in the order of a producer's
/// `seq`, and the bonds of those who challenge them.
/// @dev Roles: the admin allows producers hub-wide, RESOLVER_ROLE decides challenges. The owner of a model or
/// an agent allows producers for it alone.
contract AttributionHub is EntityDirectory, AccessControl, ReentrancyGuard {
    bytes32 public constant RESOLVER_ROLE = keccak256("RESOLVER_ROLE");

    struct Batch {
        address producer;
        uint32 inferenceCount;
        uint64 blockNumber;
        bool rejected;
        address challenger;
        uint256 bond;
    }

    /// @notice A way of attributing. `methodId` is a native key: keccak256(registrant ‖ nonce u64be).
    /// @param valueKind 0 signed, 1 non-negative, 2 share.
    /// @param verifiability 0 claim, 1 arithmetic, 2 recomputable, 3 attested.
    event MethodRegistered(
        bytes32 indexed methodId,
        address indexed registrant,
        uint8 valueKind,
        uint8 verifiability,
        bytes32 paramsHash,
        string name
    );
    /// @notice A producer may, or may no more, speak for `scope`: the entity id of a subject, or zero for all.
    event ProducerSet(bytes32 indexed scope, address indexed producer, bool allowed);
    /// @notice A batch of records lies in a blob. `batchId` is a native key: keccak256(producer ‖ seq u64be);
    /// `methodId` refers, so it is the entity id of the method.
    /// @param payloadHash keccak256 of the file.
    /// @param recordsRoot Merkle root with one leaf per inference, by index:
    /// leaf = keccak256(0x00 ‖ index u32be ‖ inference_id ‖ subject ‖ keccak256(records)), node =
    /// keccak256(0x01 ‖ left ‖ right), the odd node promoted.
    event AttributionBatchCommitted(
        bytes32 indexed batchId,
        address indexed producer,
        bytes32 indexed methodId,
        uint64 seq,
        uint32 inferenceCount,
        uint32 recordCount,
        bytes32 payloadHash,
        bytes32 recordsRoot,
        bytes blobRef
    );
    /// @notice Somebody doubts an inference of a batch. `batchId` refers: the batch's entity id.
    event AttributionBatchChallenged(
        bytes32 indexed batchId, address indexed challenger, uint32 inferenceIndex, address token, uint256 bond
    );
    /// @notice A challenge ends: 0 upheld (the batch is rejected), 1 rejected (it stands), 2 replaced by
    /// another. Both ids refer and are entity ids.
    event AttributionBatchResolved(bytes32 indexed batchId, uint8 outcome, bytes32 replacementBatchId);
    /// @notice An answer was given. `inferenceId` is a native key: keccak256(recorder ‖ nonce u64be).
    event InferenceRecorded(
        bytes32 indexed inferenceId,
        bytes32 indexed subjectVersionId,
        address indexed payer,
        bytes32 requestHash,
        bytes32 responseHash,
        uint32 tokensIn,
        uint32 tokensOut
    );

    /// @notice `account` is no producer for `scope`.
    error NotProducer(bytes32 scope, address account);
    /// @notice No method has this entity id.
    error UnknownMethod(bytes32 method);
    /// @notice No batch has this entity id.
    error UnknownBatch(bytes32 batch);
    /// @notice The producer's next `seq` is another.
    error WrongSeq(uint64 expected, uint64 got);
    /// @notice A batch without inferences says nothing.
    error EmptyBatch();
    /// @notice The batch has a challenge already, has none, or has lost one.
    error BadState(bytes32 batch);
    /// @notice Too late to challenge.
    error WindowClosed(bytes32 batch, uint256 lastBlock);
    /// @notice The batch has no inference of this index.
    error NoSuchInference(bytes32 batch, uint32 index);
    /// @notice The bond is below the minimum.
    error BondTooLow(uint256 minimum, uint256 got);
    /// @notice `code` is no outcome, or does not go with the replacement given.
    error BadOutcome(uint8 code, bytes32 replacement);
    /// @notice There is no bond to take back.
    error NoBond(address account);

    /// @notice Blocks after a commit in which it can be challenged; at least the policy's `challenge_blocks`.
    uint64 public immutable challengeBlocks;
    /// @notice The least a challenger puts at stake, in the native token.
    uint256 public immutable minimumBond;

    mapping(bytes32 scope => mapping(address producer => bool)) public isProducer;
    mapping(address producer => uint256) public scopesOf;
    mapping(address producer => uint64) public nextSeq;
    mapping(address account => uint64) public nonces;
    mapping(bytes32 method => bool) public isMethod;
    mapping(bytes32 batch => Batch) public batches;
    mapping(address account => uint256) public bondsOwed;

    constructor(address admin, address[] memory registries_, uint64 challengeBlocks_, uint256 minimumBond_)
        EntityDirectory(registries_)
    {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        challengeBlocks = challengeBlocks_;
        minimumBond = minimumBond_;
    }

    /// @notice Registers a way of attributing.
    /// @return method Its entity id, by which batches refer to it.
    function registerMethod(uint8 valueKind, uint8 verifiability, bytes32 paramsHash, string calldata name)
        external
        returns (bytes32 method)
    {
        bytes32 key = TributaryIds.keyOf(msg.sender, nonces[msg.sender]++);
        method = TributaryIds.localId(TributaryIds.METHOD, key);
        isMethod[method] = true;
        emit MethodRegistered(key, msg.sender, valueKind, verifiability, paramsHash, name);
    }

    /// @notice Allows a producer: for all subjects by the admin (`scope` zero), for one by its owner.
    function setProducer(bytes32 scope, address producer, bool allowed) external {
        if (scope == bytes32(0)) _checkRole(DEFAULT_ADMIN_ROLE);
        else if (ownerOfEntity(scope) != msg.sender) revert NotEntityOwner(scope, msg.sender);
        if (isProducer[scope][producer] != allowed) {
            isProducer[scope][producer] = allowed;
            if (allowed) ++scopesOf[producer];
            else --scopesOf[producer];
        }
        emit ProducerSet(scope, producer, allowed);
    }

    /// @notice Records that version `version` of `subject` answered; for its producers.
    /// @return inference Its entity id, by which payments and records refer to it.
    function recordInference(
        bytes32 subject,
        uint32 version,
        address payer,
        bytes32 requestHash,
        bytes32 responseHash,
        uint32 tokensIn,
        uint32 tokensOut
    ) external returns (bytes32 inference) {
        if (!isProducer[subject][msg.sender] && !isProducer[bytes32(0)][msg.sender]) {
            revert NotProducer(subject, msg.sender);
        }
        bytes32 key = TributaryIds.keyOf(msg.sender, nonces[msg.sender]++);
        inference = TributaryIds.localId(TributaryIds.INFERENCE, key);
        emit InferenceRecorded(
            key, TributaryIds.versionId(subject, version), payer, requestHash, responseHash, tokensIn, tokensOut
        );
    }

    /// @notice Commits to a batch. The subjects lie in the blob, so the hub asks only that somebody allows the
    /// producer; records about subjects that do not are refused when the blob is read.
    /// @param seq How many batches the producer committed before; it is in the file as well, so it is checked, not
    /// assigned.
    /// @return batch Its entity id.
    function commitBatch(
        bytes32 method,
        uint64 seq,
        uint32 inferenceCount,
        uint32 recordCount,
        bytes32 payloadHash,
        bytes32 recordsRoot,
        bytes calldata blobRef
    ) external returns (bytes32 batch) {
        if (scopesOf[msg.sender] == 0) revert NotProducer(bytes32(0), msg.sender);
        if (!isMethod[method]) revert UnknownMethod(method);
        if (inferenceCount == 0) revert EmptyBatch();
        if (seq != nextSeq[msg.sender]) revert WrongSeq(nextSeq[msg.sender], seq);
        nextSeq[msg.sender] = seq + 1;
        bytes32 key = TributaryIds.keyOf(msg.sender, seq);
        batch = TributaryIds.localId(TributaryIds.BATCH, key);
        batches[batch] = Batch(msg.sender, inferenceCount, uint64(block.number), false, address(0), 0);
        emit AttributionBatchCommitted(
            key, msg.sender, method, seq, inferenceCount, recordCount, payloadHash, recordsRoot, blobRef
        );
    }

    /// @notice Doubts one inference of a batch, with a bond in the native token. One challenge at a time.
    function challengeBatch(bytes32 batch, uint32 inferenceIndex) external payable {
        Batch storage b = _known(batch);
        if (b.challenger != address(0) || b.rejected) revert BadState(batch);
        if (block.number > b.blockNumber + challengeBlocks) {
            revert WindowClosed(batch, b.blockNumber + challengeBlocks);
        }
        if (inferenceIndex >= b.inferenceCount) revert NoSuchInference(batch, inferenceIndex);
        if (msg.value < minimumBond) revert BondTooLow(minimumBond, msg.value);
        b.challenger = msg.sender;
        b.bond = msg.value;
        emit AttributionBatchChallenged(batch, msg.sender, inferenceIndex, address(0), msg.value);
    }

    /// @notice Decides a challenge. Upheld or replaced, the bond goes back to the challenger; rejected, it goes
    /// to the producer. Either takes it with `withdrawBond`, so nobody can block a decision.
    function resolveBatch(bytes32 batch, uint8 outcome, bytes32 replacement) external onlyRole(RESOLVER_ROLE) {
        Batch storage b = _known(batch);
        if (b.challenger == address(0)) revert BadState(batch);
        bool replaced = outcome == TributaryCodes.REPLACED;
        if (outcome > TributaryCodes.REPLACED || replaced != (replacement != bytes32(0)) || replacement == batch) {
            revert BadOutcome(outcome, replacement);
        }
        if (replaced) _known(replacement);
        b.rejected = outcome != TributaryCodes.REJECTED;
        bondsOwed[b.rejected ? b.challenger : b.producer] += b.bond;
        b.challenger = address(0);
        b.bond = 0;
        emit AttributionBatchResolved(batch, outcome, replacement);
    }

    /// @notice Pays the caller the bonds that are theirs.
    function withdrawBond() external nonReentrant {
        uint256 amount = bondsOwed[msg.sender];
        if (amount == 0) revert NoBond(msg.sender);
        bondsOwed[msg.sender] = 0;
        Address.sendValue(payable(msg.sender), amount);
    }

    function _known(bytes32 batch) private view returns (Batch storage b) {
        b = batches[batch];
        if (b.producer == address(0)) revert UnknownBatch(batch);
    }
}
