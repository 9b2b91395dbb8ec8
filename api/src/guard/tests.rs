use super::*;

fn check(query: &str, expected: Result<(), ErrorCode>) {
    let got = admit(query, &Variables::default(), &GuardLimits::default());
    assert_eq!(got.map(|_| ()).map_err(|refusal| refusal.code), expected, "{}", query.get(..80).unwrap_or(query));
}

/// `levels` fragments, each of which spreads the next one twice.
fn fragments(levels: usize) -> String {
    let mut query = String::from("{ ...f0 ...f0 }");
    for level in 0..levels {
        let next = level + 1;
        query.push_str(&format!(" fragment f{level} on Query {{ ...f{next} ...f{next} }}"));
    }
    query.push_str(&format!(" fragment f{levels} on Query {{ status {{ finality }} }}"));
    query
}

#[test]
fn nested_fragments_are_counted_and_not_expanded() {
    // 2^41 fields. Were they visited one by one, this test would not end; five milliseconds are measured by hand.
    check(&fragments(40), Err(ErrorCode::TooLarge));
    check(&fragments(63), Err(ErrorCode::TooDeep));
    check(&fragments(64), Err(ErrorCode::TooLarge));
    check(&fragments(8), Ok(()));
}

#[test]
fn the_cost_of_a_fragment_is_exact() {
    let variables = Variables::default();
    let query = fragments(3);
    let document = parse_query(&query).unwrap();
    let mut costing = Costing { document: &document, variables: &variables, known: BTreeMap::new() };
    let operation = document.operations.iter().next().unwrap().1;
    let cost = costing.set(&operation.node.selection_set.node, 0).unwrap();
    assert_eq!(cost, Cost { fields: 32, complexity: 16, depth: 2, listed: false });
}

#[test]
fn cycles_of_fragments_are_refused() {
    check("{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }", Err(ErrorCode::ValidationFailed));
    check("{ ...a } fragment a on Query { status { ...a } }", Err(ErrorCode::ValidationFailed));
}

#[test]
fn nesting_is_refused_before_the_parser_recurses() {
    check(&"{a".repeat(20_000), Err(ErrorCode::TooDeep));
    check(&format!("{{ a(b: {}) }}", "[".repeat(20_000)), Err(ErrorCode::TooDeep));
    check(&format!("query($a: {}) {{ a }}", "[".repeat(60)), Err(ErrorCode::TooDeep));
    let deep = |levels: usize| format!("{}{}", "{a".repeat(levels), "}".repeat(levels));
    check(&deep(16), Ok(()));
    check(&deep(17), Err(ErrorCode::TooDeep));
}

#[test]
fn tokens_aliases_and_fragments_are_capped() {
    check(&format!("{{ {} }}", "a ".repeat(1_998)), Ok(()));
    check(&format!("{{ {} }}", "a ".repeat(1_999)), Err(ErrorCode::TooLarge));
    let aliases = |count: usize| {
        let fields = (0..count).map(|n| format!("a{n}: status {{ finality }} ")).collect::<String>();
        format!("{{ {fields} }}")
    };
    check(&aliases(64), Ok(()));
    check(&aliases(65), Err(ErrorCode::TooLarge));
    // Strings and comments hide neither tokens nor brackets from the scanner, nor does it see any inside them.
    check("{ a(b: \"{{{{[[[[((((\", c: \"\"\"{\\\"\"\" {\"\"\") # {{{{{{{{\n }", Ok(()));
    check("{ a(b: \"\\\"{\") }", Ok(()));
}

#[test]
fn lists_multiply() {
    let nested = "{ datasets(first: 500) { nodes { contributions(first: 500) { nodes { dataset { id } } } } } }";
    check(nested, Err(ErrorCode::TooComplex));
    check("{ accounts(first: 500) { nodes { address entitlements { token cumulative { raw } } } } }", Ok(()));
    check("{ provenance(of: \"x\", first: 2000) { nodes { id earned { raw } } edges { id money { raw } } } }", Ok(()));
}

#[test]
fn variables_count_as_what_they_hold() {
    let query = "query($n: Int = 500) { datasets(first: $n) { nodes { contributions(first: $n) { nodes { id } } } } }";
    check(query, Err(ErrorCode::TooComplex));
    let few = Variables::from_json(serde_json::json!({ "n": 3 }));
    let admitted = admit(query, &few, &GuardLimits::default()).unwrap();
    // datasets 1 + 3 × (nodes 1 + contributions 1 + 3 × nodes 1).
    assert_eq!(admitted.complexity, 16);
}

#[test]
fn what_does_not_parse_says_so() {
    for query in ["{", "}", "query", "{ a(", "\u{0}", "{ \"", "fragment a on Query { b }"] {
        check(query, Err(ErrorCode::ParseFailed));
    }
}

#[test]
fn comparisons_cost_for_every_row_of_the_list_around_them() {
    let of = |list: &str| format!("{{ datasets(first: 50) {{ nodes {{ {list} }} }} }}");
    let among = |count: usize| {
        format!("contributions(where: {{state: {{in: [{}]}}}}) {{ totalCount }}", "\"x\" ".repeat(count))
    };
    check(&of(&among(90)), Ok(()));
    check(&of(&among(100)), Err(ErrorCode::TooComplex));
    let variables = Variables::from_json(serde_json::json!({ "w": { "state": { "in": vec!["x"; 100] } } }));
    let query = format!("query($w: ContributionWhere) {}", of("contributions(where: $w) { totalCount }"));
    let got = admit(&query, &variables, &GuardLimits::default());
    assert_eq!(got.map(|_| ()).map_err(|refusal| refusal.code), Err(ErrorCode::TooComplex));
    // A variable without a value does not hide the others.
    let hiding = among(100).replace("{state:", "{license: {eq: $none}, state:");
    check(&format!("query($none: String) {}", of(&hiding)), Err(ErrorCode::TooComplex));
}

#[test]
fn lines_cost_by_what_lies_below_them() {
    let of =
        |lines: &str| format!("{{ account(address: \"x\") {{ explanation(epoch: 0, token: \"y\") {{ {lines} }} }} }}");
    let below = "{ inferences(first: 10) { nodes { payments(first: 10) { nodes { kind } } } } }";
    check(&of("lines { role description paths { labels } }"), Ok(()));
    check(&of(&format!("lines(first: 4) {below}")), Ok(()));
    check(&of(&format!("lines(first: 50) {below}")), Err(ErrorCode::TooComplex));
    check(&of(&format!("lines {below}")), Err(ErrorCode::TooComplex));
    check(&of(&format!("pending {below}")), Err(ErrorCode::TooComplex));
    check(&of(&format!("line(at: 3) {below}")), Ok(()));
}
