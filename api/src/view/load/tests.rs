use serde_json::json;

use crate::fixture;
use crate::graphql::Engine;
use crate::guard::GuardLimits;
use crate::pinned::Shelf;

/// Queries over tables that an answer takes.
async fn reads(published: &fixture::Published, query: &str) -> u64 {
    let shelf = Shelf::new(published.lake.clone(), published.dir.path().to_owned());
    reads_of(&shelf, query).await
}

async fn reads_of(shelf: &Shelf, query: &str) -> u64 {
    let (engine, pinned) = (Engine::new(GuardLimits::default()), shelf.newest().await.unwrap());
    let response = fixture::respond(&engine, &pinned, &json!({ "query": query })).await;
    assert_eq!(response.errors, vec![], "{query}");
    pinned.reads()
}

#[tokio::test]
async fn many_objects_take_as_many_reads_as_one() {
    let published = fixture::publish().await;
    let statement = format!("statement(token: \"{}\", from: 1, to: 1) {{ closing {{ raw }} }}", fixture::NATIVE);
    let edges = [
        ("earnings { amount { raw } }", 1),
        ("earnings(groupBy: EPOCH) { amount { raw } }", 1),
        ("entitlements { cumulative { raw } }", 3),
        ("entitlements { proof { leaf } }", 4),
        ("contributions { nodes { dataset { label } earned { raw } } }", 2),
        ("owns { id } payout quarantined", 0),
        ("pending { amount { raw } }", 1),
        // Two files of positions and one of the journal, no query: where whose rows are, and the rows.
        (&statement, 6),
    ];
    for (edge, expected) in edges {
        // The list itself is two: its page and its count.
        for accounts in [1, 3] {
            let query = format!("{{ accounts(first: {accounts}) {{ nodes {{ {edge} }} }} }}");
            assert_eq!(reads(&published, &query).await, 2 + expected, "{query}");
            // What was read of a snapshot once is not read again.
            let shelf = Shelf::new(published.lake.clone(), published.dir.path().to_owned());
            let first = reads_of(&shelf, &query).await;
            assert_eq!(reads_of(&shelf, &query).await, first, "{query}");
        }
    }
    let block = |number: i64| format!("b{number}: block(number: {number}) {{ anchor {{ state }} }}");
    assert_eq!(
        reads(&published, &format!("{{ {} {} }}", block(5), block(6))).await,
        2 + 1,
        "two blocks, one of anchors"
    );
}

#[tokio::test]
async fn an_explanation_of_thousands_of_lines_takes_as_many_reads_as_one_of_two() {
    for lines in [2, 3_000] {
        let published = fixture::publish_wide(fixture::BUYER, lines).await;
        let last = lines - 1;
        let parts = [
            ("lineCount total { raw } rounding { raw } payments blocks { last }".to_owned(), 1),
            ("lines { role amount { raw } through }".to_owned(), 1),
            ("lines(first: 2) { role contribution amount { raw } }".to_owned(), 1),
            // Only what models got needs more than the lines, and for all of them once.
            ("line(at: 0) { role description depth paths { labels } }".to_owned(), 1),
            (format!("line(at: {last}) {{ description }}"), 2),
            ("lines { description depth paths { labels } otherPaths { raw } }".to_owned(), 2),
            ("blobs { level }".to_owned(), 2),
            // However many lines are traced, it is one division of the epoch.
            ("line(at: 0) { inferences { totalCount } batches { totalCount } }".to_owned(), 2),
            ("lines(first: 2) { inferences { totalCount } payments { totalCount } }".to_owned(), 2),
        ];
        for (part, expected) in parts {
            let query = format!(
                "{{ account(address: \"{}\") {{ explanation(epoch: 0, token: \"{}\") {{ {part} }} }} }}",
                fixture::BUYER,
                fixture::NATIVE
            );
            assert_eq!(reads(&published, &query).await, expected, "{lines} lines: {part}");
        }
    }
}
