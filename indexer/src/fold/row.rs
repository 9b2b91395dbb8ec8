//! Rows from the state: the dimensions as they stand after a fact.

use alloy_primitives::{Address, B256};
use tributary_schemas::code::Relation;
use tributary_schemas::column::{hex_text, signed};
use tributary_schemas::facts::{
    AccountRow, AgentRow, AgentVersionRow, ContributionRow, DatasetRow, DatasetVersionRow, EdgeRow, EntityPayoutRow,
    ModelRow, ModelVersionRow, Row,
};
use tributary_schemas::id::{EntityKind, text_id};

use super::Fold;
use crate::state::{
    AccountState, ContributionState, EdgeState, Entity, EntityBody, EntityPayout, Version, VersionBody,
};

impl Fold<'_, '_> {
    pub(crate) fn push_entity(&mut self, id: B256, entity: &Entity) {
        let text = |kind| text_id(kind, self.chronology.chain_id, entity.namespace, entity.key, None);
        let owner = hex_text(entity.owner);
        let metadata_uri = entity.uri.clone();
        let metadata_hash = hex_text(entity.hash);
        let last_version = entity.last_version.map(i64::from);
        let valid_from_block = signed(self.block.number);
        let row: Row = match &entity.body {
            EntityBody::Dataset { visibility, license } => DatasetRow {
                dataset_sk: entity.sk,
                dataset_id: hex_text(id),
                text_id: text(EntityKind::Dataset),
                owner,
                visibility: visibility.as_str().to_owned(),
                license: hex_text(license),
                metadata_uri,
                metadata_hash,
                last_version,
                flags: String::new(),
                valid_from_block,
                valid_to_block: None,
            }
            .into(),
            EntityBody::Model { kind } => ModelRow {
                model_sk: entity.sk,
                model_id: hex_text(id),
                text_id: text(EntityKind::Model),
                owner,
                kind: kind.as_str().to_owned(),
                metadata_uri,
                metadata_hash,
                last_version,
                valid_from_block,
                valid_to_block: None,
            }
            .into(),
            EntityBody::Agent => AgentRow {
                agent_sk: entity.sk,
                agent_id: hex_text(id),
                text_id: text(EntityKind::Agent),
                owner,
                metadata_uri,
                last_version,
                valid_from_block,
                valid_to_block: None,
            }
            .into(),
        };
        self.rows.push(row);
    }

    pub(crate) fn push_version(&mut self, id: B256, version: &Version) {
        let version_id = hex_text(id);
        let license = hex_text(version.license);
        let flags = version.flags.words();
        let published_block = signed(version.published.block_number);
        let valid_from_block = signed(self.block.number);
        let row: Row = match &version.body {
            VersionBody::Dataset { manifest_root, added, removed, total_rows } => DatasetVersionRow {
                version_sk: version.sk,
                version_id,
                dataset_sk: version.entity_sk,
                version: i64::from(version.version),
                manifest_root: hex_text(manifest_root),
                added: i64::from(*added),
                removed: i64::from(*removed),
                total_rows: signed(*total_rows),
                // Known when the manifest is read; sealing fills it in.
                members: None,
                license,
                deprecated: version.deprecated,
                flags,
                published_block,
                valid_from_block,
                valid_to_block: None,
            }
            .into(),
            VersionBody::Model { artifact_hash, config_hash } => ModelVersionRow {
                version_sk: version.sk,
                version_id,
                model_sk: version.entity_sk,
                version: i64::from(version.version),
                artifact_hash: hex_text(artifact_hash),
                config_hash: hex_text(config_hash),
                license,
                deprecated: version.deprecated,
                flags,
                published_block,
                valid_from_block,
                valid_to_block: None,
            }
            .into(),
            VersionBody::Agent { config_hash } => AgentVersionRow {
                version_sk: version.sk,
                version_id,
                agent_sk: version.entity_sk,
                version: i64::from(version.version),
                config_hash: hex_text(config_hash),
                deprecated: version.deprecated,
                flags,
                published_block,
                valid_from_block,
                valid_to_block: None,
            }
            .into(),
        };
        self.rows.push(row);
    }

    pub(crate) fn push_contribution(&mut self, id: B256, one: &ContributionState) {
        let submitted = one.phases.first().map_or(self.at, |first| first.at);
        self.push(ContributionRow {
            contribution_sk: one.sk,
            contribution_id: hex_text(id),
            dataset_sk: one.dataset_sk,
            contributor: hex_text(one.contributor),
            content_hash: hex_text(one.content_hash),
            row_count: one.row_count,
            byte_count: one.byte_count,
            license: hex_text(one.license),
            state: one.phase().as_str().to_owned(),
            quality: one.quality.map(i64::from),
            flags: one.flags.words(),
            submitted_block: signed(submitted.block_number),
            valid_from_block: signed(self.block.number),
            valid_to_block: None,
        });
    }

    pub(crate) fn push_edge(&mut self, src_kind: EntityKind, src: B256, src_sk: i64, edge: &EdgeState) {
        let until = edge.to.map(|to| signed(to.block_number));
        self.push(EdgeRow {
            relation: Relation::as_str(edge.relation).to_owned(),
            src_kind: src_kind.as_str().to_owned(),
            src_id: hex_text(src),
            src_sk,
            dst_kind: edge.dst_kind.unwrap_or(EntityKind::External).as_str().to_owned(),
            dst_id: hex_text(edge.dst),
            dst_sk: edge.dst_sk,
            share_ppb: edge.share_ppb.map(i64::from),
            late: edge.late,
            from_block: signed(edge.from.block_number),
            flags: edge.flags.words(),
            valid_from_block: signed(edge.from.block_number),
            valid_to_block: until,
        });
    }

    pub(crate) fn push_account(&mut self, account: Address, state: &AccountState) {
        self.push(AccountRow {
            account: hex_text(account),
            payout: state.payout.map(hex_text),
            quarantined: state.quarantined,
            valid_from_block: signed(self.block.number),
            valid_to_block: None,
        });
    }

    pub(crate) fn push_entity_payout(&mut self, entity: B256, state: &EntityPayout) {
        let split = (!state.split.is_empty()).then(|| {
            let parts = state.split.iter().map(
                |(account, share_ppb)| serde_json::json!({ "account": hex_text(account), "share_ppb": share_ppb }),
            );
            serde_json::Value::from_iter(parts).to_string()
        });
        self.push(EntityPayoutRow {
            entity_id: hex_text(entity),
            payout: state.payout.map(hex_text),
            split,
            valid_from_block: signed(self.block.number),
            valid_to_block: None,
        });
    }
}
