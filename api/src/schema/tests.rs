use serde_json::{Value, json};

use crate::fixture::{self, ANN, BOB, BUYER, NATIVE, OWNER, Published, VAULT, answer, id};
use crate::graphql::{self, Engine};
use crate::guard::GuardLimits;
use crate::pinned::Shelf;

mod waiting;

#[tokio::test]
async fn a_document_that_was_judged_before_is_answered_as_the_first_time() {
    let published = fixture::publish().await;
    let shelf = Shelf::new(published.lake.clone(), published.dir.path().to_owned());
    let pinned = shelf.newest().await.unwrap();
    let account = "query A($address: Address!, $by: EarningsGroup) { account(address: $address) { address \
         earnings(groupBy: $by) { key amount { raw } } } } query B($first: Int) { accounts(first: $first) { totalCount } }";
    let mut asked = Vec::new();
    for variables in [
        json!({ "address": ANN }),
        json!({ "address": BOB, "by": "EPOCH" }),
        json!({ "address": BOB, "by": "NEVER" }),
        json!({ "address": BOB, "by": "0" }),
        json!({ "address": "0x12" }),
        json!({ "address": "ann" }),
        json!({ "address": 5 }),
        json!({ "address": null }),
        json!({}),
    ] {
        asked.push(json!({ "query": account, "operationName": "A", "variables": variables }));
    }
    for name in ["B", "C", ""] {
        asked.push(json!({ "query": account, "operationName": name, "variables": { "first": 2 } }));
    }
    asked.push(json!({ "query": account, "operationName": "B", "variables": { "first": "2" } }));
    asked.push(json!({ "query": "{ account { address } }" }));
    asked.push(json!({ "query": "{ nothing }" }));
    let answer = async |engine: &Engine, asked: &Value| {
        let mut response = fixture::respond(engine, &pinned, asked).await;
        let status = graphql::finish(&mut response, "r1", true);
        (status, serde_json::to_string(&response).unwrap())
    };
    let mut first = Vec::new();
    for asked in &asked {
        first.push(answer(&Engine::new(GuardLimits::default()), asked).await);
    }
    assert!(
        first.iter().any(|(status, _)| status.is_success()) && first.iter().any(|(status, _)| !status.is_success())
    );
    let engine = Engine::new(GuardLimits::default());
    for _ in 0..3 {
        for (asked, first) in asked.iter().zip(&first).rev() {
            assert_eq!(answer(&engine, asked).await, *first, "{asked}");
        }
    }
}

async fn data(published: &Published, query: &str) -> Value {
    let whole = answer(published, query).await;
    assert_eq!(whole.get("errors"), None, "{query}");
    whole["data"].clone()
}

async fn code(published: &Published, query: &str) -> String {
    let whole = answer(published, query).await;
    whole["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{query}: {whole}")).to_owned()
}

fn shown(address: &str) -> String {
    address.parse::<alloy_primitives::Address>().unwrap().to_checksum(None)
}

#[tokio::test]
async fn every_answer_names_what_it_was_computed_at() {
    let published = fixture::publish().await;
    let whole =
        answer(&published, "{ now: datasets { totalCount } then: datasets(asOf: {number: 16}) { totalCount } }").await;
    assert_eq!(whole["data"], json!({ "now": { "totalCount": 1 }, "then": { "totalCount": 1 } }));
    assert_eq!(
        whole["extensions"]["asOf"],
        json!({
            "number": 20,
            "hash": format!("0x{:064x}", 20),
            "finality": "asserted",
            "trust": "full",
            "logRoot": format!("0x{}", "77".repeat(32)),
            "mappingSetHash": format!("0x{}", "00".repeat(32)),
            "snapshot": published.snapshot.version,
            "settledEpoch": 1,
            "fields": { "then": {
                "number": 16,
                "hash": format!("0x{:064x}", 16),
                "finality": "asserted",
                "logRoot": format!("0x{}", "10".repeat(32)),
                "settledEpoch": 0,
            } },
        })
    );
}

#[tokio::test]
async fn status_adds_up() {
    let published = fixture::publish().await;
    let query = "{ status { chainId sealed { number timestamp } head { number } settledEpoch openEpoch lagBlocks waiting \
                 finality counts { blocks payments batches attributions datasets contributions models agents accounts } \
                 totals { token revenue { raw formatted symbol } credited { raw } held { raw } claimed { raw } } \
                 invariants { id broken } } }";
    let got = data(&published, query).await;
    let status = &got["status"];
    assert_eq!(status["invariants"].as_array().unwrap().len(), tributary_schemas::invariant::ALL.len());
    let mut rest = status.clone();
    rest.as_object_mut().unwrap().remove("invariants");
    assert_eq!(
        rest,
        json!({
            "chainId": "1612",
            "sealed": { "number": 20, "timestamp": "1970-01-01T00:20:00Z" },
            "head": { "number": 23 },
            "settledEpoch": 1,
            "openEpoch": 2,
            "lagBlocks": 3,
            "waiting": ["epoch 2 is open"],
            "finality": "asserted",
            "counts": {
                "blocks": 21, "payments": 0, "batches": 0, "attributions": 0, "datasets": 1, "contributions": 2,
                "models": 2, "agents": 1, "accounts": 3,
            },
            "totals": [{
                "token": NATIVE,
                "revenue": { "raw": "520", "formatted": "0.00000000000000052", "symbol": "OPEN" },
                "credited": { "raw": "461" },
                "held": { "raw": "59" },
                "claimed": { "raw": "100" },
            }],
        })
    );
}

#[tokio::test]
async fn earnings_are_grouped() {
    let published = fixture::publish().await;
    let group = async |by: &str| {
        let query =
            format!("{{ account(address: \"{ANN}\") {{ earnings({by}) {{ key label epoch amount {{ raw }} }} }} }}");
        data(&published, &query).await["account"]["earnings"].clone()
    };
    let line = |key: &str, label: Option<&str>, epoch: Option<i64>, raw: &str| json!({ "key": key, "label": label, "epoch": epoch, "amount": { "raw": raw } });
    assert_eq!(group("groupBy: ROLE").await, json!([line("data", None, None, "111")]));
    assert_eq!(group("groupBy: ROLE, epoch: 1").await, json!([line("data", None, Some(1), "11")]));
    assert_eq!(group("groupBy: ROLE, epoch: 2").await, json!([]));
    assert_eq!(group("groupBy: EPOCH").await, json!([line("0", None, Some(0), "100"), line("1", None, Some(1), "11")]));
    assert_eq!(group("groupBy: DATASET").await, json!([line(&id("dataset"), Some("dataset 7"), None, "111")]));
    assert_eq!(group("groupBy: MODEL").await, json!([line(&id("finetune@1"), Some("model 1 v1"), None, "111")]));
    assert_eq!(group("groupBy: AGENT").await, json!([line(&id("agent@1"), Some("agent 3 v1"), None, "111")]));
}

#[tokio::test]
async fn entitlements_are_proved_and_claims_taken_off() {
    let published = fixture::publish().await;
    let query = format!(
        "{{ account(address: \"{ANN}\") {{ address payout quarantined settledEpoch entitlement(token: \"{NATIVE}\") {{ \
         vault epoch published cumulative {{ raw }} claimed {{ raw }} claimable {{ raw }} \
         proof {{ root leaf siblings cumulative account token vault epoch }} }} }} }}"
    );
    let got = data(&published, &query).await;
    let mut entitlement = got["account"]["entitlement"].clone();
    let proof = entitlement.as_object_mut().unwrap().remove("proof").unwrap();
    assert_eq!(
        entitlement,
        json!({
            "vault": shown(VAULT), "epoch": 1, "published": false, "cumulative": { "raw": "111" },
            "claimed": { "raw": "100" }, "claimable": { "raw": "11" },
        })
    );
    assert_eq!(got["account"]["payout"], json!(shown(BOB)));
    // The proof is checked as a contract would: from the leaf, by sorted pairs, to the root of the snapshot.
    let hash = |value: &Value| value.as_str().unwrap().parse::<alloy_primitives::B256>().unwrap();
    let siblings = proof["siblings"].as_array().unwrap().iter().map(hash).collect::<Vec<_>>();
    let leaf = tributary_accounting::tree::Leaf::new(ANN.parse().unwrap(), alloy_primitives::Address::ZERO, 111);
    assert_eq!(hash(&proof["leaf"]), leaf.hash);
    let root = tributary_accounting::tree::climb(leaf.hash, &siblings);
    assert_eq!(published.snapshot.heads.roots.values().copied().collect::<Vec<_>>(), vec![root]);
    assert_eq!(hash(&proof["root"]), root);
    // Before the claim and the second epoch, she was owed what the first one gave.
    let before = format!(
        "{{ account(address: \"{ANN}\", asOf: {{epoch: 0}}) {{ payout entitlements {{ epoch published cumulative {{ raw }} claimed {{ raw }} }} }} }}"
    );
    assert_eq!(
        data(&published, &before).await["account"],
        json!({ "payout": null, "entitlements": [
            { "epoch": 0, "published": false, "cumulative": { "raw": "100" }, "claimed": { "raw": "0" } },
        ] })
    );
    let nobody =
        format!("{{ account(address: \"{VAULT}\") {{ entitlements {{ epoch }} earnings {{ key }} owns {{ id }} }} }}");
    assert_eq!(data(&published, &nobody).await["account"], json!({ "entitlements": [], "earnings": [], "owns": [] }));
}

#[tokio::test]
async fn explanations_add_up() {
    let published = fixture::publish().await;
    let query = format!(
        "{{ account(address: \"{OWNER}\") {{ explanation(epoch: 0, token: \"{NATIVE}\") {{ total {{ raw }} \
         blocks {{ first last }} blobs {{ level }} payments pending {{ role }} \
         lines {{ role model agent dataset amount {{ raw }} rounding {{ raw }} through depth \
         paths {{ labels amount {{ raw }} }} otherPaths {{ raw }} }} }} }} }}"
    );
    assert_eq!(
        data(&published, &query).await["account"]["explanation"],
        json!({
            "total": { "raw": "50" },
            "blocks": { "first": 0, "last": 9 },
            "blobs": [],
            "payments": 1,
            "pending": [],
            "lines": [{
                "role": "lineage", "model": id("base@1"), "agent": id("agent@1"), "dataset": null,
                "amount": { "raw": "50" }, "rounding": { "raw": "0" },
                "through": ["model 0 v1", "agent 3 v1"], "depth": 1,
                "paths": [{ "labels": ["agent 3 v1", "model 1 v1", "model 0 v1"], "amount": { "raw": "50" } }],
                "otherPaths": { "raw": "0" },
            }],
        })
    );
    let none =
        format!("{{ account(address: \"{OWNER}\") {{ explanation(epoch: 1, token: \"{NATIVE}\") {{ epoch }} }} }}");
    assert_eq!(data(&published, &none).await["account"]["explanation"], Value::Null);
    let one = format!(
        "{{ account(address: \"{OWNER}\") {{ explanation(epoch: 0, token: \"{NATIVE}\") {{ \
         line(at: 0) {{ role amount {{ raw }} }} beyond: line(at: 1) {{ role }} below: line(at: -1) {{ role }} }} }} }}"
    );
    assert_eq!(
        data(&published, &one).await["account"]["explanation"],
        json!({ "line": { "role": "lineage", "amount": { "raw": "50" } }, "beyond": null, "below": null })
    );
}

#[tokio::test]
async fn lines_come_in_parts_and_too_many_are_not_traced_at_once() {
    let published = fixture::publish_wide(BUYER, 60).await;
    let asked = |part: &str| {
        format!("{{ account(address: \"{BUYER}\") {{ explanation(epoch: 0, token: \"{NATIVE}\") {{ {part} }} }} }}")
    };
    let of = async |part: &str| data(&published, &asked(part)).await["account"]["explanation"].clone();
    let all = of("lines { contribution role }").await["lines"].as_array().unwrap().clone();
    assert_eq!((all.len(), of("lineCount").await), (60, json!({ "lineCount": 60 })));
    let mut parts = Vec::new();
    for from in [0, 25, 50, 75] {
        let found = of(&format!("lines(first: 25, from: {from}) {{ contribution role }}")).await;
        parts.extend(found["lines"].as_array().unwrap().iter().cloned());
    }
    assert_eq!(parts, all);
    for (part, expected) in [
        ("lines { batches { totalCount } }", "QUERY_TOO_COMPLEX"),
        ("lines(from: 5) { payments { totalCount } }", "QUERY_TOO_COMPLEX"),
        ("lines(first: 501) { role }", "BAD_USER_INPUT"),
        ("lines(from: -1) { role }", "BAD_USER_INPUT"),
        ("lines(first: 200) { inferences { nodes { inference } } }", "QUERY_TOO_COMPLEX"),
    ] {
        let query = asked(part);
        let engine = Engine::new(GuardLimits::default());
        let prepared = engine.prepare(serde_json::from_value(json!({ "query": query })).unwrap());
        let got = match prepared {
            Ok(_) => code(&published, &query).await,
            Err(refusal) => refusal.code.as_str().to_owned(),
        };
        assert_eq!(got, expected, "{part}");
    }
}

#[tokio::test]
async fn a_statement_opens_lists_and_closes() {
    let published = fixture::publish().await;
    let statement = async |from: i64, to: i64| {
        let query = format!(
            "{{ account(address: \"{ANN}\") {{ statement(token: \"{NATIVE}\", from: {from}, to: {to}) {{ \
             opening {{ raw }} lines {{ epoch code counterpart amount {{ raw }} }} closing {{ raw }} }} }} }}"
        );
        data(&published, &query).await["account"]["statement"].clone()
    };
    let line = |epoch: i64, code: &str, counterpart: &str, raw: &str| json!({ "epoch": epoch, "code": code, "counterpart": counterpart, "amount": { "raw": raw } });
    let second = [line(1, "credit", "clearing", "11"), line(1, "claim", "claimed", "-100")];
    let of = |opening: &str, lines: &[Value], closing: &str| json!({ "opening": { "raw": opening }, "lines": lines, "closing": { "raw": closing } });
    assert_eq!(statement(1, 1).await, of("100", &second, "11"));
    let [credit, claim] = second;
    assert_eq!(statement(0, 1).await, of("0", &[line(0, "credit", "clearing", "100"), credit, claim], "11"));
    assert_eq!(statement(0, 0).await, of("0", &[line(0, "credit", "clearing", "100")], "100"));
    assert_eq!(statement(0, 2).await, Value::Null);
}

#[tokio::test]
async fn what_the_chain_says_otherwise_is_an_alarm() {
    let published = fixture::publish().await;
    let found = data(&published, "{ status { alarms { kind epoch block detail account } } }").await;
    let detail = "the cumulative total on chain is 450: expected 461";
    let expected = json!([{ "kind": "manifest_differs", "epoch": 0, "block": 11, "detail": detail, "account": null }]);
    assert_eq!(found["status"]["alarms"], expected);
}

#[tokio::test]
async fn entities_are_those_of_the_block_asked_for() {
    let published = fixture::publish().await;
    let owner = async |as_of: &str| {
        let query = format!("{{ dataset(id: \"{}\"{as_of}) {{ owner }} }}", id("dataset"));
        data(&published, &query).await["dataset"]["owner"].clone()
    };
    assert_eq!(owner("").await, json!(shown(BUYER)));
    assert_eq!(owner(", asOf: {number: 15}").await, json!(shown(BUYER)));
    assert_eq!(owner(", asOf: {number: 14}").await, json!(shown(OWNER)));
    assert_eq!(owner(", asOf: {epoch: 0}").await, json!(shown(OWNER)));
    assert_eq!(owner(&format!(", asOf: {{hash: \"0x{:064x}\"}}", 14)).await, json!(shown(OWNER)));
    assert_eq!(owner(", asOf: {number: 0}").await, Value::Null);
    let query = format!(
        "{{ dataset(id: \"trib:1612:dataset:{VAULT}:7@1\") {{ id label visibility lastVersion contributorCount \
         earned {{ raw }} versions {{ version members totalRows }} \
         contributions(first: 1) {{ totalCount pageInfo {{ hasNextPage }} nodes {{ id contributor flags earned {{ raw }} }} }} }} \
         model(id: \"{}\") {{ kind label payoutRule {{ split {{ account sharePpb }} }} earned {{ raw }} \
         versions {{ upstream {{ kind label relation sharePpb }} }} }} \
         agent(id: \"{}\") {{ label lastVersion earned {{ raw }} }} contribution(id: \"{}\") {{ contributor dataset {{ label }} }} }}",
        id("finetune"),
        id("agent@1"),
        id("contribution1"),
    );
    let got = data(&published, &query).await;
    assert_eq!(
        got["dataset"],
        json!({
            "id": id("dataset"), "label": "dataset 7", "visibility": "public", "lastVersion": 1, "contributorCount": 2,
            "earned": [{ "raw": "411" }], "versions": [{ "version": 1, "members": 2, "totalRows": 40 }],
            "contributions": { "totalCount": 2, "pageInfo": { "hasNextPage": true }, "nodes": [{
                "id": id("contribution0"), "contributor": shown(ANN),
                "flags": ["DUPLICATE_CONTENT", "LICENSE_CONFLICT"], "earned": [{ "raw": "111" }],
            }] },
        })
    );
    assert_eq!(
        got["model"],
        json!({
            "kind": "finetune", "label": "model 1", "earned": [{ "raw": "411" }],
            "payoutRule": { "split": [{ "account": shown(OWNER), "sharePpb": 1_000_000_000 }] },
            "versions": [{ "upstream": [
                { "kind": "model", "label": "model 0 v1", "relation": "BASED_ON_FINETUNE", "sharePpb": 200_000_000 },
                { "kind": "dataset", "label": "dataset 7 v1", "relation": "TRAINED_ON", "sharePpb": null },
            ] }],
        })
    );
    assert_eq!(got["agent"], json!({ "label": "agent 3", "lastVersion": 1, "earned": [{ "raw": "461" }] }));
    assert_eq!(got["contribution"], json!({ "contributor": shown(BOB), "dataset": { "label": "dataset 7" } }));
    assert_eq!(
        data(&published, "{ dataset(id: \"0xff\") { id } model(id: \"x@1\") { id } }").await,
        json!({ "dataset": null, "model": null })
    );
}

#[tokio::test]
async fn pages_turn_at_the_block_of_the_cursor() {
    let published = fixture::publish().await;
    let page = async |after: &str| {
        let query = format!(
            "{{ models(first: 1{after}) {{ totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ kind }} }} }}"
        );
        data(&published, &query).await["models"].clone()
    };
    let first = page("").await;
    assert_eq!((&first["totalCount"], &first["nodes"]), (&json!(2), &json!([{ "kind": "base" }])));
    let cursor = first["pageInfo"]["endCursor"].as_str().unwrap().to_owned();
    let second = page(&format!(", after: \"{cursor}\"")).await;
    assert_eq!(
        (&second["pageInfo"]["hasNextPage"], &second["nodes"]),
        (&json!(false), &json!([{ "kind": "finetune" }]))
    );
    // A cursor of block 6, where there was one model, keeps the list as it was there.
    let then = page(", asOf: {number: 6}").await;
    let cursor = then["pageInfo"]["endCursor"].as_str().unwrap().to_owned();
    assert_eq!(page(&format!(", after: \"{cursor}\"")).await["totalCount"], json!(1));
    let other = crate::page::Cursor { root: "0".repeat(15) + "7", ..crate::page::Cursor::decode(&cursor).unwrap() };
    assert_eq!(
        code(&published, &format!("{{ models(after: \"{}\") {{ totalCount }} }}", other.encode())).await,
        "CURSOR_REORGED"
    );
    assert_eq!(code(&published, "{ models(after: \"31\") { totalCount } }").await, "BAD_CURSOR");
}

#[tokio::test]
async fn accounts_are_listed_and_searched() {
    let published = fixture::publish().await;
    let list = async |arguments: &str| {
        let query =
            format!("{{ accounts({arguments}) {{ totalCount pageInfo {{ endCursor }} nodes {{ address }} }} }}");
        let got = data(&published, &query).await["accounts"].clone();
        let nodes =
            got["nodes"].as_array().unwrap().iter().map(|node| node["address"].as_str().unwrap().to_lowercase());
        (nodes.collect::<Vec<_>>(), got["totalCount"].as_i64().unwrap(), got["pageInfo"]["endCursor"].clone())
    };
    assert_eq!(list("first: 9").await.0, vec![ANN, BOB, OWNER]);
    assert_eq!(list("orderBy: EARNED").await.0, vec![BOB, ANN, OWNER]);
    assert_eq!((list("search: \"C3\"").await.0, list("search: \"%\"").await.1), (vec![OWNER.to_owned()], 3));
    let (one, total, cursor) = list("first: 1, orderBy: EARNED").await;
    assert_eq!((one, total), (vec![BOB.to_owned()], 3));
    assert_eq!(list(&format!("first: 1, orderBy: EARNED, after: {cursor}")).await.0, vec![ANN]);
}

#[tokio::test]
async fn epochs_are_conserved() {
    let published = fixture::publish().await;
    let query = "{ epochs { totalCount nodes { number firstBlock lastBlock startsAt endsAt root rule \
                 tokens { revenue { raw } credited { raw } held { raw } published payments } } } \
                 epoch(number: 0) { flows(first: 1) { step source sourceLabel targetLabel amount { raw } } } none: epoch(number: 2) { number } }";
    let got = data(&published, query).await;
    assert_eq!(got["epochs"]["totalCount"], json!(2));
    assert_eq!(
        got["epochs"]["nodes"][1],
        json!({
            "number": 0, "firstBlock": 0, "lastBlock": 9, "startsAt": "1970-01-01T00:16:40Z", "endsAt": "1970-01-01T00:18:20Z",
            "root": id("root0"), "rule": "tributary-settle/1",
            "tokens": [{ "revenue": { "raw": "500" }, "credited": { "raw": "450" }, "held": { "raw": "50" }, "published": true, "payments": 1 }],
        })
    );
    assert_eq!(
        got["epoch"]["flows"],
        json!([{ "step": "model", "source": id("agent@1"), "sourceLabel": "agent 3 v1", "targetLabel": "model 1 v1", "amount": { "raw": "450" } }])
    );
    assert_eq!(got["none"], Value::Null);
}

#[tokio::test]
async fn what_cannot_be_answered_says_why() {
    let published = fixture::publish().await;
    for (query, expected) in [
        ("{ datasets(asOf: {number: 21}) { totalCount } }", "AS_OF_UNAVAILABLE"),
        ("{ datasets(asOf: {epoch: 2}) { totalCount } }", "AS_OF_UNAVAILABLE"),
        ("{ datasets(asOf: {number: 1, epoch: 0}) { totalCount } }", "BAD_USER_INPUT"),
        ("{ datasets(asOf: {}) { totalCount } }", "BAD_USER_INPUT"),
        ("{ datasets(first: 501) { totalCount } }", "BAD_USER_INPUT"),
        ("{ datasets(first: -1) { totalCount } }", "BAD_USER_INPUT"),
        ("{ provenance(of: \"x\", depth: 17) { focus } }", "BAD_USER_INPUT"),
        ("{ provenance(of: \"x\", first: 2001) { focus } }", "BAD_USER_INPUT"),
        ("{ account(address: \"0x12\") { address } }", "BAD_USER_INPUT"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
    ] {
        assert_eq!(code(&published, query).await, expected, "{query}");
    }
}

const GRAPH: &str = "settledEpoch focus nodes { id kind label layer x y hidden earned { raw } } \
                     edges { source target relation sharePpb contributions money { raw } } leftOut { relation count }";

#[tokio::test]
async fn the_whole_ancestry_is_laid_out() {
    let published = fixture::publish().await;
    let query = format!("{{ provenance(of: \"{}\", direction: UPSTREAM, depth: 16) {{ {GRAPH} }} }}", id("agent"));
    let got = data(&published, &query).await["provenance"].clone();
    let node = |id: &str, kind: &str, label: &str, layer: i64, x: i64, y: i64, earned: Option<&str>| {
        let earned = earned.map(|raw| json!({ "raw": raw })).into_iter().collect::<Vec<_>>();
        json!({ "id": id, "kind": kind, "label": label, "layer": layer, "x": x, "y": y, "hidden": 0, "earned": earned })
    };
    assert_eq!(
        got["nodes"],
        json!([
            node(ANN, "account", "0x0000…00A1", 0, 0, -5, Some("111")),
            node(BOB, "account", "0x0000…00b2", 0, 0, 5, Some("300")),
            node(&id("dataset@1"), "dataset", "dataset 7 v1", 1, 100, 0, Some("411")),
            node(&id("external"), "external", &id("external"), 2, 200, 0, None),
            node(&id("base@1"), "model", "model 0 v1", 3, 300, 0, Some("50")),
            node(&id("finetune@1"), "model", "model 1 v1", 4, 400, 0, Some("411")),
            node(&id("agent@1"), "agent", "agent 3 v1", 5, 500, 0, Some("461")),
        ])
    );
    let edge = |relation: &str,
                source: &str,
                target: &str,
                share: Option<i64>,
                contributions: Option<i64>,
                money: Option<&str>| {
        let money = money.map(|raw| json!({ "raw": raw })).into_iter().collect::<Vec<_>>();
        json!({ "relation": relation, "source": source, "target": target, "sharePpb": share, "contributions": contributions, "money": money })
    };
    assert_eq!(
        got["edges"],
        json!([
            edge("BASED_ON_FINETUNE", &id("base@1"), &id("finetune@1"), Some(200_000_000), None, Some("50")),
            edge("BASED_ON_FINETUNE", &id("external"), &id("base@1"), None, None, None),
            edge("CONTRIBUTED_BY", ANN, &id("dataset@1"), None, Some(1), Some("111")),
            edge("CONTRIBUTED_BY", BOB, &id("dataset@1"), None, Some(1), Some("300")),
            edge("TRAINED_ON", &id("dataset@1"), &id("finetune@1"), None, None, Some("411")),
            edge("USES_MODEL", &id("finetune@1"), &id("agent@1"), Some(1_000_000_000), None, Some("450")),
        ])
    );
    assert_eq!(got["leftOut"], json!([]));
}

#[tokio::test]
async fn what_is_left_out_is_counted() {
    let published = fixture::publish().await;
    // Two nodes: the focus and, of three neighbours, the one with most money: the agent that paid 450.
    let query = format!("{{ provenance(of: \"{}\", first: 2) {{ {GRAPH} }} }}", id("finetune@1"));
    let got = data(&published, &query).await["provenance"].clone();
    let ids = got["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(ids, vec![&id("dataset@1"), &id("finetune@1")], "the walk goes up before it goes down");
    assert_eq!(
        got["leftOut"],
        json!([{ "relation": "BASED_ON_FINETUNE", "count": 1 }, { "relation": "CONTRIBUTED_BY", "count": 2 }, { "relation": "USES_MODEL", "count": 1 }])
    );
    // Down from a contributor, at a block before any money.
    let query =
        format!("{{ provenance(of: \"{ANN}\", direction: DOWNSTREAM, depth: 2, asOf: {{number: 7}}) {{ {GRAPH} }} }}");
    let got = data(&published, &query).await["provenance"].clone();
    let ids = got["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(ids, vec![ANN, &id("dataset@1"), &id("finetune@1")]);
    assert_eq!(got["settledEpoch"], Value::Null);
    assert_eq!(data(&published, "{ provenance(of: \"nothing\") { focus } }").await["provenance"], Value::Null);
}

#[tokio::test]
async fn a_page_of_accounts_costs_one_load() {
    let published = fixture::publish().await;
    let query = "{ accounts { nodes { entitlements { cumulative { raw } claimable { raw } } } } }";
    assert_eq!(
        data(&published, query).await["accounts"]["nodes"],
        json!([
            { "entitlements": [{ "cumulative": { "raw": "111" }, "claimable": { "raw": "11" } }] },
            { "entitlements": [{ "cumulative": { "raw": "300" }, "claimable": { "raw": "300" } }] },
            { "entitlements": [{ "cumulative": { "raw": "50" }, "claimable": { "raw": "50" } }] },
        ])
    );
}

#[tokio::test]
async fn a_block_shows_what_carries_it() {
    let published = fixture::publish().await;
    let anchor =
        "anchor { state postings { l1Block form blobKey dispersedBy level versionedHash blobIndex dataLevel } }";
    let query = format!(
        "{{ two: block(number: 5) {{ number epoch {anchor} }} none: block(number: 6) {{ {anchor} }} \
         later: block(number: 7) {{ {anchor} }} absent: block(number: 99) {{ number }} }}"
    );
    let got = data(&published, &query).await;
    let eigenda = json!({
        "l1Block": 90,
        "form": "eigenda",
        "blobKey": format!("0x{:064x}", 1),
        "dispersedBy": shown(OWNER),
        "level": "L3",
        "versionedHash": null,
        "blobIndex": null,
        "dataLevel": null,
    });
    let blob = json!({
        "l1Block": 91,
        "form": "blob",
        "blobKey": null,
        "dispersedBy": null,
        "level": null,
        "versionedHash": format!("0x{:064x}", 2),
        "blobIndex": 4,
        "dataLevel": "content",
    });
    let two = json!({ "state": "anchored", "postings": [eigenda, blob] });
    assert_eq!(got["two"], json!({ "number": 5, "epoch": 0, "anchor": two }));
    assert_eq!(got["none"]["anchor"], json!({ "state": "not_anchored", "postings": [] }));
    assert_eq!(got["later"]["anchor"], json!({ "state": "pending", "postings": [] }));
    assert_eq!(got["absent"], Value::Null);
}
