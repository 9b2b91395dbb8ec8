//! Who may do what: every gated function refuses a stranger, and every function is either gated or known to be open.

use std::collections::BTreeSet;

use alloy::primitives::{Address, B256, Bytes, Selector, U256};
use alloy::sol_types::SolError;
use serde_json::Value;
use tributary_schemas::id::EntityKind;
use tributary_tests::generated;
use tributary_tests::suite::{AgentRegistry, AttributionHub, DatanetRegistry, ModelRegistry, RewardVault, vault_roles};

use super::{World, key_of, refusal, said, sent};

/// A function, the refusal a stranger got, the refusal that is right.
type Case = (&'static str, Selector, Selector);

const MISSING_ROLE: Selector = Selector::new(RewardVault::AccessControlUnauthorizedAccount::SELECTOR);

/// Functions that change state and are for anyone, by contract.
const OPEN: [(&str, &[&str]); 5] = [
    ("DatanetRegistry", &["createDatanet"]),
    ("ModelRegistry", &["registerModel"]),
    ("AgentRegistry", &["register", "setApprovalForAll"]),
    ("AttributionHub", &["registerMethod", "challengeBatch", "withdrawBond"]),
    ("RewardVault", &["pay", "payToken", "fundPool", "stake", "unstake", "setPayout", "claim"]),
];

/// Checks the cases of a contract, and that they and the open functions are all there is.
fn check(contract: &str, cases: &[Case]) {
    for (name, got, expected) in cases {
        assert_eq!(got, expected, "{contract}.{name}");
    }
    let path = generated::root().join(format!("schemas/contracts/artifacts/{contract}.json"));
    let artifact: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let changing: BTreeSet<&str> = artifact["abi"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| {
            item["type"] == "function" && item["stateMutability"] != "view" && item["stateMutability"] != "pure"
        })
        .map(|item| item["name"].as_str().unwrap())
        .collect();
    let open = OPEN.iter().find(|(name, _)| *name == contract).unwrap().1;
    let known: BTreeSet<&str> = cases.iter().map(|(name, _, _)| *name).chain(open.iter().copied()).collect();
    assert_eq!(changing, known, "{contract} has a function that no case covers, or the other way round");
}

#[tokio::test]
async fn strangers_cannot_touch_a_datanet() {
    let world = World::new().await;
    let (datanets, owner, stranger) = (&world.suite.datanets, world.people[0], world.people[8]);
    sent(datanets.createDatanet(1, B256::ZERO, B256::ZERO, String::new()).from(owner)).await;
    let (id, zero) = (U256::from(1), B256::ZERO);
    let submit = || datanets.submit(id, zero, 1, 1, zero, Bytes::new());
    let event: DatanetRegistry::ContributionSubmitted = said(&sent(submit().from(owner)).await);
    let key = event.contributionId;
    let c =
        tributary_schemas::id::entity_id(EntityKind::Contribution, super::CHAIN, *datanets.address(), key.as_slice());
    let no = Selector::new(DatanetRegistry::NotAllowed::SELECTOR);
    let by_owner = datanets.withdraw(c, 1, zero).from(owner);
    assert!(by_owner.call().await.is_ok(), "the owner revokes");
    let withdrawn_by_stranger = refusal(datanets.withdraw(c, 0, zero).from(stranger)).await;
    assert_eq!(withdrawn_by_stranger, no, "only its contributor withdraws a contribution");
    check(
        "DatanetRegistry",
        &[
            ("setMetadata", refusal(datanets.setMetadata(id, zero, String::new()).from(stranger)).await, no),
            ("transferOwnership", refusal(datanets.transferOwnership(id, stranger).from(stranger)).await, no),
            ("setRole", refusal(datanets.setRole(id, stranger, 0, true).from(stranger)).await, no),
            ("setAccess", refusal(datanets.setAccess(id, stranger, 0, 1, zero).from(stranger)).await, no),
            ("submit", refusal(submit().from(stranger)).await, no),
            ("review", refusal(datanets.review(c, 0, 0, zero).from(stranger)).await, no),
            ("withdraw", refusal(datanets.withdraw(c, 1, zero).from(stranger)).await, no),
            (
                "publishVersion",
                refusal(datanets.publishVersion(id, zero, 0, 0, 0, zero, Bytes::new()).from(stranger)).await,
                no,
            ),
        ],
    );
}

#[tokio::test]
async fn roles_in_a_datanet_open_only_their_own_doors() {
    let world = World::new().await;
    let (datanets, owner) = (&world.suite.datanets, world.people[0]);
    let (id, zero) = (U256::from(1), B256::ZERO);
    sent(datanets.createDatanet(2, zero, zero, String::new()).from(owner)).await;
    let event: DatanetRegistry::ContributionSubmitted =
        said(&sent(datanets.submit(id, zero, 1, 1, zero, Bytes::new()).from(owner)).await);
    let key = event.contributionId;
    let c =
        tributary_schemas::id::entity_id(EntityKind::Contribution, super::CHAIN, *datanets.address(), key.as_slice());
    // By role (validator, curator, contributor, producer): may it submit, review, publish?
    for (role, doors) in
        [(0, [false, true, false]), (1, [false, true, true]), (2, [true, false, false]), (3, [false; 3])]
    {
        let who = world.people[usize::from(role) + 1];
        sent(datanets.setRole(id, who, role, true).from(owner)).await;
        let tried = [
            datanets.submit(id, zero, 1, 1, zero, Bytes::new()).from(who).call().await.is_ok(),
            datanets.review(c, 0, 0, zero).from(who).call().await.is_ok(),
            datanets.publishVersion(id, zero, 0, 0, 0, zero, Bytes::new()).from(who).call().await.is_ok(),
        ];
        assert_eq!(tried, doors, "role {role}");
        sent(datanets.setRole(id, who, role, false).from(owner)).await;
        let review = datanets.review(c, 0, 0, zero).from(who);
        assert_eq!(refusal(review).await, DatanetRegistry::NotAllowed::SELECTOR, "role {role} taken back");
    }
}

#[tokio::test]
async fn strangers_cannot_touch_models_and_agents() {
    let world = World::new().await;
    let (models, agents) = (&world.suite.models, &world.suite.agents);
    let (owner, stranger) = (world.people[0], world.people[8]);
    let (id, zero) = (U256::from(1), B256::ZERO);
    sent(models.registerModel(0, zero, String::new()).from(owner)).await;
    sent(models.publishVersion(id, zero, zero, zero, vec![], vec![], vec![]).from(owner)).await;
    sent(agents.register(String::new()).from(owner)).await;
    let publish = models.publishVersion(id, zero, zero, zero, vec![], vec![], vec![]);
    let no = Selector::new(ModelRegistry::NotOwner::SELECTOR);
    check(
        "ModelRegistry",
        &[
            ("transferOwnership", refusal(models.transferOwnership(id, stranger).from(stranger)).await, no),
            ("publishVersion", refusal(publish.from(stranger)).await, no),
            ("assertLineage", refusal(models.assertLineage(id, 1, zero, 2, 0).from(stranger)).await, no),
            ("retractLineage", refusal(models.retractLineage(id, 1, zero, 2).from(stranger)).await, no),
            ("deprecateVersion", refusal(models.deprecateVersion(id, 1, zero).from(stranger)).await, no),
        ],
    );
    let publish = agents.publishVersion(id, zero, vec![], vec![], vec![]);
    let no = Selector::new(AgentRegistry::NotOwner::SELECTOR);
    let not_approved = Selector::new(AgentRegistry::ERC721InsufficientApproval::SELECTOR);
    let not_approver = Selector::new(AgentRegistry::ERC721InvalidApprover::SELECTOR);
    let safe = agents.safeTransferFrom_0(owner, stranger, id);
    check(
        "AgentRegistry",
        &[
            ("publishVersion", refusal(publish.from(stranger)).await, no),
            ("deprecateVersion", refusal(agents.deprecateVersion(id, 1, zero).from(stranger)).await, no),
            ("approve", refusal(agents.approve(stranger, id).from(stranger)).await, not_approver),
            ("transferFrom", refusal(agents.transferFrom(owner, stranger, id).from(stranger)).await, not_approved),
            ("safeTransferFrom", refusal(safe.from(stranger)).await, not_approved),
        ],
    );
}

#[tokio::test]
async fn strangers_cannot_speak_in_the_hub() {
    let world = World::new().await;
    let (hub, stranger) = (&world.suite.hub, world.people[8]);
    let batch = super::attribution::committed(&world, world.people[0]).await;
    let zero = B256::ZERO;
    let role = hub.RESOLVER_ROLE().call().await.unwrap();
    let record = hub.recordInference(zero, 1, stranger, zero, zero, 0, 0);
    let method = world.hub_id(EntityKind::Method, key_of(world.suite.admin, 0));
    let commit = hub.commitBatch(method, 0, 1, 1, zero, zero, Bytes::new());
    let not_producer = Selector::new(AttributionHub::NotProducer::SELECTOR);
    let bad_confirmation = Selector::new(AttributionHub::AccessControlBadConfirmation::SELECTOR);
    check(
        "AttributionHub",
        &[
            ("setProducer", refusal(hub.setProducer(zero, stranger, true).from(stranger)).await, MISSING_ROLE),
            ("recordInference", refusal(record.from(stranger)).await, not_producer),
            ("commitBatch", refusal(commit.from(stranger)).await, not_producer),
            ("resolveBatch", refusal(hub.resolveBatch(batch, 0, zero).from(stranger)).await, MISSING_ROLE),
            ("grantRole", refusal(hub.grantRole(role, stranger).from(stranger)).await, MISSING_ROLE),
            ("revokeRole", refusal(hub.revokeRole(role, world.suite.admin).from(stranger)).await, MISSING_ROLE),
            ("renounceRole", refusal(hub.renounceRole(role, world.suite.admin).from(stranger)).await, bad_confirmation),
        ],
    );
}

#[tokio::test]
async fn strangers_cannot_command_the_vault() {
    let world = World::new().await;
    let (vault, stranger, admin) = (&world.suite.vault, world.people[8], world.suite.admin);
    let payment = world.pay(world.people[0], 100).await;
    sent(world.suite.models.registerModel(0, B256::ZERO, String::new()).from(world.people[0])).await;
    let entity = world.suite.models.entityIdOf(U256::from(1)).call().await.unwrap();
    let (zero, one) = (B256::ZERO, U256::from(1));
    let no = Selector::new(RewardVault::NotEntityOwner::SELECTOR);
    let split = vault.setSplit(entity, vec![stranger], vec![1_000_000_000]);
    let publish = vault.publishEpoch(0, 1, zero, zero, vec![Address::ZERO], vec![U256::ZERO]);
    let role = vault_roles()[0];
    let bad_confirmation = Selector::new(RewardVault::AccessControlBadConfirmation::SELECTOR);
    check(
        "RewardVault",
        &[
            ("refund", refusal(vault.refund(payment, one).from(stranger).value(one)).await, MISSING_ROLE),
            ("slash", refusal(vault.slash(zero, admin, zero, one, 0).from(stranger)).await, MISSING_ROLE),
            ("setPolicy", refusal(vault.setPolicy(zero, Bytes::from_static(b"{}")).from(stranger)).await, MISSING_ROLE),
            ("setSplit", refusal(split.from(stranger)).await, no),
            ("setEntityPayout", refusal(vault.setEntityPayout(entity, stranger).from(stranger)).await, no),
            (
                "setPenaltyScore",
                refusal(vault.setPenaltyScore(admin, zero, 1, zero).from(stranger)).await,
                MISSING_ROLE,
            ),
            ("setQuarantine", refusal(vault.setQuarantine(admin, true, zero).from(stranger)).await, MISSING_ROLE),
            ("releaseSuspense", refusal(vault.releaseSuspense(zero, zero, 0).from(stranger)).await, MISSING_ROLE),
            ("publishEpoch", refusal(publish.from(stranger)).await, MISSING_ROLE),
            ("grantRole", refusal(vault.grantRole(role, stranger).from(stranger)).await, MISSING_ROLE),
            ("revokeRole", refusal(vault.revokeRole(role, admin).from(stranger)).await, MISSING_ROLE),
            ("renounceRole", refusal(vault.renounceRole(role, admin).from(stranger)).await, bad_confirmation),
        ],
    );
}

#[tokio::test]
async fn each_role_of_the_vault_opens_only_its_own_door() {
    let world = World::new().await;
    let (vault, admin) = (&world.suite.vault, world.suite.admin);
    let payment = world.pay(world.people[0], 100).await;
    let (zero, one) = (B256::ZERO, U256::from(1));
    let block = world.block_number().await;
    for (held, role) in vault_roles().into_iter().enumerate() {
        let who = world.people[held];
        sent(vault.grantRole(role, who).from(admin)).await;
        let publish = vault.publishEpoch(0, block, zero, zero, vec![Address::ZERO], vec![U256::ZERO]);
        let doors = [
            vault.setPolicy(zero, Bytes::from_static(b"{}")).from(who).call().await.is_ok(),
            vault.refund(payment, one).from(who).value(one).call().await.is_ok()
                && vault.releaseSuspense(zero, zero, 2).from(who).call().await.is_ok(),
            vault.setPenaltyScore(admin, zero, 1, zero).from(who).call().await.is_ok()
                && vault.setQuarantine(admin, true, zero).from(who).call().await.is_ok(),
            publish.from(who).call().await.is_ok(),
        ];
        let open: Vec<usize> = (0..doors.len()).filter(|door| doors[*door]).collect();
        assert_eq!(open, [held], "policy, operator, guardian, publisher");
    }
}

#[tokio::test]
async fn splits_and_payouts_follow_the_owner() {
    let world = World::new().await;
    let (vault, models) = (&world.suite.vault, &world.suite.models);
    let (seller, buyer) = (world.people[0], world.people[1]);
    sent(models.registerModel(0, B256::ZERO, String::new()).from(seller)).await;
    let entity = models.entityIdOf(U256::from(1)).call().await.unwrap();
    let (a, b) = (Address::repeat_byte(1), Address::repeat_byte(2));
    let split = |who, accounts: &[Address], shares: &[u32]| {
        vault.setSplit(entity, accounts.to_vec(), shares.to_vec()).from(who)
    };
    let halves = [500_000_000, 500_000_000];
    let expected = RewardVault::SplitSet { subject: entity, accounts: vec![a, b], shares: halves.to_vec() };
    assert_eq!(said::<RewardVault::SplitSet>(&sent(split(seller, &[a, b], &halves)).await), expected);
    for (name, accounts, shares) in [
        ("twice the same", vec![a, a], halves.to_vec()),
        ("out of order", vec![b, a], halves.to_vec()),
        ("nobody", vec![Address::ZERO, a], halves.to_vec()),
        ("too little", vec![a, b], vec![500_000_000, 499_999_999]),
        ("wrapping", vec![a, b], vec![u32::MAX, 1_000_000_001]),
        ("uneven", vec![a, b], vec![1_000_000_000]),
        ("empty", vec![], vec![]),
    ] {
        assert_eq!(refusal(split(seller, &accounts, &shares)).await, RewardVault::BadSplit::SELECTOR, "{name}");
    }

    sent(models.transferOwnership(U256::from(1), buyer).from(seller)).await;
    let no = RewardVault::NotEntityOwner::SELECTOR;
    assert_eq!(refusal(split(seller, &[a], &[1_000_000_000])).await, no, "sold");
    assert_eq!(refusal(vault.setEntityPayout(entity, a).from(seller)).await, no, "sold");
    assert_eq!(refusal(vault.setEntityPayout(B256::ZERO, a).from(seller)).await, no, "an entity of nobody");
    let receipt = sent(vault.setEntityPayout(entity, b).from(buyer)).await;
    let expected = RewardVault::EntityPayoutSet { entity, payout: b };
    assert_eq!(said::<RewardVault::EntityPayoutSet>(&receipt), expected);
    let receipt = sent(vault.setPayout(b).from(seller)).await;
    let expected = RewardVault::PayoutAddressSet { account: seller, payout: b };
    assert_eq!(said::<RewardVault::PayoutAddressSet>(&receipt), expected);
}

#[tokio::test]
async fn policies_are_hashed_bounded_and_counted() {
    let world = World::new().await;
    let (vault, admin) = (&world.suite.vault, world.suite.admin);
    let (scope, longest) = (B256::repeat_byte(1), vec![b' '; 16 * 1024]);
    for (n, (scope, policy)) in
        [(scope, longest.clone()), (scope, b"{}".to_vec()), (B256::ZERO, b"{}".to_vec())].into_iter().enumerate()
    {
        let receipt = sent(vault.setPolicy(scope, policy.clone().into()).from(admin)).await;
        let event: RewardVault::RewardPolicySet = said(&receipt);
        assert_eq!(event.policyHash, alloy::primitives::keccak256(&policy));
        assert_eq!(event.version, [1, 2, 1][n]);
    }
    for size in [0, 16 * 1024 + 1] {
        let call = vault.setPolicy(scope, vec![b' '; size].into()).from(admin);
        assert_eq!(refusal(call).await, RewardVault::PolicySize::SELECTOR, "{size} bytes");
    }
    let score = vault.setPenaltyScore(admin, scope, 1_000_001, scope).from(admin);
    assert_eq!(refusal(score).await, RewardVault::BadScore::SELECTOR);
    assert_eq!(refusal(vault.releaseSuspense(scope, scope, 3).from(admin)).await, RewardVault::BadCode::SELECTOR);
}
