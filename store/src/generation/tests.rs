//! Which generation is current, whatever happens in between.

use alloy_primitives::B256;
use serde_json::json;
use std::collections::BTreeSet;

use super::*;
use crate::tail::TailOptions;
use crate::{Change, Heads, Lake};

const A: B256 = B256::repeat_byte(0xaa);
const B: B256 = B256::repeat_byte(0xbb);

fn hashes(generations: &Generations) -> Vec<(B256, bool)> {
    generations.list().unwrap().into_iter().map(|one| (one.mapping_set_hash, one.current)).collect()
}

#[test]
fn the_first_lies_in_the_data_folder_and_answers_until_the_switch() {
    let dir = tempfile::tempdir().unwrap();
    let generations = Generations::new(dir.path());
    assert_eq!(generations.current().unwrap(), Current { folder: dir.path().to_path_buf(), switches: 0 });
    assert_eq!(hashes(&generations), []);
    let first = generations.begin(A, &json!({ "files": ["a"] })).unwrap();
    assert_eq!((first.folder.as_path(), first.current), (dir.path(), true));
    let second = generations.begin(B, &json!({ "files": ["b"] })).unwrap();
    assert_eq!((second.folder.starts_with(dir.path().join("generations")), second.current), (true, false));
    // Beginning it once more is going on with it.
    assert_eq!(generations.begin(B, &json!({ "files": ["b"] })).unwrap(), second);
    assert_eq!(Generations::recorded(&second.folder).unwrap(), Some(json!({ "files": ["b"] })));
    assert_eq!(hashes(&generations), [(A, true), (B, false)]);
    generations.switch(B).unwrap();
    assert_eq!(generations.current().unwrap(), Current { folder: second.folder, switches: 1 });
    generations.switch(B).unwrap();
    assert_eq!(generations.current().unwrap().switches, 1);
    generations.switch(A).unwrap();
    assert_eq!(generations.current().unwrap(), Current { folder: dir.path().to_path_buf(), switches: 2 });
}

#[test]
fn what_is_not_there_is_named_with_what_is() {
    let dir = tempfile::tempdir().unwrap();
    let generations = Generations::new(dir.path());
    generations.begin(A, &json!(null)).unwrap();
    for failed in [generations.switch(B), generations.drop(B)] {
        let said = failed.unwrap_err().to_string();
        assert!(said.contains(&B.to_string()) && said.contains(&A.to_string()), "{said}");
    }
    assert_eq!(hashes(&generations), [(A, true)]);
}

#[test]
fn only_one_that_nobody_uses_is_dropped_and_what_all_share_stays() {
    let dir = tempfile::tempdir().unwrap();
    let generations = Generations::new(dir.path());
    generations.begin(A, &json!(null)).unwrap();
    let tail = Tail::open(dir.path(), TailOptions::default()).unwrap();
    fs::create_dir_all(dir.path().join("blobs")).unwrap();
    fs::create_dir_all(dir.path().join("tables/blocks")).unwrap();
    assert!(matches!(generations.drop(A), Err(StoreError::GenerationInUse { .. })), "it is current");
    generations.begin(B, &json!(null)).unwrap();
    generations.switch(B).unwrap();
    assert!(matches!(generations.drop(A), Err(StoreError::GenerationInUse { .. })), "somebody follows it");
    drop(tail);
    generations.drop(A).unwrap();
    assert_eq!(hashes(&generations), [(B, true)]);
    let left: BTreeSet<String> = durable::names(dir.path()).unwrap().into_iter().collect();
    assert_eq!(left, ["blobs", "feed", "generation.json", "generations"].map(str::to_owned).into());
    // Its set, used again, begins beside the current one: the data folder itself stays free.
    let again = generations.begin(A, &json!(null)).unwrap();
    assert_ne!(again.folder, dir.path());
    generations.drop(A).unwrap();
    assert_eq!(durable::names(&dir.path().join("generations")).unwrap(), [B.to_string()]);
}

#[test]
fn a_drop_that_was_ended_is_finished_by_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let generations = Generations::new(dir.path());
    generations.begin(A, &json!(null)).unwrap();
    generations.begin(B, &json!(null)).unwrap();
    generations.switch(B).unwrap();
    fs::create_dir_all(dir.path().join("tables")).unwrap();
    // As a kill leaves it: no generation any more, and its tables are there still.
    let away = dir.path().join("generations").join(format!("{DROPPED}{A}"));
    fs::create_dir_all(&away).unwrap();
    fs::rename(dir.path().join(MAPPING), away.join(MAPPING)).unwrap();
    assert_eq!(hashes(&generations), [(B, true)]);
    generations.begin(B, &json!(null)).unwrap();
    assert_eq!(durable::names(dir.path()).unwrap(), ["generation.json", "generations"]);
    assert_eq!(durable::names(&dir.path().join("generations")).unwrap(), [B.to_string()]);
}

#[tokio::test]
async fn a_folder_that_recorded_no_set_is_known_by_what_it_published() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path()).await.unwrap();
    let heads = Heads { mapping_set_hash: A, ..Heads::default() };
    lake.publish(None, heads, Change::default()).await.unwrap();
    let generations = Generations::new(dir.path());
    assert_eq!(hashes(&generations), [(A, true)]);
    assert_eq!(Generations::recorded(dir.path()).unwrap(), None);
    assert_ne!(generations.begin(B, &json!(null)).unwrap().folder, dir.path());
    assert_eq!(generations.begin(A, &json!(null)).unwrap().folder, dir.path());
}
