//! A blob that turns up after it was declared missing.

use std::path::PathBuf;
use tributary_store::{DeclaredOutcome, Snapshot};

use super::*;
use crate::seal::Imported;

/// Blocks by which the chain grows between two runs: fewer than finality lags, so that the tail of the run before holds
/// every block that the next one publishes.
const STEP: u64 = 4;

async fn latest(dir: &Path) -> Snapshot {
    Lake::open(dir).await.unwrap().latest().await.unwrap().unwrap().as_ref().clone()
}

fn found(snapshot: &Snapshot) -> Option<DeclaredOutcome> {
    snapshot.heads.declared_outcomes.iter().find(|one| one.outcome == "found").cloned()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to: PathBuf = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Follows a growing chain in short runs until the blob was found; the tail before that run is in `backup`.
async fn until_found(devnet: &Devnet, dir: &Path, backup: &Path, last: u64) -> DeclaredOutcome {
    let mut head = 60;
    while head <= last {
        devnet.mine_to(head);
        drop(std::fs::remove_dir_all(backup));
        if dir.join("tail").try_exists().unwrap() {
            copy(&dir.join("tail"), backup);
        }
        index(devnet, dir, devnet.finalized()).await;
        if let Some(found) = found(&latest(dir).await) {
            return found;
        }
        head += STEP;
    }
    panic!("the blob did not turn up by block {last}");
}

/// As a node that is given the list of another.
async fn index_like(devnet: &Devnet, dir: &Path, until: u64, list: &Snapshot) -> Outcome {
    let imported = Some(Imported::of(list.clone()));
    Box::pin(index_with(IndexerConfig { imported, ..config(devnet, dir, Until::Final(until)) }, dir)).await
}

async fn sorted<T: tributary_schemas::Table + Send + std::fmt::Debug + 'static>(dir: &Path) -> Vec<String> {
    let mut rows: Vec<String> = read::<T>(dir).await.iter().map(|row| format!("{row:?}")).collect();
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_blob_is_a_fact_of_the_next_block_and_the_same_for_whoever_has_the_list() {
    let config = devnet_config(9, &[Fault::LateBlob]);
    let last = config.decided_at();
    let devnet = Devnet::start(config).await.unwrap();
    let (dir, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let late = until_found(&devnet, dir.path(), &backup.path().join("tail"), last).await;
    let sealed = latest(dir.path()).await;

    // A crash after that publication, before the tail knew of it: the same blocks are sealed again.
    std::fs::remove_dir_all(dir.path().join("tail")).unwrap();
    copy(&backup.path().join("tail"), &dir.path().join("tail"));
    devnet.mine_to(last);
    let last = devnet.finalized();
    let outcome = index(&devnet, dir.path(), last).await;
    let list = latest(dir.path()).await;
    assert_eq!(found(&list), Some(late.clone()));
    assert!(late.declared_at > late.block_number && late.declared_at <= sealed.heads.block_number);

    // Given the list, at once; and in pieces, with the tail taken away before and after the late fact.
    let other = tempfile::tempdir().unwrap();
    let same = index_like(&devnet, other.path(), last, &list).await;
    assert_eq!((same.sealed, same.log_root), (outcome.sealed, outcome.log_root));
    let pieces = tempfile::tempdir().unwrap();
    for until in [late.declared_at - 3, late.declared_at + 3, last] {
        drop(std::fs::remove_dir_all(pieces.path().join("tail")));
        let outcome = index_like(&devnet, pieces.path(), until, &list).await;
        assert!(outcome.progress.sealed >= Some(until), "{:?}", outcome.progress.waiting);
    }
    for dir in [other.path(), pieces.path()] {
        let theirs = latest(dir).await;
        assert_eq!(
            (theirs.heads.log_root, &theirs.heads.declared_outcomes),
            (list.heads.log_root, &list.heads.declared_outcomes)
        );
        assert_eq!(sorted::<BatchRow>(dir).await, sorted::<BatchRow>(pieces.path()).await);
        assert_eq!(sorted::<AttributionRow>(dir).await, sorted::<AttributionRow>(pieces.path()).await);
        assert_eq!(sorted::<EventRow>(dir).await, sorted::<EventRow>(pieces.path()).await);
    }

    // A node that cannot get the blob waits for it where the list has it.
    let never = Devnet::start(devnet_config(9, &[Fault::MissingBlob])).await.unwrap();
    never.mine_to(devnet.head().0);
    let poor = tempfile::tempdir().unwrap();
    let waits = index_like(&never, poor.path(), last, &list).await;
    assert_eq!(waits.sealed.map(|block| block.number), Some(late.declared_at - 1));
    assert!(waits.progress.waiting.iter().any(|line| line.contains("the imported list")), "{:?}", waits.progress);

    // By its own luck a node that starts now has it in time, which is another log.
    let lucky = tempfile::tempdir().unwrap();
    let in_time = index(&devnet, lucky.path(), last).await;
    assert_eq!(in_time.sealed, outcome.sealed);
    assert_ne!(in_time.log_root, outcome.log_root);
    the_rows_are_those_of_a_blob_in_time(dir.path(), lucky.path(), &late).await;
}

/// The batch's records are what they would have been, its row says when it was without them, and its event stands in
/// the block at which it was found.
async fn the_rows_are_those_of_a_blob_in_time(dir: &Path, in_time: &Path, late: &DeclaredOutcome) {
    let (reference, block) = (i64::try_from(late.block_number).unwrap(), i64::try_from(late.declared_at).unwrap());
    let mut states: Vec<BatchRow> = read::<BatchRow>(dir).await;
    states.retain(|row| row.reference_block == reference && row.reference_log == i64::from(late.log_index));
    states.sort_by_key(|row| row.valid_from_block);
    let words: Vec<_> =
        states.iter().map(|row| (row.state.as_str(), row.valid_from_block, row.valid_to_block)).collect();
    assert_eq!(words, [("unavailable", reference, Some(block)), ("resolved", block, None)]);
    let batch = &states[1];
    assert!(batch.accepted > Some(0));

    let of_batch = |rows: Vec<AttributionRow>| {
        let mut rows: Vec<_> = rows.into_iter().filter(|row| row.batch_sk == batch.batch_sk).collect();
        rows.sort_by_key(|row| (row.inference, row.target_kind, row.target_sk, row.row));
        rows
    };
    let (ours, theirs) = (of_batch(read(dir).await), of_batch(read(in_time).await));
    assert!(!ours.is_empty());
    assert_eq!(ours, theirs);
    assert!(ours.iter().all(|row| row.epoch == batch.epoch));

    let events = read::<EventRow>(dir).await;
    let decoded: Vec<_> =
        events.iter().filter(|row| row.kind == "BatchDecoded" && row.payload.contains(&batch.batch_id)).collect();
    assert_eq!(decoded.len(), 1);
    assert_eq!((decoded[0].block_number, decoded[0].log_index), (block, i64::from(u32::MAX)));
    let mut blobs: Vec<BlobRow> = read::<BlobRow>(dir).await;
    blobs.retain(|row| row.owner_id == batch.batch_id);
    blobs.sort_by_key(|row| row.found_block);
    let statuses: Vec<_> = blobs.iter().map(|row| (row.status.as_str(), row.found_block)).collect();
    assert_eq!(statuses, [("missing", None), ("verified", Some(block))]);
    assert_eq!(blobs[1].payload_hash, Some(batch.payload_hash.clone()));
    assert_eq!(blobs[1].reference, late.reference);
    assert_eq!(read_status(dir).unwrap().unwrap().counters["blobs_sought"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_another_mapping_is_refused() {
    let (devnet, last) = start(devnet_config(9, &[])).await;
    let dir = tempfile::tempdir().unwrap();
    index(&devnet, dir.path(), last).await;
    let mut list = latest(dir.path()).await;
    list.heads.mapping_set_hash.0[0] ^= 1;
    let other = tempfile::tempdir().unwrap();
    let imported = Some(Imported::of(list));
    let config = IndexerConfig { imported, ..config(&devnet, other.path(), Until::Final(last)) };
    let refused = try_index(config, other.path()).await.unwrap_err();
    assert!(refused.to_string().contains("the list of declared outcomes"), "{refused}");
}
