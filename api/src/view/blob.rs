//! Blobs at the view's block.

use async_graphql::connection::Edge;
use datafusion::scalar::ScalarValue;
use tributary_schemas::column::hex_text;
use tributary_schemas::facts::BlobRow;

use super::View;
use crate::error::{ErrorCode, Refusal};
use crate::page::{Cursor, Total, first};
use crate::scalar::Bytes32;
use crate::schema::blob::{Blob, BlobConnection, BlobStatus};

/// Blobs named in one query.
const NAMED_MAX: usize = 500;
/// The last outcome of each blob at a block: one found late has a row that it was missing, too.
const LAST_OUTCOMES: &str = "FROM blobs b WHERE block_number <= $1 AND (found_block IS NULL OR found_block <= $1) \
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
    pub(crate) async fn blobs(
        &self,
        asked: Option<i64>,
        after: Option<String>,
        status: Option<BlobStatus>,
    ) -> Result<BlobConnection, Refusal> {
        let asked = first(asked)?;
        let (block, log) = match after.as_deref().map(Cursor::decode).transpose()? {
            Some(cursor) => place(&cursor.key)?,
            None => (-1, -1),
        };
        let status = ScalarValue::Utf8(status.map(|status| status.word().to_owned()));
        let of_status = format!("{LAST_OUTCOMES} AND ($2 IS NULL OR status = $2)");
        let query = format!(
            "SELECT * {of_status} AND (block_number > $3 OR (block_number = $3 AND log_index > $4)) \
             ORDER BY block_number, log_index LIMIT $5"
        );
        let limit = i64::try_from(asked.saturating_add(1)).unwrap_or(i64::MAX);
        let values = vec![self.number().into(), status.clone(), block.into(), log.into(), limit.into()];
        let mut rows: Vec<BlobRow> = self.pinned().rows(&query, values).await?;
        let more = rows.len() > asked;
        rows.truncate(asked);
        let count = format!("SELECT count(*) {of_status}");
        let total_count = self.count(&count, vec![self.number().into(), status]).await?;
        let mut connection = BlobConnection::with_additional_fields(block >= 0, more, Total { total_count });
        connection.edges = rows
            .into_iter()
            .map(|row| {
                let key = format!("{}.{}", row.block_number, row.log_index);
                Edge::new(Cursor { key, ..self.cursor() }.encode(), Blob { row })
            })
            .collect();
        Ok(connection)
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

/// Block and log of a cursor's key.
fn place(key: &str) -> Result<(i64, i64), Refusal> {
    let parts = key.split_once('.').map(|(block, log)| (block.parse().ok(), log.parse().ok()));
    match parts {
        Some((Some(block), Some(log))) => Ok((block, log)),
        _ => Err(Refusal::new(ErrorCode::BadCursor, "cursor names a row that this list does not have")),
    }
}
