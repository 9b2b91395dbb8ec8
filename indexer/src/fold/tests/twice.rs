//! Facts that are told twice, by what the rule says of it.

use alloy_primitives::{Address, B256};
use tributary_schemas::Payload;
use tributary_schemas::code::{Reason, Visibility};

use super::{OTHER, OWNER, REGISTRY, STRANGER, World, dataset, key};
use crate::{Contracts, Mapping};

/// A world whose facts are of a rule with these keys.
fn world(kind: &str, fields: &str, keys: &str) -> World {
    let text = format!(
        "name = \"t\"\nversion = 1\n[[rule]]\nname = \"test\"\nemitter = \"any\"\nevent = \"X(bytes32 id, address who, uint8 n, string t)\"\n\
         emit = \"{kind}\"\n{keys}\n[rule.fields]\n{fields}"
    );
    let rules = Mapping::parse("t.toml", &text, 1, &Contracts::default()).unwrap();
    World { rules: Some(rules), ..World::default() }
}

const DATASET: &str = "dataset = { native = \"dataset\", key = \"id\" }\nkey = \"id\"\nowner = \"who\"\nvisibility = \"n\"\n\
                       license = \"id\"\nmetadata_uri = \"t\"\nmetadata_hash = \"id\"\n";
const METADATA: &str = "entity = \"id\"\nuri = \"t\"\nhash = \"id\"\n";

fn registered(uri: &str) -> Payload {
    Payload::DatasetRegistered {
        dataset: dataset(1),
        key: key(1),
        owner: OWNER,
        visibility: Visibility::Public,
        license: B256::ZERO,
        metadata_uri: uri.to_owned(),
        metadata_hash: B256::ZERO,
    }
}

/// What became of the facts of each block: kind, and reason when refused.
fn told(world: &mut World, blocks: Vec<Vec<(Address, Payload)>>) -> Vec<(String, Option<Reason>)> {
    let mut out = Vec::new();
    for facts in blocks {
        let events = world.tell(facts).events.into_iter().filter(|one| !one.rule.is_empty());
        out.extend(events.map(|one| (one.event.payload.kind().to_owned(), one.event.reason)));
    }
    out
}

#[test]
fn a_registration_that_is_told_again_is_refused_left_out_or_an_update() {
    let facts = || vec![vec![(REGISTRY, registered("a"))], vec![(REGISTRY, registered("b"))]];
    let first = ("DatasetRegistered".to_owned(), None);
    let check = |keys: &str, second: &[(String, Option<Reason>)]| {
        let mut world = world("DatasetRegistered", DATASET, keys);
        assert_eq!(told(&mut world, facts()), [std::slice::from_ref(&first), second].concat(), "{keys}");
    };
    check("", &[("DatasetRegistered".to_owned(), Some(Reason::DuplicateId))]);
    check("dedupe_key = [\"dataset\"]", &[("DatasetRegistered".to_owned(), Some(Reason::DuplicateFact))]);
    check("dedupe_key = [\"dataset\"]\non_exists = \"ignore\"", &[]);
    check("dedupe_key = [\"dataset\"]\non_exists = \"update\"", &[("MetadataUpdated".to_owned(), None)]);
}

#[test]
fn a_fact_is_known_again_by_its_fields_and_its_emitter() {
    let mut world = world("MetadataUpdated", METADATA, "dedupe_key = [\"entity\", \"uri\"]\non_exists = \"ignore\"");
    let update =
        |uri: &str| Payload::MetadataUpdated { entity: dataset(1).entity(), uri: uri.to_owned(), hash: key(9) };
    let held = ("MetadataUpdated".to_owned(), None);
    // What did not hold was not told: it may hold later.
    let early = told(&mut world, vec![vec![(REGISTRY, update("a"))]]);
    assert_eq!(early, [("MetadataUpdated".to_owned(), Some(Reason::UnknownRef))]);
    let registration = ("DatasetRegistered".to_owned(), None);
    assert_eq!(told(&mut world, vec![vec![(REGISTRY, registered("x"))]]), [registration]);
    // Twice in one transaction, and again later.
    let twice = vec![(REGISTRY, update("a")), (REGISTRY, update("a")), (REGISTRY, update("b"))];
    assert_eq!(told(&mut world, vec![twice, vec![(REGISTRY, update("a"))]]), [held.clone(), held]);
    let stranger = told(&mut world, vec![vec![(STRANGER, update("a"))], vec![(OTHER, update("a"))]]);
    assert!(
        stranger.iter().all(|(_, reason)| *reason == Some(Reason::Unauthorized)) && stranger.len() == 2,
        "{stranger:?}"
    );
}

#[test]
fn keys_of_dedupe_are_fields_of_the_kind() {
    let refused = |keys: &str| {
        let text = format!(
            "name = \"t\"\nversion = 1\n[[rule]]\nname = \"r\"\nemitter = \"any\"\nevent = \"X(bytes32 id, string t)\"\n\
             emit = \"MetadataUpdated\"\n{keys}\n[rule.fields]\n{METADATA}"
        );
        Mapping::parse("t.toml", &text, 1, &Contracts::default()).unwrap_err().to_string()
    };
    assert!(refused("dedupe_key = [\"urii\"]").contains("the nearest is \"uri\""));
    assert!(refused("on_exists = \"ignore\"").contains("expected dedupe_key"));
    assert!(refused("dedupe_key = [\"uri\"]\non_exists = \"drop\"").contains("`update`"));
}
