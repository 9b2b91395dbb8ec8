//! Rows of a sealed block: what was said in it ([`Said`]), its blobs, and the rows its facts made.

use alloy_primitives::{B256, keccak256};
use tributary_schemas::code::Flag;
use tributary_schemas::column::{hex_text, signed};
use tributary_schemas::facts::{BlobRow, DatasetVersionRow, Row};
use tributary_store::DeclaredOutcome;

use super::outcome::Outcome;
use super::said::Said;
use super::{IndexerError, SealStep};
use crate::Trust;
use crate::blob::Reference;
use crate::fold::{BlobNeed, BlobOwner};
use crate::state::Key;

impl SealStep<'_, '_> {
    /// All rows that are not a blob's.
    pub(super) fn rows(&mut self, rows: Vec<Row>, log_root: B256) -> Result<(), IndexerError> {
        let said = Said { chronology: &self.context.chronology, block: self.block, body: self.body };
        said.events(self.logged, &mut self.sealed.rows);
        for row in rows {
            let row = match row {
                Row::DatasetVersionRow(row) => self.with_members(row)?.into(),
                row => row,
            };
            self.sealed.rows.push(&row);
        }
        said.raw_logs(&mut self.sealed.rows);
        said.state_reads(&mut self.sealed.rows);
        let row = said.block(self.logged.len(), self.context.finality.clone(), hex_text(log_root));
        self.push(row);
        Ok(())
    }

    /// A version's row is written when it is published or deprecated; its members are known from its manifest.
    fn with_members(&self, mut row: DatasetVersionRow) -> Result<DatasetVersionRow, IndexerError> {
        let id = row.version_id.parse().unwrap_or(B256::ZERO);
        if let Some(members) = self.state.get::<i64>(&Key::resolved_version(id))? {
            row.members = Some(members);
            let unresolved = Flag::ManifestUnresolved.as_str();
            row.flags = row.flags.split(',').filter(|flag| *flag != unresolved).collect::<Vec<_>>().join(",");
        }
        Ok(row)
    }

    /// The row of a blob with its outcome.
    pub(super) fn push_blob(
        &mut self,
        (need, epoch): (&BlobNeed, i64),
        outcome: &Outcome,
        status: &str,
        detail: Option<String>,
    ) {
        let (owner_kind, owner_id) = match need.owner {
            BlobOwner::Batch(batch) => ("batch", hex_text(batch)),
            BlobOwner::Manifest(version) => ("manifest", hex_text(version)),
        };
        let (bytes, source) = match outcome {
            Outcome::Found { payload, source, .. } => (i64::try_from(payload.len()).ok(), source.clone()),
            Outcome::Missing { .. } | Outcome::Void { .. } => (None, None),
        };
        let reference = Reference::read(self.context.commitment_mode, &need.reference, None);
        let known = outcome.known();
        let is_found = matches!(outcome, Outcome::Found { .. });
        let (form, commitment_hash, level, data_level, trust) = match &reference {
            Ok(Reference::Content(_)) => {
                let level = is_found.then(|| "content".to_owned());
                ("keccak", Some(keccak256(&need.reference)), level.clone(), level.map(|_| "D2".to_owned()), "full")
            }
            Ok(Reference::Certificate(certificate)) => {
                let level = known.map_or("L0", |known| &known.level).to_owned();
                let data_level = known.and_then(|known| known.data_level.clone());
                let trust = if is_found && level != "L3" { "unverified" } else { "full" };
                ("certificate", Some(certificate.key), Some(level), data_level, trust)
            }
            Err(_) => ("unknown", None, None, None, "full"),
        };
        let is_late = need.position.block_number != self.block.number;
        let row = BlobRow {
            epoch,
            block_number: signed(need.position.block_number),
            log_index: i64::from(need.position.log_index),
            reference: hex_text(&need.reference),
            form: form.to_owned(),
            commitment_hash: commitment_hash.map(hex_text),
            cert_version: known.map(|known| i32::from(known.cert_version)),
            blob_key: known.and_then(|known| known.blob_key).map(hex_text),
            dispersed_by: known.and_then(|known| known.dispersed_by).map(hex_text),
            length: known.map(|known| i64::from(known.length)),
            owner_kind: owner_kind.to_owned(),
            owner_id,
            payload_hash: need.payload_hash.map(hex_text),
            payload_bytes: bytes,
            status: status.to_owned(),
            level,
            data_level,
            trust: trust.to_owned(),
            source,
            detail,
            found_block: is_late.then(|| signed(self.block.number)),
        };
        self.push(row);
    }

    /// Lists an outcome that is an input of the log.
    pub(super) fn declare(&mut self, need: &BlobNeed, declared_at: u64) {
        self.sealed.declared.push(DeclaredOutcome {
            block_number: need.position.block_number,
            log_index: need.position.log_index,
            reference: hex_text(&need.reference),
            outcome: "missing".to_owned(),
            declared_at,
        });
    }
}

/// The word of the tables for what the checks rested on.
pub(crate) const fn trust_word(trust: Trust) -> &'static str {
    match trust {
        Trust::Verified => "full",
        Trust::Unverified => "unverified",
    }
}
