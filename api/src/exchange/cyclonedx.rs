//! `CycloneDX` 1.6 as a bill of materials of a model: what it was made from, in components and what depends on what.

use alloy_primitives::keccak256;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::{Lineage, Story, Version, as_of};
use crate::world::Kind;

/// The document of a version of a model and its ancestors.
pub(super) fn document(story: &Story<'_>, lineage: &Lineage) -> Value {
    let mut depends = BTreeMap::<&str, Vec<&str>>::new();
    for version in &lineage.versions {
        depends.entry(&version.id).or_default();
    }
    for edge in &lineage.edges {
        depends.entry(&edge.dst_id).or_default();
        depends.entry(&edge.src_id).or_default().push(&edge.dst_id);
    }
    let depends = depends.into_iter().map(|(id, mut on)| {
        on.sort_unstable();
        on.dedup();
        json!({ "ref": id, "dependsOn": on })
    });
    let (first, ancestors) = match lineage.versions.split_first() {
        Some((first, ancestors)) => (Some(first), ancestors),
        None => (None, [].as_slice()),
    };
    let external = lineage.external.iter().map(|id| {
        json!({ "type": "data", "bom-ref": id, "name": id, "properties": [property("tributary:external", "true")] })
    });
    let mut about: Vec<Value> =
        as_of(story.snapshot).iter().map(|(name, value)| property(&format!("tributary:{name}"), value)).collect();
    about.push(property("tributary:edges_left_out", &lineage.left_out.to_string()));
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial(first, story),
        "version": 1,
        "metadata": {
            "component": first.map(|first| component(first, lineage)),
            "properties": about,
        },
        "components": ancestors.iter().map(|one| component(one, lineage)).chain(external).collect::<Vec<_>>(),
        "dependencies": depends.collect::<Vec<_>>(),
    })
}

/// The same document has the same number: a UUID (version 8) of what it is of and the state it was made at.
fn serial(first: Option<&Version>, story: &Story<'_>) -> String {
    let of = first.map(|first| first.id.as_str()).unwrap_or_default();
    let mut hash = keccak256(format!("{of} {}", story.snapshot.heads.log_root));
    hash.0[6] = (hash.0[6] & 0x0f) | 0x80;
    hash.0[8] = (hash.0[8] & 0x3f) | 0x80;
    let hex: String = alloy_primitives::hex::encode(&hash.0[..16]);
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn property(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value })
}

fn component(version: &Version, lineage: &Lineage) -> Value {
    let mut facts: Vec<Value> =
        version.facts.iter().map(|(name, value)| property(&format!("tributary:{name}"), value)).collect();
    facts.push(property("tributary:text_id", &version.text_id));
    facts.push(property("tributary:published_block", &version.published_block.to_string()));
    let mut out = json!({
        "type": match version.kind {
            Kind::Model => "machine-learning-model",
            Kind::Agent => "application",
            Kind::Dataset | Kind::Contribution => "data",
        },
        "bom-ref": version.id,
        "name": version.name(),
        "version": version.number.to_string(),
        "publisher": version.owner,
        "properties": facts,
    });
    if let Some(license) = version.license.as_ref().filter(|license| !license.is_empty()) {
        out["licenses"] = json!([{ "license": { "name": license } }]);
    }
    if version.kind == Kind::Dataset {
        out["data"] = json!([{ "type": "dataset", "name": version.name() }]);
    }
    if version.kind == Kind::Model {
        let of = lineage.edges.iter().filter(|edge| edge.src_id == version.id && edge.dst_kind == "dataset");
        let datasets: Vec<Value> = of.map(|edge| json!({ "ref": edge.dst_id })).collect();
        out["modelCard"] = json!({ "modelParameters": { "datasets": datasets } });
    }
    out
}
