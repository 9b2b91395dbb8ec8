use std::sync::Arc;

use alloy_primitives::B256;
use async_graphql::ValidationMode;
use futures::StreamExt as _;
use serde_json::{Value, json};
use tributary_store::{BlockRef, FeedOptions, Tail, TailBlock, TailOptions};

use super::{Live, Spoken};
use crate::fixture::{self, ANN, Published};
use crate::pinned::Shelf;
use crate::serve::ApiConfig;
use crate::{graphql, schema};

fn live(published: &Published) -> Arc<Live> {
    let shelf = Shelf::new(published.lake.clone(), published.dir.path().to_owned());
    Arc::new(Live::new(Arc::new(shelf), Arc::new(ApiConfig::default().tokens), 4))
}

/// The first answers to a subscription; each must come without anything new happening.
async fn first(live: &Arc<Live>, query: &str, answers: usize) -> Vec<Value> {
    let request = async_graphql::Request::new(query).data(Arc::clone(live)).data(Arc::new(Spoken::default()));
    let stream = schema::build(ValidationMode::Strict).execute_stream(request).take(answers);
    let finished = stream.map(|mut response| {
        graphql::finish(&mut response, "r1", true);
        serde_json::to_value(&response).unwrap()
    });
    finished.collect().await
}

fn blocks(numbers: std::ops::Range<u64>) -> Vec<TailBlock> {
    let hash = |number: u64| B256::left_padding_from(&(number + 1).to_be_bytes());
    let block = |number: u64| BlockRef {
        number,
        hash: hash(number),
        parent_hash: number.checked_sub(1).map_or(B256::ZERO, hash),
        timestamp: 2 * number,
    };
    numbers.map(|number| TailBlock { block: block(number), body: vec![], writes: vec![] }).collect()
}

#[tokio::test]
async fn whoever_is_too_late_is_told_where_to_go_on() {
    let published = fixture::publish().await;
    let options = TailOptions { feed: Some(FeedOptions { records: 4, files: 2 }), ..TailOptions::default() };
    let tail = Tail::open(published.dir.path(), options).unwrap();
    tail.append(blocks(0..11)).unwrap();
    let live = live(&published);
    let late = first(&live, "subscription { blocks(after: 2) { sequence } }", 2).await;
    assert_eq!(late.len(), 1, "it ends: {late:?}");
    assert_eq!(late[0]["errors"][0]["extensions"]["code"], json!("EVENTS_GONE"));
    assert!(late[0]["errors"][0]["message"].as_str().unwrap().contains("after >= 4"), "{late:?}");
    let query =
        "subscription { blocks(after: 9) { sequence ... on BlockAdded { number } ... on Retracted { from to } } }";
    let event = |sequence: i64, number: i64| json!({ "blocks": { "sequence": sequence, "number": number } });
    let found = first(&live, query, 2).await;
    assert_eq!(found.iter().map(|one| one["data"].clone()).collect::<Vec<_>>(), [event(10, 9), event(11, 10)]);
    let future = first(&live, "subscription { blocks(after: 12) { sequence } }", 1).await;
    assert_eq!(future[0]["errors"][0]["extensions"]["code"], json!("BAD_USER_INPUT"));
}

#[tokio::test]
async fn a_watcher_wakes_up_when_something_happens() {
    let published = fixture::publish().await;
    let tail = Tail::open(published.dir.path(), TailOptions::default()).unwrap();
    tail.append(blocks(0..3)).unwrap();
    let live = live(&published);
    let watching = first(&live, "subscription { blocks { sequence __typename } }", 2);
    let happen = async {
        // Subscribed before anything new happens: without `after`, the past is not told.
        while live.pulse.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        while *live.pulse.borrow() == super::Pulse::default() {
            tokio::task::yield_now().await;
        }
        tail.unwind(1).unwrap();
        tail.append(blocks(2..3)).unwrap();
    };
    let found = tokio::select! {
        (found, ()) = async { tokio::join!(watching, happen) } => found,
        () = live.beat() => Vec::new(),
    };
    assert_eq!(
        found.iter().map(|one| one["data"]["blocks"].clone()).collect::<Vec<_>>(),
        [json!({ "sequence": 4, "__typename": "Retracted" }), json!({ "sequence": 5, "__typename": "BlockAdded" })]
    );
}

#[tokio::test]
async fn settled_epochs_and_earnings_are_told_with_what_they_were_read_from() {
    let published = fixture::publish().await;
    let live = live(&published);
    let epochs = first(&live, "subscription { epochSettled(after: 0) { sequence epoch { number } } }", 2).await;
    let event =
        |sequence: i64, number: i64| json!({ "epochSettled": { "sequence": sequence, "epoch": { "number": number } } });
    assert_eq!(epochs.iter().map(|one| one["data"].clone()).collect::<Vec<_>>(), [event(1, 0), event(2, 1)]);
    let query = format!(
        "subscription {{ earningsChanged(account: \"{ANN}\", after: 0) {{ sequence epoch changes {{ earned {{ raw }} cumulative {{ raw }} }} }} }}"
    );
    let earned = first(&live, &query, 2).await;
    let event = |sequence: i64, epoch: i64, earned: &str, cumulative: &str| {
        json!({ "sequence": sequence, "epoch": epoch,
            "changes": [{ "earned": { "raw": earned }, "cumulative": { "raw": cumulative } }] })
    };
    assert_eq!(
        earned.iter().map(|one| one["data"]["earningsChanged"].clone()).collect::<Vec<_>>(),
        [event(1, 0, "100", "100"), event(2, 1, "11", "111")]
    );
}
