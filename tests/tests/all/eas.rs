//! The real contracts of the Ethereum Attestation Service on Anvil, read through the mapping file that ships.

use alloy::primitives::{Address, B256, Bytes, TxKind, U256, b256, keccak256};
use alloy::providers::{DynProvider, Provider as _};
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use alloy::signers::{SignerSync as _, local::PrivateKeySigner};
use alloy::sol_types::{SolCall, SolValue};
use serde_json::{Value, json};
use tributary_indexer::decode::{Trace, fixture, trace_block};
use tributary_indexer::mapping::BuiltIn;
use tributary_indexer::{Contracts, Mapping, VerifiedBlock};
use tributary_tests::anvil::Anvil;
use tributary_tests::generated;

const CHAIN: u64 = 1612;
/// The schema by which batches are committed, and its id, which the mapping file has.
pub(crate) const SCHEMA: &str =
    "bytes32 method,uint64 seq,uint32 inferences,uint32 records,bytes32 payloadHash,bytes32 recordsRoot,bytes blobRef";
pub(crate) const SCHEMA_ID: B256 = b256!("88ea2e909f1700492e2fcadd814f9988e65c55babfa14b187a745f4ae62f9e92");
const HUB: Address = Address::repeat_byte(0x4b);

pub(crate) mod abi {
    alloy::sol! {
        struct Data { address recipient; uint64 expirationTime; bool revocable; bytes32 refUID; bytes data; uint256 value; }
        struct Signature { uint8 v; bytes32 r; bytes32 s; }
        struct Request { bytes32 schema; Data data; }
        struct Many { bytes32 schema; Data[] data; }
        struct Delegated { bytes32 schema; Data data; Signature signature; address attester; uint64 deadline; }
        struct ManyDelegated { bytes32 schema; Data[] data; Signature[] signatures; address attester; uint64 deadline; }
        struct RevocationData { bytes32 uid; uint256 value; }
        struct Revocation { bytes32 schema; RevocationData data; }
        function attest(Request request) returns (bytes32);
        function multiAttest(Many[] requests) returns (bytes32[]);
        function attestByDelegation(Delegated request) returns (bytes32);
        function multiAttestByDelegation(ManyDelegated[] requests) returns (bytes32[]);
        function revoke(Revocation request);
        function timestamp(bytes32 data) returns (uint64);
        function register(string schema, address resolver, bool revocable) returns (bytes32);
        function getDomainSeparator() returns (bytes32);
        function getAttestTypeHash() returns (bytes32);
    }
}
use abi::{Data, Delegated, Many, ManyDelegated, Request, Revocation, RevocationData, Signature};

/// A chain with the service on it.
struct World {
    _anvil: Anvil,
    provider: DynProvider,
    sender: Address,
    registry: Address,
    eas: Address,
    mapping: Mapping,
}

impl World {
    async fn new() -> Self {
        let anvil = Anvil::start_l2(&[]).unwrap();
        let provider = anvil.provider();
        let sender = provider.get_accounts().await.unwrap()[0];
        let registry = deploy(&provider, sender, "SchemaRegistry", &[]).await;
        let eas = deploy(&provider, sender, "EAS", &registry.abi_encode()).await;
        let mut contracts: Contracts =
            [("eas".to_owned(), [eas].into()), ("attribution_hub".to_owned(), [HUB].into())].into();
        let file = BuiltIn::named("eas").unwrap().file(&mut contracts);
        let mapping = Mapping::load(&[file], CHAIN, &contracts).unwrap();
        Self { _anvil: anvil, provider, sender, registry, eas, mapping }
    }

    /// What the logs of a call become, and its receipt.
    async fn traces(&self, to: Address, call: impl SolCall) -> (Vec<Trace>, TransactionReceipt) {
        let receipt = send(&self.provider, self.sender, TxKind::Call(to), call.abi_encode()).await;
        (trace_block(&self.mapping, &logs_of(&self.provider, receipt.transaction_hash).await), receipt)
    }

    async fn register(&self, schema: &str, revocable: bool) -> B256 {
        let call = abi::registerCall { schema: schema.to_owned(), resolver: Address::ZERO, revocable };
        let (_, receipt) = self.traces(self.registry, call).await;
        receipt.logs()[0].topics()[1]
    }

    async fn word(&self, call: impl SolCall) -> B256 {
        let call = TransactionRequest::default().to(self.eas).input(call.abi_encode().into());
        B256::from_slice(&self.provider.call(call).await.unwrap())
    }

    /// What a stranger to the transaction signs, so that somebody else attests for them.
    async fn sign(&self, signer: &PrivateKeySigner, schema: B256, data: &Data, nonce: u64) -> Signature {
        let kind = self.word(abi::getAttestTypeHashCall {}).await;
        let domain = self.word(abi::getDomainSeparatorCall {}).await;
        let of_data = (data.recipient, data.expirationTime, data.revocable, data.refUID, keccak256(&data.data));
        let body = (kind, signer.address(), schema, of_data, data.value, U256::from(nonce), 0_u64).abi_encode();
        let hash = keccak256([&[0x19, 0x01][..], domain.as_slice(), keccak256(body).as_slice()].concat());
        let signature = signer.sign_hash_sync(&hash).unwrap();
        Signature { v: 27 + u8::from(signature.v()), r: signature.r().into(), s: signature.s().into() }
    }
}

/// The logs of a transaction, to try rules on.
pub(crate) async fn logs_of(provider: &DynProvider, hash: B256) -> VerifiedBlock {
    let read = |method: &'static str| provider.raw_request::<_, Value>(method.into(), (hash,));
    let mut told = read("eth_getTransactionReceipt").await.unwrap();
    told["transaction"] = read("eth_getTransactionByHash").await.unwrap();
    fixture(&told.to_string()).unwrap()
}

pub(crate) async fn send(provider: &DynProvider, from: Address, to: TxKind, input: Vec<u8>) -> TransactionReceipt {
    let request = TransactionRequest { to: Some(to), ..TransactionRequest::default() }.from(from).input(input.into());
    let receipt = provider.send_transaction(request).await.unwrap().get_receipt().await.unwrap();
    assert!(receipt.status(), "{receipt:?}");
    receipt
}

pub(crate) async fn deploy(provider: &DynProvider, from: Address, name: &str, arguments: &[u8]) -> Address {
    let package = "tests/node/node_modules/@ethereum-attestation-service/eas-contracts/artifacts/contracts";
    let path = generated::root().join(package).join(format!("{name}.sol/{name}.json"));
    let artifact: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let code: Bytes = artifact["bytecode"].as_str().unwrap().parse().unwrap();
    let input = [&code[..], arguments].concat();
    send(provider, from, TxKind::Create, input).await.contract_address.unwrap()
}

pub(crate) fn data(recipient: Address, data: &[u8], revocable: bool) -> Data {
    let data = data.to_vec().into();
    Data { recipient, expirationTime: 0, revocable, refUID: B256::ZERO, data, value: U256::ZERO }
}

/// The facts of a kind, in the order of their logs.
fn facts<'a>(traces: &'a [Trace], kind: &str) -> Vec<&'a Value> {
    assert!(traces.iter().all(|trace| trace.facts.iter().all(|(kind, _)| kind != "Undecodable")), "{traces:?}");
    let facts = traces.iter().flat_map(|trace| &trace.facts);
    facts.filter(|(of, _)| of == kind).map(|(_, payload)| payload).collect()
}

fn lower(address: Address) -> Value {
    json!(format!("{address:#x}"))
}

#[tokio::test]
async fn attestations_and_their_data_are_recorded_however_they_are_made() {
    let world = World::new().await;
    let schema = world.register("string words", true).await;
    let (signer, anna) = (PrivateKeySigner::from_bytes(&B256::repeat_byte(7)).unwrap(), Address::repeat_byte(0xa1));
    let (one, two) = (data(anna, b"one", true), data(HUB, b"two", true));
    let said = [("one", anna), ("two", HUB)];
    let recorded = |traces: &[Trace], attester: Address, expected: &[(&str, Address)]| {
        let facts = facts(traces, "AttestationRecorded");
        assert_eq!(facts.len(), expected.len(), "{traces:?}");
        for (fact, (words, about)) in facts.iter().zip(expected) {
            assert_eq!(fact["data_hash"], json!(keccak256(words)), "{fact}");
            assert_eq!((&fact["attester"], &fact["schema"]), (&lower(attester), &json!(schema)), "{fact}");
            assert_eq!(fact["subject"], json!(about.into_word()), "{fact}");
        }
        assert!(facts_of_batches(traces).is_empty());
    };

    let call = abi::attestCall { request: Request { schema, data: one.clone() } };
    let (traces, receipt) = world.traces(world.eas, call).await;
    recorded(&traces, world.sender, &said[..1]);
    let uid = B256::from_slice(&receipt.logs()[0].data().data);

    // The same words to the same recipient in one block would have a uid of another seed.
    let three = data(anna, b"three", true);
    let many = Many { schema, data: vec![two.clone(), three] };
    let four = data(anna, b"four", true);
    let requests = vec![Many { schema, data: vec![four] }, many];
    let (traces, _) = world.traces(world.eas, abi::multiAttestCall { requests }).await;
    recorded(&traces, world.sender, &[("four", anna), said[1], ("three", anna)]);

    let signature = world.sign(&signer, schema, &two, 0).await;
    let attester = signer.address();
    let request = Delegated { schema, data: two.clone(), signature, attester, deadline: 0 };
    let (traces, _) = world.traces(world.eas, abi::attestByDelegationCall { request }).await;
    recorded(&traces, attester, &said[1..]);

    let (five, six) = (data(HUB, b"five", true), data(anna, b"six", true));
    let signatures = vec![world.sign(&signer, schema, &five, 1).await, world.sign(&signer, schema, &six, 2).await];
    let requests = vec![ManyDelegated { schema, data: vec![five, six], signatures, attester, deadline: 0 }];
    let (traces, _) = world.traces(world.eas, abi::multiAttestByDelegationCall { requests }).await;
    recorded(&traces, attester, &[("five", HUB), ("six", anna)]);

    let request = Revocation { schema, data: RevocationData { uid, value: U256::ZERO } };
    let (traces, _) = world.traces(world.eas, abi::revokeCall { request }).await;
    let revoked = facts(&traces, "AttestationRevoked");
    assert_eq!((revoked.len(), &revoked[0]["attester"]), (1, &lower(world.sender)), "{traces:?}");

    let (traces, receipt) = world.traces(world.eas, abi::timestampCall { data: uid }).await;
    assert!(traces.is_empty() && receipt.logs().len() == 1, "{traces:?}");
}

fn facts_of_batches(traces: &[Trace]) -> Vec<&Value> {
    facts(traces, "AttributionBatchCommitted")
}

#[tokio::test]
async fn an_attestation_under_the_attribution_schema_commits_a_batch_at_the_hub() {
    let world = World::new().await;
    assert_eq!(world.register(SCHEMA, false).await, SCHEMA_ID);
    let (method, hash, root) = (B256::repeat_byte(3), B256::repeat_byte(4), B256::repeat_byte(5));
    let blob: Bytes = vec![0x01, 0x00, 0x00].into();
    let body = (method, 6_u64, 2_u32, 9_u32, hash, root, blob.clone()).abi_encode_params();
    let request = Request { schema: SCHEMA_ID, data: data(HUB, &body, false) };
    let (traces, _) = world.traces(world.eas, abi::attestCall { request }).await;
    let [batch] = facts_of_batches(&traces)[..] else { panic!("{traces:?}") };
    let key = keccak256([world.sender.as_slice(), &6_u64.to_be_bytes()].concat());
    let id = tributary_schemas::id::entity_id(tributary_schemas::id::EntityKind::Batch, CHAIN, HUB, key.as_slice());
    for (field, expected) in [
        ("batch", json!(id)),
        ("key", json!(key)),
        ("producer", lower(world.sender)),
        ("method", json!(method)),
        ("seq", json!("6")),
        ("inferences", json!(2)),
        ("records", json!(9)),
        ("payload_hash", json!(hash)),
        ("records_root", json!(root)),
        ("blob_ref", json!(blob)),
    ] {
        assert_eq!(batch[field], expected, "{field}: {batch}");
    }
    assert_eq!(facts(&traces, "AttestationRecorded").len(), 1);

    // To anybody else it is an attestation and no more.
    let request = Request { schema: SCHEMA_ID, data: data(Address::repeat_byte(1), &body, false) };
    let (traces, _) = world.traces(world.eas, abi::attestCall { request }).await;
    assert!(facts_of_batches(&traces).is_empty() && facts(&traces, "AttestationRecorded").len() == 1, "{traces:?}");
    // What is no batch is refused.
    let request = Request { schema: SCHEMA_ID, data: data(HUB, b"no batch", false) };
    let (traces, _) = world.traces(world.eas, abi::attestCall { request }).await;
    assert!(traces.iter().all(|trace| trace.facts.iter().all(|(kind, _)| kind != "AttributionBatchCommitted")));
}
