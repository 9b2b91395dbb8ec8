//! Batches that are posted in EIP-4844 blobs, from the devnet's L1 and its beacon node to the table.

use std::collections::{BTreeMap, BTreeSet};
use tributary_devnet::{Devnet, DevnetConfig, Fault, TruthPosting};
use tributary_schemas::column::hex_text;
use tributary_schemas::facts::AnchorRow;
use tributary_store::read_status;

use super::{devnet_config, index_with_l1, read, start};

fn in_blobs(seed: u64, faults: &[Fault]) -> DevnetConfig {
    DevnetConfig { blobs_percent: 50, ..devnet_config(seed, faults) }
}

async fn rows_of(dir: &std::path::Path) -> BTreeMap<u64, Vec<AnchorRow>> {
    let mut rows: BTreeMap<u64, Vec<AnchorRow>> = BTreeMap::new();
    for row in read::<AnchorRow>(dir).await {
        rows.entry(u64::try_from(row.l2_block).unwrap()).or_default().push(row);
    }
    rows.values_mut().for_each(|rows| rows.sort_by_key(|row| row.part));
    rows
}

/// Whether a row names a posting as it was made.
fn is_of(row: &AnchorRow, posting: &TruthPosting) -> bool {
    let frames = row.frame_first.zip(row.frame_last);
    let frames = frames.and_then(|(first, last)| Some((u16::try_from(first).ok()?, u16::try_from(last).ok()?)));
    row.l1_tx == Some(hex_text(posting.transaction))
        && row.l1_block == i64::try_from(posting.l1_block).ok()
        && row.versioned_hash == posting.blob.map(|blob| hex_text(blob.versioned_hash))
        && row.blob_index == posting.blob.map(|blob| i64::from(blob.index))
        && row.commitment_hash == posting.commitment.map(hex_text)
        && frames.is_some_and(|(first, last)| posting.frames.contains(&first) && posting.frames.contains(&last))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_in_blobs_are_anchored_to_their_blobs() {
    let (devnet, last) = start(in_blobs(21, &[])).await;
    let dir = tempfile::tempdir().unwrap();
    let plain = index_with_l1(&devnet, dir.path(), last, false).await;
    let (truth, rows) = (devnet.truth(), rows_of(dir.path()).await);
    let l1_final = read_status(dir.path()).unwrap().unwrap().anchored.unwrap().l1_finalized.unwrap();
    let (mut blobs, mut indices) = (BTreeSet::new(), BTreeSet::new());
    for number in 1..=last {
        let posted = truth.posted(number);
        if posted.last().is_none_or(|last| last.l1_block > l1_final) {
            continue;
        }
        for row in &rows[&number] {
            assert_eq!(row.state, "anchored", "{number}");
            assert!(posted.iter().any(|posting| is_of(row, posting)), "{row:?} {posted:?}");
            assert_eq!(row.form.as_deref() == Some("blob"), row.versioned_hash.is_some());
            if let (Some(hash), Some(index)) = (&row.versioned_hash, row.blob_index) {
                assert_eq!(row.data_level.as_deref(), Some("content"));
                blobs.insert(hash.clone());
                indices.insert(index);
            }
        }
    }
    assert!(blobs.len() > 8 && indices.len() > 1, "{} {indices:?}", blobs.len());
    let status = read_status(dir.path()).unwrap().unwrap();
    let beacon = devnet.beacon_url();
    assert!(status.endpoints.iter().any(|one| one.name == beacon && one.state == "healthy"), "{:?}", status.endpoints);

    // What the network does to answers changes nothing.
    let faults = [Fault::CorruptSidecar, Fault::Slow, Fault::TooManyRequests, Fault::Drop, Fault::TruncatedJson];
    let (devnet, _) = start(in_blobs(21, &faults)).await;
    let dir = tempfile::tempdir().unwrap();
    let through = index_with_l1(&devnet, dir.path(), last, false).await;
    assert_eq!((through.sealed, through.log_root), (plain.sealed, plain.log_root));
    assert_eq!(rows_of(dir.path()).await, rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_that_nobody_has_leaves_what_it_carries_unknown_and_damaged_ones_are_refused() {
    let config = in_blobs(22, &[Fault::MissingSidecar, Fault::CorruptSidecar]);
    let last = config.decided_at();
    let devnet = Devnet::start(config).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    // As soon as its L1 block is final it is waited for, and the status says for which and why.
    let l1_final = |head: u64| std::cmp::min(head.saturating_sub(8) / 6 + 5, head / 6 + 2);
    let is_final = |posting: &TruthPosting| posting.blob.is_some() && posting.l1_block <= l1_final(devnet.head().0);
    while !devnet.truth().postings.iter().any(is_final) {
        devnet.advance(1);
    }
    index_with_l1(&devnet, dir.path(), devnet.finalized(), false).await;
    let status = read_status(dir.path()).unwrap().unwrap().anchored.unwrap();
    let truth = devnet.truth();
    let lost = truth.postings.iter().find(|posting| posting.blob.is_some()).unwrap();
    let reason = status.reason.unwrap_or_default();
    assert_eq!(status.state, "waiting");
    assert!(reason.contains(&lost.transaction.to_string()) && reason.contains("does not have it"), "{reason}");
    devnet.mine_to(last);
    let (last, truth) = (devnet.finalized(), devnet.truth());
    // Nothing of its transaction is read, as nothing after a blob that is missing would be derived.
    let of_lost = |posting: &TruthPosting| posting.transaction == lost.transaction;
    index_with_l1(&devnet, dir.path(), last, false).await;
    let rows = rows_of(dir.path()).await;
    let l1_final = read_status(dir.path()).unwrap().unwrap().anchored.unwrap().l1_finalized.unwrap();
    let mut unknown = 0;
    for number in 1..=last {
        let posted = truth.posted(number);
        if posted.last().is_none_or(|last| last.l1_block + 8 > l1_final) {
            continue;
        }
        let states: BTreeSet<&str> = rows[&number].iter().map(|row| row.state.as_str()).collect();
        // A batch may lie in the frames of a channel before the one that is lost: then it is read all the same.
        if states != BTreeSet::from(["anchored"]) {
            assert_eq!(states, BTreeSet::from(["unknown"]), "{number}");
            assert!(posted.iter().any(|posting| of_lost(posting)), "{number}");
            unknown += 1;
        }
    }
    assert!(unknown > 0);
}
