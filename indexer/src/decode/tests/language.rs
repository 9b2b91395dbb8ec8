//! What each expression comes to, and which logs a rule is for.

use alloy_dyn_abi::{DynSolValue as V, Specifier as _};
use alloy_primitives::{Address, B256, Bytes, I256, U256, hex, keccak256};
use tributary_schemas::code::Reason;
use tributary_schemas::encoding::payload_json;
use tributary_schemas::id::{AgentId, version_id};
use tributary_schemas::{BlockRef, Payload};

use crate::decode::{Child, Decoded, Known, Since, Unknown, decode_block};
use crate::mapping::{BuiltIn, Contracts, Mapping, MappingFile};
use crate::{Topics, Trust, TxInfo, VerifiedBlock, VerifiedLog};

pub(super) const EMITTER: Address = Address::repeat_byte(7);

/// A block with one transaction whose logs these are.
pub(super) fn block(logs: Vec<(Address, Vec<B256>, Vec<u8>)>, input: Vec<u8>) -> VerifiedBlock {
    let logs = (0..).zip(logs).map(|(log_index, (address, topics, data))| VerifiedLog {
        tx_index: 0,
        log_index,
        address,
        topics: Topics::new(&topics).unwrap(),
        data: data.into(),
    });
    VerifiedBlock {
        block: BlockRef { number: 5, timestamp: 99, ..BlockRef::default() },
        header: alloy::consensus::Header::default(),
        l1_origin: None,
        transactions: vec![TxInfo {
            hash: B256::repeat_byte(0xab),
            kind: 2,
            to: Some(EMITTER),
            value: U256::from(12),
            input: input.into(),
            success: true,
            raw: Bytes::new(),
        }],
        logs: logs.collect(),
        trust: Trust::Verified,
        reads: Default::default(),
    }
}

pub(super) fn log(signature: &str, values: &[V]) -> (Address, Vec<B256>, Vec<u8>) {
    let event = crate::mapping::event_of(signature).unwrap();
    let mut topics = vec![event.selector()];
    let mut body = Vec::new();
    for (input, value) in event.inputs.iter().zip(values) {
        assert!(input.indexed || input.resolve().unwrap().matches(value), "{signature}: {value:?}");
        if input.indexed { topics.push(value.as_word().unwrap()) } else { body.push(value.clone()) }
    }
    (EMITTER, topics, V::Tuple(body).abi_encode_params())
}

pub(super) fn load(rules: &str, contracts: &Contracts) -> Mapping {
    Mapping::parse("t.toml", &format!("name = \"t\"\nversion = 1\n{rules}"), 1, contracts).unwrap()
}

const SIGNATURE: &str = "X(uint64 n, int32 i, address a, bytes b, string t, bytes32 w, (address to, uint16[2] pair)[] lots, string indexed h)";

fn values() -> Vec<V> {
    let lot = |byte: u8, n: u8| {
        let pair = [n, n + 1].map(|n| V::Uint(U256::from(n), 16)).to_vec();
        V::Tuple(vec![V::Address(Address::repeat_byte(byte)), V::FixedArray(pair)])
    };
    vec![
        V::Uint(U256::from(1500), 64),
        V::Int(I256::try_from(-2500).unwrap(), 32),
        V::Address(Address::repeat_byte(0xaa)),
        V::Bytes(V::Tuple(vec![V::Uint(U256::from(8), 256), V::String("deep".to_owned())]).abi_encode_params()),
        V::String(r#"{"a":{"b":[3,"4","0x05"]},"big":"340282366920938463463","x":1.5,"on":true}"#.to_owned()),
        V::FixedBytes(B256::right_padding_from(b"short"), 32),
        V::Array(vec![lot(1, 10), lot(2, 20)]),
        V::FixedBytes(keccak256("hashed"), 32),
    ]
}

/// What a field of an attestation is when it comes from this expression, or what is wrong.
fn field(name: &str, expr: &str) -> Result<String, (Reason, String)> {
    let mut fields = std::collections::BTreeMap::from([
        ("attestation", "\"w\""),
        ("schema", "\"w\""),
        ("subject", "\"w\""),
        ("attester", "\"a\""),
        ("decimals", "{ const = 0 }"),
        ("tag", "{ const = \"\" }"),
        ("uri", "{ const = \"\" }"),
        ("data_hash", "\"w\""),
    ]);
    fields.insert(name, expr);
    let fields: String = fields.iter().map(|(name, expr)| format!("{name} = {expr}\n")).collect();
    let rule = format!(
        "[[rule]]\nname = \"r\"\nemitter = \"any\"\nevent = \"{SIGNATURE}\"\nemit = \"AttestationRecorded\"\n[rule.fields]\n{fields}"
    );
    let block = block(vec![log(SIGNATURE, &values())], b"call".to_vec());
    let decoded = decode_block(&load(&rule, &Contracts::default()), &block, &Unknown);
    let [Decoded { payload, refused, .. }] = decoded.as_slice() else { panic!("{decoded:?}") };
    match refused {
        Some(refused) => Err(refused.clone()),
        None => {
            let json: serde_json::Value = serde_json::from_str(&payload_json(payload)).unwrap();
            Ok(json[name].as_str().map_or_else(|| json[name].to_string(), str::to_owned))
        }
    }
}

#[test]
fn every_expression_comes_to_what_solidity_would_make_of_it() {
    let packed = [&1500_u64.to_be_bytes()[..], &(-2500_i32).to_be_bytes(), &[0xaa; 20], b"x"].concat();
    let number = |n: u64| B256::from(U256::from(n)).to_string();
    let cases = [
        ("value", "\"n\"", "1500".to_owned()),
        ("value", "\"i\"", "-2500".to_owned()),
        ("value", "\"lots[1].pair[0]\"", "20".to_owned()),
        ("attester", "\"lots[0].to\"", Address::repeat_byte(1).to_string()),
        ("data_hash", "\"h\"", keccak256("hashed").to_string()),
        ("data_hash", "{ keccak = { const = \"hashed\" } }", keccak256("hashed").to_string()),
        ("data_hash", "{ keccak = [\"n\", \"i\", \"a\", { const = \"x\" }] }", keccak256(&packed).to_string()),
        (
            "data_hash",
            "{ keccak = { concat = [\"n\", \"i\", \"a\", { const = \"x\" }] } }",
            keccak256(&packed).to_string(),
        ),
        ("data_hash", "{ slice = \"b\", length = 32 }", number(8)),
        ("data_hash", "{ cast = \"bytes32\", of = \"n\" }", number(1500)),
        ("data_hash", "{ cast = \"bytes32\", of = \"a\" }", Address::repeat_byte(0xaa).into_word().to_string()),
        ("tag", "{ utf8 = \"w\" }", "short".to_owned()),
        ("tag", "{ utf8 = { slice = \"w\", at = 1, length = 3 } }", "hor".to_owned()),
        ("tag", "{ utf8 = { slice = { from = \"tx.input\" }, at = -3 } }", "all".to_owned()),
        ("tag", "{ abi = \"uint256 x, string y\", of = \"b\", take = \"y\" }", "deep".to_owned()),
        ("value", "{ abi = \"uint256 x, string y\", of = \"b\", take = \"x\" }", "8".to_owned()),
        ("value", "{ json = \"t\", path = \"a.b.0\", as = \"uint8\" }", "3".to_owned()),
        ("value", "{ json = \"t\", path = \"a.b.1\", as = \"int64\" }", "4".to_owned()),
        ("value", "{ json = \"t\", path = \"a.b.2\", as = \"uint8\" }", "5".to_owned()),
        ("value", "{ json = \"t\", path = \"a.c\", as = \"uint8\" }", "null".to_owned()),
        ("value", "{ json = \"t\", path = \"a.c\", as = \"uint8\", or = \"n\" }", "1500".to_owned()),
        ("value", "{ scale = 3, of = \"n\" }", "1500000".to_owned()),
        ("value", "{ scale = -2, of = \"n\" }", "15".to_owned()),
        ("value", "{ scale = -3, of = \"n\", round = \"down\" }", "1".to_owned()),
        ("value", "{ scale = -3, of = \"i\", round = \"down\" }", "-3".to_owned()),
        (
            "value",
            "{ scale = -18, of = { json = \"t\", path = \"big\", as = \"uint256\" }, round = \"down\" }",
            "340".to_owned(),
        ),
        ("value", "{ arg = \"n\", none_if = 1500 }", "null".to_owned()),
        ("value", "{ cast = \"uint16\", of = \"n\" }", "1500".to_owned()),
        ("value", "{ from = \"block.timestamp\" }", "99".to_owned()),
        ("value", "{ from = \"tx.value\" }", "12".to_owned()),
        ("value", "{ from = \"log.index\" }", "0".to_owned()),
        ("data_hash", "{ from = \"tx.hash\" }", B256::repeat_byte(0xab).to_string()),
        ("attester", "{ from = \"tx.to\" }", EMITTER.to_string()),
        (
            "data_hash",
            "{ version_of = \"w\", number = \"n\" }",
            version_id(B256::right_padding_from(b"short"), 1500).to_string(),
        ),
        (
            "data_hash",
            "{ external = { const = \"hf:a/b\" } }",
            tributary_schemas::id::external_id("hf:a/b").to_string(),
        ),
        ("data_hash", "{ first = [\"w\"] }", B256::right_padding_from(b"short").to_string()),
    ];
    for (name, expr, expected) in cases {
        let got = field(name, expr).unwrap_or_else(|refused| panic!("{expr}: {refused:?}"));
        assert_eq!(got.to_lowercase(), expected.to_lowercase(), "{expr}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_the_value() {
    let cases = [
        ("value", "{ cast = \"uint8\", of = \"n\" }", Reason::OutOfRange, "does not fit uint8"),
        ("value", "{ cast = \"uint64\", of = \"i\" }", Reason::OutOfRange, "does not fit uint64"),
        ("value", "{ scale = -3, of = \"n\" }", Reason::OutOfRange, "no multiple of 10^3"),
        ("value", "{ scale = 77, of = \"n\" }", Reason::OutOfRange, "out of range"),
        ("value", "{ json = \"t\", path = \"x\", as = \"uint8\" }", Reason::OutOfRange, "expected an integer"),
        ("value", "{ json = \"t\", path = \"on\", as = \"uint8\" }", Reason::DecodeError, "a truth value"),
        ("tag", "{ json = \"t\", path = \"a\" }", Reason::DecodeError, "an object or a list"),
        ("tag", "{ json = \"t\", path = \"nope\" }", Reason::DecodeError, "got nothing"),
        ("tag", "{ utf8 = { slice = \"b\", at = 9999 } }", Reason::DecodeError, "expected more"),
        ("value", "\"lots[2].pair[0]\"", Reason::DecodeError, "a shorter list"),
        ("tag", "{ abi = \"string y\", of = \"b\", take = \"y\" }", Reason::DecodeError, "offset"),
        ("attester", "{ owner = \"w\" }", Reason::UnknownRef, "no entity"),
    ];
    for (name, expr, reason, words) in cases {
        let refused = field(name, expr).unwrap_err();
        assert!(refused.0 == reason && refused.1.contains(words), "{expr}: {refused:?}");
    }
}

/// A rule that makes a code of every element, and the codes and places it makes.
fn tagged(rest: &str, codes: &str, logs: Vec<(Address, Vec<B256>, Vec<u8>)>) -> Vec<(u32, u32, String)> {
    let rule = format!(
        "[[rule]]\nname = \"r\"\nemitter = \"any\"\n{rest}\nemit = \"MetadataUpdated\"\n[rule.fields]\n\
         entity = {{ from = \"tx.hash\" }}\nhash = {{ from = \"tx.hash\" }}\nuri = {codes}\n"
    );
    let decoded = decode_block(&load(&rule, &Contracts::default()), &block(logs, Vec::new()), &Unknown);
    let told = decoded.iter().map(|one| {
        let text = match (&one.payload, &one.refused) {
            (Payload::MetadataUpdated { uri, .. }, None) => uri.clone(),
            (_, refused) => refused.as_ref().map(|(reason, detail)| format!("{reason}: {detail}")).unwrap_or_default(),
        };
        (one.position.log_index, one.position.sub_index, text)
    });
    told.collect()
}

#[test]
fn a_rule_goes_through_parallel_and_nested_lists() {
    const FLAT: &str = "F(string[] names, uint8[] marks)";
    let texts = |texts: &[&str]| V::Array(texts.iter().map(|text| V::String((*text).to_owned())).collect());
    let marks = |count: u8| V::Array((0..count).map(|n| V::Uint(U256::from(n), 8)).collect());
    let rest = format!("event = \"{FLAT}\"\neach = [\"names\", \"marks\"]");
    let flat = |names: &[&str], count| log(FLAT, &[texts(names), marks(count)]);
    assert_eq!(
        tagged(&rest, "\"names\"", vec![flat(&["a", "b"], 2), flat(&[], 0), flat(&["c"], 1)]),
        [(0, 0, "a".to_owned()), (0, 1, "b".to_owned()), (2, 0, "c".to_owned())]
    );
    let uneven = tagged(&rest, "\"names\"", vec![flat(&["a", "b"], 3)]);
    assert!(uneven.len() == 1 && uneven[0].2.contains("arrays of 2 and 3 elements"), "{uneven:?}");
    let second = format!("{rest}\nwhere.marks = 1");
    assert_eq!(tagged(&second, "\"names\"", vec![flat(&["a", "b", "c"], 3)]), [(0, 0, "b".to_owned())]);

    const NESTED: &str = "N((string who, string[] what)[] groups)";
    let group = |who: &str, what: &[&str]| V::Tuple(vec![V::String(who.to_owned()), texts(what)]);
    let nested = log(NESTED, &[V::Array(vec![group("x", &["1", "2"]), group("y", &[]), group("z", &["3"])])]);
    let codes = "{ utf8 = { concat = [\"groups[].who\", \"groups[].what\"] } }";
    let rest = format!("event = \"{NESTED}\"\neach = [\"groups[].what\"]");
    let told: Vec<String> = tagged(&rest, codes, vec![nested]).into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(told, ["x1", "x2", "z3"]);
}

#[test]
fn a_list_has_as_many_structs_as_are_written() {
    const MADE: &str = "Made(uint256 indexed id, bytes32 one, (bytes32 version, uint8 how)[] others)";
    let rule = |list: &str| {
        format!(
            "[[rule]]\nname = \"r\"\nemitter = \"any\"\nevent = \"{MADE}\"\nemit = \"AgentVersionPublished\"\n[rule.fields]\n\
             agent = {{ native = \"agent\", key = \"id\" }}\nversion = {{ const = 1 }}\nconfig_hash = \"one\"\nupstream = {list}\n"
        )
    };
    let word = |byte: u8| B256::repeat_byte(byte);
    let other = V::Tuple(vec![V::FixedBytes(word(2), 32), V::Uint(U256::from(8), 8)]);
    let made = log(MADE, &[V::Uint(U256::from(3), 256), V::FixedBytes(word(1), 32), V::Array(vec![other])]);
    let told = |list: &str| {
        let mapping = load(&rule(list), &Contracts::default());
        match decode_block(&mapping, &block(vec![made.clone()], Vec::new()), &Unknown).remove(0).payload {
            Payload::AgentVersionPublished { upstream, .. } => {
                upstream.into_iter().map(|one| (one.version, one.relation.number(), one.share_ppb)).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    };
    let both = "{ list = [{ version = \"one\", relation = { const = \"USES_MODEL\" } }, \
                { version = \"others[0].version\", relation = \"others[0].how\", share_ppb = { const = 5 } }] }";
    assert_eq!(told(both), [(word(1), 7, None), (word(2), 8, Some(5))]);
    assert_eq!(told("{ list = [] }"), []);
    let refused = |list: &str| {
        Mapping::parse("t", &format!("name = \"t\"\nversion = 1\n{}", rule(list)), 1, &Contracts::default())
    };
    for (list, words) in [
        ("{ list = [{ version = \"one\" }] }", "relation"),
        ("{ list = [{ versions = \"one\" }] }", "no field \"versions\""),
        ("{ list = { version = \"one\" } }", "list of tables"),
        ("{ list = [\"one\"] }", "table of fields"),
    ] {
        let said = refused(list).unwrap_err().to_string();
        assert!(said.contains(words), "{list}: {said}");
    }
}

#[test]
fn generations_masks_blocks_and_conditions_choose_the_logs() {
    let text = |text: &str| V::String(text.to_owned());
    let (old, new) = ("G(string name)", "G(string name, string label)");
    let logs = || vec![log(old, &[text("a")]), log(new, &[text("b"), text("c")])];
    let both = format!("event = [\"{old}\", \"{new}\"]");
    let told = |rest: &str, codes: &str| tagged(rest, codes, logs()).into_iter().map(|one| one.2).collect::<Vec<_>>();
    assert_eq!(told(&both, "{ first = [\"label\", \"name\"] }"), ["a", "c"]);
    assert_eq!(told(&format!("{both}\nwhere.name = \"b\""), "\"name\""), ["b"]);
    assert_eq!(told(&format!("{both}\nfrom_block = 6"), "\"name\""), [""; 0]);
    assert_eq!(told(&format!("{both}\nfrom_block = 5\nto_block = 5"), "\"name\""), ["a", "b"]);
    // One topic, two masks: each rule reads its own.
    let masks = ["M(address indexed a, string t)", "M(address a, string t)"];
    let log_of = |mask: &str| log(mask, &[V::Address(EMITTER), text("m")]);
    for (at, mask) in masks.iter().enumerate() {
        let told = tagged(&format!("event = \"{mask}\""), "\"t\"", masks.map(log_of).to_vec());
        assert_eq!(told, [(u32::try_from(at).unwrap(), 0, "m".to_owned())]);
    }
}

struct Registered;

impl Known for Registered {
    fn owner(&self, _: B256) -> Option<Address> {
        Some(EMITTER)
    }
    fn latest_version(&self, entity: B256) -> Option<B256> {
        Some(version_id(entity, 3))
    }
    fn child_since(&self, _: Child) -> Option<Since> {
        None
    }
    fn children(&self, _: B256) -> u64 {
        0
    }
}

#[test]
fn codes_are_read_from_the_end_of_the_calldata() {
    let rule = "[[rule]]\nname = \"r\"\nemitter = \"any\"\nevent = \"P()\"\nemit = \"ReferralTagged\"\n[rule.fields]\n\
                tx = { from = \"tx.hash\" }\ncodes = { erc8021 = { from = \"tx.input\" } }\n";
    let mapping = load(rule, &Contracts::default());
    let codes = |input: Vec<u8>| {
        let decoded = decode_block(&mapping, &block(vec![log("P()", &[])], input), &Unknown);
        match &decoded[0] {
            Decoded { payload: Payload::ReferralTagged { codes, .. }, refused: None, .. } => Ok(codes.clone()),
            other => Err(format!("{:?}", other.refused)),
        }
    };
    let suffix = |schema: u8, length: u8| {
        [&b"\x01\x02base,app"[..], &[length, schema], &hex!("80218021802180218021802180218021")].concat()
    };
    assert_eq!(codes(suffix(0, 8)).unwrap(), ["base", "app"]);
    assert_eq!(codes(b"nothing".to_vec()).unwrap(), [""; 0]);
    assert!(codes(suffix(1, 8)).unwrap_err().contains("schema 1"));
    assert!(codes(suffix(0, 200)).unwrap_err().contains("longer than the calldata"));
}

fn built_in(name: &str, roles: &[(&str, Address)]) -> Mapping {
    let mut contracts = Contracts::default();
    let file: MappingFile = BuiltIn::named(name).unwrap().file(&mut contracts);
    for (role, address) in roles {
        contracts.entry((*role).to_owned()).or_default().insert(*address);
    }
    Mapping::load(&[file], 1, &contracts).unwrap()
}

#[test]
fn a_transfer_to_the_escrow_is_a_payment_of_the_escrow() {
    let (escrow, token) = (Address::repeat_byte(1), EMITTER);
    let mapping = built_in("erc20-payments", &[("escrow", escrow), ("payment_token", token)]);
    const TRANSFER: &str = "Transfer(address indexed from, address indexed to, uint256 value)";
    let to = |to: Address| {
        log(TRANSFER, &[V::Address(Address::repeat_byte(5)), V::Address(to), V::Uint(U256::from(77), 256)])
    };
    let subject = B256::repeat_byte(0xcd);
    let input = [&[0; 68][..], subject.as_slice()].concat();
    let mut foreign = to(escrow);
    foreign.0 = Address::repeat_byte(6);
    let decoded =
        decode_block(&mapping, &block(vec![to(Address::repeat_byte(2)), to(escrow), foreign], input), &Unknown);
    let [paid, refused] = decoded.as_slice() else { panic!("{decoded:?}") };
    let Payload::RevenueReceived { subject: named, payer, token: of, amount, .. } = &paid.payload else { panic!() };
    assert_eq!((named.0, *payer, *of, amount.to_string().as_str()), (subject, Address::repeat_byte(5), token, "77"));
    assert_eq!((paid.emitter, &paid.refused), (escrow, &None));
    assert_eq!(refused.refused.as_ref().unwrap().0, Reason::Unauthorized);
    assert_eq!(refused.emitter, Address::repeat_byte(6));
}

#[test]
fn feedback_is_about_an_agent_of_the_identity_registry() {
    let identity = Address::repeat_byte(3);
    let mapping = built_in("erc8004", &[("erc8004_identity", identity), ("erc8004_reputation", EMITTER)]);
    const FEEDBACK: &str = "NewFeedback(uint256 indexed agentId, address indexed clientAddress, uint64 feedbackIndex, int128 value, uint8 valueDecimals, string indexed indexedTag1, string tag1, string tag2, string endpoint, string feedbackURI, bytes32 feedbackHash)";
    let given = |value: i128| {
        let text = |text: &str| V::String(text.to_owned());
        let log = log(
            FEEDBACK,
            &[
                V::Uint(U256::from(9), 256),
                V::Address(EMITTER),
                V::Uint(U256::from(2), 64),
                V::Int(I256::try_from(value).unwrap(), 128),
                V::Uint(U256::from(2), 8),
                V::FixedBytes(keccak256("good"), 32),
                text("good"),
                text(""),
                text(""),
                text("ipfs://x"),
                V::FixedBytes(B256::ZERO, 32),
            ],
        );
        decode_block(&mapping, &block(vec![log], Vec::new()), &Unknown).remove(0)
    };
    let Payload::AttestationRecorded { subject, value, decimals, tag, .. } = given(-87).payload else { panic!() };
    assert_eq!(subject, AgentId::native(1, identity, B256::from(U256::from(9))).entity());
    assert_eq!((value, decimals, tag.as_str()), (Some(-87), 2, "good"));
    assert_eq!(given(i128::MAX).refused.unwrap().0, Reason::OutOfRange);
}

#[test]
fn an_entity_is_looked_up_and_its_owner_found() {
    let rule = "[[rule]]\nname = \"r\"\nemitter = \"any\"\nevent = \"L(bytes32 id)\"\nemit = \"LineageRetracted\"\n[rule.fields]\n\
                from = { latest_version = \"id\" }\nto = \"id\"\nrelation = { const = \"USES_MODEL\" }\n";
    let id = B256::repeat_byte(4);
    let logs = vec![log("L(bytes32 id)", &[V::FixedBytes(id, 32)])];
    let mapping = load(rule, &Contracts::default());
    let decoded = decode_block(&mapping, &block(logs.clone(), Vec::new()), &Registered);
    let Payload::LineageRetracted { from, .. } = &decoded[0].payload else { panic!("{decoded:?}") };
    assert_eq!(from.0, version_id(id, 3));
    let unknown = decode_block(&mapping, &block(logs, Vec::new()), &Unknown);
    assert_eq!(unknown[0].refused.as_ref().unwrap().0, Reason::UnknownRef);
}

#[test]
fn what_a_log_may_cost_is_bounded_by_its_size() {
    const MANY: &str = "C(uint8[] marks, string t)";
    let marks = V::Array((0..4000).map(|_| V::Uint(U256::ZERO, 8)).collect());
    let text = V::String(format!("{{\"a\":\"{}\"}}", "x".repeat(20_000)));
    let rest = format!("event = \"{MANY}\"\neach = [\"marks\"]");
    // Every element would read all of the text.
    let told = tagged(&rest, "{ json = \"t\", path = \"a\" }", vec![log(MANY, &[marks, text])]);
    assert!(told.len() == 1 && told[0].2.contains("costs more than its size allows"), "{:?}", told.len());
}
