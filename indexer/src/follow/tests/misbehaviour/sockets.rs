//! What goes wrong over a WebSocket, and with announcements of heads.

use axum::extract::ws::{CloseFrame, Message};
use serde_json::json;
use std::time::Duration;
use tributary_devnet::{Devnet, DevnetConfig, L2_CHAIN_ID};

use super::{
    super::{Until, follower_of, options},
    End::{Follows, Stops, Waits},
    Kind, Ledger,
    Stand::{Last, Out, Up},
    kind,
    node::{Deed, Node},
    silent,
};
use crate::{Chain as _, endpoint::EndpointOptions, follow::FollowOptions};

const BLOCKS: &str = "eth_getBlockByNumber";

pub(super) fn sockets() -> Vec<Kind> {
    let ws = |make| Deed::Socket(BLOCKS, make);
    let unanswered =
        |name, make| silent(name, Deed::Socket(BLOCKS, make), Follows, Waits("did not answer"), (Follows, Last("")));
    vec![
        unanswered("closes the socket when asked", |_| vec![Message::Close(None)]),
        unanswered("closes the socket and says why", |_| {
            vec![Message::Close(Some(CloseFrame { code: 1008, reason: "too many requests".into() }))]
        }),
        unanswered("a message that is no JSON", |_| vec![text("nonsense")]),
        unanswered("a binary message", |answer| vec![Message::Binary(answer.as_bytes().to_vec().into())]),
        unanswered("a message above the bound", |_| vec![text(&" ".repeat(3 << 20))]),
        unanswered("an answer with another id", |answer| vec![text(&answer.replacen("\"id\":", "\"id\":77", 1))]),
        unanswered("no answer to anything asked", |_| Vec::new()),
        kind(
            "10,000 notifications before each answer",
            ws(|answer| (0..10_000).map(|_| notification("0x99")).chain([text(answer)]).collect()),
            Follows,
            Follows,
            (Follows, Up),
        ),
        kind("every answer twice", ws(|answer| vec![text(answer), text(answer)]), Follows, Follows, (Follows, Up)),
        kind(
            "another chain id over a socket",
            Deed::Socket("eth_chainId", |answer| vec![text(&answer.replacen("0x3ef9", "0x7", 1))]),
            Stops("chain id expected"),
            Stops("chain id expected"),
            (Follows, Out("chain id expected")),
        ),
    ]
}

/// What a node does about announcements of heads. None keeps the chain from being followed: heads are looked for too.
pub(super) fn announcements() -> Vec<(&'static str, Deed)> {
    let when_asked = |name, make| (name, Deed::Socket("eth_subscribe", make));
    vec![
        when_asked("a subscription that never announces", |answer| vec![text(answer)]),
        when_asked("an error for the subscription", |answer| {
            vec![text(&answer.replace(r#""result":"0x5""#, r#""error":{"code":-32601,"message":"no"}"#))]
        }),
        when_asked("a subscription without a name", |answer| vec![text(&answer.replace(r#""0x5""#, "null"))]),
        when_asked("announcements for another subscription", |answer| {
            vec![text(answer), notification("0x99"), notification("0x98")]
        }),
        when_asked("announcements without a header", |answer| {
            vec![text(answer), notification("0x5"), notification("0x5")]
        }),
        when_asked("10,000 announcements at once", |answer| {
            [text(answer)].into_iter().chain((0..10_000).map(|_| notification("0x5"))).collect()
        }),
        when_asked("closes the socket after the subscription", |answer| vec![text(answer), Message::Close(None)]),
        when_asked("no JSON after the subscription", |answer| vec![text(answer), text("nonsense")]),
    ]
}

fn text(text: &str) -> Message {
    Message::Text(text.to_owned().into())
}

/// An announcement of nothing.
fn notification(subscription: &str) -> Message {
    let params = json!({"subscription": subscription, "result": {}});
    text(&json!({"jsonrpc": "2.0", "method": "eth_subscription", "params": params}).to_string())
}

#[tokio::test]
async fn no_announcement_keeps_the_chain_from_being_followed() {
    for (name, deed) in announcements() {
        let network =
            Devnet::start(DevnetConfig { seed: 3, finalized_lag: 4, ..DevnetConfig::default() }).await.unwrap();
        network.mine_to(5);
        let node = Node::start(2, deed, &network.l2_http(), u32::MAX).await;
        let mut ledger = Ledger::default();
        let until = FollowOptions { until: Until::Final(20), ..options() };
        let endpoint = EndpointOptions { deadline: Duration::from_millis(250), ..EndpointOptions::default() };
        let (mut follower, _) = follower_of(L2_CHAIN_ID, &[&node.url], &ledger, until, endpoint);
        let seen = ledger.clone();
        let mine = async {
            for number in (5..30).step_by(5) {
                while seen.head().unwrap().is_none_or(|head| head.number < number) {
                    tokio::task::yield_now().await;
                }
                network.mine_to(number + 5);
            }
            std::future::pending::<()>().await;
        };
        let followed = tokio::select! {
            followed = follower.run(&mut ledger) => followed,
            () = mine => unreachable!("it never ends"),
        };
        followed.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(ledger.finalized().unwrap().number >= 20, "{name}");
    }
}
