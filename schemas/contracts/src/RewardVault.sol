// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {EntityDirectory} from "./EntityDirectory.sol";
import {TributaryCodes} from "./TributaryCodes.sol";
import {TributaryIds} from "./TributaryIds.sol";

/// @title The escrow: money comes in as payments and goes out as proven claims
/// @notice Who is owed what is computed off chain, from these events alone, and published as one Merkle root an
/// epoch over (account, token, cumulative). The vault guarantees what it can see by itself: it announces only
/// money that arrived, it never pays an account more than its cumulative amount, it never pays out more of a
/// token than was published, and it publishes nothing that it does not hold.
/// @dev Roles: POLICY_ROLE sets policies; OPERATOR_ROLE refunds and releases suspense; GUARDIAN_ROLE scores,
/// slashes and quarantines; PUBLISHER_ROLE publishes epochs. The native token is the zero address.
///
/// Limits, on purpose: tokens that rebase are not supported (money that shrinks in escrow cannot be seen as it
/// happens). Money that a refund made superfluous, slashed stake and what is sent without a call stay in the
/// vault and can leave it only by a published root. Stake can be taken back at once.
contract RewardVault is EntityDirectory, AccessControl, ReentrancyGuard {
    using SafeERC20 for IERC20;

    bytes32 public constant POLICY_ROLE = keccak256("POLICY_ROLE");
    bytes32 public constant OPERATOR_ROLE = keccak256("OPERATOR_ROLE");
    bytes32 public constant GUARDIAN_ROLE = keccak256("GUARDIAN_ROLE");
    bytes32 public constant PUBLISHER_ROLE = keccak256("PUBLISHER_ROLE");

    /// @notice The native token's address in every event and argument.
    address public constant NATIVE = address(0);
    /// @notice Amounts are below this everywhere in Tributary.
    uint256 public constant AMOUNT_LIMIT = 1e38;
    /// @notice A policy's longest text, in bytes.
    uint256 public constant POLICY_BYTES_MAX = 16 * 1024;
    /// @notice A split's longest list.
    uint256 public constant PAYEES_MAX = 256;
    /// @notice Scores and multipliers count in millionths.
    uint32 public constant SCORE_MAX = 1_000_000;

    struct Payment {
        address payer;
        address token;
        uint256 amount;
        uint256 refunded;
    }

    struct Epoch {
        bool published;
        uint64 number;
        uint64 lastBlock;
        bytes32 root;
    }

    /// @notice Money arrived. `paymentId` is a native key: keccak256(payer ‖ nonce u64be). `ref` refers: the
    /// entity id of an inference or a batch, or zero.
    event RevenueReceived(
        bytes32 indexed paymentId,
        bytes32 indexed subjectVersionId,
        address indexed payer,
        address token,
        uint256 amount,
        bytes32 ref
    );
    /// @notice Money went back to the payer. `paymentId` refers: the payment's entity id.
    event RevenueRefunded(bytes32 indexed paymentId, address indexed to, uint256 amount);
    /// @notice Money for a pool: the entity id of a model, or zero for all.
    event PoolFunded(bytes32 indexed pool, uint64 indexed epoch, address indexed token, uint256 amount);
    /// @notice A policy for payments after this position. `policyHash` is keccak256(policy).
    event RewardPolicySet(bytes32 indexed scope, bytes32 indexed policyHash, uint32 version, bytes policy);
    /// @notice How the owner's part of an entity is split. `subject` is its entity id; shares in 10^-9.
    event SplitSet(bytes32 indexed subject, address[] accounts, uint32[] shares);
    /// @notice Where an account wants to be paid; zero unsets.
    event PayoutAddressSet(address indexed account, address indexed payout);
    /// @notice Where the owner's part of an entity is paid; zero unsets. `entity` is its entity id.
    event EntityPayoutSet(bytes32 indexed entity, address indexed payout);
    /// @notice Stake moved. This event alone carries balances; `Slashed` says why one fell.
    event StakeChanged(bytes32 indexed pool, address indexed account, int256 delta, uint256 balanceAfter);
    /// @notice Stake was lost over `subject`, an entity id. A StakeChanged follows in the same call.
    event Slashed(
        bytes32 indexed pool, address indexed account, bytes32 indexed subject, uint256 amount, uint8 cause
    );
    /// @notice An account's penalty score, in millionths, for `scope` (an entity id, or zero for all).
    event PenaltyScoreSet(address indexed account, bytes32 indexed scope, uint32 score, bytes32 reason);
    /// @notice An account's money is held (`on`) or no more.
    event AccountQuarantined(address indexed account, bool on, bytes32 reason);
    /// @notice Money in suspense for `reason` about `subject` is released: 0 to its payees, 1 to the payer, 2 to
    /// the treasury.
    event SuspenseReleased(bytes32 indexed reason, bytes32 indexed subject, uint8 to);
    /// @notice An epoch is settled; once per token, with the one root over all tokens. `total` is the sum of
    /// the cumulative amounts of the token's leaves.
    event EpochSettled(
        uint64 indexed epoch,
        address indexed token,
        bytes32 root,
        uint256 total,
        uint64 lastBlock,
        bytes32 ledgerDigest
    );
    /// @notice `amount` was paid out against the root of `epoch`.
    event RewardClaimed(uint64 indexed epoch, address indexed account, address indexed token, uint256 amount);

    /// @notice Zero, or not below `AMOUNT_LIMIT`.
    error AmountOutOfRange(uint256 amount);
    /// @notice The token delivered another amount than it was asked for.
    error DidNotArrive(address token, uint256 expected, uint256 arrived);
    /// @notice The native money sent is not what the call needs.
    error WrongValue(uint256 expected, uint256 got);
    /// @notice No payment has this entity id.
    error UnknownPayment(bytes32 payment);
    /// @notice More than what is left of the payment.
    error RefundTooLarge(uint256 left, uint256 asked);
    /// @notice More than the account has at stake.
    error StakeTooLow(uint256 balance, uint256 asked);
    /// @notice A policy must be 1 to `POLICY_BYTES_MAX` bytes.
    error PolicySize(uint256 bytes_);
    /// @notice Accounts must ascend strictly, be nonzero and as many as the shares; shares sum to 10^9.
    error BadSplit();
    /// @notice The score is above `SCORE_MAX`.
    error BadScore(uint32 score);
    /// @notice `code` has no meaning here.
    error BadCode(uint8 code);
    /// @notice Epochs and their last blocks rise strictly, and the last block is a past one.
    error EpochNotMonotonic(uint64 epoch, uint64 lastBlock);
    /// @notice Tokens must ascend strictly, at least one, as many as the totals.
    error BadTokens();
    /// @notice A cumulative total never falls.
    error TotalDecreased(address token, uint256 before, uint256 total);
    /// @notice The vault does not hold what the root would let people claim.
    error Insolvent(address token, uint256 owed, uint256 held);
    /// @notice The proof does not lead to the current root.
    error WrongProof(address account, address token, uint256 cumulative);
    /// @notice All of it was paid already.
    error NothingToClaim(address account, address token);
    /// @notice The root grants more than the totals published with it.
    error ExceedsTotal(address token, uint256 total, uint256 claimedAfter);

    /// @notice What stake is made of.
    address public immutable stakeToken;

    /// @notice The epoch whose root is in force.
    Epoch public current;
    mapping(bytes32 payment => Payment) public payments;
    mapping(address payer => uint64) public nonces;
    mapping(bytes32 scope => uint32) public policyVersion;
    mapping(bytes32 pool => mapping(address account => uint256)) public stakeOf;
    mapping(address token => uint256) public publishedTotal;
    mapping(address token => uint256) public claimedTotal;
    mapping(address account => mapping(address token => uint256)) public claimed;
    /// @notice All stake; it is no part of the escrow.
    uint256 public staked;

    constructor(address admin, address[] memory registries_, address stakeToken_) EntityDirectory(registries_) {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        stakeToken = stakeToken_;
    }

    // ------------------------------------------------------------------ money in

    /// @notice Pays for a version of an agent or a model in the native token.
    /// @return payment The payment's entity id.
    function pay(bytes32 subjectVersionId, bytes32 ref) external payable nonReentrant returns (bytes32 payment) {
        return _receivePayment(NATIVE, subjectVersionId, msg.value, ref);
    }

    /// @notice Pays in an ERC-20. A token that delivers less than asked (a fee on transfer) is refused.
    /// @return payment The payment's entity id.
    function payToken(address token, bytes32 subjectVersionId, uint256 amount, bytes32 ref)
        external
        nonReentrant
        returns (bytes32 payment)
    {
        return _receivePayment(token, subjectVersionId, amount, ref);
    }

    /// @notice Funds a pool for an epoch, in either kind of token.
    function fundPool(bytes32 pool, uint64 epoch, address token, uint256 amount) external payable nonReentrant {
        _checkAmount(amount);
        _take(token, amount);
        emit PoolFunded(pool, epoch, token, amount);
    }

    /// @notice Refunds part or all of a payment to its payer, with money the operator brings along.
    /// @dev Never from escrow: whether the payment is settled already is known off chain before it is known
    /// here, and escrow that a root counts on must not leave.
    function refund(bytes32 payment, uint256 amount) external payable nonReentrant onlyRole(OPERATOR_ROLE) {
        Payment storage p = payments[payment];
        if (p.payer == address(0)) revert UnknownPayment(payment);
        _checkAmount(amount);
        if (amount > p.amount - p.refunded) revert RefundTooLarge(p.amount - p.refunded, amount);
        p.refunded += amount;
        emit RevenueRefunded(payment, p.payer, amount);
        _take(p.token, amount);
        _give(p.token, p.payer, amount);
    }

    // ------------------------------------------------------------------ stake

    /// @notice Stakes on a pool: the entity id of a model, or zero for all.
    function stake(bytes32 pool, uint256 amount) external payable nonReentrant {
        _checkAmount(amount);
        _take(stakeToken, amount);
        staked += amount;
        uint256 balance = stakeOf[pool][msg.sender] += amount;
        // Amounts are below 10^38, so they fit.
        emit StakeChanged(pool, msg.sender, int256(amount), balance);
    }

    /// @notice Takes stake back.
    function unstake(bytes32 pool, uint256 amount) external nonReentrant {
        _lowerStake(pool, msg.sender, amount);
        _give(stakeToken, msg.sender, amount);
    }

    /// @notice Takes stake away over `subject`. The money joins the escrow.
    function slash(bytes32 pool, address account, bytes32 subject, uint256 amount, uint8 cause)
        external
        onlyRole(GUARDIAN_ROLE)
    {
        emit Slashed(pool, account, subject, amount, cause);
        _lowerStake(pool, account, amount);
    }

    // ------------------------------------------------------------------ who is paid, and how

    /// @notice Sets a policy; its version counts from 1 within the scope (an entity id, or zero for all).
    function setPolicy(bytes32 scope, bytes calldata policy) external onlyRole(POLICY_ROLE) {
        if (policy.length == 0 || policy.length > POLICY_BYTES_MAX) revert PolicySize(policy.length);
        emit RewardPolicySet(scope, keccak256(policy), ++policyVersion[scope], policy);
    }

    /// @notice Splits the owner's part of an entity. Ascending accounts leave no room for one named twice.
    function setSplit(bytes32 subject, address[] calldata accounts, uint32[] calldata shares)
        external
        onlyEntityOwner(subject)
    {
        if (accounts.length != shares.length || accounts.length > PAYEES_MAX) revert BadSplit();
        address last = address(0);
        uint256 sum = 0;
        for (uint256 i = 0; i < accounts.length; ++i) {
            if (accounts[i] <= last) revert BadSplit();
            last = accounts[i];
            sum += shares[i];
        }
        if (sum != TributaryCodes.PPB) revert BadSplit();
        emit SplitSet(subject, accounts, shares);
    }

    /// @notice Says where the caller wants to be paid.
    function setPayout(address payout) external {
        emit PayoutAddressSet(msg.sender, payout);
    }

    /// @notice Says where the owner's part of an entity is paid.
    function setEntityPayout(bytes32 entity, address payout) external onlyEntityOwner(entity) {
        emit EntityPayoutSet(entity, payout);
    }

    /// @notice Scores an account.
    function setPenaltyScore(address account, bytes32 scope, uint32 score, bytes32 reason)
        external
        onlyRole(GUARDIAN_ROLE)
    {
        if (score > SCORE_MAX) revert BadScore(score);
        emit PenaltyScoreSet(account, scope, score, reason);
    }

    /// @notice Holds an account's money, or stops holding it.
    function setQuarantine(address account, bool on, bytes32 reason) external onlyRole(GUARDIAN_ROLE) {
        emit AccountQuarantined(account, on, reason);
    }

    /// @notice Releases money held in suspense.
    function releaseSuspense(bytes32 reason, bytes32 subject, uint8 to) external onlyRole(OPERATOR_ROLE) {
        if (to > TributaryCodes.TO_TREASURY) revert BadCode(to);
        emit SuspenseReleased(reason, subject, to);
    }

    // ------------------------------------------------------------------ money out

    /// @notice Publishes an epoch: one root, and per token the sum of its cumulative amounts.
    /// @dev A token left out keeps its last total.
    function publishEpoch(
        uint64 epoch,
        uint64 lastBlock,
        bytes32 ledgerDigest,
        bytes32 root,
        address[] calldata tokens,
        uint256[] calldata totals
    ) external nonReentrant onlyRole(PUBLISHER_ROLE) {
        bool rises = !current.published || (epoch > current.number && lastBlock > current.lastBlock);
        if (!rises || lastBlock >= block.number) revert EpochNotMonotonic(epoch, lastBlock);
        if (tokens.length == 0 || tokens.length != totals.length) revert BadTokens();
        current = Epoch(true, epoch, lastBlock, root);
        for (uint256 i = 0; i < tokens.length; ++i) {
            if (i > 0 && tokens[i] <= tokens[i - 1]) revert BadTokens();
            _publishTotal(tokens[i], totals[i]);
            emit EpochSettled(epoch, tokens[i], root, totals[i], lastBlock, ledgerDigest);
        }
    }

    /// @notice Pays `account` what it is owed in `token` and has not had. Anyone may call; the money goes to the
    /// account.
    /// @param cumulative All that `account` ever earned in `token`, as in the tree.
    /// @param proof The siblings, from the leaf up.
    /// @return amount What was paid.
    function claim(address account, address token, uint256 cumulative, bytes32[] calldata proof)
        external
        nonReentrant
        returns (uint256 amount)
    {
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(account, token, cumulative))));
        if (!MerkleProof.verifyCalldata(proof, current.root, leaf)) revert WrongProof(account, token, cumulative);
        uint256 before = claimed[account][token];
        if (cumulative <= before) revert NothingToClaim(account, token);
        amount = cumulative - before;
        uint256 claimedAfter = claimedTotal[token] + amount;
        if (claimedAfter > publishedTotal[token]) {
            revert ExceedsTotal(token, publishedTotal[token], claimedAfter);
        }
        claimed[account][token] = cumulative;
        claimedTotal[token] = claimedAfter;
        emit RewardClaimed(current.number, account, token, amount);
        _give(token, account, amount);
    }

    /// @notice What of `token` backs the roots: all the vault has, less what is at stake.
    function escrowed(address token) public view returns (uint256) {
        return _balance(token) - (token == stakeToken ? staked : 0);
    }

    // ------------------------------------------------------------------ parts

    function _receivePayment(address token, bytes32 subjectVersionId, uint256 amount, bytes32 ref)
        private
        returns (bytes32 payment)
    {
        _checkAmount(amount);
        bytes32 key = TributaryIds.keyOf(msg.sender, nonces[msg.sender]++);
        payment = TributaryIds.localId(TributaryIds.PAYMENT, key);
        payments[payment] = Payment(msg.sender, token, amount, 0);
        _take(token, amount);
        emit RevenueReceived(key, subjectVersionId, msg.sender, token, amount, ref);
    }

    function _publishTotal(address token, uint256 total) private {
        uint256 before = publishedTotal[token];
        if (total < before) revert TotalDecreased(token, before, total);
        uint256 owed = total - claimedTotal[token];
        uint256 held = escrowed(token);
        if (held < owed) revert Insolvent(token, owed, held);
        publishedTotal[token] = total;
    }

    function _lowerStake(bytes32 pool, address account, uint256 amount) private {
        _checkAmount(amount);
        uint256 balance = stakeOf[pool][account];
        if (amount > balance) revert StakeTooLow(balance, amount);
        stakeOf[pool][account] = balance - amount;
        staked -= amount;
        emit StakeChanged(pool, account, -int256(amount), balance - amount);
    }

    /// @dev Takes exactly `amount` from the caller, or reverts.
    function _take(address token, uint256 amount) private {
        uint256 value = token == NATIVE ? amount : 0;
        if (msg.value != value) revert WrongValue(value, msg.value);
        if (token == NATIVE) return;
        uint256 before = _balance(token);
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 arrived = _balance(token) - before;
        if (arrived != amount) revert DidNotArrive(token, amount, arrived);
    }

    function _give(address token, address to, uint256 amount) private {
        if (token == NATIVE) Address.sendValue(payable(to), amount);
        else IERC20(token).safeTransfer(to, amount);
    }

    function _balance(address token) private view returns (uint256) {
        return token == NATIVE ? address(this).balance : IERC20(token).balanceOf(address(this));
    }

    function _checkAmount(uint256 amount) private pure {
        if (amount == 0 || amount >= AMOUNT_LIMIT) revert AmountOutOfRange(amount);
    }
}
