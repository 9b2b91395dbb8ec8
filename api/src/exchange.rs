//! Provenance in the forms that others read: W3C PROV-JSON (any version of anything), `CycloneDX` 1.6 ML-BOM (a version
//! of a model) and Croissant 1.0 (a version of a dataset).
//!
//! Each document holds what was known at the sealed block of a snapshot, and says which. The walk is the ancestors of
//! one version, as deep and as many as a provenance window may show (ruling 24); what is left out is counted.

mod croissant;
mod cyclonedx;
mod graph;
mod prov;
mod statement;

pub use graph::{Graph, GraphWalk, graph};
pub use statement::{StatementForm, write_statement};

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use tributary_schemas::facts::EdgeRow;
use tributary_store::{Lake, Snapshot};

use crate::error::{ErrorCode, Refusal};
use crate::pinned::Pinned;
use crate::provenance::{DEPTH_MAX, NODES_MAX};
use crate::world::{Kind, Thing, World};

/// A form that provenance is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProvenanceForm {
    /// W3C PROV-JSON, of a version of anything.
    Prov,
    /// `CycloneDX` 1.6 ML-BOM, of a version of a model.
    CycloneDx,
    /// Croissant 1.0, of a version of a dataset.
    Croissant,
}

impl ProvenanceForm {
    /// Its word in addresses and on the command line, if there is one.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "prov" => Some(Self::Prov),
            "cyclonedx" => Some(Self::CycloneDx),
            "croissant" => Some(Self::Croissant),
            _ => None,
        }
    }

    /// The media type of a document.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Prov => "application/json",
            Self::CycloneDx => "application/vnd.cyclonedx+json; version=1.6",
            Self::Croissant => "application/ld+json",
        }
    }
}

/// The document of a thing, by its id, its text id, or `TEXT_ID@VERSION`; the newest version where none is named.
pub async fn provenance(
    lake: &Lake,
    snapshot: Arc<Snapshot>,
    form: ProvenanceForm,
    id: &str,
) -> Result<Value, Refusal> {
    of(&Pinned::new(lake.clone(), PathBuf::new(), snapshot, None), form, id).await
}

pub(crate) async fn of(pinned: &Pinned, form: ProvenanceForm, id: &str) -> Result<Value, Refusal> {
    let world = pinned.world().await?;
    let (kind, version) = version_of(&world, id, pinned.number())?;
    let wanted = |expected: Kind| {
        let message = format!("{id} is of a {}: expected a {}", kind.as_str(), expected.as_str());
        if kind == expected { Ok(()) } else { Err(Refusal::new(ErrorCode::BadInput, message)) }
    };
    let story = Story { world: &world, snapshot: &pinned.snapshot, number: pinned.number() };
    match form {
        ProvenanceForm::Prov => Ok(prov::document(&story, &story.lineage(kind, version)?)),
        ProvenanceForm::CycloneDx => {
            wanted(Kind::Model)?;
            Ok(cyclonedx::document(&story, &story.lineage(kind, version)?))
        }
        ProvenanceForm::Croissant => {
            wanted(Kind::Dataset)?;
            let published = world.dataset_versions.at(&version, pinned.number()).map(|row| row.published_block);
            let block = pinned.block(published.unwrap_or_default()).await?;
            let line = story.version(kind, version).ok_or_else(|| unknown(id))?;
            Ok(croissant::document(&story, &line, block.map(|block| block.timestamp)))
        }
    }
}

fn unknown(id: &str) -> Refusal {
    Refusal::new(ErrorCode::NotFound, format!("nothing has the id {id} at the sealed block"))
}

/// The version that an id means.
fn version_of(world: &World, id: &str, number: i64) -> Result<(Kind, i64), Refusal> {
    match world.find(id) {
        Some(Thing::Version(kind, sk)) if world.entity_of(kind, sk, number).is_some() => Ok((kind, sk)),
        Some(Thing::Entity(Kind::Contribution, _)) => {
            let message = format!("{id} is a contribution: expected a dataset, model or agent, or a version of one");
            Err(Refusal::new(ErrorCode::BadInput, message))
        }
        Some(Thing::Entity(kind, sk)) => {
            let newest =
                world.versions(kind, sk).rev().find(|version| world.entity_of(kind, *version, number).is_some());
            newest.map(|version| (kind, version)).ok_or_else(|| unknown(id))
        }
        _ => Err(unknown(id)),
    }
}

/// What documents are made from.
struct Story<'a> {
    world: &'a World,
    snapshot: &'a Snapshot,
    number: i64,
}

/// A version of something.
#[derive(Debug, Clone)]
struct Version {
    kind: Kind,
    id: String,
    /// Surrogate key of what it is a version of.
    entity: i64,
    text_id: String,
    number: i64,
    owner: String,
    license: Option<String>,
    published_block: i64,
    /// Further facts by their names in the tables.
    facts: Vec<(&'static str, String)>,
}

/// A version and its ancestors, nearest first.
struct Lineage {
    versions: Vec<Version>,
    /// Ids that nothing here has a record of.
    external: Vec<String>,
    edges: Vec<EdgeRow>,
    /// Edges whose source did not fit.
    left_out: usize,
}

impl Story<'_> {
    fn version(&self, kind: Kind, sk: i64) -> Option<Version> {
        let (entity, number) = self.world.entity_of(kind, sk, self.number)?;
        let (_, owner) = self.world.entity(kind, entity, self.number)?;
        let version = Version {
            kind,
            id: self.world.version_id(kind, sk, self.number)?.to_owned(),
            entity,
            text_id: self.world.text_id(kind, entity, self.number)?.to_owned(),
            number,
            owner: owner.to_owned(),
            license: None,
            published_block: 0,
            facts: Vec::new(),
        };
        Some(match kind {
            Kind::Dataset => {
                let row = self.world.dataset_versions.at(&sk, self.number)?;
                let facts =
                    vec![("manifest_root", row.manifest_root.clone()), ("total_rows", row.total_rows.to_string())];
                Version { license: Some(row.license.clone()), published_block: row.published_block, facts, ..version }
            }
            Kind::Model => {
                let row = self.world.model_versions.at(&sk, self.number)?;
                let kind = self.world.models.at(&entity, self.number).map(|row| row.kind.clone()).unwrap_or_default();
                let facts = vec![
                    ("kind", kind),
                    ("artifact_hash", row.artifact_hash.clone()),
                    ("config_hash", row.config_hash.clone()),
                ];
                Version { license: Some(row.license.clone()), published_block: row.published_block, facts, ..version }
            }
            Kind::Agent => {
                let row = self.world.agent_versions.at(&sk, self.number)?;
                let facts = vec![("config_hash", row.config_hash.clone())];
                Version { published_block: row.published_block, facts, ..version }
            }
            Kind::Contribution => return None,
        })
    }

    fn lineage(&self, kind: Kind, sk: i64) -> Result<Lineage, Refusal> {
        let first = self.version(kind, sk).ok_or_else(|| unknown("that was asked for"))?;
        let mut found = Lineage { versions: Vec::new(), external: Vec::new(), edges: Vec::new(), left_out: 0 };
        let mut seen = BTreeMap::from([(first.id.clone(), 0)]);
        let mut waiting = VecDeque::from([first]);
        let nodes_max = usize::try_from(NODES_MAX).unwrap_or(usize::MAX);
        while let Some(version) = waiting.pop_front() {
            let depth = seen.get(&version.id).copied().unwrap_or_default();
            let mut sources: Vec<&EdgeRow> = self.world.upstream(&version.id, self.number).collect();
            sources.sort_by(|a, b| (&a.relation, &a.dst_id).cmp(&(&b.relation, &b.dst_id)));
            for edge in sources {
                if !seen.contains_key(&edge.dst_id) {
                    if seen.len() >= nodes_max || depth >= DEPTH_MAX {
                        found.left_out += 1;
                        continue;
                    }
                    seen.insert(edge.dst_id.clone(), depth + 1);
                    let source = match self.world.find(&edge.dst_id) {
                        Some(Thing::Version(kind, sk)) => self.version(kind, sk),
                        _ => None,
                    };
                    match source {
                        Some(source) => waiting.push_back(source),
                        None => found.external.push(edge.dst_id.clone()),
                    }
                }
                found.edges.push(edge.clone());
            }
            found.versions.push(version);
        }
        Ok(found)
    }

    /// The contributions in a version of a dataset, oldest first, at most as many as nodes; and how many more there are.
    fn members(&self, version: &Version) -> (Vec<Member>, usize) {
        let most = usize::try_from(NODES_MAX).unwrap_or(usize::MAX);
        let mut all = Vec::new();
        let mut more = 0;
        for row in self.world.members(version.entity, version.number, self.number) {
            let Some(held) = self.world.contributions.at(&row.contribution_sk, self.number) else { continue };
            if all.len() == most {
                more += 1;
                continue;
            }
            all.push(Member {
                id: held.contribution_id.clone(),
                contributor: held.contributor.clone(),
                content_hash: held.content_hash.clone(),
                rows: held.row_count,
            });
        }
        (all, more)
    }
}

/// A contribution in a version of a dataset.
struct Member {
    id: String,
    contributor: String,
    content_hash: String,
    rows: i64,
}

impl Version {
    fn name(&self) -> String {
        self.kind.label(&self.text_id, None)
    }
}

/// The state that a document was made at (INV-10), by name.
fn as_of(snapshot: &Snapshot) -> [(&'static str, String); 5] {
    let heads = &snapshot.heads;
    let text = tributary_schemas::column::hex_text;
    [
        ("snapshot", snapshot.version.to_string()),
        ("block", heads.block_number.to_string()),
        ("hash", text(heads.block_hash)),
        ("finality", heads.finality.clone()),
        ("log_root", text(heads.log_root)),
    ]
}

#[cfg(test)]
mod tests {
    use super::{ProvenanceForm, provenance};
    use crate::error::ErrorCode;
    use crate::fixture;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_document_holds_the_ancestors_of_one_version() {
        let published = fixture::publish().await;
        let of = |form, id: String| {
            let (lake, snapshot) = (published.lake.clone(), Arc::clone(&published.snapshot));
            async move { provenance(&lake, snapshot, form, &id).await }
        };
        let prov = of(ProvenanceForm::Prov, fixture::id("agent")).await.unwrap();
        assert_eq!(prov["wasDerivedFrom"].as_object().unwrap().len(), 4, "{prov:#}");
        assert_eq!(prov["hadMember"].as_object().unwrap().len(), 2);
        assert_eq!(prov["entity"]["trib:state"]["trib:block"], "20");
        let bom = of(ProvenanceForm::CycloneDx, fixture::id("finetune@1")).await.unwrap();
        let components: Vec<&str> =
            bom["components"].as_array().unwrap().iter().map(|one| one["bom-ref"].as_str().unwrap()).collect();
        assert_eq!(components, [fixture::id("base@1"), fixture::id("dataset@1"), fixture::id("external")]);
        assert_eq!(
            bom["metadata"]["component"]["modelCard"]["modelParameters"]["datasets"][0]["ref"],
            fixture::id("dataset@1")
        );
        let again = of(ProvenanceForm::CycloneDx, fixture::id("finetune")).await.unwrap();
        assert_eq!(bom, again, "the newest version of the model, and the same bytes");
        let croissant = of(ProvenanceForm::Croissant, fixture::id("dataset")).await.unwrap();
        assert_eq!(croissant["recordSet"][0]["data"].as_array().unwrap().len(), 2);
        assert_eq!((&croissant["version"], &croissant["datePublished"]), (&"1.0.0".into(), &"1970-01-01".into()));
        for (form, id, code) in [
            (ProvenanceForm::Croissant, fixture::id("finetune"), ErrorCode::BadInput),
            (ProvenanceForm::CycloneDx, fixture::id("dataset@1"), ErrorCode::BadInput),
            (ProvenanceForm::Prov, fixture::id("contribution0"), ErrorCode::BadInput),
            (ProvenanceForm::Prov, fixture::id("external"), ErrorCode::NotFound),
            (ProvenanceForm::Prov, "nobody".to_owned(), ErrorCode::NotFound),
        ] {
            assert_eq!(of(form, id.clone()).await.unwrap_err().code, code, "{id}");
        }
    }
}
