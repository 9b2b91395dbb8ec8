//! W3C PROV-JSON: versions and contributions are entities, accounts are agents, edges are derivations.

use serde_json::{Map, Value, json};

use super::{Lineage, Story, Version, as_of};
use crate::world::Kind;

/// The document of a version and its ancestors.
pub(super) fn document(story: &Story<'_>, lineage: &Lineage) -> Value {
    let mut found = Document::default();
    for version in &lineage.versions {
        found.version(story, version);
    }
    for id in &lineage.external {
        found.entity.insert(thing(id), json!({ "prov:type": named("trib:external"), "prov:label": id }));
    }
    for edge in &lineage.edges {
        let mut derived = json!({
            "prov:generatedEntity": thing(&edge.src_id),
            "prov:usedEntity": thing(&edge.dst_id),
            "prov:type": named(&format!("trib:{}", edge.relation)),
            "trib:declared_in_block": edge.from_block,
        });
        if let Some(share) = edge.share_ppb {
            derived["trib:share_ppb"] = share.into();
        }
        let name = format!("_:derived{}", found.derived.len());
        found.derived.insert(name, derived);
    }
    let mut state = Map::from_iter(as_of(story.snapshot).map(|(name, value)| (format!("trib:{name}"), value.into())));
    state.insert("prov:type".to_owned(), named("trib:state"));
    state.insert("trib:edges_left_out".to_owned(), lineage.left_out.into());
    found.entity.insert("trib:state".to_owned(), Value::Object(state));
    json!({
        "prefix": {
            "trib": "urn:tributary:",
            "thing": "urn:tributary:thing:",
            "account": format!("urn:tributary:account:{}:", story.snapshot.heads.chain_id),
        },
        "entity": found.entity,
        "agent": found.agent,
        "wasDerivedFrom": found.derived,
        "wasAttributedTo": found.attributed,
        "hadMember": found.members,
    })
}

#[derive(Default)]
struct Document {
    entity: Map<String, Value>,
    agent: Map<String, Value>,
    derived: Map<String, Value>,
    attributed: Map<String, Value>,
    members: Map<String, Value>,
}

impl Document {
    fn version(&mut self, story: &Story<'_>, version: &Version) {
        let mut facts = json!({
            "prov:label": version.kind.label(&version.text_id, Some(version.number)),
            "trib:text_id": version.text_id,
            "trib:version": version.number,
            "trib:published_block": version.published_block,
        });
        let mut kinds = vec![named(&format!("trib:{}", version.kind.as_str()))];
        if version.kind == Kind::Dataset {
            kinds.push(named("prov:Collection"));
        }
        facts["prov:type"] = kinds.into();
        for (name, value) in &version.facts {
            facts[format!("trib:{name}")] = value.as_str().into();
        }
        if let Some(license) = &version.license {
            facts["trib:license"] = license.as_str().into();
        }
        if version.kind == Kind::Dataset {
            let (members, more) = story.members(version);
            facts["trib:members_left_out"] = more.into();
            for member in members {
                let held = json!({
                    "prov:type": named("trib:contribution"),
                    "trib:content_hash": member.content_hash,
                    "trib:rows": member.rows,
                });
                if self.entity.insert(thing(&member.id), held).is_none() {
                    self.attribute(&member.id, &member.contributor);
                }
                let name = format!("_:member{}", self.members.len());
                let held = json!({ "prov:collection": thing(&version.id), "prov:entity": thing(&member.id) });
                self.members.insert(name, held);
            }
        }
        self.entity.insert(thing(&version.id), facts);
        self.attribute(&version.id, &version.owner);
    }

    fn attribute(&mut self, id: &str, to: &str) {
        let agent = format!("account:{to}");
        let name = format!("_:attributed{}", self.attributed.len());
        self.attributed.insert(name, json!({ "prov:entity": thing(id), "prov:agent": agent }));
        self.agent.entry(agent).or_insert_with(|| json!({ "trib:account": to }));
    }
}

fn thing(id: &str) -> String {
    format!("thing:{id}")
}

fn named(name: &str) -> Value {
    json!({ "$": name, "type": "prov:QUALIFIED_NAME" })
}
