//! Contracts in the shape of real ones that are hard to map, on Anvil: `schemas/contracts/test-src/Foreign.sol`.

use alloy::contract::{CallBuilder, CallDecoder};
use alloy::network::TransactionBuilder as _;
use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::providers::{DynProvider, Provider as _};
use alloy::rpc::types::TransactionRequest;
use serde_json::{Value, json};
use tributary_indexer::decode::{Trace, Unknown, decode_block, trace_block};
use tributary_indexer::fold::{Chronology, Folded, fold_verified};
use tributary_indexer::state::{MemoryState, StateView};
use tributary_indexer::{Contracts, Mapping};
use tributary_schemas::facts::Row;
use tributary_tests::anvil::Anvil;
use tributary_tests::suite::{LateRegistry, PlainToken, Shop, TipperByReceiver, TipperBySender, deploy_token, mined};

use crate::eas::logs_of;

const CHAIN: u64 = 1612;
const ESCROW: Address = Address::repeat_byte(0xe5);

struct World {
    _anvil: Anvil,
    provider: DynProvider,
    people: Vec<Address>,
}

impl World {
    async fn new() -> Self {
        let anvil = Anvil::start_l2(&[]).unwrap();
        let provider = anvil.provider();
        let people = provider.get_accounts().await.unwrap();
        Self { _anvil: anvil, provider, people }
    }

    /// What a mapping makes of a call.
    async fn traces<D: CallDecoder>(&self, mapping: &Mapping, call: CallBuilder<&DynProvider, D>) -> Vec<Trace> {
        let receipt = mined(call.from(self.people[0])).await.unwrap();
        trace_block(mapping, &logs_of(&self.provider, receipt.transaction_hash).await)
    }
}

fn load(rules: &str, roles: &[(&str, Address)]) -> Mapping {
    let contracts: Contracts = roles.iter().map(|(role, one)| ((*role).to_owned(), [*one].into())).collect();
    Mapping::parse("t.toml", &format!("name = \"t\"\nversion = 1\n{rules}"), CHAIN, &contracts).unwrap()
}

/// The facts of a kind.
fn facts<'a>(traces: &'a [Trace], kind: &str) -> Vec<&'a Value> {
    let facts = traces.iter().flat_map(|trace| &trace.facts);
    facts.filter(|(of, _)| of == kind).map(|(_, payload)| payload).collect()
}

const SALE: &str = r#"
[[rule]]
name = "sold"
emitter = "shop"
authority = true
revenue = "recognise"
event = "Paid(bytes32 indexed id, bytes32 indexed subject, uint256 sum)"
emit = "RevenueReceived"
[rule.join]
event = "Transfer(address indexed from, address indexed to, uint256 value)"
emitter = "token"
on = { to = { role = "escrow" }, value = "sum" }
[rule.fields]
payment = { native = "payment", key = "id" }
key = "id"
subject = "subject"
payer = "joined.from"
token = { from = "joined.emitter" }
amount = "sum"
backing = { const = "transfer" }
"#;

#[tokio::test]
async fn one_transfer_of_a_real_token_backs_one_payment() {
    let world = World::new().await;
    let payer = world.people[0];
    let token = deploy_token(&world.provider, payer).await.unwrap();
    let shop = Shop::deploy_builder(world.provider.clone()).from(payer).deploy_sync().await.unwrap();
    let shop = Shop::new(shop, world.provider.clone());
    let worthless = PlainToken::deploy_builder(world.provider.clone()).from(payer).deploy_sync().await.unwrap();
    let worthless = PlainToken::new(worthless, world.provider.clone());
    for token in [&token, &worthless] {
        mined(token.mint(payer, U256::from(1_000)).from(payer)).await.unwrap();
        mined(token.approve(*shop.address(), U256::MAX).from(payer)).await.unwrap();
    }
    let mapping = load(SALE, &[("shop", *shop.address()), ("token", *token.address()), ("escrow", ESCROW)]);
    let (money, sum) = (*token.address(), U256::from(7));
    let [one, two] = [B256::repeat_byte(1), B256::repeat_byte(2)];
    let traces = world.traces(&mapping, shop.buy(money, ESCROW, one, sum)).await;
    let [payment] = facts(&traces, "RevenueReceived")[..] else { panic!("{traces:?}") };
    for (field, expected) in [
        ("payer", format!("{payer:#x}")),
        ("subject", one.to_string()),
        ("token", format!("{money:#x}")),
        ("amount", "7".to_owned()),
        ("backing", "transfer".to_owned()),
    ] {
        assert_eq!(payment[field], expected, "{field}: {payment}");
    }
    // Two sales of one price: each has a Transfer of its own.
    let traces = world.traces(&mapping, shop.buyMany(money, ESCROW, vec![one, two], sum)).await;
    assert_eq!(facts(&traces, "RevenueReceived").len(), 2, "{traces:?}");
    // Said twice and paid once.
    let traces = world.traces(&mapping, shop.boast(money, ESCROW, one, sum)).await;
    assert_eq!(facts(&traces, "RevenueReceived").len(), 1, "{traces:?}");
    // Paid to somebody else, and in what nobody takes.
    assert!(facts(&world.traces(&mapping, shop.buy(money, payer, one, sum)).await, "RevenueReceived").is_empty());
    let call = shop.buy(*worthless.address(), ESCROW, one, sum);
    assert!(facts(&world.traces(&mapping, call).await, "RevenueReceived").is_empty());
}

#[tokio::test]
async fn codes_are_read_from_the_end_of_calldata() {
    let world = World::new().await;
    let payer = world.people[0];
    let token = deploy_token(&world.provider, payer).await.unwrap();
    let rule = r#"
[[rule]]
name = "attributed"
emitter = "token"
event = "Transfer(address indexed from, address indexed to, uint256 value)"
emit = "ReferralTagged"
[rule.fields]
tx = { from = "tx.hash" }
codes = { erc8021 = { from = "tx.input" } }
"#;
    let mapping = load(rule, &[("token", *token.address())]);
    let mint = token.mint(payer, U256::from(1));
    // codes ‖ their length ‖ schema 0 ‖ marker
    let suffix = [&b"app,wallet"[..], &[10, 0], &[0x80, 0x21].repeat(8)].concat();
    let input = [mint.calldata().to_vec(), suffix].concat();
    let to = alloy::primitives::TxKind::Call(*token.address());
    let receipt = crate::eas::send(&world.provider, payer, to, input).await;
    let traces = trace_block(&mapping, &logs_of(&world.provider, receipt.transaction_hash).await);
    assert_eq!(facts(&traces, "ReferralTagged")[0]["codes"], json!(["app", "wallet"]), "{traces:?}");
    let traces = world.traces(&mapping, token.mint(payer, U256::from(1))).await;
    assert_eq!(facts(&traces, "ReferralTagged")[0]["codes"], json!([]), "{traces:?}");
}

#[tokio::test]
async fn two_masks_of_one_topic_are_read_each_by_its_own_rule() {
    let world = World::new().await;
    let (p, from) = (|| world.provider.clone(), world.people[0]);
    let by_sender = TipperBySender::deploy_builder(p()).from(from).deploy_sync().await.unwrap();
    let by_receiver = TipperByReceiver::deploy_builder(p()).from(from).deploy_sync().await.unwrap();
    let (by_sender, by_receiver) = (TipperBySender::new(by_sender, p()), TipperByReceiver::new(by_receiver, p()));
    let rule = |name: &str, marks: [&str; 2]| {
        format!(
            "[[rule]]\nname = \"{name}\"\nemitter = \"{name}\"\n\
             event = \"Tipped(address{} from, address{} to, uint256 sum)\"\nemit = \"AttestationRecorded\"\n[rule.fields]\n\
             attestation = {{ native = \"attestation\", key = {{ from = \"tx.hash\" }} }}\nschema = {{ keccak = {{ const = \"tip\" }} }}\n\
             subject = {{ cast = \"bytes32\", of = \"to\" }}\nattester = \"from\"\nvalue = \"sum\"\ndecimals = {{ const = 0 }}\n\
             tag = {{ const = \"{name}\" }}\nuri = {{ const = \"\" }}\ndata_hash = {{ from = \"tx.hash\" }}\n",
            marks[0], marks[1]
        )
    };
    let rules = rule("first", [" indexed", ""]) + &rule("second", ["", " indexed"]);
    let mapping = load(&rules, &[("first", *by_sender.address()), ("second", *by_receiver.address())]);
    let to = world.people[1];
    let calls = [
        ("first", world.traces(&mapping, by_sender.tip(to, U256::from(5))).await),
        ("second", world.traces(&mapping, by_receiver.tip(to, U256::from(5))).await),
    ];
    for (name, traces) in calls {
        let [tip] = facts(&traces, "AttestationRecorded")[..] else { panic!("{traces:?}") };
        assert_eq!((&tip["tag"], &tip["value"]), (&json!(name), &json!(5)), "{tip}");
        assert_eq!(tip["attester"], format!("{from:#x}"), "{tip}");
        assert_eq!(tip["subject"], to.into_word().to_string(), "{tip}");
    }
    // As many topics and words: of anybody's log nobody could say which it is.
    let any =
        rules.replace("emitter = \"first\"", "emitter = \"any\"").replace("emitter = \"second\"", "emitter = \"any\"");
    let refused = Mapping::parse("t.toml", &format!("name = \"t\"\nversion = 1\n{any}"), CHAIN, &Contracts::default());
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("expected conditions that tell them apart"), "{refused}");
}

#[tokio::test]
async fn a_token_that_changes_hands_before_it_is_registered_is_its_buyers() {
    let world = World::new().await;
    let [maker, buyer] = [world.people[0], world.people[1]];
    let registry = LateRegistry::deploy_builder(world.provider.clone()).from(maker).deploy_sync().await.unwrap();
    let registry = LateRegistry::new(registry, world.provider.clone());
    let rules = r#"
[[rule]]
name = "listed"
emitter = "any"
event = "ModelListed(uint256 indexed tokenId, address indexed maker, string uri)"
emit = "ModelRegistered"
[rule.fields]
model = { native = "model", key = "tokenId" }
key = "tokenId"
owner = "maker"
kind = { const = 0 }
metadata_uri = "uri"
metadata_hash = { keccak = "uri" }

[[rule]]
name = "passed-on"
emitter = "late"
event = "Transfer(address indexed from, address indexed to, uint256 indexed tokenId)"
emit = "OwnershipTransferred"
unless_zero = ["from"]
fields = { entity = { native = "model", key = "tokenId" }, from = "from", to = "to" }
"#;
    let mapping = load(rules, &[("late", *registry.address())]);
    let receipt = mined(registry.mintAndSell(buyer, "ipfs://late".to_owned()).from(maker)).await.unwrap();
    let block = logs_of(&world.provider, receipt.transaction_hash).await;
    let kinds: Vec<_> = decode_block(&mapping, &block, &Unknown).iter().map(|one| one.payload.kind()).collect();
    assert_eq!(kinds, ["OwnershipTransferred", "ModelRegistered"], "the sale is told first");
    let state = MemoryState::default();
    let mut view = StateView::new(&state);
    let chronology = Chronology { chain_id: CHAIN, epoch_origin: 0, epoch_seconds: 100 };
    let folded: Folded = fold_verified(&mut view, &chronology, &mapping, &block).unwrap();
    assert!(folded.events.iter().all(|one| one.event.is_valid()), "{:?}", folded.events);
    let mut owners = folded.rows.iter().filter_map(|row| match row {
        Row::ModelRow(row) => Some(row.owner.clone()),
        _ => None,
    });
    assert_eq!(owners.next_back(), Some(format!("{buyer:#x}")));
    assert_eq!(keccak256("ModelListed(uint256,address,string)"), receipt.logs()[2].topics()[0]);
}

/// A rule for bare transfers of the native token to the contract of a role: payments by whom `payer` says, for the subject
/// that stands in the calldata.
pub(crate) fn native_payments(role: &str, payer: &str) -> String {
    format!(
        r#"
[[rule]]
name = "paid-into-{role}"
emitter = "{role}"
authority = true
event = "transaction"
revenue = "recognise"
emit = "RevenueReceived"
[rule.fields]
payment = {{ native = "payment", key = {{ from = "tx.hash" }} }}
key = {{ from = "tx.hash" }}
subject = {{ slice = {{ from = "tx.input" }}, length = 32 }}
payer = {{ from = "{payer}" }}
token = {{ const = "0x0000000000000000000000000000000000000000" }}
amount = {{ from = "tx.value" }}
backing = {{ const = "value" }}
"#
    )
}

#[tokio::test]
async fn the_native_token_is_paid_without_a_log() {
    let world = World::new().await;
    let [payer, other] = [world.people[0], world.people[1]];
    let rule = native_payments("escrow", "tx.to");
    let mapping = load(&rule, &[("escrow", ESCROW)]);
    let paid = async |to: Address, value: u64, input: Vec<u8>| {
        let request = TransactionRequest::default().with_from(payer).with_to(to).with_value(U256::from(value));
        let sent = world.provider.send_transaction(request.with_input(input)).await.unwrap();
        let hash = sent.get_receipt().await.unwrap().transaction_hash;
        (trace_block(&mapping, &logs_of(&world.provider, hash).await), hash)
    };
    let subject = B256::repeat_byte(7);
    let (traces, hash) = paid(ESCROW, 5, subject.to_vec()).await;
    let [payment] = facts(&traces, "RevenueReceived")[..] else { panic!("{traces:?}") };
    for (field, expected) in [
        ("key", hash.to_string()),
        ("subject", subject.to_string()),
        ("amount", "5".to_owned()),
        ("backing", "value".to_owned()),
    ] {
        assert_eq!(payment[field], expected, "{field}: {payment}");
    }
    // Nothing was paid, or to somebody else.
    assert!(paid(ESCROW, 0, subject.to_vec()).await.0.is_empty());
    assert!(paid(other, 5, subject.to_vec()).await.0.is_empty());
    // For nobody knows what.
    let (traces, hash) = paid(ESCROW, 5, Vec::new()).await;
    assert_eq!(facts(&traces, "Undecodable")[0]["content_hash"], hash.to_string(), "{traces:?}");
    assert!(traces[0].reason.starts_with("DECODE_ERROR"), "{traces:?}");

    let refused = |rule: &str| {
        let contracts: Contracts = [("escrow".to_owned(), [ESCROW].into())].into();
        let text = format!("name = \"t\"\nversion = 1\n{rule}");
        Mapping::parse("t.toml", &text, CHAIN, &contracts).unwrap_err().to_string()
    };
    let of_an_event = rule.replace("\"transaction\"", "\"Paid(bytes32 id)\"");
    for (rule, words) in [
        (rule.replace("= \"escrow\"", "= \"any\""), "every stranger"),
        (rule.replace("\"tx.value\"", "\"log.index\""), "log"),
        (rule.replace("{ from = \"tx.value\" }", "\"amount\""), "no argument \"amount\""),
        (rule.replace("[rule.fields]", "each = [\"x\"]\n[rule.fields]"), "has no log"),
        (of_an_event, "backing is \"value\": expected event = \"transaction\""),
        (rule.replace("paid-into", "again-into") + &rule, "recognises as revenue what rule"),
    ] {
        let said = refused(&rule);
        assert!(said.contains(words), "{words}: {said}");
    }
}
