//! GraphQL lists over HTTP, compared with SQL over the same tables.

use serde_json::Value;
use tributary_tests::program::{get, json, serve_demo};

/// The data of an answer.
fn data(url: &str, query: &str) -> Value {
    let escaped = query.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let (status, body) = get(url, &format!("graphql?query={escaped}")).unwrap();
    let answer: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{status} {error}: {body}"));
    assert!(status == 200 && answer.get("errors").is_none(), "{query}: {status} {body}");
    answer["data"].clone()
}

/// One field of every node of a list, page by page.
fn paged(url: &str, list: &str, arguments: &str, field: &str) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let query = format!(
            "{{ {list}(first: 7{after}{arguments}) {{ pageInfo {{ endCursor hasNextPage }} nodes {{ {field} }} }} }}"
        );
        let page = data(url, &query)[list].clone();
        let nodes = page["nodes"].as_array().unwrap().iter();
        found.extend(nodes.map(|node| node[field].as_str().map_or_else(|| node[field].to_string(), str::to_owned)));
        if page["pageInfo"]["hasNextPage"] == false {
            return found;
        }
        after = format!(", after: {}", page["pageInfo"]["endCursor"]);
    }
}

#[test]
fn payments_batches_and_blobs_are_what_the_tables_hold() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = serve_demo(4, 300, "", folder.path()).unwrap();
    demo.until_settled();
    let dir = folder.path().display().to_string();
    let rows = |query: &str| {
        let rows = json(&["sql", "--json", "--data-dir", &dir, query]);
        let rows = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["x"].as_str().map_or_else(|| row["x"].to_string(), str::to_owned));
        rows.collect::<Vec<String>>()
    };
    let payments = rows("select payment_id as x from payments order by payment_sk");
    assert!(payments.len() > 20, "{}", payments.len());
    assert_eq!(paged(&demo.url, "payments", "", "id"), payments);
    assert_eq!(
        paged(&demo.url, "payments", ", orderBy: {field: AMOUNT, direction: DESC}", "id"),
        rows("select payment_id as x from payments order by amount desc, payment_sk")
    );
    let token = rows("select max(token) as x from payments").remove(0);
    let middle =
        rows(&format!("select cast(median(amount) as decimal(38, 0)) as x from payments where token = '{token}'"))
            .remove(0);
    let filter =
        format!(", where: {{token: {{eq: \"{token}\"}}, amount: {{gt: \"{middle}\"}}, not: {{block: {{lt: 100}}}}}}");
    let some = rows(&format!(
        "select payment_id as x from payments where token = '{token}' and amount > {middle} and block_number >= 100 order by payment_sk"
    ));
    assert!(!some.is_empty() && some.len() < payments.len());
    assert_eq!(paged(&demo.url, "payments", &filter, "id"), some);

    let batches = rows("select batch_id as x from attribution_batches where valid_to_block is null order by batch_sk");
    assert_eq!(paged(&demo.url, "attributionBatches", "", "id"), batches);
    assert_eq!(
        paged(&demo.url, "blobs", ", where: {status: {eq: \"verified\"}}", "block"),
        rows("select block_number as x from blobs where status = 'verified' order by block_number, log_index")
    );
    for (id, kind) in [(&payments[0], "Payment"), (&batches[0], "AttributionBatch")] {
        let node = data(&demo.url, &format!("{{ node(id: \"{id}\") {{ __typename id }} }}"));
        assert_eq!(node["node"], serde_json::json!({ "__typename": kind, "id": id }));
    }
    // What waits for somebody is in nobody's entitlement, and is what the journal says.
    let waiting = rows(
        "select coalesce(sum(units), 0) as x from (select right(credit, 42) as account, amount as units from ledger_entries \
         where credit like 'pending:%' union all select right(debit, 42), -amount from ledger_entries where debit like 'pending:%')",
    );
    let accounts = data(&demo.url, "{ accounts(first: 500) { totalCount nodes { pending { kind amount { raw } } } } }");
    let mut sum = 0_i128;
    for account in accounts["accounts"]["nodes"].as_array().unwrap() {
        for one in account["pending"].as_array().unwrap().iter().filter(|one| one["kind"] == "CHALLENGE") {
            sum += one["amount"]["raw"].as_str().unwrap().parse::<i128>().unwrap();
        }
    }
    assert_eq!(sum.to_string(), waiting[0]);
    demo.stop();
}
