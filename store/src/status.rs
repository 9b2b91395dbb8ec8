//! What the follower tells the other processes about itself: one small file, replaced as a whole.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

use crate::durable;
use crate::error::StoreError;
use crate::tail::BlockRef;

const FILE: &str = "status.json";
const SETTLING: &str = "settling.json";

/// Where the follower stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The L2's chain id.
    pub chain_id: u64,
    /// Newest block of the node.
    pub head: Option<BlockRef>,
    /// The node's safe block.
    pub safe: Option<BlockRef>,
    /// The node's finalised block.
    pub finalized: Option<BlockRef>,
    /// Last block in the tail.
    pub indexed: Option<BlockRef>,
    /// Last sealed block.
    pub sealed: Option<BlockRef>,
    /// Log root at the sealed block.
    pub log_root: Option<B256>,
    /// Last settled epoch.
    pub settled_epoch: Option<i64>,
    /// Blocks between the node's head and the tail's.
    pub lag_blocks: u64,
    /// Why sealing or an epoch waits, by name.
    pub waiting: Vec<String>,
    /// The endpoints and how each behaves.
    pub endpoints: Vec<EndpointStatus>,
    /// Counters by name.
    pub counters: BTreeMap<String, u64>,
    /// Which L2 blocks lie on L1; none where no L1 is followed.
    pub anchored: Option<AnchorStatus>,
}

/// Which L2 blocks lie on L1, as far as that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AnchorStatus {
    /// following, waiting or stopped.
    pub state: String,
    /// Why it waits or has stopped.
    pub reason: Option<String>,
    /// The newest L2 block that an L1 posting carries, final or not.
    pub head: Option<u64>,
    /// The newest L2 block that an L1-final posting carries.
    pub finalized: Option<u64>,
    /// L2 blocks whose L1 origin is final and that nothing L1-final carries so far.
    pub open: u64,
    /// L2 blocks that nothing carries: their sequencing window passed.
    pub not_anchored: u64,
    /// L2 blocks likewise, but something in their window could not be read.
    pub unknown: u64,
    /// Newest block of L1.
    pub l1_head: Option<u64>,
    /// Newest final block of L1.
    pub l1_finalized: Option<u64>,
    /// The final L1 block up to which postings were read.
    pub l1_read: Option<u64>,
}

/// How an endpoint behaves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointStatus {
    /// Its name in the configuration.
    pub name: String,
    /// healthy, slow, down or quarantined.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
}

/// How far the settlement of an epoch is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settling {
    /// The epoch: the one after the last settled one.
    pub epoch: i64,
    /// Records that were divided.
    pub records_done: u64,
    /// Records that are to be divided; zero while that is not known.
    pub records_total: u64,
    /// Records a second.
    pub per_second: u64,
    /// Seconds until all records are divided, at that rate; none while nothing was.
    pub eta_seconds: Option<u64>,
}

/// Says how far a settlement is; `None` once it ended.
pub fn write_settling(dir: &Path, settling: Option<Settling>) -> Result<(), StoreError> {
    let path = dir.join(SETTLING);
    match settling {
        Some(settling) => durable::replace(&path, durable::canonical_json(&settling, &path)?.as_bytes()),
        None => durable::remove(&path),
    }
}

/// How far the settlement is that is under way in a data folder, or was when its process ended.
pub fn read_settling(dir: &Path) -> Result<Option<Settling>, StoreError> {
    let path = dir.join(SETTLING);
    durable::read(&path)?.map(|bytes| serde_json::from_slice(&bytes).map_err(durable::json(&path))).transpose()
}

/// Replaces the status of a data folder in one step.
pub fn write_status(dir: &Path, status: &Status) -> Result<(), StoreError> {
    let path = dir.join(FILE);
    durable::replace(&path, durable::canonical_json(status, &path)?.as_bytes())
}

/// The status of a data folder, if a follower ever wrote one.
pub fn read_status(dir: &Path) -> Result<Option<Status>, StoreError> {
    let path = dir.join(FILE);
    durable::read(&path)?.map(|bytes| serde_json::from_slice(&bytes).map_err(durable::json(&path))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settlement_says_how_far_it_is_until_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read_settling(dir.path()).unwrap(), None);
        let settling = Settling { epoch: 3, records_done: 5, records_total: 20, per_second: 5, eta_seconds: Some(3) };
        write_settling(dir.path(), Some(settling)).unwrap();
        assert_eq!(read_settling(dir.path()).unwrap(), Some(settling));
        write_settling(dir.path(), None).unwrap();
        write_settling(dir.path(), None).unwrap();
        assert_eq!(read_settling(dir.path()).unwrap(), None);
    }

    #[test]
    fn a_status_comes_back_whole() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read_status(dir.path()).unwrap(), None);
        let block =
            BlockRef { number: 7, hash: B256::repeat_byte(7), parent_hash: B256::repeat_byte(6), timestamp: 70 };
        let status = Status {
            head: Some(block),
            waiting: vec!["epoch 3 waits for a blob".to_owned()],
            endpoints: vec![EndpointStatus { name: "l2".to_owned(), state: "healthy".to_owned(), reason: None }],
            counters: BTreeMap::from([("blocks".to_owned(), 8)]),
            anchored: Some(AnchorStatus { state: "following".to_owned(), head: Some(6), ..AnchorStatus::default() }),
            ..Status::default()
        };
        write_status(dir.path(), &status).unwrap();
        write_status(dir.path(), &status).unwrap();
        assert_eq!(read_status(dir.path()).unwrap(), Some(status));
    }
}
