//! A season of contracts that nobody made for us: EAS attestations commit the batch, an ERC-8004 registry has the agent,
//! OpenZeppelin's token pays by bare transfers, the reference contracts hold the rest. One graph, one settlement, one
//! explanation that crosses them, and money in hands.

use alloy::dyn_abi::{DynSolType, DynSolValue as V};
use alloy::json_abi::Event;
use alloy::primitives::TxKind;
use alloy::sol_types::{SolCall, SolValue};
use std::path::{Path, PathBuf};
use tributary_indexer::mapping::REFERENCE;
use tributary_schemas::policy::{PPB, SplitPpb};
use tributary_tests::program;
use tributary_tests::suite::{AgentIdentity, HostileEmitter};

use super::*;
use crate::{eas, foreign};

/// What the operator says beside the files of the program: what an agent is made of, and that the escrow, which reports
/// no revenue itself, sets policies, publishes and pays out.
const OPERATOR: &str = r#"
name = "season"
version = 1

[[rule]]
name = "agent-made-of"
emitter = "erc8004_identity"
event = "MetadataSet(uint256 indexed agentId, string indexed indexedMetadataKey, string metadataKey, bytes metadataValue)"
emit = "AgentVersionPublished"
[rule.where]
metadataKey = "attribution"
[rule.fields]
agent = { native = "agent", key = "agentId" }
version = { abi = "uint32 version, bytes32 config, bytes32 model", of = "metadataValue", take = "version" }
config_hash = { abi = "uint32 version, bytes32 config, bytes32 model", of = "metadataValue", take = "config" }
[[rule.fields.upstream.list]]
version = { abi = "uint32 version, bytes32 config, bytes32 model", of = "metadataValue", take = "model" }
relation = { const = "USES_MODEL" }

[[rule]]
name = "escrow-policy-set"
emitter = "escrow"
authority = true
event = "RewardPolicySet(bytes32 indexed scope, bytes32 indexed policyHash, uint32 version, bytes policy)"
emit = "RewardPolicySet"
fields = { scope = "scope", policy_hash = "policyHash", version = "version", policy = "policy" }

[[rule]]
name = "escrow-published"
emitter = "escrow"
authority = true
event = "EpochSettled(uint64 indexed epoch, address indexed token, bytes32 root, uint256 total, uint64 lastBlock, bytes32 ledgerDigest)"
emit = "EpochSettled"
fields = { epoch = "epoch", token = "token", root = "root", total = "total", last_block = "lastBlock", ledger_digest = "ledgerDigest" }

[[rule]]
name = "escrow-claimed"
emitter = "escrow"
authority = true
event = "RewardClaimed(uint64 indexed epoch, address indexed account, address indexed token, uint256 amount)"
emit = "RewardClaimed"
fields = { epoch = "epoch", account = "account", token = "token", amount = "amount" }
"#;

/// That, and bare transfers to the till, which is no contract, with what they are for as calldata.
fn rules_of_operator() -> String {
    OPERATOR.to_owned() + &foreign::native_payments("till", "tx.from")
}

/// What is on the chain beside the reference contracts.
struct Foreign {
    registry: Address,
    eas: Address,
    agents: AgentIdentity::AgentIdentityInstance<DynProvider>,
    escrow: Vault,
    hostile: HostileEmitter::HostileEmitterInstance<DynProvider>,
}

impl Foreign {
    async fn deploy(season: &Season) -> Self {
        let (provider, admin) = (&season.provider, season.people.admin);
        let registry = eas::deploy(provider, admin, "SchemaRegistry", &[]).await;
        let eas = eas::deploy(provider, admin, "EAS", &registry.abi_encode()).await;
        let p = || provider.clone();
        let agents = AgentIdentity::deploy_builder(p()).from(admin).deploy_sync().await.unwrap();
        let registries = vec![*season.suite.datanets.address(), *season.suite.models.address()];
        let escrow = RewardVault::deploy_builder(p(), admin, registries, Address::ZERO).from(admin);
        let escrow = RewardVault::new(escrow.deploy_sync().await.unwrap(), p());
        for role in tributary_tests::suite::vault_roles() {
            mined(escrow.grantRole(role, admin).from(admin)).await.unwrap();
        }
        let hostile = HostileEmitter::deploy_builder(p()).from(season.people.payers[0]).deploy_sync().await.unwrap();
        let (agents, hostile) = (AgentIdentity::new(agents, p()), HostileEmitter::new(hostile, p()));
        Self { registry, eas, agents, escrow, hostile }
    }

    /// The configuration of a follower of all of it.
    fn configure(&self, folder: &Path, config: &Path, token: Address, till: Address) {
        let file = folder.join("season.toml");
        std::fs::write(&file, rules_of_operator()).unwrap();
        let roles = [
            ("eas", self.eas),
            ("erc8004_identity", *self.agents.address()),
            ("payment_token", token),
            ("escrow", *self.escrow.address()),
            ("till", till),
        ];
        let roles = roles.map(|(role, address)| format!("\"{role}={address}\"")).join(", ");
        let mut text = std::fs::read_to_string(config).unwrap();
        text.push_str(&format!(
            "[mapping]\nfiles = [\"reference\", \"eas\", \"erc8004\", \"erc20-payments\", {:?}]\nroles = [{roles}]\n",
            file.display().to_string()
        ));
        std::fs::write(config, text).unwrap();
    }

    /// Registers an agent made of a model, with its first version in the same transaction; its id, and the transaction.
    async fn agent(&self, owner: Address, model: B256) -> (B256, B256) {
        let made_of = (1_u32, B256::repeat_byte(0xc0), model).abi_encode_params();
        let entry =
            AgentIdentity::MetadataEntry { metadataKey: "attribution".to_owned(), metadataValue: made_of.into() };
        let call = self.agents.register("ipfs://agent/0".to_owned(), vec![entry]);
        let receipt = mined(call.from(owner)).await.unwrap();
        let id = receipt.decoded_log::<AgentIdentity::Registered>().unwrap().agentId;
        let version = AgentId::native(CHAIN_ID, *self.agents.address(), B256::from(id)).version(1).0;
        (version, receipt.transaction_hash)
    }

    /// Commits a batch by an attestation to the hub under the attribution schema.
    async fn attest(&self, season: &Season, method: MethodId, of: Commitment) {
        let schema = eas::SCHEMA.to_owned();
        let register = eas::abi::registerCall { schema, resolver: Address::ZERO, revocable: false };
        let producer = season.people.producer;
        eas::send(&season.provider, producer, TxKind::Call(self.registry), register.abi_encode()).await;
        let said = (method.0, 0_u64, of.count, of.records, of.payload_hash, of.root, of.reference).abi_encode_params();
        let data = eas::data(*season.suite.hub.address(), &said, false);
        let request = eas::abi::Request { schema: eas::SCHEMA_ID, data };
        let call = eas::abi::attestCall { request }.abi_encode();
        eas::send(&season.provider, producer, TxKind::Call(self.eas), call).await;
    }

    /// Transfers a token to the escrow, with what it is for behind the arguments.
    async fn transfer(&self, season: &Season, token: &Token, payer: Address, subject: B256, units: u64) -> B256 {
        mined(token.mint(payer, U256::from(units)).from(payer)).await.unwrap();
        let call = PlainToken::transferCall { to: *self.escrow.address(), value: U256::from(units) };
        let input = [call.abi_encode(), subject.to_vec()].concat();
        eas::send(&season.provider, payer, TxKind::Call(*token.address()), input).await.transaction_hash
    }

    /// Says every fact of authority that the reference contracts say, about `subject`; how many there are.
    async fn lie(&self, liar: Address, subject: B256) -> usize {
        let set: toml::Value = toml::from_str(REFERENCE).unwrap();
        let rules = set["rule"].as_array().unwrap();
        let lies: Vec<Event> = rules
            .iter()
            .filter(|rule| rule.get("authority").is_some())
            .map(|rule| Event::parse(rule["event"].as_str().unwrap()).unwrap())
            .collect();
        for event in &lies {
            let (mut topics, mut body) = (vec![event.selector()], Vec::new());
            for input in &event.inputs {
                let value = word(&DynSolType::parse(&input.ty).unwrap(), liar, subject);
                if input.indexed { topics.push(value.as_word().unwrap()) } else { body.push(value) }
            }
            let data = V::Tuple(body).abi_encode_params();
            mined(self.hostile.shout(topics, data.into()).from(liar)).await.unwrap();
        }
        lies.len()
    }
}

type Token = PlainToken::PlainTokenInstance<DynProvider>;

/// A value that the vocabulary takes.
fn word(ty: &DynSolType, liar: Address, subject: B256) -> V {
    match ty {
        DynSolType::Bool => V::Bool(true),
        DynSolType::Uint(bits) => V::Uint(U256::from(1), *bits),
        DynSolType::Int(bits) => V::Int(alloy::primitives::I256::ONE, *bits),
        DynSolType::Address => V::Address(liar),
        DynSolType::FixedBytes(size) => V::FixedBytes(subject, *size),
        DynSolType::Bytes => V::Bytes(vec![1]),
        DynSolType::Array(element) => V::Array(vec![word(element, liar, subject)]),
        other => panic!("{other} is in no event of authority"),
    }
}

/// A policy that gives contributors everything.
fn all_to_data() -> Bytes {
    let split_ppb = SplitPpb { platform: 0, agent: 0, model: 0, data: PPB, stakers: 0 };
    let policy = Policy { split_ppb, unattributed_after_blocks: 30, blob_deadline_blocks: 100, ..Policy::default() };
    policy.canonical_json().into_bytes().into()
}

/// Rows of a query of the sealed tables.
fn rows(config: &Path, query: &str) -> Value {
    program::json(&["sql", "--json", "--config", &config.display().to_string(), query])
}

/// What one line of a contributor's explanation stands on.
async fn crosses(follower: &Follower, contributor: Address, token: Address) -> Value {
    let query = format!(
        "{{ account(address: \"{contributor}\") {{ explanation(epoch: 0, token: \"{token}\") {{ total {{ raw }} lines \
         {{ vault role contribution agent amount {{ raw }} inferences(first: 4) {{ nodes {{ subject batch {{ id producer }} \
         payments(first: 4) {{ nodes {{ tx logIndex payer paid {{ raw }} amount {{ raw }} }} }} records(first: 4) {{ nodes {{ targetId }} }} }} }} }} }} }} }}"
    );
    follower.ask(&query).await["account"]["explanation"].clone()
}

/// The weight of the contribution that an explanation is of.
fn weight_of(explained: &Value, weights: &[(ContributionId, i64)]) -> u64 {
    let of = weights.iter().find(|(id, _)| explained["lines"][0]["contribution"] == text(id)).unwrap();
    u64::try_from(of.1).unwrap()
}

fn text(address: impl ToString) -> Value {
    json!(address.to_string())
}

struct World {
    _anvil: Anvil,
    season: Season,
    foreign: Foreign,
    config: PathBuf,
    follower: Follower,
    folder: tempfile::TempDir,
}

impl World {
    async fn begin() -> Self {
        let genesis = GENESIS.to_string();
        let anvil =
            Anvil::start_l2(&["--slots-in-an-epoch", "32", "--timestamp", &genesis, "--order", "fifo"]).unwrap();
        let season = Season::begin(&anvil).await;
        let foreign = Foreign::deploy(&season).await;
        let folder = tempfile::tempdir().unwrap();
        let epoch = (GENESIS, EPOCH_SECONDS);
        let (url, blobs) = (anvil.ws_url(), season.blobs.url());
        let config = configure(folder.path(), CHAIN_ID, url, &blobs, &season.suite, epoch).unwrap();
        foreign.configure(folder.path(), &config, *season.token.address(), season.people.contributors[3]);
        let follower = Follower::start(&config);
        Self { _anvil: anvil, season, foreign, config, follower, folder }
    }

    /// `mapping test` on a transaction of the node and of the data folder, and `mapping diff`.
    fn rules_can_be_tried(&self, paid: B256, registered: B256, subject: B256) {
        let config = self.config.display().to_string();
        let tool =
            |arguments: &[&str]| program::json(&[&["mapping"], arguments, &["--json", "--config", &config]].concat());
        let fact = |told: &Value, kind: &str| {
            let traces = told["traces"].as_array().unwrap().iter().flat_map(|trace| trace["facts"].as_array().unwrap());
            traces.filter(|fact| fact[0] == kind).map(|fact| fact[1].clone()).collect::<Vec<_>>()
        };
        let (paid, registered) = (paid.to_string(), registered.to_string());
        let told = tool(&["test", "erc20-payments", "--tx", &paid]);
        let [payment] = &fact(&told, "RevenueReceived")[..] else { panic!("{told}") };
        assert_eq!((&payment["subject"], &payment["amount"]), (&text(subject), &json!("12000000")), "{told}");

        // What is stored has no calldata, so what it was paid for is not known there, and that is said.
        let told = tool(&["test", "erc20-payments", "--tx", &paid, "--stored"]);
        assert_eq!(told["beyond_stored"], json!(["transfer-to-escrow"]), "{told}");
        assert!(fact(&told, "RevenueReceived").is_empty(), "{told}");
        let operator = self.folder.path().join("season.toml").display().to_string();
        let told = tool(&["test", "erc8004", &operator, "--tx", &registered, "--stored"]);
        assert_eq!(told["beyond_stored"], json!(["paid-into-till"]), "{told}");
        assert_eq!(fact(&told, "AgentRegistered").len(), 1, "{told}");
        assert_eq!(fact(&told, "AgentVersionPublished")[0]["upstream"][0]["relation"], "USES_MODEL", "{told}");

        let changed = self.folder.path().join("changed.toml");
        std::fs::write(&changed, rules_of_operator().replace("\"attribution\"", "\"agentWallet\"")).unwrap();
        let before = format!("reference,erc20-payments,{operator}");
        let after = format!("reference,erc20-payments,{}", changed.display());
        let told = tool(&["diff", &before, &after, "--blocks", "0..400"]);
        assert_eq!(
            (&told["beyond_stored"], &told["unheard"]),
            (&json!(["paid-into-till", "transfer-to-escrow"]), &json!([])),
            "{told}"
        );
        let changes = told["changes"].as_array().unwrap().iter();
        let changes: Vec<_> = changes.map(|one| (one["side"].clone(), one["kind"].clone())).collect();
        // A wallet's bytes are no version: the changed rule reads what it must not, and the tool shows it.
        let expected = [("new", "Undecodable"), ("gone", "AgentVersionPublished")];
        assert_eq!(changes, expected.map(|(side, kind)| (json!(side), json!(kind))), "{told}");
        assert_eq!(tool(&["diff", &before, &before, "--blocks", "0..400"])["changes"], json!([]));
    }

    /// A payment without a log is explained by its transaction, and comes after the logs of that in the table of events.
    async fn bare_transfer_is_explained(&self, contributor: Address, till: Address, paid: B256) {
        let explained = crosses(&self.follower, contributor, Address::ZERO).await;
        let lines = explained["lines"].as_array().unwrap().iter();
        let of_till: Vec<_> = lines.filter(|line| line["vault"] == text(till) && line["role"] == "data").collect();
        let [line] = of_till[..] else { panic!("{explained}") };
        let payment = &line["inferences"]["nodes"][0]["payments"]["nodes"][0];
        assert_eq!((&payment["tx"], &payment["logIndex"]), (&text(paid), &Value::Null), "{line}");
        assert_eq!(payment["paid"]["raw"], "2400", "{line}");
        let query = "select source, log_index, tx_hash, valid from events where rule = 'paid-into-till'";
        let expected =
            json!([{ "source": "transaction", "log_index": 4294967295_u64, "tx_hash": paid, "valid": true }]);
        assert_eq!(rows(&self.config, query), expected);
    }

    /// The contributor claims at a vault what GraphQL proves, and holds exactly that.
    async fn claim(&self, vault: &Vault, contributor: Address, token: Address, expected: u64) {
        let query = format!(
            "{{ account(address: \"{contributor}\") {{ entitlements {{ vault token proof {{ cumulative siblings }} }} }} }}"
        );
        let data = self.follower.ask(&query).await;
        let at = |one: &&Value| one["vault"] == text(vault.address()) && one["token"] == text(token);
        let proof = &data["account"]["entitlements"].as_array().unwrap().iter().find(at).unwrap()["proof"];
        let cumulative: U256 = proof["cumulative"].as_str().unwrap().parse().unwrap();
        let siblings = proof["siblings"].as_array().unwrap().iter();
        let siblings: Vec<B256> = siblings.map(|word| word.as_str().unwrap().parse().unwrap()).collect();
        let held = self.season.balance(contributor, token).await;
        let call = vault.claim(contributor, token, cumulative, siblings);
        mined(call.from(self.season.people.admin)).await.unwrap();
        assert_eq!(self.season.balance(contributor, token).await - held, U256::from(expected), "{contributor}");
    }
}

#[expect(clippy::too_many_lines, reason = "a story is read from its beginning to its end")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_season_of_foreign_contracts_ends_with_one_graph_one_settlement_and_one_explanation() {
    let world = Box::pin(World::begin()).await;
    let World { season, foreign, follower, .. } = &world;
    let people = &season.people;
    let (provider, token) = (&season.provider, &season.token);
    mined(season.suite.vault.setPolicy(B256::ZERO, all_to_data()).from(people.admin)).await.unwrap();
    mined(foreign.escrow.setPolicy(B256::ZERO, all_to_data()).from(people.admin)).await.unwrap();
    let [one, two, three, till] = people.contributors;
    let (dataset, members) = season.datanet(1, &[one, two, three]).await;
    let model = season.model(1, 0, vec![(dataset.version(1).0, Relation::TrainedOn)]).await;
    let (subject, registered) = foreign.agent(people.owner, model).await;

    let hub = &season.suite.hub;
    let receipt =
        mined(hub.registerMethod(0, 1, B256::ZERO, "influence".to_owned()).from(people.producer)).await.unwrap();
    let log = receipt.decoded_log::<AttributionHub::MethodRegistered>().unwrap();
    let method = MethodId::native(CHAIN_ID, *hub.address(), log.methodId);
    mined(hub.setProducer(B256::ZERO, people.producer, true).from(people.admin)).await.unwrap();
    let weights: Vec<_> = members.iter().copied().zip([7, 3, 2]).collect();
    let commitment = season.blob(0, method, &[inference(subject, &weights)]);
    let batch = commitment.batch;
    foreign.attest(season, method, commitment).await;

    let [payer, other] = people.payers;
    let paid = foreign.transfer(season, token, payer, subject, 12_000_000).await;
    foreign.transfer(season, token, other, subject, 24).await;
    // Another token is nobody's money; what names no version is kept as refused.
    let worthless = deploy_token(provider, people.admin).await.unwrap();
    foreign.transfer(season, &worthless, other, subject, 7_000).await;
    foreign.transfer(season, token, other, B256::repeat_byte(0x0e), 5).await;
    season.pay_native(payer, subject, batch.0, 1_200).await;
    let bare = TransactionRequest::default().with_from(payer).with_to(till).with_value(U256::from(2_400));
    let bare = bare.with_input(subject.to_vec());
    let bare = provider.send_transaction(bare).await.unwrap().get_receipt().await.unwrap();
    assert!(bare.status() && bare.logs().is_empty());
    let lies = foreign.lie(payer, subject).await;
    assert_eq!(lies, 19, "as many as there are facts of authority");

    mine(provider, 200 + 70).await;
    let (vault, escrow) = (&season.suite.vault, &foreign.escrow);
    season.publish(follower, vault).await;
    let published = season.publish(follower, escrow).await;

    // One settlement: what came in by three vaults in two tokens, and nothing that a stranger said.
    let query = "{ epoch(number: 0) { tokens { vault token payments revenue { raw } credited { raw } } } }";
    let epoch = follower.ask(query).await;
    for (at, token, payments, units) in [
        (vault.address(), Address::ZERO, 1, "1200"),
        (escrow.address(), *token.address(), 2, "12000024"),
        (&till, Address::ZERO, 1, "2400"),
    ] {
        let tokens = epoch["epoch"]["tokens"].as_array().unwrap();
        assert_eq!(tokens.len(), 3, "{epoch}");
        let of = tokens.iter().find(|one| one["vault"] == text(at)).unwrap();
        assert_eq!((&of["token"], &of["payments"]), (&text(token), &json!(payments)), "{epoch}");
        assert_eq!((&of["revenue"]["raw"], &of["credited"]["raw"]), (&json!(units), &json!(units)), "{epoch}");
    }
    let refused = "select emitter, reason, count(*) as n from events where not valid group by 1, 2 order by n";
    let of = |emitter: Address, reason: &str, n: usize| json!({ "emitter": format!("{emitter:#x}"), "reason": reason, "n": n });
    let mut expected = vec![
        of(*escrow.address(), "UNKNOWN_REF", 1),
        of(*worthless.address(), "UNAUTHORIZED", 1),
        // The operator's rules for the escrow refuse three of them too.
        of(*foreign.hostile.address(), "UNAUTHORIZED", lies + 3),
    ];
    let mut found = rows(&world.config, refused).as_array().unwrap().clone();
    expected.sort_by_key(Value::to_string);
    found.sort_by_key(Value::to_string);
    assert_eq!(found, expected);

    // One graph: from the contributor of a datanet, over a model, to an agent of ERC-8004.
    let query = format!("{{ provenance(of: \"{subject}\", depth: 4) {{ edges {{ source target relation }} }} }}");
    let graph = follower.ask(&query).await;
    let has = |source: Value, target: Value, relation: &str| {
        let edges = graph["provenance"]["edges"].as_array().unwrap();
        let edge = json!({ "source": source, "target": target, "relation": relation });
        assert!(edges.contains(&edge), "{edge} in {graph}");
    };
    has(text(model), text(subject), "USES_MODEL");
    has(text(dataset.version(1)), text(model), "TRAINED_ON");
    has(text(format!("{one:#x}")), text(dataset.version(1)), "CONTRIBUTED_BY");

    // One explanation: a line of a datanet's contribution, by the attested batch, out of a bare Transfer.
    let explained = crosses(follower, one, *token.address()).await;
    let weight = weight_of(&explained, &weights);
    assert_eq!(explained["total"]["raw"], json!((weight * 1_000_002).to_string()), "{explained}");
    let [line] = explained["lines"].as_array().unwrap().as_slice() else { panic!("{explained}") };
    assert_eq!((&line["vault"], &line["role"]), (&text(escrow.address()), &json!("data")), "{line}");
    let [part] = line["inferences"]["nodes"].as_array().unwrap().as_slice() else { panic!("{line}") };
    assert_eq!((&part["subject"], &part["batch"]["id"]), (&text(subject), &text(batch)), "{part}");
    assert_eq!(part["batch"]["producer"], text(people.producer), "{part}");
    let payments = part["payments"]["nodes"].as_array().unwrap();
    let first = payments.iter().find(|one| one["tx"] == text(paid)).unwrap();
    assert_eq!((&first["payer"], &first["paid"]["raw"]), (&text(payer), &json!("12000000")), "{first}");
    assert_eq!(first["amount"]["raw"], json!((weight * 1_000_000).to_string()), "{first}");
    assert_eq!(payments.len(), 2, "{part}");
    assert_eq!(part["records"]["nodes"], json!([{ "targetId": line["contribution"] }]), "{part}");
    let attested = rows(&world.config, "select count(*) as n from attestations");
    assert_eq!(attested, json!([{ "n": 1 }]));

    world.rules_can_be_tried(paid, registered, subject);
    world.bare_transfer_is_explained(one, till, bare.transaction_hash).await;

    for contributor in [one, two, three] {
        let weight = weight_of(&crosses(follower, contributor, *token.address()).await, &weights);
        world.claim(vault, contributor, Address::ZERO, weight * 100).await;
        world.claim(escrow, contributor, *token.address(), weight * 1_000_002).await;
    }
    let claimed_at = provider.get_block_number().await.unwrap();
    assert!(claimed_at > published);
    mine(provider, 200 + 70).await;
    follower.sealed(claimed_at).await;
    let query = format!("{{ account(address: \"{one}\") {{ entitlements {{ vault claimable {{ raw }} }} }} }}");
    // The till has nobody who pays out.
    let nothing = |data: &Value| {
        let all = data["account"]["entitlements"].as_array();
        let left = |all: &Vec<Value>| all.iter().filter(|one| one["claimable"]["raw"] != "0").count();
        all.is_some_and(|all| all.len() == 3 && left(all) == 1)
    };
    follower.wait(&query, nothing).await;
}
