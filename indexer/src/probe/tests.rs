use super::*;
use crate::clock::ManualClock;
use std::{net::Ipv4Addr, sync::Arc};
use tokio::net::TcpListener;
use tributary_devnet::{Devnet, DevnetConfig};
use url::Url;

fn options() -> EndpointOptions {
    EndpointOptions { deadline: Duration::from_millis(300), ..patience() }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::at(0))
}

/// An address that takes connections and never says anything.
async fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address.to_string())
}

#[tokio::test]
async fn a_node_that_hangs_is_cut_off_and_hides_no_other() {
    let devnet = Devnet::start(DevnetConfig::default()).await.unwrap();
    devnet.mine_to(20);
    let (_listener, hangs) = silent().await;
    let texts = [format!("http://{hangs}"), format!("ws://{hangs}"), "ftp://127.0.0.1".to_owned(), devnet.l2_ws()];
    let urls: Vec<Url> = texts.iter().map(|text| text.parse().unwrap()).collect();
    let seen = nodes("chain.l2_urls", &urls, tributary_devnet::L2_CHAIN_ID, &options(), &clock()).await;
    let outcomes: Vec<_> = seen.findings.iter().map(|finding| finding.outcome).collect();
    let (ok, failed) = (Outcome::Ok, Outcome::Failed);
    assert_eq!(outcomes, [failed, failed, failed, ok, ok, ok, ok], "{:#?}", seen.findings);
    for hung in &seen.findings[..2] {
        assert!(hung.seen.contains("no answer within"), "{hung:?}");
        assert!(hung.mend.contains("chain.l2_urls"), "{hung:?}");
    }
    assert!(seen.findings[2].seen.contains("ftp"), "{:?}", seen.findings[2]);
    assert!(seen.findings[6].seen.contains("by eth_getBlockReceipts"), "{:?}", seen.findings[6]);
}

#[tokio::test]
async fn a_proxy_is_judged_by_what_it_says_and_by_whether_it_says_anything() {
    let devnet = Devnet::start(DevnetConfig::default()).await.unwrap();
    let (_listener, hangs) = silent().await;
    let archive = format!("{}/no-such-page", devnet.proxy_url());
    let urls: Vec<Url> =
        [format!("http://{hangs}"), devnet.proxy_url(), archive].iter().map(|url| url.parse().unwrap()).collect();
    let seen = proxies("eigenda.proxy_urls", &urls, &options(), &clock()).await;
    let outcomes: Vec<_> = seen.iter().map(|finding| finding.outcome).collect();
    assert_eq!(outcomes, [Outcome::Failed, Outcome::Skipped, Outcome::Ok, Outcome::Ok, Outcome::Skipped], "{seen:#?}");
    assert!(seen[0].seen.contains("no answer within 300 ms"), "{:?}", seen[0]);
    assert!(seen[3].seen.contains("op-keccak"), "{:?}", seen[3]);
    let other = br#"{"version":"2.4.0","apis_enabled":["admin"]}"#;
    let judged = proxy::judge("config".to_owned(), other);
    assert_eq!(judged.outcome, Outcome::Failed);
    assert!(judged.mend.contains("op-generic"), "{judged:?}");
}

#[tokio::test]
async fn a_beacon_node_is_judged_by_its_slots_and_by_whether_it_gives_blobs() {
    let devnet = Devnet::start(DevnetConfig { blobs_percent: 100, ..DevnetConfig::default() }).await.unwrap();
    devnet.mine_to(90);
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(1_760_000_000_000));
    let l1 = [devnet.l1_http().parse().unwrap()];
    let l1 = nodes("chain.l1_urls", &l1, tributary_devnet::L1_CHAIN_ID, &options(), &clock).await;
    let (_listener, hangs) = silent().await;
    let urls: Vec<Url> =
        [format!("http://{hangs}"), devnet.proxy_url(), devnet.beacon_url()].map(|url| url.parse().unwrap()).into();
    let seen = beacons("chain.l1_beacon_urls", &urls, Some(&l1), &options(), &clock).await;
    let outcomes: Vec<_> = seen.iter().map(|finding| finding.outcome).collect();
    let (ok, failed, skipped) = (Outcome::Ok, Outcome::Failed, Outcome::Skipped);
    assert_eq!(outcomes, [failed, skipped, failed, skipped, ok, ok], "{seen:#?}");
    assert!(seen[0].seen.contains("no answer within 300 ms") && seen[0].mend.contains("l1_beacon_urls"), "{seen:#?}");
    assert!(seen[2].seen.contains("status 404"), "{seen:#?}");
    assert!(seen[4].seen.contains("slots of 12000 ms: L1 block"), "{seen:#?}");
    // Without an L1 there is nothing to compare with, and no slot to ask for.
    let alone = beacons("chain.l1_beacon_urls", &urls[2..], None, &options(), &clock).await;
    assert_eq!(alone.iter().map(|finding| finding.outcome).collect::<Vec<_>>(), [ok, skipped], "{alone:#?}");

    let block = tributary_schemas::BlockRef { number: 7, timestamp: 1_700_000_007, ..Default::default() };
    let judged = |genesis_time, block| {
        let slots = crate::beacon::Slots { genesis_time, slot_ms: 12_000 };
        beacon::judge("genesis".to_owned(), "key", slots, block, 1_760_000_000).outcome
    };
    assert_eq!(judged(1_700_000_007 - 24, Some(block)), ok);
    assert_eq!(judged(1_700_000_007 - 23, Some(block)), failed);
    assert_eq!(judged(1_700_000_019, Some(block)), failed);
    assert_eq!((judged(0, None), judged(1_760_000_001, None), judged(1, None)), (failed, failed, ok));
}
