//! Rows of the table `anchors`.

use tributary_schemas::column::{hex_text, signed};
use tributary_schemas::facts::AnchorRow;

use super::fold::{CarriedBy, Carrier, Fate, Resolved};
use crate::fold::Chronology;

/// The rows of an L2 block whose fate is known: one for each posting that carries it, or one that says that nothing
/// does.
#[must_use]
pub fn rows(resolved: &Resolved, chronology: &Chronology) -> Vec<AnchorRow> {
    match &resolved.fate {
        Fate::Anchored(by) => {
            (0_i32..).zip(&by.carriers).map(|(part, one)| carried(resolved, by, part, one, chronology)).collect()
        }
        Fate::NotAnchored => vec![bare(resolved, "not_anchored", chronology)],
        Fate::Unknown => vec![bare(resolved, "unknown", chronology)],
    }
}

fn carried(resolved: &Resolved, by: &CarriedBy, part: i32, one: &Carrier, chronology: &Chronology) -> AnchorRow {
    let posted = &one.posted;
    AnchorRow {
        part,
        l1_block: Some(signed(posted.l1_block)),
        l1_hash: Some(hex_text(posted.l1_hash)),
        l1_tx: Some(hex_text(posted.l1_tx)),
        form: Some(posted.form.as_str().to_owned()),
        versioned_hash: posted.blob.map(|blob| hex_text(blob.versioned_hash)),
        blob_index: posted.blob.map(|blob| i64::from(blob.index)),
        commitment_hash: posted.commitment.map(hex_text),
        blob_key: posted.blob_key.map(hex_text),
        dispersed_by: posted.dispersed_by.map(hex_text),
        level: posted.level.clone(),
        data_level: posted.data_level.clone(),
        channel: Some(hex_text(by.channel.0)),
        frame_first: Some(i32::from(*one.frames.start())),
        frame_last: Some(i32::from(*one.frames.end())),
        batch_kind: Some(by.kind.to_string()),
        batch_index: Some(i64::from(by.index)),
        parent_checked: by.parent == Some(true),
        ..bare(resolved, "anchored", chronology)
    }
}

fn bare(resolved: &Resolved, state: &str, chronology: &Chronology) -> AnchorRow {
    let block = &resolved.block;
    AnchorRow {
        epoch: chronology.epoch(block.timestamp),
        l2_block: signed(block.number),
        l2_hash: hex_text(block.hash),
        state: state.to_owned(),
        part: 0,
        l1_block: None,
        l1_hash: None,
        l1_tx: None,
        form: None,
        versioned_hash: None,
        blob_index: None,
        commitment_hash: None,
        blob_key: None,
        dispersed_by: None,
        level: None,
        data_level: None,
        channel: None,
        frame_first: None,
        frame_last: None,
        batch_kind: None,
        batch_index: None,
        parent_checked: false,
    }
}
