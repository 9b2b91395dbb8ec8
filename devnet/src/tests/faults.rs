use super::{ask, client, start, with_faults};
use crate::Fault;

#[tokio::test]
async fn a_fork_is_shown_and_ends_when_it_was_read() {
    let net = start(with_faults(&[])).await;
    net.advance(100);
    let (_, hash) = net.head();
    let client = client(&net.l2_http());
    assert!(net.fork(65, 0).is_err(), "block 36 is final");
    net.fork(40, 3).unwrap();
    let tip = ask(&client, "eth_getBlockByNumber", serde_json::json!(["latest", false])).await;
    assert_eq!(tip["number"], "0x61");
    ask(&client, "eth_getBlockReceipts", serde_json::json!([tip["hash"]])).await;
    assert!(!net.forked());
    let after = ask(&client, "eth_getBlockByNumber", serde_json::json!(["latest", false])).await;
    assert_eq!(after["hash"], serde_json::json!(hash));
    // The fork's blocks are still known by their hash.
    let old = ask(&client, "eth_getBlockByHash", serde_json::json!([tip["hash"], false])).await;
    assert_eq!(old, tip);
}

#[tokio::test]
async fn faults_never_change_the_canonical_chain() {
    let clean = start(with_faults(&[])).await;
    let spoiled = start(with_faults(Fault::ALL)).await;
    clean.mine_to(300);
    for number in (0..=300).step_by(5) {
        spoiled.mine_to(number);
    }
    assert_eq!(clean.truth(), spoiled.truth());
    assert!(spoiled.forks_shown() > 5, "{}", spoiled.forks_shown());
}
