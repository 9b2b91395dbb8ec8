//! The object around the result: errors, ids, batches.

use serde_json::{Value, json};

use super::{
    End::{Follows, Stops, Waits},
    Kind,
    Stand::{Last, Out, Up},
    kind,
    node::Deed,
};

const RECEIPTS: &str = "eth_getBlockReceipts";
const BLOCKS: &str = "eth_getBlockByNumber";

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn envelopes() -> Vec<Kind> {
    let fine = |name, deed| kind(name, deed, Follows, Follows, (Follows, Up));
    let survived = |name, deed, words| kind(name, deed, Follows, Waits(words), (Follows, Last(words)));
    let refusal = |name, deed, words| kind(name, deed, Stops(words), Stops(words), (Follows, Up));
    let id = |name, deed, once, words| kind(name, deed, once, Stops(words), (Follows, Out(words)));
    // The honest nodes know the receipts of a block: nobody is asked one by one.
    let batch = |name, deed, words| kind(name, deed, Follows, Waits(words), (Follows, Up));
    vec![
        id(
            "another chain id",
            Deed::Answer("eth_chainId", |v| v["result"] = json!("0x7")),
            Stops("chain id expected"),
            "chain id expected 16121, got 7",
        ),
        id(
            "a chain id that is no hex",
            Deed::Answer("eth_chainId", |v| v["result"] = json!("16121")),
            Stops("chain id expected"),
            "got nothing readable",
        ),
        survived(
            "null for the chain id",
            Deed::Answer("eth_chainId", |v| v["result"] = Value::Null),
            "unreadable answer",
        ),
        fine(
            "does not know eth_getBlockReceipts",
            Deed::Answer(RECEIPTS, |v| error(v, json!({"code": -32601, "message": "no such method"}))),
        ),
        refusal(
            "does not know eth_getBlockByNumber",
            Deed::Answer(BLOCKS, |v| error(v, json!({"code": -32601, "message": "no such method"}))),
            "error -32601: no such method",
        ),
        refusal(
            "calls our parameters invalid",
            Deed::Answer(BLOCKS, |v| error(v, json!({"code": -32602, "message": "bad params"}))),
            "error -32602: bad params",
        ),
        survived(
            "an error of its own",
            Deed::Answer(BLOCKS, |v| error(v, json!({"code": -32000, "message": "header not found"}))),
            "header not found",
        ),
        survived(
            "an error that says too many requests",
            Deed::Answer(BLOCKS, |v| error(v, json!({"code": -32005, "message": "limit exceeded"}))),
            "error -32005",
        ),
        survived(
            "an error without a message",
            Deed::Answer(BLOCKS, |v| error(v, json!({"code": -32000}))),
            "error -32000",
        ),
        survived(
            "an error without a code",
            Deed::Answer(BLOCKS, |v| error(v, json!({"message": "what"}))),
            "unreadable answer",
        ),
        survived("an error that is a text", Deed::Answer(BLOCKS, |v| error(v, json!("what"))), "unreadable answer"),
        survived(
            "neither result nor error",
            Deed::Answer(BLOCKS, |v| drop(v.as_object_mut().unwrap().remove("result"))),
            "unreadable answer",
        ),
        fine("the id of another request", Deed::Answer(BLOCKS, |v| v["id"] = json!(123_456))),
        fine("the id as a text", Deed::Answer(BLOCKS, |v| v["id"] = json!(v["id"].to_string()))),
        fine(
            "no version of the protocol",
            Deed::Answer(BLOCKS, |v| drop(v.as_object_mut().unwrap().remove("jsonrpc"))),
        ),
        survived("an array in place of an answer", Deed::Answer(BLOCKS, |v| *v = json!([v.take()])), "batch response"),
        survived(
            "two answers, one after the other",
            Deed::Text(BLOCKS, |text| format!("{text}{text}")),
            "unreadable answer",
        ),
        survived("JSON that is none", Deed::Text(BLOCKS, |text| text.replacen(':', ";", 1)), "unreadable answer"),
        survived(
            "an answer that ends early",
            Deed::Text(BLOCKS, |text| text[..text.len() / 2].to_owned()),
            "unreadable answer",
        ),
        survived("a number in place of a text", Deed::Answer(BLOCKS, |v| *v = json!(7)), "unreadable answer"),
        fine("the answers of a batch in another order", Deed::Batch(|all| all.reverse())),
        batch("one answer of a batch left out", Deed::Batch(|all| drop(all.pop())), "response"),
        batch(
            "one answer of a batch twice, for another",
            Deed::Batch(|all| {
                if all.len() > 1 {
                    let id = all[0]["id"].clone();
                    all.last_mut().unwrap()["id"] = id;
                } else {
                    all.clear();
                }
            }),
            "response",
        ),
        batch(
            "ids of a batch as texts",
            Deed::Batch(|all| all.iter_mut().for_each(|one| one["id"] = json!(one["id"].to_string()))),
            "response",
        ),
        batch(
            "one error in a batch",
            Deed::Batch(|all| error(&mut all[0], json!({"code": -32000, "message": "not now"}))),
            "not now",
        ),
        batch("null for one receipt of a batch", Deed::Batch(|all| all[0]["result"] = Value::Null), "is not known"),
        batch(
            "one receipt of a batch of another block",
            Deed::Batch(|all| all[0]["result"]["blockHash"] = json!(format!("{:#066x}", 9))),
            "is not known",
        ),
    ]
}

fn error(answer: &mut Value, error: Value) {
    answer.as_object_mut().unwrap().remove("result");
    answer["error"] = error;
}
