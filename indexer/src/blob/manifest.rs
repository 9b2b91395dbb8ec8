//! The manifest of a dataset version: contribution ids of 32 bytes each, added then removed, each ascending.

use alloy_primitives::B256;
use tributary_schemas::code::Reason;

use super::Unreadable;

/// What a version adds and removes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Contributions added, ascending.
    pub added: Vec<B256>,
    /// Contributions removed, ascending.
    pub removed: Vec<B256>,
}

/// Reads a manifest whose counts are on chain.
pub fn read_manifest(bytes: &[u8], added: u32, removed: u32) -> Result<Manifest, Unreadable> {
    let malformed = |detail: String| Unreadable { code: Reason::BlobMalformed, detail };
    let expected = (u64::from(added) + u64::from(removed)) * 32;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) != expected {
        return Err(malformed(format!(
            "{} bytes: expected {expected} for {added} added and {removed} removed",
            bytes.len()
        )));
    }
    let (ids, _) = bytes.as_chunks::<32>();
    let split = std::cmp::min(usize::try_from(added).unwrap_or(usize::MAX), ids.len());
    let (added, removed) = ids.split_at(split);
    for part in [added, removed] {
        if !part.is_sorted_by(|a, b| a < b) {
            return Err(malformed("ids are not strictly ascending".to_owned()));
        }
    }
    let ids = |part: &[[u8; 32]]| part.iter().map(|id| B256::from(*id)).collect();
    Ok(Manifest { added: ids(added), removed: ids(removed) })
}
