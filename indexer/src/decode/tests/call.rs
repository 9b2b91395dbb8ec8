//! Logs that say less than the calls they come from.

use alloy_dyn_abi::DynSolValue as V;
use alloy_primitives::{Address, B256, address, keccak256};
use tributary_schemas::Payload;
use tributary_schemas::code::Reason;

use super::language::{EMITTER, block, load, log};
use crate::decode::{Decoded, Unknown, decode_block};
use crate::mapping::{Contracts, Mapping, function};

const SAID: &str = "Said(bytes32 indexed id, address about)";
const ONE: &str = "say((bytes32 id, address about, bytes data) one)";
const MANY: &str = "sayAll((address about, (bytes32 id, bytes data)[] said)[] all)";
const MULTICALL3: Address = address!("ca11bde05977b3631167028862be2a173976ca11");
const AGGREGATE: &str = "aggregate((address target, bytes callData)[] calls)";
const AGGREGATE3: &str = "aggregate3((address target, bool allowFailure, bytes callData)[] calls)";

fn rules(optional: &str, data_hash: &str) -> String {
    format!(
        "[[rule]]\nname = \"said\"\nemitter = \"any\"\nevent = \"{SAID}\"\nemit = \"AttestationRecorded\"\n[rule.fields]\n\
         attestation = {{ native = \"attestation\", key = \"id\" }}\nschema = \"id\"\n\
         subject = {{ cast = \"bytes32\", of = \"about\" }}\nattester = \"about\"\ndecimals = {{ const = 0 }}\n\
         tag = {{ const = \"\" }}\nuri = {{ const = \"\" }}\ndata_hash = {data_hash}\n\
         [rule.call]\n{optional}on = {{ id = \"call.id\", about = \"call.about\" }}\n\
         [[rule.call.function]]\nsignature = \"{ONE}\"\nvalues = {{ id = \"one.id\", about = \"one.about\", data = \"one.data\" }}\n\
         [[rule.call.function]]\nsignature = \"{MANY}\"\neach = [\"all[].said\"]\n\
         values = {{ id = \"all[].said[].id\", about = \"all[].about\", data = \"all[].said[].data\" }}\n"
    )
}

fn mapping() -> Mapping {
    load(&rules("", "{ keccak = \"call.data\" }"), &Contracts::new())
}

fn call(signature: &str, argument: V) -> Vec<u8> {
    let (selector, _) = function(signature).unwrap();
    [selector.to_vec(), V::Tuple(vec![argument]).abi_encode_params()].concat()
}

fn word(byte: u8) -> V {
    V::FixedBytes(B256::repeat_byte(byte), 32)
}

fn about(byte: u8) -> V {
    V::Address(Address::repeat_byte(byte))
}

/// The data that is said with an id.
fn data(byte: u8) -> Vec<u8> {
    vec![byte; 40 + usize::from(byte)]
}

fn say(id: u8) -> Vec<u8> {
    call(ONE, V::Tuple(vec![word(id), about(1), V::Bytes(data(id))]))
}

fn say_all(groups: &[(u8, &[u8])]) -> Vec<u8> {
    let said = |id: &u8| V::Tuple(vec![word(*id), V::Bytes(data(*id))]);
    let group = |(one, ids): &(u8, &[u8])| V::Tuple(vec![about(*one), V::Array(ids.iter().map(said).collect())]);
    call(MANY, V::Array(groups.iter().map(group).collect()))
}

fn aggregate3(calls: &[(Address, bool, Vec<u8>)]) -> Vec<u8> {
    let one = |(to, fails, data): &(Address, bool, Vec<u8>)| {
        V::Tuple(vec![V::Address(*to), V::Bool(*fails), V::Bytes(data.clone())])
    };
    call(AGGREGATE3, V::Array(calls.iter().map(one).collect()))
}

/// What logs of these ids become when the transaction calls `to`: the hash of each one's data, or why not.
fn told(mapping: &Mapping, to: Option<Address>, input: Vec<u8>, ids: &[(u8, u8)]) -> Vec<Result<B256, String>> {
    let logs = ids.iter().map(|(id, one)| log(SAID, &[word(*id), about(*one)])).collect();
    let mut block = block(logs, input);
    block.transactions[0].to = to;
    let decoded = decode_block(mapping, &block, &Unknown).into_iter();
    let each = decoded.map(|one| match one {
        Decoded { payload: Payload::AttestationRecorded { data_hash, .. }, refused: None, .. } => Ok(data_hash),
        Decoded { refused: Some((Reason::DecodeError, detail)), .. } => Err(detail),
        other => panic!("{other:?}"),
    });
    each.collect()
}

fn hashes(ids: &[u8]) -> Vec<Result<B256, String>> {
    ids.iter().map(|id| Ok(keccak256(data(*id)))).collect()
}

#[test]
fn each_log_takes_its_own_part_of_the_call() {
    let (mapping, direct) = (mapping(), Some(EMITTER));
    assert_eq!(told(&mapping, direct, say(3), &[(3, 1)]), hashes(&[3]));
    let groups: [(u8, &[u8]); 3] = [(1, &[3, 4]), (2, &[]), (5, &[6])];
    assert_eq!(told(&mapping, direct, say_all(&groups), &[(3, 1), (4, 1), (6, 5)]), hashes(&[3, 4, 6]));
    // A suffix follows the arguments.
    assert_eq!(told(&mapping, direct, [say(3), vec![0x80, 0x21]].concat(), &[(3, 1)]), hashes(&[3]));
    let other = Address::repeat_byte(9);
    let calls =
        aggregate3(&[(EMITTER, false, say(3)), (other, false, say(8)), (EMITTER, false, say_all(&[(1, &[4])]))]);
    assert_eq!(told(&mapping, Some(MULTICALL3), calls, &[(3, 1), (4, 1)]), hashes(&[3, 4]));
    let calls = call(AGGREGATE, V::Array(vec![V::Tuple(vec![V::Address(EMITTER), V::Bytes(say(3))])]));
    assert_eq!(told(&mapping, Some(MULTICALL3), calls, &[(3, 1)]), hashes(&[3]));
}

#[test]
fn a_call_that_may_not_have_been_the_one_is_refused_with_the_reason() {
    let mapping = mapping();
    let twice = aggregate3(&[(EMITTER, true, say(3)), (EMITTER, false, say(3))]);
    let broken = say(3)[..60].to_vec();
    /// To whom, with what input, which logs came of it, and the reason.
    type Case = (Option<Address>, Vec<u8>, &'static [(u8, u8)], &'static str);
    let cases: [Case; 9] = [
        (Some(Address::repeat_byte(9)), say(3), &[(3, 1)], "from inside another contract"),
        (None, say(3), &[(3, 1)], "made a contract"),
        (Some(EMITTER), Vec::new(), &[(3, 1)], "no listed function"),
        (Some(EMITTER), say(3), &[(3, 1), (3, 1)], "make 1 logs of this event, and it emitted 2"),
        (Some(EMITTER), say_all(&[(1, &[3, 4])]), &[(4, 1)], "make 2 logs"),
        (Some(EMITTER), say(3), &[(3, 2)], "disagree about about"),
        (Some(EMITTER), broken, &[(3, 1)], "argument one"),
        (Some(MULTICALL3), twice, &[(3, 1)], "allowed to fail"),
        (Some(MULTICALL3), say(3), &[(3, 1)], "another function"),
    ];
    for (to, input, ids, expected) in cases {
        for one in told(&mapping, to, input.clone(), ids) {
            let reason = one.unwrap_err();
            assert!(reason.contains(expected), "{expected}: {reason}");
        }
    }
    let swapped = told(&mapping, Some(EMITTER), say_all(&[(1, &[3, 4])]), &[(4, 1), (3, 1)]);
    assert!(swapped.iter().all(|one| one.as_ref().is_err_and(|reason| reason.contains("disagree about id"))));
}

#[test]
fn a_rule_may_do_without_the_call() {
    let fallback = "{ if_called = { keccak = \"call.data\" }, else = \"id\" }";
    let mapping = load(&rules("optional = true\n", fallback), &Contracts::new());
    assert_eq!(told(&mapping, Some(EMITTER), say(3), &[(3, 1)]), hashes(&[3]));
    assert_eq!(told(&mapping, Some(MULTICALL3), say(3), &[(3, 1)]), [Ok(B256::repeat_byte(3))]);
    assert_eq!(told(&mapping, Some(EMITTER), say(4), &[(3, 1)]), [Ok(B256::repeat_byte(3))]);
}

#[test]
fn what_a_call_cannot_give_is_refused_when_the_file_is_read() {
    let refused = |toml: String| {
        let toml = format!("name = \"t\"\nversion = 1\n{toml}");
        Mapping::parse("t.toml", &toml, 1, &Contracts::new()).unwrap_err().to_string()
    };
    let whole = rules("", "{ keccak = \"call.data\" }");
    for (from, to, expected) in [
        ("data = \"one.data\"", "data = \"one\"", "expected no list and no tuple"),
        ("data = \"one.data\"", "data = \"one.id\"", "of the names and types of the first"),
        ("about = \"one.about\"", "about = \"one.abut\"", "abut"),
        ("[rule.call]\n", "[rule.call]\noptional = true\n", "behind if_called"),
        ("each = [\"all[].said\"]", "each = [\"all[].about\"]", "expected a list"),
        ("id = \"call.id\"", "id = \"call.di\"", "the nearest is \"id\""),
    ] {
        assert!(whole.contains(from), "{from}");
        let reason = refused(whole.replacen(from, to, 1));
        assert!(reason.contains(expected), "{expected}: {reason}");
    }
}
