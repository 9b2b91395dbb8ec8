//! Blobs at the view's block.

use tributary_schemas::column::hex_text;
use tributary_schemas::facts::BlobRow;

use super::View;
use super::load::BlobKey;
use crate::error::Refusal;
use crate::filter::Condition;
use crate::page::{self, Asked};
use crate::scalar::Bytes32;
use crate::schema::blob::{Blob, BlobConnection};

/// Blobs named in one query.
const NAMED_MAX: usize = 500;
/// The last outcome of each blob at a block: one found late has a row that it was missing, too.
pub(super) const LAST_OUTCOMES: &str = "FROM blobs b WHERE block_number <= $1 AND (found_block IS NULL OR found_block <= $1) \
     AND NOT EXISTS (SELECT 1 FROM blobs l WHERE l.owner_id = b.owner_id AND l.found_block <= $1 AND b.found_block IS NULL)";

impl View {
    /// The blobs that a hash names: of the payload, of the commitment, or the blob key. The same payload dispersed twice
    /// has two keys, and may be referred to more than once: the first reference.
    pub(crate) async fn blob(&self, hash: Bytes32) -> Result<Option<Blob>, Refusal> {
        let query = format!(
            "SELECT * {LAST_OUTCOMES} AND (payload_hash = $2 OR commitment_hash = $2 OR blob_key = $2) \
             ORDER BY block_number, log_index LIMIT 1"
        );
        let values = vec![self.number().into(), hex_text(hash.0).into()];
        Ok(self.pinned().rows(&query, values).await?.into_iter().next().map(|row| Blob { row }))
    }

    /// Blobs in the order of their references.
    pub(crate) async fn blobs(&self, asked: Asked, condition: &Condition) -> Result<BlobConnection, Refusal> {
        let from = format!("{LAST_OUTCOMES} AND {}", condition.sql());
        let listed = self.listed::<BlobRow>(&from, "block_number, log_index", asked).await?;
        Ok(page::listed(listed, &self.cursor(), |row| Blob { row }))
    }

    /// The blob that a batch refers to.
    pub(crate) async fn blob_of(&self, owner: &str) -> Result<Option<Blob>, Refusal> {
        let Some(owner) = Bytes32::read(owner) else { return Ok(None) };
        let key = BlobKey { owner: owner.0, number: self.number() };
        Ok(self.pinned().loads.load_one(key).await?.map(|row| Blob { row }))
    }

    /// The blobs with these payloads, in the order of their references; each payload once.
    pub(crate) async fn blobs_of(&self, payloads: &[String]) -> Result<Vec<Blob>, Refusal> {
        let mut blobs = Vec::with_capacity(payloads.len());
        for named in payloads.chunks(NAMED_MAX) {
            let list: Vec<String> = named
                .iter()
                .filter_map(|hash| Bytes32::read(hash))
                .map(|hash| format!("'{}'", hex_text(hash.0)))
                .collect();
            if list.is_empty() {
                continue;
            }
            let query = format!(
                "SELECT * {LAST_OUTCOMES} AND payload_hash IN ({}) ORDER BY block_number, log_index",
                list.join(", ")
            );
            let rows: Vec<BlobRow> = self.pinned().rows(&query, vec![self.number().into()]).await?;
            blobs.extend(rows.into_iter().map(|row| Blob { row }));
        }
        let mut seen = std::collections::BTreeSet::new();
        blobs.retain(|blob| seen.insert(blob.row.payload_hash.clone()));
        Ok(blobs)
    }
}
