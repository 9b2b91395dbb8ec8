//! State reads: what is asked, what becomes of the answers, and how much may be asked.

use alloy_dyn_abi::DynSolValue as V;
use alloy_primitives::{Address, B256, Bytes, I256, U256};
use tributary_schemas::code::Reason;
use tributary_schemas::encoding::payload_json;

use super::language::{EMITTER, block, load};
use crate::IndexerError;
use crate::decode::{Unknown, decode_block, unread};
use crate::fold::{Chronology, fold_verified};
use crate::mapping::{Contracts, Mapping, MappingFile, function};
use crate::reads::{Answer, READS_MAX, Reply, StateCall};
use crate::seal::{Body, ingest_block};
use crate::state::{MemoryState, StateView};
use crate::{Trust, VerifiedBlock};

const SAID: &str = "Said(uint256 indexed id, int32 i, address a, bytes b, string t, bool on, bytes4 f, uint256[] ids)";
const OWNER: &str = "ownerOf(uint256 id) external view returns (address)";

/// A rule whose attester and tag are these.
fn rule(attester: &str, tag: &str, more: &str) -> String {
    format!(
        "[[rule]]\nname = \"said\"\nemitter = \"any\"\nevent = \"{SAID}\"\nemit = \"AttestationRecorded\"\n{more}\n\
         [rule.fields]\nattestation = {{ cast = \"bytes32\", of = \"id\" }}\nschema = {{ cast = \"bytes32\", of = \"id\" }}\n\
         subject = {{ cast = \"bytes32\", of = \"a\" }}\nattester = {attester}\ndecimals = {{ const = 0 }}\ntag = {tag}\n\
         uri = {{ const = \"\" }}\ndata_hash = {{ cast = \"bytes32\", of = \"id\" }}\n"
    )
}

fn owner(more: &str) -> String {
    format!("{{ state = \"{OWNER}\", of = {{ from = \"emitter\" }}, with = [\"id\"]{more} }}")
}

fn mapping(attester: &str, tag: &str) -> Mapping {
    load(&rule(attester, tag, ""), &Contracts::default())
}

fn said(ids: usize) -> VerifiedBlock {
    let values = [
        V::FixedBytes(B256::from(U256::from(9)), 32),
        V::Int(I256::try_from(-2).unwrap(), 32),
        V::Address(Address::repeat_byte(0xaa)),
        V::Bytes(vec![7; 33]),
        V::String("text".to_owned()),
        V::Bool(true),
        V::FixedBytes(B256::right_padding_from(&[1, 2, 3, 4]), 4),
        V::Array((0..ids).map(|id| V::Uint(U256::from(id), 256)).collect()),
    ];
    let event = crate::mapping::event_of(SAID).unwrap();
    let body = V::Tuple(values[1..].to_vec()).abi_encode_params();
    block(vec![(EMITTER, vec![event.selector(), B256::from(U256::from(9))], body)], Vec::new())
}

fn call(to: Address, signature: &str, arguments: Vec<V>) -> StateCall {
    let selector = function(signature).unwrap().0;
    StateCall { to, data: [selector.to_vec(), V::Tuple(arguments).abi_encode_params()].concat().into() }
}

fn answered(mut block: VerifiedBlock, call: StateCall, reply: Reply) -> VerifiedBlock {
    block.reads.insert(call, Answer { reply, agreeing: 2 });
    block
}

/// The attester and the tag, or what is refused.
fn read(mapping: &Mapping, block: &VerifiedBlock) -> Result<(String, String), (Reason, String)> {
    let one = decode_block(mapping, block, &Unknown).remove(0);
    if let Some(refused) = one.refused {
        return Err(refused);
    }
    let json: serde_json::Value = serde_json::from_str(&payload_json(&one.payload)).unwrap();
    let text = |name: &str| json[name].as_str().unwrap().to_owned();
    Ok((text("attester"), text("tag")))
}

fn of_id() -> StateCall {
    call(EMITTER, "ownerOf(uint256 id)", vec![V::Uint(U256::from(9), 256)])
}

fn word(address: Address) -> Bytes {
    address.into_word().0.into()
}

#[test]
fn what_is_asked_is_what_solidity_would_ask() {
    let asks = "{ state = \"f(int64 i, address a, bytes b, string t, bool on, bytes4 f, uint8 n, bytes32 w) returns (uint8 x, (bool y, string z)[2] all)\", of = \"a\", with = [\"i\", \"a\", \"b\", \"t\", \"on\", \"f\", { const = 5 }, { from = \"block.hash\" }], take = \"all[1].z\" }";
    let (mapping, block) = (mapping("\"a\"", asks), said(0));
    let arguments = vec![
        V::Int(I256::try_from(-2).unwrap(), 64),
        V::Address(Address::repeat_byte(0xaa)),
        V::Bytes(vec![7; 33]),
        V::String("text".to_owned()),
        V::Bool(true),
        V::FixedBytes(B256::right_padding_from(&[1, 2, 3, 4]), 4),
        V::Uint(U256::from(5), 8),
        V::FixedBytes(B256::ZERO, 32),
    ];
    let signature = "f(int64 i, address a, bytes b, string t, bool on, bytes4 f, uint8 n, bytes32 w)";
    let expected = call(Address::repeat_byte(0xaa), signature, arguments);
    assert_eq!(unread(&mapping, &block), [expected.clone()].into());
    let part = |text: &str| V::Tuple(vec![V::Bool(false), V::String(text.to_owned())]);
    let answer = V::Tuple(vec![V::Uint(U256::from(1), 8), V::FixedArray(vec![part("no"), part("yes")])]);
    let block = answered(block, expected, Reply::Returned(answer.abi_encode_params().into()));
    assert_eq!(read(&mapping, &block).unwrap().1, "yes");
    assert!(unread(&mapping, &block).is_empty());
}

#[test]
fn a_revert_is_an_answer_that_the_rule_decides_about() {
    let strict = mapping(&owner(""), "\"t\"");
    let lenient = mapping(&owner(", on_revert = \"nothing\", or = \"a\""), "\"t\"");
    let buyer = Address::repeat_byte(0xbb);
    for (reply, expected) in [
        (Reply::Returned(word(buyer)), Ok(buyer)),
        (Reply::Reverted, Err("it reverted")),
        (Reply::Oversize, Err("too long")),
        // An account without code.
        (Reply::Returned(Bytes::new()), Err("gave no answer")),
        (Reply::Returned(B256::repeat_byte(1).0.into()), Err("gave no answer")),
    ] {
        let block = answered(said(0), of_id(), reply);
        let otherwise = read(&lenient, &block).unwrap().0;
        match (expected, read(&strict, &block)) {
            (Ok(expected), Ok((got, _))) => {
                assert_eq!((&got, &otherwise), (&expected.to_string().to_lowercase(), &got));
            }
            (Err(words), Err((reason, detail))) => {
                assert_eq!(reason, Reason::DecodeError);
                assert!(detail.contains(words) && detail.contains("ownerOf"), "{detail}");
                assert_eq!(otherwise, format!("{:#x}", Address::repeat_byte(0xaa)));
            }
            (_, other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_answer_may_be_asked_something() {
    let inner = "{ state = \"vault() returns (address)\", of = \"a\" }";
    let mapping = mapping(&format!("{{ state = \"{OWNER}\", of = {inner}, with = [\"id\"] }}"), "\"t\"");
    let vault = Address::repeat_byte(0xcc);
    let first = call(Address::repeat_byte(0xaa), "vault()", vec![]);
    assert_eq!(unread(&mapping, &said(0)), [first.clone()].into());
    let block = answered(said(0), first, Reply::Returned(word(vault)));
    let second = StateCall { to: vault, ..of_id() };
    assert_eq!(unread(&mapping, &block), [second.clone()].into());
    let block = answered(block, second, Reply::Returned(word(EMITTER)));
    assert_eq!(read(&mapping, &block).unwrap().0, EMITTER.to_string());
}

#[test]
fn a_block_is_not_folded_without_its_answers() {
    let (mapping, state) = (mapping(&owner(""), "\"t\""), MemoryState::default());
    let chronology = Chronology { chain_id: 1, epoch_origin: 0, epoch_seconds: 100 };
    let refused = fold_verified(&mut StateView::new(&state), &chronology, &mapping, &said(0)).unwrap_err();
    assert!(refused.to_string().contains(&of_id().to_string()), "{refused}");
    assert!(matches!(refused, IndexerError::Unread { number: 5, calls, .. } if calls == [of_id()].into()));
    // What nobody asked for is not told; what was, is, and the block counts for as much as the node's word.
    let block = answered(said(0), of_id(), Reply::Returned(word(EMITTER)));
    let block = answered(block, StateCall { to: Address::ZERO, ..of_id() }, Reply::Reverted);
    let body = ingest_block(&mut StateView::new(&state), &chronology, &mapping, &block).unwrap();
    assert_eq!(body.reads.keys().collect::<Vec<_>>(), [&of_id()]);
    assert_eq!(body.trust, Trust::Unverified);
    let read_back = Body::from_bytes(&body.to_bytes().unwrap()).unwrap();
    assert_eq!(read_back.reads, body.reads);
    assert_eq!(read_back.folded.events, body.folded.events);
}

#[test]
fn one_log_asks_for_so_much_and_not_more() {
    let each = format!("{{ state = \"{OWNER}\", of = {{ from = \"emitter\" }}, with = [\"ids[]\"] }}");
    let mapping = load(&rule(&each, "\"t\"", "each = [\"ids\"]"), &Contracts::default());
    for (ids, fits) in [(READS_MAX, true), (READS_MAX + 1, false)] {
        let mut block = said(ids);
        loop {
            let calls = unread(&mapping, &block);
            if calls.is_empty() {
                break;
            }
            for call in calls {
                block = answered(block, call, Reply::Returned(word(EMITTER)));
            }
        }
        assert_eq!(block.reads.len(), READS_MAX);
        match read(&mapping, &block) {
            Ok(_) => assert!(fits),
            Err((reason, detail)) => {
                assert!(!fits && reason == Reason::DecodeError && detail.contains("32"), "{detail}");
            }
        }
    }
}

#[test]
fn a_stranger_with_the_words_of_authority_asks_nothing_of_nodes() {
    const PAYOUT: &str = "PayoutAddressSet(address indexed account, address indexed payout)";
    let rules = format!(
        "[[rule]]\nname = \"payout\"\nemitter = \"mall\"\nauthority = true\nevent = \"{PAYOUT}\"\n\
         emit = \"PayoutAddressSet\"\n[rule.fields]\naccount = \"account\"\n\
         payout = {{ state = \"payoutOf(address) returns (address)\", of = {{ from = \"emitter\" }}, with = [\"account\"] }}\n"
    );
    let mapping = load(&rules, &[("mall".to_owned(), [EMITTER].into())].into());
    let account = Address::repeat_byte(0xaa);
    let (_, topics, data) = super::language::log(PAYOUT, &[V::Address(account), V::Address(account)]);
    let said = |emitter: Address| block(vec![(emitter, topics.clone(), data.clone())], Vec::new());
    assert_eq!(
        unread(&mapping, &said(EMITTER)),
        [call(EMITTER, "payoutOf(address)", vec![V::Address(account)])].into()
    );
    let strangers = said(Address::repeat_byte(9));
    assert!(unread(&mapping, &strangers).is_empty());
    let refused = decode_block(&mapping, &strangers, &Unknown).remove(0).refused.map(|(reason, _)| reason);
    assert_eq!(refused, Some(Reason::Unauthorized));
}

#[test]
fn what_cannot_be_asked_is_refused_with_the_reason() {
    let deep = |inner: &str| format!("{{ state = \"f(address a) returns (address)\", of = \"a\", with = [{inner}] }}");
    for (attester, words) in [
        ("{ state = \"f() returns (address)\" }".to_owned(), "expected of beside it"),
        ("{ state = \"f()\", of = \"a\" }".to_owned(), "expected NAME(ARGUMENTS) returns (RESULTS)"),
        ("{ state = \"f() payable returns (address)\", of = \"a\" }".to_owned(), "returns (RESULTS)"),
        ("{ state = \"f() returns (address)\", of = \"id\" }".to_owned(), "expected the address of a contract"),
        ("{ state = \"f(uint256 x) returns (address)\", of = \"a\" }".to_owned(), "0 values: expected 1"),
        ("{ state = \"f(address x) returns (address)\", of = \"a\", with = [\"t\", \"t\"] }".to_owned(), "expected 1"),
        ("{ state = \"f(bool x) returns (address)\", of = \"a\", with = [\"id\"] }".to_owned(), "expected bool"),
        ("{ state = \"f(uint8[] x) returns (address)\", of = \"a\", with = [\"id\"] }".to_owned(), "expected no list"),
        ("{ state = \"f() returns (address x, bool y)\", of = \"a\" }".to_owned(), "take: expected the name"),
        ("{ state = \"f() returns (address x)\", of = \"a\", take = \"y\" }".to_owned(), "no argument \"y\""),
        ("{ state = \"f() returns (address[] x)\", of = \"a\" }".to_owned(), "expected a single value"),
        (
            "{ state = \"f() returns (address x)\", of = \"a\", on_revert = \"skip\" }".to_owned(),
            "expected \"nothing\"",
        ),
        ("{ state = \"f() returns (uint8 x)\", of = \"a\" }".to_owned(), "attester"),
        (deep(&deep(&deep("\"a\""))), "at most 2 reads inside each other"),
    ] {
        let toml = format!("name = \"t\"\nversion = 1\n{}", rule(&attester, "\"t\"", ""));
        let file = MappingFile { name: "t.toml".to_owned(), toml, ..MappingFile::default() };
        let problems = Mapping::check(&[file], 1, &Contracts::default()).unwrap_err();
        assert!(problems[0].reason.contains(words), "{attester}: {}", problems[0].reason);
    }
    assert_eq!(mapping(&deep(&deep("\"a\"")), "\"t\"").reading_state(), ["said"]);
    assert!(mapping("\"a\"", "\"t\"").reading_state().is_empty());
}
