//! Croissant 1.0: a version of a dataset, with its contributions as a record set.

use serde_json::{Value, json};
use tributary_schemas::column::Micros;

use super::{Story, Version, as_of};

/// The document of a version of a dataset. Its data are not on chain; what is there of them is who contributed which
/// hash with how many rows.
pub(super) fn document(story: &Story<'_>, version: &Version, published: Option<Micros>) -> Value {
    let (members, more) = story.members(version);
    let rows: Vec<Value> = members
        .iter()
        .map(|member| {
            json!({
                "contributions/contribution_id": member.id,
                "contributions/contributor": member.contributor,
                "contributions/content_hash": member.content_hash,
                "contributions/rows": member.rows,
            })
        })
        .collect();
    let state = as_of(story.snapshot).map(|(name, value)| format!("{name} {value}")).join(", ");
    let left_out = if more > 0 { format!(" {more} contributions are left out.") } else { String::new() };
    let dataset = story.world.datasets.at(&version.entity, story.number);
    let link = dataset.map(|row| row.metadata_uri.as_str()).filter(|uri| !uri.is_empty());
    let field = |name: &str, kind: &str, what: &str| {
        json!({
            "@type": "cr:Field",
            "@id": format!("contributions/{name}"),
            "name": format!("contributions/{name}"),
            "description": what,
            "dataType": kind,
        })
    };
    json!({
        "@context": context(),
        "@type": "sc:Dataset",
        "@id": version.id,
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": version.name(),
        "description": format!("Version {} of {}, as known at {state}.{left_out}", version.number, version.text_id),
        "url": link.map_or_else(|| format!("urn:tributary:thing:{}", version.id), str::to_owned),
        "license": version.license,
        "version": format!("{}.0.0", version.number),
        "datePublished": published.and_then(|time| day(time.0)),
        "creator": { "@type": "sc:Organization", "name": version.owner, "url": format!("urn:tributary:account:{}:{}", story.snapshot.heads.chain_id, version.owner) },
        "citeAs": version.text_id,
        "recordSet": [{
            "@type": "cr:RecordSet",
            "@id": "contributions",
            "name": "contributions",
            "description": "The contributions in this version.",
            "key": { "@id": "contributions/contribution_id" },
            "field": [
                field("contribution_id", "sc:Text", "Id of the contribution."),
                field("contributor", "sc:Text", "Account that contributed it."),
                field("content_hash", "sc:Text", "Hash of its content."),
                field("rows", "sc:Integer", "Rows in it."),
            ],
            "data": rows,
        }],
    })
}

/// The day of a time in microseconds since 1970.
fn day(micros: i64) -> Option<String> {
    let time = arrow::temporal_conversions::timestamp_us_to_datetime(micros)?;
    Some(time.format("%Y-%m-%d").to_string())
}

/// The context that the specification gives, word for word.
fn context() -> Value {
    json!({
        "@language": "en",
        "@vocab": "https://schema.org/",
        "citeAs": "cr:citeAs",
        "column": "cr:column",
        "conformsTo": "dct:conformsTo",
        "cr": "http://mlcommons.org/croissant/",
        "data": { "@id": "cr:data", "@type": "@json" },
        "dataBiases": "cr:dataBiases",
        "dataCollection": "cr:dataCollection",
        "dataType": { "@id": "cr:dataType", "@type": "@vocab" },
        "dct": "http://purl.org/dc/terms/",
        "equivalentProperty": "cr:equivalentProperty",
        "examples": { "@id": "cr:examples", "@type": "@json" },
        "extract": "cr:extract",
        "field": "cr:field",
        "fileObject": "cr:fileObject",
        "fileProperty": "cr:fileProperty",
        "fileSet": "cr:fileSet",
        "format": "cr:format",
        "includes": "cr:includes",
        "isLiveDataset": "cr:isLiveDataset",
        "jsonPath": "cr:jsonPath",
        "key": "cr:key",
        "md5": "cr:md5",
        "parentField": "cr:parentField",
        "path": "cr:path",
        "personalSensitiveInformation": "cr:personalSensitiveInformation",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "recordSet": "cr:recordSet",
        "references": "cr:references",
        "regex": "cr:regex",
        "repeated": "cr:repeated",
        "replace": "cr:replace",
        "samplingRate": "cr:samplingRate",
        "sc": "https://schema.org/",
        "separator": "cr:separator",
        "source": "cr:source",
        "subField": "cr:subField",
        "transform": "cr:transform",
    })
}
