//! Answers that come as they should and say what is not so, or say it in a way of their own.

use serde_json::{Value, json};

use super::{
    End::{Follows, Stops, Waits},
    Kind,
    Stand::{Last, Out, Up},
    kind,
    node::{Deed, MadeUp},
};

/// A block with its transactions, whatever its number.
const BLOCK: &str = ",true]";
const RECEIPTS: &str = "eth_getBlockReceipts";

pub(super) fn blocks() -> Vec<Kind> {
    let mut kinds = headers();
    kinds.extend(receipts());
    kinds
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn headers() -> Vec<Kind> {
    let lie = |name, deed, words| kind(name, deed, Follows, Stops(words), (Follows, Out(words)));
    vec![
        kind(
            "says null for blocks that exist",
            Deed::Result(BLOCK, |v, _| set(v, Value::Null)),
            Follows,
            Waits("is not known"),
            (Follows, Last("no block")),
        ),
        lie("a block of another number", Deed::Asks(BLOCK, |v| v["params"][0] = json!("0x7")), "number expected"),
        lie(
            "a hash that is not of the fields",
            Deed::Result(BLOCK, |v, _| set(&mut v["hash"], json!(format!("{:#066x}", 7)))),
            "hash of the fields",
        ),
        lie(
            "a field of the header altered",
            Deed::Result(BLOCK, |v, _| set(&mut v["gasUsed"], json!("0x1"))),
            "hash of the fields",
        ),
        lie(
            "a field of the header left out",
            Deed::Result(BLOCK, |v, _| v.as_object_mut().unwrap().remove("nonce").is_some()),
            "header:",
        ),
        lie(
            "a field of a fork left out",
            Deed::Result(BLOCK, |v, _| v.as_object_mut().unwrap().remove("withdrawalsRoot").is_some()),
            "header:",
        ),
        lie("a bloom altered", Deed::Result(BLOCK, |v, _| set(&mut v["logsBloom"], bloom())), "hash of the fields"),
        lie(
            "another parent, the hash made anew",
            Deed::Result("[\"0xc\",true]", |v, m| made_anew(v, m, "parentHash", json!(format!("{:#066x}", 7)))),
            "do not follow each other",
        ),
        lie(
            "another transactions root, the hash made anew",
            Deed::Result(BLOCK, |v, m| made_anew(v, m, "transactionsRoot", json!(format!("{:#066x}", 7)))),
            "transactions: root expected",
        ),
        lie(
            "another receipts root, the hash made anew",
            Deed::Result(BLOCK, |v, m| made_anew(v, m, "receiptsRoot", json!(format!("{:#066x}", 7)))),
            "receipts: root expected",
        ),
        lie(
            "another bloom, the hash made anew",
            Deed::Result(BLOCK, |v, m| made_anew(v, m, "logsBloom", bloom())),
            "receipts: bloom expected",
        ),
        lie(
            "a transaction left out",
            Deed::Result(BLOCK, |v, _| v["transactions"].as_array_mut().unwrap().pop().is_some()),
            "transactions: root expected",
        ),
        lie(
            "a transaction altered",
            Deed::Result(BLOCK, |v, _| first(v, |tx| tx["value"] = json!("0x123456"))),
            "hash of a transaction's fields",
        ),
        lie(
            "transactions in another order",
            Deed::Result(BLOCK, |v, _| swapped(&mut v["transactions"])),
            "transactions: root expected",
        ),
        lie(
            "a transaction of a type nobody knows",
            Deed::Result(BLOCK, |v, _| first(v, |tx| tx["type"] = json!("0x63"))),
            "unknown type 0x63",
        ),
        lie(
            "hashes in place of transactions",
            Deed::Result(BLOCK, |v, _| first(v, |tx| *tx = tx["hash"].take())),
            "transactions: unreadable",
        ),
        lie(
            "no list of transactions",
            Deed::Result(BLOCK, |v, _| v.as_object_mut().unwrap().remove("transactions").is_some()),
            "transactions: unreadable",
        ),
        lie("an array in place of a block", Deed::Result(BLOCK, |v, _| set(v, json!([]))), "header: unreadable"),
    ]
}

fn receipts() -> Vec<Kind> {
    let lie = |name, deed, words| kind(name, deed, Follows, Stops(words), (Follows, Out(words)));
    vec![
        kind(
            "says null for receipts that exist",
            Deed::Result(RECEIPTS, |v, _| set(v, Value::Null)),
            Follows,
            Waits("is not known"),
            (Follows, Last("no receipts")),
        ),
        lie(
            "no receipts for a block with transactions",
            Deed::Result(RECEIPTS, |v, _| !v.as_array().unwrap().is_empty() && set(v, json!([]))),
            "receipts: count expected",
        ),
        lie("the receipts of another block", Deed::Asks(RECEIPTS, |v| v["params"][0] = json!("0x5")), "receipts: "),
        lie(
            "a receipt left out",
            Deed::Result(RECEIPTS, |v, _| v.as_array_mut().unwrap().pop().is_some()),
            "receipts: count expected",
        ),
        lie("a receipt twice", Deed::Result(RECEIPTS, twice), "receipts: count expected"),
        lie("receipts in another order", Deed::Result(RECEIPTS, |v, _| swapped(v)), "receipts: root expected"),
        lie(
            "a status altered",
            Deed::Result(RECEIPTS, |v, _| {
                last(v, |one| one["status"] = json!(if one["status"] == "0x1" { "0x0" } else { "0x1" }))
            }),
            "receipts: root expected",
        ),
        lie(
            "gas altered",
            Deed::Result(RECEIPTS, |v, _| last(v, |one| one["cumulativeGasUsed"] = json!("0x1"))),
            "receipts: root expected",
        ),
        lie(
            "a receipt of a type nobody knows",
            Deed::Result(RECEIPTS, |v, _| last(v, |one| one["type"] = json!("0x63"))),
            "unknown type",
        ),
        lie(
            "a log left out",
            Deed::Result(RECEIPTS, |v, _| logs(v, |logs| drop(logs.pop()))),
            "receipts: root expected",
        ),
        lie(
            "a log's data altered",
            Deed::Result(RECEIPTS, |v, _| logs(v, |logs| logs[0]["data"] = json!("0x1234"))),
            "receipts: root expected",
        ),
        lie(
            "a log's contract altered",
            Deed::Result(RECEIPTS, |v, _| logs(v, |logs| logs[0]["address"] = json!(format!("{:#042x}", 9)))),
            "receipts: root expected",
        ),
        lie(
            "a log's topics altered",
            Deed::Result(RECEIPTS, |v, _| logs(v, |logs| logs[0]["topics"] = json!([format!("{:#066x}", 9)]))),
            "receipts: root expected",
        ),
        lie(
            "a log's place altered",
            Deed::Result(RECEIPTS, |v, _| logs(v, |logs| logs[0]["logIndex"] = json!("0x63"))),
            "receipts: log index expected",
        ),
        lie(
            "a log twice",
            Deed::Result(RECEIPTS, |v, _| logs(v, |logs| logs.push(logs[0].clone()))),
            "receipts: root expected",
        ),
    ]
}

/// Values that are right, or would be, in a way that nodes do not write them.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn values() -> Vec<Kind> {
    let fine = |name, deed| kind(name, deed, Follows, Follows, (Follows, Up));
    let lie = |name, deed, words| kind(name, deed, Follows, Stops(words), (Follows, Out(words)));
    vec![
        fine("fields nobody knows", Deed::Result(BLOCK, |v, _| set(&mut v["moreOver"], json!({"a": [1, 2, null]})))),
        fine(
            "a number with leading zeros",
            Deed::Text(BLOCK, |text| text.replace(r#""gasUsed":"0x"#, r#""gasUsed":"0x000"#)),
        ),
        fine(
            "hex in capitals",
            Deed::Result(BLOCK, |v, _| {
                let big = v["hash"].as_str().unwrap().to_uppercase().replacen("0X", "0x", 1);
                set(&mut v["hash"], json!(big))
            }),
        ),
        fine(
            "nesting 10,000 deep in a field nobody knows",
            Deed::Text(BLOCK, |text| {
                text.replacen(
                    r#""gasUsed""#,
                    &format!(r#""deep":{}{},"gasUsed""#, "[".repeat(10_000), "]".repeat(10_000)),
                    1,
                )
            }),
        ),
        lie(
            "a number without 0x",
            Deed::Text(BLOCK, |text| text.replace(r#""gasUsed":"0x"#, r#""gasUsed":"1"#)),
            "header:",
        ),
        lie(
            "a negative number",
            Deed::Result(BLOCK, |v, _| set(&mut v["gasUsed"], json!("-0x1"))),
            "header: unreadable",
        ),
        lie(
            "a number above 64 bits",
            Deed::Result(BLOCK, |v, _| set(&mut v["gasUsed"], json!("0x1ffffffffffffffff"))),
            "header: unreadable",
        ),
        lie(
            "a number as a fraction",
            Deed::Result(BLOCK, |v, _| set(&mut v["gasUsed"], json!(1.5))),
            "header: unreadable",
        ),
        lie("a number as a list", Deed::Result(BLOCK, |v, _| set(&mut v["gasUsed"], json!([1]))), "header: unreadable"),
        lie(
            "a key twice",
            Deed::Text(BLOCK, |text| text.replacen(r#""gasUsed":"#, r#""gasUsed":"0x1","gasUsed":"#, 1)),
            "header: unreadable",
        ),
        lie(
            "a hash that is too short",
            Deed::Result(BLOCK, |v, _| set(&mut v["parentHash"], json!("0x12"))),
            "header: unreadable",
        ),
        lie(
            "data that is no hex",
            Deed::Result(RECEIPTS, |v, _| logs(v, |logs| logs[0]["data"] = json!("0xzz"))),
            "data of a log that is no hex",
        ),
        lie(
            "an odd number of hex digits",
            Deed::Result(RECEIPTS, |v, _| logs(v, |logs| logs[0]["data"] = json!("0x123"))),
            "data of a log that is no hex",
        ),
        lie(
            "five topics",
            Deed::Result(RECEIPTS, |v, _| logs(v, |logs| logs[0]["topics"] = json!(vec![format!("{:#066x}", 9); 5]))),
            "more than four topics",
        ),
    ]
}

fn set(at: &mut Value, to: Value) -> bool {
    *at = to;
    true
}

fn bloom() -> Value {
    json!(format!("0x{}", "01".repeat(256)))
}

/// Alters a field of a block and makes its hash anew. Block 0 is left: its receipts are empty.
pub(super) fn made_anew(block: &mut Value, made_up: &mut MadeUp, field: &str, value: Value) -> bool {
    if block["number"] == "0x0" {
        return false;
    }
    let real = block["hash"].as_str().unwrap().to_owned();
    block[field] = value;
    let header: alloy::consensus::Header = serde_json::from_value(block.clone()).unwrap();
    let hash = header.hash_slow().to_string();
    block["hash"] = json!(hash);
    made_up.insert(hash, real);
    true
}

/// Does something with the last transaction of a block, when there is one.
fn first(block: &mut Value, with: impl FnOnce(&mut Value)) -> bool {
    block["transactions"].as_array_mut().unwrap().last_mut().map(with).is_some()
}

fn last(receipts: &mut Value, with: impl FnOnce(&mut Value)) -> bool {
    receipts.as_array_mut().unwrap().last_mut().map(with).is_some()
}

fn twice(receipts: &mut Value, _: &mut MadeUp) -> bool {
    let all = receipts.as_array_mut().unwrap();
    all.last().cloned().map(|one| all.push(one)).is_some()
}

/// Swaps the last two, when there are so many.
fn swapped(list: &mut Value) -> bool {
    let all = list.as_array_mut().unwrap();
    let count = all.len();
    if count > 1 {
        all.swap(count - 1, count - 2);
    }
    count > 1
}

/// Does something with the logs of the first receipt that has any.
fn logs(receipts: &mut Value, with: impl FnOnce(&mut Vec<Value>)) -> bool {
    let mut all = receipts.as_array_mut().unwrap().iter_mut().map(|one| one["logs"].as_array_mut().unwrap());
    all.find(|logs| !logs.is_empty()).map(with).is_some()
}
