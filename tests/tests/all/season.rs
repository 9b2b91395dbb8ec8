//! A whole season on Anvil with real transactions: from the first registration to money in contributors' hands.

mod mixed;

use alloy::network::TransactionBuilder as _;
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::providers::{DynProvider, Provider as _};
use alloy::rpc::types::TransactionRequest;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tributary_devnet::payload::{self, Inference, Record};
use tributary_schemas::batch::{BatchFooter, FORMAT};
use tributary_schemas::code::Relation;
use tributary_schemas::encoding::manifest_root;
use tributary_schemas::id::{AgentId, BatchId, ContributionId, DatasetId, MethodId, ModelId};
use tributary_schemas::policy::Policy;
use tributary_tests::anvil::Anvil;
use tributary_tests::blobs::BlobServer;
use tributary_tests::follower::{Follower, configure};
use tributary_tests::suite::{AttributionHub, DatanetRegistry, PlainToken, RewardVault, Suite, deploy_token, mined};

const CHAIN_ID: u64 = 1612;
/// Genesis time; blocks follow every two seconds.
const GENESIS: u64 = 1_750_000_000;
/// An epoch is 200 blocks: the season happens in the first one.
const EPOCH_SECONDS: u64 = 400;
const NO_SHARE: u32 = u32::MAX;

type Vault = RewardVault::RewardVaultInstance<DynProvider>;

/// The people of the season, all of them accounts of the node.
struct People {
    admin: Address,
    owner: Address,
    contributors: [Address; 4],
    producer: Address,
    payers: [Address; 2],
}

struct Season {
    provider: DynProvider,
    suite: Suite,
    blobs: BlobServer,
    people: People,
    token: PlainToken::PlainTokenInstance<DynProvider>,
}

/// What commits a batch, wherever that is said.
struct Commitment {
    batch: BatchId,
    key: B256,
    count: u32,
    records: u32,
    payload_hash: B256,
    root: B256,
    reference: Bytes,
}

async fn mine(provider: &DynProvider, blocks: u64) {
    let _answer: Value = provider.raw_request("anvil_mine".into(), [format!("{blocks:#x}")]).await.unwrap();
}

impl Season {
    async fn begin(anvil: &Anvil) -> Self {
        let provider = anvil.provider();
        let accounts = provider.get_accounts().await.unwrap();
        let people = People {
            admin: accounts[0],
            owner: accounts[1],
            contributors: [accounts[2], accounts[3], accounts[4], accounts[5]],
            producer: accounts[6],
            payers: [accounts[7], accounts[8]],
        };
        let _answer: Value = provider.raw_request("anvil_setBlockTimestampInterval".into(), [2]).await.unwrap();
        let suite = Suite::deploy(&provider, people.admin).await.unwrap();
        let token = deploy_token(&provider, people.admin).await.unwrap();
        let blobs = BlobServer::start().await.unwrap();
        Self { provider, suite, blobs, people, token }
    }

    async fn set_policy(&self) {
        let policy = Policy { unattributed_after_blocks: 30, blob_deadline_blocks: 100, ..Policy::default() };
        let bytes = Bytes::from(policy.canonical_json().into_bytes());
        mined(self.suite.vault.setPolicy(B256::ZERO, bytes).from(self.people.admin)).await.unwrap();
    }

    /// A datanet with contributions of `contributors`, all approved, in its first version.
    async fn datanet(&self, native: u64, contributors: &[Address]) -> (DatasetId, Vec<ContributionId>) {
        let datanets = &self.suite.datanets;
        let owner = self.people.owner;
        mined(datanets.createDatanet(0, B256::ZERO, B256::ZERO, format!("ipfs://datanet/{native}")).from(owner))
            .await
            .unwrap();
        let mut members = Vec::new();
        for (index, contributor) in (0_u64..).zip(contributors) {
            let content = keccak256(format!("{native}/{index}"));
            let rows = 100 * (index + 1);
            let call = datanets.submit(U256::from(native), content, rows, rows * 512, B256::ZERO, Bytes::new());
            let receipt = mined(call.from(*contributor)).await.unwrap();
            let log = receipt.decoded_log::<DatanetRegistry::ContributionSubmitted>().unwrap();
            let id = ContributionId::native(CHAIN_ID, *datanets.address(), log.contributionId);
            mined(datanets.review(id.0, 0, 90, B256::ZERO).from(owner)).await.unwrap();
            members.push(id);
        }
        members.sort_unstable();
        let manifest: Vec<u8> = members.iter().flat_map(|id| id.0.0).collect();
        let count = u32::try_from(members.len()).unwrap();
        let root = manifest_root(members.iter().copied());
        let reference = self.blobs.put(&manifest);
        let call = datanets.publishVersion(U256::from(native), root, count, 0, 600, B256::ZERO, reference);
        mined(call.from(owner)).await.unwrap();
        let key = B256::from(U256::from(native));
        (DatasetId::native(CHAIN_ID, *datanets.address(), key), members)
    }

    async fn model(&self, native: u64, kind: u8, upstream: Vec<(B256, Relation)>) -> B256 {
        let models = &self.suite.models;
        let owner = self.people.owner;
        mined(models.registerModel(kind, B256::ZERO, format!("ipfs://model/{native}")).from(owner)).await.unwrap();
        let (ids, relations): (Vec<_>, Vec<_>) = upstream.into_iter().map(|(id, one)| (id, one.number())).unzip();
        let shares = vec![NO_SHARE; ids.len()];
        let artifact = keccak256(format!("weights {native}"));
        let call = models.publishVersion(U256::from(native), artifact, B256::ZERO, B256::ZERO, ids, relations, shares);
        mined(call.from(owner)).await.unwrap();
        ModelId::native(CHAIN_ID, *models.address(), B256::from(U256::from(native))).version(1).0
    }

    async fn agent(&self, uses: B256) -> (AgentId, B256) {
        let agents = &self.suite.agents;
        let owner = self.people.owner;
        mined(agents.register("ipfs://agent/1".to_owned()).from(owner)).await.unwrap();
        let (ids, relations, shares) = (vec![uses], vec![Relation::UsesModel.number()], vec![NO_SHARE]);
        mined(agents.publishVersion(U256::from(1), B256::ZERO, ids, relations, shares).from(owner)).await.unwrap();
        let agent = AgentId::native(CHAIN_ID, *agents.address(), B256::from(U256::from(1)));
        (agent, agent.version(1).0)
    }

    async fn method(&self, agent: AgentId) -> MethodId {
        let hub = &self.suite.hub;
        let call = hub.registerMethod(0, 1, B256::ZERO, "influence".to_owned());
        let receipt = mined(call.from(self.people.producer)).await.unwrap();
        let log = receipt.decoded_log::<AttributionHub::MethodRegistered>().unwrap();
        mined(hub.setProducer(agent.0, self.people.producer, true).from(self.people.owner)).await.unwrap();
        MethodId::native(CHAIN_ID, *hub.address(), log.methodId)
    }

    /// Serves a batch's blob, and says what commits it.
    fn blob(&self, seq: u64, method: MethodId, inferences: &[Inference]) -> Commitment {
        let hub = &self.suite.hub;
        let producer = self.people.producer;
        let key = keccak256([producer.as_slice(), &seq.to_be_bytes()].concat());
        let batch = BatchId::native(CHAIN_ID, *hub.address(), key);
        let count = u32::try_from(inferences.len()).unwrap();
        let records = u32::try_from(inferences.iter().map(|one| one.records.len()).sum::<usize>()).unwrap();
        let footer = BatchFooter {
            format: FORMAT.to_owned(),
            chain_id: CHAIN_ID,
            hub: *hub.address(),
            producer,
            seq,
            method: method.0,
            params_hash: B256::ZERO,
            score_exp: -6,
            inferences: count,
            records,
        };
        let file = payload::write(&footer, inferences).unwrap();
        let reference = self.blobs.put(&file);
        let root = payload::root(batch, inferences);
        Commitment { batch, key, count, records, payload_hash: keccak256(&file), root, reference }
    }

    /// Commits a batch at the hub, and gives its id.
    async fn batch(&self, seq: u64, method: MethodId, inferences: &[Inference]) -> BatchId {
        let of = self.blob(seq, method, inferences);
        let hub = &self.suite.hub;
        let call = hub.commitBatch(method.0, seq, of.count, of.records, of.payload_hash, of.root, of.reference);
        let receipt = mined(call.from(self.people.producer)).await.unwrap();
        let log = receipt.decoded_log::<AttributionHub::AttributionBatchCommitted>().unwrap();
        assert_eq!(log.batchId, of.key, "the hub derives the key as we do");
        of.batch
    }

    async fn pay_native(&self, payer: Address, subject: B256, reference: B256, wei: u128) {
        let call = self.suite.vault.pay(subject, reference).value(U256::from(wei));
        let receipt = mined(call.from(payer)).await.unwrap();
        assert!(receipt.decoded_log::<RewardVault::RevenueReceived>().is_some());
    }

    async fn pay_token(&self, payer: Address, subject: B256, reference: B256, units: u128) {
        let amount = U256::from(units);
        let vault = *self.suite.vault.address();
        mined(self.token.mint(payer, amount).from(payer)).await.unwrap();
        mined(self.token.approve(vault, amount).from(payer)).await.unwrap();
        let call = self.suite.vault.payToken(*self.token.address(), subject, amount, reference);
        mined(call.from(payer)).await.unwrap();
    }

    async fn balance(&self, account: Address, token: Address) -> U256 {
        if token.is_zero() {
            self.provider.get_balance(account).await.unwrap()
        } else {
            self.token.balanceOf(account).call().await.unwrap()
        }
    }

    /// Publishes the root that the follower computed for epoch 0 of a vault, at the vault.
    async fn publish(&self, follower: &Follower, vault: &Vault) -> u64 {
        let query = "{ epoch(number: 0) { lastBlock tokens { vault token root ledgerDigest cumulative { raw } } } }";
        let epoch =
            follower.wait(query, |data| data["epoch"]["tokens"].as_array().is_some_and(|all| !all.is_empty())).await;
        let epoch = &epoch["epoch"];
        let mut totals = BTreeMap::new();
        let of_vault = |token: &&Value| token["vault"] == json!(vault.address().to_string());
        let tokens: Vec<&Value> = epoch["tokens"].as_array().unwrap().iter().filter(of_vault).collect();
        for token in &tokens {
            let total: U256 = token["cumulative"]["raw"].as_str().unwrap().parse().unwrap();
            totals.insert(token["token"].as_str().unwrap().parse::<Address>().unwrap(), total);
        }
        let word = |text: &Value| text.as_str().unwrap().parse::<B256>().unwrap();
        let first = tokens[0];
        let last_block = epoch["lastBlock"].as_u64().unwrap();
        let (tokens, amounts): (Vec<_>, Vec<_>) = totals.into_iter().unzip();
        let (digest, root) = (word(&first["ledgerDigest"]), word(&first["root"]));
        let call = vault.publishEpoch(0, last_block, digest, root, tokens, amounts);
        let receipt = mined(call.from(self.people.admin)).await.unwrap();
        receipt.block_number.unwrap()
    }
}

/// What GraphQL says an account can claim: (token, cumulative, claimable, siblings).
async fn claims(follower: &Follower, account: Address) -> Vec<(Address, U256, U256, Vec<B256>)> {
    let query = format!(
        "{{ account(address: \"{account}\") {{ entitlements {{ token cumulative {{ raw }} claimable {{ raw }} claimed {{ raw }} proof {{ cumulative siblings }} }} }} }}"
    );
    let data = follower.ask(&query).await;
    let number = |text: &Value| text.as_str().unwrap().parse::<U256>().unwrap();
    let entitlements = data["account"]["entitlements"].as_array().unwrap().clone();
    entitlements
        .iter()
        .map(|one| {
            let siblings = one["proof"]["siblings"].as_array().unwrap().iter();
            (
                one["token"].as_str().unwrap().parse().unwrap(),
                number(&one["proof"]["cumulative"]),
                number(&one["claimable"]["raw"]),
                siblings.map(|word| word.as_str().unwrap().parse().unwrap()).collect(),
            )
        })
        .collect()
}

fn inference(subject: B256, weights: &[(ContributionId, i64)]) -> Inference {
    let mut records: Vec<Record> =
        weights.iter().map(|(target, score)| Record { target: target.0, row: None, score: *score }).collect();
    records.sort_unstable();
    Inference { subject, fee_weight: None, id: None, records }
}

#[expect(clippy::too_many_lines, reason = "a story is read from its beginning to its end")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_season_from_registration_to_claim() {
    let genesis = GENESIS.to_string();
    let anvil = Anvil::start_l2(&["--slots-in-an-epoch", "32", "--timestamp", &genesis, "--order", "fifo"]).unwrap();
    let season = Season::begin(&anvil).await;
    let people = &season.people;
    let folder = tempfile::tempdir().unwrap();
    let epoch = (GENESIS, EPOCH_SECONDS);
    let config = configure(folder.path(), CHAIN_ID, anvil.ws_url(), &season.blobs.url(), &season.suite, epoch).unwrap();
    let follower = Follower::start(&config);

    season.set_policy().await;
    let [one, two, three, four] = people.contributors;
    let (first, first_members) = season.datanet(1, &[one, two, three]).await;
    let (second, second_members) = season.datanet(2, &[three, four]).await;
    let base = season.model(1, 0, vec![(first.version(1).0, Relation::TrainedOn)]).await;
    let upstream = vec![(base, Relation::BasedOnFinetune), (second.version(1).0, Relation::TrainedOn)];
    let tuned = season.model(2, 1, upstream).await;
    let (agent, subject) = season.agent(tuned).await;
    let method = season.method(agent).await;
    let weights: Vec<_> = first_members.iter().chain(&second_members).copied().zip([7, 3, 2, 5, 11]).collect();
    let batch = season.batch(0, method, &[inference(subject, &weights), inference(subject, &weights[..2])]).await;
    season.pay_native(people.payers[0], subject, batch.0, 1_000_000_000_000_000_007).await;

    // Everything so far is far enough below the head to survive the reorg; what is paid now is not.
    mine(&season.provider, 46).await;
    season.pay_native(people.payers[1], subject, batch.0, 555).await;
    let before = season.provider.get_block_number().await.unwrap();
    follower.indexed(before).await;
    let _answer: Value = season.provider.raw_request("anvil_reorg".into(), json!([45, []])).await.unwrap();
    season.pay_token(people.payers[1], subject, batch.0, 2_000_001).await;
    season.pay_native(people.payers[0], subject, B256::ZERO, 31_337).await;

    // Past the end of the epoch, and that past finality.
    mine(&season.provider, 200 + 70).await;
    let published = season.publish(&follower, &season.suite.vault).await;
    let paid_in: Value =
        follower.ask("{ epoch(number: 0) { tokens { token revenue { raw } credited { raw } held { raw } } } }").await;
    let revenue: Vec<(String, u128)> = paid_in["epoch"]["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| {
            let number = |key: &str| token[key]["raw"].as_str().unwrap().parse::<u128>().unwrap();
            assert_eq!(number("revenue"), number("credited") + number("held"), "{token}");
            (token["token"].as_str().unwrap().to_owned(), number("revenue"))
        })
        .collect();
    let mut expected = vec![
        (Address::ZERO.to_string(), 1_000_000_000_000_000_007 + 31_337),
        (season.token.address().to_string(), 2_000_001),
    ];
    expected.sort_by_key(|(token, _)| token.to_lowercase());
    let mut found = revenue;
    found.sort_by_key(|(token, _)| token.to_lowercase());
    assert_eq!(found, expected, "the payment that the reorg undid does not count");

    // Every contributor claims on chain with the proof from GraphQL, and is paid exactly that.
    for contributor in people.contributors {
        let all = claims(&follower, contributor).await;
        assert_eq!(all.len(), 2, "{contributor} earned in both tokens");
        for (token, cumulative, claimable, siblings) in all {
            assert!(!claimable.is_zero() && claimable == cumulative);
            let held = season.balance(contributor, token).await;
            let call = season.suite.vault.claim(contributor, token, cumulative, siblings.clone());
            mined(call.from(people.admin)).await.unwrap();
            assert_eq!(season.balance(contributor, token).await - held, claimable, "{contributor} {token}");
            let again = season.suite.vault.claim(contributor, token, cumulative, siblings);
            mined(again.from(people.admin)).await.unwrap_err();
        }
    }
    let claimed_at = season.provider.get_block_number().await.unwrap();
    assert!(claimed_at > published);

    // The claims are indexed; when their epoch is settled nothing is left to claim.
    mine(&season.provider, 200 + 70).await;
    follower.sealed(claimed_at).await;
    for contributor in people.contributors {
        let query = format!("{{ account(address: \"{contributor}\") {{ entitlements {{ claimable {{ raw }} }} }} }}");
        let nothing = |data: &Value| {
            let all = data["account"]["entitlements"].as_array();
            all.is_some_and(|all| all.len() == 2 && all.iter().all(|one| one["claimable"]["raw"] == "0"))
        };
        follower.wait(&query, nothing).await;
    }

    // A payment to a vault by a bare transfer is refused: nothing enters that is not accounted for.
    let bare = TransactionRequest::default()
        .with_from(people.payers[0])
        .with_to(*season.suite.vault.address())
        .with_value(U256::from(1));
    assert!(season.provider.call(bare).await.is_err());
}
