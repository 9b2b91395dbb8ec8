use serde_json::{Value, json};

use super::*;
use crate::fixture::{self, ANN, BOB, BUYER, OWNER, Published, answer, id};

/// One field of each node of a list, in its order.
async fn listed(published: &Published, list: &str, field: &str) -> Vec<Value> {
    let whole = answer(published, &format!("{{ list: {list} {{ nodes {{ {field} }} }} }}")).await;
    let nodes = whole["data"]["list"]["nodes"].as_array().unwrap_or_else(|| panic!("{list}: {whole}"));
    nodes.iter().map(|node| node[field].clone()).collect()
}

fn shown(address: &str) -> Value {
    json!(address.parse::<alloy_primitives::Address>().unwrap().to_checksum(None))
}

fn number(column: &'static str, test: Test) -> Condition {
    Condition::Field(column, test)
}

#[test]
fn a_condition_says_the_same_in_memory_and_in_sql() {
    let condition = Condition::All(vec![
        Condition::Any(vec![
            number("a", Test::Above(Datum::Number(3))),
            number("b", Test::Among(vec!["it's".into(), "x".into()])),
        ]),
        Condition::Not(Box::new(number("c", Test::Contains("Ab".into())))),
    ]);
    assert_eq!(
        condition.sql(),
        "((coalesce(a > 3, false) OR coalesce(b IN ('it''s', 'x'), false)) AND \
         NOT coalesce(strpos(lower(c), lower('Ab')) > 0, false))"
    );
    for (a, b, c, holds) in [
        (Datum::Number(4), Datum::Null, Datum::Null, true),
        (Datum::Number(3), Datum::Null, Datum::Null, false),
        (Datum::Null, "x".into(), "no".into(), true),
        (Datum::Null, "x".into(), "cABs".into(), false),
    ] {
        let found = |column: &str| match column {
            "a" => a.clone(),
            "b" => b.clone(),
            _ => c.clone(),
        };
        assert_eq!(condition.holds(&found), holds, "{a:?} {b:?} {c:?}");
    }
}

#[test]
fn nothing_asked_is_everything_and_too_much_is_refused() {
    assert_eq!(Condition::of(None::<Condition>).unwrap().sql(), "true");
    let wide = number("a", Test::Among(vec![Datum::Number(1); TESTS_MAX + 1]));
    assert_eq!(Condition::of(Some(wide)).unwrap_err().code, ErrorCode::TooLarge);
    assert_eq!(number("a", Test::Among(vec![])).sql(), "false");
    assert_eq!(Datum::Number(i128::from(i64::MAX) + 1).literal(), "CAST('9223372036854775808' AS DECIMAL(38, 0))");
}

#[tokio::test]
async fn lists_are_filtered_and_ordered() {
    let published = fixture::publish().await;
    let all = format!("owner: {{eq: \"{OWNER}\"}}");
    for (list, field, expected) in [
        (format!("models(where: {{{all}}})"), "label", json!(["model 0", "model 1"])),
        (format!("models(where: {{{all}, kind: {{in: [\"base\"]}}}})"), "label", json!(["model 0"])),
        ("models(where: {not: {kind: {contains: \"TUNE\"}}})".to_owned(), "label", json!(["model 0"])),
        ("models(where: {or: [{kind: {eq: \"x\"}}, {sinceBlock: {gt: 6}}]})".to_owned(), "label", json!(["model 1"])),
        (
            "models(where: {and: [{sinceBlock: {gte: 6}}, {sinceBlock: {lt: 7}}]})".to_owned(),
            "label",
            json!(["model 0"]),
        ),
        ("models(where: {or: []})".to_owned(), "label", json!([])),
        ("models(orderBy: {field: SINCE_BLOCK, direction: DESC})".to_owned(), "label", json!(["model 1", "model 0"])),
        ("models(orderBy: {field: EARNED})".to_owned(), "label", json!(["model 0", "model 1"])),
        ("datasets(where: {lastVersion: {lte: 0}})".to_owned(), "label", json!([])),
        (format!("agents(where: {{owner: {{in: [\"{OWNER}\", \"{BUYER}\"]}}}})"), "label", json!(["agent 3"])),
        ("epochs".to_owned(), "number", json!([1, 0])),
        ("epochs(direction: ASC, where: {number: {gte: 0}})".to_owned(), "number", json!([0, 1])),
        ("epochs(where: {lastBlock: {lt: 10}})".to_owned(), "number", json!([0])),
        ("accounts(where: {earned: {gt: \"111\"}})".to_owned(), "address", json!([shown(BOB)])),
        (
            format!("accounts(where: {{not: {{address: {{eq: \"{BOB}\"}}}}}}, orderBy: EARNED)"),
            "address",
            json!([shown(ANN), shown(OWNER)]),
        ),
        (
            "payments(where: {amount: {gt: \"5\"}}, orderBy: {field: AMOUNT, direction: DESC})".to_owned(),
            "id",
            json!([]),
        ),
        ("attributionBatches(where: {challenged: true})".to_owned(), "id", json!([])),
        ("blobs(status: MISSING, where: {block: {lt: 9}})".to_owned(), "status", json!([])),
    ] {
        assert_eq!(Value::Array(listed(&published, &list, field).await), expected, "{list}");
    }
}

#[tokio::test]
async fn lists_inside_objects_are_filtered_and_ordered_too() {
    let published = fixture::publish().await;
    let (one, other) = (id("contribution0"), id("contribution1"));
    let of = async |arguments: &str| {
        let list = format!("contributions{arguments} {{ totalCount pageInfo {{ endCursor }} nodes {{ id }} }}");
        let whole = answer(&published, &format!("{{ datasets(first: 1) {{ nodes {{ {list} }} }} }}")).await;
        let found = whole["data"]["datasets"]["nodes"][0]["contributions"].clone();
        assert!(found.is_object(), "{arguments}: {whole}");
        found
    };
    let ids = |found: &Value| found["nodes"].as_array().unwrap().iter().map(|node| node["id"].clone()).collect();
    for (arguments, expected) in [
        ("", vec![&one, &other]),
        ("(where: {rowCount: {gt: 10}})", vec![&other]),
        ("(where: {state: {eq: \"approved\"}, not: {submittedBlock: {gte: 3}}})", vec![&one]),
        ("(where: {quality: {lt: 900000}})", vec![]),
        (&format!("(where: {{contributor: {{eq: \"{BOB}\"}}}})"), vec![&other]),
        ("(orderBy: {field: ROW_COUNT, direction: DESC})", vec![&other, &one]),
        ("(orderBy: {field: EARNED, direction: DESC})", vec![&other, &one]),
        // Among equals by registration, whichever way.
        ("(orderBy: {field: QUALITY, direction: DESC})", vec![&one, &other]),
    ] {
        let found = of(arguments).await;
        let got: Vec<Value> = ids(&found);
        assert_eq!(got, expected.iter().map(|id| json!(id)).collect::<Vec<_>>(), "{arguments}");
        assert_eq!(found["totalCount"], json!(expected.len()), "{arguments}");
    }
    // A cursor goes on in the order it was made in, and names no row of a list that has it not.
    let order = "orderBy: {field: ROW_COUNT, direction: DESC}";
    let first = of(&format!("(first: 1, {order})")).await;
    let after = first["pageInfo"]["endCursor"].as_str().unwrap().to_owned();
    let rest: Vec<Value> = ids(&of(&format!("(after: \"{after}\", {order})")).await);
    assert_eq!(rest, [json!(one)]);
    let wrong = format!(
        "{{ datasets(first: 1) {{ nodes {{ contributions(after: \"{after}\", where: {{rowCount: {{lt: 20}}}}) {{ totalCount }} }} }} }}"
    );
    assert_eq!(answer(&published, &wrong).await["errors"][0]["extensions"]["code"], json!("BAD_CURSOR"));
    let ann = format!(
        "{{ account(address: \"{ANN}\") {{ contributions(where: {{rowCount: {{gt: 10}}}}) {{ totalCount }} }} }}"
    );
    assert_eq!(answer(&published, &ann).await["data"]["account"]["contributions"]["totalCount"], json!(0));
}

#[tokio::test]
async fn a_cursor_belongs_to_its_list() {
    let published = fixture::publish().await;
    let first = answer(&published, "{ accounts(first: 1) { pageInfo { endCursor hasNextPage } } }").await;
    let page = &first["data"]["accounts"]["pageInfo"];
    assert_eq!(page["hasNextPage"], json!(true));
    let after = page["endCursor"].as_str().unwrap();
    let rest = listed(&published, &format!("accounts(after: \"{after}\")"), "address").await;
    assert_eq!(rest, [shown(BOB), shown(OWNER)]);
    let other =
        answer(&published, &format!("{{ accounts(after: \"{after}\", orderBy: EARNED) {{ totalCount }} }}")).await;
    assert_eq!(other["errors"][0]["extensions"]["code"], json!("BAD_CURSOR"));
}

#[tokio::test]
async fn whatever_has_an_id_is_a_node() {
    let published = fixture::publish().await;
    for (of, kind) in [
        (id("dataset"), "Dataset"),
        (id("dataset@1"), "DatasetVersion"),
        (id("contribution1"), "Contribution"),
        (id("base"), "Model"),
        (id("finetune@1"), "ModelVersion"),
        (id("agent"), "Agent"),
        (id("agent@1"), "AgentVersion"),
        ("epoch:1".to_owned(), "Epoch"),
        (shown(ANN).as_str().unwrap().to_owned(), "Account"),
    ] {
        let whole = answer(&published, &format!("{{ node(id: \"{of}\") {{ __typename id }} }}")).await;
        assert_eq!(whole["data"]["node"], json!({ "__typename": kind, "id": of }), "{whole}");
    }
    for nothing in ["", "epoch:7", "epoch:x", "0x12", &id("nothing")] {
        let whole = answer(&published, &format!("{{ node(id: \"{nothing}\") {{ id }} }}")).await;
        assert_eq!(whole["data"], json!({ "node": null }), "{nothing}: {whole}");
    }
}

#[tokio::test]
async fn a_state_of_the_past_is_named_in_five_ways() {
    let published = fixture::publish().await;
    // Blocks come every ten seconds from 1,000 on; the dataset changes hands at block 15.
    for (as_of, block, owner) in [
        ("timestamp: \"1970-01-01T00:19:09Z\"", 14, OWNER),
        ("timestamp: \"1970-01-01T02:19:10+02:00\"", 15, BUYER),
        ("tag: SETTLED", 19, BUYER),
        ("epoch: 0", 9, OWNER),
    ] {
        let whole = answer(&published, &format!("{{ datasets(asOf: {{{as_of}}}) {{ nodes {{ owner }} }} }}")).await;
        assert_eq!(whole["data"]["datasets"]["nodes"], json!([{ "owner": shown(owner) }]), "{as_of}: {whole}");
        assert_eq!(whole["extensions"]["asOf"]["fields"]["datasets"]["number"], json!(block), "{as_of}");
    }
    let early = answer(
        &published,
        "{ datasets(asOf: {tag: EARLIEST}) { totalCount } block(number: 5, asOf: {number: 4}) { number } }",
    )
    .await;
    assert_eq!(early["data"], json!({ "datasets": { "totalCount": 0 }, "block": null }));
    for (as_of, code) in [
        ("timestamp: \"2100-01-01T00:00:00Z\"", "AS_OF_UNAVAILABLE"),
        ("timestamp: \"1970-01-01T00:00:00Z\"", "AS_OF_UNAVAILABLE"),
        ("timestamp: \"yesterday\"", "BAD_USER_INPUT"),
        ("number: 3, tag: SETTLED", "BAD_USER_INPUT"),
    ] {
        let whole = answer(&published, &format!("{{ datasets(asOf: {{{as_of}}}) {{ totalCount }} }}")).await;
        assert_eq!(whole["errors"][0]["extensions"]["code"], json!(code), "{as_of}: {whole}");
    }
}

#[tokio::test]
async fn an_epoch_conserves_its_money() {
    let published = fixture::publish().await;
    let query = "{ epochs { nodes { conservation { revenue { raw } credited { raw } held { raw } holds } } } }";
    let whole = answer(&published, query).await;
    for epoch in whole["data"]["epochs"]["nodes"].as_array().unwrap() {
        let line = &epoch["conservation"][0];
        let units = |field: &str| line[field]["raw"].as_str().unwrap().parse::<i128>().unwrap();
        assert_eq!(units("revenue"), units("credited") + units("held"), "{line}");
        assert_eq!(line["holds"], json!(true));
    }
}
