//! State reads of nodes that have no state, do not agree, or do not answer. The honest node executes nothing: what a node
//! says of a call is what its deed makes of that refusal.

use super::*;
use crate::reads::{ANSWER_BYTES_MAX, Answer, Reader, Reply, StateCall};
use alloy_primitives::{Address, Bytes};
use serde_json::{Value, json};
use tributary_schemas::BlockRef;

const CALL: &str = "eth_call";

fn says(answer: &mut Value, what: Value) {
    let id = answer["id"].clone();
    *answer = json!({ "jsonrpc": "2.0", "id": id });
    let key = if what.is_object() { "error" } else { "result" };
    answer[key] = what;
}

const ONE: Deed = Deed::Answer(CALL, |answer| says(answer, json!("0x01")));
const TWO: Deed = Deed::Answer(CALL, |answer| says(answer, json!("0x02")));
const LONG: Deed = Deed::Answer(CALL, |answer| says(answer, json!(Bytes::from(vec![1; ANSWER_BYTES_MAX + 1]))));
const REVERT: Deed = Deed::Answer(CALL, |answer| {
    says(answer, json!({ "code": 3, "message": "execution reverted", "data": "0x01" }));
});
const WITHOUT: Deed = Deed::Answer(CALL, |answer| {
    says(answer, json!({ "code": -32000, "message": "missing trie node 12 (path )" }));
});
const UNKNOWN: Deed = Deed::Answer(CALL, |answer| says(answer, json!({ "code": -32601, "message": "no such method" })));
const LIMITED: Deed = Deed::Answer(CALL, |answer| {
    says(answer, json!({ "code": -32005, "message": "limit exceeded" }));
});
const NONSENSE: Deed = Deed::Answer(CALL, |answer| says(answer, json!("what")));

/// What these nodes, each a host, say together; and the state of the last.
async fn asked(deeds: &[Deed]) -> (Result<Answer, IndexerError>, EndpointState) {
    let honest = Devnet::start(DevnetConfig::default()).await.unwrap();
    let mut nodes = Vec::new();
    for (host, deed) in (2..).zip(deeds) {
        nodes.push(Node::start(host, *deed, &honest.l2_http(), u32::MAX).await);
    }
    let urls: Vec<_> = nodes.iter().map(|node| node.url.parse().unwrap()).collect();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(1_750_000_000_000));
    let options = EndpointOptions { attempts_max: 3, ..EndpointOptions::default() };
    let pool = Arc::new(Pool::new(&urls, L2_CHAIN_ID, options, clock).unwrap());
    let call = StateCall { to: Address::repeat_byte(1), data: Bytes::from_static(&[1, 2, 3, 4]) };
    let answers = Reader::new(Arc::clone(&pool)).ask(&BlockRef::default(), [call.clone()].into()).await;
    (answers.map(|mut answers| answers.remove(&call).unwrap()), pool.health().pop().unwrap().state)
}

#[tokio::test]
async fn what_contracts_answer_is_what_most_hosts_say_that_can_know() {
    let one = Reply::Returned(Bytes::from_static(&[1]));
    let (up, last) = (EndpointState::Up, EndpointState::Failing);
    let cases: [(&[Deed], Reply, u32, EndpointState); 8] = [
        (&[ONE], one.clone(), 1, up),
        (&[REVERT], Reply::Reverted, 1, up),
        (&[LONG], Reply::Oversize, 1, up),
        (&[WITHOUT, ONE], one.clone(), 1, up),
        (&[ONE, WITHOUT, UNKNOWN], one.clone(), 1, up),
        (&[ONE, ONE, TWO], one.clone(), 2, last),
        (&[TWO, REVERT, REVERT], Reply::Reverted, 2, up),
        (&[ONE, ONE, LIMITED], one.clone(), 2, up),
    ];
    for (index, (deeds, reply, agreeing, state)) in cases.into_iter().enumerate() {
        let (answer, seen) = asked(deeds).await;
        assert_eq!(answer.unwrap(), Answer { reply, agreeing }, "case {index}");
        assert_eq!(seen, state, "case {index}");
    }
}

#[tokio::test]
async fn a_refusal_or_a_disagreement_is_no_answer_and_is_waited_out() {
    let cases: [(&[Deed], &str); 6] = [
        (&[WITHOUT], "missing trie node"),
        (&[WITHOUT, UNKNOWN], "missing trie node"),
        (&[UNKNOWN], "no such method"),
        (&[LIMITED], "limit exceeded"),
        (&[NONSENSE], "no bytes"),
        (&[ONE, TWO], "expected 2 of 2 hosts to agree"),
    ];
    for (deeds, words) in cases {
        let error = asked(deeds).await.0.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Retry, "{error}");
        let said = error.to_string();
        assert!(said.contains(words) && said.contains("block 0") && said.contains("0x01020304"), "{said}");
    }
}
